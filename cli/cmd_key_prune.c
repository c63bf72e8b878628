/*
 * cli/cmd_key_prune.c -- wtkms key prune: data keys that nothing is under are retired.
 */
#include "cli/cli.h"
#include "cli/key_usage.h"
#include "cli/output.h"
#include "cli/target.h"
#include "keystore/state_file.h"
#include "rotation/copy_lock.h"
#include "rotation/prune.h"

#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 10000
#define KMS_RETRY_MS 10000

const OPTIONS_ENTRY cmd_key_prune_options[] = {
  {"plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0,
    "Print what would be retired; write nothing."},
  {"running", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, running), NULL, 0, 0,
    "The database runs, and that is known: read everything twice."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

/*
 * A running host writes under the active keys of the generation that it has. Only when it says that it has
 * the one whose readable keys are candidates, none of them comes into use again behind the reader.
 */
static int
check_host(
  const TARGET *target, const OPTIONS *options, const PRUNE *prune, bool *runningp, STATUS *status)
{
    STATE_FILE_CONTENT *state;
    char uuid[KEYSTORE_UUID_TEXT];
    pid_t pid;
    int ret;

    if ((ret = target_host_running(target, runningp, &pid, status)) != 0 || !*runningp)
        return (ret);
    if (!options->running) {
        (void)status_set(
          status, STATUS_BUSY, "host-running", "process %ld has %s open", (long)pid, target->path);
        return (status_hint(status,
          "stop the database, or say --running: then everything is read twice, and what changes "
          "under the reader keeps all keys"));
    }
    if ((ret = state_file_read(target->fd, &state, status)) != 0)
        return (ret);
    keystore_uuid_text(prune->uuid, uuid);
    if (state == NULL || state->closed_at != 0 || state->uuid == NULL ||
        strcmp(state->uuid, uuid) != 0 || state->generation < prune->generation) {
        (void)status_set(status, STATUS_REFUSED, "prune-host",
          "the running database does not say that it uses generation %lld of the keystore, so it "
          "may "
          "write under an older key",
          (long long)prune->generation);
        ret = status_hint(status, "stop it, or wait: \"wtkms status\" says which one it uses");
    }
    state_file_free(state);
    return (ret);
}

/* A copy is the operator's, or whoever's it is: not read as the home's owner. */
static int
scan_copy(const char *path, const OPTIONS *options, KEY_USAGE *usage, PRUNE *prune, STATUS *status)
{
    TARGET copy;
    pid_t pid;
    bool running;
    int ret;

    if (target_open(path, &copy, status) != 0) {
        key_usage_unjudged(usage, "%s: %s", path, status->message);
        return (0);
    }
    if ((ret = target_host_running(&copy, &running, &pid, status)) == 0) {
        if (running && !options->running)
            key_usage_unjudged(usage, "%s: process %ld has it open", path, (long)pid);
        ret = key_usage_scan(&copy, true, running, usage, prune, status);
    }
    if (ret != 0 && ret != STATUS_NO_MEMORY) {
        key_usage_unjudged(usage, "%s: %s", path, status->message);
        ret = 0;
    }
    target_close(&copy);
    return (ret);
}

static int
scan(TARGET *target, const OPTIONS *options, bool running, KEY_USAGE *usage, PRUNE *prune,
  STATUS *status)
{
    size_t i;
    int ret;

    if ((ret = key_usage_scan(target, false, running, usage, prune, status)) != 0)
        return (ret);
    if (options->operand_count == 1)
        return (0);
    if ((ret = target_as_caller(target, status)) != 0)
        return (ret);
    for (i = 1; i < options->operand_count; i++)
        if ((ret = scan_copy(options->operands[i], options, usage, prune, status)) != 0)
            return (ret);
    return (target_as_owner(target, status));
}

static const char *
verdict(const KEY_USAGE *usage, const PRUNE_KEY *key)
{
    return (key->units != 0 ? "in use" : usage->unjudged_count != 0 ? "not judged" : "unused");
}

static size_t
retired_now(const PRUNE *prune)
{
    size_t count = 0, i;

    for (i = 0; i < prune->count; i++)
        count += prune->keys[i].units == 0;
    return (count);
}

static void
print_table(const OPTIONS *options, const KEY_USAGE *usage, const PRUNE *prune)
{
    const PRUNE_KEY *key;
    OUTPUT_TABLE *table;
    char age[OUTPUT_TIME_SIZE], *safe;
    size_t i;

    (void)printf("Read %llu units in %zu place%s.\n", (unsigned long long)usage->units,
      usage->places, usage->places == 1 ? "" : "s");
    table = output_table_new("KEYID", "VERSION", "DATA KEY", "AGE", "UNITS", "", NULL);
    for (i = 0; i < prune->count; i++) {
        key = &prune->keys[i];
        output_table_cell(table, "%s", key->keyid);
        output_table_cell(table, "%u", (unsigned)key->version);
        output_table_cell(table, "%016llx", (unsigned long long)key->id);
        output_table_cell(table, "%s", output_age(key->created, age));
        output_table_cell(table, "%llu", (unsigned long long)key->units);
        output_table_cell(table, "%s", verdict(usage, key));
    }
    output_table_print(table, 0, stdout);
    for (i = 0; i < usage->unjudged_count; i++) {
        safe = output_safe(usage->unjudged[i]);
        (void)printf("Not judged: %s\n", safe);
        free(safe);
    }
    if (usage->unjudged_count != 0)
        (void)printf("So no key was taken away.\n");
    else if (prune->written)
        (void)printf(
          "Keystore generation %lld: %zu keys retired, which its next write drops, and %zu "
          "that were retired before dropped.\n",
          (long long)prune->generation, retired_now(prune),
          prune->retired + prune->retired_masters);
    else
        (void)printf(options->plan ? "Plan only, nothing was changed.\n" : "Nothing to do.\n");
    (void)printf("Copies that were not named are not known here.\n");
}

static int
print_json(const OPTIONS *options, const KEY_USAGE *usage, const PRUNE *prune, STATUS *status)
{
    const PRUNE_KEY *key;
    bson_t element, json, list;
    char name[16], uuid[KEYSTORE_UUID_TEXT];
    uint32_t i;
    int ret;

    keystore_uuid_text(prune->uuid, uuid);
    bson_init(&json);
    output_json_text(&json, "operation", "key prune");
    output_json_bool(&json, "plan", options->plan);
    output_json_text(&json, "uuid", uuid);
    output_json_number(&json, "generation", prune->generation);
    output_json_bool(&json, "written", prune->written);
    output_json_number(&json, "places", (int64_t)usage->places);
    output_json_number(&json, "units", (int64_t)usage->units);
    output_json_begin_array(&json, "dataKeys", &list);
    for (i = 0; i < prune->count; i++) {
        key = &prune->keys[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "keyid", key->keyid);
        output_json_number(&element, "version", key->version);
        output_json_id(&element, "id", key->id);
        output_json_number(&element, "units", (int64_t)key->units);
        output_json_text(&element, "verdict", verdict(usage, key));
        output_json_bool(&element, "retired", prune->written && key->units == 0);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    output_json_number(
      &json, "dropped", prune->written ? (int64_t)(prune->retired + prune->retired_masters) : 0);
    output_json_begin_array(&json, "unjudged", &list);
    for (i = 0; i < usage->unjudged_count; i++) {
        (void)snprintf(name, sizeof(name), "%u", (unsigned)i);
        output_json_text(&list, name, usage->unjudged[i]);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static void
on_wait(void *context)
{
    CLI *cli = context;

    log_printf(
      &cli->log, LOG_WARNING, "a copy of the home is being made: waiting until it is done");
}

/*
 * A copy that began before the files were read may have files that are under keys which nothing here is
 * under any more, and it takes the keystore last.
 */
static int
retire(CLI *cli, const TARGET *target, const ROTATE_OPTIONS *rotate_options, PRUNE *prune,
  STATUS *status)
{
    int copies_fd, ret;

    if (rotate_options->plan)
        return (0);
    if ((ret = copy_lock_alone(target->fd, INT_MAX, on_wait, cli, &copies_fd, status)) != 0)
        return (ret);
    ret = prune_retire(target->fd, target->settings, rotate_options, prune, status);
    (void)close(copies_fd);
    return (ret);
}

int
cmd_key_prune(CLI *cli, const OPTIONS *options, STATUS *status)
{
    ROTATE_OPTIONS rotate_options = {.log = &cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .plan = options->plan,
      .reason = options->reason};
    KEY_USAGE usage;
    PRUNE prune;
    TARGET target;
    int ret;
    bool running, running_after;

    memset(&usage, 0, sizeof(usage));
    memset(&prune, 0, sizeof(prune));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = prune_begin(target.fd, target.settings, &rotate_options, &prune, status)) != 0 ||
        (ret = check_host(&target, options, &prune, &running, status)) != 0 ||
        (ret = scan(&target, options, running, &usage, &prune, status)) != 0 ||
        (ret = check_host(&target, options, &prune, &running_after, status)) != 0)
        goto err;
    if (running_after && !running)
        key_usage_unjudged(&usage, "%s: a database was started meanwhile", target.path);
    if (usage.unjudged_count != 0)
        cli->exit_code = CLI_UNJUDGED;
    else if ((ret = retire(cli, &target, &rotate_options, &prune, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(options, &usage, &prune, status);
    else
        print_table(options, &usage, &prune);

err:
    key_usage_release(&usage);
    prune_release(&prune);
    target_close(&target);
    return (ret);
}
