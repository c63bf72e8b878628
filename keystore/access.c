/*
 * keystore/access.c -- The rules of the access check. See access.h.
 */
#include "keystore/access.h"

#include <string.h>

typedef struct {
    size_t opened, gone, denied, unavailable, other;
} COUNTS;

static void
count_classes(const STATUS_CLASS *classes, size_t count, COUNTS *counts)
{
    size_t i;

    memset(counts, 0, sizeof(*counts));
    for (i = 0; i < count; i++)
        switch (classes[i]) {
        case STATUS_OK:
            counts->opened++;
            break;
        case STATUS_DISABLED:
        case STATUS_NOT_FOUND:
            counts->gone++;
            break;
        case STATUS_DENIED:
            counts->denied++;
            break;
        case STATUS_UNAVAILABLE:
            counts->unavailable++;
            break;
        default:
            counts->other++;
        }
}

static ACCESS_FINDING
find(const COUNTS *counts, size_t count)
{
    if (count == 0)
        return (ACCESS_NOT_CHECKED);
    if (counts->opened != 0)
        return (ACCESS_OPENS);
    if (counts->other != 0)
        return (ACCESS_UNCLEAR);
    if (counts->unavailable != 0)
        return (ACCESS_UNREACHABLE);
    return (counts->denied != 0 ? ACCESS_DENIED : ACCESS_DISABLED);
}

static void
continue_run(ACCESS_RUN *run, bool holds, int64_t now)
{
    if (!holds)
        run->checks = 0;
    else if (run->checks++ == 0)
        run->since = now;
}

static bool
is_over(const ACCESS_RUN *run, int64_t period, int64_t now)
{
    return (run->checks >= ACCESS_CHECKS_MIN && now - run->since >= period);
}

void
access_decide(ACCESS *access, const SETTINGS *settings, const STATUS_CLASS *classes, size_t count,
  int64_t now, ACCESS_DECISION *decision)
{
    const ACCESS_RUN *run = NULL;
    COUNTS counts;
    ACCESS_FINDING finding;
    int64_t denied_for = settings->access.denied_for > ACCESS_PERIOD_MS
                           ? settings->access.denied_for
                           : ACCESS_PERIOD_MS;
    bool stop = false, may_stop_disabled = settings->access.on_disabled == 1,
         may_stop_denied = settings->access.on_denied == 1;

    count_classes(classes, count, &counts);
    finding = find(&counts, count);
    continue_run(&access->disabled, finding == ACCESS_DISABLED, now);
    /* A key that is disabled after it was denied does not start this run anew. */
    continue_run(&access->lost,
      (finding == ACCESS_DISABLED || finding == ACCESS_DENIED) &&
        (counts.gone == 0 || may_stop_disabled),
      now);
    continue_run(&access->unreachable,
      finding == ACCESS_DISABLED || finding == ACCESS_DENIED || finding == ACCESS_UNREACHABLE, now);
    switch (finding) {
    case ACCESS_DISABLED:
        run = &access->disabled;
        stop = may_stop_disabled && is_over(run, ACCESS_PERIOD_MS, now);
        break;
    case ACCESS_DENIED:
        run = &access->lost;
        stop = may_stop_denied && (counts.gone == 0 || may_stop_disabled) &&
               is_over(run, denied_for, now);
        break;
    case ACCESS_UNREACHABLE:
        run = &access->unreachable;
        stop = settings->access.max_unreachable > 0 &&
               is_over(run, settings->access.max_unreachable, now);
        break;
    default:
        break;
    }
    decision->finding = finding;
    decision->checks = run == NULL ? 0 : run->checks;
    decision->for_ms = run == NULL || run->checks == 0 ? 0 : now - run->since;
    decision->verdict = stop                                                ? ACCESS_STOP
                        : finding == ACCESS_OPENS && counts.opened == count ? ACCESS_KEEP
                                                                            : ACCESS_WARN;
}

const char *
access_finding_text(ACCESS_FINDING finding)
{
    switch (finding) {
    case ACCESS_OPENS:
        return ("a customer key opens the keystore");
    case ACCESS_NOT_CHECKED:
        return ("there is no customer key to try");
    case ACCESS_DISABLED:
        return ("every customer key is disabled or gone");
    case ACCESS_DENIED:
        return ("every customer key is denied");
    case ACCESS_UNREACHABLE:
        return ("no customer key can be reached");
    default:
        return ("no customer key opens the keystore");
    }
}
