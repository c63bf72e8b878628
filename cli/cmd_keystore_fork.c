/*
 * cli/cmd_keystore_fork.c -- wtkms keystore fork: a clone's keystore becomes its own.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/prove.h"
#include "cli/target.h"
#include "rotation/fork.h"

#include <stddef.h>
#include <string.h>

#define KMS_TIMEOUT_MS 10000
#define KMS_RETRY_MS 10000

const OPTIONS_ENTRY cmd_keystore_fork_options[] = {
  {"plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0,
    "Print what would be done; write nothing."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

/* What is forked is what opens these files: a keystore that does not would be a new line of keys. */
static int
prove(CLI *cli, const TARGET *target, STATUS *status)
{
    KEYRING_OPTIONS options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = true};
    KEYRING *keyring;
    int ret;
    bool proved;

    if ((ret = keyring_open(target->fd, target->settings, &options, &keyring, status)) != 0)
        return (ret);
    ret = prove_home(target, keyring, &proved, status);
    keyring_close(keyring);
    return (ret);
}

static void
print_table(const OPTIONS *options, const FORK_RESULT *result)
{
    const ROTATE_STEP *step;
    OUTPUT_TABLE *table;
    char parent[KEYSTORE_UUID_TEXT], uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    keystore_uuid_text(result->parent, parent);
    if (options->plan) {
        (void)printf("Plan only, nothing was changed: keystore %s would be the parent.\n", parent);
        return;
    }
    keystore_uuid_text(result->masters.uuid, uuid);
    (void)printf("Forked: keystore %s, generation %lld, of parent %s.\n", uuid,
      (long long)result->masters.generation, parent);
    table = output_table_new("SCOPE", "MASTER KEY", "NEXT", "DATA KEYS", "RECIPIENTS", NULL);
    for (i = 0; i < result->masters.count; i++) {
        step = &result->masters.steps[i];
        output_table_cell(table, "%s", step->name);
        output_table_cell(table, "%016llx", (unsigned long long)step->old_id);
        output_table_cell(table, "%016llx", (unsigned long long)step->new_id);
        output_table_cell(table, "%zu", step->data_keys);
        output_table_cell(table, "%s", step->new_recipients);
    }
    output_table_print(table, 0, stdout);
    (void)printf(
      "Both homes still have the same data keys: \"wtkms rotate data\" gives this one its "
      "own for what it writes from now on.\n");
}

static int
print_json(const OPTIONS *options, const FORK_RESULT *result, STATUS *status)
{
    const ROTATE_STEP *step;
    bson_t element, json, steps;
    char uuid[KEYSTORE_UUID_TEXT];
    uint32_t i;
    int ret;

    bson_init(&json);
    output_json_text(&json, "operation", "keystore fork");
    output_json_bool(&json, "plan", options->plan);
    keystore_uuid_text(result->parent, uuid);
    output_json_text(&json, "parent", uuid);
    if (!options->plan) {
        keystore_uuid_text(result->masters.uuid, uuid);
        output_json_text(&json, "uuid", uuid);
        output_json_number(&json, "generation", result->masters.generation);
        output_json_begin_array(&json, "masterKeys", &steps);
        for (i = 0; i < result->masters.count; i++) {
            step = &result->masters.steps[i];
            output_json_element(&steps, i, &element);
            output_json_text(&element, "scope", step->name);
            output_json_id(&element, "id", step->old_id);
            output_json_id(&element, "nextId", step->new_id);
            output_json_text(&element, "recipients", step->new_recipients);
            output_json_number(&element, "dataKeys", (int64_t)step->data_keys);
            output_json_end(&steps, &element);
        }
        output_json_end_array(&json, &steps);
    }
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

int
cmd_keystore_fork(CLI *cli, const OPTIONS *options, STATUS *status)
{
    ROTATE_OPTIONS rotate_options = {.log = &cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .plan = options->plan,
      .reason = options->reason};
    FORK_RESULT result;
    TARGET target;
    int ret;

    memset(&result, 0, sizeof(result));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = target_refuse_running(&target, status)) != 0 ||
        (ret = prove(cli, &target, status)) != 0 ||
        (ret = fork_keystore(target.fd, target.settings, &rotate_options, &result, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(options, &result, status);
    else
        print_table(options, &result);

err:
    fork_release(&result);
    target_close(&target);
    return (ret);
}
