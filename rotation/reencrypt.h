/*
 * rotation/reencrypt.h -- A home's units rewritten in place under the active data keys.
 *
 * Layer: rotation; uses keystore, datafile and crypto. design.md 8: the host is stopped; every block,
 * log record and avail list's metadata, live or stale, whose data key is not the active one of its
 * keyid is decrypted, encrypted again and written back to its place; sizes and the checksums of blocks
 * stay. The journal (reencrypt_journal.h) makes it survive a kill at any point; what is done is
 * not done again.
 *
 * What is left of overwritten blocks is no unit any more. The start of one, with its nonce, could still
 * be decrypted in part by who has the old key: it is zeroed where an authentic block stands inside
 * what was its place, for the engine writes there only what is free to no checkpoint; elsewhere it
 * is reported. Remains without their start lost 96 random bits of nonce and open to nobody.
 */
#ifndef WTKMS_ROTATION_REENCRYPT_H
#define WTKMS_ROTATION_REENCRYPT_H

#include "keystore/keyring.h"
#include "rotation/reencrypt_journal.h"

#define REENCRYPT_FINDINGS_MAX 1000 /* kept; all are counted */
#define REENCRYPT_THREADS_MAX 256

typedef struct {
    const char *log_path; /* NULL: none; as home_walk has it */
    unsigned threads;
    uint64_t throttle;  /* bytes a second, 0: none */
    bool plan;          /* read headers, count, estimate; write nothing to the home's files */
    bool finish;        /* only bring in order what an interrupted run left */
    const char *reason; /* for the history; may be NULL */
    /* Asked often; true: stop where all is in order. May be NULL, as progress. */
    bool (*interrupted)(void *context);
    void (*started)(void *context, uint64_t total); /* bytes that will be read */
    void (*progress)(void *context, uint64_t bytes);
    void *context;
} REENCRYPT_OPTIONS;

/* What the units of one data key came to. */
typedef struct {
    uint64_t id, active_id; /* active_id 0: the keyid has none */
    char *keyid;            /* empty: the key is not in the keystore */
    bool known;
    uint64_t units, bytes; /* as found */
} REENCRYPT_USE;

/* Something that stayed as it is and is under no active key, or may be. */
typedef struct {
    char *path;
    uint64_t offset;
    char *what;
} REENCRYPT_FINDING;

typedef struct {
    REENCRYPT_REPLAY replay;
    bool unfinished; /* a plan only: a journal is there */
    uint64_t files, total;
    REENCRYPT_USE *uses;
    size_t use_count;
    uint64_t due, due_bytes;             /* units under keys that are not active */
    uint64_t rewritten, rewritten_bytes; /* of whole blocks and records */
    uint64_t zeroed;                     /* starts of overwritten blocks */
    uint64_t untouched;                  /* units that no key opens, files that cannot be read */
    uint64_t remains;                    /* starts of blocks that may belong to something */
    REENCRYPT_FINDING *findings;         /* of the last two */
    size_t finding_count;
    bool stopped;       /* interrupted said so: not all was looked at */
    int64_t generation; /* of the keystore, with the event when something was rewritten */
    double seconds;     /* taken, or in a plan estimated */
} REENCRYPT_RESULT;

/*
 * reencrypt_home -- Re-encrypt a home, or go on where an interrupted run stopped. Holds WiredTiger's lock
 *     meanwhile, so that no host starts; must not be called in a process that has the home open.
 *     Needs about 55 MiB, or where that is more three times the largest unit and 28 MiB. The caller
 *     releases *result, also after an error. STATUS_BUSY, "host-running"; STATUS_REFUSED: tiered
 *     storage; what reencrypt_journal_replay says; STATUS_IO: a batch may be half in place, and
 *     another run puts it right; STATUS_NO_MEMORY, STATUS_INTERNAL.
 */
int reencrypt_home(int home_fd, KEYRING *keyring, const REENCRYPT_OPTIONS *options,
  REENCRYPT_RESULT *result, STATUS *status) WTKMS_CHECKED;

/* reencrypt_release -- Free what a result holds. Allowed on one that is zeroed or released. */
void reencrypt_release(REENCRYPT_RESULT *result);

#endif
