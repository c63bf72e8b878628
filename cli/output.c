/*
 * cli/output.c -- Tables, JSON, Prometheus' text. See output.h.
 */
#include "cli/output.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 16

struct output_table {
    size_t columns;
    char **cells; /* made safe; the headings first */
    size_t count;
    size_t room;
};

static void
no_memory(void)
{
    (void)fputs("wtkms: no memory (memory)\n", stderr);
    exit(1);
}

void *
output_allocate(size_t count, size_t size)
{
    void *p;

    if ((p = calloc(count == 0 ? 1 : count, size)) == NULL)
        no_memory();
    return (p);
}

void *
output_grow(void *old, size_t count, size_t size)
{
    void *p;

    if ((p = reallocarray(old, count, size)) == NULL)
        no_memory();
    return (p);
}

static char *format_list(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

static char *
format_list(const char *fmt, va_list ap)
{
    char *text;

    if (vasprintf(&text, fmt, ap) < 0)
        no_memory();
    return (text);
}

char *
output_format(const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = format_list(fmt, ap);
    va_end(ap);
    return (text);
}

/*
 * How many bytes of text from here are one character that may be shown as it is; 0: escape a byte.
 * UTF-8's own rules are libbson's; of its characters the C1 controls act on terminals too.
 */
static size_t
printable_len(const char *text)
{
    unsigned char c = (unsigned char)text[0];
    size_t i, len;

    if (c < 0x80)
        return (c >= 0x20 && c != 0x7f ? 1 : 0);
    len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    for (i = 1; i < len; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return (0);
    if (c == 0xc2 && (unsigned char)text[1] < 0xa0)
        return (0);
    return (bson_utf8_validate(text, len, false) ? len : 0);
}

char *
output_safe(const char *text)
{
    char *safe, *to;
    size_t len;

    safe = to = output_allocate(strlen(text) * 4 + 1, 1);
    while (*text != '\0')
        if ((len = printable_len(text)) != 0) {
            memcpy(to, text, len);
            to += len;
            text += len;
        } else {
            if (*text == '\n' || *text == '\t')
                to += snprintf(to, 5, "\\%c", *text == '\n' ? 'n' : 't');
            else
                to += snprintf(to, 5, "\\x%02x", (unsigned char)*text);
            text++;
        }
    *to = '\0';
    return (safe);
}

const char *
output_time(int64_t ms, char buf[OUTPUT_TIME_SIZE])
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);

    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL ||
        strftime(buf, OUTPUT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "-");
    return (buf);
}

const char *
output_age(int64_t ms, char buf[OUTPUT_TIME_SIZE])
{
    int64_t seconds = (int64_t)time(NULL) - ms / 1000;

    if (ms == 0)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "-");
    else if (seconds < 0)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "in the future");
    else if (seconds < 120)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "%llds", (long long)seconds);
    else if (seconds < 2 * 3600)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "%lldm", (long long)seconds / 60);
    else if (seconds < 2 * 86400)
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "%lldh", (long long)seconds / 3600);
    else
        (void)snprintf(buf, OUTPUT_TIME_SIZE, "%lldd", (long long)seconds / 86400);
    return (buf);
}

static void
add_cell(OUTPUT_TABLE *table, const char *text)
{
    if (table->count == table->room) {
        table->room = table->room == 0 ? 64 : table->room * 2;
        table->cells = output_grow(table->cells, table->room, sizeof(*table->cells));
    }
    table->cells[table->count++] = output_safe(text);
}

OUTPUT_TABLE *
output_table_new(const char *heading, ...)
{
    OUTPUT_TABLE *table;
    va_list ap;

    table = output_allocate(1, sizeof(*table));
    va_start(ap, heading);
    for (; heading != NULL && table->columns < COLUMNS_MAX; heading = va_arg(ap, const char *)) {
        add_cell(table, heading);
        table->columns++;
    }
    va_end(ap);
    return (table);
}

void
output_table_cell(OUTPUT_TABLE *table, const char *fmt, ...)
{
    va_list ap;
    char *text;

    va_start(ap, fmt);
    text = format_list(fmt, ap);
    va_end(ap);
    add_cell(table, text);
    free(text);
}

static size_t
width(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++)
        if (((unsigned char)*text & 0xc0) != 0x80)
            n++;
    return (n);
}

void
output_table_print(OUTPUT_TABLE *table, int indent, FILE *out)
{
    size_t column, i, w, widths[COLUMNS_MAX];

    memset(widths, 0, sizeof(widths));
    for (i = 0; i < table->count; i++) {
        column = i % table->columns;
        if ((w = width(table->cells[i])) > widths[column])
            widths[column] = w;
    }
    for (i = 0; i < table->count && table->count > table->columns; i++) {
        column = i % table->columns;
        if (column == 0)
            (void)fprintf(out, "%*s", indent, "");
        (void)fputs(table->cells[i], out);
        /* The last column is not padded, so no line ends in blanks. */
        if (column + 1 < table->columns)
            (void)fprintf(out, "%*s", (int)(widths[column] - width(table->cells[i]) + 2), "");
        else
            (void)fputc('\n', out);
    }
    for (i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

void
output_prometheus(FILE *out, const char *name, int64_t value, ...)
{
    va_list ap;
    const char *c, *label, *text;
    char *safe;
    int count;

    (void)fputs(name, out);
    va_start(ap, value);
    for (count = 0; (label = va_arg(ap, const char *)) != NULL; count++) {
        text = va_arg(ap, const char *);
        safe = output_safe(text == NULL ? "" : text);
        (void)fprintf(out, "%c%s=\"", count == 0 ? '{' : ',', label);
        for (c = safe; *c != '\0'; c++) {
            if (*c == '"' || *c == '\\')
                (void)fputc('\\', out);
            (void)fputc(*c, out);
        }
        (void)fputc('"', out);
        free(safe);
    }
    va_end(ap);
    (void)fprintf(out, "%s %lld\n", count == 0 ? "" : "}", (long long)value);
}
