/*
 * snapshot/manifest_decode.c -- Bytes into a MANIFEST. See manifest.h, manifest_format.h.
 *
 * The order of fields is fixed, as in the keystore: the reader asks for one after the other, and what
 * is missing, repeated, unknown or in another place is the same mistake.
 */
#include "snapshot/manifest_format.h"

#include <bson/bson.h>

#include <inttypes.h>
#include <string.h>

/* One document or array on its way through. */
typedef struct {
    bson_iter_t iter;
    const char *key; /* of the current element; NULL at the end */
    size_t len;
    bool broken; /* libbson stopped before the end */
    const char *name;
    STATUS *status;
} READER;

static int
corrupt(const READER *reader, const char *field, const char *what)
{
    return (status_set(
      reader->status, STATUS_CORRUPT, "manifest-format", "%s: %s %s", reader->name, field, what));
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
    /* libbson checks bounds; that the elements reach the closing NUL is for us. */
    reader->broken = end != reader->len - 1;
}

static int
open_reader(READER *reader, const uint8_t *data, size_t len, const char *name, STATUS *status)
{
    reader->len = len;
    reader->broken = false;
    reader->name = name;
    reader->status = status;
    if (!bson_iter_init_from_data(&reader->iter, data, len))
        return (corrupt(reader, "its length", "is not what it says"));
    advance(reader);
    return (0);
}

static bool
is_at(const READER *reader, const char *field)
{
    return (reader->key != NULL && strcmp(reader->key, field) == 0);
}

static int
expect(READER *reader, const char *field, bson_type_t type)
{
    if (reader->key == NULL)
        return (corrupt(reader, field, reader->broken ? "cannot be read" : "is missing"));
    if (!is_at(reader, field)) {
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
read_int64(READER *reader, const char *field, int64_t minimum, int64_t *valuep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_INT64)) != 0)
        return (ret);
    if ((*valuep = bson_iter_int64(&reader->iter)) < minimum)
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
read_time(READER *reader, const char *field, int64_t minimum, int64_t *timep)
{
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_DATE_TIME)) != 0)
        return (ret);
    if ((*timep = bson_iter_date_time(&reader->iter)) < minimum)
        return (corrupt(reader, field, "is out of range"));
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
    *textp = bson_strndup(text, len);
    advance(reader);
    return (0);
}

/* A text that is one of a few: its index. */
static int
read_word(READER *reader, const char *field, const char *const *words, size_t count, size_t *indexp)
{
    const char *text;
    uint32_t len;
    size_t i;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_UTF8)) != 0)
        return (ret);
    text = bson_iter_utf8(&reader->iter, &len);
    for (i = 0; i < count; i++)
        if (len == strlen(words[i]) && memcmp(text, words[i], len) == 0) {
            *indexp = i;
            advance(reader);
            return (0);
        }
    return (corrupt(reader, field, "is unknown"));
}

static int
expect_bytes(READER *reader, const char *field, bson_subtype_t subtype, size_t minimum,
  size_t maximum, const uint8_t **datap, uint32_t *lenp)
{
    bson_subtype_t found;
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_BINARY)) != 0)
        return (ret);
    bson_iter_binary(&reader->iter, &found, lenp, datap);
    if (found != subtype || *datap == NULL)
        return (corrupt(reader, field, "has the wrong subtype"));
    if (*lenp < minimum || *lenp > maximum)
        return (corrupt(reader, field, "has the wrong length"));
    return (0);
}

static int
read_bytes(READER *reader, const char *field, bson_subtype_t subtype, void *out, size_t size)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = expect_bytes(reader, field, subtype, size, size, &data, &len)) != 0)
        return (ret);
    memcpy(out, data, size);
    advance(reader);
    return (0);
}

/* A file's name: bytes without a NUL. */
static int
read_path(READER *reader, const char *field, char **pathp)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = expect_bytes(
           reader, field, BSON_SUBTYPE_BINARY, 1, MANIFEST_PATH_MAX, &data, &len)) != 0)
        return (ret);
    if (memchr(data, '\0', len) != NULL)
        return (corrupt(reader, field, "has a NUL in it"));
    *pathp = bson_strndup((const char *)data, len);
    advance(reader);
    return (0);
}

/* An array's elements are documents named "0", "1" and so on. read_element reads one to its end. */
static int
read_array(READER *reader, const char *field, const char *element_name,
  int (*read_element)(READER *element, MANIFEST *manifest), MANIFEST *manifest)
{
    READER array, element;
    const uint8_t *data;
    const char *index;
    uint32_t i, len;
    char text[16];
    int ret;

    if ((ret = expect(reader, field, BSON_TYPE_ARRAY)) != 0)
        return (ret);
    bson_iter_array(&reader->iter, &len, &data);
    if ((ret = open_reader(&array, data, len, field, reader->status)) != 0)
        return (ret);
    for (i = 0; array.key != NULL; i++) {
        (void)bson_uint32_to_string(i, &index, text, sizeof(text));
        if ((ret = expect(&array, index, BSON_TYPE_DOCUMENT)) != 0)
            return (ret);
        bson_iter_document(&array.iter, &len, &data);
        if ((ret = open_reader(&element, data, len, element_name, reader->status)) != 0 ||
            (ret = read_element(&element, manifest)) != 0 || (ret = expect_end(&element)) != 0)
            return (status_add(reader->status, "%s %u", field, (unsigned)i));
        advance(&array);
    }
    if ((ret = expect_end(&array)) != 0)
        return (ret);
    advance(reader);
    return (0);
}

static int
read_recipient_fields(READER *reader, MANIFEST_RECIPIENT *recipient)
{
    int ret;

    if ((ret = read_text(reader, FIELD_SCOPE, 1, MANIFEST_SCOPE_MAX, &recipient->scope)) != 0 ||
        (ret = read_text(reader, FIELD_PROVIDER, 1, MANIFEST_PROVIDER_MAX, &recipient->provider)) !=
          0 ||
        (ret = read_text(reader, FIELD_KEY_ID, 1, MANIFEST_TEXT_MAX, &recipient->key_id)) != 0)
        return (ret);
    return (read_text(reader, FIELD_CREDENTIAL, 0, MANIFEST_TEXT_MAX, &recipient->credential));
}

/* It is appended first, so that what was read of it is freed with the rest. */
static MANIFEST_RECIPIENT *
append_recipient(MANIFEST_RECIPIENT **recipientsp, size_t *countp)
{
    MANIFEST_RECIPIENT *recipient;

    *recipientsp = bson_realloc(*recipientsp, (*countp + 1) * sizeof(**recipientsp));
    recipient = &(*recipientsp)[(*countp)++];
    memset(recipient, 0, sizeof(*recipient));
    return (recipient);
}

static int
read_recipient(READER *reader, MANIFEST *manifest)
{
    return (read_recipient_fields(
      reader, append_recipient(&manifest->recipients, &manifest->recipient_count)));
}

static int
read_opened(READER *reader, MANIFEST *manifest)
{
    return (
      read_recipient_fields(reader, append_recipient(&manifest->opened, &manifest->opened_count)));
}

static int
read_entry(READER *reader, MANIFEST *manifest)
{
    uint8_t sha256[MANIFEST_SHA256_LEN];
    int64_t size = 0;
    char *path = NULL;
    int ret;

    if ((ret = read_path(reader, FIELD_PATH, &path)) == 0 &&
        (ret = read_int64(reader, FIELD_SIZE, 0, &size)) == 0 &&
        (ret = read_bytes(reader, FIELD_SHA256, BSON_SUBTYPE_BINARY, sha256, sizeof(sha256))) == 0)
        manifest_add(manifest, path, (uint64_t)size, sha256);
    bson_free(path);
    return (ret);
}

static int
read_keystore(READER *reader, MANIFEST *manifest)
{
    static const char *const sources[] = {SOURCE_FILE, SOURCE_MIRROR};
    READER keystore;
    const uint8_t *data;
    size_t source = 0;
    uint32_t len;
    int ret;

    if (!is_at(reader, FIELD_KEYSTORE))
        return (0);
    if ((ret = expect(reader, FIELD_KEYSTORE, BSON_TYPE_DOCUMENT)) != 0)
        return (ret);
    bson_iter_document(&reader->iter, &len, &data);
    if ((ret = open_reader(&keystore, data, len, "the manifest's keystore", reader->status)) != 0 ||
        (ret = read_bytes(&keystore, FIELD_UUID, BSON_SUBTYPE_UUID, manifest->uuid,
           sizeof(manifest->uuid))) != 0 ||
        (ret = read_int64(&keystore, FIELD_GENERATION, 1, &manifest->generation)) != 0 ||
        (ret = read_id(&keystore, FIELD_MASTER_KEY_ID, &manifest->master_key_id)) != 0 ||
        (ret = read_word(&keystore, FIELD_SOURCE, sources, 2, &source)) != 0 ||
        (ret = read_array(&keystore, FIELD_RECIPIENTS, "a recipient", read_recipient, manifest)) !=
          0 ||
        (ret = expect_end(&keystore)) != 0)
        return (ret);
    manifest->has_keystore = true;
    manifest->from_mirror = source == 1;
    advance(reader);
    return (0);
}

/* Before all else: of a newer one nothing is said but that. */
static int
read_version(READER *reader)
{
    int32_t version;
    int ret;

    if ((ret = expect(reader, FIELD_VERSION, BSON_TYPE_INT32)) != 0)
        return (ret);
    version = bson_iter_int32(&reader->iter);
    if (version > MANIFEST_VERSION) {
        (void)status_set(reader->status, STATUS_REFUSED, "manifest-version",
          "the manifest is of version %" PRId32 ", and this program knows those up to %d", version,
          MANIFEST_VERSION);
        return (status_hint(reader->status, "use the release of wtkms that made the copy"));
    }
    if (version != MANIFEST_VERSION)
        return (corrupt(reader, FIELD_VERSION, "is out of range"));
    advance(reader);
    return (0);
}

static int
read_head(READER *reader, MANIFEST *manifest)
{
    static const char *const forms[] = {FORM_DIRECTORY, FORM_ARCHIVE};
    const char *methods[MANIFEST_FILES + 1];
    size_t form = 0, i, method = 0;
    int ret;

    for (i = 0; i <= MANIFEST_FILES; i++)
        methods[i] = manifest_method_name((MANIFEST_METHOD)i);
    if ((ret = read_version(reader)) != 0 ||
        (ret = read_time(reader, FIELD_CREATED, 0, &manifest->created)) != 0 ||
        (ret = read_text(reader, FIELD_NODE, 0, MANIFEST_NODE_MAX, &manifest->node)) != 0 ||
        (ret = read_text(reader, FIELD_PROGRAM, 1, MANIFEST_PROGRAM_MAX, &manifest->program)) !=
          0 ||
        (ret = read_word(reader, FIELD_METHOD, methods, MANIFEST_FILES + 1, &method)) != 0 ||
        (ret = read_word(reader, FIELD_FORM, forms, 2, &form)) != 0)
        return (ret);
    manifest->method = (MANIFEST_METHOD)method;
    manifest->is_archive = form == 1;
    return (0);
}

static int
read_all(READER *reader, MANIFEST *manifest)
{
    const char *problem;
    size_t i;
    int ret;

    if ((ret = read_head(reader, manifest)) != 0 || (ret = read_keystore(reader, manifest)) != 0 ||
        (ret = read_array(reader, FIELD_OPENED_BY, "a recipient", read_opened, manifest)) != 0)
        return (ret);
    if (is_at(reader, FIELD_KEEP_UNTIL) &&
        (ret = read_time(reader, FIELD_KEEP_UNTIL, 1, &manifest->keep_until)) != 0)
        return (ret);
    if (is_at(reader, FIELD_LOG_PATH) &&
        (ret = read_path(reader, FIELD_LOG_PATH, &manifest->log_path)) != 0)
        return (ret);
    if ((ret = read_array(reader, FIELD_ENTRIES, "an entry", read_entry, manifest)) != 0)
        return (ret);
    if (manifest->has_keystore &&
        (ret = read_bytes(reader, FIELD_MAC, BSON_SUBTYPE_BINARY, manifest->mac, MAC_LEN)) != 0)
        return (ret);
    if ((ret = expect_end(reader)) != 0)
        return (ret);
    if ((problem = manifest_entries_problem(manifest, &i)) != NULL)
        return (status_set(reader->status, STATUS_CORRUPT, "manifest-format",
          "the manifest: entry %zu: %s: \"%.100s\"", i, problem, manifest->entries[i].path));
    return (0);
}

int
manifest_decode(const uint8_t *data, size_t len, MANIFEST **manifestp, STATUS *status)
{
    READER reader;
    MANIFEST *manifest;
    int ret;

    *manifestp = NULL;
    if (len < 5 || len > MANIFEST_MAX_BYTES)
        return (status_set(status, STATUS_CORRUPT, "manifest-format",
          "the manifest has %zu bytes, and that cannot be", len));
    manifest = manifest_new();
    if ((ret = open_reader(&reader, data, len, "the manifest", status)) != 0 ||
        (ret = read_all(&reader, manifest)) != 0) {
        manifest_free(manifest);
        return (ret);
    }
    *manifestp = manifest;
    return (0);
}
