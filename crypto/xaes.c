/*
 * crypto/xaes.c -- XAES-256-GCM in one call a message, and key wrap. See xaes.h.
 */
#include "crypto/xaes.h"

#include "crypto/openssl_error.h"
#include "crypto/random.h"
#include "crypto/xaes_derive.h"

#include <limits.h>

#include <openssl/err.h>
#include <openssl/evp.h>

/* EVP takes lengths as int; nothing that goes through here comes near it. */
#define XAES_MAX_BYTES (INT_MAX - XAES_TAG_LEN)

/*
 * derive --
 *     The GCM key of a key and a nonce's first half.
 */
static int
derive(const SECRET *key, const uint8_t *nonce, SECRET **subkeyp, STATUS *status)
{
    EVP_CIPHER_CTX *ctx = NULL;
    SECRET *subkey = NULL;
    uint8_t block[XAES_BLOCK_LEN] = {0}, blocks[2 * XAES_BLOCK_LEN], k1[XAES_BLOCK_LEN];
    int n, ret;

    if (secret_len(key) != XAES_KEY_LEN)
        return (status_set(status, STATUS_INTERNAL, "xaes-key",
          "an XAES-256-GCM key has 32 bytes, this one %zu", secret_len(key)));
    if ((ret = secret_new(XAES_KEY_LEN, &subkey, status)) != 0)
        return (ret);
    if ((ctx = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_EncryptInit_ex2(ctx, EVP_aes_256_ecb(), secret_bytes(key), NULL, NULL) ||
        !EVP_CIPHER_CTX_set_padding(ctx, 0) ||
        !EVP_EncryptUpdate(ctx, block, &n, block, sizeof(block)))
        goto err;
    xaes_derive_k1(block, k1);
    xaes_derive_blocks(k1, nonce, blocks);
    if (!EVP_EncryptUpdate(ctx, secret_data(subkey), &n, blocks, sizeof(blocks)))
        goto err;
    *subkeyp = subkey;
    subkey = NULL;

    if (0) {
    err:
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM key derivation");
    }
    secret_wipe(block, sizeof(block));
    secret_wipe(blocks, sizeof(blocks));
    secret_wipe(k1, sizeof(k1));
    EVP_CIPHER_CTX_free(ctx);
    secret_free(subkey);
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

int
xaes_seal(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad, size_t aad_len,
  const uint8_t *plaintext, size_t len, uint8_t *out, STATUS *status)
{
    EVP_CIPHER_CTX *ctx = NULL;
    SECRET *subkey = NULL;
    int n, ret;

    if ((ret = check_lengths(len, aad_len, status)) != 0 ||
        (ret = derive(key, nonce, &subkey, status)) != 0)
        return (ret);
    if ((ctx = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_EncryptInit_ex2(
          ctx, EVP_aes_256_gcm(), secret_bytes(subkey), nonce + XAES_PREFIX_LEN, NULL) ||
        (aad_len > 0 && !EVP_EncryptUpdate(ctx, NULL, &n, aad, (int)aad_len)) ||
        (len > 0 && !EVP_EncryptUpdate(ctx, out, &n, plaintext, (int)len)) ||
        !EVP_EncryptFinal_ex(ctx, out + len, &n) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, XAES_TAG_LEN, out + len) <= 0)
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM encryption");
    EVP_CIPHER_CTX_free(ctx);
    secret_free(subkey);
    return (ret);
}

int
xaes_open(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad, size_t aad_len,
  const uint8_t *in, size_t len, uint8_t *out, STATUS *status)
{
    EVP_CIPHER_CTX *ctx = NULL;
    SECRET *subkey = NULL;
    uint8_t tag[XAES_TAG_LEN];
    int n, ret;

    if (len < XAES_TAG_LEN)
        return (status_set(
          status, STATUS_BAD_UNIT, "xaes-short", "%zu bytes are no sealed message", len));
    len -= XAES_TAG_LEN;
    if ((ret = check_lengths(len, aad_len, status)) != 0 ||
        (ret = derive(key, nonce, &subkey, status)) != 0)
        return (ret);
    memcpy(tag, in + len, XAES_TAG_LEN);
    if ((ctx = EVP_CIPHER_CTX_new()) == NULL ||
        !EVP_DecryptInit_ex2(
          ctx, EVP_aes_256_gcm(), secret_bytes(subkey), nonce + XAES_PREFIX_LEN, NULL) ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, XAES_TAG_LEN, tag) <= 0 ||
        (aad_len > 0 && !EVP_DecryptUpdate(ctx, NULL, &n, aad, (int)aad_len)) ||
        (len > 0 && !EVP_DecryptUpdate(ctx, out, &n, in, (int)len)))
        ret = openssl_error(status, STATUS_INTERNAL, "xaes", "XAES-256-GCM decryption");
    else if (!EVP_DecryptFinal_ex(ctx, tag, &n)) {
        ERR_clear_error();
        ret = status_set(status, STATUS_BAD_UNIT, "xaes-tag",
          "a sealed message does not authenticate: wrong key, or changed");
    }
    if (ret != 0 && len > 0)
        memset(out, 0, len);
    EVP_CIPHER_CTX_free(ctx);
    secret_free(subkey);
    return (ret);
}

int
xaes_wrap(const SECRET *key, const void *aad, size_t aad_len, const SECRET *secret, uint8_t *out,
  STATUS *status)
{
    int ret;

    if ((ret = random_bytes(out, XAES_NONCE_LEN, status)) != 0)
        return (ret);
    return (xaes_seal(key, out, aad, aad_len, secret_bytes(secret), secret_len(secret),
      out + XAES_NONCE_LEN, status));
}

int
xaes_unwrap(const SECRET *key, const void *aad, size_t aad_len, const uint8_t *wrapped, size_t len,
  SECRET **secretp, STATUS *status)
{
    SECRET *secret;
    int ret;

    *secretp = NULL;
    if (len <= XAES_WRAPPED_LEN(0) || len > XAES_WRAPPED_LEN(SECRET_MAX_BYTES))
        return (status_set(
          status, STATUS_CORRUPT, "wrap-length", "%zu bytes cannot be a wrapped key", len));
    if ((ret = secret_new(len - XAES_WRAPPED_LEN(0), &secret, status)) != 0)
        return (ret);
    if ((ret = xaes_open(key, wrapped, aad, aad_len, wrapped + XAES_NONCE_LEN, len - XAES_NONCE_LEN,
           secret_data(secret), status)) != 0) {
        secret_free(secret);
        if (ret == STATUS_BAD_UNIT)
            ret = status_set(status, STATUS_CORRUPT, "wrap-tag",
              "a wrapped key does not authenticate: wrong wrapping key, or changed");
        return (ret);
    }
    *secretp = secret;
    return (0);
}
