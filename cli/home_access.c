/*
 * cli/home_access.c -- Access to a home's keys. See home_access.h.
 */
#include "cli/home_access.h"

#include "cli/output.h"
#include "keystore/access_probe.h"

#include <stdlib.h>
#include <string.h>

/* --- asking */

int
home_access_trusted(const KEYSTORE_RECIPIENT *recipient, CONFIG_NODE **nodep, STATUS *status)
{
    int ret;

    *nodep = NULL;
    if (strcmp(recipient->provider, "local") == 0 ||
        strcmp(recipient->provider, "publickey") == 0) {
        (void)status_set(status, STATUS_REFUSED, "trust-key-provider",
          "the key of provider %s is a file, which its identifier does not name",
          recipient->provider);
        return (status_hint(status, "name it under kms: in a configuration"));
    }
    if ((ret = config_node_new(NULL, CONFIG_MAP, "--trust-key", NULL, 0, NULL, 0, nodep, status)) !=
          0 ||
        (ret = config_node_new(*nodep, CONFIG_SCALAR, NULL, "provider", strlen("provider"),
           recipient->provider, strlen(recipient->provider), NULL, status)) != 0 ||
        (ret = config_node_new(*nodep, CONFIG_SCALAR, NULL, "key", strlen("key"), recipient->key_id,
           strlen(recipient->key_id), NULL, status)) != 0) {
        config_free(*nodep);
        *nodep = NULL;
    }
    return (ret);
}

static const KEYSTORE_RECIPIENT *
find_recipient(const KEYSTORE *keystore, const char *scope, const char *key_id)
{
    const KEYSTORE_MASTER *master = keystore_active_master(keystore, scope);
    size_t i;

    for (i = 0; master != NULL && i < master->recipient_count; i++)
        if (strcmp(master->recipients[i].key_id, key_id) == 0)
            return (&master->recipients[i]);
    return (NULL);
}

/* The settings with one more entry in each scope that is recorded to be wrapped for that key. */
static int
add_trusted(const KEYSTORE *keystore, const char *trust, SETTINGS *settings, CONFIG_NODE **nodep,
  STATUS *status)
{
    const KEYSTORE_RECIPIENT *recipient;
    const CONFIG_NODE **entries;
    SETTINGS_SCOPE *scope;
    size_t i;
    int ret;

    for (i = 0; i < settings->scope_count; i++) {
        scope = &settings->scopes[i];
        if ((recipient = find_recipient(keystore, scope->name, trust)) == NULL)
            continue;
        if (*nodep == NULL && (ret = home_access_trusted(recipient, nodep, status)) != 0)
            return (ret);
        entries = output_allocate(scope->count + 1, sizeof(*entries));
        memcpy(entries, scope->entries, scope->count * sizeof(*entries));
        entries[scope->count++] = *nodep;
        scope->entries = entries;
    }
    if (*nodep == NULL)
        return (status_set(status, STATUS_REFUSED, "trust-key-unknown",
          "--trust-key: no scope of the configuration is wrapped for %s", trust));
    return (0);
}

/* A copy whose scopes can be changed; what they point to stays the original's. */
static void
copy_settings(const SETTINGS *settings, SETTINGS *copy)
{
    *copy = *settings;
    copy->scopes = output_allocate(settings->scope_count, sizeof(*copy->scopes));
    memcpy(copy->scopes, settings->scopes, settings->scope_count * sizeof(*copy->scopes));
}

static void
release_settings(const SETTINGS *settings, SETTINGS *copy)
{
    size_t i;

    for (i = 0; i < copy->scope_count; i++)
        if (copy->scopes[i].entries != settings->scopes[i].entries)
            free(copy->scopes[i].entries);
    free(copy->scopes);
}

static void
take_results(HOME_STATUS *home, const ACCESS_RESULT *results, size_t count, bool *failedp)
{
    STATE_FILE_CHECK *check;
    char line[sizeof(results->status.message) + sizeof(results->status.hint) + 64];
    size_t i;

    home_access_release(home);
    home->checked_now = true;
    home->checks = output_allocate(count + 1, sizeof(*home->checks));
    home->check_count = count;
    for (i = 0; i < count; i++) {
        check = &home->checks[i];
        line[0] = '\0';
        if (results[i].status_class != STATUS_OK) {
            *failedp = true;
            (void)status_format(&results[i].status, line, sizeof(line));
            home_status_warn(home, "%s %s of scope \"%s\" does not open it: %s: %s",
              results[i].provider, results[i].key_id, results[i].scope,
              status_class_name(results[i].status_class), line);
        }
        check->scope = output_format("%s", results[i].scope);
        check->provider = output_format("%s", results[i].provider);
        check->key_id = output_format("%s", results[i].key_id);
        check->status_class = output_format("%s",
          results[i].status_class == STATUS_OK ? "ok" : status_class_name(results[i].status_class));
        check->message = output_format("%s", line);
        check->time = results[i].time;
        check->ms = results[i].ms;
    }
}

int
home_access_check(const TARGET *target, const char *trust, const LOG *log, HOME_STATUS *home,
  bool *failedp, STATUS *status)
{
    const ACCESS_RESULT *results;
    ACCESS_PROBER *prober = NULL;
    CONFIG_NODE *node = NULL;
    SETTINGS settings;
    size_t count;
    int ret = 0;

    *failedp = false;
    if (home->keystore == NULL)
        return (0);
    copy_settings(target->settings, &settings);
    if (trust != NULL && (ret = add_trusted(home->keystore, trust, &settings, &node, status)) != 0)
        goto err;
    if ((ret = access_prober_new(log, &prober, status)) != 0 ||
        (ret = access_prober_prepare(prober, &settings, home->keystore, status)) != 0)
        goto err;
    (void)access_prober_run(prober, NULL);
    results = access_prober_results(prober, &count);
    take_results(home, results, count, failedp);

err:
    access_prober_free(prober);
    release_settings(target->settings, &settings);
    config_free(node);
    return (ret);
}

void
home_access_release(HOME_STATUS *home)
{
    state_file_free_checks(home->checks, home->check_count);
    home->checks = NULL;
    home->check_count = 0;
}

/* --- printing */

static const STATE_FILE_CHECK *
all_checks(const HOME_STATUS *home, size_t *countp)
{
    if (home->checked_now || home->state == NULL) {
        *countp = home->check_count;
        return (home->checks);
    }
    *countp = home->state->check_count;
    return (home->state->checks);
}

char *
home_access_text(
  const HOME_STATUS *home, const char *scope, const char *provider, const char *key_id)
{
    const STATE_FILE_CHECK *checks;
    char age[OUTPUT_TIME_SIZE];
    size_t count, i;

    checks = all_checks(home, &count);
    for (i = 0; i < count; i++) {
        if (strcmp(checks[i].scope, scope) != 0 || strcmp(checks[i].provider, provider) != 0 ||
            strcmp(checks[i].key_id, key_id) != 0)
            continue;
        if (home->checked_now)
            return (output_format("%s, %lld ms", checks[i].status_class, (long long)checks[i].ms));
        return (
          output_format("%s, %s ago", checks[i].status_class, output_age(checks[i].time, age)));
    }
    if (home->checked_now)
        return (output_format(strcmp(provider, "publickey") == 0 ? "wraps only" : "not asked"));
    return (output_format("-"));
}

void
home_access_json(const HOME_STATUS *home, bson_t *json)
{
    const STATE_FILE_CHECK *checks;
    bson_t element, list;
    size_t count, i;

    checks = all_checks(home, &count);
    output_json_begin_array(json, "access", &list);
    for (i = 0; i < count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "scope", checks[i].scope);
        output_json_text(&element, "provider", checks[i].provider);
        output_json_text(&element, "encryptionKeyId", checks[i].key_id);
        output_json_text(&element, "class", checks[i].status_class);
        output_json_text(
          &element, "message", checks[i].message[0] == '\0' ? NULL : checks[i].message);
        output_json_time(&element, "time", checks[i].time);
        output_json_number(&element, "ms", checks[i].ms);
        output_json_text(&element, "by", home->checked_now ? "check" : "host");
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

void
home_access_prometheus(const HOME_STATUS *home, FILE *out)
{
    const STATE_FILE_CHECK *checks;
    size_t count, i;

    checks = all_checks(home, &count);
    if (count == 0)
        return;
    (void)fprintf(out,
      "# HELP wtkms_recipient_access 1 when the recipient opened at its last check.\n"
      "# TYPE wtkms_recipient_access gauge\n");
    for (i = 0; i < count; i++)
        output_prometheus(out, "wtkms_recipient_access", strcmp(checks[i].status_class, "ok") == 0,
          "home", home->path, "scope", checks[i].scope, "provider", checks[i].provider, "key_id",
          checks[i].key_id, "class", checks[i].status_class, NULL);
    (void)fprintf(out,
      "# HELP wtkms_recipient_checked_seconds When the recipient was last checked.\n"
      "# TYPE wtkms_recipient_checked_seconds gauge\n");
    for (i = 0; i < count; i++)
        output_prometheus(out, "wtkms_recipient_checked_seconds", checks[i].time / 1000, "home",
          home->path, "scope", checks[i].scope, "provider", checks[i].provider, "key_id",
          checks[i].key_id, NULL);
}
