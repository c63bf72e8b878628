/*
 * datafile/metadata_text.c -- Metadata lines and configuration strings. See metadata_text.h.
 */
#include "datafile/metadata_text.h"

#include <string.h>

static const char *
line_end(const char *p, const char *end)
{
    const char *newline = memchr(p, '\n', (size_t)(end - p));

    return (newline == NULL ? end : newline);
}

int
metadata_text_walk(const char *text, size_t length,
  int (*entry)(void *context, const METADATA_ENTRY *entry), void *context)
{
    METADATA_ENTRY found;
    const char *end, *next, *p;
    int ret;

    end = text + length;
    for (p = text; p < end; p = next < end ? next + 1 : end) {
        next = line_end(p, end);
        found.uri.text = p;
        found.uri.length = (size_t)(next - p);
        if (next == end)
            break;
        p = next + 1;
        next = line_end(p, end);
        found.config.text = p;
        found.config.length = (size_t)(next - p);
        if ((ret = entry(context, &found)) != 0)
            return (ret);
    }
    return (0);
}

static bool
is_blank(char c)
{
    return (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f');
}

static bool
is_open(char c)
{
    return (c == '(' || c == '[' || c == '{');
}

static bool
is_close(char c)
{
    return (c == ')' || c == ']' || c == '}');
}

/* p is at a quote: the place behind the closing one, or the end. */
static const char *
pass_quoted(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && end - p > 1)
            p++;
    return (p < end ? p + 1 : end);
}

/* p is at an opening bracket: the place behind its closing one, or the end. */
static const char *
pass_nested(const char *p, const char *end)
{
    size_t depth;

    for (depth = 0; p < end;) {
        if (*p == '"') {
            p = pass_quoted(p, end);
            continue;
        }
        if (is_open(*p))
            depth++;
        else if (is_close(*p) && --depth == 0)
            return (p + 1);
        p++;
    }
    return (end);
}

/* One key or value; *pp moves behind it. */
static METADATA_TEXT
take(const char **pp, const char *end, bool key)
{
    METADATA_TEXT text;
    const char *p = *pp, *start = *pp;

    if (p < end && *p == '"') {
        p = pass_quoted(p, end);
        text.text = start + 1;
        text.length = (size_t)(p - start) - 1;
        if (text.length > 0 && p[-1] == '"')
            text.length--;
    } else {
        if (p < end && is_open(*p))
            p = pass_nested(p, end);
        else
            while (p < end && *p != ',' && !is_blank(*p) && !is_open(*p) && !is_close(*p) &&
                   !(key && (*p == '=' || *p == ':')))
                p++;
        text.text = start;
        text.length = (size_t)(p - start);
    }
    *pp = p;
    return (text);
}

static bool
get_one(
  const char *config, size_t length, const char *key, size_t key_length, METADATA_TEXT *valuep)
{
    METADATA_TEXT name, value;
    const char *end, *p;
    bool found;

    found = false;
    end = config + length;
    for (p = config; p < end;) {
        if (*p == ',' || is_blank(*p) || is_close(*p) || *p == '=' || *p == ':') {
            p++;
            continue;
        }
        name = take(&p, end, true);
        value.text = p;
        value.length = 0;
        if (p < end && (*p == '=' || *p == ':')) {
            p++;
            value = take(&p, end, false);
        } else if (p < end && is_open(*p))
            value = take(&p, end, false);
        if (name.length == key_length && memcmp(name.text, key, key_length) == 0) {
            *valuep = value;
            found = true;
        }
    }
    return (found);
}

bool
metadata_text_get(const char *config, size_t length, const char *key, METADATA_TEXT *valuep)
{
    METADATA_TEXT inner;
    const char *dot;
    size_t part;

    valuep->text = NULL;
    valuep->length = 0;
    inner.text = config;
    inner.length = length;
    for (;; key = dot + 1) {
        dot = strchr(key, '.');
        part = dot == NULL ? strlen(key) : (size_t)(dot - key);
        if (!get_one(inner.text, inner.length, key, part, &inner))
            return (false);
        if (dot == NULL)
            break;
        if (inner.length < 2 || !is_open(inner.text[0]) || !is_close(inner.text[inner.length - 1]))
            return (false);
        inner.text++;
        inner.length -= 2;
    }
    *valuep = inner;
    return (true);
}

bool
metadata_text_is(const METADATA_TEXT *text, const char *string)
{
    return (text->text != NULL && text->length == strlen(string) &&
            memcmp(text->text, string, text->length) == 0);
}

/* "4096", "4KB", "4K": as configuration strings have sizes. 0 for what is none. */
static uint64_t
parse_size(const METADATA_TEXT *text)
{
    uint64_t shift, value;
    size_t i;

    for (value = 0, i = 0; i < text->length && text->text[i] >= '0' && text->text[i] <= '9'; i++) {
        if (value > UINT64_MAX / 16)
            return (0);
        value = value * 10 + (uint64_t)(text->text[i] - '0');
    }
    shift = 0;
    if (i < text->length)
        switch (text->text[i]) {
        case 'k':
        case 'K':
            shift = 10;
            break;
        case 'm':
        case 'M':
            shift = 20;
            break;
        case 'g':
        case 'G':
            shift = 30;
            break;
        case 'b':
        case 'B':
            break;
        default:
            return (0);
        }
    return (value > UINT64_MAX >> shift ? 0 : value << shift);
}

void
metadata_text_file(const char *config, size_t length, METADATA_FILE *filep)
{
    METADATA_TEXT size;

    memset(filep, 0, sizeof(*filep));
    (void)metadata_text_get(config, length, "encryption.name", &filep->encryptor);
    (void)metadata_text_get(config, length, "encryption.keyid", &filep->keyid);
    (void)metadata_text_get(config, length, "checksum", &filep->checksum);
    (void)metadata_text_get(config, length, "block_compressor", &filep->compressor);
    if (metadata_text_get(config, length, "allocation_size", &size))
        filep->allocation_size = parse_size(&size);
    if (metadata_text_is(&filep->encryptor, "none"))
        filep->encryption = METADATA_ENCRYPTION_NONE;
    else if (filep->encryptor.length != 0)
        filep->encryption = METADATA_ENCRYPTION_NAMED;
    else
        filep->encryption = METADATA_ENCRYPTION_SYSTEM;
}
