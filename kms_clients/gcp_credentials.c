/*
 * kms_clients/gcp_credentials.c -- See gcp_credentials.h. The calls for tokens; finding the file is
 * gcp_credentials_file.c's.
 */
#include "kms_clients/gcp_credentials.h"

#include "kms_clients/gcp_credentials_file.h"
#include "kms_clients/gcp_token.h"
#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE_KMS "https://www.googleapis.com/auth/cloudkms"
#define SCOPE_PLATFORM "https://www.googleapis.com/auth/cloud-platform"
#define METADATA_ADDRESS "169.254.169.254"
#define METADATA_PATH "/computeMetadata/v1/instance/service-accounts/default/"
#define FLAVOR "Metadata-Flavor"
#define SUBJECT_FILE_MAX (64 * 1024)
#define SKEW_MIN_S 60

struct gcp_credentials {
    GCP_IDENTITY *identity;
    char *metadata; /* host, perhaps with a port */
    TOKEN source;   /* of the identity, when it becomes a service account by impersonation */
    TOKEN token;
    int64_t token_at; /* clock_ms when it was asked for */
    int64_t skew;     /* seconds to add to this machine's clock for an assertion */
    bool name_asked;
    char name[KMS_CREDENTIAL_MAX + 1];
};

/* One call for a token. */
typedef struct {
    GCP_CREDENTIALS *credentials;
    const char *scope;
    TOKEN *token;
} TOKEN_CALL;

void
gcp_credentials_close(GCP_CREDENTIALS *credentials)
{
    if (credentials == NULL)
        return;
    gcp_identity_free(credentials->identity);
    free(credentials->metadata);
    token_clear(&credentials->source);
    token_clear(&credentials->token);
    free(credentials);
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a credential"));
}

static int
set_impersonation(const GCP_CREDENTIALS_OPTIONS *options, const CONFIG_NODE *entry,
  GCP_IDENTITY *identity, STATUS *status)
{
    char host[300];

    if (options->impersonate != NULL) {
        if (!gcp_identity_email(options->impersonate))
            return (config_error(config_get(entry, "impersonate"), status, "kms-gcp-impersonate",
              "impersonate: \"%.100s\" is no e-mail of a service account", options->impersonate));
        if (identity->impersonate != NULL &&
            strcmp(identity->impersonate, options->impersonate) != 0)
            return (config_error(config_get(entry, "impersonate"), status, "kms-gcp-impersonate",
              "impersonate: the credentials become %s already", identity->impersonate));
        if (identity->impersonate == NULL &&
            (identity->impersonate = strdup(options->impersonate)) == NULL)
            return (no_memory(status));
    }
    if (identity->impersonate == NULL ||
        (identity->impersonate_host != NULL && options->iam_endpoint == NULL))
        return (0);
    (void)snprintf(host, sizeof(host), "https://iamcredentials.%s", options->universe);
    free(identity->impersonate_host);
    identity->impersonate_host =
      strdup(options->iam_endpoint == NULL ? host : options->iam_endpoint);
    return (identity->impersonate_host == NULL ? no_memory(status) : 0);
}

static void
set_name(GCP_CREDENTIALS *credentials)
{
    const GCP_IDENTITY *identity = credentials->identity;
    const char *name = "metadata";

    if (identity->impersonate != NULL)
        name = identity->impersonate;
    else if (identity->kind == GCP_SERVICE_ACCOUNT)
        name = identity->email;
    else if (identity->kind == GCP_EXTERNAL_ACCOUNT)
        name = identity->audience;
    credentials->name_asked = identity->impersonate != NULL || identity->kind != GCP_METADATA;
    (void)snprintf(credentials->name, sizeof(credentials->name), "%s", name);
    status_make_printable(credentials->name);
}

int
gcp_credentials_open(const GCP_CREDENTIALS_OPTIONS *options, const CONFIG_NODE *entry,
  GCP_CREDENTIALS **credentialsp, STATUS *status)
{
    GCP_CREDENTIALS *credentials;
    const char *host = getenv("GCE_METADATA_HOST");

    *credentialsp = NULL;
    if ((credentials = calloc(1, sizeof(*credentials))) == NULL)
        return (no_memory(status));
    if (gcp_credentials_file_find(options, entry, &credentials->identity, status) != 0 ||
        set_impersonation(options, entry, credentials->identity, status) != 0)
        goto err;
    if (host == NULL || *host == '\0')
        host = METADATA_ADDRESS;
    if ((credentials->metadata = strdup(host)) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    set_name(credentials);
    *credentialsp = credentials;
    return (0);

err:
    gcp_credentials_close(credentials);
    return ((int)status->status_class);
}

static int
build_form(HTTP_REQUEST *request, const char *url, SECRET *body, STATUS *status)
{
    if (http_request_body(request, body, status) != 0 ||
        http_request_method(request, "POST", status) != 0 ||
        http_request_url(request, status, "%s", url) != 0)
        return ((int)status->status_class);
    return (
      http_request_header(request, "Content-Type", "application/x-www-form-urlencoded", status));
}

static int
build_assertion(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const TOKEN_CALL *call = context;
    const GCP_IDENTITY *identity = call->credentials->identity;
    SECRET *body = NULL;

    if (gcp_token_assertion_body(identity, call->scope,
          clock_unix_seconds() + call->credentials->skew, &body, status) != 0)
        return ((int)status->status_class);
    return (build_form(request, identity->token_url, body, status));
}

/* The platform writes the file anew before the token in it expires, so it is read each time. */
static int
read_subject(const GCP_IDENTITY *identity, SECRET **subjectp, STATUS *status)
{
    KMS_SECRET_FILE file = {
      .path = identity->subject_file, .max = SUBJECT_FILE_MAX - 1, .is_platform = true};
    SECRET *text = NULL;

    *subjectp = NULL;
    if (kms_secret_file(&file, &text, status) != 0) {
        if (file.unusable)
            (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-gcp-subject-token",
              "the file of the subject token holds none");
        goto err;
    }
    if (gcp_token_subject(text, identity->subject_field, subjectp, status) != 0)
        goto err;
    secret_free(text);
    return (0);

err:
    secret_free(text);
    return (status_add(status, "while reading the subject token in %s", identity->subject_file));
}

static int
build_exchange(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const TOKEN_CALL *call = context;
    const GCP_IDENTITY *identity = call->credentials->identity;
    SECRET *subject = NULL, *body = NULL;

    if (read_subject(identity, &subject, status) != 0)
        return ((int)status->status_class);
    if (gcp_token_exchange_body(identity, subject, call->scope, &body, status) != 0) {
        secret_free(subject);
        return ((int)status->status_class);
    }
    secret_free(subject);
    return (build_form(request, identity->token_url, body, status));
}

static int
build_metadata(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const TOKEN_CALL *call = context;

    if (http_request_method(request, "GET", status) != 0 ||
        http_request_url(request, status, "http://%s" METADATA_PATH "%s",
          call->credentials->metadata, call->token == NULL ? "email" : "token") != 0)
        return ((int)status->status_class);
    return (http_request_header(request, FLAVOR, "Google", status));
}

static int
build_impersonate(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const TOKEN_CALL *call = context;
    const GCP_IDENTITY *identity = call->credentials->identity;
    SECRET *body = NULL;

    if (gcp_token_impersonate_body(call->scope, &body, status) != 0 ||
        http_request_body(request, body, status) != 0 ||
        http_request_method(request, "POST", status) != 0 ||
        http_request_url(request, status, "%s/v1/projects/-/serviceAccounts/%s:generateAccessToken",
          identity->impersonate_host, identity->impersonate) != 0 ||
        http_request_header(request, "Content-Type", "application/json", status) != 0)
        return ((int)status->status_class);
    return (http_request_header_secret(
      request, "Authorization", "Bearer ", call->credentials->source.value, status));
}

static int
parse_token(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    const TOKEN_CALL *call = context;

    return (gcp_token_reply(reply, call->token, status));
}

static int
parse_impersonate(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    const TOKEN_CALL *call = context;

    return (gcp_token_impersonate_reply(reply, call->token, status));
}

/* Something else may answer at the address where the metadata server is expected. */
static int
check_flavor(const HTTP_REPLY *reply, STATUS *status)
{
    char flavor[16];

    if (http_reply_header(reply, FLAVOR, flavor, sizeof(flavor)) && strcmp(flavor, "Google") == 0)
        return (0);
    if (reply->code == 429 || reply->code >= 500)
        return (http_reply_unclear(reply, status));
    return (status_set(status, STATUS_BAD_REPLY, "kms-gcp-metadata",
      "what answers is not Google's metadata server"));
}

static int
parse_metadata(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    const TOKEN_CALL *call = context;

    if (check_flavor(reply, status) != 0)
        return ((int)status->status_class);
    if (reply->code == 404) {
        (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-gcp-no-account",
          "this machine has no service account");
        return (status_hint(status, "attach a service account to the machine, or set "
                                    "credentialsFile"));
    }
    return (gcp_token_reply(reply, call->token, status));
}

static int
parse_email(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    GCP_CREDENTIALS *credentials = ((TOKEN_CALL *)context)->credentials;
    char email[sizeof(credentials->name)];

    if (check_flavor(reply, status) != 0)
        return ((int)status->status_class);
    (void)snprintf(email, sizeof(email), "%s", (const char *)reply->body);
    email[strcspn(email, "\r\n")] = '\0';
    if (reply->code != 200 || !gcp_identity_email(email))
        return (http_reply_unclear(reply, status));
    (void)snprintf(credentials->name, sizeof(credentials->name), "%s", email);
    return (0);
}

/* An assertion holds a time, which a wrong clock makes worthless: the server's Date tells. */
static bool
mend_clock(void *context, const HTTP_REPLY *reply, const STATUS *status)
{
    GCP_CREDENTIALS *credentials = ((TOKEN_CALL *)context)->credentials;
    int64_t date, skew;

    if (status->status_class != STATUS_UNAUTHENTICATED || reply == NULL ||
        !http_reply_date(reply, &date))
        return (false);
    skew = date - clock_unix_seconds();
    if (skew - credentials->skew > -SKEW_MIN_S && skew - credentials->skew < SKEW_MIN_S)
        return (false);
    credentials->skew = skew;
    return (true);
}

static int
fetch_identity(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline, const char *scope,
  TOKEN *token, STATUS *status)
{
    static const HTTP_CALL calls[] = {
      [GCP_METADATA] = {"metadata server", build_metadata, parse_metadata, NULL, true, true},
      [GCP_SERVICE_ACCOUNT] = {"token request", build_assertion, parse_token, mend_clock, true,
        false},
      [GCP_EXTERNAL_ACCOUNT] = {"token exchange", build_exchange, parse_token, NULL, true, false}};
    TOKEN_CALL call = {credentials, scope, token};
    GCP_IDENTITY_KIND kind = credentials->identity->kind;
    int ret = http_client_call(http, deadline, &calls[kind], &call, status);

    if (ret == STATUS_UNAVAILABLE && kind == GCP_METADATA)
        (void)status_hint(status, "no credentials file was found, so the metadata server of Google "
                                  "Cloud is asked: elsewhere set credentialsFile");
    return (ret);
}

static int
fetch(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline, STATUS *status)
{
    static const HTTP_CALL impersonate = {
      "generateAccessToken", build_impersonate, parse_impersonate, NULL, true, false};
    TOKEN_CALL call = {credentials, SCOPE_KMS, &credentials->token};
    int ret;

    if (credentials->identity->impersonate == NULL)
        return (
          fetch_identity(credentials, http, deadline, SCOPE_KMS, &credentials->token, status));
    if (!token_fresh(&credentials->source) &&
        (ret = fetch_identity(
           credentials, http, deadline, SCOPE_PLATFORM, &credentials->source, status)) != 0 &&
        !(ret == STATUS_UNAVAILABLE && token_usable(&credentials->source)))
        return (ret);
    if ((ret = http_client_call(http, deadline, &impersonate, &call, status)) ==
        STATUS_UNAUTHENTICATED)
        token_clear(&credentials->source);
    return (ret);
}

int
gcp_credentials_token(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline,
  const SECRET **tokenp, STATUS *status)
{
    int64_t now = clock_ms();
    int ret;

    *tokenp = NULL;
    if (!token_fresh(&credentials->token)) {
        ret = fetch(credentials, http, deadline, status);
        if (ret == 0)
            credentials->token_at = now;
        else if (ret != STATUS_UNAVAILABLE || !token_usable(&credentials->token))
            return (status_add(status, "while getting a token for %s", credentials->name));
    }
    *tokenp = credentials->token.value;
    return (0);
}

bool
gcp_credentials_forget(GCP_CREDENTIALS *credentials, int64_t call_started)
{
    bool old = credentials->token_at < call_started;

    token_clear(&credentials->token);
    token_clear(&credentials->source);
    return (old);
}

const char *
gcp_credentials_name(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline)
{
    static const HTTP_CALL email = {
      "metadata server", build_metadata, parse_email, NULL, false, true};
    TOKEN_CALL call = {credentials, NULL, NULL};
    STATUS ignored;

    if (!credentials->name_asked)
        credentials->name_asked = http_client_call(http, deadline, &email, &call, &ignored) == 0;
    return (credentials->name);
}
