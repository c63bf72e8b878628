/*
 * crypto/fork_cookie.h -- A number that a process and its forked children never share.
 *
 * Layer: crypto, for its own files only. Nonces drawn before a fork must not go on in both
 * processes, and a flag taken by a thread that a child does not have must not count there. The
 * kernel clears the page of the cookie in a child (MADV_WIPEONFORK); where it cannot, a handler
 * of pthread_atfork does. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_FORK_COOKIE_H
#define WTKMS_CRYPTO_FORK_COOKIE_H

#include "common/status.h"

#include <stdatomic.h>
#include <stdint.h>

/* fork_cookie_open, fork_cookie_close -- Make and drop the page. Not counted: the caller holds a
 * lock and nobody else uses the cookie. */
int fork_cookie_open(STATUS *status) WTKMS_CHECKED;
void fork_cookie_close(void);

extern _Atomic(uint64_t) *fork_cookie_page;

/* fork_cookie_draw -- The cookie of this process, drawn when there is none; 0 and the status when
 * there is no random. */
uint64_t fork_cookie_draw(STATUS *status);

/* fork_cookie -- The same; only the first call in a process is slow. */
static inline uint64_t
fork_cookie(STATUS *status)
{
    uint64_t cookie = atomic_load_explicit(fork_cookie_page, memory_order_relaxed);

    return (cookie != 0 ? cookie : fork_cookie_draw(status));
}

#endif
