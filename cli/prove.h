/*
 * cli/prove.h -- A keystore held against the files: does it open one of their units?
 *
 * Layer: cli; uses datafile.
 */
#ifndef WTKMS_CLI_PROVE_H
#define WTKMS_CLI_PROVE_H

#include "cli/target.h"
#include "keystore/keyring.h"

/*
 * prove_home -- Decrypt the first unit of the home whose block holds together. *provedp is false when there
 *     is none to try. STATUS_NO_KEY: its data key is not in the keystore. STATUS_BAD_UNIT: the key
 *     with that id does not open it. STATUS_IO.
 */
int prove_home(const TARGET *target, KEYRING *keyring, bool *provedp, STATUS *status) WTKMS_CHECKED;

#endif
