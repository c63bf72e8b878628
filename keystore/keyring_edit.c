/*
 * keystore/keyring_edit.c -- What an edit of a keystore does: data keys and master keys. See keyring.h.
 *
 * All of it is called inside keyring_change, on keyring->edited.
 */
#include "keystore/keyring_private.h"

#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/payload.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

/* The wrapper of the edit. It goes with the edited view, so no wrapping key outlives the edit. */
static int
use_wrapper(KEYRING *keyring, PAYLOAD_WRAPPER **wrapperp, STATUS *status)
{
    KEYRING_VIEW *edited = keyring->edited;
    int ret = 0;

    if (edited->wrapper == NULL)
        ret = payload_wrapper_new(&edited->wrapper, status);
    *wrapperp = edited->wrapper;
    return (ret);
}

static int
wrap(KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  bool is_committed, STATUS *status)
{
    const char *scope = keystore_scope_of(keystore, data_key->keyid);
    const KEYSTORE_MASTER *master = keystore_active_master(keystore, scope);
    const KEYRING_MASTER *held =
      master == NULL ? NULL : keyring_view_master(keyring->edited, master->id);
    KEYRING_SECRET *cached;
    PAYLOAD_WRAPPER *wrapper;
    int ret;

    if (held == NULL)
        return (status_set(status, STATUS_INTERNAL, "keyring-master",
          "the master key of scope \"%s\" is not at hand", scope));
    if ((ret = use_wrapper(keyring, &wrapper, status)) != 0)
        return (ret);
    if ((cached = keyring_view_secret(keyring->edited, data_key->id)) != NULL)
        cached->is_rewrapped = true;
    data_key->master_key_id = master->id;
    return (
      is_committed
        ? payload_rewrap_data_key(wrapper, held->wrap_key, keystore->uuid, data_key, secret, status)
        : payload_wrap_data_key(wrapper, held->wrap_key, keystore->uuid, data_key, secret, status));
}

int
keyring_wrap_data_key(KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE_DATA_KEY *data_key,
  const SECRET *secret, STATUS *status)
{
    return (wrap(keyring, keystore, data_key, secret, false, status));
}

/*
 * Wrap a data key again, of the edited view or one that the edit added. That the secret is the one
 * committed to was checked when it was unwrapped, unless the edit has wrapped this data key before.
 */
static int
wrap_again(KEYRING *keyring, const KEYSTORE *keystore, const KEYRING_MASTER *old,
  KEYSTORE_DATA_KEY *data_key, STATUS *status)
{
    const KEYRING_SECRET *held = keyring_view_secret(keyring->edited, data_key->id);
    PAYLOAD_WRAPPER *wrapper;
    SECRET *added = NULL;
    int ret;

    if (held != NULL)
        return (wrap(keyring, keystore, data_key, held->secret, !held->is_rewrapped, status));
    if ((ret = use_wrapper(keyring, &wrapper, status)) != 0 ||
        (ret = payload_unwrap_data_key(
           wrapper, old->wrap_key, keystore->uuid, data_key, NULL, &added, status)) != 0)
        return (ret);
    ret = wrap(keyring, keystore, data_key, added, true, status);
    secret_free(added);
    return (ret);
}

/* Wrap all data keys of a scope again, under its new active master key. */
static int
wrap_scope_again(KEYRING *keyring, KEYSTORE *keystore, uint64_t old_id, STATUS *status)
{
    const KEYRING_MASTER *old = keyring_view_master(keyring->edited, old_id);
    size_t i;
    int ret = 0;

    for (i = 0; ret == 0 && i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].master_key_id == old_id)
            ret = wrap_again(keyring, keystore, old, &keystore->data_keys[i], status);
    return (ret);
}

int
keyring_new_master(KEYRING *keyring, KEYSTORE *keystore, const char *scope, int timeout_ms,
  int64_t retry_for_ms, STATUS *status)
{
    const KEYSTORE_MASTER *old = keystore_active_master(keystore, scope);
    size_t old_place = old == NULL ? SIZE_MAX : (size_t)(old - keystore->masters), opener;
    KEYSTORE_MASTER *master;
    SECRET *key = NULL;
    int ret;

    if ((ret = keystore_add_master(keystore, &master, status)) != 0)
        return (ret);
    master->state = KEYSTORE_RETIRED; /* until it is whole */
    master->created = keystore_now();
    if ((master->scope = strdup(scope)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a master key"));
    if ((ret = random_id(&master->id, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_MASTER_KEY_LEN, &key, status)) != 0 ||
        (ret = payload_commit(key, master->id, master->commitment, status)) != 0 ||
        (ret = keyring_wrap_master(keyring, keyring->settings, keystore, master, key, timeout_ms,
           retry_for_ms, &opener, status)) != 0 ||
        (ret = keyring_view_add_master(
           keyring->edited, master->id, key, &master->recipients[opener], status)) != 0)
        goto err;
    master->state = KEYSTORE_ACTIVE;
    if (old_place != SIZE_MAX) {
        keystore->masters[old_place].state = KEYSTORE_RETIRED;
        ret = wrap_scope_again(keyring, keystore, keystore->masters[old_place].id, status);
    }

err:
    secret_free(key);
    return (ret);
}

int
keyring_rewrap_master_for(KEYRING *keyring, const SETTINGS *settings, KEYSTORE *keystore,
  const char *scope, int timeout_ms, int64_t retry_for_ms, STATUS *status)
{
    const KEYSTORE_MASTER *active = keystore_active_master(keystore, scope);
    const KEYRING_MASTER *held =
      active == NULL ? NULL : keyring_view_master(keyring->edited, active->id);
    size_t opener;

    if (held == NULL)
        return (status_set(
          status, STATUS_NO_KEY, "keyring-master", "the keystore has no scope \"%s\"", scope));
    return (keyring_wrap_master(keyring, settings, keystore,
      &keystore->masters[active - keystore->masters], held->key, timeout_ms, retry_for_ms, &opener,
      status));
}

int
keyring_rewrap_master(KEYRING *keyring, KEYSTORE *keystore, const char *scope, int timeout_ms,
  int64_t retry_for_ms, STATUS *status)
{
    return (keyring_rewrap_master_for(
      keyring, keyring->settings, keystore, scope, timeout_ms, retry_for_ms, status));
}

/* --- a data key for a keyid */

typedef struct {
    const char *keyid;
    bool created;
} ENSURE;

/*
 * Make the scope of a keyid that has one in the configuration, but not while its data keys are in the
 * default scope: the keystore decides for keyids that it knows, and never mixes.
 */
static int
ensure_scope(KEYRING *keyring, KEYSTORE *keystore, const char *keyid, STATUS *status)
{
    const SETTINGS_SCOPE *scope = settings_scope_of(keyring->settings, keyid);
    int timeout_ms = keyring->options.kms_timeout_ms;

    if (strcmp(scope->name, keyid) != 0 || keystore_active_master(keystore, keyid) != NULL)
        return (0);
    if (keystore_latest_data_key(keystore, keyid) != NULL) {
        log_printf(keyring->options.log, LOG_WARNING,
          "keyid \"%s\" has a customer key of its own in the configuration, but its data keys are "
          "in the default scope of the keystore, and so is its new one",
          keyid);
        return (0);
    }
    if (timeout_ms == 0 || timeout_ms > KEYRING_SHORT_TRY_MS)
        timeout_ms = KEYRING_SHORT_TRY_MS;
    return (keyring_new_master(keyring, keystore, keyid, timeout_ms, 0, status));
}

static int
ensure_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, bool *unchangedp, STATUS *status)
{
    ENSURE *ensure = context;
    const KEYSTORE_DATA_KEY *latest;
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret = NULL;
    uint32_t version;
    int ret;

    if (keystore_active_data_key(keystore, ensure->keyid) != NULL) {
        *unchangedp = true;
        return (0);
    }
    /* Before the retired ones go: a version is not given out again at once. */
    latest = keystore_latest_data_key(keystore, ensure->keyid);
    version = latest == NULL ? 1 : latest->version + 1;
    if ((ret = keyring_drop_retired(keystore, status)) != 0 ||
        (ret = ensure_scope(keyring, keystore, ensure->keyid, status)) != 0 ||
        (ret = keystore_add_data_key(keystore, &data_key, status)) != 0)
        return (ret);
    data_key->version = version;
    data_key->created = keystore_now();
    if ((data_key->keyid = strdup(ensure->keyid)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a data key"));
    if ((ret = random_id(&data_key->id, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
        return (ret);
    ret = keyring_wrap_data_key(keyring, keystore, data_key, secret, status);
    secret_free(secret);
    ensure->created = true;
    return (ret);
}

int
keyring_ensure_data_key(
  KEYRING *keyring, const char *keyid, uint64_t *idp, bool *createdp, STATUS *status)
{
    ENSURE ensure = {.keyid = keyid};
    size_t len = strlen(keyid);
    int ret;

    *createdp = false;
    if ((*idp = keyring_active_data_key(keyring, keyid)) != 0)
        return (0);
    if (len == 0 || len > KEYSTORE_KEYID_MAX || !bson_utf8_validate(keyid, len, false))
        return (status_set(status, STATUS_CONFIG, "keyid",
          "a keyid is UTF-8 text of 1 to %d bytes: \"%.64s\"", KEYSTORE_KEYID_MAX, keyid));
    (void)pthread_mutex_lock(&keyring->io_lock);
    ret = keyring_change(keyring, "add data key", keyid, ensure_edit, &ensure, status);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    if (ret != 0)
        return (status_add(status, "for a data key of keyid \"%s\"", keyid));
    *idp = keyring_active_data_key(keyring, keyid);
    *createdp = ensure.created;
    return (0);
}
