/*
 * cli/snapshot_keys.h -- The keys of a copy: found with it, opened by what the operator configured.
 *
 * Layer: cli. The keystore is the copy's own, or the mirror's in its WiredTiger.config; where the node
 * keeps its keystore does not matter here, and what `expect:` says of the node neither. Key services
 * are asked for the recipients that a configuration names, or that --trust-key vouches for; nothing
 * that the copy says is an address.
 */
#ifndef WTKMS_CLI_SNAPSHOT_KEYS_H
#define WTKMS_CLI_SNAPSHOT_KEYS_H

#include "keystore/keyring.h"
#include "snapshot/manifest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    bool found;
    KEYRING_SOURCE source;
    KEYSTORE *keystore; /* or NULL */
    uint8_t *data;      /* its bytes */
    size_t len;
    SETTINGS settings; /* the recipients that are asked; no paths */
    CONFIG_NODE *trusted;
    KEYRING *keyring; /* NULL: not opened */
} SNAPSHOT_KEYS;

/* snapshot_keys_locate -- Find and parse the keystore of a copy; no key is needed. found is false when
 * there is none. The caller calls snapshot_keys_release, also after an error. As keyring_locate. */
int snapshot_keys_locate(int fd, SNAPSHOT_KEYS *keys, STATUS *status) WTKMS_CHECKED;

/* snapshot_keys_take -- The same for bytes that the caller has, which are copied: of a keystore file, or
 * NULL, and of a WiredTiger.config, or NULL. */
int snapshot_keys_take(const uint8_t *keystore, size_t keystore_len, const uint8_t *config,
  size_t config_len, SNAPSHOT_KEYS *keys, STATUS *status) WTKMS_CHECKED;

/*
 * snapshot_keys_open -- Open it, read-only: through the recipients of the first configuration, of the
 *     second, and through trust; each may be NULL. fd is of any directory. partial: take what a
 *     partial mirror has. Errors of a key service say what can be done about this copy. As
 *     keyring_open otherwise; STATUS_REFUSED for a trust that is not recorded.
 */
int snapshot_keys_open(int fd, const SETTINGS *settings, const SETTINGS *from, const char *trust,
  bool partial, const LOG *log, SNAPSHOT_KEYS *keys, STATUS *status) WTKMS_CHECKED;

/*
 * snapshot_keys_check_manifest -- Whether the bytes that manifest was decoded from are those that were written
 *     with the copy: *checkedp. Without keys, or where there is no keystore and so no MAC, it stays false.
 *     As manifest_check_mac and archive_key_of_home.
 */
int snapshot_keys_check_manifest(const SNAPSHOT_KEYS *keys, const uint8_t *data, size_t len,
  const MANIFEST *manifest, bool *checkedp, STATUS *status) WTKMS_CHECKED;

void snapshot_keys_release(SNAPSHOT_KEYS *keys);

#endif
