/*
 * kms_clients/kmip_ttlv.h -- TTLV, KMIP's encoding: a tag of three bytes, a type, a length of four
 * bytes, a value filled up to a multiple of eight bytes (KMIP 1.4, 9.1; 2.1, 10.1).
 *
 * Layer: kms_clients. Pure: bytes in, bytes out. Knows no message. Messages are written into and read
 * from secret memory. One object is used by one thread at a time.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_TTLV_H
#define WTKMS_KMS_CLIENTS_KMIP_TTLV_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMIP_TTLV_HEADER_LEN 8
#define KMIP_TTLV_MAX (64 * 1024) /* bytes of a message, read or written */
#define KMIP_TTLV_DEPTH_MAX 16    /* levels of structures, the message is the first */

typedef enum {
    KMIP_STRUCTURE = 1,
    KMIP_INTEGER,
    KMIP_LONG_INTEGER,
    KMIP_BIG_INTEGER,
    KMIP_ENUMERATION,
    KMIP_BOOLEAN,
    KMIP_TEXT,
    KMIP_BYTES,
    KMIP_DATE_TIME,
    KMIP_INTERVAL,
    KMIP_DATE_TIME_EXTENDED
} KMIP_TYPE;

/* --- reading */

/* An item of a message that was checked as a whole; value points into the message. */
typedef struct {
    uint32_t tag;
    KMIP_TYPE type;
    const uint8_t *value;
    size_t len; /* without the filling */
} KMIP_ITEM;

/*
 * kmip_ttlv_length -- How long a message is whose first KMIP_TTLV_HEADER_LEN bytes these are. *lenp counts
 *     the header. STATUS_BAD_REPLY when they start no structure of that tag, or a longer one than
 *     KMIP_TTLV_MAX.
 */
int kmip_ttlv_length(const uint8_t header[KMIP_TTLV_HEADER_LEN], uint32_t tag, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/*
 * kmip_ttlv_parse -- Check a whole message: one structure that fills it exactly, every item of a known type
 *     inside its structure, fixed lengths right, at most KMIP_TTLV_DEPTH_MAX levels. What fills up values
 *     is not looked at. STATUS_BAD_REPLY "kms-bad-ttlv".
 */
int kmip_ttlv_parse(
  const void *message, size_t len, KMIP_ITEM *rootp, STATUS *status) WTKMS_CHECKED;

/* kmip_ttlv_next -- Walk a structure of a checked message: start with *offsetp 0; false at the end. */
bool kmip_ttlv_next(const KMIP_ITEM *structure, size_t *offsetp, KMIP_ITEM *itemp);

/* kmip_ttlv_find -- The first item of a structure with that tag and type; false when there is none. */
bool kmip_ttlv_find(const KMIP_ITEM *structure, uint32_t tag, KMIP_TYPE type, KMIP_ITEM *itemp);

/* kmip_ttlv_number -- The value of an integer, enumeration or interval. */
uint32_t kmip_ttlv_number(const KMIP_ITEM *item);

/* kmip_ttlv_is_text -- Whether an item is this text. */
bool kmip_ttlv_is_text(const KMIP_ITEM *item, const char *text);

/* kmip_ttlv_text -- Copy a text; false when it holds a NUL or does not fit with one. */
bool kmip_ttlv_text(const KMIP_ITEM *item, char *text, size_t size);

/* --- writing */

typedef struct kmip_writer KMIP_WRITER;

/*
 * kmip_writer_new -- A writer of one message. The other calls remember the first error, which
 *     kmip_writer_finish returns: so a request is a list of puts and one check.
 */
KMIP_WRITER *kmip_writer_new(void);
void kmip_put_open(KMIP_WRITER *writer, uint32_t tag);
void kmip_put_close(KMIP_WRITER *writer);
void kmip_put_integer(KMIP_WRITER *writer, uint32_t tag, int32_t value);
void kmip_put_enumeration(KMIP_WRITER *writer, uint32_t tag, uint32_t value);
void kmip_put_boolean(KMIP_WRITER *writer, uint32_t tag, bool value);
void kmip_put_text(KMIP_WRITER *writer, uint32_t tag, const char *value);
void kmip_put_text_bytes(KMIP_WRITER *writer, uint32_t tag, const void *value, size_t len);
void kmip_put_bytes(KMIP_WRITER *writer, uint32_t tag, const void *value, size_t len);

/* kmip_writer_finish -- The message, in secret memory for the caller to free; the writer is freed in any
 * case (NULL is an earlier failed kmip_writer_new). STATUS_NO_MEMORY; STATUS_INTERNAL for a message that
 * is too long or whose structures were not closed. */
int kmip_writer_finish(KMIP_WRITER *writer, SECRET **messagep, STATUS *status) WTKMS_CHECKED;
void kmip_writer_free(KMIP_WRITER *writer);

#endif
