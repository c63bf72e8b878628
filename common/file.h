/*
 * common/file.h -- Files: bounded reads, secret files' permissions, atomic replacement.
 *
 * Layer: common. Knows nothing of what the files hold. All paths are taken relative to a directory
 * descriptor, so that a directory renamed or replaced meanwhile does not redirect a write.
 * Thread-safe: no shared state.
 */
#ifndef WTKMS_COMMON_FILE_H
#define WTKMS_COMMON_FILE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * file_open_dir -- Open a directory for use as dirfd. The caller closes *fdp. STATUS_IO.
 */
int file_open_dir(const char *path, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * file_read -- Read a whole regular file of at most max bytes, refusing symbolic links when nofollow
 *     is set. A NUL follows the *lenp bytes. *foundp, when not NULL, turns "no such file" into
 *     success with *foundp false. The caller frees *bufp. STATUS_IO, STATUS_CORRUPT (over max).
 */
int file_read(int dirfd, const char *path, size_t max, bool nofollow, bool *foundp, uint8_t **bufp,
  size_t *lenp, STATUS *status) WTKMS_CHECKED;

/*
 * file_check_secret -- Refuse an open descriptor of a secret file by PostgreSQL's rule: a regular
 *     file, at most 0600 when owned by the effective user, at most 0640 when owned by root, any
 *     other owner refused. STATUS_CONFIG; path is for the message.
 */
int file_check_secret(int fd, const char *path, STATUS *status) WTKMS_CHECKED;

/*
 * file_replace -- Replace dirfd/name atomically and durably: write dirfd/name.new (O_EXCL after
 *     removing a stale one), fsync, link the old file as dirfd/name.prev when keep_prev is set,
 *     rename, fsync the directory. Mode, owner and SELinux label (xattrs security.selinux) of the
 *     old file are kept; a first file gets mode. Never follows a symbolic link. On failure the old
 *     file is as it was and name.new is removed. STATUS_IO.
 *     Note: once the rename happened an error of the directory's fsync is returned all the same; the
 *     caller must then treat the new content as not durable.
 */
int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
  bool keep_prev, STATUS *status) WTKMS_CHECKED;

/*
 * file_lock -- Take an exclusive flock(2) on dirfd/name, made with mode 0600 when missing; wait for
 *     it up to timeout_ms. The caller closes *fdp to release it. STATUS_BUSY after the timeout.
 */
int file_lock(int dirfd, const char *name, int timeout_ms, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * file_split_path -- Split an absolute or relative path into its directory (opened) and last part
 *     (a pointer into path). The caller closes *dirfdp. STATUS_IO, STATUS_CONFIG (no last part).
 */
int file_split_path(const char *path, int *dirfdp, const char **namep, STATUS *status) WTKMS_CHECKED;

#endif
