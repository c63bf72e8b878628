/*
 * test/kms_clients/test_jwt.c -- Signed tokens, held to RFC 7515.
 */
#include "test/kms_clients/kms_tests.h"

#include "crypto/encode.h"
#include "kms_clients/jwt.h"
#include "test/vectors/jwt-keys.h"

#include <stdlib.h>
#include <string.h>

static SECRET *
secret_of(const char *text)
{
    STATUS status;
    SECRET *secret;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy(text, strlen(text), &secret, &status), 0);
    return (secret);
}

static void
rfc7515(void)
{
    STATUS status;
    SECRET *header = secret_of("{\"alg\":\"RS256\"}"),
           *claims = secret_of("{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
                               "\"http://example.com/is_root\":true}"),
           *key = secret_of(JWT_KEY_PEM), *token, *expected = secret_of(JWT_TOKEN);

    CU_ASSERT_EQUAL_FATAL(jwt_sign(JWT_RS256, header, claims, key, &token, &status), 0);
    CU_ASSERT_TRUE(secret_equal(token, expected));
    secret_free(token);
    secret_free(expected);
    secret_free(header);
    secret_free(claims);
    secret_free(key);
}

/* PS256 is salted: two tokens share what is signed, and nothing of their signatures. */
static void
ps256(void)
{
    STATUS status;
    SECRET *header = secret_of("{\"alg\":\"PS256\"}"), *claims = secret_of("{}"),
           *key = secret_of(JWT_KEY_PEM), *one, *two;
    const size_t input = strlen("eyJhbGciOiJQUzI1NiJ9.e30.");

    CU_ASSERT_EQUAL_FATAL(jwt_sign(JWT_PS256, header, claims, key, &one, &status), 0);
    CU_ASSERT_EQUAL_FATAL(jwt_sign(JWT_PS256, header, claims, key, &two, &status), 0);
    CU_ASSERT_EQUAL(secret_len(one), input + 342);
    CU_ASSERT_EQUAL(secret_len(two), input + 342);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(one), "eyJhbGciOiJQUzI1NiJ9.e30.", input), 0);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(one), secret_bytes(two), input), 0);
    CU_ASSERT_NOT_EQUAL(memcmp(secret_bytes(one) + input, secret_bytes(two) + input, 342), 0);
    CU_ASSERT_PTR_NULL(memchr(secret_bytes(one), '=', secret_len(one)));
    CU_ASSERT_PTR_NULL(memchr(secret_bytes(one), '+', secret_len(one)));
    CU_ASSERT_PTR_NULL(memchr(secret_bytes(one), '/', secret_len(one)));
    CU_ASSERT_PTR_NULL(memchr(secret_bytes(one), '\0', secret_len(one)));
    CU_ASSERT_STRING_EQUAL(jwt_algorithm_name(JWT_PS256), "PS256");
    CU_ASSERT_STRING_EQUAL(jwt_algorithm_name(JWT_RS256), "RS256");
    secret_free(one);
    secret_free(two);
    secret_free(header);
    secret_free(claims);
    secret_free(key);
}

static void
bad_key(void)
{
    STATUS status;
    SECRET *header = secret_of("{\"alg\":\"RS256\"}"), *claims = secret_of("{}"),
           *key = secret_of(JWT_CERTIFICATE_PEM), *token;

    CU_ASSERT_EQUAL(jwt_sign(JWT_RS256, header, claims, key, &token, &status), STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(status.id, "rsa-key");
    CU_ASSERT_PTR_NULL(token);
    secret_free(header);
    secret_free(claims);
    secret_free(key);
}

/* RFC 4648, 10, less the padding; and its two other characters. */
static void
base64url(void)
{
    static const char *const texts[] = {"", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy"};
    char text[ENCODE_BASE64_SIZE(6)];
    size_t i;

    for (i = 0; i < 7; i++) {
        CU_ASSERT_EQUAL(encode_base64url((const uint8_t *)"foobar", i, text), strlen(texts[i]));
        CU_ASSERT_STRING_EQUAL(text, texts[i]);
    }
    (void)encode_base64url((const uint8_t *)"\xfb\xff\xfe", 3, text);
    CU_ASSERT_STRING_EQUAL(text, "-__-");
}

const TEST jwt_tests[] = {{"RFC 7515, A.2", rfc7515}, {"PS256", ps256},
  {"a key that is none", bad_key}, {"base64url", base64url}, {NULL, NULL}};
