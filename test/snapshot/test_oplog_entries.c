/*
 * test/snapshot/test_oplog_entries.c -- Entries of every BSON type, held to libbson with each byte changed; gaps
 * inside of a stream; and a large archive, made by libbson and read back byte for byte.
 */
#include "kms_clients/kms_client.h"
#include "snapshot/oplog_files.h"
#include "test/snapshot/oplog_tests.h"
#include "test/support.h"

#include <bson/bson.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define T0 1764000000u

/* --- what is a document */

static bool
walk(bson_iter_t *iter, unsigned depth)
{
    bson_iter_t child;

    while (bson_iter_next(iter))
        if ((BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) &&
            (depth == 250 || !bson_iter_recurse(iter, &child) || !walk(&child, depth + 1)))
            return (false);
    return (iter->err_off == 0);
}

/* What libbson says of bytes: a document, with one "ts" that is a Timestamp. */
static bool
libbson_takes(const uint8_t *data, size_t len)
{
    bson_iter_t iter;
    bson_t document;
    unsigned found = 0, right = 0;

    if (!bson_init_static(&document, data, len) || !bson_iter_init(&iter, &document) ||
        !walk(&iter, 0) || !bson_iter_init(&iter, &document))
        return (false);
    while (bson_iter_next(&iter))
        if (strcmp(bson_iter_key(&iter), "ts") == 0) {
            found++;
            right += BSON_ITER_HOLDS_TIMESTAMP(&iter) ? 1 : 0;
        }
    return (found == 1 && right == 1);
}

/* Whether these bytes are one entry and nothing else. */
static bool
we_take(const uint8_t *data, size_t len, uint64_t *tsp)
{
    OPLOG_ENTRIES *entries;
    OPLOG_ENTRY entry = {.len = 0};
    STATUS status;
    bool end, taken;
    int fd = memfd_create("entry", MFD_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0 && write(fd, data, len) == (ssize_t)len && lseek(fd, 0, SEEK_SET) == 0);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(oplog_entries_open(fd, "test", &entries, &status), 0);
    taken = oplog_entries_next(entries, &entry, &end, &status) == 0 && !end && entry.len == len;
    *tsp = entry.ts;
    oplog_entries_close(entries);
    (void)close(fd);
    return (taken);
}

static void
every_type(bson_t *document)
{
    bson_t child, scope = BSON_INITIALIZER;
    bson_decimal128_t decimal;
    bson_oid_t oid;

    bson_oid_init_from_string(&oid, "0123456789abcdef01234567");
    (void)bson_decimal128_from_string("1.5", &decimal);
    BSON_APPEND_TIMESTAMP(document, "ts", T0, 7);
    BSON_APPEND_DOUBLE(document, "d", 1.5);
    BSON_APPEND_UTF8(document, "s", "text");
    BSON_APPEND_DOCUMENT_BEGIN(document, "o", &child);
    BSON_APPEND_INT32(&child, "ts", 1);
    (void)bson_append_document_end(document, &child);
    BSON_APPEND_ARRAY_BEGIN(document, "a", &child);
    BSON_APPEND_NULL(&child, "0");
    (void)bson_append_array_end(document, &child);
    BSON_APPEND_BINARY(document, "b", BSON_SUBTYPE_BINARY, (const uint8_t *)"abc", 3);
    BSON_APPEND_BINARY(document, "e", BSON_SUBTYPE_BINARY_DEPRECATED, (const uint8_t *)"abc", 3);
    BSON_APPEND_UNDEFINED(document, "u");
    BSON_APPEND_OID(document, "i", &oid);
    BSON_APPEND_BOOL(document, "t", true);
    BSON_APPEND_DATE_TIME(document, "w", 1764000000000);
    BSON_APPEND_REGEX(document, "r", "^a", "i");
    BSON_APPEND_DBPOINTER(document, "p", "db.c", &oid);
    BSON_APPEND_CODE(document, "c", "f()");
    BSON_APPEND_SYMBOL(document, "y", "sym");
    BSON_APPEND_INT32(&scope, "x", 1);
    BSON_APPEND_CODE_WITH_SCOPE(document, "g", "g()", &scope);
    BSON_APPEND_INT32(document, "n", 5);
    BSON_APPEND_INT64(document, "l", 6);
    BSON_APPEND_DECIMAL128(document, "m", &decimal);
    BSON_APPEND_MINKEY(document, "k");
    BSON_APPEND_MAXKEY(document, "z");
    bson_destroy(&scope);
}

static void
test_documents(void)
{
    static const uint8_t changes[] = {1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff};
    bson_t document = BSON_INITIALIZER;
    uint8_t copy[512];
    uint64_t ts;
    size_t i, n, refused = 0, taken = 0;
    bool ours, theirs;

    every_type(&document);
    CU_ASSERT_FATAL(document.len < sizeof(copy));
    CU_ASSERT(we_take(bson_get_data(&document), document.len, &ts));
    CU_ASSERT_EQUAL(ts, (uint64_t)T0 << 32 | 7);
    for (i = 0; i < document.len; i++)
        for (n = 0; n < sizeof(changes); n++) {
            memcpy(copy, bson_get_data(&document), document.len);
            copy[i] ^= changes[n];
            ours = we_take(copy, document.len, &ts);
            theirs = libbson_takes(copy, document.len);
            /* libbson does not look into the scope of code. */
            if (ours ? !theirs : theirs && memchr(copy, 0x0f, document.len) == NULL)
                CU_FAIL("another verdict than libbson's");
            refused += !ours;
            taken += ours;
        }
    CU_ASSERT(refused > 500 && taken > 500);
    /* Every length that is too short is cut off. */
    for (i = 0; i < document.len; i++)
        CU_ASSERT(!we_take(bson_get_data(&document), i, &ts));
    bson_destroy(&document);
}

/* Documents in documents: as deep as libbson lets one be recursed into, and one more. */
static void
test_depth(void)
{
    bson_t inner = BSON_INITIALIZER, outer;
    uint64_t ts;
    int depth;

    for (depth = 1; depth <= 251; depth++) {
        bson_init(&outer);
        if (depth >= 250)
            BSON_APPEND_TIMESTAMP(&outer, "ts", T0, 1);
        BSON_APPEND_DOCUMENT(&outer, "o", &inner);
        bson_destroy(&inner);
        bson_copy_to(&outer, &inner);
        bson_destroy(&outer);
        if (depth >= 250) {
            CU_ASSERT_EQUAL(we_take(bson_get_data(&inner), inner.len, &ts), depth == 250);
            CU_ASSERT_EQUAL(libbson_takes(bson_get_data(&inner), inner.len), depth == 250);
        }
    }
    bson_destroy(&inner);
}

/* --- a large archive */

typedef struct {
    uint64_t state, left; /* bytes still to be made */
    uint32_t number;
    uint8_t entry[4096];
    size_t len;
    int fd;
} MAKER;

static uint64_t
draw(MAKER *maker)
{
    maker->state ^= maker->state << 13;
    maker->state ^= maker->state >> 7;
    maker->state ^= maker->state << 17;
    return (maker->state);
}

/* The next entry of the same sequence each time; false at its end. */
static bool
make(MAKER *maker)
{
    bson_t document, object;
    char text[2048];
    size_t i, len;

    if (maker->left == 0)
        return (false);
    bson_init(&document);
    len = draw(maker) % sizeof(text);
    for (i = 0; i < len; i++)
        text[i] = (char)('a' + (i % 64 == 0 ? draw(maker) : i * 7 + maker->number) % 26);
    BSON_APPEND_UTF8(&document, "op", "i");
    BSON_APPEND_UTF8(&document, "ns", "shop.orders");
    BSON_APPEND_TIMESTAMP(&document, "ts", T0 + maker->number / 1000, maker->number % 1000 + 1);
    BSON_APPEND_DOCUMENT_BEGIN(&document, "o", &object);
    BSON_APPEND_INT64(&object, "_id", (int64_t)draw(maker));
    (void)bson_append_utf8(&object, "text", 4, text, (int)len);
    (void)bson_append_document_end(&document, &object);
    maker->len = document.len;
    CU_ASSERT_FATAL(maker->len <= sizeof(maker->entry));
    memcpy(maker->entry, bson_get_data(&document), maker->len);
    bson_destroy(&document);
    maker->number++;
    maker->left -= maker->left < maker->len ? maker->left : maker->len;
    return (true);
}

static MAKER
maker_of(uint64_t bytes)
{
    return ((MAKER){.state = 88172645463325252u, .left = bytes});
}

/* mongodump's end of a pipe. */
static void *
feed(void *cookie)
{
    MAKER *maker = cookie;
    FILE *out = fdopen(maker->fd, "w");

    while (out != NULL && make(maker) && fwrite(maker->entry, 1, maker->len, out) == maker->len)
        ;
    if (out != NULL)
        (void)fclose(out);
    return (NULL);
}

static int
compare(void *context, const OPLOG_ENTRY *entry, STATUS *status)
{
    MAKER *maker = context;

    if (make(maker) && entry->len == maker->len &&
        memcmp(entry->data, maker->entry, maker->len) == 0)
        return (0);
    return (status_set(status, STATUS_INTERNAL, "test", "entry %u is another", maker->number));
}

static SETTINGS *
configure(const char *dir)
{
    CONFIG_NODE *root;
    SETTINGS *settings;
    STATUS status;
    char key[600], text[700];

    (void)snprintf(key, sizeof(key), "%s/key", dir);
    (void)snprintf(text, sizeof(text), "node: a\nkms: [{provider: local, keyFile: %s}]\n", key);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, strlen(text), "test", &root, &status), 0);
    CU_ASSERT_EQUAL_FATAL(settings_from_tree(root, &settings, &status), 0);
    return (settings);
}

static void
test_large(void)
{
    const char *dir, *value = getenv("WTKMS_LONG");
    uint64_t bytes = (uint64_t)(value != NULL && strcmp(value, "1") == 0 ? 1024 : 24) << 20;
    OPLOG_SEAL_OPTIONS options = {.resume = false};
    MAKER source = maker_of(bytes), expected = maker_of(bytes);
    OPLOG_SEAL_RESULT result;
    OPLOG_FILE file = {.path = NULL};
    SETTINGS *settings;
    STATUS status;
    pthread_t thread;
    char path[600];
    int dirfd = make_dir(&dir), fds[2];

    options.settings = settings = configure(dir);
    (void)snprintf(path, sizeof(path), "%s/archive", dir);
    CU_ASSERT_FATAL(pipe(fds) == 0);
    source.fd = fds[1];
    CU_ASSERT_FATAL(pthread_create(&thread, NULL, feed, &source) == 0);
    status_clear(&status);
    CHECK_STATUS(
      oplog_seal(path, fds[0], "a pipe", &options, &result, &status), &status, STATUS_OK, "");
    CU_ASSERT_FATAL(pthread_join(thread, NULL) == 0);
    (void)close(fds[0]);
    CU_ASSERT(result.bytes >= bytes && result.size < result.bytes);

    file.path = path;
    status_clear(&status);
    CHECK_STATUS(oplog_files_read(&file, settings, &options.keyring, compare, &expected, &status),
      &status, STATUS_OK, "");
    CU_ASSERT(expected.left == 0 && file.summary.documents == source.number);
    CU_ASSERT(file.summary.bytes == result.bytes && !file.summary.is_open);
    settings_free(settings);
    (void)unlink(path);
    (void)close(dirfd);
}

const TEST oplog_entry_tests[] = {{"documents", test_documents}, {"depth", test_depth},
  {"a large archive", test_large}, {NULL, NULL}};
