/*
 * test/fuzz/fuzz_block.c -- libFuzzer: bytes as a block file.
 *
 * The first byte says how: bit 0, checksums are put right first, so that what is behind them is reached;
 * bit 1, a headers-only walk; bit 2, tolerant of a damaged descriptor. The rest is the file. Beside
 * what the sanitizers see: blocks and regions cover the file without a gap, and what a block says is
 * there is inside it.
 */
#include "datafile/block_file.h"
#include "common/crc32c.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNIT 512

typedef struct {
    uint64_t next;
    bool overlapped; /* the last block: the next may begin inside it */
    BLOCK_FILE file;
} STATE;

static void
require(int truth)
{
    if (!truth)
        abort();
}

static void
put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
    p[2] = (uint8_t)(v >> 16);
    p[3] = (uint8_t)(v >> 24);
}

static uint32_t
get32(const uint8_t *p)
{
    return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
}

/* As a writer without mercy would: every place that could be a block gets a fitting checksum. */
static void
seal(uint8_t *file, size_t size)
{
    size_t offset, len;

    if (size < UNIT)
        return;
    put32(file + 8, 0);
    put32(file + 8, crc32c(0, file, UNIT));
    for (offset = UNIT; offset + UNIT <= size;) {
        len = get32(file + offset + 28);
        if (len == 0 || len % UNIT != 0 || len > size - offset)
            len = UNIT;
        put32(file + offset + 32, 0);
        put32(
          file + offset + 32, crc32c(0, file + offset, (file[offset + 36] & 1) != 0 ? len : 64));
        offset += len;
    }
}

static unsigned
touch(const uint8_t *p, size_t len)
{
    unsigned sum;

    for (sum = 0; len > 0; len--)
        sum += *p++;
    return (sum);
}

static void
arrive(STATE *state, uint64_t offset)
{
    require(state->overlapped ? offset <= state->next : offset == state->next);
    state->overlapped = false;
}

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    STATE *state = context;
    volatile unsigned sum;

    (void)status;
    arrive(state, block->offset);
    require(block->disk_size % state->file.allocation_size == 0 && block->disk_size > 0);
    require(block->offset + block->disk_size <= state->file.size);
    require(block->image_have <= block->disk_size);
    sum = touch(block->image, block->image_have);
    if (block->unit != NULL) {
        require(block->length_ok && block->unit == block->image + BLOCK_UNIT_OFFSET);
        require(block->unit_have <= block->unit_length);
        require(BLOCK_UNIT_OFFSET + block->unit_length <= block->disk_size);
        sum = touch(block->unit, block->unit_have);
    } else
        require(block->unit_length == 0 && block->unit_have == 0);
    (void)sum;
    state->next = block->offset + block->disk_size;
    state->overlapped = block->overlapped;
    return (0);
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    volatile unsigned sum;

    (void)context;
    (void)status;
    sum = touch((const uint8_t *)metadata->text, metadata->text_length);
    sum = touch((const uint8_t *)metadata->encryption, metadata->encryption_length);
    require((metadata->unit != NULL) == (metadata->hex_ok || metadata->cut));
    if (metadata->unit != NULL)
        sum = touch(metadata->unit, metadata->unit_length);
    (void)sum;
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    STATE *state = context;

    (void)status;
    arrive(state, region->offset);
    require(region->length > 0);
    state->next = region->offset + region->length;
    return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    STATE state;
    STATUS status;
    BLOCK_HANDLER handler = {on_block, on_metadata, on_region, NULL, &state};
    BLOCK_SUMMARY summary;
    uint8_t *copy, how;
    int fd;

    if (size < 1)
        return (0);
    how = *data++;
    size--;
    require((copy = malloc(size + 1)) != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    if ((how & 1) != 0)
        seal(copy, size);
    require((fd = memfd_create("fuzz", MFD_CLOEXEC)) >= 0);
    require(pwrite(fd, copy, size, 0) == (ssize_t)size);
    memset(&state, 0, sizeof(state));
    if (block_file_open(&state.file, fd, "fuzz", (how & 4) != 0, &status) == 0) {
        state.next = state.file.allocation_size;
        require(block_file_walk(&state.file, (how & 2) != 0 ? BLOCK_WALK_HEADERS : BLOCK_WALK_FULL,
                  &handler, &summary, &status) == 0);
        require(state.next == size || (size < state.file.allocation_size && summary.blocks == 0));
    }
    block_file_close(&state.file);
    (void)close(fd);
    free(copy);
    return (0);
}
