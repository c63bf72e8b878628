/*
 * cli/cmd_restore.c -- wtkms keystore restore: a backup comes back, after it was held against the home.
 */
#include "cli/cli.h"
#include "cli/keystore_view.h"
#include "cli/prove.h"
#include "cli/survey.h"
#include "cli/target.h"
#include "common/file.h"
#include "keystore/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000

const OPTIONS_ENTRY cmd_keystore_restore_options[] = {
  {"from", 0, OPTIONS_TEXT, "FILE", offsetof(OPTIONS, from), NULL, 0, 0, "The backup."},
  {"force", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, force), NULL, 0, 0,
    "Accept an older backup, or one of another uuid; needs --reason."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

typedef struct {
    uint8_t *data;
    size_t len;
    KEYSTORE *keystore;
    bool proved;
    bool no_units;
    bool displaces; /* by force: a keystore file that keyring_adopt would not replace */
} BACKUP;

static int
read_backup(const char *path, BACKUP *backup, STATUS *status)
{
    int ret;

    if ((ret = file_read(AT_FDCWD, path, KEYSTORE_MAX_BYTES, false, NULL, &backup->data,
           &backup->len, status)) == 0 &&
        (ret = keystore_decode(backup->data, backup->len, &backup->keystore, status)) != 0)
        (void)status_add(status, "in %s", path);
    if (ret == 0 && backup->keystore->partial)
        ret = status_set(
          status, STATUS_REFUSED, "mirror-partial", "%s is only a part of a keystore", path);
    return (ret);
}

static int
needs_force(const OPTIONS *options, STATUS *status)
{
    if (options->force && options->reason != NULL)
        return (0);
    return (status_hint(status, "if that is wanted: --force --reason TEXT"));
}

/*
 * Against the keystore that is there, or its copy in WiredTiger.config.
 */
static int
compare_with_present(
  CLI *cli, const TARGET *target, const OPTIONS *options, BACKUP *backup, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *present = NULL;
    char uuid[KEYSTORE_UUID_TEXT];
    int ret;
    bool found;

    ret =
      keyring_locate(target->fd, target->settings, &found, &source, &present, NULL, NULL, status);
    if (ret == STATUS_CORRUPT || ret == STATUS_REFUSED) {
        log_printf(
          &cli->log, LOG_WARNING, "the keystore that is there cannot be read: %s", status->message);
        return (0);
    }
    if (ret != 0 || !found)
        return (ret);
    keystore_uuid_text(present->uuid, uuid);
    if (memcmp(present->uuid, backup->keystore->uuid, sizeof(present->uuid)) != 0) {
        (void)status_set(status, STATUS_REFUSED, "keystore-other",
          "%s has keystore %s, the backup is of another one", target->path, uuid);
        ret = needs_force(options, status);
        backup->displaces = source == KEYRING_FROM_FILE;
    } else if (backup->keystore->generation < present->generation) {
        (void)status_set(status, STATUS_REFUSED, "keystore-older",
          "the backup has generation %lld, the keystore that is there %lld",
          (long long)backup->keystore->generation, (long long)present->generation);
        ret = needs_force(options, status);
        backup->displaces = source == KEYRING_FROM_FILE;
    }
    keystore_free(present);
    return (ret);
}

/*
 * Every data key that a unit of the home is under must be in the backup, forced or not.
 */
static int
check_keys_suffice(const TARGET *target, BACKUP *backup, STATUS *status)
{
    const KEYSTORE_DATA_KEY *key;
    SURVEY survey;
    SURVEY_USE *uses = NULL;
    size_t count, i;
    int ret;

    if ((ret = survey_home(target, false, false, &survey, status)) != 0)
        goto err;
    count = survey_uses(&survey, &uses);
    backup->no_units = count == 0;
    for (i = 0; i < count; i++) {
        key = keystore_data_key(backup->keystore, uses[i].data_key_id);
        if (key != NULL && key->state != KEYSTORE_RETIRED)
            continue;
        ret = status_set(status, STATUS_NO_KEY, "backup-lacks-key",
          "%llu units of %s are under data key %016llx, which the backup does not have",
          (unsigned long long)uses[i].units, target->path, (unsigned long long)uses[i].data_key_id);
        (void)status_hint(status, "a newer backup is needed, or one of another home");
        break;
    }

err:
    free(uses);
    survey_release(&survey);
    return (ret);
}

/*
 * By force the copy in WiredTiger.config gives way too: keyring_adopt replaces no newer one. *oldp is the
 * file's text, to put back when the rest fails; NULL when nothing was changed.
 */
static int
drop_mirror(const TARGET *target, uint8_t **oldp, size_t *old_lenp, STATUS *status)
{
    uint8_t *old = NULL;
    char *text = NULL;
    size_t len;
    int ret;
    bool found;

    *oldp = NULL;
    if ((ret = file_read(
           target->fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &old, old_lenp, status)) != 0 ||
        !found)
        goto err;
    if ((ret = mirror_render(
           (const char *)old, *old_lenp, NULL, NULL, 0, false, &text, &len, status)) != 0 ||
        (ret = file_replace(target->fd, MIRROR_FILE, text, len, 0644, false, status)) != 0)
        goto err;
    *oldp = old;
    old = NULL;

err:
    free(old);
    free(text);
    return (ret);
}

/*
 * The keystore that gives way by force is not destroyed: it may be the one that was wanted after all.
 */
static int
adopt(CLI *cli, const TARGET *target, const OPTIONS *options, const BACKUP *backup,
  KEYRING *keyring, STATUS *status)
{
    STATUS undo;
    const char *name = KEYRING_FILE;
    char aside[NAME_MAX + 1];
    uint8_t *mirror = NULL;
    size_t mirror_len = 0;
    int dirfd = -1, ret = 0;
    bool moved = false;

    if (target->settings->keystore != NULL) {
        if ((ret = file_split_path(target->settings->keystore, &dirfd, &name, status)) != 0)
            return (ret);
    } else if ((dirfd = fcntl(target->fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return (status_set_errno(status, errno, "home", "%s", target->path));
    (void)snprintf(aside, sizeof(aside), "%s.replaced-%lld", name, (long long)time(NULL));
    if (backup->displaces && renameat2(dirfd, name, dirfd, aside, RENAME_NOREPLACE) == 0)
        moved = true;
    else if (backup->displaces) {
        ret = status_set_errno(status, errno, "keystore-aside", "renaming %s to %s", name, aside);
        goto err;
    }
    if ((options->force && (ret = drop_mirror(target, &mirror, &mirror_len, status)) != 0) ||
        (ret = keyring_adopt(
           keyring, options->reason == NULL ? options->from : options->reason, status)) != 0)
        goto err;
    if (moved)
        log_printf(&cli->log, LOG_INFO, "the keystore that was there is kept as %s", aside);

err:
    if (ret != 0 && mirror != NULL &&
        file_replace(target->fd, MIRROR_FILE, mirror, mirror_len, 0644, false, &undo) != 0)
        (void)status_add(status, "and the copy in %s is lost: %s", MIRROR_FILE, undo.message);
    if (ret != 0 && moved && renameat2(dirfd, aside, dirfd, name, RENAME_NOREPLACE) != 0)
        (void)status_add(status, "and the keystore that was there is now %s", aside);
    free(mirror);
    (void)close(dirfd);
    return (ret);
}

static int
report(const OPTIONS *options, const BACKUP *backup, KEYRING *keyring, STATUS *status)
{
    bson_t json;
    char uuid[KEYSTORE_UUID_TEXT];
    int ret;

    keystore_uuid_text(backup->keystore->uuid, uuid);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "uuid", uuid);
        output_json_number(&json, "backupGeneration", backup->keystore->generation);
        output_json_number(&json, "generation", keyring_generation(keyring));
        output_json_bool(&json, "proved", backup->proved);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
        return (ret);
    }
    (void)printf("Restored keystore %s, generation %lld. %s\n", uuid,
      (long long)keyring_generation(keyring),
      backup->proved ? "It decrypts the data of this home."
                     : "The home has no encrypted data yet that it could be tried on.");
    return (0);
}

static int
restore(CLI *cli, TARGET *target, const OPTIONS *options, BACKUP *backup, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = false};
    KEYRING *keyring = NULL;
    int ret;

    if ((ret = target_load(target, options->config, status)) != 0 ||
        (ret = target_refuse_running(target, status)) != 0 ||
        (ret = compare_with_present(cli, target, options, backup, status)) != 0 ||
        (ret = check_keys_suffice(target, backup, status)) != 0 ||
        (ret = keyring_open_bytes(target->fd, backup->data, backup->len, target->settings,
           &keyring_options, &keyring, status)) != 0 ||
        (ret = prove_home(target, keyring, &backup->proved, status)) != 0)
        goto err;
    if (!backup->proved && !backup->no_units) {
        ret = status_set(status, STATUS_CORRUPT, "nothing-to-prove",
          "no unit of %s is whole, so the backup cannot be tried on one", target->path);
        goto err;
    }
    if ((ret = adopt(cli, target, options, backup, keyring, status)) != 0)
        goto err;
    ret = report(options, backup, keyring, status);

err:
    keyring_close(keyring);
    return (ret);
}

int
cmd_keystore_restore(CLI *cli, const OPTIONS *options, STATUS *status)
{
    BACKUP backup;
    TARGET target;
    int ret;

    memset(&backup, 0, sizeof(backup));
    if (options->from == NULL)
        return (status_set(status, STATUS_REFUSED, "usage", "--from is missing"));
    if (options->force && options->reason == NULL)
        return (status_set(status, STATUS_REFUSED, "usage", "--force needs --reason"));
    if ((ret = read_backup(options->from, &backup, status)) == 0 &&
        (ret = target_open(options->operands[0], &target, status)) == 0) {
        ret = restore(cli, &target, options, &backup, status);
        target_close(&target);
    }
    free(backup.data);
    keystore_free(backup.keystore);
    return (ret);
}
