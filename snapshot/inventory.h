/*
 * snapshot/inventory.h -- The copies of homes under some paths, and the files that say so elsewhere.
 *
 * Layer: snapshot. Finds copies in directories and in tar archives (plain, gzip, zstd and what else
 * libarchive reads), which are never unpacked: members are read in passing and no name in an archive is
 * ever used as a path. Nothing is skipped silently: what could not be read is a line in skipped.
 * Memory of libbson, bounded by the number of files. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_INVENTORY_H
#define WTKMS_SNAPSHOT_INVENTORY_H

#include "common/log.h"
#include "keystore/settings.h"
#include "snapshot/copy.h"
#include "snapshot/copy_file.h"

#include <bson/bson.h>

#include <stdio.h>

#define INVENTORY_DEPTH_MAX 64
#define INVENTORY_FILES_MAX (4u * 1024 * 1024)
#define INVENTORY_VERSION 1

typedef struct {
    char *host;
    char *path;
    int64_t time; /* ms, when it was searched */
} INVENTORY_PLACE;

typedef struct {
    INVENTORY_PLACE *places; /* the scope of every answer */
    size_t place_count;
    COPY *copies;
    size_t count, room;
    char **skipped; /* one line each */
    size_t skipped_count;
    KEYSTORE **keystores; /* of the copies */
    size_t keystore_count;
} INVENTORY;

/*
 * inventory_scan -- Search one path, a directory, an archive, or "-" for an archive on standard input, and append
 *     what is found. STATUS_IO when the path itself cannot be read, STATUS_CORRUPT when it is a file
 *     and no archive, STATUS_REFUSED, "inventory-too-large". The caller calls inventory_release, also
 *     after an error.
 */
int inventory_scan(INVENTORY *inventory, const char *path, STATUS *status) WTKMS_CHECKED;
void inventory_release(INVENTORY *inventory);

/* inventory_is_unjudged -- Whether anything could not be judged. */
bool inventory_is_unjudged(const INVENTORY *inventory);

/* inventory_skip -- Append a line to skipped. */
void inventory_skip(INVENTORY *inventory, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/*
 * inventory_check -- Ask the key services of the recipients that settings name and a copy records; others
 *     are never asked, what several copies of a home have in common is asked once, and a service that
 *     was not reached is not waited for again. Only copies that were scanned by this process. log may
 *     be NULL. STATUS_NO_MEMORY.
 */
int inventory_check(
  INVENTORY *inventory, const SETTINGS *settings, const LOG *log, STATUS *status) WTKMS_CHECKED;

/* inventory_write -- Append all of it to a document, as doc/inventory-format.md has it. */
void inventory_write(const INVENTORY *inventory, bson_t *json);

/*
 * inventory_read -- Append what a file of inventory_write says; of a copy that is there already, same
 *     host and path, the one that was searched later stays. name is for messages. STATUS_CORRUPT;
 *     STATUS_REFUSED for a newer version.
 */
int inventory_read(INVENTORY *inventory, const uint8_t *text, size_t len, const char *name,
  STATUS *status) WTKMS_CHECKED;

/* What one copy has to do with a customer key. */
typedef enum {
    KEY_NEED_NONE,
    KEY_NEED_ONE_OF, /* it opens it; every scope has another recipient too */
    KEY_NEED_ONLY,   /* without it some scope cannot be opened */
    KEY_NEED_UNJUDGED
} KEY_NEED;

/* key_need_matches -- Whether a recorded identifier is of the key that a user names: the same, or a version of it. */
bool key_need_matches(const char *recorded, const char *named);

/* key_need -- Of one copy. *othersp is a text that names the recipients that would still open it, or
 * NULL; the caller frees it with bson_free. othersp may be NULL. */
KEY_NEED key_need(const COPY *copy, const char *key_id, char **othersp);

/* key_need_access -- What the key service answered for the key on this copy, the worst of it; NULL: not asked. The
 * copy's. */
const char *key_need_access(const COPY *copy, const char *key_id);

/* key_need_all -- All customer keys of an inventory, sorted, each once; the caller frees the array and each
 * with bson_free. */
size_t key_need_all(const INVENTORY *inventory, char ***keysp);

typedef struct {
    size_t needed, only, unjudged; /* copies; only is a part of needed */
    int64_t free_after; /* ms: the latest retention of those that need it; 0: not known */
} KEY_NEED_SUMMARY;

/* key_need_summarize -- Over all copies and all that was skipped. */
void key_need_summarize(const INVENTORY *inventory, const char *key_id, KEY_NEED_SUMMARY *summary);

/* report_html_write -- One page that needs nothing else: sortable, with a summary by key. */
void report_html_write(const INVENTORY *inventory, FILE *out);

/* For the files of this folder. */

/* inventory_group -- Make rows of the files of a container. */
void inventory_group(INVENTORY *inventory, COPY_CONTAINER *container);

/* tree_scan -- Read a directory. archive_scan -- Read an archive from a descriptor, which stays the caller's;
 * *is_archivep false: it is none. Both as inventory_scan. */
int tree_scan(
  INVENTORY *inventory, int dir_fd, COPY_CONTAINER *container, STATUS *status) WTKMS_CHECKED;
int archive_scan(
  INVENTORY *inventory, int fd, const char *path, bool *is_archivep, STATUS *status) WTKMS_CHECKED;

/* inventory_host -- This machine's name; static storage. */
const char *inventory_host(void);

/* inventory_copy -- Append an empty row. */
COPY *inventory_copy(INVENTORY *inventory);

/* inventory_place -- Append to the scope. */
void inventory_place(INVENTORY *inventory, const char *host, const char *path, int64_t time);

#endif
