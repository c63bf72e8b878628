/*
 * test/snapshot/test_manifest.c -- The manifest's format: what is written is read, and nothing else is.
 *
 * test/vectors/manifest-1.manifest was written by a program that knows doc/manifest-format.md and none
 * of this code.
 */
#include "common/file.h"
#include "crypto/encode.h"
#include "keystore/archive_key.h"
#include "snapshot/manifest.h"
#include "test/support.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A file of test/vectors; a NUL follows. */
static uint8_t *
vector(const char *name, size_t *lenp)
{
    STATUS status;
    uint8_t *data;
    int fd;

    CU_ASSERT_FATAL(file_open_dir(TEST_SRCDIR "/vectors", &fd, &status) == 0);
    CU_ASSERT_FATAL(file_read(fd, name, 1 << 20, true, NULL, &data, lenp, &status) == 0);
    (void)close(fd);
    return (data);
}

/* The key of the vector: derived here, and compared with what the other program derived. */
static SECRET *
vector_key(void)
{
    SECRET *key, *master;
    STATUS status;
    uint8_t raw[32], *text;
    char hex[65], *line;
    size_t len;

    text = vector("manifest-1.txt", &len);
    line = strchr((char *)text, '\n');
    CU_ASSERT_FATAL(line != NULL && encode_hex_decode(line + 1, 64, raw, &status) == 0);
    CU_ASSERT_FATAL(secret_new_copy(raw, sizeof(raw), &master, &status) == 0);
    CU_ASSERT_FATAL(mac_derive(master, ARCHIVE_KEY_MANIFEST, MAC_LEN, &key, &status) == 0);
    encode_hex(secret_bytes(key), MAC_LEN, hex);
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)text, hex));
    secret_free(master);
    free(text);
    return (key);
}

static void
test_vector(void)
{
    MANIFEST *manifest, *again;
    SECRET *key = vector_key(), *other;
    STATUS status;
    uint8_t *data, *encoded, hash[MAC_LEN];
    size_t len, encoded_len;

    data = vector("manifest-1.manifest", &len);
    CU_ASSERT_FATAL(manifest_decode(data, len, &manifest, &status) == 0);
    CU_ASSERT_EQUAL(manifest->created, 1764000000000);
    CU_ASSERT_EQUAL(manifest->keep_until, 1766592000000);
    CU_ASSERT_STRING_EQUAL(manifest->node, "rs0-a");
    CU_ASSERT_STRING_EQUAL(manifest->program, "wtkms 1.0");
    CU_ASSERT_EQUAL(manifest->method, MANIFEST_STOPPED);
    CU_ASSERT_FALSE(manifest->is_archive);
    CU_ASSERT_TRUE(manifest->has_keystore);
    CU_ASSERT_FALSE(manifest->from_mirror);
    CU_ASSERT_EQUAL(manifest->generation, 7);
    CU_ASSERT_EQUAL(manifest->master_key_id, 0x1122334455667788);
    CU_ASSERT_EQUAL_FATAL(manifest->recipient_count, 2);
    CU_ASSERT_STRING_EQUAL(manifest->recipients[1].scope, "tenantA");
    CU_ASSERT_STRING_EQUAL(manifest->recipients[1].credential, "");
    CU_ASSERT_EQUAL_FATAL(manifest->opened_count, 1);
    CU_ASSERT_STRING_EQUAL(manifest->opened[0].provider, "aws");
    CU_ASSERT_STRING_EQUAL(manifest->log_path, "/journal/rs0-a");
    CU_ASSERT_EQUAL_FATAL(manifest->entry_count, 5);
    CU_ASSERT_STRING_EQUAL(manifest->entries[2].path, "a\xff b/c\n.wt");
    CU_ASSERT_EQUAL(manifest->entries[2].size, 4096);
    CU_ASSERT_FATAL(mac_sha256("", 0, hash, &status) == 0);
    CU_ASSERT_EQUAL(memcmp(manifest->entries[1].sha256, hash, sizeof(hash)), 0);
    CU_ASSERT_PTR_EQUAL(manifest_find(manifest, "wtkms.keystore"), &manifest->entries[3]);
    CU_ASSERT_PTR_NULL(manifest_find(manifest, "wtkms.keystor"));
    CU_ASSERT_EQUAL(manifest_check_mac(data, len, manifest, key, &status), 0);

    CU_ASSERT_FATAL(secret_new_random(MAC_LEN, &other, &status) == 0);
    CHECK_STATUS(manifest_check_mac(data, len, manifest, other, &status), &status, STATUS_CORRUPT,
      "without the key");
    secret_free(other);

    CU_ASSERT_FATAL(manifest_encode(manifest, key, &encoded, &encoded_len, &status) == 0);
    CU_ASSERT_TRUE(encoded_len == len && memcmp(encoded, data, len) == 0);
    CU_ASSERT_EQUAL(manifest_decode(encoded, encoded_len, &again, &status), 0);
    manifest_free(again);
    manifest_free(manifest);
    free(encoded);
    free(data);
    secret_free(key);
}

/* Every byte counts: no change of one is taken as the same manifest. */
static void
test_every_byte(void)
{
    MANIFEST *manifest;
    SECRET *key = vector_key();
    STATUS status;
    uint8_t *data;
    size_t i, len, taken = 0;

    data = vector("manifest-1.manifest", &len);
    for (i = 0; i < len; i++) {
        data[i] ^= 0x01;
        if (manifest_decode(data, len, &manifest, &status) == 0) {
            taken++;
            CU_ASSERT_EQUAL(manifest_check_mac(data, len, manifest, key, &status), STATUS_CORRUPT);
        }
        manifest_free(manifest);
        data[i] ^= 0x01;
    }
    CU_ASSERT_TRUE(taken > 100); /* texts, sizes, hashes: only the MAC tells */
    for (i = 0; i < len; i++) {
        CU_ASSERT_NOT_EQUAL(manifest_decode(data, i, &manifest, &status), 0);
        CU_ASSERT_PTR_NULL(manifest);
    }
    free(data);
    secret_free(key);
}

/* A manifest in memory with what must be there. */
static MANIFEST *
plain(void)
{
    MANIFEST *manifest = manifest_new();

    manifest->node = bson_strdup("");
    manifest->program = bson_strdup("wtkms test");
    manifest->created = 1000;
    return (manifest);
}

static void
test_order(void)
{
    static const uint8_t hash[MANIFEST_SHA256_LEN];
    MANIFEST *manifest = plain(), *read;
    STATUS status;
    uint8_t *data;
    size_t len;

    manifest_add(manifest, "b/c", 3, hash);
    manifest_add(manifest, "a", 0, hash);
    manifest_add(manifest, "\xff", INT64_MAX, hash);
    manifest_add(manifest, "b.wt", 1, hash);
    CU_ASSERT_FATAL(manifest_encode(manifest, NULL, &data, &len, &status) == 0);
    CU_ASSERT_FATAL(manifest_decode(data, len, &read, &status) == 0);
    CU_ASSERT_EQUAL_FATAL(read->entry_count, 4);
    CU_ASSERT_STRING_EQUAL(read->entries[0].path, "a");
    CU_ASSERT_STRING_EQUAL(read->entries[1].path, "b.wt");
    CU_ASSERT_STRING_EQUAL(read->entries[2].path, "b/c");
    CU_ASSERT_STRING_EQUAL(read->entries[3].path, "\xff");
    CU_ASSERT_EQUAL(read->entries[3].size, INT64_MAX);
    CU_ASSERT_FALSE(read->has_keystore);
    CHECK_STATUS(
      manifest_check_mac(data, len, read, NULL, &status), &status, STATUS_REFUSED, "not encrypted");
    manifest_free(read);
    manifest_free(manifest);
    free(data);
}

static void
test_paths(void)
{
    static const struct {
        const char *path;
        bool safe;
    } cases[] = {{"a", true}, {"a/b", true}, {"...", true}, {"..a/b", true}, {"a/..b", true},
      {" ", true}, {"a\n", true}, {"sub/wtkms.manifest", true}, {"", false}, {"/", false},
      {"/a", false}, {"a/", false}, {"a//b", false}, {".", false}, {"./a", false}, {"a/.", false},
      {"..", false}, {"../a", false}, {"a/..", false}, {"a/../b", false}, {"wtkms.manifest", false},
      {"wtkms.unfinished", false}, {"wtkms.manifests", true}};
    static const uint8_t hash[MANIFEST_SHA256_LEN];
    char longest[MANIFEST_PATH_MAX + 2];
    MANIFEST *manifest;
    STATUS status;
    uint8_t *data;
    size_t i, len;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CU_ASSERT_EQUAL(manifest_path_is_safe(cases[i].path, strlen(cases[i].path)), cases[i].safe);
        manifest = plain();
        manifest_add(manifest, cases[i].path, 0, hash);
        CU_ASSERT_EQUAL(manifest_encode(manifest, NULL, &data, &len, &status),
          cases[i].safe ? 0 : STATUS_REFUSED);
        free(data);
        manifest_free(manifest);
    }
    CU_ASSERT_FALSE(manifest_path_is_safe("a\0b", 3));
    memset(longest, 'x', sizeof(longest));
    CU_ASSERT_TRUE(manifest_path_is_safe(longest, MANIFEST_PATH_MAX));
    CU_ASSERT_FALSE(manifest_path_is_safe(longest, MANIFEST_PATH_MAX + 1));
}

static void
test_refused_content(void)
{
    static const uint8_t hash[MANIFEST_SHA256_LEN];
    MANIFEST *manifest = plain();
    SECRET *key = vector_key();
    STATUS status;
    uint8_t *data;
    size_t len;

    CHECK_STATUS(
      manifest_encode(manifest, key, &data, &len, &status), &status, STATUS_REFUSED, "a MAC");
    manifest->has_keystore = true;
    CHECK_STATUS(
      manifest_encode(manifest, NULL, &data, &len, &status), &status, STATUS_REFUSED, "a MAC");
    CHECK_STATUS(manifest_encode(manifest, key, &data, &len, &status), &status, STATUS_REFUSED,
      "no generation");
    manifest->has_keystore = false;
    manifest_add(manifest, "a", 0, hash);
    manifest_add(manifest, "a", 0, hash);
    CHECK_STATUS(
      manifest_encode(manifest, NULL, &data, &len, &status), &status, STATUS_REFUSED, "twice");
    manifest_free(manifest);

    manifest = plain();
    manifest_add(manifest, "d/e/f", 0, hash);
    manifest_add(manifest, "d-", 0, hash); /* between the two, in order */
    manifest_add(manifest, "d", 0, hash);
    CHECK_STATUS(manifest_encode(manifest, NULL, &data, &len, &status), &status, STATUS_REFUSED,
      "below another entry");
    manifest_free(manifest);

    manifest = plain();
    manifest_add_opened(manifest, "default", "local", "\xff", "");
    CHECK_STATUS(
      manifest_encode(manifest, NULL, &data, &len, &status), &status, STATUS_REFUSED, "recipient");
    CU_ASSERT_PTR_NULL(data);
    manifest_free(manifest);
    secret_free(key);
}

/* Files that a program wrote which does not keep the rules, made field by field. */
typedef struct {
    const char *name;    /* of the case */
    const char *refused; /* what the message says; NULL: it is taken */
    int32_t version;
    const char *method, *form;
    bool twice, unknown, mac;
    const char *first, *second; /* paths */
} HOSTILE;

static void
append_entry(bson_t *array, const char *index, const char *path)
{
    static const uint8_t hash[MANIFEST_SHA256_LEN];
    bson_t entry;

    (void)BSON_APPEND_DOCUMENT_BEGIN(array, index, &entry);
    (void)BSON_APPEND_BINARY(
      &entry, "path", BSON_SUBTYPE_BINARY, (const uint8_t *)path, (uint32_t)strlen(path));
    (void)BSON_APPEND_INT64(&entry, "size", 1);
    (void)BSON_APPEND_BINARY(&entry, "sha256", BSON_SUBTYPE_BINARY, hash, sizeof(hash));
    (void)bson_append_document_end(array, &entry);
}

static void
hostile_document(const HOSTILE *hostile, bson_t *bson)
{
    static const uint8_t mac[MAC_LEN];
    bson_t array;

    bson_init(bson);
    (void)BSON_APPEND_INT32(bson, "version", hostile->version);
    (void)BSON_APPEND_DATE_TIME(bson, "created", 1);
    (void)BSON_APPEND_UTF8(bson, "node", "");
    if (hostile->twice)
        (void)BSON_APPEND_UTF8(bson, "node", "");
    (void)BSON_APPEND_UTF8(bson, "program", "other");
    (void)BSON_APPEND_UTF8(bson, "method", hostile->method);
    (void)BSON_APPEND_UTF8(bson, "form", hostile->form);
    (void)BSON_APPEND_ARRAY_BEGIN(bson, "openedBy", &array);
    (void)bson_append_array_end(bson, &array);
    (void)BSON_APPEND_ARRAY_BEGIN(bson, "entries", &array);
    if (hostile->first != NULL)
        append_entry(&array, "0", hostile->first);
    if (hostile->second != NULL)
        append_entry(&array, "1", hostile->second);
    (void)bson_append_array_end(bson, &array);
    if (hostile->mac)
        (void)BSON_APPEND_BINARY(bson, "mac", BSON_SUBTYPE_BINARY, mac, sizeof(mac));
    if (hostile->unknown)
        (void)BSON_APPEND_INT32(bson, "later", 1);
}

static void
test_hostile(void)
{
    static const HOSTILE cases[] = {
      {"good", NULL, 1, "frozen", "archive", false, false, false, "a", "b"},
      {"newer", "is of version 2", 2, "frozen", "archive", true, true, true, "../a", "b"},
      {"zero", "version is out of range", 0, "frozen", "archive", false, false, false, "a", "b"},
      {"negative", "version is out of range", -1, "frozen", "archive", false, false, false, "a",
        "b"},
      {"method", "method is unknown", 1, "hot", "archive", false, false, false, "a", "b"},
      {"form", "form is unknown", 1, "frozen", "zip", false, false, false, "a", "b"},
      {"twice", "is not where it must be", 1, "frozen", "archive", true, false, false, "a", "b"},
      {"unknown", "unknown or repeated", 1, "frozen", "archive", false, true, false, "a", "b"},
      {"mac without keystore", "unknown or repeated", 1, "frozen", "archive", false, false, true,
        "a", "b"},
      {"parent", "leads out", 1, "frozen", "archive", false, false, false, "../a", "b"},
      {"absolute", "leads out", 1, "frozen", "archive", false, false, false, "/etc/passwd", NULL},
      {"inside", "leads out", 1, "frozen", "archive", false, false, false, "a/../../b", NULL},
      {"own", "leads out", 1, "frozen", "archive", false, false, false, "wtkms.manifest", NULL},
      {"empty", "wrong length", 1, "frozen", "archive", false, false, false, "", NULL},
      {"same", "there twice", 1, "frozen", "archive", false, false, false, "a", "a"},
      {"order", "not in order", 1, "frozen", "archive", false, false, false, "b", "a"},
      {"below", "below another", 1, "frozen", "archive", false, false, false, "a", "a/b"},
      {"none", NULL, 1, "files", "directory", false, false, false, NULL, NULL},
    };
    MANIFEST *manifest;
    STATUS status;
    bson_t bson;
    size_t i;
    int ret;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        hostile_document(&cases[i], &bson);
        ret = manifest_decode(bson_get_data(&bson), bson.len, &manifest, &status);
        if (cases[i].refused == NULL) {
            CU_ASSERT_EQUAL(ret, 0);
        } else {
            CHECK_STATUS(ret, &status, cases[i].version > 1 ? STATUS_REFUSED : STATUS_CORRUPT,
              cases[i].refused);
            CU_ASSERT_PTR_NULL(manifest);
        }
        manifest_free(manifest);
        bson_destroy(&bson);
    }
}

static const TEST manifest_tests[] = {{"vector", test_vector}, {"every byte", test_every_byte},
  {"order", test_order}, {"paths", test_paths}, {"refused content", test_refused_content},
  {"hostile", test_hostile}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {{"manifest", manifest_tests}, {NULL, NULL}};
