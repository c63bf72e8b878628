/*
 * cli/cmd_oplog.c -- wtkms oplog seal and open. The others are in cmd_oplog_list.c.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "cli/target.h"
#include "snapshot/oplog_files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END_ENTRY                                        \
    {                                                    \
        NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL \
    }

const OPTIONS_ENTRY cmd_oplog_seal_options[] = {
  {"home", 0, OPTIONS_TEXT, "HOME", offsetof(OPTIONS, home), NULL, 0, 0,
    "The home that the oplog is of: its keystore must open, and a new archive records it."},
  {"resume", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, resume), NULL, 0, 0,
    "Leave out entries that the archive has already."},
  END_ENTRY};

const OPTIONS_ENTRY cmd_oplog_open_options[] = {
  {"from", 0, OPTIONS_TEXT, "TIME", offsetof(OPTIONS, from), NULL, 0, 0,
    "Begin with the first entry that is not before this."},
  {"until", 0, OPTIONS_TEXT, "TIME", offsetof(OPTIONS, until), NULL, 0, 0,
    "Write only entries before this, as mongorestore's oplogLimit."},
  {"allow-open-end", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, allow_open_end), NULL, 0, 0,
    "Take an archive whose last segment was not finished, as far as it goes."},
  END_ENTRY};

static int
load(const OPTIONS *options, SETTINGS **settingsp, STATUS *status)
{
    return (settings_load(
      options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, settingsp, status));
}

/* --- seal */

/* The uuid of a home's keystore, which the configuration must open. */
static int
home_uuid(CLI *cli, const OPTIONS *options, const SETTINGS *settings,
  uint8_t uuid[KEYSTORE_UUID_LEN], STATUS *status)
{
    KEYRING_OPTIONS keyring_options = {
      .log = &cli->log, .retry_for_ms = KEYRING_RETRY_CONFIGURED, .read_only = true};
    const KEYSTORE *keystore;
    KEYRING *keyring = NULL;
    TARGET target;
    int ret;

    if ((ret = target_open(options->home, &target, status)) != 0)
        return (ret);
    if ((ret = keyring_open(target.fd, settings, &keyring_options, &keyring, status)) == 0) {
        keystore = keyring_hold_keystore(keyring);
        memcpy(uuid, keystore->uuid, KEYSTORE_UUID_LEN);
        keyring_release_keystore(keyring, keystore);
    } else
        (void)status_add(status, "in %s", options->home);
    keyring_close(keyring);
    target_close(&target);
    return (ret);
}

static int
print_sealed(
  const OPTIONS *options, const char *path, const OPLOG_SEAL_RESULT *result, STATUS *status)
{
    char first[OPLOG_ENTRIES_TIME_SIZE], last[OPLOG_ENTRIES_TIME_SIZE];
    bson_t json;
    char *safe;
    int ret;

    (void)oplog_entries_time_text(result->first, first);
    (void)oplog_entries_time_text(result->last, last);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "path", path);
        output_json_bool(&json, "created", result->created);
        output_json_number(&json, "cutBytes", (int64_t)result->cut);
        output_json_number(&json, "entries", (int64_t)result->documents);
        output_json_number(&json, "skipped", (int64_t)result->skipped);
        output_json_number(&json, "bytes", (int64_t)result->bytes);
        output_json_number(&json, "size", (int64_t)result->size);
        output_json_text(&json, "first", result->documents == 0 ? NULL : first);
        output_json_text(&json, "last", result->documents == 0 ? NULL : last);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
        return (ret);
    }
    safe = output_safe(path);
    if (result->documents == 0)
        (void)printf("%s: no new entries", safe);
    else
        (void)printf("%s: sealed %" PRIu64 " entries from %s to %s, %" PRIu64 " bytes", safe,
          result->documents, first, last, result->bytes);
    if (result->skipped > 0)
        (void)printf("; left out %" PRIu64 " that it had", result->skipped);
    (void)printf("; %" PRIu64 " bytes in the archive.\n", result->size);
    free(safe);
    return (0);
}

/* Whether entries between what was there and what came now may be missing. */
static void
warn_gap(CLI *cli, const OPTIONS *options, const OPLOG_SEAL_RESULT *result)
{
    char was[OPLOG_ENTRIES_TIME_SIZE], is[OPLOG_ENTRIES_TIME_SIZE];

    if (result->cut > 0)
        log_printf(&cli->log, LOG_WARNING,
          "%s had an open end; %" PRIu64 " bytes of an unfinished write were cut off",
          options->operands[0], result->cut);
    if (options->resume && result->previous != 0 && result->documents > 0 && !result->overlaps)
        log_printf(&cli->log, LOG_WARNING,
          "the input does not have the archive's last entry, of %s: entries between it and %s may "
          "be missing",
          oplog_entries_time_text(result->previous, was),
          oplog_entries_time_text(result->first, is));
}

/* One input is one segment. */
static int
seal_one(CLI *cli, const OPTIONS *options, const OPLOG_SEAL_OPTIONS *seal, const char *input,
  STATUS *status)
{
    OPLOG_SEAL_RESULT result;
    int fd = STDIN_FILENO, ret;

    if (input == NULL || strcmp(input, "-") == 0)
        input = "the input";
    else if ((fd = open(input, O_RDONLY | O_CLOEXEC)) == -1)
        return (status_set_errno(status, errno, "oplog-input", "%s", input));
    if ((ret = oplog_seal(options->operands[0], fd, input, seal, &result, status)) == 0) {
        warn_gap(cli, options, &result);
        ret = print_sealed(options, options->operands[0], &result, status);
    }
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return (ret);
}

int
cmd_oplog_seal(CLI *cli, const OPTIONS *options, STATUS *status)
{
    OPLOG_SEAL_OPTIONS seal = {.resume = options->resume};
    SETTINGS *settings;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    size_t i;
    int ret;

    if ((ret = load(options, &settings, status)) != 0)
        return (ret);
    seal.settings = settings;
    seal.keyring.log = &cli->log;
    seal.keyring.retry_for_ms = KEYRING_RETRY_CONFIGURED;
    if (options->home != NULL) {
        if ((ret = home_uuid(cli, options, settings, uuid, status)) != 0)
            goto err;
        seal.parent = uuid;
    }
    if (options->operand_count == 1)
        ret = seal_one(cli, options, &seal, NULL, status);
    for (i = 1; ret == 0 && i < options->operand_count; i++)
        ret = seal_one(cli, options, &seal, options->operands[i], status);

err:
    settings_free(settings);
    return (ret);
}

/* --- open */

typedef struct {
    uint64_t from, until; /* until 0: none */
    uint64_t last;        /* written */
    uint64_t skip_to;     /* entries up to this were written from the archive before */
    bool any;
} OPENING;

static int
write_entry(void *context, const OPLOG_ENTRY *entry, STATUS *status)
{
    OPENING *opening = context;

    if (entry->ts < opening->from || (opening->until != 0 && entry->ts >= opening->until) ||
        (opening->skip_to != 0 && entry->ts <= opening->skip_to))
        return (0);
    if (fwrite(entry->data, entry->len, 1, stdout) != 1)
        return (status_set_errno(status, errno, "oplog-output", "writing entries"));
    opening->last = entry->ts;
    opening->any = true;
    return (0);
}

static int
open_one(CLI *cli, const OPTIONS *options, const SETTINGS *settings, OPLOG_FILE *file,
  OPENING *opening, STATUS *status)
{
    KEYRING_OPTIONS keyring = {.log = &cli->log, .retry_for_ms = KEYRING_RETRY_CONFIGURED};
    char was[OPLOG_ENTRIES_TIME_SIZE], is[OPLOG_ENTRIES_TIME_SIZE];
    int ret;

    if (file->gap != 0)
        log_printf(&cli->log, LOG_WARNING,
          "between %s and %s, where %s begins, entries may be missing",
          oplog_entries_time_text(file->gap, was), oplog_entries_time_text(file->summary.first, is),
          file->path);
    opening->skip_to = opening->any ? opening->last : 0;
    if ((ret = oplog_files_read(file, settings, &keyring, write_entry, opening, status)) != 0)
        return (ret);
    if (file->summary.is_open && options->allow_open_end)
        log_printf(&cli->log, LOG_WARNING, "%s has an open end: what came after %s is not in it",
          file->path, oplog_entries_time_text(file->summary.last, was));
    else
        ret = oplog_files_refuse_open_end(file, status);
    return (ret);
}

/* One oplog at a time: entries of two nodes in one stream would be replayed out of order. */
static int
check_one_node(const OPLOG_FILES *files, STATUS *status)
{
    size_t i;

    if (files->count == 0)
        return (status_set(status, STATUS_REFUSED, "oplog-file", "there is no oplog archive"));
    for (i = 0; i < files->count; i++) {
        if (files->files[i].keystore == NULL) {
            *status = files->files[i].status;
            return ((int)status->status_class);
        }
        if (strcmp(files->files[i].keystore->node, files->files[0].keystore->node) != 0) {
            (void)status_set(status, STATUS_REFUSED, "oplog-nodes",
              "these are archives of more than one node, \"%s\" and \"%s\"",
              files->files[0].keystore->node, files->files[i].keystore->node);
            return (status_hint(status, "name those of one"));
        }
    }
    return (0);
}

int
cmd_oplog_open(CLI *cli, const OPTIONS *options, STATUS *status)
{
    OPENING opening = {.from = 0};
    OPLOG_FILES files = {.files = NULL};
    SETTINGS *settings = NULL;
    size_t i;
    int ret;

    if (options->from != NULL &&
        (ret = oplog_entries_parse_time(options->from, &opening.from, status)) != 0)
        return (ret);
    if (options->until != NULL &&
        (ret = oplog_entries_parse_time(options->until, &opening.until, status)) != 0)
        return (ret);
    if (options->until != NULL && opening.until <= opening.from)
        return (status_set(status, STATUS_REFUSED, "usage",
          "--until is not after --from: nothing would be written"));
    if (isatty(STDOUT_FILENO))
        return (status_set(status, STATUS_REFUSED, "usage",
          "entries are BSON and not for a terminal: direct them to a file, oplog.bson"));
    if ((ret = load(options, &settings, status)) != 0 ||
        (ret = oplog_files_find(options->operands, options->operand_count, &files, status)) != 0 ||
        (ret = check_one_node(&files, status)) != 0)
        goto err;
    for (i = 0; ret == 0 && i < files.count; i++)
        ret = open_one(cli, options, settings, &files.files[i], &opening, status);
    if (fflush(stdout) != 0 && ret == 0)
        ret = status_set_errno(status, errno, "oplog-output", "writing entries");

err:
    oplog_files_release(&files);
    settings_free(settings);
    return (ret);
}
