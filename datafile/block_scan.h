/*
 * datafile/block_scan.h -- Does a block start here? For block_file.c and block_walk.c only.
 *
 * Layer: datafile, for its own files.
 */
#ifndef WTKMS_DATAFILE_BLOCK_SCAN_H
#define WTKMS_DATAFILE_BLOCK_SCAN_H

#include "datafile/block_file.h"

/*
 * block_scan_header -- Fill what the headers at an offset say into *blockp. False: no block can start
 *     there. head holds at least BLOCK_CHECKSUM_SHORT bytes. *ordinaryp, may be NULL: all bytes that
 *     the engine always writes as zero are zero, and the type is one it knows.
 */
bool block_scan_header(
  const BLOCK_FILE *file, uint64_t offset, const uint8_t *head, BLOCK *blockp, bool *ordinaryp);

/*
 * block_scan_verify -- Whether a block starts at an offset, by its CRC; then *blockp is what its
 *     headers say, without an image. STATUS_IO, STATUS_NO_MEMORY, STATUS_CORRUPT (cost).
 */
int block_scan_verify(
  BLOCK_FILE *file, uint64_t offset, bool *validp, BLOCK *blockp, STATUS *status) WTKMS_CHECKED;

/*
 * block_scan_image -- Bring a verified block's image into memory and fill what hangs on it.
 */
int block_scan_image(BLOCK_FILE *file, BLOCK *blockp, STATUS *status) WTKMS_CHECKED;

/*
 * block_scan_unit -- Find the unit in a block of which image and image_have are set.
 */
void block_scan_unit(const BLOCK_FILE *file, BLOCK *blockp);

#endif
