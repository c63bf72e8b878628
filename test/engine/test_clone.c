/*
 * test/engine/test_clone.c -- One collection read out of an encrypted copy without restoring it, as
 * doc/backup-and-restore.md says: with the engine's tool, on a clone that is thrown away, with a
 * configuration and a credential of its own. Nothing of the copy may change.
 */
#include "test/engine/tests.h"

#define COLLECTION "table:collection-0"
#define OTHER "table:collection-1"
#define ROWS 3000

/* The collection alone is what is asked for, and "-x" prints what no text could hold. */
static void
hex(const char *text, char *buf, size_t size)
{
    REQUIRE(2 * strlen(text) < size);
    for (; *text != '\0'; text++, buf += 2)
        (void)snprintf(buf, 3, "%02x", (unsigned char)*text);
}

static void
move(const char *from, const char *to)
{
    REQUIRE(rename(from, to) == 0);
}

/* Copy a customer key, as a credential that is handed out for this and taken back. */
static void
hand_out(HOST *clone, const char *key, const char *name, char *credential, size_t size)
{
    (void)snprintf(credential, size, "%s.%s", clone->home, name);
    REQUIRE(program_run(NULL,
              (const char *const[]){"/bin/cp", "--preserve=mode", key, credential, NULL}) == 0);
}

/* A configuration beside the clone. Every scope of the keystore has to open. */
static void
configure_clone(HOST *host, HOST *clone)
{
    char credential[PATH_MAX], key[PATH_MAX], tenant[PATH_MAX], text[3 * PATH_MAX];

    (void)snprintf(key, sizeof(key), "%s.key", host->home);
    hand_out(clone, key, "credential", credential, sizeof(credential));
    (void)snprintf(key, sizeof(key), "%s.tenant.key", host->home);
    hand_out(clone, key, "tenant", tenant, sizeof(tenant));
    (void)snprintf(clone->config_file, sizeof(clone->config_file), "%s.conf", clone->home);
    (void)snprintf(text, sizeof(text),
      "kms: [{provider: local, keyFile: %s}]\n"
      "keys: {scoped: {kms: [{provider: local, keyFile: %s}]}}\n"
      "access: {onDisabled: warn}\n",
      credential, tenant);
    file_write(test_scratch(), strrchr(clone->config_file, '/') + 1, text, strlen(text), 0600);
    clone->via_string = false;
}

static void
open_clone(HOST *clone)
{
    char libs[2 * PATH_MAX], *output = NULL;
    const char *dir = getenv("ENGINE_DIR");

    (void)snprintf(
      libs, sizeof(libs), "%s/lib/libwiredtiger_snappy.so,%s/lib/libwiredtiger_zlib.so", dir, dir);
    if (wtkms_run(clone, &output, "init", clone->home, "--module", getenv("WTKMS_MODULE"),
          "--extensions", libs, NULL) != 0) {
        printf("\n    wtkms init: %s", output);
        CU_FAIL_FATAL("wtkms init of a clone");
    }
    CU_ASSERT(strstr(output, "It decrypts the data of this home") != NULL);
    free(output);
}

/* What wt prints of the collection: every row, those too that were in the log only. */
static void
read_collection(HOST *clone)
{
    char *at, *output = NULL, row[256], text[128];
    int64_t found, i;

    if (wt_run(clone, &output, "-R", "dump", "-x", COLLECTION, NULL) != 0) {
        printf("\n    wt dump: %s", output);
        CU_FAIL_FATAL("wt dump of a clone");
    }
    hex(MARKER, row, sizeof(row));
    for (found = 0, at = output; (at = strstr(at, row)) != NULL; at++)
        found++;
    CU_ASSERT_EQUAL(found, ROWS);
    for (at = output, i = 1; i <= ROWS && at != NULL; i++) {
        (void)snprintf(text, sizeof(text), MARKER " %lld 0 ", (long long)i);
        hex(text, row, sizeof(row));
        at = strstr(at, row);
    }
    CU_ASSERT_PTR_NOT_NULL(at);
    hex("another collection", row, sizeof(row));
    CU_ASSERT_PTR_NULL(strstr(output, row));
    free(output);
}

/* As a volume's snapshot sees it: the server runs, and its last writes are in the log only. */
static void
fill(HOST *host, HOST *copy)
{
    WT_CURSOR *cursor;
    WT_ITEM item;
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, COLLECTION, mongod_collection(true)));
    OK(host, session->create(session, OTHER, mongod_collection(true)));
    rows_put(host, session, COLLECTION, 1, ROWS - 1000, 0, 200);
    OK(host, session->checkpoint(session, NULL));
    rows_put(host, session, COLLECTION, ROWS - 999, ROWS, 0, 200);
    OK(host, session->open_cursor(session, OTHER, NULL, NULL, &cursor));
    memset(&item, 0, sizeof(item));
    item.data = "another collection";
    item.size = strlen(item.data);
    cursor->set_key(cursor, (int64_t)1);
    cursor->set_value(cursor, &item);
    OK(host, cursor->insert(cursor));
    OK(host, session->log_flush(session, "sync=on"));
    files_copy(host->home, copy->home);
    OK(host, host_close(host));
}

static void
one_collection(HOST *host)
{
    HOST *clone, *copy;
    uint64_t before;
    char away[PATH_MAX + 8], key[PATH_MAX], credential[PATH_MAX];

    copy = host_copy(host, "copy");
    fill(host, copy);
    before = files_fingerprint(copy->home);

    clone = host_copy(host, "clone");
    files_remove(clone->home);
    REQUIRE(program_run(NULL, (const char *const[]){"/bin/cp", "-a", "--reflink=auto", copy->home,
                                clone->home, NULL}) == 0);
    (void)snprintf(key, sizeof(key), "%s.key", host->home);
    configure_clone(host, clone);

    /* The server's own configuration and credential play no part: they are not there. */
    (void)snprintf(away, sizeof(away), "%s.away", key);
    move(key, away);
    open_clone(clone);
    read_collection(clone);
    CU_ASSERT_EQUAL(files_search(clone->home, MARKER), 0);

    /* With the credential taken back the clone is as closed as the copy. */
    (void)snprintf(credential, sizeof(credential), "%s.credential", clone->home);
    REQUIRE(remove(credential) == 0);
    CU_ASSERT_NOT_EQUAL(wt_run(clone, NULL, "-R", "dump", "-x", COLLECTION, NULL), 0);
    files_remove(clone->home);
    REQUIRE(remove(clone->config_file) == 0);
    move(away, key);

    CU_ASSERT_EQUAL(files_fingerprint(copy->home), before);
    CU_ASSERT_EQUAL(files_search(copy->home, MARKER), 0);
    /* And the copy opens as ever. */
    OK(copy, host_open(copy, NULL));
    rows_check(copy, host_session(copy), COLLECTION, 1, ROWS, 0, 200);
    OK(copy, host_close(copy));
}

static void
test_one_collection(void)
{
    engine_encrypted("one-collection", one_collection);
}

const TEST clone_tests[] = {
  {"one collection of a copy, with wt on a clone", test_one_collection}, {NULL, NULL}};
