/*
 * test/crypto/test_crypto.h -- What the suites of crypto/ share.
 */
#ifndef WTKMS_TEST_CRYPTO_H
#define WTKMS_TEST_CRYPTO_H

#include "config.h"

#include "common/status.h"
#include "crypto/secret.h"
#include "crypto/unit_cipher.h"
#include "test/testmain.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const TEST tests_first[], tests_encode[], tests_mac[], tests_memory[], tests_secret[],
  tests_xaes[], tests_unit[], tests_slot_pool[], tests_streams[], tests_threads[], tests_rsa[],
  tests_rsa_sign[], tests_fault[];

/* A vector file under test/vectors: records of "name = hex", parted by empty lines. */
#define VECTOR_FIELDS 8
typedef struct {
    struct {
        char name[32];
        uint8_t *data;
        size_t len;
    } fields[VECTOR_FIELDS];
    unsigned count;
} VECTOR;

/* vectors_each -- Call check for each record of a file; returns how many there were. */
unsigned vectors_each(const char *file, void (*check)(const VECTOR *vector));

/* vector_get -- A field's bytes; fails the test when it is missing. */
const uint8_t *vector_get(const VECTOR *vector, const char *name, size_t *lenp);

/* test_secret -- A secret from bytes; ends the program when there is none. */
SECRET *test_secret(const void *data, size_t len);

/* A key and a cipher with it, the library open; data key id 0x1122334455667788. */
#define TEST_KEY_ID UINT64_C(0x1122334455667788)
typedef struct {
    SECRET *secret;
    UNIT_KEY *key;
    UNIT_CIPHER *cipher;
} UNITS;
void units_open(UNITS *units);
void units_close(UNITS *units);

/* in_child -- Run a function in a forked child that ends with its result, after at most 60 s, or
 * with 128 plus the number of the signal that ended it. */
int in_child(int (*run)(void *context), void *context);

/* The sanitizers have memory and signals of their own. */
#ifdef WTKMS_SANITIZERS
#define UNDER_SANITIZER true
#else
#define UNDER_SANITIZER false
#endif

/*
 * Faults: calls of crypto/ into the C library and OpenSSL that the linker sends through here
 * (--wrap, see Makefile.am).
 */

/* fault_at -- Let the nth wrapped call from now fail, counted from 1; 0: none. */
void fault_at(unsigned nth);

/* fault_was_hit -- Whether it came to that since fault_at; from here on no call fails. */
bool fault_was_hit(void);

/* fault_no_memory -- Whether a failing call of OpenSSL says that it was for memory. */
extern bool fault_no_memory;

/* fault_madvise, fault_mlock -- An errno that all such calls fail with; 0: none. */
extern int fault_madvise, fault_mlock;

/* fault_interrupt -- Let the next getrandom be interrupted by a signal, then give one byte. */
extern bool fault_interrupt;

/* fault_pause -- Called, when set, in EVP_EncryptUpdate of the calling thread, while it has a slot. */
extern _Thread_local void (*fault_pause)(void);

/* openssl_allocations -- How often OpenSSL took memory so far, and how much it has. */
unsigned long openssl_allocations(void);

/* wrapped_allocations -- How often crypto/ itself did. */
unsigned long wrapped_allocations(void);

#endif
