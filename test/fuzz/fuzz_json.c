/*
 * test/fuzz/fuzz_json.c -- libFuzzer: bytes as JSON of a key service, and as a reply of Vault.
 *
 * The first byte chooses the HTTP status. What is read stays within what was sent, an error has its id,
 * and only an envelope of the service makes a class that could stop a database.
 */
#include "kms_clients/vault.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

/* Whether a part between slashes is "..": such a path would name another mount. "..a" is a name. */
static bool
climbs(const char *path)
{
    size_t len;

    for (;; path += len + 1) {
        len = strcspn(path, "/@");
        if (len == 2 && memcmp(path, "..", 2) == 0)
            return (true);
        if (path[len] == '\0')
            return (false);
    }
}

static void
look(const JSON *json)
{
    static const char *const paths[] = {
      "a", "data", "data.ciphertext", "errors.0", "a.b.c", "", ".", "0.0", "auth.client_token"};
    const char *text;
    STATUS status;
    SECRET *secret;
    int64_t number;
    size_t i;
    bool truth;

    for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        text = json_string(json, paths[i]);
        require(text == NULL || json_has(json, paths[i]));
        (void)json_int(json, paths[i], &number);
        (void)json_bool(json, paths[i], &truth);
        if (json_secret(json, paths[i], &secret, &status) == 0 && secret != NULL)
            require(text == NULL || secret_len(secret) == strlen(text));
        secret_free(secret);
    }
}

static void
read_reply(const uint8_t *text, size_t len, int code)
{
    const HTTP_REPLY reply = {.code = code,
      .body = text,
      .body_len = len,
      .headers = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"};
    VAULT_REQUEST request = {.operation = "decrypt"};
    KMS_KEY_INFO info = {.state = KMS_KEY_UNKNOWN};
    JSON *json;
    SECRET *plaintext;
    STATUS status;
    const char *wrapped;
    int64_t version;

    status_clear(&status);
    if (vault_reply_read(&reply, &request, &json, &status) != 0) {
        require(json == NULL && status.status_class != STATUS_OK && status.id[0] == 'k');
        require(code != 200 || (status.status_class != STATUS_DISABLED &&
                                 status.status_class != STATUS_NOT_FOUND));
        return;
    }
    require(code == 200 || code == 204);
    if (vault_reply_wrapped(json, &wrapped, &version, &status) == 0)
        require(version > 0 && vault_version(wrapped, strlen(wrapped)) == version);
    if (vault_reply_plaintext(json, &plaintext, &status) == 0)
        require(secret_len(plaintext) > 0);
    secret_free(plaintext);
    vault_reply_key(json, 1, &info, &version);
    json_free(json);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int codes[] = {200, 204, 400, 403, 404, 429, 500, 503};
    char id[256];
    size_t len;
    int64_t version;
    JSON *json;
    STATUS status;

    status_clear(&status);
    if (size == 0)
        return (0);
    if (json_parse(data + 1, size - 1, &json, &status) == 0)
        look(json);
    json_free(json);
    read_reply(data + 1, size - 1, codes[data[0] % (sizeof(codes) / sizeof(codes[0]))]);
    if (size < sizeof(id)) {
        memcpy(id, data, size);
        id[size] = '\0';
        if (vault_id_split(id, &len, &version))
            require(len <= size && !climbs(id + strlen(VAULT_ID_PREFIX)));
        (void)vault_version((const char *)data, size);
    }
    return (0);
}
