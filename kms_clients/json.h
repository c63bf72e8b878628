/*
 * kms_clients/json.h -- JSON of key services: requests written into secret memory, replies read
 * without leaving copies of what they hold.
 *
 * Layer: kms_clients; parsing is libbson's, whose allocations during a parse are secret memory.
 * Not thread-safe for one object; different ones may be used in parallel.
 */
#ifndef WTKMS_KMS_CLIENTS_JSON_H
#define WTKMS_KMS_CLIENTS_JSON_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- reading */

typedef struct json JSON;

/*
 * json_parse -- Parse one JSON object, at most 64 KiB and 32 levels, UTF-8, nothing but white space
 *     behind it. The caller frees *jsonp. STATUS_BAD_REPLY "kms-bad-json" (the text is not quoted),
 *     STATUS_NO_MEMORY.
 */
int json_parse(const void *text, size_t len, JSON **jsonp, STATUS *status) WTKMS_CHECKED;
void json_free(JSON *json);

/*
 * Values by a path of names joined by '.', as "error.innererror.code", and "list.0" for elements.
 * Names that hold a dot cannot be reached. A repeated name is its first value.
 */

/* json_string -- A string, owned by the JSON (its memory is secret), or NULL: not there, no string, or
 * one with a NUL inside. */
const char *json_string(const JSON *json, const char *path);

/* json_int, json_bool -- False when it is not there or of another kind. json_int takes whole numbers
 * only, not strings. */
bool json_int(const JSON *json, const char *path, int64_t *valuep);
bool json_bool(const JSON *json, const char *path, bool *valuep);

/* json_has -- Whether anything is there, null included. */
bool json_has(const JSON *json, const char *path);

/* json_secret -- A copy of a string as a SECRET without its NUL; *secretp stays NULL, and 0 is returned,
 * when there is no such string or it is empty. STATUS_NO_MEMORY. */
int json_secret(const JSON *json, const char *path, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/* --- writing */

typedef struct json_writer JSON_WRITER;

/*
 * json_writer_new -- A writer whose root is an object. The other calls remember the first error, which
 *     json_writer_finish returns: so a request is a list of puts and one check. name is NULL inside
 *     an array. Strings must be UTF-8; control characters are escaped.
 */
JSON_WRITER *json_writer_new(void);
void json_put_string(JSON_WRITER *writer, const char *name, const char *value);
void json_put_int(JSON_WRITER *writer, const char *name, int64_t value);
void json_put_bool(JSON_WRITER *writer, const char *name, bool value);
/* url: base64url without padding (RFC 4648, 5), else the standard alphabet with it. */
void json_put_base64(JSON_WRITER *writer, const char *name, const void *data, size_t len, bool url);
void json_put_secret(JSON_WRITER *writer, const char *name, const SECRET *value);
void json_open_object(JSON_WRITER *writer, const char *name);
void json_open_array(JSON_WRITER *writer, const char *name);
void json_close(JSON_WRITER *writer);

/* json_writer_finish -- The text, without a NUL, in secret memory for the caller to free; the writer is
 * freed in any case (NULL is an earlier failed json_writer_new). STATUS_NO_MEMORY, STATUS_INTERNAL. */
int json_writer_finish(JSON_WRITER *writer, SECRET **textp, STATUS *status) WTKMS_CHECKED;
void json_writer_free(JSON_WRITER *writer);

#endif
