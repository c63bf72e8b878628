/*
 * test/crypto/test_mac.c -- HKDF, HMAC, SHA-256 against the RFCs' vectors.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/mac.h"

#include <stdio.h>
#include <string.h>

static void
check_hkdf(const VECTOR *vector)
{
    STATUS status;
    SECRET *key, *derived;
    const uint8_t *bytes, *salt, *info, *output;
    size_t len, salt_len, info_len, output_len;
    uint8_t out[128];
    char label[256];

    bytes = vector_get(vector, "key", &len);
    salt = vector_get(vector, "salt", &salt_len);
    info = vector_get(vector, "info", &info_len);
    output = vector_get(vector, "output", &output_len);
    /* Labels are C strings; none of the vectors has a NUL in it. */
    (void)snprintf(label, sizeof(label), "%.*s", (int)info_len, (const char *)info);
    CU_ASSERT_EQUAL(strlen(label), info_len);
    key = test_secret(bytes, len);
    CU_ASSERT_EQUAL(mac_derive_public(key, salt, salt_len, label, out, output_len, &status), 0);
    CU_ASSERT_EQUAL(memcmp(out, output, output_len), 0);
    if (salt_len == 0) {
        CU_ASSERT_EQUAL(mac_derive(key, label, output_len, &derived, &status), 0);
        CU_ASSERT_EQUAL(secret_len(derived), output_len);
        CU_ASSERT_EQUAL(memcmp(secret_bytes(derived), output, output_len), 0);
        secret_free(derived);
    }
    secret_free(key);
}

static MAC_HKDF *hkdf_of_many;

static void
check_hkdf_of_many(const VECTOR *vector)
{
    STATUS status;
    SECRET *key;
    const uint8_t *bytes, *salt, *info, *output;
    size_t len, salt_len, info_len, output_len;
    uint8_t out[MAC_LEN];
    char label[256];

    bytes = vector_get(vector, "key", &len);
    salt = vector_get(vector, "salt", &salt_len);
    info = vector_get(vector, "info", &info_len);
    output = vector_get(vector, "output", &output_len);
    (void)snprintf(label, sizeof(label), "%.*s", (int)info_len, (const char *)info);
    CU_ASSERT_TRUE_FATAL(output_len >= MAC_LEN);
    key = test_secret(bytes, len);
    CU_ASSERT_EQUAL(mac_hkdf_derive(hkdf_of_many, key, salt, salt_len, label, out, &status), 0);
    CU_ASSERT_EQUAL(memcmp(out, output, MAC_LEN), 0);
    secret_free(key);
}

/* One after the other with one MAC_HKDF: RFC 5869's, then what OpenSSL's own HKDF gives. */
static void
many_hkdf(void)
{
    STATUS status;
    SECRET *key;
    uint8_t out[MAC_LEN], expected[MAC_LEN], salt[100];
    size_t i;

    CU_ASSERT_EQUAL_FATAL(mac_hkdf_new(&hkdf_of_many, &status), 0);
    CU_ASSERT_EQUAL(vectors_each("hkdf-sha256.txt", check_hkdf_of_many), 3);
    for (i = 0; i < sizeof(salt); i++) {
        salt[i] = (uint8_t)(7 * i);
        CU_ASSERT_EQUAL_FATAL(secret_new_random(i + 1, &key, &status), 0);
        CU_ASSERT_EQUAL(mac_hkdf_derive(hkdf_of_many, key, salt, i, "label", out, &status), 0);
        CU_ASSERT_EQUAL(
          mac_derive_public(key, salt, i, "label", expected, sizeof(expected), &status), 0);
        CU_ASSERT_EQUAL(memcmp(out, expected, MAC_LEN), 0);
        secret_free(key);
    }
    mac_hkdf_free(hkdf_of_many);
    mac_hkdf_free(NULL);
}

static void
hkdf(void)
{
    STATUS status;
    SECRET *key = test_secret("0123456789abcdef0123456789abcdef", 32), *a, *b;
    uint8_t out[1];

    CU_ASSERT_EQUAL(vectors_each("hkdf-sha256.txt", check_hkdf), 3);
    CU_ASSERT_EQUAL(mac_derive(key, "wtkms/1/wrap", 32, &a, &status), 0);
    CU_ASSERT_EQUAL(mac_derive(key, "wtkms/1/seal", 32, &b, &status), 0);
    CU_ASSERT_FALSE(secret_equal(a, b));
    secret_free(a);
    secret_free(b);
    /* 255 blocks are HKDF's limit. */
    CU_ASSERT_EQUAL(mac_derive(key, "label", 8160, &a, &status), 0);
    secret_free(a);
    CU_ASSERT_EQUAL(mac_derive(key, "label", 8161, &a, &status), STATUS_INTERNAL);
    CU_ASSERT_PTR_NULL(a);
    CU_ASSERT_EQUAL(mac_derive(key, "label", 0, &a, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(mac_derive_public(key, NULL, 0, "label", out, 8161, &status), STATUS_INTERNAL);
    secret_free(key);
}

static void
check_hmac(const VECTOR *vector)
{
    STATUS status;
    SECRET *key;
    MAC *mac;
    const uint8_t *bytes, *data, *output;
    size_t len, data_len, output_len, split;
    uint8_t out[MAC_LEN];

    bytes = vector_get(vector, "key", &len);
    data = vector_get(vector, "data", &data_len);
    output = vector_get(vector, "output", &output_len);
    CU_ASSERT_EQUAL(output_len, MAC_LEN);
    key = test_secret(bytes, len);
    for (split = 0; split <= data_len; split++) {
        CU_ASSERT_EQUAL(mac_new(key, &mac, &status), 0);
        CU_ASSERT_EQUAL(mac_update(mac, data, split, &status), 0);
        CU_ASSERT_EQUAL(mac_update(mac, data + split, data_len - split, &status), 0);
        CU_ASSERT_EQUAL(mac_final(mac, out, &status), 0);
        CU_ASSERT_TRUE(mac_equal(out, output, MAC_LEN));
        out[split % MAC_LEN] ^= 1;
        CU_ASSERT_FALSE(mac_equal(out, output, MAC_LEN));
        mac_free(mac);
    }
    secret_free(key);
}

static void
hmac(void)
{
    CU_ASSERT_EQUAL(vectors_each("hmac-sha256.txt", check_hmac), 6);
    mac_free(NULL);
}

static void
sha256(void)
{
    STATUS status;
    uint8_t out[MAC_LEN];
    char text[2 * MAC_LEN + 1];

    CU_ASSERT_EQUAL(mac_sha256("abc", 3, out, &status), 0);
    encode_hex(out, sizeof(out), text);
    CU_ASSERT_STRING_EQUAL(
      text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

const TEST tests_mac[] = {{"HKDF of RFC 5869", hkdf}, {"HKDF of many keys", many_hkdf},
  {"HMAC of RFC 4231", hmac}, {"SHA-256", sha256}, {NULL, NULL}};
