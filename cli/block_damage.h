/*
 * cli/block_damage.h -- Damaged blocks in the stretches where no block is.
 *
 * Layer: cli; uses datafile. A block whose checksum does not fit is no block to the walker, and most
 * such stretches are harmless: remains of blocks that newer ones were written over. They are told
 * apart by one rule. Whatever overwrote a part of an old block and left its header alone is itself
 * a whole block that starts inside the old one. So a header, followed by as many bytes as it says in
 * which no block starts, is a block that was damaged, or whose writing a crash cut short.
 */
#ifndef WTKMS_CLI_BLOCK_DAMAGE_H
#define WTKMS_CLI_BLOCK_DAMAGE_H

#include "common/status.h"
#include "datafile/block_file.h"

/*
 * block_damage_find -- Call damage for each block of that kind in a region of the file. Where damage hit the
 *     header itself it is known by the rest of the header, and its size by whichever of its two
 *     lengths is sane. STATUS_IO, what damage returned.
 */
int block_damage_find(int fd, const BLOCK_REGION *region, uint32_t allocation,
  int (*damage)(void *context, uint64_t offset, const char *text, STATUS *status), void *context,
  STATUS *status) WTKMS_CHECKED;

/* The same for a whole file: the walk tells what is zero apart from what is not, and a block of which a
 * page was lost, or never written, has zeros inside. */
typedef struct {
    int fd;
    uint32_t allocation;
    int (*damage)(void *context, uint64_t offset, const char *text, STATUS *status);
    void *context;
    BLOCK_REGION *pieces; /* of one stretch in which no block starts, those that are not zero */
    size_t count, room;
    uint64_t stretch_end;
} BLOCK_DAMAGE;

/* block_damage_add -- The next region, in order. As block_damage_find. */
int block_damage_add(
  BLOCK_DAMAGE *damage, const BLOCK_REGION *region, STATUS *status) WTKMS_CHECKED;

/* block_damage_end -- Behind the last, also after an error: look at what is left, and free. */
int block_damage_end(BLOCK_DAMAGE *damage, STATUS *status) WTKMS_CHECKED;

#endif
