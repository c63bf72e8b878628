/*
 * kms_clients/aws_error.c -- The errors of AWS services, JSON and XML, and their classes. See
 * aws_reply.h.
 */
#include "kms_clients/aws_reply.h"

#include "kms_clients/json.h"

#include <stdio.h>
#include <string.h>

/*
 * The service's words and what they mean. A code is compared without the suffix "Exception", which the
 * query protocols of STS leave out.
 */
static const struct {
    const char *code; /* a trailing '*' takes any rest */
    STATUS_CLASS status_class;
    const char *id;
} codes[] = {
  {"Disabled", STATUS_DISABLED, "kms-disabled"},
  {"KMSInvalidState", STATUS_BAD_REPLY, "kms-invalid-state"},
  {"NotFound", STATUS_NOT_FOUND, "kms-not-found"},
  {"AccessDenied", STATUS_DENIED, "kms-denied"},
  {"OptInRequired", STATUS_DENIED, "kms-denied"},
  {"RegionDisabled", STATUS_DENIED, "kms-denied"},
  {"UnrecognizedClient", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"InvalidClientTokenId", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"InvalidAccessKeyId", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"ExpiredToken", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"InvalidToken", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"InvalidIdentityToken", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"IDPRejectedClaim", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"SignatureDoesNotMatch", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"InvalidSignature", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"IncompleteSignature", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"MissingAuthenticationToken", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"RequestExpired", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"RequestTimeTooSkewed", STATUS_UNAUTHENTICATED, "kms-unauthenticated"},
  {"Throttling*", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"Throttled*", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"LimitExceeded", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"RequestLimitExceeded", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"TooManyRequests", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"SlowDown", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"KMSInternal", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"DependencyTimeout", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"KeyUnavailable", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"InternalFailure", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"InternalError", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"ServiceUnavailable", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"RequestTimeout", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"IDPCommunicationError", STATUS_UNAVAILABLE, "kms-unavailable"},
  {"InvalidCiphertext", STATUS_CORRUPT, "kms-bad-ciphertext"},
  {"IncorrectKey", STATUS_CORRUPT, "kms-bad-ciphertext"},
  {"InvalidArn", STATUS_CONFIG, "kms-aws-request"},
  {"InvalidKeyUsage", STATUS_CONFIG, "kms-aws-request"},
  {"UnsupportedOperation", STATUS_CONFIG, "kms-aws-request"},
  {"Validation*", STATUS_CONFIG, "kms-aws-request"},
  {"InvalidParameterValue", STATUS_CONFIG, "kms-aws-request"},
};

#define CODE_COUNT (sizeof(codes) / sizeof(codes[0]))

static size_t
decode_entity(const char *text, size_t len, char *out)
{
    static const struct {
        const char *name;
        char value;
    } entities[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''},
      {"&#39;", '\''}, {"&#34;", '"'}, {"&#x3D;", '='}, {"&#43;", '+'}};
    size_t i, name_len;

    for (i = 0; i < sizeof(entities) / sizeof(entities[0]); i++) {
        name_len = strlen(entities[i].name);
        if (len >= name_len && memcmp(text, entities[i].name, name_len) == 0) {
            *out = entities[i].value;
            return (name_len);
        }
    }
    *out = *text;
    return (1);
}

bool
aws_xml_text(
  const void *body, size_t body_len, const char *name, char *text, size_t size, size_t *lenp)
{
    char open[64], close[66], c;
    const char *at, *end;
    size_t open_len, used, len = 0;
    int printed = snprintf(open, sizeof(open), "<%s>", name);

    if (lenp != NULL)
        *lenp = 0;
    if (printed < 0 || (size_t)printed >= sizeof(open))
        return (false);
    (void)snprintf(close, sizeof(close), "</%s>", name);
    open_len = (size_t)printed;
    if ((at = memmem(body, body_len, open, open_len)) == NULL)
        return (false);
    at += open_len;
    end = memmem(at, body_len - (size_t)(at - (const char *)body), close, open_len + 1);
    if (end == NULL || memchr(at, '<', (size_t)(end - at)) != NULL)
        return (false);
    for (; at < end; at += used, len++) {
        used = decode_entity(at, (size_t)(end - at), &c);
        if (c == '\0' || (text != NULL && len + 1 >= size))
            return (false);
        if (text != NULL)
            text[len] = c;
    }
    if (text != NULL)
        text[len] = '\0';
    if (lenp != NULL)
        *lenp = len;
    return (true);
}

/* A code is a word; "com.amazonaws.kms#NotFoundException:http://..." has more around it. */
static bool
copy_code(const char *text, char *code)
{
    const char *hash = strrchr(text, '#');
    size_t len;

    if (hash != NULL)
        text = hash + 1;
    len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._");
    if (len == 0 || len >= AWS_CODE_SIZE || (text[len] != '\0' && text[len] != ':'))
        return (false);
    memcpy(code, text, len);
    code[len] = '\0';
    return (true);
}

static bool
read_json(const HTTP_REPLY *reply, AWS_ERROR *error)
{
    STATUS ignored;
    JSON *json;
    const char *type, *message;
    bool found;

    if (json_parse(reply->body, reply->body_len, &json, &ignored) != 0)
        return (false);
    if ((type = json_string(json, "__type")) == NULL)
        type = json_string(json, "Error.Code"); /* STS asked for JSON */
    if ((found = type != NULL && copy_code(type, error->code))) {
        if ((message = json_string(json, "message")) == NULL &&
            (message = json_string(json, "Message")) == NULL)
            message = json_string(json, "Error.Message");
        if (message != NULL)
            (void)snprintf(error->message, sizeof(error->message), "%s", message);
    }
    json_free(json);
    return (found);
}

/* Only a document whose root is an error of AWS: a proxy's page may hold anything. */
static bool
read_xml(const HTTP_REPLY *reply, AWS_ERROR *error)
{
    static const char *const roots[] = {"<ErrorResponse", "<Response>", "<Error>"};
    const char *text = (const char *)reply->body, *end;
    char code[AWS_CODE_SIZE];
    size_t i;
    bool found = false;

    text += strspn(text, " \t\r\n");
    if (strncmp(text, "<?xml", 5) == 0) {
        if ((end = strstr(text, "?>")) == NULL)
            return (false);
        text = end + 2;
        text += strspn(text, " \t\r\n");
    }
    for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
        found = found || strncmp(text, roots[i], strlen(roots[i])) == 0;
    if (!found || !aws_xml_text(reply->body, reply->body_len, "Code", code, sizeof(code), NULL) ||
        !copy_code(code, error->code))
        return (false);
    if (!aws_xml_text(
          reply->body, reply->body_len, "Message", error->message, sizeof(error->message), NULL))
        error->message[0] = '\0';
    return (true);
}

static bool
code_is(const char *code, const char *pattern)
{
    size_t len = strlen(pattern);

    if (pattern[len - 1] == '*')
        return (strncmp(code, pattern, len - 1) == 0);
    return (strncmp(code, pattern, len) == 0 &&
            (code[len] == '\0' || strcmp(code + len, "Exception") == 0));
}

/*
 * Messages of refused signatures may repeat what was signed, session token included, and those of
 * invalid requests the request: only the ones that name keys, roles and actions are shown.
 */
static bool
may_show(STATUS_CLASS status_class)
{
    return (status_class == STATUS_DENIED || status_class == STATUS_NOT_FOUND ||
            status_class == STATUS_DISABLED);
}

bool
aws_error_read(const HTTP_REPLY *reply, AWS_ERROR *error)
{
    size_t i;

    memset(error, 0, sizeof(*error));
    if (reply->body == NULL || (!read_json(reply, error) && !read_xml(reply, error))) {
        memset(error, 0, sizeof(*error));
        return (false);
    }
    /* A code that is not known decides nothing but what its status says of the service itself. */
    if (reply->code >= 500 || reply->code == 429) {
        error->status_class = STATUS_UNAVAILABLE;
        error->id = "kms-unavailable";
    } else {
        error->status_class = STATUS_BAD_REPLY;
        error->id = "kms-bad-reply";
    }
    for (i = 0; i < CODE_COUNT; i++)
        if (code_is(error->code, codes[i].code)) {
            error->status_class = codes[i].status_class;
            error->id = codes[i].id;
            break;
        }
    /* An ARN of another region is "not found" in KMS's words, but the key may well be there. */
    if (error->status_class == STATUS_NOT_FOUND &&
        strncasecmp(error->message, "Invalid arn", 11) == 0) {
        error->status_class = STATUS_CONFIG;
        error->id = "kms-aws-region";
    }
    if (!may_show(error->status_class))
        error->message[0] = '\0';
    return (true);
}

int
aws_reply_error(const HTTP_REPLY *reply, AWS_ERROR *error, STATUS *status)
{
    if (!aws_error_read(reply, error))
        return (http_reply_unclear(reply, status));
    if (error->status_class == STATUS_CORRUPT)
        return (status_set(status, STATUS_CORRUPT, "kms-bad-ciphertext",
          "%s: these bytes were not wrapped by this key for this keystore", error->code));
    if (strcmp(error->id, "kms-aws-request") == 0)
        return (status_set(status, STATUS_CONFIG, "kms-aws-request",
          "%s: the key cannot be used in this way", error->code));
    return (status_set(status, error->status_class, error->id, "%s%s%s", error->code,
      error->message[0] == '\0' ? "" : ": ", error->message));
}

bool
aws_error_is_skew(const AWS_ERROR *error)
{
    static const char *const reasons[] = {"InvalidSignature", "SignatureDoesNotMatch",
      "RequestExpired", "RequestTimeTooSkewed", "IncompleteSignature"};
    size_t i;

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (code_is(error->code, reasons[i]))
            return (true);
    return (false);
}
