/*
 * test/extension/test_extension.h -- The suites of this program.
 */
#ifndef WTKMS_TEST_EXTENSION_H
#define WTKMS_TEST_EXTENSION_H

#include "test/testmain.h"

extern const TEST test_access_check[];
extern const TEST test_host_abi[];
extern const TEST test_data_keys[];
extern const TEST test_host_log[];
extern const TEST test_refusal[];
extern const TEST test_watcher[];
extern const TEST test_state_file[];

#endif
