/*
 * test/engine/test_data.c -- Data written, changed, scanned and read back after a restart: mongod's
 * tables, every kind of table, every size of block.
 */
#include "test/engine/tests.h"

#define COLLECTION "table:collection-0"
#define INDEX "table:index-1"

/* The life of rows 1 to 4000 in a collection and its index; the same function checks the outcome. */
static void
change_rows(HOST *host, WT_SESSION *session)
{
    WT_CURSOR *start, *stop;

    rows_put(host, session, COLLECTION, 1, 4000, 0, 200);
    rows_put(host, session, INDEX, 1, 4000, 0, 60);
    rows_put(host, session, COLLECTION, 500, 999, 1, 350);
    rows_remove(host, session, COLLECTION, 1000, 1499);
    rows_remove(host, session, INDEX, 1000, 1499);
    OK(host, session->checkpoint(session, NULL));

    OK(host, session->open_cursor(session, COLLECTION, NULL, NULL, &start));
    OK(host, session->open_cursor(session, COLLECTION, NULL, NULL, &stop));
    row_set_key(start, 2000);
    row_set_key(stop, 2999);
    OK(host, session->truncate(session, NULL, start, stop, NULL));
    OK(host, start->close(start));
    OK(host, stop->close(stop));
    rows_put(host, session, COLLECTION, 3500, 3599, 2, 20000);
}

static void
check_rows(HOST *host, WT_SESSION *session)
{
    rows_check(host, session, COLLECTION, 1, 499, 0, 200);
    rows_check(host, session, COLLECTION, 500, 999, 1, 350);
    rows_check(host, session, COLLECTION, 1000, 1499, -1, 0);
    rows_check(host, session, COLLECTION, 1500, 1999, 0, 200);
    rows_check(host, session, COLLECTION, 2000, 2999, -1, 0);
    rows_check(host, session, COLLECTION, 3000, 3499, 0, 200);
    rows_check(host, session, COLLECTION, 3500, 3599, 2, 20000);
    rows_check(host, session, COLLECTION, 3600, 4000, 0, 200);
    rows_count(host, session, COLLECTION, NULL, 2500);
    rows_check(host, session, INDEX, 1, 999, 0, 60);
    rows_count(host, session, INDEX, NULL, 3500);
}

/* A scan of the keys from..to by search_near, as a range query does it. */
static void
check_range(HOST *host, WT_SESSION *session, int64_t from, int64_t to, int64_t expected)
{
    WT_CURSOR *cursor;
    int64_t key, seen = 0;
    int exact, ret;

    OK(host, session->open_cursor(session, COLLECTION, NULL, NULL, &cursor));
    row_set_key(cursor, from);
    OK(host, cursor->search_near(cursor, &exact));
    for (ret = exact < 0 ? cursor->next(cursor) : 0; ret == 0; ret = cursor->next(cursor)) {
        OK(host, cursor->get_key(cursor, &key));
        if (key > to)
            break;
        seen++;
    }
    CU_ASSERT_EQUAL(seen, expected);
    OK(host, cursor->close(cursor));
}

static void
collection_life(HOST *host, bool logged)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, COLLECTION, mongod_collection(logged)));
    OK(host, session->create(session, INDEX, mongod_index(logged)));
    change_rows(host, session);
    check_rows(host, session);
    check_range(host, session, 990, 1510, 10 + 11);
    check_range(host, session, 1900, 3100, 100 + 101);
    if (!logged)
        OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));

    /* Small caches below and after: what is read has been through the file. */
    host->cache_mb = 16;
    OK(host, host_open(host, NULL));
    session = host_session(host);
    check_rows(host, session);
    check_range(host, session, 990, 1510, 10 + 11);
    host_verify(host, session, COLLECTION);
    host_verify(host, session, INDEX);
    OK(host, session->compact(session, COLLECTION, NULL));
    check_rows(host, session);
}

static void
standalone(HOST *host)
{
    collection_life(host, true);
}

static void
replica_set(HOST *host)
{
    collection_life(host, false);
}

/* Commits with timestamps and the oplog beside them: what a member of a replica set does. */
#define OPLOG "table:oplog"
static void
timestamps(HOST *host)
{
    WT_CURSOR *data, *oplog;
    WT_SESSION *session;
    int64_t key;
    char config[64];

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host, session->create(session, COLLECTION, mongod_collection(false)));
    OK(host, session->create(session, OPLOG, mongod_collection(true)));
    OK(host, session->open_cursor(session, COLLECTION, NULL, NULL, &data));
    OK(host, session->open_cursor(session, OPLOG, NULL, NULL, &oplog));
    for (key = 1; key <= 2000; key++) {
        OK(host, session->begin_transaction(session, NULL));
        row_set_key(data, 1 + key % 500);
        row_set_value(data, 1 + key % 500, (int)(key / 500), 300);
        OK(host, data->insert(data));
        row_set_key(oplog, key);
        row_set_value(oplog, key, 0, 150);
        OK(host, oplog->insert(oplog));
        (void)snprintf(config, sizeof(config), "commit_timestamp=%llx", (long long)key);
        OK(host, session->commit_transaction(session, config));
        if (key == 1500) {
            OK(host,
              host->conn->set_timestamp(host->conn, "oldest_timestamp=1,stable_timestamp=5db"));
            OK(host, session->checkpoint(session, "use_timestamp=true"));
        }
    }
    /* Closed without another stable timestamp: the collection is that of 0x5db = 1499. */
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_count(host, session, OPLOG, NULL, 2000);
    rows_check(host, session, OPLOG, 1, 2000, 0, 150);
    rows_count(host, session, COLLECTION, NULL, 500);
    rows_check(host, session, COLLECTION, 2, 500, 2, 300);
    rows_check(host, session, COLLECTION, 1, 1, 2, 300);
}

/* Every kind of table, compressor and checksum setting, in one database. */
static const struct {
    const char *name, *config;
} kinds[] = {{"row", "key_format=S,value_format=S"}, {"item", "key_format=u,value_format=u"},
  {"column", "key_format=r,value_format=S"}, {"fixed", "key_format=r,value_format=8t"}},
  compressors[] = {{"none", ""}, {"snappy", "block_compressor=snappy,"},
    {"zlib", "block_compressor=zlib,prefix_compression=true,dictionary=100,"}},
  checksums[] = {
    {"on", "checksum=on,"}, {"off", "checksum=off,"}, {"uncompressed", "checksum=uncompressed,"}};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

typedef void (*TABLE_VISIT)(
  HOST *host, WT_SESSION *session, const char *uri, const char *config, size_t kind);

static void
each_table(HOST *host, WT_SESSION *session, TABLE_VISIT visit)
{
    size_t i, j, k;
    char config[512], uri[128];

    for (i = 0; i < COUNT(kinds); i++)
        for (j = 0; j < COUNT(compressors); j++)
            for (k = 0; k < COUNT(checksums); k++) {
                (void)snprintf(uri, sizeof(uri), "table:%s-%s-%s", kinds[i].name,
                  compressors[j].name, checksums[k].name);
                (void)snprintf(config, sizeof(config), "%s,%s%sleaf_page_max=8KB", kinds[i].config,
                  compressors[j].config, checksums[k].config);
                visit(host, session, uri, config, i);
            }
}

static void
table_fill(HOST *host, WT_SESSION *session, const char *uri, const char *config, size_t kind)
{
    (void)kind;
    OK(host, session->create(session, uri, config));
    rows_put(host, session, uri, 1, 600, 0, 120);
    rows_put(host, session, uri, 100, 199, 1, 240);
    rows_put(host, session, uri, 601, 604, 0, 30000);
    rows_remove(host, session, uri, 300, 349);
}

/* A removed row of a fixed-length column reads as 0, so it stays countable. */
static void
table_check(HOST *host, WT_SESSION *session, const char *uri, const char *config, size_t kind)
{
    bool fixed = strcmp(kinds[kind].name, "fixed") == 0;

    (void)config;
    rows_check(host, session, uri, 1, 99, 0, 120);
    rows_check(host, session, uri, 100, 199, 1, 240);
    rows_check(host, session, uri, 350, 600, 0, 120);
    rows_check(host, session, uri, 601, 604, 0, 30000);
    if (!fixed)
        rows_check(host, session, uri, 300, 349, -1, 0);
    rows_count(host, session, uri, NULL, fixed ? 604 : 554);
}

static void
table_verify(HOST *host, WT_SESSION *session, const char *uri, const char *config, size_t kind)
{
    (void)config;
    (void)kind;
    host_verify(host, session, uri);
}

static void
every_kind(HOST *host)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    each_table(host, session, table_fill);
    each_table(host, session, table_check);
    OK(host, host_close(host));
    OK(host, host_open(host, NULL));
    session = host_session(host);
    each_table(host, session, table_check);
    each_table(host, session, table_verify);
}

/* Allocation sizes of 512 B to 64 KiB; rows smaller than, about and above each. */
static void
allocation_sizes(HOST *host)
{
    WT_SESSION *session;
    size_t size;
    int pass;
    char config[256], uri[64];

    for (pass = 0; pass < 2; pass++) {
        OK(host, host_open(host, NULL));
        session = host_session(host);
        for (size = 512; size <= 65536; size *= 2) {
            (void)snprintf(uri, sizeof(uri), "table:allocation-%zu", size);
            if (pass == 0) {
                (void)snprintf(config, sizeof(config),
                  "key_format=S,value_format=u,allocation_size=%zu,internal_page_max=%zu,"
                  "leaf_page_max=%zu",
                  size, size, 2 * size);
                OK(host, session->create(session, uri, config));
                rows_put(host, session, uri, 1, 100, 0, 64);
                rows_put(host, session, uri, 101, 200, 1, size - 100);
                rows_put(host, session, uri, 201, 220, 2, size + 1);
                rows_put(host, session, uri, 221, 225, 3, 5 * size);
                continue;
            }
            host_verify(host, session, uri);
            rows_check(host, session, uri, 1, 100, 0, 64);
            rows_check(host, session, uri, 101, 200, 1, size - 100);
            rows_check(host, session, uri, 201, 220, 2, size + 1);
            rows_check(host, session, uri, 221, 225, 3, 5 * size);
            rows_count(host, session, uri, NULL, 225);
        }
        OK(host, host_close(host));
    }
}

/* Items that get blocks of their own, replaced and removed while they are on disk. */
#define OVERFLOW "table:overflow"
static void
overflow(HOST *host)
{
    WT_SESSION *session;

    OK(host, host_open(host, NULL));
    session = host_session(host);
    OK(host,
      session->create(session, OVERFLOW,
        "key_format=S,value_format=S,leaf_page_max=4KB,internal_page_max=4KB,leaf_value_max=1KB,"
        "leaf_key_max=24"));
    rows_put(host, session, OVERFLOW, 1, 300, 0, 2500);
    rows_put(host, session, OVERFLOW, 301, 310, 0, 300000);
    rows_put(host, session, OVERFLOW, 311, 311, 0, 9000000);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, OVERFLOW, 1, 300, 0, 2500);
    rows_put(host, session, OVERFLOW, 100, 199, 1, 5000);
    rows_remove(host, session, OVERFLOW, 200, 249);
    rows_put(host, session, OVERFLOW, 301, 305, 1, 40);
    OK(host, session->checkpoint(session, NULL));
    OK(host, host_close(host));

    OK(host, host_open(host, NULL));
    session = host_session(host);
    rows_check(host, session, OVERFLOW, 1, 99, 0, 2500);
    rows_check(host, session, OVERFLOW, 100, 199, 1, 5000);
    rows_check(host, session, OVERFLOW, 200, 249, -1, 0);
    rows_check(host, session, OVERFLOW, 250, 300, 0, 2500);
    rows_check(host, session, OVERFLOW, 301, 305, 1, 40);
    rows_check(host, session, OVERFLOW, 306, 310, 0, 300000);
    rows_check(host, session, OVERFLOW, 311, 311, 0, 9000000);
    rows_count(host, session, OVERFLOW, NULL, 261);
    host_verify(host, session, OVERFLOW);
}

/* Bulk cursors write pages without going through the cache or the log. */
static void
bulk_load(HOST *host)
{
    WT_CURSOR *cursor;
    WT_SESSION *session;
    size_t i;
    int64_t key;
    int pass;
    char config[256], uri[64];

    for (pass = 0; pass < 2; pass++) {
        OK(host, host_open(host, NULL));
        session = host_session(host);
        for (i = 0; i < COUNT(kinds); i++) {
            (void)snprintf(uri, sizeof(uri), "table:bulk-%s", kinds[i].name);
            if (pass == 0) {
                (void)snprintf(
                  config, sizeof(config), "%s,block_compressor=snappy", kinds[i].config);
                OK(host, session->create(session, uri, config));
                OK(host, session->open_cursor(session, uri, NULL, "bulk", &cursor));
                for (key = 1; key <= 10000; key++) {
                    row_set_key(cursor, key);
                    row_set_value(cursor, key, 0, 100);
                    OK(host, cursor->insert(cursor));
                }
                OK(host, cursor->close(cursor));
            }
            rows_check(host, session, uri, 1, 10000, 0, 100);
            rows_count(host, session, uri, NULL, 10000);
            if (pass == 1)
                host_verify(host, session, uri);
        }
        OK(host, host_close(host));
    }
}

static void
test_standalone(void)
{
    engine_scenario("standalone", standalone);
}

static void
test_replica_set(void)
{
    engine_scenario("replica-set", replica_set);
}

static void
test_timestamps(void)
{
    engine_scenario("timestamps", timestamps);
}

static void
test_every_kind(void)
{
    engine_scenario("every-kind", every_kind);
}

static void
test_allocation_sizes(void)
{
    engine_scenario("allocation-sizes", allocation_sizes);
}

static void
test_overflow(void)
{
    engine_scenario("overflow", overflow);
}

static void
test_bulk_load(void)
{
    engine_scenario("bulk-load", bulk_load);
}

const TEST data_tests[] = {{"a standalone mongod's tables", test_standalone},
  {"a replica set member's tables", test_replica_set},
  {"timestamps, oplog, stable checkpoint", test_timestamps},
  {"every kind of table, compressor and checksum", test_every_kind},
  {"allocation sizes of 512 B to 64 KiB", test_allocation_sizes}, {"overflow items", test_overflow},
  {"bulk load", test_bulk_load}, {NULL, NULL}};
