/*
 * cli/cmd_keystore.c -- wtkms keystore show and backup: a keystore read, and copied away.
 */
#include "cli/cli.h"
#include "cli/keystore_view.h"
#include "cli/target.h"
#include "common/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000

/* A keystore, or a backup of one, named as a file. */
static int
read_file(const char *path, KEYSTORE **keystorep, STATUS *status)
{
    uint8_t *data = NULL;
    size_t len;
    int ret;

    *keystorep = NULL;
    if ((ret = file_read(AT_FDCWD, path, KEYSTORE_MAX_BYTES, false, NULL, &data, &len, status)) !=
        0)
        return (ret);
    if ((ret = keystore_decode(data, len, keystorep, status)) != 0)
        (void)status_add(status, "in %s", path);
    free(data);
    return (ret);
}

static int
missing(const char *path, STATUS *status)
{
    (void)status_set(status, STATUS_NO_KEY, "keystore-missing", "%s has no keystore", path);
    return (status_hint(status, "a keystore kept elsewhere is named by --config"));
}

static int
print_keystore(const KEYSTORE *keystore, const char *source, STATUS *status)
{
    bson_t json;
    int ret;

    bson_init(&json);
    keystore_view_header(&json, keystore);
    output_json_text(&json, "source", source);
    output_json_text(&json, "seal", "not checked");
    keystore_view_masters(&json, keystore, true);
    keystore_view_data_keys(&json, keystore, true);
    keystore_view_history(&json, keystore);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

int
cmd_keystore_show(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore = NULL;
    TARGET target;
    const char *path = options->operands[0];
    struct stat sb;
    int ret;
    bool found;

    (void)cli;
    if (stat(path, &sb) == 0 && S_ISREG(sb.st_mode)) {
        if ((ret = read_file(path, &keystore, status)) == 0)
            ret = print_keystore(keystore, "file", status);
        keystore_free(keystore);
        return (ret);
    }
    if ((ret = target_open(path, &target, status)) != 0)
        return (ret);
    if (options->config != NULL && (ret = target_load(&target, options->config, status)) != 0)
        goto err;
    if ((ret = keyring_locate(
           target.fd, target.settings, &found, &source, &keystore, NULL, NULL, status)) != 0)
        goto err;
    ret = found ? print_keystore(keystore, keystore_view_source(source), status)
                : missing(path, status);

err:
    keystore_free(keystore);
    target_close(&target);
    return (ret);
}

/*
 * Refuse to keep a backup that would not open: only with a configuration can that be known.
 */
static int
verify_bytes(CLI *cli, const TARGET *target, const uint8_t *data, size_t len, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = true};
    KEYRING *keyring;
    int ret;

    if ((ret = keyring_open_bytes(
           target->fd, data, len, target->settings, &keyring_options, &keyring, status)) != 0)
        return (ret);
    keyring_close(keyring);
    return (0);
}

static int
write_backup(
  TARGET *target, const char *destination, const uint8_t *data, size_t len, STATUS *status)
{
    const char *name;
    int dirfd, ret;

    /* The operator's file: as the home's owner root could not write into a directory of its own. */
    if ((ret = target_as_caller(target, status)) != 0)
        return (ret);
    if ((ret = file_split_path(destination, &dirfd, &name, status)) != 0)
        return (ret);
    ret = file_create(dirfd, name, data, len, 0600, status);
    (void)close(dirfd);
    return (ret);
}

int
cmd_keystore_backup(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore = NULL;
    TARGET target;
    bson_t json;
    const char *path = options->operands[0], *destination = options->operands[1], *seal;
    uint8_t *data = NULL;
    char *safe, uuid[KEYSTORE_UUID_TEXT];
    size_t len;
    int ret;
    bool found;

    if ((ret = target_open(path, &target, status)) != 0)
        return (ret);
    if (options->config != NULL && (ret = target_load(&target, options->config, status)) != 0)
        goto err;
    if ((ret = keyring_locate(
           target.fd, target.settings, &found, &source, &keystore, &data, &len, status)) != 0)
        goto err;
    if (!found) {
        ret = missing(path, status);
        goto err;
    }
    if (keystore->partial) {
        ret = status_set(status, STATUS_REFUSED, "mirror-partial",
          "%s has no keystore, and its mirror holds only a part of one", path);
        goto err;
    }
    if (target.settings != NULL && (ret = verify_bytes(cli, &target, data, len, status)) != 0)
        goto err;
    seal = target.settings == NULL ? "not checked" : "verified";
    if ((ret = write_backup(&target, destination, data, len, status)) != 0)
        goto err;

    keystore_uuid_text(keystore->uuid, uuid);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "backup", destination);
        output_json_text(&json, "source", keystore_view_source(source));
        output_json_text(&json, "uuid", uuid);
        output_json_number(&json, "generation", keystore->generation);
        output_json_text(&json, "seal", seal);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else {
        safe = output_safe(destination);
        (void)printf("Wrote %s: keystore %s, generation %lld, from the %s. Seal: %s.\n", safe, uuid,
          (long long)keystore->generation, keystore_view_source(source), seal);
        free(safe);
    }

err:
    free(data);
    keystore_free(keystore);
    target_close(&target);
    return (ret);
}
