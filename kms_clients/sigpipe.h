/*
 * kms_clients/sigpipe.h -- Keeps SIGPIPE from the host while a library writes to a peer.
 *
 * Layer: kms_clients. OpenSSL writes with write(2): to a connection that is gone that raises SIGPIPE, which ends a
 * process that does not ignore it. It comes to the thread that wrote, so it is kept from it there, and
 * taken away.
 */
#ifndef WTKMS_KMS_CLIENTS_SIGPIPE_H
#define WTKMS_KMS_CLIENTS_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

typedef struct {
    sigset_t old;
    bool blocked;
    bool ours; /* none was waiting before */
} SIGPIPE_GUARD;

/* sigpipe_block -- From here on this thread gets no SIGPIPE. Each is followed by one sigpipe_restore. */
void sigpipe_block(SIGPIPE_GUARD *guard);

/* sigpipe_restore -- Take away one that came meanwhile, and have the thread's mask as it was. */
void sigpipe_restore(const SIGPIPE_GUARD *guard);

#endif
