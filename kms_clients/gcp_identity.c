/*
 * kms_clients/gcp_identity.c -- See gcp_identity.h.
 */
#include "kms_clients/gcp_identity.h"

#include "crypto/rsa_sign.h"
#include "kms_clients/http.h"
#include "kms_clients/json.h"

#include <stdlib.h>
#include <string.h>

#define HOST_MAX 256
#define EMAIL_MAX 254

void
gcp_identity_free(GCP_IDENTITY *identity)
{
    if (identity == NULL)
        return;
    secret_free(identity->private_key);
    free(identity->token_url);
    free(identity->email);
    free(identity->key_id);
    free(identity->audience);
    free(identity->subject_token_type);
    free(identity->subject_file);
    free(identity->subject_field);
    free(identity->impersonate);
    free(identity->impersonate_host);
    free(identity);
}

static int
bad_file(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_CONFIG, "kms-gcp-credentials", "it %s", what));
}

bool
gcp_identity_email(const char *email)
{
    static const char allowed[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.@_-";
    size_t len = strlen(email);

    return (len > 0 && len <= EMAIL_MAX && strspn(email, allowed) == len &&
            strstr(email, "..") == NULL && email[0] != '.');
}

static bool
is_loopback(const char *host)
{
    return (strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
            (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == strlen(host)));
}

static bool
is_label(const char *text, size_t len)
{
    return (len > 0 && len <= 63 && strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == len);
}

/*
 * Not any host under the universe: some of those names are other customers' (buckets). What stands
 * before it must be SERVICE., SERVICE.REGION.rep., SERVICE.mtls. or SERVICE-ENDPOINT.p.
 */
static bool
is_of_service(const char *host, const char *service, const char *universe)
{
    size_t host_len = strlen(host), universe_len = strlen(universe), len = strlen(service), rest;
    const char *p;

    if (host_len <= universe_len + 1 || host[host_len - universe_len - 1] != '.' ||
        strcmp(host + host_len - universe_len, universe) != 0 || strncmp(host, service, len) != 0)
        return (false);
    p = host + len;
    rest = host_len - universe_len - len; /* from p, with the dot before the universe */
    if (rest == 1 || (rest == 6 && strncmp(p, ".mtls.", 6) == 0))
        return (true);
    if (*p == '.' && rest > 6 && strncmp(p + rest - 5, ".rep.", 5) == 0)
        return (is_label(p + 1, rest - 6) && strcspn(p + 1, ".") == rest - 6);
    if (*p == '-' && rest > 4 && strncmp(p + rest - 3, ".p.", 3) == 0)
        return (strcspn(p + 1, ".") == rest - 4);
    return (false);
}

int
gcp_identity_host(const char *url, const char *service, const char *universe, STATUS *status)
{
    char host[HOST_MAX];

    if (http_url_host(url, host, sizeof(host), status) != 0)
        return ((int)status->status_class);
    if (is_loopback(host) || is_of_service(host, service, universe))
        return (0);
    /* The places of service accounts' tokens in files of older years. */
    if (strcmp(service, "oauth2") == 0 &&
        (strcmp(host, "accounts.google.com") == 0 || strcmp(host, "www.googleapis.com") == 0) &&
        strcmp(universe, GCP_UNIVERSE) == 0)
        return (0);
    (void)status_set(
      status, STATUS_CONFIG, "kms-gcp-host", "%.200s is no host of %s.%s", host, service, universe);
    return (status_hint(status, "credentials are sent to Google's own hosts only; for another "
                                "universe set universe:"));
}

static int
copy(const JSON *json, const char *path, char **textp, STATUS *status)
{
    const char *text = json_string(json, path);

    if (text == NULL || *text == '\0')
        return (
          status_set(status, STATUS_CONFIG, "kms-gcp-credentials", "it has no text \"%s\"", path));
    if ((*textp = strdup(text)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a credential"));
    return (0);
}

static int
copy_if(const JSON *json, const char *path, char **textp, STATUS *status)
{
    return (json_has(json, path) ? copy(json, path, textp, status) : 0);
}

static int
read_service_account(const JSON *json, const char *universe, GCP_IDENTITY *identity, STATUS *status)
{
    identity->kind = GCP_SERVICE_ACCOUNT;
    if (copy(json, "client_email", &identity->email, status) != 0 ||
        copy(json, "token_uri", &identity->token_url, status) != 0 ||
        copy_if(json, "private_key_id", &identity->key_id, status) != 0 ||
        json_secret(json, "private_key", &identity->private_key, status) != 0)
        return ((int)status->status_class);
    if (!gcp_identity_email(identity->email))
        return (bad_file(status, "has a client_email that is none"));
    if (identity->private_key == NULL)
        return (bad_file(status, "has no text \"private_key\""));
    if (rsa_sign_check(identity->private_key, status) != 0 ||
        gcp_identity_host(identity->token_url, "oauth2", universe, status) != 0)
        return ((int)status->status_class);
    return (0);
}

/* service_account_impersonation_url: https://HOST/v1/projects/-/serviceAccounts/EMAIL:generateAccessToken */
static int
read_impersonation(const JSON *json, const char *universe, GCP_IDENTITY *identity, STATUS *status)
{
    static const char path[] = "/v1/projects/-/serviceAccounts/", verb[] = ":generateAccessToken";
    const char *url = json_string(json, "service_account_impersonation_url"), *at, *end;

    if (url == NULL)
        return (0);
    if (gcp_identity_host(url, "iamcredentials", universe, status) != 0)
        return ((int)status->status_class);
    if ((at = strstr(url, path)) == NULL || strchr(strstr(url, "//") + 2, '/') != at ||
        (end = strstr(at, verb)) == NULL || end[sizeof(verb) - 1] != '\0')
        return (bad_file(status, "has a service_account_impersonation_url of another form"));
    identity->impersonate_host = strndup(url, (size_t)(at - url));
    at += sizeof(path) - 1;
    identity->impersonate = strndup(at, (size_t)(end - at));
    if (identity->impersonate_host == NULL || identity->impersonate == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a credential"));
    if (!gcp_identity_email(identity->impersonate))
        return (bad_file(status, "has a service_account_impersonation_url without an e-mail"));
    return (0);
}

static int
read_external_account(
  const JSON *json, const char *universe, GCP_IDENTITY *identity, STATUS *status)
{
    const char *format;

    identity->kind = GCP_EXTERNAL_ACCOUNT;
    if (copy(json, "audience", &identity->audience, status) != 0 ||
        copy(json, "subject_token_type", &identity->subject_token_type, status) != 0 ||
        copy(json, "token_url", &identity->token_url, status) != 0 ||
        gcp_identity_host(identity->token_url, "sts", universe, status) != 0 ||
        read_impersonation(json, universe, identity, status) != 0)
        return ((int)status->status_class);
    if (json_string(json, "credential_source.file") == NULL) {
        (void)bad_file(status, "takes its subject token from something else than a file");
        return (status_hint(status, "only credential_source.file is supported: a database neither "
                                    "runs programs nor asks other services for it"));
    }
    if (copy(json, "credential_source.file", &identity->subject_file, status) != 0)
        return ((int)status->status_class);
    if (identity->subject_file[0] != '/')
        return (bad_file(status, "has a credential_source.file that is not absolute"));
    format = json_string(json, "credential_source.format.type");
    if (format == NULL || strcmp(format, "text") == 0)
        return (0);
    if (strcmp(format, "json") != 0)
        return (bad_file(status, "has a credential_source.format that is neither text nor json"));
    if (copy(json, "credential_source.format.subject_token_field_name", &identity->subject_field,
          status) != 0)
        return ((int)status->status_class);
    if (strchr(identity->subject_field, '.') != NULL)
        return (bad_file(status, "has a subject_token_field_name with a dot"));
    return (0);
}

static int
unknown_type(const char *type, STATUS *status)
{
    (void)status_set(status, STATUS_CONFIG, "kms-gcp-credentials", "it is of type \"%.60s\"",
      type == NULL ? "" : type);
    if (type != NULL && strcmp(type, "authorized_user") == 0)
        return (status_hint(status, "a person's login is no credential for a database: name a "
                                    "service account's file with credentialsFile, or run on a "
                                    "machine with a service account"));
    return (status_hint(status, "only service_account and external_account are supported"));
}

int
gcp_identity_parse(
  const SECRET *text, const char *universe, bool *secretp, GCP_IDENTITY **identityp, STATUS *status)
{
    GCP_IDENTITY *identity = NULL;
    JSON *json = NULL;
    const char *type, *domain;
    int ret;

    *identityp = NULL;
    *secretp = false;
    if (json_parse(secret_bytes(text), secret_len(text), &json, status) != 0) {
        if (status->status_class != STATUS_NO_MEMORY)
            (void)bad_file(status, "is no JSON");
        return ((int)status->status_class);
    }
    *secretp = json_has(json, "private_key") || json_has(json, "client_secret");
    if ((identity = calloc(1, sizeof(*identity))) == NULL) {
        ret = status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a credential");
        goto err;
    }
    domain = json_string(json, "universe_domain");
    type = json_string(json, "type");
    if (domain != NULL && strcmp(domain, universe) != 0) {
        (void)status_set(status, STATUS_CONFIG, "kms-gcp-credentials",
          "it is of the universe %.100s, not %s", domain, universe);
        ret = status_hint(status, "set universe: to that of the credentials and of the key");
    } else if (type != NULL && strcmp(type, "service_account") == 0)
        ret = read_service_account(json, universe, identity, status);
    else if (type != NULL && strcmp(type, "external_account") == 0)
        ret = read_external_account(json, universe, identity, status);
    else
        ret = unknown_type(type, status);
    if (ret != 0)
        goto err;
    json_free(json);
    *identityp = identity;
    return (0);

err:
    gcp_identity_free(identity);
    json_free(json);
    return (ret);
}
