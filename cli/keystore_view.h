/*
 * cli/keystore_view.h -- A keystore shown: what it says in clear, believed or not.
 *
 * Layer: cli. Works on a keystore that was only parsed; no key is needed.
 */
#ifndef WTKMS_CLI_KEYSTORE_VIEW_H
#define WTKMS_CLI_KEYSTORE_VIEW_H

#include "cli/output.h"
#include "keystore/keyring.h"
#include "keystore/keystore.h"

/* keystore_view_source -- "keystore", "mirror", "copy": where it was read. */
const char *keystore_view_source(KEYRING_SOURCE source);

/* keystore_view_header -- uuid, parent, node, generation, times, as members of json. */
void keystore_view_header(bson_t *json, const KEYSTORE *keystore);

/* keystore_view_masters, keystore_view_data_keys -- Arrays "masterKeys" and "dataKeys". bytes adds what
 * is wrapped, in base64, and the commitments. */
void keystore_view_masters(bson_t *json, const KEYSTORE *keystore, bool bytes);
void keystore_view_data_keys(bson_t *json, const KEYSTORE *keystore, bool bytes);

/* keystore_view_history -- Array "history". */
void keystore_view_history(bson_t *json, const KEYSTORE *keystore);

#endif
