/*
 * datafile/extent_list.h -- Extent-list blocks, and the copy of a file's metadata in a live avail list.
 *
 * Layer: datafile. Pure: bytes in, bytes out. Source: WiredTiger's src/block/block_ext.c and
 * block_ckpt_scan.c, src/meta/meta_ckpt.c.
 *
 * A block of type BLOCK_TYPE_MANAGER holds, from byte 40, pairs of packed integers: (71002, 0), then
 * (offset, size) of each extent, then (0, version). Version 1 adds what the engine needs to import the
 * file alone: a packed write generation, nine bytes of packed file size, and three items, each with a
 * packed length: metadata text, checkpoint text, checkpoint cookie. The metadata text is
 *
 *     encryption=(keyid=..,name=..),block_metadata_encrypted=true|false,block_metadata=[TEXT]
 *
 * TEXT is the file's configuration in clear or, in an encrypted file, lower-case hex of a length u32
 * of all of it and a unit: the third place where units live.
 */
#ifndef WTKMS_DATAFILE_EXTENT_LIST_H
#define WTKMS_DATAFILE_EXTENT_LIST_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t extents;
    uint64_t extent_bytes;
    bool live; /* it carries what follows */
    uint64_t write_generation;
    uint64_t file_size;
    size_t encryption_offset; /* in the block; 0 and length 0 when there is none */
    size_t encryption_length;
    bool metadata_encrypted;
    size_t text_offset; /* in the block: of TEXT */
    size_t text_length;
    size_t checkpoint_offset; /* in the block: of the checkpoint text */
    size_t checkpoint_length;
} EXTENT_LIST;

/*
 * extent_list_parse -- Read the extent list in a block of len bytes (the whole image, headers too).
 *     STATUS_CORRUPT, "extent-list".
 */
int extent_list_parse(
  const uint8_t *image, size_t len, EXTENT_LIST *listp, STATUS *status) WTKMS_CHECKED;

/*
 * extent_list_decode -- Decode the hex text of encrypted metadata to its unit. out holds
 *     hex_length / 2 bytes; on success *unitp points into it. *cutp: the last byte is missing and no
 *     more, which WiredTiger 3.2 does where its buffer has no room for a terminating zero; the unit
 *     lacks the last byte of its tag then. STATUS_CORRUPT, "extent-metadata": it is no hex, or its
 *     length field does not say what is there.
 */
int extent_list_decode(const char *hex, size_t hex_length, uint8_t *out, const uint8_t **unitp,
  size_t *unit_lengthp, bool *cutp, STATUS *status) WTKMS_CHECKED;

/*
 * extent_list_unpack -- One packed integer of WiredTiger's at *pp, before end; *pp moves behind it.
 *     False: none is there.
 */
bool extent_list_unpack(const uint8_t **pp, const uint8_t *end, uint64_t *valuep);

#endif
