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

#include <dirent.h>
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
 * file_open_read -- Open a regular file for reading; nofollow and foundp as for file_read. Without
 *     one *fdp is -1. For secrets, which are checked on the descriptor and read into memory of their
 *     own. The caller closes *fdp. STATUS_IO.
 */
int file_open_read(
  int dirfd, const char *path, bool nofollow, bool *foundp, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * file_read_into -- Read from an open descriptor until the end of the file or until buf is full:
 *     then *fullp is true and the file may have more. path is for the message. STATUS_IO.
 */
int file_read_into(int fd, const char *path, void *buf, size_t size, size_t *lenp, bool *fullp,
  STATUS *status) WTKMS_CHECKED;

/*
 * file_write_at -- Write all of it at an offset, going on after signals and short writes. False: errno says
 *     why, and a part may be written.
 */
bool file_write_at(int fd, const void *data, size_t len, uint64_t offset) WTKMS_CHECKED;

/*
 * file_list -- A stream of an open directory's names, with a descriptor and a position of its own. The caller
 *     calls closedir. NULL: errno says why.
 */
DIR *file_list(int dirfd) WTKMS_CHECKED;

/*
 * file_check_secret -- Refuse an open descriptor of a secret file by PostgreSQL's rule: a regular
 *     file, at most 0600 when owned by the effective user, at most 0640 when owned by root, any
 *     other owner refused. Root's own files are held to the second. The owner's own bits do not
 *     count. STATUS_CONFIG; path is for the message.
 */
int file_check_secret(int fd, const char *path, STATUS *status) WTKMS_CHECKED;

/*
 * file_replace -- Replace dirfd/name atomically and durably: write dirfd/name.new (O_EXCL after
 *     removing a stale one), fsync, link (or copy) the old file as dirfd/name.prev when keep_prev is
 *     set, rename, fsync the directory. name is one part, without '/'; dirfd is from file_open_dir.
 *     Mode, owner and SELinux label (xattr security.selinux) of the old file are kept. A first file
 *     gets mode whatever the umask and, when root makes it, the owner of the directory. Only root
 *     can keep another owner; a group that cannot be kept loses its permission bits. Never follows
 *     a symbolic link, and refuses to replace one. On failure the old file is as it was and name.new
 *     is removed. STATUS_IO. Two callers at once must be kept apart by file_lock.
 *     Note: once the rename happened an error of the directory's fsync is returned all the same; the
 *     caller must then treat the new content as not durable.
 */
int file_replace(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
  bool keep_prev, STATUS *status) WTKMS_CHECKED;

/*
 * file_create -- Write a new file durably, mode whatever the umask, never over an existing name: that
 *     is STATUS_REFUSED, id "file-exists". Owner as for file_replace. On failure nothing is left; a
 *     crash may leave a part of the file. STATUS_IO.
 */
int file_create(int dirfd, const char *name, const void *data, size_t len, mode_t mode,
  STATUS *status) WTKMS_CHECKED;

/*
 * file_lock -- Take an exclusive flock(2) on dirfd/name, made with mode 0600 when missing (for the
 *     directory's owner when root makes it); wait for it up to timeout_ms, 0 tries once. The caller
 *     closes *fdp to release it; the file is never removed. STATUS_BUSY after the timeout, STATUS_IO
 *     (sys_errno EROFS on read-only media).
 */
int file_lock(int dirfd, const char *name, int timeout_ms, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * file_split_path -- Split an absolute or relative path into its directory (opened) and last part
 *     (a pointer into path). The caller closes *dirfdp. STATUS_IO, STATUS_CONFIG (no last part).
 */
int file_split_path(
  const char *path, int *dirfdp, const char **namep, STATUS *status) WTKMS_CHECKED;

#endif
