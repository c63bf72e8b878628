/*
 * test/support.h -- Directories, files and child processes for the CUnit programs.
 *
 * What cannot be prepared ends the program: a test must not go on without it.
 */
#ifndef WTKMS_TEST_SUPPORT_H
#define WTKMS_TEST_SUPPORT_H

#include "common/status.h"
#include "test/testmain.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define OTHER_UID 54321 /* of nobody in particular */

/* A new directory under the scratch directory, opened. Its path, when asked for, is static. */
int make_dir(const char **pathp);

void put_file(int dirfd, const char *name, const void *data, size_t len, mode_t mode);

/* Whether a file holds exactly this; len -1 takes a string. */
bool file_holds(int dirfd, const char *name, const void *data, ssize_t len);

bool exists(int dirfd, const char *name);

/* How many entries a directory has, without "." and "..". */
unsigned count_entries(int dirfd);

/* All entries of a directory of /proc: threads, descriptors. -1 when it cannot be read. */
int count_proc(const char *directory);

/* Whether this runs as root; tells once that the tests which need it are left out. */
bool is_root(const char *test);

/* Run in a child process, as another user when uid is not 0: its result, or -1 when it died. */
int in_child(uid_t uid, int (*run)(void *context), void *context);

/* Assert the class and that the message contains a text. */
#define CHECK_STATUS(ret, status, expected_class, text) \
    check_status(__FILE__, __LINE__, ret, status, expected_class, text)
void check_status(const char *file, unsigned line, int ret, const STATUS *status,
  STATUS_CLASS expected_class, const char *text);

#endif
