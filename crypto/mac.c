/*
 * crypto/mac.c -- HKDF, HMAC and SHA-256 by OpenSSL. See mac.h.
 */
#include "crypto/mac.h"

#include "crypto/openssl_error.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#define HKDF_MAX (255 * MAC_LEN)

struct mac {
    EVP_MAC_CTX *ctx;
};

/* OSSL_PARAM has no const member; the providers only read what it points to. */
static OSSL_PARAM
param_bytes(const char *name, const void *data, size_t len)
{
    return (OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)data, len));
}

static OSSL_PARAM
param_digest(const char *name)
{
    static char sha256[] = "SHA256";

    return (OSSL_PARAM_construct_utf8_string(name, sha256, 0));
}

static int
hkdf(const SECRET *key, const void *salt, size_t salt_len, const char *label, void *out,
  size_t out_len, STATUS *status)
{
    EVP_KDF *kdf;
    EVP_KDF_CTX *ctx = NULL;
    OSSL_PARAM params[5], *p = params;
    int ret = 0;

    *p++ = param_digest(OSSL_KDF_PARAM_DIGEST);
    *p++ = param_bytes(OSSL_KDF_PARAM_KEY, secret_bytes(key), secret_len(key));
    *p++ = param_bytes(OSSL_KDF_PARAM_INFO, label, strlen(label));
    if (salt_len > 0)
        *p++ = param_bytes(OSSL_KDF_PARAM_SALT, salt, salt_len);
    *p = OSSL_PARAM_construct_end();

    if ((kdf = EVP_KDF_fetch(NULL, "HKDF", NULL)) == NULL || (ctx = EVP_KDF_CTX_new(kdf)) == NULL ||
        EVP_KDF_derive(ctx, out, out_len, params) <= 0)
        ret = openssl_error(status, STATUS_INTERNAL, "hkdf", "HKDF-SHA-256");
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return (ret);
}

int
mac_derive(const SECRET *key, const char *label, size_t out_len, SECRET **outp, STATUS *status)
{
    SECRET *out;
    int ret;

    *outp = NULL;
    if (out_len > HKDF_MAX)
        return (status_set(
          status, STATUS_INTERNAL, "hkdf", "HKDF-SHA-256 cannot give %zu bytes", out_len));
    if ((ret = secret_new(out_len, &out, status)) != 0)
        return (ret);
    if ((ret = hkdf(key, NULL, 0, label, secret_data(out), out_len, status)) != 0) {
        secret_free(out);
        return (ret);
    }
    *outp = out;
    return (0);
}

int
mac_derive_public(const SECRET *key, const void *salt, size_t salt_len, const char *label,
  void *out, size_t out_len, STATUS *status)
{
    if (out_len > HKDF_MAX)
        return (status_set(
          status, STATUS_INTERNAL, "hkdf", "HKDF-SHA-256 cannot give %zu bytes", out_len));
    return (hkdf(key, salt, salt_len, label, out, out_len, status));
}

struct mac_hkdf {
    MAC *hmac;
    SECRET *prk; /* the extracted key, RFC 5869's name */
};

int
mac_hkdf_new(MAC_HKDF **hkdfp, STATUS *status)
{
    MAC_HKDF *hkdf;
    int ret;

    *hkdfp = NULL;
    if ((hkdf = calloc(1, sizeof(*hkdf))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "an HKDF"));
    /* The secret's zeros are a key like any other; there is none yet. */
    if ((ret = secret_new(MAC_LEN, &hkdf->prk, status)) != 0 ||
        (ret = mac_new(hkdf->prk, &hkdf->hmac, status)) != 0) {
        mac_hkdf_free(hkdf);
        return (ret);
    }
    *hkdfp = hkdf;
    return (0);
}

/* An HMAC of data and, when it is not NULL, of one more byte. */
static int
hmac_again(MAC *hmac, const void *key, size_t key_len, const void *data, size_t len,
  const uint8_t *more, uint8_t out[MAC_LEN], STATUS *status)
{
    int ret;

    if (!EVP_MAC_init(hmac->ctx, key, key_len, NULL))
        return (openssl_error(status, STATUS_INTERNAL, "hkdf", "HKDF-SHA-256"));
    if ((ret = mac_update(hmac, data, len, status)) != 0 ||
        (more != NULL && (ret = mac_update(hmac, more, 1, status)) != 0))
        return (ret);
    return (mac_final(hmac, out, status));
}

int
mac_hkdf_derive(MAC_HKDF *hkdf, const SECRET *key, const void *salt, size_t salt_len,
  const char *label, uint8_t out[MAC_LEN], STATUS *status)
{
    static const uint8_t no_salt[MAC_LEN], first = 1;
    int ret;

    /* RFC 5869, 2.2 and 2.3, one block. */
    if ((ret = hmac_again(hkdf->hmac, salt_len == 0 ? no_salt : salt,
           salt_len == 0 ? sizeof(no_salt) : salt_len, secret_bytes(key), secret_len(key), NULL,
           secret_data(hkdf->prk), status)) != 0)
        return (ret);
    return (hmac_again(
      hkdf->hmac, secret_bytes(hkdf->prk), MAC_LEN, label, strlen(label), &first, out, status));
}

void
mac_hkdf_free(MAC_HKDF *hkdf)
{
    if (hkdf == NULL)
        return;
    mac_free(hkdf->hmac);
    secret_free(hkdf->prk);
    free(hkdf);
}

int
mac_new(const SECRET *key, MAC **macp, STATUS *status)
{
    EVP_MAC *hmac = NULL;
    MAC *mac;
    OSSL_PARAM params[2] = {param_digest(OSSL_MAC_PARAM_DIGEST), OSSL_PARAM_construct_end()};
    int ret = 0;

    *macp = NULL;
    if ((mac = calloc(1, sizeof(*mac))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "a MAC"));
    if ((hmac = EVP_MAC_fetch(NULL, "HMAC", NULL)) == NULL ||
        (mac->ctx = EVP_MAC_CTX_new(hmac)) == NULL ||
        !EVP_MAC_init(mac->ctx, secret_bytes(key), secret_len(key), params)) {
        ret = openssl_error(status, STATUS_INTERNAL, "hmac", "HMAC-SHA-256");
        mac_free(mac);
        mac = NULL;
    }
    EVP_MAC_free(hmac);
    *macp = mac;
    return (ret);
}

int
mac_update(MAC *mac, const void *data, size_t len, STATUS *status)
{
    if (len > 0 && !EVP_MAC_update(mac->ctx, data, len))
        return (openssl_error(status, STATUS_INTERNAL, "hmac", "HMAC-SHA-256"));
    return (0);
}

int
mac_final(MAC *mac, uint8_t out[MAC_LEN], STATUS *status)
{
    size_t len;

    if (!EVP_MAC_final(mac->ctx, out, &len, MAC_LEN) || len != MAC_LEN)
        return (openssl_error(status, STATUS_INTERNAL, "hmac", "HMAC-SHA-256"));
    return (0);
}

void
mac_free(MAC *mac)
{
    if (mac == NULL)
        return;
    EVP_MAC_CTX_free(mac->ctx);
    free(mac);
}

bool
mac_equal(const void *a, const void *b, size_t len)
{
    return (CRYPTO_memcmp(a, b, len) == 0);
}

int
mac_sha256(const void *data, size_t len, uint8_t out[MAC_LEN], STATUS *status)
{
    if (!EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL))
        return (openssl_error(status, STATUS_INTERNAL, "sha256", "SHA-256"));
    return (0);
}
