/*
 * common/crc32c.c -- CRC32C by ISA-L. See crc32c.h.
 */
#include "common/crc32c.h"

#include <isa-l/crc.h>

#define PART ((size_t)1 << 30) /* ISA-L's length is an int */

uint32_t
crc32c(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    size_t n;

    /* ISA-L inverts neither the value it starts from nor the one it ends with. */
    for (crc = ~crc; len > 0; p += n, len -= n) {
        n = len < PART ? len : PART;
        /* It reads only: the missing const is an oversight of its header. */
        crc = crc32_iscsi((unsigned char *)(uintptr_t)p, (int)n, crc);
    }
    return (~crc);
}
