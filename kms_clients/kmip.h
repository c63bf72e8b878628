/*
 * kms_clients/kmip.h -- What provider "kmip" offers beside the interface of all providers.
 *
 * Layer: kms_clients.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_H
#define WTKMS_KMS_CLIENTS_KMIP_H

#include "kms_clients/kmip_message.h"
#include "kms_clients/kms_client.h"

/*
 * kmip_key_create -- Create and activate an AES key of 256 bits under the name that keyName of an entry of `kms:`
 *     says, for an operator. Refuses when the server has a key of that name (STATUS_REFUSED; servers need not
 *     check). uid receives its unique identifier. Any class of a key service. Not repeated: after
 *     STATUS_UNAVAILABLE the key may or may not be there.
 */
int kmip_key_create(const CONFIG_NODE *entry, const LOG *log, int timeout_ms,
  char uid[KMIP_UID_MAX + 1], STATUS *status) WTKMS_CHECKED;

#endif
