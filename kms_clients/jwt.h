/*
 * kms_clients/jwt.h -- Signed JSON Web Tokens (RFC 7519 in the compact form of RFC 7515).
 *
 * Layer: kms_clients. Pure. For the assertions by which a client proves to an identity service that
 * it has a private key. Thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_JWT_H
#define WTKMS_KMS_CLIENTS_JWT_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

typedef enum {
    JWT_RS256, /* RFC 7518, 3.3 */
    JWT_PS256  /* 3.5 */
} JWT_ALGORITHM;

/* jwt_algorithm_name -- "RS256", "PS256": `alg` of a header. */
const char *jwt_algorithm_name(JWT_ALGORITHM algorithm);

/*
 * jwt_sign -- Sign. header and claims are JSON texts as json_writer_finish makes them; the header's
 *     `alg` is the caller's to set, by jwt_algorithm_name. private_key is PEM, see rsa_sign.h. The caller
 *     frees *tokenp, ASCII without a NUL. STATUS_CONFIG for the key, STATUS_NO_MEMORY, STATUS_INTERNAL.
 */
int jwt_sign(JWT_ALGORITHM algorithm, const SECRET *header, const SECRET *claims,
  const SECRET *private_key, SECRET **tokenp, STATUS *status) WTKMS_CHECKED;

#endif
