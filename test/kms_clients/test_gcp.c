/*
 * test/kms_clients/test_gcp.c -- Google Cloud KMS: names, requests, answers, errors, credentials.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/gcp_identity.h"
#include "kms_clients/gcp_key.h"
#include "kms_clients/gcp_reply.h"
#include "kms_clients/gcp_token.h"
#include "test/fail_alloc.h"
#include "test/vectors/jwt-keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY "projects/p-1/locations/europe-west1/keyRings/Ring_1/cryptoKeys/key-1"
#define VERSION KEY "/cryptoKeyVersions/7"

static SECRET *
secret_of(const char *text)
{
    STATUS s;
    SECRET *secret;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy(text, strlen(text), &secret, &s), 0);
    return (secret);
}

static bool
text_is(const SECRET *secret, const char *text)
{
    return (
      secret_len(secret) == strlen(text) && memcmp(secret_bytes(secret), text, strlen(text)) == 0);
}

static HTTP_REPLY
reply_of(int code, const char *body)
{
    return ((HTTP_REPLY){code, (const uint8_t *)body, strlen(body),
      "HTTP/1.1 200 OK\r\nDate: Fri, 02 Oct 2026 15:00:00 GMT\r\n\r\n"});
}

static void
test_names(void)
{
    static const char *const good[] = {KEY,
      "projects/example.com:p/locations/global/keyRings/r/cryptoKeys/k",
      "projects/1234567890/locations/us/keyRings/0/cryptoKeys/_"};
    static const char *const bad[] = {"", "projects/", VERSION "/", VERSION "x",
      KEY "/cryptoKeyVersions/", KEY "/cryptoKeyVersions/0", KEY "/cryptoKeyVersions/1/../2",
      KEY "/", KEY "?x", KEY "#", KEY "%2e", "/" KEY, "https://cloudkms.googleapis.com/v1/" KEY,
      "projects/../locations/l/keyRings/r/cryptoKeys/k",
      "projects/p..q/locations/l/keyRings/r/cryptoKeys/k",
      "projects/P/locations/l/keyRings/r/cryptoKeys/k",
      "projects/p/locations/l/keyRings/r.r/cryptoKeys/k",
      "projects/p@evil.net/locations/l/keyRings/r/cryptoKeys/k",
      "projects/p/locations/l/keyRings/r/cryptoKeys/k:decrypt",
      "projects/p/locations/l/keyRings/r/cryptoKeys/k\n",
      "projects/p/locations/l/keyRings/r/cryptoKeys/"
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(gcp_key_check(good[i], false, &s), 0);
        CU_ASSERT_EQUAL(gcp_key_check(good[i], true, &s), STATUS_CORRUPT);
    }
    CU_ASSERT_EQUAL(gcp_key_check(VERSION, true, &s), 0);
    CHECK_STATUS(gcp_key_check(VERSION, false, &s), &s, STATUS_CORRUPT, "is not projects/P");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(gcp_key_check(bad[i], false, &s), STATUS_CORRUPT);
        CU_ASSERT_EQUAL(gcp_key_check(bad[i], true, &s), STATUS_CORRUPT);
    }
    CU_ASSERT_STRING_EQUAL(gcp_key_version(VERSION), "7");
    CU_ASSERT_EQUAL(kms_client_key_id_check("gcp", VERSION, &s), 0);
    CU_ASSERT_EQUAL(kms_client_key_id_check("gcp", KEY, &s), STATUS_CORRUPT);
}

static void
test_covers(void)
{
    static const char rest[] = "/locations/europe-west1/keyRings/Ring_1/cryptoKeys/key-1";
    char name[300];

    CU_ASSERT_TRUE(gcp_key_covers(KEY, VERSION));
    CU_ASSERT_TRUE(gcp_key_covers(KEY, KEY));
    CU_ASSERT_FALSE(gcp_key_covers(KEY, KEY "0/cryptoKeyVersions/7"));
    CU_ASSERT_FALSE(gcp_key_covers(KEY "0", VERSION));
    CU_ASSERT_FALSE(gcp_key_covers("projects/p-2/locations/l/keyRings/r/cryptoKeys/k",
      "projects/p-1/locations/l/keyRings/r/cryptoKeys/k"));
    (void)snprintf(name, sizeof(name), "projects/123%s", rest);
    CU_ASSERT_TRUE(gcp_key_covers(KEY, name));
    CU_ASSERT_TRUE(gcp_key_covers(name, VERSION));
    CU_ASSERT_FALSE(gcp_key_covers(name, "projects/124/locations/europe-west1/keyRings/Ring_1/"
                                         "cryptoKeys/key-1/cryptoKeyVersions/1"));
    CU_ASSERT_FALSE(gcp_key_covers(name, "projects/p/locations/europe-west2/keyRings/Ring_1/"
                                         "cryptoKeys/key-1/cryptoKeyVersions/1"));
}

/* The checksums were computed with google-crc32c; that of 123456789 is the one of RFC 3720. */
static void
test_requests(void)
{
    SECRET *plaintext = secret_of("123456789"), *body;
    char aad[GCP_AAD_SIZE], scope[GCP_AAD_SIZE + 1];
    KMS_CONTEXT context = context_one;
    STATUS s;

    CU_ASSERT_EQUAL(gcp_reply_aad(&context_one, aad, &s), 0);
    CU_ASSERT_STRING_EQUAL(aad,
      "wtkms/1 keystore=0102030405060708090a0b0c0d0e0f10 master-key=1122334455667788 "
      "scope=default");
    memset(scope, 'x', GCP_AAD_SIZE);
    scope[GCP_AAD_SIZE] = '\0';
    context.scope = scope;
    CU_ASSERT_EQUAL(gcp_reply_aad(&context, aad, &s), STATUS_INTERNAL);
    CU_ASSERT_EQUAL_FATAL(gcp_reply_encrypt_body(plaintext, "a", &body, &s), 0);
    CU_ASSERT_TRUE(
      text_is(body, "{\"plaintext\":\"MTIzNDU2Nzg5\",\"plaintextCrc32c\":\"3808858755\","
                    "\"additionalAuthenticatedData\":\"YQ==\","
                    "\"additionalAuthenticatedDataCrc32c\":\"3251651376\"}"));
    secret_free(body);
    CU_ASSERT_EQUAL_FATAL(
      gcp_reply_decrypt_body((const uint8_t *)"123456789", 9, "a", &body, &s), 0);
    CU_ASSERT_TRUE(
      text_is(body, "{\"ciphertext\":\"MTIzNDU2Nzg5\",\"ciphertextCrc32c\":\"3808858755\","
                    "\"additionalAuthenticatedData\":\"YQ==\","
                    "\"additionalAuthenticatedDataCrc32c\":\"3251651376\"}"));
    secret_free(body);
    secret_free(plaintext);
}

#define CIPHERTEXT "\"ciphertext\":\"MTIzNDU2Nzg5\""
#define CRC "\"ciphertextCrc32c\":\"3808858755\""
#define VERIFIED "\"verifiedPlaintextCrc32c\":true"
#define VERIFIED_AAD "\"verifiedAdditionalAuthenticatedDataCrc32c\":true"
#define NAME "\"name\":\"" VERSION "\""

static void
test_encrypt_answers(void)
{
    static const struct {
        const char *text;
        const char *id;
    } bad[] = {{"", "kms-bad-json"}, {"{}", "kms-bad-reply"}, {"[]", "kms-bad-json"},
      {"{" CIPHERTEXT "," CRC "," VERIFIED "," VERIFIED_AAD "}", "kms-bad-reply"},
      {"{\"name\":\"" KEY "\"," CIPHERTEXT "," CRC "," VERIFIED "," VERIFIED_AAD "}",
        "kms-bad-reply"},
      {"{\"name\":\"projects/q/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/"
       "1\"," CIPHERTEXT "," CRC "," VERIFIED "," VERIFIED_AAD "}",
        "kms-bad-reply"},
      {"{" NAME "," CIPHERTEXT "," CRC "," VERIFIED_AAD "}", "kms-checksum"},
      {"{" NAME "," CIPHERTEXT "," CRC "," VERIFIED "}", "kms-checksum"},
      {"{" NAME "," CIPHERTEXT "," CRC ",\"verifiedPlaintextCrc32c\":\"true\"," VERIFIED_AAD "}",
        "kms-checksum"},
      {"{" NAME "," CIPHERTEXT "," VERIFIED "," VERIFIED_AAD "}", "kms-bad-reply"},
      {"{" NAME "," CIPHERTEXT ",\"ciphertextCrc32c\":\"3808858756\"," VERIFIED "," VERIFIED_AAD
       "}",
        "kms-checksum"},
      {"{" NAME "," CIPHERTEXT ",\"ciphertextCrc32c\":\"-1\"," VERIFIED "," VERIFIED_AAD "}",
        "kms-bad-reply"},
      {"{" NAME "," CIPHERTEXT ",\"ciphertextCrc32c\":\"8103826051\"," VERIFIED "," VERIFIED_AAD
       "}",
        "kms-checksum"},
      {"{" NAME "," CRC "," VERIFIED "," VERIFIED_AAD "}", "kms-bad-reply"},
      {"{" NAME ",\"ciphertext\":\"\",\"ciphertextCrc32c\":\"0\"," VERIFIED "," VERIFIED_AAD "}",
        "kms-bad-reply"},
      {"{" NAME ",\"ciphertext\":\"MTIz*DU2\"," CRC "," VERIFIED "," VERIFIED_AAD "}",
        "kms-bad-reply"}};
    static const char good[] = "{" NAME "," CIPHERTEXT "," CRC "," VERIFIED "," VERIFIED_AAD
                               ",\"protectionLevel\":\"HSM\",\"new\":{}}";
    KMS_WRAPPED w = {NULL, NULL, NULL, 0};
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(gcp_reply_encrypt(good, strlen(good), KEY, &w, &s), 0);
    CU_ASSERT_STRING_EQUAL(w.key_id, VERSION);
    CU_ASSERT(w.wrapped_len == 9 && memcmp(w.wrapped, "123456789", 9) == 0);
    kms_wrapped_release(&w);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(
          gcp_reply_encrypt(bad[i].text, strlen(bad[i].text), KEY, &w, &s), STATUS_BAD_REPLY);
        CU_ASSERT_STRING_EQUAL(s.id, bad[i].id);
        kms_wrapped_release(&w);
    }
}

static void
test_decrypt_answers(void)
{
    static const char *const good[] = {
      "{\"plaintext\":\"MTIzNDU2Nzg5\",\"plaintextCrc32c\":\"3808858755\",\"usedPrimary\":true}",
      "{\"plaintext\":\"MTIzNDU2Nzg5\",\"plaintextCrc32c\":3808858755}"};
    static const char *const bad[] = {"{}", "{\"plaintextCrc32c\":\"0\"}",
      "{\"plaintext\":\"MTIzNDU2Nzg5\"}",
      "{\"plaintext\":\"MTIz\",\"plaintextCrc32c\":\"3808858755\"}",
      "{\"plaintext\":\"MTIzNDU2Nzg5\",\"plaintextCrc32c\":\"03808858755\"}",
      "{\"plaintext\":\"?\",\"plaintextCrc32c\":\"0\"}", "<html>403</html>"};
    SECRET *plaintext;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(gcp_reply_decrypt(good[i], strlen(good[i]), &plaintext, &s), 0);
        CU_ASSERT_TRUE(text_is(plaintext, "123456789"));
        secret_free(plaintext);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(
          gcp_reply_decrypt(bad[i], strlen(bad[i]), &plaintext, &s), STATUS_BAD_REPLY);
        CU_ASSERT_PTR_NULL(plaintext);
        CU_ASSERT_PTR_NULL(strstr(s.message, "MTIz"));
    }
}

static void
test_states(void)
{
    static const struct {
        const char *fields;
        KMS_KEY_STATE state;
        const char *detail;
    } states[] = {{"\"state\":\"ENABLED\",\"protectionLevel\":\"HSM\"", KMS_KEY_ENABLED,
                    "enabled, protection level HSM"},
      {"\"state\":\"DISABLED\"", KMS_KEY_DISABLED, "disabled"},
      {"\"state\":\"DESTROY_SCHEDULED\",\"destroyTime\":\"2026-12-01T10:00:00Z\"",
        KMS_KEY_PENDING_DELETION, "scheduled for destruction on 2026-12-01"},
      {"\"state\":\"DESTROYED\",\"destroyEventTime\":\"2026-12-02T10:00:00Z\"", KMS_KEY_DISABLED,
        "destroyed on 2026-12-02"},
      {"\"state\":\"PENDING_GENERATION\"", KMS_KEY_UNKNOWN, "PENDING_GENERATION"},
      {"\"state\":3", KMS_KEY_UNKNOWN, "no state"}};
    KMS_KEY_INFO info;
    char text[1000];
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        (void)snprintf(text, sizeof(text), "{" NAME ",%s}", states[i].fields);
        CU_ASSERT_EQUAL(gcp_reply_version(text, strlen(text), KEY, &info, &s), 0);
        CU_ASSERT_EQUAL(info.state, states[i].state);
        CU_ASSERT_STRING_EQUAL(info.detail, states[i].detail);
        CU_ASSERT_STRING_EQUAL(info.key_id, VERSION);
        (void)snprintf(
          text, sizeof(text), "{\"name\":\"" KEY "\",\"primary\":{" NAME ",%s}}", states[i].fields);
        CU_ASSERT_EQUAL(gcp_reply_key(text, strlen(text), KEY, &info, &s), 0);
        CU_ASSERT_EQUAL(info.state, states[i].state);
        CU_ASSERT_STRING_EQUAL(info.key_id, VERSION);
    }
    (void)snprintf(text, sizeof(text), "{\"name\":\"" KEY "\"}");
    CU_ASSERT_EQUAL(gcp_reply_key(text, strlen(text), KEY, &info, &s), 0);
    CU_ASSERT_EQUAL(info.state, KMS_KEY_DISABLED);
    CHECK_STATUS(gcp_reply_key(text, strlen(text), KEY "2", &info, &s), &s, STATUS_BAD_REPLY,
      "not about this key");
    CHECK_STATUS(gcp_reply_version("{}", 2, KEY, &info, &s), &s, STATUS_BAD_REPLY, "does not name");
}

#define ERROR(status, more) "{\"error\":{\"code\":0,\"status\":\"" status "\"" more "}}"
#define SAYS(text) ",\"message\":\"" text "\""
#define VIOLATION(type)                                                 \
    ",\"details\":[{\"@type\":\"x\"},{\"@type\":\"type.googleapis.com/" \
    "google.rpc.PreconditionFailure\","                                 \
    "\"violations\":[{\"type\":\"" type "\",\"subject\":\"s\"}]}]"

static void
test_errors(void)
{
    static const struct {
        GCP_METHOD method;
        int code;
        const char *body;
        STATUS_CLASS status_class;
        const char *hint;
    } errors[] = {{GCP_DECRYPT, 400, ERROR("FAILED_PRECONDITION", VIOLATION("KEY_DISABLED")),
                    STATUS_DISABLED, "enable"},
      {GCP_DECRYPT, 400, ERROR("FAILED_PRECONDITION", VIOLATION("KEY_DESTROYED")), STATUS_DISABLED,
        ""},
      {GCP_ENCRYPT, 400,
        ERROR("FAILED_PRECONDITION", SAYS(VERSION " is not enabled, current state is: DISABLED.")),
        STATUS_DISABLED, ""},
      {GCP_ENCRYPT, 400,
        ERROR(
          "FAILED_PRECONDITION", SAYS("x is not enabled, current state is: PENDING_GENERATION.")),
        STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 400, ERROR("FAILED_PRECONDITION", SAYS("The API has not been used")),
        STATUS_UNAVAILABLE, "not ready"},
      {GCP_DECRYPT, 404, ERROR("NOT_FOUND", SAYS("CryptoKey k not found.")), STATUS_NOT_FOUND, ""},
      {GCP_DECRYPT, 404, ERROR("NOT_FOUND", SAYS("Method not found.")), STATUS_BAD_REPLY,
        "endpoint"},
      {GCP_DECRYPT, 404, ERROR("NOT_FOUND", ""), STATUS_BAD_REPLY, ""},
      {GCP_DECRYPT, 404, "<html>not found</html>", STATUS_BAD_REPLY, ""},
      {GCP_DECRYPT, 404, "{\"error\":\"not_found\"}", STATUS_BAD_REPLY, ""},
      {GCP_DECRYPT, 403, ERROR("PERMISSION_DENIED", ""), STATUS_DENIED, "useToDecrypt"},
      {GCP_ENCRYPT, 403, ERROR("PERMISSION_DENIED", ""), STATUS_DENIED, "useToEncrypt"},
      {GCP_GET, 403, ERROR("PERMISSION_DENIED", ",\"details\":[{\"reason\":\"SERVICE_DISABLED\"}]"),
        STATUS_DENIED, "gcloud services enable"},
      {GCP_GET, 403,
        ERROR(
          "PERMISSION_DENIED", ",\"details\":[{\"reason\":\"ACCESS_TOKEN_SCOPE_INSUFFICIENT\"}]"),
        STATUS_DENIED, "scope"},
      {GCP_GET, 403, "<html>proxy</html>", STATUS_BAD_REPLY, ""},
      {GCP_GET, 401, ERROR("UNAUTHENTICATED", ""), STATUS_UNAUTHENTICATED, "clock"},
      {GCP_DECRYPT, 400, ERROR("INVALID_ARGUMENT", SAYS("Decryption failed")), STATUS_CORRUPT, ""},
      {GCP_ENCRYPT, 400, ERROR("INVALID_ARGUMENT", ""), STATUS_CONFIG, "ENCRYPT_DECRYPT"},
      {GCP_DECRYPT, 400,
        ERROR("INVALID_ARGUMENT", SAYS("The checksum in field ciphertext_crc32c did not match")),
        STATUS_BAD_REPLY, ""},
      {GCP_DECRYPT, 429, ERROR("RESOURCE_EXHAUSTED", ""), STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 503, ERROR("UNAVAILABLE", ""), STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 500, ERROR("INTERNAL", ""), STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 504, ERROR("DEADLINE_EXCEEDED", ""), STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 502, "<html>bad gateway</html>", STATUS_UNAVAILABLE, ""},
      {GCP_DECRYPT, 400, ERROR("OUT_OF_RANGE", ""), STATUS_BAD_REPLY, ""},
      {GCP_DECRYPT, 302, "", STATUS_BAD_REPLY, ""}};
    HTTP_REPLY reply;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        reply = reply_of(errors[i].code, errors[i].body);
        status_clear(&s);
        CU_ASSERT_EQUAL(gcp_reply_error(errors[i].method, &reply, &s), (int)errors[i].status_class);
        CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, errors[i].hint));
    }
}

static void
test_hosts(void)
{
    static const char *const good[] = {"https://sts.googleapis.com/v1/token",
      "https://sts.europe-west1.rep.googleapis.com/v1/token", "https://sts.mtls.googleapis.com/",
      "https://sts-endpoint.p.googleapis.com/v1/token", "https://STS.googleapis.com",
      "http://127.0.0.1:8080/token", "https://localhost/x"};
    static const char *const bad[] = {"http://sts.googleapis.com/",
      "https://sts.googleapis.com.evil.net/", "https://evil.net/sts.googleapis.com",
      "https://sts.storage.googleapis.com/", "https://sts-evil.storage.googleapis.com/",
      "https://bucket.storage.googleapis.com/", "https://googleapis.com/",
      "https://xsts.googleapis.com/", "https://stsx.googleapis.com/",
      "https://sts.googleapis.com@evil.net/", "https://evil.net/?.googleapis.com",
      "https://sts.a.b.rep.googleapis.com/", "https://oauth2.googleapis.com/",
      "https://accounts.google.com/", "https://127.evil.net/", "http://127.0.0.1.evil.net/",
      "ftp://sts.googleapis.com/", ""};
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_EQUAL(gcp_identity_host(good[i], "sts", GCP_UNIVERSE, &s), 0);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(gcp_identity_host(bad[i], "sts", GCP_UNIVERSE, &s), STATUS_CONFIG);
    CU_ASSERT_EQUAL(
      gcp_identity_host("https://accounts.google.com/o/oauth2/token", "oauth2", GCP_UNIVERSE, &s),
      0);
    CU_ASSERT_EQUAL(
      gcp_identity_host("https://oauth2.example.org/", "oauth2", "example.org", &s), 0);
    CU_ASSERT_EQUAL(
      gcp_identity_host("https://oauth2.googleapis.com/", "oauth2", "example.org", &s),
      STATUS_CONFIG);
}

static int
parse_identity(const char *text, GCP_IDENTITY **identityp, STATUS *s)
{
    SECRET *file = secret_of(text);
    bool is_secret;
    int ret = gcp_identity_parse(file, GCP_UNIVERSE, &is_secret, identityp, s);

    secret_free(file);
    return (ret);
}

#define EXTERNAL                                                                              \
    "\"type\":\"external_account\",\"audience\":\"//iam/pool&x\",\"subject_token_type\":"     \
    "\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"https://sts.googleapis.com/v1/" \
    "token\""
#define IMPERSONATE(host, mail)                                                             \
    ",\"service_account_impersonation_url\":\"" host "/v1/projects/-/serviceAccounts/" mail \
    ":generateAccessToken\""
#define SOURCE ",\"credential_source\":{\"file\":\"/var/run/token\"}"

static void
test_identities(void)
{
    static const char *const bad[] = {" ", "[]", "{}", "{\"type\":\"service_account\"}",
      "{\"type\":\"authorized_user\"}", "{" EXTERNAL "}",
      "{" EXTERNAL ",\"credential_source\":{\"url\":\"http://169.254.169.254/\"}}",
      "{" EXTERNAL ",\"credential_source\":{\"executable\":{\"command\":\"/bin/sh\"}}}",
      "{" EXTERNAL ",\"credential_source\":{\"file\":\"relative\"}}",
      "{" EXTERNAL ",\"universe_domain\":\"example.org\"" SOURCE "}",
      "{" EXTERNAL IMPERSONATE("https://evil.net", "a@b") SOURCE "}",
      "{" EXTERNAL IMPERSONATE("https://iamcredentials.googleapis.com", "a/../b") SOURCE "}",
      "{" EXTERNAL IMPERSONATE("https://iamcredentials.googleapis.com/x", "a@b") SOURCE "}",
      "{" EXTERNAL ",\"credential_source\":{\"file\":\"/f\",\"format\":{\"type\":\"json\"}}}",
      "{" EXTERNAL ",\"credential_source\":{\"file\":\"/f\",\"format\":{\"type\":\"xml\"}}}",
      "{\"type\":\"service_account\",\"client_email\":\"a@b\",\"private_key\":\"none\",\"token_"
      "uri\":"
      "\"https://oauth2.googleapis.com/token\"}"};
    GCP_IDENTITY *identity;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(parse_identity(bad[i], &identity, &s), STATUS_CONFIG);
        CU_ASSERT_PTR_NULL(identity);
    }
    CU_ASSERT_EQUAL_FATAL(
      parse_identity("{" EXTERNAL IMPERSONATE("https://iamcredentials.googleapis.com",
                       "a@b.iam.gserviceaccount.com") SOURCE "}",
        &identity, &s),
      0);
    CU_ASSERT_EQUAL(identity->kind, GCP_EXTERNAL_ACCOUNT);
    CU_ASSERT_STRING_EQUAL(identity->impersonate, "a@b.iam.gserviceaccount.com");
    CU_ASSERT_STRING_EQUAL(identity->impersonate_host, "https://iamcredentials.googleapis.com");
    CU_ASSERT_STRING_EQUAL(identity->subject_file, "/var/run/token");
    gcp_identity_free(identity);
}

static void
test_exchange(void)
{
    SECRET *subject, *body, *file = secret_of(" \n a.b-c+/= \r\n");
    GCP_IDENTITY *identity;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(parse_identity("{" EXTERNAL SOURCE "}", &identity, &s), 0);
    CU_ASSERT_EQUAL_FATAL(gcp_token_subject(file, NULL, &subject, &s), 0);
    secret_free(file);
    CU_ASSERT_EQUAL_FATAL(gcp_token_exchange_body(identity, subject, "https://s", &body, &s), 0);
    CU_ASSERT_TRUE(text_is(body,
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&requested_token_type="
      "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&audience=%2F%2Fiam%2Fpool%26x&scope="
      "https%3A%2F%2Fs&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt&"
      "subject_token=a.b-c%2B%2F%3D"));
    secret_free(body);
    secret_free(subject);
    file = secret_of("{\"id_token\":\"abc\",\"n\":1,\"e\":\"\"}");
    CU_ASSERT_EQUAL_FATAL(gcp_token_subject(file, "id_token", &subject, &s), 0);
    CU_ASSERT_STRING_EQUAL((const char *)secret_bytes(subject), "abc");
    secret_free(subject);
    CU_ASSERT_EQUAL(gcp_token_subject(file, "n", &subject, &s), STATUS_UNAUTHENTICATED);
    CU_ASSERT_EQUAL(gcp_token_subject(file, "e", &subject, &s), STATUS_UNAUTHENTICATED);
    secret_free(file);
    file = secret_of("two words");
    CU_ASSERT_EQUAL(gcp_token_subject(file, NULL, &subject, &s), STATUS_UNAUTHENTICATED);
    CU_ASSERT_PTR_NULL(subject);
    secret_free(file);
    gcp_identity_free(identity);
}

static void
test_token_answers(void)
{
    static const struct {
        int code;
        const char *body;
        STATUS_CLASS status_class;
    } bad[] = {{200, "{}", STATUS_BAD_REPLY}, {200, "{\"access_token\":\"\"}", STATUS_BAD_REPLY},
      {200, "{\"access_token\":\"a\",\"expires_in\":0}", STATUS_BAD_REPLY},
      {200, "{\"access_token\":\"a\",\"expires_in\":\"soon\"}", STATUS_BAD_REPLY},
      {400, "{\"error\":\"invalid_grant\",\"error_description\":\"d\"}", STATUS_UNAUTHENTICATED},
      {401, "{\"error\":\"invalid_client\"}", STATUS_UNAUTHENTICATED},
      {500, "{\"error\":\"internal_failure\"}", STATUS_UNAVAILABLE},
      {404, ERROR("NOT_FOUND", SAYS("Gaia id not found")), STATUS_UNAUTHENTICATED},
      {403, ERROR("PERMISSION_DENIED", ""), STATUS_DENIED},
      {503, ERROR("UNAVAILABLE", ""), STATUS_UNAVAILABLE}, {403, "<html>", STATUS_BAD_REPLY},
      {302, "", STATUS_BAD_REPLY}};
    TOKEN token = {NULL, 0, 0};
    HTTP_REPLY reply;
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = reply_of(bad[i].code, bad[i].body);
        CU_ASSERT_EQUAL(gcp_token_reply(&reply, &token, &s), (int)bad[i].status_class);
        CU_ASSERT_PTR_NULL(token.value);
    }
    reply =
      reply_of(200, "{\"access_token\":\"ya29.x\",\"expires_in\":3599,\"token_type\":\"Bearer\"}");
    CU_ASSERT_EQUAL_FATAL(gcp_token_reply(&reply, &token, &s), 0);
    CU_ASSERT_TRUE(text_is(token.value, "ya29.x"));
    CU_ASSERT(clock_left(token.expires_at) > 3590000 && clock_left(token.expires_at) <= 3599000);
    /* By the server's clock: it says 15:00 on 2026-10-02. */
    reply = reply_of(200, "{\"accessToken\":\"t\",\"expireTime\":\"2026-10-02T15:10:00.5Z\"}");
    CU_ASSERT_EQUAL_FATAL(gcp_token_impersonate_reply(&reply, &token, &s), 0);
    CU_ASSERT(clock_left(token.expires_at) > 590000 && clock_left(token.expires_at) <= 600000);
    token_clear(&token);
    reply = reply_of(200, "{\"accessToken\":\"t\",\"expireTime\":\"2026-10-02T14:59:00Z\"}");
    CU_ASSERT_EQUAL(gcp_token_impersonate_reply(&reply, &token, &s), STATUS_BAD_REPLY);
    reply = reply_of(200, "{\"accessToken\":\"t\"}");
    CU_ASSERT_EQUAL(gcp_token_impersonate_reply(&reply, &token, &s), STATUS_BAD_REPLY);
    CU_ASSERT_PTR_NULL(token.value);
}

static void
test_times(void)
{
    static const char *const bad[] = {"", "2026-10-02", "2026-10-02T15:01:23",
      "2026-13-02T15:01:23Z", "2026-10-02T15:01:23+02:00", "2026-10-02T15:01:23Zx",
      "026-10-02T15:01:23Z"};
    int64_t seconds;
    size_t i;

    CU_ASSERT_TRUE(gcp_token_time("2014-10-02T15:01:23.045123456Z", &seconds));
    CU_ASSERT_EQUAL(seconds, 1412262083);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(gcp_token_time(bad[i], &seconds));
}

/* RS256 is deterministic; what is signed is looked at. */
static void
test_assertion(void)
{
    static const char start[] =
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
      "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6ImtleS0xIn0."
      "eyJpc3MiOiJhQGIiLCJzY29wZSI6InMiLCJhdWQiOiJodHRwczovL29hdXRoMi5nb29nbGVhcGlzLmNvbS90b2tlbiIs"
      "Imlh"
      "dCI6MTAwMCwiZXhwIjo0NjAwfQ.";
    GCP_IDENTITY identity;
    SECRET *body;
    STATUS s;
    char email[] = "a@b", key_id[] = "key-1", url[] = "https://oauth2.googleapis.com/token";

    memset(&identity, 0, sizeof(identity));
    identity.kind = GCP_SERVICE_ACCOUNT;
    identity.email = email;
    identity.key_id = key_id;
    identity.token_url = url;
    identity.private_key = secret_of(JWT_KEY_PEM);
    CU_ASSERT_EQUAL_FATAL(gcp_token_assertion_body(&identity, "s", 1000, &body, &s), 0);
    CU_ASSERT_EQUAL(secret_len(body), sizeof(start) - 1 + 342);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(body), start, sizeof(start) - 1), 0);
    secret_free(body);
    secret_free(identity.private_key);
}

static bool
open_without_memory(bool *failedp, void *context)
{
    KMS_CLIENT *client = NULL;
    STATUS s;
    int ret = kms_client_open(context, NULL, &client, &s);

    *failedp = fail_alloc_done();
    kms_client_close(client);
    /* http_url_host does not tell want of memory in libcurl's parser apart from a bad URL. */
    if (*failedp && ret == STATUS_CONFIG && strcmp(s.id, "kms-endpoint") == 0)
        return (true);
    return (ret == (*failedp ? STATUS_NO_MEMORY : 0));
}

static void
test_no_memory(void)
{
    static const char file[] =
      "{" EXTERNAL IMPERSONATE("https://iamcredentials.googleapis.com", "a@b") SOURCE "}";
    CONFIG_NODE *entry;
    char yaml[5000];
    STATUS s;

    (void)snprintf(yaml, sizeof(yaml),
      "{provider: gcp, key: " KEY ", iamEndpoint: 'https://x', credentialsFile: %s}",
      key_file(file, strlen(file), 0644));
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(yaml, strlen(yaml), "c", &entry, &s), 0);
    fail_every_alloc(open_without_memory, entry, 10);
    config_free(entry);
}

/* HOME of another user, which this one may not look into, holds no credentials of his. */
static int
open_with_foreign_home(void *yaml)
{
    KMS_CLIENT *client;
    STATUS s;
    int ret = open_client(yaml, &client, &s);

    kms_client_close(client);
    return (ret);
}

static void
test_foreign_home(void)
{
    char yaml[] = "{provider: gcp, key: " KEY "}";
    char *was = getenv("HOME");
    const char *dir;
    int dirfd;

    if (!is_root("gcp_foreign_home"))
        return;
    dirfd = make_dir(&dir);
    CU_ASSERT_EQUAL(fchmod(dirfd, 0700), 0);
    (void)close(dirfd);
    was = was == NULL ? NULL : strdup(was);
    CU_ASSERT_EQUAL(setenv("HOME", dir, 1), 0);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, open_with_foreign_home, yaml), 0);
    CU_ASSERT_EQUAL(was == NULL ? unsetenv("HOME") : setenv("HOME", was, 1), 0);
    free(was);
}

const TEST gcp_tests[] = {{"names", test_names}, {"covers", test_covers},
  {"requests", test_requests}, {"encrypt_answers", test_encrypt_answers},
  {"decrypt_answers", test_decrypt_answers}, {"states", test_states}, {"errors", test_errors},
  {"hosts", test_hosts}, {"identities", test_identities}, {"exchange", test_exchange},
  {"token_answers", test_token_answers}, {"times", test_times}, {"assertion", test_assertion},
  {"no_memory", test_no_memory}, {"foreign_home", test_foreign_home}, {NULL, NULL}};
