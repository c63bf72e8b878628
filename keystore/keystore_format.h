/*
 * keystore/keystore_format.h -- What the files of the keystore's codec share.
 *
 * Layer: keystore, for its own files. The format itself is in doc/keystore-format.md; the table of
 * names here is the only place where they are spelled.
 */
#ifndef WTKMS_KEYSTORE_KEYSTORE_FORMAT_H
#define WTKMS_KEYSTORE_KEYSTORE_FORMAT_H

#include "keystore/keystore.h"

#define KEYSTORE_DEFAULT_SCOPE "default"
#define KEYSTORE_NODE_MAX 255  /* bytes of a node's label */
#define KEYSTORE_SCOPE_MAX 100 /* bytes of a scope's name */
#define KEYSTORE_TEXT_MAX 1024 /* bytes of a text in the history */
#define KEYSTORE_PROVIDER_MAX 32

/* Fields, in the order in which they stand. */
#define FIELD_VERSION "version"
#define FIELD_UUID "uuid"
#define FIELD_PARENT "parent"
#define FIELD_NODE "node"
#define FIELD_GENERATION "generation"
#define FIELD_CREATED "created"
#define FIELD_MODIFIED "modified"
#define FIELD_PARTIAL "partial"
#define FIELD_MASTERS "masterKeys"
#define FIELD_DATA_KEYS "dataKeys"
#define FIELD_HISTORY "history"
#define FIELD_MACS "macs"
#define FIELD_SEAL "seal"

#define FIELD_ID "id"
#define FIELD_SCOPE "scope"
#define FIELD_STATE "state"
#define FIELD_COMMITMENT "commitment"
#define FIELD_RECIPIENTS "recipients"
#define FIELD_PROVIDER "provider"
#define FIELD_KEY_ID "keyId"
#define FIELD_CREDENTIAL "credential"
#define FIELD_WRAPPED "wrapped"
#define FIELD_TIME "time"
#define FIELD_KEYID "keyid"
#define FIELD_MASTER_KEY_ID "masterKeyId"
#define FIELD_WHO "who"
#define FIELD_OPERATION "operation"
#define FIELD_REASON "reason"
#define FIELD_MAC "mac"

/* The seal's element is the last: type, name with NUL, length, subtype, 32 bytes; a NUL ends the file. */
#define KEYSTORE_SEAL_ELEMENT_LEN (1 + sizeof(FIELD_SEAL) + 4 + 1 + MAC_LEN)

int64_t keystore_now(void); /* ms since 1970 */

/* keystore_append_event, keystore_append_mac -- As keystore_add_master. */
int keystore_append_event(
  KEYSTORE *keystore, KEYSTORE_EVENT **eventp, STATUS *status) WTKMS_CHECKED;
int keystore_append_mac(KEYSTORE *keystore, KEYSTORE_MAC **macp, STATUS *status) WTKMS_CHECKED;
void keystore_drop_macs(KEYSTORE *keystore);
void keystore_clear_recipients(KEYSTORE_MASTER *master);

/* keystore_copy -- A deep copy, for an edit; without the MACs, which were those of the original. */
int keystore_copy(const KEYSTORE *keystore, KEYSTORE **copyp, STATUS *status) WTKMS_CHECKED;

/* keystore_check -- The rules between elements, for what was read and before anything is written: unique
 * ids, one active master key a scope, and so on; see keystore_decode. Makes the index. */
int keystore_check(KEYSTORE *keystore, STATUS *status) WTKMS_CHECKED;

/* keystore_peek -- What stands at the beginning of a keystore's bytes; no more is looked at. STATUS_CORRUPT,
 * STATUS_REFUSED for a newer version. */
int keystore_peek(const uint8_t *data, size_t len, uint8_t uuid[KEYSTORE_UUID_LEN],
  int64_t *generationp, bool *partialp, STATUS *status) WTKMS_CHECKED;

/* Which part of a keystore is written. */
typedef enum {
    KEYSTORE_WHOLE,
    KEYSTORE_DEFAULT_PART, /* the default scope's master key and data keys, no history */
    KEYSTORE_SYSTEM_PART,  /* the default scope's master key and the data keys of "default" */
    KEYSTORE_LEAST_PART    /* the default scope's master key and the active data key of "default" */
} KEYSTORE_PART;

/* keystore_encoded_least -- A quick lower bound of what keystore_encode_part gives. */
size_t keystore_encoded_least(const KEYSTORE *keystore, KEYSTORE_PART part);

/* keystore_encode_part -- keystore_encode for a part; any but the whole is marked partial. */
int keystore_encode_part(const KEYSTORE *keystore, KEYSTORE_PART part,
  const KEYSTORE_SEAL_KEY *seal_keys, size_t count, uint8_t **datap, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/* keystore_write_seal -- Compute MACs and seal of encoded bytes and put them in their places. */
int keystore_write_seal(uint8_t *data, size_t len, const KEYSTORE_SEAL_KEY *seal_keys, size_t count,
  STATUS *status) WTKMS_CHECKED;

#endif
