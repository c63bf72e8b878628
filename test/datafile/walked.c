/*
 * test/datafile/walked.c -- What a walk over a file found. See walked.h.
 */
#include "test/datafile/walked.h"

#include "crypto/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
note_key(WALKED *walked, uint64_t id)
{
    if (!walked_key(walked, id) && walked->key_count < WALKED_KEYS)
        walked->keys[walked->key_count++] = id;
}

static void
arrive(WALKED *walked, uint64_t offset)
{
    /* A block that is overlapped is cut short by the one inside it. */
    if (walked->count > 0 && walked->blocks[walked->count - 1].overlapped &&
        offset < walked->next && offset > walked->blocks[walked->count - 1].offset)
        walked->next = offset;
    if (offset != walked->next)
        walked->in_order = false;
}

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    WALKED *walked = context;
    uint64_t id;
    size_t i;
    uint8_t sum;

    arrive(walked, block->offset);
    walked->next = block->offset + block->disk_size;
    /* Touch all that is said to be there: the sanitizers watch. */
    for (sum = 0, i = 0; i < block->image_have; i++)
        sum ^= block->image[i];
    for (i = 0; i < block->unit_have; i++)
        sum ^= block->unit[i];
    (void)sum;
    if (block->encrypted) {
        if (block->unit_have == block->unit_length &&
            fixture_whole(block->unit, block->unit_length, &id))
            walked->whole++;
        else
            walked->broken++;
        if (block->unit_have >= UNIT_HEADER_LEN) {
            memcpy(&id, block->unit + 4, sizeof(id));
            note_key(walked, id);
        }
        if (!block->padding_zero)
            walked->padding_bad++;
    }
    walked->blocks = realloc(walked->blocks, (walked->count + 1) * sizeof(BLOCK));
    if (walked->blocks == NULL)
        abort();
    walked->blocks[walked->count] = *block;
    walked->blocks[walked->count].image = walked->blocks[walked->count].unit = NULL;
    walked->count++;
    if (walked->stop_after != 0 && walked->count == walked->stop_after) {
        if (walked->stop_with != WALK_STOP)
            return (status_set(status, walked->stop_with, "test", "stopped"));
        return (WALK_STOP);
    }
    return (0);
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    WALKED *walked = context;
    uint64_t id;
    size_t len;

    (void)status;
    (void)snprintf(walked->encryption, sizeof(walked->encryption), "%.*s",
      (int)metadata->encryption_length, metadata->encryption);
    if (!metadata->encrypted) {
        walked->metadata_clear++;
        (void)snprintf(walked->metadata, sizeof(walked->metadata), "%.*s",
          (int)metadata->text_length, metadata->text);
        return (0);
    }
    if (metadata->cut) {
        /* 3.2's: all but one byte of the tag is there. */
        if (metadata->unit == NULL || metadata->unit_length < UNIT_OVERHEAD - 1)
            walked->metadata_broken++;
        walked->metadata_cut++;
        return (0);
    }
    if (!metadata->hex_ok || !fixture_whole(metadata->unit, metadata->unit_length, &id)) {
        walked->metadata_broken++;
        return (0);
    }
    walked->metadata_whole++;
    note_key(walked, id);
    len = metadata->unit_length - UNIT_OVERHEAD;
    if (len < sizeof(walked->metadata)) {
        fixture_decrypt(metadata->unit, metadata->unit_length, (uint8_t *)walked->metadata);
        walked->metadata[len] = '\0';
    }
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    WALKED *walked = context;

    (void)status;
    arrive(walked, region->offset);
    if (region->length == 0)
        walked->in_order = false;
    walked->next = region->offset + region->length;
    return (0);
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
    WALKED *walked = context;

    walked->progress++;
    if (done > total)
        walked->in_order = false;
}

void
walked_fd(WALKED *walked, int fd, BLOCK_WALK_MODE mode, bool tolerant)
{
    BLOCK_HANDLER handler = {on_block, on_metadata, on_region, on_progress, walked};
    BLOCK_FILE file;

    status_clear(&walked->status);
    walked->in_order = true;
    walked->ret = block_file_open(&file, fd, "test.wt", tolerant, &walked->status);
    walked->allocation_size = file.allocation_size;
    walked->descriptor_ok = file.descriptor_ok;
    walked->size = file.size;
    walked->next = file.allocation_size;
    if (walked->ret == 0)
        walked->ret = block_file_walk(&file, mode, &handler, &walked->summary, &walked->status);
    block_file_close(&file);
}

void
walked_file(WALKED *walked, int dirfd, const char *name, BLOCK_WALK_MODE mode)
{
    int fd;

    memset(walked, 0, sizeof(*walked));
    if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC)) < 0) {
        perror(name);
        exit(1);
    }
    walked_fd(walked, fd, mode, false);
    (void)close(fd);
}

void
walked_free(WALKED *walked)
{
    free(walked->blocks);
    walked->blocks = NULL;
    walked->count = 0;
}

const BLOCK *
walked_at(const WALKED *walked, uint64_t offset)
{
    size_t i;

    for (i = 0; i < walked->count; i++)
        if (walked->blocks[i].offset == offset)
            return (&walked->blocks[i]);
    return (NULL);
}

bool
walked_key(const WALKED *walked, uint64_t id)
{
    size_t i;

    for (i = 0; i < walked->key_count; i++)
        if (walked->keys[i] == id)
            return (true);
    return (false);
}

void
walked_complete(const WALKED *walked)
{
    const BLOCK_SUMMARY *s = &walked->summary;

    CU_ASSERT_EQUAL(walked->ret, 0);
    if (walked->ret != 0)
        (void)fprintf(stderr, "%s\n", walked->status.message);
    CU_ASSERT_TRUE(walked->in_order);
    if (walked->size > walked->allocation_size)
        CU_ASSERT_EQUAL(walked->next, walked->size);
    CU_ASSERT_EQUAL(s->blocks, walked->count);
    CU_ASSERT_EQUAL(s->blocks, s->encrypted + s->clear + s->extent_lists);
}
