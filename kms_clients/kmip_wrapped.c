/*
 * kms_clients/kmip_wrapped.c -- See kmip_wrapped.h.
 */
#include "kms_clients/kmip_wrapped.h"

#include "crypto/mac.h"
#include "crypto/xaes.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define CHECK_LEN KMIP_WRAPPED_CHECK_LEN

static size_t
put_field(uint8_t *p, const void *data, size_t len)
{
    p[0] = p[1] = 0;
    p[2] = (uint8_t)(len >> 8);
    p[3] = (uint8_t)len;
    memcpy(p + 4, data, len);
    return (4 + len);
}

int
kmip_aad(const KMS_CONTEXT *context, uint8_t aad[KMIP_AAD_MAX], size_t *lenp, STATUS *status)
{
    uint8_t id[8];
    size_t scope_len = strlen(context->scope), len = 0;
    int i;

    *lenp = 0;
    if (scope_len > KMIP_AAD_MAX - 3 * 4 - sizeof(context->keystore_uuid) - sizeof(id))
        return (status_set(status, STATUS_REFUSED, "kms-too-long",
          "the scope's name has %zu bytes, too many for KMIP", scope_len));
    for (i = 0; i < 8; i++)
        id[i] = (uint8_t)(context->master_key_id >> (8 * (7 - i)));
    len += put_field(aad + len, context->keystore_uuid, sizeof(context->keystore_uuid));
    len += put_field(aad + len, id, sizeof(id));
    len += put_field(aad + len, context->scope, scope_len);
    *lenp = len;
    return (0);
}

static int
digest(const uint8_t *bytes, size_t len, const uint8_t *aad, size_t aad_len,
  uint8_t check[CHECK_LEN], STATUS *status)
{
    uint8_t all[KMS_WRAPPED_MAX + KMIP_AAD_MAX], full[MAC_LEN];

    memcpy(all, bytes, len);
    memcpy(all + len, aad, aad_len);
    if (mac_sha256(all, len + aad_len, full, status) != 0)
        return ((int)status->status_class);
    memcpy(check, full, CHECK_LEN);
    return (0);
}

int
kmip_wrapped_encode(const KMIP_WRAPPED *wrapped, const uint8_t *aad, size_t aad_len,
  uint8_t **bytesp, size_t *lenp, STATUS *status)
{
    uint8_t *bytes, *p;
    bool at_server = wrapped->mode != KMIP_WRAPPED_LOCAL;

    *bytesp = NULL;
    *lenp = 0;
    if (wrapped->nonce_len > KMIP_NONCE_MAX || wrapped->data_len > KMS_WRAPPED_MAX / 2 ||
        wrapped->sealed_len > KMS_WRAPPED_MAX / 4)
        return (status_set(status, STATUS_BAD_REPLY, "kms-kmip-reply",
          "the answer has %zu bytes, more than are kept", wrapped->data_len));
    if ((p = bytes = malloc(3 + KMIP_NONCE_MAX + KMIP_TAG_LEN + 2 + wrapped->data_len +
                            wrapped->sealed_len + CHECK_LEN)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    *p++ = VERSION;
    *p++ = (uint8_t)wrapped->mode;
    *p++ = (uint8_t)(at_server ? wrapped->nonce_len : 0);
    if (at_server) {
        memcpy(p, wrapped->nonce, wrapped->nonce_len);
        p += wrapped->nonce_len;
        if (wrapped->mode == KMIP_WRAPPED_GCM) {
            memcpy(p, wrapped->tag, KMIP_TAG_LEN);
            p += KMIP_TAG_LEN;
        }
        *p++ = (uint8_t)(wrapped->data_len >> 8);
        *p++ = (uint8_t)wrapped->data_len;
        memcpy(p, wrapped->data, wrapped->data_len);
        p += wrapped->data_len;
    }
    if (wrapped->mode != KMIP_WRAPPED_GCM) {
        memcpy(p, wrapped->sealed, wrapped->sealed_len);
        p += wrapped->sealed_len;
    }
    if (digest(bytes, (size_t)(p - bytes), aad, aad_len, p, status) != 0) {
        free(bytes);
        return ((int)status->status_class);
    }
    *bytesp = bytes;
    *lenp = (size_t)(p - bytes) + CHECK_LEN;
    return (0);
}

static int
corrupt(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_CORRUPT, "kms-kmip-wrapped", "the wrapped bytes %s", what));
}

/* Take n bytes; false when there are fewer. */
static bool
take(const uint8_t **pp, const uint8_t *end, size_t n, const uint8_t **takenp)
{
    if ((size_t)(end - *pp) < n)
        return (false);
    *takenp = *pp;
    *pp += n;
    return (true);
}

int
kmip_wrapped_decode(const uint8_t *bytes, size_t len, const uint8_t *aad, size_t aad_len,
  KMIP_WRAPPED *wrapped, STATUS *status)
{
    uint8_t check[CHECK_LEN];
    const uint8_t *p = bytes, *end, *head;

    memset(wrapped, 0, sizeof(*wrapped));
    if (len < 3 + CHECK_LEN || len > KMS_WRAPPED_MAX || aad_len > KMIP_AAD_MAX)
        return (corrupt(status, "are too short or too long"));
    if (bytes[0] != VERSION)
        return (corrupt(status, "are of a version that is not known here"));
    end = bytes + len - CHECK_LEN;
    if (digest(bytes, len - CHECK_LEN, aad, aad_len, check, status) != 0)
        return ((int)status->status_class);
    if (memcmp(check, end, CHECK_LEN) != 0)
        return (corrupt(status, "are damaged, or were wrapped for another keystore, key or scope"));
    (void)take(&p, end, 3, &head);
    wrapped->mode = (KMIP_WRAPPED_MODE)head[1];
    wrapped->nonce_len = head[2];
    if (wrapped->mode < KMIP_WRAPPED_GCM || wrapped->mode > KMIP_WRAPPED_LOCAL ||
        wrapped->nonce_len > KMIP_NONCE_MAX)
        return (corrupt(status, "have an unknown mode"));
    if (wrapped->mode == KMIP_WRAPPED_LOCAL) {
        if (wrapped->nonce_len != 0)
            return (corrupt(status, "are malformed"));
    } else {
        if (!take(&p, end, wrapped->nonce_len, &wrapped->nonce) ||
            (wrapped->mode == KMIP_WRAPPED_GCM && !take(&p, end, KMIP_TAG_LEN, &wrapped->tag)) ||
            !take(&p, end, 2, &head))
            return (corrupt(status, "end too early"));
        wrapped->data_len = (size_t)head[0] << 8 | head[1];
        if (wrapped->data_len == 0 || !take(&p, end, wrapped->data_len, &wrapped->data))
            return (corrupt(status, "end too early"));
    }
    wrapped->sealed = p;
    wrapped->sealed_len = (size_t)(end - p);
    if (wrapped->mode == KMIP_WRAPPED_GCM ? wrapped->sealed_len != 0
                                          : wrapped->sealed_len <= XAES_WRAPPED_LEN(0))
        return (corrupt(status, "are malformed"));
    return (0);
}
