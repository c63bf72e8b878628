/*
 * test/crypto/test_secret.c -- Secret memory as the kernel sees it.
 */
#include "test/crypto/test_crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* How many bytes past the end are the canary's room at most. */
#define BEHIND 64

static SECRET *
zeroed(size_t len)
{
    STATUS status;
    SECRET *secret = NULL;

    CU_ASSERT_EQUAL_FATAL(secret_new(len, &secret, &status), 0);
    return (secret);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++)
        if (p[i] != 0)
            return (false);
    return (true);
}

static void
life(void)
{
    static const size_t lens[] = {
      1, 15, 16, 31, 32, 63, 64, 65, 100, 4079, 4080, 4081, 4096, 65536, 1000000, SECRET_MAX_BYTES};
    STATUS status;
    SECRET *secret, *copy;
    size_t i;

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        secret = zeroed(lens[i]);
        CU_ASSERT_EQUAL(secret_len(secret), lens[i]);
        CU_ASSERT_TRUE(is_zero(secret_bytes(secret), lens[i]));
        CU_ASSERT_EQUAL((uintptr_t)secret_bytes(secret) % 16, 0);
        memset(secret_data(secret), 0xa5, lens[i]);
        CU_ASSERT_EQUAL(secret_new_copy(secret_bytes(secret), lens[i], &copy, &status), 0);
        CU_ASSERT_TRUE(secret_equal(secret, copy));
        secret_data(copy)[lens[i] - 1] ^= 1;
        CU_ASSERT_FALSE(secret_equal(secret, copy));
        secret_free(secret);
        secret_free(copy);
    }
    CU_ASSERT_EQUAL(secret_new(0, &secret, &status), STATUS_INTERNAL);
    CU_ASSERT_PTR_NULL(secret);
    CU_ASSERT_EQUAL(secret_new(SECRET_MAX_BYTES + 1, &secret, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(secret_new(SIZE_MAX, &secret, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(secret_new_random(0, &secret, &status), STATUS_INTERNAL);
    CU_ASSERT_EQUAL(secret_new_copy("", 0, &secret, &status), STATUS_INTERNAL);
    secret_free(NULL);
    CU_ASSERT_EQUAL(secret_damage(), 0);
}

static void
random_secrets(void)
{
    STATUS status;
    SECRET *a, *b;

    CU_ASSERT_EQUAL(secret_new_random(32, &a, &status), 0);
    CU_ASSERT_EQUAL(secret_new_random(32, &b, &status), 0);
    CU_ASSERT_FALSE(secret_equal(a, b));
    CU_ASSERT_FALSE(is_zero(secret_bytes(a), 32));
    secret_free(b);
    b = test_secret(secret_bytes(a), 31);
    CU_ASSERT_FALSE(secret_equal(a, b));
    secret_free(a);
    secret_free(b);
}

static void
truncated(void)
{
    SECRET *secret = test_secret("0123456789", 10);

    secret_truncate(secret, 10);
    secret_truncate(secret, 11);
    CU_ASSERT_EQUAL(secret_len(secret), 10);
    secret_truncate(secret, 4);
    CU_ASSERT_EQUAL(secret_len(secret), 4);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(secret), "0123\0\0\0\0\0\0", 10), 0);
    secret_free(secret);
    CU_ASSERT_EQUAL(secret_damage(), 0);
}

typedef struct {
    size_t len;
    int step;    /* 1: run on behind the end, -1: before the start */
    bool writes; /* or reads */
} STRAY;

/* Goes on until something stops it, a megabyte at most. */
static int
stray(void *context)
{
    const STRAY *how = context;
    volatile uint8_t *p = secret_data(zeroed(how->len));
    uint8_t sum = 0;
    long i;

    for (i = 0; i < 1024 * 1024; i++)
        if (how->writes)
            p[i * how->step] = 1;
        else
            sum = (uint8_t)(sum + p[i * how->step]);
    return (sum & 1);
}

static void
guards(void)
{
    static const size_t lens[] = {32, 64, 65, 4096, 100000};
    STRAY how;
    size_t i;

    for (i = 0; i < sizeof(lens) / sizeof(lens[0]) * 4; i++) {
        how.len = lens[i / 4];
        how.step = i % 2 == 0 ? 1 : -1;
        how.writes = i / 2 % 2 == 0;
        CU_ASSERT_EQUAL(in_child(stray, &how), 128 + SIGSEGV);
    }
}

/* A large secret ends a canary away from the guard page. */
static int
just_behind(void *context)
{
    SECRET *secret = zeroed(5000);

    (void)context;
    *(volatile uint8_t *)(secret_data(secret) + 5000 + BEHIND) = 1;
    return (0);
}

static void
guard_is_near(void)
{
    CU_ASSERT_EQUAL(in_child(just_behind, NULL), 128 + SIGSEGV);
}

/* Damage is counted for the whole process: count in a child. */
static int
overrun(void *context)
{
    static const size_t lens[] = {1, 32, 63, 64, 65, 5000};
    SECRET *secret;
    unsigned i, expected = 0;

    (void)context;
    for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        secret = zeroed(lens[i]);
        secret_data(secret)[lens[i]] ^= 1;
        secret_free(secret);
        if (secret_damage() != ++expected)
            return (1);
        secret = zeroed(lens[i]);
        secret_free(secret);
        if (secret_damage() != expected)
            return (2);
    }
    return (0);
}

static void
canaries(void)
{
    CU_ASSERT_EQUAL(in_child(overrun, NULL), 0);
    CU_ASSERT_EQUAL(secret_damage(), 0);
}

/* The flags of the mapping that an address is in, as /proc tells them: " rd wr mr ... lo dd ". */
static void
mapping_flags(const void *address, char *flags, size_t size)
{
    FILE *fp = fopen("/proc/self/smaps", "r");
    char line[512];
    unsigned long start, end;
    bool here = false;

    flags[0] = '\0';
    CU_ASSERT_PTR_NOT_NULL_FATAL(fp);
    while (fgets(line, sizeof(line), fp) != NULL)
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            here = (uintptr_t)address >= start && (uintptr_t)address < end;
        else if (here && strncmp(line, "VmFlags:", 8) == 0)
            (void)snprintf(flags, size, "%s", line + 8);
    (void)fclose(fp);
}

static unsigned
count_mappings(void)
{
    FILE *fp = fopen("/proc/self/maps", "r");
    char line[512];
    unsigned count = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fp);
    while (fgets(line, sizeof(line), fp) != NULL)
        count++;
    (void)fclose(fp);
    return (count);
}

/* A value of /proc/self/status in KiB. */
static long
status_value(const char *name)
{
    FILE *fp = fopen("/proc/self/status", "r");
    char line[512];
    long value = -1;

    CU_ASSERT_PTR_NOT_NULL_FATAL(fp);
    while (fgets(line, sizeof(line), fp) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            (void)sscanf(line + strlen(name), ": %ld", &value);
    (void)fclose(fp);
    return (value);
}

static void
locked_and_undumpable(void)
{
    static const size_t lens[] = {32, 5000};
    SECRET *secret;
    char flags[512];
    long before;
    size_t i;

    for (i = 0; i < 2; i++) {
        before = status_value("VmLck");
        secret = zeroed(lens[i]);
        mapping_flags(secret_bytes(secret), flags, sizeof(flags));
        CU_ASSERT_PTR_NOT_NULL(strstr(flags, " dd"));
        /* Without the right to lock memory (a container may be so) there is a reason instead. */
        if (secret_unlocked_reason() == 0 && !UNDER_SANITIZER) {
            CU_ASSERT_PTR_NOT_NULL(strstr(flags, " lo"));
            CU_ASSERT_TRUE(status_value("VmLck") >= before);
            CU_ASSERT_TRUE(status_value("VmLck") >= (long)(lens[i] + 1023) / 1024);
        }
        secret_free(secret);
    }
}

static int
lock_refused(void *context)
{
    SECRET *a, *b;

    (void)context;
    if (secret_unlocked_reason() != 0)
        return (0);
    fault_mlock = EPERM;
    a = zeroed(5000);
    if (secret_unlocked_reason() != EPERM)
        return (1);
    /* The first reason stays. */
    fault_mlock = ENOMEM;
    b = zeroed(5000);
    fault_mlock = 0;
    if (secret_unlocked_reason() != EPERM)
        return (2);
    secret_data(a)[0] = secret_data(b)[0] = 1;
    secret_free(a);
    secret_free(b);
    return (0);
}

static void
not_lockable(void)
{
    CU_ASSERT_EQUAL(in_child(lock_refused, NULL), 0);
}

static void
wiped(void)
{
    SECRET *stays = test_secret("this one keeps the region mapped", 32);
    SECRET *secret = test_secret("0123456789abcdef0123456789abcdef", 32);
    const uint8_t *where = secret_bytes(secret);
    uint8_t plain[16];

    secret_free(secret);
    CU_ASSERT_TRUE(is_zero(where, 64));
    secret_free(stays);

    memset(plain, 1, sizeof(plain));
    secret_wipe(plain, sizeof(plain));
    CU_ASSERT_TRUE(is_zero(plain, sizeof(plain)));
}

#define MANY 10000
static SECRET *many[MANY];

/* Ten thousand keys of 32 bytes: less than 2 MiB in all, few mappings, and all of it given back. */
static void
many_small(void)
{
    struct mallinfo2 before = mallinfo2(), after;
    unsigned maps_before, maps_full;
    long size_before, size_full;
    unsigned i, round;

    size_before = status_value("VmSize");
    maps_before = count_mappings();
    for (i = 0; i < MANY; i++) {
        many[i] = zeroed(32);
        memcpy(secret_data(many[i]), &i, sizeof(i));
    }
    after = mallinfo2();
    size_full = status_value("VmSize");
    maps_full = count_mappings();
    CU_ASSERT_TRUE(maps_full - maps_before < 100);
    CU_ASSERT_TRUE(size_full - size_before < 2048);
    CU_ASSERT_TRUE(after.uordblks + after.hblkhd - before.uordblks - before.hblkhd < 512 * 1024);

    /* Freed in a wild order and taken again, none is given out twice. */
    for (round = 0; round < 3; round++) {
        for (i = 0; i < MANY; i++)
            if (i * 2654435761U % 3 == round) {
                secret_free(many[i]);
                many[i] = NULL;
            }
        for (i = 0; i < MANY; i++)
            if (many[i] == NULL) {
                many[i] = zeroed(32);
                CU_ASSERT_TRUE(is_zero(secret_bytes(many[i]), 64));
                memcpy(secret_data(many[i]), &i, sizeof(i));
            }
    }
    for (i = 0; i < MANY; i++)
        CU_ASSERT_EQUAL(memcmp(secret_bytes(many[i]), &i, sizeof(i)), 0);
    for (i = 0; i < MANY; i++)
        secret_free(many[i]);
    CU_ASSERT_TRUE(count_mappings() <= maps_before + 5 || UNDER_SANITIZER);
    CU_ASSERT_EQUAL(secret_damage(), 0);
}

const TEST tests_secret[] = {{"life of a secret", life}, {"random", random_secrets},
  {"truncate", truncated}, {"guard pages at both ends", guards},
  {"the guard page is near", guard_is_near}, {"canary", canaries},
  {"locked, not dumped", locked_and_undumpable}, {"lock refused", not_lockable}, {"wiped", wiped},
  {"ten thousand", many_small}, {NULL, NULL}};
