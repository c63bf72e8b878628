/*
 * keystore/keystore_encode.c -- A KEYSTORE into bytes. See keystore.h, keystore_format.h.
 *
 * libbson ends the process when it cannot grow a buffer, so it gets one of ours that is large
 * enough from the start, and never grows it.
 */
#include "keystore/keystore_format.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

/* Upper bounds of what stands around the texts and bytes of one element, and least sizes. */
#define EMPTY_DOCUMENT_LEN 5
#define HEAD_ROOM 512
#define MASTER_ROOM 256
#define RECIPIENT_ROOM 128
#define DATA_KEY_ROOM 256
#define DATA_KEY_LEAST 216
#define EVENT_ROOM 128
#define MAC_ROOM 128

static const uint8_t no_mac[MAC_LEN];

static bool
append_int64(bson_t *doc, const char *field, int64_t value)
{
    return (bson_append_int64(doc, field, -1, value));
}

static bool
append_bytes(
  bson_t *doc, const char *field, bson_subtype_t subtype, const uint8_t *data, size_t len)
{
    return (bson_append_binary(doc, field, -1, subtype, data, (uint32_t)len));
}

static bool
append_text(bson_t *doc, const char *field, const char *text)
{
    return (bson_append_utf8(doc, field, -1, text, -1));
}

static bool
in_part(const KEYSTORE *keystore, KEYSTORE_PART part, const KEYSTORE_DATA_KEY *data_key)
{
    if (part == KEYSTORE_WHOLE)
        return (true);
    if (part == KEYSTORE_SYSTEM_PART)
        return (strcmp(data_key->keyid, KEYSTORE_DEFAULT_SCOPE) == 0);
    /* One key, so that no number of rotations makes it grow. */
    if (part == KEYSTORE_LEAST_PART)
        return (data_key->state == KEYSTORE_ACTIVE &&
                strcmp(data_key->keyid, KEYSTORE_DEFAULT_SCOPE) == 0);
    return (strcmp(keystore_scope_of(keystore, data_key->keyid), KEYSTORE_DEFAULT_SCOPE) == 0);
}

static bool
master_in_part(KEYSTORE_PART part, const KEYSTORE_MASTER *master)
{
    return (part == KEYSTORE_WHOLE || (master->state == KEYSTORE_ACTIVE &&
                                        strcmp(master->scope, KEYSTORE_DEFAULT_SCOPE) == 0));
}

static bool
append_recipient(bson_t *list, uint32_t i, const KEYSTORE_RECIPIENT *recipient)
{
    bson_t doc;
    const char *key;
    char index[16];

    (void)bson_uint32_to_string(i, &key, index, sizeof(index));
    return (bson_append_document_begin(list, key, -1, &doc) &&
            append_text(&doc, FIELD_PROVIDER, recipient->provider) &&
            append_text(&doc, FIELD_KEY_ID, recipient->key_id) &&
            append_text(&doc, FIELD_CREDENTIAL, recipient->credential) &&
            append_bytes(&doc, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, recipient->wrapped,
              recipient->wrapped_len) &&
            bson_append_date_time(&doc, FIELD_TIME, -1, recipient->time) &&
            bson_append_document_end(list, &doc));
}

static bool
append_master(bson_t *list, uint32_t i, const KEYSTORE_MASTER *master)
{
    bson_t doc, recipients;
    const char *key;
    size_t r;
    char index[16];
    bool ok;

    (void)bson_uint32_to_string(i, &key, index, sizeof(index));
    ok = bson_append_document_begin(list, key, -1, &doc) &&
         append_int64(&doc, FIELD_ID, (int64_t)master->id) &&
         append_text(&doc, FIELD_SCOPE, master->scope) &&
         append_text(&doc, FIELD_STATE, keystore_state_name(master->state)) &&
         append_bytes(&doc, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY, master->commitment,
           sizeof(master->commitment)) &&
         bson_append_date_time(&doc, FIELD_CREATED, -1, master->created) &&
         bson_append_array_begin(&doc, FIELD_RECIPIENTS, -1, &recipients);
    for (r = 0; ok && r < master->recipient_count; r++)
        ok = append_recipient(&recipients, (uint32_t)r, &master->recipients[r]);
    return (ok && bson_append_array_end(&doc, &recipients) && bson_append_document_end(list, &doc));
}

static bool
append_data_key(bson_t *list, uint32_t i, const KEYSTORE_DATA_KEY *data_key)
{
    bson_t doc;
    const char *key;
    char index[16];

    (void)bson_uint32_to_string(i, &key, index, sizeof(index));
    return (bson_append_document_begin(list, key, -1, &doc) &&
            append_int64(&doc, FIELD_ID, (int64_t)data_key->id) &&
            append_text(&doc, FIELD_KEYID, data_key->keyid) &&
            bson_append_int32(&doc, FIELD_VERSION, -1, (int32_t)data_key->version) &&
            append_text(&doc, FIELD_STATE, keystore_state_name(data_key->state)) &&
            append_int64(&doc, FIELD_MASTER_KEY_ID, (int64_t)data_key->master_key_id) &&
            append_bytes(&doc, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY, data_key->commitment,
              sizeof(data_key->commitment)) &&
            append_bytes(&doc, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, data_key->wrapped,
              sizeof(data_key->wrapped)) &&
            bson_append_date_time(&doc, FIELD_CREATED, -1, data_key->created) &&
            bson_append_document_end(list, &doc));
}

static bool
append_event(bson_t *list, uint32_t i, const KEYSTORE_EVENT *event)
{
    bson_t doc;
    const char *key;
    char index[16];

    (void)bson_uint32_to_string(i, &key, index, sizeof(index));
    return (bson_append_document_begin(list, key, -1, &doc) &&
            bson_append_date_time(&doc, FIELD_TIME, -1, event->time) &&
            append_text(&doc, FIELD_WHO, event->who) &&
            append_text(&doc, FIELD_OPERATION, event->operation) &&
            (event->reason == NULL || append_text(&doc, FIELD_REASON, event->reason)) &&
            append_int64(&doc, FIELD_GENERATION, event->generation) &&
            bson_append_document_end(list, &doc));
}

/* The MACs are put in afterwards, over the bytes as they then stand. */
static bool
append_mac(bson_t *list, uint32_t i, const char *scope)
{
    bson_t doc;
    const char *key;
    char index[16];

    (void)bson_uint32_to_string(i, &key, index, sizeof(index));
    return (bson_append_document_begin(list, key, -1, &doc) &&
            append_text(&doc, FIELD_SCOPE, scope) &&
            append_bytes(&doc, FIELD_MAC, BSON_SUBTYPE_BINARY, no_mac, sizeof(no_mac)) &&
            bson_append_document_end(list, &doc));
}

static bool
append_head(bson_t *doc, const KEYSTORE *keystore, KEYSTORE_PART part)
{
    return (bson_append_int32(doc, FIELD_VERSION, -1, KEYSTORE_VERSION) &&
            append_bytes(doc, FIELD_UUID, BSON_SUBTYPE_UUID, keystore->uuid, KEYSTORE_UUID_LEN) &&
            (!keystore->has_parent || append_bytes(doc, FIELD_PARENT, BSON_SUBTYPE_UUID,
                                        keystore->parent, KEYSTORE_UUID_LEN)) &&
            append_text(doc, FIELD_NODE, keystore->node) &&
            append_int64(doc, FIELD_GENERATION, keystore->generation) &&
            bson_append_date_time(doc, FIELD_CREATED, -1, keystore->created) &&
            bson_append_date_time(doc, FIELD_MODIFIED, -1, keystore->modified) &&
            bson_append_bool(doc, FIELD_PARTIAL, -1, keystore->partial || part != KEYSTORE_WHOLE));
}

static bool
append_masters(bson_t *doc, const KEYSTORE *keystore, KEYSTORE_PART part)
{
    bson_t list;
    size_t i;
    uint32_t n = 0;
    bool ok = bson_append_array_begin(doc, FIELD_MASTERS, -1, &list);

    for (i = 0; ok && i < keystore->master_count; i++)
        if (master_in_part(part, &keystore->masters[i]))
            ok = append_master(&list, n++, &keystore->masters[i]);
    return (ok && bson_append_array_end(doc, &list));
}

static bool
append_data_keys(bson_t *doc, const KEYSTORE *keystore, KEYSTORE_PART part)
{
    bson_t list;
    size_t i;
    uint32_t n = 0;
    bool ok = bson_append_array_begin(doc, FIELD_DATA_KEYS, -1, &list);

    for (i = 0; ok && i < keystore->data_key_count; i++)
        if (in_part(keystore, part, &keystore->data_keys[i]))
            ok = append_data_key(&list, n++, &keystore->data_keys[i]);
    return (ok && bson_append_array_end(doc, &list));
}

static bool
append_events(bson_t *doc, const KEYSTORE *keystore, KEYSTORE_PART part)
{
    bson_t list;
    size_t i;
    bool ok = bson_append_array_begin(doc, FIELD_HISTORY, -1, &list);

    for (i = 0; ok && part == KEYSTORE_WHOLE && i < keystore->event_count; i++)
        ok = append_event(&list, (uint32_t)i, &keystore->events[i]);
    return (ok && bson_append_array_end(doc, &list));
}

static bool
append_macs(bson_t *doc, const KEYSTORE *keystore, KEYSTORE_PART part)
{
    const KEYSTORE_MASTER *master;
    bson_t list;
    size_t i;
    uint32_t n = 0;
    bool ok = bson_append_array_begin(doc, FIELD_MACS, -1, &list);

    for (i = 0; ok && i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        if (master_in_part(part, master) && master->state == KEYSTORE_ACTIVE)
            ok = append_mac(&list, n++, master->scope);
    }
    return (ok && bson_append_array_end(doc, &list));
}

/* Enough for the whole: texts, bytes, and room around each element. */
static size_t
encoded_most(const KEYSTORE *keystore)
{
    const KEYSTORE_RECIPIENT *recipient;
    const KEYSTORE_EVENT *event;
    size_t i, r, most = HEAD_ROOM + strlen(keystore->node);

    for (i = 0; i < keystore->master_count; i++) {
        most += MASTER_ROOM + MAC_ROOM + 2 * strlen(keystore->masters[i].scope);
        for (r = 0; r < keystore->masters[i].recipient_count; r++) {
            recipient = &keystore->masters[i].recipients[r];
            most += RECIPIENT_ROOM + strlen(recipient->provider) + strlen(recipient->key_id) +
                    strlen(recipient->credential) + recipient->wrapped_len;
        }
    }
    for (i = 0; i < keystore->data_key_count; i++)
        most += DATA_KEY_ROOM + strlen(keystore->data_keys[i].keyid);
    for (i = 0; i < keystore->event_count; i++) {
        event = &keystore->events[i];
        most += EVENT_ROOM + strlen(event->who) + strlen(event->operation) +
                (event->reason == NULL ? 0 : strlen(event->reason));
    }
    return (most);
}

size_t
keystore_encoded_least(const KEYSTORE *keystore, KEYSTORE_PART part)
{
    size_t i, least = 0;

    for (i = 0; i < keystore->data_key_count; i++)
        if (in_part(keystore, part, &keystore->data_keys[i]))
            least += DATA_KEY_LEAST + strlen(keystore->data_keys[i].keyid);
    return (least);
}

int
keystore_encode_part(const KEYSTORE *keystore, KEYSTORE_PART part,
  const KEYSTORE_SEAL_KEY *seal_keys, size_t count, uint8_t **datap, size_t *lenp, STATUS *status)
{
    bson_t *doc = NULL;
    uint8_t *buf;
    size_t size = encoded_most(keystore), len;
    int ret = 0;

    *datap = NULL;
    *lenp = 0;
    if (size > KEYSTORE_MAX_BYTES) {
        (void)status_set(status, STATUS_REFUSED, "keystore-too-big",
          "the keystore would have more than %u bytes", KEYSTORE_MAX_BYTES);
        return (STATUS_REFUSED);
    }
    if ((buf = calloc(1, size)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
    buf[0] = EMPTY_DOCUMENT_LEN; /* libbson takes what is in the buffer for a document */
    if ((doc = bson_new_from_buffer(&buf, &size, NULL, NULL)) == NULL ||
        !append_head(doc, keystore, part) || !append_masters(doc, keystore, part) ||
        !append_data_keys(doc, keystore, part) || !append_events(doc, keystore, part) ||
        !append_macs(doc, keystore, part) ||
        !append_bytes(doc, FIELD_SEAL, BSON_SUBTYPE_BINARY, no_mac, sizeof(no_mac))) {
        ret = status_set(
          status, STATUS_INTERNAL, "keystore-encode", "the keystore cannot be put into BSON");
        goto err;
    }
    /* Not doc->len: a bson_t on the heap need not be aligned as its type says. */
    len = (size_t)buf[0] | (size_t)buf[1] << 8 | (size_t)buf[2] << 16 | (size_t)buf[3] << 24;
    if ((ret = keystore_write_seal(buf, len, seal_keys, count, status)) != 0)
        goto err;
    bson_destroy(doc);
    *datap = buf;
    *lenp = len;
    return (0);

err:
    bson_destroy(doc);
    free(buf);
    return (ret);
}

int
keystore_encode(const KEYSTORE *keystore, const KEYSTORE_SEAL_KEY *seal_keys, size_t count,
  uint8_t **datap, size_t *lenp, STATUS *status)
{
    return (keystore_encode_part(keystore, KEYSTORE_WHOLE, seal_keys, count, datap, lenp, status));
}
