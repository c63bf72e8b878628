/*
 * test/cli/test_cli.c -- The parts of wtkms that need no home: command lines, output, the engine's
 * configuration lines, damaged blocks, the pool that authenticates units.
 */
#include "cli/block_damage.h"
#include "cli/cli.h"
#include "cli/engine_lines.h"
#include "cli/output.h"
#include "cli/unit_pool.h"
#include "test/testmain.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --- options */

static int
parse(const OPTIONS_ENTRY *table, const char *line, OPTIONS *options, STATUS *status)
{
    static char copy[512];
    char *argv[32], *save, *word;
    int argc = 0;

    (void)snprintf(copy, sizeof(copy), "%s", line);
    for (word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    return (options_parse(table, argc, argv, options, status));
}

static void
test_options(void)
{
    OPTIONS options;
    STATUS status;

    CU_ASSERT_EQUAL_FATAL(
      parse(cmd_check_options, "home --config=c -j3 --format json", &options, &status), 0);
    CU_ASSERT_STRING_EQUAL(options.config, "c");
    CU_ASSERT_EQUAL(options.jobs, 3);
    CU_ASSERT_EQUAL(options.format, FORMAT_JSON);
    CU_ASSERT_EQUAL(options.operand_count, 1);
    CU_ASSERT_STRING_EQUAL(options.operands[0], "home");
    options_release(&options);

    CU_ASSERT_EQUAL_FATAL(parse(NULL, "-- --config -x -", &options, &status), 0);
    CU_ASSERT_EQUAL(options.operand_count, 3);
    CU_ASSERT_PTR_NULL(options.config);
    options_release(&options);

    CU_ASSERT_EQUAL_FATAL(parse(cmd_check_options, "-h", &options, &status), 0);
    CU_ASSERT_TRUE(options.help);
    options_release(&options);
}

static void
test_options_refused(void)
{
    static const struct {
        const char *line, *says;
    } cases[] = {{"--conf c", "unknown option --conf"}, {"--config", "a value is missing"},
      {"--config a --config b", "given twice"}, {"--config=", "empty"},
      {"-j 257", "not a number from 1 to 256"}, {"-j -1", "not a number"},
      {"-j 0x4", "not a number"}, {"--help=yes", "takes no value"},
      {"--format xml", "not a choice"}, {"-z", "unknown option -z"}};
    OPTIONS options;
    STATUS status;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        status_clear(&status);
        CU_ASSERT_EQUAL(parse(cmd_check_options, cases[i].line, &options, &status), STATUS_REFUSED);
        CU_ASSERT_STRING_EQUAL(status.id, "usage");
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, cases[i].says));
        CU_ASSERT_PTR_NULL(options.operands);
    }
}

/* --- output */

static void
test_safe(void)
{
    static const struct {
        const char *text, *safe;
    } cases[] = {{"plain text", "plain text"}, {"a\nb\tc\rd", "a\\nb\\tc\\x0dd"},
      {"\x1b[31m", "\\x1b[31m"},
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x94\x91"},
      {"\xff\xfe", "\\xff\\xfe"}, {"\xc3", "\\xc3"},
      {"\xc2\x9b"
       "31m",
        "\\xc2\\x9b31m"},
      {"\xe2\x82", "\\xe2\\x82"}, {"\x7f", "\\x7f"}, {"", ""}};
    char *safe;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        safe = output_safe(cases[i].text);
        CU_ASSERT_STRING_EQUAL(safe, cases[i].safe);
        free(safe);
    }
}

static void
test_table(void)
{
    OUTPUT_TABLE *table;
    FILE *out;
    char *text;
    size_t len;

    out = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    table = output_table_new("NAME", "N", "", NULL);
    output_table_cell(table, "caf\xc3\xa9");
    output_table_cell(table, "%d", 12345);
    output_table_cell(table, "x");
    output_table_cell(table, "a\nlonger");
    output_table_cell(table, "1");
    output_table_cell(table, "y");
    output_table_print(table, 2, out);
    output_table_print(output_table_new("EMPTY", NULL), 0, out);
    (void)fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "  NAME       N      \n"
                                 "  caf\xc3\xa9       12345  x\n"
                                 "  a\\nlonger  1      y\n");
    free(text);
}

static void
test_json(void)
{
    STATUS status;
    bson_t child, json, list;
    FILE *out;
    char *text;
    size_t len;

    bson_init(&json);
    output_json_text(&json, "text", "a \"b\" {,:\n\xff");
    output_json_text(&json, "none", NULL);
    output_json_number(&json, "large", INT64_C(9007199254740993));
    output_json_id(&json, "id", 0xab);
    output_json_time(&json, "time", INT64_C(1795530137000));
    output_json_begin_array(&json, "list", &list);
    output_json_element(&list, 0, &child);
    output_json_bool(&child, "yes", true);
    output_json_end(&list, &child);
    output_json_end_array(&json, &list);
    output_json_begin(&json, "empty", &child);
    output_json_end(&json, &child);
    out = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    CU_ASSERT_EQUAL(output_json_print(&json, out, &status), 0);
    (void)fclose(out);
    CU_ASSERT_STRING_EQUAL(text,
      "{\n  \"text\": \"a \\\"b\\\" {,:\\\\n\\\\xff\",\n  \"none\": null,\n"
      "  \"large\": 9007199254740993,\n  \"id\": \"00000000000000ab\",\n"
      "  \"time\": \"2026-11-24T14:22:17Z\",\n  \"list\": [\n    {\n      \"yes\": true\n    }\n  "
      "],\n"
      "  \"empty\": {}\n}\n");
    free(text);
    bson_destroy(&json);
}

static void
test_prometheus(void)
{
    FILE *out;
    char *text;
    size_t len;

    out = open_memstream(&text, &len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(out);
    output_prometheus(out, "m", 7, "a", "x\"y\\z\n", "b", NULL, NULL);
    output_prometheus(out, "n", -1, NULL);
    (void)fclose(out);
    CU_ASSERT_STRING_EQUAL(text, "m{a=\"x\\\"y\\\\z\\\\n\",b=\"\"} 7\nn -1\n");
    free(text);
}

/* --- the engine's lines */

static void
check_find(const char *text, const char *key, const char *want, unsigned want_line)
{
    STATUS status;
    char *value;
    unsigned line = 0;

    CU_ASSERT_EQUAL_FATAL(engine_lines_find(text, strlen(text), key, &line, &value, &status), 0);
    if (want == NULL)
        CU_ASSERT_PTR_NULL(value)
    else {
        CU_ASSERT_PTR_NOT_NULL_FATAL(value);
        CU_ASSERT_STRING_EQUAL(value, want);
        CU_ASSERT_EQUAL(line, want_line);
    }
    free(value);
}

static void
test_lines_find(void)
{
    STATUS status;
    char *value;
    const char *bad = "extensions=[a,(b]";

    check_find("a=1,extensions=[x.so,y=(config=(extensions=z))]\n", "extensions",
      "x.so,y=(config=(extensions=z))", 1);
    check_find("# extensions=[no]\n\n  # nor this\n\"extensions\" = [a]\n", "extensions", "", 4);
    check_find("log=(enabled,extensions=[x])", "extensions", NULL, 0);
    check_find("a=\"encryption=(x)\"\nb", "encryption", NULL, 0);
    check_find("encryption=(name=a)\nencryption=(name=b)", "encryption", "name=b", 2);
    check_find("x=[\n1,\n2],encryption=(\nname=c)", "encryption", "\nname=c", 3);
    check_find("encryption", "encryption", "", 1);
    check_find("", "encryption", NULL, 0);
    CU_ASSERT_EQUAL(
      engine_lines_find(bad, strlen(bad), "x", NULL, &value, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(value);
}

static void
test_lines_others(void)
{
    STATUS status;
    char *others;

    CU_ASSERT_EQUAL_FATAL(
      engine_lines_others("/a/" ENGINE_LINES_MODULE
                          "=(config=(config_file=/c)),local=(entry=f),\"/x y.so\"",
        &others, &status),
      0);
    CU_ASSERT_STRING_EQUAL(others, "local=(entry=f),\"/x y.so\"");
    free(others);
    CU_ASSERT_EQUAL_FATAL(
      engine_lines_others("\"/b c/" ENGINE_LINES_MODULE "\"", &others, &status), 0);
    CU_ASSERT_STRING_EQUAL(others, "");
    free(others);
    CU_ASSERT_EQUAL(engine_lines_others("a=(b", &others, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(others);
}

static void
test_lines_make(void)
{
    STATUS status;
    char *lines;

    CU_ASSERT_EQUAL_FATAL(
      engine_lines_make("/m/a.so", "/etc/wt kms.conf", "x.so", &lines, &status), 0);
    CU_ASSERT_STRING_EQUAL(lines,
      "extensions=[x.so,/m/a.so=(config=(config_file=\"/etc/wt kms.conf\"))]\n"
      "encryption=(name=kms,keyid=default)\n");
    free(lines);
    CU_ASSERT_EQUAL(
      engine_lines_make("/m/a.so", "/etc/a\nb", NULL, &lines, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NULL(lines);
    CU_ASSERT_EQUAL(engine_lines_make("/m/a\".so", "/etc/a", NULL, &lines, &status), STATUS_CONFIG);
}

/* --- damaged blocks */

#define ALLOCATION 512u

static void
put_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

static void
put_block(uint8_t *p, uint32_t size)
{
    size_t i;

    for (i = 44; i < size; i++)
        p[i] = (uint8_t)(i * 131 + 7);
    memset(p, 0, 44);
    p[8] = 5; /* write generation */
    p[24] = BLOCK_TYPE_ROW_LEAF;
    p[25] = BLOCK_PAGE_ENCRYPTED;
    put_u32(p + 28, size);
    put_u32(p + 32, 0x12345678);
    p[36] = 1;
    put_u32(p + 40, size - 20);
    memcpy(p + 44, "WK\1\1", 4);
}

typedef struct {
    uint64_t offsets[8];
    size_t count;
} DAMAGES;

static int
on_damage(void *context, uint64_t offset, const char *text, STATUS *status)
{
    DAMAGES *damages = context;

    (void)text;
    (void)status;
    if (damages->count < 8)
        damages->offsets[damages->count] = offset;
    damages->count++;
    return (0);
}

static size_t
find_damage(const uint8_t *data, size_t len, uint64_t from, uint64_t region_len, DAMAGES *damages)
{
    BLOCK_REGION region = {from, region_len, false};
    STATUS status;
    FILE *file = tmpfile();

    memset(damages, 0, sizeof(*damages));
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL_FATAL(fwrite(data, 1, len, file), len);
    CU_ASSERT_EQUAL_FATAL(fflush(file), 0);
    CU_ASSERT_EQUAL(
      block_damage_find(fileno(file), &region, ALLOCATION, on_damage, damages, &status), 0);
    (void)fclose(file);
    return (damages->count);
}

static void
test_damage(void)
{
    DAMAGES damages;
    uint8_t data[8 * ALLOCATION], saved;
    size_t at;

    /* Two blocks of which nothing else is known but that their checksums do not fit. */
    memset(data, 0, sizeof(data));
    put_block(data + ALLOCATION, 2 * ALLOCATION);
    put_block(data + 3 * ALLOCATION, 3 * ALLOCATION);
    CU_ASSERT_EQUAL(find_damage(data, sizeof(data), ALLOCATION, 7 * ALLOCATION, &damages), 2);
    CU_ASSERT_EQUAL(damages.offsets[0], ALLOCATION);
    CU_ASSERT_EQUAL(damages.offsets[1], 3 * ALLOCATION);

    /* A header that says more than the region has: a newer block starts inside, so it is stale. */
    CU_ASSERT_EQUAL(find_damage(data, sizeof(data), 3 * ALLOCATION, 2 * ALLOCATION, &damages), 0);
    /* So is a clear one, whatever stands where an encrypted one has its length. */
    data[3 * ALLOCATION + 25] = 0;
    memset(data + 3 * ALLOCATION + 44, 0x11, 4);
    put_u32(data + 3 * ALLOCATION + 40, 300);
    CU_ASSERT_EQUAL(find_damage(data, sizeof(data), 3 * ALLOCATION, 2 * ALLOCATION, &damages), 0);
    /* Ciphertext and zeros are no headers. */
    CU_ASSERT_EQUAL(find_damage(data, sizeof(data), 2 * ALLOCATION, ALLOCATION, &damages), 0);
    CU_ASSERT_EQUAL(find_damage(data, sizeof(data), 6 * ALLOCATION, 2 * ALLOCATION, &damages), 0);

    /* Any damaged byte of the header leaves enough to know the block. */
    for (at = 0; at < 48; at++) {
        saved = data[ALLOCATION + at];
        data[ALLOCATION + at] ^= 0x80;
        CU_ASSERT(find_damage(data, sizeof(data), ALLOCATION, 2 * ALLOCATION, &damages) >= 1);
        CU_ASSERT_EQUAL(damages.offsets[0], ALLOCATION);
        data[ALLOCATION + at] = saved;
    }
}

/* --- the pool */

typedef struct {
    size_t failed;
    uint64_t sum;
} POOLED;

static void
on_failed(void *context, const UNIT_POOL_PLACE *place, const STATUS *status)
{
    POOLED *pooled = context;

    CU_ASSERT_EQUAL(status->status_class, STATUS_BAD_UNIT);
    pooled->failed++;
    pooled->sum += place->offset;
}

typedef struct {
    UNIT_POOL *pool;
    const UNIT_KEY *key;
    const uint8_t *unit;
    size_t len;
    bool done;
} TASK;

/* As a reader of a file does: 50 units, of which five are damaged. */
static void
submit_some(void *arg)
{
    TASK *task = arg;
    UNIT_POOL_PLACE place = {0, 0, 0};
    uint8_t *damaged = malloc(task->len);
    unsigned i;

    memcpy(damaged, task->unit, task->len);
    damaged[UNIT_HEADER_LEN + 5] ^= 1;
    for (i = 0; i < 50; i++)
        unit_pool_submit(
          task->pool, task->key, i % 10 == 0 ? damaged : task->unit, task->len, &place);
    free(damaged);
    task->done = true;
}

static void
test_pool(void)
{
    POOLED pooled = {0, 0};
    STATUS status;
    SECRET *secret;
    UNIT_CIPHER *cipher;
    UNIT_KEY *key;
    UNIT_POOL *pool;
    UNIT_POOL_PLACE place = {0, 0, 0};
    static uint8_t plain[100000], unit[sizeof(plain) + UNIT_OVERHEAD];
    TASK tasks[11] = {{NULL, NULL, NULL, 0, false}};
    size_t len;
    unsigned i;

    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(77, secret, &key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(key, &cipher, &status), 0);
    CU_ASSERT_EQUAL_FATAL(
      unit_encrypt(cipher, plain, sizeof(plain), unit, sizeof(unit), &len, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_pool_start(4, on_failed, &pooled, &pool, &status), 0);
    /* More than the queue holds at a time; every tenth is damaged. */
    for (i = 0; i < 600; i++) {
        place.offset = i;
        unit[UNIT_HEADER_LEN + 5] ^= (uint8_t)(i % 10 == 0);
        unit_pool_submit(pool, key, unit, len, &place);
        unit[UNIT_HEADER_LEN + 5] ^= (uint8_t)(i % 10 == 0);
    }
    unit_pool_drain(pool);
    CU_ASSERT_EQUAL(pooled.failed, 60);
    CU_ASSERT_EQUAL(pooled.sum, 590 * 60 / 2);

    /* The same from tasks, more than there are threads; a busy pool works in them. */
    for (i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++) {
        tasks[i].pool = pool;
        tasks[i].key = key;
        tasks[i].unit = unit;
        tasks[i].len = len;
        unit_pool_task(pool, submit_some, &tasks[i]);
    }
    unit_pool_drain(pool);
    for (i = 0; i < sizeof(tasks) / sizeof(tasks[0]); i++)
        CU_ASSERT(tasks[i].done);
    CU_ASSERT_EQUAL(pooled.failed, 60 + 5 * sizeof(tasks) / sizeof(tasks[0]));
    unit_pool_finish(pool);
    unit_pool_finish(NULL);
    unit_cipher_free(cipher);
    unit_key_free(key);
    secret_free(secret);
    unit_cipher_library_close();
}

/* --- the table of commands */

static void
test_commands(void)
{
    const CLI_COMMAND *command;
    const char *line;
    size_t len;

    for (command = cli_commands; command->name != NULL; command++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(command->run);
        CU_ASSERT(command->operand_count == 0 || command->operands[0] != '\0');
        CU_ASSERT_PTR_NOT_NULL_FATAL(command->help);
        for (line = command->help; *line != '\0'; line += len + (line[len] == '\n')) {
            len = strcspn(line, "\n");
            CU_ASSERT(len <= 90);
        }
    }
}

static const TEST options_tests[] = {
  {"values and operands", test_options}, {"refused", test_options_refused}, {NULL, NULL}};
static const TEST output_tests[] = {{"safe text", test_safe}, {"table", test_table},
  {"json", test_json}, {"prometheus", test_prometheus}, {NULL, NULL}};
static const TEST lines_tests[] = {{"find", test_lines_find}, {"others", test_lines_others},
  {"make", test_lines_make}, {NULL, NULL}};
static const TEST parts_tests[] = {{"damaged blocks", test_damage}, {"unit pool", test_pool},
  {"table of commands", test_commands}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {{"options", options_tests}, {"output", output_tests},
  {"engine lines", lines_tests}, {"parts", parts_tests}, {NULL, NULL}};
