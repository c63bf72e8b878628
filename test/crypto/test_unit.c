/*
 * test/crypto/test_unit.c -- The form of a unit, and what a changed one does.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/xaes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#define LEN 100

static void
header(void)
{
    static const uint8_t expected[16] = {
      'W', 'K', 1, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0};
    STATUS status;
    UNIT_HEADER parsed;
    uint8_t unit[UNIT_OVERHEAD];

    memset(unit, 0xff, sizeof(unit));
    unit_header_write(unit, TEST_KEY_ID);
    CU_ASSERT_EQUAL(memcmp(unit, expected, sizeof(expected)), 0);
    CU_ASSERT_EQUAL(unit[16], 0xff);
    unit[12] = 4;
    unit[15] = 1;
    CU_ASSERT_EQUAL(unit_parse(unit, sizeof(unit), &parsed, &status), 0);
    CU_ASSERT_EQUAL(parsed.format, 1);
    CU_ASSERT_EQUAL(parsed.cipher, 1);
    CU_ASSERT_EQUAL(parsed.data_key_id, TEST_KEY_ID);
    CU_ASSERT_EQUAL(parsed.balance, 0x01000004);

    CU_ASSERT_EQUAL(unit_parse(unit, UNIT_OVERHEAD - 1, &parsed, &status), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(parsed.data_key_id, 0);
    CU_ASSERT_EQUAL(unit_parse(unit, 0, &parsed, &status), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(unit_parse(unit, UINT32_MAX, &parsed, &status), 0);
    CU_ASSERT_EQUAL(unit_parse(unit, (size_t)UINT32_MAX + 1, &parsed, &status), STATUS_BAD_UNIT);
    unit[2] = 2;
    CU_ASSERT_EQUAL(unit_parse(unit, sizeof(unit), &parsed, &status), STATUS_NO_KEY);
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    unit[2] = 1;
    unit[3] = 0;
    CU_ASSERT_EQUAL(unit_parse(unit, sizeof(unit), &parsed, &status), STATUS_NO_KEY);
    unit[1] = 'k';
    CU_ASSERT_EQUAL(unit_parse(unit, sizeof(unit), &parsed, &status), STATUS_BAD_UNIT);
    unit[1] = 'K';
    unit[0] = 0;
    CU_ASSERT_EQUAL(unit_parse(unit, sizeof(unit), &parsed, &status), STATUS_BAD_UNIT);
}

static void
fill(uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        p[i] = (uint8_t)(i * 37 + i / 256 + 11);
}

static void
round_trip(void)
{
    enum { MOST = 17 * 1024 * 1024 + 5 }; /* more than one call of EVP takes */
    static const size_t lens[] = {0, 1, 15, 16, 17, 511, 512, 4096, 32768, 1000003, MOST};
    STATUS status;
    UNITS units;
    uint8_t *src = malloc(MOST), *unit = malloc(MOST + UNIT_OVERHEAD), *back = malloc(MOST);
    size_t i, len, unit_len, back_len;

    CU_ASSERT_TRUE_FATAL(src != NULL && unit != NULL && back != NULL);
    units_open(&units);
    fill(src, MOST);
    CU_ASSERT_EQUAL(unit_key_id(units.key), TEST_KEY_ID);
    for (i = 0; i < sizeof(lens) / sizeof(lens[0]) + 300; i++) {
        len = i < 300 ? i : lens[i - 300];
        CU_ASSERT_EQUAL(
          unit_encrypt(units.cipher, src, len, unit, len + UNIT_OVERHEAD, &unit_len, &status), 0);
        CU_ASSERT_EQUAL(unit_len, len + UNIT_OVERHEAD);
        CU_ASSERT_EQUAL(unit_decrypt(units.key, unit, unit_len, back, len, &back_len, &status), 0);
        CU_ASSERT_EQUAL(back_len, len);
        CU_ASSERT_EQUAL(memcmp(src, back, len), 0);
        /* The plain form of the cipher agrees, whose vectors are the specification's. */
        memset(back, 0, len);
        CU_ASSERT_EQUAL(xaes_open(units.secret, unit + UNIT_NONCE_OFFSET, unit, UNIT_AAD_LEN,
                          unit + UNIT_HEADER_LEN, len + UNIT_TAG_LEN, back, &status),
          0);
        CU_ASSERT_EQUAL(memcmp(src, back, len), 0);
    }
    units_close(&units);
    free(src);
    free(unit);
    free(back);
}

/* By the definition: AES-CMAC of OpenSSL makes the sub-key, AES-256-GCM decrypts. */
static void
by_definition(void)
{
    STATUS status;
    UNITS units;
    EVP_MAC *cmac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(cmac);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    char name[] = "AES-256-CBC";
    OSSL_PARAM params[2] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, name, 0), OSSL_PARAM_construct_end()};
    uint8_t src[LEN], unit[LEN + UNIT_OVERHEAD], back[LEN], block[16], subkey[32];
    size_t unit_len, n, i;
    int len;

    units_open(&units);
    fill(src, LEN);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, LEN, unit, sizeof(unit), &unit_len, &status), 0);
    for (i = 0; i < 2; i++) {
        memset(block, 0, 4);
        block[1] = (uint8_t)(i + 1);
        block[2] = 0x58;
        memcpy(block + 4, unit + 16, 12);
        CU_ASSERT_TRUE(EVP_MAC_init(mac, secret_bytes(units.secret), 32, params));
        CU_ASSERT_TRUE(EVP_MAC_update(mac, block, 16));
        CU_ASSERT_TRUE(EVP_MAC_final(mac, subkey + 16 * i, &n, 16));
    }
    CU_ASSERT_TRUE(EVP_DecryptInit_ex2(ctx, EVP_aes_256_gcm(), subkey, unit + 28, NULL));
    CU_ASSERT_TRUE(
      EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, unit + sizeof(unit) - 16) > 0);
    CU_ASSERT_TRUE(EVP_DecryptUpdate(ctx, NULL, &len, unit, 12));
    CU_ASSERT_TRUE(EVP_DecryptUpdate(ctx, back, &len, unit + 40, LEN));
    CU_ASSERT_TRUE(EVP_DecryptFinal_ex(ctx, back + LEN, &len));
    CU_ASSERT_EQUAL(memcmp(src, back, LEN), 0);
    EVP_CIPHER_CTX_free(ctx);
    EVP_MAC_CTX_free(mac);
    EVP_MAC_free(cmac);
    units_close(&units);
}

static bool
is_filled(const uint8_t *p, size_t len, uint8_t value)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (p[i] != value)
            return (false);
    return (true);
}

/* Every bit of every byte. */
static void
flipped(void)
{
    STATUS status;
    UNITS units;
    uint8_t src[LEN], unit[LEN + UNIT_OVERHEAD], back[LEN + 1];
    size_t unit_len, back_len, i;
    unsigned bit;
    int ret, expected;

    units_open(&units);
    fill(src, LEN);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, LEN, unit, sizeof(unit), &unit_len, &status), 0);
    for (i = 0; i < sizeof(unit); i++)
        for (bit = 0; bit < 8; bit++) {
            unit[i] ^= (uint8_t)(1 << bit);
            memset(back, 0xee, sizeof(back));
            status_clear(&status);
            ret = unit_decrypt(units.key, unit, unit_len, back, LEN, &back_len, &status);
            /* Version, cipher and key id make it somebody else's unit; balance bytes are free. */
            expected = i < 2    ? STATUS_BAD_UNIT
                       : i < 12 ? STATUS_NO_KEY
                       : i < 16 ? 0
                                : STATUS_BAD_UNIT;
            CU_ASSERT_EQUAL(ret, expected);
            CU_ASSERT_EQUAL((int)status.status_class, expected);
            CU_ASSERT_EQUAL(back_len, ret == 0 ? LEN : 0);
            if (ret == 0)
                CU_ASSERT_EQUAL(memcmp(back, src, LEN), 0);
            if (i >= 16)
                CU_ASSERT_TRUE(is_filled(back, LEN, 0));
            CU_ASSERT_EQUAL(back[LEN], 0xee);
            CU_ASSERT_EQUAL(ERR_peek_error(), 0);
            unit[i] ^= (uint8_t)(1 << bit);
        }
    /* And it is still good, in the same contexts. */
    CU_ASSERT_EQUAL(unit_decrypt(units.key, unit, unit_len, back, LEN, &back_len, &status), 0);
    units_close(&units);
}

/* Cut at every length, in a buffer of exactly that length: a sanitizer sees any read beyond. */
static void
cut(void)
{
    STATUS status;
    UNITS units;
    uint8_t src[LEN], unit[LEN + UNIT_OVERHEAD], back[LEN], *exact;
    size_t unit_len, back_len, len;

    units_open(&units);
    fill(src, LEN);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, LEN, unit, sizeof(unit), &unit_len, &status), 0);
    for (len = 0; len < unit_len; len++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(exact = malloc(len == 0 ? 1 : len));
        memcpy(exact, unit, len);
        CU_ASSERT_EQUAL(unit_decrypt(units.key, exact, len, back, sizeof(back), &back_len, &status),
          STATUS_BAD_UNIT);
        CU_ASSERT_EQUAL(back_len, 0);
        free(exact);
    }
    /* A length that lies: more than there is room for, more than a unit may have. */
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, unit, unit_len, back, LEN - 1, &back_len, &status), STATUS_REFUSED);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, unit, UINT32_MAX, back, LEN, &back_len, &status), STATUS_REFUSED);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, unit, (size_t)UINT32_MAX + 1, back, SIZE_MAX, &back_len, &status),
      STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, unit, SIZE_MAX, back, SIZE_MAX, &back_len, &status), STATUS_BAD_UNIT);
    units_close(&units);
}

static void
no_space(void)
{
    STATUS status;
    UNITS units;
    uint8_t src[LEN], unit[LEN + UNIT_OVERHEAD];
    size_t unit_len = 9;

    units_open(&units);
    fill(src, LEN);
    memset(unit, 0xee, sizeof(unit));
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, LEN, unit, sizeof(unit) - 1, &unit_len, &status),
      STATUS_REFUSED);
    CU_ASSERT_EQUAL(unit_len, 0);
    CU_ASSERT_EQUAL(unit_encrypt(units.cipher, src, (size_t)UINT32_MAX - UNIT_OVERHEAD + 1, unit,
                      SIZE_MAX, &unit_len, &status),
      STATUS_REFUSED);
    CU_ASSERT_EQUAL(unit_encrypt(units.cipher, src, SIZE_MAX, unit, SIZE_MAX, &unit_len, &status),
      STATUS_REFUSED);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, SIZE_MAX - UNIT_OVERHEAD + 1, unit, LEN, &unit_len, &status),
      STATUS_REFUSED);
    CU_ASSERT_TRUE(is_filled(unit, sizeof(unit), 0xee));
    units_close(&units);
}

static void
wrong_key(void)
{
    STATUS status;
    UNITS units;
    SECRET *secret = test_secret("another key, but of the same id.", 32);
    SECRET *shorter = test_secret("short", 5);
    UNIT_KEY *same_id, *other_id, *none;
    uint8_t src[LEN], unit[LEN + UNIT_OVERHEAD], back[LEN];
    size_t unit_len, back_len;

    CU_ASSERT_EQUAL(unit_key_new(1, secret, &none, &status), STATUS_INTERNAL);
    CU_ASSERT_STRING_EQUAL(status.id, "cipher-closed");
    units_open(&units);
    fill(src, LEN);
    CU_ASSERT_EQUAL(unit_key_new(TEST_KEY_ID, secret, &same_id, &status), 0);
    CU_ASSERT_EQUAL(unit_key_new(TEST_KEY_ID + 1, units.secret, &other_id, &status), 0);
    CU_ASSERT_EQUAL(unit_key_new(1, shorter, &none, &status), STATUS_INTERNAL);
    CU_ASSERT_PTR_NULL(none);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, src, LEN, unit, sizeof(unit), &unit_len, &status), 0);
    CU_ASSERT_EQUAL(
      unit_decrypt(same_id, unit, unit_len, back, LEN, &back_len, &status), STATUS_BAD_UNIT);
    CU_ASSERT_TRUE(is_filled(back, LEN, 0));
    CU_ASSERT_EQUAL(
      unit_decrypt(other_id, unit, unit_len, back, LEN, &back_len, &status), STATUS_NO_KEY);
    CU_ASSERT_EQUAL(unit_decrypt(units.key, unit, unit_len, back, LEN, &back_len, &status), 0);
    unit_key_free(same_id);
    unit_key_free(other_id);
    unit_key_free(NULL);
    unit_cipher_free(NULL);
    units_close(&units);
    secret_free(secret);
    secret_free(shorter);
}

/* The sanitizers' and valgrind's allocators keep freed memory back. */
static bool
reuses_memory(void)
{
    void *volatile p = malloc(24);
    uintptr_t first = (uintptr_t)p;
    bool same;

    free(p);
    p = malloc(24);
    same = (uintptr_t)p == first;
    free(p);
    return (same);
}

/* A key freed and another made at the same address: contexts must not take one for the other. */
static void
address_reused(void)
{
    STATUS status;
    UNITS units;
    UNIT_KEY *key;
    UNIT_CIPHER *cipher;
    SECRET *secret;
    uint8_t unit[LEN + UNIT_OVERHEAD], src[LEN], back[LEN];
    uintptr_t last = 0;
    size_t unit_len, back_len;
    unsigned i, same = 0;

    units_open(&units);
    fill(src, LEN);
    for (i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(secret_new_random(32, &secret, &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_key_new(5, secret, &key, &status), 0);
        same += (uintptr_t)key == last;
        last = (uintptr_t)key;
        CU_ASSERT_EQUAL(unit_cipher_new(key, &cipher, &status), 0);
        CU_ASSERT_EQUAL(unit_encrypt(cipher, src, LEN, unit, sizeof(unit), &unit_len, &status), 0);
        CU_ASSERT_EQUAL(xaes_open(secret, unit + UNIT_NONCE_OFFSET, unit, UNIT_AAD_LEN,
                          unit + UNIT_HEADER_LEN, LEN + UNIT_TAG_LEN, back, &status),
          0);
        CU_ASSERT_EQUAL(unit_decrypt(key, unit, unit_len, back, LEN, &back_len, &status), 0);
        unit_cipher_free(cipher);
        unit_key_free(key);
        secret_free(secret);
    }
    CU_ASSERT_TRUE(same > 0 || !reuses_memory());
    units_close(&units);
}

/* Source pages may belong to a file that is mapped read-only. */
static void
read_only_source(void)
{
    STATUS status;
    UNITS units;
    uint8_t unit[1000 + UNIT_OVERHEAD], back[1000];
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t unit_len, back_len;

    CU_ASSERT_TRUE_FATAL(page != MAP_FAILED);
    units_open(&units);
    fill(page, 1000);
    CU_ASSERT_EQUAL(mprotect(page, 4096, PROT_READ), 0);
    CU_ASSERT_EQUAL(
      unit_encrypt(units.cipher, page, 1000, unit, sizeof(unit), &unit_len, &status), 0);
    CU_ASSERT_EQUAL(mprotect(page, 4096, PROT_READ | PROT_WRITE), 0);
    memcpy(page, unit, unit_len);
    CU_ASSERT_EQUAL(mprotect(page, 4096, PROT_READ), 0);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, page, unit_len, back, sizeof(back), &back_len, &status), 0);
    CU_ASSERT_EQUAL(back_len, 1000);
    (void)munmap(page, 4096);
    units_close(&units);
}

/* The library is counted, and may be opened again after the last close. */
static void
open_close(void)
{
    STATUS status;
    UNITS units;
    unsigned i;

    unit_cipher_library_close();
    for (i = 0; i < 10; i++) {
        units_open(&units);
        CU_ASSERT_EQUAL(unit_cipher_library_open(&status), 0);
        unit_cipher_library_close();
        units_close(&units);
    }
    CU_ASSERT_EQUAL(secret_damage(), 0);
}

const TEST tests_unit[] = {{"header", header}, {"round trip", round_trip},
  {"by the definition", by_definition}, {"every bit flipped", flipped},
  {"cut at every length", cut}, {"no space", no_space}, {"wrong key", wrong_key},
  {"address of a key reused", address_reused}, {"read-only source", read_only_source},
  {"open and close", open_close}, {NULL, NULL}};
