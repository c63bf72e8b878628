/*
 * kms_clients/http_url.c -- URLs: what they name, and whether anything may be sent there in clear. See
 * http.h. libcurl's own parser decides, so that no other host is checked than the one called.
 */
#include "kms_clients/http_private.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

bool
http_url_loopback(const char *host)
{
    uint8_t four[4], six[16];

    if (strcmp(host, "localhost") == 0)
        return (true);
    if (inet_pton(AF_INET, host, four) == 1)
        return (four[0] == 127);
    return (
      inet_pton(AF_INET6, host, six) == 1 && memcmp(six, &in6addr_loopback, sizeof(six)) == 0);
}

/* AWS (instance, ECS, EKS), Azure and Google; the addresses that their documents fix. */
bool
http_url_metadata(const char *host)
{
    static const char *const fixed[] = {"169.254.169.254", "169.254.170.2", "169.254.170.23",
      "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "metadata.google.internal"};
    uint8_t six[16], known[16];
    size_t i;
    bool is_six = inet_pton(AF_INET6, host, six) == 1;

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(host, fixed[i]) == 0 || (is_six && inet_pton(AF_INET6, fixed[i], known) == 1 &&
                                             memcmp(six, known, sizeof(six)) == 0))
            return (true);
    return (false);
}

/* Lower case and without brackets; false when it does not fit. */
static bool
copy_host(const char *from, char *host, size_t size)
{
    size_t i, len = strlen(from);

    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len == 0 || len >= size)
        return (false);
    for (i = 0; i < len; i++)
        host[i] = (char)tolower((unsigned char)from[i]);
    host[len] = '\0';
    return (true);
}

static bool
has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool has = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return (has);
}

static bool
split(const char *text, bool plain, bool *tlsp, char *host, size_t size)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *name = NULL;
    bool ok = false;

    if (url == NULL || strlen(text) >= HTTP_URL_MAX ||
        curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(url, CURLUPART_HOST, &name, 0) != CURLUE_OK)
        goto done;
    if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD) ||
        has_part(url, CURLUPART_OPTIONS) || has_part(url, CURLUPART_ZONEID))
        goto done;
    if (plain && strpbrk(text, "?#") != NULL)
        goto done;
    *tlsp = strcmp(scheme, "https") == 0;
    ok = (*tlsp || strcmp(scheme, "http") == 0) && copy_host(name, host, size);
done:
    curl_free(scheme);
    curl_free(name);
    curl_url_cleanup(url);
    return (ok);
}

bool
http_url_split(const char *url, bool *tlsp, char *host, size_t size)
{
    return (split(url, false, tlsp, host, size));
}

int
http_url_host(const char *url, char *host, size_t size, STATUS *status)
{
    bool tls;

    host[0] = '\0';
    if (strpbrk(url, " \t\r\n\\") != NULL || !split(url, true, &tls, host, size)) {
        host[0] = '\0';
        return (status_set(status, STATUS_CONFIG, "kms-endpoint",
          "the URL is not https://HOST[:PORT][/PATH], without a user, a query or a fragment"));
    }
    if (!tls && !http_url_loopback(host)) {
        (void)status_set(status, STATUS_CONFIG, "kms-endpoint-clear",
          "plain http to %s would send credentials in clear", host);
        return (status_hint(status, "use https; plain http is for loopback only"));
    }
    return (0);
}

bool
http_percent_encode(const char *value, bool keep_slash, char *text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t used = 0;
    unsigned char c;
    bool keep;

    if (size == 0)
        return (false);
    text[0] = '\0';
    for (; *value != '\0'; value++) {
        c = (unsigned char)*value;
        keep = (c < 0x80 && isalnum(c)) || strchr("-._~", c) != NULL || (keep_slash && c == '/');
        if (size - used <= (keep ? 1U : 3U)) {
            text[0] = '\0';
            return (false);
        }
        if (keep)
            text[used++] = (char)c;
        else {
            text[used++] = '%';
            text[used++] = digits[c >> 4];
            text[used++] = digits[c & 15];
        }
        text[used] = '\0';
    }
    return (true);
}

int
http_proxy_check(const HTTP_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
    const char *proxy = options->proxy;
    size_t i;

    if (proxy == NULL || strcmp(proxy, "none") == 0)
        return (0);
    for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncmp(proxy, schemes[i], strlen(schemes[i])) == 0 &&
            proxy[strlen(schemes[i])] != '\0' && strpbrk(proxy, "@?# \t\r\n") == NULL)
            return (0);
    (void)config_error(config_get(entry, "proxy"), status, "kms-proxy",
      "proxy: expected none or http://HOST:PORT, https, socks5 or socks5h, without a user");
    return (
      status_hint(status, "a proxy's user and password belong into the environment: https_proxy"));
}
