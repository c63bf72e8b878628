/*
 * datafile/block_file.h -- The blocks of a WiredTiger file (tables, indexes, WiredTiger.wt), read
 *     without WiredTiger.
 *
 * Layer: datafile. Finds units, judges none: what is inside a unit is for the caller (crypto/unit.h).
 * Source: WiredTiger's src/include/block.h, btmem.h and src/block, the same from 3.2.1 to 11.3.1.
 *
 * A file is a descriptor (one allocation unit) and then blocks, live and stale, in any order. The
 * allocation size is not stored: the descriptor's CRC covers exactly one unit, which tells. A block
 * starts at a multiple of it:
 *
 *      0 28  page header: record number u64, write generation u64, size in memory u32, entries u32,
 *            type u8, flags u8 (1 compressed, 8 encrypted), unused u8, version u8
 *     28 12  block header: size on disk u32, CRC32C u32, flags u8 (1: the CRC is of the whole block,
 *            else of its first 64 bytes), unused 3; the CRC field counts as zero
 *     40  -  data; of an encrypted page: length u32 of all from offset 0, the unit, zeros to the end
 *
 * Numbers are little-endian. None of the headers is authenticated: whoever can write the file can make
 * them say anything, so every length is checked before it is used. One BLOCK_FILE, one thread; several
 * of them on one file are fine.
 */
#ifndef WTKMS_DATAFILE_BLOCK_FILE_H
#define WTKMS_DATAFILE_BLOCK_FILE_H

#include "common/status.h"
#include "datafile/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BLOCK_MAGIC 120897u
#define BLOCK_ALLOCATION_MIN 512u
#define BLOCK_ALLOCATION_MAX (128u * 1024 * 1024)
#define BLOCK_HEADERS_LEN 40     /* page header and block header */
#define BLOCK_CHECKSUM_OFFSET 32 /* of the CRC in its block */
#define BLOCK_CHECKSUM_SHORT 64  /* what the CRC covers where it does not cover all */
#define BLOCK_UNIT_OFFSET 44     /* of a unit in its block */
#define BLOCK_HEAD 128           /* bytes of a block that a headers-only walk has */

#define BLOCK_PAGE_COMPRESSED 0x01
#define BLOCK_PAGE_ENCRYPTED 0x08

/* Page types, as on disk. */
#define BLOCK_TYPE_MANAGER 1 /* an extent list: clear by design, see extent_list.h */
#define BLOCK_TYPE_COLUMN_FIX 2
#define BLOCK_TYPE_COLUMN_INTERNAL 3
#define BLOCK_TYPE_COLUMN_LEAF 4
#define BLOCK_TYPE_OVERFLOW 5
#define BLOCK_TYPE_ROW_INTERNAL 6
#define BLOCK_TYPE_ROW_LEAF 7

typedef enum {
    BLOCK_WALK_FULL,   /* read and check every byte */
    BLOCK_WALK_HEADERS /* read headers and go from block to block: see block_file_walk */
} BLOCK_WALK_MODE;

typedef struct {
    uint64_t offset;
    uint32_t disk_size; /* a multiple of the allocation size */
    uint32_t mem_size;  /* of the page when decrypted and decompressed */
    uint32_t entries;   /* or the length of an overflow item */
    uint64_t record_number;
    uint64_t write_generation;
    uint32_t checksum;  /* as stored */
    uint8_t page_type;  /* BLOCK_TYPE_ or anything else: hostile files */
    uint8_t page_flags; /* BLOCK_PAGE_ and others */
    bool encrypted;
    bool compressed;
    bool whole_checksum; /* the CRC is of the whole block */
    bool verified;       /* the CRC was computed and fits; false in a headers-only walk */
    bool extent_list; /* a clear block of BLOCK_TYPE_MANAGER that holds a well-formed extent list */
    bool overlapped;  /* checksum off only: another block starts inside, so this one is stale */

    /* Of an encrypted block, else zero. */
    uint32_t stored_length; /* the length field as it is */
    bool length_ok;      /* it is at least 44, fits, and needs all allocation units of the block */
    const uint8_t *unit; /* NULL when the length is not ok */
    size_t unit_length;  /* stored_length - 44; may be too short to be a unit */
    size_t unit_have;    /* bytes of it in memory: all, but in a headers-only walk or where the
                             * block is larger than BLOCK_IMAGE_MAX */
    bool padding_zero;   /* all after the unit is zero; true when it was not looked at */

    const uint8_t *image; /* the block's first image_have bytes */
    size_t image_have;
} BLOCK;

/* The largest block handed out whole: the engine's own limit of a page. Overflow items of up to 4 GiB
 * exist; their CRC is checked all the same. */
#define BLOCK_IMAGE_MAX ((size_t)512 * 1024 * 1024)

/* A stretch in which no block starts. */
typedef struct {
    uint64_t offset;
    uint64_t length;
    bool zero; /* all zero or a hole; else remains of overwritten blocks, damage, or anything */
} BLOCK_REGION;

/* The file's metadata in a live avail list. See extent_list.h. */
typedef struct {
    uint64_t block_offset;
    uint64_t write_generation;
    bool encrypted;         /* as the text says: block_metadata_encrypted=true */
    const char *encryption; /* "(keyid=..,name=..)" in clear, not terminated */
    size_t encryption_length;
    uint64_t text_offset; /* in the file: of the hex text, or of the clear metadata */
    const char *text;     /* not terminated */
    size_t text_length;
    bool hex_ok; /* encrypted: the text is hex, and its length field fits exactly */
    bool cut; /* encrypted, not hex_ok: only the last byte, of the tag, is missing. WiredTiger 3.2
                  * writes some so, and then cannot use them itself; no sign of damage */
    const uint8_t *unit; /* encrypted and hex_ok or cut, else NULL: decoded, unit_length bytes */
    size_t unit_length;  /* when cut, one less than it was */
} BLOCK_METADATA;

/*
 * Called in order of offset; what they are given is good until they return, a block's image until
 * metadata, which is called right behind the block that it is in, has returned. Any may be NULL. 0
 * goes on, WALK_STOP ends the walk with success, a STATUS_CLASS with that error.
 */
typedef struct {
    int (*block)(void *context, const BLOCK *block, STATUS *status);
    int (*metadata)(void *context, const BLOCK_METADATA *metadata, STATUS *status);
    int (*region)(void *context, const BLOCK_REGION *region, STATUS *status);
    void (*progress)(void *context, uint64_t done, uint64_t total); /* about once a MiB */
    void *context;
} BLOCK_HANDLER;

typedef struct {
    uint64_t blocks;    /* all, as handed to the handler */
    uint64_t encrypted; /* of them */
    uint64_t clear; /* of them: neither encrypted nor an extent list. In an encrypted table: 0 */
    uint64_t extent_lists; /* of them */
    uint64_t metadata;     /* units or clear texts in extent lists */
    uint64_t overlapped;   /* of them */
    uint64_t zero_bytes;
    uint64_t other_bytes;
    BLOCK_WALK_MODE mode;
} BLOCK_SUMMARY;

typedef struct {
    READER reader;
    uint64_t size; /* as it was at block_file_open; less when a walk found it shorter */
    uint32_t allocation_size;
    bool descriptor_ok;
    uint64_t wasted; /* bytes of checksums that did not fit */
    uint8_t *image;  /* of a block too large for the window */
} BLOCK_FILE;

/* block_file_is -- Whether a file that starts with these bytes has the magic of a block file. */
bool block_file_is(const uint8_t *start, size_t len);

/*
 * block_file_open -- Look at the descriptor of an open file (not owned; name is for messages, not
 *     copied). STATUS_CORRUPT: no block file, "block-magic"; descriptor damaged, "block-descriptor":
 *     with tolerant set this is no error, descriptor_ok is false, and the smallest allocation size
 *     is assumed, which finds the blocks of any other too. STATUS_IO. The caller calls
 *     block_file_close, after an error too.
 */
int block_file_open(
  BLOCK_FILE *file, int fd, const char *name, bool tolerant, STATUS *status) WTKMS_CHECKED;

/* block_file_close -- Free what the file holds. The descriptor stays open. */
void block_file_close(BLOCK_FILE *file);

/*
 * block_file_walk -- Find all blocks, live and stale. A block is what has a sane size and a fitting
 *     CRC. Where the CRC covers 64 bytes only (checksum=off), the inside is searched too, since a
 *     newer block may have been written there.
 *     BLOCK_WALK_HEADERS reads a few bytes a block, for counting in files of terabytes: CRCs of
 *     whole blocks are taken on trust, so a block with damage is counted, and a stale header may
 *     hide newer blocks that were written behind it. Extent lists are read and checked in both.
 *     summaryp may be NULL. STATUS_IO, STATUS_NO_MEMORY, what the handler returned; STATUS_CORRUPT,
 *     "block-walk-cost": the file is made so that looking at it would take for ever.
 */
int block_file_walk(BLOCK_FILE *file, BLOCK_WALK_MODE mode, const BLOCK_HANDLER *handler,
  BLOCK_SUMMARY *summaryp, STATUS *status) WTKMS_CHECKED;

/*
 * block_file_read -- Read and check the block at an offset. *blockp is good until the next call on
 *     this file. STATUS_CORRUPT, "block-invalid": no valid block starts there. STATUS_IO.
 */
int block_file_read(BLOCK_FILE *file, uint64_t offset, BLOCK *blockp, STATUS *status) WTKMS_CHECKED;

#endif
