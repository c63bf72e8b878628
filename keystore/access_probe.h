/*
 * keystore/access_probe.h -- Try every configured recipient of a keystore, as an open would.
 *
 * Layer: keystore; uses kms_clients. For the extension's check in the background and for
 * `wtkms status --check`. Clients of its own, made from the configuration, never the keyring's;
 * a recorded identifier is sent only to a client whose configured key covers it. A PROBER is for one
 * caller at a time; the log is written to by the threads of a run.
 */
#ifndef WTKMS_KEYSTORE_ACCESS_PROBE_H
#define WTKMS_KEYSTORE_ACCESS_PROBE_H

#include "common/log.h"
#include "keystore/keystore.h"
#include "keystore/settings.h"

#include <stdatomic.h>

typedef struct access_prober ACCESS_PROBER;

typedef struct {
    char *scope;
    char *provider;
    char *
      key_id; /* as recorded; as configured when no client could be made and nothing recorded fits */
    STATUS_CLASS status_class; /* STATUS_OK: it unwrapped the recorded master key */
    STATUS status;
    int64_t time;          /* ms since 1970, when it was asked */
    int64_t ms;            /* how long the answer took */
    bool pending_deletion; /* by access_prober_describe: the service deletes the key later */
    char key_detail[256];  /* what it says of the key's state, with a date; "" when not known */
} ACCESS_RESULT;

/* access_prober_new -- log, may be NULL, must outlive it. The caller frees *proberp. */
int access_prober_new(const LOG *log, ACCESS_PROBER **proberp, STATUS *status) WTKMS_CHECKED;
void access_prober_free(ACCESS_PROBER *prober);

/*
 * access_prober_prepare -- List what a check has to try: for each scope of settings, each entry that can
 *     unwrap and the recorded recipients of the scope's active master key that it covers. Clients are made here,
 *     and made anew when the last call through them failed, or the provider has no network: so local files are read
 *     again. An entry of which none can be made is a result already. Copies all it needs: neither settings
 *     nor keystore is used afterwards. The settings must be the same ones at each call. Local files only, no network.
 *     STATUS_NO_MEMORY.
 */
int access_prober_prepare(ACCESS_PROBER *prober, const SETTINGS *settings, const KEYSTORE *keystore,
  STATUS *status) WTKMS_CHECKED;

/*
 * access_prober_run -- Ask for all that prepare listed, each within its entry's timeout; entries with a
 *     network at the same time, by at most 16 threads besides this one, which are gone when it returns and block
 *     all signals. Blocks for about the longest timeout, so hold no lock. Ends early when *stop
 *     becomes true (NULL: never), which calls off what is in flight (common/cancel.h); the caller watches the same flag
 *     in its own thread. Then the results are not complete, which it returns as false.
 */
bool access_prober_run(ACCESS_PROBER *prober, const atomic_bool *stop);

/*
 * access_prober_describe -- After a run, ask what became of each key that was found disabled or not found: whether
 *     it can be had back, and until when. Blocks as run does. What cannot be told stays unsaid.
 */
void access_prober_describe(ACCESS_PROBER *prober);

/* access_prober_results -- What was found; valid until the next prepare. The default scope's come first. */
const ACCESS_RESULT *access_prober_results(const ACCESS_PROBER *prober, size_t *countp);

#endif
