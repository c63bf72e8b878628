/*
 * kms_clients/tls_stream.c -- TLS by libcurl without its protocols (CURLOPT_CONNECT_ONLY). See
 * tls_stream.h.
 */
#include "kms_clients/tls_stream.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "kms_clients/sigpipe.h"

#include <curl/curl.h>

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tls_stream {
    CURL *curl;
    struct curl_slist *connect_to;
    curl_socket_t socket;
    char error[CURL_ERROR_SIZE];
};

/* What a repetition will not mend. An alert is the peer's refusal, of our certificate as a rule. */
static bool
is_refusal(const TLS_STREAM *stream, CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return (true);
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return (
          strstr(stream->error, "alert") != NULL || strstr(stream->error, "unsupported") != NULL);
    default:
        return (false);
    }
}

static int
failed(const TLS_STREAM *stream, CURLcode code, const char *what, STATUS *status)
{
    const char *why = stream->error[0] != '\0' ? stream->error : curl_easy_strerror(code);

    if (code == CURLE_OUT_OF_MEMORY)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for TLS"));
    if (is_refusal(stream, code)) {
        (void)status_set(status, STATUS_UNAVAILABLE, "kms-tls", "%s: %s", what, why);
        return (status_hint(status, "check caFile, the name in the server's certificate, and that "
                                    "the server trusts the client certificate"));
    }
    (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: %s", what, why);
    return (
      status_hint(status, "check that the server runs and that a firewall lets this host in"));
}

static int
timed_out(const char *what, STATUS *status)
{
    (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: no answer in time", what);
    return (
      status_hint(status, "check that the server runs and that a firewall lets this host in"));
}

static CURLcode
set_blob(CURL *curl, CURLoption option, const SECRET *pem)
{
    struct curl_blob blob;

    if (pem == NULL)
        return (CURLE_OK);
    blob.data = (void *)(uintptr_t)secret_bytes(pem);
    blob.len = secret_len(pem);
    blob.flags = CURL_BLOB_NOCOPY; /* it stays where secrets are */
    return (curl_easy_setopt(curl, option, &blob));
}

#define SET(option, value)                                                      \
    do {                                                                        \
        if ((code = curl_easy_setopt(stream->curl, option, value)) != CURLE_OK) \
            return (code);                                                      \
    } while (0)

static CURLcode
set_tls(TLS_STREAM *stream, const TLS_TARGET *target)
{
    CURLcode code;

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSL_ENABLE_ALPN, 0L); /* this is no HTTP */
    SET(CURLOPT_SSL_SESSIONID_CACHE, 0L);
    SET(CURLOPT_KEYPASSWD, ""); /* else OpenSSL asks on the terminal */
    if ((code = set_blob(stream->curl, CURLOPT_CAINFO_BLOB, target->authorities)) != CURLE_OK ||
        (code = set_blob(stream->curl, CURLOPT_SSLCERT_BLOB, target->certificate)) != CURLE_OK ||
        (code = set_blob(stream->curl, CURLOPT_SSLKEY_BLOB, target->key)) != CURLE_OK)
        return (code);
    return (CURLE_OK);
}

static CURLcode
set_options(TLS_STREAM *stream, const TLS_TARGET *target, int64_t left)
{
    const char *name = target->server_name != NULL ? target->server_name : target->host;
    bool v6 = strchr(target->host, ':') != NULL;
    char text[2 * 256 + 64];
    CURLcode code;
    int len;

    len = snprintf(text, sizeof(text),
      strchr(name, ':') != NULL ? "https://[%s]:%d/" : "https://%s:%d/", name, target->port);
    if (len < 0 || (size_t)len >= sizeof(text))
        return (CURLE_URL_MALFORMAT);
    SET(CURLOPT_URL, text);
    if (target->server_name != NULL) {
        len =
          snprintf(text, sizeof(text), v6 ? "::[%s]:%d" : "::%s:%d", target->host, target->port);
        if (len < 0 || (size_t)len >= sizeof(text))
            return (CURLE_URL_MALFORMAT);
        if ((stream->connect_to = curl_slist_append(NULL, text)) == NULL)
            return (CURLE_OUT_OF_MEMORY);
        SET(CURLOPT_CONNECT_TO, stream->connect_to);
    }
    SET(CURLOPT_ERRORBUFFER, stream->error);
    SET(CURLOPT_CONNECT_ONLY, 1L);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_NOPROGRESS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_PROXY, target->proxy != NULL ? target->proxy : "");
    SET(CURLOPT_HTTPPROXYTUNNEL, target->proxy != NULL ? 1L : 0L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS,
      (long)(target->connect_timeout < left ? target->connect_timeout : left));
    SET(CURLOPT_TIMEOUT_MS, (long)left);
    return (set_tls(stream, target));
}

int
tls_stream_open(const TLS_TARGET *target, int64_t deadline, TLS_STREAM **streamp, STATUS *status)
{
    TLS_STREAM *stream;
    SIGPIPE_GUARD guard;
    int64_t left = clock_left(deadline);
    CURLcode code;

    *streamp = NULL;
    if (left == 0) /* libcurl takes 0 for its default */
        return (timed_out("connecting", status));
    if ((stream = calloc(1, sizeof(*stream))) == NULL ||
        (stream->curl = curl_easy_init()) == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for TLS");
        goto err;
    }
    if ((code = set_options(stream, target, left)) == CURLE_OK) {
        sigpipe_block(&guard);
        code = curl_easy_perform(stream->curl);
        sigpipe_restore(&guard);
    }
    if (code == CURLE_OK)
        code = curl_easy_getinfo(stream->curl, CURLINFO_ACTIVESOCKET, &stream->socket);
    if (code != CURLE_OK || stream->socket == CURL_SOCKET_BAD) {
        (void)failed(stream, code == CURLE_OK ? CURLE_COULDNT_CONNECT : code, "connecting", status);
        goto err;
    }
    *streamp = stream;
    return (0);

err:
    tls_stream_close(stream);
    return ((int)status->status_class);
}

void
tls_stream_close(TLS_STREAM *stream)
{
    SIGPIPE_GUARD guard;

    if (stream == NULL)
        return;
    sigpipe_block(&guard); /* TLS says good-bye */
    if (stream->curl != NULL)
        curl_easy_cleanup(stream->curl);
    curl_slist_free_all(stream->connect_to);
    sigpipe_restore(&guard);
    free(stream);
}

static int
wait_for(TLS_STREAM *stream, int64_t deadline, short events, const char *what, STATUS *status)
{
    struct pollfd fd = {.fd = stream->socket, .events = events};
    int64_t left;
    int n;

    do {
        if ((left = clock_left(deadline)) == 0 || cancel_asked())
            return (timed_out(what, status));
        n = poll(&fd, 1, left > CANCEL_POLL_MS ? CANCEL_POLL_MS : (int)left);
    } while (n == 0 || (n == -1 && errno == EINTR));
    if (n == -1)
        return (status_set(
          status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: poll: error %d", what, errno));
    return (0);
}

int
tls_stream_write(TLS_STREAM *stream, int64_t deadline, const void *data, size_t len, STATUS *status)
{
    const uint8_t *p = data;
    SIGPIPE_GUARD guard;
    CURLcode code;
    size_t n;

    while (len > 0) {
        n = 0;
        stream->error[0] = '\0';
        sigpipe_block(&guard);
        code = curl_easy_send(stream->curl, p, len, &n);
        sigpipe_restore(&guard);
        if (code == CURLE_AGAIN) {
            if (wait_for(stream, deadline, POLLOUT, "sending", status) != 0)
                return ((int)status->status_class);
        } else if (code != CURLE_OK)
            return (failed(stream, code, "sending", status));
        if (n > len)
            n = len;
        p += n;
        len -= n;
    }
    return (0);
}

int
tls_stream_read(TLS_STREAM *stream, int64_t deadline, void *data, size_t len, STATUS *status)
{
    uint8_t *p = data;
    SIGPIPE_GUARD guard;
    CURLcode code;
    size_t n;

    while (len > 0) {
        /* A peer that sends a byte now and then is held to the deadline too. */
        if (clock_left(deadline) == 0)
            return (timed_out("waiting for the answer", status));
        n = 0;
        stream->error[0] = '\0';
        sigpipe_block(&guard);
        code = curl_easy_recv(stream->curl, p, len, &n);
        sigpipe_restore(&guard);
        if (code == CURLE_AGAIN) {
            if (wait_for(stream, deadline, POLLIN, "waiting for the answer", status) != 0)
                return ((int)status->status_class);
            continue;
        }
        if (code != CURLE_OK)
            return (failed(stream, code, "waiting for the answer", status));
        if (n == 0) {
            (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable",
              "waiting for the answer: the server closed the connection");
            return (status_hint(status, "the server's log says why"));
        }
        p += n;
        len -= n;
    }
    return (0);
}
