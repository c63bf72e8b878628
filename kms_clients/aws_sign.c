/*
 * kms_clients/aws_sign.c -- Signature Version 4. See aws_sign.h.
 *
 * The canonical request holds the session token, so it is put together in secret memory.
 */
#include "kms_clients/aws_sign.h"

#include "crypto/encode.h"
#include "crypto/mac.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ALGORITHM "AWS4-HMAC-SHA256"
#define DATE_LEN 8          /* of "20150830T123600Z" */
#define LATEST 253402300799 /* the last second of the year 9999 */
#define HEADERS_MAX (AWS_SIGN_HEADERS_MAX + 2)

/* A name as it is signed, and where its value is. */
typedef struct {
    const char *name;
    const char *value;
    size_t value_len;
} FIELD;

typedef struct {
    char *text;
    size_t size, len;
    bool full;
} BUFFER;

static void
put(BUFFER *buffer, const char *text, size_t len)
{
    if (len > buffer->size - buffer->len) {
        buffer->full = true;
        return;
    }
    memcpy(buffer->text + buffer->len, text, len);
    buffer->len += len;
}

static void
put_text(BUFFER *buffer, const char *text)
{
    put(buffer, text, strlen(text));
}

static char
lower(char c)
{
    return (c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c);
}

static void
put_lower(BUFFER *buffer, const char *text)
{
    char c;

    for (; *text != '\0'; text++) {
        c = lower(*text);
        put(buffer, &c, 1);
    }
}

/* Blanks at both ends go, a run of them inside becomes one. */
static void
put_trimmed(BUFFER *buffer, const char *value, size_t len)
{
    size_t i;
    bool blank = false, started = false;

    for (i = 0; i < len; i++) {
        if (value[i] == ' ' || value[i] == '\t') {
            blank = true;
            continue;
        }
        if (blank && started)
            put(buffer, " ", 1);
        put(buffer, value + i, 1);
        blank = false;
        started = true;
    }
}

static int
compare_names(const char *a, const char *b)
{
    for (; *a != '\0' && lower(*a) == lower(*b); a++, b++)
        ;
    return ((int)(unsigned char)lower(*a) - (int)(unsigned char)lower(*b));
}

static void
insert_field(FIELD *fields, size_t *countp, const char *name, const char *value, size_t len)
{
    size_t i;

    for (i = *countp; i > 0 && compare_names(fields[i - 1].name, name) > 0; i--)
        fields[i] = fields[i - 1];
    fields[i].name = name;
    fields[i].value = value;
    fields[i].value_len = len;
    ++*countp;
}

static void
put_names(BUFFER *buffer, const FIELD *fields, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        if (i > 0)
            put(buffer, ";", 1);
        put_lower(buffer, fields[i].name);
    }
}

static int
too_long(STATUS *status)
{
    return (status_set(status, STATUS_INTERNAL, "kms-aws-sign", "a request is too long to sign"));
}

static int
put_sha256(BUFFER *buffer, const void *data, size_t len, STATUS *status)
{
    uint8_t digest[MAC_LEN];
    char hex[2 * MAC_LEN + 1];

    if (mac_sha256(data, len, digest, status) != 0)
        return ((int)status->status_class);
    encode_hex(digest, sizeof(digest), hex);
    put_text(buffer, hex);
    return (0);
}

/* The digest of the canonical request, into the text to sign. */
static int
put_canonical_digest(
  BUFFER *out, const AWS_SIGN_REQUEST *request, const FIELD *fields, size_t count, STATUS *status)
{
    BUFFER buffer = {NULL, 0, 0, false};
    SECRET *memory = NULL;
    size_t i, size;

    size = strlen(request->method) + strlen(request->path) + strlen(request->query) + 128;
    for (i = 0; i < count; i++)
        size += 2 * strlen(fields[i].name) + fields[i].value_len + 4;
    if (secret_new(size, &memory, status) != 0)
        goto err;
    buffer.text = (char *)secret_data(memory);
    buffer.size = size;
    put_text(&buffer, request->method);
    put_text(&buffer, "\n");
    put_text(&buffer, request->path);
    put_text(&buffer, "\n");
    put_text(&buffer, request->query);
    put_text(&buffer, "\n");
    for (i = 0; i < count; i++) {
        put_lower(&buffer, fields[i].name);
        put_text(&buffer, ":");
        put_trimmed(&buffer, fields[i].value, fields[i].value_len);
        put_text(&buffer, "\n");
    }
    put_text(&buffer, "\n");
    put_names(&buffer, fields, count);
    put_text(&buffer, "\n");
    if (put_sha256(&buffer, request->body, request->body_len, status) != 0)
        goto err;
    if (buffer.full) {
        (void)too_long(status);
        goto err;
    }
    if (put_sha256(out, buffer.text, buffer.len, status) != 0)
        goto err;
    secret_free(memory);
    return (0);

err:
    secret_free(memory);
    return ((int)status->status_class);
}

static int
hmac(const SECRET *key, const void *data, size_t len, SECRET **outp, STATUS *status)
{
    MAC *mac = NULL;
    SECRET *out = NULL;
    int ret;

    *outp = NULL;
    if ((ret = secret_new(MAC_LEN, &out, status)) == 0 && (ret = mac_new(key, &mac, status)) == 0 &&
        (ret = mac_update(mac, data, len, status)) == 0)
        ret = mac_final(mac, secret_data(out), status);
    mac_free(mac);
    if (ret != 0) {
        secret_free(out);
        return (ret);
    }
    *outp = out;
    return (0);
}

/* The chain of keys: secret, day, region, service, and the constant at its end. */
static int
signing_key(const AWS_SIGN_REQUEST *request, const char *date, SECRET **keyp, STATUS *status)
{
    static const char prefix[] = "AWS4";
    char day[DATE_LEN + 1];
    const char *steps[] = {day, request->region, request->service, "aws4_request"};
    size_t i, len = secret_len(request->secret_access_key);
    SECRET *key = NULL, *next;

    *keyp = NULL;
    memcpy(day, date, DATE_LEN);
    day[DATE_LEN] = '\0';
    if (secret_new(sizeof(prefix) - 1 + len, &key, status) != 0)
        return ((int)status->status_class);
    memcpy(secret_data(key), prefix, sizeof(prefix) - 1);
    memcpy(secret_data(key) + sizeof(prefix) - 1, secret_bytes(request->secret_access_key), len);
    for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (hmac(key, steps[i], strlen(steps[i]), &next, status) != 0) {
            secret_free(key);
            return ((int)status->status_class);
        }
        secret_free(key);
        key = next;
    }
    *keyp = key;
    return (0);
}

static int
signature_hex(const AWS_SIGN_REQUEST *request, const char *date, const BUFFER *to_sign,
  char hex[2 * MAC_LEN + 1], STATUS *status)
{
    SECRET *key = NULL, *result = NULL;
    int ret;

    if ((ret = signing_key(request, date, &key, status)) == 0 &&
        (ret = hmac(key, to_sign->text, to_sign->len, &result, status)) == 0)
        encode_hex(secret_bytes(result), MAC_LEN, hex);
    secret_free(key);
    secret_free(result);
    return (ret);
}

static int
write_date(int64_t seconds, char date[AWS_SIGN_DATE_SIZE], STATUS *status)
{
    struct tm tm;
    time_t when = (time_t)seconds;

    if (seconds < 0 || seconds > LATEST || gmtime_r(&when, &tm) == NULL ||
        strftime(date, AWS_SIGN_DATE_SIZE, "%Y%m%dT%H%M%SZ", &tm) != AWS_SIGN_DATE_SIZE - 1)
        return (status_set(status, STATUS_INTERNAL, "kms-aws-sign",
          "the clock says %lld seconds since 1970, which cannot be signed", (long long)seconds));
    return (0);
}

/* DAY/REGION/SERVICE/aws4_request */
static void
put_scope(BUFFER *buffer, const AWS_SIGN_REQUEST *request, const char *date)
{
    put(buffer, date, DATE_LEN);
    put_text(buffer, "/");
    put_text(buffer, request->region);
    put_text(buffer, "/");
    put_text(buffer, request->service);
    put_text(buffer, "/aws4_request");
}

int
aws_sign(const AWS_SIGN_REQUEST *request, AWS_SIGNATURE *signature, STATUS *status)
{
    FIELD fields[HEADERS_MAX];
    char memory[512], hex[2 * MAC_LEN + 1];
    BUFFER to_sign = {memory, sizeof(memory), 0, false};
    BUFFER header = {signature->authorization, sizeof(signature->authorization) - 1, 0, false};
    size_t count = 0, i;

    memset(signature, 0, sizeof(*signature));
    if (request->header_count > AWS_SIGN_HEADERS_MAX)
        return (too_long(status));
    if (write_date(request->time, signature->date, status) != 0)
        return ((int)status->status_class);
    for (i = 0; i < request->header_count; i++)
        insert_field(fields, &count, request->headers[i].name, request->headers[i].value,
          strlen(request->headers[i].value));
    insert_field(fields, &count, "x-amz-date", signature->date, strlen(signature->date));
    if (request->session_token != NULL)
        insert_field(fields, &count, "x-amz-security-token",
          (const char *)secret_bytes(request->session_token), secret_len(request->session_token));

    put_text(&to_sign, ALGORITHM "\n");
    put_text(&to_sign, signature->date);
    put_text(&to_sign, "\n");
    put_scope(&to_sign, request, signature->date);
    put_text(&to_sign, "\n");
    if (put_canonical_digest(&to_sign, request, fields, count, status) != 0)
        return ((int)status->status_class);
    if (to_sign.full)
        return (too_long(status));
    if (signature_hex(request, signature->date, &to_sign, hex, status) != 0)
        return ((int)status->status_class);

    put_text(&header, ALGORITHM " Credential=");
    put_text(&header, request->access_key_id);
    put_text(&header, "/");
    put_scope(&header, request, signature->date);
    put_text(&header, ", SignedHeaders=");
    put_names(&header, fields, count);
    put_text(&header, ", Signature=");
    put_text(&header, hex);
    return (header.full ? too_long(status) : 0);
}
