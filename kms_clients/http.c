/*
 * kms_clients/http.c -- A client, and a call with its attempts. See http.h.
 */
#include "kms_clients/http_private.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "common/file.h"
#include "crypto/random.h"
#include "kms_clients/kms_client_provider.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PEM_MAX (64 * 1024)
#define AUTHORITIES_MAX (1024 * 1024)
#define BACK_OFF_FIRST_MS 100
#define BACK_OFF_MAX_MS 5000
#define NAME_CA "caFile"
#define NAME_CERTIFICATE "clientCertificate"
#define NAME_KEY "clientKey"

/* Certificates are public; their files have any mode. */
static int
read_public(const CONFIG_NODE *entry, const char *option, const char *path, size_t max,
  SECRET **pemp, STATUS *status)
{
    uint8_t *text;
    size_t len;
    int ret;

    *pemp = NULL;
    if (file_read(AT_FDCWD, path, max, false, NULL, &text, &len, status) != 0)
        return (kms_client_at_option(entry, option, status));
    if (strstr((const char *)text, "-----BEGIN CERTIFICATE-----") == NULL) {
        free(text);
        return (config_error(config_get(entry, option), status, "kms-pem",
          "%s: %s has no certificate in PEM", option, path));
    }
    ret = secret_new_copy(text, len, pemp, status);
    free(text);
    return (ret);
}

int
http_pem_read(const HTTP_OPTIONS *options, const CONFIG_NODE *entry, HTTP_PEM *pem, STATUS *status)
{
    memset(pem, 0, sizeof(*pem));
    if (options->ca_file != NULL && read_public(entry, NAME_CA, options->ca_file, AUTHORITIES_MAX,
                                      &pem->authorities, status) != 0)
        goto err;
    if (options->client_certificate == NULL) {
        if (options->client_key == NULL)
            return (0);
        (void)config_error(config_get(entry, NAME_KEY), status, "kms-client-key",
          "%s has no %s beside it", NAME_KEY, NAME_CERTIFICATE);
        goto err;
    }
    if (options->client_key == NULL) {
        if (kms_secret_file_read(entry, NAME_CERTIFICATE, options->client_certificate, PEM_MAX,
              &pem->certificate, status) != 0)
            goto err;
        return (0);
    }
    if (read_public(entry, NAME_CERTIFICATE, options->client_certificate, PEM_MAX,
          &pem->certificate, status) != 0 ||
        kms_secret_file_read(entry, NAME_KEY, options->client_key, PEM_MAX, &pem->key, status) != 0)
        goto err;
    return (0);

err:
    http_pem_release(pem);
    return ((int)status->status_class);
}

void
http_pem_release(HTTP_PEM *pem)
{
    secret_free(pem->authorities);
    secret_free(pem->certificate);
    secret_free(pem->key);
    memset(pem, 0, sizeof(*pem));
}

int
http_client_open(const HTTP_OPTIONS *options, const CONFIG_NODE *entry, const LOG *log,
  const char *request_id_header, HTTP_CLIENT **clientp, STATUS *status)
{
    HTTP_CLIENT *client = NULL;
    HTTP_PEM pem;

    *clientp = NULL;
    if (http_proxy_check(options, entry, status) != 0 ||
        http_pem_read(options, entry, &pem, status) != 0)
        return ((int)status->status_class);
    http_pem_release(&pem);
    if (http_send_setup(status) != 0)
        return ((int)status->status_class);
    if ((client = calloc(1, sizeof(*client))) == NULL ||
        (client->source = strdup(entry == NULL || entry->source == NULL ? "" : entry->source)) ==
          NULL ||
        (client->share = curl_share_init()) == NULL ||
        curl_share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_CONNECT) != CURLSHE_OK) {
        http_client_close(client);
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a connection"));
    }
    client->options = options;
    client->log = log;
    client->request_id_header = request_id_header;
    client->origin.kind = CONFIG_MAP;
    client->origin.source = client->source;
    *clientp = client;
    return (0);
}

void
http_client_close(HTTP_CLIENT *client)
{
    if (client == NULL)
        return;
    if (client->share != NULL)
        (void)curl_share_cleanup(client->share);
    free(client->source);
    free(client);
}

/* One attempt. *sentp, whether anything went out: only then is an error one of the service's. */
static int
attempt(HTTP_CLIENT *client, int64_t deadline, const HTTP_CALL *call, void *context,
  HTTP_EXCHANGE *exchange, char *host, bool *sentp, STATUS *status)
{
    HTTP_REQUEST request;
    HTTP_PEM pem;
    int ret;

    memset(&request, 0, sizeof(request));
    *sentp = false;
    if (http_pem_read(client->options, &client->origin, &pem, status) != 0)
        return ((int)status->status_class);
    if ((ret = call->build(context, &request, status)) != 0 ||
        (ret = http_request_complete(&request, call->metadata, status)) != 0)
        goto done;
    (void)snprintf(host, HTTP_HOST_MAX, "%s", request.host);
    *sentp = true;
    if ((ret = http_send(client, &request, &pem, call->metadata, deadline, exchange, status)) != 0)
        goto done;
    if (exchange->reply.code >= 300 && exchange->reply.code < 400)
        ret = http_reply_unclear(&exchange->reply, status);
    else
        ret = call->parse(context, &exchange->reply, status);
done:
    http_request_release(&request);
    http_pem_release(&pem);
    return (ret);
}

/* Half of the pause is by chance: many nodes that were refused at once do not come back at once. */
static int64_t
back_off(unsigned attempts)
{
    int64_t pause = BACK_OFF_FIRST_MS;
    uint16_t chance = 0;
    STATUS ignored;

    while (--attempts > 0 && pause < BACK_OFF_MAX_MS)
        pause *= 2;
    if (pause > BACK_OFF_MAX_MS)
        pause = BACK_OFF_MAX_MS;
    if (random_bytes(&chance, sizeof(chance), &ignored) != 0)
        chance = UINT16_MAX / 2;
    return (pause / 2 + pause / 2 * chance / UINT16_MAX);
}

/* Milliseconds that the service asks to wait, -1 when it does not. */
static int64_t
retry_after(const HTTP_REPLY *reply)
{
    char text[64];
    int64_t now, wait;
    time_t when;
    size_t len;

    if (reply->code == 0 || !http_reply_header(reply, "Retry-After", text, sizeof(text)))
        return (-1);
    len = strlen(text);
    if (len > 0 && len < 10 && strspn(text, "0123456789") == len)
        return ((int64_t)strtol(text, NULL, 10) * 1000);
    if ((when = curl_getdate(text, NULL)) == -1)
        return (-1);
    /* Against the server's clock where it tells it. */
    if (!http_reply_date(reply, &now))
        now = clock_unix_seconds();
    wait = ((int64_t)when - now) * 1000;
    return (wait < 0 ? 0 : wait);
}

/* Whether to try again, after the pause. */
static bool
may_retry(const HTTP_CALL *call, const HTTP_REPLY *reply, unsigned attempts, int64_t deadline,
  STATUS *status)
{
    int64_t pause = back_off(attempts), asked = retry_after(reply);

    if (!call->retry || status->status_class != STATUS_UNAVAILABLE ||
        strcmp(status->id, "kms-tls") == 0)
        return (false);
    if (asked > pause)
        pause = asked;
    if (pause >= clock_left(deadline)) {
        if (asked >= 0)
            (void)status_hint(status,
              "the service asks to wait %lld s, which is longer than this call may take",
              (long long)(asked + 999) / 1000);
        return (false);
    }
    return (cancel_sleep(pause));
}

/* What the service's own words do not say. */
static void
add_context(const HTTP_CLIENT *client, const HTTP_CALL *call, const HTTP_REPLY *reply,
  const char *host, int64_t started, unsigned attempts, STATUS *status)
{
    char id[128];

    (void)status_add(status, "%s at %s", call->operation, host);
    if (reply->code != 0)
        (void)status_add(status, "HTTP %d", reply->code);
    if (reply->code != 0 && client->request_id_header != NULL &&
        http_reply_header(reply, client->request_id_header, id, sizeof(id)) && id[0] != '\0')
        (void)status_add(status, "request id %s", id);
    (void)status_add(status, "after %lld ms", (long long)(clock_ms() - started));
    if (attempts > 1)
        (void)status_add(status, "%u attempts", attempts);
}

int
http_client_call(
  HTTP_CLIENT *client, int64_t deadline, const HTTP_CALL *call, void *context, STATUS *status)
{
    HTTP_EXCHANGE exchange;
    STATUS last;
    char host[HTTP_HOST_MAX] = "";
    int64_t started = clock_ms();
    unsigned attempts = 0;
    bool mended = false, again, sent;
    int ret;

    status_clear(&last);
    do {
        memset(&exchange, 0, sizeof(exchange));
        attempts++;
        again = false;
        ret = attempt(client, deadline, call, context, &exchange, host, &sent, status);
        if (ret != 0 && sent) {
            if (!mended && call->mend != NULL && exchange.reply.code != 0 &&
                clock_left(deadline) > 0)
                again = mended = call->mend(context, &exchange.reply, status);
            if (!again)
                again = may_retry(call, &exchange.reply, attempts, deadline, status);
            if (again)
                last = *status;
            else
                add_context(client, call, &exchange.reply, host, started, attempts, status);
        }
        http_exchange_release(&exchange);
    } while (again);
    if (ret == 0 && attempts > 1)
        log_printf(client->log, LOG_INFO, "%s at %s took %u attempts: %s", call->operation, host,
          attempts, last.message);
    return (ret);
}
