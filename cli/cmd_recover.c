/*
 * cli/cmd_recover.c -- wtkms keystore recover: open by the offline private key, wrap anew.
 *
 * The private key is read as the caller: it is his, from a medium that the database's user never
 * sees. The payloads that it opens go to keyring_open_with, which checks them, the seal and all
 * data keys like any other open; only then is anything written.
 */
#include "cli/cli.h"
#include "cli/keystore_view.h"
#include "cli/target.h"
#include "common/clock.h"
#include "common/file.h"
#include "crypto/encode.h"
#include "crypto/rsa.h"
#include "kms_clients/kms_client.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PEM_MAX (64 * 1024)
#define PASSPHRASE_MAX 1024
#define KMS_TIMEOUT_MS 30000

const OPTIONS_ENTRY cmd_keystore_recover_options[] = {
  {"private-key", 0, OPTIONS_TEXT, "FILE", offsetof(OPTIONS, private_key), NULL, 0, 0,
    "The private half of the recipient \"publickey\", PEM."},
  {"passphrase-file", 0, OPTIONS_TEXT, "FILE", offsetof(OPTIONS, passphrase_file), NULL, 0, 0,
    "Holds the passphrase of the private key; its first line counts."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

typedef struct {
    SECRET *pem;
    SECRET *passphrase; /* or NULL */
    KEYRING_PAYLOAD *payloads;
    SECRET **secrets; /* the payloads', owned */
    size_t count;
} RECOVERY;

static int
read_secret(const char *path, size_t max, SECRET **secretp, STATUS *status)
{
    size_t len;
    int fd, ret;
    bool full;

    *secretp = NULL;
    if ((ret = file_open_read(AT_FDCWD, path, false, NULL, &fd, status)) != 0)
        return (ret);
    if ((ret = file_check_secret(fd, path, status)) != 0 ||
        (ret = secret_new(max, secretp, status)) != 0)
        goto err;
    if ((ret = file_read_into(fd, path, secret_data(*secretp), max, &len, &full, status)) != 0)
        goto err;
    if (len == 0 || full) {
        ret = status_set(
          status, STATUS_CONFIG, "secret-file", "%s is %s", path, full ? "too long" : "empty");
        goto err;
    }
    secret_truncate(*secretp, len);
    (void)close(fd);
    return (0);

err:
    secret_free(*secretp);
    *secretp = NULL;
    (void)close(fd);
    return (ret);
}

static int
read_key(const OPTIONS *options, RECOVERY *recovery, STATUS *status)
{
    const uint8_t *newline;
    size_t len;
    int ret;

    if (options->private_key == NULL)
        return (status_set(status, STATUS_REFUSED, "usage", "--private-key is missing"));
    if ((ret = read_secret(options->private_key, PEM_MAX, &recovery->pem, status)) != 0 ||
        options->passphrase_file == NULL)
        return (ret);
    if ((ret = read_secret(
           options->passphrase_file, PASSPHRASE_MAX, &recovery->passphrase, status)) != 0)
        return (ret);
    newline = memchr(secret_bytes(recovery->passphrase), '\n', secret_len(recovery->passphrase));
    if (newline != NULL) {
        len = (size_t)(newline - secret_bytes(recovery->passphrase));
        if (len == 0)
            return (status_set(status, STATUS_CONFIG, "secret-file",
              "the first line of %s is empty", options->passphrase_file));
        secret_truncate(recovery->passphrase, len);
    }
    return (0);
}

/*
 * The payload of one master key, through whichever of its recipients this private key is of.
 */
static int
open_master(RECOVERY *recovery, const KEYSTORE_MASTER *master, SECRET **payloadp, STATUS *status)
{
    const KEYSTORE_RECIPIENT *recipient;
    uint8_t fingerprint[RSA_FINGERPRINT_LEN];
    char key_id[sizeof("publickey:") + 2 * RSA_FINGERPRINT_LEN] = "publickey:";
    STATUS tried;
    size_t i, offered = 0;

    *payloadp = NULL;
    status_clear(&tried);
    for (i = 0; i < master->recipient_count; i++) {
        recipient = &master->recipients[i];
        if (strcmp(recipient->provider, "publickey") != 0)
            continue;
        offered++;
        memset(fingerprint, 0, sizeof(fingerprint));
        if (rsa_unwrap(recovery->pem, recovery->passphrase, recipient->wrapped,
              recipient->wrapped_len, fingerprint, payloadp, &tried) == 0)
            return (0);
        encode_hex(fingerprint, sizeof(fingerprint), key_id + strlen("publickey:"));
        if (tried.status_class == STATUS_CONFIG || strcmp(key_id, recipient->key_id) == 0) {
            *status = tried;
            return (status_add(status, "opening master key %016llx of scope %s",
              (unsigned long long)master->id, master->scope));
        }
    }
    if (offered == 0) {
        (void)status_set(status, STATUS_NO_KEY, "no-publickey",
          "master key %016llx of scope %s has no recipient \"publickey\"",
          (unsigned long long)master->id, master->scope);
        return (status_hint(status, "only recipients that were there before the loss can open it"));
    }
    (void)status_set(status, STATUS_NO_KEY, "other-private-key",
      "the private key is %s, which is no recipient of master key %016llx of scope %s", key_id,
      (unsigned long long)master->id, master->scope);
    return (status_hint(status, "\"wtkms keystore show\" names the recipients"));
}

static int
open_masters(RECOVERY *recovery, const KEYSTORE *keystore, STATUS *status)
{
    const KEYSTORE_MASTER *master;
    size_t i;
    int ret;

    recovery->payloads = output_allocate(keystore->master_count, sizeof(*recovery->payloads));
    recovery->secrets = output_allocate(keystore->master_count, sizeof(*recovery->secrets));
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        if ((ret = open_master(recovery, master, &recovery->secrets[recovery->count], status)) != 0)
            return (ret);
        recovery->payloads[recovery->count].master_key_id = master->id;
        recovery->payloads[recovery->count].payload = recovery->secrets[recovery->count];
        recovery->count++;
    }
    return (0);
}

static void
release(RECOVERY *recovery)
{
    size_t i;

    for (i = 0; i < recovery->count; i++)
        secret_free(recovery->secrets[i]);
    free(recovery->secrets);
    free(recovery->payloads);
    secret_free(recovery->pem);
    secret_free(recovery->passphrase);
}

/* What the edit is given. */
typedef struct {
    const RECOVERY *recovery;
    const SETTINGS *settings;
    const LOG *log;
} EDIT;

static int
wrap_for(const CONFIG_NODE *entry, const EDIT *edit, const KMS_CONTEXT *context,
  const SECRET *payload, KEYSTORE_MASTER *master, STATUS *status)
{
    KEYSTORE_RECIPIENT *recipient;
    KMS_CLIENT *client = NULL;
    KMS_WRAPPED wrapped;
    int ret;

    memset(&wrapped, 0, sizeof(wrapped));
    if ((ret = kms_client_open(entry, edit->log, &client, status)) != 0)
        return (ret);
    if ((ret = kms_client_wrap(client, KMS_TIMEOUT_MS, context, payload, &wrapped, status)) != 0 ||
        (ret = keystore_add_recipient(master, &recipient, status)) != 0)
        goto err;
    recipient->provider = strdup(kms_client_provider(client));
    recipient->key_id = wrapped.key_id;
    recipient->credential = wrapped.credential;
    recipient->wrapped = wrapped.wrapped;
    recipient->wrapped_len = wrapped.wrapped_len;
    memset(&wrapped, 0, sizeof(wrapped));
    recipient->time = clock_unix_ms();
    if (recipient->provider == NULL)
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a recipient");

err:
    kms_wrapped_release(&wrapped);
    kms_client_close(client);
    return (ret);
}

static void
drop_recipients(KEYSTORE_MASTER *master)
{
    size_t i;

    for (i = 0; i < master->recipient_count; i++) {
        free(master->recipients[i].provider);
        free(master->recipients[i].key_id);
        free(master->recipients[i].credential);
        free(master->recipients[i].wrapped);
    }
    free(master->recipients);
    master->recipients = NULL;
    master->recipient_count = 0;
}

static const SECRET *
payload_of(const RECOVERY *recovery, uint64_t master_key_id)
{
    size_t i;

    for (i = 0; i < recovery->count; i++)
        if (recovery->payloads[i].master_key_id == master_key_id)
            return (recovery->payloads[i].payload);
    return (NULL);
}

/*
 * Before anything is written: the configuration's recipients are there, and one of each scope opens.
 */
static int
check_recipients(const SETTINGS *settings, const LOG *log, STATUS *status)
{
    const SETTINGS_SCOPE *scope;
    KMS_CLIENT *client;
    size_t e, i;
    int ret;
    bool opens;

    for (i = 0; i < settings->scope_count; i++) {
        scope = &settings->scopes[i];
        for (opens = false, e = 0; e < scope->count; e++) {
            if ((ret = kms_client_open(scope->entries[e], log, &client, status)) != 0)
                return (ret);
            opens = opens || kms_client_can_unwrap(client);
            kms_client_close(client);
        }
        if (!opens)
            return (config_error(scope->entries[0], status, "no-opening-recipient",
              "the recipients of scope %s can wrap only: the database could not open",
              scope->name));
    }
    return (0);
}

static int
rewrap(KEYRING *keyring, KEYSTORE *keystore, void *arg, STATUS *status)
{
    const EDIT *edit = arg;
    const SETTINGS_SCOPE *scope;
    KEYSTORE_MASTER *master;
    KMS_CONTEXT context;
    const SECRET *payload;
    size_t e, i;
    int ret;

    (void)keyring;
    memcpy(context.keystore_uuid, keystore->uuid, sizeof(context.keystore_uuid));
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        if ((payload = payload_of(edit->recovery, master->id)) == NULL)
            return (status_set(status, STATUS_BUSY, "keystore-changed",
              "another process changed the keystore meanwhile"));
        scope = settings_scope_of(edit->settings, master->scope);
        context.master_key_id = master->id;
        context.scope = master->scope;
        drop_recipients(master);
        for (e = 0; e < scope->count; e++)
            if ((ret = wrap_for(scope->entries[e], edit, &context, payload, master, status)) != 0)
                return (status_add(status, "wrapping master key %016llx of scope %s",
                  (unsigned long long)master->id, master->scope));
    }
    return (0);
}

static int
report(const OPTIONS *options, KEYRING *keyring, STATUS *status)
{
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    bson_t json;
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i, r;
    int ret = 0;

    keystore_uuid_text(keystore->uuid, uuid);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        keystore_view_header(&json, keystore);
        keystore_view_masters(&json, keystore, false);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else {
        (void)printf("Recovered keystore %s, now generation %lld. It opens with:\n", uuid,
          (long long)keystore->generation);
        for (i = 0; i < keystore->master_count; i++)
            for (r = 0; r < keystore->masters[i].recipient_count; r++)
                (void)printf("  %s: %s %s\n", keystore->masters[i].scope,
                  keystore->masters[i].recipients[r].provider,
                  keystore->masters[i].recipients[r].key_id);
    }
    keyring_release_keystore(keyring, keystore);
    return (ret);
}

/*
 * Open with the payloads, write what has no file yet, wrap for the configuration, and open once more
 * the way the database will.
 */
static int
recover(CLI *cli, TARGET *target, const OPTIONS *options, const RECOVERY *recovery,
  const uint8_t *data, size_t len, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = false};
    KEYRING *keyring = NULL;
    EDIT edit = {recovery, target->settings, &cli->log};
    int ret;

    if ((ret = keyring_open_with(target->fd, data, len, target->settings, recovery->payloads,
           recovery->count, &keyring_options, &keyring, status)) != 0)
        return (ret);
    /* What was opened with payloads counts as a copy until it is written, wherever it was read. */
    if ((ret = keyring_adopt(keyring, options->reason, status)) != 0)
        goto err;
    if ((ret = keyring_update(keyring, "recover", options->reason, rewrap, &edit, status)) != 0)
        goto err;
    keyring_close(keyring);
    if ((ret = keyring_open(target->fd, target->settings, &keyring_options, &keyring, status)) != 0)
        return (status_add(status, "when opening what was recovered"));
    ret = report(options, keyring, status);

err:
    keyring_close(keyring);
    return (ret);
}

int
cmd_keystore_recover(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore = NULL;
    RECOVERY recovery;
    TARGET target;
    uint8_t *data = NULL;
    size_t len;
    int ret;
    bool found;

    memset(&recovery, 0, sizeof(recovery));
    if ((ret = read_key(options, &recovery, status)) != 0) {
        release(&recovery);
        return (ret);
    }
    if ((ret = target_open(options->operands[0], &target, status)) != 0) {
        release(&recovery);
        return (ret);
    }
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = target_refuse_running(&target, status)) != 0 ||
        (ret = check_recipients(target.settings, &cli->log, status)) != 0 ||
        (ret = keyring_locate(
           target.fd, target.settings, &found, &source, &keystore, &data, &len, status)) != 0)
        goto err;
    if (!found) {
        ret = status_set(status, STATUS_NO_KEY, "keystore-missing",
          "%s has neither a keystore nor a copy of it in WiredTiger.config", target.path);
        (void)status_hint(status, "\"wtkms keystore restore\" puts a backup back");
        goto err;
    }
    if ((ret = open_masters(&recovery, keystore, status)) != 0)
        goto err;
    ret = recover(cli, &target, options, &recovery, data, len, status);

err:
    release(&recovery);
    free(data);
    keystore_free(keystore);
    target_close(&target);
    return (ret);
}
