/*
 * cli/cmd_check.c -- wtkms check.
 */
#include "cli/cli.h"
#include "cli/home_check.h"
#include "cli/keystore_view.h"
#include "cli/target.h"
#include "common/file.h"
#include "keystore/mirror.h"

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000
#define THREADS_MAX 256

const OPTIONS_ENTRY cmd_check_options[] = {
  {"jobs", 'j', OPTIONS_NUMBER, "N", offsetof(OPTIONS, jobs), NULL, 1, THREADS_MAX,
    "Threads that decrypt; by default one for each processor."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static int
warn_about_engine_lines(CLI *cli, const TARGET *target, STATUS *status)
{
    MIRROR mirror;
    uint8_t *text = NULL;
    size_t len;
    int ret;
    bool found;

    if ((ret = file_read(
           target->fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &text, &len, status)) != 0)
        goto err;
    if (found) {
        if ((ret = mirror_parse((const char *)text, len, &mirror, status)) != 0)
            goto err;
        found = mirror.has_engine_lines;
        if (!mirror.has_keystore)
            log_printf(&cli->log, LOG_WARNING,
              "%s has no copy of the keystore: the engine's backups carry no keys", MIRROR_FILE);
        mirror_release(&mirror);
    }
    if (!found)
        log_printf(&cli->log, LOG_WARNING,
          "%s does not load the module: a mongod started without it takes the data for corrupted, "
          "and --repair would destroy it; \"wtkms init\" writes the lines",
          MIRROR_FILE);

err:
    free(text);
    if (ret == 0 || ret == STATUS_NO_MEMORY)
        return (ret);
    log_status(&cli->log, LOG_WARNING, status);
    return (0);
}

static void
print_table(
  const TARGET *target, const HOME_CHECK *check, const KEYSTORE *keystore, KEYRING_SOURCE source)
{
    OUTPUT_TABLE *table;
    char *safe, uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    safe = output_safe(target->path);
    keystore_uuid_text(keystore->uuid, uuid);
    (void)printf("%s: keystore %s, generation %lld, read from the %s, opens and its seal holds.\n",
      safe, uuid, (long long)keystore->generation, keystore_view_source(source));
    free(safe);
    (void)printf("%llu units in %zu files, %llu bytes encrypted; %llu plain tables.\n",
      (unsigned long long)check->units, check->file_count, (unsigned long long)check->bytes,
      (unsigned long long)check->plain_tables);
    table = output_table_new("PLAIN TABLE", "PAGES", NULL);
    for (i = 0; i < check->file_count; i++)
        if (!check->files[i].is_log && check->files[i].units == 0 &&
            check->files[i].clear_units != 0) {
            output_table_cell(table, "%s", check->files[i].path);
            output_table_cell(table, "%llu", (unsigned long long)check->files[i].clear_units);
        }
    output_table_print(table, 2, stdout);
    table = output_table_new("FILE", "OFFSET", "FAILURE", NULL);
    for (i = 0; i < check->finding_count; i++) {
        output_table_cell(table, "%s", check->files[check->findings[i].file].path);
        output_table_cell(table, "%llu", (unsigned long long)check->findings[i].offset);
        output_table_cell(table, "%s", check->findings[i].what);
    }
    output_table_print(table, 2, stdout);
    if (check->gone != 0)
        (void)printf(
          "%llu places failed at first and held at a second look: the host wrote there.\n",
          (unsigned long long)check->gone);
    if (check->failures == 0)
        (void)printf("All of it holds.\n");
    else
        (void)printf("%llu failures%s.\n", (unsigned long long)check->failures,
          check->failures > check->finding_count ? ", the first of them above" : "");
}

static int
print_json(const TARGET *target, const HOME_CHECK *check, const KEYSTORE *keystore,
  KEYRING_SOURCE source, bool host_running, STATUS *status)
{
    static const char *const kinds[] = {"block", "metadata", "record", "file"};
    const HOME_CHECK_FINDING *f;
    bson_t element, json, list;
    uint32_t i, n;
    int ret;

    bson_init(&json);
    output_json_text(&json, "path", target->path);
    output_json_text(&json, "source", keystore_view_source(source));
    output_json_text(&json, "seal", "verified");
    keystore_view_header(&json, keystore);
    output_json_bool(&json, "hostRunning", host_running);
    output_json_number(&json, "files", (int64_t)check->file_count);
    output_json_number(&json, "units", (int64_t)check->units);
    output_json_number(&json, "bytes", (int64_t)check->bytes);
    output_json_begin_array(&json, "plainTables", &list);
    for (n = 0, i = 0; i < check->file_count; i++)
        if (!check->files[i].is_log && check->files[i].units == 0 &&
            check->files[i].clear_units != 0) {
            output_json_element(&list, n++, &element);
            output_json_text(&element, "path", check->files[i].path);
            output_json_number(&element, "pages", (int64_t)check->files[i].clear_units);
            output_json_end(&list, &element);
        }
    output_json_end_array(&json, &list);
    output_json_number(&json, "failures", (int64_t)check->failures);
    output_json_number(&json, "heldAtSecondLook", (int64_t)check->gone);
    output_json_begin_array(&json, "findings", &list);
    for (i = 0; i < check->finding_count; i++) {
        f = &check->findings[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "path", check->files[f->file].path);
        output_json_number(&element, "offset", (int64_t)f->offset);
        output_json_text(&element, "kind", kinds[f->kind]);
        output_json_text(&element, "failure", f->what);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static int
check_home(CLI *cli, TARGET *target, const OPTIONS *options, KEYRING *keyring, bool host_running,
  STATUS *status)
{
    HOME_CHECK_OPTIONS check_options = {
      .threads = options_threads(options, THREADS_MAX), .host_running = host_running};
    HOME_CHECK check;
    const KEYSTORE *keystore;
    int ret;

    if ((ret = home_check_run(target, keyring, &check_options, &check, status)) == 0) {
        keystore = keyring_hold_keystore(keyring);
        if (options->format == FORMAT_JSON)
            ret =
              print_json(target, &check, keystore, keyring_source(keyring), host_running, status);
        else
            print_table(target, &check, keystore, keyring_source(keyring));
        keyring_release_keystore(keyring, keystore);
        if (check.failures != 0)
            cli->exit_code = CLI_FAILED;
    }
    home_check_release(&check);
    return (ret);
}

int
cmd_check(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS, .read_only = true};
    KEYRING *keyring = NULL;
    TARGET target;
    pid_t pid;
    int ret;
    bool running;

    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((ret = target_load(&target, options->config, status)) != 0 ||
        (ret = target_host_running(&target, &running, &pid, status)) != 0 ||
        (ret = keyring_open(target.fd, target.settings, &keyring_options, &keyring, status)) != 0)
        goto err;
    if (running)
        log_printf(&cli->log, LOG_INFO,
          "process %ld has the home open: blocks change under the check, so what fails is looked "
          "at "
          "twice",
          (long)pid);
    if ((ret = warn_about_engine_lines(cli, &target, status)) != 0)
        goto err;
    ret = check_home(cli, &target, options, keyring, running, status);

err:
    keyring_close(keyring);
    target_close(&target);
    return (ret);
}
