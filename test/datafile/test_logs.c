/*
 * test/datafile/test_logs.c -- Log files as the engine writes them, and such as it never would.
 */
#include "test/datafile/fixture.h"

#include "crypto/unit.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    int ret;
    STATUS status;
    LOG_SUMMARY summary;
    LOG_RECORD *records; /* their pointers are stale */
    size_t count;
    LOG_GAP gaps[64];
    size_t gap_count;
    uint64_t whole, broken, padding_bad;
    uint64_t size, next;
    uint32_t alignment;
    uint16_t version;
    bool in_order, descriptor_ok;
    unsigned stop_after;
} LOGGED;

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    LOGGED *logged = context;
    uint64_t id;
    uint32_t i;
    uint8_t sum;

    (void)status;
    if (record->offset != logged->next)
        logged->in_order = false;
    logged->next = (record->offset + record->length + logged->alignment - 1) / logged->alignment *
                   logged->alignment;
    for (sum = 0, i = 0; i < record->length; i++)
        sum ^= record->image[i];
    (void)sum;
    if (record->kind == LOG_RECORD_ENCRYPTED) {
        if (fixture_whole(record->unit, record->unit_length, &id) &&
            id == fixture_key_id(SYSTEM_KEYID))
            logged->whole++;
        else
            logged->broken++;
        if (!record->padding_ok)
            logged->padding_bad++;
    }
    logged->records = realloc(logged->records, (logged->count + 1) * sizeof(*record));
    if (logged->records == NULL)
        abort();
    logged->records[logged->count++] = *record;
    return (logged->stop_after != 0 && logged->count == logged->stop_after ? WALK_STOP : 0);
}

static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    LOGGED *logged = context;

    (void)status;
    if (gap->offset != logged->next || gap->length == 0)
        logged->in_order = false;
    logged->next = gap->offset + gap->length;
    if (logged->gap_count < 64)
        logged->gaps[logged->gap_count] = *gap;
    logged->gap_count++;
    return (0);
}

static void
walk_fd(LOGGED *logged, int fd, bool tolerant)
{
    LOG_HANDLER handler = {on_record, on_gap, NULL, logged};
    LOG_FILE file;

    status_clear(&logged->status);
    logged->in_order = true;
    logged->ret = log_file_open(&file, fd, "test.log", tolerant, &logged->status);
    logged->size = file.size;
    logged->alignment = file.alignment;
    logged->version = file.version;
    logged->descriptor_ok = file.descriptor_ok;
    if (logged->ret == 0)
        logged->ret = log_file_walk(&file, &handler, &logged->summary, &logged->status);
    log_file_close(&file);
}

static void
walk_data(LOGGED *logged, const uint8_t *data, size_t len, bool tolerant)
{
    int fd = fixture_memory(data, len);

    memset(logged, 0, sizeof(*logged));
    walk_fd(logged, fd, tolerant);
    (void)close(fd);
}

static void
walk_name(LOGGED *logged, int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);

    memset(logged, 0, sizeof(*logged));
    CU_ASSERT_FATAL(fd >= 0);
    walk_fd(logged, fd, false);
    (void)close(fd);
}

static void
logged_free(LOGGED *logged)
{
    free(logged->records);
    logged->records = NULL;
}

/* Records and gaps one after the other to the end. */
static void
logged_complete(const LOGGED *logged)
{
    CU_ASSERT_EQUAL(logged->ret, 0);
    CU_ASSERT_TRUE(logged->in_order);
    CU_ASSERT(logged->next >= logged->size);
    CU_ASSERT_EQUAL(
      logged->count, logged->summary.encrypted + logged->summary.clear + logged->summary.by_design);
}

static bool
has_record(const LOGGED *logged, uint64_t offset)
{
    size_t i;

    for (i = 0; i < logged->count; i++)
        if (logged->records[i].offset == offset)
            return (true);
    return (false);
}

/* A home whose log files stay: archiving is off, and what is preallocated is cut to 1 MB files. */
#define LOG_BASE "log=(enabled=true,archive=false,file_max=1MB,prealloc=true"

static WT_CONNECTION *
logging_home(const char *home, bool encrypted, const char *more)
{
    char extra[512];

    (void)snprintf(extra, sizeof(extra), LOG_BASE "%s)", more);
    return (fixture_connect(home, encrypted, extra));
}

/* The engine's own cursor over the log: each record that it has must be found by us. */
static void
check_engine_records(WT_CONNECTION *conn, int dirfd, const char *where)
{
    LOGGED logged;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    char name[128];
    uint32_t current, file, offset, operation, before;
    unsigned missing, seen;
    int ret;

    session = fixture_session(conn);
    CU_ASSERT_EQUAL_FATAL(session->open_cursor(session, "log:", NULL, NULL, &cursor), 0);
    memset(&logged, 0, sizeof(logged));
    for (current = before = 0, missing = seen = 0; (ret = cursor->next(cursor)) == 0;) {
        CU_ASSERT_EQUAL(cursor->get_key(cursor, &file, &offset, &operation), 0);
        if (file != current) {
            logged_free(&logged);
            (void)snprintf(name, sizeof(name), "%sWiredTigerLog.%010u", where, file);
            walk_name(&logged, dirfd, name);
            current = file;
        } else if (offset == before)
            continue;
        before = offset;
        seen++;
        if (!has_record(&logged, offset))
            missing++;
    }
    CU_ASSERT_EQUAL(ret, WT_NOTFOUND);
    CU_ASSERT(seen > 100);
    CU_ASSERT_EQUAL(missing, 0);
    logged_free(&logged);
    CU_ASSERT_EQUAL(session->close(session, NULL), 0);
}

static void
one_log(bool encrypted, const char *more, const char *where)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    LOGGED logged;
    const char *home;
    char name[128];
    uint64_t encrypted_records, clear_records;
    unsigned i;
    int dirfd, fd;

    dirfd = make_dir(&home);
    if (where[0] != '\0')
        CU_ASSERT_EQUAL(mkdirat(dirfd, "journal", 0755), 0);
    conn = logging_home(home, encrypted, more);
    session = fixture_session(conn);
    fixture_create(session, "table:t", "key_format=S,value_format=S");
    fixture_rows(session, "table:t", 0, 2000, 60);
    fixture_rows(session, "table:t", 2000, 2400, 2000);
    fixture_rows(session, "table:t", 2400, 2402, 300000);
    CU_ASSERT_EQUAL(session->log_flush(session, "sync=on"), 0);
    check_engine_records(conn, dirfd, where);
    fixture_close(conn);

    for (encrypted_records = clear_records = 0, i = 1; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "%sWiredTigerLog.%010u", where, i);
        if ((fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC)) < 0)
            break;
        (void)close(fd);
        walk_name(&logged, dirfd, name);
        logged_complete(&logged);
        CU_ASSERT_EQUAL(logged.summary.by_design, 2);
        CU_ASSERT_EQUAL(logged.records[0].kind, LOG_RECORD_DESCRIPTOR);
        CU_ASSERT_EQUAL(logged.records[1].kind, LOG_RECORD_PREVIOUS_LSN);
        CU_ASSERT_EQUAL(logged.broken, 0);
        CU_ASSERT_EQUAL(logged.padding_bad, 0);
        CU_ASSERT(logged.version >= 3 && logged.version <= 6);
        CU_ASSERT_EQUAL(logged.summary.other_bytes, 0);
        CU_ASSERT_EQUAL(logged.summary.hole_bytes, 0);
        encrypted_records += logged.whole;
        clear_records += logged.summary.clear;
        logged_free(&logged);
    }
    CU_ASSERT(i > 2);
    if (encrypted) {
        CU_ASSERT(encrypted_records > 2400);
        CU_ASSERT_EQUAL(clear_records, 0);
    } else {
        CU_ASSERT(clear_records > 2400);
        CU_ASSERT_EQUAL(encrypted_records, 0);
    }
    (void)close(dirfd);
}

static void
test_encrypted(void)
{
    one_log(true, "", "");
    one_log(true, ",compressor=snappy,path=journal", "journal/");
}

static void
test_plain(void)
{
    one_log(false, "", "");
    one_log(false, ",compressor=snappy,path=journal", "journal/");
}

static void
test_preallocated(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    LOG_FILE file;
    LOGGED logged;
    STATUS status;
    const char *home;
    unsigned i;
    int dirfd, fd;
    bool has;

    dirfd = make_dir(&home);
    conn = logging_home(home, true, "");
    session = fixture_session(conn);
    fixture_create(session, "table:t", "key_format=S,value_format=S");
    for (fd = -1, i = 0; fd < 0 && i < 200; i++) { /* made by a thread of the engine's */
        (void)usleep(50000);
        fd = openat(dirfd, "WiredTigerPreplog.0000000001", O_RDONLY | O_CLOEXEC);
    }
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(log_file_open(&file, fd, "prep", false, &status), 0);
    has = true;
    CU_ASSERT_EQUAL(log_file_has_records(&file, &has, &status), 0);
    CU_ASSERT_FALSE(has);
    log_file_close(&file);
    memset(&logged, 0, sizeof(logged));
    walk_fd(&logged, fd, false);
    logged_complete(&logged);
    CU_ASSERT_EQUAL(logged.count, 1);
    CU_ASSERT_EQUAL(logged.records[0].kind, LOG_RECORD_DESCRIPTOR);
    if (logged.size > 128)
        CU_ASSERT_EQUAL(logged.gaps[0].kind, LOG_GAP_TAIL);
    logged_free(&logged);
    (void)close(fd);

    fd = openat(dirfd, "WiredTigerLog.0000000001", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(log_file_open(&file, fd, "log", false, &status), 0);
    CU_ASSERT_EQUAL(log_file_has_records(&file, &has, &status), 0);
    CU_ASSERT_TRUE(has);
    log_file_close(&file);
    (void)close(fd);
    fixture_close(conn);
    (void)close(dirfd);
}

static uint8_t *sample, *plain_sample;
static size_t sample_len, plain_len; /* up to the last record's end */

static uint8_t *
make_one(bool encrypted, size_t *lenp)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    LOGGED logged;
    const char *home;
    uint8_t *data;
    size_t i, len;
    int dirfd;

    dirfd = make_dir(&home);
    conn = logging_home(home, encrypted, "");
    session = fixture_session(conn);
    fixture_create(session, "table:t", "key_format=S,value_format=S");
    fixture_rows(session, "table:t", 0, 10, 60);
    fixture_rows(session, "table:t", 10, 12, 3000);
    fixture_close(conn);
    data = fixture_read(dirfd, "WiredTigerLog.0000000001", &len);
    walk_data(&logged, data, len, false);
    logged_complete(&logged);
    i = logged.count - 1;
    *lenp = logged.records[i].offset + logged.records[i].length;
    logged_free(&logged);
    (void)close(dirfd);
    return (data);
}

static uint8_t *
copy_sample(void)
{
    uint8_t *copy;

    if (sample == NULL) {
        sample = make_one(true, &sample_len);
        plain_sample = make_one(false, &plain_len);
    }
    if ((copy = malloc(sample_len + 8192)) == NULL)
        abort();
    memcpy(copy, sample, sample_len);
    memset(copy + sample_len, 0, 8192);
    return (copy);
}

/* Cut anywhere, with and without zeros behind: the whole records stay, the cut one is told as torn. */
static void
test_torn(void)
{
    LOGGED all, logged;
    uint8_t *copy;
    uint64_t start;
    size_t cut, i, n;

    copy = copy_sample();
    walk_data(&all, copy, sample_len + 4096, false);
    logged_complete(&all);
    CU_ASSERT_EQUAL(all.gap_count, 1);
    CU_ASSERT_EQUAL(all.gaps[0].kind, LOG_GAP_TAIL);
    CU_ASSERT(all.count > 12);
    for (cut = 0; cut < sample_len; cut += cut % 128 < 40 ? 1 : 29) {
        walk_data(&logged, sample, cut, false);
        if (cut < 128) {
            CU_ASSERT_EQUAL(logged.ret, STATUS_CORRUPT);
            logged_free(&logged);
            continue;
        }
        for (n = 0; n < all.count && all.records[n].offset + all.records[n].length <= cut; n++)
            ;
        start = n == all.count ? sample_len : all.records[n].offset;
        logged_complete(&logged);
        CU_ASSERT_EQUAL(logged.count, n);
        /* Of a few bytes it cannot be told that a record begins with them. */
        if (cut > start + LOG_RECORD_HEADER_LEN) {
            CU_ASSERT_EQUAL(logged.gap_count, 1);
            CU_ASSERT_EQUAL(logged.gaps[0].kind, LOG_GAP_TORN);
            CU_ASSERT_EQUAL(logged.gaps[0].offset, start);
        }
        logged_free(&logged);

        /* The same in a preallocated file. */
        memcpy(copy, sample, sample_len);
        memset(copy + cut, 0, sample_len - cut);
        walk_data(&logged, copy, sample_len + 8192, false);
        logged_complete(&logged);
        CU_ASSERT(logged.count >= n);
        CU_ASSERT_EQUAL(logged.gaps[logged.gap_count - 1].kind, LOG_GAP_TAIL);
        for (i = 0; i < logged.count; i++)
            CU_ASSERT_EQUAL(logged.records[i].offset, all.records[i].offset);
        logged_free(&logged);
    }
    logged_free(&all);
    free(copy);
}

/* A hole or damage in the middle: told, and what comes behind is found and marked. */
static void
test_gaps(void)
{
    LOGGED all, logged;
    uint8_t *copy;
    size_t i, j;

    copy = copy_sample();
    walk_data(&all, copy, sample_len, false);
    for (i = 2; i + 1 < all.count; i++) {
        memset(copy + all.records[i].offset, 0, all.records[i].length);
        walk_data(&logged, copy, sample_len, false);
        logged_complete(&logged);
        CU_ASSERT_EQUAL(logged.count, all.count - 1);
        CU_ASSERT_EQUAL(logged.gap_count, 1);
        CU_ASSERT_EQUAL(logged.gaps[0].kind, LOG_GAP_HOLE);
        CU_ASSERT_EQUAL(logged.gaps[0].offset, all.records[i].offset);
        CU_ASSERT_EQUAL(logged.gaps[0].length, all.records[i].length);
        for (j = 0; j < logged.count; j++)
            CU_ASSERT_EQUAL(logged.records[j].after_gap, j >= i);
        logged_free(&logged);
        memcpy(copy + all.records[i].offset, sample + all.records[i].offset, all.records[i].length);

        copy[all.records[i].offset + all.records[i].length / 2] ^= 0x04;
        walk_data(&logged, copy, sample_len, false);
        logged_complete(&logged);
        CU_ASSERT_EQUAL(logged.count, all.count - 1);
        CU_ASSERT_EQUAL(logged.gaps[0].kind, LOG_GAP_OTHER);
        logged_free(&logged);
        copy[all.records[i].offset + all.records[i].length / 2] ^= 0x04;
    }
    logged_free(&all);
    free(copy);
}

/* Rows slipped into an encrypted log in clear, in every disguise. */
static void
test_clear_records(void)
{
    LOGGED logged, plain;
    uint8_t *copy;
    uint32_t i, len;
    uint64_t from;

    copy = copy_sample();
    walk_data(&plain, plain_sample, plain_len, false);
    logged_complete(&plain);
    CU_ASSERT(plain.summary.clear > 10);

    /* a record of a plain log behind the last one */
    from = plain.records[plain.count - 1].offset;
    len = plain.records[plain.count - 1].length;
    CU_ASSERT_FATAL(len <= 8192);
    memcpy(copy + sample_len, plain_sample + from, len);
    walk_data(&logged, copy, sample_len + len, false);
    logged_complete(&logged);
    CU_ASSERT_EQUAL(logged.summary.clear, 1);
    CU_ASSERT_EQUAL(logged.records[logged.count - 1].kind, LOG_RECORD_CLEAR);
    logged_free(&logged);

    /* the same with the flag of a compressed one */
    copy[sample_len + 8] = LOG_RECORD_FLAG_COMPRESSED;
    fixture_seal_record(copy + sample_len, len);
    walk_data(&logged, copy, sample_len + len, false);
    CU_ASSERT_EQUAL(logged.summary.clear, 1);
    logged_free(&logged);

    /* in the place of the previous-LSN record */
    for (i = 0; i < plain.count &&
                (plain.records[i].kind != LOG_RECORD_CLEAR || plain.records[i].length != 128);
         i++)
        ;
    CU_ASSERT_FATAL(i < plain.count);
    memcpy(copy, sample, sample_len);
    memcpy(copy + 128, plain_sample + plain.records[i].offset, 128);
    walk_data(&logged, copy, sample_len, false);
    CU_ASSERT_EQUAL(logged.summary.clear, 1);
    CU_ASSERT_EQUAL(logged.summary.by_design, 1);
    logged_free(&logged);

    /* the previous-LSN record with something in what must be zero */
    for (i = 0; i < 128; i++) {
        memcpy(copy, sample, sample_len);
        copy[128 + i] ^= 0x01;
        fixture_seal_record(copy + 128, 128);
        walk_data(&logged, copy, sample_len, false);
        if (i < 4 || (i >= 4 && i < 8) || i == 8 || i == 9) {
            /* length and flags: another kind of record or none; the checksum was put right */
        } else if (i == 19 || i == 20) {
            CU_ASSERT_EQUAL(logged.summary.clear, 0); /* another LSN: no rows in that */
        } else
            CU_ASSERT_EQUAL(logged.summary.clear, 1);
        logged_free(&logged);
    }

    /* the two kinds in another place */
    memcpy(copy, sample, sample_len);
    memcpy(copy + sample_len, sample, 256);
    walk_data(&logged, copy, sample_len + 256, false);
    CU_ASSERT_EQUAL(logged.summary.clear, 2);
    logged_free(&logged);

    /* a descriptor that carries more */
    memcpy(copy, sample, sample_len);
    copy[100] = 1;
    fixture_seal_record(copy, 128);
    walk_data(&logged, copy, sample_len, false);
    CU_ASSERT_EQUAL(logged.summary.clear, 1);
    logged_free(&logged);
    logged_free(&plain);
    free(copy);
}

static void
test_length_lies(void)
{
    LOGGED all, logged;
    LOG_RECORD *record;
    uint8_t *copy, *p;
    uint32_t length;
    size_t i;
    bool fits;

    copy = copy_sample();
    walk_data(&all, sample, sample_len, false);
    for (i = 0; i < all.count &&
                (all.records[i].kind != LOG_RECORD_ENCRYPTED || all.records[i].length <= 256);
         i++)
        ;
    CU_ASSERT_FATAL(i < all.count);
    record = &all.records[i];
    p = copy + record->offset;
    for (length = 0; length < record->length + 300; length++) {
        fixture_put32(p + 16, length);
        fixture_seal_record(p, record->length);
        walk_data(&logged, copy, sample_len, false);
        logged_complete(&logged);
        fits = length >= 20 && length <= record->length && record->length - length < 128;
        CU_ASSERT_EQUAL(logged.records[i].stored_length, length);
        CU_ASSERT_EQUAL(logged.records[i].length_ok, fits);
        CU_ASSERT_EQUAL(logged.records[i].unit_length, fits ? length - 20 : 0);
        CU_ASSERT_EQUAL(logged.broken, length == record->stored_length ? 0 : 1);
        logged_free(&logged);
    }
    fixture_put32(p + 16, 0xffffffffu);
    fixture_seal_record(p, record->length);
    walk_data(&logged, copy, sample_len, false);
    CU_ASSERT_FALSE(logged.records[i].length_ok);
    logged_free(&logged);

    /* padding */
    memcpy(copy, sample, sample_len);
    for (length = record->stored_length; length < record->length; length++) {
        p[length] ^= 0x5c;
        fixture_seal_record(p, record->length);
        walk_data(&logged, copy, sample_len, false);
        CU_ASSERT_EQUAL(logged.padding_bad, 1);
        logged_free(&logged);
        p[length] ^= 0x5c;
    }
    logged_free(&all);
    free(copy);
}

static void
test_damaged(void)
{
    static const uint32_t values[] = {
      0, 1, 15, 16, 17, 19, 20, 127, 128, 129, 4096, 0x7fffffff, 0x80000000u, 0xffffffffu};
    LOGGED logged;
    uint8_t *copy;
    unsigned round, seed;
    size_t field, i, v;

    copy = copy_sample();
    for (field = 0; field < 40; field += 4)
        for (v = 0; v < sizeof(values) / sizeof(values[0]); v++)
            for (i = 0; i <= 256; i += 128) {
                memcpy(copy, sample, sample_len);
                fixture_put32(copy + i + field, values[v]);
                if (field != 4)
                    fixture_seal_record(copy + i, fixture_get32(sample + i));
                walk_data(&logged, copy, sample_len, true);
                logged_complete(&logged);
                logged_free(&logged);
            }
    for (seed = 7, round = 0; round < 300; round++) {
        memcpy(copy, sample, sample_len);
        for (i = 0; i < 1 + round % 60; i++) {
            seed = seed * 1103515245u + 12345u;
            copy[(seed >> 8) % sample_len] = (uint8_t)(seed >> 3);
        }
        walk_data(&logged, copy, sample_len, true);
        logged_complete(&logged);
        logged_free(&logged);
    }
    memcpy(copy, sample, sample_len);
    copy[16] ^= 1;
    walk_data(&logged, copy, sample_len, false);
    CHECK_STATUS(logged.ret, &logged.status, STATUS_CORRUPT, "no log file");
    copy[16] ^= 1;
    copy[20] ^= 1;
    walk_data(&logged, copy, sample_len, false);
    CHECK_STATUS(logged.ret, &logged.status, STATUS_CORRUPT, "first record");
    walk_data(&logged, copy, 0, true);
    logged_complete(&logged);
    walk_data(&logged, copy, 0, false);
    CHECK_STATUS(logged.ret, &logged.status, STATUS_CORRUPT, "no log file");
    free(copy);
    free(sample);
    free(plain_sample);
    sample = plain_sample = NULL;
}

static void
test_stop(void)
{
    LOGGED logged;
    uint8_t *copy;
    int fd;

    copy = copy_sample();
    fd = fixture_memory(copy, sample_len);
    memset(&logged, 0, sizeof(logged));
    logged.stop_after = 3;
    walk_fd(&logged, fd, false);
    CU_ASSERT_EQUAL(logged.ret, 0);
    CU_ASSERT_EQUAL(logged.count, 3);
    logged_free(&logged);
    (void)close(fd);
    free(copy);
}

/* A record larger than the window. */
static void
test_large(void)
{
    LOGGED logged;
    uint8_t *data;
    size_t len;
    const uint32_t large = 20 * 1024 * 1024;

    data = copy_sample();
    len = 256 + large + 128;
    if ((data = realloc(data, len)) == NULL)
        abort();
    memset(data + 256, 'x', large + 128);
    memset(data + 256, 0, 16);
    fixture_put32(data + 256, large);
    data[256 + 8] = LOG_RECORD_FLAG_ENCRYPTED;
    fixture_put32(data + 256 + 16, large - 1);
    fixture_seal_record(data + 256, large);
    walk_data(&logged, data, len, false);
    logged_complete(&logged);
    CU_ASSERT_EQUAL(logged.count, 3);
    CU_ASSERT_EQUAL(logged.records[2].unit_length, large - 21);
    logged_free(&logged);
    free(data);
}

const TEST log_tests[] = {
  {"encrypted logs, each record that the engine has", test_encrypted},
  {"plain logs", test_plain},
  {"preallocated and fresh files", test_preallocated},
  {"a walk can be stopped", test_stop},
  {"a record larger than the window", test_large},
  {NULL, NULL},
};

const TEST log_hostile_tests[] = {
  {"cut anywhere", test_torn},
  {"holes and damage", test_gaps},
  {"clear records", test_clear_records},
  {"length and padding lie", test_length_lies},
  {"absurd fields, random damage", test_damaged},
  {NULL, NULL},
};
