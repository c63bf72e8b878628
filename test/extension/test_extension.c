/*
 * test/extension/test_extension.c -- The parts of the module that need no engine.
 */
#include "test/extension/test_extension.h"

const TEST_SUITE test_suites[] = {
  {"access_check", test_access_check},
  {"host_abi", test_host_abi},
  {"data_keys", test_data_keys},
  {"host_log", test_host_log},
  {"refusal", test_refusal},
  {"watcher", test_watcher},
  {"state_file", test_state_file},
  {NULL, NULL},
};
