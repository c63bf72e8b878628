/*
 * snapshot/create_plan.h -- Which files of a home go into a copy, and under which names; for create.c.
 *
 * Layer: snapshot, for create*.c only. The files that are copied last (keystore, mirror, wtkms.state) are
 * not in a plan.
 */
#ifndef WTKMS_SNAPSHOT_CREATE_PLAN_H
#define WTKMS_SNAPSHOT_CREATE_PLAN_H

#include "snapshot/create.h"

#include <sys/stat.h>
#include <time.h>

typedef struct {
    char *source; /* relative to the home, or as the log path says */
    char *path;   /* in the copy */
    bool engine;  /* WiredTiger's own: what must not change while it is copied */
    uint64_t size;
    dev_t device;
    ino_t inode;
    struct timespec modified;
} CREATE_FILE;

typedef struct {
    CREATE_FILE *files;
    size_t count, room;
    uint64_t bytes;
    char *log_path;        /* the one outside the home, or NULL */
    bool metadata, turtle; /* WiredTiger.wt, WiredTiger.turtle */
    bool backup;           /* a backup's metadata, which stands for both */
} CREATE_PLAN;

/* create_plan_make -- By walking the home, or from options->files. The caller calls create_plan_release, also
 * after an error. Classes as create_copy. */
int create_plan_make(
  int home_fd, const CREATE_OPTIONS *options, CREATE_PLAN *plan, STATUS *status) WTKMS_CHECKED;
void create_plan_release(CREATE_PLAN *plan);

/* create_plan_compare -- STATUS_REFUSED, "copy-changed": an engine's file of one is not in the other as it was. */
int create_plan_compare(
  const CREATE_PLAN *before, const CREATE_PLAN *after, STATUS *status) WTKMS_CHECKED;

#endif
