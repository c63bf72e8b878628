/*
 * kms_clients/aws_sts.h -- Temporary credentials of AWS STS: AssumeRole, AssumeRoleWithWebIdentity.
 *
 * Layer: kms_clients. Requests are built and answers read without I/O; two functions make the calls.
 * Source: AWS STS API reference, query protocol (version 2011-06-15).
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_STS_H
#define WTKMS_KMS_CLIENTS_AWS_STS_H

#include "kms_clients/aws_call.h"

/* A role to assume. Text of the configuration or of a profile. */
typedef struct {
    const char *arn;
    const char *external_id;  /* NULL: none */
    const char *session_name; /* as aws_session_name makes it */
} AWS_ROLE;

/* aws_sts_request -- The form. web_identity is the token of AssumeRoleWithWebIdentity, NULL for
 * AssumeRole. For the caller to free. STATUS_NO_MEMORY, STATUS_CONFIG for parts that are too long. */
int aws_sts_request(
  const AWS_ROLE *role, const SECRET *web_identity, SECRET **bodyp, STATUS *status) WTKMS_CHECKED;

/* aws_sts_reply -- The credentials in an answer of status 200. now is the server's time, seconds since
 * 1970. STATUS_BAD_REPLY. */
int aws_sts_reply(
  const HTTP_REPLY *reply, int64_t now, AWS_CREDENTIALS *credentials, STATUS *status) WTKMS_CHECKED;

/*
 * aws_sts_assume -- Assume a role with credentials (base), or with the token in a file when base is
 *     NULL. On success *credentials is replaced and its source is the role's ARN; else it is as it was.
 */
int aws_sts_assume(AWS_WIRE *wire, const AWS_ROLE *role, const AWS_CREDENTIALS *base,
  const char *token_file, int64_t deadline, AWS_CREDENTIALS *credentials,
  STATUS *status) WTKMS_CHECKED;

/* aws_token_file_read -- A token of at most 64 KiB from a platform's file, white space at its end taken
 * off. Its permissions are the platform's business. STATUS_IO, STATUS_CONFIG. */
int aws_token_file_read(const char *path, SECRET **tokenp, STATUS *status) WTKMS_CHECKED;

#endif
