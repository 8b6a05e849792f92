/* Preloaded into the program under test: writes down, in order, what it writes, syncs, cuts, makes, renames and removes below WRITE_LOG_FOLDER.
   Records: kind (u8), time (u64, ns), number (u64), length of the path (u32), length of the data (u32), path, data; little-endian. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WRITE = 1, SYNC_BEGINS, SYNC_ENDS, CUT, MADE, REMOVED, RENAMED };

#define REAL(name, result, ...) \
    static result (*real)(__VA_ARGS__); \
    if (!real) real = (result (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int log_file = -2;
static char folder[PATH_MAX];
static size_t folder_length;
static uint64_t syncs;

static ssize_t raw_write(int file, const void *bytes, size_t length) {
    REAL("write", ssize_t, int, const void *, size_t);
    return real(file, bytes, length);
}

static int raw_open(const char *path, int flags, mode_t mode) {
    REAL("open", int, const char *, int, ...);
    return real(path, flags, mode);
}

static void start(void) {
    if (log_file != -2) return;
    const char *below = getenv("WRITE_LOG_FOLDER"), *log = getenv("WRITE_LOG_FILE");
    log_file = -1;
    if (!below || !log) return;
    snprintf(folder, sizeof folder, "%s/", below);
    folder_length = strlen(folder);
    log_file = raw_open(log, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
}

/* Whether it is below the folder, or the folder itself. */
static int is_below(const char *path) {
    start();
    return log_file >= 0 && (!strncmp(path, folder, folder_length) ||
        (strlen(path) + 1 == folder_length && !strncmp(path, folder, folder_length - 1)));
}

static int path_of(int file, char *path) {
    char link[64];
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    errno = before;
    if (length <= 0) return 0;
    path[length] = 0;
    return is_below(path);
}

static void note(int kind, uint64_t number, const char *path, const void *bytes, size_t length) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t time = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    uint32_t path_length = (uint32_t)strlen(path), data_length = (uint32_t)length;
    size_t total = 25 + path_length + length;
    char *record = malloc(total);
    if (!record) abort();
    record[0] = (char)kind;
    memcpy(record + 1, &time, 8);
    memcpy(record + 9, &number, 8);
    memcpy(record + 17, &path_length, 4);
    memcpy(record + 21, &data_length, 4);
    memcpy(record + 25, path, path_length);
    if (length) memcpy(record + 25 + path_length, bytes, length);
    for (size_t done = 0; done < total;) {
        ssize_t some = raw_write(log_file, record + done, total - done);
        if (some <= 0) abort();
        done += (size_t)some;
    }
    free(record);
}

static ssize_t write_at(int file, const void *bytes, size_t length, off64_t offset) {
    REAL("pwrite64", ssize_t, int, const void *, size_t, off64_t);
    char path[PATH_MAX];
    if (!path_of(file, path)) return real(file, bytes, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t done = real(file, bytes, length, offset);
    if (done > 0) note(WRITE, (uint64_t)offset, path, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) { return write_at(file, bytes, length, offset); }
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) { return write_at(file, bytes, length, offset); }

ssize_t write(int file, const void *bytes, size_t length) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return raw_write(file, bytes, length);
    pthread_mutex_lock(&lock);
    ssize_t done = raw_write(file, bytes, length);
    int before = errno;
    off64_t end = lseek64(file, 0, SEEK_CUR);
    errno = before;
    if (done > 0 && end >= done) note(WRITE, (uint64_t)(end - done), path, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

static int cut(int file, off64_t length) {
    REAL("ftruncate64", int, int, off64_t);
    char path[PATH_MAX];
    if (!path_of(file, path)) return real(file, length);
    pthread_mutex_lock(&lock);
    int failed = real(file, length);
    if (!failed) note(CUT, (uint64_t)length, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

int ftruncate(int file, off_t length) { return cut(file, length); }
int ftruncate64(int file, off64_t length) { return cut(file, length); }

/* What was written before a sync began is there once it has ended. */
static int sync_with(int (*real)(int), int file) {
    char path[PATH_MAX];
    if (!path_of(file, path)) return real(file);
    pthread_mutex_lock(&lock);
    uint64_t number = ++syncs;
    note(SYNC_BEGINS, number, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    int failed = real(file);
    pthread_mutex_lock(&lock);
    if (!failed) note(SYNC_ENDS, number, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

int fsync(int file) {
    REAL("fsync", int, int);
    return sync_with(real, file);
}

int fdatasync(int file) {
    REAL("fdatasync", int, int);
    return sync_with(real, file);
}

static int open_it(const char *path, int flags, mode_t mode) {
    if (!is_below(path) || !(flags & (O_CREAT | O_TRUNC))) return raw_open(path, flags, mode);
    struct stat64 was;
    pthread_mutex_lock(&lock);
    int is_new = stat64(path, &was) != 0;
    int file = raw_open(path, flags, mode);
    if (file >= 0 && is_new) note(MADE, 0, path, NULL, 0);
    if (file >= 0 && !is_new && (flags & O_TRUNC)) note(CUT, 0, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    return file;
}

#define MODE_OF(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list more; \
        va_start(more, last); \
        mode = va_arg(more, mode_t); \
        va_end(more); \
    }

int open(const char *path, int flags, ...) { MODE_OF(flags, flags) return open_it(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE_OF(flags, flags) return open_it(path, flags | O_LARGEFILE, mode); }

int unlink(const char *path) {
    REAL("unlink", int, const char *);
    if (!is_below(path)) return real(path);
    pthread_mutex_lock(&lock);
    int failed = real(path);
    if (!failed) note(REMOVED, 0, path, NULL, 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

int rename(const char *from, const char *to) {
    REAL("rename", int, const char *, const char *);
    if (!is_below(from)) return real(from, to);
    pthread_mutex_lock(&lock);
    int failed = real(from, to);
    if (!failed) note(RENAMED, 0, from, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return failed;
}
