/*
 * cli/main.c -- The program; all else is in a library, for the tests.
 */
#include "cli/cli.h"

#include "kms_clients/kms_client.h"

int
main(int argc, char **argv)
{
    kms_client_permit_programs();
    return (cli_main(argc, argv));
}
