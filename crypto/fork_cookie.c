/*
 * crypto/fork_cookie.c -- Telling a process from its forked children. See fork_cookie.h.
 */
#include "crypto/fork_cookie.h"

#include "crypto/random.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

_Atomic(uint64_t) *fork_cookie_page;

static void
forget(void)
{
    if (fork_cookie_page != NULL)
        atomic_store(fork_cookie_page, 0);
}

int
fork_cookie_open(STATUS *status)
{
    static bool have_handler; /* a handler cannot be taken back */
    void *page;
    size_t len = (size_t)sysconf(_SC_PAGESIZE);
    int error;

    page = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return (status_set_errno(status, errno, "memory", "mmap of a page"));
    if (madvise(page, len, MADV_WIPEONFORK) != 0 && !have_handler) {
        if ((error = pthread_atfork(NULL, NULL, forget)) != 0) {
            (void)munmap(page, len);
            return (status_set_errno(status, error, "memory", "pthread_atfork"));
        }
        have_handler = true;
    }
    fork_cookie_page = page;
    return (0);
}

void
fork_cookie_close(void)
{
    if (fork_cookie_page == NULL)
        return;
    forget();
    (void)munmap(fork_cookie_page, (size_t)sysconf(_SC_PAGESIZE));
    fork_cookie_page = NULL;
}

uint64_t
fork_cookie_draw(STATUS *status)
{
    uint64_t cookie, none = 0;

    if (random_id(&cookie, status) != 0)
        return (0);
    /* Another thread may have been first: all must use one. */
    if (!atomic_compare_exchange_strong(fork_cookie_page, &none, cookie))
        cookie = none;
    return (cookie);
}
