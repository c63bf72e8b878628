/*
 * test/fuzz/fuzz_log.c -- libFuzzer: bytes as a log file.
 *
 * The first byte says how: bit 0, checksums are put right first, so that what is behind them is reached;
 * bit 1, tolerant of a damaged descriptor. The rest is the file. Beside what the sanitizers see: records
 * and gaps cover the file without a gap, and a unit is inside its record.
 */
#include "common/crc32c.h"
#include "datafile/log_file.h"

#include <sys/mman.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define UNIT 128

typedef struct {
    uint64_t next;
    LOG_FILE file;
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

static void
seal(uint8_t *file, size_t size)
{
    size_t len, offset;

    for (offset = 0; offset + UNIT <= size; offset += (len + UNIT - 1) / UNIT * UNIT) {
        len = get32(file + offset);
        if (len < 16 || len > size - offset) {
            len = UNIT;
            continue;
        }
        put32(file + offset + 4, 0);
        put32(file + offset + 4, crc32c(0, file + offset, len));
    }
}

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    STATE *state = context;
    volatile unsigned sum;
    uint64_t align;
    uint32_t i;

    (void)status;
    require(record->offset == state->next);
    require(record->length > LOG_RECORD_HEADER_LEN);
    require(record->offset + record->length <= state->file.size);
    for (sum = 0, i = 0; i < record->length; i++)
        sum += record->image[i];
    (void)sum; /* every byte was read, which is what is tried here */
    if (record->unit != NULL) {
        require(record->kind == LOG_RECORD_ENCRYPTED && record->length_ok);
        require(LOG_RECORD_UNIT_OFFSET + record->unit_length <= record->length);
    } else
        require(record->unit_length == 0);
    align = state->file.alignment;
    state->next = (record->offset + record->length + align - 1) / align * align;
    return (0);
}

static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    STATE *state = context;

    (void)status;
    require(gap->offset == state->next && gap->length > 0);
    state->next = gap->offset + gap->length;
    return (0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    STATE state;
    STATUS status;
    LOG_HANDLER handler = {on_record, on_gap, NULL, &state};
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
    if (log_file_open(&state.file, fd, "fuzz", (how & 2) != 0, &status) == 0) {
        require(log_file_walk(&state.file, &handler, NULL, &status) == 0);
        require(state.next >= size);
    }
    log_file_close(&state.file);
    (void)close(fd);
    free(copy);
    return (0);
}
