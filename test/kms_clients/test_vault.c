/*
 * test/kms_clients/test_vault.c -- Provider vault without a server: identifiers, replies, configuration.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/vault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
test_identifiers(void)
{
    static const char *const good[] = {
      "vault:transit/kek@v1", "vault:a/b/c/d@v999999999", "vault:team/sub/tr-1/k_e.k@v12"};
    static const char *const bad[] = {"", "vault:", "vault:kek@v1", "vault:transit/kek",
      "transit/kek@v1", "vault:transit/kek@v0", "vault:transit/kek@v01", "vault:transit/kek@v",
      "vault:transit/kek@1", "vault:transit/kek@v1x", "vault:transit/kek@v1@v2",
      "vault:transit//kek@v1", "vault:/kek@v1", "vault:transit/@v1", "vault:../kek@v1",
      "vault:transit/..@v1", "vault:transit/./kek@v1", "vault:transit/k?k@v1",
      "vault:transit/k%2f@v1", "vault:tr ansit/kek@v1", "vault:https://h/kek@v1",
      "vault:transit/kek@v1000000000", "Vault:transit/kek@v1"};
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_EQUAL(kms_client_key_id_check("vault", good[i], &s), 0);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_EQUAL(kms_client_key_id_check("vault", bad[i], &s), STATUS_CORRUPT);
}

static void
test_ciphertexts(void)
{
    char *bare;

    CU_ASSERT_EQUAL(vault_version("vault:v12:AAEC+/==", 18), 12);
    CU_ASSERT_EQUAL(vault_version("vault:v1:", 9), 1);
    CU_ASSERT_EQUAL(vault_version("vault:v1", 8), 0);
    CU_ASSERT_EQUAL(vault_version("vault:v:AAEC", 12), 0);
    CU_ASSERT_EQUAL(vault_version("vault:v1:AA\nEC", 14), 0);
    CU_ASSERT_EQUAL(vault_version("vault:v1:AA\0EC", 14), 0);
    CU_ASSERT_EQUAL(vault_version("vault:v-1:AAEC", 14), 0);
    /* Recorded bytes have no end but their length; found by the fuzzer. */
    CU_ASSERT_PTR_NOT_NULL_FATAL(bare = malloc(9));
    memcpy(bare, "vault:v1:", 9);
    CU_ASSERT_EQUAL(vault_version(bare, 9), 1);
    free(bare);
}

static int
answer(int code, const char *type, const char *body, VAULT_REQUEST *request, STATUS *status)
{
    char headers[128];
    const HTTP_REPLY reply = {
      .code = code, .body = (const uint8_t *)body, .body_len = strlen(body), .headers = headers};
    JSON *json;
    int ret;

    (void)snprintf(
      headers, sizeof(headers), "HTTP/1.1 %d X\r\nContent-Type: %s\r\n\r\n", code, type);
    status_clear(status);
    ret = vault_reply_read(&reply, request, &json, status);
    CU_ASSERT((json != NULL) == (ret == 0 && code == 200));
    json_free(json);
    return (ret);
}

static void
test_classes(void)
{
    static const struct {
        int code;
        const char *body;
        STATUS_CLASS expected;
    } rows[] = {{200, "{}", STATUS_OK}, {204, "", STATUS_OK}, {200, "x", STATUS_BAD_REPLY},
      {400, "{\"errors\":[\"encryption key not found\"]}", STATUS_NOT_FOUND},
      {400, "{\"errors\":[\"cipher: message authentication failed\"]}", STATUS_CORRUPT},
      {400, "{\"errors\":[\"ciphertext or signature version is disallowed by policy (too old)\"]}",
        STATUS_DISABLED},
      {400, "{\"errors\":[\"invalid role or secret ID\"]}", STATUS_UNAUTHENTICATED},
      {400, "{\"errors\":[\"something new\"]}", STATUS_BAD_REPLY},
      {403, "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}", STATUS_DENIED},
      {403, "{\"errors\":[\"permission denied\",\"invalid token\"]}", STATUS_UNAUTHENTICATED},
      {404, "{\"errors\":[]}", STATUS_BAD_REPLY},
      {404, "{\"errors\":[\"no handler for route\"]}", STATUS_BAD_REPLY},
      {429, "{\"errors\":[\"quota\"]}", STATUS_UNAVAILABLE},
      {500, "{\"errors\":[\"encryption key not found\"]}", STATUS_UNAVAILABLE},
      {503, "{\"errors\":[\"Vault is sealed\"]}", STATUS_UNAVAILABLE},
      {503, "down", STATUS_UNAVAILABLE}, {404, "{}", STATUS_BAD_REPLY},
      {403, "{}", STATUS_BAD_REPLY},
      {400, "{\"message\":\"encryption key not found\"}", STATUS_BAD_REPLY}};
    VAULT_REQUEST request = {.operation = "decrypt"};
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CU_ASSERT_EQUAL(answer(rows[i].code, "application/json", rows[i].body, &request, &s),
          (int)rows[i].expected);
    /* The same words on a page that is not the service's say nothing. */
    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code != 204)
            CU_ASSERT_EQUAL(answer(rows[i].code, "text/html", rows[i].body, NULL, &s),
              rows[i].code == 429 || rows[i].code >= 500 ? STATUS_UNAVAILABLE : STATUS_BAD_REPLY);
    request.forbidden = request.missing = false;
    (void)!answer(403, "application/json", "{\"errors\":[\"permission denied\"]}", &request, &s);
    CU_ASSERT(request.forbidden && !request.missing);
    request.forbidden = false;
    (void)!answer(404, "application/json", "{\"errors\":[]}", &request, &s);
    CU_ASSERT(request.missing && !request.forbidden);
}

static void
refuse(const char *yaml, const char *text)
{
    KMS_CLIENT *client;
    STATUS s;
    int ret = open_client(yaml, &client, &s);

    CHECK_STATUS(ret, &s, STATUS_CONFIG, text);
    if (ret == 0)
        kms_client_close(client);
}

static void
test_configuration(void)
{
    KMS_CLIENT *client;
    STATUS s;
    const char *path = key_file("token\n", 6, 0600);
    char yaml[5000];

    refuse("{provider: vault}", "\"key\" is missing");
    refuse("{provider: vault, key: k}", "endpoint is missing");
    refuse("{provider: vault, key: k, endpoint: \"http://vault:8200\"}", "endpoint: plain http");
    refuse("{provider: vault, key: k, endpoint: vault}", "endpoint: ");
    refuse("{provider: vault, key: a/b, endpoint: \"https://v\"}", "key: ");
    refuse("{provider: vault, key: k, mount: ../x, endpoint: \"https://v\"}", "mount: ");
    refuse("{provider: vault, key: k, namespace: \"a b\", endpoint: \"https://v\"}", "namespace: ");
    refuse("{provider: vault, key: k, endpoint: \"https://v\"}", "token needs tokenFile");
    refuse("{provider: vault, key: k, auth: approle, endpoint: \"https://v\"}", "needs roleId");
    refuse("{provider: vault, key: k, auth: kubernetes, endpoint: \"https://v\"}", "needs role");
    refuse(
      "{provider: vault, key: k, auth: cert, endpoint: \"https://v\"}", "needs clientCertificate");
    refuse("{provider: vault, key: k, auth: password, endpoint: \"https://v\"}", "auth");
    (void)snprintf(yaml, sizeof(yaml),
      "{provider: vault, key: kek, mount: /t, endpoint: \"https://v/\", tokenFile: %s}", path);
    refuse(yaml, "mount: ");
    (void)snprintf(yaml, sizeof(yaml),
      "{provider: vault, key: kek, mount: a/t, namespace: n, endpoint: \"https://v/\", tokenFile: "
      "%s}",
      path);
    CU_ASSERT_EQUAL_FATAL(open_client(yaml, &client, &s), 0);
    CU_ASSERT_STRING_EQUAL(kms_client_key(client), "vault:n/a/t/kek");
    CU_ASSERT(kms_client_matches(client, "vault", "vault:n/a/t/kek@v7"));
    CU_ASSERT(!kms_client_matches(client, "vault", "vault:n/a/t/kek2@v7"));
    CU_ASSERT(!kms_client_matches(client, "vault", "vault:a/t/kek@v7"));
    CU_ASSERT_EQUAL(kms_client_timeout(client), 10000);
    CU_ASSERT_EQUAL(kms_client_retry_for(client), 300000);
    kms_client_close(client);
}

const TEST vault_tests[] = {{"identifiers", test_identifiers}, {"ciphertexts", test_ciphertexts},
  {"classes", test_classes}, {"configuration", test_configuration}, {NULL, NULL}};
