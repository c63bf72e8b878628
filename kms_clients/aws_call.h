/*
 * kms_clients/aws_call.h -- One signed call to an AWS service.
 *
 * Layer: kms_clients; over http.h. A clock that is wrong is corrected from the server's Date and the
 * call made again. Not thread-safe: it belongs to one client.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_CALL_H
#define WTKMS_KMS_CLIENTS_AWS_CALL_H

#include "kms_clients/aws_credentials.h"
#include "kms_clients/aws_reply.h"
#include "kms_clients/http.h"

#define AWS_URL_SIZE 512

/* What all calls of a client share. */
typedef struct {
    HTTP_CLIENT *http;
    const LOG *log;             /* may be NULL */
    const char *region;         /* that signatures are for */
    char sts_url[AWS_URL_SIZE]; /* without a '/' at its end */
    int64_t clock_offset;       /* seconds that the servers are ahead of this machine */
    int64_t (*clock)(void);     /* seconds since 1970; NULL: clock_unix_seconds */
} AWS_WIRE;

/* aws_wire_now -- The time as the servers have it, seconds since 1970. */
int64_t aws_wire_now(const AWS_WIRE *wire);

typedef struct {
    const char *operation; /* "Decrypt" */
    const char *service;   /* "kms", "sts" */
    const char *url;       /* scheme, host and port */
    const char *target;    /* X-Amz-Target, or NULL */
    const char *content_type;
    const SECRET *body;
    const AWS_CREDENTIALS *credentials; /* NULL: the call is not signed */
    /* Read a reply of status 200. */
    int (*parse)(void *context, const HTTP_REPLY *reply, STATUS *status);
    void *context;
    AWS_ERROR error; /* out: the service's own words when the call failed */
} AWS_CALL;

/*
 * aws_call -- Make a call until deadline (clock_ms). Errors as aws_reply_error, parse and
 *     http_client_call say.
 */
int aws_call(AWS_WIRE *wire, AWS_CALL *call, int64_t deadline, STATUS *status) WTKMS_CHECKED;

/* aws_url_make -- The base URL of an endpoint as configured (URL, or host with or without port), or of a
 * service's public host when endpoint is NULL. STATUS_CONFIG. */
int aws_url_make(const char *endpoint, const char *service, const char *region, bool fips,
  char *url, size_t size, STATUS *status) WTKMS_CHECKED;

#endif
