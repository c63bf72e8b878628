/*
 * kms_clients/gcp_token.c -- See gcp_token.h.
 */
#include "kms_clients/gcp_token.h"

#include "kms_clients/gcp_error.h"
#include "kms_clients/json.h"
#include "kms_clients/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GRANT_ASSERTION "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define GRANT_EXCHANGE "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
#define ACCESS_TOKEN_TYPE "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token"
/* Always this, Google's documents say, whatever token_uri is. */
#define TOKEN_AUDIENCE "https://oauth2.googleapis.com/token"
#define SUBJECT_MAX (16 * 1024)

static int
sign_assertion(
  const GCP_IDENTITY *identity, const char *scope, int64_t now, SECRET **tokenp, STATUS *status)
{
    JSON_WRITER *writer;
    SECRET *header = NULL, *claims = NULL;
    int ret;

    writer = json_writer_new();
    json_put_string(writer, "alg", jwt_algorithm_name(JWT_RS256));
    json_put_string(writer, "typ", "JWT");
    if (identity->key_id != NULL)
        json_put_string(writer, "kid", identity->key_id);
    if (json_writer_finish(writer, &header, status) != 0)
        return ((int)status->status_class);
    writer = json_writer_new();
    json_put_string(writer, "iss", identity->email);
    json_put_string(writer, "scope", scope);
    json_put_string(writer, "aud", TOKEN_AUDIENCE);
    json_put_int(writer, "iat", now);
    json_put_int(writer, "exp", now + GCP_TOKEN_LIFETIME_S);
    if ((ret = json_writer_finish(writer, &claims, status)) == 0)
        ret = jwt_sign(JWT_RS256, header, claims, identity->private_key, tokenp, status);
    secret_free(header);
    secret_free(claims);
    return (ret);
}

int
gcp_token_assertion_body(
  const GCP_IDENTITY *identity, const char *scope, int64_t now, SECRET **bodyp, STATUS *status)
{
    static const char start[] = "grant_type=" GRANT_ASSERTION "&assertion=";
    SECRET *assertion = NULL;
    size_t len = sizeof(start) - 1;

    *bodyp = NULL;
    if (sign_assertion(identity, scope, now, &assertion, status) != 0)
        return ((int)status->status_class);
    /* A token in the compact form needs no escapes. */
    if (secret_new(len + secret_len(assertion), bodyp, status) == 0) {
        memcpy(secret_data(*bodyp), start, len);
        memcpy(secret_data(*bodyp) + len, secret_bytes(assertion), secret_len(assertion));
    }
    secret_free(assertion);
    return (*bodyp == NULL ? (int)status->status_class : 0);
}

int
gcp_token_exchange_body(const GCP_IDENTITY *identity, const SECRET *subject, const char *scope,
  SECRET **bodyp, STATUS *status)
{
    static const char start[] =
      "grant_type=" GRANT_EXCHANGE "&requested_token_type=" ACCESS_TOKEN_TYPE;
    const struct {
        const char *name;
        const char *value;
    } fields[] = {{"&audience=", identity->audience}, {"&scope=", scope},
      {"&subject_token_type=", identity->subject_token_type},
      {"&subject_token=", (const char *)secret_bytes(subject)}};
    SECRET *body = NULL;
    char *p;
    size_t i, size = sizeof(start), left;

    *bodyp = NULL;
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        size += strlen(fields[i].name) + 3 * strlen(fields[i].value);
    if (secret_new(size, &body, status) != 0)
        return ((int)status->status_class);
    p = (char *)secret_data(body);
    memcpy(p, start, sizeof(start));
    for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        p += strlen(p);
        memcpy(p, fields[i].name, strlen(fields[i].name));
        p += strlen(fields[i].name);
        left = size - (size_t)(p - (char *)secret_data(body));
        if (!http_percent_encode(fields[i].value, false, p, left)) {
            secret_free(body);
            return (status_set(status, STATUS_INTERNAL, "kms-gcp-form", "a form does not fit"));
        }
    }
    secret_truncate(body, strlen((char *)secret_data(body)));
    *bodyp = body;
    return (0);
}

int
gcp_token_impersonate_body(const char *scope, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *writer = json_writer_new();
    char lifetime[16];

    (void)snprintf(lifetime, sizeof(lifetime), "%ds", GCP_TOKEN_LIFETIME_S);
    json_open_array(writer, "scope");
    json_put_string(writer, NULL, scope);
    json_close(writer);
    json_put_string(writer, "lifetime", lifetime);
    return (json_writer_finish(writer, bodyp, status));
}

static bool
is_space(uint8_t c)
{
    return (c == ' ' || (c >= '\t' && c <= '\r'));
}

int
gcp_token_subject(const SECRET *file, const char *field, SECRET **tokenp, STATUS *status)
{
    JSON *json = NULL;
    SECRET *value = NULL;
    const uint8_t *text;
    size_t len, i;
    int ret;

    *tokenp = NULL;
    if (field != NULL) {
        if ((ret = json_parse(secret_bytes(file), secret_len(file), &json, status)) == 0)
            ret = json_secret(json, field, &value, status);
        json_free(json);
        if (ret == STATUS_NO_MEMORY)
            return (ret);
    }
    text = value == NULL ? secret_bytes(file) : secret_bytes(value);
    len = value == NULL ? (field == NULL ? secret_len(file) : 0) : secret_len(value);
    for (; len > 0 && is_space(*text); text++)
        len--;
    while (len > 0 && is_space(text[len - 1]))
        len--;
    for (i = 0; i < len && text[i] > ' ' && text[i] < 0x7f; i++)
        ;
    if (len == 0 || len > SUBJECT_MAX || i != len)
        ret = status_set(status, STATUS_UNAUTHENTICATED, "kms-gcp-subject-token",
          "the file of the subject token holds none");
    else if ((ret = secret_new(len + 1, tokenp, status)) == 0)
        memcpy(secret_data(*tokenp), text, len);
    secret_free(value);
    return (ret);
}

/* {"error":"invalid_grant","error_description":"..."}, or an envelope of google.rpc. */
static int
token_error(const HTTP_REPLY *reply, STATUS *status)
{
    GCP_ERROR error;
    JSON *json = NULL;
    const char *code, *text;

    if (gcp_error_read(reply, &error)) {
        if (gcp_error_passing(&error))
            (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: %.300s",
              error.status, error.message);
        else if (strcmp(error.status, "PERMISSION_DENIED") == 0) {
            (void)status_set(
              status, STATUS_DENIED, "kms-denied", "%s: %.300s", error.status, error.message);
            (void)status_hint(status, "grant roles/iam.serviceAccountTokenCreator (for a federated "
                                      "identity roles/iam.workloadIdentityUser) on the service "
                                      "account that it is to become");
        } else
            (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-unauthenticated", "%s: %.300s",
              error.status, error.message);
        gcp_error_release(&error);
        return ((int)status->status_class);
    }
    if (json_parse(reply->body, reply->body_len, &json, status) != 0 ||
        (code = json_string(json, "error")) == NULL) {
        json_free(json);
        return (http_reply_unclear(reply, status));
    }
    if ((text = json_string(json, "error_description")) == NULL)
        text = "";
    if (reply->code >= 500 || reply->code == 429 || strcmp(code, "temporarily_unavailable") == 0)
        (void)status_set(
          status, STATUS_UNAVAILABLE, "kms-unavailable", "%.60s: %.300s", code, text);
    else {
        (void)status_set(
          status, STATUS_UNAUTHENTICATED, "kms-unauthenticated", "%.60s: %.300s", code, text);
        (void)status_hint(status, "the credential was refused: is its key or its provider still "
                                  "there, and is this machine's clock right?");
    }
    json_free(json);
    return ((int)status->status_class);
}

static int
take(const JSON *json, const char *path, int64_t lifetime, TOKEN *token, STATUS *status)
{
    SECRET *value = NULL;

    if (json_secret(json, path, &value, status) != 0)
        return ((int)status->status_class);
    if (value == NULL || lifetime <= 0) {
        secret_free(value);
        return (status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer has no access token to use"));
    }
    token_set(token, value, lifetime);
    return (0);
}

int
gcp_token_reply(const HTTP_REPLY *reply, TOKEN *token, STATUS *status)
{
    JSON *json = NULL;
    int64_t lifetime;
    int ret;

    if (reply->code != 200)
        return (token_error(reply, status));
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        return ((int)status->status_class);
    /* STS may leave it out; a token is good for an hour. */
    if (!json_int(json, "expires_in", &lifetime))
        lifetime = json_has(json, "expires_in") ? 0 : GCP_TOKEN_LIFETIME_S;
    ret = take(json, "access_token", lifetime, token, status);
    json_free(json);
    return (ret);
}

int
gcp_token_impersonate_reply(const HTTP_REPLY *reply, TOKEN *token, STATUS *status)
{
    JSON *json = NULL;
    const char *time;
    int64_t now, end;
    int ret;

    if (reply->code != 200)
        return (token_error(reply, status));
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        return ((int)status->status_class);
    /* By the server's clock, which wrote both. */
    if (!http_reply_date(reply, &now))
        now = clock_unix_seconds();
    if ((time = json_string(json, "expireTime")) == NULL || !gcp_token_time(time, &end))
        end = now;
    ret = take(json, "accessToken", end - now, token, status);
    json_free(json);
    return (ret);
}

bool
gcp_token_time(const char *text, int64_t *secondsp)
{
    struct tm tm;
    int end = 0;

    memset(&tm, 0, sizeof(tm));
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
          &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        end != 19)
        return (false);
    if (text[end] == '.')
        end += 1 + (int)strspn(text + end + 1, "0123456789");
    if (text[end] != 'Z' || text[end + 1] != '\0' || tm.tm_mon < 1 || tm.tm_mon > 12 ||
        tm.tm_year < 1970)
        return (false);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *secondsp = (int64_t)timegm(&tm);
    return (true);
}
