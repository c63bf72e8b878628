/*
 * kms_clients/vault.c -- Provider "vault": the transit engine of HashiCorp Vault and of OpenBao. See vault.h.
 */
#include "kms_clients/vault.h"

#include "common/clock.h"
#include "crypto/encode.h"
#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No type of a key; see refused_request in vault_reply.c. */
#define NO_TYPE "only-an-existing-key"

static const char *const methods[] = {"token", "approle", "kubernetes", "cert", NULL};

static const CONFIG_OPTION vault_options[] = {HTTP_OPTION_ROWS(VAULT_OPTIONS, http),
  {.name = "key",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, key),
    .required = true,
    .help = "Name of the key in the transit engine."},
  {.name = "mount",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, mount),
    .fallback = "transit",
    .help = "Where the transit engine is mounted."},
  {.name = "namespace",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, name_space),
    .help = "Namespace of the mounts."},
  {.name = "auth",
    .type = OPTION_CHOICE,
    .offset = offsetof(VAULT_OPTIONS, method),
    .choices = methods,
    .fallback = "token",
    .help = "How the client proves who it is."},
  {.name = "tokenFile",
    .type = OPTION_PATH,
    .offset = offsetof(VAULT_OPTIONS, token_file),
    .help = "File with a token."},
  {.name = "roleId",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, role_id),
    .help = "Role id of an AppRole login."},
  {.name = "secretIdFile",
    .type = OPTION_PATH,
    .offset = offsetof(VAULT_OPTIONS, secret_id_file),
    .help = "File with the secret id of an AppRole login."},
  {.name = "role",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, role),
    .help = "Role of a Kubernetes or certificate login."},
  {.name = "jwtFile",
    .type = OPTION_PATH,
    .offset = offsetof(VAULT_OPTIONS, jwt_file),
    .fallback = "/var/run/secrets/kubernetes.io/serviceaccount/token",
    .help = "File with the service account's token."},
  {.name = "authMount",
    .type = OPTION_STRING,
    .offset = offsetof(VAULT_OPTIONS, auth_mount),
    .help = "Where the login method is mounted; default: its name."},
  {.name = NULL}};

static void
vault_close(void *state)
{
    VAULT *vault = state;

    if (vault == NULL)
        return;
    http_client_close(vault->http);
    token_clear(&vault->token);
    secret_free(vault->file_token);
    free(vault->base);
    free(vault->source);
    free(vault);
}

static int
check_path(const CONFIG_NODE *entry, const char *option, const char *value, STATUS *status)
{
    if (value == NULL || (strlen(value) <= VAULT_PATH_MAX / 4 && vault_is_path(value)))
        return (0);
    return (config_error(config_get(entry, option), status, "kms-vault-name",
      "%s: expected letters, digits, '.', '_', '-', in parts joined by '/', at most %d bytes",
      option, VAULT_PATH_MAX / 4));
}

static int
check_options(const VAULT_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    char host[256];

    if (options->http.endpoint == NULL)
        return (config_error(
          entry, status, "kms-endpoint-missing", "endpoint is missing: the service's URL"));
    if (http_url_host(options->http.endpoint, host, sizeof(host), status) != 0)
        return (kms_client_at_option(entry, "endpoint", status));
    if (check_path(entry, "key", options->key, status) != 0 ||
        check_path(entry, "mount", options->mount, status) != 0 ||
        check_path(entry, "namespace", options->name_space, status) != 0 ||
        check_path(entry, "authMount", options->auth_mount, status) != 0)
        return ((int)status->status_class);
    if (strchr(options->key, '/') != NULL)
        return (config_error(config_get(entry, "key"), status, "kms-vault-name",
          "key: a key's name has no '/'; mount and namespace are options of their own"));
    return (0);
}

static int
vault_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const VAULT_OPTIONS *wanted = options;
    VAULT *vault = NULL;
    size_t len;

    *statep = NULL;
    *key_idp = NULL;
    if (check_options(wanted, entry, status) != 0)
        return ((int)status->status_class);
    if ((vault = calloc(1, sizeof(*vault))) == NULL ||
        (vault->base = strdup(wanted->http.endpoint)) == NULL ||
        (vault->source = strdup(entry->source == NULL ? "" : entry->source)) == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service");
        goto err;
    }
    for (len = strlen(vault->base); len > 0 && vault->base[len - 1] == '/'; len--)
        vault->base[len - 1] = '\0';
    vault->options = wanted;
    vault->origin.kind = CONFIG_MAP;
    vault->origin.source = vault->source;
    (void)snprintf(vault->key_id, sizeof(vault->key_id), VAULT_ID_PREFIX "%s%s%s/%s",
      wanted->name_space == NULL ? "" : wanted->name_space, wanted->name_space == NULL ? "" : "/",
      wanted->mount, wanted->key);
    if (vault_auth_check(vault, entry, status) != 0 ||
        http_client_open(&wanted->http, entry, log, NULL, &vault->http, status) != 0)
        goto err;
    *statep = vault;
    *key_idp = vault->key_id;
    return (0);

err:
    vault_close(vault);
    return ((int)status->status_class);
}

/* --- one call */

typedef struct {
    VAULT *vault;
    VAULT_REQUEST *request;
} SENDING;

static int
build(void *context, HTTP_REQUEST *http, STATUS *status)
{
    SENDING *sending = context;
    VAULT *vault = sending->vault;
    VAULT_REQUEST *request = sending->request;
    SECRET *body;

    if (http_request_method(http, request->method, status) != 0 ||
        http_request_url(http, status, "%s/v1/%s", vault->base, request->path) != 0 ||
        http_request_header(http, "X-Vault-Request", "true", status) != 0)
        return ((int)status->status_class);
    if (vault->options->name_space != NULL &&
        http_request_header(http, "X-Vault-Namespace", vault->options->name_space, status) != 0)
        return ((int)status->status_class);
    if (!request->anonymous && vault->token.value != NULL &&
        http_request_header_secret(http, "X-Vault-Token", NULL, vault->token.value, status) != 0)
        return ((int)status->status_class);
    if (request->body == NULL)
        return (0);
    if (http_request_header(http, "Content-Type", "application/json", status) != 0 ||
        secret_new_copy(secret_bytes(request->body), secret_len(request->body), &body, status) != 0)
        return ((int)status->status_class);
    return (http_request_body(http, body, status));
}

static int
parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    SENDING *sending = context;

    return (vault_reply_read(reply, sending->request, &sending->request->json, status));
}

int
vault_send(VAULT *vault, int64_t deadline, VAULT_REQUEST *request, STATUS *status)
{
    SENDING sending = {vault, request};
    const HTTP_CALL call = {
      .operation = request->operation, .build = build, .parse = parse, .retry = !request->once};

    request->forbidden = request->missing = false;
    json_free(request->json);
    request->json = NULL;
    return (http_client_call(vault->http, deadline, &call, &sending, status));
}

void
vault_request_release(VAULT_REQUEST *request)
{
    json_free(request->json);
    secret_free(request->body);
    memset(request, 0, sizeof(*request));
}

/*
 * A call with a good token. Vault says "permission denied" both of a policy that refuses and of a token that
 * it does not know, so a refused call asks what the token is: only who is known was denied.
 */
static int
call(VAULT *vault, int64_t deadline, VAULT_REQUEST *request, const char *capability, STATUS *status)
{
    bool again = true;
    int ret;

    for (;; again = false) {
        if (vault_token_ready(vault, deadline, status) != 0)
            return (status_add(status, "while getting a token"));
        if ((ret = vault_send(vault, deadline, request, status)) == 0 || !request->forbidden)
            return (ret);
        if (ret == STATUS_DENIED && vault_token_good(vault, deadline))
            return (status_hint(status,
              "the policy lacks: path \"%s\" { capabilities = [\"%s\"] }; or there is no such key",
              request->path, capability));
        if (!vault_token_replace(vault) || !again)
            break;
    }
    status->status_class = STATUS_UNAUTHENTICATED;
    status->id = "kms-token";
    return (status_hint(status, vault->options->method == VAULT_TOKEN
                                  ? "the token in tokenFile is wrong, expired or revoked; its "
                                    "policy should let it look itself up"
                                  : "the service does not take the token that it gave"));
}

/* Base64 of "wtkms/1/UUID/ID/SCOPE": readable in an audit log that was told to show it. */
static void
put_context(JSON_WRITER *writer, const KMS_CONTEXT *context)
{
    char uuid[33], text[512];
    int len;

    encode_hex(context->keystore_uuid, sizeof(context->keystore_uuid), uuid);
    len = snprintf(text, sizeof(text), "wtkms/1/%s/%016llx/%s", uuid,
      (unsigned long long)context->master_key_id, context->scope);
    if (len < 0 || (size_t)len >= sizeof(text))
        json_put_string(writer, "associated_data", NULL);
    else
        json_put_base64(writer, "associated_data", text, (size_t)len, false);
}

static void
set_path(const VAULT *vault, VAULT_REQUEST *request, const char *what)
{
    (void)snprintf(request->path, sizeof(request->path), "%s/%s/%s", vault->options->mount, what,
      vault->options->key);
}

static int
vault_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    VAULT *vault = state;
    VAULT_REQUEST request = {.operation = "encrypt", .method = "POST"};
    JSON_WRITER *writer = json_writer_new();
    const char *text;
    char key_id[KMS_KEY_ID_MAX + 32];
    int64_t version;

    set_path(vault, &request, "encrypt");
    json_put_base64(writer, "plaintext", secret_bytes(plaintext), secret_len(plaintext), false);
    put_context(writer, context);
    json_put_string(writer, "type", NO_TYPE);
    if (json_writer_finish(writer, &request.body, status) != 0 ||
        call(vault, clock_deadline(timeout_ms), &request, "update", status) != 0 ||
        vault_reply_wrapped(request.json, &text, &version, status) != 0)
        goto err;
    (void)snprintf(key_id, sizeof(key_id), "%s@v%lld", vault->key_id, (long long)version);
    wrapped->wrapped_len = strlen(text);
    wrapped->wrapped = (uint8_t *)strdup(text);
    wrapped->key_id = strdup(key_id);
    wrapped->credential = strdup(vault->credential);
    if (wrapped->wrapped == NULL || wrapped->key_id == NULL || wrapped->credential == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key");
        goto err;
    }
    vault_request_release(&request);
    return (0);

err:
    vault_request_release(&request);
    return ((int)status->status_class);
}

static int
vault_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    VAULT *vault = state;
    VAULT_REQUEST request = {.operation = "decrypt", .method = "POST"};
    JSON_WRITER *writer;
    char *text;
    size_t len;
    int64_t version;

    *plaintextp = NULL;
    if (!vault_id_split(recorded->key_id, &len, &version) || version == 0 ||
        vault_version((const char *)recorded->wrapped, recorded->wrapped_len) != version)
        return (status_set(status, STATUS_CORRUPT, "kms-wrapped-version",
          "what was wrapped is not of the version that its identifier names"));
    if ((text = strndup((const char *)recorded->wrapped, recorded->wrapped_len)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to unwrap a key"));
    set_path(vault, &request, "decrypt");
    writer = json_writer_new();
    json_put_string(writer, "ciphertext", text);
    free(text);
    put_context(writer, context);
    if (json_writer_finish(writer, &request.body, status) == 0 &&
        call(vault, clock_deadline(timeout_ms), &request, "update", status) == 0 &&
        vault_reply_plaintext(request.json, plaintextp, status) == 0) {
        vault_request_release(&request);
        return (0);
    }
    vault_request_release(&request);
    return ((int)status->status_class);
}

/* A read of the key, which the runtime's policy need not permit: then nothing is known of its state. */
static int
vault_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    VAULT *vault = state;
    VAULT_REQUEST request = {.operation = "read of the key", .method = "GET"};
    int64_t version, newest = 0;
    size_t len;
    int ret;

    (void)snprintf(info->key_id, sizeof(info->key_id), "%s", key_id);
    if (!vault_id_split(key_id, &len, &version))
        return (status_set(status, STATUS_INTERNAL, "kms-key", "%s is no key of vault", key_id));
    set_path(vault, &request, "keys");
    ret = call(vault, clock_deadline(timeout_ms), &request, "read", status);
    if (ret == 0)
        vault_reply_key(request.json, version, info, &newest);
    else if (ret == STATUS_DENIED) {
        info->state = KMS_KEY_UNKNOWN;
        (void)snprintf(info->detail, sizeof(info->detail), "the policy does not let it be read");
        ret = 0;
    } else if (request.missing) {
        (void)status_set(status, STATUS_NOT_FOUND, "kms-key-not-found", "the service has no key %s",
          vault->options->key);
        ret = status_hint(status, "look at key, mount and namespace; was the key deleted?");
    }
    if (ret == 0 && version == 0 && newest != 0)
        (void)snprintf(
          info->key_id, sizeof(info->key_id), "%.1000s@v%lld", vault->key_id, (long long)newest);
    vault_request_release(&request);
    return (ret);
}

static bool
vault_matches(const void *state, const char *key_id)
{
    const VAULT *vault = state;
    size_t len;
    int64_t version;

    return (vault_id_split(key_id, &len, &version) && strlen(vault->key_id) == len &&
            strncmp(vault->key_id, key_id, len) == 0);
}

static int
vault_key_id_check(const char *key_id, STATUS *status)
{
    size_t len;
    int64_t version;

    if (vault_id_split(key_id, &len, &version) && version != 0)
        return (0);
    return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
      "\"%s\" is not vault:[NAMESPACE/]MOUNT/KEY@vN", key_id));
}

static const HTTP_OPTIONS *
vault_network(const void *options)
{
    return (&((const VAULT_OPTIONS *)options)->http);
}

const KMS_PROVIDER kms_vault = {
  .name = "vault",
  .options = vault_options,
  .options_size = sizeof(VAULT_OPTIONS),
  .open = vault_open,
  .close = vault_close,
  .wrap = vault_wrap,
  .key_id_check = vault_key_id_check,
  .network = vault_network,
  .matches = vault_matches,
  .unwrap = vault_unwrap,
  .describe = vault_describe,
};
