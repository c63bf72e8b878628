/*
 * rotation/reencrypt_journal.h -- What makes re-encryption in place survive a kill: how a batch's blocks
 *     change, and the new images of its log records, on disk before any of them is written to its place.
 *
 * Layer: rotation. One file in the home, written by one thread. It holds the last batch; the next one
 * overwrites it once all of the last is in place and durable. So a file that is there after a crash
 * holds a complete batch, which is written to its place again (any of it may be torn), or an
 * incomplete one, of which nothing was begun. It holds what is encrypted only. Of a block there is the
 * change (reencrypt_change.h), so that nothing large is written twice; records share sectors, so
 * they and extent lists are there whole.
 *
 *      0  8  "WTKMSREJ"             of each item, 32 bytes, the path and the image:
 *      8  4  version, 2               0  4  CRC32C, continuing the header's, of all that follows
 *     12  4  items                    4  4  REENCRYPT_KIND
 *     16  8  length of all            8  8  offset in the file
 *     24  8  batch: no two alike     16  4  length of the image
 *     32 16  the keystore's uuid     20  4  length of the path
 *     48 12  0                       24  8  0
 *     60  4  CRC32C of 0 to 59
 */
#ifndef WTKMS_ROTATION_REENCRYPT_JOURNAL_H
#define WTKMS_ROTATION_REENCRYPT_JOURNAL_H

#include "datafile/home.h"
#include "keystore/keystore.h"
#include "rotation/reencrypt_item.h"

#include <sys/uio.h>

#include <stdbool.h>

#define REENCRYPT_JOURNAL_FILE HOME_REENCRYPT_JOURNAL

typedef struct {
    int home_fd; /* not owned */
    int fd;
    uint64_t batch;
    uint8_t uuid[KEYSTORE_UUID_LEN];
} REENCRYPT_JOURNAL;

/*
 * reencrypt_journal_start -- Make the journal of a home that has none. The caller closes or
 *     removes it, after an error too. STATUS_IO, STATUS_INTERNAL.
 */
int reencrypt_journal_start(int home_fd, const uint8_t uuid[KEYSTORE_UUID_LEN],
  REENCRYPT_JOURNAL *journal, STATUS *status) WTKMS_CHECKED;

/*
 * reencrypt_journal_write -- Put the images of a batch into the journal, durably; those that are
 *     untouched, and remains, are left out. STATUS_IO.
 */
int reencrypt_journal_write(REENCRYPT_JOURNAL *journal, const REENCRYPT_ITEM *items, size_t count,
  STATUS *status) WTKMS_CHECKED;

/* reencrypt_journal_close -- Close it and leave it there. Allowed on one with fd -1. */
void reencrypt_journal_close(REENCRYPT_JOURNAL *journal);

/* reencrypt_journal_remove -- Close and remove it, durably: all is in place and durable. STATUS_IO. */
int reencrypt_journal_remove(REENCRYPT_JOURNAL *journal, STATUS *status) WTKMS_CHECKED;

typedef struct {
    bool found;        /* there was a journal */
    bool complete;     /* with a complete batch */
    uint64_t written;  /* items put to their place */
    uint64_t outdated; /* items whose place holds something else by now, or is gone: left alone */
} REENCRYPT_REPLAY;

/* The home that a journal is of, to who replays it. */
typedef struct {
    /* Open a file for reading and writing by a path that was recorded, or say -1 in *fdp. */
    int (*open)(void *context, const char *path, int *fdp, STATUS *status);
    /* A data key by its id. The caller frees *secretp. */
    int (*data_key)(void *context, uint64_t id, SECRET **secretp, STATUS *status);
    void *context;
} REENCRYPT_JOURNAL_HOME;

/*
 * reencrypt_journal_replay -- Put a complete batch to its place, durably, and remove the journal; drop an
 *     incomplete one. The journal is not believed about what is a file of the home, nor about what
 *     is a block. STATUS_REFUSED: it is of another keystore, or another version's; STATUS_CORRUPT,
 *     "reencrypt-journal": it is none; STATUS_BAD_UNIT, "reencrypt-torn": a block is neither old nor
 *     new nor sectors of both; STATUS_NO_KEY: a data key is gone; STATUS_IO, STATUS_NO_MEMORY. After an
 *     error it is still there.
 */
int reencrypt_journal_replay(int home_fd, const uint8_t uuid[KEYSTORE_UUID_LEN],
  const REENCRYPT_JOURNAL_HOME *home, REENCRYPT_REPLAY *replay, STATUS *status) WTKMS_CHECKED;

/* reencrypt_write_vectors -- pwritev until all is written; *offsetp moves behind what was, and the vectors are
 * used up. On failure false and errno. */
bool reencrypt_write_vectors(int fd, struct iovec *vectors, int count, uint64_t *offsetp);

/* reencrypt_write_all -- pwrite until all is written. path is for the message. STATUS_IO. */
int reencrypt_write_all(int fd, const char *path, const void *data, size_t len, uint64_t offset,
  STATUS *status) WTKMS_CHECKED;

#endif
