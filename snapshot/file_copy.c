/*
 * snapshot/file_copy.c -- See file_copy.h.
 */
#include "snapshot/file_copy.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREE_DEPTH_MAX 64

struct file_copier {
    FILE_COPY_OPTIONS options;
    uint8_t *buffer;
    uint8_t *zeros;
    int64_t started; /* clock_ms of the first byte */
    uint64_t bytes;  /* since then, for the throttle */
};

int
file_copier_new(const FILE_COPY_OPTIONS *options, FILE_COPIER **copierp, STATUS *status)
{
    FILE_COPIER *copier;

    *copierp = NULL;
    if ((copier = calloc(1, sizeof(*copier))) == NULL ||
        (copier->buffer = malloc(FILE_COPY_BUFFER)) == NULL ||
        (copier->zeros = calloc(1, FILE_COPY_BUFFER)) == NULL) {
        file_copier_free(copier);
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory to copy files"));
    }
    if (options != NULL)
        copier->options = *options;
    *copierp = copier;
    return (0);
}

void
file_copier_free(FILE_COPIER *copier)
{
    if (copier == NULL)
        return;
    free(copier->buffer);
    free(copier->zeros);
    free(copier);
}

/* Bytes were read: say so, and slow down as asked. */
static int
account(FILE_COPIER *copier, const char *name, uint64_t bytes, STATUS *status)
{
    int64_t due, now;
    bool go_on = true;

    if (copier->options.progress != NULL)
        copier->options.progress(copier->options.context, bytes);
    if (copier->options.throttle != 0) {
        now = clock_ms();
        if (copier->bytes == 0)
            copier->started = now;
        copier->bytes += bytes;
        due = (int64_t)((double)copier->bytes * 1000 / (double)copier->options.throttle) +
              copier->started;
        go_on = due <= now || cancel_sleep(due - now);
    }
    if (!go_on || cancel_asked())
        return (status_set(status, STATUS_REFUSED, "interrupted", "%s: stopped as asked", name));
    return (0);
}

static int
copy_hole(FILE_COPIER *copier, const char *name, uint64_t offset, uint64_t len, DIGEST *digest,
  FILE_COPY_SINK sink, void *context, STATUS *status)
{
    size_t piece;
    int ret;

    for (; len > 0; offset += piece, len -= piece) {
        piece = len < FILE_COPY_BUFFER ? (size_t)len : FILE_COPY_BUFFER;
        if ((ret = digest_update(digest, copier->zeros, piece, status)) != 0 ||
            (sink != NULL && (ret = sink(context, offset, NULL, piece, status)) != 0) ||
            (ret = account(copier, name, piece, status)) != 0)
            return (ret);
    }
    return (0);
}

static int
copy_data(FILE_COPIER *copier, int fd, const char *name, uint64_t offset, uint64_t len,
  DIGEST *digest, FILE_COPY_SINK sink, void *context, STATUS *status)
{
    size_t piece;
    ssize_t n;
    int ret;

    for (; len > 0; offset += (uint64_t)n, len -= (uint64_t)n) {
        piece = len < FILE_COPY_BUFFER ? (size_t)len : FILE_COPY_BUFFER;
        do
            n = pread(fd, copier->buffer, piece, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n < 0)
            return (status_set_errno(status, errno, "copy-read", "reading %s", name));
        if (n == 0)
            return (status_set(status, STATUS_REFUSED, "copy-changed",
              "%s became shorter while it was copied", name));
        if ((ret = digest_update(digest, copier->buffer, (size_t)n, status)) != 0 ||
            (sink != NULL &&
              (ret = sink(context, offset, copier->buffer, (size_t)n, status)) != 0) ||
            (ret = account(copier, name, (uint64_t)n, status)) != 0)
            return (ret);
    }
    return (0);
}

/* Where data starts at or behind an offset, and where it ends. A file system that cannot tell has data
 * everywhere. */
static void
next_extent(int fd, uint64_t offset, uint64_t size, uint64_t *startp, uint64_t *endp)
{
    off_t end, start;

    *startp = offset;
    *endp = size;
    if ((start = lseek(fd, (off_t)offset, SEEK_DATA)) < 0) {
        if (errno == ENXIO)
            *startp = size;
        return;
    }
    if ((uint64_t)start >= size) {
        *startp = size;
        return;
    }
    *startp = (uint64_t)start;
    if ((end = lseek(fd, start, SEEK_HOLE)) > start && (uint64_t)end < size)
        *endp = (uint64_t)end;
}

int
file_copy_pass(FILE_COPIER *copier, int from_fd, const char *name, uint64_t size,
  FILE_COPY_SINK sink, void *context, FILE_COPY_RESULT *result, STATUS *status)
{
    DIGEST *digest = NULL;
    uint64_t end, offset, start;
    int ret;

    memset(result, 0, sizeof(*result));
    result->size = size;
    if ((ret = digest_new(&digest, status)) != 0)
        return (ret);
    for (offset = 0; offset < size; offset = end) {
        next_extent(from_fd, offset, size, &start, &end);
        if ((ret = copy_hole(
               copier, name, offset, start - offset, digest, sink, context, status)) != 0)
            goto err;
        if (start == size)
            break;
        if ((ret = copy_data(
               copier, from_fd, name, start, end - start, digest, sink, context, status)) != 0)
            goto err;
    }
    ret = digest_final(digest, result->sha256, status);

err:
    digest_free(digest);
    return (ret);
}

typedef struct {
    int fd;
    const char *name;
} DESTINATION;

static int
write_piece(void *context, uint64_t offset, const void *data, size_t len, STATUS *status)
{
    const DESTINATION *to = context;

    /* A hole is one already. */
    if (data == NULL || file_write_at(to->fd, data, len, offset))
        return (0);
    return (status_set_errno(status, errno, "copy-write", "writing the copy of %s", to->name));
}

static int
size_of(int fd, const char *name, uint64_t *sizep, STATUS *status)
{
    struct stat sb;

    *sizep = 0;
    if (fstat(fd, &sb) != 0)
        return (status_set_errno(status, errno, "copy-read", "looking at %s", name));
    *sizep = (uint64_t)sb.st_size;
    return (0);
}

int
file_copy(FILE_COPIER *copier, int from_fd, int to_fd, const char *name, FILE_COPY_RESULT *result,
  STATUS *status)
{
    DESTINATION to = {to_fd, name};
    uint64_t size;
    int ret;

    memset(result, 0, sizeof(*result));
    /* It fails for many reasons, other file systems among them; then bytes are copied, which tells what is wrong. */
    if (ioctl(to_fd, FICLONE, from_fd) == 0) {
        if ((ret = size_of(to_fd, name, &size, status)) != 0 ||
            (ret = file_copy_pass(copier, to_fd, name, size, NULL, NULL, result, status)) != 0)
            return (ret);
        result->cloned = true;
        return (0);
    }
    if ((ret = size_of(from_fd, name, &size, status)) != 0)
        return (ret);
    (void)posix_fadvise(from_fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    /* The last byte may be in a hole. */
    if (ftruncate(to_fd, (off_t)size) != 0)
        return (status_set_errno(status, errno, "copy-write", "writing the copy of %s", name));
    return (file_copy_pass(copier, from_fd, name, size, write_piece, &to, result, status));
}

/* Open the next directory of a path, made when missing. */
static int
enter(int dir_fd, const char *part, bool make, const char *path, int *fdp, STATUS *status)
{
    if (make && mkdirat(dir_fd, part, 0700) != 0 && errno != EEXIST)
        return (status_set_errno(status, errno, "copy-write", "making the directory of %s", path));
    if ((*fdp = openat(dir_fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return (status_set_errno(
          status, errno, make ? "copy-write" : "copy-read", "the directory of %s", path));
    return (0);
}

static int
open_parent(int root_fd, const char *path, bool make, int *fdp, const char **namep, STATUS *status)
{
    char part[NAME_MAX + 1];
    const char *slash;
    size_t len;
    int fd, next = -1, ret;

    *fdp = -1;
    *namep = path;
    if ((fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "copy-read", "the directory of %s", path));
    while ((slash = strchr(*namep, '/')) != NULL) {
        if ((len = (size_t)(slash - *namep)) > NAME_MAX) {
            (void)close(fd);
            return (status_set_errno(status, ENAMETOOLONG, "copy-read", "%s", path));
        }
        memcpy(part, *namep, len);
        part[len] = '\0';
        ret = enter(fd, part, make, path, &next, status);
        (void)close(fd);
        if (ret != 0)
            return (ret);
        fd = next;
        *namep = slash + 1;
    }
    *fdp = fd;
    return (0);
}

int
file_copy_open_parent(int root_fd, const char *path, int *fdp, const char **namep, STATUS *status)
{
    return (open_parent(root_fd, path, false, fdp, namep, status));
}

int
file_copy_create(int root_fd, const char *path, mode_t mode, int *fdp, STATUS *status)
{
    const char *name;
    int dir_fd, ret;

    *fdp = -1;
    if ((ret = open_parent(root_fd, path, true, &dir_fd, &name, status)) != 0)
        return (ret);
    *fdp = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (*fdp < 0)
        ret = status_set_errno(status, errno, "copy-write", "making the copy of %s", path);
    (void)close(dir_fd);
    return (ret);
}

/* One name of the tree. What is gone, or is a directory that is not empty, is no error: *stayedp. */
static int
remove_name(int root_fd, const char *path, int flags, bool *stayedp, STATUS *status)
{
    const char *name;
    int fd, ret = 0;

    *stayedp = false;
    if (file_copy_open_parent(root_fd, path, &fd, &name, status) != 0)
        return (status->sys_errno == ENOENT ? 0 : (int)status->status_class);
    if (unlinkat(fd, name, flags) != 0 && errno != ENOENT) {
        *stayedp = flags != 0 && (errno == ENOTEMPTY || errno == EEXIST);
        if (!*stayedp)
            ret = status_set_errno(status, errno, "copy-remove", "removing %s", path);
    }
    (void)close(fd);
    return (ret);
}

int
file_copy_remove(int root_fd, const char *path, STATUS *status)
{
    char dir[PATH_MAX], *slash;
    int ret;
    bool stayed;

    if (strlen(path) >= sizeof(dir))
        return (status_set_errno(status, ENAMETOOLONG, "copy-remove", "%s", path));
    if ((ret = remove_name(root_fd, path, 0, &stayed, status)) != 0)
        return (ret);
    memcpy(dir, path, strlen(path) + 1);
    while ((slash = strrchr(dir, '/')) != NULL) {
        *slash = '\0';
        if ((ret = remove_name(root_fd, dir, AT_REMOVEDIR, &stayed, status)) != 0 || stayed)
            return (ret);
    }
    return (0);
}

static int sync_dir(int dir_fd, unsigned depth, STATUS *status) WTKMS_CHECKED;

static int
sync_below(int dir_fd, const char *name, unsigned depth, STATUS *status)
{
    int fd, ret;

    if ((fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0) {
        if (errno == ENOTDIR || errno == ELOOP || errno == ENOENT)
            return (0);
        return (status_set_errno(status, errno, "copy-sync", "the directory %s", name));
    }
    ret = sync_dir(fd, depth + 1, status);
    (void)close(fd);
    return (ret);
}

static int
sync_dir(int dir_fd, unsigned depth, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;
    int ret = 0;

    if (depth > TREE_DEPTH_MAX)
        return (status_set_errno(status, ELOOP, "copy-sync", "directories are nested too deep"));
    if ((dir = file_list(dir_fd)) == NULL)
        return (status_set_errno(status, errno, "copy-sync", "reading a directory of the copy"));
    while (ret == 0 && (entry = readdir(dir)) != NULL)
        if ((entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) &&
            strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ret = sync_below(dir_fd, entry->d_name, depth, status);
    (void)closedir(dir);
    if (ret == 0 && fsync(dir_fd) != 0)
        ret = status_set_errno(status, errno, "copy-sync", "fsync of a directory of the copy");
    return (ret);
}

int
file_copy_sync_tree(int root_fd, STATUS *status)
{
    return (sync_dir(root_fd, 0, status));
}
