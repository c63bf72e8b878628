/*
 * snapshot/oplog_entries.c -- Oplog entries out of a stream. See oplog_entries.h.
 */
#include "snapshot/oplog_entries.h"

#include "snapshot/oplog_format.h"

#include <bson/bson.h>

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DOCUMENT_MIN 5
#define DEPTH_MAX 250 /* above what a server takes */
#define READ_BYTES ((size_t)256 * 1024)
#define BUFFER_SIZE (OPLOG_DOCUMENT_MAX + READ_BYTES)

struct oplog_entries {
    int fd;
    const char *name;
    uint8_t *buffer;
    size_t start, end; /* what is in it */
    bool is_at_end;    /* of the descriptor */
    uint64_t number;   /* of the entry that is next, from 1 */
    uint64_t offset;   /* of it */
    uint64_t last;
};

int
oplog_entries_open(int fd, const char *name, OPLOG_ENTRIES **entriesp, STATUS *status)
{
    OPLOG_ENTRIES *entries;

    *entriesp = NULL;
    if ((entries = calloc(1, sizeof(*entries))) == NULL ||
        (entries->buffer = malloc(BUFFER_SIZE)) == NULL) {
        free(entries);
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for oplog entries"));
    }
    entries->fd = fd;
    entries->name = name;
    entries->number = 1;
    *entriesp = entries;
    return (0);
}

void
oplog_entries_close(OPLOG_ENTRIES *entries)
{
    if (entries == NULL)
        return;
    free(entries->buffer);
    free(entries);
}

/*
 * Have this many bytes in the buffer, or the end of the descriptor. Reads are small and go to the front of the
 * buffer, so that entries are looked at and compressed while the processor still has them at hand.
 */
static int
fill(OPLOG_ENTRIES *entries, size_t need, STATUS *status)
{
    ssize_t n;

    if (entries->end - entries->start >= need || entries->is_at_end)
        return (0);
    memmove(entries->buffer, entries->buffer + entries->start, entries->end - entries->start);
    entries->end -= entries->start;
    entries->start = 0;
    while (entries->end < need) {
        n = read(entries->fd, entries->buffer + entries->end,
          need - entries->end > READ_BYTES ? need - entries->end : READ_BYTES);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return (status_set_errno(status, errno, "oplog-input", "reading %s", entries->name));
        if (n == 0) {
            entries->is_at_end = true;
            break;
        }
        entries->end += (size_t)n;
    }
    return (0);
}

static int
bad(const OPLOG_ENTRIES *entries, const char *what, STATUS *status)
{
    return (status_set(status, STATUS_CORRUPT, "oplog-entry",
      "%s: entry %" PRIu64 ", at offset %" PRIu64 ", %s", entries->name, entries->number,
      entries->offset, what));
}

static uint32_t
length_of(const uint8_t *data)
{
    return ((uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
            (uint32_t)data[3] << 24);
}

/*
 * Whether all below an iterator is well formed: types, lengths and ends, not the text in it, which is the
 * server's. A part of the time of bson_validate.
 */
static bool
is_well_formed(bson_iter_t *iter, unsigned depth)
{
    bson_iter_t child;

    while (bson_iter_next(iter))
        if ((BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) &&
            (depth == DEPTH_MAX || !bson_iter_recurse(iter, &child) ||
              !is_well_formed(&child, depth + 1)))
            return (false);
    return (iter->err_off == 0);
}

/* One pass over a document: is it well formed, and has it one "ts" of the right type. */
static bool
examine(const bson_t *document, bool deep, uint64_t *tsp, bool *has_tsp)
{
    bson_iter_t iter, child;
    uint32_t seconds, increment;
    unsigned found = 0, wrong = 0;

    if (!bson_iter_init(&iter, document))
        return (false);
    while (bson_iter_next(&iter))
        if (strcmp(bson_iter_key_unsafe(&iter), "ts") == 0) {
            found++;
            if (!BSON_ITER_HOLDS_TIMESTAMP(&iter)) {
                wrong++;
                continue;
            }
            bson_iter_timestamp(&iter, &seconds, &increment);
            *tsp = (uint64_t)seconds << 32 | increment;
        } else if (deep && (BSON_ITER_HOLDS_DOCUMENT(&iter) || BSON_ITER_HOLDS_ARRAY(&iter)) &&
                   (!bson_iter_recurse(&iter, &child) || !is_well_formed(&child, 1)))
            return (false);
    *has_tsp = found == 1 && wrong == 0;
    return (iter.err_off == 0);
}

int
oplog_entries_next(OPLOG_ENTRIES *entries, OPLOG_ENTRY *entry, bool *endp, STATUS *status)
{
    char was[OPLOG_ENTRIES_TIME_SIZE], is[OPLOG_ENTRIES_TIME_SIZE];
    bson_t document;
    uint32_t len;
    bool has_ts;
    int ret;

    *endp = false;
    if ((ret = fill(entries, DOCUMENT_MIN, status)) != 0)
        return (ret);
    if (entries->start == entries->end) {
        *endp = true;
        return (0);
    }
    if (entries->end - entries->start < DOCUMENT_MIN)
        return (bad(entries, "is cut off", status));
    len = length_of(entries->buffer + entries->start);
    if (len < DOCUMENT_MIN || len > OPLOG_DOCUMENT_MAX)
        return (bad(entries, "has no possible length: this is no BSON", status));
    if ((ret = fill(entries, len, status)) != 0)
        return (ret);
    if (entries->end - entries->start < len)
        return (bad(entries, "is cut off", status));
    entry->data = entries->buffer + entries->start;
    entry->len = len;
    if (!bson_init_static(&document, entry->data, len) ||
        !examine(&document, true, &entry->ts, &has_ts))
        return (bad(entries, "is no well-formed BSON document", status));
    if (!has_ts)
        return (bad(entries, "is no oplog entry: it has no single ts of type Timestamp", status));
    if (entry->ts < entries->last)
        return (status_set(status, STATUS_CORRUPT, "oplog-order",
          "%s: entry %" PRIu64 ", at offset %" PRIu64 ", is of %s, before %s of the one before it",
          entries->name, entries->number, entries->offset, oplog_entries_time_text(entry->ts, is),
          oplog_entries_time_text(entries->last, was)));
    entries->last = entry->ts;
    entries->start += len;
    entries->offset += len;
    entries->number++;
    return (0);
}

int
oplog_entries_peek(const uint8_t *data, size_t len, OPLOG_ENTRY *entry, STATUS *status)
{
    bson_t document;
    bool has_ts;

    if (len < DOCUMENT_MIN || length_of(data) < DOCUMENT_MIN || length_of(data) > len)
        goto err;
    entry->data = data;
    entry->len = length_of(data);
    if (bson_init_static(&document, data, entry->len) &&
        examine(&document, false, &entry->ts, &has_ts) && has_ts)
        return (0);

err:
    return (status_set(
      status, STATUS_CORRUPT, "oplog-documents", "a frame does not hold what it says it holds"));
}

/* --- times */

static bool
parse_number(const char **textp, uint32_t *numberp)
{
    uint64_t number = 0;
    const char *p = *textp;

    if (!isdigit((unsigned char)*p))
        return (false);
    for (; isdigit((unsigned char)*p); p++)
        if ((number = number * 10 + (uint64_t)(*p - '0')) > UINT32_MAX)
            return (false);
    *textp = p;
    *numberp = (uint32_t)number;
    return (true);
}

/* "2026-11-24T19:00:00" and "Z" or "+01:00". */
static bool
parse_iso(const char *text, uint64_t *tsp)
{
    struct tm tm = {0}, normal;
    int consumed = 0, hours = 0, minutes = 0;
    char sign = 0;
    time_t seconds;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
          &tm.tm_min, &tm.tm_sec, &consumed) != 6 ||
        consumed != 19)
        return (false);
    text += consumed;
    if (strcmp(text, "Z") != 0 &&
        (sscanf(text, "%c%2d:%2d%n", &sign, &hours, &minutes, &consumed) != 3 || consumed != 6 ||
          text[6] != '\0' || (sign != '+' && sign != '-') || hours < 0 || hours > 23 ||
          minutes < 0 || minutes > 59))
        return (false);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    normal = tm;
    seconds = timegm(&normal);
    /* timegm takes the 31st of February for the 3rd of March; a mistyped time must not pass. */
    if (normal.tm_mday != tm.tm_mday || normal.tm_mon != tm.tm_mon ||
        normal.tm_hour != tm.tm_hour || normal.tm_min != tm.tm_min || normal.tm_sec != tm.tm_sec)
        return (false);
    seconds -= (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    if (seconds < 0 || seconds > (time_t)UINT32_MAX)
        return (false);
    *tsp = (uint64_t)seconds << 32;
    return (true);
}

int
oplog_entries_parse_time(const char *text, uint64_t *tsp, STATUS *status)
{
    const char *p = text;
    uint32_t seconds, increment = 0;

    if (parse_number(&p, &seconds) &&
        (*p == '\0' || (*p == ':' && (p++, parse_number(&p, &increment)))) && *p == '\0') {
        *tsp = (uint64_t)seconds << 32 | increment;
        return (0);
    }
    if (parse_iso(text, tsp))
        return (0);
    (void)status_set(status, STATUS_REFUSED, "usage", "\"%.64s\" is no time", text);
    return (
      status_hint(status, "give seconds:increment as in ts, or a time like 2026-11-24T19:00:00Z"));
}

const char *
oplog_entries_time_text(uint64_t ts, char buf[OPLOG_ENTRIES_TIME_SIZE])
{
    (void)snprintf(
      buf, OPLOG_ENTRIES_TIME_SIZE, "%" PRIu32 ":%" PRIu32, (uint32_t)(ts >> 32), (uint32_t)ts);
    return (buf);
}
