/*
 * cli/cmd_inventory.c -- wtkms inventory export, inventory merge.
 */
#include "cli/cli.h"
#include "cli/copy_print.h"
#include "common/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define INVENTORY_MAX_BYTES ((size_t)1024 * 1024 * 1024)

int
cmd_inventory_export(CLI *cli, const OPTIONS *options, STATUS *status)
{
    INVENTORY inventory;
    int ret;

    if ((ret = copy_print_load(options, 0, &cli->log, &inventory, status)) == 0)
        ret = copy_print_json(&inventory, status);
    if (ret == 0 && inventory_is_unjudged(&inventory))
        cli->exit_code = CLI_UNJUDGED;
    inventory_release(&inventory);
    return (ret);
}

int
cmd_inventory_read(const char *path, INVENTORY *inventory, STATUS *status)
{
    uint8_t *text;
    size_t len;
    int ret;

    if ((ret = file_read(AT_FDCWD, path, INVENTORY_MAX_BYTES, false, NULL, &text, &len, status)) ==
        0)
        ret = inventory_read(inventory, text, len, path, status);
    free(text);
    return (ret);
}

int
cmd_inventory_merge(CLI *cli, const OPTIONS *options, STATUS *status)
{
    INVENTORY inventory;
    size_t i;
    int ret = 0;

    memset(&inventory, 0, sizeof(inventory));
    for (i = 0; ret == 0 && i < options->operand_count; i++)
        ret = cmd_inventory_read(options->operands[i], &inventory, status);
    if (ret == 0)
        ret = copy_print_json(&inventory, status);
    if (ret == 0 && inventory_is_unjudged(&inventory))
        cli->exit_code = CLI_UNJUDGED;
    inventory_release(&inventory);
    return (ret);
}
