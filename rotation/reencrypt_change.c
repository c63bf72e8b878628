/*
 * rotation/reencrypt_change.c -- See reencrypt_change.h.
 */
#include "rotation/reencrypt_change.h"

#include "common/little_endian.h"
#include "crypto/mac.h"
#include "crypto/unit.h"
#include "crypto/xaes.h"
#include "datafile/block_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_AT (BLOCK_UNIT_OFFSET + UNIT_HEADER_LEN) /* the ciphertext, in a block */
#define START_AT 8
#define HEADER_AT (START_AT + TEXT_AT)
#define OLD_TAG_AT (HEADER_AT + UNIT_HEADER_LEN)
#define TAG_AT (OLD_TAG_AT + UNIT_TAG_LEN)
#define SAMPLES_AT (TAG_AT + UNIT_TAG_LEN)
#define SAMPLE_LEN 8

/* The plaintexts that a torn block's ciphertext is under the one key and under the other. */
typedef struct {
    const REENCRYPT_CHANGE *change;
    const SECRET *old_key, *key;
    size_t length;               /* of the ciphertext */
    uint8_t *by_old, *by_new;    /* what stands there, decrypted by each */
    uint8_t *plain, *ciphertext; /* a mix, and what it is under a key; a tag follows */
} TORN;

static size_t
sector_count(size_t unit_length)
{
    return ((BLOCK_UNIT_OFFSET + unit_length + REENCRYPT_SECTOR - 1) / REENCRYPT_SECTOR);
}

/* Where a sector's sample is in the block; returns how long it is. */
static size_t
sample_place(size_t sector, size_t unit_length, size_t *atp)
{
    size_t at = sector * REENCRYPT_SECTOR, end = BLOCK_UNIT_OFFSET + unit_length;

    *atp = at < TEXT_AT ? TEXT_AT : at;
    return (end - *atp < SAMPLE_LEN ? end - *atp : SAMPLE_LEN);
}

size_t
reencrypt_change_size(const REENCRYPT_ITEM *item)
{
    if (item->kind != REENCRYPT_BLOCK || item->offset % REENCRYPT_SECTOR != 0 ||
        item->unit_offset != BLOCK_UNIT_OFFSET || item->unit_length < UNIT_OVERHEAD ||
        item->length > UINT32_MAX || item->length < BLOCK_UNIT_OFFSET + item->unit_length)
        return (0);
    return (SAMPLES_AT + sector_count(item->unit_length) * SAMPLE_LEN);
}

void
reencrypt_change_before(REENCRYPT_ITEM *item)
{
    uint8_t *change = item->change;

    le_put32(change, (uint32_t)item->length);
    le_put32(change + 4, (uint32_t)item->unit_length);
    memcpy(change + START_AT, item->image, TEXT_AT);
    memcpy(change + OLD_TAG_AT, item->image + BLOCK_UNIT_OFFSET + item->unit_length - UNIT_TAG_LEN,
      UNIT_TAG_LEN);
}

void
reencrypt_change_after(REENCRYPT_ITEM *item)
{
    uint8_t *change = item->change;
    size_t at, count = sector_count(item->unit_length), i, len;

    memcpy(change + HEADER_AT, item->image + BLOCK_UNIT_OFFSET, UNIT_HEADER_LEN);
    memcpy(change + TAG_AT, item->image + BLOCK_UNIT_OFFSET + item->unit_length - UNIT_TAG_LEN,
      UNIT_TAG_LEN);
    memset(change + SAMPLES_AT, 0, count * SAMPLE_LEN);
    for (i = 0; i < count; i++) {
        len = sample_place(i, item->unit_length, &at);
        memcpy(change + SAMPLES_AT + i * SAMPLE_LEN, item->image + at, len);
    }
}

bool
reencrypt_change_parse(const uint8_t *data, size_t length, REENCRYPT_CHANGE *change)
{
    STATUS ignored;
    UNIT_HEADER before, after;

    if (length < SAMPLES_AT)
        return (false);
    change->length = le_get32(data);
    change->unit_length = le_get32(data + 4);
    change->start = data + START_AT;
    change->header = data + HEADER_AT;
    change->old_tag = data + OLD_TAG_AT;
    change->tag = data + TAG_AT;
    change->samples = data + SAMPLES_AT;
    if (change->length < BLOCK_UNIT_OFFSET ||
        change->length - BLOCK_UNIT_OFFSET < change->unit_length ||
        change->unit_length < UNIT_OVERHEAD ||
        length - SAMPLES_AT != sector_count(change->unit_length) * SAMPLE_LEN ||
        unit_parse(change->start + BLOCK_UNIT_OFFSET, change->unit_length, &before, &ignored) !=
          0 ||
        unit_parse(change->header, change->unit_length, &after, &ignored) != 0)
        return (false);
    change->old_id = before.data_key_id;
    change->id = after.data_key_id;
    return (true);
}

/* --- a torn block */

/* in under a key and a unit's nonce, either way: out receives as many bytes and a tag. */
static int
cipher(const SECRET *key, const uint8_t *header, const uint8_t *in, size_t length, uint8_t *out,
  STATUS *status)
{
    return (
      xaes_seal(key, header + UNIT_NONCE_OFFSET, header, UNIT_AAD_LEN, in, length, out, status));
}

/* Whether the mixed plaintext is that of both units; the new ciphertext and tag are then at hand. */
static int
is_right(TORN *torn, bool *rightp, STATUS *status)
{
    const REENCRYPT_CHANGE *change = torn->change;
    int ret;

    *rightp = false;
    if ((ret = cipher(torn->old_key, change->start + BLOCK_UNIT_OFFSET, torn->plain, torn->length,
           torn->ciphertext, status)) != 0 ||
        !mac_equal(torn->ciphertext + torn->length, change->old_tag, UNIT_TAG_LEN))
        return (ret);
    if ((ret = cipher(
           torn->key, change->header, torn->plain, torn->length, torn->ciphertext, status)) != 0)
        return (ret);
    *rightp = mac_equal(torn->ciphertext + torn->length, change->tag, UNIT_TAG_LEN);
    return (0);
}

static bool
is_new(const REENCRYPT_CHANGE *change, const uint8_t *image, size_t sector)
{
    size_t at, len = sample_place(sector, change->unit_length, &at);

    return (memcmp(image + at, change->samples + sector * SAMPLE_LEN, len) == 0);
}

/*
 * Each sector by the key that it is under. *firstp: the first that does not begin new for certain. A few
 * bytes at the unit's end may be the same in both.
 */
static void
mix_sectors(TORN *torn, const uint8_t *image, size_t *firstp)
{
    const uint8_t *from;
    size_t at, count = sector_count(torn->change->unit_length), end, i;

    for (*firstp = i = 0; i < count; i++) {
        from = is_new(torn->change, image, i) ? torn->by_new : torn->by_old;
        if (*firstp == i && from == torn->by_new &&
            sample_place(i, torn->change->unit_length, &at) == SAMPLE_LEN)
            *firstp = i + 1;
        at = i == 0 ? 0 : i * REENCRYPT_SECTOR - TEXT_AT;
        end = (i + 1) * REENCRYPT_SECTOR - TEXT_AT;
        if (end > torn->length)
            end = torn->length;
        if (at < end)
            memcpy(torn->plain + at, from + at, end - at);
    }
}

/* New up to a byte of the first sector that does not begin new, or of the one before it, and old from there. */
static int
mix_at_byte(TORN *torn, size_t first, bool *rightp, STATUS *status)
{
    size_t at = first <= 1 ? 0 : (first - 1) * REENCRYPT_SECTOR - TEXT_AT, end;
    int ret;

    end = (first + 1) * REENCRYPT_SECTOR - TEXT_AT;
    if (end > torn->length)
        end = torn->length;
    if (at > end)
        return (0);
    memcpy(torn->plain, torn->by_new, at);
    memcpy(torn->plain + at, torn->by_old + at, torn->length - at);
    for (;; at++) {
        if ((ret = is_right(torn, rightp, status)) != 0 || *rightp || at == end)
            return (ret);
        torn->plain[at] = torn->by_new[at];
    }
}

int
reencrypt_change_apply(const REENCRYPT_CHANGE *change, const SECRET *old_key, const SECRET *key,
  uint8_t *image, STATUS *status)
{
    TORN torn = {.change = change, .old_key = old_key, .key = key};
    uint8_t *room;
    size_t first, size;
    int ret;
    bool right;

    torn.length = change->unit_length - UNIT_OVERHEAD;
    size = torn.length + UNIT_TAG_LEN;
    if (size > SIZE_MAX / 4 || (room = malloc(4 * size)) == NULL)
        return (status_set_errno(
          status, ENOMEM, "no-memory", "cannot hold a block of %zu bytes", change->length));
    torn.by_old = room;
    torn.by_new = room + size;
    torn.plain = room + 2 * size;
    torn.ciphertext = room + 3 * size;
    if ((ret = cipher(old_key, change->start + BLOCK_UNIT_OFFSET, image + TEXT_AT, torn.length,
           torn.by_old, status)) != 0 ||
        (ret = cipher(key, change->header, image + TEXT_AT, torn.length, torn.by_new, status)) != 0)
        goto err;
    mix_sectors(&torn, image, &first);
    if ((ret = is_right(&torn, &right, status)) != 0 ||
        (!right && (ret = mix_at_byte(&torn, first, &right, status)) != 0))
        goto err;
    if (right) {
        memcpy(image + BLOCK_UNIT_OFFSET, change->header, UNIT_HEADER_LEN);
        memcpy(image + TEXT_AT, torn.ciphertext, size);
    } else
        ret = status_set(status, STATUS_BAD_UNIT, "reencrypt-torn",
          "what stands there is neither the old block nor the new one, nor sectors of both");

err:
    secret_wipe(room, 4 * size);
    free(room);
    return (ret);
}
