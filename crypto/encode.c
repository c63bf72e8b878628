/*
 * crypto/encode.c -- base64 and hexadecimal. See encode.h.
 *
 * Keys pass through here, so characters are mapped by arithmetic: no table, no branch on a value.
 */
#include "crypto/encode.h"

#include <string.h>

#define BAD 0x100U

/* in_range -- 0xff when low <= c <= high, else 0; all are bytes. */
static unsigned
in_range(unsigned c, unsigned low, unsigned high)
{
    return ((((low - 1 - c) & (c - high - 1)) >> 8) & 0xff);
}

static char
base64_char(unsigned v)
{
    return ((char)((in_range(v, 0, 25) & (v + 'A')) | (in_range(v, 26, 51) & (v - 26 + 'a')) |
                   (in_range(v, 52, 61) & (v - 52 + '0')) | (in_range(v, 62, 62) & '+') |
                   (in_range(v, 63, 63) & '/')));
}

/* base64_value -- The value of a character, with BAD set when it has none. */
static unsigned
base64_value(char ch)
{
    unsigned c = (unsigned char)ch, upper, lower, digit, plus, slash;

    upper = in_range(c, 'A', 'Z');
    lower = in_range(c, 'a', 'z');
    digit = in_range(c, '0', '9');
    plus = in_range(c, '+', '+');
    slash = in_range(c, '/', '/');
    return ((upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) |
            (plus & 62) | (slash & 63) | (~(upper | lower | digit | plus | slash) & 0xff) << 8);
}

static unsigned
hex_value(char ch)
{
    unsigned c = (unsigned char)ch, digit, lower, upper;

    digit = in_range(c, '0', '9');
    lower = in_range(c, 'a', 'f');
    upper = in_range(c, 'A', 'F');
    return ((digit & (c - '0')) | (lower & (c - 'a' + 10)) | (upper & (c - 'A' + 10)) |
            (~(digit | lower | upper) & 0xff) << 8);
}

size_t
encode_base64(const uint8_t *data, size_t len, char *text)
{
    char *p = text;
    unsigned v;

    for (; len >= 3; data += 3, len -= 3) {
        v = (unsigned)data[0] << 16 | (unsigned)data[1] << 8 | data[2];
        *p++ = base64_char(v >> 18);
        *p++ = base64_char(v >> 12 & 63);
        *p++ = base64_char(v >> 6 & 63);
        *p++ = base64_char(v & 63);
    }
    if (len > 0) {
        v = (unsigned)data[0] << 16 | (len == 2 ? (unsigned)data[1] << 8 : 0);
        *p++ = base64_char(v >> 18);
        *p++ = base64_char(v >> 12 & 63);
        *p++ = len == 2 ? base64_char(v >> 6 & 63) : '=';
        *p++ = '=';
    }
    *p = '\0';
    return ((size_t)(p - text));
}

/*
 * decode_quad --
 *     Decode four characters of which the last "padding" are '='. The result has BAD set, shifted or
 *     not, when a character is wrong or when bits that carry nothing are set.
 */
static unsigned
decode_quad(const char *text, size_t padding, uint8_t *data)
{
    unsigned a, b, c, d, v;

    a = base64_value(text[0]);
    b = base64_value(text[1]);
    c = padding > 1 ? 0 : base64_value(text[2]);
    d = padding > 0 ? 0 : base64_value(text[3]);
    v = (a & 63) << 18 | (b & 63) << 12 | (c & 63) << 6 | (d & 63);
    data[0] = (uint8_t)(v >> 16);
    if (padding < 2)
        data[1] = (uint8_t)(v >> 8);
    if (padding < 1)
        data[2] = (uint8_t)v;
    /* The bytes that padding leaves out must be zero bits. */
    return (((a | b | c | d) & ~63U) | (padding > 0 ? v & ((1U << 8 * padding) - 1) : 0));
}

int
encode_base64_decode(const char *text, size_t text_len, uint8_t *data, size_t *lenp, STATUS *status)
{
    size_t i, out = 0, padding;
    unsigned bad = 0;

    *lenp = 0;
    for (i = 0; i + 4 <= text_len; i += 4, out += 3 - padding) {
        padding = 0;
        if (i + 4 == text_len && text[i + 3] == '=')
            padding = text[i + 2] == '=' ? 2 : 1;
        bad |= decode_quad(text + i, padding, data + out);
    }
    if (bad != 0 || i != text_len)
        return (status_set(status, STATUS_CORRUPT, "base64", "not valid base64"));
    *lenp = out;
    return (0);
}

int
encode_base64_decode_secret(const char *text, size_t text_len, SECRET **secretp, STATUS *status)
{
    SECRET *secret;
    size_t len;
    int ret;

    *secretp = NULL;
    while (
      text_len > 0 && strchr(" \t\r\n", text[text_len - 1]) != NULL && text[text_len - 1] != '\0')
        text_len--;
    if (text_len < 4)
        return (status_set(status, STATUS_CORRUPT, "base64", "not valid base64"));
    if ((ret = secret_new(text_len / 4 * 3, &secret, status)) != 0)
        return (ret);
    if ((ret = encode_base64_decode(text, text_len, secret_data(secret), &len, status)) != 0) {
        secret_free(secret);
        return (ret);
    }
    secret_truncate(secret, len);
    *secretp = secret;
    return (0);
}

size_t
encode_base64url(const uint8_t *data, size_t len, char *text)
{
    size_t i, text_len = encode_base64(data, len, text) - (3 - len % 3) % 3;
    unsigned c;

    for (i = 0; i < text_len; i++) {
        c = (unsigned char)text[i];
        text[i] =
          (char)((in_range(c, '+', '+') & ('+' ^ '-')) ^ (in_range(c, '/', '/') & ('/' ^ '_')) ^ c);
    }
    text[text_len] = '\0';
    return (text_len);
}

int
encode_base64url_decode_secret(const char *text, size_t text_len, SECRET **secretp, STATUS *status)
{
    SECRET *standard;
    size_t i;
    unsigned c;
    char *out;
    int ret;

    *secretp = NULL;
    while (text_len > 0 && text[text_len - 1] == '=')
        text_len--;
    if ((ret = secret_new(text_len + 3, &standard, status)) != 0)
        return (ret);
    out = (char *)secret_data(standard);
    for (i = 0; i < text_len; i++) {
        c = (unsigned char)text[i];
        /* '+' and '/' become '!': they are no base64url. */
        out[i] =
          (char)((in_range(c, '-', '-') & ('-' ^ '+')) ^ (in_range(c, '_', '_') & ('_' ^ '/')) ^
                 (in_range(c, '+', '+') & ('+' ^ '!')) ^ (in_range(c, '/', '/') & ('/' ^ '!')) ^ c);
    }
    while (i % 4 != 0)
        out[i++] = '=';
    ret = encode_base64_decode_secret(out, i, secretp, status);
    secret_free(standard);
    return (ret);
}

void
encode_hex(const uint8_t *data, size_t len, char *text)
{
    size_t i;
    unsigned high, low;

    for (i = 0; i < len; i++) {
        high = data[i] >> 4;
        low = data[i] & 15;
        text[2 * i] = (char)(high + '0' + (in_range(high, 10, 15) & ('a' - '0' - 10)));
        text[2 * i + 1] = (char)(low + '0' + (in_range(low, 10, 15) & ('a' - '0' - 10)));
    }
    text[2 * len] = '\0';
}

int
encode_hex_decode(const char *text, size_t text_len, uint8_t *data, STATUS *status)
{
    size_t i;
    unsigned bad = text_len % 2, high, low;

    for (i = 0; i + 1 < text_len; i += 2) {
        high = hex_value(text[i]);
        low = hex_value(text[i + 1]);
        bad |= (high | low) & ~15U;
        data[i / 2] = (uint8_t)((high & 15) << 4 | (low & 15));
    }
    if (bad != 0)
        return (status_set(status, STATUS_CORRUPT, "hex", "not valid hexadecimal"));
    return (0);
}
