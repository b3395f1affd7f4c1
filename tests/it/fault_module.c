/* A PKCS#11 module that passes every call on to a real one, and on the way
 * counts it and misbehaves where a test asks for it.
 *
 *   FAULT_REAL    path of the real module
 *   FAULT_FOLDER  calls.log gets one line for each call ("C_Login 1": the user
 *                 type is added, "C_Login 1 reader": without a PIN; C_SignInit
 *                 gets a second line, "mechanism <hex>"); a file named like a
 *                 function holds what to do at its next call (the file is used
 *                 up by that):
 *                   hang | crash | exit | chatter | rv <hex> | flags <hex> |
 *                   hide <hex>...
 *                 "rv" returns a code without passing the call on, "flags" is
 *                 or-ed into CK_TOKEN_INFO.flags, "chatter" prints to standard
 *                 output, "hide" takes mechanisms out of the list. A file named
 *                 <function>.always is not used up.
 *   FAULT_READER  if set, the token has a protected authentication path: a login
 *                 without a PIN is one with this PIN, as if typed on a reader,
 *                 and one with a PIN is refused.
 *
 * Arguments of Cryptoki functions are integers and pointers, six at most, so
 * one wrapper signature serves for all of them on the usual 64-bit ABIs. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static W pass(int index, const char *name, W a, W b, W c, W d, W e, W f) {
    char todo[64];
    W result;
    note(name, b, c);
    wish(name, todo, sizeof todo);
    if (!strncmp(todo, "hang", 4)) for (;;) sleep(1000);
    if (!strncmp(todo, "crash", 5)) *(volatile int *)8 = 1;
    if (!strncmp(todo, "exit", 4)) _exit(0);
    if (!strncmp(todo, "chatter", 7)) {
        printf("reader 0: card found, PIN please:\n");
        fflush(stdout);
    }
    if (!strncmp(todo, "rv ", 3)) return strtoul(todo + 3, NULL, 16);
    if (!strcmp(name, "C_Login") && getenv("FAULT_READER")) {
        if (c) return 7; /* CKR_ARGUMENTS_BAD */
        c = (W)getenv("FAULT_READER");
        d = strlen(getenv("FAULT_READER"));
    }
    result = real->call[index](a, b, c, d, e, f);
    if (!strcmp(name, "C_GetTokenInfo") && getenv("FAULT_READER")) *(W *)(b + 96) |= 0x100;
    if (!strncmp(todo, "hide ", 5) && b) hide((W *)b, (W *)c, todo + 5);
    if (!strncmp(todo, "flags ", 6)) *(W *)(b + 96) |= strtoul(todo + 6, NULL, 16);
    if (!strncmp(todo, "nonsense", 8)) memset((void *)d, 0x5a, *(W *)e);
    if (!strncmp(todo, "oversize", 8)) *(W *)e = 1UL << 30;
    return result;
}

#define WRAP(index, name) \
    static W w_##name(W a, W b, W c, W d, W e, W f) { \
        return pass(index, #name, a, b, c, d, e, f); \
    }
#define EACH(X) \
    X(0, C_Initialize) X(4, C_GetSlotList) X(6, C_GetTokenInfo) X(7, C_GetMechanismList) \
    X(12, C_OpenSession) \
    X(15, C_GetSessionInfo) X(18, C_Login) X(19, C_Logout) X(24, C_GetAttributeValue) \
    X(26, C_FindObjectsInit) X(42, C_SignInit) X(43, C_Sign)
EACH(WRAP)

W C_GetFunctionList(struct list **out) {
    W (*get)(struct list **);
    void *library;
    if (!real) {
        library = dlopen(getenv("FAULT_REAL"), RTLD_NOW | RTLD_LOCAL);
        if (!library) return 5;
        *(void **)&get = dlsym(library, "C_GetFunctionList");
        if (get(&real)) return 5;
        mine = *real;
#define SET(index, name) mine.call[index] = w_##name;
        EACH(SET)
    }
    *out = &mine;
    return 0;
}
