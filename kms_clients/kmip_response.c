/*
 * kms_clients/kmip_response.c -- KMIP responses and what their reasons mean. See kmip_message.h.
 */
#include "kms_clients/kmip_message.h"

#include "kms_clients/kmip_tags.h"

#include <stdio.h>
#include <string.h>

#define KEY_MIN 16
#define KEY_MAX 64

static int
bad_reply(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_BAD_REPLY, "kms-kmip-reply", "the answer %s", what));
}

const char *
kmip_state_name(uint32_t state)
{
    static const char *const names[] = {"pre-active: it was never activated", "active",
      "deactivated", "compromised", "destroyed", "destroyed, compromised"};

    if (state >= KMIP_STATE_PRE_ACTIVE && state <= KMIP_STATE_DESTROYED_COMPROMISED)
        return (names[state - KMIP_STATE_PRE_ACTIVE]);
    return ("unknown state");
}

const char *
kmip_operation_name(KMIP_OPERATION operation)
{
    switch (operation) {
    case KMIP_CREATE:
        return ("Create");
    case KMIP_LOCATE:
        return ("Locate");
    case KMIP_GET:
        return ("Get");
    case KMIP_GET_ATTRIBUTES:
        return ("Get Attributes");
    case KMIP_ACTIVATE:
        return ("Activate");
    case KMIP_DISCOVER_VERSIONS:
        return ("Discover Versions");
    case KMIP_ENCRYPT:
        return ("Encrypt");
    case KMIP_DECRYPT:
        return ("Decrypt");
    }
    return ("unknown operation");
}

/* --- reasons */

#define REASON_INVALID_FIELD 0x07
#define REASON_CRYPTOGRAPHIC_FAILURE 0x0a

/*
 * KMIP 1.4, 9.1.3.2.29 and 11; 2.1, 11.51. What stops a database, NOT_FOUND and DISABLED, is only what says
 * so in these words. General Failure is "other than all others": as a 500, not the key's fault.
 */
static const struct {
    uint32_t reason;
    STATUS_CLASS status_class;
    const char *name;
} reasons[] = {
  {0x01, STATUS_NOT_FOUND, "Item Not Found"},
  {0x02, STATUS_BAD_REPLY, "Response Too Large"},
  {0x03, STATUS_UNAUTHENTICATED, "Authentication Not Successful"},
  {0x04, STATUS_BAD_REPLY, "Invalid Message"},
  {0x05, STATUS_CONFIG, "Operation Not Supported"},
  {0x06, STATUS_BAD_REPLY, "Missing Data"},
  {REASON_INVALID_FIELD, STATUS_BAD_REPLY, "Invalid Field"},
  {0x08, STATUS_CONFIG, "Feature Not Supported"},
  {0x09, STATUS_UNAVAILABLE, "Operation Canceled By Requester"},
  {REASON_CRYPTOGRAPHIC_FAILURE, STATUS_BAD_REPLY, "Cryptographic Failure"},
  {0x0b, STATUS_DENIED, "Illegal Operation"},
  {0x0c, STATUS_DENIED, "Permission Denied"},
  {0x0d, STATUS_DENIED, "Object Archived"},
  {0x10, STATUS_CONFIG, "Key Format Type Not Supported"},
  {0x11, STATUS_CONFIG, "Key Compression Type Not Supported"},
  {0x13, STATUS_DENIED, "Key Value Not Present"},
  {0x14, STATUS_DENIED, "Attestation Required"},
  {0x15, STATUS_DENIED, "Attestation Failed"},
  {0x16, STATUS_DENIED, "Sensitive"},
  {0x17, STATUS_DENIED, "Not Extractable"},
  {0x18, STATUS_REFUSED, "Object Already Exists"},
  {0x19, STATUS_UNAUTHENTICATED, "Invalid Ticket"},
  {0x1a, STATUS_DENIED, "Usage Limit Exceeded"},
  {0x24, STATUS_CONFIG, "Bad Cryptographic Parameters"},
  {0x25, STATUS_UNAUTHENTICATED, "Bad Password"},
  {0x28, STATUS_CONFIG, "Illegal Object Type"},
  {0x29, STATUS_DENIED, "Incompatible Cryptographic Usage Mask"},
  {0x2a, STATUS_UNAVAILABLE, "Internal Server Error"},
  {0x30, STATUS_CONFIG, "Invalid Object Type"},
  {0x35, STATUS_REFUSED, "Non Unique Name Attribute"},
  {0x36, STATUS_DISABLED, "Object Destroyed"},
  {0x37, STATUS_NOT_FOUND, "Object Not Found"},
  {0x39, STATUS_DENIED, "Not Authorised"},
  {0x3a, STATUS_UNAVAILABLE, "Server Limit Exceeded"},
  {0x3e, STATUS_CONFIG, "Unsupported Cryptographic Parameters"},
  {0x3f, STATUS_CONFIG, "Unsupported Protocol Version"},
  {0x43, STATUS_DENIED, "Wrong Key Lifecycle State"},
  {0x44, STATUS_UNAVAILABLE, "Protection Storage Unavailable"},
  {0x100, STATUS_UNAVAILABLE, "General Failure"},
};

STATUS_CLASS
kmip_reason_class(uint32_t reason, KMIP_OPERATION operation, const char **namep)
{
    size_t i;

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].reason == reason) {
            *namep = reasons[i].name;
            /* What does not decrypt is damaged, or was never encrypted with this key. */
            if (reason == REASON_CRYPTOGRAPHIC_FAILURE && operation == KMIP_DECRYPT)
                return (STATUS_CORRUPT);
            return (reasons[i].status_class);
        }
    *namep = "another reason";
    return (STATUS_BAD_REPLY);
}

bool
kmip_reason_is_state(uint32_t reason)
{
    return (reason == 0x0b || reason == 0x0c || reason == 0x39 || reason == 0x43);
}

bool
kmip_reason_is_unable(uint32_t reason)
{
    return (reason == 0x05 || reason == REASON_INVALID_FIELD || reason == 0x08 || reason == 0x24 ||
            reason == 0x3b || reason == 0x3d || reason == 0x3e);
}

static void
hint(STATUS_CLASS status_class, uint32_t reason, STATUS *status)
{
    switch (status_class) {
    case STATUS_NOT_FOUND:
        (void)status_hint(status, "the server knows no such key: check `key`, and whether the key "
                                  "was destroyed");
        break;
    case STATUS_DENIED:
        (void)status_hint(status, reason == 0x16 || reason == 0x17
                                    ? "the key may not leave the server: use `mode: encrypt`"
                                    : "let the client certificate's identity use this key: "
                                      "Encrypt, Decrypt, Get Attributes");
        break;
    case STATUS_UNAUTHENTICATED:
        (void)status_hint(status, "register the client certificate with the key server, look at "
                                  "its end date and its use (clientAuth), or check the password");
        break;
    case STATUS_CONFIG:
        (void)status_hint(status, "try another `mode` or `version`");
        break;
    default:
        break;
    }
}

static int
result_error(const KMIP_RESULT *result, KMIP_OPERATION operation, STATUS *status)
{
    const char *name;
    STATUS_CLASS status_class;

    if (result->result != 1)
        return (bad_reply(status, result->result == 2 ? "is pending, but was not asked for later"
                                                      : "has an unknown result status"));
    status_class = kmip_reason_class(result->reason, operation, &name);
    (void)status_set(status, status_class, "kms-kmip-refused", "%s: %s (%#lx)%s%s",
      kmip_operation_name(operation), name, (unsigned long)result->reason,
      result->message[0] == '\0' ? "" : ": ", result->message);
    hint(status_class, result->reason, status);
    return ((int)status_class);
}

/* --- the message */

static bool
read_version(const KMIP_ITEM *version, int *versionp)
{
    KMIP_ITEM major, minor;

    if (!kmip_ttlv_find(version, TAG_PROTOCOL_VERSION_MAJOR, KMIP_INTEGER, &major) ||
        !kmip_ttlv_find(version, TAG_PROTOCOL_VERSION_MINOR, KMIP_INTEGER, &minor) ||
        kmip_ttlv_number(&major) > 99 || kmip_ttlv_number(&minor) > 99)
        return (false);
    *versionp = (int)(kmip_ttlv_number(&major) * 100 + kmip_ttlv_number(&minor));
    return (true);
}

static int
read_result(const KMIP_ITEM *batch_item, KMIP_RESULT *result, STATUS *status)
{
    KMIP_ITEM item;
    size_t len;

    memset(result, 0, sizeof(*result));
    if (kmip_ttlv_find(batch_item, TAG_OPERATION, KMIP_ENUMERATION, &item))
        result->operation = kmip_ttlv_number(&item);
    if (!kmip_ttlv_find(batch_item, TAG_RESULT_STATUS, KMIP_ENUMERATION, &item))
        return (bad_reply(status, "has no result status"));
    result->result = kmip_ttlv_number(&item);
    if (kmip_ttlv_find(batch_item, TAG_RESULT_REASON, KMIP_ENUMERATION, &item))
        result->reason = kmip_ttlv_number(&item);
    if (kmip_ttlv_find(batch_item, TAG_RESULT_MESSAGE, KMIP_TEXT, &item)) {
        len = item.len < sizeof(result->message) ? item.len : sizeof(result->message) - 1;
        memcpy(result->message, item.value, len);
        status_make_printable(result->message);
    }
    result->has_payload =
      kmip_ttlv_find(batch_item, TAG_RESPONSE_PAYLOAD, KMIP_STRUCTURE, &result->payload);
    return (0);
}

int
kmip_response_parse(const void *message, size_t len, KMIP_RESPONSE *response, STATUS *status)
{
    KMIP_ITEM root, header, version, count, item;
    size_t offset = 0;

    memset(response, 0, sizeof(*response));
    if (kmip_ttlv_parse(message, len, &root, status) != 0)
        return ((int)status->status_class);
    if (root.tag != TAG_RESPONSE_MESSAGE)
        return (bad_reply(status, "is no response message"));
    if (!kmip_ttlv_find(&root, TAG_RESPONSE_HEADER, KMIP_STRUCTURE, &header) ||
        !kmip_ttlv_find(&header, TAG_PROTOCOL_VERSION, KMIP_STRUCTURE, &version) ||
        !read_version(&version, &response->version) ||
        !kmip_ttlv_find(&header, TAG_BATCH_COUNT, KMIP_INTEGER, &count))
        return (bad_reply(status, "has no header with version and batch count"));
    while (kmip_ttlv_next(&root, &offset, &item)) {
        if (item.tag != TAG_BATCH_ITEM || item.type != KMIP_STRUCTURE)
            continue;
        if (response->count == KMIP_ITEMS_MAX)
            return (bad_reply(status, "has more results than requests"));
        if (read_result(&item, &response->results[response->count++], status) != 0)
            return ((int)status->status_class);
    }
    if (response->count == 0 || response->count != kmip_ttlv_number(&count))
        return (bad_reply(status, "has another number of results than it says"));
    return (0);
}

int
kmip_response_result(const KMIP_RESPONSE *response, size_t n, KMIP_OPERATION operation,
  const KMIP_RESULT **resultp, STATUS *status)
{
    const KMIP_RESULT *result;

    *resultp = NULL;
    if (response->count == 0)
        return (bad_reply(status, "has no result"));
    /* After an error the rest of a batch is not done, and may not be answered. */
    result = &response->results[n < response->count ? n : response->count - 1];
    if (result->result != 0)
        return (result_error(result, operation, status));
    if (n >= response->count)
        return (bad_reply(status, "has fewer results than requests"));
    if (result->operation != (uint32_t)operation)
        return (bad_reply(status, "is to another operation"));
    if (!result->has_payload)
        return (bad_reply(status, "has no payload"));
    *resultp = result;
    return (0);
}

/* --- payloads */

int
kmip_payload_versions(const KMIP_RESULT *result, int lowest, int highest)
{
    static const int ours[] = {102, 103, 104, 200, 201};
    KMIP_ITEM item;
    size_t offset = 0, i;
    int best = 0, version;

    while (kmip_ttlv_next(&result->payload, &offset, &item)) {
        if (item.tag != TAG_PROTOCOL_VERSION || !read_version(&item, &version))
            continue;
        for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            if (version == ours[i] && version >= lowest && version <= highest && version > best)
                best = version;
    }
    return (best);
}

static int
check_uid(const KMIP_RESULT *result, const char *uid, STATUS *status)
{
    KMIP_ITEM item;

    if (kmip_ttlv_find(&result->payload, TAG_UNIQUE_IDENTIFIER, KMIP_TEXT, &item) &&
        kmip_ttlv_is_text(&item, uid))
        return (0);
    return (bad_reply(status, "names another key than was asked for"));
}

int
kmip_payload_output(
  const KMIP_RESULT *result, const char *uid, bool gcm_encrypt, KMIP_OUTPUT *output, STATUS *status)
{
    KMIP_ITEM item;

    memset(output, 0, sizeof(*output));
    if (check_uid(result, uid, status) != 0)
        return ((int)status->status_class);
    if (!kmip_ttlv_find(&result->payload, TAG_DATA, KMIP_BYTES, &item) || item.len == 0)
        return (bad_reply(status, "has no data"));
    output->data = item.value;
    output->len = item.len;
    if (kmip_ttlv_find(&result->payload, TAG_IV_COUNTER_NONCE, KMIP_BYTES, &item) && item.len > 0) {
        if (item.len > KMIP_NONCE_MAX)
            return (bad_reply(status, "has a nonce that is too long"));
        output->nonce = item.value;
        output->nonce_len = item.len;
    }
    if (gcm_encrypt) {
        if (!kmip_ttlv_find(
              &result->payload, TAG_AUTHENTICATED_ENCRYPTION_TAG, KMIP_BYTES, &item) ||
            item.len != KMIP_TAG_LEN)
            return (bad_reply(status, "has no authentication tag of 16 bytes"));
        output->tag = item.value;
    }
    return (0);
}

int
kmip_payload_key(const KMIP_RESULT *result, const char *uid, SECRET **keyp, STATUS *status)
{
    KMIP_ITEM object, block, format, value, material, inner, wrapping;

    *keyp = NULL;
    if (check_uid(result, uid, status) != 0)
        return ((int)status->status_class);
    if (!kmip_ttlv_find(&result->payload, TAG_SYMMETRIC_KEY, KMIP_STRUCTURE, &object) ||
        !kmip_ttlv_find(&object, TAG_KEY_BLOCK, KMIP_STRUCTURE, &block) ||
        !kmip_ttlv_find(&block, TAG_KEY_FORMAT_TYPE, KMIP_ENUMERATION, &format) ||
        !kmip_ttlv_find(&block, TAG_KEY_VALUE, KMIP_STRUCTURE, &value))
        return (bad_reply(status, "has no symmetric key"));
    if (kmip_ttlv_find(&block, TAG_KEY_WRAPPING_DATA, KMIP_STRUCTURE, &wrapping))
        return (bad_reply(status, "has a wrapped key, which was not asked for"));
    if (kmip_ttlv_number(&format) == FORMAT_TRANSPARENT_SYMMETRIC) {
        if (!kmip_ttlv_find(&value, TAG_KEY_MATERIAL, KMIP_STRUCTURE, &inner) ||
            !kmip_ttlv_find(&inner, TAG_KEY, KMIP_BYTES, &material))
            return (bad_reply(status, "has no key material"));
    } else if (kmip_ttlv_number(&format) != FORMAT_RAW ||
               !kmip_ttlv_find(&value, TAG_KEY_MATERIAL, KMIP_BYTES, &material))
        return (bad_reply(status, "has a key in another format than was asked for"));
    if (material.len < KEY_MIN || material.len > KEY_MAX)
        return (bad_reply(status, "has a key of fewer than 16 or more than 64 bytes"));
    return (secret_new_copy(material.value, material.len, keyp, status));
}

int
kmip_payload_state(const KMIP_RESULT *result, const char *uid, uint32_t *statep, STATUS *status)
{
    KMIP_ITEM item, attributes, name;
    size_t offset = 0;

    *statep = 0;
    if (check_uid(result, uid, status) != 0)
        return ((int)status->status_class);
    if (kmip_ttlv_find(&result->payload, TAG_ATTRIBUTES, KMIP_STRUCTURE, &attributes) &&
        kmip_ttlv_find(&attributes, TAG_STATE, KMIP_ENUMERATION, &item)) {
        *statep = kmip_ttlv_number(&item);
        return (0);
    }
    while (kmip_ttlv_next(&result->payload, &offset, &item))
        if (item.tag == TAG_ATTRIBUTE &&
            kmip_ttlv_find(&item, TAG_ATTRIBUTE_NAME, KMIP_TEXT, &name) &&
            kmip_ttlv_is_text(&name, ATTRIBUTE_STATE) &&
            kmip_ttlv_find(&item, TAG_ATTRIBUTE_VALUE, KMIP_ENUMERATION, &name)) {
            *statep = kmip_ttlv_number(&name);
            return (0);
        }
    return (bad_reply(status, "does not tell the key's state"));
}

int
kmip_payload_located(
  const KMIP_RESULT *result, char uid[KMIP_UID_MAX + 1], size_t *countp, STATUS *status)
{
    KMIP_ITEM item;
    size_t offset = 0;

    *countp = 0;
    uid[0] = '\0';
    while (kmip_ttlv_next(&result->payload, &offset, &item)) {
        if (item.tag != TAG_UNIQUE_IDENTIFIER)
            continue;
        if (*countp == 0 &&
            (!kmip_ttlv_text(&item, uid, KMIP_UID_MAX + 1) || !kmip_uid_valid(uid))) {
            uid[0] = '\0';
            return (bad_reply(status, "has a unique identifier that is not taken"));
        }
        (*countp)++;
    }
    return (0);
}

int
kmip_payload_uid(const KMIP_RESULT *result, char uid[KMIP_UID_MAX + 1], STATUS *status)
{
    size_t count;

    if (kmip_payload_located(result, uid, &count, status) != 0)
        return ((int)status->status_class);
    return (count == 1 ? 0 : bad_reply(status, "has no unique identifier"));
}

bool
kmip_uid_valid(const char *uid)
{
    static const char taken[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "._-+=@/~:";
    size_t len = strspn(uid, taken);

    return (len > 0 && len <= KMIP_UID_MAX && uid[len] == '\0');
}
