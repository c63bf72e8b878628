/*
 * keystore/state_file.c -- HOME/wtkms.state. See state_file.h.
 */
#include "keystore/state_file.h"

#include "common/file.h"

#include <bson/bson.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
append_text(bson_t *doc, const char *key, const char *value)
{
    /* What a host or a key service named may not be UTF-8, and JSON must be. */
    if (value == NULL || !bson_utf8_validate(value, strlen(value), false))
        value = "";
    return (bson_append_utf8(doc, key, -1, value, -1));
}

static bool
append_opened(bson_t *doc, const STATE_FILE_CONTENT *content)
{
    bson_t list, item;
    const char *key;
    char buf[16];
    size_t i;
    bool ok;

    ok = bson_append_array_begin(doc, "opened", -1, &list);
    for (i = 0; ok && i < content->opened_count; i++) {
        (void)bson_uint32_to_string((uint32_t)i, &key, buf, sizeof(buf));
        ok = bson_append_document_begin(&list, key, -1, &item) &&
             append_text(&item, "scope", content->opened[i].scope) &&
             append_text(&item, "provider", content->opened[i].provider) &&
             append_text(&item, "keyId", content->opened[i].key_id) &&
             append_text(&item, "credential", content->opened[i].credential) &&
             bson_append_document_end(&list, &item);
    }
    return (ok && bson_append_array_end(doc, &list));
}

static bool
append_checks(bson_t *doc, const STATE_FILE_CONTENT *content)
{
    const STATE_FILE_CHECK *check;
    bson_t list, item;
    const char *key;
    char buf[16];
    size_t i;
    bool ok;

    ok = bson_append_array_begin(doc, "checks", -1, &list);
    for (i = 0; ok && i < content->check_count; i++) {
        check = &content->checks[i];
        (void)bson_uint32_to_string((uint32_t)i, &key, buf, sizeof(buf));
        ok = bson_append_document_begin(&list, key, -1, &item) &&
             append_text(&item, "scope", check->scope) &&
             append_text(&item, "provider", check->provider) &&
             append_text(&item, "keyId", check->key_id) &&
             append_text(&item, "class", check->status_class) &&
             append_text(&item, "message", check->message) &&
             bson_append_int64(&item, "time", -1, check->time) &&
             bson_append_int64(&item, "ms", -1, check->ms) &&
             bson_append_document_end(&list, &item);
    }
    return (ok && bson_append_array_end(doc, &list));
}

int
state_file_write(int home_fd, const STATE_FILE_CONTENT *content, STATUS *status)
{
    bson_t doc = BSON_INITIALIZER;
    char *json = NULL;
    size_t len;
    int ret;

    if (!(bson_append_int32(&doc, "version", -1, 1) &&
          bson_append_int64(&doc, "pid", -1, content->pid) &&
          append_text(&doc, "uuid", content->uuid) && append_text(&doc, "node", content->node) &&
          append_text(&doc, "moduleVersion", content->module_version) &&
          append_text(&doc, "engineVersion", content->engine_version) &&
          bson_append_int64(&doc, "generation", -1, content->generation) &&
          bson_append_int64(&doc, "startedAt", -1, content->started_at) &&
          bson_append_int64(&doc, "updatedAt", -1, content->updated_at) &&
          bson_append_int64(&doc, "closedAt", -1, content->closed_at) &&
          append_opened(&doc, content) && append_checks(&doc, content)) ||
        (json = bson_as_relaxed_extended_json(&doc, &len)) == NULL) {
        ret = status_set(status, STATUS_INTERNAL, "state-encode", STATE_FILE ": cannot be encoded");
        goto err;
    }
    json[len++] = '\n'; /* over the NUL: a line, for people who look at it */
    ret = file_replace(home_fd, STATE_FILE, json, len, 0640, false, status);

err:
    bson_free(json);
    bson_destroy(&doc);
    return (ret);
}

static char *
get_text(const bson_t *doc, const char *key)
{
    bson_iter_t iter;

    if (!bson_iter_init_find(&iter, doc, key) || !BSON_ITER_HOLDS_UTF8(&iter))
        return (strdup(""));
    return (strdup(bson_iter_utf8(&iter, NULL)));
}

static int64_t
get_number(const bson_t *doc, const char *key)
{
    bson_iter_t iter;

    if (!bson_iter_init_find(&iter, doc, key) ||
        !(BSON_ITER_HOLDS_INT32(&iter) || BSON_ITER_HOLDS_INT64(&iter)))
        return (0);
    return (bson_iter_as_int64(&iter));
}

static bool
get_opened(const bson_t *item, void *entry)
{
    STATE_FILE_OPENED *opened = entry;

    opened->scope = get_text(item, "scope");
    opened->provider = get_text(item, "provider");
    opened->key_id = get_text(item, "keyId");
    opened->credential = get_text(item, "credential");
    return (opened->scope != NULL && opened->provider != NULL && opened->key_id != NULL &&
            opened->credential != NULL);
}

static bool
get_check(const bson_t *item, void *entry)
{
    STATE_FILE_CHECK *check = entry;

    check->scope = get_text(item, "scope");
    check->provider = get_text(item, "provider");
    check->key_id = get_text(item, "keyId");
    check->status_class = get_text(item, "class");
    check->message = get_text(item, "message");
    check->time = get_number(item, "time");
    check->ms = get_number(item, "ms");
    return (check->scope != NULL && check->provider != NULL && check->key_id != NULL &&
            check->status_class != NULL && check->message != NULL);
}

/*
 * The documents of an array, each read into an entry of so many bytes; what is no document is passed
 * over, and so is an array that is not there. False when there is no memory; what was read until then
 * is the caller's too.
 */
static bool
get_list(const bson_t *doc, const char *name, size_t size,
  bool (*get)(const bson_t *item, void *entry), void **entriesp, size_t *countp)
{
    bson_iter_t iter, child;
    const uint8_t *data;
    uint32_t len;
    size_t count = 0;
    bson_t item;

    *entriesp = NULL;
    *countp = 0;
    if (!bson_iter_init_find(&iter, doc, name) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
        !bson_iter_recurse(&iter, &child))
        return (true);
    while (bson_iter_next(&child))
        count++;
    if (count == 0)
        return (true);
    if ((*entriesp = calloc(count, size)) == NULL)
        return (false);
    (void)bson_iter_recurse(&iter, &child);
    while (bson_iter_next(&child)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&child))
            continue;
        bson_iter_document(&child, &len, &data);
        if (bson_init_static(&item, data, len) &&
            !get(&item, (uint8_t *)*entriesp + size * (*countp)++))
            return (false);
    }
    return (true);
}

static bool
get_lists(const bson_t *doc, STATE_FILE_CONTENT *content)
{
    void *entries;
    bool ok;

    ok = get_list(
      doc, "opened", sizeof(*content->opened), get_opened, &entries, &content->opened_count);
    content->opened = entries;
    if (!ok)
        return (false);
    ok =
      get_list(doc, "checks", sizeof(*content->checks), get_check, &entries, &content->check_count);
    content->checks = entries;
    return (ok);
}

int
state_file_parse(const uint8_t *text, size_t len, STATE_FILE_CONTENT **contentp, STATUS *status)
{
    STATE_FILE_CONTENT *content = NULL;
    bson_t *doc;
    bson_error_t error;
    int ret = 0;

    *contentp = NULL;
    if ((doc = bson_new_from_json(text, (ssize_t)len, &error)) == NULL)
        return (status_set(
          status, STATUS_CORRUPT, "state-parse", STATE_FILE " is no JSON: %s", error.message));
    if ((content = calloc(1, sizeof(*content))) == NULL)
        goto no_memory;
    content->pid = get_number(doc, "pid");
    content->uuid = get_text(doc, "uuid");
    content->node = get_text(doc, "node");
    content->module_version = get_text(doc, "moduleVersion");
    content->engine_version = get_text(doc, "engineVersion");
    content->generation = get_number(doc, "generation");
    content->started_at = get_number(doc, "startedAt");
    content->updated_at = get_number(doc, "updatedAt");
    content->closed_at = get_number(doc, "closedAt");
    if (!get_lists(doc, content) || content->uuid == NULL || content->node == NULL ||
        content->module_version == NULL || content->engine_version == NULL)
        goto no_memory;
    *contentp = content;
    content = NULL;

    if (0) {
    no_memory:
        ret = status_set_errno(status, ENOMEM, "memory", STATE_FILE);
    }
    state_file_free(content);
    bson_destroy(doc);
    return (ret);
}

int
state_file_read(int home_fd, STATE_FILE_CONTENT **contentp, STATUS *status)
{
    uint8_t *text;
    size_t len;
    bool found;
    int ret;

    *contentp = NULL;
    if ((ret = file_read(
           home_fd, STATE_FILE, STATE_FILE_MAX_BYTES, true, &found, &text, &len, status)) != 0)
        return (ret);
    if (found)
        ret = state_file_parse(text, len, contentp, status);
    free(text);
    return (ret);
}

void
state_file_free_checks(STATE_FILE_CHECK *checks, size_t count)
{
    size_t i;

    for (i = 0; checks != NULL && i < count; i++) {
        free(checks[i].scope);
        free(checks[i].provider);
        free(checks[i].key_id);
        free(checks[i].status_class);
        free(checks[i].message);
    }
    free(checks);
}

void
state_file_free(STATE_FILE_CONTENT *content)
{
    size_t i;

    if (content == NULL)
        return;
    for (i = 0; i < content->opened_count; i++) {
        free(content->opened[i].scope);
        free(content->opened[i].provider);
        free(content->opened[i].key_id);
        free(content->opened[i].credential);
    }
    free(content->opened);
    state_file_free_checks(content->checks, content->check_count);
    free(content->uuid);
    free(content->node);
    free(content->module_version);
    free(content->engine_version);
    free(content);
}
