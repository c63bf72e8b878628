/*
 * test/common/common_tests.h -- The suites of common/.
 */
#ifndef WTKMS_TEST_COMMON_TESTS_H
#define WTKMS_TEST_COMMON_TESTS_H

#include "test/support.h"

extern const TEST status_tests[];
extern const TEST config_tests[];
extern const TEST config_option_tests[];
extern const TEST file_tests[];
extern const TEST file_permission_tests[];
extern const TEST file_lock_tests[];
extern const TEST file_crash_tests[];

#endif
