/*
 * keystore/keystore_file.h -- Where a keystore lies: its file, lock, copies, and the mirror.
 *
 * Layer: keystore, for its own files. Knows no keys; what it is given to write was sealed and checked
 * by keyring.c. Order of a write: the keystore (new, rename), each copy, the mirror, each durable
 * before the next, so that whatever a crash leaves, the keystore is the newest of them.
 *
 * A KEYSTORE_FILE is used by one thread at a time.
 */
#ifndef WTKMS_KEYSTORE_KEYSTORE_FILE_H
#define WTKMS_KEYSTORE_KEYSTORE_FILE_H

#include "common/log.h"
#include "keystore/keystore.h"
#include "keystore/settings.h"

#include <sys/stat.h>

typedef struct keystore_file KEYSTORE_FILE;

/* Which version of the file was read: cheap to compare. */
typedef struct {
    bool is_set;
    struct stat sb;
} KEYSTORE_STAMP;

/* A keystore as it is to stand everywhere. The parts for the mirror are encoded from the model. */
typedef struct {
    const KEYSTORE *keystore;
    const KEYSTORE_SEAL_KEY *seal_keys;
    size_t seal_key_count;
    const uint8_t *data;
    size_t len;
} KEYSTORE_IMAGE;

/* keystore_file_open -- home_fd is duplicated; settings may be NULL, else they must outlive it. STATUS_IO. */
int keystore_file_open(
  int home_fd, const SETTINGS *settings, KEYSTORE_FILE **filep, STATUS *status) WTKMS_CHECKED;
void keystore_file_close(KEYSTORE_FILE *file);

/* keystore_file_path -- For messages. */
const char *keystore_file_path(const KEYSTORE_FILE *file);

/* keystore_file_lock -- Lock against other writers; the caller closes *fdp. STATUS_BUSY, STATUS_IO. */
int keystore_file_lock(KEYSTORE_FILE *file, int timeout_ms, int *fdp, STATUS *status) WTKMS_CHECKED;

/* keystore_file_read -- The bytes of the file; *foundp false when there is none. stamp may be NULL. The caller
 * frees *datap. */
int keystore_file_read(KEYSTORE_FILE *file, bool *foundp, uint8_t **datap, size_t *lenp,
  KEYSTORE_STAMP *stamp, STATUS *status) WTKMS_CHECKED;

/* keystore_file_has_seal -- Whether the file ends in this seal, and so is what was read: quicker than to read it. */
bool keystore_file_has_seal(KEYSTORE_FILE *file, const uint8_t seal[MAC_LEN]);

/* keystore_file_is_changed -- Whether the file is another one than when it was read, or gone. */
bool keystore_file_is_changed(KEYSTORE_FILE *file, const KEYSTORE_STAMP *stamp);

/* keystore_file_stamp -- The stamp of the file as it is now; for who just wrote it and holds the lock. */
KEYSTORE_STAMP keystore_file_stamp(KEYSTORE_FILE *file);

/* keystore_file_read_mirror -- The copy in the mirror; *foundp false when there is none. */
int keystore_file_read_mirror(int home_fd, bool *foundp, bool *partialp, uint8_t **datap,
  size_t *lenp, STATUS *status) WTKMS_CHECKED;

/*
 * keystore_file_write -- Write everything. Before the first byte, all that can be refused is: a copy's
 *     directory that cannot be written, a copy or a mirror of another keystore or of a later
 *     generation, no room in the mirror. The lock is held. keep_prev: keep the old file as .prev.
 */
int keystore_file_write(
  KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, bool keep_prev, STATUS *status) WTKMS_CHECKED;

/*
 * keystore_file_is_in_step -- Whether every copy and the mirror are as the image. What cannot be read
 *     or is refused is not in step.
 */
bool keystore_file_is_in_step(KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image);

/*
 * keystore_file_repair -- Bring copies and mirror that are behind in step with the image. The lock is
 *     held and the file is the image. All are tried; the first error is returned.
 */
int keystore_file_repair(
  KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, STATUS *status) WTKMS_CHECKED;

/* keystore_file_write_mirror -- Write the mirror alone, with these engine lines (NULL keeps those there). */
int keystore_file_write_mirror(KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image,
  const char *engine_lines, STATUS *status) WTKMS_CHECKED;

/* keystore_file_keep_damaged -- Before a restore overwrites a file that cannot be read: link it to
 * NAME.damaged, replacing an older one of that name. */
int keystore_file_keep_damaged(KEYSTORE_FILE *file, STATUS *status) WTKMS_CHECKED;

#endif
