/*
 * test/kms_clients/test_answers.c -- Answers that a key service must not give, and errors on their way
 * up: kms_client.c, with a provider in the table that answers as each test wants.
 *
 * A program of its own, because the table is const: Makefile.am compiles kms_client.c into it once more,
 * with kms_scripted and kms_scripted_plain for kms_local and kms_publickey.
 */
#include "kms_clients/kms_client_provider.h"
#include "test/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    KMS_WRAPPED wrapped; /* what wrap answers; copied */
    size_t plaintext_len;
    int status_class; /* what every call returns, 0: the answer */
    unsigned asked;
} script;

static const CONFIG_OPTION scripted_options[] = {
  {.name = "key", .type = OPTION_STRING, .required = true}, {.name = NULL}};

static int
scripted_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    (void)entry;
    (void)log;
    if (script.status_class != 0)
        return (status_set(status, (STATUS_CLASS)script.status_class, "scripted", "open says no"));
    *statep = &script;
    *key_idp = *(char *const *)options;
    return (0);
}

static void
scripted_close(void *state)
{
    CU_ASSERT_PTR_EQUAL(state, &script);
}

static int
scripted_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    const KMS_WRAPPED *w = &script.wrapped;

    (void)state;
    (void)context;
    (void)plaintext;
    script.asked++;
    CU_ASSERT_EQUAL(timeout_ms, 1234);
    wrapped->key_id = w->key_id == NULL ? NULL : strdup(w->key_id);
    wrapped->credential = w->credential == NULL ? NULL : strdup(w->credential);
    wrapped->wrapped = w->wrapped == NULL ? NULL : calloc(1, w->wrapped_len + 1);
    wrapped->wrapped_len = w->wrapped_len;
    if (script.status_class != 0)
        return (status_set(status, (STATUS_CLASS)script.status_class, "scripted", "wrap says no"));
    return (0);
}

static int
scripted_key_id_check(const char *key_id, STATUS *status)
{
    if (strncmp(key_id, "key/", 4) == 0)
        return (0);
    return (status_set(status, STATUS_CORRUPT, "scripted", "no such grammar"));
}

/* "key/a" covers its versions "key/a/1"... */
static bool
scripted_matches(const void *state, const char *key_id)
{
    (void)state;
    return (strncmp(key_id, "key/a", 5) == 0);
}

static int
scripted_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    (void)state;
    (void)timeout_ms;
    (void)context;
    (void)recorded;
    script.asked++;
    if (script.status_class != 0)
        return (
          status_set(status, (STATUS_CLASS)script.status_class, "scripted", "unwrap says no"));
    return (secret_new(script.plaintext_len, plaintextp, status));
}

static int
scripted_describe(
  void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    (void)state;
    (void)timeout_ms;
    script.asked++;
    if (script.status_class != 0)
        return (
          status_set(status, (STATUS_CLASS)script.status_class, "scripted", "describe says no"));
    info->state = KMS_KEY_DISABLED;
    memcpy(info->key_id, key_id, strlen(key_id) + 1);
    return (0);
}

const KMS_PROVIDER kms_scripted = {.name = "scripted",
  .options = scripted_options,
  .options_size = sizeof(char *),
  .open = scripted_open,
  .close = scripted_close,
  .wrap = scripted_wrap,
  .key_id_check = scripted_key_id_check,
  .matches = scripted_matches,
  .unwrap = scripted_unwrap,
  .describe = scripted_describe};

const KMS_PROVIDER kms_scripted_plain = {.name = "plain",
  .options = scripted_options,
  .options_size = sizeof(char *),
  .open = scripted_open,
  .close = scripted_close,
  .wrap = scripted_wrap,
  .key_id_check = scripted_key_id_check};

static const KMS_CONTEXT context_one = {{0}, 1, "default"};
static uint8_t some_bytes[1];

static int
open_scripted(const char *yaml, KMS_CLIENT **clientp, STATUS *status)
{
    CONFIG_NODE *root;
    int ret;

    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(yaml, strlen(yaml), "c", &root, status), 0);
    ret = kms_client_open(root, NULL, clientp, status);
    config_free(root);
    return (ret);
}

static KMS_CLIENT *
scripted_client(void)
{
    KMS_CLIENT *client;
    STATUS s;

    memset(&script, 0, sizeof(script));
    CU_ASSERT_EQUAL_FATAL(open_scripted("{provider: scripted, key: key/a}", &client, &s), 0);
    script.wrapped =
      (KMS_WRAPPED){(char *)(uintptr_t) "key/a/7", (char *)(uintptr_t) "role", some_bytes, 100};
    script.plaintext_len = 32;
    return (client);
}

static void
refuse_wrap(KMS_CLIENT *client, STATUS_CLASS expected, const char *text)
{
    SECRET *plaintext;
    KMS_WRAPPED w;
    STATUS s;
    int ret;

    CU_ASSERT_EQUAL_FATAL(secret_new(32, &plaintext, &s), 0);
    ret = kms_client_wrap(client, 1234, &context_one, plaintext, &w, &s);
    CHECK_STATUS(ret, &s, expected, text);
    CHECK_STATUS(ret, &s, expected, "while wrapping with key/a");
    CU_ASSERT(w.key_id == NULL && w.credential == NULL && w.wrapped == NULL && w.wrapped_len == 0);
    secret_free(plaintext);
}

static void
test_wrap_answers(void)
{
    KMS_CLIENT *client = scripted_client();
    KMS_WRAPPED good = script.wrapped, w;
    SECRET *plaintext;
    STATUS s;
    char big[KMS_KEY_ID_MAX + 2];

    CU_ASSERT_EQUAL_FATAL(secret_new(32, &plaintext, &s), 0);
    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1234, &context_one, plaintext, &w, &s), 0);
    CU_ASSERT_STRING_EQUAL(w.key_id, "key/a/7");
    kms_wrapped_release(&w);
    secret_free(plaintext);

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    memcpy(big, "key/", 4);
    script.wrapped.wrapped_len = 0;
    refuse_wrap(client, STATUS_BAD_REPLY, "the answer has 0 bytes");
    script.wrapped.wrapped_len = KMS_WRAPPED_MAX + 1;
    refuse_wrap(client, STATUS_BAD_REPLY, "the answer has 8193 bytes, expected 1 to 8192");
    script.wrapped.wrapped_len = KMS_WRAPPED_MAX;
    script.wrapped.wrapped = NULL;
    refuse_wrap(client, STATUS_BAD_REPLY, "the answer has");
    script.wrapped = good;
    script.wrapped.credential = NULL;
    refuse_wrap(client, STATUS_BAD_REPLY, "credential");
    script.wrapped.credential = big;
    refuse_wrap(client, STATUS_BAD_REPLY, "credential is longer than 1024");
    script.wrapped = good;
    script.wrapped.key_id = NULL;
    refuse_wrap(client, STATUS_BAD_REPLY, "names a key that cannot be");
    script.wrapped.key_id = big;
    refuse_wrap(client, STATUS_BAD_REPLY, "names a key that cannot be");
    script.wrapped.key_id = (char *)(uintptr_t) "http://elsewhere";
    refuse_wrap(client, STATUS_BAD_REPLY, "names a key that cannot be");
    script.wrapped.key_id = (char *)(uintptr_t) "";
    refuse_wrap(client, STATUS_BAD_REPLY, "names a key that cannot be");
    kms_client_close(client);
}

/* Every class goes up as the provider gave it, and half an answer is released. */
static void
test_errors_go_up(void)
{
    KMS_CLIENT *client = scripted_client();
    KMS_RECORDED r = {"scripted", "key/a/7", some_bytes, 1};
    KMS_KEY_INFO info;
    SECRET *opened = (SECRET *)&client;
    STATUS s;
    int i;

    for (i = STATUS_OK + 1; i < STATUS_CLASS_COUNT; i++) {
        script.status_class = i;
        refuse_wrap(client, (STATUS_CLASS)i, "wrap says no");
        CHECK_STATUS(kms_client_unwrap(client, 1, &context_one, &r, &opened, &s), &s,
          (STATUS_CLASS)i, "unwrap says no, while unwrapping with key/a/7");
        CU_ASSERT_PTR_NULL(opened);
        CHECK_STATUS(kms_client_describe(client, 1, NULL, &info, &s), &s, (STATUS_CLASS)i,
          "describe says no, while asking for the state of key/a");
    }
    kms_client_close(client);
    CHECK_STATUS(open_scripted("{provider: scripted, key: key/a}", &client, &s), &s,
      STATUS_INTERNAL, "open says no");
    CU_ASSERT_PTR_NULL(client);
}

static void
test_matches(void)
{
    KMS_CLIENT *client = scripted_client(), *plain;
    KMS_RECORDED r = {"scripted", "key/b", some_bytes, 1};
    KMS_KEY_INFO info;
    SECRET *opened;
    STATUS s;

    CU_ASSERT_TRUE(kms_client_matches(client, "scripted", "key/a/1"));
    CU_ASSERT_FALSE(kms_client_matches(client, "scripted", "key/b"));
    CU_ASSERT_FALSE(kms_client_matches(client, "plain", "key/a"));
    CU_ASSERT_EQUAL_FATAL(open_scripted("{provider: plain, key: key/a}", &plain, &s), 0);
    CU_ASSERT_TRUE(kms_client_matches(plain, "plain", "key/a"));
    CU_ASSERT_FALSE(kms_client_matches(plain, "plain", "key/a/1"));
    CU_ASSERT_FALSE(kms_client_can_unwrap(plain));

    /* The service is not asked for what is not configured. */
    script.asked = 0;
    CU_ASSERT_EQUAL(kms_client_unwrap(client, 1, &context_one, &r, &opened, &s), STATUS_REFUSED);
    CU_ASSERT_EQUAL(kms_client_describe(client, 1, "key/b", &info, &s), STATUS_REFUSED);
    CU_ASSERT_EQUAL(kms_client_describe(client, 1, "else", &info, &s), STATUS_CORRUPT);
    r = (KMS_RECORDED){"plain", "key/a", some_bytes, 1};
    CU_ASSERT_EQUAL(kms_client_unwrap(plain, 1, &context_one, &r, &opened, &s), STATUS_REFUSED);
    CU_ASSERT_STRING_EQUAL(s.id, "kms-wraps-only");
    CU_ASSERT_EQUAL(script.asked, 0);

    CU_ASSERT_EQUAL(kms_client_describe(client, 1, "key/a/2", &info, &s), 0);
    CU_ASSERT_EQUAL(info.state, KMS_KEY_DISABLED);
    CU_ASSERT_STRING_EQUAL(info.key_id, "key/a/2");
    CU_ASSERT_EQUAL(kms_client_describe(plain, 1, NULL, &info, &s), 0);
    CU_ASSERT_EQUAL(info.state, KMS_KEY_UNKNOWN);
    CU_ASSERT_STRING_EQUAL(info.key_id, "key/a");
    kms_client_close(client);
    kms_client_close(plain);
}

static void
test_unwrap_answers(void)
{
    KMS_CLIENT *client = scripted_client();
    KMS_RECORDED r = {"scripted", "key/a/7", some_bytes, 1};
    SECRET *opened;
    STATUS s;

    script.plaintext_len = KMS_PLAINTEXT_MAX;
    CU_ASSERT_EQUAL(kms_client_unwrap(client, 1, &context_one, &r, &opened, &s), 0);
    secret_free(opened);
    script.plaintext_len = KMS_PLAINTEXT_MAX + 1;
    CHECK_STATUS(kms_client_unwrap(client, 1, &context_one, &r, &opened, &s), &s, STATUS_BAD_REPLY,
      "more bytes than are ever wrapped");
    CU_ASSERT_PTR_NULL(opened);
    kms_client_close(client);
}

static void
test_long_key(void)
{
    KMS_CLIENT *client;
    STATUS s;
    char yaml[KMS_KEY_ID_MAX + 100];

    memset(&script, 0, sizeof(script));
    (void)snprintf(yaml, sizeof(yaml), "{provider: plain, key: k%0*d}", KMS_KEY_ID_MAX - 1, 0);
    CU_ASSERT_EQUAL(open_scripted(yaml, &client, &s), 0);
    kms_client_close(client);
    (void)snprintf(yaml, sizeof(yaml), "{provider: plain, key: k%0*d}", KMS_KEY_ID_MAX, 0);
    CHECK_STATUS(open_scripted(yaml, &client, &s), &s, STATUS_CONFIG, "longer than 1024 bytes");
    CU_ASSERT_PTR_NULL(client);
}

static const TEST answer_tests[] = {{"wrap_answers", test_wrap_answers},
  {"errors_go_up", test_errors_go_up}, {"matches", test_matches},
  {"unwrap_answers", test_unwrap_answers}, {"long_key", test_long_key}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {{"kms_answers", answer_tests}, {NULL, NULL}};
