/*
 * common/config.c -- The configuration tree, built from YAML or node by node. See config.h.
 *
 * libyaml's events are used, not its documents: so depth, aliases and repeated keys are refused
 * before anything is built from them.
 */
#include "common/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* A node with what only this file needs. Every CONFIG_NODE is the first member of one. */
typedef struct {
    CONFIG_NODE node;
    CONFIG_NODE *last;   /* child */
    unsigned depth;      /* of the root: 1 */
    char *source_of_all; /* of the root: what every node's source points to */
} TREE_NODE;

static TREE_NODE *
tree_node(CONFIG_NODE *node)
{
    return ((TREE_NODE *)node);
}

int
config_error(const CONFIG_NODE *node, STATUS *status, const char *id, const char *fmt, ...)
{
    va_list ap;
    char text[sizeof(status->message)];
    const char *source = node == NULL || node->source == NULL ? "configuration" : node->source;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (node == NULL || node->line == 0)
        return (status_set(status, STATUS_CONFIG, id, "%s: %s", source, text));
    return (status_set(
      status, STATUS_CONFIG, id, "%s:%u:%u: %s", source, node->line, node->column, text));
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "config-memory", "no memory for a configuration"));
}

static void
free_node(CONFIG_NODE *node)
{
    free(node->key);
    free(node->value);
    free(tree_node(node)->source_of_all);
    free(node);
}

void
config_free(CONFIG_NODE *root)
{
    CONFIG_NODE *child, *next;

    if (root == NULL)
        return;
    for (child = root->children; child != NULL; child = next) {
        next = child->next;
        config_free(child);
    }
    free_node(root);
}

const CONFIG_NODE *
config_get(const CONFIG_NODE *map, const char *key)
{
    const CONFIG_NODE *child;

    if (map == NULL || map->kind != CONFIG_MAP)
        return (NULL);
    for (child = map->children; child != NULL; child = child->next)
        if (strcmp(child->key, key) == 0)
            return (child);
    return (NULL);
}

/*
 * A node that belongs to no parent yet. at, the position for messages, carries source and line.
 */
static int
new_node(const CONFIG_NODE *at, CONFIG_KIND kind, const char *key, size_t key_len,
  const char *value, size_t value_len, CONFIG_NODE **nodep, STATUS *status)
{
    TREE_NODE *node;

    *nodep = NULL;
    if ((key != NULL && memchr(key, '\0', key_len) != NULL) ||
        (value != NULL && memchr(value, '\0', value_len) != NULL))
        return (config_error(at, status, "config-nul", "a NUL character is not allowed"));
    if ((node = calloc(1, sizeof(*node))) == NULL)
        return (no_memory(status));
    node->node.kind = kind;
    node->node.line = at->line;
    node->node.column = at->column;
    node->node.source = at->source;
    if (key != NULL && (node->node.key = strndup(key, key_len)) == NULL)
        goto err;
    if (kind == CONFIG_SCALAR &&
        (node->node.value = strndup(value == NULL ? "" : value, value_len)) == NULL)
        goto err;
    *nodep = &node->node;
    return (0);

err:
    free_node(&node->node);
    return (no_memory(status));
}

static int
new_root(const char *source, CONFIG_KIND kind, const char *value, size_t value_len,
  CONFIG_NODE **nodep, STATUS *status)
{
    CONFIG_NODE at = {.source = source};
    TREE_NODE *root;

    if (new_node(&at, kind, NULL, 0, value, value_len, nodep, status) != 0)
        return ((int)status->status_class);
    root = tree_node(*nodep);
    root->depth = 1;
    if ((root->source_of_all = strdup(source)) == NULL) {
        free_node(*nodep);
        *nodep = NULL;
        return (no_memory(status));
    }
    root->node.source = root->source_of_all;
    return (0);
}

/* at: the position, with the tree's source. Repeated keys are the caller's to refuse. */
static int
append_node(CONFIG_NODE *parent, const CONFIG_NODE *at, CONFIG_KIND kind, const char *key,
  size_t key_len, const char *value, size_t value_len, CONFIG_NODE **nodep, STATUS *status)
{
    TREE_NODE *above = tree_node(parent);

    *nodep = NULL;
    if (above->depth >= CONFIG_MAX_DEPTH)
        return (config_error(
          at, status, "config-depth", "nested deeper than %d levels", CONFIG_MAX_DEPTH));
    if (new_node(at, kind, key, key_len, value, value_len, nodep, status) != 0)
        return ((int)status->status_class);
    tree_node(*nodep)->depth = above->depth + 1;
    if (above->last == NULL)
        parent->children = *nodep;
    else
        above->last->next = *nodep;
    above->last = *nodep;
    return (0);
}

int
config_node_new(CONFIG_NODE *parent, CONFIG_KIND kind, const char *source, const char *key,
  size_t key_len, const char *value, size_t value_len, CONFIG_NODE **nodep, STATUS *status)
{
    CONFIG_NODE at = {.source = source}, *node;
    const CONFIG_NODE *child;

    if (nodep != NULL)
        *nodep = NULL;
    if (parent == NULL) {
        if (nodep == NULL || source == NULL)
            return (config_error(&at, status, "config-structure", "a root needs a source"));
        return (new_root(source, kind, value, value_len, nodep, status));
    }
    at.source = parent->source;
    if (parent->kind == CONFIG_SCALAR || (parent->kind == CONFIG_MAP) != (key != NULL))
        return (config_error(&at, status, "config-structure",
          parent->kind == CONFIG_MAP ? "a value without a key" : "a key where none belongs"));
    for (child = key == NULL ? NULL : parent->children; child != NULL; child = child->next)
        if (strlen(child->key) == key_len && memcmp(child->key, key, key_len) == 0)
            return (
              config_error(&at, status, "config-repeated", "\"%s\" is given twice", child->key));
    if (append_node(parent, &at, kind, key, key_len, value, value_len, &node, status) != 0)
        return ((int)status->status_class);
    if (nodep != NULL)
        *nodep = node;
    return (0);
}

/* --- YAML */

/* A list or map that is being read; in a map, the key whose value comes next. */
typedef struct {
    CONFIG_NODE *node;
    char *key;
    size_t key_len;
    unsigned line, column; /* of the key */
} YAML_LEVEL;

typedef struct {
    yaml_parser_t parser;
    const char *source;
    CONFIG_NODE *root;
    unsigned documents;
    unsigned depth; /* of levels in use */
    YAML_LEVEL levels[CONFIG_MAX_DEPTH];
} YAML_READER;

static CONFIG_NODE
position(const YAML_READER *reader, const yaml_mark_t *mark)
{
    CONFIG_NODE at = {.source = reader->root == NULL ? reader->source : reader->root->source};

    at.line = (unsigned)mark->line + 1;
    at.column = (unsigned)mark->column + 1;
    return (at);
}

/* The mark of a byte, for what is found before or below libyaml's scanner. */
static yaml_mark_t
mark_of_byte(const char *text, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    size_t i;

    for (i = 0; i < offset; i++)
        if (text[i] == '\n') {
            mark.line++;
            mark.column = 0;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80)
            mark.column++;
    return (mark);
}

static int
yaml_problem(YAML_READER *reader, const char *text, size_t len, STATUS *status)
{
    const yaml_parser_t *parser = &reader->parser;
    const char *problem = parser->problem == NULL ? "cannot be read" : parser->problem;
    yaml_mark_t mark = parser->problem_mark;
    CONFIG_NODE at;

    if (parser->error == YAML_MEMORY_ERROR)
        return (no_memory(status));
    if (parser->error == YAML_READER_ERROR)
        mark = mark_of_byte(text, parser->problem_offset < len ? parser->problem_offset : len);
    at = position(reader, &mark);
    if (parser->context == NULL)
        return (config_error(&at, status, "config-yaml", "not valid YAML: %s", problem));
    return (config_error(
      &at, status, "config-yaml", "not valid YAML: %s (%s)", problem, parser->context));
}

static int
compare_keys(const void *a, const void *b)
{
    const CONFIG_NODE *const *left = a, *const *right = b;
    int order = strcmp((*left)->key, (*right)->key);

    if (order != 0)
        return (order);
    return ((*left)->line != (*right)->line      ? ((*left)->line < (*right)->line ? -1 : 1)
            : (*left)->column < (*right)->column ? -1
                                                 : 1);
}

/* By sorting, since a hostile file of CONFIG_MAX_BYTES has room for 300,000 keys. */
static int
check_repeated(const CONFIG_NODE *map, STATUS *status)
{
    const CONFIG_NODE *child, **sorted;
    size_t count = 0, i;
    int ret = 0;

    for (child = map->children; child != NULL; child = child->next)
        count++;
    if (count < 2)
        return (0);
    if ((sorted = calloc(count, sizeof(*sorted))) == NULL)
        return (no_memory(status));
    for (child = map->children, i = 0; child != NULL; child = child->next)
        sorted[i++] = child;
    qsort(sorted, count, sizeof(*sorted), compare_keys);
    for (i = 1; i < count && ret == 0; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            ret = config_error(sorted[i], status, "config-repeated",
              "\"%s\" is given twice, first in line %u", sorted[i]->key, sorted[i - 1]->line);
    free(sorted);
    return (ret);
}

static int
refuse_decoration(
  const CONFIG_NODE *at, const yaml_char_t *anchor, const yaml_char_t *tag, STATUS *status)
{
    if (anchor != NULL)
        return (config_error(
          at, status, "config-alias", "anchors and aliases are not allowed here: &%s", anchor));
    if (tag != NULL)
        return (config_error(at, status, "config-tag", "tags are not allowed here: %s", tag));
    return (0);
}

/* Append a value where the reader stands: as the root, in a list, or under the key read before. */
static int
add_value(YAML_READER *reader, const CONFIG_NODE *at, CONFIG_KIND kind, const char *value,
  size_t value_len, CONFIG_NODE **nodep, STATUS *status)
{
    CONFIG_NODE key_at = *at;
    YAML_LEVEL *level;
    int ret;

    if (reader->depth == 0) {
        if (kind == CONFIG_SCALAR && value_len == 0)
            kind = CONFIG_MAP;
        if (kind != CONFIG_MAP)
            return (config_error(
              at, status, "config-no-map", "the configuration must be a map of \"name: value\""));
        if (new_root(reader->source, kind, NULL, 0, nodep, status) != 0)
            return ((int)status->status_class);
        reader->root = *nodep;
        reader->root->line = at->line;
        reader->root->column = at->column;
        return (0);
    }
    level = &reader->levels[reader->depth - 1];
    if (level->node->kind == CONFIG_LIST)
        return (append_node(level->node, at, kind, NULL, 0, value, value_len, nodep, status));
    if (level->key == NULL)
        return (config_error(at, status, "config-key", "a key must be plain text"));
    key_at.line = level->line;
    key_at.column = level->column;
    ret = append_node(
      level->node, &key_at, kind, level->key, level->key_len, value, value_len, nodep, status);
    free(level->key);
    level->key = NULL;
    return (ret);
}

static bool
is_null(const yaml_event_t *event)
{
    const char *value = (const char *)event->data.scalar.value;

    return (event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
            (strcmp(value, "~") == 0 || strcmp(value, "null") == 0 || strcmp(value, "Null") == 0 ||
              strcmp(value, "NULL") == 0));
}

static int
read_scalar(YAML_READER *reader, const CONFIG_NODE *at, const yaml_event_t *event, STATUS *status)
{
    const char *value = (const char *)event->data.scalar.value;
    size_t len = event->data.scalar.length;
    YAML_LEVEL *level = reader->depth == 0 ? NULL : &reader->levels[reader->depth - 1];
    CONFIG_NODE *node;

    if (refuse_decoration(at, event->data.scalar.anchor, event->data.scalar.tag, status) != 0)
        return ((int)status->status_class);
    if (level == NULL || level->node->kind != CONFIG_MAP || level->key != NULL)
        return (
          add_value(reader, at, CONFIG_SCALAR, value, is_null(event) ? 0 : len, &node, status));
    if ((level->key = malloc(len + 1)) == NULL)
        return (no_memory(status));
    memcpy(level->key, value, len);
    level->key[len] = '\0';
    level->key_len = len;
    level->line = at->line;
    level->column = at->column;
    return (0);
}

static int
enter(YAML_READER *reader, const CONFIG_NODE *at, CONFIG_KIND kind, const yaml_char_t *anchor,
  const yaml_char_t *tag, STATUS *status)
{
    YAML_LEVEL *level;
    CONFIG_NODE *node;

    if (refuse_decoration(at, anchor, tag, status) != 0 ||
        add_value(reader, at, kind, NULL, 0, &node, status) != 0)
        return ((int)status->status_class);
    /* append_node has held the depth to CONFIG_MAX_DEPTH. */
    level = &reader->levels[reader->depth++];
    memset(level, 0, sizeof(*level));
    level->node = node;
    return (0);
}

static int
read_event(YAML_READER *reader, const yaml_event_t *event, STATUS *status)
{
    CONFIG_NODE at = position(reader, &event->start_mark);

    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (reader->documents++ > 0)
            return (
              config_error(&at, status, "config-documents", "a second document is not allowed"));
        if (event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
            return (config_error(&at, status, "config-tag", "tags are not allowed here"));
        return (0);
    case YAML_ALIAS_EVENT:
        return (config_error(&at, status, "config-alias",
          "anchors and aliases are not allowed here: *%s", event->data.alias.anchor));
    case YAML_SCALAR_EVENT:
        return (read_scalar(reader, &at, event, status));
    case YAML_SEQUENCE_START_EVENT:
        return (enter(reader, &at, CONFIG_LIST, event->data.sequence_start.anchor,
          event->data.sequence_start.tag, status));
    case YAML_MAPPING_START_EVENT:
        return (enter(reader, &at, CONFIG_MAP, event->data.mapping_start.anchor,
          event->data.mapping_start.tag, status));
    case YAML_MAPPING_END_EVENT:
        return (check_repeated(reader->levels[--reader->depth].node, status));
    case YAML_SEQUENCE_END_EVENT:
        reader->depth--;
        return (0);
    default:
        return (0);
    }
}

static int
read_events(YAML_READER *reader, const char *text, size_t len, STATUS *status)
{
    yaml_event_t event;
    bool end = false;
    int ret = 0;

    yaml_parser_set_encoding(&reader->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader->parser, (const unsigned char *)text, len);
    while (ret == 0 && !end) {
        if (!yaml_parser_parse(&reader->parser, &event))
            return (yaml_problem(reader, text, len, status));
        end = event.type == YAML_STREAM_END_EVENT;
        ret = read_event(reader, &event, status);
        yaml_event_delete(&event);
    }
    return (ret);
}

int
config_parse_yaml(
  const char *text, size_t len, const char *source, CONFIG_NODE **rootp, STATUS *status)
{
    YAML_READER reader = {.source = source};
    CONFIG_NODE at = {.source = source};
    const char *nul;
    yaml_mark_t mark;
    int ret;

    *rootp = NULL;
    if (len == 0)
        text = ""; /* libyaml asserts that there is a pointer */
    /* libyaml takes a byte order mark, but indents the first line by it. */
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    if (len > CONFIG_MAX_BYTES)
        return (
          config_error(&at, status, "config-too-big", "larger than %d bytes", CONFIG_MAX_BYTES));
    if ((nul = memchr(text, '\0', len)) != NULL) {
        mark = mark_of_byte(text, (size_t)(nul - text));
        at = position(&reader, &mark);
        return (config_error(&at, status, "config-nul", "a NUL character is not allowed"));
    }
    if (!yaml_parser_initialize(&reader.parser))
        return (no_memory(status));
    ret = read_events(&reader, text, len, status);
    if (ret == 0 && reader.root == NULL)
        ret = new_root(source, CONFIG_MAP, NULL, 0, &reader.root, status);
    yaml_parser_delete(&reader.parser);
    while (reader.depth > 0)
        free(reader.levels[--reader.depth].key);
    if (ret != 0) {
        config_free(reader.root);
        return (ret);
    }
    *rootp = reader.root;
    return (0);
}
