/*
 * snapshot/expire.h -- Remove copies whose date has passed, and nothing else.
 *
 * Layer: snapshot. A copy is removed when all of this holds: it has a manifest of ours that says until when it is
 * kept, and that is over; every file in it is one of the manifest, of the size that it says, or one of our own;
 * no process has it open; its text files are what they were, so nobody has used it as a home since. Anything
 * else is somebody's: then nothing is touched. Memory of libbson: for the command only. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_EXPIRE_H
#define WTKMS_SNAPSHOT_EXPIRE_H

#include "snapshot/manifest.h"

#include <sys/types.h>

/* What was found good to be removed. */
typedef struct {
    MANIFEST *manifest; /* NULL: an earlier removal left nothing but its marker */
    dev_t device;       /* of an archive */
    ino_t inode;
} EXPIRE;

/*
 * expire_check_dir -- Judge a copy in an open directory. path is for messages. STATUS_REFUSED, "expire-kept":
 *     it stays, and why; STATUS_BUSY, "host-running"; STATUS_IO; the classes of manifest_decode. The
 *     caller calls expire_release, also after an error.
 */
int expire_check_dir(
  int fd, const char *path, int64_t now_ms, EXPIRE *expire, STATUS *status) WTKMS_CHECKED;

/*
 * expire_remove_dir -- Remove what is in it; the directory stays. First the marker MANIFEST_UNFINISHED_FILE is
 *     made durable, and it goes last: what an interruption leaves is known as such, and is removed by the next
 *     call. STATUS_IO; STATUS_BUSY, "host-running".
 */
int expire_remove_dir(int fd, const char *path, const EXPIRE *expire, STATUS *status) WTKMS_CHECKED;

/*
 * expire_check_archive -- Judge a tar archive, which is read to its end: one that snapshot create wrote, with its
 *     manifest last and nothing in it that the manifest does not name. Classes as expire_check_dir.
 */
int expire_check_archive(int dir_fd, const char *name, const char *path, int64_t now_ms,
  EXPIRE *expire, STATUS *status) WTKMS_CHECKED;

/* expire_remove_archive -- Remove it, when it is still the file that was judged. STATUS_IO, STATUS_REFUSED. */
int expire_remove_archive(int dir_fd, const char *name, const char *path, const EXPIRE *expire,
  STATUS *status) WTKMS_CHECKED;

void expire_release(EXPIRE *expire);

/* --- for expire*.c */

/* expire_kept -- STATUS_REFUSED, "expire-kept": "PATH stays: ...". */
int expire_kept(STATUS *status, const char *path, const char *fmt, ...) WTKMS_PRINTF(3, 4);

/* expire_check_date -- Whether the manifest lets it go. */
int expire_check_date(
  const MANIFEST *manifest, const char *path, int64_t now_ms, STATUS *status) WTKMS_CHECKED;

#endif
