/*
 * kms_clients/aws_reply.h -- Requests to AWS KMS built, its replies and errors read. Bytes in, bytes
 * out.
 *
 * Layer: kms_clients; no I/O. Source: AWS KMS API reference, protocol JSON 1.1 (version 2014-11-01);
 * errors also as the XML that STS and gateways send. Thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_REPLY_H
#define WTKMS_KMS_CLIENTS_AWS_REPLY_H

#include "kms_clients/http.h"
#include "kms_clients/kms_client.h"

#define AWS_CODE_SIZE 96
#define AWS_MESSAGE_SIZE 384

/* --- requests: the body, for the caller to free; STATUS_NO_MEMORY, STATUS_INTERNAL */

/* aws_request_encrypt, aws_request_decrypt -- With the encryption context of all of context. key is an ARN,
 * id or alias. */
int aws_request_encrypt(const char *key, const KMS_CONTEXT *context, const SECRET *plaintext,
  SECRET **bodyp, STATUS *status) WTKMS_CHECKED;
int aws_request_decrypt(const char *key, const KMS_CONTEXT *context, const uint8_t *wrapped,
  size_t wrapped_len, SECRET **bodyp, STATUS *status) WTKMS_CHECKED;
/* aws_request_describe -- Ask for a key's state. */
int aws_request_describe(const char *key, SECRET **bodyp, STATUS *status) WTKMS_CHECKED;

/* --- replies of HTTP status 200; STATUS_BAD_REPLY for what is not as documented */

/* aws_reply_encrypted -- The key's ARN (its grammar checked) and the wrapped bytes, at most
 * KMS_WRAPPED_MAX, both for the caller to free. */
int aws_reply_encrypted(const HTTP_REPLY *reply, char **key_idp, uint8_t **wrappedp,
  size_t *wrapped_lenp, STATUS *status) WTKMS_CHECKED;

/* aws_reply_decrypted -- The plaintext; the answer must name that key. */
int aws_reply_decrypted(
  const HTTP_REPLY *reply, const char *key_id, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;

/* aws_reply_described -- State, ARN, and for people what goes on. unavailablep says that the key
 * cannot be used for a while for a reason that is not a decision about it (its key store is away). */
int aws_reply_described(
  const HTTP_REPLY *reply, KMS_KEY_INFO *info, bool *unavailablep, STATUS *status) WTKMS_CHECKED;

/* --- errors */

typedef struct {
    char code[AWS_CODE_SIZE];       /* "AccessDeniedException"; "" when there is no envelope */
    char message[AWS_MESSAGE_SIZE]; /* of the classes whose messages may be shown, else "" */
    STATUS_CLASS status_class;
    const char *id;
} AWS_ERROR;

/* aws_error_read -- Read an envelope, JSON or XML. False when there is none. */
bool aws_error_read(const HTTP_REPLY *reply, AWS_ERROR *error);

/*
 * aws_reply_error -- Record the error of a reply that is no success, by its envelope or as
 *     http_reply_unclear does. *error is filled for the caller's own decisions. Returns the class.
 *     KMSInvalidStateException is STATUS_BAD_REPLY "kms-invalid-state", which is not tried again, until
 *     DescribeKey was asked.
 */
int aws_reply_error(const HTTP_REPLY *reply, AWS_ERROR *error, STATUS *status);

/* aws_error_is_skew -- Whether a wrong clock of ours may be the reason. */
bool aws_error_is_skew(const AWS_ERROR *error);

/* aws_xml_text -- The text of the first element of that name, entities decoded; NULL text only asks for
 * its length. False when it is missing, holds other elements, or does not fit. */
bool aws_xml_text(
  const void *body, size_t body_len, const char *name, char *text, size_t size, size_t *lenp);

#endif
