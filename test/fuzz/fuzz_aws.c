/*
 * test/fuzz/fuzz_aws.c -- libFuzzer: what AWS answers, and the AWS tools' files. The first byte chooses the
 * parser.
 *
 * Beside what the sanitizers see: a success keeps what the headers promise, a failure leaves nothing
 * behind, and only an error envelope makes a class that may stop a database.
 */
#include "kms_clients/aws_arn.h"
#include "kms_clients/aws_credentials.h"
#include "kms_clients/aws_process.h"
#include "kms_clients/aws_profile.h"
#include "kms_clients/aws_reply.h"
#include "kms_clients/aws_sts.h"

#include <stdlib.h>
#include <string.h>

#define ARN "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool truth)
{
    if (!truth)
        abort();
}

static void
encrypted(const HTTP_REPLY *reply)
{
    char *key_id;
    uint8_t *wrapped;
    size_t len;
    STATUS s;

    if (aws_reply_encrypted(reply, &key_id, &wrapped, &len, &s) == 0) {
        require(aws_key_arn_check(key_id, &s) == 0 && len > 0 && len <= KMS_WRAPPED_MAX);
        free(key_id);
        free(wrapped);
    } else
        require(key_id == NULL && wrapped == NULL && s.status_class == STATUS_BAD_REPLY);
}

static void
decrypted(const HTTP_REPLY *reply)
{
    SECRET *plaintext;
    STATUS s;

    if (aws_reply_decrypted(reply, ARN, &plaintext, &s) == 0)
        secret_free(plaintext);
    else
        require(plaintext == NULL && s.status_class == STATUS_BAD_REPLY);
}

static void
described(const HTTP_REPLY *reply)
{
    KMS_KEY_INFO info;
    STATUS s;
    bool unavailable;

    if (aws_reply_described(reply, &info, &unavailable, &s) == 0)
        require(aws_key_arn_check(info.key_id, &s) == 0 &&
                memchr(info.detail, 0, sizeof(info.detail)) != NULL);
    else
        require(s.status_class == STATUS_BAD_REPLY);
}

static void
errors(HTTP_REPLY *reply, int code)
{
    AWS_ERROR error;
    STATUS s;
    int ret;

    reply->code = code;
    ret = aws_reply_error(reply, &error, &s);
    require(ret != 0 && ret == (int)s.status_class);
    require(error.code[0] != '\0' || ret == STATUS_BAD_REPLY || ret == STATUS_UNAVAILABLE);
    require(error.message[0] == '\0' || ret == STATUS_DENIED || ret == STATUS_NOT_FOUND ||
            ret == STATUS_DISABLED);
}

static void
credentials(const HTTP_REPLY *reply, bool json)
{
    AWS_CREDENTIALS found = {.secret_access_key = NULL};
    STATUS s;
    int ret;

    ret =
      json ? aws_credentials_read_json(&found, "fuzz", reply->body, reply->body_len, 1440938160, &s)
           : aws_sts_reply(reply, 1440938160, &found, &s);
    require((ret == 0) == (found.secret_access_key != NULL));
    require(ret == 0 || ret == STATUS_BAD_REPLY || ret == STATUS_UNAUTHENTICATED);
    aws_credentials_clear(&found);
}

static void
profiles(const HTTP_REPLY *reply, bool config)
{
    AWS_PROFILES *found;
    const char *value;
    STATUS s;

    if (aws_profiles_new(&found, &s) != 0)
        return;
    if (aws_profiles_parse(found, "fuzz", config, reply->body, reply->body_len, &s) == 0) {
        value = aws_profiles_get(found, "default", "region");
        require(value == NULL || (value[0] != '\0' && strchr(value, '\n') == NULL));
        require(value == NULL || aws_profiles_has(found, "default"));
    } else
        require(s.status_class == STATUS_CONFIG);
    aws_profiles_free(found);
}

static void
names(char *text)
{
    char *argv[AWS_PROCESS_ARGUMENTS_MAX + 1], arn[KMS_KEY_ID_MAX + 1];
    AWS_KEY key;
    STATUS s;

    if (aws_key_arn_check(text, &s) == 0) {
        require(aws_key_parse(text, &key));
        require(aws_key_in_region(text, "eu-west-1", arn, sizeof(arn)));
        require(aws_key_arn_check(arn, &s) == 0);
    }
    if (aws_role_arn_valid(text))
        require(strpbrk(text, " \r\n&?#") == NULL);
    if (aws_region_valid(text))
        require(strpbrk(text, "./:@ ") == NULL);
    if (aws_process_split(text, argv))
        require(argv[0] != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    HTTP_REPLY reply = {.code = 200, .headers = ""};
    char *body;

    if (size == 0 || size > HTTP_REPLY_MAX || (body = malloc(size)) == NULL)
        return (0);
    memcpy(body, data + 1, size - 1);
    body[size - 1] = '\0';
    reply.body = (const uint8_t *)body;
    reply.body_len = size - 1;
    switch (data[0] % 9) {
    case 0:
        encrypted(&reply);
        break;
    case 1:
        decrypted(&reply);
        break;
    case 2:
        described(&reply);
        break;
    case 3:
        errors(&reply, 400);
        break;
    case 4:
        errors(&reply, 503);
        break;
    case 5:
        credentials(&reply, true);
        break;
    case 6:
        credentials(&reply, false);
        break;
    case 7:
        profiles(&reply, data[0] >= 128);
        break;
    default:
        names(body);
    }
    free(body);
    return (0);
}
