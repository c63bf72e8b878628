/*
 * test/keystore/suites.c -- The suites of keystore/.
 */
#include "test/keystore/keystore_tests.h"

const TEST_SUITE test_suites[] = {{"keyring", keyring_tests}, {NULL, NULL}};
