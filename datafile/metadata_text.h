/*
 * datafile/metadata_text.h -- WiredTiger's metadata as text: the turtle, a backup's WiredTiger.backup,
 *     decrypted metadata, and configuration strings in general.
 *
 * Layer: datafile. Pure. Tolerant: what cannot be read is passed over, never an error and never a
 * read out of bounds. Nothing is copied: results point into the text. Thread-safe.
 */
#ifndef WTKMS_DATAFILE_METADATA_TEXT_H
#define WTKMS_DATAFILE_METADATA_TEXT_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *text; /* not terminated; NULL: absent */
    size_t length;
} METADATA_TEXT;

typedef struct {
    METADATA_TEXT uri;    /* "file:collection-0.wt", "table:..", "WiredTiger version" */
    METADATA_TEXT config; /* its configuration string */
} METADATA_ENTRY;

/*
 * metadata_text_walk -- Call entry for each pair of lines, URI and configuration. 0 goes on; anything
 *     else ends the walk and is returned (WALK_STOP too). 0 when all were seen.
 */
int metadata_text_walk(const char *text, size_t length,
  int (*entry)(void *context, const METADATA_ENTRY *entry), void *context) WTKMS_CHECKED;

/*
 * metadata_text_get -- The value of a key in a configuration string, quotes taken off; the last one
 *     where a key is repeated, as in the engine. A dotted key goes down: "encryption.keyid". A
 *     value in brackets or parentheses keeps them. False: there is none.
 */
bool metadata_text_get(const char *config, size_t length, const char *key, METADATA_TEXT *valuep);

/* metadata_text_is -- Whether a text is exactly that string. */
bool metadata_text_is(const METADATA_TEXT *text, const char *string);

typedef enum {
    METADATA_ENCRYPTION_SYSTEM, /* no name of its own: as the connection says */
    METADATA_ENCRYPTION_NONE,   /* name=none: plain, whatever the connection says */
    METADATA_ENCRYPTION_NAMED   /* an encryptor and a keyid of its own */
} METADATA_ENCRYPTION;

typedef struct {
    METADATA_ENCRYPTION encryption;
    METADATA_TEXT encryptor;  /* name */
    METADATA_TEXT keyid;      /* without a name the engine ignores it */
    uint64_t allocation_size; /* 0: not said */
    METADATA_TEXT checksum;   /* on, off, uncompressed, unencrypted */
    METADATA_TEXT compressor;
} METADATA_FILE;

/*
 * metadata_text_file -- What the configuration string of a "file:" entry says.
 */
void metadata_text_file(const char *config, size_t length, METADATA_FILE *filep);

#endif
