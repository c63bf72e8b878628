/*
 * keystore/access.h -- What follows from checks of the customer keys: go on, warn, or stop.
 *
 * Layer: keystore. Pure: classes and times in, a verdict out; no key service, no clock, no thread.
 * The rules are those of `access:` in wtkms.conf. Not thread-safe.
 */
#ifndef WTKMS_KEYSTORE_ACCESS_H
#define WTKMS_KEYSTORE_ACCESS_H

#include "common/status.h"
#include "keystore/settings.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A database is stopped only after so many checks in a row, over at least so long. No configuration
 * shortens that: a key disabled by mistake for a minute must not take down a fleet.
 */
#define ACCESS_CHECKS_MIN 3
#define ACCESS_PERIOD_MS (10LL * 60 * 1000)

typedef enum { ACCESS_KEEP, ACCESS_WARN, ACCESS_STOP } ACCESS_VERDICT;

typedef enum {
    ACCESS_OPENS,       /* at least one recipient opened */
    ACCESS_NOT_CHECKED, /* there was no recipient to try */
    ACCESS_DISABLED,    /* every one is disabled or not found */
    ACCESS_DENIED,      /* every one is denied, disabled or not found, at least one denied */
    ACCESS_UNREACHABLE, /* none opened, at least one is unavailable, the others as above */
    ACCESS_UNCLEAR      /* none opened, and at least one failed for a reason that never stops */
} ACCESS_FINDING;

/* A run of checks in a row that found the same kind of trouble. */
typedef struct {
    unsigned checks;
    int64_t since; /* of the first one */
} ACCESS_RUN;

/* Starts zeroed. */
typedef struct {
    ACCESS_RUN disabled, lost, unreachable;
} ACCESS;

typedef struct {
    ACCESS_VERDICT verdict;
    ACCESS_FINDING finding;
    unsigned checks; /* in a row that found so */
    int64_t for_ms;  /* since the first of them */
} ACCESS_DECISION;

/*
 * access_decide -- Take in one check of the default scope: the class of each recipient that can
 *     unwrap (STATUS_OK: it opened), and a monotonic time. STOP when, in ACCESS_CHECKS_MIN checks in a
 *     row over at least ACCESS_PERIOD_MS,
 *       every recipient was disabled or not found, and onDisabled is shutdown; or
 *       every recipient was denied, or disabled or not found, where the matching setting is shutdown,
 *       for at least deniedFor;
 *     or when maxUnreachable is set and no recipient opened for so long, in ACCESS_CHECKS_MIN checks in a
 *     row, each failing one unavailable or one of the above. A recipient that failed in any other way
 *     breaks every run: it may be there. One that opened ends all trouble: KEEP when all did, else WARN.
 */
void access_decide(ACCESS *access, const SETTINGS *settings, const STATUS_CLASS *classes,
  size_t count, int64_t now, ACCESS_DECISION *decision);

/* access_finding_text -- A finding as a sentence's beginning, for the log. Static storage. */
const char *access_finding_text(ACCESS_FINDING finding);

#endif
