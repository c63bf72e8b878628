/*
 * kms_clients/http_private.h -- What the parts of the transport share. Included by http*.c only.
 */
#ifndef WTKMS_KMS_CLIENTS_HTTP_PRIVATE_H
#define WTKMS_KMS_CLIENTS_HTTP_PRIVATE_H

#include "kms_clients/http.h"

#include <curl/curl.h>

#define HTTP_HOST_MAX 256
#define HTTP_OWN_HEADERS 2 /* beside the caller's */

struct http_request {
    char method[12];
    char *url;
    char host[HTTP_HOST_MAX];
    /* libcurl reads this list and copies no part of it, so its texts may be secret memory. */
    struct curl_slist headers[HTTP_HEADERS_MAX + HTTP_OWN_HEADERS];
    SECRET *secrets[HTTP_HEADERS_MAX + HTTP_OWN_HEADERS]; /* the text's memory; NULL: malloc's */
    size_t header_count;
    SECRET *body;
    bool content_type;
};

struct http_client {
    const HTTP_OPTIONS *options;
    const LOG *log;
    const char *request_id_header;
    CURLSH *share;      /* the connections */
    CONFIG_NODE origin; /* stands for the entry when files are read again */
    char *source;
};

/* The files that TLS needs, for one call: certificates are renewed while a database runs. */
typedef struct {
    SECRET *authorities;
    SECRET *certificate;
    SECRET *key; /* NULL: in the certificate's file */
} HTTP_PEM;

/* http_pem_read -- Read them; on failure none is left. STATUS_CONFIG, STATUS_IO, STATUS_NO_MEMORY. */
int http_pem_read(const HTTP_OPTIONS *options, const CONFIG_NODE *entry, HTTP_PEM *pem,
  STATUS *status) WTKMS_CHECKED;
/* http_pem_release -- Wipe and forget. */
void http_pem_release(HTTP_PEM *pem);

/* What came back of one attempt. */
typedef struct {
    HTTP_REPLY reply; /* code 0: none */
    SECRET *body;
    size_t body_len;
    char *headers;
    size_t headers_len;
    enum { HTTP_FITS, HTTP_TOO_LONG, HTTP_NO_MEMORY } fits;
} HTTP_EXCHANGE;

/* http_exchange_release -- Wipe and forget. */
void http_exchange_release(HTTP_EXCHANGE *exchange);
/* Callbacks for libcurl; context is an HTTP_EXCHANGE. */
size_t http_exchange_body(char *data, size_t size, size_t count, void *context);
size_t http_exchange_header(char *data, size_t size, size_t count, void *context);

/* http_request_complete -- Check what build left and add the headers of our own. */
int http_request_complete(HTTP_REQUEST *request, bool metadata, STATUS *status) WTKMS_CHECKED;
/* http_request_release -- Wipe and forget. */
void http_request_release(HTTP_REQUEST *request);

/* http_url_loopback, http_url_metadata -- What a host, as http_url_host writes it, is. */
bool http_url_loopback(const char *host);
bool http_url_metadata(const char *host);

/* http_url_split -- Scheme and host; false for what libcurl would not read as an http or https URL, and for
 * user information. */
bool http_url_split(const char *url, bool *tlsp, char *host, size_t size);

/* http_proxy_check -- proxy as configured. STATUS_CONFIG. */
int http_proxy_check(
  const HTTP_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status) WTKMS_CHECKED;

/*
 * http_send -- Send one request and receive its reply, whatever it says. STATUS_UNAVAILABLE,
 *     STATUS_BAD_REPLY, STATUS_NO_MEMORY, STATUS_INTERNAL.
 */
int http_send(HTTP_CLIENT *client, const HTTP_REQUEST *request, const HTTP_PEM *pem, bool metadata,
  int64_t deadline, HTTP_EXCHANGE *exchange, STATUS *status) WTKMS_CHECKED;

/* http_send_setup -- libcurl made ready, once a process. */
int http_send_setup(STATUS *status) WTKMS_CHECKED;

#endif
