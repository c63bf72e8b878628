/*
 * test/testmain.c -- The main of every CUnit program. See testmain.h.
 */
#include "test/testmain.h"

#include <CUnit/Basic.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char scratch[4096];

const char *
test_scratch(void)
{
    const char *tmp = getenv("TMPDIR");

    if (scratch[0] != '\0')
        return (scratch);
    (void)snprintf(scratch, sizeof(scratch), "%s/wtkms-test-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    if (mkdtemp(scratch) == NULL) {
        perror(scratch);
        exit(1);
    }
    return (scratch);
}

static int
remove_one(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
    (void)sb;
    (void)flag;
    (void)ftw;
    return (remove(path));
}

int
main(int argc, char **argv)
{
    const TEST_SUITE *suite;
    const TEST *test;
    CU_pSuite cu_suite;
    unsigned failures, ran;
    pid_t self = getpid();
    char name[512];

    if (CU_initialize_registry() != CUE_SUCCESS)
        return (1);
    for (suite = test_suites; suite->name != NULL; suite++) {
        cu_suite = NULL;
        for (test = suite->tests; test->name != NULL; test++) {
            (void)snprintf(name, sizeof(name), "%s/%s", suite->name, test->name);
            if (argc > 1 && strstr(name, argv[1]) == NULL)
                continue;
            if (cu_suite == NULL && (cu_suite = CU_add_suite(suite->name, NULL, NULL)) == NULL)
                return (1);
            if (CU_add_test(cu_suite, test->name, test->run) == NULL)
                return (1);
        }
    }
    CU_basic_set_mode(CU_BRM_VERBOSE);
    (void)CU_basic_run_tests();
    ran = CU_get_number_of_tests_run();
    failures = CU_get_number_of_failures() + CU_get_number_of_suites_failed();
    CU_cleanup_registry();
    if (scratch[0] != '\0' && getpid() == self)
        (void)nftw(scratch, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    return (failures != 0 || ran == 0 ? 1 : 0);
}
