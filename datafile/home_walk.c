/*
 * datafile/home_walk.c -- All files of a home. See home.h.
 */
#include "datafile/home.h"

#include "common/file.h"
#include "datafile/block_file.h"
#include "datafile/home_guard.h"
#include "datafile/log_file.h"

#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAGIC_LEN 32

typedef struct {
    dev_t device;
    ino_t inode;
    bool used;
} SEEN;

typedef struct {
    HOME_GUARD guard;
    int (*file)(void *context, const HOME_FILE *file, STATUS *status);
    void *context;
    char *path; /* of what is being visited, NUL-terminated */
    size_t path_room;
    SEEN *seen; /* a hash table, a power of two large */
    size_t seen_room, seen_count;
    bool has_log_dir;
    dev_t log_device;
    ino_t log_inode;
} WALK;

typedef struct {
    char **items;
    size_t count, room;
} NAMES;

static int walk_dir(WALK *walk, int dir_fd, size_t path_len, unsigned depth, bool in_log_path,
  bool is_home, STATUS *status) WTKMS_CHECKED;

static int
no_memory(STATUS *status)
{
    return (status_set_errno(status, ENOMEM, "no-memory", "cannot hold the names of files"));
}

static size_t
hash(dev_t device, ino_t inode)
{
    uint64_t h = (uint64_t)inode * 0x9e3779b97f4a7c15u ^ (uint64_t)device;

    return ((size_t)(h ^ h >> 29));
}

static SEEN *
find_slot(SEEN *table, size_t room, dev_t device, ino_t inode)
{
    size_t i;

    for (i = hash(device, inode) & (room - 1);
         table[i].used && (table[i].device != device || table[i].inode != inode);
         i = (i + 1) & (room - 1))
        ;
    return (&table[i]);
}

/* Note a file or directory. *newp: it was not there before. */
static int
note(WALK *walk, const struct stat *st, bool *newp, STATUS *status)
{
    SEEN *grown, *slot;
    size_t i, room;

    *newp = false;
    if (walk->seen_count * 2 >= walk->seen_room) {
        room = walk->seen_room == 0 ? 256 : walk->seen_room * 2;
        if (walk->seen_count >= HOME_ENTRIES_MAX)
            return (status_set(status, STATUS_REFUSED, "home-too-large",
              "more than %u files: this can be no database's home", HOME_ENTRIES_MAX));
        if ((grown = calloc(room, sizeof(*grown))) == NULL)
            return (no_memory(status));
        for (i = 0; i < walk->seen_room; i++)
            if (walk->seen[i].used)
                *find_slot(grown, room, walk->seen[i].device, walk->seen[i].inode) = walk->seen[i];
        free(walk->seen);
        walk->seen = grown;
        walk->seen_room = room;
    }
    slot = find_slot(walk->seen, walk->seen_room, st->st_dev, st->st_ino);
    if (slot->used)
        return (0);
    slot->used = true;
    slot->device = st->st_dev;
    slot->inode = st->st_ino;
    walk->seen_count++;
    *newp = true;
    return (0);
}

/* Put a name behind the first path_len bytes of the path. *lenp: of the whole. */
static int
set_path(WALK *walk, size_t path_len, const char *name, size_t *lenp, STATUS *status)
{
    char *grown;
    size_t len, need;

    len = strlen(name);
    need = path_len + len + 2;
    if (need > walk->path_room) {
        if ((grown = realloc(walk->path, need * 2)) == NULL)
            return (no_memory(status));
        walk->path = grown;
        walk->path_room = need * 2;
    }
    if (path_len > 0 && walk->path[path_len - 1] != '/')
        walk->path[path_len++] = '/';
    memcpy(walk->path + path_len, name, len + 1);
    *lenp = path_len + len;
    return (0);
}

static int
compare_names(const void *a, const void *b)
{
    return (strcmp(*(char *const *)a, *(char *const *)b));
}

static void
free_names(NAMES *names)
{
    size_t i;

    for (i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
    memset(names, 0, sizeof(*names));
}

/* Read and sort a directory. Takes its own descriptor, so that dir_fd stays with the caller. */
static int
read_names(WALK *walk, int dir_fd, NAMES *names, STATUS *status)
{
    struct dirent *entry;
    char **grown;
    DIR *dir;
    size_t room;
    int ret = 0;

    if ((dir = file_list(dir_fd)) == NULL)
        return (status_set_errno(status, errno, "home-read", "cannot read the directory %s",
          walk->path[0] == '\0' ? "." : walk->path));
    for (;;) {
        errno = 0;
        if ((entry = readdir(dir)) == NULL) {
            if (errno != 0)
                ret = status_set_errno(status, errno, "home-read", "cannot read the directory %s",
                  walk->path[0] == '\0' ? "." : walk->path);
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names->count == names->room) {
            room = names->room == 0 ? 64 : names->room * 2;
            if (names->count >= HOME_ENTRIES_MAX) {
                ret = status_set(status, STATUS_REFUSED, "home-too-large",
                  "more than %u files: this can be no database's home", HOME_ENTRIES_MAX);
                break;
            }
            if ((grown = reallocarray(names->items, room, sizeof(*grown))) == NULL) {
                ret = no_memory(status);
                break;
            }
            names->items = grown;
            names->room = room;
        }
        if ((names->items[names->count] = strdup(entry->d_name)) == NULL) {
            ret = no_memory(status);
            break;
        }
        names->count++;
    }
    (void)closedir(dir);
    if (ret == 0 && names->count > 1)
        qsort(names->items, names->count, sizeof(*names->items), compare_names);
    return (ret);
}

static const struct {
    const char *name;
    HOME_FILE_KIND kind;
} by_name[] = {
  {"WiredTiger", HOME_VERSION},
  {"WiredTiger.backup", HOME_BACKUP_METADATA},
  {"WiredTiger.backup.tmp", HOME_BACKUP_METADATA},
  {"WiredTiger.basecfg", HOME_BASE_CONFIG},
  {"WiredTiger.basecfg.set", HOME_BASE_CONFIG},
  {"WiredTiger.config", HOME_USER_CONFIG},
  {"WiredTiger.export", HOME_BACKUP_METADATA},
  {"WiredTiger.ibackup", HOME_BACKUP_METADATA},
  {"WiredTiger.turtle", HOME_TURTLE},
  {"WiredTiger.turtle.set", HOME_TURTLE},
  {"wtkms.keystore", HOME_KEYSTORE},
  {"wtkms.keystore.new", HOME_KEYSTORE},
  {"wtkms.keystore.prev", HOME_KEYSTORE},
};

static int
classify(HOME_FILE *file, bool in_home)
{
    uint8_t magic[MAGIC_LEN];
    ssize_t n;
    size_t i;

    if (in_home) {
        for (i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
            if (strcmp(file->name, by_name[i].name) == 0) {
                file->kind = by_name[i].kind;
                return (0);
            }
        if (strncmp(file->name, "wtkms.", 6) == 0) {
            file->kind = HOME_OWN_OTHER;
            return (0);
        }
    }
    do
        n = pread(file->fd, magic, sizeof(magic), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return (errno);
    if (block_file_is(magic, (size_t)n))
        file->kind = HOME_BLOCK_FILE;
    else if (log_file_is(magic, (size_t)n))
        file->kind = HOME_LOG_FILE;
    else
        file->kind = HOME_OTHER;
    return (0);
}

static int
give(WALK *walk, HOME_FILE *file, STATUS *status)
{
    int ret;

    ret = walk->file(walk->context, file, status);
    if (file->fd >= 0)
        (void)close(file->fd);
    return (ret);
}

/* Not what a file is to blame for. */
static bool
is_ours(int error)
{
    return (error == EMFILE || error == ENFILE || error == ENOMEM);
}

static int
visit_file(
  WALK *walk, int dir_fd, const struct stat *st, HOME_FILE *file, bool in_home, STATUS *status)
{
    int error;

    file->size = st->st_size < 0 ? 0 : (uint64_t)st->st_size;
    file->allocated = (uint64_t)st->st_blocks * 512;
    file->device = st->st_dev;
    file->inode = st->st_ino;
    file->modified = st->st_mtim;
    file->is_metadata = in_home && strcmp(file->name, "WiredTiger.wt") == 0;
    if (home_guard_forbids(&walk->guard, file->name, st)) {
        file->kind = HOME_LOCKED;
        return (give(walk, file, status));
    }
    if ((file->fd = home_guard_open(dir_fd, file->name, st)) < 0) {
        if (errno == ENOENT)
            return (0);
        if (is_ours(errno))
            return (status_set_errno(status, errno, "home-open", "cannot open %s", file->path));
        file->kind = HOME_UNREADABLE;
        file->error = errno;
        return (give(walk, file, status));
    }
    if ((error = classify(file, in_home)) != 0) {
        file->kind = HOME_UNREADABLE;
        file->error = error;
    }
    return (give(walk, file, status));
}

static int
visit_dir(WALK *walk, int dir_fd, HOME_FILE *file, size_t path_len, unsigned depth,
  bool in_log_path, STATUS *status)
{
    int fd, ret;

    fd = openat(dir_fd, file->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return (0);
        if (is_ours(errno))
            return (status_set_errno(status, errno, "home-open", "cannot open %s", file->path));
        file->kind = HOME_UNREADABLE;
        file->is_directory = true;
        file->error = errno;
        return (give(walk, file, status));
    }
    if (depth >= HOME_DEPTH_MAX)
        ret = status_set(status, STATUS_REFUSED, "home-too-large",
          "directories are nested more than %d deep at %s", HOME_DEPTH_MAX, file->path);
    else
        ret = walk_dir(walk, fd, path_len, depth + 1, in_log_path, false, status);
    (void)close(fd);
    return (ret);
}

static int
visit(WALK *walk, int dir_fd, const char *name, size_t parent_len, unsigned depth, bool in_log_path,
  bool in_home, STATUS *status)
{
    HOME_FILE file;
    struct stat st;
    size_t path_len;
    bool is_new;
    int ret;

    if ((ret = set_path(walk, parent_len, name, &path_len, status)) != 0)
        return (ret);
    memset(&file, 0, sizeof(file));
    file.path = walk->path;
    file.name = name;
    file.fd = -1;
    file.in_log_path = in_log_path;

    if (fstatat(dir_fd, name, &st, 0) != 0) {
        file.error = errno;
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return (0); /* gone meanwhile */
        /* A link to nowhere or to itself, or into what may not be looked at. */
        file.kind = file.error == ENOENT || file.error == ELOOP ? HOME_SPECIAL : HOME_UNREADABLE;
        return (give(walk, &file, status));
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        file.kind = HOME_SPECIAL;
        return (give(walk, &file, status));
    }
    if ((ret = note(walk, &st, &is_new, status)) != 0 || !is_new)
        return (ret);
    if (S_ISREG(st.st_mode))
        return (visit_file(walk, dir_fd, &st, &file, in_home, status));
    return (visit_dir(walk, dir_fd, &file, path_len, depth, in_log_path, status));
}

static int
walk_dir(WALK *walk, int dir_fd, size_t path_len, unsigned depth, bool in_log_path, bool is_home,
  STATUS *status)
{
    NAMES names;
    struct stat st;
    size_t i;
    int ret;

    memset(&names, 0, sizeof(names));
    walk->path[path_len] = '\0';
    if (walk->has_log_dir && fstat(dir_fd, &st) == 0 && st.st_dev == walk->log_device &&
        st.st_ino == walk->log_inode)
        in_log_path = true;
    ret = read_names(walk, dir_fd, &names, status);
    for (i = 0; ret == 0 && i < names.count; i++)
        ret = visit(walk, dir_fd, names.items[i], path_len, depth, in_log_path, is_home, status);
    free_names(&names);
    return (ret);
}

static int
walk_log_path(WALK *walk, int home_fd, const char *log_path, STATUS *status)
{
    struct stat st;
    size_t path_len;
    bool is_new;
    int fd, ret;

    fd = openat(home_fd, log_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return (errno == ENOENT ? 0
                                : status_set_errno(status, errno, "home-open",
                                    "cannot open the log path %s", log_path));
    if (fstat(fd, &st) != 0)
        ret = status_set_errno(status, errno, "home-open", "cannot look at %s", log_path);
    else if ((ret = note(walk, &st, &is_new, status)) == 0 && is_new) {
        if ((ret = set_path(walk, 0, log_path, &path_len, status)) == 0)
            ret = walk_dir(walk, fd, path_len, 1, true, false, status);
    }
    (void)close(fd);
    return (ret);
}

int
home_walk(int home_fd, const HOME_OPTIONS *options,
  int (*file)(void *context, const HOME_FILE *file, STATUS *status), void *context, STATUS *status)
{
    WALK walk;
    struct stat st;
    const char *log_path;
    size_t path_len;
    bool is_new;
    int ret;

    memset(&walk, 0, sizeof(walk));
    walk.file = file;
    walk.context = context;
    log_path = options == NULL || options->log_path == NULL || options->log_path[0] == '\0'
                 ? NULL
                 : options->log_path;
    if (log_path != NULL && fstatat(home_fd, log_path, &st, 0) == 0) {
        walk.has_log_dir = true;
        walk.log_device = st.st_dev;
        walk.log_inode = st.st_ino;
    }
    if ((ret = home_guard_start(&walk.guard, home_fd, status)) != 0)
        goto err;
    if (fstat(home_fd, &st) != 0) {
        ret = status_set_errno(status, errno, "home-open", "cannot look at the home");
        goto err;
    }
    if ((ret = note(&walk, &st, &is_new, status)) != 0 ||
        (ret = set_path(&walk, 0, "", &path_len, status)) != 0 ||
        (ret = walk_dir(&walk, home_fd, 0, 0, false, true, status)) != 0)
        goto err;
    if (log_path != NULL)
        ret = walk_log_path(&walk, home_fd, log_path, status);

err:
    home_guard_stop(&walk.guard);
    free(walk.path);
    free(walk.seen);
    return (ret == WALK_STOP ? 0 : ret);
}
