/*
 * snapshot/oplog_writer.c -- Appending to sealed oplog archives. See oplog_archive.h.
 *
 * A kill at any point leaves an archive whose whole frames can be read: the head comes into being by a
 * rename, and all else is only ever appended.
 */
#include "snapshot/oplog_archive.h"

#include "common/clock.h"
#include "common/file.h"
#include "crypto/random.h"
#include "keystore/archive_key.h"
#include "snapshot/oplog_entries.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <zstd.h>

#define FILE_MODE 0600
#define SYNC_BYTES \
    (64u * 1024 * 1024) /* what a power cut may take at most, beside the page cache's own time */
#define ZSTD_LEVEL 1    /* an oplog repeats itself; the levels above gain little */
/* A table that stays in the nearest cache: faster, and of entries, which repeat what was just before, no larger. */
#define ZSTD_HASH_LOG 13

typedef struct {
    int fd;
    const char *path;
    SECRET *key;
    OPLOG_CHAIN chain;
    ZSTD_CCtx *zstd;
    uint64_t offset, unsynced;
    uint32_t segment; /* the number of this one */
    bool is_begun;
    uint32_t next_frame;
    uint64_t segment_first, segment_last;
    OPLOG_COUNTS counts;
    uint8_t *raw; /* the batch: OPLOG_RAW_MAX */
    OPLOG_FRAME batch;
    uint8_t *packed; /* compressed */
    uint8_t *out;    /* sealed */
} WRITER;

static int
append(WRITER *writer, const uint8_t *data, size_t len, STATUS *status)
{
    ssize_t n;

    while (len > 0) {
        if ((n = pwrite(writer->fd, data, len, (off_t)writer->offset)) == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return (status_set_errno(status, errno, "oplog-write", "writing %s", writer->path));
        data += n;
        len -= (size_t)n;
        writer->offset += (uint64_t)n;
        writer->unsynced += (uint64_t)n;
    }
    return (0);
}

static int
sync_file(WRITER *writer, STATUS *status)
{
    writer->unsynced = 0;
    if (fsync(writer->fd) != 0)
        return (status_set_errno(status, errno, "oplog-sync", "making %s durable", writer->path));
    return (0);
}

/* --- frames */

/* Not before there is something to put into it: an input that is refused leaves the archive as it was. */
static int
begin_segment(WRITER *writer, STATUS *status)
{
    OPLOG_SEGMENT segment = {.number = writer->segment, .time = clock_unix_ms()};
    uint8_t header[OPLOG_SEGMENT_LEN];
    int ret;

    if ((ret = random_bytes(segment.salt, sizeof(segment.salt), status)) != 0)
        return (ret);
    oplog_segment_put(&segment, header);
    if ((ret = oplog_chain_segment(&writer->chain, writer->key, header, status)) != 0)
        return (ret);
    writer->is_begun = true;
    return (append(writer, header, sizeof(header), status));
}

static int
write_frame(WRITER *writer, OPLOG_FRAME *frame, const uint8_t *data, size_t len, STATUS *status)
{
    int ret;

    if (writer->next_frame == UINT32_MAX)
        return (status_set(status, STATUS_REFUSED, "oplog-segment-full",
          "a segment of %s has as many frames as it can; run it again", writer->path));
    if (!writer->is_begun && (ret = begin_segment(writer, status)) != 0)
        return (ret);
    frame->number = writer->next_frame;
    frame->sealed_len = (uint32_t)len;
    if ((ret = oplog_chain_seal(&writer->chain, frame, data, len, writer->out, status)) != 0 ||
        (ret = append(writer, writer->out, OPLOG_FRAME_LEN + len + OPLOG_TAG_LEN, status)) != 0)
        return (ret);
    writer->next_frame++;
    return (writer->unsynced < SYNC_BYTES ? 0 : sync_file(writer, status));
}

static int
write_batch(WRITER *writer, STATUS *status)
{
    OPLOG_FRAME *batch = &writer->batch;
    size_t len;
    int ret;

    if (batch->documents == 0)
        return (0);
    len =
      ZSTD_compress2(writer->zstd, writer->packed, OPLOG_SEALED_MAX, writer->raw, batch->raw_len);
    if (ZSTD_isError(len))
        return (status_set(status, STATUS_INTERNAL, "oplog-compress", "compressing entries: %s",
          ZSTD_getErrorName(len)));
    batch->kind = OPLOG_DATA;
    if ((ret = write_frame(writer, batch, writer->packed, len, status)) != 0)
        return (ret);
    if (writer->counts.documents == 0)
        writer->segment_first = batch->first;
    writer->segment_last = batch->last;
    writer->counts.frames++;
    writer->counts.documents += batch->documents;
    writer->counts.bytes += batch->raw_len;
    writer->counts.all_documents += batch->documents;
    writer->counts.all_bytes += batch->raw_len;
    memset(batch, 0, sizeof(*batch));
    return (0);
}

static int
add_entry(WRITER *writer, const OPLOG_ENTRY *entry, STATUS *status)
{
    OPLOG_FRAME *batch = &writer->batch;

    memcpy(writer->raw + batch->raw_len, entry->data, entry->len);
    batch->raw_len += (uint32_t)entry->len;
    if (batch->documents++ == 0)
        batch->first = entry->ts;
    batch->last = entry->ts;
    return (batch->raw_len < OPLOG_BATCH_BYTES ? 0 : write_batch(writer, status));
}

static int
write_closing(WRITER *writer, STATUS *status)
{
    OPLOG_FRAME frame = {.kind = OPLOG_CLOSE,
      .raw_len = OPLOG_COUNTS_LEN,
      .first = writer->segment_first,
      .last = writer->segment_last};
    uint8_t counts[OPLOG_COUNTS_LEN];
    int ret;

    oplog_counts_put(&writer->counts, counts);
    if ((ret = write_frame(writer, &frame, counts, sizeof(counts), status)) != 0)
        return (ret);
    return (sync_file(writer, status));
}

/* --- the file */

static int
make_archive(const char *path, int dirfd, const char *name, const OPLOG_SEAL_OPTIONS *options,
  SECRET **keyp, STATUS *status)
{
    uint8_t *keystore = NULL, *head = NULL;
    size_t len;
    int ret;

    if ((ret = archive_key_new(options->settings, options->parent, &options->keyring,
           ARCHIVE_KEY_OPLOG, keyp, &keystore, &len, status)) != 0)
        return (ret);
    if (len > OPLOG_KEYSTORE_MAX)
        ret = status_set(status, STATUS_INTERNAL, "oplog-keystore", "a keystore that is too large");
    else if ((head = malloc(OPLOG_HEAD_LEN + len)) == NULL)
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive");
    else {
        oplog_head_put(len, head);
        memcpy(head + OPLOG_HEAD_LEN, keystore, len);
        if ((ret = file_replace(
               dirfd, name, head, OPLOG_HEAD_LEN + len, FILE_MODE, false, status)) != 0)
            (void)status_add(status, "while making %s", path);
    }
    free(head);
    free(keystore);
    return (ret);
}

/* Open the archive and lock it; make it first when there is none. */
static int
open_archive(const char *path, const OPLOG_SEAL_OPTIONS *options, WRITER *writer, bool *createdp,
  STATUS *status)
{
    const char *name;
    int dirfd, ret;

    if ((ret = file_split_path(path, &dirfd, &name, status)) != 0)
        return (ret);
    /* Two that begin the same archive must not each make one. */
    if (flock(dirfd, LOCK_EX) != 0) {
        ret = status_set_errno(status, errno, "oplog-lock", "locking the directory of %s", path);
        goto err;
    }
    writer->fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (writer->fd == -1 && errno == ENOENT) {
        if ((ret = make_archive(path, dirfd, name, options, &writer->key, status)) != 0)
            goto err;
        *createdp = true;
        writer->fd = openat(dirfd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    }
    if (writer->fd == -1)
        ret = status_set_errno(status, errno, "oplog-write", "opening %s", path);
    else if (flock(writer->fd, LOCK_EX | LOCK_NB) != 0)
        ret = errno == EWOULDBLOCK
                ? status_set(
                    status, STATUS_BUSY, "oplog-busy", "another process is appending to %s", path)
                : status_set_errno(status, errno, "oplog-lock", "locking %s", path);

err:
    (void)close(dirfd); /* and its lock goes */
    return (ret);
}

static int
read_to_end(OPLOG_READER *reader, STATUS *status)
{
    OPLOG_FRAME frame;
    const uint8_t *data;
    bool end;
    int ret;

    do {
        if ((ret = oplog_reader_next(reader, &frame, &data, &end, status)) != 0)
            return (ret);
    } while (!end);
    return (0);
}

/*
 * Go to the end. All headers are looked at, and what the new segment is chained to is authenticated from the
 * beginning of the last segment on: more would make each append read the whole archive.
 */
static int
find_end(
  WRITER *writer, const OPLOG_SEAL_OPTIONS *options, OPLOG_SEAL_RESULT *result, STATUS *status)
{
    OPLOG_READER *reader;
    const OPLOG_SUMMARY *summary;
    const uint8_t *keystore;
    size_t len;
    int ret;

    if ((ret = oplog_reader_open(writer->fd, writer->path, &reader, status)) != 0)
        return (ret);
    (void)oplog_reader_keystore(reader, &keystore, &len);
    if (writer->key == NULL &&
        (ret = archive_key_open(options->settings, keystore, len, &options->keyring,
           ARCHIVE_KEY_OPLOG, &writer->key, status)) != 0) {
        (void)status_add(status, "while opening %s", writer->path);
        goto err;
    }
    if ((ret = read_to_end(reader, status)) != 0)
        goto err;
    oplog_reader_back(reader);
    oplog_reader_set_key(reader, writer->key);
    if ((ret = read_to_end(reader, status)) != 0)
        goto err;
    summary = oplog_reader_summary(reader);
    writer->chain = *oplog_reader_chain(reader);
    writer->chain.key = NULL; /* the reader's */
    writer->offset = summary->good_end;
    writer->counts.all_documents = summary->documents;
    writer->counts.all_bytes = summary->bytes;
    result->previous = summary->last;
    result->cut = summary->size - summary->good_end;
    writer->segment = oplog_reader_next_segment(reader);
    if (result->cut > 0 && ftruncate(writer->fd, (off_t)summary->good_end) != 0)
        ret = status_set_errno(
          status, errno, "oplog-write", "cutting the open end off %s", writer->path);
    else if (result->cut > 0)
        ret = sync_file(writer, status);

err:
    oplog_reader_close(reader);
    return (ret);
}

/* --- all of it */

static int
take_entries(
  WRITER *writer, OPLOG_ENTRIES *entries, bool resume, OPLOG_SEAL_RESULT *result, STATUS *status)
{
    char is[OPLOG_ENTRIES_TIME_SIZE], was[OPLOG_ENTRIES_TIME_SIZE];
    OPLOG_ENTRY entry;
    bool end;
    int ret;

    for (;;) {
        if ((ret = oplog_entries_next(entries, &entry, &end, status)) != 0 || end)
            return (ret);
        if (resume && entry.ts <= result->previous) {
            result->skipped++;
            result->overlaps |= entry.ts == result->previous;
            continue;
        }
        if (entry.ts < result->previous) {
            (void)status_set(status, STATUS_REFUSED, "oplog-overlap",
              "%s ends with an entry of %s, and the input has one of %s", writer->path,
              oplog_entries_time_text(result->previous, was),
              oplog_entries_time_text(entry.ts, is));
            return (status_hint(status, "--resume leaves out what the archive has"));
        }
        if (result->documents++ == 0)
            result->first = entry.ts;
        result->last = entry.ts;
        result->bytes += entry.len;
        if ((ret = add_entry(writer, &entry, status)) != 0)
            return (ret);
    }
}

/* What was read before an error is good and is kept; that the input did not end well is what an open end says. */
static int
keep_what_was_read(WRITER *writer, int ret, STATUS *status)
{
    STATUS second;

    if (ret == STATUS_CORRUPT || ret == STATUS_REFUSED) {
        status_clear(&second);
        if (write_batch(writer, &second) != 0 || sync_file(writer, &second) != 0)
            return (status_add(status, "and then %s", second.message));
    }
    return (ret);
}

static int
prepare(WRITER *writer, STATUS *status)
{
    writer->raw = malloc(OPLOG_RAW_MAX);
    writer->packed = malloc(OPLOG_SEALED_MAX);
    writer->out = malloc(OPLOG_FRAME_LEN + OPLOG_SEALED_MAX + OPLOG_TAG_LEN);
    writer->zstd = ZSTD_createCCtx();
    if (writer->raw == NULL || writer->packed == NULL || writer->out == NULL ||
        writer->zstd == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive"));
    if (ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(writer->zstd, ZSTD_c_hashLog, ZSTD_HASH_LOG)))
        return (status_set(status, STATUS_INTERNAL, "oplog-compress", "setting up compression"));
    return (0);
}

static void
release(WRITER *writer)
{
    oplog_chain_release(&writer->chain);
    secret_free(writer->key);
    if (writer->fd != -1)
        (void)close(writer->fd);
    (void)ZSTD_freeCCtx(writer->zstd);
    free(writer->raw);
    free(writer->packed);
    free(writer->out);
}

int
oplog_seal(const char *path, int input_fd, const char *input_name,
  const OPLOG_SEAL_OPTIONS *options, OPLOG_SEAL_RESULT *result, STATUS *status)
{
    WRITER writer = {.fd = -1, .path = path};
    OPLOG_ENTRIES *entries = NULL;
    int ret;

    _Static_assert(OPLOG_SEALED_MAX >= ZSTD_COMPRESSBOUND(OPLOG_RAW_MAX), "what zstd may need");
    memset(result, 0, sizeof(*result));
    if ((ret = prepare(&writer, status)) != 0 ||
        (ret = oplog_entries_open(input_fd, input_name, &entries, status)) != 0 ||
        (ret = open_archive(path, options, &writer, &result->created, status)) != 0 ||
        (ret = find_end(&writer, options, result, status)) != 0)
        goto err;
    if ((ret = take_entries(&writer, entries, options->resume, result, status)) != 0) {
        ret = keep_what_was_read(&writer, ret, status);
        goto err;
    }
    if ((ret = write_batch(&writer, status)) == 0)
        ret = write_closing(&writer, status);
    result->size = writer.offset;

err:
    oplog_entries_close(entries);
    release(&writer);
    return (ret);
}
