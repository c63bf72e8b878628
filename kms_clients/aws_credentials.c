/*
 * kms_clients/aws_credentials.c -- AWS credentials as values. See aws_credentials.h.
 */
#include "kms_clients/aws_credentials.h"

#include "common/clock.h"
#include "kms_clients/aws_arn.h"
#include "kms_clients/json.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define MARGIN_MS \
    300000 /* before the end: so long may one retry go on, and so far may clocks differ */

void
aws_credentials_clear(AWS_CREDENTIALS *credentials)
{
    secret_free(credentials->secret_access_key);
    secret_free(credentials->session_token);
    memset(credentials, 0, sizeof(*credentials));
}

/* They end in header lines. */
static bool
plain_text(const char *text, size_t max)
{
    size_t len = strlen(text), i;

    if (len == 0 || len > max)
        return (false);
    for (i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return (false);
    return (true);
}

int
aws_credentials_set(AWS_CREDENTIALS *credentials, const char *from, const char *access_key_id,
  const char *secret_access_key, const char *token, STATUS *status)
{
    char source[sizeof(credentials->source)];

    memcpy(source, credentials->source, sizeof(source));
    aws_credentials_clear(credentials);
    memcpy(credentials->source, source, sizeof(source));
    if (token != NULL && token[0] == '\0')
        token = NULL;
    if (!plain_text(access_key_id, AWS_ACCESS_KEY_ID_MAX) ||
        strpbrk(access_key_id, "/,= ") != NULL || !plain_text(secret_access_key, AWS_SECRET_MAX) ||
        (token != NULL && !plain_text(token, AWS_SECRET_MAX))) {
        aws_credentials_clear(credentials);
        return (status_set(status, STATUS_CONFIG, "kms-aws-credentials",
          "%s: an access key, secret key or session token is empty, too long or has characters "
          "that none has",
          from));
    }
    (void)snprintf(
      credentials->access_key_id, sizeof(credentials->access_key_id), "%s", access_key_id);
    credentials->refresh_at = credentials->expires_at = INT64_MAX;
    if (secret_new_copy(secret_access_key, strlen(secret_access_key),
          &credentials->secret_access_key, status) != 0 ||
        (token != NULL &&
          secret_new_copy(token, strlen(token), &credentials->session_token, status) != 0)) {
        aws_credentials_clear(credentials);
        return ((int)status->status_class);
    }
    return (0);
}

void
aws_credentials_expire(AWS_CREDENTIALS *credentials, int64_t end, int64_t now)
{
    int64_t life, margin;

    life = end <= now               ? 0
           : end - now > 30 * 86400 ? 30 * 86400 * INT64_C(1000)
                                    : (end - now) * 1000;
    margin = life / 5 > MARGIN_MS ? life / 5 : life > 2 * MARGIN_MS ? MARGIN_MS : life / 5;
    credentials->expires_at = clock_deadline(life);
    credentials->refresh_at = clock_deadline(life - margin);
}

bool
aws_credentials_fresh(const AWS_CREDENTIALS *credentials)
{
    return (credentials->secret_access_key != NULL && clock_ms() < credentials->refresh_at);
}

bool
aws_credentials_usable(const AWS_CREDENTIALS *credentials)
{
    return (credentials->secret_access_key != NULL && clock_ms() < credentials->expires_at);
}

static bool
digits(const char *text, size_t count, int *valuep)
{
    size_t i;

    for (i = 0, *valuep = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return (false);
        *valuep = *valuep * 10 + (text[i] - '0');
    }
    return (true);
}

bool
aws_time_parse(const char *text, int64_t *secondsp)
{
    struct tm tm = {0};

    if (strlen(text) < sizeof("2026-11-24T19:00:00Z") - 1 || !digits(text, 4, &tm.tm_year) ||
        text[4] != '-' || !digits(text + 5, 2, &tm.tm_mon) || text[7] != '-' ||
        !digits(text + 8, 2, &tm.tm_mday) || text[10] != 'T' ||
        !digits(text + 11, 2, &tm.tm_hour) || text[13] != ':' ||
        !digits(text + 14, 2, &tm.tm_min) || text[16] != ':' || !digits(text + 17, 2, &tm.tm_sec))
        return (false);
    text += 19;
    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    if (strcmp(text, "Z") != 0 && strcmp(text, "+00:00") != 0 && strcmp(text, "+0000") != 0)
        return (false);
    if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
        tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_year < 1970)
        return (false);
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *secondsp = (int64_t)timegm(&tm);
    return (true);
}

static const char *
either(const JSON *json, const char *one, const char *other)
{
    const char *text = json_string(json, one);

    return (text == NULL ? json_string(json, other) : text);
}

int
aws_credentials_read_json(AWS_CREDENTIALS *credentials, const char *from, const void *text,
  size_t len, int64_t now, STATUS *status)
{
    JSON *json = NULL;
    const char *code, *key, *secret, *expiration, *role;
    int64_t end = 0;

    if (json_parse(text, len, &json, status) != 0)
        return (status_add(status, "from %s", from));
    code = either(json, "Code", "code");
    key = json_string(json, "AccessKeyId");
    secret = json_string(json, "SecretAccessKey");
    expiration = json_string(json, "Expiration");
    if (code != NULL && strcmp(code, "Success") != 0) {
        (void)status_set(
          status, STATUS_UNAUTHENTICATED, "kms-no-credentials", "%s answers %.80s", from, code);
        goto err;
    }
    if (key == NULL || secret == NULL ||
        (expiration != NULL && !aws_time_parse(expiration, &end))) {
        (void)status_set(status, STATUS_BAD_REPLY, "kms-bad-reply",
          "%s answers without an access key or with a time that cannot be read", from);
        goto err;
    }
    if (aws_credentials_set(
          credentials, from, key, secret, either(json, "Token", "SessionToken"), status) != 0) {
        if (status->status_class == STATUS_CONFIG)
            status->status_class = STATUS_BAD_REPLY;
        goto err;
    }
    if ((role = json_string(json, "RoleArn")) != NULL && aws_role_arn_valid(role) &&
        strlen(role) < sizeof(credentials->source))
        (void)snprintf(credentials->source, sizeof(credentials->source), "%s", role);
    if (expiration != NULL)
        aws_credentials_expire(credentials, end, now);
    json_free(json);
    return (0);

err:
    json_free(json);
    return ((int)status->status_class);
}
