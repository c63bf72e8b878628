/*
 * cli/copy_print.c -- Printing copies. See copy_print.h.
 */
#include "cli/copy_print.h"

#include "cli/cli.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

char *
copy_print_name(const COPY *copy)
{
    bool here = strcmp(copy->host, inventory_host()) == 0;

    return (output_format("%s%s%s%s%s", here ? "" : copy->host, here ? "" : ":", copy->path,
      copy->member == NULL ? "" : " : ", copy->member == NULL ? "" : copy->member));
}

static char *
key_ids(const COPY *copy)
{
    const COPY_RECIPIENT *recipient;
    char *grown, *text = NULL;
    size_t i;

    if (copy->recipient_count == 0)
        return (output_format("%s", copy_state_name(copy->state)));
    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        grown = output_format("%s%s%s%s%s%s%s", text == NULL ? "" : text, text == NULL ? "" : ", ",
          recipient->key_id, strcmp(recipient->scope, "default") == 0 ? "" : "@",
          strcmp(recipient->scope, "default") == 0 ? "" : recipient->scope,
          recipient->access == NULL ? "" : ": ",
          recipient->access == NULL ? "" : recipient->access);
        free(text);
        text = grown;
    }
    if (copy->from_mirror) {
        grown = output_format("%s (from mirror)", text);
        free(text);
        text = grown;
    }
    return (text);
}

/* The providers, each once. */
static char *
providers(const COPY *copy)
{
    char *grown, *text = output_format("%s", copy->recipient_count == 0 ? "-" : "");
    size_t i, n;

    for (i = 0; i < copy->recipient_count; i++) {
        for (n = 0; n < i; n++)
            if (strcmp(copy->recipients[n].provider, copy->recipients[i].provider) == 0)
                break;
        if (n < i)
            continue;
        grown =
          output_format("%s%s%s", text, text[0] == '\0' ? "" : ",", copy->recipients[i].provider);
        free(text);
        text = grown;
    }
    return (text);
}

static char *
opened_by(const COPY *copy)
{
    size_t i;

    for (i = 0; i < copy->recipient_count; i++)
        if (copy->recipients[i].opened)
            return (output_format("%s", copy->recipients[i].credential));
    return (output_format("-"));
}

static char *
data_keys(const COPY *copy)
{
    char *grown, *text = output_format("%s", copy->key_count == 0 ? "-" : "");
    size_t i;

    for (i = 0; i < copy->key_count; i++) {
        if (copy->keys[i].keyid == NULL)
            grown = output_format(
              "%s%s?%016llx", text, i == 0 ? "" : ",", (unsigned long long)copy->keys[i].id);
        else
            grown = output_format("%s%s%s v%u", text, i == 0 ? "" : ",", copy->keys[i].keyid,
              (unsigned)copy->keys[i].version);
        free(text);
        text = grown;
    }
    if (copy->sampled) {
        grown = output_format("%s (sampled)", text);
        free(text);
        text = grown;
    }
    return (text);
}

static char *
master_keys(const COPY *copy)
{
    char *grown, *text = output_format("%s", copy->master_count == 0 ? "-" : "");
    size_t i;

    for (i = 0; i < copy->master_count; i++) {
        grown = output_format(
          "%s%s%016llx", text, i == 0 ? "" : ",", (unsigned long long)copy->masters[i].id);
        free(text);
        text = grown;
    }
    return (text);
}

/* A cell of a text that is freed. */
static void
take_cell(OUTPUT_TABLE *table, char *text)
{
    output_table_cell(table, "%s", text);
    free(text);
}

static void
print_row(OUTPUT_TABLE *table, const COPY *copy)
{
    char time[OUTPUT_TIME_SIZE];

    output_table_cell(table, "%s%s", copy->node[0] == '\0' ? "-" : copy->node,
      copy->running    ? " (live)"
      : copy->is_oplog ? " (oplog)"
                       : "");
    take_cell(table, copy_print_name(copy));
    output_table_cell(table, "%s", output_time(copy->checkpoint, time));
    output_table_cell(table, "%.1f MB", (double)copy->size / 1e6);
    take_cell(table, key_ids(copy));
    take_cell(table, providers(copy));
    take_cell(table, opened_by(copy));
    take_cell(table, master_keys(copy));
    take_cell(table, data_keys(copy));
    output_table_cell(table, "%llu", (unsigned long long)copy->plain_tables);
    output_table_cell(table, "%s", output_time(copy->keep_until, time));
}

void
copy_print_table(const INVENTORY *inventory)
{
    OUTPUT_TABLE *table;
    char *name, *safe;
    size_t i, p;

    table = output_table_new("NODE", "PATH", "CHECKPOINT", "SIZE", "ENCRYPTION KEY ID", "PROVIDER",
      "OPENED BY", "MASTER KEY", "DATA KEYS", "PLAIN TABLES", "KEEP UNTIL", NULL);
    for (i = 0; i < inventory->count; i++)
        print_row(table, &inventory->copies[i]);
    output_table_print(table, 0, stdout);
    if (inventory->count == 0)
        (void)puts("No copy of a database was found.");
    for (i = 0; i < inventory->count; i++)
        for (p = 0; p < inventory->copies[i].problem_count; p++) {
            name = copy_print_name(&inventory->copies[i]);
            safe = output_safe(name);
            free(name);
            name = output_safe(inventory->copies[i].problems[p]);
            (void)printf("%s: %s\n", safe, name);
            free(safe);
            free(name);
        }
    for (i = 0; i < inventory->skipped_count; i++) {
        safe = output_safe(inventory->skipped[i]);
        (void)printf("not read: %s\n", safe);
        free(safe);
    }
}

void
copy_print_scope(const INVENTORY *inventory)
{
    char *safe, time[OUTPUT_TIME_SIZE];
    size_t i;

    for (i = 0; i < inventory->place_count; i++) {
        safe = output_safe(inventory->places[i].path);
        (void)printf("%s%s:%s, %s\n", i == 0 ? "Searched: " : "          ",
          inventory->places[i].host, safe, output_time(inventory->places[i].time, time));
        free(safe);
    }
    (void)puts("This says nothing of places that are not named here.");
}

int
copy_print_json(const INVENTORY *inventory, STATUS *status)
{
    bson_t json;
    int ret;

    bson_init(&json);
    inventory_write(inventory, &json);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

int
copy_print_load(
  const OPTIONS *options, size_t first, const LOG *log, INVENTORY *inventory, STATUS *status)
{
    SETTINGS *settings = NULL;
    size_t i;
    int ret = 0;

    memset(inventory, 0, sizeof(*inventory));
    if (options->check &&
        (ret = settings_load(
           options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, &settings, status)) != 0)
        return (ret);
    for (i = first; ret == 0 && i < options->operand_count; i++)
        ret = inventory_scan(inventory, options->operands[i], status);
    if (ret == 0 && options->check)
        ret = inventory_check(inventory, settings, log, status);
    settings_free(settings);
    return (ret);
}
