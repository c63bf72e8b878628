/*
 * rotation/fork.c -- A new uuid for a clone. See fork.h.
 *
 * New master keys too, not the old ones wrapped again: the two homes drift apart from here on, and
 * a customer key or a credential that is lost on one side should say nothing about the other.
 */
#include "rotation/fork.h"

#include "common/file.h"
#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const SETTINGS *settings;
    const ROTATE_OPTIONS *options;
    FORK_RESULT *result;
} FORK;

void
fork_release(FORK_RESULT *result)
{
    rotate_release(&result->masters);
    memset(result, 0, sizeof(*result));
}

static int
check_settings(const FORK *fork, const KEYSTORE *keystore, STATUS *status)
{
    size_t i;
    int ret;

    if (fork->settings->expect.keystore != NULL) {
        (void)status_set(status, STATUS_REFUSED, "fork-expect",
          "the configuration expects keystore %s, and a fork has a new uuid",
          fork->settings->expect.keystore);
        return (
          status_hint(status, "take expect.keystore out, and put the new uuid in afterwards"));
    }
    for (i = 0; i < keystore->master_count; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE &&
            (ret = rotate_check_scope(fork->settings, keystore->masters[i].scope, status)) != 0)
            return (ret);
    return (0);
}

/*
 * A copy that is ahead of the clone was written by the original after the clone was taken: the path is
 * the original's, and its keys would be lost. One in step may be either's, and that is told in the manual.
 */
static int
check_copy(const KEYSTORE *keystore, const char *path, STATUS *status)
{
    STATUS ignored;
    uint8_t *data = NULL, uuid[KEYSTORE_UUID_LEN];
    const char *name;
    int64_t generation;
    size_t len;
    int dirfd, ret;
    bool found, partial;

    if ((ret = file_split_path(path, &dirfd, &name, status)) != 0)
        return (ret);
    if ((ret = file_read(dirfd, name, KEYSTORE_MAX_BYTES, true, &found, &data, &len, status)) ==
          0 &&
        found && keystore_peek(data, len, uuid, &generation, &partial, &ignored) == 0 &&
        memcmp(uuid, keystore->uuid, sizeof(uuid)) == 0 && generation > keystore->generation) {
        (void)status_set(status, STATUS_REFUSED, "fork-copy-newer",
          "%s has generation %lld, the clone %lld: it is the original's own copy", path,
          (long long)generation, (long long)keystore->generation);
        ret = status_hint(status, "give the clone keystoreCopies of its own");
    }
    free(data);
    (void)close(dirfd);
    return (ret);
}

static int
new_uuid(KEYSTORE *keystore, STATUS *status)
{
    int ret;

    memcpy(keystore->parent, keystore->uuid, sizeof(keystore->parent));
    keystore->has_parent = true;
    if ((ret = random_bytes(keystore->uuid, sizeof(keystore->uuid), status)) != 0)
        return (ret);
    /* RFC 9562: version 4, variant 10. */
    keystore->uuid[6] = (uint8_t)((keystore->uuid[6] & 0x0f) | 0x40);
    keystore->uuid[8] = (uint8_t)((keystore->uuid[8] & 0x3f) | 0x80);
    return (0);
}

static bool
is_retired(const KEYSTORE_MASTER *master, void *context)
{
    (void)context;
    return (master->state == KEYSTORE_RETIRED);
}

static int
edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    FORK *fork = context;
    char *node;
    size_t i;
    int ret;

    if ((ret = check_settings(fork, keystore, status)) != 0)
        return (ret);
    for (i = 0; i < fork->settings->keystore_copies.count; i++)
        if ((ret = check_copy(keystore, fork->settings->keystore_copies.items[i], status)) != 0)
            return (ret);
    memcpy(fork->result->parent, keystore->uuid, sizeof(fork->result->parent));
    if ((ret = new_uuid(keystore, status)) != 0)
        return (ret);
    if ((node = strdup(fork->settings->node)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a fork"));
    free(keystore->node);
    keystore->node = node;
    if ((ret = rotate_masters(
           keyring, keystore, fork->settings, fork->options, &fork->result->masters, status)) != 0)
        return (ret);
    /* The old master keys are wrapped with the old uuid: nobody could open those here. */
    keystore_remove_masters(keystore, is_retired, NULL);
    return (0);
}

static int
plan(const FORK *fork, KEYRING *keyring, STATUS *status)
{
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    int ret;

    memcpy(fork->result->parent, keystore->uuid, sizeof(fork->result->parent));
    ret = check_settings(fork, keystore, status);
    keyring_release_keystore(keyring, keystore);
    return (ret);
}

int
fork_keystore(int home_fd, const SETTINGS *settings, const ROTATE_OPTIONS *options,
  FORK_RESULT *result, STATUS *status)
{
    FORK fork = {settings, options, result};
    KEYRING *keyring = NULL;
    const KEYSTORE *keystore;
    int ret;

    memset(result, 0, sizeof(*result));
    if ((ret = rotate_open(home_fd, settings, options, &keyring, status)) != 0)
        return (ret);
    if (options->plan) {
        ret = plan(&fork, keyring, status);
        goto err;
    }
    if ((ret = keyring_update(keyring, "keystore fork", options->reason, edit, &fork, status)) != 0)
        goto err;
    keystore = keyring_hold_keystore(keyring);
    memcpy(result->masters.uuid, keystore->uuid, sizeof(result->masters.uuid));
    result->masters.generation = keystore->generation;
    keyring_release_keystore(keyring, keystore);
    /* It tells of the original's process, and of a keystore that this one no longer is. */
    if (unlinkat(home_fd, STATE_FILE, 0) != 0 && errno != ENOENT)
        ret = status_set_errno(status, errno, "fork-state",
          "the keystore is forked, but %s of the original stays", STATE_FILE);

err:
    keyring_close(keyring);
    return (ret);
}
