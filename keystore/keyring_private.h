/*
 * keystore/keyring_private.h -- What the files of the keyring share.
 *
 * Layer: keystore, for its own files.
 *
 * A KEYRING_VIEW is one verified state of the keystore with its keys. It never changes once it is the
 * keyring's current one, and lives until nobody holds it: lookups hold it, so a refresh meanwhile
 * takes nothing from under them. Only an edit works on a view of its own.
 */
#ifndef WTKMS_KEYSTORE_KEYRING_PRIVATE_H
#define WTKMS_KEYSTORE_KEYRING_PRIVATE_H

#include "keystore/keyring.h"
#include "keystore/keystore_file.h"
#include "keystore/payload.h"
#include "kms_clients/kms_client.h"

#include <pthread.h>
#include <stdatomic.h>

#define KEYRING_LOCK_TIMEOUT_MS 30000
#define KEYRING_REPAIR_TIMEOUT_MS 2000
#define KEYRING_SHORT_TRY_MS 5000 /* a key service, while a table is being created */

typedef struct {
    uint64_t id;
    SECRET *key, *wrap_key, *seal_key;
    /* Who opened it; NULL when its payload was handed in. */
    char *provider, *key_id, *credential;
} KEYRING_MASTER;

typedef struct {
    uint64_t id;
    SECRET *secret;
    size_t position; /* of its data key in the keystore, as long as no edit takes keys out */
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN]; /* that the secret was checked with */
    bool is_borrowed; /* of another view, which is held as long as this one lives */
    bool
      is_rewrapped; /* by the edit: what was wrapped is to be unwrapped once more before it is believed */
} KEYRING_SECRET;

typedef struct keyring_view KEYRING_VIEW;
struct keyring_view {
    unsigned refs;      /* under the keyring's lock */
    KEYRING_VIEW *next; /* all that live, the current one first */
    KEYSTORE *keystore;
    KEYRING_MASTER *masters; /* of the active master keys, sorted by id */
    size_t master_count;
    KEYRING_SECRET *secrets; /* of the data keys that are not retired, sorted by id */
    size_t secret_count;
    PAYLOAD_WRAPPER *wrapper; /* of an edit: made when it wraps its first data key */
};

struct keyring {
    int home_fd;
    const SETTINGS *settings;
    KEYRING_OPTIONS options;
    LOG log; /* options.log points here, or is NULL */
    KEYSTORE_FILE *file;
    pthread_mutex_t io_lock; /* one refresh or update at a time; taken before lock */
    pthread_mutex_t lock;    /* of views and refs */
    KEYRING_VIEW *views;
    KEYSTORE_STAMP stamp; /* under io_lock */
    atomic_int source;    /* KEYRING_SOURCE */
    KEYRING_VIEW *edited; /* inside an edit: the view whose keystore is edited; under io_lock */
};

/* --- keyring_unlock.c */

/* One master key to unwrap. On success key is the caller's, and recipient says who opened it. */
typedef struct {
    const KEYSTORE_MASTER *master;
    SECRET *key;
    size_t recipient;
    int ret;
    STATUS status;
} KEYRING_JOB;

/* keyring_unlock -- Unwrap master keys in parallel. Blocks up to the key services' deadlines. The first job
 * that failed gives the status. */
int keyring_unlock(const KEYRING *keyring, const KEYSTORE *keystore, KEYRING_JOB *jobs,
  size_t count, int64_t retry_for_ms, STATUS *status) WTKMS_CHECKED;

/*
 * keyring_wrap_master -- Make a master key's recipients anew: wrap for each that settings names for
 *     its scope, and unwrap again through each that can. *openerp is one that did, an index into the
 *     recipients. On error the recipients are as they were.
 */
int keyring_wrap_master(const KEYRING *keyring, const SETTINGS *settings, const KEYSTORE *keystore,
  KEYSTORE_MASTER *master, const SECRET *key, int timeout_ms, int64_t retry_for_ms, size_t *openerp,
  STATUS *status) WTKMS_CHECKED;

/* --- keyring_view.c */

/* Master keys that are already in hand, for keyring_view_new. */
typedef struct {
    const KEYRING_VIEW *view;        /* its keys are taken where they are the same; may be NULL */
    const KEYRING_PAYLOAD *payloads; /* instead of key services; may be NULL */
    size_t payload_count;
    int64_t retry_for_ms;
} KEYRING_SOURCES;

/*
 * keyring_view_new -- Verify a keystore and unwrap all its keys. keystore is the decoded data and is
 *     owned by the view, also freed on error. The caller releases *viewp.
 */
int keyring_view_new(const KEYRING *keyring, KEYSTORE *keystore, const uint8_t *data, size_t len,
  const KEYRING_SOURCES *sources, KEYRING_VIEW **viewp, STATUS *status) WTKMS_CHECKED;
void keyring_view_free(KEYRING_VIEW *view);

/*
 * keyring_open_data_keys -- Check the bytes of a view that has its keystore and its master keys, and unwrap
 *     its data keys, in other threads meanwhile when there are many. What old (may be NULL) has and
 *     was not changed is copied; what was wrapped again is unwrapped. An error of check goes before
 *     any other, and what was unwrapped is not to be used then. STATUS_CORRUPT, STATUS_NO_MEMORY; the
 *     caller frees the view.
 */
int keyring_open_data_keys(KEYRING_VIEW *view, const KEYRING_VIEW *old,
  int (*check)(const KEYRING_VIEW *view, const uint8_t *data, size_t len, STATUS *status),
  const uint8_t *data, size_t len, STATUS *status) WTKMS_CHECKED;

/* keyring_view_copy -- A view for an edit, of the current one. The data keys' secrets are borrowed: the caller
 * holds the original until the copy is freed. */
int keyring_view_copy(const KEYRING_VIEW *view, KEYRING_VIEW **copyp, STATUS *status) WTKMS_CHECKED;

/* keyring_view_master, keyring_view_secret -- One of the view's keys by its id, or NULL. */
KEYRING_MASTER *keyring_view_master(const KEYRING_VIEW *view, uint64_t id);
KEYRING_SECRET *keyring_view_secret(const KEYRING_VIEW *view, uint64_t id);

/* keyring_view_add_master -- Add a new master key to a view that is being edited. key is copied; recipient may be
 * NULL. */
int keyring_view_add_master(KEYRING_VIEW *view, uint64_t id, const SECRET *key,
  const KEYSTORE_RECIPIENT *opener, STATUS *status) WTKMS_CHECKED;

/* keyring_view_encode -- Encode a keystore under the keys of a view. The caller gives both to
 * keyring_image_release; they point into view and keystore. */
int keyring_view_encode(const KEYRING_VIEW *view, const KEYSTORE *keystore,
  KEYSTORE_SEAL_KEY **seal_keysp, KEYSTORE_IMAGE *image, STATUS *status) WTKMS_CHECKED;

void keyring_image_release(KEYSTORE_IMAGE *image, KEYSTORE_SEAL_KEY *seal_keys);

/* --- keyring.c */

/* keyring_hold, keyring_release -- The current view, which stays until it is given back. */
KEYRING_VIEW *keyring_hold(KEYRING *keyring);
void keyring_release(KEYRING *keyring, KEYRING_VIEW *view);
/* keyring_set_view -- Make a view the current one; the keyring takes it over. */
void keyring_set_view(KEYRING *keyring, KEYRING_VIEW *view, KEYRING_SOURCE source);

/* --- keyring_refresh.c */

/* keyring_sync_at_open -- When copies or mirror are not in step with the current view, take the lock
 * and bring them there. */
int keyring_sync_at_open(KEYRING *keyring, STATUS *status) WTKMS_CHECKED;

/* keyring_sync_locked -- The same for a view that is what the file holds, with the lock held. */
int keyring_sync_locked(KEYRING *keyring, const KEYRING_VIEW *view, STATUS *status) WTKMS_CHECKED;

/* keyring_read_again -- Read the file and verify what it holds, and that it follows on the current view. A new
 * master key is unwrapped with one try. The caller frees *viewp. */
int keyring_read_again(
  KEYRING *keyring, KEYSTORE_STAMP *stamp, KEYRING_VIEW **viewp, STATUS *status) WTKMS_CHECKED;

/* --- keyring_update.c */

/*
 * keyring_change -- The whole of a change: lock, the newest state, edit, keyring_commit. edit may set
 *     *unchangedp: it found that there is nothing to change, since another process was faster; what was
 *     read is then taken over. io_lock is held.
 */
typedef int (*KEYRING_CHANGE)(
  KEYRING *keyring, KEYSTORE *keystore, void *context, bool *unchangedp, STATUS *status);
int keyring_change(KEYRING *keyring, const char *operation, const char *reason, KEYRING_CHANGE edit,
  void *context, STATUS *status) WTKMS_CHECKED;

/* keyring_drop_retired -- What the generation before retired goes with the next write. */
int keyring_drop_retired(KEYSTORE *keystore, STATUS *status) WTKMS_CHECKED;

/* keyring_commit -- Write the edited keystore as the next generation, verify it as a reader would, and make it the
 * current view. Takes over keyring->edited. The lock is held. */
int keyring_commit(KEYRING *keyring, const char *operation, const char *reason, bool keep_prev,
  STATUS *status) WTKMS_CHECKED;

#endif
