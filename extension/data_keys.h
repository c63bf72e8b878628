/*
 * extension/data_keys.h -- The data keys of one connection, found by id in the path of every page.
 *
 * Layer: extension. Lookups take no lock: a table is reached through one atomic pointer, entries are
 * only ever added, and a larger table replaces a full one, which stays until the end. Adding is for
 * one thread at a time (the caller's lock).
 */
#ifndef WTKMS_EXTENSION_DATA_KEYS_H
#define WTKMS_EXTENSION_DATA_KEYS_H

#include "common/status.h"
#include "crypto/unit_cipher.h"

typedef struct data_keys DATA_KEYS;

typedef struct {
    UNIT_KEY *unit_key;
    const char *keyid; /* the same pointer for every key of one keyid */
} DATA_KEY;

/* data_keys_new -- An empty table. The caller frees *keysp when no thread uses it any more. */
int data_keys_new(DATA_KEYS **keysp, STATUS *status) WTKMS_CHECKED;
void data_keys_free(DATA_KEYS *keys);

/* data_keys_find -- The key with that id, or NULL. Thread-safe, does not block. */
const DATA_KEY *data_keys_find(const DATA_KEYS *keys, uint64_t id);

/* data_keys_add -- Add a key; secret is copied. An id that is there already is no error. */
int data_keys_add(DATA_KEYS *keys, uint64_t id, const char *keyid, const SECRET *secret,
  STATUS *status) WTKMS_CHECKED;

/* data_keys_intern -- The one pointer that stands for a keyid in this table. */
int data_keys_intern(
  DATA_KEYS *keys, const char *keyid, const char **internedp, STATUS *status) WTKMS_CHECKED;

#endif
