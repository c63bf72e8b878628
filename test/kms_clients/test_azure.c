/*
 * test/kms_clients/test_azure.c -- What is asked of Azure and what its answers mean, without a server:
 * identifiers, bodies, envelopes, tokens. Bodies are those of the REST reference.
 */
#include "test/kms_clients/kms_tests.h"

#include "crypto/encode.h"
#include "kms_clients/azure_credentials.h"
#include "kms_clients/azure_form.h"
#include "kms_clients/azure_reply.h"
#include "kms_clients/json.h"
#include "test/vectors/jwt-keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "78deebed173b48e48f55abf87ed4cf71"
#define KEY "https://myvault.vault.azure.net/keys/sdktestkey"
#define KID KEY "/" VERSION

static HTTP_REPLY
reply_of(int code, const char *body)
{
    HTTP_REPLY reply = {
      .code = code, .body = (const uint8_t *)body, .body_len = strlen(body), .headers = ""};

    return (reply);
}

static AZURE_KEY
key_of(const char *url)
{
    AZURE_KEY key;

    CU_ASSERT_TRUE_FATAL(azure_key_parse(url, &key));
    return (key);
}

static bool
holds(const SECRET *secret, const char *text)
{
    return (secret != NULL && secret_len(secret) == strlen(text) &&
            memcmp(secret_bytes(secret), text, strlen(text)) == 0);
}

static void
identifiers(void)
{
    static const char *const bad[] = {"", "https://", "https:///keys/k", "ftp://v/keys/k",
      "https://v.vault.azure.net", "https://v.vault.azure.net/keys/",
      "https://v.vault.azure.net/secrets/k", "https://v.vault.azure.net/keys/k/",
      "https://v.vault.azure.net/keys/k/v/", "https://v.vault.azure.net/keys/k/v/wrapkey",
      "https://v.vault.azure.net//keys/k", "https://v.vault.azure.net/keys//v",
      "https://v.vault.azure.net/keys/k?x", "https://v.vault.azure.net/keys/k#x",
      "https://v.vault.azure.net/keys/k v", "https://v.vault.azure.net/keys/%6b",
      "https://v.vault.azure.net/keys/k_", "https://v.vault.azure.net/keys/../k",
      "https://u@v.vault.azure.net/keys/k", "https://u:p@v.vault.azure.net/keys/k",
      "https://v.vault.azure.net:0/keys/k", "https://v.vault.azure.net:/keys/k",
      "https://v.vault.azure.net:123456/keys/k", "https://v.vault.azure.net\\@e/keys/k",
      "https://.vault.azure.net/keys/k", "https://v..azure.net/keys/k", "https://v./keys/k",
      "https://-v.azure.net/keys/k", "https://v-.azure.net/keys/k", "https://[::1]/keys/k",
      "http://v.vault.azure.net/keys/k", "http://127.evil.example/keys/k",
      "http://localhost.evil.example/keys/k", "HTTPS://v.vault.azure.net/keys/k",
      "https://v.vault.azure.net/keys/k\n", "https://v\xc3\xa4.vault.azure.net/keys/k"};
    AZURE_KEY key, other;
    char text[600];
    size_t i;

    key = key_of(KID);
    CU_ASSERT_STRING_EQUAL(key.vault, "https://myvault.vault.azure.net");
    CU_ASSERT_STRING_EQUAL(key.host, "myvault.vault.azure.net");
    CU_ASSERT_STRING_EQUAL(key.name, "sdktestkey");
    CU_ASSERT_STRING_EQUAL(key.version, VERSION);
    other = key_of("https://MyVault.Vault.Azure.NET:443/keys/SDKTestKey");
    CU_ASSERT_STRING_EQUAL(other.version, "");
    CU_ASSERT_TRUE(azure_key_same(&key, &other));
    other = key_of("https://myvault.vault.azure.net:8443/keys/sdktestkey");
    CU_ASSERT_FALSE(azure_key_same(&key, &other));
    other = key_of("https://myvault.vault.azure.net/keys/sdktestkey2");
    CU_ASSERT_FALSE(azure_key_same(&key, &other));
    key = key_of("http://127.0.0.1:80/keys/k");
    CU_ASSERT_STRING_EQUAL(key.vault, "http://127.0.0.1");
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (azure_key_parse(bad[i], &key))
            CU_FAIL(bad[i]);
    /* Names have 127 characters, labels 63, versions 64. */
    (void)snprintf(text, sizeof(text), "https://v.vault.azure.net/keys/%0127d/%064d", 1, 1);
    CU_ASSERT_TRUE(azure_key_parse(text, &key));
    (void)snprintf(text, sizeof(text), "https://v.vault.azure.net/keys/%0128d", 1);
    CU_ASSERT_FALSE(azure_key_parse(text, &key));
    (void)snprintf(text, sizeof(text), "https://v.vault.azure.net/keys/k/%065d", 1);
    CU_ASSERT_FALSE(azure_key_parse(text, &key));
    (void)snprintf(text, sizeof(text), "https://%064d.vault.azure.net/keys/k", 1);
    CU_ASSERT_FALSE(azure_key_parse(text, &key));
}

static void
suffixes(void)
{
    CU_ASSERT_TRUE(azure_host_in_suffix("v.vault.azure.net", "vault.azure.net"));
    CU_ASSERT_TRUE(azure_host_in_suffix("localhost", "localhost"));
    CU_ASSERT_FALSE(azure_host_in_suffix("evilvault.azure.net", "vault.azure.net"));
    CU_ASSERT_FALSE(azure_host_in_suffix("a.b.vault.azure.net", "vault.azure.net"));
    CU_ASSERT_FALSE(azure_host_in_suffix("v.vault.azure.net.evil.example", "vault.azure.net"));
    CU_ASSERT_FALSE(azure_host_in_suffix("azure.net", "vault.azure.net"));
    CU_ASSERT_FALSE(azure_host_in_suffix(".vault.azure.net", "vault.azure.net"));
}

/* What a keystore may hold, by the provider's own check. */
static void
recorded(void)
{
    STATUS status;

    CU_ASSERT_EQUAL(kms_client_key_id_check("azure", KID, &status), 0);
    CU_ASSERT_EQUAL(kms_client_key_id_check("azure", KEY, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(kms_client_key_id_check("azure", KID "?x=1", &status), STATUS_CORRUPT);
    CU_ASSERT_STRING_EQUAL(status.id, "kms-bad-key-id");
}

static void
matching(void)
{
    STATUS status;
    KMS_CLIENT *client;
    const char *secret = key_file("secret", 6, 0600);
    char yaml[5000];

    (void)snprintf(yaml, sizeof(yaml),
      "{provider: azure, key: \"" KEY "\", tenantId: t, clientId: c, clientSecretFile: %s}",
      secret);
    CU_ASSERT_EQUAL_FATAL(open_client(yaml, &client, &status), 0);
    CU_ASSERT_STRING_EQUAL(kms_client_key(client), KEY);
    CU_ASSERT_TRUE(kms_client_matches(client, "azure", KID));
    CU_ASSERT_TRUE(kms_client_matches(client, "azure", KEY "/0123"));
    CU_ASSERT_FALSE(kms_client_matches(client, "aws", KID));
    CU_ASSERT_FALSE(
      kms_client_matches(client, "azure", "https://evil.vault.azure.net/keys/sdktestkey/" VERSION));
    CU_ASSERT_FALSE(
      kms_client_matches(client, "azure", "https://myvault.vault.azure.net/keys/other/" VERSION));
    CU_ASSERT_FALSE(kms_client_matches(client, "azure", "no identifier"));
    kms_client_close(client);
    (void)snprintf(yaml, sizeof(yaml),
      "{provider: azure, key: \"https://v.vault.azure.net.evil.example/keys/k\", tenantId: t, "
      "clientId: c, clientSecretFile: %s}",
      secret);
    CU_ASSERT_EQUAL(open_client(yaml, &client, &status), STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(status.id, "kms-azure-vault");
}

static void
requests(void)
{
    STATUS status;
    SECRET *body;

    CU_ASSERT_EQUAL_FATAL(
      azure_request_operation(AZURE_RSA_OAEP_256, "\xfb\xff\xfe\x01", 4, &body, &status), 0);
    CU_ASSERT_TRUE(holds(body, "{\"alg\":\"RSA-OAEP-256\",\"value\":\"-__-AQ\"}"));
    secret_free(body);
    CU_ASSERT_EQUAL_FATAL(azure_request_operation(AZURE_A256KW, "x", 1, &body, &status), 0);
    CU_ASSERT_TRUE(holds(body, "{\"alg\":\"A256KW\",\"value\":\"eA\"}"));
    secret_free(body);
}

static void
operations(void)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"kid\":\"" KID "\"}",
      "{\"kid\":\"" KID "\",\"value\":\"\"}", "{\"kid\":\"" KID "\",\"value\":\"=\"}",
      "{\"kid\":\"" KID "\",\"value\":\"a+b/\"}", "{\"kid\":\"" KID "\",\"value\":\"a b\"}",
      "{\"kid\":\"" KID "\",\"value\":\"aGVsbG\"}", "{\"kid\":\"" KEY "\",\"value\":\"aGVs\"}",
      "{\"kid\":\"" KID "0\",\"value\":\"aGVs\"}", "{\"kid\":1,\"value\":\"aGVs\"}",
      "{\"kid\":\"https://evil.vault.azure.net/keys/sdktestkey/" VERSION "\",\"value\":\"aGVs\"}",
      "{\"value\":\"aGVs\"}"};
    STATUS status;
    AZURE_KEY asked = key_of(KID);
    HTTP_REPLY reply = reply_of(200, "{\"kid\":\"" KID "\",\"value\":\"aGVsbG8\"}");
    SECRET *value;
    char kid[KMS_KEY_ID_MAX + 1];
    size_t i;

    CU_ASSERT_EQUAL_FATAL(azure_reply_operation(&reply, &asked, kid, &value, &status), 0);
    CU_ASSERT_STRING_EQUAL(kid, KID);
    CU_ASSERT_TRUE(holds(value, "hello"));
    secret_free(value);
    reply = reply_of(200, "{\"kid\":\"" KID "\",\"value\":\"-__-aA==\"}");
    CU_ASSERT_EQUAL_FATAL(azure_reply_operation(&reply, &asked, kid, &value, &status), 0);
    CU_ASSERT_TRUE(holds(value, "\xfb\xff\xfeh"));
    secret_free(value);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        reply = reply_of(200, bad[i]);
        CU_ASSERT_EQUAL(
          azure_reply_operation(&reply, &asked, kid, &value, &status), STATUS_BAD_REPLY);
        CU_ASSERT_PTR_NULL(value);
        CU_ASSERT_PTR_NULL(strstr(status.message, "aGVs"));
    }
}

#define BUNDLE(kty, ops, attributes)                                                              \
    "{\"key\":{\"kid\":\"" KID "\",\"kty\":\"" kty "\",\"key_ops\":" ops ",\"n\":\"AAAA\",\"e\":" \
    "\"AQAB\"},\"attributes\":{" attributes "},\"tags\":{\"purpose\":\"unit test\"}}"
#define BOTH "[\"encrypt\",\"wrapKey\",\"unwrapKey\"]"

static int
check(const char *body, AZURE_ALGORITHM algorithm, AZURE_BUNDLE *bundle, STATUS *status)
{
    AZURE_KEY asked = key_of(KEY);
    HTTP_REPLY reply = reply_of(200, body);

    CU_ASSERT_EQUAL_FATAL(azure_reply_bundle(&reply, &asked, bundle, status), 0);
    return (azure_check_wrap(bundle, algorithm, 1000, status));
}

static void
bundles(void)
{
    STATUS status;
    AZURE_BUNDLE bundle;
    AZURE_KEY asked;
    HTTP_REPLY reply;
    char detail[256];

    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true,\"created\":1"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      0);
    CU_ASSERT_STRING_EQUAL(bundle.kid, KID);
    CU_ASSERT_STRING_EQUAL(bundle.key.version, VERSION);
    azure_bundle_detail(&bundle, 1000, detail, sizeof(detail));
    CU_ASSERT_STRING_EQUAL(detail, "version " VERSION);
    CU_ASSERT_EQUAL(
      check(BUNDLE("RSA-HSM", BOTH, "\"enabled\":true"), AZURE_RSA_OAEP_256, &bundle, &status), 0);
    CU_ASSERT_EQUAL(
      check(BUNDLE("oct-HSM", BOTH, "\"enabled\":true"), AZURE_A256KW, &bundle, &status), 0);

    CU_ASSERT_EQUAL(
      check(BUNDLE("RSA", BOTH, "\"enabled\":false"), AZURE_RSA_OAEP_256, &bundle, &status),
      STATUS_DISABLED);
    azure_bundle_detail(&bundle, 1000, detail, sizeof(detail));
    CU_ASSERT_PTR_NOT_NULL(strstr(detail, "disabled"));
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true,\"nbf\":1001"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      STATUS_DISABLED);
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true,\"nbf\":1000"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      0);
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true,\"exp\":1000"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      STATUS_DISABLED);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "1970-01-01 00:16 UTC"));
    azure_bundle_detail(&bundle, 1000, detail, sizeof(detail));
    CU_ASSERT_PTR_NOT_NULL(strstr(detail, "expired 1970-01-01"));
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true,\"exp\":1001"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      0);
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", "[\"wrapKey\"]", "\"enabled\":true"), AZURE_RSA_OAEP_256,
                      &bundle, &status),
      STATUS_DENIED);
    CU_ASSERT_EQUAL(check(BUNDLE("RSA", BOTH, "\"enabled\":true"), AZURE_A256KW, &bundle, &status),
      STATUS_CONFIG);

    asked = key_of(KEY "/other");
    reply = reply_of(200, BUNDLE("RSA", BOTH, "\"enabled\":true"));
    CU_ASSERT_EQUAL(azure_reply_bundle(&reply, &asked, &bundle, &status), STATUS_BAD_REPLY);
    asked = key_of(KEY);
    reply = reply_of(200, BUNDLE("RSA", BOTH, "\"created\":1"));
    CU_ASSERT_EQUAL(azure_reply_bundle(&reply, &asked, &bundle, &status), STATUS_BAD_REPLY);
}

#define SAYS(code, message, inner) \
    "{\"error\":{\"code\":\"" code "\",\"message\":\"" message "\"" inner "}}"
#define INNER(code) ",\"innererror\":{\"code\":\"" code "\"}"

static void
errors(void)
{
    static const struct {
        int code;
        const char *body;
        bool unwrap;
        STATUS_CLASS status_class;
        const char *text;
    } table[] = {
      {403,
        SAYS("Forbidden", "Operation unwrapKey is not allowed on a disabled key.",
          INNER("KeyDisabled")),
        true, STATUS_DISABLED, "KeyDisabled"},
      {403, SAYS("Forbidden", "x", ",\"innerError\":{\"code\":\"KeyDisabled\"}"), true,
        STATUS_DISABLED, "KeyDisabled"},
      {403, SAYS("Forbidden", "x", INNER("KeyNotYetValid")), true, STATUS_DISABLED,
        "KeyNotYetValid"},
      {403, SAYS("Forbidden", "No.\\r\\nCaller: appid=1", INNER("ForbiddenByRbac")), true,
        STATUS_DENIED, "ForbiddenByRbac"},
      {403, SAYS("Forbidden", "x", INNER("AccessDenied")), false, STATUS_DENIED, "AccessDenied"},
      {403, SAYS("Forbidden", "x", ""), false, STATUS_DENIED, "Forbidden"},
      {403, SAYS("NewWord", "x", INNER("NewerWord")), false, STATUS_DENIED, "NewerWord"},
      {404, SAYS("KeyNotFound", "A key was not found", ""), true, STATUS_NOT_FOUND, "KeyNotFound"},
      {404, SAYS("VaultNotFound", "x", ""), true, STATUS_BAD_REPLY, "VaultNotFound"},
      {409, SAYS("Conflict", "x", INNER("ObjectIsDeletedButRecoverable")), false, STATUS_DISABLED,
        "ObjectIsDeletedButRecoverable"},
      {401, SAYS("Unauthorized", "AKV10022: Invalid audience", ""), false, STATUS_UNAUTHENTICATED,
        "AKV10022"},
      {400, SAYS("BadParameter", "value secretvalue is wrong", ""), true, STATUS_CORRUPT,
        "BadParameter"},
      {400, SAYS("BadParameter", "value secretvalue is wrong", ""), false, STATUS_BAD_REPLY,
        "BadParameter"},
      {429, SAYS("Throttled", "x", ""), true, STATUS_UNAVAILABLE, ""},
      {500, SAYS("InternalServerError", "x", ""), true, STATUS_UNAVAILABLE, ""},
      {503, SAYS("KeyNotFound", "a liar", ""), true, STATUS_UNAVAILABLE, ""},
      {403, "<html>secretvalue</html>", true, STATUS_BAD_REPLY, ""},
      {404, "", true, STATUS_BAD_REPLY, ""},
      {404, "{\"error\":\"KeyNotFound\"}", true, STATUS_BAD_REPLY, ""},
      {404, "{\"error\":{\"code\":\"Key Not Found\"}}", true, STATUS_BAD_REPLY, ""},
      {302, "", true, STATUS_BAD_REPLY, ""},
    };
    STATUS status;
    HTTP_REPLY reply;
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        reply = reply_of(table[i].code, table[i].body);
        status_clear(&status);
        CU_ASSERT_EQUAL(
          azure_reply_error(&reply, table[i].unwrap, &status), (int)table[i].status_class);
        CU_ASSERT_EQUAL(status.status_class, table[i].status_class);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, table[i].text));
        CU_ASSERT_PTR_NULL(strstr(status.message, "secretvalue"));
        CU_ASSERT_PTR_NULL(strstr(status.message, "appid"));
    }
}

static int
read_token(const char *body, SECRET **tokenp, int64_t *lifetimep)
{
    STATUS status;
    HTTP_REPLY reply = reply_of(200, body);

    return (azure_reply_token(&reply, 1000, tokenp, lifetimep, &status));
}

static void
tokens(void)
{
    static const char *const bad[] = {"", "{}", "{\"access_token\":\"\"}", "{\"access_token\":1}",
      "{\"access_token\":\"a b\"}", "{\"access_token\":\"a\\r\\nX: y\"}",
      "{\"access_token\":\"a\",\"token_type\":\"MAC\"}"};
    SECRET *token;
    int64_t lifetime;
    size_t i;

    /* Entra, the machine's service, App Service. */
    CU_ASSERT_EQUAL(read_token("{\"token_type\":\"Bearer\",\"expires_in\":3599,\"ext_expires_in\":"
                               "3599,\"access_token\":\"eyJ0.e30.x\"}",
                      &token, &lifetime),
      0);
    CU_ASSERT_TRUE(holds(token, "eyJ0.e30.x"));
    CU_ASSERT_EQUAL(lifetime, 3599);
    secret_free(token);
    CU_ASSERT_EQUAL(read_token("{\"access_token\":\"t\",\"expires_in\":\"3599\",\"expires_on\":"
                               "\"1506484173\",\"token_type\":\"Bearer\"}",
                      &token, &lifetime),
      0);
    CU_ASSERT_EQUAL(lifetime, 3599);
    secret_free(token);
    CU_ASSERT_EQUAL(read_token("{\"access_token\":\"t\",\"expires_on\":\"1600\",\"token_type\":"
                               "\"bearer\"}",
                      &token, &lifetime),
      0);
    CU_ASSERT_EQUAL(lifetime, 600);
    secret_free(token);
    CU_ASSERT_EQUAL(
      read_token("{\"access_token\":\"t\",\"expires_in\":\"x\"}", &token, &lifetime), 0);
    CU_ASSERT_EQUAL(lifetime, 0);
    secret_free(token);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(read_token(bad[i], &token, &lifetime), STATUS_BAD_REPLY);
        CU_ASSERT_PTR_NULL(token);
    }
}

static void
token_errors(void)
{
    STATUS status;
    HTTP_REPLY reply = reply_of(401,
      "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret "
      "provided. Trace ID: 1\",\"error_codes\":[7000215]}");

    CU_ASSERT_EQUAL(azure_reply_token_error(&reply, &status), STATUS_UNAUTHENTICATED);
    CU_ASSERT_STRING_EQUAL(status.message, "no token: invalid_client AADSTS7000215");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.hint, "secret is wrong"));
    reply =
      reply_of(400, "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}");
    CU_ASSERT_EQUAL(azure_reply_token_error(&reply, &status), STATUS_UNAUTHENTICATED);
    reply = reply_of(400, "{\"error\":\"temporarily_unavailable\"}");
    CU_ASSERT_EQUAL(azure_reply_token_error(&reply, &status), STATUS_UNAVAILABLE);
    reply = reply_of(503, "{\"error\":\"invalid_client\"}");
    CU_ASSERT_EQUAL(azure_reply_token_error(&reply, &status), STATUS_UNAVAILABLE);
    reply = reply_of(401, "<html>log in first</html>");
    CU_ASSERT_EQUAL(azure_reply_token_error(&reply, &status), STATUS_BAD_REPLY);
}

static void
padding(void)
{
    STATUS status;
    SECRET *plain, *padded;
    size_t len;

    for (len = 1; len <= KMS_PLAINTEXT_MAX; len++) {
        CU_ASSERT_EQUAL_FATAL(secret_new_random(len, &plain, &status), 0);
        CU_ASSERT_EQUAL_FATAL(azure_pad(plain, &padded, &status), 0);
        CU_ASSERT_EQUAL(secret_len(padded) % 8, 0);
        CU_ASSERT_TRUE(secret_len(padded) > len && secret_len(padded) <= len + 8);
        /* With the 8 bytes of RFC 3394 it stays apart from what RSA makes. */
        CU_ASSERT_EQUAL(azure_algorithm_of(secret_len(padded) + 8), AZURE_A256KW);
        CU_ASSERT_EQUAL(azure_unpad(padded, &status), 0);
        CU_ASSERT_TRUE(secret_equal(plain, padded));
        secret_free(plain);
        secret_free(padded);
    }
    CU_ASSERT_EQUAL(azure_algorithm_of(256), AZURE_RSA_OAEP_256);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy("1234567\1", 8, &padded, &status), 0);
    CU_ASSERT_EQUAL(azure_unpad(padded, &status), 0);
    CU_ASSERT_EQUAL(azure_unpad(padded, &status), STATUS_CORRUPT);
    secret_free(padded);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy("\10\10\10\10\10\10\10\10", 8, &padded, &status), 0);
    CU_ASSERT_EQUAL(azure_unpad(padded, &status), STATUS_CORRUPT);
    secret_free(padded);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy("12345678123456\1\2", 16, &padded, &status), 0);
    CU_ASSERT_EQUAL(azure_unpad(padded, &status), STATUS_CORRUPT);
    secret_free(padded);
}

static void
forms(void)
{
    STATUS status;
    AZURE_FORM form = {0};
    SECRET *secret, *text;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy("a+b/c=&~\x01\xff", 10, &secret, &status), 0);
    azure_form_put(&form, "scope", "https://vault.azure.net/.default");
    azure_form_put_secret(&form, "client_secret", secret);
    CU_ASSERT_EQUAL_FATAL(azure_form_finish(&form, &text, &status), 0);
    CU_ASSERT_TRUE(holds(
      text, "scope=https%3A%2F%2Fvault.azure.net%2F.default&client_secret=a%2Bb%2Fc%3D%26~%01%FF"));
    azure_form_release(&form);
    secret_free(text);
    secret_free(secret);
}

/* A claim of a token's part: its base64url is put back into the other alphabet by hand. */
static JSON *
part(const char *token, size_t len)
{
    STATUS status;
    SECRET *text = NULL;
    JSON *json = NULL;
    char copy[4096];
    size_t i;

    CU_ASSERT_TRUE_FATAL(len < sizeof(copy) - 4);
    for (i = 0; i < len; i++)
        copy[i] = (char)(token[i] == '-' ? '+' : token[i] == '_' ? '/' : token[i]);
    while (i % 4 != 0)
        copy[i++] = '=';
    CU_ASSERT_EQUAL_FATAL(encode_base64_decode_secret(copy, i, &text, &status), 0);
    CU_ASSERT_EQUAL_FATAL(json_parse(secret_bytes(text), secret_len(text), &json, &status), 0);
    secret_free(text);
    return (json);
}

static void
assertions(void)
{
    static const char both[] = JWT_KEY_PEM JWT_CERTIFICATE_PEM;
    static const struct {
        JWT_ALGORITHM algorithm;
        const char *name, *thumbprint, *value, *other;
    } table[] = {{JWT_RS256, "RS256", "x5t", "4G3HuDGRwWEUiv9tpVgi01xBX6E", "x5t#S256"},
      {JWT_PS256, "PS256", "x5t#S256", "caHL85D1LlkKTNOs1LIhUPe5FBcPPdwbPygCgksY7wo", "x5t"}};
    STATUS status;
    SECRET *pem, *one, *two;
    JSON *json;
    const char *text, *dot;
    int64_t number;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(secret_new_copy(both, strlen(both), &pem, &status), 0);
    for (i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(azure_credentials_assertion(table[i].algorithm, "https://e/t",
                                "client", 1000, pem, pem, &one, &status),
          0);
        text = (const char *)secret_bytes(one);
        dot = memchr(text, '.', secret_len(one));
        json = part(text, (size_t)(dot - text));
        CU_ASSERT_STRING_EQUAL(json_string(json, "alg"), table[i].name);
        CU_ASSERT_STRING_EQUAL(json_string(json, table[i].thumbprint), table[i].value);
        CU_ASSERT_FALSE(json_has(json, table[i].other));
        json_free(json);
        text = dot + 1;
        dot = memchr(text, '.', secret_len(one) - (size_t)(text - (const char *)secret_bytes(one)));
        json = part(text, (size_t)(dot - text));
        CU_ASSERT_STRING_EQUAL(json_string(json, "aud"), "https://e/t");
        CU_ASSERT_STRING_EQUAL(json_string(json, "iss"), "client");
        CU_ASSERT_STRING_EQUAL(json_string(json, "sub"), "client");
        CU_ASSERT_EQUAL(strlen(json_string(json, "jti")), 32);
        CU_ASSERT_TRUE(json_int(json, "exp", &number) && number == 1600);
        CU_ASSERT_TRUE(json_int(json, "nbf", &number) && number == 1000);
        json_free(json);
        /* No two are alike: each is good once. */
        CU_ASSERT_EQUAL_FATAL(azure_credentials_assertion(table[i].algorithm, "https://e/t",
                                "client", 1000, pem, pem, &two, &status),
          0);
        CU_ASSERT_FALSE(secret_equal(one, two));
        secret_free(one);
        secret_free(two);
    }
    secret_free(pem);
}

const TEST azure_tests[] = {{"identifiers", identifiers}, {"suffixes", suffixes},
  {"recorded", recorded}, {"matching", matching}, {"requests", requests},
  {"operations", operations}, {"bundles", bundles}, {"errors", errors}, {"tokens", tokens},
  {"token errors", token_errors}, {"padding", padding}, {"forms", forms},
  {"assertions", assertions}, {NULL, NULL}};
