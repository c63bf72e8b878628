/*
 * snapshot/oplog_entries.c -- Oplog entries out of a stream. See oplog_entries.h.
 */
#include "snapshot/oplog_entries.h"

#include "snapshot/oplog_format.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define DOCUMENT_MIN 5
#define DEPTH_MAX 250 /* above what a server takes, as libbson has it */
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
 * BSON as bsonspec.org has it: types, lengths and ends, not the text in it, which is the server's. Each
 * document ends in a zero byte, so a name or text that has none of its own runs into that, and is found
 * by where it ends. Done here since a walk by libbson's iterators takes several times as long, of a
 * program that has little else to do; test/fuzz/fuzz_oplog.c holds the one to the other.
 */
typedef struct {
    bool deep; /* nested documents too; else they are passed over by their length */
    uint64_t ts;
    unsigned found, wrong; /* "ts" of the top level */
} EXAMINED;

static bool examine(
  const uint8_t *data, size_t room, unsigned depth, EXAMINED *examined, size_t *lenp);

/* Bytes of a value of a type whose values are all as long; 255: of the others. */
static unsigned
fixed_length(uint8_t type)
{
    static const uint8_t lengths[] = {
      255, 8, 255, 255, 255, 255, 0, 12, 1, 8, 0, 255, 255, 255, 255, 255, 4, 8, 8, 16};

    if (type < sizeof(lengths))
        return (lengths[type]);
    return (type == 0x7f || type == 0xff ? 0 : 255);
}

/* A length, a text, and its zero; 0 when it does not fit into room. */
static size_t
string_length(const uint8_t *at, size_t room)
{
    size_t len;

    if (room < 5 || (len = length_of(at)) == 0 || len > room - 4 || at[4 + len - 1] != 0)
        return (0);
    return (4 + len);
}

static size_t
binary_length(const uint8_t *at, size_t room)
{
    size_t len;

    if (room < 5 || (len = length_of(at)) > room - 5)
        return (0);
    /* The old subtype says its length twice. */
    if (at[4] == 2 && (len < 4 || length_of(at + 5) != len - 4))
        return (0);
    return (5 + len);
}

static size_t
regex_length(const uint8_t *at, size_t room)
{
    size_t len = 0;
    int i;

    for (i = 0; i < 2; i++) {
        while (at[len] != 0)
            len++;
        if (len >= room)
            return (0);
        len++;
    }
    return (len);
}

static size_t
code_with_scope_length(const uint8_t *at, size_t room, unsigned depth, EXAMINED *examined)
{
    size_t code, len, scope;

    if (room < 14 || (len = length_of(at)) > room || len < 14 ||
        (code = string_length(at + 4, len - 4)) == 0 ||
        !examine(at + 4 + code, len - 4 - code, depth + 1, examined, &scope))
        return (0);
    return (4 + code + scope == len ? len : 0);
}

/* Bytes of a value of another type, or 0 when it is none or does not fit. */
static size_t
value_length(uint8_t type, const uint8_t *at, size_t room, unsigned depth, EXAMINED *examined)
{
    size_t len;

    switch (type) {
    case 0x02: /* text, JavaScript, symbol */
    case 0x0d:
    case 0x0e:
        return (string_length(at, room));
    case 0x03: /* document, array */
    case 0x04:
        return (examine(at, room, depth + 1, examined, &len) ? len : 0);
    case 0x05:
        return (binary_length(at, room));
    case 0x0b:
        return (regex_length(at, room));
    case 0x0c: /* DBPointer */
        len = string_length(at, room);
        return (len != 0 && room - len >= 12 ? len + 12 : 0);
    case 0x0f:
        return (code_with_scope_length(at, room, depth, examined));
    default:
        return (0);
    }
}

static void
note_ts(uint8_t type, const uint8_t *value, EXAMINED *examined)
{
    examined->found++;
    if (type == 0x11)
        examined->ts = (uint64_t)length_of(value + 4) << 32 | length_of(value);
    else
        examined->wrong++;
}

/* One pass over a document of at most room bytes; *lenp is its length. */
static bool
examine(const uint8_t *data, size_t room, unsigned depth, EXAMINED *examined, size_t *lenp)
{
    const uint8_t *at, *end, *name;
    size_t len;
    uint8_t type;

    if (room < DOCUMENT_MIN || (len = length_of(data)) < DOCUMENT_MIN || len > room ||
        data[len - 1] != 0 || depth > DEPTH_MAX)
        return (false);
    *lenp = len;
    if (depth > 0 && !examined->deep)
        return (true);
    end = data + len - 1;
    for (at = data + 4; at < end; at += len) {
        type = *at++;
        for (name = at; *at != 0; at++)
            ;
        if (at >= end)
            return (false);
        at++;
        if ((len = fixed_length(type)) == 255) {
            if ((len = value_length(type, at, (size_t)(end - at), depth, examined)) == 0)
                return (false);
        } else if (len > (size_t)(end - at) || (type == 0x08 && *at > 1))
            return (false);
        if (depth == 0 && at - name == 3 && name[0] == 't' && name[1] == 's')
            note_ts(type, at, examined);
    }
    return (at == end);
}

int
oplog_entries_next(OPLOG_ENTRIES *entries, OPLOG_ENTRY *entry, bool *endp, STATUS *status)
{
    char was[OPLOG_ENTRIES_TIME_SIZE], is[OPLOG_ENTRIES_TIME_SIZE];
    EXAMINED examined = {.deep = true};
    size_t len;
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
    if (!examine(entry->data, len, 0, &examined, &len))
        return (bad(entries, "is no well-formed BSON document", status));
    entry->ts = examined.ts;
    if (examined.found != 1 || examined.wrong != 0)
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
    EXAMINED examined = {.deep = false};

    if (!examine(data, len, 0, &examined, &entry->len) || examined.found != 1 ||
        examined.wrong != 0)
        return (status_set(status, STATUS_CORRUPT, "oplog-documents",
          "a frame does not hold what it says it holds"));
    entry->data = data;
    entry->ts = examined.ts;
    return (0);
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
