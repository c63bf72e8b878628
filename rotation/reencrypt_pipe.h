/*
 * rotation/reencrypt_pipe.h -- Batches of items: filled by one thread, rewritten by many, put to disk
 *     by one.
 *
 * Layer: rotation. Three batches of PIPE_BATCH_BYTES go round, so memory is bounded, whatever the
 * sizes of files; a larger item gets a batch of its own while the others wait. Batches reach
 * the disk in the order they were filled: journal, then places, both durable.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_PIPE_H
#define WTKMS_ROTATION_REENCRYPT_PIPE_H

#include "rotation/reencrypt_journal.h"

#define REENCRYPT_BATCH_BYTES ((size_t)12 * 1024 * 1024)
#define REENCRYPT_BATCH_ITEMS 16384

typedef struct reencrypt_pipe REENCRYPT_PIPE;

typedef struct {
    int home_fd;
    unsigned threads;           /* that rewrite */
    uint64_t throttle;          /* bytes a second to the places, 0: as fast as it goes */
    REENCRYPT_JOURNAL *journal; /* started */
    /* Called for an item that does not authenticate, one call at a time, by any thread. */
    void (*untouched)(void *context, const REENCRYPT_ITEM *item, const STATUS *status);
    void *context;
} REENCRYPT_PIPE_OPTIONS;

/* reencrypt_pipe_start -- Start the threads. The caller calls reencrypt_pipe_finish. STATUS_IO,
 * STATUS_NO_MEMORY. */
int reencrypt_pipe_start(
  const REENCRYPT_PIPE_OPTIONS *options, REENCRYPT_PIPE **pipep, STATUS *status) WTKMS_CHECKED;

/*
 * reencrypt_pipe_add -- Copy an item and its image into the batch that is being filled, waiting for room.
 *     What it points to besides must live until the end. An error is that of any thread, and final.
 */
int reencrypt_pipe_add(
  REENCRYPT_PIPE *pipe, const REENCRYPT_ITEM *item, STATUS *status) WTKMS_CHECKED;

typedef struct {
    uint64_t units, bytes;          /* rewritten and in place */
    uint64_t remains, remain_bytes; /* zeroed */
} REENCRYPT_PIPE_RESULT;

/*
 * reencrypt_pipe_finish -- Put what was added to disk, or after an error nothing more; end the threads,
 *     free. NULL is allowed. *result is right after an error too. Returns the first error.
 */
int reencrypt_pipe_finish(
  REENCRYPT_PIPE *pipe, REENCRYPT_PIPE_RESULT *result, STATUS *status) WTKMS_CHECKED;

/* reencrypt_open_file -- Open a file of the home to write to it, if it is the one that was walked.
 * STATUS_IO. */
int reencrypt_open_file(
  int home_fd, const REENCRYPT_FILE *file, int *fdp, STATUS *status) WTKMS_CHECKED;

#endif
