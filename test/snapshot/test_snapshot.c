/*
 * test/snapshot/test_snapshot.c -- The parts of snapshot/ that need no engine: what needs a key, inventories
 * written and read, names of files, grouping, the page, pieces of files that are damaged.
 */
#include "snapshot/inventory.h"
#include "test/support.h"

#include <stdlib.h>
#include <string.h>

/* --- keys */

static void
test_key_names(void)
{
    static const struct {
        const char *recorded, *named;
        bool same;
    } cases[] = {
      {"local:aa", "local:aa", true},
      {"local:aa", "local:a", false},
      {"local:a", "local:aa", false},
      {"https://v.vault.azure.net/keys/k/0123", "https://v.vault.azure.net/keys/k", true},
      {"https://v.vault.azure.net/keys/k/0123", "https://v.vault.azure.net/keys/k/", true},
      {"https://v.vault.azure.net/keys/k/0123", "https://v.vault.azure.net/keys/k/0124", false},
      {"https://v.vault.azure.net/keys/k/0123", "https://v.vault.azure.net/keys", false},
      {"https://v.vault.azure.net/keys/kk/0123", "https://v.vault.azure.net/keys/k", false},
      {"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k", true},
      {"projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3",
        "projects/p/locations/l/keyRings/r", false},
      {"arn:aws:kms:eu-west-1:111122223333:key/1234", "arn:aws:kms:eu-west-1:111122223333:key",
        false},
      {"local:aa", "", false},
    };
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(key_need_matches(cases[i].recorded, cases[i].named), cases[i].same);
}

static COPY *
add_copy(INVENTORY *inventory, const char *path)
{
    COPY *copy = inventory_copy(inventory);

    copy->host = bson_strdup("backup-1");
    copy->node = bson_strdup("rs0");
    copy->path = bson_strdup(path);
    copy->state = COPY_ENCRYPTED;
    copy->has_keystore = true;
    copy->modified = 1000;
    return (copy);
}

static void
add_recipient(COPY *copy, const char *scope, const char *key_id)
{
    COPY_RECIPIENT *recipient;

    copy->recipients =
      bson_realloc(copy->recipients, (copy->recipient_count + 1) * sizeof(*copy->recipients));
    recipient = &copy->recipients[copy->recipient_count++];
    memset(recipient, 0, sizeof(*recipient));
    recipient->scope = bson_strdup(scope);
    recipient->provider = bson_strdup("local");
    recipient->key_id = bson_strdup(key_id);
    recipient->credential = bson_strdup("/etc/k");
}

static void
test_needs(void)
{
    INVENTORY inventory;
    KEY_NEED_SUMMARY summary;
    COPY *copy;
    char *others;

    memset(&inventory, 0, sizeof(inventory));
    copy = add_copy(&inventory, "/a");
    add_recipient(copy, "default", "local:1");
    add_recipient(copy, "default", "local:2");
    add_recipient(copy, "tenant", "local:2");
    copy->keep_until = 5000;
    CU_ASSERT_EQUAL(key_need(copy, "local:1", &others), KEY_NEED_ONE_OF);
    CU_ASSERT_PTR_NOT_NULL_FATAL(others);
    CU_ASSERT_PTR_NOT_NULL(strstr(others, "local:2"));
    CU_ASSERT_PTR_NULL(strstr(others, "local:1"));
    bson_free(others);
    CU_ASSERT_EQUAL(key_need(copy, "local:2", &others), KEY_NEED_ONLY);
    CU_ASSERT_PTR_NULL(others);
    CU_ASSERT_EQUAL(key_need(copy, "local:3", NULL), KEY_NEED_NONE);
    copy->unjudged = true;
    CU_ASSERT_EQUAL(key_need(copy, "local:3", NULL), KEY_NEED_UNJUDGED);
    CU_ASSERT_EQUAL(key_need(copy, "local:1", NULL), KEY_NEED_ONE_OF);
    copy->unjudged = false;

    copy = add_copy(&inventory, "/b");
    add_recipient(copy, "default", "local:2");
    copy->keep_until = 9000;
    key_need_summarize(&inventory, "local:2", &summary);
    CU_ASSERT_EQUAL(summary.needed, 2);
    CU_ASSERT_EQUAL(summary.only, 2);
    CU_ASSERT_EQUAL(summary.free_after, 9000);
    copy->running = true; /* a live home has no date */
    key_need_summarize(&inventory, "local:2", &summary);
    CU_ASSERT_EQUAL(summary.free_after, 0);
    copy->running = false;
    inventory_skip(&inventory, "/c: no");
    key_need_summarize(&inventory, "local:2", &summary);
    CU_ASSERT_EQUAL(summary.unjudged, 1);
    CU_ASSERT_EQUAL(summary.free_after, 0);
    CU_ASSERT_TRUE(inventory_is_unjudged(&inventory));
    inventory_release(&inventory);
}

/* --- inventories */

static char *
written(const INVENTORY *inventory)
{
    bson_t json;
    char *text;

    bson_init(&json);
    inventory_write(inventory, &json);
    text = bson_as_relaxed_extended_json(&json, NULL);
    bson_destroy(&json);
    return (text);
}

static void
test_round_trip(void)
{
    INVENTORY inventory, read;
    STATUS status;
    COPY *copy;
    char *again, *text;

    memset(&inventory, 0, sizeof(inventory));
    memset(&read, 0, sizeof(read));
    inventory_place(&inventory, "backup-1", "/a", 1700000000000);
    copy = add_copy(&inventory, "/a\nb\xff\xc3\xa4\"");
    add_recipient(copy, "default", "local:1");
    copy->recipients[0].opened = true;
    copy->recipients[0].access = bson_strdup("denied");
    copy->recipients[0].detail = bson_strdup("no");
    copy->member = bson_strdup("x");
    copy->is_archive = copy->sampled = copy->partial = true;
    copy->checkpoint = copy->keep_until = 1700000001000;
    copy->size = 1ull << 50;
    copy_problem(copy, true, "something");
    copy->masters = bson_malloc0(sizeof(*copy->masters));
    copy->masters[0].scope = bson_strdup("default");
    copy->masters[0].id = 0xfedcba9876543210u;
    copy->master_count = 1;
    copy->keys = bson_malloc0(sizeof(*copy->keys));
    copy->keys[0].id = 0x8000000000000001u;
    copy->keys[0].version = 7;
    copy->key_count = 1;
    inventory_skip(&inventory, "/z: denied");

    text = written(&inventory);
    CU_ASSERT_EQUAL_FATAL(
      inventory_read(&read, (const uint8_t *)text, strlen(text), "it", &status), 0);
    again = written(&read);
    CU_ASSERT_STRING_EQUAL(text, again);
    CU_ASSERT_STRING_EQUAL(read.copies[0].path, "/a\nb\\xff\xc3\xa4\"");
    CU_ASSERT_EQUAL(read.copies[0].masters[0].id, 0xfedcba9876543210u);
    CU_ASSERT_TRUE(read.copies[0].unjudged);
    bson_free(text);
    bson_free(again);
    inventory_release(&inventory);
    inventory_release(&read);
}

static void
test_merge_keeps_the_later(void)
{
    INVENTORY first, second, merged;
    STATUS status;
    COPY *copy;
    char *new_text, *old_text;

    memset(&first, 0, sizeof(first));
    memset(&second, 0, sizeof(second));
    add_recipient(add_copy(&first, "/a"), "default", "local:old");
    copy = add_copy(&second, "/a");
    add_recipient(copy, "default", "local:new");
    copy->searched = 1700000000000;
    (void)add_copy(&second, "/b");
    old_text = written(&first);
    new_text = written(&second);

    memset(&merged, 0, sizeof(merged));
    CU_ASSERT_EQUAL(
      inventory_read(&merged, (const uint8_t *)new_text, strlen(new_text), "n", &status), 0);
    CU_ASSERT_EQUAL(
      inventory_read(&merged, (const uint8_t *)old_text, strlen(old_text), "o", &status), 0);
    CU_ASSERT_EQUAL_FATAL(merged.count, 2);
    CU_ASSERT_STRING_EQUAL(merged.copies[0].recipients[0].key_id, "local:new");
    inventory_release(&merged);

    CU_ASSERT_EQUAL(
      inventory_read(&merged, (const uint8_t *)old_text, strlen(old_text), "o", &status), 0);
    CU_ASSERT_EQUAL(
      inventory_read(&merged, (const uint8_t *)new_text, strlen(new_text), "n", &status), 0);
    CU_ASSERT_EQUAL_FATAL(merged.count, 2);
    CU_ASSERT_STRING_EQUAL(merged.copies[0].recipients[0].key_id, "local:new");
    inventory_release(&merged);
    bson_free(old_text);
    bson_free(new_text);
    inventory_release(&first);
    inventory_release(&second);
}

/* Cut anywhere, an inventory is refused and nothing is leaked. */
static void
test_damaged_inventory(void)
{
    INVENTORY inventory, read;
    STATUS status;
    char *text;
    size_t len;

    memset(&inventory, 0, sizeof(inventory));
    add_recipient(add_copy(&inventory, "/a"), "default", "local:1");
    text = written(&inventory);
    for (len = 0; len < strlen(text) - 1; len++) {
        memset(&read, 0, sizeof(read));
        CU_ASSERT_NOT_EQUAL(inventory_read(&read, (const uint8_t *)text, len, "it", &status), 0);
        inventory_release(&read);
    }
    bson_free(text);
    inventory_release(&inventory);
}

/* --- files and copies */

static void
test_states(void)
{
    COPY_STATE state;
    int i;

    for (i = COPY_ENCRYPTED; i <= COPY_UNKNOWN; i++) {
        CU_ASSERT_TRUE(copy_state_parse(copy_state_name((COPY_STATE)i), &state));
        CU_ASSERT_EQUAL((int)state, i);
    }
    CU_ASSERT_FALSE(copy_state_parse("enabled", &state));
    CU_ASSERT_STRING_EQUAL(copy_state_name(COPY_PLAIN), "Not enabled");
}

static void
test_turtle_time(void)
{
    static const char turtle[] =
      "WiredTiger version string\nWiredTiger 3.2.1: (November 1, 2019)\nfile:WiredTiger.wt\n"
      "checkpoint=(WiredTigerCheckpoint.1=(addr=\"01\",order=1,time=1700000000,size=4096),"
      "WiredTigerCheckpoint.2=(addr=\"02\",order=2,time=1700000555,size=4096)),encryption=(name=)"
      "\n";
    COPY_CONTAINER container = {NULL, false, NULL, 0, 0};
    COPY_FILE *file = copy_file_add(&container, "a/b/WiredTiger.turtle", sizeof(turtle) - 1, 0);
    STATUS status;
    size_t limit;

    CU_ASSERT_EQUAL(copy_file_kind(file->path + file->name, &limit), COPY_FILE_TURTLE);
    CU_ASSERT_EQUAL(copy_file_content(file, COPY_FILE_TURTLE, (const uint8_t *)turtle,
                      sizeof(turtle) - 1, true, &status),
      0);
    CU_ASSERT_EQUAL(file->checkpoint, 1700000555000);
    CU_ASSERT_TRUE(copy_file_is_root(file));
    copy_container_release(&container);
}

/* Files of no copy make no rows; a table alone makes one, in its directory, and is not judged. */
static void
test_grouping(void)
{
    COPY_CONTAINER container = {NULL, true, NULL, 0, 0};
    INVENTORY inventory;
    STATUS status;
    COPY_FILE *file;

    memset(&inventory, 0, sizeof(inventory));
    container.path = bson_strdup("/x.tar");
    file = copy_file_add(&container, "notes/readme", 3, 0);
    CU_ASSERT_EQUAL(
      copy_file_content(file, COPY_FILE_OTHER, (const uint8_t *)"abc", 3, true, &status), 0);
    inventory_group(&inventory, &container);
    CU_ASSERT_EQUAL(inventory.count, 0);
    file = copy_file_add(&container, "db/t.wt", 3, 0);
    CU_ASSERT_EQUAL(
      copy_file_content(file, COPY_FILE_OTHER, (const uint8_t *)"abc", 3, true, &status), 0);
    file = copy_file_add(&container, "plain", 0, 0);
    file->kind = COPY_FILE_UNREADABLE;
    copy_file_problem(file, "no");
    inventory_group(&inventory, &container);
    CU_ASSERT_EQUAL_FATAL(inventory.count, 1);
    CU_ASSERT_STRING_EQUAL(inventory.copies[0].member, "db");
    CU_ASSERT_TRUE(inventory.copies[0].unjudged);
    CU_ASSERT_EQUAL(inventory.skipped_count, 1);
    copy_container_release(&container);
    inventory_release(&inventory);
}

/* A file with the magic of blocks and nothing that holds together. */
static void
test_damaged_sample(void)
{
    uint8_t *data;
    SAMPLE sample;
    STATUS status;
    size_t i, len = SAMPLE_START;

    data = malloc(len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    for (i = 0; i < len; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    data[0] = 0x41; /* 120897, little-endian */
    data[1] = 0xd8;
    data[2] = 0x01;
    data[3] = 0;
    CU_ASSERT_EQUAL_FATAL(sample_kind(data, len), SAMPLE_BLOCKS);
    CU_ASSERT_EQUAL(sample_start(SAMPLE_BLOCKS, data, len, true, &sample, &status), 0);
    CU_ASSERT_FALSE(sample.descriptor_ok);
    CU_ASSERT_EQUAL(sample.units, 0);
    CU_ASSERT_EQUAL(sample_start(SAMPLE_BLOCKS, data, 5, true, &sample, &status), 0);
    CU_ASSERT_FALSE(sample.descriptor_ok);
    CU_ASSERT_EQUAL(sample_kind(data, 3), SAMPLE_OTHER);
    free(data);
}

/* Markup and control characters from disks stay text. */
static void
test_page(void)
{
    INVENTORY inventory;
    char *text = NULL;
    size_t len = 0;
    FILE *out;

    memset(&inventory, 0, sizeof(inventory));
    inventory_place(&inventory, "h", "/a", 1700000000000);
    add_recipient(add_copy(&inventory, "/<b>&\"\x1b\xff"), "default", "local:<1>");
    CU_ASSERT_PTR_NOT_NULL_FATAL(out = open_memstream(&text, &len));
    report_html_write(&inventory, out);
    CU_ASSERT_EQUAL_FATAL(fclose(out), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "/&#60;b&#62;&#38;&#34;\\x1b\\xff"));
    CU_ASSERT_PTR_NULL(strstr(text, "<1>"));
    CU_ASSERT_TRUE(bson_utf8_validate(text, len, false));
    free(text);
    inventory_release(&inventory);
}

static const TEST key_tests[] = {
  {"names of keys", test_key_names}, {"needs", test_needs}, {NULL, NULL}};
static const TEST inventory_tests[] = {{"round trip", test_round_trip},
  {"the later stays", test_merge_keeps_the_later}, {"damaged", test_damaged_inventory},
  {NULL, NULL}};
static const TEST copy_tests[] = {{"states", test_states}, {"turtle", test_turtle_time},
  {"grouping", test_grouping}, {"damaged sample", test_damaged_sample}, {"page", test_page},
  {NULL, NULL}};

const TEST_SUITE test_suites[] = {
  {"keys", key_tests}, {"inventory", inventory_tests}, {"copies", copy_tests}, {NULL, NULL}};
