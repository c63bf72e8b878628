/*
 * crypto/slot_pool.h -- A striped pool: every thread finds a slot that no other thread is using.
 *
 * Layer: crypto, for its own files only. Knows nothing of what is in a slot but its first member.
 *
 * A slot is taken by an atomic exchange and given back by a store; there is no lock, and nothing
 * that belongs to a thread, so threads may end at any time. The pool grows when every slot is in
 * use: it has as many slots as threads ever worked in it at once, SLOT_POOL_MAX at most; with more
 * threads than that at work, the surplus ones yield the processor until one is free.
 *
 * Fork: what marks a slot as taken is the fork cookie of the process. A slot that a thread of the
 * parent was using when it forked would stay taken for ever in the child; there its mark is not the
 * child's cookie, so it is replaced by a new slot and left alone (its contents may be half changed).
 */
#ifndef WTKMS_CRYPTO_SLOT_POOL_H
#define WTKMS_CRYPTO_SLOT_POOL_H

#include "common/status.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLOT_POOL_MAX 64
#define SLOT_ALIGN 64 /* a cache line: neighbours must not share one */

/* The first member of what is in a pool. */
typedef struct {
    _Atomic(uint64_t) taken; /* 0, or the fork cookie of who has it */
} SLOT;

typedef struct {
    size_t size;                              /* of a slot, zeroed before start is called */
    int (*start)(SLOT *slot, STATUS *status); /* fill a new slot */
    void (*stop)(SLOT *slot);                 /* release what is in it, also half filled */
} SLOT_KIND;

typedef struct {
    const SLOT_KIND *kind;
    atomic_uint count;
    _Atomic(SLOT *) slots[SLOT_POOL_MAX];
} SLOT_POOL;

/* slot_pool_take -- A slot for the calling thread alone, or NULL and the status: STATUS_NO_MEMORY
 * or what start said, and only when a new slot was needed. */
SLOT *slot_pool_take(SLOT_POOL *pool, uint64_t cookie, STATUS *status);

/* slot_pool_give -- Give it back. */
static inline void
slot_pool_give(SLOT *slot)
{
    atomic_store_explicit(&slot->taken, 0, memory_order_release);
}

/* slot_try -- Take this slot if it is free. */
static inline bool
slot_try(SLOT *slot, uint64_t cookie)
{
    uint64_t none = 0;

    /* Looking first keeps the cache line shared while someone else works in it. */
    return (atomic_load_explicit(&slot->taken, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_strong_explicit(
              &slot->taken, &none, cookie, memory_order_acquire, memory_order_relaxed));
}

/* slot_pool_clear -- Release all slots; nobody may be using one. */
void slot_pool_clear(SLOT_POOL *pool);

#endif
