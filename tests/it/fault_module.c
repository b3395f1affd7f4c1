/* A PKCS#11 module that passes every call on to a real one, and on the way
 * counts it and misbehaves where a test asks for it.
 *
 *   FAULT_REAL    path of the real module
 *   FAULT_FOLDER  calls.log gets one line for each call ("C_Login 1": the user
 *                 type is added, "C_Login 1 reader": without a PIN; C_SignInit
 *                 gets a second line, "mechanism <hex>"); a file named like a
 *                 function holds what to do at its next call (the file is used
 *                 up by that); <function>.always is not used up, and
 *                 <function>.null leaves the function out of the list.
 *   FAULT_READER  if set, the token has a protected authentication path: a login
 *                 without a PIN is one with this PIN, as if typed on a reader,
 *                 and one with a PIN is refused.
 *
 * Instead of the call, or before it:
 *   hang, crash, abort, exit          what they say
 *   handler     catches SIGSEGV for good, then crashes: it hangs
 *   stack       recurses without end
 *   smash       writes far beyond a small block of the heap
 *   eat         takes memory until there is none, then aborts
 *   threads     leaves threads behind; fork: a child that holds all pipes
 *   orphan      the same, and the worker itself ends
 *   chatter     prints to standard output
 *   rv <hex>    returns the code, the call is not made
 *   skip        returns CKR_OK, the call is not made
 * After it:
 *   scribble    writes nonsense to every pipe; close: makes them /dev/null
 *   huge, vast, zero   counts and lengths that were given out become 2^30, 2^62, 0
 *   more        one more than there was room for
 *   nonsense    what was given out is overwritten
 *   flags <hex>, unflag <hex>   in CK_TOKEN_INFO.flags
 *   serial      another serial number in CK_TOKEN_INFO
 *   hide <hex>...               mechanisms taken out of the list
 *
 * Arguments of Cryptoki functions are integers and pointers, and only the first
 * six matter here, so one wrapper signature serves for all of them on the usual
 * 64-bit ABIs. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef unsigned long W;
typedef W (*call_t)(W, W, W, W, W, W);
struct list {
    unsigned char version[2];
    call_t call[68];
};
static struct list *real, mine;

static void path_of(char *out, size_t size, const char *name, const char *suffix) {
    snprintf(out, size, "%s/%s%s", getenv("FAULT_FOLDER"), name, suffix);
}

static void note(const char *name, W second, W third) {
    char path[512], line[64];
    int fd, size;
    path_of(path, sizeof path, "calls.log", "");
    if (!strcmp(name, "C_Login"))
        size = snprintf(line, sizeof line, "%s %lu%s\n", name, second, third ? "" : " reader");
    else if (!strcmp(name, "C_SignInit"))
        size = snprintf(line, sizeof line, "%s\nmechanism %lx\n", name, *(W *)second);
    else
        size = snprintf(line, sizeof line, "%s\n", name);
    fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (write(fd, line, size) != size) abort();
    close(fd);
}

/* What the test wants at this call; empty when nothing. */
static void wish(const char *name, char *out, size_t size) {
    char path[512];
    ssize_t got;
    int fd, once = 1;
    out[0] = 0;
    path_of(path, sizeof path, name, "");
    if ((fd = open(path, O_RDONLY)) < 0) {
        once = 0;
        path_of(path, sizeof path, name, ".always");
        if ((fd = open(path, O_RDONLY)) < 0) return;
    }
    got = read(fd, out, size - 1);
    out[got > 0 ? got : 0] = 0;
    close(fd);
    if (once) unlink(path);
}

/* Takes the mechanisms named out of a list of *count. */
static void hide(W *list, W *count, char *names) {
    char *name;
    W from, to, code;
    for (name = strtok(names, " "); name; name = strtok(NULL, " ")) {
        code = strtoul(name, NULL, 16);
        for (from = to = 0; from < *count; from++)
            if (list[from] != code) list[to++] = list[from];
        *count = to;
    }
}

static void *forever(void *unused) {
    while (!unused) sleep(1000);
    return unused;
}

static void caught(int signal) {
    (void)signal;
    for (;;) pause();
}

static int deep(int depth) {
    volatile char room[4096];
    room[0] = (char)depth;
    return depth < 0 ? 0 : deep(depth + 1) + room[0];
}

static int is(const char *todo, const char *word) {
    return !strncmp(todo, word, strlen(word));
}

/* What needs no knowledge of the call. */
static void misbehave(const char *todo) {
    volatile size_t small = 16; /* not to be seen through by the compiler */
    pthread_t thread;
    int i;
    if (is(todo, "hang")) forever(NULL);
    if (is(todo, "crash")) *(volatile int *)8 = 1;
    if (is(todo, "abort")) abort();
    if (is(todo, "exit")) _exit(0);
    if (is(todo, "handler")) {
        for (i = 1; i < 32; i++) signal(i, caught);
        *(volatile int *)8 = 1;
    }
    if (is(todo, "stack")) exit(deep(0));
    if (is(todo, "smash")) memset(malloc(small), 0x5a, 1 << 16);
    if (is(todo, "eat")) {
        while (malloc(1 << 24));
        abort();
    }
    if (is(todo, "threads"))
        for (i = 0; i < 20; i++) pthread_create(&thread, NULL, forever, NULL);
    if (is(todo, "fork") && !fork()) forever(NULL);
    if (is(todo, "orphan")) {
        if (!fork()) forever(NULL);
        _exit(0);
    }
    if (is(todo, "chatter")) {
        printf("reader 0: card found, PIN please:\n");
        fflush(stdout);
    }
}

/* Only after the call: the worker's answer goes nowhere then, it is killed, and
 * the real module may be writing its files. */
static void spoil_pipes(const char *todo) {
    struct stat about;
    int i;
    for (i = 0; i < 64; i++) {
        if (fstat(i, &about) || !S_ISFIFO(about.st_mode)) continue;
        if (is(todo, "scribble") && write(i, "reader 0: card found, PIN please", 32) < 0) continue;
        if (is(todo, "close")) dup2(open("/dev/null", O_RDWR), i);
    }
}

/* The places where a call gives out a count or length, and bytes. */
struct out {
    W *count[8];
    int counts;
    void *bytes;
    size_t size;
};

static struct out given(const char *name, W b, W c, W d, W e) {
    struct out out = {{0}, 0, 0, 0};
    W i, *attribute;
    if (!strcmp(name, "C_GetSlotList") || !strcmp(name, "C_GetMechanismList")) {
        W *count = (W *)c, *list = (W *)b;
        out.count[out.counts++] = count;
        out.bytes = list, out.size = list ? *count * sizeof(W) : 0;
    } else if (!strcmp(name, "C_GetSlotInfo")) {
        out.bytes = (void *)b, out.size = 104;
    } else if (!strcmp(name, "C_GetTokenInfo")) {
        out.bytes = (void *)b, out.size = 208;
    } else if (!strcmp(name, "C_GetSessionInfo")) {
        out.bytes = (void *)b, out.size = 32;
    } else if (!strcmp(name, "C_OpenSession")) {
        out.bytes = (void *)e, out.size = sizeof(W);
    } else if (!strcmp(name, "C_FindObjects")) {
        out.count[out.counts++] = (W *)d;
        out.bytes = (void *)b, out.size = c * sizeof(W);
    } else if (!strcmp(name, "C_Sign")) {
        out.count[out.counts++] = (W *)e;
        out.bytes = (void *)d, out.size = *(W *)e;
    } else if (!strcmp(name, "C_GetAttributeValue")) {
        for (i = 0; i < d && i < 8; i++) {
            attribute = (W *)(c + 24 * i);
            out.count[out.counts++] = attribute + 2;
            if (attribute[1]) out.bytes = (void *)attribute[1], out.size = attribute[2];
        }
    }
    return out;
}

static void lie(const char *todo, const char *name, W b, W c, W d, W e) {
    struct out out = given(name, b, c, d, e);
    int i;
    for (i = 0; i < out.counts; i++) {
        W *count = out.count[i];
        if (is(todo, "huge")) *count = 1UL << 30;
        if (is(todo, "vast")) *count = 1UL << 62;
        if (is(todo, "zero")) *count = 0;
        if (is(todo, "more")) *count += 1;
    }
    if (is(todo, "nonsense") && out.bytes && out.size < 1 << 20) memset(out.bytes, 0x5a, out.size);
}

static W pass(int index, const char *name, W a, W b, W c, W d, W e, W f) {
    char todo[64];
    W result;
    note(name, b, c);
    wish(name, todo, sizeof todo);
    misbehave(todo);
    if (is(todo, "rv ")) return strtoul(todo + 3, NULL, 16);
    if (is(todo, "skip")) return 0;
    if (!strcmp(name, "C_Login") && getenv("FAULT_READER")) {
        if (c) return 7; /* CKR_ARGUMENTS_BAD */
        c = (W)getenv("FAULT_READER");
        d = strlen(getenv("FAULT_READER"));
    }
    result = real->call[index](a, b, c, d, e, f);
    if (!strcmp(name, "C_GetTokenInfo") && getenv("FAULT_READER")) *(W *)(b + 96) |= 0x100;
    if (is(todo, "hide ") && b) hide((W *)b, (W *)c, todo + 5);
    if (is(todo, "flags ")) *(W *)(b + 96) |= strtoul(todo + 6, NULL, 16);
    if (is(todo, "serial")) *(char *)(b + 80) ^= 1;
    if (is(todo, "unflag ")) *(W *)(b + 96) &= ~strtoul(todo + 7, NULL, 16);
    lie(todo, name, b, c, d, e);
    spoil_pipes(todo);
    return result;
}

/* Every function of the list but C_GetFunctionList, so that none is called
 * without being counted. */
#define EACH(X) \
    X(0, C_Initialize) X(1, C_Finalize) X(2, C_GetInfo) X(4, C_GetSlotList) X(5, C_GetSlotInfo) \
    X(6, C_GetTokenInfo) X(7, C_GetMechanismList) X(8, C_GetMechanismInfo) X(9, C_InitToken) \
    X(10, C_InitPIN) X(11, C_SetPIN) X(12, C_OpenSession) X(13, C_CloseSession) \
    X(14, C_CloseAllSessions) X(15, C_GetSessionInfo) X(16, C_GetOperationState) \
    X(17, C_SetOperationState) X(18, C_Login) X(19, C_Logout) X(20, C_CreateObject) \
    X(21, C_CopyObject) X(22, C_DestroyObject) X(23, C_GetObjectSize) X(24, C_GetAttributeValue) \
    X(25, C_SetAttributeValue) X(26, C_FindObjectsInit) X(27, C_FindObjects) \
    X(28, C_FindObjectsFinal) X(29, C_EncryptInit) X(30, C_Encrypt) X(31, C_EncryptUpdate) \
    X(32, C_EncryptFinal) X(33, C_DecryptInit) X(34, C_Decrypt) X(35, C_DecryptUpdate) \
    X(36, C_DecryptFinal) X(37, C_DigestInit) X(38, C_Digest) X(39, C_DigestUpdate) \
    X(40, C_DigestKey) X(41, C_DigestFinal) X(42, C_SignInit) X(43, C_Sign) X(44, C_SignUpdate) \
    X(45, C_SignFinal) X(46, C_SignRecoverInit) X(47, C_SignRecover) X(48, C_VerifyInit) \
    X(49, C_Verify) X(50, C_VerifyUpdate) X(51, C_VerifyFinal) X(52, C_VerifyRecoverInit) \
    X(53, C_VerifyRecover) X(54, C_DigestEncryptUpdate) X(55, C_DecryptDigestUpdate) \
    X(56, C_SignEncryptUpdate) X(57, C_DecryptVerifyUpdate) X(58, C_GenerateKey) \
    X(59, C_GenerateKeyPair) X(60, C_WrapKey) X(61, C_UnwrapKey) X(62, C_DeriveKey) \
    X(63, C_SeedRandom) X(64, C_GenerateRandom) X(65, C_GetFunctionStatus) \
    X(66, C_CancelFunction) X(67, C_WaitForSlotEvent)
#define WRAP(index, name) \
    static W w_##name(W a, W b, W c, W d, W e, W f) { \
        return pass(index, #name, a, b, c, d, e, f); \
    }
EACH(WRAP)

static call_t unless_null(const char *name, call_t call) {
    char path[512];
    path_of(path, sizeof path, name, ".null");
    return access(path, F_OK) ? call : NULL;
}

W C_GetFunctionList(struct list **out) {
    char todo[64];
    W (*get)(struct list **);
    void *library;
    wish("C_GetFunctionList", todo, sizeof todo);
    misbehave(todo);
    if (is(todo, "rv ")) return strtoul(todo + 3, NULL, 16);
    *out = NULL;
    if (is(todo, "skip")) return 0;
    if (!real) {
        library = dlopen(getenv("FAULT_REAL"), RTLD_NOW | RTLD_LOCAL);
        if (!library) return 5;
        *(void **)&get = dlsym(library, "C_GetFunctionList");
        if (get(&real)) return 5;
        mine = *real;
#define SET(index, name) mine.call[index] = unless_null(#name, w_##name);
        EACH(SET)
    }
    *out = &mine;
    return 0;
}
