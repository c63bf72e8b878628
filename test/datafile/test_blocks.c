/*
 * test/datafile/test_blocks.c -- Block files as the engine writes them, live and stale.
 */
#include "test/datafile/walked.h"

#include "common/crc32c.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
test_crc32c(void)
{
    static const char digits[] = "123456789"; /* the check value of the CRC catalogue */
    uint8_t data[4096];
    size_t i;

    CU_ASSERT_EQUAL(crc32c(0, digits, 9), 0xe3069283u);
    CU_ASSERT_EQUAL(crc32c(0, digits, 0), 0);
    for (i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    for (i = 0; i < sizeof(data); i += 37) {
        CU_ASSERT_EQUAL(crc32c(0, data, i), wiredtiger_crc32c_func()(data, i));
        CU_ASSERT_EQUAL(
          crc32c(crc32c(0, data, i), data + i, sizeof(data) - i), crc32c(0, data, sizeof(data)));
    }
}

/* Every block that the engine has must be found, with its size and checksum. */
static void
check_addresses(WT_CONNECTION *conn, int dirfd, const char *name, unsigned least)
{
    ADDRESS *addresses;
    WALKED walked;
    const BLOCK *block;
    char uri[128];
    size_t count, i, missing;

    (void)snprintf(uri, sizeof(uri), "file:%s", name);
    count = fixture_addresses(conn, uri, &addresses);
    CU_ASSERT(count >= least);
    walked_file(&walked, dirfd, name, BLOCK_WALK_FULL);
    walked_complete(&walked);
    for (missing = 0, i = 0; i < count; i++) {
        block = walked_at(&walked, addresses[i].offset);
        if (block == NULL || block->disk_size != addresses[i].size ||
            block->checksum != addresses[i].checksum)
            missing++;
    }
    CU_ASSERT_EQUAL(missing, 0);
    walked_free(&walked);
    free(addresses);
}

static void
one_form(
  const char *allocation, const char *checksum, const char *compressor, bool column, bool encrypted)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED headers, walked;
    const char *home;
    char config[512];
    uint64_t wanted;
    size_t i, wrong;
    int dirfd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, encrypted, NULL);
    session = fixture_session(conn);
    (void)snprintf(config, sizeof(config),
      "key_format=%s,value_format=S,allocation_size=%s,internal_page_max=%s,leaf_page_max=64KB,"
      "leaf_value_max=16KB,checksum=%s,block_compressor=%s",
      column ? "r" : "S", allocation, strcmp(allocation, "64KB") == 0 ? "64KB" : "16KB", checksum,
      compressor);
    fixture_create(session, "file:t.wt", config);
    fixture_rows(session, "file:t.wt", 0, 2000, 100);
    fixture_rows(session, "file:t.wt", 2000, 2010, 50000); /* overflow */
    fixture_checkpoint(session);
    fixture_rows(session, "file:t.wt", 500, 700, 120);
    fixture_close(conn);

    conn = fixture_connect(home, encrypted, NULL);
    check_addresses(conn, dirfd, "t.wt", 2);
    fixture_close(conn);

    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    wanted = (uint64_t)atoi(allocation) * (strchr(allocation, 'K') != NULL ? 1024 : 1);
    CU_ASSERT_EQUAL(walked.allocation_size, wanted);
    CU_ASSERT_TRUE(walked.descriptor_ok);
    CU_ASSERT_EQUAL(walked.broken, 0);
    CU_ASSERT_EQUAL(walked.padding_bad, 0);
    CU_ASSERT(walked.summary.extent_lists > 0);
    if (encrypted) {
        CU_ASSERT_EQUAL(walked.summary.clear, 0);
        CU_ASSERT(walked.whole > 10);
        CU_ASSERT_EQUAL(walked.key_count, 1);
        CU_ASSERT_TRUE(walked_key(&walked, fixture_key_id(SYSTEM_KEYID)));
    } else {
        CU_ASSERT(walked.summary.clear > 10);
        CU_ASSERT_EQUAL(walked.summary.encrypted, 0);
    }
    for (wrong = 0, i = 0; i < walked.count; i++) {
        if (!walked.blocks[i].verified || walked.blocks[i].image_have != walked.blocks[i].disk_size)
            wrong++;
        if (!walked.blocks[i].extent_list && walked.blocks[i].whole_checksum &&
            strcmp(checksum, "off") == 0)
            wrong++;
    }
    CU_ASSERT_EQUAL(wrong, 0);

    walked_file(&headers, dirfd, "t.wt", BLOCK_WALK_HEADERS);
    walked_complete(&headers);
    CU_ASSERT_EQUAL(headers.summary.mode, BLOCK_WALK_HEADERS);
    CU_ASSERT_EQUAL(headers.summary.clear, walked.summary.clear);
    CU_ASSERT_EQUAL(headers.summary.encrypted, walked.summary.encrypted);
    CU_ASSERT_EQUAL(headers.summary.metadata, walked.summary.metadata);
    CU_ASSERT_EQUAL(headers.key_count, walked.key_count);
    walked_free(&headers);
    walked_free(&walked);
    (void)close(dirfd);
}

static void
test_forms(void)
{
    static const char *const allocations[] = {"512B", "4KB", "16KB", "64KB"};
    static const char *const checksums[] = {"on", "off", "uncompressed"};
    static const char *const compressors[] = {"none", "snappy"};
    unsigned a, c, s;

    for (a = 0; a < 4; a++)
        for (c = 0; c < 3; c++)
            for (s = 0; s < 2; s++)
                one_form(allocations[a], checksums[c], compressors[s], (a + c) % 2 != 0, true);
#if WIREDTIGER_VERSION_MAJOR >= 11
    /* not of 3.2: encrypted pages without a checksum of the whole */
    one_form("4KB", "unencrypted", "snappy", false, true);
#endif
}

static void
test_plain_forms(void)
{
    one_form("4KB", "on", "snappy", false, false);
    one_form("512B", "off", "none", true, false);
    one_form("64KB", "uncompressed", "snappy", false, false);
}

/* Rewritten again and again: blocks of old checkpoints, partly overwritten, and holes between. */
static void
test_stale(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    const char *home;
    unsigned i;
    int dirfd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt",
      "key_format=S,value_format=S,allocation_size=4KB,leaf_page_max=32KB,leaf_value_max=64KB");
    for (i = 0; i < 30; i++) {
        fixture_rows(session, "file:t.wt", i * 37 % 900, i * 37 % 900 + 400, 30 + i * 29 % 500);
        fixture_rows(session, "file:t.wt", 5000 + i % 7, 5001 + i % 7, 100 + i * 7919 % 60000);
        if (i % 5 == 4)
            fixture_remove(session, "file:t.wt", i * 37 % 900, i * 37 % 900 + 200);
        fixture_checkpoint(session);
    }
    fixture_close(conn);
    conn = fixture_connect(home, true, NULL);
    check_addresses(conn, dirfd, "t.wt", 5);
    fixture_close(conn);

    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.broken, 0);
    CU_ASSERT_EQUAL(walked.summary.clear, 0);
    CU_ASSERT(walked.summary.other_bytes > 0);
    CU_ASSERT(walked.metadata_whole + walked.metadata_cut > 1);
    CU_ASSERT_EQUAL(walked.metadata_broken, 0);
    walked_free(&walked);
    (void)close(dirfd);
}

/* An encrypted home may hold tables under other keyids, and plain ones. */
static void
test_keyids(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    const char *home;
    int dirfd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(
      session, "table:a", "key_format=S,value_format=S,encryption=(name=fixture,keyid=tenantA)");
    fixture_create(session, "table:plain", "key_format=S,value_format=S,encryption=(name=none)");
    fixture_create(session, "table:b", "key_format=S,value_format=S");
    fixture_rows(session, "table:a", 0, 100, 100);
    fixture_rows(session, "table:b", 0, 100, 100);
    fixture_rows(session, "table:plain", 0, 100, 100);
    fixture_close(conn);

    walked_file(&walked, dirfd, "a.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.key_count, 1);
    CU_ASSERT_TRUE(walked_key(&walked, fixture_key_id("tenantA")));
    CU_ASSERT(walked.metadata_whole + walked.metadata_cut > 0);
    CU_ASSERT_STRING_EQUAL(walked.encryption, "(keyid=tenantA,name=fixture)");
    if (walked.metadata_whole > 0)
        CU_ASSERT_PTR_NOT_NULL(strstr(walked.metadata, "key_format=S"));
    walked_free(&walked);

    walked_file(&walked, dirfd, "b.wt", BLOCK_WALK_FULL);
    CU_ASSERT_TRUE(walked_key(&walked, fixture_key_id(SYSTEM_KEYID)));
    CU_ASSERT_EQUAL(walked.key_count, 1);
    walked_free(&walked);

    walked_file(&walked, dirfd, "plain.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.summary.encrypted, 0);
    CU_ASSERT(walked.summary.clear > 0);
    CU_ASSERT_EQUAL(walked.metadata_whole + walked.metadata_broken, 0);
    CU_ASSERT(walked.metadata_clear > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(walked.encryption, "name=none"));
    walked_free(&walked);

    walked_file(&walked, dirfd, "WiredTiger.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.summary.clear, 0);
    CU_ASSERT(walked.summary.encrypted > 0);
    CU_ASSERT_TRUE(walked_key(&walked, fixture_key_id(SYSTEM_KEYID)));
    walked_free(&walked);
    (void)close(dirfd);
}

/* Overflow items larger than the window: checked in a stream, then whole in memory. */
static void
test_large(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    const char *home;
    size_t i, large;
    int dirfd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt", "key_format=S,value_format=S,leaf_value_max=64KB");
    fixture_rows(session, "file:t.wt", 0, 2, 40u * 1024 * 1024);
    fixture_close(conn);
    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    for (large = 0, i = 0; i < walked.count; i++)
        if (walked.blocks[i].disk_size > READER_VIEW_MAX)
            large++;
    CU_ASSERT_EQUAL(large, 2);
    CU_ASSERT_EQUAL(walked.broken, 0);
    CU_ASSERT(walked.progress > 2);
    walked_free(&walked);
    (void)close(dirfd);
}

/* A hole of a terabyte is passed over in no time, and blocks behind it are found. */
static void
test_sparse(void)
{
    const uint64_t far = (uint64_t)1 << 40;
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    const char *home;
    uint8_t *data;
    size_t len;
    int dirfd, fd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt", "key_format=S,value_format=S");
    fixture_rows(session, "file:t.wt", 0, 1000, 100);
    fixture_close(conn);
    data = fixture_read(dirfd, "t.wt", &len);
    fd = openat(dirfd, "t.wt", O_RDWR | O_CLOEXEC);
    if (pwrite(fd, data + 4096, 28672, (off_t)far) != 28672) {
        (void)printf("skipped: no sparse files here\n");
        goto done;
    }
    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    walked_complete(&walked);
    CU_ASSERT_PTR_NOT_NULL(walked_at(&walked, far));
    CU_ASSERT(walked.summary.zero_bytes > far - len - 4096);
    walked_free(&walked);
done:
    (void)close(fd);
    free(data);
    (void)close(dirfd);
}

static void
test_read(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    BLOCK_FILE file;
    BLOCK block;
    STATUS status;
    const char *home;
    uint64_t id;
    size_t i;
    int dirfd, fd, ret;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt", "key_format=S,value_format=S");
    fixture_rows(session, "file:t.wt", 0, 2000, 100);
    fixture_close(conn);
    walked_file(&walked, dirfd, "t.wt", BLOCK_WALK_FULL);
    fd = openat(dirfd, "t.wt", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL_FATAL(block_file_open(&file, fd, "t.wt", false, &status), 0);
    for (i = walked.count; i-- > 0;) {
        CU_ASSERT_EQUAL(block_file_read(&file, walked.blocks[i].offset, &block, &status), 0);
        CU_ASSERT_EQUAL(block.disk_size, walked.blocks[i].disk_size);
        CU_ASSERT_EQUAL(block.image_have, block.disk_size);
        if (block.encrypted)
            CU_ASSERT_TRUE(fixture_whole(block.unit, block.unit_length, &id));
    }
    ret = block_file_read(&file, 0, &block, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "no valid block starts at offset 0 of t.wt");
    ret = block_file_read(&file, 4097, &block, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "4097");
    ret = block_file_read(&file, file.size, &block, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "no valid block");
    ret = block_file_read(&file, UINT64_MAX - 4095, &block, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "no valid block");
    block_file_close(&file);
    walked_free(&walked);
    (void)close(fd);
    (void)close(dirfd);
}

static void
test_callbacks(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    WALKED walked;
    const char *home;
    int dirfd, fd;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt", "key_format=S,value_format=S");
    fixture_rows(session, "file:t.wt", 0, 2000, 100);
    fixture_close(conn);
    fd = openat(dirfd, "t.wt", O_RDONLY | O_CLOEXEC);

    memset(&walked, 0, sizeof(walked));
    walked.stop_after = 2;
    walked.stop_with = WALK_STOP;
    walked_fd(&walked, fd, BLOCK_WALK_FULL, false);
    CU_ASSERT_EQUAL(walked.ret, 0);
    CU_ASSERT_EQUAL(walked.count, 2);
    walked_free(&walked);

    memset(&walked, 0, sizeof(walked));
    walked.stop_after = 1;
    walked.stop_with = STATUS_NO_KEY;
    walked_fd(&walked, fd, BLOCK_WALK_HEADERS, false);
    CHECK_STATUS(walked.ret, &walked.status, STATUS_NO_KEY, "stopped");
    CU_ASSERT_EQUAL(walked.count, 1);
    walked_free(&walked);
    (void)close(fd);
    (void)close(dirfd);
}

const TEST block_tests[] = {
  {"crc32c is the engine's", test_crc32c},
  {"every allocation size, checksum, compressor, store: encrypted", test_forms},
  {"the same plain", test_plain_forms},
  {"stale and partly overwritten blocks", test_stale},
  {"keyids and plain tables", test_keyids},
  {"blocks larger than the window", test_large},
  {"a terabyte with a hole", test_sparse},
  {"one block by its offset", test_read},
  {"callbacks can stop and fail", test_callbacks},
  {NULL, NULL},
};
