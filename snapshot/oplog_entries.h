/*
 * snapshot/oplog_entries.h -- Oplog entries as a stream of BSON documents, and their timestamps.
 *
 * Layer: snapshot. Knows nothing of archives. The stream is what mongodump writes: documents one behind
 * another, nothing between them. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_OPLOG_ENTRIES_H
#define WTKMS_SNAPSHOT_OPLOG_ENTRIES_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct oplog_entries OPLOG_ENTRIES;

/* One entry; data belongs to the reader and is valid until the next call. */
typedef struct {
    const uint8_t *data;
    size_t len;
    uint64_t ts; /* seconds << 32 | increment */
} OPLOG_ENTRY;

/* oplog_entries_open -- Read from an open descriptor, which stays the caller's; name is for messages and must
 * outlive it. Memory: one document of the largest size. */
int oplog_entries_open(
  int fd, const char *name, OPLOG_ENTRIES **entriesp, STATUS *status) WTKMS_CHECKED;
void oplog_entries_close(OPLOG_ENTRIES *entries);

/*
 * oplog_entries_next -- The next entry, or *endp. It is a whole and well-formed document of at most
 *     OPLOG_DOCUMENT_MAX bytes, has one top-level "ts" of type Timestamp, and that is not before the
 *     one of the entry before. STATUS_CORRUPT names number and offset of what is not so; STATUS_IO.
 */
int oplog_entries_next(
  OPLOG_ENTRIES *entries, OPLOG_ENTRY *entry, bool *endp, STATUS *status) WTKMS_CHECKED;

/* oplog_entries_peek -- Of a document in memory: its length and timestamp, with no more checks than are
 * needed to stay within len bytes. STATUS_CORRUPT. */
int oplog_entries_peek(
  const uint8_t *data, size_t len, OPLOG_ENTRY *entry, STATUS *status) WTKMS_CHECKED;

/* oplog_entries_parse_time -- "1764000000:3", "1764000000", or "2026-11-24T19:00:00Z" (an offset like +01:00
 * in place of the Z will do; then the increment is 0). STATUS_REFUSED "usage". */
int oplog_entries_parse_time(const char *text, uint64_t *tsp, STATUS *status) WTKMS_CHECKED;

/* oplog_entries_time_text -- "1764000000:3". Returns buf. */
#define OPLOG_ENTRIES_TIME_SIZE 24
const char *oplog_entries_time_text(uint64_t ts, char buf[OPLOG_ENTRIES_TIME_SIZE]);

#endif
