/*
 * test/common/test_config.c -- The configuration tree: YAML, hostile YAML, trees built by hand.
 */
#include "test/common/common_tests.h"

#include "common/config.h"
#include "test/fail_alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
parse(const char *text, CONFIG_NODE **rootp, STATUS *status)
{
    return (config_parse_yaml(text, strlen(text), "wtkms.conf", rootp, status));
}

static void
refuse(const char *text, size_t len, const char *expected)
{
    CONFIG_NODE *root = (CONFIG_NODE *)&root;
    STATUS s;
    int ret = config_parse_yaml(text, len, "wtkms.conf", &root, &s);

    CHECK_STATUS(ret, &s, STATUS_CONFIG, expected);
    CU_ASSERT_PTR_NULL(root);
    config_free(ret == 0 ? root : NULL);
}

#define REFUSE(text, expected) refuse(text, sizeof(text) - 1, expected)

static void
test_documented_file(void)
{
    static const char text[] = "node: rs0-a                         # label shown\n"
                               "kms:\n"
                               "  - provider: aws\n"
                               "    key: arn:aws:kms:eu-west-1:111122223333:key/1234abcd\n"
                               "    externalId: 7f3c\n"
                               "keys:\n"
                               "  tenantA: { kms: [ {provider: local, keyFile: /etc/a.key} ] }\n"
                               "keystoreCopies: [ /var/lib/wtkms/rs0-a.keystore ]\n"
                               "access: { checkInterval: 15m, onDisabled: shutdown }\n";
    CONFIG_NODE *root;
    const CONFIG_NODE *node;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(parse(text, &root, &s), 0);
    CU_ASSERT_EQUAL(root->kind, CONFIG_MAP);
    CU_ASSERT_PTR_NULL(root->key);
    CU_ASSERT_STRING_EQUAL(root->source, "wtkms.conf");
    CU_ASSERT_STRING_EQUAL(config_get(root, "node")->value, "rs0-a");
    CU_ASSERT_PTR_NULL(config_get(root, "nodes"));

    node = config_get(root, "kms");
    CU_ASSERT_EQUAL(node->kind, CONFIG_LIST);
    CU_ASSERT_EQUAL(node->line, 2);
    CU_ASSERT_PTR_NULL(node->value);
    node = node->children;
    CU_ASSERT_PTR_NULL(node->key);
    CU_ASSERT_PTR_NULL(node->next);
    CU_ASSERT_EQUAL(node->line, 3);
    CU_ASSERT_EQUAL(node->column, 5);
    node = config_get(node, "key");
    CU_ASSERT_STRING_EQUAL(node->value, "arn:aws:kms:eu-west-1:111122223333:key/1234abcd");
    CU_ASSERT_EQUAL(node->line, 4);
    CU_ASSERT_EQUAL(node->column, 5);
    CU_ASSERT_PTR_EQUAL(node->source, root->source);

    node = config_get(config_get(config_get(root, "keys"), "tenantA"), "kms")->children;
    CU_ASSERT_STRING_EQUAL(config_get(node, "keyFile")->value, "/etc/a.key");
    CU_ASSERT_EQUAL(config_get(node, "keyFile")->line, 7);
    CU_ASSERT_EQUAL(config_get(node, "keyFile")->column, 39);
    config_free(root);
}

static void
test_scalars(void)
{
    CONFIG_NODE *root;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(parse("a: 'x: #y'\nb: \"tab\\there\"\nc: |\n  two\n  lines\nd:\ne: ~\n"
                                "f: null\ng: 'null'\nh: ''\ni: [~]\n'quoted key': \xc3\xa4\n",
                            &root, &s),
      0);
    CU_ASSERT_STRING_EQUAL(config_get(root, "a")->value, "x: #y");
    CU_ASSERT_STRING_EQUAL(config_get(root, "b")->value, "tab\there");
    CU_ASSERT_STRING_EQUAL(config_get(root, "c")->value, "two\nlines\n");
    CU_ASSERT_STRING_EQUAL(config_get(root, "d")->value, "");
    CU_ASSERT_STRING_EQUAL(config_get(root, "e")->value, "");
    CU_ASSERT_STRING_EQUAL(config_get(root, "f")->value, "");
    CU_ASSERT_STRING_EQUAL(config_get(root, "g")->value, "null");
    CU_ASSERT_STRING_EQUAL(config_get(root, "h")->value, "");
    CU_ASSERT_STRING_EQUAL(config_get(root, "i")->children->value, "");
    CU_ASSERT_STRING_EQUAL(config_get(root, "quoted key")->value, "\xc3\xa4");
    CU_ASSERT_PTR_NULL(config_get(config_get(root, "a"), "x"));
    CU_ASSERT_PTR_NULL(config_get(NULL, "x"));
    config_free(root);
    config_free(NULL);
}

static void
test_empty_documents(void)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "---\n...\n", "{}",
      "~", "%YAML 1.1\n---\n", "\xef\xbb\xbf"};
    CONFIG_NODE *root;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(parse(texts[i], &root, &s), 0);
        CU_ASSERT_EQUAL(root->kind, CONFIG_MAP);
        CU_ASSERT_PTR_NULL(root->children);
        CU_ASSERT_STRING_EQUAL(root->source, "wtkms.conf");
        config_free(root);
    }
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(NULL, 0, "x", &root, &s), 0);
    config_free(root);
    CU_ASSERT_EQUAL_FATAL(parse("\xef\xbb\xbfnode: a\r\nkms: []\r\n", &root, &s), 0);
    CU_ASSERT_STRING_EQUAL(config_get(root, "node")->value, "a");
    config_free(root);
}

static void
test_refused(void)
{
    REFUSE("a: &x 1\nb: 2\n", "wtkms.conf:1:4: anchors and aliases");
    REFUSE("a: &x [1]\n", "wtkms.conf:1:4: anchors and aliases");
    REFUSE("a: &x {b: 1}\n", "wtkms.conf:1:4: anchors and aliases");
    REFUSE("a: 1\nb: *x\n", "wtkms.conf:2:4: anchors and aliases");
    REFUSE("&x a: 1\n", "anchors and aliases");
    REFUSE("a: 1\n<<: *x\n", "anchors and aliases");
    REFUSE("a: !!binary aGk=\n", "wtkms.conf:1:4: tags are not allowed");
    REFUSE("a: ! 1\n", "tags are not allowed");
    REFUSE("a: !!map {}\n", "tags are not allowed");
    REFUSE("a: !!seq []\n", "tags are not allowed");
    REFUSE("%TAG !e! tag:e,2000:\n---\na: 1\n", "tags are not allowed");
    REFUSE("a: 1\n---\nb: 2\n", "wtkms.conf:2:1: a second document");
    REFUSE("--- {}\n--- {}\n", "wtkms.conf:2:1: a second document");
    REFUSE("[1]", "wtkms.conf:1:1: the configuration must be a map");
    REFUSE("just text\n", "the configuration must be a map");
    REFUSE("? {a: b}\n: c\n", "wtkms.conf:1:3: a key must be plain text");
    REFUSE("? [a]\n: c\n", "a key must be plain text");
    REFUSE("{{a: 1}: 2}", "wtkms.conf:1:2: a key must be plain text");
}

static void
test_repeated_keys(void)
{
    REFUSE("a: 1\nb: 2\na: 3\n", "wtkms.conf:3:1: \"a\" is given twice, first in line 1");
    REFUSE("x: {a: 1, a: 2}\n", "wtkms.conf:1:11: \"a\" is given twice");
    REFUSE("x:\n  - a: 1\n    'a': 2\n", "wtkms.conf:3:5: \"a\" is given twice, first in line 2");
    REFUSE("'': 1\n'': 2\n", "\"\" is given twice");
}

static void
test_not_yaml(void)
{
    REFUSE("a:\n\tb: 1\n", "wtkms.conf:2:1: not valid YAML: found character that cannot start");
    REFUSE("a: [1\n", "not valid YAML");
    REFUSE("a: 'x\n", "not valid YAML");
    REFUSE("a: b: c\n", "wtkms.conf:1:5: not valid YAML");
    REFUSE("a: 1\n  b: 2\n", "wtkms.conf:2:4: not valid YAML");
    REFUSE("%YAML 3.0\n---\n", "not valid YAML");
    REFUSE("a: \"\\q\"\n", "not valid YAML");
    REFUSE("a: @x\n", "wtkms.conf:1:4: not valid YAML");
}

static void
test_not_utf8(void)
{
    REFUSE("b: 1\na: \xff\n", "wtkms.conf:2:4: not valid YAML: invalid leading UTF-8 octet");
    REFUSE("\xc3\xa4: \xc3\x28\n", "wtkms.conf:1:5: not valid YAML: invalid trailing");
    REFUSE("a: \xed\xa0\x80\n", "not valid YAML"); /* a surrogate */
    REFUSE("a: \xc0\xaf\n", "not valid YAML");     /* an overlong '/' */
    REFUSE("a: \xf4\x90\x80\x80\n", "not valid YAML");
    REFUSE("a: \xe2\x82", "not valid YAML");
    REFUSE("a: \x01\n", "not valid YAML");
    REFUSE("\xff\xfe\x61\x00", "NUL"); /* UTF-16 */
}

static void
test_nul(void)
{
    REFUSE("a: 1\nb\0c: 2\n", "wtkms.conf:2:2: a NUL character");
    REFUSE("\0", "wtkms.conf:1:1: a NUL character");
    REFUSE("a: \"x\\0y\"\n", "wtkms.conf:1:1: a NUL character");
    REFUSE("\"a\\0b\": x\n", "wtkms.conf:1:1: a NUL character");
    REFUSE("[\"a\\0b\"]", "must be a map");
    REFUSE("a: [\"a\\0b\"]", "wtkms.conf:1:5: a NUL character");
}

/* A text of count repetitions. The caller frees it. */
static char *
repeat(const char *part, size_t count, size_t *lenp)
{
    size_t len = strlen(part), i;
    char *text = malloc(len * count + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (i = 0; i < count; i++)
        memcpy(text + i * len, part, len);
    text[len * count] = '\0';
    *lenp = len * count;
    return (text);
}

static void
test_depth(void)
{
    static const char *const bombs[] = {
      "[", "{", "{a: ", "- ", "? ", "[a, ", "a: [", "\"a\": {", "- - ", "&a [", "!t [", "{? "};
    CONFIG_NODE *root;
    STATUS s;
    char *text;
    size_t i, len;

    for (i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
        text = repeat(bombs[i], CONFIG_MAX_BYTES / strlen(bombs[i]), &len);
        CU_ASSERT_EQUAL(config_parse_yaml(text, len, "bomb", &root, &s), STATUS_CONFIG);
        CU_ASSERT_PTR_NULL(root);
        free(text);
    }
    /* Exactly as deep as allowed: the last level holds a plain value. */
    text = repeat("{a: ", CONFIG_MAX_DEPTH, &len);
    text = realloc(text, len + CONFIG_MAX_DEPTH + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text + len, '}', CONFIG_MAX_DEPTH);
    text[len + CONFIG_MAX_DEPTH] = '\0';
    CHECK_STATUS(parse(text, &root, &s), &s, STATUS_CONFIG, "nested deeper than 16 levels");
    CU_ASSERT_EQUAL(parse(text + 4, &root, &s), STATUS_CONFIG); /* one brace too many */
    text[len + CONFIG_MAX_DEPTH - 1] = '\0';
    CU_ASSERT_EQUAL(parse(text + 4, &root, &s), 0);
    config_free(root);
    free(text);
}

static void
test_size(void)
{
    CONFIG_NODE *root;
    STATUS s;
    char *text, key[32];
    size_t len, used = 0;
    unsigned i;

    text = repeat("#\n", CONFIG_MAX_BYTES / 2, &len);
    CU_ASSERT_EQUAL(config_parse_yaml(text, len, "x", &root, &s), 0);
    config_free(root);
    free(text);
    text = repeat("#", CONFIG_MAX_BYTES + 1, &len);
    CHECK_STATUS(config_parse_yaml(text, len, "x", &root, &s), &s, STATUS_CONFIG, "larger than");
    free(text);

    /* Many different keys, and the same with the first one again at the end. */
    text = malloc(CONFIG_MAX_BYTES + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    for (i = 0; used < CONFIG_MAX_BYTES - 64; i++) {
        (void)snprintf(key, sizeof(key), "%x:\n", i);
        memcpy(text + used, key, strlen(key));
        used += strlen(key);
    }
    CU_ASSERT(i > 100000);
    CU_ASSERT_EQUAL(config_parse_yaml(text, used, "x", &root, &s), 0);
    CU_ASSERT_PTR_NOT_NULL(config_get(root, "1ffff"));
    config_free(root);
    memcpy(text + used, "0:\n", 3);
    CHECK_STATUS(config_parse_yaml(text, used + 3, "x", &root, &s), &s, STATUS_CONFIG,
      "\"0\" is given twice, first in line 1");
    free(text);

    text = repeat("x", CONFIG_MAX_BYTES, &len);
    memcpy(text, "a: ", 3);
    CU_ASSERT_EQUAL(config_parse_yaml(text, len, "x", &root, &s), 0);
    CU_ASSERT_EQUAL(strlen(config_get(root, "a")->value), CONFIG_MAX_BYTES - 3);
    config_free(root);
    free(text);
}

static void
test_every_cut(void)
{
    static const char text[] = "node: a\nkms:\n  - {provider: local, keyFile: \"/k\\u00e4\"}\n"
                               "keys:\n  t: {kms: [ {provider: x} ]}\nlist: [ a, 'b', \"c\" ]\n"
                               "block: |\n  one\n  two\n";
    CONFIG_NODE *root;
    STATUS s;
    char *copy;
    size_t len;

    for (len = 0; len < sizeof(text); len++) {
        /* In memory of exactly that size, so that a sanitizer sees a byte too far. */
        copy = malloc(len == 0 ? 1 : len);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, text, len);
        if (config_parse_yaml(copy, len, "cut", &root, &s) == 0)
            config_free(root);
        else {
            CU_ASSERT_EQUAL(s.status_class, STATUS_CONFIG);
            CU_ASSERT_PTR_NULL(root);
        }
        free(copy);
    }
}

static void
test_source_is_copied(void)
{
    CONFIG_NODE *root;
    STATUS s;
    char source[] = "abc";

    CU_ASSERT_EQUAL_FATAL(config_parse_yaml("a: 1\n", 5, source, &root, &s), 0);
    source[0] = 'x';
    CU_ASSERT_STRING_EQUAL(root->source, "abc");
    CU_ASSERT_STRING_EQUAL(root->children->source, "abc");
    config_free(root);
}

static void
test_error_positions(void)
{
    CONFIG_NODE node = {.source = "f", .line = 3, .column = 9};
    STATUS s;
    char big[2000];

    CU_ASSERT_EQUAL(config_error(&node, &s, "an-id", "bad %s", "x"), STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(s.message, "f:3:9: bad x");
    CU_ASSERT_STRING_EQUAL(s.id, "an-id");
    node.line = 0;
    (void)config_error(&node, &s, "an-id", "bad");
    CU_ASSERT_STRING_EQUAL(s.message, "f: bad");
    node.source = NULL;
    (void)config_error(&node, &s, "an-id", "bad");
    CU_ASSERT_STRING_EQUAL(s.message, "configuration: bad");
    (void)config_error(NULL, &s, "an-id", "bad");
    CU_ASSERT_STRING_EQUAL(s.message, "configuration: bad");
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)config_error(NULL, &s, "an-id", "%s", big);
    CU_ASSERT_EQUAL(strlen(s.message), sizeof(s.message) - 1);
}

static void
test_by_hand(void)
{
    CONFIG_NODE *root, *map, *list;
    STATUS s;
    char source[] = "extensions=";

    CU_ASSERT_EQUAL_FATAL(
      config_node_new(NULL, CONFIG_MAP, source, NULL, 0, NULL, 0, &root, &s), 0);
    source[0] = 'X';
    CU_ASSERT_STRING_EQUAL(root->source, "extensions=");
    /* Neither key nor value need end with a NUL. */
    CU_ASSERT_EQUAL(
      config_node_new(root, CONFIG_SCALAR, NULL, "node=rs0", 4, "rs0,x", 3, NULL, &s), 0);
    CU_ASSERT_EQUAL(config_node_new(root, CONFIG_MAP, NULL, "access", 6, NULL, 0, &map, &s), 0);
    CU_ASSERT_EQUAL(config_node_new(root, CONFIG_LIST, NULL, "copies", 6, NULL, 0, &list, &s), 0);
    CU_ASSERT_EQUAL(config_node_new(list, CONFIG_SCALAR, NULL, NULL, 0, "/a", 2, NULL, &s), 0);
    CU_ASSERT_EQUAL(config_node_new(list, CONFIG_SCALAR, NULL, NULL, 0, "/a", 2, NULL, &s), 0);
    CU_ASSERT_EQUAL(config_node_new(map, CONFIG_SCALAR, NULL, "", 0, NULL, 0, NULL, &s), 0);
    CU_ASSERT_STRING_EQUAL(config_get(root, "node")->value, "rs0");
    CU_ASSERT_EQUAL(config_get(root, "node")->line, 0);
    CU_ASSERT_STRING_EQUAL(config_get(root, "copies")->children->next->value, "/a");
    CU_ASSERT_STRING_EQUAL(config_get(config_get(root, "access"), "")->value, "");

    CHECK_STATUS(config_node_new(root, CONFIG_SCALAR, NULL, "node", 4, "x", 1, &map, &s), &s,
      STATUS_CONFIG, "extensions=: \"node\" is given twice");
    CU_ASSERT_PTR_NULL(map);
    CHECK_STATUS(config_node_new(root, CONFIG_SCALAR, NULL, NULL, 0, "x", 1, NULL, &s), &s,
      STATUS_CONFIG, "a value without a key");
    CHECK_STATUS(config_node_new(list, CONFIG_SCALAR, NULL, "k", 1, "x", 1, NULL, &s), &s,
      STATUS_CONFIG, "a key where none belongs");
    CHECK_STATUS(config_node_new(root->children, CONFIG_SCALAR, NULL, "k", 1, "x", 1, NULL, &s), &s,
      STATUS_CONFIG, "a key where none belongs");
    CHECK_STATUS(config_node_new(root, CONFIG_SCALAR, NULL, "n\0l", 3, "x", 1, NULL, &s), &s,
      STATUS_CONFIG, "NUL");
    CHECK_STATUS(config_node_new(root, CONFIG_SCALAR, NULL, "nul", 3, "x\0y", 3, NULL, &s), &s,
      STATUS_CONFIG, "NUL");
    CHECK_STATUS(config_node_new(NULL, CONFIG_MAP, NULL, NULL, 0, NULL, 0, &map, &s), &s,
      STATUS_CONFIG, "a root needs a source");
    CHECK_STATUS(config_node_new(NULL, CONFIG_MAP, "x", NULL, 0, NULL, 0, NULL, &s), &s,
      STATUS_CONFIG, "a root needs a source");
    config_free(root);
}

static void
test_depth_by_hand(void)
{
    CONFIG_NODE *root, *node, *child;
    STATUS s;
    int depth;

    CU_ASSERT_EQUAL_FATAL(config_node_new(NULL, CONFIG_LIST, "x", NULL, 0, NULL, 0, &root, &s), 0);
    for (depth = 1, node = root; depth < CONFIG_MAX_DEPTH; depth++, node = child)
        CU_ASSERT_EQUAL_FATAL(
          config_node_new(node, CONFIG_LIST, NULL, NULL, 0, NULL, 0, &child, &s), 0);
    CHECK_STATUS(config_node_new(node, CONFIG_LIST, NULL, NULL, 0, NULL, 0, &child, &s), &s,
      STATUS_CONFIG, "x: nested deeper than 16 levels");
    config_free(root);
}

static bool
parse_without_memory(bool *failedp, void *context)
{
    CONFIG_NODE *root = NULL;
    STATUS s;
    int ret = parse(context, &root, &s);

    *failedp = fail_alloc_done();
    if (*failedp)
        return (ret == STATUS_NO_MEMORY && s.status_class == STATUS_NO_MEMORY && root == NULL);
    config_free(root);
    return (ret == 0);
}

static void
test_no_memory(void)
{
    static char with_text[] =
      "node: a\nkms:\n  - {provider: local, keyFile: /k}\nlist: [ a, \"b\" ]\n",
                empty[] = "";

    fail_every_alloc(parse_without_memory, with_text, 30);
    fail_every_alloc(parse_without_memory, empty, 5);
}

const TEST config_tests[] = {{"documented_file", test_documented_file}, {"scalars", test_scalars},
  {"empty_documents", test_empty_documents}, {"refused", test_refused},
  {"repeated_keys", test_repeated_keys}, {"not_yaml", test_not_yaml}, {"not_utf8", test_not_utf8},
  {"nul", test_nul}, {"depth", test_depth}, {"size", test_size}, {"every_cut", test_every_cut},
  {"source_is_copied", test_source_is_copied}, {"error_positions", test_error_positions},
  {"by_hand", test_by_hand}, {"depth_by_hand", test_depth_by_hand}, {"no_memory", test_no_memory},
  {NULL, NULL}};
