/*
 * test/engine/blocks.h -- Changes single blocks of a WiredTiger file as someone with the disk could:
 * the engine's own checksums, which have no key, are made right again.
 */
#ifndef WTKMS_TEST_ENGINE_BLOCKS_H
#define WTKMS_TEST_ENGINE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>

/* An encrypted leaf page in a file of allocation size 4 KiB. */
typedef struct {
    int64_t offset;
    uint32_t size; /* on disk */
    unsigned char *data;
} BLOCK;

/* The nth encrypted leaf page of a file from 0; fails the test when there are fewer. */
void block_read(const char *dir, const char *name, unsigned nth, BLOCK *block);
void block_write(const char *dir, const char *name, const BLOCK *block);
void block_free(BLOCK *block);

/* The checksum that the block's header carries. */
uint32_t block_checksum(const BLOCK *block);

/* Solve the unit's four balance bytes for a checksum, so that a changed block passes for the old one. */
void block_balance(BLOCK *block, uint32_t checksum);

#endif
