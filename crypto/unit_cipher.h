/*
 * crypto/unit_cipher.h -- Encrypt and decrypt units: the hot path.
 *
 * Layer: crypto. Nothing here allocates, locks or enters the kernel per unit, but to draw a new
 * write stream. Contexts live in a striped pool; a thread takes a free slot by an atomic flag, so no
 * two threads wait for each other (up to 64 at once) and nothing is left behind when a host thread
 * ends. A child after fork(2) may go on with what its parent had.
 *
 * A UNIT_KEY is one data key, prepared. A UNIT_CIPHER is the encrypting side of one keyid: it has
 * an active key and a pool of write streams. A write stream draws the first 12 nonce bytes at random
 * and counts in the last 12; it ends after 2^32 units, 60 seconds, a fork, or a change of the active
 * key. Decryption derives its sub-key each time and uses a pool shared by all keys of the process.
 */
#ifndef WTKMS_CRYPTO_UNIT_CIPHER_H
#define WTKMS_CRYPTO_UNIT_CIPHER_H

#include "common/status.h"
#include "crypto/secret.h"
#include "crypto/unit.h"

#include <stddef.h>
#include <stdint.h>

typedef struct unit_key UNIT_KEY;
typedef struct unit_cipher UNIT_CIPHER;

/*
 * unit_cipher_library_open, unit_cipher_library_close -- Fetch the ciphers and make the shared
 *     pool; counted, so several connections of one process may each call both. Everything below
 *     needs it open; the last close wipes the keys that contexts hold and gives all memory back.
 */
int unit_cipher_library_open(STATUS *status) WTKMS_CHECKED;
void unit_cipher_library_close(void);

/*
 * unit_key_new -- Prepare a data key of 32 bytes (copied). The caller frees *keyp, after every
 *     UNIT_CIPHER that had it and every thread that decrypts with it is done; freeing also takes the
 *     key out of the shared pool's contexts. STATUS_INTERNAL, STATUS_NO_MEMORY.
 */
int unit_key_new(
  uint64_t data_key_id, const SECRET *data_key, UNIT_KEY **keyp, STATUS *status) WTKMS_CHECKED;
void unit_key_free(UNIT_KEY *key);
uint64_t unit_key_id(const UNIT_KEY *key);

/*
 * unit_cipher_new -- An encrypting side with its active key. Memory for streams is taken as threads
 *     come. The key must outlive it.
 */
int unit_cipher_new(const UNIT_KEY *active, UNIT_CIPHER **cipherp, STATUS *status) WTKMS_CHECKED;
void unit_cipher_free(UNIT_CIPHER *cipher);

/*
 * unit_cipher_set_active -- Use another key for all units that start after the return; may be called
 *     while other threads encrypt. Old keys must stay until the cipher is freed.
 */
void unit_cipher_set_active(UNIT_CIPHER *cipher, const UNIT_KEY *key);

/*
 * unit_encrypt -- Encrypt src_len bytes (0..UINT32_MAX - UNIT_OVERHEAD) into a unit of src_len +
 *     UNIT_OVERHEAD bytes at dst, which has dst_len. src and dst must not overlap; src is never
 *     written to. Thread-safe. STATUS_REFUSED for a wrong length, STATUS_INTERNAL when OpenSSL
 *     fails or there is no random, STATUS_NO_MEMORY.
 */
int unit_encrypt(UNIT_CIPHER *cipher, const uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp, STATUS *status) WTKMS_CHECKED;

/*
 * unit_decrypt -- Decrypt a unit with a key, which must be the one its header names: else
 *     STATUS_NO_KEY, and nothing is tried. dst receives unit_len - UNIT_OVERHEAD bytes; when dst_len
 *     is less, STATUS_REFUSED. unit and dst must not overlap; unit is never written to. Thread-safe.
 *     STATUS_BAD_UNIT when the unit is malformed, or does not authenticate: dst is then zeroed. What
 *     unit_parse says of formats of later versions, STATUS_NO_KEY, is passed on. STATUS_INTERNAL
 *     when OpenSSL fails, STATUS_NO_MEMORY.
 */
int unit_decrypt(const UNIT_KEY *key, const uint8_t *unit, size_t unit_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp, STATUS *status) WTKMS_CHECKED;

/*
 * The limits of a stream, for tests: seconds and units. Zero restores the built-in ones.
 */
void unit_cipher_test_limits(unsigned seconds, uint64_t units);

#endif
