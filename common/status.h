/*
 * common/status.h -- Error classes and the context that a failing call gathers.
 *
 * Layer: common, the lowest. Knows nothing of keys, files or hosts.
 *
 * Every function that can fail returns an int, 0 or a STATUS_CLASS, and is marked WTKMS_CHECKED.
 * It takes a STATUS * as its last argument, where the place that detected the error leaves its
 * class, a stable id, one sentence and, when there is one, a hint; callers may add context on the
 * way up. A STATUS is plain memory without allocations: it can be copied and thrown away, and it
 * never holds a secret. It is not thread-safe; give each thread its own.
 */
#ifndef WTKMS_COMMON_STATUS_H
#define WTKMS_COMMON_STATUS_H

#include <stddef.h>

#if defined(__GNUC__)
#define WTKMS_CHECKED __attribute__((warn_unused_result))
#define WTKMS_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define WTKMS_CHECKED
#define WTKMS_PRINTF(fmt, first)
#endif

typedef enum {
    STATUS_OK = 0,
    /* What a key server can say. Only its own error envelope decides, never a guess. */
    STATUS_DISABLED = 1,    /* the key is disabled, pending deletion, destroyed, revoked */
    STATUS_NOT_FOUND,       /* the key server said that there is no such key */
    STATUS_DENIED,          /* authenticated, but policy refuses */
    STATUS_UNAUTHENTICATED, /* wrong or expired credential */
    STATUS_UNAVAILABLE,     /* network, TLS, throttling, 5xx, sealed, timeout: may be retried */
    STATUS_BAD_REPLY,       /* cannot be parsed, fails its checksum, has a wrong length */
    /* What we find ourselves. */
    STATUS_CONFIG,   /* a configuration field is missing, wrong or unknown */
    STATUS_CORRUPT,  /* a file of ours or of the engine's fails its checks */
    STATUS_BAD_UNIT, /* an encrypted unit is malformed or does not authenticate */
    STATUS_NO_KEY,   /* well formed, but its key is not here */
    STATUS_REFUSED,  /* what was asked would lose or expose something */
    STATUS_BUSY,     /* another process holds the lock */
    STATUS_IO,       /* a system call failed; sys_errno says how */
    STATUS_NO_MEMORY,
    STATUS_INTERNAL /* a library failed in a way that should not happen */
} STATUS_CLASS;

#define STATUS_CLASS_COUNT (STATUS_INTERNAL + 1)

typedef struct {
    STATUS_CLASS status_class;
    int sys_errno;      /* of STATUS_IO, else 0 */
    const char *id;     /* stable, for machines and search engines; static storage */
    char message[1024]; /* what failed, on what, why; context appended, outermost last */
    char hint[512];     /* what to do, or empty */
} STATUS;

/*
 * status_clear -- Make a STATUS that says "no error".
 */
void status_clear(STATUS *status);

/*
 * status_set -- Record an error, replacing what was there.
 *     id is a literal like "keystore-seal": lower case, words joined by '-', never reused with
 *     another meaning. Control characters in the formatted text are replaced, so that text from a
 *     hostile file cannot start a line of its own. Returns status_class, for "return status_set()".
 */
int status_set(STATUS *status, STATUS_CLASS status_class, const char *id, const char *fmt, ...)
  WTKMS_PRINTF(4, 5);

/*
 * status_set_errno -- Record a failed system call: class STATUS_IO, or STATUS_NO_MEMORY for ENOMEM;
 *     ": " and the errno's text are appended to the formatted text. A full or a read-only
 *     file system gets a hint. Returns the class.
 */
int status_set_errno(STATUS *status, int sys_errno, const char *id, const char *fmt, ...)
  WTKMS_PRINTF(4, 5);

/*
 * status_add -- Append context to the message of a recorded error (outermost last). Returns the
 *     class already recorded.
 */
int status_add(STATUS *status, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/*
 * status_hint -- Say what to do about a recorded error, replacing an earlier hint. Returns the
 *     class already recorded.
 */
int status_hint(STATUS *status, const char *fmt, ...) WTKMS_PRINTF(2, 3);

/*
 * status_make_printable -- Replace control characters in a text, C0, DEL and C1 in UTF-8, by '?', so
 *     that it can neither start a line of its own nor command a terminal. All messages went through
 *     it; for other text from files.
 */
void status_make_printable(char *text);

/*
 * status_class_name -- A class's name for people and for JSON: "not found", "unavailable".
 */
const char *status_class_name(STATUS_CLASS status_class);

/*
 * status_format -- One line: "message; hint (id)". Truncates to size. Returns buf.
 */
const char *status_format(const STATUS *status, char *buf, size_t size);

/*
 * status_host_errno -- The code that a WiredTiger callback returns for an error. This decides
 *     whether data survives: WiredTiger's salvage throws away a block on WT_ERROR (BAD_UNIT alone
 *     maps to it), rollback-to-stable skips a file on ENOENT, and mongod treats EINVAL as a bug of
 *     its own; so ENOENT, EINVAL, WT_NOTFOUND and WT_TRY_SALVAGE are never returned.
 */
int status_host_errno(const STATUS *status);

/* WT_ERROR, fixed since WiredTiger 2.0; repeated here so that only extension/ includes its header. */
#define STATUS_WT_ERROR (-31802)

#endif
