/*
 * test/common/test_config_options.c -- Option tables: every type, every refusal, what is left behind.
 */
#include "test/common/common_tests.h"

#include "common/config.h"
#include "test/fail_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *label;
    char *path;
    bool flag;
    int64_t number;
    int64_t limited;
    int64_t interval;
    int64_t short_interval;
    int action;
    CONFIG_STRINGS copies;
    const CONFIG_NODE *rest;
} OPTIONS;

static const char *const actions[] = {"warn", "shutdown", "ignore", NULL};

static const CONFIG_OPTION table[] = {
  {.name = "label", .type = OPTION_STRING, .offset = offsetof(OPTIONS, label)},
  {.name = "keyFile", .type = OPTION_PATH, .offset = offsetof(OPTIONS, path)},
  {.name = "flag", .type = OPTION_BOOL, .offset = offsetof(OPTIONS, flag), .fallback = "yes"},
  {.name = "number", .type = OPTION_INT, .offset = offsetof(OPTIONS, number)},
  {.name = "limited",
    .type = OPTION_INT,
    .offset = offsetof(OPTIONS, limited),
    .minimum = -5,
    .maximum = 10,
    .fallback = "7"},
  {.name = "interval",
    .type = OPTION_DURATION,
    .offset = offsetof(OPTIONS, interval),
    .fallback = "15m"},
  {.name = "shortInterval",
    .type = OPTION_DURATION,
    .offset = offsetof(OPTIONS, short_interval),
    .minimum = 250,
    .maximum = 24 * 3600 * 1000},
  {.name = "action",
    .type = OPTION_CHOICE,
    .offset = offsetof(OPTIONS, action),
    .choices = actions,
    .fallback = "shutdown"},
  {.name = "copies", .type = OPTION_STRING_LIST, .offset = offsetof(OPTIONS, copies)},
  {.name = "rest", .type = OPTION_NODE, .offset = offsetof(OPTIONS, rest)}, {.name = NULL}};

static const CONFIG_OPTION extra[] = {
  {.name = "provider", .type = OPTION_STRING, .required = true}, {.name = NULL}};

/* The tree that the last read used, since OPTION_NODE points into it. */
static CONFIG_NODE *tree;

static int
read_with(const CONFIG_OPTION *first, const CONFIG_OPTION *second, const char *text,
  void *structure, STATUS *status)
{
    config_free(tree);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, strlen(text), "c", &tree, status), 0);
    return (config_read(tree, first, second, structure, status));
}

static int
read_text(const char *text, OPTIONS *options, STATUS *status)
{
    memset(options, 0xa5, sizeof(*options));
    return (read_with(table, NULL, text, options, status));
}

static void
forget_tree(void)
{
    config_free(tree);
    tree = NULL;
}

static bool
is_zeroed(const OPTIONS *o)
{
    return (o->label == NULL && o->path == NULL && !o->flag && o->number == 0 && o->limited == 0 &&
            o->interval == 0 && o->short_interval == 0 && o->action == 0 &&
            o->copies.items == NULL && o->copies.count == 0 && o->rest == NULL);
}

static void
refuse(const char *text, const char *expected, const char *hint)
{
    OPTIONS options;
    STATUS s;
    int ret = read_text(text, &options, &s);

    CHECK_STATUS(ret, &s, STATUS_CONFIG, expected);
    CU_ASSERT(is_zeroed(&options));
    if (hint != NULL && ret != 0)
        CU_ASSERT_STRING_EQUAL(s.hint, hint);
    config_release(table, &options);
    forget_tree();
}

static void
test_defaults(void)
{
    OPTIONS options;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(read_text("", &options, &s), 0);
    CU_ASSERT_PTR_NULL(options.label);
    CU_ASSERT_PTR_NULL(options.path);
    CU_ASSERT_EQUAL(options.flag, true);
    CU_ASSERT_EQUAL(options.number, 0);
    CU_ASSERT_EQUAL(options.limited, 7);
    CU_ASSERT_EQUAL(options.interval, 15 * 60 * 1000);
    CU_ASSERT_EQUAL(options.short_interval, 0);
    CU_ASSERT_EQUAL(options.action, 1);
    CU_ASSERT_EQUAL(options.copies.count, 0);
    CU_ASSERT_PTR_NULL(options.rest);
    config_release(table, &options);
    memset(&options, 0xa5, sizeof(options));
    CU_ASSERT_EQUAL_FATAL(config_read(NULL, table, NULL, &options, &s), 0);
    CU_ASSERT_EQUAL(options.limited, 7);
    config_release(table, &options);
    CU_ASSERT(is_zeroed(&options));
    config_release(table, &options);
    forget_tree();
}

static void
test_values(void)
{
    OPTIONS options;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(
      read_text("label: 'a b'\nkeyFile: /etc/k\nflag: off\nnumber: 9223372036854775807\n"
                "limited: -5\ninterval: 90d\nshortInterval: 250ms\naction: ignore\n"
                "copies: [ /a, \"b\", 3 ]\nrest: {x: {y: z}}\n",
        &options, &s),
      0);
    CU_ASSERT_STRING_EQUAL(options.label, "a b");
    CU_ASSERT_STRING_EQUAL(options.path, "/etc/k");
    CU_ASSERT_EQUAL(options.flag, false);
    CU_ASSERT_EQUAL(options.number, INT64_MAX);
    CU_ASSERT_EQUAL(options.limited, -5);
    CU_ASSERT_EQUAL(options.interval, INT64_C(90) * 24 * 3600 * 1000);
    CU_ASSERT_EQUAL(options.short_interval, 250);
    CU_ASSERT_EQUAL(options.action, 2);
    CU_ASSERT_EQUAL_FATAL(options.copies.count, 3);
    CU_ASSERT_STRING_EQUAL(options.copies.items[0], "/a");
    CU_ASSERT_STRING_EQUAL(options.copies.items[2], "3");
    CU_ASSERT_PTR_EQUAL(options.rest, config_get(tree, "rest"));
    forget_tree(); /* what was copied outlives the tree */
    CU_ASSERT_STRING_EQUAL(options.label, "a b");
    config_release(table, &options);
    CU_ASSERT(is_zeroed(&options));
}

static void
test_bool(void)
{
    static const struct {
        const char *text;
        bool value;
    } rows[] = {{"flag: true", true}, {"flag: yes", true}, {"flag: on", true}, {"flag: True", true},
      {"flag: false", false}, {"flag: no", false}, {"flag: OFF", false}, {"flag: 'no'", false}};
    OPTIONS options;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_EQUAL(read_text(rows[i].text, &options, &s), 0);
        CU_ASSERT_EQUAL(options.flag, rows[i].value);
        config_release(table, &options);
    }
    refuse("flag: 1", "c:1:1: flag is \"1\", expected true or false", NULL);
    refuse("flag: y", "expected true or false", NULL);
    refuse("flag: truee", "expected true or false", NULL);
}

static void
test_int(void)
{
    OPTIONS options;
    STATUS s;

    CU_ASSERT_EQUAL(read_text("number: 0\nlimited: 10\n", &options, &s), 0);
    CU_ASSERT_EQUAL(options.limited, 10);
    config_release(table, &options);
    refuse("number: -1", "c:1:1: number is \"-1\", expected a number of 0 or more", NULL);
    refuse("limited: 11", "limited is 11, expected -5 to 10", NULL);
    refuse("limited: -6", "limited is -6, expected -5 to 10", NULL);
    refuse("number: 9223372036854775808", "expected a whole number", NULL);
    refuse("number: 99999999999999999999999999", "expected a whole number", NULL);
    refuse("number: 1.5", "expected a whole number", NULL);
    refuse("number: 0x10", "expected a whole number", NULL);
    refuse("number: 010", "expected a whole number", NULL);
    refuse("number: '+1'", "expected a whole number", NULL);
    refuse("number: ' 1'", "expected a whole number", NULL);
    refuse("number: '1 '", "expected a whole number", NULL);
    refuse("number: 1k", "expected a whole number", NULL);
    refuse("number: '-'", "expected a whole number", NULL);
    refuse("number: '--1'", "expected a whole number", NULL);
}

static void
test_duration(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {{"interval: 0", 0}, {"interval: 0s", 0}, {"interval: 1ms", 1},
      {"interval: 30s", 30000}, {"interval: 15m", 900000}, {"interval: 4h", 14400000},
      {"interval: 1d", 86400000}, {"interval: 106751991167d", INT64_C(9223372036828800000)}};
    OPTIONS options;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_EQUAL(read_text(rows[i].text, &options, &s), 0);
        CU_ASSERT_EQUAL(options.interval, rows[i].ms);
        config_release(table, &options);
    }
    refuse("interval: 15", "interval is \"15\", expected a number with a unit", NULL);
    refuse("interval: 15 m", "expected a number with a unit", NULL);
    refuse("interval: 15M", "expected a number with a unit", NULL);
    refuse("interval: 1h30m", "expected a number with a unit", NULL);
    refuse("interval: m", "expected a number with a unit", NULL);
    refuse("interval: -1s", "expected a number with a unit", NULL);
    refuse("interval: 1.5h", "expected a number with a unit", NULL);
    refuse("interval: 106751991168d", "expected a number with a unit", NULL);
    refuse("interval: 00s", "expected a number with a unit", NULL);
    refuse("shortInterval: 249ms", "shortInterval is 249ms, expected 250ms to 1d", NULL);
    refuse("shortInterval: 0", "shortInterval is 0, expected 250ms to 1d", NULL);
    refuse("shortInterval: 25h", "expected 250ms to 1d", NULL);
}

static void
test_choice(void)
{
    refuse("action: shutdow", "c:1:1: action is \"shutdow\", which is not known",
      "did you mean \"shutdown\"? Known here: warn, shutdown, ignore");
    refuse("action: Shutdown", "which is not known",
      "did you mean \"shutdown\"? Known here: warn, shutdown, ignore");
    refuse("action: explode", "which is not known", "known here: warn, shutdown, ignore");
}

static void
test_strings(void)
{
    char text[6000];

    refuse("keyFile: etc/k", "keyFile is \"etc/k\", expected an absolute path", NULL);
    refuse("keyFile: ~/k", "expected an absolute path", NULL);
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "keyFile: /", 10);
    refuse(text, "the path of keyFile is too long", NULL);
    refuse("label:", "c:1:1: label has no value", NULL);
    refuse("label: ''", "label has no value", NULL);
    refuse("copies:", "copies has no value", NULL);
    refuse("number: ~", "number has no value", NULL);
}

static void
test_wrong_kinds(void)
{
    refuse("label: [a]", "c:1:1: label is a list, expected a plain value", NULL);
    refuse("label: {a: b}", "label is a map, expected a plain value", NULL);
    refuse("copies: /a", "copies is a plain value, expected a list", NULL);
    refuse("copies: {a: b}", "copies is a map, expected a list", NULL);
    refuse("x: 1\nlabel: a", "c:1:1: unknown option \"x\"", NULL);
    refuse("label: a\ncopies:\n  - /a\n  - [b]\n", "c:4:5: copies must be a list of plain", NULL);
    refuse("copies: [/a, '']", "c:1:14: copies must be a list of plain", NULL);
    refuse("copies: [/a, {b: c}]", "copies must be a list of plain", NULL);
}

static void
test_unknown(void)
{
    refuse("label: a\nkeyfile: /k\n", "c:2:1: unknown option \"keyfile\"",
      "did you mean \"keyFile\"? Known here: label, keyFile, flag, number, limited, interval, "
      "shortInterval, action, copies, rest");
    refuse("lable: a\n", "unknown option \"lable\"", /* two letters swapped */
      "did you mean \"label\"? Known here: label, keyFile, flag, number, limited, interval, "
      "shortInterval, action, copies, rest");
    refuse("zzzzzz: a\n", "unknown option \"zzzzzz\"",
      "known here: label, keyFile, flag, number, limited, interval, shortInterval, action, copies, "
      "rest");
    refuse("'': a\n", "unknown option \"\"", NULL);
    refuse("0123456789012345678901234567890123456789012345678901234567890123456789: a\n",
      "unknown option \"0123456789", NULL);
    refuse("\"x\\ny\": a\n", "unknown option \"x?y\"", NULL);
}

static void
test_long_lists_are_cut(void)
{
    static char names[100][24];
    CONFIG_OPTION many[101];
    STATUS s;
    char *member;
    size_t i;

    memset(many, 0, sizeof(many));
    for (i = 0; i < 100; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "anOptionOfNumber%zu", i);
        many[i].name = names[i];
        many[i].type = OPTION_STRING;
    }
    CHECK_STATUS(
      read_with(many, NULL, "b: 1", &member, &s), &s, STATUS_CONFIG, "unknown option \"b\"");
    CU_ASSERT(strlen(s.hint) < sizeof(s.hint) - 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, "anOptionOfNumber0, anOptionOfNumber1"));
    forget_tree();
}

static void
test_required(void)
{
    static const CONFIG_OPTION required[] = {{.name = "first", .type = OPTION_STRING, .offset = 0},
      {.name = "needed", .type = OPTION_STRING, .offset = sizeof(char *), .required = true},
      {.name = NULL}};
    char *members[2];
    STATUS s;

    CHECK_STATUS(read_with(required, NULL, "first: a", members, &s), &s, STATUS_CONFIG,
      "c:1:1: \"needed\" is missing");
    CU_ASSERT_PTR_NULL(members[0]);
    CHECK_STATUS(config_read(NULL, required, NULL, members, &s), &s, STATUS_CONFIG,
      "configuration: \"needed\" is missing");
    CU_ASSERT_EQUAL(read_with(required, NULL, "needed: a", members, &s), 0);
    config_release(required, members);
    forget_tree();
}

static void
test_two_tables(void)
{
    OPTIONS options;
    STATUS s;

    CU_ASSERT_EQUAL(read_with(table, extra, "provider: aws\nlabel: x\n", &options, &s), 0);
    CU_ASSERT_STRING_EQUAL(options.label, "x");
    config_release(table, &options);
    /* A required option of the other table is the other reader's business. */
    CU_ASSERT_EQUAL(read_with(table, extra, "label: x\n", &options, &s), 0);
    config_release(table, &options);
    CHECK_STATUS(read_with(table, extra, "provder: aws\n", &options, &s), &s, STATUS_CONFIG,
      "did you mean \"provider\"?");
    forget_tree();
}

static void
test_not_a_map(void)
{
    OPTIONS options;
    STATUS s;

    config_free(tree);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml("a: [1]\nb: x\nc:\n", 15, "c", &tree, &s), 0);
    CHECK_STATUS(config_read(config_get(tree, "a"), table, NULL, &options, &s), &s, STATUS_CONFIG,
      "c:1:1: a: expected a map");
    CU_ASSERT(is_zeroed(&options));
    CHECK_STATUS(config_read(config_get(tree, "a")->children, table, NULL, &options, &s), &s,
      STATUS_CONFIG, "c:1:5: expected a map");
    CHECK_STATUS(config_read(config_get(tree, "b"), table, NULL, &options, &s), &s, STATUS_CONFIG,
      "c:2:1: b: expected a map");
    CU_ASSERT_EQUAL(config_read(config_get(tree, "c"), table, NULL, &options, &s), 0);
    CU_ASSERT_EQUAL(options.limited, 7);
    config_release(table, &options);
    forget_tree();
}

/* A table that is wrong itself is found by the first read, not obeyed. */
static void
test_wrong_table(void)
{
    static const CONFIG_OPTION lists[] = {
      {.name = "x", .type = OPTION_STRING_LIST, .fallback = "a"}, {.name = NULL}};
    static const CONFIG_OPTION outside[] = {
      {.name = "x", .type = OPTION_INT, .fallback = "5", .minimum = 6, .maximum = 7},
      {.name = NULL}};
    CONFIG_STRINGS strings;
    int64_t number;
    STATUS s;

    CU_ASSERT_EQUAL(config_read(NULL, lists, NULL, &strings, &s), STATUS_INTERNAL);
    CHECK_STATUS(config_read(NULL, outside, NULL, &number, &s), &s, STATUS_CONFIG,
      "configuration: x is 5, expected 6 to 7");
}

static bool
read_without_memory(bool *failedp, void *context)
{
    OPTIONS options;
    STATUS s;
    int ret;

    (void)context;
    memset(&options, 0xa5, sizeof(options));
    ret = config_read(tree, table, NULL, &options, &s);
    *failedp = fail_alloc_done();
    if (*failedp)
        return (
          ret == STATUS_NO_MEMORY && s.status_class == STATUS_NO_MEMORY && is_zeroed(&options));
    config_release(table, &options);
    return (ret == 0);
}

static void
test_no_memory(void)
{
    static const char text[] = "label: a\nkeyFile: /k\ncopies: [a, b]\n";
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, sizeof(text) - 1, "c", &tree, &s), 0);
    fail_every_alloc(read_without_memory, NULL, 5);
    forget_tree();
}

const TEST config_option_tests[] = {{"defaults", test_defaults}, {"values", test_values},
  {"bool", test_bool}, {"int", test_int}, {"duration", test_duration}, {"choice", test_choice},
  {"strings", test_strings}, {"wrong_kinds", test_wrong_kinds}, {"unknown", test_unknown},
  {"long_lists_are_cut", test_long_lists_are_cut}, {"required", test_required},
  {"two_tables", test_two_tables}, {"not_a_map", test_not_a_map}, {"wrong_table", test_wrong_table},
  {"no_memory", test_no_memory}, {NULL, NULL}};
