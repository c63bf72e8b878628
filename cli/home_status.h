/*
 * cli/home_status.h -- All that `wtkms status` knows of a home, and the three ways to print it.
 *
 * Layer: cli.
 */
#ifndef WTKMS_CLI_HOME_STATUS_H
#define WTKMS_CLI_HOME_STATUS_H

#include "cli/survey.h"
#include "cli/target.h"
#include "keystore/keyring.h"
#include "keystore/mirror.h"
#include "keystore/state_file.h"

#include <stdio.h>

typedef enum { SEAL_NOT_CHECKED, SEAL_VERIFIED, SEAL_FAILED } SEAL;

typedef struct {
    const char *path;
    bool full;
    SURVEY survey;

    bool found; /* a keystore, somewhere */
    KEYRING_SOURCE source;
    KEYSTORE *keystore;     /* NULL when there is none, or when it cannot be parsed */
    char *keystore_problem; /* why it cannot be parsed */
    SEAL seal;
    char *seal_problem;

    bool has_config_file; /* WiredTiger.config exists */
    MIRROR mirror;
    bool host_running;
    pid_t host_pid;
    STATE_FILE_CONTENT *state; /* or NULL */

    int64_t master_key_max_age, data_key_max_age; /* of the policy, ms; 0: none */

    /* Asked now (home_access.h); without that, those of state count. */
    bool checked_now;
    STATE_FILE_CHECK *checks;
    size_t check_count;

    char **warnings;
    size_t warning_count;
    bool unjudged;
} HOME_STATUS;

/*
 * home_status_gather -- Look at everything. What is missing or damaged is a warning in the result, not an
 *     error. settings of the target may be NULL: then no key service is asked. The caller calls
 *     home_status_release, also after an error. STATUS_IO.
 */
int home_status_gather(
  const TARGET *target, bool full, const LOG *log, HOME_STATUS *home, STATUS *status) WTKMS_CHECKED;
void home_status_release(HOME_STATUS *home);

/* home_status_warn -- Add a warning. */
void home_status_warn(HOME_STATUS *home, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/* home_status_encrypted -- "yes", "no", "empty". */
const char *home_status_encrypted(const HOME_STATUS *home);
const char *home_status_source(const HOME_STATUS *home);
const char *home_status_seal(const HOME_STATUS *home);

/* home_status_print_table, home_status_print_json, home_status_print_prometheus -- Print all of it. */
/* home_status_print_table, home_status_print_json, home_status_print_prometheus -- Print it. JSON may
 * fail with STATUS_INTERNAL. */
void home_status_print_table(const HOME_STATUS *home, FILE *out);
int home_status_print_json(const HOME_STATUS *home, FILE *out, STATUS *status) WTKMS_CHECKED;
void home_status_print_prometheus(const HOME_STATUS *home, FILE *out);

#endif
