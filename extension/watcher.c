/*
 * extension/watcher.c -- The thread of a connection. See watcher.h.
 */
#include "extension/watcher.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (256 * 1024)

struct watcher {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;
    pid_t pid;
    void (*tick)(void *);
    void *context;
};

static void *
watcher_main(void *arg)
{
    WATCHER *watcher = arg;
    struct timespec until;
    int ret;

    (void)pthread_mutex_lock(&watcher->mutex);
    while (!watcher->stop) {
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += WATCHER_INTERVAL_MS / 1000;
        do {
            ret = pthread_cond_timedwait(&watcher->wake, &watcher->mutex, &until);
        } while (ret == 0 && !watcher->stop);
        if (watcher->stop)
            break;
        (void)pthread_mutex_unlock(&watcher->mutex);
        watcher->tick(watcher->context);
        (void)pthread_mutex_lock(&watcher->mutex);
    }
    (void)pthread_mutex_unlock(&watcher->mutex);
    return (NULL);
}

int
watcher_start(void (*tick)(void *context), void *context, WATCHER **watcherp, STATUS *status)
{
    pthread_attr_t attr;
    pthread_condattr_t condattr;
    sigset_t all, old;
    WATCHER *watcher;
    int ret;

    *watcherp = NULL;
    if ((watcher = calloc(1, sizeof(*watcher))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "watcher"));
    watcher->tick = tick;
    watcher->context = context;
    watcher->pid = getpid();
    (void)pthread_mutex_init(&watcher->mutex, NULL);
    (void)pthread_condattr_init(&condattr);
    (void)pthread_condattr_setclock(&condattr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&watcher->wake, &condattr);
    (void)pthread_condattr_destroy(&condattr);

    (void)sigfillset(&all);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    ret = pthread_create(&watcher->thread, &attr, watcher_main, watcher);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    if (ret != 0) {
        (void)pthread_cond_destroy(&watcher->wake);
        (void)pthread_mutex_destroy(&watcher->mutex);
        free(watcher);
        return (status_set_errno(status, ret, "watcher-start", "the watcher cannot be started"));
    }
    (void)pthread_setname_np(watcher->thread, "wtkms");
    *watcherp = watcher;
    return (0);
}

void
watcher_stop(WATCHER *watcher)
{
    if (watcher == NULL)
        return;
    if (watcher->pid == getpid()) {
        (void)pthread_mutex_lock(&watcher->mutex);
        watcher->stop = true;
        (void)pthread_cond_signal(&watcher->wake);
        (void)pthread_mutex_unlock(&watcher->mutex);
        (void)pthread_join(watcher->thread, NULL);
        (void)pthread_cond_destroy(&watcher->wake);
        (void)pthread_mutex_destroy(&watcher->mutex);
    }
    free(watcher);
}
