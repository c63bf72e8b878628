/*
 * test/kms_clients/test_publickey.c -- Provider publickey: which keys it takes, that it only wraps,
 * and that the private half opens what it wrapped.
 */
#include "test/kms_clients/kms_tests.h"

#include "crypto/encode.h"
#include "crypto/rsa.h"
#include "test/fail_alloc.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char public_path[4300];

typedef enum { PEM_PUBLIC, PEM_PRIVATE, PEM_PKCS1 } PEM_FORM;

/* The caller frees the result. */
static char *
to_pem(EVP_PKEY *key, PEM_FORM form)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data, *pem;
    long len;
    int ok;

    if (form == PEM_PUBLIC)
        ok = PEM_write_bio_PUBKEY(bio, key);
    else if (form == PEM_PRIVATE)
        ok = PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    else
        ok = PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    CU_ASSERT_EQUAL_FATAL(ok, 1);
    len = BIO_get_mem_data(bio, &data);
    pem = strndup(data, (size_t)len);
    (void)BIO_free(bio);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pem);
    return (pem);
}

static EVP_PKEY *
rsa_key(unsigned bits)
{
    static EVP_PKEY *key_2048; /* made once: it takes a while */
    EVP_PKEY *key;

    if (bits == 2048 && key_2048 != NULL) {
        (void)EVP_PKEY_up_ref(key_2048);
        return (key_2048);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(key = EVP_RSA_gen(bits));
    if (bits == 2048) {
        (void)EVP_PKEY_up_ref(key);
        key_2048 = key;
    }
    return (key);
}

static int
open_pem(const char *pem, size_t len, KMS_CLIENT **clientp, STATUS *status)
{
    char yaml[5000];

    (void)snprintf(yaml, sizeof(yaml), "provider: publickey\npublicKeyFile: %s\n",
      key_file(pem, len, 0644)); /* a public key may be read by anybody */
    return (open_client(yaml, clientp, status));
}

static void
test_wrap(void)
{
    EVP_PKEY *key = rsa_key(2048);
    char *pem = to_pem(key, PEM_PUBLIC), *private = to_pem(key, PEM_PRIVATE), hex[65], id[100];
    uint8_t fingerprint[RSA_FINGERPRINT_LEN], *der = NULL, digest[32];
    SECRET *plaintext, *opened, *private_pem;
    KMS_CLIENT *client;
    KMS_WRAPPED w;
    KMS_KEY_INFO info;
    STATUS s;
    int der_len;

    CU_ASSERT_EQUAL_FATAL(open_pem(pem, strlen(pem), &client, &s), 0);
    CU_ASSERT_STRING_EQUAL(kms_client_provider(client), "publickey");
    CU_ASSERT_FALSE(kms_client_can_unwrap(client));
    CU_ASSERT((der_len = i2d_PUBKEY(key, &der)) > 0);
    CU_ASSERT_EQUAL(EVP_Digest(der, (size_t)der_len, digest, NULL, EVP_sha256(), NULL), 1);
    OPENSSL_free(der);
    encode_hex(digest, sizeof(digest), hex);
    (void)snprintf(id, sizeof(id), "publickey:%s", hex);
    CU_ASSERT_STRING_EQUAL(kms_client_key(client), id);
    CU_ASSERT_TRUE(kms_client_matches(client, "publickey", id));
    CU_ASSERT_FALSE(kms_client_matches(client, "local", id));

    CU_ASSERT_EQUAL_FATAL(secret_new_random(KMS_PLAINTEXT_MAX, &plaintext, &s), 0);
    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
    CU_ASSERT_STRING_EQUAL(w.key_id, id);
    CU_ASSERT_EQUAL(w.credential[0], '/');
    CU_ASSERT_EQUAL(w.wrapped_len, 256);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy(private, strlen(private), &private_pem, &s), 0);
    CU_ASSERT_EQUAL_FATAL(
      rsa_unwrap(private_pem, NULL, w.wrapped, w.wrapped_len, fingerprint, &opened, &s), 0);
    CU_ASSERT_TRUE(secret_equal(opened, plaintext));
    CU_ASSERT_EQUAL(memcmp(fingerprint, digest, sizeof(digest)), 0);

    CU_ASSERT_EQUAL(kms_client_describe(client, 1000, NULL, &info, &s), 0);
    CU_ASSERT_EQUAL(info.state, KMS_KEY_UNKNOWN);
    CU_ASSERT_STRING_EQUAL(info.key_id, id);
    secret_free(opened);
    secret_free(plaintext);
    secret_free(private_pem);
    kms_wrapped_release(&w);
    kms_client_close(client);
    free(pem);
    free(private);
    EVP_PKEY_free(key);
}

static void
test_only_wraps(void)
{
    EVP_PKEY *key = rsa_key(2048);
    char *pem = to_pem(key, PEM_PUBLIC);
    SECRET *plaintext, *opened;
    KMS_CLIENT *client;
    KMS_WRAPPED w;
    KMS_RECORDED r;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(open_pem(pem, strlen(pem), &client, &s), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &plaintext, &s), 0);
    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
    r = (KMS_RECORDED){"publickey", w.key_id, w.wrapped, w.wrapped_len};
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), &s, STATUS_REFUSED,
      "only wraps");
    CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, "wtkms keystore recover"));
    CU_ASSERT_PTR_NULL(opened);
    secret_free(plaintext);
    kms_wrapped_release(&w);
    kms_client_close(client);
    free(pem);
    EVP_PKEY_free(key);
}

static void
refuse(const char *pem, size_t len, const char *text)
{
    KMS_CLIENT *client;
    STATUS s;
    int ret = open_pem(pem, len, &client, &s);

    CHECK_STATUS(ret, &s, STATUS_CONFIG, text);
    CHECK_STATUS(ret, &s, STATUS_CONFIG, "wtkms.conf:2:1: publicKeyFile: ");
    if (ret == 0)
        kms_client_close(client);
}

static void
refuse_key(EVP_PKEY *key, PEM_FORM form, const char *text)
{
    char *pem = to_pem(key, form);

    refuse(pem, strlen(pem), text);
    free(pem);
}

static void
test_other_keys(void)
{
    EVP_PKEY *key;

    key = rsa_key(1024);
    refuse_key(key, PEM_PUBLIC, "");
    EVP_PKEY_free(key);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key = EVP_EC_gen("P-256"));
    refuse_key(key, PEM_PUBLIC, "");
    EVP_PKEY_free(key);
    key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CU_ASSERT_PTR_NOT_NULL_FATAL(key);
    refuse_key(key, PEM_PUBLIC, "");
    EVP_PKEY_free(key);
}

/* The offline key must not come to lie on the server, where it would open everything. */
static void
test_private_key(void)
{
    EVP_PKEY *key = rsa_key(2048);

    refuse_key(key, PEM_PRIVATE, "holds a private key");
    refuse_key(key, PEM_PKCS1, "holds a private key");
    EVP_PKEY_free(key);
}

static void
test_malformed(void)
{
    EVP_PKEY *key = rsa_key(2048);
    char *pem = to_pem(key, PEM_PUBLIC), *big;
    size_t len;

    refuse("", 0, "");
    refuse("not a key\n", 10, "");
    refuse("\0\0\0\0", 4, "");
    refuse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", 56, "");
    for (len = 0; len < strlen(pem) - 2; len += 13)
        refuse(pem, len, "");
    big = malloc(64 * 1024 + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    memset(big, '\n', 64 * 1024 + 1);
    refuse(big, 64 * 1024 + 1, "is larger than 65536 bytes");
    free(big);
    free(pem);
    EVP_PKEY_free(key);
}

static void
test_files(void)
{
    char yaml[KMS_CREDENTIAL_MAX + 200];
    KMS_CLIENT *client;
    STATUS s;

    CHECK_STATUS(open_client("provider: publickey\npublicKeyFile: /no/such.pem\n", &client, &s), &s,
      STATUS_CONFIG, "wtkms.conf:2:1: publicKeyFile: cannot open /no/such.pem: No such file");
    CHECK_STATUS(open_client("provider: publickey\npublicKeyFile: /dev/zero\n", &client, &s), &s,
      STATUS_CONFIG, "not a regular file");
    CHECK_STATUS(open_client("provider: publickey\nkeyFile: /x\n", &client, &s), &s, STATUS_CONFIG,
      "unknown option \"keyFile\"");
    (void)snprintf(
      yaml, sizeof(yaml), "provider: publickey\npublicKeyFile: /%0*d\n", KMS_CREDENTIAL_MAX + 1, 0);
    CHECK_STATUS(open_client(yaml, &client, &s), &s, STATUS_CONFIG, "the path is longer than");
}

static bool
use_without_memory(bool *failedp, void *context)
{
    const SECRET *plaintext = context;
    KMS_CLIENT *client = NULL;
    KMS_WRAPPED w = {NULL, NULL, NULL, 0};
    STATUS s;
    CONFIG_NODE *entry = NULL;
    char yaml[5000];
    int ret;

    (void)snprintf(yaml, sizeof(yaml), "{provider: publickey, publicKeyFile: %s}", public_path);
    if ((ret = config_parse_yaml(yaml, strlen(yaml), "c", &entry, &s)) == 0 &&
        (ret = kms_client_open(entry, NULL, &client, &s)) == 0)
        ret = kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s);
    *failedp = fail_alloc_done();
    kms_wrapped_release(&w);
    kms_client_close(client);
    config_free(entry);
    return (ret == (*failedp ? STATUS_NO_MEMORY : 0));
}

static void
test_no_memory(void)
{
    EVP_PKEY *key = rsa_key(2048);
    char *pem = to_pem(key, PEM_PUBLIC);
    SECRET *plaintext;
    STATUS s;

    (void)snprintf(public_path, sizeof(public_path), "%s", key_file(pem, strlen(pem), 0644));
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &plaintext, &s), 0);
    fail_every_alloc(use_without_memory, plaintext, 10);
    secret_free(plaintext);
    free(pem);
    EVP_PKEY_free(key);
}

const TEST publickey_tests[] = {{"wrap", test_wrap}, {"only_wraps", test_only_wraps},
  {"other_keys", test_other_keys}, {"private_key", test_private_key}, {"malformed", test_malformed},
  {"files", test_files}, {"no_memory", test_no_memory}, {NULL, NULL}};
