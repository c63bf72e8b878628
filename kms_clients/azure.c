/*
 * kms_clients/azure.c -- Provider "azure": a key in Azure Key Vault or Managed HSM.
 *
 * wrapKey and unwrapKey have no associated data: the payload itself says what it belongs to. A token
 * goes to the configured vault (or its configured endpoint) and to no other host: of a recorded
 * identifier only the version is used.
 */
#include "common/clock.h"
#include "kms_clients/azure_credentials.h"
#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 256

static const char *const credential_names[] = {
  "auto", "clientSecret", "certificate", "managedIdentity", "workloadIdentity", NULL};
static const char *const assertion_names[] = {"RS256", "PS256", NULL};
static const char *const algorithm_names[] = {"RSA-OAEP-256", "A256KW", NULL};

/* Public, China's and the United States government's cloud. */
static const char *const suffixes[] = {"vault.azure.net", "managedhsm.azure.net", "vault.azure.cn",
  "managedhsm.azure.cn", "vault.usgovcloudapi.net", "managedhsm.usgovcloudapi.net", NULL};

static const CONFIG_OPTION azure_options[] = {
  {.name = "key",
    .type = OPTION_STRING,
    .offset = offsetof(AZURE_OPTIONS, key),
    .required = true,
    .help = "Identifier of the key, https://VAULT/keys/NAME, with or without /VERSION."},
  {.name = "vaultSuffix",
    .type = OPTION_STRING,
    .offset = offsetof(AZURE_OPTIONS, vault_suffix),
    .help = "Domain that the vault must be in, when it is not one of Azure's."},
  {.name = "tenantId",
    .type = OPTION_STRING,
    .offset = offsetof(AZURE_OPTIONS, tenant_id),
    .help = "Entra tenant; default: AZURE_TENANT_ID of the environment."},
  {.name = "clientId",
    .type = OPTION_STRING,
    .offset = offsetof(AZURE_OPTIONS, client_id),
    .help = "Application, or user-assigned identity; default: AZURE_CLIENT_ID."},
  {.name = "authority",
    .type = OPTION_STRING,
    .offset = offsetof(AZURE_OPTIONS, authority),
    .help = "URL of Entra; default: AZURE_AUTHORITY_HOST, or that of the vault's cloud."},
  {.name = "credential",
    .type = OPTION_CHOICE,
    .offset = offsetof(AZURE_OPTIONS, credential),
    .choices = credential_names,
    .fallback = "auto",
    .help = "What proves this machine to Entra."},
  {.name = "clientSecretFile",
    .type = OPTION_PATH,
    .offset = offsetof(AZURE_OPTIONS, client_secret_file),
    .help = "File with the application's secret; default: AZURE_CLIENT_SECRET."},
  {.name = "certificateFile",
    .type = OPTION_PATH,
    .offset = offsetof(AZURE_OPTIONS, certificate_file),
    .help = "File with the application's certificate in PEM, and its key when that has no file."},
  {.name = "certificateKeyFile",
    .type = OPTION_PATH,
    .offset = offsetof(AZURE_OPTIONS, certificate_key_file),
    .help = "File with the certificate's private key in PEM, not encrypted."},
  {.name = "certificateAlgorithm",
    .type = OPTION_CHOICE,
    .offset = offsetof(AZURE_OPTIONS, assertion),
    .choices = assertion_names,
    .fallback = "PS256",
    .help = "How the certificate's key signs."},
  {.name = "federatedTokenFile",
    .type = OPTION_PATH,
    .offset = offsetof(AZURE_OPTIONS, federated_token_file),
    .help = "File with the workload's token; default: AZURE_FEDERATED_TOKEN_FILE."},
  {.name = "algorithm",
    .type = OPTION_CHOICE,
    .offset = offsetof(AZURE_OPTIONS, algorithm),
    .choices = algorithm_names,
    .fallback = "RSA-OAEP-256",
    .help = "How the key wraps: RSA-OAEP-256, or A256KW with a symmetric key."},
  HTTP_OPTION_ROWS(AZURE_OPTIONS, http), {.name = NULL}};

typedef struct {
    const AZURE_OPTIONS *options;
    AZURE_KEY key;
    char *base; /* "https://HOST": the vault, or its endpoint */
    HTTP_CLIENT *http;
    AZURE_CREDENTIALS *credentials;
} AZURE;

/* --- open */

static void
azure_close(void *state)
{
    AZURE *azure = state;

    if (azure == NULL)
        return;
    azure_credentials_close(azure->credentials);
    http_client_close(azure->http);
    free(azure->base);
    free(azure);
}

static int
check_key(const AZURE_OPTIONS *options, const CONFIG_NODE *entry, AZURE_KEY *key,
  const char **suffixp, STATUS *status)
{
    size_t i;

    if (!azure_key_parse(options->key, key)) {
        (void)config_error(config_get(entry, "key"), status, "kms-key",
          "key is not the identifier of a key in a vault");
        return (
          status_hint(status, "https://VAULT.vault.azure.net/keys/NAME, or the same and /VERSION"));
    }
    if (options->vault_suffix != NULL) {
        *suffixp = options->vault_suffix;
        if (azure_host_in_suffix(key->host, options->vault_suffix))
            return (0);
    } else
        for (i = 0; suffixes[i] != NULL; i++)
            if (azure_host_in_suffix(key->host, *suffixp = suffixes[i]) &&
                strcmp(key->host, suffixes[i]) != 0)
                return (0);
    (void)config_error(config_get(entry, "key"), status, "kms-azure-vault", "key: %s is not in %s",
      key->host,
      options->vault_suffix == NULL ? "a domain of Azure's vaults" : options->vault_suffix);
    return (status_hint(
      status, "tokens are sent to vaults of Azure only; for another cloud set vaultSuffix"));
}

static int
take_endpoint(AZURE *azure, const CONFIG_NODE *entry, STATUS *status)
{
    const char *url = azure->options->http.endpoint;
    char host[AZURE_HOST_MAX + 1];
    size_t len;

    if (url == NULL)
        url = azure->key.vault;
    else if (http_url_host(url, host, sizeof(host), status) != 0)
        return (kms_client_at_option(entry, "endpoint", status));
    if ((azure->base = strdup(url)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
    for (len = strlen(azure->base); len > 0 && azure->base[len - 1] == '/';)
        azure->base[--len] = '\0';
    return (0);
}

static int
azure_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const char *suffix = NULL;
    AZURE *azure;

    *statep = NULL;
    *key_idp = NULL;
    if ((azure = calloc(1, sizeof(*azure))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
    azure->options = options;
    if (check_key(azure->options, entry, &azure->key, &suffix, status) != 0 ||
        take_endpoint(azure, entry, status) != 0 ||
        azure_credentials_open(azure->options, entry, suffix, &azure->credentials, status) != 0 ||
        http_client_open(
          &azure->options->http, entry, log, "x-ms-request-id", &azure->http, status) != 0) {
        azure_close(azure);
        return ((int)status->status_class);
    }
    *statep = azure;
    *key_idp = azure->options->key;
    return (0);
}

/* --- calls */

typedef enum { GET_KEY, GET_DELETED, WRAP, UNWRAP } OPERATION;

typedef struct {
    const AZURE *azure;
    OPERATION operation;
    const char *version; /* empty: the current one */
    AZURE_ALGORITHM algorithm;
    const void *value; /* of WRAP and UNWRAP */
    size_t value_len;
    const SECRET *token;

    AZURE_BUNDLE bundle; /* GET_KEY */
    int64_t date;        /* the vault's */
    char kid[KMS_KEY_ID_MAX + 1];
    SECRET *answer;
    char detail[DETAIL_MAX];
} CALL;

static int
build(void *context, HTTP_REQUEST *request, STATUS *status)
{
    static const char *const tails[] = {"", "", "/wrapkey", "/unwrapkey"};
    const CALL *call = context;
    const AZURE *azure = call->azure;
    bool posts = call->operation == WRAP || call->operation == UNWRAP;
    SECRET *body = NULL;

    if (http_request_method(request, posts ? "POST" : "GET", status) != 0 ||
        http_request_url(request, status, "%s/%s/%s%s%s%s?api-version=" AZURE_API_VERSION,
          azure->base, call->operation == GET_DELETED ? "deletedkeys" : "keys", azure->key.name,
          call->version[0] == '\0' ? "" : "/", call->version, tails[call->operation]) != 0 ||
        http_request_header_secret(request, "Authorization", "Bearer ", call->token, status) != 0 ||
        http_request_header(request, "Accept", "application/json", status) != 0)
        return ((int)status->status_class);
    if (posts && (http_request_header(request, "Content-Type", "application/json", status) != 0 ||
                   azure_request_operation(
                     call->algorithm, call->value, call->value_len, &body, status) != 0 ||
                   http_request_body(request, body, status) != 0))
        return ((int)status->status_class);
    return (0);
}

static int
parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    CALL *call = context;
    AZURE_KEY asked = call->azure->key;

    if (reply->code != 200)
        return (azure_reply_error(reply, call->operation == UNWRAP, status));
    (void)snprintf(asked.version, sizeof(asked.version), "%s", call->version);
    switch (call->operation) {
    case GET_KEY:
        if (!http_reply_date(reply, &call->date))
            call->date = clock_unix_seconds();
        return (azure_reply_bundle(reply, &asked, &call->bundle, status));
    case GET_DELETED:
        return (azure_reply_deleted(reply, call->detail, sizeof(call->detail), status));
    default:
        return (azure_reply_operation(reply, &asked, call->kid, &call->answer, status));
    }
}

/*
 * do_call --
 *     A token that the vault does not take may have been revoked before its time, or an identity was
 *     given its role since: then one more is fetched, once.
 */
static int
do_call(AZURE *azure, int64_t deadline, CALL *call, STATUS *status)
{
    static const char *const names[] = {"getKey", "getDeletedKey", "wrapKey", "unwrapKey"};
    const HTTP_CALL http = {
      .operation = names[call->operation], .build = build, .parse = parse, .retry = true};
    bool again;
    int ret;

    call->azure = azure;
    for (again = false;; again = true) {
        if (azure_credentials_token(
              azure->credentials, azure->http, deadline, &call->token, status) != 0)
            return ((int)status->status_class);
        ret = http_client_call(azure->http, deadline, &http, call, status);
        if (ret != STATUS_UNAUTHENTICATED || again)
            return (ret);
        azure_credentials_forget(azure->credentials);
    }
}

static int
get_key(AZURE *azure, int64_t deadline, const char *version, CALL *call, STATUS *status)
{
    memset(call, 0, sizeof(*call));
    call->operation = GET_KEY;
    call->version = version;
    return (do_call(azure, deadline, call, status));
}

static int
fill_wrapped(const AZURE *azure, const CALL *call, KMS_WRAPPED *wrapped, STATUS *status)
{
    size_t len = secret_len(call->answer);

    if (azure_algorithm_of(len) != call->algorithm)
        return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply",
          "the answer has %zu bytes, which %s never makes", len,
          azure_algorithm_name(call->algorithm)));
    wrapped->key_id = strdup(call->kid);
    wrapped->credential = strdup(azure_credentials_name(azure->credentials));
    wrapped->wrapped = malloc(len);
    if (wrapped->key_id == NULL || wrapped->credential == NULL || wrapped->wrapped == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    memcpy(wrapped->wrapped, secret_bytes(call->answer), len);
    wrapped->wrapped_len = len;
    return (0);
}

/* The version that was looked at is the one that wraps, whatever becomes current in between. */
static int
azure_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    AZURE *azure = state;
    CALL look, call = {.operation = WRAP};
    SECRET *padded = NULL;
    int64_t deadline = clock_deadline(timeout_ms);
    int ret;

    (void)context;
    call.algorithm = (AZURE_ALGORITHM)azure->options->algorithm;
    if ((ret = get_key(azure, deadline, azure->key.version, &look, status)) != 0 ||
        (ret = azure_check_wrap(&look.bundle, call.algorithm, look.date, status)) != 0)
        return (ret);
    if (call.algorithm == AZURE_A256KW) {
        if ((ret = azure_pad(plaintext, &padded, status)) != 0)
            return (ret);
        plaintext = padded;
    }
    call.version = look.bundle.key.version;
    call.value = secret_bytes(plaintext);
    call.value_len = secret_len(plaintext);
    if ((ret = do_call(azure, deadline, &call, status)) == 0)
        ret = fill_wrapped(azure, &call, wrapped, status);
    secret_free(call.answer);
    secret_free(padded);
    return (ret);
}

static int
azure_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    AZURE *azure = state;
    AZURE_KEY key;
    CALL call = {.operation = UNWRAP};
    int ret;

    (void)context;
    *plaintextp = NULL;
    if (!azure_key_parse(recorded->key_id, &key) || !azure_key_same(&key, &azure->key))
        return (status_set(status, STATUS_REFUSED, "kms-not-configured",
          "the recorded key is not the key of the configuration"));
    call.version = key.version;
    call.algorithm = azure_algorithm_of(recorded->wrapped_len);
    call.value = recorded->wrapped;
    call.value_len = recorded->wrapped_len;
    if ((ret = do_call(azure, clock_deadline(timeout_ms), &call, status)) == 0 &&
        call.algorithm == AZURE_A256KW)
        ret = azure_unpad(call.answer, status);
    if (ret == 0)
        *plaintextp = call.answer;
    else
        secret_free(call.answer);
    return (ret);
}

static int
azure_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    AZURE *azure = state;
    AZURE_KEY key;
    CALL call;
    STATUS missing;
    int64_t deadline = clock_deadline(timeout_ms);
    int ret;

    if (!azure_key_parse(key_id, &key) || !azure_key_same(&key, &azure->key))
        return (status_set(status, STATUS_REFUSED, "kms-not-configured",
          "the key asked for is not the key of the configuration"));
    ret = get_key(azure, deadline, key.version, &call, status);
    if (ret == 0) {
        info->state = call.bundle.enabled ? KMS_KEY_ENABLED : KMS_KEY_DISABLED;
        (void)snprintf(info->key_id, sizeof(info->key_id), "%s", call.bundle.kid);
        azure_bundle_detail(&call.bundle, call.date, info->detail, sizeof(info->detail));
        return (0);
    }
    if (ret != STATUS_NOT_FOUND)
        return (ret);
    /* Gone, or deleted and kept: the vault tells those apart elsewhere, if it lets us ask. */
    memset(&call, 0, sizeof(call));
    call.operation = GET_DELETED;
    call.version = "";
    if (do_call(azure, deadline, &call, &missing) != 0)
        return (ret);
    info->state = KMS_KEY_PENDING_DELETION;
    (void)snprintf(info->key_id, sizeof(info->key_id), "%s", key_id);
    (void)snprintf(info->detail, sizeof(info->detail), "%s", call.detail);
    return (0);
}

/* Recorded identifiers always have their version: without one an unwrap would take the current. */
static int
azure_key_id_check(const char *key_id, STATUS *status)
{
    AZURE_KEY key;

    if (azure_key_parse(key_id, &key) && key.version[0] != '\0')
        return (0);
    return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
      "\"%.200s\" is not https://VAULT/keys/NAME/VERSION", key_id));
}

static bool
azure_matches(const void *state, const char *key_id)
{
    AZURE_KEY key;

    return (azure_key_parse(key_id, &key) && azure_key_same(&key, &((const AZURE *)state)->key));
}

static const HTTP_OPTIONS *
azure_network(const void *options)
{
    return (&((const AZURE_OPTIONS *)options)->http);
}

const KMS_PROVIDER kms_azure = {
  .name = "azure",
  .options = azure_options,
  .options_size = sizeof(AZURE_OPTIONS),
  .open = azure_open,
  .close = azure_close,
  .wrap = azure_wrap,
  .key_id_check = azure_key_id_check,
  .network = azure_network,
  .matches = azure_matches,
  .unwrap = azure_unwrap,
  .describe = azure_describe,
};
