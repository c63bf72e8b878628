/*
 * rotation/prune.h -- Data keys taken out of a keystore: those that nothing uses, or a tenant's.
 *
 * Layer: rotation; uses keystore. What uses a key is for the caller to find out, in all files that
 * matter; here is made sure that no key goes that could have come into use meanwhile.
 */
#ifndef WTKMS_ROTATION_PRUNE_H
#define WTKMS_ROTATION_PRUNE_H

#include "rotation/rotate.h"

typedef struct {
    uint64_t id;
    char *keyid;
    uint32_t version;
    int64_t created;
    uint64_t units; /* that the caller found under it, in all places together */
} PRUNE_KEY;

/*
 * What may go: data keys that were readable, not active, before the caller began to look. One that
 * was active then may get units behind the reader's back, so it is no candidate even when it is
 * rotated away meanwhile.
 */
typedef struct {
    PRUNE_KEY *keys;
    size_t count;
    size_t retired; /* by an earlier prune or rotation; the next write drops them */
    size_t retired_masters;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int64_t generation; /* that was read; after prune_retire the one that stands */
    bool written;       /* by prune_retire */
} PRUNE;

/*
 * prune_begin -- Open the keystore, as a rotation does, and list the candidates. The caller calls
 *     prune_release, also after an error. The classes of rotate_data.
 */
int prune_begin(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options, PRUNE *prune,
  STATUS *status) WTKMS_CHECKED;

/* prune_found -- Count units under a data key; an id that is no candidate is passed over. */
void prune_found(PRUNE *prune, uint64_t id, uint64_t units);

/*
 * prune_retire -- Retire the candidates without units, in one generation; what was retired before is
 *     dropped by it. Nothing is written when there is neither. STATUS_REFUSED, "prune-changed": the
 *     keystore is another one than when the caller began.
 */
int prune_retire(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options, PRUNE *prune,
  STATUS *status) WTKMS_CHECKED;
void prune_release(PRUNE *prune);

#endif
