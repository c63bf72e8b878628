/*
 * snapshot/oplog_files.c -- Sealed oplog archives below paths. See oplog_files.h.
 */
#include "snapshot/oplog_files.h"

#include "keystore/archive_key.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a list of archives"));
}

/* --- one archive without a key */

static int
read_headers(OPLOG_READER *reader, OPLOG_FILE *file)
{
    OPLOG_FRAME frame;
    const uint8_t *data;
    size_t len;
    bool end;
    int ret;

    (void)oplog_reader_keystore(reader, &data, &len);
    if ((ret = keystore_decode(data, len, &file->keystore, &file->status)) != 0)
        return (ret);
    do {
        if ((ret = oplog_reader_next(reader, &frame, &data, &end, &file->status)) != 0)
            break;
    } while (!end);
    file->summary = *oplog_reader_summary(reader);
    return (ret);
}

/* Takes over path, also on error. */
static int
add_file(OPLOG_FILES *files, int fd, char *path, STATUS *status)
{
    OPLOG_READER *reader;
    OPLOG_FILE *grown, *file;

    if ((grown = reallocarray(files->files, files->count + 1, sizeof(*grown))) == NULL) {
        free(path);
        return (no_memory(status));
    }
    files->files = grown;
    file = &files->files[files->count++];
    memset(file, 0, sizeof(*file));
    file->path = path;
    if (oplog_reader_open(fd, path, &reader, &file->status) != 0)
        return (0);
    (void)read_headers(reader, file);
    oplog_reader_close(reader);
    return (0);
}

static bool
is_archive(int fd)
{
    uint8_t magic[OPLOG_MAGIC_LEN];

    return (pread(fd, magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
            memcmp(magic, OPLOG_MAGIC, sizeof(magic)) == 0);
}

/* --- walking */

static char *
join(const char *directory, const char *name)
{
    size_t len = strlen(directory), size = len + strlen(name) + 2;
    char *path;

    if ((path = malloc(size)) != NULL)
        (void)snprintf(
          path, size, "%s%s%s", directory, len > 0 && directory[len - 1] == '/' ? "" : "/", name);
    return (path);
}

static int walk(OPLOG_FILES *files, int dirfd, const char *path, unsigned depth, STATUS *status);

/* Takes over path. */
static int
look_at(OPLOG_FILES *files, int dirfd, const char *name, char *path, unsigned depth, STATUS *status)
{
    struct stat sb;
    int fd, ret = 0;

    /* Something that is neither file nor directory must not be opened: a pipe would wait. */
    if (fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISREG(sb.st_mode) && !S_ISDIR(sb.st_mode))) {
        free(path);
        return (0);
    }
    if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) == -1) {
        ret = errno == ENOENT ? 0 : status_set_errno(status, errno, "oplog-read", "%s", path);
        free(path);
        return (ret);
    }
    if (S_ISDIR(sb.st_mode)) {
        ret = walk(files, fd, path, depth + 1, status); /* closes it */
        free(path);
        return (ret);
    }
    if (is_archive(fd))
        ret = add_file(files, fd, path, status);
    else {
        files->others++;
        free(path);
    }
    (void)close(fd);
    return (ret);
}

/* Takes over dirfd. */
static int
walk(OPLOG_FILES *files, int dirfd, const char *path, unsigned depth, STATUS *status)
{
    struct dirent *entry;
    char *below;
    DIR *dir;
    int ret = 0;

    if (depth > DEPTH_MAX || (dir = fdopendir(dirfd)) == NULL) {
        ret = depth > DEPTH_MAX
                ? status_set(status, STATUS_REFUSED, "oplog-depth", "%s is too deep", path)
                : status_set_errno(status, errno, "oplog-read", "%s", path);
        (void)close(dirfd);
        return (ret);
    }
    for (;;) {
        errno = 0;
        if ((entry = readdir(dir)) == NULL) {
            if (errno != 0)
                ret = status_set_errno(status, errno, "oplog-read", "%s", path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if ((below = join(path, entry->d_name)) == NULL)
            ret = no_memory(status);
        else
            ret = look_at(files, dirfd, entry->d_name, below, depth, status);
        if (ret != 0)
            break;
    }
    (void)closedir(dir);
    return (ret);
}

static int
find_named(OPLOG_FILES *files, const char *path, STATUS *status)
{
    struct stat sb;
    char *copy;
    int fd, ret;

    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1 || fstat(fd, &sb) != 0) {
        ret = status_set_errno(status, errno, "oplog-read", "%s", path);
        if (fd != -1)
            (void)close(fd);
        return (ret);
    }
    if (S_ISDIR(sb.st_mode))
        return (walk(files, fd, path, 0, status));
    if (!S_ISREG(sb.st_mode) || !is_archive(fd))
        ret = status_set(status, STATUS_REFUSED, "oplog-file", "%s is no oplog archive", path);
    else
        ret = (copy = strdup(path)) == NULL ? no_memory(status) : add_file(files, fd, copy, status);
    (void)close(fd);
    return (ret);
}

/* --- order and gaps */

static const char *
node_of(const OPLOG_FILE *file)
{
    return (file->keystore == NULL || file->keystore->node == NULL ? "" : file->keystore->node);
}

static int
compare(const void *a, const void *b)
{
    const OPLOG_FILE *x = a, *y = b;
    int order = strcmp(node_of(x), node_of(y));

    if (order == 0 && x->summary.first != y->summary.first)
        order = x->summary.first < y->summary.first ? -1 : 1;
    return (order != 0 ? order : strcmp(x->path, y->path));
}

/*
 * Only an entry that both have proves that nothing is missing between two archives: timestamps do not
 * count one by one.
 */
static void
mark_gaps(OPLOG_FILES *files)
{
    const char *node = NULL;
    uint64_t last = 0;
    size_t i;

    for (i = 0; i < files->count; i++) {
        OPLOG_FILE *file = &files->files[i];

        if (node == NULL || strcmp(node, node_of(file)) != 0) {
            node = node_of(file);
            last = 0;
        }
        if (file->summary.documents == 0)
            continue;
        file->gap = last != 0 && file->summary.first > last ? last : 0;
        if (file->summary.last > last)
            last = file->summary.last;
    }
}

int
oplog_files_find(const char *const *paths, size_t count, OPLOG_FILES *files, STATUS *status)
{
    size_t i;
    int ret;

    memset(files, 0, sizeof(*files));
    for (i = 0; i < count; i++)
        if ((ret = find_named(files, paths[i], status)) != 0) {
            oplog_files_release(files);
            return (ret);
        }
    if (files->count > 0)
        qsort(files->files, files->count, sizeof(*files->files), compare);
    mark_gaps(files);
    return (0);
}

void
oplog_files_release(OPLOG_FILES *files)
{
    size_t i;

    for (i = 0; i < files->count; i++) {
        keystore_free(files->files[i].keystore);
        oplog_gaps_free(files->files[i].gaps);
        free(files->files[i].path);
    }
    free(files->files);
    memset(files, 0, sizeof(*files));
}

/* --- reading with a key */

/* The documents of a frame, and that they are what its header says. */
static int
take_frame(
  const OPLOG_FRAME *frame, const uint8_t *data, OPLOG_TAKE take, void *context, STATUS *status)
{
    OPLOG_ENTRY entry = {.ts = 0};
    size_t left = frame->raw_len;
    uint64_t before = frame->first;
    uint32_t i;
    int ret;

    for (i = 0; i < frame->documents; i++) {
        if ((ret = oplog_entries_peek(data, left, &entry, status)) != 0)
            return (ret);
        if (entry.ts < before || (i == 0 && entry.ts != frame->first))
            break;
        before = entry.ts;
        data += entry.len;
        left -= entry.len;
        if (take != NULL && (ret = take(context, &entry, status)) != 0)
            return (ret);
    }
    if (i < frame->documents || left != 0 || entry.ts != frame->last)
        return (status_set(status, STATUS_CORRUPT, "oplog-documents",
          "a frame does not hold what it says it holds"));
    return (0);
}

int
oplog_files_read(OPLOG_FILE *file, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  OPLOG_TAKE take, void *context, STATUS *status)
{
    OPLOG_READER *reader = NULL;
    OPLOG_FRAME frame;
    SECRET *key = NULL;
    const uint8_t *data;
    size_t len;
    bool end;
    int fd, ret;

    if ((fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
        return (status_set_errno(status, errno, "oplog-read", "%s", file->path));
    if ((ret = oplog_reader_open(fd, file->path, &reader, status)) != 0)
        goto err;
    (void)oplog_reader_keystore(reader, &data, &len);
    if ((ret = archive_key_open(settings, data, len, options, ARCHIVE_KEY_OPLOG, &key, status)) !=
        0) {
        (void)status_add(status, "while opening %s", file->path);
        goto err;
    }
    oplog_reader_set_key(reader, key);
    for (;;) {
        if ((ret = oplog_reader_next(reader, &frame, &data, &end, status)) != 0 || end)
            break;
        if ((ret = take_frame(&frame, data, take, context, status)) != 0) {
            (void)status_add(status, "in %s", file->path);
            break;
        }
    }
    file->summary = *oplog_reader_summary(reader);
    file->is_verified = ret == 0;

err:
    oplog_reader_close(reader);
    secret_free(key);
    (void)close(fd);
    return (ret);
}

int
oplog_files_refuse_open_end(const OPLOG_FILE *file, STATUS *status)
{
    if (!file->summary.is_open)
        return (0);
    (void)status_set(status, STATUS_CORRUPT, "oplog-open-end",
      "%s has an open end: its last segment was not finished, or the file was cut off; %" PRIu64
      " of %" PRIu64 " bytes are whole frames",
      file->path, file->summary.good_end, file->summary.size);
    return (status_hint(status,
      "a seal that is at work, or was interrupted, leaves one: run it again, or take what there is "
      "with --allow-open-end"));
}
