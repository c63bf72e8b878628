/*
 * cli/cmd_oplog_list.c -- wtkms oplog list and verify.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "keystore/settings.h"
#include "snapshot/oplog_files.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

const OPTIONS_ENTRY cmd_oplog_verify_options[] = {
  {"allow-open-end", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, allow_open_end), NULL, 0, 0,
    "An archive whose last segment was not finished is no failure."},
  {"silence", 0, OPTIONS_NUMBER, "SECONDS", offsetof(OPTIONS, silence), NULL, 1, UINT32_MAX,
    "So long without an entry may be a gap: 60."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static const KEYSTORE_MASTER *
master_of(const OPLOG_FILE *file)
{
    return (file->keystore == NULL
              ? NULL
              : keystore_active_master(file->keystore, SETTINGS_DEFAULT_SCOPE));
}

static const char *
end_text(const OPLOG_FILE *file)
{
    if (file->status.status_class != STATUS_OK)
        return (status_class_name(file->status.status_class));
    return (file->summary.is_open ? "open" : file->is_verified ? "verified" : "closed");
}

static uint64_t
gaps_of(const OPLOG_FILE *file, const OPLOG_GAP **foundp, size_t *countp)
{
    *foundp = NULL;
    *countp = 0;
    return (file->gaps == NULL ? 0 : oplog_gaps_found(file->gaps, foundp, countp));
}

/* --- the table */

static void
row(OUTPUT_TABLE *table, const OPLOG_FILE *file)
{
    const KEYSTORE_MASTER *master = master_of(file);
    char first[OUTPUT_TIME_SIZE], last[OUTPUT_TIME_SIZE];
    size_t i;

    output_table_cell(table, "%s", file->keystore == NULL ? "-" : file->keystore->node);
    output_table_cell(table, "%s", file->path);
    output_table_cell(table, "%s", output_time((int64_t)(file->summary.first >> 32) * 1000, first));
    output_table_cell(table, "%s", output_time((int64_t)(file->summary.last >> 32) * 1000, last));
    output_table_cell(table, "%" PRIu64, file->summary.documents);
    output_table_cell(table, "%" PRIu64, file->summary.size);
    output_table_cell(table, "%s", end_text(file));
    output_table_cell(table, "%s",
      master == NULL || master->recipient_count == 0 ? "-" : master->recipients[0].key_id);
    for (i = 1; master != NULL && i < master->recipient_count; i++) {
        size_t empty;

        for (empty = 0; empty < 7; empty++)
            output_table_cell(table, "%s", "");
        output_table_cell(table, "%s", master->recipients[i].key_id);
    }
}

static void
print_gap(const char *path, const OPLOG_GAP *gap)
{
    char after[OPLOG_ENTRIES_TIME_SIZE], before[OPLOG_ENTRIES_TIME_SIZE],
      missing[OPLOG_ENTRIES_TIME_SIZE];

    (void)oplog_entries_time_text(gap->after, after);
    (void)oplog_entries_time_text(gap->before, before);
    switch (gap->kind) {
    case OPLOG_GAP_SILENCE:
        (void)printf("\nGap: %s has no entry for %" PRIu64
                     " s, between %s and %s; an idle server writes one "
                     "every 10 s, so it was down, or entries are missing.\n",
          path, (gap->before >> 32) - (gap->after >> 32), after, before);
        break;
    case OPLOG_GAP_TERM_START:
        (void)printf(
          "\nGap: %s has a new term at %s without its first entry, \"new primary\": entries after "
          "%s are missing.\n",
          path, before, after);
        break;
    case OPLOG_GAP_TERM_BACK:
        (void)printf("\nGap: %s goes back to an earlier term at %s, after %s: entries of two "
                     "histories, one of which was rolled back.\n",
          path, before, after);
        break;
    case OPLOG_GAP_SESSION:
        (void)printf("\nGap: %s has an entry of %s that follows one of %s, which is missing.\n",
          path, before, oplog_entries_time_text(gap->missing, missing));
        break;
    }
}

static void
print_gaps(const char *path, const OPLOG_FILE *file)
{
    const OPLOG_GAP *found;
    uint64_t all;
    size_t count, i;

    all = gaps_of(file, &found, &count);
    for (i = 0; i < count; i++)
        print_gap(path, &found[i]);
    if (all > count)
        (void)printf("\nGap: %s has %" PRIu64 " more.\n", path, all - count);
}

static void
print_notes(const OPLOG_FILES *files)
{
    char was[OPLOG_ENTRIES_TIME_SIZE], is[OPLOG_ENTRIES_TIME_SIZE], line[2048];
    size_t i;

    for (i = 0; i < files->count; i++) {
        const OPLOG_FILE *file = &files->files[i];
        char *path = output_safe(file->path);

        if (file->gap != 0)
            (void)printf(
              "\nGap: %s begins with %s; the archives before it end with %s, and entries "
              "between may be missing.\n",
              path, oplog_entries_time_text(file->summary.first, is),
              oplog_entries_time_text(file->gap, was));
        print_gaps(path, file);
        if (file->status.status_class != STATUS_OK) {
            char *safe = output_safe(status_format(&file->status, line, sizeof(line)));

            (void)printf("\n%s\n", safe);
            free(safe);
        }
        free(path);
    }
    if (files->others > 0)
        (void)printf("\n%zu other files are no oplog archives.\n", files->others);
}

static void
print_table(const OPLOG_FILES *files)
{
    OUTPUT_TABLE *table = output_table_new(
      "NODE", "PATH", "FIRST", "LAST", "ENTRIES", "BYTES", "END", "ENCRYPTION KEY ID", NULL);
    size_t i;

    for (i = 0; i < files->count; i++)
        row(table, &files->files[i]);
    output_table_print(table, 0, stdout);
    if (files->count == 0)
        (void)printf("There are no oplog archives.\n");
    print_notes(files);
}

/* --- JSON */

static void
append_gaps(bson_t *json, const OPLOG_FILE *file)
{
    const OPLOG_GAP *found;
    bson_t list, element;
    char text[OPLOG_ENTRIES_TIME_SIZE];
    size_t count, i;

    output_json_number(json, "gapCount", (int64_t)gaps_of(file, &found, &count));
    output_json_begin_array(json, "gaps", &list);
    for (i = 0; i < count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "kind", oplog_gap_name(found[i].kind));
        output_json_text(&element, "after", oplog_entries_time_text(found[i].after, text));
        output_json_text(&element, "before", oplog_entries_time_text(found[i].before, text));
        output_json_text(&element, "missing",
          found[i].missing == 0 ? NULL : oplog_entries_time_text(found[i].missing, text));
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

static void
append_file(bson_t *json, const OPLOG_FILE *file)
{
    const KEYSTORE_MASTER *master = master_of(file);
    const OPLOG_SUMMARY *summary = &file->summary;
    bson_t list, element;
    char text[OPLOG_ENTRIES_TIME_SIZE], uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    output_json_text(json, "path", file->path);
    output_json_text(json, "node", file->keystore == NULL ? NULL : file->keystore->node);
    if (file->keystore != NULL) {
        keystore_uuid_text(file->keystore->uuid, uuid);
        output_json_text(json, "archive", uuid);
        if (file->keystore->has_parent)
            keystore_uuid_text(file->keystore->parent, uuid);
        output_json_text(json, "home", file->keystore->has_parent ? uuid : NULL);
    }
    output_json_text(json, "first",
      summary->documents == 0 ? NULL : oplog_entries_time_text(summary->first, text));
    output_json_text(
      json, "last", summary->documents == 0 ? NULL : oplog_entries_time_text(summary->last, text));
    output_json_number(json, "entries", (int64_t)summary->documents);
    output_json_number(json, "entryBytes", (int64_t)summary->bytes);
    output_json_number(json, "bytes", (int64_t)summary->size);
    output_json_number(json, "segments", (int64_t)summary->segments);
    output_json_number(json, "resumed", (int64_t)summary->resumed);
    output_json_time(json, "started", summary->started);
    output_json_time(json, "continued", summary->continued);
    output_json_bool(json, "endIsOpen", summary->is_open);
    output_json_bool(json, "verified", file->is_verified);
    output_json_text(
      json, "gapAfter", file->gap == 0 ? NULL : oplog_entries_time_text(file->gap, text));
    if (file->gaps != NULL)
        append_gaps(json, file);
    output_json_text(
      json, "error", file->status.status_class == STATUS_OK ? NULL : file->status.message);
    output_json_text(
      json, "errorId", file->status.status_class == STATUS_OK ? NULL : file->status.id);
    output_json_begin_array(json, "recipients", &list);
    for (i = 0; master != NULL && i < master->recipient_count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "provider", master->recipients[i].provider);
        output_json_text(&element, "encryptionKeyId", master->recipients[i].key_id);
        output_json_text(&element, "credential", master->recipients[i].credential);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

static int
print_json(const OPLOG_FILES *files, STATUS *status)
{
    bson_t json, list, element;
    size_t i;
    int ret;

    bson_init(&json);
    output_json_begin_array(&json, "archives", &list);
    for (i = 0; i < files->count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        append_file(&element, &files->files[i]);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    output_json_number(&json, "otherFiles", (int64_t)files->others);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static int
print(const OPTIONS *options, const OPLOG_FILES *files, STATUS *status)
{
    if (options->format == FORMAT_JSON)
        return (print_json(files, status));
    print_table(files);
    return (0);
}

/* --- the commands */

int
cmd_oplog_list(CLI *cli, const OPTIONS *options, STATUS *status)
{
    OPLOG_FILES files;
    size_t i;
    int ret;

    if ((ret = oplog_files_find(options->operands, options->operand_count, &files, status)) != 0)
        return (ret);
    ret = print(options, &files, status);
    for (i = 0; i < files.count; i++)
        if (files.files[i].status.status_class != STATUS_OK)
            cli->exit_code = CLI_UNJUDGED;
    oplog_files_release(&files);
    return (ret);
}

static int
verify(OPLOG_FILE *file, const OPTIONS *options, const SETTINGS *settings,
  const KEYRING_OPTIONS *keyring, bool *gapp, STATUS *status)
{
    const OPLOG_GAP *found;
    size_t count;
    int ret;

    if ((ret = oplog_gaps_new(
           options->silence == 0 ? OPLOG_GAPS_SILENCE_S : (uint32_t)options->silence, &file->gaps,
           status)) != 0)
        return (ret);
    status_clear(&file->status);
    ret = oplog_files_read(file, settings, keyring, oplog_gaps_take, file->gaps, &file->status);
    if (ret == 0 && !options->allow_open_end)
        ret = oplog_files_refuse_open_end(file, &file->status);
    *gapp |= file->gap != 0 || gaps_of(file, &found, &count) != 0;
    return (ret);
}

int
cmd_oplog_verify(CLI *cli, const OPTIONS *options, STATUS *status)
{
    KEYRING_OPTIONS keyring = {.log = &cli->log, .retry_for_ms = KEYRING_RETRY_CONFIGURED};
    OPLOG_FILES files;
    SETTINGS *settings;
    size_t i;
    int ret;
    bool failed = false, gap = false;

    if ((ret = settings_load(
           options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, &settings, status)) != 0)
        return (ret);
    if ((ret = oplog_files_find(options->operands, options->operand_count, &files, status)) != 0)
        goto err;
    for (i = 0; i < files.count; i++)
        failed |= verify(&files.files[i], options, settings, &keyring, &gap, status) != 0;
    ret = print(options, &files, status);
    cli->exit_code = failed ? CLI_FAILED : gap || files.count == 0 ? CLI_UNJUDGED : CLI_DONE;
    oplog_files_release(&files);

err:
    settings_free(settings);
    return (ret);
}
