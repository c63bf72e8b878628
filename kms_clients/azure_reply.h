/*
 * kms_clients/azure_reply.h -- What Azure Key Vault, Managed HSM and Entra are asked and answer.
 *
 * Layer: kms_clients. Pure: bytes in, bytes out. Sources: the REST reference of Key Vault, version
 * 7.4 (get-key, wrap-key, unwrap-key, error codes), of Entra's token endpoint, and of the token
 * services of Azure's machines and of App Service. Thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AZURE_REPLY_H
#define WTKMS_KMS_CLIENTS_AZURE_REPLY_H

#include "kms_clients/http.h"
#include "kms_clients/kms_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AZURE_API_VERSION "7.4"
#define AZURE_HOST_MAX 253
#define AZURE_NAME_MAX 127
#define AZURE_VERSION_MAX 64

/* --- key identifiers */

typedef struct {
    char vault[AZURE_HOST_MAX + 16]; /* "https://HOST" or "https://HOST:PORT", lower case */
    char host[AZURE_HOST_MAX + 1];
    char name[AZURE_NAME_MAX + 1];
    char version[AZURE_VERSION_MAX + 1]; /* empty: none */
} AZURE_KEY;

/*
 * azure_key_parse -- Take apart a key identifier: https://HOST[:PORT]/keys/NAME[/VERSION], where HOST is
 *     DNS labels or an IPv4 address, NAME letters, digits and '-', VERSION letters and digits; plain
 *     http for loopback only. Nothing else: no user, query, fragment, percent or trailing slash.
 *     False for all other text.
 */
bool azure_key_parse(const char *url, AZURE_KEY *key);

/* azure_key_same -- Whether both are of one key of one vault, in whatever version. Azure does not
 * tell letters' case in either name. */
bool azure_key_same(const AZURE_KEY *a, const AZURE_KEY *b);

/*
 * azure_host_in_suffix -- Whether a host is the suffix, or one label and a dot before it: a token must
 *     not follow "vault.azure.net.example.com", nor a name that only ends in the same letters.
 */
bool azure_host_in_suffix(const char *host, const char *suffix);

/* --- Key Vault */

typedef enum {
    AZURE_RSA_OAEP_256,
    AZURE_A256KW /* RFC 3394: whole blocks of 8 bytes, see azure_pad */
} AZURE_ALGORITHM;

/* azure_algorithm_name -- As the service and the configuration write it. */
const char *azure_algorithm_name(AZURE_ALGORITHM algorithm);

/* azure_algorithm_of -- By what a wrapped key was wrapped, from its length: RSA makes 256 bytes and
 * more, AES key wrap of KMS_PLAINTEXT_MAX bytes makes fewer. */
AZURE_ALGORITHM azure_algorithm_of(size_t wrapped_len);

/* azure_pad, azure_unpad -- Fill up to whole blocks of 8 bytes with 1 to 8 bytes that each hold their
 * number, and back. The caller frees *paddedp. azure_unpad: STATUS_CORRUPT "kms-unwrap". */
int azure_pad(const SECRET *plaintext, SECRET **paddedp, STATUS *status) WTKMS_CHECKED;
int azure_unpad(SECRET *padded, STATUS *status) WTKMS_CHECKED;

/* azure_request_operation -- The body of wrapkey and unwrapkey. The caller frees *bodyp. */
int azure_request_operation(AZURE_ALGORITHM algorithm, const void *value, size_t len,
  SECRET **bodyp, STATUS *status) WTKMS_CHECKED;

/*
 * azure_reply_operation -- The answer of wrapkey and unwrapkey (HTTP 200): its kid must name the asked
 *     key in the asked version. kid holds KMS_KEY_ID_MAX + 1 bytes. The caller frees *valuep.
 *     STATUS_BAD_REPLY.
 */
int azure_reply_operation(const HTTP_REPLY *reply, const AZURE_KEY *asked, char *kid,
  SECRET **valuep, STATUS *status) WTKMS_CHECKED;

typedef struct {
    char kid[KMS_KEY_ID_MAX + 1]; /* with its version */
    AZURE_KEY key;
    bool enabled;
    int64_t not_before, expires; /* seconds since 1970; 0: none */
    bool rsa;                    /* else a symmetric key */
    bool may_wrap, may_unwrap;   /* key_ops */
} AZURE_BUNDLE;

/* azure_reply_bundle -- The answer of get-key (HTTP 200). STATUS_BAD_REPLY, also for another key than
 * the asked one, or another version when one was asked for. */
int azure_reply_bundle(const HTTP_REPLY *reply, const AZURE_KEY *asked, AZURE_BUNDLE *bundle,
  STATUS *status) WTKMS_CHECKED;

/*
 * azure_check_wrap -- Whether a key may wrap now: a disabled key still does, and what it wrapped could
 *     not be opened. STATUS_DISABLED "kms-disabled" (also before nbf and after exp), STATUS_DENIED "kms-denied"
 *     (its permitted operations), STATUS_CONFIG "kms-invalid" (algorithm).
 */
int azure_check_wrap(
  const AZURE_BUNDLE *bundle, AZURE_ALGORITHM algorithm, int64_t now, STATUS *status) WTKMS_CHECKED;

/* azure_bundle_detail -- For people: "version 0123..., expires 2027-01-01 00:00 UTC". */
void azure_bundle_detail(const AZURE_BUNDLE *bundle, int64_t now, char *detail, size_t size);

/* azure_reply_deleted -- The answer of get-deleted-key (HTTP 200): "deleted, can be recovered until DAY". */
int azure_reply_deleted(
  const HTTP_REPLY *reply, char *detail, size_t size, STATUS *status) WTKMS_CHECKED;

/* azure_reply_error -- Record what the vault's error envelope says; http_reply_unclear when there is none.
 * unwrap: a bad parameter means that the wrapped bytes are not the key's. Returns the class. */
int azure_reply_error(const HTTP_REPLY *reply, bool unwrap, STATUS *status);

/* --- tokens, of Entra and of the platform */

/* azure_reply_token -- An access token (HTTP 200) and for how many seconds it is good, 0 when not
 * told. The caller frees *tokenp. STATUS_BAD_REPLY. */
int azure_reply_token(const HTTP_REPLY *reply, int64_t now, SECRET **tokenp, int64_t *lifetimep,
  STATUS *status) WTKMS_CHECKED;

/* azure_reply_token_error -- Record why there is no token: STATUS_UNAUTHENTICATED "kms-unauthenticated" with
 * the AADSTS code, STATUS_UNAVAILABLE, or http_reply_unclear. Returns the class. */
int azure_reply_token_error(const HTTP_REPLY *reply, STATUS *status);

#endif
