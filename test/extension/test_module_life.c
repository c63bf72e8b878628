/*
 * test/extension/test_module_life.c -- The module in a long-lived process: several connections, a
 * thousand opens, threads that outlive it, secrets that stay where they belong.
 */
#include "config.h"

#include "test/extension/test_module.h"

#include "common/file.h"
#include "keystore/keyring.h"
#include "kms_clients/kms_client.h"
#include "test/support.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 8

static long
resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size, resident;

    if (f == NULL)
        return (-1);
    if (fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = -1;
    (void)fclose(f);
    return (resident * (sysconf(_SC_PAGESIZE) / 1024));
}

static void
several_connections(void)
{
    WT_CONNECTION *a, *b, *c;
    MODULE_HOME one, two, three;

    module_home_new(&one, NULL);
    module_home_new(&two, NULL);
    module_home_new(&three, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&one, NULL, &a), 0);
    CU_ASSERT_EQUAL_FATAL(module_open(&two, NULL, &b), 0);
    CU_ASSERT_EQUAL(module_fill(a, "table:a", NULL, 300), 0);
    CU_ASSERT_EQUAL(module_fill(b, "table:b", NULL, 300), 0);
    CU_ASSERT_EQUAL(a->close(a, NULL), 0);
    CU_ASSERT_EQUAL(module_check(b, "table:b", 300), 0);
    CU_ASSERT_EQUAL_FATAL(module_open(&three, NULL, &c), 0);
    CU_ASSERT_EQUAL(b->close(b, NULL), 0);
    CU_ASSERT_EQUAL(module_fill(c, "table:c", NULL, 300), 0);
    CU_ASSERT_EQUAL_FATAL(module_open(&one, NULL, &a), 0);
    CU_ASSERT_EQUAL(module_check(a, "table:a", 300), 0);
    CU_ASSERT_EQUAL(a->close(a, NULL), 0);
    CU_ASSERT_EQUAL(c->close(c, NULL), 0);
}

/* A tenth here; WTKMS_LONG=1 does all of the thousand. */
static void
opened_a_thousand_times(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char config[1024];
    const char *log = "create,cache_size=10M,log=(enabled=false)";
    long before = 0, after;
    const char *all = getenv("WTKMS_LONG");
    int descriptors = 0, i, threads = 0;
    int rounds = all == NULL || strcmp(all, "0") == 0 ? 100 : 1000;

    module_home_new(&mh, NULL);
    (void)snprintf(config, sizeof(config),
      "%s,extensions=[" MODULE_FILE "=(config=(config_file=%s))],encryption=(name=kms,keyid=d)",
      log, mh.conf);
    for (i = 0; i < rounds; i++) {
        CU_ASSERT_EQUAL_FATAL(wiredtiger_open(mh.home, NULL, config, &conn), 0);
        CU_ASSERT_EQUAL_FATAL(conn->close(conn, NULL), 0);
        /* The first rounds fill caches that stay: the allocator's, OpenSSL's, the loader's. */
        if (i == rounds / 5) {
            before = resident_kib();
            descriptors = count_proc("/proc/self/fd");
            threads = count_proc("/proc/self/task");
        }
    }
    after = resident_kib();
    CU_ASSERT_EQUAL(count_proc("/proc/self/fd"), descriptors);
    CU_ASSERT_EQUAL(count_proc("/proc/self/task"), threads);
    (void)printf(" %d rounds, resident %ld -> %ld KiB ", rounds, before, after);
#if !defined(WTKMS_SANITIZERS)
    CU_ASSERT(after - before < 1024);
#endif
}

static sem_t reached, go_on;
static MODULE_HOME life_home;
static WT_CONNECTION *life_conn;

static void *
outlives(void *arg)
{
    (void)arg;
    /* It used the module's code, so whatever the module keeps for a thread, this one has. */
    if (module_check(life_conn, "table:a", 100) != 0)
        return (&reached);
    (void)sem_post(&reached);
    (void)sem_wait(&go_on);
    return (NULL);
}

static void
threads_outlive_the_module(void)
{
    pthread_t threads[THREADS];
    void *failed;
    int i;

    module_home_new(&life_home, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&life_home, NULL, &life_conn), 0);
    CU_ASSERT_EQUAL(module_fill(life_conn, "table:a", NULL, 100), 0);
    (void)sem_init(&reached, 0, 0);
    (void)sem_init(&go_on, 0, 0);
    for (i = 0; i < THREADS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, outlives, NULL), 0);
    for (i = 0; i < THREADS; i++)
        (void)sem_wait(&reached);
    CU_ASSERT_EQUAL(life_conn->close(life_conn, NULL), 0); /* dlclose is in there */
    for (i = 0; i < THREADS; i++)
        (void)sem_post(&go_on);
    for (i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
}

static void *
new_keyids(void *arg)
{
    WT_CONNECTION *conn = life_conn;
    char uri[64], create[128];
    int i, n = *(int *)arg;

    for (i = 0; i < 5; i++) {
        (void)snprintf(uri, sizeof(uri), "table:t%d_%d", n, i);
        (void)snprintf(create, sizeof(create), "encryption=(name=kms,keyid=tenant%d)", n * 5 + i);
        if (module_fill(conn, uri, create, 200) != 0 || module_check(conn, uri, 200) != 0)
            return (arg);
    }
    return (NULL);
}

/* Forty keyids first used by eight threads at once: each has its key before its first page, and all
 * read back after a restart. */
static void
keyids_of_many_threads(void)
{
    pthread_t threads[THREADS];
    char uri[64];
    void *failed;
    int i, numbers[THREADS];

    module_home_new(&life_home, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&life_home, NULL, &life_conn), 0);
    for (i = 0; i < THREADS; i++) {
        numbers[i] = i;
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, new_keyids, &numbers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CU_ASSERT_EQUAL(pthread_join(threads[i], &failed), 0);
        CU_ASSERT_PTR_NULL(failed);
    }
    CU_ASSERT_EQUAL(life_conn->close(life_conn, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(module_open(&life_home, NULL, &life_conn), 0);
    for (i = 0; i < THREADS * 5; i++) {
        (void)snprintf(uri, sizeof(uri), "table:t%d_%d", i / 5, i % 5);
        CU_ASSERT_EQUAL(module_check(life_conn, uri, 200), 0);
    }
    CU_ASSERT_EQUAL(life_conn->close(life_conn, NULL), 0);
}

/* Nothing that the engine stores or prints holds the customer's key. */
static void
nothing_secret_is_stored(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    char key[64], *text;
    static const char *const names[] = {"WiredTiger.basecfg", "WiredTiger.config", "wtkms.keystore",
      "wtkms.state", "WiredTiger.turtle"};
    struct stat sb;
    size_t i;
    int fd;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, "verbose=[fileops,metadata,recovery]", &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 10), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_FATAL((fd = open(mh.key, O_RDONLY)) >= 0);
    CU_ASSERT_EQUAL(read(fd, key, 44), 44);
    key[44] = '\0';
    (void)close(fd);
    CU_ASSERT_PTR_NULL(strstr(mh.messages, key));
    CU_ASSERT_PTR_NULL(strstr(mh.errors, key));
    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if ((fd = open(module_path(&mh, names[i]), O_RDONLY)) < 0)
            continue;
        CU_ASSERT_EQUAL(fstat(fd, &sb), 0);
        text = malloc((size_t)sb.st_size + 1);
        CU_ASSERT_EQUAL(read(fd, text, (size_t)sb.st_size), sb.st_size);
        CU_ASSERT_PTR_NULL(memmem(text, (size_t)sb.st_size, key, 43));
        free(text);
        (void)close(fd);
    }
    CU_ASSERT_EQUAL(stat(module_path(&mh, "wtkms.keystore"), &sb), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 077, 0);
}

/* --- what a core would hold */

/*
 * Count a text of 32 bytes in every mapping of a process that a core dump would take: readable, and
 * not marked "do not dump".
 */
static unsigned
count_in_core(pid_t pid, const uint8_t needle[32])
{
    FILE *smaps;
    uint8_t *data;
    const uint8_t *p;
    char line[1024], path[64], permissions[8], word[8];
    unsigned long start = 0, end = 0, from, to;
    unsigned hits = 0;
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    CU_ASSERT_FATAL((fd = open(path, O_RDONLY)) >= 0);
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    CU_ASSERT_PTR_NOT_NULL_FATAL(smaps = fopen(path, "r"));
    permissions[0] = '\0';
    while (fgets(line, sizeof(line), smaps) != NULL) {
        /* Names of counters begin with hex digits too: only a whole match moves on. */
        if (sscanf(line, "%lx-%lx %7s", &from, &to, word) == 3) {
            start = from;
            end = to;
            memcpy(permissions, word, sizeof(permissions));
            continue;
        }
        if (strncmp(line, "VmFlags:", 8) != 0 || permissions[0] != 'r' ||
            strstr(line, " dd") != NULL || strstr(line, " io") != NULL ||
            (data = malloc(end - start)) == NULL)
            continue;
        got = pread(fd, data, end - start, (off_t)start);
        for (p = data; got > 0 && (p = memmem(p, (size_t)(data + got - p), needle, 32)) != NULL;
             p++)
            hits++;
        free(data);
    }
    (void)fclose(smaps);
    (void)close(fd);
    return (hits);
}

static void
core_child(MODULE_HOME *mh, int ready)
{
    WT_CONNECTION *conn;
    char byte = 0;

    (void)alarm(60);
    if (module_open(mh, NULL, &conn) != 0 || module_fill(conn, "table:core", NULL, 500) != 0 ||
        module_check(conn, "table:a", 500) != 0 || write(ready, &byte, 1) != 1)
        _exit(1);
    (void)pause();
    _exit(1);
}

/* The keys of a home as its customer key gives them: the master key, and the data key of "default". */
static void
keys_of_home(const MODULE_HOME *mh, uint8_t master[32], uint8_t data[32])
{
    KEYRING_OPTIONS options = {.kms_timeout_ms = 1000, .read_only = true};
    const KEYSTORE *keystore;
    const KEYSTORE_MASTER *record;
    KMS_CONTEXT context = {.scope = "default"};
    KMS_RECORDED recorded;
    KMS_CLIENT *client;
    KEYRING *keyring;
    SETTINGS *settings;
    SECRET *secret;
    STATUS status;
    int home_fd;

    CU_ASSERT_EQUAL_FATAL(settings_load(mh->conf, &settings, &status), 0);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(mh->home, &home_fd, &status), 0);
    CU_ASSERT_EQUAL_FATAL(keyring_open(home_fd, settings, &options, &keyring, &status), 0);
    keystore = keyring_hold_keystore(keyring);
    record = keystore_active_master(keystore, "default");
    memcpy(context.keystore_uuid, keystore->uuid, sizeof(context.keystore_uuid));
    context.master_key_id = record->id;
    recorded.provider = record->recipients[0].provider;
    recorded.key_id = record->recipients[0].key_id;
    recorded.wrapped = record->recipients[0].wrapped;
    recorded.wrapped_len = record->recipients[0].wrapped_len;
    CU_ASSERT_EQUAL_FATAL(
      kms_client_open(settings->scopes[0].entries[0], NULL, &client, &status), 0);
    CU_ASSERT_EQUAL_FATAL(
      kms_client_unwrap(client, 1000, &context, &recorded, &secret, &status), 0);
    memcpy(master, secret_bytes(secret) + secret_len(secret) - 32, 32);
    secret_free(secret);
    kms_client_close(client);
    CU_ASSERT_EQUAL_FATAL(
      keyring_data_key(
        keyring, keystore_active_data_key(keystore, "default")->id, &secret, NULL, &status),
      0);
    memcpy(data, secret_bytes(secret), 32);
    secret_free(secret);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    settings_free(settings);
    (void)close(home_fd);
}

/*
 * The key schedule of an AES-256 context begins with the key itself, so a data key stands once in
 * each context that derives sub-keys with it; doc/threat-model.md says so. Nowhere else, and a
 * master key nowhere at all.
 */
static void
core_holds_no_key(void)
{
    WT_CONNECTION *conn;
    MODULE_HOME mh;
    uint8_t master[32], data[32];
    pid_t child;
    int wstatus, pipe_fds[2];
    char byte;

    module_home_new(&mh, NULL);
    CU_ASSERT_EQUAL_FATAL(module_open(&mh, NULL, &conn), 0);
    CU_ASSERT_EQUAL(module_fill(conn, "table:a", NULL, 500), 0);
    CU_ASSERT_EQUAL(conn->close(conn, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    if ((child = fork()) == 0)
        core_child(&mh, pipe_fds[1]);
    CU_ASSERT_FATAL(child > 0);
    (void)close(pipe_fds[1]);
    CU_ASSERT_EQUAL(read(pipe_fds[0], &byte, 1), 1);
    (void)close(pipe_fds[0]);
    /* Only now: what this process learns must not be inherited by the child. */
    keys_of_home(&mh, master, data);
    CU_ASSERT_EQUAL(count_in_core(child, master), 0);
#if !defined(WTKMS_SANITIZERS)
    CU_ASSERT(count_in_core(child, data) <= 8);
#endif
    /* The search finds what is there: this process has both on its stack. */
    CU_ASSERT(count_in_core(getpid(), master) >= 1);
    CU_ASSERT_EQUAL(kill(child, SIGKILL), 0);
    CU_ASSERT_EQUAL(waitpid(child, &wstatus, 0), child);
}

const TEST test_module_life[] = {
  {"several_connections", several_connections},
  {"opened_a_thousand_times", opened_a_thousand_times},
  {"threads_outlive_the_module", threads_outlive_the_module},
  {"keyids_of_many_threads", keyids_of_many_threads},
  {"nothing_secret_is_stored", nothing_secret_is_stored},
  {"core_holds_no_key", core_holds_no_key},
  {NULL, NULL},
};
