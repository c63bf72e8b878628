/*
 * kms_clients/kmip_wrapped.h -- The wrapped bytes of provider "kmip".
 *
 * Layer: kms_clients. Pure. Numbers are big-endian, as in KMIP.
 *     0  1  version, 1
 *     1  1  mode: 1 GCM at the server, 2 CBC at the server, 3 local with the server's key
 *     2  1  n, length of the nonce (modes 1 and 2), 0..32
 *     3  n  the nonce
 *        16 mode 1: the tag
 *        2  modes 1 and 2: m, length of what the server encrypted
 *        m  what the server encrypted: mode 1 the payload, mode 2 a random key of 32 bytes
 *        k  modes 2 and 3: the payload wrapped here (crypto/xaes.h)
 *        16 the first half of SHA-256 of all before, and the associated data
 * The associated data are uuid, master key id and scope of KMS_CONTEXT, each behind its length in
 * four bytes. Mode 1 gives them to the server, modes 2 and 3 to xaes_wrap. The key of xaes_wrap is
 * HKDF of the random key, label "wtkms/1/kmip-cbc", or of the server's key, "wtkms/1/kmip-get".
 *
 * CBC does not authenticate: a changed block decrypts to another random key, which HKDF separates from
 * the true one, and with which the payload does not open. The digest at the end protects against
 * accidents and mix-ups, not against attackers: it tells them from a server's failure without asking.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_WRAPPED_H
#define WTKMS_KMS_CLIENTS_KMIP_WRAPPED_H

#include "kms_clients/kmip_message.h"
#include "kms_clients/kms_client.h"

#define KMIP_WRAPPED_CHECK_LEN 16
#define KMIP_AAD_MAX (3 * 4 + 16 + 8 + 128) /* a scope's name has at most 100 bytes */

typedef enum { KMIP_WRAPPED_GCM = 1, KMIP_WRAPPED_CBC, KMIP_WRAPPED_LOCAL } KMIP_WRAPPED_MODE;

typedef struct {
    KMIP_WRAPPED_MODE mode;
    const uint8_t *nonce;
    size_t nonce_len;
    const uint8_t *tag;  /* mode 1 */
    const uint8_t *data; /* modes 1 and 2 */
    size_t data_len;
    const uint8_t *sealed; /* modes 2 and 3 */
    size_t sealed_len;
} KMIP_WRAPPED;

/* kmip_aad -- The associated data. STATUS_REFUSED for a scope that is too long. */
int kmip_aad(const KMS_CONTEXT *context, uint8_t aad[KMIP_AAD_MAX], size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/* kmip_wrapped_encode -- The caller frees *bytesp. STATUS_BAD_REPLY for more than KMS_WRAPPED_MAX. */
int kmip_wrapped_encode(const KMIP_WRAPPED *wrapped, const uint8_t *aad, size_t aad_len,
  uint8_t **bytesp, size_t *lenp, STATUS *status) WTKMS_CHECKED;

/* kmip_wrapped_decode -- wrapped points into bytes. STATUS_CORRUPT "kms-kmip-wrapped" for other bytes than were
 * written, and for another context than they were written for. */
int kmip_wrapped_decode(const uint8_t *bytes, size_t len, const uint8_t *aad, size_t aad_len,
  KMIP_WRAPPED *wrapped, STATUS *status) WTKMS_CHECKED;

#endif
