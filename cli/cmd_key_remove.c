/*
 * cli/cmd_key_remove.c -- wtkms key remove: the data keys of one keyid are destroyed.
 */
#include "cli/cli.h"
#include "cli/key_usage.h"
#include "cli/output.h"
#include "cli/target.h"
#include "rotation/copy_lock.h"
#include "rotation/remove.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 10000
#define KMS_RETRY_MS 10000

const OPTIONS_ENTRY cmd_key_remove_options[] = {
  {"keyid", 0, OPTIONS_TEXT, "KEYID", offsetof(OPTIONS, keyid), NULL, 0, 0, "Whose data keys."},
  {"yes", 0, OPTIONS_TEXT, "KEYID", offsetof(OPTIONS, yes), NULL, 0, 0,
    "The keyid once more, where no terminal can ask for it."},
  {"plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0,
    "Print what would be removed; write nothing."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static bool
is_removed(const REMOVE_RESULT *plan, uint64_t id)
{
    size_t i;

    for (i = 0; i < plan->count; i++)
        if (plan->ids[i] == id)
            return (true);
    return (false);
}

/* Refused by a file's name when it has a unit under one of the keys, or cannot be read whole. */
static int
check_unused(
  const TARGET *target, const OPTIONS *options, const REMOVE_RESULT *plan, STATUS *status)
{
    const SURVEY_FILE *file;
    KEY_USAGE usage;
    SURVEY survey;
    size_t i, u;
    int ret;

    memset(&usage, 0, sizeof(usage));
    if ((ret = survey_home(target, true, false, &survey, status)) != 0)
        goto err;
    for (i = 0; i < survey.count; i++)
        for (file = &survey.files[i], u = 0; u < file->use_count; u++) {
            if (!is_removed(plan, file->uses[u].data_key_id))
                continue;
            (void)status_set(status, STATUS_REFUSED, "remove-used",
              "%s/%s has %llu units under a data key of keyid \"%s\"", target->path, file->path,
              (unsigned long long)file->uses[u].units, options->keyid);
            ret = status_hint(status,
              "drop the table, or what else is in it, and take a checkpoint; then stop the "
              "database");
            goto err;
        }
    key_usage_judge(&usage, target, &survey);
    if (usage.unjudged_count != 0) {
        (void)status_set(status, STATUS_REFUSED, "remove-unjudged",
          "whether a file is under keyid \"%s\" cannot be judged: %s", options->keyid,
          usage.unjudged[0]);
        ret = status_hint(status, "\"wtkms check\" says more");
    }

err:
    key_usage_release(&usage);
    survey_release(&survey);
    return (ret);
}

static int
confirm(const OPTIONS *options, const REMOVE_RESULT *plan, STATUS *status)
{
    char line[KEYSTORE_KEYID_MAX + 2], *safe;
    size_t len;

    if (options->yes != NULL) {
        if (strcmp(options->yes, options->keyid) == 0)
            return (0);
        return (
          status_set(status, STATUS_REFUSED, "usage", "--yes and --keyid name different keyids"));
    }
    if (!isatty(STDIN_FILENO)) {
        (void)status_set(
          status, STATUS_REFUSED, "remove-unconfirmed", "there is no terminal to confirm on");
        return (status_hint(status, "--yes KEYID confirms"));
    }
    safe = output_safe(options->keyid);
    (void)fprintf(stderr,
      "%zu data keys of keyid \"%s\" will be destroyed. Nothing brings them back.\n"
      "Type the keyid to go on: ",
      plan->count, safe);
    free(safe);
    (void)fflush(stderr);
    if (fgets(line, sizeof(line), stdin) == NULL)
        line[0] = '\0';
    len = strlen(line);
    if (len != 0 && line[len - 1] == '\n')
        line[len - 1] = '\0';
    if (strcmp(line, options->keyid) == 0)
        return (0);
    return (status_set(
      status, STATUS_REFUSED, "remove-unconfirmed", "that is not the keyid: nothing was changed"));
}

static void
print_table(const OPTIONS *options, const REMOVE_RESULT *result)
{
    char *safe;
    size_t i;

    safe = output_safe(options->keyid);
    (void)printf(options->plan ? "Plan only, nothing was changed: %zu data keys of keyid \"%s\""
                               : "Removed: %zu data keys of keyid \"%s\"",
      result->count, safe);
    free(safe);
    if (result->master_key_id != 0)
        (void)printf(" and their master key %016llx", (unsigned long long)result->master_key_id);
    (void)printf("; keystore generation %lld.\n", (long long)result->generation);
    for (i = 0; i < result->leftover_count; i++) {
        safe = output_safe(result->leftovers[i]);
        (void)printf("Still has them: %s, beside the keystore. Destroy it.\n", safe);
        free(safe);
    }
    (void)printf(
      "What this does not reach:\n"
      "- older keystores in copies, snapshots and backups, and the disk blocks that held them;\n"
      "- the tenant's rows in WiredTigerHS.wt, in the journal and in indexes without the keyid:\n"
      "  those are under keyid \"default\";\n"
      "- the oplog, and other members of the replica set, which have keys of their own;\n"
      "- a process that held the keys in memory, and dumps of it.\n"
      "Destroying the tenant's own customer key in the key service is what shreds all copies of "
      "the\nkeystore at once; for that the keyid needs an entry under keys: in wtkms.conf.\n");
}

static int
print_json(const OPTIONS *options, const REMOVE_RESULT *result, STATUS *status)
{
    bson_t element, json, list;
    char name[16], uuid[KEYSTORE_UUID_TEXT];
    uint32_t i;
    int ret;

    keystore_uuid_text(result->uuid, uuid);
    bson_init(&json);
    output_json_text(&json, "operation", "key remove");
    output_json_bool(&json, "plan", options->plan);
    output_json_text(&json, "keyid", options->keyid);
    output_json_text(&json, "uuid", uuid);
    output_json_number(&json, "generation", result->generation);
    output_json_begin_array(&json, "dataKeys", &list);
    for (i = 0; i < result->count; i++) {
        output_json_element(&list, i, &element);
        output_json_id(&element, "id", result->ids[i]);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    if (result->master_key_id != 0)
        output_json_id(&json, "masterKey", result->master_key_id);
    output_json_begin_array(&json, "stillIn", &list);
    for (i = 0; i < result->leftover_count; i++) {
        (void)snprintf(name, sizeof(name), "%u", (unsigned)i);
        output_json_text(&list, name, result->leftovers[i]);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static int
run(CLI *cli, const TARGET *target, const OPTIONS *options, REMOVE_RESULT *result, STATUS *status)
{
    ROTATE_OPTIONS rotate_options = {.log = &cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .plan = true,
      .reason = options->reason};
    int copies_fd, ret;

    if ((ret = target_refuse_running(target, status)) != 0 ||
        (ret = remove_keyid(
           target->fd, target->settings, options->keyid, &rotate_options, result, status)) != 0 ||
        (ret = check_unused(target, options, result, status)) != 0)
        return (ret);
    if (options->plan)
        return (0);
    /* Whoever started a database while the files were read or the keyid was typed is not overrun. */
    if ((ret = confirm(options, result, status)) != 0 ||
        (ret = target_refuse_running(target, status)) != 0)
        return (ret);
    /* A copy that is being made takes the keystore last: it would have files and no key for them. */
    if ((ret = copy_lock_alone(target->fd, 0, NULL, NULL, &copies_fd, status)) != 0)
        return (ret);
    remove_release(result);
    rotate_options.plan = false;
    ret =
      remove_keyid(target->fd, target->settings, options->keyid, &rotate_options, result, status);
    (void)close(copies_fd);
    return (ret);
}

int
cmd_key_remove(CLI *cli, const OPTIONS *options, STATUS *status)
{
    REMOVE_RESULT result;
    TARGET target;
    int ret;

    memset(&result, 0, sizeof(result));
    if (options->keyid == NULL)
        return (status_set(status, STATUS_REFUSED, "usage", "--keyid is missing"));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = run(cli, &target, options, &result, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(options, &result, status);
    else
        print_table(options, &result);

err:
    remove_release(&result);
    target_close(&target);
    return (ret);
}
