/*
 * test/kms_clients/test_aws_profile.c -- The AWS tools' shared files, and the words of credential_process.
 */
#include "kms_clients/aws_process.h"
#include "kms_clients/aws_profile.h"
#include "test/kms_clients/kms_tests.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static AWS_PROFILES *
parse(const char *text, bool config)
{
    AWS_PROFILES *profiles;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(aws_profiles_new(&profiles, &s), 0);
    CU_ASSERT_EQUAL_FATAL(aws_profiles_parse(profiles, "file", config, text, strlen(text), &s), 0);
    return (profiles);
}

static void
values(void)
{
    AWS_PROFILES *p = parse(
      "# comment\n; another\n\n[default]\r\naws_access_key_id = "
      "AKID\r\nAWS_Secret_Access_Key=a=b:c#d\r\n"
      "empty =\n[one two]\nregion: eu-west-1\ns3 =\n    max = 5\n    region = nested\nlast = x",
      false);

    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "default", "aws_access_key_id"), "AKID");
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "default", "aws_secret_access_key"), "a=b:c#d");
    CU_ASSERT_PTR_NULL(aws_profiles_get(p, "default", "empty"));
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "one two", "region"), "eu-west-1");
    CU_ASSERT_PTR_NULL(aws_profiles_get(p, "one two", "max"));
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "one two", "last"), "x");
    CU_ASSERT_TRUE(aws_profiles_has(p, "one two"));
    CU_ASSERT_FALSE(aws_profiles_has(p, "one"));
    aws_profiles_free(p);
}

static void
config_sections(void)
{
    AWS_PROFILES *p = parse("[profile a]\nregion = r1\n[profile \"b c\"]\nregion = r2\n[default]\n"
                            "region = r3\n[sso-session a]\nregion = r4\n[a]\nregion = r5\n"
                            "[profile empty]\n",
      true);

    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "a", "region"), "r1");
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "b c", "region"), "r2");
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(p, "default", "region"), "r3");
    CU_ASSERT_TRUE(aws_profiles_has(p, "empty"));
    aws_profiles_free(p);
}

static void
refusals(void)
{
    static const struct {
        const char *text, *where;
    } bad[] = {{"x = SECRET\n", "file:1: a value before"}, {"[a\nx=1\n", "file:1: a section"},
      {"[]\n", "file:1: a section"}, {"[a]\nSECRET\n", "file:2: a line"},
      {"[a]\n\n= SECRET\n", "file:3: a line"}};
    AWS_PROFILES *profiles;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(aws_profiles_new(&profiles, &s), 0);
        CHECK_STATUS(
          aws_profiles_parse(profiles, "file", false, bad[i].text, strlen(bad[i].text), &s), &s,
          STATUS_CONFIG, bad[i].where);
        CU_ASSERT_PTR_NULL(strstr(s.message, "SECRET"));
        aws_profiles_free(profiles);
    }
    CU_ASSERT_EQUAL_FATAL(aws_profiles_new(&profiles, &s), 0);
    CHECK_STATUS(
      aws_profiles_parse(profiles, "file", false, "[a]\0", 4, &s), &s, STATUS_CONFIG, "no text");
    aws_profiles_free(profiles);
}

/* Keys are read from files that others may not read; a config without keys may be open to all. */
static void
permissions(void)
{
    static const char keys[] = "[default]\naws_secret_access_key = x\naws_access_key_id = y\n";
    static const char plain[] = "[default]\nregion = eu-west-1\n";
    AWS_PROFILES *profiles;
    const char *dir;
    char credentials[4300], config[4300];
    STATUS s;
    int dirfd = make_dir(&dir);

    (void)snprintf(credentials, sizeof(credentials), "%s/credentials", dir);
    (void)snprintf(config, sizeof(config), "%s/config", dir);
    put_file(dirfd, "credentials", keys, sizeof(keys) - 1, 0600);
    put_file(dirfd, "config", plain, sizeof(plain) - 1, 0644);
    CU_ASSERT_EQUAL_FATAL(aws_profiles_load(credentials, config, &profiles, &s), 0);
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(profiles, "default", "aws_access_key_id"), "y");
    CU_ASSERT_STRING_EQUAL(aws_profiles_get(profiles, "default", "region"), "eu-west-1");
    aws_profiles_free(profiles);
    put_file(dirfd, "open", keys, sizeof(keys) - 1, 0644);
    (void)snprintf(credentials, sizeof(credentials), "%s/open", dir);
    CHECK_STATUS(aws_profiles_load(credentials, config, &profiles, &s), &s, STATUS_CONFIG, "open");
    CHECK_STATUS(
      aws_profiles_load("/nonexistent/x", config, &profiles, &s), &s, STATUS_CONFIG, "cannot open");
    (void)close(dirfd);
}

static void
words(void)
{
    static const struct {
        const char *text;
        const char *expected[4];
    } good[] = {{"a b", {"a", "b"}}, {"  a\t'b c'\"d\" ", {"a", "b cd"}},
      {"a \\  \"x\\\"y\\z\"", {"a", " ", "x\"y\\z"}}, {"a ''", {"a", ""}},
      {"a $HOME;ls|x", {"a", "$HOME;ls|x"}}};
    static const char *const bad[] = {"", "  ", "a 'b", "a \"b", "a \\"};
    char text[256], *argv[AWS_PROCESS_ARGUMENTS_MAX + 1];
    size_t i, j;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s", good[i].text);
        CU_ASSERT_TRUE_FATAL(aws_process_split(text, argv));
        for (j = 0; good[i].expected[j] != NULL; j++)
            CU_ASSERT_TRUE(argv[j] != NULL && strcmp(argv[j], good[i].expected[j]) == 0);
        CU_ASSERT_PTR_NULL(argv[j]);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        (void)snprintf(text, sizeof(text), "%s", bad[i]);
        CU_ASSERT_FALSE(aws_process_split(text, argv));
    }
    memset(text, 'a', 200);
    for (i = 1; i < 200; i += 2)
        text[i] = ' ';
    text[200] = '\0';
    CU_ASSERT_FALSE(aws_process_split(text, argv));
}

const TEST aws_profile_tests[] = {{"values", values}, {"config_sections", config_sections},
  {"refusals", refusals}, {"permissions", permissions}, {"words", words}, {NULL, NULL}};
