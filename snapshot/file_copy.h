/*
 * snapshot/file_copy.h -- One file into another, or into a stream: holes kept, hashed in the same pass.
 *
 * Layer: snapshot. Knows descriptors, and names for messages; who may read and write what, and in which
 * order, is its callers'. Where the file system can share blocks (FICLONE) nothing is written, and what is hashed is
 * the clone. Memory: one buffer of FILE_COPY_BUFFER bytes, whatever the file's size. A FILE_COPIER
 * is used by one thread.
 */
#ifndef WTKMS_SNAPSHOT_FILE_COPY_H
#define WTKMS_SNAPSHOT_FILE_COPY_H

#include "common/status.h"
#include "crypto/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_COPY_BUFFER ((size_t)1024 * 1024)

typedef struct file_copier FILE_COPIER;

typedef struct {
    uint64_t throttle;                               /* bytes a second, 0: as fast as it goes */
    void (*progress)(void *context, uint64_t bytes); /* may be NULL */
    void *context;
} FILE_COPY_OPTIONS;

typedef struct {
    uint64_t size;              /* bytes, holes included */
    uint8_t sha256[DIGEST_LEN]; /* of them; holes are zeros */
    bool cloned;                /* the file system shares the blocks */
} FILE_COPY_RESULT;

/* file_copier_new -- options may be NULL. The caller calls file_copier_free. STATUS_NO_MEMORY. */
int file_copier_new(
  const FILE_COPY_OPTIONS *options, FILE_COPIER **copierp, STATUS *status) WTKMS_CHECKED;
void file_copier_free(FILE_COPIER *copier);

/*
 * file_copy -- All of from_fd, as long as it is now, into to_fd, which is open for reading and writing and
 *     empty. What is appended meanwhile stays out. Nothing is synced. name is for messages. STATUS_IO;
 *     STATUS_REFUSED, "copy-changed": it became shorter; "interrupted" when cancel_asked().
 */
int file_copy(FILE_COPIER *copier, int from_fd, int to_fd, const char *name,
  FILE_COPY_RESULT *result, STATUS *status) WTKMS_CHECKED;

/*
 * file_copy_pass -- Read exactly size bytes of from_fd and hash them; sink, which may be NULL, is given each piece.
 *     data NULL: a hole. Classes as file_copy, and what sink returned.
 */
typedef int (*FILE_COPY_SINK)(
  void *context, uint64_t offset, const void *data, size_t len, STATUS *status);
int file_copy_pass(FILE_COPIER *copier, int from_fd, const char *name, uint64_t size,
  FILE_COPY_SINK sink, void *context, FILE_COPY_RESULT *result, STATUS *status) WTKMS_CHECKED;

/*
 * file_copy_create -- Make a new file below a directory, and the directories of its path that are missing (0700). No
 *     link is followed at any part, and nothing that exists is opened: STATUS_IO with EEXIST. path has passed
 *     manifest_path_is_safe. *fdp is open for reading and writing; the caller closes it.
 */
int file_copy_create(
  int root_fd, const char *path, mode_t mode, int *fdp, STATUS *status) WTKMS_CHECKED;

/* file_copy_open_parent -- The directory of a path's last part, every part opened without following a link;
 * *namep points into path. The caller closes *fdp. STATUS_IO. */
int file_copy_open_parent(
  int root_fd, const char *path, int *fdp, const char **namep, STATUS *status) WTKMS_CHECKED;

/* file_copy_remove -- Remove a file, and the directories of its path that are empty then, following no link. What is
 * gone already is no error. STATUS_IO. */
int file_copy_remove(int root_fd, const char *path, STATUS *status) WTKMS_CHECKED;

/* file_copy_sync_tree -- fsync a directory and all directories below it; links are not followed. STATUS_IO. */
int file_copy_sync_tree(int root_fd, STATUS *status) WTKMS_CHECKED;

#endif
