/*
 * crypto/rsa_sign.c -- RSA signatures by OpenSSL. See rsa_sign.h.
 */
#include "crypto/rsa_sign.h"

#include "crypto/openssl_error.h"
#include "crypto/rsa_private.h"

#include <limits.h>
#include <stdbool.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

/* Keys that sign come without a passphrase. */
static int
read_private(const SECRET *pem, EVP_PKEY **pkeyp, STATUS *status)
{
    int ret = rsa_private_read(pem, NULL, pkeyp, status);

    if (ret == STATUS_CONFIG && status->hint[0] != '\0')
        (void)status_hint(status, "it must be PEM, and without a passphrase");
    return (ret);
}

static int
read_certificate(const void *pem, size_t len, X509 **certificatep, STATUS *status)
{
    BIO *bio = NULL;
    int ret = 0;

    *certificatep = NULL;
    if (len > INT_MAX || (bio = BIO_new_mem_buf(pem, (int)len)) == NULL ||
        (*certificatep = PEM_read_bio_X509(bio, NULL, rsa_passphrase, NULL)) == NULL) {
        ret = openssl_error(status, STATUS_CONFIG, "rsa-certificate", "no certificate in PEM");
        (void)status_hint(status, "it starts with -----BEGIN CERTIFICATE-----");
    }
    BIO_free(bio);
    return (ret);
}

/*
 * set_scheme --
 *     The salt of PSS is as long as the digest: RFC 7518, 3.5.
 */
static bool
set_scheme(EVP_PKEY_CTX *ctx, RSA_SIGN_SCHEME scheme)
{
    if (scheme == RSA_SIGN_PKCS1)
        return (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0);
    return (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
            EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) > 0 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

int
rsa_sign(const SECRET *pem, RSA_SIGN_SCHEME scheme, const void *data, size_t len,
  SECRET **signaturep, STATUS *status)
{
    EVP_MD_CTX *md = NULL;
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *ctx; /* md's */
    SECRET *signature = NULL;
    size_t size;
    int ret;

    *signaturep = NULL;
    if ((ret = read_private(pem, &pkey, status)) != 0)
        return (ret);
    size = (size_t)EVP_PKEY_get_size(pkey);
    if ((ret = secret_new(size, &signature, status)) != 0)
        goto err;
    if ((md = EVP_MD_CTX_new()) == NULL ||
        EVP_DigestSignInit(md, &ctx, EVP_sha256(), NULL, pkey) <= 0 || !set_scheme(ctx, scheme) ||
        EVP_DigestSign(md, secret_data(signature), &size, data, len) <= 0) {
        ret = openssl_error(status, STATUS_INTERNAL, "rsa", "an RSA signature");
        goto err;
    }
    secret_truncate(signature, size);
    *signaturep = signature;
    signature = NULL;

err:
    secret_free(signature);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    return (ret);
}

int
rsa_sign_check(const SECRET *pem, STATUS *status)
{
    EVP_PKEY *pkey;
    int ret = read_private(pem, &pkey, status);

    EVP_PKEY_free(pkey);
    return (ret);
}

int
rsa_sign_thumbprints(const void *pem, size_t len, RSA_SIGN_THUMBPRINTS *thumbprints, STATUS *status)
{
    X509 *certificate;
    int ret;

    if ((ret = read_certificate(pem, len, &certificate, status)) != 0)
        return (ret);
    if (X509_digest(certificate, EVP_sha1(), thumbprints->sha1, NULL) <= 0 ||
        X509_digest(certificate, EVP_sha256(), thumbprints->sha256, NULL) <= 0)
        ret = openssl_error(status, STATUS_INTERNAL, "rsa", "a certificate's digest");
    X509_free(certificate);
    return (ret);
}

int
rsa_sign_check_pair(const void *certificate, size_t len, const SECRET *private_key, STATUS *status)
{
    EVP_PKEY *pkey = NULL;
    X509 *x509 = NULL;
    int ret;

    if ((ret = read_private(private_key, &pkey, status)) == 0 &&
        (ret = read_certificate(certificate, len, &x509, status)) == 0 &&
        X509_check_private_key(x509, pkey) != 1) {
        ERR_clear_error(); /* that they differ is all there is to say */
        ret = status_set(
          status, STATUS_CONFIG, "rsa-pair", "the certificate is not of the private key");
    }
    X509_free(x509);
    EVP_PKEY_free(pkey);
    return (ret);
}
