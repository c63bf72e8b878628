/*
 * datafile/log_walk.c -- All records of a log file, one after the other. See log_file.h.
 */
#include "datafile/log_file.h"

#include "datafile/log_scan.h"
#include "datafile/walk_common.h"

#include <string.h>

/*
 * What is no record is gathered until it is known what comes behind it. First zeros; then, from the
 * first byte that is not zero, all up to the next record.
 */
typedef struct {
    LOG_FILE *file;
    const LOG_HANDLER *handler;
    LOG_SUMMARY summary;
    uint64_t zero_offset, zero_length;
    uint64_t junk_offset, junk_length; /* length 0: none */
    uint64_t junk_used;                /* of it: up to the last unit that is not all zero */
    bool junk_plausible;               /* it starts as a record does */
    bool after_gap;
    uint64_t reported; /* progress */
} WALK;

static void
progress(WALK *walk, uint64_t done)
{
    if (walk->handler->progress == NULL)
        return;
    if (walk_common_due(done, walk->file->size, &walk->reported))
        walk->handler->progress(walk->handler->context, done, walk->file->size);
}

static int
give_gap(WALK *walk, uint64_t offset, uint64_t length, LOG_GAP_KIND kind, STATUS *status)
{
    LOG_GAP gap;

    if (length == 0)
        return (0);
    if (kind == LOG_GAP_TAIL)
        walk->summary.tail_bytes += length;
    else if (kind == LOG_GAP_HOLE)
        walk->summary.hole_bytes += length;
    else
        walk->summary.other_bytes += length;
    if (walk->handler->gap == NULL)
        return (0);
    gap.offset = offset;
    gap.length = length;
    gap.kind = kind;
    return (walk->handler->gap(walk->handler->context, &gap, status));
}

/* A record follows, or the file's end. */
static int
flush_gaps(WALK *walk, bool at_end, STATUS *status)
{
    LOG_GAP_KIND kind;
    int ret;

    if (walk->zero_length != 0 || walk->junk_length != 0)
        walk->after_gap = true;
    kind = at_end && walk->junk_length == 0 ? LOG_GAP_TAIL : LOG_GAP_HOLE;
    if ((ret = give_gap(walk, walk->zero_offset, walk->zero_length, kind, status)) != 0)
        return (ret);
    if (at_end) {
        kind = walk->junk_plausible ? LOG_GAP_TORN : LOG_GAP_OTHER;
        if ((ret = give_gap(walk, walk->junk_offset, walk->junk_used, kind, status)) != 0)
            return (ret);
        ret = give_gap(walk, walk->junk_offset + walk->junk_used,
          walk->junk_length - walk->junk_used, LOG_GAP_TAIL, status);
    } else
        ret = give_gap(walk, walk->junk_offset, walk->junk_length, LOG_GAP_OTHER, status);
    walk->zero_length = walk->junk_length = walk->junk_used = 0;
    return (ret);
}

/* The first place from offset on, a multiple of the alignment, where a unit is not all zero. */
static int
skip_zeros(WALK *walk, uint64_t *offsetp, STATUS *status)
{
    LOG_FILE *file = walk->file;
    const uint8_t *p;
    uint64_t asked;
    size_t got, i, n;
    int ret;

    for (asked = UINT64_MAX; *offsetp < file->size;) {
        if ((ret = reader_view(&file->reader, *offsetp, READER_CHUNK, &p, &got, status)) != 0)
            return (ret);
        if (got == 0)
            break;
        for (i = 0; i < got; i += n) {
            n = got - i < file->alignment ? got - i : file->alignment;
            if (!reader_all_zero(p + i, n)) {
                *offsetp += i;
                return (0);
            }
        }
        *offsetp += got;
        if (*offsetp < file->size && *offsetp != asked) {
            asked = reader_skip_hole(&file->reader, *offsetp, file->alignment);
            if (asked > *offsetp)
                *offsetp = asked;
        }
        progress(walk, *offsetp);
    }
    *offsetp = file->size;
    return (0);
}

static int
pass_over(WALK *walk, uint64_t *offsetp, STATUS *status)
{
    LOG_FILE *file = walk->file;
    const uint8_t *p;
    uint64_t start;
    size_t got;
    int ret;

    start = *offsetp;
    if ((ret = skip_zeros(walk, offsetp, status)) != 0)
        return (ret);
    if (*offsetp != start) {
        if (walk->junk_length != 0)
            walk->junk_length += *offsetp - start;
        else {
            walk->zero_offset = start;
            walk->zero_length = *offsetp - start;
        }
        return (0);
    }
    if ((ret = reader_view(&file->reader, start, file->alignment, &p, &got, status)) != 0)
        return (ret);
    if (got == 0) {
        *offsetp = file->size; /* it became shorter */
        return (0);
    }
    if (walk->junk_length == 0) {
        walk->junk_offset = start;
        walk->junk_plausible = got >= LOG_RECORD_HEADER_LEN && log_scan_plausible(p);
    }
    walk->junk_length += got;
    walk->junk_used = walk->junk_length;
    *offsetp += got;
    return (0);
}

static int
give_record(WALK *walk, LOG_RECORD *record, STATUS *status)
{
    record->after_gap = walk->after_gap;
    switch (record->kind) {
    case LOG_RECORD_ENCRYPTED:
        walk->summary.encrypted++;
        break;
    case LOG_RECORD_CLEAR:
        walk->summary.clear++;
        break;
    case LOG_RECORD_DESCRIPTOR:
    case LOG_RECORD_PREVIOUS_LSN:
        walk->summary.by_design++;
        break;
    }
    if (walk->handler->record == NULL)
        return (0);
    return (walk->handler->record(walk->handler->context, record, status));
}

int
log_file_walk(LOG_FILE *file, const LOG_HANDLER *handler, LOG_SUMMARY *summaryp, STATUS *status)
{
    WALK walk;
    LOG_RECORD record;
    uint64_t offset, step;
    bool valid;
    int ret;

    memset(&walk, 0, sizeof(walk));
    walk.file = file;
    walk.handler = handler;
    file->wasted = 0;

    ret = 0;
    for (offset = 0; ret == 0 && offset < file->size;) {
        if ((ret = log_scan_verify(file, offset, &valid, &record, status)) != 0)
            break;
        if (!valid)
            ret = pass_over(&walk, &offset, status);
        else if ((ret = flush_gaps(&walk, false, status)) == 0) {
            step = record.length + (uint64_t)file->alignment - 1;
            offset += step - step % file->alignment;
            ret = give_record(&walk, &record, status);
        }
        progress(&walk, offset < file->size ? offset : file->size);
    }
    if (ret == 0)
        ret = flush_gaps(&walk, true, status);
    if (summaryp != NULL)
        *summaryp = walk.summary;
    return (ret == WALK_STOP ? 0 : ret);
}

static int
any_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    bool *has = context;

    (void)status;
    *has = record->kind == LOG_RECORD_ENCRYPTED || record->kind == LOG_RECORD_CLEAR;
    return (*has ? WALK_STOP : 0);
}

static int
any_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    bool *has = context;

    (void)status;
    *has = gap->kind == LOG_GAP_TORN || gap->kind == LOG_GAP_OTHER;
    return (*has ? WALK_STOP : 0);
}

int
log_file_has_records(LOG_FILE *file, bool *hasp, STATUS *status)
{
    LOG_HANDLER handler = {any_record, any_gap, NULL, hasp};

    *hasp = false;
    return (log_file_walk(file, &handler, NULL, status));
}
