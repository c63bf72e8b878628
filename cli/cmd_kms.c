/*
 * cli/cmd_kms.c -- wtkms kms test: does each configured key service do what will be asked of it?
 */
#include "cli/cli.h"
#include "cli/output.h"
#include "common/clock.h"
#include "crypto/random.h"
#include "keystore/settings.h"
#include "kms_clients/kms_client.h"

#include <stdlib.h>
#include <string.h>

#define LOCAL_TIMEOUT_MS 10000 /* of an entry without a network */
#define TEST_BYTES 64

/* One operation at one recipient. */
typedef struct {
    bool tried;
    int ret;
    int64_t ms;
    STATUS status;
} TRIAL;

enum { TRIAL_OPEN, TRIAL_DESCRIBE, TRIAL_WRAP, TRIAL_UNWRAP, TRIAL_COUNT };
static const char *const trial_names[TRIAL_COUNT] = {"open", "describe", "wrap", "unwrap"};

typedef struct {
    const char *scope;
    char *provider, *key;
    bool wraps_only;
    KMS_KEY_INFO info;
    TRIAL trials[TRIAL_COUNT];
} RECIPIENT_TEST;

static const char *
state_name(KMS_KEY_STATE state)
{
    switch (state) {
    case KMS_KEY_ENABLED:
        return ("enabled");
    case KMS_KEY_DISABLED:
        return ("disabled");
    case KMS_KEY_PENDING_DELETION:
        return ("pending deletion");
    default:
        return ("unknown");
    }
}

static void
begin(TRIAL *trial)
{
    trial->tried = true;
    trial->ms = clock_ms();
    status_clear(&trial->status);
}

static bool
end(TRIAL *trial, int ret)
{
    trial->ret = ret;
    trial->ms = clock_ms() - trial->ms;
    return (ret == 0);
}

/* Describe, wrap and unwrap; a failing describe says nothing about the others. */
static int
try_client(KMS_CLIENT *client, RECIPIENT_TEST *test, STATUS *status)
{
    KMS_CONTEXT context = {.scope = test->scope};
    KMS_RECORDED recorded = {.provider = test->provider};
    KMS_WRAPPED wrapped = {0};
    SECRET *plaintext = NULL, *again = NULL;
    TRIAL *trial;
    int ret, timeout =
               kms_client_timeout(client) == 0 ? LOCAL_TIMEOUT_MS : (int)kms_client_timeout(client);

    if ((ret = random_bytes(context.keystore_uuid, sizeof(context.keystore_uuid), status)) != 0 ||
        (ret = random_id(&context.master_key_id, status)) != 0 ||
        (ret = secret_new_random(TEST_BYTES, &plaintext, status)) != 0)
        return (ret);
    begin(trial = &test->trials[TRIAL_DESCRIBE]);
    (void)end(trial, kms_client_describe(client, timeout, NULL, &test->info, &trial->status));
    begin(trial = &test->trials[TRIAL_WRAP]);
    if (!end(
          trial, kms_client_wrap(client, timeout, &context, plaintext, &wrapped, &trial->status)) ||
        test->wraps_only)
        goto done;
    recorded.key_id = wrapped.key_id;
    recorded.wrapped = wrapped.wrapped;
    recorded.wrapped_len = wrapped.wrapped_len;
    begin(trial = &test->trials[TRIAL_UNWRAP]);
    if (end(
          trial, kms_client_unwrap(client, timeout, &context, &recorded, &again, &trial->status)) &&
        !secret_equal(again, plaintext))
        trial->ret = status_set(&trial->status, STATUS_BAD_REPLY, "kms-proof",
          "%s %s did not unwrap what it wrapped", test->provider, wrapped.key_id);

done:
    kms_wrapped_release(&wrapped);
    secret_free(plaintext);
    secret_free(again);
    return (0);
}

static const char *
entry_text(const CONFIG_NODE *entry, const char *name)
{
    const CONFIG_NODE *node = config_get(entry, name);

    return (node == NULL || node->value == NULL ? "" : node->value);
}

static int
try_entry(CLI *cli, const CONFIG_NODE *entry, RECIPIENT_TEST *test, STATUS *status)
{
    TRIAL *trial = &test->trials[TRIAL_OPEN];
    KMS_CLIENT *client;
    int ret;

    test->info.state = KMS_KEY_UNKNOWN;
    begin(trial);
    if (!end(trial, kms_client_open(entry, &cli->log, &client, &trial->status))) {
        test->provider = output_format("%s", entry_text(entry, "provider"));
        test->key =
          output_format("%s", entry_text(entry, "key")[0] != '\0' ? entry_text(entry, "key")
                                                                  : entry_text(entry, "keyFile"));
        return (0);
    }
    test->provider = output_format("%s", kms_client_provider(client));
    test->key = output_format("%s", kms_client_key(client));
    test->wraps_only = !kms_client_can_unwrap(client);
    ret = try_client(client, test, status);
    kms_client_close(client);
    return (ret);
}

static bool
is_unusable(const RECIPIENT_TEST *test)
{
    return (test->info.state == KMS_KEY_DISABLED || test->info.state == KMS_KEY_PENDING_DELETION);
}

static bool
works(const RECIPIENT_TEST *test)
{
    size_t i;

    for (i = 0; i < TRIAL_COUNT; i++)
        if (test->trials[i].ret != 0)
            return (false);
    return (!is_unusable(test));
}

/* --- printing */

static void
cell(OUTPUT_TABLE *table, const RECIPIENT_TEST *test, size_t which)
{
    const TRIAL *trial = &test->trials[which];

    if (!trial->tried)
        output_table_cell(
          table, "%s", which == TRIAL_UNWRAP && test->wraps_only ? "elsewhere" : "-");
    else if (trial->ret != 0)
        output_table_cell(table, "%s", status_class_name((STATUS_CLASS)trial->ret));
    else if (which == TRIAL_DESCRIBE)
        output_table_cell(table, "%s, %lld ms", state_name(test->info.state), (long long)trial->ms);
    else
        output_table_cell(table, "ok, %lld ms", (long long)trial->ms);
}

static void
print_table(const RECIPIENT_TEST *tests, size_t count)
{
    OUTPUT_TABLE *table =
      output_table_new("SCOPE", "PROVIDER", "KEY", "DESCRIBE", "WRAP", "UNWRAP", NULL);
    char line[2048], *safe;
    size_t i, t;

    for (i = 0; i < count; i++) {
        output_table_cell(table, "%s", tests[i].scope);
        output_table_cell(table, "%s", tests[i].provider);
        output_table_cell(table, "%s", tests[i].key);
        for (t = TRIAL_DESCRIBE; t < TRIAL_COUNT; t++)
            cell(table, &tests[i], t);
    }
    output_table_print(table, 0, stdout);
    for (i = 0; i < count; i++) {
        for (t = 0; t < TRIAL_COUNT; t++) {
            if (tests[i].trials[t].ret == 0)
                continue;
            safe = output_safe(status_format(&tests[i].trials[t].status, line, sizeof(line)));
            (void)printf(
              "\n%s %s cannot %s: %s\n", tests[i].provider, tests[i].key, trial_names[t], safe);
            free(safe);
        }
        if (is_unusable(&tests[i]) || tests[i].info.detail[0] != '\0') {
            safe = output_safe(tests[i].info.detail);
            (void)printf("\n%s %s is %s%s%s\n", tests[i].provider, tests[i].key,
              state_name(tests[i].info.state), safe[0] == '\0' ? "" : ": ", safe);
            free(safe);
        }
    }
}

static void
append_trial(bson_t *json, const char *name, const TRIAL *trial)
{
    bson_t child;

    output_json_begin(json, name, &child);
    output_json_text(&child, "class",
      !trial->tried     ? NULL
      : trial->ret == 0 ? "ok"
                        : status_class_name((STATUS_CLASS)trial->ret));
    output_json_number(&child, "ms", trial->ms);
    if (trial->ret != 0) {
        output_json_text(&child, "id", trial->status.id);
        output_json_text(&child, "message", trial->status.message);
        output_json_text(&child, "hint", trial->status.hint);
    }
    output_json_end(json, &child);
}

static int
print_json(const RECIPIENT_TEST *tests, size_t count, bool all_work, STATUS *status)
{
    bson_t json, list, element;
    size_t i, t;
    int ret;

    bson_init(&json);
    output_json_bool(&json, "works", all_work);
    output_json_begin_array(&json, "recipients", &list);
    for (i = 0; i < count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "scope", tests[i].scope);
        output_json_text(&element, "provider", tests[i].provider);
        output_json_text(&element, "key", tests[i].key);
        output_json_text(&element, "encryptionKeyId",
          tests[i].info.key_id[0] == '\0' ? NULL : tests[i].info.key_id);
        output_json_text(&element, "state", state_name(tests[i].info.state));
        output_json_text(&element, "detail", tests[i].info.detail);
        output_json_bool(&element, "wrapsOnly", tests[i].wraps_only);
        output_json_bool(&element, "works", works(&tests[i]));
        for (t = 0; t < TRIAL_COUNT; t++)
            append_trial(&element, trial_names[t], &tests[i].trials[t]);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

int
cmd_kms_test(CLI *cli, const OPTIONS *options, STATUS *status)
{
    SETTINGS *settings;
    RECIPIENT_TEST *tests;
    size_t count = 0, i, entry, scope;
    bool all_work = true;
    int ret;

    if ((ret = settings_load(
           options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, &settings, status)) != 0)
        return (ret);
    for (scope = 0; scope < settings->scope_count; scope++)
        count += settings->scopes[scope].count;
    tests = output_allocate(count, sizeof(*tests));
    for (scope = 0, i = 0; scope < settings->scope_count; scope++)
        for (entry = 0; entry < settings->scopes[scope].count; entry++, i++) {
            tests[i].scope = settings->scopes[scope].name;
            if ((ret = try_entry(cli, settings->scopes[scope].entries[entry], &tests[i], status)) !=
                0)
                goto err;
            all_work &= works(&tests[i]);
        }
    if (options->format == FORMAT_JSON)
        ret = print_json(tests, count, all_work, status);
    else
        print_table(tests, count);
    if (!all_work)
        cli->exit_code = CLI_FAILED;

err:
    for (i = 0; i < count; i++) {
        free(tests[i].provider);
        free(tests[i].key);
    }
    free(tests);
    settings_free(settings);
    return (ret);
}
