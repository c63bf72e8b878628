/*
 * cli/snapshot_keys.c -- The keys of a copy. See snapshot_keys.h.
 */
#include "cli/snapshot_keys.h"

#include "cli/home_access.h"
#include "cli/output.h"
#include "keystore/archive_key.h"
#include "keystore/mirror.h"

#include <stdlib.h>
#include <string.h>

#define KMS_TIMEOUT_MS 30000

int
snapshot_keys_locate(int fd, SNAPSHOT_KEYS *keys, STATUS *status)
{
    memset(keys, 0, sizeof(*keys));
    return (keyring_locate(
      fd, NULL, &keys->found, &keys->source, &keys->keystore, &keys->data, &keys->len, status));
}

int
snapshot_keys_take(const uint8_t *keystore, size_t keystore_len, const uint8_t *config,
  size_t config_len, SNAPSHOT_KEYS *keys, STATUS *status)
{
    MIRROR mirror;
    int ret;

    memset(keys, 0, sizeof(*keys));
    memset(&mirror, 0, sizeof(mirror));
    if (keystore == NULL) {
        if (config == NULL)
            return (0);
        if ((ret = mirror_parse((const char *)config, config_len, &mirror, status)) != 0)
            return (status_add(status, "in %s", MIRROR_FILE));
        keystore = mirror.keystore;
        keystore_len = mirror.keystore_len;
        keys->source = KEYRING_FROM_MIRROR;
    }
    if (keystore == NULL) {
        mirror_release(&mirror);
        return (0);
    }
    keys->found = true;
    keys->data = output_allocate(keystore_len, 1);
    memcpy(keys->data, keystore, keystore_len);
    keys->len = keystore_len;
    mirror_release(&mirror);
    if ((ret = keystore_decode(keys->data, keys->len, &keys->keystore, status)) != 0)
        (void)status_add(status, "in the copy's %s",
          keys->source == KEYRING_FROM_MIRROR ? MIRROR_FILE : KEYRING_FILE);
    return (ret);
}

/* --- recipients */

static const KEYSTORE_RECIPIENT *
find_trusted(const KEYSTORE *keystore, const char *trust)
{
    const KEYSTORE_MASTER *master;
    size_t i, r;

    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        for (r = 0; master->state == KEYSTORE_ACTIVE && r < master->recipient_count; r++)
            if (strcmp(master->recipients[r].key_id, trust) == 0)
                return (&master->recipients[r]);
    }
    return (NULL);
}

static void
add_entries(const SETTINGS *settings, const char *name, SETTINGS_SCOPE *scope)
{
    const SETTINGS_SCOPE *configured;

    if (settings == NULL)
        return;
    configured = settings_scope_of(settings, name);
    memcpy(scope->entries + scope->count, configured->entries,
      configured->count * sizeof(*scope->entries));
    scope->count += configured->count;
}

/* The scopes that the keystore has, each with what the configurations name for it. */
static int
join(SNAPSHOT_KEYS *keys, const SETTINGS *settings, const SETTINGS *from, STATUS *status)
{
    const KEYSTORE_MASTER *master;
    SETTINGS_SCOPE *scope;
    size_t i, count;

    keys->settings.node = (char *)(uintptr_t) "";
    keys->settings.scopes =
      output_allocate(keys->keystore->master_count, sizeof(*keys->settings.scopes));
    for (i = 0; i < keys->keystore->master_count; i++) {
        master = &keys->keystore->masters[i];
        if (master->state != KEYSTORE_ACTIVE)
            continue;
        scope = &keys->settings.scopes[keys->settings.scope_count++];
        scope->name = master->scope;
        count = (settings == NULL ? 0 : settings_scope_of(settings, master->scope)->count) +
                (from == NULL ? 0 : settings_scope_of(from, master->scope)->count) +
                (keys->trusted == NULL ? 0 : 1);
        if (count == 0 || count > KEYSTORE_RECIPIENTS_MAX)
            return (status_set(status, STATUS_CONFIG, "snapshot-recipients",
              "scope \"%s\" has %zu recipients to be asked, 1 to %d are possible", master->scope,
              count, KEYSTORE_RECIPIENTS_MAX));
        scope->entries = output_allocate(count, sizeof(*scope->entries));
        add_entries(settings, master->scope, scope);
        add_entries(from, master->scope, scope);
        if (keys->trusted != NULL)
            scope->entries[scope->count++] = keys->trusted;
    }
    /* The default scope is looked for at the front. */
    for (i = 1; i < keys->settings.scope_count; i++)
        if (strcmp(keys->settings.scopes[i].name, SETTINGS_DEFAULT_SCOPE) == 0) {
            SETTINGS_SCOPE first = keys->settings.scopes[i];

            keys->settings.scopes[i] = keys->settings.scopes[0];
            keys->settings.scopes[0] = first;
        }
    return (0);
}

/* --- opening */

/* What to do about a copy whose key does not open, by what the key service said. */
static void
advise(STATUS *status)
{
    bool destroyed = strcasestr(status->message, "destroyed") != NULL;

    switch (status->status_class) {
    case STATUS_DISABLED:
        (void)status_hint(status, destroyed
                                    ? "a destroyed key cannot be recovered: only another recipient "
                                      "or the offline key (wtkms keystore recover) opens this copy"
                                    : "re-enable it or cancel its deletion, then run this again; "
                                      "once it is destroyed this copy cannot be recovered");
        break;
    case STATUS_NOT_FOUND:
        (void)status_hint(status,
          "a deleted key cannot be recovered: only another recipient or the offline key (wtkms "
          "keystore recover) opens this copy; if the key exists, the configuration asks the wrong "
          "account or region");
        break;
    case STATUS_DENIED:
        (void)status_hint(
          status, "let this credential unwrap with the copy's key, or use one that may");
        break;
    case STATUS_UNAVAILABLE:
        (void)status_hint(status, "the key service could not be reached: run this again later");
        break;
    case STATUS_NO_KEY:
        (void)status_hint(
          status, "name the copy's customer key: --config or --from FILE, or --trust-key ID");
        break;
    default:
        break;
    }
}

int
snapshot_keys_open(int fd, const SETTINGS *settings, const SETTINGS *from, const char *trust,
  bool partial, const LOG *log, SNAPSHOT_KEYS *keys, STATUS *status)
{
    KEYRING_OPTIONS options = {
      .log = log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = true, .accept_partial = partial};
    const KEYSTORE_RECIPIENT *trusted;
    int ret;

    if (trust != NULL) {
        if ((trusted = find_trusted(keys->keystore, trust)) == NULL)
            return (status_set(status, STATUS_REFUSED, "trust-key-unrecorded",
              "--trust-key: the copy is not wrapped for %s", trust));
        if ((ret = home_access_trusted(trusted, &keys->trusted, status)) != 0)
            return (ret);
    }
    if ((ret = join(keys, settings, from, status)) != 0)
        return (ret);
    ret = keyring_open_bytes(
      fd, keys->data, keys->len, &keys->settings, &options, &keys->keyring, status);
    if (ret != 0)
        advise(status);
    return (ret);
}

int
snapshot_keys_check_manifest(const SNAPSHOT_KEYS *keys, const uint8_t *data, size_t len,
  const MANIFEST *manifest, bool *checkedp, STATUS *status)
{
    SECRET *key = NULL;
    uint64_t id;
    int ret;

    *checkedp = false;
    if (!manifest->has_keystore || keys->keyring == NULL)
        return (0);
    if ((ret = archive_key_of_home(keys->keyring, ARCHIVE_KEY_MANIFEST, &id, &key, status)) == 0 &&
        (ret = manifest_check_mac(data, len, manifest, key, status)) == 0)
        *checkedp = true;
    secret_free(key);
    return (ret);
}

void
snapshot_keys_release(SNAPSHOT_KEYS *keys)
{
    size_t i;

    keyring_close(keys->keyring);
    for (i = 0; i < keys->settings.scope_count; i++)
        free(keys->settings.scopes[i].entries);
    free(keys->settings.scopes);
    config_free(keys->trusted);
    keystore_free(keys->keystore);
    free(keys->data);
    memset(keys, 0, sizeof(*keys));
}
