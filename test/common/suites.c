/*
 * test/common/suites.c -- The suites of common/.
 */
#include "test/common/common_tests.h"

const TEST_SUITE test_suites[] = {{"status", status_tests}, {"config", config_tests},
  {"config_options", config_option_tests}, {"file", file_tests},
  {"file_permissions", file_permission_tests}, {"file_lock", file_lock_tests},
  {"file_crash", file_crash_tests}, {NULL, NULL}};
