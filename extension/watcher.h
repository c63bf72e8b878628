/*
 * extension/watcher.h -- The one thread of a connection: it looks whether the keystore changed.
 *
 * Layer: extension. All signals are blocked in it (mongod handles them in a thread of its own); it
 * takes no lock that an encrypting thread takes, and ends at once when told.
 */
#ifndef WTKMS_EXTENSION_WATCHER_H
#define WTKMS_EXTENSION_WATCHER_H

#include "common/status.h"

typedef struct watcher WATCHER;

#define WATCHER_INTERVAL_MS 1000

/*
 * watcher_start -- Start a thread that calls tick(context) every WATCHER_INTERVAL_MS until it is
 *     stopped. STATUS_IO when no thread can be had.
 */
int watcher_start(
  void (*tick)(void *context), void *context, WATCHER **watcherp, STATUS *status) WTKMS_CHECKED;

/* watcher_stop -- Stop and wait for the thread; NULL is allowed. In a forked child, where the thread does
 * not exist, it only frees. */
void watcher_stop(WATCHER *watcher);

#endif
