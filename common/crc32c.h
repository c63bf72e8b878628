/*
 * common/crc32c.h -- CRC32C (Castagnoli), the checksum of WiredTiger's blocks and log records, and of Google's requests.
 *
 * Layer: common. Pure and thread-safe. The engine's wiredtiger_crc32c_func gives the same values.
 */
#ifndef WTKMS_COMMON_CRC32C_H
#define WTKMS_COMMON_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * crc32c -- Continue a checksum over len more bytes; 0 starts one. crc32c(crc32c(0, a), b) is the
 *     checksum of a and b together.
 */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

#endif
