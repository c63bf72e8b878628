/*
 * test/extension/test_module_refusals.c -- Every way in which a home is refused: one line, the right
 * code, files untouched.
 */
#include "test/extension/test_module.h"

#include "common/file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The line that says why comes from us once; the engine adds its own about a failed init. */
static void
refused(MODULE_HOME *mh, int want, const char *id)
{
    WT_CONNECTION *conn;
    const char *line, *p;
    char mark[128];
    unsigned lines = 0;
    int ret;

    ret = module_open(mh, NULL, &conn);
    CU_ASSERT_EQUAL(ret, want);
    if (ret == 0)
        (void)conn->close(conn, NULL);
    (void)snprintf(mark, sizeof(mark), "(%s)", id);
    if ((line = strstr(mh->errors, mark)) == NULL)
        (void)fprintf(stderr, "wanted %s, got %d:\n%s", mark, ret, mh->errors);
    CU_ASSERT_PTR_NOT_NULL(line);
    for (p = mh->errors; (p = strstr(p, "wiredtiger-kms: ")) != NULL; p++)
        if (strncmp(p, "wiredtiger-kms: warning: ", 25) != 0)
            lines++;
    CU_ASSERT_EQUAL(lines, 1);
}

static void
filled_home(MODULE_HOME *mh, const char *extra_conf)
{
    WT_CONNECTION *conn;

    module_home_new(mh, extra_conf);
    CU_ASSERT_EQUAL_FATAL(module_open(mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 500), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
copy_file(const char *from, const char *to)
{
    uint8_t *data;
    STATUS status;
    size_t len;
    int fd;

    CU_ASSERT_EQUAL_FATAL(file_read(AT_FDCWD, from, 1 << 30, false, NULL, &data, &len, &status), 0);
    (void)unlink(to);
    CU_ASSERT_FATAL((fd = open(to, O_WRONLY | O_CREAT | O_EXCL, 0600)) >= 0);
    CU_ASSERT(write(fd, data, len) == (ssize_t)len);
    (void)close(fd);
    free(data);
}

static void
copy_into(MODULE_HOME *to, const MODULE_HOME *from, const char *name)
{
    char source[1024];

    (void)snprintf(source, sizeof(source), "%s", module_path(from, name));
    copy_file(source, module_path(to, name));
}

static void
lose_keystore(MODULE_HOME *mh)
{
    (void)unlink(module_path(mh, "wtkms.keystore"));
    (void)unlink(module_path(mh, "wtkms.keystore.prev"));
    (void)unlink(module_path(mh, "WiredTiger.config"));
}

static void
data_without_keystore(void)
{
    static const char *const shapes[] = {
      "WiredTiger.turtle", "WiredTiger.wt", "a.wt", "journal/WiredTigerLog.0000000001"};
    WT_CONNECTION *conn;
    MODULE_HOME full, mh;
    struct stat sb;
    size_t i;

    filled_home(&full, NULL);
    lose_keystore(&full);
    refused(&full, ENOKEY, "home-no-keystore");
    CU_ASSERT_NOT_EQUAL(stat(module_path(&full, "wtkms.keystore"), &sb), 0);

    /* Each file alone is data: no new key is made beside it. */
    for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        module_home_new(&mh, NULL);
        copy_into(&mh, &full, shapes[i]);
        refused(&mh, ENOKEY, "home-no-keystore");
        CU_ASSERT_NOT_EQUAL(stat(module_path(&mh, "wtkms.keystore"), &sb), 0);
    }
    /* A backup's list of metadata too. */
    module_home_new(&mh, NULL);
    module_write_file(module_path(&mh, "WiredTiger.backup"), "WiredTiger version string\nx\n");
    refused(&mh, ENOKEY, "home-no-keystore");
    /* But these two mean nothing: they exist before an extension is loaded. */
    module_home_new(&mh, NULL);
    module_write_file(module_path(&mh, "WiredTiger"), "WiredTiger\nWiredTiger 3.2.1: (x)\n");
    module_write_file(module_path(&mh, "WiredTiger.lock"), "WiredTiger lock file\n");
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
plain_home(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, NULL, MODULE_MONGOD_OPEN, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 500), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    refused(&mh, ENOTSUP, "home-plain");
    /* And it still opens without us. */
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, NULL, MODULE_MONGOD_OPEN, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", 500), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
wrong_key(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char saved[600];

    filled_home(&mh, NULL);
    (void)snprintf(saved, sizeof(saved), "%s.saved", mh.key);
    CU_ASSERT_EQUAL(rename(mh.key, saved), 0);
    module_new_key(mh.key);
    refused(&mh, ENOKEY, "keystore-no-recipient");
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "local:"));
    CU_ASSERT_EQUAL(rename(saved, mh.key), 0);
    /* The key file is not among the files that a remembered refusal looks at: a changed configuration
     * is; touching it is what a DBA does. */
    CU_ASSERT_EQUAL(chmod(mh.conf, 0400), 0);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", 500), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
foreign_keystore(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME a, b;

    /* Another home's keystore, wrapped for the same customer key: it opens, but none of its keys fits. */
    filled_home(&a, NULL);
    module_home_new(&b, NULL);
    copy_file(a.key, b.key);
    CU_ASSERT_EQUAL_FATAL(module_open(&b, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:b", NULL, 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    copy_into(&a, &b, "wtkms.keystore");
    refused(&a, ENOKEY, "data-key-unknown");
    copy_into(&a, &b, "WiredTiger.config");
    (void)unlink(module_path(&a, "wtkms.keystore"));
    refused(&a, ENOKEY, "data-key-unknown");
}

static void
rolled_back_below_the_pin(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char old[1024], text[4096];

    filled_home(&mh, NULL);
    (void)snprintf(old, sizeof(old), "%s.old", mh.key);
    copy_file(module_path(&mh, "wtkms.keystore"), old);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:t", "encryption=(name=kms,keyid=t)", 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    (void)snprintf(text, sizeof(text),
      "kms:\n  - provider: local\n    keyFile: %s\nexpect: {minGeneration: 2}\n", mh.key);
    module_write_file(mh.conf, text);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    copy_file(old, module_path(&mh, "wtkms.keystore"));
    refused(&mh, EBADMSG, "keystore-pin");
    (void)snprintf(text, sizeof(text),
      "kms:\n  - provider: local\n    keyFile: %s\n"
      "expect: {keystore: 00000000-1111-2222-3333-444444444444}\n",
      mh.key);
    module_write_file(mh.conf, text);
    refused(&mh, EBADMSG, "keystore-pin");
}

static void
damaged_keystore(void)
{
    MODULE_HOME mh;
    int fd;
    char byte;

    filled_home(&mh, NULL);
    CU_ASSERT_FATAL((fd = open(module_path(&mh, "wtkms.keystore"), O_RDWR)) >= 0);
    /* The last byte but one of the file is the seal's. */
    CU_ASSERT_EQUAL(pread(fd, &byte, 1, lseek(fd, 0, SEEK_END) - 2), 1);
    byte ^= 1;
    CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, lseek(fd, 0, SEEK_END) - 2), 1);
    (void)close(fd);
    refused(&mh, EBADMSG, "keystore-seal");
}

/* A record in clear, as somebody who can write the disk would add it: recovery would replay it. */
static void
clear_record_in_the_journal(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh, plain;
    char source[1024];

    filled_home(&mh, NULL);
    module_home_new(&plain, NULL);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(plain.home, NULL, MODULE_MONGOD_OPEN, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 50), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    (void)snprintf(
      source, sizeof(source), "%s", module_path(&plain, "journal/WiredTigerLog.0000000001"));
    copy_file(source, module_path(&mh, "journal/WiredTigerLog.0000000009"));
    refused(&mh, EBADMSG, "log-clear-record");
}

static void
clear_page_in_the_metadata(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh, plain;
    uint8_t *data;
    STATUS status;
    size_t len;
    int fd;

    filled_home(&mh, NULL);
    module_home_new(&plain, NULL);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(plain.home, NULL, MODULE_MONGOD_OPEN, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 50), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(file_read(AT_FDCWD, module_path(&plain, "WiredTiger.wt"), 1 << 30, true,
                            NULL, &data, &len, &status),
      0);
    CU_ASSERT_FATAL(len > 4096);
    CU_ASSERT_FATAL((fd = open(module_path(&mh, "WiredTiger.wt"), O_WRONLY | O_APPEND)) >= 0);
    CU_ASSERT(write(fd, data + 4096, len - 4096) == (ssize_t)(len - 4096));
    (void)close(fd);
    free(data);
    refused(&mh, EBADMSG, "metadata-clear-page");
}

static void
files_that_cannot_be_used(void)
{
    MODULE_HOME mh;

    filled_home(&mh, NULL);
    CU_ASSERT_EQUAL(chmod(mh.key, 0644), 0);
    refused(&mh, ENOTSUP, "file-secret-mode");
    CU_ASSERT_EQUAL(chmod(mh.key, 0600), 0);
    module_write_file(mh.key, "not base64\n");
    CU_ASSERT_EQUAL(chmod(mh.conf, 0400), 0);
    refused(&mh, ENOTSUP, "kms-local-key-file");
    module_write_file(mh.conf, "kms: [ {provider: local, keyFile: /no/such/key} ]\n");
    refused(&mh, ENOTSUP, "file-missing");
    module_write_file(mh.conf, "kms: [ {provider: nosuch} ]\n");
    refused(&mh, ENOTSUP, "config-value");
    module_write_file(mh.conf, "kms: [\n");
    refused(&mh, ENOTSUP, "config-yaml");
    module_write_file(mh.conf, "kms: []\nnoode: x\n");
    refused(&mh, ENOTSUP, "config-unknown");
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, ":2:"));
    CU_ASSERT_EQUAL(unlink(mh.conf), 0);
    refused(&mh, ENOTSUP, "file-missing");
}

static void
wrong_engine_configuration(void)
{
    WT_CONNECTION *conn;
    WT_SESSION *session;
    MODULE_HOME mh;
    char config[2048];

    module_home_new(&mh, NULL);
    (void)snprintf(config, sizeof(config),
      "create,extensions=[" MODULE_FILE "],encryption=(name=kms,keyid=default)");
    CU_ASSERT_EQUAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "(config-missing)"));
    (void)snprintf(config, sizeof(config),
      "create,extensions=[" MODULE_FILE "=(config=(config_file=%s,node=x))],encryption=(name=kms)",
      mh.conf);
    CU_ASSERT_EQUAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "(config-inline)"));
    (void)snprintf(config, sizeof(config),
      "create,extensions=[" MODULE_FILE
      "=(config=(config_file=%s))],encryption=(name=kms,secretkey=abc)",
      mh.conf);
    CU_ASSERT_EQUAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), ENOTSUP);
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "(secretkey)"));

    /* A table with one is refused while the database goes on. */
    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL_FATAL(conn->open_session(conn, NULL, NULL, &session), 0);
    CU_ASSERT_NOT_EQUAL(session->create(session, "table:s",
                          "key_format=S,value_format=S,encryption=(name=kms,secretkey=abc)"),
      0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

/* mongod tries three times: the second and third say the same without asking again. */
static void
refusal_is_remembered(void)
{
    MODULE_HOME mh;

    filled_home(&mh, NULL);
    lose_keystore(&mh);
    refused(&mh, ENOKEY, "home-no-keystore");
    CU_ASSERT_PTR_NULL(strstr(mh.errors, "seconds ago"));
    refused(&mh, ENOKEY, "home-no-keystore");
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "seconds ago"));
}

const TEST test_module_refusals[] = {
  {"data_without_keystore", data_without_keystore},
  {"plain_home", plain_home},
  {"wrong_key", wrong_key},
  {"foreign_keystore", foreign_keystore},
  {"rolled_back_below_the_pin", rolled_back_below_the_pin},
  {"damaged_keystore", damaged_keystore},
  {"clear_record_in_the_journal", clear_record_in_the_journal},
  {"clear_page_in_the_metadata", clear_page_in_the_metadata},
  {"files_that_cannot_be_used", files_that_cannot_be_used},
  {"wrong_engine_configuration", wrong_engine_configuration},
  {"refusal_is_remembered", refusal_is_remembered},
  {NULL, NULL},
};
