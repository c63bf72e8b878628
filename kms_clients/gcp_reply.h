/*
 * kms_clients/gcp_reply.h -- What is said to Google Cloud KMS (v1, REST) and what it answers.
 *
 * Layer: kms_clients. Pure: bytes in, bytes out; thread-safe. Every number of bytes that travels has
 * its CRC32C with it, as a decimal string: see "Verifying end-to-end data integrity" in Google's
 * documents.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_REPLY_H
#define WTKMS_KMS_CLIENTS_GCP_REPLY_H

#include "kms_clients/http.h"
#include "kms_clients/kms_client.h"

#include <stddef.h>
#include <stdint.h>

#define GCP_AAD_SIZE 1280

/*
 * gcp_reply_aad -- What a wrapped key is bound to, as a text: "wtkms/1 keystore=UUID master-key=ID
 *     scope=NAME", uuid and id in lower-case hexadecimal without separators. NUL-terminated.
 *     STATUS_INTERNAL for a scope that does not fit.
 */
int gcp_reply_aad(const KMS_CONTEXT *context, char aad[GCP_AAD_SIZE], STATUS *status) WTKMS_CHECKED;

/* gcp_reply_encrypt_body, gcp_reply_decrypt_body -- The bodies of the two requests. The caller frees
 * *bodyp. STATUS_NO_MEMORY, STATUS_INTERNAL. */
int gcp_reply_encrypt_body(
  const SECRET *plaintext, const char *aad, SECRET **bodyp, STATUS *status) WTKMS_CHECKED;
int gcp_reply_decrypt_body(const uint8_t *wrapped, size_t len, const char *aad, SECRET **bodyp,
  STATUS *status) WTKMS_CHECKED;

/*
 * gcp_reply_encrypt -- Read the answer to encrypt with key: fills key_id and wrapped of *wrapped, of
 *     which the caller releases what is there, on failure too. STATUS_BAD_REPLY "kms-bad-reply", or
 *     "kms-checksum" where bytes changed on the way and another try may help; STATUS_NO_MEMORY.
 */
int gcp_reply_encrypt(const void *text, size_t len, const char *key, KMS_WRAPPED *wrapped,
  STATUS *status) WTKMS_CHECKED;

/* gcp_reply_decrypt -- Read the answer to decrypt. The caller frees *plaintextp. Classes as above. */
int gcp_reply_decrypt(
  const void *text, size_t len, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;

/*
 * gcp_reply_version -- Read a CryptoKeyVersion, of key: state, name and detail. gcp_reply_key -- Read a
 *     CryptoKey by its primary version; without one the key cannot wrap, which is KMS_KEY_DISABLED.
 *     STATUS_BAD_REPLY "kms-bad-reply", STATUS_NO_MEMORY.
 */
int gcp_reply_version(
  const void *text, size_t len, const char *key, KMS_KEY_INFO *info, STATUS *status) WTKMS_CHECKED;
int gcp_reply_key(
  const void *text, size_t len, const char *key, KMS_KEY_INFO *info, STATUS *status) WTKMS_CHECKED;

typedef enum { GCP_ENCRYPT, GCP_DECRYPT, GCP_GET } GCP_METHOD;

/*
 * gcp_reply_error -- Record the error of a reply that is no success, by its google.rpc.Status
 *     alone; without one as http_reply_unclear. Returns the class.
 */
int gcp_reply_error(GCP_METHOD method, const HTTP_REPLY *reply, STATUS *status);

#endif
