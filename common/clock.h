/*
 * common/clock.h -- Time that only goes forward, deadlines, and the time of day.
 *
 * Layer: common. Thread-safe.
 */
#ifndef WTKMS_COMMON_CLOCK_H
#define WTKMS_COMMON_CLOCK_H

#include <stdint.h>

/* clock_ms -- Milliseconds of a clock that never goes back and goes on while the machine sleeps
 * (CLOCK_BOOTTIME). Its zero means nothing. */
int64_t clock_ms(void);

/* clock_deadline -- The moment, in clock_ms, that is so many milliseconds from now; saturates. */
int64_t clock_deadline(int64_t timeout_ms);

/* clock_left -- Milliseconds until a deadline, 0 when it has passed. */
int64_t clock_left(int64_t deadline);

/* clock_sleep -- Sleep so many milliseconds, signals notwithstanding. */
void clock_sleep(int64_t ms);

/* clock_unix_seconds -- The time of day, seconds since 1970 in UTC. For what is signed or shown; never
 * for timers. */
int64_t clock_unix_seconds(void);

/* clock_unix_ms -- The same in milliseconds, as keystores have their times. */
int64_t clock_unix_ms(void);

#endif
