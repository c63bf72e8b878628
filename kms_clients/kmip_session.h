/*
 * kms_clients/kmip_session.h -- Calls to one of several KMIP servers: connection kept, version agreed on,
 * fail-over, repetition, deadline.
 *
 * Layer: kms_clients. The one place of KMIP that does I/O. Knows messages as a whole and not what they
 * ask. One thread at a time.
 */
#ifndef WTKMS_KMS_CLIENTS_KMIP_SESSION_H
#define WTKMS_KMS_CLIENTS_KMIP_SESSION_H

#include "common/config.h"
#include "kms_clients/kmip_message.h"

#include <stdbool.h>
#include <stdint.h>

#define KMIP_PORT 5696
#define KMIP_SERVERS_MAX 16

typedef struct {
    const CONFIG_STRINGS *servers; /* host, host:port, [IPv6]:port; in the order they are tried */
    const char *server_name;       /* or NULL */
    const char *proxy;             /* or NULL */
    const char *username;          /* or NULL */
    int version;                   /* 0: agreed on with the server */
    int64_t connect_timeout;       /* ms */
    SECRET *authorities, *certificate, *key, *password; /* or NULL; taken over */
} KMIP_SESSION_OPTIONS;

typedef struct kmip_session KMIP_SESSION;

/*
 * kmip_session_new -- Make a session; connects to nothing. node is where the servers are, for messages.
 *     The strings of options must outlive the session; its secrets are taken over, also on failure.
 *     STATUS_CONFIG for a server's address, STATUS_NO_MEMORY.
 */
int kmip_session_new(KMIP_SESSION_OPTIONS *options, const CONFIG_NODE *node,
  KMIP_SESSION **sessionp, STATUS *status) WTKMS_CHECKED;
void kmip_session_free(KMIP_SESSION *session);

typedef struct {
    /* Both are called once an attempt. build's errors end the call; parse's errors too, but for
     * STATUS_UNAVAILABLE, and for STATUS_BAD_REPLY when there is another server. */
    int (*build)(void *context, const KMIP_HEADER *header, SECRET **messagep, STATUS *status);
    int (*parse)(void *context, const KMIP_RESPONSE *response, STATUS *status);
    bool
      repeat; /* the call changes nothing at the server: it may be sent again, and to another one */
} KMIP_CALL;

/*
 * kmip_session_call -- Make a call with the server that answered last, else the next ones; of what time is
 *     left each gets its share. A round that ended in "kms-unavailable" is repeated with growing,
 *     jittered pauses until the deadline (clock_ms). Any class; the message names server and time.
 */
int kmip_session_call(KMIP_SESSION *session, int64_t deadline, const KMIP_CALL *call, void *context,
  STATUS *status) WTKMS_CHECKED;

#endif
