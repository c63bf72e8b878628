/*
 * test/kms_clients/test_http.c -- The pure parts of the transport: URLs, replies, requests. What goes over a
 * network is tested by test/kms_peers/test_transport.py.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/http_private.h"

#include <stdlib.h>
#include <string.h>

static void
test_hosts(void)
{
    static const struct {
        const char *url, *host;
    } good[] = {{"https://Vault.Example:8200/path/", "vault.example"},
      {"https://192.0.2.1", "192.0.2.1"}, {"https://[2001:DB8::1]:8200", "2001:db8::1"},
      {"http://localhost:1", "localhost"}, {"http://127.9.9.9", "127.9.9.9"},
      {"http://[::1]:8200", "::1"}};
    static const char *const bad[] = {"", "vault", "vault:8200", "//vault", "ftp://vault",
      "file:///etc/passwd", "https://", "https://user@vault", "https://user:pw@vault",
      "https://vault?x", "https://vault#x", "https://va ult", "https://vault\n", "http://vault",
      "http://128.0.0.1", "http://127.0.0.1.example", "http://127.0.0.1@vault", "http://[::2]",
      "http://169.254.169.254", "https:\\\\vault"};
    char host[64];
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_EQUAL(http_url_host(good[i].url, host, sizeof(host), &s), 0);
        CU_ASSERT_STRING_EQUAL(host, good[i].host);
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CU_ASSERT_EQUAL(http_url_host(bad[i], host, sizeof(host), &s), STATUS_CONFIG);
        CU_ASSERT_PTR_NULL(strstr(s.message, "pw"));
    }
    CU_ASSERT_EQUAL(http_url_host("https://vault.example", host, 13, &s), STATUS_CONFIG);
}

static void
test_percent(void)
{
    char text[32];

    CU_ASSERT(http_percent_encode("aZ9-._~", false, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "aZ9-._~");
    CU_ASSERT(http_percent_encode("a/b c\xc3\xa9%", false, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "a%2Fb%20c%C3%A9%25");
    CU_ASSERT(http_percent_encode("a/b", true, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "a/b");
    CU_ASSERT(
      http_percent_encode("ab", false, text, 3) && !http_percent_encode("abc", false, text, 3));
    CU_ASSERT(
      http_percent_encode("/", false, text, 4) && !http_percent_encode("/", false, text, 3));
}

static void
test_headers(void)
{
    const HTTP_REPLY reply = {.code = 200,
      .headers = "HTTP/1.1 200 OK\r\nX-Id:  one\x01two \t\r\nX-Idle: no\r\nEmpty:\r\nx-id2: a\r\n"
                 "X-ID2: last\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"};
    const HTTP_REPLY none = {.code = 200, .headers = ""};
    char value[16];
    int64_t seconds;

    CU_ASSERT(http_reply_header(&reply, "x-id", value, sizeof(value)));
    CU_ASSERT_STRING_EQUAL(value, "one?two");
    CU_ASSERT(http_reply_header(&reply, "X-Id2", value, sizeof(value)));
    CU_ASSERT_STRING_EQUAL(value, "last");
    CU_ASSERT(http_reply_header(&reply, "empty", value, sizeof(value)));
    CU_ASSERT_STRING_EQUAL(value, "");
    CU_ASSERT(!http_reply_header(&reply, "Id", value, sizeof(value)));
    CU_ASSERT(
      !http_reply_header(&reply, "X-Id", value, 7) && http_reply_header(&reply, "X-Id", value, 8));
    CU_ASSERT(http_reply_date(&reply, &seconds) && seconds == 784111777);
    CU_ASSERT(!http_reply_date(&none, &seconds));
}

static void
test_unclear(void)
{
    HTTP_REPLY reply = {.headers = ""};
    STATUS s;
    int code;

    for (code = 100; code < 600; code++) {
        reply.code = code;
        CU_ASSERT_EQUAL(http_reply_unclear(&reply, &s),
          code == 429 || code >= 500 ? STATUS_UNAVAILABLE : STATUS_BAD_REPLY);
    }
}

static void
test_requests(void)
{
    HTTP_REQUEST request;
    SECRET *secret;
    STATUS s;
    int i, ret = 0;

    memset(&request, 0, sizeof(request));
    CU_ASSERT_EQUAL(http_request_method(&request, "get", &s), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(http_request_method(&request, "POST X", &s), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(http_request_url(&request, &s, "https://vault/%s", "a b"), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(http_request_url(&request, &s, "https://vault/%5000d", 1), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(http_request_header(&request, "A", "b\r\nEvil: 1", &s), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(http_request_header(&request, "A b", "c", &s), STATUS_INTERNAL);
    CU_ASSERT_EQUAL_FATAL(secret_new_copy("tok\nen", 6, &secret, &s), 0);
    CU_ASSERT_EQUAL(
      http_request_header_secret(&request, "T", "Bearer ", secret, &s), STATUS_INTERNAL);
    CU_ASSERT_PTR_NULL(strstr(s.message, "tok"));
    memcpy(secret_data(secret), "tokken", 6);
    CU_ASSERT_EQUAL(http_request_header_secret(&request, "T", "Bearer ", secret, &s), 0);
    CU_ASSERT_STRING_EQUAL(request.headers[0].data, "T: Bearer tokken");
    secret_free(secret);
    for (i = 0; i < HTTP_HEADERS_MAX && ret == 0; i++)
        ret = http_request_header(&request, "H", "v", &s);
    CU_ASSERT(ret == STATUS_INTERNAL && i == HTTP_HEADERS_MAX);
    http_request_release(&request);
}

/* Who may be called in clear: loopback always, the fixed addresses by calls that are marked. */
static void
test_clear(void)
{
    static const char *const metadata[] = {"http://169.254.169.254/x", "http://169.254.170.2/x",
      "http://169.254.170.23/x", "http://[fd00:ec2::254]/x", "http://metadata.google.internal/x",
      "http://[fd20:ce::254]/x"};
    HTTP_REQUEST request;
    STATUS s;
    size_t i;

    memset(&request, 0, sizeof(request));
    for (i = 0; i < sizeof(metadata) / sizeof(metadata[0]); i++) {
        CU_ASSERT_EQUAL(http_request_url(&request, &s, "%s", metadata[i]), 0);
        CU_ASSERT_EQUAL(http_request_complete(&request, false, &s), STATUS_REFUSED);
        CU_ASSERT_EQUAL(http_request_complete(&request, true, &s), 0);
        http_request_release(&request);
    }
    CU_ASSERT_EQUAL(http_request_url(&request, &s, "http://169.254.169.253/"), 0);
    CU_ASSERT_EQUAL(http_request_complete(&request, true, &s), STATUS_REFUSED);
    CU_ASSERT_EQUAL(http_request_url(&request, &s, "http://127.0.0.1:8080/"), 0);
    CU_ASSERT_EQUAL(http_request_complete(&request, true, &s), 0);
    http_request_release(&request);
}

const TEST http_tests[] = {{"hosts", test_hosts}, {"percent", test_percent},
  {"headers", test_headers}, {"unclear", test_unclear}, {"requests", test_requests},
  {"clear", test_clear}, {NULL, NULL}};
