/*
 * crypto/rsa.c -- RSA-OAEP with SHA-256 by OpenSSL. See rsa.h.
 */
#include "crypto/rsa.h"

#include "crypto/mac.h"
#include "crypto/openssl_error.h"
#include "crypto/rsa_private.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define MIN_BITS 2048
#define MAX_BITS (RSA_MAX_BYTES * 8)

/*
 * rsa_passphrase --
 *     OpenSSL asks on the terminal when there is no callback: this one never does.
 */
int
rsa_passphrase(char *buf, int size, int writing, void *context)
{
    const SECRET *passphrase = context;

    (void)writing;
    if (passphrase == NULL || secret_len(passphrase) > (size_t)size)
        return (-1);
    memcpy(buf, secret_bytes(passphrase), secret_len(passphrase));
    return ((int)secret_len(passphrase));
}

static int
check_key(const EVP_PKEY *pkey, const char *half, STATUS *status)
{
    int bits;

    if (!EVP_PKEY_is_a(pkey, "RSA"))
        return (status_set(status, STATUS_CONFIG, "rsa-key", "the %s key is no RSA key", half));
    bits = EVP_PKEY_get_bits(pkey);
    if (bits < MIN_BITS || bits > MAX_BITS)
        return (status_set(status, STATUS_CONFIG, "rsa-key",
          "the RSA %s key has %d bits, must have %d to %d", half, bits, MIN_BITS, MAX_BITS));
    return (0);
}

static int
read_public(const void *pem, size_t pem_len, EVP_PKEY **pkeyp, STATUS *status)
{
    BIO *bio = NULL;
    EVP_PKEY *pkey = NULL;
    int ret;

    *pkeyp = NULL;
    if (pem_len > INT_MAX || (bio = BIO_new_mem_buf(pem, (int)pem_len)) == NULL ||
        (pkey = PEM_read_bio_PUBKEY(bio, NULL, rsa_passphrase, NULL)) == NULL) {
        ret = openssl_error(status, STATUS_CONFIG, "rsa-key", "no public key in PEM");
        status_hint(
          status, "it starts with -----BEGIN PUBLIC KEY-----; openssl rsa -pubout makes it");
    } else
        ret = check_key(pkey, "public", status);
    BIO_free(bio);
    if (ret != 0) {
        EVP_PKEY_free(pkey);
        return (ret);
    }
    *pkeyp = pkey;
    return (0);
}

int
rsa_private_read(const SECRET *pem, const SECRET *passphrase, EVP_PKEY **pkeyp, STATUS *status)
{
    BIO *bio;
    EVP_PKEY *pkey = NULL;
    int ret;

    *pkeyp = NULL;
    if ((bio = BIO_new_mem_buf(secret_bytes(pem), (int)secret_len(pem))) == NULL ||
        (pkey = PEM_read_bio_PrivateKey(
           bio, NULL, rsa_passphrase, (void *)(uintptr_t)passphrase)) == NULL) {
        ret = openssl_error(status, STATUS_CONFIG, "rsa-key", "the private key cannot be read");
        status_hint(status, passphrase == NULL
                              ? "it must be PEM; when it is encrypted, give its passphrase"
                              : "it must be PEM, and the passphrase must be right");
    } else
        ret = check_key(pkey, "private", status);
    BIO_free(bio);
    if (ret != 0) {
        EVP_PKEY_free(pkey);
        return (ret);
    }
    *pkeyp = pkey;
    return (0);
}

static int
fingerprint_of(const EVP_PKEY *pkey, uint8_t out[RSA_FINGERPRINT_LEN], STATUS *status)
{
    unsigned char *der = NULL;
    int len, ret;

    if ((len = i2d_PUBKEY(pkey, &der)) <= 0)
        return (openssl_error(status, STATUS_INTERNAL, "rsa", "encoding a public key"));
    ret = mac_sha256(der, (size_t)len, out, status);
    OPENSSL_free(der);
    return (ret);
}

/*
 * oaep --
 *     Set the padding of an operation that was begun.
 */
static bool
oaep(EVP_PKEY_CTX *ctx)
{
    return (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) > 0 &&
            EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) > 0 &&
            EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0);
}

int
rsa_public_fingerprint(
  const void *pem, size_t pem_len, uint8_t out[RSA_FINGERPRINT_LEN], STATUS *status)
{
    EVP_PKEY *pkey;
    int ret;

    if ((ret = read_public(pem, pem_len, &pkey, status)) != 0)
        return (ret);
    ret = fingerprint_of(pkey, out, status);
    EVP_PKEY_free(pkey);
    return (ret);
}

int
rsa_wrap(const void *pem, size_t pem_len, const SECRET *secret, uint8_t *out, size_t *out_lenp,
  STATUS *status)
{
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *ctx = NULL;
    size_t len = RSA_MAX_BYTES, room;
    int ret;

    *out_lenp = 0;
    if ((ret = read_public(pem, pem_len, &pkey, status)) != 0)
        return (ret);
    room = (size_t)EVP_PKEY_get_size(pkey) - 2 * MAC_LEN - 2; /* RFC 8017, 7.1.1 */
    if (secret_len(secret) > room)
        ret = status_set(status, STATUS_CONFIG, "rsa-length",
          "the RSA public key can wrap %zu bytes, not %zu", room, secret_len(secret));
    else if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL ||
             EVP_PKEY_encrypt_init(ctx) <= 0 || !oaep(ctx) ||
             EVP_PKEY_encrypt(ctx, out, &len, secret_bytes(secret), secret_len(secret)) <= 0)
        ret = openssl_error(status, STATUS_INTERNAL, "rsa", "RSA-OAEP encryption");
    else
        *out_lenp = len;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    return (ret);
}

/*
 * decrypt --
 *     Into a secret as large as the modulus, which OpenSSL wants, and from there into one of the right
 *     size.
 */
static int
decrypt(
  EVP_PKEY *pkey, const uint8_t *wrapped, size_t wrapped_len, SECRET **secretp, STATUS *status)
{
    EVP_PKEY_CTX *ctx = NULL;
    SECRET *room;
    size_t len = (size_t)EVP_PKEY_get_size(pkey);
    int ret;

    if (wrapped_len != len)
        return (status_set(status, STATUS_CORRUPT, "rsa-decrypt",
          "%zu bytes were not wrapped with this key: it makes %zu", wrapped_len, len));
    if ((ret = secret_new(len, &room, status)) != 0)
        return (ret);
    if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) == NULL ||
        EVP_PKEY_decrypt_init(ctx) <= 0 || !oaep(ctx))
        ret = openssl_error(status, STATUS_INTERNAL, "rsa", "RSA-OAEP decryption");
    else if (EVP_PKEY_decrypt(ctx, secret_data(room), &len, wrapped, wrapped_len) <= 0 ||
             len == 0) {
        ERR_clear_error();
        ret = status_set(status, STATUS_CORRUPT, "rsa-decrypt",
          "the private key does not open it: wrapped for another key, or changed");
    } else
        ret = secret_new_copy(secret_bytes(room), len, secretp, status);
    EVP_PKEY_CTX_free(ctx);
    secret_free(room);
    return (ret);
}

int
rsa_unwrap(const SECRET *pem, const SECRET *passphrase, const uint8_t *wrapped, size_t len,
  uint8_t fingerprint[RSA_FINGERPRINT_LEN], SECRET **secretp, STATUS *status)
{
    EVP_PKEY *pkey;
    int ret;

    *secretp = NULL;
    memset(fingerprint, 0, RSA_FINGERPRINT_LEN);
    if ((ret = rsa_private_read(pem, passphrase, &pkey, status)) != 0)
        return (ret);
    if ((ret = fingerprint_of(pkey, fingerprint, status)) == 0)
        ret = decrypt(pkey, wrapped, len, secretp, status);
    EVP_PKEY_free(pkey);
    return (ret);
}
