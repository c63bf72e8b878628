/*
 * keystore/keystore_index.c -- Lookups in a keystore. See keystore.h and keystore_index.h.
 */
#include "keystore/keystore_index.h"

#include <stdlib.h>
#include <string.h>

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore's index"));
}

static bool
is_whole(const KEYSTORE_INDEX *index)
{
    return (index->masters_by_id != NULL && index->masters_by_scope != NULL &&
            index->data_keys_by_id != NULL && index->data_keys_by_keyid != NULL);
}

static int
compare_ids(uint64_t a, uint64_t b)
{
    return (a < b ? -1 : a > b);
}

static int
compare_masters_by_id(const void *a, const void *b, void *context)
{
    const KEYSTORE *keystore = context;

    return (compare_ids(
      keystore->masters[*(const uint32_t *)a].id, keystore->masters[*(const uint32_t *)b].id));
}

static int
compare_masters_by_scope(const void *a, const void *b, void *context)
{
    const KEYSTORE *keystore = context;
    const KEYSTORE_MASTER *x = &keystore->masters[*(const uint32_t *)a],
                          *y = &keystore->masters[*(const uint32_t *)b];
    int order = strcmp(x->scope, y->scope);

    return (order != 0 ? order : (int)x->state - (int)y->state);
}

static int
compare_data_keys_by_id(const void *a, const void *b, void *context)
{
    const KEYSTORE *keystore = context;

    return (compare_ids(
      keystore->data_keys[*(const uint32_t *)a].id, keystore->data_keys[*(const uint32_t *)b].id));
}

static int
compare_data_keys_by_keyid(const void *a, const void *b, void *context)
{
    const KEYSTORE *keystore = context;
    const KEYSTORE_DATA_KEY *x = &keystore->data_keys[*(const uint32_t *)a],
                            *y = &keystore->data_keys[*(const uint32_t *)b];
    int order = strcmp(x->keyid, y->keyid);

    return (order != 0 ? order : compare_ids(x->version, y->version));
}

static uint32_t *
sorted(KEYSTORE *keystore, size_t count, int (*compare)(const void *, const void *, void *))
{
    uint32_t *positions;
    size_t i;

    if ((positions = calloc(count + 1, sizeof(*positions))) == NULL)
        return (NULL);
    for (i = 0; i < count; i++)
        positions[i] = (uint32_t)i;
    /* Keyids are often there in order; then that is all there is to do. */
    for (i = 1; i < count && compare(&positions[i - 1], &positions[i], keystore) <= 0; i++)
        ;
    if (i >= count)
        return (positions);
    qsort_r(positions, count, sizeof(*positions), compare, keystore);
    return (positions);
}

int
keystore_index(KEYSTORE *keystore, STATUS *status)
{
    KEYSTORE_INDEX *index;

    keystore_index_drop(keystore);
    if ((index = calloc(1, sizeof(*index))) == NULL)
        goto no_memory;
    keystore->index = index;
    index->master_count = keystore->master_count;
    index->data_key_count = keystore->data_key_count;
    index->masters_by_id = sorted(keystore, index->master_count, compare_masters_by_id);
    index->masters_by_scope = sorted(keystore, index->master_count, compare_masters_by_scope);
    index->data_keys_by_id = sorted(keystore, index->data_key_count, compare_data_keys_by_id);
    index->data_keys_by_keyid = sorted(keystore, index->data_key_count, compare_data_keys_by_keyid);
    if (is_whole(index))
        return (0);

no_memory:
    keystore_index_drop(keystore);
    return (no_memory(status));
}

static uint32_t *
copied(const uint32_t *positions, size_t count)
{
    uint32_t *copy;

    if ((copy = calloc(count + 1, sizeof(*copy))) != NULL)
        memcpy(copy, positions, count * sizeof(*copy));
    return (copy);
}

int
keystore_index_copy(KEYSTORE *copy, const KEYSTORE *keystore, STATUS *status)
{
    const KEYSTORE_INDEX *from = keystore->index;
    KEYSTORE_INDEX *index;

    if (from == NULL || from->master_count != copy->master_count ||
        from->data_key_count != copy->data_key_count)
        return (keystore_index(copy, status));
    keystore_index_drop(copy);
    if ((index = calloc(1, sizeof(*index))) == NULL)
        goto no_memory;
    copy->index = index;
    index->master_count = from->master_count;
    index->data_key_count = from->data_key_count;
    index->masters_by_id = copied(from->masters_by_id, from->master_count);
    index->masters_by_scope = copied(from->masters_by_scope, from->master_count);
    index->data_keys_by_id = copied(from->data_keys_by_id, from->data_key_count);
    index->data_keys_by_keyid = copied(from->data_keys_by_keyid, from->data_key_count);
    if (is_whole(index))
        return (0);

no_memory:
    keystore_index_drop(copy);
    return (no_memory(status));
}

void
keystore_index_drop(KEYSTORE *keystore)
{
    KEYSTORE_INDEX *index = keystore->index;

    if (index == NULL)
        return;
    free(index->masters_by_id);
    free(index->masters_by_scope);
    free(index->data_keys_by_id);
    free(index->data_keys_by_keyid);
    free(index);
    keystore->index = NULL;
}

static size_t
indexed_masters(const KEYSTORE *keystore)
{
    return (keystore->index == NULL ? 0 : keystore->index->master_count);
}

static size_t
indexed_data_keys(const KEYSTORE *keystore)
{
    return (keystore->index == NULL ? 0 : keystore->index->data_key_count);
}

const KEYSTORE_MASTER *
keystore_master(const KEYSTORE *keystore, uint64_t id)
{
    size_t low = 0, high = indexed_masters(keystore), middle, i;
    const KEYSTORE_MASTER *master;

    while (low < high) {
        middle = low + (high - low) / 2;
        master = &keystore->masters[keystore->index->masters_by_id[middle]];
        if (master->id == id)
            return (master);
        if (master->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    for (i = indexed_masters(keystore); i < keystore->master_count; i++)
        if (keystore->masters[i].id == id)
            return (&keystore->masters[i]);
    return (NULL);
}

const KEYSTORE_MASTER *
keystore_active_master(const KEYSTORE *keystore, const char *scope)
{
    size_t count = indexed_masters(keystore), low = 0, high = count, middle, i;
    const KEYSTORE_MASTER *master;

    while (low < high) {
        middle = low + (high - low) / 2;
        if (strcmp(keystore->masters[keystore->index->masters_by_scope[middle]].scope, scope) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    /* An edit may have changed states since the index was made: look at all of the scope. */
    for (; low < count; low++) {
        master = &keystore->masters[keystore->index->masters_by_scope[low]];
        if (strcmp(master->scope, scope) != 0)
            break;
        if (master->state == KEYSTORE_ACTIVE)
            return (master);
    }
    for (i = count; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        if (master->state == KEYSTORE_ACTIVE && master->scope != NULL &&
            strcmp(master->scope, scope) == 0)
            return (master);
    }
    return (NULL);
}

const KEYSTORE_DATA_KEY *
keystore_data_key(const KEYSTORE *keystore, uint64_t id)
{
    size_t low = 0, high = indexed_data_keys(keystore), middle, i;
    const KEYSTORE_DATA_KEY *data_key;

    while (low < high) {
        middle = low + (high - low) / 2;
        data_key = &keystore->data_keys[keystore->index->data_keys_by_id[middle]];
        if (data_key->id == id)
            return (data_key);
        if (data_key->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    for (i = indexed_data_keys(keystore); i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].id == id)
            return (&keystore->data_keys[i]);
    return (NULL);
}

/* All data keys of a keyid; the better one by the caller's measure stays. */
static const KEYSTORE_DATA_KEY *
best_data_key(const KEYSTORE *keystore, const char *keyid,
  bool (*is_better)(const KEYSTORE_DATA_KEY *data_key, const KEYSTORE_DATA_KEY *best))
{
    size_t count = indexed_data_keys(keystore), low = 0, high = count, middle, i;
    const KEYSTORE_DATA_KEY *best = NULL, *data_key;

    while (low < high) {
        middle = low + (high - low) / 2;
        if (strcmp(keystore->data_keys[keystore->index->data_keys_by_keyid[middle]].keyid, keyid) <
            0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count; low++) {
        data_key = &keystore->data_keys[keystore->index->data_keys_by_keyid[low]];
        if (strcmp(data_key->keyid, keyid) != 0)
            break;
        if (is_better(data_key, best))
            best = data_key;
    }
    for (i = count; i < keystore->data_key_count; i++) {
        data_key = &keystore->data_keys[i];
        if (data_key->keyid != NULL && strcmp(data_key->keyid, keyid) == 0 &&
            is_better(data_key, best))
            best = data_key;
    }
    return (best);
}

static bool
is_active(const KEYSTORE_DATA_KEY *data_key, const KEYSTORE_DATA_KEY *best)
{
    return (data_key->state == KEYSTORE_ACTIVE && best == NULL);
}

static bool
is_later(const KEYSTORE_DATA_KEY *data_key, const KEYSTORE_DATA_KEY *best)
{
    return (best == NULL || data_key->version > best->version);
}

const KEYSTORE_DATA_KEY *
keystore_active_data_key(const KEYSTORE *keystore, const char *keyid)
{
    return (best_data_key(keystore, keyid, is_active));
}

const KEYSTORE_DATA_KEY *
keystore_latest_data_key(const KEYSTORE *keystore, const char *keyid)
{
    return (best_data_key(keystore, keyid, is_later));
}

const char *
keystore_scope_of(const KEYSTORE *keystore, const char *keyid)
{
    const KEYSTORE_MASTER *own = keystore_active_master(keystore, keyid);

    return (own == NULL ? "default" : own->scope);
}
