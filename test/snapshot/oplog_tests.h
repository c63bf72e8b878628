/*
 * test/snapshot/oplog_tests.h -- The tables of tests of test_oplog, one a file.
 */
#ifndef WTKMS_TEST_SNAPSHOT_OPLOG_TESTS_H
#define WTKMS_TEST_SNAPSHOT_OPLOG_TESTS_H

#include "test/testmain.h"

extern const TEST oplog_entry_tests[];

#endif
