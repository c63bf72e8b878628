/*
 * rotation/reencrypt_pipe.c -- See reencrypt_pipe.h.
 */
#include "rotation/reencrypt_pipe.h"

#include "common/clock.h"
#include "rotation/reencrypt_change.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define BATCHES 3
#define CHUNK_BYTES ((size_t)128 * 1024) /* that a thread takes at a time */
#define VECTORS 64

typedef enum { BATCH_FREE, BATCH_FILLING, BATCH_REWRITING } BATCH_STATE;

typedef struct {
    BATCH_STATE state;
    uint8_t *arena;
    size_t size, used;
    REENCRYPT_ITEM *items;
    size_t count;
    size_t next; /* item that no thread has taken */
    size_t done; /* items */
} BATCH;

struct reencrypt_pipe {
    REENCRYPT_PIPE_OPTIONS options;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* anything of the below */
    BATCH batches[BATCHES];
    unsigned filling, writing; /* which batch: they go round */
    bool ending;
    int ret; /* the first error */
    STATUS status;
    pthread_t *workers, writer;
    unsigned worker_count;
    bool has_writer;
    int64_t start; /* of clock_ms */
    REENCRYPT_PIPE_RESULT result;
};

int
reencrypt_open_file(int home_fd, const REENCRYPT_FILE *file, int *fdp, STATUS *status)
{
    struct stat st;

    *fdp = openat(home_fd, file->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fdp < 0)
        return (
          status_set_errno(status, errno, "reencrypt-open", "opening %s for writing", file->path));
    if (fstat(*fdp, &st) == 0 && st.st_dev == file->device && st.st_ino == file->inode)
        return (0);
    (void)close(*fdp);
    *fdp = -1;
    return (status_set(status, STATUS_IO, "reencrypt-open",
      "%s was replaced by another file meanwhile", file->path));
}

/* --- writing to the places */

static int
write_vectors(int fd, const REENCRYPT_ITEM *first, struct iovec *vectors, int count, STATUS *status)
{
    uint64_t offset = first->offset;

    if (reencrypt_write_vectors(fd, vectors, count, &offset)) {
        /* The disk begins while more is copied. Only fdatasync makes it durable. */
        (void)sync_file_range(
          fd, (off_t)first->offset, (off_t)(offset - first->offset), SYNC_FILE_RANGE_WRITE);
        return (0);
    }
    return (status_set_errno(status, errno, "reencrypt-write", "writing at offset %llu of %s",
      (unsigned long long)offset, first->file->path));
}

static int
write_zeros(int fd, const REENCRYPT_ITEM *item, STATUS *status)
{
    static const uint8_t zeros[64 * 1024];
    size_t done, n;
    int ret;

    for (done = 0; done < item->length; done += n) {
        n = item->length - done < sizeof(zeros) ? item->length - done : sizeof(zeros);
        if ((ret = reencrypt_write_all(
               fd, item->file->path, zeros, n, item->offset + done, status)) != 0)
            return (ret);
    }
    return (0);
}

/* Items [from, to) of one file: neighbours in one call. */
static int
write_file(REENCRYPT_PIPE *pipe, const REENCRYPT_ITEM *items, size_t count, STATUS *status)
{
    struct iovec vectors[VECTORS];
    const REENCRYPT_ITEM *first = NULL;
    uint64_t end = 0;
    size_t i;
    int fd, n = 0, ret;

    if ((ret = reencrypt_open_file(pipe->options.home_fd, items[0].file, &fd, status)) != 0)
        return (ret);
    for (i = 0; ret == 0 && i < count; i++) {
        if (items[i].untouched)
            continue;
        if (items[i].kind == REENCRYPT_REMAINS) {
            ret = write_zeros(fd, &items[i], status);
            pipe->result.remains++;
            pipe->result.remain_bytes += items[i].length;
            continue;
        }
        if (n > 0 && (n == VECTORS || items[i].offset != end)) {
            ret = write_vectors(fd, first, vectors, n, status);
            n = 0;
        }
        if (n == 0)
            first = &items[i];
        vectors[n++] = (struct iovec){items[i].image, items[i].length};
        end = items[i].offset + items[i].length;
        pipe->result.units++;
        pipe->result.bytes += items[i].length;
    }
    if (ret == 0 && n > 0)
        ret = write_vectors(fd, first, vectors, n, status);
    if (ret == 0 && fdatasync(fd) != 0)
        ret = status_set_errno(
          status, errno, "reencrypt-write", "making %s durable", items[0].file->path);
    if (close(fd) != 0 && ret == 0)
        ret = status_set_errno(status, errno, "reencrypt-write", "closing %s", items[0].file->path);
    return (ret);
}

static int
write_batch(REENCRYPT_PIPE *pipe, const BATCH *batch, STATUS *status)
{
    size_t from, to;
    int ret;

    for (from = 0; from < batch->count && batch->items[from].untouched; from++)
        ;
    if (from == batch->count)
        return (0);
    if ((ret = reencrypt_journal_write(
           pipe->options.journal, batch->items, batch->count, status)) != 0)
        return (ret);
    for (from = 0; from < batch->count; from = to) {
        for (to = from + 1; to < batch->count && batch->items[to].file == batch->items[from].file;
             to++)
            ;
        if ((ret = write_file(pipe, batch->items + from, to - from, status)) != 0)
            return (ret);
    }
    return (0);
}

/* Sleep as long as what was written should have taken; not under the lock. */
static void
throttle(const REENCRYPT_PIPE *pipe)
{
    if (pipe->options.throttle != 0)
        clock_sleep(pipe->start +
                    (int64_t)((double)pipe->result.bytes * 1e3 / (double)pipe->options.throttle) -
                    clock_ms());
}

/* --- threads; the functions below hold the lock but where they say so */

static void
fail(REENCRYPT_PIPE *pipe, int ret, const STATUS *status)
{
    if (pipe->ret != 0)
        return;
    pipe->ret = ret;
    pipe->status = *status;
}

static void
drop_arena(BATCH *batch)
{
    free(batch->arena);
    batch->arena = NULL;
    batch->size = 0;
}

static void
clear_batch(BATCH *batch)
{
    batch->used = batch->count = batch->next = batch->done = 0;
    batch->state = BATCH_FREE;
    /* That of a large item is not kept. */
    if (batch->size > REENCRYPT_BATCH_BYTES)
        drop_arena(batch);
}

static void *
writer_main(void *arg)
{
    REENCRYPT_PIPE *pipe = arg;
    BATCH *batch;
    STATUS status;
    int ret;

    (void)pthread_mutex_lock(&pipe->lock);
    for (;;) {
        batch = &pipe->batches[pipe->writing];
        if (batch->state != BATCH_REWRITING || batch->done < batch->count) {
            if (pipe->ending && batch->state != BATCH_REWRITING)
                break;
            (void)pthread_cond_wait(&pipe->changed, &pipe->lock);
            continue;
        }
        if (pipe->ret == 0) {
            (void)pthread_mutex_unlock(&pipe->lock);
            ret = write_batch(pipe, batch, &status);
            throttle(pipe);
            (void)pthread_mutex_lock(&pipe->lock);
            if (ret != 0)
                fail(pipe, ret, &status);
        }
        clear_batch(batch);
        pipe->writing = (pipe->writing + 1) % BATCHES;
        (void)pthread_cond_broadcast(&pipe->changed);
    }
    (void)pthread_mutex_unlock(&pipe->lock);
    return (NULL);
}

/* The oldest batch that has items left, and how many of them to take. */
static BATCH *
take(REENCRYPT_PIPE *pipe, size_t *fromp, size_t *top)
{
    BATCH *batch;
    size_t bytes;
    unsigned i;

    for (i = 0; i < BATCHES; i++) {
        batch = &pipe->batches[(pipe->writing + i) % BATCHES];
        if (batch->state != BATCH_REWRITING || batch->next == batch->count)
            continue;
        *fromp = batch->next;
        for (bytes = 0; batch->next < batch->count && bytes < CHUNK_BYTES; batch->next++)
            bytes += batch->items[batch->next].length;
        *top = batch->next;
        return (batch);
    }
    return (NULL);
}

/* Without the lock. */
static void
rewrite(REENCRYPT_PIPE *pipe, REENCRYPT_ITEM *item, REENCRYPT_PLAIN *plain)
{
    STATUS status;
    int ret;

    if ((ret = reencrypt_item_rewrite(item, plain, &status)) == 0)
        return;
    item->untouched = true;
    (void)pthread_mutex_lock(&pipe->lock);
    if (ret == STATUS_BAD_UNIT || ret == STATUS_NO_KEY)
        pipe->options.untouched(pipe->options.context, item, &status);
    else
        fail(pipe, ret, &status);
    (void)pthread_mutex_unlock(&pipe->lock);
}

static void *
worker_main(void *arg)
{
    REENCRYPT_PIPE *pipe = arg;
    BATCH *batch;
    REENCRYPT_PLAIN plain = {NULL, 0};
    size_t from, i, to;
    bool failed;

    (void)pthread_mutex_lock(&pipe->lock);
    for (;;) {
        if ((batch = take(pipe, &from, &to)) == NULL) {
            if (pipe->ending)
                break;
            (void)pthread_cond_wait(&pipe->changed, &pipe->lock);
            continue;
        }
        failed = pipe->ret != 0;
        (void)pthread_mutex_unlock(&pipe->lock);
        for (i = from; !failed && i < to; i++)
            rewrite(pipe, &batch->items[i], &plain);
        if (plain.size > REENCRYPT_BATCH_BYTES)
            reencrypt_plain_release(&plain);
        (void)pthread_mutex_lock(&pipe->lock);
        batch->done += to - from;
        if (batch->done == batch->count)
            (void)pthread_cond_broadcast(&pipe->changed);
    }
    (void)pthread_mutex_unlock(&pipe->lock);
    reencrypt_plain_release(&plain);
    return (NULL);
}

/* --- the filling side */

static void
seal(REENCRYPT_PIPE *pipe)
{
    BATCH *batch = &pipe->batches[pipe->filling];

    if (batch->state != BATCH_FILLING)
        return;
    batch->state = BATCH_REWRITING;
    pipe->filling = (pipe->filling + 1) % BATCHES;
    (void)pthread_cond_broadcast(&pipe->changed);
}

/* A batch that is free, or for a large item all of them, which then give their memory. */
static void
wait_free(REENCRYPT_PIPE *pipe, bool all)
{
    BATCH *batch;
    unsigned i;

    for (i = 0; i < (all ? BATCHES : 1); i++) {
        batch = &pipe->batches[(pipe->filling + i) % BATCHES];
        while (batch->state != BATCH_FREE)
            (void)pthread_cond_wait(&pipe->changed, &pipe->lock);
        if (all)
            drop_arena(batch);
    }
}

static int
prepare(BATCH *batch, size_t length, STATUS *status)
{
    size_t size = length > REENCRYPT_BATCH_BYTES ? length : REENCRYPT_BATCH_BYTES;

    if (batch->items == NULL)
        batch->items = calloc(REENCRYPT_BATCH_ITEMS, sizeof(*batch->items));
    if (batch->size < size) {
        drop_arena(batch);
        batch->arena = malloc(size);
        batch->size = batch->arena == NULL ? 0 : size;
    }
    if (batch->items == NULL || batch->arena == NULL)
        return (status_set_errno(
          status, ENOMEM, "no-memory", "cannot hold a batch of %zu bytes of blocks", size));
    batch->state = BATCH_FILLING;
    return (0);
}

int
reencrypt_pipe_add(REENCRYPT_PIPE *pipe, const REENCRYPT_ITEM *item, STATUS *status)
{
    BATCH *batch;
    REENCRYPT_ITEM *copy;
    size_t change_length = reencrypt_change_size(item);
    size_t need = item->kind == REENCRYPT_REMAINS ? 0 : item->length + change_length;
    int ret = 0;

    (void)pthread_mutex_lock(&pipe->lock);
    batch = &pipe->batches[pipe->filling];
    if (batch->state == BATCH_FILLING &&
        (batch->size - batch->used < need || batch->count == REENCRYPT_BATCH_ITEMS))
        seal(pipe);
    batch = &pipe->batches[pipe->filling];
    if (batch->state != BATCH_FILLING) {
        wait_free(pipe, need > REENCRYPT_BATCH_BYTES);
        ret = prepare(batch, need, status);
    }
    if (ret == 0 && (ret = pipe->ret) != 0)
        *status = pipe->status;
    (void)pthread_mutex_unlock(&pipe->lock);
    if (ret != 0)
        return (ret);

    /* Nobody else looks at a batch that is being filled. */
    copy = &batch->items[batch->count];
    *copy = *item;
    if (item->kind != REENCRYPT_REMAINS) {
        copy->image = batch->arena + batch->used;
        memcpy(copy->image, item->image, item->length);
        if (change_length != 0) {
            copy->change = copy->image + item->length;
            copy->change_length = change_length;
        }
        batch->used += need;
    }
    batch->count++;
    return (0);
}

static void
end_threads(REENCRYPT_PIPE *pipe)
{
    (void)pthread_mutex_lock(&pipe->lock);
    seal(pipe);
    pipe->ending = true;
    (void)pthread_cond_broadcast(&pipe->changed);
    (void)pthread_mutex_unlock(&pipe->lock);
    if (pipe->has_writer)
        (void)pthread_join(pipe->writer, NULL);
    while (pipe->worker_count > 0)
        (void)pthread_join(pipe->workers[--pipe->worker_count], NULL);
}

static void
free_pipe(REENCRYPT_PIPE *pipe)
{
    unsigned i;

    for (i = 0; i < BATCHES; i++) {
        free(pipe->batches[i].arena);
        free(pipe->batches[i].items);
    }
    (void)pthread_cond_destroy(&pipe->changed);
    (void)pthread_mutex_destroy(&pipe->lock);
    free(pipe->workers);
    free(pipe);
}

int
reencrypt_pipe_start(const REENCRYPT_PIPE_OPTIONS *options, REENCRYPT_PIPE **pipep, STATUS *status)
{
    REENCRYPT_PIPE *pipe;
    int error = 0;

    *pipep = NULL;
    if ((pipe = calloc(1, sizeof(*pipe))) == NULL)
        return (status_set_errno(status, ENOMEM, "no-memory", "no memory for threads"));
    pipe->options = *options;
    pipe->start = clock_ms();
    (void)pthread_mutex_init(&pipe->lock, NULL);
    (void)pthread_cond_init(&pipe->changed, NULL);
    if ((pipe->workers = calloc(options->threads, sizeof(*pipe->workers))) == NULL)
        error = ENOMEM;
    while (error == 0 && pipe->worker_count < options->threads)
        if ((error = pthread_create(&pipe->workers[pipe->worker_count], NULL, worker_main, pipe)) ==
            0)
            pipe->worker_count++;
    if (error == 0)
        error = pthread_create(&pipe->writer, NULL, writer_main, pipe);
    pipe->has_writer = error == 0;
    if (error != 0) {
        end_threads(pipe);
        free_pipe(pipe);
        return (
          status_set_errno(status, error, "threads", "starting %u threads", options->threads + 1));
    }
    *pipep = pipe;
    return (0);
}

int
reencrypt_pipe_finish(REENCRYPT_PIPE *pipe, REENCRYPT_PIPE_RESULT *result, STATUS *status)
{
    int ret;

    if (pipe == NULL)
        return (0);
    end_threads(pipe);
    if ((ret = pipe->ret) != 0)
        *status = pipe->status;
    *result = pipe->result;
    free_pipe(pipe);
    return (ret);
}
