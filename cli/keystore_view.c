/*
 * cli/keystore_view.c -- A keystore as JSON. See keystore_view.h.
 */
#include "cli/keystore_view.h"

#include "crypto/encode.h"

#include <stdlib.h>

const char *
keystore_view_source(KEYRING_SOURCE source)
{
    switch (source) {
    case KEYRING_FROM_FILE:
        return ("keystore");
    case KEYRING_FROM_MIRROR:
        return ("mirror");
    case KEYRING_FROM_COPY:
        return ("copy");
    case KEYRING_EPHEMERAL:
        return ("memory");
    }
    return ("unknown");
}

static void
append_base64(bson_t *json, const char *name, const uint8_t *data, size_t len)
{
    char *text;

    text = output_allocate(ENCODE_BASE64_SIZE(len), 1);
    (void)encode_base64(data, len, text);
    output_json_text(json, name, text);
    free(text);
}

void
keystore_view_header(bson_t *json, const KEYSTORE *keystore)
{
    char uuid[KEYSTORE_UUID_TEXT];

    keystore_uuid_text(keystore->uuid, uuid);
    output_json_text(json, "uuid", uuid);
    if (keystore->has_parent)
        keystore_uuid_text(keystore->parent, uuid);
    output_json_text(json, "parent", keystore->has_parent ? uuid : NULL);
    output_json_text(json, "node", keystore->node);
    output_json_number(json, "generation", keystore->generation);
    output_json_time(json, "created", keystore->created);
    output_json_time(json, "modified", keystore->modified);
    output_json_bool(json, "partial", keystore->partial);
}

static void
append_recipients(bson_t *json, const KEYSTORE_MASTER *master, bool bytes)
{
    const KEYSTORE_RECIPIENT *recipient;
    bson_t list, element;
    uint32_t i;

    output_json_begin_array(json, "recipients", &list);
    for (i = 0; i < master->recipient_count; i++) {
        recipient = &master->recipients[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "provider", recipient->provider);
        output_json_text(&element, "encryptionKeyId", recipient->key_id);
        output_json_text(&element, "credential", recipient->credential);
        output_json_time(&element, "wrappedAt", recipient->time);
        if (bytes)
            append_base64(&element, "wrapped", recipient->wrapped, recipient->wrapped_len);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

void
keystore_view_masters(bson_t *json, const KEYSTORE *keystore, bool bytes)
{
    const KEYSTORE_MASTER *master;
    bson_t list, element;
    uint32_t i;

    output_json_begin_array(json, "masterKeys", &list);
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        output_json_element(&list, i, &element);
        output_json_id(&element, "id", master->id);
        output_json_text(&element, "scope", master->scope);
        output_json_text(&element, "state", keystore_state_name(master->state));
        output_json_time(&element, "created", master->created);
        append_recipients(&element, master, bytes);
        if (bytes)
            append_base64(&element, "commitment", master->commitment, sizeof(master->commitment));
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

void
keystore_view_data_keys(bson_t *json, const KEYSTORE *keystore, bool bytes)
{
    const KEYSTORE_DATA_KEY *key;
    bson_t list, element;
    uint32_t i;

    output_json_begin_array(json, "dataKeys", &list);
    for (i = 0; i < keystore->data_key_count; i++) {
        key = &keystore->data_keys[i];
        output_json_element(&list, i, &element);
        output_json_id(&element, "id", key->id);
        output_json_text(&element, "keyid", key->keyid);
        output_json_number(&element, "version", key->version);
        output_json_text(&element, "state", keystore_state_name(key->state));
        output_json_time(&element, "created", key->created);
        output_json_id(&element, "masterKey", key->master_key_id);
        if (bytes) {
            append_base64(&element, "wrapped", key->wrapped, sizeof(key->wrapped));
            append_base64(&element, "commitment", key->commitment, sizeof(key->commitment));
        }
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

void
keystore_view_history(bson_t *json, const KEYSTORE *keystore)
{
    const KEYSTORE_EVENT *event;
    bson_t list, element;
    uint32_t i;

    output_json_begin_array(json, "history", &list);
    for (i = 0; i < keystore->event_count; i++) {
        event = &keystore->events[i];
        output_json_element(&list, i, &element);
        output_json_time(&element, "time", event->time);
        output_json_text(&element, "who", event->who);
        output_json_text(&element, "operation", event->operation);
        output_json_text(&element, "reason", event->reason);
        output_json_number(&element, "generation", event->generation);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}
