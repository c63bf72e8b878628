/*
 * kms_clients/http_request.c -- A request as a provider builds it. See http.h.
 *
 * What cannot be sent is an error of ours and not of the configuration: providers check what they put
 * here. It is checked again, because a line break in a header is another header.
 */
#include "kms_clients/http_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER_MAX (16 * 1024)

static int
unsendable(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_INTERNAL, "kms-request", "a request has %s", what));
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a request"));
}

int
http_request_method(HTTP_REQUEST *request, const char *method, STATUS *status)
{
    size_t len = strlen(method);

    if (len == 0 || len >= sizeof(request->method) || strcmp(method, "HEAD") == 0 ||
        strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != len)
        return (unsendable(status, "a method that cannot be sent"));
    memcpy(request->method, method, len + 1);
    return (0);
}

int
http_request_url(HTTP_REQUEST *request, STATUS *status, const char *fmt, ...)
{
    va_list ap;
    const unsigned char *p;
    int len;

    free(request->url);
    if ((request->url = malloc(HTTP_URL_MAX)) == NULL)
        return (no_memory(status));
    va_start(ap, fmt);
    len = vsnprintf(request->url, HTTP_URL_MAX, fmt, ap);
    va_end(ap);
    if (len <= 0 || len >= HTTP_URL_MAX)
        return (unsendable(status, "a URL that is too long"));
    for (p = (const unsigned char *)request->url; *p != '\0'; p++)
        if (*p <= 0x20 || *p >= 0x7f || *p == '\\')
            return (unsendable(status, "a URL with characters that must be encoded"));
    return (0);
}

static bool
is_token(const char *name)
{
    size_t len = strlen(name);

    return (
      len > 0 && len < 128 &&
      strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len);
}

/* Visible characters, spaces, and what is beyond ASCII. */
static bool
is_value(const char *value, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return (false);
    return (true);
}

static int
add_header(HTTP_REQUEST *request, size_t limit, const char *name, const char *prefix,
  const char *value, size_t len, bool secret, STATUS *status)
{
    SECRET *memory = NULL;
    size_t n = request->header_count, head = strlen(name) + 2 + strlen(prefix);
    char *line;

    if (n >= limit)
        return (unsendable(status, "too many headers"));
    if (!is_token(name) || !is_value(prefix, strlen(prefix)) || !is_value(value, len))
        return (unsendable(status, "a header with characters that cannot be sent"));
    if (len > HEADER_MAX || head > HEADER_MAX)
        return (unsendable(status, "a header that is too long"));
    if (!secret) {
        if ((line = malloc(head + len + 1)) == NULL)
            return (no_memory(status));
    } else {
        if (secret_new(head + len + 1, &memory, status) != 0)
            return ((int)status->status_class);
        line = (char *)secret_data(memory);
    }
    (void)snprintf(line, head + 1, "%s: %s", name, prefix);
    memcpy(line + head, value, len);
    line[head + len] = '\0';
    /* libcurl sends a header without a value only when it ends in a semicolon. */
    if (len == 0 && prefix[0] == '\0')
        (void)snprintf(line, head + 1, "%s;", name);
    request->headers[n].data = line;
    request->headers[n].next = NULL;
    request->secrets[n] = memory;
    if (n > 0)
        request->headers[n - 1].next = &request->headers[n];
    request->header_count++;
    if (strcasecmp(name, "Content-Type") == 0)
        request->content_type = true;
    return (0);
}

int
http_request_header(HTTP_REQUEST *request, const char *name, const char *value, STATUS *status)
{
    return (add_header(request, HTTP_HEADERS_MAX, name, "", value, strlen(value), false, status));
}

int
http_request_header_secret(
  HTTP_REQUEST *request, const char *name, const char *prefix, const SECRET *value, STATUS *status)
{
    return (add_header(request, HTTP_HEADERS_MAX, name, prefix == NULL ? "" : prefix,
      (const char *)secret_bytes(value), secret_len(value), true, status));
}

int
http_request_body(HTTP_REQUEST *request, SECRET *body, STATUS *status)
{
    secret_free(request->body);
    request->body = body;
    if (secret_len(body) > HTTP_REPLY_MAX)
        return (unsendable(status, "a body that is too long"));
    return (0);
}

/* A line that takes a header of libcurl's own out. */
static int
remove_header(HTTP_REQUEST *request, const char *line, STATUS *status)
{
    size_t n = request->header_count;

    if ((request->headers[n].data = strdup(line)) == NULL)
        return (no_memory(status));
    request->headers[n].next = NULL;
    if (n > 0)
        request->headers[n - 1].next = &request->headers[n];
    request->header_count++;
    return (0);
}

int
http_request_complete(HTTP_REQUEST *request, bool metadata, STATUS *status)
{
    bool tls;

    if (request->method[0] == '\0')
        memcpy(request->method, "GET", 4);
    if (request->url == NULL ||
        !http_url_split(request->url, &tls, request->host, sizeof(request->host)))
        return (unsendable(status, "a URL that is neither http nor https"));
    if (strcmp(request->method, "GET") == 0 && request->body != NULL)
        return (unsendable(status, "a body that its method does not send"));
    if (!tls && !http_url_loopback(request->host) &&
        !(metadata && http_url_metadata(request->host)))
        return (status_set(status, STATUS_REFUSED, "kms-clear",
          "nothing is sent to %s by plain http", request->host));
    /* A server that does not know Expect would cost a second. */
    if (remove_header(request, "Expect:", status) != 0)
        return ((int)status->status_class);
    if (!request->content_type)
        return (remove_header(request, "Content-Type:", status));
    return (0);
}

void
http_request_release(HTTP_REQUEST *request)
{
    size_t i;

    for (i = 0; i < request->header_count; i++)
        if (request->secrets[i] != NULL)
            secret_free(request->secrets[i]);
        else
            free(request->headers[i].data);
    free(request->url);
    secret_free(request->body);
    memset(request, 0, sizeof(*request));
}
