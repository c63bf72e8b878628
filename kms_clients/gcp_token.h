/*
 * kms_clients/gcp_token.h -- Requests for Google access tokens, and their answers.
 *
 * Layer: kms_clients. Pure: bytes in, bytes out; thread-safe. Sources: RFC 7523 (a signed assertion for a
 * token), RFC 8693 (token exchange, as Google's STS has it), the IAM Credentials API v1, and the
 * metadata server of Compute Engine.
 */
#ifndef WTKMS_KMS_CLIENTS_GCP_TOKEN_H
#define WTKMS_KMS_CLIENTS_GCP_TOKEN_H

#include "kms_clients/gcp_identity.h"
#include "kms_clients/http.h"
#include "kms_clients/token.h"

#include <stddef.h>
#include <stdint.h>

#define GCP_TOKEN_LIFETIME_S 3600

/*
 * gcp_token_assertion_body -- The form that a service account sends to its token_uri: an assertion
 *     signed with its key, good for an hour from now (seconds since 1970). gcp_token_exchange_body -- The form for
 *     STS; subject is the token from the file. gcp_token_impersonate_body -- JSON for
 *     generateAccessToken. The caller frees *bodyp. STATUS_CONFIG for the key, STATUS_NO_MEMORY,
 *     STATUS_INTERNAL.
 */
int gcp_token_assertion_body(const GCP_IDENTITY *identity, const char *scope, int64_t now,
  SECRET **bodyp, STATUS *status) WTKMS_CHECKED;
int gcp_token_exchange_body(const GCP_IDENTITY *identity, const SECRET *subject, const char *scope,
  SECRET **bodyp, STATUS *status) WTKMS_CHECKED;
int gcp_token_impersonate_body(const char *scope, SECRET **bodyp, STATUS *status) WTKMS_CHECKED;

/*
 * gcp_token_subject -- The subject token in a file's bytes: the text without white space around it, or a
 *     field of JSON. Printable ASCII and a NUL behind it. The
 *     caller frees *tokenp. STATUS_UNAUTHENTICATED "kms-gcp-subject-token": the file holds none.
 */
int gcp_token_subject(
  const SECRET *file, const char *field, SECRET **tokenp, STATUS *status) WTKMS_CHECKED;

/*
 * gcp_token_reply -- Read the answer of a token endpoint, of STS or of the metadata server;
 *     gcp_token_impersonate_reply -- of generateAccessToken. token is set on success. STATUS_UNAUTHENTICATED
 *     "kms-unauthenticated", STATUS_DENIED "kms-denied", STATUS_UNAVAILABLE, STATUS_BAD_REPLY,
 *     STATUS_NO_MEMORY; never a class that speaks of the key.
 */
int gcp_token_reply(const HTTP_REPLY *reply, TOKEN *token, STATUS *status) WTKMS_CHECKED;
int gcp_token_impersonate_reply(
  const HTTP_REPLY *reply, TOKEN *token, STATUS *status) WTKMS_CHECKED;

/* gcp_token_time -- Seconds since 1970 of "2026-10-02T15:01:23.045Z"; false when it is none. */
bool gcp_token_time(const char *text, int64_t *secondsp);

#endif
