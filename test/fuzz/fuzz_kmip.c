/*
 * test/fuzz/fuzz_kmip.c -- libFuzzer: bytes as an answer of a KMIP server and as wrapped bytes.
 *
 * Whatever a client takes out of an answer lies inside it. What the reader of wrapped bytes takes is
 * written again byte for byte.
 */
#include "crypto/mac.h"
#include "kms_clients/kmip_message.h"
#include "kms_clients/kmip_wrapped.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t aad[] = "associated data";

static void
require(int truth)
{
    if (!truth)
        abort();
}

static void
look(const KMIP_RESULT *result, const uint8_t *data, size_t size)
{
    KMIP_OUTPUT output;
    char uid[KMIP_UID_MAX + 1];
    SECRET *key;
    STATUS s;
    size_t count;
    uint32_t state;
    int version;

    require(strlen(result->message) < sizeof(result->message));
    if (!result->has_payload)
        return;
    if (kmip_payload_output(result, "1", (size & 1) != 0, &output, &s) == 0)
        require(output.data >= data && output.data + output.len <= data + size &&
                output.nonce_len <= KMIP_NONCE_MAX);
    if (kmip_payload_key(result, "1", &key, &s) == 0)
        require(secret_len(key) >= 16 && secret_len(key) <= 64);
    secret_free(key);
    if (kmip_payload_state(result, "1", &state, &s) == 0)
        require(kmip_state_name(state) != NULL);
    if (kmip_payload_located(result, uid, &count, &s) == 0 && count > 0)
        require(kmip_uid_valid(uid));
    version = kmip_payload_versions(result, KMIP_VERSION_1_2, KMIP_VERSION_2_1);
    require(version == 0 || (version >= KMIP_VERSION_1_2 && version <= KMIP_VERSION_2_1));
}

/* The digest is made right: a fuzzer does not find it. */
static void
wrapped(const uint8_t *data, size_t size)
{
    uint8_t bytes[KMS_WRAPPED_MAX + sizeof(aad)], full[MAC_LEN], *again;
    KMIP_WRAPPED parts;
    size_t len;
    STATUS s;

    if (size + KMIP_WRAPPED_CHECK_LEN > KMS_WRAPPED_MAX)
        return;
    memcpy(bytes, data, size);
    memcpy(bytes + size, aad, sizeof(aad));
    require(mac_sha256(bytes, size + sizeof(aad), full, &s) == 0);
    memcpy(bytes + size, full, KMIP_WRAPPED_CHECK_LEN);
    if (kmip_wrapped_decode(bytes, size + KMIP_WRAPPED_CHECK_LEN, aad, sizeof(aad), &parts, &s) !=
        0) {
        require(s.status_class == STATUS_CORRUPT);
        return;
    }
    if (kmip_wrapped_encode(&parts, aad, sizeof(aad), &again, &len, &s) != 0) {
        require(s.status_class == STATUS_BAD_REPLY); /* longer than is ever written */
        return;
    }
    require(len == size + KMIP_WRAPPED_CHECK_LEN && memcmp(again, bytes, len) == 0);
    free(again);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const KMIP_OPERATION operations[] = {KMIP_ENCRYPT, KMIP_DECRYPT, KMIP_GET,
      KMIP_GET_ATTRIBUTES, KMIP_LOCATE, KMIP_DISCOVER_VERSIONS};
    KMIP_RESPONSE response;
    const KMIP_RESULT *result;
    STATUS s;
    size_t i, n;

    status_clear(&s);
    if (kmip_response_parse(data, size, &response, &s) == 0) {
        require(response.count > 0 && response.count <= KMIP_ITEMS_MAX);
        for (i = 0; i < response.count; i++)
            look(&response.results[i], data, size);
        for (i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
            for (n = 0; n < 3; n++)
                if (kmip_response_result(&response, n, operations[i], &result, &s) == 0)
                    require(result->has_payload && result->operation == (uint32_t)operations[i]);
    } else
        require(s.status_class == STATUS_BAD_REPLY);
    wrapped(data, size);
    return (0);
}
