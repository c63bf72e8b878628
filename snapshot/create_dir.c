/*
 * snapshot/create_dir.c -- A copy that is a directory. See create_sink.h.
 *
 * Until it is finished it has MANIFEST_UNFINISHED_FILE, made durable before anything else. Files are the
 * caller's, mode 0600; times are those of the originals, so that tools which compare times go on to work.
 */
#include "snapshot/create_sink.h"

#include "common/clock.h"
#include "common/file.h"

#include <bson/bson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    CREATE_SINK sink;
    int fd;
    int parent_fd;
    char *path;
    const char *name; /* in the parent; points into path */
    bool made;        /* the directory */
    bool marked;      /* it is ours */
    int *open;        /* files that are not synced yet */
    size_t open_count;
    char **paths; /* all that was made */
    size_t path_count, path_room;
} DIR_SINK;

#define OPEN_MAX_FILES 64

static void
note_path(DIR_SINK *dir, const char *path)
{
    if (dir->path_count == dir->path_room) {
        dir->path_room = dir->path_room == 0 ? 64 : dir->path_room * 2;
        dir->paths = bson_realloc(dir->paths, dir->path_room * sizeof(*dir->paths));
    }
    dir->paths[dir->path_count++] = bson_strdup(path);
}

static int
sync_open(CREATE_SINK *sink, STATUS *status)
{
    DIR_SINK *dir = (DIR_SINK *)sink;
    size_t i;
    int ret = 0;

    for (i = 0; i < dir->open_count; i++) {
        if (ret == 0 && fsync(dir->open[i]) != 0)
            ret = status_set_errno(status, errno, "copy-sync", "fsync of a file of the copy");
        if (close(dir->open[i]) != 0 && ret == 0)
            ret = status_set_errno(status, errno, "copy-sync", "closing a file of the copy");
    }
    dir->open_count = 0;
    return (ret);
}

static int
make_file(DIR_SINK *dir, const char *path, int *fdp, STATUS *status)
{
    int ret;

    *fdp = -1;
    if (dir->open_count == OPEN_MAX_FILES && (ret = sync_open(&dir->sink, status)) != 0)
        return (ret);
    ret = file_copy_create(dir->fd, path, 0600, fdp, status);
    /* Also of one that failed there may be directories; but what was there before is not ours. */
    if (ret == 0 || status->sys_errno != EEXIST)
        note_path(dir, path);
    if (ret != 0)
        return (ret);
    dir->open[dir->open_count++] = *fdp;
    return (0);
}

static void
set_time(int fd, const struct timespec *modified)
{
    struct timespec times[2] = {{0, UTIME_OMIT}, *modified};

    /* A convenience: a file system that cannot is no reason to fail. */
    if (futimens(fd, times) != 0)
        errno = 0;
}

static int
put(CREATE_SINK *sink, FILE_COPIER *copier, int fd, const CREATE_FILE *file,
  FILE_COPY_RESULT *result, STATUS *status)
{
    DIR_SINK *dir = (DIR_SINK *)sink;
    int ret, to;

    if ((ret = make_file(dir, file->path, &to, status)) != 0 ||
        (ret = file_copy(copier, fd, to, file->source, result, status)) != 0)
        return (ret);
    set_time(to, &file->modified);
    return (0);
}

static int
put_bytes(CREATE_SINK *sink, const char *path, const void *data, size_t len,
  const struct timespec *modified, STATUS *status)
{
    DIR_SINK *dir = (DIR_SINK *)sink;
    int ret, to;

    if ((ret = make_file(dir, path, &to, status)) != 0)
        return (ret);
    if (!file_write_at(to, data, len, 0))
        return (status_set_errno(status, errno, "copy-write", "writing the copy of %s", path));
    set_time(to, modified);
    return (0);
}

static int
finish(CREATE_SINK *sink, STATUS *status)
{
    DIR_SINK *dir = (DIR_SINK *)sink;
    int ret;

    if ((ret = sync_open(sink, status)) != 0 || (ret = file_copy_sync_tree(dir->fd, status)) != 0)
        return (ret);
    if (unlinkat(dir->fd, MANIFEST_UNFINISHED_FILE, 0) != 0 || fsync(dir->fd) != 0)
        return (status_set_errno(status, errno, "copy-write", "finishing the copy"));
    return (0);
}

/* The marker goes last: what is left when something cannot be removed is known as no copy. */
static void
remove_all(DIR_SINK *dir)
{
    STATUS ignored;
    size_t i;
    bool all = true;

    for (i = dir->path_count; i-- > 0;)
        all = file_copy_remove(dir->fd, dir->paths[i], &ignored) == 0 && all;
    if (!all || (dir->marked && unlinkat(dir->fd, MANIFEST_UNFINISHED_FILE, 0) != 0))
        return;
    /* It fails when somebody put a file there, which is his. */
    if (dir->made && unlinkat(dir->parent_fd, dir->name, AT_REMOVEDIR) != 0)
        errno = 0;
}

static void
free_sink(CREATE_SINK *sink, bool finished)
{
    DIR_SINK *dir = (DIR_SINK *)sink;
    size_t i;

    for (i = 0; i < dir->open_count; i++)
        (void)close(dir->open[i]);
    if (!finished && dir->fd >= 0)
        remove_all(dir);
    for (i = 0; i < dir->path_count; i++)
        bson_free(dir->paths[i]);
    bson_free(dir->paths);
    bson_free(dir->path);
    bson_free(dir->open);
    if (dir->fd >= 0)
        (void)close(dir->fd);
    if (dir->parent_fd >= 0)
        (void)close(dir->parent_fd);
    bson_free(dir);
}

/* --- the directory */

static int
refuse(const char *path, const char *why, const char *hint, STATUS *status)
{
    (void)status_set(status, STATUS_REFUSED, "copy-destination", "%s %s", path, why);
    return (status_hint(status, "%s", hint));
}

static int
check_empty(int fd, const char *path, STATUS *status)
{
    struct dirent *entry;
    struct stat sb;
    DIR *dir;
    int ret = 0;

    if (fstatat(fd, MANIFEST_UNFINISHED_FILE, &sb, AT_SYMLINK_NOFOLLOW) == 0)
        return (refuse(path, "has a copy in it that was not finished, or is being made now",
          "when no other process is at it, remove the directory and make the copy again", status));
    if ((dir = file_list(fd)) == NULL)
        return (status_set_errno(status, errno, "copy-destination", "reading %s", path));
    while (ret == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ret = refuse(path, "is not empty", "name a directory that is new or empty", status);
    (void)closedir(dir);
    return (ret);
}

/* A copy inside the home would be a part of the next one, and of what the database lists. */
static int
check_outside(int home_fd, int parent_fd, const char *path, STATUS *status)
{
    struct stat above, home, sb;
    int fd, next, ret = 0;

    if (fstat(home_fd, &home) != 0 || fstat(parent_fd, &sb) != 0)
        return (status_set_errno(status, errno, "copy-destination", "looking at %s", path));
    if ((fd = openat(parent_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "copy-destination", "looking at %s", path));
    for (;;) {
        if (sb.st_dev == home.st_dev && sb.st_ino == home.st_ino) {
            ret = refuse(path, "lies in the home itself", "name a directory elsewhere", status);
            break;
        }
        if ((next = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0 ||
            fstat(next, &above) != 0) {
            /* Above is what the caller may not look at; then so is the home, unless it is no such place. */
            if (next >= 0)
                (void)close(next);
            break;
        }
        (void)close(fd);
        fd = next;
        if (above.st_dev == sb.st_dev && above.st_ino == sb.st_ino)
            break;
        sb = above;
    }
    (void)close(fd);
    return (ret);
}

static int
write_marker(DIR_SINK *dir, STATUS *status)
{
    char text[MANIFEST_UNFINISHED_MAX_BYTES];
    int len, ret;

    len = snprintf(text, sizeof(text), "%s\npid %ld, began at %lld s\n", MANIFEST_UNFINISHED_CREATE,
      (long)getpid(), (long long)clock_unix_seconds());
    ret = file_create(dir->fd, MANIFEST_UNFINISHED_FILE, text, (size_t)len, 0600, status);
    dir->marked = ret == 0;
    return (ret);
}

static int
open_directory(DIR_SINK *dir, int home_fd, const char *path, STATUS *status)
{
    int ret;

    if ((ret = file_split_path(path, &dir->parent_fd, &dir->name, status)) != 0 ||
        (ret = check_outside(home_fd, dir->parent_fd, path, status)) != 0)
        return (ret);
    if (mkdirat(dir->parent_fd, dir->name, 0700) == 0)
        dir->made = true;
    else if (errno != EEXIST)
        return (status_set_errno(status, errno, "copy-destination", "making %s", path));
    if ((dir->fd = openat(dir->parent_fd, dir->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "copy-destination", "opening %s", path));
    /* One that was there may be the home, through a link. */
    if (!dir->made && ((ret = check_outside(home_fd, dir->fd, path, status)) != 0 ||
                        (ret = check_empty(dir->fd, path, status)) != 0))
        return (ret);
    if (!dir->made && fchmod(dir->fd, 0700) != 0)
        return (status_set_errno(status, errno, "copy-destination", "closing %s to others", path));
    if (dir->made && fsync(dir->parent_fd) != 0)
        return (status_set_errno(status, errno, "copy-sync", "fsync of the directory of %s", path));
    return (0);
}

int
create_dir_new(int home_fd, const CREATE_OPTIONS *options, CREATE_SINK **sinkp, STATUS *status)
{
    DIR_SINK *dir;
    size_t len;
    int ret;

    *sinkp = NULL;
    dir = bson_malloc0(sizeof(*dir));
    dir->sink = (CREATE_SINK){put, put_bytes, sync_open, finish, free_sink};
    dir->fd = dir->parent_fd = -1;
    dir->open = bson_malloc0(OPEN_MAX_FILES * sizeof(*dir->open));
    dir->path = bson_strdup(options->destination);
    /* "copy/" is the same directory, and its last part is "copy". */
    for (len = strlen(dir->path); len > 1 && dir->path[len - 1] == '/';)
        dir->path[--len] = '\0';
    if ((ret = open_directory(dir, home_fd, dir->path, status)) != 0 ||
        (ret = write_marker(dir, status)) != 0) {
        free_sink(&dir->sink, false);
        return (ret);
    }
    *sinkp = &dir->sink;
    return (0);
}
