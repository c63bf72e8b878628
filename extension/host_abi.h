/*
 * extension/host_abi.h -- Which host is this, and where are its connection's methods?
 *
 * Layer: extension. One binary serves every server version: WT_ENCRYPTOR and the first members of
 * WT_EXTENSION_API never changed, WT_CONNECTION did. Its members are counted (consecutive pointers
 * into one module), the version is asked of that module, and the pair is looked up in
 * engine_layouts. A pair that is not there is refused; nothing is called on a guess but the last
 * member, get_extension_api, to have a way to say so.
 */
#ifndef WTKMS_EXTENSION_HOST_ABI_H
#define WTKMS_EXTENSION_HOST_ABI_H

#include "common/status.h"
#include "datafile/engine_version.h"

#include <wiredtiger_ext.h>

typedef struct {
    WT_EXTENSION_API *api; /* NULL when the host could not even be asked for it */
    const ENGINE_LAYOUT *layout;
    ENGINE_VERSION version;
    unsigned members;
    const char *(*get_home)(WT_CONNECTION *);
    int (*add_encryptor)(WT_CONNECTION *, const char *, WT_ENCRYPTOR *, const char *);
} HOST_ABI;

/*
 * host_abi_detect -- Fill in a host's ABI. On an error api may still be set, for the message. Called
 *     once a connection, from wiredtiger_extension_init. STATUS_CONFIG (an unknown host).
 */
int host_abi_detect(WT_CONNECTION *connection, HOST_ABI *abi, STATUS *status) WTKMS_CHECKED;

/*
 * How a table's module and version are found, for tests with tables of their own: module_of gives an
 * identity of the module that an address lies in (NULL: none), version_of the version of that
 * module's engine (0 or a class).
 */
typedef struct {
    const void *(*module_of)(const void *address);
    int (*version_of)(const void *address, ENGINE_VERSION *version, STATUS *status);
} HOST_ABI_PROBE;

/* host_abi_detect_with -- host_abi_detect, asking probe. */
int host_abi_detect_with(WT_CONNECTION *connection, const HOST_ABI_PROBE *probe, HOST_ABI *abi,
  STATUS *status) WTKMS_CHECKED;

#endif
