/*
 * test/kms_clients/test_kms_client.c -- What holds for every provider: the registry, the entry, the
 * grammar of identifiers, what is refused before a provider is asked.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/kms_client_provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
test_registry(void)
{
    const KMS_PROVIDER *p;
    const CONFIG_OPTION *option;
    size_t i, j;

    for (i = 0; (p = kms_client_providers[i]) != NULL; i++) {
        for (j = 0; j < i; j++)
            CU_ASSERT_STRING_NOT_EQUAL(p->name, kms_client_providers[j]->name);
        CU_ASSERT(
          p->open != NULL && p->close != NULL && p->wrap != NULL && p->key_id_check != NULL);
        CU_ASSERT(p->options_size > 0);
        for (option = p->options; option->name != NULL; option++) {
            CU_ASSERT(option->offset < p->options_size);
            CU_ASSERT(option->help != NULL && option->help[strlen(option->help) - 1] == '.');
            for (j = 0; kms_client_common_options[j].name != NULL; j++)
                CU_ASSERT_STRING_NOT_EQUAL(option->name, kms_client_common_options[j].name);
        }
    }
    CU_ASSERT(i >= 2);
}

static void
refuse(const char *yaml, const char *text, const char *hint)
{
    KMS_CLIENT *client = (KMS_CLIENT *)&client;
    STATUS s;
    int ret = open_client(yaml, &client, &s);

    CHECK_STATUS(ret, &s, STATUS_CONFIG, text);
    CU_ASSERT_PTR_NULL(client);
    CU_ASSERT(ret == 0 || hint == NULL || strcmp(s.hint, hint) == 0);
}

static void
test_entries(void)
{
    refuse("keyFile: /k\n", "wtkms.conf:1:1: \"provider\" is missing", NULL);
    refuse("", "\"provider\" is missing", NULL);
    refuse("provider:\n", "wtkms.conf:1:1: provider has no value", NULL);
    refuse("provider: [local]\n", "provider is a list", NULL);
    refuse("provider: locl\nkeyFile: /k\n",
      "wtkms.conf:1:1: provider is \"locl\", which is not known",
      "did you mean \"local\"? Known here: aws, azure, gcp, kmip, local, publickey, vault");
    refuse("provider: hsm\n", "which is not known",
      "known here: aws, azure, gcp, kmip, local, publickey, vault");
    refuse("provider: local\n", "\"keyFile\" is missing", NULL);
    refuse("keyFile: /k\nprovider: local\nkeyfile: /k\n",
      "wtkms.conf:3:1: unknown option \"keyfile\"",
      "did you mean \"keyFile\"? Known here: keyFile, provider");
    refuse("provider: local\npublicKeyFile: /k\n", "unknown option \"publicKeyFile\"", NULL);
    refuse("provider: local\nkeyFile: k\n", "expected an absolute path", NULL);
}

static void
test_entry_is_no_map(void)
{
    KMS_CLIENT *client;
    CONFIG_NODE *root;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(config_parse_yaml("kms: [ local ]\nx: []\n", 21, "c", &root, &s), 0);
    CHECK_STATUS(kms_client_open(config_get(root, "kms")->children, NULL, &client, &s), &s,
      STATUS_CONFIG, "c:1:8: expected a map");
    CHECK_STATUS(kms_client_open(config_get(root, "x"), NULL, &client, &s), &s, STATUS_CONFIG,
      "c:2:1: x: expected a map");
    config_free(root);
    kms_client_close(NULL);
}

static void
test_key_id_grammar(void)
{
    static const char digits64[] =
      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    static const char *const wrong[] = {"", "local",
      "local:", "local:0123456789abcdef0123456789abcde", "local:0123456789abcdef0123456789abcdef0",
      "local:0123456789ABCDEF0123456789abcdef", "local:0123456789abcdef0123456789abcdeg",
      "Local:0123456789abcdef0123456789abcdef", " local:0123456789abcdef0123456789abcdef",
      "local:0123456789abcdef0123456789abcdef ", "local:0123456789abcdef0123456789abcdef\n",
      "local:0123456789abcdef0123456789abcde\xc3\xa4",
      "https://evil.example/keys/0123456789abcdef0123456789abcdef",
      "publickey:0123456789abcdef0123456789abcdef"};
    char id[KMS_KEY_ID_MAX + 10];
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL(
      kms_client_key_id_check("local", "local:0123456789abcdef0123456789abcdef", &s), 0);
    (void)snprintf(id, sizeof(id), "publickey:%s", digits64);
    CU_ASSERT_EQUAL(kms_client_key_id_check("publickey", id, &s), 0);
    CU_ASSERT_EQUAL(kms_client_key_id_check("local", id, &s), STATUS_CORRUPT);
    id[strlen(id) - 1] = '\0';
    CU_ASSERT_EQUAL(kms_client_key_id_check("publickey", id, &s), STATUS_CORRUPT);
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CU_ASSERT_EQUAL(kms_client_key_id_check("local", wrong[i], &s), STATUS_CORRUPT);
        CU_ASSERT_EQUAL(kms_client_key_id_check("publickey", wrong[i], &s), STATUS_CORRUPT);
    }
    memset(id, 'a', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    CHECK_STATUS(
      kms_client_key_id_check("local", id, &s), &s, STATUS_CORRUPT, "expected 1 to 1024");
    CHECK_STATUS(kms_client_key_id_check("quantum", "x", &s), &s, STATUS_CORRUPT,
      "\"quantum\" is not known to this version");
    CHECK_STATUS(kms_client_key_id_check("", "x", &s), &s, STATUS_CORRUPT, "not known");
    CHECK_STATUS(kms_client_key_id_check("Local", "x", &s), &s, STATUS_CORRUPT, "not known");
}

static void
test_wrap_too_long(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT);
    SECRET *plaintext;
    KMS_WRAPPED wrapped;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(secret_new(KMS_PLAINTEXT_MAX + 1, &plaintext, &s), 0);
    memset(&wrapped, 0xa5, sizeof(wrapped));
    CHECK_STATUS(kms_client_wrap(client, 1000, &context_one, plaintext, &wrapped, &s), &s,
      STATUS_REFUSED, "191 bytes cannot be wrapped, at most 190");
    CU_ASSERT(wrapped.wrapped == NULL && wrapped.key_id == NULL && wrapped.credential == NULL);
    secret_truncate(plaintext, KMS_PLAINTEXT_MAX);
    CU_ASSERT_EQUAL(kms_client_wrap(client, 1000, &context_one, plaintext, &wrapped, &s), 0);
    kms_wrapped_release(&wrapped);
    CU_ASSERT(wrapped.wrapped == NULL && wrapped.wrapped_len == 0);
    kms_wrapped_release(&wrapped);
    secret_free(plaintext);
    kms_client_close(client);
}

/* A recorded recipient that is not the configured key is never handed to a provider. */
static void
test_unwrap_refusals(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT);
    uint8_t bytes[KMS_WRAPPED_MAX + 1] = {0};
    KMS_RECORDED r = {"local", kms_client_key(client), bytes, sizeof(bytes)};
    SECRET *secret = (SECRET *)&client;
    STATUS s;

    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_CORRUPT,
      "has 8193 bytes");
    CU_ASSERT_PTR_NULL(secret);
    r.wrapped_len = 0;
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_CORRUPT,
      "has 0 bytes");
    r.wrapped_len = 100;
    r.key_id = "local:00000000000000000000000000000000";
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_REFUSED,
      "is not the key local:");
    r.key_id = "http://169.254.169.254/";
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_CORRUPT,
      "hexadecimal digits");
    r.provider = "publickey";
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_CORRUPT,
      "hexadecimal digits");
    r.key_id = "publickey:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_REFUSED,
      "is not the key local:");
    r.provider = "aliens";
    CHECK_STATUS(kms_client_unwrap(client, 1000, &context_one, &r, &secret, &s), &s, STATUS_CORRUPT,
      "not known to this version");
    CU_ASSERT_PTR_NULL(secret);
    kms_client_close(client);
}

const TEST kms_client_tests[] = {{"registry", test_registry}, {"entries", test_entries},
  {"entry_is_no_map", test_entry_is_no_map}, {"key_id_grammar", test_key_id_grammar},
  {"wrap_too_long", test_wrap_too_long}, {"unwrap_refusals", test_unwrap_refusals}, {NULL, NULL}};
