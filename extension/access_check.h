/*
 * extension/access_check.h -- The thread that tries the customer keys while the database runs.
 *
 * Layer: extension. Every `checkInterval` it unwraps through each recipient, with clients of its own,
 * and does what keystore/access.h says: nothing, a warning, or SIGTERM to this process, once. The first
 * check is at a random moment of the interval, so that a fleet that was started together does not call together.
 * All signals are blocked in it; it takes no lock that an encrypting thread takes.
 */
#ifndef WTKMS_EXTENSION_ACCESS_CHECK_H
#define WTKMS_EXTENSION_ACCESS_CHECK_H

#include "common/log.h"
#include "keystore/access_probe.h"

typedef struct access_check ACCESS_CHECK;

/* How long a stop waits for a call to a key service that does not end when it is called off. */
#define ACCESS_CHECK_STOP_MS 1500

/* What the check is given. All of it is used until access_check_stop returns and not afterwards. The
 * functions are called in the check's thread; they are short and ask no key service. */
typedef struct {
    const SETTINGS *settings;
    const LOG *log;
    const KEYSTORE *(*hold)(void *context);
    void (*release)(void *context, const KEYSTORE *keystore);
    void (*report)(void *context, const ACCESS_RESULT *results, size_t count);
    void *context;
} ACCESS_CHECK_HOST;

/* access_check_start -- Start the thread. STATUS_IO when none can be had, STATUS_NO_MEMORY. */
int access_check_start(
  const ACCESS_CHECK_HOST *host, ACCESS_CHECK **checkp, STATUS *status) WTKMS_CHECKED;

/*
 * access_check_stop -- Stop the thread; NULL is allowed. A call in flight is called off (common/cancel.h). One
 *     that does not end within ACCESS_CHECK_STOP_MS is left to its own deadline: the thread then has only
 *     memory of its own, which it frees, and this module stays mapped. In a forked child, where the thread
 *     does not exist, it only frees.
 */
void access_check_stop(ACCESS_CHECK *check);

#endif
