/*
 * cli/keep_until.c -- See keep_until.h.
 */
#include "cli/keep_until.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#define DAY 86400

static int
wrong(const char *text, const char *why, STATUS *status)
{
    (void)status_set(status, STATUS_REFUSED, "usage", "--keep-until %.60s: %s", text, why);
    return (status_hint(
      status, "write 2027-01-31, or 2027-01-31T12:00:00Z, or 30d, 12h, 6w, 7y from now"));
}

/* Exactly so many digits. */
static bool
digits(const char **textp, size_t count, int *valuep)
{
    size_t i;

    for (*valuep = 0, i = 0; i < count; i++) {
        if ((*textp)[i] < '0' || (*textp)[i] > '9')
            return (false);
        *valuep = *valuep * 10 + ((*textp)[i] - '0');
    }
    *textp += count;
    return (true);
}

static bool
one(const char **textp, const char *of)
{
    if (**textp == '\0' || strchr(of, **textp) == NULL)
        return (false);
    (*textp)++;
    return (true);
}

/* A number and its unit. */
static bool
span(const char *text, int64_t *secondsp)
{
    static const struct {
        char letter;
        int64_t seconds;
    } units[] = {{'s', 1}, {'h', 3600}, {'d', DAY}, {'w', 7 * DAY}, {'y', (int64_t)365 * DAY}};
    int64_t value = 0;
    size_t i;
    const char *p;

    for (p = text; *p >= '0' && *p <= '9' && value < 1000000000; p++)
        value = value * 10 + (*p - '0');
    if (p == text || p[0] == '\0' || p[1] != '\0')
        return (false);
    for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (units[i].letter == *p && value <= (int64_t)1000 * 365 * DAY / units[i].seconds) {
            *secondsp = value * units[i].seconds;
            return (true);
        }
    return (false);
}

/* The time of day and its offset, behind a 'T'. */
static bool
clock_part(const char *p, struct tm *tm, int64_t *offsetp)
{
    int hours, minutes;
    bool west;

    if (!digits(&p, 2, &tm->tm_hour) || !one(&p, ":") || !digits(&p, 2, &tm->tm_min) ||
        !one(&p, ":") || !digits(&p, 2, &tm->tm_sec) || tm->tm_hour > 23 || tm->tm_min > 59 ||
        tm->tm_sec > 59)
        return (false);
    if (one(&p, "."))
        while (*p >= '0' && *p <= '9')
            p++;
    if (one(&p, "Zz"))
        return (*p == '\0');
    west = *p == '-';
    if (!one(&p, "+-") || !digits(&p, 2, &hours) || !one(&p, ":") || !digits(&p, 2, &minutes) ||
        hours > 23 || minutes > 59 || *p != '\0')
        return (false);
    *offsetp = (west ? -1 : 1) * ((int64_t)hours * 3600 + minutes * 60);
    return (true);
}

static bool
date(const char *p, int64_t *secondsp)
{
    struct tm tm, back;
    int64_t offset = 0;
    time_t when;

    memset(&tm, 0, sizeof(tm));
    if (!digits(&p, 4, &tm.tm_year) || !one(&p, "-") || !digits(&p, 2, &tm.tm_mon) ||
        !one(&p, "-") || !digits(&p, 2, &tm.tm_mday))
        return (false);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (*p == '\0') {
        tm.tm_hour = 23;
        tm.tm_min = tm.tm_sec = 59;
    } else if (!one(&p, "Tt ") || !clock_part(p, &tm, &offset))
        return (false);
    /* timegm makes another date of one that does not exist. */
    back = tm;
    when = timegm(&back);
    if (back.tm_mday != tm.tm_mday || back.tm_mon != tm.tm_mon || back.tm_year != tm.tm_year)
        return (false);
    *secondsp = (int64_t)when - offset;
    return (true);
}

int
keep_until_parse(const char *text, int64_t now_ms, int64_t *keep_untilp, STATUS *status)
{
    int64_t seconds;

    *keep_untilp = 0;
    if (span(text, &seconds)) {
        if (seconds == 0)
            return (wrong(text, "it would be over at once", status));
        *keep_untilp = now_ms + seconds * 1000;
        return (0);
    }
    if (!date(text, &seconds))
        return (wrong(text, "that is no date and no length of time", status));
    if (seconds <= now_ms / 1000)
        return (wrong(text, "that has passed", status));
    *keep_untilp = seconds * 1000;
    return (0);
}
