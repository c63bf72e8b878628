/*
 * cli/cmd_key_usage.c -- wtkms key usage: may a customer key be deleted?
 */
#include "cli/cli.h"
#include "cli/copy_print.h"
#include "cli/output.h"

#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(OPTIONS, member)

const OPTIONS_ENTRY cmd_key_usage_options[] = {
  {"all", 0, OPTIONS_FLAG, NULL, AT(all), NULL, 0, 0,
    "Of every customer key that is found; no KEYID is given then."},
  {"inventory", 0, OPTIONS_TEXT, "FILE", AT(inventory), NULL, 0, 0,
    "Ask this inventory besides the paths."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static const char *
need_name(KEY_NEED need)
{
    return (need == KEY_NEED_ONLY       ? "needs it: nothing else opens it"
            : need == KEY_NEED_ONE_OF   ? "is wrapped for it"
            : need == KEY_NEED_UNJUDGED ? "could not be judged"
                                        : "does not need it");
}

static void
print_key(const INVENTORY *inventory, const char *key_id)
{
    KEY_NEED_SUMMARY summary;
    OUTPUT_TABLE *table;
    KEY_NEED need;
    const COPY *copy;
    const char *access;
    char *name, *others, *safe, time[OUTPUT_TIME_SIZE];
    size_t i;

    key_need_summarize(inventory, key_id, &summary);
    safe = output_safe(key_id);
    if (summary.needed == 0 && summary.unjudged == 0)
        (void)printf("%s: nothing in these places needs it.\n", safe);
    else
        (void)printf("%s: %zu need it, of which %zu have no other recipient; %zu not judged.\n",
          safe, summary.needed, summary.only, summary.unjudged);
    free(safe);
    if (summary.free_after != 0)
        (void)printf("Free after %s, when what needs it has expired.\n",
          output_time(summary.free_after, time));
    table = output_table_new("NODE", "PATH", "", "WOULD STILL OPEN", "KEEP UNTIL", NULL);
    for (i = 0; i < inventory->count; i++) {
        copy = &inventory->copies[i];
        if ((need = key_need(copy, key_id, &others)) == KEY_NEED_NONE)
            continue;
        name = copy_print_name(copy);
        output_table_cell(table, "%s", copy->node[0] == '\0' ? "-" : copy->node);
        output_table_cell(table, "%s", name);
        access = key_need_access(copy, key_id);
        output_table_cell(table, "%s%s%s", need_name(need),
          access == NULL ? "" : "; asked: ", access == NULL ? "" : access);
        output_table_cell(table, "%s", others == NULL ? "-" : others);
        output_table_cell(table, "%s", output_time(copy->keep_until, time));
        free(name);
        bson_free(others);
    }
    output_table_print(table, 2, stdout);
}

static void
json_key(const INVENTORY *inventory, const char *key_id, bson_t *json)
{
    KEY_NEED_SUMMARY summary;
    KEY_NEED need;
    bson_t element, list;
    const COPY *copy;
    char *others;
    size_t i;
    uint32_t n = 0;

    key_need_summarize(inventory, key_id, &summary);
    output_json_text(json, "encryptionKeyId", key_id);
    output_json_number(json, "needed", (int64_t)summary.needed);
    output_json_number(json, "onlyRecipient", (int64_t)summary.only);
    output_json_number(json, "notJudged", (int64_t)summary.unjudged);
    output_json_time(json, "freeAfter", summary.free_after);
    output_json_begin_array(json, "copies", &list);
    for (i = 0; i < inventory->count; i++) {
        copy = &inventory->copies[i];
        if ((need = key_need(copy, key_id, &others)) == KEY_NEED_NONE)
            continue;
        output_json_element(&list, n++, &element);
        output_json_text(&element, "host", copy->host);
        output_json_text(&element, "node", copy->node);
        output_json_text(&element, "path", copy->path);
        output_json_text(&element, "member", copy->member);
        output_json_text(&element, "need",
          need == KEY_NEED_ONLY     ? "only"
          : need == KEY_NEED_ONE_OF ? "oneOf"
                                    : "notJudged");
        output_json_text(&element, "access", key_need_access(copy, key_id));
        output_json_text(&element, "wouldStillOpen", others);
        output_json_time(&element, "keepUntil", copy->keep_until);
        output_json_end(&list, &element);
        bson_free(others);
    }
    output_json_end_array(json, &list);
}

static int
print_json(const INVENTORY *inventory, char *const *keys, size_t count, STATUS *status)
{
    bson_t element, json, list;
    size_t i;
    int ret;

    bson_init(&json);
    output_json_begin_array(&json, "searched", &list);
    for (i = 0; i < inventory->place_count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "host", inventory->places[i].host);
        output_json_text(&element, "path", inventory->places[i].path);
        output_json_time(&element, "time", inventory->places[i].time);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    output_json_begin_array(&json, "keys", &list);
    for (i = 0; i < count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        json_key(inventory, keys[i], &element);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static int
usage_error(const OPTIONS *options, STATUS *status)
{
    size_t first = options->all ? 0 : 1;

    if (options->operand_count < first)
        return (
          status_set(status, STATUS_REFUSED, "usage", "key usage: name a key, or give --all"));
    if (options->operand_count == first && options->inventory == NULL)
        return (status_set(
          status, STATUS_REFUSED, "usage", "key usage: name paths to search, or --inventory"));
    return (0);
}

int
cmd_key_usage(CLI *cli, const OPTIONS *options, STATUS *status)
{
    INVENTORY inventory;
    KEY_NEED_SUMMARY summary;
    char **keys = NULL;
    size_t count = 0, i;
    int ret;

    memset(&inventory, 0, sizeof(inventory));
    if ((ret = usage_error(options, status)) != 0)
        return (ret);
    if ((ret = copy_print_load(options, options->all ? 0 : 1, &cli->log, &inventory, status)) != 0)
        goto err;
    if (options->inventory != NULL &&
        (ret = cmd_inventory_read(options->inventory, &inventory, status)) != 0)
        goto err;
    if (options->all)
        count = key_need_all(&inventory, &keys);
    else {
        keys = bson_malloc0(sizeof(*keys));
        keys[count++] = bson_strdup(options->operands[0]);
    }
    cli->exit_code = inventory_is_unjudged(&inventory) ? CLI_UNJUDGED : CLI_DONE;
    for (i = 0; i < count; i++) {
        key_need_summarize(&inventory, keys[i], &summary);
        if (summary.needed != 0)
            cli->exit_code = CLI_NEEDED;
    }
    if (options->format == FORMAT_JSON) {
        ret = print_json(&inventory, keys, count, status);
        goto err;
    }
    for (i = 0; i < count; i++)
        print_key(&inventory, keys[i]);
    for (i = 0; i < inventory.skipped_count; i++) {
        char *safe = output_safe(inventory.skipped[i]);

        (void)printf("not read: %s\n", safe);
        free(safe);
    }
    copy_print_scope(&inventory);

err:
    for (i = 0; i < count; i++)
        bson_free(keys[i]);
    bson_free(keys);
    inventory_release(&inventory);
    return (ret);
}
