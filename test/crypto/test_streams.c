/*
 * test/crypto/test_streams.c -- Write streams of one thread: limits, keys, cost.
 */
#include "test/crypto/test_crypto.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEN 64

typedef struct {
    uint8_t bytes[LEN + UNIT_OVERHEAD];
} UNIT;

static void
encrypt(UNIT_CIPHER *cipher, UNIT *unit)
{
    static const uint8_t src[LEN];
    STATUS status;
    size_t n;

    CU_ASSERT_EQUAL_FATAL(
      unit_encrypt(cipher, src, LEN, unit->bytes, sizeof(unit->bytes), &n, &status), 0);
}

static bool
same_stream(const UNIT *a, const UNIT *b)
{
    return (memcmp(a->bytes + UNIT_NONCE_OFFSET, b->bytes + UNIT_NONCE_OFFSET, 12) == 0);
}

static uint64_t
counter(const UNIT *unit)
{
    uint64_t count;

    memcpy(&count, unit->bytes + UNIT_NONCE_OFFSET + 12, sizeof(count));
    return (count);
}

/* One prefix, and a count in the rest. */
static void
counting(void)
{
    UNITS units;
    UNIT first, unit;
    uint64_t i;

    units_open(&units);
    encrypt(units.cipher, &first);
    CU_ASSERT_EQUAL(counter(&first), 0);
    for (i = 1; i < 1000; i++) {
        encrypt(units.cipher, &unit);
        CU_ASSERT_TRUE(same_stream(&first, &unit));
        CU_ASSERT_EQUAL(counter(&unit), i);
        CU_ASSERT_EQUAL(memcmp(unit.bytes + UNIT_NONCE_OFFSET + 20, "\0\0\0\0", 4), 0);
    }
    units_close(&units);
}

static void
limit_of_units(void)
{
    UNITS units;
    UNIT first, unit;
    unsigned i, round;

    units_open(&units);
    unit_cipher_test_limits(0, 3);
    encrypt(units.cipher, &first);
    for (round = 0; round < 100; round++) {
        for (i = 1; i < 3; i++) {
            encrypt(units.cipher, &unit);
            CU_ASSERT_TRUE(same_stream(&first, &unit));
            CU_ASSERT_EQUAL(counter(&unit), i);
        }
        encrypt(units.cipher, &unit);
        CU_ASSERT_FALSE(same_stream(&first, &unit));
        CU_ASSERT_EQUAL(counter(&unit), 0);
        first = unit;
    }
    unit_cipher_test_limits(0, 0);
    encrypt(units.cipher, &unit);
    CU_ASSERT_TRUE(same_stream(&first, &unit));
    units_close(&units);
}

static double
seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* Clocks are read around units so that a test that has to wait for the processor proves no less. */
static void
limit_of_time(void)
{
    UNITS units;
    UNIT first, unit;
    double begun, before, last = 0;

    units_open(&units);
    unit_cipher_test_limits(2, 0);
    encrypt(units.cipher, &first);
    begun = seconds();
    for (;;) {
        (void)usleep(1000);
        before = seconds();
        encrypt(units.cipher, &unit);
        if (!same_stream(&first, &unit) || before > begun + 30)
            break;
        last = before;
    }
    CU_ASSERT_FALSE(same_stream(&first, &unit));
    CU_ASSERT_EQUAL(counter(&unit), 0);
    /* Never longer than the limit, but for a tick of the coarse clock; and it did go on. */
    CU_ASSERT_TRUE(last < begun + 2.05);
    CU_ASSERT_TRUE(last > begun + 0.5 || UNDER_SANITIZER);
    unit_cipher_test_limits(0, 0);
    units_close(&units);
}

static void
change_of_key(void)
{
    STATUS status;
    UNITS units;
    UNIT_KEY *next;
    SECRET *secret;
    UNIT before, after, again;
    uint8_t back[LEN];
    size_t n;

    units_open(&units);
    CU_ASSERT_EQUAL(secret_new_random(32, &secret, &status), 0);
    CU_ASSERT_EQUAL(unit_key_new(77, secret, &next, &status), 0);
    encrypt(units.cipher, &before);
    unit_cipher_set_active(units.cipher, next);
    encrypt(units.cipher, &after);
    CU_ASSERT_FALSE(same_stream(&before, &after));
    CU_ASSERT_EQUAL(counter(&after), 0);
    CU_ASSERT_EQUAL(
      unit_decrypt(next, after.bytes, sizeof(after.bytes), back, LEN, &n, &status), 0);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, before.bytes, sizeof(before.bytes), back, LEN, &n, &status), 0);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, after.bytes, sizeof(after.bytes), back, LEN, &n, &status),
      STATUS_NO_KEY);
    /* Back to the old key is a new stream too: the old one is gone. */
    unit_cipher_set_active(units.cipher, units.key);
    encrypt(units.cipher, &again);
    CU_ASSERT_FALSE(same_stream(&before, &again));
    unit_cipher_free(units.cipher);
    units.cipher = NULL;
    unit_key_free(next);
    secret_free(secret);
    units_close(&units);
}

/* A failure in the middle of a unit ends its stream: its nonce may be out already. */
static void
failure_ends_stream(void)
{
    static const uint8_t src[LEN];
    STATUS status;
    UNITS units;
    UNIT before, after;
    size_t n;
    unsigned nth = 0;
    bool hit;

    units_open(&units);
    do {
        encrypt(units.cipher, &before);
        fault_at(++nth);
        n = 1;
        if (unit_encrypt(units.cipher, src, LEN, after.bytes, sizeof(after.bytes), &n, &status) !=
            0) {
            CU_ASSERT_EQUAL(n, 0);
            CU_ASSERT_EQUAL(status.status_class, STATUS_INTERNAL);
        }
        hit = fault_was_hit();
        if (hit) {
            encrypt(units.cipher, &after);
            CU_ASSERT_FALSE(same_stream(&before, &after));
        }
    } while (hit);
    CU_ASSERT_EQUAL(nth, 6); /* init, AAD, data, final, tag; the sixth call is not made */
    units_close(&units);
}

/* Nothing is allocated per unit, neither here nor in OpenSSL. */
static void
no_allocation(void)
{
    STATUS status;
    UNITS units;
    UNIT unit;
    uint8_t back[LEN];
    size_t n;
    unsigned long theirs, ours;
    unsigned i;

    units_open(&units);
    encrypt(units.cipher, &unit);
    CU_ASSERT_EQUAL(
      unit_decrypt(units.key, unit.bytes, sizeof(unit.bytes), back, LEN, &n, &status), 0);
    theirs = openssl_allocations();
    ours = wrapped_allocations();
    CU_ASSERT_TRUE(theirs > 0 && ours > 0);
    for (i = 0; i < 1000; i++) {
        encrypt(units.cipher, &unit);
        CU_ASSERT_EQUAL(
          unit_decrypt(units.key, unit.bytes, sizeof(unit.bytes), back, LEN, &n, &status), 0);
    }
    /* Not for a new stream either. */
    unit_cipher_test_limits(0, 1);
    for (i = 0; i < 100; i++)
        encrypt(units.cipher, &unit);
    unit_cipher_test_limits(0, 0);
    CU_ASSERT_EQUAL(openssl_allocations(), theirs);
    CU_ASSERT_EQUAL(wrapped_allocations(), ours);
    units_close(&units);
}

/* Ten thousand keyids, each of which encrypted something. */
static void
many_ciphers(void)
{
    enum { MANY = 10000 };
    STATUS status;
    UNITS units;
    UNIT unit;
    struct mallinfo2 before, after;
    UNIT_CIPHER **ciphers = calloc(MANY, sizeof(*ciphers));
    UNIT_KEY **keys = calloc(MANY, sizeof(*keys));
    SECRET *secret;
    size_t used;
    unsigned i;

    CU_ASSERT_TRUE_FATAL(ciphers != NULL && keys != NULL);
    units_open(&units);
    before = mallinfo2();
    for (i = 0; i < MANY; i++) {
        CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_key_new(i + 1, secret, &keys[i], &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_cipher_new(keys[i], &ciphers[i], &status), 0);
        secret_free(secret);
        encrypt(ciphers[i], &unit);
    }
    after = mallinfo2();
    used = after.uordblks + after.hblkhd - before.uordblks - before.hblkhd;
    CU_ASSERT_TRUE(used < 24 * 1024 * 1024);
    CU_ASSERT_TRUE(used > MANY * 100 || UNDER_SANITIZER);
    for (i = 0; i < MANY; i++) {
        unit_cipher_free(ciphers[i]);
        unit_key_free(keys[i]);
    }
    after = mallinfo2();
    CU_ASSERT_TRUE(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + 64 * 1024);
    units_close(&units);
    free(ciphers);
    free(keys);
}

const TEST tests_streams[] = {{"a stream counts", counting}, {"limit of units", limit_of_units},
  {"limit of time", limit_of_time}, {"change of key", change_of_key},
  {"a failure ends a stream", failure_ends_stream}, {"no allocation per unit", no_allocation},
  {"ten thousand keyids", many_ciphers}, {NULL, NULL}};
