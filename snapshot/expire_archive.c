/*
 * snapshot/expire_archive.c -- Copies in tar archives. See expire.h.
 */
#include "snapshot/expire.h"
#include "snapshot/archive_open.h"

#include <archive.h>
#include <archive_entry.h>
#include <bson/bson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *path;
    uint64_t size;
} MEMBER;

typedef struct {
    const char *path; /* of the archive */
    struct archive *archive;
    MEMBER *members; /* the files before the manifest */
    size_t count, room;
    MANIFEST *manifest;
} READING;

static int
damaged(const READING *reading, STATUS *status)
{
    const char *text = archive_error_string(reading->archive);

    return (expire_kept(
      status, reading->path, "it cannot be read to its end: %s", text == NULL ? "unknown" : text));
}

static void
add_member(READING *reading, const char *path, uint64_t size)
{
    if (reading->count == reading->room) {
        reading->room = reading->room == 0 ? 64 : reading->room * 2;
        reading->members =
          bson_realloc(reading->members, reading->room * sizeof(*reading->members));
    }
    reading->members[reading->count].path = bson_strdup(path);
    reading->members[reading->count++].size = size;
}

static int
read_manifest(READING *reading, struct archive_entry *entry, STATUS *status)
{
    la_int64_t size = archive_entry_size(entry);
    uint8_t *data;
    la_ssize_t n;
    size_t done;
    int ret;

    if (size < 0 || size > (la_int64_t)MANIFEST_MAX_BYTES)
        return (expire_kept(status, reading->path, "its manifest has a size that cannot be"));
    data = bson_malloc((size_t)size + 1);
    for (done = 0; done < (size_t)size; done += (size_t)n)
        if ((n = archive_read_data(reading->archive, data + done, (size_t)size - done)) <= 0) {
            bson_free(data);
            return (damaged(reading, status));
        }
    if ((ret = manifest_decode(data, done, &reading->manifest, status)) != 0)
        ret = status_add(status, "%s stays", reading->path);
    bson_free(data);
    return (ret);
}

static int
read_member(READING *reading, struct archive_entry *entry, STATUS *status)
{
    const char *path = archive_entry_pathname(entry);

    if (path == NULL || reading->manifest != NULL)
        return (expire_kept(status, reading->path,
          "there is more in it behind the manifest, or a name that cannot be read"));
    if (archive_entry_hardlink(entry) == NULL && archive_entry_filetype(entry) == AE_IFDIR)
        return (0);
    if (archive_entry_hardlink(entry) != NULL || archive_entry_filetype(entry) != AE_IFREG)
        return (expire_kept(status, reading->path, "%s in it is no file", path));
    if (strcmp(path, MANIFEST_FILE) == 0)
        return (read_manifest(reading, entry, status));
    add_member(reading, path, (uint64_t)archive_entry_size(entry));
    return (0);
}

static int
read_all(READING *reading, STATUS *status)
{
    struct archive_entry *entry;
    int got, ret;

    for (;;) {
        if ((got = archive_read_next_header(reading->archive, &entry)) == ARCHIVE_EOF)
            break;
        if (got < ARCHIVE_WARN)
            return (damaged(reading, status));
        if ((ret = read_member(reading, entry, status)) != 0)
            return (ret);
    }
    if (reading->manifest == NULL)
        return (expire_kept(status, reading->path, "it has no manifest"));
    return (0);
}

static int
compare_members(const void *a, const void *b)
{
    return (strcmp(((const MEMBER *)a)->path, ((const MEMBER *)b)->path));
}

/* Member for entry: both are sorted by the bytes of their names. */
static int
compare(READING *reading, STATUS *status)
{
    const MANIFEST *manifest = reading->manifest;
    size_t i;

    if (!manifest->is_archive)
        return (expire_kept(
          status, reading->path, "it was not made by snapshot create: a copy was packed into it"));
    if (reading->count > 1)
        qsort(reading->members, reading->count, sizeof(*reading->members), compare_members);
    for (i = 0; i < reading->count || i < manifest->entry_count; i++)
        if (i >= reading->count || i >= manifest->entry_count ||
            strcmp(reading->members[i].path, manifest->entries[i].path) != 0 ||
            reading->members[i].size != manifest->entries[i].size)
            return (expire_kept(status, reading->path,
              "what is in it is not what its manifest says, from \"%.200s\" on",
              i < manifest->entry_count ? manifest->entries[i].path : reading->members[i].path));
    return (0);
}

static int
judge(READING *reading, int fd, int64_t now_ms, STATUS *status)
{
    int ret;

    if ((ret = archive_open(fd, &reading->archive, status)) != 0)
        return (reading->archive == NULL ? ret : damaged(reading, status));
    if ((ret = read_all(reading, status)) != 0 || (ret = compare(reading, status)) != 0)
        return (ret);
    return (expire_check_date(reading->manifest, reading->path, now_ms, status));
}

int
expire_check_archive(
  int dir_fd, const char *name, const char *path, int64_t now_ms, EXPIRE *expire, STATUS *status)
{
    READING reading = {.path = path};
    struct stat sb;
    size_t i;
    int fd, ret;

    memset(expire, 0, sizeof(*expire));
    if ((fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
        return (status_set_errno(status, errno, "expire-read", "%s", path));
    if (fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        ret = expire_kept(status, path, "it is no regular file");
        goto err;
    }
    expire->device = sb.st_dev;
    expire->inode = sb.st_ino;
    ret = judge(&reading, fd, now_ms, status);

err:
    if (ret == 0)
        expire->manifest = reading.manifest;
    else
        manifest_free(reading.manifest);
    for (i = 0; i < reading.count; i++)
        bson_free(reading.members[i].path);
    bson_free(reading.members);
    if (reading.archive != NULL)
        (void)archive_read_free(reading.archive);
    (void)close(fd);
    return (ret);
}

int
expire_remove_archive(
  int dir_fd, const char *name, const char *path, const EXPIRE *expire, STATUS *status)
{
    struct stat sb;

    if (fstatat(dir_fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return (status_set_errno(status, errno, "expire-read", "%s", path));
    if (sb.st_dev != expire->device || sb.st_ino != expire->inode)
        return (expire_kept(status, path, "it was replaced meanwhile"));
    if (unlinkat(dir_fd, name, 0) != 0 || fsync(dir_fd) != 0)
        return (status_set_errno(status, errno, "copy-remove", "removing %s", path));
    return (0);
}
