/*
 * cli/progress.h -- A progress bar on a terminal, nothing in a pipe.
 *
 * Layer: cli. On stderr, so that results can be piped while it shows. progress_add may be called by
 * several threads; the others by one.
 */
#ifndef WTKMS_CLI_PROGRESS_H
#define WTKMS_CLI_PROGRESS_H

#include <stdint.h>

typedef struct progress PROGRESS;

/* progress_start -- what: "Checking". total in bytes; 0 shows no share. NULL when stderr is no
 * terminal; all functions take NULL. */
PROGRESS *progress_start(const char *what, uint64_t total);
void progress_add(PROGRESS *progress, uint64_t bytes);

/* progress_end -- Remove the bar and free it. */
void progress_end(PROGRESS *progress);

#endif
