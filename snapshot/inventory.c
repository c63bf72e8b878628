/*
 * snapshot/inventory.c -- The copies under some paths. See inventory.h.
 */
#include "snapshot/inventory.h"

#include "common/clock.h"
#include "common/file.h"
#include "keystore/access_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *
inventory_host(void)
{
    static char name[256];

    if (name[0] == '\0' && (gethostname(name, sizeof(name) - 1) != 0 || name[0] == '\0'))
        memcpy(name, "unknown", 8);
    return (name);
}

void
inventory_skip(INVENTORY *inventory, const char *fmt, ...)
{
    va_list ap;
    char text[4096];

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    inventory->skipped = bson_realloc(
      inventory->skipped, (inventory->skipped_count + 1) * sizeof(*inventory->skipped));
    inventory->skipped[inventory->skipped_count++] = bson_strdup(text);
}

COPY *
inventory_copy(INVENTORY *inventory)
{
    if (inventory->count == inventory->room) {
        inventory->room = inventory->room == 0 ? 32 : inventory->room * 2;
        inventory->copies =
          bson_realloc(inventory->copies, inventory->room * sizeof(*inventory->copies));
    }
    memset(&inventory->copies[inventory->count], 0, sizeof(*inventory->copies));
    return (&inventory->copies[inventory->count++]);
}

void
inventory_place(INVENTORY *inventory, const char *host, const char *path, int64_t time)
{
    INVENTORY_PLACE *place;

    inventory->places =
      bson_realloc(inventory->places, (inventory->place_count + 1) * sizeof(*inventory->places));
    place = &inventory->places[inventory->place_count++];
    place->host = bson_strdup(host);
    place->path = bson_strdup(path);
    place->time = time;
}

/* A file that is named itself may be a sealed oplog archive. */
static int
scan_oplog(INVENTORY *inventory, int fd, const char *path, bool *is_oplogp, STATUS *status)
{
    COPY_CONTAINER container = {NULL, false, NULL, 0, 0};
    COPY_FILE *file;
    const char *slash = strrchr(path, '/');
    struct stat sb;
    uint8_t *data;
    size_t len = 0;
    ssize_t n;
    int ret = 0;

    *is_oplogp = false;
    if (slash == NULL || fstat(fd, &sb) != 0 || !S_ISREG(sb.st_mode))
        return (0);
    container.path = slash == path ? bson_strdup("/") : bson_strndup(path, (size_t)(slash - path));
    file =
      copy_file_add(&container, slash + 1, (uint64_t)sb.st_size, (int64_t)sb.st_mtim.tv_sec * 1000);
    data = bson_malloc(SAMPLE_START);
    while (len < SAMPLE_START && (n = pread(fd, data + len, SAMPLE_START - len, (off_t)len)) > 0)
        len += (size_t)n;
    if ((ret = copy_file_content(
           file, COPY_FILE_OTHER, data, len, len == (size_t)sb.st_size, status)) == 0 &&
        file->kind == COPY_FILE_OPLOG) {
        *is_oplogp = true;
        inventory_group(inventory, &container);
    }
    bson_free(data);
    copy_container_release(&container);
    return (ret);
}

static int
scan_file(INVENTORY *inventory, int fd, const char *path, STATUS *status)
{
    bool is_known;
    int ret;

    if ((ret = archive_scan(inventory, fd, path, &is_known, status)) != 0 || is_known)
        return (ret);
    if ((ret = scan_oplog(inventory, fd, path, &is_known, status)) != 0 || is_known)
        return (ret);
    (void)status_set(
      status, STATUS_CORRUPT, "inventory-archive", "%s is no directory and no archive", path);
    return (status_hint(
      status, "name a directory, a .tar, .tar.gz or .tar.zst file, or a sealed oplog archive"));
}

static int
scan_opened(INVENTORY *inventory, int fd, const char *path, STATUS *status)
{
    COPY_CONTAINER container = {NULL, false, NULL, 0, 0};
    struct stat sb;
    int ret;

    if (fstat(fd, &sb) != 0)
        return (status_set_errno(status, errno, "inventory-open", "%s", path));
    if (!S_ISDIR(sb.st_mode) && !S_ISREG(sb.st_mode) && !S_ISFIFO(sb.st_mode))
        return (status_set(
          status, STATUS_REFUSED, "inventory-path", "%s is neither a directory nor a file", path));
    if (!S_ISDIR(sb.st_mode))
        return (scan_file(inventory, fd, path, status));
    container.path = bson_strdup(path);
    if ((ret = tree_scan(inventory, fd, &container, status)) == 0)
        inventory_group(inventory, &container);
    copy_container_release(&container);
    return (ret);
}

int
inventory_scan(INVENTORY *inventory, const char *path, STATUS *status)
{
    char *full;
    int fd, ret;

    if (strcmp(path, "-") == 0) {
        inventory_place(inventory, inventory_host(), "-", clock_unix_ms());
        return (scan_file(inventory, STDIN_FILENO, "-", status));
    }
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
        return (status_set_errno(status, errno, "inventory-open", "cannot open %s", path));
    /* Rows from several machines and directories stand side by side. */
    full = realpath(path, NULL);
    inventory_place(inventory, inventory_host(), full == NULL ? path : full, clock_unix_ms());
    ret = scan_opened(inventory, fd, full == NULL ? path : full, status);
    free(full);
    (void)close(fd);
    return (ret);
}

bool
inventory_is_unjudged(const INVENTORY *inventory)
{
    size_t i;

    for (i = 0; i < inventory->count; i++)
        if (inventory->copies[i].unjudged)
            return (true);
    return (inventory->skipped_count != 0);
}

void
inventory_release(INVENTORY *inventory)
{
    size_t i;

    for (i = 0; i < inventory->count; i++)
        copy_release(&inventory->copies[i]);
    for (i = 0; i < inventory->keystore_count; i++)
        keystore_free(inventory->keystores[i]);
    for (i = 0; i < inventory->skipped_count; i++)
        bson_free(inventory->skipped[i]);
    for (i = 0; i < inventory->place_count; i++) {
        bson_free(inventory->places[i].host);
        bson_free(inventory->places[i].path);
    }
    bson_free(inventory->copies);
    bson_free(inventory->keystores);
    bson_free(inventory->skipped);
    bson_free(inventory->places);
    memset(inventory, 0, sizeof(*inventory));
}

/* --- asking */

static void
set_access(COPY_RECIPIENT *recipient, const ACCESS_RESULT *result)
{
    char line[sizeof(result->status.message) + sizeof(result->status.hint) + 64];

    recipient->access =
      bson_strdup(result->status_class == STATUS_OK ? "opens"
                  : result->pending_deletion        ? "pending deletion"
                                                    : status_class_name(result->status_class));
    if (result->status_class == STATUS_OK)
        return;
    (void)status_format(&result->status, line, sizeof(line));
    recipient->detail = result->key_detail[0] == '\0'
                          ? bson_strdup(line)
                          : bson_strdup_printf("%s: %s", result->key_detail, line);
}

/* exact: the recorded identifier was asked; else no client could be made of an entry, whose identifier is
 * not known then. */
static void
take_result(COPY *copy, const ACCESS_RESULT *result, bool exact)
{
    COPY_RECIPIENT *recipient;
    size_t i;

    if (!exact && result->status_class == STATUS_OK)
        return;
    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        if (recipient->access == NULL && strcmp(recipient->scope, result->scope) == 0 &&
            strcmp(recipient->provider, result->provider) == 0 &&
            (exact ? strcmp(recipient->key_id, result->key_id) == 0
                   : result->status_class == STATUS_CONFIG))
            set_access(recipient, result);
    }
}

static bool
same_master(const KEYSTORE_MASTER *a, const KEYSTORE_MASTER *b)
{
    const KEYSTORE_RECIPIENT *x, *y;
    size_t i;

    if (a->id != b->id || a->state != b->state || a->recipient_count != b->recipient_count ||
        strcmp(a->scope, b->scope) != 0)
        return (false);
    for (i = 0; i < a->recipient_count; i++) {
        x = &a->recipients[i];
        y = &b->recipients[i];
        if (strcmp(x->provider, y->provider) != 0 || strcmp(x->key_id, y->key_id) != 0 ||
            x->wrapped_len != y->wrapped_len || memcmp(x->wrapped, y->wrapped, x->wrapped_len) != 0)
            return (false);
    }
    return (true);
}

/* Whether two keystores ask the same of the same: all copies of a home do until its keys are rotated. */
static bool
same_questions(const KEYSTORE *a, const KEYSTORE *b)
{
    size_t i;

    if (memcmp(a->uuid, b->uuid, sizeof(a->uuid)) != 0 || a->master_count != b->master_count)
        return (false);
    for (i = 0; i < a->master_count; i++)
        if (!same_master(&a->masters[i], &b->masters[i]))
            return (false);
    return (true);
}

/* Take the answers of a copy that was asked about already; false when there is none. */
static bool
take_known(INVENTORY *inventory, size_t number)
{
    COPY *copy = &inventory->copies[number], *known;
    size_t i, r;

    for (i = 0; i < number; i++) {
        known = &inventory->copies[i];
        if (known->keystore == NULL || known->recipient_count != copy->recipient_count ||
            !same_questions(known->keystore, copy->keystore))
            continue;
        for (r = 0; r < copy->recipient_count; r++) {
            copy->recipients[r].access = bson_strdup(known->recipients[r].access);
            copy->recipients[r].detail = bson_strdup(known->recipients[r].detail);
        }
        return (true);
    }
    return (false);
}

/* What an earlier copy's recipient of the same key was found to be; NULL when there is none. */
static const COPY_RECIPIENT *
earlier_recipient(const INVENTORY *inventory, size_t number, const COPY_RECIPIENT *recipient)
{
    const COPY_RECIPIENT *earlier;
    size_t i, r;

    for (i = 0; i < number; i++)
        for (r = 0;
             inventory->copies[i].keystore != NULL && r < inventory->copies[i].recipient_count;
             r++) {
            earlier = &inventory->copies[i].recipients[r];
            if (strcmp(earlier->scope, recipient->scope) == 0 &&
                strcmp(earlier->provider, recipient->provider) == 0 &&
                strcmp(earlier->key_id, recipient->key_id) == 0)
                return (earlier);
        }
    return (NULL);
}

/*
 * That a service is away says nothing of a copy, and each question costs its whole timeout: where every recipient of
 * a copy is one that was not reached before, or is not configured, nobody is asked again.
 */
static bool
take_unavailable(INVENTORY *inventory, size_t number)
{
    COPY *copy = &inventory->copies[number];
    const COPY_RECIPIENT *earlier;
    size_t i;
    bool any = false;

    for (i = 0; i < copy->recipient_count; i++) {
        if ((earlier = earlier_recipient(inventory, number, &copy->recipients[i])) == NULL)
            return (false);
        if (earlier->access == NULL)
            continue;
        if (strcmp(earlier->access, status_class_name(STATUS_UNAVAILABLE)) != 0)
            return (false);
        any = true;
    }
    for (i = 0; any && i < copy->recipient_count; i++) {
        earlier = earlier_recipient(inventory, number, &copy->recipients[i]);
        copy->recipients[i].access = bson_strdup(earlier->access);
        copy->recipients[i].detail = bson_strdup(earlier->detail);
    }
    return (any);
}

int
inventory_check(INVENTORY *inventory, const SETTINGS *settings, const LOG *log, STATUS *status)
{
    ACCESS_PROBER *prober;
    const ACCESS_RESULT *results;
    size_t count, i, n;
    int ret;

    if ((ret = access_prober_new(log, &prober, status)) != 0)
        return (ret);
    for (i = 0; i < inventory->count; i++) {
        if (inventory->copies[i].keystore == NULL || take_known(inventory, i) ||
            take_unavailable(inventory, i))
            continue;
        if ((ret = access_prober_prepare(
               prober, settings, inventory->copies[i].keystore, status)) != 0)
            break;
        (void)access_prober_run(prober, NULL);
        access_prober_describe(prober);
        results = access_prober_results(prober, &count);
        for (n = 0; n < count; n++)
            take_result(&inventory->copies[i], &results[n], true);
        for (n = 0; n < count; n++)
            take_result(&inventory->copies[i], &results[n], false);
    }
    access_prober_free(prober);
    return (ret);
}
