/*
 * test/engine/suites.c -- What the program runs, in order: quick and broad first.
 */
#include "test/engine/tests.h"

const TEST_SUITE test_suites[] = {{"data", data_tests}, {"load", load_tests},
  {"copies", copy_tests}, {"clones", clone_tests}, {"create", create_tests},
  {"keyids", keyid_tests}, {"recovery", recovery_tests}, {"wt", wt_tests}, {"codes", code_tests},
  {"rotation", rotation_tests}, {"reencrypt", reencrypt_tests}, {"restore", restore_tests},
  {NULL, NULL}};
