/*
 * test/fuzz/fuzz_manifest.c -- libFuzzer: bytes as a manifest.
 *
 * What the reader takes must be written again byte for byte, but for the MAC, whose key is not known
 * here: there is one form and no slack in it. No path that it gives leads out of the copy, and no MAC
 * that was not computed here holds under a key of ours.
 */
#include "snapshot/manifest.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

static void
look_at_entries(const MANIFEST *manifest)
{
    const char *path, *p;
    size_t i;

    for (i = 0; i < manifest->entry_count; i++) {
        path = manifest->entries[i].path;
        require(manifest_find(manifest, path) == &manifest->entries[i]);
        require(path[0] != '/' && path[0] != '\0' && strcmp(path, MANIFEST_FILE) != 0);
        for (p = path; p != NULL; p = strchr(p, '/')) {
            p += *p == '/';
            require(strncmp(p, "../", 3) != 0 && strcmp(p, "..") != 0);
        }
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SECRET *key;
    MANIFEST *manifest, *again;
    STATUS status;
    uint8_t *encoded;
    size_t compared, len;

    status_clear(&status);
    if (key == NULL && secret_new_random(MAC_LEN, &key, &status) != 0)
        abort();
    if (manifest_decode(data, size, &manifest, &status) != 0) {
        require(manifest == NULL && status.message[0] != '\0');
        return (0);
    }
    look_at_entries(manifest);
    require(manifest_check_mac(data, size, manifest, key, &status) != 0);
    require(
      manifest_encode(manifest, manifest->has_keystore ? key : NULL, &encoded, &len, &status) == 0);
    require(len == size);
    compared = manifest->has_keystore ? size - 1 - MAC_LEN : size;
    require(memcmp(encoded, data, compared) == 0);
    require(manifest_decode(encoded, len, &again, &status) == 0);
    if (manifest->has_keystore)
        require(manifest_check_mac(encoded, len, again, key, &status) == 0);
    manifest_free(again);
    manifest_free(manifest);
    free(encoded);
    return (0);
}
