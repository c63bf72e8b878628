/*
 * cli/target.h -- The home that a command works on, and as whom.
 *
 * Layer: cli. Run by root, wtkms reads and writes a home as the home's owner: a link that the
 * database's user planted leads nowhere that this user could not go anyway, files made belong to
 * the database, and what the database could not read (its configuration, its key file) fails here
 * first. Everything in the home is reached through a descriptor of the directory, without following
 * links in the last part of a path.
 */
#ifndef WTKMS_CLI_TARGET_H
#define WTKMS_CLI_TARGET_H

#include "common/status.h"
#include "keystore/settings.h"

#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    const char *path;
    int fd;
    bool switched;      /* root became the owner */
    SETTINGS *settings; /* NULL until target_load */
} TARGET;

/*
 * target_open -- Open a directory and, when root runs this and somebody else owns it, go on as its owner
 *     with his groups. The caller calls target_close, which goes back. STATUS_IO.
 */
int target_open(const char *path, TARGET *target, STATUS *status) WTKMS_CHECKED;

/* target_load -- Read a configuration as the owner; path NULL: CLI_DEFAULT_CONFIG. */
int target_load(TARGET *target, const char *path, STATUS *status) WTKMS_CHECKED;

/* target_as_caller, target_as_owner -- For files outside the home that the operator names: a backup is
 * written by him, not by the database's user. */
int target_as_caller(TARGET *target, STATUS *status) WTKMS_CHECKED;
int target_as_owner(TARGET *target, STATUS *status) WTKMS_CHECKED;

void target_close(TARGET *target);

/*
 * target_host_running -- Whether a process has the home open, by its lock on WiredTiger.lock; *pidp is 0
 *     when another machine or namespace holds it. The file is opened and closed once: never call
 *     this in a process that has the home open itself.
 */
int target_host_running(
  const TARGET *target, bool *runningp, pid_t *pidp, STATUS *status) WTKMS_CHECKED;

/* target_refuse_running -- STATUS_BUSY when a process has the home open; STATUS_REFUSED when a re-encryption
 * of it is unfinished. */
int target_refuse_running(const TARGET *target, STATUS *status) WTKMS_CHECKED;

#endif
