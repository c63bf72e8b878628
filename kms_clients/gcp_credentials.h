/*
 * kms_clients/gcp_credentials.h -- Access tokens for Google Cloud KMS: where the identity comes from, and
 * what it is exchanged for.
 *
 * Layer: kms_clients. Talks to the network through http.h. An object belongs to one client and is used
 * by one thread at a time.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_CREDENTIALS_H
#define WTKMS_KMS_CLIENTS_GCP_CREDENTIALS_H

#include "common/config.h"
#include "kms_clients/http.h"

typedef struct gcp_credentials GCP_CREDENTIALS;

typedef struct {
    const char *file;         /* credentialsFile, or NULL */
    const char *impersonate;  /* e-mail, or NULL */
    const char *iam_endpoint; /* URL, or NULL */
    const char *universe;
} GCP_CREDENTIALS_OPTIONS;

/*
 * gcp_credentials_open -- Find the identity: the file of the options, of the environment variable
 *     GOOGLE_APPLICATION_CREDENTIALS, of gcloud's application default credentials, else the
 *     metadata server. Reads files, connects to nothing. options need not stay. entry is for
 *     messages. STATUS_CONFIG, STATUS_IO, STATUS_NO_MEMORY.
 */
int gcp_credentials_open(const GCP_CREDENTIALS_OPTIONS *options, const CONFIG_NODE *entry,
  GCP_CREDENTIALS **credentialsp, STATUS *status) WTKMS_CHECKED;
void gcp_credentials_close(GCP_CREDENTIALS *credentials);

/*
 * gcp_credentials_token -- A token that is good now, from memory or from the network; *tokenp stays the
 *     object's, until the next call. While none can be had for want of a network, one that has not expired
 *     yet goes on being used. Classes as gcp_token_reply.
 */
int gcp_credentials_token(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline,
  const SECRET **tokenp, STATUS *status) WTKMS_CHECKED;

/* gcp_credentials_forget -- The service refused the token: get another next time. False when it had
 * been asked for in this very call, so that another would be no better. */
bool gcp_credentials_forget(GCP_CREDENTIALS *credentials, int64_t call_started);

/*
 * gcp_credentials_name -- Whose key, e-mail or pool it is, for the keystore; at most KMS_CREDENTIAL_MAX
 *     bytes, the object's. Asks the metadata server once for the e-mail, which may fail: then "metadata".
 */
const char *gcp_credentials_name(GCP_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline);

#endif
