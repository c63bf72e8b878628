/*
 * keystore/strict_bson.h -- A BSON document read field by field, in the one order that its format has.
 *
 * Layer: keystore; for the formats of this project (keystore, manifest), whose bytes an attacker may have
 * written. The reader asks for one field after the other, so one that is missing, repeated, unknown or in
 * another place is the same mistake, and there is nothing to look up. libbson checks the bounds of every
 * element; that the elements fill their document to the last byte is checked here.
 *
 * What is handed out points into the document. Every int is 0 or STATUS_CORRUPT under the reader's error
 * id, with the document's name and the field in the message. One thread at a time; nothing is allocated.
 */
#ifndef WTKMS_KEYSTORE_STRICT_BSON_H
#define WTKMS_KEYSTORE_STRICT_BSON_H

#include "common/status.h"

#include <bson/bson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRICT_BSON_NO_PLACE SIZE_MAX

/* One document or array on its way through. */
typedef struct {
    bson_iter_t iter;
    const char *key; /* of the current element; NULL at the end */
    size_t len;
    bool broken;      /* libbson stopped before the end */
    const char *name; /* for messages; a name is not copied */
    size_t place;     /* of one of several, or STRICT_BSON_NO_PLACE */
    const char *error_id;
    STATUS *status;
} STRICT_BSON;

/* strict_bson_open -- Start at the first field. data must stay as it is while the reader is in use. */
int strict_bson_open(STRICT_BSON *reader, const uint8_t *data, size_t len, const char *name,
  const char *error_id, STATUS *status) WTKMS_CHECKED;

/* strict_bson_corrupt -- "NAME: FIELD WHAT". */
int strict_bson_corrupt(const STRICT_BSON *reader, const char *field, const char *what);

/* strict_bson_is_at -- Whether the next field is this one: for those that may be left out. */
bool strict_bson_is_at(const STRICT_BSON *reader, const char *field);

/* strict_bson_end -- Nothing may follow. */
int strict_bson_end(const STRICT_BSON *reader) WTKMS_CHECKED;

/* Each reads one field and goes on to the next. */
int strict_bson_int32(
  STRICT_BSON *reader, const char *field, int32_t minimum, int32_t *valuep) WTKMS_CHECKED;
int strict_bson_int64(STRICT_BSON *reader, const char *field, int64_t minimum, int64_t maximum,
  int64_t *valuep) WTKMS_CHECKED;
int strict_bson_bool(STRICT_BSON *reader, const char *field, bool *valuep) WTKMS_CHECKED;
/* An identifier: any 64 bits but 0. */
int strict_bson_id(STRICT_BSON *reader, const char *field, uint64_t *idp) WTKMS_CHECKED;
/* Milliseconds since 1970. */
int strict_bson_time(
  STRICT_BSON *reader, const char *field, int64_t minimum, int64_t *timep) WTKMS_CHECKED;
/* UTF-8 without a NUL inside; minimum and maximum are bytes without the NUL behind it. */
int strict_bson_text(STRICT_BSON *reader, const char *field, size_t minimum, size_t maximum,
  const char **textp) WTKMS_CHECKED;
/* A text that is one of a few: its index. */
int strict_bson_word(STRICT_BSON *reader, const char *field, const char *const *words, size_t count,
  size_t *indexp) WTKMS_CHECKED;
int strict_bson_view(STRICT_BSON *reader, const char *field, bson_subtype_t subtype, size_t minimum,
  size_t maximum, const uint8_t **datap, uint32_t *lenp) WTKMS_CHECKED;
/* Exactly size bytes, copied. */
int strict_bson_bytes(STRICT_BSON *reader, const char *field, bson_subtype_t subtype, void *out,
  size_t size) WTKMS_CHECKED;

/* strict_bson_document -- Open a document inside; the caller reads it and calls strict_bson_end on it. */
int strict_bson_document(
  STRICT_BSON *reader, const char *field, const char *name, STRICT_BSON *inner) WTKMS_CHECKED;

/*
 * strict_bson_array -- An array whose elements are documents named "0", "1" and so on: read_element reads
 *     each to its end, and may return a class of its own. element_name is for messages.
 */
int strict_bson_array(STRICT_BSON *reader, const char *field, const char *element_name,
  int (*read_element)(STRICT_BSON *element, void *context), void *context) WTKMS_CHECKED;

#endif
