/*
 * cli/keep_until.h -- Until when a copy is kept, as people write it.
 *
 * Layer: cli. Thread-safe.
 */
#ifndef WTKMS_CLI_KEEP_UNTIL_H
#define WTKMS_CLI_KEEP_UNTIL_H

#include "common/status.h"

#include <stdint.h>

/*
 * keep_until_parse -- "2027-01-31": to the end of that day in UTC; "2027-01-31T12:00:00Z" (RFC 3339, offsets
 *     too); or from now on: "30d", and s, h, w, y (365 days). ms since 1970. STATUS_REFUSED, "usage", for
 *     another text, a date that does not exist, and one that has passed.
 */
int keep_until_parse(
  const char *text, int64_t now_ms, int64_t *keep_untilp, STATUS *status) WTKMS_CHECKED;

#endif
