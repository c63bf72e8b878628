/*
 * kms_clients/aws_call.c -- A signed call. See aws_call.h.
 */
#include "kms_clients/aws_call.h"

#include "common/clock.h"
#include "kms_clients/aws_arn.h"
#include "kms_clients/aws_sign.h"

#include <stdio.h>
#include <string.h>

/* Signatures are refused when they are five minutes off; less than a minute is not worth a second try. */
#define SKEW_SECONDS 60

typedef struct {
    AWS_WIRE *wire;
    AWS_CALL *call;
} ATTEMPT;

int64_t
aws_wire_now(const AWS_WIRE *wire)
{
    return ((wire->clock == NULL ? clock_unix_seconds() : wire->clock()) + wire->clock_offset);
}

/* Host and port of a URL, as they are sent and signed. */
static void
url_authority(const char *url, char *authority, size_t size)
{
    const char *start = strstr(url, "://");

    start = start == NULL ? url : start + 3;
    (void)snprintf(authority, size, "%.*s", (int)strcspn(start, "/"), start);
}

static int
sign_request(const ATTEMPT *attempt, const AWS_SIGN_HEADER *headers, size_t count,
  HTTP_REQUEST *request, STATUS *status)
{
    const AWS_CREDENTIALS *credentials = attempt->call->credentials;
    AWS_SIGNATURE signature;
    AWS_SIGN_REQUEST to_sign = {.method = "POST",
      .path = "/",
      .query = "",
      .headers = headers,
      .header_count = count,
      .body = secret_bytes(attempt->call->body),
      .body_len = secret_len(attempt->call->body),
      .region = attempt->wire->region,
      .service = attempt->call->service,
      .time = aws_wire_now(attempt->wire),
      .access_key_id = credentials->access_key_id,
      .secret_access_key = credentials->secret_access_key,
      .session_token = credentials->session_token};

    if (aws_sign(&to_sign, &signature, status) != 0 ||
        http_request_header(request, "X-Amz-Date", signature.date, status) != 0 ||
        http_request_header(request, "Authorization", signature.authorization, status) != 0)
        return ((int)status->status_class);
    if (credentials->session_token == NULL)
        return (0);
    return (http_request_header_secret(
      request, "X-Amz-Security-Token", NULL, credentials->session_token, status));
}

static int
build(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const ATTEMPT *attempt = context;
    const AWS_CALL *call = attempt->call;
    char authority[AWS_URL_SIZE];
    AWS_SIGN_HEADER headers[3];
    size_t count = 0, i;
    SECRET *body;

    url_authority(call->url, authority, sizeof(authority));
    headers[count].name = "Host";
    headers[count++].value = authority;
    headers[count].name = "Content-Type";
    headers[count++].value = call->content_type;
    if (call->target != NULL) {
        headers[count].name = "X-Amz-Target";
        headers[count++].value = call->target;
    }
    if (http_request_method(request, "POST", status) != 0 ||
        http_request_url(request, status, "%s/", call->url) != 0)
        return ((int)status->status_class);
    for (i = 0; i < count; i++)
        if (http_request_header(request, headers[i].name, headers[i].value, status) != 0)
            return ((int)status->status_class);
    if (call->credentials != NULL && sign_request(attempt, headers, count, request, status) != 0)
        return ((int)status->status_class);
    if (secret_new_copy(secret_bytes(call->body), secret_len(call->body), &body, status) != 0)
        return ((int)status->status_class);
    return (http_request_body(request, body, status));
}

static int
parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    AWS_CALL *call = ((ATTEMPT *)context)->call;

    memset(&call->error, 0, sizeof(call->error));
    if (reply->code == 200)
        return (call->parse(call->context, reply, status));
    return (aws_reply_error(reply, &call->error, status));
}

/* A clock that is wrong by an hour must not keep a database closed: the server says what time it is. */
static bool
mend(void *context, const HTTP_REPLY *reply, const STATUS *status)
{
    ATTEMPT *attempt = context;
    AWS_WIRE *wire = attempt->wire;
    int64_t server, ahead;

    if (status->status_class != STATUS_UNAUTHENTICATED || reply == NULL ||
        !aws_error_is_skew(&attempt->call->error) || !http_reply_date(reply, &server))
        return (false);
    ahead = server - aws_wire_now(wire);
    if (ahead > -SKEW_SECONDS && ahead < SKEW_SECONDS)
        return (false);
    wire->clock_offset += ahead;
    log_printf(wire->log, LOG_WARNING,
      "this machine's clock differs from AWS's by %lld seconds; requests are signed with AWS's "
      "time",
      (long long)wire->clock_offset);
    return (true);
}

int
aws_call(AWS_WIRE *wire, AWS_CALL *call, int64_t deadline, STATUS *status)
{
    ATTEMPT attempt = {wire, call};
    HTTP_CALL http = {
      .operation = call->operation, .build = build, .parse = parse, .mend = mend, .retry = true};

    return (http_client_call(wire->http, deadline, &http, &attempt, status));
}

int
aws_url_make(const char *endpoint, const char *service, const char *region, bool fips, char *url,
  size_t size, STATUS *status)
{
    char host[AWS_HOST_SIZE], name[AWS_URL_SIZE];
    size_t len;
    int printed;

    if (endpoint == NULL) {
        if (!aws_service_host(service, region, fips, host, sizeof(host)))
            return (status_set(
              status, STATUS_CONFIG, "kms-aws-region", "no host for the region %s", region));
        endpoint = host;
    }
    printed =
      snprintf(url, size, "%s%s", strstr(endpoint, "://") == NULL ? "https://" : "", endpoint);
    if (printed < 0 || (size_t)printed >= size)
        return (status_set(status, STATUS_CONFIG, "kms-aws-endpoint",
          "the endpoint is longer than %zu bytes", size));
    len = (size_t)printed;
    if (url[len - 1] == '/')
        url[len - 1] = '\0';
    if (http_url_host(url, name, sizeof(name), status) != 0)
        return ((int)status->status_class);
    if (strchr(strstr(url, "://") + 3, '/') != NULL)
        return (status_set(
          status, STATUS_CONFIG, "kms-aws-endpoint", "%s has a path, which none of AWS has", url));
    return (0);
}
