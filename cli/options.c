/*
 * cli/options.c -- Command lines. See options.h.
 *
 * Not getopt_long: it shortens names, writes its own messages and keeps global state.
 */
#include "cli/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const format_names[] = {"table", "json", "prometheus", NULL};

#define AT(member) offsetof(OPTIONS, member)

const OPTIONS_ENTRY options_common[] = {
  {"config", 0, OPTIONS_TEXT, "FILE", AT(config), NULL, 0, 0,
    "Configuration: node, key services and credentials (wtkms.conf(5))."},
  {"format", 0, OPTIONS_CHOICE, "FORMAT", AT(format), format_names, 0, 0,
    "table, the default, or json; status knows prometheus too."},
  {"help", 'h', OPTIONS_FLAG, NULL, AT(help), NULL, 0, 0, "Print how to call the command."},
  {"version", 'V', OPTIONS_FLAG, NULL, AT(version), NULL, 0, 0, "Print the version."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

#define SEEN_MAX 32 /* entries of the two tables together */

typedef struct {
    const OPTIONS_ENTRY *entries[SEEN_MAX];
    size_t count;
} SEEN;

static const OPTIONS_ENTRY *
find_in(const OPTIONS_ENTRY *table, const char *name, size_t len, char letter)
{
    for (; table != NULL && table->name != NULL; table++)
        if (name == NULL ? table->letter == letter
                         : strlen(table->name) == len && memcmp(table->name, name, len) == 0)
            return (table);
    return (NULL);
}

static const OPTIONS_ENTRY *
find(const OPTIONS_ENTRY *table, const char *name, size_t len, char letter)
{
    const OPTIONS_ENTRY *entry;

    if ((entry = find_in(table, name, len, letter)) == NULL)
        entry = find_in(options_common, name, len, letter);
    return (entry);
}

static int
store_choice(const OPTIONS_ENTRY *entry, const char *value, int *resultp, STATUS *status)
{
    int i;

    for (i = 0; entry->choices[i] != NULL; i++)
        if (strcmp(entry->choices[i], value) == 0) {
            *resultp = i;
            return (0);
        }
    (void)status_set(
      status, STATUS_REFUSED, "usage", "--%s: \"%s\" is not a choice", entry->name, value);
    return (status_hint(status, "%s", entry->help));
}

static int
store_number(const OPTIONS_ENTRY *entry, const char *value, int64_t *resultp, STATUS *status)
{
    char *end;
    long long number;

    errno = 0;
    number = strtoll(value, &end, 10);
    if (errno != 0 || end == value || *end != '\0' || number < entry->minimum ||
        number > entry->maximum)
        return (status_set(status, STATUS_REFUSED, "usage",
          "--%s: \"%s\" is not a number from %lld to %lld", entry->name, value,
          (long long)entry->minimum, (long long)entry->maximum));
    *resultp = number;
    return (0);
}

static int
store(const OPTIONS_ENTRY *entry, const char *value, OPTIONS *options, SEEN *seen, STATUS *status)
{
    char *base = (char *)options;
    size_t i;

    for (i = 0; i < seen->count; i++)
        if (seen->entries[i] == entry)
            return (
              status_set(status, STATUS_REFUSED, "usage", "--%s is given twice", entry->name));
    if (seen->count == SEEN_MAX)
        return (status_set(status, STATUS_INTERNAL, "options", "too many options in a table"));
    seen->entries[seen->count++] = entry;

    /* The members have the types that the entry says, so the casts below are aligned. */
    switch (entry->type) {
    case OPTIONS_FLAG:
        *(bool *)(void *)(base + entry->offset) = true;
        return (0);
    case OPTIONS_TEXT:
        if (value[0] == '\0')
            return (
              status_set(status, STATUS_REFUSED, "usage", "--%s: the value is empty", entry->name));
        *(const char **)(void *)(base + entry->offset) = value;
        return (0);
    case OPTIONS_NUMBER:
        return (store_number(entry, value, (int64_t *)(void *)(base + entry->offset), status));
    case OPTIONS_CHOICE:
        return (store_choice(entry, value, (int *)(void *)(base + entry->offset), status));
    }
    return (status_set(status, STATUS_INTERNAL, "options", "an option of no type"));
}

/*
 * One argument that starts with a dash: --name, --name=value, --name value, -x, -xvalue, -x value.
 */
static int
parse_one(const OPTIONS_ENTRY *table, int argc, char *const *argv, int *ip, OPTIONS *options,
  SEEN *seen, STATUS *status)
{
    const OPTIONS_ENTRY *entry;
    const char *arg, *equals, *value;
    size_t len;

    arg = argv[*ip];
    value = NULL;
    if (arg[1] == '-') {
        equals = strchr(arg, '=');
        len = equals == NULL ? strlen(arg) : (size_t)(equals - arg);
        entry = find(table, arg + 2, len - 2, 0);
        if (equals != NULL)
            value = equals + 1;
    } else {
        len = 2;
        entry = find(table, NULL, 0, arg[1]);
        if (arg[2] != '\0')
            value = arg + 2;
    }
    if (entry == NULL)
        return (status_set(
          status, STATUS_REFUSED, "usage", "unknown option %.*s", (int)(len > 64 ? 64 : len), arg));
    if (entry->type == OPTIONS_FLAG) {
        if (value != NULL)
            return (
              status_set(status, STATUS_REFUSED, "usage", "--%s takes no value", entry->name));
    } else if (value == NULL) {
        if (*ip + 1 >= argc)
            return (
              status_set(status, STATUS_REFUSED, "usage", "--%s: a value is missing", entry->name));
        value = argv[++*ip];
    }
    return (store(entry, value, options, seen, status));
}

int
options_parse(
  const OPTIONS_ENTRY *table, int argc, char *const *argv, OPTIONS *options, STATUS *status)
{
    SEEN seen;
    int i, ret;
    bool only_operands;

    memset(options, 0, sizeof(*options));
    memset(&seen, 0, sizeof(seen));
    if ((options->operands = calloc((size_t)argc + 1, sizeof(*options->operands))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the arguments"));
    for (i = 0, only_operands = false; i < argc; i++)
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0')
            options->operands[options->operand_count++] = argv[i];
        else if (strcmp(argv[i], "--") == 0)
            only_operands = true;
        else if ((ret = parse_one(table, argc, argv, &i, options, &seen, status)) != 0) {
            options_release(options);
            return (ret);
        }
    return (0);
}

void
options_release(OPTIONS *options)
{
    free(options->operands);
    options->operands = NULL;
    options->operand_count = 0;
}

unsigned
options_threads(const OPTIONS *options, unsigned maximum)
{
    long n;

    if (options->jobs != 0)
        return ((unsigned)options->jobs);
    n = sysconf(_SC_NPROCESSORS_ONLN);
    return (n < 1 ? 1 : n > (long)maximum ? maximum : (unsigned)n);
}
