/*
 * cli/cmd_snapshot.c -- wtkms snapshot list.
 */
#include "cli/cli.h"
#include "cli/copy_print.h"
#include "cli/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(OPTIONS, member)

const OPTIONS_ENTRY cmd_snapshot_list_options[] = {
  {"check", 0, OPTIONS_FLAG, NULL, AT(check), NULL, 0, 0,
    "Ask the key service of each recipient that the configuration names too."},
  {"html", 0, OPTIONS_TEXT, "FILE", AT(html), NULL, 0, 0,
    "Write a page that needs nothing else to FILE; - is standard output."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

static int
write_page(const INVENTORY *inventory, const char *path, STATUS *status)
{
    FILE *out;
    bool failed;

    if (strcmp(path, "-") == 0) {
        report_html_write(inventory, stdout);
        return (0);
    }
    if ((out = fopen(path, "we")) == NULL)
        return (status_set_errno(status, errno, "html-write", "cannot write %s", path));
    report_html_write(inventory, out);
    failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed)
        return (status_set_errno(status, errno, "html-write", "cannot write %s", path));
    return (0);
}

/* A recipient that was asked and does not open is a failure, as in status --check. */
static bool
any_closed(const INVENTORY *inventory)
{
    const COPY *copy;
    size_t i, r;

    for (i = 0; i < inventory->count; i++) {
        copy = &inventory->copies[i];
        for (r = 0; r < copy->recipient_count; r++)
            if (copy->recipients[r].access != NULL &&
                strcmp(copy->recipients[r].access, "opens") != 0)
                return (true);
    }
    return (false);
}

static void
print_closed(const INVENTORY *inventory)
{
    const COPY *copy;
    char *name, *safe;
    size_t i, r;

    for (i = 0; i < inventory->count; i++) {
        copy = &inventory->copies[i];
        for (r = 0; r < copy->recipient_count; r++) {
            if (copy->recipients[r].detail == NULL)
                continue;
            name = copy_print_name(copy);
            safe = output_safe(name);
            (void)printf(
              "%s: %s: %s\n", safe, copy->recipients[r].access, copy->recipients[r].detail);
            free(name);
            free(safe);
        }
    }
}

int
cmd_snapshot_list(CLI *cli, const OPTIONS *options, STATUS *status)
{
    INVENTORY inventory;
    int ret;

    if ((ret = copy_print_load(options, 0, &cli->log, &inventory, status)) != 0)
        goto err;
    if (options->html != NULL && (ret = write_page(&inventory, options->html, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = copy_print_json(&inventory, status);
    else if (options->html == NULL || strcmp(options->html, "-") != 0) {
        copy_print_table(&inventory);
        print_closed(&inventory);
    }
    cli->exit_code = inventory_is_unjudged(&inventory) ? CLI_UNJUDGED
                     : any_closed(&inventory)          ? CLI_FAILED
                                                       : CLI_DONE;

err:
    inventory_release(&inventory);
    return (ret);
}
