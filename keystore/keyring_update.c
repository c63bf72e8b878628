/*
 * keystore/keyring_update.c -- Reading a changed keystore again, and changing it. See keyring.h.
 *
 * A change is made on a view of its own, encoded, decoded again and verified as any reader would
 * before it is written, and becomes the current view when it is durable everywhere.
 */
#include "keystore/keyring_private.h"

#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"
#include "keystore/payload.h"

#include <bson/bson.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_STEP_MS 20

static void
release_image(KEYSTORE_IMAGE *image, KEYSTORE_SEAL_KEY *seal_keys)
{
    uint8_t *data = (uint8_t *)(uintptr_t)image->data;

    free(data);
    free(seal_keys);
}

/* --- copies and mirror */

/* Bring them in step with a view. The lock is held, and the view is what the file holds. */
static int
sync_locked(KEYRING *keyring, const KEYRING_VIEW *view, STATUS *status)
{
    KEYSTORE_SEAL_KEY *seal_keys;
    KEYSTORE_IMAGE image;
    int ret;

    if ((ret = keyring_view_encode(view, view->keystore, &seal_keys, &image, status)) != 0)
        return (ret);
    ret = keystore_file_repair(keyring->file, &image, status);
    release_image(&image, seal_keys);
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
    release_image(&image, seal_keys);
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
        ret = sync_locked(keyring, keyring->views, status);
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
static int
read_view(KEYRING *keyring, KEYSTORE_STAMP *stamp, KEYRING_VIEW **viewp, STATUS *status)
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
        if ((ret = read_view(keyring, stamp, viewp, status)) == 0 && lock_fd != -1)
            ret = sync_locked(keyring, *viewp, status);
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
        (ret = read_view(keyring, &stamp, &view, status)) != 0)
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

/* --- changing */

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
    release_image(&image, seal_keys);
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

/*
 * The whole of a change. edit may set *unchangedp: it found that there is nothing to change, since
 * another process was faster; what was read is then taken over.
 */
typedef int (*EDIT)(
  KEYRING *keyring, KEYSTORE *keystore, void *context, bool *unchangedp, STATUS *status);

static int
change(KEYRING *keyring, const char *operation, const char *reason, EDIT edit, void *context,
  STATUS *status)
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
        ret = read_view(keyring, &stamp, &keyring->edited, status);
    if (ret != 0)
        goto err;
    if ((ret = edit(keyring, keyring->edited->keystore, context, &unchanged, status)) != 0)
        goto err;
    if (!unchanged)
        ret = keyring_commit(keyring, operation, reason, true, status);
    else if (!copied && (ret = sync_locked(keyring, keyring->edited, status)) == 0) {
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
static int
drop_retired(KEYSTORE *keystore, STATUS *status)
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
    if ((ret = drop_retired(keystore, status)) != 0)
        return (ret);
    return (plain->edit(keyring, keystore, plain->context, status));
}

int
keyring_update(KEYRING *keyring, const char *operation, const char *reason, KEYRING_EDIT edit,
  void *context, STATUS *status)
{
    PLAIN_EDIT plain = {.edit = edit, .context = context};
    int ret;

    (void)pthread_mutex_lock(&keyring->io_lock);
    ret = change(keyring, operation, reason, plain_edit, &plain, status);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}

/* --- what an edit does */

int
keyring_wrap_data_key(KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE_DATA_KEY *data_key,
  const SECRET *secret, STATUS *status)
{
    const char *scope = keystore_scope_of(keystore, data_key->keyid);
    const KEYSTORE_MASTER *master = keystore_active_master(keystore, scope);
    const KEYRING_MASTER *held =
      master == NULL ? NULL : keyring_view_master(keyring->edited, master->id);
    KEYRING_SECRET *cached;

    if (held == NULL)
        return (status_set(status, STATUS_INTERNAL, "keyring-master",
          "the master key of scope \"%s\" is not at hand", scope));
    if ((cached = keyring_view_secret(keyring->edited, data_key->id)) != NULL)
        cached->is_rewrapped = true;
    data_key->master_key_id = master->id;
    return (payload_wrap_data_key(held->wrap_key, keystore->uuid, data_key, secret, status));
}

/* Wrap a data key again, of the edited view or one that the edit added. */
static int
wrap_again(KEYRING *keyring, const KEYSTORE *keystore, const KEYRING_MASTER *old,
  KEYSTORE_DATA_KEY *data_key, STATUS *status)
{
    const KEYRING_SECRET *held = keyring_view_secret(keyring->edited, data_key->id);
    SECRET *added = NULL;
    int ret;

    if (held == NULL && (ret = payload_unwrap_data_key(
                           old->wrap_key, keystore->uuid, data_key, &added, status)) != 0)
        return (ret);
    ret = keyring_wrap_data_key(
      keyring, keystore, data_key, held == NULL ? added : held->secret, status);
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
        (ret = keyring_wrap_master(
           keyring, keystore, master, key, timeout_ms, retry_for_ms, &opener, status)) != 0 ||
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
keyring_rewrap_master(KEYRING *keyring, KEYSTORE *keystore, const char *scope, int timeout_ms,
  int64_t retry_for_ms, STATUS *status)
{
    const KEYSTORE_MASTER *active = keystore_active_master(keystore, scope);
    const KEYRING_MASTER *held =
      active == NULL ? NULL : keyring_view_master(keyring->edited, active->id);
    size_t opener;

    if (held == NULL)
        return (status_set(
          status, STATUS_NO_KEY, "keyring-master", "the keystore has no scope \"%s\"", scope));
    return (keyring_wrap_master(keyring, keystore, &keystore->masters[active - keystore->masters],
      held->key, timeout_ms, retry_for_ms, &opener, status));
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
    if (timeout_ms > KEYRING_SHORT_TRY_MS)
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
    if ((ret = drop_retired(keystore, status)) != 0 ||
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
    ret = change(keyring, "add data key", keyid, ensure_edit, &ensure, status);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    if (ret != 0)
        return (status_add(status, "for a data key of keyid \"%s\"", keyid));
    *idp = keyring_active_data_key(keyring, keyid);
    *createdp = ensure.created;
    return (0);
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
        (ret = drop_retired(keyring->edited->keystore, status)) != 0)
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
        (ret = read_view(keyring, &stamp, &view, status)) != 0)
        goto err;
    if ((ret = keyring_view_encode(view, view->keystore, &seal_keys, &image, status)) == 0) {
        ret = keystore_file_write_mirror(keyring->file, &image, engine_lines, status);
        release_image(&image, seal_keys);
    }

err:
    keyring_view_free(view);
    if (lock_fd != -1)
        (void)close(lock_fd);
    (void)pthread_mutex_unlock(&keyring->io_lock);
    return (ret);
}
