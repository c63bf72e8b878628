/*
 * cli/main.c -- The program; all else is in a library, for the tests.
 */
#include "cli/cli.h"

int
main(int argc, char **argv)
{
    return (cli_main(argc, argv));
}
