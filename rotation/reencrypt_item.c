/*
 * rotation/reencrypt_item.c -- Rewriting one image. See reencrypt_item.h.
 */
#include "rotation/reencrypt_item.h"

#include "common/little_endian.h"
#include "crypto/encode.h"
#include "crypto/secret.h"
#include "datafile/block_file.h"
#include "datafile/extent_list.h"
#include "datafile/log_file.h"
#include "rotation/balance.h"
#include "rotation/reencrypt_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_BALANCE_OFFSET UNIT_AAD_LEN
#define HEX_LENGTH_LEN 4 /* the length before the unit, in bytes */
#define HEX_TRIES 1000   /* each finds a balance in two of three cases */
#define BLOCK_FLAGS_OFFSET 36
#define BLOCK_SIZE_OFFSET 28
#define PAGE_FLAGS_OFFSET 25

void
reencrypt_plain_release(REENCRYPT_PLAIN *plain)
{
    if (plain->data != NULL)
        secret_wipe(plain->data, plain->size);
    free(plain->data);
    plain->data = NULL;
    plain->size = 0;
}

static int
make_room(REENCRYPT_PLAIN *plain, size_t size, STATUS *status)
{
    if (plain->size >= size)
        return (0);
    reencrypt_plain_release(plain);
    if ((plain->data = malloc(size)) == NULL)
        return (
          status_set_errno(status, ENOMEM, "no-memory", "cannot hold a page of %zu bytes", size));
    plain->size = size;
    return (0);
}

static size_t
block_span(const uint8_t *image, size_t length)
{
    return ((image[BLOCK_FLAGS_OFFSET] & 1) != 0 ? length : BLOCK_CHECKSUM_SHORT);
}

/*
 * The unit is replaced in the image only when all of the new one is there: on a failure the image is
 * the old one still, which the caller may leave on disk.
 */
static int
rewrite_unit(REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status)
{
    uint8_t *unit = item->image + item->unit_offset;
    size_t len, written;
    int ret;

    if ((ret = make_room(plain, item->unit_length, status)) != 0 ||
        (ret = unit_decrypt(
           item->old_key, unit, item->unit_length, plain->data, plain->size, &len, status)) != 0)
        return (ret);
    return (
      unit_encrypt(item->cipher, plain->data, len, unit, item->unit_length, &written, status));
}

static int
rewrite_block(REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status)
{
    uint32_t checksum = le_get32(item->image + BLOCK_CHECKSUM_OFFSET);
    size_t span = block_span(item->image, item->length);
    int ret;

    if (item->change != NULL)
        reencrypt_change_before(item);
    if ((ret = rewrite_unit(item, plain, status)) != 0)
        return (ret);
    balance_bytes(
      item->image, span, BLOCK_CHECKSUM_OFFSET, item->unit_offset + UNIT_BALANCE_OFFSET, checksum);
    if (balance_checksum(item->image, span, BLOCK_CHECKSUM_OFFSET) != checksum)
        return (status_set(status, STATUS_INTERNAL, "reencrypt-balance-wrong",
          "a solved checksum is not the old one"));
    if (item->change != NULL)
        reencrypt_change_after(item);
    return (0);
}

static int
rewrite_record(REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status)
{
    int ret;

    if ((ret = rewrite_unit(item, plain, status)) != 0)
        return (ret);
    le_put32(item->image + LOG_RECORD_CHECKSUM_OFFSET,
      balance_checksum(item->image, item->length, LOG_RECORD_CHECKSUM_OFFSET));
    return (0);
}

/* --- metadata in hexadecimal */

/*
 * A unit of which WiredTiger 3.2 did not write the last byte: that byte has 256 values and the tag says
 * which was it. It is left out again.
 */
static int
decrypt_cut(const REENCRYPT_ITEM *item, uint8_t *unit, size_t unit_length, uint8_t *out,
  size_t size, size_t *lenp, STATUS *status)
{
    unsigned last;
    int ret = 0;

    for (last = 0; last < 256; last++) {
        unit[unit_length - 1] = (uint8_t)last;
        ret = unit_decrypt(item->old_key, unit, unit_length, out, size, lenp, status);
        if (ret != STATUS_BAD_UNIT)
            break;
    }
    return (ret);
}

/* Draw nonces until eight digits keep the checksum. unit is behind its length, with hex as scratch. */
static int
encrypt_hex(const REENCRYPT_ITEM *item, uint8_t *image, const uint8_t *plain, size_t plain_len,
  uint8_t *unit, size_t unit_length, char *hex, STATUS *status)
{
    uint32_t checksum = le_get32(image + BLOCK_CHECKSUM_OFFSET);
    size_t at, digits, span, written;
    unsigned tries;
    int ret;

    span = block_span(image, item->length);
    at = item->unit_offset + 2 * (HEX_LENGTH_LEN + UNIT_BALANCE_OFFSET);
    digits = item->unit_length - 2 * HEX_LENGTH_LEN;
    for (tries = 0; tries < HEX_TRIES; tries++) {
        if ((ret = unit_encrypt(
               item->cipher, plain, plain_len, unit, unit_length, &written, status)) != 0)
            return (ret);
        encode_hex(unit, unit_length, hex);
        memcpy(image + item->unit_offset + 2 * HEX_LENGTH_LEN, hex, digits);
        if (item->unit_offset >= span) /* not summed at all */
            return (0);
        if (at + BALANCE_DIGITS > span)
            break;
        if (balance_digits(image, span, BLOCK_CHECKSUM_OFFSET, at, checksum))
            return (0);
    }
    return (status_set(status, STATUS_BAD_UNIT, "reencrypt-balance",
      "no balance keeps the checksum of the extent list at offset %llu",
      (unsigned long long)item->offset));
}

static int
rewrite_metadata(REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status)
{
    const uint8_t *found;
    uint8_t *decoded, *image, *unit;
    char *hex;
    size_t bytes = item->unit_length / 2, len, unit_length;
    int ret;
    bool cut;

    /* Of the decoded text, of the new image and of its hex; small, and rare. */
    decoded = malloc(bytes + 1);
    image = malloc(item->length);
    hex = malloc(2 * bytes + 3);
    if (decoded == NULL || image == NULL || hex == NULL) {
        ret = status_set_errno(status, ENOMEM, "no-memory", "cannot hold an extent list");
        goto err;
    }
    memcpy(image, item->image, item->length);
    if ((ret = extent_list_decode((const char *)image + item->unit_offset, item->unit_length,
           decoded, &found, &unit_length, &cut, status)) != 0) {
        ret = status_set(status, STATUS_BAD_UNIT, "reencrypt-metadata",
          "malformed metadata in the extent list at offset %llu", (unsigned long long)item->offset);
        goto err;
    }
    unit = decoded + HEX_LENGTH_LEN;
    unit_length += cut ? 1 : 0;
    if ((ret = make_room(plain, unit_length, status)) != 0)
        goto err;
    ret =
      cut ? decrypt_cut(item, unit, unit_length, plain->data, plain->size, &len, status)
          : unit_decrypt(item->old_key, unit, unit_length, plain->data, plain->size, &len, status);
    if (ret == 0)
        ret = encrypt_hex(item, image, plain->data, len, unit, unit_length, hex, status);
    if (ret == 0)
        memcpy(item->image, image, item->length);

err:
    free(decoded);
    free(image);
    free(hex);
    return (ret);
}

int
reencrypt_item_rewrite(REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status)
{
    switch (item->kind) {
    case REENCRYPT_BLOCK:
        return (rewrite_block(item, plain, status));
    case REENCRYPT_METADATA:
        return (rewrite_metadata(item, plain, status));
    case REENCRYPT_RECORD:
        return (rewrite_record(item, plain, status));
    case REENCRYPT_REMAINS:
    case REENCRYPT_CHANGED:
        break;
    }
    return (0);
}

bool
reencrypt_item_fits(REENCRYPT_KIND kind, const uint8_t *image, size_t length, const uint8_t *start)
{
    if (length < REENCRYPT_ITEM_HEAD)
        return (false);
    switch (kind) {
    case REENCRYPT_BLOCK:
    case REENCRYPT_METADATA:
        return (memcmp(image, start, REENCRYPT_ITEM_HEAD) == 0);
    case REENCRYPT_RECORD: /* all but the checksum */
        return (
          memcmp(image, start, LOG_RECORD_CHECKSUM_OFFSET) == 0 &&
          memcmp(image + LOG_RECORD_CHECKSUM_OFFSET + 4, start + LOG_RECORD_CHECKSUM_OFFSET + 4,
            LOG_RECORD_UNIT_OFFSET - LOG_RECORD_CHECKSUM_OFFSET - 4) == 0);
    case REENCRYPT_REMAINS:
    case REENCRYPT_CHANGED:
        break;
    }
    return (false);
}

bool
reencrypt_item_valid(REENCRYPT_KIND kind, const uint8_t *image, size_t length)
{
    STATUS ignored;
    EXTENT_LIST list;
    UNIT_HEADER header;
    uint32_t stored;

    if (kind == REENCRYPT_RECORD)
        return (length >= LOG_RECORD_UNIT_OFFSET + UNIT_OVERHEAD && le_get32(image) == length &&
                (image[8] & LOG_RECORD_FLAG_ENCRYPTED) != 0 &&
                (stored = le_get32(image + LOG_RECORD_HEADER_LEN)) <= length &&
                stored >= LOG_RECORD_UNIT_OFFSET &&
                unit_parse(image + LOG_RECORD_UNIT_OFFSET, stored - LOG_RECORD_UNIT_OFFSET, &header,
                  &ignored) == 0 &&
                balance_checksum(image, length, LOG_RECORD_CHECKSUM_OFFSET) ==
                  le_get32(image + LOG_RECORD_CHECKSUM_OFFSET));

    if ((kind != REENCRYPT_BLOCK && kind != REENCRYPT_METADATA) || length < BLOCK_ALLOCATION_MIN ||
        le_get32(image + BLOCK_SIZE_OFFSET) != length ||
        balance_checksum(image, block_span(image, length), BLOCK_CHECKSUM_OFFSET) !=
          le_get32(image + BLOCK_CHECKSUM_OFFSET))
        return (false);
    if (kind == REENCRYPT_METADATA)
        return (extent_list_parse(image, length, &list, &ignored) == 0 && list.metadata_encrypted);
    return (
      (image[PAGE_FLAGS_OFFSET] & BLOCK_PAGE_ENCRYPTED) != 0 &&
      (stored = le_get32(image + BLOCK_HEADERS_LEN)) <= length && stored >= BLOCK_UNIT_OFFSET &&
      unit_parse(image + BLOCK_UNIT_OFFSET, stored - BLOCK_UNIT_OFFSET, &header, &ignored) == 0);
}
