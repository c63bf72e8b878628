/*
 * test/bench/unit_bench.c -- What an encrypted unit costs beside the bare cipher.
 *
 * All contenders run in one process, on the same buffers, in short turns one after the other; a
 * ratio is taken within each round and the median of the rounds is told, so a busy machine makes
 * the rounds noisy but favours nobody.
 *
 *   raw            EVP AES-256-GCM, key preset, a new IV for each buffer, no additional data
 *   unit           unit_encrypt, unit_decrypt; every unit decrypted has a write stream of its own
 *   context        EVP AES-256-GCM with a new context and key schedule for each buffer
 *   sodium         libsodium's XChaCha20-Poly1305
 *
 * usage: unit_bench [--json FILE] [--rounds N] [--strict]
 *     --strict: exit 1 when a target was missed.
 */
#include "config.h"

#include "common/status.h"
#include "crypto/secret.h"
#include "crypto/unit_cipher.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#ifdef HAVE_SODIUM
#include <sodium.h>
#endif

#define BUFFERS 16 /* distinct units; at 32 KiB twice 512 KiB, the last-level cache holds them */
#define MAX_SIZE (32 * 1024)
#define STRIDE (MAX_SIZE + 128)
#define TURN_SECONDS 0.002
#define MAX_ROUNDS 1001
#define MIN_ROUNDS 5 /* undisturbed ones of two threads */

typedef struct {
    UNIT_CIPHER *cipher;
    UNIT_KEY *key;
    EVP_CIPHER *gcm;
    EVP_CIPHER_CTX *raw_encrypt, *raw_decrypt;
    uint8_t raw_key[32];
    uint64_t iv;
    size_t size;
    uint8_t *plain;   /* BUFFERS of them, STRIDE apart, all of these */
    uint8_t *scratch; /* what is written */
    uint8_t *units;   /* units to decrypt */
    uint8_t *raw;     /* IV, ciphertext and tag to decrypt, at the places that units has them */
    uint8_t *sodium;  /* the same by XChaCha20-Poly1305 */
} BENCH;

typedef void (*CONTENDER)(BENCH *bench, unsigned i);

static void
die(const char *what)
{
    fprintf(stderr, "unit_bench: %s\n", what);
    exit(1);
}

static void
must(int ok, const char *what)
{
    if (!ok)
        die(what);
}

static double
now(clockid_t clock)
{
    struct timespec ts;

    (void)clock_gettime(clock, &ts);
    return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static void
gcm_encrypt(EVP_CIPHER_CTX *ctx, const uint8_t *key, BENCH *bench, const uint8_t *src, uint8_t *dst)
{
    uint8_t *iv = dst + UNIT_NONCE_OFFSET + 12;
    int n;

    bench->iv++;
    memcpy(iv, &bench->iv, 8);
    memset(iv + 8, 0, 4);
    must(EVP_EncryptInit_ex2(ctx, key == NULL ? NULL : EVP_aes_256_gcm(), key, iv, NULL) &&
           EVP_EncryptUpdate(ctx, dst + UNIT_HEADER_LEN, &n, src, (int)bench->size) &&
           EVP_EncryptFinal_ex(ctx, dst + UNIT_HEADER_LEN + bench->size, &n) &&
           EVP_CIPHER_CTX_ctrl(
             ctx, EVP_CTRL_AEAD_GET_TAG, UNIT_TAG_LEN, dst + UNIT_HEADER_LEN + bench->size),
      "EVP encryption");
}

static void
gcm_decrypt(EVP_CIPHER_CTX *ctx, const uint8_t *key, BENCH *bench, uint8_t *src, uint8_t *dst)
{
    uint8_t *iv = src + UNIT_NONCE_OFFSET + 12;
    int n;

    must(EVP_DecryptInit_ex2(ctx, key == NULL ? NULL : EVP_aes_256_gcm(), key, iv, NULL) &&
           EVP_CIPHER_CTX_ctrl(
             ctx, EVP_CTRL_AEAD_SET_TAG, UNIT_TAG_LEN, src + UNIT_HEADER_LEN + bench->size) &&
           EVP_DecryptUpdate(ctx, dst, &n, src + UNIT_HEADER_LEN, (int)bench->size) &&
           EVP_DecryptFinal_ex(ctx, dst + bench->size, &n),
      "EVP decryption");
}

static void
encrypt_raw(BENCH *bench, unsigned i)
{
    gcm_encrypt(
      bench->raw_encrypt, NULL, bench, bench->plain + i * STRIDE, bench->scratch + i * STRIDE);
}

static void
decrypt_raw(BENCH *bench, unsigned i)
{
    gcm_decrypt(
      bench->raw_decrypt, NULL, bench, bench->raw + i * STRIDE, bench->scratch + i * STRIDE);
}

static void
encrypt_context(BENCH *bench, unsigned i)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    gcm_encrypt(ctx, bench->raw_key, bench, bench->plain + i * STRIDE, bench->scratch + i * STRIDE);
    EVP_CIPHER_CTX_free(ctx);
}

static void
decrypt_context(BENCH *bench, unsigned i)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    gcm_decrypt(ctx, bench->raw_key, bench, bench->raw + i * STRIDE, bench->scratch + i * STRIDE);
    EVP_CIPHER_CTX_free(ctx);
}

static void
encrypt_unit(BENCH *bench, unsigned i)
{
    STATUS status;
    size_t n;

    if (unit_encrypt(bench->cipher, bench->plain + i * STRIDE, bench->size,
          bench->scratch + i * STRIDE, STRIDE, &n, &status) != 0)
        die(status.message);
}

static void
decrypt_unit(BENCH *bench, unsigned i)
{
    STATUS status;
    size_t n;

    if (unit_decrypt(bench->key, bench->units + i * STRIDE, bench->size + UNIT_OVERHEAD,
          bench->scratch + i * STRIDE, STRIDE, &n, &status) != 0)
        die(status.message);
}

#ifdef HAVE_SODIUM
static void
encrypt_sodium(BENCH *bench, unsigned i)
{
    uint8_t *dst = bench->scratch + i * STRIDE, *nonce = dst + UNIT_NONCE_OFFSET;

    randombytes_buf(nonce, UNIT_NONCE_LEN);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(dst + UNIT_HEADER_LEN, NULL,
      bench->plain + i * STRIDE, bench->size, NULL, 0, NULL, nonce, bench->raw_key);
}

static void
decrypt_sodium(BENCH *bench, unsigned i)
{
    uint8_t *src = bench->sodium + i * STRIDE;

    must(crypto_aead_xchacha20poly1305_ietf_decrypt(bench->scratch + i * STRIDE, NULL, NULL,
           src + UNIT_HEADER_LEN, bench->size + UNIT_TAG_LEN, NULL, 0, src + UNIT_NONCE_OFFSET,
           bench->raw_key) == 0,
      "libsodium decryption");
}
#endif

/*
 * turn --
 *     Seconds a buffer, over about TURN_SECONDS. By the thread's own processor time, so that what else
 *     the machine does counts less.
 */
static double
turn(CONTENDER contender, BENCH *bench)
{
    double start = now(CLOCK_THREAD_CPUTIME_ID), elapsed;
    unsigned i, n = 0;

    do {
        for (i = 0; i < BUFFERS; i++)
            contender(bench, i);
        n += BUFFERS;
        elapsed = now(CLOCK_THREAD_CPUTIME_ID) - start;
    } while (elapsed < TURN_SECONDS);
    return (elapsed / n);
}

static int
compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x < y ? -1 : x > y);
}

static double
median(double *values, unsigned count)
{
    qsort(values, count, sizeof(*values), compare);
    return (values[count / 2]);
}

static void
prepare(BENCH *bench, size_t size)
{
    STATUS status;
    size_t n;
    unsigned i;

    bench->size = size;
    unit_cipher_test_limits(0, 1); /* a stream for each unit */
    for (i = 0; i < BUFFERS; i++) {
        if (unit_encrypt(bench->cipher, bench->plain + i * STRIDE, size, bench->units + i * STRIDE,
              STRIDE, &n, &status) != 0)
            die(status.message);
        gcm_encrypt(
          bench->raw_encrypt, NULL, bench, bench->plain + i * STRIDE, bench->raw + i * STRIDE);
#ifdef HAVE_SODIUM
        encrypt_sodium(bench, i);
        memcpy(bench->sodium + i * STRIDE, bench->scratch + i * STRIDE, STRIDE);
#endif
    }
    unit_cipher_test_limits(0, 0);
}

/* The raw loop is the first of a row: it is what the others are measured against. */
#define CONTENDERS 4
static const struct {
    const char *name;
    CONTENDER encrypt, decrypt;
} contenders[CONTENDERS] = {
  {"raw", encrypt_raw, decrypt_raw},
  {"unit", encrypt_unit, decrypt_unit},
  {"context", encrypt_context, decrypt_context},
#ifdef HAVE_SODIUM
  {"sodium", encrypt_sodium, decrypt_sodium},
#endif
};

/* What the unit has to reach of the raw loop; 0: no demand. */
static const struct {
    size_t size;
    double encrypt, decrypt;
} sizes[] = {
  {512, 0.90, 0},
  {4 * 1024, 0.95, 0.80},
  {16 * 1024, 0.97, 0.93},
  {32 * 1024, 0.97, 0},
};

static double times[CONTENDERS][MAX_ROUNDS], ratios[CONTENDERS][MAX_ROUNDS];

/*
 * measure --
 *     One operation at one size: a line of the table for each contender. Returns whether the unit
 *     reached its target.
 */
static bool
measure(BENCH *bench, bool encrypt, size_t size, double target, unsigned rounds, FILE *json)
{
    CONTENDER run;
    unsigned c, r, k;
    double time, ratio;
    bool reached = true;

    prepare(bench, size);
    for (r = 0; r < rounds; r++) {
        /* Each round begins with another, so that nobody always follows the same one. */
        for (k = 0; k < CONTENDERS; k++) {
            c = (k + r) % CONTENDERS;
            run = encrypt ? contenders[c].encrypt : contenders[c].decrypt;
            times[c][r] = run == NULL ? 0 : turn(run, bench);
        }
        for (c = 0; c < CONTENDERS; c++)
            ratios[c][r] = times[c][r] == 0 ? 0 : times[0][r] / times[c][r];
    }
    for (c = 0; c < CONTENDERS; c++) {
        if (contenders[c].name == NULL)
            continue;
        time = median(times[c], rounds);
        ratio = median(ratios[c], rounds);
        printf("%-8s %6zu  %-8s %9.0f ns %8.2f GB/s  %.3f", encrypt ? "encrypt" : "decrypt", size,
          contenders[c].name, time * 1e9, (double)size / time / 1e9, ratio);
        fprintf(json,
          "  {\"operation\": \"%s\", \"bytes\": %zu, \"contender\": \"%s\", \"nanoseconds\": %.1f, "
          "\"ratio\": %.4f, \"target\": %.2f},\n",
          encrypt ? "encrypt" : "decrypt", size, contenders[c].name, time * 1e9, ratio,
          c == 1 ? target : 0);
        if (c == 1 && target != 0) {
            printf("  target %.2f: %s", target, ratio >= target ? "reached" : "MISSED");
            reached = ratio >= target;
        }
        printf("\n");
    }
    return (reached);
}

typedef struct {
    BENCH bench;
    atomic_uint *waiting;
    double rate; /* units a second; 0: another process had the processor for some of the time */
    bool decrypt;
} WORKER;

static void *
work(void *context)
{
    WORKER *worker = context;
    CONTENDER run = worker->decrypt ? decrypt_unit : encrypt_unit;
    double start, start_cpu, elapsed;
    unsigned i, n = 0;

    /* Not a barrier of the library's: all must be running, not about to be woken. */
    atomic_fetch_sub(worker->waiting, 1);
    while (atomic_load(worker->waiting) != 0)
        ;
    start = now(CLOCK_MONOTONIC);
    start_cpu = now(CLOCK_THREAD_CPUTIME_ID);
    do {
        for (i = 0; i < BUFFERS; i++)
            run(&worker->bench, i);
        n += BUFFERS;
        elapsed = now(CLOCK_MONOTONIC) - start;
    } while (elapsed < 2 * TURN_SECONDS);
    worker->rate = now(CLOCK_THREAD_CPUTIME_ID) - start_cpu < 0.97 * elapsed ? 0 : n / elapsed;
    return (NULL);
}

/*
 * rate --
 *     Units a second of so many threads together, or 0 when they were disturbed.
 */
static double
rate(WORKER *workers, unsigned count)
{
    pthread_t threads[2];
    atomic_uint waiting = count;
    double sum = 0;
    unsigned i, disturbed = 0;

    for (i = 0; i < count; i++) {
        workers[i].waiting = &waiting;
        must(pthread_create(&threads[i], NULL, work, &workers[i]) == 0, "pthread_create");
    }
    for (i = 0; i < count; i++) {
        must(pthread_join(threads[i], NULL) == 0, "pthread_join");
        sum += workers[i].rate;
        disturbed += workers[i].rate == 0;
    }
    return (disturbed ? 0 : sum);
}

/*
 * measure_threads --
 *     Two threads that share one cipher and one key, against one. Rounds count in which this process
 *     had both processors, which on a busy machine are few.
 */
static bool
measure_threads(BENCH *bench, bool decrypt, size_t size, unsigned rounds, FILE *json)
{
    WORKER workers[2];
    double one, two, ratio = 0, start = now(CLOCK_MONOTONIC), elapsed = 0;
    unsigned i, count = 0;

    prepare(bench, size);
    for (i = 0; i < 2; i++) {
        workers[i].bench = *bench;
        workers[i].decrypt = decrypt;
        must((workers[i].bench.scratch = malloc((size_t)BUFFERS * STRIDE)) != NULL, "malloc");
        memset(workers[i].bench.scratch, 0, (size_t)BUFFERS * STRIDE);
    }
    while (count < rounds && elapsed < 20) {
        one = rate(workers, 1);
        two = rate(workers, 2);
        if (one != 0 && two != 0)
            ratios[0][count++] = two / one;
        elapsed = now(CLOCK_MONOTONIC) - start;
    }
    if (count >= MIN_ROUNDS)
        ratio = median(ratios[0], count);
    printf("%-8s %6zu  two threads against one: %.2f times (%u rounds)  target 1.90: %s\n",
      decrypt ? "decrypt" : "encrypt", size, ratio, count,
      count < MIN_ROUNDS ? "machine too busy to tell"
      : ratio >= 1.9     ? "reached"
                         : "MISSED");
    fprintf(json,
      "  {\"operation\": \"%s\", \"bytes\": %zu, \"contender\": \"two threads\", \"ratio\": %.4f, "
      "\"target\": 1.9},\n",
      decrypt ? "decrypt" : "encrypt", size, ratio);
    for (i = 0; i < 2; i++)
        free(workers[i].bench.scratch);
    return (ratio >= 1.9);
}

static uint8_t *
buffers(uint8_t fill)
{
    uint8_t *p;
    size_t i;

    must((p = aligned_alloc(64, (size_t)BUFFERS * STRIDE)) != NULL, "malloc");
    for (i = 0; i < (size_t)BUFFERS * STRIDE; i++)
        p[i] = (uint8_t)(i * 31 + fill);
    return (p);
}

static void
bench_open(BENCH *bench)
{
    STATUS status;
    SECRET *secret;

    memset(bench, 0, sizeof(*bench));
    if (secret_new_random(32, &secret, &status) != 0 || unit_cipher_library_open(&status) != 0 ||
        unit_key_new(1, secret, &bench->key, &status) != 0 ||
        unit_cipher_new(bench->key, &bench->cipher, &status) != 0)
        die(status.message);
    memcpy(bench->raw_key, secret_bytes(secret), sizeof(bench->raw_key));
    secret_free(secret);
    bench->plain = buffers(1);
    bench->scratch = buffers(2);
    bench->units = buffers(3);
    bench->raw = buffers(4);
    bench->sodium = buffers(5);
#ifdef HAVE_SODIUM
    must(sodium_init() >= 0, "sodium_init");
#endif
    must((bench->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)) != NULL &&
           (bench->raw_encrypt = EVP_CIPHER_CTX_new()) != NULL &&
           (bench->raw_decrypt = EVP_CIPHER_CTX_new()) != NULL &&
           EVP_EncryptInit_ex2(bench->raw_encrypt, bench->gcm, bench->raw_key, NULL, NULL) &&
           EVP_DecryptInit_ex2(bench->raw_decrypt, bench->gcm, bench->raw_key, NULL, NULL),
      "EVP contexts");
}

static void
bench_close(BENCH *bench)
{
    EVP_CIPHER_CTX_free(bench->raw_encrypt);
    EVP_CIPHER_CTX_free(bench->raw_decrypt);
    EVP_CIPHER_free(bench->gcm);
    free(bench->plain);
    free(bench->scratch);
    free(bench->units);
    free(bench->raw);
    free(bench->sodium);
    unit_cipher_free(bench->cipher);
    unit_key_free(bench->key);
    unit_cipher_library_close();
}

int
main(int argc, char **argv)
{
    BENCH bench;
    FILE *json;
    const char *json_path = "/dev/null";
    unsigned rounds = 151;
    size_t i;
    bool reached = true, strict = false;
    int arg;

    for (arg = 1; arg < argc; arg++)
        if (strcmp(argv[arg], "--json") == 0 && arg + 1 < argc)
            json_path = argv[++arg];
        else if (strcmp(argv[arg], "--rounds") == 0 && arg + 1 < argc)
            rounds = (unsigned)strtoul(argv[++arg], NULL, 10);
        else if (strcmp(argv[arg], "--strict") == 0)
            strict = true;
        else
            die("usage: unit_bench [--json FILE] [--rounds N] [--strict]");
    if (rounds == 0 || rounds > MAX_ROUNDS)
        die("--rounds wants 1 to 1001");
    must((json = fopen(json_path, "w")) != NULL, json_path);

    bench_open(&bench);
    fprintf(json, "{\"bench\": \"unit\", \"openssl\": \"%s\", \"rounds\": %u, \"results\": [\n",
      OpenSSL_version(OPENSSL_VERSION_STRING), rounds);
    printf("%-8s %6s  %-8s %12s %13s  against raw\n", "", "bytes", "", "", "");
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        reached &= measure(&bench, true, sizes[i].size, sizes[i].encrypt, rounds, json);
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        reached &= measure(&bench, false, sizes[i].size, sizes[i].decrypt, rounds, json);
    reached &= measure_threads(&bench, false, 16 * 1024, rounds, json);
    reached &= measure_threads(&bench, true, 16 * 1024, rounds, json);
    fprintf(json, "  {\"reached\": %s}\n]}\n", reached ? "true" : "false");
    must(fclose(json) == 0, json_path);
    bench_close(&bench);
    return (reached || !strict ? 0 : 1);
}
