/*
 * kms_clients/gcp_reply.c -- See gcp_reply.h. What it says when it fails is in gcp_error.c.
 */
#include "kms_clients/gcp_reply.h"

#include "common/crc32c.h"
#include "crypto/encode.h"
#include "kms_clients/gcp_key.h"
#include "kms_clients/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CRC_TEXT_SIZE 12

int
gcp_reply_aad(const KMS_CONTEXT *context, char aad[GCP_AAD_SIZE], STATUS *status)
{
    char uuid[2 * sizeof(context->keystore_uuid) + 1];
    int len;

    encode_hex(context->keystore_uuid, sizeof(context->keystore_uuid), uuid);
    /* The scope is free text, so it is last. */
    len = snprintf(aad, GCP_AAD_SIZE, "wtkms/1 keystore=%s master-key=%016" PRIx64 " scope=%s",
      uuid, context->master_key_id, context->scope);
    if (len < 0 || len >= GCP_AAD_SIZE)
        return (status_set(status, STATUS_INTERNAL, "kms-context",
          "a scope of %zu bytes does not fit", strlen(context->scope)));
    return (0);
}

static void
put_checked(
  JSON_WRITER *writer, const char *name, const char *crc_name, const void *data, size_t len)
{
    char text[CRC_TEXT_SIZE];

    json_put_base64(writer, name, data, len, false);
    (void)snprintf(text, sizeof(text), "%" PRIu32, crc32c(0, data, len));
    json_put_string(writer, crc_name, text);
}

int
gcp_reply_encrypt_body(const SECRET *plaintext, const char *aad, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *writer = json_writer_new();

    put_checked(
      writer, "plaintext", "plaintextCrc32c", secret_bytes(plaintext), secret_len(plaintext));
    put_checked(
      writer, "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c", aad, strlen(aad));
    return (json_writer_finish(writer, bodyp, status));
}

int
gcp_reply_decrypt_body(
  const uint8_t *wrapped, size_t len, const char *aad, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *writer = json_writer_new();

    put_checked(writer, "ciphertext", "ciphertextCrc32c", wrapped, len);
    put_checked(
      writer, "additionalAuthenticatedData", "additionalAuthenticatedDataCrc32c", aad, strlen(aad));
    return (json_writer_finish(writer, bodyp, status));
}

static int
bad_reply(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer %s", what));
}

static int
bad_checksum(STATUS *status, const char *what)
{
    (void)status_set(status, STATUS_BAD_REPLY, "kms-checksum", "checksum: %s", what);
    return (status_hint(status, "bytes changed between here and the service: look at proxies and "
                                "at this machine's memory"));
}

/* An int64 of protobuf is a decimal string in JSON; a reader takes a number too. */
static int
check_crc(const JSON *json, const char *path, const void *data, size_t len, STATUS *status)
{
    const char *text = json_string(json, path);
    int64_t value = -1;
    size_t digits;

    if (text != NULL) {
        digits = strspn(text, "0123456789");
        if (digits > 0 && digits <= 10 && text[digits] == '\0')
            value = strtoll(text, NULL, 10);
    } else
        (void)json_int(json, path, &value);
    if (value < 0)
        return (bad_reply(status, "has no checksum"));
    if (value != (int64_t)crc32c(0, data, len))
        return (bad_checksum(status, "the answer does not have the checksum that it says"));
    return (0);
}

static int
copy_name(const JSON *json, const char *path, const char *key, const char **namep, STATUS *status)
{
    const char *name = json_string(json, path);
    STATUS ignored;

    if (name == NULL || gcp_key_check(name, true, &ignored) != 0)
        return (bad_reply(status, "does not name a version of a key"));
    if (!gcp_key_covers(key, name)) {
        (void)status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer is of another key: %s", name);
        return (status_hint(status, "look at endpoint and proxy: this key was not asked for"));
    }
    *namep = name;
    return (0);
}

int
gcp_reply_encrypt(
  const void *text, size_t len, const char *key, KMS_WRAPPED *wrapped, STATUS *status)
{
    JSON *json = NULL;
    const char *name, *base64;
    bool verified = false;

    if (json_parse(text, len, &json, status) != 0)
        return ((int)status->status_class);
    if (copy_name(json, "name", key, &name, status) != 0)
        goto err;
    if (!json_bool(json, "verifiedPlaintextCrc32c", &verified) || !verified ||
        !json_bool(json, "verifiedAdditionalAuthenticatedDataCrc32c", &verified) || !verified) {
        (void)bad_checksum(status, "the service did not verify the checksums of what it was sent");
        goto err;
    }
    base64 = json_string(json, "ciphertext");
    if (base64 == NULL || strlen(base64) > ENCODE_BASE64_SIZE(KMS_WRAPPED_MAX)) {
        (void)bad_reply(status, "has no ciphertext of a possible length");
        goto err;
    }
    wrapped->wrapped = malloc(strlen(base64) + 1);
    wrapped->key_id = strdup(name);
    if (wrapped->wrapped == NULL || wrapped->key_id == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key");
        goto err;
    }
    if (encode_base64_decode(
          base64, strlen(base64), wrapped->wrapped, &wrapped->wrapped_len, status) != 0 ||
        wrapped->wrapped_len == 0) {
        (void)bad_reply(status, "has a ciphertext that is no base64");
        goto err;
    }
    if (check_crc(json, "ciphertextCrc32c", wrapped->wrapped, wrapped->wrapped_len, status) != 0)
        goto err;
    json_free(json);
    return (0);

err:
    json_free(json);
    return ((int)status->status_class);
}

int
gcp_reply_decrypt(const void *text, size_t len, SECRET **plaintextp, STATUS *status)
{
    JSON *json = NULL;
    SECRET *plaintext = NULL;
    const char *base64;

    *plaintextp = NULL;
    if (json_parse(text, len, &json, status) != 0)
        return ((int)status->status_class);
    base64 = json_string(json, "plaintext");
    if (base64 == NULL || *base64 == '\0') {
        (void)bad_reply(status, "has no plaintext");
        goto err;
    }
    if (encode_base64_decode_secret(base64, strlen(base64), &plaintext, status) != 0) {
        if (status->status_class != STATUS_NO_MEMORY)
            (void)bad_reply(status, "has a plaintext that is no base64");
        goto err;
    }
    if (check_crc(
          json, "plaintextCrc32c", secret_bytes(plaintext), secret_len(plaintext), status) != 0)
        goto err;
    json_free(json);
    *plaintextp = plaintext;
    return (0);

err:
    secret_free(plaintext);
    json_free(json);
    return ((int)status->status_class);
}

/* A time as the service writes it, cut to its day; RFC 3339. */
static void
day_of(const JSON *json, const char *path, char day[11])
{
    const char *time = json_string(json, path);

    (void)snprintf(day, 11, "%.10s", time == NULL ? "" : time);
    status_make_printable(day);
}

static void
read_state(const JSON *json, const char *prefix, KMS_KEY_INFO *info)
{
    char path[64], day[11];
    const char *state;

    (void)snprintf(path, sizeof(path), "%sstate", prefix);
    state = json_string(json, path);
    if (state == NULL)
        state = "no state";
    if (strcmp(state, "ENABLED") == 0) {
        info->state = KMS_KEY_ENABLED;
        (void)snprintf(path, sizeof(path), "%sprotectionLevel", prefix);
        state = json_string(json, path);
        (void)snprintf(info->detail, sizeof(info->detail), "enabled%s%.40s",
          state == NULL ? "" : ", protection level ", state == NULL ? "" : state);
    } else if (strcmp(state, "DISABLED") == 0) {
        info->state = KMS_KEY_DISABLED;
        (void)snprintf(info->detail, sizeof(info->detail), "disabled");
    } else if (strcmp(state, "DESTROY_SCHEDULED") == 0) {
        info->state = KMS_KEY_PENDING_DELETION;
        (void)snprintf(path, sizeof(path), "%sdestroyTime", prefix);
        day_of(json, path, day);
        (void)snprintf(info->detail, sizeof(info->detail), "scheduled for destruction%s%s",
          *day == '\0' ? "" : " on ", day);
    } else if (strcmp(state, "DESTROYED") == 0) {
        info->state = KMS_KEY_DISABLED;
        (void)snprintf(path, sizeof(path), "%sdestroyEventTime", prefix);
        day_of(json, path, day);
        (void)snprintf(
          info->detail, sizeof(info->detail), "destroyed%s%s", *day == '\0' ? "" : " on ", day);
    } else {
        info->state = KMS_KEY_UNKNOWN;
        (void)snprintf(info->detail, sizeof(info->detail), "%.100s", state);
    }
    status_make_printable(info->detail);
}

int
gcp_reply_version(const void *text, size_t len, const char *key, KMS_KEY_INFO *info, STATUS *status)
{
    JSON *json = NULL;
    const char *name;
    int ret;

    if (json_parse(text, len, &json, status) != 0)
        return ((int)status->status_class);
    if ((ret = copy_name(json, "name", key, &name, status)) == 0) {
        (void)snprintf(info->key_id, sizeof(info->key_id), "%s", name);
        read_state(json, "", info);
    }
    json_free(json);
    return (ret);
}

int
gcp_reply_key(const void *text, size_t len, const char *key, KMS_KEY_INFO *info, STATUS *status)
{
    JSON *json = NULL;
    const char *name;
    STATUS ignored;
    int ret = 0;

    if (json_parse(text, len, &json, status) != 0)
        return ((int)status->status_class);
    name = json_string(json, "name");
    if (name == NULL || gcp_key_check(name, false, &ignored) != 0 || !gcp_key_covers(key, name))
        ret = bad_reply(status, "is not about this key");
    else if (!json_has(json, "primary")) {
        (void)snprintf(info->key_id, sizeof(info->key_id), "%s", name);
        info->state = KMS_KEY_DISABLED;
        (void)snprintf(info->detail, sizeof(info->detail), "the key has no primary version");
    } else if ((ret = copy_name(json, "primary.name", key, &name, status)) == 0) {
        (void)snprintf(info->key_id, sizeof(info->key_id), "%s", name);
        read_state(json, "primary.", info);
    }
    json_free(json);
    return (ret);
}
