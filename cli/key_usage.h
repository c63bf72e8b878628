/*
 * cli/key_usage.h -- Which data keys the files of a home or a copy use, for who wants to take some away.
 *
 * Layer: cli; uses rotation and datafile. Everything is read, whole blocks with their checksums, and what
 * cannot be judged is collected by name: then no key may go, for it could be under any.
 */
#ifndef WTKMS_CLI_KEY_USAGE_H
#define WTKMS_CLI_KEY_USAGE_H

#include "cli/survey.h"
#include "cli/target.h"
#include "rotation/prune.h"

typedef struct {
    char **unjudged; /* one line each: a place and why */
    size_t unjudged_count;
    uint64_t units;
    uint64_t bytes;
    size_t places;
} KEY_USAGE;

/*
 * key_usage_scan -- Read one home or copy and count its units in prune. is_running: a process writes
 *     there; it is read twice, and files that came or went in between are not judged. A place without
 *     any data is not judged when it is a copy: it may be the wrong directory. STATUS_IO.
 */
int key_usage_scan(const TARGET *target, bool is_copy, bool is_running, KEY_USAGE *usage,
  PRUNE *prune, STATUS *status) WTKMS_CHECKED;

/* key_usage_unjudged -- Add a line. */
void key_usage_unjudged(KEY_USAGE *usage, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/* key_usage_judge -- Add a line for each file of a survey that could not be read whole. */
void key_usage_judge(KEY_USAGE *usage, const TARGET *target, const SURVEY *survey);
void key_usage_release(KEY_USAGE *usage);

#endif
