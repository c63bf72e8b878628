/*
 * extension/connection.h -- One open database: its keyring, its data keys, its encryptors.
 *
 * Layer: extension. Made by wiredtiger_extension_init, shared by the base encryptor and every
 * customized one, gone with the last of them. The watcher thread belongs to it.
 */
#ifndef WTKMS_EXTENSION_CONNECTION_H
#define WTKMS_EXTENSION_CONNECTION_H

#include "common/status.h"
#include "extension/data_keys.h"
#include "extension/host_abi.h"
#include "extension/host_log.h"

#include <wiredtiger_ext.h>

typedef struct connection CONNECTION;

/* One customized encryptor: a keyid of one connection. iface must stay first. */
typedef struct encryptor {
    WT_ENCRYPTOR iface;
    CONNECTION *connection;
    const char *keyid; /* interned; NULL for the base encryptor */
    bool accepts_any; /* the connection's own: importing a file decrypts foreign metadata with it */
    UNIT_CIPHER *cipher; /* NULL for the base encryptor */
    uint64_t active_id;  /* guarded by the connection's mutex */
    struct encryptor *next;
} ENCRYPTOR;

/*
 * connection_open -- Decide about a home and open its keys: refuse, create, restore from the mirror or
 *     open; prove them with a unit of the data; start the watcher. Blocks as long as key services
 *     may be retried. On success the caller holds one reference. Every class of status.h but
 *     BAD_UNIT.
 */
int connection_open(WT_CONNECTION *wt_conn, const HOST_ABI *abi, HOST_LOG *log,
  WT_CONFIG_ARG *config, CONNECTION **connectionp, STATUS *status) WTKMS_CHECKED;

/*
 * connection_release -- Give a reference back; the last one stops the watcher and wipes all keys.
 */
void connection_release(CONNECTION *connection);

/*
 * connection_customize -- Make a customized encryptor for a keyid ("" means "default"), with a data key
 *     that is durable before this returns. iface is copied from the base. Takes a reference.
 */
int connection_customize(CONNECTION *connection, const WT_ENCRYPTOR *iface, const char *keyid,
  ENCRYPTOR **encryptorp, STATUS *status) WTKMS_CHECKED;

/* connection_uncustomize -- Free a customized encryptor and its reference. */
void connection_uncustomize(ENCRYPTOR *encryptor);

/*
 * connection_find_key -- A data key by id; one that is not known makes it read the keystore again, once.
 *     STATUS_NO_KEY when it is still unknown.
 */
int connection_find_key(
  CONNECTION *connection, uint64_t id, const DATA_KEY **keyp, STATUS *status) WTKMS_CHECKED;

/*
 * connection_refresh -- Take a changed keystore into use: new data keys, new active ones, wtkms.state.
 *     Called by the watcher. *changedp tells whether there was anything.
 */
int connection_refresh(CONNECTION *connection, bool *changedp, STATUS *status) WTKMS_CHECKED;

/* connection_log -- The log of this connection. */
HOST_LOG *connection_log(const CONNECTION *connection);

#endif
