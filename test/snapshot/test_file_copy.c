/*
 * test/snapshot/test_file_copy.c -- One file copied: every byte, holes, hash, and never through a link.
 */
#include "crypto/mac.h"
#include "snapshot/file_copy.h"
#include "test/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void
count(void *context, uint64_t bytes)
{
    *(uint64_t *)context += bytes;
}

/* Copy a file of a directory, and compare the copy with it. Returns how many bytes the copy has on disk. */
static uint64_t
copy_and_compare(int dir, const char *name, off_t size)
{
    FILE_COPIER *copier;
    FILE_COPY_RESULT result;
    STATUS status;
    struct stat sb;
    uint64_t seen = 0;
    uint8_t *a, *b, hash[MAC_LEN];
    FILE_COPY_OPTIONS options = {.progress = count, .context = &seen};
    int from, to;

    CU_ASSERT_FATAL((from = openat(dir, name, O_RDONLY)) >= 0);
    CU_ASSERT_FATAL(file_copy_create(dir, "sub/dir/copy", 0600, &to, &status) == 0);
    CU_ASSERT_FATAL(file_copier_new(&options, &copier, &status) == 0);
    CU_ASSERT_EQUAL_FATAL(file_copy(copier, from, to, name, &result, &status), 0);
    CU_ASSERT_EQUAL(result.size, (uint64_t)size);
    CU_ASSERT_EQUAL(seen, (uint64_t)size);
    a = malloc((size_t)size + 1);
    b = malloc((size_t)size + 1);
    CU_ASSERT_FATAL(a != NULL && b != NULL);
    CU_ASSERT_EQUAL(pread(from, a, (size_t)size + 1, 0), size);
    CU_ASSERT_EQUAL(pread(to, b, (size_t)size + 1, 0), size);
    CU_ASSERT_EQUAL(memcmp(a, b, (size_t)size), 0);
    CU_ASSERT_FATAL(mac_sha256(a, (size_t)size, hash, &status) == 0);
    CU_ASSERT_EQUAL(memcmp(hash, result.sha256, sizeof(hash)), 0);
    CU_ASSERT_FATAL(fstat(to, &sb) == 0);
    CU_ASSERT_EQUAL(sb.st_mode & 0777, 0600);
    file_copier_free(copier);
    (void)close(from);
    (void)close(to);
    CU_ASSERT_EQUAL(unlinkat(dir, "sub/dir/copy", 0), 0);
    free(a);
    free(b);
    return ((uint64_t)sb.st_blocks * 512);
}

static void
test_copies(void)
{
    static const off_t sizes[] = {
      0, 1, 4096, (off_t)FILE_COPY_BUFFER, 3 * (off_t)FILE_COPY_BUFFER + 5};
    uint8_t *data = malloc(4 * FILE_COPY_BUFFER);
    size_t i;
    int dir = make_dir(NULL);

    CU_ASSERT_FATAL(data != NULL);
    for (i = 0; i < 4 * FILE_COPY_BUFFER; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put_file(dir, "from", data, (size_t)sizes[i], 0600);
        (void)copy_and_compare(dir, "from", sizes[i]);
    }
    free(data);
    (void)close(dir);
}

/* A byte here and there in 40 MB of nothing, at the start, at the end or not. */
static void
test_holes(void)
{
    static const off_t places[][3] = {{0, 0, 0}, {5 << 20, 5 << 20, 5 << 20},
      {0, 20 << 20, (40 << 20) - 1}, {(40 << 20) - 1, (40 << 20) - 1, (40 << 20) - 1}};
    size_t i, n;
    int dir = make_dir(NULL), fd;

    for (i = 0; i <= sizeof(places) / sizeof(places[0]); i++) {
        CU_ASSERT_FATAL((fd = openat(dir, "holes", O_RDWR | O_CREAT | O_TRUNC, 0600)) >= 0);
        CU_ASSERT_FATAL(ftruncate(fd, 40 << 20) == 0);
        for (n = 0; i < sizeof(places) / sizeof(places[0]) && n < 3; n++)
            CU_ASSERT_EQUAL(pwrite(fd, "x", 1, places[i][n]), 1);
        (void)close(fd);
        CU_ASSERT_TRUE(copy_and_compare(dir, "holes", 40 << 20) < (uint64_t)(8 << 20));
    }
    (void)close(dir);
}

static void
test_links(void)
{
    STATUS status;
    int dir = make_dir(NULL), fd, outside = make_dir(NULL);
    const char *name;
    char link[64];

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", outside);
    CU_ASSERT_FATAL(symlinkat(link, dir, "out") == 0);
    CU_ASSERT_EQUAL(file_copy_create(dir, "out/a", 0600, &fd, &status), STATUS_IO);
    CU_ASSERT_EQUAL(fd, -1);
    CU_ASSERT_EQUAL(file_copy_create(dir, "out", 0600, &fd, &status), STATUS_IO);
    CU_ASSERT_EQUAL(status.sys_errno, EEXIST);
    CU_ASSERT_EQUAL(file_copy_open_parent(dir, "out/a", &fd, &name, &status), STATUS_IO);
    CU_ASSERT_EQUAL(count_entries(outside), 0);
    CU_ASSERT_EQUAL(file_copy_create(dir, "a/b/c", 0600, &fd, &status), 0);
    (void)close(fd);
    CU_ASSERT_EQUAL(file_copy_create(dir, "a/b/c", 0600, &fd, &status), STATUS_IO);
    CU_ASSERT_EQUAL(status.sys_errno, EEXIST);
    CU_ASSERT_EQUAL(file_copy_create(dir, "a/b/c/d", 0600, &fd, &status), STATUS_IO);
    CU_ASSERT_EQUAL(file_copy_open_parent(dir, "a/b/c", &fd, &name, &status), 0);
    CU_ASSERT_STRING_EQUAL(name, "c");
    (void)close(fd);
    CU_ASSERT_EQUAL(file_copy_sync_tree(dir, &status), 0);
    (void)close(outside);
    (void)close(dir);
}

static int
shorten(void *context, uint64_t offset, const void *data, size_t len, STATUS *status)
{
    (void)data;
    (void)status;
    if (offset == 0)
        CU_ASSERT_EQUAL(ftruncate(*(int *)context, (off_t)len), 0);
    return (0);
}

static void
test_changes(void)
{
    FILE_COPIER *copier;
    FILE_COPY_RESULT result;
    FILE_COPY_OPTIONS options = {.throttle = 20 * 1000 * 1000};
    STATUS status;
    struct timespec begin, end;
    uint8_t *data = calloc(4, FILE_COPY_BUFFER);
    int dir = make_dir(NULL), fd;

    CU_ASSERT_FATAL(data != NULL);
    memset(data, 7, 4 * FILE_COPY_BUFFER);
    put_file(dir, "from", data, 4 * FILE_COPY_BUFFER, 0600);
    CU_ASSERT_FATAL((fd = openat(dir, "from", O_RDWR)) >= 0);
    CU_ASSERT_FATAL(file_copier_new(&options, &copier, &status) == 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &begin);
    CU_ASSERT_EQUAL(
      file_copy_pass(copier, fd, "from", 4 * FILE_COPY_BUFFER, NULL, NULL, &result, &status), 0);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    /* 4 MiB at 20 MB a second */
    CU_ASSERT_TRUE(
      (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9 > 0.19);
    CHECK_STATUS(
      file_copy_pass(copier, fd, "from", 4 * FILE_COPY_BUFFER, shorten, &fd, &result, &status),
      &status, STATUS_REFUSED, "became shorter");
    file_copier_free(copier);
    (void)close(fd);
    (void)close(dir);
    free(data);
}

static const TEST file_copy_tests[] = {{"copies", test_copies}, {"holes", test_holes},
  {"links", test_links}, {"changes", test_changes}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {{"file_copy", file_copy_tests}, {NULL, NULL}};
