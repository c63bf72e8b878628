/*
 * extension/host_config.h -- The module's configuration, out of the engine's `config=(...)`.
 *
 * Layer: extension. Either `config_file=PATH` alone, or the options of wtkms.conf inline in the
 * engine's syntax: `(...)` is a map and `[...]` a list. The engine's own code cannot carry a list of
 * maps (it merges configuration strings by key), so `kms=` is one recipient, `kms=(provider=...)`,
 * or several with names that do not matter, `kms=(a=(provider=...),b=(provider=...))`. Nothing secret
 * may stand there: the engine prints and stores it.
 */
#ifndef WTKMS_EXTENSION_HOST_CONFIG_H
#define WTKMS_EXTENSION_HOST_CONFIG_H

#include "keystore/settings.h"

#include <wiredtiger_ext.h>

/*
 * host_config_read -- Read the settings that a connection's module configuration names. *pathp is a
 *     copy of the configuration file's path, or NULL when it is inline. The caller frees both.
 *     STATUS_CONFIG, STATUS_NO_MEMORY.
 */
int host_config_read(WT_EXTENSION_API *api, WT_CONFIG_ARG *config, SETTINGS **settingsp,
  char **pathp, STATUS *status) WTKMS_CHECKED;

#endif
