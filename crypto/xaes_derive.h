/*
 * crypto/xaes_derive.h -- The arithmetic of XAES-256-GCM's sub-key, without a cipher.
 *
 * Layer: crypto, for xaes.c and unit_cipher.c. The names are the specification's
 * (c2sp.org/XAES-256-GCM): L is the encryption of a zero block under the key K, K1 the CMAC sub-key,
 * M1 and M2 the two blocks whose encryptions are the GCM key. Everything but L's block comes from
 * the key alone, so K1 is computed once a key. K1 is as secret as K.
 */
#ifndef WTKMS_CRYPTO_XAES_DERIVE_H
#define WTKMS_CRYPTO_XAES_DERIVE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define XAES_BLOCK_LEN 16
#define XAES_PREFIX_LEN 12 /* of the nonce: what the sub-key comes from */

/* xaes_derive_k1 -- K1 from L, a doubling in GF(2^128), without a branch on a secret. */
static inline void
xaes_derive_k1(const uint8_t l[XAES_BLOCK_LEN], uint8_t k1[XAES_BLOCK_LEN])
{
    size_t i;

    for (i = 0; i + 1 < XAES_BLOCK_LEN; i++)
        k1[i] = (uint8_t)(l[i] << 1 | l[i + 1] >> 7);
    k1[i] = (uint8_t)(l[i] << 1 ^ (0x87 & -(l[0] >> 7)));
}

/* xaes_derive_blocks -- M1 xor K1, then M2 xor K1: to be encrypted under K in ECB mode. */
static inline void
xaes_derive_blocks(const uint8_t k1[XAES_BLOCK_LEN], const uint8_t prefix[XAES_PREFIX_LEN],
  uint8_t blocks[2 * XAES_BLOCK_LEN])
{
    size_t i;

    memset(blocks, 0, 4);
    blocks[1] = 1;
    blocks[2] = 'X';
    memcpy(blocks + 4, prefix, XAES_PREFIX_LEN);
    memcpy(blocks + XAES_BLOCK_LEN, blocks, XAES_BLOCK_LEN);
    blocks[XAES_BLOCK_LEN + 1] = 2;
    for (i = 0; i < 2 * XAES_BLOCK_LEN; i++)
        blocks[i] ^= k1[i % XAES_BLOCK_LEN];
}

#endif
