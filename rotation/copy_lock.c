/*
 * rotation/copy_lock.c -- See copy_lock.h.
 */
#include "rotation/copy_lock.h"

#include "common/cancel.h"
#include "common/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 50

static int
open_lock(int home_fd, int *fdp, STATUS *status)
{
    struct stat sb;

    *fdp =
      openat(home_fd, COPY_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (*fdp < 0)
        return (status_set_errno(status, errno, "copy-lock", "opening %s", COPY_LOCK_FILE));
    if (fstat(*fdp, &sb) != 0 || !S_ISREG(sb.st_mode)) {
        (void)close(*fdp);
        *fdp = -1;
        return (status_set_errno(status, EINVAL, "copy-lock", "%s", COPY_LOCK_FILE));
    }
    return (0);
}

static int
take(int fd, int operation, int timeout_ms, void (*waiting)(void *context), void *context,
  bool *takenp, STATUS *status)
{
    int64_t deadline = clock_deadline(timeout_ms), left;
    bool told = false;

    for (*takenp = false;;) {
        if (flock(fd, operation | LOCK_NB) == 0) {
            *takenp = true;
            return (0);
        }
        if (errno != EWOULDBLOCK && errno != EINTR)
            return (status_set_errno(status, errno, "copy-lock", "locking %s", COPY_LOCK_FILE));
        if ((left = clock_left(deadline)) == 0)
            return (0);
        if (!told && waiting != NULL)
            waiting(context);
        told = true;
        if (!cancel_sleep(left < POLL_MS ? left : POLL_MS))
            return (0);
    }
}

int
copy_lock_share(int home_fd, int timeout_ms, int *fdp, STATUS *status)
{
    int ret;
    bool taken;

    if ((ret = open_lock(home_fd, fdp, status)) != 0)
        return (status->sys_errno == EROFS ? 0 : ret);
    if ((ret = take(*fdp, LOCK_SH, timeout_ms, NULL, NULL, &taken, status)) == 0 && !taken) {
        (void)status_set(status, STATUS_BUSY, "copy-locked",
          "keys of this home are being taken away by another process");
        ret = status_hint(status, "wait until that is done");
    }
    if (ret != 0) {
        (void)close(*fdp);
        *fdp = -1;
    }
    return (ret);
}

int
copy_lock_alone(int home_fd, int timeout_ms, void (*waiting)(void *context), void *context,
  int *fdp, STATUS *status)
{
    int ret;
    bool taken;

    if ((ret = open_lock(home_fd, fdp, status)) != 0)
        return (ret);
    if ((ret = take(*fdp, LOCK_EX, timeout_ms, waiting, context, &taken, status)) == 0 && !taken) {
        (void)status_set(status, STATUS_BUSY, "copy-running",
          "a copy of this home is being made, and may need the keys that would go");
        ret = status_hint(status, "wait until \"wtkms snapshot create\" is done");
    }
    if (ret != 0) {
        (void)close(*fdp);
        *fdp = -1;
    }
    return (ret);
}
