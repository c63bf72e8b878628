/*
 * test/keystore/suites.c -- The suites of keystore/.
 */
#include "test/keystore/keystore_tests.h"

/* Hundreds of processes of one thread each: a minute for ThreadSanitizer, and nothing for it to find. */
#ifdef __SANITIZE_THREAD__
#define CRASH_SUITE
#else
#define CRASH_SUITE {"crash", crash_tests},
#endif

const TEST_SUITE test_suites[] = {{"access", access_tests}, {"settings", settings_tests},
  {"format", format_tests}, {"mirror", mirror_tests}, {"keyring", keyring_tests},
  {"change", change_tests}, {"copies", copies_tests}, CRASH_SUITE{"unlock", unlock_tests},
  {"threads", threads_tests}, {"state", state_tests}, {NULL, NULL}};
