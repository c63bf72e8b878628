/*
 * snapshot/verify.h -- A copy held against its manifest.
 *
 * Layer: snapshot. Pure: what is there was read by others, who also know whether the manifest is to be
 * trusted. Memory of libbson. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_VERIFY_H
#define WTKMS_SNAPSHOT_VERIFY_H

#include "snapshot/manifest.h"

typedef enum {
    VERIFY_SAME,
    VERIFY_MISSING, /* the manifest has it, the copy has not */
    VERIFY_EXTRA,   /* the other way round */
    VERIFY_SIZE,
    VERIFY_CONTENT
} VERIFY_KIND;

/* A file of the copy. */
typedef struct {
    const char *path; /* below the copy */
    uint64_t size;
    const uint8_t *sha256; /* NULL: not made */
    VERIFY_KIND kind;      /* what verify_compare found */
} VERIFY_FILE;

typedef struct {
    const char *path; /* the manifest's or the file's */
    VERIFY_KIND kind;
    uint64_t size, expected;
} VERIFY_DIFFERENCE;

typedef struct {
    VERIFY_DIFFERENCE *differences; /* the missing ones last */
    size_t count;
    uint64_t compared; /* files whose SHA-256 is as it was */
} VERIFY_RESULT;

/*
 * verify_compare -- Compare every file with the manifest. files are sorted by path here, and each is told
 *     what it is. MANIFEST_FILE is no part of itself. The caller calls verify_release; manifest and
 *     files must live as long.
 */
void verify_compare(
  const MANIFEST *manifest, VERIFY_FILE *files, size_t count, VERIFY_RESULT *result);
void verify_release(VERIFY_RESULT *result);

/* verify_kind_name -- "missing", "not in the manifest", "other size", "other content". */
const char *verify_kind_name(VERIFY_KIND kind);

#endif
