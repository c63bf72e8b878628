/*
 * keystore/keystore_copy.c -- A keystore to edit, from one that others still look at.
 */
#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"

#include <stdlib.h>
#include <string.h>

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a copy of the keystore"));
}

static bool
copy_text(char **copyp, const char *text)
{
    return (text == NULL || (*copyp = strdup(text)) != NULL);
}

static int
copy_recipient(KEYSTORE_MASTER *master, const KEYSTORE_RECIPIENT *from, STATUS *status)
{
    KEYSTORE_RECIPIENT *to;
    int ret;

    if ((ret = keystore_add_recipient(master, &to, status)) != 0)
        return (ret);
    to->time = from->time;
    if (!copy_text(&to->provider, from->provider) || !copy_text(&to->key_id, from->key_id) ||
        !copy_text(&to->credential, from->credential) ||
        (to->wrapped = malloc(from->wrapped_len)) == NULL)
        return (no_memory(status));
    memcpy(to->wrapped, from->wrapped, from->wrapped_len);
    to->wrapped_len = from->wrapped_len;
    return (0);
}

static int
copy_master(KEYSTORE *copy, const KEYSTORE_MASTER *from, STATUS *status)
{
    KEYSTORE_MASTER *to;
    size_t i;
    int ret;

    if ((ret = keystore_add_master(copy, &to, status)) != 0)
        return (ret);
    *to = *from;
    to->scope = NULL;
    to->recipients = NULL;
    to->recipient_count = 0;
    if (!copy_text(&to->scope, from->scope))
        return (no_memory(status));
    for (i = 0; i < from->recipient_count; i++)
        if ((ret = copy_recipient(to, &from->recipients[i], status)) != 0)
            return (ret);
    return (0);
}

static int
copy_data_key(KEYSTORE *copy, const KEYSTORE_DATA_KEY *from, STATUS *status)
{
    KEYSTORE_DATA_KEY *to;
    int ret;

    if ((ret = keystore_add_data_key(copy, &to, status)) != 0)
        return (ret);
    *to = *from;
    to->keyid = NULL;
    return (copy_text(&to->keyid, from->keyid) ? 0 : no_memory(status));
}

static int
copy_event(KEYSTORE *copy, const KEYSTORE_EVENT *from, STATUS *status)
{
    KEYSTORE_EVENT *to;
    int ret;

    if ((ret = keystore_append_event(copy, &to, status)) != 0)
        return (ret);
    to->time = from->time;
    to->generation = from->generation;
    if (!copy_text(&to->who, from->who) || !copy_text(&to->operation, from->operation) ||
        !copy_text(&to->reason, from->reason))
        return (no_memory(status));
    return (0);
}

int
keystore_copy(const KEYSTORE *keystore, KEYSTORE **copyp, STATUS *status)
{
    KEYSTORE *copy;
    size_t i;
    int ret = 0;

    *copyp = NULL;
    if ((copy = calloc(1, sizeof(*copy))) == NULL)
        return (no_memory(status));
    memcpy(copy->uuid, keystore->uuid, sizeof(copy->uuid));
    memcpy(copy->parent, keystore->parent, sizeof(copy->parent));
    copy->has_parent = keystore->has_parent;
    copy->generation = keystore->generation;
    copy->created = keystore->created;
    copy->modified = keystore->modified;
    copy->partial = keystore->partial;
    if (!copy_text(&copy->node, keystore->node))
        ret = no_memory(status);
    for (i = 0; ret == 0 && i < keystore->master_count; i++)
        ret = copy_master(copy, &keystore->masters[i], status);
    for (i = 0; ret == 0 && i < keystore->data_key_count; i++)
        ret = copy_data_key(copy, &keystore->data_keys[i], status);
    for (i = 0; ret == 0 && i < keystore->event_count; i++)
        ret = copy_event(copy, &keystore->events[i], status);
    if (ret == 0)
        ret = keystore_index_copy(copy, keystore, status);
    if (ret != 0) {
        keystore_free(copy);
        return (ret);
    }
    *copyp = copy;
    return (0);
}
