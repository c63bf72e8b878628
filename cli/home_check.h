/*
 * cli/home_check.h -- Every unit of a home authenticated, and what else does not hold.
 *
 * Layer: cli; uses datafile and crypto. Each file is read once: its units are authenticated and its
 * SHA-256 is made in the same pass.
 */
#ifndef WTKMS_CLI_HOME_CHECK_H
#define WTKMS_CLI_HOME_CHECK_H

#include "cli/target.h"
#include "crypto/mac.h"
#include "datafile/home.h"
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
    unsigned threads;
    bool
      host_running; /* blocks change under the walk: each finding is looked at again before it counts */
    bool copy;      /* the log path of the machine that it was copied from is not followed */
    bool quick;     /* authenticate one unit in HOME_CHECK_SAMPLE, read no whole blocks besides */
    bool all_files; /* note those that hold no units too */
    bool hash;      /* SHA-256 of every file that is noted; not with quick */
} HOME_CHECK_OPTIONS;

#define HOME_CHECK_SAMPLE 16

typedef struct {
    size_t file;
    uint64_t offset;
    HOME_CHECK_KIND kind;
    bool
      torn; /* may be a write that was cut short: of a crash, or of the host while it was copied */
    char *what;
} HOME_CHECK_FINDING;

typedef struct {
    char *path;
    HOME_FILE_KIND kind;
    bool is_log, is_metadata;
    uint64_t size;
    uint64_t units, clear_units;
    uint64_t unjudged; /* of the units: there is no key to try */
    const char *keyid; /* while the walk lasts */
    bool hashed;
    uint8_t sha256[MAC_LEN];
} HOME_CHECK_FILE_STATE;

typedef struct {
    HOME_CHECK_FILE_STATE *files;
    size_t file_count;            /* of those that hold units, or of all */
    uint64_t data_files;          /* that hold units, or could */
    HOME_CHECK_FINDING *findings; /* in the order of files and offsets */
    size_t finding_count;
    uint64_t failures; /* all, kept or not */
    uint64_t torn;     /* of them */
    uint64_t units;
    uint64_t authenticated; /* of them, tried: those that failed too */
    uint64_t unjudged;      /* of them: there is no key to try */
    uint64_t bytes;
    uint64_t plain_tables;
    uint64_t gone; /* findings that a second look did not confirm: a host was writing */
} HOME_CHECK;

/*
 * home_check_run -- Walk everything. keyring NULL: there are no keys, so units are counted and blocks'
 *     checksums are looked at. Where the keyring's keystore is a part, units under keys that it does
 *     not have are not judged. The caller calls home_check_release, also after an error. STATUS_IO: the home itself cannot be read;
 *     files that cannot are findings.
 */
int home_check_run(const TARGET *target, KEYRING *keyring, const HOME_CHECK_OPTIONS *options,
  HOME_CHECK *check, STATUS *status) WTKMS_CHECKED;
void home_check_release(HOME_CHECK *check);

#endif
