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

typedef struct {
    void (*run)(void *arg);
    void *arg;
} TASK;

struct unit_pool {
    pthread_mutex_t lock;
    pthread_cond_t more; /* jobs, tasks, or the end */
    pthread_cond_t less; /* something was done */
    JOB *first, *last;
    size_t bytes;   /* of jobs that wait or are worked on */
    size_t pending; /* jobs */
    TASK *tasks;    /* that wait: at most as many as threads */
    size_t task_count;
    unsigned running; /* tasks */
    bool ending;
    void (*failed)(void *context, const UNIT_POOL_PLACE *place, const STATUS *status);
    void *context;
    unsigned threads;
    pthread_t *ids;
};

/* A buffer for plaintext: grows to the largest unit it meets. */
typedef struct {
    uint8_t *data;
    size_t len;
} PLAIN;

/* Of a thread of a pool, for the units that a task of it submits. */
static __thread PLAIN *own_plain;

static void
release(PLAIN *plain)
{
    if (plain->data != NULL)
        secret_wipe(plain->data, plain->len);
    free(plain->data);
    plain->data = NULL;
    plain->len = 0;
}

static void
authenticate(UNIT_POOL *pool, const UNIT_KEY *key, const uint8_t *unit, size_t unit_len,
  const UNIT_POOL_PLACE *place, PLAIN *plain)
{
    STATUS status;
    size_t len;

    if (plain->len < unit_len) {
        release(plain);
        plain->data = output_allocate(unit_len, 1);
        plain->len = unit_len;
    }
    if (unit_decrypt(key, unit, unit_len, plain->data, plain->len, &len, &status) == 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->failed(pool->context, place, &status);
    (void)pthread_mutex_unlock(&pool->lock);
}

/* With the lock held, which is given up meanwhile. Units first: they hold memory. */
static void
run_job(UNIT_POOL *pool, PLAIN *plain)
{
    JOB *job = pool->first;

    if ((pool->first = job->next) == NULL)
        pool->last = NULL;
    (void)pthread_mutex_unlock(&pool->lock);
    authenticate(pool, job->key, job->unit, job->len, &job->place, plain);
    (void)pthread_mutex_lock(&pool->lock);
    pool->bytes -= job->len;
    pool->pending--;
    free(job);
}

static void
run_task(UNIT_POOL *pool)
{
    TASK task = pool->tasks[0];

    memmove(&pool->tasks[0], &pool->tasks[1], --pool->task_count * sizeof(task));
    pool->running++;
    /* The next one may be queued. */
    (void)pthread_cond_broadcast(&pool->less);
    (void)pthread_mutex_unlock(&pool->lock);
    task.run(task.arg);
    (void)pthread_mutex_lock(&pool->lock);
    pool->running--;
}

static void *
work(void *arg)
{
    UNIT_POOL *pool = arg;
    PLAIN plain = {NULL, 0};

    own_plain = &plain;
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        if (pool->first != NULL)
            run_job(pool, &plain);
        else if (pool->task_count != 0)
            run_task(pool);
        else if (pool->ending && pool->running == 0)
            break;
        else {
            (void)pthread_cond_wait(&pool->more, &pool->lock);
            continue;
        }
        (void)pthread_cond_broadcast(&pool->less);
        if (pool->ending)
            (void)pthread_cond_broadcast(&pool->more);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    release(&plain);
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
    pool->tasks = output_allocate(threads, sizeof(*pool->tasks));
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
unit_pool_task(UNIT_POOL *pool, void (*run)(void *arg), void *arg)
{
    (void)pthread_mutex_lock(&pool->lock);
    while (pool->task_count == pool->threads)
        (void)pthread_cond_wait(&pool->less, &pool->lock);
    pool->tasks[pool->task_count].run = run;
    pool->tasks[pool->task_count++].arg = arg;
    (void)pthread_cond_signal(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
}

void
unit_pool_submit(UNIT_POOL *pool, const UNIT_KEY *key, const uint8_t *unit, size_t len,
  const UNIT_POOL_PLACE *place)
{
    JOB *job;
    PLAIN plain = {NULL, 0};
    bool here;

    /* Room first, so that what waits and what is being copied stay within the bound together. */
    (void)pthread_mutex_lock(&pool->lock);
    here = pool->running == pool->threads || pool->bytes + len > UNIT_POOL_BYTES;
    if (!here) {
        pool->bytes += len;
        pool->pending++;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    if (here) {
        authenticate(pool, key, unit, len, place, own_plain == NULL ? &plain : own_plain);
        release(&plain);
        return;
    }

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
    while (pool->pending != 0 || pool->task_count != 0 || pool->running != 0)
        (void)pthread_cond_wait(&pool->less, &pool->lock);
    (void)pthread_mutex_unlock(&pool->lock);
}

void
unit_pool_finish(UNIT_POOL *pool)
{
    unsigned i;

    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    (void)pthread_cond_broadcast(&pool->more);
    (void)pthread_mutex_unlock(&pool->lock);
    for (i = 0; i < pool->threads; i++)
        (void)pthread_join(pool->ids[i], NULL);
    (void)pthread_cond_destroy(&pool->more);
    (void)pthread_cond_destroy(&pool->less);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool->ids);
    free(pool->tasks);
    free(pool);
}
