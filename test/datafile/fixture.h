/*
 * test/datafile/fixture.h -- Homes made by the real engine, for the tests of datafile/.
 *
 * The engine is given an encryptor of the tests' own, "fixture", which writes units of our form. It
 * protects nothing (an exclusive or, a CRC as the tag): it makes files for a parser to read.
 */
#ifndef WTKMS_TEST_FIXTURE_H
#define WTKMS_TEST_FIXTURE_H

#include "test/support.h"

#include "datafile/block_file.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <stdint.h>
#include <wiredtiger.h>

#define SYSTEM_KEYID "system"

/* The data key id that the encryptor writes for a keyid. */
uint64_t fixture_key_id(const char *keyid);

/* Whether a unit is whole: our header, and its tag fits. *idp: its data key. */
bool fixture_whole(const uint8_t *unit, size_t len, uint64_t *idp);

/* The plaintext of a unit, len - 56 bytes. */
void fixture_decrypt(const uint8_t *unit, size_t len, uint8_t *out);

/*
 * Open a connection to a home, made when it is not there. extra is more configuration. Encrypted
 * means the system key is SYSTEM_KEYID.
 */
WT_CONNECTION *fixture_connect(const char *home, bool encrypted, const char *extra);
void fixture_close(WT_CONNECTION *conn);

/* A session; create a table; write rows from..to of it, values of about size bytes. */
WT_SESSION *fixture_session(WT_CONNECTION *conn);
void fixture_create(WT_SESSION *session, const char *uri, const char *config);
void fixture_rows(WT_SESSION *session, const char *uri, unsigned from, unsigned to, size_t size);
void fixture_remove(WT_SESSION *session, const char *uri, unsigned from, unsigned to);
void fixture_checkpoint(WT_SESSION *session);

/* Where the engine says that blocks of a table are (verify with dump_address), all checkpoints. */
typedef struct {
    uint64_t offset;
    uint32_t size;
    uint32_t checksum;
} ADDRESS;
size_t fixture_addresses(WT_CONNECTION *conn, const char *uri, ADDRESS **addressesp);

/* Whole files. */
uint8_t *fixture_read(int dirfd, const char *name, size_t *lenp);
void fixture_write(int dirfd, const char *name, const uint8_t *data, size_t len);

/* A file in memory that holds this. */
int fixture_memory(const void *data, size_t len);

/* Put fitting checksums into a changed block (size bytes) or record. */
void fixture_seal_block(uint8_t *block, uint32_t size);
void fixture_seal_record(uint8_t *record, uint32_t len);

void fixture_put32(uint8_t *p, uint32_t value);
uint32_t fixture_get32(const uint8_t *p);

extern const TEST block_tests[];
extern const TEST block_hostile_tests[];
extern const TEST extent_tests[];
extern const TEST log_tests[];
extern const TEST log_hostile_tests[];
extern const TEST home_tests[];
extern const TEST metadata_tests[];
extern const TEST failure_tests[];

#endif
