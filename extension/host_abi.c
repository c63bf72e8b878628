/*
 * extension/host_abi.c -- Which host is this? See host_abi.h.
 */
#include "extension/host_abi.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define MEMBERS_MAX 32 /* no version has more; bounds the walk behind the table */

/*
 * A member as a function. Members are read as bytes: the table of this host may have another type
 * than the one in our header.
 */
static void *
member(WT_CONNECTION *connection, unsigned number)
{
    void *address;

    memcpy(&address, (const char *)connection + (number - 1) * sizeof(void *), sizeof(address));
    return (address);
}

static const void *
module_of(const void *address)
{
    Dl_info info;

    return (dladdr(address, &info) == 0 ? NULL : info.dli_fbase);
}

/*
 * Ask the module that a method lies in. RTLD_DEFAULT would miss an engine that an interpreter loaded
 * privately, and would find another one's where a process has two.
 */
static int
version_of(const void *address, ENGINE_VERSION *version, STATUS *status)
{
    const char *(*wiredtiger_version_fn)(int *, int *, int *);
    const char *path;
    Dl_info info;
    void *handle, *symbol;

    if (dladdr(address, &info) == 0 || info.dli_fname == NULL)
        return (status_set(status, STATUS_CONFIG, "host-unknown", "the host has no module"));
    path = info.dli_fname;
    /* The main program has no name of its own that dlopen takes; NULL stands for it. */
    handle = dlopen(path, RTLD_NOLOAD | RTLD_LAZY);
    if (handle == NULL)
        handle = dlopen(NULL, RTLD_NOLOAD | RTLD_LAZY);
    symbol = handle == NULL ? NULL : dlsym(handle, "wiredtiger_version");
    if (symbol != NULL && module_of(symbol) == info.dli_fbase) {
        memcpy(&wiredtiger_version_fn, &symbol, sizeof(symbol));
        (void)wiredtiger_version_fn(&version->major, &version->minor, &version->patch);
        (void)dlclose(handle);
        return (0);
    }
    if (handle != NULL)
        (void)dlclose(handle);
    /* Linked statically or stripped: the version string is still in the file. The name of a main
     * program may be relative to a directory that it has left. */
    if (engine_version_in_file(path, version, status) == 0)
        return (0);
    return (engine_version_in_file("/proc/self/exe", version, status));
}

/*
 * The two 20-member layouts of 10.0.0: member 6 called with the connection alone is is_new in the
 * newer, which answers 0 or 1, and get_home in the older, which answers a pointer. Both only read.
 */
static bool
has_old_layout(WT_CONNECTION *connection)
{
    uintptr_t (*sixth)(WT_CONNECTION *);
    void *address = member(connection, 6);

    memcpy(&sixth, &address, sizeof(address));
    /* is_new returns int: only the low half of the register is defined. */
    return (sixth(connection) > UINT32_MAX);
}

static WT_EXTENSION_API *
get_api(WT_CONNECTION *connection, unsigned members)
{
    WT_EXTENSION_API *(*get_extension_api)(WT_CONNECTION *), *api;
    void *address = member(connection, members);

    memcpy(&get_extension_api, &address, sizeof(address));
    api = get_extension_api(connection);
    return (api != NULL && api->conn == connection ? api : NULL);
}

int
host_abi_detect_with(
  WT_CONNECTION *connection, const HOST_ABI_PROBE *probe, HOST_ABI *abi, STATUS *status)
{
    const ENGINE_LAYOUT *next;
    const void *module;
    void *address;
    char known[512];
    unsigned n;
    int ret;

    memset(abi, 0, sizeof(*abi));
    if ((module = probe->module_of(member(connection, 1))) == NULL)
        return (status_set(status, STATUS_CONFIG, "host-unknown",
          "the host's connection has no methods in a loaded module"));
    for (n = 1; n < MEMBERS_MAX && probe->module_of(member(connection, n + 1)) == module; n++)
        ;
    abi->members = n;
    if ((ret = probe->version_of(member(connection, 1), &abi->version, status)) != 0)
        goto unknown;

    abi->layout = engine_layout_find(&abi->version, n, NULL);
    if (abi->layout == NULL) {
        ret = status_set(status, STATUS_CONFIG, "host-unknown",
          "WiredTiger %d.%d.%d with %u connection methods is not known to this version of "
          "wiredtiger-kms (known: %s)",
          abi->version.major, abi->version.minor, abi->version.patch, n,
          engine_layout_list(known, sizeof(known)));
        (void)status_hint(status,
          "run `wtkms abi` on the server's binary before an upgrade, and install a newer "
          "wiredtiger-kms");
        goto unknown;
    }
    /* The table lists the older layout first. */
    next = engine_layout_find(&abi->version, n, abi->layout);
    if (next != NULL && !has_old_layout(connection))
        abi->layout = next;
    if ((abi->api = get_api(connection, n)) == NULL)
        return (status_set(status, STATUS_CONFIG, "host-unknown",
          "WiredTiger %d.%d.%d does not answer for its extension interface", abi->version.major,
          abi->version.minor, abi->version.patch));
    address = member(connection, abi->layout->get_home);
    memcpy(&abi->get_home, &address, sizeof(address));
    address = member(connection, abi->layout->add_encryptor);
    memcpy(&abi->add_encryptor, &address, sizeof(address));
    return (0);

unknown:
    /* Every version so far has it last: good enough to print one line, checked by what it returns. */
    if (n >= 18 && n < MEMBERS_MAX)
        abi->api = get_api(connection, n);
    return (ret);
}

int
host_abi_detect(WT_CONNECTION *connection, HOST_ABI *abi, STATUS *status)
{
    static const HOST_ABI_PROBE probe = {module_of, version_of};

    return (host_abi_detect_with(connection, &probe, abi, status));
}
