/*
 * kms_clients/azure_key.c -- Identifiers of keys in vaults. See azure_reply.h.
 *
 * A keystore may come from an attacker, and a token follows a key's URL: what is not allowed here by
 * name is refused.
 */
#include "kms_clients/azure_reply.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Copy what consists of the allowed characters; 0 when it is empty or longer than fits. */
static size_t
take(const char *text, const char *allowed, char *out, size_t size)
{
    size_t len = strspn(text, allowed);

    if (len == 0 || len >= size)
        return (0);
    memcpy(out, text, len);
    out[len] = '\0';
    return (len);
}

static bool
good_host(const char *host)
{
    const char *label = host;
    size_t len;

    for (;; label += len + 1) {
        len = strcspn(label, ".");
        if (len == 0 || len > 63 || label[0] == '-' || label[len - 1] == '-')
            return (false);
        if (label[len] == '\0')
            return (true);
    }
}

static bool
loopback(const char *host)
{
    size_t len = strspn(host, DIGITS ".");

    return (strcmp(host, "localhost") == 0 || (strncmp(host, "127.", 4) == 0 && host[len] == '\0'));
}

static void
lower(char *text)
{
    for (; *text != '\0'; text++)
        if (*text >= 'A' && *text <= 'Z')
            *text = (char)(*text - 'A' + 'a');
}

bool
azure_key_parse(const char *url, AZURE_KEY *key)
{
    const char *p = url;
    char port[6] = "";
    bool plain;
    size_t len;

    memset(key, 0, sizeof(*key));
    plain = strncmp(p, "http://", 7) == 0;
    if (!plain && strncmp(p, "https://", 8) != 0)
        return (false);
    p += plain ? 7 : 8;
    if ((len = take(p, LETTERS DIGITS "-.", key->host, sizeof(key->host))) == 0)
        return (false);
    lower(key->host);
    if (!good_host(key->host) || (plain && !loopback(key->host)))
        return (false);
    p += len;
    if (*p == ':') {
        if ((len = take(p + 1, DIGITS, port, sizeof(port))) == 0 || port[0] == '0')
            return (false);
        p += 1 + len;
        if (strcmp(port, plain ? "80" : "443") == 0)
            port[0] = '\0';
    }
    if (strncmp(p, "/keys/", 6) != 0 ||
        (len = take(p + 6, LETTERS DIGITS "-", key->name, sizeof(key->name))) == 0)
        return (false);
    p += 6 + len;
    if (*p == '/') {
        if ((len = take(p + 1, LETTERS DIGITS, key->version, sizeof(key->version))) == 0)
            return (false);
        p += 1 + len;
    }
    if (*p != '\0')
        return (false);
    (void)snprintf(key->vault, sizeof(key->vault), "http%s://%s%s%s", plain ? "" : "s", key->host,
      port[0] == '\0' ? "" : ":", port);
    return (true);
}

bool
azure_key_same(const AZURE_KEY *a, const AZURE_KEY *b)
{
    return (strcmp(a->vault, b->vault) == 0 && strcasecmp(a->name, b->name) == 0);
}

bool
azure_host_in_suffix(const char *host, const char *suffix)
{
    size_t label = strcspn(host, ".");

    return (strcmp(host, suffix) == 0 ||
            (label > 0 && host[label] == '.' && strcmp(host + label + 1, suffix) == 0));
}
