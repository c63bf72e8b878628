/*
 * kms_clients/vault.h -- What the parts of provider "vault" share: transit of HashiCorp Vault and OpenBao.
 * Included by vault*.c and their tests only. Source: Vault's HTTP API, transit secrets engine and auth
 * methods.
 */
#ifndef WTKMS_KMS_CLIENTS_VAULT_H
#define WTKMS_KMS_CLIENTS_VAULT_H

#include "kms_clients/http.h"
#include "kms_clients/json.h"
#include "kms_clients/kms_client.h"
#include "kms_clients/token.h"

#define VAULT_PATH_MAX 512
#define VAULT_ID_PREFIX "vault:"

typedef enum { VAULT_TOKEN, VAULT_APPROLE, VAULT_KUBERNETES, VAULT_CERT } VAULT_METHOD;

typedef struct {
    HTTP_OPTIONS http;
    char *key, *mount, *name_space;
    int method; /* VAULT_METHOD */
    char *token_file, *role_id, *secret_id_file, *role, *jwt_file, *auth_mount;
} VAULT_OPTIONS;

typedef struct {
    const VAULT_OPTIONS *options;
    HTTP_CLIENT *http;
    char *base; /* the endpoint without a slash at its end */
    CONFIG_NODE origin;
    char *source;
    TOKEN token;
    SECRET *file_token; /* what the token file held, to see that it was replaced */
    bool renewable;
    char key_id[KMS_KEY_ID_MAX + 1]; /* "vault:NAMESPACE/MOUNT/KEY" */
    char credential[KMS_CREDENTIAL_MAX + 1];
} VAULT;

/* --- one call */

typedef struct {
    const char *operation; /* for messages */
    const char *method;
    char path[VAULT_PATH_MAX];
    SECRET *body;   /* may be NULL */
    bool anonymous; /* without a token: a login */
    bool once;      /* not to be tried again */
    JSON *json;     /* the reply; NULL when it had no body */
    bool forbidden; /* 403 in the service's own words: policy or token */
    bool missing;   /* 404 with no words: nothing is at that path */
} VAULT_REQUEST;

/* vault_send -- Make one call with the token that the client has; releases nothing. */
int vault_send(
  VAULT *vault, int64_t deadline, VAULT_REQUEST *request, STATUS *status) WTKMS_CHECKED;
void vault_request_release(VAULT_REQUEST *request);

/* --- tokens */

/* vault_token_ready -- Have a token: read it, log in, renew it when it is time. STATUS_UNAUTHENTICATED... */
int vault_token_ready(VAULT *vault, int64_t deadline, STATUS *status) WTKMS_CHECKED;

/* vault_token_good -- Whether the service says that it knows the token. */
bool vault_token_good(VAULT *vault, int64_t deadline);

/* vault_token_replace -- Forget a token that is not good; false when there cannot be another. */
bool vault_token_replace(VAULT *vault);

/* vault_auth_check -- What the configuration says of logging in; fills the credential's name. STATUS_CONFIG. */
int vault_auth_check(VAULT *vault, const CONFIG_NODE *entry, STATUS *status) WTKMS_CHECKED;

/* --- replies and identifiers: no I/O */

/*
 * vault_reply_read -- Read a reply. 0 with *jsonp (NULL for 204), or the class that the service's envelope
 *     {"errors":[...]} says. request may be NULL.
 */
int vault_reply_read(
  const HTTP_REPLY *reply, VAULT_REQUEST *request, JSON **jsonp, STATUS *status) WTKMS_CHECKED;

/* vault_reply_wrapped -- The ciphertext of an encrypt and the version in it. *textp is json's.
 * STATUS_BAD_REPLY. */
int vault_reply_wrapped(
  const JSON *json, const char **textp, int64_t *versionp, STATUS *status) WTKMS_CHECKED;

/* vault_reply_plaintext -- What a decrypt answered. STATUS_BAD_REPLY. */
int vault_reply_plaintext(const JSON *json, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;

/* vault_reply_key -- What a read of the key says of a version; 0 is the newest. */
void vault_reply_key(const JSON *json, int64_t version, KMS_KEY_INFO *info, int64_t *newestp);

/* vault_version -- N of "vault:vN:...", or 0 when text is not that. */
int64_t vault_version(const char *text, size_t len);

/* vault_is_path -- Parts of letters, digits, '.', '_' and '-', joined by '/', none of them "." or "..". */
bool vault_is_path(const char *text);

/* vault_id_split -- The part of an identifier before its version, and the version (0: none); false when it is
 * no identifier. */
bool vault_id_split(const char *key_id, size_t *lenp, int64_t *versionp);

#endif
