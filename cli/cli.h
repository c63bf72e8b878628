/*
 * cli/cli.h -- What a command of wtkms is, and what it is given.
 *
 * Layer: cli, the lowest row of the house. One table names the commands; each is a thin call into the
 * layers above. A command prints its result to stdout and returns errors in its STATUS; cli_main
 * prints that one line to stderr and makes the exit code. One process runs one command.
 */
#ifndef WTKMS_CLI_CLI_H
#define WTKMS_CLI_CLI_H

#include "cli/options.h"
#include "common/log.h"
#include "common/status.h"

/* Exit codes. */
#define CLI_DONE 0
#define CLI_FAILED 1
#define CLI_USAGE 2
#define CLI_NEEDED 3   /* key usage: something needs the key */
#define CLI_UNJUDGED 4 /* something could not be judged */

#define CLI_DEFAULT_CONFIG "/etc/wtkms.conf"

typedef struct {
    LOG log;       /* warnings and events, to stderr */
    int exit_code; /* a command that did its work may set another than CLI_DONE */
} CLI;

typedef struct {
    const char *name;             /* one or two words; NULL ends the table */
    const char *operands;         /* for the help: "HOME DEST"; "..." in it: more may follow */
    size_t operand_count;         /* exactly so many, or at least */
    const char *summary;          /* for the list of commands */
    const char *help;             /* paragraphs for --help; lines of at most 79 bytes */
    bool prometheus;              /* knows that format */
    const OPTIONS_ENTRY *options; /* beside the common ones, or NULL */
    int (*run)(CLI *cli, const OPTIONS *options, STATUS *status);
} CLI_COMMAND;

extern const CLI_COMMAND cli_commands[];

/* cli_main -- main, for tests too. Returns the exit code. */
int cli_main(int argc, char **argv);

/* The commands. All return 0 or a class, with the work's verdict in cli->exit_code. */
int cmd_abi(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_check(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_init(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_inventory_export(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_inventory_merge(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_key_list(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_key_prune(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_key_remove(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_key_usage(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_kms_create_key(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_kms_test(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keygen(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keystore_backup(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keystore_fork(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keystore_recover(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keystore_restore(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_keystore_show(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_oplog_list(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_oplog_open(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_oplog_seal(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_oplog_verify(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_reencrypt(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_rotate_cmk(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_rotate_data(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_rotate_master(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_snapshot_create(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_snapshot_expire(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_snapshot_list(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_snapshot_restore(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_snapshot_verify(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;
int cmd_status(CLI *cli, const OPTIONS *options, STATUS *status) WTKMS_CHECKED;

extern const OPTIONS_ENTRY cmd_check_options[];
extern const OPTIONS_ENTRY cmd_init_options[];
extern const OPTIONS_ENTRY cmd_key_prune_options[];
extern const OPTIONS_ENTRY cmd_key_remove_options[];
extern const OPTIONS_ENTRY cmd_kms_create_key_options[];
extern const OPTIONS_ENTRY cmd_key_usage_options[];
extern const OPTIONS_ENTRY cmd_keystore_fork_options[];
extern const OPTIONS_ENTRY cmd_keystore_recover_options[];
extern const OPTIONS_ENTRY cmd_keystore_restore_options[];
extern const OPTIONS_ENTRY cmd_oplog_open_options[];
extern const OPTIONS_ENTRY cmd_oplog_seal_options[];
extern const OPTIONS_ENTRY cmd_oplog_verify_options[];
extern const OPTIONS_ENTRY cmd_reencrypt_options[];
extern const OPTIONS_ENTRY cmd_rotate_cmk_options[];
extern const OPTIONS_ENTRY cmd_rotate_data_options[];
extern const OPTIONS_ENTRY cmd_rotate_master_options[];
extern const OPTIONS_ENTRY cmd_snapshot_create_options[];
extern const OPTIONS_ENTRY cmd_snapshot_expire_options[];
extern const OPTIONS_ENTRY cmd_snapshot_list_options[];
extern const OPTIONS_ENTRY cmd_snapshot_restore_options[];
extern const OPTIONS_ENTRY cmd_snapshot_verify_options[];
extern const OPTIONS_ENTRY cmd_status_options[];

#endif
