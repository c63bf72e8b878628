/*
 * test/fuzz/fuzz_yaml.c -- libFuzzer: a configuration file's bytes through the YAML reader and an
 * option table with every type.
 *
 * Beside what the sanitizers see: a refusal leaves nothing behind and has a class and a message; an
 * accepted tree keeps the limits that config.h promises.
 */
#include "common/config.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct {
    char *node;
    char *path;
    bool flag;
    int64_t number;
    int64_t interval;
    int choice;
    CONFIG_STRINGS copies;
    const CONFIG_NODE *kms;
} OPTIONS;

static const char *const choices[] = {"warn", "shutdown", NULL};

static const CONFIG_OPTION table[] = {
  {.name = "node", .type = OPTION_STRING, .offset = offsetof(OPTIONS, node)},
  {.name = "keyFile", .type = OPTION_PATH, .offset = offsetof(OPTIONS, path)},
  {.name = "flag", .type = OPTION_BOOL, .offset = offsetof(OPTIONS, flag), .fallback = "on"},
  {.name = "number",
    .type = OPTION_INT,
    .offset = offsetof(OPTIONS, number),
    .minimum = -10,
    .maximum = 1000},
  {.name = "checkInterval",
    .type = OPTION_DURATION,
    .offset = offsetof(OPTIONS, interval),
    .fallback = "15m"},
  {.name = "onDisabled",
    .type = OPTION_CHOICE,
    .offset = offsetof(OPTIONS, choice),
    .choices = choices},
  {.name = "keystoreCopies", .type = OPTION_STRING_LIST, .offset = offsetof(OPTIONS, copies)},
  {.name = "kms", .type = OPTION_NODE, .offset = offsetof(OPTIONS, kms)}, {.name = NULL}};

static const CONFIG_OPTION extra[] = {{.name = "access", .type = OPTION_NODE}, {.name = NULL}};

static void
require(bool truth)
{
    if (!truth)
        abort();
}

static void
read_map(const CONFIG_NODE *map)
{
    OPTIONS options;
    STATUS status;
    int ret;

    memset(&options, 0xa5, sizeof(options));
    ret = config_read(map, table, extra, &options, &status);
    if (ret == 0) {
        require(options.path == NULL || options.path[0] == '/');
        require(options.node == NULL || options.node[0] != '\0');
        require(options.number >= -10 && options.number <= 1000);
        require(options.interval >= 0);
        require(options.choice == 0 || options.choice == 1);
        require((options.copies.count == 0) == (options.copies.items == NULL));
    } else {
        require(ret == (int)status.status_class && ret == STATUS_CONFIG);
        require(status.message[0] != '\0' && memchr(status.message, 0, sizeof(status.message)));
        require(memchr(status.hint, 0, sizeof(status.hint)) != NULL);
        require(options.node == NULL && options.copies.items == NULL);
    }
    config_release(table, &options);
}

static void
walk(const CONFIG_NODE *node, unsigned depth)
{
    const CONFIG_NODE *child;

    require(depth <= CONFIG_MAX_DEPTH);
    require((node->kind == CONFIG_SCALAR) == (node->value != NULL));
    require(node->kind != CONFIG_SCALAR || node->children == NULL);
    if (depth <= 3)
        read_map(node);
    for (child = node->children; child != NULL; child = child->next) {
        require((child->key != NULL) == (node->kind == CONFIG_MAP));
        require(child->source == node->source && child->line > 0 && child->column > 0);
        walk(child, depth + 1);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CONFIG_NODE *root;
    STATUS status;
    int ret = config_parse_yaml((const char *)data, size, "fuzz", &root, &status);

    if (ret != 0) {
        require(root == NULL && ret == (int)status.status_class && ret == STATUS_CONFIG);
        require(strncmp(status.message, "fuzz:", 5) == 0);
        return (0);
    }
    require(root->kind == CONFIG_MAP && root->key == NULL);
    walk(root, 1);
    config_free(root);
    return (0);
}
