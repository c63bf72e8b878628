/*
 * kms_clients/azure_credentials.h -- Bearer tokens for a vault: of Entra, for a client secret, a
 * certificate or a workload identity; of the machine or App Service, for a managed identity.
 *
 * Layer: kms_clients. Not thread-safe: one belongs to one client. Secrets in files are read again
 * for every new token, so that one may be replaced under a running database.
 */
#ifndef WTKMS_KMS_CLIENTS_AZURE_CREDENTIALS_H
#define WTKMS_KMS_CLIENTS_AZURE_CREDENTIALS_H

#include "kms_clients/azure_reply.h"
#include "kms_clients/jwt.h"

typedef enum {
    AZURE_CREDENTIAL_AUTO,
    AZURE_CREDENTIAL_SECRET,
    AZURE_CREDENTIAL_CERTIFICATE,
    AZURE_CREDENTIAL_MANAGED,
    AZURE_CREDENTIAL_WORKLOAD
} AZURE_CREDENTIAL;

/* An entry of `kms:` with provider azure. */
typedef struct {
    HTTP_OPTIONS http;
    char *key;
    char *vault_suffix;
    char *tenant_id;
    char *client_id;
    char *authority;
    char *client_secret_file;
    char *certificate_file;
    char *certificate_key_file;
    char *federated_token_file;
    int credential; /* AZURE_CREDENTIAL */
    int assertion;  /* JWT_ALGORITHM */
    int algorithm;  /* AZURE_ALGORITHM */
} AZURE_OPTIONS;

typedef struct azure_credentials AZURE_CREDENTIALS;

/*
 * azure_credentials_open -- Choose by configuration and environment, and read the files once to see
 *     that they are good. suffix is the vault's, "vault.azure.net": it names what the token is for, and the
 *     cloud whose authority is asked when none is configured. options must outlive it. The caller
 *     closes *credentialsp. STATUS_CONFIG.
 */
int azure_credentials_open(const AZURE_OPTIONS *options, const CONFIG_NODE *entry,
  const char *suffix, AZURE_CREDENTIALS **credentialsp, STATUS *status) WTKMS_CHECKED;
void azure_credentials_close(AZURE_CREDENTIALS *credentials);

/* azure_credentials_name -- For the keystore: kind, tenant, client. Never a secret. */
const char *azure_credentials_name(const AZURE_CREDENTIALS *credentials);

/*
 * azure_credentials_token -- A token that is good now, from memory or fetched anew. Owned by the
 *     credentials, until the next call. STATUS_UNAUTHENTICATED when the identity service refuses,
 *     STATUS_CONFIG for files, STATUS_UNAVAILABLE.
 */
int azure_credentials_token(AZURE_CREDENTIALS *credentials, HTTP_CLIENT *http, int64_t deadline,
  const SECRET **tokenp, STATUS *status) WTKMS_CHECKED;

/* azure_credentials_forget -- The vault refused the token: fetch another the next time. */
void azure_credentials_forget(AZURE_CREDENTIALS *credentials);

/* azure_credentials_assertion -- Build the signed assertion of a client (RFC 7523): aud is the URL of the
 * token endpoint. pem holds the certificate, private_key its key. The caller frees *assertionp. For
 * tests too. */
int azure_credentials_assertion(JWT_ALGORITHM algorithm, const char *aud, const char *client_id,
  int64_t now, const SECRET *pem, const SECRET *private_key, SECRET **assertionp,
  STATUS *status) WTKMS_CHECKED;

#endif
