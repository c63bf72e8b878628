/*
 * test/fuzz/fuzz_azure.c -- libFuzzer: identifiers of keys and answers of Azure. The first byte picks
 * the parser, the second the HTTP status.
 *
 * Beside what the sanitizers see: what is accepted keeps its limits, a failure has a class and a
 * message, and only an envelope makes a class that may stop a database.
 */
#include "kms_clients/azure_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool truth)
{
    if (!truth)
        abort();
}

static void
require_failure(int ret, const STATUS *status)
{
    require(ret == (int)status->status_class && ret != 0);
    require(status->message[0] != '\0' && status->id != NULL);
}

static void
identifier(const char *text)
{
    AZURE_KEY key, again;
    char url[2 * KMS_KEY_ID_MAX];

    if (!azure_key_parse(text, &key))
        return;
    /* What it was taken apart into names the same key, and nothing else was in it. */
    require(strncmp(key.vault, "https://", 8) == 0 || strncmp(key.vault, "http://", 7) == 0);
    require(strpbrk(key.host, "@/?#:%\\ ") == NULL && strpbrk(key.name, "/.%?#") == NULL);
    (void)snprintf(url, sizeof(url), "%s/keys/%s%s%s", key.vault, key.name,
      key.version[0] == '\0' ? "" : "/", key.version);
    require(azure_key_parse(url, &again) && azure_key_same(&key, &again));
    require(strcmp(key.version, again.version) == 0);
}

static void
answers(const HTTP_REPLY *reply, unsigned which)
{
    AZURE_BUNDLE bundle;
    AZURE_KEY asked;
    STATUS status;
    SECRET *value = NULL;
    int64_t lifetime;
    char kid[KMS_KEY_ID_MAX + 1], detail[64];
    int ret;

    status_clear(&status);
    require(azure_key_parse("https://v.vault.azure.net/keys/k", &asked));
    switch (which) {
    case 0:
        ret = azure_reply_operation(reply, &asked, kid, &value, &status);
        require((ret == 0) == (value != NULL));
        break;
    case 1:
        if ((ret = azure_reply_bundle(reply, &asked, &bundle, &status)) == 0) {
            require(azure_key_same(&bundle.key, &asked) && bundle.key.version[0] != '\0');
            azure_bundle_detail(&bundle, 1000, detail, sizeof(detail));
            require(memchr(detail, '\0', sizeof(detail)) != NULL);
            if ((ret = azure_check_wrap(&bundle, AZURE_RSA_OAEP_256, 1000, &status)) == 0)
                require(bundle.enabled && bundle.rsa && bundle.may_unwrap);
        }
        break;
    case 2:
        ret = azure_reply_error(reply, false, &status);
        require_failure(ret, &status);
        /* These may stop a database: never without words of the vault. */
        if (ret == STATUS_DISABLED || ret == STATUS_NOT_FOUND)
            require(memmem(reply->body, reply->body_len, "error", 5) != NULL && reply->code < 500);
        break;
    case 3:
        ret = azure_reply_token_error(reply, &status);
        require_failure(ret, &status);
        require(ret != STATUS_DISABLED && ret != STATUS_NOT_FOUND && ret != STATUS_DENIED);
        break;
    case 4:
        ret = azure_reply_deleted(reply, detail, sizeof(detail), &status);
        break;
    default:
        ret = azure_reply_token(reply, 1000, &value, &lifetime, &status);
        require((ret == 0) == (value != NULL) && lifetime >= 0);
        break;
    }
    if (ret != 0)
        require_failure(ret, &status);
    secret_free(value);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int codes[] = {200, 301, 400, 401, 403, 404, 409, 429, 500, 503};
    HTTP_REPLY reply = {.headers = ""};
    char *text;

    if (size < 2)
        return (0);
    if ((text = malloc(size - 1)) == NULL)
        return (0);
    memcpy(text, data + 2, size - 2);
    text[size - 2] = '\0';
    if (data[0] % 7 == 6)
        identifier(text);
    else {
        reply.code = codes[data[1] % (sizeof(codes) / sizeof(codes[0]))];
        reply.body = (const uint8_t *)text;
        reply.body_len = size - 2;
        answers(&reply, data[0] % 7);
    }
    free(text);
    return (0);
}
