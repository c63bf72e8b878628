/*
 * test/fuzz/fuzz_unit.c -- libFuzzer: bytes as an encrypted unit, and changed units.
 *
 * The first byte picks what is done with the rest:
 *   even  the rest is a unit as it came from a disk; the seeds were made under this key
 *   odd   the rest is a plaintext, behind three bytes that say what to change in its unit
 *
 * Beside what the sanitizers see: what does not authenticate leaves a zeroed buffer and a status of
 * one of two classes, what does was made here, and nothing is written past its length.
 */
#include "crypto/unit_cipher.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define KEY_ID 1
#define GUARD 0xc5

static UNIT_KEY *key;
static UNIT_CIPHER *cipher;

static void
require(int truth)
{
    if (!truth)
        abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
    STATUS status;
    SECRET *secret;

    (void)argc;
    (void)argv;
    require(secret_new_copy("the key of the fuzzer and seeds.", 32, &secret, &status) == 0);
    require(unit_cipher_library_open(&status) == 0);
    require(unit_key_new(KEY_ID, secret, &key, &status) == 0);
    require(unit_cipher_new(key, &cipher, &status) == 0);
    secret_free(secret);
    return (0);
}

/* Exactly as long as it says, so that a read beyond is seen. */
static uint8_t *
exact(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size == 0 ? 1 : size);

    require(copy != NULL);
    if (size > 0)
        memcpy(copy, data, size);
    return (copy);
}

/*
 * decrypt --
 *     Returns what unit_decrypt did, and checks what it promises; the plaintext goes to *plainp.
 */
static int
decrypt(const uint8_t *unit, size_t size, uint8_t **plainp)
{
    STATUS status;
    UNIT_HEADER header;
    size_t room = size < UNIT_OVERHEAD ? 0 : size - UNIT_OVERHEAD, len, i;
    uint8_t *plain = malloc(room + 1);
    int parsed, ret;

    require(plain != NULL);
    memset(plain, GUARD, room + 1);
    status_clear(&status);
    parsed = unit_parse(unit, size, &header, &status);
    require(parsed == 0 || parsed == STATUS_BAD_UNIT || parsed == STATUS_NO_KEY);
    ret = unit_decrypt(key, unit, size, plain, room, &len, &status);
    require(ret == 0 || ret == (int)status.status_class);
    require(ret == 0 ? len == room : len == 0);
    require(plain[room] == GUARD);
    if (parsed != 0)
        require(ret == parsed);
    else if (header.data_key_id != KEY_ID)
        require(ret == STATUS_NO_KEY);
    else
        require(ret == 0 || ret == STATUS_BAD_UNIT);
    if (ret == STATUS_BAD_UNIT && parsed == 0)
        for (i = 0; i < room; i++)
            require(plain[i] == 0);
    *plainp = plain;
    return (ret);
}

static void
as_unit(const uint8_t *data, size_t size)
{
    uint8_t *unit = exact(data, size), *plain;

    (void)decrypt(unit, size, &plain);
    free(plain);
    free(unit);
}

static void
changed_unit(const uint8_t *change, const uint8_t *data, size_t size)
{
    STATUS status;
    uint8_t *src = exact(data, size), *unit = malloc(size + UNIT_OVERHEAD), *plain;
    size_t len, at;
    int ret;

    require(unit != NULL);
    require(unit_encrypt(cipher, src, size, unit, size + UNIT_OVERHEAD, &len, &status) == 0);
    require(len == size + UNIT_OVERHEAD);
    at = ((size_t)change[0] << 8 | change[1]) % len;
    unit[at] ^= change[2];
    ret = decrypt(unit, len, &plain);
    if (change[2] == 0 || (at >= 12 && at < 16))
        require(ret == 0 && memcmp(src, plain, size) == 0);
    else
        require(ret != 0);
    free(plain);
    free(unit);
    free(src);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return (0);
    if (data[0] % 2 == 0)
        as_unit(data + 1, size - 1);
    else if (size >= 4)
        changed_unit(data + 1, data + 4, size - 4);
    return (0);
}
