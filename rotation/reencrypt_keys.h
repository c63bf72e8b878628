/*
 * rotation/reencrypt_keys.h -- The data keys that a home's units name, prepared as they are met.
 *
 * Layer: rotation. One thread finds; any may use what was found, until release.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_KEYS_H
#define WTKMS_ROTATION_REENCRYPT_KEYS_H

#include "crypto/unit_cipher.h"
#include "keystore/keyring.h"

typedef struct {
    uint64_t id;
    UNIT_KEY *key; /* NULL: not in the keystore, or retired */
    char keyid[KEYSTORE_KEYID_MAX + 1];
    uint64_t active_id;    /* of that keyid; 0: there is none */
    UNIT_CIPHER *cipher;   /* that encrypts under it: owned by the active key's entry */
    uint64_t units, bytes; /* for the caller to count */
} REENCRYPT_KEY;

typedef struct {
    KEYRING *keyring;
    REENCRYPT_KEY **keys;
    size_t count;
    REENCRYPT_KEY *last; /* most units follow one another under one key */
} REENCRYPT_KEYS;

/*
 * reencrypt_keys_find -- The key with an id; one that cannot be had is remembered too. Owned by keys.
 *     STATUS_INTERNAL, STATUS_NO_MEMORY.
 */
int reencrypt_keys_find(
  REENCRYPT_KEYS *keys, uint64_t id, REENCRYPT_KEY **keyp, STATUS *status) WTKMS_CHECKED;

/* reencrypt_keys_release -- Free ciphers and keys, after every thread that uses them has ended. */
void reencrypt_keys_release(REENCRYPT_KEYS *keys);

#endif
