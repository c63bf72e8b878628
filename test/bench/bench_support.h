/*
 * test/bench/bench_support.h -- What the benchmarks of keys share.
 */
#ifndef WTKMS_TEST_BENCH_SUPPORT_H
#define WTKMS_TEST_BENCH_SUPPORT_H

#include "common/status.h"
#include "keystore/keyring.h"

/* bench_check -- Say what failed and exit 1, when ret is not 0. */
void bench_check(int ret, const STATUS *status, const char *what);

/* bench_now_ms -- Milliseconds, with a fraction, of a clock that only goes forward. */
double bench_now_ms(void);

/* bench_add_keyids -- An edit for keyring_update: as many keyids as *(int *)context says, each with a data key. */
int bench_add_keyids(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status);

#endif
