/*
 * cli/unit_pool.h -- Threads that read files and authenticate the units in them.
 *
 * Layer: cli. A file is read by one thread; its units are authenticated by that one and by all that
 * have no file to read, so that many files and one large one alike keep every thread busy. Memory is
 * bounded by UNIT_POOL_BYTES of units that wait and one plaintext a thread, which is wiped.
 */
#ifndef WTKMS_CLI_UNIT_POOL_H
#define WTKMS_CLI_UNIT_POOL_H

#include "common/status.h"
#include "crypto/unit_cipher.h"

#include <stddef.h>
#include <stdint.h>

#define UNIT_POOL_BYTES ((size_t)16 * 1024 * 1024)

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

/* unit_pool_task -- Let a thread of the pool call run; waits while as many wait as there are threads. */
void unit_pool_task(UNIT_POOL *pool, void (*run)(void *arg), void *arg);

/* unit_pool_submit -- Copy a unit into the queue for a thread that reads no file; when there is none, or
 * no room, authenticate it here. key must outlive the pool. For tasks, and for others. */
void unit_pool_submit(UNIT_POOL *pool, const UNIT_KEY *key, const uint8_t *unit, size_t len,
  const UNIT_POOL_PLACE *place);

/* unit_pool_drain -- Wait until all tasks and units are done. Not for a task. */
void unit_pool_drain(UNIT_POOL *pool);

/* unit_pool_finish -- Drain, end the threads, free. NULL is allowed. */
void unit_pool_finish(UNIT_POOL *pool);

#endif
