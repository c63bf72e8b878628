/*
 * test/crypto/test_memory.c -- Where in the process a data key can be found.
 *
 * A core dump, a swapped page, a debugger: what they see is what /proc/self/mem shows, less the
 * mappings that are marked as not to be dumped. The key is known here only behind a mask.
 */
#include "test/crypto/test_crypto.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Under ThreadSanitizer the process is mostly shadow memory: there is no end to reading it. */
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN true
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN false
#endif

#define KEY_LEN 32
#define MASK 0x5a
#define CHUNK (1024 * 1024)

static uint8_t masked[KEY_LEN];
static uint8_t chunk[CHUNK + KEY_LEN];

static bool
is_key(const uint8_t *p)
{
    size_t i;

    for (i = 0; i < KEY_LEN; i++)
        if ((p[i] ^ MASK) != masked[i])
            return (false);
    return (true);
}

/* How often the key is in a range; a piece of it at a chunk's end is seen with the next one. */
static unsigned
count_in(int fd, unsigned long start, unsigned long end)
{
    unsigned hits = 0;
    ssize_t n;
    size_t have, i, kept = 0;

    for (; start < end; start += CHUNK) {
        n = pread(fd, chunk + kept, end - start < CHUNK ? end - start : CHUNK, (off_t)start);
        if (n <= 0)
            break;
        have = kept + (size_t)n;
        for (i = 0; i + KEY_LEN <= have; i++)
            hits += is_key(chunk + i);
        kept = have < KEY_LEN - 1 ? have : KEY_LEN - 1;
        memmove(chunk, chunk + have - kept, kept);
    }
    memset(chunk, 0, sizeof(chunk));
    return (hits);
}

/* How often the key is in memory that a core would have, and in memory that it would not. */
static void
count_keys(unsigned *dumpedp, unsigned *hiddenp)
{
    FILE *fp = fopen("/proc/self/smaps", "r");
    int fd = open("/proc/self/mem", O_RDONLY);
    char line[512], permissions[8];
    unsigned long start = 0, end = 0, from, to;
    bool readable = false;
    unsigned hits;

    *dumpedp = *hiddenp = 0;
    CU_ASSERT_TRUE_FATAL(fp != NULL && fd >= 0);
    while (fgets(line, sizeof(line), fp) != NULL)
        if (sscanf(line, "%lx-%lx %7s", &from, &to, permissions) == 3) {
            start = from;
            end = to;
            readable = permissions[0] == 'r' && permissions[1] == 'w';
            /* This test's own window does not count, and shadow memory has no contents. */
            if ((uintptr_t)chunk >= start && (uintptr_t)chunk < end)
                readable = false;
            if (end - start > 256 * 1024 * 1024)
                readable = false;
        } else if (readable && strncmp(line, "VmFlags:", 8) == 0) {
            hits = count_in(fd, start, end);
            if (strstr(line, " dd") != NULL)
                *hiddenp += hits;
            else
                *dumpedp += hits;
        }
    (void)fclose(fp);
    (void)close(fd);
}

static void
where_keys_are(void)
{
    static uint8_t src[100], unit[100 + UNIT_OVERHEAD], back[100];
    STATUS status;
    SECRET *secret;
    UNIT_KEY *key;
    UNIT_CIPHER *cipher;
    size_t n;
    unsigned dumped, hidden, i;

    if (UNDER_TSAN)
        return;
    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(KEY_LEN, &secret, &status), 0);
    for (i = 0; i < KEY_LEN; i++)
        masked[i] = secret_bytes(secret)[i] ^ MASK;
    count_keys(&dumped, &hidden);
    CU_ASSERT_EQUAL(dumped, 0);
    CU_ASSERT_EQUAL(hidden, 1);

    /* In use: the secret, its prepared copy, and the key schedule in one context of OpenSSL's. */
    CU_ASSERT_EQUAL_FATAL(unit_key_new(1, secret, &key, &status), 0);
    CU_ASSERT_EQUAL_FATAL(unit_cipher_new(key, &cipher, &status), 0);
    CU_ASSERT_EQUAL(unit_encrypt(cipher, src, 100, unit, sizeof(unit), &n, &status), 0);
    CU_ASSERT_EQUAL(unit_decrypt(key, unit, n, back, 100, &n, &status), 0);
    count_keys(&dumped, &hidden);
    CU_ASSERT_EQUAL(dumped, 1);
    CU_ASSERT_EQUAL(hidden, 2);

    /* A key that is removed is gone, also while the library stays open. */
    unit_cipher_free(cipher);
    unit_key_free(key);
    count_keys(&dumped, &hidden);
    CU_ASSERT_EQUAL(dumped, 0);
    CU_ASSERT_EQUAL(hidden, 1);
    secret_free(secret);
    count_keys(&dumped, &hidden);
    CU_ASSERT_EQUAL(dumped + hidden, 0);
    unit_cipher_library_close();
}

/* The last close takes the key away even if its UNIT_KEY lives longer. */
static void
closed(void)
{
    STATUS status;
    SECRET *secret;
    UNIT_KEY *key;
    unsigned dumped, hidden, i;

    if (UNDER_TSAN)
        return;
    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(KEY_LEN, &secret, &status), 0);
    for (i = 0; i < KEY_LEN; i++)
        masked[i] = secret_bytes(secret)[i] ^ MASK;
    CU_ASSERT_EQUAL_FATAL(unit_key_new(1, secret, &key, &status), 0);
    unit_cipher_library_close();
    count_keys(&dumped, &hidden);
    CU_ASSERT_EQUAL(dumped, 0);
    CU_ASSERT_EQUAL(hidden, 2);
    unit_key_free(key);
    secret_free(secret);
}

const TEST tests_memory[] = {
  {"where keys are", where_keys_are}, {"after the last close", closed}, {NULL, NULL}};
