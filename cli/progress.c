/*
 * cli/progress.c -- The progress bar. See progress.h.
 */
#include "cli/progress.h"

#include "cli/output.h"
#include "common/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BAR 30
#define INTERVAL_MS 200

struct progress {
    const char *what;
    uint64_t total;
    atomic_uint_least64_t done;
    atomic_int_least64_t next; /* when to draw again */
    int64_t start;
    pthread_mutex_t lock; /* of the terminal's line */
};

PROGRESS *
progress_start(const char *what, uint64_t total)
{
    PROGRESS *progress;

    if (!isatty(STDERR_FILENO))
        return (NULL);
    progress = output_allocate(1, sizeof(*progress));
    progress->what = what;
    progress->total = total;
    progress->start = clock_ms();
    atomic_store(&progress->next, progress->start + INTERVAL_MS);
    (void)pthread_mutex_init(&progress->lock, NULL);
    return (progress);
}

static void
draw(PROGRESS *progress, int64_t now)
{
    double done, seconds, share;
    int filled, i;
    char bar[BAR + 1], left[32] = "";

    done = (double)atomic_load(&progress->done);
    share = progress->total == 0 ? 0 : done / (double)progress->total;
    if (share > 1) /* the files grew meanwhile */
        share = 1;
    filled = (int)(share * BAR);
    for (i = 0; i < BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR] = '\0';
    seconds = (double)(now - progress->start + 1) / 1e3;
    if (share > 0)
        (void)snprintf(left, sizeof(left), "  %.0f s left", seconds / share * (1 - share));
    (void)fprintf(stderr, "\r%s [%s] %3d%%  %.1f MiB  %.0f MiB/s%s\033[K", progress->what, bar,
      (int)(share * 100), done / 1048576, done / 1048576 / seconds, left);
    (void)fflush(stderr);
}

void
progress_add(PROGRESS *progress, uint64_t bytes)
{
    int64_t now;
    int_least64_t next;

    if (progress == NULL)
        return;
    atomic_fetch_add(&progress->done, bytes);
    now = clock_ms();
    next = atomic_load(&progress->next);
    if (now < next || !atomic_compare_exchange_strong(&progress->next, &next, now + INTERVAL_MS))
        return;
    (void)pthread_mutex_lock(&progress->lock);
    draw(progress, now);
    (void)pthread_mutex_unlock(&progress->lock);
}

void
progress_end(PROGRESS *progress)
{
    if (progress == NULL)
        return;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}
