/*
 * kms_clients/kms_client_provider.h -- What a provider implements. Included by this folder only.
 *
 * Each provider is one file that defines one const KMS_PROVIDER. Request building and reply parsing
 * are pure functions of their own, so that vectors and fuzzers need no server.
 */
#ifndef WTKMS_KMS_CLIENTS_KMS_CLIENT_PROVIDER_H
#define WTKMS_KMS_CLIENTS_KMS_CLIENT_PROVIDER_H

#include "kms_clients/http.h"
#include "kms_clients/kms_client.h"

typedef struct {
    const char *name;             /* as in `provider:` */
    const CONFIG_OPTION *options; /* of an entry, beside the common ones */
    size_t options_size;          /* of the structure that they fill */

    /* Required. open receives the filled structure, which the caller keeps and releases; state is
     * freed by close. *key_idp, owned by the state, is what kms_client_key returns. wrap's *wrapped
     * comes zeroed; on failure its parts are released by the caller. */
    int (*open)(const void *options, const CONFIG_NODE *entry, const LOG *log, void **statep,
      const char **key_idp, STATUS *status) WTKMS_CHECKED;
    void (*close)(void *state);
    int (*wrap)(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
      KMS_WRAPPED *wrapped, STATUS *status) WTKMS_CHECKED;
    int (*key_id_check)(const char *key_id, STATUS *status) WTKMS_CHECKED;

    /* Optional. Without matches, identifiers are compared byte by byte; without unwrap the provider
     * only wraps; without describe the state is KMS_KEY_UNKNOWN. */
    const HTTP_OPTIONS *(*network)(const void *options); /* of a service behind a network */
    bool (*matches)(const void *state, const char *key_id);
    int (*unwrap)(void *state, int timeout_ms, const KMS_CONTEXT *context,
      const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;
    int (*describe)(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info,
      STATUS *status) WTKMS_CHECKED;
} KMS_PROVIDER;

extern const KMS_PROVIDER kms_azure;
extern const KMS_PROVIDER kms_aws;
extern const KMS_PROVIDER kms_gcp;
extern const KMS_PROVIDER kms_kmip;
extern const KMS_PROVIDER kms_local;
extern const KMS_PROVIDER kms_publickey;
extern const KMS_PROVIDER kms_vault;

/* kms_client_providers -- All of them, ended by NULL. */
extern const KMS_PROVIDER *const kms_client_providers[];

/* kms_client_common_options -- Of every entry. */
extern const CONFIG_OPTION kms_client_common_options[];

/*
 * kms_client_at_option -- Turn a recorded error into a fault of the configuration at an option of the
 *     entry: "wtkms.conf:4:5: keyFile: " before its message. id and hint stay. STATUS_NO_MEMORY and
 *     STATUS_INTERNAL are left as they are. Returns the class.
 */
int kms_client_at_option(const CONFIG_NODE *entry, const char *option, STATUS *status);

/* A file with a secret. Without flags: as it is, held to the rule of secret files. */
typedef struct {
    const char *path;
    size_t max;       /* bytes that it may have */
    bool is_platform; /* written by the platform, whose mode and life are its own: no rule for it */
    bool trim;        /* white space at the end is an editor's */
    bool unusable;    /* out: it was read, and is empty or larger than max (STATUS_CONFIG) */
} KMS_SECRET_FILE;

/*
 * kms_secret_file -- Read it into a secret, through symbolic links, which orchestrators mount. Its mode is
 *     checked on the descriptor that is read (file_check_secret). The caller frees *secretp.
 *     STATUS_CONFIG for what the file is, STATUS_IO when reading it fails, STATUS_NO_MEMORY.
 */
int kms_secret_file(KMS_SECRET_FILE *file, SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/*
 * kms_secret_file_read -- Read a file of at most max bytes that an option of the entry names and that
 *     must be permitted as file_check_secret says (checked on the descriptor that is read). The
 *     caller frees *secretp. STATUS_CONFIG for what the file is or when it cannot be read.
 */
int kms_secret_file_read(const CONFIG_NODE *entry, const char *option, const char *path, size_t max,
  SECRET **secretp, STATUS *status) WTKMS_CHECKED;

/*
 * kms_client_check_fingerprint -- The grammar of identifiers that are a prefix and so many lower-case
 *     hexadecimal digits. STATUS_CORRUPT.
 */
int kms_client_check_fingerprint(
  const char *key_id, const char *prefix, size_t digits, STATUS *status) WTKMS_CHECKED;

#endif
