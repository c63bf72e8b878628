/*
 * cli/copy_print.h -- Copies of homes as people read them.
 *
 * Layer: cli; uses snapshot.
 */
#ifndef WTKMS_CLI_COPY_PRINT_H
#define WTKMS_CLI_COPY_PRINT_H

#include "cli/options.h"
#include "snapshot/inventory.h"

/* copy_print_table -- One row a copy, then the problems and what was skipped. */
void copy_print_table(const INVENTORY *inventory);

/* copy_print_scope -- The places that an answer holds for. */
void copy_print_scope(const INVENTORY *inventory);

/* copy_print_name -- Host and path of a copy; the caller frees it with free. */
char *copy_print_name(const COPY *copy);

/* copy_print_json -- The inventory as JSON. */
int copy_print_json(const INVENTORY *inventory, STATUS *status) WTKMS_CHECKED;

/* copy_print_load -- Search the operands from the index first on, as --config and --check say; log gets
 * warnings. The caller releases *inventory, also after an error. */
int copy_print_load(const OPTIONS *options, size_t first, const LOG *log, INVENTORY *inventory,
  STATUS *status) WTKMS_CHECKED;

/* cmd_inventory_read -- Append an inventory's file. */
int cmd_inventory_read(const char *path, INVENTORY *inventory, STATUS *status) WTKMS_CHECKED;

#endif
