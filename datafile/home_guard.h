/*
 * datafile/home_guard.h -- Which files must not be opened inside the host. For home*.c only.
 *
 * Layer: datafile, for its own files. POSIX locks belong to a process and a file: the host's lock on
 * WiredTiger.lock is gone when any descriptor of that file is closed anywhere in the host.
 */
#ifndef WTKMS_DATAFILE_HOME_GUARD_H
#define WTKMS_DATAFILE_HOME_GUARD_H

#include "common/status.h"

#include <sys/stat.h>

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    bool has_lock_file;
    dev_t lock_device; /* of the home's WiredTiger.lock */
    ino_t lock_inode;
    ino_t *held; /* inodes on which this process holds a POSIX lock */
    size_t held_count;
} HOME_GUARD;

/*
 * home_guard_start -- Look up WiredTiger.lock of a home and /proc/locks. Where there is no /proc, the
 *     former is all that is guarded. The caller calls home_guard_stop. STATUS_NO_MEMORY.
 */
int home_guard_start(HOME_GUARD *guard, int home_fd, STATUS *status) WTKMS_CHECKED;

/* home_guard_stop -- Free what it holds. Allowed on a zeroed guard. */
void home_guard_stop(HOME_GUARD *guard);

/* home_guard_forbids -- Whether opening a file of that name and state could release a lock. */
bool home_guard_forbids(const HOME_GUARD *guard, const char *name, const struct stat *st);

/*
 * home_guard_open -- Open a regular file for reading, following symbolic links, never waiting, and
 *     only when it is the file that st (from fstatat) was of. -1 and errno.
 */
int home_guard_open(int dir_fd, const char *name, const struct stat *st);

#endif
