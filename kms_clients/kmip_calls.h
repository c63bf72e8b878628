/*
 * kms_clients/kmip_calls.h -- The calls of provider "kmip": what each asks and takes from the answer.
 *
 * Layer: kms_clients. No I/O of its own: kmip_session_call runs them with a KMIP_ASKED as context.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_CALLS_H
#define WTKMS_KMS_CLIENTS_KMIP_CALLS_H

#include "kms_clients/kmip_session.h"
#include "kms_clients/kms_client.h"

/* What one call asks and gets; which members are used depends on it. */
typedef struct {
    KMIP_OPERATION operation;
    const char *uid;
    const char *name;
    KMIP_CIPHER cipher;
    const void *data;
    size_t data_len;
    uint32_t reason; /* of the server's refusal; 0: none */
    uint32_t state;
    SECRET *secret; /* a key, or what was decrypted */
    uint8_t encrypted[KMS_WRAPPED_MAX], nonce[KMIP_NONCE_MAX], tag[KMIP_TAG_LEN];
    size_t encrypted_len, nonce_len, located;
    char found[KMIP_UID_MAX + 1];
} KMIP_ASKED;

/* kmip_call_crypt -- operation, uid, cipher, data. Encrypt draws the nonce and gives encrypted, nonce and tag; Decrypt
 * gives secret, which the caller frees. */
extern const KMIP_CALL kmip_call_crypt;

/* kmip_call_get -- uid. Gives state and secret, which the caller frees. */
extern const KMIP_CALL kmip_call_get;

/* kmip_call_state -- uid. Gives state. */
extern const KMIP_CALL kmip_call_state;

/* kmip_call_locate -- name. Gives located and, of the first, found. */
extern const KMIP_CALL kmip_call_locate;

/* kmip_call_create -- name. Gives found. */
extern const KMIP_CALL kmip_call_create;

/* kmip_call_activate -- uid. */
extern const KMIP_CALL kmip_call_activate;

#endif
