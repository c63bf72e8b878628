/*
 * rotation/prune.c -- Unused data keys retired. See prune.h.
 */
#include "rotation/prune.h"

#include <stdlib.h>
#include <string.h>

void
prune_release(PRUNE *prune)
{
    size_t i;

    for (i = 0; i < prune->count; i++)
        free(prune->keys[i].keyid);
    free(prune->keys);
    memset(prune, 0, sizeof(*prune));
}

static int
add(PRUNE *prune, const KEYSTORE_DATA_KEY *data_key, STATUS *status)
{
    PRUNE_KEY *key = &prune->keys[prune->count];

    if ((key->keyid = strdup(data_key->keyid)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a prune"));
    key->id = data_key->id;
    key->version = data_key->version;
    key->created = data_key->created;
    prune->count++;
    return (0);
}

int
prune_begin(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options, PRUNE *prune,
  STATUS *status)
{
    const KEYSTORE *keystore;
    KEYRING *keyring;
    size_t i;
    int ret;

    memset(prune, 0, sizeof(*prune));
    if ((ret = rotate_open(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    keystore = keyring_hold_keystore(keyring);
    memcpy(prune->uuid, keystore->uuid, sizeof(prune->uuid));
    prune->generation = keystore->generation;
    for (i = 0; i < keystore->master_count; i++)
        prune->retired_masters += keystore->masters[i].state == KEYSTORE_RETIRED;
    if ((prune->keys = calloc(keystore->data_key_count + 1, sizeof(*prune->keys))) == NULL)
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a prune");
    for (i = 0; ret == 0 && i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].state == KEYSTORE_READABLE)
            ret = add(prune, &keystore->data_keys[i], status);
        else
            prune->retired += keystore->data_keys[i].state == KEYSTORE_RETIRED;
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    return (ret);
}

static PRUNE_KEY *
find(PRUNE *prune, uint64_t id)
{
    size_t i;

    for (i = 0; i < prune->count; i++)
        if (prune->keys[i].id == id)
            return (&prune->keys[i]);
    return (NULL);
}

void
prune_found(PRUNE *prune, uint64_t id, uint64_t units)
{
    PRUNE_KEY *key = find(prune, id);

    if (key != NULL)
        key->units += units;
}

static int
edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    PRUNE *prune = context;
    KEYSTORE_DATA_KEY *data_key;
    const PRUNE_KEY *key;
    size_t i;

    (void)keyring;
    if (memcmp(prune->uuid, keystore->uuid, sizeof(prune->uuid)) != 0)
        return (status_set(status, STATUS_REFUSED, "prune-changed",
          "the keystore was replaced by another one meanwhile"));
    for (i = 0; i < keystore->data_key_count; i++) {
        data_key = &keystore->data_keys[i];
        if (data_key->state == KEYSTORE_READABLE && (key = find(prune, data_key->id)) != NULL &&
            key->units == 0)
            data_key->state = KEYSTORE_RETIRED;
    }
    return (0);
}

int
prune_retire(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options, PRUNE *prune,
  STATUS *status)
{
    KEYRING *keyring;
    size_t i, unused = prune->retired + prune->retired_masters;
    int ret;

    for (i = 0; i < prune->count; i++)
        unused += prune->keys[i].units == 0;
    if (unused == 0 || options->plan)
        return (0);
    if ((ret = rotate_open(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    if ((ret = keyring_update(keyring, "key prune", options->reason, edit, prune, status)) == 0) {
        prune->written = true;
        prune->generation = keyring_generation(keyring);
    }
    keyring_close(keyring);
    return (ret);
}
