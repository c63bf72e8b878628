/*
 * test/rotation/test_reencrypt.h -- The suites of re-encryption, a program of their own.
 */
#ifndef WTKMS_TEST_REENCRYPT_H
#define WTKMS_TEST_REENCRYPT_H

#include "test/testmain.h"

extern const TEST balance_tests[], change_tests[], journal_tests[];

#endif
