/*
 * test/datafile/test_block_hostile.c -- Block files that were damaged or made to mislead.
 */
#include "test/datafile/walked.h"

#include "crypto/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint8_t *sample;
static size_t sample_len;

/* An encrypted table of a few blocks, made once. */
static void
make_sample(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    const char *home;
    int dirfd;

    if (sample != NULL)
        return;
    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt",
      "key_format=S,value_format=S,allocation_size=512B,leaf_page_max=4KB,internal_page_max=4KB");
    fixture_rows(session, "file:t.wt", 0, 60, 100);
    fixture_checkpoint(session);
    fixture_rows(session, "file:t.wt", 10, 20, 90);
    fixture_close(conn);
    sample = fixture_read(dirfd, "t.wt", &sample_len);
    (void)close(dirfd);
}

static void
walk(WALKED *walked, const uint8_t *data, size_t len, BLOCK_WALK_MODE mode, bool tolerant)
{
    int fd;

    memset(walked, 0, sizeof(*walked));
    fd = fixture_memory(data, len);
    walked_fd(walked, fd, mode, tolerant);
    (void)close(fd);
}

static uint8_t *
copy_sample(void)
{
    uint8_t *copy;

    make_sample();
    if ((copy = malloc(sample_len)) == NULL)
        abort();
    memcpy(copy, sample, sample_len);
    return (copy);
}

/* The first encrypted block of the sample. */
static BLOCK
first_encrypted(void)
{
    WALKED walked;
    BLOCK block;
    size_t i;

    make_sample();
    walk(&walked, sample, sample_len, BLOCK_WALK_FULL, false);
    walked_complete(&walked);
    for (i = 0; i < walked.count && !walked.blocks[i].encrypted; i++)
        ;
    CU_ASSERT_FATAL(i < walked.count);
    block = walked.blocks[i];
    walked_free(&walked);
    return (block);
}

static void
test_cut(void)
{
    WALKED walked;
    uint64_t last;
    size_t len;

    make_sample();
    for (last = 0, len = 0; len <= sample_len; len += len % 512 < 70 || len % 512 > 500 ? 1 : 43) {
        walk(&walked, sample, len, BLOCK_WALK_FULL, false);
        if (len < 512)
            CU_ASSERT_EQUAL(walked.ret, STATUS_CORRUPT)
        else {
            walked_complete(&walked);
            CU_ASSERT(walked.summary.blocks >= last); /* it never loses one by having more */
            CU_ASSERT_EQUAL(walked.broken, 0);
            last = walked.summary.blocks;
        }
        walked_free(&walked);
        walk(&walked, sample, len, BLOCK_WALK_HEADERS, true);
        walked_complete(&walked);
        walked_free(&walked);
    }
    CU_ASSERT(last > 5);
}

/* A changed byte of a block takes that block away, wherever it is, and no other. */
static void
test_flip(void)
{
    WALKED clean, walked;
    BLOCK block;
    uint8_t *copy;
    size_t i;

    block = first_encrypted();
    walk(&clean, sample, sample_len, BLOCK_WALK_FULL, false);
    copy = copy_sample();
    for (i = 0; i < block.disk_size; i += i < 128 ? 1 : 61) {
        copy[block.offset + i] ^= 0x10;
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
        walked_complete(&walked);
        CU_ASSERT_EQUAL(walked.summary.blocks, clean.summary.blocks - 1);
        CU_ASSERT_PTR_NULL(walked_at(&walked, block.offset));
        CU_ASSERT_EQUAL(walked.broken, 0);
        walked_free(&walked);
        walk(&walked, copy, sample_len, BLOCK_WALK_HEADERS, false);
        walked_complete(&walked);
        walked_free(&walked);
        copy[block.offset + i] ^= 0x10;
    }
    walked_free(&clean);
    free(copy);
}

/* Every field with absurd values, under a checksum that fits. */
static void
test_fields(void)
{
    static const uint32_t values[] = {0, 1, 7, 40, 43, 44, 45, 55, 99, 100, 511, 512, 513, 4096,
      0x7fffffff, 0x80000000u, 0xfffffe00u, 0xffffffffu};
    WALKED walked;
    BLOCK block;
    uint8_t *copy, *p, saved[4096];
    size_t field, v;

    block = first_encrypted();
    CU_ASSERT_FATAL(block.disk_size <= sizeof(saved));
    copy = copy_sample();
    p = copy + block.offset;
    memcpy(saved, p, block.disk_size);
    for (field = 0; field <= 56; field += 4)
        for (v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            fixture_put32(p + field, values[v]);
            if (field != 32)
                fixture_seal_block(p, block.disk_size);
            walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
            walked_complete(&walked);
            walked_free(&walked);
            walk(&walked, copy, sample_len, BLOCK_WALK_HEADERS, false);
            walked_complete(&walked);
            walked_free(&walked);
            memcpy(p, saved, block.disk_size);
        }
    free(copy);
}

/* The length of what is encrypted lies: told, and no unit handed out beyond the block. */
static void
test_length_lies(void)
{
    WALKED walked;
    BLOCK block;
    const BLOCK *found;
    uint8_t *copy, *p;
    uint32_t length;
    bool fits;

    block = first_encrypted();
    copy = copy_sample();
    p = copy + block.offset;
    for (length = 0; length <= block.disk_size + 600; length++) {
        fixture_put32(p + 40, length);
        fixture_seal_block(p, block.disk_size);
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
        found = walked_at(&walked, block.offset);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        CU_ASSERT_EQUAL(found->stored_length, length);
        fits = length >= 44 && length <= block.disk_size && block.disk_size - length < 512;
        CU_ASSERT_EQUAL(found->length_ok, fits);
        CU_ASSERT_EQUAL(found->unit_length, fits ? length - 44 : 0);
        /* Only the true length gives a unit that is whole. */
        CU_ASSERT_EQUAL(walked.broken, length == block.stored_length ? 0 : 1);
        walked_free(&walked);
    }
    fixture_put32(p + 40, 0xffffffffu);
    fixture_seal_block(p, block.disk_size);
    walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
    CU_ASSERT_FALSE(walked_at(&walked, block.offset)->length_ok);
    walked_free(&walked);
    free(copy);
}

static void
test_padding(void)
{
    WALKED walked;
    BLOCK block;
    uint8_t *copy, *p;
    uint32_t i;

    block = first_encrypted();
    CU_ASSERT_FATAL(block.stored_length < block.disk_size);
    copy = copy_sample();
    p = copy + block.offset;
    for (i = block.stored_length; i < block.disk_size; i++) {
        p[i] = 0x40;
        fixture_seal_block(p, block.disk_size);
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
        CU_ASSERT_EQUAL(walked.padding_bad, 1);
        CU_ASSERT_EQUAL(walked.broken, 0);
        walked_free(&walked);
        p[i] = 0;
    }
    free(copy);
}

/* A clear page in an encrypted file, also one that calls itself an extent list. */
static void
test_clear_page(void)
{
    WALKED walked;
    BLOCK block;
    uint8_t *copy, *p;

    block = first_encrypted();
    copy = copy_sample();
    p = copy + block.offset;
    p[25] &= (uint8_t)~BLOCK_PAGE_ENCRYPTED;
    fixture_seal_block(p, block.disk_size);
    walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
    CU_ASSERT_EQUAL(walked.summary.clear, 1);
    walked_free(&walked);
    p[24] = BLOCK_TYPE_MANAGER;
    fixture_seal_block(p, block.disk_size);
    walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
    CU_ASSERT_EQUAL(walked.summary.clear, 1);
    walked_free(&walked);
    /* Odd header bytes do not hide it: the engine would read it all the same. */
    p[26] = p[37] = p[39] = 0xee;
    p[24] = 200;
    fixture_seal_block(p, block.disk_size);
    walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
    CU_ASSERT_EQUAL(walked.summary.clear, 1);
    walked_free(&walked);
    walk(&walked, copy, sample_len, BLOCK_WALK_HEADERS, false);
    CU_ASSERT_EQUAL(walked.summary.clear, 1);
    walked_free(&walked);
    free(copy);
}

static void
test_descriptor(void)
{
    WALKED clean, walked;
    uint8_t *copy;
    size_t i;

    copy = copy_sample();
    walk(&clean, sample, sample_len, BLOCK_WALK_FULL, false);
    for (i = 0; i < 512; i += i < 20 ? 1 : 17) {
        copy[i] ^= 0x01;
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
        CHECK_STATUS(walked.ret, &walked.status, STATUS_CORRUPT, "test.wt");
        CU_ASSERT_STRING_EQUAL(walked.status.id, i < 4 ? "block-magic" : "block-descriptor");
        walked_free(&walked);
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, true);
        walked_complete(&walked);
        CU_ASSERT_FALSE(walked.descriptor_ok);
        CU_ASSERT_EQUAL(walked.summary.blocks, clean.summary.blocks);
        walked_free(&walked);
        copy[i] ^= 0x01;
    }
    /* A later format, with a checksum that fits. */
    copy[4] = 2;
    fixture_put32(copy + 8, 0);
    fixture_put32(copy + 8, wiredtiger_crc32c_func()(copy, 512));
    walk(&walked, copy, sample_len, BLOCK_WALK_FULL, false);
    CHECK_STATUS(walked.ret, &walked.status, STATUS_CORRUPT, "format");
    walked_free(&walked);
    walked_free(&clean);
    free(copy);
}

static void
make_block(uint8_t *p, uint32_t size, uint8_t flags, uint8_t fill)
{
    memset(p, fill, size);
    memset(p, 0, 64);
    p[24] = BLOCK_TYPE_ROW_LEAF;
    p[27] = 1;
    fixture_put32(p + 16, size);
    fixture_put32(p + 28, size);
    p[36] = flags;
    fixture_seal_block(p, size);
}

static void
make_descriptor(uint8_t *p, uint32_t size)
{
    memset(p, 0, size);
    fixture_put32(p, BLOCK_MAGIC);
    p[4] = 1;
    fixture_put32(p + 8, wiredtiger_crc32c_func()(p, size));
}

/* With checksum=off an old block's header outlives what was written over its inside. */
static void
test_overlap(void)
{
    WALKED walked;
    uint8_t data[512 * 40];

    make_descriptor(data, 512);
    memset(data + 512, 0, sizeof(data) - 512);
    make_block(data + 512 * 2, 512 * 16, 0, 'a');
    make_block(data + 512 * 6, 512 * 2, 0, 'b');
    make_block(data + 512 * 8, 512 * 3, 1, 'c');
    make_block(data + 512 * 30, 512 * 4, 0, 'd');
    walk(&walked, data, sizeof(data), BLOCK_WALK_FULL, false);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.count, 4);
    CU_ASSERT_TRUE(walked_at(&walked, 512 * 2)->overlapped);
    CU_ASSERT_FALSE(walked_at(&walked, 512 * 6)->overlapped);
    CU_ASSERT_PTR_NOT_NULL(walked_at(&walked, 512 * 8));
    CU_ASSERT_EQUAL(walked.summary.overlapped, 1);
    CU_ASSERT(walked.summary.other_bytes > 0);
    walked_free(&walked);
    walk(&walked, data, sizeof(data), BLOCK_WALK_HEADERS, false);
    CU_ASSERT_EQUAL(walked.count, 4);
    walked_free(&walked);

    /* With whole checksums a block inside another one is its contents. */
    make_block(data + 512 * 2, 512 * 16, 1, 'a');
    make_block(data + 512 * 6, 512 * 2, 1, 'b');
    fixture_seal_block(data + 512 * 2, 512 * 16);
    walk(&walked, data, sizeof(data), BLOCK_WALK_FULL, false);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.count, 2);
    walked_free(&walked);
}

/* Each allocation unit claims to be a block to the end of the file: ends with an error, and soon. */
static void
test_cost(void)
{
    const size_t len = 24 * 1024 * 1024;
    WALKED walked;
    uint8_t *data;
    size_t i;

    if ((data = calloc(1, len)) == NULL)
        abort();
    make_descriptor(data, 512);
    for (i = 512; i < len; i += 512) {
        data[i + 24] = BLOCK_TYPE_ROW_LEAF;
        fixture_put32(data + i + 28, (uint32_t)(len - i));
        fixture_put32(data + i + 32, 0x12345678);
        data[i + 36] = 1;
    }
    walk(&walked, data, len, BLOCK_WALK_FULL, false);
    CHECK_STATUS(walked.ret, &walked.status, STATUS_CORRUPT, "would not end");
    walked_free(&walked);
    free(data);
}

static void
test_random(void)
{
    WALKED walked;
    uint8_t *copy;
    unsigned round, seed;
    size_t i;

    copy = copy_sample();
    for (seed = 1, round = 0; round < 300; round++) {
        memcpy(copy, sample, sample_len);
        for (i = 0; i < 1 + round % 40; i++) {
            seed = seed * 1103515245u + 12345u;
            copy[512 + (seed >> 8) % (sample_len - 512)] = (uint8_t)(seed >> 3);
        }
        walk(
          &walked, copy, sample_len, round % 2 == 0 ? BLOCK_WALK_FULL : BLOCK_WALK_HEADERS, false);
        walked_complete(&walked);
        walked_free(&walked);
    }
    for (round = 0; round < 50; round++) {
        for (i = 512; i < sample_len; i++) {
            seed = seed * 1103515245u + 12345u;
            copy[i] = (uint8_t)(seed >> 16);
        }
        walk(&walked, copy, sample_len, BLOCK_WALK_FULL, true);
        walked_complete(&walked);
        CU_ASSERT_EQUAL(walked.count, 0);
        walked_free(&walked);
    }
    free(copy);
    free(sample);
    sample = NULL;
}

const TEST block_hostile_tests[] = {
  {"cut at every length", test_cut},
  {"a changed byte anywhere in a block", test_flip},
  {"absurd fields under a fitting checksum", test_fields},
  {"the length field lies", test_length_lies},
  {"padding that is not zero", test_padding},
  {"clear pages among encrypted ones", test_clear_page},
  {"a damaged descriptor", test_descriptor},
  {"blocks written over others' insides", test_overlap},
  {"made to take for ever", test_cost},
  {"random damage, random bytes", test_random},
  {NULL, NULL},
};
