/*
 * snapshot/create_plan.c -- See create_plan.h.
 */
#include "snapshot/create_plan.h"

#include "datafile/engine_lock.h"
#include "datafile/home.h"
#include "keystore/mirror.h"

#include <bson/bson.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int home_fd;
    const CREATE_OPTIONS *options;
    CREATE_PLAN *plan;
    char *log_path; /* as the application configured it, or NULL */
} PLANNING;

void
create_plan_release(CREATE_PLAN *plan)
{
    size_t i;

    for (i = 0; i < plan->count; i++) {
        bson_free(plan->files[i].source);
        bson_free(plan->files[i].path);
    }
    bson_free(plan->files);
    bson_free(plan->log_path);
    memset(plan, 0, sizeof(*plan));
}

static CREATE_FILE *
add(CREATE_PLAN *plan, const char *source, char *path)
{
    CREATE_FILE *file;

    if (plan->count == plan->room) {
        plan->room = plan->room == 0 ? 64 : plan->room * 2;
        plan->files = bson_realloc(plan->files, plan->room * sizeof(*plan->files));
    }
    file = &plan->files[plan->count++];
    memset(file, 0, sizeof(*file));
    file->source = bson_strdup(source);
    file->path = path;
    return (file);
}

static void
note_name(CREATE_PLAN *plan, const char *path)
{
    plan->metadata = plan->metadata || strcmp(path, "WiredTiger.wt") == 0;
    plan->turtle = plan->turtle || strcmp(path, "WiredTiger.turtle") == 0;
    plan->backup = plan->backup || strcmp(path, "WiredTiger.backup") == 0 ||
                   strcmp(path, "WiredTiger.ibackup") == 0;
}

/* Where a file of a log path outside the home lies in the copy. */
static char *
log_place(PLANNING *planning, const char *below)
{
    if (planning->plan->log_path == NULL)
        planning->plan->log_path = bson_strdup(planning->log_path);
    return (bson_strdup_printf("%s/%s", MANIFEST_LOG_DIR, below));
}

/* --- by walking */

static int
refuse_unreadable(const PLANNING *planning, const HOME_FILE *file, STATUS *status)
{
    return (status_set_errno(
      status, file->error, "copy-read", "%s/%s", planning->options->home, file->path));
}

static int
on_special(const PLANNING *planning, const HOME_FILE *file, STATUS *status)
{
    if (file->error == 0) {
        log_printf(planning->options->log, LOG_WARNING,
          "%s/%s is no file and no directory: left out", planning->options->home, file->path);
        return (0);
    }
    (void)status_set(status, STATUS_REFUSED, "copy-dangling",
      "%s/%s is a link to nothing that can be read", planning->options->home, file->path);
    return (status_hint(status, "is a volume not mounted? If it is not needed, remove the link"));
}

static char *
place_of(PLANNING *planning, const HOME_FILE *file)
{
    size_t len;

    if (planning->log_path == NULL || !file->in_log_path ||
        manifest_path_is_safe(file->path, strlen(file->path)))
        return (bson_strdup(file->path));
    len = strlen(planning->log_path);
    if (strncmp(file->path, planning->log_path, len) != 0)
        return (bson_strdup(file->path));
    while (file->path[len] == '/')
        len++;
    return (log_place(planning, file->path + len));
}

/* What is left out: locks, what a crash cut short, and what is copied last. */
static bool
is_wanted(const HOME_FILE *file)
{
    switch (file->kind) {
    case HOME_LOCKED:
    case HOME_KEYSTORE:
    case HOME_USER_CONFIG:
    case HOME_OWN_OTHER:
        return (false);
    default:
        return (true);
    }
}

static bool
ends_with(const char *text, const char *end)
{
    size_t end_len = strlen(end), len = strlen(text);

    return (len >= end_len && strcmp(text + len - end_len, end) == 0);
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    PLANNING *planning = context;
    CREATE_FILE *added;

    if (file->kind == HOME_UNREADABLE) {
        /* Root's, on a volume of its own. */
        if (file->is_directory && strcmp(file->name, "lost+found") == 0)
            return (0);
        return (refuse_unreadable(planning, file, status));
    }
    if (file->kind == HOME_SPECIAL)
        return (on_special(planning, file, status));
    if (!is_wanted(file))
        return (0);
    added = add(planning->plan, file->path, place_of(planning, file));
    added->engine = file->kind != HOME_OTHER || ends_with(file->name, ".wt");
    added->size = file->size;
    added->device = file->device;
    added->inode = file->inode;
    added->modified = file->modified;
    planning->plan->bytes += file->size;
    note_name(planning->plan, file->path);
    return (0);
}

/* --- from a list */

/* A name below the home, whichever way it is written; NULL: it leads elsewhere. */
static const char *
relative_name(const CREATE_OPTIONS *options, const char *name)
{
    char real[PATH_MAX];
    size_t len;

    if (name[0] == '/') {
        len = strlen(options->home);
        while (len > 0 && options->home[len - 1] == '/')
            len--;
        if (strncmp(name, options->home, len) != 0 || name[len] != '/') {
            if (realpath(options->home, real) == NULL)
                return (NULL);
            len = strlen(real);
            if (strncmp(name, real, len) != 0 || name[len] != '/')
                return (NULL);
        }
        name += len;
        while (*name == '/')
            name++;
    }
    while (name[0] == '.' && name[1] == '/')
        for (name += 2; *name == '/';)
            name++;
    return (manifest_path_is_safe(name, strlen(name)) ? name : NULL);
}

static bool
is_copied_last(const char *name)
{
    return (strcmp(name, MIRROR_FILE) == 0 || strncmp(name, "wtkms.", 6) == 0 ||
            strcmp(name, ENGINE_LOCK_FILE) == 0);
}

static int
not_there(const PLANNING *planning, const char *name, STATUS *status)
{
    (void)status_set(status, STATUS_REFUSED, "copy-list",
      "%s/%s, which is on the list, is not there", planning->options->home, name);
    return (status_hint(status, "copy while the backup cursor is open: it keeps what it lists"));
}

static int
add_listed(PLANNING *planning, const char *source, char *path, const struct stat *sb)
{
    CREATE_FILE *file = add(planning->plan, source, path);

    file->engine = true;
    file->size = (uint64_t)sb->st_size;
    file->device = sb->st_dev;
    file->inode = sb->st_ino;
    file->modified = sb->st_mtim;
    planning->plan->bytes += file->size;
    note_name(planning->plan, path);
    return (0);
}

/* A cursor lists logs without their directory. */
static int
listed_log(PLANNING *planning, const char *name, STATUS *status)
{
    static const char *const places[] = {NULL, "journal"};
    const char *below = NULL, *dir;
    char *path, *source;
    struct stat sb;
    size_t i;

    for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        dir = places[i] == NULL ? planning->log_path : places[i];
        if (dir == NULL || strchr(name, '/') != NULL)
            continue;
        source = bson_strdup_printf("%s/%s", dir, name);
        if (fstatat(planning->home_fd, source, &sb, 0) == 0 && S_ISREG(sb.st_mode)) {
            below = relative_name(planning->options, source);
            path = below == NULL ? log_place(planning, name) : bson_strdup(below);
            (void)add_listed(planning, source, path, &sb);
            bson_free(source);
            return (0);
        }
        bson_free(source);
    }
    return (not_there(planning, name, status));
}

static int
plan_listed(PLANNING *planning, const char *listed, STATUS *status)
{
    const char *name = relative_name(planning->options, listed);
    struct stat sb;

    if (name == NULL)
        return (status_set(status, STATUS_REFUSED, "copy-list",
          "\"%.200s\", which is on the list, is no file below %s", listed,
          planning->options->home));
    if (is_copied_last(name))
        return (0);
    if (fstatat(planning->home_fd, name, &sb, 0) != 0) {
        if (errno == ENOENT)
            return (listed_log(planning, name, status));
        return (
          status_set_errno(status, errno, "copy-read", "%s/%s", planning->options->home, name));
    }
    if (!S_ISREG(sb.st_mode))
        return (status_set(status, STATUS_REFUSED, "copy-list",
          "%s/%s, which is on the list, is no regular file", planning->options->home, name));
    return (add_listed(planning, name, bson_strdup(name), &sb));
}

static int
compare_files(const void *a, const void *b)
{
    return (strcmp(((const CREATE_FILE *)a)->path, ((const CREATE_FILE *)b)->path));
}

/* What a list names twice is copied once. */
static void
drop_repeated(CREATE_PLAN *plan)
{
    size_t i, n;

    if (plan->count > 1)
        qsort(plan->files, plan->count, sizeof(*plan->files), compare_files);
    for (i = n = 0; i < plan->count; i++)
        if (n > 0 && strcmp(plan->files[n - 1].path, plan->files[i].path) == 0) {
            plan->bytes -= plan->files[i].size;
            bson_free(plan->files[i].source);
            bson_free(plan->files[i].path);
        } else
            plan->files[n++] = plan->files[i];
    plan->count = n;
}

/* A cursor lists no WiredTiger.wt: all that is in it is in WiredTiger.backup, in clear. */
static int
check_list(const PLANNING *planning, STATUS *status)
{
    if (planning->plan->backup || (planning->plan->metadata && planning->plan->turtle))
        return (0);
    (void)status_set(status, STATUS_REFUSED, "copy-list",
      "the list names no WiredTiger.backup: it is not what a backup cursor lists of a whole home");
    return (
      status_hint(status, "open the cursor without a target, and list every name that it gives"));
}

int
create_plan_make(int home_fd, const CREATE_OPTIONS *options, CREATE_PLAN *plan, STATUS *status)
{
    PLANNING planning = {home_fd, options, plan, NULL};
    HOME_OPTIONS home;
    size_t i;
    int ret;

    memset(plan, 0, sizeof(*plan));
    if ((ret = home_log_path(home_fd, &planning.log_path, status)) != 0)
        return (ret);
    if (options->method == MANIFEST_FILES) {
        for (i = 0; ret == 0 && i < options->file_count; i++)
            ret = plan_listed(&planning, options->files[i], status);
        drop_repeated(plan);
        if (ret == 0)
            ret = check_list(&planning, status);
    } else {
        home.log_path = planning.log_path;
        ret = home_walk(home_fd, &home, on_file, &planning, status);
        drop_repeated(plan);
    }
    free(planning.log_path);
    return (ret);
}

static bool
is_same(const CREATE_FILE *a, const CREATE_FILE *b)
{
    return (a->device == b->device && a->inode == b->inode && a->size == b->size &&
            a->modified.tv_sec == b->modified.tv_sec && a->modified.tv_nsec == b->modified.tv_nsec);
}

static int
changed(const CREATE_FILE *file, const char *how, STATUS *status)
{
    (void)status_set(status, STATUS_REFUSED, "copy-changed",
      "%s %s while the copy was made: this is no copy of one moment", file->source, how);
    return (status_hint(status,
      "stop the database, copy from a volume snapshot or under fsyncLock, or use --files with a "
      "backup cursor"));
}

int
create_plan_compare(const CREATE_PLAN *before, const CREATE_PLAN *after, STATUS *status)
{
    size_t i = 0, j = 0;
    int order;

    /* Both are sorted by path. */
    for (;; i++, j++) {
        while (i < before->count && !before->files[i].engine)
            i++;
        while (j < after->count && !after->files[j].engine)
            j++;
        if (i == before->count && j == after->count)
            return (0);
        order = i == before->count  ? 1
                : j == after->count ? -1
                                    : strcmp(before->files[i].path, after->files[j].path);
        if (order < 0)
            return (changed(&before->files[i], "went away", status));
        if (order > 0)
            return (changed(&after->files[j], "came", status));
        if (!is_same(&before->files[i], &after->files[j]))
            return (changed(&before->files[i], "was changed", status));
    }
}
