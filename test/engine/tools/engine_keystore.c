/*
 * test/engine/tools/engine_keystore.c -- Changes a keystore as rotation and pruning do, for the tests on
 * real engines: a sealed keystore that lacks a key which data still use.
 *
 *   engine_keystore HOME CONFIG rotate KEYID            a new version of a keyid's data key
 *   engine_keystore HOME CONFIG remove KEYID VERSION    drop a version, whoever needs it
 */
#include "crypto/random.h"
#include "keystore/keyring.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *keyid;
    uint32_t version;
    unsigned found;
} TARGET_KEY;

static bool
is_target(const KEYSTORE_DATA_KEY *data_key, void *context)
{
    TARGET_KEY *target = context;

    if (strcmp(data_key->keyid, target->keyid) != 0 || data_key->version != target->version)
        return (false);
    target->found++;
    return (true);
}

static int
edit_remove(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    TARGET_KEY *target = context;

    (void)keyring;
    keystore_remove_data_keys(keystore, is_target, target);
    if (target->found != 1)
        return (status_set(status, STATUS_NOT_FOUND, "test-no-version",
          "the keystore has %u keys of that keyid and version", target->found));
    return (0);
}

static int
edit_rotate(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const TARGET_KEY *target = context;
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret = NULL;
    size_t i;
    uint32_t version = 0;
    int ret;

    for (i = 0; i < keystore->data_key_count; i++) {
        data_key = &keystore->data_keys[i];
        if (strcmp(data_key->keyid, target->keyid) != 0)
            continue;
        data_key->state = KEYSTORE_READABLE;
        if (data_key->version > version)
            version = data_key->version;
    }
    if ((ret = keystore_add_data_key(keystore, &data_key, status)) != 0)
        goto err;
    data_key->version = version + 1;
    data_key->state = KEYSTORE_ACTIVE;
    if ((data_key->keyid = strdup(target->keyid)) == NULL) {
        ret = status_set(status, STATUS_NO_MEMORY, "test-memory", "no memory");
        goto err;
    }
    if ((ret = random_id(&data_key->id, status)) != 0)
        goto err;
    if ((ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
        goto err;
    ret = keyring_wrap_data_key(keyring, keystore, data_key, secret, status);
err:
    secret_free(secret);
    return (ret);
}

int
main(int argc, char **argv)
{
    KEYRING *keyring = NULL;
    KEYRING_EDIT edit = NULL;
    KEYRING_OPTIONS options;
    SETTINGS *settings = NULL;
    STATUS status;
    TARGET_KEY target = {0};
    int fd = -1, ret;

    if (argc == 5 && strcmp(argv[3], "rotate") == 0)
        edit = edit_rotate;
    if (argc == 6 && strcmp(argv[3], "remove") == 0) {
        edit = edit_remove;
        target.version = (uint32_t)strtoul(argv[5], NULL, 10);
    }
    if (edit == NULL) {
        fprintf(stderr, "usage: engine_keystore HOME CONFIG rotate KEYID | remove KEYID VERSION\n");
        return (2);
    }
    target.keyid = argv[4];
    status_clear(&status);
    memset(&options, 0, sizeof(options));
    options.kms_timeout_ms = 5000;

    if ((fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        perror(argv[1]);
        return (1);
    }
    if ((ret = settings_load(argv[2], &settings, &status)) != 0)
        goto err;
    if ((ret = keyring_open(fd, settings, &options, &keyring, &status)) != 0)
        goto err;
    ret = keyring_update(keyring, argv[3], "engine tests", edit, &target, &status);
err:
    if (ret != 0)
        fprintf(stderr, "engine_keystore: %s\n", status.message);
    keyring_close(keyring);
    settings_free(settings);
    (void)close(fd);
    return (ret == 0 ? 0 : 1);
}
