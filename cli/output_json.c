/*
 * cli/output_json.c -- JSON by libbson. See output.h.
 *
 * libbson's appending functions fail only when a document would pass 2 GiB or when a parent is used
 * while its child is open, which is a mistake of ours: one place ends the process for both.
 */
#include "cli/output.h"

#include "crypto/encode.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static void
must(bool ok)
{
    if (ok)
        return;
    (void)fputs("wtkms: the result is too large for JSON (json)\n", stderr);
    exit(1);
}

void
output_json_text(bson_t *json, const char *name, const char *text)
{
    char *safe;

    if (text == NULL) {
        must(bson_append_null(json, name, -1));
        return;
    }
    /* Control characters have JSON's own escapes, so only what is no UTF-8 needs ours. */
    safe = bson_utf8_validate(text, strlen(text), false) ? NULL : output_safe(text);
    must(bson_append_utf8(json, name, -1, safe == NULL ? text : safe, -1));
    free(safe);
}

void
output_json_id(bson_t *json, const char *name, uint64_t id)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)id);
    must(bson_append_utf8(json, name, -1, text, -1));
}

void
output_json_hex(bson_t *json, const char *name, const uint8_t *data, size_t len)
{
    char *text;

    text = output_allocate(2 * len + 1, 1);
    encode_hex(data, len, text);
    must(bson_append_utf8(json, name, -1, text, -1));
    free(text);
}

void
output_json_time(bson_t *json, const char *name, int64_t ms)
{
    char text[OUTPUT_TIME_SIZE];

    output_json_text(json, name, ms == 0 ? NULL : output_time(ms, text));
}

void
output_json_number(bson_t *json, const char *name, int64_t number)
{
    must(bson_append_int64(json, name, -1, number));
}

void
output_json_bool(bson_t *json, const char *name, bool value)
{
    must(bson_append_bool(json, name, -1, value));
}

void
output_json_begin(bson_t *json, const char *name, bson_t *child)
{
    must(bson_append_document_begin(json, name, -1, child));
}

void
output_json_begin_array(bson_t *json, const char *name, bson_t *child)
{
    must(bson_append_array_begin(json, name, -1, child));
}

void
output_json_end(bson_t *json, bson_t *child)
{
    must(bson_append_document_end(json, child));
}

void
output_json_end_array(bson_t *json, bson_t *child)
{
    must(bson_append_array_end(json, child));
}

void
output_json_element(bson_t *array, uint32_t index, bson_t *child)
{
    char buf[16];
    const char *key;

    (void)bson_uint32_to_string(index, &key, buf, sizeof(buf));
    must(bson_append_document_begin(array, key, -1, child));
}

/*
 * libbson writes one line; people read this too.
 */
static void
print_indented(const char *text, FILE *out)
{
    const char *p;
    int depth = 0;
    bool quoted = false;

    for (p = text; *p != '\0'; p++) {
        if (quoted) {
            (void)fputc(*p, out);
            if (*p == '\\' && p[1] != '\0')
                (void)fputc(*++p, out);
            else if (*p == '"')
                quoted = false;
            continue;
        }
        if (isspace((unsigned char)*p))
            continue;
        switch (*p) {
        case '{':
        case '[':
            (void)fputc(*p, out);
            while (isspace((unsigned char)p[1]))
                p++;
            if (p[1] == '}' || p[1] == ']')
                (void)fputc(*++p, out);
            else
                (void)fprintf(out, "\n%*s", ++depth * 2, "");
            break;
        case '}':
        case ']':
            (void)fprintf(out, "\n%*s%c", --depth * 2, "", *p);
            break;
        case ',':
            (void)fprintf(out, ",\n%*s", depth * 2, "");
            break;
        case ':':
            (void)fputs(": ", out);
            break;
        default:
            quoted = *p == '"';
            (void)fputc(*p, out);
        }
    }
    (void)fputc('\n', out);
}

int
output_json_print(const bson_t *json, FILE *out, STATUS *status)
{
    char *text;

    if ((text = bson_as_relaxed_extended_json(json, NULL)) == NULL)
        return (
          status_set(status, STATUS_INTERNAL, "json", "the result cannot be written as JSON"));
    print_indented(text, out);
    bson_free(text);
    return (0);
}
