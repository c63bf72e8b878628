/*
 * datafile/log_file.h -- The records of a WiredTiger log file, read without WiredTiger.
 *
 * Layer: datafile. Finds units, judges none. Source: WiredTiger's src/include/log.h (src/log/log.h
 * in 11.3) and log.c; log versions 1 to 5, that is WiredTiger 2.x to 11.3.1.
 *
 * A record starts at a multiple of the file's alignment (128, more with direct I/O) and is padded to
 * one, inside its length and CRC:
 *
 *      0  4  length of all, with padding
 *      4  4  CRC32C of all, this field counting as zero
 *      8  2  flags: 1 compressed, 2 encrypted
 *     10  2  unused
 *     12  4  length when decompressed
 *     16  -  data; of an encrypted record: length u32 of all from offset 0, the unit, padding (zeros,
 *            the last byte 0xAB from 10.0 on)
 *
 * Two records of a file are clear by design: the descriptor at 0, and at the next place the previous-LSN
 * record (version 2 and later). WiredTiger accepts any other clear record in an encrypted log as well:
 * whoever can write the disk could slip rows in, so they are reported for what they are.
 * One LOG_FILE, one thread.
 */
#ifndef WTKMS_DATAFILE_LOG_FILE_H
#define WTKMS_DATAFILE_LOG_FILE_H

#include "common/status.h"
#include "datafile/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOG_FILE_MAGIC 0x101064u
#define LOG_FILE_ALIGNMENT_MIN 128u
#define LOG_RECORD_HEADER_LEN 16
#define LOG_RECORD_CHECKSUM_OFFSET 4
#define LOG_RECORD_UNIT_OFFSET 20 /* of a unit in its record */

#define LOG_RECORD_FLAG_COMPRESSED 0x01
#define LOG_RECORD_FLAG_ENCRYPTED 0x02

typedef enum {
    LOG_RECORD_DESCRIPTOR,   /* clear by design: at 0, exactly as the engine writes it */
    LOG_RECORD_PREVIOUS_LSN, /* clear by design: behind the descriptor, nothing else in it */
    LOG_RECORD_ENCRYPTED,
    LOG_RECORD_CLEAR /* any other that is not encrypted */
} LOG_RECORD_KIND;

typedef struct {
    uint64_t offset;
    uint32_t length;
    LOG_RECORD_KIND kind;
    uint16_t flags;
    uint32_t mem_length;
    bool after_gap; /* a hole or damage comes before: the engine's recovery stops there */

    /* Of an encrypted record, else zero. */
    uint32_t stored_length; /* the length field as it is */
    bool length_ok;         /* at least 20, fits, and needs the whole record */
    const uint8_t *unit;    /* NULL when the length is not ok */
    size_t unit_length;     /* stored_length - 20; may be too short to be a unit */
    bool padding_ok;        /* what follows the unit is padding as the engine makes it */

    const uint8_t *image; /* the record, length bytes */
} LOG_RECORD;

typedef enum {
    LOG_GAP_TAIL, /* zeros to the end of the file: preallocated */
    LOG_GAP_HOLE, /* zeros, and something behind them */
    LOG_GAP_TORN, /* the start of a record whose end was not written, at the end of what was */
    LOG_GAP_OTHER /* no record and not zero */
} LOG_GAP_KIND;

typedef struct {
    uint64_t offset;
    uint64_t length;
    LOG_GAP_KIND kind;
} LOG_GAP;

/*
 * Called in order of offset; what they are given is good until they return. Any may be NULL. Return
 * as for a BLOCK_HANDLER.
 */
typedef struct {
    int (*record)(void *context, const LOG_RECORD *record, STATUS *status);
    int (*gap)(void *context, const LOG_GAP *gap, STATUS *status);
    void (*progress)(void *context, uint64_t done, uint64_t total); /* about once a MiB */
    void *context;
} LOG_HANDLER;

typedef struct {
    uint64_t encrypted;
    uint64_t clear; /* beyond the two that are clear by design. In an encrypted log: 0 */
    uint64_t by_design;
    uint64_t hole_bytes;  /* LOG_GAP_HOLE */
    uint64_t tail_bytes;  /* LOG_GAP_TAIL */
    uint64_t other_bytes; /* LOG_GAP_TORN, LOG_GAP_OTHER */
} LOG_SUMMARY;

typedef struct {
    READER reader;
    uint64_t size;
    uint32_t alignment; /* the descriptor's length */
    uint16_t version;
    uint64_t size_limit; /* log=(file_max) when the file was made */
    bool descriptor_ok;
    uint64_t wasted;
    uint8_t *image;
} LOG_FILE;

/* log_file_is -- Whether a file that starts with these bytes has the magic of a log file. */
bool log_file_is(const uint8_t *start, size_t len);

/*
 * log_file_open -- Look at the descriptor of an open file (not owned; name is for messages, not
 *     copied). STATUS_CORRUPT: no log file, "log-magic"; descriptor damaged, "log-descriptor": with
 *     tolerant set this is no error, descriptor_ok is false, and an alignment of 128 is assumed.
 *     STATUS_IO. The caller calls log_file_close, after an error too.
 */
int log_file_open(
  LOG_FILE *file, int fd, const char *name, bool tolerant, STATUS *status) WTKMS_CHECKED;

/* log_file_close -- Free what the file holds. The descriptor stays open. */
void log_file_close(LOG_FILE *file);

/*
 * log_file_walk -- Find all records, also those behind holes and damage, where the engine would
 *     stop. summaryp may be NULL. STATUS_IO, STATUS_NO_MEMORY, what the handler returned;
 *     STATUS_CORRUPT, "log-walk-cost": the file is made so that looking at it would take for ever.
 */
int log_file_walk(
  LOG_FILE *file, const LOG_HANDLER *handler, LOG_SUMMARY *summaryp, STATUS *status) WTKMS_CHECKED;

/*
 * log_file_has_records -- Whether there is anything beyond the descriptor, the previous-LSN record and
 *     zeros. A preallocated or a fresh log file has not. STATUS_IO, STATUS_NO_MEMORY.
 */
int log_file_has_records(LOG_FILE *file, bool *hasp, STATUS *status) WTKMS_CHECKED;

#endif
