/*
 * keystore/settings.c -- wtkms.conf. See settings.h.
 */
#include "keystore/settings.h"

#include "common/file.h"
#include "keystore/keystore.h"

#include <bson/bson.h>

#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DAY_MS (24LL * 3600 * 1000)
#define NODE_MAX 255 /* bytes: the keystore's limit of a label */

/* What config_read fills: the settings, and the parts of the tree that need more than a table. */
typedef struct {
    SETTINGS settings; /* first: the whole is freed through it */
    const CONFIG_NODE *kms, *keys, *access, *expect, *policy;
    const CONFIG_NODE *scope_kms;
} SETTINGS_READ;

static const char *const action_names[] = {"warn", "shutdown", NULL};

#define AT(member) offsetof(SETTINGS_READ, member)

const CONFIG_OPTION settings_options[] = {
  {"node", OPTION_STRING, AT(settings.node), false, NULL, NULL, 0, 0,
    "Label of this node, shown in inventories; the host's name by default."},
  {"kms", OPTION_NODE, AT(kms), true, NULL, NULL, 0, 0,
    "Recipients of the default scope's master key: any one of them opens the keystore."},
  {"keys", OPTION_NODE, AT(keys), false, NULL, NULL, 0, 0,
    "Keyids that have customer keys of their own: a map of keyid to {kms: [...]}."},
  {"keystore", OPTION_PATH, AT(settings.keystore), false, NULL, NULL, 0, 0,
    "Path of the keystore; wtkms.keystore in the database's home by default."},
  {"keystoreCopies", OPTION_STRING_LIST, AT(settings.keystore_copies), false, NULL, NULL, 0, 0,
    "Paths that hold a copy of the keystore; a new key is used only when each has it."},
  {"logPath", OPTION_PATH, AT(settings.log_path), false, NULL, NULL, 0, 0,
    "Directory of the engine's log when it is not below the home."},
  {"access", OPTION_NODE, AT(access), false, NULL, NULL, 0, 0,
    "What happens when the customer keys are no longer usable."},
  {"expect", OPTION_NODE, AT(expect), false, NULL, NULL, 0, 0,
    "What the keystore must be: any other one is refused."},
  {"policy", OPTION_NODE, AT(policy), false, NULL, NULL, 0, 0,
    "Ages after which status calls a key overdue for rotation."},
  {NULL, OPTION_STRING, 0, false, NULL, NULL, 0, 0, NULL}};

static const CONFIG_OPTION scope_options[] = {{"kms", OPTION_NODE, AT(scope_kms), true, NULL, NULL,
                                                0, 0, "Recipients of this keyid's own master key."},
  {NULL, OPTION_STRING, 0, false, NULL, NULL, 0, 0, NULL}};

static const CONFIG_OPTION access_options[] = {
  {"checkInterval", OPTION_DURATION, AT(settings.access.check_interval), false, "15m", NULL, 1000,
    7 * DAY_MS, "How often each recipient is tried."},
  {"onDisabled", OPTION_CHOICE, AT(settings.access.on_disabled), false, "shutdown", action_names, 0,
    0, "When every recipient of the default scope is disabled or gone."},
  {"onDenied", OPTION_CHOICE, AT(settings.access.on_denied), false, "warn", action_names, 0, 0,
    "When every recipient of the default scope refuses by policy."},
  {"deniedFor", OPTION_DURATION, AT(settings.access.denied_for), false, "4h", NULL, 60 * 1000,
    90 * DAY_MS, "How long access must have been denied before onDenied acts."},
  {"maxUnreachable", OPTION_DURATION, AT(settings.access.max_unreachable), false, "0", NULL, 0, 0,
    "Stop after no recipient could be reached for so long; 0 never stops."},
  {NULL, OPTION_STRING, 0, false, NULL, NULL, 0, 0, NULL}};

static const CONFIG_OPTION expect_options[] = {
  {"keystore", OPTION_STRING, AT(settings.expect.keystore), false, NULL, NULL, 0, 0,
    "UUID of the only keystore that is accepted."},
  {"minGeneration", OPTION_INT, AT(settings.expect.min_generation), false, "0", NULL, 0, 0,
    "The lowest generation that is accepted."},
  {NULL, OPTION_STRING, 0, false, NULL, NULL, 0, 0, NULL}};

static const CONFIG_OPTION policy_options[] = {
  {"masterKeyMaxAge", OPTION_DURATION, AT(settings.policy.master_key_max_age), false, "0", NULL, 0,
    0, "Age at which a master key is overdue; 0 is never."},
  {"dataKeyMaxAge", OPTION_DURATION, AT(settings.policy.data_key_max_age), false, "0", NULL, 0, 0,
    "Age at which a data key is overdue; 0 is never."},
  {NULL, OPTION_STRING, 0, false, NULL, NULL, 0, 0, NULL}};

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the configuration"));
}

/* The recipients of one scope. owner is for the message when there is no list at all. */
static int
read_scope(SETTINGS_SCOPE *scope, const char *name, const CONFIG_NODE *list, STATUS *status)
{
    const CONFIG_NODE *entry;
    size_t count = 0;

    scope->name = name;
    for (entry = list->kind == CONFIG_LIST ? list->children : NULL; entry != NULL;
         entry = entry->next, count++)
        if (entry->kind != CONFIG_MAP)
            return (config_error(
              entry, status, "config-kms", "an entry of kms is a map with a provider"));
    if (count == 0)
        return (
          config_error(list, status, "config-kms", "kms is a list of at least one recipient"));
    if (count > KEYSTORE_RECIPIENTS_MAX)
        return (config_error(list, status, "config-kms",
          "kms has %zu recipients, at most %d are possible", count, KEYSTORE_RECIPIENTS_MAX));
    if ((scope->entries = calloc(count, sizeof(*scope->entries))) == NULL)
        return (no_memory(status));
    for (entry = list->children; entry != NULL; entry = entry->next)
        scope->entries[scope->count++] = entry;
    return (0);
}

static int
check_scope_name(const CONFIG_NODE *node, STATUS *status)
{
    size_t len = strlen(node->key);

    if (strcmp(node->key, SETTINGS_DEFAULT_SCOPE) == 0)
        return (config_error(node, status, "config-keys",
          "the keyid \"" SETTINGS_DEFAULT_SCOPE
          "\" has the recipients of kms, it cannot be in keys"));
    if (len == 0 || len > SETTINGS_SCOPE_MAX || !bson_utf8_validate(node->key, len, false))
        return (config_error(node, status, "config-keys",
          "a keyid with keys of its own is UTF-8 text of 1 to %d bytes", SETTINGS_SCOPE_MAX));
    return (0);
}

static int
compare_scopes(const void *a, const void *b)
{
    return (strcmp(((const SETTINGS_SCOPE *)a)->name, ((const SETTINGS_SCOPE *)b)->name));
}

static int
read_scopes(SETTINGS_READ *read, STATUS *status)
{
    SETTINGS *settings = &read->settings;
    const CONFIG_NODE *node;
    size_t count = 1;
    int ret;

    if (read->keys != NULL && read->keys->kind != CONFIG_MAP &&
        (read->keys->kind == CONFIG_LIST || read->keys->value[0] != '\0'))
        return (config_error(
          read->keys, status, "config-keys", "keys is a map of keyid to {kms: [...]}"));
    for (node = read->keys == NULL ? NULL : read->keys->children; node != NULL; node = node->next)
        count++;
    if ((settings->scopes = calloc(count, sizeof(*settings->scopes))) == NULL)
        return (no_memory(status));
    settings->scope_count = 1;
    if ((ret = read_scope(&settings->scopes[0], SETTINGS_DEFAULT_SCOPE, read->kms, status)) != 0)
        return (ret);
    for (node = read->keys == NULL ? NULL : read->keys->children; node != NULL; node = node->next) {
        if ((ret = check_scope_name(node, status)) != 0 ||
            (ret = config_read(node, scope_options, NULL, read, status)) != 0 ||
            (ret = read_scope(&settings->scopes[settings->scope_count++], node->key,
               read->scope_kms, status)) != 0)
            return (ret);
    }
    qsort(
      settings->scopes + 1, settings->scope_count - 1, sizeof(*settings->scopes), compare_scopes);
    return (0);
}

static int
check_node(SETTINGS_READ *read, STATUS *status)
{
    SETTINGS *settings = &read->settings;
    char host[NODE_MAX + 1];

    if (settings->node == NULL) {
        if (gethostname(host, sizeof(host)) != 0 || host[0] == '\0' ||
            !bson_utf8_validate(host, strnlen(host, NODE_MAX), false))
            (void)snprintf(host, sizeof(host), "localhost");
        host[NODE_MAX] = '\0';
        if ((settings->node = strdup(host)) == NULL)
            return (no_memory(status));
    }
    if (settings->node[0] == '\0' || strlen(settings->node) > NODE_MAX ||
        !bson_utf8_validate(settings->node, strlen(settings->node), false))
        return (config_error(config_get(settings->root, "node"), status, "config-node",
          "node is UTF-8 text of 1 to %d bytes", NODE_MAX));
    return (0);
}

static int
check_values(SETTINGS_READ *read, STATUS *status)
{
    SETTINGS *settings = &read->settings;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    STATUS reason;
    size_t i;

    status_clear(&reason);
    if (settings->expect.keystore != NULL &&
        keystore_uuid_parse(settings->expect.keystore, uuid, &reason) != 0)
        return (config_error(config_get(read->expect, "keystore"), status, "config-expect",
          "expect.keystore is \"%s\", which is not a UUID", settings->expect.keystore));
    for (i = 0; i < settings->keystore_copies.count; i++)
        if (settings->keystore_copies.items[i][0] != '/')
            return (config_error(config_get(settings->root, "keystoreCopies"), status,
              "config-copies", "keystoreCopies has \"%s\", expected an absolute path",
              settings->keystore_copies.items[i]));
    return (check_node(read, status));
}

int
settings_from_tree(CONFIG_NODE *root, SETTINGS **settingsp, STATUS *status)
{
    SETTINGS_READ *read;
    int ret;

    *settingsp = NULL;
    if ((read = calloc(1, sizeof(*read))) == NULL) {
        config_free(root);
        return (no_memory(status));
    }
    read->settings.root = root;
    if ((ret = config_read(root, settings_options, NULL, read, status)) != 0 ||
        (ret = config_read(read->access, access_options, NULL, read, status)) != 0 ||
        (ret = config_read(read->expect, expect_options, NULL, read, status)) != 0 ||
        (ret = config_read(read->policy, policy_options, NULL, read, status)) != 0 ||
        (ret = read_scopes(read, status)) != 0 || (ret = check_values(read, status)) != 0)
        goto err;
    *settingsp = &read->settings;
    return (0);

err:
    settings_free(&read->settings);
    return (ret);
}

/* Who can write the configuration can name a key of his own as the customer's. */
static int
check_writers(int fd, const char *path, STATUS *status)
{
    struct stat sb;

    if (fstat(fd, &sb) != 0)
        return (status_set(status, STATUS_CONFIG, "config-stat", "cannot stat %s", path));
    if ((sb.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        (void)status_set(status, STATUS_CONFIG, "config-mode",
          "the configuration %s may be written by others than its owner (mode %04o)", path,
          (unsigned)(sb.st_mode & 07777));
        return (status_hint(status, "chmod go-w %s", path));
    }
    return (0);
}

/* A host's answer to a file that cannot be read is the one to a wrong configuration. */
static int
as_config(int ret, STATUS *status)
{
    if (ret == STATUS_IO)
        ret = (int)(status->status_class = STATUS_CONFIG);
    return (ret);
}

int
settings_load(const char *path, SETTINGS **settingsp, STATUS *status)
{
    CONFIG_NODE *root = NULL;
    char *text = NULL;
    size_t len;
    bool full;
    int fd = -1, ret;

    *settingsp = NULL;
    if ((ret = as_config(file_open_read(AT_FDCWD, path, false, NULL, &fd, status), status)) != 0 ||
        (ret = check_writers(fd, path, status)) != 0)
        goto err;
    if ((text = malloc(CONFIG_MAX_BYTES + 1)) == NULL) {
        ret = no_memory(status);
        goto err;
    }
    if ((ret = as_config(
           file_read_into(fd, path, text, CONFIG_MAX_BYTES + 1, &len, &full, status), status)) != 0)
        goto err;
    /* Handed on even when it is too long: the parser has the words for that. */
    ret = config_parse_yaml(text, len, path, &root, status);

err:
    if (fd != -1)
        (void)close(fd);
    free(text);
    return (ret != 0 ? ret : settings_from_tree(root, settingsp, status));
}

void
settings_free(SETTINGS *settings)
{
    size_t i;

    if (settings == NULL)
        return;
    for (i = 0; i < settings->scope_count; i++)
        free(settings->scopes[i].entries);
    free(settings->scopes);
    config_release(settings_options, settings);
    config_release(expect_options, settings);
    config_free(settings->root);
    free(settings);
}

const SETTINGS_SCOPE *
settings_scope_of(const SETTINGS *settings, const char *keyid)
{
    SETTINGS_SCOPE wanted = {.name = keyid};
    const SETTINGS_SCOPE *found;

    found = bsearch(&wanted, settings->scopes + 1, settings->scope_count - 1,
      sizeof(*settings->scopes), compare_scopes);
    return (found == NULL ? &settings->scopes[0] : found);
}
