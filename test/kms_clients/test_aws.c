/*
 * test/kms_clients/test_aws.c -- Provider "aws" without a network: names, options, requests, replies,
 * errors and their classes.
 */
#include "common/clock.h"
#include "kms_clients/aws_arn.h"
#include "kms_clients/aws_credentials.h"
#include "kms_clients/aws_metadata.h"
#include "kms_clients/aws_reply.h"
#include "kms_clients/aws_sts.h"
#include "test/kms_clients/kms_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID "1234abcd-12ab-34cd-56ef-1234567890ab"
#define OTHER_ID "00000000-12ab-34cd-56ef-1234567890ab"
#define MRK "mrk-1234567890abcdef1234567890abcdef"
#define BASE "arn:aws:kms:eu-west-1:111122223333:"
#define ARN BASE "key/" ID
#define ROLE "arn:aws:iam::111122223333:role/db/mongod"

static HTTP_REPLY
reply_of(int code, const char *body)
{
    HTTP_REPLY reply = {.code = code, .body = (const uint8_t *)body, .body_len = strlen(body)};

    reply.headers = "";
    return (reply);
}

/* --- names */

static void
regions(void)
{
    static const char *const good[] = {"eu-west-1", "us-gov-east-1", "ap-southeast-12"};
    static const char *const bad[] = {"", "eu", "eu-west", "eu-west-", "eu-west-1.evil.org",
      "EU-west-1", "eu_west-1", "eu-west-1/", "-west-1", "eu--1", "eu-west-123", "eu-west-1 ",
      "a-very-long-name-of-a-region-that-is-none-1"};
    char host[AWS_HOST_SIZE];
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_TRUE(aws_region_valid(good[i]));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(aws_region_valid(bad[i]));
    CU_ASSERT_STRING_EQUAL(aws_partition("cn-north-1"), "aws-cn");
    CU_ASSERT_STRING_EQUAL(aws_partition("us-isob-east-1"), "aws-iso-b");
    CU_ASSERT_STRING_EQUAL(aws_partition("us-east-1"), "aws");
    CU_ASSERT_TRUE(aws_service_host("kms", "cn-north-1", false, host, sizeof(host)));
    CU_ASSERT_STRING_EQUAL(host, "kms.cn-north-1.amazonaws.com.cn");
    CU_ASSERT_TRUE(aws_service_host("kms", "us-east-1", true, host, sizeof(host)));
    CU_ASSERT_STRING_EQUAL(host, "kms-fips.us-east-1.amazonaws.com");
    CU_ASSERT_TRUE(aws_service_host("sts", "us-gov-west-1", true, host, sizeof(host)));
    CU_ASSERT_STRING_EQUAL(host, "sts.us-gov-west-1.amazonaws.com");
    CU_ASSERT_FALSE(aws_service_host("kms", "us-east-1", false, host, 10));
}

static void
grammar(void)
{
    static const char *const bad[] = {"", ID, "alias/x", BASE "alias/x", BASE "key/", BASE "key/x",
      ARN "0", ARN "\n", ARN " ", ARN "/x", BASE "key/1234ABCD-12ab-34cd-56ef-1234567890ab",
      "arn:aws:kms:eu-west-1:11112222333:key/" ID, "arn:aws:kms:eu-west-1:1111222233334:key/" ID,
      "arn:aws-cn:kms:eu-west-1:111122223333:key/" ID,
      "arn:evil:kms:eu-west-1:111122223333:key/" ID, "arn:aws:s3:eu-west-1:111122223333:key/" ID,
      "arn:aws:kms:evil.org:111122223333:key/" ID, "arn:aws:kms::111122223333:key/" ID,
      "ARN:aws:kms:eu-west-1:111122223333:key/" ID, "arn:aws:kms:eu-west-1:111122223333:key:" ID,
      BASE "key/mrk-12", BASE "key/" MRK "0"};
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL(aws_key_arn_check(ARN, &s), 0);
    CU_ASSERT_EQUAL(aws_key_arn_check(BASE "key/" MRK, &s), 0);
    CU_ASSERT_EQUAL(
      aws_key_arn_check("arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/" ID, &s), 0);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_STATUS(aws_key_arn_check(bad[i], &s), &s, STATUS_CORRUPT, "not the ARN");
    CU_ASSERT_TRUE(aws_role_arn_valid(ROLE));
    CU_ASSERT_FALSE(aws_role_arn_valid("arn:aws:iam::111122223333:user/x"));
    CU_ASSERT_FALSE(aws_role_arn_valid(ROLE "&Action=x"));
    CU_ASSERT_FALSE(aws_role_arn_valid("arn:aws:iam::1:role/x"));
}

static bool
matches(const char *configured, const char *region, const char *arn)
{
    AWS_KEY key;

    CU_ASSERT_TRUE_FATAL(aws_key_parse(configured, &key));
    return (aws_key_matches(&key, region, arn));
}

static void
matching(void)
{
    const char *const region = "eu-west-1";
    char text[KMS_KEY_ID_MAX + 1];

    CU_ASSERT_TRUE(matches(ARN, region, ARN));
    CU_ASSERT_TRUE(matches(ID, region, ARN));
    CU_ASSERT_FALSE(matches(ARN, region, BASE "key/" OTHER_ID));
    CU_ASSERT_FALSE(matches(ID, region, "arn:aws:kms:us-east-1:111122223333:key/" ID));
    CU_ASSERT_FALSE(matches(ARN, region, "arn:aws:kms:eu-west-1:999922223333:key/" ID));
    /* An alias may have pointed to any key of its account and region. */
    CU_ASSERT_TRUE(matches(BASE "alias/db", region, BASE "key/" OTHER_ID));
    CU_ASSERT_FALSE(matches(BASE "alias/db", region, "arn:aws:kms:eu-west-1:999922223333:key/" ID));
    CU_ASSERT_FALSE(matches(BASE "alias/db", region, "arn:aws:kms:eu-west-2:111122223333:key/" ID));
    CU_ASSERT_FALSE(matches(BASE "alias/db", region, BASE "alias/db"));
    CU_ASSERT_TRUE(matches("alias/db", region, ARN));
    CU_ASSERT_FALSE(matches("alias/db", "eu-west-2", ARN));
    /* Replicas of a multi-Region key are called by the ARN of the region in use. */
    CU_ASSERT_TRUE(matches(BASE "key/" MRK, region, "arn:aws:kms:us-east-1:111122223333:key/" MRK));
    CU_ASSERT_FALSE(
      matches(BASE "key/" MRK, region, "arn:aws:kms:us-east-1:999922223333:key/" MRK));
    CU_ASSERT_FALSE(matches(MRK, region, "arn:aws-cn:kms:cn-north-1:111122223333:key/" MRK));
    CU_ASSERT_TRUE(
      aws_key_in_region("arn:aws:kms:us-east-1:111122223333:key/" MRK, region, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, BASE "key/" MRK);
    CU_ASSERT_TRUE(aws_key_in_region(ARN, "us-east-1", text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, ARN);
}

static void
session_names(void)
{
    char name[65];

    aws_session_name("wtkms-rs0-a.example", name, sizeof(name));
    CU_ASSERT_STRING_EQUAL(name, "wtkms-rs0-a.example");
    aws_session_name("a b/\xc3\xa4", name, sizeof(name));
    CU_ASSERT_STRING_EQUAL(name, "a-b---");
    aws_session_name("", name, sizeof(name));
    CU_ASSERT_STRING_EQUAL(name, "--");
    aws_session_name(
      "0123456789012345678901234567890123456789012345678901234567890123456789", name, sizeof(name));
    CU_ASSERT_EQUAL(strlen(name), 64);
}

/* --- options */

static void
options(void)
{
    static const struct {
        const char *yaml, *text;
    } bad[] = {{"{provider: aws}", "\"key\" is missing"},
      {"{provider: aws, key: x, region: eu-west-1}", "key: neither"},
      {"{provider: aws, key: 'alias/x', region: evil.org}", "region: no name of a region"},
      {"{provider: aws, key: '" ARN "', region: us-east-1}", "region: is another one"},
      {"{provider: aws, key: '" ARN "', roleArn: x}", "roleArn: expected"},
      {"{provider: aws, key: '" ARN "', externalId: abc}", "externalId: goes with roleArn"},
      {"{provider: aws, key: '" ARN "', roleArn: '" ROLE "', externalId: 'a b'}", "2 to 1224"},
      {"{provider: aws, key: '" ARN "', webIdentityTokenFile: /x}", "goes with roleArn"},
      {"{provider: aws, key: '" ARN "', fips: true, endpoint: 'vpce.example.org'}", "FIPS one"},
      {"{provider: aws, key: '" ARN "', endpoint: 'http://example.org'}", "endpoint: "},
      {"{provider: aws, key: '" ARN "', endpoint: 'https://example.org/path'}", "has a path"},
      {"{provider: aws, key: '" ARN "', endpoint: 'https://u:p@example.org'}", "endpoint: "},
      {"{provider: aws, key: '" ARN "', stsEndpoint: 'http://example.org'}", "stsEndpoint: "},
      {"{provider: aws, key: '" ARN "', credentialsFile: /nonexistent/x}", "credentialsFile: "},
      {"{provider: aws, key: '" ARN "', secretAccessKey: x}", "secretAccessKey"}};
    KMS_CLIENT *client;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_STATUS(open_client(bad[i].yaml, &client, &s), &s, STATUS_CONFIG, bad[i].text);
        CU_ASSERT_PTR_NULL(client);
    }
    CU_ASSERT_EQUAL_FATAL(open_client("{provider: aws, key: '" ARN "', roleArn: '" ROLE
                                      "', externalId: 7f3c, fips: true}",
                            &client, &s),
      0);
    CU_ASSERT_STRING_EQUAL(kms_client_key(client), ARN);
    CU_ASSERT_TRUE(kms_client_matches(client, "aws", ARN));
    CU_ASSERT_FALSE(kms_client_matches(client, "local", ARN));
    CU_ASSERT_EQUAL(kms_client_retry_for(client), 300000);
    kms_client_close(client);
}

/* --- requests and replies */

static bool
holds(const SECRET *body, const char *text)
{
    return (memmem(secret_bytes(body), secret_len(body), text, strlen(text)) != NULL);
}

static void
requests(void)
{
    static const uint8_t wrapped[] = {1, 2, 3};
    SECRET *plaintext, *body;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy("key", 3, &plaintext, &s), 0);
    CU_ASSERT_EQUAL_FATAL(aws_request_encrypt("alias/x", &context_one, plaintext, &body, &s), 0);
    CU_ASSERT_TRUE(holds(body, "\"KeyId\":\"alias/x\""));
    CU_ASSERT_TRUE(holds(body, "\"Plaintext\":\"a2V5\""));
    CU_ASSERT_TRUE(holds(body,
      "\"EncryptionContext\":{\"wtkms-keystore\":\"01020304-0506-0708-090a-0b0c0d0e0f10\","
      "\"wtkms-master-key\":\"1122334455667788\",\"wtkms-scope\":\"default\"}"));
    secret_free(body);
    CU_ASSERT_EQUAL_FATAL(
      aws_request_decrypt(ARN, &context_one, wrapped, sizeof(wrapped), &body, &s), 0);
    CU_ASSERT_TRUE(holds(body, "\"KeyId\":\"" ARN "\""));
    CU_ASSERT_TRUE(holds(body, "\"CiphertextBlob\":\"AQID\""));
    secret_free(body);
    CU_ASSERT_EQUAL_FATAL(aws_request_describe(ARN, &body, &s), 0);
    CU_ASSERT_TRUE(holds(body, "{\"KeyId\":\"" ARN "\"}"));
    secret_free(body);
    secret_free(plaintext);
}

static void
encrypted(void)
{
    static const char *const bad[] = {"", "[]", "{", "{}", "{\"KeyId\":\"" ARN "\"}",
      "{\"CiphertextBlob\":\"AQID\"}", "{\"KeyId\":\"x\",\"CiphertextBlob\":\"AQID\"}",
      "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"\"}",
      "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":\"A!\"}",
      "{\"KeyId\":\"" ARN "\",\"CiphertextBlob\":5}", "<html>"};
    HTTP_REPLY reply = reply_of(200, "{\"CiphertextBlob\":\"AQID\",\"KeyId\":\"" ARN "\"}");
    char *key_id;
    uint8_t *wrapped;
    size_t len, i;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(aws_reply_encrypted(&reply, &key_id, &wrapped, &len, &s), 0);
    CU_ASSERT_STRING_EQUAL(key_id, ARN);
    CU_ASSERT_TRUE(len == 3 && memcmp(wrapped, "\1\2\3", 3) == 0);
    free(key_id);
    free(wrapped);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = reply_of(200, bad[i]);
        CHECK_STATUS(
          aws_reply_encrypted(&reply, &key_id, &wrapped, &len, &s), &s, STATUS_BAD_REPLY, "");
        CU_ASSERT_TRUE(key_id == NULL && wrapped == NULL);
    }
}

static void
decrypted(void)
{
    static const char *const bad[] = {"{\"Plaintext\":\"a2V5\"}", "{\"KeyId\":\"" ARN "\"}",
      "{\"KeyId\":\"" BASE "key/" OTHER_ID "\",\"Plaintext\":\"a2V5\"}",
      "{\"KeyId\":\"" ARN "\",\"Plaintext\":\"a2V\"}", "{\"KeyId\":\"" ARN "\",\"Plaintext\":[]}"};
    HTTP_REPLY reply = reply_of(200, "{\"Plaintext\":\"a2V5\",\"KeyId\":\"" ARN "\"}");
    SECRET *plaintext;
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(aws_reply_decrypted(&reply, ARN, &plaintext, &s), 0);
    CU_ASSERT_TRUE(secret_len(plaintext) == 3 && memcmp(secret_bytes(plaintext), "key", 3) == 0);
    secret_free(plaintext);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = reply_of(200, bad[i]);
        CHECK_STATUS(
          aws_reply_decrypted(&reply, ARN, &plaintext, &s), &s, STATUS_BAD_REPLY, "answer has");
        CU_ASSERT_PTR_NULL(plaintext);
    }
}

static void
described(void)
{
    static const struct {
        const char *state, *more;
        KMS_KEY_STATE expected;
        bool unavailable;
        const char *detail;
    } cases[] = {{"Enabled", "", KMS_KEY_ENABLED, false, "enabled"},
      {"Disabled", "", KMS_KEY_DISABLED, false, "disabled"},
      {"PendingDeletion", ",\"DeletionDate\":1.7965152E9", KMS_KEY_PENDING_DELETION, false,
        "pending deletion on 2026-12-06"},
      {"PendingDeletion", ",\"DeletionDate\":1796515200.5", KMS_KEY_PENDING_DELETION, false,
        "pending deletion on 2026-12-06"},
      {"PendingDeletion", ",\"DeletionDate\":\"x\"", KMS_KEY_PENDING_DELETION, false,
        "pending deletion"},
      {"PendingImport", "", KMS_KEY_DISABLED, false, "without its imported key material"},
      {"Unavailable", "", KMS_KEY_UNKNOWN, true, "key store is not connected"},
      {"Dancing", "", KMS_KEY_UNKNOWN, false, "Dancing"}};
    KMS_KEY_INFO info;
    HTTP_REPLY reply;
    STATUS s;
    char text[512];
    bool unavailable;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text),
          "{\"KeyMetadata\":{\"Arn\":\"" ARN "\",\"KeyState\":\"%s\"%s}}", cases[i].state,
          cases[i].more);
        reply = reply_of(200, text);
        CU_ASSERT_EQUAL(aws_reply_described(&reply, &info, &unavailable, &s), 0);
        CU_ASSERT_EQUAL(info.state, cases[i].expected);
        CU_ASSERT_EQUAL(unavailable, cases[i].unavailable);
        CU_ASSERT_PTR_NOT_NULL(strstr(info.detail, cases[i].detail));
        CU_ASSERT_STRING_EQUAL(info.key_id, ARN);
    }
    reply = reply_of(200, "{\"KeyMetadata\":{\"Arn\":\"x\",\"KeyState\":\"Enabled\"}}");
    CHECK_STATUS(
      aws_reply_described(&reply, &info, &unavailable, &s), &s, STATUS_BAD_REPLY, "no ARN");
}

static void
errors(void)
{
    static const struct {
        int code;
        const char *body;
        STATUS_CLASS expected;
        const char *text;
    } cases[] = {{400, "{\"__type\":\"DisabledException\",\"message\":\"" ARN " is disabled.\"}",
                   STATUS_DISABLED, "is disabled"},
      {400, "{\"__type\":\"com.amazonaws.kms#NotFoundException\",\"message\":\"no\"}",
        STATUS_NOT_FOUND, "NotFoundException: no"},
      {400, "{\"__type\":\"NotFoundException\",\"message\":\"Invalid arn us-east-1\"}",
        STATUS_CONFIG, "NotFoundException"},
      {400, "{\"__type\":\"AccessDeniedException\",\"Message\":\"User: x\"}", STATUS_DENIED,
        "User: x"},
      {403,
        "<?xml version=\"1.0\"?>\n<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type>"
        "<Code>AccessDenied</Code><Message>not &lt;this&gt;</Message></Error></ErrorResponse>",
        STATUS_DENIED, "not <this>"},
      {403,
        "<Response><Errors><Error><Code>SignatureDoesNotMatch</Code><Message>TOKEN</Message>"
        "</Error></Errors></Response>",
        STATUS_UNAUTHENTICATED, "SignatureDoesNotMatch"},
      {400, "{\"__type\":\"UnrecognizedClientException\"}", STATUS_UNAUTHENTICATED, "Unrec"},
      {400, "{\"__type\":\"ExpiredTokenException\"}", STATUS_UNAUTHENTICATED, "Expired"},
      {403, "{\"__type\":\"InvalidSignatureException\",\"message\":\"TOKEN\"}",
        STATUS_UNAUTHENTICATED, "InvalidSignature"},
      {400, "{\"__type\":\"ThrottlingException\"}", STATUS_UNAVAILABLE, "Throttling"},
      {500, "{\"__type\":\"KMSInternalException\"}", STATUS_UNAVAILABLE, "KMSInternal"},
      {500, "{\"__type\":\"DependencyTimeoutException\"}", STATUS_UNAVAILABLE, "Dependency"},
      {400, "{\"__type\":\"InvalidCiphertextException\",\"message\":null}", STATUS_CORRUPT, "Inv"},
      {400, "{\"__type\":\"IncorrectKeyException\"}", STATUS_CORRUPT, "IncorrectKey"},
      {400, "{\"__type\":\"KMSInvalidStateException\"}", STATUS_BAD_REPLY, "KMSInvalidState"},
      {400, "{\"__type\":\"ValidationException\",\"message\":\"SECRET\"}", STATUS_CONFIG, "Valid"},
      {400, "{\"__type\":\"SomethingNew\"}", STATUS_BAD_REPLY, "SomethingNew"},
      {503, "{\"__type\":\"SomethingNew\"}", STATUS_UNAVAILABLE, "SomethingNew"},
      /* Not the service's own words. */
      {403, "<html><Code>AccessDenied</Code></html>", STATUS_BAD_REPLY, ""},
      {404, "", STATUS_BAD_REPLY, ""},
      {404, "{\"error\":\"NotFoundException\"}", STATUS_BAD_REPLY, ""},
      {403, "{\"__type\":\"Access Denied\"}", STATUS_BAD_REPLY, ""},
      {400, "{\"__type\":\"#\"}", STATUS_BAD_REPLY, ""}, {502, "<html>", STATUS_UNAVAILABLE, ""}};
    AWS_ERROR error;
    HTTP_REPLY reply;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        reply = reply_of(cases[i].code, cases[i].body);
        CHECK_STATUS(aws_reply_error(&reply, &error, &s), &s, cases[i].expected, cases[i].text);
        CU_ASSERT_PTR_NULL(strstr(s.message, "TOKEN"));
        CU_ASSERT_PTR_NULL(strstr(s.message, "SECRET"));
    }
}

/* --- credentials */

static void
times(void)
{
    int64_t seconds;

    CU_ASSERT_TRUE(aws_time_parse("2015-08-30T12:36:00Z", &seconds));
    CU_ASSERT_EQUAL(seconds, 1440938160);
    CU_ASSERT_TRUE(aws_time_parse("2015-08-30T12:36:00.123+00:00", &seconds));
    CU_ASSERT_EQUAL(seconds, 1440938160);
    CU_ASSERT_FALSE(aws_time_parse("2015-08-30T12:36:00", &seconds));
    CU_ASSERT_FALSE(aws_time_parse("2015-08-30T12:36:00+02:00", &seconds));
    CU_ASSERT_FALSE(aws_time_parse("2015-13-30T12:36:00Z", &seconds));
    CU_ASSERT_FALSE(aws_time_parse("", &seconds));
}

static void
credentials_json(void)
{
    static const char good[] = "{\"Code\":\"Success\",\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":"
                               "\"s3cret\",\"Token\":\"t\","
                               "\"Expiration\":\"2015-08-30T13:36:00Z\",\"RoleArn\":\"" ROLE "\"}";
    static const struct {
        const char *text;
        STATUS_CLASS expected;
    } bad[] = {{"{}", STATUS_BAD_REPLY}, {"<html>", STATUS_BAD_REPLY},
      {"{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", STATUS_UNAUTHENTICATED},
      {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\\r\\nX: y\"}", STATUS_BAD_REPLY},
      {"{\"AccessKeyId\":\"A/b\",\"SecretAccessKey\":\"s\"}", STATUS_BAD_REPLY},
      {"{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}",
        STATUS_BAD_REPLY}};
    AWS_CREDENTIALS c = {.secret_access_key = NULL};
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(
      aws_credentials_read_json(&c, "x", good, sizeof(good) - 1, 1440938160, &s), 0);
    CU_ASSERT_STRING_EQUAL(c.access_key_id, "AKID");
    CU_ASSERT_STRING_EQUAL(c.source, ROLE);
    CU_ASSERT_EQUAL(secret_len(c.session_token), 1);
    CU_ASSERT_TRUE(aws_credentials_fresh(&c) && aws_credentials_usable(&c));
    /* An hour: refreshed before five minutes are left. */
    CU_ASSERT_TRUE(c.refresh_at <= clock_deadline(3300000));
    CU_ASSERT_TRUE(c.expires_at > clock_deadline(3590000));
    aws_credentials_expire(&c, 10, 20);
    CU_ASSERT_FALSE(aws_credentials_fresh(&c) || aws_credentials_usable(&c));
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_STATUS(aws_credentials_read_json(&c, "x", bad[i].text, strlen(bad[i].text), 0, &s),
          &s, bad[i].expected, "");
        CU_ASSERT_PTR_NULL(strstr(s.message, "s\r"));
    }
    aws_credentials_clear(&c);
}

static void
sts(void)
{
    static const char answer[] =
      "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"
      "<Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>a/b+c=</SecretAccessKey>"
      "<SessionToken>tok&#43;en==</SessionToken><Expiration>2015-08-30T13:36:00Z</Expiration>"
      "</Credentials></AssumeRoleResult></AssumeRoleResponse>";
    const AWS_ROLE role = {ROLE, "7f3c:/x", "wtkms-a"};
    AWS_CREDENTIALS c = {.secret_access_key = NULL};
    HTTP_REPLY reply = reply_of(200, answer);
    SECRET *body, *token;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(aws_sts_request(&role, NULL, &body, &s), 0);
    CU_ASSERT_TRUE(holds(body,
      "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A111122223333%3Arole%2Fdb"
      "%2Fmongod&RoleSessionName=wtkms-a&DurationSeconds=3600&ExternalId=7f3c%3A%2Fx"));
    secret_free(body);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy("a.b&c", 5, &token, &s), 0);
    CU_ASSERT_EQUAL_FATAL(aws_sts_request(&role, token, &body, &s), 0);
    CU_ASSERT_TRUE(holds(body, "Action=AssumeRoleWithWebIdentity&"));
    CU_ASSERT_TRUE(holds(body, "&WebIdentityToken=a.b%26c"));
    CU_ASSERT_FALSE(holds(body, "ExternalId"));
    secret_free(body);
    secret_free(token);
    CU_ASSERT_EQUAL_FATAL(aws_sts_reply(&reply, 1440938160, &c, &s), 0);
    CU_ASSERT_STRING_EQUAL(c.access_key_id, "ASIA");
    CU_ASSERT_TRUE(memcmp(secret_bytes(c.session_token), "tok+en==", 8) == 0);
    CU_ASSERT_TRUE(aws_credentials_fresh(&c));
    reply = reply_of(200, "<AssumeRoleResponse><AccessKeyId>A</AccessKeyId></AssumeRoleResponse>");
    CHECK_STATUS(aws_sts_reply(&reply, 0, &c, &s), &s, STATUS_BAD_REPLY, "STS");
    aws_credentials_clear(&c);
}

static void
container_urls(void)
{
    static const char *const bad[] = {"http://example.org/x", "https://169.254.170.2.evil.org/x",
      "http://169.254.170.2@evil.org/", "ftp://127.0.0.1/", "http://[::1/", "http://127.0.0.1/a b",
      "//127.0.0.1/"};
    char url[256];
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL(aws_container_url("/v2/c", NULL, url, sizeof(url), &s), 0);
    CU_ASSERT_STRING_EQUAL(url, "http://169.254.170.2/v2/c");
    CHECK_STATUS(aws_container_url("@evil.org/", NULL, url, sizeof(url), &s), &s, STATUS_CONFIG,
      "RELATIVE_URI");
    CHECK_STATUS(
      aws_container_url("x", NULL, url, sizeof(url), &s), &s, STATUS_CONFIG, "begin with");
    CU_ASSERT_EQUAL(
      aws_container_url(NULL, "http://169.254.170.23/v1/credentials", url, sizeof(url), &s), 0);
    CU_ASSERT_EQUAL(aws_container_url(NULL, "http://[fd00:ec2::23]/v1", url, sizeof(url), &s), 0);
    CU_ASSERT_EQUAL(aws_container_url(NULL, "http://localhost:99/v1", url, sizeof(url), &s), 0);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_STATUS(
          aws_container_url(NULL, bad[i], url, sizeof(url), &s), &s, STATUS_CONFIG, "FULL_URI");
}

const TEST aws_tests[] = {{"regions", regions}, {"grammar", grammar}, {"matching", matching},
  {"session_names", session_names}, {"options", options}, {"requests", requests},
  {"encrypted", encrypted}, {"decrypted", decrypted}, {"described", described}, {"errors", errors},
  {"times", times}, {"credentials_json", credentials_json}, {"sts", sts},
  {"container_urls", container_urls}, {NULL, NULL}};
