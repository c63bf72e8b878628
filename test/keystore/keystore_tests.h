/*
 * test/keystore/keystore_tests.h -- What the suites of keystore/ share: homes with real key files.
 */
#ifndef WTKMS_KEYSTORE_TESTS_H
#define WTKMS_KEYSTORE_TESTS_H

#include "common/file.h"
#include "keystore/keyring.h"
#include "keystore/keystore_format.h"
#include "keystore/mirror.h"
#include "test/testmain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const TEST access_tests[], settings_tests[], format_tests[], seal_tests[], mirror_tests[],
  keyring_tests[], change_tests[], copies_tests[], crash_tests[], unlock_tests[], state_tests[],
  threads_tests[];

/* A home of its own with a key file, and what is needed to open it. */
typedef struct {
    char dir[512];  /* holds all of it */
    char path[600]; /* of the home */
    char key[600];  /* of the key file */
    int fd;
    SETTINGS *settings;
    KEYRING_OPTIONS options;
    char log[8192]; /* the lines logged */
    LOG sink;
} HOME;

/* home_make -- A new home with settings of one local recipient. extra is more YAML, or NULL. */
void home_make(HOME *home, const char *extra);
void home_configure(
  HOME *home, const char *yaml); /* replace the settings; %k is the key file, %d the dir */
void home_free(HOME *home);
void home_key_file(const HOME *home, const char *name); /* a new key file DIR/name */
void home_clear(HOME *home); /* remove every file of the home, and DIR/copies */

/* Files of the home. */
uint8_t *home_read(const HOME *home, const char *name, size_t *lenp);
void home_write(const HOME *home, const char *name, const void *data, size_t len);
bool home_has(const HOME *home, const char *name);

/* check_ok -- Assert success; prints the status when it is not. */
#define CHECK_OK(call)                                                                            \
    do {                                                                                          \
        status_clear(&status);                                                                    \
        int check_ret_ = (call);                                                                  \
        if (check_ret_ != 0)                                                                      \
            fprintf(stderr, "\n%s:%d: %s [%s]\n", __FILE__, __LINE__, status.message, status.id); \
        CU_ASSERT_EQUAL(check_ret_, 0);                                                           \
    } while (0)
#define CHECK_OK_FATAL(call)                           \
    do {                                               \
        CHECK_OK(call);                                \
        CU_ASSERT_EQUAL_FATAL(status.status_class, 0); \
    } while (0)
/* Assert a failure of a class with an id. */
#define CHECK_FAILS(call, class, id_)                                                       \
    do {                                                                                    \
        status_clear(&status);                                                              \
        int check_ret_ = (call);                                                            \
        if (check_ret_ != (int)(class) || status.id == NULL || strcmp(status.id, id_) != 0) \
            fprintf(stderr, "\n%s:%d: %d %s [%s]\n", __FILE__, __LINE__, check_ret_,        \
              status.message, status.id);                                                   \
        CU_ASSERT_EQUAL(check_ret_, (int)(class));                                          \
        CU_ASSERT_EQUAL(status.status_class, (class));                                      \
        CU_ASSERT_STRING_EQUAL(status.id, id_);                                             \
    } while (0)

/* home_fill -- A keystore with two scopes and several data keys, copies and mirror as configured. */
#define HOME_TENANT_YAML "keys: {tenantA: {kms: [{provider: local, keyFile: %d/keyA}]}}\n"
void home_fill(HOME *home);

/* Whether two keyrings, or one and the file, have the same data keys for these ids. */
bool same_data_key(KEYRING *a, KEYRING *b, uint64_t id);

#endif
