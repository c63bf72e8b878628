/*
 * kms_clients/json_writer.c -- Writing JSON into secret memory. See json.h.
 */
#include "kms_clients/json.h"

#include "crypto/encode.h"

#include <bson/bson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITER_START 1024
#define WRITER_MAX (1024 * 1024)
#define WRITER_DEPTH 16

struct json_writer {
    SECRET *text;
    size_t len;
    char close[WRITER_DEPTH]; /* what ends each open object or array */
    size_t depth;
    bool first; /* nothing stands in the innermost one yet */
    STATUS status;
};

static bool
failed(const JSON_WRITER *writer)
{
    return (writer == NULL || writer->status.status_class != STATUS_OK);
}

static void
fail(JSON_WRITER *writer, const char *why)
{
    if (!failed(writer))
        (void)status_set(&writer->status, STATUS_INTERNAL, "kms-json-write", "a request %s", why);
}

static void
put(JSON_WRITER *writer, const char *data, size_t len)
{
    SECRET *larger;
    size_t size;

    if (failed(writer))
        return;
    size = secret_len(writer->text);
    if (len > WRITER_MAX - writer->len) {
        fail(writer, "is too long");
        return;
    }
    if (len > size - writer->len) {
        while (len > size - writer->len)
            size *= 2;
        if (secret_new(size, &larger, &writer->status) != 0)
            return;
        memcpy(secret_data(larger), secret_bytes(writer->text), writer->len);
        secret_free(writer->text);
        writer->text = larger;
    }
    memcpy(secret_data(writer->text) + writer->len, data, len);
    writer->len += len;
}

static void
put_quoted(JSON_WRITER *writer, const char *text, size_t len)
{
    char escape[8];
    size_t i, plain = 0;
    unsigned char c;

    if (len != 0 && !bson_utf8_validate(text, len, true)) {
        fail(writer, "holds text that is not UTF-8");
        return;
    }
    put(writer, "\"", 1);
    for (i = 0; i < len; i++) {
        c = (unsigned char)text[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        put(writer, text + plain, i - plain);
        plain = i + 1;
        if (c < 0x20)
            (void)snprintf(escape, sizeof(escape), "\\u%04x", c);
        else
            (void)snprintf(escape, sizeof(escape), "\\%c", c);
        put(writer, escape, strlen(escape));
    }
    put(writer, text + plain, len - plain);
    put(writer, "\"", 1);
}

/* What stands before a value: a comma, and its name in an object. */
static void
put_name(JSON_WRITER *writer, const char *name)
{
    if (failed(writer))
        return;
    if (writer->depth == 0 || (name == NULL) != (writer->close[writer->depth - 1] == ']')) {
        fail(writer, "is not nested as JSON is");
        return;
    }
    if (!writer->first)
        put(writer, ",", 1);
    writer->first = false;
    if (name != NULL) {
        put_quoted(writer, name, strlen(name));
        put(writer, ":", 1);
    }
}

static void
open_level(JSON_WRITER *writer, char open, char close)
{
    if (failed(writer))
        return;
    if (writer->depth == WRITER_DEPTH) {
        fail(writer, "is nested too deep");
        return;
    }
    put(writer, &open, 1);
    writer->close[writer->depth++] = close;
    writer->first = true;
}

JSON_WRITER *
json_writer_new(void)
{
    JSON_WRITER *writer = calloc(1, sizeof(*writer));

    if (writer == NULL)
        return (NULL);
    status_clear(&writer->status);
    if (secret_new(WRITER_START, &writer->text, &writer->status) == 0)
        open_level(writer, '{', '}');
    return (writer);
}

void
json_put_string(JSON_WRITER *writer, const char *name, const char *value)
{
    if (value == NULL) {
        fail(writer, "lacks a value");
        return;
    }
    put_name(writer, name);
    put_quoted(writer, value, strlen(value));
}

void
json_put_int(JSON_WRITER *writer, const char *name, int64_t value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%lld", (long long)value);
    put_name(writer, name);
    put(writer, text, strlen(text));
}

void
json_put_bool(JSON_WRITER *writer, const char *name, bool value)
{
    put_name(writer, name);
    put(writer, value ? "true" : "false", value ? 4 : 5);
}

void
json_put_base64(JSON_WRITER *writer, const char *name, const void *data, size_t len, bool url)
{
    SECRET *text = NULL;
    char *p;
    size_t text_len;

    if (failed(writer))
        return;
    if (len > WRITER_MAX / 2) {
        fail(writer, "is too long");
        return;
    }
    if (secret_new(ENCODE_BASE64_SIZE(len), &text, &writer->status) != 0)
        return;
    p = (char *)secret_data(text);
    text_len = url ? encode_base64url(data, len, p) : encode_base64(data, len, p);
    put_name(writer, name);
    put_quoted(writer, p, text_len);
    secret_free(text);
}

void
json_put_secret(JSON_WRITER *writer, const char *name, const SECRET *value)
{
    put_name(writer, name);
    put_quoted(writer, (const char *)secret_bytes(value), secret_len(value));
}

void
json_open_object(JSON_WRITER *writer, const char *name)
{
    put_name(writer, name);
    open_level(writer, '{', '}');
}

void
json_open_array(JSON_WRITER *writer, const char *name)
{
    put_name(writer, name);
    open_level(writer, '[', ']');
}

void
json_close(JSON_WRITER *writer)
{
    if (failed(writer))
        return;
    if (writer->depth < 2) {
        fail(writer, "is not nested as JSON is");
        return;
    }
    put(writer, &writer->close[--writer->depth], 1);
    writer->first = false;
}

int
json_writer_finish(JSON_WRITER *writer, SECRET **textp, STATUS *status)
{
    *textp = NULL;
    if (writer == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a request"));
    if (!failed(writer) && writer->depth != 1)
        fail(writer, "is not nested as JSON is");
    put(writer, "}", 1);
    if (failed(writer)) {
        *status = writer->status;
        json_writer_free(writer);
        return ((int)status->status_class);
    }
    secret_truncate(writer->text, writer->len);
    *textp = writer->text;
    writer->text = NULL;
    json_writer_free(writer);
    return (0);
}

void
json_writer_free(JSON_WRITER *writer)
{
    if (writer == NULL)
        return;
    secret_free(writer->text);
    free(writer);
}
