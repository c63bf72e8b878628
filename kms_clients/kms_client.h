/*
 * kms_clients/kms_client.h -- One interface to every kind of key service.
 *
 * Layer: kms_clients; uses common and crypto. The only header of this folder that keystore/ and
 * those below it include. A provider is one file behind kms_client_provider.h and one row of the
 * table in kms_client.c.
 *
 * A KMS_CLIENT is one configured recipient: an entry of `kms:` in wtkms.conf. It may be used by one
 * thread at a time; different clients may be used in parallel. Calls block up to their deadline, so
 * hold no lock. Credentials and endpoints come from the configuration only, never from a keystore.
 */
#ifndef WTKMS_KMS_CLIENTS_KMS_CLIENT_H
#define WTKMS_KMS_CLIENTS_KMS_CLIENT_H

#include "common/config.h"
#include "common/log.h"
#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct kms_client KMS_CLIENT;

#define KMS_KEY_ID_MAX 1024     /* bytes of a key identifier */
#define KMS_CREDENTIAL_MAX 1024 /* bytes of a credential reference */
#define KMS_WRAPPED_MAX 8192    /* bytes of a wrapped payload */
#define KMS_PLAINTEXT_MAX 190   /* bytes that every provider can wrap: RSA 2048, OAEP, SHA-256 */

/*
 * What is wrapped, for providers with associated data (AWS encryption context, Google and Vault
 * additional data). The payload says the same, so providers without lose nothing.
 */
typedef struct {
    uint8_t keystore_uuid[16];
    uint64_t master_key_id;
    const char *scope;
} KMS_CONTEXT;

/* The answer of a wrap; kms_wrapped_release frees its parts. */
typedef struct {
    char *key_id;     /* exactly as the key service names it, with the version it used */
    char *credential; /* role ARN, tenant and client id, path of a key file...; never a secret */
    uint8_t *wrapped;
    size_t wrapped_len;
} KMS_WRAPPED;

/* A recipient as the keystore recorded it. The memory is the caller's. */
typedef struct {
    const char *provider;
    const char *key_id;
    const uint8_t *wrapped;
    size_t wrapped_len;
} KMS_RECORDED;

typedef enum {
    KMS_KEY_ENABLED,
    KMS_KEY_DISABLED,
    KMS_KEY_PENDING_DELETION,
    KMS_KEY_UNKNOWN
} KMS_KEY_STATE;

typedef struct {
    KMS_KEY_STATE state;
    char key_id[KMS_KEY_ID_MAX + 1]; /* resolved: an alias's key, the current version */
    char detail[256];                /* for people: "pending deletion on 2026-12-01" */
} KMS_KEY_INFO;

/*
 * kms_client_open -- Make a client from one entry of `kms:`. Reads local files (a key file, a
 *     credential file), talks to no network. log, may be NULL, must outlive it. The entry may be
 *     freed afterwards. The caller closes *clientp. STATUS_CONFIG for what the entry says or names.
 */
int kms_client_open(
  const CONFIG_NODE *entry, const LOG *log, KMS_CLIENT **clientp, STATUS *status) WTKMS_CHECKED;
void kms_client_close(KMS_CLIENT *client);

/* kms_client_provider -- "aws", "local", ... Static storage. */
const char *kms_client_provider(const KMS_CLIENT *client);

/* kms_client_key -- The key as configured (an alias stays an alias); for `local` its fingerprint
 * "local:HEX", for `publickey` "publickey:HEX". Owned by the client. */
const char *kms_client_key(const KMS_CLIENT *client);

/* kms_client_timeout, kms_client_retry_for -- Milliseconds that the entry gives one call, and how long an open
 * of the database retries UNAVAILABLE; 0 for a provider without a network. */
int64_t kms_client_timeout(const KMS_CLIENT *client);
int64_t kms_client_retry_for(const KMS_CLIENT *client);

/* kms_client_can_unwrap -- False for `publickey`: its private half is elsewhere. */
bool kms_client_can_unwrap(const KMS_CLIENT *client);

/* kms_client_matches -- Whether a recorded recipient is of the key that this client is configured
 * for: same provider, and an identifier that the configured one covers (any version of the same
 * key). Only then may the recorded identifier be sent anywhere. */
bool kms_client_matches(const KMS_CLIENT *client, const char *provider, const char *key_id);

/*
 * kms_client_wrap -- Wrap at most KMS_PLAINTEXT_MAX bytes. timeout_ms is for the whole call. On
 *     success the caller releases *wrapped. Any class of a key service; UNAVAILABLE may be retried.
 */
int kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status) WTKMS_CHECKED;
void kms_wrapped_release(KMS_WRAPPED *wrapped);

/*
 * kms_client_unwrap -- Unwrap what was recorded; refuses when kms_client_matches does not hold. On
 *     success the caller frees *plaintextp. Classes as for wrap.
 */
int kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;

/*
 * kms_client_describe -- Ask for the state of a key: the recorded identifier, or the configured one
 *     when key_id is NULL. A key that the service reports disabled is an answer, not an error.
 */
int kms_client_describe(KMS_CLIENT *client, int timeout_ms, const char *key_id, KMS_KEY_INFO *info,
  STATUS *status) WTKMS_CHECKED;

/*
 * kms_client_key_id_check -- Hold a recorded identifier to the strict grammar of its provider, before
 *     anything is done with it. An unknown provider (a newer version's) is STATUS_CORRUPT too.
 */
int kms_client_key_id_check(const char *provider, const char *key_id, STATUS *status) WTKMS_CHECKED;

/*
 * kms_local_key_file_write -- Make a key file for `local`: 32 random bytes in base64 and a newline,
 *     mode 0600, durable. Never over an existing file: STATUS_REFUSED. STATUS_IO, STATUS_CONFIG for a
 *     path without a name.
 */
int kms_local_key_file_write(const char *path, STATUS *status) WTKMS_CHECKED;

/*
 * kms_kmip_key_create -- Create and activate an AES key of 256 bits on a KMIP server, under the name that keyName of
 *     an entry of `kms:` says, for an operator. Refuses when the server has a key of that name (STATUS_REFUSED;
 *     servers need not check). uid receives its unique identifier. Any class of a key service. Not
 *     repeated: after STATUS_UNAVAILABLE the key may or may not be there. log may be NULL.
 */
int kms_kmip_key_create(const CONFIG_NODE *entry, const LOG *log, int timeout_ms,
  char uid[KMS_KEY_ID_MAX + 1], STATUS *status) WTKMS_CHECKED;

/*
 * kms_client_permit_programs -- Allow this process to run programs that a configuration of the AWS tools
 *     names (credential_process). `wtkms` calls it once at its start; a database never does. Thread-safe.
 */
void kms_client_permit_programs(void);

#endif
