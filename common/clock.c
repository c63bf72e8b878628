/*
 * common/clock.c -- See clock.h.
 */
#include "common/clock.h"

#include <errno.h>
#include <time.h>

int64_t
clock_ms(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int64_t
clock_deadline(int64_t timeout_ms)
{
    int64_t now = clock_ms();

    if (timeout_ms < 0)
        timeout_ms = 0;
    return (timeout_ms > INT64_MAX - now ? INT64_MAX : now + timeout_ms);
}

int64_t
clock_left(int64_t deadline)
{
    int64_t now = clock_ms();

    return (deadline > now ? deadline - now : 0);
}

void
clock_sleep(int64_t ms)
{
    struct timespec left;

    if (ms <= 0)
        return;
    left.tv_sec = (time_t)(ms / 1000);
    left.tv_nsec = (long)(ms % 1000) * 1000000;
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

int64_t
clock_unix_seconds(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return ((int64_t)now.tv_sec);
}

int64_t
clock_unix_ms(void)
{
    struct timespec now = {0, 0};

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}
