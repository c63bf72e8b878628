/*
 * keystore/keystore.c -- The keystore in memory: making, changing, freeing one. See keystore.h.
 */
#include "keystore/keystore.h"

#include "crypto/encode.h"
#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/keystore_index.h"

#include <bson/bson.h>

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore"));
}

int64_t
keystore_now(void)
{
    struct timeval now;

    (void)gettimeofday(&now, NULL);
    return ((int64_t)now.tv_sec * 1000 + now.tv_usec / 1000);
}

/* --- elements */

/*
 * Append a zeroed element. Arrays grow when their count is a power of two, so there is no capacity
 * to keep beside the count that callers see.
 */
static void *
append(void **arrayp, size_t *countp, size_t size)
{
    size_t count = *countp;
    void *bigger;

    if ((count & (count - 1)) == 0) {
        if (count > SIZE_MAX / 2 / size ||
            (bigger = realloc(*arrayp, (count == 0 ? 1 : 2 * count) * size)) == NULL)
            return (NULL);
        *arrayp = bigger;
    }
    *countp = count + 1;
    return (memset((char *)*arrayp + count * size, 0, size));
}

/* The element, in a macro since a T ** must not be used as a void **. */
#define APPEND(owner, array, count, elementp)                                 \
    do {                                                                      \
        void *array_ = (owner)->array;                                        \
        *(elementp) = append(&array_, &(owner)->count, sizeof(**(elementp))); \
        (owner)->array = array_;                                              \
    } while (0)

int
keystore_add_master(KEYSTORE *keystore, KEYSTORE_MASTER **masterp, STATUS *status)
{
    APPEND(keystore, masters, master_count, masterp);
    return (*masterp == NULL ? no_memory(status) : 0);
}

int
keystore_add_recipient(KEYSTORE_MASTER *master, KEYSTORE_RECIPIENT **recipientp, STATUS *status)
{
    *recipientp = NULL;
    if (master->recipient_count >= KEYSTORE_RECIPIENTS_MAX)
        return (status_set(status, STATUS_REFUSED, "keystore-recipients",
          "a master key has at most %d recipients", KEYSTORE_RECIPIENTS_MAX));
    APPEND(master, recipients, recipient_count, recipientp);
    return (*recipientp == NULL ? no_memory(status) : 0);
}

int
keystore_add_data_key(KEYSTORE *keystore, KEYSTORE_DATA_KEY **data_keyp, STATUS *status)
{
    APPEND(keystore, data_keys, data_key_count, data_keyp);
    return (*data_keyp == NULL ? no_memory(status) : 0);
}

int
keystore_append_event(KEYSTORE *keystore, KEYSTORE_EVENT **eventp, STATUS *status)
{
    APPEND(keystore, events, event_count, eventp);
    return (*eventp == NULL ? no_memory(status) : 0);
}

int
keystore_append_mac(KEYSTORE *keystore, KEYSTORE_MAC **macp, STATUS *status)
{
    APPEND(keystore, macs, mac_count, macp);
    return (*macp == NULL ? no_memory(status) : 0);
}

static void
release_event(KEYSTORE_EVENT *event)
{
    free(event->who);
    free(event->operation);
    free(event->reason);
}

static void
release_recipients(KEYSTORE_MASTER *master)
{
    KEYSTORE_RECIPIENT *recipient;
    size_t i;

    for (i = 0; i < master->recipient_count; i++) {
        recipient = &master->recipients[i];
        free(recipient->provider);
        free(recipient->key_id);
        free(recipient->credential);
        free(recipient->wrapped);
    }
    free(master->recipients);
    master->recipients = NULL;
    master->recipient_count = 0;
}

void
keystore_clear_recipients(KEYSTORE_MASTER *master)
{
    release_recipients(master);
}

void
keystore_remove_masters(
  KEYSTORE *keystore, bool (*is_removed)(const KEYSTORE_MASTER *, void *), void *context)
{
    KEYSTORE_MASTER *master;
    size_t i, kept = 0;

    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        if (is_removed(master, context)) {
            release_recipients(master);
            free(master->scope);
        } else
            keystore->masters[kept++] = *master;
    }
    if (kept != keystore->master_count)
        keystore_index_drop(keystore);
    keystore->master_count = kept;
}

void
keystore_remove_data_keys(
  KEYSTORE *keystore, bool (*is_removed)(const KEYSTORE_DATA_KEY *, void *), void *context)
{
    KEYSTORE_DATA_KEY *data_key;
    size_t i, kept = 0;

    for (i = 0; i < keystore->data_key_count; i++) {
        data_key = &keystore->data_keys[i];
        if (is_removed(data_key, context))
            free(data_key->keyid);
        else
            keystore->data_keys[kept++] = *data_key;
    }
    if (kept != keystore->data_key_count)
        keystore_index_drop(keystore);
    keystore->data_key_count = kept;
}

void
keystore_drop_macs(KEYSTORE *keystore)
{
    size_t i;

    for (i = 0; i < keystore->mac_count; i++)
        free(keystore->macs[i].scope);
    free(keystore->macs);
    keystore->macs = NULL;
    keystore->mac_count = 0;
}

/* --- the whole */

int
keystore_new(const char *node, KEYSTORE **keystorep, STATUS *status)
{
    KEYSTORE *keystore;

    *keystorep = NULL;
    if ((keystore = calloc(1, sizeof(*keystore))) == NULL)
        return (no_memory(status));
    if ((keystore->node = strdup(node)) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    if (random_bytes(keystore->uuid, sizeof(keystore->uuid), status) != 0)
        goto err;
    /* RFC 9562, version 4. */
    keystore->uuid[6] = (uint8_t)((keystore->uuid[6] & 0x0f) | 0x40);
    keystore->uuid[8] = (uint8_t)((keystore->uuid[8] & 0x3f) | 0x80);
    keystore->created = keystore->modified = keystore_now();
    *keystorep = keystore;
    return (0);

err:
    keystore_free(keystore);
    return ((int)status->status_class);
}

static bool
every_master(const KEYSTORE_MASTER *master, void *context)
{
    (void)master;
    (void)context;
    return (true);
}

static bool
every_data_key(const KEYSTORE_DATA_KEY *data_key, void *context)
{
    (void)data_key;
    (void)context;
    return (true);
}

void
keystore_free(KEYSTORE *keystore)
{
    size_t i;

    if (keystore == NULL)
        return;
    keystore_remove_masters(keystore, every_master, NULL);
    keystore_remove_data_keys(keystore, every_data_key, NULL);
    keystore_index_drop(keystore);
    for (i = 0; i < keystore->event_count; i++)
        release_event(&keystore->events[i]);
    keystore_drop_macs(keystore);
    free(keystore->masters);
    free(keystore->data_keys);
    free(keystore->events);
    free(keystore->node);
    free(keystore);
}

/* --- history */

/* A copy that the format takes: UTF-8, no longer than its limit. */
static char *
copy_text(const char *text)
{
    size_t len = strlen(text);

    if (len > KEYSTORE_TEXT_MAX)
        len = KEYSTORE_TEXT_MAX;
    /* Cut before a byte that continues a character, not inside it. */
    while (len > 0 && len < strlen(text) && ((unsigned char)text[len] & 0xc0) == 0x80)
        len--;
    return (bson_utf8_validate(text, len, false) ? strndup(text, len) : strdup("?"));
}

static char *
who_am_i(void)
{
    struct passwd entry, *found = NULL;
    char buf[4096], host[256], user[64], who[sizeof(buf) + sizeof(host) + 1];

    if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) != 0 || found == NULL) {
        (void)snprintf(user, sizeof(user), "%ju", (uintmax_t)geteuid());
        entry.pw_name = user;
    }
    if (gethostname(host, sizeof(host)) != 0)
        host[0] = '\0';
    host[sizeof(host) - 1] = '\0';
    (void)snprintf(who, sizeof(who), "%s@%s", entry.pw_name, host);
    return (copy_text(who));
}

int
keystore_add_event(KEYSTORE *keystore, const char *operation, const char *reason, STATUS *status)
{
    KEYSTORE_EVENT *event;
    size_t excess, i;

    if (keystore->event_count >= KEYSTORE_HISTORY_MAX) {
        excess = keystore->event_count - KEYSTORE_HISTORY_MAX + 1;
        for (i = 0; i < excess; i++)
            release_event(&keystore->events[i]);
        keystore->event_count -= excess;
        memmove(keystore->events, keystore->events + excess,
          keystore->event_count * sizeof(*keystore->events));
    }
    if (keystore_append_event(keystore, &event, status) != 0)
        return ((int)status->status_class);
    event->time = keystore_now();
    event->generation = keystore->generation;
    event->who = who_am_i();
    event->operation = copy_text(operation);
    event->reason = reason == NULL ? NULL : copy_text(reason);
    if (event->who == NULL || event->operation == NULL ||
        (reason != NULL && event->reason == NULL)) {
        release_event(event);
        keystore->event_count--;
        return (no_memory(status));
    }
    return (0);
}

/* --- text forms */

const char *
keystore_state_name(KEYSTORE_STATE state)
{
    static const char *const names[] = {"active", "readable", "retired"};

    return ((unsigned)state < 3 ? names[state] : "unknown");
}

void
keystore_uuid_text(const uint8_t uuid[KEYSTORE_UUID_LEN], char text[KEYSTORE_UUID_TEXT])
{
    static const size_t groups[] = {4, 2, 2, 2, 6};
    size_t i, at = 0;

    for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (i > 0)
            *text++ = '-';
        encode_hex(uuid + at, groups[i], text);
        text += 2 * groups[i];
        at += groups[i];
    }
}

int
keystore_uuid_parse(const char *text, uint8_t uuid[KEYSTORE_UUID_LEN], STATUS *status)
{
    static const size_t groups[] = {4, 2, 2, 2, 6};
    const char *p = text;
    size_t i, at = 0;

    if (strlen(text) == KEYSTORE_UUID_TEXT - 1)
        for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
            if ((i > 0 && *p++ != '-') ||
                encode_hex_decode(p, 2 * groups[i], uuid + at, status) != 0)
                break;
            p += 2 * groups[i];
            at += groups[i];
        }
    if (at != KEYSTORE_UUID_LEN)
        return (status_set(status, STATUS_CORRUPT, "keystore-uuid", "\"%s\" is not a UUID", text));
    return (0);
}
