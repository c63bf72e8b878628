/*
 * kms_clients/vault_auth.c -- Tokens of Vault and OpenBao: from a file, or by logging in; renewed in time.
 * See vault.h.
 */
#include "kms_clients/vault.h"

#include "common/clock.h"
#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <string.h>

#define SECRET_FILE_MAX (16 * 1024)
#define NEVER_EXPIRES (100LL * 365 * 24 * 3600) /* seconds */
#define RENEW_LEAST_S 60 /* a renewal that gives less has come to the end of the token's life */
#define ASIDE_MAX_MS 5000

/*
 * The time of a call that the one in hand can do without. A service, or a proxy before it, that does not
 * answer it must leave enough for what the token is wanted for; it is not asked again either.
 */
static int64_t
aside_deadline(int64_t deadline)
{
    int64_t left = clock_left(deadline) / 4;

    return (clock_deadline(left < ASIDE_MAX_MS ? left : ASIDE_MAX_MS));
}

/* White space at the end is an editor's. */
static int
read_secret(const VAULT *vault, const CONFIG_NODE *entry, const char *option, const char *path,
  SECRET **secretp, STATUS *status)
{
    KMS_SECRET_FILE file = {.path = path, .max = SECRET_FILE_MAX, .trim = true};

    if (kms_secret_file(&file, secretp, status) != 0)
        return (kms_client_at_option(entry == NULL ? &vault->origin : entry, option, status));
    return (0);
}

/* A platform's file, whose mode is the platform's. */
static int
read_jwt(const VAULT *vault, SECRET **secretp, STATUS *status)
{
    KMS_SECRET_FILE file = {.path = vault->options->jwt_file,
      .max = SECRET_FILE_MAX - 1,
      .is_platform = true,
      .trim = true};

    if (kms_secret_file(&file, secretp, status) != 0)
        return (kms_client_at_option(&vault->origin, "jwtFile", status));
    return (0);
}

static int
login_body(VAULT *vault, SECRET **bodyp, STATUS *status)
{
    const VAULT_OPTIONS *options = vault->options;
    JSON_WRITER *writer = NULL;
    SECRET *secret = NULL;
    int ret;

    *bodyp = NULL;
    if (options->method == VAULT_APPROLE && options->secret_id_file != NULL &&
        read_secret(vault, NULL, "secretIdFile", options->secret_id_file, &secret, status) != 0)
        return ((int)status->status_class);
    if (options->method == VAULT_KUBERNETES && read_jwt(vault, &secret, status) != 0)
        return ((int)status->status_class);
    writer = json_writer_new();
    if (options->method == VAULT_APPROLE)
        json_put_string(writer, "role_id", options->role_id);
    else if (options->role != NULL)
        json_put_string(writer, options->method == VAULT_CERT ? "name" : "role", options->role);
    if (secret != NULL)
        json_put_secret(writer, options->method == VAULT_APPROLE ? "secret_id" : "jwt", secret);
    ret = json_writer_finish(writer, bodyp, status);
    secret_free(secret);
    return (ret);
}

/* Take the token of a login, or the longer life of a renewal: then the reply's token is the same. */
static int
take_token(VAULT *vault, const JSON *json, STATUS *status)
{
    SECRET *value = NULL;
    int64_t seconds = 0;

    if (json == NULL || json_secret(json, "auth.client_token", &value, status) != 0 ||
        value == NULL)
        return (
          json != NULL && status->status_class == STATUS_NO_MEMORY
            ? (int)STATUS_NO_MEMORY
            : status_set(status, STATUS_BAD_REPLY, "kms-bad-token", "the answer has no token"));
    vault->renewable = false;
    (void)json_bool(json, "auth.renewable", &vault->renewable);
    (void)json_int(json, "auth.lease_duration", &seconds);
    token_set(&vault->token, value, seconds == 0 ? NEVER_EXPIRES : seconds);
    return (0);
}

static int
login(VAULT *vault, int64_t deadline, STATUS *status)
{
    static const char *const mounts[] = {NULL, "approle", "kubernetes", "cert"};
    VAULT_REQUEST request = {
      .operation = "login", .method = "POST", .anonymous = true, .once = false};
    const char *mount = vault->options->auth_mount;
    int ret;

    if (mount == NULL)
        mount = mounts[vault->options->method];
    (void)snprintf(request.path, sizeof(request.path), "auth/%s/login", mount);
    token_clear(&vault->token);
    if ((ret = login_body(vault, &request.body, status)) == 0 &&
        (ret = vault_send(vault, deadline, &request, status)) == 0)
        ret = take_token(vault, request.json, status);
    if (ret != 0 && request.forbidden) {
        /* No policy is asked at a login: who is refused was not recognized. */
        status->status_class = STATUS_UNAUTHENTICATED;
        status->id = "kms-login";
        ret = status_hint(status, "the %s login was refused: look at its role at the service",
          mounts[vault->options->method]);
    }
    vault_request_release(&request);
    return (ret);
}

static bool
renew(VAULT *vault, int64_t deadline)
{
    VAULT_REQUEST request = {
      .operation = "renew-self", .method = "POST", .path = "auth/token/renew-self", .once = true};
    STATUS ignored;
    int64_t seconds = 0;
    bool renewed;

    status_clear(&ignored);
    renewed = vault_send(vault, aside_deadline(deadline), &request, &ignored) == 0 &&
              request.json != NULL && json_int(request.json, "auth.lease_duration", &seconds) &&
              seconds >= RENEW_LEAST_S && take_token(vault, request.json, &ignored) == 0;
    vault_request_release(&request);
    return (renewed);
}

/* How long a token of a file lives; a policy may forbid it to ask, then an hour is assumed. */
static bool
look_up(VAULT *vault, int64_t deadline, bool once, int64_t *secondsp)
{
    VAULT_REQUEST request = {
      .operation = "lookup-self", .method = "GET", .path = "auth/token/lookup-self", .once = once};
    STATUS ignored;
    bool known;

    *secondsp = 0;
    status_clear(&ignored);
    known = vault_send(vault, deadline, &request, &ignored) == 0 && request.json != NULL &&
            json_int(request.json, "data.ttl", secondsp);
    if (known) {
        vault->renewable = false;
        (void)json_bool(request.json, "data.renewable", &vault->renewable);
        if (*secondsp == 0)
            *secondsp = NEVER_EXPIRES;
    }
    vault_request_release(&request);
    return (known);
}

/* An agent may replace the file at any time. */
static int
read_token(VAULT *vault, int64_t deadline, STATUS *status)
{
    SECRET *text = NULL, *copy = NULL;
    int64_t seconds;

    if (read_secret(vault, NULL, "tokenFile", vault->options->token_file, &text, status) != 0)
        return ((int)status->status_class);
    if (vault->file_token != NULL && vault->token.value != NULL &&
        secret_equal(text, vault->file_token)) {
        secret_free(text);
        if (!token_fresh(&vault->token) && vault->renewable && !renew(vault, deadline) &&
            !token_usable(&vault->token))
            vault->renewable = false;
        return (0);
    }
    if (secret_new_copy(secret_bytes(text), secret_len(text), &copy, status) != 0) {
        secret_free(text);
        return ((int)status->status_class);
    }
    secret_free(vault->file_token);
    vault->file_token = text;
    vault->renewable = false;
    token_set(&vault->token, copy, 0);
    if (!look_up(vault, aside_deadline(deadline), true, &seconds))
        return (0);
    if (secret_new_copy(secret_bytes(text), secret_len(text), &copy, status) != 0)
        return ((int)status->status_class);
    token_set(&vault->token, copy, seconds);
    return (0);
}

int
vault_token_ready(VAULT *vault, int64_t deadline, STATUS *status)
{
    if (vault->options->method == VAULT_TOKEN)
        return (read_token(vault, deadline, status));
    if (token_fresh(&vault->token))
        return (0);
    if (token_usable(&vault->token) && vault->renewable && renew(vault, deadline))
        return (0);
    return (login(vault, deadline, status));
}

bool
vault_token_good(VAULT *vault, int64_t deadline)
{
    int64_t seconds;

    return (look_up(vault, deadline, false, &seconds));
}

bool
vault_token_replace(VAULT *vault)
{
    token_clear(&vault->token);
    return (vault->options->method != VAULT_TOKEN);
}

static int
need(const CONFIG_NODE *entry, const char *method, const char *option, STATUS *status)
{
    return (config_error(entry, status, "kms-vault-auth", "auth: %s needs %s", method, option));
}

int
vault_auth_check(VAULT *vault, const CONFIG_NODE *entry, STATUS *status)
{
    const VAULT_OPTIONS *options = vault->options;
    SECRET *secret = NULL;
    const char *name = "";

    switch ((VAULT_METHOD)options->method) {
    case VAULT_TOKEN:
        if ((name = options->token_file) == NULL)
            return (need(entry, "token", "tokenFile", status));
        if (read_secret(vault, entry, "tokenFile", name, &secret, status) != 0)
            return ((int)status->status_class);
        break;
    case VAULT_APPROLE:
        if ((name = options->role_id) == NULL)
            return (need(entry, "approle", "roleId", status));
        if (options->secret_id_file != NULL && read_secret(vault, entry, "secretIdFile",
                                                 options->secret_id_file, &secret, status) != 0)
            return ((int)status->status_class);
        break;
    case VAULT_KUBERNETES:
        if ((name = options->role) == NULL)
            return (need(entry, "kubernetes", "role", status));
        break;
    case VAULT_CERT:
        if ((name = options->http.client_certificate) == NULL)
            return (need(entry, "cert", "clientCertificate", status));
        break;
    }
    secret_free(secret);
    (void)snprintf(vault->credential, sizeof(vault->credential), "%s:%.1000s",
      (const char *const[]){"token", "approle", "kubernetes", "cert"}[options->method], name);
    return (0);
}
