/*
 * test/keystore/test_state.c -- wtkms.state: what is written is read, and nothing in it is believed.
 */
#include "test/keystore/fault.h"
#include "test/keystore/keystore_tests.h"

#include "keystore/state_file.h"

static STATE_FILE_CONTENT *
read_state(HOME *home)
{
    STATUS status;
    STATE_FILE_CONTENT *content;

    CHECK_OK_FATAL(state_file_read(home->fd, &content, &status));
    return (content);
}

static void
test_round_trip(void)
{
    char scope[] = "default", provider[] = "local", key[] = "local:1", credential[] = "/k",
         bad[] = "\xff", empty[] = "", uuid[] = "u", node[] = "n\n\"", version[] = "1";
    STATE_FILE_OPENED opened[2] = {{scope, provider, key, credential}, {scope, bad, empty, NULL}};
    char class[] = "unavailable", ok[] = "ok", message[] = "no answer; look (kms-unavailable)";
    STATE_FILE_CHECK checks[2] = {{scope, provider, key, class, message, 1700000000002, 10000},
      {scope, bad, key, ok, empty, 3, 4}};
    STATE_FILE_CONTENT content = {.pid = 12,
                         .uuid = uuid,
                         .node = node,
                         .module_version = version,
                         .engine_version = version,
                         .generation = INT64_MAX,
                         .started_at = 1700000000000,
                         .updated_at = 1700000000001,
                         .closed_at = 0,
                         .opened = opened,
                         .opened_count = 2,
                         .checks = checks,
                         .check_count = 2},
                       *read;
    HOME home;
    STATUS status;

    home_make(&home, NULL);
    read = read_state(&home);
    CU_ASSERT_PTR_NULL(read);
    CHECK_OK(state_file_write(home.fd, &content, &status));
    read = read_state(&home);
    CU_ASSERT_PTR_NOT_NULL_FATAL(read);
    CU_ASSERT_EQUAL(read->pid, 12);
    CU_ASSERT_STRING_EQUAL(read->uuid, "u");
    CU_ASSERT_STRING_EQUAL(read->node, "n\n\"");
    CU_ASSERT_STRING_EQUAL(read->module_version, "1");
    CU_ASSERT_STRING_EQUAL(read->engine_version, "1");
    CU_ASSERT_EQUAL(read->generation, INT64_MAX);
    CU_ASSERT_EQUAL(read->started_at, 1700000000000);
    CU_ASSERT_EQUAL(read->updated_at, 1700000000001);
    CU_ASSERT_EQUAL(read->closed_at, 0);
    CU_ASSERT_EQUAL_FATAL(read->opened_count, 2);
    CU_ASSERT_STRING_EQUAL(read->opened[0].key_id, "local:1");
    CU_ASSERT_STRING_EQUAL(read->opened[1].provider, "");
    CU_ASSERT_STRING_EQUAL(read->opened[1].credential, "");
    CU_ASSERT_EQUAL_FATAL(read->check_count, 2);
    CU_ASSERT_STRING_EQUAL(read->checks[0].scope, "default");
    CU_ASSERT_STRING_EQUAL(read->checks[0].provider, "local");
    CU_ASSERT_STRING_EQUAL(read->checks[0].key_id, "local:1");
    CU_ASSERT_STRING_EQUAL(read->checks[0].status_class, "unavailable");
    CU_ASSERT_STRING_EQUAL(read->checks[0].message, message);
    CU_ASSERT_EQUAL(read->checks[0].time, 1700000000002);
    CU_ASSERT_EQUAL(read->checks[0].ms, 10000);
    CU_ASSERT_STRING_EQUAL(read->checks[1].provider, "");
    CU_ASSERT_STRING_EQUAL(read->checks[1].status_class, "ok");
    state_file_free(read);
    /* The next one, without recipients, replaces it. */
    content.opened_count = 0;
    content.check_count = 0;
    content.closed_at = 5;
    CHECK_OK(state_file_write(home.fd, &content, &status));
    read = read_state(&home);
    CU_ASSERT_EQUAL(read->opened_count, 0);
    CU_ASSERT_EQUAL(read->closed_at, 5);
    state_file_free(read);
    state_file_free(NULL);
    home_free(&home);
}

static void
test_other_content(void)
{
    static const char *const odd[] = {"{}", "{\"pid\": \"x\", \"uuid\": 5, \"opened\": 7}",
      "{\"opened\": [1, {}, {\"scope\": 3}], \"new field\": [1, {\"a\": 2}]}", "{\"opened\": []}",
      "{\"checks\": 3}", "{\"checks\": [2, {}, {\"time\": \"x\", \"class\": 5}]}",
      "{\"checks\": []}"};
    static const char *const broken[] = {"", "{", "[", "x", "{\"a\": }", "\xff"};
    HOME home;
    STATUS status;
    STATE_FILE_CONTENT *content;
    char *big;
    size_t i;

    home_make(&home, NULL);
    for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        home_write(&home, STATE_FILE, odd[i], strlen(odd[i]));
        content = read_state(&home);
        CU_ASSERT_PTR_NOT_NULL_FATAL(content);
        CU_ASSERT_STRING_EQUAL(content->uuid, "");
        CU_ASSERT_EQUAL(content->pid, 0);
        state_file_free(content);
    }
    for (i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        home_write(&home, STATE_FILE, broken[i], strlen(broken[i]));
        status_clear(&status);
        CU_ASSERT_EQUAL(state_file_read(home.fd, &content, &status), STATUS_CORRUPT);
        CU_ASSERT_PTR_NULL(content);
    }
    big = calloc(1, STATE_FILE_MAX_BYTES + 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    home_write(&home, STATE_FILE, big, STATE_FILE_MAX_BYTES + 1);
    status_clear(&status);
    CU_ASSERT_EQUAL(state_file_read(home.fd, &content, &status), STATUS_CORRUPT);
    free(big);
    home_free(&home);
}

static void
test_no_memory(void)
{
    static const char text[] = "{\"opened\": [{\"scope\": \"s\"}, {\"scope\": \"t\"}], "
                               "\"checks\": [{\"scope\": \"s\"}, {\"class\": \"ok\"}]}";
    HOME home;
    STATUS status;
    STATE_FILE_CONTENT *content;
    unsigned nth;
    int ret;
    bool hit;

    home_make(&home, NULL);
    home_write(&home, STATE_FILE, text, sizeof(text) - 1);
    for (nth = 1, hit = true; hit && nth < 1000; nth++) {
        status_clear(&status);
        fault_memory_at(nth);
        ret = state_file_read(home.fd, &content, &status);
        hit = fault_memory_was_hit();
        CU_ASSERT_EQUAL(ret, hit ? STATUS_NO_MEMORY : 0);
        CU_ASSERT_EQUAL(content == NULL, hit);
        state_file_free(content);
    }
    CU_ASSERT(nth > 5);
    home_free(&home);
}

const TEST state_tests[] = {{"round trip", test_round_trip}, {"other content", test_other_content},
  {"no memory", test_no_memory}, {NULL, NULL}};
