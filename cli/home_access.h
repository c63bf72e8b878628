/*
 * cli/home_access.h -- Whether the recipients of a home open it: as the host found, or asked now.
 *
 * Layer: cli.
 */
#ifndef WTKMS_CLI_HOME_ACCESS_H
#define WTKMS_CLI_HOME_ACCESS_H

#include "cli/home_status.h"
#include "cli/output.h"

/*
 * home_access_check -- Ask the key service of each recipient that is recorded and configured, now, and
 *     put what was found in place of what the host's state says; failures become warnings. trust, may be
 *     NULL, is the identifier of a recorded recipient that is asked too although it is not configured, with
 *     the credentials of the environment: for a key service whose endpoint follows from the identifier.
 *     *failedp says that a recipient that was asked did not open. STATUS_REFUSED for a trust that is not
 *     recorded, STATUS_NO_MEMORY.
 */
int home_access_check(const TARGET *target, const char *trust, const LOG *log, HOME_STATUS *home,
  bool *failedp, STATUS *status) WTKMS_CHECKED;
void home_access_release(HOME_STATUS *home);

/*
 * home_access_trusted -- A configuration entry for a recipient that only the operator vouches for: provider
 *     and identifier, and nothing else that a file could have chosen. The caller calls config_free.
 *     STATUS_REFUSED, "trust-key-provider": its identifier does not say where the key is.
 */
int home_access_trusted(
  const KEYSTORE_RECIPIENT *recipient, CONFIG_NODE **nodep, STATUS *status) WTKMS_CHECKED;

/* home_access_text -- "ok, 12 ms", "denied, 5m ago", "not asked", "-": of one recipient. The caller frees it. */
char *home_access_text(
  const HOME_STATUS *home, const char *scope, const char *provider, const char *key_id);

/* home_access_json -- Append an array "access". */
void home_access_json(const HOME_STATUS *home, bson_t *json);
/* home_access_prometheus -- The same as samples. */
void home_access_prometheus(const HOME_STATUS *home, FILE *out);

#endif
