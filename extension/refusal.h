/*
 * extension/refusal.h -- Remember for a short while that a home was refused.
 *
 * Layer: extension. mongod tries a failed open three times, four with --repair: without a memory
 * each try would ask the key service again and print the same line. A refusal counts while the files
 * that led to it (configuration, keystore, mirror) are unchanged, so whoever mends one of them need
 * not wait. Thread-safe; a fixed amount of memory for the whole process.
 */
#ifndef WTKMS_EXTENSION_REFUSAL_H
#define WTKMS_EXTENSION_REFUSAL_H

#include "common/status.h"

#include <stdbool.h>

#define REFUSAL_SECONDS 10

/* refusal_recall -- Whether this home was refused just now; then *status is what was said, with its age
 * added. home_fd is the open home; config_path may be NULL. */
bool refusal_recall(int home_fd, const char *config_path, STATUS *status);

/* refusal_remember -- Remember that this home was refused for that reason. */
void refusal_remember(int home_fd, const char *config_path, const STATUS *status);

#endif
