/*
 * common/config.h -- Configuration: a tree with positions, read into structures by tables.
 *
 * Layer: common. Knows neither providers nor keystores; each folder brings its own option tables.
 *
 * A tree comes from YAML (wtkms.conf) or is built node by node from the engine's own configuration
 * syntax by extension/. A table names each option once: the reader refuses unknown and repeated
 * keys, wrong types and missing required ones with "name:line:column", and dist/s_all holds the
 * manual page to the same tables.
 *
 * All errors are of class STATUS_CONFIG, or STATUS_NO_MEMORY. Nothing here is thread-safe for
 * writing; a finished tree may be read by several threads.
 */
#ifndef WTKMS_COMMON_CONFIG_H
#define WTKMS_COMMON_CONFIG_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { CONFIG_SCALAR, CONFIG_LIST, CONFIG_MAP } CONFIG_KIND;

typedef struct config_node CONFIG_NODE;
struct config_node {
    CONFIG_KIND kind;
    char *key;     /* in a map: the key, else NULL */
    char *value;   /* of a scalar, else NULL */
    unsigned line; /* of the key in a map, else of the value; from 1; 0: the source has no lines */
    unsigned column;
    CONFIG_NODE *children; /* first child of a list or map, in order */
    CONFIG_NODE *next;     /* next sibling */
    const char *source;    /* file name, for messages; owned by the root */
};

#define CONFIG_MAX_BYTES (1024 * 1024) /* of a configuration file */
#define CONFIG_MAX_DEPTH 16            /* levels, the root is the first */

/*
 * config_parse_yaml -- Parse one YAML document, UTF-8, whose root is a map. source names it in
 *     messages (copied). An empty document is an empty map; "~" and "null" are empty values. Anchors,
 *     aliases, tags, several documents, repeated keys, keys that are no scalars and NUL characters
 *     are refused. On success the caller frees *rootp.
 */
int config_parse_yaml(const char *text, size_t len, const char *source, CONFIG_NODE **rootp,
  STATUS *status) WTKMS_CHECKED;

/*
 * config_node_new -- Make a node and append it to parent (NULL: a root, which needs source). key and
 *     value are copied; value is for scalars only. parent owns the node. Refuses a repeated key and
 *     depth over CONFIG_MAX_DEPTH. *nodep may be NULL when the caller does not need it.
 */
int config_node_new(CONFIG_NODE *parent, CONFIG_KIND kind, const char *source, const char *key,
  size_t key_len, const char *value, size_t value_len, CONFIG_NODE **nodep,
  STATUS *status) WTKMS_CHECKED;

/*
 * config_free -- Free a root and all below it. NULL is allowed.
 */
void config_free(CONFIG_NODE *root);

/*
 * config_get -- The child of a map with that key, or NULL.
 */
const CONFIG_NODE *config_get(const CONFIG_NODE *map, const char *key);

/*
 * config_error -- Record a STATUS_CONFIG error at a node: "source:line:column: " before the text
 *     (without lines where there are none, "configuration: " for a NULL node). Returns the class.
 */
int config_error(const CONFIG_NODE *node, STATUS *status, const char *id, const char *fmt, ...)
  WTKMS_PRINTF(4, 5);

typedef enum {
    OPTION_STRING, /* char *, copied */
    OPTION_PATH,   /* char *, copied; must be absolute */
    OPTION_BOOL,   /* bool: true, false, yes, no, on, off */
    OPTION_INT,    /* int64_t, within minimum and maximum */
    OPTION_DURATION, /* int64_t milliseconds: 250ms, 30s, 15m, 4h, 90d; a bare number is refused, but for 0 */
    OPTION_CHOICE,      /* int: index into choices */
    OPTION_STRING_LIST, /* CONFIG_STRINGS */
    OPTION_NODE         /* const CONFIG_NODE *: handed on as it is, not copied */
} OPTION_TYPE;

typedef struct {
    char **items;
    size_t count;
} CONFIG_STRINGS;

typedef struct {
    const char *name;
    OPTION_TYPE type;
    size_t offset; /* of the member in the structure that config_read fills */
    bool required;
    const char *fallback;       /* text of the default, parsed like a value; NULL: zero or NULL.
                                 * Not for lists and nodes */
    const char *const *choices; /* OPTION_CHOICE: names ended by NULL */
    int64_t minimum, maximum;   /* OPTION_INT and OPTION_DURATION; both 0: no limit but >= 0 */
    const char *help;           /* one sentence, for the manual page and --help */
} CONFIG_OPTION;

/*
 * config_read -- Fill a structure from a map. The table ends with a NULL name. extra, may be NULL,
 *     is a second table whose names are also allowed in this map but are not read here (two parts
 *     share one map). A NULL map and an empty value are an empty map. Empty values of options are
 *     refused, but for OPTION_NODE. On success the caller releases the structure; on error nothing
 *     is left in it. An unknown option's hint names the nearest known one and all of them.
 */
int config_read(const CONFIG_NODE *map, const CONFIG_OPTION *table, const CONFIG_OPTION *extra,
  void *structure, STATUS *status) WTKMS_CHECKED;

/*
 * config_release -- Free what config_read allocated in a structure, and zero those members.
 */
void config_release(const CONFIG_OPTION *table, void *structure);

#endif
