/*
 * cli/status_keys.c -- See status_keys.h.
 */
#include "cli/status_keys.h"

#include "cli/output.h"
#include "common/clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of the units of one keyid, in one file or in all. */
typedef struct {
    uint64_t units, active; /* all; under the active version */
    uint32_t oldest_version;
    int64_t oldest_created; /* of the oldest version in use; 0: none */
} PROGRESS_OF;

bool
status_keys_overdue(int64_t created, int64_t max_age)
{
    return (max_age != 0 && clock_unix_ms() - created > max_age);
}

/* keyid NULL: of all. Units under a key that the keystore lacks count as not under an active one. */
static void
add_uses(const HOME_STATUS *home, const char *keyid, const SURVEY_USE *uses, size_t count,
  PROGRESS_OF *progress)
{
    const KEYSTORE_DATA_KEY *key;
    size_t i;

    for (i = 0; i < count; i++) {
        key = keystore_data_key(home->keystore, uses[i].data_key_id);
        if (keyid != NULL && (key == NULL || strcmp(key->keyid, keyid) != 0))
            continue;
        progress->units += uses[i].units;
        if (key == NULL)
            continue;
        if (key->state == KEYSTORE_ACTIVE)
            progress->active += uses[i].units;
        if (progress->oldest_created == 0 || key->created < progress->oldest_created) {
            progress->oldest_created = key->created;
            progress->oldest_version = key->version;
        }
    }
}

/* Never 100 while one unit is behind. */
static int64_t
percent(const PROGRESS_OF *progress)
{
    if (progress->units == 0 || progress->active == progress->units)
        return (100);
    return ((int64_t)(progress->active * 100 / progress->units));
}

static int64_t
policy_of(const HOME_STATUS *home, bool master)
{
    return (master ? home->master_key_max_age : home->data_key_max_age);
}

/* --- table */

void
status_keys_table(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    const KEYSTORE_DATA_KEY *key;
    OUTPUT_TABLE *table;
    PROGRESS_OF progress;
    SURVEY_USE *uses;
    char age[OUTPUT_TIME_SIZE], oldest[OUTPUT_TIME_SIZE];
    size_t count, i;

    if (keystore == NULL || home->survey.units == 0)
        return;
    count = survey_uses(&home->survey, &uses);
    table = output_table_new(
      "KEYID", "ACTIVE", "AGE", "UNITS UNDER IT", "OLDEST IN USE", "ITS AGE", "", NULL);
    for (i = 0; i < keystore->data_key_count; i++) {
        key = &keystore->data_keys[i];
        if (key->state != KEYSTORE_ACTIVE)
            continue;
        memset(&progress, 0, sizeof(progress));
        add_uses(home, key->keyid, uses, count, &progress);
        output_table_cell(table, "%s", key->keyid);
        output_table_cell(table, "v%u", (unsigned)key->version);
        output_table_cell(table, "%s", output_age(key->created, age));
        output_table_cell(table, "%llu of %llu, %lld %%", (unsigned long long)progress.active,
          (unsigned long long)progress.units, (long long)percent(&progress));
        if (progress.oldest_created == 0)
            output_table_cell(table, "-");
        else
            output_table_cell(table, "v%u", (unsigned)progress.oldest_version);
        output_table_cell(table, "%s", output_age(progress.oldest_created, oldest));
        output_table_cell(
          table, "%s", status_keys_overdue(key->created, policy_of(home, false)) ? "overdue" : "");
    }
    free(uses);
    (void)fputs("\nRotation\n", out);
    output_table_print(table, 0, out);
}

/* --- JSON */

static void
append_progress(bson_t *json, const PROGRESS_OF *progress)
{
    output_json_number(json, "units", (int64_t)progress->units);
    output_json_number(json, "unitsActive", (int64_t)progress->active);
    output_json_number(json, "percent", percent(progress));
    if (progress->oldest_created != 0) {
        output_json_number(json, "oldestVersion", progress->oldest_version);
        output_json_time(json, "oldestCreated", progress->oldest_created);
    }
}

static void
append_overdue(bson_t *list, uint32_t *nextp, const char *kind, const char *name, uint64_t id,
  int64_t created, int64_t max_age)
{
    bson_t element;

    if (!status_keys_overdue(created, max_age))
        return;
    output_json_element(list, (*nextp)++, &element);
    output_json_text(&element, "kind", kind);
    output_json_text(&element, "name", name);
    output_json_id(&element, "id", id);
    output_json_time(&element, "created", created);
    output_json_number(&element, "ageSeconds", (int64_t)time(NULL) - created / 1000);
    output_json_number(&element, "maxAgeSeconds", max_age / 1000);
    output_json_end(list, &element);
}

static void
append_overdue_keys(const HOME_STATUS *home, bson_t *json)
{
    const KEYSTORE *keystore = home->keystore;
    bson_t list;
    uint32_t next = 0;
    size_t i;

    output_json_begin_array(json, "overdue", &list);
    for (i = 0; i < keystore->master_count; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE)
            append_overdue(&list, &next, "masterKey", keystore->masters[i].scope,
              keystore->masters[i].id, keystore->masters[i].created, policy_of(home, true));
    for (i = 0; i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].state == KEYSTORE_ACTIVE)
            append_overdue(&list, &next, "dataKey", keystore->data_keys[i].keyid,
              keystore->data_keys[i].id, keystore->data_keys[i].created, policy_of(home, false));
    output_json_end_array(json, &list);
}

void
status_keys_json(const HOME_STATUS *home, bson_t *json)
{
    const KEYSTORE *keystore = home->keystore;
    const SURVEY_FILE *file;
    PROGRESS_OF progress;
    SURVEY_USE *uses;
    bson_t element, list, rotation;
    uint32_t next = 0;
    size_t count, i;

    if (keystore == NULL)
        return;
    count = survey_uses(&home->survey, &uses);
    output_json_begin(json, "rotation", &rotation);
    output_json_begin_array(&rotation, "keyids", &list);
    for (i = 0; i < keystore->data_key_count; i++) {
        if (keystore->data_keys[i].state != KEYSTORE_ACTIVE)
            continue;
        memset(&progress, 0, sizeof(progress));
        add_uses(home, keystore->data_keys[i].keyid, uses, count, &progress);
        output_json_element(&list, next++, &element);
        output_json_text(&element, "keyid", keystore->data_keys[i].keyid);
        output_json_number(&element, "activeVersion", keystore->data_keys[i].version);
        append_progress(&element, &progress);
        output_json_end(&list, &element);
    }
    free(uses);
    output_json_end_array(&rotation, &list);
    output_json_begin_array(&rotation, "files", &list);
    for (next = 0, i = 0; i < home->survey.count; i++) {
        file = &home->survey.files[i];
        if (file->units == 0)
            continue;
        memset(&progress, 0, sizeof(progress));
        add_uses(home, NULL, file->uses, file->use_count, &progress);
        output_json_element(&list, next++, &element);
        output_json_text(&element, "path", file->path);
        append_progress(&element, &progress);
        output_json_end(&list, &element);
    }
    output_json_end_array(&rotation, &list);
    append_overdue_keys(home, &rotation);
    output_json_end(json, &rotation);
}

/* --- Prometheus */

static void
family(FILE *out, const char *name, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

/* Which of the three families of a keyid. */
typedef enum { UNITS_ALL, UNITS_ACTIVE, OLDEST } MEASURE;

static void
keyid_family(
  const HOME_STATUS *home, FILE *out, MEASURE measure, const char *name, const char *help)
{
    const KEYSTORE *keystore = home->keystore;
    PROGRESS_OF progress;
    SURVEY_USE *uses;
    size_t count, i;

    family(out, name, help);
    count = survey_uses(&home->survey, &uses);
    for (i = 0; i < keystore->data_key_count; i++) {
        if (keystore->data_keys[i].state != KEYSTORE_ACTIVE)
            continue;
        memset(&progress, 0, sizeof(progress));
        add_uses(home, keystore->data_keys[i].keyid, uses, count, &progress);
        if (measure == OLDEST && progress.oldest_created == 0)
            continue;
        output_prometheus(out, name,
          measure == UNITS_ALL      ? (int64_t)progress.units
          : measure == UNITS_ACTIVE ? (int64_t)progress.active
                                    : progress.oldest_created / 1000,
          "home", home->path, "keyid", keystore->data_keys[i].keyid, NULL);
    }
    free(uses);
}

static void
overdue_families(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    size_t i;

    if (home->master_key_max_age != 0) {
        family(out, "wtkms_master_key_overdue", "1 when older than policy.masterKeyMaxAge.");
        for (i = 0; i < keystore->master_count; i++)
            if (keystore->masters[i].state == KEYSTORE_ACTIVE)
                output_prometheus(out, "wtkms_master_key_overdue",
                  status_keys_overdue(keystore->masters[i].created, home->master_key_max_age),
                  "home", home->path, "scope", keystore->masters[i].scope, NULL);
    }
    if (home->data_key_max_age != 0) {
        family(out, "wtkms_data_key_overdue", "1 when older than policy.dataKeyMaxAge.");
        for (i = 0; i < keystore->data_key_count; i++)
            if (keystore->data_keys[i].state == KEYSTORE_ACTIVE)
                output_prometheus(out, "wtkms_data_key_overdue",
                  status_keys_overdue(keystore->data_keys[i].created, home->data_key_max_age),
                  "home", home->path, "keyid", keystore->data_keys[i].keyid, NULL);
    }
}

void
status_keys_prometheus(const HOME_STATUS *home, FILE *out)
{
    const SURVEY_FILE *file;
    PROGRESS_OF progress;
    size_t i;

    if (home->keystore == NULL)
        return;
    keyid_family(
      home, out, UNITS_ALL, "wtkms_keyid_units", "Units under any version of a keyid's data key.");
    keyid_family(home, out, UNITS_ACTIVE, "wtkms_keyid_units_active",
      "Those under the active version: the rest waits for a rewrite.");
    keyid_family(home, out, OLDEST, "wtkms_oldest_key_in_use_created_seconds",
      "When the oldest data key that a unit is under was made.");
    family(out, "wtkms_file_units_behind", "Units of a file that are under no active data key.");
    for (i = 0; i < home->survey.count; i++) {
        file = &home->survey.files[i];
        memset(&progress, 0, sizeof(progress));
        add_uses(home, NULL, file->uses, file->use_count, &progress);
        if (progress.active != progress.units)
            output_prometheus(out, "wtkms_file_units_behind",
              (int64_t)(progress.units - progress.active), "home", home->path, "file", file->path,
              NULL);
    }
    overdue_families(home, out);
}
