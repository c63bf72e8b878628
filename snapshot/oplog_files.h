/*
 * snapshot/oplog_files.h -- Many sealed oplog archives: found below paths, judged, put in order.
 *
 * Layer: snapshot. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_OPLOG_FILES_H
#define WTKMS_SNAPSHOT_OPLOG_FILES_H

#include "snapshot/oplog_archive.h"
#include "snapshot/oplog_entries.h"
#include "snapshot/oplog_gaps.h"

typedef struct {
    char *path;
    KEYSTORE *keystore; /* of its head; NULL when that cannot be read */
    OPLOG_SUMMARY summary;
    bool is_verified; /* every frame was authenticated */
    STATUS status;    /* what is wrong with it; an open end is not */
    uint64_t gap;     /* timestamp of the last entry before a gap before this one, else 0 */
    OPLOG_GAPS *gaps; /* inside of it; NULL: not looked for. Freed by oplog_files_release */
} OPLOG_FILE;

typedef struct {
    OPLOG_FILE *files;
    size_t count;
    size_t others; /* files below the paths that are no archives */
} OPLOG_FILES;

/*
 * oplog_files_find -- All archives at and below the paths, by their first bytes; links below a path are
 *     not followed. Headers are read, without a key. A path that is named and is no archive, or a directory
 *     that cannot be read, is an error; what is wrong with one archive is in its status. In the order of
 *     node and first timestamp, with gaps marked. The caller calls oplog_files_release.
 */
int oplog_files_find(
  const char *const *paths, size_t count, OPLOG_FILES *files, STATUS *status) WTKMS_CHECKED;
void oplog_files_release(OPLOG_FILES *files);

/* Called with each entry of an archive; what it returns ends the reading. */
typedef int (*OPLOG_TAKE)(void *context, const OPLOG_ENTRY *entry, STATUS *status);

/*
 * oplog_files_read -- Authenticate a whole archive and hand out its entries (take may be NULL: they are
 *     checked all the same). An open end is no error here: the summary has it.
 */
int oplog_files_read(OPLOG_FILE *file, const SETTINGS *settings, const KEYRING_OPTIONS *options,
  OPLOG_TAKE take, void *context, STATUS *status) WTKMS_CHECKED;

/* oplog_files_refuse_open_end -- STATUS_CORRUPT "oplog-open-end" when the archive has one. */
int oplog_files_refuse_open_end(const OPLOG_FILE *file, STATUS *status) WTKMS_CHECKED;

#endif
