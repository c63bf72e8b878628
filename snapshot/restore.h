/*
 * snapshot/restore.h -- A copy's files brought into an empty directory, which is no home until the end.
 *
 * Layer: snapshot. Knows files; keys are its caller's. While it lasts
 *   - MANIFEST_UNFINISHED_FILE stands in the directory and says how far it came: the module and wtkms
 *     refuse the directory;
 *   - WiredTiger.config has a line that no engine accepts, so an engine without the module refuses too;
 *   - what says where the data is (WiredTiger.turtle and its like), the copy's keystore, mirror and
 *     manifest lie under names that start with RESTORE_PREFIX.
 * What was interrupted is not trusted: each file that is there is compared with the copy's. Memory of
 * libbson. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_RESTORE_H
#define WTKMS_SNAPSHOT_RESTORE_H

#include "crypto/digest.h"
#include "keystore/keystore.h"
#include "snapshot/file_copy.h"
#include "snapshot/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESTORE_PREFIX "wtkms.restore-"
#define RESTORE_UNPACKED RESTORE_PREFIX "unpacked" /* members of an archive, until all are there */
#define RESTORE_DEPTH_MAX 32

/* --- how far it came */

typedef enum {
    RESTORE_COPYING, /* files may be missing or half written */
    RESTORE_COPIED,  /* all are there, and authenticated */
    RESTORE_ROTATED  /* and are being re-encrypted */
} RESTORE_PHASE;

typedef struct {
    RESTORE_PHASE phase;
    uint8_t source[DIGEST_LEN]; /* of its name: the same command goes on */
    bool reencrypt;
    uint8_t parent[KEYSTORE_UUID_LEN]; /* from RESTORE_COPIED on: the copy's keystore */
} RESTORE_STATE;

/* restore_state_read -- *foundp false: nothing unfinished is there. STATUS_REFUSED, "restore-other": it is
 * another command's, or not understood. STATUS_IO. */
int restore_state_read(
  int home_fd, bool *foundp, RESTORE_STATE *state, STATUS *status) WTKMS_CHECKED;

/* restore_state_write -- Durably. source is for people who look into the file. */
int restore_state_write(
  int home_fd, const RESTORE_STATE *state, const char *source, STATUS *status) WTKMS_CHECKED;

/* restore_is_empty -- Whether a directory has nothing but a file system's lost+found, and what restore_block
 * wrote before there was a marker; else *namep, for the caller to bson_free, is one that it has. */
int restore_is_empty(int home_fd, bool *emptyp, char **namep, STATUS *status) WTKMS_CHECKED;

/*
 * restore_block -- Write WiredTiger.config so that no engine opens: the line, and the copy's own lines without
 *     ours (text NULL: none). The first one comes before the marker, so that no engine ever opens what
 *     has one. restore_unblock makes of such a text, which may have a mirror by now, the
 *     final one, with these engine lines ("" none). The caller frees *textp with free(). STATUS_REFUSED: what
 *     mirror_render says; STATUS_CORRUPT, STATUS_IO.
 */
int restore_block(int home_fd, const char *text, size_t len, STATUS *status) WTKMS_CHECKED;
bool restore_is_blocked(const char *text, size_t len);
int restore_unblock(const char *text, size_t len, const char *engine_lines, char **textp,
  size_t *lenp, STATUS *status) WTKMS_CHECKED;

/* --- files */

typedef struct {
    /* A copy may be readable to the operator alone, and files are made by the home's owner: called
     * before each change from one to the other. NULL: one user is both. */
    int (*as_reader)(void *context, STATUS *status);
    int (*as_owner)(void *context, STATUS *status);
    void *context;
    FILE_COPIER *copier;
} RESTORE_HOW;

typedef struct {
    uint64_t files, bytes; /* that the copy has and a restore takes */
    uint64_t kept;         /* files that an interrupted run had brought whole */
} RESTORE_COUNT;

/* restore_target -- Where a file of a copy is put: its own path, or one with RESTORE_PREFIX. NULL: it is not
 * taken, as the engine's lock. The caller calls bson_free. */
char *restore_target(const char *path);

/* restore_original -- The path in the copy of a file that restore_target put there. */
const char *restore_original(const char *path);

/*
 * restore_measure, restore_tree -- Count what a directory has; and bring it. from_name is for messages. Links
 *     inside the copy are followed, those that lead out of it are refused, as are files that cannot be
 *     read and the remains of a re-encryption. STATUS_REFUSED, STATUS_IO.
 */
int restore_measure(
  int from_fd, const char *from_name, RESTORE_COUNT *count, STATUS *status) WTKMS_CHECKED;
int restore_tree(int from_fd, const char *from_name, int home_fd, const RESTORE_HOW *how,
  RESTORE_COUNT *count, STATUS *status) WTKMS_CHECKED;

/* restore_is_root -- Whether a directory has what tells an engine where its data is. */
bool restore_is_root(int fd);

/* restore_place, restore_clear -- Put in place what says where the data is, and sync; remove the copy's keystore,
 * mirror and manifest, and the marker last. What was done before is passed over. */
int restore_place(int home_fd, STATUS *status) WTKMS_CHECKED;
int restore_clear(int home_fd, STATUS *status) WTKMS_CHECKED;

/* restore_undo -- Remove all that an unfinished restore put there, the marker last. */
int restore_undo(int home_fd, STATUS *status) WTKMS_CHECKED;

/* --- archives: restore_archive.c */

typedef struct {
    uint8_t *keystore; /* bytes of the topmost wtkms.keystore, or NULL; freed with bson_free */
    size_t keystore_len;
    uint8_t *config; /* and of WiredTiger.config */
    size_t config_len;
    RESTORE_COUNT count;
} RESTORE_PEEK;

/*
 * restore_peek -- Read through an archive for its keys; nothing is written. The descriptor is at its start
 *     before and after. The caller calls restore_peek_release. STATUS_CORRUPT, "restore-archive";
 *     STATUS_REFUSED, "restore-member": a path that leads out, a link.
 */
int restore_peek(int fd, const char *name, RESTORE_PEEK *peek, STATUS *status) WTKMS_CHECKED;
void restore_peek_release(RESTORE_PEEK *peek);

/*
 * restore_unpack -- Unpack an archive or stream below RESTORE_UNPACKED, made anew, and move the one copy that is in
 *     it to its places. Only regular files and hard links to them are made, through descriptors that
 *     follow no link. As restore_peek; "restore-several": it has more than one copy.
 */
int restore_unpack(int fd, const char *name, int home_fd, const RESTORE_HOW *how,
  RESTORE_COUNT *count, STATUS *status) WTKMS_CHECKED;

/* restore_move -- restore_tree for a directory in the home's own file system: files are renamed. */
int restore_move(int from_fd, int home_fd, const RESTORE_HOW *how, RESTORE_COUNT *count,
  STATUS *status) WTKMS_CHECKED;

/* restore_remove_tree -- Remove a directory and all below it; links are removed, not followed. None: no error. */
int restore_remove_tree(int dir_fd, const char *name, STATUS *status) WTKMS_CHECKED;

#endif
