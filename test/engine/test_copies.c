/*
 * test/engine/test_copies.c -- Copies of a home: hot backups, wt backup, incremental backups,
 * imported files. What a copy needs besides its files is the keystore, or the mirror alone.
 */
#include "test/engine/tests.h"

#include <pthread.h>

#define COLLECTION "table:collection-0"
#define INDEX "table:index-1"
#define KEYSTORE "wtkms.keystore"
#define MIRROR "WiredTiger.config"

/* No plaintext in a copy of an encrypted home; in a copy of the twin there is some. */
static void
expect_secret(HOST *host)
{
    int64_t hits = files_search(host->home, MARKER);

    CU_ASSERT(host->encrypted ? hits == 0 : hits > 0);
}

/* The backup cursor names log files without their directory. */
static void
backed_up_path(const char *name, char *buf, size_t size)
{
    (void)snprintf(
      buf, size, "%s%s", strncmp(name, "WiredTigerLog.", 14) == 0 ? "journal/" : "", name);
}

/* Copy what a backup cursor lists, and the keystore and the mirror last. */
static void
backup_copy(HOST *host, WT_SESSION *session, const char *config, HOST *copy, bool with_keystore)
{
    WT_CURSOR *cursor;
    int files = 0, ret;
    bool mirror_listed = false;
    const char *name;
    char path[PATH_MAX];

    OK(host, session->open_cursor(session, "backup:", NULL, config, &cursor));
    while ((ret = cursor->next(cursor)) == 0) {
        OK(host, cursor->get_key(cursor, &name));
        backed_up_path(name, path, sizeof(path));
        file_copy(host->home, copy->home, path);
        if (strcmp(name, MIRROR) == 0)
            mirror_listed = true;
        files++;
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    if (host->encrypted) {
        CU_ASSERT(mirror_listed);
        if (with_keystore)
            file_copy(host->home, copy->home, KEYSTORE);
        file_copy(host->home, copy->home, MIRROR);
    }
    OK(host, cursor->close(cursor));
    CU_ASSERT(files > 3);
}

typedef struct {
    HOST *host;
    volatile bool stop;
    int64_t last, errors;
} WRITER;

static void *
writer_main(void *arg)
{
    WRITER *writer = arg;
    WT_CONNECTION *conn = writer->host->conn;
    WT_CURSOR *cursor;
    WT_SESSION *session;

    if (conn->open_session(conn, NULL, NULL, &session) != 0 ||
        session->open_cursor(session, COLLECTION, NULL, NULL, &cursor) != 0) {
        writer->errors++;
        return (NULL);
    }
    for (writer->last = 10000; !writer->stop && writer->last < 60000;) {
        row_set_key(cursor, ++writer->last);
        row_set_value(cursor, writer->last, 0, 200);
        if (cursor->insert(cursor) != 0)
            writer->errors++;
    }
    (void)session->close(session, NULL);
    return (NULL);
}

/* Open a copy, find what was there, write more, close and find that too. */
static void
copy_lives(HOST *copy)
{
    WT_SESSION *session;

    expect_secret(copy);
    OK(copy, host_open(copy, NULL));
    session = host_session(copy);
    rows_check(copy, session, COLLECTION, 1, 3000, 0, 200);
    rows_check(copy, session, INDEX, 1, 3000, 0, 50);
    host_verify(copy, session, INDEX);
    rows_put(copy, session, COLLECTION, 70001, 70500, 3, 200);
    OK(copy, host_close(copy));
    OK(copy, host_open(copy, NULL));
    session = host_session(copy);
    rows_check(copy, session, COLLECTION, 70001, 70500, 3, 200);
    OK(copy, host_close(copy));
    expect_secret(copy);
}

static void
fill(HOST *host, WT_SESSION *session)
{
    OK(host, session->create(session, COLLECTION, mongod_collection(true)));
    OK(host, session->create(session, INDEX, mongod_index(true)));
    rows_put(host, session, COLLECTION, 1, 2000, 0, 200);
    rows_put(host, session, INDEX, 1, 2000, 0, 50);
    OK(host, session->checkpoint(session, NULL));
    /* These are in the log only. */
    rows_put(host, session, COLLECTION, 2001, 3000, 0, 200);
    rows_put(host, session, INDEX, 2001, 3000, 0, 50);
}

/* Backups of a running database that is being written to. */
static void
hot_backup(HOST *host)
{
    HOST *full, *mirror_only;
    WRITER writer = {.host = host};
    WT_SESSION *session;
    pthread_t thread;

    full = host_copy(host, "full");
    mirror_only = host_copy(host, "mirror");
    OK(host, host_open(host, NULL));
    session = host_session(host);
    fill(host, session);
    REQUIRE(pthread_create(&thread, NULL, writer_main, &writer) == 0);
    backup_copy(host, session, NULL, full, true);
    backup_copy(host, session, NULL, mirror_only, false);
    writer.stop = true;
    REQUIRE(pthread_join(thread, NULL) == 0);
    CU_ASSERT_EQUAL(writer.errors, 0);
    rows_check(host, session, COLLECTION, 10001, writer.last, 0, 200);

    /* The metadata of a backup is WiredTiger.backup, which the first open turns into a database. */
    CU_ASSERT(file_exists(full->home, "WiredTiger.backup"));
    CU_ASSERT(!file_exists(full->home, "WiredTiger.turtle"));
    copy_lives(full);
    CU_ASSERT(!file_exists(full->home, "WiredTiger.backup"));

    CU_ASSERT(!file_exists(mirror_only->home, KEYSTORE));
    copy_lives(mirror_only);
    CU_ASSERT_EQUAL(file_exists(mirror_only->home, KEYSTORE), host->encrypted);
}

/*
 * The engine's own tool makes the copy, host stopped. It looks for log files in the home only, so it
 * is not told of mongod's journal; after a clean shutdown nothing is left to recover from there.
 */
static void
wt_backup(HOST *host)
{
    HOST *copy;
    WT_SESSION *session;
    char *output = NULL;

    copy = host_copy(host, "wt");
    OK(host, host_open(host, NULL));
    session = host_session(host);
    fill(host, session);
    OK(host, host_close(host));
    host->wt_without_log = true;
    if (wt_run(host, &output, "backup", copy->home, NULL) != 0) {
        printf("\n    wt backup: %s", output);
        CU_FAIL_FATAL("wt backup");
    }
    free(output);
    CU_ASSERT(file_exists(copy->home, "WiredTiger.backup"));
    /* The keystore is no file of WiredTiger's: the mirror, which is, must do. */
    if (host->encrypted) {
        CU_ASSERT(file_exists(copy->home, MIRROR));
        CU_ASSERT(!file_exists(copy->home, KEYSTORE));
    }
    copy_lives(copy);
}

/* A cold copy of all files, as a disk snapshot takes it, also while the database runs. */
static void
snapshot(HOST *host)
{
    HOST *cold;
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    fill(host, session);
    OK(host, host_close(host));
    cold = host_copy(host, "cold");
    files_copy(host->home, cold->home);
    copy_lives(cold);
}

#if ENGINE_VERSION >= 100000
/* Write the ranges of a file that changed into its older copy. */
static void
copy_ranges(HOST *host, WT_SESSION *session, WT_CURSOR *backup, const char *name, HOST *copy)
{
    WT_CURSOR *cursor;
    FILE *from, *to;
    uint64_t offset, size, type;
    int ret;
    char config[PATH_MAX], *buf, path[PATH_MAX];

    (void)snprintf(config, sizeof(config), "incremental=(file=%s)", name);
    OK(host, session->open_cursor(session, NULL, backup, config, &cursor));
    path_join(path, sizeof(path), host->home, name);
    while ((ret = cursor->next(cursor)) == 0) {
        OK(host, cursor->get_key(cursor, &offset, &size, &type));
        if (type == WT_BACKUP_FILE) {
            char below[PATH_MAX];

            backed_up_path(name, below, sizeof(below));
            file_copy(host->home, copy->home, below);
            continue;
        }
        REQUIRE((from = fopen(path, "rb")) != NULL);
        path_join(config, sizeof(config), copy->home, name);
        if ((to = fopen(config, "r+b")) == NULL)
            to = fopen(config, "w+b");
        REQUIRE(to != NULL);
        REQUIRE((buf = malloc(size)) != NULL);
        REQUIRE(fseeko(from, (off_t)offset, SEEK_SET) == 0);
        REQUIRE(fseeko(to, (off_t)offset, SEEK_SET) == 0);
        /* The last range of a file may reach beyond its end. */
        size = fread(buf, 1, size, from);
        REQUIRE(fwrite(buf, 1, size, to) == size);
        free(buf);
        (void)fclose(from);
        REQUIRE(fclose(to) == 0);
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    OK(host, cursor->close(cursor));
}

static void
incremental_copy(HOST *host, WT_SESSION *session, const char *config, HOST *copy)
{
    WT_CURSOR *backup;
    int ret;
    const char *name;

    OK(host, session->open_cursor(session, "backup:", NULL, config, &backup));
    while ((ret = backup->next(backup)) == 0) {
        OK(host, backup->get_key(backup, &name));
        copy_ranges(host, session, backup, name, copy);
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    if (host->encrypted) {
        file_copy(host->home, copy->home, KEYSTORE);
        file_copy(host->home, copy->home, MIRROR);
    }
    OK(host, backup->close(backup));
}

static void
incremental_backup(HOST *host)
{
    HOST *copy;
    WT_SESSION *session;
    int round;
    char config[128];

    copy = host_copy(host, "incremental");
    OK(host, host_open(host, NULL));
    session = host_session(host);
    fill(host, session);
    OK(host, session->checkpoint(session, NULL));
    backup_copy(
      host, session, "incremental=(enabled=true,granularity=16KB,this_id=\"id0\")", copy, true);
    for (round = 1; round <= 3; round++) {
        rows_put(host, session, COLLECTION, 20000 + 500 * round, 20499 + 500 * round, round, 400);
        rows_put(host, session, COLLECTION, 30001, 30300, round, 400);
        OK(host, session->checkpoint(session, NULL));
        (void)snprintf(config, sizeof(config), "incremental=(src_id=\"id%d\",this_id=\"id%d\")",
          round - 1, round);
        incremental_copy(host, session, config, copy);
    }
    OK(host, host_close(host));

    expect_secret(copy);
    OK(copy, host_open(copy, NULL));
    session = host_session(copy);
    rows_check(copy, session, COLLECTION, 1, 3000, 0, 200);
    for (round = 1; round <= 3; round++)
        rows_check(copy, session, COLLECTION, 20000 + 500 * round, 20499 + 500 * round, round, 400);
    rows_check(copy, session, COLLECTION, 30001, 30300, 3, 400);
    host_verify(copy, session, COLLECTION);
    OK(copy, host_close(copy));
}
#else
/* Before 10.0 an incremental backup is the log files since the full one. */
static void
incremental_backup(HOST *host)
{
    HOST *copy;
    WT_SESSION *session;
    int round;

    copy = host_copy(host, "incremental");
    OK(host, host_open(host, "log=(archive=false)"));
    session = host_session(host);
    fill(host, session);
    backup_copy(host, session, NULL, copy, true);
    for (round = 1; round <= 3; round++) {
        WT_CURSOR *backup;
        int ret;
        const char *name;
        char path[PATH_MAX];

        rows_put(host, session, COLLECTION, 20000 + 500 * round, 20499 + 500 * round, round, 400);
        rows_put(host, session, COLLECTION, 30001, 30300, round, 400);
        OK(host, session->open_cursor(session, "backup:", NULL, "target=(\"log:\")", &backup));
        while ((ret = backup->next(backup)) == 0) {
            OK(host, backup->get_key(backup, &name));
            backed_up_path(name, path, sizeof(path));
            file_copy(host->home, copy->home, path);
        }
        CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
        OK(host, backup->close(backup));
    }
    OK(host, host_close(host));

    expect_secret(copy);
    OK(copy, host_open(copy, NULL));
    session = host_session(copy);
    rows_check(copy, session, COLLECTION, 1, 3000, 0, 200);
    for (round = 1; round <= 3; round++)
        rows_check(copy, session, COLLECTION, 20000 + 500 * round, 20499 + 500 * round, round, 400);
    rows_check(copy, session, COLLECTION, 30001, 30300, 3, 400);
    OK(copy, host_close(copy));
}
#endif

#if ENGINE_VERSION >= 100000
#define IMPORTED "file:imported.wt"
#define TENANT_CONFIG \
    "key_format=S,value_format=S,log=(enabled=false),encryption=(name=kms,keyid=tenantA)"
#define PLAIN_CONFIG "key_format=S,value_format=S,log=(enabled=false)"

/* The metadata of a file, as an importer takes it along. */
static void
file_metadata(HOST *host, WT_SESSION *session, const char *uri, char *buf, size_t size)
{
    WT_CURSOR *cursor;
    const char *value;

    OK(host, session->open_cursor(session, "metadata:", NULL, NULL, &cursor));
    cursor->set_key(cursor, uri);
    OK(host, cursor->search(cursor));
    OK(host, cursor->get_value(cursor, &value));
    REQUIRE(strlen(value) < size);
    (void)snprintf(buf, size, "%s", value);
    OK(host, cursor->close(cursor));
}

/* A file that a checkpoint or the sweep still looks at is busy for a moment. */
static void
drop_keeping_file(HOST *host, WT_SESSION *session, const char *uri)
{
    int ret, tries;

    OK(host, session->checkpoint(session, NULL));
    for (tries = 0; (ret = session->drop(session, uri, "remove_files=false")) == EBUSY; tries++) {
        REQUIRE(tries < 100);
        (void)usleep(50000);
        OK(host, session->checkpoint(session, NULL));
    }
    OK(host, ret);
}

/* Drop a file from the metadata, keep it on disk, and import it: by its metadata, then by its own. */
static void
import(HOST *host)
{
    HOST *other;
    WT_SESSION *session;
    int ret;
    char config[8192], metadata[4096];

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, IMPORTED, host->encrypted ? TENANT_CONFIG : PLAIN_CONFIG));
    rows_put(host, session, IMPORTED, 1, 1000, 0, 300);
    OK(host, session->checkpoint(session, NULL));
    file_metadata(host, session, IMPORTED, metadata, sizeof(metadata));
    drop_keeping_file(host, session, IMPORTED);
    (void)snprintf(
      config, sizeof(config), "import=(enabled,repair=false,file_metadata=(%s))", metadata);
    OK(host, session->create(session, IMPORTED, config));
    rows_check(host, session, IMPORTED, 1, 1000, 0, 300);
    drop_keeping_file(host, session, IMPORTED);

    /* The file's own copy of its metadata is encrypted, in its list of free blocks. */
    OK(host, session->create(session, IMPORTED, "import=(enabled,repair=true)"));
    rows_check(host, session, IMPORTED, 1, 1000, 0, 300);
    rows_put(host, session, IMPORTED, 1001, 1500, 0, 300);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));
    if (!host->encrypted)
        return;

    /* Another home has other keys: the file says nothing to it, and its own data are unharmed. */
    other = host_new("importer", true);
    OK(other, host_open(other, NULL));
    session = host_session(other);
    OK(other, session->create(session, COLLECTION, mongod_collection(true)));
    rows_put(other, session, COLLECTION, 1, 500, 0, 200);
    OK(other, session->checkpoint(session, NULL));
    file_copy(host->home, other->home, "imported.wt");
    ret = session->create(session, IMPORTED, "import=(enabled,repair=true)");
    CU_ASSERT_NOT_EQUAL(ret, 0);
    (void)host_close(other);
    OK(other, host_open(other, NULL));
    session = host_session(other);
    rows_check(other, session, COLLECTION, 1, 500, 0, 200);
    OK(other, host_close(other));
}

static void
test_import(void)
{
    engine_scenario("import", import);
}
#endif

static void
test_hot_backup(void)
{
    engine_scenario("hot-backup", hot_backup);
}

static void
test_wt_backup(void)
{
    engine_scenario("wt-backup", wt_backup);
}

static void
test_snapshot(void)
{
    engine_scenario("snapshot", snapshot);
}

static void
test_incremental_backup(void)
{
    engine_scenario("incremental-backup", incremental_backup);
}

const TEST copy_tests[] = {
  {"backup cursor: with the keystore, with the mirror alone", test_hot_backup},
  {"wt backup", test_wt_backup}, {"all files of a stopped database", test_snapshot},
  {"incremental backup", test_incremental_backup},
#if ENGINE_VERSION >= 100000
  {"file import", test_import},
#endif
  {NULL, NULL}};
