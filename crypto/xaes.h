/*
 * crypto/xaes.h -- XAES-256-GCM, C2SP specification (c2sp.org/XAES-256-GCM), and key wrap with it.
 *
 * Layer: crypto. 32-byte key, 24-byte nonce, 16-byte tag. This is the plain form, one call a
 * message, for wrapping keys and for tests; units of the database go through unit_cipher.h, which
 * derives a sub-key once a stream. Thread-safe but for one XAES used by two threads.
 */
#ifndef WTKMS_CRYPTO_XAES_H
#define WTKMS_CRYPTO_XAES_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

#define XAES_KEY_LEN 32
#define XAES_NONCE_LEN 24
#define XAES_TAG_LEN 16

/* xaes_seal -- out receives len bytes of ciphertext and the tag. */
int xaes_seal(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad,
  size_t aad_len, const uint8_t *plaintext, size_t len, uint8_t *out, STATUS *status) WTKMS_CHECKED;

/* xaes_open -- in is len bytes of ciphertext and tag, len >= XAES_TAG_LEN; out receives len -
 * XAES_TAG_LEN bytes, and zeros when it fails: STATUS_BAD_UNIT. */
int xaes_open(const SECRET *key, const uint8_t nonce[XAES_NONCE_LEN], const void *aad,
  size_t aad_len, const uint8_t *in, size_t len, uint8_t *out, STATUS *status) WTKMS_CHECKED;

/* Key wrap: nonce, ciphertext, tag, the nonce drawn at random. */
#define XAES_WRAPPED_LEN(len) (XAES_NONCE_LEN + (len) + XAES_TAG_LEN)

/* xaes_wrap -- Wrap a secret; out receives XAES_WRAPPED_LEN(secret_len(secret)) bytes. */
int xaes_wrap(const SECRET *key, const void *aad, size_t aad_len, const SECRET *secret,
  uint8_t *out, STATUS *status) WTKMS_CHECKED;

/* xaes_unwrap -- The caller frees *secretp. STATUS_CORRUPT when it does not authenticate. */
int xaes_unwrap(const SECRET *key, const void *aad, size_t aad_len, const uint8_t *wrapped,
  size_t len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/*
 * xaes_new, xaes_wrap_by, xaes_unwrap_by -- The same for many keys: the ciphers are looked up once, and
 *     a key that wraps several in a row is prepared once. Any key may follow on any other. A XAES has
 *     the last keys in it until xaes_free, which wipes them, so it is not kept longer than the work
 *     takes. NULL is allowed there.
 */
typedef struct xaes XAES;
int xaes_new(XAES **xaesp, STATUS *status) WTKMS_CHECKED;
void xaes_free(XAES *xaes);
int xaes_wrap_by(XAES *xaes, const SECRET *key, const void *aad, size_t aad_len,
  const SECRET *secret, uint8_t *out, STATUS *status) WTKMS_CHECKED;
int xaes_unwrap_by(XAES *xaes, const SECRET *key, const void *aad, size_t aad_len,
  const uint8_t *wrapped, size_t len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

#endif
