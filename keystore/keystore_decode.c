/*
 * keystore/keystore_decode.c -- Bytes into a KEYSTORE. See keystore.h, keystore_format.h.
 *
 * The order of fields is fixed, so the reader asks for one field after the other: a field that is
 * missing, repeated, unknown or in another place is the same mistake, and there is nothing to look
 * up. libbson checks every element's bounds; that the elements fill their document to the last byte
 * is checked here.
 */
#include "keystore/keystore.h"

#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"
#include "kms_clients/kms_client.h"

#include <bson/bson.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* One document or array on its way through. */
typedef struct {
    bson_iter_t iter;
    const char *key; /* of the current element; NULL at the end */
    size_t len;
    bool broken; /* libbson stopped before the end */
    STATUS *status;
    const char *name; /* for messages, with its place when it is one of several */
    size_t place;
} READER;

#define NO_PLACE SIZE_MAX

static int
corrupt(const READER *reader, const char *field, const char *what)
{
    if (reader->place == NO_PLACE)
        return (status_set(reader->status, STATUS_CORRUPT, "keystore-format", "%s: %s %s",
          reader->name, field, what));
    return (status_set(reader->status, STATUS_CORRUPT, "keystore-format", "%s %zu: %s %s",
      reader->name, reader->place, field, what));
}

static void
advance(READER *reader)
{
    size_t end = reader->iter.next_off;

    if (bson_iter_next(&reader->iter)) {
        reader->key = bson_iter_key(&reader->iter);
        return;
    }
    reader->key = NULL;
    reader->broken = end != reader->len - 1;
}

static int
open_reader(
  READER *reader, const uint8_t *data, size_t len, const char *name, size_t place, STATUS *status)
{
    reader->len = len;
    reader->broken = false;
    reader->status = status;
    reader->name = name;
    reader->place = place;
    if (!bson_iter_init_from_data(&reader->iter, data, len))
        return (corrupt(reader, "its length", "is not what it says"));
    advance(reader);
    return (0);
}

static int
expect(READER *reader, const char *field, bson_type_t type)
{
    if (reader->key == NULL)
        return (corrupt(reader, field, reader->broken ? "cannot be read" : "is missing"));
    if (strcmp(reader->key, field) != 0) {
        (void)corrupt(reader, field, "is not where it must be");
        return (status_add(reader->status, "there is \"%.40s\"", reader->key));
    }
    if (bson_iter_type(&reader->iter) != type)
        return (corrupt(reader, field, "has the wrong type"));
    return (0);
}

static int
expect_end(READER *reader)
{
    if (reader->broken)
        return (corrupt(reader, "an element", "cannot be read"));
    if (reader->key != NULL) {
        (void)corrupt(reader, "a field", "is unknown or repeated");
        return (status_add(reader->status, "\"%.40s\"", reader->key));
    }
    return (0);
}

static int
read_int32(READER *reader, const char *field, int32_t minimum, int32_t *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT32)) != 0)
        return (ret);
    if ((*valuep = bson_iter_int32(&reader->iter)) < minimum)
        return (corrupt(reader, field, "is out of range"));
    advance(reader);
    return (0);
}

static int
read_int64(READER *reader, const char *field, int64_t minimum, int64_t *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT64)) != 0)
        return (ret);
    /* The one above the highest must exist: generations are counted up. */
    *valuep = bson_iter_int64(&reader->iter);
    if (*valuep < minimum || *valuep == INT64_MAX)
        return (corrupt(reader, field, "is out of range"));
    advance(reader);
    return (0);
}

static int
read_id(READER *reader, const char *field, uint64_t *idp)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT64)) != 0)
        return (ret);
    if ((*idp = (uint64_t)bson_iter_int64(&reader->iter)) == 0)
        return (corrupt(reader, field, "is 0"));
    advance(reader);
    return (0);
}

static int
read_time(READER *reader, const char *field, int64_t *timep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_DATE_TIME)) != 0)
        return (ret);
    if ((*timep = bson_iter_date_time(&reader->iter)) < 0)
        return (corrupt(reader, field, "is before 1970"));
    advance(reader);
    return (0);
}

static int
read_text(READER *reader, const char *field, size_t minimum, size_t maximum, char **textp)
{
    const char *text;
    uint32_t len;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_UTF8)) != 0)
        return (ret);
    text = bson_iter_utf8(&reader->iter, &len);
    if (len < minimum || len > maximum)
        return (corrupt(reader, field, "is too short or too long"));
    if (!bson_utf8_validate(text, len, false))
        return (corrupt(reader, field, "is not UTF-8 text"));
    if ((*textp = strndup(text, len)) == NULL)
        return (
          status_set(reader->status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
    advance(reader);
    return (0);
}

static int
expect_bytes(
  READER *reader, const char *field, bson_subtype_t subtype, const uint8_t **datap, uint32_t *lenp)
{
    bson_subtype_t found;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_BINARY)) != 0)
        return (ret);
    bson_iter_binary(&reader->iter, &found, lenp, datap);
    if (found != subtype || *datap == NULL)
        return (corrupt(reader, field, "has the wrong subtype"));
    return (0);
}

static int
read_bytes(READER *reader, const char *field, bson_subtype_t subtype, void *out, size_t size)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = expect_bytes(reader, field, subtype, &data, &len)) != 0)
        return (ret);
    if (len != size)
        return (corrupt(reader, field, "has the wrong length"));
    memcpy(out, data, size);
    advance(reader);
    return (0);
}

static int
read_state(READER *reader, KEYSTORE_STATE *statep)
{
    const char *text;
    int ret, state;

    if ((ret = expect(reader, FIELD_STATE, BSON_TYPE_UTF8)) != 0)
        return (ret);
    text = bson_iter_utf8(&reader->iter, NULL);
    for (state = KEYSTORE_ACTIVE; state <= KEYSTORE_RETIRED; state++)
        if (strcmp(text, keystore_state_name((KEYSTORE_STATE)state)) == 0) {
            *statep = (KEYSTORE_STATE)state;
            advance(reader);
            return (0);
        }
    return (corrupt(reader, FIELD_STATE, "is unknown"));
}

/* The next number in decimal; ten thousand of them are no work for printf. */
static void
count_up(char index[16])
{
    size_t len = strlen(index), i = len;

    while (i > 0 && index[i - 1] == '9')
        index[--i] = '0';
    if (i > 0)
        index[i - 1]++;
    else {
        memmove(index + 1, index, len + 1);
        index[0] = '1';
    }
}

/*
 * An array's elements are documents named "0", "1" and so on. read_element reads one to its end.
 */
static int
read_array(READER *reader, const char *field, const char *element_name,
  int (*read_element)(READER *element, KEYSTORE *keystore, void *context), KEYSTORE *keystore,
  void *context)
{
    READER array, element;
    const uint8_t *data;
    size_t i;
    uint32_t len;
    char index[16] = "0";
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_ARRAY)) != 0)
        return (ret);
    bson_iter_array(&reader->iter, &len, &data);
    if ((ret = open_reader(&array, data, len, field, NO_PLACE, reader->status)) != 0)
        return (ret);
    for (i = 0; array.key != NULL; i++) {
        if ((ret = expect(&array, index, BSON_TYPE_DOCUMENT)) != 0)
            return (ret);
        bson_iter_document(&array.iter, &len, &data);
        if ((ret = open_reader(&element, data, len, element_name, i, reader->status)) != 0 ||
            (ret = read_element(&element, keystore, context)) != 0 ||
            (ret = expect_end(&element)) != 0)
            return (ret);
        advance(&array);
        count_up(index);
    }
    if ((ret = expect_end(&array)) != 0)
        return (ret);
    advance(reader);
    return (0);
}

static int
read_wrapped(READER *reader, KEYSTORE_RECIPIENT *recipient)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = expect_bytes(reader, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, &data, &len)) != 0)
        return (ret);
    if (len == 0 || len > KMS_WRAPPED_MAX)
        return (corrupt(reader, FIELD_WRAPPED, "has the wrong length"));
    if ((recipient->wrapped = malloc(len)) == NULL)
        return (
          status_set(reader->status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
    memcpy(recipient->wrapped, data, len);
    recipient->wrapped_len = len;
    advance(reader);
    return (0);
}

static int
read_recipient(READER *reader, KEYSTORE *keystore, void *context)
{
    KEYSTORE_MASTER *master = context;
    KEYSTORE_RECIPIENT *recipient;
    int ret;

    (void)keystore;
    if (master->recipient_count >= KEYSTORE_RECIPIENTS_MAX)
        return (corrupt(reader, FIELD_RECIPIENTS, "are too many"));
    if ((ret = keystore_add_recipient(master, &recipient, reader->status)) != 0 ||
        (ret = read_text(reader, FIELD_PROVIDER, 1, KEYSTORE_PROVIDER_MAX, &recipient->provider)) !=
          0 ||
        (ret = read_text(reader, FIELD_KEY_ID, 1, KMS_KEY_ID_MAX, &recipient->key_id)) != 0 ||
        (ret = read_text(
           reader, FIELD_CREDENTIAL, 0, KMS_CREDENTIAL_MAX, &recipient->credential)) != 0 ||
        (ret = read_wrapped(reader, recipient)) != 0 ||
        (ret = read_time(reader, FIELD_TIME, &recipient->time)) != 0)
        return (ret);
    return (kms_client_key_id_check(recipient->provider, recipient->key_id, reader->status));
}

static int
read_master(READER *reader, KEYSTORE *keystore, void *context)
{
    KEYSTORE_MASTER *master;
    int ret;

    (void)context;
    if ((ret = keystore_add_master(keystore, &master, reader->status)) != 0 ||
        (ret = read_id(reader, FIELD_ID, &master->id)) != 0 ||
        (ret = read_text(reader, FIELD_SCOPE, 1, KEYSTORE_SCOPE_MAX, &master->scope)) != 0 ||
        (ret = read_state(reader, &master->state)) != 0 ||
        (ret = read_bytes(reader, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY, master->commitment,
           sizeof(master->commitment))) != 0 ||
        (ret = read_time(reader, FIELD_CREATED, &master->created)) != 0)
        return (ret);
    return (read_array(reader, FIELD_RECIPIENTS, "recipient", read_recipient, keystore, master));
}

static int
read_data_key(READER *reader, KEYSTORE *keystore, void *context)
{
    KEYSTORE_DATA_KEY *data_key;
    int32_t version;
    int ret;

    (void)context;
    if ((ret = keystore_add_data_key(keystore, &data_key, reader->status)) != 0 ||
        (ret = read_id(reader, FIELD_ID, &data_key->id)) != 0 ||
        (ret = read_text(reader, FIELD_KEYID, 1, KEYSTORE_KEYID_MAX, &data_key->keyid)) != 0 ||
        (ret = read_int32(reader, FIELD_VERSION, 1, &version)) != 0 ||
        (ret = read_state(reader, &data_key->state)) != 0 ||
        (ret = read_id(reader, FIELD_MASTER_KEY_ID, &data_key->master_key_id)) != 0 ||
        (ret = read_bytes(reader, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY, data_key->commitment,
           sizeof(data_key->commitment))) != 0 ||
        (ret = read_bytes(reader, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, data_key->wrapped,
           sizeof(data_key->wrapped))) != 0)
        return (ret);
    data_key->version = (uint32_t)version;
    return (read_time(reader, FIELD_CREATED, &data_key->created));
}

static int
read_event(READER *reader, KEYSTORE *keystore, void *context)
{
    KEYSTORE_EVENT *event;
    int ret;

    (void)context;
    if (keystore->event_count >= KEYSTORE_HISTORY_MAX)
        return (corrupt(reader, FIELD_HISTORY, "is too long"));
    if ((ret = keystore_append_event(keystore, &event, reader->status)) != 0 ||
        (ret = read_time(reader, FIELD_TIME, &event->time)) != 0 ||
        (ret = read_text(reader, FIELD_WHO, 1, KEYSTORE_TEXT_MAX, &event->who)) != 0 ||
        (ret = read_text(reader, FIELD_OPERATION, 1, KEYSTORE_TEXT_MAX, &event->operation)) != 0)
        return (ret);
    if (reader->key != NULL && strcmp(reader->key, FIELD_REASON) == 0 &&
        (ret = read_text(reader, FIELD_REASON, 0, KEYSTORE_TEXT_MAX, &event->reason)) != 0)
        return (ret);
    return (read_int64(reader, FIELD_GENERATION, 1, &event->generation));
}

static int
read_mac(READER *reader, KEYSTORE *keystore, void *context)
{
    KEYSTORE_MAC *mac;
    int ret;

    (void)context;
    if ((ret = keystore_append_mac(keystore, &mac, reader->status)) != 0 ||
        (ret = read_text(reader, FIELD_SCOPE, 1, KEYSTORE_SCOPE_MAX, &mac->scope)) != 0)
        return (ret);
    return (read_bytes(reader, FIELD_MAC, BSON_SUBTYPE_BINARY, mac->mac, sizeof(mac->mac)));
}

/* Before anything else: what a newer version wrote may look wrong in any other way. */
static int
read_version(READER *reader)
{
    int32_t version;
    int ret;

    if ((ret = read_int32(reader, FIELD_VERSION, 1, &version)) != 0)
        return (ret);
    if (version > KEYSTORE_VERSION) {
        (void)status_set(reader->status, STATUS_REFUSED, "keystore-version",
          "the keystore has version %" PRId32 ", this program knows version %d", version,
          KEYSTORE_VERSION);
        return (status_hint(reader->status, "use the program that wrote it, or a newer one"));
    }
    return (0);
}

static int
read_bool(READER *reader, const char *field, bool *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_BOOL)) != 0)
        return (ret);
    *valuep = bson_iter_bool(&reader->iter);
    advance(reader);
    return (0);
}

/* The fields before those that can be long. */
static int
read_head(READER *reader, KEYSTORE *keystore)
{
    int ret;

    if ((ret = read_version(reader)) != 0 ||
        (ret = read_bytes(
           reader, FIELD_UUID, BSON_SUBTYPE_UUID, keystore->uuid, sizeof(keystore->uuid))) != 0)
        return (ret);
    if (reader->key != NULL && strcmp(reader->key, FIELD_PARENT) == 0) {
        keystore->has_parent = true;
        if ((ret = read_bytes(reader, FIELD_PARENT, BSON_SUBTYPE_UUID, keystore->parent,
               sizeof(keystore->parent))) != 0)
            return (ret);
    }
    if ((ret = read_text(reader, FIELD_NODE, 1, KEYSTORE_NODE_MAX, &keystore->node)) != 0 ||
        (ret = read_int64(reader, FIELD_GENERATION, 1, &keystore->generation)) != 0 ||
        (ret = read_time(reader, FIELD_CREATED, &keystore->created)) != 0 ||
        (ret = read_time(reader, FIELD_MODIFIED, &keystore->modified)) != 0)
        return (ret);
    return (read_bool(reader, FIELD_PARTIAL, &keystore->partial));
}

static int
read_keystore(READER *reader, KEYSTORE *keystore)
{
    int ret;

    if ((ret = read_head(reader, keystore)) != 0 ||
        (ret = read_array(reader, FIELD_MASTERS, "master key", read_master, keystore, NULL)) != 0 ||
        (ret = read_array(reader, FIELD_DATA_KEYS, "data key", read_data_key, keystore, NULL)) !=
          0 ||
        (ret = read_array(reader, FIELD_HISTORY, "event", read_event, keystore, NULL)) != 0 ||
        (ret = read_array(reader, FIELD_MACS, "MAC", read_mac, keystore, NULL)) != 0 ||
        (ret = read_bytes(
           reader, FIELD_SEAL, BSON_SUBTYPE_BINARY, keystore->seal, sizeof(keystore->seal))) != 0)
        return (ret);
    return (expect_end(reader));
}

int
keystore_peek(const uint8_t *data, size_t len, uint8_t uuid[KEYSTORE_UUID_LEN],
  int64_t *generationp, bool *partialp, STATUS *status)
{
    KEYSTORE head = {0};
    READER reader;
    int ret;

    if ((ret = open_reader(&reader, data, len, "the keystore", NO_PLACE, status)) == 0 &&
        (ret = read_head(&reader, &head)) == 0) {
        memcpy(uuid, head.uuid, sizeof(head.uuid));
        *generationp = head.generation;
        *partialp = head.partial;
    }
    free(head.node);
    return (ret);
}

/* One MAC a scope, in the order of the active master keys. */
static int
check_macs(const KEYSTORE *keystore, STATUS *status)
{
    size_t i, mac = 0;

    for (i = 0; i < keystore->master_count; i++) {
        if (keystore->masters[i].state != KEYSTORE_ACTIVE)
            continue;
        if (mac == keystore->mac_count ||
            strcmp(keystore->macs[mac].scope, keystore->masters[i].scope) != 0)
            return (status_set(status, STATUS_CORRUPT, "keystore-macs",
              "the keystore has no MAC of scope \"%s\" where it must be",
              keystore->masters[i].scope));
        mac++;
    }
    if (mac != keystore->mac_count)
        return (status_set(status, STATUS_CORRUPT, "keystore-macs",
          "the keystore has a MAC of a scope that it does not have, \"%s\"",
          keystore->macs[mac].scope));
    return (0);
}

int
keystore_decode(const uint8_t *data, size_t len, KEYSTORE **keystorep, STATUS *status)
{
    KEYSTORE *keystore;
    READER reader;
    int ret;

    *keystorep = NULL;
    if (len > KEYSTORE_MAX_BYTES)
        return (status_set(status, STATUS_CORRUPT, "keystore-format",
          "the keystore has %zu bytes, at most %u are possible", len, KEYSTORE_MAX_BYTES));
    if ((keystore = calloc(1, sizeof(*keystore))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
    if ((ret = open_reader(&reader, data, len, "the keystore", NO_PLACE, status)) != 0 ||
        (ret = read_keystore(&reader, keystore)) != 0 ||
        (ret = keystore_check(keystore, status)) != 0 || (ret = check_macs(keystore, status)) != 0)
        goto err;
    keystore->sealed_len = len - 1 - KEYSTORE_SEAL_ELEMENT_LEN;
    *keystorep = keystore;
    return (0);

err:
    keystore_free(keystore);
    return (ret);
}
