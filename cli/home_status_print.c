/*
 * cli/home_status_print.c -- A status as table, JSON and Prometheus' text. See home_status.h.
 */
#include "cli/home_status.h"

#include "cli/home_access.h"
#include "cli/keystore_view.h"
#include "cli/output.h"
#include "cli/status_keys.h"

#include <stdlib.h>
#include <string.h>

#define UNITS_NOTE_HEADERS "headers only, checksums not checked"
#define UNITS_NOTE_FULL "checksums checked"

static const char *
units_note(const HOME_STATUS *home)
{
    return (home->full ? UNITS_NOTE_FULL : UNITS_NOTE_HEADERS);
}

static bool
is_plain_table(const SURVEY_FILE *file)
{
    return (!file->is_log && file->units == 0 && file->clear_units != 0);
}

/* "default v2", or the bare id of a key that the keystore does not have. */
static char *
key_name(const HOME_STATUS *home, uint64_t id)
{
    const KEYSTORE_DATA_KEY *key =
      home->keystore == NULL ? NULL : keystore_data_key(home->keystore, id);

    if (key == NULL)
        return (output_format("%016llx", (unsigned long long)id));
    return (output_format("%s v%u", key->keyid, (unsigned)key->version));
}

/* --- table */

static void
line(FILE *out, const char *name, const char *text)
{
    char *safe = output_safe(text);

    (void)fprintf(out, "%-12s %s\n", name, safe);
    free(safe);
}

static void
print_encrypted(const HOME_STATUS *home, FILE *out)
{
    const SURVEY *survey = &home->survey;
    char *text;

    if (survey->units != 0)
        text = output_format("yes: %llu units; %llu plain tables",
          (unsigned long long)survey->units, (unsigned long long)survey->plain_tables);
    else if (survey->has_data)
        text = output_format("no: data, and none of it encrypted");
    else
        text = output_format("nothing yet: no data");
    line(out, "Encrypted", text);
    free(text);
}

static void
print_keystore_lines(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    char modified[OUTPUT_TIME_SIZE], *text, uuid[KEYSTORE_UUID_TEXT];

    line(out, "Keystore",
      home->found && home->source == KEYRING_FROM_MIRROR ? "from mirror (WiredTiger.config)"
                                                         : home_status_source(home));
    if (keystore == NULL)
        return;
    keystore_uuid_text(keystore->uuid, uuid);
    text = output_format("%s, generation %lld of %s%s", uuid, (long long)keystore->generation,
      output_time(keystore->modified, modified), keystore->partial ? ", partial" : "");
    line(out, "  uuid", text);
    free(text);
    if (keystore->has_parent) {
        keystore_uuid_text(keystore->parent, uuid);
        line(out, "  parent", uuid);
    }
    line(out, "Node", keystore->node);
    line(out, "Seal", home_status_seal(home));
}

static void
print_host(const HOME_STATUS *home, FILE *out)
{
    const STATE_FILE_CONTENT *state = home->state;
    char *text, when[OUTPUT_TIME_SIZE];

    if (home->host_running)
        text = home->host_pid == 0 ? output_format("running, elsewhere")
                                   : output_format("running, pid %ld", (long)home->host_pid);
    else
        text = output_format("not running here");
    line(out, "Host", text);
    free(text);
    if (state == NULL)
        return;
    text = output_format("pid %lld, engine %s, module %s, generation %lld, %s %s",
      (long long)state->pid, state->engine_version, state->module_version,
      (long long)state->generation, state->closed_at == 0 ? "open since" : "closed at",
      output_time(state->closed_at == 0 ? state->started_at : state->closed_at, when));
    line(out, "  it says", text);
    free(text);
}

static void
print_recipients(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    const KEYSTORE_MASTER *master;
    const KEYSTORE_RECIPIENT *recipient;
    OUTPUT_TABLE *table;
    char age[OUTPUT_TIME_SIZE], *access;
    size_t i, r;

    table = output_table_new("ENCRYPTION KEY ID", "PROVIDER", "CREDENTIAL", "SCOPE", "MASTER KEY",
      "STATE", "AGE", "ACCESS", NULL);
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        for (r = 0; r < master->recipient_count; r++) {
            recipient = &master->recipients[r];
            output_table_cell(table, "%s", recipient->key_id);
            output_table_cell(table, "%s", recipient->provider);
            output_table_cell(table, "%s", recipient->credential);
            output_table_cell(table, "%s", master->scope);
            output_table_cell(table, "%016llx", (unsigned long long)master->id);
            output_table_cell(table, "%s", keystore_state_name(master->state));
            output_table_cell(table, "%s", output_age(master->created, age));
            access = home_access_text(home, master->scope, recipient->provider, recipient->key_id);
            output_table_cell(table, "%s", access);
            free(access);
        }
    }
    (void)fputc('\n', out);
    output_table_print(table, 0, out);
}

static uint64_t
units_of(const SURVEY_USE *uses, size_t count, uint64_t id)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (uses[i].data_key_id == id)
            return (uses[i].units);
    return (0);
}

static void
print_data_keys(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    const KEYSTORE_DATA_KEY *key;
    OUTPUT_TABLE *table;
    SURVEY_USE *uses;
    char age[OUTPUT_TIME_SIZE];
    size_t count, i;

    count = survey_uses(&home->survey, &uses);
    table = output_table_new("KEYID", "VERSION", "STATE", "DATA KEY", "AGE", "UNITS", NULL);
    for (i = 0; i < keystore->data_key_count; i++) {
        key = &keystore->data_keys[i];
        output_table_cell(table, "%s", key->keyid);
        output_table_cell(table, "%u", (unsigned)key->version);
        output_table_cell(table, "%s", keystore_state_name(key->state));
        output_table_cell(table, "%016llx", (unsigned long long)key->id);
        output_table_cell(table, "%s", output_age(key->created, age));
        output_table_cell(table, "%llu", (unsigned long long)units_of(uses, count, key->id));
    }
    free(uses);
    (void)fputc('\n', out);
    output_table_print(table, 0, out);
}

static void
print_file(const HOME_STATUS *home, const SURVEY_FILE *file, OUTPUT_TABLE *table)
{
    char *name;
    size_t i;

    for (i = 0; i == 0 || i < file->use_count; i++) {
        output_table_cell(table, "%s", i == 0 ? file->path : "");
        if (i < file->use_count) {
            name = key_name(home, file->uses[i].data_key_id);
            output_table_cell(table, "%llu", (unsigned long long)file->uses[i].units);
            output_table_cell(table, "%s", name);
            free(name);
        } else {
            output_table_cell(table, "0");
            output_table_cell(table, "-");
        }
        output_table_cell(table, "%llu", (unsigned long long)(i == 0 ? file->clear_units : 0));
        if (i == 0 && file->problems != 0)
            output_table_cell(table, "%llu problems, the first at %llu: %s",
              (unsigned long long)file->problems, (unsigned long long)file->problem_offset,
              file->problem == NULL ? "" : file->problem);
        else
            output_table_cell(
              table, "%s", i == 0 && is_plain_table(file) ? "plain: not encrypted" : "");
    }
}

void
home_status_print_table(const HOME_STATUS *home, FILE *out)
{
    OUTPUT_TABLE *table;
    size_t i;

    line(out, "Home", home->path);
    print_encrypted(home, out);
    print_keystore_lines(home, out);
    print_host(home, out);
    if (home->keystore != NULL) {
        print_recipients(home, out);
        print_data_keys(home, out);
        status_keys_table(home, out);
    }
    if (home->survey.count != 0) {
        (void)fprintf(out, "\nUnits (%s%s)\n", units_note(home),
          home->host_running ? "; the host writes meanwhile, so some may count twice or not" : "");
        table = output_table_new("FILE", "UNITS", "DATA KEY", "CLEAR", "", NULL);
        for (i = 0; i < home->survey.count; i++)
            print_file(home, &home->survey.files[i], table);
        output_table_print(table, 0, out);
    }
    if (home->warning_count != 0)
        (void)fputc('\n', out);
    for (i = 0; i < home->warning_count; i++)
        line(out, "Warning:", home->warnings[i]);
}

/* --- JSON */

static void
append_files(const HOME_STATUS *home, bson_t *json)
{
    const KEYSTORE_DATA_KEY *key;
    const SURVEY_FILE *file;
    bson_t element, list, use, uses;
    uint32_t i, u;

    output_json_begin_array(json, "files", &list);
    for (i = 0; i < home->survey.count; i++) {
        file = &home->survey.files[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "path", file->path);
        output_json_text(&element, "kind", file->is_log ? "log" : "table");
        output_json_number(&element, "size", (int64_t)file->size);
        output_json_bool(&element, "plain", is_plain_table(file));
        output_json_number(&element, "units", (int64_t)file->units);
        output_json_number(&element, "clear", (int64_t)file->clear_units);
        output_json_begin_array(&element, "dataKeys", &uses);
        for (u = 0; u < file->use_count; u++) {
            output_json_element(&uses, u, &use);
            key = home->keystore == NULL
                    ? NULL
                    : keystore_data_key(home->keystore, file->uses[u].data_key_id);
            output_json_id(&use, "id", file->uses[u].data_key_id);
            output_json_text(&use, "keyid", key == NULL ? NULL : key->keyid);
            if (key != NULL)
                output_json_number(&use, "version", key->version);
            output_json_number(&use, "units", (int64_t)file->uses[u].units);
            output_json_number(&use, "bytes", (int64_t)file->uses[u].bytes);
            output_json_end(&uses, &use);
        }
        output_json_end_array(&element, &uses);
        output_json_number(&element, "problems", (int64_t)file->problems);
        if (file->problems != 0) {
            output_json_number(&element, "problemOffset", (int64_t)file->problem_offset);
            output_json_text(&element, "problem", file->problem);
        }
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

static void
append_host(const HOME_STATUS *home, bson_t *json)
{
    const STATE_FILE_CONTENT *state = home->state;
    bson_t host, list, element;
    uint32_t i;

    output_json_begin(json, "host", &host);
    output_json_bool(&host, "running", home->host_running);
    output_json_number(&host, "pid", home->host_pid);
    if (state != NULL) {
        output_json_number(&host, "statePid", state->pid);
        output_json_text(&host, "uuid", state->uuid);
        output_json_text(&host, "node", state->node);
        output_json_text(&host, "engineVersion", state->engine_version);
        output_json_text(&host, "moduleVersion", state->module_version);
        output_json_number(&host, "generation", state->generation);
        output_json_time(&host, "startedAt", state->started_at);
        output_json_time(&host, "updatedAt", state->updated_at);
        output_json_time(&host, "closedAt", state->closed_at);
        output_json_begin_array(&host, "opened", &list);
        for (i = 0; i < state->opened_count; i++) {
            output_json_element(&list, i, &element);
            output_json_text(&element, "scope", state->opened[i].scope);
            output_json_text(&element, "provider", state->opened[i].provider);
            output_json_text(&element, "encryptionKeyId", state->opened[i].key_id);
            output_json_text(&element, "credential", state->opened[i].credential);
            output_json_end(&list, &element);
        }
        output_json_end_array(&host, &list);
    }
    output_json_end(json, &host);
}

static void
append_mirror(const HOME_STATUS *home, bson_t *json)
{
    bson_t mirror;

    output_json_begin(json, "mirror", &mirror);
    output_json_bool(&mirror, "file", home->has_config_file);
    output_json_bool(&mirror, "engineLines", home->mirror.has_engine_lines);
    output_json_bool(&mirror, "keystore", home->mirror.has_keystore);
    output_json_bool(&mirror, "partial", home->mirror.partial);
    output_json_end(json, &mirror);
}

static void
append_keystore(const HOME_STATUS *home, bson_t *json)
{
    bson_t keystore;

    output_json_begin(json, "keystore", &keystore);
    output_json_text(&keystore, "source", home_status_source(home));
    output_json_text(&keystore, "problem", home->keystore_problem);
    output_json_text(&keystore, "seal", home_status_seal(home));
    output_json_text(&keystore, "sealProblem", home->seal_problem);
    if (home->keystore != NULL)
        keystore_view_header(&keystore, home->keystore);
    output_json_end(json, &keystore);
}

int
home_status_print_json(const HOME_STATUS *home, FILE *out, STATUS *status)
{
    const SURVEY *survey = &home->survey;
    bson_t json, list;
    char name[16];
    uint32_t i;
    int ret;

    bson_init(&json);
    output_json_text(&json, "path", home->path);
    output_json_text(&json, "encrypted", home_status_encrypted(home));
    output_json_text(&json, "unitsBy", home->full ? "full" : "headers");
    output_json_number(&json, "units", (int64_t)survey->units);
    output_json_number(&json, "clearLogRecords", (int64_t)survey->clear_records);
    output_json_number(&json, "plainTables", (int64_t)survey->plain_tables);
    output_json_number(&json, "problems", (int64_t)survey->problems);
    append_keystore(home, &json);
    if (home->keystore != NULL) {
        keystore_view_masters(&json, home->keystore, false);
        keystore_view_data_keys(&json, home->keystore, false);
    }
    append_mirror(home, &json);
    append_host(home, &json);
    home_access_json(home, &json);
    append_files(home, &json);
    status_keys_json(home, &json);
    output_json_begin_array(&json, "warnings", &list);
    for (i = 0; i < home->warning_count; i++) {
        (void)snprintf(name, sizeof(name), "%u", (unsigned)i);
        output_json_text(&list, name, home->warnings[i]);
    }
    output_json_end_array(&json, &list);
    output_json_bool(&json, "judged", !home->unjudged);
    ret = output_json_print(&json, out, status);
    bson_destroy(&json);
    return (ret);
}

/* --- Prometheus: one family after the other, each with its explanation */

static void
family(FILE *out, const char *name, const char *help)
{
    (void)fprintf(out, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void
gauge(const HOME_STATUS *home, FILE *out, const char *name, const char *help, int64_t value)
{
    family(out, name, help);
    output_prometheus(out, name, value, "home", home->path, NULL);
}

static void
print_prometheus_keys(const HOME_STATUS *home, FILE *out)
{
    const KEYSTORE *keystore = home->keystore;
    const KEYSTORE_DATA_KEY *key;
    const KEYSTORE_MASTER *master;
    SURVEY_USE *uses;
    size_t count, i, r;
    char id[17], version[16];

    family(out, "wtkms_recipient_info", "A customer key that opens the keystore.");
    for (i = 0; i < keystore->master_count; i++)
        for (master = &keystore->masters[i], r = 0; r < master->recipient_count; r++) {
            (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)master->id);
            output_prometheus(out, "wtkms_recipient_info", 1, "home", home->path, "scope",
              master->scope, "provider", master->recipients[r].provider, "key_id",
              master->recipients[r].key_id, "credential", master->recipients[r].credential,
              "master_key", id, NULL);
        }
    home_access_prometheus(home, out);
    family(out, "wtkms_master_key_created_seconds", "When an active master key was made.");
    for (i = 0; i < keystore->master_count; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE)
            output_prometheus(out, "wtkms_master_key_created_seconds",
              keystore->masters[i].created / 1000, "home", home->path, "scope",
              keystore->masters[i].scope, NULL);
    family(out, "wtkms_data_key_created_seconds", "When an active data key was made.");
    for (i = 0; i < keystore->data_key_count; i++)
        if (keystore->data_keys[i].state == KEYSTORE_ACTIVE)
            output_prometheus(out, "wtkms_data_key_created_seconds",
              keystore->data_keys[i].created / 1000, "home", home->path, "keyid",
              keystore->data_keys[i].keyid, NULL);

    family(out, "wtkms_units", "Encrypted pages and log records under a data key.");
    count = survey_uses(&home->survey, &uses);
    for (i = 0; i < count; i++) {
        key = keystore_data_key(keystore, uses[i].data_key_id);
        (void)snprintf(id, sizeof(id), "%016llx", (unsigned long long)uses[i].data_key_id);
        (void)snprintf(version, sizeof(version), "%u", key == NULL ? 0 : (unsigned)key->version);
        output_prometheus(out, "wtkms_units", (int64_t)uses[i].units, "home", home->path, "keyid",
          key == NULL ? "" : key->keyid, "version", version, "data_key", id, NULL);
    }
    free(uses);
}

void
home_status_print_prometheus(const HOME_STATUS *home, FILE *out)
{
    const SURVEY *survey = &home->survey;

    gauge(home, out, "wtkms_encrypted", "1 when the home has encrypted units.", survey->units != 0);
    gauge(home, out, "wtkms_judged", "0 when something could not be judged.", !home->unjudged);
    gauge(home, out, "wtkms_warnings", "Warnings of wtkms status.", (int64_t)home->warning_count);
    gauge(home, out, "wtkms_problems", "Blocks and log records that do not hold together.",
      (int64_t)survey->problems);
    gauge(home, out, "wtkms_plain_tables", "Tables that are not encrypted.",
      (int64_t)survey->plain_tables);
    gauge(home, out, "wtkms_clear_log_records", "Log records that are not encrypted.",
      (int64_t)survey->clear_records);
    gauge(home, out, "wtkms_engine_lines", "1 when WiredTiger.config loads the module.",
      home->mirror.has_engine_lines);
    gauge(
      home, out, "wtkms_host_running", "1 when a process has the home open.", home->host_running);
    gauge(home, out, "wtkms_keystore_found", "1 when there is a keystore or a copy of it.",
      home->found && home->keystore != NULL);
    if (home->seal != SEAL_NOT_CHECKED)
        gauge(home, out, "wtkms_seal_valid", "1 when the keystore's seal holds.",
          home->seal == SEAL_VERIFIED);
    if (home->keystore == NULL)
        return;
    gauge(home, out, "wtkms_keystore_generation", "Generation of the keystore.",
      home->keystore->generation);
    gauge(home, out, "wtkms_keystore_modified_seconds", "When the keystore was last written.",
      home->keystore->modified / 1000);
    print_prometheus_keys(home, out);
    status_keys_prometheus(home, out);
}
