/*
 * test/crypto/test_rsa_sign.c -- RSA signatures: the vector of RFC 7515, A.2, and what OpenSSL's
 * verification says of the rest.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/rsa_sign.h"
#include "test/vectors/jwt-keys.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

static SECRET *
pem_of(EVP_PKEY *pkey, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    SECRET *secret;
    char *data;
    long len;

    CU_ASSERT_PTR_NOT_NULL_FATAL(pkey);
    CU_ASSERT_TRUE_FATAL(
      PEM_write_bio_PKCS8PrivateKey(bio, pkey, passphrase == NULL ? NULL : EVP_aes_256_cbc(),
        passphrase, passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL));
    len = BIO_get_mem_data(bio, &data);
    secret = test_secret(data, (size_t)len);
    BIO_free(bio);
    return (secret);
}

static bool
verifies(EVP_PKEY *pkey, bool pss, int salt, const SECRET *signature, const void *data, size_t len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx;
    bool good;

    CU_ASSERT_TRUE_FATAL(EVP_DigestVerifyInit(md, &ctx, EVP_sha256(), NULL, pkey) > 0);
    if (pss)
        CU_ASSERT_TRUE(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                       EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, salt) > 0);
    good = EVP_DigestVerify(md, secret_bytes(signature), secret_len(signature), data, len) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return (good);
}

/* PKCS #1 v1.5 has no random part: the RFC's signature, bit by bit. */
static void
rfc7515(void)
{
    STATUS status;
    SECRET *key = test_secret(JWT_KEY_PEM, strlen(JWT_KEY_PEM)), *signature;
    const char *dot = strrchr(JWT_TOKEN, '.');
    char text[ENCODE_BASE64_SIZE(256)];
    size_t i;

    CU_ASSERT_EQUAL_FATAL(
      rsa_sign(key, RSA_SIGN_PKCS1, JWT_TOKEN, (size_t)(dot - JWT_TOKEN), &signature, &status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_len(signature), 256);
    (void)encode_base64(secret_bytes(signature), 256, text);
    for (i = 0; dot[1 + i] != '\0'; i++)
        CU_ASSERT_EQUAL(text[i], dot[1 + i] == '-' ? '+' : dot[1 + i] == '_' ? '/' : dot[1 + i]);
    secret_free(signature);
    secret_free(key);
}

static void
schemes(void)
{
    static const unsigned bits[] = {2048, 3072, 4096};
    static const char data[] = "header.claims";
    STATUS status;
    EVP_PKEY *pkey;
    SECRET *pem, *signature, *again;
    size_t i;

    for (i = 0; i < 3; i++) {
        pkey = EVP_RSA_gen(bits[i]);
        pem = pem_of(pkey, NULL);
        CU_ASSERT_EQUAL(rsa_sign_check(pem, &status), 0);
        CU_ASSERT_EQUAL_FATAL(
          rsa_sign(pem, RSA_SIGN_PKCS1, data, sizeof(data), &signature, &status), 0);
        CU_ASSERT_EQUAL(secret_len(signature), bits[i] / 8);
        CU_ASSERT_TRUE(verifies(pkey, false, 0, signature, data, sizeof(data)));
        CU_ASSERT_FALSE(verifies(pkey, false, 0, signature, data, sizeof(data) - 1));
        CU_ASSERT_FALSE(verifies(pkey, true, RSA_PSS_SALTLEN_DIGEST, signature, data, 14));
        secret_free(signature);

        CU_ASSERT_EQUAL_FATAL(
          rsa_sign(pem, RSA_SIGN_PSS, data, sizeof(data), &signature, &status), 0);
        CU_ASSERT_TRUE(verifies(pkey, true, 32, signature, data, sizeof(data)));
        CU_ASSERT_FALSE(verifies(pkey, true, 32, signature, data, sizeof(data) - 1));
        CU_ASSERT_FALSE(verifies(pkey, false, 0, signature, data, sizeof(data)));
        /* It is salted. */
        CU_ASSERT_EQUAL_FATAL(rsa_sign(pem, RSA_SIGN_PSS, data, sizeof(data), &again, &status), 0);
        CU_ASSERT_FALSE(secret_equal(signature, again));
        secret_free(again);
        secret_free(signature);
        secret_free(pem);
        EVP_PKEY_free(pkey);
    }
}

static void
not_a_key(void)
{
    STATUS status;
    EVP_PKEY *ec = EVP_EC_gen("P-256"), *small = EVP_RSA_gen(1024), *good = EVP_RSA_gen(2048);
    SECRET *pems[] = {pem_of(ec, NULL), pem_of(small, NULL), pem_of(good, "open sesame"),
      test_secret(JWT_CERTIFICATE_PEM, strlen(JWT_CERTIFICATE_PEM))},
           *signature;
    static const char *const words[] = {"no RSA key", "1024 bits", "cannot be read", "cannot be"};
    size_t i;

    for (i = 0; i < 4; i++) {
        status_clear(&status);
        CU_ASSERT_EQUAL(rsa_sign_check(pems[i], &status), STATUS_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, words[i]));
        CU_ASSERT_EQUAL(
          rsa_sign(pems[i], RSA_SIGN_PKCS1, "x", 1, &signature, &status), STATUS_CONFIG);
        CU_ASSERT_PTR_NULL(signature);
        CU_ASSERT_EQUAL(ERR_peek_error(), 0);
        secret_free(pems[i]);
    }
    EVP_PKEY_free(ec);
    EVP_PKEY_free(small);
    EVP_PKEY_free(good);
}

static void
certificates(void)
{
    static const char both[] = JWT_KEY_PEM JWT_CERTIFICATE_PEM;
    STATUS status;
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    SECRET *key = test_secret(both, strlen(both)), *other = pem_of(pkey, NULL);
    RSA_SIGN_THUMBPRINTS thumbprints;
    char hex[2 * RSA_SIGN_SHA256_LEN + 1];

    /* A file with both, the key before the certificate, is read for either. */
    CU_ASSERT_EQUAL(rsa_sign_thumbprints(both, strlen(both), &thumbprints, &status), 0);
    encode_hex(thumbprints.sha1, sizeof(thumbprints.sha1), hex);
    CU_ASSERT_STRING_EQUAL(hex, JWT_CERTIFICATE_SHA1);
    encode_hex(thumbprints.sha256, sizeof(thumbprints.sha256), hex);
    CU_ASSERT_STRING_EQUAL(hex, JWT_CERTIFICATE_SHA256);
    CU_ASSERT_EQUAL(rsa_sign_check_pair(both, strlen(both), key, &status), 0);

    CU_ASSERT_EQUAL(rsa_sign_check_pair(both, strlen(both), other, &status), STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(status.id, "rsa-pair");
    CU_ASSERT_EQUAL(
      rsa_sign_check_pair(JWT_KEY_PEM, strlen(JWT_KEY_PEM), key, &status), STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(status.id, "rsa-certificate");
    CU_ASSERT_EQUAL(rsa_sign_thumbprints("", 0, &thumbprints, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(
      rsa_sign_thumbprints("x", (size_t)INT_MAX + 1, &thumbprints, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    secret_free(key);
    secret_free(other);
    EVP_PKEY_free(pkey);
}

static int
sign_and_check(STATUS *status)
{
    SECRET *key, *signature = NULL;
    int ret;

    if ((ret = secret_new_copy(JWT_KEY_PEM, strlen(JWT_KEY_PEM), &key, status)) != 0)
        return (ret);
    if ((ret = rsa_sign(key, RSA_SIGN_PSS, "x", 1, &signature, status)) != 0) {
        CU_ASSERT_PTR_NULL(signature);
    } else
        ret = rsa_sign_check_pair(JWT_CERTIFICATE_PEM, strlen(JWT_CERTIFICATE_PEM), key, status);
    secret_free(signature);
    secret_free(key);
    return (ret);
}

/* Each call into the C library and OpenSSL that fault.c knows fails once. */
static void
faults(void)
{
    STATUS status;
    unsigned nth;
    int ret;

    for (nth = 1;; nth++) {
        status_clear(&status);
        fault_at(nth);
        ret = sign_and_check(&status);
        if (!fault_was_hit())
            break;
        CU_ASSERT_NOT_EQUAL(ret, 0);
        CU_ASSERT_EQUAL(ret, (int)status.status_class);
        CU_ASSERT_EQUAL(ERR_peek_error(), 0);
    }
    CU_ASSERT_EQUAL(ret, 0);
    CU_ASSERT_TRUE(nth > 6);
}

const TEST tests_rsa_sign[] = {{"RFC 7515, A.2", rfc7515}, {"schemes", schemes},
  {"not a key", not_a_key}, {"certificates", certificates}, {"faults", faults}, {NULL, NULL}};
