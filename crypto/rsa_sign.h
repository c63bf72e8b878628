/*
 * crypto/rsa_sign.h -- RSA signatures with SHA-256 (RFC 8017), and how a certificate is named.
 *
 * Layer: crypto. For the assertions by which a client proves itself to an identity service. Private
 * keys come as PEM in a SECRET, not encrypted, 2048 to 8192 bits. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_RSA_SIGN_H
#define WTKMS_CRYPTO_RSA_SIGN_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

#define RSA_SIGN_SHA1_LEN 20
#define RSA_SIGN_SHA256_LEN 32

typedef enum {
    RSA_SIGN_PKCS1, /* RSASSA-PKCS1-v1_5 */
    RSA_SIGN_PSS    /* RSASSA-PSS, MGF1 with SHA-256, a salt of 32 bytes */
} RSA_SIGN_SCHEME;

/* rsa_sign -- Sign data. The signature is as long as the modulus; it is a SECRET because with what it
 * signs it opens doors. The caller frees *signaturep. STATUS_CONFIG "rsa-key" for the key, never
 * asks for a passphrase. */
int rsa_sign(const SECRET *pem, RSA_SIGN_SCHEME scheme, const void *data, size_t len,
  SECRET **signaturep, STATUS *status) WTKMS_CHECKED;

/* rsa_sign_check -- Whether rsa_sign would take this private key. STATUS_CONFIG "rsa-key". */
int rsa_sign_check(const SECRET *pem, STATUS *status) WTKMS_CHECKED;

typedef struct {
    uint8_t sha1[RSA_SIGN_SHA1_LEN];     /* of the DER: x5t of RFC 7515 */
    uint8_t sha256[RSA_SIGN_SHA256_LEN]; /* x5t#S256 */
} RSA_SIGN_THUMBPRINTS;

/* rsa_sign_thumbprints -- Name the first "CERTIFICATE" block in pem. STATUS_CONFIG "rsa-certificate". */
int rsa_sign_thumbprints(
  const void *pem, size_t len, RSA_SIGN_THUMBPRINTS *thumbprints, STATUS *status) WTKMS_CHECKED;

/* rsa_sign_check_pair -- Whether the first certificate in the one is of the private key in the other;
 * they may be the same bytes. STATUS_CONFIG "rsa-pair", or as above. */
int rsa_sign_check_pair(
  const void *certificate, size_t len, const SECRET *private_key, STATUS *status) WTKMS_CHECKED;

#endif
