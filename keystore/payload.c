/*
 * keystore/payload.c -- Payloads, commitments, the wrap of data keys. See payload.h.
 */
#include "keystore/payload.h"

#include "keystore/keystore_format.h"
#include "kms_clients/kms_client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PAYLOAD_HEAD_LEN (1 + KEYSTORE_UUID_LEN + 8 + 1)
#define COMMIT_LABEL "wtkms/1/commit"
#define AAD_MAX (KEYSTORE_UUID_LEN + 8 + 2 + KEYSTORE_KEYID_MAX + 4 + 8)

_Static_assert(PAYLOAD_HEAD_LEN + KEYSTORE_SCOPE_MAX + KEYSTORE_MASTER_KEY_LEN <= KMS_PLAINTEXT_MAX,
  "every key service can wrap a payload");

static uint8_t *
put(uint8_t *p, uint64_t value, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        *p++ = (uint8_t)(value >> 8 * i);
    return (p);
}

static uint8_t *
put_bytes(uint8_t *p, const void *data, size_t len)
{
    memcpy(p, data, len);
    return (p + len);
}

static uint8_t *
put_head(
  uint8_t *p, const uint8_t uuid[KEYSTORE_UUID_LEN], uint64_t master_key_id, const char *scope)
{
    size_t len = strlen(scope);

    p = put(p, PAYLOAD_VERSION, 1);
    p = put_bytes(p, uuid, KEYSTORE_UUID_LEN);
    p = put(p, master_key_id, 8);
    p = put(p, len, 1);
    return (put_bytes(p, scope, len));
}

int
payload_new(const uint8_t uuid[KEYSTORE_UUID_LEN], uint64_t master_key_id, const char *scope,
  const SECRET *key, SECRET **payloadp, STATUS *status)
{
    uint8_t *p;
    int ret;

    *payloadp = NULL;
    if (strlen(scope) > KEYSTORE_SCOPE_MAX || secret_len(key) != KEYSTORE_MASTER_KEY_LEN)
        return (status_set(status, STATUS_INTERNAL, "payload", "a payload of the wrong size"));
    if ((ret = secret_new(
           PAYLOAD_HEAD_LEN + strlen(scope) + KEYSTORE_MASTER_KEY_LEN, payloadp, status)) != 0)
        return (ret);
    p = put_head(secret_data(*payloadp), uuid, master_key_id, scope);
    (void)put_bytes(p, secret_bytes(key), KEYSTORE_MASTER_KEY_LEN);
    return (0);
}

int
payload_open(const SECRET *payload, const uint8_t uuid[KEYSTORE_UUID_LEN], uint64_t master_key_id,
  const char *scope, SECRET **keyp, STATUS *status)
{
    uint8_t head[PAYLOAD_HEAD_LEN + KEYSTORE_SCOPE_MAX];
    size_t len = PAYLOAD_HEAD_LEN + strlen(scope);

    *keyp = NULL;
    if (strlen(scope) > KEYSTORE_SCOPE_MAX)
        return (status_set(status, STATUS_INTERNAL, "payload", "a payload of the wrong size"));
    (void)put_head(head, uuid, master_key_id, scope);
    if (secret_len(payload) != len + KEYSTORE_MASTER_KEY_LEN ||
        !mac_equal(secret_bytes(payload), head, len))
        return (status_set(status, STATUS_CORRUPT, "payload-other",
          "what the key service unwrapped is not master key %016" PRIx64
          " of scope \"%s\" of this keystore",
          master_key_id, scope));
    return (secret_new_copy(secret_bytes(payload) + len, KEYSTORE_MASTER_KEY_LEN, keyp, status));
}

int
payload_commit(
  const SECRET *key, uint64_t id, uint8_t commitment[KEYSTORE_COMMITMENT_LEN], STATUS *status)
{
    uint8_t salt[8];

    (void)put(salt, id, sizeof(salt));
    return (mac_derive_public(
      key, salt, sizeof(salt), COMMIT_LABEL, commitment, KEYSTORE_COMMITMENT_LEN, status));
}

/* --- data keys */

struct payload_wrapper {
    XAES *xaes;
    MAC_HKDF *hkdf;
};

int
payload_wrapper_new(PAYLOAD_WRAPPER **wrapperp, STATUS *status)
{
    PAYLOAD_WRAPPER *wrapper;
    int ret;

    *wrapperp = NULL;
    if ((wrapper = calloc(1, sizeof(*wrapper))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for wrapping data keys"));
    if ((ret = xaes_new(&wrapper->xaes, status)) != 0 ||
        (ret = mac_hkdf_new(&wrapper->hkdf, status)) != 0) {
        payload_wrapper_free(wrapper);
        return (ret);
    }
    *wrapperp = wrapper;
    return (0);
}

void
payload_wrapper_free(PAYLOAD_WRAPPER *wrapper)
{
    if (wrapper == NULL)
        return;
    xaes_free(wrapper->xaes);
    mac_hkdf_free(wrapper->hkdf);
    free(wrapper);
}

/* payload_commit, by what is there already. */
static int
commit(PAYLOAD_WRAPPER *wrapper, const SECRET *key, uint64_t id,
  uint8_t commitment[KEYSTORE_COMMITMENT_LEN], STATUS *status)
{
    uint8_t block[MAC_LEN], salt[8];
    int ret;

    _Static_assert(KEYSTORE_COMMITMENT_LEN <= MAC_LEN, "a commitment is of HKDF's first block");
    (void)put(salt, id, sizeof(salt));
    if ((ret = mac_hkdf_derive(
           wrapper->hkdf, key, salt, sizeof(salt), COMMIT_LABEL, block, status)) == 0)
        memcpy(commitment, block, KEYSTORE_COMMITMENT_LEN);
    return (ret);
}

static size_t
make_aad(
  uint8_t aad[AAD_MAX], const uint8_t uuid[KEYSTORE_UUID_LEN], const KEYSTORE_DATA_KEY *data_key)
{
    size_t len = strlen(data_key->keyid);
    uint8_t *p = aad;

    p = put_bytes(p, uuid, KEYSTORE_UUID_LEN);
    p = put(p, data_key->id, 8);
    p = put(p, len, 2);
    p = put_bytes(p, data_key->keyid, len);
    p = put(p, data_key->version, 4);
    p = put(p, data_key->master_key_id, 8);
    return ((size_t)(p - aad));
}

static int
check_sizes(const KEYSTORE_DATA_KEY *data_key, const SECRET *secret, STATUS *status)
{
    if (strlen(data_key->keyid) > KEYSTORE_KEYID_MAX || secret_len(secret) != KEYSTORE_DATA_KEY_LEN)
        return (status_set(status, STATUS_INTERNAL, "payload", "a data key of the wrong size"));
    return (0);
}

int
payload_rewrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  STATUS *status)
{
    uint8_t aad[AAD_MAX];
    int ret;

    if ((ret = check_sizes(data_key, secret, status)) != 0)
        return (ret);
    return (xaes_wrap_by(wrapper->xaes, wrap_key, aad, make_aad(aad, uuid, data_key), secret,
      data_key->wrapped, status));
}

int
payload_wrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  STATUS *status)
{
    int ret;

    if ((ret = check_sizes(data_key, secret, status)) != 0 ||
        (ret = commit(wrapper, secret, data_key->id, data_key->commitment, status)) != 0)
        return (ret);
    return (payload_rewrap_data_key(wrapper, wrap_key, uuid, data_key, secret, status));
}

static int
check_commitment(PAYLOAD_WRAPPER *wrapper, const KEYSTORE_DATA_KEY *data_key, const SECRET *secret,
  const PAYLOAD_KNOWN *known, STATUS *status)
{
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN];
    int ret;

    if (known != NULL && memcmp(known->commitment, data_key->commitment, sizeof(commitment)) == 0 &&
        secret_equal(known->secret, secret))
        return (0);
    if ((ret = commit(wrapper, secret, data_key->id, commitment, status)) != 0)
        return (ret);
    if (!mac_equal(commitment, data_key->commitment, sizeof(commitment)))
        return (status_set(status, STATUS_CORRUPT, "keystore-commitment",
          "data key %016" PRIx64 " of keyid \"%s\" is not the key that was committed to",
          data_key->id, data_key->keyid));
    return (0);
}

int
payload_unwrap_data_key(PAYLOAD_WRAPPER *wrapper, const SECRET *wrap_key,
  const uint8_t uuid[KEYSTORE_UUID_LEN], const KEYSTORE_DATA_KEY *data_key,
  const PAYLOAD_KNOWN *known, SECRET **secretp, STATUS *status)
{
    SECRET *secret = NULL;
    uint8_t aad[AAD_MAX];
    int ret;

    *secretp = NULL;
    if ((ret = xaes_unwrap_by(wrapper->xaes, wrap_key, aad, make_aad(aad, uuid, data_key),
           data_key->wrapped, sizeof(data_key->wrapped), &secret, status)) != 0) {
        (void)status_add(
          status, "data key %016" PRIx64 " of keyid \"%s\"", data_key->id, data_key->keyid);
        return (ret);
    }
    if ((ret = check_commitment(wrapper, data_key, secret, known, status)) != 0) {
        secret_free(secret);
        return (ret);
    }
    *secretp = secret;
    return (0);
}
