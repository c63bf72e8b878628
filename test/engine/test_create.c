/*
 * test/engine/test_create.c -- wtkms snapshot create on databases of this engine: stopped, frozen, as a stream,
 * from a backup cursor's list while a thread writes and keys are rotated, and killed at any moment.
 */
#include "test/engine/tests.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define COLLECTION "table:collection-0"
#define INDEX "table:index-1"
#define MANIFEST "wtkms.manifest"
#define UNFINISHED "wtkms.unfinished"
#define ROWS 6000

static void
fill(HOST *host)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, COLLECTION, mongod_collection(true)));
    OK(host, session->create(session, INDEX, mongod_index(true)));
    rows_put(host, session, COLLECTION, 1, ROWS - 1000, 0, 200);
    rows_put(host, session, INDEX, 1, ROWS - 1000, 0, 50);
    OK(host, session->checkpoint(session, NULL));
    /* These are in the log only. */
    rows_put(host, session, COLLECTION, ROWS - 999, ROWS, 0, 200);
    rows_put(host, session, INDEX, ROWS - 999, ROWS, 0, 50);
}

static void
expect_wtkms(HOST *host, int expected, int code, char *output)
{
    if (code != expected)
        printf("\n    wtkms on %s: %d, %s", host->name, code, output);
    CU_ASSERT_EQUAL(code, expected);
    free(output);
}

/* The list finds nothing wrong, every unit authenticates, the engine opens it, reads and writes. */
static void
copy_lives(HOST *copy)
{
    WT_SESSION *session;
    char *output;
    int code;

    CU_ASSERT_EQUAL(files_search(copy->home, MARKER), 0);
    CU_ASSERT(file_exists(copy->home, MANIFEST));
    CU_ASSERT(!file_exists(copy->home, UNFINISHED));
    code = wtkms_run(copy, &output, "snapshot", "list", copy->home, NULL);
    expect_wtkms(copy, 0, code, output);
    code = wtkms_run(copy, &output, "snapshot", "verify", copy->home, NULL);
    expect_wtkms(copy, 0, code, output);
    OK(copy, host_open(copy, NULL));
    session = host_session(copy);
    rows_check(copy, session, COLLECTION, 1, ROWS, 0, 200);
    rows_check(copy, session, INDEX, 1, ROWS, 0, 50);
    host_verify(copy, session, INDEX);
    rows_put(copy, session, COLLECTION, 70001, 70500, 3, 200);
    OK(copy, host_close(copy));
    OK(copy, host_open(copy, NULL));
    rows_check(copy, host_session(copy), COLLECTION, 70001, 70500, 3, 200);
    OK(copy, host_close(copy));
    /* It is a home now, and never expires. */
    code = wtkms_run(copy, &output, "snapshot", "expire", copy->home, "--plan", NULL);
    CU_ASSERT_PTR_NULL(strstr(output, "would be removed"));
    expect_wtkms(copy, 0, code, output);
}

/* A copy whose engine lines name the original's configuration opens as it does. */
static void
create(HOST *host, HOST *copy, const char *option, const char *value)
{
    char *output;
    int code;

    code = wtkms_run(host, &output, "snapshot", "create", host->home, copy->home, "--keep-until",
      "9d", option, value, NULL);
    expect_wtkms(host, 0, code, output);
}

static void
stopped(HOST *host)
{
    HOST *copy = host_copy(host, "stopped"), *frozen = host_copy(host, "frozen");
    uint64_t before;
    char *output;

    fill(host);
    CU_ASSERT_EQUAL(
      wtkms_run(host, &output, "snapshot", "create", host->home, copy->home, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "host-running"));
    CU_ASSERT(!file_exists(copy->home, MANIFEST));
    free(output);
    OK(host, host_close(host));
    before = files_fingerprint(host->home);
    create(host, copy, NULL, NULL);
    create(host, frozen, "--frozen", NULL);
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
    copy_lives(copy);
    copy_lives(frozen);
}

/* By a shell, as it is used: $1 is wtkms, $2 the home, $3 its configuration, $4 the copy, $5 a file. */
static void
shell(HOST *host, HOST *copy, const char *script, const char *file)
{
    const char *argv[] = {"/bin/sh", "-c", script, "sh", getenv("WTKMS_COMMAND"), host->home,
      host->config_file, copy->home, file, NULL};
    char *output;
    int code = program_run(&output, argv);

    expect_wtkms(host, 0, code, output);
}

static void
stream(HOST *host)
{
    HOST *copy = host_copy(host, "stream");

    fill(host);
    OK(host, host_close(host));
    shell(host, copy,
      "$1 snapshot create $2 - --config $3 | gzip -1 >$4.tgz && $1 snapshot list $4.tgz && "
      "tar -xzf $4.tgz -C $4 && rm $4.tgz",
      NULL);
    copy_lives(copy);
}

/* --- while it runs */

typedef struct {
    HOST *host;
    volatile bool stop;
    volatile int64_t last;
    int64_t errors;
} WRITER;

static void *
writer_main(void *arg)
{
    WRITER *writer = arg;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    int64_t key;

    if (writer->host->conn->open_session(writer->host->conn, NULL, NULL, &session) != 0 ||
        session->open_cursor(session, COLLECTION, NULL, NULL, &cursor) != 0) {
        writer->errors++;
        return (NULL);
    }
    for (key = 10001; !writer->stop && key < 60000; key++) {
        row_set_key(cursor, key);
        row_set_value(cursor, key, 0, 200);
        if (cursor->insert(cursor) != 0)
            writer->errors++;
        writer->last = key;
        if (key % 3000 == 0 && session->checkpoint(session, NULL) != 0)
            writer->errors++;
    }
    (void)session->close(session, NULL);
    return (NULL);
}

/* What the cursor lists, one a line, as it names it. */
static WT_CURSOR *
list_files(HOST *host, const char *path)
{
    WT_CURSOR *cursor;
    WT_SESSION *session = host_session(host);
    FILE *list;
    const char *name;
    int ret;

    REQUIRE((list = fopen(path, "w")) != NULL);
    OK(host, session->open_cursor(session, "backup:", NULL, NULL, &cursor));
    while ((ret = cursor->next(cursor)) == 0) {
        OK(host, cursor->get_key(cursor, &name));
        (void)fprintf(list, "%s\n", name);
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    REQUIRE(fclose(list) == 0);
    return (cursor);
}

static void
running(HOST *host)
{
    HOST *copy = host_copy(host, "running"), *packed = host_copy(host, "packed");
    WRITER writer = {.host = host};
    WT_CURSOR *cursor;
    pthread_t thread;
    char *output, list[PATH_MAX + 8];
    int code;

    (void)snprintf(list, sizeof(list), "%s.list", copy->home);
    fill(host);
    REQUIRE(pthread_create(&thread, NULL, writer_main, &writer) == 0);
    while (writer.last < 12000 && writer.errors == 0)
        (void)usleep(1000);
    cursor = list_files(host, list);
    /* What is listed is under keys of before and, from here on, others. */
    code = wtkms_run(host, &output, "rotate", "data", host->home, "--all", "--wait", NULL);
    expect_wtkms(host, 0, code, output);
    create(host, copy, "--files", list);
    code = wtkms_run(host, &output, "rotate", "master", host->home, NULL);
    expect_wtkms(host, 0, code, output);
    shell(host, packed, "$1 snapshot create $2 - --config $3 --files - <$5 | tar -x -C $4", list);
    writer.stop = true;
    REQUIRE(pthread_join(thread, NULL) == 0);
    CU_ASSERT_EQUAL(writer.errors, 0);
    OK(host, cursor->close(cursor));
    OK(host, host_close(host));
    CU_ASSERT(file_exists(copy->home, "WiredTiger.backup"));
    CU_ASSERT(file_exists(copy->home, "wtkms.keystore"));
    copy_lives(copy);
    copy_lives(packed);
    (void)unlink(list);
}

/* --- kills */

static void
kill_create(HOST *host, HOST *copy, useconds_t after)
{
    int null, status;
    pid_t pid;

    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid == 0) {
        if ((null = open("/dev/null", O_WRONLY)) >= 0)
            (void)dup2(null, STDOUT_FILENO);
        (void)execl(getenv("WTKMS_COMMAND"), "wtkms", "snapshot", "create", host->home, copy->home,
          "--config", host->config_file, "--throttle", "20", (char *)NULL);
        _exit(127);
    }
    (void)usleep(after);
    (void)kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static void
killed(HOST *host)
{
    HOST *copy;
    uint64_t before;
    uint32_t state = (uint32_t)getpid();
    char *output, name[32];
    double began;
    useconds_t took;
    int i, unfinished = 0, whole = 0, kills = engine_long() ? 20 : 5;

    fill(host);
    OK(host, host_close(host));
    before = files_fingerprint(host->home);
    copy = host_copy(host, "measured");
    began = engine_seconds();
    create(host, copy, "--throttle", "20");
    took = (useconds_t)((engine_seconds() - began) * 0.9e6);
    for (i = 0; i < kills; i++) {
        (void)snprintf(name, sizeof(name), "killed-%d", i);
        copy = host_copy(host, name);
        kill_create(host, copy, (useconds_t)(engine_random(&state) % took));
        if (file_exists(copy->home, UNFINISHED)) {
            unfinished++;
            /* Nobody takes it for a home or a copy. The mirror, which brings the module in where the
             * open string does not, is copied among the last. */
            if (host->via_string) {
                CU_ASSERT_NOT_EQUAL(host_open(copy, NULL), 0);
                CU_ASSERT_PTR_NOT_NULL(strstr(copy->errors, "not finished"));
            }
            CU_ASSERT_EQUAL(wtkms_run(copy, NULL, "snapshot", "list", copy->home, NULL), 4);
            CU_ASSERT_EQUAL(
              wtkms_run(host, &output, "snapshot", "create", host->home, copy->home, NULL), 1);
            CU_ASSERT_PTR_NOT_NULL(strstr(output, "copy-destination"));
            free(output);
        } else if (file_exists(copy->home, MANIFEST)) {
            whole++;
            copy_lives(copy);
        }
    }
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
    printf(" %d of %d kills left an unfinished copy, %d a whole one ...", unfinished, kills, whole);
    CU_ASSERT(unfinished > 0);
    copy = host_copy(host, "last");
    create(host, copy, NULL, NULL);
    copy_lives(copy);
}

static void
test_stopped(void)
{
    engine_encrypted("create-stopped", stopped);
}

static void
test_stream(void)
{
    engine_encrypted("create-stream", stream);
}

static void
test_running(void)
{
    engine_encrypted("create-running", running);
}

static void
test_killed(void)
{
    engine_encrypted("create-killed", killed);
}

const TEST create_tests[] = {{"stopped and frozen", test_stopped}, {"a stream", test_stream},
  {"running, from a cursor's list", test_running}, {"killed", test_killed}, {NULL, NULL}};
