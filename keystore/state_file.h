/*
 * keystore/state_file.h -- HOME/wtkms.state: what the host that has the home open tells others.
 *
 * Layer: keystore. Written by the extension at open, when it takes a new generation of the keystore
 * into use, after each check of access, and at close; read by wtkms. JSON, never sealed and never believed for anything but
 * information: whoever can write the home can write this file. Thread-safe: no shared state.
 */
#ifndef WTKMS_KEYSTORE_STATE_FILE_H
#define WTKMS_KEYSTORE_STATE_FILE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATE_FILE "wtkms.state"
#define STATE_FILE_MAX_BYTES (1024 * 1024)

typedef struct {
    char *scope;
    char *provider;
    char *key_id;
    char *credential;
} STATE_FILE_OPENED;

/* The last check of one recipient. */
typedef struct {
    char *scope;
    char *provider;
    char *key_id;
    char *status_class; /* "ok", or as status_class_name says */
    char *message;      /* of a failure, with its hint and id */
    int64_t time;       /* when it was asked */
    int64_t ms;         /* how long that took */
} STATE_FILE_CHECK;

typedef struct {
    int64_t pid;
    char *uuid; /* of the keystore, text */
    char *node;
    char *module_version;
    char *engine_version;
    int64_t generation; /* in use */
    int64_t started_at, updated_at;
    int64_t closed_at;         /* 0 while open */
    STATE_FILE_OPENED *opened; /* which recipient opened each scope */
    size_t opened_count;
    STATE_FILE_CHECK *checks; /* of access, by the running host */
    size_t check_count;
} STATE_FILE_CONTENT;

/*
 * state_file_write -- Replace the file. STATUS_IO, STATUS_NO_MEMORY.
 */
int state_file_write(int home_fd, const STATE_FILE_CONTENT *content, STATUS *status) WTKMS_CHECKED;

/*
 * state_file_read -- Read it; *contentp is NULL when there is none. Unknown fields are ignored, for
 *     a newer extension may write more. The caller frees *contentp. STATUS_CORRUPT, STATUS_IO.
 */
int state_file_read(int home_fd, STATE_FILE_CONTENT **contentp, STATUS *status) WTKMS_CHECKED;
/* state_file_parse -- The same from the file's text, for a copy inside an archive. */
int state_file_parse(
  const uint8_t *text, size_t len, STATE_FILE_CONTENT **contentp, STATUS *status) WTKMS_CHECKED;
void state_file_free(STATE_FILE_CONTENT *content);

/* state_file_free_checks -- Free checks with all that they hold; NULL is allowed. */
void state_file_free_checks(STATE_FILE_CHECK *checks, size_t count);

#endif
