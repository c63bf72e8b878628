/*
 * snapshot/oplog_gaps.h -- Whether a stream of oplog entries has all that a server wrote, as far as the entries tell.
 *
 * Layer: snapshot. Timestamps do not count one by one, so a missing entry is seen only where something
 * speaks of it: silence where an idle server writes a no-op every ten seconds, a term without its
 * first entry, a write of a session that names one before it which is not there. What is found here
 * may be a gap; what is not found may still be one. doc/oplog-format.md. Memory of a fixed size. Not
 * thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_OPLOG_GAPS_H
#define WTKMS_SNAPSHOT_OPLOG_GAPS_H

#include "snapshot/oplog_entries.h"

#define OPLOG_GAPS_KEPT 100      /* the rest is counted */
#define OPLOG_GAPS_SILENCE_S 60u /* by default */

typedef enum {
    OPLOG_GAP_SILENCE,    /* longer than an idle server is silent */
    OPLOG_GAP_TERM_START, /* a new term that does not begin with its "new primary" */
    OPLOG_GAP_TERM_BACK,  /* a lower term after a higher one: two histories */
    OPLOG_GAP_SESSION     /* an entry names one before it, which is not there */
} OPLOG_GAP_KIND;

typedef struct {
    OPLOG_GAP_KIND kind;
    uint64_t after, before; /* the entries on both sides */
    uint64_t missing;       /* of OPLOG_GAP_SESSION: the one that is named */
} OPLOG_GAP;

typedef struct oplog_gaps OPLOG_GAPS;

/* oplog_gaps_new -- silence_s: seconds without an entry that are a gap. STATUS_NO_MEMORY. */
int oplog_gaps_new(uint32_t silence_s, OPLOG_GAPS **gapsp, STATUS *status) WTKMS_CHECKED;
void oplog_gaps_free(OPLOG_GAPS *gaps);

/* oplog_gaps_take -- The next entry of the stream; never fails. To be called by oplog_files_read: context is
 * the OPLOG_GAPS. */
int oplog_gaps_take(void *context, const OPLOG_ENTRY *entry, STATUS *status) WTKMS_CHECKED;

/* oplog_gaps_found -- The first of them, *countp of at most OPLOG_GAPS_KEPT, and how many there are in all. */
uint64_t oplog_gaps_found(const OPLOG_GAPS *gaps, const OPLOG_GAP **foundp, size_t *countp);

/* oplog_gap_name -- "silence", "term start", "term back", "session". */
const char *oplog_gap_name(OPLOG_GAP_KIND kind);

#endif
