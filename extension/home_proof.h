/*
 * extension/home_proof.h -- What a home's own files say about encryption, before the engine reads them.
 *
 * Layer: extension; uses datafile. Reads only; safe inside the host, which already holds its lock.
 */
#ifndef WTKMS_EXTENSION_HOME_PROOF_H
#define WTKMS_EXTENSION_HOME_PROOF_H

#include "common/status.h"
#include "keystore/settings.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum {
    HOME_FRESH,     /* nothing that a database would leave */
    HOME_PLAIN,     /* data, none of it encrypted */
    HOME_ENCRYPTED, /* data with units of ours */
    HOME_FOREIGN,   /* data encrypted by something else */
    HOME_UNKNOWN    /* data, but no page or record that could tell (a crash in the first moments) */
} HOME_KIND;

typedef struct {
    HOME_KIND kind;
    char evidence[512]; /* the file that decided, for messages */
} HOME_PROOF;

/*
 * home_proof_classify -- Which kind of home this is. Looks no further than the first unit it finds.
 *     STATUS_IO; STATUS_REFUSED while a re-encryption is unfinished.
 */
int home_proof_classify(
  int home_fd, const SETTINGS *settings, HOME_PROOF *proof, STATUS *status) WTKMS_CHECKED;

/*
 * home_proof_verify -- Hold the files against the keys: every data key id in WiredTiger.wt and in the
 *     newest log file must be known, one unit must decrypt, no page of WiredTiger.wt may be clear,
 *     and no log file may hold a clear record but the two kinds that the engine writes so. find
 *     answers with a data key's prepared form or NULL. STATUS_NO_KEY, STATUS_CORRUPT, STATUS_IO.
 */
typedef const struct unit_key *(*HOME_PROOF_FIND)(void *context, uint64_t id);
int home_proof_verify(int home_fd, const SETTINGS *settings, HOME_PROOF_FIND find, void *context,
  STATUS *status) WTKMS_CHECKED;

#endif
