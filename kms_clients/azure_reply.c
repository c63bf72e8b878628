/*
 * kms_clients/azure_reply.c -- Requests to Key Vault and its answers. See azure_reply.h.
 */
#include "kms_clients/azure_reply.h"

#include "crypto/encode.h"
#include "kms_clients/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BLOCK 8 /* bytes, of AES key wrap */
#define KEY_OPS_MAX 32

const char *
azure_algorithm_name(AZURE_ALGORITHM algorithm)
{
    return (algorithm == AZURE_A256KW ? "A256KW" : "RSA-OAEP-256");
}

AZURE_ALGORITHM
azure_algorithm_of(size_t wrapped_len)
{
    return (wrapped_len < 256 ? AZURE_A256KW : AZURE_RSA_OAEP_256);
}

static int
bad_reply(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer has %s", what));
}

int
azure_pad(const SECRET *plaintext, SECRET **paddedp, STATUS *status)
{
    size_t len = secret_len(plaintext), more = BLOCK - len % BLOCK;

    if (secret_new(len + more, paddedp, status) != 0)
        return ((int)status->status_class);
    memcpy(secret_data(*paddedp), secret_bytes(plaintext), len);
    memset(secret_data(*paddedp) + len, (int)more, more);
    return (0);
}

int
azure_unpad(SECRET *padded, STATUS *status)
{
    const uint8_t *data = secret_bytes(padded);
    size_t i, len = secret_len(padded), more = data[len - 1];
    bool good = len % BLOCK == 0 && more >= 1 && more <= BLOCK && more < len;

    for (i = 0; good && i < more; i++)
        good = data[len - 1 - i] == more;
    if (!good)
        return (status_set(status, STATUS_CORRUPT, "kms-unwrap",
          "what was unwrapped is no master key: it has no padding"));
    secret_truncate(padded, len - more);
    return (0);
}

int
azure_request_operation(
  AZURE_ALGORITHM algorithm, const void *value, size_t len, SECRET **bodyp, STATUS *status)
{
    JSON_WRITER *json = json_writer_new();

    json_put_string(json, "alg", azure_algorithm_name(algorithm));
    json_put_base64(json, "value", value, len, true);
    return (json_writer_finish(json, bodyp, status));
}

static int
decode_base64url(const SECRET *text, SECRET **valuep, STATUS *status)
{
    if (encode_base64url_decode_secret(
          (const char *)secret_bytes(text), secret_len(text), valuep, status) != 0 &&
        status->status_class != STATUS_NO_MEMORY)
        (void)bad_reply(status, "a value that is not base64url");
    return (*valuep == NULL ? (int)status->status_class : 0);
}

/* A reply about another key is an attack or a mistake, never what was asked for. */
static int
check_kid(const char *kid, const AZURE_KEY *asked, AZURE_KEY *key, STATUS *status)
{
    if (kid == NULL || strlen(kid) > KMS_KEY_ID_MAX || !azure_key_parse(kid, key) ||
        key->version[0] == '\0')
        return (bad_reply(status, "no identifier of a key with its version"));
    if (!azure_key_same(key, asked) ||
        (asked->version[0] != '\0' && strcasecmp(key->version, asked->version) != 0))
        return (bad_reply(status, "the identifier of another key"));
    return (0);
}

int
azure_reply_operation(
  const HTTP_REPLY *reply, const AZURE_KEY *asked, char *kid, SECRET **valuep, STATUS *status)
{
    AZURE_KEY key;
    JSON *json = NULL;
    SECRET *text = NULL;
    int ret;

    *valuep = NULL;
    if ((ret = json_parse(reply->body, reply->body_len, &json, status)) != 0 ||
        (ret = check_kid(json_string(json, "kid"), asked, &key, status)) != 0 ||
        (ret = json_secret(json, "value", &text, status)) != 0)
        goto err;
    ret = text == NULL ? bad_reply(status, "no value") : decode_base64url(text, valuep, status);
    if (ret == 0)
        (void)snprintf(kid, KMS_KEY_ID_MAX + 1, "%s", json_string(json, "kid"));

err:
    secret_free(text);
    json_free(json);
    return (ret);
}

static void
read_operations(const JSON *json, AZURE_BUNDLE *bundle)
{
    char path[32];
    const char *operation;
    int i;

    if (!json_has(json, "key.key_ops")) { /* none named: none forbidden */
        bundle->may_wrap = bundle->may_unwrap = true;
        return;
    }
    for (i = 0; i < KEY_OPS_MAX; i++) {
        (void)snprintf(path, sizeof(path), "key.key_ops.%d", i);
        if ((operation = json_string(json, path)) == NULL)
            break;
        bundle->may_wrap |= strcmp(operation, "wrapKey") == 0;
        bundle->may_unwrap |= strcmp(operation, "unwrapKey") == 0;
    }
}

int
azure_reply_bundle(
  const HTTP_REPLY *reply, const AZURE_KEY *asked, AZURE_BUNDLE *bundle, STATUS *status)
{
    JSON *json = NULL;
    const char *kid, *type;
    int ret;

    memset(bundle, 0, sizeof(*bundle));
    if ((ret = json_parse(reply->body, reply->body_len, &json, status)) != 0)
        goto err;
    kid = json_string(json, "key.kid");
    if ((ret = check_kid(kid, asked, &bundle->key, status)) != 0)
        goto err;
    (void)snprintf(bundle->kid, sizeof(bundle->kid), "%s", kid);
    type = json_string(json, "key.kty");
    if (type == NULL || !json_bool(json, "attributes.enabled", &bundle->enabled)) {
        ret = bad_reply(status, "no type of the key, or not whether it is enabled");
        goto err;
    }
    bundle->rsa = strncasecmp(type, "RSA", 3) == 0;
    if (!json_int(json, "attributes.nbf", &bundle->not_before))
        bundle->not_before = 0;
    if (!json_int(json, "attributes.exp", &bundle->expires))
        bundle->expires = 0;
    read_operations(json, bundle);

err:
    json_free(json);
    return (ret);
}

static const char *
day_of(int64_t seconds, char *day, size_t size)
{
    time_t when = (time_t)seconds;
    struct tm tm;

    if (gmtime_r(&when, &tm) == NULL || strftime(day, size, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        (void)snprintf(day, size, "a day far away");
    return (day);
}

int
azure_check_wrap(const AZURE_BUNDLE *bundle, AZURE_ALGORITHM algorithm, int64_t now, STATUS *status)
{
    char day[64];

    if (!bundle->enabled) {
        (void)status_set(status, STATUS_DISABLED, "kms-disabled",
          "the key is disabled: it would wrap what it cannot unwrap");
        return (status_hint(status, "enable this version of the key, or name another"));
    }
    if (bundle->not_before != 0 && now < bundle->not_before)
        return (status_set(status, STATUS_DISABLED, "kms-disabled",
          "the key may not be used before %s", day_of(bundle->not_before, day, sizeof(day))));
    if (bundle->expires != 0 && now >= bundle->expires) {
        (void)status_set(status, STATUS_DISABLED, "kms-disabled", "the key expired on %s",
          day_of(bundle->expires, day, sizeof(day)));
        return (status_hint(status, "rotate the key in the vault, or move its expiry date"));
    }
    if (bundle->rsa != (algorithm == AZURE_RSA_OAEP_256)) {
        (void)status_set(status, STATUS_CONFIG, "kms-invalid", "%s does not fit %s key",
          azure_algorithm_name(algorithm), bundle->rsa ? "an RSA" : "a symmetric");
        return (status_hint(status, "set algorithm: %s",
          azure_algorithm_name(bundle->rsa ? AZURE_RSA_OAEP_256 : AZURE_A256KW)));
    }
    if (!bundle->may_wrap || !bundle->may_unwrap) {
        (void)status_set(status, STATUS_DENIED, "kms-denied",
          "the key's permitted operations (key_ops) lack %s",
          bundle->may_wrap ? "unwrapKey" : "wrapKey");
        return (status_hint(status, "az keyvault key set-attributes --ops wrapKey unwrapKey"));
    }
    return (0);
}

void
azure_bundle_detail(const AZURE_BUNDLE *bundle, int64_t now, char *detail, size_t size)
{
    char from[64], until[64], limits[160] = "";

    if (bundle->not_before > now)
        (void)snprintf(limits, sizeof(limits), ", not before %s",
          day_of(bundle->not_before, from, sizeof(from)));
    else if (bundle->expires != 0)
        (void)snprintf(limits, sizeof(limits), ", %s %s",
          now >= bundle->expires ? "expired" : "expires",
          day_of(bundle->expires, until, sizeof(until)));
    (void)snprintf(detail, size, "version %s%s%s", bundle->key.version,
      bundle->enabled ? "" : ", disabled", limits);
}

int
azure_reply_deleted(const HTTP_REPLY *reply, char *detail, size_t size, STATUS *status)
{
    JSON *json;
    int64_t purge;
    char day[64];

    if (json_parse(reply->body, reply->body_len, &json, status) != 0)
        return ((int)status->status_class);
    if (json_int(json, "scheduledPurgeDate", &purge))
        (void)snprintf(
          detail, size, "deleted, can be recovered until %s", day_of(purge, day, sizeof(day)));
    else
        (void)snprintf(detail, size, "deleted, can be recovered");
    json_free(json);
    return (0);
}
