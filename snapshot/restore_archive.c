/*
 * snapshot/restore_archive.c -- A copy in a tar archive or stream. See restore.h.
 *
 * libarchive reads and never writes: its own extraction, also with its flags against links and "..",
 * works on paths, and here every directory is opened by a descriptor that follows no link. Names in
 * the archive are checked before that, and one that leads out ends the restore: nobody's backup has one.
 */
#include "snapshot/restore.h"

#include "common/file.h"
#include "keystore/keyring.h"
#include "keystore/mirror.h"
#include "snapshot/archive_open.h"

#include <archive.h>
#include <archive_entry.h>
#include <bson/bson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMBERS_MAX (4u * 1024 * 1024)
#define ROOT_DEPTH_MAX 8

/* --- reading an archive */

static int
corrupt(struct archive *archive, const char *name, STATUS *status)
{
    const char *text = archive_error_string(archive);

    (void)status_set(status, STATUS_CORRUPT, "restore-archive", "%s cannot be read: %s", name,
      text == NULL ? "unknown" : text);
    return (
      status_hint(status, "tar archives are read, plain or with gzip, zstd, xz, bzip2 or lz4"));
}

/* The caller calls archive_read_free also after an error. */
static int
open_archive(int fd, const char *name, struct archive **archivep, STATUS *status)
{
    int ret = archive_open(fd, archivep, status);

    return (ret != 0 && *archivep != NULL ? corrupt(*archivep, name, status) : ret);
}

/* The next member; *entryp NULL at the end. */
static int
next_member(
  struct archive *archive, const char *name, struct archive_entry **entryp, STATUS *status)
{
    int got;

    do
        got = archive_read_next_header(archive, entryp);
    while (got == ARCHIVE_RETRY);
    if (got == ARCHIVE_EOF) {
        *entryp = NULL;
        return (0);
    }
    return (got < ARCHIVE_WARN ? corrupt(archive, name, status) : 0);
}

/* --- names in it */

static const char *
strip(const char *path)
{
    while (path[0] == '.' && path[1] == '/')
        for (path += 2; *path == '/';)
            path++;
    return (path);
}

static int
check_name(const char *name, const char *path, STATUS *status)
{
    if (path != NULL &&
        (strcmp(path, MANIFEST_FILE) == 0 || manifest_path_is_safe(path, strlen(path))))
        return (0);
    (void)status_set(status, STATUS_REFUSED, "restore-member",
      "%s has a member that would not stay in the directory, or has no usable name: %.200s", name,
      path == NULL ? "(none)" : path);
    return (status_hint(status, "no backup has such a name: find out who made this archive"));
}

/*
 * What a member is to us: *pathp NULL: it brings no file. Directories are made when a file is in them.
 */
static int
judge_member(const char *name, struct archive_entry *entry, const char **pathp, STATUS *status)
{
    const char *path = archive_entry_pathname(entry);
    int ret;

    *pathp = NULL;
    if (archive_entry_hardlink(entry) == NULL && archive_entry_filetype(entry) == AE_IFDIR)
        return (0);
    if (path != NULL)
        path = strip(path);
    if ((ret = check_name(name, path, status)) != 0)
        return (ret);
    if (archive_entry_hardlink(entry) != NULL)
        ret = check_name(name, strip(archive_entry_hardlink(entry)), status);
    else if (archive_entry_filetype(entry) == AE_IFLNK) {
        ret = status_set(
          status, STATUS_REFUSED, "restore-member", "%s has a symbolic link: %.200s", name, path);
        (void)status_hint(status, "pack it with what the links lead to: tar --dereference");
    } else if (archive_entry_filetype(entry) != AE_IFREG)
        return (0);
    if (ret == 0)
        *pathp = path;
    return (ret);
}

/* --- looking for the keys */

static size_t
depth_of(const char *path)
{
    size_t depth = 0;

    for (; *path != '\0'; path++)
        depth += *path == '/';
    return (depth);
}

/* Keep the content of the topmost file of a name. */
static int
keep_content(struct archive *archive, const char *name, size_t max, uint8_t **datap, size_t *lenp,
  STATUS *status)
{
    uint8_t *data = bson_malloc(max + 1);
    size_t len = 0;
    la_ssize_t n;

    while (len <= max && (n = archive_read_data(archive, data + len, max + 1 - len)) != 0) {
        if (n == ARCHIVE_RETRY || n == ARCHIVE_WARN)
            continue;
        if (n < 0) {
            bson_free(data);
            return (corrupt(archive, name, status));
        }
        len += (size_t)n;
    }
    /* What is too large is none of ours: it will be told when it is opened. */
    bson_free(*datap);
    *datap = data;
    *lenp = len;
    return (0);
}

int
restore_peek(int fd, const char *name, RESTORE_PEEK *peek, STATUS *status)
{
    struct archive *archive = NULL;
    struct archive_entry *entry;
    const char *base, *path;
    size_t depth, config_depth = SIZE_MAX, keystore_depth = SIZE_MAX;
    int ret;

    memset(peek, 0, sizeof(*peek));
    if ((ret = open_archive(fd, name, &archive, status)) != 0)
        goto err;
    while ((ret = next_member(archive, name, &entry, status)) == 0 && entry != NULL) {
        if ((ret = judge_member(name, entry, &path, status)) != 0)
            break;
        if (path == NULL || archive_entry_hardlink(entry) != NULL)
            continue;
        if (++peek->count.files > MEMBERS_MAX) {
            ret = status_set(status, STATUS_REFUSED, "restore-too-many",
              "%s has more than %u members", name, MEMBERS_MAX);
            break;
        }
        peek->count.bytes +=
          archive_entry_size(entry) < 0 ? 0 : (uint64_t)archive_entry_size(entry);
        base = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
        depth = depth_of(path);
        if (strcmp(base, KEYRING_FILE) == 0 && depth < keystore_depth) {
            ret = keep_content(
              archive, name, KEYSTORE_MAX_BYTES, &peek->keystore, &peek->keystore_len, status);
            keystore_depth = depth;
        } else if (strcmp(base, MIRROR_FILE) == 0 && depth < config_depth) {
            ret = keep_content(
              archive, name, MIRROR_MAX_BYTES, &peek->config, &peek->config_len, status);
            config_depth = depth;
        }
        if (ret != 0)
            break;
    }

err:
    (void)archive_read_free(archive);
    if (ret == 0 && lseek(fd, 0, SEEK_SET) < 0)
        ret =
          status_set_errno(status, errno, "restore-read", "going back to the start of %s", name);
    return (ret);
}

void
restore_peek_release(RESTORE_PEEK *peek)
{
    bson_free(peek->keystore);
    bson_free(peek->config);
    memset(peek, 0, sizeof(*peek));
}

/* --- unpacking */

typedef struct {
    const char *name;
    int dir_fd; /* of what is unpacked */
    const RESTORE_HOW *how;
    struct archive *archive;
} UNPACK;

/* In tar the last of two members of one name counts. */
static int
make_file(UNPACK *unpack, const char *path, mode_t mode, int *fdp, STATUS *status)
{
    const char *name;
    int dir_fd, ret;

    if ((ret = file_copy_create(unpack->dir_fd, path, mode, fdp, status)) != STATUS_IO ||
        status->sys_errno != EEXIST)
        return (ret);
    if ((ret = file_copy_open_parent(unpack->dir_fd, path, &dir_fd, &name, status)) != 0)
        return (ret);
    if (unlinkat(dir_fd, name, 0) != 0)
        ret = status_set_errno(status, errno, "restore-remove", "%s", path);
    (void)close(dir_fd);
    return (ret == 0 ? file_copy_create(unpack->dir_fd, path, mode, fdp, status) : ret);
}

static int
write_content(UNPACK *unpack, int fd, const char *path, int64_t size, STATUS *status)
{
    const void *data;
    int64_t offset, end = 0;
    size_t len;
    int got;

    for (;;) {
        got = archive_read_data_block(unpack->archive, &data, &len, &offset);
        if (got == ARCHIVE_EOF)
            break;
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN)
            return (corrupt(unpack->archive, unpack->name, status));
        if (offset < 0 || (uint64_t)offset > INT64_MAX - len)
            return (status_set(status, STATUS_CORRUPT, "restore-archive",
              "%s: the offsets of %s are impossible", unpack->name, path));
        if (!file_write_at(fd, data, len, (uint64_t)offset))
            return (status_set_errno(status, errno, "restore-write", "writing %s", path));
        end = offset + (int64_t)len;
    }
    /* A hole at the end is in the size alone. */
    if (size > end && ftruncate(fd, (off_t)size) != 0)
        return (status_set_errno(status, errno, "restore-write", "writing %s", path));
    return (0);
}

/* Two names of one inode would be one file to an engine that writes to both. */
static int
copy_link(UNPACK *unpack, int fd, const char *link, STATUS *status)
{
    FILE_COPY_RESULT result;
    const char *name;
    int dir_fd, from, ret;

    if ((ret = file_copy_open_parent(unpack->dir_fd, link, &dir_fd, &name, status)) != 0)
        return (ret);
    from = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (from < 0)
        ret =
          status_set_errno(status, errno, "restore-read", "%s, which another is a link to", link);
    else
        ret = file_copy(unpack->how->copier, from, fd, link, &result, status);
    if (from >= 0)
        (void)close(from);
    (void)close(dir_fd);
    return (ret);
}

static int
unpack_member(UNPACK *unpack, struct archive_entry *entry, STATUS *status)
{
    const char *link, *path;
    mode_t mode;
    int fd = -1, ret;

    if ((ret = judge_member(unpack->name, entry, &path, status)) != 0 || path == NULL)
        return (ret);
    mode = 0600 | (archive_entry_perm(entry) & 0044);
    link = archive_entry_hardlink(entry);
    if (link != NULL && strcmp(strip(link), path) == 0)
        return (0);
    if ((ret = make_file(unpack, path, mode, &fd, status)) != 0)
        return (ret);
    ret = link != NULL ? copy_link(unpack, fd, strip(link), status)
                       : write_content(unpack, fd, path, archive_entry_size(entry), status);
    if (ret == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        ret = status_set_errno(status, errno, "restore-sync", "%s", path);
    (void)close(fd);
    return (ret);
}

static int
unpack_all(UNPACK *unpack, int fd, STATUS *status)
{
    struct archive_entry *entry;
    uint64_t members = 0;
    int ret;

    if ((ret = open_archive(fd, unpack->name, &unpack->archive, status)) != 0)
        return (ret);
    while (
      (ret = next_member(unpack->archive, unpack->name, &entry, status)) == 0 && entry != NULL) {
        if (++members > MEMBERS_MAX)
            return (status_set(status, STATUS_REFUSED, "restore-too-many",
              "%s has more than %u members", unpack->name, MEMBERS_MAX));
        if ((ret = unpack_member(unpack, entry, status)) != 0)
            return (ret);
    }
    return (ret);
}

/* The directory of the one copy below; -1 when there is none. */
static int
find_root(int fd, unsigned depth, int *rootp, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;
    int below, ret = 0;

    if (restore_is_root(fd)) {
        if (*rootp >= 0) {
            (void)status_set(
              status, STATUS_REFUSED, "restore-several", "the archive has more than one copy");
            return (status_hint(status, "unpack it and restore one of its directories"));
        }
        if ((*rootp = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
            return (status_set_errno(status, errno, "restore-read", "the unpacked copy"));
        return (0);
    }
    if (depth > ROOT_DEPTH_MAX)
        return (0);
    if ((dir = file_list(fd)) == NULL)
        return (status_set_errno(status, errno, "restore-read", "the unpacked copy"));
    while (ret == 0 && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0)
            continue;
        ret = find_root(below, depth + 1, rootp, status);
        (void)close(below);
    }
    (void)closedir(dir);
    return (ret);
}

int
restore_unpack(int fd, const char *name, int home_fd, const RESTORE_HOW *how, RESTORE_COUNT *count,
  STATUS *status)
{
    UNPACK unpack = {name, -1, how, NULL};
    int ret, root = -1;

    if ((ret = restore_remove_tree(home_fd, RESTORE_UNPACKED, status)) != 0)
        return (ret);
    if (mkdirat(home_fd, RESTORE_UNPACKED, 0700) != 0 ||
        (unpack.dir_fd =
            openat(home_fd, RESTORE_UNPACKED, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "restore-write", "making %s", RESTORE_UNPACKED));
    if ((ret = unpack_all(&unpack, fd, status)) != 0 ||
        (ret = find_root(unpack.dir_fd, 0, &root, status)) != 0)
        goto err;
    if (root < 0) {
        ret =
          status_set(status, STATUS_REFUSED, "restore-no-copy", "%s has no copy of a home", name);
        goto err;
    }
    if ((ret = restore_move(root, home_fd, how, count, status)) == 0)
        ret = restore_remove_tree(home_fd, RESTORE_UNPACKED, status);

err:
    (void)archive_read_free(unpack.archive);
    if (root >= 0)
        (void)close(root);
    (void)close(unpack.dir_fd);
    return (ret);
}
