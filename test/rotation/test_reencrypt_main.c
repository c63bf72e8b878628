/*
 * test/rotation/test_reencrypt_main.c -- What the program runs.
 */
#include "test/rotation/test_reencrypt.h"

const TEST_SUITE test_suites[] = {
  {"balance", balance_tests}, {"change", change_tests}, {"journal", journal_tests}, {NULL, NULL}};
