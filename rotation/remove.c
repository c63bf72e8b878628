/*
 * rotation/remove.c -- A keyid's keys destroyed. See remove.h.
 */
#include "rotation/remove.h"

#include "common/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *keyid;
    const ROTATE_OPTIONS *options;
    REMOVE_RESULT *result;
} REMOVAL;

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a removal"));
}

void
remove_release(REMOVE_RESULT *result)
{
    size_t i;

    for (i = 0; i < result->leftover_count; i++)
        free(result->leftovers[i]);
    free(result->leftovers);
    free(result->ids);
    memset(result, 0, sizeof(*result));
}

static int
add_id(REMOVE_RESULT *result, uint64_t id, STATUS *status)
{
    uint64_t *ids;
    size_t i;

    for (i = 0; i < result->count; i++)
        if (result->ids[i] == id)
            return (0);
    if ((ids = reallocarray(result->ids, result->count + 1, sizeof(*ids))) == NULL)
        return (no_memory(status));
    result->ids = ids;
    ids[result->count++] = id;
    return (0);
}

/* Note what a keystore has of the keyid. */
static int
note(const REMOVAL *removal, const KEYSTORE *keystore, bool *hasp, STATUS *status)
{
    const KEYSTORE_MASTER *master = keystore_active_master(keystore, removal->keyid);
    size_t i;
    int ret;

    *hasp = master != NULL;
    if (master != NULL)
        removal->result->master_key_id = master->id;
    for (i = 0; i < keystore->data_key_count; i++)
        if (strcmp(keystore->data_keys[i].keyid, removal->keyid) == 0) {
            *hasp = true;
            if ((ret = add_id(removal->result, keystore->data_keys[i].id, status)) != 0)
                return (ret);
        }
    return (0);
}

/* --- the files beside the keystore: .prev, .damaged, .replaced-TIME */

typedef struct {
    int dirfd;
    const char *name;
} PLACE;

static int
open_place(int home_fd, const SETTINGS *settings, PLACE *place, STATUS *status)
{
    place->name = KEYRING_FILE;
    place->dirfd = -1;
    if (settings->keystore != NULL)
        return (file_split_path(settings->keystore, &place->dirfd, &place->name, status));
    if ((place->dirfd = fcntl(home_fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return (status_set_errno(status, errno, "remove-home", "the home's directory"));
    return (0);
}

/* Whether one of them has keys of the keyid. What is no keystore has none that could be read. */
static int
look_into(const REMOVAL *removal, const PLACE *place, const char *name, bool *hasp, STATUS *status)
{
    KEYSTORE *keystore;
    STATUS ignored;
    uint8_t *data = NULL;
    size_t len;
    int ret;
    bool found;

    *hasp = false;
    if ((ret = file_read(
           place->dirfd, name, KEYSTORE_MAX_BYTES, true, &found, &data, &len, status)) != 0 ||
        !found)
        return (ret);
    if (keystore_decode(data, len, &keystore, &ignored) == 0) {
        ret = note(removal, keystore, hasp, status);
        keystore_free(keystore);
    }
    free(data);
    return (ret);
}

static int
add_leftover(REMOVE_RESULT *result, const char *name, STATUS *status)
{
    char **leftovers;

    leftovers = reallocarray(result->leftovers, result->leftover_count + 1, sizeof(*leftovers));
    if (leftovers == NULL)
        return (no_memory(status));
    result->leftovers = leftovers;
    if ((leftovers[result->leftover_count] = strdup(name)) == NULL)
        return (no_memory(status));
    result->leftover_count++;
    return (0);
}

static int
find_leftovers(const REMOVAL *removal, const PLACE *place, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;
    size_t len = strlen(place->name);
    int ret = 0;
    bool has;

    if ((dir = file_list(place->dirfd)) == NULL)
        return (status_set_errno(status, errno, "remove-leftovers", "the keystore's directory"));
    while (ret == 0 && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, place->name, len) != 0 || entry->d_name[len] != '.' ||
            strcmp(entry->d_name + len, ".lock") == 0 || strcmp(entry->d_name + len, ".prev") == 0)
            continue;
        if ((ret = look_into(removal, place, entry->d_name, &has, status)) == 0 && has)
            ret = add_leftover(removal->result, entry->d_name, status);
    }
    (void)closedir(dir);
    return (ret);
}

static int
prev_has(const REMOVAL *removal, const PLACE *place, bool *hasp, STATUS *status)
{
    char name[NAME_MAX + sizeof(".prev")];

    (void)snprintf(name, sizeof(name), "%s.prev", place->name);
    return (look_into(removal, place, name, hasp, status));
}

/* --- the edits */

static bool
is_of_keyid(const KEYSTORE_DATA_KEY *data_key, void *context)
{
    const REMOVAL *removal = context;

    return (strcmp(data_key->keyid, removal->keyid) == 0);
}

static bool
is_of_scope(const KEYSTORE_MASTER *master, void *context)
{
    const REMOVAL *removal = context;

    return (strcmp(master->scope, removal->keyid) == 0);
}

static int
edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    REMOVAL *removal = context;
    bool has;
    int ret;

    (void)keyring;
    if ((ret = note(removal, keystore, &has, status)) != 0)
        return (ret);
    keystore_remove_data_keys(keystore, is_of_keyid, removal);
    keystore_remove_masters(keystore, is_of_scope, removal);
    return (0);
}

static int
run(REMOVAL *removal, KEYRING *keyring, const PLACE *place, STATUS *status)
{
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    char text[KEYSTORE_KEYID_MAX + 64];
    int ret;
    bool has, has_prev = false;

    memcpy(removal->result->uuid, keystore->uuid, sizeof(removal->result->uuid));
    ret = note(removal, keystore, &has, status);
    keyring_release_keystore(keyring, keystore);
    if (ret != 0 || (ret = prev_has(removal, place, &has_prev, status)) != 0 ||
        (ret = find_leftovers(removal, place, status)) != 0)
        return (ret);
    if (!has && !has_prev) {
        (void)status_set(status, STATUS_NO_KEY, "remove-keyid",
          "the keystore has no data key of keyid \"%s\"", removal->keyid);
        return (status_hint(status, "\"wtkms key list HOME\" lists them"));
    }
    if (removal->options->plan)
        return (0);
    (void)snprintf(text, sizeof(text), "key remove %s", removal->keyid);
    if (has &&
        (ret = keyring_update(keyring, text, removal->options->reason, edit, removal, status)) != 0)
        return (ret);
    /* What was just replaced is .prev now; the same once more, and it is not. */
    ret = keyring_update(keyring, "key remove, .prev", NULL, NULL, NULL, status);
    return (ret == 0 ? 0 : status_add(status, "and .prev still holds the keys: run it again"));
}

int
remove_keyid(int home_fd, const SETTINGS *settings, const char *keyid,
  const ROTATE_OPTIONS *options, REMOVE_RESULT *result, STATUS *status)
{
    REMOVAL removal = {keyid, options, result};
    KEYRING *keyring = NULL;
    PLACE place = {-1, NULL};
    int ret;

    memset(result, 0, sizeof(*result));
    if (strcmp(keyid, SETTINGS_DEFAULT_SCOPE) == 0)
        return (status_set(status, STATUS_REFUSED, "remove-default",
          "keyid \"default\" holds the metadata and the log: the home could not be opened again"));
    if ((ret = rotate_open(home_fd, settings, options, &keyring, status)) != 0 ||
        (ret = open_place(home_fd, settings, &place, status)) != 0)
        goto err;
    if ((ret = run(&removal, keyring, &place, status)) == 0)
        result->generation = keyring_generation(keyring);

err:
    if (place.dirfd != -1)
        (void)close(place.dirfd);
    keyring_close(keyring);
    return (ret);
}
