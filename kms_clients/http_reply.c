/*
 * kms_clients/http_reply.c -- What comes back: gathered within bounds, and read. See http.h.
 */
#include "kms_clients/http_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX (32 * 1024)
#define BODY_START 4096

size_t
http_exchange_body(char *data, size_t size, size_t count, void *context)
{
    HTTP_EXCHANGE *exchange = context;
    SECRET *larger;
    STATUS ignored;
    size_t len = size * count, room = exchange->body == NULL ? 0 : secret_len(exchange->body);

    if (len > HTTP_REPLY_MAX - exchange->body_len) {
        exchange->fits = HTTP_TOO_LONG;
        return (0);
    }
    /* Behind the body always stands a NUL. */
    if (exchange->body_len + len + 1 > room) {
        room = room == 0 ? BODY_START : room;
        while (exchange->body_len + len + 1 > room)
            room *= 2;
        if (secret_new(room, &larger, &ignored) != 0) {
            exchange->fits = HTTP_NO_MEMORY;
            return (0);
        }
        if (exchange->body != NULL)
            memcpy(secret_data(larger), secret_bytes(exchange->body), exchange->body_len);
        secret_free(exchange->body);
        exchange->body = larger;
    }
    memcpy(secret_data(exchange->body) + exchange->body_len, data, len);
    exchange->body_len += len;
    return (len);
}

size_t
http_exchange_header(char *data, size_t size, size_t count, void *context)
{
    HTTP_EXCHANGE *exchange = context;
    size_t len = size * count;

    if (exchange->headers == NULL && (exchange->headers = malloc(HEADERS_MAX + 1)) == NULL) {
        exchange->fits = HTTP_NO_MEMORY;
        return (0);
    }
    /* An interim reply (100) came before this one. */
    if (len > 5 && strncmp(data, "HTTP/", 5) == 0)
        exchange->headers_len = 0;
    if (len > HEADERS_MAX - exchange->headers_len || memchr(data, '\0', len) != NULL) {
        exchange->fits = HTTP_TOO_LONG;
        return (0);
    }
    memcpy(exchange->headers + exchange->headers_len, data, len);
    exchange->headers_len += len;
    exchange->headers[exchange->headers_len] = '\0';
    return (len);
}

void
http_exchange_release(HTTP_EXCHANGE *exchange)
{
    secret_free(exchange->body);
    free(exchange->headers);
    memset(exchange, 0, sizeof(*exchange));
}

bool
http_reply_header(const HTTP_REPLY *reply, const char *name, char *value, size_t size)
{
    const char *line = reply->headers, *start, *end;
    size_t len = strlen(name);
    bool found = false;

    if (size > 0)
        value[0] = '\0';
    for (; line != NULL && *line != '\0'; line = *end == '\0' ? end : end + 1) {
        end = line + strcspn(line, "\n");
        if (strncasecmp(line, name, len) != 0 || line[len] != ':')
            continue;
        start = line + len + 1;
        start += strspn(start, " \t");
        len = (size_t)(end - start);
        while (len > 0 && strchr(" \t\r", start[len - 1]) != NULL)
            len--;
        if (start > end || len >= size)
            return (false);
        memcpy(value, start, len);
        value[len] = '\0';
        status_make_printable(value);
        found = true;
        len = strlen(name);
    }
    return (found);
}

bool
http_reply_date(const HTTP_REPLY *reply, int64_t *secondsp)
{
    char text[64];
    time_t when;

    if (!http_reply_header(reply, "Date", text, sizeof(text)) ||
        (when = curl_getdate(text, NULL)) == -1)
        return (false);
    *secondsp = (int64_t)when;
    return (true);
}

int
http_reply_unclear(const HTTP_REPLY *reply, STATUS *status)
{
    if (reply->code == 429 || reply->code >= 500) {
        (void)status_set(
          status, STATUS_UNAVAILABLE, "kms-unavailable", "the service has no answer now");
        return (status_hint(status, "wait, and look at the state of the service"));
    }
    if (reply->code >= 300 && reply->code < 400) {
        (void)status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer is a redirect, none is followed");
        return (status_hint(status, "configure the address that answers itself"));
    }
    (void)status_set(
      status, STATUS_BAD_REPLY, "kms-bad-reply", "the answer is not in the service's own words");
    return (
      status_hint(status, "a proxy or another server may have answered: look at the address"));
}
