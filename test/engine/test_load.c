/*
 * test/engine/test_load.c -- Pages that go out and come back while the database works: a cache far
 * smaller than the data, history, checkpoints held open, many threads.
 */
#include "test/engine/tests.h"

#include <pthread.h>

#define TABLE "table:load"

/* 40 MB of rows through a cache of 8 MB, changed and read at random. */
static void
small_cache(HOST *host)
{
    enum { ROWS = 20000, SIZE = 2000 };
    static int rounds[ROWS + 1];
    WT_CURSOR *cursor;
    WT_SESSION *session;
    uint32_t state = 7;
    int64_t key, wrong = 0;
    int i;

    memset(rounds, 0, sizeof(rounds));
    host->cache_mb = 8;
    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, TABLE, mongod_collection(false)));
    rows_put(host, session, TABLE, 1, ROWS, 0, SIZE);
    OK(host, session->open_cursor(session, TABLE, NULL, NULL, &cursor));
    for (i = 1; i <= 10000; i++) {
        key = 1 + engine_random(&state) % ROWS;
        row_set_key(cursor, key);
        if (i % 3 == 0) {
            row_set_value(cursor, key, i, SIZE);
            OK(host, cursor->update(cursor));
            rounds[key] = i;
        } else {
            OK(host, cursor->search(cursor));
            if (!row_value_is(cursor, key, rounds[key], SIZE))
                wrong++;
        }
        if (i % 4000 == 0)
            OK(host, session->checkpoint(session, NULL));
    }
    CU_ASSERT_EQUAL(wrong, 0);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
#if ENGINE_VERSION >= 110300
    /* As 8.0 does for scans: pages are read ahead, and decrypted, by threads of the engine. */
    OK(host, host->conn->open_session(host->conn, NULL, "prefetch=(enabled=true)", &session));
#else
    session = host_session(host);
#endif
    OK(host, session->open_cursor(session, TABLE, NULL, NULL, &cursor));
    for (key = 1; key <= ROWS; key++) {
        OK(host, cursor->next(cursor));
        if (!row_value_is(cursor, key, rounds[key], SIZE))
            wrong++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

/* Cursors on a checkpoint go on reading it while newer ones replace it. */
static void
checkpoint_cursors(HOST *host)
{
    WT_CURSOR *latest, *named;
    WT_SESSION *session;
    int64_t key;
    int round;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, TABLE, mongod_collection(true)));
    rows_put(host, session, TABLE, 1, 3000, 0, 400);
    OK(host, session->checkpoint(session, "name=before"));
    OK(host, session->checkpoint(session, NULL));
    OK(host, session->open_cursor(session, TABLE, NULL, "checkpoint=before", &named));
    OK(
      host, session->open_cursor(session, TABLE, NULL, "checkpoint=WiredTigerCheckpoint", &latest));
    for (key = 1; key <= 100; key++) {
        OK(host, named->next(named));
        OK(host, latest->next(latest));
    }
    for (round = 1; round <= 4; round++) {
        rows_put(host, session, TABLE, 1, 3000, round, 400);
        OK(host, session->checkpoint(session, NULL));
    }
    for (; key <= 3000; key++) {
        OK(host, named->next(named));
        OK(host, latest->next(latest));
        REQUIRE(row_value_is(named, key, 0, 400));
        REQUIRE(row_value_is(latest, key, 0, 400));
    }
    OK(host, named->close(named));
    OK(host, latest->close(latest));
    rows_check(host, session, TABLE, 1, 3000, 4, 400);
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_count(host, session, TABLE, "checkpoint=before", 3000);
    OK(host, session->open_cursor(session, TABLE, NULL, "checkpoint=before", &named));
    row_set_key(named, 1234);
    OK(host, named->search(named));
    REQUIRE(row_value_is(named, 1234, 0, 400));
    OK(host, named->close(named));
    rows_check(host, session, TABLE, 1, 3000, 4, 400);
}

/*
 * A reader in the past while its rows are overwritten many times the cache: what it needs goes to
 * the history store (before 10.0 the lookaside file), and comes back from there.
 */
#if ENGINE_VERSION < 100000
#define HISTORY_FILE "WiredTigerLAS.wt"
#else
#define HISTORY_FILE "WiredTigerHS.wt"
#endif

static void
history_put(HOST *host, WT_SESSION *session, int64_t rows, int round)
{
    WT_CURSOR *cursor;
    int64_t key;
    char config[64];

    OK(host, session->open_cursor(session, TABLE, NULL, NULL, &cursor));
    for (key = 1; key <= rows; key++) {
        OK(host, session->begin_transaction(session, NULL));
        row_set_key(cursor, key);
        row_set_value(cursor, key, round, 1500);
        OK(host, cursor->insert(cursor));
        (void)snprintf(config, sizeof(config), "commit_timestamp=%x", 16 * (round + 1));
        OK(host, session->commit_transaction(session, config));
    }
    OK(host, cursor->close(cursor));
}

static void
history_check(HOST *host, WT_SESSION *session, int64_t rows, int round)
{
    WT_CURSOR *cursor;
    int64_t key, wrong = 0;
    char config[64];

    (void)snprintf(config, sizeof(config), "read_timestamp=%x", 16 * (round + 1));
    OK(host, session->begin_transaction(session, config));
    OK(host, session->open_cursor(session, TABLE, NULL, NULL, &cursor));
    for (key = 1; key <= rows; key++) {
        OK(host, cursor->next(cursor));
        if (!row_value_is(cursor, key, round, 1500))
            wrong++;
    }
    CU_ASSERT_EQUAL(wrong, 0);
    OK(host, cursor->close(cursor));
    OK(host, session->rollback_transaction(session, NULL));
}

static void
history(HOST *host)
{
    enum { ROWS = 3000, ROUNDS = 8 };
    WT_SESSION *session;
    int round;

    host->cache_mb = 8;
    OK(host, host_open(host, NULL));
    OK(host, host->conn->set_timestamp(host->conn, "oldest_timestamp=1,stable_timestamp=1"));
    session = host_session(host);
    OK(host, session->create(session, TABLE, mongod_collection(false)));
    for (round = 0; round < ROUNDS; round++)
        history_put(host, session, ROWS, round);
    for (round = 0; round < ROUNDS; round++)
        history_check(host, session, ROWS, round);
    CU_ASSERT(file_size(host->home, HISTORY_FILE) > 1024 * 1024);
    /* A power cut now would leave this file as it is. */
    if (host->encrypted)
        CU_ASSERT_EQUAL(file_search(host->home, HISTORY_FILE, MARKER), 0);
    OK(host, host->conn->set_timestamp(host->conn, "stable_timestamp=80"));
    OK(host, session->checkpoint(session, "use_timestamp=true"));
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, TABLE, 1, ROWS, ROUNDS - 1, 1500);
#if ENGINE_VERSION >= 100000
    OK(host, host->conn->set_timestamp(host->conn, "oldest_timestamp=10"));
    history_check(host, session, ROWS, 2);
    history_check(host, session, ROWS, ROUNDS - 1);
#endif
}

/* Eight threads on two tables, one of them small enough that all meet on the same pages. */
#define THREADS 8
typedef struct {
    HOST *host;
    pthread_t thread;
    int64_t first, errors, wrong;
} WORKER;

#define WORKER_ROWS 500
#define WORKER_ROUNDS 4

/* A conflict is another thread's transaction on the same page, and is tried again. */
static int
worker_put(WT_SESSION *session, WT_CURSOR *cursor, int64_t key, int round)
{
    int ret;

    (void)session;
    do {
        row_set_key(cursor, key);
        row_set_value(cursor, key, round, 300);
        ret = cursor->insert(cursor);
    } while (ret == WT_ROLLBACK);
    return (ret);
}

static void *
worker_main(void *arg)
{
    WORKER *worker = arg;
    WT_CONNECTION *conn = worker->host->conn;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    int64_t key;
    int round;

    if (conn->open_session(conn, NULL, NULL, &session) != 0 ||
        session->open_cursor(session, TABLE, NULL, NULL, &cursor) != 0) {
        worker->errors++;
        return (NULL);
    }
    for (round = 0; round < WORKER_ROUNDS; round++) {
        /* Interleaved keys: neighbours belong to other threads. */
        for (key = 0; key < WORKER_ROWS; key++)
            if (worker_put(session, cursor, worker->first + key * THREADS, round) != 0)
                worker->errors++;
        for (key = 0; key < WORKER_ROWS; key++) {
            row_set_key(cursor, worker->first + key * THREADS);
            if (cursor->search(cursor) != 0)
                worker->errors++;
            else if (!row_value_is(cursor, worker->first + key * THREADS, round, 300))
                worker->wrong++;
        }
        if (worker->first == 1 && session->checkpoint(session, NULL) != 0)
            worker->errors++;
    }
    if (session->close(session, NULL) != 0)
        worker->errors++;
    return (NULL);
}

static void
eight_threads(HOST *host)
{
    WORKER workers[THREADS];
    WT_SESSION *session;
    int i;

    host->cache_mb = 8;
    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, TABLE, mongod_collection(true)));
    memset(workers, 0, sizeof(workers));
    for (i = 0; i < THREADS; i++) {
        workers[i].host = host;
        workers[i].first = i + 1;
        REQUIRE(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
    }
    for (i = 0; i < THREADS; i++)
        REQUIRE(pthread_join(workers[i].thread, NULL) == 0);
    for (i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(workers[i].errors, 0);
        CU_ASSERT_EQUAL(workers[i].wrong, 0);
    }
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, TABLE, 1, THREADS * WORKER_ROWS, WORKER_ROUNDS - 1, 300);
    rows_count(host, session, TABLE, NULL, THREADS * WORKER_ROWS);
}

static void
test_small_cache(void)
{
    engine_scenario("small-cache", small_cache);
}

static void
test_checkpoint_cursors(void)
{
    engine_scenario("checkpoint-cursors", checkpoint_cursors);
}

static void
test_history(void)
{
    engine_scenario("history", history);
}

static void
test_eight_threads(void)
{
    engine_scenario("eight-threads", eight_threads);
}

const TEST load_tests[] = {{"a cache far smaller than the data", test_small_cache},
  {"checkpoints with cursors open", test_checkpoint_cursors}, {"history store", test_history},
  {"eight threads", test_eight_threads}, {NULL, NULL}};
