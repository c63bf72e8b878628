/*
 * keystore/keystore_decode.c -- Bytes into a KEYSTORE. See keystore.h, keystore_format.h.
 *
 * The order of fields is fixed: see strict_bson.h.
 */
#include "keystore/keystore.h"

#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"
#include "keystore/strict_bson.h"
#include "kms_clients/kms_client.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define GENERATION_MAX (INT64_MAX - 1) /* the next one must exist */

/* Whose elements are read. */
typedef struct {
    KEYSTORE *keystore;
    KEYSTORE_MASTER *master; /* of a list of recipients */
} OWNER;

static int
no_memory(const STRICT_BSON *reader)
{
    return (status_set(reader->status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
}

static int
read_text(STRICT_BSON *reader, const char *field, size_t minimum, size_t maximum, char **textp)
{
    const char *text;
    int ret;

    if ((ret = strict_bson_text(reader, field, minimum, maximum, &text)) != 0)
        return (ret);
    return ((*textp = strdup(text)) == NULL ? no_memory(reader) : 0);
}

static int
read_state(STRICT_BSON *reader, KEYSTORE_STATE *statep)
{
    const char *names[KEYSTORE_RETIRED + 1];
    size_t state;
    int ret;

    for (state = 0; state <= KEYSTORE_RETIRED; state++)
        names[state] = keystore_state_name((KEYSTORE_STATE)state);
    if ((ret = strict_bson_word(reader, FIELD_STATE, names, KEYSTORE_RETIRED + 1, &state)) == 0)
        *statep = (KEYSTORE_STATE)state;
    return (ret);
}

static int
read_wrapped(STRICT_BSON *reader, KEYSTORE_RECIPIENT *recipient)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = strict_bson_view(
           reader, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, 1, KMS_WRAPPED_MAX, &data, &len)) != 0)
        return (ret);
    if ((recipient->wrapped = malloc(len)) == NULL)
        return (no_memory(reader));
    memcpy(recipient->wrapped, data, len);
    recipient->wrapped_len = len;
    return (0);
}

static int
read_recipient(STRICT_BSON *reader, void *context)
{
    KEYSTORE_MASTER *master = ((OWNER *)context)->master;
    KEYSTORE_RECIPIENT *recipient;
    int ret;

    if (master->recipient_count >= KEYSTORE_RECIPIENTS_MAX)
        return (strict_bson_corrupt(reader, FIELD_RECIPIENTS, "are too many"));
    if ((ret = keystore_add_recipient(master, &recipient, reader->status)) != 0 ||
        (ret = read_text(reader, FIELD_PROVIDER, 1, KEYSTORE_PROVIDER_MAX, &recipient->provider)) !=
          0 ||
        (ret = read_text(reader, FIELD_KEY_ID, 1, KMS_KEY_ID_MAX, &recipient->key_id)) != 0 ||
        (ret = read_text(
           reader, FIELD_CREDENTIAL, 0, KMS_CREDENTIAL_MAX, &recipient->credential)) != 0 ||
        (ret = read_wrapped(reader, recipient)) != 0 ||
        (ret = strict_bson_time(reader, FIELD_TIME, 0, &recipient->time)) != 0)
        return (ret);
    return (kms_client_key_id_check(recipient->provider, recipient->key_id, reader->status));
}

static int
read_master(STRICT_BSON *reader, void *context)
{
    OWNER *owner = context;
    KEYSTORE_MASTER *master;
    int ret;

    if ((ret = keystore_add_master(owner->keystore, &master, reader->status)) != 0 ||
        (ret = strict_bson_id(reader, FIELD_ID, &master->id)) != 0 ||
        (ret = read_text(reader, FIELD_SCOPE, 1, KEYSTORE_SCOPE_MAX, &master->scope)) != 0 ||
        (ret = read_state(reader, &master->state)) != 0 ||
        (ret = strict_bson_bytes(reader, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY, master->commitment,
           sizeof(master->commitment))) != 0 ||
        (ret = strict_bson_time(reader, FIELD_CREATED, 0, &master->created)) != 0)
        return (ret);
    owner->master = master;
    return (strict_bson_array(reader, FIELD_RECIPIENTS, "recipient", read_recipient, owner));
}

static int
read_data_key(STRICT_BSON *reader, void *context)
{
    KEYSTORE_DATA_KEY *data_key;
    int32_t version;
    int ret;

    if ((ret = keystore_add_data_key(((OWNER *)context)->keystore, &data_key, reader->status)) !=
          0 ||
        (ret = strict_bson_id(reader, FIELD_ID, &data_key->id)) != 0 ||
        (ret = read_text(reader, FIELD_KEYID, 1, KEYSTORE_KEYID_MAX, &data_key->keyid)) != 0 ||
        (ret = strict_bson_int32(reader, FIELD_VERSION, 1, &version)) != 0 ||
        (ret = read_state(reader, &data_key->state)) != 0 ||
        (ret = strict_bson_id(reader, FIELD_MASTER_KEY_ID, &data_key->master_key_id)) != 0 ||
        (ret = strict_bson_bytes(reader, FIELD_COMMITMENT, BSON_SUBTYPE_BINARY,
           data_key->commitment, sizeof(data_key->commitment))) != 0 ||
        (ret = strict_bson_bytes(reader, FIELD_WRAPPED, BSON_SUBTYPE_BINARY, data_key->wrapped,
           sizeof(data_key->wrapped))) != 0)
        return (ret);
    data_key->version = (uint32_t)version;
    return (strict_bson_time(reader, FIELD_CREATED, 0, &data_key->created));
}

static int
read_event(STRICT_BSON *reader, void *context)
{
    KEYSTORE *keystore = ((OWNER *)context)->keystore;
    KEYSTORE_EVENT *event;
    int ret;

    if (keystore->event_count >= KEYSTORE_HISTORY_MAX)
        return (strict_bson_corrupt(reader, FIELD_HISTORY, "is too long"));
    if ((ret = keystore_append_event(keystore, &event, reader->status)) != 0 ||
        (ret = strict_bson_time(reader, FIELD_TIME, 0, &event->time)) != 0 ||
        (ret = read_text(reader, FIELD_WHO, 1, KEYSTORE_TEXT_MAX, &event->who)) != 0 ||
        (ret = read_text(reader, FIELD_OPERATION, 1, KEYSTORE_TEXT_MAX, &event->operation)) != 0)
        return (ret);
    if (strict_bson_is_at(reader, FIELD_REASON) &&
        (ret = read_text(reader, FIELD_REASON, 0, KEYSTORE_TEXT_MAX, &event->reason)) != 0)
        return (ret);
    return (strict_bson_int64(reader, FIELD_GENERATION, 1, GENERATION_MAX, &event->generation));
}

static int
read_mac(STRICT_BSON *reader, void *context)
{
    KEYSTORE_MAC *mac;
    int ret;

    if ((ret = keystore_append_mac(((OWNER *)context)->keystore, &mac, reader->status)) != 0 ||
        (ret = read_text(reader, FIELD_SCOPE, 1, KEYSTORE_SCOPE_MAX, &mac->scope)) != 0)
        return (ret);
    return (strict_bson_bytes(reader, FIELD_MAC, BSON_SUBTYPE_BINARY, mac->mac, sizeof(mac->mac)));
}

/* Before anything else: what a newer version wrote may look wrong in any other way. */
static int
read_version(STRICT_BSON *reader)
{
    int32_t version;
    int ret;

    if ((ret = strict_bson_int32(reader, FIELD_VERSION, 1, &version)) != 0)
        return (ret);
    if (version > KEYSTORE_VERSION) {
        (void)status_set(reader->status, STATUS_REFUSED, "keystore-version",
          "the keystore has version %" PRId32 ", this program knows version %d", version,
          KEYSTORE_VERSION);
        return (status_hint(reader->status, "use the program that wrote it, or a newer one"));
    }
    return (0);
}

/* The fields before those that can be long. */
static int
read_head(STRICT_BSON *reader, KEYSTORE *keystore)
{
    int ret;

    if ((ret = read_version(reader)) != 0 ||
        (ret = strict_bson_bytes(
           reader, FIELD_UUID, BSON_SUBTYPE_UUID, keystore->uuid, sizeof(keystore->uuid))) != 0)
        return (ret);
    if (strict_bson_is_at(reader, FIELD_PARENT)) {
        keystore->has_parent = true;
        if ((ret = strict_bson_bytes(reader, FIELD_PARENT, BSON_SUBTYPE_UUID, keystore->parent,
               sizeof(keystore->parent))) != 0)
            return (ret);
    }
    if ((ret = read_text(reader, FIELD_NODE, 1, KEYSTORE_NODE_MAX, &keystore->node)) != 0 ||
        (ret = strict_bson_int64(
           reader, FIELD_GENERATION, 1, GENERATION_MAX, &keystore->generation)) != 0 ||
        (ret = strict_bson_time(reader, FIELD_CREATED, 0, &keystore->created)) != 0 ||
        (ret = strict_bson_time(reader, FIELD_MODIFIED, 0, &keystore->modified)) != 0)
        return (ret);
    return (strict_bson_bool(reader, FIELD_PARTIAL, &keystore->partial));
}

static int
read_keystore(STRICT_BSON *reader, KEYSTORE *keystore)
{
    OWNER owner = {.keystore = keystore};
    int ret;

    if ((ret = read_head(reader, keystore)) != 0 ||
        (ret = strict_bson_array(reader, FIELD_MASTERS, "master key", read_master, &owner)) != 0 ||
        (ret = strict_bson_array(reader, FIELD_DATA_KEYS, "data key", read_data_key, &owner)) !=
          0 ||
        (ret = strict_bson_array(reader, FIELD_HISTORY, "event", read_event, &owner)) != 0 ||
        (ret = strict_bson_array(reader, FIELD_MACS, "MAC", read_mac, &owner)) != 0 ||
        (ret = strict_bson_bytes(
           reader, FIELD_SEAL, BSON_SUBTYPE_BINARY, keystore->seal, sizeof(keystore->seal))) != 0)
        return (ret);
    return (strict_bson_end(reader));
}

int
keystore_peek(const uint8_t *data, size_t len, uint8_t uuid[KEYSTORE_UUID_LEN],
  int64_t *generationp, bool *partialp, STATUS *status)
{
    KEYSTORE head = {0};
    STRICT_BSON reader;
    int ret;

    if ((ret = strict_bson_open(&reader, data, len, "the keystore", "keystore-format", status)) ==
          0 &&
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
    STRICT_BSON reader;
    int ret;

    *keystorep = NULL;
    if (len > KEYSTORE_MAX_BYTES)
        return (status_set(status, STATUS_CORRUPT, "keystore-format",
          "the keystore has %zu bytes, at most %u are possible", len, KEYSTORE_MAX_BYTES));
    if ((keystore = calloc(1, sizeof(*keystore))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
    if ((ret = strict_bson_open(&reader, data, len, "the keystore", "keystore-format", status)) !=
          0 ||
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
