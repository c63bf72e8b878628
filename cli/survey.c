/*
 * cli/survey.c -- Counting units without a key. See survey.h.
 */
#include "cli/survey.h"

#include "cli/block_damage.h"
#include "cli/output.h"
#include "crypto/unit.h"
#include "datafile/block_file.h"
#include "datafile/engine_lock.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What the walkers' callbacks share. */
typedef struct {
    SURVEY *survey;
    PROGRESS *progress;
    uint64_t reported; /* bytes of this file that the bar has */
    bool full, first_unit;
    bool turtle, metadata; /* seen */
    const HOME_FILE *home_file;
    int home_fd;
    BLOCK_DAMAGE damage;
} WALK;

static SURVEY_FILE *
current(const WALK *walk)
{
    return (&walk->survey->files[walk->survey->count - 1]);
}

static void
start_file(WALK *walk, const HOME_FILE *file)
{
    SURVEY *survey = walk->survey;

    if (survey->count == survey->room) {
        survey->room = survey->room == 0 ? 64 : survey->room * 2;
        survey->files = output_grow(survey->files, survey->room, sizeof(*survey->files));
    }
    memset(&survey->files[survey->count], 0, sizeof(*survey->files));
    survey->files[survey->count].path = output_format("%s", file->path);
    survey->files[survey->count].is_log = file->kind == HOME_LOG_FILE;
    survey->files[survey->count].size = file->size;
    survey->count++;
    walk->home_file = file;
    walk->reported = 0;
}

static void
problem(WALK *walk, uint64_t offset, const char *text)
{
    SURVEY_FILE *file = current(walk);

    walk->survey->problems++;
    if (file->problems++ != 0)
        return;
    file->problem_offset = offset;
    file->problem = output_format("%s", text);
}

static void
count_use(SURVEY_FILE *file, uint64_t data_key_id, uint64_t bytes)
{
    size_t i;

    for (i = 0; i < file->use_count && file->uses[i].data_key_id != data_key_id; i++)
        ;
    if (i == file->use_count) {
        file->uses = output_grow(file->uses, i + 1, sizeof(*file->uses));
        memset(&file->uses[i], 0, sizeof(file->uses[i]));
        file->uses[i].data_key_id = data_key_id;
        file->use_count++;
    }
    file->uses[i].units++;
    file->uses[i].bytes += bytes;
}

/* One unit, of which have bytes are in memory. */
static int
count_unit(WALK *walk, uint64_t offset, const uint8_t *unit, size_t len, size_t have)
{
    STATUS status;
    UNIT_HEADER header;

    if (unit == NULL || have < UNIT_HEADER_LEN || unit_parse(unit, len, &header, &status) != 0) {
        problem(walk, offset,
          unit == NULL ? "the length of the encrypted part is wrong"
                       : "encrypted, but not by this module or not by this version");
        return (0);
    }
    count_use(current(walk), header.data_key_id, len);
    current(walk)->units++;
    walk->survey->units++;
    if (!walk->first_unit)
        return (0);
    free(walk->survey->evidence);
    walk->survey->evidence = output_format("%s", walk->home_file->path);
    return (WALK_STOP);
}

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    WALK *walk = context;

    (void)status;
    if (block->encrypted)
        return (count_unit(walk, block->offset, block->unit, block->unit_length, block->unit_have));
    if (!block->extent_list)
        current(walk)->clear_units++;
    return (0);
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    (void)status;
    if (!metadata->encrypted)
        return (0);
    return (count_unit(context, metadata->text_offset, metadata->unit, metadata->unit_length,
      metadata->unit_length));
}

static int
on_damage(void *context, uint64_t offset, const char *text, STATUS *status)
{
    (void)status;
    problem(context, offset, text);
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    return (block_damage_add(&((WALK *)context)->damage, region, status));
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
    WALK *walk = context;

    (void)total;
    if (done > walk->reported)
        progress_add(walk->progress, done - walk->reported);
    walk->reported = done;
}

/* A file that cannot be walked is told and passed over; only memory ends the survey. */
static int
pass_over(WALK *walk, int ret, STATUS *status)
{
    if (ret == 0 || ret == STATUS_NO_MEMORY)
        return (ret);
    problem(walk, 0, status->message);
    return (0);
}

static int
walk_blocks(WALK *walk, const HOME_FILE *file, STATUS *status)
{
    BLOCK_FILE blocks;
    BLOCK_HANDLER handler = {on_block, on_metadata, NULL, on_progress, walk};
    STATUS ignored;
    int ret;

    if ((ret = block_file_open(&blocks, file->fd, file->path, true, status)) == 0) {
        memset(&walk->damage, 0, sizeof(walk->damage));
        walk->damage.fd = file->fd;
        walk->damage.allocation = blocks.allocation_size;
        walk->damage.damage = on_damage;
        walk->damage.context = walk;
        if (walk->full)
            handler.region = on_region;
        if (!blocks.descriptor_ok)
            problem(walk, 0, "the descriptor at the start is damaged");
        else if (blocks.size % blocks.allocation_size != 0)
            problem(walk, blocks.size - blocks.size % blocks.allocation_size,
              "the file ends inside a block: it was not copied whole");
        ret = block_file_walk(
          &blocks, walk->full ? BLOCK_WALK_FULL : BLOCK_WALK_HEADERS, &handler, NULL, status);
        if (ret == 0)
            ret = block_damage_end(&walk->damage, status);
        else
            (void)!block_damage_end(&walk->damage, &ignored);
    }
    block_file_close(&blocks);
    ret = pass_over(walk, ret, status);
    if (current(walk)->units == 0 && current(walk)->clear_units != 0)
        walk->survey->plain_tables++;
    return (ret);
}

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    WALK *walk = context;

    (void)status;
    if (record->kind == LOG_RECORD_ENCRYPTED)
        return (
          count_unit(walk, record->offset, record->unit, record->unit_length, record->unit_length));
    if (record->kind == LOG_RECORD_CLEAR) {
        current(walk)->clear_units++;
        walk->survey->clear_records++;
    }
    return (0);
}

static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    (void)status;
    if (gap->kind == LOG_GAP_OTHER)
        problem(context, gap->offset, "no log record, and not zero");
    return (0);
}

static int
walk_log(WALK *walk, const HOME_FILE *file, STATUS *status)
{
    LOG_FILE log;
    LOG_HANDLER handler = {on_record, on_gap, on_progress, walk};
    int ret;

    if ((ret = log_file_open(&log, file->fd, file->path, true, status)) == 0) {
        if (!log.descriptor_ok)
            problem(walk, 0, "the descriptor at the start is damaged");
        ret = log_file_walk(&log, &handler, NULL, status);
    }
    log_file_close(&log);
    return (pass_over(walk, ret, status));
}

static bool
is_link(int home_fd, const char *path)
{
    struct stat sb;

    return (fstatat(home_fd, path, &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(sb.st_mode));
}

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return (len >= end_len && strcmp(text + len - end_len, end) == 0);
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    WALK *walk = context;
    char text[128];
    int ret = 0;

    switch (file->kind) {
    case HOME_BLOCK_FILE:
        walk->metadata = walk->metadata || file->is_metadata;
        start_file(walk, file);
        ret = walk_blocks(walk, file, status);
        break;
    case HOME_LOG_FILE:
        start_file(walk, file);
        ret = walk_log(walk, file, status);
        break;
    case HOME_TURTLE:
        walk->turtle = true;
        break;
    case HOME_BACKUP_METADATA:
        /* A backup has all that is in WiredTiger.wt in this file, in clear. */
        walk->turtle = walk->metadata = true;
        break;
    case HOME_UNREADABLE:
        start_file(walk, file);
        problem(walk, 0, strerror_r(file->error, text, sizeof(text)));
        break;
    case HOME_LOCKED:
        if (strcmp(file->name, ENGINE_LOCK_FILE) != 0) {
            start_file(walk, file);
            problem(walk, 0, "a process holds a lock on it, so it was not opened");
        }
        break;
    case HOME_OTHER:
        if (ends_with(file->name, ".wt")) {
            start_file(walk, file);
            problem(walk, 0, "no WiredTiger file, by its start: it was not copied whole");
        }
        break;
    case HOME_SPECIAL:
        /* Sockets and pipes hold nothing; what has gone meanwhile is no link either. */
        if (walk->survey->dangling == NULL && is_link(walk->home_fd, file->path))
            walk->survey->dangling = output_format("%s", file->path);
        break;
    case HOME_OWN_OTHER:
        if (strcmp(file->name, HOME_UNFINISHED) == 0) {
            start_file(walk, file);
            problem(walk, 0, "a restore or a copy to here was not finished: this is no home");
        } else if (strncmp(file->name, "wtkms.reencrypt", 15) == 0) {
            start_file(walk, file);
            problem(
              walk, 0, "a re-encryption was not finished: \"wtkms reencrypt\" goes on with it");
        }
        break;
    default:
        break;
    }
    if (ret == 0 && walk->first_unit && walk->survey->units != 0)
        return (WALK_STOP);
    return (ret);
}

static int
compare_files(const void *a, const void *b)
{
    return (strcmp(((const SURVEY_FILE *)a)->path, ((const SURVEY_FILE *)b)->path));
}

int
survey_log_path(const TARGET *target, char **pathp, STATUS *status)
{
    *pathp = NULL;
    if (target->settings != NULL && target->settings->log_path != NULL) {
        *pathp = output_format("%s", target->settings->log_path);
        return (0);
    }
    return (home_log_path(target->fd, pathp, status));
}

static int
add_size(void *context, const HOME_FILE *file, STATUS *status)
{
    uint64_t *total = context;

    (void)status;
    if (file->kind == HOME_BLOCK_FILE || file->kind == HOME_LOG_FILE)
        *total += file->size;
    return (0);
}

int
survey_size(const TARGET *target, uint64_t *totalp, STATUS *status)
{
    HOME_OPTIONS options = {NULL};
    char *log_path = NULL;
    int ret;

    *totalp = 0;
    if ((ret = survey_log_path(target, &log_path, status)) == 0) {
        options.log_path = log_path;
        ret = home_walk(target->fd, &options, add_size, totalp, status);
    }
    free(log_path);
    return (ret);
}

int
survey_home(const TARGET *target, bool full, bool first_unit, SURVEY *survey, STATUS *status)
{
    HOME_EVIDENCE evidence;
    HOME_OPTIONS options = {NULL};
    WALK walk;
    char *log_path = NULL;
    uint64_t total = 0;
    int ret;

    memset(survey, 0, sizeof(*survey));
    memset(&walk, 0, sizeof(walk));
    walk.survey = survey;
    walk.home_fd = target->fd;
    walk.full = full;
    walk.first_unit = first_unit;
    if ((ret = survey_log_path(target, &log_path, status)) != 0)
        goto err;
    options.log_path = log_path;
    ret = home_has_data(target->fd, &options, &evidence, status);
    /* Something that cannot be read may be data: the walk says what it is. */
    if (ret != 0 && (first_unit || ret == STATUS_NO_MEMORY))
        goto err;
    survey->has_data = ret != 0 || evidence.has_data;
    if (survey->has_data)
        survey->evidence = output_format("%s", ret == 0 ? evidence.path : status->message);
    if (full && (ret = survey_size(target, &total, status)) != 0)
        goto err;
    walk.progress = first_unit ? NULL : progress_start("Reading", full ? total : 0);
    ret = home_walk(target->fd, &options, on_file, &walk, status);
    progress_end(walk.progress);
    if (ret != 0)
        goto err;
    survey->incomplete = survey->has_data && (!walk.turtle || !walk.metadata);
    if (survey->count != 0)
        qsort(survey->files, survey->count, sizeof(*survey->files), compare_files);

err:
    free(log_path);
    return (ret);
}

void
survey_release(SURVEY *survey)
{
    size_t i;

    for (i = 0; i < survey->count; i++) {
        free(survey->files[i].path);
        free(survey->files[i].uses);
        free(survey->files[i].problem);
    }
    free(survey->files);
    free(survey->evidence);
    free(survey->dangling);
    memset(survey, 0, sizeof(*survey));
}

size_t
survey_uses(const SURVEY *survey, SURVEY_USE **usesp)
{
    SURVEY_FILE sum;
    size_t i, u, n;

    memset(&sum, 0, sizeof(sum));
    for (i = 0; i < survey->count; i++)
        for (u = 0; u < survey->files[i].use_count; u++) {
            const SURVEY_USE *use = &survey->files[i].uses[u];

            count_use(&sum, use->data_key_id, use->bytes);
            for (n = 0; sum.uses[n].data_key_id != use->data_key_id; n++)
                ;
            sum.uses[n].units += use->units - 1;
        }
    *usesp = sum.uses;
    return (sum.use_count);
}
