/*
 * test/extension/test_module_open.c -- Opening: fresh homes, keyids, keys of other processes, the mirror.
 */
#include "test/extension/test_module.h"

#include "common/file.h"
#include "keystore/keyring.h"
#include "keystore/state_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROWS 2000

static const char *needle;
static unsigned needle_files, files_seen;

static int
look_for_needle(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
    uint8_t *data;
    STATUS status;
    size_t len;

    (void)sb;
    (void)ftw;
    if (flag != FTW_F)
        return (0);
    files_seen++;
    if (file_read(AT_FDCWD, path, 1 << 30, false, NULL, &data, &len, &status) != 0)
        return (-1);
    if (memmem(data, len, needle, strlen(needle)) != NULL)
        needle_files++;
    free(data);
    return (0);
}

/* How many files below a directory hold a text. */
static unsigned
files_with(const char *directory, const char *text)
{
    needle = text;
    needle_files = files_seen = 0;
    CU_ASSERT_EQUAL(nftw(directory, look_for_needle, 16, FTW_PHYS), 0);
    CU_ASSERT(files_seen > 3);
    return (needle_files);
}

static void
fresh_home_written_and_read_back(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.messages, "made a keystore"));
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.messages, "Encryption Key ID local:"));
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, ROWS), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:b", "encryption=(name=kms,keyid=tenantB)", ROWS), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:plain", "encryption=(name=none)", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    /* Only the table that asked to be plain is. */
    CU_ASSERT_EQUAL(files_with(mh.home, "PLAINTEXT-MARKER 7 of table:plain"), 1);
    CU_ASSERT_EQUAL(files_with(mh.home, "PLAINTEXT-MARKER 7 of table:a"), 0);
    CU_ASSERT_EQUAL(files_with(mh.home, "PLAINTEXT-MARKER 7 of table:b"), 0);
    CU_ASSERT_EQUAL(files_with(mh.home, "table:plain\"") + files_with(mh.home, "file:a.wt"), 0);

    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_STRING_EQUAL(mh.errors, "");
    CU_ASSERT_EQUAL(module_check(conn, "table:a", ROWS), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:b", ROWS), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:plain", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
inline_configuration(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char config[4096];

    module_home_new(&mh, NULL);
    (void)snprintf(config, sizeof(config),
      "create,extensions=[" MODULE_FILE "=(config=(node=inline,kms=(provider=local,keyFile=\"%s\"),"
      "access=(checkInterval=15m,onDisabled=warn)))],encryption=(name=kms)",
      mh.key);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    /* Several recipients have names, which the engine's syntax wants and we ignore. */
    (void)snprintf(config, sizeof(config),
      "create,extensions=[" MODULE_FILE "=(config=(kms=(one=(provider=local,keyFile=\"%s\"),"
      "two=(provider=local,keyFile=\"%s\"))))],encryption=(name=kms)",
      mh.key, mh.key);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    /* The same home by its file: one keystore, and the empty keyid is "default". */
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static int
open_keyring_of(const MODULE_HOME *mh, SETTINGS **settingsp, KEYRING **keyringp)
{
    KEYRING_OPTIONS options = {.kms_timeout_ms = 1000};
    STATUS status;
    int home_fd, ret;

    CU_ASSERT_EQUAL_FATAL(settings_load(mh->conf, settingsp, &status), 0);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(mh->home, &home_fd, &status), 0);
    ret = keyring_open(home_fd, *settingsp, &options, keyringp, &status);
    (void)close(home_fd);
    return (ret);
}

/* A new key that is active is used by an open host within seconds, and what it wrote before stays
 * readable: what rotation will need. */
static int
add_version(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_DATA_KEY *added;
    SECRET *secret;
    size_t i;
    int ret;

    for (i = 0; i < keystore->data_key_count; i++)
        if (strcmp(keystore->data_keys[i].keyid, "default") == 0)
            keystore->data_keys[i].state = KEYSTORE_READABLE;
    if ((ret = keystore_add_data_key(keystore, &added, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
        return (ret);
    added->id = *(uint64_t *)context;
    added->keyid = strdup("default");
    added->version = 2;
    added->state = KEYSTORE_ACTIVE;
    ret = keyring_wrap_data_key(keyring, keystore, added, secret, status);
    secret_free(secret);
    return (ret);
}

static void
key_of_another_process(void)
{
    STATE_FILE_CONTENT *state;
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    SETTINGS *settings;
    KEYRING *keyring;
    STATUS status;
    uint64_t id = UINT64_C(0x1122334455667788);
    uint8_t marker[8];
    int home_fd, i;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:before", NULL, ROWS), 0);

    CU_ASSERT_EQUAL_FATAL(open_keyring_of(&mh, &settings, &keyring), 0);
    CU_ASSERT_EQUAL_FATAL(
      keyring_update(keyring, "rotate data", "test", add_version, &id, &status), 0);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(mh.home, &home_fd, &status), 0);
    for (i = 0; i < 50; i++) {
        (void)usleep(100000);
        CU_ASSERT_EQUAL_FATAL(state_file_read(home_fd, &state, &status), 0);
        if (state != NULL && state->generation == keyring_generation(keyring))
            break;
        state_file_free(state);
        state = NULL;
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_EQUAL(state->pid, getpid());
    CU_ASSERT_EQUAL(state->closed_at, 0);
    CU_ASSERT_EQUAL(state->opened_count, 1);
    state_file_free(state);
    keyring_close(keyring);
    settings_free(settings);

    CU_ASSERT_EQUAL(module_fill(conn, "table:after", NULL, ROWS), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:before", ROWS), 0);
    /* The message waits for a thread of the host that comes by. */
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.messages, "is in use"));
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    for (i = 0; i < 8; i++)
        marker[i] = (uint8_t)(id >> (8 * i));
    {
        uint8_t *data;
        size_t len;

        CU_ASSERT_EQUAL_FATAL(
          file_read(home_fd, "after.wt", 1 << 30, true, NULL, &data, &len, &status), 0);
        CU_ASSERT_PTR_NOT_NULL(memmem(data, len, marker, sizeof(marker)));
        free(data);
    }
    (void)close(home_fd);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:before", ROWS), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:after", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

static void
mirror_restores_the_keystore(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    struct stat sb;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", "encryption=(name=kms,keyid=late)", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_EQUAL(unlink(module_path(&mh, "wtkms.keystore")), 0);
    (void)unlink(module_path(&mh, "wtkms.keystore.prev"));
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(mh.errors, "restored from the copy in WiredTiger.config"));
    CU_ASSERT_EQUAL(module_check(conn, "table:a", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_EQUAL(stat(module_path(&mh, "wtkms.keystore"), &sb), 0);
}

static void
in_memory_writes_nothing(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    struct stat sb;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, "log=(enabled=false),in_memory=true", &conn), 0);
    /* Rows, but no checkpoint: an in-memory database has none. */
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, ROWS), ENOTSUP);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_NOT_EQUAL(stat(module_path(&mh, "wtkms.keystore"), &sb), 0);
    CU_ASSERT_NOT_EQUAL(stat(module_path(&mh, "wtkms.state"), &sb), 0);
}

static void
read_only_connection(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char config[2048];

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    (void)snprintf(config, sizeof(config),
      "readonly=true,log=(enabled=true,path=journal),extensions=[" MODULE_FILE
      "=(config=(config_file=%s))],encryption=(name=kms,keyid=default)",
      mh.conf);
    CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, &mh.handler, config, &conn), 0);
    CU_ASSERT_EQUAL(module_check(conn, "table:a", ROWS), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
}

const TEST test_module_open[] = {
  {"fresh_home_written_and_read_back", fresh_home_written_and_read_back},
  {"inline_configuration", inline_configuration},
  {"key_of_another_process", key_of_another_process},
  {"mirror_restores_the_keystore", mirror_restores_the_keystore},
  {"in_memory_writes_nothing", in_memory_writes_nothing},
  {"read_only_connection", read_only_connection},
  {NULL, NULL},
};
