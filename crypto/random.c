/*
 * crypto/random.c -- Random bytes. See random.h.
 */
#include "crypto/random.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int
random_bytes(void *buf, size_t len, STATUS *status)
{
    uint8_t *p = buf;
    char text[128];
    ssize_t n;

    while (len > 0) {
        n = getrandom(p, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        /* There is no fallback: a key or nonce from anything weaker would look the same. */
        if (n <= 0)
            return (status_set(status, STATUS_INTERNAL, "random", "getrandom: %s",
              n == 0 ? "no bytes" : strerror_r(errno, text, sizeof(text))));
        p += n;
        len -= (size_t)n;
    }
    return (0);
}

int
random_id(uint64_t *idp, STATUS *status)
{
    int ret;

    *idp = 0;
    do {
        if ((ret = random_bytes(idp, sizeof(*idp), status)) != 0)
            return (ret);
    } while (*idp == 0);
    return (0);
}
