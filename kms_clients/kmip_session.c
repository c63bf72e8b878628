/*
 * kms_clients/kmip_session.c -- See kmip_session.h.
 */
#include "kms_clients/kmip_session.h"

#include "common/clock.h"
#include "crypto/random.h"
#include "kms_clients/tls_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 255
#define PAUSE_FIRST_MS 100
#define PAUSE_MAX_MS 2000

typedef struct {
    char host[HOST_MAX + 1];
    int port;
    int version; /* agreed on; 0: not yet */
} SERVER;

struct kmip_session {
    KMIP_SESSION_OPTIONS options;
    SERVER servers[KMIP_SERVERS_MAX];
    size_t count;
    size_t current;     /* that answered last */
    TLS_STREAM *stream; /* to current, or NULL */
};

/* "host", "host:port", "[address]", "[address]:port". */
static bool
parse_server(const char *text, SERVER *server)
{
    static const char taken[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    const char *start = text, *rest;
    size_t len;
    char *end;
    long port = KMIP_PORT;

    if (text[0] == '[') {
        start++;
        len = strspn(start, "0123456789abcdefABCDEF:.");
        if (start[len] != ']' || memchr(start, ':', len) == NULL)
            return (false);
        rest = start + len + 1;
    } else {
        len = strspn(start, taken);
        rest = start + len;
    }
    if (len == 0 || len > HOST_MAX || start[0] == '-')
        return (false);
    if (rest[0] == ':') {
        if (rest[1] < '0' || rest[1] > '9')
            return (false);
        port = strtol(rest + 1, &end, 10);
        rest = end;
    }
    if (rest[0] != '\0' || port < 1 || port > 65535)
        return (false);
    memcpy(server->host, start, len);
    server->host[len] = '\0';
    server->port = (int)port;
    return (true);
}

int
kmip_session_new(
  KMIP_SESSION_OPTIONS *options, const CONFIG_NODE *node, KMIP_SESSION **sessionp, STATUS *status)
{
    KMIP_SESSION *session = calloc(1, sizeof(*session));
    KMIP_SESSION unmade = {.options = *options};
    size_t i;

    *sessionp = NULL;
    options->authorities = options->certificate = options->key = options->password = NULL;
    if (session == NULL) {
        secret_free(unmade.options.authorities);
        secret_free(unmade.options.certificate);
        secret_free(unmade.options.key);
        secret_free(unmade.options.password);
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a KMIP client"));
    }
    session->options = unmade.options;
    if (session->options.servers->count < 1 || session->options.servers->count > KMIP_SERVERS_MAX) {
        (void)config_error(node, status, "kms-kmip-server",
          "servers: %zu were given, 1 to %d are taken", session->options.servers->count,
          KMIP_SERVERS_MAX);
        goto err;
    }
    for (i = 0; i < session->options.servers->count; i++)
        if (!parse_server(session->options.servers->items[i], &session->servers[i])) {
            (void)config_error(node, status, "kms-kmip-server",
              "\"%.300s\" is no server: write host, host:port or [address]:port",
              session->options.servers->items[i]);
            goto err;
        }
    session->count = session->options.servers->count;
    *sessionp = session;
    return (0);

err:
    kmip_session_free(session);
    return ((int)status->status_class);
}

void
kmip_session_free(KMIP_SESSION *session)
{
    if (session == NULL)
        return;
    tls_stream_close(session->stream);
    secret_free(session->options.authorities);
    secret_free(session->options.certificate);
    secret_free(session->options.key);
    secret_free(session->options.password);
    free(session);
}

static void
disconnect(KMIP_SESSION *session)
{
    tls_stream_close(session->stream);
    session->stream = NULL;
}

/* Send a message and read the answer's bytes. */
static int
exchange(
  KMIP_SESSION *session, int64_t deadline, const SECRET *message, SECRET **answerp, STATUS *status)
{
    SECRET *answer = NULL;
    uint8_t header[KMIP_TTLV_HEADER_LEN];
    size_t len;

    *answerp = NULL;
    if (tls_stream_write(
          session->stream, deadline, secret_bytes(message), secret_len(message), status) != 0 ||
        tls_stream_read(session->stream, deadline, header, sizeof(header), status) != 0 ||
        kmip_ttlv_length(header, KMIP_RESPONSE_MESSAGE, &len, status) != 0 ||
        secret_new(len, &answer, status) != 0)
        goto err;
    memcpy(secret_data(answer), header, sizeof(header));
    if (tls_stream_read(session->stream, deadline, secret_data(answer) + sizeof(header),
          len - sizeof(header), status) != 0)
        goto err;
    *answerp = answer;
    return (0);

err:
    secret_free(answer);
    disconnect(session);
    return ((int)status->status_class);
}

static int
send_call(KMIP_SESSION *session, int64_t deadline, int version, const KMIP_CALL *call,
  void *context, STATUS *status)
{
    const KMIP_HEADER header = {version, session->options.username, session->options.password};
    KMIP_RESPONSE response;
    SECRET *message = NULL, *answer = NULL;
    int ret;

    if ((ret = call->build(context, &header, &message, status)) != 0 ||
        (ret = exchange(session, deadline, message, &answer, status)) != 0)
        goto done;
    if ((ret = kmip_response_parse(secret_bytes(answer), secret_len(answer), &response, status)) !=
        0) {
        disconnect(session); /* where the next answer starts is not known any more */
        goto done;
    }
    ret = call->parse(context, &response, status);

done:
    secret_free(message);
    secret_free(answer);
    return (ret);
}

/* --- the version */

static int
build_discover(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status)
{
    (void)context;
    return (kmip_request_discover(header, messagep, status));
}

static int
parse_discover(void *context, const KMIP_RESPONSE *response, STATUS *status)
{
    const KMIP_RESULT *result;
    int *versionp = context;

    if (kmip_response_result(response, 0, KMIP_DISCOVER_VERSIONS, &result, status) != 0)
        return ((int)status->status_class);
    *versionp = kmip_payload_versions(result, KMIP_VERSION_1_2, KMIP_VERSION_2_1);
    if (*versionp != 0)
        return (0);
    (void)status_set(status, STATUS_CONFIG, "kms-kmip-version",
      "the server speaks no version of KMIP from 1.2 to 2.1");
    return (status_hint(status, "upgrade the key server, or enable such a version there"));
}

/* A server need not understand a message of another version than its own: ask in the oldest and, where that
 * was refused, in the newest. */
static int
agree(KMIP_SESSION *session, int64_t deadline, SERVER *server, STATUS *status)
{
    static const KMIP_CALL discover = {build_discover, parse_discover, true};
    STATUS first;
    int version = 0;

    if (session->options.version != 0)
        server->version = session->options.version;
    if (server->version != 0)
        return (0);
    if (send_call(session, deadline, KMIP_VERSION_1_2, &discover, &version, status) != 0) {
        if (session->stream == NULL || status->status_class == STATUS_UNAUTHENTICATED ||
            status->status_class == STATUS_UNAVAILABLE || status->status_class == STATUS_NO_MEMORY)
            return ((int)status->status_class);
        first = *status;
        if (send_call(session, deadline, KMIP_VERSION_2_1, &discover, &version, status) != 0) {
            if (status->status_class != STATUS_UNAVAILABLE)
                *status = first;
            return ((int)status->status_class);
        }
    }
    server->version = version;
    return (0);
}

/* --- attempts */

static int
connect_to(KMIP_SESSION *session, int64_t deadline, const SERVER *server, STATUS *status)
{
    const TLS_TARGET target = {.host = server->host,
      .port = server->port,
      .server_name = session->options.server_name,
      .authorities = session->options.authorities,
      .certificate = session->options.certificate,
      .key = session->options.key,
      .proxy = session->options.proxy,
      .connect_timeout = session->options.connect_timeout};

    return (tls_stream_open(&target, deadline, &session->stream, status));
}

static int
attempt(KMIP_SESSION *session, size_t n, int64_t deadline, const KMIP_CALL *call, void *context,
  STATUS *status)
{
    SERVER *server = &session->servers[n];
    int64_t start = clock_ms();
    bool kept;
    int ret;

    if (n != session->current)
        disconnect(session);
    session->current = n;
    kept = session->stream != NULL;
    for (;;) {
        if (session->stream == NULL && (ret = connect_to(session, deadline, server, status)) != 0)
            break;
        if ((ret = agree(session, deadline, server, status)) == 0)
            ret = send_call(session, deadline, server->version, call, context, status);
        /* A server may have closed a connection that was idle. */
        if (ret == STATUS_UNAVAILABLE && kept && session->stream == NULL && call->repeat &&
            clock_left(deadline) > 0) {
            kept = false;
            continue;
        }
        break;
    }
    if (ret != 0) {
        if (ret == STATUS_UNAVAILABLE || ret == STATUS_BAD_REPLY)
            server->version = 0; /* another server may answer there tomorrow */
        (void)status_add(status, "KMIP server %s:%d, after %lld ms", server->host, server->port,
          (long long)(clock_ms() - start));
    }
    return (ret);
}

static void
pause_before(int round, int64_t deadline)
{
    STATUS ignored;
    uint16_t noise = 0;
    int64_t ms = PAUSE_FIRST_MS, left = clock_left(deadline);

    status_clear(&ignored);
    while (round-- > 0 && ms < PAUSE_MAX_MS)
        ms *= 2;
    if (random_bytes(&noise, sizeof(noise), &ignored) != 0)
        noise = 0;
    ms =
      ms / 2 + noise % (ms / 2 + 1); /* half of it is chance, so that nodes do not call at once */
    clock_sleep(ms < left ? ms : left);
}

int
kmip_session_call(
  KMIP_SESSION *session, int64_t deadline, const KMIP_CALL *call, void *context, STATUS *status)
{
    size_t first = session->current, i;
    STATUS attempted;
    int64_t share;
    int ret = 0, round;
    bool mendable, tried = false;

    for (round = 0;; round++) {
        mendable = false;
        for (i = 0; i < session->count && (!tried || clock_left(deadline) > 0); i++) {
            /* One that hangs must leave time for the others. */
            share = clock_left(deadline) / (int64_t)(session->count - i);
            status_clear(&attempted);
            ret = attempt(session, (first + i) % session->count, clock_deadline(share), call,
              context, &attempted);
            if (ret == 0)
                return (0);
            tried = true;
            *status = attempted;
            if (ret != STATUS_UNAVAILABLE && ret != STATUS_BAD_REPLY)
                return (ret);
            if (ret == STATUS_UNAVAILABLE && strcmp(status->id, "kms-tls") != 0)
                mendable = true;
            if (!call->repeat) /* it may have been done */
                return (ret);
        }
        if (!mendable || clock_left(deadline) == 0)
            return ((int)status->status_class);
        pause_before(round, deadline);
        if (clock_left(deadline) == 0)
            return ((int)status->status_class);
    }
}
