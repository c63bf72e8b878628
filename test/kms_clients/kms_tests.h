/*
 * test/kms_clients/kms_tests.h -- What the test files of kms_clients/ share.
 */
#ifndef WTKMS_TEST_KMS_TESTS_H
#define WTKMS_TEST_KMS_TESTS_H

#include "kms_clients/kms_client.h"
#include "test/support.h"

extern const TEST kms_client_tests[];
extern const TEST aws_tests[];
extern const TEST aws_profile_tests[];
extern const TEST aws_sign_tests[];
extern const TEST kmip_tests[];
extern const TEST local_tests[];
extern const TEST ttlv_tests[];
extern const TEST publickey_tests[];
extern const TEST gcp_tests[];
extern const TEST http_tests[];
extern const TEST json_tests[];
extern const TEST vault_tests[];
extern const TEST jwt_tests[];
extern const TEST azure_tests[];

/* The bytes 0 to 31 as a key file, and what names them; see vectors.py. */
#define KEY_TEXT "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define KEY_ID "local:cf04de768e162e40682b31924042873a"

/* Make a client of an entry written in YAML; the tree is freed again before the return. */
int open_client(const char *yaml, KMS_CLIENT **clientp, STATUS *status);

/* A client of provider local with a key file of that content; exits when there is none. */
KMS_CLIENT *local_client(const char *key_text);

/* The path of a new file with that content and mode, in static memory that the next call reuses. */
const char *key_file(const void *data, size_t len, mode_t mode);

extern const KMS_CONTEXT context_one;

#endif
