/*
 * common/config_options.c -- Option tables: a map of the configuration into a structure. See config.h.
 */
#include "common/config.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_COMPARED 63 /* names longer than this are not guessed at */

static const struct {
    const char *name;
    int64_t ms;
} duration_units[] = {
  {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000}};

#define DURATION_UNITS (sizeof(duration_units) / sizeof(duration_units[0]))

/* --- "did you mean" */

static unsigned
smaller(unsigned a, unsigned b)
{
    return (a < b ? a : b);
}

static int
fold(char c)
{
    return (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/*
 * How many letters must be put in, taken out, changed or swapped with their neighbour to make one
 * name the other, without regard to case (Damerau's distance, the restricted one).
 */
static unsigned
name_distance(const char *a, const char *b)
{
    unsigned rows[3][NAME_MAX_COMPARED + 2], *two_up = rows[0], *up = rows[1], *row = rows[2],
                                             *spare;
    size_t a_len = strlen(a), b_len = strlen(b), i, j;

    if (a_len > NAME_MAX_COMPARED || b_len > NAME_MAX_COMPARED)
        return (UINT_MAX);
    memset(rows, 0, sizeof(rows));
    for (j = 0; j <= b_len; j++)
        up[j] = (unsigned)j;
    for (i = 1; i <= a_len; i++) {
        row[0] = (unsigned)i;
        for (j = 1; j <= b_len; j++) {
            row[j] = smaller(smaller(up[j], row[j - 1]) + 1,
              up[j - 1] + (fold(a[i - 1]) == fold(b[j - 1]) ? 0 : 1));
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]))
                row[j] = smaller(row[j], two_up[j - 2] + 1);
        }
        spare = two_up;
        two_up = up;
        up = row;
        row = spare;
    }
    return (up[b_len]);
}

/* A third of the letters may be wrong; more would only mislead. */
static void
consider(const char *given, const char *known, const char **nearestp, unsigned *distancep)
{
    unsigned distance = name_distance(given, known);

    if (distance < *distancep && distance <= 1 + strlen(known) / 4) {
        *nearestp = known;
        *distancep = distance;
    }
}

/* Append ", name" to a list in a buffer; what does not fit is left out whole. */
static void
list_name(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);

    if (used + strlen(name) + sizeof(", ") < size)
        (void)snprintf(list + used, size - used, "%s%s", used == 0 ? "" : ", ", name);
}

static void
hint_known(STATUS *status, const char *nearest, const char *list)
{
    if (nearest == NULL)
        (void)status_hint(status, "known here: %s", list);
    else
        (void)status_hint(status, "did you mean \"%s\"? Known here: %s", nearest, list);
}

static int
unknown_option(
  const CONFIG_NODE *node, const CONFIG_OPTION *table, const CONFIG_OPTION *extra, STATUS *status)
{
    const CONFIG_OPTION *option, *tables[] = {table, extra};
    const char *nearest = NULL;
    unsigned distance = UINT_MAX;
    char list[400] = "";
    size_t i;

    for (i = 0; i < 2; i++)
        for (option = tables[i]; option != NULL && option->name != NULL; option++) {
            consider(node->key, option->name, &nearest, &distance);
            list_name(list, sizeof(list), option->name);
        }
    (void)config_error(node, status, "config-unknown", "unknown option \"%s\"", node->key);
    hint_known(status, nearest, list);
    return (STATUS_CONFIG);
}

/* --- values. node is where the text came from, NULL for a default of the table. */

static int
wrong_value(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text,
  const char *expected, STATUS *status)
{
    return (config_error(
      node, status, "config-value", "%s is \"%s\", expected %s", option->name, text, expected));
}

/* Digits alone, without a leading zero that YAML would read as octal. *endp is behind them. */
static bool
parse_digits(const char *text, const char **endp, int64_t *valuep)
{
    const char *p = text;
    int64_t value = 0;

    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (INT64_MAX - (*p - '0')) / 10)
            return (false);
        value = value * 10 + (*p - '0');
    }
    if (p == text || (text[0] == '0' && p - text > 1))
        return (false);
    *endp = p;
    *valuep = value;
    return (true);
}

static bool
in_range(const CONFIG_OPTION *option, int64_t value)
{
    if (option->minimum == 0 && option->maximum == 0)
        return (value >= 0);
    return (value >= option->minimum && value <= option->maximum);
}

static int
read_int(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text, int64_t *valuep,
  STATUS *status)
{
    const char *digits = text[0] == '-' ? text + 1 : text, *end;

    if (!parse_digits(digits, &end, valuep) || *end != '\0')
        return (wrong_value(node, option, text, "a whole number", status));
    if (digits != text)
        *valuep = -*valuep;
    if (in_range(option, *valuep))
        return (0);
    if (option->minimum == 0 && option->maximum == 0)
        return (wrong_value(node, option, text, "a number of 0 or more", status));
    return (config_error(node, status, "config-range", "%s is %s, expected %jd to %jd",
      option->name, text, (intmax_t)option->minimum, (intmax_t)option->maximum));
}

/* In the largest unit that says it exactly. */
static const char *
format_duration(int64_t ms, char *buf, size_t size)
{
    size_t i = DURATION_UNITS - 1;

    while (i > 0 && ms % duration_units[i].ms != 0)
        i--;
    (void)snprintf(buf, size, "%jd%s", (intmax_t)(ms / duration_units[i].ms),
      ms == 0 ? "" : duration_units[i].name);
    return (buf);
}

static int
read_duration(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text,
  int64_t *valuep, STATUS *status)
{
    static const char expected[] = "a number with a unit: 250ms, 30s, 15m, 4h or 90d";
    const char *end;
    char low[32], high[32];
    size_t i;

    if (!parse_digits(text, &end, valuep))
        return (wrong_value(node, option, text, expected, status));
    if (*end != '\0' || *valuep != 0) {
        for (i = 0; i < DURATION_UNITS && strcmp(end, duration_units[i].name) != 0; i++)
            ;
        if (i == DURATION_UNITS || *valuep > INT64_MAX / duration_units[i].ms)
            return (wrong_value(node, option, text, expected, status));
        *valuep *= duration_units[i].ms;
    }
    if (in_range(option, *valuep))
        return (0);
    return (config_error(node, status, "config-range", "%s is %s, expected %s to %s", option->name,
      text, format_duration(option->minimum, low, sizeof(low)),
      format_duration(option->maximum, high, sizeof(high))));
}

static int
read_bool(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text, bool *valuep,
  STATUS *status)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on"};
    size_t i;

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *valuep = i % 2 == 1;
            return (0);
        }
    return (wrong_value(node, option, text, "true or false", status));
}

static int
read_choice(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text, int *valuep,
  STATUS *status)
{
    const char *nearest = NULL;
    unsigned distance = UINT_MAX;
    char list[400] = "";
    int i;

    for (i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(text, option->choices[i]) == 0) {
            *valuep = i;
            return (0);
        }
        consider(text, option->choices[i], &nearest, &distance);
        list_name(list, sizeof(list), option->choices[i]);
    }
    (void)config_error(
      node, status, "config-value", "%s is \"%s\", which is not known", option->name, text);
    hint_known(status, nearest, list);
    return (STATUS_CONFIG);
}

static int
read_string(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text, char **valuep,
  STATUS *status)
{
    if (option->type == OPTION_PATH && text[0] != '/')
        return (wrong_value(node, option, text, "an absolute path", status));
    if (option->type == OPTION_PATH && strlen(text) >= PATH_MAX)
        return (
          config_error(node, status, "config-value", "the path of %s is too long", option->name));
    if ((*valuep = strdup(text)) == NULL)
        return (status_set(
          status, STATUS_NO_MEMORY, "config-memory", "no memory for option %s", option->name));
    return (0);
}

static int
read_strings(
  const CONFIG_NODE *node, const CONFIG_OPTION *option, CONFIG_STRINGS *strings, STATUS *status)
{
    const CONFIG_NODE *child;
    size_t count = 0;

    for (child = node->children; child != NULL; child = child->next)
        count++;
    if (count == 0)
        return (0);
    if ((strings->items = calloc(count, sizeof(*strings->items))) == NULL)
        goto err;
    for (child = node->children; child != NULL; child = child->next) {
        if (child->kind != CONFIG_SCALAR || child->value[0] == '\0')
            return (config_error(
              child, status, "config-type", "%s must be a list of plain values", option->name));
        if ((strings->items[strings->count] = strdup(child->value)) == NULL)
            goto err;
        strings->count++;
    }
    return (0);

err:
    return (status_set(
      status, STATUS_NO_MEMORY, "config-memory", "no memory for option %s", option->name));
}

static int
read_text(const CONFIG_NODE *node, const CONFIG_OPTION *option, const char *text, void *member,
  STATUS *status)
{
    switch (option->type) {
    case OPTION_STRING:
    case OPTION_PATH:
        return (read_string(node, option, text, member, status));
    case OPTION_BOOL:
        return (read_bool(node, option, text, member, status));
    case OPTION_INT:
        return (read_int(node, option, text, member, status));
    case OPTION_DURATION:
        return (read_duration(node, option, text, member, status));
    case OPTION_CHOICE:
        return (read_choice(node, option, text, member, status));
    case OPTION_STRING_LIST:
    case OPTION_NODE:
        break;
    }
    return (status_set(
      status, STATUS_INTERNAL, "config-table", "option %s cannot have a default", option->name));
}

static int
read_option(const CONFIG_NODE *node, const CONFIG_OPTION *option, void *member, STATUS *status)
{
    static const char *const kinds[] = {"a plain value", "a list", "a map"};
    CONFIG_KIND wanted = option->type == OPTION_STRING_LIST ? CONFIG_LIST : CONFIG_SCALAR;

    if (option->type == OPTION_NODE) {
        *(const CONFIG_NODE **)member = node;
        return (0);
    }
    if (node->kind == CONFIG_SCALAR && node->value[0] == '\0')
        return (config_error(node, status, "config-empty", "%s has no value", option->name));
    if (node->kind != wanted)
        return (config_error(node, status, "config-type", "%s is %s, expected %s", option->name,
          kinds[node->kind], kinds[wanted]));
    if (wanted == CONFIG_LIST)
        return (read_strings(node, option, member, status));
    return (read_text(node, option, node->value, member, status));
}

/* --- structures */

static void *
member_of(const CONFIG_OPTION *option, void *structure)
{
    return ((char *)structure + option->offset);
}

static void
zero_member(const CONFIG_OPTION *option, void *structure)
{
    static const size_t sizes[] = {
      [OPTION_STRING] = sizeof(char *),
      [OPTION_PATH] = sizeof(char *),
      [OPTION_BOOL] = sizeof(bool),
      [OPTION_INT] = sizeof(int64_t),
      [OPTION_DURATION] = sizeof(int64_t),
      [OPTION_CHOICE] = sizeof(int),
      [OPTION_STRING_LIST] = sizeof(CONFIG_STRINGS),
      [OPTION_NODE] = sizeof(const CONFIG_NODE *),
    };

    memset(member_of(option, structure), 0, sizes[option->type]);
}

static const CONFIG_OPTION *
find_option(const CONFIG_OPTION *table, const char *name)
{
    if (table == NULL)
        return (NULL);
    for (; table->name != NULL; table++)
        if (strcmp(table->name, name) == 0)
            return (table);
    return (NULL);
}

int
config_read(const CONFIG_NODE *map, const CONFIG_OPTION *table, const CONFIG_OPTION *extra,
  void *structure, STATUS *status)
{
    const CONFIG_OPTION *option;
    const CONFIG_NODE *child;

    for (option = table; option->name != NULL; option++)
        zero_member(option, structure);
    /* A section whose lines are all commented out is a scalar without a value: an empty map. */
    if (map != NULL && map->kind != CONFIG_MAP &&
        (map->kind == CONFIG_LIST || map->value[0] != '\0'))
        return (config_error(map, status, "config-type", "%s%sexpected a map of \"name: value\"",
          map->key == NULL ? "" : map->key, map->key == NULL ? "" : ": "));
    for (child = map == NULL ? NULL : map->children; child != NULL; child = child->next) {
        if ((option = find_option(table, child->key)) != NULL) {
            if (read_option(child, option, member_of(option, structure), status) != 0)
                goto err;
        } else if (find_option(extra, child->key) == NULL) {
            (void)unknown_option(child, table, extra, status);
            goto err;
        }
    }
    for (option = table; option->name != NULL; option++) {
        if (config_get(map, option->name) != NULL)
            continue;
        if (option->required) {
            (void)config_error(map, status, "config-missing", "\"%s\" is missing", option->name);
            goto err;
        }
        if (option->fallback != NULL &&
            read_text(NULL, option, option->fallback, member_of(option, structure), status) != 0)
            goto err;
    }
    return (0);

err:
    config_release(table, structure);
    return ((int)status->status_class);
}

void
config_release(const CONFIG_OPTION *table, void *structure)
{
    const CONFIG_OPTION *option;
    CONFIG_STRINGS *strings;
    size_t i;

    for (option = table; option->name != NULL; option++) {
        if (option->type == OPTION_STRING || option->type == OPTION_PATH)
            free(*(char **)member_of(option, structure));
        else if (option->type == OPTION_STRING_LIST) {
            strings = member_of(option, structure);
            for (i = 0; i < strings->count; i++)
                free(strings->items[i]);
            free(strings->items);
        }
        zero_member(option, structure);
    }
}
