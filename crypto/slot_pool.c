/*
 * crypto/slot_pool.c -- The striped pool. See slot_pool.h.
 */
#include "crypto/slot_pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define NO_HINT UINT32_MAX

/*
 * Where this thread looks first, in any pool. Threads that met in a slot part ways here, and then
 * do not meet again. A number alone: nothing is left to clean up when the thread ends.
 */
static _Thread_local unsigned hint = NO_HINT;

static unsigned
first_hint(void)
{
    uint64_t self = (uint64_t)pthread_self();

    /* Thread descriptors lie a stack apart: mix the high bits in (the multiplier of Fibonacci
     * hashing). */
    return ((unsigned)(self * UINT64_C(0x9e3779b97f4a7c15) >> 58));
}

static void
slot_free(const SLOT_KIND *kind, SLOT *slot)
{
    if (slot == NULL)
        return;
    kind->stop(slot);
    free(slot);
}

static SLOT *
slot_new(const SLOT_KIND *kind, uint64_t cookie, STATUS *status)
{
    SLOT *slot;
    size_t size = (kind->size + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN;

    if ((slot = aligned_alloc(SLOT_ALIGN, size)) == NULL) {
        status_set(status, STATUS_NO_MEMORY, "memory", "a slot for cipher contexts");
        return (NULL);
    }
    memset(slot, 0, size);
    if (kind->start(slot, status) != 0) {
        slot_free(kind, slot);
        return (NULL);
    }
    atomic_store_explicit(&slot->taken, cookie, memory_order_relaxed);
    return (slot);
}

/*
 * replace --
 *     Put a new slot where one of a parent's thread is. *failedp when there is no memory for it; NULL
 *     without that when another thread was faster.
 */
static SLOT *
replace(SLOT_POOL *pool, unsigned i, SLOT *old, uint64_t cookie, bool *failedp, STATUS *status)
{
    SLOT *slot;

    if ((slot = slot_new(pool->kind, cookie, status)) == NULL) {
        *failedp = true;
        return (NULL);
    }
    if (!atomic_compare_exchange_strong(&pool->slots[i], &old, slot)) {
        slot_free(pool->kind, slot);
        return (NULL);
    }
    return (slot);
}

static SLOT *
grow(SLOT_POOL *pool, unsigned count, uint64_t cookie, bool *failedp, STATUS *status)
{
    SLOT *slot, *none;
    unsigned expected;
    bool placed = false;

    if ((slot = slot_new(pool->kind, cookie, status)) == NULL) {
        *failedp = true;
        return (NULL);
    }
    for (; !placed && count < SLOT_POOL_MAX; count++) {
        none = NULL;
        placed = atomic_compare_exchange_strong(&pool->slots[count], &none, slot);
        /* Whoever placed a slot there, it counts now. */
        expected = count;
        (void)atomic_compare_exchange_strong(&pool->count, &expected, count + 1);
        if (placed)
            hint = count;
    }
    if (placed)
        return (slot);
    slot_free(pool->kind, slot);
    return (NULL);
}

SLOT *
slot_pool_take(SLOT_POOL *pool, uint64_t cookie, STATUS *status)
{
    SLOT *slot;
    uint64_t taken;
    unsigned count, i, n;
    bool failed = false;

    if (hint == NO_HINT)
        hint = first_hint();
    for (;;) {
        count = atomic_load_explicit(&pool->count, memory_order_acquire);
        for (i = hint < count || count == 0 ? hint : hint % count, n = 0; n < count; n++) {
            slot = atomic_load_explicit(&pool->slots[i], memory_order_acquire);
            if (slot_try(slot, cookie)) {
                if (n > 0)
                    hint = i;
                return (slot);
            }
            taken = atomic_load_explicit(&slot->taken, memory_order_relaxed);
            if (taken != 0 && taken != cookie &&
                ((slot = replace(pool, i, slot, cookie, &failed, status)) != NULL || failed))
                return (slot);
            i = i + 1 < count ? i + 1 : 0;
        }
        if (count == SLOT_POOL_MAX)
            (void)sched_yield();
        else if ((slot = grow(pool, count, cookie, &failed, status)) != NULL || failed)
            return (slot);
    }
}

void
slot_pool_clear(SLOT_POOL *pool)
{
    unsigned i;

    for (i = 0; i < SLOT_POOL_MAX; i++)
        slot_free(pool->kind, atomic_exchange(&pool->slots[i], NULL));
    atomic_store(&pool->count, 0);
}
