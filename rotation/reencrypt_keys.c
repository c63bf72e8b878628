/*
 * rotation/reencrypt_keys.c -- See reencrypt_keys.h.
 */
#include "rotation/reencrypt_keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int
no_memory(STATUS *status)
{
    return (status_set_errno(status, ENOMEM, "no-memory", "cannot hold the list of data keys"));
}

static int
add(REENCRYPT_KEYS *keys, uint64_t id, REENCRYPT_KEY **keyp, STATUS *status)
{
    REENCRYPT_KEY **grown, *key;
    SECRET *secret = NULL;
    int ret;

    grown = reallocarray(keys->keys, keys->count + 1, sizeof(*grown));
    if (grown == NULL)
        return (no_memory(status));
    keys->keys = grown;
    if ((key = calloc(1, sizeof(*key))) == NULL)
        return (no_memory(status));
    keys->keys[keys->count++] = key;
    key->id = id;
    ret = keyring_data_key(keys->keyring, id, &secret, key->keyid, status);
    if (ret == 0)
        ret = unit_key_new(id, secret, &key->key, status);
    secret_free(secret);
    if (ret != 0 && ret != STATUS_NO_KEY)
        return (ret);
    if (key->key != NULL)
        key->active_id = keyring_active_data_key(keys->keyring, key->keyid);
    *keyp = key;
    return (0);
}

static REENCRYPT_KEY *
look_up(const REENCRYPT_KEYS *keys, uint64_t id)
{
    size_t i;

    for (i = 0; i < keys->count; i++)
        if (keys->keys[i]->id == id)
            return (keys->keys[i]);
    return (NULL);
}

int
reencrypt_keys_find(REENCRYPT_KEYS *keys, uint64_t id, REENCRYPT_KEY **keyp, STATUS *status)
{
    REENCRYPT_KEY *active, *key;
    int ret;

    *keyp = NULL;
    if ((key = keys->last) == NULL || key->id != id) {
        if ((key = look_up(keys, id)) == NULL && (ret = add(keys, id, &key, status)) != 0)
            return (ret);
        keys->last = key;
    }
    if (key->key != NULL && key->active_id != 0 && key->active_id != id && key->cipher == NULL) {
        if ((active = look_up(keys, key->active_id)) == NULL &&
            (ret = add(keys, key->active_id, &active, status)) != 0)
            return (ret);
        if (active->key == NULL)
            key->active_id = 0;
        else if (active->cipher == NULL &&
                 (ret = unit_cipher_new(active->key, &active->cipher, status)) != 0)
            return (ret);
        key->cipher = active->cipher;
    }
    *keyp = key;
    return (0);
}

void
reencrypt_keys_release(REENCRYPT_KEYS *keys)
{
    size_t i;

    for (i = 0; i < keys->count; i++)
        if (keys->keys[i]->active_id == keys->keys[i]->id)
            unit_cipher_free(keys->keys[i]->cipher);
    for (i = 0; i < keys->count; i++) {
        unit_key_free(keys->keys[i]->key);
        free(keys->keys[i]);
    }
    free(keys->keys);
    keys->keys = NULL;
    keys->last = NULL;
    keys->count = 0;
}
