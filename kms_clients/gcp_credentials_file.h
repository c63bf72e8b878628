/*
 * kms_clients/gcp_credentials_file.h -- Finding a credentials file where Google's own tools look.
 *
 * Layer: kms_clients. Reads files and the environment, never the network. Thread-safe as far as
 * getenv is.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_CREDENTIALS_FILE_H
#define WTKMS_KMS_CLIENTS_GCP_CREDENTIALS_FILE_H

#include "kms_clients/gcp_credentials.h"
#include "kms_clients/gcp_identity.h"

/*
 * gcp_credentials_file_find -- In the order of gcp_credentials_open; without any file an identity of kind
 *     GCP_METADATA. A file with a private key must be permitted as file_check_secret says, one without may be
 *     read by everybody. The caller frees *identityp. STATUS_CONFIG, STATUS_IO, STATUS_NO_MEMORY.
 */
int gcp_credentials_file_find(const GCP_CREDENTIALS_OPTIONS *options, const CONFIG_NODE *entry,
  GCP_IDENTITY **identityp, STATUS *status) WTKMS_CHECKED;

#endif
