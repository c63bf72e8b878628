/*
 * cli/survey.h -- What the files of a home are encrypted with, read without any key.
 *
 * Layer: cli; uses datafile. Streams: memory is bounded by the number of files and of data keys, not
 * by their size. A file that cannot be walked to its end is counted with its problem, and the walk
 * goes on with the next one: a copy may be half a copy.
 */
#ifndef WTKMS_CLI_SURVEY_H
#define WTKMS_CLI_SURVEY_H

#include "cli/progress.h"
#include "cli/target.h"
#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t data_key_id;
    uint64_t units;
    uint64_t bytes;
} SURVEY_USE;

typedef struct {
    char *path; /* below the home, or absolute for logs elsewhere */
    bool is_log;
    uint64_t size;
    SURVEY_USE *uses;
    size_t use_count;
    uint64_t units; /* all uses together */
    uint64_t
      clear_units; /* pages or log records that are not encrypted, beyond what always is clear */
    uint64_t problems;       /* blocks or records that do not hold together */
    uint64_t problem_offset; /* of the first */
    char *problem;           /* the first, or NULL */
} SURVEY_FILE;

typedef struct {
    bool has_data;      /* anything that a database leaves */
    char *evidence;     /* what that was */
    SURVEY_FILE *files; /* sorted by path */
    size_t count;
    size_t room;
    uint64_t units;
    uint64_t clear_records;
    uint64_t plain_tables; /* files without a unit that have clear pages */
    uint64_t problems;
    char *dangling;  /* a link that leads nowhere, or NULL: a volume may be missing */
    bool incomplete; /* data, but no WiredTiger.wt or nothing that says where its root is */
} SURVEY;

/*
 * survey_home -- Walk all files. full reads whole blocks and checks their checksums; else headers are
 *     read. first_unit stops at the first encrypted unit. The caller calls survey_release, also after
 *     an error. STATUS_IO for the home itself.
 */
int survey_home(
  const TARGET *target, bool full, bool first_unit, SURVEY *survey, STATUS *status) WTKMS_CHECKED;
void survey_release(SURVEY *survey);

/* survey_log_path -- Where the engine's log is, when the configuration or the engine's own says so; else
 * *pathp is NULL. The caller frees it. */
int survey_log_path(const TARGET *target, char **pathp, STATUS *status) WTKMS_CHECKED;

/* survey_size -- Bytes of all files that a walk reads, for a progress bar. */
int survey_size(const TARGET *target, uint64_t *totalp, STATUS *status) WTKMS_CHECKED;

/* survey_uses -- All uses of all files, summed by data key; the caller frees *usesp. */
size_t survey_uses(const SURVEY *survey, SURVEY_USE **usesp);

#endif
