/*
 * test/keystore/test_keyring.c -- Creating, opening, asking; what is refused at open.
 */
#include "config.h"

#include "test/keystore/keystore_tests.h"

#include <time.h>

static void
test_round_trip(void)
{
    HOME home;
    STATUS status;
    KEYRING *made, *opened;
    SECRET *secret;
    uint64_t id, again;
    char keyid[KEYSTORE_KEYID_MAX + 1], provider[64], key_id[64], credential[1100];
    bool created;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &made, &status));
    CU_ASSERT_EQUAL(keyring_source(made), KEYRING_FROM_FILE);
    CU_ASSERT_EQUAL(keyring_generation(made), 1);
    CHECK_OK_FATAL(keyring_ensure_data_key(made, "default", &id, &created, &status));
    CU_ASSERT_FALSE(created);
    CU_ASSERT_NOT_EQUAL(id, 0);
    CHECK_OK_FATAL(keyring_ensure_data_key(made, "tenantA", &again, &created, &status));
    CU_ASSERT_TRUE(created);
    CU_ASSERT_NOT_EQUAL(id, again);
    CU_ASSERT_EQUAL(keyring_generation(made), 2);

    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &opened, &status));
    CU_ASSERT_EQUAL(keyring_generation(opened), 2);
    CU_ASSERT_EQUAL(keyring_active_data_key(opened, "default"), id);
    CU_ASSERT_EQUAL(keyring_active_data_key(opened, "tenantA"), again);
    CU_ASSERT_EQUAL(keyring_active_data_key(opened, "tenantB"), 0);
    CU_ASSERT_TRUE(same_data_key(made, opened, id));
    CU_ASSERT_TRUE(same_data_key(made, opened, again));
    CHECK_OK_FATAL(keyring_data_key(opened, again, &secret, keyid, &status));
    CU_ASSERT_EQUAL(secret_len(secret), KEYSTORE_DATA_KEY_LEN);
    CU_ASSERT_STRING_EQUAL(keyid, "tenantA");
    secret_free(secret);
    CHECK_FAILS(keyring_data_key(opened, id ^ 1, &secret, NULL, &status), STATUS_NO_KEY,
      "keystore-no-data-key");
    CU_ASSERT_PTR_NULL(secret);
    CU_ASSERT_TRUE(
      keyring_opened_by(opened, "default", provider, key_id, credential, sizeof(key_id)));
    CU_ASSERT_STRING_EQUAL(provider, "local");
    CU_ASSERT_EQUAL(strncmp(key_id, "local:", 6), 0);
    CU_ASSERT_FALSE(
      keyring_opened_by(opened, "tenantA", provider, key_id, credential, sizeof(key_id)));
    CU_ASSERT_STRING_EQUAL(home.log, "");
    keyring_close(opened);
    keyring_close(made);
    keyring_close(NULL);
    home_free(&home);
}

static int64_t
cpu_us(void)
{
    struct timespec now;

    /* Of this thread alone: other work on the machine is not what is measured. */
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return ((int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

static int
add_many(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const int count = *(int *)context;
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret;
    char keyid[64];
    int i, ret;

    for (i = 0; i < count; i++) {
        (void)snprintf(keyid, sizeof(keyid), "tenant-%06d", i);
        if ((ret = keystore_add_data_key(keystore, &data_key, status)) != 0)
            return (ret);
        data_key->keyid = strdup(keyid);
        data_key->version = 1;
        data_key->id = 1000000 + (uint64_t)i;
        data_key->created = 1;
        if ((ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
            return (ret);
        ret = keyring_wrap_data_key(keyring, keystore, data_key, secret, status);
        secret_free(secret);
        if (ret != 0)
            return (ret);
    }
    return (0);
}

/* Memory that is used, in KiB. */
static long
resident_kib(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long size = 0, resident = 0;

    if (file != NULL) {
        if (fscanf(file, "%ld %ld", &size, &resident) != 2)
            resident = 0;
        (void)fclose(file);
    }
    return (resident * (sysconf(_SC_PAGESIZE) / 1024));
}

/* Ten thousand keyids: the limits are the issue's, wider where a sanitizer watches. */
static void
test_ten_thousand(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    uint64_t id;
    int64_t start, opened, ensured;
    long before, after;
    int count = 10000, slow = 1;
    bool created;

#ifdef WTKMS_SANITIZERS
    slow = 20;
#endif
    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_OK_FATAL(keyring_update(keyring, "test", NULL, add_many, &count, &status));
    keyring_close(keyring);

    before = resident_kib();
    start = cpu_us();
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    opened = cpu_us() - start;
    after = resident_kib();
    start = cpu_us();
    CHECK_OK_FATAL(keyring_ensure_data_key(keyring, "one more", &id, &created, &status));
    ensured = cpu_us() - start;
    printf("(CPU: open %" PRId64 " ms, add %" PRId64 " ms, %ld KiB) ", opened / 1000,
      ensured / 1000, after - before);
    CU_ASSERT_TRUE(created);
    CU_ASSERT(opened < 1000000 * slow);
    CU_ASSERT(ensured < 100000 * slow);
#ifndef WTKMS_SANITIZERS
    CU_ASSERT(after - before < 32 * 1024);
#endif
    CU_ASSERT_NOT_EQUAL(keyring_active_data_key(keyring, "tenant-009999"), 0);
    keyring_close(keyring);
    home_free(&home);
}

/* --- refused at open: by the whole way, with the file as it was afterwards */

static void
check_refused(HOME *home, const uint8_t *data, size_t len)
{
    STATUS status;
    KEYRING *keyring;
    uint8_t *after;
    size_t after_len;
    int ret;

    home_write(home, KEYRING_FILE, data, len);
    status_clear(&status);
    ret = keyring_open(home->fd, home->settings, &home->options, &keyring, &status);
    CU_ASSERT_NOT_EQUAL(ret, 0);
    CU_ASSERT_PTR_NULL(keyring);
    CU_ASSERT_EQUAL(ret, (int)status.status_class);
    CU_ASSERT_STRING_NOT_EQUAL(status.message, "");
    keyring_close(keyring);
    after = home_read(home, KEYRING_FILE, &after_len);
    CU_ASSERT(after_len == len && memcmp(after, data, len) == 0);
    free(after);
}

static void
test_every_bit(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    uint8_t *data;
    size_t len, i, step = 1;
    int bit;

#ifdef WTKMS_SANITIZERS
    step = 7;
#endif
    home_fill(&home);
    data = home_read(&home, KEYRING_FILE, &len);
    for (i = 0; i < len; i += step)
        for (bit = 0; bit < 8; bit++) {
            data[i] ^= (uint8_t)(1 << bit);
            check_refused(&home, data, len);
            data[i] ^= (uint8_t)(1 << bit);
        }
    home_write(&home, KEYRING_FILE, data, len);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    free(data);
    home_free(&home);
}

static void
test_every_length(void)
{
    HOME home;
    uint8_t *data;
    size_t len, i;

    home_fill(&home);
    data = home_read(&home, KEYRING_FILE, &len);
    for (i = 0; i < len; i++)
        check_refused(&home, data, i);
    free(data);
    home_free(&home);
}

static void
test_create_refusals(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;

    home_make(&home, NULL);
    home.options.read_only = true;
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_REFUSED, "keystore-read-only");
    CU_ASSERT_FALSE(home_has(&home, KEYRING_LOCK));
    home.options.read_only = false;
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_REFUSED, "keystore-exists");
    CU_ASSERT_PTR_NULL(keyring);
    /* The mirror alone is one too, and so is something that cannot be read. */
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE, 0), 0);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_REFUSED, "keystore-exists");
    home_write(&home, MIRROR_FILE, "#K AAAA\n", 8);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_CORRUPT, "mirror-damaged");
    home_clear(&home);
    home_write(&home, KEYRING_FILE, "", 0);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_REFUSED, "keystore-exists");
    /* Keys that only wrap would lock everybody out. */
    home_clear(&home);
    CU_ASSERT_FALSE(home_has(&home, KEYRING_FILE));
    home_free(&home);
}

static void
test_missing_and_symlinks(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    uint8_t *data;
    size_t len;
    bool found;

    home_make(&home, NULL);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_NO_KEY, "keystore-missing");
    CHECK_OK(keyring_locate(home.fd, NULL, &found, &source, &keystore, &data, &len, &status));
    CU_ASSERT_FALSE(found);
    CU_ASSERT_PTR_NULL(keystore);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    CHECK_OK_FATAL(keyring_locate(home.fd, NULL, &found, &source, &keystore, &data, &len, &status));
    CU_ASSERT_TRUE(found);
    CU_ASSERT_EQUAL(source, KEYRING_FROM_FILE);
    CU_ASSERT_EQUAL(keystore->generation, 1);
    free(data);
    keystore_free(keystore);
    /* A keystore that is a link is refused, for a read and for a write. */
    CU_ASSERT_EQUAL(renameat(home.fd, KEYRING_FILE, home.fd, "elsewhere"), 0);
    CU_ASSERT_EQUAL(symlinkat("elsewhere", home.fd, KEYRING_FILE), 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status), STATUS_IO,
      "file-symlink");
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    CHECK_FAILS(
      keyring_locate(home.fd, home.settings, &found, &source, &keystore, NULL, &len, &status),
      STATUS_IO, "file-symlink");
    CU_ASSERT_FALSE(found);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_IO, "file-symlink");
    /* With the real path in the configuration it opens. */
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\nkeystore: %d/home/elsewhere\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    CU_ASSERT(home_has(&home, "elsewhere.lock") || home.log[0] == '\0');
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\nkeystore: %d/none/k\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status), STATUS_IO,
      "file-open-dir");
    CHECK_FAILS(
      keyring_locate(home.fd, home.settings, &found, &source, &keystore, &data, &len, &status),
      STATUS_IO, "file-open-dir");
    CHECK_FAILS(
      keyring_open(-1, home.settings, &home.options, &keyring, &status), STATUS_IO, "keyring-home");
    CHECK_FAILS(keyring_locate(-1, NULL, &found, &source, &keystore, &data, &len, &status),
      STATUS_IO, "keystore-file");
    home_free(&home);
}

static void
test_wrong_keys(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    char path[700];

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    /* Another key: both lists are told. */
    home_key_file(&home, "other");
    home_configure(&home, "kms: [{provider: local, keyFile: %d/other}]\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_NO_KEY, "keystore-no-recipient");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "wrapped for [local local:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "configured is [local local:"));
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    /* A key file that is gone, or that others may read: the configuration is wrong. */
    (void)snprintf(path, sizeof(path), "%s/other", home.dir);
    CU_ASSERT_EQUAL(chmod(path, 0644), 0);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      keyring_open(home.fd, home.settings, &home.options, &keyring, &status), STATUS_CONFIG);
    CU_ASSERT_EQUAL(unlink(path), 0);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      keyring_open(home.fd, home.settings, &home.options, &keyring, &status), STATUS_CONFIG);
    CHECK_OK(home_has(&home, KEYRING_FILE) ? 0 : 1);
    /* Two are configured, the first of them cannot be read: the second opens, with a warning. */
    home_configure(
      &home, "kms: [{provider: local, keyFile: %d/other}, {provider: local, keyFile: %k}]\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_PTR_NOT_NULL(strstr(home.log, "but not by every configured key"));
    keyring_close(keyring);
    home_free(&home);
}

static void
test_pins(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;
    char text[KEYSTORE_UUID_TEXT], yaml[512];
    uint64_t id;
    bool created;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &id, &created, &status));
    keystore = keyring_hold_keystore(keyring);
    keystore_uuid_text(keystore->uuid, text);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    (void)snprintf(yaml, sizeof(yaml),
      "kms: [{provider: local, keyFile: %%k}]\nexpect: {keystore: %s, minGeneration: 2}\n", text);
    home_configure(&home, yaml);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    /* The generation before, as it was kept: under the pin. */
    CU_ASSERT_EQUAL(renameat(home.fd, KEYRING_PREV, home.fd, KEYRING_FILE), 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_CORRUPT, "keystore-pin");
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n"
                          "expect: {keystore: 00112233-4455-6677-8899-aabbccddeeff}\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_CORRUPT, "keystore-pin");
    home_free(&home);
}

/* --- ephemeral, read-only */

static void
test_ephemeral(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    uint64_t id, again;
    bool created, changed;

    home_make(&home, NULL);
    home.options.read_only = true;
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, true, &keyring, &status));
    CU_ASSERT_EQUAL(keyring_source(keyring), KEYRING_EPHEMERAL);
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &id, &created, &status));
    CU_ASSERT(created);
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &again, &created, &status));
    CU_ASSERT_EQUAL(id, again);
    CU_ASSERT_FALSE(created);
    CU_ASSERT_EQUAL(keyring_generation(keyring), 2);
    CHECK_OK(keyring_refresh(keyring, &changed, &status));
    CU_ASSERT_FALSE(changed);
    home.options.read_only = false;
    CHECK_FAILS(keyring_adopt(keyring, NULL, &status), STATUS_REFUSED, "keystore-read-only");
    CHECK_FAILS(keyring_write_mirror(keyring, NULL, &status), STATUS_REFUSED, "keystore-read-only");
    keyring_close(keyring);
    CU_ASSERT_FALSE(home_has(&home, KEYRING_FILE));
    CU_ASSERT_FALSE(home_has(&home, KEYRING_LOCK));
    CU_ASSERT_FALSE(home_has(&home, MIRROR_FILE));
    home_free(&home);
}

static void
test_read_only(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *writer;
    uint64_t id;
    bool created, changed;

    home_fill(&home);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_LOCK, 0), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    home.options.read_only = true;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_FALSE(home_has(&home, KEYRING_LOCK));
    CU_ASSERT_FALSE(home_has(&home, MIRROR_FILE));
    CHECK_OK(keyring_ensure_data_key(keyring, "tenantB", &id, &created, &status));
    CHECK_FAILS(keyring_ensure_data_key(keyring, "other", &id, &created, &status), STATUS_REFUSED,
      "keystore-read-only");
    CHECK_FAILS(keyring_write_mirror(keyring, NULL, &status), STATUS_REFUSED, "keystore-read-only");
    CHECK_FAILS(keyring_adopt(keyring, NULL, &status), STATUS_REFUSED, "keystore-read-only");
    CU_ASSERT_FALSE(home_has(&home, KEYRING_LOCK));
    /* What a writer adds is seen, and nothing is written for it. */
    home.options.read_only = false;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &writer, &status));
    CU_ASSERT(home_has(&home, MIRROR_FILE));
    CHECK_OK(keyring_ensure_data_key(writer, "other", &id, &created, &status));
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    CHECK_OK(keyring_refresh(keyring, &changed, &status));
    CU_ASSERT(changed);
    CU_ASSERT_FALSE(home_has(&home, MIRROR_FILE));
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "other"), id);
    keyring_close(writer);
    keyring_close(keyring);
    home_free(&home);
}

/* --- from the mirror, and put back */

static void
test_from_mirror(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    KEYRING_SOURCE source;
    KEYSTORE *located;
    const KEYSTORE *keystore;
    uint64_t id;
    size_t len;
    bool created, changed, found;

    home_fill(&home);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE, 0), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_PREV, 0), 0);
    CHECK_OK(
      keyring_locate(home.fd, home.settings, &found, &source, &located, NULL, &len, &status));
    CU_ASSERT(found);
    CU_ASSERT_EQUAL(source, KEYRING_FROM_MIRROR);
    keystore_free(located);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(keyring_source(keyring), KEYRING_FROM_MIRROR);
    CU_ASSERT_EQUAL(keyring_generation(keyring), 3);
    CU_ASSERT_FALSE(home_has(&home, KEYRING_FILE));
    /* Not before it is proved and adopted is it written to. */
    CHECK_FAILS(keyring_ensure_data_key(keyring, "new", &id, &created, &status), STATUS_REFUSED,
      "keystore-not-adopted");
    CHECK_OK(keyring_refresh(keyring, &changed, &status));
    CU_ASSERT_FALSE(changed);
    CHECK_OK_FATAL(keyring_adopt(keyring, "the file was lost", &status));
    CU_ASSERT_EQUAL(keyring_source(keyring), KEYRING_FROM_FILE);
    CU_ASSERT_EQUAL(keyring_generation(keyring), 4);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_STRING_EQUAL(keystore->events[keystore->event_count - 1].operation, "restore");
    CU_ASSERT_STRING_EQUAL(keystore->events[keystore->event_count - 1].reason, "the file was lost");
    keyring_release_keystore(keyring, keystore);
    CHECK_FAILS(keyring_adopt(keyring, NULL, &status), STATUS_REFUSED, "keystore-exists");
    CHECK_OK(keyring_ensure_data_key(keyring, "new", &id, &created, &status));
    keyring_close(keyring);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "new"), id);
    keyring_close(keyring);
    home_free(&home);
}

static void
test_restore(void)
{
    HOME home, other;
    STATUS status;
    KEYRING *keyring;
    uint8_t *data, *old;
    size_t len, old_len;
    uint64_t id;
    bool created;

    home_fill(&home);
    data = home_read(&home, KEYRING_FILE, &len);
    old = home_read(&home, KEYRING_PREV, &old_len);
    /* Over a later one of the same keystore: refused. Over itself: a new generation. */
    CHECK_OK_FATAL(
      keyring_open_bytes(home.fd, old, old_len, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(keyring_source(keyring), KEYRING_FROM_COPY);
    CHECK_FAILS(keyring_adopt(keyring, "r", &status), STATUS_REFUSED, "keystore-exists");
    keyring_close(keyring);
    CHECK_OK_FATAL(
      keyring_open_bytes(home.fd, data, len, home.settings, &home.options, &keyring, &status));
    CHECK_OK(keyring_adopt(keyring, "r", &status));
    CU_ASSERT_EQUAL(keyring_generation(keyring), 4);
    keyring_close(keyring);
    /* Over a damaged one, which is kept; the mirror knows of generation 4, so 3 is refused. */
    home_write(&home, KEYRING_FILE, "damage", 6);
    CHECK_OK_FATAL(
      keyring_open_bytes(home.fd, data, len, home.settings, &home.options, &keyring, &status));
    (void)usleep(2000); /* within the same millisecond it would be the very same keystore */
    CHECK_FAILS(keyring_adopt(keyring, "r", &status), STATUS_REFUSED, "keystore-copy-newer");
    keyring_close(keyring);
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE ".damaged", 0), 0);
    CU_ASSERT_EQUAL(mkdirat(home.fd, KEYRING_FILE ".damaged", 0700), 0);
    CHECK_OK_FATAL(
      keyring_open_bytes(home.fd, data, len, home.settings, &home.options, &keyring, &status));
    CHECK_FAILS(keyring_adopt(keyring, "r", &status), STATUS_IO, "keystore-damaged");
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE ".damaged", AT_REMOVEDIR), 0);
    CHECK_OK(keyring_adopt(keyring, "r", &status));
    CHECK_OK(keyring_ensure_data_key(keyring, "new", &id, &created, &status));
    keyring_close(keyring);
    CU_ASSERT(home_has(&home, KEYRING_FILE ".damaged"));
    free(old);
    old = home_read(&home, KEYRING_FILE ".damaged", &old_len);
    CU_ASSERT(old_len == 6 && memcmp(old, "damage", 6) == 0);
    /* Over another keystore: refused. */
    home_make(&other, NULL);
    CHECK_OK_FATAL(
      keyring_create(other.fd, other.settings, &other.options, false, &keyring, &status));
    keyring_close(keyring);
    CHECK_OK_FATAL(
      keyring_open_bytes(other.fd, data, len, home.settings, &home.options, &keyring, &status));
    CHECK_FAILS(keyring_adopt(keyring, "r", &status), STATUS_REFUSED, "keystore-exists");
    keyring_close(keyring);
    /* What is no keystore is not opened. */
    CHECK_FAILS(
      keyring_open_bytes(home.fd, data, len - 1, home.settings, &home.options, &keyring, &status),
      STATUS_CORRUPT, "keystore-format");
    CHECK_FAILS(keyring_open_bytes(-1, data, len, home.settings, &home.options, &keyring, &status),
      STATUS_IO, "keyring-home");
    free(old);
    free(data);
    home_free(&other);
    home_free(&home);
}

const TEST keyring_tests[] = {{"round trip", test_round_trip},
  {"ten thousand keyids", test_ten_thousand}, {"every bit", test_every_bit},
  {"every length", test_every_length}, {"create refused", test_create_refusals},
  {"missing, symlinks", test_missing_and_symlinks}, {"wrong keys", test_wrong_keys},
  {"pins", test_pins}, {"in memory", test_ephemeral}, {"read-only", test_read_only},
  {"from the mirror", test_from_mirror}, {"restore", test_restore}, {NULL, NULL}};
