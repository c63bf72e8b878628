/*
 * keystore/archive_key.c -- Keys of files that are sealed apart from any home. See archive_key.h.
 */
#include "keystore/archive_key.h"

#include "common/file.h"
#include "keystore/keyring_private.h"
#include "keystore/keystore_format.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The default scope and nothing that is about a home: no file, no copies, no pin, no tenants. */
static void
settings_for_archive(const SETTINGS *settings, SETTINGS *own)
{
    *own = *settings;
    own->keystore = NULL;
    own->keystore_copies.items = NULL;
    own->keystore_copies.count = 0;
    own->scope_count = 1;
    own->expect.keystore = NULL;
    own->expect.min_generation = 0;
}

int
archive_key_of_home(
  KEYRING *keyring, const char *label, uint64_t *master_key_idp, SECRET **keyp, STATUS *status)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    const KEYSTORE_MASTER *master = keystore_active_master(view->keystore, SETTINGS_DEFAULT_SCOPE);
    const KEYRING_MASTER *held = master == NULL ? NULL : keyring_view_master(view, master->id);
    int ret;

    *keyp = NULL;
    *master_key_idp = master == NULL ? 0 : master->id;
    if (held == NULL)
        ret = status_set(status, STATUS_INTERNAL, "archive-master",
          "the default scope's master key is not at hand");
    else
        ret = mac_derive(held->key, label, MAC_LEN, keyp, status);
    keyring_release(keyring, view);
    return (ret);
}

static int
encode(KEYRING *keyring, const uint8_t *parent, uint8_t **datap, size_t *lenp, STATUS *status)
{
    KEYRING_VIEW *view = keyring_hold(keyring);
    KEYSTORE_SEAL_KEY *seal_keys;
    KEYSTORE_IMAGE image;
    KEYSTORE *keystore = NULL;
    int ret;

    if ((ret = keystore_copy(view->keystore, &keystore, status)) != 0)
        goto err;
    if (parent != NULL) {
        keystore->has_parent = true;
        memcpy(keystore->parent, parent, sizeof(keystore->parent));
    }
    if ((ret = keyring_view_encode(view, keystore, &seal_keys, &image, status)) != 0)
        goto err;
    if ((*datap = malloc(image.len)) == NULL)
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for an archive's keystore");
    else {
        memcpy(*datap, image.data, image.len);
        *lenp = image.len;
    }
    keyring_image_release(&image, seal_keys);

err:
    keystore_free(keystore);
    keyring_release(keyring, view);
    return (ret);
}

int
archive_key_new(const SETTINGS *settings, const uint8_t *parent, const KEYRING_OPTIONS *options,
  const char *label, SECRET **keyp, uint8_t **datap, size_t *lenp, STATUS *status)
{
    SETTINGS own;
    KEYRING *keyring = NULL;
    uint64_t id;
    int fd, ret;

    *keyp = NULL;
    *datap = NULL;
    settings_for_archive(settings, &own);
    /* A keyring has a directory; this one writes nothing into it. */
    if ((ret = file_open_dir("/", &fd, status)) != 0)
        return (ret);
    if ((ret = keyring_create(fd, &own, options, true, &keyring, status)) != 0 ||
        (ret = archive_key_of_home(keyring, label, &id, keyp, status)) != 0 ||
        (ret = encode(keyring, parent, datap, lenp, status)) != 0)
        goto err;

err:
    if (ret != 0) {
        secret_free(*keyp);
        *keyp = NULL;
    }
    keyring_close(keyring);
    (void)close(fd);
    return (ret);
}

int
archive_key_open(const SETTINGS *settings, const uint8_t *data, size_t len,
  const KEYRING_OPTIONS *options, const char *label, SECRET **keyp, STATUS *status)
{
    KEYRING_OPTIONS reading = *options;
    SETTINGS own;
    KEYRING *keyring = NULL;
    uint64_t id;
    int fd, ret;

    *keyp = NULL;
    settings_for_archive(settings, &own);
    reading.read_only = true;
    if ((ret = file_open_dir("/", &fd, status)) != 0)
        return (ret);
    if ((ret = keyring_open_bytes(fd, data, len, &own, &reading, &keyring, status)) == 0)
        ret = archive_key_of_home(keyring, label, &id, keyp, status);
    keyring_close(keyring);
    (void)close(fd);
    return (ret);
}
