/*
 * common/cancel.c -- See cancel.h.
 */
#include "common/cancel.h"

#include "common/clock.h"

#include <stddef.h>

static _Thread_local const atomic_bool *watched;

void
cancel_watch(const atomic_bool *flag)
{
    watched = flag;
}

bool
cancel_asked(void)
{
    return (watched != NULL && atomic_load_explicit(watched, memory_order_acquire));
}

bool
cancel_sleep(int64_t ms)
{
    int64_t deadline = clock_deadline(ms), left;

    while (!cancel_asked() && (left = clock_left(deadline)) > 0)
        clock_sleep(watched == NULL || left < CANCEL_POLL_MS ? left : CANCEL_POLL_MS);
    return (!cancel_asked());
}
