/* A disk that fails where a test asks for it: preloaded (LD_PRELOAD), it stands
 * before the calls that change files and lets all through but those under one
 * folder that a rule names.
 *
 *   FAULT_DISK         the folder, without a slash at its end
 *   FAULT_DISK_CONTROL another folder:
 *     log    gets a line for each call: its number since the rule was last
 *            changed, the operation (create write flush rename truncate unlink
 *            link), the kind of file, a number that stands for the call's site
 *            (the callers' addresses in the program), and "failed" if it was
 *            made to fail
 *     rule   "<operation or *> <kind or *> <from> <count> <EIO|ENOSPC|SHORT|FULL>":
 *            of the calls that match, <count> fail from the <from>th on (0:
 *            all that follow). SHORT writes half, and what follows fails with
 *            ENOSPC. FULL: the disk is as large as what is on it at the <from>th
 *            call, and what would need more fails with ENOSPC. Absent: nothing
 *            fails.
 *
 * For 64-bit Linux with glibc, where the calls with and without 64 are one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static __thread int inside;
static char rule[128];
static unsigned long calls, matched;
static long capacity;

static int base_of(struct dl_phdr_info *info, size_t size, void *out) {
    (void)size;
    *(unsigned long *)out = info->dlpi_addr;
    return 1; /* the first is the program itself */
}

/* A number for the way that led here, the same in every run of the program. */
static unsigned long site(void) {
    static unsigned long base;
    void *frames[48];
    unsigned long sum = 14695981039346656037ul;
    int count = backtrace(frames, 48);
    if (!base) dl_iterate_phdr(base_of, &base);
    for (int i = 2; i < count; i++) {
        unsigned long at = (unsigned long)frames[i] - base;
        if (at < 1ul << 30) sum = (sum ^ at) * 1099511628211ul;
    }
    return sum;
}

/* What stands for a file's name: ids and random names are all the same. */
static void kind_of(const char *path, char *out, size_t size) {
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    if (strstr(path, "/bodies/") || strstr(path, "/staged/"))
        name = "body";
    else if (name[0] == '.' && strstr(name, ".tmp"))
        name = "temporary";
    snprintf(out, size, "%s", name);
}

static ssize_t contents(const char *name, char *out, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", getenv("FAULT_DISK_CONTROL"), name);
    int fd = REAL(open)(path, O_RDONLY);
    if (fd < 0) return -1;
    ssize_t got = read(fd, out, size - 1);
    close(fd);
    if (got >= 0) out[got] = 0;
    return got;
}

/* Bytes in the files under a folder. */
static long used(const char *folder) {
    long sum = 0;
    char path[1024];
    struct stat found;
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &found)) continue;
        sum += S_ISDIR(found.st_mode) ? used(path) : found.st_size;
    }
    if (list) closedir(list);
    return sum;
}

/* What shall become of a call that makes its file `growth` bytes longer: 0 it
 * passes, -1 half of it is written, else the error it fails with. */
static int judge(const char *operation, const char *path, long growth) {
    const char *folder = getenv("FAULT_DISK");
    size_t length = folder ? strlen(folder) : 0;
    if (!length || inside || strncmp(path, folder, length)) return 0;
    if (path[length] && path[length] != '/') return 0;
    inside = 1;
    pthread_mutex_lock(&one);
    char now[128] = "", kind[64], of[32], on[64], how[16] = "";
    unsigned long from = 0, count = 0;
    contents("rule", now, sizeof now);
    if (strcmp(now, rule)) {
        strcpy(rule, now);
        calls = matched = 0;
        capacity = -1;
    }
    kind_of(path, kind, sizeof kind);
    calls++;
    int verdict = 0;
    if (sscanf(rule, "%31s %63s %lu %lu %15s", of, on, &from, &count, how) == 5
        && (!strcmp(of, "*") || !strcmp(of, operation)) && (!strcmp(on, "*") || !strcmp(on, kind))) {
        matched++;
        if (matched >= from && (!count || matched < from + count))
            verdict = !strcmp(how, "EIO") ? EIO : ENOSPC;
        if (verdict && !strcmp(how, "FULL")) {
            if (capacity < 0) capacity = used(folder);
            if (growth <= 0 || used(folder) + growth <= capacity) verdict = 0;
        }
        if (verdict && !strcmp(how, "SHORT") && matched == from && !strcmp(operation, "write")) verdict = -1;
    }
    char line[256], log[512];
    int size = snprintf(line, sizeof line, "%lu %s %s %016lx%s\n", calls, operation, kind, site(),
                        verdict ? " failed" : "");
    snprintf(log, sizeof log, "%s/log", getenv("FAULT_DISK_CONTROL"));
    int fd = REAL(open)(log, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (REAL(write)(fd, line, size) != size) abort();
    close(fd);
    pthread_mutex_unlock(&one);
    inside = 0;
    return verdict;
}

static int judge_fd(const char *operation, int fd, long end) {
    char link[64], path[512];
    struct stat found;
    if (inside || !getenv("FAULT_DISK")) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, sizeof path - 1);
    if (got <= 0) return 0;
    path[got] = 0;
    return judge(operation, path, fstat(fd, &found) ? 0 : end - found.st_size);
}

static int judge_at(const char *operation, int fd, const char *name) {
    char link[64], path[1024];
    if (name[0] == '/' || fd == AT_FDCWD) return judge(operation, name, 0);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t got = readlink(link, path, 500);
    if (got <= 0) return 0;
    snprintf(path + got, sizeof path - got, "/%s", name);
    return judge(operation, path, 0);
}

#define REFUSE(verdict) do { int e = (verdict); if (e) { errno = e < 0 ? ENOSPC : e; return -1; } } while (0)

ssize_t write(int fd, const void *bytes, size_t size) {
    int verdict = judge_fd("write", fd, lseek(fd, 0, SEEK_CUR) + size);
    if (verdict < 0 && size > 1) return REAL(write)(fd, bytes, size / 2);
    REFUSE(verdict);
    return REAL(write)(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    int verdict = judge_fd("write", fd, at + size);
    if (verdict < 0 && size > 1) return REAL(pwrite)(fd, bytes, size / 2, at);
    REFUSE(verdict);
    return REAL(pwrite)(fd, bytes, size, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) { return pwrite(fd, bytes, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REFUSE(judge_fd("write", fd, 0));
    return REAL(writev)(fd, parts, count);
}

int fsync(int fd) { REFUSE(judge_fd("flush", fd, 0)); return REAL(fsync)(fd); }
int fdatasync(int fd) { REFUSE(judge_fd("flush", fd, 0)); return REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { REFUSE(judge_fd("truncate", fd, 0)); return REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int unlink(const char *path) { REFUSE(judge("unlink", path, 0)); return REAL(unlink)(path); }

int unlinkat(int fd, const char *path, int flags) {
    REFUSE(judge_at("unlink", fd, path));
    return REAL(unlinkat)(fd, path, flags);
}

int rename(const char *from, const char *to) { REFUSE(judge("rename", to, 0)); return REAL(rename)(from, to); }

int renameat(int from_fd, const char *from, int to_fd, const char *to) {
    REFUSE(judge_at("rename", to_fd, to));
    return REAL(renameat)(from_fd, from, to_fd, to);
}

int link(const char *from, const char *to) { REFUSE(judge("link", to, 0)); return REAL(link)(from, to); }

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    REFUSE(judge_at("link", to_fd, to));
    return REAL(linkat)(from_fd, from, to_fd, to, flags);
}

/* Only what makes a file; opening one that is there changes nothing. */
static int judge_open(int fd, const char *path, int flags) {
    return flags & O_CREAT && REAL(faccessat)(fd, path, F_OK, 0) ? judge_at("create", fd, path) : 0;
}

static mode_t mode_of(int flags, va_list *more) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(*more, mode_t) : 0; }

#define OPEN(name, ...)                                                       \
    va_list more;                                                             \
    va_start(more, flags);                                                    \
    mode_t mode = mode_of(flags, &more);                                      \
    va_end(more);                                                             \
    return REAL(name)(__VA_ARGS__, flags, mode);

int open(const char *path, int flags, ...) {
    REFUSE(judge_open(AT_FDCWD, path, flags));
    OPEN(open, path)
}

int open64(const char *path, int flags, ...) {
    REFUSE(judge_open(AT_FDCWD, path, flags));
    OPEN(open64, path)
}

int openat(int fd, const char *path, int flags, ...) {
    REFUSE(judge_open(fd, path, flags));
    OPEN(openat, fd, path)
}

int openat64(int fd, const char *path, int flags, ...) {
    REFUSE(judge_open(fd, path, flags));
    OPEN(openat64, fd, path)
}
