/*
 * kms_clients/kms_client.c -- The providers' table, and what holds for all of them. See kms_client.h.
 *
 * A provider's answer is checked here before anybody stores it, and what was recorded is checked
 * before a provider sees it: the keystore it comes from need not be ours.
 */
#include "kms_clients/kms_client.h"

#include "kms_clients/kms_client_provider.h"

#include <stdlib.h>
#include <string.h>

const KMS_PROVIDER *const kms_client_providers[] = {
  &kms_aws, &kms_azure, &kms_gcp, &kms_kmip, &kms_local, &kms_publickey, &kms_vault, NULL};

#define PROVIDER_COUNT (sizeof(kms_client_providers) / sizeof(kms_client_providers[0]) - 1)

const CONFIG_OPTION kms_client_common_options[] = {
  {.name = "provider", .type = OPTION_STRING, .required = true, .help = "The kind of key service."},
  {.name = NULL}};

struct kms_client {
    const KMS_PROVIDER *provider;
    void *options;      /* of the provider */
    void *state;        /* of the provider; NULL until it is open */
    const char *key_id; /* as configured; the state's */
};

static const KMS_PROVIDER *
find_provider(const char *name)
{
    size_t i;

    for (i = 0; kms_client_providers[i] != NULL; i++)
        if (strcmp(kms_client_providers[i]->name, name) == 0)
            return (kms_client_providers[i]);
    return (NULL);
}

/*
 * Which other options an entry may have depends on its provider, so that one is read alone first, as
 * a map of its own.
 */
static int
read_provider(const CONFIG_NODE *entry, const KMS_PROVIDER **providerp, STATUS *status)
{
    const char *names[PROVIDER_COUNT + 1] = {NULL};
    const CONFIG_OPTION table[] = {{.name = kms_client_common_options[0].name,
                                     .type = OPTION_CHOICE,
                                     .required = true,
                                     .choices = names},
      {.name = NULL}};
    CONFIG_NODE map = *entry, child;
    const CONFIG_NODE *found = config_get(entry, table[0].name);
    size_t i;
    int choice;

    if (found != NULL) {
        child = *found;
        child.next = NULL;
        map.children = &child;
    } else
        map.children = NULL;
    for (i = 0; i < PROVIDER_COUNT; i++)
        names[i] = kms_client_providers[i]->name;
    if (config_read(&map, table, NULL, &choice, status) != 0)
        return ((int)status->status_class);
    *providerp = kms_client_providers[choice];
    return (0);
}

int
kms_client_open(const CONFIG_NODE *entry, const LOG *log, KMS_CLIENT **clientp, STATUS *status)
{
    KMS_CLIENT *client = NULL;
    const KMS_PROVIDER *provider;

    *clientp = NULL;
    if (read_provider(entry, &provider, status) != 0)
        return ((int)status->status_class);
    if ((client = calloc(1, sizeof(*client))) == NULL ||
        (client->options = calloc(1, provider->options_size)) == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service");
        goto err;
    }
    client->provider = provider;
    if (config_read(entry, provider->options, kms_client_common_options, client->options, status) !=
          0 ||
        provider->open(client->options, entry, log, &client->state, &client->key_id, status) != 0)
        goto err;
    if (strlen(client->key_id) > KMS_KEY_ID_MAX) {
        (void)config_error(
          entry, status, "kms-key", "the key's name is longer than %d bytes", KMS_KEY_ID_MAX);
        goto err;
    }
    *clientp = client;
    return (0);

err:
    kms_client_close(client);
    return ((int)status->status_class);
}

void
kms_client_close(KMS_CLIENT *client)
{
    if (client == NULL)
        return;
    if (client->state != NULL)
        client->provider->close(client->state);
    if (client->provider != NULL)
        config_release(client->provider->options, client->options);
    free(client->options);
    free(client);
}

const char *
kms_client_provider(const KMS_CLIENT *client)
{
    return (client->provider->name);
}

const char *
kms_client_key(const KMS_CLIENT *client)
{
    return (client->key_id);
}

static const HTTP_OPTIONS *
network(const KMS_CLIENT *client)
{
    static const HTTP_OPTIONS none;

    return (client->provider->network == NULL ? &none : client->provider->network(client->options));
}

int64_t
kms_client_timeout(const KMS_CLIENT *client)
{
    return (network(client)->timeout);
}

int64_t
kms_client_retry_for(const KMS_CLIENT *client)
{
    return (network(client)->retry_for);
}

bool
kms_client_can_unwrap(const KMS_CLIENT *client)
{
    return (client->provider->unwrap != NULL);
}

bool
kms_client_matches(const KMS_CLIENT *client, const char *provider, const char *key_id)
{
    if (strcmp(client->provider->name, provider) != 0)
        return (false);
    if (client->provider->matches == NULL)
        return (strcmp(client->key_id, key_id) == 0);
    return (client->provider->matches(client->state, key_id));
}

void
kms_wrapped_release(KMS_WRAPPED *wrapped)
{
    free(wrapped->key_id);
    free(wrapped->credential);
    free(wrapped->wrapped);
    memset(wrapped, 0, sizeof(*wrapped));
}

/* A wrong answer must not reach a keystore, which could not be read afterwards. */
static int
check_wrapped(const KMS_CLIENT *client, const KMS_WRAPPED *wrapped, STATUS *status)
{
    if (wrapped->wrapped == NULL || wrapped->wrapped_len == 0 ||
        wrapped->wrapped_len > KMS_WRAPPED_MAX)
        return (status_set(status, STATUS_BAD_REPLY, "kms-bad-wrapped",
          "the answer has %zu bytes, expected 1 to %d", wrapped->wrapped_len, KMS_WRAPPED_MAX));
    if (wrapped->credential == NULL || strlen(wrapped->credential) > KMS_CREDENTIAL_MAX)
        return (status_set(status, STATUS_BAD_REPLY, "kms-bad-wrapped",
          "the name of the credential is longer than %d bytes", KMS_CREDENTIAL_MAX));
    if (wrapped->key_id == NULL ||
        kms_client_key_id_check(client->provider->name, wrapped->key_id, status) != 0)
        return (status_set(
          status, STATUS_BAD_REPLY, "kms-bad-wrapped", "the answer names a key that cannot be"));
    return (0);
}

int
kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    memset(wrapped, 0, sizeof(*wrapped));
    if (secret_len(plaintext) > KMS_PLAINTEXT_MAX)
        return (status_set(status, STATUS_REFUSED, "kms-too-long",
          "%zu bytes cannot be wrapped, at most %d", secret_len(plaintext), KMS_PLAINTEXT_MAX));
    if (client->provider->wrap(client->state, timeout_ms, context, plaintext, wrapped, status) !=
          0 ||
        check_wrapped(client, wrapped, status) != 0) {
        kms_wrapped_release(wrapped);
        return (status_add(status, "while wrapping with %s", client->key_id));
    }
    return (0);
}

int
kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    *plaintextp = NULL;
    if (kms_client_key_id_check(recorded->provider, recorded->key_id, status) != 0)
        return ((int)status->status_class);
    if (!kms_client_matches(client, recorded->provider, recorded->key_id))
        return (status_set(status, STATUS_REFUSED, "kms-not-configured",
          "%s was wrapped with %s, which is not the key %s of the configuration", context->scope,
          recorded->key_id, client->key_id));
    if (client->provider->unwrap == NULL) {
        (void)status_set(status, STATUS_REFUSED, "kms-wraps-only",
          "%s only wraps: its private half is kept elsewhere", client->key_id);
        return (
          status_hint(status, "open the keystore with the private key: wtkms keystore recover"));
    }
    if (recorded->wrapped_len == 0 || recorded->wrapped_len > KMS_WRAPPED_MAX)
        return (status_set(status, STATUS_CORRUPT, "kms-bad-wrapped",
          "a master key wrapped with %s has %zu bytes, expected 1 to %d", recorded->key_id,
          recorded->wrapped_len, KMS_WRAPPED_MAX));
    if (client->provider->unwrap(
          client->state, timeout_ms, context, recorded, plaintextp, status) != 0)
        return (status_add(status, "while unwrapping with %s", recorded->key_id));
    if (secret_len(*plaintextp) > KMS_PLAINTEXT_MAX) {
        secret_free(*plaintextp);
        *plaintextp = NULL;
        return (status_set(status, STATUS_BAD_REPLY, "kms-bad-plaintext",
          "%s unwrapped more bytes than are ever wrapped", recorded->key_id));
    }
    return (0);
}

int
kms_client_describe(
  KMS_CLIENT *client, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    memset(info, 0, sizeof(*info));
    info->state = KMS_KEY_UNKNOWN;
    if (key_id == NULL)
        key_id = client->key_id;
    else if (kms_client_key_id_check(client->provider->name, key_id, status) != 0)
        return ((int)status->status_class);
    else if (!kms_client_matches(client, client->provider->name, key_id))
        return (status_set(status, STATUS_REFUSED, "kms-not-configured",
          "%s is not the key %s of the configuration", key_id, client->key_id));
    if (client->provider->describe != NULL) {
        if (client->provider->describe(client->state, timeout_ms, key_id, info, status) != 0)
            return (status_add(status, "while asking for the state of %s", key_id));
        return (0);
    }
    /* open and key_id_check have held it to KMS_KEY_ID_MAX. */
    memcpy(info->key_id, key_id, strlen(key_id) + 1);
    return (0);
}

int
kms_client_key_id_check(const char *provider, const char *key_id, STATUS *status)
{
    const KMS_PROVIDER *found = find_provider(provider);
    size_t len = strlen(key_id);

    if (found == NULL)
        return (status_set(status, STATUS_CORRUPT, "kms-unknown-provider",
          "the key service \"%s\" is not known to this version", provider));
    if (len == 0 || len > KMS_KEY_ID_MAX)
        return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
          "a key identifier of %s has %zu bytes, expected 1 to %d", provider, len, KMS_KEY_ID_MAX));
    return (found->key_id_check(key_id, status));
}

int
kms_client_check_fingerprint(const char *key_id, const char *prefix, size_t digits, STATUS *status)
{
    size_t prefix_len = strlen(prefix);

    if (strncmp(key_id, prefix, prefix_len) == 0 &&
        strspn(key_id + prefix_len, "0123456789abcdef") == digits &&
        key_id[prefix_len + digits] == '\0')
        return (0);
    return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
      "\"%s\" is not %s and %zu hexadecimal digits", key_id, prefix, digits));
}
