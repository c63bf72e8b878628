/*
 * test/crypto/test_slot_pool.c -- The striped pool alone: growth, collisions, forks.
 *
 * What two threads do at one moment is played by one: a kind's start function, which the pool calls
 * while it makes a slot, takes slots itself.
 */
#include "test/crypto/test_crypto.h"

#include "crypto/fork_cookie.h"
#include "crypto/slot_pool.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    SLOT slot;
    unsigned number;
} ITEM;

static SLOT_POOL pool;
static unsigned started, stopped, nested;
static bool refuse;
static uint64_t nested_cookie;
static SLOT *nested_slots[SLOT_POOL_MAX + 1];

static int
start(SLOT *slot, STATUS *status)
{
    unsigned i, count = nested;

    nested = 0;
    ((ITEM *)slot)->number = ++started;
    for (i = 0; i < count; i++)
        CU_ASSERT_PTR_NOT_NULL(nested_slots[i] = slot_pool_take(&pool, nested_cookie, status));
    return (refuse ? status_set(status, STATUS_INTERNAL, "test", "refused") : 0);
}

static void
stop(SLOT *slot)
{
    CU_ASSERT_TRUE(((ITEM *)slot)->number > 0);
    stopped++;
}

static const SLOT_KIND kind = {sizeof(ITEM), start, stop};

static void
pool_open(void)
{
    memset(&pool, 0, sizeof(pool));
    pool.kind = &kind;
    started = stopped = nested = 0;
    refuse = false;
}

static void
pool_close(void)
{
    slot_pool_clear(&pool);
    CU_ASSERT_EQUAL(pool.count, 0);
    CU_ASSERT_EQUAL(started, stopped);
}

static void
grows(void)
{
    STATUS status;
    SLOT *slots[SLOT_POOL_MAX];
    unsigned i, k;

    pool_open();
    for (i = 0; i < 10; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(slots[0] = slot_pool_take(&pool, 7, &status));
        CU_ASSERT_EQUAL((uintptr_t)slots[0] % SLOT_ALIGN, 0);
        slot_pool_give(slots[0]);
    }
    CU_ASSERT_EQUAL(started, 1); /* one was enough */
    for (i = 0; i < SLOT_POOL_MAX; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(slots[i] = slot_pool_take(&pool, 7, &status));
        for (k = 0; k < i; k++)
            CU_ASSERT_PTR_NOT_EQUAL(slots[i], slots[k]);
    }
    CU_ASSERT_EQUAL(started, SLOT_POOL_MAX);
    CU_ASSERT_FALSE(slot_try(slots[5], 7));
    slot_pool_give(slots[5]);
    CU_ASSERT_PTR_EQUAL(slot_pool_take(&pool, 7, &status), slots[5]);
    for (i = 0; i < SLOT_POOL_MAX; i++)
        slot_pool_give(slots[i]);
    CU_ASSERT_EQUAL(started, SLOT_POOL_MAX);
    pool_close();
}

/* Others grow the pool while this thread is about to. */
static void
grown_meanwhile(void)
{
    STATUS status;
    SLOT *slot;

    pool_open();
    nested = 3;
    nested_cookie = 7;
    CU_ASSERT_PTR_NOT_NULL_FATAL(slot = slot_pool_take(&pool, 7, &status));
    CU_ASSERT_EQUAL(pool.count, 4);
    CU_ASSERT_PTR_EQUAL(pool.slots[3], slot);
    CU_ASSERT_EQUAL(((ITEM *)slot)->number, 1);
    pool_close();
}

/* Others fill it; one of theirs becomes free. */
static int
start_and_fill(SLOT *slot, STATUS *status)
{
    bool outer = nested == SLOT_POOL_MAX;
    int ret = start(slot, status);

    if (outer)
        slot_pool_give(nested_slots[9]);
    return (ret);
}

static void
filled_meanwhile(void)
{
    static const SLOT_KIND filling = {sizeof(ITEM), start_and_fill, stop};
    STATUS status;

    pool_open();
    pool.kind = &filling;
    nested = SLOT_POOL_MAX;
    nested_cookie = 7;
    CU_ASSERT_PTR_EQUAL(slot_pool_take(&pool, 7, &status), nested_slots[9]);
    CU_ASSERT_EQUAL(started, SLOT_POOL_MAX + 1);
    CU_ASSERT_EQUAL(stopped, 1); /* the one for which there was no place */
    pool_close();
}

static void
refused(void)
{
    STATUS status;
    SLOT *slot;

    pool_open();
    refuse = true;
    CU_ASSERT_PTR_NULL(slot_pool_take(&pool, 7, &status));
    CU_ASSERT_STRING_EQUAL(status.id, "test");
    CU_ASSERT_EQUAL(stopped, 1);
    CU_ASSERT_EQUAL(pool.count, 0);
    refuse = false;
    CU_ASSERT_PTR_NOT_NULL_FATAL(slot = slot_pool_take(&pool, 7, &status));

    /* The same in a child, for the place of a slot that a parent's thread had. */
    refuse = true;
    CU_ASSERT_PTR_NULL(slot_pool_take(&pool, 8, &status));
    CU_ASSERT_PTR_EQUAL(pool.slots[0], slot);
    fault_at(1);
    CU_ASSERT_PTR_NULL(slot_pool_take(&pool, 8, &status));
    CU_ASSERT_TRUE(fault_was_hit());
    CU_ASSERT_EQUAL(status.status_class, STATUS_NO_MEMORY);
    pool_close();
}

/* Cookie 7 is the parent's, 8 the child's. */
static void
forked(void)
{
    STATUS status;
    SLOT *theirs[2], *mine[2];
    unsigned i;

    pool_open();
    for (i = 0; i < 2; i++)
        CU_ASSERT_PTR_NOT_NULL_FATAL(theirs[i] = slot_pool_take(&pool, 7, &status));
    for (i = 0; i < 2; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(mine[i] = slot_pool_take(&pool, 8, &status));
        CU_ASSERT_TRUE(mine[i] != theirs[0] && mine[i] != theirs[1]);
    }
    CU_ASSERT_EQUAL(pool.count, 2);
    CU_ASSERT_EQUAL(started, 4);
    /* The parent's are left alone, as half changed as they may be. */
    for (i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(theirs[i]->taken, 7);
        stop(theirs[i]);
        free(theirs[i]);
        slot_pool_give(mine[i]);
    }
    CU_ASSERT_PTR_NOT_NULL(slot_pool_take(&pool, 8, &status));
    CU_ASSERT_EQUAL(started, 4);
    pool_close();
}

/* Another thread of the child replaces it first. */
static void
replaced_meanwhile(void)
{
    STATUS status;
    SLOT *theirs, *mine;

    pool_open();
    CU_ASSERT_PTR_NOT_NULL_FATAL(theirs = slot_pool_take(&pool, 7, &status));
    nested = 1;
    nested_cookie = 8;
    CU_ASSERT_PTR_NOT_NULL(mine = slot_pool_take(&pool, 8, &status));
    CU_ASSERT_PTR_EQUAL(pool.slots[0], nested_slots[0]);
    CU_ASSERT_PTR_EQUAL(pool.slots[1], mine);
    CU_ASSERT_EQUAL(stopped, 1); /* the one that came too late */
    stop(theirs);
    free(theirs);
    pool_close();
}

static void
cookie(void)
{
    STATUS status;
    uint64_t drawn;

    CU_ASSERT_EQUAL_FATAL(fork_cookie_open(&status), 0);
    CU_ASSERT_NOT_EQUAL(drawn = fork_cookie(&status), 0);
    CU_ASSERT_EQUAL(fork_cookie(&status), drawn);
    /* A thread that comes second in drawing takes the first one's. */
    CU_ASSERT_EQUAL(fork_cookie_draw(&status), drawn);
    fork_cookie_close();
    fork_cookie_close();
}

const TEST tests_slot_pool[] = {{"grows", grows}, {"grown meanwhile", grown_meanwhile},
  {"filled meanwhile", filled_meanwhile}, {"refused", refused}, {"forked", forked},
  {"replaced meanwhile", replaced_meanwhile}, {"fork cookie", cookie}, {NULL, NULL}};
