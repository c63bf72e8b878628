/*
 * kms_clients/kmip_request.c -- KMIP requests. See kmip_message.h.
 *
 * The order of fields is the specification's: servers may insist on it.
 */
#include "kms_clients/kmip_message.h"

#include "kms_clients/kmip_tags.h"

#include <string.h>

static void
put_credential(KMIP_WRITER *writer, const KMIP_HEADER *header)
{
    if (header->username == NULL)
        return;
    kmip_put_open(writer, TAG_AUTHENTICATION);
    kmip_put_open(writer, TAG_CREDENTIAL);
    kmip_put_enumeration(writer, TAG_CREDENTIAL_TYPE, CREDENTIAL_USERNAME_AND_PASSWORD);
    kmip_put_open(writer, TAG_CREDENTIAL_VALUE);
    kmip_put_text(writer, TAG_USERNAME, header->username);
    if (header->password != NULL)
        kmip_put_text_bytes(
          writer, TAG_PASSWORD, secret_bytes(header->password), secret_len(header->password));
    kmip_put_close(writer);
    kmip_put_close(writer);
    kmip_put_close(writer);
}

static KMIP_WRITER *
start(const KMIP_HEADER *header, int count)
{
    KMIP_WRITER *writer = kmip_writer_new();

    kmip_put_open(writer, TAG_REQUEST_MESSAGE);
    kmip_put_open(writer, TAG_REQUEST_HEADER);
    kmip_put_open(writer, TAG_PROTOCOL_VERSION);
    kmip_put_integer(writer, TAG_PROTOCOL_VERSION_MAJOR, header->version / 100);
    kmip_put_integer(writer, TAG_PROTOCOL_VERSION_MINOR, header->version % 100);
    kmip_put_close(writer);
    kmip_put_integer(writer, TAG_MAXIMUM_RESPONSE_SIZE, KMIP_TTLV_MAX);
    put_credential(writer, header);
    if (count > 1) {
        /* The second operation is for the first one's object, and senseless without it. */
        kmip_put_enumeration(writer, TAG_BATCH_ERROR_CONTINUATION_OPTION, BATCH_STOP);
        kmip_put_boolean(writer, TAG_BATCH_ORDER_OPTION, true);
    }
    kmip_put_integer(writer, TAG_BATCH_COUNT, count);
    kmip_put_close(writer);
    return (writer);
}

/* number 0: the only item of its message, which needs no id. */
static void
open_item(KMIP_WRITER *writer, KMIP_OPERATION operation, uint8_t number)
{
    kmip_put_open(writer, TAG_BATCH_ITEM);
    kmip_put_enumeration(writer, TAG_OPERATION, operation);
    if (number > 0)
        kmip_put_bytes(writer, TAG_UNIQUE_BATCH_ITEM_ID, &number, 1);
    kmip_put_open(writer, TAG_REQUEST_PAYLOAD);
}

static void
close_item(KMIP_WRITER *writer)
{
    kmip_put_close(writer);
    kmip_put_close(writer);
}

static int
finish(KMIP_WRITER *writer, SECRET **messagep, STATUS *status)
{
    kmip_put_close(writer);
    return (kmip_writer_finish(writer, messagep, status));
}

int
kmip_request_discover(const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    open_item(writer, KMIP_DISCOVER_VERSIONS, 0);
    close_item(writer);
    return (finish(writer, messagep, status));
}

int
kmip_request_crypt(const KMIP_HEADER *header, KMIP_OPERATION operation, const char *uid,
  const KMIP_CIPHER *cipher, const void *data, size_t len, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    open_item(writer, operation, 0);
    kmip_put_text(writer, TAG_UNIQUE_IDENTIFIER, uid);
    kmip_put_open(writer, TAG_CRYPTOGRAPHIC_PARAMETERS);
    kmip_put_enumeration(writer, TAG_BLOCK_CIPHER_MODE, cipher->gcm ? MODE_GCM : MODE_CBC);
    if (!cipher->gcm)
        kmip_put_enumeration(writer, TAG_PADDING_METHOD, PADDING_PKCS5);
    kmip_put_enumeration(writer, TAG_CRYPTOGRAPHIC_ALGORITHM, ALGORITHM_AES);
    if (cipher->gcm)
        kmip_put_integer(writer, TAG_TAG_LENGTH, KMIP_TAG_LEN);
    kmip_put_close(writer);
    kmip_put_bytes(writer, TAG_DATA, data, len);
    if (cipher->nonce_len > 0)
        kmip_put_bytes(writer, TAG_IV_COUNTER_NONCE, cipher->nonce, cipher->nonce_len);
    if (cipher->gcm) {
        kmip_put_bytes(
          writer, TAG_AUTHENTICATED_ENCRYPTION_ADDITIONAL_DATA, cipher->aad, cipher->aad_len);
        if (operation == KMIP_DECRYPT)
            kmip_put_bytes(writer, TAG_AUTHENTICATED_ENCRYPTION_TAG, cipher->tag, KMIP_TAG_LEN);
    }
    close_item(writer);
    return (finish(writer, messagep, status));
}

static void
put_state_item(KMIP_WRITER *writer, const KMIP_HEADER *header, const char *uid, uint8_t number)
{
    open_item(writer, KMIP_GET_ATTRIBUTES, number);
    kmip_put_text(writer, TAG_UNIQUE_IDENTIFIER, uid);
    if (header->version >= KMIP_VERSION_2_0)
        kmip_put_enumeration(writer, TAG_ATTRIBUTE_REFERENCE, TAG_STATE);
    else
        kmip_put_text(writer, TAG_ATTRIBUTE_NAME, ATTRIBUTE_STATE);
    close_item(writer);
}

int
kmip_request_get(const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 2);

    put_state_item(writer, header, uid, 1);
    open_item(writer, KMIP_GET, 2);
    kmip_put_text(writer, TAG_UNIQUE_IDENTIFIER, uid);
    kmip_put_enumeration(writer, TAG_KEY_FORMAT_TYPE, FORMAT_RAW);
    close_item(writer);
    return (finish(writer, messagep, status));
}

int
kmip_request_state(const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    put_state_item(writer, header, uid, 0);
    return (finish(writer, messagep, status));
}

/* --- attributes: named up to 1.4, with a tag of their own from 2.0 on */

static void
open_attribute(KMIP_WRITER *writer, const KMIP_HEADER *header, const char *name)
{
    if (header->version >= KMIP_VERSION_2_0)
        return;
    kmip_put_open(writer, TAG_ATTRIBUTE);
    kmip_put_text(writer, TAG_ATTRIBUTE_NAME, name);
}

static void
close_attribute(KMIP_WRITER *writer, const KMIP_HEADER *header)
{
    if (header->version < KMIP_VERSION_2_0)
        kmip_put_close(writer);
}

static uint32_t
attribute_tag(const KMIP_HEADER *header, uint32_t tag)
{
    return (header->version >= KMIP_VERSION_2_0 ? tag : TAG_ATTRIBUTE_VALUE);
}

static void
put_enumeration_attribute(
  KMIP_WRITER *writer, const KMIP_HEADER *header, const char *name, uint32_t tag, uint32_t value)
{
    open_attribute(writer, header, name);
    kmip_put_enumeration(writer, attribute_tag(header, tag), value);
    close_attribute(writer, header);
}

static void
put_integer_attribute(
  KMIP_WRITER *writer, const KMIP_HEADER *header, const char *name, uint32_t tag, int32_t value)
{
    open_attribute(writer, header, name);
    kmip_put_integer(writer, attribute_tag(header, tag), value);
    close_attribute(writer, header);
}

static void
put_name_attribute(KMIP_WRITER *writer, const KMIP_HEADER *header, const char *name)
{
    open_attribute(writer, header, ATTRIBUTE_NAME);
    kmip_put_open(writer, attribute_tag(header, TAG_NAME));
    kmip_put_text(writer, TAG_NAME_VALUE, name);
    kmip_put_enumeration(writer, TAG_NAME_TYPE, NAME_TEXT);
    kmip_put_close(writer);
    close_attribute(writer, header);
}

int
kmip_request_locate(const KMIP_HEADER *header, const char *name, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    open_item(writer, KMIP_LOCATE, 0);
    kmip_put_integer(writer, TAG_MAXIMUM_ITEMS, 2);
    if (header->version >= KMIP_VERSION_2_0)
        kmip_put_open(writer, TAG_ATTRIBUTES);
    put_enumeration_attribute(
      writer, header, ATTRIBUTE_OBJECT_TYPE, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
    put_name_attribute(writer, header, name);
    if (header->version >= KMIP_VERSION_2_0)
        kmip_put_close(writer);
    close_item(writer);
    return (finish(writer, messagep, status));
}

int
kmip_request_create(const KMIP_HEADER *header, const char *name, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    open_item(writer, KMIP_CREATE, 0);
    kmip_put_enumeration(writer, TAG_OBJECT_TYPE, OBJECT_SYMMETRIC_KEY);
    kmip_put_open(
      writer, header->version >= KMIP_VERSION_2_0 ? TAG_ATTRIBUTES : TAG_TEMPLATE_ATTRIBUTE);
    put_enumeration_attribute(
      writer, header, "Cryptographic Algorithm", TAG_CRYPTOGRAPHIC_ALGORITHM, ALGORITHM_AES);
    put_integer_attribute(writer, header, "Cryptographic Length", TAG_CRYPTOGRAPHIC_LENGTH, 256);
    put_integer_attribute(writer, header, "Cryptographic Usage Mask", TAG_CRYPTOGRAPHIC_USAGE_MASK,
      USAGE_ENCRYPT | USAGE_DECRYPT);
    put_name_attribute(writer, header, name);
    kmip_put_close(writer);
    close_item(writer);
    return (finish(writer, messagep, status));
}

/* Not in one batch with Create, which would need no identifier: PyKMIP insists on it. */
int
kmip_request_activate(const KMIP_HEADER *header, const char *uid, SECRET **messagep, STATUS *status)
{
    KMIP_WRITER *writer = start(header, 1);

    open_item(writer, KMIP_ACTIVATE, 0);
    kmip_put_text(writer, TAG_UNIQUE_IDENTIFIER, uid);
    close_item(writer);
    return (finish(writer, messagep, status));
}
