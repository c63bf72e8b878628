/*
 * crypto/xaes.c -- XAES-256-GCM in one call a message, and key wrap. See xaes.h.
 */
#include "crypto/xaes.h"

#include "crypto/openssl_error.h"
#include "crypto/random.h"
#include "crypto/xaes_derive.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>

/* EVP takes lengths as int; nothing that goes through here comes near it. */
#define XAES_MAX_BYTES (INT_MAX - XAES_TAG_LEN)

/* Where what lies in the secret of a XAES. */
#define KEY_AT 0
#define K1_AT XAES_KEY_LEN
#define KEYS_LEN (XAES_KEY_LEN + XAES_BLOCK_LEN)

struct xaes {
    EVP_CIPHER_CTX *deriver, *gcm;
    SECRET *keys;   /* the key that the deriver has, and its K1 */
    SECRET *subkey; /* of the last message */
    bool is_keyed;
};

int
xaes_new(XAES **xaesp, STATUS *status)
{
    XAES *xaes;
    int ret;

    *xaesp = NULL;
    if ((xaes = calloc(1, sizeof(*xaes))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a cipher"));
    if ((ret = secret_new(KEYS_LEN, &xaes->keys, status)) != 0 ||
        (ret = secret_new(XAES_KEY_LEN, &xaes->subkey, status)) != 0)
        goto err;
    /* With the cipher once: what finds its implementation is most of the work of an initialization. */
    if ((xaes->deriver = EVP_CIPHER_CTX_new()) == NULL ||
        (xaes->gcm = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_EncryptInit_ex2(xaes->deriver, EVP_aes_256_ecb(), NULL, NULL, NULL) ||
        !EVP_EncryptInit_ex2(xaes->gcm, EVP_aes_256_gcm(), NULL, NULL, NULL)) {
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM");
        goto err;
    }
    *xaesp = xaes;
    return (0);

err:
    xaes_free(xaes);
    return (ret);
}

void
xaes_free(XAES *xaes)
{
    if (xaes == NULL)
        return;
    EVP_CIPHER_CTX_free(xaes->deriver);
    EVP_CIPHER_CTX_free(xaes->gcm);
    secret_free(xaes->keys);
    secret_free(xaes->subkey);
    free(xaes);
}

/*
 * set_key --
 *     Key the deriver, when it does not have this key already.
 */
static int
set_key(XAES *xaes, const SECRET *key, STATUS *status)
{
    uint8_t block[XAES_BLOCK_LEN] = {0}, *keys = secret_data(xaes->keys);
    int n, ret = 0;

    if (secret_len(key) != XAES_KEY_LEN)
        return (status_set(status, STATUS_INTERNAL, "xaes-key",
          "an XAES-256-GCM key has 32 bytes, this one %zu", secret_len(key)));
    if (xaes->is_keyed && CRYPTO_memcmp(keys + KEY_AT, secret_bytes(key), XAES_KEY_LEN) == 0)
        return (0);
    xaes->is_keyed = false;
    if (!EVP_EncryptInit_ex2(xaes->deriver, NULL, secret_bytes(key), NULL, NULL) ||
        !EVP_CIPHER_CTX_set_padding(xaes->deriver, 0) ||
        !EVP_EncryptUpdate(xaes->deriver, block, &n, block, sizeof(block)))
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM key derivation");
    else {
        memcpy(keys + KEY_AT, secret_bytes(key), XAES_KEY_LEN);
        xaes_derive_k1(block, keys + K1_AT);
        xaes->is_keyed = true;
    }
    secret_wipe(block, sizeof(block));
    return (ret);
}

/*
 * derive --
 *     The GCM key of a key and a nonce's first half.
 */
static int
derive(XAES *xaes, const SECRET *key, const uint8_t *nonce, STATUS *status)
{
    uint8_t blocks[2 * XAES_BLOCK_LEN];
    int n, ret;

    if ((ret = set_key(xaes, key, status)) != 0)
        return (ret);
    xaes_derive_blocks(secret_bytes(xaes->keys) + K1_AT, nonce, blocks);
    if (!EVP_EncryptUpdate(xaes->deriver, secret_data(xaes->subkey), &n, blocks, sizeof(blocks))) {
        /* A context that failed may be in any state. */
        xaes->is_keyed = false;
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM key derivation");
    }
    secret_wipe(blocks, sizeof(blocks));
    return (ret);
}

static int
check_lengths(size_t len, size_t aad_len, STATUS *status)
{
    if (len > XAES_MAX_BYTES || aad_len > XAES_MAX_BYTES)
        return (status_set(status, STATUS_REFUSED, "xaes-length",
          "a message of %zu bytes with %zu bytes of additional data is too long", len, aad_len));
    return (0);
}

static int
seal(XAES *xaes, const SECRET *key, const uint8_t *nonce, const void *aad, size_t aad_len,
  const uint8_t *plaintext, size_t len, uint8_t *out, STATUS *status)
{
    int n, ret;

    if ((ret = check_lengths(len, aad_len, status)) != 0 ||
        (ret = derive(xaes, key, nonce, status)) != 0)
        return (ret);
    if (!EVP_EncryptInit_ex2(
          xaes->gcm, NULL, secret_bytes(xaes->subkey), nonce + XAES_PREFIX_LEN, NULL) ||
        (aad_len > 0 && !EVP_EncryptUpdate(xaes->gcm, NULL, &n, aad, (int)aad_len)) ||
        (len > 0 && !EVP_EncryptUpdate(xaes->gcm, out, &n, plaintext, (int)len)) ||
        !EVP_EncryptFinal_ex(xaes->gcm, out + len, &n) ||
        EVP_CIPHER_CTX_ctrl(xaes->gcm, EVP_CTRL_AEAD_GET_TAG, XAES_TAG_LEN, out + len) <= 0)
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM encryption");
    return (ret);
}

/* in is len bytes of ciphertext and a tag. */
static int
open_sealed(XAES *xaes, const SECRET *key, const uint8_t *nonce, const void *aad, size_t aad_len,
  const uint8_t *in, size_t len, uint8_t *out, STATUS *status)
{
    uint8_t tag[XAES_TAG_LEN];
    int n, ret;

    if ((ret = check_lengths(len, aad_len, status)) != 0 ||
        (ret = derive(xaes, key, nonce, status)) != 0)
        return (ret);
    memcpy(tag, in + len, XAES_TAG_LEN);
    if (!EVP_DecryptInit_ex2(
          xaes->gcm, NULL, secret_bytes(xaes->subkey), nonce + XAES_PREFIX_LEN, NULL) ||
        EVP_CIPHER_CTX_ctrl(xaes->gcm, EVP_CTRL_AEAD_SET_TAG, XAES_TAG_LEN, tag) <= 0 ||
        (aad_len > 0 && !EVP_DecryptUpdate(xaes->gcm, NULL, &n, aad, (int)aad_len)) ||
        (len > 0 && !EVP_DecryptUpdate(xaes->gcm, out, &n, in, (int)len)))
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM decryption");
    else if (!EVP_DecryptFinal_ex(xaes->gcm, tag, &n)) {
        ERR_clear_error();
        ret = status_set(status, STATUS_BAD_UNIT, "xaes-tag",
          "a sealed message does not authenticate: wrong key, or changed");
    }
    if (ret != 0 && len > 0)
        memset(out, 0, len);
    return (ret);
}

int
xaes_seal(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad, size_t aad_len,
  const uint8_t *plaintext, size_t len, uint8_t *out, STATUS *status)
{
    XAES *xaes;
    int ret;

    if ((ret = xaes_new(&xaes, status)) != 0)
        return (ret);
    ret = seal(xaes, key, nonce, aad, aad_len, plaintext, len, out, status);
    xaes_free(xaes);
    return (ret);
}

int
xaes_open(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad, size_t aad_len,
  const uint8_t *in, size_t len, uint8_t *out, STATUS *status)
{
    XAES *xaes;
    int ret;

    if (len < XAES_TAG_LEN)
        return (status_set(
          status, STATUS_BAD_UNIT, "xaes-short", "%zu bytes are no sealed message", len));
    if ((ret = xaes_new(&xaes, status)) != 0)
        return (ret);
    ret = open_sealed(xaes, key, nonce, aad, aad_len, in, len - XAES_TAG_LEN, out, status);
    xaes_free(xaes);
    return (ret);
}

int
xaes_wrap_by(XAES *xaes, const SECRET *key, const void *aad, size_t aad_len, const SECRET *secret,
  uint8_t *out, STATUS *status)
{
    int ret;

    if ((ret = random_bytes(out, XAES_NONCE_LEN, status)) != 0)
        return (ret);
    return (seal(xaes, key, out, aad, aad_len, secret_bytes(secret), secret_len(secret),
      out + XAES_NONCE_LEN, status));
}

int
xaes_unwrap_by(XAES *xaes, const SECRET *key, const void *aad, size_t aad_len,
  const uint8_t *wrapped, size_t len, SECRET **secretp, STATUS *status)
{
    SECRET *secret;
    int ret;

    *secretp = NULL;
    if (len <= XAES_WRAPPED_LEN(0) || len > XAES_WRAPPED_LEN(SECRET_MAX_BYTES))
        return (status_set(
          status, STATUS_CORRUPT, "wrap-length", "%zu bytes cannot be a wrapped key", len));
    if ((ret = secret_new(len - XAES_WRAPPED_LEN(0), &secret, status)) != 0)
        return (ret);
    if ((ret = open_sealed(xaes, key, wrapped, aad, aad_len, wrapped + XAES_NONCE_LEN,
           len - XAES_WRAPPED_LEN(0), secret_data(secret), status)) != 0) {
        secret_free(secret);
        if (ret == STATUS_BAD_UNIT)
            ret = status_set(status, STATUS_CORRUPT, "wrap-tag",
              "a wrapped key does not authenticate: wrong wrapping key, or changed");
        return (ret);
    }
    *secretp = secret;
    return (0);
}

int
xaes_wrap(const SECRET *key, const void *aad, size_t aad_len, const SECRET *secret, uint8_t *out,
  STATUS *status)
{
    XAES *xaes;
    int ret;

    if ((ret = xaes_new(&xaes, status)) != 0)
        return (ret);
    ret = xaes_wrap_by(xaes, key, aad, aad_len, secret, out, status);
    xaes_free(xaes);
    return (ret);
}

int
xaes_unwrap(const SECRET *key, const void *aad, size_t aad_len, const uint8_t *wrapped, size_t len,
  SECRET **secretp, STATUS *status)
{
    XAES *xaes;
    int ret;

    *secretp = NULL;
    if ((ret = xaes_new(&xaes, status)) != 0)
        return (ret);
    ret = xaes_unwrap_by(xaes, key, aad, aad_len, wrapped, len, secretp, status);
    xaes_free(xaes);
    return (ret);
}
