/*
 * test/engine/tests.h -- The tables of tests, one a file, that make up the program. See suites.c.
 */
#ifndef WTKMS_TEST_ENGINE_TESTS_H
#define WTKMS_TEST_ENGINE_TESTS_H

#include "test/engine/engine.h"

extern const TEST data_tests[];
extern const TEST load_tests[];
extern const TEST copy_tests[];
extern const TEST clone_tests[];
extern const TEST create_tests[];
extern const TEST keyid_tests[];
extern const TEST recovery_tests[];
extern const TEST wt_tests[];
extern const TEST code_tests[];
extern const TEST rotation_tests[];
extern const TEST reencrypt_tests[];
extern const TEST restore_tests[];

#endif
