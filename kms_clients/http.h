/*
 * kms_clients/http.h -- The one place that talks HTTP: deadlines, retries, bounded replies, TLS.
 *
 * Layer: kms_clients; uses libcurl. Providers build requests and parse replies purely; this file
 * sends them. It never follows a redirect, never decompresses, takes no setting from the environment
 * (but the proxy variables when `proxy` is not configured), no .netrc, no cookies; it sends plain
 * http to loopback and, for calls marked so, to the platforms' fixed metadata addresses only, those
 * never through a proxy. No header value and no body ever appears in a message.
 *
 * An HTTP_CLIENT is used by one thread at a time; its connections are kept for the next call.
 */
#ifndef WTKMS_KMS_CLIENTS_HTTP_H
#define WTKMS_KMS_CLIENTS_HTTP_H

#include "common/config.h"
#include "common/log.h"
#include "common/status.h"
#include "crypto/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_REPLY_MAX (64 * 1024) /* bytes of a body; a longer one is STATUS_BAD_REPLY */
#define HTTP_HEADERS_MAX 32        /* of a request */
#define HTTP_URL_MAX 4096
#define HTTP_CALL_DEFAULT_MS 10000

/* What every provider with a network takes, as part of its own structure of options. */
typedef struct {
    char *endpoint;           /* URL or host:port, as the provider understands it; or NULL */
    char *ca_file;            /* PEM; NULL: the system's */
    char *client_certificate; /* PEM, may be NULL */
    char *client_key;         /* PEM; NULL: in the certificate's file. A secret file */
    char *proxy;              /* URL; "none": no proxy whatever the environment says */
    int64_t connect_timeout;  /* ms */
    int64_t timeout;          /* ms, of one call, retries included */
    int64_t retry_for;        /* ms, of UNAVAILABLE at open; read by kms_client.c */
} HTTP_OPTIONS;

/* HTTP_OPTION_ROWS -- The rows of a provider's option table for them. structure is the provider's type,
 * member its HTTP_OPTIONS. */
#define HTTP_OPTION_ROWS(structure, member)                                                    \
    {.name = "endpoint",                                                                       \
      .type = OPTION_STRING,                                                                   \
      .offset = offsetof(structure, member.endpoint),                                          \
      .help = "Where the service is, when not at its usual address."},                         \
      {.name = "caFile",                                                                       \
        .type = OPTION_PATH,                                                                   \
        .offset = offsetof(structure, member.ca_file),                                         \
        .help = "Certificate authorities in PEM, instead of the system's."},                   \
      {.name = "clientCertificate",                                                            \
        .type = OPTION_PATH,                                                                   \
        .offset = offsetof(structure, member.client_certificate),                              \
        .help = "Client certificate in PEM for mutual TLS."},                                  \
      {.name = "clientKey",                                                                    \
        .type = OPTION_PATH,                                                                   \
        .offset = offsetof(structure, member.client_key),                                      \
        .help = "Private key of the client certificate in PEM, when it is in another file."},  \
      {.name = "proxy",                                                                        \
        .type = OPTION_STRING,                                                                 \
        .offset = offsetof(structure, member.proxy),                                           \
        .help = "URL of a proxy, or none; default: the environment's."},                       \
      {.name = "connectTimeout",                                                               \
        .type = OPTION_DURATION,                                                               \
        .offset = offsetof(structure, member.connect_timeout),                                 \
        .fallback = "5s",                                                                      \
        .minimum = 100,                                                                        \
        .maximum = 300000,                                                                     \
        .help = "How long a connection may take to be made."},                                 \
      {.name = "timeout",                                                                      \
        .type = OPTION_DURATION,                                                               \
        .offset = offsetof(structure, member.timeout),                                         \
        .fallback = "10s",                                                                     \
        .minimum = 100,                                                                        \
        .maximum = 300000,                                                                     \
        .help = "How long one call may take, its retries included."},                          \
    {                                                                                          \
        .name = "retryFor", .type = OPTION_DURATION,                                           \
        .offset = offsetof(structure, member.retry_for), .fallback = "5m",                     \
        .help = "How long an open of the database waits for a service that cannot be reached." \
    }

typedef struct http_client HTTP_CLIENT;

/*
 * http_client_open -- Make a client for one configured recipient. options and log must outlive it (log may
 *     be NULL). Reads the PEM files (client key by the rule of secret files), connects to nothing.
 *     entry is for messages. request_id_header names the reply header with the service's request id,
 *     or is NULL (static storage). STATUS_CONFIG, STATUS_NO_MEMORY.
 */
int http_client_open(const HTTP_OPTIONS *options, const CONFIG_NODE *entry, const LOG *log,
  const char *request_id_header, HTTP_CLIENT **clientp, STATUS *status) WTKMS_CHECKED;
void http_client_close(HTTP_CLIENT *client);

/* --- a request, built anew for every attempt (signatures hold a time) */

typedef struct http_request HTTP_REQUEST;

/* All return 0 or a class: STATUS_NO_MEMORY, or STATUS_INTERNAL for what cannot be sent: too long, a
 * control character, a header beyond HTTP_HEADERS_MAX. */
int http_request_method(HTTP_REQUEST *request, const char *method, STATUS *status) WTKMS_CHECKED;
int http_request_url(HTTP_REQUEST *request, STATUS *status, const char *fmt, ...)
  WTKMS_PRINTF(3, 4) WTKMS_CHECKED;
int http_request_header(
  HTTP_REQUEST *request, const char *name, const char *value, STATUS *status) WTKMS_CHECKED;
/* prefix, may be NULL, stands before the secret: "Bearer ". The secret is copied to secret memory. */
int http_request_header_secret(HTTP_REQUEST *request, const char *name, const char *prefix,
  const SECRET *value, STATUS *status) WTKMS_CHECKED;
/* The body is taken over, also on failure. Without one nothing is sent (GET), or a length of 0. */
int http_request_body(HTTP_REQUEST *request, SECRET *body, STATUS *status) WTKMS_CHECKED;

/* --- a reply */

typedef struct {
    int code;            /* HTTP status */
    const uint8_t *body; /* secret memory, NUL-terminated beyond body_len */
    size_t body_len;
    const char *headers; /* raw lines; http_reply_header reads them */
} HTTP_REPLY;

/* http_reply_header -- Copy a header's value (the last one of that name, trimmed, control characters
 * replaced); false when it is not there or does not fit. */
bool http_reply_header(const HTTP_REPLY *reply, const char *name, char *value, size_t size);

/* http_reply_date -- The server's Date as seconds since 1970; false when there is none. */
bool http_reply_date(const HTTP_REPLY *reply, int64_t *secondsp);

/*
 * http_reply_unclear -- Record the error of a reply that is not in the service's own words (no
 *     envelope of its kind): 429 and 5xx are STATUS_UNAVAILABLE "kms-unavailable", all else, a
 *     redirect and a proxy's page among them, STATUS_BAD_REPLY "kms-bad-reply". Returns the class.
 */
int http_reply_unclear(const HTTP_REPLY *reply, STATUS *status);

/* --- a call */

typedef struct {
    const char *operation; /* for messages: "Decrypt" */
    /* Build the request of one attempt. An error ends the call. */
    int (*build)(void *context, HTTP_REQUEST *request, STATUS *status);
    /* Read a reply, of any HTTP status; 0 when the call is done. Class and message are the service's own
     * ("AccessDeniedException: ..."); this file adds operation, host, HTTP status, request id, time. */
    int (*parse)(void *context, const HTTP_REPLY *reply, STATUS *status);
    /* Optional: after an error, whether it was mended (clock corrected, token thrown away) and the call
     * is made again at once. Asked once a call. */
    bool (*mend)(void *context, const HTTP_REPLY *reply, const STATUS *status);
    bool retry;    /* UNAVAILABLE may be tried again: the call changes nothing at the service */
    bool metadata; /* one of the platforms' fixed metadata addresses: plain http, no proxy */
} HTTP_CALL;

/*
 * http_client_call -- Make a call: build, send, parse, until it succeeds, fails for good, or the
 *     deadline (clock_ms) passes. Between attempts: jittered back-off, or Retry-After when that fits.
 *     Classes as parse says; network, TLS and time-outs are STATUS_UNAVAILABLE "kms-unavailable" (hint: what
 *     to look at), an untrusted or wrong certificate STATUS_UNAVAILABLE "kms-tls".
 */
int http_client_call(HTTP_CLIENT *client, int64_t deadline, const HTTP_CALL *call, void *context,
  STATUS *status) WTKMS_CHECKED;

/*
 * http_url_host -- The host of a URL, lower case, without port and brackets, and whether plain http would be
 *     permitted to it. For checks of configured endpoints. STATUS_CONFIG when it is no http or https URL, has
 *     user information, a query or a fragment, or is plain http to neither loopback (127.0.0.0/8, ::1, localhost).
 */
int http_url_host(const char *url, char *host, size_t size, STATUS *status) WTKMS_CHECKED;

/* http_percent_encode -- RFC 3986: all but unreserved characters; keep_slash leaves '/'. Truncates never:
 * false when text does not hold the result and its NUL. */
bool http_percent_encode(const char *value, bool keep_slash, char *text, size_t size);

#endif
