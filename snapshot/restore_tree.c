/*
 * snapshot/restore_tree.c -- The files of a copy, walked, brought and moved. See restore.h.
 *
 * Every name counts, also two of one inode: a copy that a tool made small by hard links has as many
 * files as its home had. home_walk, which looks at content, visits an inode once.
 */
#include "snapshot/restore.h"

#include "common/file.h"
#include "datafile/home.h"

#include <bson/bson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    dev_t device;
    ino_t inode;
} DIRECTORY;

typedef struct walk WALK;
struct walk {
    const char *name; /* of the copy */
    char top[PATH_MAX];
    dev_t home_device; /* of the directory that files are brought to: no part of the copy */
    ino_t home_inode;
    bool has_home;
    DIRECTORY above[RESTORE_DEPTH_MAX + 1];
    RESTORE_COUNT *count;
    int (*file)(WALK *walk, int dir_fd, const char *name, const char *path, int fd,
      const struct stat *sb, STATUS *status);
    int home_fd;
    const RESTORE_HOW *how;
    uint8_t *buffers; /* to compare */
};

#define COMPARE_SIZE ((size_t)256 * 1024)

/* --- walking */

/* The path that a descriptor has, links resolved. */
static bool
path_of(int fd, char buf[PATH_MAX])
{
    char link[64];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    if ((n = readlink(link, buf, PATH_MAX - 1)) <= 0)
        return (false);
    buf[n] = '\0';
    return (true);
}

/*
 * What a link leads to must be in the copy: elsewhere is a live home perhaps, or a file that the
 * database's user was never meant to see.
 */
static int
check_inside(const WALK *walk, int fd, const char *path, STATUS *status)
{
    char found[PATH_MAX];
    size_t len = strlen(walk->top);

    if (path_of(fd, found) && strncmp(found, walk->top, len) == 0 &&
        (found[len] == '/' || found[len] == '\0' || walk->top[len - 1] == '/'))
        return (0);
    (void)status_set(status, STATUS_REFUSED, "restore-link",
      "%s/%s is a link that leads out of the copy", walk->name, path);
    return (
      status_hint(status, "make the copy whole first, with what the link leads to in its place"));
}

static int
unreadable(const WALK *walk, const char *path, STATUS *status)
{
    return (status_set_errno(status, errno, "restore-read", "%s/%s", walk->name, path));
}

static int walk_dir(
  WALK *walk, int dir_fd, const char *below, unsigned depth, STATUS *status) WTKMS_CHECKED;

static int
visit_dir(
  WALK *walk, int fd, const char *path, const struct stat *sb, unsigned depth, STATUS *status)
{
    unsigned i;

    /* A link to a directory above, or the destination. */
    for (i = 0; i <= depth; i++)
        if (walk->above[i].device == sb->st_dev && walk->above[i].inode == sb->st_ino)
            return (0);
    if (walk->has_home && walk->home_device == sb->st_dev && walk->home_inode == sb->st_ino)
        return (status_set(status, STATUS_REFUSED, "restore-inside",
          "the directory to restore to is inside the copy, at %s", path));
    if (depth == RESTORE_DEPTH_MAX)
        return (status_set(status, STATUS_REFUSED, "restore-depth",
          "directories are nested more than %d deep at %s/%s", RESTORE_DEPTH_MAX, walk->name,
          path));
    return (walk_dir(walk, fd, path, depth + 1, status));
}

static int
visit_file(WALK *walk, int dir_fd, const char *name, const char *path, int fd,
  const struct stat *sb, STATUS *status)
{
    char *target;

    if (strcmp(path, HOME_REENCRYPT_JOURNAL) == 0) {
        (void)status_set(status, STATUS_REFUSED, "restore-reencrypting",
          "%s was copied in the middle of a re-encryption: %s is there", walk->name, path);
        return (status_hint(
          status, "\"wtkms reencrypt --finish\" on a writable copy of it brings it in order"));
    }
    if (strcmp(path, MANIFEST_UNFINISHED_FILE) == 0)
        return (status_set(status, STATUS_REFUSED, "restore-unfinished-copy",
          "%s is no whole copy: %s is there", walk->name, path));
    if ((target = restore_target(path)) == NULL)
        return (0);
    bson_free(target);
    walk->count->files++;
    walk->count->bytes += (uint64_t)sb->st_size;
    return (walk->file == NULL ? 0 : walk->file(walk, dir_fd, name, path, fd, sb, status));
}

static int
visit(WALK *walk, int dir_fd, const char *name, const char *path, unsigned depth, STATUS *status)
{
    struct stat link_sb, sb;
    int fd, ret = 0;

    if (fstatat(dir_fd, name, &link_sb, AT_SYMLINK_NOFOLLOW) != 0)
        return (unreadable(walk, path, status));
    if (fstatat(dir_fd, name, &sb, 0) != 0) {
        if (!S_ISLNK(link_sb.st_mode))
            return (unreadable(walk, path, status));
        return (status_set(status, STATUS_REFUSED, "restore-link",
          "%s/%s is a link that leads nowhere: a part of the copy is missing", walk->name, path));
    }
    /* Sockets and pipes hold nothing. */
    if (!S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode))
        return (0);
    if (depth == 0 && strcmp(name, "lost+found") == 0)
        return (0);
    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &sb) != 0) {
        ret = unreadable(walk, path, status);
        goto err;
    }
    if (S_ISLNK(link_sb.st_mode) && (ret = check_inside(walk, fd, path, status)) != 0)
        goto err;
    if (S_ISDIR(sb.st_mode))
        ret = visit_dir(walk, fd, path, &sb, depth, status);
    else if (S_ISREG(sb.st_mode))
        ret = visit_file(walk, dir_fd, name, path, fd, &sb, status);

err:
    if (fd >= 0)
        (void)close(fd);
    return (ret);
}

static int
walk_dir(WALK *walk, int dir_fd, const char *below, unsigned depth, STATUS *status)
{
    struct dirent *entry;
    struct stat sb;
    DIR *dir;
    char *path;
    int ret = 0;

    if (fstat(dir_fd, &sb) != 0 || (dir = file_list(dir_fd)) == NULL)
        return (unreadable(walk, below, status));
    walk->above[depth].device = sb.st_dev;
    walk->above[depth].inode = sb.st_ino;
    for (;;) {
        errno = 0;
        if ((entry = readdir(dir)) == NULL) {
            if (errno != 0)
                ret = unreadable(walk, below, status);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        path = bson_strdup_printf("%s%s%s", below, below[0] == '\0' ? "" : "/", entry->d_name);
        ret = visit(walk, dir_fd, entry->d_name, path, depth, status);
        bson_free(path);
        if (ret != 0)
            break;
    }
    (void)closedir(dir);
    return (ret);
}

static int
walk_all(WALK *walk, int from_fd, STATUS *status)
{
    struct stat sb;
    int ret;

    memset(walk->count, 0, sizeof(*walk->count));
    if (!path_of(from_fd, walk->top))
        return (status_set_errno(status, errno, "restore-read", "%s", walk->name));
    if (walk->how != NULL) {
        if (fstat(walk->home_fd, &sb) != 0)
            return (status_set_errno(status, errno, "restore-read", "the directory to restore to"));
        walk->has_home = true;
        walk->home_device = sb.st_dev;
        walk->home_inode = sb.st_ino;
        if (fstat(from_fd, &sb) == 0 && sb.st_dev == walk->home_device &&
            sb.st_ino == walk->home_inode)
            return (status_set(
              status, STATUS_REFUSED, "restore-inside", "%s is the copy itself", walk->name));
    }
    ret = walk_dir(walk, from_fd, "", 0, status);
    bson_free(walk->buffers);
    return (ret);
}

int
restore_measure(int from_fd, const char *from_name, RESTORE_COUNT *count, STATUS *status)
{
    WALK walk;

    memset(&walk, 0, sizeof(walk));
    walk.name = from_name;
    walk.count = count;
    return (walk_all(&walk, from_fd, status));
}

/* --- bringing */

static size_t
read_some(int fd, uint8_t *buf, uint64_t offset)
{
    size_t done;
    ssize_t n;

    for (done = 0; done < COMPARE_SIZE; done += (size_t)n) {
        n = pread(fd, buf + done, COMPARE_SIZE - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            n = 0;
        else if (n <= 0)
            break;
    }
    return (done);
}

/* Whether what an interrupted run left is the file, byte for byte. */
static bool
is_same(WALK *walk, int from, int to, uint64_t size)
{
    struct stat sb;
    uint64_t offset;
    size_t n;

    if (fstat(to, &sb) != 0 || !S_ISREG(sb.st_mode) || (uint64_t)sb.st_size != size)
        return (false);
    if (walk->buffers == NULL)
        walk->buffers = bson_malloc(2 * COMPARE_SIZE);
    for (offset = 0; offset < size; offset += n) {
        n = read_some(from, walk->buffers, offset);
        if (n == 0 || read_some(to, walk->buffers + COMPARE_SIZE, offset) != n ||
            memcmp(walk->buffers, walk->buffers + COMPARE_SIZE, n) != 0)
            return (false);
    }
    return (true);
}

/* The group and others may read what they could read there, never more. */
static mode_t
mode_of(const struct stat *sb)
{
    return (0600 | (sb->st_mode & 0044));
}

/* The file that is there, or -1. Its directories may not be there either. */
static int
open_present(int home_fd, const char *target, int *dir_fdp, const char **namep)
{
    STATUS ignored;

    if (file_copy_open_parent(home_fd, target, dir_fdp, namep, &ignored) != 0) {
        *dir_fdp = -1;
        return (-1);
    }
    return (openat(*dir_fdp, *namep, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
}

static int
bring_file(WALK *walk, const char *target, int from, const struct stat *sb, STATUS *status)
{
    FILE_COPY_RESULT result;
    const char *name;
    int dir_fd, fd, ret = 0;

    if ((fd = open_present(walk->home_fd, target, &dir_fd, &name)) >= 0 &&
        is_same(walk, from, fd, (uint64_t)sb->st_size)) {
        walk->count->kept++;
        if (fsync(fd) != 0)
            ret = status_set_errno(status, errno, "restore-sync", "%s", target);
        goto err;
    }
    if (fd >= 0)
        (void)close(fd);
    fd = -1;
    if (dir_fd >= 0 && unlinkat(dir_fd, name, 0) != 0 && errno != ENOENT) {
        ret = status_set_errno(status, errno, "restore-remove", "%s", target);
        goto err;
    }
    if ((ret = file_copy_create(walk->home_fd, target, mode_of(sb), &fd, status)) != 0 ||
        (ret = file_copy(walk->how->copier, from, fd, target, &result, status)) != 0)
        goto err;
    if (fchmod(fd, mode_of(sb)) != 0 || fsync(fd) != 0)
        ret = status_set_errno(status, errno, "restore-sync", "%s", target);

err:
    if (fd >= 0)
        (void)close(fd);
    if (dir_fd >= 0)
        (void)close(dir_fd);
    return (ret);
}

static int
bring(WALK *walk, int dir_fd, const char *name, const char *path, int fd, const struct stat *sb,
  STATUS *status)
{
    const RESTORE_HOW *how = walk->how;
    STATUS back;
    char *target = restore_target(path);
    int back_ret, ret;

    (void)dir_fd;
    (void)name;
    if (how->as_owner != NULL && (ret = how->as_owner(how->context, status)) != 0)
        goto err;
    ret = bring_file(walk, target, fd, sb, status);
    if (how->as_reader != NULL && (back_ret = how->as_reader(how->context, &back)) != 0 &&
        ret == 0) {
        *status = back;
        ret = back_ret;
    }

err:
    bson_free(target);
    return (ret);
}

int
restore_tree(int from_fd, const char *from_name, int home_fd, const RESTORE_HOW *how,
  RESTORE_COUNT *count, STATUS *status)
{
    WALK walk;
    STATUS back;
    int back_ret, ret;

    memset(&walk, 0, sizeof(walk));
    walk.name = from_name;
    walk.count = count;
    walk.file = bring;
    walk.home_fd = home_fd;
    walk.how = how;
    if (how->as_reader != NULL && (ret = how->as_reader(how->context, status)) != 0)
        return (ret);
    ret = walk_all(&walk, from_fd, status);
    if (how->as_owner != NULL && (back_ret = how->as_owner(how->context, &back)) != 0 && ret == 0) {
        *status = back;
        ret = back_ret;
    }
    return (ret == 0 ? file_copy_sync_tree(home_fd, status) : ret);
}

/* --- moving */

static int
make_parents(int home_fd, const char *path, int *dir_fdp, const char **namep, STATUS *status)
{
    char *part = bson_strdup(path), *slash;
    int ret = 0;

    for (slash = part; ret == 0 && (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        /* A link in the way is found when the whole is opened. */
        if (mkdirat(home_fd, part, 0700) != 0 && errno != EEXIST)
            ret = status_set_errno(status, errno, "restore-place", "making %s", part);
    }
    bson_free(part);
    return (ret == 0 ? file_copy_open_parent(home_fd, path, dir_fdp, namep, status) : ret);
}

static int
move(WALK *walk, int dir_fd, const char *name, const char *path, int fd, const struct stat *sb,
  STATUS *status)
{
    const char *to_name;
    char *target = restore_target(path);
    int to_fd = -1, ret;

    (void)sb;
    (void)fd;
    if ((ret = make_parents(walk->home_fd, target, &to_fd, &to_name, status)) == 0 &&
        renameat(dir_fd, name, to_fd, to_name) != 0)
        ret = status_set_errno(status, errno, "restore-place", "moving %s to its place", path);
    if (to_fd >= 0)
        (void)close(to_fd);
    bson_free(target);
    return (ret);
}

int
restore_move(int from_fd, int home_fd, const RESTORE_HOW *how, RESTORE_COUNT *count, STATUS *status)
{
    WALK walk;
    int ret;

    memset(&walk, 0, sizeof(walk));
    walk.name = "the archive";
    walk.count = count;
    walk.file = move;
    walk.home_fd = home_fd;
    walk.how = how;
    ret = walk_all(&walk, from_fd, status);
    return (ret == 0 ? file_copy_sync_tree(home_fd, status) : ret);
}
