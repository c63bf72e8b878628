/*
 * snapshot/oplog_gaps.c -- Gaps inside of a stream of oplog entries. See oplog_gaps.h.
 *
 * Fields and messages are those of MongoDB's oplog entries since 4.2: ts, t, op, o, lsid, txnNumber, prevOpTime.
 * An entry that does not have them is judged by its time alone.
 */
#include "snapshot/oplog_gaps.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

#define SLOTS 8192 /* sessions that are remembered; a later one takes an earlier one's place */

/* The last entry of a session, by a hash of its identity. */
typedef struct {
    uint64_t session, ts;
} SLOT;

struct oplog_gaps {
    uint32_t silence_s;
    uint64_t last;
    int64_t term;
    bool has_term;
    uint64_t count;
    size_t kept;
    OPLOG_GAP found[OPLOG_GAPS_KEPT];
    SLOT slots[SLOTS];
};

/* What one entry says. */
typedef struct {
    int64_t term;
    bool has_term, is_noop, is_new_primary, has_session, has_previous;
    uint64_t session;  /* of lsid and txnNumber */
    uint64_t previous; /* prevOpTime */
} FIELDS;

int
oplog_gaps_new(uint32_t silence_s, OPLOG_GAPS **gapsp, STATUS *status)
{
    if ((*gapsp = calloc(1, sizeof(**gapsp))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a search for gaps"));
    (*gapsp)->silence_s = silence_s;
    return (0);
}

void
oplog_gaps_free(OPLOG_GAPS *gaps)
{
    free(gaps);
}

const char *
oplog_gap_name(OPLOG_GAP_KIND kind)
{
    static const char *const names[] = {[OPLOG_GAP_SILENCE] = "silence",
      [OPLOG_GAP_TERM_START] = "term start",
      [OPLOG_GAP_TERM_BACK] = "term back",
      [OPLOG_GAP_SESSION] = "session"};

    return (names[kind]);
}

uint64_t
oplog_gaps_found(const OPLOG_GAPS *gaps, const OPLOG_GAP **foundp, size_t *countp)
{
    *foundp = gaps->found;
    *countp = gaps->kept;
    return (gaps->count);
}

static void
note(OPLOG_GAPS *gaps, OPLOG_GAP_KIND kind, uint64_t before, uint64_t missing)
{
    if (gaps->count++ < OPLOG_GAPS_KEPT)
        gaps->found[gaps->kept++] =
          (OPLOG_GAP){.kind = kind, .after = gaps->last, .before = before, .missing = missing};
}

/* FNV-1a: identities of sessions are random, and who could choose them writes the oplog anyway. */
static void
hash(uint64_t *hashp, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t i;

    for (i = 0; i < len; i++)
        *hashp = (*hashp ^ p[i]) * 1099511628211u;
}

static void
take_session(const bson_iter_t *iter, FIELDS *fields)
{
    const uint8_t *data;
    uint32_t len;

    bson_iter_document(iter, &len, &data);
    hash(&fields->session, data, len);
    fields->has_session = true;
}

static void
take_previous(const bson_iter_t *iter, FIELDS *fields)
{
    bson_iter_t child;
    uint32_t seconds, increment;

    if (!bson_iter_recurse(iter, &child) || !bson_iter_find(&child, "ts") ||
        !BSON_ITER_HOLDS_TIMESTAMP(&child))
        return;
    bson_iter_timestamp(&child, &seconds, &increment);
    fields->previous = (uint64_t)seconds << 32 | increment;
    fields->has_previous = fields->previous != 0;
}

static bool
is_new_primary(const bson_iter_t *iter)
{
    bson_iter_t child;

    return (bson_iter_recurse(iter, &child) && bson_iter_find(&child, "msg") &&
            BSON_ITER_HOLDS_UTF8(&child) &&
            strcmp(bson_iter_utf8(&child, NULL), "new primary") == 0);
}

static void
read_fields(const OPLOG_ENTRY *entry, FIELDS *fields)
{
    bson_iter_t iter;
    bson_t document;
    const char *key;
    int64_t number;

    memset(fields, 0, sizeof(*fields));
    fields->session = 14695981039346656037u;
    if (!bson_init_static(&document, entry->data, entry->len) || !bson_iter_init(&iter, &document))
        return;
    while (bson_iter_next(&iter)) {
        key = bson_iter_key(&iter);
        if (strcmp(key, "t") == 0 && BSON_ITER_HOLDS_INT(&iter)) {
            fields->term = bson_iter_as_int64(&iter);
            fields->has_term = true;
        } else if (strcmp(key, "op") == 0 && BSON_ITER_HOLDS_UTF8(&iter))
            fields->is_noop = strcmp(bson_iter_utf8(&iter, NULL), "n") == 0;
        else if (strcmp(key, "o") == 0 && BSON_ITER_HOLDS_DOCUMENT(&iter))
            fields->is_new_primary = is_new_primary(&iter);
        else if (strcmp(key, "lsid") == 0 && BSON_ITER_HOLDS_DOCUMENT(&iter))
            take_session(&iter, fields);
        else if (strcmp(key, "txnNumber") == 0 && BSON_ITER_HOLDS_INT(&iter)) {
            number = bson_iter_as_int64(&iter);
            hash(&fields->session, &number, sizeof(number));
        } else if (strcmp(key, "prevOpTime") == 0 && BSON_ITER_HOLDS_DOCUMENT(&iter))
            take_previous(&iter, fields);
    }
}

/*
 * The entries of one session and transaction number name each other. The last that was seen here is
 * remembered: when an entry names a later one than that, there was one that is not here.
 */
static void
follow_session(OPLOG_GAPS *gaps, const FIELDS *fields, uint64_t ts)
{
    SLOT *slot = &gaps->slots[fields->session % SLOTS];

    if (fields->has_previous && slot->session == fields->session && slot->ts != 0 &&
        fields->previous > slot->ts && fields->previous < ts)
        note(gaps, OPLOG_GAP_SESSION, ts, fields->previous);
    slot->session = fields->session;
    slot->ts = ts;
}

int
oplog_gaps_take(void *context, const OPLOG_ENTRY *entry, STATUS *status)
{
    OPLOG_GAPS *gaps = context;
    FIELDS fields;

    (void)status;
    read_fields(entry, &fields);
    if (gaps->last != 0) {
        if ((entry->ts >> 32) - (gaps->last >> 32) > gaps->silence_s)
            note(gaps, OPLOG_GAP_SILENCE, entry->ts, 0);
        if (fields.has_term && gaps->has_term && fields.term < gaps->term)
            note(gaps, OPLOG_GAP_TERM_BACK, entry->ts, 0);
        else if (fields.has_term && gaps->has_term && fields.term > gaps->term &&
                 !(fields.is_noop && fields.is_new_primary))
            note(gaps, OPLOG_GAP_TERM_START, entry->ts, 0);
    }
    if (fields.has_session)
        follow_session(gaps, &fields, entry->ts);
    if (fields.has_term) {
        gaps->term = fields.term;
        gaps->has_term = true;
    }
    gaps->last = entry->ts;
    return (0);
}
