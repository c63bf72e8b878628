/*
 * test/datafile/suites.c -- The suites of datafile/.
 */
#include "test/datafile/fixture.h"

const TEST_SUITE test_suites[] = {
  {"blocks", block_tests},
  {"hostile blocks", block_hostile_tests},
  {"extents", extent_tests},
  {"logs", log_tests},
  {"hostile logs", log_hostile_tests},
  {"home", home_tests},
  {"metadata", metadata_tests},
  {"failures", failure_tests},
  {NULL, NULL},
};
