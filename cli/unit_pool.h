/*
 * cli/unit_pool.h -- Threads that authenticate units while one other reads the files.
 *
 * Layer: cli. Memory is bounded by UNIT_POOL_BYTES of units that wait, one at least, and one plaintext
 * a thread, which is wiped. Reading and checksums stay with the submitter: they are faster than
 * most disks, and decryption is what takes processors.
 */
#ifndef WTKMS_CLI_UNIT_POOL_H
#define WTKMS_CLI_UNIT_POOL_H

#include "common/status.h"
#include "crypto/unit_cipher.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT_POOL_BYTES ((size_t)32 * 1024 * 1024)

typedef struct unit_pool UNIT_POOL;

/* Where a unit stands: the submitter's business, handed back when it fails. */
typedef struct {
    size_t file;
    uint64_t offset;
    int kind;
} UNIT_POOL_PLACE;

/*
 * unit_pool_start -- Start threads. failed is called by any of them, one call at a time, for a unit that does
 *     not authenticate. The caller calls unit_pool_finish. STATUS_IO, STATUS_NO_MEMORY.
 */
int unit_pool_start(unsigned threads,
  void (*failed)(void *context, const UNIT_POOL_PLACE *place, const STATUS *status), void *context,
  UNIT_POOL **poolp, STATUS *status) WTKMS_CHECKED;

/* unit_pool_submit -- Copy a unit into the queue, waiting for room. key must outlive the pool. */
void unit_pool_submit(UNIT_POOL *pool, const UNIT_KEY *key, const uint8_t *unit, size_t len,
  const UNIT_POOL_PLACE *place);

/* unit_pool_drain -- Wait until all submitted units are done. */
void unit_pool_drain(UNIT_POOL *pool);

/* unit_pool_finish -- Drain, end the threads, free. NULL is allowed. */
void unit_pool_finish(UNIT_POOL *pool);

#endif
