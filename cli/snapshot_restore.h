/*
 * cli/snapshot_restore.h -- A copy becomes a home of its own: the work of `wtkms snapshot restore`.
 *
 * Layer: cli. Files are brought by snapshot/restore.h; here are the keys, and the order of it all:
 * everything that can be refused is, before the first file is written; then the files, each unit
 * authenticated with the copy's keys; then a keystore of the home's own, with the copy's as parent,
 * wrapped for the target's recipients; data keys, when asked; and last what makes it a home.
 */
#ifndef WTKMS_CLI_SNAPSHOT_RESTORE_H
#define WTKMS_CLI_SNAPSHOT_RESTORE_H

#include "cli/cli.h"
#include "cli/home_check.h"
#include "cli/snapshot_keys.h"
#include "cli/target.h"
#include "rotation/fork.h"
#include "rotation/reencrypt.h"
#include "snapshot/manifest.h"
#include "snapshot/restore.h"
#include "snapshot/verify.h"

#define SNAPSHOT_RESTORE_TEXT 512

typedef struct {
    CLI *cli;
    const OPTIONS *options;
    TARGET target;
    SETTINGS *from; /* or NULL */
    char *config;   /* the target's, absolute */
    char *module;   /* absolute */

    char *source; /* its real path, or "-" */
    int source_fd;
    bool is_archive, is_stream;
    bool resumed;
    RESTORE_STATE state;
    SNAPSHOT_KEYS keys; /* the copy's */
    RESTORE_COUNT count;
    char opened_by[SNAPSHOT_RESTORE_TEXT]; /* provider and key id of the default scope */

    MANIFEST *manifest;
    bool mac_checked;
    HOME_CHECK check;
    uint64_t torn; /* that were accepted */
    bool copied_before;

    FORK_RESULT fork;
    uint8_t uuid[KEYSTORE_UUID_LEN], parent[KEYSTORE_UUID_LEN];
    int64_t generation;
    char *recipients; /* of the restored keystore, for people */
    REENCRYPT_RESULT reencrypted;
    bool has_lines;    /* WiredTiger.config brings the module into the engine */
    char *others;      /* extensions of the copy's lines that were kept, or NULL */
    char *log_outside; /* a log path in WiredTiger.basecfg that leads out of the home */
} SNAPSHOT_RESTORE;

/*
 * snapshot_restore_prepare -- Everything that can be known before the first byte: the copy is one, its
 *     keys open, the target's recipients wrap and unwrap, the directory is empty or an interrupted run
 *     of the same command. Nothing is written. The caller calls snapshot_restore_release.
 */
int snapshot_restore_prepare(
  CLI *cli, const OPTIONS *options, SNAPSHOT_RESTORE *restore, STATUS *status) WTKMS_CHECKED;

/* snapshot_restore_run -- Do it. */
int snapshot_restore_run(SNAPSHOT_RESTORE *restore, STATUS *status) WTKMS_CHECKED;
void snapshot_restore_release(SNAPSHOT_RESTORE *restore);

#endif
