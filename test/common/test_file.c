/*
 * test/common/test_file.c -- Reading, creating, replacing files; paths.
 */
#include "test/common/common_tests.h"

#include "common/file.h"
#include "test/fail_alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void
test_open_dir(void)
{
    const char *path;
    char below[4300];
    int dirfd = make_dir(&path), fd;
    STATUS s;

    CU_ASSERT_EQUAL(file_open_dir(path, &fd, &s), 0);
    CU_ASSERT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    (void)close(fd);
    put_file(dirfd, "f", "x", 1, 0600);
    (void)snprintf(below, sizeof(below), "%s/f", path);
    CHECK_STATUS(file_open_dir(below, &fd, &s), &s, STATUS_IO, "Not a directory");
    CU_ASSERT_EQUAL(fd, -1);
    (void)snprintf(below, sizeof(below), "%s/none", path);
    CHECK_STATUS(file_open_dir(below, &fd, &s), &s, STATUS_IO, "No such file");
    CU_ASSERT_EQUAL(s.sys_errno, ENOENT);
    (void)close(dirfd);
}

static void
test_read(void)
{
    int dirfd = make_dir(NULL);
    uint8_t *buf = (uint8_t *)&dirfd;
    size_t len = 1;
    bool found;
    STATUS s;

    put_file(dirfd, "ten",
      "0123456\0"
      "89",
      10, 0600);
    put_file(dirfd, "empty", "", 0, 0600);

    CU_ASSERT_EQUAL_FATAL(file_read(dirfd, "ten", 100, true, &found, &buf, &len, &s), 0);
    CU_ASSERT(found && len == 10 &&
              memcmp(buf,
                "0123456\0"
                "89",
                11) == 0);
    free(buf);
    CU_ASSERT_EQUAL_FATAL(file_read(dirfd, "ten", 10, false, NULL, &buf, &len, &s), 0);
    CU_ASSERT_EQUAL(len, 10);
    free(buf);
    CHECK_STATUS(file_read(dirfd, "ten", 9, true, &found, &buf, &len, &s), &s, STATUS_CORRUPT,
      "ten is larger than 9 bytes");
    CU_ASSERT(buf == NULL && len == 0);
    CHECK_STATUS(file_read(dirfd, "ten", 0, true, &found, &buf, &len, &s), &s, STATUS_CORRUPT,
      "larger than 0");
    CU_ASSERT_EQUAL_FATAL(file_read(dirfd, "empty", 0, true, &found, &buf, &len, &s), 0);
    CU_ASSERT(len == 0 && buf[0] == '\0');
    free(buf);
    CU_ASSERT_EQUAL_FATAL(file_read(dirfd, "ten", SIZE_MAX, true, NULL, &buf, &len, &s), 0);
    CU_ASSERT_EQUAL(len, 10);
    free(buf);
    (void)close(dirfd);
}

static void
test_read_missing(void)
{
    int dirfd = make_dir(NULL);
    uint8_t *buf;
    size_t len = 1;
    bool found = true;
    STATUS s;

    CU_ASSERT_EQUAL(file_read(dirfd, "none", 100, true, &found, &buf, &len, &s), 0);
    CU_ASSERT(!found && buf == NULL && len == 0);
    CHECK_STATUS(
      file_read(dirfd, "none", 100, true, NULL, &buf, &len, &s), &s, STATUS_IO, "No such file");
    CU_ASSERT_STRING_EQUAL(s.id, "file-missing");
    put_file(dirfd, "f", "x", 1, 0600);
    CHECK_STATUS(file_read(dirfd, "f/below", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "Not a directory");
    CU_ASSERT_STRING_EQUAL(s.id, "file-open");
    (void)close(dirfd);
}

static void
test_read_what_is_no_file(void)
{
    int dirfd = make_dir(NULL);
    uint8_t *buf;
    size_t len;
    bool found;
    STATUS s;

    put_file(dirfd, "real", "content", 7, 0600);
    CU_ASSERT_EQUAL(symlinkat("real", dirfd, "link"), 0);
    CU_ASSERT_EQUAL(symlinkat("nowhere", dirfd, "dangling"), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "dir", 0700), 0);
    CU_ASSERT_EQUAL(mkfifoat(dirfd, "fifo", 0600), 0);

    CHECK_STATUS(file_read(dirfd, "link", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "link is a symbolic link");
    CU_ASSERT_EQUAL(s.sys_errno, ELOOP);
    CHECK_STATUS(file_read(dirfd, "dangling", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "symbolic link");
    CU_ASSERT_EQUAL(file_read(dirfd, "link", 100, false, &found, &buf, &len, &s), 0);
    CU_ASSERT_EQUAL(len, 7);
    free(buf);
    CU_ASSERT_EQUAL(file_read(dirfd, "dangling", 100, false, &found, &buf, &len, &s), 0);
    CU_ASSERT_FALSE(found);
    CHECK_STATUS(file_read(dirfd, "dir", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "not a regular file");
    /* Would hang here for ever without O_NONBLOCK. */
    CHECK_STATUS(file_read(dirfd, "fifo", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "not a regular file");
    CHECK_STATUS(file_read(AT_FDCWD, "/dev/null", 100, true, &found, &buf, &len, &s), &s, STATUS_IO,
      "not a regular file");
    (void)close(dirfd);
}

/* procfs says size 0 and has more: the buffer must grow. */
static void
test_read_without_size(void)
{
    uint8_t *buf;
    size_t len, again;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(
      file_read(AT_FDCWD, "/proc/self/status", 1 << 20, true, NULL, &buf, &len, &s), 0);
    CU_ASSERT(len > 200 && memcmp(buf, "Name:", 5) == 0 && strlen((char *)buf) == len);
    free(buf);
    CHECK_STATUS(file_read(AT_FDCWD, "/proc/self/status", 100, true, NULL, &buf, &again, &s), &s,
      STATUS_CORRUPT, "larger than 100");
}

static void
test_read_into(void)
{
    int dirfd = make_dir(NULL), fd;
    char buf[8];
    size_t len;
    bool full, found;
    STATUS s;

    put_file(dirfd, "f", "abcdef", 6, 0600);
    CU_ASSERT_EQUAL_FATAL(file_open_read(dirfd, "f", true, &found, &fd, &s), 0);
    CU_ASSERT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CU_ASSERT_EQUAL(file_read_into(fd, "f", buf, 4, &len, &full, &s), 0);
    CU_ASSERT(len == 4 && full && memcmp(buf, "abcd", 4) == 0);
    CU_ASSERT_EQUAL(file_read_into(fd, "f", buf, 8, &len, &full, &s), 0);
    CU_ASSERT(len == 2 && !full && memcmp(buf, "ef", 2) == 0);
    (void)close(fd);
    CHECK_STATUS(file_read_into(fd, "f", buf, 8, &len, &full, &s), &s, STATUS_IO, "cannot read f");
    CU_ASSERT_EQUAL(file_open_read(dirfd, "none", true, &found, &fd, &s), 0);
    CU_ASSERT(!found && fd == -1);
    (void)close(dirfd);
}

static void
test_replace(void)
{
    int dirfd = make_dir(NULL);
    struct stat sb;
    STATUS s;
    mode_t mask = umask(0077);

    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "one", 3, 0644, true, &s), 0);
    (void)umask(0);
    CU_ASSERT(file_holds(dirfd, "f", "one", -1));
    CU_ASSERT_EQUAL(fstatat(dirfd, "f", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0644);
    CU_ASSERT_EQUAL(count_entries(dirfd), 1); /* no .prev of nothing */

    CU_ASSERT_EQUAL(fchmodat(dirfd, "f", 0640, 0), 0);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "two", 3, 0600, true, &s), 0);
    CU_ASSERT(file_holds(dirfd, "f", "two", -1) && file_holds(dirfd, "f.prev", "one", -1));
    CU_ASSERT_EQUAL(fstatat(dirfd, "f", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0640);

    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "three", 5, 0600, true, &s), 0);
    CU_ASSERT(file_holds(dirfd, "f", "three", -1) && file_holds(dirfd, "f.prev", "two", -1));
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "", 0, 0600, false, &s), 0);
    CU_ASSERT(file_holds(dirfd, "f", "", 0) && file_holds(dirfd, "f.prev", "two", -1));
    CU_ASSERT_EQUAL(count_entries(dirfd), 2);

    CU_ASSERT_EQUAL(file_replace(dirfd, "g", "x", 1, 0600, false, &s), 0);
    CU_ASSERT_EQUAL(fstatat(dirfd, "g", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0600);
    (void)umask(mask);
    (void)close(dirfd);
}

/* A set-uid bit on the old file is no reason to write a set-uid file. */
static void
test_replace_drops_special_bits(void)
{
    int dirfd = make_dir(NULL);
    struct stat sb;
    STATUS s;

    put_file(dirfd, "f", "x", 1, 06755);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "y", 1, 0600, false, &s), 0);
    CU_ASSERT_EQUAL(fstatat(dirfd, "f", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0755);
    (void)close(dirfd);
}

/* The writer that the file is read by at the same time must not be disturbed, nor seen half-way. */
static void
test_replace_is_a_new_file(void)
{
    int dirfd = make_dir(NULL), old;
    char buf[8];
    STATUS s;

    put_file(dirfd, "f", "old", 3, 0600);
    old = openat(dirfd, "f", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "new", 3, 0600, true, &s), 0);
    CU_ASSERT(read(old, buf, sizeof(buf)) == 3 && memcmp(buf, "old", 3) == 0);
    (void)close(old);
    (void)close(dirfd);
}

static void
test_replace_symlinks(void)
{
    int dirfd = make_dir(NULL), victims = make_dir(NULL);
    const char *victim_path;
    char path[4300];
    int other = make_dir(&victim_path);
    STATUS s;

    put_file(other, "victim", "precious", 8, 0600);
    (void)snprintf(path, sizeof(path), "%s/victim", victim_path);

    /* The file itself: refused, and nothing is left beside it. */
    CU_ASSERT_EQUAL(symlinkat(path, dirfd, "f"), 0);
    CHECK_STATUS(
      file_replace(dirfd, "f", "evil", 4, 0600, true, &s), &s, STATUS_IO, "f is a symbolic link");
    CU_ASSERT_EQUAL(count_entries(dirfd), 1);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "f", 0), 0);
    (void)snprintf(path, sizeof(path), "%s/new-victim", victim_path);
    CU_ASSERT_EQUAL(symlinkat(path, dirfd, "f"), 0);
    CHECK_STATUS(
      file_replace(dirfd, "f", "evil", 4, 0600, true, &s), &s, STATUS_IO, "symbolic link");
    CU_ASSERT_FALSE(exists(other, "new-victim"));
    CU_ASSERT_EQUAL(unlinkat(dirfd, "f", 0), 0);

    /* Links laid in the way of what is written beside it: removed or replaced, never followed. */
    (void)snprintf(path, sizeof(path), "%s/victim", victim_path);
    put_file(dirfd, "f", "old", 3, 0600);
    CU_ASSERT_EQUAL(symlinkat(path, dirfd, "f.new"), 0);
    CU_ASSERT_EQUAL(symlinkat(path, dirfd, "f.prev"), 0);
    CU_ASSERT_EQUAL(symlinkat(path, dirfd, "f.prev.new"), 0);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "new", 3, 0600, true, &s), 0);
    CU_ASSERT(file_holds(dirfd, "f", "new", -1) && file_holds(dirfd, "f.prev", "old", -1));
    CU_ASSERT_EQUAL(count_entries(dirfd), 2);
    CU_ASSERT(file_holds(other, "victim", "precious", -1));
    (void)close(dirfd);
    (void)close(victims);
    (void)close(other);
}

static void
test_replace_refusals(void)
{
    int dirfd = make_dir(NULL);
    char name[NAME_MAX + 2];
    STATUS s;

    CU_ASSERT_EQUAL(mkdirat(dirfd, "dir", 0700), 0);
    CHECK_STATUS(
      file_replace(dirfd, "dir", "x", 1, 0600, true, &s), &s, STATUS_IO, "not a regular");
    CHECK_STATUS(file_replace(dirfd, "", "x", 1, 0600, true, &s), &s, STATUS_IO, "named \"\"");
    CHECK_STATUS(file_replace(dirfd, ".", "x", 1, 0600, true, &s), &s, STATUS_IO, "named \".\"");
    CHECK_STATUS(file_replace(dirfd, "..", "x", 1, 0600, true, &s), &s, STATUS_IO, "named \"..\"");
    CHECK_STATUS(file_replace(dirfd, "dir/x", "x", 1, 0600, true, &s), &s, STATUS_IO, "dir/x");
    CHECK_STATUS(file_replace(dirfd, "/x", "x", 1, 0600, true, &s), &s, STATUS_IO, "named \"/x\"");
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    CHECK_STATUS(file_replace(dirfd, name, "x", 1, 0600, true, &s), &s, STATUS_IO, "too long");
    name[NAME_MAX - 9] = '\0';
    put_file(dirfd, name, "a", 1, 0600);
    CU_ASSERT_EQUAL(file_replace(dirfd, name, "x", 1, 0600, true, &s), 0);
    CU_ASSERT_EQUAL(count_entries(dirfd), 3);

    /* What is in the way and cannot be removed. */
    put_file(dirfd, "f", "old", 3, 0600);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "f.new", 0700), 0);
    CHECK_STATUS(
      file_replace(dirfd, "f", "new", 3, 0600, true, &s), &s, STATUS_IO, "remove the stale f.new");
    CU_ASSERT_EQUAL(unlinkat(dirfd, "f.new", AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "f.prev.new", 0700), 0);
    CHECK_STATUS(file_replace(dirfd, "f", "new", 3, 0600, true, &s), &s, STATUS_IO, "f.prev.new");
    CU_ASSERT_FALSE(exists(dirfd, "f.new"));
    CU_ASSERT_EQUAL(unlinkat(dirfd, "f.prev.new", AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "f.prev", 0700), 0);
    CHECK_STATUS(file_replace(dirfd, "f", "new", 3, 0600, true, &s), &s, STATUS_IO,
      "keep the old f as f.prev");
    CU_ASSERT(!exists(dirfd, "f.new") && !exists(dirfd, "f.prev.new"));
    CU_ASSERT(file_holds(dirfd, "f", "old", -1));
    (void)close(dirfd);
    CHECK_STATUS(file_replace(dirfd, "f", "x", 1, 0600, true, &s), &s, STATUS_IO, "Bad file");
    CHECK_STATUS(file_create(dirfd, "f", "x", 1, 0600, &s), &s, STATUS_IO, "Bad file");
}

static void
test_replace_removed_directory(void)
{
    const char *path;
    int dirfd = make_dir(&path);
    STATUS s;

    CU_ASSERT_EQUAL(rmdir(path), 0);
    CHECK_STATUS(
      file_replace(dirfd, "f", "x", 1, 0600, true, &s), &s, STATUS_IO, "cannot create f.new");
    (void)close(dirfd);
}

static void
test_create(void)
{
    int dirfd = make_dir(NULL);
    struct stat sb;
    STATUS s;
    mode_t mask = umask(0777);

    CU_ASSERT_EQUAL(file_create(dirfd, "f", "one", 3, 0640, &s), 0);
    (void)umask(mask);
    CU_ASSERT_EQUAL(fstatat(dirfd, "f", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0640);
    CU_ASSERT(file_holds(dirfd, "f", "one", -1));
    CHECK_STATUS(file_create(dirfd, "f", "two", 3, 0640, &s), &s, STATUS_REFUSED, "f exists");
    CU_ASSERT_STRING_EQUAL(s.id, "file-exists");
    CU_ASSERT(file_holds(dirfd, "f", "one", -1));
    CU_ASSERT_EQUAL(symlinkat("target", dirfd, "link"), 0);
    CHECK_STATUS(file_create(dirfd, "link", "two", 3, 0640, &s), &s, STATUS_REFUSED, "link exists");
    CU_ASSERT_FALSE(exists(dirfd, "target"));
    CHECK_STATUS(file_create(dirfd, "a/b", "two", 3, 0640, &s), &s, STATUS_IO, "named \"a/b\"");
    CU_ASSERT_EQUAL(count_entries(dirfd), 2);
    (void)close(dirfd);
}

/* --- disks that are full */

static char big[300 * 1024];

static int
replace_over_limit(void *context)
{
    int dirfd = *(int *)context;
    struct rlimit limit = {100 * 1024, 100 * 1024};
    STATUS s;

    (void)signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) == -1)
        return (1);
    /* The first 100 KiB are written: a short write, then EFBIG. */
    if (file_replace(dirfd, "f", big, sizeof(big), 0600, true, &s) != STATUS_IO ||
        s.sys_errno != EFBIG)
        return (2);
    if (file_create(dirfd, "g", big, sizeof(big), 0600, &s) != STATUS_IO || s.sys_errno != EFBIG)
        return (3);
    return (file_replace(dirfd, "small", big, 100 * 1024, 0600, true, &s));
}

static void
test_file_size_limit(void)
{
    int dirfd = make_dir(NULL);

    put_file(dirfd, "f", "old", 3, 0600);
    CU_ASSERT_EQUAL(in_child(0, replace_over_limit, &dirfd), 0);
    CU_ASSERT(file_holds(dirfd, "f", "old", -1));
    CU_ASSERT(file_holds(dirfd, "small", big, 100 * 1024));
    CU_ASSERT_EQUAL(count_entries(dirfd), 2);
    (void)close(dirfd);
}

/* In a mount namespace of its own, so that nothing is left mounted whatever happens. */
static int
on_full_disk(void *context)
{
    const char *path = context;
    int dirfd, fd;
    STATUS s;

    if (unshare(CLONE_NEWNS) == -1 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 ||
        mount("tmpfs", path, "tmpfs", 0, "size=64k,mode=755") == -1)
        return (100);
    if (file_open_dir(path, &dirfd, &s) != 0 ||
        file_replace(dirfd, "f", big, 30000, 0600, true, &s) != 0)
        return (1);
    if (file_replace(dirfd, "f", big, 100000, 0600, true, &s) != STATUS_IO || s.sys_errno != ENOSPC)
        return (2);
    if (status_host_errno(&s) != ENOSPC || !file_holds(dirfd, "f", big, 30000) ||
        count_entries(dirfd) != 1)
        return (3);
    if (file_create(dirfd, "g", big, 100000, 0600, &s) != STATUS_IO || s.sys_errno != ENOSPC ||
        exists(dirfd, "g"))
        return (4);
    /* There is room again, since nothing was left behind. */
    if (file_replace(dirfd, "f", "small", 5, 0600, true, &s) != 0)
        return (5);
    if (mount("none", path, NULL, MS_REMOUNT | MS_RDONLY, NULL) == -1)
        return (101);
    if (file_replace(dirfd, "f", "x", 1, 0600, true, &s) != STATUS_IO || s.sys_errno != EROFS ||
        status_host_errno(&s) != EROFS)
        return (6);
    if (file_lock(dirfd, "lock", 1000, &fd, &s) != STATUS_IO || s.sys_errno != EROFS || fd != -1)
        return (7);
    return (file_holds(dirfd, "f", "small", 5) ? 0 : 8);
}

static void
test_full_disk(void)
{
    const char *path;
    char copy[4300];
    int dirfd, result;

    if (!is_root("full_disk"))
        return;
    dirfd = make_dir(&path);
    (void)snprintf(copy, sizeof(copy), "%s", path);
    result = in_child(0, on_full_disk, copy);
    if (result >= 100)
        (void)printf("(left out: nothing can be mounted here) ");
    else
        CU_ASSERT_EQUAL(result, 0);
    (void)close(dirfd);
}

static int
without_descriptors(void *context)
{
    int dirfd = *(int *)context, fd;
    struct rlimit limit;
    uint8_t *buf;
    size_t len;
    STATUS s;

    if ((fd = dup(0)) == -1 || close(fd) == -1)
        return (1);
    /* One descriptor is left: the old file takes it, the new one finds none. */
    limit.rlim_cur = limit.rlim_max = (rlim_t)fd + 1;
    if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
        return (2);
    if (file_replace(dirfd, "f", "new", 3, 0600, true, &s) != STATUS_IO || s.sys_errno != EMFILE)
        return (3);
    if (file_read(dirfd, "f", 10, true, NULL, &buf, &len, &s) != 0)
        return (4);
    free(buf);
    return (dup(0) == fd ? 0 : 5);
}

static void
test_no_descriptors(void)
{
    int dirfd = make_dir(NULL);

    put_file(dirfd, "f", "old", 3, 0600);
    CU_ASSERT_EQUAL(in_child(0, without_descriptors, &dirfd), 0);
    CU_ASSERT(file_holds(dirfd, "f", "old", -1));
    CU_ASSERT_EQUAL(count_entries(dirfd), 1);
    (void)close(dirfd);
}

static void
test_split_path(void)
{
    static const char *const wrong[] = {
      "", "/", ".", "..", "a/", "/tmp/", "/tmp/.", "/tmp/..", "//"};
    const char *name, *path;
    char buf[4300];
    int dirfd = make_dir(&path), fd;
    struct stat a, b;
    STATUS s;
    size_t i;

    (void)snprintf(buf, sizeof(buf), "%s/file", path);
    CU_ASSERT_EQUAL_FATAL(file_split_path(buf, &fd, &name, &s), 0);
    CU_ASSERT_STRING_EQUAL(name, "file");
    CU_ASSERT(fstat(fd, &a) == 0 && fstat(dirfd, &b) == 0 && a.st_ino == b.st_ino);
    (void)close(fd);
    CU_ASSERT_EQUAL_FATAL(file_split_path("name", &fd, &name, &s), 0);
    CU_ASSERT_STRING_EQUAL(name, "name");
    CU_ASSERT(fstat(fd, &a) == 0 && stat(".", &b) == 0 && a.st_ino == b.st_ino);
    (void)close(fd);
    CU_ASSERT_EQUAL_FATAL(file_split_path("/name", &fd, &name, &s), 0);
    CU_ASSERT_STRING_EQUAL(name, "name");
    CU_ASSERT(fstat(fd, &a) == 0 && stat("/", &b) == 0 && a.st_ino == b.st_ino);
    (void)close(fd);
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        CHECK_STATUS(file_split_path(wrong[i], &fd, &name, &s), &s, STATUS_CONFIG, "does not name");
        CU_ASSERT(fd == -1 && name == NULL);
    }
    CHECK_STATUS(
      file_split_path("/no-such-directory/x", &fd, &name, &s), &s, STATUS_IO, "/no-such-directory");
    CU_ASSERT(fd == -1 && name == NULL);
    (void)close(dirfd);
}

static bool
read_without_memory(bool *failedp, void *context)
{
    uint8_t *buf;
    size_t len;
    STATUS s;
    int ret = file_read(AT_FDCWD, context, 1 << 20, true, NULL, &buf, &len, &s);

    *failedp = fail_alloc_done();
    free(buf);
    return (*failedp ? ret == STATUS_NO_MEMORY && buf == NULL && len == 0 : ret == 0);
}

static bool
split_without_memory(bool *failedp, void *context)
{
    const char *name;
    STATUS s;
    int fd, ret = file_split_path(context, &fd, &name, &s);

    *failedp = fail_alloc_done();
    if (*failedp)
        return (ret == STATUS_NO_MEMORY && fd == -1 && name == NULL);
    (void)close(fd);
    return (ret == 0);
}

static void
test_no_memory(void)
{
    static char file[] = "/proc/self/status", relative[] = "x";

    fail_every_alloc(read_without_memory, file, 2);
    fail_every_alloc(split_without_memory, file, 1);
    fail_every_alloc(split_without_memory, relative, 1);
}

const TEST file_tests[] = {{"open_dir", test_open_dir}, {"read", test_read},
  {"read_missing", test_read_missing}, {"read_what_is_no_file", test_read_what_is_no_file},
  {"read_without_size", test_read_without_size}, {"read_into", test_read_into},
  {"replace", test_replace}, {"replace_drops_special_bits", test_replace_drops_special_bits},
  {"replace_is_a_new_file", test_replace_is_a_new_file},
  {"replace_symlinks", test_replace_symlinks}, {"replace_refusals", test_replace_refusals},
  {"replace_removed_directory", test_replace_removed_directory}, {"create", test_create},
  {"file_size_limit", test_file_size_limit}, {"full_disk", test_full_disk},
  {"no_descriptors", test_no_descriptors}, {"split_path", test_split_path},
  {"no_memory", test_no_memory}, {NULL, NULL}};
