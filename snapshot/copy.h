/*
 * snapshot/copy.h -- A copy of a home as one row: which keys it needs, and what could not be judged.
 *
 * Layer: snapshot. Made from files that were looked at without any key, so a row is what the files
 * say: a keystore's seal is not checked. Strings are bytes from disks that others wrote: whoever
 * prints them makes them safe. Memory of libbson. Not thread-safe.
 */
#ifndef WTKMS_SNAPSHOT_COPY_H
#define WTKMS_SNAPSHOT_COPY_H

#include "keystore/keystore.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    COPY_ENCRYPTED,
    COPY_PLAIN,            /* data, none of it encrypted: "Not enabled" */
    COPY_PREPARED,         /* a keystore and no data yet */
    COPY_EMPTY,            /* the engine's own files and neither */
    COPY_KEYSTORE_MISSING, /* encrypted, and neither keystore nor mirror is with it */
    COPY_UNKNOWN           /* encrypted by something else, or nothing of it could be read */
} COPY_STATE;

typedef struct {
    char *scope;
    char *provider;
    char *key_id; /* the Encryption Key ID, as the key service names it */
    char *credential;
    bool opened;  /* by wtkms.state: this one opened the home last */
    char *access; /* asked: "opens", "pending deletion" or a class; NULL: not asked */
    char *detail; /* of a failed access */
} COPY_RECIPIENT;

typedef struct {
    uint64_t id;
    char *keyid; /* NULL: the keystore does not have it */
    uint32_t version;
} COPY_DATA_KEY;

typedef struct {
    char *scope;
    uint64_t id;
} COPY_MASTER;

typedef struct {
    char *host; /* where it was found */
    char *node; /* the label in its keystore, or "" */
    char *path;
    char *member; /* directory inside the archive at path; NULL: path is the copy itself */
    bool is_archive;
    bool is_oplog; /* a sealed oplog archive, not a copy of a home */
    bool running;  /* a process has it open: a live home */
    bool expiring; /* its removal was interrupted; not in inventories' files */
    COPY_STATE state;
    bool has_keystore; /* of its own */
    bool from_mirror;  /* keys are those that WiredTiger.config carries */
    bool partial;      /* and that is a part of the keystore */
    char *uuid;        /* of the keystore, or NULL */
    int64_t generation;
    int64_t searched;                         /* ms: when this was seen */
    int64_t checkpoint, modified, keep_until; /* ms; 0: not known, none */
    uint64_t size, files;
    COPY_RECIPIENT *recipients; /* of the active master keys; every scope must be opened */
    size_t recipient_count;
    COPY_MASTER *masters;
    size_t master_count;
    COPY_DATA_KEY *keys; /* in use, as far as was read */
    size_t key_count;
    uint64_t plain_tables; /* beside encrypted ones */
    bool sampled;          /* not every unit was read */
    bool unjudged;
    char **problems;
    size_t problem_count;
    const KEYSTORE
      *keystore; /* the inventory's, for who asks key services; NULL when read from a file */
} COPY;

/* copy_state_name, copy_state_parse -- "encrypted", "Not enabled", ...; false for a word that is none. */
const char *copy_state_name(COPY_STATE state);
bool copy_state_parse(const char *name, COPY_STATE *statep);

/* copy_problem -- Note what is wrong; unjudged: so that the row could be wrong. */
void copy_problem(COPY *copy, bool unjudged, const char *fmt, ...)
  __attribute__((format(printf, 3, 4)));

void copy_release(COPY *copy);

#endif
