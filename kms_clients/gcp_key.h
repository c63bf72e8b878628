/*
 * kms_clients/gcp_key.h -- How Google Cloud KMS names a key and its versions.
 *
 * Layer: kms_clients. Pure; thread-safe. A name is
 * projects/P/locations/L/keyRings/R/cryptoKeys/K, a version's has /cryptoKeyVersions/N behind it.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_KEY_H
#define WTKMS_KMS_CLIENTS_GCP_KEY_H

#include "common/status.h"

#include <stdbool.h>

/* gcp_key_check -- Hold a name to the grammar; versioned: with a version, else without one.
 * STATUS_CORRUPT "kms-bad-key-id". */
int gcp_key_check(const char *name, bool versioned, STATUS *status) WTKMS_CHECKED;

/*
 * gcp_key_covers -- Whether name, of a version or of a key, is of this key (without version); both have passed
 *     gcp_key_check. A project has an id and a number, and the service may answer with the other one
 *     than was asked with: where one is a number and the other is not, projects are not compared.
 */
bool gcp_key_covers(const char *key, const char *name);

/* gcp_key_version -- The number at the end of a version's name, a pointer into it. */
const char *gcp_key_version(const char *name);

#endif
