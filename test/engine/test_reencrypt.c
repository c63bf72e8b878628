/*
 * test/engine/test_reencrypt.c -- wtkms reencrypt on homes of real engines: every kind of table and block,
 * logs that recovery replays afterwards, and a kill at any point of it.
 */
#include "test/engine/blocks.h"
#include "test/engine/tests.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ROWS 1500
#define IDS_MAX 32

typedef struct {
    const char *uri, *config;
    size_t size;
} TABLE;

static const TABLE tables[] = {
  {"table:snappy", "key_format=q,value_format=u,block_compressor=snappy", 300},
  {"table:none", "key_format=S,value_format=S", 120},
  {"table:unsummed", "key_format=q,value_format=u,checksum=off", 200},
  {"table:uncompressed",
    "key_format=q,value_format=u,checksum=uncompressed,block_compressor=snappy", 300},
  {"table:column", "key_format=r,value_format=u", 150},
  {"table:fixed", "key_format=r,value_format=8t", 1},
  {"table:small",
    "key_format=q,value_format=u,allocation_size=512,leaf_page_max=2KB,internal_page_max=1KB", 90},
  {"table:large",
    "key_format=q,value_format=u,allocation_size=64KB,leaf_page_max=64KB,internal_page_max=64KB",
    400},
  {"table:overflow", "key_format=q,value_format=u,leaf_value_max=1KB", 9000}};
#define TABLES (sizeof(tables) / sizeof(tables[0]))

/* --- what is in the files */

static uint64_t ids[IDS_MAX]; /* for nftw, which takes no context */
static size_t id_count;
static int64_t found;

static int64_t
count_bytes(const uint8_t *data, size_t len, const void *what, size_t what_len)
{
    const uint8_t *p;
    int64_t n;

    for (n = 0, p = data; (p = memmem(p, len - (size_t)(p - data), what, what_len)) != NULL; p++)
        n++;
    return (n);
}

/* Units by their first 12 bytes, in binary and, as avail lists have them, in hexadecimal. */
static int
search_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    uint8_t *data, start[12] = {'W', 'K', 1, 1};
    char hex[2 * sizeof(start) + 1];
    size_t b, i, len;
    FILE *fp;

    (void)st;
    if (type != FTW_F || strcmp(path + ftw->base, "WiredTiger.lock") == 0 ||
        (fp = fopen(path, "rb")) == NULL)
        return (0);
    data = malloc((size_t)st->st_size + 1);
    len = data == NULL ? 0 : fread(data, 1, (size_t)st->st_size, fp);
    (void)fclose(fp);
    for (i = 0; i < id_count; i++) {
        memcpy(start + 4, &ids[i], sizeof(ids[i]));
        for (b = 0; b < sizeof(start); b++)
            (void)snprintf(hex + 2 * b, 3, "%02x", start[b]);
        found += count_bytes(data, len, start, sizeof(start)) +
                 count_bytes(data, len, hex, sizeof(hex) - 1);
    }
    free(data);
    return (0);
}

static int64_t
search_ids(HOST *host)
{
    found = 0;
    REQUIRE(nftw(host->home, search_file, 16, FTW_PHYS) == 0);
    return (found);
}

/* The ids that reencrypt's plan says are to be rewritten. */
static void
note_old_ids(HOST *host)
{
    char *output, *p;

    CU_ASSERT_EQUAL_FATAL(
      wtkms_run(host, &output, "reencrypt", host->home, "--plan", "--format", "json", NULL), 0);
    for (id_count = 0, p = output; (p = strstr(p, "\"id\": \"")) != NULL; p++) {
        const char *action = strstr(p, "\"action\": \"");

        REQUIRE(action != NULL && id_count < IDS_MAX);
        if (strncmp(action + 11, "rewrite", 7) == 0)
            ids[id_count++] = strtoull(p + 7, NULL, 16);
    }
    if (id_count == 0)
        printf("\n%s\n", output);
    free(output);
    CU_ASSERT_FATAL(id_count > 0);
}

/* --- tables */

static void
fill(HOST *host, WT_SESSION *session, int round)
{
    size_t i;

    for (i = 0; i < TABLES; i++)
        rows_put(host, session, tables[i].uri, 1, ROWS, round, tables[i].size);
    OK(host, session->checkpoint(session, NULL));
}

/* Several rounds, so that there are stale blocks, free lists and blocks written over others. */
static void
make_home(HOST *host)
{
    WT_SESSION *session;
    size_t i;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 0; i < TABLES; i++)
        OK(host, session->create(session, tables[i].uri, tables[i].config));
    fill(host, session, 0);
    for (i = 0; i < TABLES; i++)
        rows_put(host, session, tables[i].uri, 100, 400, 1, tables[i].size);
    OK(host, session->checkpoint(session, NULL));
    fill(host, session, 2);
    OK(host, host_close(host));
    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 0; i < TABLES; i++)
        rows_put(host, session, tables[i].uri, 700, 800, 3, tables[i].size);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));
}

static void
check_home(HOST *host, int first_round)
{
    WT_SESSION *session;
    size_t i;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 0; i < TABLES; i++) {
        rows_check(host, session, tables[i].uri, 1, 50, first_round, tables[i].size);
        rows_check(host, session, tables[i].uri, 51, 699, 2, tables[i].size);
        rows_check(host, session, tables[i].uri, 700, 800, 3, tables[i].size);
        rows_check(host, session, tables[i].uri, 801, ROWS, 2, tables[i].size);
        rows_count(host, session, tables[i].uri, NULL, ROWS);
    }
    OK(host, host_close(host));
    OK(host, host_open(host, NULL));
    session = host_session(host);
    for (i = 0; i < TABLES; i++)
        host_verify(host, session, tables[i].uri);
    OK(host, host_close(host));
}

static void
rotate(HOST *host)
{
    CU_ASSERT_EQUAL_FATAL(wtkms_run(host, NULL, "rotate", "data", host->home, "--all", NULL), 0);
    note_old_ids(host);
    CU_ASSERT(search_ids(host) > 100);
}

/* A run to the end: 0, or 4 where something stayed that a run of the engine left unwhole. */
static void
reencrypt(HOST *host)
{
    char *output;
    int code;

    code = wtkms_run(host, &output, "reencrypt", host->home, "--reason", "test", NULL);
    if (code != 0)
        printf("\n    reencrypt: %d %s", code, output);
    CU_ASSERT_EQUAL(code, 0);
    free(output);
    CU_ASSERT_EQUAL(search_ids(host), 0);
    CU_ASSERT(!file_exists(host->home, "wtkms.reencrypt"));
    code = wtkms_run(host, &output, "check", host->home, NULL);
    if (code != 0)
        printf("\n    check: %d %s", code, output);
    CU_ASSERT_EQUAL(code, 0);
    free(output);
    /* A second run finds nothing to do, and the first is in the history. */
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "reencrypt", host->home, "--format", "json", NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"rewritten\": 0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"fullBackupNeeded\": false"));
    free(output);
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "keystore", "show", host->home, NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"reencrypt\""));
    free(output);
}

static void
all_tables(HOST *host)
{
    make_home(host);
    rotate(host);
    reencrypt(host);
    check_home(host, 2);
}

/* --- remains of overwritten blocks, made behind the end of a file */

static void
append(HOST *host, const char *name, const void *data, size_t size)
{
    char path[PATH_MAX];
    int fd;

    path_join(path, sizeof(path), host->home, name);
    REQUIRE((fd = open(path, O_WRONLY | O_APPEND)) >= 0);
    REQUIRE(write(fd, data, size) == (ssize_t)size);
    REQUIRE(close(fd) == 0);
}

static void
remains(HOST *host)
{
    BLOCK block;
    char *output;

    make_home(host);
    rotate(host);
    block_read(host->home, "none.wt", 3, &block);
    REQUIRE(block.size > 8192);
    /* The start of a block, and a whole one inside its place: proof that it is free. */
    append(host, "none.wt", block.data, 4096);
    append(host, "none.wt", block.data, block.size);
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "reencrypt", host->home, "--format", "json", NULL), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"zeroed\": 1,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"remains\": 0,"));
    free(output);
    CU_ASSERT_EQUAL(search_ids(host), 0);
    /* The same with nothing behind it: told, and left. */
    append(host, "none.wt", block.data, 4096);
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "reencrypt", host->home, "--format", "json", NULL), 4);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"zeroed\": 0,"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "\"remains\": 1,"));
    free(output);
    CU_ASSERT_EQUAL(search_ids(host), 1);
    block_free(&block);
    check_home(host, 2);
}

/* --- a log to be replayed */

static void
write_and_die(HOST *host)
{
    WT_SESSION *session;
    size_t i;
    pid_t pid;
    int status;

    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid == 0) {
        if (host_open(host, NULL) != 0 ||
            host->conn->open_session(host->conn, NULL, NULL, &session) != 0)
            _exit(2);
        for (i = 0; i < TABLES; i++)
            rows_put(host, session, tables[i].uri, 1, 50, 4, tables[i].size);
        if (session->log_flush(session, "sync=on") != 0)
            _exit(3);
        (void)kill(getpid(), SIGKILL);
        _exit(4);
    }
    REQUIRE(waitpid(pid, &status, 0) == pid);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void
recovered(HOST *host)
{
    make_home(host);
    write_and_die(host);
    rotate(host);
    reencrypt(host);
    check_home(host, 4);
}

/* --- kills */

static void
kill_reencrypt(HOST *host, useconds_t after)
{
    int null, status;
    pid_t pid;

    (void)fflush(NULL);
    REQUIRE((pid = fork()) >= 0);
    if (pid == 0) {
        if ((null = open("/dev/null", O_WRONLY)) >= 0)
            (void)dup2(null, STDOUT_FILENO);
        (void)execl(getenv("WTKMS_COMMAND"), "wtkms", "reencrypt", host->home, "--config",
          host->config_file, "--throttle", "40", (char *)NULL);
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
    char name[32];
    uint32_t state = (uint32_t)getpid();
    int i, interrupted, kills = engine_long() ? 50 : 5;

    make_home(host);
    write_and_die(host);
    rotate(host);
    for (i = 0, interrupted = 0; i < kills; i++) {
        (void)snprintf(name, sizeof(name), "killed-%d", i);
        copy = host_copy(host, name);
        files_copy(host->home, copy->home);
        kill_reencrypt(copy, (useconds_t)(engine_random(&state) % 900000));
        if (file_exists(copy->home, "wtkms.reencrypt")) {
            interrupted++;
            /* Neither the engine nor what changes keys goes near it. */
            CU_ASSERT_NOT_EQUAL(host_open(copy, NULL), 0);
            CU_ASSERT_PTR_NOT_NULL(strstr(copy->errors, "wtkms reencrypt"));
            CU_ASSERT_NOT_EQUAL(
              wtkms_run(copy, NULL, "rotate", "data", copy->home, "--all", NULL), 0);
        }
        if (i % 2 == 0)
            kill_reencrypt(copy, (useconds_t)(engine_random(&state) % 300000));
        if (i % 3 == 0) {
            /* In order without going on: both keys open what there is. */
            CU_ASSERT_EQUAL(wtkms_run(copy, NULL, "reencrypt", copy->home, "--finish", NULL), 0);
            CU_ASSERT(!file_exists(copy->home, "wtkms.reencrypt"));
            CU_ASSERT_EQUAL(wtkms_run(copy, NULL, "check", copy->home, NULL), 0);
        }
        reencrypt(copy);
        check_home(copy, 4);
        files_remove(copy->home);
    }
    printf(" %d of %d kills left a journal ...", interrupted, kills);
    CU_ASSERT(interrupted > 0);
}

/* --- refusals and large files */

static void
refused(HOST *host)
{
    char *output;

    OK(host, host_open(host, NULL));
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "reencrypt", host->home, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "host-running"));
    free(output);
    OK(host, host_close(host));
    file_write(
      host->home, "WiredTiger.basecfg", "tiered_storage=(name=dir_store,bucket=b)\n", 41, 0600);
    CU_ASSERT_EQUAL(wtkms_run(host, &output, "reencrypt", host->home, NULL), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "reencrypt-tiered"));
    free(output);
}

static void
two_gigabytes(HOST *host)
{
    WT_SESSION *session;
    int64_t last = 2200;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, "table:big",
               "key_format=q,value_format=u,leaf_page_max=1MB,leaf_value_max=2MB"));
    rows_put(host, session, "table:big", 1, last, 0, 1000000);
    OK(host, host_close(host));
    CU_ASSERT(file_size(host->home, "big.wt") > (int64_t)2 << 30);
    rotate(host);
    reencrypt(host);
    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, "table:big", 1, last, 0, 1000000);
    OK(host, host_close(host));
}

static void
test_all_tables(void)
{
    engine_encrypted("reencrypt", all_tables);
}

static void
test_remains(void)
{
    engine_encrypted("reencrypt-remains", remains);
}

static void
test_recovered(void)
{
    engine_encrypted("reencrypt-log", recovered);
}

static void
test_killed(void)
{
    engine_encrypted("reencrypt-killed", killed);
}

static void
test_refused(void)
{
    engine_encrypted("reencrypt-refused", refused);
}

static void
test_two_gigabytes(void)
{
    if (engine_long())
        engine_encrypted("reencrypt-big", two_gigabytes);
    else
        CU_PASS("2 GiB only with WTKMS_LONG=1");
}

const TEST reencrypt_tests[] = {{"every kind of table", test_all_tables},
  {"remains of overwritten blocks", test_remains}, {"a log that is replayed", test_recovered},
  {"killed and resumed", test_killed}, {"a running host, tiered storage", test_refused},
  {"a file of 2 GiB", test_two_gigabytes}, {NULL, NULL}};
