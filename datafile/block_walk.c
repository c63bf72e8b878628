/*
 * datafile/block_walk.c -- All blocks of a file, one after the other. See block_file.h.
 */
#include "datafile/block_file.h"

#include "datafile/block_scan.h"
#include "datafile/extent_list.h"
#include "datafile/walk_common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    BLOCK_FILE *file;
    BLOCK_WALK_MODE mode;
    const BLOCK_HANDLER *handler;
    BLOCK_SUMMARY summary;
    BLOCK_REGION region; /* being gathered; length 0: none */
    uint64_t reported;   /* progress */
} WALK;

static void
progress(WALK *walk, uint64_t done)
{
    if (walk->handler->progress == NULL)
        return;
    if (walk_common_due(done, walk->file->size, &walk->reported))
        walk->handler->progress(walk->handler->context, done, walk->file->size);
}

static int
flush_region(WALK *walk, STATUS *status)
{
    BLOCK_REGION region = walk->region;

    walk->region.length = 0;
    if (region.length == 0)
        return (0);
    if (region.zero)
        walk->summary.zero_bytes += region.length;
    else
        walk->summary.other_bytes += region.length;
    if (walk->handler->region == NULL)
        return (0);
    return (walk->handler->region(walk->handler->context, &region, status));
}

static int
add_region(WALK *walk, uint64_t offset, uint64_t length, bool zero, STATUS *status)
{
    int ret;

    if (walk->region.length != 0 && walk->region.zero != zero)
        if ((ret = flush_region(walk, status)) != 0)
            return (ret);
    if (walk->region.length == 0) {
        walk->region.offset = offset;
        walk->region.zero = zero;
    }
    walk->region.length += length;
    return (0);
}

/*
 * In chunks: an allocation unit may be 128 MB. *lengthp is less afterwards where the file became shorter
 * meanwhile.
 */
static int
stretch_zero(BLOCK_FILE *file, uint64_t offset, uint64_t *lengthp, bool *zerop, STATUS *status)
{
    const uint8_t *p;
    uint64_t done;
    size_t got, n;
    int ret;

    for (*zerop = true, done = 0; *zerop && done < *lengthp; done += n) {
        n = *lengthp - done < READER_CHUNK ? (size_t)(*lengthp - done) : READER_CHUNK;
        if ((ret = reader_view(&file->reader, offset + done, n, &p, &got, status)) != 0)
            return (ret);
        if (got == 0) {
            *lengthp = done;
            file->size = offset + done;
            return (0);
        }
        *zerop = reader_all_zero(p, got);
    }
    return (0);
}

/* No block starts at offset: pass over one allocation unit, or over a hole of the file system. */
static int
pass_over(WALK *walk, uint64_t *offsetp, STATUS *status)
{
    BLOCK_FILE *file = walk->file;
    uint64_t data, length;
    bool zero;
    int ret;

    length = file->size - *offsetp;
    if (length > file->allocation_size)
        length = file->allocation_size;
    if ((ret = stretch_zero(file, *offsetp, &length, &zero, status)) != 0)
        return (ret);
    if ((ret = add_region(walk, *offsetp, length, zero, status)) != 0)
        return (ret);
    *offsetp += length;

    /* Asked for once in a while only: the file system answers with a call, memory is faster. */
    if (zero && walk->region.length % READER_CHUNK < file->allocation_size &&
        *offsetp < file->size) {
        data = reader_skip_hole(&file->reader, *offsetp, file->allocation_size);
        if (data > file->size)
            data = file->size;
        if (data > *offsetp) {
            if ((ret = add_region(walk, *offsetp, data - *offsetp, true, status)) != 0)
                return (ret);
            *offsetp = data;
        }
    }
    return (0);
}

static int
give_metadata(WALK *walk, const BLOCK *block, const EXTENT_LIST *list, STATUS *status)
{
    BLOCK_METADATA metadata;
    STATUS ignored;
    uint8_t *decoded;
    int ret;

    decoded = NULL;
    memset(&metadata, 0, sizeof(metadata));
    metadata.block_offset = block->offset;
    metadata.write_generation = list->write_generation;
    metadata.encrypted = list->metadata_encrypted;
    metadata.encryption = (const char *)block->image + list->encryption_offset;
    metadata.encryption_length = list->encryption_length;
    metadata.text_offset = block->offset + list->text_offset;
    metadata.text = (const char *)block->image + list->text_offset;
    metadata.text_length = list->text_length;
    if (list->metadata_encrypted) {
        if ((decoded = malloc(list->text_length / 2 + 1)) == NULL)
            return (status_set_errno(
              status, ENOMEM, "no-memory", "cannot decode an extent list's metadata"));
        if (extent_list_decode(metadata.text, metadata.text_length, decoded, &metadata.unit,
              &metadata.unit_length, &metadata.cut, &ignored) == 0)
            metadata.hex_ok = !metadata.cut;
    }
    walk->summary.metadata++;
    ret = walk->handler->metadata == NULL
            ? 0
            : walk->handler->metadata(walk->handler->context, &metadata, status);
    free(decoded);
    return (ret);
}

static int
give_block(WALK *walk, BLOCK *block, STATUS *status)
{
    EXTENT_LIST list;
    STATUS ignored;
    int ret;

    if (block->page_type == BLOCK_TYPE_MANAGER && !block->encrypted && block->verified &&
        block->image_have == block->disk_size)
        block->extent_list =
          extent_list_parse(block->image, block->image_have, &list, &ignored) == 0;

    walk->summary.blocks++;
    if (block->encrypted)
        walk->summary.encrypted++;
    else if (block->extent_list)
        walk->summary.extent_lists++;
    else
        walk->summary.clear++;
    if (block->overlapped)
        walk->summary.overlapped++;

    if (walk->handler->block != NULL &&
        (ret = walk->handler->block(walk->handler->context, block, status)) != 0)
        return (ret);
    if (block->extent_list && list.live && list.text_offset != 0)
        return (give_metadata(walk, block, &list, status));
    return (0);
}

/*
 * Where only 64 bytes are summed the rest may have been given to other blocks since: *nextp is the
 * first of them, or the end of this block.
 */
static int
find_inner(WALK *walk, BLOCK *block, uint64_t *nextp, STATUS *status)
{
    BLOCK inner;
    uint64_t end, offset;
    bool valid;
    int ret;

    end = block->offset + block->disk_size;
    *nextp = end;
    if (block->whole_checksum)
        return (0);
    for (offset = block->offset + walk->file->allocation_size; offset < end;
         offset += walk->file->allocation_size) {
        if ((ret = block_scan_verify(walk->file, offset, &valid, &inner, status)) != 0)
            return (ret);
        if (valid) {
            block->overlapped = true;
            *nextp = offset;
            return (0);
        }
    }
    return (0);
}

static int
step_full(WALK *walk, uint64_t *offsetp, STATUS *status)
{
    BLOCK block;
    uint64_t next;
    bool valid;
    int ret;

    if ((ret = block_scan_verify(walk->file, *offsetp, &valid, &block, status)) != 0)
        return (ret);
    if (!valid)
        return (pass_over(walk, offsetp, status));
    if ((ret = flush_region(walk, status)) != 0)
        return (ret);
    if ((ret = find_inner(walk, &block, &next, status)) != 0)
        return (ret);
    if ((ret = block_scan_image(walk->file, &block, status)) != 0)
        return (ret);
    *offsetp = next;
    return (give_block(walk, &block, status));
}

static int
step_headers(WALK *walk, uint64_t *offsetp, STATUS *status)
{
    BLOCK block;
    const uint8_t *p;
    size_t got;
    bool ordinary;
    int ret;

    if ((ret = reader_peek(&walk->file->reader, *offsetp, BLOCK_HEAD, &p, &got, status)) != 0)
        return (ret);
    /* What is no ordinary header may be a block all the same: the checksum tells. */
    if (got < BLOCK_HEAD || !block_scan_header(walk->file, *offsetp, p, &block, &ordinary) ||
        !ordinary)
        return (step_full(walk, offsetp, status));
    /* Short checksums cost nothing, extent lists are few: those are as in a full walk. */
    if (!block.whole_checksum || (block.page_type == BLOCK_TYPE_MANAGER && !block.encrypted))
        return (step_full(walk, offsetp, status));
    block.image = p;
    block.image_have = got;
    block_scan_unit(walk->file, &block);
    if (block.encrypted && !block.length_ok)
        return (step_full(walk, offsetp, status));
    if ((ret = flush_region(walk, status)) != 0)
        return (ret);
    *offsetp += block.disk_size;
    return (give_block(walk, &block, status));
}

int
block_file_walk(BLOCK_FILE *file, BLOCK_WALK_MODE mode, const BLOCK_HANDLER *handler,
  BLOCK_SUMMARY *summaryp, STATUS *status)
{
    WALK walk;
    uint64_t offset;
    int ret;

    memset(&walk, 0, sizeof(walk));
    walk.file = file;
    walk.mode = walk.summary.mode = mode;
    walk.handler = handler;
    file->wasted = 0;

    ret = 0;
    for (offset = file->allocation_size; ret == 0 && offset < file->size;) {
        ret = mode == BLOCK_WALK_HEADERS ? step_headers(&walk, &offset, status)
                                         : step_full(&walk, &offset, status);
        progress(&walk, offset);
    }
    if (ret == 0)
        ret = flush_region(&walk, status);
    if (summaryp != NULL)
        *summaryp = walk.summary;
    return (ret == WALK_STOP ? 0 : ret);
}
