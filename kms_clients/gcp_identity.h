/*
 * kms_clients/gcp_identity.h -- A credentials file of Google's: who we are, and where that is
 * exchanged for a token.
 *
 * Layer: kms_clients. Pure; thread-safe. The URLs in such a file receive assertions and tokens, so
 * they are held to the hosts that Google's services have in the configured universe (or loopback): a file
 * put in place by somebody else cannot send a token elsewhere.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_IDENTITY_H
#define WTKMS_KMS_CLIENTS_GCP_IDENTITY_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>

#define GCP_UNIVERSE "googleapis.com"

typedef enum { GCP_METADATA, GCP_SERVICE_ACCOUNT, GCP_EXTERNAL_ACCOUNT } GCP_IDENTITY_KIND;

typedef struct {
    GCP_IDENTITY_KIND kind;
    char *token_url; /* OAuth 2.0 or STS; NULL for the metadata server */
    /* a service account's key */
    char *email;
    char *key_id; /* may be NULL */
    SECRET *private_key;
    /* workload identity federation */
    char *audience;
    char *subject_token_type;
    char *subject_file;
    char *subject_field;    /* of JSON; NULL: the file is the token */
    char *impersonate;      /* e-mail of the service account to become, or NULL */
    char *impersonate_host; /* "https://host" of generateAccessToken, or NULL */
} GCP_IDENTITY;

/*
 * gcp_identity_parse -- Read a file of type service_account or external_account (with a file as its
 *     source). *secretp tells whether it holds a private key, once its type is known and on failure
 *     too. The caller frees *identityp. STATUS_CONFIG "kms-gcp-credentials"; STATUS_NO_MEMORY.
 */
int gcp_identity_parse(const SECRET *text, const char *universe, bool *secretp,
  GCP_IDENTITY **identityp, STATUS *status) WTKMS_CHECKED;
void gcp_identity_free(GCP_IDENTITY *identity);

/*
 * gcp_identity_host -- Check that a URL is https to a host that `service` ("sts", "iamcredentials") has in
 *     the universe: its global, regional, mutual TLS and Private Service Connect names; or
 *     loopback. STATUS_CONFIG "kms-gcp-host".
 */
int gcp_identity_host(
  const char *url, const char *service, const char *universe, STATUS *status) WTKMS_CHECKED;

/* gcp_identity_email -- Whether this can be a service account's e-mail or number in a URL. */
bool gcp_identity_email(const char *email);

#endif
