/*
 * rotation/reencrypt_item.h -- One block or log record, rewritten under another data key.
 *
 * Layer: rotation; uses crypto and the offsets of datafile. Pure but for random nonces: images in
 * memory, no files. Thread-safe; one item, one thread.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_ITEM_H
#define WTKMS_ROTATION_REENCRYPT_ITEM_H

#include "common/status.h"
#include "crypto/unit_cipher.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum {
    REENCRYPT_BLOCK,    /* a page or overflow item */
    REENCRYPT_METADATA, /* an extent-list block with a unit in hexadecimal text */
    REENCRYPT_RECORD,   /* of a log */
    REENCRYPT_REMAINS,  /* free space to be zeroed: no image, no unit */
    REENCRYPT_CHANGED   /* in the journal only: a block by its change */
} REENCRYPT_KIND;

/* A file of the home, by its path from there, and the one that was walked. */
typedef struct {
    char *path;
    dev_t device;
    ino_t inode;
    bool is_log;
} REENCRYPT_FILE;

typedef struct {
    REENCRYPT_KIND kind;
    const REENCRYPT_FILE *file;
    uint64_t offset;
    uint8_t *image; /* the whole block or record; rewritten in place */
    size_t length;
    size_t unit_offset; /* in the image; of metadata: of its text */
    size_t unit_length; /* of metadata: of its text, in digits */
    const UNIT_KEY *old_key;
    UNIT_CIPHER *cipher; /* of the same keyid */
    uint8_t *change;     /* reencrypt_change.h, filled when it is rewritten; NULL: none is wanted */
    size_t change_length;
    bool untouched; /* result: its unit does not authenticate, or no balance fits */
} REENCRYPT_ITEM;

/* A thread's buffer for plaintext: grows to the largest unit, wiped when released. */
typedef struct {
    uint8_t *data;
    size_t size;
} REENCRYPT_PLAIN;

void reencrypt_plain_release(REENCRYPT_PLAIN *plain);

/*
 * reencrypt_item_rewrite -- Decrypt an item's unit by its old key, encrypt it by the cipher's active
 *     one and put it in the old one's place. Of blocks the checksum stays what it is; a record gets a
 *     new one. STATUS_BAD_UNIT: the unit does not authenticate, or, id "reencrypt-balance", its
 *     balance is outside what the checksum covers while other bytes of it are inside; the image is
 *     then as it was. STATUS_INTERNAL, STATUS_NO_MEMORY.
 */
int reencrypt_item_rewrite(
  REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain, STATUS *status) WTKMS_CHECKED;

/*
 * reencrypt_item_fits -- Whether what stands at an item's place can be the old block, the new one, or a
 *     torn mix of the two: the headers, which both have in common, are the same. start holds the
 *     first REENCRYPT_ITEM_HEAD bytes that stand there. An engine that wrote there since would have
 *     changed them.
 */
#define REENCRYPT_ITEM_HEAD 44
bool reencrypt_item_fits(
  REENCRYPT_KIND kind, const uint8_t *image, size_t length, const uint8_t *start);

/* reencrypt_item_valid -- Whether an image is a block or record by its headers and checksum. */
bool reencrypt_item_valid(REENCRYPT_KIND kind, const uint8_t *image, size_t length);

#endif
