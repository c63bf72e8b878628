/*
 * rotation/reencrypt_walk.h -- What in a file has to be rewritten. For reencrypt.c only.
 *
 * Layer: rotation, for its own files. One thread walks; findings may come from others.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_WALK_H
#define WTKMS_ROTATION_REENCRYPT_WALK_H

#include "datafile/block_file.h"
#include "rotation/reencrypt.h"
#include "rotation/reencrypt_keys.h"
#include "rotation/reencrypt_pipe.h"

#include <pthread.h>

#define REENCRYPT_HEADS_MAX 64

/* The start of an overwritten block, until it is known what stands behind it. */
typedef struct {
    uint64_t offset, end;
} REENCRYPT_HEAD;

typedef struct {
    const REENCRYPT_OPTIONS *options;
    REENCRYPT_RESULT *result;
    REENCRYPT_KEYS keys;
    REENCRYPT_PIPE *pipe; /* NULL in a plan */
    pthread_mutex_t lock; /* of the findings */
    int finding_error;
    /* Of the file being walked. */
    const REENCRYPT_FILE *file;
    int fd;
    uint32_t allocation;
    uint64_t reported;
    BLOCK block; /* the last, for the metadata in it */
    REENCRYPT_HEAD heads[REENCRYPT_HEADS_MAX];
    size_t head_count;
    REENCRYPT_PLAIN plain;
} REENCRYPT_WALK;

/* reencrypt_walk_file -- Walk an open file: count, add what is due to the pipe, note what cannot be done.
 * The classes of the walkers, keys and pipe. */
int reencrypt_walk_file(
  REENCRYPT_WALK *walk, const REENCRYPT_FILE *file, int fd, STATUS *status) WTKMS_CHECKED;

/* reencrypt_walk_finding -- Note something that stays; remains: the start of a block, else a unit or a file.
 * Thread-safe. */
void reencrypt_walk_finding(REENCRYPT_WALK *walk, const REENCRYPT_FILE *file, uint64_t offset,
  bool remains, const char *what);

/* reencrypt_walk_untouched -- The pipe's callback, with the walk as its context. */
void reencrypt_walk_untouched(void *context, const REENCRYPT_ITEM *item, const STATUS *status);

#endif
