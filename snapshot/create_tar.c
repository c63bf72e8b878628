/*
 * snapshot/create_tar.c -- A copy that is a tar stream. See create_sink.h.
 *
 * The pax format: names that are no UTF-8, files of any size, holes. Whoever unpacks it as root gets files of the
 * home's owner. What is in the stream is not the copy before the manifest, its last member.
 */
#include "snapshot/create_sink.h"

#include "common/clock.h"

#include <archive.h>
#include <archive_entry.h>
#include <bson/bson.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SIZE (1024 * 1024)

typedef struct {
    CREATE_SINK sink;
    struct archive *archive;
    int fd;
    uid_t uid;
    gid_t gid;
    bool holes;  /* may be looked for: nothing changes meanwhile */
    char **dirs; /* that are in the stream, sorted */
    size_t dir_count;
} TAR_SINK;

static const uint8_t zeros[64 * 1024];

static int
failed(TAR_SINK *tar, const char *path, STATUS *status)
{
    int error = archive_errno(tar->archive);

    if (error > 0)
        return (status_set_errno(status, error, "copy-write", "writing %s to the archive", path));
    return (status_set(status, STATUS_INTERNAL, "copy-archive", "writing %s to the archive: %s",
      path,
      archive_error_string(tar->archive) == NULL ? "unknown" : archive_error_string(tar->archive)));
}

static int
write_header(TAR_SINK *tar, struct archive_entry *entry, const char *path, STATUS *status)
{
    int ret;

    archive_entry_copy_pathname(entry, path);
    archive_entry_set_uid(entry, (la_int64_t)tar->uid);
    archive_entry_set_gid(entry, (la_int64_t)tar->gid);
    ret = archive_write_header(tar->archive, entry);
    /* A warning: the name is no text, and goes as bytes. */
    return (ret < ARCHIVE_WARN ? failed(tar, path, status) : 0);
}

static int
write_dir(TAR_SINK *tar, const char *path, size_t len, STATUS *status)
{
    struct archive_entry *entry;
    char *dir;
    size_t i;
    int ret;

    for (i = 0; i < tar->dir_count; i++)
        if (strlen(tar->dirs[i]) == len && memcmp(tar->dirs[i], path, len) == 0)
            return (0);
    dir = bson_strndup(path, len);
    tar->dirs = bson_realloc(tar->dirs, (tar->dir_count + 1) * sizeof(*tar->dirs));
    tar->dirs[tar->dir_count++] = dir;
    if ((entry = archive_entry_new()) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an archive"));
    archive_entry_set_filetype(entry, AE_IFDIR);
    archive_entry_set_perm(entry, 0700);
    archive_entry_set_mtime(entry, clock_unix_seconds(), 0);
    ret = write_header(tar, entry, dir, status);
    archive_entry_free(entry);
    return (ret);
}

/* Else they would be made with whatever mode the one who unpacks has. */
static int
write_dirs(TAR_SINK *tar, const char *path, STATUS *status)
{
    const char *slash;
    int ret;

    for (slash = path; (slash = strchr(slash, '/')) != NULL; slash++)
        if ((ret = write_dir(tar, path, (size_t)(slash - path), status)) != 0)
            return (ret);
    return (0);
}

static int
begin(TAR_SINK *tar, const char *path, uint64_t size, const struct timespec *modified,
  struct archive_entry **entryp, STATUS *status)
{
    int ret;

    *entryp = NULL;
    if ((ret = write_dirs(tar, path, status)) != 0)
        return (ret);
    if ((*entryp = archive_entry_new()) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an archive"));
    archive_entry_set_filetype(*entryp, AE_IFREG);
    archive_entry_set_perm(*entryp, 0600);
    archive_entry_set_size(*entryp, (la_int64_t)size);
    archive_entry_set_mtime(*entryp, modified->tv_sec, modified->tv_nsec);
    return (0);
}

static int
write_bytes(TAR_SINK *tar, const char *path, const void *data, size_t len, STATUS *status)
{
    la_ssize_t n;
    size_t done;

    for (done = 0; done < len; done += (size_t)n) {
        n = archive_write_data(tar->archive, (const uint8_t *)data + done, len - done);
        if (n <= 0)
            return (failed(tar, path, status));
    }
    return (0);
}

typedef struct {
    TAR_SINK *tar;
    const char *path;
} PIECES;

static int
write_piece(void *context, uint64_t offset, const void *data, size_t len, STATUS *status)
{
    PIECES *pieces = context;
    size_t done, piece;
    int ret;

    (void)offset;
    if (data != NULL)
        return (write_bytes(pieces->tar, pieces->path, data, len, status));
    for (done = 0; done < len; done += piece) {
        piece = len - done < sizeof(zeros) ? len - done : sizeof(zeros);
        if ((ret = write_bytes(pieces->tar, pieces->path, zeros, piece, status)) != 0)
            return (ret);
    }
    return (0);
}

/* Where the data is: the rest is not in the stream. */
static void
note_holes(int fd, uint64_t size, struct archive_entry *entry)
{
    off_t end, start;

    if (lseek(fd, 0, SEEK_HOLE) >= (off_t)size)
        return;
    for (start = 0; (start = lseek(fd, start, SEEK_DATA)) >= 0 && start < (off_t)size;
         start = end) {
        if ((end = lseek(fd, start, SEEK_HOLE)) <= start || end > (off_t)size)
            end = (off_t)size;
        archive_entry_sparse_add_entry(entry, start, end - start);
    }
    /* All of it is a hole. */
    if (archive_entry_sparse_count(entry) == 0)
        archive_entry_sparse_add_entry(entry, (la_int64_t)size, 0);
}

static int
put(CREATE_SINK *sink, FILE_COPIER *copier, int fd, const CREATE_FILE *file,
  FILE_COPY_RESULT *result, STATUS *status)
{
    TAR_SINK *tar = (TAR_SINK *)sink;
    PIECES pieces = {tar, file->path};
    struct archive_entry *entry;
    int ret;

    if ((ret = begin(tar, file->path, file->size, &file->modified, &entry, status)) != 0)
        return (ret);
    if (tar->holes)
        note_holes(fd, file->size, entry);
    if ((ret = write_header(tar, entry, file->path, status)) == 0 &&
        (ret = file_copy_pass(
           copier, fd, file->source, file->size, write_piece, &pieces, result, status)) == 0 &&
        archive_write_finish_entry(tar->archive) < ARCHIVE_WARN)
        ret = failed(tar, file->path, status);
    archive_entry_free(entry);
    return (ret);
}

static int
put_bytes(CREATE_SINK *sink, const char *path, const void *data, size_t len,
  const struct timespec *modified, STATUS *status)
{
    TAR_SINK *tar = (TAR_SINK *)sink;
    struct archive_entry *entry;
    int ret;

    if ((ret = begin(tar, path, len, modified, &entry, status)) != 0)
        return (ret);
    if ((ret = write_header(tar, entry, path, status)) == 0 &&
        (ret = write_bytes(tar, path, data, len, status)) == 0 &&
        archive_write_finish_entry(tar->archive) < ARCHIVE_WARN)
        ret = failed(tar, path, status);
    archive_entry_free(entry);
    return (ret);
}

static int
sync_nothing(CREATE_SINK *sink, STATUS *status)
{
    (void)sink;
    (void)status;
    return (0);
}

static int
finish(CREATE_SINK *sink, STATUS *status)
{
    TAR_SINK *tar = (TAR_SINK *)sink;

    if (archive_write_close(tar->archive) < ARCHIVE_WARN)
        return (failed(tar, "the end", status));
    /* Of a file; a pipe cannot be synced. */
    if (fsync(tar->fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
        return (status_set_errno(status, errno, "copy-sync", "fsync of the archive"));
    return (0);
}

static void
free_sink(CREATE_SINK *sink, bool finished)
{
    TAR_SINK *tar = (TAR_SINK *)sink;
    size_t i;

    /* Freeing one that is open would end it as if it were whole. */
    if (!finished && tar->archive != NULL)
        (void)archive_write_fail(tar->archive);
    if (tar->archive != NULL)
        (void)archive_write_free(tar->archive);
    for (i = 0; i < tar->dir_count; i++)
        bson_free(tar->dirs[i]);
    bson_free(tar->dirs);
    bson_free(tar);
}

int
create_tar_new(int home_fd, const CREATE_OPTIONS *options, CREATE_SINK **sinkp, STATUS *status)
{
    TAR_SINK *tar;
    struct stat sb;
    int ret;

    *sinkp = NULL;
    if (fstat(home_fd, &sb) != 0)
        return (status_set_errno(status, errno, "copy-read", "looking at %s", options->home));
    tar = bson_malloc0(sizeof(*tar));
    tar->sink = (CREATE_SINK){put, put_bytes, sync_nothing, finish, free_sink};
    tar->fd = options->stream_fd;
    tar->uid = sb.st_uid;
    tar->gid = sb.st_gid;
    tar->holes = options->method != MANIFEST_FILES;
    if ((tar->archive = archive_write_new()) == NULL) {
        free_sink(&tar->sink, false);
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an archive"));
    }
    if (archive_write_set_format_pax(tar->archive) != ARCHIVE_OK ||
        archive_write_add_filter_none(tar->archive) != ARCHIVE_OK ||
        archive_write_set_bytes_per_block(tar->archive, BLOCK_SIZE) != ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(tar->archive, 512) != ARCHIVE_OK ||
        archive_write_open_fd(tar->archive, tar->fd) != ARCHIVE_OK) {
        ret = failed(tar, "the beginning", status);
        free_sink(&tar->sink, false);
        return (ret);
    }
    *sinkp = &tar->sink;
    return (0);
}
