/*
 * cli/cmd_reencrypt.c -- wtkms reencrypt.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "cli/target.h"
#include "datafile/home.h"
#include "rotation/reencrypt.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000
#define MEGABYTE 1000000

const OPTIONS_ENTRY cmd_reencrypt_options[] = {
  {"jobs", 'j', OPTIONS_NUMBER, "N", offsetof(OPTIONS, jobs), NULL, 1, REENCRYPT_THREADS_MAX,
    "Threads that encrypt; by default one for each processor."},
  {"throttle", 0, OPTIONS_NUMBER, "MB", offsetof(OPTIONS, throttle), NULL, 1, 1000000,
    "Rewrite at most so many megabytes a second."},
  {"plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0,
    "Count and estimate what would be done; change nothing."},
  {"finish", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, finish), NULL, 0, 0,
    "Only bring in order what an interrupted run left, so that the database can start."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static volatile sig_atomic_t interrupted;

static void
on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

static bool
is_interrupted(void *context)
{
    (void)context;
    return (interrupted != 0);
}

static void
started(void *context, uint64_t total)
{
    PROGRESS **progressp = context;

    *progressp = progress_start("Re-encrypting", total);
}

static void
progressed(void *context, uint64_t bytes)
{
    PROGRESS **progressp = context;

    progress_add(*progressp, bytes);
}

/* --- telling */

static const char *
what_to_do(const REENCRYPT_USE *use)
{
    return (!use->known || use->active_id == 0 ? "no key"
            : use->active_id == use->id        ? "active"
                                               : "rewrite");
}

static void
print_outcome(const OPTIONS *options, const REENCRYPT_RESULT *result)
{
    if (result->replay.found)
        (void)printf("An interrupted run left %s batch: %llu blocks were put to their places%s.\n",
          result->replay.complete ? "a complete" : "an incomplete",
          (unsigned long long)result->replay.written,
          result->replay.outdated == 0 ? "" : ", others had changed since and were left alone");
    else if (options->finish)
        (void)printf("No interrupted run: nothing to finish.\n");
    if (options->finish)
        return;
    if (options->plan) {
        if (result->unfinished)
            (void)printf("A run was interrupted: this one would go on with it.\n");
        (void)printf("Plan only, nothing was changed: %llu of the units, %llu bytes, would be "
                     "rewritten, in about %.0f s.\n",
          (unsigned long long)result->due, (unsigned long long)result->due_bytes, result->seconds);
        return;
    }
    (void)printf("%s: %llu blocks and log records, %llu bytes, in %.1f s.\n",
      result->stopped ? "Stopped, all is in order; run it again to go on. Rewritten" : "Rewritten",
      (unsigned long long)result->rewritten, (unsigned long long)result->rewritten_bytes,
      result->seconds);
    if (result->zeroed != 0)
        (void)printf("Starts of overwritten blocks in free space that were zeroed: %llu.\n",
          (unsigned long long)result->zeroed);
}

static void
print_table(const TARGET *target, const OPTIONS *options, const REENCRYPT_RESULT *result)
{
    OUTPUT_TABLE *table;
    char *safe;
    size_t i;

    safe = output_safe(target->path);
    if (!options->finish)
        (void)printf("%s: %llu files, %llu bytes.\n", safe, (unsigned long long)result->files,
          (unsigned long long)result->total);
    free(safe);
    table = output_table_new(
      "KEYID", "DATA KEY", "UNITS", "BYTES", options->plan ? "TO DO" : "WAS", "ACTIVE", NULL);
    for (i = 0; i < result->use_count; i++) {
        output_table_cell(table, "%s", result->uses[i].known ? result->uses[i].keyid : "-");
        output_table_cell(table, "%016llx", (unsigned long long)result->uses[i].id);
        output_table_cell(table, "%llu", (unsigned long long)result->uses[i].units);
        output_table_cell(table, "%llu", (unsigned long long)result->uses[i].bytes);
        output_table_cell(table, "%s", what_to_do(&result->uses[i]));
        output_table_cell(table, "%016llx", (unsigned long long)result->uses[i].active_id);
    }
    output_table_print(table, 2, stdout);
    print_outcome(options, result);
    if (result->untouched != 0)
        (void)printf(
          "Opened by no key and left as they are: %llu.\n", (unsigned long long)result->untouched);
    if (result->remains != 0)
        (void)printf("Starts of blocks that are not whole and may belong to something: %llu.\n",
          (unsigned long long)result->remains);
    table = output_table_new("FILE", "OFFSET", "LEFT AS IT IS", NULL);
    for (i = 0; i < result->finding_count; i++) {
        output_table_cell(table, "%s", result->findings[i].path);
        output_table_cell(table, "%llu", (unsigned long long)result->findings[i].offset);
        output_table_cell(table, "%s", result->findings[i].what);
    }
    output_table_print(table, 2, stdout);
    if (result->rewritten != 0 || result->replay.written != 0)
        (void)printf("Take a new full backup now: incremental backups do not know what changed, "
                     "and copies made before still need the old keys.\n");
}

static void
append_replay(bson_t *json, const REENCRYPT_REPLAY *replay)
{
    bson_t child;

    output_json_begin(json, "interruptedRun", &child);
    output_json_bool(&child, "found", replay->found);
    output_json_bool(&child, "complete", replay->complete);
    output_json_number(&child, "written", (int64_t)replay->written);
    output_json_number(&child, "outdated", (int64_t)replay->outdated);
    output_json_end(json, &child);
}

static void
append_lists(bson_t *json, const REENCRYPT_RESULT *result)
{
    bson_t element, list;
    uint32_t i;

    output_json_begin_array(json, "dataKeys", &list);
    for (i = 0; i < result->use_count; i++) {
        output_json_element(&list, i, &element);
        output_json_text(&element, "keyid", result->uses[i].known ? result->uses[i].keyid : NULL);
        output_json_id(&element, "id", result->uses[i].id);
        output_json_id(&element, "activeId", result->uses[i].active_id);
        output_json_number(&element, "units", (int64_t)result->uses[i].units);
        output_json_number(&element, "bytes", (int64_t)result->uses[i].bytes);
        output_json_text(&element, "action", what_to_do(&result->uses[i]));
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
    output_json_begin_array(json, "findings", &list);
    for (i = 0; i < result->finding_count; i++) {
        output_json_element(&list, i, &element);
        output_json_text(&element, "path", result->findings[i].path);
        output_json_number(&element, "offset", (int64_t)result->findings[i].offset);
        output_json_text(&element, "what", result->findings[i].what);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

static int
print_json(
  const TARGET *target, const OPTIONS *options, const REENCRYPT_RESULT *result, STATUS *status)
{
    bson_t json;
    int ret;

    bson_init(&json);
    output_json_text(&json, "path", target->path);
    output_json_bool(&json, "plan", options->plan);
    output_json_bool(&json, "stopped", result->stopped);
    if (options->plan)
        output_json_bool(&json, "unfinished", result->unfinished);
    else
        append_replay(&json, &result->replay);
    output_json_number(&json, "files", (int64_t)result->files);
    output_json_number(&json, "bytes", (int64_t)result->total);
    output_json_number(&json, "due", (int64_t)result->due);
    output_json_number(&json, "dueBytes", (int64_t)result->due_bytes);
    output_json_number(&json, "rewritten", (int64_t)result->rewritten);
    output_json_number(&json, "rewrittenBytes", (int64_t)result->rewritten_bytes);
    output_json_number(&json, "zeroed", (int64_t)result->zeroed);
    output_json_number(&json, "untouched", (int64_t)result->untouched);
    output_json_number(&json, "remains", (int64_t)result->remains);
    output_json_number(&json, "milliseconds", (int64_t)(result->seconds * 1000));
    output_json_number(&json, "generation", result->generation);
    output_json_bool(
      &json, "fullBackupNeeded", result->rewritten != 0 || result->replay.written != 0);
    append_lists(&json, result);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the command */

/* Its own journal is what it goes on with; a restore that was not finished goes on by itself. */
static int
refuse_unfinished_copy(const TARGET *target, STATUS *status)
{
    int ret = home_refuse_unfinished(target->fd, status);

    return (ret != 0 && strcmp(status->id, "reencrypt-unfinished") == 0 ? 0 : ret);
}

static int
reencrypt(TARGET *target, const OPTIONS *options, KEYRING *keyring, REENCRYPT_RESULT *result,
  STATUS *status)
{
    PROGRESS *progress = NULL;
    REENCRYPT_OPTIONS reencrypt_options = {
      .threads = options_threads(options, REENCRYPT_THREADS_MAX),
      .throttle = (uint64_t)options->throttle * MEGABYTE,
      .plan = options->plan,
      .finish = options->finish,
      .reason = options->reason,
      .interrupted = is_interrupted,
      .started = started,
      .progress = progressed,
      .context = &progress};
    struct sigaction action, old_int, old_term;
    char *log_path = NULL;
    int ret;

    if ((ret = survey_log_path(target, &log_path, status)) != 0)
        return (ret);
    reencrypt_options.log_path = log_path;
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, &old_int);
    (void)sigaction(SIGTERM, &action, &old_term);
    ret = reencrypt_home(target->fd, keyring, &reencrypt_options, result, status);
    (void)sigaction(SIGINT, &old_int, NULL);
    (void)sigaction(SIGTERM, &old_term, NULL);
    progress_end(progress);
    free(log_path);
    return (ret);
}

int
cmd_reencrypt(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = options->plan};
    KEYRING *keyring = NULL;
    REENCRYPT_RESULT result = {0};
    TARGET target;
    int ret;

    if (options->plan && options->finish)
        return (
          status_set(status, STATUS_REFUSED, "usage", "--plan and --finish exclude each other"));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = refuse_unfinished_copy(&target, status)) != 0 ||
        (ret = keyring_open(target.fd, target.settings, &keyring_options, &keyring, status)) != 0 ||
        (ret = reencrypt(&target, options, keyring, &result, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(&target, options, &result, status);
    else
        print_table(&target, options, &result);
    if (result.stopped)
        cli->exit_code = CLI_FAILED;
    else if (result.untouched != 0 || result.remains != 0 || result.replay.outdated != 0)
        cli->exit_code = CLI_UNJUDGED;

err:
    reencrypt_release(&result);
    keyring_close(keyring);
    target_close(&target);
    return (ret);
}
