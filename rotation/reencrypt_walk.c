/*
 * rotation/reencrypt_walk.c -- See reencrypt_walk.h.
 */
#include "rotation/reencrypt_walk.h"

#include "common/little_endian.h"
#include "crypto/unit.h"
#include "datafile/log_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HEAD_LEN (BLOCK_UNIT_OFFSET + UNIT_HEADER_LEN)
#define RECORD_HEAD_LEN (LOG_RECORD_UNIT_OFFSET + UNIT_HEADER_LEN)
#define WHAT_REMAINS \
    "the start of an overwritten or damaged block under a data key that is not active"

void
reencrypt_walk_finding(
  REENCRYPT_WALK *walk, const REENCRYPT_FILE *file, uint64_t offset, bool remains, const char *what)
{
    REENCRYPT_RESULT *result = walk->result;
    REENCRYPT_FINDING *finding, *grown;

    (void)pthread_mutex_lock(&walk->lock);
    if (remains)
        result->remains++;
    else
        result->untouched++;
    if (result->finding_count < REENCRYPT_FINDINGS_MAX) {
        grown =
          reallocarray(result->findings, result->finding_count + 1, sizeof(*result->findings));
        if (grown == NULL)
            walk->finding_error = ENOMEM;
        else {
            result->findings = grown;
            finding = &grown[result->finding_count];
            finding->offset = offset;
            finding->path = strdup(file->path);
            finding->what = strdup(what);
            result->finding_count++;
        }
    }
    (void)pthread_mutex_unlock(&walk->lock);
}

void
reencrypt_walk_untouched(void *context, const REENCRYPT_ITEM *item, const STATUS *status)
{
    reencrypt_walk_finding(context, item->file, item->offset, false, status->message);
}

static bool
is_interrupted(REENCRYPT_WALK *walk)
{
    if (walk->options->interrupted != NULL && walk->options->interrupted(walk->options->context))
        walk->result->stopped = true;
    return (walk->result->stopped);
}

/*
 * What a unit's header says. *keyp is NULL where there is nothing to do for it: it is under its active
 * key, or no key here opens it, which was noted.
 */
static int
judge(REENCRYPT_WALK *walk, uint64_t offset, const uint8_t *unit, size_t length, size_t have,
  REENCRYPT_KEY **keyp, STATUS *status)
{
    REENCRYPT_KEY *key;
    STATUS parsed;
    UNIT_HEADER header;
    char what[128];
    int ret;

    *keyp = NULL;
    if (unit == NULL || have < UNIT_HEADER_LEN || unit_parse(unit, length, &header, &parsed) != 0) {
        reencrypt_walk_finding(walk, walk->file, offset, false,
          unit == NULL || have < UNIT_HEADER_LEN ? "the length of the encrypted part is wrong"
                                                 : parsed.message);
        return (0);
    }
    if ((ret = reencrypt_keys_find(&walk->keys, header.data_key_id, &key, status)) != 0)
        return (ret);
    key->units++;
    key->bytes += length;
    if (key->key == NULL || key->active_id == 0) {
        (void)snprintf(what, sizeof(what),
          "its data key %016llx is not in the keystore, or retired",
          (unsigned long long)header.data_key_id);
        reencrypt_walk_finding(walk, walk->file, offset, false, what);
        return (0);
    }
    if (key->active_id == key->id)
        return (0);
    walk->result->due++;
    walk->result->due_bytes += length;
    *keyp = key;
    return (0);
}

static int
add(REENCRYPT_WALK *walk, REENCRYPT_KIND kind, const REENCRYPT_KEY *key, uint64_t offset,
  const uint8_t *image, size_t length, size_t unit_offset, size_t unit_length, STATUS *status)
{
    REENCRYPT_ITEM item;
    int ret;

    if (walk->pipe == NULL)
        return (is_interrupted(walk) ? WALK_STOP : 0);
    memset(&item, 0, sizeof(item));
    item.kind = kind;
    item.file = walk->file;
    item.offset = offset;
    /* The pipe copies it; it is the copy that is written to. */
    memcpy(&item.image, &image, sizeof(image));
    item.length = length;
    item.unit_offset = unit_offset;
    item.unit_length = unit_length;
    if (key != NULL) {
        item.old_key = key->key;
        item.cipher = key->cipher;
    }
    if ((ret = reencrypt_pipe_add(walk->pipe, &item, status)) != 0)
        return (ret);
    return (is_interrupted(walk) ? WALK_STOP : 0);
}

/* *authenticp: its key opens it. In this thread: for the few cases that depend on it. */
static int
try_unit(REENCRYPT_WALK *walk, const REENCRYPT_KEY *key, const uint8_t *unit, size_t length,
  bool *authenticp, STATUS *status)
{
    STATUS tried;
    size_t len;
    int ret;

    *authenticp = false;
    if (walk->plain.size < length) {
        reencrypt_plain_release(&walk->plain);
        if ((walk->plain.data = malloc(length)) == NULL)
            return (status_set_errno(
              status, ENOMEM, "no-memory", "cannot hold a page of %zu bytes", length));
        walk->plain.size = length;
    }
    ret = unit_decrypt(key->key, unit, length, walk->plain.data, walk->plain.size, &len, &tried);
    if (ret != 0 && ret != STATUS_BAD_UNIT && ret != STATUS_NO_KEY) {
        *status = tried;
        return (ret);
    }
    *authenticp = ret == 0;
    return (0);
}

/* --- remains of overwritten blocks */

static void
add_head(REENCRYPT_WALK *walk, uint64_t offset, uint64_t end)
{
    if (walk->head_count == REENCRYPT_HEADS_MAX) {
        reencrypt_walk_finding(walk, walk->file, offset, true, WHAT_REMAINS);
        return;
    }
    walk->heads[walk->head_count].offset = offset;
    walk->heads[walk->head_count++].end = end;
}

/* Whether a block is what it says, beyond its checksum. */
static int
is_authentic(REENCRYPT_WALK *walk, const BLOCK *block, bool *authenticp, STATUS *status)
{
    REENCRYPT_KEY *key;
    STATUS ignored;
    UNIT_HEADER header;
    int ret;

    *authenticp = block->extent_list;
    if (!block->encrypted || block->unit == NULL || block->unit_have < block->unit_length ||
        unit_parse(block->unit, block->unit_length, &header, &ignored) != 0)
        return (0);
    if ((ret = reencrypt_keys_find(&walk->keys, header.data_key_id, &key, status)) != 0 ||
        key->key == NULL)
        return (ret);
    return (try_unit(walk, key, block->unit, block->unit_length, authenticp, status));
}

/*
 * The next block decides about the starts before it. One allocation unit is zeroed: it holds the
 * headers and the nonce, and nothing but that block can own it.
 */
static int
settle_heads(REENCRYPT_WALK *walk, const BLOCK *block, STATUS *status)
{
    const REENCRYPT_HEAD *head;
    size_t i;
    int ret = 0;
    bool authentic = false;

    if (walk->head_count == 0)
        return (0);
    if (block != NULL && (ret = is_authentic(walk, block, &authentic, status)) != 0)
        return (ret);
    for (i = 0; ret == 0 && i < walk->head_count; i++) {
        head = &walk->heads[i];
        if (authentic && block->offset > head->offset && block->offset < head->end)
            ret = add(
              walk, REENCRYPT_REMAINS, NULL, head->offset, NULL, walk->allocation, 0, 0, status);
        else
            reencrypt_walk_finding(walk, walk->file, head->offset, true, WHAT_REMAINS);
    }
    walk->head_count = 0;
    return (ret);
}

/* Whether a page's headers and a unit under a key that is due start here; *sizep: the block's. */
static int
is_head(REENCRYPT_WALK *walk, const uint8_t *p, uint64_t *sizep, bool *isp, STATUS *status)
{
    REENCRYPT_KEY *key;
    STATUS ignored;
    UNIT_HEADER header;
    uint32_t length = le_get32(p + BLOCK_HEADERS_LEN);
    int ret;

    *isp = false;
    *sizep = le_get32(p + 28);
    if ((p[25] & BLOCK_PAGE_ENCRYPTED) == 0 || p[24] < BLOCK_TYPE_MANAGER ||
        p[24] > BLOCK_TYPE_ROW_LEAF || *sizep == 0 || *sizep % walk->allocation != 0 ||
        length < BLOCK_UNIT_OFFSET || length > *sizep ||
        unit_parse(p + BLOCK_UNIT_OFFSET, length - BLOCK_UNIT_OFFSET, &header, &ignored) != 0)
        return (0);
    if ((ret = reencrypt_keys_find(&walk->keys, header.data_key_id, &key, status)) != 0)
        return (ret);
    *isp = key->key != NULL && key->active_id != key->id;
    return (0);
}

static int
read_at(REENCRYPT_WALK *walk, void *data, size_t len, uint64_t offset, bool *wholep, STATUS *status)
{
    ssize_t n;

    do
        n = pread(walk->fd, data, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return (status_set_errno(status, errno, "reencrypt-read", "reading at offset %llu of %s",
          (unsigned long long)offset, walk->file->path));
    *wholep = n == (ssize_t)len;
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    REENCRYPT_WALK *walk = context;
    uint8_t head[HEAD_LEN];
    uint64_t end = region->offset + region->length, offset, size;
    int ret;
    bool is, whole;

    if (region->zero)
        return (0);
    for (offset = region->offset; offset < end; offset += walk->allocation) {
        if ((ret = read_at(walk, head, sizeof(head), offset, &whole, status)) != 0)
            return (ret);
        if (!whole)
            break;
        if ((ret = is_head(walk, head, &size, &is, status)) != 0)
            return (ret);
        if (is)
            add_head(walk, offset, offset + size);
    }
    return (0);
}

/* --- blocks */

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    REENCRYPT_WALK *walk = context;
    REENCRYPT_KEY *key;
    int ret;
    bool authentic;

    walk->block = *block;
    if ((ret = settle_heads(walk, block, status)) != 0)
        return (ret);
    if (!block->encrypted)
        return (is_interrupted(walk) ? WALK_STOP : 0);
    if ((ret = judge(walk, block->offset, block->unit, block->unit_length, block->unit_have, &key,
           status)) != 0 ||
        key == NULL)
        return (ret);
    if (walk->pipe == NULL)
        return (add(walk, REENCRYPT_BLOCK, key, block->offset, NULL, 0, 0, 0, status));
    if (block->image_have < block->disk_size) {
        reencrypt_walk_finding(walk, walk->file, block->offset, false, "too large to be rewritten");
        return (0);
    }
    if (block->overlapped) {
        /* Summed over its first bytes only, and a newer block stands inside: whole it cannot be. */
        if ((ret = try_unit(walk, key, block->unit, block->unit_length, &authentic, status)) != 0)
            return (ret);
        if (!authentic) {
            walk->result->due--;
            walk->result->due_bytes -= block->unit_length;
            add_head(walk, block->offset, block->offset + block->disk_size);
            return (0);
        }
    }
    return (add(walk, REENCRYPT_BLOCK, key, block->offset, block->image, block->disk_size,
      BLOCK_UNIT_OFFSET, block->unit_length, status));
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    REENCRYPT_WALK *walk = context;
    REENCRYPT_KEY *key;
    int ret;

    if (!metadata->encrypted)
        return (0);
    if ((ret = judge(walk, metadata->text_offset, metadata->unit,
           metadata->unit_length + (metadata->cut ? 1 : 0), metadata->unit_length, &key, status)) !=
          0 ||
        key == NULL)
        return (ret);
    return (add(walk, REENCRYPT_METADATA, key, metadata->block_offset, walk->block.image,
      walk->block.disk_size, (size_t)(metadata->text_offset - metadata->block_offset),
      metadata->text_length, status));
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
    REENCRYPT_WALK *walk = context;

    (void)total;
    if (done > walk->reported && walk->options->progress != NULL)
        walk->options->progress(walk->options->context, done - walk->reported);
    walk->reported = done;
}

static int
walk_blocks(REENCRYPT_WALK *walk, STATUS *status)
{
    BLOCK_FILE blocks;
    BLOCK_HANDLER handler = {
      on_block, on_metadata, walk->pipe == NULL ? NULL : on_region, on_progress, walk};
    int ret;

    if ((ret = block_file_open(&blocks, walk->fd, walk->file->path, true, status)) == 0) {
        walk->allocation = blocks.allocation_size;
        if (!blocks.descriptor_ok)
            reencrypt_walk_finding(
              walk, walk->file, 0, false, "the descriptor at the start of the file is damaged");
        ret = block_file_walk(&blocks, walk->pipe == NULL ? BLOCK_WALK_HEADERS : BLOCK_WALK_FULL,
          &handler, NULL, status);
        if (ret == 0)
            ret = settle_heads(walk, NULL, status);
    }
    block_file_close(&blocks);
    return (ret);
}

/* --- logs */

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    REENCRYPT_WALK *walk = context;
    REENCRYPT_KEY *key;
    int ret;

    if (record->kind != LOG_RECORD_ENCRYPTED)
        return (0);
    if ((ret = judge(walk, record->offset, record->unit, record->unit_length, record->unit_length,
           &key, status)) != 0 ||
        key == NULL)
        return (ret);
    return (add(walk, REENCRYPT_RECORD, key, record->offset, record->image, record->length,
      LOG_RECORD_UNIT_OFFSET, record->unit_length, status));
}

/* A record that a crash cut short, or damage: the engine's recovery cuts the file there. */
static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    REENCRYPT_WALK *walk = context;
    UNIT_HEADER header;
    STATUS ignored;
    uint8_t head[RECORD_HEAD_LEN];
    uint64_t offset;
    int ret;
    bool whole;

    if (gap->kind != LOG_GAP_TORN && gap->kind != LOG_GAP_OTHER)
        return (0);
    for (offset = gap->offset; offset < gap->offset + gap->length;
         offset += LOG_FILE_ALIGNMENT_MIN) {
        if ((ret = read_at(walk, head, sizeof(head), offset, &whole, status)) != 0)
            return (ret);
        if (whole && (head[8] & LOG_RECORD_FLAG_ENCRYPTED) != 0 &&
            unit_parse(head + LOG_RECORD_UNIT_OFFSET, UNIT_OVERHEAD, &header, &ignored) == 0)
            reencrypt_walk_finding(walk, walk->file, offset, true,
              "the start of a log record that is not whole; the engine's next start cuts it off");
    }
    return (0);
}

static int
walk_log(REENCRYPT_WALK *walk, STATUS *status)
{
    LOG_FILE log;
    LOG_HANDLER handler = {on_record, on_gap, on_progress, walk};
    int ret;

    if ((ret = log_file_open(&log, walk->fd, walk->file->path, true, status)) == 0)
        ret = log_file_walk(&log, &handler, NULL, status);
    log_file_close(&log);
    return (ret);
}

int
reencrypt_walk_file(REENCRYPT_WALK *walk, const REENCRYPT_FILE *file, int fd, STATUS *status)
{
    int ret;

    walk->file = file;
    walk->fd = fd;
    walk->reported = 0;
    walk->head_count = 0;
    ret = file->is_log ? walk_log(walk, status) : walk_blocks(walk, status);
    /* A file made so that reading it would not end: the others are done all the same. */
    if (ret == STATUS_CORRUPT) {
        reencrypt_walk_finding(walk, file, 0, false, status->message);
        ret = 0;
    }
    if (ret == 0 && walk->finding_error != 0)
        ret = status_set_errno(status, walk->finding_error, "no-memory", "cannot hold findings");
    return (ret);
}
