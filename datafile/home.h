/*
 * datafile/home.h -- The files of a database's home: which are there and what they are.
 *
 * Layer: datafile. Reads only. Safe inside the host: works relative to a directory descriptor, never
 * changes the working directory, and never opens a file on which some process holds a POSIX lock
 * (closing any descriptor of it would release the host's own lock): neither WiredTiger.lock under any
 * name it is linked as, nor others that /proc/locks names. Data files are told by their magic; names
 * decide only for the engine's and our own text files. Paths are bytes: they may hold spaces, newlines
 * and what is no UTF-8. Symbolic links are followed, each directory and file is visited once.
 * Thread-safe: no shared state.
 */
#ifndef WTKMS_DATAFILE_HOME_H
#define WTKMS_DATAFILE_HOME_H

#include "common/status.h"
#include "datafile/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum {
    HOME_BLOCK_FILE, /* by magic: tables, indexes, history; WiredTiger.wt has is_metadata set */
    HOME_LOG_FILE,   /* by magic: preallocated ones too */
    HOME_TURTLE,     /* WiredTiger.turtle, .turtle.set */
    HOME_BACKUP_METADATA, /* WiredTiger.backup, .ibackup, .export: metadata in clear */
    HOME_BASE_CONFIG,     /* WiredTiger.basecfg, .basecfg.set */
    HOME_USER_CONFIG,     /* WiredTiger.config, the mirror */
    HOME_VERSION,         /* WiredTiger: says nothing */
    HOME_KEYSTORE,        /* wtkms.keystore, .prev, .new */
    HOME_OWN_OTHER,       /* wtkms.state, locks and others whose name starts with "wtkms." */
    HOME_OTHER,           /* a regular file that is none of these */
    HOME_LOCKED,          /* not opened: a POSIX lock is held, or WiredTiger.lock */
    HOME_UNREADABLE,      /* a file or directory that could not be opened: error says why */
    HOME_SPECIAL          /* not opened: socket, pipe, device, dangling link */
} HOME_FILE_KIND;

typedef struct {
    const char *path; /* relative to the home, or as the log path says */
    const char *name; /* its last part */
    HOME_FILE_KIND kind;
    bool is_metadata;  /* WiredTiger.wt in the home itself, whatever its kind */
    bool is_directory; /* HOME_UNREADABLE only */
    bool in_log_path;  /* below the configured log path */
    int error;         /* HOME_UNREADABLE: errno */
    int fd;            /* open for reading, the walk closes it; -1 where nothing was opened */
    uint64_t size;
    uint64_t allocated; /* bytes on disk: sparse files */
    dev_t device;
    ino_t inode;
    struct timespec modified;
} HOME_FILE;

typedef struct {
    const char *log_path; /* NULL: none configured; relative to the home or absolute */
} HOME_OPTIONS;

#define HOME_DEPTH_MAX 32
#define HOME_ENTRIES_MAX (4u * 1024 * 1024) /* files and directories of one home */

/*
 * home_walk -- Call file for every file of the home and of the log path, in order of name within each
 *     directory (the log path last). What vanishes meanwhile is passed over. options may be NULL.
 *     Memory is bounded by the names of one directory on each level. STATUS_IO: the home itself
 *     cannot be read, or /proc/locks says something unreadable; STATUS_REFUSED, "home-too-large";
 *     STATUS_NO_MEMORY; what file returned (WALK_STOP ends with success).
 */
int home_walk(int home_fd, const HOME_OPTIONS *options,
  int (*file)(void *context, const HOME_FILE *file, STATUS *status), void *context,
  STATUS *status) WTKMS_CHECKED;

typedef struct {
    bool has_data;
    HOME_FILE_KIND kind; /* of the file that decided */
    char path[512];      /* its path, shortened where longer, for messages */
} HOME_EVIDENCE;

/*
 * home_has_data -- Whether a database has ever written here: WiredTiger.turtle, WiredTiger.wt, a
 *     backup's metadata, any block file, any log file with a record in it. Preallocated and fresh log
 *     files, WiredTiger, WiredTiger.lock and the configuration files alone are no data. A file that
 *     cannot be read is an error, since it could be data; so is a directory, but for lost+found.
 *     STATUS_IO and those of home_walk.
 */
int home_has_data(
  int home_fd, const HOME_OPTIONS *options, HOME_EVIDENCE *evidencep, STATUS *status) WTKMS_CHECKED;

/*
 * home_refuse_unfinished -- STATUS_REFUSED, "reencrypt-unfinished": the home has the journal of a
 *     re-encryption that was interrupted, so a block may be half written. STATUS_REFUSED,
 *     "copy-unfinished": a restore or a copy to here is not finished, so this is no home. Whoever opens
 *     a home to write to it or to its keystore asks this first. STATUS_IO.
 */
#define HOME_REENCRYPT_JOURNAL "wtkms.reencrypt"
#define HOME_UNFINISHED "wtkms.unfinished" /* of a copy or restore: see snapshot/manifest.h */
int home_refuse_unfinished(int home_fd, STATUS *status) WTKMS_CHECKED;

/*
 * home_log_path -- The log path in WiredTiger.basecfg, if the application used one. *pathp is NULL when
 *     there is none; the caller frees it. STATUS_IO, STATUS_NO_MEMORY.
 */
int home_log_path(int home_fd, char **pathp, STATUS *status) WTKMS_CHECKED;

/*
 * home_newest_log -- The newest log file: the highest number N of WiredTigerLog.N with a log file's
 *     magic, in the first of log path, journal/ and the home that has any. *pathp (relative to the
 *     home or as the log path says) is NULL and *fdp -1 when there is none; the caller frees and
 *     closes them. STATUS_IO, STATUS_NO_MEMORY.
 */
int home_newest_log(
  int home_fd, const HOME_OPTIONS *options, char **pathp, int *fdp, STATUS *status) WTKMS_CHECKED;

/*
 * home_open_data -- Open one file of the home for reading with the same care: not a locked file, a
 *     regular one. *fdp is -1 when there is none; the caller closes it. STATUS_IO, STATUS_REFUSED.
 */
int home_open_data(int home_fd, const char *path, int *fdp, STATUS *status) WTKMS_CHECKED;

#endif
