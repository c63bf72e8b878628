/*
 * datafile/engine_version.c -- Which WiredTiger, which layout. See engine_version.h.
 */
#include "datafile/engine_version.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const ENGINE_LAYOUT engine_layouts[] = {
  {{3, 2, 0}, {3, 2, 2}, 20, 6, 17, "4.2"},
  {{3, 3, 0}, {3, 3, 0}, 20, 6, 17, "4.2"},
  {{10, 0, 0}, {10, 0, 0}, 20, 6, 17, "4.4.0-4.4.1"},
  {{10, 0, 0}, {10, 0, 0}, 18, 4, 15, "4.4.2-4.4.4"},
  {{10, 0, 0}, {10, 0, 0}, 20, 4, 15, "4.4.5-4.4.6"},
  {{10, 0, 1}, {10, 0, 2}, 20, 4, 15, "4.4.7 and later, 5.0, 6.0"},
  {{11, 0, 0}, {11, 2, 0}, 20, 4, 15, "6.1-6.3, 7.0, 7.1"},
  {{11, 3, 0}, {11, 3, 0}, 20, 4, 15, "7.2, 7.3"},
  {{11, 3, 0}, {11, 3, 99}, 21, 4, 16, "8.0"},
  {{12, 0, 0}, {12, 0, 0}, 20, 4, 16, "8.1"},
  {{12, 0, 0}, {12, 0, 0}, 22, 4, 16, "8.1 and later"},
  {{0, 0, 0}, {0, 0, 0}, 0, 0, 0, NULL},
};

static int
compare(const ENGINE_VERSION *a, const ENGINE_VERSION *b)
{
    if (a->major != b->major)
        return (a->major < b->major ? -1 : 1);
    if (a->minor != b->minor)
        return (a->minor < b->minor ? -1 : 1);
    return (a->patch < b->patch ? -1 : a->patch > b->patch);
}

static bool
covers(const ENGINE_LAYOUT *row, const ENGINE_VERSION *version)
{
    return (compare(&row->first, version) <= 0 && compare(version, &row->last) <= 0);
}

const ENGINE_LAYOUT *
engine_layout_find(const ENGINE_VERSION *version, unsigned members, const ENGINE_LAYOUT *previous)
{
    const ENGINE_LAYOUT *row;

    for (row = previous == NULL ? engine_layouts : previous + 1; row->members != 0; row++)
        if (row->members == members && covers(row, version))
            return (row);
    return (NULL);
}

bool
engine_version_known(const ENGINE_VERSION *version)
{
    const ENGINE_LAYOUT *row;

    for (row = engine_layouts; row->members != 0; row++)
        if (covers(row, version))
            return (true);
    return (false);
}

const char *
engine_layout_list(char *buf, size_t size)
{
    const ENGINE_LAYOUT *row;
    size_t used;
    int n;

    if (size == 0)
        return (buf);
    buf[0] = '\0';
    for (used = 0, row = engine_layouts; row->members != 0; row++) {
        if (compare(&row->first, &row->last) == 0)
            n = snprintf(buf + used, size - used, "%s%d.%d.%d/%u", used == 0 ? "" : ", ",
              row->first.major, row->first.minor, row->first.patch, row->members);
        else if (row->last.patch == 99)
            n = snprintf(buf + used, size - used, "%s%d.%d.x/%u", used == 0 ? "" : ", ",
              row->first.major, row->first.minor, row->members);
        else
            n = snprintf(buf + used, size - used, "%s%d.%d.%d-%d.%d.%d/%u", used == 0 ? "" : ", ",
              row->first.major, row->first.minor, row->first.patch, row->last.major,
              row->last.minor, row->last.patch, row->members);
        if (n < 0 || (size_t)n >= size - used)
            break;
        used += (size_t)n;
    }
    return (buf);
}

/* Up to three digits and what follows them; NULL when there is no number. */
static const char *
number(const char *p, const char *end, int *valuep)
{
    const char *start = p;

    for (*valuep = 0; p < end && *p >= '0' && *p <= '9' && p - start < 3; p++)
        *valuep = *valuep * 10 + (*p - '0');
    return (p == start ? NULL : p);
}

static bool
version_at(const char *p, const char *end, ENGINE_VERSION *version)
{
    if ((p = number(p, end, &version->major)) == NULL || p == end || *p++ != '.')
        return (false);
    if ((p = number(p, end, &version->minor)) == NULL || p == end || *p++ != '.')
        return (false);
    if ((p = number(p, end, &version->patch)) == NULL)
        return (false);
    return (end - p >= 3 && memcmp(p, ": (", 3) == 0);
}

int
engine_version_in_file(const char *path, ENGINE_VERSION *version, STATUS *status)
{
    static const char mark[] = "WiredTiger ";
    const char *end, *p;
    ENGINE_VERSION found;
    struct stat sb;
    void *map = MAP_FAILED;
    bool any = false;
    int fd, ret = 0;

    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)) < 0)
        return (status_set_errno(status, errno, "binary-open", "%s", path));
    if (fstat(fd, &sb) != 0) {
        ret = status_set_errno(status, errno, "binary-open", "%s", path);
        goto err;
    }
    if (!S_ISREG(sb.st_mode) || sb.st_size < (off_t)sizeof(mark)) {
        ret = status_set(status, STATUS_REFUSED, "binary-no-engine", "%s: no program", path);
        goto err;
    }
    map = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED) {
        ret = status_set_errno(status, errno, "binary-open", "%s: cannot be mapped", path);
        goto err;
    }
    p = map;
    end = p + sb.st_size;
    while ((p = memmem(p, (size_t)(end - p), mark, sizeof(mark) - 1)) != NULL) {
        p += sizeof(mark) - 1;
        if (!version_at(p, end, &found))
            continue;
        if (any && compare(&found, version) != 0) {
            ret = status_set(status, STATUS_REFUSED, "binary-two-engines",
              "%s carries two WiredTigers, %d.%d.%d and %d.%d.%d", path, version->major,
              version->minor, version->patch, found.major, found.minor, found.patch);
            goto err;
        }
        *version = found;
        any = true;
    }
    if (!any)
        ret = status_set(status, STATUS_REFUSED, "binary-no-engine",
          "%s carries no WiredTiger version string", path);

err:
    if (map != MAP_FAILED)
        (void)munmap(map, (size_t)sb.st_size);
    (void)close(fd);
    return (ret);
}
