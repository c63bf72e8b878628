/*
 * keystore/keystore_check.c -- The rules between a keystore's elements. See keystore_format.h.
 *
 * They hold for what was read and are asked again before anything is written, so that no edit can
 * make a file that the reader would refuse.
 */
#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"

#include <inttypes.h>
#include <string.h>

static int
check_master(const KEYSTORE *keystore, const KEYSTORE_MASTER *master, STATUS *status)
{
    /* What is wrapped by anything but the active master key would be lost with the next rotation. */
    if (master->state == KEYSTORE_READABLE)
        return (status_set(status, STATUS_CORRUPT, "keystore-master-state",
          "master key %016" PRIx64 " is neither active nor retired", master->id));
    if (master->recipient_count == 0)
        return (status_set(status, STATUS_CORRUPT, "keystore-recipients",
          "master key %016" PRIx64 " of scope \"%s\" has no recipient", master->id, master->scope));
    if (keystore->partial && strcmp(master->scope, KEYSTORE_DEFAULT_SCOPE) != 0)
        return (status_set(status, STATUS_CORRUPT, "keystore-partial-scope",
          "a partial keystore has scope \"%s\" beside the default one", master->scope));
    return (0);
}

static int
check_masters(const KEYSTORE *keystore, STATUS *status)
{
    const KEYSTORE_INDEX *index = keystore->index;
    const KEYSTORE_MASTER *master, *last = NULL;
    size_t i, active = 0;
    int ret;

    for (i = 0; i < keystore->master_count; i++) {
        if ((ret = check_master(keystore, &keystore->masters[i], status)) != 0)
            return (ret);
        master = &keystore->masters[index->masters_by_id[i]];
        if (last != NULL && master->id == last->id)
            return (status_set(status, STATUS_CORRUPT, "keystore-duplicate",
              "two master keys have the id %016" PRIx64, master->id));
        last = master;
    }
    for (i = 0, last = NULL; i < keystore->master_count; i++, last = master) {
        master = &keystore->masters[index->masters_by_scope[i]];
        if (last == NULL || strcmp(master->scope, last->scope) != 0)
            active = 0;
        active += master->state == KEYSTORE_ACTIVE;
        /* The active ones of a scope are sorted before the others: the first must be, no other. */
        if (active != 1)
            return (status_set(status, STATUS_CORRUPT, "keystore-active-master",
              "scope \"%s\" has %s active master key", master->scope,
              active == 0 ? "no" : "more than one"));
    }
    if (keystore_active_master(keystore, KEYSTORE_DEFAULT_SCOPE) == NULL)
        return (status_set(status, STATUS_CORRUPT, "keystore-active-master",
          "the default scope has no active master key"));
    return (0);
}

/* The master key of a data key: there, active, and of the scope that the keyid has. */
static int
check_wrapping(const KEYSTORE *keystore, const KEYSTORE_DATA_KEY *data_key, STATUS *status)
{
    const KEYSTORE_MASTER *master = keystore_master(keystore, data_key->master_key_id);

    if (master == NULL || master->state != KEYSTORE_ACTIVE)
        return (status_set(status, STATUS_CORRUPT, "keystore-wrapping",
          "data key %016" PRIx64 " is wrapped by master key %016" PRIx64 ", which is %s",
          data_key->id, data_key->master_key_id, master == NULL ? "not there" : "not active"));
    if (strcmp(master->scope, keystore_scope_of(keystore, data_key->keyid)) != 0)
        return (status_set(status, STATUS_CORRUPT, "keystore-wrapping",
          "data key %016" PRIx64 " of keyid \"%s\" is wrapped in scope \"%s\"", data_key->id,
          data_key->keyid, master->scope));
    return (0);
}

static int
check_data_keys(const KEYSTORE *keystore, STATUS *status)
{
    const KEYSTORE_INDEX *index = keystore->index;
    const KEYSTORE_DATA_KEY *data_key, *last = NULL;
    size_t i;
    bool active = false;
    int ret;

    for (i = 0; i < keystore->data_key_count; i++, last = data_key) {
        data_key = &keystore->data_keys[index->data_keys_by_id[i]];
        if (last != NULL && data_key->id == last->id)
            return (status_set(status, STATUS_CORRUPT, "keystore-duplicate",
              "two data keys have the id %016" PRIx64, data_key->id));
        if ((ret = check_wrapping(keystore, data_key, status)) != 0)
            return (ret);
    }
    for (i = 0, last = NULL; i < keystore->data_key_count; i++, last = data_key) {
        data_key = &keystore->data_keys[index->data_keys_by_keyid[i]];
        if (last == NULL || strcmp(last->keyid, data_key->keyid) != 0)
            active = false;
        else if (last->version == data_key->version)
            return (status_set(status, STATUS_CORRUPT, "keystore-duplicate",
              "two data keys of keyid \"%s\" have version %" PRIu32, data_key->keyid,
              data_key->version));
        if (data_key->state != KEYSTORE_ACTIVE)
            continue;
        if (active)
            return (status_set(status, STATUS_CORRUPT, "keystore-active-data-key",
              "keyid \"%s\" has more than one active data key", data_key->keyid));
        active = true;
    }
    return (0);
}

int
keystore_check(KEYSTORE *keystore, STATUS *status)
{
    size_t i;
    int ret;

    if ((ret = keystore_index(keystore, status)) != 0 ||
        (ret = check_masters(keystore, status)) != 0 ||
        (ret = check_data_keys(keystore, status)) != 0)
        return (ret);
    for (i = 0; i < keystore->event_count; i++)
        if (keystore->events[i].generation > keystore->generation)
            return (status_set(status, STATUS_CORRUPT, "keystore-history",
              "the history has an event of generation %" PRId64 ", the keystore is at %" PRId64,
              keystore->events[i].generation, keystore->generation));
    return (0);
}
