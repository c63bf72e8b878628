/*
 * snapshot/manifest_format.h -- What the files of the manifest's codec share.
 *
 * Layer: snapshot, for manifest*.c only. The format is in doc/manifest-format.md; the names of the
 * fields are spelled here and nowhere else.
 */
#ifndef WTKMS_SNAPSHOT_MANIFEST_FORMAT_H
#define WTKMS_SNAPSHOT_MANIFEST_FORMAT_H

#include "snapshot/manifest.h"

/* Fields, in the order in which they stand. */
#define FIELD_VERSION "version"
#define FIELD_CREATED "created"
#define FIELD_NODE "node"
#define FIELD_PROGRAM "program"
#define FIELD_METHOD "method"
#define FIELD_FORM "form"
#define FIELD_KEYSTORE "keystore"
#define FIELD_OPENED_BY "openedBy"
#define FIELD_KEEP_UNTIL "keepUntil"
#define FIELD_LOG_PATH "logPath"
#define FIELD_ENTRIES "entries"
#define FIELD_MAC "mac"

/* Of the keystore. */
#define FIELD_UUID "uuid"
#define FIELD_GENERATION "generation"
#define FIELD_MASTER_KEY_ID "masterKeyId"
#define FIELD_SOURCE "source"
#define FIELD_RECIPIENTS "recipients"

/* Of a recipient. */
#define FIELD_SCOPE "scope"
#define FIELD_PROVIDER "provider"
#define FIELD_KEY_ID "keyId"
#define FIELD_CREDENTIAL "credential"

/* Of an entry. */
#define FIELD_PATH "path"
#define FIELD_SIZE "size"
#define FIELD_SHA256 "sha256"

#define FORM_DIRECTORY "directory"
#define FORM_ARCHIVE "archive"
#define SOURCE_FILE "file"
#define SOURCE_MIRROR "mirror"

#define MANIFEST_SCOPE_MAX 100
#define MANIFEST_PROVIDER_MAX 32
#define MANIFEST_NODE_MAX 255
#define MANIFEST_PROGRAM_MAX 100

/* What goes before the bytes, with its NUL. */
#define MANIFEST_MAC_PREFIX "manifest"

/* The MAC's element is the last: type, name with NUL, length, subtype, 32 bytes; a NUL ends the file. */
#define MANIFEST_MAC_ELEMENT_LEN (1 + sizeof(FIELD_MAC) + 4 + 1 + MAC_LEN)

/* manifest_compare -- Of two MANIFEST_ENTRY, for qsort. */
int manifest_compare(const void *a, const void *b);

/* manifest_entries_problem -- What the rules say of the entries; NULL: nothing. *indexp is which. */
const char *manifest_entries_problem(const MANIFEST *manifest, size_t *indexp);

/* manifest_compute_mac -- The MAC of a file that has room for it. */
int manifest_compute_mac(const uint8_t *data, size_t len, const SECRET *key, uint8_t out[MAC_LEN],
  STATUS *status) WTKMS_CHECKED;

#endif
