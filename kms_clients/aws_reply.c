/*
 * kms_clients/aws_reply.c -- What AWS KMS is asked and answers. See aws_reply.h.
 */
#include "kms_clients/aws_reply.h"

#include "crypto/encode.h"
#include "kms_clients/aws_arn.h"
#include "kms_clients/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * The encryption context: what kms_client.h binds a call to, as text that a key policy's condition
 * (kms:EncryptionContext:wtkms-keystore) and CloudTrail show. The UUID is written as everywhere.
 */
static void
put_context(JSON_WRITER *json, const KMS_CONTEXT *context)
{
    const uint8_t *u = context->keystore_uuid;
    char uuid[37], id[17];

    (void)snprintf(uuid, sizeof(uuid),
      "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
      u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    (void)snprintf(id, sizeof(id), "%016" PRIx64, context->master_key_id);
    json_open_object(json, "EncryptionContext");
    json_put_string(json, "wtkms-keystore", uuid);
    json_put_string(json, "wtkms-master-key", id);
    json_put_string(json, "wtkms-scope", context->scope);
    json_close(json);
}

int
aws_request_encrypt(const char *key, const KMS_CONTEXT *context, const SECRET *plaintext,
  SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *json = json_writer_new();

    json_put_string(json, "KeyId", key);
    json_put_base64(json, "Plaintext", secret_bytes(plaintext), secret_len(plaintext), false);
    put_context(json, context);
    return (json_writer_finish(json, bodyp, status));
}

int
aws_request_decrypt(const char *key, const KMS_CONTEXT *context, const uint8_t *wrapped,
  size_t wrapped_len, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *json = json_writer_new();

    json_put_string(json, "KeyId", key);
    json_put_base64(json, "CiphertextBlob", wrapped, wrapped_len, false);
    put_context(json, context);
    return (json_writer_finish(json, bodyp, status));
}

int
aws_request_describe(const char *key, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *json = json_writer_new();

    json_put_string(json, "KeyId", key);
    return (json_writer_finish(json, bodyp, status));
}

static int
bad_reply(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer has %s", what));
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
}

int
aws_reply_encrypted(
  const HTTP_REPLY *reply, char **key_idp, uint8_t **wrappedp, size_t *wrapped_lenp, STATUS *status)
{
    JSON *json = NULL;
    const char *key_id, *blob;
    uint8_t *wrapped = NULL;
    size_t len;

    *key_idp = NULL;
    *wrappedp = NULL;
    *wrapped_lenp = 0;
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        goto err;
    key_id = json_string(json, "KeyId");
    blob = json_string(json, "CiphertextBlob");
    if (key_id == NULL || strlen(key_id) > KMS_KEY_ID_MAX ||
        aws_key_arn_check(key_id, status) != 0) {
        (void)bad_reply(status, "no ARN of a key");
        goto err;
    }
    if (blob == NULL || (len = strlen(blob)) == 0 || len >= ENCODE_BASE64_SIZE(KMS_WRAPPED_MAX)) {
        (void)bad_reply(status, "no ciphertext, or one that is too long");
        goto err;
    }
    if ((wrapped = malloc(len)) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    if (encode_base64_decode(blob, len, wrapped, &len, status) != 0) {
        (void)bad_reply(status, "a ciphertext that is not base64");
        goto err;
    }
    if ((*key_idp = strdup(key_id)) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    *wrappedp = wrapped;
    *wrapped_lenp = len;
    json_free(json);
    return (0);

err:
    json_free(json);
    free(wrapped);
    return ((int)status->status_class);
}

int
aws_reply_decrypted(
  const HTTP_REPLY *reply, const char *key_id, SECRET **plaintextp, STATUS *status)
{
    JSON *json = NULL;
    SECRET *text = NULL;
    const char *answered;

    *plaintextp = NULL;
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        goto err;
    answered = json_string(json, "KeyId");
    if (answered == NULL || strcmp(answered, key_id) != 0) {
        (void)bad_reply(status, answered == NULL ? "no key" : "the name of another key");
        goto err;
    }
    if (json_secret(json, "Plaintext", &text, status) != 0)
        goto err;
    if (text == NULL) {
        (void)bad_reply(status, "no plaintext");
        goto err;
    }
    if (encode_base64_decode_secret(
          (const char *)secret_bytes(text), secret_len(text), plaintextp, status) != 0) {
        if (status->status_class != STATUS_NO_MEMORY)
            (void)bad_reply(status, "a plaintext that is not base64");
        goto err;
    }
    secret_free(text);
    json_free(json);
    return (0);

err:
    secret_free(text);
    json_free(json);
    return ((int)status->status_class);
}

/*
 * The date is a number with a fraction or an exponent ("1.7E9"), and is for people only: its whole
 * seconds are read from the text. A quoted name inside a string has a backslash before its quote.
 */
static bool
deletion_date(const HTTP_REPLY *reply, char *day, size_t size)
{
    static const char name[] = "\"DeletionDate\"";
    const char *text = (const char *)reply->body;
    char digits[32];
    size_t len = 0, point = 0;
    long exponent = 0;
    struct tm tm;
    time_t when = 0;
    size_t i;

    if ((text = memmem(text, reply->body_len, name, sizeof(name) - 1)) == NULL)
        return (false);
    text += sizeof(name) - 1;
    text += strspn(text, " \t\r\n:");
    for (; (*text >= '0' && *text <= '9') || *text == '.'; text++) {
        if (*text == '.')
            point = len;
        else if (len < sizeof(digits))
            digits[len++] = *text;
    }
    if (point == 0)
        point = len;
    if (*text == 'e' || *text == 'E')
        exponent = strtol(text + 1, NULL, 10);
    if (exponent < 0 || exponent > 10 || point + (size_t)exponent > 11 ||
        point + (size_t)exponent == 0)
        return (false);
    for (i = 0; i < point + (size_t)exponent; i++)
        when = when * 10 + (i < len ? digits[i] - '0' : 0);
    return (gmtime_r(&when, &tm) != NULL && strftime(day, size, "%Y-%m-%d", &tm) > 0);
}

static const struct {
    const char *name;
    KMS_KEY_STATE state;
    bool unavailable;
    const char *detail;
} states[] = {{"Enabled", KMS_KEY_ENABLED, false, "enabled"},
  {"Disabled", KMS_KEY_DISABLED, false, "disabled"},
  {"PendingDeletion", KMS_KEY_PENDING_DELETION, false, "pending deletion"},
  {"PendingReplicaDeletion", KMS_KEY_PENDING_DELETION, false, "pending deletion of its replicas"},
  /* Imported material that was deleted or has expired: the owner's way to revoke it. */
  {"PendingImport", KMS_KEY_DISABLED, false, "without its imported key material"},
  {"Unavailable", KMS_KEY_UNKNOWN, true, "unavailable: its key store is not connected"},
  {"Creating", KMS_KEY_UNKNOWN, true, "being created"},
  {"Updating", KMS_KEY_ENABLED, false, "being updated"}};

int
aws_reply_described(const HTTP_REPLY *reply, KMS_KEY_INFO *info, bool *unavailablep, STATUS *status)
{
    JSON *json = NULL;
    const char *arn, *state;
    char day[16];
    size_t i;

    *unavailablep = false;
    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        return ((int)status->status_class);
    arn = json_string(json, "KeyMetadata.Arn");
    state = json_string(json, "KeyMetadata.KeyState");
    if (arn == NULL || strlen(arn) > KMS_KEY_ID_MAX || aws_key_arn_check(arn, status) != 0 ||
        state == NULL) {
        json_free(json);
        return (bad_reply(status, "no ARN or state of a key"));
    }
    info->state = KMS_KEY_UNKNOWN;
    (void)snprintf(info->key_id, sizeof(info->key_id), "%s", arn);
    (void)snprintf(info->detail, sizeof(info->detail), "%s", state);
    status_make_printable(info->detail);
    for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
        if (strcmp(states[i].name, state) != 0)
            continue;
        info->state = states[i].state;
        *unavailablep = states[i].unavailable;
        if (info->state == KMS_KEY_PENDING_DELETION && deletion_date(reply, day, sizeof(day)))
            (void)snprintf(info->detail, sizeof(info->detail), "%s on %s", states[i].detail, day);
        else
            (void)snprintf(info->detail, sizeof(info->detail), "%s", states[i].detail);
    }
    json_free(json);
    return (0);
}
