/*
 * snapshot/oplog_archive.h -- Sealed oplog archives: reading one, and writing to one.
 *
 * Layer: snapshot. The bytes' form is in oplog_format.h. Files are regular ones. Memory is bounded by two
 * of the largest frames. Not thread-safe; several processes may read while one writes.
 */
#ifndef WTKMS_SNAPSHOT_OPLOG_ARCHIVE_H
#define WTKMS_SNAPSHOT_OPLOG_ARCHIVE_H

#include "keystore/keystore.h"
#include "keystore/keyring.h"
#include "snapshot/oplog_format.h"

#include <stdbool.h>

/* What was found so far; at the end of a file, of the whole of it. */
typedef struct {
    uint64_t size;     /* of the file when it was opened */
    uint64_t good_end; /* the end of the last whole frame */
    uint64_t segments, frames, documents, bytes;
    uint64_t first, last; /* timestamps; 0 when there is no entry */
    int64_t started;      /* of the first segment, and of the last: ms since 1970 */
    int64_t continued;
    uint64_t resumed; /* segments that go on after one that was not finished */
    bool is_open; /* the last segment has no closing frame, or the file ends inside of something */
} OPLOG_SUMMARY;

/* --- reading */

typedef struct oplog_reader OPLOG_READER;

/* oplog_reader_open -- Read the head and decode the keystore; nothing is proven. fd is duplicated. path is for
 * messages (copied). STATUS_CORRUPT "oplog-head" when this is no archive, STATUS_IO. */
int oplog_reader_open(
  int fd, const char *path, OPLOG_READER **readerp, STATUS *status) WTKMS_CHECKED;
void oplog_reader_close(OPLOG_READER *reader);

/* oplog_reader_keystore -- What the head carries, decoded, and its bytes; the reader's. */
const KEYSTORE *oplog_reader_keystore(
  const OPLOG_READER *reader, const uint8_t **datap, size_t *lenp);

/* oplog_reader_set_key -- Decrypt from now on: the archive's key, which must outlive the reader. Before the
 * first frame is read. Without, headers alone are looked at. */
void oplog_reader_set_key(OPLOG_READER *reader, const SECRET *key);

/*
 * oplog_reader_next -- The next data frame: with a key authenticated with all that is before it and
 *     uncompressed; *datap is valid until the next call. Without a key *datap is NULL. *endp at the
 *     end; the summary then says whether it is an open one, which is no error here. A message names
 *     path and offset. STATUS_CORRUPT: changed, cut and joined, in another order, of another archive.
 */
int oplog_reader_next(OPLOG_READER *reader, OPLOG_FRAME *frame, const uint8_t **datap, bool *endp,
  STATUS *status) WTKMS_CHECKED;

/* oplog_reader_summary -- Of what was read so far; the reader's. */
const OPLOG_SUMMARY *oplog_reader_summary(const OPLOG_READER *reader);

/*
 * oplog_reader_back -- Go back to the beginning of the last segment that has a frame, so that only what is
 *     behind it is authenticated: for a writer, which has to know that its own segment is chained to
 *     what is really there. After the end, and before oplog_reader_set_key.
 */
void oplog_reader_back(OPLOG_READER *reader);

/* oplog_reader_chain -- Where the next segment is to be chained. Valid after the end. */
const OPLOG_CHAIN *oplog_reader_chain(const OPLOG_READER *reader);
uint32_t oplog_reader_next_segment(const OPLOG_READER *reader);

/* --- writing */

typedef struct {
    const SETTINGS *settings;
    const uint8_t *parent; /* uuid of the home's keystore, for a new archive; may be NULL */
    KEYRING_OPTIONS keyring;
    bool resume; /* leave out entries that are not after the last one that the archive has */
} OPLOG_SEAL_OPTIONS;

typedef struct {
    bool created;
    uint64_t cut;              /* bytes of an unfinished write that were cut off */
    uint64_t documents, bytes; /* written now */
    uint64_t skipped;          /* left out, see resume */
    bool overlaps;             /* one of those left out was the last one that the archive has */
    uint64_t previous;         /* timestamp of that; 0 when there was none */
    uint64_t first, last;      /* timestamps written now; 0 when there was none */
    uint64_t size;             /* of the archive */
} OPLOG_SEAL_RESULT;

/*
 * oplog_seal -- Append all entries from an open descriptor to an archive, as a segment of its own; make
 *     the archive when there is none. When this returns 0 all is durable. An end that an earlier run left
 *     open, and only that, is cut back to the last whole frame that authenticates. An input that ends
 *     inside of an entry, or is not in order, is an error after all before it was written; the
 *     archive's end then stays open. STATUS_BUSY when another process appends.
 */
int oplog_seal(const char *path, int input_fd, const char *input_name,
  const OPLOG_SEAL_OPTIONS *options, OPLOG_SEAL_RESULT *result, STATUS *status) WTKMS_CHECKED;

#endif
