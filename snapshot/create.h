/*
 * snapshot/create.h -- Make a copy of a home that can be known, checked and restored.
 *
 * Layer: snapshot; uses keystore, datafile and rotation (which takes keys away, and must wait). The data files
 * first; then, whatever was listed, wtkms.state, the keystore and the mirror, since files that were
 * copied before may be under keys that are in the newest keystore only; the manifest last. See
 * doc/manifest-format.md. Memory of libbson: for the command only. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_CREATE_H
#define WTKMS_SNAPSHOT_CREATE_H

#include "common/log.h"
#include "keystore/settings.h"
#include "snapshot/file_copy.h"
#include "snapshot/manifest.h"

typedef struct {
    const char *home;         /* its path: for messages, and for lists of absolute names */
    const SETTINGS *settings; /* NULL: only for a home without a keystore */
    const LOG *log;           /* warnings; may be NULL */
    MANIFEST_METHOD method;
    char *const
      *files; /* MANIFEST_FILES: what the backup cursor listed, relative to the home or below it */
    size_t file_count;
    const char *destination; /* a directory: new, or empty. NULL: a tar stream */
    int stream_fd;           /* then to here */
    int64_t keep_until;      /* ms; 0: not said */
    const char *program;     /* for the manifest: "wtkms 1.0" */
    uint64_t throttle;       /* bytes a second; 0: none */
    /* May be NULL. total once, before the first byte; progress for each piece. */
    void (*total)(void *context, uint64_t bytes);
    void (*progress)(void *context, uint64_t bytes);
    /* The home is read as its owner, the copy is written as the caller. NULL: they are the same. */
    int (*switch_user)(void *context, bool to_owner, STATUS *status);
    void *context;
} CREATE_OPTIONS;

typedef struct {
    MANIFEST *manifest; /* as it was written */
    uint64_t files, bytes;
    uint64_t cloned; /* files whose blocks are shared */
} CREATE_RESULT;

/*
 * create_copy -- Make the copy. Called, and returns, as the home's owner. With a keystore it is opened
 *     first, through the key service, so that what cannot be opened is not copied for hours. A failure
 *     removes what was made of a directory; a process that is killed leaves MANIFEST_UNFINISHED_FILE in it.
 *     The caller calls create_release, also after an error.
 *     STATUS_BUSY, "host-running": a process has the home open (MANIFEST_STOPPED). STATUS_REFUSED:
 *     "copy-destination", a directory that has something in it or lies in the home; "copy-changed", the home did not stay as it
 *     was; "copy-list", a list that is none of a backup cursor; "copy-no-home", no database; "copy-dangling", a link
 *     to nowhere. STATUS_NO_KEY, "copy-no-keystore": encrypted, and without its keystore. STATUS_IO, and the classes of
 *     keyring_open.
 */
int create_copy(
  int home_fd, const CREATE_OPTIONS *options, CREATE_RESULT *result, STATUS *status) WTKMS_CHECKED;
void create_release(CREATE_RESULT *result);

#endif
