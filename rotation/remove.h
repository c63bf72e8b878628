/*
 * rotation/remove.h -- A tenant's data keys destroyed.
 *
 * Layer: rotation; uses keystore. That no file is under them is the caller's to see to.
 */
#ifndef WTKMS_ROTATION_REMOVE_H
#define WTKMS_ROTATION_REMOVE_H

#include "rotation/rotate.h"

typedef struct {
    uint64_t *ids; /* of the data keys, all versions; also those only wtkms.keystore.prev has */
    size_t count;
    uint64_t master_key_id; /* of the tenant's own scope, or 0 */
    char *
      *leftovers; /* other files beside the keystore that still hold the keyid's keys, by name */
    size_t leftover_count;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int64_t generation;
} REMOVE_RESULT;

/*
 * remove_keyid -- Take every version of a keyid's data key out of the keystore, its copies and the
 *     mirror, and the master key of a scope of its own; then write once more, so that
 *     wtkms.keystore.prev is without them too. What a crash leaves between the two, a second call
 *     finishes. A plan fills the result and writes nothing. STATUS_NO_KEY: nobody has the keyid;
 *     STATUS_REFUSED: it is "default". As rotate_data otherwise. The caller releases *result.
 */
int remove_keyid(int home_fd, const SETTINGS *settings, const char *keyid,
  const ROTATE_OPTIONS *options, REMOVE_RESULT *result, STATUS *status) WTKMS_CHECKED;
void remove_release(REMOVE_RESULT *result);

#endif
