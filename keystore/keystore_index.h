/*
 * keystore/keystore_index.h -- Finding a key among ten thousand, and seeing two that are alike.
 *
 * Layer: keystore, for its own files. Positions of a KEYSTORE's elements, sorted: no hash whose
 * collisions a hostile file could choose. Elements that were appended after keystore_index are not
 * in it and are found by walking. An index is read-only once made.
 */
#ifndef WTKMS_KEYSTORE_KEYSTORE_INDEX_H
#define WTKMS_KEYSTORE_KEYSTORE_INDEX_H

#include "keystore/keystore.h"

typedef struct keystore_index {
    size_t master_count, data_key_count; /* how many elements are in it */
    uint32_t *masters_by_id;
    uint32_t *masters_by_scope; /* by scope, then by state, the active one first */
    uint32_t *data_keys_by_id;
    uint32_t *data_keys_by_keyid; /* by keyid, then by version */
} KEYSTORE_INDEX;

/* keystore_index -- Make the index of a keystore anew. STATUS_NO_MEMORY. */
int keystore_index(KEYSTORE *keystore, STATUS *status) WTKMS_CHECKED;
/* keystore_index_copy -- The same for a copy of a keystore, its elements in the same order, from that one's. */
int keystore_index_copy(KEYSTORE *copy, const KEYSTORE *keystore, STATUS *status) WTKMS_CHECKED;
void keystore_index_drop(KEYSTORE *keystore);

#endif
