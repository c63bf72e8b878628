/*
 * test/extension/test_module.c -- The module in Debian's WiredTiger: open, write, read back. Other
 * engine versions, kills and backups are in test/engine.
 */
#include "test/extension/test_module.h"

#include "crypto/encode.h"
#include "crypto/random.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const TEST_SUITE test_suites[] = {
  {"module_open", test_module_open},
  {"module_refusals", test_module_refusals},
  {"module_life", test_module_life},
  {NULL, NULL},
};

static void
keep_line(char *buf, size_t size, const char *line)
{
    size_t used = strlen(buf);

    (void)snprintf(buf + used, size - used, "%s\n", line);
}

static int
on_error(WT_EVENT_HANDLER *handler, WT_SESSION *session, int error, const char *message)
{
    MODULE_HOME *mh = (MODULE_HOME *)(void *)((char *)handler - offsetof(MODULE_HOME, handler));

    (void)session;
    (void)error;
    keep_line(mh->errors, sizeof(mh->errors), message);
    return (0);
}

static int
on_message(WT_EVENT_HANDLER *handler, WT_SESSION *session, const char *message)
{
    MODULE_HOME *mh = (MODULE_HOME *)(void *)((char *)handler - offsetof(MODULE_HOME, handler));

    (void)session;
    keep_line(mh->messages, sizeof(mh->messages), message);
    return (0);
}

void
module_write_file(const char *path, const char *text)
{
    int fd;

    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_FATAL(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

void
module_new_key(const char *path)
{
    STATUS status;
    uint8_t key[32];
    char text[ENCODE_BASE64_SIZE(32) + 1];
    size_t len;

    CU_ASSERT_EQUAL_FATAL(random_bytes(key, sizeof(key), &status), 0);
    len = encode_base64(key, sizeof(key), text);
    text[len] = '\n';
    text[len + 1] = '\0';
    module_write_file(path, text);
}

const char *
module_path(const MODULE_HOME *mh, const char *name)
{
    static char path[1024];

    (void)snprintf(path, sizeof(path), "%s/%s", mh->home, name);
    return (path);
}

void
module_home_new(MODULE_HOME *mh, const char *extra_conf)
{
    static unsigned count;
    char text[4096];

    memset(mh, 0, sizeof(*mh));
    mh->handler.handle_error = on_error;
    mh->handler.handle_message = on_message;
    (void)snprintf(mh->home, sizeof(mh->home), "%s/home%u", test_scratch(), ++count);
    (void)snprintf(mh->key, sizeof(mh->key), "%s/key%u", test_scratch(), count);
    (void)snprintf(mh->conf, sizeof(mh->conf), "%s/conf%u", test_scratch(), count);
    CU_ASSERT_EQUAL_FATAL(mkdir(mh->home, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(module_path(mh, "journal"), 0700), 0);
    module_new_key(mh->key);
    (void)snprintf(text, sizeof(text), "node: test\nkms:\n  - provider: local\n    keyFile: %s\n%s",
      mh->key, extra_conf == NULL ? "" : extra_conf);
    module_write_file(mh->conf, text);
}

int
module_open(MODULE_HOME *mh, const char *extra, WT_CONNECTION **connp)
{
    char config[4096];

    *connp = NULL;
    mh->errors[0] = mh->messages[0] = '\0';
    (void)snprintf(config, sizeof(config),
      MODULE_MONGOD_OPEN ",extensions=[" MODULE_FILE
                         "=(config=(config_file=%s))],encryption=(name=kms,keyid=default),%s",
      mh->conf, extra == NULL ? "" : extra);
    return (wiredtiger_open(mh->home, &mh->handler, config, connp));
}

int
module_fill(WT_CONNECTION *conn, const char *uri, const char *create, int rows)
{
    WT_SESSION *session;
    WT_CURSOR *cursor;
    char config[512], value[256];
    int i, ret;

    if ((ret = conn->open_session(conn, NULL, NULL, &session)) != 0)
        return (ret);
    (void)snprintf(config, sizeof(config), "type=file,key_format=q,value_format=S,%s",
      create == NULL ? "" : create);
    if ((ret = session->create(session, uri, config)) == 0 &&
        (ret = session->open_cursor(session, uri, NULL, NULL, &cursor)) == 0)
        for (i = 0; i < rows && ret == 0; i++) {
            (void)snprintf(value, sizeof(value), "PLAINTEXT-MARKER %d of %s", i, uri);
            cursor->set_key(cursor, (int64_t)i);
            cursor->set_value(cursor, value);
            ret = cursor->insert(cursor);
        }
    if (ret == 0)
        ret = session->checkpoint(session, NULL);
    (void)session->close(session, NULL);
    return (ret);
}

int
module_check(WT_CONNECTION *conn, const char *uri, int rows)
{
    WT_SESSION *session;
    WT_CURSOR *cursor;
    const char *value;
    char want[256];
    int64_t key;
    int i, ret;

    if ((ret = conn->open_session(conn, NULL, NULL, &session)) != 0)
        return (ret);
    if ((ret = session->open_cursor(session, uri, NULL, NULL, &cursor)) != 0)
        goto err;
    for (i = 0; (ret = cursor->next(cursor)) == 0; i++) {
        (void)snprintf(want, sizeof(want), "PLAINTEXT-MARKER %d of %s", i, uri);
        if ((ret = cursor->get_key(cursor, &key)) != 0 ||
            (ret = cursor->get_value(cursor, &value)) != 0)
            goto err;
        if (key != i || strcmp(value, want) != 0) {
            ret = -1;
            goto err;
        }
    }
    ret = ret == WT_NOTFOUND && i == rows ? 0 : ret == WT_NOTFOUND ? -2 : ret;
err:
    (void)session->close(session, NULL);
    return (ret);
}
