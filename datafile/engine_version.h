/*
 * datafile/engine_version.h -- Which WiredTiger is this, and where are the methods of its connection?
 *
 * Layer: datafile; used by extension/ when a host loads the module and by `wtkms abi` before an
 * upgrade. Knows no WiredTiger header: WT_CONNECTION is told by version and number of members.
 * Thread-safe.
 */
#ifndef WTKMS_DATAFILE_ENGINE_VERSION_H
#define WTKMS_DATAFILE_ENGINE_VERSION_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    int major, minor, patch;
} ENGINE_VERSION;

/*
 * One row: versions first..last of WiredTiger whose WT_CONNECTION has that many members. Members are
 * counted from 1; get_extension_api is always the last.
 */
typedef struct {
    ENGINE_VERSION first, last;
    unsigned members;
    unsigned get_home;
    unsigned add_encryptor;
    const char *mongodb; /* the releases that carry it, for people */
} ENGINE_LAYOUT;

/*
 * engine_layouts -- The table, ended by a row without members. Two rows of 10.0.0 have 20 members: the
 *     older keeps get_home as member 6, where the newer has is_new.
 */
extern const ENGINE_LAYOUT engine_layouts[];

/*
 * engine_layout_find -- The row of a version with that many members, or NULL. previous, NULL at
 *     first, continues behind a row that was found.
 */
const ENGINE_LAYOUT *engine_layout_find(
  const ENGINE_VERSION *version, unsigned members, const ENGINE_LAYOUT *previous);

/* engine_version_known -- Whether any row has that version. */
bool engine_version_known(const ENGINE_VERSION *version);

/*
 * engine_layout_list -- "3.2.0-3.2.2 with 20 members, ..." for messages. Returns buf.
 */
const char *engine_layout_list(char *buf, size_t size);

/*
 * engine_version_in_file -- Find the version string that every WiredTiger carries ("WiredTiger X.Y.Z:
 *     (") in a program or library. STATUS_NOT_FOUND is not used: a file without one is
 *     STATUS_REFUSED, one with several different ones too, told with all of them. STATUS_IO.
 */
int engine_version_in_file(const char *path, ENGINE_VERSION *version, STATUS *status) WTKMS_CHECKED;

#endif
