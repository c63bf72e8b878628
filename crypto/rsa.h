/*
 * crypto/rsa.h -- RSA-OAEP with SHA-256 (RFC 8017) for recipients that are public keys.
 *
 * Layer: crypto. Keys come as PEM; private keys only as SECRET. 2048 to 8192 bits. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_RSA_H
#define WTKMS_CRYPTO_RSA_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

#define RSA_FINGERPRINT_LEN 32
#define RSA_MAX_BYTES 1024 /* of a ciphertext: the modulus */

/* rsa_public_fingerprint -- SHA-256 of the DER SubjectPublicKeyInfo. pem holds a "PUBLIC KEY" block,
 * here and below. STATUS_CONFIG when there is none, or not of RSA, or of a wrong size. */
int rsa_public_fingerprint(
  const void *pem, size_t pem_len, uint8_t out[RSA_FINGERPRINT_LEN], STATUS *status) WTKMS_CHECKED;

/* rsa_wrap -- out holds RSA_MAX_BYTES, *out_lenp receives the modulus' length. STATUS_CONFIG when the
 * key is not fit, or when the secret is longer than the modulus' length less 66 bytes. */
int rsa_wrap(const void *pem, size_t pem_len, const SECRET *secret, uint8_t *out, size_t *out_lenp,
  STATUS *status) WTKMS_CHECKED;

/* rsa_unwrap -- With a private key in PEM, encrypted with passphrase or passphrase NULL; never asks on
 * a terminal. fingerprint receives its public half's, also when only the decryption fails. The
 * caller frees *secretp. STATUS_CONFIG for the key, STATUS_CORRUPT when it does not decrypt. */
int rsa_unwrap(const SECRET *pem, const SECRET *passphrase, const uint8_t *wrapped, size_t len,
  uint8_t fingerprint[RSA_FINGERPRINT_LEN], SECRET **secretp, STATUS *status) WTKMS_CHECKED;

#endif
