/*
 * snapshot/archive_open.h -- Which archives are read: tar, plain or with a filter that is no program.
 *
 * Layer: snapshot. libarchive has filters that start programs by what the first bytes say; an archive is
 * somebody's, so those stay off.
 */
#ifndef WTKMS_SNAPSHOT_ARCHIVE_OPEN_H
#define WTKMS_SNAPSHOT_ARCHIVE_OPEN_H

#include "common/status.h"

struct archive;

/*
 * archive_open -- For reading from a descriptor, which stays the caller's. On success, and when *archivep is not
 *     NULL, which then says what is wrong, the caller calls archive_read_free. STATUS_NO_MEMORY, STATUS_CORRUPT.
 */
int archive_open(int fd, struct archive **archivep, STATUS *status) WTKMS_CHECKED;

#endif
