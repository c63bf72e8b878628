/*
 * snapshot/archive_scan.c -- The members of a tar archive, for inventory.c. See inventory.h.
 *
 * Read in passing: a member's first bytes are kept while it is looked at, the rest is skipped, and
 * nothing is written anywhere. libarchive's own limits hold for headers and filters.
 */
#include "snapshot/archive_open.h"
#include "snapshot/inventory.h"

#include <archive.h>
#include <archive_entry.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT_UNKNOWN EILSEQ /* libarchive's number for it, where there is no EFTYPE */

typedef struct {
    INVENTORY *inventory;
    COPY_CONTAINER container;
    uint8_t *buffer;
    size_t room;
} SCAN;

/* By the first bytes: tar, or what may hold one. A regular file is otherwise left alone. */
static bool
looks_like(int fd)
{
    static const struct {
        const char *magic;
        size_t len, offset;
    } known[] = {{"ustar", 5, 257}, {"\x1f\x8b", 2, 0}, {"\x28\xb5\x2f\xfd", 4, 0},
      {"\xfd"
       "7zXZ",
        5, 0},
      {"BZh", 3, 0}, {"\x04\x22\x4d\x18", 4, 0}};
    char start[512];
    ssize_t n;
    size_t i;

    if ((n = pread(fd, start, sizeof(start), 0)) < 0)
        return (errno == ESPIPE);
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if ((size_t)n >= known[i].offset + known[i].len &&
            memcmp(start + known[i].offset, known[i].magic, known[i].len) == 0)
            return (true);
    return (false);
}

static const char *
text_of(struct archive *archive)
{
    const char *text = archive_error_string(archive);

    return (text == NULL ? "unknown" : text);
}

static void
broken(SCAN *scan, struct archive *archive)
{
    inventory_skip(scan->inventory, "%s: the archive cannot be read further: %s",
      scan->container.path, text_of(archive));
}

static bool
is_named_archive(const char *path)
{
    static const char *const endings[] = {".tar", ".tgz", ".tzst", ".txz", ".tbz2"};
    const char *name = strrchr(path, '/');
    size_t end_len, i, len;

    name = name == NULL ? path : name + 1;
    if (strstr(name, ".tar.") != NULL)
        return (true);
    len = strlen(name);
    for (i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        end_len = strlen(endings[i]);
        if (len >= end_len && strcmp(name + len - end_len, endings[i]) == 0)
            return (true);
    }
    return (false);
}

/* Nothing could be read of it: no archive at all, or one that was cut or damaged near its start. */
static void
judge_failure(SCAN *scan, struct archive *archive, bool *is_archivep)
{
    if (archive_errno(archive) == FORMAT_UNKNOWN && !is_named_archive(scan->container.path))
        return;
    *is_archivep = true;
    broken(scan, archive);
}

/* Up to limit bytes of a member. *wholep: there are no more. -1: the archive ends here. */
static int
read_member(SCAN *scan, struct archive *archive, size_t limit, size_t *lenp, bool *wholep)
{
    la_ssize_t n;
    size_t room;

    *lenp = 0;
    *wholep = false;
    for (;;) {
        if (*lenp == scan->room) {
            room = scan->room == 0 ? SAMPLE_START + 1 : scan->room * 2;
            scan->buffer = bson_realloc(scan->buffer, room);
            scan->room = room;
        }
        room = scan->room < limit + 1 ? scan->room : limit + 1;
        if (*lenp >= room)
            break;
        if ((n = archive_read_data(archive, scan->buffer + *lenp, room - *lenp)) < 0)
            return (n == ARCHIVE_RETRY || n == ARCHIVE_WARN ? 0 : -1);
        if (n == 0) {
            *wholep = true;
            return (0);
        }
        *lenp += (size_t)n;
        if (*lenp > limit)
            break;
    }
    *lenp = limit;
    return (0);
}

static const char *
path_of(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);

    if (path == NULL)
        path = archive_entry_pathname_utf8(entry);
    if (path == NULL)
        path = "(a name that cannot be read)";
    while (path[0] == '.' && path[1] == '/')
        for (path += 2; *path == '/';)
            path++;
    return (path);
}

static int
scan_member(
  SCAN *scan, struct archive *archive, struct archive_entry *entry, bool *endp, STATUS *status)
{
    COPY_FILE *file;
    COPY_FILE_KIND known;
    const char *link, *path = path_of(entry);
    size_t len, limit;
    bool whole;

    link = archive_entry_hardlink(entry);
    if (link == NULL && archive_entry_filetype(entry) != AE_IFREG)
        return (0);
    if (scan->container.count >= INVENTORY_FILES_MAX)
        return (status_set(status, STATUS_REFUSED, "inventory-too-large",
          "%s has more than %u files", scan->container.path, INVENTORY_FILES_MAX));
    file = copy_file_add(&scan->container, path,
      archive_entry_size(entry) < 0 ? 0 : (uint64_t)archive_entry_size(entry),
      (int64_t)archive_entry_mtime(entry) * 1000);
    if (link != NULL) {
        while (link[0] == '.' && link[1] == '/')
            link += 2;
        file->link = bson_strdup(link);
        return (0);
    }
    known = copy_file_kind(file->path + file->name, &limit);
    if (read_member(scan, archive, limit, &len, &whole) != 0) {
        file->kind = COPY_FILE_UNREADABLE;
        copy_file_problem(file, "the archive ends or is damaged here: %s", text_of(archive));
        *endp = true;
        return (0);
    }
    return (copy_file_content(file, known, scan->buffer, len, whole, status));
}

static int
scan_members(SCAN *scan, struct archive *archive, bool *is_archivep, STATUS *status)
{
    struct archive_entry *entry;
    bool end = false;
    int got, ret = 0;

    while (ret == 0 && !end) {
        got = archive_read_next_header(archive, &entry);
        if (got == ARCHIVE_EOF)
            break;
        if (got == ARCHIVE_RETRY)
            continue;
        if (got < ARCHIVE_WARN) {
            if (*is_archivep)
                broken(scan, archive);
            else
                judge_failure(scan, archive, is_archivep);
            return (0);
        }
        *is_archivep = true;
        ret = scan_member(scan, archive, entry, &end, status);
    }
    return (ret);
}

int
archive_scan(INVENTORY *inventory, int fd, const char *path, bool *is_archivep, STATUS *status)
{
    SCAN scan;
    struct archive *archive;
    int ret = 0;

    *is_archivep = false;
    if (!looks_like(fd) && !is_named_archive(path))
        return (0);
    memset(&scan, 0, sizeof(scan));
    scan.inventory = inventory;
    scan.container.path = bson_strdup(path);
    scan.container.is_archive = true;
    (void)lseek(fd, 0, SEEK_SET);
    if ((ret = archive_open(fd, &archive, status)) != 0) {
        if (archive != NULL) {
            ret = 0;
            judge_failure(&scan, archive, is_archivep);
        }
        goto err;
    }
    ret = scan_members(&scan, archive, is_archivep, status);
    if (ret == 0 && *is_archivep)
        inventory_group(inventory, &scan.container);

err:
    if (archive != NULL)
        (void)archive_read_free(archive);
    copy_container_release(&scan.container);
    bson_free(scan.buffer);
    return (ret);
}
