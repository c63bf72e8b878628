/*
 * datafile/home.c -- Has a database written here, and which log is its newest? See home.h.
 */
#include "datafile/home.h"

#include "common/file.h"
#include "datafile/home_guard.h"
#include "datafile/log_file.h"
#include "datafile/metadata_text.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BASE_CONFIG_MAX ((size_t)1024 * 1024)
#define LOG_PREFIX "WiredTigerLog."
#define LOG_DIGITS 10

static void
decided(HOME_EVIDENCE *evidence, const char *path, HOME_FILE_KIND kind)
{
    evidence->has_data = true;
    evidence->kind = kind;
    (void)snprintf(evidence->path, sizeof(evidence->path), "%s", path);
}

static int
judge(void *context, const HOME_FILE *file, STATUS *status)
{
    HOME_EVIDENCE *evidence = context;
    LOG_FILE log;
    bool has;
    int ret;

    switch (file->kind) {
    case HOME_BLOCK_FILE:
    case HOME_TURTLE:
    case HOME_BACKUP_METADATA:
        decided(evidence, file->path, file->kind);
        return (WALK_STOP);
    case HOME_LOG_FILE:
        has = true;
        if ((ret = log_file_open(&log, file->fd, file->path, true, status)) == 0)
            ret = log_file_has_records(&log, &has, status);
        log_file_close(&log);
        if (ret == STATUS_CORRUPT)
            has = true; /* made to waste time: certainly not empty */
        else if (ret != 0)
            return (ret);
        if (!has)
            return (0);
        decided(evidence, file->path, file->kind);
        return (WALK_STOP);
    case HOME_UNREADABLE:
        /* The file system's own, in the root of every ext4. */
        if (file->is_directory && strcmp(file->name, "lost+found") == 0)
            return (0);
        status_set_errno(status, file->error, "home-unreadable",
          "cannot read %s, so it is not known whether it is data", file->path);
        return (status_hint(status, "give it to the user that the database runs as"));
    case HOME_BASE_CONFIG:
    case HOME_USER_CONFIG:
    case HOME_VERSION:
    case HOME_KEYSTORE:
    case HOME_OWN_OTHER:
    case HOME_OTHER:
    case HOME_LOCKED:
    case HOME_SPECIAL:
        break;
    }
    if (file->is_metadata) {
        decided(evidence, file->path, file->kind);
        return (WALK_STOP);
    }
    return (0);
}

int
home_has_data(int home_fd, const HOME_OPTIONS *options, HOME_EVIDENCE *evidencep, STATUS *status)
{
    static const struct {
        const char *name;
        HOME_FILE_KIND kind;
    } certain[] = {
      {"WiredTiger.turtle", HOME_TURTLE},
      {"WiredTiger.wt", HOME_BLOCK_FILE},
      {"WiredTiger.backup", HOME_BACKUP_METADATA},
      {"WiredTiger.ibackup", HOME_BACKUP_METADATA},
    };
    struct stat st;
    size_t i;

    memset(evidencep, 0, sizeof(*evidencep));
    /* Most homes are told by a name, however many files there are. */
    for (i = 0; i < sizeof(certain) / sizeof(certain[0]); i++)
        if (fstatat(home_fd, certain[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            decided(evidencep, certain[i].name, certain[i].kind);
            return (0);
        }
    return (home_walk(home_fd, options, judge, evidencep, status));
}

int
home_log_path(int home_fd, char **pathp, STATUS *status)
{
    METADATA_TEXT value;
    uint8_t *text;
    size_t len;
    bool found;
    int ret;

    *pathp = NULL;
    if ((ret = file_read(home_fd, "WiredTiger.basecfg", BASE_CONFIG_MAX, false, &found, &text, &len,
           status)) != 0)
        return (ret);
    if (!found)
        return (0);
    if (metadata_text_get((const char *)text, len, "log.path", &value) && value.length != 0 &&
        memchr(value.text, '\0', value.length) == NULL)
        if ((*pathp = strndup(value.text, value.length)) == NULL)
            ret = status_set_errno(status, ENOMEM, "no-memory", "cannot hold the log path");
    free(text);
    return (ret);
}

/* The number of a log file's name; false: it is none. */
static bool
log_number(const char *name, uint64_t *numberp)
{
    uint64_t number;
    size_t i, len;

    len = strlen(LOG_PREFIX);
    if (strncmp(name, LOG_PREFIX, len) != 0)
        return (false);
    for (name += len, number = 0, i = 0; name[i] >= '0' && name[i] <= '9'; i++) {
        if (i == LOG_DIGITS)
            return (false);
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    *numberp = number;
    return (i == LOG_DIGITS && name[i] == '\0');
}

/* The highest number below limit; false: there is none. */
static bool
highest(DIR *dir, uint64_t limit, uint64_t *numberp)
{
    struct dirent *entry;
    uint64_t number;
    bool found;

    rewinddir(dir);
    for (found = false; (entry = readdir(dir)) != NULL;)
        if (log_number(entry->d_name, &number) && number < limit && (!found || number > *numberp)) {
            *numberp = number;
            found = true;
        }
    return (found);
}

static bool
has_log_magic(int fd)
{
    uint8_t start[LOG_RECORD_HEADER_LEN + 4];
    ssize_t n;

    do
        n = pread(fd, start, sizeof(start), 0);
    while (n < 0 && errno == EINTR);
    return (n > 0 && log_file_is(start, (size_t)n));
}

static int
newest_in(
  int home_fd, const HOME_GUARD *guard, const char *path, char **pathp, int *fdp, STATUS *status)
{
    struct stat st;
    DIR *dir;
    uint64_t number;
    size_t room;
    char name[sizeof(LOG_PREFIX) + LOG_DIGITS];
    int fd, ret;

    if ((fd = openat(home_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return (0);
        return (status_set_errno(status, errno, "home-open", "cannot open the directory %s", path));
    }
    if ((dir = fdopendir(fd)) == NULL) {
        ret = status_set_errno(status, errno, "home-open", "cannot read the directory %s", path);
        (void)close(fd);
        return (ret);
    }
    ret = 0;
    for (number = UINT64_MAX; *fdp < 0 && highest(dir, number, &number);) {
        (void)snprintf(name, sizeof(name), LOG_PREFIX "%010llu", (unsigned long long)number);
        if (fstatat(dirfd(dir), name, &st, 0) != 0 || !S_ISREG(st.st_mode) ||
            home_guard_forbids(guard, name, &st))
            continue;
        if ((fd = home_guard_open(dirfd(dir), name, &st)) < 0) {
            if (errno == ENOENT)
                continue;
            ret = status_set_errno(status, errno, "home-open", "cannot open %s/%s", path, name);
            break;
        }
        /* A crash may leave the newest one empty: then it is the one before. */
        if (!has_log_magic(fd)) {
            (void)close(fd);
            continue;
        }
        room = strlen(path) + sizeof(name) + 1;
        if ((*pathp = malloc(room)) == NULL) {
            (void)close(fd);
            ret = status_set_errno(status, ENOMEM, "no-memory", "cannot hold a path");
            break;
        }
        if (strcmp(path, ".") == 0)
            (void)snprintf(*pathp, room, "%s", name);
        else
            (void)snprintf(*pathp, room, "%s/%s", path, name);
        *fdp = fd;
    }
    (void)closedir(dir);
    return (ret);
}

int
home_newest_log(int home_fd, const HOME_OPTIONS *options, char **pathp, int *fdp, STATUS *status)
{
    HOME_GUARD guard;
    const char *places[3];
    size_t i;
    int ret;

    *pathp = NULL;
    *fdp = -1;
    places[0] = options == NULL ? NULL : options->log_path;
    places[1] = "journal";
    places[2] = ".";
    if ((ret = home_guard_start(&guard, home_fd, status)) == 0)
        for (i = 0; ret == 0 && *fdp < 0 && i < 3; i++)
            if (places[i] != NULL && places[i][0] != '\0')
                ret = newest_in(home_fd, &guard, places[i], pathp, fdp, status);
    home_guard_stop(&guard);
    return (ret);
}

int
home_open_data(int home_fd, const char *path, int *fdp, STATUS *status)
{
    HOME_GUARD guard;
    struct stat st;
    const char *name;
    int ret;

    *fdp = -1;
    if (fstatat(home_fd, path, &st, 0) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return (0);
        return (status_set_errno(status, errno, "home-open", "cannot look at %s", path));
    }
    name = strrchr(path, '/') == NULL ? path : strrchr(path, '/') + 1;
    if ((ret = home_guard_start(&guard, home_fd, status)) != 0)
        goto err;
    if (!S_ISREG(st.st_mode)) {
        ret = status_set(status, STATUS_REFUSED, "home-open", "%s is no regular file", path);
        goto err;
    }
    if (home_guard_forbids(&guard, name, &st)) {
        ret = status_set(
          status, STATUS_REFUSED, "home-open", "%s holds a lock and must not be opened", path);
        goto err;
    }
    if ((*fdp = home_guard_open(home_fd, path, &st)) < 0 && errno != ENOENT)
        ret = status_set_errno(status, errno, "home-open", "cannot open %s", path);
err:
    home_guard_stop(&guard);
    return (ret);
}

/* Whether the home has a file of ours by that name. */
static int
has_file(int home_fd, const char *name, bool *hasp, STATUS *status)
{
    struct stat st;

    *hasp = fstatat(home_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*hasp && errno != ENOENT)
        return (status_set_errno(status, errno, "home-read", "%s", name));
    return (0);
}

int
home_refuse_unfinished(int home_fd, STATUS *status)
{
    bool has;
    int ret;

    if ((ret = has_file(home_fd, HOME_UNFINISHED, &has, status)) != 0)
        return (ret);
    if (has) {
        (void)status_set(status, STATUS_REFUSED, "copy-unfinished",
          "this is no whole database: %s says that a restore or a copy to here was not finished",
          HOME_UNFINISHED);
        return (status_hint(
          status, "run the command that was interrupted again, or remove the directory"));
    }
    if ((ret = has_file(home_fd, HOME_REENCRYPT_JOURNAL, &has, status)) != 0 || !has)
        return (ret);
    (void)status_set(status, STATUS_REFUSED, "reencrypt-unfinished",
      "a re-encryption of this home was interrupted: %s is there", HOME_REENCRYPT_JOURNAL);
    return (status_hint(status,
      "\"wtkms reencrypt HOME\" goes on with it; with --finish it only brings the files in order"));
}
