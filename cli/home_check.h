/*
 * cli/home_check.h -- Every unit of a home authenticated, and what else does not hold.
 *
 * Layer: cli; uses datafile and crypto.
 */
#ifndef WTKMS_CLI_HOME_CHECK_H
#define WTKMS_CLI_HOME_CHECK_H

#include "cli/target.h"
#include "keystore/keyring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOME_CHECK_FINDINGS_MAX 10000 /* kept; all are counted */

typedef enum {
    HOME_CHECK_BLOCK,
    HOME_CHECK_METADATA,
    HOME_CHECK_RECORD,
    HOME_CHECK_FILE
} HOME_CHECK_KIND;

typedef struct {
    size_t file;
    uint64_t offset;
    HOME_CHECK_KIND kind;
    char *what;
} HOME_CHECK_FINDING;

typedef struct {
    char *path;
    bool is_log, is_metadata;
    uint64_t units, clear_units;
    const char *keyid; /* of its units; owned by the keystore's view */
} HOME_CHECK_FILE_STATE;

typedef struct {
    HOME_CHECK_FILE_STATE *files;
    size_t file_count;
    HOME_CHECK_FINDING *findings; /* in the order of files and offsets */
    size_t finding_count;
    uint64_t failures; /* all, kept or not */
    uint64_t units;
    uint64_t bytes;
    uint64_t plain_tables;
    uint64_t gone; /* findings that a second look did not confirm: a host was writing */
} HOME_CHECK;

/*
 * home_check_run -- Walk everything with so many decrypting threads. host_running: blocks change under
 *     the walk, so each finding is looked at again before it counts. The caller calls
 *     home_check_release, also after an error. STATUS_IO, STATUS_NO_MEMORY, STATUS_INTERNAL.
 */
int home_check_run(const TARGET *target, KEYRING *keyring, unsigned threads, bool host_running,
  HOME_CHECK *check, STATUS *status) WTKMS_CHECKED;
void home_check_release(HOME_CHECK *check);

#endif
