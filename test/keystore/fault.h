/*
 * test/keystore/fault.h -- Calls that fail when a test says so, by the linker's --wrap.
 */
#ifndef WTKMS_KEYSTORE_TEST_FAULT_H
#define WTKMS_KEYSTORE_TEST_FAULT_H

#include "kms_clients/kms_client.h"

/* The nth allocation of this thread from now on fails, once; 0 is none. libbson's never do. */
void fault_memory_at(unsigned nth);
bool fault_memory_was_hit(void);
/* The nth call of a crypto function that the keystore uses fails. */
void fault_crypto_at(unsigned nth);
bool fault_crypto_was_hit(void);

extern bool fault_no_threads, fault_no_random, fault_no_names;
extern bool fault_no_sync; /* fsync does nothing: for thousands of writes on a slow disk */

/* Instead of the key services: called when set, may call on. */
extern int (*fault_unwrap)(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);
extern int (*fault_wrap)(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status);

int __real_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);
int __real_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status);

#endif
