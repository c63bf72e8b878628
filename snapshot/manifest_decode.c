/*
 * snapshot/manifest_decode.c -- Bytes into a MANIFEST. See manifest.h, manifest_format.h.
 *
 * The order of fields is fixed: see strict_bson.h.
 */
#include "snapshot/manifest_format.h"

#include "keystore/strict_bson.h"

#include <inttypes.h>
#include <string.h>

static int
read_text(STRICT_BSON *reader, const char *field, size_t minimum, size_t maximum, char **textp)
{
    const char *text;
    int ret;

    if ((ret = strict_bson_text(reader, field, minimum, maximum, &text)) == 0)
        *textp = bson_strdup(text);
    return (ret);
}

/* A file's name: bytes without a NUL. */
static int
read_path(STRICT_BSON *reader, const char *field, char **pathp)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    if ((ret = strict_bson_view(
           reader, field, BSON_SUBTYPE_BINARY, 1, MANIFEST_PATH_MAX, &data, &len)) != 0)
        return (ret);
    if (memchr(data, '\0', len) != NULL)
        return (strict_bson_corrupt(reader, field, "has a NUL in it"));
    *pathp = bson_strndup((const char *)data, len);
    return (0);
}

static int
read_recipient_fields(STRICT_BSON *reader, MANIFEST_RECIPIENT *recipient)
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
read_recipient(STRICT_BSON *reader, void *context)
{
    MANIFEST *manifest = context;

    return (read_recipient_fields(
      reader, append_recipient(&manifest->recipients, &manifest->recipient_count)));
}

static int
read_opened(STRICT_BSON *reader, void *context)
{
    MANIFEST *manifest = context;

    return (
      read_recipient_fields(reader, append_recipient(&manifest->opened, &manifest->opened_count)));
}

static int
read_entry(STRICT_BSON *reader, void *context)
{
    MANIFEST *manifest = context;
    uint8_t sha256[MANIFEST_SHA256_LEN];
    int64_t size = 0;
    char *path = NULL;
    int ret;

    if ((ret = read_path(reader, FIELD_PATH, &path)) == 0 &&
        (ret = strict_bson_int64(reader, FIELD_SIZE, 0, INT64_MAX, &size)) == 0 &&
        (ret = strict_bson_bytes(
           reader, FIELD_SHA256, BSON_SUBTYPE_BINARY, sha256, sizeof(sha256))) == 0)
        manifest_add(manifest, path, (uint64_t)size, sha256);
    bson_free(path);
    return (ret);
}

static int
read_keystore(STRICT_BSON *reader, MANIFEST *manifest)
{
    static const char *const sources[] = {SOURCE_FILE, SOURCE_MIRROR};
    STRICT_BSON keystore;
    size_t source = 0;
    int ret;

    if (!strict_bson_is_at(reader, FIELD_KEYSTORE))
        return (0);
    if ((ret = strict_bson_document(
           reader, FIELD_KEYSTORE, "the manifest's keystore", &keystore)) != 0 ||
        (ret = strict_bson_bytes(&keystore, FIELD_UUID, BSON_SUBTYPE_UUID, manifest->uuid,
           sizeof(manifest->uuid))) != 0 ||
        (ret = strict_bson_int64(
           &keystore, FIELD_GENERATION, 1, INT64_MAX, &manifest->generation)) != 0 ||
        (ret = strict_bson_id(&keystore, FIELD_MASTER_KEY_ID, &manifest->master_key_id)) != 0 ||
        (ret = strict_bson_word(&keystore, FIELD_SOURCE, sources, 2, &source)) != 0 ||
        (ret = strict_bson_array(
           &keystore, FIELD_RECIPIENTS, "recipient", read_recipient, manifest)) != 0 ||
        (ret = strict_bson_end(&keystore)) != 0)
        return (ret);
    manifest->has_keystore = true;
    manifest->from_mirror = source == 1;
    return (0);
}

/* Before all else: of a newer one nothing is said but that. */
static int
read_version(STRICT_BSON *reader)
{
    int32_t version;
    int ret;

    if ((ret = strict_bson_int32(reader, FIELD_VERSION, 1, &version)) != 0)
        return (ret);
    if (version > MANIFEST_VERSION) {
        (void)status_set(reader->status, STATUS_REFUSED, "manifest-version",
          "the manifest is of version %" PRId32 ", and this program knows those up to %d", version,
          MANIFEST_VERSION);
        return (status_hint(reader->status, "use the release of wtkms that made the copy"));
    }
    return (0);
}

static int
read_head(STRICT_BSON *reader, MANIFEST *manifest)
{
    static const char *const forms[] = {FORM_DIRECTORY, FORM_ARCHIVE};
    const char *methods[MANIFEST_FILES + 1];
    size_t form = 0, i, method = 0;
    int ret;

    for (i = 0; i <= MANIFEST_FILES; i++)
        methods[i] = manifest_method_name((MANIFEST_METHOD)i);
    if ((ret = read_version(reader)) != 0 ||
        (ret = strict_bson_time(reader, FIELD_CREATED, 0, &manifest->created)) != 0 ||
        (ret = read_text(reader, FIELD_NODE, 0, MANIFEST_NODE_MAX, &manifest->node)) != 0 ||
        (ret = read_text(reader, FIELD_PROGRAM, 1, MANIFEST_PROGRAM_MAX, &manifest->program)) !=
          0 ||
        (ret = strict_bson_word(reader, FIELD_METHOD, methods, MANIFEST_FILES + 1, &method)) != 0 ||
        (ret = strict_bson_word(reader, FIELD_FORM, forms, 2, &form)) != 0)
        return (ret);
    manifest->method = (MANIFEST_METHOD)method;
    manifest->is_archive = form == 1;
    return (0);
}

static int
read_all(STRICT_BSON *reader, MANIFEST *manifest)
{
    const char *problem;
    size_t i;
    int ret;

    if ((ret = read_head(reader, manifest)) != 0 || (ret = read_keystore(reader, manifest)) != 0 ||
        (ret = strict_bson_array(reader, FIELD_OPENED_BY, "recipient", read_opened, manifest)) != 0)
        return (ret);
    if (strict_bson_is_at(reader, FIELD_KEEP_UNTIL) &&
        (ret = strict_bson_time(reader, FIELD_KEEP_UNTIL, 1, &manifest->keep_until)) != 0)
        return (ret);
    if (strict_bson_is_at(reader, FIELD_LOG_PATH) &&
        (ret = read_path(reader, FIELD_LOG_PATH, &manifest->log_path)) != 0)
        return (ret);
    if ((ret = strict_bson_array(reader, FIELD_ENTRIES, "entry", read_entry, manifest)) != 0)
        return (ret);
    if (manifest->has_keystore && (ret = strict_bson_bytes(reader, FIELD_MAC, BSON_SUBTYPE_BINARY,
                                     manifest->mac, MAC_LEN)) != 0)
        return (ret);
    if ((ret = strict_bson_end(reader)) != 0)
        return (ret);
    if ((problem = manifest_entries_problem(manifest, &i)) != NULL)
        return (status_set(reader->status, STATUS_CORRUPT, "manifest-format",
          "the manifest: entry %zu: %s: \"%.100s\"", i, problem, manifest->entries[i].path));
    return (0);
}

int
manifest_decode(const uint8_t *data, size_t len, MANIFEST **manifestp, STATUS *status)
{
    STRICT_BSON reader;
    MANIFEST *manifest;
    int ret;

    *manifestp = NULL;
    if (len < 5 || len > MANIFEST_MAX_BYTES)
        return (status_set(status, STATUS_CORRUPT, "manifest-format",
          "the manifest has %zu bytes, and that cannot be", len));
    manifest = manifest_new();
    if ((ret = strict_bson_open(&reader, data, len, "the manifest", "manifest-format", status)) !=
          0 ||
        (ret = read_all(&reader, manifest)) != 0) {
        manifest_free(manifest);
        return (ret);
    }
    *manifestp = manifest;
    return (0);
}
