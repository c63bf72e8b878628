/*
 * test/rotation/test_running.c -- Rotations by the wtkms program while a database runs: the built module
 * in Debian's engine, in this process, with threads that write and check all that they wrote.
 */
#include "test/rotation/rotation_tests.h"

#include "common/file.h"
#include "keystore/keyring.h"
#include "keystore/state_file.h"

#include <wiredtiger.h>

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define THREADS 8
#define ROUNDS 10
#define VALUE_SIZE 200
#define IN_USE_MS 5000 /* so soon must units under a new key be on disk */
#define LOG_BYTES_MAX (2 * 1024 * 1024)

extern char **environ;

typedef struct {
    char home[512], a[600], b[600], both[600], output[600];
    int fd;
    WT_CONNECTION *conn;
    atomic_bool stop;
    atomic_int errors; /* codes of the engine that were no success */
} HOST;

typedef struct {
    HOST *host;
    pthread_t thread;
    unsigned number;
    int64_t written; /* rows whose insert succeeded */
} WRITER;

static int64_t
monotonic_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void
pause_ms(long ms)
{
    const struct timespec pause = {0, ms * 1000000};

    (void)nanosleep(&pause, NULL);
}

/* --- the database */

static void
host_files(HOST *host)
{
    char a[600], b[600], text[2048];

    memset(host, 0, sizeof(*host));
    (void)snprintf(host->home, sizeof(host->home), "%s/running", test_scratch());
    (void)snprintf(a, sizeof(a), "%s.a.key", host->home);
    (void)snprintf(b, sizeof(b), "%s.b.key", host->home);
    (void)snprintf(host->a, sizeof(host->a), "%s.a.conf", host->home);
    (void)snprintf(host->b, sizeof(host->b), "%s.b.conf", host->home);
    (void)snprintf(host->both, sizeof(host->both), "%s.both.conf", host->home);
    (void)snprintf(host->output, sizeof(host->output), "%s.output", host->home);
    CU_ASSERT_EQUAL_FATAL(mkdir(host->home, 0700), 0);
    rotation_key_file(a);
    rotation_key_file(b);
    (void)snprintf(text, sizeof(text), "kms: [{provider: local, keyFile: %s}]\n", a);
    rotation_text_file(host->a, text);
    (void)snprintf(text, sizeof(text), "kms: [{provider: local, keyFile: %s}]\n", b);
    rotation_text_file(host->b, text);
    (void)snprintf(text, sizeof(text),
      "kms: [{provider: local, keyFile: %s}, {provider: local, keyFile: %s}]\n", a, b);
    rotation_text_file(host->both, text);
    host->fd = open(host->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CU_ASSERT_FATAL(host->fd >= 0);
}

static int
host_open(HOST *host)
{
    char config[2048];

    (void)snprintf(config, sizeof(config),
      "create,cache_size=64M,log=(enabled=true,archive=false,file_max=1MB),"
      "extensions=[" MODULE_FILE "=(config=(config_file=%s))],encryption=(name=kms,keyid=default)",
      host->a);
    return (wiredtiger_open(host->home, NULL, config, &host->conn));
}

static void
row(char value[VALUE_SIZE], unsigned number, int64_t key)
{
    (void)memset(value, '.', VALUE_SIZE - 1);
    value[VALUE_SIZE - 1] = '\0';
    value[snprintf(value, VALUE_SIZE, "writer %u row %lld", number, (long long)key)] = ' ';
}

static int
open_table(WT_CONNECTION *conn, unsigned number, WT_SESSION **sessionp, WT_CURSOR **cursorp)
{
    char uri[32];
    int ret;

    (void)snprintf(uri, sizeof(uri), "table:w%u", number);
    if ((ret = conn->open_session(conn, NULL, NULL, sessionp)) != 0 ||
        (ret = (*sessionp)->create(*sessionp, uri, "key_format=q,value_format=S")) != 0)
        return (ret);
    return ((*sessionp)->open_cursor(*sessionp, uri, NULL, NULL, cursorp));
}

/* Inserts, and every tenth time reads back one of the first rows: under an old key by then. */
static void *
write_rows(void *context)
{
    WRITER *writer = context;
    HOST *host = writer->host;
    WT_SESSION *session;
    WT_CURSOR *cursor;
    const char *found;
    char value[VALUE_SIZE];
    int ret;

    if ((ret = open_table(host->conn, writer->number, &session, &cursor)) != 0)
        goto err;
    while (!atomic_load(&host->stop)) {
        row(value, writer->number, writer->written);
        cursor->set_key(cursor, writer->written);
        cursor->set_value(cursor, value);
        if ((ret = cursor->insert(cursor)) != 0)
            goto err;
        if (++writer->written % 10 == 0) {
            row(value, writer->number, writer->written / 10);
            cursor->set_key(cursor, writer->written / 10);
            if ((ret = cursor->search(cursor)) != 0 ||
                (ret = cursor->get_value(cursor, &found)) != 0)
                goto err;
            if (strcmp(found, value) != 0)
                atomic_fetch_add(&host->errors, 1);
        }
        pause_ms(2);
    }
    ret = session->close(session, NULL);

err:
    if (ret != 0)
        atomic_fetch_add(&host->errors, 1);
    return (NULL);
}

static void *
checkpoint_often(void *context)
{
    HOST *host = context;
    WT_SESSION *session;

    if (host->conn->open_session(host->conn, NULL, NULL, &session) != 0)
        atomic_fetch_add(&host->errors, 1);
    else
        while (!atomic_load(&host->stop)) {
            if (session->checkpoint(session, NULL) != 0)
                atomic_fetch_add(&host->errors, 1);
            pause_ms(300);
        }
    return (NULL);
}

static int64_t
count_right_rows(HOST *host, unsigned number)
{
    WT_SESSION *session;
    WT_CURSOR *cursor;
    const char *found;
    char value[VALUE_SIZE];
    int64_t count = 0, key;

    if (open_table(host->conn, number, &session, &cursor) != 0)
        return (-1);
    while (cursor->next(cursor) == 0) {
        row(value, number, count);
        if (cursor->get_key(cursor, &key) != 0 || key != count ||
            cursor->get_value(cursor, &found) != 0 || strcmp(found, value) != 0)
            return (-1);
        count++;
    }
    (void)session->close(session, NULL);
    return (count);
}

/* --- wtkms */

/* Run wtkms; its output is in host->output. Returns the exit code, -1 when it did not end by itself. */
static int
wtkms(const HOST *host, const char *const *arguments)
{
    posix_spawn_file_actions_t actions;
    const char *argv[16] = {WTKMS_FILE};
    size_t i;
    pid_t pid;
    int status;

    for (i = 0; arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    CU_ASSERT_EQUAL_FATAL(posix_spawn_file_actions_init(&actions), 0);
    CU_ASSERT_EQUAL_FATAL(posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, host->output,
                            O_WRONLY | O_CREAT | O_TRUNC, 0600),
      0);
    CU_ASSERT_EQUAL_FATAL(
      posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO), 0);
    CU_ASSERT_EQUAL_FATAL(
      posix_spawn(&pid, WTKMS_FILE, &actions, NULL, (char *const *)(uintptr_t)argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

#define WTKMS(host, ...) wtkms(host, (const char *const[]){__VA_ARGS__, NULL})

/* Whether its output has a text. */
static bool
said(const HOST *host, const char *text)
{
    STATUS status;
    uint8_t *data;
    size_t len;
    bool found;

    if (file_read(AT_FDCWD, host->output, 1024 * 1024, false, NULL, &data, &len, &status) != 0)
        return (false);
    found = memmem(data, len, text, strlen(text)) != NULL;
    free(data);
    return (found);
}

static void
must(const HOST *host, int code)
{
    STATUS status;
    uint8_t *data;
    size_t len;

    CU_ASSERT_EQUAL(code, 0);
    if (code != 0 &&
        file_read(AT_FDCWD, host->output, 1024 * 1024, false, NULL, &data, &len, &status) == 0) {
        (void)fprintf(stderr, "\n%.*s\n", (int)len, (const char *)data);
        free(data);
    }
}

/* --- what is on disk */

static void
read_keystore(const HOST *host, uint64_t *active_idp, int64_t *generationp)
{
    const KEYSTORE_DATA_KEY *active;
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    STATUS status;
    bool found;

    CU_ASSERT_EQUAL_FATAL(
      keyring_locate(host->fd, NULL, &found, &source, &keystore, NULL, NULL, &status), 0);
    CU_ASSERT_FATAL(found);
    CU_ASSERT_PTR_NOT_NULL_FATAL(active = keystore_active_data_key(keystore, "default"));
    *active_idp = active->id;
    *generationp = keystore->generation;
    keystore_free(keystore);
}

static bool
log_has(const HOST *host, unsigned number, const uint8_t unit[12])
{
    static uint8_t buffer[LOG_BYTES_MAX];
    char name[64];
    ssize_t len;
    int fd;

    (void)snprintf(name, sizeof(name), "WiredTigerLog.%010u", number);
    if ((fd = openat(host->fd, name, O_RDONLY | O_CLOEXEC)) < 0)
        return (false);
    len = pread(fd, buffer, sizeof(buffer), 0);
    (void)close(fd);
    return (len > 12 && memmem(buffer, (size_t)len, unit, 12) != NULL);
}

/* Whether a unit under this key comes into the log in time; *newestp is where to begin. */
static bool
units_appear(const HOST *host, uint64_t id, unsigned *newestp)
{
    uint8_t unit[12] = {'W', 'K', 1, 1};
    int64_t end = monotonic_ms() + IN_USE_MS;
    char name[64];
    unsigned i;

    for (i = 0; i < 8; i++)
        unit[4 + i] = (uint8_t)(id >> (8 * i));
    do {
        for (i = *newestp;; i++) {
            if (log_has(host, i, unit))
                return (true);
            (void)snprintf(name, sizeof(name), "WiredTigerLog.%010u", i + 1);
            if (faccessat(host->fd, name, F_OK, 0) != 0)
                break;
        }
        *newestp = i;
        pause_ms(50);
    } while (monotonic_ms() < end);
    return (false);
}

static int64_t
state_generation(const HOST *host)
{
    STATE_FILE_CONTENT *state;
    STATUS status;
    int64_t generation;

    if (state_file_read(host->fd, &state, &status) != 0 || state == NULL)
        return (-1);
    generation = state->generation;
    state_file_free(state);
    return (generation);
}

/* --- the test */

static void
rotate_in_rounds(HOST *host)
{
    const char *now = host->a, *next;
    uint64_t id, last = 0;
    int64_t generation;
    unsigned i, newest = 1;

    for (i = 0; i < ROUNDS; i++) {
        must(host, WTKMS(host, "rotate", "data", host->home, "--config", now, "--all"));
        read_keystore(host, &id, &generation);
        CU_ASSERT_NOT_EQUAL(id, last);
        CU_ASSERT_TRUE(units_appear(host, id, &newest));
        last = id;
        must(host, WTKMS(host, "rotate", "master", host->home, "--config", now));
        next = now == host->a ? host->both : host->a;
        must(host, WTKMS(host, "rotate", "cmk", host->home, "--config", next, "--from", now,
                     "--reason", "round"));
        now = next;
    }
    CU_ASSERT_PTR_EQUAL(now, host->a);
    must(host, WTKMS(host, "rotate", "data", host->home, "--config", now, "--keyid", "default",
                 "--wait", "--timeout", "20"));
    CU_ASSERT_TRUE(said(host, "The running database uses generation"));
    read_keystore(host, &id, &generation);
    CU_ASSERT_EQUAL(state_generation(host), generation);
    CU_ASSERT_EQUAL(generation, 1 + 3 * ROUNDS + 1);
}

#define SIDES 2
#define SIDE_ROUNDS 6

/* One of two operators, or timers, that do not know of each other. */
static void *
rotate_from_one_side(void *context)
{
    const HOST *side = context;
    const char *const arguments[] = {
      "rotate", "data", side->home, "--config", side->a, "--format", "json", NULL};
    const char *const masters[] = {
      "rotate", "master", side->home, "--config", side->a, "--format", "json", NULL};
    int i, failed = 0;

    for (i = 0; i < SIDE_ROUNDS; i++)
        failed += wtkms(side, i % 2 == 0 ? arguments : masters) != 0;
    return ((void *)(intptr_t)failed);
}

static void
rotate_from_two_sides(HOST *host)
{
    HOST sides[SIDES];
    pthread_t threads[SIDES];
    void *failed;
    uint64_t id;
    int64_t before, after;
    int i;

    read_keystore(host, &id, &before);
    for (i = 0; i < SIDES; i++) {
        (void)memcpy(&sides[i], host, sizeof(sides[i]));
        (void)snprintf(
          sides[i].output, sizeof(sides[i].output), "%.500s.side%d.output", host->home, i);
        CU_ASSERT_EQUAL_FATAL(
          pthread_create(&threads[i], NULL, rotate_from_one_side, &sides[i]), 0);
    }
    for (i = 0; i < SIDES; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    /* One order: each is one generation, and the running database follows to the last. */
    read_keystore(host, &id, &after);
    CU_ASSERT_EQUAL(after, before + SIDES * SIDE_ROUNDS);
    must(host,
      WTKMS(host, "rotate", "data", host->home, "--config", host->a, "--wait", "--timeout", "20"));
    CU_ASSERT_TRUE(said(host, "The running database uses generation"));
}

/*
 * Keys moved away from under a running database, whose own configuration names key a alone: it goes on with
 * what it has, --wait says so, and moved back it takes the newest at once.
 */
static void
rotate_past_the_host(HOST *host)
{
    must(host, WTKMS(host, "rotate", "cmk", host->home, "--config", host->b, "--from", host->a));
    CU_ASSERT_EQUAL(
      WTKMS(host, "rotate", "master", host->home, "--config", host->b, "--wait", "--timeout", "2"),
      1);
    CU_ASSERT_TRUE(said(host, "(rotate-wait)"));
    must(host, WTKMS(host, "rotate", "cmk", host->home, "--config", host->a, "--from", host->b,
                 "--wait", "--timeout", "20", "--format", "json"));
    CU_ASSERT_TRUE(said(host, "\"running\": true"));
}

static void
while_it_runs(void)
{
    WRITER writers[THREADS];
    HOST host;
    pthread_t checkpoints;
    unsigned i;

    host_files(&host);
    CU_ASSERT_EQUAL_FATAL(host_open(&host), 0);
    for (i = 0; i < THREADS; i++) {
        writers[i] = (WRITER){.host = &host, .number = i};
        CU_ASSERT_EQUAL_FATAL(pthread_create(&writers[i].thread, NULL, write_rows, &writers[i]), 0);
    }
    CU_ASSERT_EQUAL_FATAL(pthread_create(&checkpoints, NULL, checkpoint_often, &host), 0);
    rotate_in_rounds(&host);
    rotate_from_two_sides(&host);
    rotate_past_the_host(&host);
    atomic_store(&host.stop, true);
    for (i = 0; i < THREADS; i++)
        (void)pthread_join(writers[i].thread, NULL);
    (void)pthread_join(checkpoints, NULL);
    CU_ASSERT_EQUAL(atomic_load(&host.errors), 0);
    CU_ASSERT_EQUAL_FATAL(host.conn->close(host.conn, NULL), 0);

    must(&host, WTKMS(&host, "check", host.home, "--config", host.a));
    CU_ASSERT_EQUAL_FATAL(host_open(&host), 0);
    for (i = 0; i < THREADS; i++) {
        CU_ASSERT_TRUE(writers[i].written > 0);
        CU_ASSERT_EQUAL(count_right_rows(&host, i), writers[i].written);
    }
    CU_ASSERT_EQUAL(host.conn->close(host.conn, NULL), 0);
    must(&host, WTKMS(&host, "rotate", "data", host.home, "--config", host.a, "--wait"));
    CU_ASSERT_TRUE(said(&host, "No process has the home open"));
    (void)close(host.fd);
}

/* A command line that says two things, or half of one, changes nothing. */
static void
wrong_command_lines(void)
{
    HOST host = {0};

    (void)snprintf(host.output, sizeof(host.output), "%s/wrong.output", test_scratch());
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "data", "/", "--all", "--keyid", "x"), 2);
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "master", "/", "--all", "--scope", "x"), 2);
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "data", "/", "--timeout", "3"), 2);
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "cmk", "/", "--plan", "--wait"), 2);
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "data", "/", "--scope", "x"), 2);
    CU_ASSERT_EQUAL(WTKMS(&host, "rotate", "/"), 2);
}

const TEST running_tests[] = {
  {"while_it_runs", while_it_runs}, {"wrong_command_lines", wrong_command_lines}, {NULL, NULL}};
