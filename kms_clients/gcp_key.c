/*
 * kms_clients/gcp_key.c -- See gcp_key.h.
 *
 * The limits are Google's: a key ring and a key have 1 to 63 of their characters. A project id may
 * carry a domain ("example.com:name").
 */
#include "kms_clients/gcp_key.h"

#include <stddef.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define PROJECT_AT 9 /* behind "projects/" */

typedef struct {
    const char *word; /* stands before the part */
    const char *first;
    const char *rest;
    size_t max;
} PART;

static const PART parts[] = {{"projects/", LOWER DIGITS, LOWER DIGITS ".:-", 128},
  {"/locations/", LOWER, LOWER DIGITS "-", 63},
  {"/keyRings/", LOWER UPPER DIGITS "_-", LOWER UPPER DIGITS "_-", 63},
  {"/cryptoKeys/", LOWER UPPER DIGITS "_-", LOWER UPPER DIGITS "_-", 63},
  {"/cryptoKeyVersions/", "123456789", DIGITS, 18}};

#define PART_COUNT (sizeof(parts) / sizeof(parts[0]))

int
gcp_key_check(const char *name, bool versioned, STATUS *status)
{
    const char *p = name;
    size_t count = versioned ? PART_COUNT : PART_COUNT - 1, i, len, word_len;

    for (i = 0; i < count; i++) {
        word_len = strlen(parts[i].word);
        if (strncmp(p, parts[i].word, word_len) != 0)
            goto bad;
        p += word_len;
        len = strspn(p, parts[i].rest);
        if (len == 0 || len > parts[i].max || strspn(p, parts[i].first) == 0)
            goto bad;
        p += len;
    }
    if (*p == '\0' && strstr(name, "..") == NULL)
        return (0);

bad:
    return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
      "\"%.300s\" is not projects/P/locations/L/keyRings/R/cryptoKeys/K%s", name,
      versioned ? "/cryptoKeyVersions/N" : ""));
}

bool
gcp_key_covers(const char *key, const char *name)
{
    const char *a = key + PROJECT_AT, *b = name + PROJECT_AT;
    size_t a_len = strcspn(a, "/"), b_len = strcspn(b, "/"), rest_len;
    bool a_number = strspn(a, DIGITS) == a_len, b_number = strspn(b, DIGITS) == b_len;

    if (a_number == b_number && (a_len != b_len || strncmp(a, b, a_len) != 0))
        return (false);
    rest_len = strlen(a + a_len);
    return (strncmp(a + a_len, b + b_len, rest_len) == 0 &&
            (b[b_len + rest_len] == '\0' || b[b_len + rest_len] == '/'));
}

const char *
gcp_key_version(const char *name)
{
    return (strrchr(name, '/') + 1);
}
