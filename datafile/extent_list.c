/*
 * datafile/extent_list.c -- Extent lists and the metadata in them. See extent_list.h.
 */
#include "datafile/extent_list.h"

#include <endian.h>
#include <string.h>

#define HEADERS_LEN 40
#define LIST_MAGIC 71002
#define LIST_VERSION_LIVE 1
#define PACKED_MAX 9 /* what the engine keeps free for the packed file size */

#define TEXT_ENCRYPTION "encryption="
#define TEXT_ENCRYPTED ",block_metadata_encrypted="
#define TEXT_METADATA ",block_metadata=["

bool
extent_list_unpack(const uint8_t **pp, const uint8_t *end, uint64_t *valuep)
{
    const uint8_t *p = *pp;
    uint64_t value;
    unsigned len;

    *valuep = 0;
    if (p >= end)
        return (false);
    switch (*p & 0xf0) {
    case 0x80:
    case 0x90:
    case 0xa0:
    case 0xb0: /* one byte: 0 to 63 */
        value = *p++ & 0x3f;
        break;
    case 0xc0:
    case 0xd0: /* two bytes: the next 8192 */
        if (end - p < 2)
            return (false);
        value = ((uint64_t)(p[0] & 0x1f) << 8 | p[1]) + 64;
        p += 2;
        break;
    case 0xe0: /* a length, then that many bytes: the rest */
        len = *p & 0x0f;
        if (len > 8 || (size_t)(end - p) < len + 1)
            return (false);
        for (value = 0, p++; len > 0; len--)
            value = value << 8 | *p++;
        value += 64 + 8192;
        break;
    default:
        return (false);
    }
    *valuep = value;
    *pp = p;
    return (true);
}

/* Move over text at *offsetp, if it is there. */
static bool
expect(const uint8_t *image, size_t end, size_t *offsetp, const char *text)
{
    size_t len = strlen(text);

    if (end - *offsetp < len || memcmp(image + *offsetp, text, len) != 0)
        return (false);
    *offsetp += len;
    return (true);
}

/*
 * The value of encryption= is written by the engine as the application gave it: find its end by its
 * parentheses, since it may hold commas.
 */
static size_t
value_end(const uint8_t *image, size_t offset, size_t end)
{
    int depth;
    bool quoted;

    for (depth = 0, quoted = false; offset < end; offset++) {
        if (image[offset] == '"')
            quoted = !quoted;
        if (quoted)
            continue;
        if (image[offset] == '(' || image[offset] == '[' || image[offset] == '{')
            depth++;
        else if (image[offset] == ')' || image[offset] == ']' || image[offset] == '}')
            depth--;
        else if (image[offset] == ',' && depth <= 0)
            break;
    }
    return (offset);
}

/* Split the metadata item [offset, end). Older engines wrote no metadata: then nothing is filled. */
static bool
parse_metadata(const uint8_t *image, size_t offset, size_t end, EXTENT_LIST *list)
{
    size_t value;

    if (offset == end)
        return (true);
    if (!expect(image, end, &offset, TEXT_ENCRYPTION))
        return (false);
    value = value_end(image, offset, end);
    list->encryption_offset = offset;
    list->encryption_length = value - offset;
    offset = value;
    if (!expect(image, end, &offset, TEXT_ENCRYPTED))
        return (false);
    if (expect(image, end, &offset, "true"))
        list->metadata_encrypted = true;
    else if (!expect(image, end, &offset, "false"))
        return (false);
    if (!expect(image, end, &offset, TEXT_METADATA) || offset >= end || image[end - 1] != ']')
        return (false);
    list->text_offset = offset;
    list->text_length = end - 1 - offset;
    return (true);
}

/* What follows the end pair of a list of version 1. */
static bool
parse_live(const uint8_t *image, size_t len, const uint8_t *p, EXTENT_LIST *list)
{
    const uint8_t *end, *t;
    uint64_t n;

    end = image + len;
    if (!extent_list_unpack(&p, end, &list->write_generation))
        return (false);
    if (end - p < PACKED_MAX)
        return (false);
    t = p;
    if (!extent_list_unpack(&t, p + PACKED_MAX, &list->file_size))
        return (false);
    p += PACKED_MAX;

    if (!extent_list_unpack(&p, end, &n) || n > (uint64_t)(end - p))
        return (false);
    if (!parse_metadata(image, (size_t)(p - image), (size_t)(p - image) + (size_t)n, list))
        return (false);
    p += n;

    if (!extent_list_unpack(&p, end, &n) || n > (uint64_t)(end - p))
        return (false);
    list->checkpoint_offset = (size_t)(p - image);
    list->checkpoint_length = (size_t)n;
    p += n;

    /* The checkpoint cookie: not needed, but it must be there. */
    return (extent_list_unpack(&p, end, &n) && n <= (uint64_t)(end - p));
}

int
extent_list_parse(const uint8_t *image, size_t len, EXTENT_LIST *listp, STATUS *status)
{
    const uint8_t *end, *p;
    uint64_t offset, size;

    memset(listp, 0, sizeof(*listp));
    if (len <= HEADERS_LEN)
        goto corrupt;
    p = image + HEADERS_LEN;
    end = image + len;
    if (!extent_list_unpack(&p, end, &offset) || !extent_list_unpack(&p, end, &size) ||
        offset != LIST_MAGIC || size != 0)
        goto corrupt;
    for (;;) {
        if (!extent_list_unpack(&p, end, &offset) || !extent_list_unpack(&p, end, &size))
            goto corrupt;
        if (offset == 0)
            break;
        listp->extents++;
        listp->extent_bytes += size;
    }
    if (size >= LIST_VERSION_LIVE) {
        listp->live = true;
        if (!parse_live(image, len, p, listp))
            goto corrupt;
    }
    return (0);

corrupt:
    memset(listp, 0, sizeof(*listp));
    return (status_set(status, STATUS_CORRUPT, "extent-list", "malformed extent list"));
}

static int
hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return (c - '0');
    if (c >= 'a' && c <= 'f')
        return (c - 'a' + 10);
    if (c >= 'A' && c <= 'F')
        return (c - 'A' + 10);
    return (-1);
}

int
extent_list_decode(const char *hex, size_t hex_length, uint8_t *out, const uint8_t **unitp,
  size_t *unit_lengthp, bool *cutp, STATUS *status)
{
    size_t i;
    uint32_t length;
    int high, low;

    *unitp = NULL;
    *unit_lengthp = 0;
    *cutp = false;
    if (hex_length % 2 != 0 || hex_length < 2 * sizeof(length))
        goto corrupt;
    for (i = 0; i < hex_length / 2; i++) {
        high = hex_digit(hex[2 * i]);
        low = hex_digit(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            goto corrupt;
        out[i] = (uint8_t)(high << 4 | low);
    }
    memcpy(&length, out, sizeof(length));
    *cutp = le32toh(length) == hex_length / 2 + 1;
    if (le32toh(length) != hex_length / 2 && !*cutp)
        goto corrupt;
    *unitp = out + sizeof(length);
    *unit_lengthp = hex_length / 2 - sizeof(length);
    return (0);

corrupt:
    return (status_set(
      status, STATUS_CORRUPT, "extent-metadata", "malformed metadata in an extent list"));
}
