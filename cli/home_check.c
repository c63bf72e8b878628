/*
 * cli/home_check.c -- Checking a home. See home_check.h.
 */
#include "cli/home_check.h"

#include "cli/block_damage.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "cli/unit_pool.h"
#include "datafile/block_file.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A data key that was met, found in the keystore or not. */
typedef struct {
    uint64_t id;
    UNIT_KEY *key; /* NULL: not in the keystore */
    char keyid[KEYSTORE_KEYID_MAX + 1];
} MET_KEY;

typedef struct {
    HOME_CHECK *check;
    KEYRING *keyring;
    UNIT_POOL *pool;
    pthread_mutex_t lock; /* of the findings */
    size_t room;          /* of the findings */
    size_t file_room;
    MET_KEY **keys; /* few: the walker alone uses them */
    size_t key_count;
    const HOME_CHECK *only; /* a second look: files with findings in this one */
    PROGRESS *progress;
    uint64_t reported;
    const HOME_FILE *home_file;
    uint32_t allocation;
    uint64_t first_clear;
} RUN;

static HOME_CHECK_FILE_STATE *
current(const RUN *run)
{
    return (&run->check->files[run->check->file_count - 1]);
}

static void finding(RUN *run, size_t file, uint64_t offset, HOME_CHECK_KIND kind, const char *fmt,
  ...) WTKMS_PRINTF(5, 6);

static void
finding(RUN *run, size_t file, uint64_t offset, HOME_CHECK_KIND kind, const char *fmt, ...)
{
    HOME_CHECK *check = run->check;
    HOME_CHECK_FINDING *f;
    va_list ap;
    char text[1024];

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)pthread_mutex_lock(&run->lock);
    check->failures++;
    if (check->finding_count < HOME_CHECK_FINDINGS_MAX) {
        if (check->finding_count == run->room) {
            run->room = run->room == 0 ? 64 : run->room * 2;
            check->findings = output_grow(check->findings, run->room, sizeof(*check->findings));
        }
        f = &check->findings[check->finding_count++];
        f->file = file;
        f->offset = offset;
        f->kind = kind;
        f->what = output_format("%s", text);
    }
    (void)pthread_mutex_unlock(&run->lock);
}

static void
on_failed(void *context, const UNIT_POOL_PLACE *place, const STATUS *status)
{
    finding(
      context, place->file, place->offset, (HOME_CHECK_KIND)place->kind, "%s", status->message);
}

/*
 * The prepared key with an id; a key that cannot be had is remembered too.
 */
static int
find_key(RUN *run, uint64_t id, MET_KEY **metp, STATUS *status)
{
    MET_KEY *met;
    SECRET *secret = NULL;
    size_t i;
    int ret;

    *metp = NULL;
    for (i = 0; i < run->key_count; i++)
        if (run->keys[i]->id == id) {
            met = run->keys[i];
            /* Most units of a file follow one another under one key: keep it in front. */
            run->keys[i] = run->keys[0];
            run->keys[0] = met;
            *metp = met;
            return (0);
        }
    met = output_allocate(1, sizeof(*met));
    met->id = id;
    run->keys = output_grow(run->keys, run->key_count + 1, sizeof(*run->keys));
    run->keys[run->key_count++] = met;
    ret = keyring_data_key(run->keyring, id, &secret, met->keyid, status);
    if (ret == 0)
        ret = unit_key_new(id, secret, &met->key, status);
    secret_free(secret);
    if (ret != 0 && ret != STATUS_NO_KEY)
        return (ret);
    *metp = met;
    return (0);
}

static int
check_unit(RUN *run, uint64_t offset, HOME_CHECK_KIND kind, const uint8_t *unit, size_t len,
  size_t have, STATUS *status)
{
    HOME_CHECK_FILE_STATE *file = current(run);
    MET_KEY *met;
    STATUS parsed;
    UNIT_HEADER header;
    UNIT_POOL_PLACE place = {run->check->file_count - 1, offset, (int)kind};
    int ret;

    file->units++;
    run->check->units++;
    run->check->bytes += len;
    if (unit == NULL) {
        finding(run, place.file, offset, kind, "the length of the encrypted part is wrong");
        return (0);
    }
    if (have < len) {
        finding(run, place.file, offset, kind, "too large to be authenticated");
        return (0);
    }
    if (unit_parse(unit, len, &header, &parsed) != 0) {
        finding(run, place.file, offset, kind, "%s", parsed.message);
        return (0);
    }
    if ((ret = find_key(run, header.data_key_id, &met, status)) != 0)
        return (ret);
    if (met->key == NULL) {
        finding(run, place.file, offset, kind,
          "its data key %016llx is not in the keystore, or was retired",
          (unsigned long long)header.data_key_id);
        return (0);
    }
    if (file->keyid == NULL)
        file->keyid = met->keyid;
    else if (strcmp(file->keyid, met->keyid) != 0)
        finding(run, place.file, offset, kind,
          "a unit of keyid %s in a file of keyid %s: it was put there", met->keyid, file->keyid);
    unit_pool_submit(run->pool, met->key, unit, len, &place);
    return (0);
}

/* --- block files */

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    RUN *run = context;
    HOME_CHECK_FILE_STATE *file = current(run);

    /* Stale, and overwritten in part: nobody will read it again. */
    if (block->overlapped)
        return (0);
    if (!block->encrypted) {
        if (!block->extent_list && file->clear_units++ == 0)
            run->first_clear = block->offset;
        return (0);
    }
    if (!block->padding_zero)
        finding(run, run->check->file_count - 1, block->offset, HOME_CHECK_BLOCK,
          "the padding behind the encrypted part is not zero");
    return (check_unit(run, block->offset, HOME_CHECK_BLOCK, block->unit, block->unit_length,
      block->unit_have, status));
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    RUN *run = context;

    /* WiredTiger 3.2 leaves some without the last byte of the tag: nobody can decrypt or use those. */
    if (!metadata->encrypted || metadata->cut)
        return (0);
    return (check_unit(run, metadata->text_offset, HOME_CHECK_METADATA, metadata->unit,
      metadata->unit_length, metadata->unit_length, status));
}

static int
on_damage(void *context, uint64_t offset, const char *text, STATUS *status)
{
    RUN *run = context;

    (void)status;
    finding(run, run->check->file_count - 1, offset, HOME_CHECK_BLOCK, "%s", text);
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    RUN *run = context;

    return (block_damage_find(run->home_file->fd, region, run->allocation, on_damage, run, status));
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
    RUN *run = context;

    (void)total;
    if (done > run->reported)
        progress_add(run->progress, done - run->reported);
    run->reported = done;
}

static int
check_blocks(RUN *run, const HOME_FILE *file, STATUS *status)
{
    BLOCK_FILE blocks;
    BLOCK_HANDLER handler = {on_block, on_metadata, on_region, on_progress, run};
    HOME_CHECK_FILE_STATE *state = current(run);
    size_t index = run->check->file_count - 1;
    int ret;

    if ((ret = block_file_open(&blocks, file->fd, file->path, true, status)) == 0) {
        run->allocation = blocks.allocation_size;
        if (!blocks.descriptor_ok)
            finding(run, index, 0, HOME_CHECK_FILE, "the descriptor at the start is damaged");
        else if (blocks.size % blocks.allocation_size != 0)
            finding(run, index, blocks.size - blocks.size % blocks.allocation_size, HOME_CHECK_FILE,
              "the file ends inside a block");
        ret = block_file_walk(&blocks, BLOCK_WALK_FULL, &handler, NULL, status);
    }
    block_file_close(&blocks);
    if (state->clear_units != 0 && (state->units != 0 || state->is_metadata))
        finding(run, index, run->first_clear, HOME_CHECK_BLOCK,
          "%llu clear pages in an encrypted table, the first of them here",
          (unsigned long long)state->clear_units);
    else if (state->clear_units != 0)
        run->check->plain_tables++;
    return (ret);
}

/* --- logs */

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    RUN *run = context;

    if (record->kind == LOG_RECORD_CLEAR) {
        current(run)->clear_units++;
        finding(run, run->check->file_count - 1, record->offset, HOME_CHECK_RECORD,
          "a clear record: the engine would replay it, and the module refuses to open");
    }
    if (record->kind != LOG_RECORD_ENCRYPTED)
        return (0);
    if (!record->padding_ok)
        finding(run, run->check->file_count - 1, record->offset, HOME_CHECK_RECORD,
          "the padding behind the encrypted part is not as the engine writes it");
    return (check_unit(run, record->offset, HOME_CHECK_RECORD, record->unit, record->unit_length,
      record->unit_length, status));
}

static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    RUN *run = context;

    (void)status;
    if (gap->kind == LOG_GAP_OTHER)
        finding(run, run->check->file_count - 1, gap->offset, HOME_CHECK_RECORD,
          "%llu bytes that are no log record and not zero", (unsigned long long)gap->length);
    return (0);
}

static int
check_log(RUN *run, const HOME_FILE *file, STATUS *status)
{
    LOG_FILE log;
    LOG_HANDLER handler = {on_record, on_gap, on_progress, run};
    int ret;

    if ((ret = log_file_open(&log, file->fd, file->path, true, status)) == 0) {
        if (!log.descriptor_ok)
            finding(run, run->check->file_count - 1, 0, HOME_CHECK_FILE,
              "the descriptor at the start is damaged");
        ret = log_file_walk(&log, &handler, NULL, status);
    }
    log_file_close(&log);
    return (ret);
}

/* --- the home */

static bool
wanted(const RUN *run, const HOME_FILE *file)
{
    size_t i;

    if (run->only == NULL)
        return (true);
    for (i = 0; i < run->only->finding_count; i++)
        if (strcmp(run->only->files[run->only->findings[i].file].path, file->path) == 0)
            return (true);
    return (false);
}

static void
start_file(RUN *run, const HOME_FILE *file)
{
    HOME_CHECK *check = run->check;

    if (check->file_count == run->file_room) {
        run->file_room = run->file_room == 0 ? 64 : run->file_room * 2;
        check->files = output_grow(check->files, run->file_room, sizeof(*check->files));
    }
    memset(&check->files[check->file_count], 0, sizeof(*check->files));
    check->files[check->file_count].path = output_format("%s", file->path);
    check->files[check->file_count].is_log = file->kind == HOME_LOG_FILE;
    check->files[check->file_count].is_metadata = file->is_metadata;
    check->file_count++;
    run->home_file = file;
    run->reported = 0;
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    RUN *run = context;
    char text[128];
    int ret;

    if (!wanted(run, file))
        return (0);
    ret = 0;
    switch (file->kind) {
    case HOME_BLOCK_FILE:
        start_file(run, file);
        ret = check_blocks(run, file, status);
        break;
    case HOME_LOG_FILE:
        start_file(run, file);
        ret = check_log(run, file, status);
        break;
    case HOME_UNREADABLE:
        start_file(run, file);
        finding(run, run->check->file_count - 1, 0, HOME_CHECK_FILE, "%s",
          strerror_r(file->error, text, sizeof(text)));
        break;
    case HOME_LOCKED:
        if (strcmp(file->name, "WiredTiger.lock") == 0)
            break;
        start_file(run, file);
        finding(run, run->check->file_count - 1, 0, HOME_CHECK_FILE,
          "a process holds a lock on it, so it was not opened");
        break;
    case HOME_OTHER:
        if (!file->is_metadata)
            break;
        start_file(run, file);
        finding(
          run, run->check->file_count - 1, 0, HOME_CHECK_FILE, "no WiredTiger file, by its start");
        break;
    default:
        break;
    }
    /* A file that cannot be read to its end fails, and the next one is looked at. */
    if (ret == STATUS_CORRUPT || ret == STATUS_IO) {
        finding(run, run->check->file_count - 1, 0, HOME_CHECK_FILE, "%s", status->message);
        ret = 0;
    }
    return (ret);
}

static int
compare_findings(const void *a, const void *b)
{
    const HOME_CHECK_FINDING *x = a, *y = b;

    if (x->file != y->file)
        return (x->file < y->file ? -1 : 1);
    return (x->offset < y->offset ? -1 : x->offset > y->offset);
}

static int
run_once(const TARGET *target, KEYRING *keyring, unsigned threads, const HOME_CHECK *only,
  HOME_CHECK *check, STATUS *status)
{
    HOME_OPTIONS options = {NULL};
    RUN run;
    char *log_path = NULL;
    uint64_t total;
    size_t i;
    int ret;

    memset(&run, 0, sizeof(run));
    memset(check, 0, sizeof(*check));
    run.check = check;
    run.keyring = keyring;
    run.only = only;
    (void)pthread_mutex_init(&run.lock, NULL);
    if ((ret = survey_log_path(target, &log_path, status)) != 0 ||
        (ret = survey_size(target, &total, status)) != 0 ||
        (ret = unit_pool_start(threads, on_failed, &run, &run.pool, status)) != 0)
        goto err;
    options.log_path = log_path;
    run.progress = progress_start(only == NULL ? "Checking" : "Looking again", total);
    ret = home_walk(target->fd, &options, on_file, &run, status);
    unit_pool_finish(run.pool);
    progress_end(run.progress);
    if (check->finding_count != 0)
        qsort(check->findings, check->finding_count, sizeof(*check->findings), compare_findings);

err:
    /* The keyids of the files go with the keys. */
    for (i = 0; i < check->file_count; i++)
        check->files[i].keyid = NULL;
    for (i = 0; i < run.key_count; i++) {
        unit_key_free(run.keys[i]->key);
        free(run.keys[i]);
    }
    free(run.keys);
    free(log_path);
    (void)pthread_mutex_destroy(&run.lock);
    return (ret);
}

static bool
has_finding(const HOME_CHECK *check, const char *path, const HOME_CHECK_FINDING *like)
{
    size_t i;

    for (i = 0; i < check->finding_count; i++)
        if (check->findings[i].offset == like->offset && check->findings[i].kind == like->kind &&
            strcmp(check->files[check->findings[i].file].path, path) == 0)
            return (true);
    return (false);
}

/*
 * What both looks found counts; a host does not leave a block half written for so long.
 */
static int
look_again(
  const TARGET *target, KEYRING *keyring, unsigned threads, HOME_CHECK *check, STATUS *status)
{
    HOME_CHECK second;
    size_t i, kept;
    int ret;

    ret = run_once(target, keyring, threads, check, &second, status);
    for (kept = 0, i = 0; ret == 0 && i < check->finding_count; i++)
        if (has_finding(&second, check->files[check->findings[i].file].path, &check->findings[i]))
            check->findings[kept++] = check->findings[i];
        else {
            free(check->findings[i].what);
            check->failures--;
            check->gone++;
        }
    if (ret == 0)
        check->finding_count = kept;
    home_check_release(&second);
    return (ret);
}

int
home_check_run(const TARGET *target, KEYRING *keyring, unsigned threads, bool host_running,
  HOME_CHECK *check, STATUS *status)
{
    int ret;

    memset(check, 0, sizeof(*check));
    if ((ret = unit_cipher_library_open(status)) != 0)
        return (ret);
    if ((ret = run_once(target, keyring, threads, NULL, check, status)) == 0 && host_running &&
        check->finding_count != 0)
        ret = look_again(target, keyring, threads, check, status);
    unit_cipher_library_close();
    return (ret);
}

void
home_check_release(HOME_CHECK *check)
{
    size_t i;

    for (i = 0; i < check->file_count; i++)
        free(check->files[i].path);
    free(check->files);
    for (i = 0; i < check->finding_count; i++)
        free(check->findings[i].what);
    free(check->findings);
    memset(check, 0, sizeof(*check));
}
