/*
 * crypto/random.h -- Random bytes from the kernel, getrandom(2). Layer: crypto. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_RANDOM_H
#define WTKMS_CRYPTO_RANDOM_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* random_bytes -- Fill buf. Blocks only before the kernel's pool was first seeded. STATUS_INTERNAL. */
int random_bytes(void *buf, size_t len, STATUS *status) WTKMS_CHECKED;

/* random_id -- A random 64-bit id that is not 0. */
int random_id(uint64_t *idp, STATUS *status) WTKMS_CHECKED;

#endif
