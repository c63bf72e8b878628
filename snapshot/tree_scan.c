/*
 * snapshot/tree_scan.c -- The files below a directory, for inventory.c. See inventory.h.
 *
 * A link to a directory is followed at once inside a copy (one directory a database, on another disk),
 * else after all that lies there itself, so that a copy has its own name. Directories are visited once.
 * Files are not counted by inode: copies made of hard links share them, and each needs its keys.
 * WiredTiger.lock is never opened but for the test whether a process holds it.
 */
#include "common/file.h"
#include "datafile/engine_lock.h"
#include "snapshot/inventory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    dev_t device;
    ino_t inode;
} SEEN;

typedef struct {
    INVENTORY *inventory;
    COPY_CONTAINER *container;
    SEEN *seen; /* directories; a sorted array */
    size_t seen_count, seen_room;
    char **links; /* to be followed last */
    size_t link_count;
    uint8_t *buffer;
    size_t room;
} SCAN;

static int scan_dir(
  SCAN *scan, int fd, const char *path, unsigned depth, bool in_copy, STATUS *status) WTKMS_CHECKED;

/* Note a directory; false when it was there before. */
static bool
note_dir(SCAN *scan, const struct stat *sb)
{
    size_t low = 0, high = scan->seen_count, middle;
    SEEN *s;

    while (low < high) {
        middle = (low + high) / 2;
        s = &scan->seen[middle];
        if (s->device == sb->st_dev && s->inode == sb->st_ino)
            return (false);
        if (s->device < sb->st_dev || (s->device == sb->st_dev && s->inode < sb->st_ino))
            low = middle + 1;
        else
            high = middle;
    }
    if (scan->seen_count == scan->seen_room) {
        scan->seen_room = scan->seen_room == 0 ? 64 : scan->seen_room * 2;
        scan->seen = bson_realloc(scan->seen, scan->seen_room * sizeof(*scan->seen));
    }
    memmove(&scan->seen[low + 1], &scan->seen[low], (scan->seen_count - low) * sizeof(*scan->seen));
    scan->seen[low].device = sb->st_dev;
    scan->seen[low].inode = sb->st_ino;
    scan->seen_count++;
    return (true);
}

static int
read_at(int fd, uint64_t offset, uint8_t *buffer, size_t len, size_t *gotp)
{
    ssize_t n;

    for (*gotp = 0; *gotp < len; *gotp += (size_t)n) {
        n = pread(fd, buffer + *gotp, len - *gotp, (off_t)(offset + *gotp));
        if (n < 0 && errno == EINTR)
            n = 0;
        else if (n < 0)
            return (errno);
        else if (n == 0)
            break;
    }
    return (0);
}

/* Pieces from further back of a file of which only the start was read; holes are passed over. */
static int
more_samples(SCAN *scan, int fd, COPY_FILE *file, STATUS *status)
{
    static const unsigned thirds[] = {1, 2, 3};
    SAMPLE_KIND kind = file->kind == COPY_FILE_LOG ? SAMPLE_LOG : SAMPLE_BLOCKS;
    size_t got, i, unit = file->sample->unit_len;
    uint64_t last = 0, offset;
    off_t data;
    uint8_t *window;
    int ret;

    if (unit == 0 || unit > SAMPLE_START - SAMPLE_WINDOW)
        return (0);
    window = scan->buffer + unit;
    if (read_at(fd, 0, scan->buffer, unit, &got) != 0 || got != unit)
        return (0);
    for (i = 0; i < sizeof(thirds) / sizeof(thirds[0]); i++) {
        offset = thirds[i] == 3 ? file->size - SAMPLE_WINDOW : file->size / 3 * thirds[i];
        if ((data = lseek(fd, (off_t)offset, SEEK_DATA)) > (off_t)offset)
            offset = (uint64_t)data;
        else if (data < 0 && errno == ENXIO)
            continue;
        offset -= offset % unit;
        if (offset < SAMPLE_START || offset <= last)
            continue;
        last = offset;
        if (read_at(fd, offset, window, SAMPLE_WINDOW, &got) != 0)
            continue;
        if ((ret = sample_more(kind, scan->buffer, window, got, file->sample, status)) != 0)
            return (ret);
    }
    return (0);
}

static void
grow(SCAN *scan, size_t need)
{
    if (need <= scan->room)
        return;
    scan->buffer = bson_realloc(scan->buffer, need);
    scan->room = need;
}

static void
unreadable(COPY_FILE *file, int error)
{
    char text[128];

    file->kind = COPY_FILE_UNREADABLE;
    copy_file_problem(file, "%s", strerror_r(error, text, sizeof(text)));
}

static int
read_file(SCAN *scan, int fd, COPY_FILE *file, STATUS *status)
{
    COPY_FILE_KIND known;
    size_t got, limit, want;
    bool archive;
    int error, ret;

    known = copy_file_kind(file->path + file->name, &limit);
    want = file->size < limit ? (size_t)file->size : limit;
    grow(scan, want > SAMPLE_START ? want : SAMPLE_START);
    if ((error = read_at(fd, 0, scan->buffer, want, &got)) != 0) {
        unreadable(file, error);
        return (0);
    }
    if ((ret = copy_file_content(file, known, scan->buffer, got, file->size <= limit, status)) != 0)
        return (ret);
    if (file->sampled)
        return (more_samples(scan, fd, file, status));
    if (file->kind == COPY_FILE_OTHER && got >= 4) {
        char *path = bson_strdup_printf("%s/%s", scan->container->path, file->path);
        ret = archive_scan(scan->inventory, fd, path, &archive, status);
        /* An archive that is damaged is told, and the search goes on. */
        if (ret != 0 && ret != STATUS_NO_MEMORY && ret != STATUS_REFUSED) {
            inventory_skip(scan->inventory, "%s: %s", path, status->message);
            ret = 0;
        }
        bson_free(path);
    }
    return (ret);
}

static int64_t
milliseconds(const struct timespec *time)
{
    return ((int64_t)time->tv_sec * 1000 + time->tv_nsec / 1000000);
}

/* Whether a process has the home open. Of the host's process this must not run: see datafile/home.h. */
static bool
is_locked(int dir_fd, const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    bool locked;
    int fd;

    fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
    if (fd < 0)
        return (false);
    locked = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    (void)close(fd);
    return (locked);
}

static int
scan_file(
  SCAN *scan, int dir_fd, const char *name, const char *path, const struct stat *sb, STATUS *status)
{
    COPY_FILE *file;
    struct stat now;
    int fd, ret;

    if (strcmp(name, ENGINE_LOCK_FILE) == 0) {
        if (is_locked(dir_fd, name))
            copy_file_add(scan->container, path, 0, 0)->kind = COPY_FILE_LOCKED;
        return (0);
    }
    file = copy_file_add(scan->container, path, (uint64_t)sb->st_size, milliseconds(&sb->st_mtim));
    /* What is ours is never a link: one planted in a home leads to a file that others chose. */
    fd = openat(dir_fd, name,
      O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY |
        (strncmp(name, "wtkms.", 6) == 0 ? O_NOFOLLOW : 0));
    if (fd < 0) {
        if (errno == ENOENT)
            scan->container->count--;
        else
            unreadable(file, errno);
        if (errno == ENOENT)
            bson_free(file->path);
        return (0);
    }
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode)) {
        unreadable(file, EINVAL);
        ret = 0;
    } else {
        file->size = (uint64_t)now.st_size;
        ret = read_file(scan, fd, file, status);
    }
    (void)close(fd);
    return (ret);
}

static int
scan_subdir(SCAN *scan, int dir_fd, const char *name, const char *path, unsigned depth,
  bool in_copy, STATUS *status)
{
    int fd, ret;

    if (depth >= INVENTORY_DEPTH_MAX) {
        unreadable(copy_file_add(scan->container, path, 0, 0), ELOOP);
        return (0);
    }
    if ((fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
        if (errno != ENOENT)
            unreadable(copy_file_add(scan->container, path, 0, 0), errno);
        return (0);
    }
    ret = scan_dir(scan, fd, path, depth + 1, in_copy, status);
    (void)close(fd);
    return (ret);
}

static int
scan_entry(SCAN *scan, int dir_fd, const char *name, const char *path, unsigned depth, bool in_copy,
  STATUS *status)
{
    struct stat link, sb;
    int error;

    if (scan->container->count > INVENTORY_FILES_MAX)
        return (status_set(status, STATUS_REFUSED, "inventory-too-large",
          "%s has more than %u files", scan->container->path, INVENTORY_FILES_MAX));
    if (fstatat(dir_fd, name, &link, AT_SYMLINK_NOFOLLOW) != 0)
        return (0); /* gone meanwhile */
    sb = link;
    if (S_ISLNK(link.st_mode) && fstatat(dir_fd, name, &sb, 0) != 0) {
        error = errno;
        unreadable(copy_file_add(scan->container, path, 0, 0), error);
        return (0);
    }
    if (S_ISREG(sb.st_mode))
        return (scan_file(scan, dir_fd, name, path, &sb, status));
    if (!S_ISDIR(sb.st_mode))
        return (0);
    if (S_ISLNK(link.st_mode) && !in_copy) {
        scan->links = bson_realloc(scan->links, (scan->link_count + 1) * sizeof(*scan->links));
        scan->links[scan->link_count++] = bson_strdup(path);
        return (0);
    }
    return (scan_subdir(scan, dir_fd, name, path, depth, in_copy, status));
}

static int
compare_names(const void *a, const void *b)
{
    return (strcmp(*(char *const *)a, *(char *const *)b));
}

/* The names of a directory, sorted. *namesp is NULL where there is none. Returns errno. */
static int
read_names(int dir_fd, char ***namesp, size_t *countp, bool *is_rootp)
{
    static const char *const markers[] = {
      "WiredTiger", "WiredTiger.wt", "WiredTiger.turtle", "WiredTiger.backup", "wtkms.keystore"};
    struct dirent *entry;
    char **names = NULL;
    DIR *dir;
    size_t i, room = 0;
    int error;

    *namesp = NULL;
    *countp = 0;
    if ((dir = file_list(dir_fd)) == NULL)
        return (errno);
    while (errno = 0, (entry = readdir(dir)) != NULL && *countp < INVENTORY_FILES_MAX) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (*countp == room) {
            room = room == 0 ? 32 : room * 2;
            names = bson_realloc(names, room * sizeof(*names));
        }
        names[(*countp)++] = bson_strdup(entry->d_name);
        for (i = 0; i < sizeof(markers) / sizeof(markers[0]); i++)
            *is_rootp = *is_rootp || strcmp(entry->d_name, markers[i]) == 0;
    }
    error = entry == NULL ? errno : EFBIG;
    (void)closedir(dir);
    if (*countp > 1)
        qsort(names, *countp, sizeof(*names), compare_names);
    *namesp = names;
    return (error);
}

static int
scan_dir(SCAN *scan, int fd, const char *path, unsigned depth, bool in_copy, STATUS *status)
{
    struct stat sb;
    char **names, *below;
    size_t count, i;
    int error, ret = 0;

    if (fstat(fd, &sb) != 0 || !note_dir(scan, &sb))
        return (0);
    if ((error = read_names(fd, &names, &count, &in_copy)) != 0)
        unreadable(copy_file_add(scan->container, path[0] == '\0' ? "." : path, 0, 0), error);
    for (i = 0; i < count; i++) {
        below =
          path[0] == '\0' ? bson_strdup(names[i]) : bson_strdup_printf("%s/%s", path, names[i]);
        if (ret == 0)
            ret = scan_entry(scan, fd, names[i], below, depth, in_copy, status);
        bson_free(below);
        bson_free(names[i]);
    }
    bson_free(names);
    return (ret);
}

int
tree_scan(INVENTORY *inventory, int dir_fd, COPY_CONTAINER *container, STATUS *status)
{
    SCAN scan;
    size_t i;
    int ret;

    memset(&scan, 0, sizeof(scan));
    scan.inventory = inventory;
    scan.container = container;
    ret = scan_dir(&scan, dir_fd, "", 0, false, status);
    /* Links met while others are followed join the list. */
    for (i = 0; i < scan.link_count; i++) {
        if (ret == 0)
            ret = scan_subdir(&scan, dir_fd, scan.links[i], scan.links[i], 1, false, status);
        bson_free(scan.links[i]);
    }
    bson_free(scan.links);
    bson_free(scan.seen);
    bson_free(scan.buffer);
    return (ret);
}
