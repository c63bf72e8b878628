/*
 * test/engine/test_restore.c -- wtkms snapshot verify and restore, on copies that were taken of running
 * databases: by the list of a backup cursor, with the keystore last and with the mirror alone.
 */
#include "test/engine/blocks.h"
#include "test/engine/tests.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define COLLECTION "table:collection-0"
#define COLLECTION_FILE "collection-0.wt"
#define INDEX "table:index-1"
#define KEYSTORE "wtkms.keystore"
#define MIRROR "WiredTiger.config"
#define UNFINISHED "wtkms.unfinished"
#define ROWS 6000

/* --- a copy of a running database */

typedef struct {
    HOST *host;
    volatile bool stop;
    int64_t last, errors;
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
        if (key % 5000 == 0 && session->checkpoint(session, NULL) != 0)
            writer->errors++;
    }
    (void)session->close(session, NULL);
    return (NULL);
}

static void
copy_by_cursor(HOST *host, WT_SESSION *session, HOST *copy, bool with_keystore)
{
    WT_CURSOR *cursor;
    const char *name;
    char path[PATH_MAX];
    int ret;

    OK(host, session->open_cursor(session, "backup:", NULL, NULL, &cursor));
    while ((ret = cursor->next(cursor)) == 0) {
        OK(host, cursor->get_key(cursor, &name));
        (void)snprintf(path, sizeof(path), "%s%s",
          strncmp(name, "WiredTigerLog.", 14) == 0 ? "journal/" : "", name);
        file_copy(host->home, copy->home, path);
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    if (with_keystore) {
        file_copy(host->home, copy->home, KEYSTORE);
        file_copy(host->home, copy->home, MIRROR);
    }
    OK(host, cursor->close(cursor));
}

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
    rows_put(host, session, COLLECTION, ROWS - 999, ROWS, 0, 200);
    rows_put(host, session, INDEX, ROWS - 999, ROWS, 0, 50);
}

/* Two copies while a thread writes; the host is closed afterwards. */
static void
hot_copies(HOST *host, HOST *full, HOST *mirror_only)
{
    WRITER writer = {.host = host};
    pthread_t thread;
    WT_SESSION *session;

    fill(host);
    session = host_session(host);
    REQUIRE(pthread_create(&thread, NULL, writer_main, &writer) == 0);
    while (writer.last < 12000 && writer.errors == 0)
        (void)usleep(1000);
    copy_by_cursor(host, session, full, true);
    if (mirror_only != NULL)
        copy_by_cursor(host, session, mirror_only, false);
    writer.stop = true;
    REQUIRE(pthread_join(thread, NULL) == 0);
    CU_ASSERT_EQUAL(writer.errors, 0);
    OK(host, host_close(host));
}

/* --- the home that it becomes */

/* An empty home with a configuration and customer keys of its own. */
static HOST *
new_target(const HOST *of, const char *name)
{
    HOST *host = host_copy(of, name);
    char config[128], key[PATH_MAX], tenant[PATH_MAX], text[4 * PATH_MAX];

    (void)snprintf(key, sizeof(key), "%s.key", host->home);
    (void)snprintf(tenant, sizeof(tenant), "%s.tenant.key", host->home);
    REQUIRE(
      program_run(NULL, (const char *const[]){getenv("WTKMS_COMMAND"), "keygen", key, NULL}) == 0);
    REQUIRE(program_run(
              NULL, (const char *const[]){getenv("WTKMS_COMMAND"), "keygen", tenant, NULL}) == 0);
    (void)snprintf(text, sizeof(text),
      "node: restored\nkms:\n  - {provider: local, keyFile: %s}\n"
      "keys:\n  scoped: {kms: [{provider: local, keyFile: %s}]}\n",
      key, tenant);
    (void)snprintf(config, sizeof(config), "%s.conf", host->name);
    file_write(test_scratch(), config, text, strlen(text), 0600);
    path_join(host->config_file, sizeof(host->config_file), test_scratch(), config);
    return (host);
}

static int
restore(const HOST *of, const char *copy, HOST *target, const char *more, char **outputp)
{
    return (wtkms_run(target, outputp, "snapshot", "restore", copy, target->home, "--from",
      of->config_file, "--module", getenv("WTKMS_MODULE"), "--accept-torn", more, NULL));
}

static void
restored(const HOST *of, const char *copy, HOST *target, const char *more)
{
    char *output;
    int code;

    if ((code = restore(of, copy, target, more, &output)) != 0)
        printf("\n    restore: %d %s", code, output);
    CU_ASSERT_EQUAL_FATAL(code, 0);
    free(output);
}

/* Both customer keys of a host; a restored home needs none of them. */
static void
hide_keys(const HOST *host, bool hide)
{
    static const char *const names[] = {"key", "tenant.key"};
    char away[PATH_MAX], key[PATH_MAX];
    size_t i;

    for (i = 0; i < 2; i++) {
        (void)snprintf(key, sizeof(key), "%s.%s", host->home, names[i]);
        (void)snprintf(away, sizeof(away), "%s.%s.away", host->home, names[i]);
        REQUIRE((hide ? rename(key, away) : rename(away, key)) == 0);
    }
}

static void
lives(HOST *target)
{
    WT_SESSION *session;
    char *output;
    int code;

    CU_ASSERT_EQUAL(files_search(target->home, MARKER), 0);
    CU_ASSERT(!file_exists(target->home, UNFINISHED));
    OK(target, host_open(target, NULL));
    session = host_session(target);
    rows_check(target, session, COLLECTION, 1, ROWS, 0, 200);
    rows_check(target, session, COLLECTION, 10001, 12000, 0, 200);
    rows_check(target, session, INDEX, 1, ROWS, 0, 50);
    host_verify(target, session, COLLECTION);
    host_verify(target, session, INDEX);
    rows_put(target, session, COLLECTION, 70001, 70500, 3, 200);
    OK(target, host_close(target));
    OK(target, host_open(target, NULL));
    rows_check(target, host_session(target), COLLECTION, 70001, 70500, 3, 200);
    OK(target, host_close(target));
    if ((code = wt_run(target, &output, "verify", COLLECTION, NULL)) != 0)
        printf("\n    wt verify: %d %s", code, output);
    CU_ASSERT_EQUAL(code, 0);
    free(output);
    CU_ASSERT_EQUAL(files_search(target->home, MARKER), 0);
}

/* --- scenarios */

static void
hot(HOST *host)
{
    HOST *full, *mirror_only, *target;
    uint64_t before;
    char *output;

    full = host_copy(host, "full");
    mirror_only = host_copy(host, "mirror");
    hot_copies(host, full, mirror_only);
    CU_ASSERT(!file_exists(mirror_only->home, KEYSTORE));
    before = files_fingerprint(full->home);

    target = new_target(host, "target");
    restored(host, full->home, target, NULL);
    CU_ASSERT_EQUAL(files_fingerprint(full->home), before);
    hide_keys(host, true);
    lives(target);
    CU_ASSERT_EQUAL(wtkms_run(target, &output, "check", target->home, NULL), 0);
    free(output);
    hide_keys(host, false);

    target = new_target(host, "target-mirror");
    restored(host, mirror_only->home, target, NULL);
    hide_keys(host, true);
    lives(target);
    hide_keys(host, false);
}

static void
reencrypted(HOST *host)
{
    HOST *full, *target;
    char *output;

    full = host_copy(host, "full");
    hot_copies(host, full, NULL);
    target = new_target(host, "target");
    restored(host, full->home, target, "--reencrypt");
    /* Nothing is under a key that the copy has. */
    CU_ASSERT_EQUAL(
      wtkms_run(target, &output, "reencrypt", target->home, "--plan", "--format", "json", NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"due\": 0,"));
    free(output);
    hide_keys(host, true);
    lives(target);
    hide_keys(host, false);
}

static void
archived(HOST *host)
{
    HOST *full, *target;
    char path[PATH_MAX];

    full = host_copy(host, "full");
    hot_copies(host, full, NULL);
    (void)snprintf(path, sizeof(path), "%s.tar.gz", full->home);
    REQUIRE(program_run(NULL, (const char *const[]){"/usr/bin/env", "tar", "-C", full->home, "-czf",
                                path, ".", NULL}) == 0);
    target = new_target(host, "target");
    restored(host, path, target, NULL);
    hide_keys(host, true);
    lives(target);
    hide_keys(host, false);
    (void)unlink(path);
}

static int
quiet(WT_EVENT_HANDLER *handler, WT_SESSION *session, int error, const char *message)
{
    (void)handler;
    (void)session;
    (void)error;
    (void)message;
    return (0);
}

/* Nobody opens what is not whole: not the module, and no engine without it. */
static void
not_opened(HOST *target)
{
    WT_EVENT_HANDLER handler = {.handle_error = quiet};
    WT_CONNECTION *conn = NULL;
    uint64_t before = files_fingerprint(target->home);

    CU_ASSERT_NOT_EQUAL(host_open(target, NULL), 0);
    CU_ASSERT_NOT_EQUAL(wiredtiger_open(target->home, &handler, "create", &conn), 0);
    if (conn != NULL)
        (void)conn->close(conn, NULL);
    /* An engine makes WiredTiger and its lock before it reads what stops it. */
    if (!file_exists(target->home, "WiredTiger.turtle")) {
        char path[PATH_MAX];

        path_join(path, sizeof(path), target->home, "WiredTiger");
        (void)unlink(path);
        CU_ASSERT_EQUAL(files_fingerprint(target->home), before);
    }
}

static void
damaged(HOST *host)
{
    HOST *full, *target;
    BLOCK block;
    char *output, offset[64];
    uint32_t checksum;

    full = host_copy(host, "full");
    hot_copies(host, full, NULL);
    block_read(full->home, COLLECTION_FILE, 3, &block);
    checksum = block_checksum(&block);
    block.data[200] ^= 1;
    block_balance(&block, checksum);
    block_write(full->home, COLLECTION_FILE, &block);
    (void)snprintf(offset, sizeof(offset), "%lld", (long long)block.offset);

    CU_ASSERT_EQUAL(wtkms_run(host, &output, "snapshot", "verify", full->home, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, COLLECTION_FILE));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, offset));
    free(output);
    target = new_target(host, "target");
    CU_ASSERT_EQUAL(restore(host, full->home, target, NULL, &output), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "(restore-damaged)"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, offset));
    free(output);
    not_opened(target);

    /* Mended, the same command goes on. */
    block.data[200] ^= 1;
    block_balance(&block, checksum);
    block_write(full->home, COLLECTION_FILE, &block);
    block_free(&block);
    restored(host, full->home, target, NULL);
    lives(target);
}

/* --- kills */

/* Whether it was interrupted. */
static bool
kill_restore(const HOST *of, const HOST *full, HOST *target, bool reencrypt, useconds_t after)
{
    int null, status;
    pid_t pid;

    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid == 0) {
        if ((null = open("/dev/null", O_WRONLY)) >= 0) {
            (void)dup2(null, STDOUT_FILENO);
            (void)dup2(null, STDERR_FILENO);
        }
        (void)execl(getenv("WTKMS_COMMAND"), "wtkms", "snapshot", "restore", full->home,
          target->home, "--config", target->config_file, "--from", of->config_file, "--module",
          getenv("WTKMS_MODULE"), "--accept-torn", reencrypt ? "--reencrypt" : (char *)NULL,
          (char *)NULL);
        _exit(127);
    }
    (void)usleep(after);
    (void)kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status))
        CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
    return (file_exists(target->home, UNFINISHED));
}

static void
killed(HOST *host)
{
    HOST *full, *target;
    double start, whole;
    char name[32];
    uint32_t state = (uint32_t)getpid();
    int i, interrupted = 0, kills = engine_long() ? 20 : 4;
    bool reencrypt;

    full = host_copy(host, "full");
    hot_copies(host, full, NULL);
    target = new_target(host, "whole");
    start = engine_seconds();
    restored(host, full->home, target, "--reencrypt");
    whole = engine_seconds() - start;
    files_remove(target->home);

    for (i = 0; i < kills; i++) {
        (void)snprintf(name, sizeof(name), "killed-%d", i);
        target = new_target(host, name);
        reencrypt = i % 2 == 0;
        if (kill_restore(host, full, target, reencrypt,
              (useconds_t)(engine_random(&state) % (uint32_t)(whole * 1e6 + 1)))) {
            interrupted++;
            not_opened(target);
        }
        if (!file_exists(target->home, KEYSTORE) || file_exists(target->home, UNFINISHED))
            restored(host, full->home, target, reencrypt ? "--reencrypt" : NULL);
        hide_keys(host, true);
        lives(target);
        hide_keys(host, false);
        files_remove(target->home);
    }
    CU_ASSERT(interrupted > 0);
}

static void
test_hot(void)
{
    engine_encrypted("restore-hot", hot);
}

static void
test_reencrypted(void)
{
    engine_encrypted("restore-reencrypted", reencrypted);
}

static void
test_archived(void)
{
    engine_encrypted("restore-archived", archived);
}

static void
test_damaged(void)
{
    engine_encrypted("restore-damaged", damaged);
}

static void
test_killed(void)
{
    engine_encrypted("restore-killed", killed);
}

const TEST restore_tests[] = {
  {"copies of a running database, under another customer key", test_hot},
  {"new data keys", test_reencrypted}, {"an archive", test_archived},
  {"a damaged page", test_damaged}, {"killed at any point", test_killed}, {NULL, NULL}};
