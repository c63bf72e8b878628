/*
 * crypto/digest.c -- SHA-256 in pieces. See digest.h.
 */
#include "crypto/digest.h"

#include "crypto/openssl_error.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct digest {
    EVP_MD_CTX *context;
};

int
digest_new(DIGEST **digestp, STATUS *status)
{
    DIGEST *digest;

    *digestp = NULL;
    if ((digest = calloc(1, sizeof(*digest))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "SHA-256"));
    if ((digest->context = EVP_MD_CTX_new()) == NULL ||
        !EVP_DigestInit_ex2(digest->context, EVP_sha256(), NULL)) {
        digest_free(digest);
        return (openssl_error(status, STATUS_INTERNAL, "sha256", "SHA-256"));
    }
    *digestp = digest;
    return (0);
}

int
digest_update(DIGEST *digest, const void *data, size_t len, STATUS *status)
{
    if (!EVP_DigestUpdate(digest->context, data, len))
        return (openssl_error(status, STATUS_INTERNAL, "sha256", "SHA-256"));
    return (0);
}

int
digest_final(DIGEST *digest, uint8_t out[DIGEST_LEN], STATUS *status)
{
    if (!EVP_DigestFinal_ex(digest->context, out, NULL))
        return (openssl_error(status, STATUS_INTERNAL, "sha256", "SHA-256"));
    return (0);
}

void
digest_free(DIGEST *digest)
{
    if (digest == NULL)
        return;
    EVP_MD_CTX_free(digest->context);
    free(digest);
}
