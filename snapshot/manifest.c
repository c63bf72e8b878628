/*
 * snapshot/manifest.c -- The manifest as a structure, its rules, its MAC. See manifest.h.
 */
#include "snapshot/manifest.h"

#include "snapshot/manifest_format.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

static const char *const method_names[] = {
  [MANIFEST_STOPPED] = "stopped", [MANIFEST_FROZEN] = "frozen", [MANIFEST_FILES] = "files"};

const char *
manifest_method_name(MANIFEST_METHOD method)
{
    return (method_names[method]);
}

MANIFEST *
manifest_new(void)
{
    return (bson_malloc0(sizeof(MANIFEST)));
}

static void
free_recipients(MANIFEST_RECIPIENT *recipients, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        bson_free(recipients[i].scope);
        bson_free(recipients[i].provider);
        bson_free(recipients[i].key_id);
        bson_free(recipients[i].credential);
    }
    bson_free(recipients);
}

void
manifest_free(MANIFEST *manifest)
{
    size_t i;

    if (manifest == NULL)
        return;
    for (i = 0; i < manifest->entry_count; i++)
        bson_free(manifest->entries[i].path);
    bson_free(manifest->entries);
    free_recipients(manifest->recipients, manifest->recipient_count);
    free_recipients(manifest->opened, manifest->opened_count);
    bson_free(manifest->node);
    bson_free(manifest->program);
    bson_free(manifest->log_path);
    bson_free(manifest);
}

void
manifest_add(
  MANIFEST *manifest, const char *path, uint64_t size, const uint8_t sha256[MANIFEST_SHA256_LEN])
{
    MANIFEST_ENTRY *entry;

    if (manifest->entry_count == manifest->entry_room) {
        manifest->entry_room = manifest->entry_room == 0 ? 64 : manifest->entry_room * 2;
        manifest->entries =
          bson_realloc(manifest->entries, manifest->entry_room * sizeof(*manifest->entries));
    }
    entry = &manifest->entries[manifest->entry_count++];
    entry->path = bson_strdup(path);
    entry->size = size;
    memcpy(entry->sha256, sha256, sizeof(entry->sha256));
}

static void
add_recipient(MANIFEST_RECIPIENT **recipientsp, size_t *countp, const char *scope,
  const char *provider, const char *key_id, const char *credential)
{
    MANIFEST_RECIPIENT *recipient;

    *recipientsp = bson_realloc(*recipientsp, (*countp + 1) * sizeof(**recipientsp));
    recipient = &(*recipientsp)[(*countp)++];
    recipient->scope = bson_strdup(scope);
    recipient->provider = bson_strdup(provider);
    recipient->key_id = bson_strdup(key_id);
    recipient->credential = bson_strdup(credential);
}

void
manifest_add_recipient(MANIFEST *manifest, const char *scope, const char *provider,
  const char *key_id, const char *credential)
{
    add_recipient(
      &manifest->recipients, &manifest->recipient_count, scope, provider, key_id, credential);
}

void
manifest_add_opened(MANIFEST *manifest, const char *scope, const char *provider, const char *key_id,
  const char *credential)
{
    add_recipient(&manifest->opened, &manifest->opened_count, scope, provider, key_id, credential);
}

bool
manifest_path_is_safe(const char *path, size_t len)
{
    const char *end, *part;
    size_t part_len;

    if (len == 0 || len > MANIFEST_PATH_MAX || memchr(path, '\0', len) != NULL)
        return (false);
    for (part = path;; part = end + 1) {
        if ((end = memchr(part, '/', len - (size_t)(part - path))) == NULL)
            end = path + len;
        part_len = (size_t)(end - part);
        if (part_len == 0 || (part_len == 1 && part[0] == '.') ||
            (part_len == 2 && part[0] == '.' && part[1] == '.'))
            return (false);
        if (end == path + len)
            break;
    }
    return (!(len == strlen(MANIFEST_FILE) && memcmp(path, MANIFEST_FILE, len) == 0) &&
            !(len == strlen(MANIFEST_UNFINISHED_FILE) &&
              memcmp(path, MANIFEST_UNFINISHED_FILE, len) == 0));
}

int
manifest_compare(const void *a, const void *b)
{
    return (strcmp(((const MANIFEST_ENTRY *)a)->path, ((const MANIFEST_ENTRY *)b)->path));
}

const MANIFEST_ENTRY *
manifest_find(const MANIFEST *manifest, const char *path)
{
    MANIFEST_ENTRY wanted;

    if (manifest->entry_count == 0)
        return (NULL);
    wanted.path = (char *)(uintptr_t)path;
    return (bsearch(&wanted, manifest->entries, manifest->entry_count, sizeof(*manifest->entries),
      manifest_compare));
}

/* Whether a directory of an entry is itself an entry: no file system holds both. */
static bool
is_below_entry(const MANIFEST *manifest, const MANIFEST_ENTRY *entry)
{
    char path[MANIFEST_PATH_MAX + 1], *slash;

    memcpy(path, entry->path, strlen(entry->path) + 1);
    while ((slash = strrchr(path, '/')) != NULL) {
        *slash = '\0';
        if (manifest_find(manifest, path) != NULL)
            return (true);
    }
    return (false);
}

const char *
manifest_entries_problem(const MANIFEST *manifest, size_t *indexp)
{
    const MANIFEST_ENTRY *entry;
    size_t i;

    for (i = 0; i < manifest->entry_count; i++) {
        entry = &manifest->entries[i];
        *indexp = i;
        if (!manifest_path_is_safe(entry->path, strlen(entry->path)))
            return ("path leads out of the copy, or is no path of one");
        if (entry->size > INT64_MAX)
            return ("size is out of range");
        if (i > 0 && strcmp(manifest->entries[i - 1].path, entry->path) >= 0)
            return ("path is not in order, or there twice");
    }
    /* Only now the order holds by which entries are found. */
    for (i = 0; i < manifest->entry_count; i++) {
        *indexp = i;
        if (is_below_entry(manifest, &manifest->entries[i]))
            return ("path is below another entry");
    }
    return (NULL);
}

int
manifest_compute_mac(
  const uint8_t *data, size_t len, const SECRET *key, uint8_t out[MAC_LEN], STATUS *status)
{
    MAC *mac = NULL;
    int ret;

    if ((ret = mac_new(key, &mac, status)) != 0 ||
        (ret = mac_update(mac, MANIFEST_MAC_PREFIX, sizeof(MANIFEST_MAC_PREFIX), status)) != 0 ||
        (ret = mac_update(mac, data, len - 1 - MANIFEST_MAC_ELEMENT_LEN, status)) != 0)
        goto err;
    ret = mac_final(mac, out, status);

err:
    mac_free(mac);
    return (ret);
}

int
manifest_check_mac(
  const uint8_t *data, size_t len, const MANIFEST *manifest, const SECRET *key, STATUS *status)
{
    uint8_t mac[MAC_LEN];
    int ret;

    if (!manifest->has_keystore)
        return (status_set(status, STATUS_REFUSED, "manifest-no-mac",
          "the manifest is of a home that was not encrypted, so nothing authenticates it"));
    /* The decoder took it, so the element is there and is the last. */
    if (len < 1 + MANIFEST_MAC_ELEMENT_LEN ||
        !mac_equal(data + len - 1 - MAC_LEN, manifest->mac, MAC_LEN))
        return (status_set(status, STATUS_INTERNAL, "manifest-mac",
          "the manifest is not the one that was read before"));
    if ((ret = manifest_compute_mac(data, len, key, mac, status)) != 0)
        return (ret);
    if (!mac_equal(mac, manifest->mac, MAC_LEN))
        return (status_set(status, STATUS_CORRUPT, "manifest-mac",
          "the manifest was changed by somebody without the key of the copy's keystore, or is of "
          "another copy"));
    return (0);
}
