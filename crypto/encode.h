/*
 * crypto/encode.h -- base64 and hexadecimal, strict. Layer: crypto. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_ENCODE_H
#define WTKMS_CRYPTO_ENCODE_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

#define ENCODE_BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1) /* with the NUL */

/* encode_base64 -- Standard alphabet with padding, NUL-terminated, no newlines; text holds
 * ENCODE_BASE64_SIZE(len) bytes. Returns the length without the NUL. */
size_t encode_base64(const uint8_t *data, size_t len, char *text);

/* encode_base64url -- The URL-safe alphabet without padding (RFC 4648, 5), NUL-terminated; text holds
 * ENCODE_BASE64_SIZE(len) bytes. Returns the length without the NUL. */
size_t encode_base64url(const uint8_t *data, size_t len, char *text);

/* encode_base64_decode -- Strict: no white space, right padding, unused bits zero. data holds at
 * least text_len / 4 * 3 bytes. STATUS_CORRUPT. */
int encode_base64_decode(
  const char *text, size_t text_len, uint8_t *data, size_t *lenp, STATUS *status) WTKMS_CHECKED;

/* encode_base64_decode_secret -- The same into a secret; white space at the end is allowed. */
int encode_base64_decode_secret(
  const char *text, size_t text_len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* encode_base64url_decode_secret -- base64url into a secret; padding is allowed. */
int encode_base64url_decode_secret(
  const char *text, size_t text_len, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* encode_hex -- Lower case, NUL-terminated; text holds 2 * len + 1 bytes. */
void encode_hex(const uint8_t *data, size_t len, char *text);

/* encode_hex_decode -- Either case, text_len even; data holds text_len / 2 bytes. STATUS_CORRUPT. */
int encode_hex_decode(
  const char *text, size_t text_len, uint8_t *data, STATUS *status) WTKMS_CHECKED;

#endif
