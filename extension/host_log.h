/*
 * extension/host_log.h -- Lines to the host's own log, from any thread.
 *
 * Layer: extension. err_printf and msg_printf with a NULL session use scratch buffers that the whole
 * connection shares, so only the thread that opens the connection may call them so, while nothing
 * else of the engine runs. Later lines from threads of ours are queued and written by the next host
 * thread that comes by with a session of its own. In `wt` lines that are only information are left out:
 * it would write them into its output.
 */
#ifndef WTKMS_EXTENSION_HOST_LOG_H
#define WTKMS_EXTENSION_HOST_LOG_H

#include "common/log.h"

#include <wiredtiger_ext.h>

typedef struct host_log HOST_LOG;

/*
 * host_log_new -- A sink for one connection. Until host_log_queue it writes at once. The caller frees
 *     *hlogp after all threads that write to it ended.
 */
int host_log_new(WT_EXTENSION_API *api, HOST_LOG **hlogp, STATUS *status) WTKMS_CHECKED;
void host_log_free(HOST_LOG *hlog);

/* host_log_api -- The interface of the host that it writes to. */
WT_EXTENSION_API *host_log_api(const HOST_LOG *hlog);

/* host_log_sink -- The LOG for lower layers; lives as long as the HOST_LOG. */
const LOG *host_log_sink(HOST_LOG *hlog);

/* host_log_queue -- From now on lines wait for host_log_flush. */
void host_log_queue(HOST_LOG *hlog);

/*
 * host_log_flush -- Write what waits, with a session that belongs to the calling thread, or NULL when
 *     no other thread of the engine runs. One relaxed load when nothing waits.
 */
void host_log_flush(HOST_LOG *hlog, WT_SESSION *session);

#endif
