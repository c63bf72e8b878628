/*
 * kms_clients/aws_metadata.c -- The metadata services of AWS. See aws_metadata.h.
 *
 * IMDSv1 is not asked: an instance that permits it answers v2 as well.
 */
#include "kms_clients/aws_metadata.h"

#include "common/clock.h"
#include "kms_clients/aws_sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONTAINER_HOST "http://169.254.170.2"
#define INSTANCE_HOST "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define TOKEN_SECONDS "300" /* one use, but two calls */
#define INSTANCE_MS 3000    /* the address leads nowhere on other machines */
#define ROLE_MAX 128

/* One GET or PUT, and what its answer is for. */
typedef struct {
    const char *method;
    char url[HTTP_URL_MAX];
    const char *header_name; /* NULL: none */
    const SECRET *header;
    SECRET *answer; /* the body, with a NUL */
    int64_t date;   /* of the answer; 0: it has none */
    int code;
} EXCHANGE;

static int
build(void *context, HTTP_REQUEST *request, STATUS *status)
{
    const EXCHANGE *exchange = context;

    if (http_request_method(request, exchange->method, status) != 0 ||
        http_request_url(request, status, "%s", exchange->url) != 0)
        return ((int)status->status_class);
    if (strcmp(exchange->method, "PUT") == 0)
        return (http_request_header(
          request, "X-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS, status));
    if (exchange->header == NULL)
        return (0);
    return (
      http_request_header_secret(request, exchange->header_name, NULL, exchange->header, status));
}

static int
parse(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    EXCHANGE *exchange = context;

    exchange->code = reply->code;
    if (!http_reply_date(reply, &exchange->date))
        exchange->date = 0;
    if (reply->code != 200)
        return (http_reply_unclear(reply, status));
    secret_free(exchange->answer);
    if (secret_new(reply->body_len + 1, &exchange->answer, status) != 0)
        return ((int)status->status_class);
    if (reply->body_len > 0)
        memcpy(secret_data(exchange->answer), reply->body, reply->body_len);
    return (0);
}

static int
exchange_run(
  AWS_WIRE *wire, const char *operation, EXCHANGE *exchange, int64_t deadline, STATUS *status)
{
    const HTTP_CALL call = {
      .operation = operation, .build = build, .parse = parse, .retry = true, .metadata = true};

    return (http_client_call(wire->http, deadline, &call, exchange, status));
}

static int
read_answer(AWS_WIRE *wire, const EXCHANGE *exchange, const char *from,
  AWS_CREDENTIALS *credentials, STATUS *status)
{
    return (aws_credentials_read_json(credentials, from, secret_bytes(exchange->answer),
      secret_len(exchange->answer) - 1, exchange->date == 0 ? aws_wire_now(wire) : exchange->date,
      status));
}

/* --- containers */

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    return (value == NULL || value[0] == '\0' ? NULL : value);
}

bool
aws_container_configured(void)
{
    return (environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
            environment("AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL);
}

/* The token in the request's header must not go to just any host that the environment names. */
static bool
container_host(const char *url)
{
    static const char *const fixed[] = {
      "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "127.0.0.1", "[::1]"};
    const char *host = strstr(url, "://") + 3;
    size_t i, len = strcspn(host, "/?");

    if (*host == '[' && memchr(host, ']', len) != NULL)
        len = (size_t)((const char *)memchr(host, ']', len) - host) + 1;
    else
        len = strcspn(host, ":/?");
    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strlen(fixed[i]) == len && strncasecmp(host, fixed[i], len) == 0 &&
            strchr(":/?", host[len]) != NULL)
            return (true);
    return (false);
}

int
aws_container_url(const char *relative, const char *full, char *url, size_t size, STATUS *status)
{
    const char *given = relative == NULL ? full : relative;
    const char *c;
    int len;

    url[0] = '\0';
    for (c = given; *c != '\0'; c++)
        if (*c <= ' ' || *c > '~' || *c == '@' || *c == '#' || *c == '\\')
            return (status_set(status, STATUS_CONFIG, "kms-aws-container",
              "AWS_CONTAINER_CREDENTIALS_%s_URI has a character that no such URI has",
              relative == NULL ? "FULL" : "RELATIVE"));
    if (relative != NULL && relative[0] != '/')
        return (status_set(status, STATUS_CONFIG, "kms-aws-container",
          "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI does not begin with '/'"));
    if (relative == NULL &&
        ((strncmp(full, "http://", 7) != 0 && strncmp(full, "https://", 8) != 0) ||
          !container_host(full)))
        return (status_set(status, STATUS_CONFIG, "kms-aws-container",
          "AWS_CONTAINER_CREDENTIALS_FULL_URI names neither this machine nor one of the addresses "
          "169.254.170.2, 169.254.170.23 and [fd00:ec2::23]"));
    len = snprintf(url, size, "%s%s", relative == NULL ? "" : CONTAINER_HOST, given);
    if (len < 0 || (size_t)len >= size)
        return (status_set(status, STATUS_CONFIG, "kms-aws-container",
          "AWS_CONTAINER_CREDENTIALS_%s_URI is too long", relative == NULL ? "FULL" : "RELATIVE"));
    return (0);
}

int
aws_container_credentials(
  AWS_WIRE *wire, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status)
{
    const char *file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *text = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    EXCHANGE exchange = {.method = "GET", .header_name = "Authorization"};
    SECRET *token = NULL;
    int ret;

    if ((ret = aws_container_url(environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
           environment("AWS_CONTAINER_CREDENTIALS_FULL_URI"), exchange.url, sizeof(exchange.url),
           status)) != 0)
        return (ret);
    if (file != NULL)
        ret = aws_token_file_read(file, &token, status);
    else if (text != NULL)
        ret = secret_new_copy(text, strlen(text), &token, status);
    exchange.header = token;
    (void)snprintf(credentials->source, sizeof(credentials->source), "container");
    if (ret == 0 &&
        (ret = exchange_run(wire, "container credentials", &exchange, deadline, status)) == 0)
        ret =
          read_answer(wire, &exchange, "the container's credential service", credentials, status);
    secret_free(token);
    secret_free(exchange.answer);
    return (ret);
}

/* --- instances */

bool
aws_instance_disabled(void)
{
    const char *value = environment("AWS_EC2_METADATA_DISABLED");

    return (value != NULL && strcasecmp(value, "true") == 0);
}

static int
instance_base(char *base, size_t size, STATUS *status)
{
    const char *moved = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    size_t len;
    int printed = snprintf(base, size, "%s", moved == NULL ? INSTANCE_HOST : moved);

    if (printed <= 0 || (size_t)printed >= size)
        return (status_set(status, STATUS_CONFIG, "kms-aws-instance",
          "AWS_EC2_METADATA_SERVICE_ENDPOINT is too long"));
    len = (size_t)printed;
    if (base[len - 1] == '/')
        base[len - 1] = '\0';
    return (0);
}

/* The role's name: the first line of the answer. It ends in a URL. */
static bool
role_name(const SECRET *answer, char name[ROLE_MAX + 1])
{
    const char *text = (const char *)secret_bytes(answer);
    size_t len =
      strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-");

    if (len == 0 || len > ROLE_MAX || (text[len] != '\0' && text[len] != '\n' && text[len] != '\r'))
        return (false);
    memcpy(name, text, len);
    name[len] = '\0';
    return (true);
}

static int
no_role(const EXCHANGE *exchange, STATUS *status)
{
    if (exchange->code != 404)
        return ((int)status->status_class);
    (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-no-credentials",
      "this instance has no role, and there are no AWS credentials elsewhere");
    return (status_hint(status, "attach an instance profile whose role may use the key"));
}

int
aws_instance_credentials(
  AWS_WIRE *wire, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status)
{
    EXCHANGE put = {.method = "PUT"};
    EXCHANGE get = {.method = "GET", .header_name = "X-aws-ec2-metadata-token"};
    char base[AWS_URL_SIZE], role[ROLE_MAX + 1];
    size_t len;
    int ret;

    if (clock_left(deadline) > INSTANCE_MS)
        deadline = clock_deadline(INSTANCE_MS);
    if ((ret = instance_base(base, sizeof(base), status)) != 0)
        return (ret);
    (void)snprintf(put.url, sizeof(put.url), "%s/latest/api/token", base);
    if ((ret = exchange_run(wire, "instance metadata token", &put, deadline, status)) != 0)
        goto err;
    len = strlen((const char *)secret_bytes(put.answer));
    if (len == 0) {
        ret = status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "an empty metadata token");
        goto err;
    }
    secret_truncate(put.answer, len);
    get.header = put.answer;
    (void)snprintf(get.url, sizeof(get.url), "%s" ROLES, base);
    if ((ret = exchange_run(wire, "instance role", &get, deadline, status)) != 0) {
        ret = no_role(&get, status);
        goto err;
    }
    if (!role_name(get.answer, role)) {
        ret = status_set(status, STATUS_BAD_REPLY, "kms-bad-reply", "no name of a role");
        goto err;
    }
    (void)snprintf(get.url, sizeof(get.url), "%s" ROLES "%s", base, role);
    if ((ret = exchange_run(wire, "instance credentials", &get, deadline, status)) != 0)
        goto err;
    (void)snprintf(credentials->source, sizeof(credentials->source), "instance role %s", role);
    ret = read_answer(wire, &get, "the instance's metadata service", credentials, status);

err:
    secret_free(put.answer);
    secret_free(get.answer);
    return (ret);
}
