/*
 * test/crypto/test_encode.c -- base64, hexadecimal, random bytes.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/random.h"

#include <string.h>

#include <openssl/evp.h>

static void
base64_known(void)
{
    /* RFC 4648, section 10. */
    static const char *const pairs[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
      {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    STATUS status;
    uint8_t data[16];
    char text[16];
    size_t i, len;

    for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        len = encode_base64((const uint8_t *)pairs[i][0], strlen(pairs[i][0]), text);
        CU_ASSERT_EQUAL(len, strlen(pairs[i][1]));
        CU_ASSERT_STRING_EQUAL(text, pairs[i][1]);
        CU_ASSERT_EQUAL(encode_base64_decode(text, len, data, &len, &status), 0);
        CU_ASSERT_EQUAL(len, strlen(pairs[i][0]));
        CU_ASSERT_EQUAL(memcmp(data, pairs[i][0], len), 0);
    }
}

/* OpenSSL's encoder is the judge over every byte value and every length. */
static void
base64_every_byte(void)
{
    STATUS status;
    uint8_t data[256], back[264];
    char text[ENCODE_BASE64_SIZE(256)];
    unsigned char theirs[ENCODE_BASE64_SIZE(256)];
    size_t i, len, back_len;

    for (i = 0; i < 256; i++)
        data[i] = (uint8_t)(i * 7 + 3);
    for (len = 0; len <= 256; len++) {
        (void)EVP_EncodeBlock(theirs, data, (int)len);
        CU_ASSERT_EQUAL(encode_base64(data, len, text), strlen((char *)theirs));
        CU_ASSERT_STRING_EQUAL(text, (char *)theirs);
        CU_ASSERT_EQUAL(encode_base64_decode(text, strlen(text), back, &back_len, &status), 0);
        CU_ASSERT_EQUAL(back_len, len);
        CU_ASSERT_EQUAL(memcmp(back, data, len), 0);
    }
}

static void
base64_refused(void)
{
    static const char *const bad[] = {"Z", "Zg",
      "Zg=", "Zg==Zg==", "Zm9v=", "Zm9v====", "====", "=m9v", "Z=9v", "Zm=v", "Zm9v\n", " Zm9v",
      "Zm 9", "Zm9v Zm9", "Zm-_", "Zh==", "Zm9=", "Zg=a", "Zm9\x80", "\xff\xff\xff\xff"};
    STATUS status;
    uint8_t data[16];
    size_t i, len;
    char text[5] = "AAAA";
    unsigned c, good = 0;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        len = 99;
        CU_ASSERT_EQUAL(
          encode_base64_decode(bad[i], strlen(bad[i]), data, &len, &status), STATUS_CORRUPT);
        CU_ASSERT_EQUAL(len, 0);
    }
    /* An embedded NUL is a character as wrong as any. */
    CU_ASSERT_EQUAL(encode_base64_decode("Zm\0v", 4, data, &len, &status), STATUS_CORRUPT);
    for (c = 0; c < 256; c++) {
        text[1] = (char)c;
        good += encode_base64_decode(text, 4, data, &len, &status) == 0;
    }
    CU_ASSERT_EQUAL(good, 64);
}

static void
base64_secret(void)
{
    STATUS status;
    SECRET *secret;

    CU_ASSERT_EQUAL(encode_base64_decode_secret("Zm9vYmE= \r\n\t", 12, &secret, &status), 0);
    CU_ASSERT_EQUAL(secret_len(secret), 5);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(secret), "fooba", 5), 0);
    secret_free(secret);
    CU_ASSERT_EQUAL(encode_base64_decode_secret("Zm9v Zm9v", 9, &secret, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(secret);
    CU_ASSERT_EQUAL(encode_base64_decode_secret(" Zm9v", 5, &secret, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(encode_base64_decode_secret("Zm9v\0", 5, &secret, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(encode_base64_decode_secret(" \n", 2, &secret, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(encode_base64_decode_secret("", 0, &secret, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(secret);
    CU_ASSERT_STRING_EQUAL(status.id, "base64");
}

static void
hex(void)
{
    STATUS status;
    uint8_t data[256], back[256];
    char text[513], one[3] = "0";
    unsigned i, good = 0;

    for (i = 0; i < 256; i++)
        data[i] = (uint8_t)i;
    encode_hex(data, 256, text);
    CU_ASSERT_EQUAL(strlen(text), 512);
    CU_ASSERT_EQUAL(memcmp(text, "000102030405060708090a0b0c0d0e0f10", 34), 0);
    CU_ASSERT_STRING_EQUAL(text + 502, "fbfcfdfeff");
    CU_ASSERT_EQUAL(encode_hex_decode(text, 512, back, &status), 0);
    CU_ASSERT_EQUAL(memcmp(back, data, 256), 0);
    CU_ASSERT_EQUAL(encode_hex_decode("aBCdeF", 6, back, &status), 0);
    CU_ASSERT_EQUAL(memcmp(back, "\xab\xcd\xef", 3), 0);
    CU_ASSERT_EQUAL(encode_hex_decode("", 0, back, &status), 0);
    CU_ASSERT_EQUAL(encode_hex_decode("abc", 3, back, &status), STATUS_CORRUPT);
    for (i = 0; i < 256; i++) {
        one[1] = (char)i;
        good += encode_hex_decode(one, 2, back, &status) == 0;
    }
    CU_ASSERT_EQUAL(good, 22);
    encode_hex(data, 0, text);
    CU_ASSERT_STRING_EQUAL(text, "");
}

static void
random_numbers(void)
{
    STATUS status;
    uint8_t a[1000], b[1000];
    uint64_t id, other;
    unsigned counts[256] = {0}, i, missing = 0;

    memset(a, 0, sizeof(a));
    memset(b, 0, sizeof(b));
    CU_ASSERT_EQUAL(random_bytes(a, sizeof(a), &status), 0);
    fault_interrupt = true;
    CU_ASSERT_EQUAL(random_bytes(b, sizeof(b), &status), 0);
    CU_ASSERT_FALSE(fault_interrupt);
    CU_ASSERT_NOT_EQUAL(memcmp(a, b, sizeof(a)), 0);
    /* After an interrupted and a short call all of the buffer is filled. */
    for (i = 0; i < sizeof(b); i++)
        counts[b[i]]++;
    for (i = 0; i < 256; i++)
        missing += counts[i] == 0;
    CU_ASSERT_TRUE(counts[0] < 40 && missing < 40);
    CU_ASSERT_EQUAL(random_bytes(a, 0, &status), 0);

    CU_ASSERT_EQUAL(random_id(&id, &status), 0);
    CU_ASSERT_EQUAL(random_id(&other, &status), 0);
    CU_ASSERT_NOT_EQUAL(id, 0);
    CU_ASSERT_NOT_EQUAL(id, other);
}

/* Every length, so each padding, and every byte; what the standard alphabet says, but for two characters. */
static void
base64url(void)
{
    static const char *const bad[] = {"", "=", "Zg+A", "Zg/A", "Zg!A", "Zm9v.A", "A", "Zh"};
    uint8_t data[256];
    char standard[ENCODE_BASE64_SIZE(256)], text[ENCODE_BASE64_SIZE(256)];
    SECRET *secret;
    STATUS status;
    size_t i, len, text_len;

    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + 251);
    for (len = 1; len <= sizeof(data); len++) {
        (void)encode_base64(data, len, standard);
        text_len = encode_base64url(data, len, text);
        CU_ASSERT_EQUAL(text_len, strlen(text));
        CU_ASSERT_EQUAL(text_len, strcspn(standard, "="));
        for (i = 0; i < text_len; i++)
            CU_ASSERT_EQUAL(text[i], standard[i] == '+'   ? '-'
                                     : standard[i] == '/' ? '_'
                                                          : standard[i]);
        CU_ASSERT_EQUAL_FATAL(encode_base64url_decode_secret(text, text_len, &secret, &status), 0);
        CU_ASSERT_EQUAL(secret_len(secret), len);
        CU_ASSERT_EQUAL(memcmp(secret_bytes(secret), data, len), 0);
        secret_free(secret);
    }
    CU_ASSERT_EQUAL(encode_base64url(data, 0, text), 0);
    CU_ASSERT_STRING_EQUAL(text, "");
    CU_ASSERT_EQUAL(encode_base64url_decode_secret("-_-_Zg==", 8, &secret, &status), 0);
    CU_ASSERT_EQUAL(secret_len(secret), 4);
    secret_free(secret);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(
          encode_base64url_decode_secret(bad[i], strlen(bad[i]), &secret, &status), STATUS_CORRUPT);
        CU_ASSERT_PTR_NULL(secret);
    }
}

const TEST tests_encode[] = {{"base64url", base64url}, {"base64 of RFC 4648", base64_known},
  {"base64 of every byte and length", base64_every_byte}, {"base64 refused", base64_refused},
  {"base64 into a secret", base64_secret}, {"hexadecimal", hex}, {"random", random_numbers},
  {NULL, NULL}};
