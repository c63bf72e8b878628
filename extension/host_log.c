/*
 * extension/host_log.c -- Lines to the host's own log. See host_log.h.
 */
#include "extension/host_log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_MAX 64 /* lines that wait; more are counted and dropped, memory is bounded */

typedef struct line {
    struct line *next;
    LOG_LEVEL level;
    char text[];
} LINE;

struct host_log {
    WT_EXTENSION_API *api;
    LOG sink;
    pthread_mutex_t mutex;
    bool queueing;
    bool is_tool;
    atomic_uint waiting;
    unsigned dropped;
    LINE *first, **last;
};

/*
 * The engine's own tool has no log: what it is told by msg_printf it writes to its standard output,
 * into the middle of a dump that `wt load` is to read.
 */
static bool
is_engine_tool(void)
{
    const char *name = program_invocation_short_name;

    return (strcmp(name, "wt") == 0 || strcmp(name, "lt-wt") == 0);
}

static void
print(HOST_LOG *hlog, WT_SESSION *session, LOG_LEVEL level, const char *text)
{
    if (level == LOG_INFO && hlog->is_tool)
        return;
    if (level == LOG_INFO)
        (void)hlog->api->msg_printf(hlog->api, session, "wiredtiger-kms: %s", text);
    else
        (void)hlog->api->err_printf(hlog->api, session, "wiredtiger-kms: %s%s",
          level == LOG_WARNING ? "warning: " : "", text);
}

static void
sink_write(void *context, LOG_LEVEL level, const char *text)
{
    HOST_LOG *hlog = context;
    size_t size = strlen(text) + 1;
    LINE *entry;

    (void)pthread_mutex_lock(&hlog->mutex);
    if (!hlog->queueing)
        print(hlog, NULL, level, text);
    else if (atomic_load_explicit(&hlog->waiting, memory_order_relaxed) >= QUEUE_MAX ||
             (entry = malloc(sizeof(*entry) + size)) == NULL)
        hlog->dropped++;
    else {
        entry->next = NULL;
        entry->level = level;
        memcpy(entry->text, text, size);
        *hlog->last = entry;
        hlog->last = &entry->next;
        (void)atomic_fetch_add_explicit(&hlog->waiting, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&hlog->mutex);
}

int
host_log_new(WT_EXTENSION_API *api, HOST_LOG **hlogp, STATUS *status)
{
    HOST_LOG *hlog;

    *hlogp = NULL;
    if ((hlog = calloc(1, sizeof(*hlog))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "log"));
    hlog->api = api;
    hlog->is_tool = is_engine_tool();
    hlog->sink.write = sink_write;
    hlog->sink.context = hlog;
    hlog->last = &hlog->first;
    atomic_init(&hlog->waiting, 0);
    (void)pthread_mutex_init(&hlog->mutex, NULL);
    *hlogp = hlog;
    return (0);
}

void
host_log_free(HOST_LOG *hlog)
{
    LINE *entry, *next;

    if (hlog == NULL)
        return;
    for (entry = hlog->first; entry != NULL; entry = next) {
        next = entry->next;
        free(entry);
    }
    (void)pthread_mutex_destroy(&hlog->mutex);
    free(hlog);
}

WT_EXTENSION_API *
host_log_api(const HOST_LOG *hlog)
{
    return (hlog->api);
}

const LOG *
host_log_sink(HOST_LOG *hlog)
{
    return (&hlog->sink);
}

void
host_log_queue(HOST_LOG *hlog)
{
    (void)pthread_mutex_lock(&hlog->mutex);
    hlog->queueing = true;
    (void)pthread_mutex_unlock(&hlog->mutex);
}

void
host_log_flush(HOST_LOG *hlog, WT_SESSION *session)
{
    LINE *entry, *first, *next;
    unsigned dropped;

    if (atomic_load_explicit(&hlog->waiting, memory_order_relaxed) == 0)
        return;
    (void)pthread_mutex_lock(&hlog->mutex);
    first = hlog->first;
    dropped = hlog->dropped;
    hlog->first = NULL;
    hlog->last = &hlog->first;
    hlog->dropped = 0;
    atomic_store_explicit(&hlog->waiting, 0, memory_order_relaxed);
    (void)pthread_mutex_unlock(&hlog->mutex);
    /* Printed without the lock: the host's event handler may take locks of its own. */
    for (entry = first; entry != NULL; entry = next) {
        next = entry->next;
        print(hlog, session, entry->level, entry->text);
        free(entry);
    }
    if (dropped != 0)
        (void)hlog->api->err_printf(
          hlog->api, session, "wiredtiger-kms: warning: %u more lines were dropped", dropped);
}
