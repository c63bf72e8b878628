/*
 * keystore/settings.h -- wtkms.conf as the extension and wtkms read it.
 *
 * Layer: keystore. The recipients' entries stay configuration nodes: kms_clients/ reads them.
 * Not thread-safe while loading; read-only afterwards.
 */
#ifndef WTKMS_KEYSTORE_SETTINGS_H
#define WTKMS_KEYSTORE_SETTINGS_H

#include "common/config.h"
#include "common/status.h"

#include <stdint.h>

#define SETTINGS_SCOPE_MAX 100 /* bytes of a keyid that is a scope of its own */
#define SETTINGS_DEFAULT_SCOPE "default"

typedef struct {
    const char *name;            /* the keyid; SETTINGS_DEFAULT_SCOPE for `kms:` itself */
    const CONFIG_NODE **entries; /* of `kms:`, in order */
    size_t count;                /* at least 1 */
} SETTINGS_SCOPE;

typedef struct {
    CONFIG_NODE *root; /* owned; all entries point into it */
    char *node;        /* label, default: the host's name */
    char *keystore;    /* path, or NULL: wtkms.keystore in the home */
    char *log_path;    /* directory of the engine's log when not found below the home, or NULL */
    CONFIG_STRINGS keystore_copies;
    SETTINGS_SCOPE *scopes; /* [0] is the default scope */
    size_t scope_count;
    struct {
        int64_t check_interval;  /* ms */
        int on_disabled;         /* 0 warn, 1 shutdown */
        int on_denied;           /* 0 warn, 1 shutdown */
        int64_t denied_for;      /* ms */
        int64_t max_unreachable; /* ms, 0: off */
    } access;
    struct {
        char *keystore;         /* UUID text, or NULL */
        int64_t min_generation; /* 0: none */
    } expect;
    struct {
        int64_t master_key_max_age; /* ms, 0: none */
        int64_t data_key_max_age;
    } policy;
} SETTINGS;

/*
 * settings_load -- Read and check a configuration file. It holds no secrets, so any mode will do; but
 *     one that others than its owner may write is refused. STATUS_CONFIG, STATUS_NO_MEMORY.
 */
int settings_load(const char *path, SETTINGS **settingsp, STATUS *status) WTKMS_CHECKED;

/*
 * settings_from_tree -- The same from a tree, which is owned by the result, also on error freed.
 */
int settings_from_tree(CONFIG_NODE *root, SETTINGS **settingsp, STATUS *status) WTKMS_CHECKED;

void settings_free(SETTINGS *settings);

/* settings_scope_of -- The scope that a keyid belongs to: its own, else the default one. */
const SETTINGS_SCOPE *settings_scope_of(const SETTINGS *settings, const char *keyid);

/* settings_options -- The top-level table, for the manual page's check. */
extern const CONFIG_OPTION settings_options[];

#endif
