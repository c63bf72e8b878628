/*
 * test/engine/test_codes.c -- Return codes decide whether data survives: a key that is missing must
 * stop whatever the engine would throw away, a unit that was changed must be found out.
 */
#include "test/engine/blocks.h"
#include "test/engine/tests.h"

#include <sys/wait.h>

#define SYSTEM "table:system"
#define TENANT "table:tenant"
#define OTHER "table:other"
#define KEYID(id)                                                         \
    "key_format=S,value_format=S,leaf_page_max=16KB,log=(enabled=false)," \
    "encryption=(name=kms,keyid=" id ")"
#define ROWS 1000

/*
 * One act on an open database, in a process of its own: an engine that panics takes nothing along.
 * What the act returned; the number of the host's connection comes back by a pipe.
 */
typedef int (*ACT)(HOST *host, WT_SESSION *session);

#define OPEN_FAILED 1000000 /* added to what the open returned, which may be negative */
#define OPEN_REFUSED(ret) ((ret) > OPEN_FAILED / 2)
#define ANY_FAILURE 200000
#define ANY_END 200001

static int
act_alone(HOST *host, ACT act)
{
    WT_SESSION *session;
    pid_t pid;
    ssize_t got;
    int fds[2], ret, status;

    REQUIRE(pipe(fds) == 0);
    (void)fflush(NULL);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        ret = host_open(host, NULL);
        if (ret != 0)
            ret += OPEN_FAILED;
        else if ((ret = host->conn->open_session(host->conn, NULL, NULL, &session)) == 0)
            ret = act(host, session);
        if (write(fds[1], &ret, sizeof(ret)) != sizeof(ret))
            _exit(1);
        /*
         * Closed only after a success: after a failed one a server ends at once, too.
         */
        _exit(ret == 0 && host->conn->close(host->conn, NULL) != 0 ? 3 : 0);
    }
    (void)close(fds[1]);
    ret = OPEN_FAILED;
    got = read(fds[0], &ret, sizeof(ret));
    (void)close(fds[0]);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (got != sizeof(ret) || WIFSIGNALED(status))
        printf("\n    the process ended by %s %d", WIFSIGNALED(status) ? "signal" : "exit",
          WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    CU_ASSERT(!WIFSIGNALED(status));
    return (ret);
}

/* An act must end with one of the given codes; the failure says with which it did. */
static void
expect(HOST *host, ACT act, const char *what, const int *codes)
{
    int ret = act_alone(host, act);

    for (; *codes != ANY_END; codes++)
        if (ret == *codes || (*codes == ANY_FAILURE && ret != 0))
            break;
    if (*codes == ANY_END)
        printf("\n    %s%s: %s", what, OPEN_REFUSED(ret) ? " at open" : "",
          wiredtiger_strerror(OPEN_REFUSED(ret) ? ret - OPEN_FAILED : ret));
    CU_ASSERT_NOT_EQUAL(*codes, ANY_END);
}
#define EXPECT(host, act, ...) expect((host), (act), #act, (const int[]){__VA_ARGS__, ANY_END})

static int
act_nothing(HOST *host, WT_SESSION *session)
{
    (void)host;
    (void)session;
    return (0);
}

static int
scan(WT_SESSION *session, const char *uri)
{
    WT_CURSOR *cursor;
    int ret;

    if ((ret = session->open_cursor(session, uri, NULL, NULL, &cursor)) != 0)
        return (ret);
    while ((ret = cursor->next(cursor)) == 0)
        ;
    return (ret == WT_NOTFOUND ? 0 : ret);
}

static int
act_scan_tenant(HOST *host, WT_SESSION *session)
{
    (void)host;
    return (scan(session, TENANT));
}

static int
act_scan_others(HOST *host, WT_SESSION *session)
{
    int ret;

    (void)host;
    ret = scan(session, SYSTEM);
    return (ret != 0 ? ret : scan(session, OTHER));
}

static int
act_salvage_tenant(HOST *host, WT_SESSION *session)
{
    (void)host;
    return (session->salvage(session, TENANT, NULL));
}

static int
act_verify_tenant(HOST *host, WT_SESSION *session)
{
    (void)host;
    return (session->verify(session, TENANT, NULL));
}

#if ENGINE_VERSION >= 110300
static int
act_rollback(HOST *host, WT_SESSION *session)
{
    int ret;

    (void)session;
    ret = host->conn->set_timestamp(host->conn, "oldest_timestamp=1,stable_timestamp=15");
    /* In this thread: 11.3.1 ends its helpers twice when one of them fails, and crashes now and then. */
    return (ret != 0 ? ret : host->conn->rollback_to_stable(host->conn, "threads=0"));
}
#endif

static void
keystore_edit(HOST *host, const char *operation, const char *keyid, const char *version)
{
    const char *argv[] = {
      getenv("ENGINE_KEYSTORE"), host->home, host->config_file, operation, keyid, version, NULL};
    char *output = NULL;
    int exit_code;

    REQUIRE(argv[0] != NULL);
    if ((exit_code = program_run(&output, argv)) != 0)
        printf("\n    %s", output);
    free(output);
    CU_ASSERT_EQUAL_FATAL(exit_code, 0);
}

/* Rows with timestamps after the stable one, so that rollback-to-stable has to look into the table. */
static void
put_unstable(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last)
{
    WT_CURSOR *cursor;
    int64_t key;
    char config[64];

    OK(host, session->open_cursor(session, uri, NULL, NULL, &cursor));
    for (key = first; key <= last; key++) {
        OK(host, session->begin_transaction(session, NULL));
        row_set_key(cursor, key);
        row_set_value(cursor, key, 0, 300);
        OK(host, cursor->insert(cursor));
        (void)snprintf(config, sizeof(config), "commit_timestamp=%x", 0x10 + (int)(key % 16));
        OK(host, session->commit_transaction(session, config));
    }
    OK(host, cursor->close(cursor));
}

/*
 * Timestamps only where rollback is tried: after a salvage 11.2.0 rolls back all rows that have one,
 * encrypted or not.
 */
static void
make_tables(HOST *host, bool timestamps)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, SYSTEM, "key_format=S,value_format=S,leaf_page_max=16KB"));
    OK(host, session->create(session, TENANT, KEYID("tenantA")));
    OK(host, session->create(session, OTHER, KEYID("tenantB")));
    rows_put(host, session, SYSTEM, 1, ROWS, 0, 300);
    if (timestamps)
        put_unstable(host, session, TENANT, 1, ROWS);
    else
        rows_put(host, session, TENANT, 1, ROWS, 0, 300);
    rows_put(host, session, OTHER, 1, ROWS, 0, 300);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));
}

static uint64_t
tenant_bytes(HOST *host)
{
    HOST *copy = host_copy(host, "look");
    uint64_t fingerprint;
    char path[PATH_MAX];

    /* One file of the home, by itself. */
    file_copy(host->home, copy->home, "tenant.wt");
    fingerprint = files_fingerprint(copy->home);
    path_join(path, sizeof(path), copy->home, "tenant.wt");
    REQUIRE(remove(path) == 0 && rmdir(copy->home) == 0);
    return (fingerprint);
}

/* A tenant's older key is gone from the keystore while pages still need it. */
static void
tenant_key_removed(HOST *host)
{
    char *output = NULL;
    uint64_t before;

    make_tables(host, true);
    EXPECT(host, act_scan_tenant, 0);
    keystore_edit(host, "rotate", "tenantA", NULL);
    EXPECT(host, act_scan_tenant, 0);
    keystore_edit(host, "remove", "tenantA", "1");
    before = tenant_bytes(host);

    EXPECT(host, act_scan_others, 0);
    EXPECT(host, act_scan_tenant, ENOKEY);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
    EXPECT(host, act_salvage_tenant, ENOKEY);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
    CU_ASSERT_NOT_EQUAL(wt_run(host, &output, "-R", "salvage", "file:tenant.wt", NULL), 0);
    CU_ASSERT(strstr(output, strerror(ENOKEY)) != NULL);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
    free(output);
#if ENGINE_VERSION >= 110300
    /*
     * The engine panics when a page cannot be read; it must not pass the file over. Where it got to
     * set a stable timestamp first, every later open rolls back, and refuses: the engine itself then
     * recommends salvage, which finds nothing to throw away either.
     */
    EXPECT(host, act_rollback, ENOKEY, WT_PANIC);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
    EXPECT(host, act_scan_others, 0, OPEN_FAILED + ENOKEY, OPEN_FAILED + WT_PANIC,
      OPEN_FAILED + WT_TRY_SALVAGE);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
    (void)wt_run(host, &output, "-S", "list", NULL);
    free(output);
    CU_ASSERT_EQUAL(tenant_bytes(host), before);
#endif
}

/* The system key is gone: the database does not open, and nothing is touched. */
static void
system_key_removed(HOST *host)
{
    char *output = NULL;
    uint64_t before;

    make_tables(host, false);
    keystore_edit(host, "rotate", "default", NULL);
    keystore_edit(host, "remove", "default", "1");
    before = files_fingerprint(host->home);
    EXPECT(host, act_nothing, OPEN_FAILED + ENOKEY);
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
    CU_ASSERT_NOT_EQUAL(wt_run(host, &output, "salvage", "file:system.wt", NULL), 0);
    free(output);
    CU_ASSERT_NOT_EQUAL(wt_run(host, &output, "-S", "list", NULL), 0);
    free(output);
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
}

/* Another key in the key file: the database does not open, and nothing is touched. */
static void
wrong_key(HOST *host)
{
    uint64_t before;
    int ret;
    char *output = NULL, key[PATH_MAX];

    make_tables(host, false);
    (void)snprintf(key, sizeof(key), "%s.key", host->home);
    REQUIRE(remove(key) == 0);
    REQUIRE(
      program_run(NULL, (const char *const[]){getenv("WTKMS_COMMAND"), "keygen", key, NULL}) == 0);
    before = files_fingerprint(host->home);
    ret = act_alone(host, act_nothing);
    CU_ASSERT(OPEN_REFUSED(ret));
    /* EINVAL would end mongod in an assertion, ENOENT means a fresh database to some. */
    CU_ASSERT(ret != OPEN_FAILED + EINVAL && ret != OPEN_FAILED + ENOENT);
    CU_ASSERT_NOT_EQUAL(wt_run(host, &output, "list", NULL), 0);
    free(output);
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
}

/* The keystore and its mirror are gone: no new key is made for data that are there. */
static void
no_keystore(HOST *host)
{
    uint64_t before;
    int ret;
    char libs[2 * PATH_MAX], text[5 * PATH_MAX], path[PATH_MAX];

    make_tables(host, false);
    path_join(path, sizeof(path), host->home, "wtkms.keystore");
    REQUIRE(remove(path) == 0);
    path_join(path, sizeof(path), host->home, "wtkms.keystore.prev");
    (void)remove(path);
    path_join(path, sizeof(path), host->home, "WiredTiger.config");
    REQUIRE(remove(path) == 0);
    if (!host->via_string) {
        (void)snprintf(libs, sizeof(libs), "%s/lib/libwiredtiger_snappy.so", getenv("ENGINE_DIR"));
        (void)snprintf(text, sizeof(text),
          "extensions=[%s,%s=(config=(config_file=%s))]\nencryption=(name=kms,keyid=default)\n",
          libs, getenv("WTKMS_MODULE"), host->config_file);
        file_write(host->home, "WiredTiger.config", text, strlen(text), 0600);
    }
    before = files_fingerprint(host->home);
    ret = act_alone(host, act_nothing);
    CU_ASSERT(OPEN_REFUSED(ret) && ret != OPEN_FAILED + EINVAL && ret != OPEN_FAILED + ENOENT);
    CU_ASSERT_EQUAL(files_fingerprint(host->home), before);
}

/*
 * A byte of a page changed, and the engine's checksum made to agree: only the tag can tell. The table
 * fails; salvage gives up that page and keeps the rest; other tables never notice.
 */
static void
changed_unit(HOST *host)
{
    BLOCK block;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    int64_t left = 0;
    int ret;

    make_tables(host, false);
    block_read(host->home, "tenant.wt", 3, &block);
    block.data[block.size / 2] ^= 1;
    block_balance(&block, block_checksum(&block));
    block_write(host->home, "tenant.wt", &block);
    block_free(&block);

    EXPECT(host, act_scan_tenant, WT_ERROR, WT_PANIC);
    EXPECT(host, act_verify_tenant, ANY_FAILURE);
    EXPECT(host, act_scan_others, 0);
    EXPECT(host, act_salvage_tenant, 0);

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->open_cursor(session, TENANT, NULL, NULL, &cursor));
    while ((ret = cursor->next(cursor)) == 0)
        left++;
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    OK(host, cursor->close(cursor));
    if (left < ROWS - 200 || left >= ROWS)
        printf("\n    %lld rows left of %d", (long long)left, ROWS);
    CU_ASSERT(left >= ROWS - 200 && left < ROWS);
    rows_check(host, session, SYSTEM, 1, ROWS, 0, 300);
    rows_check(host, session, OTHER, 1, ROWS, 0, 300);
    OK(host, host_close(host));
}

/* A page of one tenant's table put into another's, with the checksum of the page it replaces. */
static void
pasted_page(HOST *host)
{
    BLOCK mine, theirs;
    uint32_t checksum;
    unsigned nth;

    make_tables(host, false);
    block_read(host->home, "other.wt", 2, &theirs);
    for (nth = 0;; nth++) {
        block_read(host->home, "tenant.wt", nth, &mine);
        if (mine.size == theirs.size)
            break;
        block_free(&mine);
    }
    checksum = block_checksum(&mine);
    memcpy(mine.data, theirs.data, mine.size);
    block_balance(&mine, checksum);
    block_write(host->home, "tenant.wt", &mine);
    block_free(&mine);
    block_free(&theirs);

    EXPECT(host, act_scan_tenant, WT_ERROR, ENOKEY, WT_PANIC);
    EXPECT(host, act_verify_tenant, ANY_FAILURE);
    EXPECT(host, act_scan_others, 0);
}

static void
test_tenant_key_removed(void)
{
    engine_encrypted("tenant-key-removed", tenant_key_removed);
}

static void
test_system_key_removed(void)
{
    engine_encrypted("system-key-removed", system_key_removed);
}

static void
test_wrong_key(void)
{
    engine_encrypted("wrong-key", wrong_key);
}

static void
test_no_keystore(void)
{
    engine_encrypted("no-keystore", no_keystore);
}

static void
test_changed_unit(void)
{
    engine_encrypted("changed-unit", changed_unit);
}

static void
test_pasted_page(void)
{
    engine_encrypted("pasted-page", pasted_page);
}

const TEST code_tests[] = {
  {"a tenant's key removed: ENOKEY, files untouched", test_tenant_key_removed},
  {"the system key removed: ENOKEY, files untouched", test_system_key_removed},
  {"a wrong key: refused, files untouched", test_wrong_key},
  {"data without keystore: refused, files untouched", test_no_keystore},
  {"a changed unit: found, other tables live on", test_changed_unit},
  {"another keyid's page: refused", test_pasted_page}, {NULL, NULL}};
