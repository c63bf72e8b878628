/*
 * kms_clients/aws_credentials.h -- What signs requests to AWS, and how long it is good.
 *
 * Layer: kms_clients; no I/O but the clock. Not thread-safe: they belong to one client.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_CREDENTIALS_H
#define WTKMS_KMS_CLIENTS_AWS_CREDENTIALS_H

#include "common/status.h"
#include "crypto/secret.h"
#include "kms_clients/kms_client.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AWS_ACCESS_KEY_ID_MAX 128
#define AWS_SECRET_MAX 16384 /* bytes of a secret key or session token */

typedef struct {
    char access_key_id[AWS_ACCESS_KEY_ID_MAX + 1]; /* public */
    SECRET *secret_access_key;
    SECRET *session_token; /* NULL: none */
    int64_t refresh_at;    /* clock_ms; INT64_MAX: they do not expire */
    int64_t expires_at;
    char source[KMS_CREDENTIAL_MAX + 1]; /* role ARN, "profile x", ...: never a secret */
} AWS_CREDENTIALS;

/* aws_credentials_clear -- Wipe and forget. */
void aws_credentials_clear(AWS_CREDENTIALS *credentials);

/*
 * aws_credentials_set -- Fill with copies of what somebody gave, lasting for ever. token may be NULL or
 *     empty. Cleared on failure. STATUS_CONFIG "kms-aws-credentials" (from names where they came from) for
 *     what no credential looks like: empty, too long, control characters or blanks.
 */
int aws_credentials_set(AWS_CREDENTIALS *credentials, const char *from, const char *access_key_id,
  const char *secret_access_key, const char *token, STATUS *status) WTKMS_CHECKED;

/* aws_credentials_expire -- They end at a time; now is the time of whoever said so. Both in seconds
 * since 1970. */
void aws_credentials_expire(AWS_CREDENTIALS *credentials, int64_t end, int64_t now);

/* aws_credentials_fresh -- Whether they need not be replaced; _usable -- whether they are still good. */
bool aws_credentials_fresh(const AWS_CREDENTIALS *credentials);
bool aws_credentials_usable(const AWS_CREDENTIALS *credentials);

/*
 * aws_credentials_read_json -- Read what the metadata services and credential programs answer: AccessKeyId,
 *     SecretAccessKey, Token or SessionToken, Expiration; source is RoleArn when there is one, else
 *     as it was. now is their time. STATUS_BAD_REPLY, STATUS_UNAUTHENTICATED when Code or code is no
 *     "Success".
 */
int aws_credentials_read_json(AWS_CREDENTIALS *credentials, const char *from, const void *text,
  size_t len, int64_t now, STATUS *status) WTKMS_CHECKED;

/* aws_time_parse -- "2026-11-24T19:00:00Z", fractions and "+00:00" allowed, to seconds since 1970. */
bool aws_time_parse(const char *text, int64_t *secondsp);

#endif
