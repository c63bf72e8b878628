/*
 * datafile/home_guard.c -- Files that must not be opened inside the host. See home_guard.h.
 */
#include "datafile/home_guard.h"

#include "datafile/engine_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
home_guard_start(HOME_GUARD *guard, int home_fd, STATUS *status)
{
    struct stat st;
    ino_t *grown;
    uintmax_t inode;
    FILE *locks;
    char line[256];
    long pid;
    int ret;

    memset(guard, 0, sizeof(*guard));
    if (fstatat(home_fd, ENGINE_LOCK_FILE, &st, 0) == 0) {
        guard->has_lock_file = true;
        guard->lock_device = st.st_dev;
        guard->lock_inode = st.st_ino;
    }
    if ((locks = fopen("/proc/locks", "re")) == NULL)
        return (0);
    ret = 0;
    while (fgets(line, sizeof(line), locks) != NULL) {
        /*
         * "1: POSIX  ADVISORY  WRITE 708 08:01:131 0 EOF". The device is not compared: some file
         * systems give another one to stat. Other processes' locks are not ours to lose.
         */
        if (sscanf(line, "%*s POSIX %*s %*s %ld %*x:%*x:%ju", &pid, &inode) != 2 ||
            pid != (long)getpid())
            continue;
        grown = reallocarray(guard->held, guard->held_count + 1, sizeof(*grown));
        if (grown == NULL) {
            ret = status_set_errno(status, ENOMEM, "no-memory", "cannot hold the list of locks");
            break;
        }
        guard->held = grown;
        guard->held[guard->held_count++] = (ino_t)inode;
    }
    (void)fclose(locks);
    return (ret);
}

void
home_guard_stop(HOME_GUARD *guard)
{
    free(guard->held);
    guard->held = NULL;
    guard->held_count = 0;
}

bool
home_guard_forbids(const HOME_GUARD *guard, const char *name, const struct stat *st)
{
    size_t i;

    if (strcmp(name, ENGINE_LOCK_FILE) == 0)
        return (true);
    if (guard->has_lock_file && st->st_dev == guard->lock_device && st->st_ino == guard->lock_inode)
        return (true);
    for (i = 0; i < guard->held_count; i++)
        if (guard->held[i] == st->st_ino)
            return (true);
    return (false);
}

int
home_guard_open(int dir_fd, const char *name, const struct stat *st)
{
    struct stat now;
    int error, fd;

    /* Not a pipe or a device, unless swapped in this moment: then do not wait on it. */
    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return (-1);
    error = fstat(fd, &now) == 0 ? 0 : errno;
    if (error == 0 && (now.st_dev != st->st_dev || now.st_ino != st->st_ino))
        error = ENOENT; /* the file that was there is gone */
    if (error != 0) {
        (void)close(fd);
        errno = error;
        return (-1);
    }
    return (fd);
}
