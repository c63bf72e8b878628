/*
 * snapshot/manifest.h -- wtkms.manifest: what a copy consists of, as it was when it was made.
 *
 * Layer: snapshot. Pure: bytes in, structure out, and back; no files, no key service. The format is
 * described for other readers in doc/manifest-format.md.
 *
 * What was only parsed proves nothing: a MANIFEST says where to look and what to expect. Whether it is
 * the one that was written needs the customer key (manifest_check_mac); the hashes of the files can
 * be compared without. Memory of libbson, which ends the process when there is none: for the command
 * only. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_MANIFEST_H
#define WTKMS_SNAPSHOT_MANIFEST_H

#include "common/status.h"
#include "crypto/mac.h"
#include "crypto/secret.h"
#include "keystore/keystore.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MANIFEST_FILE "wtkms.manifest"
#define MANIFEST_VERSION 1
#define MANIFEST_MAX_BYTES (256u * 1024 * 1024)
#define MANIFEST_PATH_MAX 4095
#define MANIFEST_TEXT_MAX 1024
#define MANIFEST_SHA256_LEN MAC_LEN

/*
 * In a directory that is no whole copy or home yet, or no more: made first, durably, and removed last. Its
 * first line is the command that is at work, MANIFEST_UNFINISHED_CREATE or another of its kind. snapshot
 * list says so, and nothing may take the directory for a copy or a home.
 */
#define MANIFEST_UNFINISHED_FILE "wtkms.unfinished"
#define MANIFEST_UNFINISHED_MAX_BYTES 4096
#define MANIFEST_UNFINISHED_CREATE "snapshot create"
#define MANIFEST_UNFINISHED_EXPIRE "snapshot expire"
#define MANIFEST_UNFINISHED_RESTORE "snapshot restore"

/* Where the files of a log path outside the home lie in a copy; log_path says where they were. */
#define MANIFEST_LOG_DIR "wtkms.log-path"

typedef enum {
    MANIFEST_STOPPED, /* nobody had the home open, and nobody could open it meanwhile */
    MANIFEST_FROZEN,  /* the caller kept it from changing */
    MANIFEST_FILES    /* what a backup cursor listed */
} MANIFEST_METHOD;

typedef struct {
    char *scope;
    char *provider;
    char *key_id; /* as the key service names it */
    char *credential;
} MANIFEST_RECIPIENT;

typedef struct {
    char *path; /* below the copy; bytes as they are, parts never "", "." or ".." */
    uint64_t size;
    uint8_t sha256[MANIFEST_SHA256_LEN]; /* of the content, holes as zeros */
} MANIFEST_ENTRY;

typedef struct {
    int64_t created; /* ms since 1970, as all times here: when the copy was complete */
    char *node;      /* the label in the keystore, or "" */
    char *program;   /* "wtkms 1.0" */
    MANIFEST_METHOD method;
    bool is_archive;   /* written as a tar stream */
    bool has_keystore; /* false: nothing in the home was encrypted by us, and there is no MAC */
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int64_t generation;
    uint64_t master_key_id;         /* of the default scope: the MAC's key is derived from it */
    bool from_mirror;               /* the keys are in WiredTiger.config alone */
    MANIFEST_RECIPIENT *recipients; /* of the active master keys */
    size_t recipient_count;
    MANIFEST_RECIPIENT *opened; /* who opened the home last, by wtkms.state */
    size_t opened_count;
    int64_t keep_until;      /* 0: not said */
    char *log_path;          /* bytes; NULL: within the home */
    MANIFEST_ENTRY *entries; /* sorted by the bytes of their paths */
    size_t entry_count, entry_room;
    uint8_t mac[MAC_LEN]; /* as read */
} MANIFEST;

/* manifest_new -- An empty one. */
MANIFEST *manifest_new(void);
void manifest_free(MANIFEST *manifest);

/* manifest_add -- Append a file; path is copied. Whoever fills a manifest need not keep the order. */
void manifest_add(
  MANIFEST *manifest, const char *path, uint64_t size, const uint8_t sha256[MANIFEST_SHA256_LEN]);

/* manifest_add_recipient, manifest_add_opened -- Append; the texts are copied. */
void manifest_add_recipient(MANIFEST *manifest, const char *scope, const char *provider,
  const char *key_id, const char *credential);
void manifest_add_opened(MANIFEST *manifest, const char *scope, const char *provider,
  const char *key_id, const char *credential);

/* manifest_recipient_fits -- Whether these texts can be a recipient of a manifest; NULL cannot. */
bool manifest_recipient_fits(
  const char *scope, const char *provider, const char *key_id, const char *credential);

/* manifest_path_is_safe -- Whether a path stays below the directory that it is relative to, and names
 * no file that a copy has for itself (the manifest, MANIFEST_UNFINISHED_FILE). */
bool manifest_path_is_safe(const char *path, size_t len);

/*
 * manifest_decode -- Parse the file. Every rule of the format that needs no key is checked: version,
 *     order, presence and types of the fields, lengths, safe paths in strict order, none of them a
 *     directory of another. The caller frees *manifestp. STATUS_CORRUPT, "manifest-format"; a newer
 *     version is STATUS_REFUSED, "manifest-version", with a hint.
 */
int manifest_decode(
  const uint8_t *data, size_t len, MANIFEST **manifestp, STATUS *status) WTKMS_CHECKED;

/*
 * manifest_encode -- Sort the entries and write the file. key, exactly when there is a keystore, is
 *     what archive_key_of_home gives for ARCHIVE_KEY_MANIFEST. What manifest_decode would not take
 *     is refused: STATUS_REFUSED, "manifest-content". The caller frees *datap with free().
 */
int manifest_encode(MANIFEST *manifest, const SECRET *key, uint8_t **datap, size_t *lenp,
  STATUS *status) WTKMS_CHECKED;

/*
 * manifest_check_mac -- Whether the bytes that manifest was decoded from were written by who has the
 *     key. STATUS_CORRUPT, "manifest-mac"; STATUS_REFUSED, "manifest-no-mac": it has no keystore, so none.
 */
int manifest_check_mac(const uint8_t *data, size_t len, const MANIFEST *manifest, const SECRET *key,
  STATUS *status) WTKMS_CHECKED;

/* manifest_find -- The entry of a path, or NULL; of a decoded or encoded manifest. */
const MANIFEST_ENTRY *manifest_find(const MANIFEST *manifest, const char *path);

/* manifest_method_name -- "stopped", "frozen", "files". */
const char *manifest_method_name(MANIFEST_METHOD method);

#endif
