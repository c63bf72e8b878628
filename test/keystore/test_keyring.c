/*
 * test/keystore/test_keyring.c -- Creating, opening, asking; what is refused at open.
 */
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
    printf("(CPU: open %" PRId64 " ms, add %" PRId64 " ms, %ld KiB) ", opened / 1000, ensured / 1000,
      after - before);
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

const TEST keyring_tests[] = {{"round trip", test_round_trip},
  {"ten thousand keyids", test_ten_thousand}, {NULL, NULL}};
