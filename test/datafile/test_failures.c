/*
 * test/datafile/test_failures.c -- No memory, no descriptors, files that shrink or cannot be read.
 */
#include "test/datafile/walked.h"

#include "test/fail_alloc.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A home with every kind of thing that needs memory; its block and log file, opened. */
static char home[4200];
static int home_fd = -1, block_fd, log_fd;

static void
make_home(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    const char *path;
    char name[32];
    unsigned i;

    if (home_fd >= 0)
        return;
    home_fd = make_dir(&path);
    (void)snprintf(home, sizeof(home), "%s", path);
    CU_ASSERT_EQUAL(mkdirat(home_fd, "logs", 0755), 0);
    conn = fixture_connect(
      home, true, "log=(enabled=true,archive=false,file_max=4MB,prealloc=false,path=logs)");
    session = fixture_session(conn);
    fixture_create(session, "file:t.wt", "key_format=S,value_format=S,leaf_value_max=64KB");
    fixture_rows(session, "file:t.wt", 0, 100, 100);
    fixture_rows(session, "file:t.wt", 100, 101, 20u * 1024 * 1024);
    fixture_close(conn);
    for (i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof(name), "other%u", i);
        put_file(home_fd, name, "x", 1, 0644);
    }
    block_fd = openat(home_fd, "t.wt", O_RDONLY | O_CLOEXEC);
    log_fd = openat(home_fd, "logs/WiredTigerLog.0000000001", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(block_fd >= 0 && log_fd >= 0);
}

static bool
as_it_must(bool failed, int ret, const STATUS *status)
{
    return (failed ? ret == STATUS_NO_MEMORY && status->message[0] != '\0' : ret == 0);
}

static bool
walk_blocks(bool *failedp, void *context)
{
    BLOCK_HANDLER handler = {NULL, NULL, NULL, NULL, NULL};
    BLOCK_FILE file;
    STATUS status;
    int ret;

    (void)context;
    if ((ret = block_file_open(&file, block_fd, "t.wt", false, &status)) == 0)
        ret = block_file_walk(&file, BLOCK_WALK_FULL, &handler, NULL, &status);
    *failedp = fail_alloc_done();
    block_file_close(&file);
    return (as_it_must(*failedp, ret, &status));
}

static bool
walk_log(bool *failedp, void *context)
{
    LOG_HANDLER handler = {NULL, NULL, NULL, NULL};
    LOG_FILE file;
    STATUS status;
    int ret;

    (void)context;
    if ((ret = log_file_open(&file, log_fd, "log", false, &status)) == 0)
        ret = log_file_walk(&file, &handler, NULL, &status);
    *failedp = fail_alloc_done();
    log_file_close(&file);
    return (as_it_must(*failedp, ret, &status));
}

static int
count_file(void *context, const HOME_FILE *file, STATUS *status)
{
    (void)file;
    (void)status;
    ++*(unsigned *)context;
    return (0);
}

static bool
walk_home(bool *failedp, void *context)
{
    HOME_OPTIONS options = {context};
    STATUS status;
    unsigned count = 0;
    int ret;

    ret = home_walk(home_fd, &options, count_file, &count, &status);
    *failedp = fail_alloc_done();
    return (as_it_must(*failedp, ret, &status) && (*failedp || count > 300));
}

static bool
look_for_log(bool *failedp, void *context)
{
    HOME_OPTIONS options = {NULL};
    STATUS status;
    char *log_path, *path;
    int fd, ret;

    (void)context;
    path = NULL;
    fd = -1;
    if ((ret = home_log_path(home_fd, &log_path, &status)) == 0) {
        options.log_path = log_path;
        ret = home_newest_log(home_fd, &options, &path, &fd, &status);
    }
    *failedp = fail_alloc_done();
    if (fd >= 0)
        (void)close(fd);
    free(log_path);
    free(path);
    return (as_it_must(*failedp, ret, &status) && (*failedp || fd >= 0));
}

static void
test_memory(void)
{
    make_home();
    fail_every_alloc(walk_blocks, NULL, 3);
    fail_every_alloc(walk_log, NULL, 1);
    fail_every_alloc(walk_home, NULL, 300);
    fail_every_alloc(walk_home, (void *)(uintptr_t) "logs", 300);
    fail_every_alloc(look_for_log, NULL, 3);
}

/* A lock of this process, so that the list of locks needs memory. */
static void
test_memory_for_locks(void)
{
    struct flock lock;
    int fd;

    make_home();
    fd = openat(home_fd, "other0", O_RDWR | O_CLOEXEC);
    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    CU_ASSERT_EQUAL(fcntl(fd, F_SETLK, &lock), 0);
    fail_every_alloc(look_for_log, NULL, 4);
    (void)close(fd);
}

/* What is no file at all. */
static void
test_no_file(void)
{
    BLOCK_FILE block;
    LOG_FILE log;
    STATUS status;
    int fd, ret;

    make_home();
    ret = block_file_open(&block, -1, "nothing", true, &status);
    CHECK_STATUS(ret, &status, STATUS_IO, "nothing");
    block_file_close(&block);
    ret = log_file_open(&log, -1, "nothing", true, &status);
    CHECK_STATUS(ret, &status, STATUS_IO, "nothing");
    log_file_close(&log);
    ret = block_file_open(&block, home_fd, "a directory", true, &status);
    CHECK_STATUS(ret, &status, STATUS_IO, "cannot read a directory at offset 0");
    block_file_close(&block);
    ret = log_file_open(&log, home_fd, "a directory", true, &status);
    CHECK_STATUS(ret, &status, STATUS_IO, "cannot read a directory at offset 0");
    log_file_close(&log);
    fd = openat(home_fd, "t.wt", O_WRONLY | O_CLOEXEC);
    ret = block_file_open(&block, fd, "write-only", false, &status);
    CHECK_STATUS(ret, &status, STATUS_IO, "write-only");
    block_file_close(&block);
    (void)close(fd);
    {
        unsigned count = 0;

        ret = home_walk(-1, NULL, count_file, &count, &status);
        CHECK_STATUS(ret, &status, STATUS_IO, "home");
        ret = home_walk(block_fd, NULL, count_file, &count, &status);
        CHECK_STATUS(ret, &status, STATUS_IO, "directory");
    }
}

static int
without_descriptors(void *context)
{
    struct rlimit limit;
    HOME_EVIDENCE evidence;
    HOME_OPTIONS options = {"logs"};
    STATUS status;
    char *path;
    int fd, last, ret, used;
    unsigned count = 0, i;

    (void)context;
    if ((used = dup(0)) < 0)
        return (90);
    (void)close(used);
    /* With n descriptors to spare: an error of its own, never "no data", never fewer files. */
    for (last = 1, i = 0; i < 12; i++) {
        limit.rlim_cur = limit.rlim_max = (rlim_t)used + 12 - i;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
            return (91);
        count = 0;
        ret = home_walk(home_fd, &options, count_file, &count, &status);
        if (ret == 0 ? count < 300 : ret != STATUS_IO || status.sys_errno != EMFILE)
            return (92);
        if (ret == 0 && last == 0)
            return (93); /* with fewer it was enough? */
        if (ret != 0)
            last = 0;
        ret = home_has_data(home_fd, &options, &evidence, &status);
        if (ret != 0 ? status.sys_errno != EMFILE : !evidence.has_data)
            return (94);
        ret = home_newest_log(home_fd, &options, &path, &fd, &status);
        if (ret != 0 ? status.sys_errno != EMFILE : fd < 0)
            return (95);
        if (ret == 0) {
            (void)close(fd);
            free(path);
        }
        ret = home_open_data(home_fd, "t.wt", &fd, &status);
        if (ret != 0 ? status.sys_errno != EMFILE : fd < 0)
            return (96);
        if (ret == 0)
            (void)close(fd);
    }
    return (last);
}

static void
test_descriptors(void)
{
    make_home();
    CU_ASSERT_EQUAL(in_child(0, without_descriptors, NULL), 0);
}

typedef struct {
    int fd;
    off_t to;
    unsigned blocks;
} SHRINK;

static int
shrink(SHRINK *state)
{
    if (state->blocks++ == 1 && ftruncate(state->fd, state->to) != 0)
        abort();
    return (0);
}

static int
shrink_block(void *context, const BLOCK *block, STATUS *status)
{
    (void)block;
    (void)status;
    return (shrink(context));
}

static int
shrink_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    (void)record;
    (void)status;
    return (shrink(context));
}

/* The host truncates: the walk ends soon, without an error of its own making and without a crash. */
static void
test_shrinks(void)
{
    SHRINK state;
    BLOCK_HANDLER blocks = {shrink_block, NULL, NULL, NULL, &state};
    LOG_HANDLER records = {shrink_record, NULL, NULL, &state};
    BLOCK_FILE block;
    LOG_FILE log;
    STATUS status;
    uint8_t *data;
    size_t len;
    off_t to[] = {0, 100, 4096, 12000, 40000};
    unsigned i, mode;
    int ret;

    make_home();
    for (i = 0; i < sizeof(to) / sizeof(to[0]); i++)
        for (mode = 0; mode < 2; mode++) {
            data = fixture_read(home_fd, "t.wt", &len);
            memset(&state, 0, sizeof(state));
            state.fd = fixture_memory(data, len);
            state.to = to[i];
            CU_ASSERT_EQUAL(ftruncate(state.fd, (off_t)1 << 42), 0);
            CU_ASSERT_EQUAL(block_file_open(&block, state.fd, "shrinks", false, &status), 0);
            ret = block_file_walk(
              &block, mode == 0 ? BLOCK_WALK_FULL : BLOCK_WALK_HEADERS, &blocks, NULL, &status);
            CU_ASSERT_EQUAL(ret, 0);
            CU_ASSERT(state.blocks >= 2);
            CU_ASSERT(block.size < (uint64_t)1 << 42);
            block_file_close(&block);
            (void)close(state.fd);
            free(data);

            data = fixture_read(home_fd, "logs/WiredTigerLog.0000000001", &len);
            memset(&state, 0, sizeof(state));
            state.fd = fixture_memory(data, len);
            state.to = to[i];
            CU_ASSERT_EQUAL(log_file_open(&log, state.fd, "shrinks", false, &status), 0);
            ret = log_file_walk(&log, &records, NULL, &status);
            CU_ASSERT(ret == 0 || ret == STATUS_IO);
            log_file_close(&log);
            (void)close(state.fd);
            free(data);
        }
}

static void
count_progress(void *context, uint64_t done, uint64_t total)
{
    if (done > total)
        abort();
    ++*(unsigned *)context;
}

/* A log of records that are none, each as long as the rest of the file. */
static void
test_log_cost(void)
{
    const size_t len = 16 * 1024 * 1024;
    LOG_HANDLER handler = {NULL, NULL, NULL, NULL};
    HOME_EVIDENCE evidence;
    LOG_FILE log;
    STATUS status;
    uint8_t *data;
    size_t i;
    int dirfd, fd, ret;

    if ((data = calloc(1, len)) == NULL)
        abort();
    for (i = 0; i < len; i += 128) {
        fixture_put32(data + i, (uint32_t)(len - i));
        data[i + 8] = LOG_RECORD_FLAG_ENCRYPTED;
    }
    fixture_put32(data, 128);
    data[8] = 0;
    fixture_put32(data + 16, LOG_FILE_MAGIC);
    fixture_seal_record(data, 128);
    fd = fixture_memory(data, len);
    CU_ASSERT_EQUAL(log_file_open(&log, fd, "made", false, &status), 0);
    ret = log_file_walk(&log, &handler, NULL, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "would not end");
    log_file_close(&log);
    (void)close(fd);

    dirfd = make_dir(NULL);
    fixture_write(dirfd, "WiredTigerLog.0000000001", data, len);
    CU_ASSERT_EQUAL(home_has_data(dirfd, NULL, &evidence, &status), 0);
    CU_ASSERT_TRUE(evidence.has_data);
    (void)close(dirfd);
    free(data);
}

/* A preallocated log of two gigabytes, sparse; a log descriptor damaged in its length. */
static void
test_log_sparse(void)
{
    unsigned progress = 0;
    LOG_HANDLER handler = {NULL, NULL, count_progress, &progress};
    LOG_SUMMARY summary;
    LOG_FILE log;
    STATUS status;
    uint8_t start[256];
    int fd, ret;

    memset(start, 0, sizeof(start));
    fixture_put32(start, 128);
    fixture_put32(start + 16, LOG_FILE_MAGIC);
    fixture_seal_record(start, 128);
    fd = fixture_memory(start, sizeof(start));
    CU_ASSERT_EQUAL(ftruncate(fd, (off_t)2 << 30), 0);
    CU_ASSERT_EQUAL(log_file_open(&log, fd, "sparse", false, &status), 0);
    CU_ASSERT_EQUAL(log_file_walk(&log, &handler, &summary, &status), 0);
    CU_ASSERT_EQUAL(summary.tail_bytes, ((uint64_t)2 << 30) - 128);
    CU_ASSERT_EQUAL(summary.by_design, 1);
    CU_ASSERT(progress > 0);
    log_file_close(&log);
    (void)close(fd);

    fixture_put32(start, 192); /* no power of two */
    fd = fixture_memory(start, sizeof(start));
    ret = log_file_open(&log, fd, "odd", false, &status);
    CHECK_STATUS(ret, &status, STATUS_CORRUPT, "odd");
    log_file_close(&log);
    (void)close(fd);
}

/* An allocation size larger than what is read at a time. */
static void
test_large_allocation(void)
{
    const size_t unit = 4 * 1024 * 1024;
    WALKED walked;
    uint8_t *data;
    int fd;

    if ((data = calloc(3, unit)) == NULL)
        abort();
    fixture_put32(data, BLOCK_MAGIC);
    data[4] = 1;
    fixture_put32(data + 8, wiredtiger_crc32c_func()(data, unit));
    data[2 * unit + 24] = BLOCK_TYPE_ROW_LEAF;
    fixture_put32(data + 2 * unit + 28, (uint32_t)unit);
    data[2 * unit + 36] = 1;
    fixture_seal_block(data + 2 * unit, (uint32_t)unit);
    fd = fixture_memory(data, 3 * unit);
    memset(&walked, 0, sizeof(walked));
    walked_fd(&walked, fd, BLOCK_WALK_FULL, false);
    walked_complete(&walked);
    CU_ASSERT_EQUAL(walked.allocation_size, unit);
    CU_ASSERT_EQUAL(walked.count, 1);
    CU_ASSERT_EQUAL(walked.summary.zero_bytes, unit);
    walked_free(&walked);
    (void)close(fd);
    free(data);
}

const TEST failure_tests[] = {
  {"no memory", test_memory},
  {"no memory for the list of locks", test_memory_for_locks},
  {"no file", test_no_file},
  {"no descriptors", test_descriptors},
  {"files that become shorter", test_shrinks},
  {"a log made to take for ever", test_log_cost},
  {"a sparse log", test_log_sparse},
  {"large allocation units", test_large_allocation},
  {NULL, NULL},
};
