/*
 * kms_clients/aws_sts.c -- Roles assumed through STS. See aws_sts.h.
 */
#include "kms_clients/aws_sts.h"

#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DURATION "3600" /* seconds; what every role permits, and chained roles at most */
#define TOKEN_MAX (64 * 1024)

typedef struct {
    char *text;
    size_t size, len;
    bool full;
} FORM;

static bool
unreserved(uint8_t c)
{
    return ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
            c == '-' || c == '_' || c == '.' || c == '~');
}

static void
put_byte(FORM *form, char c)
{
    if (form->len == form->size)
        form->full = true;
    else
        form->text[form->len++] = c;
}

static void
put_field(FORM *form, const char *name, const void *value, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    const uint8_t *bytes = value;
    size_t i;

    if (form->len > 0)
        put_byte(form, '&');
    for (; *name != '\0'; name++)
        put_byte(form, *name);
    put_byte(form, '=');
    for (i = 0; i < len; i++) {
        if (unreserved(bytes[i])) {
            put_byte(form, (char)bytes[i]);
            continue;
        }
        put_byte(form, '%');
        put_byte(form, hex[bytes[i] >> 4]);
        put_byte(form, hex[bytes[i] & 15]);
    }
}

static void
put_text(FORM *form, const char *name, const char *value)
{
    put_field(form, name, value, strlen(value));
}

int
aws_sts_request(const AWS_ROLE *role, const SECRET *web_identity, SECRET **bodyp, STATUS *status)
{
    FORM form = {NULL, 0, 0, false};
    SECRET *body;

    *bodyp = NULL;
    form.size = 1024 + 3 * (strlen(role->arn) + strlen(role->session_name)) +
                (role->external_id == NULL ? 0 : 3 * strlen(role->external_id)) +
                (web_identity == NULL ? 0 : 3 * secret_len(web_identity));
    if (secret_new(form.size, &body, status) != 0)
        return ((int)status->status_class);
    form.text = (char *)secret_data(body);
    put_text(&form, "Action", web_identity == NULL ? "AssumeRole" : "AssumeRoleWithWebIdentity");
    put_text(&form, "Version", "2011-06-15");
    put_text(&form, "RoleArn", role->arn);
    put_text(&form, "RoleSessionName", role->session_name);
    put_text(&form, "DurationSeconds", DURATION);
    if (role->external_id != NULL && web_identity == NULL)
        put_text(&form, "ExternalId", role->external_id);
    if (web_identity != NULL)
        put_field(&form, "WebIdentityToken", secret_bytes(web_identity), secret_len(web_identity));
    if (form.full) {
        secret_free(body);
        return (status_set(status, STATUS_INTERNAL, "kms-aws-sign", "a form is too long"));
    }
    secret_truncate(body, form.len);
    *bodyp = body;
    return (0);
}

/* An element's text in memory of its own; an absent one and an empty one are NULL. */
static int
xml_secret(const HTTP_REPLY *reply, const char *name, SECRET **textp, STATUS *status)
{
    size_t len;

    *textp = NULL;
    if (!aws_xml_text(reply->body, reply->body_len, name, NULL, 0, &len) || len == 0 ||
        len > AWS_SECRET_MAX)
        return (status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer of STS has no %s", name));
    if (secret_new(len + 1, textp, status) != 0)
        return ((int)status->status_class);
    (void)aws_xml_text(
      reply->body, reply->body_len, name, (char *)secret_data(*textp), len + 1, NULL);
    return (0);
}

int
aws_sts_reply(const HTTP_REPLY *reply, int64_t now, AWS_CREDENTIALS *credentials, STATUS *status)
{
    char key[AWS_ACCESS_KEY_ID_MAX + 1], expiration[64];
    SECRET *secret = NULL, *token = NULL;
    int64_t end;

    if (!aws_xml_text(reply->body, reply->body_len, "AccessKeyId", key, sizeof(key), NULL) ||
        !aws_xml_text(
          reply->body, reply->body_len, "Expiration", expiration, sizeof(expiration), NULL) ||
        !aws_time_parse(expiration, &end)) {
        (void)status_set(status, STATUS_BAD_REPLY, "kms-bad-reply",
          "the answer of STS has no access key or no time of its end");
        goto err;
    }
    if (xml_secret(reply, "SecretAccessKey", &secret, status) != 0 ||
        xml_secret(reply, "SessionToken", &token, status) != 0)
        goto err;
    if (aws_credentials_set(credentials, "STS", key, (const char *)secret_bytes(secret),
          (const char *)secret_bytes(token), status) != 0) {
        if (status->status_class == STATUS_CONFIG)
            status->status_class = STATUS_BAD_REPLY;
        goto err;
    }
    aws_credentials_expire(credentials, end, now);
    secret_free(secret);
    secret_free(token);
    return (0);

err:
    secret_free(secret);
    secret_free(token);
    return ((int)status->status_class);
}

int
aws_token_file_read(const char *path, SECRET **tokenp, STATUS *status)
{
    KMS_SECRET_FILE file = {.path = path, .max = TOKEN_MAX, .is_platform = true, .trim = true};

    if (kms_secret_file(&file, tokenp, status) != 0 && !file.unusable)
        return ((int)status->status_class);
    if (file.unusable || memchr(secret_bytes(*tokenp), '\n', secret_len(*tokenp)) != NULL ||
        memchr(secret_bytes(*tokenp), '\r', secret_len(*tokenp)) != NULL) {
        secret_free(*tokenp);
        *tokenp = NULL;
        return (status_set(status, STATUS_CONFIG, "kms-aws-token-file",
          "%s is empty, larger than %d bytes, or has several lines", path, TOKEN_MAX));
    }
    return (0);
}

typedef struct {
    AWS_WIRE *wire;
    AWS_CREDENTIALS *credentials;
} ANSWER;

static int
parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    ANSWER *answer = context;
    int64_t now;

    if (!http_reply_date(reply, &now))
        now = aws_wire_now(answer->wire);
    return (aws_sts_reply(reply, now, answer->credentials, status));
}

static void
add_hint(const AWS_ROLE *role, bool web, STATUS *status)
{
    if (status->status_class == STATUS_DENIED && web)
        (void)status_hint(status,
          "let the trust policy of %s permit sts:AssumeRoleWithWebIdentity to this token's issuer "
          "and subject",
          role->arn);
    else if (status->status_class == STATUS_DENIED)
        (void)status_hint(status,
          "permit sts:AssumeRole on %s to these credentials, in their policy and in the role's "
          "trust policy%s",
          role->arn, role->external_id == NULL ? "; it may ask for an externalId" : "");
}

int
aws_sts_assume(AWS_WIRE *wire, const AWS_ROLE *role, const AWS_CREDENTIALS *base,
  const char *token_file, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status)
{
    AWS_CREDENTIALS fresh = {.secret_access_key = NULL};
    ANSWER answer = {wire, &fresh};
    SECRET *token = NULL, *body = NULL;
    AWS_CALL call = {.operation = base == NULL ? "AssumeRoleWithWebIdentity" : "AssumeRole",
      .service = "sts",
      .url = wire->sts_url,
      .content_type = "application/x-www-form-urlencoded; charset=utf-8",
      .credentials = base,
      .parse = parse,
      .context = &answer};

    (void)snprintf(fresh.source, sizeof(fresh.source), "%s", role->arn);
    if (base == NULL && aws_token_file_read(token_file, &token, status) != 0)
        goto err;
    if (aws_sts_request(role, token, &body, status) != 0)
        goto err;
    call.body = body;
    if (aws_call(wire, &call, deadline, status) != 0) {
        (void)status_add(status, "while assuming %s", role->arn);
        add_hint(role, base == NULL, status);
        goto err;
    }
    secret_free(token);
    secret_free(body);
    aws_credentials_clear(credentials);
    *credentials = fresh;
    return (0);

err:
    secret_free(token);
    secret_free(body);
    aws_credentials_clear(&fresh);
    return ((int)status->status_class);
}
