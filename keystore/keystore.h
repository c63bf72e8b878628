/*
 * keystore/keystore.h -- The keystore as data: what the file says, before anybody believes it.
 *
 * Layer: keystore. Pure: bytes in, structure out, and back; no files, no key service. The format is
 * described for other readers in doc/keystore-format.md.
 *
 * A KEYSTORE that was only parsed proves nothing: endpoints and credentials are never taken from
 * it, and its keys are used only after keyring.h checked commitments, MACs and seal. Not
 * thread-safe.
 */
#ifndef WTKMS_KEYSTORE_KEYSTORE_H
#define WTKMS_KEYSTORE_KEYSTORE_H

#include "common/status.h"
#include "crypto/mac.h"
#include "crypto/secret.h"
#include "crypto/xaes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYSTORE_VERSION 1
#define KEYSTORE_UUID_LEN 16
#define KEYSTORE_UUID_TEXT 37 /* with the NUL */
#define KEYSTORE_COMMITMENT_LEN 16
#define KEYSTORE_DATA_KEY_LEN 32
#define KEYSTORE_MASTER_KEY_LEN 32
#define KEYSTORE_WRAPPED_DATA_KEY_LEN XAES_WRAPPED_LEN(KEYSTORE_DATA_KEY_LEN)
#define KEYSTORE_KEYID_MAX 512 /* bytes of a WiredTiger keyid; longer is refused */
#define KEYSTORE_MAX_BYTES (256u * 1024 * 1024)
#define KEYSTORE_HISTORY_MAX 200   /* events kept; older ones are dropped */
#define KEYSTORE_RECIPIENTS_MAX 32 /* per master key */

typedef enum { KEYSTORE_ACTIVE, KEYSTORE_READABLE, KEYSTORE_RETIRED } KEYSTORE_STATE;

typedef struct {
    char *provider;
    char *key_id;     /* exactly as the key service names it */
    char *credential; /* a reference, never a secret */
    uint8_t *wrapped;
    size_t wrapped_len;
    int64_t time; /* ms since 1970, as all times here */
} KEYSTORE_RECIPIENT;

typedef struct {
    uint64_t id;
    char *scope;
    KEYSTORE_STATE state;
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN];
    int64_t created;
    KEYSTORE_RECIPIENT *recipients;
    size_t recipient_count;
} KEYSTORE_MASTER;

typedef struct {
    uint64_t id;
    char *keyid;
    uint32_t version; /* from 1, per keyid */
    KEYSTORE_STATE state;
    uint64_t master_key_id;
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN];
    uint8_t wrapped[KEYSTORE_WRAPPED_DATA_KEY_LEN];
    int64_t created;
} KEYSTORE_DATA_KEY;

typedef struct {
    int64_t time;
    char *who; /* user@host */
    char *operation;
    char *reason; /* or NULL */
    int64_t generation;
} KEYSTORE_EVENT;

typedef struct {
    char *scope;
    uint8_t mac[MAC_LEN];
} KEYSTORE_MAC;

typedef struct {
    uint8_t uuid[KEYSTORE_UUID_LEN];
    bool has_parent;
    uint8_t parent[KEYSTORE_UUID_LEN];
    char *node;
    int64_t generation; /* from 1 */
    int64_t created, modified;
    bool partial; /* the mirror's, when the whole keystore does not fit: no key may be added */
    KEYSTORE_MASTER *masters;
    size_t master_count;
    KEYSTORE_DATA_KEY *data_keys;
    size_t data_key_count;
    KEYSTORE_EVENT *events;
    size_t event_count;
    KEYSTORE_MAC *macs; /* as read; made anew by keystore_encode */
    size_t mac_count;
    uint8_t seal[MAC_LEN];
    size_t sealed_len;            /* raw bytes that the seal covers, as read */
    struct keystore_index *index; /* private: how lookups find things; may be NULL */
} KEYSTORE;

/*
 * keystore_decode -- Parse a keystore file. Every rule that needs no key is checked: version, known
 *     and single fields, types, lengths, no trailing bytes, unique ids, exactly one active master
 *     key a scope, at most one active data key a keyid, unique versions, every data key's master
 *     key present, active and of the right scope (a keyid with a scope of its own there), one MAC
 *     a scope, recipients' identifiers by kms_client_key_id_check. The caller frees *keystorep.
 *     STATUS_CORRUPT; a newer version is STATUS_REFUSED with a hint.
 */
int keystore_decode(
  const uint8_t *data, size_t len, KEYSTORE **keystorep, STATUS *status) WTKMS_CHECKED;

/* The MAC and seal key of one scope, for encode and check. */
typedef struct {
    const char *scope;
    const SECRET *seal_key; /* mac_derive(master key, "wtkms/1/seal") */
} KEYSTORE_SEAL_KEY;

/*
 * keystore_encode -- Write a keystore: MAC per scope, then the seal under the default scope's key. All
 *     scopes must have a seal key. The caller frees *datap with free().
 */
int keystore_encode(const KEYSTORE *keystore, const KEYSTORE_SEAL_KEY *seal_keys, size_t count,
  uint8_t **datap, size_t *lenp, STATUS *status) WTKMS_CHECKED;

/*
 * keystore_check_seal -- Check seal and MACs of the raw bytes that keystore_decode parsed. Scopes
 *     without a seal key are an error. STATUS_CORRUPT.
 */
int keystore_check_seal(const uint8_t *data, size_t len, const KEYSTORE *keystore,
  const KEYSTORE_SEAL_KEY *seal_keys, size_t count, STATUS *status) WTKMS_CHECKED;

void keystore_free(KEYSTORE *keystore);

/* Editing, for keyring.h and rotation/: append a zeroed element; strings are the caller's to set
 * with malloc'ed memory that keystore_free frees. */
int keystore_add_master(
  KEYSTORE *keystore, KEYSTORE_MASTER **masterp, STATUS *status) WTKMS_CHECKED;
int keystore_add_recipient(
  KEYSTORE_MASTER *master, KEYSTORE_RECIPIENT **recipientp, STATUS *status) WTKMS_CHECKED;
int keystore_add_data_key(
  KEYSTORE *keystore, KEYSTORE_DATA_KEY **data_keyp, STATUS *status) WTKMS_CHECKED;
int keystore_add_event(KEYSTORE *keystore, const char *operation, const char *reason,
  STATUS *status) WTKMS_CHECKED; /* of now, by this user, of the keystore's generation */
/* Remove every element for which the function says so. Ids, keyids, scopes and the order of elements are
 * only changed by these functions (or before the element was looked up for the first time). */
void keystore_remove_masters(KEYSTORE *keystore,
  bool (*is_removed)(const KEYSTORE_MASTER *master, void *context), void *context);
void keystore_remove_data_keys(KEYSTORE *keystore,
  bool (*is_removed)(const KEYSTORE_DATA_KEY *data_key, void *context), void *context);
int keystore_new(const char *node, KEYSTORE **keystorep,
  STATUS *status) WTKMS_CHECKED; /* new uuid, generation 0 */

/* Looking up; NULL when there is none. In a keystore from keystore_decode they take logarithmic time,
 * and several threads may look up at the same time. */
const KEYSTORE_MASTER *keystore_master(const KEYSTORE *keystore, uint64_t id);
const KEYSTORE_MASTER *keystore_active_master(const KEYSTORE *keystore, const char *scope);
const KEYSTORE_DATA_KEY *keystore_data_key(const KEYSTORE *keystore, uint64_t id);
const KEYSTORE_DATA_KEY *keystore_active_data_key(const KEYSTORE *keystore, const char *keyid);
/* keystore_latest_data_key -- The one of the highest version of a keyid, whatever its state. */
const KEYSTORE_DATA_KEY *keystore_latest_data_key(const KEYSTORE *keystore, const char *keyid);
/* keystore_scope_of -- The scope that a keyid has in this keystore: its own when there is an active
 * master key for it, else the default one. */
const char *keystore_scope_of(const KEYSTORE *keystore, const char *keyid);

/* keystore_state_name, keystore_uuid_text, keystore_uuid_parse -- Text forms. */
const char *keystore_state_name(KEYSTORE_STATE state);
void keystore_uuid_text(const uint8_t uuid[KEYSTORE_UUID_LEN], char text[KEYSTORE_UUID_TEXT]);
int keystore_uuid_parse(
  const char *text, uint8_t uuid[KEYSTORE_UUID_LEN], STATUS *status) WTKMS_CHECKED;

#endif
