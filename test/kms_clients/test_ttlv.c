/*
 * test/kms_clients/test_ttlv.c -- TTLV: the examples of the specification (KMIP 1.4, 9.1.2), and bytes that are none.
 */
#include "test/kms_clients/kms_tests.h"

#include "kms_clients/kmip_ttlv.h"

#include <stdlib.h>
#include <string.h>

/* The examples, inside one structure: Integer 8, Enumeration 255, Boolean true, "Hello World", bytes 1 2 3,
 * and the example of a structure, an Enumeration 254 and an Integer 255. */
static const uint8_t example[] = {0x42, 0, 0x78, 1, 0, 0, 0, 0x88, 0x42, 0, 0x20, 2, 0, 0, 0, 4, 0,
  0, 0, 8, 0, 0, 0, 0, 0x42, 0, 0x20, 5, 0, 0, 0, 4, 0, 0, 0, 0xff, 0, 0, 0, 0, 0x42, 0, 0x20, 6, 0,
  0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0x42, 0, 0x20, 7, 0, 0, 0, 0xb, 'H', 'e', 'l', 'l', 'o', ' ',
  'W', 'o', 'r', 'l', 'd', 0, 0, 0, 0, 0, 0x42, 0, 0x20, 8, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 0,
  0x42, 0, 0x20, 1, 0, 0, 0, 0x20, 0x42, 0, 4, 5, 0, 0, 0, 4, 0, 0, 0, 0xfe, 0, 0, 0, 0, 0x42, 0, 5,
  2, 0, 0, 0, 4, 0, 0, 0, 0xff, 0, 0, 0, 0, 0x42, 0, 0x21, 1, 0, 0, 0, 0};

static void
test_written(void)
{
    KMIP_WRITER *writer = kmip_writer_new();
    SECRET *message;
    STATUS s;

    status_clear(&s);
    kmip_put_open(writer, 0x420078);
    kmip_put_integer(writer, 0x420020, 8);
    kmip_put_enumeration(writer, 0x420020, 255);
    kmip_put_boolean(writer, 0x420020, true);
    kmip_put_text(writer, 0x420020, "Hello World");
    kmip_put_bytes(writer, 0x420020, "\1\2\3", 3);
    kmip_put_open(writer, 0x420020);
    kmip_put_enumeration(writer, 0x420004, 254);
    kmip_put_integer(writer, 0x420005, 255);
    kmip_put_close(writer);
    kmip_put_open(writer, 0x420021);
    kmip_put_close(writer);
    kmip_put_close(writer);
    CU_ASSERT_EQUAL_FATAL(kmip_writer_finish(writer, &message, &s), 0);
    CU_ASSERT_EQUAL_FATAL(secret_len(message), sizeof(example));
    CU_ASSERT_EQUAL(memcmp(secret_bytes(message), example, sizeof(example)), 0);
    secret_free(message);
}

static void
test_read(void)
{
    KMIP_ITEM root, item;
    char text[12];
    size_t offset = 0, count = 0, len;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(kmip_ttlv_parse(example, sizeof(example), &root, &s), 0);
    CU_ASSERT_EQUAL(root.tag, 0x420078);
    while (kmip_ttlv_next(&root, &offset, &item))
        count++;
    CU_ASSERT_EQUAL(count, 7);
    CU_ASSERT_TRUE(kmip_ttlv_find(&root, 0x420020, KMIP_ENUMERATION, &item));
    CU_ASSERT_EQUAL(kmip_ttlv_number(&item), 255);
    CU_ASSERT_TRUE(kmip_ttlv_find(&root, 0x420020, KMIP_TEXT, &item));
    CU_ASSERT_TRUE(kmip_ttlv_is_text(&item, "Hello World"));
    CU_ASSERT_FALSE(kmip_ttlv_is_text(&item, "Hello"));
    CU_ASSERT_TRUE(kmip_ttlv_text(&item, text, sizeof(text)));
    CU_ASSERT_STRING_EQUAL(text, "Hello World");
    CU_ASSERT_FALSE(kmip_ttlv_text(&item, text, sizeof(text) - 1));
    CU_ASSERT_TRUE(kmip_ttlv_find(&root, 0x420020, KMIP_BYTES, &item));
    CU_ASSERT_EQUAL(item.len, 3);
    CU_ASSERT_FALSE(kmip_ttlv_find(&root, 0x420020, KMIP_DATE_TIME, &item));
    CU_ASSERT_FALSE(kmip_ttlv_find(&root, 0x420099, KMIP_TEXT, &item));
    CU_ASSERT_EQUAL(kmip_ttlv_length(example, 0x420078, &len, &s), 0);
    CU_ASSERT_EQUAL(len, sizeof(example));
    CU_ASSERT_EQUAL(kmip_ttlv_length(example, 0x42007b, &len, &s), STATUS_BAD_REPLY);
}

/* At the end of memory of its own, so that a sanitizer sees one byte too far. */
static int
parse(const uint8_t *bytes, size_t len)
{
    KMIP_ITEM root, item;
    uint8_t *copy = malloc(len > 0 ? len : 1);
    size_t offset = 0, inner;
    STATUS s;
    int ret;

    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    memcpy(copy, bytes, len);
    if ((ret = kmip_ttlv_parse(copy, len, &root, &s)) == 0)
        while (kmip_ttlv_next(&root, &offset, &item)) {
            CU_ASSERT_TRUE(item.value >= copy && item.value + item.len <= copy + len);
            inner = 0;
            while (kmip_ttlv_next(&item, &inner, &item))
                ;
        }
    else
        CU_ASSERT_STRING_EQUAL(s.id, "kms-bad-ttlv");
    free(copy);
    return (ret);
}

static void
test_every_length(void)
{
    uint8_t longer[sizeof(example) + 8] = {0};
    size_t i;

    for (i = 0; i < sizeof(example); i++)
        CU_ASSERT_EQUAL(parse(example, i), STATUS_BAD_REPLY);
    CU_ASSERT_EQUAL(parse(example, i), 0);
    memcpy(longer, example, sizeof(example));
    for (i = 1; i <= 8; i++)
        CU_ASSERT_EQUAL(parse(longer, sizeof(example) + i), STATUS_BAD_REPLY);
}

static void
test_every_bit(void)
{
    uint8_t bytes[sizeof(example)];
    size_t i;

    for (i = 0; i < sizeof(example) * 8; i++) {
        memcpy(bytes, example, sizeof(example));
        bytes[i / 8] ^= (uint8_t)(1 << i % 8);
        (void)parse(bytes, sizeof(bytes));
        if (i / 8 >= 4 && i / 8 < 8) /* the length of all */
            CU_ASSERT_EQUAL(parse(bytes, sizeof(bytes)), STATUS_BAD_REPLY);
    }
}

static void
set_length(uint8_t *header, uint32_t len)
{
    int i;

    for (i = 0; i < 4; i++)
        header[4 + i] = (uint8_t)(len >> (8 * (3 - i)));
}

static void
test_lengths(void)
{
    static const uint32_t lengths[] = {0x7fffffff, 0xffffffff, 0xfffffff8, 0xfffffff9, 0x80000000,
      1 << 30, KMIP_TTLV_MAX, 129, 3, 5};
    static const size_t headers[] = {8, 24, 40, 56, 80, 96, 104};
    uint8_t bytes[sizeof(example)];
    size_t i, j, len;
    STATUS s;

    for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (j = 0; j < sizeof(headers) / sizeof(headers[0]); j++) {
            memcpy(bytes, example, sizeof(example));
            set_length(bytes + headers[j], lengths[i]);
            /* Bytes and text may be of any length that fits. */
            if (lengths[i] > 5 || (headers[j] != 56 && headers[j] != 80))
                CU_ASSERT_EQUAL(parse(bytes, sizeof(bytes)), STATUS_BAD_REPLY);
        }
    memcpy(bytes, example, sizeof(example));
    set_length(bytes, KMIP_TTLV_MAX - 7);
    CU_ASSERT_EQUAL(kmip_ttlv_length(bytes, 0x420078, &len, &s), STATUS_BAD_REPLY);
    set_length(bytes, KMIP_TTLV_MAX - 8);
    CU_ASSERT_EQUAL(kmip_ttlv_length(bytes, 0x420078, &len, &s), 0);
    CU_ASSERT_EQUAL(len, KMIP_TTLV_MAX);
    memcpy(bytes, example, sizeof(example));
    bytes[11] = 0x0c; /* a type that is not known */
    CU_ASSERT_EQUAL(parse(bytes, sizeof(bytes)), STATUS_BAD_REPLY);
    bytes[11] = 0;
    CU_ASSERT_EQUAL(parse(bytes, sizeof(bytes)), STATUS_BAD_REPLY);
}

static void
test_depth(void)
{
    uint8_t bytes[8 * (KMIP_TTLV_DEPTH_MAX + 1)];
    unsigned levels, i;

    for (levels = 1; levels <= KMIP_TTLV_DEPTH_MAX + 1; levels++) {
        for (i = 0; i < levels; i++) {
            memcpy(bytes + (size_t)8 * i, "\x42\0\x20\1", 4);
            set_length(bytes + (size_t)8 * i, 8 * (levels - i - 1));
        }
        CU_ASSERT_EQUAL(parse(bytes, (size_t)8 * levels),
          levels <= KMIP_TTLV_DEPTH_MAX ? 0 : (int)STATUS_BAD_REPLY);
    }
}

static void
refused(KMIP_WRITER *writer)
{
    SECRET *message;
    STATUS s;

    CU_ASSERT_EQUAL(kmip_writer_finish(writer, &message, &s), STATUS_INTERNAL);
    CU_ASSERT_PTR_NULL(message);
}

static void
test_written_wrong(void)
{
    static uint8_t large[KMIP_TTLV_MAX];
    KMIP_WRITER *writer;
    SECRET *message;
    STATUS s;
    int i;

    refused(kmip_writer_new());
    writer = kmip_writer_new();
    kmip_put_integer(writer, 1, 1);
    refused(writer);
    writer = kmip_writer_new();
    kmip_put_close(writer);
    refused(writer);
    writer = kmip_writer_new();
    kmip_put_open(writer, 1);
    refused(writer);
    writer = kmip_writer_new();
    kmip_put_open(writer, 1);
    kmip_put_close(writer);
    kmip_put_open(writer, 1);
    refused(writer);
    writer = kmip_writer_new();
    for (i = 0; i <= KMIP_TTLV_DEPTH_MAX; i++)
        kmip_put_open(writer, 1);
    refused(writer);
    writer = kmip_writer_new();
    kmip_put_open(writer, 1);
    kmip_put_bytes(writer, 1, large, sizeof(large) - 16);
    kmip_put_close(writer);
    CU_ASSERT_EQUAL_FATAL(kmip_writer_finish(writer, &message, &s), 0);
    CU_ASSERT_EQUAL(secret_len(message), KMIP_TTLV_MAX);
    CU_ASSERT_EQUAL(parse(secret_bytes(message), secret_len(message)), 0);
    secret_free(message);
    writer = kmip_writer_new();
    kmip_put_open(writer, 1);
    kmip_put_bytes(writer, 1, large, sizeof(large) - 15);
    refused(writer);
    CU_ASSERT_EQUAL(kmip_writer_finish(NULL, &message, &s), STATUS_NO_MEMORY);
    kmip_writer_free(NULL);
}

const TEST ttlv_tests[] = {{"written", test_written}, {"read", test_read},
  {"every_length", test_every_length}, {"every_bit", test_every_bit}, {"lengths", test_lengths},
  {"depth", test_depth}, {"written_wrong", test_written_wrong}, {NULL, NULL}};
