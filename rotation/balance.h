/*
 * rotation/balance.h -- The bytes that keep a checksum what it was.
 *
 * Layer: rotation. Pure and thread-safe. A block's CRC32C stands in its parent page, in the
 * checkpoint and in extent lists too, so a rewritten block must have the one it had. CRC32C without
 * its constants is a linear map over GF(2): of four bytes that may take any value there is exactly
 * one choice (doc/unit-format.md, "Balance"). Where those bytes are written as eight hexadecimal digits
 * the map is not linear in them; about two of three times there is a choice.
 */
#ifndef WTKMS_ROTATION_BALANCE_H
#define WTKMS_ROTATION_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BALANCE_LEN 4
#define BALANCE_DIGITS 8

/*
 * balance_checksum -- CRC32C of span bytes, the four at hole counting as zero: how the engine sums a
 *     block or a record. hole + 4 is at most span.
 */
uint32_t balance_checksum(const uint8_t *image, size_t span, size_t hole);

/*
 * balance_bytes -- Write the four bytes at offset at so that balance_checksum is wanted. They do not
 *     overlap the hole, and at + BALANCE_LEN is at most span. Always succeeds.
 */
void balance_bytes(uint8_t *image, size_t span, size_t hole, size_t at, uint32_t wanted);

/*
 * balance_digits -- The same with eight digits 0-9a-f at offset at. False: there is no solution; the
 *     digits are then '0'. Takes about a millisecond.
 */
bool balance_digits(uint8_t *image, size_t span, size_t hole, size_t at, uint32_t wanted);

#endif
