/*
 * datafile/engine_lock.c -- WiredTiger.lock. See engine_lock.h.
 */
#include "datafile/engine_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int
failed(const char *doing, const char *home, STATUS *status)
{
    return (status_set_errno(status, errno, "lock-file", "the engine's lock: %s %s%s%s", doing,
      home == NULL ? "" : home, home == NULL ? "" : "/", ENGINE_LOCK_FILE));
}

int
engine_lock_look(int home_fd, const char *home, bool *heldp, pid_t *pidp, STATUS *status)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd, ret = 0;

    *heldp = false;
    if (pidp != NULL)
        *pidp = 0;
    fd = openat(home_fd, ENGINE_LOCK_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return (errno == ENOENT ? 0 : failed("opening", home, status));
    if (fcntl(fd, F_GETLK, &lock) != 0)
        ret = failed("looking at", home, status);
    else if (lock.l_type != F_UNLCK) {
        *heldp = true;
        if (pidp != NULL && lock.l_pid > 0)
            *pidp = lock.l_pid;
    }
    (void)close(fd);
    return (ret);
}

int
engine_lock_take(int home_fd, const char *home, mode_t mode, int *fdp, STATUS *status)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    int ret = 0;

    *fdp = openat(
      home_fd, ENGINE_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, mode);
    if (*fdp < 0)
        return (failed("opening", home, status));
    if (fcntl(*fdp, F_SETLK, &lock) == 0)
        return (0);
    if (errno != EACCES && errno != EAGAIN)
        ret = failed("locking", home, status);
    (void)close(*fdp);
    *fdp = -1;
    return (ret);
}
