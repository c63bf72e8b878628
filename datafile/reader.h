/*
 * datafile/reader.h -- A window over a file: bounded reads for the walkers of block and log files.
 *
 * Layer: datafile. Reads with pread only, so the descriptor's position is nobody's business. The file
 * may shrink meanwhile (a host truncates): what is gone reads as the end of the file, never as a
 * crash, which is why nothing here is mapped. One reader, one thread.
 */
#ifndef WTKMS_DATAFILE_READER_H
#define WTKMS_DATAFILE_READER_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a walker's callback returns to end the walk early with success. Any other value but 0 is an
 * error class and ends the walk with it.
 */
#define WALK_STOP (-1)

#define READER_CHUNK ((size_t)1024 * 1024) /* read at a time when walking */
#define READER_VIEW_MAX \
    ((size_t)16 * 1024 * 1024) /* what is read before a checksum is known good */

typedef struct {
    int fd;           /* not owned */
    const char *name; /* for messages; not owned */
    uint64_t size;    /* of the file as it was at reader_start */
    uint8_t *window;
    size_t window_room;
    uint64_t window_offset;
    size_t window_len;
} READER;

/*
 * reader_start -- Prepare to read an open regular file. fd and name must outlive the reader. The
 *     caller calls reader_stop. STATUS_IO.
 */
int reader_start(READER *reader, int fd, const char *name, STATUS *status) WTKMS_CHECKED;

/* reader_stop -- Free the window. Allowed on a zeroed reader. */
void reader_stop(READER *reader);

/*
 * reader_view -- Have len bytes at offset in memory, reading ahead up to READER_CHUNK. *lenp is less
 *     than len where the file ends. *viewp is good until the next call on this reader. Allocates
 *     what was asked for: check lengths from the file first. STATUS_IO, STATUS_NO_MEMORY.
 */
int reader_view(READER *reader, uint64_t offset, size_t len, const uint8_t **viewp, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/*
 * reader_peek -- The same for a few bytes (at most 4096), without reading ahead.
 */
int reader_peek(READER *reader, uint64_t offset, size_t len, const uint8_t **viewp, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/*
 * reader_checksum -- CRC32C of [offset, offset + len), with the four bytes at offset + hole counting
 *     as zero. Streams: needs no more memory than the window. *completep is false where the file
 *     ends before that. STATUS_IO, STATUS_NO_MEMORY.
 */
int reader_checksum(READER *reader, uint64_t offset, uint64_t len, unsigned hole, bool *completep,
  uint32_t *crcp, STATUS *status) WTKMS_CHECKED;

/*
 * reader_skip_hole -- The first offset at or after this one where the file has data according to the
 *     file system: a multiple of align, or the file's size. Where it cannot tell, offset itself.
 */
uint64_t reader_skip_hole(const READER *reader, uint64_t offset, uint64_t align);

/* reader_all_zero -- Whether len bytes are all zero. */
bool reader_all_zero(const uint8_t *data, size_t len);

#endif
