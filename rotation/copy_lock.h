/*
 * rotation/copy_lock.h -- Copies of a home that are being made, and who takes keys away, keep out of each other's way.
 *
 * Layer: rotation. A copy takes files for hours and the keystore last. A data key that was taken away
 * meanwhile, rightly, since nothing in the home is under it any more, would be missing for files that were copied
 * before. So a copy holds flock(2) on HOME/wtkms.copies.lock together with other copies, and a key is taken away
 * by who holds it alone. A process that ends lets go; the file stays, empty.
 */
#ifndef WTKMS_ROTATION_COPY_LOCK_H
#define WTKMS_ROTATION_COPY_LOCK_H

#include "common/status.h"

#define COPY_LOCK_FILE "wtkms.copies.lock"

/*
 * copy_lock_share -- For a copy. Waits while keys are taken away, which is short, up to timeout_ms. On media
 *     that nobody can write *fdp is -1. The caller closes *fdp. STATUS_BUSY, STATUS_IO.
 */
int copy_lock_share(int home_fd, int timeout_ms, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * copy_lock_alone -- For who takes keys away: wait until the copies that are being made are done, up to
 *     timeout_ms. waiting, which may be NULL, is called once when there is something to wait for.
 *     STATUS_BUSY, "copy-running", after that. The caller closes *fdp. STATUS_IO.
 */
int copy_lock_alone(int home_fd, int timeout_ms, void (*waiting)(void *context), void *context,
  int *fdp, STATUS *status) WTKMS_CHECKED;

#endif
