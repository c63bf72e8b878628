/*
 * cli/cmd_abi.c -- wtkms abi: would the module load into this program or library?
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "datafile/engine_version.h"

#include <stdlib.h>

#define LIST_SIZE 2048

/* Whether a row of the table is of this version; its number of members may vary in one version. */
static bool
row_is_of(const ENGINE_LAYOUT *row, const ENGINE_VERSION *version)
{
    const ENGINE_LAYOUT *before = row == engine_layouts ? NULL : row - 1;

    return (engine_layout_find(version, row->members, before) == row);
}

static void
print_table(const char *path, const ENGINE_VERSION *version, bool known)
{
    const ENGINE_LAYOUT *row;
    OUTPUT_TABLE *table;
    char list[LIST_SIZE], *safe;

    safe = output_safe(path);
    (void)printf("%s: WiredTiger %d.%d.%d, %s\n", safe, version->major, version->minor,
      version->patch, known ? "which the module knows" : "which the module does not know");
    free(safe);
    if (!known) {
        (void)printf(
          "The module refuses it. Known are %s.\n", engine_layout_list(list, sizeof(list)));
        return;
    }
    table = output_table_new("WT_CONNECTION MEMBERS", "MONGODB", NULL);
    for (row = engine_layouts; row->members != 0; row++)
        if (row_is_of(row, version)) {
            output_table_cell(table, "%u", row->members);
            output_table_cell(table, "%s", row->mongodb);
        }
    output_table_print(table, 2, stdout);
}

static int
print_json(const char *path, const ENGINE_VERSION *version, bool known, STATUS *status)
{
    const ENGINE_LAYOUT *row;
    bson_t json, rows, element;
    char *text;
    uint32_t n = 0;
    int ret;

    bson_init(&json);
    output_json_text(&json, "file", path);
    text = output_format("%d.%d.%d", version->major, version->minor, version->patch);
    output_json_text(&json, "version", text);
    free(text);
    output_json_bool(&json, "known", known);
    output_json_begin_array(&json, "layouts", &rows);
    for (row = engine_layouts; row->members != 0; row++)
        if (row_is_of(row, version)) {
            output_json_element(&rows, n++, &element);
            output_json_number(&element, "members", row->members);
            output_json_text(&element, "mongodb", row->mongodb);
            output_json_end(&rows, &element);
        }
    output_json_end_array(&json, &rows);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

int
cmd_abi(CLI *cli, const OPTIONS *options, STATUS *status)
{
    ENGINE_VERSION version;
    bool known;
    int ret;

    if ((ret = engine_version_in_file(options->operands[0], &version, status)) != 0)
        return (ret);
    known = engine_version_known(&version);
    if (!known)
        cli->exit_code = CLI_FAILED;
    if (options->format == FORMAT_JSON)
        return (print_json(options->operands[0], &version, known, status));
    print_table(options->operands[0], &version, known);
    return (0);
}
