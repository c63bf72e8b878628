/*
 * keystore/payload.h -- What is wrapped by a customer key, and how data keys are wrapped.
 *
 * Layer: keystore. Pure. A payload says whose master key it is, since some key services (Azure's
 * RSA-OAEP) take no associated data:
 *     0  1  version, 1
 *     1 16  uuid of the keystore
 *    17  8  master key id, little-endian
 *    25  1  length n of the scope's name, 1..100
 *    26  n  the scope's name
 *  26+n 32  the master key
 */
#ifndef WTKMS_KEYSTORE_PAYLOAD_H
#define WTKMS_KEYSTORE_PAYLOAD_H

#include "keystore/keystore.h"

#define PAYLOAD_VERSION 1

/* payload_new -- Make the payload of a master key. The caller frees *payloadp. */
int payload_new(const uint8_t uuid[KEYSTORE_UUID_LEN], uint64_t master_key_id, const char *scope,
  const SECRET *key, SECRET **payloadp, STATUS *status) WTKMS_CHECKED;

/*
 * payload_open -- Check that a payload is of this master key of this keystore, and take the key out. The
 *     caller frees *keyp. STATUS_CORRUPT when it is another one's.
 */
int payload_open(const SECRET *payload, const uint8_t uuid[KEYSTORE_UUID_LEN],
  uint64_t master_key_id, const char *scope, SECRET **keyp, STATUS *status) WTKMS_CHECKED;

/* payload_commit -- The commitment of a key: HKDF-SHA-256 with the id, little-endian, as salt and the label
 * "wtkms/1/commit". For master keys and data keys. */
int payload_commit(const SECRET *key, uint64_t id, uint8_t commitment[KEYSTORE_COMMITMENT_LEN],
  STATUS *status) WTKMS_CHECKED;

/*
 * payload_wrapper_new -- What data keys are wrapped and unwrapped with, one after the other, under any
 *     wrapping keys; fastest when those of one follow each other. For one thread, and not kept longer
 *     than the work takes: it has the last wrapping key in it until payload_wrapper_free, which
 *     takes NULL too.
 */
typedef struct payload_wrapper PAYLOAD_WRAPPER;
int payload_wrapper_new(PAYLOAD_WRAPPER **wrapperp, STATUS *status) WTKMS_CHECKED;
void payload_wrapper_free(PAYLOAD_WRAPPER *wrapper);

/*
 * payload_wrap_data_key -- Fill wrapped and commitment of a data key; its other fields are set. wrap_key is
 *     mac_derive(master key, "wtkms/1/wrap"). Associated data: uuid, id (8), length of the keyid
 *     (2), keyid, version (4), master key id (8), numbers little-endian.
 */
int payload_wrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  STATUS *status) WTKMS_CHECKED;

/* payload_rewrap_data_key -- Fill wrapped alone. The commitment, which is of id and secret and knows nothing
 * of what wraps, was checked with this secret before. */
int payload_rewrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  STATUS *status) WTKMS_CHECKED;

/* A secret that was checked with a commitment before, for the same id. */
typedef struct {
    const SECRET *secret;
    const uint8_t *commitment;
} PAYLOAD_KNOWN;

/*
 * payload_unwrap_data_key -- The reverse, commitment checked. known may be NULL; where what is unwrapped and
 *     the commitment both are what is known, the commitment needs no computing. The caller frees
 *     *secretp. STATUS_CORRUPT.
 */
int payload_unwrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], const KEYSTORE_DATA_KEY *data_key,
  const PAYLOAD_KNOWN *known, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

#endif
