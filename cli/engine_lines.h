/*
 * cli/engine_lines.h -- The two lines that bring the module into the engine, and what else is there.
 *
 * Layer: cli. Pure: text in, text out. The syntax is WiredTiger's configuration strings: pairs of
 * key=value divided by commas or newlines, values in brackets or quotes.
 */
#ifndef WTKMS_CLI_ENGINE_LINES_H
#define WTKMS_CLI_ENGINE_LINES_H

#include "common/status.h"

#include <stddef.h>

#define ENGINE_LINES_MODULE "libwiredtiger_kms.so"
#define ENGINE_LINES_BASECFG "WiredTiger.basecfg"

/*
 * engine_lines_find -- The value of the last top-level pair with that key: in WiredTiger the last one
 *     counts. *linep, may be NULL, is its line from 1. *valuep is a copy without the brackets or
 *     quotes around it, for the caller to free, or NULL when there is none.
 */
int engine_lines_find(const char *text, size_t len, const char *key, unsigned *linep, char **valuep,
  STATUS *status) WTKMS_CHECKED;

/*
 * engine_lines_others -- The elements of an extensions= list without those that load our module, as text
 *     "a,b=(...)", for the caller to free; "" when there are none. STATUS_CORRUPT: brackets or quotes
 *     do not match.
 */
int engine_lines_others(const char *list, char **othersp, STATUS *status) WTKMS_CHECKED;

/*
 * engine_lines_make -- The lines; module and config are absolute paths, others may be NULL. The caller
 *     frees *linesp. STATUS_CONFIG for paths with characters that the engine's syntax cannot carry.
 */
int engine_lines_make(const char *module, const char *config, const char *others, char **linesp,
  STATUS *status) WTKMS_CHECKED;

#endif
