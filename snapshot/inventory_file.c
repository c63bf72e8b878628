/*
 * snapshot/inventory_file.c -- An inventory as a document, and read back. See inventory.h.
 *
 * Bytes of names that are no UTF-8 are written as "\xHH", which is how they are shown too.
 */
#include "snapshot/inventory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION_FIELD "wtkmsInventory"

/* --- writing */

static char *
valid_text(const char *text)
{
    bson_string_t *out;
    size_t len;

    out = bson_string_new(NULL);
    for (; *text != '\0'; text += len) {
        for (len = 4; len > 0; len--)
            if (strnlen(text, len) == len && bson_utf8_validate(text, len, false) &&
                ((unsigned char)text[0] < 0x80 ? len == 1 : true))
                break;
        if (len == 0) {
            bson_string_append_printf(out, "\\x%02x", (unsigned char)*text);
            len = 1;
        } else {
            char part[5] = {0};

            memcpy(part, text, len);
            bson_string_append(out, part);
        }
    }
    return (bson_string_free(out, false));
}

static void
put_text(bson_t *json, const char *name, const char *text)
{
    char *valid;

    if (text == NULL) {
        (void)bson_append_null(json, name, -1);
        return;
    }
    valid = valid_text(text);
    (void)bson_append_utf8(json, name, -1, valid, -1);
    bson_free(valid);
}

static void
put_time(bson_t *json, const char *name, int64_t ms)
{
    char text[32];
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);

    if (ms == 0 || gmtime_r(&seconds, &tm) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        (void)bson_append_null(json, name, -1);
    else
        (void)bson_append_utf8(json, name, -1, text, -1);
}

static void
put_id(bson_t *json, const char *name, uint64_t id)
{
    char text[17];

    (void)snprintf(text, sizeof(text), "%016" PRIx64, id);
    (void)bson_append_utf8(json, name, -1, text, -1);
}

static void
begin_element(bson_t *array, size_t index, bson_t *child)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%zu", index);
    (void)bson_append_document_begin(array, text, -1, child);
}

static void
put_texts(bson_t *json, const char *name, char *const *texts, size_t count)
{
    bson_t list;
    char index[16];
    size_t i;

    (void)bson_append_array_begin(json, name, -1, &list);
    for (i = 0; i < count; i++) {
        (void)snprintf(index, sizeof(index), "%zu", i);
        put_text(&list, index, texts[i]);
    }
    (void)bson_append_array_end(json, &list);
}

static void
put_recipients(bson_t *json, const COPY *copy)
{
    const COPY_RECIPIENT *recipient;
    bson_t element, list;
    size_t i;

    (void)bson_append_array_begin(json, "recipients", -1, &list);
    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        begin_element(&list, i, &element);
        put_text(&element, "scope", recipient->scope);
        put_text(&element, "provider", recipient->provider);
        put_text(&element, "encryptionKeyId", recipient->key_id);
        put_text(&element, "credential", recipient->credential);
        (void)bson_append_bool(&element, "openedIt", -1, recipient->opened);
        put_text(&element, "access", recipient->access);
        put_text(&element, "accessDetail", recipient->detail);
        (void)bson_append_document_end(&list, &element);
    }
    (void)bson_append_array_end(json, &list);
}

static void
put_keys(bson_t *json, const COPY *copy)
{
    bson_t element, list;
    size_t i;

    (void)bson_append_array_begin(json, "masterKeys", -1, &list);
    for (i = 0; i < copy->master_count; i++) {
        begin_element(&list, i, &element);
        put_text(&element, "scope", copy->masters[i].scope);
        put_id(&element, "id", copy->masters[i].id);
        (void)bson_append_document_end(&list, &element);
    }
    (void)bson_append_array_end(json, &list);
    (void)bson_append_array_begin(json, "dataKeys", -1, &list);
    for (i = 0; i < copy->key_count; i++) {
        begin_element(&list, i, &element);
        put_id(&element, "id", copy->keys[i].id);
        put_text(&element, "keyid", copy->keys[i].keyid);
        (void)bson_append_int64(&element, "version", -1, copy->keys[i].version);
        (void)bson_append_document_end(&list, &element);
    }
    (void)bson_append_array_end(json, &list);
}

static void
put_copy(bson_t *json, const COPY *copy)
{
    put_text(json, "host", copy->host);
    put_text(json, "node", copy->node);
    put_text(json, "path", copy->path);
    put_text(json, "member", copy->member);
    (void)bson_append_bool(json, "archive", -1, copy->is_archive);
    put_text(json, "kind", copy->is_oplog ? "oplog archive" : "home");
    (void)bson_append_bool(json, "running", -1, copy->running);
    put_text(json, "encryption", copy_state_name(copy->state));
    put_text(json, "keystore",
      copy->from_mirror    ? "from mirror"
      : copy->has_keystore ? "present"
                           : "missing");
    (void)bson_append_bool(json, "partial", -1, copy->partial);
    put_text(json, "uuid", copy->uuid);
    (void)bson_append_int64(json, "generation", -1, copy->generation);
    put_time(json, "searched", copy->searched);
    put_time(json, "checkpointTime", copy->checkpoint);
    put_time(json, "modified", copy->modified);
    put_time(json, "keepUntil", copy->keep_until);
    (void)bson_append_int64(json, "size", -1, (int64_t)copy->size);
    (void)bson_append_int64(json, "files", -1, (int64_t)copy->files);
    put_recipients(json, copy);
    put_keys(json, copy);
    (void)bson_append_int64(json, "plainTables", -1, (int64_t)copy->plain_tables);
    (void)bson_append_bool(json, "sampled", -1, copy->sampled);
    (void)bson_append_bool(json, "judged", -1, !copy->unjudged);
    put_texts(json, "problems", copy->problems, copy->problem_count);
}

void
inventory_write(const INVENTORY *inventory, bson_t *json)
{
    bson_t element, list;
    size_t i;

    (void)bson_append_int64(json, VERSION_FIELD, -1, INVENTORY_VERSION);
    (void)bson_append_array_begin(json, "places", -1, &list);
    for (i = 0; i < inventory->place_count; i++) {
        begin_element(&list, i, &element);
        put_text(&element, "host", inventory->places[i].host);
        put_text(&element, "path", inventory->places[i].path);
        put_time(&element, "time", inventory->places[i].time);
        (void)bson_append_document_end(&list, &element);
    }
    (void)bson_append_array_end(json, &list);
    (void)bson_append_array_begin(json, "copies", -1, &list);
    for (i = 0; i < inventory->count; i++) {
        begin_element(&list, i, &element);
        put_copy(&element, &inventory->copies[i]);
        (void)bson_append_document_end(&list, &element);
    }
    (void)bson_append_array_end(json, &list);
    put_texts(json, "skipped", inventory->skipped, inventory->skipped_count);
}

/* --- reading: what is missing or of another type is zero, and what must be there is checked */

static char *
get_text(const bson_t *json, const char *name)
{
    bson_iter_t iter;

    if (!bson_iter_init_find(&iter, json, name) || !BSON_ITER_HOLDS_UTF8(&iter))
        return (NULL);
    return (bson_strdup(bson_iter_utf8(&iter, NULL)));
}

static int64_t
get_number(const bson_t *json, const char *name)
{
    bson_iter_t iter;
    int64_t number;

    if (!bson_iter_init_find(&iter, json, name))
        return (0);
    number = BSON_ITER_HOLDS_INT(&iter) ? bson_iter_as_int64(&iter) : 0;
    return (number < 0 ? 0 : number);
}

static bool
get_bool(const bson_t *json, const char *name)
{
    bson_iter_t iter;

    return (bson_iter_init_find(&iter, json, name) && BSON_ITER_HOLDS_BOOL(&iter) &&
            bson_iter_bool(&iter));
}

static int64_t
get_time(const bson_t *json, const char *name)
{
    struct tm tm;
    char *text, *end;
    int64_t ms = 0;

    if ((text = get_text(json, name)) == NULL)
        return (0);
    memset(&tm, 0, sizeof(tm));
    if ((end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm)) != NULL && *end == '\0')
        ms = (int64_t)timegm(&tm) * 1000;
    bson_free(text);
    return (ms);
}

static uint64_t
get_id(const bson_t *json, const char *name)
{
    char *text = get_text(json, name);
    uint64_t id = text == NULL ? 0 : strtoull(text, NULL, 16);

    bson_free(text);
    return (id);
}

/* Call add for each document of an array; false when it is missing or of something else. */
static bool
each(const bson_t *json, const char *name, bool (*add)(const bson_t *item, void *context),
  void *context)
{
    bson_iter_t iter, child;
    const uint8_t *data;
    uint32_t len;
    bson_t item;

    if (!bson_iter_init_find(&iter, json, name) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
        !bson_iter_recurse(&iter, &child))
        return (false);
    while (bson_iter_next(&child)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&child))
            return (false);
        bson_iter_document(&child, &len, &data);
        if (!bson_init_static(&item, data, len) || !add(&item, context))
            return (false);
    }
    return (true);
}

static bool
add_recipient(const bson_t *item, void *context)
{
    COPY *copy = context;
    COPY_RECIPIENT *recipient;

    copy->recipients =
      bson_realloc(copy->recipients, (copy->recipient_count + 1) * sizeof(*copy->recipients));
    recipient = &copy->recipients[copy->recipient_count++];
    recipient->scope = get_text(item, "scope");
    recipient->provider = get_text(item, "provider");
    recipient->key_id = get_text(item, "encryptionKeyId");
    recipient->credential = get_text(item, "credential");
    recipient->opened = get_bool(item, "openedIt");
    recipient->access = get_text(item, "access");
    recipient->detail = get_text(item, "accessDetail");
    return (recipient->scope != NULL && recipient->provider != NULL && recipient->key_id != NULL &&
            recipient->credential != NULL);
}

static bool
add_master(const bson_t *item, void *context)
{
    COPY *copy = context;

    copy->masters = bson_realloc(copy->masters, (copy->master_count + 1) * sizeof(*copy->masters));
    copy->masters[copy->master_count].scope = get_text(item, "scope");
    copy->masters[copy->master_count].id = get_id(item, "id");
    return (copy->masters[copy->master_count++].scope != NULL);
}

static bool
add_key(const bson_t *item, void *context)
{
    COPY *copy = context;

    copy->keys = bson_realloc(copy->keys, (copy->key_count + 1) * sizeof(*copy->keys));
    copy->keys[copy->key_count].id = get_id(item, "id");
    copy->keys[copy->key_count].keyid = get_text(item, "keyid");
    copy->keys[copy->key_count++].version = (uint32_t)get_number(item, "version");
    return (true);
}

static bool
get_texts(
  const bson_t *json, const char *name, void (*add)(const char *text, void *context), void *context)
{
    bson_iter_t iter, child;

    if (!bson_iter_init_find(&iter, json, name) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
        !bson_iter_recurse(&iter, &child))
        return (false);
    while (bson_iter_next(&child)) {
        if (!BSON_ITER_HOLDS_UTF8(&child))
            return (false);
        add(bson_iter_utf8(&child, NULL), context);
    }
    return (true);
}

static void
add_problem(const char *text, void *context)
{
    copy_problem(context, false, "%s", text);
}

static void
add_skipped(const char *text, void *context)
{
    inventory_skip(context, "%s", text);
}

static bool
same_text(const char *a, const char *b)
{
    return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

/* Of two rows of one place the later one stays: drop the last row or an earlier one. */
static void
drop_older(INVENTORY *inventory, size_t known)
{
    COPY *copy = &inventory->copies[inventory->count - 1], *old;
    size_t i;

    for (i = 0; i < known; i++) {
        old = &inventory->copies[i];
        if (!same_text(old->host, copy->host) || !same_text(old->path, copy->path) ||
            !same_text(old->member, copy->member))
            continue;
        if (copy->searched >= old->searched) {
            copy_release(old);
            *old = *copy;
        } else
            copy_release(copy);
        inventory->count--;
        return;
    }
}

typedef struct {
    INVENTORY *inventory;
    size_t known; /* rows before this file */
} READING;

static bool
add_copy(const bson_t *item, void *context)
{
    READING *reading = context;
    COPY *copy = inventory_copy(reading->inventory);
    char *keystore, *kind, *state;
    bool ok;

    copy->host = get_text(item, "host");
    copy->node = get_text(item, "node");
    copy->path = get_text(item, "path");
    copy->member = get_text(item, "member");
    copy->is_archive = get_bool(item, "archive");
    copy->running = get_bool(item, "running");
    copy->partial = get_bool(item, "partial");
    copy->uuid = get_text(item, "uuid");
    copy->generation = get_number(item, "generation");
    copy->searched = get_time(item, "searched");
    copy->checkpoint = get_time(item, "checkpointTime");
    copy->modified = get_time(item, "modified");
    copy->keep_until = get_time(item, "keepUntil");
    copy->size = (uint64_t)get_number(item, "size");
    copy->files = (uint64_t)get_number(item, "files");
    copy->plain_tables = (uint64_t)get_number(item, "plainTables");
    copy->sampled = get_bool(item, "sampled");
    copy->unjudged = !get_bool(item, "judged");
    kind = get_text(item, "kind");
    copy->is_oplog = kind != NULL && strcmp(kind, "oplog archive") == 0;
    bson_free(kind);
    state = get_text(item, "encryption");
    keystore = get_text(item, "keystore");
    ok = copy->host != NULL && copy->node != NULL && copy->path != NULL && state != NULL &&
         keystore != NULL && copy_state_parse(state, &copy->state) &&
         each(item, "recipients", add_recipient, copy) &&
         each(item, "masterKeys", add_master, copy) && each(item, "dataKeys", add_key, copy) &&
         get_texts(item, "problems", add_problem, copy);
    copy->has_keystore = keystore != NULL && strcmp(keystore, "present") == 0;
    copy->from_mirror = keystore != NULL && strcmp(keystore, "from mirror") == 0;
    bson_free(state);
    bson_free(keystore);
    if (ok)
        drop_older(reading->inventory, reading->known);
    return (ok);
}

static bool
add_place(const bson_t *item, void *context)
{
    char *host = get_text(item, "host"), *path = get_text(item, "path");
    bool ok = host != NULL && path != NULL;

    if (ok)
        inventory_place(context, host, path, get_time(item, "time"));
    bson_free(host);
    bson_free(path);
    return (ok);
}

int
inventory_read(
  INVENTORY *inventory, const uint8_t *text, size_t len, const char *name, STATUS *status)
{
    READING reading = {inventory, inventory->count};
    bson_error_t error;
    bson_t *json;
    int64_t version;
    int ret = 0;

    if ((json = bson_new_from_json(text, (ssize_t)len, &error)) == NULL)
        return (status_set(
          status, STATUS_CORRUPT, "inventory-parse", "%s is no JSON: %s", name, error.message));
    version = get_number(json, VERSION_FIELD);
    if (version > INVENTORY_VERSION) {
        (void)status_set(status, STATUS_REFUSED, "inventory-version",
          "%s is an inventory of version %lld", name, (long long)version);
        ret = status_hint(status, "a newer wtkms reads it");
    } else if (version != INVENTORY_VERSION || !each(json, "places", add_place, inventory) ||
               !each(json, "copies", add_copy, &reading) ||
               !get_texts(json, "skipped", add_skipped, inventory))
        ret = status_set(
          status, STATUS_CORRUPT, "inventory-parse", "%s is no inventory of wtkms", name);
    bson_destroy(json);
    return (ret);
}
