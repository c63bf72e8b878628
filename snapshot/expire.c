/*
 * snapshot/expire.c -- Copies in directories. See expire.h.
 */
#include "snapshot/expire.h"

#include "common/clock.h"
#include "common/file.h"
#include "datafile/engine_lock.h"
#include "keystore/keyring.h"
#include "rotation/copy_lock.h"
#include "snapshot/file_copy.h"

#include <bson/bson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 64
#define TEXT_MAX ((size_t)64 * 1024) /* files up to this are compared by their hash */

/* Ours, or the engine's, without content: they come into a copy when it is looked at. */
static const char *const own_files[] = {
  ENGINE_LOCK_FILE, KEYRING_LOCK, COPY_LOCK_FILE, MANIFEST_UNFINISHED_FILE ".new"};

typedef struct {
    const char *path; /* of the copy */
    const MANIFEST *manifest;
    uint64_t found; /* files of the manifest */
} LOOKING;

int
expire_kept(STATUS *status, const char *path, const char *fmt, ...)
{
    va_list ap;
    char text[800];

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return (status_set(status, STATUS_REFUSED, "expire-kept", "%s stays: %s", path, text));
}

void
expire_release(EXPIRE *expire)
{
    manifest_free(expire->manifest);
    memset(expire, 0, sizeof(*expire));
}

int
expire_check_date(const MANIFEST *manifest, const char *path, int64_t now_ms, STATUS *status)
{
    if (manifest->keep_until == 0)
        return (expire_kept(status, path, "its manifest does not say until when it is kept"));
    if (manifest->keep_until > now_ms)
        return (expire_kept(status, path, "its date has not passed"));
    return (0);
}

/* --- what is in the directory */

static bool
is_own(const char *name, bool at_root)
{
    size_t i;

    for (i = 0; at_root && i < sizeof(own_files) / sizeof(own_files[0]); i++)
        if (strcmp(name, own_files[i]) == 0)
            return (true);
    return (
      at_root && (strcmp(name, MANIFEST_FILE) == 0 || strcmp(name, MANIFEST_UNFINISHED_FILE) == 0));
}

/* Of a small file: those that the engine changes at each open are among them. */
static int
check_content(
  LOOKING *looking, int dir_fd, const char *name, const MANIFEST_ENTRY *entry, STATUS *status)
{
    uint8_t *data, sha256[MAC_LEN];
    size_t len;
    int ret;
    bool same;

    if (entry->size > TEXT_MAX)
        return (0);
    if ((ret = file_read(dir_fd, name, TEXT_MAX, true, NULL, &data, &len, status)) != 0)
        return (ret);
    ret = mac_sha256(data, len, sha256, status);
    same = ret == 0 && memcmp(sha256, entry->sha256, sizeof(sha256)) == 0;
    free(data);
    if (ret == 0 && !same)
        ret = expire_kept(status, looking->path,
          "%s is not what it was when the copy was made: somebody may have used it as a home",
          entry->path);
    return (ret);
}

static int
look_at_file(LOOKING *looking, int dir_fd, const char *name, const char *below,
  const struct stat *sb, STATUS *status)
{
    const MANIFEST_ENTRY *entry;

    if (!S_ISREG(sb->st_mode))
        return (expire_kept(
          status, looking->path, "%s is no file, and the copy was made of files", below));
    if (looking->manifest == NULL || (entry = manifest_find(looking->manifest, below)) == NULL)
        return (expire_kept(status, looking->path, "%s is not of the copy", below));
    looking->found++;
    if ((uint64_t)sb->st_size != entry->size)
        return (expire_kept(status, looking->path,
          "%s has not the size that it had when the copy was made: somebody may have used it as a "
          "home",
          below));
    return (check_content(looking, dir_fd, name, entry, status));
}

static int look_at_dir(
  LOOKING *looking, int dir_fd, const char *below, unsigned depth, STATUS *status) WTKMS_CHECKED;

static int
look_at(
  LOOKING *looking, int dir_fd, const char *name, const char *below, unsigned depth, STATUS *status)
{
    struct stat sb;
    int fd, ret;

    if (fstatat(dir_fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return (errno == ENOENT
                  ? 0
                  : status_set_errno(status, errno, "expire-read", "%s/%s", looking->path, below));
    if (!S_ISDIR(sb.st_mode))
        return (look_at_file(looking, dir_fd, name, below, &sb, status));
    if (depth >= DEPTH_MAX)
        return (expire_kept(status, looking->path, "its directories are nested too deep"));
    if ((fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "expire-read", "%s/%s", looking->path, below));
    ret = look_at_dir(looking, fd, below, depth + 1, status);
    (void)close(fd);
    return (ret);
}

static int
look_at_dir(LOOKING *looking, int dir_fd, const char *below, unsigned depth, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;
    char *path;
    int ret = 0;

    if ((dir = file_list(dir_fd)) == NULL)
        return (status_set_errno(status, errno, "expire-read", "%s/%s", looking->path, below));
    while (ret == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            is_own(entry->d_name, below[0] == '\0'))
            continue;
        path = below[0] == '\0' ? bson_strdup(entry->d_name)
                                : bson_strdup_printf("%s/%s", below, entry->d_name);
        ret = look_at(looking, dir_fd, entry->d_name, path, depth, status);
        bson_free(path);
    }
    if (ret == 0 && errno != 0)
        ret = status_set_errno(status, errno, "expire-read", "%s/%s", looking->path, below);
    (void)closedir(dir);
    return (ret);
}

/* --- judging */

static int
host_running(const char *path, STATUS *status)
{
    return (
      status_set(status, STATUS_BUSY, "host-running", "%s stays: a process has it open", path));
}

static int
refuse_running(int fd, const char *path, STATUS *status)
{
    int ret;
    bool held;

    if ((ret = engine_lock_look(fd, path, &held, NULL, status)) != 0)
        return (ret);
    return (held ? host_running(path, status) : 0);
}

/* What the marker says, when there is one. *oursp: a removal of ours was interrupted. */
static int
read_marker(int fd, const char *path, bool *oursp, STATUS *status)
{
    static const char expiring[] = MANIFEST_UNFINISHED_EXPIRE "\n";
    uint8_t *text;
    size_t len;
    int ret;
    bool found;

    *oursp = false;
    if ((ret = file_read(fd, MANIFEST_UNFINISHED_FILE, MANIFEST_UNFINISHED_MAX_BYTES, true, &found,
           &text, &len, status)) != 0 ||
        !found)
        return (ret);
    *oursp = len >= sizeof(expiring) - 1 && memcmp(text, expiring, sizeof(expiring) - 1) == 0;
    free(text);
    if (!*oursp)
        return (expire_kept(status, path, "it is no whole copy, or is being made or restored now"));
    return (0);
}

int
expire_check_dir(int fd, const char *path, int64_t now_ms, EXPIRE *expire, STATUS *status)
{
    LOOKING looking = {path, NULL, 0};
    uint8_t *data;
    size_t len;
    int ret;
    bool found, resumed;

    memset(expire, 0, sizeof(*expire));
    if ((ret = read_marker(fd, path, &resumed, status)) != 0 ||
        (ret = file_read(
           fd, MANIFEST_FILE, MANIFEST_MAX_BYTES, true, &found, &data, &len, status)) != 0)
        return (ret);
    if (found) {
        ret = manifest_decode(data, len, &expire->manifest, status);
        free(data);
        if (ret != 0)
            return (status_add(status, "%s stays", path));
        looking.manifest = expire->manifest;
        if ((ret = expire_check_date(expire->manifest, path, now_ms, status)) != 0)
            return (ret);
    } else if (!resumed)
        return (expire_kept(status, path, "it has no manifest"));
    if ((ret = look_at_dir(&looking, fd, "", 0, status)) != 0)
        return (ret);
    if (!resumed && looking.found < expire->manifest->entry_count)
        return (expire_kept(status, path, "%llu of the %zu files of its manifest are not there",
          (unsigned long long)(expire->manifest->entry_count - looking.found),
          expire->manifest->entry_count));
    return (refuse_running(fd, path, status));
}

/* --- removing */

static int
remove_own(int fd, const char *name, STATUS *status)
{
    if (unlinkat(fd, name, 0) != 0 && errno != ENOENT)
        return (status_set_errno(status, errno, "copy-remove", "removing %s", name));
    return (0);
}

static int
write_marker(int fd, STATUS *status)
{
    char text[MANIFEST_UNFINISHED_MAX_BYTES];
    struct stat sb;
    int len;

    if (fstatat(fd, MANIFEST_UNFINISHED_FILE, &sb, AT_SYMLINK_NOFOLLOW) == 0)
        return (0);
    len = snprintf(text, sizeof(text), "%s\npid %ld, began at %lld s\n", MANIFEST_UNFINISHED_EXPIRE,
      (long)getpid(), (long long)clock_unix_seconds());
    /* Not a byte at a time: a marker that does not say whose it is would be nobody's to go on with. */
    return (file_replace(fd, MANIFEST_UNFINISHED_FILE, text, (size_t)len, 0600, false, status));
}

/* Until all of it is gone, the manifest has the names of what is left. */
static int
remove_files(int fd, const EXPIRE *expire, STATUS *status)
{
    size_t i;
    int ret;

    if ((ret = write_marker(fd, status)) != 0)
        return (ret);
    for (i = 0; expire->manifest != NULL && i < expire->manifest->entry_count; i++)
        if ((ret = file_copy_remove(fd, expire->manifest->entries[i].path, status)) != 0)
            return (ret);
    if (fsync(fd) != 0)
        return (status_set_errno(status, errno, "copy-sync", "fsync of the copy's directory"));
    for (i = 0; i < sizeof(own_files) / sizeof(own_files[0]); i++)
        if ((ret = remove_own(fd, own_files[i], status)) != 0)
            return (ret);
    if ((ret = remove_own(fd, MANIFEST_FILE, status)) != 0)
        return (ret);
    if (fsync(fd) != 0)
        return (status_set_errno(status, errno, "copy-sync", "fsync of the copy's directory"));
    return (remove_own(fd, MANIFEST_UNFINISHED_FILE, status));
}

int
expire_remove_dir(int fd, const char *path, const EXPIRE *expire, STATUS *status)
{
    int lock_fd, ret;

    /* So that no engine is started on what is about to go. */
    if ((ret = engine_lock_take(fd, path, 0600, &lock_fd, status)) != 0)
        return (ret);
    if (lock_fd < 0)
        return (host_running(path, status));
    ret = remove_files(fd, expire, status);
    (void)close(lock_fd);
    return (ret);
}
