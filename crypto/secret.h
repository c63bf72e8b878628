/*
 * crypto/secret.h -- Memory for keys, tokens and whatever a key can be told from.
 *
 * Layer: crypto. A SECRET lives in mapped memory of its own kind: guard pages at both ends of a
 * region, a canary behind every secret, mlock, MADV_DONTDUMP, wiped when freed. Small ones (64
 * bytes or less) share regions, so that ten thousand data keys take a few hundred pages. There is
 * no function that prints one.
 *
 * Thread-safe: secret_new and secret_free may be called from any thread; one SECRET is as safe as
 * plain memory.
 */
#ifndef WTKMS_CRYPTO_SECRET_H
#define WTKMS_CRYPTO_SECRET_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct secret SECRET;

#define SECRET_MAX_BYTES (16 * 1024 * 1024)

/* secret_new -- A zeroed secret of len bytes (1..SECRET_MAX_BYTES). The caller frees *secretp. */
int secret_new(size_t len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* secret_new_random -- A secret of len bytes from getrandom(2). */
int secret_new_random(size_t len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* secret_new_copy -- A secret with a copy of len bytes. The caller wipes its own copy. */
int secret_new_copy(const void *data, size_t len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* secret_free -- Check the canary, wipe, release. NULL is allowed. A broken canary aborts nothing:
 * it is counted and told by secret_damage(). */
void secret_free(SECRET *secret);

/* secret_data, secret_bytes, secret_len -- Its memory, to write and to read, and how long it is. */
uint8_t *secret_data(SECRET *secret);
const uint8_t *secret_bytes(const SECRET *secret);
size_t secret_len(const SECRET *secret);

/* secret_truncate -- Make it shorter; the rest is wiped. len must not be larger than it is. */
void secret_truncate(SECRET *secret, size_t len);

/* secret_equal -- Compare in constant time (for one length). */
bool secret_equal(const SECRET *a, const SECRET *b);

/* secret_wipe -- Overwrite plain memory in a way that the compiler keeps. */
void secret_wipe(void *data, size_t len);

/* secret_unlocked_reason -- 0, or the errno of the first mlock that was refused (RLIMIT_MEMLOCK):
 * the boundary warns once. */
int secret_unlocked_reason(void);

/* secret_damage -- How many secrets had a broken canary when freed. */
unsigned secret_damage(void);

#endif
