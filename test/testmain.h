/*
 * test/testmain.h -- What every CUnit program shares: a table of suites and one main.
 *
 * A test program defines test_suites, ended by an entry without a name. main runs them all, or
 * those whose "suite" or "suite/test" name contains the first argument; it exits 1 when a test
 * failed, and when none ran.
 */
#ifndef WTKMS_TESTMAIN_H
#define WTKMS_TESTMAIN_H

#include <CUnit/CUnit.h>

typedef struct {
    const char *name;
    void (*run)(void);
} TEST;

typedef struct {
    const char *name;
    const TEST *tests; /* ended by {NULL, NULL} */
} TEST_SUITE;

extern const TEST_SUITE test_suites[];

/* A scratch directory of this run, made at the first call and removed when main returns. */
const char *test_scratch(void);

#endif
