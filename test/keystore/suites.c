/*
 * test/keystore/suites.c -- The suites of keystore/.
 */
#include "test/keystore/keystore_tests.h"

const TEST_SUITE test_suites[] = {{"access", access_tests}, {"settings", settings_tests},
  {"format", format_tests}, {"mirror", mirror_tests}, {"keyring", keyring_tests},
  {"change", change_tests}, {"copies", copies_tests}, {"crash", crash_tests},
  {"unlock", unlock_tests}, {"threads", threads_tests}, {"state", state_tests}, {NULL, NULL}};
