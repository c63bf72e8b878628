/*
 * extension/host_config.c -- The module's configuration. See host_config.h.
 */
#include "extension/host_config.h"

#include <errno.h>
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

/*
 * One value, or in a list one element, which the engine's parser gives as a key without a value.
 */
static int
read_item(WT_EXTENSION_API *api, CONFIG_NODE *parent, const WT_CONFIG_ITEM *key,
  const WT_CONFIG_ITEM *value, unsigned depth, STATUS *status)
{
    CONFIG_NODE *node;
    WT_CONFIG_PARSER *parser;
    const char *name = key == NULL ? NULL : key->str;
    size_t name_len = key == NULL ? 0 : key->len;
    int ret;

    if (value->type != WT_CONFIG_ITEM_STRUCT)
        return (config_node_new(
          parent, CONFIG_SCALAR, NULL, name, name_len, value->str, value->len, NULL, status));
    if (value->len < 2 || depth >= CONFIG_MAX_DEPTH)
        return (syntax_error(status));
    if ((ret = config_node_new(parent, value->str[0] == '[' ? CONFIG_LIST : CONFIG_MAP, NULL, name,
           name_len, NULL, 0, &node, status)) != 0)
        return (ret);
    if (api->config_parser_open(api, NULL, value->str + 1, value->len - 2, &parser) != 0)
        return (syntax_error(status));
    ret = read_items(api, parser, node, depth + 1, status);
    (void)parser->close(parser);
    return (ret);
}

static int
read_items(WT_EXTENSION_API *api, WT_CONFIG_PARSER *parser, CONFIG_NODE *parent, unsigned depth,
  STATUS *status)
{
    WT_CONFIG_ITEM key, value;
    int engine_ret, ret;

    while ((engine_ret = parser->next(parser, &key, &value)) == 0) {
        if (parent->kind == CONFIG_LIST)
            ret = read_item(api, parent, NULL, &key, depth, status);
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
