/*
 * kms_clients/kmip_calls.c -- See kmip_calls.h.
 */
#include "kms_clients/kmip_calls.h"

#include "crypto/random.h"

#include <string.h>

#define GCM_NONCE_LEN 12
#define CBC_IV_LEN 16

/* The result, and the server's reason when it is a refusal. */
static int
result_of(KMIP_ASKED *call, const KMIP_RESPONSE *response, size_t n, KMIP_OPERATION operation,
  const KMIP_RESULT **resultp, STATUS *status)
{
    call->reason = 0;
    if (kmip_response_result(response, n, operation, resultp, status) == 0)
        return (0);
    call->reason = response->results[n < response->count ? n : response->count - 1].reason;
    return ((int)status->status_class);
}

static int
build_crypt(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    KMIP_ASKED *call = context;

    /* Refused here as a server without would: what asked goes on to another way. */
    if (call->cipher.gcm && header->version < KMIP_VERSION_1_4) {
        call->reason = KMIP_REASON_FEATURE_NOT_SUPPORTED;
        (void)status_set(status, STATUS_CONFIG, "kms-kmip-version",
          "associated data need KMIP 1.4 or newer, and %d.%d is spoken", header->version / 100,
          header->version % 100);
        return (status_hint(status, "set version: auto, or upgrade the key server"));
    }
    if (call->operation == KMIP_ENCRYPT) {
        call->cipher.nonce = call->nonce;
        call->cipher.nonce_len = call->nonce_len = call->cipher.gcm ? GCM_NONCE_LEN : CBC_IV_LEN;
        if (random_bytes(call->nonce, call->nonce_len, status) != 0)
            return ((int)status->status_class);
    }
    return (kmip_request_crypt(header, call->operation, call->uid, &call->cipher, call->data,
      call->data_len, messagep, status));
}

static int
parse_crypt(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ASKED *call = context;
    const KMIP_RESULT *result;
    KMIP_OUTPUT output;
    bool encrypt = call->operation == KMIP_ENCRYPT;

    if (result_of(call, response, 0, call->operation, &result, status) != 0 ||
        kmip_payload_output(result, call->uid, encrypt && call->cipher.gcm, &output, status) != 0)
        return ((int)status->status_class);
    if (!encrypt)
        return (secret_new_copy(output.data, output.len, &call->secret, status));
    if (output.len > KMS_WRAPPED_MAX / 2)
        return (status_set(status, STATUS_BAD_REPLY, "kms-kmip-reply",
          "the answer has %zu bytes, more than are kept", output.len));
    memcpy(call->encrypted, output.data, output.len);
    call->encrypted_len = output.len;
    if (output.nonce != NULL) { /* its own instead of ours */
        memcpy(call->nonce, output.nonce, output.nonce_len);
        call->nonce_len = output.nonce_len;
    }
    if (output.tag != NULL)
        memcpy(call->tag, output.tag, KMIP_TAG_LEN);
    return (0);
}

static int
build_get(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    return (kmip_request_get(header, ((KMIP_ASKED *)context)->uid, messagep, status));
}

static int
parse_get(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ASKED *call = context;
    const KMIP_RESULT *result;

    if (result_of(call, response, 0, KMIP_GET_ATTRIBUTES, &result, status) != 0 ||
        kmip_payload_state(result, call->uid, &call->state, status) != 0 ||
        result_of(call, response, 1, KMIP_GET, &result, status) != 0)
        return ((int)status->status_class);
    return (kmip_payload_key(result, call->uid, &call->secret, status));
}

static int
build_state(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    return (kmip_request_state(header, ((KMIP_ASKED *)context)->uid, messagep, status));
}

static int
parse_state(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ASKED *call = context;
    const KMIP_RESULT *result;

    if (result_of(call, response, 0, KMIP_GET_ATTRIBUTES, &result, status) != 0)
        return ((int)status->status_class);
    return (kmip_payload_state(result, call->uid, &call->state, status));
}

static int
build_locate(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    return (kmip_request_locate(header, ((KMIP_ASKED *)context)->name, messagep, status));
}

static int
parse_locate(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ASKED *call = context;
    const KMIP_RESULT *result;

    if (result_of(call, response, 0, KMIP_LOCATE, &result, status) != 0)
        return ((int)status->status_class);
    return (kmip_payload_located(result, call->found, &call->located, status));
}

static int
build_create(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    return (kmip_request_create(header, ((KMIP_ASKED *)context)->name, messagep, status));
}

static int
parse_create(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ASKED *call = context;
    const KMIP_RESULT *result;

    if (result_of(call, response, 0, KMIP_CREATE, &result, status) != 0)
        return ((int)status->status_class);
    return (kmip_payload_uid(result, call->found, status));
}

static int
build_activate(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    return (kmip_request_activate(header, ((KMIP_ASKED *)context)->uid, messagep, status));
}

static int
parse_activate(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    const KMIP_RESULT *result;

    return (result_of(context, response, 0, KMIP_ACTIVATE, &result, status));
}

const KMIP_CALL kmip_call_crypt = {build_crypt, parse_crypt, true};
const KMIP_CALL kmip_call_get = {build_get, parse_get, true};
const KMIP_CALL kmip_call_state = {build_state, parse_state, true};
const KMIP_CALL kmip_call_locate = {build_locate, parse_locate, true};
const KMIP_CALL kmip_call_create = {build_create, parse_create, false};
const KMIP_CALL kmip_call_activate = {build_activate, parse_activate, false};
