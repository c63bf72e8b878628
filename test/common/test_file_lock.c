/*
 * test/common/test_file_lock.c -- The lock between processes.
 */
#include "test/common/common_tests.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void
sleep_ms(int ms)
{
    struct timespec pause = {ms / 1000, (long)(ms % 1000) * 1000000};

    while (nanosleep(&pause, &pause) == -1)
        ;
}

static void
test_take_and_release(void)
{
    int dirfd = make_dir(NULL), fd, second;
    struct stat sb;
    STATUS s;
    int64_t start;
    mode_t mask = umask(0);

    CU_ASSERT_EQUAL_FATAL(file_lock(dirfd, "lock", 0, &fd, &s), 0);
    (void)umask(mask);
    CU_ASSERT((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    CU_ASSERT(fstat(fd, &sb) == 0 && (sb.st_mode & 07777) == 0600 && sb.st_size == 0);
    /* A second descriptor of the same process is held off too. */
    start = now_ms();
    CHECK_STATUS(file_lock(dirfd, "lock", 0, &second, &s), &s, STATUS_BUSY,
      "another process holds the lock lock");
    CU_ASSERT_EQUAL(second, -1);
    CHECK_STATUS(file_lock(dirfd, "lock", -5, &second, &s), &s, STATUS_BUSY, "holds the lock");
    CU_ASSERT(now_ms() - start < 20000);
    start = now_ms();
    CHECK_STATUS(file_lock(dirfd, "lock", 150, &second, &s), &s, STATUS_BUSY, "holds the lock");
    CU_ASSERT(now_ms() - start >= 150);
    (void)close(fd);
    CU_ASSERT_EQUAL_FATAL(file_lock(dirfd, "lock", 0, &fd, &s), 0);
    (void)close(fd);
    CU_ASSERT(exists(dirfd, "lock"));
    (void)close(dirfd);
}

/* A process that takes the lock, says so, and keeps it for a time or until it is killed. */
static pid_t
start_holder(int dirfd, int ms)
{
    int pipefd[2], fd;
    ssize_t n;
    pid_t pid;
    STATUS s;
    char byte = 0;

    (void)fflush(NULL);
    if (pipe(pipefd) == -1 || (pid = fork()) == -1)
        exit(1);
    if (pid == 0) {
        if (file_lock(dirfd, "lock", 5000, &fd, &s) != 0 || write(pipefd[1], "x", 1) != 1)
            _exit(1);
        sleep_ms(ms);
        _exit(0);
    }
    (void)close(pipefd[1]);
    /* A test's timer may be running. */
    while ((n = read(pipefd[0], &byte, 1)) == -1 && errno == EINTR)
        ;
    CU_ASSERT_EQUAL(n, 1);
    (void)close(pipefd[0]);
    return (pid);
}

static void
kill_holder(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
}

static void
test_wait(void)
{
    int dirfd = make_dir(NULL), fd;
    pid_t pid = start_holder(dirfd, 60000);
    STATUS s;

    CU_ASSERT_EQUAL(file_lock(dirfd, "lock", 0, &fd, &s), STATUS_BUSY);
    CU_ASSERT_EQUAL(file_lock(dirfd, "lock", 50, &fd, &s), STATUS_BUSY);
    /* A killed holder holds nothing. */
    kill_holder(pid);
    CU_ASSERT_EQUAL(file_lock(dirfd, "lock", 0, &fd, &s), 0);
    (void)close(fd);

    pid = start_holder(dirfd, 200);
    CU_ASSERT_EQUAL(file_lock(dirfd, "lock", 60000, &fd, &s), 0);
    (void)close(fd);
    (void)waitpid(pid, NULL, 0);
    (void)close(dirfd);
}

static void
on_alarm(int number)
{
    (void)number;
}

/* A host's signals interrupt the wait and must neither end it nor stretch it. */
static void
test_wait_under_signals(void)
{
    struct sigaction action, old;
    struct itimerval timer = {{0, 2000}, {0, 2000}}, off = {{0, 0}, {0, 0}};
    int dirfd = make_dir(NULL), fd, ret;
    pid_t pid = start_holder(dirfd, 60000);
    int64_t start;
    STATUS s;

    memset(&action, 0, sizeof(action));
    action.sa_handler = on_alarm; /* without SA_RESTART */
    (void)sigaction(SIGALRM, &action, &old);
    (void)setitimer(ITIMER_REAL, &timer, NULL);
    start = now_ms();
    ret = file_lock(dirfd, "lock", 100, &fd, &s);
    CU_ASSERT_EQUAL(ret, STATUS_BUSY);
    CU_ASSERT(now_ms() - start >= 100 && now_ms() - start < 20000);
    kill_holder(pid);
    pid = start_holder(dirfd, 200);
    CU_ASSERT_EQUAL(file_lock(dirfd, "lock", 60000, &fd, &s), 0);
    (void)setitimer(ITIMER_REAL, &off, NULL);
    (void)sigaction(SIGALRM, &old, NULL);
    (void)close(fd);
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
    (void)close(dirfd);
}

#define WRITERS 4
#define ROUNDS 50

/* Count up in a file, with the lock as the only order. */
static int
count_up(void *context)
{
    int dirfd = *(int *)context, fd, i;
    unsigned number;
    uint8_t *buf;
    size_t len;
    char text[16];
    STATUS s;

    for (i = 0; i < ROUNDS; i++) {
        if (file_lock(dirfd, "lock", 60000, &fd, &s) != 0 ||
            file_read(dirfd, "count", 100, true, NULL, &buf, &len, &s) != 0)
            return (1);
        number = (unsigned)strtoul((char *)buf, NULL, 10) + 1;
        free(buf);
        (void)snprintf(text, sizeof(text), "%u", number);
        if (file_replace(dirfd, "count", text, strlen(text), 0600, true, &s) != 0)
            return (2);
        (void)close(fd);
    }
    return (0);
}

static void
test_contention(void)
{
    int dirfd = make_dir(NULL), i, wstatus;
    pid_t pids[WRITERS];
    char expected[16];

    put_file(dirfd, "count", "0", 1, 0600);
    (void)fflush(NULL);
    for (i = 0; i < WRITERS; i++)
        if ((pids[i] = fork()) == 0)
            _exit(count_up(&dirfd));
    for (i = 0; i < WRITERS; i++) {
        CU_ASSERT_EQUAL(waitpid(pids[i], &wstatus, 0), pids[i]);
        CU_ASSERT(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    }
    (void)snprintf(expected, sizeof(expected), "%d", WRITERS * ROUNDS);
    CU_ASSERT(file_holds(dirfd, "count", expected, -1));
    CU_ASSERT_EQUAL(count_entries(dirfd), 3);
    (void)close(dirfd);
}

static int
lock_named_file(void *context)
{
    int dirfd = *(int *)context, fd;
    struct stat a, b;
    STATUS s;

    if (file_lock(dirfd, "lock", 10000, &fd, &s) != 0)
        return (1);
    if (fstat(fd, &a) == -1 || fstatat(dirfd, "lock", &b, 0) == -1)
        return (2);
    return (a.st_ino == b.st_ino ? 0 : 3);
}

/* Somebody tidies the lock file away while it is waited for: who gets it must hold the named one. */
static void
test_removed_while_waited_for(void)
{
    int dirfd = make_dir(NULL), fd, wstatus;
    STATUS s;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(file_lock(dirfd, "lock", 0, &fd, &s), 0);
    (void)fflush(NULL);
    if ((pid = fork()) == 0) {
        (void)close(fd); /* a lock is its open file's, which fork shares */
        _exit(lock_named_file(&dirfd));
    }
    sleep_ms(100);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "lock", 0), 0);
    /* Another file takes the name and the inode's number is not free yet. */
    put_file(dirfd, "lock", "", 0, 0600);
    (void)close(fd);
    CU_ASSERT_EQUAL(waitpid(pid, &wstatus, 0), pid);
    CU_ASSERT(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    (void)close(dirfd);
}

static void
test_no_lock_file(void)
{
    const char *path;
    int dirfd = make_dir(&path), fd;
    STATUS s;

    CU_ASSERT_EQUAL(symlinkat("victim", dirfd, "link"), 0);
    CHECK_STATUS(file_lock(dirfd, "link", 0, &fd, &s), &s, STATUS_IO, "cannot open the lock link");
    CU_ASSERT_FALSE(exists(dirfd, "victim"));
    CU_ASSERT_EQUAL(mkdirat(dirfd, "dir", 0700), 0);
    CHECK_STATUS(file_lock(dirfd, "dir", 0, &fd, &s), &s, STATUS_IO, "cannot open the lock dir");
    CU_ASSERT_EQUAL(mkfifoat(dirfd, "fifo", 0600), 0);
    CHECK_STATUS(file_lock(dirfd, "fifo", 0, &fd, &s), &s, STATUS_IO, "not a regular file");
    CU_ASSERT_EQUAL(fd, -1);
    CHECK_STATUS(file_lock(dirfd, "../lock", 0, &fd, &s), &s, STATUS_IO, "named \"../lock\"");
    CU_ASSERT_EQUAL(unlinkat(dirfd, "link", 0), 0);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "fifo", 0), 0);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "dir", AT_REMOVEDIR), 0);
    CU_ASSERT_EQUAL(rmdir(path), 0);
    CHECK_STATUS(file_lock(dirfd, "lock", 0, &fd, &s), &s, STATUS_IO, "No such file");
    (void)close(dirfd);
}

static uid_t
owner_after_lock(int dirfd, const char *name)
{
    struct stat sb;
    STATUS s;
    int fd;

    CU_ASSERT_EQUAL_FATAL(file_lock(dirfd, name, 0, &fd, &s), 0);
    CU_ASSERT_EQUAL(fstat(fd, &sb), 0);
    (void)close(fd);
    return (sb.st_uid);
}

static void
test_owner(void)
{
    int dirfd = make_dir(NULL);

    if (!is_root("owner"))
        return;
    CU_ASSERT_EQUAL(fchown(dirfd, OTHER_UID, OTHER_UID), 0);
    CU_ASSERT_EQUAL(owner_after_lock(dirfd, "lock"), OTHER_UID);
    /* As a killed root process would leave it. */
    put_file(dirfd, "left", "", 0, 0600);
    CU_ASSERT_EQUAL(owner_after_lock(dirfd, "left"), OTHER_UID);
    /* What the directory's owner may have put there to be given it. */
    put_file(dirfd, "shadow", "", 0, 0600);
    CU_ASSERT_EQUAL(linkat(dirfd, "shadow", dirfd, "linked", 0), 0);
    CU_ASSERT_EQUAL(owner_after_lock(dirfd, "linked"), 0);
    put_file(dirfd, "content", "x", 1, 0600);
    CU_ASSERT_EQUAL(owner_after_lock(dirfd, "content"), 0);
    (void)close(dirfd);
}

const TEST file_lock_tests[] = {{"take_and_release", test_take_and_release}, {"wait", test_wait},
  {"wait_under_signals", test_wait_under_signals}, {"contention", test_contention},
  {"removed_while_waited_for", test_removed_while_waited_for}, {"no_lock_file", test_no_lock_file},
  {"owner", test_owner}, {NULL, NULL}};
