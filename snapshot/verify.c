/*
 * snapshot/verify.c -- A copy held against its manifest. See verify.h.
 */
#include "snapshot/verify.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

static int
compare_files(const void *a, const void *b)
{
    return (strcmp(((const VERIFY_FILE *)a)->path, ((const VERIFY_FILE *)b)->path));
}

static void
add(VERIFY_RESULT *result, const char *path, VERIFY_KIND kind, uint64_t size, uint64_t expected)
{
    VERIFY_DIFFERENCE *difference;

    result->differences =
      bson_realloc(result->differences, (result->count + 1) * sizeof(*result->differences));
    difference = &result->differences[result->count++];
    difference->path = path;
    difference->kind = kind;
    difference->size = size;
    difference->expected = expected;
}

static void
judge(const MANIFEST *manifest, VERIFY_FILE *file, VERIFY_RESULT *result)
{
    const MANIFEST_ENTRY *entry;

    if (strcmp(file->path, MANIFEST_FILE) == 0)
        return;
    if ((entry = manifest_find(manifest, file->path)) == NULL)
        file->kind = VERIFY_EXTRA;
    else if (entry->size != file->size)
        file->kind = VERIFY_SIZE;
    else if (file->sha256 != NULL &&
             memcmp(entry->sha256, file->sha256, sizeof(entry->sha256)) != 0)
        file->kind = VERIFY_CONTENT;
    else
        result->compared += file->sha256 != NULL;
    if (file->kind != VERIFY_SAME)
        add(result, file->path, file->kind, file->size, entry == NULL ? 0 : entry->size);
}

void
verify_compare(const MANIFEST *manifest, VERIFY_FILE *files, size_t count, VERIFY_RESULT *result)
{
    VERIFY_FILE wanted;
    size_t i;

    memset(result, 0, sizeof(*result));
    memset(&wanted, 0, sizeof(wanted));
    if (count > 1)
        qsort(files, count, sizeof(*files), compare_files);
    for (i = 0; i < count; i++) {
        files[i].kind = VERIFY_SAME;
        judge(manifest, &files[i], result);
    }
    for (i = 0; i < manifest->entry_count; i++) {
        wanted.path = manifest->entries[i].path;
        if (count == 0 || bsearch(&wanted, files, count, sizeof(*files), compare_files) == NULL)
            add(result, wanted.path, VERIFY_MISSING, 0, manifest->entries[i].size);
    }
}

void
verify_release(VERIFY_RESULT *result)
{
    bson_free(result->differences);
    memset(result, 0, sizeof(*result));
}

const char *
verify_kind_name(VERIFY_KIND kind)
{
    static const char *const names[] = {[VERIFY_SAME] = "same",
      [VERIFY_MISSING] = "missing",
      [VERIFY_EXTRA] = "not in the manifest",
      [VERIFY_SIZE] = "other size",
      [VERIFY_CONTENT] = "other content"};

    return (names[kind]);
}
