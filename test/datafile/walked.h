/*
 * test/datafile/walked.h -- What a walk over a file found, gathered for assertions.
 */
#ifndef WTKMS_TEST_WALKED_H
#define WTKMS_TEST_WALKED_H

#include "test/datafile/fixture.h"

#define WALKED_KEYS 8

typedef struct {
    int ret;
    STATUS status;
    uint32_t allocation_size;
    bool descriptor_ok;
    uint64_t size;
    BLOCK_SUMMARY summary;
    BLOCK *blocks; /* their pointers are stale */
    size_t count;
    uint64_t whole, broken; /* encrypted blocks whose unit is whole or not */
    uint64_t covered;       /* bytes of blocks, as far as the next block, and of regions */
    uint64_t next;          /* where the next block or region must start */
    bool in_order;          /* they did, without a gap between them */
    uint64_t padding_bad;
    uint64_t metadata_whole, metadata_broken, metadata_clear, metadata_cut;
    char metadata[8192]; /* the last, decrypted */
    char encryption[128];
    uint64_t keys[WALKED_KEYS]; /* different key ids */
    size_t key_count;
    unsigned progress;
    unsigned stop_after; /* blocks; 0: never */
    int stop_with;
} WALKED;

/* Walk a file of a directory or an open one. The caller calls walked_free. */
void walked_file(WALKED *walked, int dirfd, const char *name, BLOCK_WALK_MODE mode);
void walked_fd(WALKED *walked, int fd, BLOCK_WALK_MODE mode, bool tolerant);
void walked_free(WALKED *walked);

/* The block at an offset, or NULL. */
const BLOCK *walked_at(const WALKED *walked, uint64_t offset);

bool walked_key(const WALKED *walked, uint64_t id);

/*
 * Assert that all of the file is accounted for: blocks and regions one after the other to its end.
 */
void walked_complete(const WALKED *walked);

#endif
