/*
 * snapshot/copy_file.h -- One file under the paths that are searched, and what it tells; for the files of snapshot/.
 *
 * Layer: snapshot. A file on disk or a member of an archive becomes a COPY_FILE by its name and its
 * first bytes; what it means for a copy is copy.c's. Memory of libbson (bson_malloc), which ends the
 * process when there is none: this folder is for the command only.
 */
#ifndef WTKMS_SNAPSHOT_COPY_FILE_H
#define WTKMS_SNAPSHOT_COPY_FILE_H

#include "keystore/keystore.h"
#include "keystore/state_file.h"
#include "snapshot/manifest.h"
#include "snapshot/sample.h"

#include <bson/bson.h>

typedef enum {
    COPY_FILE_OTHER,
    COPY_FILE_BLOCKS,
    COPY_FILE_LOG,
    COPY_FILE_TURTLE,          /* WiredTiger.turtle */
    COPY_FILE_BACKUP_METADATA, /* WiredTiger.backup and its like */
    COPY_FILE_ENGINE,          /* WiredTiger, WiredTiger.basecfg: a home, data or not */
    COPY_FILE_CONFIG,          /* WiredTiger.config: the mirror */
    COPY_FILE_KEYSTORE,
    COPY_FILE_STATE,
    COPY_FILE_MANIFEST, /* what a copy of ours consists of */
    COPY_FILE_UNFINISHED, /* the journal of a re-encryption; a copy or restore that was not finished */
    COPY_FILE_OPLOG,      /* a sealed oplog archive: a row of its own */
    COPY_FILE_LOCKED,     /* WiredTiger.lock, which a process holds: a live home */
    COPY_FILE_TORN,       /* named as a table and no block file */
    COPY_FILE_UNREADABLE /* problem says why; directories too */
} COPY_FILE_KIND;

typedef struct {
    char *path;  /* below the container, bytes as they are */
    size_t name; /* where its last part starts */
    COPY_FILE_KIND kind;
    bool is_metadata; /* WiredTiger.wt */
    bool expiring;    /* the marker of a removal that was interrupted */
    bool sampled;     /* not all of it was read */
    uint64_t size;
    int64_t modified;          /* ms */
    SAMPLE *sample;            /* of blocks and logs */
    KEYSTORE *keystore;        /* of a keystore or mirror that could be parsed */
    bool partial;              /* the mirror's is a part */
    STATE_FILE_CONTENT *state; /* of wtkms.state */
    MANIFEST *manifest;        /* of one that could be parsed */
    int64_t checkpoint;        /* ms, of turtle and backup's metadata */
    size_t plain_tables;       /* by the backup's metadata: encryption=(name=none) */
    char *problem;             /* what is wrong with it, or NULL */
    char *link;                /* of a hard link in an archive: its target's path, or NULL */
} COPY_FILE;

/* A directory tree or an archive, as it was read. */
typedef struct {
    char *path;
    bool is_archive;
    COPY_FILE *files;
    size_t count, room;
} COPY_CONTAINER;

/* copy_file_kind -- By name alone, in any directory; *limitp is how many bytes of the content are wanted.
 * COPY_FILE_OTHER: the first bytes tell. */
COPY_FILE_KIND copy_file_kind(const char *name, size_t *limitp);

/* copy_file_is_root -- Whether a directory with such a file is a copy of its own. */
bool copy_file_is_root(const COPY_FILE *file);

/* copy_file_add -- Append a file; path is copied. The result is good until the next call. */
COPY_FILE *copy_file_add(
  COPY_CONTAINER *container, const char *path, uint64_t size, int64_t modified);

/*
 * copy_file_content -- Tell from the first len bytes of a file what it is and says; whole: there are no
 *     more. Damage is a problem of the file, not an error. STATUS_IO, STATUS_NO_MEMORY.
 */
int copy_file_content(COPY_FILE *file, COPY_FILE_KIND by_name, const uint8_t *data, size_t len,
  bool whole, STATUS *status) WTKMS_CHECKED;

/* copy_file_problem -- Say what is wrong; the first stays. */
void copy_file_problem(COPY_FILE *file, const char *fmt, ...) WTKMS_PRINTF(2, 3);

void copy_container_release(COPY_CONTAINER *container);

#endif
