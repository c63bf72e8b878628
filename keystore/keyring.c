/*
 * keystore/keyring.c -- Opening, making and asking a keyring. See keyring.h.
 */
#include "keystore/keyring_private.h"

#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- views */

KEYRING_VIEW *
keyring_hold(KEYRING *keyring)
{
    KEYRING_VIEW *view;

    (void)pthread_mutex_lock(&keyring->lock);
    if ((view = keyring->views) != NULL)
        view->refs++;
    (void)pthread_mutex_unlock(&keyring->lock);
    return (view);
}

void
keyring_release(KEYRING *keyring, KEYRING_VIEW *view)
{
    KEYRING_VIEW **link;
    bool last;

    (void)pthread_mutex_lock(&keyring->lock);
    if ((last = --view->refs == 0)) {
        for (link = &keyring->views; *link != view; link = &(*link)->next)
            ;
        *link = view->next;
    }
    (void)pthread_mutex_unlock(&keyring->lock);
    if (last)
        keyring_view_free(view);
}

void
keyring_set_view(KEYRING *keyring, KEYRING_VIEW *view, KEYRING_SOURCE source)
{
    KEYRING_VIEW *old;

    (void)pthread_mutex_lock(&keyring->lock);
    old = keyring->views;
    view->refs = 1; /* the keyring's own, of the current view */
    view->next = old;
    keyring->views = view;
    atomic_store(&keyring->source, (int)source);
    (void)pthread_mutex_unlock(&keyring->lock);
    if (old != NULL)
        keyring_release(keyring, old);
}

const KEYSTORE *
keyring_hold_keystore(KEYRING *keyring)
{
    return (keyring_hold(keyring)->keystore);
}

void
keyring_release_keystore(KEYRING *keyring, const KEYSTORE *keystore)
{
    KEYRING_VIEW *view;

    (void)pthread_mutex_lock(&keyring->lock);
    for (view = keyring->views; view->keystore != keystore; view = view->next)
        ;
    (void)pthread_mutex_unlock(&keyring->lock);
    keyring_release(keyring, view);
}

/* --- lookups */

KEYRING_SOURCE
keyring_source(const KEYRING *keyring)
{
    return ((KEYRING_SOURCE)atomic_load(&keyring->source));
}

int64_t
keyring_generation(KEYRING *keyring)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    int64_t generation = view->keystore->generation;

    keyring_release(keyring, view);
    return (generation);
}

int
keyring_data_key(KEYRING *keyring, uint64_t id, SECRET **secretp, char *keyid, STATUS *status)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    const KEYRING_SECRET *secret = keyring_view_secret(view, id);
    int ret;

    *secretp = NULL;
    if (secret == NULL)
        ret = status_set(status, STATUS_NO_KEY, "keystore-no-data-key",
          "the keystore (generation %" PRId64 ") has no data key %016" PRIx64 "%s",
          view->keystore->generation, id,
          keystore_data_key(view->keystore, id) == NULL ? "" : " any more: it is retired");
    else if ((ret = secret_new_copy(
                secret_bytes(secret->secret), secret_len(secret->secret), secretp, status)) == 0 &&
             keyid != NULL)
        (void)snprintf(
          keyid, KEYSTORE_KEYID_MAX + 1, "%s", keystore_data_key(view->keystore, id)->keyid);
    keyring_release(keyring, view);
    return (ret);
}

uint64_t
keyring_active_data_key(KEYRING *keyring, const char *keyid)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    const KEYSTORE_DATA_KEY *data_key = keystore_active_data_key(view->keystore, keyid);
    uint64_t id = data_key == NULL ? 0 : data_key->id;

    keyring_release(keyring, view);
    return (id);
}

bool
keyring_opened_by(
  KEYRING *keyring, const char *scope, char *provider, char *key_id, char *credential, size_t size)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    const KEYSTORE_MASTER *master = keystore_active_master(view->keystore, scope);
    const KEYRING_MASTER *held = master == NULL ? NULL : keyring_view_master(view, master->id);

    if (held != NULL && size > 0) {
        (void)snprintf(provider, size, "%s", held->provider == NULL ? "" : held->provider);
        (void)snprintf(key_id, size, "%s", held->key_id == NULL ? "" : held->key_id);
        (void)snprintf(credential, size, "%s", held->credential == NULL ? "" : held->credential);
    }
    keyring_release(keyring, view);
    return (held != NULL);
}

/* --- making and freeing the keyring itself */

static int
new_keyring(int home_fd, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  KEYRING **keyringp, STATUS *status)
{
    KEYRING *keyring;
    int ret;

    *keyringp = NULL;
    if ((keyring = calloc(1, sizeof(*keyring))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keyring"));
    (void)pthread_mutex_init(&keyring->io_lock, NULL);
    (void)pthread_mutex_init(&keyring->lock, NULL);
    keyring->settings = settings;
    keyring->options = *options;
    if (options->log != NULL) {
        keyring->log = *options->log;
        keyring->options.log = &keyring->log;
    }
    if ((keyring->home_fd = fcntl(home_fd, F_DUPFD_CLOEXEC, 0)) == -1) {
        ret =
          status_set_errno(status, errno, "keyring-home", "cannot keep the home's directory open");
        goto err;
    }
    if ((ret = keystore_file_open(home_fd, settings, &keyring->file, status)) != 0)
        goto err;
    *keyringp = keyring;
    return (0);

err:
    keyring_close(keyring);
    return (ret);
}

void
keyring_close(KEYRING *keyring)
{
    KEYRING_VIEW *view, *next;

    if (keyring == NULL)
        return;
    for (view = keyring->views; view != NULL; view = next) {
        next = view->next;
        keyring_view_free(view);
    }
    keyring_view_free(keyring->edited);
    keystore_file_close(keyring->file);
    if (keyring->home_fd != -1)
        (void)close(keyring->home_fd);
    (void)pthread_mutex_destroy(&keyring->io_lock);
    (void)pthread_mutex_destroy(&keyring->lock);
    free(keyring);
}

/* --- finding and opening */

/* The bytes of the home's keystore: its file, else the mirror. */
static int
locate(int home_fd, KEYSTORE_FILE *file, bool *foundp, KEYRING_SOURCE *sourcep, uint8_t **datap,
  size_t *lenp, KEYSTORE_STAMP *stamp, STATUS *status)
{
    bool partial;
    int ret;

    *sourcep = KEYRING_FROM_FILE;
    if ((ret = keystore_file_read(file, foundp, datap, lenp, stamp, status)) != 0 || *foundp)
        return (ret);
    *sourcep = KEYRING_FROM_MIRROR;
    return (keystore_file_read_mirror(home_fd, foundp, &partial, datap, lenp, status));
}

int
keyring_locate(int home_fd, const SETTINGS *settings, bool *foundp, KEYRING_SOURCE *sourcep,
  KEYSTORE **keystorep, uint8_t **datap, size_t *lenp, STATUS *status)
{
    KEYSTORE_FILE *file;
    uint8_t *data = NULL;
    size_t len = 0;
    int ret;

    *foundp = false;
    *keystorep = NULL;
    if (datap != NULL)
        *datap = NULL;
    if ((ret = keystore_file_open(home_fd, settings, &file, status)) != 0)
        return (ret);
    if ((ret = locate(home_fd, file, foundp, sourcep, &data, &len, NULL, status)) == 0 && *foundp &&
        (ret = keystore_decode(data, len, keystorep, status)) != 0)
        (void)status_add(status, "in %s",
          *sourcep == KEYRING_FROM_FILE ? keystore_file_path(file)
                                        : "the mirror, WiredTiger.config");
    if (ret != 0)
        *foundp = false;
    if (ret == 0 && datap != NULL) {
        *datap = data;
        *lenp = len;
        data = NULL;
    }
    free(data);
    keystore_file_close(file);
    return (ret);
}

/* What the configuration says that the keystore must be. Asked before any key service is. */
static int
check_pin(const SETTINGS *settings, const KEYSTORE *keystore, STATUS *status)
{
    uint8_t expected[KEYSTORE_UUID_LEN];
    char text[KEYSTORE_UUID_TEXT];
    int ret;

    if (settings->expect.keystore != NULL) {
        if ((ret = keystore_uuid_parse(settings->expect.keystore, expected, status)) != 0)
            return (ret);
        if (memcmp(expected, keystore->uuid, sizeof(expected)) != 0) {
            keystore_uuid_text(keystore->uuid, text);
            return (status_set(status, STATUS_CORRUPT, "keystore-pin",
              "the keystore is %s, the configuration expects %s", text, settings->expect.keystore));
        }
    }
    if (keystore->generation < settings->expect.min_generation)
        return (status_set(status, STATUS_CORRUPT, "keystore-pin",
          "the keystore has generation %" PRId64 ", the configuration expects at least %" PRId64
          ": an older one was put back",
          keystore->generation, settings->expect.min_generation));
    return (0);
}

static int
open_bytes(KEYRING *keyring, const uint8_t *data, size_t len, KEYRING_SOURCE source,
  const KEYRING_SOURCES *sources, STATUS *status)
{
    KEYSTORE *keystore;
    KEYRING_VIEW *view;
    int ret;

    if ((ret = keystore_decode(data, len, &keystore, status)) != 0)
        return (ret);
    if (keystore->partial && !(keyring->options.read_only && keyring->options.accept_partial)) {
        (void)status_set(status, STATUS_REFUSED, "keystore-partial",
          "%s is only a part of the keystore",
          source == KEYRING_FROM_MIRROR ? "the mirror" : "this");
        ret = status_hint(status, "put the whole one back: wtkms keystore restore");
        keystore_free(keystore);
        return (ret);
    }
    if ((ret = check_pin(keyring->settings, keystore, status)) != 0) {
        keystore_free(keystore);
        return (ret);
    }
    if ((ret = keyring_view_new(keyring, keystore, data, len, sources, &view, status)) == 0)
        keyring_set_view(keyring, view, source);
    return (ret);
}

void
keyring_repair_copies(KEYRING *keyring)
{
    STATUS status;

    if (keyring->options.read_only || keyring_source(keyring) != KEYRING_FROM_FILE)
        return;
    status_clear(&status);
    if (keyring_sync_at_open(keyring, &status) != 0) {
        (void)status_add(&status, "so not every copy of the keystore is current");
        log_status(keyring->options.log, LOG_WARNING, &status);
    }
}

int
keyring_open(int home_fd, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  KEYRING **keyringp, STATUS *status)
{
    KEYRING_SOURCES sources = {.retry_for_ms = options->retry_for_ms};
    KEYRING_SOURCE source;
    KEYRING *keyring;
    uint8_t *data = NULL;
    size_t len;
    bool found;
    int ret;

    *keyringp = NULL;
    if ((ret = new_keyring(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    if ((ret = locate(
           home_fd, keyring->file, &found, &source, &data, &len, &keyring->stamp, status)) != 0)
        goto err;
    if (!found) {
        (void)status_set(status, STATUS_NO_KEY, "keystore-missing", "there is no keystore %s",
          keystore_file_path(keyring->file));
        ret = status_hint(status, "put it back: wtkms keystore restore");
        goto err;
    }
    if ((ret = open_bytes(keyring, data, len, source, &sources, status)) != 0) {
        (void)status_add(status, "while opening %s",
          source == KEYRING_FROM_FILE ? keystore_file_path(keyring->file) : "WiredTiger.config");
        goto err;
    }
    if (!options->defer_repair)
        keyring_repair_copies(keyring);
    free(data);
    *keyringp = keyring;
    return (0);

err:
    free(data);
    keyring_close(keyring);
    return (ret);
}

int
keyring_open_with(int home_fd, const uint8_t *data, size_t len, const SETTINGS *settings,
  const KEYRING_PAYLOAD *payloads, size_t count, const KEYRING_OPTIONS *options, KEYRING **keyringp,
  STATUS *status)
{
    KEYRING_SOURCES sources = {
      .payloads = payloads, .payload_count = count, .retry_for_ms = options->retry_for_ms};
    KEYRING *keyring;
    int ret;

    *keyringp = NULL;
    if ((ret = new_keyring(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    if ((ret = open_bytes(keyring, data, len, KEYRING_FROM_COPY, &sources, status)) != 0) {
        keyring_close(keyring);
        return (ret);
    }
    *keyringp = keyring;
    return (0);
}

int
keyring_open_bytes(int home_fd, const uint8_t *data, size_t len, const SETTINGS *settings,
  const KEYRING_OPTIONS *options, KEYRING **keyringp, STATUS *status)
{
    return (keyring_open_with(home_fd, data, len, settings, NULL, 0, options, keyringp, status));
}

/* --- creating */

/* A home whose keystore can be read, or only its mirror, or neither, but is there, has one. */
static int
check_none(KEYRING *keyring, STATUS *status)
{
    KEYRING_SOURCE source;
    uint8_t *data = NULL;
    size_t len;
    bool found;
    int ret;

    if ((ret = locate(
           keyring->home_fd, keyring->file, &found, &source, &data, &len, NULL, status)) != 0)
        return (ret);
    free(data);
    if (found)
        return (status_set(status, STATUS_REFUSED, "keystore-exists",
          "there is a keystore already, in %s",
          source == KEYRING_FROM_FILE ? keystore_file_path(keyring->file) : "WiredTiger.config"));
    return (0);
}

static int
add_first_data_key(KEYRING *keyring, KEYSTORE *keystore, STATUS *status)
{
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret = NULL;
    int ret;

    if ((ret = keystore_add_data_key(keystore, &data_key, status)) != 0)
        return (ret);
    data_key->version = 1;
    data_key->created = keystore_now();
    if ((data_key->keyid = strdup(SETTINGS_DEFAULT_SCOPE)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a data key"));
    if ((ret = random_id(&data_key->id, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
        return (ret);
    ret = keyring_wrap_data_key(keyring, keystore, data_key, secret, status);
    secret_free(secret);
    return (ret);
}

static int
fill_new(KEYRING *keyring, STATUS *status)
{
    KEYSTORE *keystore;
    size_t i;
    int ret;

    if ((keyring->edited = calloc(1, sizeof(*keyring->edited))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keyring"));
    if ((ret = keystore_new(keyring->settings->node, &keyring->edited->keystore, status)) != 0)
        return (ret);
    keystore = keyring->edited->keystore;
    for (i = 0; i < keyring->settings->scope_count; i++)
        if ((ret = keyring_new_master(keyring, keystore, keyring->settings->scopes[i].name,
               keyring->options.kms_timeout_ms, keyring->options.retry_for_ms, status)) != 0)
            return (ret);
    return (add_first_data_key(keyring, keystore, status));
}

int
keyring_create(int home_fd, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  bool ephemeral, KEYRING **keyringp, STATUS *status)
{
    KEYRING *keyring;
    int lock_fd = -1, ret;

    *keyringp = NULL;
    if ((ret = new_keyring(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    if (ephemeral)
        atomic_store(&keyring->source, KEYRING_EPHEMERAL);
    else {
        if (options->read_only) {
            ret = status_set(status, STATUS_REFUSED, "keystore-read-only",
              "no keystore can be made by a read-only open");
            goto err;
        }
        if ((ret = keystore_file_lock(keyring->file, KEYRING_LOCK_TIMEOUT_MS, &lock_fd, status)) !=
              0 ||
            (ret = check_none(keyring, status)) != 0)
            goto err;
    }
    if ((ret = fill_new(keyring, status)) != 0 ||
        (ret = keyring_commit(keyring, "create", NULL, false, status)) != 0)
        goto err;
    if (lock_fd != -1)
        (void)close(lock_fd);
    *keyringp = keyring;
    return (0);

err:
    if (lock_fd != -1)
        (void)close(lock_fd);
    keyring_close(keyring);
    return (ret);
}
