/*
 * keystore/archive_key.h -- The key of a file that is sealed apart from any home and outlives its keystore.
 *
 * Layer: keystore. Such a file carries a keystore of its own: a new uuid, the home's as parent, and one
 * new master key of the default scope, wrapped for the recipients that the configuration names
 * when the file is begun and proved by unwrapping. So it depends on a customer key and on nothing
 * else: not on the home, not on its master key, which may be rotated. Not thread-safe.
 */
#ifndef WTKMS_KEYSTORE_ARCHIVE_KEY_H
#define WTKMS_KEYSTORE_ARCHIVE_KEY_H

#include "keystore/keyring.h"

#define ARCHIVE_KEY_OPLOG "wtkms/1/oplog" /* the labels that there are */
#define ARCHIVE_KEY_MANIFEST "wtkms/1/manifest"

/*
 * archive_key_new -- Make a keystore for a new file; parent may be NULL. *keyp is derived from its master
 *     key with the label, *datap is the keystore's bytes. Asks every recipient of the default scope;
 *     blocks up to their deadlines. The caller frees *keyp and, with free(), *datap. Classes as
 *     keyring_create.
 */
int archive_key_new(const SETTINGS *settings, const uint8_t *parent, const KEYRING_OPTIONS *options,
  const char *label, SECRET **keyp, uint8_t **datap, size_t *lenp, STATUS *status) WTKMS_CHECKED;

/*
 * archive_key_open -- The key of a file that carries these bytes, through the recipients that the
 *     configuration's default scope names; seal checked. The caller frees *keyp. Classes as
 *     keyring_open_bytes.
 */
int archive_key_open(const SETTINGS *settings, const uint8_t *data, size_t len,
  const KEYRING_OPTIONS *options, const char *label, SECRET **keyp, STATUS *status) WTKMS_CHECKED;

/*
 * archive_key_of_home -- A key of what belongs to one keystore and goes with it, a copy's manifest: derived
 *     with the label from the default scope's active master key of an opened keyring, whose id is
 *     *master_key_idp. The caller frees *keyp.
 */
int archive_key_of_home(KEYRING *keyring, const char *label, uint64_t *master_key_idp,
  SECRET **keyp, STATUS *status) WTKMS_CHECKED;

#endif
