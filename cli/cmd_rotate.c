/*
 * cli/cmd_rotate.c -- wtkms rotate cmk, master and data.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "common/clock.h"
#include "datafile/home.h"
#include "keystore/state_file.h"
#include "rotation/rotate.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 10000 /* of one call; the keystore's lock is held meanwhile */
#define KMS_RETRY_MS 10000
#define WAIT_DEFAULT_S 60
#define WAIT_STEP_MS 100

#define PLAN_ENTRY                                                          \
    {                                                                       \
        "plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0, \
          "Print what would be done; write nothing."                        \
    }
#define REASON_ENTRY                                                              \
    {                                                                             \
        "reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0, \
          "Why, for the keystore's history."                                      \
    }
#define WAIT_ENTRIES                                                                         \
    {"wait", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, wait), NULL, 0, 0,                     \
      "Return when the running database uses the new generation."},                          \
    {                                                                                        \
        "timeout", 0, OPTIONS_NUMBER, "SECONDS", offsetof(OPTIONS, timeout), NULL, 1, 86400, \
          "How long --wait waits, by default 60."                                            \
    }
#define END_ENTRY                                        \
    {                                                    \
        NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL \
    }

const OPTIONS_ENTRY cmd_rotate_cmk_options[] = {
  {"from", 0, OPTIONS_TEXT, "FILE", offsetof(OPTIONS, from), NULL, 0, 0,
    "The configuration that opens the keystore today."},
  PLAN_ENTRY, REASON_ENTRY, WAIT_ENTRIES, END_ENTRY};

const OPTIONS_ENTRY cmd_rotate_master_options[] = {
  {"scope", 0, OPTIONS_TEXT, "SCOPE", offsetof(OPTIONS, scope), NULL, 0, 0,
    "The master key of this scope alone: \"default\", or a keyid with keys of its own."},
  {"all", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, all), NULL, 0, 0,
    "Of every scope, which is the default."},
  PLAN_ENTRY, REASON_ENTRY, WAIT_ENTRIES, END_ENTRY};

const OPTIONS_ENTRY cmd_rotate_data_options[] = {
  {"keyid", 0, OPTIONS_TEXT, "KEYID", offsetof(OPTIONS, keyid), NULL, 0, 0,
    "The data key of this keyid alone."},
  {"all", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, all), NULL, 0, 0,
    "Of every keyid, which is the default."},
  PLAN_ENTRY, REASON_ENTRY, WAIT_ENTRIES, END_ENTRY};

typedef enum { ROTATE_CMK, ROTATE_MASTER, ROTATE_DATA } ROTATE_KIND;

static const char *const kind_names[] = {"rotate cmk", "rotate master", "rotate data"};

/* What --wait found. */
typedef struct {
    bool waited, running;
    int64_t generation, elapsed_ms;
} IN_USE;

/* --- waiting for the running database */

/*
 * The pid is not compared: seen from another container it is another number. The generation did not exist
 * before, so whoever says that it uses it was running after the rotation.
 */
static int
read_generation(
  const TARGET *target, const ROTATE_RESULT *result, int64_t *generationp, STATUS *status)
{
    STATE_FILE_CONTENT *state;
    char uuid[KEYSTORE_UUID_TEXT];
    int ret;

    *generationp = 0;
    if ((ret = state_file_read(target->fd, &state, status)) != 0 || state == NULL)
        return (ret);
    keystore_uuid_text(result->uuid, uuid);
    if (state->closed_at == 0 && state->uuid != NULL && strcmp(state->uuid, uuid) == 0)
        *generationp = state->generation;
    state_file_free(state);
    return (0);
}

static int
wait_in_use(const TARGET *target, const OPTIONS *options, const ROTATE_RESULT *result,
  IN_USE *in_use, STATUS *status)
{
    const struct timespec step = {0, WAIT_STEP_MS * 1000000L};
    int64_t seconds = options->timeout == 0 ? WAIT_DEFAULT_S : options->timeout;
    int64_t start = clock_ms();
    pid_t pid;
    int ret;

    in_use->waited = true;
    for (;;) {
        if ((ret = target_host_running(target, &in_use->running, &pid, status)) != 0)
            return (ret);
        if (!in_use->running)
            return (0);
        if ((ret = read_generation(target, result, &in_use->generation, status)) != 0)
            return (ret);
        in_use->elapsed_ms = clock_ms() - start;
        if (in_use->generation >= result->generation)
            return (0);
        if (in_use->elapsed_ms >= seconds * 1000)
            break;
        (void)nanosleep(&step, NULL);
    }
    (void)status_set(status, STATUS_BUSY, "rotate-wait",
      "the keys were rotated, keystore generation %lld, but after %lld s process %ld does not use "
      "them",
      (long long)result->generation, (long long)seconds, (long)pid);
    return (status_hint(status,
      "its log says why; the configuration that it was started with must name a key that opens "
      "the keystore"));
}

/* --- telling */

static void
print_table(ROTATE_KIND kind, const OPTIONS *options, const ROTATE_RESULT *result, FILE *out)
{
    const ROTATE_STEP *step;
    OUTPUT_TABLE *table;
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    keystore_uuid_text(result->uuid, uuid);
    (void)fprintf(out,
      options->plan ? "Plan only, nothing was changed: keystore %s, generation %lld.\n"
                    : "Rotated: keystore %s is now generation %lld.\n",
      uuid, (long long)result->generation);
    table = kind == ROTATE_DATA
              ? output_table_new("KEYID", "VERSION", "NEXT", "ID", "NEXT ID", NULL)
            : kind == ROTATE_MASTER
              ? output_table_new("SCOPE", "MASTER KEY", "NEXT", "DATA KEYS", "RECIPIENTS", NULL)
              : output_table_new("SCOPE", "MASTER KEY", "RECIPIENTS BEFORE", "RECIPIENTS", NULL);
    for (i = 0; i < result->count; i++) {
        step = &result->steps[i];
        output_table_cell(table, "%s", step->name);
        if (kind == ROTATE_DATA) {
            output_table_cell(table, "%u", (unsigned)step->old_version);
            output_table_cell(table, "%u", (unsigned)step->new_version);
        }
        output_table_cell(table, "%016llx", (unsigned long long)step->old_id);
        if (kind != ROTATE_CMK) {
            if (step->new_id == 0)
                output_table_cell(table, "-");
            else
                output_table_cell(table, "%016llx", (unsigned long long)step->new_id);
        }
        if (kind == ROTATE_MASTER)
            output_table_cell(table, "%zu", step->data_keys);
        if (kind == ROTATE_CMK)
            output_table_cell(table, "%s", step->old_recipients);
        if (kind != ROTATE_DATA)
            output_table_cell(table, "%s", step->new_recipients);
    }
    output_table_print(table, 0, out);
    if (kind == ROTATE_CMK && !options->plan)
        (void)fprintf(out,
          "Before its next start the database's own configuration must name one of these "
          "recipients.\n"
          "Until then it reads the one that it was started with: when that names none of them, "
          "restart it\nbefore the next rotation of master keys, which it could not follow.\n");
}

static void
print_in_use(const IN_USE *in_use, FILE *out)
{
    if (!in_use->waited)
        return;
    if (in_use->running)
        (void)fprintf(out, "The running database uses generation %lld, after %lld.%lld s.\n",
          (long long)in_use->generation, (long long)(in_use->elapsed_ms / 1000),
          (long long)(in_use->elapsed_ms % 1000 / 100));
    else
        (void)fprintf(out, "No process has the home open: the next start uses it.\n");
}

static void
append_step(bson_t *json, ROTATE_KIND kind, const ROTATE_STEP *step)
{
    output_json_text(json, kind == ROTATE_DATA ? "keyid" : "scope", step->name);
    output_json_id(json, "id", step->old_id);
    if (kind == ROTATE_DATA)
        output_json_number(json, "version", step->old_version);
    if (kind != ROTATE_CMK && step->new_id != 0)
        output_json_id(json, "nextId", step->new_id);
    if (kind == ROTATE_DATA)
        output_json_number(json, "nextVersion", step->new_version);
    else {
        output_json_text(json, "recipientsBefore", step->old_recipients);
        output_json_text(json, "recipients", step->new_recipients);
    }
    if (kind == ROTATE_MASTER)
        output_json_number(json, "dataKeys", (int64_t)step->data_keys);
}

static int
print_json(ROTATE_KIND kind, const OPTIONS *options, const ROTATE_RESULT *result,
  const IN_USE *in_use, STATUS *status)
{
    bson_t element, json, steps, use;
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i;
    int ret;

    keystore_uuid_text(result->uuid, uuid);
    bson_init(&json);
    output_json_text(&json, "operation", kind_names[kind]);
    output_json_bool(&json, "plan", options->plan);
    output_json_text(&json, "uuid", uuid);
    output_json_number(&json, "generation", result->generation);
    output_json_begin_array(&json, "steps", &steps);
    for (i = 0; i < result->count; i++) {
        output_json_element(&steps, (uint32_t)i, &element);
        append_step(&element, kind, &result->steps[i]);
        output_json_end(&steps, &element);
    }
    output_json_end_array(&json, &steps);
    if (in_use->waited) {
        output_json_begin(&json, "inUse", &use);
        output_json_bool(&use, "running", in_use->running);
        if (in_use->running) {
            output_json_number(&use, "generation", in_use->generation);
            output_json_number(&use, "waitedMs", in_use->elapsed_ms);
        }
        output_json_end(&json, &use);
    }
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the commands */

/*
 * The configuration that opens the keystore today: the one that was named; else, when the new one is
 * not it, the usual one if it is there. Never one that the home names: endpoints and credentials
 * come from the operator.
 */
static int
load_from(CLI *cli, const OPTIONS *options, SETTINGS **fromp, STATUS *status)
{
    STATUS ignored;

    *fromp = NULL;
    if (options->from != NULL)
        return (settings_load(options->from, fromp, status));
    if (options->config == NULL || strcmp(options->config, CLI_DEFAULT_CONFIG) == 0 ||
        access(CLI_DEFAULT_CONFIG, F_OK) != 0)
        return (0);
    status_clear(&ignored);
    if (settings_load(CLI_DEFAULT_CONFIG, fromp, &ignored) != 0) {
        log_status(&cli->log, LOG_WARNING, &ignored);
        *fromp = NULL;
    }
    return (0);
}

static int
run(CLI *cli, ROTATE_KIND kind, const TARGET *target, const OPTIONS *options, ROTATE_RESULT *result,
  STATUS *status)
{
    ROTATE_OPTIONS rotate_options = {.log = &cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .plan = options->plan,
      .reason = options->reason};
    SETTINGS *from = NULL;
    int ret;

    switch (kind) {
    case ROTATE_MASTER:
        return (rotate_master(
          target->fd, target->settings, options->scope, &rotate_options, result, status));
    case ROTATE_DATA:
        return (rotate_data(
          target->fd, target->settings, options->keyid, &rotate_options, result, status));
    case ROTATE_CMK:
        break;
    }
    if ((ret = load_from(cli, options, &from, status)) != 0)
        return (ret);
    ret = rotate_cmk(target->fd, target->settings, from, &rotate_options, result, status);
    if (ret == STATUS_NO_KEY && from == NULL)
        (void)status_hint(status,
          "--from FILE names the configuration that opens it today; --config is the new one");
    settings_free(from);
    return (ret);
}

static int
check_options(const OPTIONS *options, STATUS *status)
{
    if (options->all && (options->scope != NULL || options->keyid != NULL))
        return (status_set(status, STATUS_REFUSED, "usage", "--all and --%s exclude each other",
          options->scope != NULL ? "scope" : "keyid"));
    if (options->timeout != 0 && !options->wait)
        return (status_set(status, STATUS_REFUSED, "usage", "--timeout is for --wait"));
    if (options->plan && options->wait)
        return (
          status_set(status, STATUS_REFUSED, "usage", "--plan and --wait exclude each other"));
    return (0);
}

static int
rotate(CLI *cli, ROTATE_KIND kind, const OPTIONS *options, STATUS *status)
{
    IN_USE in_use = {0};
    ROTATE_RESULT result = {0};
    TARGET target;
    int ret;

    if ((ret = check_options(options, status)) != 0 ||
        (ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (!options->plan && (ret = home_refuse_unfinished(target.fd, status)) != 0) ||
        (ret = run(cli, kind, &target, options, &result, status)) != 0)
        goto err;
    /* What is done is told before the wait; as JSON it is one document, behind it. */
    if (options->format != FORMAT_JSON) {
        print_table(kind, options, &result, stdout);
        (void)fflush(stdout);
    }
    if (options->wait && (ret = wait_in_use(&target, options, &result, &in_use, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(kind, options, &result, &in_use, status);
    else
        print_in_use(&in_use, stdout);

err:
    rotate_release(&result);
    target_close(&target);
    return (ret);
}

int
cmd_rotate_cmk(CLI *cli, const OPTIONS *options, STATUS *status)
{
    return (rotate(cli, ROTATE_CMK, options, status));
}

int
cmd_rotate_master(CLI *cli, const OPTIONS *options, STATUS *status)
{
    return (rotate(cli, ROTATE_MASTER, options, status));
}

int
cmd_rotate_data(CLI *cli, const OPTIONS *options, STATUS *status)
{
    return (rotate(cli, ROTATE_DATA, options, status));
}
