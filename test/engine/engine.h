/*
 * test/engine/engine.h -- What the tests on real WiredTiger engines share.
 *
 * One program for each engine, compiled against that engine's header and library by test/engine/run,
 * which says in the environment where things are:
 *
 *   WTKMS_MODULE, WTKMS_COMMAND   the extension and the wtkms under test
 *   ENGINE_KEYSTORE               tools/engine_keystore
 *   ENGINE_DIR                    lib/libwiredtiger_{snappy,zlib}.so and bin/wt of this engine
 *   ENGINE_VIA                    "mirror" (default): HOME/WiredTiger.config, as wtkms init writes it,
 *                                 is all that the engine is told; "string": the open string says it
 *   WTKMS_LONG                    1: the long counts
 *
 * A scenario runs twice, encrypted and as a plain twin. Afterwards every file of the home is searched
 * for MARKER, which every key and value holds: no hit in the one, hits in the other.
 */
#ifndef WTKMS_TEST_ENGINE_H
#define WTKMS_TEST_ENGINE_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <wiredtiger.h>

#include "test/testmain.h"

#define ENGINE_VERSION \
    (WIREDTIGER_VERSION_MAJOR * 10000 + WIREDTIGER_VERSION_MINOR * 100 + WIREDTIGER_VERSION_PATCH)

#define MARKER "WTKMS-PLAINTEXT-MARKER"

/* A database's home, its configuration, and the connection to it while open. */
typedef struct HOST HOST;
struct HOST {
    WT_EVENT_HANDLER handler; /* first: the engine hands it back */
    bool encrypted;
    bool via_string;
    bool wt_without_log; /* wt is not told of the journal */
    char name[64];
    char home[PATH_MAX - 128];
    char config_file[PATH_MAX]; /* wtkms.conf, beside the home */
    unsigned cache_mb;
    WT_CONNECTION *conn;
    char errors[16384]; /* what the engine printed as errors since the last open */
    HOST *next;
};

typedef void (*SCENARIO)(HOST *host);

/* Run a scenario encrypted and plain, search both homes, and let wtkms check the encrypted one. */
void engine_scenario(const char *name, SCENARIO scenario);

/* Run a scenario that has no plain twin. The home is not searched: the scenario does what it needs. */
void engine_encrypted(const char *name, SCENARIO scenario);

/* Fail the test, saying what returned what, unless ret is 0. */
void engine_ok(HOST *host, int ret, const char *what, const char *file, int line);
#define OK(host, call) engine_ok((host), (call), #call, __FILE__, __LINE__)
#define REQUIRE(condition) CU_ASSERT_FATAL(condition)

/*
 * host_new -- A fresh home under the scratch directory; when encrypted with a key, a wtkms.conf of
 * the local provider and, unless the open string says it all, what "wtkms init" writes.
 */
HOST *host_new(const char *name, bool encrypted);

/* A host for a home that exists: a copy. It uses the configuration of the host it is a copy of. */
HOST *host_copy(const HOST *of, const char *name);

/*
 * host_open -- wiredtiger_open with the string of the mongod that carries this engine. extra comes
 * last, so it overrides; NULL for none. On success the connection is host->conn.
 */
int host_open(HOST *host, const char *extra);
int host_close(HOST *host);
WT_SESSION *host_session(HOST *host);

/* Verify a table; what the engine is still busy with (a checkpoint, the sweep) is tried again. */
void host_verify(HOST *host, WT_SESSION *session, const char *uri);

/* Close what a failed test left open, remove all homes and forget them. */
void hosts_clear(void);

/* The same configuration for wt's -C: extensions, encryption, journal. */
const char *host_wt_config(const HOST *host);

/* The engine part alone: "extensions=[...],encryption=(...)," as the open string carries it. */
void host_engine_config(const HOST *host, char *buf, size_t size);

/* mongod's table strings: of a collection and of an index. logged: standalone, or oplog. */
const char *mongod_collection(bool logged);
const char *mongod_index(bool logged);

/*
 * Rows whose content follows from (key, round, size), so that a reader can tell what must be there.
 * They know key formats q, r, S and u, and value formats S, u and 8t.
 */
void rows_put(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last,
  int round, size_t size);
void rows_remove(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last);
/* Read by key; round -1 asserts that the row is not there. */
void rows_check(HOST *host, WT_SESSION *session, const char *uri, int64_t first, int64_t last,
  int round, size_t size);
/* Scan forwards and backwards; both must see exactly this number of rows, in order. */
void rows_count(
  HOST *host, WT_SESSION *session, const char *uri, const char *config, int64_t expected);
void row_set_key(WT_CURSOR *cursor, int64_t key);
void row_set_value(WT_CURSOR *cursor, int64_t key, int round, size_t size);
bool row_value_is(WT_CURSOR *cursor, int64_t key, int round, size_t size);

/* Files. */
int64_t files_search(const char *dir, const char *text); /* occurrences in every file below dir */
int64_t file_search(const char *dir, const char *name, const char *text);
void files_copy(const char *from, const char *to); /* recursively; WiredTiger.lock is left out */
void files_remove(const char *dir);
void file_copy(const char *from_dir, const char *to_dir, const char *name);
int64_t file_size(const char *dir, const char *name);
bool file_exists(const char *dir, const char *name);
void file_write(const char *dir, const char *name, const void *data, size_t size, unsigned mode);
uint64_t files_fingerprint(const char *dir); /* names and bytes, without locks and wtkms.state */
void path_join(char *buf, size_t size, const char *dir, const char *name);

/*
 * program_run -- Run a program, bounded in time; its exit code, or 128 and the signal. What it printed
 * (both streams) is in *outputp when asked for, to be freed by the caller.
 */
int program_run(char **outputp, const char *const argv[]);
int wt_run(HOST *host, char **outputp, ...) __attribute__((sentinel)); /* wt -h HOME ... */
int wtkms_run(HOST *host, char **outputp, ...)
  __attribute__((sentinel)); /* wtkms ... --config FILE */

bool engine_long(void);
double engine_seconds(void);
uint32_t engine_random(uint32_t *state);

#endif
