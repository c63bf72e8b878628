/*
 * test/engine/test_keyids.c -- Tables with keys of their own or none, keys made while the database
 * runs, several databases in one process, connections in memory and read-only.
 */
#include "test/engine/tests.h"

#include <signal.h>
#include <sys/wait.h>

#define SYSTEM "table:system"
#define TENANT_A "table:tenant-a"
#define SCOPED "table:scoped"
#define CLEAR "table:clear"
#define CLEAR_MARKER "IN-CLEAR-BY-CHOICE"

#define KEYID(id) "key_format=S,value_format=S,encryption=(name=kms,keyid=" id ")"

static void
put_text(HOST *host, WT_SESSION *session, const char *uri, const char *text)
{
    WT_CURSOR *cursor;
    int i;
    char key[64];

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    for (i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof(key), "%s-%05d", text, i);
        cursor->set_key(cursor, key);
        cursor->set_value(cursor, text);
        OK(host, cursor->insert(cursor));
    }
    OK(host, cursor->close(cursor));
}

/* "wtkms status" names a thing of this home. */
static void
status_names(HOST *host, const char *const *names)
{
    char *output = NULL;
    int exit_code;

    exit_code = wtkms_run(host, &output, "status", host->home, NULL);
    CU_ASSERT_EQUAL(exit_code, 0);
    for (; *names != NULL; names++) {
        CU_ASSERT(strstr(output, *names) != NULL);
        if (strstr(output, *names) == NULL)
            printf("\n    wtkms status does not name %s: %s", *names, output);
    }
    free(output);
}

/* The system key, a keyid of the default scope, one with a customer key of its own, and none. */
static void
keyids(HOST *host)
{
    static const char *const expected[] = {"default", "tenantA", "scoped", "clear.wt", NULL};
    WT_SESSION *session;
    int64_t in_clear;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, SYSTEM, "key_format=S,value_format=S"));
    OK(host, session->create(session, TENANT_A, KEYID("tenantA")));
    OK(host, session->create(session, SCOPED, KEYID("scoped")));
    OK(host, session->create(session, CLEAR, "key_format=S,value_format=S,encryption=(name=none)"));
    rows_put(host, session, SYSTEM, 1, 1000, 0, 200);
    rows_put(host, session, TENANT_A, 1, 1000, 1, 200);
    rows_put(host, session, SCOPED, 1, 1000, 2, 200);
    put_text(host, session, CLEAR, CLEAR_MARKER);
    OK(host, session->checkpoint(session, NULL));
    rows_put(host, session, TENANT_A, 1001, 1200, 1, 200);
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, SYSTEM, 1, 1000, 0, 200);
    rows_check(host, session, TENANT_A, 1, 1200, 1, 200);
    rows_check(host, session, SCOPED, 1, 1000, 2, 200);
    rows_count(host, session, CLEAR, NULL, 200);
    host_verify(host, session, TENANT_A);
    host_verify(host, session, SCOPED);
    OK(host, host_close(host));

    CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);
    /* In its own file and nowhere else: the log is under the system key. */
    in_clear = file_search(host->home, "clear.wt", CLEAR_MARKER);
    CU_ASSERT(in_clear > 0);
    CU_ASSERT_EQUAL(files_search(host->home, CLEAR_MARKER), in_clear);
    status_names(host, expected);
}

/* Keyids first used while the database runs, and the process killed right after: nothing is lost. */
static void
new_keyid_process(HOST *host, int fd)
{
    WT_CURSOR *cursor;
    WT_SESSION *session;
    int i;
    char config[128], uri[64];

    if (host_open(host, NULL) != 0 ||
        host->conn->open_session(host->conn, NULL, NULL, &session) != 0)
        _exit(2);
    for (i = 1; i <= 5; i++) {
        (void)snprintf(uri, sizeof(uri), "table:late-%d", i);
        (void)snprintf(config, sizeof(config), KEYID("late%d"), i);
        if (session->create(session, uri, config) != 0 ||
            session->open_cursor(session, uri, NULL, NULL, &cursor) != 0)
            _exit(3);
        row_set_key(cursor, i);
        row_set_value(cursor, i, 0, 5000);
        if (session->begin_transaction(session, NULL) != 0 || cursor->insert(cursor) != 0 ||
            session->commit_transaction(session, "sync=on") != 0)
            _exit(4);
        /* Pages under the new key, too, but not of the last. */
        if (i < 5 && session->checkpoint(session, NULL) != 0)
            _exit(5);
    }
    if (write(fd, "x", 1) != 1)
        _exit(6);
    for (;;)
        (void)pause();
}

static void
new_keyid(HOST *host)
{
    static const char *const expected[] = {"late1", "late5", NULL};
    WT_SESSION *session;
    pid_t pid;
    int fds[2], i, status;
    char byte, uri[64];

    REQUIRE(pipe(fds) == 0);
    (void)fflush(NULL);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)close(fds[0]);
        new_keyid_process(host, fds[1]);
    }
    (void)close(fds[1]);
    i = (int)read(fds[0], &byte, 1);
    (void)close(fds[0]);
    (void)kill(pid, SIGKILL);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(i == 1);

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 1; i <= 5; i++) {
        (void)snprintf(uri, sizeof(uri), "table:late-%d", i);
        rows_check(host, session, uri, i, i, 0, 5000);
    }
    OK(host, host_close(host));
    CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);
    status_names(host, expected);
}

/*
 * So many keyids that the keystore outgrows the mirror, and lines of the user's own: the engine refuses
 * a WiredTiger.config of more than 100 KB, so it must never become one.
 */
#define MIRROR "WiredTiger.config"
#define MIRROR_MAX (100 * 1024)

static void
mirror_limit(HOST *host)
{
    WT_SESSION *session;
    int64_t largest = 0, size;
    int i;
    char config[256], uri[64];

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 1; i <= 500; i++) {
        (void)snprintf(uri, sizeof(uri), "table:many-%d", i);
        (void)snprintf(config, sizeof(config), KEYID("a-tenant-with-a-rather-long-name-%040d"), i);
        OK(host, session->create(session, uri, config));
        if (i % 100 == 0)
            rows_put(host, session, uri, 1, 10, i, 100);
        size = file_size(host->home, MIRROR);
        largest = size > largest ? size : largest;
    }
    OK(host, host_close(host));
    CU_ASSERT(file_size(host->home, "wtkms.keystore") > 65536);
    CU_ASSERT(largest > 0 && largest <= MIRROR_MAX);

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 100; i <= 500; i += 100) {
        (void)snprintf(uri, sizeof(uri), "table:many-%d", i);
        rows_check(host, session, uri, 1, 10, i, 100);
    }
    OK(host, host_close(host));
}

/* What must not become a table: secrets in the configuration, encryptors that nobody has. */
static void
refused_tables(HOST *host)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    CU_ASSERT_NOT_EQUAL(
      session->create(session, "table:refused",
        "key_format=S,value_format=S,encryption=(name=kms,keyid=a,secretkey=swordfish)"),
      0);
    CU_ASSERT_NOT_EQUAL(session->create(session, "table:refused",
                          "key_format=S,value_format=S,encryption=(name=other,keyid=a)"),
      0);
    /* The connection goes on, and the name is free. */
    OK(host, session->create(session, "table:refused", KEYID("a")));
    rows_put(host, session, "table:refused", 1, 100, 0, 100);
    rows_check(host, session, "table:refused", 1, 100, 0, 100);
    OK(host, host_close(host));
    CU_ASSERT_EQUAL(files_search(host->home, "swordfish"), 0);
    CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);
}

/* Three encrypted databases with keys of their own, and a plain one, open in one process. */
static void
connections(HOST *host)
{
    HOST *all[4];
    WT_SESSION *sessions[4];
    int i, pass;

    all[0] = host;
    all[1] = host_new("connections-b", true);
    all[2] = host_new("connections-c", true);
    all[3] = host_new("connections-d", false);
    for (pass = 0; pass < 3; pass++) {
        for (i = 0; i < 4; i++) {
            OK(all[i], host_open(all[i], NULL));
            sessions[i] = host_session(all[i]);
            OK(all[i], sessions[i]->create(sessions[i], SYSTEM, mongod_collection(true)));
            if (pass > 0)
                rows_check(all[i], sessions[i], SYSTEM, 1, 300 * pass, i, 300);
        }
        for (i = 0; i < 4; i++)
            rows_put(all[i], sessions[i], SYSTEM, 300 * pass + 1, 300 * (pass + 1), i, 300);
        /* One goes while the others go on. */
        OK(all[pass], host_close(all[pass]));
        for (i = 0; i < 4; i++)
            if (i != pass)
                rows_check(all[i], sessions[i], SYSTEM, 1, 300 * (pass + 1), i, 300);
        for (i = 0; i < 4; i++)
            OK(all[i], host_close(all[i]));
    }
    for (i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(files_search(all[i]->home, MARKER), 0);
    CU_ASSERT(files_search(all[3]->home, MARKER) > 0);
}

/* Nothing of a connection in memory reaches a file. The engine refuses 8.0's prefetch for one. */
#if ENGINE_VERSION < 110300
#define IN_MEMORY "in_memory=true,log=(enabled=false)"
#else
#define IN_MEMORY "in_memory=true,log=(enabled=false),prefetch=(available=false,default=false)"
#endif

static void
in_memory(HOST *host)
{
    WT_SESSION *session;

    OK(host, host_open(host, IN_MEMORY));
    session = host_session(host);
    OK(host, session->create(session, SYSTEM, "key_format=S,value_format=S"));
    rows_put(host, session, SYSTEM, 1, 5000, 0, 500);
    rows_remove(host, session, SYSTEM, 100, 199);
    rows_check(host, session, SYSTEM, 1, 99, 0, 500);
    rows_check(host, session, SYSTEM, 200, 5000, 0, 500);
    rows_count(host, session, SYSTEM, NULL, 4900);
    OK(host, host_close(host));
    CU_ASSERT_EQUAL(files_search(host->home, MARKER), 0);
    CU_ASSERT(!file_exists(host->home, "system.wt"));
}

/* Open what is there without being able to change it: every file stays as it is. */
static void
read_only(HOST *host)
{
    WT_SESSION *session;
    uint64_t before;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, SYSTEM, mongod_collection(true)));
    OK(host, session->create(session, TENANT_A, KEYID("tenantA")));
    rows_put(host, session, SYSTEM, 1, 2000, 0, 300);
    rows_put(host, session, TENANT_A, 1, 500, 0, 300);
    OK(host, host_close(host));

    before = files_fingerprint(host->home);
    OK(host, host_open(host, "readonly=true"));
    session = host_session(host);
    rows_check(host, session, SYSTEM, 1, 2000, 0, 300);
    rows_check(host, session, TENANT_A, 1, 500, 0, 300);
    OK(host, host_close(host));
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
}

static void
test_keyids(void)
{
    engine_encrypted("keyids", keyids);
}

static void
test_new_keyid(void)
{
    engine_encrypted("new-keyid", new_keyid);
}

static void
test_mirror_limit(void)
{
    engine_encrypted("mirror-limit", mirror_limit);
}

static void
test_refused_tables(void)
{
    engine_encrypted("refused-tables", refused_tables);
}

static void
test_connections(void)
{
    engine_encrypted("connections", connections);
}

static void
test_in_memory(void)
{
    engine_encrypted("in-memory", in_memory);
}

static void
test_read_only(void)
{
    engine_encrypted("read-only", read_only);
}

const TEST keyid_tests[] = {{"a key per table, and none", test_keyids},
  {"new keyids while open, then SIGKILL", test_new_keyid},
  {"a keystore that outgrows the mirror", test_mirror_limit},
  {"tables that are refused", test_refused_tables},
  {"several connections in one process", test_connections}, {"in memory", test_in_memory},
  {"read-only", test_read_only}, {NULL, NULL}};
