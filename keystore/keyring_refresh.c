/*
 * keystore/keyring_refresh.c -- Reading a keystore again that another process changed, and bringing
 * copies and mirror in step with it. See keyring.h, keyring_private.h.
 */
#include "keystore/keyring_private.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_STEP_MS 20

/* --- copies and mirror */

/* Bring them in step with a view. The lock is held, and the view is what the file holds. */
int
keyring_sync_locked(KEYRING *keyring, const KEYRING_VIEW *view, STATUS *status)
{
    KEYSTORE_SEAL_KEY *seal_keys;
    KEYSTORE_IMAGE image;
    int ret;

    if ((ret = keyring_view_encode(view, view->keystore, &seal_keys, &image, status)) != 0)
        return (ret);
    ret = keystore_file_repair(keyring->file, &image, status);
    keyring_image_release(&image, seal_keys);
    return (ret);
}

static int
is_in_step(KEYRING *keyring, const KEYRING_VIEW *view, bool *in_stepp, STATUS *status)
{
    KEYSTORE_SEAL_KEY *seal_keys;
    KEYSTORE_IMAGE image;
    int ret;

    *in_stepp = false;
    if ((ret = keyring_view_encode(view, view->keystore, &seal_keys, &image, status)) != 0)
        return (ret);
    *in_stepp = keystore_file_is_in_step(keyring->file, &image);
    keyring_image_release(&image, seal_keys);
    return (0);
}

int
keyring_sync_at_open(KEYRING *keyring, STATUS *status)
{
    bool in_step;
    int lock_fd, ret;

    if ((ret = is_in_step(keyring, keyring->views, &in_step, status)) != 0 || in_step)
        return (ret);
    if ((ret = keystore_file_lock(keyring->file, KEYRING_REPAIR_TIMEOUT_MS, &lock_fd, status)) != 0)
        return (ret);
    /* Changed meanwhile: whoever did that sees to the copies, and the next refresh looks again. */
    if (!keystore_file_is_changed(keyring->file, &keyring->stamp))
        ret = keyring_sync_locked(keyring, keyring->views, status);
    (void)close(lock_fd);
    return (ret);
}

/* --- reading again */

static int
check_succession(const KEYSTORE *now, const KEYSTORE *next, STATUS *status)
{
    char text[KEYSTORE_UUID_TEXT];

    if (memcmp(now->uuid, next->uuid, sizeof(now->uuid)) != 0) {
        keystore_uuid_text(next->uuid, text);
        return (status_set(status, STATUS_CORRUPT, "keystore-replaced",
          "the keystore was replaced by another one, %s", text));
    }
    if (next->generation < now->generation)
        return (status_set(status, STATUS_CORRUPT, "keystore-rolled-back",
          "the keystore has generation %" PRId64 ", it had %" PRId64
          " before: an older one was put back",
          next->generation, now->generation));
    if (next->generation == now->generation && !mac_equal(now->seal, next->seal, sizeof(now->seal)))
        return (status_set(status, STATUS_CORRUPT, "keystore-diverged",
          "the keystore has generation %" PRId64
          " as before, but other content: an older one was put back and changed",
          next->generation));
    return (0);
}

/*
 * Who may only wrap with the customer's key can put a whole new keystore in place: his master key,
 * his data keys, sealed in order. What he cannot do is wrap data keys that he does not know. So the
 * next state must have at least one of ours, and each that it has must be ours.
 */
static int
check_same_line(const KEYRING_VIEW *now, const KEYRING_VIEW *next, STATUS *status)
{
    const KEYRING_SECRET *held;
    size_t i, common = 0;

    for (i = 0; i < next->secret_count; i++) {
        if ((held = keyring_view_secret(now, next->secrets[i].id)) == NULL)
            continue;
        if (!secret_equal(held->secret, next->secrets[i].secret))
            return (status_set(status, STATUS_CORRUPT, "keystore-substituted",
              "the keystore was replaced: data key %016" PRIx64 " is another key than before",
              held->id));
        common++;
    }
    if (common == 0)
        return (status_set(status, STATUS_CORRUPT, "keystore-substituted",
          "the keystore was replaced: it has none of the data keys that it had before"));
    return (0);
}

/*
 * Read the file and verify what it holds. The keys of the current view are taken over; a new master
 * key is unwrapped with one try, since whoever asked will ask again.
 */
int
keyring_read_again(KEYRING *keyring, KEYSTORE_STAMP *stamp, KEYRING_VIEW **viewp, STATUS *status)
{
    KEYRING_VIEW *current = keyring_hold(keyring);
    KEYRING_SOURCES sources = {.view = current};
    KEYSTORE *keystore;
    uint8_t *data = NULL;
    size_t len;
    bool found;
    int ret;

    *viewp = NULL;
    if ((ret = keystore_file_read(keyring->file, &found, &data, &len, stamp, status)) != 0)
        goto err;
    if (!found) {
        ret = status_set(status, STATUS_CORRUPT, "keystore-gone", "the keystore %s is gone",
          keystore_file_path(keyring->file));
        goto err;
    }
    if ((ret = keystore_decode(data, len, &keystore, status)) != 0)
        goto err;
    if ((ret = check_succession(current->keystore, keystore, status)) != 0) {
        keystore_free(keystore);
        goto err;
    }
    if ((ret = keyring_view_new(keyring, keystore, data, len, &sources, viewp, status)) == 0 &&
        (ret = check_same_line(current, *viewp, status)) != 0) {
        keyring_view_free(*viewp);
        *viewp = NULL;
    }

err:
    if (ret != 0)
        (void)status_add(status, "while reading the keystore again");
    free(data);
    keyring_release(keyring, current);
    return (ret);
}

static bool
is_same(KEYRING *keyring, const KEYRING_VIEW *view)
{
    KEYRING_VIEW *current = keyring_hold(keyring);
    bool same = current->keystore->generation == view->keystore->generation;

    keyring_release(keyring, current);
    return (same);
}

/*
 * The keys of a new view are about to be used: not before they are in every copy. When they are not,
 * a writer may still be at it, or one was killed: then read what it left and finish its work.
 */
static int
settle(KEYRING *keyring, KEYSTORE_STAMP *stamp, KEYRING_VIEW **viewp, STATUS *status)
{
    bool in_step;
    int lock_fd, ret, waited;

    for (waited = 0;; waited += SETTLE_STEP_MS) {
        if ((ret = is_in_step(keyring, *viewp, &in_step, status)) != 0 || in_step)
            return (ret);
        /* Not in one long wait: between two writes of others all is in step, lock or no lock. */
        ret = keystore_file_lock(keyring->file, SETTLE_STEP_MS, &lock_fd, status);
        if (ret != 0 && (ret != STATUS_BUSY || waited >= KEYRING_LOCK_TIMEOUT_MS))
            return (ret);
        keyring_view_free(*viewp);
        if ((ret = keyring_read_again(keyring, stamp, viewp, status)) == 0 && lock_fd != -1)
            ret = keyring_sync_locked(keyring, *viewp, status);
        if (lock_fd != -1) {
            (void)close(lock_fd);
            return (ret);
        }
        if (ret != 0)
            return (ret);
    }
}

int
keyring_refresh(KEYRING *keyring, bool *changedp, STATUS *status)
{
    KEYSTORE_STAMP stamp;
    KEYRING_VIEW *view = NULL;
    int ret = 0;

    *changedp = false;
    (void)pthread_mutex_lock(&keyring->io_lock);
    if (keyring_source(keyring) != KEYRING_FROM_FILE ||
        !keystore_file_is_changed(keyring->file, &keyring->stamp) ||
        (ret = keyring_read_again(keyring, &stamp, &view, status)) != 0)
        goto err;
    if (is_same(keyring, view)) {
        keyring->stamp = stamp;
        goto err;
    }
    if (!keyring->options.read_only && (ret = settle(keyring, &stamp, &view, status)) != 0)
        goto err;
    keyring->stamp = stamp;
    keyring_set_view(keyring, view, KEYRING_FROM_FILE);
    view = NULL;
    *changedp = true;

err:
    keyring_view_free(view);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}
