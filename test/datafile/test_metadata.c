/*
 * test/datafile/test_metadata.c -- Metadata text: lines, configuration strings, what a file's says.
 */
#include "test/datafile/fixture.h"

#include "datafile/metadata_text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
get(const char *config, const char *key, const char *expected)
{
    METADATA_TEXT value;
    char *copy;
    size_t len;
    bool found, same;

    /* A copy that ends where the text ends: the sanitizer sees a read behind it. */
    len = strlen(config);
    if ((copy = malloc(len + 1)) == NULL)
        abort();
    memcpy(copy, config, len);
    if ((copy = realloc(copy, len == 0 ? 1 : len)) == NULL)
        abort();
    found = metadata_text_get(copy, len, key, &value);
    same =
      expected == NULL ? !found && value.text == NULL : found && metadata_text_is(&value, expected);
    free(copy);
    return (same);
}

static void
test_get(void)
{
    CU_ASSERT_TRUE(get("a=1,b=2", "a", "1"));
    CU_ASSERT_TRUE(get("a=1,b=2", "b", "2"));
    CU_ASSERT_TRUE(get("a=1,b=2", "c", NULL));
    CU_ASSERT_TRUE(get("a=1,b=2,a=3", "a", "3"));
    CU_ASSERT_TRUE(get("aa=1,a=2", "a", "2"));
    CU_ASSERT_TRUE(get("encryption=(keyid=\"x,)y\",name=kms)", "encryption.keyid", "x,)y"));
    CU_ASSERT_TRUE(get("encryption=(keyid=t,name=kms),x=1", "encryption.name", "kms"));
    CU_ASSERT_TRUE(get("encryption=(keyid=t,name=kms),x=1", "encryption", "(keyid=t,name=kms)"));
    CU_ASSERT_TRUE(get("encryption=(keyid=,name=)", "encryption.name", ""));
    CU_ASSERT_TRUE(get("encryption=none", "encryption.name", NULL));
    CU_ASSERT_TRUE(get("a=(encryption=(name=x)),b=[encryption=(name=y)]", "encryption", NULL));
    CU_ASSERT_TRUE(get("a=\"encryption=(name=x)\"", "encryption", NULL));
    CU_ASSERT_TRUE(get("a=(b=(c=(d=5))),e", "a.b.c.d", "5"));
    CU_ASSERT_TRUE(get("a=(b=1),a=(b=2)", "a.b", "2"));
    CU_ASSERT_TRUE(get("log=(enabled=true,path=\"jour nal\")", "log.path", "jour nal"));
    CU_ASSERT_TRUE(get("# text\nlog=(path=journal)\n", "log.path", "journal"));
    CU_ASSERT_TRUE(get("{\"a\" : 1}", "a", NULL));
    CU_ASSERT_TRUE(get("\"a\":\"1\"", "a", "1"));
    CU_ASSERT_TRUE(get("flag,other", "flag", ""));
    CU_ASSERT_TRUE(get("a=\"x\\\"y\"", "a", "x\\\"y"));
    /* what is broken */
    CU_ASSERT_TRUE(get("", "a", NULL));
    CU_ASSERT_TRUE(get("a", "a", ""));
    CU_ASSERT_TRUE(get("a=", "a", ""));
    CU_ASSERT_TRUE(get("a=(b=1", "a.b", NULL));
    CU_ASSERT_TRUE(get("a=\"b", "a", "b"));
    CU_ASSERT_TRUE(get("a=\"", "a", ""));
    CU_ASSERT_TRUE(get("a=\"\\", "a", "\\"));
    CU_ASSERT_TRUE(get("))),=,a=1", "a", "1"));
    CU_ASSERT_TRUE(get("a=1)b=2", "b", "2"));
}

static void
test_file(void)
{
    METADATA_FILE file;
    const char *config;

    config =
      "allocation_size=4KB,block_compressor=snappy,checksum=uncompressed,encryption=(keyid=,name=)";
    metadata_text_file(config, strlen(config), &file);
    CU_ASSERT_EQUAL(file.encryption, METADATA_ENCRYPTION_SYSTEM);
    CU_ASSERT_EQUAL(file.allocation_size, 4096);
    CU_ASSERT_TRUE(metadata_text_is(&file.checksum, "uncompressed"));
    CU_ASSERT_TRUE(metadata_text_is(&file.compressor, "snappy"));
    config = "encryption=(keyid=tenantA,name=kms),allocation_size=128MB,checksum=off";
    metadata_text_file(config, strlen(config), &file);
    CU_ASSERT_EQUAL(file.encryption, METADATA_ENCRYPTION_NAMED);
    CU_ASSERT_TRUE(metadata_text_is(&file.keyid, "tenantA"));
    CU_ASSERT_TRUE(metadata_text_is(&file.encryptor, "kms"));
    CU_ASSERT_EQUAL(file.allocation_size, BLOCK_ALLOCATION_MAX);
    config = "encryption=(name=none),allocation_size=512B";
    metadata_text_file(config, strlen(config), &file);
    CU_ASSERT_EQUAL(file.encryption, METADATA_ENCRYPTION_NONE);
    CU_ASSERT_EQUAL(file.allocation_size, 512);
    config = "allocation_size=99999999999999999999999999";
    metadata_text_file(config, strlen(config), &file);
    CU_ASSERT_EQUAL(file.allocation_size, 0);
    config = "allocation_size=17179869184G";
    metadata_text_file(config, strlen(config), &file);
    CU_ASSERT_EQUAL(file.allocation_size, 0);
    CU_ASSERT_EQUAL(file.encryption, METADATA_ENCRYPTION_SYSTEM);
    CU_ASSERT_PTR_NULL(file.keyid.text);
}

typedef struct {
    unsigned entries, files, plain, named, meta;
} COUNTS;

static int
count(void *context, const METADATA_ENTRY *entry)
{
    COUNTS *counts = context;
    METADATA_FILE file;

    counts->entries++;
    if (entry->uri.length < 5 || memcmp(entry->uri.text, "file:", 5) != 0)
        return (0);
    counts->files++;
    metadata_text_file(entry->config.text, entry->config.length, &file);
    if (file.encryption == METADATA_ENCRYPTION_NONE)
        counts->plain++;
    if (file.encryption == METADATA_ENCRYPTION_NAMED)
        counts->named++;
    if (metadata_text_is(&entry->uri, "file:WiredTiger.wt"))
        counts->meta++;
    return (0);
}

static int
stop(void *context, const METADATA_ENTRY *entry)
{
    (void)entry;
    ++*(unsigned *)context;
    return (WALK_STOP);
}

static void
test_lines(void)
{
    COUNTS counts = {0, 0, 0, 0, 0};
    unsigned stopped = 0;

    CU_ASSERT_EQUAL(metadata_text_walk("", 0, count, &counts), 0);
    CU_ASSERT_EQUAL(metadata_text_walk("only a key\n", 11, count, &counts), 0);
    CU_ASSERT_EQUAL(counts.entries, 1); /* with an empty value */
    counts.entries = 0;
    CU_ASSERT_EQUAL(metadata_text_walk("only", 4, count, &counts), 0);
    CU_ASSERT_EQUAL(counts.entries, 0);
    CU_ASSERT_EQUAL(metadata_text_walk("file:a\nx=1\nfile:b\ny=1", 21, count, &counts), 0);
    CU_ASSERT_EQUAL(counts.entries, 2);
    CU_ASSERT_EQUAL(counts.files, 2);
    CU_ASSERT_EQUAL(metadata_text_walk("a\nb\nc\nd\n", 8, stop, &stopped), WALK_STOP);
    CU_ASSERT_EQUAL(stopped, 1);
}

/* The turtle and a backup's metadata, as the engine writes them. */
static void
test_engine(void)
{
    WT_CONNECTION *conn;
    WT_CURSOR *cursor;
    WT_SESSION *session;
    COUNTS counts;
    const char *home, *name;
    uint8_t *text;
    size_t len;
    int dirfd;
    bool backup;

    dirfd = make_dir(&home);
    conn = fixture_connect(home, true, NULL);
    session = fixture_session(conn);
    fixture_create(session, "table:a", "encryption=(name=fixture,keyid=tenantA)");
    fixture_create(session, "table:b", "encryption=(name=none)");
    fixture_create(session, "table:c", "");
    fixture_checkpoint(session);
    CU_ASSERT_EQUAL_FATAL(session->open_cursor(session, "backup:", NULL, NULL, &cursor), 0);
    for (backup = false; cursor->next(cursor) == 0;) {
        CU_ASSERT_EQUAL(cursor->get_key(cursor, &name), 0);
        backup = backup || strcmp(name, "WiredTiger.backup") == 0;
    }
    CU_ASSERT_TRUE(backup);

    text = fixture_read(dirfd, "WiredTiger.backup", &len);
    memset(&counts, 0, sizeof(counts));
    CU_ASSERT_EQUAL(metadata_text_walk((const char *)text, len, count, &counts), 0);
    CU_ASSERT(counts.files >= 3);
    CU_ASSERT_EQUAL(counts.plain, 1);
    CU_ASSERT_EQUAL(counts.named, 1);
    free(text);

    text = fixture_read(dirfd, "WiredTiger.turtle", &len);
    memset(&counts, 0, sizeof(counts));
    CU_ASSERT_EQUAL(metadata_text_walk((const char *)text, len, count, &counts), 0);
    CU_ASSERT_EQUAL(counts.meta, 1);
    free(text);
    CU_ASSERT_EQUAL(cursor->close(cursor), 0);
    fixture_close(conn);
    (void)close(dirfd);
}

const TEST metadata_tests[] = {
  {"values by key", test_get},
  {"what a file's configuration says", test_file},
  {"pairs of lines", test_lines},
  {"the engine's turtle and backup", test_engine},
  {NULL, NULL},
};
