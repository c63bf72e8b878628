/*
 * datafile/engine_lock.h -- WiredTiger.lock: whether an engine has a home open, and keeping one from starting.
 *
 * Layer: datafile. For programs beside the host, never inside of it: a POSIX lock is the process's, and
 * closing any descriptor of the file gives it up. Not for use by two threads on one home.
 */
#ifndef WTKMS_DATAFILE_ENGINE_LOCK_H
#define WTKMS_DATAFILE_ENGINE_LOCK_H

#include "common/status.h"

#include <stdbool.h>
#include <sys/types.h>

#define ENGINE_LOCK_FILE "WiredTiger.lock"

/*
 * engine_lock_look -- *heldp: a process has the home open; *pidp, may be NULL, is that process, or 0 when the
 *     system does not say. No file: nobody. home, for messages, is its path. STATUS_IO, "lock-file".
 */
int engine_lock_look(
  int home_fd, const char *home, bool *heldp, pid_t *pidp, STATUS *status) WTKMS_CHECKED;

/*
 * engine_lock_take -- As the engine does it: a lock on the first byte of the file, which is made with mode when
 *     missing. home NULL: not in messages. *fdp holds it until the caller closes it; -1, without an error, when another process has
 *     it. STATUS_IO, "lock-file".
 */
int engine_lock_take(
  int home_fd, const char *home, mode_t mode, int *fdp, STATUS *status) WTKMS_CHECKED;

#endif
