/*
 * crypto/mac.h -- HKDF-SHA-256 (RFC 5869), HMAC-SHA-256 (RFC 2104), SHA-256.
 *
 * Layer: crypto. Thread-safe but for one MAC or MAC_HKDF used by two threads.
 */
#ifndef WTKMS_CRYPTO_MAC_H
#define WTKMS_CRYPTO_MAC_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAC_LEN 32

/* mac_derive -- HKDF-SHA-256 without salt: label (a C string) is the info, out_len at most 8160. The
 * caller frees *outp. */
int mac_derive(const SECRET *key, const char *label, size_t out_len, SECRET **outp,
  STATUS *status) WTKMS_CHECKED;

/* mac_derive_public -- The same with a salt, and into plain memory (commitments are no secrets). */
int mac_derive_public(const SECRET *key, const void *salt, size_t salt_len, const char *label,
  void *out, size_t out_len, STATUS *status) WTKMS_CHECKED;

/*
 * mac_hkdf_new, mac_hkdf_derive, mac_hkdf_free -- mac_derive_public for many keys, MAC_LEN bytes each: what
 *     OpenSSL looks up for each call is looked up once. It holds what it derived from last until
 *     mac_hkdf_free, which wipes; NULL is allowed.
 */
typedef struct mac_hkdf MAC_HKDF;
int mac_hkdf_new(MAC_HKDF **hkdfp, STATUS *status) WTKMS_CHECKED;
int mac_hkdf_derive(MAC_HKDF *hkdf, const SECRET *key, const void *salt, size_t salt_len,
  const char *label, uint8_t out[MAC_LEN], STATUS *status) WTKMS_CHECKED;
void mac_hkdf_free(MAC_HKDF *hkdf);

typedef struct mac MAC;

/* mac_new, mac_update, mac_final -- HMAC-SHA-256 over pieces. mac_final may be called once.
 * mac_free wipes; NULL is allowed. */
int mac_new(const SECRET *key, MAC **macp, STATUS *status) WTKMS_CHECKED;
int mac_update(MAC *mac, const void *data, size_t len, STATUS *status) WTKMS_CHECKED;
int mac_final(MAC *mac, uint8_t out[MAC_LEN], STATUS *status) WTKMS_CHECKED;
void mac_free(MAC *mac);

/* mac_equal -- Compare in constant time. */
bool mac_equal(const void *a, const void *b, size_t len);

/* mac_sha256 -- A plain digest. */
int mac_sha256(const void *data, size_t len, uint8_t out[MAC_LEN], STATUS *status) WTKMS_CHECKED;

#endif
