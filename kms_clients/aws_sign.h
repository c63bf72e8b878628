/*
 * kms_clients/aws_sign.h -- AWS Signature Version 4 of one request, in its header form.
 *
 * Layer: kms_clients; no I/O, no clock: the time is an argument. Source: AWS, "Create a signed AWS
 * API request". Thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_SIGN_H
#define WTKMS_KMS_CLIENTS_AWS_SIGN_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

#define AWS_SIGN_HEADERS_MAX 16
#define AWS_SIGN_DATE_SIZE sizeof("20150830T123600Z")
#define AWS_SIGN_AUTHORIZATION_SIZE 1024

typedef struct {
    const char *name; /* any case; each once */
    const char *value;
} AWS_SIGN_HEADER;

typedef struct {
    const char *method;
    const char *path;  /* canonical: encoded, "/" at least */
    const char *query; /* canonical: encoded and sorted, without '?'; "" for none */
    /* What is signed beside x-amz-date and x-amz-security-token, in any order; Host must be there. */
    const AWS_SIGN_HEADER *headers;
    size_t header_count;
    const void *body;
    size_t body_len;
    const char *region;
    const char *service;
    int64_t time; /* seconds since 1970, UTC */
    const char *access_key_id;
    const SECRET *secret_access_key;
    const SECRET *session_token; /* NULL: none */
} AWS_SIGN_REQUEST;

/* What the request must carry besides its headers and X-Amz-Security-Token. */
typedef struct {
    char date[AWS_SIGN_DATE_SIZE];                   /* X-Amz-Date */
    char authorization[AWS_SIGN_AUTHORIZATION_SIZE]; /* Authorization */
} AWS_SIGNATURE;

/*
 * aws_sign -- Sign. STATUS_INTERNAL "kms-aws-sign" for what cannot be signed (too many headers, too
 *     long, a time outside the years 1970 to 9999), STATUS_NO_MEMORY.
 */
int aws_sign(
  const AWS_SIGN_REQUEST *request, AWS_SIGNATURE *signature, STATUS *status) WTKMS_CHECKED;

#endif
