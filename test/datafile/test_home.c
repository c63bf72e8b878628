/*
 * test/datafile/test_home.c -- Files of a home, whatever they are called; what counts as data.
 */
#include "test/datafile/fixture.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_STRING "log=(enabled=true,archive=false,file_max=1MB)"

typedef struct {
    char path[64][256];
    HOME_FILE_KIND kind[64];
    bool metadata[64], log_path[64];
    size_t count;
    bool bad;
    unsigned stop_after;
} LISTED;

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    LISTED *listed = context;
    struct stat st;

    if (listed->count == 64)
        return (status_set(status, STATUS_INTERNAL, "test", "too many files"));
    (void)snprintf(listed->path[listed->count], 256, "%s", file->path);
    listed->kind[listed->count] = file->kind;
    listed->metadata[listed->count] = file->is_metadata;
    listed->log_path[listed->count] = file->in_log_path;
    if (file->fd >= 0 && (fstat(file->fd, &st) != 0 || st.st_ino != file->inode ||
                           (uint64_t)st.st_size != file->size))
        listed->bad = true;
    if ((file->fd < 0) !=
        (file->kind == HOME_LOCKED || file->kind == HOME_UNREADABLE || file->kind == HOME_SPECIAL))
        listed->bad = true;
    listed->count++;
    return (listed->stop_after != 0 && listed->count == listed->stop_after ? WALK_STOP : 0);
}

static int
list(LISTED *listed, int dirfd, const char *log_path)
{
    HOME_OPTIONS options = {log_path};
    STATUS status;

    memset(listed, 0, sizeof(*listed));
    return (home_walk(dirfd, &options, on_file, listed, &status));
}

/* The kind of a path, or -1. */
static int
kind_of(const LISTED *listed, const char *path)
{
    size_t i;

    for (i = 0; i < listed->count; i++)
        if (strcmp(listed->path[i], path) == 0)
            return ((int)listed->kind[i]);
    return (-1);
}

static void
test_kinds(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    LISTED listed;
    const char *home;
    size_t i;
    int dirfd;

    dirfd = make_dir(&home);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "journal", 0755), 0);
    conn = fixture_connect(home, true, LOG_STRING);
    session = fixture_session(conn);
    fixture_create(session, "table:t", "key_format=S,value_format=S");
    fixture_rows(session, "table:t", 0, 100, 100);
    fixture_close(conn);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "db one", 0755), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "db one/index", 0755), 0);
    CU_ASSERT_EQUAL(renameat(dirfd, "t.wt", dirfd, "db one/index/a name\nwith \xff bytes"), 0);
    CU_ASSERT_EQUAL(
      renameat(dirfd, "WiredTigerLog.0000000001", dirfd, "journal/WiredTigerLog.0000000001"), 0);
    put_file(dirfd, "wtkms.keystore", "x", 1, 0600);
    put_file(dirfd, "wtkms.state", "x", 1, 0600);
    put_file(dirfd, "WiredTiger.config", "# x\n", 4, 0600);
    put_file(dirfd, "fake.wt", "no block file at all", 20, 0600);
    put_file(dirfd, "empty.wt", "", 0, 0600);
    put_file(dirfd, "db one/WiredTiger.lock", "x", 1, 0600);
    CU_ASSERT_EQUAL(mkfifoat(dirfd, "pipe", 0600), 0);
    CU_ASSERT_EQUAL(symlinkat("nowhere", dirfd, "dangling"), 0);
    CU_ASSERT_EQUAL(symlinkat("self", dirfd, "self"), 0);

    CU_ASSERT_EQUAL(list(&listed, dirfd, NULL), 0);
    CU_ASSERT_FALSE(listed.bad);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger"), HOME_VERSION);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger.lock"), HOME_LOCKED);
    CU_ASSERT_EQUAL(kind_of(&listed, "db one/WiredTiger.lock"), HOME_LOCKED);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger.turtle"), HOME_TURTLE);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger.basecfg"), HOME_BASE_CONFIG);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger.config"), HOME_USER_CONFIG);
    CU_ASSERT_EQUAL(kind_of(&listed, "WiredTiger.wt"), HOME_BLOCK_FILE);
    CU_ASSERT_EQUAL(kind_of(&listed, "wtkms.keystore"), HOME_KEYSTORE);
    CU_ASSERT_EQUAL(kind_of(&listed, "wtkms.state"), HOME_OWN_OTHER);
    CU_ASSERT_EQUAL(kind_of(&listed, "db one/index/a name\nwith \xff bytes"), HOME_BLOCK_FILE);
    CU_ASSERT_EQUAL(kind_of(&listed, "journal/WiredTigerLog.0000000001"), HOME_LOG_FILE);
    CU_ASSERT_EQUAL(kind_of(&listed, "fake.wt"), HOME_OTHER);
    CU_ASSERT_EQUAL(kind_of(&listed, "empty.wt"), HOME_OTHER);
    CU_ASSERT_EQUAL(kind_of(&listed, "pipe"), HOME_SPECIAL);
    CU_ASSERT_EQUAL(kind_of(&listed, "dangling"), HOME_SPECIAL);
    CU_ASSERT_EQUAL(kind_of(&listed, "self"), HOME_SPECIAL);
    for (i = 0; i < listed.count; i++)
        CU_ASSERT_EQUAL(listed.metadata[i], strcmp(listed.path[i], "WiredTiger.wt") == 0);

    memset(&listed, 0, sizeof(listed));
    {
        STATUS status;

        listed.stop_after = 2;
        CU_ASSERT_EQUAL(home_walk(dirfd, NULL, on_file, &listed, &status), 0);
        CU_ASSERT_EQUAL(listed.count, 2);
    }
    (void)close(dirfd);
}

/* Links to directories are followed, in circles and through many doors only once. */
static void
test_links(void)
{
    LISTED listed;
    char name[32];
    uint8_t data[512];
    unsigned i;
    int dirfd, other;

    other = make_dir(NULL);
    memset(data, 0, sizeof(data));
    fixture_put32(data, BLOCK_MAGIC);
    fixture_write(other, "far.wt", data, sizeof(data));
    dirfd = make_dir(NULL);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "a", 0755), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "a/b", 0755), 0);
    fixture_write(dirfd, "a/b/near.wt", data, sizeof(data));
    CU_ASSERT_EQUAL(symlinkat("..", dirfd, "a/up"), 0);
    CU_ASSERT_EQUAL(symlinkat("../..", dirfd, "a/b/top"), 0);
    for (i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "door%u", i);
        CU_ASSERT_EQUAL(symlinkat("a", dirfd, name), 0);
        (void)snprintf(name, sizeof(name), "a/door%u", i);
        CU_ASSERT_EQUAL(symlinkat("b", dirfd, name), 0);
    }
    CU_ASSERT_EQUAL(linkat(dirfd, "a/b/near.wt", dirfd, "zz", 0), 0);
    CU_ASSERT_EQUAL(list(&listed, dirfd, NULL), 0);
    CU_ASSERT_EQUAL(listed.count, 1);
    CU_ASSERT_EQUAL(listed.kind[0], HOME_BLOCK_FILE);

    /* The other directory as the log path, and linked as well. */
    {
        char link[64], path[4300];

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", other);
        path[readlink(link, path, sizeof(path) - 1)] = '\0';
        CU_ASSERT_EQUAL(list(&listed, dirfd, path), 0);
        CU_ASSERT_EQUAL(listed.count, 2);
        CU_ASSERT_TRUE(listed.log_path[1]);
        CU_ASSERT_FALSE(listed.log_path[0]);
        CU_ASSERT_EQUAL(symlinkat(path, dirfd, "0log"), 0);
        CU_ASSERT_EQUAL(list(&listed, dirfd, path), 0);
        CU_ASSERT_EQUAL(listed.count, 2);
        CU_ASSERT_EQUAL(kind_of(&listed, "0log/far.wt"), HOME_BLOCK_FILE);
        CU_ASSERT_TRUE(listed.log_path[0]);
    }
    CU_ASSERT_EQUAL(list(&listed, dirfd, "no such place"), 0);

    for (i = 0; i < 40; i++) {
        int next = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), deeper;
        unsigned j;

        for (j = 0; j < i; j++) {
            deeper = openat(next, "deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            (void)close(next);
            next = deeper;
        }
        CU_ASSERT_EQUAL(mkdirat(next, "deep", 0755), 0);
        (void)close(next);
    }
    CU_ASSERT_EQUAL(list(&listed, dirfd, NULL), STATUS_REFUSED);
    (void)close(dirfd);
    (void)close(other);
}

/* In another process: who holds a lock on that file? */
static pid_t
lock_holder(int dirfd, const char *name)
{
    struct flock lock;
    pid_t holder, pid;
    int fd, pipes[2];

    CU_ASSERT_EQUAL_FATAL(pipe(pipes), 0);
    if ((pid = fork()) == 0) {
        memset(&lock, 0, sizeof(lock));
        lock.l_type = F_WRLCK;
        fd = openat(dirfd, name, O_RDWR | O_CLOEXEC);
        holder =
          fd >= 0 && fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
        _exit(write(pipes[1], &holder, sizeof(holder)) == sizeof(holder) ? 0 : 1);
    }
    CU_ASSERT_EQUAL(read(pipes[0], &holder, sizeof(holder)), sizeof(holder));
    (void)waitpid(pid, NULL, 0);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    return (holder);
}

/* With the database open in this process, its locks outlive whatever we do. */
static void
test_locks(void)
{
    WT_CONNECTION *conn;
    HOME_EVIDENCE evidence;
    LISTED listed;
    STATUS status;
    struct flock lock;
    const char *home;
    char *path;
    int dirfd, fd, mine, ret;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, LOG_STRING);
    CU_ASSERT_EQUAL_FATAL(lock_holder(dirfd, "WiredTiger.lock"), getpid());
    CU_ASSERT_EQUAL(linkat(dirfd, "WiredTiger.lock", dirfd, "innocent.wt", 0), 0);
    CU_ASSERT_EQUAL(symlinkat("WiredTiger.lock", dirfd, "another"), 0);
    /* a lock of somebody else in this process, an embedded database say */
    put_file(dirfd, "other.db", "x", 1, 0600);
    mine = openat(dirfd, "other.db", O_RDWR | O_CLOEXEC);
    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    CU_ASSERT_EQUAL(fcntl(mine, F_SETLK, &lock), 0);

    CU_ASSERT_EQUAL(list(&listed, dirfd, NULL), 0);
    CU_ASSERT_FALSE(listed.bad);
    CU_ASSERT_EQUAL(kind_of(&listed, "other.db"), HOME_LOCKED);
    CU_ASSERT_EQUAL(home_has_data(dirfd, NULL, &evidence, &status), 0);
    CU_ASSERT_EQUAL(home_newest_log(dirfd, NULL, &path, &fd, &status), 0);
    CU_ASSERT_STRING_EQUAL(path, "WiredTigerLog.0000000001");
    free(path);
    (void)close(fd);
    CU_ASSERT_EQUAL(home_log_path(dirfd, &path, &status), 0);
    free(path);
    ret = home_open_data(dirfd, "innocent.wt", &fd, &status);
    CHECK_STATUS(ret, &status, STATUS_REFUSED, "innocent.wt holds a lock");
    ret = home_open_data(dirfd, "another", &fd, &status);
    CHECK_STATUS(ret, &status, STATUS_REFUSED, "another holds a lock");
    CU_ASSERT_EQUAL(home_open_data(dirfd, "WiredTiger.wt", &fd, &status), 0);
    CU_ASSERT(fd >= 0);
    (void)close(fd);
    CU_ASSERT_EQUAL(home_open_data(dirfd, "missing.wt", &fd, &status), 0);
    CU_ASSERT_EQUAL(fd, -1);
    ret = home_open_data(dirfd, ".", &fd, &status);
    CHECK_STATUS(ret, &status, STATUS_REFUSED, "no regular file");

    CU_ASSERT_EQUAL(lock_holder(dirfd, "WiredTiger.lock"), getpid());
    CU_ASSERT_EQUAL(lock_holder(dirfd, "other.db"), getpid());
    (void)close(mine);
    fixture_close(conn);

    /* With no lock held it is told by what it is a link to. */
    CU_ASSERT_EQUAL(list(&listed, dirfd, NULL), 0);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "another", 0), 0);
    ret = home_open_data(dirfd, "innocent.wt", &fd, &status);
    CHECK_STATUS(ret, &status, STATUS_REFUSED, "innocent.wt holds a lock");
    (void)close(dirfd);
}

static bool
has_data(int dirfd, const char *log_path, const char *which)
{
    HOME_OPTIONS options = {log_path};
    HOME_EVIDENCE evidence;
    STATUS status;

    if (home_has_data(dirfd, &options, &evidence, &status) != 0) {
        CU_FAIL("home_has_data failed");
        return (false);
    }
    if (which != NULL && strcmp(evidence.path, which) != 0)
        (void)fprintf(stderr, "decided by %s, not by %s\n", evidence.path, which);
    CU_ASSERT_TRUE(which == NULL || strcmp(evidence.path, which) == 0);
    return (evidence.has_data);
}

static void
test_data(void)
{
    static const char *const certain[] = {
      "WiredTiger.turtle", "WiredTiger.wt", "WiredTiger.backup", "WiredTiger.ibackup"};
    static const char *const nothing[] = {"WiredTiger", "WiredTiger.lock", "WiredTiger.basecfg",
      "WiredTiger.config", "wtkms.keystore", "wtkms.keystore.lock", "mongod.lock", "storage.bson",
      "collection.wt"};
    WT_CONNECTION *conn;
    WT_SESSION *session;
    const char *home;
    uint8_t *block, *log;
    size_t block_len, i, log_len;
    int dirfd, source;

    source = make_dir(&home);
    conn = fixture_connect(home, true, LOG_STRING);
    session = fixture_session(conn);
    fixture_create(session, "table:t", "key_format=S,value_format=S");
    fixture_rows(session, "table:t", 0, 10, 100);
    fixture_close(conn);
    block = fixture_read(source, "t.wt", &block_len);
    log = fixture_read(source, "WiredTigerLog.0000000001", &log_len);

    dirfd = make_dir(NULL);
    CU_ASSERT_FALSE(has_data(dirfd, NULL, ""));
    for (i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        put_file(dirfd, nothing[i], "nothing\n", 8, 0600);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "journal", 0755), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "diagnostic.data", 0755), 0);
    put_file(dirfd, "diagnostic.data/metrics", "x", 1, 0600);
    CU_ASSERT_FALSE(has_data(dirfd, NULL, ""));
    for (i = 0; i < sizeof(certain) / sizeof(certain[0]); i++) {
        put_file(dirfd, certain[i], "", 0, 0600);
        CU_ASSERT_TRUE(has_data(dirfd, NULL, certain[i]));
        CU_ASSERT_EQUAL(unlinkat(dirfd, certain[i], 0), 0);
    }

    /* a block file under any name, at any depth */
    CU_ASSERT_EQUAL(mkdirat(dirfd, "db", 0755), 0);
    fixture_write(dirfd, "db/some file", block, block_len);
    CU_ASSERT_TRUE(has_data(dirfd, NULL, "db/some file"));
    fixture_write(dirfd, "db/some file", block, 512); /* a table without a row */
    CU_ASSERT_TRUE(has_data(dirfd, NULL, "db/some file"));
    CU_ASSERT_EQUAL(unlinkat(dirfd, "db/some file", 0), 0);

    /* a log file with a record, not one that is only prepared */
    fixture_write(dirfd, "journal/WiredTigerPreplog.0000000001", log, 128);
    fixture_write(dirfd, "journal/WiredTigerLog.0000000001", log, 256);
    CU_ASSERT_FALSE(has_data(dirfd, NULL, ""));
    {
        uint8_t *zeros = calloc(1, 1024 * 1024);

        if (zeros == NULL)
            abort();
        memcpy(zeros, log, 256);
        fixture_write(dirfd, "journal/WiredTigerLog.0000000001", zeros, 1024 * 1024);
        CU_ASSERT_FALSE(has_data(dirfd, NULL, ""));
        zeros[700000] = 1; /* torn, but something was written */
        fixture_write(dirfd, "journal/WiredTigerLog.0000000001", zeros, 1024 * 1024);
        CU_ASSERT_TRUE(has_data(dirfd, NULL, "journal/WiredTigerLog.0000000001"));
        free(zeros);
    }
    fixture_write(dirfd, "journal/WiredTigerLog.0000000001", log, log_len);
    CU_ASSERT_TRUE(has_data(dirfd, NULL, "journal/WiredTigerLog.0000000001"));
    CU_ASSERT_EQUAL(unlinkat(dirfd, "journal/WiredTigerLog.0000000001", 0), 0);
    CU_ASSERT_FALSE(has_data(dirfd, NULL, ""));

    /* in a log path elsewhere */
    {
        char link[64], path[4300], which[4400];

        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", source);
        path[readlink(link, path, sizeof(path) - 1)] = '\0';
        CU_ASSERT_EQUAL(unlinkat(source, "WiredTiger.wt", 0), 0);
        CU_ASSERT_EQUAL(unlinkat(source, "t.wt", 0), 0);
        (void)unlinkat(source, "WiredTigerLAS.wt", 0);
        (void)unlinkat(source, "WiredTigerHS.wt", 0);
        (void)unlinkat(source, "WiredTiger.turtle", 0);
        (void)snprintf(which, sizeof(which), "%s/WiredTigerLog.0000000001", path);
        CU_ASSERT_TRUE(has_data(dirfd, path, which));
    }
    free(block);
    free(log);
    (void)close(source);
    (void)close(dirfd);
}

static int
as_other(void *context)
{
    HOME_EVIDENCE evidence;
    STATUS status;
    int fd, ret;

    if ((fd = open(context, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        return (100);
    ret = home_has_data(fd, NULL, &evidence, &status);
    if (ret == 0)
        return (evidence.has_data ? 50 : 0);
    return (ret == STATUS_IO && status.sys_errno == EACCES && status.hint[0] != '\0' ? 1 : 101);
}

static void
test_unreadable(void)
{
    const char *path;
    char home[4200];
    int dirfd;

    if (!is_root("unreadable files"))
        return;
    dirfd = make_dir(&path);
    (void)snprintf(home, sizeof(home), "%s", path);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "lost+found", 0700), 0);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, as_other, home), 0);
    put_file(dirfd, "restored.wt", "x", 1, 0600);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, as_other, home), 1);
    CU_ASSERT_EQUAL(unlinkat(dirfd, "restored.wt", 0), 0);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "db", 0700), 0);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, as_other, home), 1);
    (void)close(dirfd);
}

static void
newest(int dirfd, const char *log_path, const char *expected)
{
    HOME_OPTIONS options = {log_path};
    STATUS status;
    char *path;
    int fd;

    CU_ASSERT_EQUAL(home_newest_log(dirfd, &options, &path, &fd, &status), 0);
    if (expected == NULL) {
        CU_ASSERT_PTR_NULL(path);
        CU_ASSERT_EQUAL(fd, -1);
    } else {
        CU_ASSERT_PTR_NOT_NULL_FATAL(path);
        CU_ASSERT_STRING_EQUAL(path, expected);
        CU_ASSERT(fd >= 0);
        (void)close(fd);
    }
    free(path);
}

static void
test_newest(void)
{
    uint8_t log[256];
    int dirfd;

    memset(log, 0, sizeof(log));
    fixture_put32(log + 16, LOG_FILE_MAGIC);
    dirfd = make_dir(NULL);
    newest(dirfd, NULL, NULL);
    newest(dirfd, "nowhere", NULL);
    fixture_write(dirfd, "WiredTigerLog.0000000009", log, sizeof(log));
    fixture_write(dirfd, "WiredTigerLog.0000000010", log, sizeof(log));
    fixture_write(dirfd, "WiredTigerPreplog.0000000099", log, sizeof(log));
    fixture_write(dirfd, "WiredTigerLog.00000000100", log, sizeof(log));
    fixture_write(dirfd, "WiredTigerLog.000000002x", log, sizeof(log));
    newest(dirfd, NULL, "WiredTigerLog.0000000010");
    put_file(dirfd, "WiredTigerLog.0000000011", "", 0, 0600); /* a crash left it empty */
    newest(dirfd, NULL, "WiredTigerLog.0000000010");
    CU_ASSERT_EQUAL(mkdirat(dirfd, "journal", 0755), 0);
    newest(dirfd, NULL, "WiredTigerLog.0000000010");
    fixture_write(dirfd, "journal/WiredTigerLog.0000000003", log, sizeof(log));
    newest(dirfd, NULL, "journal/WiredTigerLog.0000000003");
    CU_ASSERT_EQUAL(mkdirat(dirfd, "logs", 0755), 0);
    newest(dirfd, "logs", "journal/WiredTigerLog.0000000003");
    fixture_write(dirfd, "logs/WiredTigerLog.0000000001", log, sizeof(log));
    newest(dirfd, "logs", "logs/WiredTigerLog.0000000001");
    (void)close(dirfd);
}

static void
log_path_is(int dirfd, const char *expected)
{
    STATUS status;
    char *path;

    CU_ASSERT_EQUAL(home_log_path(dirfd, &path, &status), 0);
    if (expected == NULL)
        CU_ASSERT_PTR_NULL(path)
    else {
        CU_ASSERT_PTR_NOT_NULL_FATAL(path);
        CU_ASSERT_STRING_EQUAL(path, expected);
    }
    free(path);
}

static void
test_log_path(void)
{
    WT_CONNECTION *conn;
    const char *home;
    int dirfd;

    dirfd = make_dir(&home);
    log_path_is(dirfd, NULL);
    CU_ASSERT_EQUAL(mkdirat(dirfd, "my logs", 0755), 0);
    conn = fixture_connect(home, false, "log=(enabled=true,file_max=1MB,path=\"my logs\")");
    fixture_close(conn);
    log_path_is(dirfd, "my logs");
    newest(dirfd, "my logs", "my logs/WiredTigerLog.0000000001");
    put_file(dirfd, "WiredTiger.basecfg", "# none\n", 7, 0600);
    log_path_is(dirfd, NULL);
    (void)close(dirfd);
}

const TEST home_tests[] = {
  {"kinds, by magic and by name", test_kinds},
  {"links, circles, depth, log path", test_links},
  {"locks of this process stay", test_locks},
  {"what counts as data", test_data},
  {"unreadable is no answer", test_unreadable},
  {"the newest log", test_newest},
  {"the log path of an application", test_log_path},
  {NULL, NULL},
};
