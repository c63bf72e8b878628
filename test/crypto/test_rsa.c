/*
 * test/crypto/test_rsa.c -- RSA-OAEP with keys that OpenSSL made.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/encode.h"
#include "crypto/rsa.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

typedef struct {
    char *public;
    SECRET *private, *encrypted; /* the same key, the second under the passphrase "open sesame" */
    uint8_t fingerprint[RSA_FINGERPRINT_LEN];
} KEY;

static char *
bio_text(BIO *bio)
{
    char *data, *text;
    long len = BIO_get_mem_data(bio, &data);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text = malloc((size_t)len + 1));
    memcpy(text, data, (size_t)len);
    text[len] = '\0';
    BIO_free(bio);
    return (text);
}

static SECRET *
private_pem(EVP_PKEY *pkey, const EVP_CIPHER *cipher, const char *passphrase)
{
    BIO *bio = BIO_new(BIO_s_mem());
    SECRET *secret;
    char *text;

    CU_ASSERT_TRUE_FATAL(PEM_write_bio_PKCS8PrivateKey(
      bio, pkey, cipher, passphrase, passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL));
    text = bio_text(bio);
    secret = test_secret(text, strlen(text));
    free(text);
    return (secret);
}

static char *
public_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());

    CU_ASSERT_TRUE_FATAL(PEM_write_bio_PUBKEY(bio, pkey));
    return (bio_text(bio));
}

static void
key_open(KEY *key, EVP_PKEY *pkey)
{
    unsigned char *der = NULL;
    int len;

    CU_ASSERT_PTR_NOT_NULL_FATAL(pkey);
    key->public = public_pem(pkey);
    key->private = private_pem(pkey, NULL, NULL);
    key->encrypted = private_pem(pkey, EVP_aes_256_cbc(), "open sesame");
    CU_ASSERT_TRUE_FATAL((len = i2d_PUBKEY(pkey, &der)) > 0);
    (void)SHA256(der, (size_t)len, key->fingerprint);
    OPENSSL_free(der);
    EVP_PKEY_free(pkey);
}

static void
key_close(KEY *key)
{
    free(key->public);
    secret_free(key->private);
    secret_free(key->encrypted);
}

static void
wrap(void)
{
    static const unsigned bits[] = {2048, 3072, 4096};
    STATUS status;
    KEY key;
    SECRET *payload, *back;
    uint8_t wrapped[RSA_MAX_BYTES], fingerprint[RSA_FINGERPRINT_LEN];
    size_t len, i;

    for (i = 0; i < 3; i++) {
        key_open(&key, EVP_RSA_gen(bits[i]));
        CU_ASSERT_EQUAL(
          rsa_public_fingerprint(key.public, strlen(key.public), fingerprint, &status), 0);
        CU_ASSERT_EQUAL(memcmp(fingerprint, key.fingerprint, sizeof(fingerprint)), 0);
        payload = test_secret("payload of a wrapped master key", 31);
        CU_ASSERT_EQUAL(
          rsa_wrap(key.public, strlen(key.public), payload, wrapped, &len, &status), 0);
        CU_ASSERT_EQUAL(len, bits[i] / 8);
        memset(fingerprint, 0, sizeof(fingerprint));
        CU_ASSERT_EQUAL(
          rsa_unwrap(key.private, NULL, wrapped, len, fingerprint, &back, &status), 0);
        CU_ASSERT_EQUAL(memcmp(fingerprint, key.fingerprint, sizeof(fingerprint)), 0);
        CU_ASSERT_TRUE(secret_equal(payload, back));
        secret_free(back);
        secret_free(payload);
        key_close(&key);
    }
}

static void
passphrases(void)
{
    STATUS status;
    KEY key;
    SECRET *payload = test_secret("payload", 7), *right = test_secret("open sesame", 11),
           *wrong = test_secret("open barley", 11), *back, *endless;
    uint8_t wrapped[RSA_MAX_BYTES], fingerprint[RSA_FINGERPRINT_LEN];
    size_t len;

    CU_ASSERT_EQUAL(secret_new(100000, &endless, &status), 0);
    key_open(&key, EVP_RSA_gen(2048));
    CU_ASSERT_EQUAL(rsa_wrap(key.public, strlen(key.public), payload, wrapped, &len, &status), 0);
    CU_ASSERT_EQUAL(rsa_unwrap(key.encrypted, right, wrapped, len, fingerprint, &back, &status), 0);
    CU_ASSERT_TRUE(secret_equal(payload, back));
    secret_free(back);
    CU_ASSERT_EQUAL(
      rsa_unwrap(key.encrypted, wrong, wrapped, len, fingerprint, &back, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NULL(back);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.hint, "passphrase must be right"));
    /* Without one it must not ask on the terminal, which would hang here. */
    CU_ASSERT_EQUAL(
      rsa_unwrap(key.encrypted, NULL, wrapped, len, fingerprint, &back, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.hint, "give its passphrase"));
    CU_ASSERT_EQUAL(
      rsa_unwrap(key.encrypted, endless, wrapped, len, fingerprint, &back, &status), STATUS_CONFIG);
    /* One that is not needed does no harm. */
    CU_ASSERT_EQUAL(rsa_unwrap(key.private, wrong, wrapped, len, fingerprint, &back, &status), 0);
    secret_free(back);
    key_close(&key);
    secret_free(payload);
    secret_free(right);
    secret_free(wrong);
    secret_free(endless);
}

static void
does_not_open(void)
{
    STATUS status;
    KEY key, other;
    SECRET *payload = test_secret("payload", 7), *back, *room, *full;
    uint8_t wrapped[RSA_MAX_BYTES], fingerprint[RSA_FINGERPRINT_LEN];
    size_t len, i;

    key_open(&key, EVP_RSA_gen(2048));
    key_open(&other, EVP_RSA_gen(2048));
    CU_ASSERT_EQUAL(rsa_wrap(key.public, strlen(key.public), payload, wrapped, &len, &status), 0);
    CU_ASSERT_EQUAL(
      rsa_unwrap(other.private, NULL, wrapped, len, fingerprint, &back, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(back);
    CU_ASSERT_EQUAL(memcmp(fingerprint, other.fingerprint, sizeof(fingerprint)), 0);
    for (i = 0; i < len; i += 15) {
        wrapped[i] ^= 1;
        CU_ASSERT_EQUAL(
          rsa_unwrap(key.private, NULL, wrapped, len, fingerprint, &back, &status), STATUS_CORRUPT);
        wrapped[i] ^= 1;
    }
    CU_ASSERT_EQUAL(
      rsa_unwrap(key.private, NULL, wrapped, len - 1, fingerprint, &back, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(
      rsa_unwrap(key.private, NULL, wrapped, 0, fingerprint, &back, &status), STATUS_CORRUPT);

    /* 2048 bits have room for 190 bytes. */
    CU_ASSERT_EQUAL(secret_new_random(190, &room, &status), 0);
    CU_ASSERT_EQUAL(secret_new_random(191, &full, &status), 0);
    CU_ASSERT_EQUAL(rsa_wrap(key.public, strlen(key.public), room, wrapped, &len, &status), 0);
    CU_ASSERT_EQUAL(rsa_unwrap(key.private, NULL, wrapped, len, fingerprint, &back, &status), 0);
    CU_ASSERT_TRUE(secret_equal(back, room));
    CU_ASSERT_EQUAL(
      rsa_wrap(key.public, strlen(key.public), full, wrapped, &len, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(len, 0);
    secret_free(back);
    secret_free(room);
    secret_free(full);
    secret_free(payload);
    key_close(&key);
    key_close(&other);
}

static void
not_a_key(void)
{
    STATUS status;
    EVP_PKEY *pkeys[2] = {EVP_EC_gen("P-256"), EVP_RSA_gen(1024)};
    SECRET *private, *payload = test_secret("payload", 7), *back;
    uint8_t wrapped[RSA_MAX_BYTES] = {0}, fingerprint[RSA_FINGERPRINT_LEN];
    size_t len, i;
    char *public;

    for (i = 0; i < 2; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(pkeys[i]);
        public = public_pem(pkeys[i]);
        private = private_pem(pkeys[i], NULL, NULL);
        CU_ASSERT_EQUAL(
          rsa_public_fingerprint(public, strlen(public), fingerprint, &status), STATUS_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, i == 0 ? "no RSA key" : "1024 bits"));
        CU_ASSERT_EQUAL(
          rsa_wrap(public, strlen(public), payload, wrapped, &len, &status), STATUS_CONFIG);
        CU_ASSERT_EQUAL(
          rsa_unwrap(private, NULL, wrapped, 128, fingerprint, &back, &status), STATUS_CONFIG);
        CU_ASSERT_EQUAL(
          rsa_wrap(secret_bytes(private), secret_len(private), payload, wrapped, &len, &status),
          STATUS_CONFIG);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "no public key"));
        free(public);
        secret_free(private);
        EVP_PKEY_free(pkeys[i]);
    }
    CU_ASSERT_EQUAL(rsa_public_fingerprint("", 0, fingerprint, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(
      rsa_public_fingerprint("x", (size_t)INT_MAX + 1, fingerprint, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(
      rsa_unwrap(payload, NULL, wrapped, 256, fingerprint, &back, &status), STATUS_CONFIG);
    secret_free(payload);
}

static bool
write_file(const char *dir, const char *name, const void *data, size_t len)
{
    char path[4096];
    FILE *fp;
    bool written;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    if ((fp = fopen(path, "w")) == NULL)
        return (false);
    written = fwrite(data, 1, len, fp) == len;
    return (fclose(fp) == 0 && written);
}

/* What an operator without wtkms would do: the openssl command opens it, with parameters named. */
static void
openssl_command(void)
{
    STATUS status;
    KEY key;
    SECRET *payload = test_secret("payload for the command", 23);
    const char *dir = test_scratch();
    uint8_t wrapped[RSA_MAX_BYTES];
    char command[12500], text[64] = "";
    size_t len;
    FILE *fp;

    key_open(&key, EVP_RSA_gen(2048));
    CU_ASSERT_EQUAL(rsa_wrap(key.public, strlen(key.public), payload, wrapped, &len, &status), 0);
    CU_ASSERT_TRUE(write_file(dir, "key.pem", secret_bytes(key.private), secret_len(key.private)));
    CU_ASSERT_TRUE(write_file(dir, "wrapped", wrapped, len));
    (void)snprintf(command, sizeof(command),
      "openssl pkeyutl -decrypt -inkey %s/key.pem -in %s/wrapped -pkeyopt rsa_padding_mode:oaep "
      "-pkeyopt rsa_oaep_md:sha256 -pkeyopt rsa_mgf1_md:sha256",
      dir, dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(fp = popen(command, "r"));
    CU_ASSERT_PTR_NOT_NULL(fgets(text, sizeof(text), fp));
    CU_ASSERT_EQUAL(pclose(fp), 0);
    CU_ASSERT_STRING_EQUAL(text, "payload for the command");
    key_close(&key);
    secret_free(payload);
}

const TEST tests_rsa[] = {{"wrap and unwrap", wrap}, {"passphrases", passphrases},
  {"does not open", does_not_open}, {"not a key", not_a_key},
  {"the openssl command opens it", openssl_command}, {NULL, NULL}};
