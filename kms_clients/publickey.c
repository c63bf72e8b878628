/*
 * kms_clients/publickey.c -- Provider "publickey": an RSA public key whose private half is kept
 * offline, for the day when all other recipients are lost. It only wraps.
 */
#include "kms_clients/kms_client_provider.h"

#include "common/file.h"
#include "crypto/encode.h"
#include "crypto/rsa.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX (64 * 1024) /* bytes of the file */
#define ID_PREFIX "publickey:"
#define ID_DIGITS (2 * RSA_FINGERPRINT_LEN)

typedef struct {
    char *public_key_file;
} PUBLICKEY_OPTIONS;

static const CONFIG_OPTION publickey_options[] = {
  {.name = "publicKeyFile",
    .type = OPTION_PATH,
    .offset = offsetof(PUBLICKEY_OPTIONS, public_key_file),
    .required = true,
    .help = "File with an RSA public key of 2048 bits or more in PEM, \"BEGIN PUBLIC KEY\"."},
  {.name = NULL}};

typedef struct {
    uint8_t *pem;
    size_t pem_len;
    char key_id[sizeof(ID_PREFIX) + ID_DIGITS];
    char credential[KMS_CREDENTIAL_MAX + 1];
} PUBLICKEY_STATE;

static void
publickey_close(void *state)
{
    PUBLICKEY_STATE *publickey = state;

    if (publickey == NULL)
        return;
    /* Wiped, since what was given by mistake may have been the private key. */
    if (publickey->pem != NULL)
        secret_wipe(publickey->pem, publickey->pem_len);
    free(publickey->pem);
    free(publickey);
}

static int
load(PUBLICKEY_STATE *publickey, const char *path, STATUS *status)
{
    uint8_t fingerprint[RSA_FINGERPRINT_LEN];

    if (file_read(
          AT_FDCWD, path, PEM_MAX, false, NULL, &publickey->pem, &publickey->pem_len, status) != 0)
        return ((int)status->status_class);
    if (memmem(publickey->pem, publickey->pem_len, "PRIVATE KEY", strlen("PRIVATE KEY")) != NULL) {
        (void)status_set(status, STATUS_CONFIG, "kms-private-key",
          "%s holds a private key, which does not belong on this machine", path);
        return (status_hint(
          status, "keep it offline; make the public half with: openssl pkey -in FILE -pubout"));
    }
    if (rsa_public_fingerprint(publickey->pem, publickey->pem_len, fingerprint, status) != 0)
        return (status_add(status, "in %s", path));
    memcpy(publickey->key_id, ID_PREFIX, sizeof(ID_PREFIX) - 1);
    encode_hex(fingerprint, sizeof(fingerprint), publickey->key_id + sizeof(ID_PREFIX) - 1);
    (void)snprintf(publickey->credential, sizeof(publickey->credential), "%s", path);
    return (0);
}

static int
publickey_open(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const char *path = ((const PUBLICKEY_OPTIONS *)options)->public_key_file;
    PUBLICKEY_STATE *publickey;

    (void)log;
    *statep = NULL;
    *key_idp = NULL;
    if (strlen(path) > KMS_CREDENTIAL_MAX)
        return (config_error(config_get(entry, publickey_options[0].name), status, "kms-path",
          "%s: the path is longer than %d bytes", publickey_options[0].name, KMS_CREDENTIAL_MAX));
    if ((publickey = calloc(1, sizeof(*publickey))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a public key"));
    if (load(publickey, path, status) != 0) {
        publickey_close(publickey);
        return (kms_client_at_option(entry, publickey_options[0].name, status));
    }
    *statep = publickey;
    *key_idp = publickey->key_id;
    return (0);
}

/* OAEP has no associated data here: the payload itself says what it belongs to. */
static int
publickey_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    const PUBLICKEY_STATE *publickey = state;

    (void)timeout_ms;
    (void)context;
    wrapped->wrapped = malloc(RSA_MAX_BYTES);
    wrapped->key_id = strdup(publickey->key_id);
    wrapped->credential = strdup(publickey->credential);
    if (wrapped->wrapped == NULL || wrapped->key_id == NULL || wrapped->credential == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    return (rsa_wrap(publickey->pem, publickey->pem_len, plaintext, wrapped->wrapped,
      &wrapped->wrapped_len, status));
}

static int
publickey_key_id_check(const char *key_id, STATUS *status)
{
    return (kms_client_check_fingerprint(key_id, ID_PREFIX, ID_DIGITS, status));
}

const KMS_PROVIDER kms_publickey = {
  .name = "publickey",
  .options = publickey_options,
  .options_size = sizeof(PUBLICKEY_OPTIONS),
  .open = publickey_open,
  .close = publickey_close,
  .wrap = publickey_wrap,
  .key_id_check = publickey_key_id_check,
};
