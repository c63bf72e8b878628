/*
 * keystore/keyring_view.c -- One verified state of a keystore. See keyring_private.h.
 */
#include "keystore/keyring_private.h"

#include "keystore/keystore_format.h"
#include "keystore/payload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WRAP_LABEL "wtkms/1/wrap"
#define SEAL_LABEL "wtkms/1/seal"

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keyring"));
}

static void
release_master(KEYRING_MASTER *master)
{
    secret_free(master->key);
    secret_free(master->wrap_key);
    secret_free(master->seal_key);
    free(master->provider);
    free(master->key_id);
    free(master->credential);
    memset(master, 0, sizeof(*master));
}

static int
compare_masters(const void *a, const void *b)
{
    const KEYRING_MASTER *x = a, *y = b;

    return (x->id < y->id ? -1 : x->id > y->id);
}

static int
compare_secrets(const void *a, const void *b)
{
    const KEYRING_SECRET *x = a, *y = b;

    return (x->id < y->id ? -1 : x->id > y->id);
}

KEYRING_MASTER *
keyring_view_master(const KEYRING_VIEW *view, uint64_t id)
{
    KEYRING_MASTER wanted = {.id = id};

    if (view->master_count == 0)
        return (NULL);
    return (
      bsearch(&wanted, view->masters, view->master_count, sizeof(*view->masters), compare_masters));
}

KEYRING_SECRET *
keyring_view_secret(const KEYRING_VIEW *view, uint64_t id)
{
    KEYRING_SECRET wanted = {.id = id};

    if (view->secret_count == 0)
        return (NULL);
    return (
      bsearch(&wanted, view->secrets, view->secret_count, sizeof(*view->secrets), compare_secrets));
}

/* --- master keys */

static bool
copy_text(char **copyp, const char *text)
{
    return (text == NULL || (*copyp = strdup(text)) != NULL);
}

/* Derive from a master key what it is for. The master's own fields are set on success only. */
static int
fill_master(KEYRING_MASTER *master, uint64_t id, const SECRET *key, const char *provider,
  const char *key_id, const char *credential, STATUS *status)
{
    KEYRING_MASTER filled = {.id = id};
    int ret;

    if ((ret = secret_new_copy(secret_bytes(key), secret_len(key), &filled.key, status)) != 0 ||
        (ret = mac_derive(key, WRAP_LABEL, XAES_KEY_LEN, &filled.wrap_key, status)) != 0 ||
        (ret = mac_derive(key, SEAL_LABEL, MAC_LEN, &filled.seal_key, status)) != 0)
        goto err;
    if (!copy_text(&filled.provider, provider) || !copy_text(&filled.key_id, key_id) ||
        !copy_text(&filled.credential, credential)) {
        ret = no_memory(status);
        goto err;
    }
    *master = filled;
    return (0);

err:
    release_master(&filled);
    return (ret);
}

int
keyring_view_add_master(KEYRING_VIEW *view, uint64_t id, const SECRET *key,
  const KEYSTORE_RECIPIENT *opener, STATUS *status)
{
    KEYRING_MASTER *masters;
    int ret;

    masters = reallocarray(view->masters, view->master_count + 1, sizeof(*masters));
    if (masters == NULL)
        return (no_memory(status));
    view->masters = masters;
    if ((ret = fill_master(&masters[view->master_count], id, key,
           opener == NULL ? NULL : opener->provider, opener == NULL ? NULL : opener->key_id,
           opener == NULL ? NULL : opener->credential, status)) != 0)
        return (ret);
    view->master_count++;
    qsort(masters, view->master_count, sizeof(*masters), compare_masters);
    return (0);
}

static int
check_commitment(const KEYSTORE_MASTER *master, const SECRET *key, STATUS *status)
{
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN];
    int ret;

    if ((ret = payload_commit(key, master->id, commitment, status)) != 0)
        return (ret);
    if (!mac_equal(commitment, master->commitment, sizeof(commitment)))
        return (status_set(status, STATUS_CORRUPT, "keystore-commitment",
          "master key %016" PRIx64 " of scope \"%s\" is not the key that was committed to",
          master->id, master->scope));
    return (0);
}

/* A master key that an earlier view has, or whose payload was handed in: no key service is asked. */
static int
take_master(KEYRING_VIEW *view, const KEYSTORE_MASTER *master, const KEYRING_SOURCES *sources,
  bool *takenp, STATUS *status)
{
    const KEYRING_MASTER *held;
    KEYRING_MASTER *place = &view->masters[view->master_count];
    SECRET *key;
    size_t i;
    int ret;

    *takenp = false;
    if (sources->view != NULL && (held = keyring_view_master(sources->view, master->id)) != NULL) {
        if ((ret = check_commitment(master, held->key, status)) != 0 ||
            (ret = fill_master(place, master->id, held->key, held->provider, held->key_id,
               held->credential, status)) != 0)
            return (ret);
        view->master_count++;
        *takenp = true;
        return (0);
    }
    for (i = 0; i < sources->payload_count; i++) {
        if (sources->payloads[i].master_key_id != master->id)
            continue;
        if ((ret = payload_open(sources->payloads[i].payload, view->keystore->uuid, master->id,
               master->scope, &key, status)) != 0)
            return (ret);
        if ((ret = check_commitment(master, key, status)) == 0 &&
            (ret = fill_master(place, master->id, key, NULL, NULL, NULL, status)) == 0) {
            view->master_count++;
            *takenp = true;
        }
        secret_free(key);
        return (ret);
    }
    if (sources->payloads != NULL)
        return (status_set(status, STATUS_NO_KEY, "keystore-payload",
          "no payload was given for master key %016" PRIx64 " of scope \"%s\"", master->id,
          master->scope));
    return (0);
}

static int
unlock_masters(const KEYRING *keyring, KEYRING_VIEW *view, KEYRING_JOB *jobs, size_t count,
  const KEYRING_SOURCES *sources, STATUS *status)
{
    const KEYSTORE_RECIPIENT *opener;
    size_t i;
    int ret;

    if ((ret = keyring_unlock(
           keyring, view->keystore, jobs, count, sources->retry_for_ms, status)) != 0)
        return (ret);
    for (i = 0; i < count; i++) {
        opener = &jobs[i].master->recipients[jobs[i].recipient];
        if ((ret = check_commitment(jobs[i].master, jobs[i].key, status)) != 0 ||
            (ret = fill_master(&view->masters[view->master_count], jobs[i].master->id, jobs[i].key,
               opener->provider, opener->key_id, opener->credential, status)) != 0)
            return (ret);
        view->master_count++;
    }
    return (0);
}

static int
open_masters(
  const KEYRING *keyring, KEYRING_VIEW *view, const KEYRING_SOURCES *sources, STATUS *status)
{
    const KEYSTORE *keystore = view->keystore;
    KEYRING_JOB *jobs = NULL;
    size_t i, count = 0;
    bool taken;
    int ret = 0;

    view->masters = calloc(keystore->master_count, sizeof(*view->masters));
    jobs = calloc(keystore->master_count, sizeof(*jobs));
    if (view->masters == NULL || jobs == NULL) {
        ret = no_memory(status);
        goto err;
    }
    for (i = 0; i < keystore->master_count; i++) {
        if (keystore->masters[i].state != KEYSTORE_ACTIVE)
            continue;
        if ((ret = take_master(view, &keystore->masters[i], sources, &taken, status)) != 0)
            goto err;
        if (!taken)
            jobs[count++].master = &keystore->masters[i];
    }
    if (count > 0)
        ret = unlock_masters(keyring, view, jobs, count, sources, status);
    qsort(view->masters, view->master_count, sizeof(*view->masters), compare_masters);

err:
    for (i = 0; i < count; i++)
        secret_free(jobs[i].key);
    free(jobs);
    return (ret);
}

/* --- the whole */

static int
collect_seal_keys(const KEYRING_VIEW *view, const KEYSTORE *keystore, KEYSTORE_SEAL_KEY **keysp,
  size_t *countp, STATUS *status)
{
    const KEYRING_MASTER *master;
    KEYSTORE_SEAL_KEY *keys;
    size_t i, count = 0;

    *keysp = NULL;
    if ((keys = calloc(keystore->master_count + 1, sizeof(*keys))) == NULL)
        return (no_memory(status));
    for (i = 0; i < keystore->master_count; i++) {
        if (keystore->masters[i].state != KEYSTORE_ACTIVE)
            continue;
        if ((master = keyring_view_master(view, keystore->masters[i].id)) == NULL) {
            free(keys);
            return (status_set(status, STATUS_INTERNAL, "keyring-master",
              "master key %016" PRIx64 " is not at hand", keystore->masters[i].id));
        }
        keys[count].scope = keystore->masters[i].scope;
        keys[count++].seal_key = master->seal_key;
    }
    *keysp = keys;
    *countp = count;
    return (0);
}

static int
check_seal(const KEYRING_VIEW *view, const uint8_t *data, size_t len, STATUS *status)
{
    KEYSTORE_SEAL_KEY *keys;
    size_t count;
    int ret;

    if ((ret = collect_seal_keys(view, view->keystore, &keys, &count, status)) != 0)
        return (ret);
    ret = keystore_check_seal(data, len, view->keystore, keys, count, status);
    free(keys);
    return (ret);
}

int
keyring_view_new(const KEYRING *keyring, KEYSTORE *keystore, const uint8_t *data, size_t len,
  const KEYRING_SOURCES *sources, KEYRING_VIEW **viewp, STATUS *status)
{
    KEYRING_VIEW *view;
    int ret;

    *viewp = NULL;
    if ((view = calloc(1, sizeof(*view))) == NULL) {
        keystore_free(keystore);
        return (no_memory(status));
    }
    view->keystore = keystore;
    if ((ret = open_masters(keyring, view, sources, status)) != 0 ||
        (ret = keyring_open_data_keys(view, sources->view, check_seal, data, len, status)) != 0)
        goto err;
    *viewp = view;
    return (0);

err:
    keyring_view_free(view);
    return (ret);
}

int
keyring_view_copy(const KEYRING_VIEW *view, KEYRING_VIEW **copyp, STATUS *status)
{
    const KEYRING_MASTER *master;
    KEYRING_VIEW *copy;
    size_t i;
    int ret;

    *copyp = NULL;
    if ((copy = calloc(1, sizeof(*copy))) == NULL)
        return (no_memory(status));
    copy->masters = calloc(view->master_count + 1, sizeof(*copy->masters));
    copy->secrets = calloc(view->secret_count + 1, sizeof(*copy->secrets));
    if (copy->masters == NULL || copy->secrets == NULL) {
        ret = no_memory(status);
        goto err;
    }
    if ((ret = keystore_copy(view->keystore, &copy->keystore, status)) != 0)
        goto err;
    for (i = 0; i < view->master_count; i++, copy->master_count++) {
        master = &view->masters[i];
        if ((ret = fill_master(&copy->masters[i], master->id, master->key, master->provider,
               master->key_id, master->credential, status)) != 0)
            goto err;
    }
    for (i = 0; i < view->secret_count; i++) {
        copy->secrets[i] = view->secrets[i];
        copy->secrets[i].is_borrowed = true;
    }
    copy->secret_count = view->secret_count;
    *copyp = copy;
    return (0);

err:
    keyring_view_free(copy);
    return (ret);
}

void
keyring_view_free(KEYRING_VIEW *view)
{
    size_t i;

    if (view == NULL)
        return;
    for (i = 0; i < view->master_count; i++)
        release_master(&view->masters[i]);
    for (i = 0; i < view->secret_count; i++)
        if (!view->secrets[i].is_borrowed)
            secret_free(view->secrets[i].secret);
    free(view->masters);
    free(view->secrets);
    payload_wrapper_free(view->wrapper);
    keystore_free(view->keystore);
    free(view);
}

int
keyring_view_encode(const KEYRING_VIEW *view, const KEYSTORE *keystore,
  KEYSTORE_SEAL_KEY **seal_keysp, KEYSTORE_IMAGE *image, STATUS *status)
{
    uint8_t *data;
    int ret;

    memset(image, 0, sizeof(*image));
    if ((ret = collect_seal_keys(view, keystore, seal_keysp, &image->seal_key_count, status)) != 0)
        return (ret);
    if ((ret = keystore_encode(
           keystore, *seal_keysp, image->seal_key_count, &data, &image->len, status)) != 0) {
        free(*seal_keysp);
        *seal_keysp = NULL;
        return (ret);
    }
    image->keystore = keystore;
    image->seal_keys = *seal_keysp;
    image->data = data;
    return (0);
}

void
keyring_image_release(KEYSTORE_IMAGE *image, KEYSTORE_SEAL_KEY *seal_keys)
{
    uint8_t *data = (uint8_t *)(uintptr_t)image->data;

    free(data);
    free(seal_keys);
}
