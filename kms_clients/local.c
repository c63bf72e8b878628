/*
 * kms_clients/local.c -- Provider "local": a key in a file, as mongod's --encryptionKeyFile has it.
 *
 * The file's key is used for nothing itself: HKDF makes of it the key that wraps (XAES-256-GCM) and
 * a public fingerprint, which names the key in a keystore. So another key file is not tried and
 * found wrong, it is told apart by name.
 */
#include "kms_clients/kms_client_provider.h"

#include "common/file.h"
#include "crypto/encode.h"
#include "crypto/mac.h"
#include "crypto/xaes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_LEN 32
#define KEY_FILE_MAX 1024 /* bytes; base64 of a key is 44, editors add white space */
#define ID_PREFIX "local:"
#define ID_DIGITS 32
#define LABEL_ID "wtkms/1/local-id"
#define LABEL_WRAP "wtkms/1/local-wrap"

typedef struct {
    char *key_file;
} LOCAL_OPTIONS;

static const CONFIG_OPTION local_options[] = {
  {.name = "keyFile",
    .type = OPTION_PATH,
    .offset = offsetof(LOCAL_OPTIONS, key_file),
    .required = true,
    .help = "File with 32 random bytes in base64, as wtkms keygen makes it."},
  {.name = NULL}};

typedef struct {
    SECRET *wrap_key;
    char key_id[sizeof(ID_PREFIX) + ID_DIGITS];
    char credential[KMS_CREDENTIAL_MAX + 1];
} LOCAL_STATE;

static void
local_close(void *state)
{
    LOCAL_STATE *local = state;

    if (local == NULL)
        return;
    secret_free(local->wrap_key);
    free(local);
}

static int
malformed(const CONFIG_NODE *entry, const char *path, STATUS *status)
{
    (void)config_error(config_get(entry, local_options[0].name), status, "kms-local-key-file",
      "%s: %s does not hold 32 bytes in base64", local_options[0].name, path);
    return (status_hint(status, "bring the key file back from where you keep it; for a new "
                                "database make one: wtkms keygen FILE"));
}

static int
read_key_file(const CONFIG_NODE *entry, const char *path, SECRET **keyp, STATUS *status)
{
    SECRET *text = NULL;
    int ret;

    *keyp = NULL;
    if (kms_secret_file_read(entry, local_options[0].name, path, KEY_FILE_MAX, &text, status) !=
        0) {
        if (strcmp(status->id, "file-missing") == 0 || strcmp(status->id, "kms-secret-file") == 0)
            (void)status_hint(status, "bring the key file back from where you keep it; for a new "
                                      "database make one: wtkms keygen FILE");
        return ((int)status->status_class);
    }
    ret =
      encode_base64_decode_secret((const char *)secret_bytes(text), secret_len(text), keyp, status);
    secret_free(text);
    if (ret == STATUS_NO_MEMORY)
        return (ret);
    if (ret == 0 && secret_len(*keyp) == KEY_LEN)
        return (0);
    secret_free(*keyp);
    *keyp = NULL;
    return (malformed(entry, path, status));
}

static int
local_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const LOCAL_OPTIONS *local_file = options;
    LOCAL_STATE *local = NULL;
    SECRET *key = NULL;
    uint8_t fingerprint[ID_DIGITS / 2];

    (void)log;
    *statep = NULL;
    *key_idp = NULL;
    if (strlen(local_file->key_file) > KMS_CREDENTIAL_MAX)
        return (config_error(config_get(entry, local_options[0].name), status, "kms-path",
          "%s: the path is longer than %d bytes", local_options[0].name, KMS_CREDENTIAL_MAX));
    if (read_key_file(entry, local_file->key_file, &key, status) != 0)
        goto err;
    if ((local = calloc(1, sizeof(*local))) == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a local key");
        goto err;
    }
    if (mac_derive(key, LABEL_WRAP, XAES_KEY_LEN, &local->wrap_key, status) != 0 ||
        mac_derive_public(key, NULL, 0, LABEL_ID, fingerprint, sizeof(fingerprint), status) != 0)
        goto err;
    memcpy(local->key_id, ID_PREFIX, sizeof(ID_PREFIX) - 1);
    encode_hex(fingerprint, sizeof(fingerprint), local->key_id + sizeof(ID_PREFIX) - 1);
    (void)snprintf(local->credential, sizeof(local->credential), "%s", local_file->key_file);
    secret_free(key);
    *statep = local;
    *key_idp = local->key_id;
    return (0);

err:
    secret_free(key);
    local_close(local);
    return ((int)status->status_class);
}

static uint8_t *
put_field(uint8_t *p, const void *data, size_t len)
{
    int i;

    for (i = 0; i < 4; i++)
        *p++ = (uint8_t)(len >> (8 * i));
    memcpy(p, data, len);
    return (p + len);
}

/*
 * What a wrapped key is bound to: uuid, master key id and scope, each behind its length in four
 * bytes, all numbers little-endian. The caller frees *aadp.
 */
static int
make_aad(const KMS_CONTEXT *context, uint8_t **aadp, size_t *lenp, STATUS *status)
{
    uint8_t id[8], *p;
    size_t scope_len = strlen(context->scope);
    int i;

    *lenp = 3 * 4 + sizeof(context->keystore_uuid) + sizeof(id) + scope_len;
    if (scope_len > UINT32_MAX || (*aadp = malloc(*lenp)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    for (i = 0; i < 8; i++)
        id[i] = (uint8_t)(context->master_key_id >> (8 * i));
    p = put_field(*aadp, context->keystore_uuid, sizeof(context->keystore_uuid));
    p = put_field(p, id, sizeof(id));
    (void)put_field(p, context->scope, scope_len);
    return (0);
}

static int
local_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    const LOCAL_STATE *local = state;
    uint8_t *aad = NULL;
    size_t aad_len;
    int ret;

    (void)timeout_ms;
    if (make_aad(context, &aad, &aad_len, status) != 0)
        return ((int)status->status_class);
    wrapped->wrapped_len = XAES_WRAPPED_LEN(secret_len(plaintext));
    wrapped->wrapped = malloc(wrapped->wrapped_len);
    wrapped->key_id = strdup(local->key_id);
    wrapped->credential = strdup(local->credential);
    if (wrapped->wrapped == NULL || wrapped->key_id == NULL || wrapped->credential == NULL)
        ret = status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key");
    else
        ret = xaes_wrap(local->wrap_key, aad, aad_len, plaintext, wrapped->wrapped, status);
    free(aad);
    return (ret);
}

static int
local_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    const LOCAL_STATE *local = state;
    uint8_t *aad = NULL;
    size_t aad_len;
    int ret;

    (void)timeout_ms;
    if (make_aad(context, &aad, &aad_len, status) != 0)
        return ((int)status->status_class);
    ret = xaes_unwrap(
      local->wrap_key, aad, aad_len, recorded->wrapped, recorded->wrapped_len, plaintextp, status);
    free(aad);
    return (ret);
}

static int
local_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    const LOCAL_STATE *local = state;

    (void)timeout_ms;
    (void)status;
    info->state = KMS_KEY_ENABLED;
    (void)snprintf(info->key_id, sizeof(info->key_id), "%s", key_id);
    (void)snprintf(info->detail, sizeof(info->detail), "key file %.200s", local->credential);
    return (0);
}

static int
local_key_id_check(const char *key_id, STATUS *status)
{
    return (kms_client_check_fingerprint(key_id, ID_PREFIX, ID_DIGITS, status));
}

int
kms_local_key_file_write(const char *path, STATUS *status)
{
    SECRET *key = NULL, *text = NULL;
    const char *name;
    int dirfd = -1;
    size_t len;

    if (file_split_path(path, &dirfd, &name, status) != 0 ||
        secret_new_random(KEY_LEN, &key, status) != 0 ||
        secret_new(ENCODE_BASE64_SIZE(KEY_LEN), &text, status) != 0)
        goto err;
    len = encode_base64(secret_bytes(key), KEY_LEN, (char *)secret_data(text));
    secret_data(text)[len++] = '\n'; /* in the NUL's place */
    if (file_create(dirfd, name, secret_bytes(text), len, 0600, status) != 0) {
        if (strcmp(status->id, "file-exists") == 0)
            (void)status_hint(status,
              "a key file is never overwritten: what it wrapped could not be opened any more");
        goto err;
    }
    secret_free(key);
    secret_free(text);
    (void)close(dirfd);
    return (0);

err:
    secret_free(key);
    secret_free(text);
    if (dirfd != -1)
        (void)close(dirfd);
    return ((int)status->status_class);
}

const KMS_PROVIDER kms_local = {
  .name = "local",
  .options = local_options,
  .options_size = sizeof(LOCAL_OPTIONS),
  .open = local_open,
  .close = local_close,
  .wrap = local_wrap,
  .key_id_check = local_key_id_check,
  .unwrap = local_unwrap,
  .describe = local_describe,
};
