/*
 * cli/cmd_keygen.c -- wtkms keygen: a key file for the provider `local`.
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "kms_clients/kms_client.h"

#include <stdlib.h>

int
cmd_keygen(CLI *cli, const OPTIONS *options, STATUS *status)
{
    bson_t json;
    char *safe;
    int ret;

    (void)cli;
    if ((ret = kms_local_key_file_write(options->operands[0], status)) != 0)
        return (ret);
    if (options->format == FORMAT_JSON) {
        bson_init(&json);
        output_json_text(&json, "keyFile", options->operands[0]);
        ret = output_json_print(&json, stdout, status);
        bson_destroy(&json);
        return (ret);
    }
    safe = output_safe(options->operands[0]);
    (void)printf("Made %s. Keep a copy where the database's disks are not: without it the data\n"
                 "cannot be read. The database's user must own it, or root with a group that the\n"
                 "user is in and mode 0640.\n",
      safe);
    free(safe);
    return (0);
}
