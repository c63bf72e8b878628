/*
 * keystore/mirror.h -- WiredTiger.config: the engine's lines and the copy of the keystore in it.
 *
 * Layer: keystore. Text in, text out; the files are keystore_file's. WiredTiger reads this file at
 * every open, ignores lines that start with '#', refuses more than 100 KB, and lists it in every
 * backup. Ours are, always last, since the last extensions= wins:
 *     # wtkms: ...                       what this is, for people
 *     #wtkms-engine BEGIN                written by `wtkms init` only
 *     extensions=[...]
 *     encryption=(name=kms,keyid=default)
 *     #wtkms-engine END
 *     #wtkms-keystore BEGIN full|partial BYTES
 *     #K base64...
 *     #wtkms-keystore END
 * All other lines are the user's, and stay byte for byte: lines that start with "# wtkms: ", "#wtkms-" or "#K "
 * cannot be. A line is what the engine takes for one: inside quotes, or behind a backslash, a newline
 * does not end it. Thread-safe: no shared state.
 */
#ifndef WTKMS_KEYSTORE_MIRROR_H
#define WTKMS_KEYSTORE_MIRROR_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIRROR_FILE "WiredTiger.config"
#define MIRROR_MAX_BYTES (100 * 1024)         /* WiredTiger's limit for the file */
#define MIRROR_KEYSTORE_MAX_BYTES (64 * 1024) /* a larger keystore is mirrored in part */

typedef struct {
    bool has_keystore;
    bool partial;
    uint8_t *keystore; /* raw bytes of the copy */
    size_t keystore_len;
    bool has_engine_lines;
    char *engine_lines; /* as they stand, or NULL */
} MIRROR;

/* mirror_parse -- Read the text of a WiredTiger.config. A damaged block of ours is STATUS_CORRUPT; text
 * without any is no error. The caller calls mirror_release. */
int mirror_parse(const char *text, size_t len, MIRROR *mirror, STATUS *status) WTKMS_CHECKED;
void mirror_release(MIRROR *mirror);

/*
 * mirror_render -- The new text of the file: the user's lines of the old text (NULL: none) as they
 *     are; engine_lines as given, or those that stand there when NULL, or none when ""; the copy of
 *     the keystore, or none when keystore is NULL. A result over MIRROR_MAX_BYTES is STATUS_REFUSED
 *     (the user's own lines are too long), and so are user's lines that end inside a quoted string
 *     or with a backslash: ours would be part of them. The caller frees *textp.
 */
int mirror_render(const char *old_text, size_t old_len, const char *engine_lines,
  const uint8_t *keystore, size_t keystore_len, bool partial, char **textp, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

#endif
