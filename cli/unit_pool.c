/*
 * cli/unit_pool.c -- See unit_pool.h.
 */
#include "cli/unit_pool.h"

#include "cli/output.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct job JOB;
struct job {
    JOB *next;
    const UNIT_KEY *key;
    UNIT_POOL_PLACE place;
    size_t len;
    uint8_t unit[];
};

struct unit_pool {
    pthread_mutex_t lock;
    pthread_cond_t more; /* jobs, or the end */
    pthread_cond_t less; /* bytes or pending went down */
    JOB *first, *last;
    size_t bytes;   /* of jobs that wait or are worked on */
    size_t pending; /* jobs */
    bool ending;
    void (*failed)(void *context, const UNIT_POOL_PLACE *place, const STATUS *status);
    void *context;
    unsigned threads;
    pthread_t *ids;
};

/* A thread's buffer for plaintext: grows to the largest unit it meets. */
typedef struct {
    uint8_t *data;
    size_t len;
} PLAIN;

static void
run(UNIT_POOL *pool, JOB *job, PLAIN *plain)
{
    STATUS status;
    size_t len;

    if (plain->len < job->len) {
        if (plain->data != NULL)
            secret_wipe(plain->data, plain->len);
        free(plain->data);
        plain->data = output_allocate(job->len, 1);
        plain->len = job->len;
    }
    if (unit_decrypt(job->key, job->unit, job->len, plain->data, plain->len, &len, &status) == 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->failed(pool->context, &job->place, &status);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void *
work(void *arg)
{
    UNIT_POOL *pool = arg;
    JOB *job;
    PLAIN plain = {NULL, 0};

    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->ending)
            (void)pthread_cond_wait(&pool->more, &pool->lock);
        if ((job = pool->first) == NULL)
            break;
        if ((pool->first = job->next) == NULL)
            pool->last = NULL;
        (void)pthread_mutex_unlock(&pool->lock);
        run(pool, job, &plain);
        (void)pthread_mutex_lock(&pool->lock);
        pool->bytes -= job->len;
        pool->pending--;
        free(job);
        (void)pthread_cond_broadcast(&pool->less);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (plain.data != NULL)
        secret_wipe(plain.data, plain.len);
    free(plain.data);
    return (NULL);
}

int
unit_pool_start(unsigned threads,
  void (*failed)(void *context, const UNIT_POOL_PLACE *place, const STATUS *status), void *context,
  UNIT_POOL **poolp, STATUS *status)
{
    UNIT_POOL *pool;
    int error;

    *poolp = NULL;
    pool = output_allocate(1, sizeof(*pool));
    pool->ids = output_allocate(threads, sizeof(*pool->ids));
    pool->failed = failed;
    pool->context = context;
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->more, NULL);
    (void)pthread_cond_init(&pool->less, NULL);
    while (pool->threads < threads) {
        if ((error = pthread_create(&pool->ids[pool->threads], NULL, work, pool)) != 0) {
            unit_pool_finish(pool);
            return (status_set_errno(
              status, error, "threads", "starting thread %u of %u", pool->threads + 1, threads));
        }
        pool->threads++;
    }
    *poolp = pool;
    return (0);
}

void
unit_pool_submit(UNIT_POOL *pool, const UNIT_KEY *key, const uint8_t *unit, size_t len,
  const UNIT_POOL_PLACE *place)
{
    JOB *job;

    /* Room first, so that what waits and what is being copied stay within the bound together. */
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->pending != 0 && pool->bytes + len > UNIT_POOL_BYTES)
        (void)pthread_cond_wait(&pool->less, &pool->lock);
    pool->bytes += len;
    pool->pending++;
    (void)pthread_mutex_unlock(&pool->lock);

    job = output_allocate(1, sizeof(*job) + len);
    job->key = key;
    job->place = *place;
    job->len = len;
    memcpy(job->unit, unit, len);

    (void)pthread_mutex_lock(&pool->lock);
    if (pool->last == NULL)
        pool->first = job;
    else
        pool->last->next = job;
    pool->last = job;
    (void)pthread_cond_signal(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
}

void
unit_pool_drain(UNIT_POOL *pool)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->pending != 0)
        (void)pthread_cond_wait(&pool->less, &pool->lock);
    (void)pthread_mutex_unlock(&pool->lock);
}

void
unit_pool_finish(UNIT_POOL *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    while (pool->threads > 0)
        (void)pthread_join(pool->ids[--pool->threads], NULL);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_cond_destroy(&pool->less);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->ids);
    free(pool);
}
