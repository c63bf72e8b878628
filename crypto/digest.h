/*
 * crypto/digest.h -- SHA-256 (FIPS 180-4) of data that comes in pieces.
 *
 * Layer: crypto. For hashes that people compare with sha256sum; what is to be trusted has a MAC (mac.h).
 * Several threads may have one each.
 */
#ifndef WTKMS_CRYPTO_DIGEST_H
#define WTKMS_CRYPTO_DIGEST_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

#define DIGEST_LEN 32

typedef struct digest DIGEST;

/* digest_new, digest_update, digest_final -- digest_final may be called once. The caller calls digest_free;
 * NULL is allowed. STATUS_NO_MEMORY, STATUS_INTERNAL. */
int digest_new(DIGEST **digestp, STATUS *status) WTKMS_CHECKED;
int digest_update(DIGEST *digest, const void *data, size_t len, STATUS *status) WTKMS_CHECKED;
int digest_final(DIGEST *digest, uint8_t out[DIGEST_LEN], STATUS *status) WTKMS_CHECKED;
void digest_free(DIGEST *digest);

#endif
