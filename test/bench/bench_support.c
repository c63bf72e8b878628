/*
 * test/bench/bench_support.c -- See bench_support.h.
 */
#include "test/bench/bench_support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void
bench_check(int ret, const STATUS *status, const char *what)
{
    char line[2048];

    if (ret == 0)
        return;
    (void)fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
      status_format(status, line, sizeof(line)));
    exit(1);
}

double
bench_now_ms(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6);
}

int
bench_add_keyids(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_DATA_KEY *added;
    SECRET *secret;
    char keyid[32];
    int i, ret = 0;

    for (i = 0; i < *(int *)context && ret == 0; i++) {
        if ((ret = keystore_add_data_key(keystore, &added, status)) != 0 ||
            (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
            break;
        (void)snprintf(keyid, sizeof(keyid), "tenant-%05d", i);
        added->id = (uint64_t)(i + 1) << 20;
        added->version = 1;
        added->state = KEYSTORE_ACTIVE;
        added->keyid = strdup(keyid);
        ret = keyring_wrap_data_key(keyring, keystore, added, secret, status);
        secret_free(secret);
    }
    return (ret);
}
