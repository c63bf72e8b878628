/*
 * test/rotation/test_balance.c -- Checksums kept, and single images rewritten under another data key.
 */
#include "test/rotation/test_reencrypt.h"

#include "common/crc32c.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "crypto/secret.h"
#include "datafile/block_file.h"
#include "datafile/log_file.h"
#include "rotation/balance.h"
#include "rotation/reencrypt_item.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define OLD_ID 0x1111
#define NEW_ID 0x2222
#define PLAIN_LEN 700

typedef struct {
    UNIT_KEY *old_key, *new_key;
    UNIT_CIPHER *old_cipher, *cipher;
    uint8_t plain[PLAIN_LEN];
} KEYS;

static void
put32(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof(value));
}

static uint32_t
get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return (le32toh(value));
}

static void
fill(void *data, size_t len)
{
    STATUS status;

    CU_ASSERT_EQUAL_FATAL(random_bytes(data, len, &status), 0);
}

/* The checksum as the engine says it is, computed without balance.h. */
static uint32_t
plain_sum(const uint8_t *image, size_t span, size_t hole)
{
    uint8_t *copy = malloc(span);
    uint32_t crc;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, image, span);
    memset(copy + hole, 0, 4);
    crc = crc32c(0, copy, span);
    free(copy);
    return (crc);
}

static void
test_bytes(void)
{
    static const size_t spans[] = {64, 512, 4096, 28672, 1000003, 16 * 1024 * 1024};
    uint8_t *image = malloc(16 * 1024 * 1024), before[64];
    uint32_t wanted;
    size_t i, n;

    CU_ASSERT_PTR_NOT_NULL_FATAL(image);
    fill(image, 1024 * 1024 + 5);
    for (i = 0; i < sizeof(spans) / sizeof(spans[0]); i++)
        for (n = 0; n < (spans[i] > 100000 ? 3 : 200); n++) {
            fill(image, 64);
            fill(&wanted, sizeof(wanted));
            memcpy(before, image, 64);
            balance_bytes(image, spans[i], 32, 56, wanted);
            CU_ASSERT_EQUAL(plain_sum(image, spans[i], 32), wanted);
            CU_ASSERT_EQUAL(balance_checksum(image, spans[i], 32), wanted);
            /* Nothing but the four bytes. */
            CU_ASSERT_EQUAL(memcmp(image, before, 56), 0);
            CU_ASSERT_EQUAL(memcmp(image + 60, before + 60, 4), 0);
        }
    /* At the very end of what is summed. */
    balance_bytes(image, 512, 4, 508, 0xdeadbeef);
    CU_ASSERT_EQUAL(plain_sum(image, 512, 4), 0xdeadbeef);
    free(image);
}

/* What already fits gets a balance of zero: as the encryptor writes it. */
static void
test_zero(void)
{
    uint8_t image[512];

    fill(image, sizeof(image));
    memset(image + 56, 0, 4);
    balance_bytes(image, sizeof(image), 32, 56, plain_sum(image, sizeof(image), 32));
    CU_ASSERT_EQUAL(get32(image + 56), 0);
}

static void
test_digits(void)
{
    uint8_t image[4096];
    uint32_t wanted;
    unsigned i, n, solved;

    for (n = 0, solved = 0; n < 200; n++) {
        fill(image, sizeof(image));
        fill(&wanted, sizeof(wanted));
        if (!balance_digits(image, sizeof(image), 32, 300, wanted)) {
            CU_ASSERT_EQUAL(memcmp(image + 300, "00000000", 8), 0);
            continue;
        }
        solved++;
        CU_ASSERT_EQUAL(plain_sum(image, sizeof(image), 32), wanted);
        for (i = 0; i < BALANCE_DIGITS; i++)
            CU_ASSERT((image[300 + i] >= '0' && image[300 + i] <= '9') ||
                      (image[300 + i] >= 'a' && image[300 + i] <= 'f'));
    }
    /* 1 - 1/e of random sums have one: 126 of 200, give or take 7. */
    CU_ASSERT(solved > 85 && solved < 165);
    /* A sum that is known to have one is found. */
    memcpy(image + 300, "0af39bde", 8);
    wanted = plain_sum(image, sizeof(image), 32);
    CU_ASSERT(balance_digits(image, sizeof(image), 32, 300, wanted));
    CU_ASSERT_EQUAL(plain_sum(image, sizeof(image), 32), wanted);
}

/* --- images */

static void
keys_make(KEYS *keys)
{
    SECRET *secret;
    STATUS status;

    memset(keys, 0, sizeof(*keys));
    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(OLD_ID, secret, &keys->old_key, &status), 0);
    secret_free(secret);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(NEW_ID, secret, &keys->new_key, &status), 0);
    secret_free(secret);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(keys->old_key, &keys->old_cipher, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(keys->new_key, &keys->cipher, &status), 0);
    fill(keys->plain, sizeof(keys->plain));
}

static void
keys_free(KEYS *keys)
{
    unit_cipher_free(keys->old_cipher);
    unit_cipher_free(keys->cipher);
    unit_key_free(keys->old_key);
    unit_key_free(keys->new_key);
    unit_cipher_library_close();
}

static void
encrypt(KEYS *keys, uint8_t *unit)
{
    STATUS status;
    size_t len;

    CU_ASSERT_EQUAL_FATAL(unit_encrypt(keys->old_cipher, keys->plain, PLAIN_LEN, unit,
                            PLAIN_LEN + UNIT_OVERHEAD, &len, &status),
      0);
}

static void
is_new(KEYS *keys, const uint8_t *unit, size_t len)
{
    uint8_t out[PLAIN_LEN];
    UNIT_HEADER header;
    STATUS status;
    size_t out_len;

    CU_ASSERT_EQUAL_FATAL(unit_parse(unit, len, &header, &status), 0);
    CU_ASSERT_EQUAL(header.data_key_id, NEW_ID);
    CU_ASSERT_EQUAL_FATAL(
      unit_decrypt(keys->new_key, unit, len, out, sizeof(out), &out_len, &status), 0);
    CU_ASSERT_EQUAL(memcmp(out, keys->plain, PLAIN_LEN), 0);
}

static void
make_block(KEYS *keys, uint8_t *image, uint32_t size, bool whole)
{
    memset(image, 0, size);
    image[24] = BLOCK_TYPE_ROW_LEAF;
    image[25] = BLOCK_PAGE_ENCRYPTED;
    put32(image + 28, size);
    image[36] = whole ? 1 : 0;
    put32(image + 40, BLOCK_UNIT_OFFSET + PLAIN_LEN + UNIT_OVERHEAD);
    encrypt(keys, image + BLOCK_UNIT_OFFSET);
    put32(image + 32, plain_sum(image, whole ? size : 64, 32));
}

static void
test_block(void)
{
    KEYS keys;
    REENCRYPT_PLAIN plain = {NULL, 0};
    STATUS status;
    uint8_t before[4096], image[4096];
    REENCRYPT_ITEM item = {.kind = REENCRYPT_BLOCK,
      .offset = 8192,
      .image = image,
      .length = sizeof(image),
      .unit_offset = BLOCK_UNIT_OFFSET,
      .unit_length = PLAIN_LEN + UNIT_OVERHEAD};
    int i;

    keys_make(&keys);
    item.old_key = keys.old_key;
    item.cipher = keys.cipher;
    for (i = 0; i < 200; i++) {
        make_block(&keys, image, sizeof(image), i % 2 == 0);
        memcpy(before, image, sizeof(image));
        CU_ASSERT(reencrypt_item_valid(REENCRYPT_BLOCK, image, sizeof(image)));
        CU_ASSERT_EQUAL_FATAL(reencrypt_item_rewrite(&item, &plain, &status), 0);
        CU_ASSERT_EQUAL(get32(image + 32), get32(before + 32));
        CU_ASSERT_EQUAL(plain_sum(image, i % 2 == 0 ? 4096 : 64, 32), get32(before + 32));
        CU_ASSERT(reencrypt_item_valid(REENCRYPT_BLOCK, image, sizeof(image)));
        CU_ASSERT(reencrypt_item_fits(REENCRYPT_BLOCK, image, sizeof(image), before));
        is_new(&keys, image + BLOCK_UNIT_OFFSET, item.unit_length);
    }
    /* A unit that does not authenticate stays as it is. */
    make_block(&keys, image, sizeof(image), true);
    image[500] ^= 1;
    put32(image + 32, plain_sum(image, sizeof(image), 32));
    memcpy(before, image, sizeof(image));
    CU_ASSERT_EQUAL(reencrypt_item_rewrite(&item, &plain, &status), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(memcmp(before, image, sizeof(image)), 0);
    /* An engine that wrote there since. */
    image[0] ^= 1;
    CU_ASSERT(!reencrypt_item_fits(REENCRYPT_BLOCK, image, sizeof(image), before));
    reencrypt_plain_release(&plain);
    keys_free(&keys);
}

static void
test_record(void)
{
    KEYS keys;
    REENCRYPT_PLAIN plain = {NULL, 0};
    STATUS status;
    uint8_t before[896], image[896];
    REENCRYPT_ITEM item = {.kind = REENCRYPT_RECORD,
      .offset = 256,
      .image = image,
      .length = sizeof(image),
      .unit_offset = LOG_RECORD_UNIT_OFFSET,
      .unit_length = PLAIN_LEN + UNIT_OVERHEAD};

    keys_make(&keys);
    item.old_key = keys.old_key;
    item.cipher = keys.cipher;
    memset(image, 0, sizeof(image));
    put32(image, sizeof(image));
    image[8] = LOG_RECORD_FLAG_ENCRYPTED;
    put32(image + 16, LOG_RECORD_UNIT_OFFSET + PLAIN_LEN + UNIT_OVERHEAD);
    encrypt(&keys, image + LOG_RECORD_UNIT_OFFSET);
    image[sizeof(image) - 1] = 0xab;
    put32(image + 4, plain_sum(image, sizeof(image), 4));
    memcpy(before, image, sizeof(image));
    CU_ASSERT_EQUAL_FATAL(reencrypt_item_rewrite(&item, &plain, &status), 0);
    CU_ASSERT_EQUAL(plain_sum(image, sizeof(image), 4), get32(image + 4));
    CU_ASSERT_EQUAL(image[sizeof(image) - 1], 0xab);
    CU_ASSERT(reencrypt_item_valid(REENCRYPT_RECORD, image, sizeof(image)));
    CU_ASSERT(reencrypt_item_fits(REENCRYPT_RECORD, image, sizeof(image), before));
    before[9] ^= 1;
    CU_ASSERT(!reencrypt_item_fits(REENCRYPT_RECORD, image, sizeof(image), before));
    is_new(&keys, image + LOG_RECORD_UNIT_OFFSET, item.unit_length);
    reencrypt_plain_release(&plain);
    keys_free(&keys);
}

/* Metadata in hex; when cut, without its last two digits as WiredTiger 3.2 leaves some. */
static void
metadata(bool cut)
{
    KEYS keys;
    REENCRYPT_PLAIN plain = {NULL, 0};
    STATUS status;
    uint8_t before[4096], image[4096], unit[4 + PLAIN_LEN + UNIT_OVERHEAD];
    char hex[2 * sizeof(unit) + 1];
    REENCRYPT_ITEM item = {.kind = REENCRYPT_METADATA,
      .offset = 4096,
      .image = image,
      .length = sizeof(image),
      .unit_offset = 200,
      .unit_length = 2 * sizeof(unit) - (cut ? 2 : 0)};
    size_t len;
    unsigned i, last;

    keys_make(&keys);
    item.old_key = keys.old_key;
    item.cipher = keys.cipher;
    fill(image, sizeof(image));
    put32(unit, sizeof(unit));
    encrypt(&keys, unit + 4);
    encode_hex(unit, sizeof(unit), hex);
    memcpy(image + 200, hex, item.unit_length);
    image[36] = 1;
    put32(image + 28, sizeof(image));
    put32(image + 32, plain_sum(image, sizeof(image), 32));
    memcpy(before, image, sizeof(image));
    for (i = 0; i < 20; i++) {
        CU_ASSERT_EQUAL_FATAL(reencrypt_item_rewrite(&item, &plain, &status), 0);
        CU_ASSERT_EQUAL(plain_sum(image, sizeof(image), 32), get32(before + 32));
        CU_ASSERT_EQUAL(memcmp(image, before, 200), 0);
        len = 200 + item.unit_length;
        CU_ASSERT_EQUAL(memcmp(image + len, before + len, sizeof(image) - len), 0);
        CU_ASSERT_EQUAL_FATAL(
          encode_hex_decode((const char *)image + 200, item.unit_length, unit, &status), 0);
        CU_ASSERT_EQUAL(get32(unit), sizeof(unit));
        if (cut) {
            uint8_t out[PLAIN_LEN];

            for (last = 0; last < 256; last++) {
                unit[sizeof(unit) - 1] = (uint8_t)last;
                if (unit_decrypt(keys.new_key, unit + 4, sizeof(unit) - 4, out, sizeof(out), &len,
                      &status) == 0)
                    break;
            }
            CU_ASSERT_FATAL(last < 256);
        }
        is_new(&keys, unit + 4, sizeof(unit) - 4);
        memcpy(image, before, sizeof(image));
    }
    reencrypt_plain_release(&plain);
    keys_free(&keys);
}

static void
test_metadata(void)
{
    metadata(false);
}

static void
test_metadata_cut(void)
{
    metadata(true);
}

const TEST balance_tests[] = {{"four bytes keep any checksum", test_bytes},
  {"what fits gets zero", test_zero}, {"eight digits", test_digits},
  {"a block, both checksums", test_block}, {"a log record", test_record},
  {"metadata in hex", test_metadata}, {"metadata without its last byte", test_metadata_cut},
  {NULL, NULL}};
