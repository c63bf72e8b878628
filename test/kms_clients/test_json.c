/*
 * test/kms_clients/test_json.c -- JSON of key services: hostile replies, paths, what a writer makes.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static JSON *
parsed(const char *text)
{
    JSON *json = NULL;
    STATUS s;

    status_clear(&s);
    if (json_parse(text, strlen(text), &json, &s) != 0)
        CU_FAIL("a good text was refused");
    return (json);
}

static void
test_values(void)
{
    JSON *json =
      parsed(" {\"a\":\"x\\u00e9\\n\",\"n\":-7,\"big\":9007199254740993,\"f\":3600.0,\"h\":1.5,"
             "\"t\":true,\"z\":null,\"o\":{\"i\":{\"c\":\"deep\"}},\"l\":[\"p\",{\"q\":2}],"
             "\"a\":\"second\",\"nul\":\"a\\u0000b\",\"e\":\"\",\"s\":\"12\"} \r\n");
    SECRET *secret;
    STATUS s;
    int64_t n;
    bool b;

    CU_ASSERT_PTR_NOT_NULL_FATAL(json);
    CU_ASSERT_STRING_EQUAL(json_string(json, "a"), "x\xc3\xa9\n"); /* the first of two */
    CU_ASSERT(json_int(json, "n", &n) && n == -7);
    CU_ASSERT(json_int(json, "big", &n) && n == INT64_C(9007199254740993));
    CU_ASSERT(json_int(json, "f", &n) && n == 3600);
    CU_ASSERT(!json_int(json, "h", &n) && !json_int(json, "s", &n) && !json_int(json, "t", &n));
    CU_ASSERT(json_bool(json, "t", &b) && b && !json_bool(json, "n", &b));
    CU_ASSERT(json_has(json, "z") && !json_has(json, "y") && json_string(json, "z") == NULL);
    CU_ASSERT_STRING_EQUAL(json_string(json, "o.i.c"), "deep");
    CU_ASSERT_STRING_EQUAL(json_string(json, "l.0"), "p");
    CU_ASSERT(json_int(json, "l.1.q", &n) && n == 2);
    CU_ASSERT(!json_has(json, "o.i.c.d") && !json_has(json, "l.2") && !json_has(json, "o..c"));
    CU_ASSERT_PTR_NULL(json_string(json, "nul"));
    CU_ASSERT(json_secret(json, "a", &secret, &s) == 0 && secret_len(secret) == 4);
    secret_free(secret);
    CU_ASSERT(json_secret(json, "e", &secret, &s) == 0 && secret == NULL);
    CU_ASSERT(json_secret(json, "none", &secret, &s) == 0 && secret == NULL);
    json_free(json);
}

static void
refuse(const char *text, size_t len)
{
    JSON *json;
    STATUS s;
    int ret;

    status_clear(&s);
    ret = json_parse(text, len, &json, &s);
    CHECK_STATUS(ret, &s, STATUS_BAD_REPLY, "not one JSON object");
    CU_ASSERT_STRING_EQUAL(s.id, "kms-bad-json");
    CU_ASSERT_PTR_NULL(json);
    if (ret == 0)
        (void)fprintf(stderr, "taken: %s\n", text);
    CU_ASSERT_PTR_NULL(strstr(s.message, "topsecret"));
}

static void
test_refused(void)
{
    static const char *const wrong[] = {"", " ", "[]", "[{}]", "null", "\"x\"", "1", "{",
      "{\"a\":", "{\"a\":1", "{\"a\":\"topsecret", "{\"a\":topsecret}", "{} x", "{}{}",
      "{\"a\":1}\n{\"b\":2}", "{]", "{\"a\":[1}}", "<html>topsecret</html>",
      "{\"$oid\":\"0123456789abcdef01234567\"}", "{\"a\":{\"$date\":1}}",
      "{\"a\":{\"\\u0024numberLong\":\"1\"}}", "{\"a\":{\"$binary\":1}}", "{\"a\\u0000b\":1}",
      "{\"a\":\"\xff\"}", "{\"a\":\"\xc0\x80\"}", "{\"a\":\"b\nc\"}", "\xef\xbb\xbf{}",
      "{\"a\":\"\\x\"}", "{\"a\" \"b\"}"};
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse(wrong[i], strlen(wrong[i]));
    refuse("{\"a\":1}\0", 8);
}

static void
test_sizes(void)
{
    JSON *json = NULL;
    STATUS s;
    char *text;
    size_t i, len = 64 * 1024, depth;

    CU_ASSERT_PTR_NOT_NULL_FATAL(text = malloc(len + 1));
    /* As much BSON as so many bytes of JSON can make. */
    memcpy(text, "{\"a\":[0", 7);
    for (i = 7; i + 4 < len; i += 2)
        memcpy(text + i, ",0", 2);
    memcpy(text + i, "]}", 2);
    memset(text + i + 2, ' ', len - i - 2);
    CU_ASSERT(json_parse(text, len, &json, &s) == 0 && json_has(json, "a.32000"));
    json_free(json);
    text[len] = ' ';
    refuse(text, len + 1);
    for (depth = 32; depth <= 33; depth++) {
        for (len = 0, i = 0; i < depth; i++, len += 5)
            memcpy(text + len, "{\"a\":", 5);
        text[len++] = '1';
        memset(text + len, '}', depth);
        len += depth;
        if (depth == 33)
            refuse(text, len);
        else {
            CU_ASSERT_EQUAL(json_parse(text, len, &json, &s), 0);
            json_free(json);
        }
    }
    memset(text, '[', 64 * 1024);
    text[0] = '{';
    refuse(text, 64 * 1024);
    free(text);
}

static void
expect_text(JSON_WRITER *writer, const char *text)
{
    SECRET *made = NULL;
    STATUS s;

    status_clear(&s);
    CU_ASSERT_EQUAL_FATAL(json_writer_finish(writer, &made, &s), 0);
    CU_ASSERT(
      secret_len(made) == strlen(text) && memcmp(secret_bytes(made), text, strlen(text)) == 0);
    secret_free(made);
}

static void
test_written(void)
{
    JSON_WRITER *writer = json_writer_new();
    SECRET *secret;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy("s\"\\\x01", 4, &secret, &s), 0);
    json_put_string(writer, "a", "\xc3\xa9\n/");
    json_put_int(writer, "n", INT64_MIN);
    json_put_bool(writer, "t", true);
    json_put_base64(writer, "b", "\xfb\xff", 2, false);
    json_put_base64(writer, "u", "\xfb\xff", 2, true);
    json_put_base64(writer, "e", "", 0, false);
    json_put_secret(writer, "s", secret);
    json_open_array(writer, "l");
    json_put_string(writer, NULL, "x");
    json_open_object(writer, NULL);
    json_close(writer);
    json_close(writer);
    json_put_bool(writer, "f", false);
    expect_text(writer,
      "{\"a\":\"\xc3\xa9\\u000a/\",\"n\":-9223372036854775808,\"t\":true,\"b\":\"+/8=\","
      "\"u\":\"-_8\",\"e\":\"\",\"s\":\"s\\\"\\\\\\u0001\",\"l\":[\"x\",{}],\"f\":false}");
    secret_free(secret);
    expect_text(json_writer_new(), "{}");
}

static void
test_written_long(void)
{
    JSON_WRITER *writer = json_writer_new();
    SECRET *made;
    JSON *json;
    STATUS s;
    char value[3000];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    json_put_string(writer, "a", value);
    json_put_string(writer, "b", value);
    CU_ASSERT_EQUAL_FATAL(json_writer_finish(writer, &made, &s), 0);
    CU_ASSERT_EQUAL_FATAL(json_parse(secret_bytes(made), secret_len(made), &json, &s), 0);
    CU_ASSERT_STRING_EQUAL(json_string(json, "b"), value);
    json_free(json);
    secret_free(made);
}

static void
refuse_writer(JSON_WRITER *writer)
{
    SECRET *made;
    STATUS s;
    int ret = json_writer_finish(writer, &made, &s);

    CHECK_STATUS(ret, &s, STATUS_INTERNAL, "a request ");
    CU_ASSERT_PTR_NULL(made);
}

static void
test_written_wrong(void)
{
    JSON_WRITER *writer = json_writer_new();
    SECRET *made;
    STATUS s;

    json_put_string(writer, "a", "\xff");
    json_put_string(writer, "b", "fine");
    refuse_writer(writer);
    writer = json_writer_new();
    json_put_string(writer, "a", NULL);
    refuse_writer(writer);
    writer = json_writer_new();
    json_open_array(writer, "l");
    refuse_writer(writer);
    writer = json_writer_new();
    json_close(writer);
    refuse_writer(writer);
    writer = json_writer_new();
    json_put_int(writer, NULL, 1);
    refuse_writer(writer);
    CU_ASSERT_EQUAL(json_writer_finish(NULL, &made, &s), STATUS_NO_MEMORY);
    json_put_string(NULL, "a", "b");
    json_writer_free(NULL);
    json_free(NULL);
}

const TEST json_tests[] = {{"values", test_values}, {"refused", test_refused},
  {"sizes", test_sizes}, {"written", test_written}, {"written_long", test_written_long},
  {"written_wrong", test_written_wrong}, {NULL, NULL}};
