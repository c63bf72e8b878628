/*
 * crypto/unit.h -- The encrypted unit: the form of a page or a log record on disk.
 *
 * Layer: crypto. Pure: no keys, no I/O. Described for other readers in doc/unit-format.md.
 *
 *      0  2  magic 'W' 'K'
 *      2  1  format version, 1
 *      3  1  cipher, 1 = XAES-256-GCM
 *      4  8  data key id, little-endian
 *     12  4  balance, outside the additional data: 0 as written, see re-encryption
 *     16 24  nonce
 *     40  n  ciphertext, as long as the plaintext
 *   40+n 16  tag
 */
#ifndef WTKMS_CRYPTO_UNIT_H
#define WTKMS_CRYPTO_UNIT_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT_HEADER_LEN 40
#define UNIT_TAG_LEN 16
#define UNIT_OVERHEAD (UNIT_HEADER_LEN + UNIT_TAG_LEN)
#define UNIT_AAD_LEN 12
#define UNIT_NONCE_OFFSET 16
#define UNIT_NONCE_LEN 24
#define UNIT_FORMAT 1
#define UNIT_CIPHER_XAES_256_GCM 1

typedef struct {
    uint8_t format;
    uint8_t cipher;
    uint64_t data_key_id;
    uint32_t balance;
} UNIT_HEADER;

/*
 * unit_parse -- Check magic, version, cipher and length of a unit and read its header. Anything
 *     under UNIT_OVERHEAD or over UINT32_MAX bytes is refused: STATUS_BAD_UNIT. A unit with our magic
 *     and a format or cipher that this version does not know is STATUS_NO_KEY, so that salvage by an
 *     older version stops instead of throwing the block away.
 */
int unit_parse(const uint8_t *unit, size_t len, UNIT_HEADER *headerp, STATUS *status) WTKMS_CHECKED;

/* unit_header_write -- Write the first 16 bytes, balance 0; unit holds UNIT_HEADER_LEN bytes. */
void unit_header_write(uint8_t *unit, uint64_t data_key_id);

#endif
