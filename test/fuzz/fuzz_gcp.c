/*
 * test/fuzz/fuzz_gcp.c -- libFuzzer: bytes as what Google Cloud KMS and its token endpoints answer, as
 * names of keys and as credentials files.
 *
 * The first byte picks the HTTP status. Beside what the sanitizers see: a class that may stop a database
 * comes with an envelope only, no token is set by an error, and accepted names pass their own checks.
 */
#include "kms_clients/gcp_identity.h"
#include "kms_clients/gcp_key.h"
#include "kms_clients/gcp_reply.h"
#include "kms_clients/gcp_token.h"

#include <stdlib.h>
#include <string.h>

#define KEY "projects/p/locations/l/keyRings/r/cryptoKeys/k"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

static void
answers(const char *text, size_t len)
{
    KMS_WRAPPED wrapped = {NULL, NULL, NULL, 0};
    KMS_KEY_INFO info;
    SECRET *plaintext;
    STATUS s;

    if (gcp_reply_encrypt(text, len, KEY, &wrapped, &s) == 0)
        require(wrapped.wrapped_len > 0 && gcp_key_check(wrapped.key_id, true, &s) == 0 &&
                gcp_key_covers(KEY, wrapped.key_id));
    kms_wrapped_release(&wrapped);
    require((gcp_reply_decrypt(text, len, &plaintext, &s) == 0) == (plaintext != NULL));
    secret_free(plaintext);
    if (gcp_reply_version(text, len, KEY, &info, &s) == 0)
        require(gcp_key_check(info.key_id, true, &s) == 0);
    if (gcp_reply_key(text, len, KEY, &info, &s) == 0)
        require(gcp_key_covers(KEY, info.key_id));
}

static void
errors(int code, const char *text, size_t len)
{
    HTTP_REPLY reply = {code, (const uint8_t *)text, len, "HTTP/1.1 200 OK\r\n\r\n"};
    TOKEN token = {NULL, 0, 0};
    STATUS s;
    int method, ret;

    for (method = GCP_ENCRYPT; method <= GCP_GET; method++) {
        ret = gcp_reply_error((GCP_METHOD)method, &reply, &s);
        require(ret != 0 && ret == (int)s.status_class);
        if (ret == STATUS_DISABLED || ret == STATUS_NOT_FOUND)
            require(memmem(text, len, "error", 5) != NULL || memchr(text, '\\', len) != NULL);
    }
    if (gcp_token_reply(&reply, &token, &s) != 0)
        require(token.value == NULL && s.status_class != STATUS_DISABLED &&
                s.status_class != STATUS_NOT_FOUND);
    token_clear(&token);
    if (gcp_token_impersonate_reply(&reply, &token, &s) != 0)
        require(token.value == NULL && s.status_class != STATUS_DISABLED &&
                s.status_class != STATUS_NOT_FOUND);
    token_clear(&token);
}

static void
files(const char *text, size_t len)
{
    GCP_IDENTITY *identity;
    SECRET *file, *token, *body;
    STATUS s;
    bool is_secret;

    if (len == 0)
        return;
    require(secret_new_copy(text, len, &file, &s) == 0);
    if (gcp_identity_parse(file, GCP_UNIVERSE, &is_secret, &identity, &s) == 0) {
        require(identity->token_url != NULL);
        if (identity->kind == GCP_EXTERNAL_ACCOUNT &&
            gcp_token_subject(file, NULL, &token, &s) == 0) {
            require(gcp_token_exchange_body(identity, token, "scope", &body, &s) == 0);
            secret_free(body);
            secret_free(token);
        }
        gcp_identity_free(identity);
    }
    if (gcp_token_subject(file, "a", &token, &s) == 0)
        secret_free(token);
    if (gcp_token_subject(file, NULL, &token, &s) == 0)
        secret_free(token);
    secret_free(file);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int codes[] = {200, 400, 401, 403, 404, 409, 429, 500, 503, 302};
    int64_t seconds;
    char *text;
    STATUS s;
    int code;

    if (size == 0)
        return (0);
    code = codes[data[0] % (sizeof(codes) / sizeof(codes[0]))];
    data++;
    size--;
    require((text = malloc(size + 1)) != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    answers(text, size);
    errors(code, text, size);
    files(text, size);
    if (gcp_key_check(text, true, &s) == 0)
        require(gcp_key_version(text)[0] != '\0' && gcp_key_covers(text, text));
    (void)gcp_identity_host(text, "sts", GCP_UNIVERSE, &s);
    (void)gcp_token_time(text, &seconds);
    free(text);
    return (0);
}
