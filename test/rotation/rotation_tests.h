/*
 * test/rotation/rotation_tests.h -- What the suites of rotation/ share.
 */
#ifndef WTKMS_TEST_ROTATION_TESTS_H
#define WTKMS_TEST_ROTATION_TESTS_H

#include "test/testmain.h"

extern const TEST rotate_tests[], running_tests[];

/* rotation_key_file -- Write a new random key file, mode 0600. */
void rotation_key_file(const char *path);

/* rotation_text_file -- Replace a file by this text. */
void rotation_text_file(const char *path, const char *text);

#endif
