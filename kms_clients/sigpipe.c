/*
 * kms_clients/sigpipe.c -- See sigpipe.h.
 */
#include "kms_clients/sigpipe.h"

#include <errno.h>
#include <time.h>

void
sigpipe_block(SIGPIPE_GUARD *guard)
{
    sigset_t pipe, waiting;

    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    guard->ours = sigpending(&waiting) != 0 || sigismember(&waiting, SIGPIPE) == 0;
    guard->blocked = pthread_sigmask(SIG_BLOCK, &pipe, &guard->old) == 0;
}

void
sigpipe_restore(const SIGPIPE_GUARD *guard)
{
    static const struct timespec now = {0, 0};
    sigset_t pipe;

    if (!guard->blocked)
        return;
    (void)sigemptyset(&pipe);
    (void)sigaddset(&pipe, SIGPIPE);
    if (guard->ours)
        while (sigtimedwait(&pipe, NULL, &now) == -1 && errno == EINTR)
            ;
    (void)pthread_sigmask(SIG_SETMASK, &guard->old, NULL);
}
