/*
 * common/cancel.h -- A thread's work can be called off from another thread.
 *
 * Layer: common. Who starts a thread gives it a flag; whatever waits deep below (a key service's
 * answer) asks, at least every CANCEL_POLL_MS, whether to go on. A thread without a flag is never
 * called off. One flag a thread; the flag must outlive its use.
 */
#ifndef WTKMS_COMMON_CANCEL_H
#define WTKMS_COMMON_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CANCEL_POLL_MS 100

/* cancel_watch -- From now on this thread is called off when *flag is true; NULL: never. */
void cancel_watch(const atomic_bool *flag);

/* cancel_asked -- Whether this thread is called off. Cheap. */
bool cancel_asked(void);

/* cancel_sleep -- Sleep so many milliseconds; false, early, when this thread is called off. */
bool cancel_sleep(int64_t ms);

#endif
