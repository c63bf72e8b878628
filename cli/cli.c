/*
 * cli/cli.c -- From a command line to an exit code. See cli.h.
 */
#include "cli/cli.h"

#include "cli/output.h"
#include "config.h"
#include "crypto/secret.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#define LINE_MAX_BYTES 2048

static void
write_log(void *context, LOG_LEVEL level, const char *line)
{
    (void)context;
    (void)fprintf(stderr, "wtkms: %s%s\n", level == LOG_WARNING ? "warning: " : "", line);
}

static int
failed(const STATUS *status)
{
    char line[LINE_MAX_BYTES];

    (void)fprintf(stderr, "wtkms: %s\n", status_format(status, line, sizeof(line)));
    return (strcmp(status->id, "usage") == 0 ? CLI_USAGE : CLI_FAILED);
}

/*
 * For machines the same on stdout, where a result would be.
 */
static void
print_error_json(const STATUS *status)
{
    STATUS ignored;
    bson_t error, json;

    bson_init(&json);
    output_json_begin(&json, "error", &error);
    output_json_text(&error, "id", status->id);
    output_json_text(&error, "class", status_class_name(status->status_class));
    output_json_text(&error, "message", status->message);
    output_json_text(&error, "hint", status->hint[0] == '\0' ? NULL : status->hint);
    output_json_end(&json, &error);
    if (output_json_print(&json, stdout, &ignored) != 0)
        log_status(&(LOG){write_log, NULL}, LOG_WARNING, &ignored);
    bson_destroy(&json);
}

/*
 * Whether a command's name starts with the words of the command line; *wordsp says how many.
 */
static bool
name_matches(const char *name, int argc, char *const *argv, int *wordsp)
{
    const char *space;
    size_t first;

    if (argc < 1)
        return (false);
    space = strchr(name, ' ');
    first = space == NULL ? strlen(name) : (size_t)(space - name);
    if (strlen(argv[0]) != first || memcmp(argv[0], name, first) != 0)
        return (false);
    *wordsp = 1;
    if (space == NULL)
        return (true);
    *wordsp = 2;
    return (argc > 1 && strcmp(argv[1], space + 1) == 0);
}

/* group is NULL for all commands, else the first word of some. */
static void
print_commands(const char *group, FILE *out)
{
    const CLI_COMMAND *command;
    size_t len = group == NULL ? 0 : strlen(group);

    (void)fprintf(out, "usage: wtkms %s%sCOMMAND [OPTION...] ARGUMENT...\n\n",
      group == NULL ? "" : group, group == NULL ? "" : " ");
    for (command = cli_commands; command->name != NULL; command++)
        if (group == NULL || (strncmp(command->name, group, len) == 0 && command->name[len] == ' '))
            (void)fprintf(out, "  %-18s %s\n", command->name, command->summary);
    (void)fputs("\n\"wtkms COMMAND --help\" tells more; so does wtkms(1).\n", out);
}

static bool
is_group(const char *word)
{
    const CLI_COMMAND *command;
    size_t len = strlen(word);

    for (command = cli_commands; command->name != NULL; command++)
        if (strncmp(command->name, word, len) == 0 && command->name[len] == ' ')
            return (true);
    return (false);
}

static void
print_options(const OPTIONS_ENTRY *table, FILE *out)
{
    char left[64];

    for (; table != NULL && table->name != NULL; table++) {
        (void)snprintf(left, sizeof(left), "%s%c%s--%s%s%s", table->letter == 0 ? "" : "-",
          table->letter == 0 ? ' ' : table->letter, table->letter == 0 ? "   " : ", ", table->name,
          table->argument == NULL ? "" : " ", table->argument == NULL ? "" : table->argument);
        (void)fprintf(out, "  %-28s %s\n", left, table->help);
    }
}

static void
print_help(const CLI_COMMAND *command, FILE *out)
{
    (void)fprintf(out, "usage: wtkms %s [OPTION...] %s\n\n%s\n\n%s\n\n", command->name,
      command->operands, command->summary, command->help);
    print_options(command->options, out);
    print_options(options_common, out);
}

static void
print_version(void)
{
    (void)printf("wtkms %s\n", PACKAGE_VERSION);
}

/*
 * What comes before a command: nothing, a global option, half a name, a wrong name.
 */
static int
run_without_command(int argc, char **argv)
{
    STATUS status;

    if (argc < 2) {
        print_commands(NULL, stderr);
        return (CLI_USAGE);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_commands(NULL, stdout);
        return (CLI_DONE);
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        print_version();
        return (CLI_DONE);
    }
    if (is_group(argv[1])) {
        if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) {
            print_commands(argv[1], stdout);
            return (CLI_DONE);
        }
        (void)status_set(&status, STATUS_REFUSED, "usage", "%s %s: there is no such command",
          argv[1], argc > 2 ? argv[2] : "");
        (void)status_hint(&status, "\"wtkms %s --help\" lists them", argv[1]);
        return (failed(&status));
    }
    (void)status_set(&status, STATUS_REFUSED, "usage", "%.100s: there is no such command", argv[1]);
    (void)status_hint(&status, "\"wtkms --help\" lists them");
    return (failed(&status));
}

static int
run_command(const CLI_COMMAND *command, const OPTIONS *options)
{
    CLI cli;
    STATUS status;

    status_clear(&status);
    memset(&cli, 0, sizeof(cli));
    cli.log.write = write_log;
    if (options->help) {
        print_help(command, stdout);
        return (CLI_DONE);
    }
    if (options->version) {
        print_version();
        return (CLI_DONE);
    }
    if (options->operand_count < command->operand_count ||
        (options->operand_count > command->operand_count &&
          strstr(command->operands, "...") == NULL)) {
        (void)status_set(&status, STATUS_REFUSED, "usage", "%s takes %s: %zu given", command->name,
          command->operands, options->operand_count);
        (void)status_hint(&status, "\"wtkms %s --help\" tells more", command->name);
        return (failed(&status));
    }
    if (options->format == FORMAT_PROMETHEUS && !command->prometheus) {
        (void)status_set(
          &status, STATUS_REFUSED, "usage", "%s has no prometheus format", command->name);
        return (failed(&status));
    }
    if (command->run(&cli, options, &status) != 0) {
        if (options->format == FORMAT_JSON)
            print_error_json(&status);
        (void)fflush(stdout);
        return (failed(&status));
    }
    if (secret_unlocked_reason() != 0)
        log_printf(&cli.log, LOG_WARNING,
          "some keys were in memory that is not locked (RLIMIT_MEMLOCK): they may reach swap");
    return (cli.exit_code);
}

int
cli_main(int argc, char **argv)
{
    const CLI_COMMAND *command;
    OPTIONS options;
    STATUS status;
    int exit_code, words = 0;

#ifndef WTKMS_SANITIZERS
    /* Keys pass through this process: no core, no debugger of the same user. Leak checking traces. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    for (command = cli_commands; command->name != NULL; command++)
        if (name_matches(command->name, argc - 1, argv + 1, &words))
            break;
    if (command->name == NULL)
        exit_code = run_without_command(argc, argv);
    else {
        status_clear(&status);
        if (options_parse(
              command->options, argc - 1 - words, argv + 1 + words, &options, &status) != 0) {
            if (status.hint[0] == '\0')
                (void)status_hint(&status, "\"wtkms %s --help\" tells more", command->name);
            return (failed(&status));
        }
        exit_code = run_command(command, &options);
        options_release(&options);
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)status_set_errno(&status, errno, "output", "the result cannot be written");
        return (failed(&status));
    }
    return (exit_code);
}
