/*
 * cli/cmd_kms_key.c -- wtkms kms create-key: a customer key on a KMIP server, which often has no command of its own.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "keystore/settings.h"
#include "kms_clients/kms_client.h"

#include <stdlib.h>
#include <string.h>

#define CREATE_TIMEOUT_MS 30000

const OPTIONS_ENTRY cmd_kms_create_key_options[] = {
  {"keyid", 0, OPTIONS_TEXT, "KEYID", offsetof(OPTIONS, keyid), NULL, 0, 0,
    "For this keyid under keys:, instead of what is under kms:."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

/* Providers whose keys are made by a tool that their users have. */
static const struct {
    const char *provider, *how;
} others[] = {
  {"aws", "aws kms create-key, and aws kms create-alias for a name"},
  {"azure",
    "az keyvault key create --vault-name VAULT --name NAME --kty RSA-HSM --size 3072 --ops wrapKey "
    "unwrapKey"},
  {"gcp", "gcloud kms keys create NAME --keyring RING --location LOCATION --purpose encryption "
          "--rotation-period 90d --next-rotation-time TIME"},
  {"vault", "vault write -f transit/keys/NAME, or bao write -f transit/keys/NAME"},
  {"local", "wtkms keygen FILE"},
  {"publickey",
    "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072, on a machine that is not the "
    "database's"},
};

static const char *
entry_value(const CONFIG_NODE *entry, const char *name)
{
    const CONFIG_NODE *node = config_get(entry, name);

    return (node == NULL || node->value == NULL ? "" : node->value);
}

/* The entry to make a key for: the first of a KMIP server, one that names a key that may not exist yet before others.
 */
static int
find_entry(const SETTINGS *settings, const char *name, const CONFIG_NODE **entryp, STATUS *status)
{
    const SETTINGS_SCOPE *scope = NULL;
    const CONFIG_NODE *entry;
    const char *provider;
    size_t i;

    *entryp = NULL;
    for (i = 0; i < settings->scope_count && scope == NULL; i++)
        if (strcmp(settings->scopes[i].name, name) == 0)
            scope = &settings->scopes[i];
    if (scope == NULL || scope->count == 0)
        return (status_set(
          status, STATUS_CONFIG, "create-key-scope", "the configuration has no keys: %s", name));
    for (i = 0; i < scope->count; i++) {
        entry = scope->entries[i];
        if (strcmp(entry_value(entry, "provider"), "kmip") == 0 &&
            (*entryp == NULL ||
              (config_get(*entryp, "keyName") == NULL && config_get(entry, "keyName") != NULL)))
            *entryp = entry;
    }
    if (*entryp != NULL)
        return (0);
    provider = entry_value(scope->entries[0], "provider");
    (void)status_set(status, STATUS_REFUSED, "create-key-provider",
      "keys are made here on KMIP servers only; scope \"%s\" has an entry of provider %s", name,
      provider);
    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(others[i].provider, provider) == 0)
            return (status_hint(status, "%s", others[i].how));
    return (STATUS_REFUSED);
}

int
cmd_kms_create_key(CLI *cli, const OPTIONS *options, STATUS *status)
{
    const char *scope = options->keyid == NULL ? SETTINGS_DEFAULT_SCOPE : options->keyid;
    const CONFIG_NODE *entry;
    SETTINGS *settings;
    bson_t json;
    char uid[KMS_KEY_ID_MAX + 1], *safe;
    int ret;

    if ((ret = settings_load(
           options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, &settings, status)) != 0)
        return (ret);
    if ((ret = find_entry(settings, scope, &entry, status)) != 0 ||
        (ret = kms_kmip_key_create(entry, &cli->log, CREATE_TIMEOUT_MS, uid, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "provider", "kmip");
        output_json_text(&json, "key", uid);
        output_json_text(&json, "keyName", entry_value(entry, "keyName"));
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
    } else {
        safe = output_safe(uid);
        (void)printf("%s\n", safe);
        free(safe);
    }

err:
    settings_free(settings);
    return (ret);
}
