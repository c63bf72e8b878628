/*
 * test/fuzz/fuzz_change.c -- libFuzzer: how a block changes, as the journal of re-encryption holds it.
 *
 * The first byte picks what is done with the rest:
 *   even  two bytes of length, a change of that length, and what stands at the block's place
 *   odd   eight bytes that say how a write was torn, and a plaintext whose block is encrypted again
 *
 * Beside what the sanitizers see: what is no mix of old and new stays as it is, and every mix of sectors
 * becomes the new block.
 */
#include "datafile/block_file.h"
#include "rotation/reencrypt_change.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define OLD_ID 1
#define NEW_ID 2
#define BLOCK_MOST ((size_t)64 * 1024)

static SECRET *old_secret, *secret;
static UNIT_KEY *old_key, *key;
static UNIT_CIPHER *old_cipher, *cipher;

static void
require(int truth)
{
    if (!truth)
        abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    STATUS status;

    (void)argc;
    (void)argv;
    require(secret_new_copy("the fuzzer's old key, 32 bytes..", 32, &old_secret, &status) == 0);
    require(secret_new_copy("the fuzzer's new key, 32 bytes..", 32, &secret, &status) == 0);
    require(unit_cipher_library_open(&status) == 0);
    require(unit_key_new(OLD_ID, old_secret, &old_key, &status) == 0);
    require(unit_key_new(NEW_ID, secret, &key, &status) == 0);
    require(unit_cipher_new(old_key, &old_cipher, &status) == 0);
    require(unit_cipher_new(key, &cipher, &status) == 0);
    return (0);
}

static uint8_t *
zeros(size_t size)
{
    uint8_t *data = calloc(1, size == 0 ? 1 : size);

    require(data != NULL);
    return (data);
}

/* As from a journal that somebody wrote, over any file. */
static void
as_change(const uint8_t *data, size_t size)
{
    STATUS status;
    REENCRYPT_CHANGE change;
    uint8_t *copy, *image, *before;
    size_t length = (size_t)data[0] << 8 | data[1];
    int ret;

    data += 2;
    size -= 2;
    if (length > size)
        length = size;
    copy = zeros(length);
    memcpy(copy, data, length);
    data += length;
    size -= length;
    if (reencrypt_change_parse(copy, length, &change) && change.length <= BLOCK_MOST) {
        require(change.length >= BLOCK_UNIT_OFFSET + change.unit_length);
        image = zeros(change.length);
        before = zeros(change.length);
        memcpy(image, data, size < change.length ? size : change.length);
        memcpy(before, image, change.length);
        status_clear(&status);
        ret = reencrypt_change_apply(&change, old_secret, secret, image, &status);
        require(ret == 0 || ret == STATUS_BAD_UNIT);
        require(ret == 0 || memcmp(image, before, change.length) == 0);
        free(image);
        free(before);
    }
    free(copy);
}

/* Old and new by the bits of a mask, over and over; with its last bit set: new up to a byte, then old. */
static void
tear(uint8_t *torn, const uint8_t *before, const uint8_t *after, size_t size, uint64_t mask)
{
    size_t at, cut = (size_t)(mask >> 1) % (size + 1), n;

    if ((mask & 1) != 0) {
        memcpy(torn, after, cut);
        memcpy(torn + cut, before + cut, size - cut);
        return;
    }
    for (at = 0; at < size; at += n) {
        n = size - at < REENCRYPT_SECTOR ? size - at : REENCRYPT_SECTOR;
        memcpy(torn + at,
          ((mask >> (1 + at / REENCRYPT_SECTOR % 63) & 1) != 0 ? after : before) + at, n);
    }
}

static void
torn_block(uint64_t mask, const uint8_t *text, size_t length)
{
    REENCRYPT_CHANGE change;
    REENCRYPT_ITEM item;
    REENCRYPT_PLAIN plain = {NULL, 0};
    STATUS status;
    uint32_t stored = htole32((uint32_t)(BLOCK_UNIT_OFFSET + length + UNIT_OVERHEAD));
    uint8_t *after, *before, *torn;
    size_t len, size = (BLOCK_UNIT_OFFSET + length + UNIT_OVERHEAD + 511) / 512 * 512;

    after = zeros(size);
    before = zeros(size);
    torn = zeros(size);
    memcpy(before + BLOCK_HEADERS_LEN, &stored, sizeof(stored));
    require(unit_encrypt(old_cipher, text, length, before + BLOCK_UNIT_OFFSET,
              length + UNIT_OVERHEAD, &len, &status) == 0);
    memcpy(after, before, size);
    item = (REENCRYPT_ITEM){.kind = REENCRYPT_BLOCK,
      .image = after,
      .length = size,
      .unit_offset = BLOCK_UNIT_OFFSET,
      .unit_length = length + UNIT_OVERHEAD,
      .old_key = old_key,
      .cipher = cipher};
    item.change_length = reencrypt_change_size(&item);
    require(item.change_length != 0);
    item.change = zeros(item.change_length);
    require(reencrypt_item_rewrite(&item, &plain, &status) == 0);
    tear(torn, before, after, size, mask);
    require(reencrypt_change_parse(item.change, item.change_length, &change));
    require(change.old_id == OLD_ID && change.id == NEW_ID && change.length == size);
    require(reencrypt_change_apply(&change, old_secret, secret, torn, &status) == 0);
    require(memcmp(torn, after, size) == 0);
    reencrypt_plain_release(&plain);
    free(item.change);
    free(after);
    free(before);
    free(torn);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t mask;

    if (size < 9)
        return (0);
    if (data[0] % 2 == 0)
        as_change(data + 1, size - 1);
    else {
        memcpy(&mask, data + 1, sizeof(mask));
        torn_block(le64toh(mask), data + 9, size - 9 < BLOCK_MOST ? size - 9 : BLOCK_MOST);
    }
    return (0);
}
