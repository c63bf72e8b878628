/*
 * test/rotation/test_reencrypt_change.c -- A block torn between its old and its new image, at any sector and
 * at any byte, is made the new one by its change; anything else is refused.
 */
#include "test/rotation/test_reencrypt.h"

#include "crypto/random.h"
#include "datafile/block_file.h"
#include "rotation/reencrypt_change.h"
#include "test/support.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_MAX (64 * 1024)

typedef struct {
    SECRET *old_secret, *secret;
    UNIT_KEY *old_key, *key;
    UNIT_CIPHER *old_cipher, *cipher;
    uint8_t before[BLOCK_MAX], after[BLOCK_MAX], torn[BLOCK_MAX], change[4096];
    REENCRYPT_ITEM item;
} FIXTURE;

static FIXTURE fixture;

static void
put32(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof(value));
}

static void
fixture_open(void)
{
    STATUS status;

    memset(&fixture, 0, sizeof(fixture));
    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &fixture.old_secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &fixture.secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(7, fixture.old_secret, &fixture.old_key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(8, fixture.secret, &fixture.key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(fixture.old_key, &fixture.old_cipher, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(fixture.key, &fixture.cipher, &status), 0);
}

static void
fixture_close(void)
{
    unit_cipher_free(fixture.old_cipher);
    unit_cipher_free(fixture.cipher);
    unit_key_free(fixture.old_key);
    unit_key_free(fixture.key);
    secret_free(fixture.old_secret);
    secret_free(fixture.secret);
    unit_cipher_library_close();
}

/* A block of size bytes with so many of text, as it is and as it is to be, and its change. */
static void
make(size_t size, size_t text)
{
    REENCRYPT_PLAIN plain = {NULL, 0};
    REENCRYPT_ITEM *item = &fixture.item;
    STATUS status;
    uint8_t *contents = malloc(text + 1), *image = fixture.before;
    size_t len;

    CU_ASSERT_EQUAL_FATAL(random_bytes(contents, text + 1, &status), 0);
    memset(image, 0, size);
    image[24] = BLOCK_TYPE_ROW_LEAF;
    image[25] = BLOCK_PAGE_ENCRYPTED;
    put32(image + 28, (uint32_t)size);
    put32(image + BLOCK_HEADERS_LEN, (uint32_t)(BLOCK_UNIT_OFFSET + text + UNIT_OVERHEAD));
    CU_ASSERT_EQUAL_FATAL(unit_encrypt(fixture.old_cipher, contents, text,
                            image + BLOCK_UNIT_OFFSET, text + UNIT_OVERHEAD, &len, &status),
      0);
    memcpy(fixture.after, image, size);
    *item = (REENCRYPT_ITEM){.kind = REENCRYPT_BLOCK,
      .offset = 4096,
      .image = fixture.after,
      .length = size,
      .unit_offset = BLOCK_UNIT_OFFSET,
      .unit_length = text + UNIT_OVERHEAD,
      .old_key = fixture.old_key,
      .cipher = fixture.cipher,
      .change = fixture.change};
    item->change_length = reencrypt_change_size(item);
    CU_ASSERT_FATAL(item->change_length != 0 && item->change_length <= sizeof(fixture.change));
    CU_ASSERT_EQUAL_FATAL(reencrypt_item_rewrite(item, &plain, &status), 0);
    reencrypt_plain_release(&plain);
    free(contents);
}

static int
apply(const SECRET *old_secret, const SECRET *secret)
{
    REENCRYPT_CHANGE change;
    STATUS status;

    CU_ASSERT_FATAL(reencrypt_change_parse(fixture.change, fixture.item.change_length, &change));
    CU_ASSERT(change.old_id == 7 && change.id == 8 && change.length == fixture.item.length);
    status_clear(&status);
    return (reencrypt_change_apply(&change, old_secret, secret, fixture.torn, &status));
}

static bool
is_made_new(void)
{
    return (apply(fixture.old_secret, fixture.secret) == 0 &&
            memcmp(fixture.torn, fixture.after, fixture.item.length) == 0);
}

/* Lengths of text whose ends are in every place of interest in a sector. */
static const struct {
    size_t size, text;
} shapes[] = {{512, 0}, {512, 1}, {512, 7}, {512, 300}, {512, 412}, {1024, 413}, {1024, 420},
  {1024, 427}, {1024, 428}, {1024, 429}, {1024, 437}, {1024, 924}, {2048, 1000}, {4096, 3000},
  {4096, 3996}, {32768, 32000}, {65536, 65000}};

static void
test_sectors(void)
{
    STATUS status;
    uint8_t mask[BLOCK_MAX / REENCRYPT_SECTOR];
    size_t at, i, round;

    fixture_open();
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        make(shapes[i].size, shapes[i].text);
        for (round = 0; round < 40; round++) {
            CU_ASSERT_EQUAL_FATAL(random_bytes(mask, sizeof(mask), &status), 0);
            if (round < 2) /* all of one */
                memset(mask, round == 0 ? 0 : 1, sizeof(mask));
            for (at = 0; at < shapes[i].size; at += REENCRYPT_SECTOR)
                memcpy(fixture.torn + at,
                  (mask[at / REENCRYPT_SECTOR] & 1 ? fixture.after : fixture.before) + at,
                  REENCRYPT_SECTOR);
            CU_ASSERT_FATAL(is_made_new());
        }
    }
    fixture_close();
}

static void
cut_at_each_byte(size_t size)
{
    size_t cut;

    for (cut = 0; cut <= size; cut++) {
        memcpy(fixture.torn, fixture.after, cut);
        memcpy(fixture.torn + cut, fixture.before + cut, size - cut);
        CU_ASSERT_FATAL(is_made_new());
    }
}

static void
test_bytes(void)
{
    size_t i;

    fixture_open();
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]) && shapes[i].size <= 2048; i++) {
        make(shapes[i].size, shapes[i].text);
        cut_at_each_byte(shapes[i].size);
    }
    /* The unit's last byte is the first of a sector and the same in both images: it tells nothing. */
    do
        make(1024, 413);
    while (fixture.before[512] != fixture.after[512]);
    cut_at_each_byte(1024);
    fixture_close();
}

/* What is neither stays as it is. */
static void
test_neither(void)
{
    uint8_t damaged[4096];
    size_t at;

    fixture_open();
    make(4096, 3000);
    for (at = BLOCK_UNIT_OFFSET + UNIT_HEADER_LEN; at < 3000; at += 97) {
        memcpy(fixture.torn, at % 2 == 0 ? fixture.before : fixture.after, 4096);
        fixture.torn[at] ^= 1;
        memcpy(damaged, fixture.torn, sizeof(damaged));
        CU_ASSERT_EQUAL(apply(fixture.old_secret, fixture.secret), STATUS_BAD_UNIT);
        CU_ASSERT_EQUAL(memcmp(fixture.torn, damaged, sizeof(damaged)), 0);
    }
    memcpy(fixture.torn, fixture.before, 4096);
    CU_ASSERT_EQUAL(apply(fixture.secret, fixture.secret), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(apply(fixture.old_secret, fixture.old_secret), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(memcmp(fixture.torn, fixture.before, 4096), 0);
    fixture_close();
}

static void
test_malformed(void)
{
    REENCRYPT_CHANGE change;
    REENCRYPT_ITEM item;
    uint8_t data[sizeof(fixture.change)];
    size_t i, length;

    fixture_open();
    make(4096, 3000);
    length = fixture.item.change_length;
    for (i = 0; i < length; i++)
        CU_ASSERT(!reencrypt_change_parse(fixture.change, i, &change));
    CU_ASSERT(!reencrypt_change_parse(fixture.change, length + 8, &change));
    /* Lengths that do not fit together. */
    memcpy(data, fixture.change, length);
    put32(data, BLOCK_UNIT_OFFSET + 3000 + UNIT_OVERHEAD - 1);
    CU_ASSERT(!reencrypt_change_parse(data, length, &change));
    put32(data, BLOCK_UNIT_OFFSET - 1);
    CU_ASSERT(!reencrypt_change_parse(data, length, &change));
    memcpy(data, fixture.change, length);
    put32(data + 4, UNIT_OVERHEAD - 1);
    CU_ASSERT(!reencrypt_change_parse(data, length, &change));
    memcpy(data, fixture.change, length);
    data[8 + BLOCK_UNIT_OFFSET] ^= 1; /* the old unit's magic, then the new one's */
    CU_ASSERT(!reencrypt_change_parse(data, length, &change));
    memcpy(data, fixture.change, length);
    data[8 + BLOCK_UNIT_OFFSET + UNIT_HEADER_LEN] ^= 1;
    CU_ASSERT(!reencrypt_change_parse(data, length, &change));
    /* Not for what shares sectors with others, nor for what is no block. */
    item = fixture.item;
    CU_ASSERT(reencrypt_change_size(&item) == length);
    item.offset += 256;
    CU_ASSERT(reencrypt_change_size(&item) == 0);
    item = fixture.item;
    item.kind = REENCRYPT_RECORD;
    CU_ASSERT(reencrypt_change_size(&item) == 0);
    item.kind = REENCRYPT_METADATA;
    CU_ASSERT(reencrypt_change_size(&item) == 0);
    fixture_close();
}

const TEST change_tests[] = {{"torn between sectors", test_sectors},
  {"torn at any byte", test_bytes}, {"neither old nor new", test_neither},
  {"malformed", test_malformed}, {NULL, NULL}};
