/*
 * snapshot/sample.h -- Which data keys a part of one file is under, read without a key.
 *
 * Layer: snapshot; uses datafile. Works on pieces of a file that the caller has in memory, so files on
 * disk and members of an archive are looked at by the same code. A piece proves presence, never absence:
 * what was not read may be under other keys, and callers say so.
 */
#ifndef WTKMS_SNAPSHOT_SAMPLE_H
#define WTKMS_SNAPSHOT_SAMPLE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SAMPLE_START ((size_t)256 * 1024)  /* bytes from the start of a file */
#define SAMPLE_WINDOW ((size_t)128 * 1024) /* of each further piece */
#define SAMPLE_KEYS_MAX 64                 /* of one file; more are told by overflow */

typedef enum { SAMPLE_OTHER, SAMPLE_BLOCKS, SAMPLE_LOG } SAMPLE_KIND;

typedef struct {
    uint64_t keys[SAMPLE_KEYS_MAX];
    size_t key_count;
    bool overflow;
    uint64_t units;    /* encrypted ones seen */
    uint64_t clear;    /* pages or records that are not encrypted, beyond what always is clear */
    uint64_t foreign;  /* encrypted, but not by this module or not by this version */
    uint32_t unit_len; /* allocation size of blocks, alignment of log records: for further pieces */
    bool descriptor_ok; /* the start of the file holds together */
} SAMPLE;

/* sample_kind -- By the first bytes of a file. */
SAMPLE_KIND sample_kind(const uint8_t *start, size_t len);

/*
 * sample_start -- Look at the first len bytes of a file; whole says that this is all of it. sample is
 *     zeroed first. STATUS_IO, STATUS_NO_MEMORY.
 */
int sample_start(SAMPLE_KIND kind, const uint8_t *data, size_t len, bool whole, SAMPLE *sample,
  STATUS *status) WTKMS_CHECKED;

/*
 * sample_more -- Look at a further piece, which starts at a multiple of sample->unit_len in the file.
 *     descriptor holds the file's first sample->unit_len bytes. Classes as for sample_start.
 */
int sample_more(SAMPLE_KIND kind, const uint8_t *descriptor, const uint8_t *data, size_t len,
  SAMPLE *sample, STATUS *status) WTKMS_CHECKED;

#endif
