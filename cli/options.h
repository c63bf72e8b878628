/*
 * cli/options.h -- The options of a command line, by tables.
 *
 * Layer: cli. Knows no command: each command brings the table of the options that it takes beside
 * the common ones. The manual page is held to the same tables. Not thread-safe.
 */
#ifndef WTKMS_CLI_OPTIONS_H
#define WTKMS_CLI_OPTIONS_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { FORMAT_TABLE, FORMAT_JSON, FORMAT_PROMETHEUS } FORMAT;

/* All values that a command line can set; each command uses those that its table names. */
typedef struct {
    bool help, version;
    const char *config; /* NULL: not given */
    int format;         /* FORMAT */
    const char *module;
    const char *extensions;
    bool uninstall;
    bool full;
    bool check;
    const char *trust_key;
    int64_t jobs;
    bool force;
    const char *reason;
    const char *from;
    const char *scope;
    const char *keyid;
    bool all;
    bool plan;
    bool finish;
    int64_t throttle; /* MB a second; 0: not given */
    bool running;
    const char *yes;
    bool wait;
    int64_t timeout; /* seconds; 0: not given */
    const char *private_key;
    const char *passphrase_file;
    const char *home;
    bool resume;
    const char *until;
    bool allow_open_end;
    int64_t silence; /* seconds; 0: not given */
    const char *html;
    const char *inventory;
    bool quick;
    bool reencrypt;
    bool accept_torn;
    bool frozen;
    const char *files;
    const char *keep_until;
    bool confirmed;        /* --yes of a command that asks no more than yes or no */
    const char **operands; /* points into argv; freed by options_release */
    size_t operand_count;
} OPTIONS;

typedef enum { OPTIONS_FLAG, OPTIONS_TEXT, OPTIONS_NUMBER, OPTIONS_CHOICE } OPTIONS_TYPE;

typedef struct {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* of the short form, or 0 */
    OPTIONS_TYPE type;
    const char *argument;       /* its name in the help; NULL for flags */
    size_t offset;              /* in OPTIONS */
    const char *const *choices; /* in the order of the values, ended by NULL */
    int64_t minimum, maximum;   /* of numbers */
    const char *help;           /* one sentence */
} OPTIONS_ENTRY;

/* options_common -- --config, --format, --help, --version: every command takes them. */
extern const OPTIONS_ENTRY options_common[];

/*
 * options_parse -- Read the arguments behind the command's name. Options and operands may be mixed; "--"
 *     ends the options. Long options may not be shortened, and none may be given twice: scripts that
 *     depend on either break later. On success the caller calls options_release. STATUS_REFUSED, id
 *     "usage".
 */
int options_parse(const OPTIONS_ENTRY *table, int argc, char *const *argv, OPTIONS *options,
  STATUS *status) WTKMS_CHECKED;
void options_release(OPTIONS *options);

/* options_threads -- --jobs, else one for each processor; at most so many. */
unsigned options_threads(const OPTIONS *options, unsigned maximum);

#endif
