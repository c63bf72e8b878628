/*
 * kms_clients/kmip_ttlv.c -- TTLV read and written. See kmip_ttlv.h.
 *
 * A message is checked as a whole once; after that the walkers need no checks of their own, and
 * nothing is copied out of secret memory.
 */
#include "kms_clients/kmip_ttlv.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_LEN KMIP_TTLV_HEADER_LEN

static uint32_t
get_32(const uint8_t *p)
{
    return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static void
set_32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

/* A value with what fills it up; for lengths that were held to KMIP_TTLV_MAX. */
static size_t
filled(size_t len)
{
    return ((len + 7) / 8 * 8);
}

static int
bad_ttlv(STATUS *status, const char *what)
{
    return (
      status_set(status, STATUS_BAD_REPLY, "kms-bad-ttlv", "the answer is no TTLV: %s", what));
}

int
kmip_ttlv_length(
  const uint8_t header[KMIP_TTLV_HEADER_LEN], uint32_t tag, size_t *lenp, STATUS *status)
{
    uint32_t len = get_32(header + 4);

    *lenp = 0;
    if (get_32(header) != (tag << 8 | KMIP_STRUCTURE))
        return (bad_ttlv(status, "it starts with something else than a response message"));
    if (len > KMIP_TTLV_MAX - HEADER_LEN)
        return (status_set(status, STATUS_BAD_REPLY, "kms-bad-ttlv",
          "the answer would have %lu bytes, at most %d are taken", (unsigned long)len,
          KMIP_TTLV_MAX));
    *lenp = HEADER_LEN + len;
    return (0);
}

/* Whether a type may have that length; what it holds inside is looked at later. */
static const char *
check_length(KMIP_TYPE type, size_t len)
{
    switch (type) {
    case KMIP_INTEGER:
    case KMIP_ENUMERATION:
    case KMIP_INTERVAL:
        return (len == 4 ? NULL : "a number has not four bytes");
    case KMIP_LONG_INTEGER:
    case KMIP_BOOLEAN:
    case KMIP_DATE_TIME:
    case KMIP_DATE_TIME_EXTENDED:
        return (len == 8 ? NULL : "a long number has not eight bytes");
    case KMIP_STRUCTURE:
    case KMIP_BIG_INTEGER:
        return (len % 8 == 0 ? NULL : "a length is no multiple of eight");
    case KMIP_TEXT:
    case KMIP_BYTES:
        return (NULL);
    }
    return ("unknown type");
}

/* Read and check the item at the start of len bytes. */
static const char *
read_item(const uint8_t *p, size_t len, KMIP_ITEM *item)
{
    uint32_t word;

    if (len < HEADER_LEN)
        return ("it ends inside an item's header");
    word = get_32(p);
    item->tag = word >> 8;
    item->type = (KMIP_TYPE)(word & 0xff);
    item->len = get_32(p + 4);
    item->value = p + HEADER_LEN;
    /* Compared before it is rounded up; len is a few kilobytes. */
    if (item->len > len - HEADER_LEN || filled(item->len) > len - HEADER_LEN)
        return ("an item is longer than what holds it");
    return (check_length(item->type, item->len));
}

static size_t
item_size(const KMIP_ITEM *item)
{
    return (HEADER_LEN + filled(item->len));
}

/* Without recursion: the ends of the structures that are open. */
static const char *
check_items(const KMIP_ITEM *root)
{
    const uint8_t *ends[KMIP_TTLV_DEPTH_MAX], *p = root->value;
    const char *wrong;
    KMIP_ITEM item;
    unsigned depth = 1;

    ends[0] = root->value + root->len;
    while (depth > 0) {
        if (p == ends[depth - 1]) {
            depth--;
            continue;
        }
        if ((wrong = read_item(p, (size_t)(ends[depth - 1] - p), &item)) != NULL)
            return (wrong);
        if (item.type == KMIP_STRUCTURE) {
            if (depth == KMIP_TTLV_DEPTH_MAX)
                return ("too many levels");
            ends[depth++] = item.value + item.len;
            p = item.value;
        } else
            p += item_size(&item);
    }
    return (NULL);
}

int
kmip_ttlv_parse(const void *message, size_t len, KMIP_ITEM *rootp, STATUS *status)
{
    const char *wrong;

    memset(rootp, 0, sizeof(*rootp));
    if (len > KMIP_TTLV_MAX)
        return (bad_ttlv(status, "it is too long"));
    if ((wrong = read_item(message, len, rootp)) == NULL) {
        if (rootp->type != KMIP_STRUCTURE)
            wrong = "it is no structure";
        else if (item_size(rootp) != len)
            wrong = "there is something behind it";
        else
            wrong = check_items(rootp);
    }
    if (wrong == NULL)
        return (0);
    memset(rootp, 0, sizeof(*rootp));
    return (bad_ttlv(status, wrong));
}

bool
kmip_ttlv_next(const KMIP_ITEM *structure, size_t *offsetp, KMIP_ITEM *itemp)
{
    if (structure->type != KMIP_STRUCTURE || *offsetp >= structure->len ||
        read_item(structure->value + *offsetp, structure->len - *offsetp, itemp) != NULL)
        return (false);
    *offsetp += item_size(itemp);
    return (true);
}

bool
kmip_ttlv_find(const KMIP_ITEM *structure, uint32_t tag, KMIP_TYPE type, KMIP_ITEM *itemp)
{
    size_t offset = 0;

    while (kmip_ttlv_next(structure, &offset, itemp))
        if (itemp->tag == tag && itemp->type == type)
            return (true);
    memset(itemp, 0, sizeof(*itemp));
    return (false);
}

uint32_t
kmip_ttlv_number(const KMIP_ITEM *item)
{
    return (item->len == 4 ? get_32(item->value) : 0);
}

bool
kmip_ttlv_is_text(const KMIP_ITEM *item, const char *text)
{
    return (item->type == KMIP_TEXT && item->len == strlen(text) &&
            memcmp(item->value, text, item->len) == 0);
}

bool
kmip_ttlv_text(const KMIP_ITEM *item, char *text, size_t size)
{
    if (item->type != KMIP_TEXT || item->len >= size ||
        memchr(item->value, '\0', item->len) != NULL)
        return (false);
    memcpy(text, item->value, item->len);
    text[item->len] = '\0';
    return (true);
}

/* --- writing */

#define FIRST_SIZE 4096 /* a request has some hundred bytes */

struct kmip_writer {
    SECRET *buffer;
    size_t len;
    size_t open[KMIP_TTLV_DEPTH_MAX]; /* where the headers of open structures are */
    unsigned depth;
    bool closed; /* a first structure is complete */
    bool failed;
    STATUS error;
};

KMIP_WRITER *
kmip_writer_new(void)
{
    KMIP_WRITER *writer = calloc(1, sizeof(*writer));

    if (writer == NULL)
        return (NULL);
    status_clear(&writer->error);
    writer->failed = secret_new(FIRST_SIZE, &writer->buffer, &writer->error) != 0;
    return (writer);
}

static void
fail(KMIP_WRITER *writer, const char *what)
{
    if (!writer->failed)
        (void)status_set(
          &writer->error, STATUS_INTERNAL, "kms-kmip-request", "a KMIP request %s", what);
    writer->failed = true;
}

static bool
grow(KMIP_WRITER *writer, size_t more)
{
    SECRET *larger;
    size_t size = secret_len(writer->buffer);

    if (more > KMIP_TTLV_MAX || writer->len + more > KMIP_TTLV_MAX) {
        fail(writer, "is too long");
        return (false);
    }
    if (writer->len + more <= size)
        return (true);
    while (size < writer->len + more)
        size *= 2;
    if (secret_new(size, &larger, &writer->error) != 0) {
        writer->failed = true;
        return (false);
    }
    memcpy(secret_data(larger), secret_bytes(writer->buffer), writer->len);
    secret_free(writer->buffer);
    writer->buffer = larger;
    return (true);
}

/* Append an item; its memory is zero where value is shorter than the filling. */
static void
put(KMIP_WRITER *writer, uint32_t tag, KMIP_TYPE type, const void *value, size_t len)
{
    uint8_t *p;

    if (writer == NULL || writer->failed)
        return;
    if (len > KMIP_TTLV_MAX || (writer->depth == 0 && (type != KMIP_STRUCTURE || writer->closed))) {
        fail(writer, "is malformed");
        return;
    }
    if (!grow(writer, HEADER_LEN + filled(len)))
        return;
    p = secret_data(writer->buffer) + writer->len;
    memset(p, 0, HEADER_LEN + filled(len));
    set_32(p, tag << 8 | (uint32_t)type);
    set_32(p + 4, (uint32_t)len);
    if (len > 0)
        memcpy(p + HEADER_LEN, value, len);
    writer->len += HEADER_LEN + filled(len);
}

void
kmip_put_open(KMIP_WRITER *writer, uint32_t tag)
{
    size_t at;

    if (writer == NULL || writer->failed)
        return;
    if (writer->depth == KMIP_TTLV_DEPTH_MAX) {
        fail(writer, "is too deep");
        return;
    }
    at = writer->len;
    put(writer, tag, KMIP_STRUCTURE, NULL, 0);
    writer->open[writer->depth++] = at;
}

void
kmip_put_close(KMIP_WRITER *writer)
{
    size_t at;

    if (writer == NULL || writer->failed)
        return;
    if (writer->depth == 0) {
        fail(writer, "is malformed");
        return;
    }
    at = writer->open[--writer->depth];
    set_32(secret_data(writer->buffer) + at + 4, (uint32_t)(writer->len - at - HEADER_LEN));
    writer->closed = writer->depth == 0;
}

void
kmip_put_integer(KMIP_WRITER *writer, uint32_t tag, int32_t value)
{
    uint8_t bytes[4];

    set_32(bytes, (uint32_t)value);
    put(writer, tag, KMIP_INTEGER, bytes, sizeof(bytes));
}

void
kmip_put_enumeration(KMIP_WRITER *writer, uint32_t tag, uint32_t value)
{
    uint8_t bytes[4];

    set_32(bytes, value);
    put(writer, tag, KMIP_ENUMERATION, bytes, sizeof(bytes));
}

void
kmip_put_boolean(KMIP_WRITER *writer, uint32_t tag, bool value)
{
    uint8_t bytes[8] = {0};

    bytes[7] = value;
    put(writer, tag, KMIP_BOOLEAN, bytes, sizeof(bytes));
}

void
kmip_put_text(KMIP_WRITER *writer, uint32_t tag, const char *value)
{
    put(writer, tag, KMIP_TEXT, value, strlen(value));
}

void
kmip_put_text_bytes(KMIP_WRITER *writer, uint32_t tag, const void *value, size_t len)
{
    put(writer, tag, KMIP_TEXT, value, len);
}

void
kmip_put_bytes(KMIP_WRITER *writer, uint32_t tag, const void *value, size_t len)
{
    put(writer, tag, KMIP_BYTES, value, len);
}

int
kmip_writer_finish(KMIP_WRITER *writer, SECRET **messagep, STATUS *status)
{
    *messagep = NULL;
    if (writer == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a request"));
    if (!writer->failed && (writer->depth != 0 || !writer->closed))
        fail(writer, "is not complete");
    if (writer->failed) {
        *status = writer->error;
        goto err;
    }
    secret_truncate(writer->buffer, writer->len);
    *messagep = writer->buffer;
    writer->buffer = NULL;
    kmip_writer_free(writer);
    return (0);

err:
    kmip_writer_free(writer);
    return ((int)status->status_class);
}

void
kmip_writer_free(KMIP_WRITER *writer)
{
    if (writer == NULL)
        return;
    secret_free(writer->buffer);
    free(writer);
}
