/*
 * test/datafile/test_extents.c -- Extent lists, packed integers, hex metadata.
 */
#include "test/datafile/walked.h"

#include "datafile/extent_list.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
test_unpack(void)
{
    static const struct {
        uint8_t bytes[10];
        unsigned len;
        uint64_t value;
    } good[] = {
      {{0x80}, 1, 0},
      {{0xbf}, 1, 63},
      {{0xc0, 0x00}, 2, 64},
      {{0xdf, 0xff}, 2, 8255},
      {{0xe1, 0x00}, 2, 8256},
      {{0xe1, 0xff}, 2, 8511},
      {{0xe3, 0x00, 0xf5, 0x1a}, 4, 71002}, /* the extent list's magic, as seen in a file */
      {{0xe8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xdf, 0xbf}, 9, UINT64_MAX},
    };
    static const uint8_t bad[][2] = {{0x00, 0}, {0x7f, 0}, {0xf0, 0}, {0xff, 0}, {0xe9, 0}};
    const uint8_t *p;
    uint64_t value;
    unsigned i, n;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        p = good[i].bytes;
        CU_ASSERT_TRUE(extent_list_unpack(&p, good[i].bytes + good[i].len, &value));
        CU_ASSERT_EQUAL(value, good[i].value);
        CU_ASSERT_PTR_EQUAL(p, good[i].bytes + good[i].len);
        for (n = 0; n < good[i].len; n++) {
            p = good[i].bytes;
            CU_ASSERT_FALSE(extent_list_unpack(&p, good[i].bytes + n, &value));
            CU_ASSERT_PTR_EQUAL(p, good[i].bytes);
        }
    }
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p = bad[i];
        CU_ASSERT_FALSE(extent_list_unpack(&p, bad[i] + 2, &value));
    }
}

static void
test_decode(void)
{
    STATUS status;
    const uint8_t *unit;
    uint8_t out[64];
    size_t len;
    bool cut;
    int ret;

    CU_ASSERT_EQUAL(extent_list_decode("06000000aBcD", 12, out, &unit, &len, &cut, &status), 0);
    CU_ASSERT_EQUAL(len, 2);
    CU_ASSERT_FALSE(cut);
    CU_ASSERT_EQUAL(memcmp(unit, "\xab\xcd", 2), 0);
    CU_ASSERT_EQUAL(extent_list_decode("07000000abcd", 12, out, &unit, &len, &cut, &status), 0);
    CU_ASSERT_TRUE(cut);
    ret = extent_list_decode("08000000abcd", 12, out, &unit, &len, &cut, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "metadata");
    CU_ASSERT_PTR_NULL(unit);
    CU_ASSERT_EQUAL(
      extent_list_decode("05000000abcd", 12, out, &unit, &len, &cut, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(
      extent_list_decode("06000000abc", 11, out, &unit, &len, &cut, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(
      extent_list_decode("06000000abcg", 12, out, &unit, &len, &cut, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(
      extent_list_decode("060000", 6, out, &unit, &len, &cut, &status), STATUS_CORRUPT);
    CU_ASSERT_EQUAL(extent_list_decode("", 0, out, &unit, &len, &cut, &status), STATUS_CORRUPT);
}

/* The text behind the extents, at any length and with any byte changed: never out of bounds. */
static void
test_live_list(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    BLOCK_FILE file;
    BLOCK block;
    EXTENT_LIST list;
    STATUS status;
    const char *home;
    uint8_t *copy;
    uint64_t extents;
    size_t i, len, live, parsed;
    int dirfd, fd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt",
      "key_format=S,value_format=S,allocation_size=512B,encryption=(name=fixture,keyid=tenantA)");
    fixture_rows(session, "file:t.wt", 0, 4000, 100);
    fixture_checkpoint(session);
    fixture_remove(session, "file:t.wt", 100, 3000);
    fixture_rows(session, "file:t.wt", 0, 50, 300);
    fixture_close(conn);

    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT(walked.metadata_whole + walked.metadata_cut > 0);
    CU_ASSERT_EQUAL(walked.metadata_broken, 0);
    CU_ASSERT_EQUAL(walked.metadata_clear, 0);
    fd = openat(dirfd, "t.wt", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(block_file_open(&file, fd, "t.wt", false, &status), 0);
    for (extents = 0, live = 0, parsed = 0, i = 0; i < walked.count; i++) {
        if (!walked.blocks[i].extent_list)
            continue;
        CU_ASSERT_EQUAL(block_file_read(&file, walked.blocks[i].offset, &block, &status), 0);
        CU_ASSERT_EQUAL(extent_list_parse(block.image, block.image_have, &list, &status), 0);
        if (!list.live)
            continue;
        live++;
        extents += list.extents;
        CU_ASSERT(list.extent_bytes < file.size);
        CU_ASSERT(list.file_size <= file.size);
        CU_ASSERT(list.checkpoint_length > 0);
        CU_ASSERT_TRUE(list.metadata_encrypted);
        if ((copy = malloc(block.image_have)) == NULL)
            abort();
        memcpy(copy, block.image, block.image_have);
        for (len = 0; len < block.image_have; len++) {
            /* A copy of its own for each length: the sanitizer sees a read behind it. */
            uint8_t *cut = malloc(len + 1);

            if (cut == NULL)
                abort();
            memcpy(cut, copy, len);
            parsed += extent_list_parse(cut, len, &list, &status) == 0;
            free(cut);
        }
        for (len = 40; len < block.image_have; len++) {
            copy[len] ^= 0xff;
            parsed += extent_list_parse(copy, block.image_have, &list, &status) == 0;
            copy[len] ^= 0xff;
        }
        free(copy);
    }
    CU_ASSERT(live > 0);
    CU_ASSERT(extents > 0);
    CU_ASSERT(parsed > 0);
    block_file_close(&file);
    walked_free(&walked);
    (void)close(fd);
    (void)close(dirfd);
}

const TEST extent_tests[] = {
  {"packed integers", test_unpack},
  {"hex metadata", test_decode},
  {"a live avail list, whole and damaged", test_live_list},
  {NULL, NULL},
};
