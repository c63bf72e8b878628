/*
 * snapshot/sample.c -- Units in pieces of a file. See sample.h.
 *
 * The walkers of datafile/ take a descriptor, so a piece is given to them as a file in memory.
 */
#include "snapshot/sample.h"

#include "crypto/unit.h"
#include "datafile/block_file.h"
#include "datafile/log_file.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void
count_unit(SAMPLE *sample, const uint8_t *unit, size_t len, size_t have)
{
    STATUS ignored;
    UNIT_HEADER header;
    size_t i;

    if (unit == NULL || have < UNIT_HEADER_LEN || unit_parse(unit, len, &header, &ignored) != 0) {
        sample->foreign++;
        return;
    }
    sample->units++;
    for (i = 0; i < sample->key_count; i++)
        if (sample->keys[i] == header.data_key_id)
            return;
    if (sample->key_count == SAMPLE_KEYS_MAX)
        sample->overflow = true;
    else
        sample->keys[sample->key_count++] = header.data_key_id;
}

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    SAMPLE *sample = context;

    (void)status;
    if (block->encrypted)
        count_unit(sample, block->unit, block->unit_length, block->unit_have);
    else if (!block->extent_list)
        sample->clear++;
    return (0);
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    (void)status;
    if (metadata->encrypted)
        count_unit(context, metadata->unit, metadata->unit_length, metadata->unit_length);
    return (0);
}

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    SAMPLE *sample = context;

    (void)status;
    if (record->kind == LOG_RECORD_ENCRYPTED)
        count_unit(sample, record->unit, record->unit_length, record->unit_length);
    else if (record->kind == LOG_RECORD_CLEAR)
        sample->clear++;
    return (0);
}

static int
walk_blocks(int fd, SAMPLE *sample, STATUS *status)
{
    BLOCK_FILE blocks;
    BLOCK_HANDLER handler = {on_block, on_metadata, NULL, NULL, sample};
    int ret;

    if ((ret = block_file_open(&blocks, fd, "a sample", true, status)) == 0) {
        sample->unit_len = blocks.allocation_size;
        sample->descriptor_ok = blocks.descriptor_ok;
        ret = block_file_walk(&blocks, BLOCK_WALK_HEADERS, &handler, NULL, status);
    }
    block_file_close(&blocks);
    return (ret);
}

static int
walk_log(int fd, SAMPLE *sample, STATUS *status)
{
    LOG_FILE log;
    LOG_HANDLER handler = {on_record, NULL, NULL, sample};
    int ret;

    if ((ret = log_file_open(&log, fd, "a sample", true, status)) == 0) {
        sample->unit_len = log.alignment;
        sample->descriptor_ok = log.descriptor_ok;
        ret = log_file_walk(&log, &handler, NULL, status);
    }
    log_file_close(&log);
    return (ret);
}

static int
put(int fd, const uint8_t *data, size_t len, STATUS *status)
{
    ssize_t n;

    while (len > 0) {
        if ((n = write(fd, data, len)) < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return (status_set_errno(status, errno, "sample", "a sample in memory"));
        data += n;
        len -= (size_t)n;
    }
    return (0);
}

static int
walk_piece(SAMPLE_KIND kind, const uint8_t *head, size_t head_len, const uint8_t *data, size_t len,
  SAMPLE *sample, STATUS *status)
{
    int fd, ret;

    if ((fd = memfd_create("wtkms-sample", MFD_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "sample", "a sample in memory"));
    if ((ret = put(fd, head, head_len, status)) == 0 && (ret = put(fd, data, len, status)) == 0)
        ret = kind == SAMPLE_LOG ? walk_log(fd, sample, status) : walk_blocks(fd, sample, status);
    (void)close(fd);
    /* What does not hold together is no error of a sample: descriptor_ok and the counts tell. */
    return (ret == STATUS_CORRUPT ? 0 : ret);
}

SAMPLE_KIND
sample_kind(const uint8_t *start, size_t len)
{
    if (block_file_is(start, len))
        return (SAMPLE_BLOCKS);
    return (log_file_is(start, len) ? SAMPLE_LOG : SAMPLE_OTHER);
}

int
sample_start(
  SAMPLE_KIND kind, const uint8_t *data, size_t len, bool whole, SAMPLE *sample, STATUS *status)
{
    int ret;

    memset(sample, 0, sizeof(*sample));
    if (kind == SAMPLE_OTHER)
        return (0);
    if ((ret = walk_piece(kind, data, len, NULL, 0, sample, status)) != 0)
        return (ret);
    /* A descriptor that is larger than the piece cannot be judged by it. */
    if (!whole && !sample->descriptor_ok)
        sample->descriptor_ok = true;
    return (0);
}

int
sample_more(SAMPLE_KIND kind, const uint8_t *descriptor, const uint8_t *data, size_t len,
  SAMPLE *sample, STATUS *status)
{
    bool descriptor_ok = sample->descriptor_ok;
    uint32_t unit_len = sample->unit_len;
    int ret;

    ret = walk_piece(kind, descriptor, unit_len, data, len, sample, status);
    sample->descriptor_ok = descriptor_ok;
    sample->unit_len = unit_len;
    return (ret);
}
