/*
 * test/keystore/test_settings.c -- wtkms.conf.
 */
#include "test/keystore/keystore_tests.h"

static int
load(const HOME *home, const char *text, mode_t mode, SETTINGS **settingsp, STATUS *status)
{
    char path[700];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/conf", home->dir);
    file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fputs(text, file);
    (void)fclose(file);
    CU_ASSERT_EQUAL_FATAL(chmod(path, mode), 0);
    return (settings_load(path, settingsp, status));
}

#define KMS "kms: [{provider: local, keyFile: /k}]\n"

static void
test_defaults(void)
{
    HOME home;
    STATUS status;
    SETTINGS *settings;

    home_make(&home, NULL);
    CHECK_OK_FATAL(load(&home, KMS, 0644, &settings, &status));
    CU_ASSERT_STRING_NOT_EQUAL(settings->node, "");
    CU_ASSERT_PTR_NULL(settings->keystore);
    CU_ASSERT_PTR_NULL(settings->log_path);
    CU_ASSERT_EQUAL(settings->keystore_copies.count, 0);
    CU_ASSERT_EQUAL(settings->scope_count, 1);
    CU_ASSERT_STRING_EQUAL(settings->scopes[0].name, "default");
    CU_ASSERT_EQUAL(settings->scopes[0].count, 1);
    CU_ASSERT_EQUAL(settings->access.check_interval, 15 * 60 * 1000);
    CU_ASSERT_EQUAL(settings->access.on_disabled, 1);
    CU_ASSERT_EQUAL(settings->access.on_denied, 0);
    CU_ASSERT_EQUAL(settings->access.denied_for, 4 * 3600 * 1000);
    CU_ASSERT_EQUAL(settings->access.max_unreachable, 0);
    CU_ASSERT_PTR_NULL(settings->expect.keystore);
    CU_ASSERT_EQUAL(settings->expect.min_generation, 0);
    CU_ASSERT_EQUAL(settings->policy.master_key_max_age, 0);
    CU_ASSERT_EQUAL(settings->policy.data_key_max_age, 0);
    settings_free(settings);
    settings_free(NULL);
    /* Sections without content are what their absence is. */
    CHECK_OK_FATAL(
      load(&home, KMS "keys:\naccess:\nexpect:\npolicy: {}\n", 0600, &settings, &status));
    CU_ASSERT_EQUAL(settings->access.on_disabled, 1);
    settings_free(settings);
    home_free(&home);
}

static void
test_everything(void)
{
    HOME home;
    STATUS status;
    SETTINGS *settings;

    home_make(&home, NULL);
    CHECK_OK_FATAL(load(&home,
      "node: rs0-a\n"
      "kms: [{provider: local, keyFile: /k}, {provider: publickey, publicKeyFile: /p}]\n"
      "keys:\n  tenantB: {kms: [{provider: local, keyFile: /b}]}\n"
      "  tenantA: {kms: [{provider: local, keyFile: /a}]}\n  \"\xc3\xa9\": {kms: [{provider: "
      "local}]}\n"
      "keystore: /var/lib/k\nkeystoreCopies: [/c/1, /c/2]\nlogPath: /var/log/wt\n"
      "access: {checkInterval: 1m, onDisabled: warn, onDenied: shutdown, deniedFor: 2h, "
      "maxUnreachable: 90d}\n"
      "expect: {keystore: 00112233-4455-6677-8899-aabbccddeeff, minGeneration: 7}\n"
      "policy: {masterKeyMaxAge: 90d, dataKeyMaxAge: 365d}\n",
      0640, &settings, &status));
    CU_ASSERT_STRING_EQUAL(settings->node, "rs0-a");
    CU_ASSERT_EQUAL(settings->scope_count, 4);
    CU_ASSERT_EQUAL(settings->scopes[0].count, 2);
    CU_ASSERT_STRING_EQUAL(
      config_get(settings->scopes[0].entries[1], "provider")->value, "publickey");
    CU_ASSERT_STRING_EQUAL(settings_scope_of(settings, "tenantA")->name, "tenantA");
    CU_ASSERT_STRING_EQUAL(
      config_get(settings_scope_of(settings, "tenantB")->entries[0], "keyFile")->value, "/b");
    CU_ASSERT_STRING_EQUAL(settings_scope_of(settings, "\xc3\xa9")->name, "\xc3\xa9");
    CU_ASSERT_STRING_EQUAL(settings_scope_of(settings, "tenantC")->name, "default");
    CU_ASSERT_STRING_EQUAL(settings_scope_of(settings, "default")->name, "default");
    CU_ASSERT_STRING_EQUAL(settings->keystore, "/var/lib/k");
    CU_ASSERT_EQUAL(settings->keystore_copies.count, 2);
    CU_ASSERT_STRING_EQUAL(settings->keystore_copies.items[1], "/c/2");
    CU_ASSERT_STRING_EQUAL(settings->log_path, "/var/log/wt");
    CU_ASSERT_EQUAL(settings->access.check_interval, 60000);
    CU_ASSERT_EQUAL(settings->access.on_disabled, 0);
    CU_ASSERT_EQUAL(settings->access.on_denied, 1);
    CU_ASSERT_EQUAL(settings->access.max_unreachable, 90 * 24 * 3600 * 1000LL);
    CU_ASSERT_EQUAL(settings->expect.min_generation, 7);
    CU_ASSERT_EQUAL(settings->policy.master_key_max_age, 90 * 24 * 3600 * 1000LL);
    settings_free(settings);
    home_free(&home);
}

static void
test_refusals(void)
{
    static const struct {
        const char *text, *id;
    } cases[] = {{"", "config-missing"}, {"node: a\n", "config-missing"},
      {"kms: local\n", "config-kms"}, {"kms: []\n", "config-kms"},
      {"kms: {provider: local}\n", "config-kms"}, {"kms: [local]\n", "config-kms"},
      {KMS "what: 1\n", "config-unknown"}, {KMS "keys: [a]\n", "config-keys"},
      {KMS "keys: a\n", "config-keys"},
      {KMS "keys: {default: {kms: [{provider: local}]}}\n", "config-keys"},
      {KMS "keys: {\"\": {kms: [{provider: local}]}}\n", "config-keys"},
      {KMS "keys: {a: {}}\n", "config-missing"}, {KMS "keys: {a: {kms: []}}\n", "config-kms"},
      {KMS "keys: {a: {kms: [{provider: local}], b: 1}}\n", "config-unknown"},
      {KMS "keys: {a: 5}\n", "config-type"}, {KMS "keystore: k\n", "config-value"},
      {KMS "keystoreCopies: [/a, b]\n", "config-copies"},
      {KMS "access: {onDisabled: stop}\n", "config-value"},
      {KMS "access: {checkInterval: 1ms}\n", "config-range"}, {KMS "access: [1]\n", "config-type"},
      {KMS "expect: {keystore: abc}\n", "config-expect"},
      {KMS "expect: {minGeneration: -1}\n", "config-value"},
      {KMS "policy: {masterKeyMaxAge: 90}\n", "config-value"}, {KMS "node: \"\"\n", "config-empty"},
      {KMS "kms: []\n", "config-repeated"}};
    HOME home;
    STATUS status;
    SETTINGS *settings;
    char text[8192], *p;
    size_t i;

    home_make(&home, NULL);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        status_clear(&status);
        CU_ASSERT_EQUAL(load(&home, cases[i].text, 0600, &settings, &status), STATUS_CONFIG);
        CU_ASSERT_PTR_NULL(settings);
        if (strcmp(status.id, cases[i].id) != 0)
            fprintf(stderr, "\ncase %zu: %s [%s]\n", i, status.message, status.id);
        CU_ASSERT_STRING_EQUAL(status.id, cases[i].id);
    }
    /* Too many recipients; a keyid, and a label, that are too long. */
    p = text + sprintf(text, "kms: [");
    for (i = 0; i <= KEYSTORE_RECIPIENTS_MAX; i++)
        p += sprintf(p, "{provider: local}, ");
    (void)sprintf(p, "]\n");
    CHECK_FAILS(load(&home, text, 0600, &settings, &status), STATUS_CONFIG, "config-kms");
    (void)sprintf(text, KMS "keys: {%0101d: {kms: [{provider: local}]}}\n", 1);
    CHECK_FAILS(load(&home, text, 0600, &settings, &status), STATUS_CONFIG, "config-keys");
    (void)sprintf(text, KMS "node: x%0300d\n", 1);
    CHECK_FAILS(load(&home, text, 0600, &settings, &status), STATUS_CONFIG, "config-node");
    home_free(&home);
}

static void
test_files(void)
{
    HOME home;
    STATUS status;
    SETTINGS *settings;
    char *text;

    home_make(&home, NULL);
    CHECK_FAILS(load(&home, KMS, 0664, &settings, &status), STATUS_CONFIG, "config-mode");
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    CHECK_FAILS(load(&home, KMS, 0646, &settings, &status), STATUS_CONFIG, "config-mode");
    CHECK_FAILS(
      settings_load("/nonexistent/conf", &settings, &status), STATUS_CONFIG, "file-missing");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "/nonexistent/conf"));
    CHECK_FAILS(settings_load(home.path, &settings, &status), STATUS_CONFIG, "file-not-regular");
    text = malloc(CONFIG_MAX_BYTES + 100);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, ' ', CONFIG_MAX_BYTES + 99);
    memcpy(text, KMS, strlen(KMS));
    text[CONFIG_MAX_BYTES + 99] = '\0';
    CHECK_FAILS(load(&home, text, 0600, &settings, &status), STATUS_CONFIG, "config-too-big");
    free(text);
    home_free(&home);
}

const TEST settings_tests[] = {{"defaults", test_defaults}, {"everything", test_everything},
  {"refusals", test_refusals}, {"files", test_files}, {NULL, NULL}};
