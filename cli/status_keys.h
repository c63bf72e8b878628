/*
 * cli/status_keys.h -- How far rotations have come, and which are overdue: a part of `wtkms status`.
 *
 * Layer: cli. Judges what home_status_gather found.
 */
#ifndef WTKMS_CLI_STATUS_KEYS_H
#define WTKMS_CLI_STATUS_KEYS_H

#include "cli/home_status.h"
#include "cli/output.h"

/* status_keys_overdue -- Whether a key made then is older than the policy allows; max_age 0: never. */
bool status_keys_overdue(int64_t created, int64_t max_age);

/* status_keys_table, status_keys_json, status_keys_prometheus -- Print, or append, the part; nothing without a
 * keystore. */
void status_keys_table(const HOME_STATUS *home, FILE *out);
void status_keys_json(const HOME_STATUS *home, bson_t *json);
void status_keys_prometheus(const HOME_STATUS *home, FILE *out);

#endif
