/*
 * test/engine/test_recovery.c -- SIGKILL at random moments: what was acknowledged is there.
 */
#include "test/engine/tests.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define COLLECTION "table:collection-0"
#define INDEX "table:index-1"
#define OPLOG "table:oplog"
#define UNLOGGED "table:unlogged"

/* Checkpoints all the time, so that the kill meets one at any point of it. */
static void *
checkpoint_main(void *arg)
{
    HOST *host = arg;
    WT_SESSION *session;

    if (host->conn->open_session(host->conn, NULL, NULL, &session) != 0)
        _exit(2);
    for (;;) {
        if (session->checkpoint(session, NULL) != 0)
            _exit(3);
        (void)usleep(20000);
    }
    return (NULL);
}

/*
 * The process that will be killed: one transaction after another over four tables, each durable
 * before its number goes into the pipe. It ends by the signal only; other ends are failures.
 */
static void
killed_process(HOST *host, int64_t first, int fd)
{
    static const char *const tables[] = {COLLECTION, INDEX, OPLOG, UNLOGGED};
    WT_CURSOR *cursors[4];
    WT_SESSION *session;
    pthread_t thread;
    int64_t key;
    size_t i;

    if (host_open(host, NULL) != 0 ||
        host->conn->open_session(host->conn, NULL, "isolation=snapshot", &session) != 0) {
        (void)fprintf(stderr, "%s\n", host->errors);
        _exit(4);
    }
    for (i = 0; i < 4; i++)
        if (session->create(
              session, tables[i], i == 1 ? mongod_index(true) : mongod_collection(i != 3)) != 0 ||
            session->open_cursor(session, tables[i], NULL, NULL, &cursors[i]) != 0)
            _exit(5);
    if (pthread_create(&thread, NULL, checkpoint_main, host) != 0)
        _exit(6);
    for (key = first;; key++) {
        if (session->begin_transaction(session, NULL) != 0)
            _exit(7);
        for (i = 0; i < 4; i++) {
            row_set_key(cursors[i], key);
            row_set_value(cursors[i], key, 0, 300);
            if (cursors[i]->insert(cursors[i]) != 0)
                _exit(8);
        }
        if (session->commit_transaction(session, "sync=on") != 0)
            _exit(9);
        if (write(fd, &key, sizeof(key)) != sizeof(key))
            _exit(10);
    }
}

/* Start the process, let it commit for some time, kill it; the last acknowledged number. */
static int64_t
run_and_kill(HOST *host, int64_t first, useconds_t after)
{
    pid_t pid;
    int64_t acknowledged = first - 1, key;
    ssize_t n;
    int fds[2], status;

    REQUIRE(pipe(fds) == 0);
    (void)fflush(NULL);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        killed_process(host, first, fds[1]);
    }
    (void)close(fds[1]);
    /* The first commit says that it has started. A pipe that ends says that it has failed. */
    n = read(fds[0], &key, sizeof(key));
    if (n == sizeof(key)) {
        acknowledged = key;
        (void)usleep(after);
    }
    (void)kill(pid, SIGKILL);
    while (read(fds[0], &key, sizeof(key)) == sizeof(key))
        acknowledged = key;
    (void)close(fds[0]);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (!WIFSIGNALED(status))
        printf("\n    the writing process ended by itself: %d", WEXITSTATUS(status));
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return (acknowledged);
}

/* The highest key of a table; keys must run from 1 without a gap. */
static int64_t
last_row(HOST *host, WT_SESSION *session, const char *uri)
{
    WT_CURSOR *cursor;
    int64_t last = 0;
    int ret;

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    while ((ret = cursor->next(cursor)) == 0)
        last++;
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    OK(host, cursor->close(cursor));
    rows_check(host, session, uri, 1, last, 0, 300);
    return (last);
}

static void
killed(HOST *host, int kills)
{
    WT_SESSION *session;
    uint32_t state = (uint32_t)getpid();
    int64_t acknowledged, first = 1, last = 0;
    int i;
    useconds_t after;

    for (i = 0; i < kills; i++) {
        after = (useconds_t)(engine_random(&state) % 400000);
        acknowledged = run_and_kill(host, first, after);
        /* What a thief of the disk finds after a power cut. */
        if (host->encrypted)
            CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);

        OK(host, host_open(host, NULL));
        session = host_session(host);
        last = last_row(host, session, OPLOG);
        if (last < acknowledged)
            printf("\n    killed after %u us: %lld acknowledged, %lld there", (unsigned)after,
              (long long)acknowledged, (long long)last);
        CU_ASSERT(last >= acknowledged);
        /* One commit at most was under way: there entirely, or not at all. */
        CU_ASSERT(last <= acknowledged + 1);
        CU_ASSERT_EQUAL(last_row(host, session, COLLECTION), last);
        CU_ASSERT_EQUAL(last_row(host, session, INDEX), last);
        /* What is not logged is that of the last checkpoint; the gap is filled, as replication would. */
        CU_ASSERT(last_row(host, session, UNLOGGED) <= last);
        rows_put(host, session, UNLOGGED, 1, last, 0, 300);
        OK(host, host_close(host));
        first = last + 1;
    }
    CU_ASSERT(last > kills);
}

static void
killed_encrypted(HOST *host)
{
    killed(host, engine_long() ? 25 : 3);
    CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);
}

/* The twin shows that the search would find something: one kill is enough. */
static void
killed_once(HOST *host)
{
    killed(host, 1);
}

static void
test_killed(void)
{
    engine_encrypted("killed", killed_encrypted);
}

static void
test_killed_once(void)
{
    engine_scenario("killed-once", killed_once);
}

const TEST recovery_tests[] = {{"SIGKILL at random moments", test_killed},
  {"SIGKILL, with a plain twin", test_killed_once}, {NULL, NULL}};
