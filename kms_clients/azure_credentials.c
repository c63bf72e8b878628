/*
 * kms_clients/azure_credentials.c -- Tokens for a vault. See azure_credentials.h.
 */
#include "kms_clients/azure_credentials.h"

#include "common/clock.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "crypto/rsa_sign.h"
#include "kms_clients/azure_form.h"
#include "kms_clients/json.h"
#include "kms_clients/kms_client_provider.h"
#include "kms_clients/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (64 * 1024)
#define ASSERTION_LIFE_S 600
#define METADATA_HOST "http://169.254.169.254"
#define ID_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

struct azure_credentials {
    const AZURE_OPTIONS *options;
    AZURE_CREDENTIAL kind; /* never AUTO */
    char tenant[256];
    char client[256];   /* empty for the system-assigned identity */
    char resource[300]; /* "https://vault.azure.net" */
    char *url;          /* of the token endpoint */
    char *secret_file;  /* client secret, certificate or federated token; NULL: secret has it */
    char *key_file;     /* of the certificate; NULL: in secret_file */
    SECRET *secret;     /* from the environment: client secret, or App Service's header */
    bool app_service;
    TOKEN token;
    char name[KMS_CREDENTIAL_MAX + 1];
};

/* The clouds: whose vaults ask which authority. */
static const struct {
    const char *domain; /* the end of the suffix */
    const char *authority;
} clouds[] = {{"azure.cn", "https://login.partner.microsoftonline.cn"},
  {"usgovcloudapi.net", "https://login.microsoftonline.us"},
  {"", "https://login.microsoftonline.com"}};

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
}

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    return (value == NULL || value[0] == '\0' ? NULL : value);
}

static bool
copy_string(char **copyp, const char *text)
{
    return (text == NULL || (*copyp = strdup(text)) != NULL);
}

/*
 * read_file --
 *     A secret file, without white space at its end. Tokens that the platform writes are exempt from the
 *     rule of secret files: they are short-lived, and their mode is the platform's.
 */
static int
read_file(const char *path, bool platform, SECRET **secretp, STATUS *status)
{
    KMS_SECRET_FILE file = {
      .path = path, .max = FILE_MAX - 1, .is_platform = platform, .trim = true};

    return (kms_secret_file(&file, secretp, status));
}

/* The secret of this kind of credential, and for a certificate its private key; either may be NULL. */
static int
read_secrets(const AZURE_CREDENTIALS *credentials, SECRET **secretp, SECRET **keyp, STATUS *status)
{
    const SECRET *kept = credentials->secret;

    *secretp = *keyp = NULL;
    if (credentials->secret_file == NULL)
        return (kept == NULL
                  ? 0
                  : secret_new_copy(secret_bytes(kept), secret_len(kept), secretp, status));
    if (read_file(credentials->secret_file, credentials->kind == AZURE_CREDENTIAL_WORKLOAD, secretp,
          status) == 0 &&
        (credentials->kind != AZURE_CREDENTIAL_CERTIFICATE ||
          read_file(
            credentials->key_file == NULL ? credentials->secret_file : credentials->key_file, false,
            keyp, status) == 0))
        return (0);
    secret_free(*secretp);
    *secretp = NULL;
    return ((int)status->status_class);
}

/* --- open */

static int
choose(AZURE_CREDENTIALS *credentials, STATUS *status)
{
    const AZURE_OPTIONS *options = credentials->options;
    const char *secret = environment("AZURE_CLIENT_SECRET"), *text;
    AZURE_CREDENTIAL kind = (AZURE_CREDENTIAL)options->credential;
    bool copied = true;

    if (kind == AZURE_CREDENTIAL_AUTO) {
        if (options->client_secret_file != NULL)
            kind = AZURE_CREDENTIAL_SECRET;
        else if (options->certificate_file != NULL)
            kind = AZURE_CREDENTIAL_CERTIFICATE;
        else if (options->federated_token_file != NULL)
            kind = AZURE_CREDENTIAL_WORKLOAD;
        else if (secret != NULL)
            kind = AZURE_CREDENTIAL_SECRET;
        else if (environment("AZURE_CLIENT_CERTIFICATE_PATH") != NULL)
            kind = AZURE_CREDENTIAL_CERTIFICATE;
        else if (environment("AZURE_FEDERATED_TOKEN_FILE") != NULL)
            kind = AZURE_CREDENTIAL_WORKLOAD;
        else
            kind = AZURE_CREDENTIAL_MANAGED;
    }
    credentials->kind = kind;
    switch (kind) {
    case AZURE_CREDENTIAL_SECRET:
        copied = copy_string(&credentials->secret_file, options->client_secret_file);
        if (options->client_secret_file == NULL && secret != NULL &&
            secret_new_copy(secret, strlen(secret), &credentials->secret, status) != 0)
            return ((int)status->status_class);
        break;
    case AZURE_CREDENTIAL_CERTIFICATE:
        text = options->certificate_file;
        copied = copy_string(&credentials->secret_file,
                   text == NULL ? environment("AZURE_CLIENT_CERTIFICATE_PATH") : text) &&
                 copy_string(&credentials->key_file, options->certificate_key_file);
        break;
    case AZURE_CREDENTIAL_WORKLOAD:
        text = options->federated_token_file;
        copied = copy_string(&credentials->secret_file,
          text == NULL ? environment("AZURE_FEDERATED_TOKEN_FILE") : text);
        break;
    default:
        credentials->app_service =
          environment("IDENTITY_ENDPOINT") != NULL && environment("IDENTITY_HEADER") != NULL;
        if (credentials->app_service &&
            secret_new_copy(environment("IDENTITY_HEADER"), strlen(environment("IDENTITY_HEADER")),
              &credentials->secret, status) != 0)
            return ((int)status->status_class);
        break;
    }
    return (copied ? 0 : no_memory(status));
}

/* An identifier goes into a URL and a form. */
static int
take_id(const CONFIG_NODE *entry, const char *option, const char *value, const char *variable,
  char *out, size_t size, STATUS *status)
{
    const CONFIG_NODE *node = config_get(entry, option);

    if (value == NULL)
        value = environment(variable);
    if (value == NULL)
        return (0);
    if (strlen(value) >= size || strspn(value, ID_CHARS) != strlen(value) || value[0] == '.')
        return (config_error(node == NULL ? entry : node, status, "kms-azure-id",
          "%s is not a name or a GUID: letters, digits, '-' and '.'", option));
    (void)snprintf(out, size, "%s", value);
    return (0);
}

static int
need(const AZURE_CREDENTIALS *credentials, const CONFIG_NODE *entry, STATUS *status)
{
    const char *what = NULL;

    if (credentials->kind == AZURE_CREDENTIAL_MANAGED)
        return (0);
    if (credentials->tenant[0] == '\0')
        what = "tenantId";
    else if (credentials->client[0] == '\0')
        what = "clientId";
    else if (credentials->secret_file == NULL && credentials->secret == NULL)
        what = credentials->kind == AZURE_CREDENTIAL_SECRET        ? "clientSecretFile"
               : credentials->kind == AZURE_CREDENTIAL_CERTIFICATE ? "certificateFile"
                                                                   : "federatedTokenFile";
    if (what == NULL)
        return (0);
    (void)config_error(entry, status, "kms-azure-credential", "%s is missing", what);
    return (status_hint(status, "a managed identity needs none of tenantId and a secret: "
                                "credential: managedIdentity"));
}

/* Where tokens come from: Entra, the machine's own service, or App Service's. */
static int
find_url(
  AZURE_CREDENTIALS *credentials, const CONFIG_NODE *entry, const char *suffix, STATUS *status)
{
    const char *base = credentials->options->authority, *option = "authority";
    char host[AZURE_HOST_MAX + 1];
    size_t i, len = strlen(suffix), end;
    int ret;

    if (credentials->kind == AZURE_CREDENTIAL_MANAGED) {
        option = "credential";
        if ((base = environment(credentials->app_service ? "IDENTITY_ENDPOINT"
                                                         : "AZURE_POD_IDENTITY_AUTHORITY_HOST")) ==
            NULL)
            base = METADATA_HOST;
    } else if (base == NULL && (base = environment("AZURE_AUTHORITY_HOST")) == NULL)
        for (i = 0; base == NULL; i++) {
            end = strlen(clouds[i].domain);
            if (end <= len && strcmp(suffix + len - end, clouds[i].domain) == 0)
                base = clouds[i].authority;
        }
    if (strcmp(base, METADATA_HOST) != 0 && http_url_host(base, host, sizeof(host), status) != 0)
        return (kms_client_at_option(entry, option, status));
    for (len = strlen(base); len > 0 && base[len - 1] == '/';)
        len--;
    if (credentials->kind != AZURE_CREDENTIAL_MANAGED)
        ret = asprintf(
          &credentials->url, "%.*s/%s/oauth2/v2.0/token", (int)len, base, credentials->tenant);
    else if (credentials->app_service)
        ret = asprintf(&credentials->url, "%.*s?api-version=2019-08-01", (int)len, base);
    else
        ret = asprintf(&credentials->url,
          "%.*s/metadata/identity/oauth2/token?api-version=2018-02-01", (int)len, base);
    if (ret < 0)
        credentials->url = NULL;
    return (ret < 0 ? no_memory(status) : 0);
}

/* Files that are wrong are better told when the configuration is read. */
static int
check_files(const AZURE_CREDENTIALS *credentials, const CONFIG_NODE *entry, STATUS *status)
{
    static const char *const options[] = {
      "credential", "clientSecretFile", "certificateFile", "credential", "federatedTokenFile"};
    SECRET *secret, *key;
    int ret = read_secrets(credentials, &secret, &key, status);

    if (ret == 0 && key != NULL &&
        ((ret = rsa_sign_check(key, status)) != 0 ||
          (ret = rsa_sign_check_pair(secret_bytes(secret), secret_len(secret), key, status)) != 0))
        (void)status_add(status, "in %s",
          credentials->key_file == NULL ? credentials->secret_file : credentials->key_file);
    secret_free(secret);
    secret_free(key);
    return (ret == 0 ? 0 : kms_client_at_option(entry, options[credentials->kind], status));
}

static void
make_name(AZURE_CREDENTIALS *credentials)
{
    static const char *const kinds[] = {
      "", "clientSecret", "certificate", "managedIdentity", "workloadIdentity"};

    if (credentials->kind == AZURE_CREDENTIAL_MANAGED)
        (void)snprintf(credentials->name, sizeof(credentials->name), "managedIdentity %s",
          credentials->client[0] == '\0' ? "system-assigned" : credentials->client);
    else
        (void)snprintf(credentials->name, sizeof(credentials->name), "%s tenant %s client %s",
          kinds[credentials->kind], credentials->tenant, credentials->client);
}

int
azure_credentials_open(const AZURE_OPTIONS *options, const CONFIG_NODE *entry, const char *suffix,
  AZURE_CREDENTIALS **credentialsp, STATUS *status)
{
    AZURE_CREDENTIALS *credentials;

    *credentialsp = NULL;
    if ((credentials = calloc(1, sizeof(*credentials))) == NULL)
        return (no_memory(status));
    credentials->options = options;
    (void)snprintf(credentials->resource, sizeof(credentials->resource), "https://%s", suffix);
    if (choose(credentials, status) != 0 ||
        take_id(entry, "tenantId", options->tenant_id, "AZURE_TENANT_ID", credentials->tenant,
          sizeof(credentials->tenant), status) != 0 ||
        take_id(entry, "clientId", options->client_id, "AZURE_CLIENT_ID", credentials->client,
          sizeof(credentials->client), status) != 0 ||
        need(credentials, entry, status) != 0 ||
        find_url(credentials, entry, suffix, status) != 0 ||
        check_files(credentials, entry, status) != 0) {
        azure_credentials_close(credentials);
        return ((int)status->status_class);
    }
    make_name(credentials);
    *credentialsp = credentials;
    return (0);
}

void
azure_credentials_close(AZURE_CREDENTIALS *credentials)
{
    if (credentials == NULL)
        return;
    token_clear(&credentials->token);
    secret_free(credentials->secret);
    free(credentials->secret_file);
    free(credentials->key_file);
    free(credentials->url);
    free(credentials);
}

const char *
azure_credentials_name(const AZURE_CREDENTIALS *credentials)
{
    return (credentials->name);
}

void
azure_credentials_forget(AZURE_CREDENTIALS *credentials)
{
    token_clear(&credentials->token);
}

/* --- a token */

int
azure_credentials_assertion(JWT_ALGORITHM algorithm, const char *aud, const char *client_id,
  int64_t now, const SECRET *pem, const SECRET *private_key, SECRET **assertionp, STATUS *status)
{
    JSON_WRITER *json;
    RSA_SIGN_THUMBPRINTS thumbprints;
    SECRET *header = NULL, *claims = NULL;
    uint8_t id[16];
    char text[ENCODE_BASE64_SIZE(RSA_SIGN_SHA256_LEN)], jti[2 * sizeof(id) + 1];
    int ret;

    *assertionp = NULL;
    if ((ret = rsa_sign_thumbprints(secret_bytes(pem), secret_len(pem), &thumbprints, status)) !=
          0 ||
        (ret = random_bytes(id, sizeof(id), status)) != 0)
        return (ret);
    encode_hex(id, sizeof(id), jti);

    /* Entra takes the SHA-1 thumbprint with RS256 alone, and asks for SHA-256's with PS256. */
    if (algorithm == JWT_PS256)
        (void)encode_base64url(thumbprints.sha256, sizeof(thumbprints.sha256), text);
    else
        (void)encode_base64url(thumbprints.sha1, sizeof(thumbprints.sha1), text);
    json = json_writer_new();
    json_put_string(json, "alg", jwt_algorithm_name(algorithm));
    json_put_string(json, "typ", "JWT");
    json_put_string(json, algorithm == JWT_PS256 ? "x5t#S256" : "x5t", text);
    if ((ret = json_writer_finish(json, &header, status)) != 0)
        goto err;
    json = json_writer_new();
    json_put_string(json, "aud", aud);
    json_put_string(json, "iss", client_id);
    json_put_string(json, "sub", client_id);
    json_put_string(json, "jti", jti);
    json_put_int(json, "iat", now);
    json_put_int(json, "nbf", now);
    json_put_int(json, "exp", now + ASSERTION_LIFE_S);
    if ((ret = json_writer_finish(json, &claims, status)) == 0)
        ret = jwt_sign(algorithm, header, claims, private_key, assertionp, status);

err:
    secret_free(header);
    secret_free(claims);
    return (ret);
}

/* The form of Entra's token endpoint, for one attempt: an assertion is good once. */
static int
build_form(const AZURE_CREDENTIALS *credentials, SECRET **bodyp, STATUS *status)
{
    AZURE_FORM form = {0};
    SECRET *secret = NULL, *key = NULL, *assertion = NULL;
    char scope[320];
    int ret;

    *bodyp = NULL;
    (void)snprintf(scope, sizeof(scope), "%s/.default", credentials->resource);
    azure_form_put(&form, "grant_type", "client_credentials");
    azure_form_put(&form, "client_id", credentials->client);
    azure_form_put(&form, "scope", scope);
    if ((ret = read_secrets(credentials, &secret, &key, status)) != 0)
        goto err;
    if (credentials->kind == AZURE_CREDENTIAL_SECRET)
        azure_form_put_secret(&form, "client_secret", secret);
    else {
        azure_form_put(
          &form, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        if (key != NULL &&
            (ret = azure_credentials_assertion((JWT_ALGORITHM)credentials->options->assertion,
               credentials->url, credentials->client, clock_unix_seconds(), secret, key, &assertion,
               status)) != 0)
            goto err;
        azure_form_put_secret(&form, "client_assertion", key == NULL ? secret : assertion);
    }
    ret = azure_form_finish(&form, bodyp, status);

err:
    azure_form_release(&form);
    secret_free(secret);
    secret_free(key);
    secret_free(assertion);
    return (ret);
}

typedef struct {
    AZURE_CREDENTIALS *credentials;
    SECRET *token;
    int64_t lifetime;
} FETCH;

static int
build_managed(const AZURE_CREDENTIALS *credentials, HTTP_REQUEST *request, STATUS *status)
{
    char resource[600];

    if (!http_percent_encode(credentials->resource, false, resource, sizeof(resource)))
        return (status_set(status, STATUS_INTERNAL, "kms-azure-url", "a resource is too long"));
    if (http_request_method(request, "GET", status) != 0 ||
        http_request_url(request, status, "%s&resource=%s%s%s", credentials->url, resource,
          credentials->client[0] == '\0' ? "" : "&client_id=", credentials->client) != 0)
        return ((int)status->status_class);
    /* Either header keeps a request out that somebody else's page or redirect made. */
    if (credentials->app_service)
        return (http_request_header_secret(
          request, "X-IDENTITY-HEADER", NULL, credentials->secret, status));
    return (http_request_header(request, "Metadata", "true", status));
}

static int
build_fetch(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const AZURE_CREDENTIALS *credentials = ((FETCH *)context)->credentials;
    SECRET *body;

    if (credentials->kind == AZURE_CREDENTIAL_MANAGED)
        return (build_managed(credentials, request, status));
    if (build_form(credentials, &body, status) != 0 ||
        http_request_body(request, body, status) != 0 ||
        http_request_method(request, "POST", status) != 0 ||
        http_request_url(request, status, "%s", credentials->url) != 0 ||
        http_request_header(request, "Content-Type", "application/x-www-form-urlencoded", status) !=
          0 ||
        http_request_header(request, "Accept", "application/json", status) != 0)
        return ((int)status->status_class);
    return (0);
}

static int
parse_fetch(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    FETCH *fetch = context;
    bool machine =
      fetch->credentials->kind == AZURE_CREDENTIAL_MANAGED && !fetch->credentials->app_service;

    if (reply->code == 200)
        return (
          azure_reply_token(reply, clock_unix_seconds(), &fetch->token, &fetch->lifetime, status));
    /* The machine's service answers so while it is started or updated. */
    if (machine && (reply->code == 404 || reply->code == 410))
        return (status_set(status, STATUS_UNAVAILABLE, "kms-unavailable",
          "the machine's identity service is not ready"));
    (void)azure_reply_token_error(reply, status);
    if (machine && status->status_class == STATUS_UNAUTHENTICATED)
        (void)status_hint(status, "assign this machine an identity that may use the key; with "
                                  "several, name one with clientId");
    return ((int)status->status_class);
}

int
azure_credentials_token(AZURE_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline,
  const SECRET **tokenp, STATUS *status)
{
    FETCH fetch = {.credentials = credentials};
    const HTTP_CALL call = {.operation = "token",
      .build = build_fetch,
      .parse = parse_fetch,
      .retry = true,
      .metadata = credentials->kind == AZURE_CREDENTIAL_MANAGED && !credentials->app_service};
    int ret;

    *tokenp = NULL;
    if (!token_fresh(&credentials->token)) {
        ret = http_client_call(http, deadline, &call, &fetch, status);
        if (ret == 0)
            token_set(&credentials->token, fetch.token, fetch.lifetime);
        else if (ret != STATUS_UNAVAILABLE || !token_usable(&credentials->token))
            return (status_add(status, "for a token of %s", credentials->name));
    }
    *tokenp = credentials->token.value;
    return (0);
}
