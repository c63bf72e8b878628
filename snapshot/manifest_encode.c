/*
 * snapshot/manifest_encode.c -- A MANIFEST into bytes. See manifest.h, manifest_format.h.
 */
#include "snapshot/manifest_format.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

static int
refused(STATUS *status, const char *what)
{
    return (status_set(
      status, STATUS_REFUSED, "manifest-content", "the manifest cannot be written: %s", what));
}

static bool
fits(const char *text, size_t minimum, size_t maximum)
{
    size_t len;

    return (text != NULL && (len = strlen(text)) >= minimum && len <= maximum &&
            bson_utf8_validate(text, len, false));
}

bool
manifest_recipient_fits(
  const char *scope, const char *provider, const char *key_id, const char *credential)
{
    return (fits(scope, 1, MANIFEST_SCOPE_MAX) && fits(provider, 1, MANIFEST_PROVIDER_MAX) &&
            fits(key_id, 1, MANIFEST_TEXT_MAX) && fits(credential, 0, MANIFEST_TEXT_MAX));
}

static bool
recipients_fit(const MANIFEST_RECIPIENT *recipients, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (!manifest_recipient_fits(recipients[i].scope, recipients[i].provider,
              recipients[i].key_id, recipients[i].credential))
            return (false);
    return (true);
}

/* What would be written, a reader must take: a copy that nobody can read is found out now. */
static int
check(const MANIFEST *manifest, const SECRET *key, STATUS *status)
{
    const char *problem;
    size_t i;

    if (manifest->has_keystore != (key != NULL))
        return (refused(status, "a MAC is there exactly when a keystore is"));
    if (manifest->created < 0 || manifest->keep_until < 0)
        return (refused(status, "a time is before 1970"));
    if (!fits(manifest->node, 0, MANIFEST_NODE_MAX) ||
        !fits(manifest->program, 1, MANIFEST_PROGRAM_MAX))
        return (refused(status, "the node's label is no text of at most 255 bytes"));
    if (!recipients_fit(manifest->recipients, manifest->recipient_count) ||
        !recipients_fit(manifest->opened, manifest->opened_count))
        return (refused(status, "a recipient's text is too long or no UTF-8"));
    if (manifest->has_keystore && (manifest->generation < 1 || manifest->master_key_id == 0))
        return (refused(status, "the keystore has no generation or no master key"));
    if (manifest->log_path != NULL &&
        (manifest->log_path[0] == '\0' || strlen(manifest->log_path) > MANIFEST_PATH_MAX))
        return (refused(status, "the log path is too long"));
    if ((problem = manifest_entries_problem(manifest, &i)) != NULL)
        return (status_set(status, STATUS_REFUSED, "manifest-content",
          "the manifest cannot be written: %s: \"%.100s\"", problem, manifest->entries[i].path));
    return (0);
}

static bool
begin_element(bson_t *array, size_t index, bson_t *child)
{
    const char *key;
    char text[16];

    (void)bson_uint32_to_string((uint32_t)index, &key, text, sizeof(text));
    return (bson_append_document_begin(array, key, -1, child));
}

static bool
put_recipients(bson_t *bson, const char *field, const MANIFEST_RECIPIENT *recipients, size_t count)
{
    bson_t array, element;
    size_t i;

    if (!bson_append_array_begin(bson, field, -1, &array))
        return (false);
    for (i = 0; i < count; i++)
        if (!begin_element(&array, i, &element) ||
            !BSON_APPEND_UTF8(&element, FIELD_SCOPE, recipients[i].scope) ||
            !BSON_APPEND_UTF8(&element, FIELD_PROVIDER, recipients[i].provider) ||
            !BSON_APPEND_UTF8(&element, FIELD_KEY_ID, recipients[i].key_id) ||
            !BSON_APPEND_UTF8(&element, FIELD_CREDENTIAL, recipients[i].credential) ||
            !bson_append_document_end(&array, &element))
            return (false);
    return (bson_append_array_end(bson, &array));
}

static bool
put_keystore(bson_t *bson, const MANIFEST *manifest)
{
    bson_t keystore;

    return (bson_append_document_begin(bson, FIELD_KEYSTORE, -1, &keystore) &&
            BSON_APPEND_BINARY(
              &keystore, FIELD_UUID, BSON_SUBTYPE_UUID, manifest->uuid, sizeof(manifest->uuid)) &&
            BSON_APPEND_INT64(&keystore, FIELD_GENERATION, manifest->generation) &&
            BSON_APPEND_INT64(&keystore, FIELD_MASTER_KEY_ID, (int64_t)manifest->master_key_id) &&
            BSON_APPEND_UTF8(
              &keystore, FIELD_SOURCE, manifest->from_mirror ? SOURCE_MIRROR : SOURCE_FILE) &&
            put_recipients(
              &keystore, FIELD_RECIPIENTS, manifest->recipients, manifest->recipient_count) &&
            bson_append_document_end(bson, &keystore));
}

static bool
put_bytes(bson_t *bson, const char *field, const void *data, size_t len)
{
    return (bson_append_binary(bson, field, -1, BSON_SUBTYPE_BINARY, data, (uint32_t)len));
}

static bool
put_entries(bson_t *bson, const MANIFEST *manifest)
{
    const MANIFEST_ENTRY *entry;
    bson_t array, element;
    size_t i;

    if (!bson_append_array_begin(bson, FIELD_ENTRIES, -1, &array))
        return (false);
    for (i = 0; i < manifest->entry_count; i++) {
        entry = &manifest->entries[i];
        /* Far below what libbson itself can take, so that its lengths cannot overflow. */
        if (array.len > MANIFEST_MAX_BYTES || !begin_element(&array, i, &element) ||
            !put_bytes(&element, FIELD_PATH, entry->path, strlen(entry->path)) ||
            !BSON_APPEND_INT64(&element, FIELD_SIZE, (int64_t)entry->size) ||
            !put_bytes(&element, FIELD_SHA256, entry->sha256, sizeof(entry->sha256)) ||
            !bson_append_document_end(&array, &element))
            return (false);
    }
    return (bson_append_array_end(bson, &array));
}

static bool
put_all(bson_t *bson, const MANIFEST *manifest)
{
    static const uint8_t zeros[MAC_LEN];

    return (
      BSON_APPEND_INT32(bson, FIELD_VERSION, MANIFEST_VERSION) &&
      BSON_APPEND_DATE_TIME(bson, FIELD_CREATED, manifest->created) &&
      BSON_APPEND_UTF8(bson, FIELD_NODE, manifest->node) &&
      BSON_APPEND_UTF8(bson, FIELD_PROGRAM, manifest->program) &&
      BSON_APPEND_UTF8(bson, FIELD_METHOD, manifest_method_name(manifest->method)) &&
      BSON_APPEND_UTF8(bson, FIELD_FORM, manifest->is_archive ? FORM_ARCHIVE : FORM_DIRECTORY) &&
      (!manifest->has_keystore || put_keystore(bson, manifest)) &&
      put_recipients(bson, FIELD_OPENED_BY, manifest->opened, manifest->opened_count) &&
      (manifest->keep_until == 0 ||
        BSON_APPEND_DATE_TIME(bson, FIELD_KEEP_UNTIL, manifest->keep_until)) &&
      (manifest->log_path == NULL ||
        put_bytes(bson, FIELD_LOG_PATH, manifest->log_path, strlen(manifest->log_path))) &&
      put_entries(bson, manifest) &&
      (!manifest->has_keystore || put_bytes(bson, FIELD_MAC, zeros, MAC_LEN)));
}

int
manifest_encode(
  MANIFEST *manifest, const SECRET *key, uint8_t **datap, size_t *lenp, STATUS *status)
{
    bson_t bson;
    uint8_t *data = NULL;
    int ret;

    *datap = NULL;
    *lenp = 0;
    if (manifest->entry_count > 1)
        qsort(
          manifest->entries, manifest->entry_count, sizeof(*manifest->entries), manifest_compare);
    if ((ret = check(manifest, key, status)) != 0)
        return (ret);
    bson_init(&bson);
    if (!put_all(&bson, manifest) || bson.len > MANIFEST_MAX_BYTES) {
        ret = refused(status, "it has too many entries");
        goto err;
    }
    if ((data = malloc(bson.len)) == NULL) {
        ret = status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the manifest");
        goto err;
    }
    memcpy(data, bson_get_data(&bson), bson.len);
    if (manifest->has_keystore) {
        if ((ret = manifest_compute_mac(data, bson.len, key, manifest->mac, status)) != 0)
            goto err;
        memcpy(data + bson.len - 1 - MAC_LEN, manifest->mac, MAC_LEN);
    }
    *datap = data;
    *lenp = bson.len;
    data = NULL;

err:
    free(data);
    bson_destroy(&bson);
    return (ret);
}
