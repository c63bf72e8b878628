/*
 * test/engine/test_rotation.c -- Keys rotated while the engine works: eight threads write and checkpoint,
 * wtkms rotates, and the engine or wtkms is killed at random moments. What was acknowledged is there,
 * in the home and in copies that were taken in the middle of it with the keystore copied last.
 */
#include "test/engine/tests.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define THREADS 8
#define SIZE 300
#define WAIT_MS 60000 /* for what must happen */

enum { COPY_NONE, COPY_WANTED, COPY_DONE, COPY_FAILED };

/* What the engine's process and the test's share. */
typedef struct {
    atomic_llong acknowledged[THREADS]; /* rows from 1 that are durable */
    atomic_int open;                    /* threads that have committed */
    atomic_int copy;
    char copy_home[PATH_MAX]; /* where to; the other process made its HOST after the fork */
} SHARED;

typedef struct {
    HOST *host;
    SHARED *shared;
    unsigned number;
    int64_t first;
} WRITER;

static const char *const rotations[][2] = {{"data", "--all"}, {"master", "--all"}, {"cmk", NULL}};

static void
table_name(char buf[32], unsigned number)
{
    (void)snprintf(buf, 32, "table:w%u", number);
}

/* --- the process that will be killed; whatever fails ends it with a code, which fails the test */

static void *
writer_main(void *arg)
{
    WRITER *writer = arg;
    WT_CONNECTION *conn = writer->host->conn;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    char uri[32];
    int64_t key;

    table_name(uri, writer->number);
    if (conn->open_session(conn, NULL, "isolation=snapshot", &session) != 0 ||
        session->create(session, uri, mongod_collection(true)) != 0 ||
        session->open_cursor(session, uri, NULL, NULL, &cursor) != 0)
        _exit(11);
    for (key = writer->first;; key++) {
        if (session->begin_transaction(session, NULL) != 0)
            _exit(12);
        row_set_key(cursor, key);
        row_set_value(cursor, key, 0, SIZE);
        if (cursor->insert(cursor) != 0)
            _exit(13);
        if (session->commit_transaction(session, "sync=on") != 0)
            _exit(14);
        atomic_store(&writer->shared->acknowledged[writer->number], key);
        if (key == writer->first)
            atomic_fetch_add(&writer->shared->open, 1);
        /* A row of long ago: under an old key by now. */
        if (key % 10 == 0) {
            row_set_key(cursor, key / 10);
            if (cursor->search(cursor) != 0 || !row_value_is(cursor, key / 10, 0, SIZE))
                _exit(15);
        }
    }
}

static void *
checkpoint_main(void *arg)
{
    HOST *host = arg;
    WT_SESSION *session;

    if (host->conn->open_session(host->conn, NULL, NULL, &session) != 0)
        _exit(16);
    for (;; (void)usleep(30000))
        if (session->checkpoint(session, NULL) != 0)
            _exit(17);
}

/* A hot backup as a tool takes one. The mirror before the keystore, so that it is never the newer one. */
static int
take_copy(const HOST *host, const char *copy_home)
{
    WT_CURSOR *cursor;
    WT_SESSION *session;
    const char *name;
    char path[PATH_MAX];
    int ret;

    if (host->conn->open_session(host->conn, NULL, NULL, &session) != 0 ||
        session->open_cursor(session, "backup:", NULL, NULL, &cursor) != 0)
        return (1);
    while ((ret = cursor->next(cursor)) == 0) {
        if (cursor->get_key(cursor, &name) != 0)
            return (1);
        (void)snprintf(path, sizeof(path), "%s%s",
          strncmp(name, "WiredTigerLog.", 14) == 0 ? "journal/" : "", name);
        file_copy(host->home, copy_home, path);
        (void)usleep(5000); /* a copy takes time, and keys are rotated meanwhile */
    }
    if (file_exists(host->home, "WiredTiger.config"))
        file_copy(host->home, copy_home, "WiredTiger.config");
    file_copy(host->home, copy_home, "wtkms.keystore");
    return (ret == WT_NOTFOUND && session->close(session, NULL) == 0 ? 0 : 1);
}

static void
killed_process(HOST *host, SHARED *shared)
{
    static WRITER writers[THREADS];
    pthread_t thread;
    unsigned i;

    if (host_open(host, NULL) != 0) {
        (void)fprintf(stderr, "%s\n", host->errors);
        _exit(10);
    }
    for (i = 0; i < THREADS; i++) {
        writers[i] = (WRITER){host, shared, i, atomic_load(&shared->acknowledged[i]) + 1};
        if (pthread_create(&thread, NULL, writer_main, &writers[i]) != 0)
            _exit(18);
    }
    if (pthread_create(&thread, NULL, checkpoint_main, host) != 0)
        _exit(18);
    for (;; (void)usleep(1000))
        if (atomic_load(&shared->copy) == COPY_WANTED)
            atomic_store(
              &shared->copy, take_copy(host, shared->copy_home) == 0 ? COPY_DONE : COPY_FAILED);
}

/* --- the test's own process */

static pid_t
start_host(HOST *host, SHARED *shared)
{
    pid_t pid;
    int waited;

    atomic_store(&shared->open, 0);
    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid == 0)
        killed_process(host, shared);
    for (waited = 0; atomic_load(&shared->open) < THREADS && waited < WAIT_MS; waited++)
        (void)usleep(1000);
    REQUIRE(waited < WAIT_MS);
    return (pid);
}

static pid_t
start_rotation(const HOST *host, unsigned kind)
{
    const char *command = getenv("WTKMS_COMMAND");
    pid_t pid;

    REQUIRE(command != NULL);
    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid != 0)
        return (pid);
    if (freopen("/dev/null", "w", stdout) == NULL)
        _exit(126);
    (void)execl(command, command, "rotate", rotations[kind][0], host->home, "--config",
      host->config_file, "--format", "json", rotations[kind][1], (char *)NULL);
    _exit(127);
}

/* A rotation that nobody kills succeeds. */
static void
rotate(const HOST *host, unsigned kind)
{
    char *output = NULL;
    int code;

    code = wtkms_run((HOST *)(uintptr_t)host, &output, "rotate", rotations[kind][0], host->home,
      rotations[kind][1], (char *)NULL);
    if (code != 0)
        printf("\n    rotate %s: exit %d: %s", rotations[kind][0], code, output);
    CU_ASSERT_EQUAL(code, 0);
    free(output);
}

static int
end_process(pid_t pid, bool by_kill)
{
    int status;

    if (by_kill)
        (void)kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        return (WEXITSTATUS(status));
    return (WTERMSIG(status) == SIGKILL ? -1 : 128 + WTERMSIG(status));
}

/* Every acknowledged row of every table, in order and right; *lastp takes what is there. */
static void
all_rows(HOST *host, const int64_t acknowledged[THREADS], int64_t last[THREADS])
{
    WT_CURSOR *cursor;
    WT_SESSION *session;
    char *output = NULL, uri[32];
    int64_t count;
    unsigned i;
    int ret;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 0; i < THREADS; i++) {
        table_name(uri, i);
        OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
        for (count = 0; (ret = cursor->next(cursor)) == 0;)
            if (!row_value_is(cursor, ++count, 0, SIZE)) {
                CU_FAIL("a row is not what was written");
                break;
            }
        CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
        OK(host, cursor->close(cursor));
        CU_ASSERT(count >= acknowledged[i]);
        last[i] = count;
        host_verify(host, session, uri);
    }
    OK(host, host_close(host));
    ret = wtkms_run(host, &output, "check", host->home, (char *)NULL);
    if (ret != 0)
        printf("\n    check: exit %d: %s", ret, output);
    CU_ASSERT_EQUAL(ret, 0);
    free(output);
}

static void
acknowledged_now(const SHARED *shared, int64_t acknowledged[THREADS])
{
    unsigned i;

    for (i = 0; i < THREADS; i++)
        acknowledged[i] = atomic_load(&shared->acknowledged[i]);
}

/* A copy taken while the keys are rotated, three times at least, opens with what it carries. */
static HOST *
copy_in_the_middle(HOST *host, SHARED *shared, unsigned round, int64_t acknowledged[THREADS])
{
    char name[32];
    HOST *copy;
    unsigned kind;
    int waited;

    (void)snprintf(name, sizeof(name), "copy%u", round);
    copy = host_copy(host, name);
    (void)snprintf(shared->copy_home, sizeof(shared->copy_home), "%s", copy->home);
    acknowledged_now(shared, acknowledged);
    atomic_store(&shared->copy, COPY_WANTED);
    for (kind = 0; kind < 3; kind++)
        rotate(host, kind);
    for (waited = 0; atomic_load(&shared->copy) == COPY_WANTED && waited < WAIT_MS; waited++)
        (void)usleep(1000);
    CU_ASSERT_EQUAL(atomic_load(&shared->copy), COPY_DONE);
    atomic_store(&shared->copy, COPY_NONE);
    return (copy);
}

static int64_t
generation(HOST *host)
{
    char *output = NULL, *found;
    int64_t number = 0;

    REQUIRE(wtkms_run(host, &output, "key", "list", host->home, (char *)NULL) == 0);
    if ((found = strstr(output, "generation ")) != NULL)
        number = strtoll(found + strlen("generation "), NULL, 10);
    free(output);
    return (number);
}

static void
rotated_and_killed(HOST *host)
{
    SHARED *shared;
    HOST *copy = NULL;
    pid_t command, pid;
    int64_t acknowledged[THREADS], at_copy[THREADS] = {0}, before, last[THREADS];
    uint32_t state = (uint32_t)getpid();
    unsigned i, kind, round, rounds = engine_long() ? 34 : 4, succeeded;
    int code;

    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    OK(host, host_open(host, NULL));
    OK(host, host_close(host));
    for (round = 0; round < rounds; round++) {
        before = generation(host);
        pid = start_host(host, shared);
        for (succeeded = 0, kind = 0; kind < 9; kind++, succeeded++)
            rotate(host, kind % 3);
        if (round % 8 == 1) {
            copy = copy_in_the_middle(host, shared, round, at_copy);
            succeeded += 3;
        }
        /* The command is killed at any point of it; then the next one, and the engine, go on. */
        command = start_rotation(host, round % 3);
        (void)usleep(engine_random(&state) % 40000);
        code = end_process(command, true);
        CU_ASSERT(code == 0 || code == -1);
        rotate(host, 0);
        /* And the engine is, while one runs: that succeeds all the same. */
        command = start_rotation(host, (round + 1) % 3);
        (void)usleep(engine_random(&state) % 40000);
        CU_ASSERT_EQUAL(end_process(pid, true), -1);
        CU_ASSERT_EQUAL(end_process(command, false), 0);
        succeeded += 2;
        /* One order: each that succeeded is one generation; the killed one, one or none. */
        code = (int)(generation(host) - before - succeeded);
        CU_ASSERT(code == 0 || code == 1);
        acknowledged_now(shared, acknowledged);
        all_rows(host, acknowledged, last);
        for (i = 0; i < THREADS; i++)
            atomic_store(&shared->acknowledged[i], last[i]);
        if (copy != NULL) {
            all_rows(copy, at_copy, last);
            copy = NULL;
        }
    }
    (void)munmap(shared, sizeof(*shared));
}

static void
old_pages(HOST *host)
{
    WT_SESSION *session;
    unsigned i, count = engine_long() ? 1000 : 100;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, "table:old", mongod_collection(false)));
    rows_put(host, session, "table:old", 1, 2000, 0, 200);
    OK(host, host_close(host));
    for (i = 0; i < count; i++)
        rotate(host, 0);
    for (i = 0; i < 2; i++) {
        OK(host, host_open(host, NULL));
        session = host_session(host);
        rows_check(host, session, "table:old", 1, 2000, 0, 200);
        host_verify(host, session, "table:old");
        OK(host, host_close(host));
    }
}

static void
test_killed(void)
{
    engine_encrypted("rotated", rotated_and_killed);
}

static void
test_old_pages(void)
{
    engine_encrypted("old-pages", old_pages);
}

const TEST rotation_tests[] = {{"rotated under load, SIGKILL at random moments", test_killed},
  {"a page of before many rotations", test_old_pages}, {NULL, NULL}};
