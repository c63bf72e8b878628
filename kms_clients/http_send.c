/*
 * kms_clients/http_send.c -- One request and its reply through libcurl. See http_private.h.
 *
 * Every attempt has a handle of its own: its receive buffer, which held an unwrapped key, is freed and
 * wiped with it. The connections outlive it in the client's share.
 */
#include "config.h"

#include "kms_clients/http_private.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "kms_clients/sigpipe.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * libcurl copies headers and bodies into buffers of its own: those are wiped when freed. Where the host
 * has set libcurl up before us its allocator stays; ours is malloc's, so it does the host no harm.
 */
static void
wiping_free(void *mem)
{
    if (mem != NULL)
        secret_wipe(mem, malloc_usable_size(mem));
    free(mem);
}

static void *
wiping_realloc(void *mem, size_t len)
{
    void *larger = malloc(len == 0 ? 1 : len);
    size_t had = mem == NULL ? 0 : malloc_usable_size(mem);

    if (larger == NULL)
        return (NULL);
    if (mem != NULL)
        memcpy(larger, mem, had < len ? had : len);
    wiping_free(mem);
    return (larger);
}

static CURLcode setup_result;

static void
setup(void)
{
    setup_result = curl_global_init_mem(
      CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc);
}

int
http_send_setup(STATUS *status)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    if (pthread_once(&once, setup) != 0 || setup_result != CURLE_OK)
        return (status_set(status, STATUS_INTERNAL, "kms-curl", "libcurl cannot be set up: %s",
          curl_easy_strerror(setup_result)));
    return (0);
}

/* A database forks tools: they get none of our connections. */
static int
close_on_exec(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    return (fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? CURL_SOCKOPT_OK : CURL_SOCKOPT_ERROR);
}

/* Whoever started this thread may call its work off; asked once a second at least. */
static int
is_called_off(void *context, curl_off_t down, curl_off_t now_down, curl_off_t up, curl_off_t now_up)
{
    (void)context;
    (void)down;
    (void)now_down;
    (void)up;
    (void)now_up;
    return (cancel_asked() ? 1 : 0);
}

#define SET(option, value) ok = ok && curl_easy_setopt(easy, option, value) == CURLE_OK

static bool
set_blob(CURL *easy, CURLoption option, const SECRET *pem)
{
    struct curl_blob blob = {0};

    if (pem == NULL)
        return (true);
    memcpy(&blob.data, &(const void *){secret_bytes(pem)}, sizeof(blob.data));
    blob.len = secret_len(pem);
    blob.flags = CURL_BLOB_NOCOPY;
    return (curl_easy_setopt(easy, option, &blob) == CURLE_OK);
}

static bool
set_tls(CURL *easy, const HTTP_PEM *pem)
{
    bool ok = true;

    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (pem->authorities != NULL) {
        SET(CURLOPT_CAINFO, NULL);
        SET(CURLOPT_CAPATH, NULL);
        ok = ok && set_blob(easy, CURLOPT_CAINFO_BLOB, pem->authorities);
    }
    if (pem->certificate != NULL) {
        SET(CURLOPT_SSLCERTTYPE, "PEM");
        SET(CURLOPT_SSLKEYTYPE, "PEM");
        ok = ok && set_blob(easy, CURLOPT_SSLCERT_BLOB, pem->certificate) &&
             set_blob(easy, CURLOPT_SSLKEY_BLOB, pem->key == NULL ? pem->certificate : pem->key);
    }
    return (ok);
}

static bool
set_route(CURL *easy, const HTTP_OPTIONS *options, const char *host, bool metadata)
{
    bool ok = true;

    if (metadata || http_url_loopback(host) ||
        (options->proxy != NULL && strcmp(options->proxy, "none") == 0))
        SET(CURLOPT_PROXY, "");
    else if (options->proxy != NULL) {
        SET(CURLOPT_PROXY, options->proxy);
        SET(CURLOPT_NOPROXY, "");
    }
    return (ok);
}

static bool
set_request(CURL *easy, const HTTP_REQUEST *request)
{
    bool ok = true;

    SET(CURLOPT_URL, request->url);
    if (strcmp(request->method, "GET") == 0)
        SET(CURLOPT_HTTPGET, 1L);
    else {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDS,
          request->body == NULL ? "" : (const char *)secret_bytes(request->body));
        SET(CURLOPT_POSTFIELDSIZE_LARGE,
          (curl_off_t)(request->body == NULL ? 0 : secret_len(request->body)));
        SET(CURLOPT_CUSTOMREQUEST, request->method);
    }
    /* libcurl takes the list as its own kind of pointer and only reads it. */
    SET(CURLOPT_HTTPHEADER, request->headers);
    return (ok);
}

static bool
set_common(CURL *easy, HTTP_CLIENT *client, long left, HTTP_EXCHANGE *exchange, char *error)
{
    long connect = (long)client->options->connect_timeout;
    bool ok = true;

    SET(CURLOPT_ERRORBUFFER, error);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_SHARE, client->share);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, is_called_off);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_USERAGENT, "wiredtiger-kms/" PACKAGE_VERSION);
    SET(CURLOPT_TIMEOUT_MS, left);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect > 0 && connect < left ? connect : left);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_SOCKOPTFUNCTION, close_on_exec);
    SET(CURLOPT_WRITEFUNCTION, http_exchange_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_HEADERFUNCTION, http_exchange_header);
    SET(CURLOPT_HEADERDATA, exchange);
    return (ok);
}

static double
seconds(CURL *easy, CURLINFO info)
{
    double value = 0;

    return (curl_easy_getinfo(easy, info, &value) == CURLE_OK ? value : 0);
}

/* How far a call came whose time ran out. */
static const char *
phase(CURL *easy, bool tls, const HTTP_EXCHANGE *exchange)
{
    long made = 0;

    (void)curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &made);
    if (exchange->headers_len > 0)
        return ("in the middle of the answer");
    if (seconds(easy, CURLINFO_PRETRANSFER_TIME) > 0)
        return ("waiting for the answer");
    if (made == 0 && seconds(easy, CURLINFO_NAMELOOKUP_TIME) <= 0)
        return ("resolving the name");
    if (seconds(easy, CURLINFO_CONNECT_TIME) <= 0)
        return ("connecting");
    return (tls ? "in the TLS handshake" : "connecting");
}

static int
tls_error(STATUS *status, const HTTP_REQUEST *request, const char *detail)
{
    const char *hint = "look at the server's certificate, caFile and clientCertificate";

    (void)status_set(
      status, STATUS_UNAVAILABLE, "kms-tls", "TLS with %s failed: %s", request->host, detail);
    if (strstr(detail, "expired") != NULL || strstr(detail, "not yet valid") != NULL)
        hint = "the certificate's time is over or to come: renew it, look at the clock";
    else if (strstr(detail, "subject name") != NULL || strstr(detail, "host name") != NULL)
        hint = "the certificate is for another name than the configured address";
    else if (strstr(detail, "self-signed") != NULL || strstr(detail, "self signed") != NULL ||
             strstr(detail, "issuer") != NULL || strstr(detail, "verify the first") != NULL)
        hint = "no trusted authority signed the certificate: name its authority in caFile";
    else if (strstr(detail, "protocol") != NULL || strstr(detail, "wrong version") != NULL)
        hint = "the server must speak TLS 1.2 or newer at this port";
    else if (strstr(detail, "alert") != NULL)
        hint = "the server may want a client certificate: clientCertificate, clientKey";
    return (status_hint(status, "%s", hint));
}

static int
network_error(STATUS *status, const HTTP_REQUEST *request, const char *what, const char *hint)
{
    (void)status_set(status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: %s", request->host, what);
    return (status_hint(status, "%s", hint));
}

static bool
about_tls(CURLcode code, const char *detail)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        return (true);
    case CURLE_SSL_CONNECT_ERROR:
        /* A peer that hangs up in the handshake is away, no matter of certificates. */
        return (strstr(detail, "SYSCALL") == NULL && strstr(detail, "unexpected eof") == NULL &&
                strstr(detail, "reset by peer") == NULL);
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return (strstr(detail, "alert") != NULL);
    default:
        return (false);
    }
}

static int
explain(CURL *easy, CURLcode code, const HTTP_REQUEST *request, const HTTP_EXCHANGE *exchange,
  const char *error, STATUS *status)
{
    const char *detail = error[0] == '\0' ? curl_easy_strerror(code) : error;
    char text[128];

    if (code == CURLE_OUT_OF_MEMORY || exchange->fits == HTTP_NO_MEMORY)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a call"));
    if (exchange->fits == HTTP_TOO_LONG)
        return (status_set(status, STATUS_BAD_REPLY, "kms-reply-size",
          "%s: the answer is longer than %d bytes", request->host, HTTP_REPLY_MAX));
    if (about_tls(code, detail))
        return (tls_error(status, request, detail));
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return (network_error(status, request, "the name cannot be resolved",
          "look at the configured address and at this machine's name service"));
    case CURLE_COULDNT_RESOLVE_PROXY:
        return (network_error(status, request, "the proxy's name cannot be resolved",
          "look at proxy, and at https_proxy in the environment"));
    case CURLE_COULDNT_CONNECT:
        return (network_error(status, request, detail,
          "look whether the service runs, at address and port, firewalls and proxy"));
    case CURLE_OPERATION_TIMEDOUT:
        (void)snprintf(text, sizeof(text), "time ran out %s",
          phase(easy, strncmp(request->url, "https", 5) == 0, exchange));
        return (network_error(status, request, text,
          "look at firewalls, proxy and the service's load; timeout and connectTimeout are the "
          "limits"));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        (void)status_set(
          status, STATUS_BAD_REPLY, "kms-bad-reply", "%s: the answer is not HTTP", request->host);
        return (status_hint(status, "another kind of server may be at this port"));
    case CURLE_FAILED_INIT:
    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
        return (status_set(status, STATUS_INTERNAL, "kms-curl", "libcurl: %s", detail));
    default:
        return (network_error(status, request, detail,
          "the connection broke: look at the service, firewalls and proxy"));
    }
}

int
http_send(HTTP_CLIENT *client, const HTTP_REQUEST *request, const HTTP_PEM *pem, bool metadata,
  int64_t deadline, HTTP_EXCHANGE *exchange, STATUS *status)
{
    CURL *easy;
    CURLcode code;
    SIGPIPE_GUARD guard;
    char error[CURL_ERROR_SIZE] = "";
    int64_t left = clock_left(deadline);
    long http_code = 0;
    int ret = 0;

    if (left <= 0)
        return (network_error(status, request, "no time was left for a call",
          "timeout is the limit of one call, its retries and its token included"));
    if ((easy = curl_easy_init()) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a call"));
    if (!set_common(easy, client, left > 600000 ? 600000L : (long)left, exchange, error) ||
        !set_tls(easy, pem) || !set_route(easy, client->options, request->host, metadata) ||
        !set_request(easy, request)) {
        curl_easy_cleanup(easy);
        return (status_set(
          status, STATUS_INTERNAL, "kms-curl", "libcurl does not take what this program needs"));
    }
    sigpipe_block(&guard);
    code = curl_easy_perform(easy);
    sigpipe_restore(&guard);
    if (code != CURLE_OK)
        ret = explain(easy, code, request, exchange, error, status);
    else if (exchange->body == NULL && secret_new(1, &exchange->body, status) != 0)
        ret = (int)status->status_class;
    else {
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http_code);
        exchange->reply.code = (int)http_code;
        exchange->reply.body = secret_bytes(exchange->body);
        exchange->reply.body_len = exchange->body_len;
        exchange->reply.headers = exchange->headers == NULL ? "" : exchange->headers;
    }
    curl_easy_cleanup(easy);
    return (ret);
}
