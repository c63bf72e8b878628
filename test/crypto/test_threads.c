/*
 * test/crypto/test_threads.c -- Units in many threads and in forked children.
 *
 * What must never happen: two units with one nonce under one key, a child that waits for a thread it
 * does not have, memory that grows with threads that are gone.
 */
#include "test/crypto/test_crypto.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LEN 48
#define UNIT_LEN (LEN + UNIT_OVERHEAD)

/* Nonces of all threads and processes: shared memory. */
typedef struct {
    uint8_t bytes[UNIT_NONCE_LEN];
} NONCE;

typedef struct {
    atomic_size_t count;
    size_t max;
    atomic_uint failures;
    NONCE nonces[];
} NONCES;

static UNITS units;
static NONCES *nonces;

static size_t
nonces_bytes(size_t max)
{
    return (sizeof(NONCES) + max * sizeof(NONCE));
}

static void
nonces_open(size_t max)
{
    nonces =
      mmap(NULL, nonces_bytes(max), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_TRUE_FATAL(nonces != MAP_FAILED);
    nonces->max = max;
}

static int
compare(const void *a, const void *b)
{
    return (memcmp(a, b, sizeof(NONCE)));
}

/* Check that no nonce came twice, and how many there were. */
static void
nonces_close(size_t expected)
{
    size_t i, twice = 0, count = nonces->count < nonces->max ? (size_t)nonces->count : nonces->max;

    CU_ASSERT_EQUAL(count, expected);
    CU_ASSERT_EQUAL(nonces->failures, 0);
    qsort(nonces->nonces, count, sizeof(NONCE), compare);
    for (i = 1; i < count; i++)
        twice += compare(&nonces->nonces[i - 1], &nonces->nonces[i]) == 0;
    CU_ASSERT_EQUAL(twice, 0);
    (void)munmap(nonces, nonces_bytes(nonces->max));
}

/* Encrypt and decrypt some units; the key is found by the unit's id. */
static void
work(UNIT_KEY *const *keys, unsigned key_count, unsigned count)
{
    STATUS status;
    UNIT_HEADER header;
    uint8_t src[LEN], unit[UNIT_LEN], back[LEN];
    size_t n, at;
    unsigned i, k;

    for (i = 0; i < count; i++) {
        memset(src, (int)i, LEN);
        if (unit_encrypt(units.cipher, src, LEN, unit, UNIT_LEN, &n, &status) != 0 ||
            unit_parse(unit, n, &header, &status) != 0) {
            nonces->failures++;
            continue;
        }
        for (k = 0; k < key_count && unit_key_id(keys[k]) != header.data_key_id; k++)
            ;
        if (k == key_count || unit_decrypt(keys[k], unit, n, back, LEN, &n, &status) != 0 ||
            memcmp(src, back, LEN) != 0)
            nonces->failures++;
        if ((at = nonces->count++) < nonces->max)
            memcpy(nonces->nonces[at].bytes, unit + UNIT_NONCE_OFFSET, UNIT_NONCE_LEN);
    }
}

#define THREADS 8
#define PER_THREAD 5000

static void *
work_plain(void *context)
{
    (void)context;
    work(&units.key, 1, PER_THREAD);
    return (NULL);
}

static void
run_threads(void *(*run)(void *), unsigned count)
{
    pthread_t threads[128];
    unsigned i;

    for (i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run, NULL), 0);
    for (i = 0; i < count; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_join(threads[i], NULL), 0);
}

static void
unique_nonces(void)
{
    units_open(&units);
    nonces_open(THREADS * PER_THREAD * 2);
    unit_cipher_test_limits(0, 100);
    run_threads(work_plain, THREADS);
    unit_cipher_test_limits(0, 0);
    run_threads(work_plain, THREADS);
    nonces_close(THREADS * PER_THREAD * 2);
    units_close(&units);
}

static void *
work_briefly(void *context)
{
    (void)context;
    work(&units.key, 1, 20);
    return (NULL);
}

/* Threads that come and go leave nothing: as many contexts as were in use at once, no more. */
static void
short_lived(void)
{
    struct mallinfo2 before, after;
    unsigned i;

    units_open(&units);
    nonces_open(4 * 250 * 20);
    for (i = 0; i < 50; i++)
        run_threads(work_briefly, 4);
    before = mallinfo2();
    for (i = 0; i < 200; i++)
        run_threads(work_briefly, 4);
    after = mallinfo2();
    CU_ASSERT_TRUE(after.uordblks < before.uordblks + 32 * 1024);
    nonces_close(4 * 250 * 20);
    units_close(&units);
}

#define KEYS 5
static UNIT_KEY *keys[KEYS];
static atomic_bool stop;

static void *
work_with_keys(void *context)
{
    (void)context;
    work(keys, KEYS, PER_THREAD);
    return (NULL);
}

static void *
swap_keys(void *context)
{
    struct timespec pause = {0, 100000};
    unsigned i;

    (void)context;
    for (i = 0; !stop; i++) {
        unit_cipher_set_active(units.cipher, keys[i % KEYS]);
        (void)nanosleep(&pause, NULL);
    }
    return (NULL);
}

/* Keys are made, used and freed by others meanwhile, as a watcher of the keystore does. */
static void *
make_keys(void *context)
{
    STATUS status;
    SECRET *secret;
    UNIT_KEY *key;
    UNIT_CIPHER *cipher;
    uint8_t src[LEN] = {0}, unit[UNIT_LEN], back[LEN];
    size_t n;

    (void)context;
    while (!stop) {
        if (secret_new_random(32, &secret, &status) != 0 ||
            unit_key_new(999, secret, &key, &status) != 0 ||
            unit_cipher_new(key, &cipher, &status) != 0 ||
            unit_encrypt(cipher, src, LEN, unit, UNIT_LEN, &n, &status) != 0 ||
            unit_decrypt(key, unit, n, back, LEN, &n, &status) != 0) {
            nonces->failures++;
            break;
        }
        unit_cipher_free(cipher);
        unit_key_free(key);
        secret_free(secret);
    }
    return (NULL);
}

static void
swapped_keys(void)
{
    STATUS status;
    SECRET *secret;
    pthread_t swapper, maker;
    unsigned i;

    units_open(&units);
    keys[0] = units.key;
    for (i = 1; i < KEYS; i++) {
        CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_key_new(i, secret, &keys[i], &status), 0);
        secret_free(secret);
    }
    nonces_open(THREADS * PER_THREAD);
    stop = false;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&swapper, NULL, swap_keys, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&maker, NULL, make_keys, NULL), 0);
    run_threads(work_with_keys, THREADS);
    stop = true;
    (void)pthread_join(swapper, NULL);
    (void)pthread_join(maker, NULL);
    nonces_close(THREADS * PER_THREAD);
    unit_cipher_free(units.cipher);
    units.cipher = NULL;
    for (i = 1; i < KEYS; i++)
        unit_key_free(keys[i]);
    units_close(&units);
}

/* A child goes on with the parent's cipher: other nonces, and no waiting. */
static int
child_works(void *context)
{
    work(&units.key, 1, *(unsigned *)context);
    return (0);
}

static void
fork_idle(void)
{
    unsigned count = 50, i;

    units_open(&units);
    nonces_open(1000);
    work(&units.key, 1, 50);
    for (i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(in_child(child_works, &count), 0);
        work(&units.key, 1, 50);
    }
    nonces_close(50 + 3 * 100);
    units_close(&units);
}

/* A child's child is a third process. */
static int
child_forks(void *context)
{
    unsigned count = 50;

    (void)context;
    work(&units.key, 1, 50);
    if (in_child(child_works, &count) != 0)
        return (1);
    work(&units.key, 1, 50);
    return (0);
}

static void
fork_twice(void)
{
    units_open(&units);
    nonces_open(1000);
    work(&units.key, 1, 50);
    CU_ASSERT_EQUAL(in_child(child_forks, NULL), 0);
    work(&units.key, 1, 50);
    nonces_close(5 * 50);
    units_close(&units);
}

/* Where the kernel cannot clear the page, a handler does it. */
static int
old_kernel(void *context)
{
    unsigned count = 50;

    (void)context;
    fault_madvise = EINVAL;
    units_open(&units);
    fault_madvise = 0;
    work(&units.key, 1, 50);
    if (in_child(child_works, &count) != 0)
        return (1);
    work(&units.key, 1, 50);
    units_close(&units);
    return (in_child(child_works, &(unsigned){0}));
}

static void
fork_old_kernel(void)
{
    nonces_open(1000);
    CU_ASSERT_EQUAL(in_child(old_kernel, NULL), 0);
    nonces_close(150);
}

static void *
work_until_stopped(void *context)
{
    (void)context;
    while (!stop && nonces->count < nonces->max - 10000)
        work(&units.key, 1, 10);
    return (NULL);
}

/* Forks while other threads are inside units. */
static void
fork_busy(void)
{
    pthread_t threads[4];
    unsigned count = 50, i, hung = 0;

    units_open(&units);
    nonces_open(1000000);
    stop = false;
    for (i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work_until_stopped, NULL), 0);
    for (i = 0; i < 40; i++)
        hung += in_child(child_works, &count) != 0;
    stop = true;
    for (i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(hung, 0);
    CU_ASSERT_TRUE(nonces->count > 40 * 50 && nonces->count <= nonces->max);
    nonces_close(nonces->count);
    units_close(&units);
}

/* Threads that stop in the middle of a unit, holding a slot, until they are let go. */
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static unsigned waiting;
static bool open_gate;

static void
wait_at_gate(void)
{
    fault_pause = NULL;
    (void)pthread_mutex_lock(&gate);
    waiting++;
    (void)pthread_cond_broadcast(&gate_changed);
    while (!open_gate)
        (void)pthread_cond_wait(&gate_changed, &gate);
    (void)pthread_mutex_unlock(&gate);
}

static void *
work_stopped(void *context)
{
    (void)context;
    /* A stream first, so that the stop is in the unit's own encryption. */
    work(&units.key, 1, 1);
    fault_pause = wait_at_gate;
    work(&units.key, 1, 1);
    return (NULL);
}

static void
wait_for(unsigned count)
{
    (void)pthread_mutex_lock(&gate);
    while (waiting < count)
        (void)pthread_cond_wait(&gate_changed, &gate);
    (void)pthread_mutex_unlock(&gate);
}

static void
let_go(void)
{
    (void)pthread_mutex_lock(&gate);
    open_gate = true;
    (void)pthread_cond_broadcast(&gate_changed);
    (void)pthread_mutex_unlock(&gate);
}

/* In the child the slots of stopped threads are replaced one by one, and keys can be freed. */
static int
child_of_stopped(void *context)
{
    STATUS status;
    UNIT_KEY *key;

    (void)context;
    work(&units.key, 1, 50);
    if (unit_key_new(5, units.secret, &key, &status) != 0)
        return (1);
    unit_key_free(key);
    return (0);
}

static void
fork_stopped(void)
{
    pthread_t threads[3];
    unsigned i;

    units_open(&units);
    nonces_open(1000);
    waiting = 0;
    open_gate = false;
    for (i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work_stopped, NULL), 0);
    wait_for(3);
    CU_ASSERT_EQUAL(in_child(child_of_stopped, NULL), 0);
    let_go();
    for (i = 0; i < 3; i++)
        (void)pthread_join(threads[i], NULL);
    nonces_close(3 * 2 + 50);
    units_close(&units);
}

static uint8_t stopped_unit[UNIT_LEN];

static void *
decrypt_stopped(void *context)
{
    STATUS status;
    uint8_t back[LEN];
    size_t n;

    fault_pause = wait_at_gate;
    if (unit_decrypt(context, stopped_unit, UNIT_LEN, back, LEN, &n, &status) != 0)
        nonces->failures++;
    return (NULL);
}

static atomic_bool freed;

static void *
free_key(void *context)
{
    unit_key_free(context);
    freed = true;
    return (NULL);
}

static int
free_key_in_child(void *context)
{
    unit_key_free(context);
    return (0);
}

/* A context that still has a key is emptied when the key is freed: after its user is done, but in a
 * child, where its user does not exist, without waiting. */
static void
free_waits(void)
{
    STATUS status;
    SECRET *secret;
    UNIT_KEY *key;
    UNIT_CIPHER *cipher;
    pthread_t reader, freer;
    struct timespec pause = {0, 50000000};
    uint8_t src[LEN] = {0};
    size_t n;

    units_open(&units);
    nonces_open(10);
    waiting = 0;
    open_gate = false;
    freed = false;
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_key_new(3, secret, &key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(key, &cipher, &status), 0);
    CU_ASSERT_EQUAL(unit_encrypt(cipher, src, LEN, stopped_unit, UNIT_LEN, &n, &status), 0);
    unit_cipher_free(cipher);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, decrypt_stopped, key), 0);
    wait_for(1);
    CU_ASSERT_EQUAL(in_child(free_key_in_child, key), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&freer, NULL, free_key, key), 0);
    (void)nanosleep(&pause, NULL);
    CU_ASSERT_FALSE(freed);
    let_go();
    (void)pthread_join(reader, NULL);
    (void)pthread_join(freer, NULL);
    CU_ASSERT_TRUE(freed);
    secret_free(secret);
    nonces_close(0);
    units_close(&units);
}

/* No memory for a second deriver, while the first is in use: the unit fails, the next one works. */
static void
no_deriver(void)
{
    /* Three calls make the stream's slot, one is getrandom, the fifth is the deriver's memory. Only the
     * first unit needs one; the calls before and after must not matter either. */
    static const unsigned calls[] = {5, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    STATUS status;
    UNIT_CIPHER *cipher;
    pthread_t reader;
    uint8_t src[LEN] = {0}, unit[UNIT_LEN];
    size_t n;
    size_t i;

    units_open(&units);
    nonces_open(10);
    waiting = 0;
    open_gate = false;
    CU_ASSERT_EQUAL(unit_encrypt(units.cipher, src, LEN, stopped_unit, UNIT_LEN, &n, &status), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&reader, NULL, decrypt_stopped, units.key), 0);
    wait_for(1);
    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        CU_ASSERT_EQUAL_FATAL(unit_cipher_new(units.key, &cipher, &status), 0);
        fault_at(calls[i]);
        CU_ASSERT_NOT_EQUAL(unit_encrypt(cipher, src, LEN, unit, UNIT_LEN, &n, &status), 0);
        CU_ASSERT_TRUE(fault_was_hit());
        CU_ASSERT_EQUAL(n, 0);
        if (i == 0)
            CU_ASSERT_EQUAL(status.status_class, STATUS_NO_MEMORY);
        CU_ASSERT_EQUAL(unit_encrypt(cipher, src, LEN, unit, UNIT_LEN, &n, &status), 0);
        CU_ASSERT_EQUAL(n, UNIT_LEN);
        unit_cipher_free(cipher);
    }
    let_go();
    (void)pthread_join(reader, NULL);
    nonces_close(0);
    units_close(&units);
}

/* More threads at once than there are slots: the rest waits for its turn. Memory is bounded. */
static void
more_than_slots(void)
{
    enum { MANY = 70 };
    pthread_t threads[MANY];
    struct mallinfo2 before, after;
    struct timespec pause = {0, 50000000};
    unsigned i;

    units_open(&units);
    nonces_open(1000);
    waiting = 0;
    open_gate = false;
    before = mallinfo2();
    for (i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, work_stopped, NULL), 0);
    wait_for(64);
    (void)nanosleep(&pause, NULL);
    CU_ASSERT_EQUAL(waiting, 64);
    after = mallinfo2();
    CU_ASSERT_TRUE(after.uordblks - before.uordblks < 512 * 1024);
    let_go();
    for (i = 0; i < MANY; i++)
        (void)pthread_join(threads[i], NULL);
    nonces_close(2 * MANY);
    units_close(&units);
}

const TEST tests_threads[] = {{"unique nonces", unique_nonces},
  {"threads that come and go", short_lived}, {"keys swapped meanwhile", swapped_keys},
  {"fork", fork_idle}, {"fork twice", fork_twice}, {"fork without wipe-on-fork", fork_old_kernel},
  {"fork while threads work", fork_busy}, {"fork while threads hold slots", fork_stopped},
  {"freeing a key waits", free_waits}, {"no memory to derive", no_deriver},
  {"more threads than slots", more_than_slots}, {NULL, NULL}};
