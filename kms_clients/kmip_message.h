/*
 * kms_clients/kmip_message.h -- KMIP requests built and responses read, versions 1.2 to 2.1.
 *
 * Layer: kms_clients. Pure: no I/O, no configuration. Source: OASIS Key Management Interoperability
 * Protocol Specification 1.2, 1.3, 1.4, 2.0, 2.1. Attributes are pairs of a name and a value up to
 * 1.4, and items with tags of their own from 2.0 on; all else that is used here is the same.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_MESSAGE_H
#define WTKMS_KMS_CLIENTS_KMIP_MESSAGE_H

#include "kms_clients/kmip_ttlv.h"

#define KMIP_UID_MAX 256  /* bytes of a unique identifier that is taken */
#define KMIP_NAME_MAX 256 /* of a name to locate */
#define KMIP_NONCE_MAX 32
#define KMIP_TAG_LEN 16  /* of GCM, in bytes */
#define KMIP_ITEMS_MAX 4 /* batch items of a response */

/* Versions are numbers that compare: major * 100 + minor. */
#define KMIP_VERSION_1_2 102
#define KMIP_VERSION_1_4 104 /* the first with associated data */
#define KMIP_VERSION_2_0 200 /* the first with attributes as items */
#define KMIP_VERSION_2_1 201

#define KMIP_RESPONSE_MESSAGE 0x42007b /* what every answer starts with */

typedef enum {
    KMIP_CREATE = 0x01,
    KMIP_LOCATE = 0x08,
    KMIP_GET = 0x0a,
    KMIP_GET_ATTRIBUTES = 0x0b,
    KMIP_ACTIVATE = 0x12,
    KMIP_DISCOVER_VERSIONS = 0x1e,
    KMIP_ENCRYPT = 0x1f,
    KMIP_DECRYPT = 0x20
} KMIP_OPERATION;

typedef enum {
    KMIP_STATE_PRE_ACTIVE = 1,
    KMIP_STATE_ACTIVE,
    KMIP_STATE_DEACTIVATED,
    KMIP_STATE_COMPROMISED,
    KMIP_STATE_DESTROYED,
    KMIP_STATE_DESTROYED_COMPROMISED
} KMIP_STATE;

/* kmip_state_name -- "active", "deactivated"..., "unknown state" for other numbers. Static storage. */
const char *kmip_state_name(uint32_t state);

/* kmip_operation_name -- "Encrypt", ... Static storage. */
const char *kmip_operation_name(KMIP_OPERATION operation);

/* What every request starts with. */
typedef struct {
    int version;
    const char *username;   /* may be NULL */
    const SECRET *password; /* may be NULL */
} KMIP_HEADER;

/* What the server does the cryptography with: AES with GCM (associated data, a tag), or CBC with PKCS5. */
typedef struct {
    bool gcm;
    const uint8_t *nonce; /* IV/counter/nonce */
    size_t nonce_len;
    const uint8_t *aad; /* GCM only */
    size_t aad_len;
    const uint8_t *tag; /* KMIP_TAG_LEN bytes, GCM and Decrypt only */
} KMIP_CIPHER;

/* --- requests: the caller frees *messagep. STATUS_NO_MEMORY, STATUS_INTERNAL. */

/* kmip_request_discover -- Ask which versions the server speaks. */
int kmip_request_discover(
  const KMIP_HEADER *header, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* kmip_request_crypt -- Encrypt or Decrypt. */
int kmip_request_crypt(const KMIP_HEADER *header, KMIP_OPERATION operation, const char *uid,
  const KMIP_CIPHER *cipher, const void *data, size_t len, SECRET **messagep,
  STATUS *status) WTKMS_CHECKED;

/* kmip_request_get -- A batch of Get Attributes (State) and Get, raw key format: a key's state is known before its
 * material is used. */
int kmip_request_get(
  const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* kmip_request_state -- Get Attributes of State. */
int kmip_request_state(
  const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* kmip_request_locate -- At most two symmetric keys of that name: one too many tells that it is not unique. */
int kmip_request_locate(
  const KMIP_HEADER *header, const char *name, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* kmip_request_create -- Create an AES key of 256 bits for Encrypt and Decrypt, with a name. */
int kmip_request_create(
  const KMIP_HEADER *header, const char *name, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* kmip_request_activate -- Activate a key. */
int kmip_request_activate(
  const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status) WTKMS_CHECKED;

/* --- responses */

typedef struct {
    uint32_t operation; /* 0: the server did not say */
    uint32_t result;    /* 0: success */
    uint32_t reason;
    char message[201]; /* of the server, printable, cut */
    bool has_payload;
    KMIP_ITEM payload;
} KMIP_RESULT;

typedef struct {
    int version;
    size_t count;
    KMIP_RESULT results[KMIP_ITEMS_MAX];
} KMIP_RESPONSE;

/*
 * kmip_response_parse -- Read a response message; its items point into message. STATUS_BAD_REPLY
 *     "kms-bad-ttlv", "kms-kmip-reply".
 */
int kmip_response_parse(
  const void *message, size_t len, KMIP_RESPONSE *response, STATUS *status) WTKMS_CHECKED;

/*
 * kmip_response_result -- The n-th result, which must be of that operation and successful. *resultp is NULL
 *     on failure. A failure is recorded by its reason as kmip_reason_class says; where the server
 *     refused the message as a whole, the one result stands for all. STATUS_BAD_REPLY
 *     "kms-kmip-reply" for an answer to something else.
 */
int kmip_response_result(const KMIP_RESPONSE *response, size_t n, KMIP_OPERATION operation,
  const KMIP_RESULT **resultp, STATUS *status) WTKMS_CHECKED;

#define KMIP_REASON_FEATURE_NOT_SUPPORTED 0x08

/* kmip_reason_class -- The class of a result reason, and its name in *namep (static storage). */
STATUS_CLASS kmip_reason_class(uint32_t reason, KMIP_OPERATION operation, const char **namep);

/* kmip_reason_is_state -- Whether a refusal may be for the key's state, which Get Attributes tells. */
bool kmip_reason_is_state(uint32_t reason);

/* kmip_reason_is_unable -- Whether the server cannot do what was asked of it, with any key. */
bool kmip_reason_is_unable(uint32_t reason);

/* Payloads: STATUS_BAD_REPLY "kms-kmip-reply" for one that does not have what it must. */

/* kmip_payload_versions -- The highest version of the server that is from lowest to highest, and is one of ours;
 * 0 when there is none. */
int kmip_payload_versions(const KMIP_RESULT *result, int lowest, int highest);

typedef struct {
    const uint8_t *data; /* into the message */
    size_t len;
    const uint8_t *nonce; /* NULL: as requested */
    size_t nonce_len;
    const uint8_t *tag; /* KMIP_TAG_LEN bytes, or NULL */
} KMIP_OUTPUT;

/* kmip_payload_output -- Of Encrypt and Decrypt: data, and of Encrypt nonce and, for GCM, tag. uid must be the key's. */
int kmip_payload_output(const KMIP_RESULT *result, const char *uid, bool gcm_encrypt,
  KMIP_OUTPUT *output, STATUS *status) WTKMS_CHECKED;

/* kmip_payload_key -- Of Get: the material of a symmetric AES key of 16 to 64 bytes, not wrapped. The caller frees *keyp. */
int kmip_payload_key(
  const KMIP_RESULT *result, const char *uid, SECRET **keyp, STATUS *status) WTKMS_CHECKED;

/* kmip_payload_state -- Of Get Attributes. */
int kmip_payload_state(
  const KMIP_RESULT *result, const char *uid, uint32_t *statep, STATUS *status) WTKMS_CHECKED;

/* kmip_payload_located -- Of Locate: how many identifiers, 0 to 2 or more, and the first. */
int kmip_payload_located(const KMIP_RESULT *result, char uid[KMIP_UID_MAX + 1], size_t *countp,
  STATUS *status) WTKMS_CHECKED;

/* kmip_payload_uid -- Of Create: the identifier. */
int kmip_payload_uid(
  const KMIP_RESULT *result, char uid[KMIP_UID_MAX + 1], STATUS *status) WTKMS_CHECKED;

/* kmip_uid_valid -- Whether a unique identifier is one that is taken: 1 to KMIP_UID_MAX letters, digits and ". _ - + = @ / ~ :". */
bool kmip_uid_valid(const char *uid);

#endif
