/*
 * extension/refusal.c -- Remember a refusal. See refusal.h.
 */
#include "extension/refusal.h"

#include "common/clock.h"
#include "keystore/keyring.h"
#include "keystore/mirror.h"

#include <sys/stat.h>

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define REFUSALS 8 /* homes of one process that may be refused at a time */

typedef struct {
    ino_t inode;
    off_t size;
    struct timespec changed;
} FILE_MARK;

typedef struct {
    dev_t device;
    ino_t inode;
    time_t when; /* 0: unused */
    FILE_MARK marks[3];
    STATUS status;
} REFUSAL;

static REFUSAL refusals[REFUSALS];
static pthread_mutex_t refusals_mutex = PTHREAD_MUTEX_INITIALIZER;

static time_t
now(void)
{
    return ((time_t)(clock_ms() / 1000) + 1);
}

static void
mark_file(int dirfd, const char *path, FILE_MARK *mark)
{
    struct stat sb;

    memset(mark, 0, sizeof(*mark));
    if (path == NULL || fstatat(dirfd, path, &sb, 0) != 0)
        return;
    mark->inode = sb.st_ino;
    mark->size = sb.st_size;
    mark->changed = sb.st_ctim;
}

static void
mark_all(int home_fd, const char *config_path, FILE_MARK marks[3])
{
    mark_file(AT_FDCWD, config_path, &marks[0]);
    mark_file(home_fd, KEYRING_FILE, &marks[1]);
    mark_file(home_fd, MIRROR_FILE, &marks[2]);
}

static bool
same_marks(const FILE_MARK a[3], const FILE_MARK b[3])
{
    unsigned i;

    for (i = 0; i < 3; i++)
        if (a[i].inode != b[i].inode || a[i].size != b[i].size ||
            a[i].changed.tv_sec != b[i].changed.tv_sec ||
            a[i].changed.tv_nsec != b[i].changed.tv_nsec)
            return (false);
    return (true);
}

bool
refusal_recall(int home_fd, const char *config_path, STATUS *status)
{
    FILE_MARK marks[3];
    struct stat sb;
    time_t age;
    unsigned i;
    bool found = false;

    if (fstat(home_fd, &sb) != 0)
        return (false);
    mark_all(home_fd, config_path, marks);
    (void)pthread_mutex_lock(&refusals_mutex);
    for (i = 0; i < REFUSALS && !found; i++) {
        if (refusals[i].when == 0 || refusals[i].device != sb.st_dev ||
            refusals[i].inode != sb.st_ino)
            continue;
        age = now() - refusals[i].when;
        if (age >= REFUSAL_SECONDS || !same_marks(refusals[i].marks, marks)) {
            refusals[i].when = 0;
            continue;
        }
        *status = refusals[i].status;
        (void)status_add(status, "as said %lld seconds ago", (long long)age);
        found = true;
    }
    (void)pthread_mutex_unlock(&refusals_mutex);
    return (found);
}

void
refusal_remember(int home_fd, const char *config_path, const STATUS *status)
{
    REFUSAL *slot;
    struct stat sb;
    unsigned i;

    if (fstat(home_fd, &sb) != 0)
        return;
    (void)pthread_mutex_lock(&refusals_mutex);
    slot = &refusals[0];
    for (i = 0; i < REFUSALS; i++) {
        if (refusals[i].when != 0 && refusals[i].device == sb.st_dev &&
            refusals[i].inode == sb.st_ino) {
            slot = &refusals[i];
            break;
        }
        if (refusals[i].when < slot->when)
            slot = &refusals[i];
    }
    slot->device = sb.st_dev;
    slot->inode = sb.st_ino;
    slot->when = now();
    slot->status = *status;
    mark_all(home_fd, config_path, slot->marks);
    (void)pthread_mutex_unlock(&refusals_mutex);
}
