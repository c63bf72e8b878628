/*
 * keystore/keyring.h -- An opened keystore: master keys unwrapped, seal checked, data keys at hand.
 *
 * Layer: keystore; uses crypto and kms_clients (through kms_client.h only). Knows nothing of WiredTiger's
 * files: whether a home has data, and whether a key opens one of its units, is for its callers to
 * find out (datafile/).
 *
 * Thread safety: a KEYRING may be used by several threads. Lookups take a short lock of its own and
 * are not for the path of every page; keyring_refresh and keyring_update do file and key-service
 * I/O, one at a time, without holding that lock.
 */
#ifndef WTKMS_KEYSTORE_KEYRING_H
#define WTKMS_KEYSTORE_KEYRING_H

#include "common/log.h"
#include "keystore/keystore.h"
#include "keystore/settings.h"

typedef struct keyring KEYRING;

#define KEYRING_FILE "wtkms.keystore"
#define KEYRING_LOCK "wtkms.keystore.lock"
#define KEYRING_PREV "wtkms.keystore.prev"

/* Where a keystore was read from. */
typedef enum {
    KEYRING_FROM_FILE,
    KEYRING_FROM_MIRROR,
    KEYRING_FROM_COPY,
    KEYRING_EPHEMERAL
} KEYRING_SOURCE;

/* For retry_for_ms: what each entry says. */
#define KEYRING_RETRY_CONFIGURED (-1)

typedef struct {
    const LOG *log;       /* warnings that are no errors; may be NULL */
    int kms_timeout_ms;   /* of one call to a key service; 0: what its entry says */
    int64_t retry_for_ms; /* how long UNAVAILABLE is retried; 0: one try */
    bool defer_repair; /* the caller proves the keystore first, then calls keyring_repair_copies */
    bool read_only;    /* never write, never make a lock file */
    bool accept_partial; /* with read_only: open what a partial mirror has */
} KEYRING_OPTIONS;

/*
 * keyring_locate -- Read the keystore of a home without any key: settings->keystore or
 *     HOME/wtkms.keystore; when that does not exist, the mirror. *foundp is false, and *keystorep
 *     NULL, when there is neither. settings may be NULL. Nothing is written or proven. The caller
 *     frees *keystorep and *datap (the raw bytes; datap may be NULL). STATUS_CORRUPT, STATUS_IO, STATUS_REFUSED.
 */
int keyring_locate(int home_fd, const SETTINGS *settings, bool *foundp, KEYRING_SOURCE *sourcep,
  KEYSTORE **keystorep, uint8_t **datap, size_t *lenp, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_open -- Open the keystore of a home: unwrap every scope's master keys in parallel through the
 *     configured recipients that match the recorded ones (the first that opens wins; others that
 *     failed are one warning; while UNAVAILABLE is retried each failing class is one warning), check payloads, commitments, MACs, seal and settings->expect, unwrap
 *     all data keys. home_fd is duplicated; settings must outlive the keyring. From a mirror nothing
 *     is written: the caller proves it with a unit, then calls keyring_adopt. A partial mirror is
 *     refused. Unless read_only, copies and mirror that are behind are written again; when that fails
 *     it is a warning. STATUS_NO_KEY: there is no keystore, or no configured recipient matches, told with both lists. Classes of a
 *     key service when all matching recipients failed: DISABLED, NOT_FOUND, ... of the first.
 */
int keyring_open(int home_fd, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  KEYRING **keyringp, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_create -- Make a new keystore in a home: a uuid, master keys for all configured scopes, the
 *     data key of keyid "default", wrapped for every recipient and proved by unwrapping through each
 *     that can; written durably, copies and mirror included. STATUS_REFUSED when one exists already, mirror
 *     included. ephemeral: in memory only, nothing is written (in-memory and read-only hosts).
 */
int keyring_create(int home_fd, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  bool ephemeral, KEYRING **keyringp, STATUS *status) WTKMS_CHECKED;

/* keyring_adopt -- Write the keystore that was read from the mirror (or from the file given to keyring_open_bytes)
 * as the home's keystore, with an event "restore" in the history. */
int keyring_adopt(KEYRING *keyring, const char *reason, STATUS *status) WTKMS_CHECKED;

/* keyring_open_bytes -- keyring_open for a copy whose bytes the caller has (`wtkms keystore restore`). */
int keyring_open_bytes(int home_fd, const uint8_t *data, size_t len, const SETTINGS *settings,
  const KEYRING_OPTIONS *options, KEYRING **keyringp, STATUS *status) WTKMS_CHECKED;

/* keyring_open_with -- The same with master keys already in hand (`wtkms keystore recover`): one payload per
 * master key id, as rsa_unwrap gave it. */
typedef struct {
    uint64_t master_key_id;
    const SECRET *payload;
} KEYRING_PAYLOAD;
int keyring_open_with(int home_fd, const uint8_t *data, size_t len, const SETTINGS *settings,
  const KEYRING_PAYLOAD *payloads, size_t count, const KEYRING_OPTIONS *options, KEYRING **keyringp,
  STATUS *status) WTKMS_CHECKED;

/*
 * keyring_repair_copies -- Bring copies and mirror that are behind in step with the home's keystore, as
 *     keyring_open does when it is not told to defer that. A copy that cannot be written is one
 *     warning: no new key is in use yet. Does nothing for a keyring that is read-only or not the
 *     home's own file.
 */
void keyring_repair_copies(KEYRING *keyring);

void keyring_close(KEYRING *keyring);

/*
 * keyring_refresh -- Read the file again when it changed (stat first: cheap when it did not). A new
 *     generation is verified like at open; master keys already held are not unwrapped again. On an
 *     error the keyring stays as it was. A lower generation, another uuid, or none of the data keys that
 *     it had (somebody who may only wrap put a keystore of his own in place) is STATUS_CORRUPT. A keyring
 *     that may write first brings copies and mirror in step, and fails when it cannot: no key is
 *     used that is not everywhere.
 */
int keyring_refresh(KEYRING *keyring, bool *changedp, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_ensure_data_key -- The active data key id of a keyid; when it has none, make one: under the
 *     lock, after reading the file again (another process may have made it), durable in the file,
 *     every copy and the mirror before it is returned. A keyid that is a configured scope without a
 *     master key gets one, with one short try at its key service. *createdp says whether it was made
 *     now. STATUS_REFUSED for a read-only or partial keyring without that key.
 */
int keyring_ensure_data_key(
  KEYRING *keyring, const char *keyid, uint64_t *idp, bool *createdp, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_data_key -- A data key by id: a copy of the secret, for the caller to free, and its keyid
 *     (copied into keyid, KEYSTORE_KEYID_MAX + 1 bytes; may be NULL). STATUS_NO_KEY when the keystore does not have it
 *     or has retired it; no file is read.
 */
int keyring_data_key(
  KEYRING *keyring, uint64_t id, SECRET **secretp, char *keyid, STATUS *status) WTKMS_CHECKED;

/* keyring_active_data_key -- The active id of a keyid as of the last refresh; 0 when there is none. */
uint64_t keyring_active_data_key(KEYRING *keyring, const char *keyid);

/*
 * keyring_update -- Change the keystore: lock, read again and verify, call edit on the model, then
 *     write generation + 1 with an event. edit may add data keys with keyring_wrap_data_key. For
 *     rotation/ and for tests. When edit fails nothing is written. NULL: nothing but the event, and what
 *     was retired goes, as with every write.
 */
typedef int (*KEYRING_EDIT)(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status);
int keyring_update(KEYRING *keyring, const char *operation, const char *reason, KEYRING_EDIT edit,
  void *context, STATUS *status) WTKMS_CHECKED;

/* keyring_wrap_data_key -- Inside an edit: fill wrapped, commitment and master_key_id of a data key
 * whose id, keyid and version are set. */
int keyring_wrap_data_key(KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE_DATA_KEY *data_key,
  const SECRET *secret, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_new_master -- Inside an edit: a new active master key for a scope, wrapped for every
 *     configured recipient and proved, with timeout_ms a call and retries of UNAVAILABLE until
 *     retry_for_ms (0 and KEYRING_RETRY_CONFIGURED as in KEYRING_OPTIONS). The scope's data keys are wrapped again; the old master key, when there is one,
 *     stays as retired until the next write. The file's lock is held meanwhile.
 */
int keyring_new_master(KEYRING *keyring, KEYSTORE *keystore, const char *scope, int timeout_ms,
  int64_t retry_for_ms, STATUS *status) WTKMS_CHECKED;

/* keyring_rewrap_master -- Inside an edit: wrap the active master key of a scope for the recipients that are
 * configured now, and for no others. As keyring_new_master otherwise. */
int keyring_rewrap_master(KEYRING *keyring, KEYSTORE *keystore, const char *scope, int timeout_ms,
  int64_t retry_for_ms, STATUS *status) WTKMS_CHECKED;

/* keyring_rewrap_master_for -- The same for the recipients of another configuration: the keyring was
 * opened with the old ones, for instance. */
int keyring_rewrap_master_for(KEYRING *keyring, const SETTINGS *settings, KEYSTORE *keystore,
  const char *scope, int timeout_ms, int64_t retry_for_ms, STATUS *status) WTKMS_CHECKED;

/* keyring_write_mirror -- Write engine lines (see mirror.h) and the copy into WiredTiger.config. NULL
 * keeps the lines that stand there. */
int keyring_write_mirror(KEYRING *keyring, const char *engine_lines, STATUS *status) WTKMS_CHECKED;

/* What was opened. The KEYSTORE belongs to the keyring and is valid until keyring_release_keystore:
 * a refresh meanwhile does not free it. */
const KEYSTORE *keyring_hold_keystore(KEYRING *keyring);
void keyring_release_keystore(KEYRING *keyring, const KEYSTORE *keystore);
KEYRING_SOURCE keyring_source(const KEYRING *keyring);
int64_t keyring_generation(KEYRING *keyring);

/* keyring_opened_by -- Which recipient opened a scope: provider, key id and credential reference, for
 * wtkms.state. Copies at most size bytes each. false when the scope is unknown. */
bool keyring_opened_by(
  KEYRING *keyring, const char *scope, char *provider, char *key_id, char *credential, size_t size);

#endif
