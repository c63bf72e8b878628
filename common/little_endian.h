/*
 * common/little_endian.h -- Numbers in bytes, least significant first, at any address.
 *
 * Layer: common. Pure. The caller has checked that the bytes are there.
 */
#ifndef WTKMS_COMMON_LITTLE_ENDIAN_H
#define WTKMS_COMMON_LITTLE_ENDIAN_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* le_get16 -- Read 2 bytes. */
static inline uint16_t
le_get16(const uint8_t *p)
{
    uint16_t value;

    memcpy(&value, p, sizeof(value));
    return (le16toh(value));
}

/* le_get32 -- Read 4 bytes. */
static inline uint32_t
le_get32(const uint8_t *p)
{
    uint32_t value;

    memcpy(&value, p, sizeof(value));
    return (le32toh(value));
}

/* le_get64 -- Read 8 bytes. */
static inline uint64_t
le_get64(const uint8_t *p)
{
    uint64_t value;

    memcpy(&value, p, sizeof(value));
    return (le64toh(value));
}

/* le_put32 -- Write 4 bytes. */
static inline void
le_put32(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof(value));
}

/* le_put64 -- Write 8 bytes. */
static inline void
le_put64(uint8_t *p, uint64_t value)
{
    value = htole64(value);
    memcpy(p, &value, sizeof(value));
}

#endif
