/*
 * snapshot/create_sink.h -- Where a copy goes, a directory or a tar stream; for create.c.
 *
 * Layer: snapshot, for create*.c only. All but create_sink_free is called as the caller of the command, whose
 * files the copy's are. The order of calls: create_sink_put and create_sink_put_bytes, any number;
 * create_sink_sync now and then; create_sink_finish; create_sink_free.
 */
#ifndef WTKMS_SNAPSHOT_CREATE_SINK_H
#define WTKMS_SNAPSHOT_CREATE_SINK_H

#include "snapshot/create.h"
#include "snapshot/create_plan.h"

typedef struct create_sink CREATE_SINK;

struct create_sink {
    /* Copy an open file of the plan. */
    int (*put)(CREATE_SINK *sink, FILE_COPIER *copier, int fd, const CREATE_FILE *file,
      FILE_COPY_RESULT *result, STATUS *status);
    /* Write a file that is in memory. */
    int (*put_bytes)(CREATE_SINK *sink, const char *path, const void *data, size_t len,
      const struct timespec *modified, STATUS *status);
    /* Make durable what was put: the fewer calls the better, the sooner the less memory. */
    int (*sync)(CREATE_SINK *sink, STATUS *status);
    /* The manifest was put: all of it is durable, and is a copy from now on. */
    int (*finish)(CREATE_SINK *sink, STATUS *status);
    /* finished false: remove what was made. */
    void (*free)(CREATE_SINK *sink, bool finished);
};

/* create_dir_new -- Make or take the directory; options->destination. home_fd: where it must not lie.
 * STATUS_REFUSED, "copy-destination". The caller calls (*sinkp)->free. */
int create_dir_new(
  int home_fd, const CREATE_OPTIONS *options, CREATE_SINK **sinkp, STATUS *status) WTKMS_CHECKED;

/* create_tar_new -- A pax stream to options->stream_fd; the files' owner is that of home_fd. */
int create_tar_new(
  int home_fd, const CREATE_OPTIONS *options, CREATE_SINK **sinkp, STATUS *status) WTKMS_CHECKED;

#endif
