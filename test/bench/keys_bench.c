/*
 * test/bench/keys_bench.c -- What many keys and many threads cost: opening a keystore of 10,000 keyids,
 * adding one more, and the memory of 64 threads that encrypt and decrypt at once.
 *
 *     keys_bench CONF [--json FILE]
 *
 * CONF is a wtkms.conf with a local key. Times are of this machine and this run; the memory figures
 * are differences of the process's resident size.
 */
#include "common/file.h"
#include "crypto/unit_cipher.h"
#include "keystore/keyring.h"
#include "test/bench/bench_support.h"

#include <sys/stat.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYIDS 10000
#define THREADS 64
#define UNIT_BYTES 32768

static STATUS status;
static char home[] = "/tmp/wtkms-keys-XXXXXX";
static int home_fd;
static SETTINGS *settings;
static KEYRING_OPTIONS options = {.kms_timeout_ms = 5000};

static void
check(int ret, const char *what)
{
    bench_check(ret, &status, what);
}

static double
resident_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size, resident = 0;

    (void)malloc_trim(0);
    if (f == NULL || fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (f != NULL)
        (void)fclose(f);
    return ((double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20));
}

/* Best of several: what it costs, not what else the machine was doing. */
static double
time_open(double *mibp)
{
    KEYRING *keyring;
    double before, best = 1e12, start, took;
    int i;

    for (i = 0; i < 7; i++) {
        before = resident_mib();
        start = bench_now_ms();
        check(keyring_open(home_fd, settings, &options, &keyring, &status), "open");
        took = bench_now_ms() - start;
        *mibp = resident_mib() - before;
        keyring_close(keyring);
        best = took < best ? took : best;
    }
    return (best);
}

static pthread_barrier_t barrier;
static UNIT_CIPHER *cipher;
static UNIT_KEY *unit_key;
static bool encrypting;

static void *
one_thread(void *arg)
{
    static __thread uint8_t plain[UNIT_BYTES], unit[UNIT_BYTES + UNIT_OVERHEAD];
    STATUS st;
    size_t len;
    int i;

    memset(plain, 1, sizeof(plain));
    memset(unit, 1, sizeof(unit));
    (void)pthread_barrier_wait(&barrier);
    for (i = 0; encrypting && i < 200; i++)
        if (unit_encrypt(cipher, plain, sizeof(plain), unit, sizeof(unit), &len, &st) != 0 ||
            unit_decrypt(unit_key, unit, sizeof(unit), plain, sizeof(plain), &len, &st) != 0)
            *(int *)arg = 1;
    (void)pthread_barrier_wait(&barrier); /* the main thread looks at the memory */
    (void)pthread_barrier_wait(&barrier);
    return (NULL);
}

/* Resident size while 64 threads stand still with their buffers touched. */
static double
memory_of_threads(void)
{
    pthread_t threads[THREADS];
    double mib;
    int failed = 0, i;

    (void)pthread_barrier_init(&barrier, NULL, THREADS + 1);
    for (i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, one_thread, &failed) != 0)
            exit(1);
    (void)pthread_barrier_wait(&barrier);
    (void)pthread_barrier_wait(&barrier);
    mib = resident_mib();
    (void)pthread_barrier_wait(&barrier);
    for (i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_barrier_destroy(&barrier);
    if (failed != 0)
        exit(1);
    return (mib);
}

int
main(int argc, char **argv)
{
    KEYRING *keyring;
    SECRET *secret;
    FILE *json = NULL;
    struct stat sb;
    double add_ms, idle_mib, many_mib, many_ms, one_mib, one_ms, start, threads_mib;
    uint64_t id;
    bool created;
    int count = KEYIDS;

    if (argc < 2 || mkdtemp(home) == NULL) {
        (void)fprintf(stderr, "usage: keys_bench CONF [--json FILE]\n");
        return (2);
    }
    check(settings_load(argv[1], &settings, &status), argv[1]);
    check(file_open_dir(home, &home_fd, &status), home);
    check(keyring_create(home_fd, settings, &options, false, &keyring, &status), "create");
    one_ms = time_open(&one_mib);
    check(keyring_update(keyring, "bench", NULL, bench_add_keyids, &count, &status), "add");
    keyring_close(keyring);
    if (fstatat(home_fd, KEYRING_FILE, &sb, 0) != 0)
        return (1);
    many_ms = time_open(&many_mib);
    check(keyring_open(home_fd, settings, &options, &keyring, &status), "open");
    start = bench_now_ms();
    check(keyring_ensure_data_key(keyring, "one-more", &id, &created, &status), "ensure");
    add_ms = bench_now_ms() - start;
    keyring_close(keyring);

    check(unit_cipher_library_open(&status), "library");
    check(secret_new_random(32, &secret, &status), "secret");
    check(unit_key_new(1, secret, &unit_key, &status), "key");
    check(unit_cipher_new(unit_key, &cipher, &status), "cipher");
    (void)memory_of_threads(); /* stacks and arenas of the C library, once */
    idle_mib = memory_of_threads();
    encrypting = true;
    threads_mib = memory_of_threads() - idle_mib;

    (void)printf("keystore with 1 keyid: open %.1f ms, %.2f MiB\n", one_ms, one_mib);
    (void)printf(
      "keystore with %d keyids (%.1f MiB): open %.1f ms, %.2f MiB; one more keyid %.1f ms\n",
      KEYIDS, (double)sb.st_size / (1 << 20), many_ms, many_mib, add_ms);
    (void)printf("%d threads at once: %.2f MiB more\n", THREADS, threads_mib);
    if (argc > 3 && strcmp(argv[2], "--json") == 0 && (json = fopen(argv[3], "w")) != NULL) {
        (void)fprintf(json,
          "{\"openOneMs\":%.2f,\"openOneMiB\":%.3f,\"keyids\":%d,\"openManyMs\":%.2f,"
          "\"openManyMiB\":%.3f,\"addMs\":%.2f,\"threads\":%d,\"threadsMiB\":%.3f}\n",
          one_ms, one_mib, KEYIDS, many_ms, many_mib, add_ms, THREADS, threads_mib);
        (void)fclose(json);
    }
    unit_cipher_free(cipher);
    unit_key_free(unit_key);
    secret_free(secret);
    unit_cipher_library_close();
    settings_free(settings);
    (void)unlinkat(home_fd, KEYRING_FILE, 0);
    (void)unlinkat(home_fd, KEYRING_PREV, 0);
    (void)unlinkat(home_fd, KEYRING_LOCK, 0);
    (void)unlinkat(home_fd, "WiredTiger.config", 0);
    (void)close(home_fd);
    (void)rmdir(home);
    return (0);
}
