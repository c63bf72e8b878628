/*
 * cli/cmd_status.c -- wtkms status.
 */
#include "cli/cli.h"
#include "cli/home_access.h"
#include "cli/home_status.h"

#include <stddef.h>

const OPTIONS_ENTRY cmd_status_options[] = {
  {"full", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, full), NULL, 0, 0,
    "Read whole blocks and check their checksums too."},
  {"check", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, check), NULL, 0, 0,
    "Ask the key service of each recipient that is recorded and configured."},
  {"trust-key", 0, OPTIONS_TEXT, "ID", offsetof(OPTIONS, trust_key), NULL, 0, 0,
    "With --check: ask for this recorded recipient too, though it is not configured."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

int
cmd_status(CLI *cli, const OPTIONS *options, STATUS *status)
{
    HOME_STATUS home;
    TARGET target;
    bool failed = false;
    int ret;

    if (options->trust_key != NULL && !options->check)
        return (status_set(status, STATUS_REFUSED, "usage", "--trust-key needs --check"));
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        return (ret);
    if ((options->config != NULL || options->check) &&
        (ret = target_load(&target, options->config, status)) != 0) {
        target_close(&target);
        return (ret);
    }
    if ((ret = home_status_gather(&target, options->full, &cli->log, &home, status)) != 0)
        goto err;
    if (options->check && (ret = home_access_check(
                             &target, options->trust_key, &cli->log, &home, &failed, status)) != 0)
        goto err;
    switch (options->format) {
    case FORMAT_JSON:
        ret = home_status_print_json(&home, stdout, status);
        break;
    case FORMAT_PROMETHEUS:
        home_status_print_prometheus(&home, stdout);
        break;
    default:
        home_status_print_table(&home, stdout);
    }
    if (failed)
        cli->exit_code = CLI_FAILED;
    if (home.unjudged)
        cli->exit_code = CLI_UNJUDGED;

err:
    home_status_release(&home);
    target_close(&target);
    return (ret);
}
