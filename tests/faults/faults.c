/* Faults in the file calls of a process: preloaded, armed by faults_arm(), for paths beneath the given roots only.

   Rust and C++ writers come by here as Python does. Calls of one kind are counted; the n-th fails with an error number, writes short,
   kills the process, or waits for half a second. Every call that changes something is written to a log, by which a power cut is told. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CREATE, WRITE, SYNC, RENAME, MKDIR, REMOVE, OPEN, READ, KINDS };
enum { ONCE, ONWARDS, SHORT, KILL, WAIT };
static const char *const names[KINDS] = {"create", "write", "fsync", "rename", "mkdir", "remove", "open", "read"};

static char roots[4][PATH_MAX];
static int root_count, mask, at, action, number, record = -1;
static volatile int seen; /* calls of the kinds in the mask */

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

/* mask: the kinds that count, as bits; log: a descriptor of a file outside the roots, or -1. */
void faults_arm(const char *folders, int kinds, int nth, int what, int error, int log) {
  char list[4 * PATH_MAX];
  snprintf(list, sizeof list, "%s", folders);
  root_count = 0;
  for (char *rest = NULL, *one = strtok_r(list, ":", &rest); one != NULL && root_count < 4; one = strtok_r(NULL, ":", &rest))
    snprintf(roots[root_count++], PATH_MAX, "%s", one);
  mask = kinds, at = nth, action = what, number = error, record = log, seen = 0;
}

int faults_seen(void) { return seen; }

static int beneath(const char *path) {
  for (int i = 0; i < root_count; i++) {
    size_t length = strlen(roots[i]);
    if (strncmp(path, roots[i], length) == 0 && (path[length] == '/' || path[length] == 0)) return 1;
  }
  return 0;
}

static const char *path_of(int fd, char *buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, buffer, PATH_MAX - 1);
  if (length < 0 || buffer[0] != '/') return NULL;
  buffer[length] = 0;
  return buffer;
}

static const char *absolute(int folder, const char *path, char *buffer) {
  char base[PATH_MAX];
  if (path == NULL) return NULL;
  if (path[0] == '/') return path;
  if (folder == AT_FDCWD ? getcwd(base, sizeof base) == NULL : path_of(folder, base) == NULL) return NULL;
  snprintf(buffer, PATH_MAX, "%.2000s/%.2000s", base, path);
  return buffer;
}

/* 0: go on; 1: fail, errno is set; 2: do half of it. */
static int visit(int kind, const char *path, const char *other) {
  if (root_count == 0 || path == NULL || !(beneath(path) || (other != NULL && beneath(other)))) return 0;
  int counts = (mask & 1 << kind) != 0, hit = 0;
  if (counts) {
    int call = __sync_add_and_fetch(&seen, 1);
    hit = call == at || (action == ONWARDS && at > 0 && call > at);
  }
  if (record >= 0 && (kind < OPEN || counts)) {
    char line[3 * PATH_MAX], size[32];
    struct stat file;
    if (kind == SYNC && stat(path, &file) == 0) {
      snprintf(size, sizeof size, "%lld", (long long)file.st_size);
      other = size; /* what is safe from now on */
    }
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\n", names[kind], path, other ? other : "", hit ? "fault" : "");
    if (REAL(write)(record, line, length) < 0) abort();
  }
  if (!hit) return 0;
  if (action == KILL) kill(getpid(), SIGKILL);
  if (action == SHORT) return 2;
  if (action == WAIT) return usleep(500000), 0;
  errno = number;
  return 1;
}

static int visit_fd(int kind, int fd) {
  char buffer[PATH_MAX];
  return root_count == 0 ? 0 : visit(kind, path_of(fd, buffer), NULL);
}

static int visit_at(int kind, int folder, const char *path) {
  char buffer[PATH_MAX];
  return root_count == 0 ? 0 : visit(kind, absolute(folder, path, buffer), NULL);
}

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

static int opening(int flags) { return (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR)) ? CREATE : OPEN; }

#define OPENER(name, before, folder, ...)                                  \
  int name(before const char *path, int flags, ...) {                      \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, int) : 0; \
    va_end(rest);                                                          \
    if (visit_at(opening(flags), folder, path) == 1) return -1;            \
    return REAL(name)(__VA_ARGS__ path, flags, mode);                      \
  }
#define COMMA ,
OPENER(open, , AT_FDCWD)
OPENER(open64, , AT_FDCWD)
OPENER(openat, int folder COMMA, folder, folder COMMA)
OPENER(openat64, int folder COMMA, folder, folder COMMA)

#define FOPENER(name)                                                                            \
  FILE *name(const char *path, const char *mode) {                                               \
    return visit_at(mode[0] == 'r' ? OPEN : CREATE, AT_FDCWD, path) == 1 ? NULL : REAL(name)(path, mode); \
  }
FOPENER(fopen)
FOPENER(fopen64)

ssize_t write(int fd, const void *data, size_t size) {
  int what = visit_fd(WRITE, fd);
  return what == 1 ? -1 : REAL(write)(fd, data, what == 2 ? half(size) : size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  int what = visit_fd(WRITE, fd);
  return what == 1 ? -1 : REAL(writev)(fd, parts, what == 2 ? (count > 1 ? count / 2 : count) : count);
}

#define PWRITER(name, offset_type)                                                        \
  ssize_t name(int fd, const void *data, size_t size, offset_type offset) {               \
    int what = visit_fd(WRITE, fd);                                                       \
    return what == 1 ? -1 : REAL(name)(fd, data, what == 2 ? half(size) : size, offset);  \
  }
PWRITER(pwrite, off_t)
PWRITER(pwrite64, off64_t)

size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
  int what = visit_fd(WRITE, fileno(file));
  return what == 1 ? 0 : REAL(fwrite)(data, size, what == 2 ? half(count) : count, file);
}

#define READER(name, offset_parameter, offset)                                            \
  ssize_t name(int fd, void *data, size_t size offset_parameter) {                        \
    int what = visit_fd(READ, fd);                                                        \
    return what == 1 ? -1 : REAL(name)(fd, data, what == 2 ? half(size) : size offset);   \
  }
READER(read, , )
READER(pread, COMMA off_t offset, COMMA offset)
READER(pread64, COMMA off64_t offset, COMMA offset)

int fsync(int fd) { return visit_fd(SYNC, fd) == 1 ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return visit_fd(SYNC, fd) == 1 ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t size) { return visit_fd(WRITE, fd) == 1 ? -1 : REAL(ftruncate)(fd, size); }
int ftruncate64(int fd, off64_t size) { return visit_fd(WRITE, fd) == 1 ? -1 : REAL(ftruncate64)(fd, size); }

void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
  if (fd >= 0 && visit_fd(READ, fd) == 1) return MAP_FAILED;
  return REAL(mmap)(address, size, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset) {
  if (fd >= 0 && visit_fd(READ, fd) == 1) return MAP_FAILED;
  return REAL(mmap64)(address, size, protection, flags, fd, offset);
}

static int visit_pair(int from_folder, const char *from, int to_folder, const char *to) {
  char a[PATH_MAX], b[PATH_MAX];
  return root_count == 0 ? 0 : visit(RENAME, absolute(from_folder, from, a), absolute(to_folder, to, b));
}
int rename(const char *from, const char *to) {
  return visit_pair(AT_FDCWD, from, AT_FDCWD, to) == 1 ? -1 : REAL(rename)(from, to);
}
int renameat(int a, const char *from, int b, const char *to) {
  return visit_pair(a, from, b, to) == 1 ? -1 : REAL(renameat)(a, from, b, to);
}
int link(const char *from, const char *to) { return visit_pair(AT_FDCWD, from, AT_FDCWD, to) == 1 ? -1 : REAL(link)(from, to); }

/* A folder that is there is told before a disk is asked. */
int mkdirat(int folder, const char *path, mode_t mode) {
  return faccessat(folder, path, F_OK, 0) != 0 && visit_at(MKDIR, folder, path) == 1 ? -1 : REAL(mkdirat)(folder, path, mode);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int unlink(const char *path) { return visit_at(REMOVE, AT_FDCWD, path) == 1 ? -1 : REAL(unlink)(path); }
int rmdir(const char *path) { return visit_at(REMOVE, AT_FDCWD, path) == 1 ? -1 : REAL(rmdir)(path); }
int unlinkat(int folder, const char *path, int flags) {
  return visit_at(REMOVE, folder, path) == 1 ? -1 : REAL(unlinkat)(folder, path, flags);
}
