/*
 * snapshot/oplog_reader.c -- Reading sealed oplog archives. See oplog_archive.h.
 */
#include "snapshot/oplog_archive.h"

#include "snapshot/oplog_entries.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

/* A place between two segments. */
typedef struct {
    uint64_t offset;
    uint8_t tag[OPLOG_TAG_LEN];
    OPLOG_SUMMARY summary;
    bool in_segment; /* the one before it was not closed */
    uint32_t next_segment;
} PLACE;

struct oplog_reader {
    int fd;
    char *path;
    uint8_t *keystore_data;
    size_t keystore_len;
    KEYSTORE *keystore;
    const SECRET *key;
    OPLOG_CHAIN chain;
    OPLOG_SUMMARY summary;
    uint64_t offset;
    bool in_segment; /* and it is not closed */
    uint32_t next_segment, next_frame;
    OPLOG_COUNTS counts; /* of the segment */
    PLACE before, last;  /* the segment; the last one with a frame */
    ZSTD_DCtx *zstd;
    uint8_t *sealed, *plain, *raw;
    size_t sealed_size, plain_size, raw_size;
};

/* --- the file */

static int
at(const OPLOG_READER *reader, STATUS *status)
{
    return (status_add(status, "in %s at offset %" PRIu64, reader->path, reader->offset));
}

static int
read_at(OPLOG_READER *reader, uint64_t offset, void *buf, size_t len, STATUS *status)
{
    uint8_t *p = buf;
    ssize_t n;

    while (len > 0) {
        if ((n = pread(reader->fd, p, len, (off_t)offset)) == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return (status_set_errno(status, errno, "oplog-read", "reading %s", reader->path));
        if (n == 0)
            return (status_set(
              status, STATUS_CORRUPT, "oplog-shrunk", "%s became shorter meanwhile", reader->path));
        p += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return (0);
}

static int
need_memory(uint8_t **bufp, size_t *sizep, size_t need, STATUS *status)
{
    uint8_t *buf;

    if (*sizep >= need)
        return (0);
    if ((buf = realloc(*bufp, need)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive"));
    *bufp = buf;
    *sizep = need;
    return (0);
}

static int
read_head(OPLOG_READER *reader, STATUS *status)
{
    uint8_t head[OPLOG_HEAD_LEN], *whole = NULL;
    struct stat sb;
    int ret;

    if (fstat(reader->fd, &sb) != 0)
        return (status_set_errno(status, errno, "oplog-read", "%s", reader->path));
    if (!S_ISREG(sb.st_mode))
        return (status_set(
          status, STATUS_REFUSED, "oplog-file", "%s is not a regular file", reader->path));
    reader->summary.size = (uint64_t)sb.st_size;
    if (reader->summary.size < OPLOG_HEAD_LEN)
        return (status_set(
          status, STATUS_CORRUPT, "oplog-head", "%s is no oplog archive: too short", reader->path));
    if ((ret = read_at(reader, 0, head, sizeof(head), status)) != 0)
        return (ret);
    if ((ret = oplog_head_get(head, &reader->keystore_len, status)) != 0)
        return (status_add(status, "%s", reader->path));
    if (reader->summary.size < OPLOG_HEAD_LEN + reader->keystore_len)
        return (status_set(
          status, STATUS_CORRUPT, "oplog-head", "%s ends inside of its head", reader->path));
    if ((whole = malloc(OPLOG_HEAD_LEN + reader->keystore_len)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive"));
    reader->keystore_data = whole;
    memcpy(whole, head, sizeof(head));
    if ((ret = read_at(reader, sizeof(head), whole + sizeof(head), reader->keystore_len, status)) !=
          0 ||
        (ret = oplog_chain_start(
           &reader->chain, whole, sizeof(head) + reader->keystore_len, status)) != 0)
        return (ret);
    reader->offset = reader->summary.good_end = sizeof(head) + reader->keystore_len;
    if ((ret = keystore_decode(
           whole + sizeof(head), reader->keystore_len, &reader->keystore, status)) != 0)
        return (status_add(status, "in the head of %s", reader->path));
    reader->last.offset = reader->offset;
    reader->last.summary = reader->summary;
    return (0);
}

int
oplog_reader_open(int fd, const char *path, OPLOG_READER **readerp, STATUS *status)
{
    OPLOG_READER *reader;
    int ret;

    *readerp = NULL;
    if ((reader = calloc(1, sizeof(*reader))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive"));
    if ((reader->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
        ret = status_set_errno(status, errno, "oplog-read", "%s", path);
        goto err;
    }
    if ((reader->path = strdup(path)) == NULL || (reader->zstd = ZSTD_createDCtx()) == NULL) {
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an oplog archive");
        goto err;
    }
    if ((ret = read_head(reader, status)) != 0)
        goto err;
    *readerp = reader;
    return (0);

err:
    oplog_reader_close(reader);
    return (ret);
}

void
oplog_reader_close(OPLOG_READER *reader)
{
    if (reader == NULL)
        return;
    if (reader->fd != -1)
        (void)close(reader->fd);
    oplog_chain_release(&reader->chain);
    keystore_free(reader->keystore);
    (void)ZSTD_freeDCtx(reader->zstd);
    free(reader->keystore_data);
    free(reader->path);
    free(reader->sealed);
    free(reader->plain);
    free(reader->raw);
    free(reader);
}

const KEYSTORE *
oplog_reader_keystore(const OPLOG_READER *reader, const uint8_t **datap, size_t *lenp)
{
    *datap = reader->keystore_data + OPLOG_HEAD_LEN;
    *lenp = reader->keystore_len;
    return (reader->keystore);
}

void
oplog_reader_set_key(OPLOG_READER *reader, const SECRET *key)
{
    reader->key = key;
}

const OPLOG_SUMMARY *
oplog_reader_summary(const OPLOG_READER *reader)
{
    return (&reader->summary);
}

const OPLOG_CHAIN *
oplog_reader_chain(const OPLOG_READER *reader)
{
    return (&reader->chain);
}

uint32_t
oplog_reader_next_segment(const OPLOG_READER *reader)
{
    bool is_bare = reader->in_segment && reader->next_frame == 0;

    return (is_bare ? reader->next_segment - 1 : reader->next_segment);
}

void
oplog_reader_back(OPLOG_READER *reader)
{
    oplog_chain_release(&reader->chain);
    memcpy(reader->chain.tag, reader->last.tag, OPLOG_TAG_LEN);
    reader->offset = reader->last.offset;
    reader->summary = reader->last.summary;
    reader->in_segment = reader->last.in_segment;
    reader->next_segment = reader->last.next_segment;
}

/* --- segments and frames */

static int
enter_segment(OPLOG_READER *reader, const uint8_t header[OPLOG_SEGMENT_LEN], STATUS *status)
{
    OPLOG_SEGMENT segment;
    int ret;

    if ((ret = oplog_segment_get(header, &segment, status)) != 0)
        return (ret);
    /* A writer cuts off a segment that it never wrote a frame of. */
    if (segment.number != reader->next_segment || (reader->in_segment && reader->next_frame == 0))
        return (status_set(status, STATUS_CORRUPT, "oplog-sequence",
          "segment %" PRIu32 " stands where segment %" PRIu32 " should", segment.number,
          reader->next_segment));
    reader->before.offset = reader->offset;
    reader->before.summary = reader->summary;
    reader->before.in_segment = reader->in_segment;
    reader->before.next_segment = reader->next_segment;
    memcpy(reader->before.tag, reader->chain.tag, OPLOG_TAG_LEN);
    if ((ret = oplog_chain_segment(&reader->chain, reader->key, header, status)) != 0)
        return (ret);
    if (reader->in_segment)
        reader->summary.resumed++;
    if (reader->summary.segments++ == 0)
        reader->summary.started = segment.time;
    reader->summary.continued = segment.time;
    reader->in_segment = true;
    reader->next_segment++;
    reader->next_frame = 0;
    memset(&reader->counts, 0, sizeof(reader->counts));
    reader->offset += OPLOG_SEGMENT_LEN;
    return (0);
}

/* Ciphertext to what was sealed; in reader->plain. */
static int
decrypt(OPLOG_READER *reader, const OPLOG_FRAME *frame, const uint8_t header[OPLOG_FRAME_LEN],
  STATUS *status)
{
    size_t len = (size_t)frame->sealed_len + OPLOG_TAG_LEN;
    int ret;

    if (reader->key == NULL)
        return (read_at(reader, reader->offset + OPLOG_FRAME_LEN + frame->sealed_len,
          reader->chain.tag, OPLOG_TAG_LEN, status));
    if ((ret = need_memory(&reader->sealed, &reader->sealed_size, len, status)) != 0 ||
        (ret = need_memory(&reader->plain, &reader->plain_size, frame->sealed_len, status)) != 0 ||
        (ret = read_at(reader, reader->offset + OPLOG_FRAME_LEN, reader->sealed, len, status)) != 0)
        return (ret);
    return (oplog_chain_open(&reader->chain, frame, header, reader->sealed, reader->plain, status));
}

static int
uncompress(OPLOG_READER *reader, const OPLOG_FRAME *frame, STATUS *status)
{
    size_t len;
    int ret;

    if ((ret = need_memory(&reader->raw, &reader->raw_size, frame->raw_len, status)) != 0)
        return (ret);
    len = ZSTD_decompressDCtx(
      reader->zstd, reader->raw, frame->raw_len, reader->plain, frame->sealed_len);
    if (ZSTD_isError(len) || len != frame->raw_len)
        return (status_set(status, STATUS_CORRUPT, "oplog-documents",
          "a frame does not hold what it says it holds"));
    return (0);
}

static int
check_closing(OPLOG_READER *reader, STATUS *status)
{
    OPLOG_COUNTS said;

    if (reader->key == NULL)
        return (0);
    oplog_counts_get(reader->plain, &said);
    if (said.frames != reader->counts.frames || said.documents != reader->counts.documents ||
        said.bytes != reader->counts.bytes || said.all_documents != reader->summary.documents ||
        said.all_bytes != reader->summary.bytes)
        return (status_set(status, STATUS_CORRUPT, "oplog-counts",
          "a segment's closing frame counts other entries than there are"));
    return (0);
}

static int
take_data(OPLOG_READER *reader, const OPLOG_FRAME *frame, STATUS *status)
{
    OPLOG_SUMMARY *summary = &reader->summary;
    int ret;

    if (summary->documents > 0 && frame->first < summary->last)
        return (status_set(status, STATUS_CORRUPT, "oplog-sequence",
          "a frame's entries are of before those of the frame before it"));
    if (reader->key != NULL && (ret = uncompress(reader, frame, status)) != 0)
        return (ret);
    if (summary->documents == 0)
        summary->first = frame->first;
    summary->last = frame->last;
    summary->frames++;
    summary->documents += frame->documents;
    summary->bytes += frame->raw_len;
    reader->counts.frames++;
    reader->counts.documents += frame->documents;
    reader->counts.bytes += frame->raw_len;
    return (0);
}

/* A whole frame at the offset. */
static int
take_frame(OPLOG_READER *reader, const OPLOG_FRAME *frame, const uint8_t header[OPLOG_FRAME_LEN],
  STATUS *status)
{
    int ret;

    if (frame->number != reader->next_frame)
        return (status_set(status, STATUS_CORRUPT, "oplog-sequence",
          "frame %" PRIu32 " stands where frame %" PRIu32 " should", frame->number,
          reader->next_frame));
    if ((ret = decrypt(reader, frame, header, status)) != 0)
        return (ret);
    if (frame->kind == OPLOG_CLOSE) {
        if ((ret = check_closing(reader, status)) != 0)
            return (ret);
        reader->in_segment = false;
    } else if ((ret = take_data(reader, frame, status)) != 0)
        return (ret);
    reader->last = reader->before;
    reader->next_frame++;
    reader->offset += (uint64_t)OPLOG_FRAME_LEN + frame->sealed_len + OPLOG_TAG_LEN;
    reader->summary.good_end = reader->offset;
    return (0);
}

/* A file that grew but was not written to before the power went has zeros at its end. */
static int
rest_is_zero(OPLOG_READER *reader, bool *zerop, STATUS *status)
{
    uint8_t buf[4096];
    uint64_t offset = reader->offset;
    size_t i, len;
    int ret;

    *zerop = false;
    for (; offset < reader->summary.size; offset += len) {
        len = reader->summary.size - offset < sizeof(buf) ? (size_t)(reader->summary.size - offset)
                                                          : sizeof(buf);
        if ((ret = read_at(reader, offset, buf, len, status)) != 0)
            return (ret);
        for (i = 0; i < len; i++)
            if (buf[i] != 0)
                return (0);
    }
    *zerop = true;
    return (0);
}

/* What is at the offset, when it is whole: *openp says that the file ends inside of it. */
static int
step(OPLOG_READER *reader, OPLOG_FRAME *frame, bool *framep, bool *openp, STATUS *status)
{
    uint8_t header[OPLOG_SEGMENT_LEN];
    uint64_t left = reader->summary.size - reader->offset;
    int ret;

    _Static_assert(OPLOG_SEGMENT_LEN >= OPLOG_FRAME_LEN, "one buffer for both headers");
    *framep = *openp = false;
    if (left >= 4 && (ret = read_at(reader, reader->offset, header, 4, status)) != 0)
        return (ret);
    if (left < 4 || (!oplog_is_frame(header) && !oplog_is_segment(header))) {
        if ((ret = rest_is_zero(reader, openp, status)) != 0 || *openp)
            return (ret);
        if (left < 4) {
            *openp = true;
            return (0);
        }
        return (
          status_set(status, STATUS_CORRUPT, "oplog-frame", "here is neither frame nor segment"));
    }
    if (oplog_is_segment(header) || !reader->in_segment) {
        if ((*openp = left < OPLOG_SEGMENT_LEN))
            return (0);
        if ((ret = read_at(reader, reader->offset, header, OPLOG_SEGMENT_LEN, status)) != 0)
            return (ret);
        return (enter_segment(reader, header, status));
    }
    if ((*openp = left < OPLOG_FRAME_LEN))
        return (0);
    if ((ret = read_at(reader, reader->offset, header, OPLOG_FRAME_LEN, status)) != 0 ||
        (ret = oplog_frame_get(header, frame, status)) != 0)
        return (ret);
    if ((*openp = left < (uint64_t)OPLOG_FRAME_LEN + frame->sealed_len + OPLOG_TAG_LEN))
        return (0);
    *framep = true;
    return (take_frame(reader, frame, header, status));
}

int
oplog_reader_next(
  OPLOG_READER *reader, OPLOG_FRAME *frame, const uint8_t **datap, bool *endp, STATUS *status)
{
    bool is_frame, is_cut = false;
    int ret;

    *datap = NULL;
    *endp = false;
    while (reader->offset < reader->summary.size) {
        if ((ret = step(reader, frame, &is_frame, &is_cut, status)) != 0)
            return (at(reader, status));
        if (is_cut)
            break;
        if (is_frame && frame->kind == OPLOG_DATA) {
            *datap = reader->key == NULL ? NULL : reader->raw;
            return (0);
        }
    }
    *endp = true;
    /* An archive without a segment was begun and not gone on with. */
    reader->summary.is_open = is_cut || reader->in_segment || reader->summary.segments == 0;
    return (0);
}
