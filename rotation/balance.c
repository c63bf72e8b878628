/*
 * rotation/balance.c -- Solving CRC32C. See balance.h.
 *
 * The register of a reflected CRC is a vector of 32 bits, and passing over a zero byte is a linear map
 * of it. A difference of two checksums is therefore carried back over the bytes behind the balance by
 * the inverse map: what it is there is what the balance has to add. The inverse for any number
 * of bytes is made of those for powers of two.
 */
#include "rotation/balance.h"

#include "common/crc32c.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u
#define POWERS 64  /* of a size_t */
#define HALF 65536 /* combinations of four digits */

static const char digit_text[16] = "0123456789abcdef";

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t back[POWERS][32];          /* back over 2^k bytes, of each bit */
static uint32_t digit[BALANCE_DIGITS][16]; /* what a digit adds, at the end of the eight */
static uint64_t first_half[HALF]; /* what digits 0 to 3 add << 16 | which they are, sorted */

static uint32_t
apply(const uint32_t map[32], uint32_t vector)
{
    uint32_t result;
    unsigned i;

    for (result = 0, i = 0; vector != 0; vector >>= 1, i++)
        if ((vector & 1) != 0)
            result ^= map[i];
    return (result);
}

static uint32_t
forward_byte(uint32_t vector)
{
    unsigned i;

    for (i = 0; i < 8; i++)
        vector = (vector & 1) != 0 ? vector >> 1 ^ POLYNOMIAL : vector >> 1;
    return (vector);
}

/* The highest bit of the polynomial is set and that of a shifted register is not: that tells. */
static uint32_t
back_byte(uint32_t vector)
{
    unsigned i;

    for (i = 0; i < 8; i++)
        vector = (vector & 0x80000000u) != 0 ? (vector ^ POLYNOMIAL) << 1 | 1 : vector << 1;
    return (vector);
}

static uint32_t
back_bytes(uint32_t vector, size_t count)
{
    unsigned k;

    for (k = 0; count != 0; count >>= 1, k++)
        if ((count & 1) != 0)
            vector = apply(back[k], vector);
    return (vector);
}

static int
compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x < y ? -1 : x > y);
}

/* What four digits from place first on add; which is 16 bits, the first digit the highest. */
static uint32_t
four_digits(unsigned first, unsigned which)
{
    return (digit[first][which >> 12] ^ digit[first + 1][which >> 8 & 15] ^
            digit[first + 2][which >> 4 & 15] ^ digit[first + 3][which & 15]);
}

static void
make_tables(void)
{
    uint32_t vector;
    unsigned i, k, place, value;

    for (i = 0; i < 32; i++)
        back[0][i] = back_byte(1u << i);
    for (k = 1; k < POWERS; k++)
        for (i = 0; i < 32; i++)
            back[k][i] = apply(back[k - 1], back[k - 1][i]);
    for (place = 0; place < BALANCE_DIGITS; place++)
        for (value = 0; value < 16; value++) {
            vector = (uint8_t)(digit_text[value] ^ '0');
            for (i = place; i < BALANCE_DIGITS; i++)
                vector = forward_byte(vector);
            digit[place][value] = vector;
        }
    for (i = 0; i < HALF; i++)
        first_half[i] = (uint64_t)four_digits(0, i) << 16 | i;
    qsort(first_half, HALF, sizeof(first_half[0]), compare);
}

uint32_t
balance_checksum(const uint8_t *image, size_t span, size_t hole)
{
    static const uint8_t zero[4];
    uint32_t crc;

    crc = crc32c(0, image, hole);
    crc = crc32c(crc, zero, sizeof(zero));
    return (crc32c(crc, image + hole + sizeof(zero), span - hole - sizeof(zero)));
}

void
balance_bytes(uint8_t *image, size_t span, size_t hole, size_t at, uint32_t wanted)
{
    uint32_t missing;
    unsigned i;

    (void)pthread_once(&once, make_tables);
    memset(image + at, 0, BALANCE_LEN);
    missing = back_bytes(balance_checksum(image, span, hole) ^ wanted, span - at);
    for (i = 0; i < BALANCE_LEN; i++)
        image[at + i] = (uint8_t)(missing >> (8 * i));
}

static bool
find_first_half(uint32_t sum, unsigned *whichp)
{
    size_t high, low, middle;

    for (low = 0, high = HALF; low < high;) {
        middle = low + (high - low) / 2;
        if (first_half[middle] >> 16 < sum)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == HALF || first_half[low] >> 16 != sum)
        return (false);
    *whichp = first_half[low] & 0xffff;
    return (true);
}

bool
balance_digits(uint8_t *image, size_t span, size_t hole, size_t at, uint32_t wanted)
{
    uint32_t missing;
    unsigned first, i, second;

    (void)pthread_once(&once, make_tables);
    memset(image + at, '0', BALANCE_DIGITS);
    missing = back_bytes(balance_checksum(image, span, hole) ^ wanted, span - at - BALANCE_DIGITS);
    for (second = 0; second < HALF; second++)
        if (find_first_half(missing ^ four_digits(4, second), &first)) {
            for (i = 0; i < 4; i++) {
                image[at + i] = (uint8_t)digit_text[first >> (12 - 4 * i) & 15];
                image[at + 4 + i] = (uint8_t)digit_text[second >> (12 - 4 * i) & 15];
            }
            return (true);
        }
    return (false);
}
