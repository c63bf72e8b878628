/*
 * rotation/fork.h -- A cloned volume's keystore becomes one of its own.
 *
 * Layer: rotation; uses keystore. Works on the keystore alone, as rotate.h does; that no host has
 * the home open is the caller's to see to.
 */
#ifndef WTKMS_ROTATION_FORK_H
#define WTKMS_ROTATION_FORK_H

#include "rotation/rotate.h"

typedef struct {
    uint8_t parent[KEYSTORE_UUID_LEN]; /* the uuid that it had */
    ROTATE_RESULT masters;             /* uuid and generation are the new keystore's */
} FORK_RESULT;

/*
 * fork_keystore -- Give the keystore of a clone a uuid of its own, with the old one as parent, and
 *     every scope a new master key wrapped for the configured recipients: what a customer key
 *     wrapped for the original opens nothing here, and the other way round. The data keys stay,
 *     since the files are under them; all are wrapped again. Keystore, copies and mirror are written
 *     in one generation, and the original's wtkms.state is removed. The old keystore is kept as
 *     .prev. STATUS_REFUSED: `expect:` names another uuid, or a configured copy is ahead of this
 *     keystore, so that it must be the original's own. As rotate_master otherwise. The caller
 *     releases *result, also after a failure.
 */
int fork_keystore(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options,
  FORK_RESULT *result, STATUS *status) WTKMS_CHECKED;

/* fork_release -- Allowed on a zeroed one. */
void fork_release(FORK_RESULT *result);

#endif
