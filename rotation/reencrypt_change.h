/*
 * rotation/reencrypt_change.h -- What makes a block of its old, its new or a torn image the new one.
 *
 * Layer: rotation; uses crypto and the offsets of datafile. Pure: images in memory, no files.
 *
 * A block that is encrypted again is as long as before, and all but its unit stays. Of the unit, a
 * stream cipher's text can be turned from one key's into the other's wherever it is known under
 * which key it is. So a journal needs no second copy of the block: what is needed is the two headers
 * and tags, and of each sector of the new image a few bytes that tell it from the old one. Disks write
 * a sector whole or not at all, and the tags say whether the outcome is right. It is a fiftieth of a page.
 *
 *      0  4  length of the block
 *      4  4  length of its unit, which is at BLOCK_UNIT_OFFSET
 *      8 84  the old block's start, up to the ciphertext
 *     92 40  the new unit's header
 *    132 16  the old tag
 *    148 16  the new one
 *    164     8 bytes for each sector that the unit reaches: the first of ciphertext and tag there, in
 *            the new image; zeros behind the unit's end
 *
 * Where a kill cut a write short inside a sector, at most one is mixed, new bytes before old ones: where
 * it turns is found by trying.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_CHANGE_H
#define WTKMS_ROTATION_REENCRYPT_CHANGE_H

#include "rotation/reencrypt_item.h"

#define REENCRYPT_SECTOR 512

/* reencrypt_change_size -- How long an item's change is; 0: it needs its whole image in the journal. */
size_t reencrypt_change_size(const REENCRYPT_ITEM *item);

/* reencrypt_change_before, reencrypt_change_after -- Fill item->change, around the rewriting of item->image. */
void reencrypt_change_before(REENCRYPT_ITEM *item);
void reencrypt_change_after(REENCRYPT_ITEM *item);

/* A change that was read, taken apart; it points into the bytes that were read. */
typedef struct {
    size_t length, unit_length;
    const uint8_t *start, *header, *old_tag, *tag, *samples;
    uint64_t old_id, id; /* of the two data keys */
} REENCRYPT_CHANGE;

/* reencrypt_change_parse -- False: that is no change. */
bool reencrypt_change_parse(const uint8_t *data, size_t length, REENCRYPT_CHANGE *change);

/*
 * reencrypt_change_apply -- Turn an image that has the headers of the block, change->length bytes of what
 *     stands at its place, into the new image. STATUS_BAD_UNIT: it is no mix of old and new, the
 *     image is unchanged then; STATUS_NO_MEMORY, STATUS_INTERNAL.
 */
int reencrypt_change_apply(const REENCRYPT_CHANGE *change, const SECRET *old_key, const SECRET *key,
  uint8_t *image, STATUS *status) WTKMS_CHECKED;

#endif
