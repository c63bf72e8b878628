/*
 * cli/cmd_snapshot_restore.c -- wtkms snapshot restore.
 */
#include "cli/output.h"
#include "cli/snapshot_restore.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#define THREADS_MAX 256

const OPTIONS_ENTRY cmd_snapshot_restore_options[] = {
  {"from", 0, OPTIONS_TEXT, "FILE", offsetof(OPTIONS, from), NULL, 0, 0,
    "The configuration that opens the copy; --config is tried too."},
  {"trust-key", 0, OPTIONS_TEXT, "ID", offsetof(OPTIONS, trust_key), NULL, 0, 0,
    "Open it through this recorded recipient too, though not configured."},
  {"reencrypt", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, reencrypt), NULL, 0, 0,
    "New data keys too: every page and log record is rewritten."},
  {"accept-torn", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, accept_torn), NULL, 0, 0,
    "Accept blocks whose checksum does not fit: of a running database."},
  {"module", 0, OPTIONS_TEXT, "PATH", offsetof(OPTIONS, module), NULL, 0, 0,
    "The module; by default where it was installed."},
  {"extensions", 0, OPTIONS_TEXT, "LIST", offsetof(OPTIONS, extensions), NULL, 0, 0,
    "Other extensions of the host, in place of those that the copy names."},
  {"jobs", 'j', OPTIONS_NUMBER, "N", offsetof(OPTIONS, jobs), NULL, 1, THREADS_MAX,
    "Threads that read and decrypt; by default one for each processor."},
  {"plan", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, plan), NULL, 0, 0,
    "Print what would be done; write nothing."},
  {"reason", 0, OPTIONS_TEXT, "TEXT", offsetof(OPTIONS, reason), NULL, 0, 0,
    "Why, for the keystore's history."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

/* What the file system has left for the home's user; UINT64_MAX: it does not say. */
static uint64_t
bytes_free(const SNAPSHOT_RESTORE *r)
{
    struct statvfs fs;

    if (fstatvfs(r->target.fd, &fs) != 0)
        return (UINT64_MAX);
    return ((uint64_t)fs.f_bavail * fs.f_frsize);
}

/* --- the plan */

static void
print_plan(const SNAPSHOT_RESTORE *r)
{
    char *source = output_safe(r->source), *home = output_safe(r->target.path);
    char uuid[KEYSTORE_UUID_TEXT];

    (void)printf("Plan only, nothing was changed.\n");
    if (r->state.phase != RESTORE_COPYING)
        (void)printf("%s: all of %s is there; the keys would be made its own.\n", home, source);
    else {
        keystore_uuid_text(r->keys.keystore->uuid, uuid);
        (void)printf("%s: keystore %s, generation %lld, %s, opens with %s.\n", source, uuid,
          (long long)r->keys.keystore->generation,
          r->keys.source == KEYRING_FROM_MIRROR ? "from WiredTiger.config" : "with the copy",
          r->opened_by);
        (void)printf("%llu files, %llu bytes, would be %s %s; free there: %llu bytes.\n",
          (unsigned long long)r->count.files, (unsigned long long)r->count.bytes,
          r->resumed ? "completed in" : "copied to", home, (unsigned long long)bytes_free(r));
    }
    (void)printf("Configuration: %s; module: %s.\n", r->config, r->module);
    free(source);
    free(home);
}

static int
print_plan_json(const SNAPSHOT_RESTORE *r, STATUS *status)
{
    bson_t json;
    char uuid[KEYSTORE_UUID_TEXT];
    int ret;

    bson_init(&json);
    output_json_text(&json, "copy", r->source);
    output_json_text(&json, "home", r->target.path);
    output_json_bool(&json, "plan", true);
    output_json_bool(&json, "resumed", r->resumed);
    output_json_text(&json, "configuration", r->config);
    if (r->keys.found) {
        keystore_uuid_text(r->keys.keystore->uuid, uuid);
        output_json_text(&json, "parent", uuid);
        output_json_text(&json, "openedBy", r->opened_by);
        output_json_number(&json, "files", (int64_t)r->count.files);
        output_json_number(&json, "bytes", (int64_t)r->count.bytes);
    }
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the result */

static bool
is_left_over(const SNAPSHOT_RESTORE *r)
{
    return (r->reencrypted.untouched != 0 || r->reencrypted.remains != 0);
}

static void
print_next(const SNAPSHOT_RESTORE *r)
{
    (void)printf("What is to be done now:\n");
    if (!r->has_lines)
        (void)printf("  WiredTiger.config does not load the module, as it did not in the copy: the "
                     "application's configuration must, or \"wtkms init\" writes the lines.\n");
    if (r->others != NULL && r->others[0] != '\0')
        (void)printf("  WiredTiger.config also loads what the copy's named: %s. Look whether it is "
                     "the same here.\n",
          r->others);
    if (r->log_outside != NULL)
        (void)printf(
          "  WiredTiger.basecfg names the log directory %s, outside of the home: give this "
          "database one of its own before it starts.\n",
          r->log_outside);
    (void)printf(
      "  Start the database on it. As a member of a replica set it catches up from the others; "
      "as a new set it needs a new configuration of the set.\n"
      "  Take a full backup: copies made before need the old keys.\n"
      "  The copy itself, and others of its node, still need their customer key: \"wtkms key "
      "usage\" tells.\n");
}

static void
print_table(const SNAPSHOT_RESTORE *r)
{
    char *home = output_safe(r->target.path), *source = output_safe(r->source);
    char parent[KEYSTORE_UUID_TEXT], uuid[KEYSTORE_UUID_TEXT];

    keystore_uuid_text(r->uuid, uuid);
    keystore_uuid_text(r->parent, parent);
    if (r->copied_before)
        (void)printf("%s: an interrupted run had brought all of %s.\n", home, source);
    else {
        (void)printf("%s: %llu files, %llu bytes of %s%s; %llu units authenticated.\n", home,
          (unsigned long long)r->count.files, (unsigned long long)r->count.bytes, source,
          r->manifest == NULL ? ""
          : r->mac_checked    ? ", as its authentic manifest says"
                              : ", as its manifest says",
          (unsigned long long)r->check.authenticated);
        if (r->count.kept != 0)
            (void)printf("%llu of the files were there whole, from an interrupted run.\n",
              (unsigned long long)r->count.kept);
    }
    if (r->check.plain_tables != 0)
        (void)printf("%llu tables are not encrypted, as in the copy.\n",
          (unsigned long long)r->check.plain_tables);
    if (r->torn != 0)
        (void)printf("%llu blocks whose checksum does not fit were copied as they are.\n",
          (unsigned long long)r->torn);
    (void)printf("Restored: keystore %s, generation %lld, of parent %s, opens with:\n%s", uuid,
      (long long)r->generation, parent, r->recipients);
    if (r->options->reencrypt)
        (void)printf("New data keys: %llu blocks and log records were rewritten%s.\n",
          (unsigned long long)r->reencrypted.rewritten,
          is_left_over(r) ? "; some stayed as they were, \"wtkms reencrypt\" names them" : "");
    else
        (void)printf(
          "The data keys are the copy's; \"wtkms rotate data\" makes new ones for what is "
          "written from now on.\n");
    print_next(r);
    free(home);
    free(source);
}

static int
print_json(const SNAPSHOT_RESTORE *r, STATUS *status)
{
    bson_t json;
    char text[KEYSTORE_UUID_TEXT];
    int ret;

    bson_init(&json);
    output_json_text(&json, "copy", r->source);
    output_json_text(&json, "home", r->target.path);
    output_json_bool(&json, "plan", false);
    output_json_bool(&json, "resumed", r->resumed);
    output_json_number(&json, "files", (int64_t)r->count.files);
    output_json_number(&json, "bytes", (int64_t)r->count.bytes);
    output_json_number(&json, "kept", (int64_t)r->count.kept);
    output_json_number(&json, "authenticated", (int64_t)r->check.authenticated);
    output_json_number(&json, "torn", (int64_t)r->torn);
    output_json_number(&json, "plainTables", (int64_t)r->check.plain_tables);
    output_json_bool(&json, "manifest", r->manifest != NULL);
    keystore_uuid_text(r->parent, text);
    output_json_text(&json, "parent", text);
    keystore_uuid_text(r->uuid, text);
    output_json_text(&json, "uuid", text);
    output_json_number(&json, "generation", r->generation);
    output_json_bool(&json, "engineLines", r->has_lines);
    output_json_text(&json, "otherExtensions", r->others);
    output_json_bool(&json, "reencrypted", r->options->reencrypt);
    output_json_number(&json, "rewritten", (int64_t)r->reencrypted.rewritten);
    output_json_number(
      &json, "leftUnderOldKeys", (int64_t)(r->reencrypted.untouched + r->reencrypted.remains));
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the command */

static int
check_options(const OPTIONS *options, STATUS *status)
{
    if (options->plan && strcmp(options->operands[0], "-") == 0)
        return (status_set(status, STATUS_REFUSED, "usage",
          "--plan needs a copy that can be read twice, not standard input"));
    return (0);
}

int
cmd_snapshot_restore(CLI *cli, const OPTIONS *options, STATUS *status)
{
    SNAPSHOT_RESTORE restore;
    uint64_t room;
    int ret;

    if ((ret = check_options(options, status)) != 0)
        return (ret);
    if ((ret = snapshot_restore_prepare(cli, options, &restore, status)) != 0)
        goto err;
    if (options->plan) {
        if (options->format == FORMAT_JSON)
            ret = print_plan_json(&restore, status);
        else
            print_plan(&restore);
        goto err;
    }
    /* A file system that shares blocks needs less, so it is tried. */
    if (!restore.resumed && (room = bytes_free(&restore)) < restore.count.bytes)
        log_printf(&cli->log, LOG_WARNING,
          "%s has %llu bytes free, and the copy has %llu: this may not fit", restore.target.path,
          (unsigned long long)room, (unsigned long long)restore.count.bytes);
    if ((ret = snapshot_restore_run(&restore, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(&restore, status);
    else
        print_table(&restore);
    if (is_left_over(&restore))
        cli->exit_code = CLI_UNJUDGED;

err:
    snapshot_restore_release(&restore);
    return (ret);
}
