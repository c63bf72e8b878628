/*
 * common/file.c -- Bounded reads, secret files' permissions, atomic replacement. See file.h.
 */
#include "common/file.h"

#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Not TEMP_FAILURE_RETRY: that needs _GNU_SOURCE, and the macro's cast hides a pointer result. */
#define RETRY(result, call) \
    do {                    \
        (result) = (call);  \
    } while ((result) == -1 && errno == EINTR)

#define SELINUX_XATTR "security.selinux"
#define SELINUX_LABEL_MAX 4096 /* the kernel's own limit of a label is one page */
#define PART_SIZE (NAME_MAX + 1)

/* What a new file takes over: from the file that it replaces, else from its directory. */
typedef struct {
    bool replaces;
    uid_t uid;
    gid_t gid;
    mode_t mode;
    size_t label_len;
    char label[SELINUX_LABEL_MAX];
} FILE_LIKENESS;

static void
close_fd(int *fdp)
{
    int saved = errno;

    if (*fdp != -1)
        (void)close(*fdp); /* EINTR too has closed it on Linux: never twice */
    *fdp = -1;
    errno = saved;
}

int
file_open_dir(const char *path, int *fdp, STATUS *status)
{
    int fd;

    *fdp = -1;
    RETRY(fd, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd == -1)
        return (status_set_errno(status, errno, "file-open-dir", "cannot open directory %s", path));
    *fdp = fd;
    return (0);
}

int
file_open_read(int dirfd, const char *path, bool nofollow, bool *foundp, int *fdp, STATUS *status)
{
    struct stat sb;
    int fd, flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

    *fdp = -1;
    if (foundp != NULL)
        *foundp = true;
    if (nofollow)
        flags |= O_NOFOLLOW;
    /* O_NONBLOCK: a FIFO put in a file's place must not make a database hang at its open. */
    RETRY(fd, openat(dirfd, path, flags));
    if (fd == -1) {
        if (errno == ENOENT && foundp != NULL) {
            *foundp = false;
            return (0);
        }
        if (errno == ELOOP && nofollow)
            return (status_set_errno(
              status, ELOOP, "file-symlink", "%s is a symbolic link, which is refused here", path));
        return (status_set_errno(
          status, errno, errno == ENOENT ? "file-missing" : "file-open", "cannot open %s", path));
    }
    if (fstat(fd, &sb) == -1) {
        (void)status_set_errno(status, errno, "file-stat", "cannot stat %s", path);
        goto err;
    }
    if (!S_ISREG(sb.st_mode)) {
        (void)status_set_errno(status, S_ISDIR(sb.st_mode) ? EISDIR : EINVAL, "file-not-regular",
          "%s is not a regular file", path);
        goto err;
    }
    *fdp = fd;
    return (0);

err:
    close_fd(&fd);
    return ((int)status->status_class);
}

int
file_read_into(
  int fd, const char *path, void *buf, size_t size, size_t *lenp, bool *fullp, STATUS *status)
{
    size_t used = 0;
    ssize_t got;

    *lenp = 0;
    *fullp = false;
    while (used < size) {
        RETRY(got, read(fd, (char *)buf + used, size - used));
        if (got == -1)
            return (status_set_errno(status, errno, "file-read", "cannot read %s", path));
        if (got == 0) {
            *lenp = used;
            return (0);
        }
        used += (size_t)got;
    }
    *lenp = used;
    *fullp = true;
    return (0);
}

/* Room for what fstat said and a byte that shows the end; files without a size (procfs) grow. */
static int
read_all(int fd, const char *path, size_t max, uint8_t **bufp, size_t *lenp, STATUS *status)
{
    struct stat sb;
    uint8_t *buf = NULL, *bigger;
    size_t size, used = 0, got;
    bool full = true;

    if (fstat(fd, &sb) == -1)
        return (status_set_errno(status, errno, "file-stat", "cannot stat %s", path));
    if (sb.st_size > 0 && (uintmax_t)sb.st_size > max)
        goto too_big;
    for (size = (size_t)sb.st_size + 1;; size = size > max / 2 ? max + 1 : size * 2) {
        if ((bigger = realloc(buf, size + 1)) == NULL) {
            (void)status_set_errno(status, ENOMEM, "file-memory", "cannot read %s", path);
            goto err;
        }
        buf = bigger;
        if (file_read_into(fd, path, buf + used, size - used, &got, &full, status) != 0)
            goto err;
        used += got;
        if (used > max)
            goto too_big;
        if (!full)
            break;
    }
    buf[used] = '\0';
    *bufp = buf;
    *lenp = used;
    return (0);

too_big:
    (void)status_set(
      status, STATUS_CORRUPT, "file-too-big", "%s is larger than %zu bytes", path, max);
err:
    free(buf);
    return ((int)status->status_class);
}

int
file_read(int dirfd, const char *path, size_t max, bool nofollow, bool *foundp, uint8_t **bufp,
  size_t *lenp, STATUS *status)
{
    int fd;

    *bufp = NULL;
    *lenp = 0;
    if (max > SIZE_MAX / 4)
        max = SIZE_MAX / 4;
    if (file_open_read(dirfd, path, nofollow, foundp, &fd, status) != 0)
        return ((int)status->status_class);
    if (fd == -1)
        return (0);
    if (read_all(fd, path, max, bufp, lenp, status) != 0) {
        close_fd(&fd);
        return ((int)status->status_class);
    }
    close_fd(&fd);
    return (0);
}

bool
file_write_at(int fd, const void *data, size_t len, uint64_t offset)
{
    size_t done;
    ssize_t n;

    for (done = 0; done < len; done += (size_t)n) {
        n = pwrite(fd, (const uint8_t *)data + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            n = 0;
        else if (n < 0)
            return (false);
    }
    return (true);
}

DIR *
file_list(int dirfd)
{
    DIR *dir;
    int error, fd;

    RETRY(fd, openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd == -1)
        return (NULL);
    if ((dir = fdopendir(fd)) == NULL) {
        error = errno;
        (void)close(fd);
        errno = error;
    }
    return (dir);
}

int
file_check_secret(int fd, const char *path, STATUS *status)
{
    struct stat sb;
    uid_t self = geteuid();
    mode_t too_wide;

    if (fstat(fd, &sb) == -1)
        return (
          status_set(status, STATUS_CONFIG, "file-secret", "cannot stat the secret file %s", path));
    if (!S_ISREG(sb.st_mode))
        return (status_set(
          status, STATUS_CONFIG, "file-secret", "the secret file %s is not a regular file", path));
    if (sb.st_uid != self && sb.st_uid != 0) {
        (void)status_set(status, STATUS_CONFIG, "file-secret-owner",
          "the secret file %s is owned by user id %ju, not by user id %ju that reads it", path,
          (uintmax_t)sb.st_uid, (uintmax_t)self);
        return (status_hint(status, "give it to the database's user, or to root with mode 0640"));
    }
    /* Root's file may be read by a group: that is how a service gets a secret it cannot replace. */
    too_wide = sb.st_uid == 0 ? S_IWGRP | S_IXGRP | S_IRWXO : S_IRWXG | S_IRWXO;
    if ((sb.st_mode & too_wide) != 0) {
        (void)status_set(status, STATUS_CONFIG, "file-secret-mode",
          "the secret file %s has mode %04o, at most %s is allowed", path,
          (unsigned)(sb.st_mode & 07777), sb.st_uid == 0 ? "0640" : "0600");
        return (status_hint(status, "chmod %s %s", sb.st_uid == 0 ? "0640" : "0600", path));
    }
    return (0);
}

/* A name of one part, with room for the suffixes that we put behind it. */
static int
check_name(const char *name, STATUS *status)
{
    int error = 0;

    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        error = EINVAL;
    else if (strlen(name) > NAME_MAX - strlen(".prev.new"))
        error = ENAMETOOLONG;
    if (error == 0)
        return (0);
    return (status_set_errno(status, error, "file-name", "cannot write a file named \"%s\"", name));
}

/*
 * Learn what the new file is to look like. *old_fdp is -1 when there is no old file.
 */
static int
learn_likeness(
  int dirfd, const char *name, mode_t mode, FILE_LIKENESS *like, int *old_fdp, STATUS *status)
{
    struct stat sb;
    ssize_t label_len;
    bool found;

    memset(like, 0, sizeof(*like));
    if (file_open_read(dirfd, name, true, &found, old_fdp, status) != 0)
        return (status_add(status, "so it is not replaced"));
    if (fstat(found ? *old_fdp : dirfd, &sb) == -1)
        return (status_set_errno(status, errno, "file-stat", "cannot stat %s", name));
    like->replaces = found;
    like->uid = sb.st_uid;
    like->gid = sb.st_gid;
    like->mode = found ? sb.st_mode & 0777 : mode;
    if (!found)
        return (0);
    label_len = fgetxattr(*old_fdp, SELINUX_XATTR, like->label, sizeof(like->label));
    if (label_len > 0)
        like->label_len = (size_t)label_len;
    else if (label_len == -1 && errno != ENODATA && errno != ENOTSUP)
        return (status_set_errno(
          status, errno, "file-label", "cannot read the SELinux label of %s", name));
    return (0);
}

/*
 * Owner before mode, since a change of owner clears mode bits. Only root can give a file away: run
 * by root for another user's home, a file of root's would lock that user out of it.
 */
static int
put_owner_and_mode(int fd, const char *name, const FILE_LIKENESS *like, STATUS *status)
{
    struct stat sb;
    mode_t mode = like->mode;

    if (fstat(fd, &sb) == -1)
        return (status_set_errno(status, errno, "file-stat", "cannot stat %s", name));
    if (geteuid() == 0 && (sb.st_uid != like->uid || sb.st_gid != like->gid)) {
        if (fchown(fd, like->uid, like->gid) == -1) {
            (void)status_set_errno(status, errno, "file-owner",
              "cannot give %s to user id %ju and group id %ju", name, (uintmax_t)like->uid,
              (uintmax_t)like->gid);
            return (status_hint(status, "run the command as that user"));
        }
    } else if (like->replaces && sb.st_gid != like->gid && fchown(fd, (uid_t)-1, like->gid) == -1)
        mode &= ~(mode_t)S_IRWXG; /* else it would be open to a group that nobody named */
    if ((sb.st_mode & 07777) != mode && fchmod(fd, mode) == -1)
        return (status_set_errno(status, errno, "file-mode", "cannot set the mode of %s", name));
    return (0);
}

static int
put_label(int fd, const char *name, const FILE_LIKENESS *like, STATUS *status)
{
    char have[SELINUX_LABEL_MAX];
    ssize_t len;
    int error;

    if (like->label_len == 0)
        return (0);
    len = fgetxattr(fd, SELINUX_XATTR, have, sizeof(have));
    if (len >= 0 && (size_t)len == like->label_len &&
        memcmp(have, like->label, like->label_len) == 0)
        return (0);
    if (fsetxattr(fd, SELINUX_XATTR, like->label, like->label_len, 0) == 0)
        return (0);
    error = errno;
    /* A label left behind by another system means nothing where SELinux is off. */
    if (access("/sys/fs/selinux/enforce", F_OK) == -1)
        return (0);
    return (
      status_set_errno(status, error, "file-label", "cannot keep the SELinux label of %s", name));
}

static int
write_all(int fd, const char *name, const void *data, size_t len, STATUS *status)
{
    const char *p = data;
    ssize_t put;

    while (len > 0) {
        RETRY(put, write(fd, p, len));
        if (put <= 0)
            return (status_set_errno(
              status, put == 0 ? EIO : errno, "file-write", "cannot write %s", name));
        p += put;
        len -= (size_t)put;
    }
    return (0);
}

/* Create a file that does not exist, durable but for its name, or leave none. */
static int
create_file(int dirfd, const char *name, const void *data, size_t len, const FILE_LIKENESS *like,
  STATUS *status)
{
    int fd, ret;

    RETRY(fd, openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (fd == -1)
        return (status_set_errno(status, errno, "file-create", "cannot create %s", name));
    if (put_owner_and_mode(fd, name, like, status) != 0 || put_label(fd, name, like, status) != 0 ||
        write_all(fd, name, data, len, status) != 0)
        goto err;
    RETRY(ret, fsync(fd));
    if (ret == -1) {
        (void)status_set_errno(status, errno, "file-sync", "cannot make %s durable", name);
        goto err;
    }
    ret = close(fd);
    fd = -1;
    if (ret == -1 && errno != EINTR) {
        (void)status_set_errno(status, errno, "file-close", "cannot close %s", name);
        goto err;
    }
    return (0);

err:
    close_fd(&fd);
    (void)unlinkat(dirfd, name, 0);
    return ((int)status->status_class);
}

/* The same under a name that is ours: a stale file of that name is what an earlier crash left. */
static int
make_file(int dirfd, const char *name, const void *data, size_t len, const FILE_LIKENESS *like,
  STATUS *status)
{
    if (unlinkat(dirfd, name, 0) == -1 && errno != ENOENT)
        return (status_set_errno(status, errno, "file-stale", "cannot remove the stale %s", name));
    return (create_file(dirfd, name, data, len, like, status));
}

static int
sync_dir(int dirfd, const char *name, STATUS *status)
{
    int ret;

    RETRY(ret, fsync(dirfd));
    /* EINVAL: a file system whose directories cannot be synced at all; nothing more can be done. */
    if (ret == -1 && errno != EINVAL)
        return (status_set_errno(
          status, errno, "file-sync-dir", "%s was written, but its name is not durable", name));
    return (0);
}

/*
 * Make name.prev the old file: under a name of its own first, since linkat does not replace. A copy
 * where there are no hard links, or where the kernel refuses one to a file that is another user's
 * (fs.protected_hardlinks).
 */
static int
keep_previous(int dirfd, const char *name, int old_fd, const FILE_LIKENESS *like, STATUS *status)
{
    uint8_t *data = NULL;
    size_t len;
    int ret;
    char prev[PART_SIZE], prev_new[PART_SIZE];

    (void)snprintf(prev, sizeof(prev), "%s.prev", name);
    (void)snprintf(prev_new, sizeof(prev_new), "%s.prev.new", name);
    if (unlinkat(dirfd, prev_new, 0) == -1 && errno != ENOENT)
        return (
          status_set_errno(status, errno, "file-stale", "cannot remove the stale %s", prev_new));
    if (linkat(dirfd, name, dirfd, prev_new, 0) == -1) {
        if (read_all(old_fd, name, SIZE_MAX / 4, &data, &len, status) != 0)
            return ((int)status->status_class);
        ret = make_file(dirfd, prev_new, data, len, like, status);
        free(data);
        if (ret != 0)
            return (ret);
    }
    if (renameat(dirfd, prev_new, dirfd, prev) == -1) {
        (void)status_set_errno(
          status, errno, "file-prev", "cannot keep the old %s as %s", name, prev);
        (void)unlinkat(dirfd, prev_new, 0);
        return ((int)status->status_class);
    }
    /* Where both are links to one file (a crash came between the renames), rename does nothing. */
    (void)unlinkat(dirfd, prev_new, 0);
    return (0);
}

int
file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode, bool keep_prev,
  STATUS *status)
{
    FILE_LIKENESS like;
    int old_fd = -1;
    char new_name[PART_SIZE];

    if (check_name(name, status) != 0)
        return ((int)status->status_class);
    if (learn_likeness(dirfd, name, mode, &like, &old_fd, status) != 0)
        goto err;
    (void)snprintf(new_name, sizeof(new_name), "%s.new", name);
    if (make_file(dirfd, new_name, data, len, &like, status) != 0)
        goto err;
    if (keep_prev && old_fd != -1 && keep_previous(dirfd, name, old_fd, &like, status) != 0) {
        (void)unlinkat(dirfd, new_name, 0);
        goto err;
    }
    if (renameat(dirfd, new_name, dirfd, name) == -1) {
        (void)status_set_errno(
          status, errno, "file-rename", "cannot rename %s to %s", new_name, name);
        (void)unlinkat(dirfd, new_name, 0);
        goto err;
    }
    if (sync_dir(dirfd, name, status) != 0)
        goto err;
    close_fd(&old_fd);
    return (0);

err:
    close_fd(&old_fd);
    return ((int)status->status_class);
}

int
file_create(int dirfd, const char *name, const void *data, size_t len, mode_t mode, STATUS *status)
{
    FILE_LIKENESS like = {.mode = mode};
    struct stat sb;

    if (check_name(name, status) != 0)
        return ((int)status->status_class);
    if (fstat(dirfd, &sb) == -1)
        return (
          status_set_errno(status, errno, "file-stat", "cannot stat the directory of %s", name));
    like.uid = sb.st_uid;
    like.gid = sb.st_gid;
    if (create_file(dirfd, name, data, len, &like, status) != 0) {
        if (status->sys_errno == EEXIST)
            return (
              status_set(status, STATUS_REFUSED, "file-exists", "%s exists and is kept", name));
        return ((int)status->status_class);
    }
    return (sync_dir(dirfd, name, status));
}

/*
 * A lock file that root made belongs to the directory's owner, or the database could not open it. It
 * is given away only in the state in which we make one (also by a call that was killed in between):
 * empty, of root's, with one link, so that nothing else can be put in its place and given away.
 */
static int
give_lock_away(int dirfd, int fd, const char *name, STATUS *status)
{
    struct stat dir_sb, sb;

    if (geteuid() != 0)
        return (0);
    if (fstat(dirfd, &dir_sb) == -1 || fstat(fd, &sb) == -1)
        return (status_set_errno(status, errno, "file-stat", "cannot stat %s", name));
    if (sb.st_uid != 0 || dir_sb.st_uid == 0 || sb.st_size != 0 || sb.st_nlink != 1)
        return (0);
    if (fchown(fd, dir_sb.st_uid, dir_sb.st_gid) == -1)
        return (status_set_errno(
          status, errno, "file-owner", "cannot give %s to the owner of its directory", name));
    return (0);
}

static int
open_lock(int dirfd, const char *name, int *fdp, STATUS *status)
{
    struct stat sb;
    int fd;

    *fdp = -1;
    RETRY(fd,
      openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600));
    if (fd == -1)
        return (status_set_errno(status, errno, "file-lock-open", "cannot open the lock %s", name));
    if (fstat(fd, &sb) == -1) {
        (void)status_set_errno(status, errno, "file-stat", "cannot stat %s", name);
        goto err;
    }
    if (!S_ISREG(sb.st_mode)) {
        (void)status_set_errno(
          status, EINVAL, "file-not-regular", "the lock %s is not a regular file", name);
        goto err;
    }
    if (give_lock_away(dirfd, fd, name, status) != 0)
        goto err;
    *fdp = fd;
    return (0);

err:
    close_fd(&fd);
    return ((int)status->status_class);
}

/* Whether the locked file is still the one of that name: somebody may have removed it meanwhile. */
static bool
is_same_file(int dirfd, const char *name, int fd)
{
    struct stat a, b;

    return (fstat(fd, &a) == 0 && fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
            a.st_dev == b.st_dev && a.st_ino == b.st_ino);
}

int
file_lock(int dirfd, const char *name, int timeout_ms, int *fdp, STATUS *status)
{
    struct timespec pause;
    int64_t end = clock_ms() + (timeout_ms > 0 ? timeout_ms : 0);
    long pause_ms = 1;
    int fd = -1, ret;

    *fdp = -1;
    if (check_name(name, status) != 0)
        return ((int)status->status_class);
    for (;;) {
        if (fd == -1 && open_lock(dirfd, name, &fd, status) != 0)
            return ((int)status->status_class);
        RETRY(ret, flock(fd, LOCK_EX | LOCK_NB));
        if (ret == 0 && is_same_file(dirfd, name, fd)) {
            *fdp = fd;
            return (0);
        }
        if (ret == 0)
            close_fd(&fd);
        else if (errno != EWOULDBLOCK) {
            (void)status_set_errno(status, errno, "file-lock", "cannot lock %s", name);
            break;
        }
        if (clock_ms() >= end) {
            (void)status_set(
              status, STATUS_BUSY, "file-lock-busy", "another process holds the lock %s", name);
            break;
        }
        /* flock has no timeout of its own, and a host's signals are not ours to use. */
        pause.tv_sec = 0;
        pause.tv_nsec = pause_ms * 1000000;
        (void)nanosleep(&pause, NULL);
        pause_ms = pause_ms < 32 ? pause_ms * 2 : 50;
    }
    close_fd(&fd);
    return ((int)status->status_class);
}

int
file_split_path(const char *path, int *dirfdp, const char **namep, STATUS *status)
{
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    char *dir;
    int ret;

    *dirfdp = -1;
    *namep = NULL;
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return (
          status_set(status, STATUS_CONFIG, "file-path", "\"%s\" does not name a file", path));
    if (slash == NULL)
        dir = strdup(".");
    else
        dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    if (dir == NULL)
        return (status_set_errno(status, ENOMEM, "file-memory", "cannot open %s", path));
    ret = file_open_dir(dir, dirfdp, status);
    free(dir);
    if (ret == 0)
        *namep = name;
    return (ret);
}
