/*
 * rotation/rotate.h -- Keys rotated: who opens the keystore, its master keys, its data keys.
 *
 * Layer: rotation; uses keystore and kms_clients (through kms_client.h only). Works on the keystore
 * alone: no file of the engine is read or written, and a host that has the home open takes the new
 * generation into use by itself, within seconds.
 *
 * Each rotation is one new generation of the keystore, all or nothing: on any failure the keystore,
 * its copies and the mirror are as they were. Calls block for key services, for the lock of another
 * writer, and for disks; while a key service is asked the keystore's lock is held. Not thread-safe
 * beyond that: each call opens the keystore anew, so several may run at once, in one order.
 */
#ifndef WTKMS_ROTATION_ROTATE_H
#define WTKMS_ROTATION_ROTATE_H

#include "keystore/keyring.h"

typedef struct {
    const LOG *log;       /* warnings that are no errors; may be NULL */
    int kms_timeout_ms;   /* of one call to a key service */
    int64_t retry_for_ms; /* how long UNAVAILABLE is retried; 0: one try */
    bool plan;            /* say what would be done; nothing is written, no key service wraps */
    const char *reason;   /* for the history; may be NULL */
} ROTATE_OPTIONS;

/* What one step did, or would do. */
typedef struct {
    char *name; /* the scope; of a data key its keyid */
    uint64_t old_id;
    uint64_t new_id;                   /* 0 in a plan; old_id where the key stays (rotate_cmk) */
    uint32_t old_version, new_version; /* of data keys, else 0 */
    char *old_recipients; /* of master keys: "local local:1f2e, aws arn:..."; else NULL */
    char *new_recipients;
    size_t data_keys; /* that a new master key wraps; else 0 */
} ROTATE_STEP;

typedef struct {
    ROTATE_STEP *steps;
    size_t count;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int64_t generation; /* that was written; in a plan the one that is there */
} ROTATE_RESULT;

/*
 * rotate_cmk -- Wrap every scope's master key for the recipients that settings names, and for no others;
 *     each that can unwrap is proved to before anything is written. The master keys are opened
 *     through any recipient of settings or, where none of its own works, of from (may be NULL).
 *     The caller releases *result, also after a failure. STATUS_NO_KEY: no configured recipient
 *     opens the keystore, or there is none; STATUS_CONFIG: settings lacks a scope, or has only
 *     recipients that cannot unwrap; STATUS_REFUSED: read-only, or only a mirror is there; a key
 *     service's classes; STATUS_BUSY; STATUS_IO.
 */
int rotate_cmk(int home_fd, const SETTINGS *settings, const SETTINGS *from,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status) WTKMS_CHECKED;

/*
 * rotate_master -- A new master key for a scope, or for all when it is NULL: wrapped for the configured
 *     recipients and proved, and the scope's data keys wrapped again by it. The old one is in
 *     wtkms.keystore.prev, and retired in the keystore, until the next write. As rotate_cmk
 *     otherwise; STATUS_NO_KEY too for an unknown scope.
 */
int rotate_master(int home_fd, const SETTINGS *settings, const char *scope,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status) WTKMS_CHECKED;

/*
 * rotate_data -- The next version of the data key of a keyid, or of all that have one when it is NULL.
 *     The version before becomes readable: what was written under it still opens. No key service
 *     is asked beyond the open. As rotate_master otherwise.
 */
int rotate_data(int home_fd, const SETTINGS *settings, const char *keyid,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status) WTKMS_CHECKED;

/* rotate_release -- Free what a result holds. Allowed on one that is zeroed or released. */
void rotate_release(ROTATE_RESULT *result);

/* --- for the other files of rotation/ */

/* rotate_open -- Open a home's own keystore as a rotation does; a mirror alone is refused. The caller
 * closes *keyringp. */
int rotate_open(int home_fd, const SETTINGS *openers, const ROTATE_OPTIONS *options,
  KEYRING **keyringp, STATUS *status) WTKMS_CHECKED;

/* rotate_check_scope -- STATUS_CONFIG when a scope of the keystore has no recipients of its own in the
 * configuration: it would be wrapped for others than the tenant. */
int rotate_check_scope(const SETTINGS *settings, const char *scope, STATUS *status) WTKMS_CHECKED;

/* rotate_masters -- Inside an edit: a new master key for every scope, as rotate_master makes it. */
int rotate_masters(KEYRING *keyring, KEYSTORE *keystore, const SETTINGS *settings,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status) WTKMS_CHECKED;

#endif
