/*
 * kms_clients/gcp.c -- Provider "gcp": a symmetric key in Google Cloud KMS.
 *
 * Calls go to the configured key only: of a recorded version just the number is used.
 */
#include "common/clock.h"
#include "kms_clients/gcp_credentials.h"
#include "kms_clients/gcp_identity.h"
#include "kms_clients/gcp_key.h"
#include "kms_clients/gcp_reply.h"
#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define URL_SIZE 512

typedef struct {
    char *key;
    char *credentials_file;
    char *impersonate;
    char *iam_endpoint;
    char *universe;
    HTTP_OPTIONS http;
} GCP_OPTIONS;

static const CONFIG_OPTION gcp_options[] = {
  {.name = "key",
    .type = OPTION_STRING,
    .offset = offsetof(GCP_OPTIONS, key),
    .required = true,
    .help = "The key: projects/P/locations/L/keyRings/R/cryptoKeys/K."},
  {.name = "credentialsFile",
    .type = OPTION_PATH,
    .offset = offsetof(GCP_OPTIONS, credentials_file),
    .help = "Credentials in JSON of a service account or of workload identity federation."},
  {.name = "impersonate",
    .type = OPTION_STRING,
    .offset = offsetof(GCP_OPTIONS, impersonate),
    .help = "E-mail of the service account that the credentials are to become."},
  {.name = "iamEndpoint",
    .type = OPTION_STRING,
    .offset = offsetof(GCP_OPTIONS, iam_endpoint),
    .help = "Where the IAM Credentials API is, when not at its usual address."},
  {.name = "universe",
    .type = OPTION_STRING,
    .offset = offsetof(GCP_OPTIONS, universe),
    .fallback = GCP_UNIVERSE,
    .help = "Domain of the services, of a sovereign cloud."},
  HTTP_OPTION_ROWS(GCP_OPTIONS, http), {.name = NULL}};

typedef struct {
    char *key;
    char url[URL_SIZE]; /* of the service, without a slash at its end */
    HTTP_CLIENT *http;
    GCP_CREDENTIALS *credentials;
} GCP_STATE;

static void
gcp_close(void *state)
{
    GCP_STATE *gcp = state;

    if (gcp == NULL)
        return;
    gcp_credentials_close(gcp->credentials);
    http_client_close(gcp->http);
    free(gcp->key);
    free(gcp);
}

static int
set_url(GCP_STATE *gcp, const GCP_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    char host[256];
    size_t len;

    if (strlen(options->universe) > 200 ||
        options->universe[strspn(options->universe, "abcdefghijklmnopqrstuvwxyz0123456789.-")] !=
          '\0' ||
        options->universe[0] == '.' || strchr(options->universe, '.') == NULL)
        return (config_error(config_get(entry, "universe"), status, "kms-gcp-universe",
          "universe: \"%.100s\" is no domain", options->universe));
    if (options->http.endpoint == NULL)
        len = (size_t)snprintf(gcp->url, URL_SIZE, "https://cloudkms.%s", options->universe);
    else {
        if (http_url_host(options->http.endpoint, host, sizeof(host), status) != 0)
            return (kms_client_at_option(entry, "endpoint", status));
        len = (size_t)snprintf(gcp->url, URL_SIZE, "%s", options->http.endpoint);
    }
    if (len >= URL_SIZE)
        return (config_error(config_get(entry, "endpoint"), status, "kms-gcp-endpoint",
          "endpoint: longer than %d bytes", URL_SIZE - 1));
    while (len > 0 && gcp->url[len - 1] == '/')
        gcp->url[--len] = '\0';
    if (options->iam_endpoint != NULL &&
        http_url_host(options->iam_endpoint, host, sizeof(host), status) != 0)
        return (kms_client_at_option(entry, "iamEndpoint", status));
    return (0);
}

static int
set_key(GCP_STATE *gcp, const GCP_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    STATUS ignored;

    if (gcp_key_check(options->key, false, status) != 0) {
        (void)kms_client_at_option(entry, "key", status);
        if (gcp_key_check(options->key, true, &ignored) == 0)
            (void)status_hint(
              status, "leave the version out: the key's primary version wraps, any of them opens");
        return ((int)status->status_class);
    }
    if ((gcp->key = strdup(options->key)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
    return (0);
}

static int
gcp_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const GCP_OPTIONS *o = options;
    const GCP_CREDENTIALS_OPTIONS credentials = {
      o->credentials_file, o->impersonate, o->iam_endpoint, o->universe};
    GCP_STATE *gcp;

    *statep = NULL;
    *key_idp = NULL;
    if ((gcp = calloc(1, sizeof(*gcp))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
    if (set_key(gcp, o, entry, status) != 0 || set_url(gcp, o, entry, status) != 0 ||
        gcp_credentials_open(&credentials, entry, &gcp->credentials, status) != 0 ||
        http_client_open(&o->http, entry, log, NULL, &gcp->http, status) != 0) {
        gcp_close(gcp);
        return ((int)status->status_class);
    }
    *statep = gcp;
    *key_idp = gcp->key;
    return (0);
}

static const HTTP_OPTIONS *
gcp_network(const void *options)
{
    return (&((const GCP_OPTIONS *)options)->http);
}

static int
gcp_key_id_check(const char *key_id, STATUS *status)
{
    return (gcp_key_check(key_id, true, status));
}

static bool
gcp_matches(const void *state, const char *key_id)
{
    STATUS ignored;

    return (gcp_key_check(key_id, true, &ignored) == 0 &&
            gcp_key_covers(((const GCP_STATE *)state)->key, key_id));
}

/* One call to the service: what it needs and where its answer goes. */
typedef struct {
    GCP_STATE *gcp;
    GCP_METHOD method;
    const SECRET *token;
    char aad[GCP_AAD_SIZE];
    const SECRET *plaintext;      /* GCP_ENCRYPT */
    KMS_WRAPPED *wrapped;         /* GCP_ENCRYPT */
    const KMS_RECORDED *recorded; /* GCP_DECRYPT */
    SECRET **plaintextp;          /* GCP_DECRYPT */
    const char *version;          /* GCP_GET: the number, or NULL: the key */
    KMS_KEY_INFO *info;           /* GCP_GET */
} GCP_CALL;

static int
build_get(const GCP_CALL *call, HTTP_REQUEST *request, STATUS *status)
{
    if (http_request_method(request, "GET", status) != 0)
        return ((int)status->status_class);
    if (call->version == NULL)
        return (http_request_url(request, status, "%s/v1/%s", call->gcp->url, call->gcp->key));
    return (http_request_url(request, status, "%s/v1/%s/cryptoKeyVersions/%s", call->gcp->url,
      call->gcp->key, call->version));
}

static int
build_post(const GCP_CALL *call, HTTP_REQUEST *request, STATUS *status)
{
    SECRET *body = NULL;
    int ret;

    if (call->method == GCP_ENCRYPT)
        ret = gcp_reply_encrypt_body(call->plaintext, call->aad, &body, status);
    else
        ret = gcp_reply_decrypt_body(
          call->recorded->wrapped, call->recorded->wrapped_len, call->aad, &body, status);
    if (ret != 0 || http_request_body(request, body, status) != 0 ||
        http_request_method(request, "POST", status) != 0 ||
        http_request_url(request, status, "%s/v1/%s:%s", call->gcp->url, call->gcp->key,
          call->method == GCP_ENCRYPT ? "encrypt" : "decrypt") != 0)
        return ((int)status->status_class);
    return (http_request_header(request, "Content-Type", "application/json", status));
}

static int
gcp_build(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const GCP_CALL *call = context;

    if ((call->method == GCP_GET ? build_get(call, request, status)
                                 : build_post(call, request, status)) != 0)
        return ((int)status->status_class);
    return (http_request_header_secret(request, "Authorization", "Bearer ", call->token, status));
}

static int
gcp_parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    const GCP_CALL *call = context;
    const char *key = call->gcp->key;

    if (reply->code != 200)
        return (gcp_reply_error(call->method, reply, status));
    switch (call->method) {
    case GCP_ENCRYPT:
        kms_wrapped_release(call->wrapped);
        return (gcp_reply_encrypt(reply->body, reply->body_len, key, call->wrapped, status));
    case GCP_DECRYPT:
        return (gcp_reply_decrypt(reply->body, reply->body_len, call->plaintextp, status));
    case GCP_GET:
        break;
    }
    if (call->version == NULL)
        return (gcp_reply_key(reply->body, reply->body_len, key, call->info, status));
    return (gcp_reply_version(reply->body, reply->body_len, key, call->info, status));
}

/* Bytes that changed on the way: once more, as Google advises. */
static bool
gcp_mend(void *context, const HTTP_REPLY *reply, const STATUS *status)
{
    (void)context;
    (void)reply;
    return (strcmp(status->id, "kms-checksum") == 0);
}

static int
gcp_call(GCP_CALL *call, int64_t deadline, STATUS *status)
{
    static const char *const operations[] = {"encrypt", "decrypt", "get"};
    const HTTP_CALL http = {operations[call->method], gcp_build, gcp_parse, gcp_mend, true, false};
    GCP_STATE *gcp = call->gcp;
    int64_t started = clock_ms();
    int ret;

    if ((ret = gcp_credentials_token(
           gcp->credentials, gcp->http, deadline, &call->token, status)) != 0)
        return (ret);
    ret = http_client_call(gcp->http, deadline, &http, call, status);
    /* A token may be revoked before its time: another one, once. */
    if (ret == STATUS_UNAUTHENTICATED && gcp_credentials_forget(gcp->credentials, started) &&
        (ret = gcp_credentials_token(
           gcp->credentials, gcp->http, deadline, &call->token, status)) == 0)
        ret = http_client_call(gcp->http, deadline, &http, call, status);
    return (ret);
}

static int
gcp_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    GCP_CALL call = {
      .gcp = state, .method = GCP_ENCRYPT, .plaintext = plaintext, .wrapped = wrapped};
    int64_t deadline = clock_deadline(timeout_ms);

    if (gcp_reply_aad(context, call.aad, status) != 0 || gcp_call(&call, deadline, status) != 0)
        return ((int)status->status_class);
    wrapped->credential =
      strdup(gcp_credentials_name(call.gcp->credentials, call.gcp->http, deadline));
    if (wrapped->credential == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    return (0);
}

static int
gcp_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    GCP_CALL call = {
      .gcp = state, .method = GCP_DECRYPT, .recorded = recorded, .plaintextp = plaintextp};

    if (gcp_reply_aad(context, call.aad, status) != 0)
        return ((int)status->status_class);
    return (gcp_call(&call, clock_deadline(timeout_ms), status));
}

static int
gcp_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    GCP_CALL call = {.gcp = state, .method = GCP_GET, .info = info};
    STATUS ignored;

    if (gcp_key_check(key_id, true, &ignored) == 0)
        call.version = gcp_key_version(key_id);
    return (gcp_call(&call, clock_deadline(timeout_ms), status));
}

const KMS_PROVIDER kms_gcp = {
  .name = "gcp",
  .options = gcp_options,
  .options_size = sizeof(GCP_OPTIONS),
  .open = gcp_open,
  .close = gcp_close,
  .wrap = gcp_wrap,
  .key_id_check = gcp_key_id_check,
  .network = gcp_network,
  .matches = gcp_matches,
  .unwrap = gcp_unwrap,
  .describe = gcp_describe,
};
