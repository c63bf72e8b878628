/*
 * keystore/keyring_update.c -- Changing a keystore. See keyring.h.
 *
 * A change is made on a view of its own, encoded, decoded again and verified as any reader would
 * before it is written, and becomes the current view when it is durable everywhere.
 */
#include "keystore/keyring_private.h"

#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
is_retired_master(const KEYSTORE_MASTER *master, void *context)
{
    (void)context;
    return (master->state == KEYSTORE_RETIRED);
}

static bool
is_retired_data_key(const KEYSTORE_DATA_KEY *data_key, void *context)
{
    (void)context;
    return (data_key->state == KEYSTORE_RETIRED);
}

static int
encode_next(KEYRING *keyring, const char *operation, const char *reason,
  KEYSTORE_SEAL_KEY **seal_keysp, KEYSTORE_IMAGE *image, STATUS *status)
{
    KEYSTORE *keystore = keyring->edited->keystore;
    int64_t now = keystore_now();
    int ret;

    keystore->generation++;
    /* A clock that went back must not make a keystore younger than its past. */
    if (now > keystore->modified)
        keystore->modified = now;
    if ((ret = keystore_add_event(keystore, operation, reason, status)) != 0)
        return (ret);
    return (keyring_view_encode(keyring->edited, keystore, seal_keysp, image, status));
}

int
keyring_commit(
  KEYRING *keyring, const char *operation, const char *reason, bool keep_prev, STATUS *status)
{
    KEYRING_SOURCES sources = {.view = keyring->edited};
    KEYSTORE_SEAL_KEY *seal_keys = NULL;
    KEYSTORE_IMAGE image = {0};
    KEYSTORE_STAMP stamp = {0};
    KEYRING_VIEW *view = NULL;
    KEYSTORE *keystore;
    bool ephemeral = keyring_source(keyring) == KEYRING_EPHEMERAL;
    int ret;

    if ((ret = encode_next(keyring, operation, reason, &seal_keys, &image, status)) != 0 ||
        (ret = keystore_decode(image.data, image.len, &keystore, status)) != 0 ||
        (ret = keyring_view_new(
           keyring, keystore, image.data, image.len, &sources, &view, status)) != 0)
        goto err;
    if (!ephemeral) {
        /* The one that was checked and has an index. Its scopes' names are those of the edited one. */
        image.keystore = view->keystore;
        if ((ret = keystore_file_write(keyring->file, &image, keep_prev, status)) != 0)
            goto err;
        stamp = keystore_file_stamp(keyring->file);
    }
    keyring->stamp = stamp;
    keyring_set_view(keyring, view, ephemeral ? KEYRING_EPHEMERAL : KEYRING_FROM_FILE);
    view = NULL;

err:
    keyring_view_free(view);
    keyring_view_free(keyring->edited);
    keyring->edited = NULL;
    keyring_image_release(&image, seal_keys);
    return (ret);
}

static int
check_writable(const KEYRING *keyring, STATUS *status)
{
    if (keyring_source(keyring) == KEYRING_EPHEMERAL)
        return (0);
    if (keyring->options.read_only)
        return (status_set(
          status, STATUS_REFUSED, "keystore-read-only", "the keystore is open for reading only"));
    if (keyring_source(keyring) != KEYRING_FROM_FILE)
        return (status_set(status, STATUS_REFUSED, "keystore-not-adopted",
          "the keystore was read from a copy and is not yet the home's own"));
    return (0);
}

int
keyring_change(KEYRING *keyring, const char *operation, const char *reason, KEYRING_CHANGE edit,
  void *context, STATUS *status)
{
    KEYSTORE_STAMP stamp = {0};
    KEYRING_VIEW *current = NULL;
    bool copied, unchanged = false, ephemeral = keyring_source(keyring) == KEYRING_EPHEMERAL;
    int lock_fd = -1, ret;

    if ((ret = check_writable(keyring, status)) != 0)
        return (ret);
    if (!ephemeral &&
        (ret = keystore_file_lock(keyring->file, KEYRING_LOCK_TIMEOUT_MS, &lock_fd, status)) != 0)
        return (ret);
    current = keyring_hold(keyring);
    copied = ephemeral || keystore_file_has_seal(keyring->file, current->keystore->seal);
    if (copied)
        ret = keyring_view_copy(current, &keyring->edited, status);
    else
        ret = keyring_read_again(keyring, &stamp, &keyring->edited, status);
    if (ret != 0)
        goto err;
    if ((ret = edit(keyring, keyring->edited->keystore, context, &unchanged, status)) != 0)
        goto err;
    if (!unchanged)
        ret = keyring_commit(keyring, operation, reason, true, status);
    else if (!copied && (ret = keyring_sync_locked(keyring, keyring->edited, status)) == 0) {
        keyring->stamp = stamp;
        keyring_set_view(keyring, keyring->edited, keyring_source(keyring));
        keyring->edited = NULL;
    }

err:
    keyring_view_free(keyring->edited);
    keyring->edited = NULL;
    keyring_release(keyring, current);
    if (lock_fd != -1)
        (void)close(lock_fd);
    return (ret);
}

typedef struct {
    KEYRING_EDIT edit;
    void *context;
} PLAIN_EDIT;

/* What the generation before retired goes with the next write. */
int
keyring_drop_retired(KEYSTORE *keystore, STATUS *status)
{
    keystore_remove_masters(keystore, is_retired_master, NULL);
    keystore_remove_data_keys(keystore, is_retired_data_key, NULL);
    return (keystore->index == NULL ? keystore_index(keystore, status) : 0);
}

static int
plain_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, bool *unchangedp, STATUS *status)
{
    const PLAIN_EDIT *plain = context;
    int ret;

    (void)unchangedp;
    if ((ret = keyring_drop_retired(keystore, status)) != 0)
        return (ret);
    return (plain->edit == NULL ? 0 : plain->edit(keyring, keystore, plain->context, status));
}

int
keyring_update(KEYRING *keyring, const char *operation, const char *reason, KEYRING_EDIT edit,
  void *context, STATUS *status)
{
    PLAIN_EDIT plain = {.edit = edit, .context = context};
    int ret;

    (void)pthread_mutex_lock(&keyring->io_lock);
    ret = keyring_change(keyring, operation, reason, plain_edit, &plain, status);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}

/* --- a keystore that was read from elsewhere */

/*
 * What stands in the home must not be lost to one that is put back: only a damaged file, or an
 * older state of the same keystore, gives way.
 */
static int
check_adopt(KEYRING *keyring, bool *keep_prevp, STATUS *status)
{
    const KEYSTORE *keystore = keyring->edited->keystore;
    uint8_t uuid[KEYSTORE_UUID_LEN], *data = NULL;
    int64_t generation;
    size_t len;
    STATUS damage;
    bool found, partial;
    int ret;

    *keep_prevp = false;
    if ((ret = keystore_file_read(keyring->file, &found, &data, &len, NULL, status)) != 0 || !found)
        return (ret);
    status_clear(&damage);
    if (keystore_peek(data, len, uuid, &generation, &partial, &damage) != 0)
        ret = keystore_file_keep_damaged(keyring->file, status);
    else if (memcmp(uuid, keystore->uuid, sizeof(uuid)) != 0)
        ret = status_set(status, STATUS_REFUSED, "keystore-exists",
          "the home has another keystore, %s", keystore_file_path(keyring->file));
    else if (generation > keystore->generation)
        ret = status_set(status, STATUS_REFUSED, "keystore-exists",
          "the home's keystore has generation %" PRId64 ", this one only %" PRId64, generation,
          keystore->generation);
    else
        *keep_prevp = true;
    free(data);
    return (ret);
}

int
keyring_adopt(KEYRING *keyring, const char *reason, STATUS *status)
{
    KEYRING_VIEW *current = keyring_hold(keyring);
    bool keep_prev;
    int lock_fd = -1, ret;

    (void)pthread_mutex_lock(&keyring->io_lock);
    if (keyring->options.read_only || keyring_source(keyring) == KEYRING_EPHEMERAL) {
        ret = status_set(
          status, STATUS_REFUSED, "keystore-read-only", "the keystore is open for reading only");
        goto err;
    }
    if (keyring_source(keyring) == KEYRING_FROM_FILE) {
        ret = status_set(
          status, STATUS_REFUSED, "keystore-exists", "the keystore is the home's own already");
        goto err;
    }
    if ((ret = keystore_file_lock(keyring->file, KEYRING_LOCK_TIMEOUT_MS, &lock_fd, status)) != 0 ||
        (ret = keyring_view_copy(current, &keyring->edited, status)) != 0 ||
        (ret = check_adopt(keyring, &keep_prev, status)) != 0 ||
        (ret = keyring_drop_retired(keyring->edited->keystore, status)) != 0)
        goto err;
    ret = keyring_commit(keyring, "restore", reason, keep_prev, status);

err:
    keyring_view_free(keyring->edited);
    keyring->edited = NULL;
    keyring_release(keyring, current);
    if (lock_fd != -1)
        (void)close(lock_fd);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}

int
keyring_write_mirror(KEYRING *keyring, const char *engine_lines, STATUS *status)
{
    KEYSTORE_SEAL_KEY *seal_keys;
    KEYSTORE_IMAGE image;
    KEYSTORE_STAMP stamp;
    KEYRING_VIEW *view = NULL;
    int lock_fd = -1, ret;

    (void)pthread_mutex_lock(&keyring->io_lock);
    if ((ret = check_writable(keyring, status)) != 0)
        goto err;
    if (keyring_source(keyring) == KEYRING_EPHEMERAL) {
        ret = status_set(
          status, STATUS_REFUSED, "keystore-read-only", "a keystore in memory has no mirror");
        goto err;
    }
    /* What is written must be the newest, so it is read again under the lock. */
    if ((ret = keystore_file_lock(keyring->file, KEYRING_LOCK_TIMEOUT_MS, &lock_fd, status)) != 0 ||
        (ret = keyring_read_again(keyring, &stamp, &view, status)) != 0)
        goto err;
    if ((ret = keyring_view_encode(view, view->keystore, &seal_keys, &image, status)) == 0) {
        ret = keystore_file_write_mirror(keyring->file, &image, engine_lines, status);
        keyring_image_release(&image, seal_keys);
    }

err:
    keyring_view_free(view);
    if (lock_fd != -1)
        (void)close(lock_fd);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}
