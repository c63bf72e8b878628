/*
 * extension/host_config.c -- The module's configuration. See host_config.h.
 */
#include "extension/host_config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SOURCE "config=(...) of the extension"

static int read_items(WT_EXTENSION_API *api, WT_CONFIG_PARSER *parser, CONFIG_NODE *parent,
  unsigned depth, STATUS *status) WTKMS_CHECKED;

static int
syntax_error(STATUS *status)
{
    (void)status_set(status, STATUS_CONFIG, "config-inline", SOURCE ": cannot be parsed");
    return (status_hint(status,
      "write config=(config_file=PATH), or the options of wtkms.conf with (...) for maps "
      "and [...] for lists"));
}

/* The items of a structure, "(...)" or "[...]", below a node. */
static int
read_structure(WT_EXTENSION_API *api, CONFIG_NODE *node, const WT_CONFIG_ITEM *value,
  unsigned depth, STATUS *status)
{
    WT_CONFIG_PARSER *parser;
    int ret;

    if (api->config_parser_open(api, NULL, value->str + 1, value->len - 2, &parser) != 0)
        return (syntax_error(status));
    ret = read_items(api, parser, node, depth + 1, status);
    (void)parser->close(parser);
    return (ret);
}

/*
 * The list of recipients, written as a map: of the options of one, or of several by name. Their first
 * value tells which.
 */
static int
read_recipients(WT_EXTENSION_API *api, CONFIG_NODE *list, const WT_CONFIG_ITEM *value,
  unsigned depth, STATUS *status)
{
    CONFIG_NODE *entry;
    WT_CONFIG_ITEM name, first;
    WT_CONFIG_PARSER *parser;
    int ret;

    if (api->config_parser_open(api, NULL, value->str + 1, value->len - 2, &parser) != 0)
        return (syntax_error(status));
    ret = parser->next(parser, &name, &first);
    (void)parser->close(parser);
    if (ret == 0 && first.type == WT_CONFIG_ITEM_STRUCT)
        return (read_structure(api, list, value, depth, status));
    if ((ret = config_node_new(list, CONFIG_MAP, NULL, NULL, 0, NULL, 0, &entry, status)) != 0)
        return (ret);
    return (read_structure(api, entry, value, depth + 1, status));
}

static bool
is_recipients(const WT_CONFIG_ITEM *key, const WT_CONFIG_ITEM *value)
{
    return (
      key != NULL && key->len == 3 && memcmp(key->str, "kms", 3) == 0 && value->str[0] == '(');
}

/* One value; key is NULL in a list. */
static int
read_item(WT_EXTENSION_API *api, CONFIG_NODE *parent, const WT_CONFIG_ITEM *key,
  const WT_CONFIG_ITEM *value, unsigned depth, STATUS *status)
{
    CONFIG_KIND kind;
    CONFIG_NODE *node;
    const char *name = key == NULL ? NULL : key->str;
    size_t name_len = key == NULL ? 0 : key->len;
    int ret;

    if (value->type != WT_CONFIG_ITEM_STRUCT)
        return (config_node_new(
          parent, CONFIG_SCALAR, NULL, name, name_len, value->str, value->len, NULL, status));
    if (value->len < 2 || depth >= CONFIG_MAX_DEPTH)
        return (syntax_error(status));
    kind = value->str[0] == '[' || is_recipients(key, value) ? CONFIG_LIST : CONFIG_MAP;
    if ((ret = config_node_new(parent, kind, NULL, name, name_len, NULL, 0, &node, status)) != 0)
        return (ret);
    return (is_recipients(key, value) ? read_recipients(api, node, value, depth, status)
                                      : read_structure(api, node, value, depth, status));
}

static int
read_items(WT_EXTENSION_API *api, WT_CONFIG_PARSER *parser, CONFIG_NODE *parent, unsigned depth,
  STATUS *status)
{
    WT_CONFIG_ITEM key, value;
    int engine_ret, ret;

    while ((engine_ret = parser->next(parser, &key, &value)) == 0) {
        /* A list's element is a key without a value; of recipients with names, the value counts. */
        if (parent->kind == CONFIG_LIST)
            ret = read_item(api, parent, NULL, value.type == WT_CONFIG_ITEM_STRUCT ? &value : &key,
              depth, status);
        else
            ret = read_item(api, parent, &key, &value, depth, status);
        if (ret != 0)
            return (ret);
    }
    return (engine_ret == WT_NOTFOUND ? 0 : syntax_error(status));
}

static int
read_file(const CONFIG_NODE *root, SETTINGS **settingsp, char **pathp, STATUS *status)
{
    const CONFIG_NODE *node = config_get(root, "config_file");
    int ret;

    if (root->children->next != NULL)
        return (status_set(status, STATUS_CONFIG, "config-inline",
          SOURCE ": config_file stands alone; put the other options into that file"));
    if (node->kind != CONFIG_SCALAR || node->value[0] != '/')
        return (status_set(
          status, STATUS_CONFIG, "config-inline", SOURCE ": config_file must be an absolute path"));
    if ((*pathp = strdup(node->value)) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", SOURCE));
    if ((ret = settings_load(*pathp, settingsp, status)) != 0) {
        free(*pathp);
        *pathp = NULL;
    }
    return (ret);
}

int
host_config_read(
  WT_EXTENSION_API *api, WT_CONFIG_ARG *config, SETTINGS **settingsp, char **pathp, STATUS *status)
{
    WT_CONFIG_PARSER *parser = NULL;
    CONFIG_NODE *root = NULL;
    int ret;

    *settingsp = NULL;
    *pathp = NULL;
    if ((ret = config_node_new(NULL, CONFIG_MAP, SOURCE, NULL, 0, NULL, 0, &root, status)) != 0)
        return (ret);
    if (config != NULL && api->config_parser_open_arg(api, NULL, config, &parser) != 0) {
        ret = syntax_error(status);
        goto err;
    }
    if (parser != NULL && (ret = read_items(api, parser, root, 1, status)) != 0)
        goto err;
    if (root->children == NULL) {
        ret = status_set(status, STATUS_CONFIG, "config-missing",
          "the extension was loaded without a configuration");
        (void)status_hint(status,
          "write extensions=[.../libwiredtiger_kms.so=(config=(config_file=/etc/wtkms.conf))]");
        goto err;
    }
    if (config_get(root, "config_file") != NULL)
        ret = read_file(root, settingsp, pathp, status);
    else {
        ret = settings_from_tree(root, settingsp, status);
        root = NULL; /* taken, also when it fails */
    }

err:
    if (parser != NULL)
        (void)parser->close(parser);
    config_free(root);
    return (ret);
}
