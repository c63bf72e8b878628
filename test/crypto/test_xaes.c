/*
 * test/crypto/test_xaes.c -- XAES-256-GCM against its specification, key wrap.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/xaes.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

static void
check_xaes(const VECTOR *vector)
{
    STATUS status;
    SECRET *key;
    const uint8_t *nonce, *aad, *plaintext, *ciphertext, *bytes;
    uint8_t out[64], back[64], changed[64];
    size_t len, aad_len, nonce_len, key_len, sealed_len, i;

    bytes = vector_get(vector, "key", &key_len);
    nonce = vector_get(vector, "nonce", &nonce_len);
    aad = vector_get(vector, "aad", &aad_len);
    plaintext = vector_get(vector, "plaintext", &len);
    ciphertext = vector_get(vector, "ciphertext", &sealed_len);
    CU_ASSERT_EQUAL(nonce_len, XAES_NONCE_LEN);
    CU_ASSERT_EQUAL(sealed_len, len + XAES_TAG_LEN);
    key = test_secret(bytes, key_len);
    CU_ASSERT_EQUAL(xaes_seal(key, nonce, aad, aad_len, plaintext, len, out, &status), 0);
    CU_ASSERT_EQUAL(memcmp(out, ciphertext, sealed_len), 0);
    CU_ASSERT_EQUAL(xaes_open(key, nonce, aad, aad_len, ciphertext, sealed_len, back, &status), 0);
    CU_ASSERT_EQUAL(memcmp(back, plaintext, len), 0);

    for (i = 0; i < sealed_len; i++) {
        memcpy(changed, ciphertext, sealed_len);
        changed[i] ^= 0x10;
        memset(back, 0xee, sizeof(back));
        CU_ASSERT_EQUAL(
          xaes_open(key, nonce, aad, aad_len, changed, sealed_len, back, &status), STATUS_BAD_UNIT);
        CU_ASSERT_EQUAL(back[0], 0);
        CU_ASSERT_EQUAL(back[len - 1], 0);
        CU_ASSERT_EQUAL(back[len], 0xee);
    }
    for (i = 0; i < sealed_len; i++)
        CU_ASSERT_EQUAL(
          xaes_open(key, nonce, aad, aad_len, ciphertext, i, back, &status), STATUS_BAD_UNIT);
    CU_ASSERT_EQUAL(
      xaes_open(key, nonce, "other", 5, ciphertext, sealed_len, back, &status), STATUS_BAD_UNIT);
    secret_free(key);
}

static void
vectors(void)
{
    CU_ASSERT_EQUAL(vectors_each("xaes-256-gcm.txt", check_xaes), 2);
}

/* The mode itself as OpenSSL has it here, by the names that we fetch. */
static void
check_gcm(const VECTOR *vector)
{
    EVP_CIPHER *gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    const uint8_t *key, *nonce, *aad, *plaintext, *ciphertext;
    size_t len, aad_len, nonce_len, key_len, sealed_len;
    uint8_t out[128];
    int n;

    key = vector_get(vector, "key", &key_len);
    nonce = vector_get(vector, "nonce", &nonce_len);
    aad = vector_get(vector, "aad", &aad_len);
    plaintext = vector_get(vector, "plaintext", &len);
    ciphertext = vector_get(vector, "ciphertext", &sealed_len);
    CU_ASSERT_EQUAL(sealed_len, len + 16);
    CU_ASSERT_TRUE(EVP_EncryptInit_ex2(ctx, gcm, key, nonce, NULL));
    CU_ASSERT_TRUE(EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len));
    CU_ASSERT_TRUE(EVP_EncryptUpdate(ctx, out, &n, plaintext, (int)len));
    CU_ASSERT_TRUE(EVP_EncryptFinal_ex(ctx, out + len, &n));
    CU_ASSERT_TRUE(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + len) > 0);
    CU_ASSERT_EQUAL(memcmp(out, ciphertext, sealed_len), 0);
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(gcm);
}

static void
gcm_vectors(void)
{
    CU_ASSERT_EQUAL(vectors_each("aes-256-gcm.txt", check_gcm), 4);
}

/* The specification's accumulated test: random inputs from SHAKE-128, ciphertexts into another. */
static void
accumulated(void)
{
    enum { ROUNDS = 10000, RECORD_MAX = 32 + 24 + 2 * 256 };
    STATUS status;
    EVP_MD_CTX *random = EVP_MD_CTX_new(), *hash = EVP_MD_CTX_new();
    SECRET *key;
    uint8_t *stream = malloc(ROUNDS * RECORD_MAX), *p = stream, out[256 + XAES_TAG_LEN], back[256];
    const uint8_t *nonce, *plaintext, *aad;
    uint8_t digest[32];
    char text[65];
    size_t len, aad_len;
    unsigned i, failed = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    CU_ASSERT_TRUE(EVP_DigestInit_ex(random, EVP_shake128(), NULL));
    CU_ASSERT_TRUE(EVP_DigestFinalXOF(random, stream, ROUNDS * RECORD_MAX));
    encode_hex(stream, 16, text);
    CU_ASSERT_STRING_EQUAL(text, "7f9c2ba4e88f827d616045507605853e");
    CU_ASSERT_TRUE(EVP_DigestInit_ex(hash, EVP_shake128(), NULL));
    for (i = 0; i < ROUNDS; i++) {
        key = test_secret(p, 32);
        nonce = p + 32;
        len = p[56];
        plaintext = p + 57;
        p += 57 + len;
        aad_len = *p;
        aad = p + 1;
        p += 1 + aad_len;
        failed += xaes_seal(key, nonce, aad, aad_len, plaintext, len, out, &status) != 0;
        failed +=
          xaes_open(key, nonce, aad, aad_len, out, len + XAES_TAG_LEN, back, &status) != 0 ||
          memcmp(back, plaintext, len) != 0;
        CU_ASSERT_TRUE(EVP_DigestUpdate(hash, out, len + XAES_TAG_LEN));
        secret_free(key);
    }
    CU_ASSERT_EQUAL(failed, 0);
    CU_ASSERT_TRUE(EVP_DigestFinalXOF(hash, digest, sizeof(digest)));
    encode_hex(digest, sizeof(digest), text);
    CU_ASSERT_STRING_EQUAL(
      text, "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    EVP_MD_CTX_free(random);
    EVP_MD_CTX_free(hash);
    free(stream);
}

static void
refused(void)
{
    STATUS status;
    SECRET *key = test_secret("0123456789abcdef0123456789abcdef", 32);
    SECRET *shorter = test_secret("0123456789abcdef0123456789abcdef", 31);
    uint8_t nonce[XAES_NONCE_LEN] = {0}, out[64];

    CU_ASSERT_EQUAL(
      xaes_seal(shorter, nonce, NULL, 0, (const uint8_t *)"x", 1, out, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(xaes_open(shorter, nonce, NULL, 0, out, 64, out, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(xaes_seal(key, nonce, NULL, 0, out, INT_MAX, out, &status), STATUS_REFUSED);
    CU_ASSERT_EQUAL(
      xaes_seal(key, nonce, out, (size_t)INT_MAX + 1, out, 1, out, &status), STATUS_REFUSED);
    CU_ASSERT_EQUAL(xaes_open(key, nonce, NULL, 0, out, SIZE_MAX, out, &status), STATUS_REFUSED);
    /* An empty message is one all the same. */
    CU_ASSERT_EQUAL(xaes_seal(key, nonce, "a", 1, NULL, 0, out, &status), 0);
    CU_ASSERT_EQUAL(xaes_open(key, nonce, "a", 1, out, XAES_TAG_LEN, NULL, &status), 0);
    CU_ASSERT_EQUAL(
      xaes_open(key, nonce, "b", 1, out, XAES_TAG_LEN, NULL, &status), STATUS_BAD_UNIT);
    secret_free(key);
    secret_free(shorter);
}

static void
wrap(void)
{
    STATUS status;
    SECRET *key = test_secret("0123456789abcdef0123456789abcdef", 32), *back;
    SECRET *other = test_secret("0123456789abcdef0123456789abcdeF", 32);
    SECRET *payload = test_secret("a data key", 10);
    uint8_t wrapped[XAES_WRAPPED_LEN(10)], again[XAES_WRAPPED_LEN(10)];
    size_t i;

    CU_ASSERT_EQUAL(xaes_wrap(key, "aad", 3, payload, wrapped, &status), 0);
    CU_ASSERT_EQUAL(xaes_wrap(key, "aad", 3, payload, again, &status), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(wrapped, again, sizeof(wrapped)), 0);
    CU_ASSERT_EQUAL(xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &back, &status), 0);
    CU_ASSERT_TRUE(secret_equal(payload, back));
    secret_free(back);

    CU_ASSERT_EQUAL(
      xaes_unwrap(key, "AAD", 3, wrapped, sizeof(wrapped), &back, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(back);
    CU_ASSERT_EQUAL(
      xaes_unwrap(other, "aad", 3, wrapped, sizeof(wrapped), &back, &status), STATUS_CORRUPT);
    for (i = 0; i < sizeof(wrapped); i++) {
        CU_ASSERT_EQUAL(xaes_unwrap(key, "aad", 3, wrapped, i, &back, &status), STATUS_CORRUPT);
        wrapped[i] ^= 0x80;
        CU_ASSERT_EQUAL(
          xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &back, &status), STATUS_CORRUPT);
        CU_ASSERT_PTR_NULL(back);
        wrapped[i] ^= 0x80;
    }
    CU_ASSERT_EQUAL(
      xaes_unwrap(key, "aad", 3, wrapped, XAES_WRAPPED_LEN(SECRET_MAX_BYTES) + 1, &back, &status),
      STATUS_CORRUPT);
    secret_free(key);
    secret_free(other);
    secret_free(payload);
}

/* One XAES for all: each message as if it were the first, whatever key or failure came before. */
static void
wrap_many(void)
{
    enum { KEYS = 3, ROUNDS = 30 };
    STATUS status;
    SECRET *keys[KEYS], *payload = test_secret("a data key", 10), *back;
    SECRET *shorter = test_secret("0123456789abcdef0123456789abcdef", 31);
    XAES *xaes;
    uint8_t wrapped[XAES_WRAPPED_LEN(10)];
    unsigned i;

    for (i = 0; i < KEYS; i++)
        CU_ASSERT_EQUAL_FATAL(secret_new_random(XAES_KEY_LEN, &keys[i], &status), 0);
    CU_ASSERT_EQUAL_FATAL(xaes_new(&xaes, &status), 0);
    for (i = 0; i < ROUNDS; i++) {
        const SECRET *key = keys[i / 2 % KEYS], *other = keys[(i / 2 + 1) % KEYS];

        CU_ASSERT_EQUAL(xaes_wrap_by(xaes, key, "aad", 3, payload, wrapped, &status), 0);
        CU_ASSERT_EQUAL(xaes_unwrap(key, "aad", 3, wrapped, sizeof(wrapped), &back, &status), 0);
        CU_ASSERT_TRUE(secret_equal(payload, back));
        secret_free(back);
        if (i % 4 == 0) {
            CU_ASSERT_EQUAL(
              xaes_unwrap_by(xaes, other, "aad", 3, wrapped, sizeof(wrapped), &back, &status),
              STATUS_CORRUPT);
            CU_ASSERT_PTR_NULL(back);
            CU_ASSERT_EQUAL(
              xaes_unwrap_by(xaes, key, "AAD", 3, wrapped, sizeof(wrapped), &back, &status),
              STATUS_CORRUPT);
            CU_ASSERT_EQUAL(
              xaes_unwrap_by(xaes, shorter, "aad", 3, wrapped, sizeof(wrapped), &back, &status),
              STATUS_INTERNAL);
        }
        CU_ASSERT_EQUAL(xaes_wrap(key, "aad", 3, payload, wrapped, &status), 0);
        CU_ASSERT_EQUAL(
          xaes_unwrap_by(xaes, key, "aad", 3, wrapped, sizeof(wrapped), &back, &status), 0);
        CU_ASSERT_TRUE(secret_equal(payload, back));
        secret_free(back);
    }
    xaes_free(xaes);
    xaes_free(NULL);
    for (i = 0; i < KEYS; i++)
        secret_free(keys[i]);
    secret_free(payload);
    secret_free(shorter);
}

const TEST tests_xaes[] = {{"vectors of the specification", vectors},
  {"accumulated vectors of the specification", accumulated},
  {"vectors of AES-256-GCM", gcm_vectors}, {"lengths", refused}, {"key wrap", wrap},
  {"key wrap of many", wrap_many}, {NULL, NULL}};
