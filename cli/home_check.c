/*
 * cli/home_check.c -- Checking a home. See home_check.h.
 */
#include "cli/home_check.h"

#include "cli/block_damage.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "cli/unit_pool.h"
#include "crypto/digest.h"
#include "datafile/block_file.h"
#include "datafile/engine_lock.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A data key that was met, found in the keystore or not. */
typedef struct met_key MET_KEY;
struct met_key {
    MET_KEY *next;
    uint64_t id;
    UNIT_KEY *key; /* NULL: not in the keystore */
    bool unjudged; /* and it may be in the rest of it */
    char keyid[KEYSTORE_KEYID_MAX + 1];
};

/* What all threads share; lock guards all but options, keyring and pool. */
typedef struct {
    HOME_CHECK *check;
    KEYRING *keyring; /* or NULL */
    bool partial;     /* its keystore is a part */
    const HOME_CHECK_OPTIONS *options;
    UNIT_POOL *pool;
    pthread_mutex_t lock;
    size_t room; /* of the findings */
    size_t file_room;
    MET_KEY *keys;          /* few */
    const HOME_CHECK *only; /* a second look: files with findings in this one */
    PROGRESS *progress;
    int ret; /* the first error that ends all */
    STATUS status;
} RUN;

/* One file, on one thread. */
typedef struct {
    RUN *run;
    size_t index; /* of the check's files */
    HOME_FILE file;
    HOME_CHECK_FILE_STATE state;
    MET_KEY *last; /* most units of a file follow one another under one key */
    uint64_t authenticated, bytes;
    uint64_t reported;
    BLOCK_DAMAGE damage;
    uint64_t first_clear;
    DIGEST *digest; /* or NULL */
    uint64_t digested;
    uint8_t *buffer; /* of a unit or of what is digested */
    size_t buffer_room;
} WALK;

static void finding(RUN *run, size_t file, uint64_t offset, HOME_CHECK_KIND kind, bool torn,
  const char *fmt, ...) WTKMS_PRINTF(6, 7);

static void
finding(
  RUN *run, size_t file, uint64_t offset, HOME_CHECK_KIND kind, bool torn, const char *fmt, ...)
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
    check->torn += torn;
    if (check->finding_count < HOME_CHECK_FINDINGS_MAX) {
        if (check->finding_count == run->room) {
            run->room = run->room == 0 ? 64 : run->room * 2;
            check->findings = output_grow(check->findings, run->room, sizeof(*check->findings));
        }
        f = &check->findings[check->finding_count++];
        f->file = file;
        f->offset = offset;
        f->kind = kind;
        f->torn = torn;
        f->what = output_format("%s", text);
    }
    (void)pthread_mutex_unlock(&run->lock);
}

static void
on_failed(void *context, const UNIT_POOL_PLACE *place, const STATUS *status)
{
    finding(context, place->file, place->offset, (HOME_CHECK_KIND)place->kind, false, "%s",
      status->message);
}

static uint8_t *
room_for(WALK *walk, size_t len)
{
    if (walk->buffer_room < len) {
        free(walk->buffer);
        walk->buffer = output_allocate(len, 1);
        walk->buffer_room = len;
    }
    return (walk->buffer);
}

/*
 * The prepared key with an id; a key that cannot be had is remembered too. The lock is held.
 */
static int
add_key(RUN *run, uint64_t id, MET_KEY **metp, STATUS *status)
{
    MET_KEY *met;
    SECRET *secret = NULL;
    int ret;

    met = output_allocate(1, sizeof(*met));
    met->id = id;
    if (run->keyring == NULL) {
        met->unjudged = true;
        ret = 0;
    } else if ((ret = keyring_data_key(run->keyring, id, &secret, met->keyid, status)) == 0)
        ret = unit_key_new(id, secret, &met->key, status);
    secret_free(secret);
    if (ret != 0 && ret != STATUS_NO_KEY) {
        free(met);
        return (ret);
    }
    if (ret == STATUS_NO_KEY)
        met->unjudged = run->partial;
    met->next = run->keys;
    run->keys = met;
    *metp = met;
    return (0);
}

static int
find_key(WALK *walk, uint64_t id, MET_KEY **metp, STATUS *status)
{
    RUN *run = walk->run;
    int ret = 0;

    if (walk->last == NULL || walk->last->id != id) {
        (void)pthread_mutex_lock(&run->lock);
        for (walk->last = run->keys; walk->last != NULL && walk->last->id != id;)
            walk->last = walk->last->next;
        if (walk->last == NULL)
            ret = add_key(run, id, &walk->last, status);
        (void)pthread_mutex_unlock(&run->lock);
    }
    *metp = walk->last;
    return (ret);
}

/* Of a block whose header alone was read: a sample is read whole. */
static bool
read_unit(WALK *walk, uint64_t offset, size_t len, const uint8_t **unitp)
{
    ssize_t n;

    *unitp = room_for(walk, len);
    do
        n = pread(walk->file.fd, walk->buffer, len, (off_t)(offset + BLOCK_UNIT_OFFSET));
    while (n < 0 && errno == EINTR);
    return (n == (ssize_t)len);
}

static int
check_unit(WALK *walk, uint64_t offset, HOME_CHECK_KIND kind, const uint8_t *unit, size_t len,
  size_t have, STATUS *status)
{
    RUN *run = walk->run;
    HOME_CHECK_FILE_STATE *file = &walk->state;
    MET_KEY *met;
    STATUS parsed;
    UNIT_HEADER header;
    UNIT_POOL_PLACE place = {walk->index, offset, (int)kind};
    int ret;

    file->units++;
    walk->bytes += len;
    if (unit == NULL) {
        finding(run, place.file, offset, kind, false, "the length of the encrypted part is wrong");
        return (0);
    }
    if (run->options->quick) {
        /* The first one always. */
        if (file->units % HOME_CHECK_SAMPLE != 1)
            return (0);
        if (have < len && !read_unit(walk, offset, len, &unit)) {
            finding(run, place.file, offset, kind, false, "it cannot be read whole");
            return (0);
        }
    } else if (have < len) {
        finding(run, place.file, offset, kind, false, "too large to be authenticated");
        return (0);
    }
    if (unit_parse(unit, len, &header, &parsed) != 0) {
        finding(run, place.file, offset, kind, false, "%s", parsed.message);
        return (0);
    }
    if ((ret = find_key(walk, header.data_key_id, &met, status)) != 0)
        return (ret);
    if (met->key == NULL) {
        if (met->unjudged)
            file->unjudged++;
        else
            finding(run, place.file, offset, kind, false,
              "its data key %016llx is not in the keystore, or was retired",
              (unsigned long long)header.data_key_id);
        return (0);
    }
    if (file->keyid == NULL)
        file->keyid = met->keyid;
    else if (strcmp(file->keyid, met->keyid) != 0)
        finding(run, place.file, offset, kind, false,
          "a unit of keyid %s in a file of keyid %s: it was put there", met->keyid, file->keyid);
    walk->authenticated++;
    unit_pool_submit(run->pool, met->key, unit, len, &place);
    return (0);
}

/* --- reading on: progress, and the digest of what the walk has just had in memory */

static int
digest_until(WALK *walk, uint64_t end, STATUS *status)
{
    uint8_t *buffer;
    size_t len;
    ssize_t n;
    int ret;

    if (walk->digest == NULL)
        return (0);
    buffer = room_for(walk, READER_CHUNK);
    while (walk->digested < end) {
        len = end - walk->digested < READER_CHUNK ? (size_t)(end - walk->digested) : READER_CHUNK;
        if ((n = pread(walk->file.fd, buffer, len, (off_t)walk->digested)) < 0) {
            if (errno == EINTR)
                continue;
            return (status_set_errno(status, errno, "check-read", "reading %s", walk->file.path));
        }
        if (n == 0)
            break;
        if ((ret = digest_update(walk->digest, buffer, (size_t)n, status)) != 0)
            return (ret);
        walk->digested += (uint64_t)n;
    }
    return (0);
}

static void
on_progress(void *context, uint64_t done, uint64_t total)
{
    WALK *walk = context;
    STATUS ignored;

    (void)total;
    if (done > walk->reported)
        progress_add(walk->run->progress, done - walk->reported);
    walk->reported = done;
    /* What cannot be read now is met again when the rest is digested. */
    (void)!digest_until(walk, done, &ignored);
}

/* The rest of the file, and the result. */
static int
finish_digest(WALK *walk, STATUS *status)
{
    int ret;

    if (walk->digest == NULL)
        return (0);
    if ((ret = digest_until(walk, UINT64_MAX, status)) == 0 &&
        (ret = digest_final(walk->digest, walk->state.sha256, status)) == 0) {
        walk->state.hashed = true;
        walk->state.size = walk->digested;
    }
    return (ret);
}

/* --- block files */

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    WALK *walk = context;

    /* Stale, and overwritten in part: nobody will read it again. */
    if (block->overlapped)
        return (0);
    if (!block->encrypted) {
        if (!block->extent_list && walk->state.clear_units++ == 0)
            walk->first_clear = block->offset;
        return (0);
    }
    if (!block->padding_zero)
        finding(walk->run, walk->index, block->offset, HOME_CHECK_BLOCK, false,
          "the padding behind the encrypted part is not zero");
    return (check_unit(walk, block->offset, HOME_CHECK_BLOCK, block->unit, block->unit_length,
      block->unit_have, status));
}

static int
on_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    WALK *walk = context;

    /* WiredTiger 3.2 leaves some without the last byte of the tag: nobody can decrypt or use those. */
    if (!metadata->encrypted || metadata->cut)
        return (0);
    return (check_unit(walk, metadata->text_offset, HOME_CHECK_METADATA, metadata->unit,
      metadata->unit_length, metadata->unit_length, status));
}

static int
on_damage(void *context, uint64_t offset, const char *text, STATUS *status)
{
    WALK *walk = context;

    (void)status;
    finding(walk->run, walk->index, offset, HOME_CHECK_BLOCK, true, "%s", text);
    return (0);
}

static int
on_region(void *context, const BLOCK_REGION *region, STATUS *status)
{
    return (block_damage_add(&((WALK *)context)->damage, region, status));
}

static int
check_blocks(WALK *walk, STATUS *status)
{
    BLOCK_FILE blocks;
    BLOCK_HANDLER handler = {on_block, on_metadata, NULL, on_progress, walk};
    HOME_CHECK_FILE_STATE *state = &walk->state;
    const HOME_FILE *file = &walk->file;
    STATUS ignored;
    bool quick = walk->run->options->quick;
    int ret;

    if ((ret = block_file_open(&blocks, file->fd, file->path, true, status)) == 0) {
        walk->damage.fd = file->fd;
        walk->damage.allocation = blocks.allocation_size;
        walk->damage.damage = on_damage;
        walk->damage.context = walk;
        if (!quick)
            handler.region = on_region;
        if (!blocks.descriptor_ok)
            finding(walk->run, walk->index, 0, HOME_CHECK_FILE, false,
              "the descriptor at the start is damaged");
        else if (blocks.size % blocks.allocation_size != 0)
            finding(walk->run, walk->index, blocks.size - blocks.size % blocks.allocation_size,
              HOME_CHECK_FILE, true, "the file ends inside a block");
        ret = block_file_walk(
          &blocks, quick ? BLOCK_WALK_HEADERS : BLOCK_WALK_FULL, &handler, NULL, status);
        if (ret == 0)
            ret = block_damage_end(&walk->damage, status);
        else
            (void)!block_damage_end(&walk->damage, &ignored);
    }
    block_file_close(&blocks);
    /* Without keys it may be a home that is not encrypted at all. */
    if (state->clear_units != 0 &&
        (state->units != 0 || (state->is_metadata && walk->run->keyring != NULL)))
        finding(walk->run, walk->index, walk->first_clear, HOME_CHECK_BLOCK, false,
          "%llu clear pages in an encrypted table, the first of them here",
          (unsigned long long)state->clear_units);
    return (ret);
}

/* --- logs */

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    WALK *walk = context;

    if (record->kind == LOG_RECORD_CLEAR) {
        walk->state.clear_units++;
        finding(walk->run, walk->index, record->offset, HOME_CHECK_RECORD, false,
          "a clear record: the engine would replay it, and the module refuses to open");
    }
    if (record->kind != LOG_RECORD_ENCRYPTED)
        return (0);
    if (!record->padding_ok)
        finding(walk->run, walk->index, record->offset, HOME_CHECK_RECORD, false,
          "the padding behind the encrypted part is not as the engine writes it");
    return (check_unit(walk, record->offset, HOME_CHECK_RECORD, record->unit, record->unit_length,
      record->unit_length, status));
}

static int
on_gap(void *context, const LOG_GAP *gap, STATUS *status)
{
    WALK *walk = context;

    (void)status;
    if (gap->kind == LOG_GAP_OTHER)
        finding(walk->run, walk->index, gap->offset, HOME_CHECK_RECORD, false,
          "%llu bytes that are no log record and not zero", (unsigned long long)gap->length);
    return (0);
}

static int
check_log(WALK *walk, STATUS *status)
{
    LOG_FILE log;
    LOG_HANDLER handler = {on_record, on_gap, on_progress, walk};
    int ret;

    if ((ret = log_file_open(&log, walk->file.fd, walk->file.path, true, status)) == 0) {
        if (!log.descriptor_ok)
            finding(walk->run, walk->index, 0, HOME_CHECK_FILE, false,
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

/* Note a file; only the thread that walks the directories does. */
static size_t
note_file(RUN *run, const HOME_FILE *file)
{
    HOME_CHECK *check = run->check;
    HOME_CHECK_FILE_STATE *state;
    size_t index;

    (void)pthread_mutex_lock(&run->lock);
    if (check->file_count == run->file_room) {
        run->file_room = run->file_room == 0 ? 64 : run->file_room * 2;
        check->files = output_grow(check->files, run->file_room, sizeof(*check->files));
    }
    index = check->file_count++;
    state = &check->files[index];
    memset(state, 0, sizeof(*state));
    state->path = output_format("%s", file->path);
    state->kind = file->kind;
    state->is_log = file->kind == HOME_LOG_FILE;
    state->is_metadata = file->is_metadata;
    state->size = file->size;
    (void)pthread_mutex_unlock(&run->lock);
    return (index);
}

static void
end_all(RUN *run, int ret, const STATUS *status)
{
    (void)pthread_mutex_lock(&run->lock);
    if (run->ret == 0) {
        run->ret = ret;
        run->status = *status;
    }
    (void)pthread_mutex_unlock(&run->lock);
}

static bool
is_ended(RUN *run)
{
    bool ended;

    (void)pthread_mutex_lock(&run->lock);
    ended = run->ret != 0;
    (void)pthread_mutex_unlock(&run->lock);
    return (ended);
}

/* A file that cannot be read to its end fails, and the next one is looked at. */
static int
pass_over(WALK *walk, int ret, const STATUS *status)
{
    if (ret != STATUS_CORRUPT && ret != STATUS_IO)
        return (ret);
    finding(walk->run, walk->index, 0, HOME_CHECK_FILE, false, "%s", status->message);
    return (0);
}

static void
add_results(WALK *walk)
{
    HOME_CHECK *check = walk->run->check;
    HOME_CHECK_FILE_STATE *state = &walk->state;
    bool data = state->kind == HOME_BLOCK_FILE || state->kind == HOME_LOG_FILE;

    (void)pthread_mutex_lock(&walk->run->lock);
    check->units += state->units;
    check->authenticated += walk->authenticated;
    check->unjudged += state->unjudged;
    check->bytes += walk->bytes;
    check->data_files += data;
    if (state->clear_units != 0 && state->units == 0 && !state->is_log && !state->is_metadata)
        check->plain_tables++;
    check->files[walk->index] = *state;
    (void)pthread_mutex_unlock(&walk->run->lock);
}

static void
walk_one(void *arg)
{
    WALK *walk = arg;
    RUN *run = walk->run;
    STATUS status;
    int ret = 0;

    if (is_ended(run))
        goto err;
    if (run->options->hash && (ret = digest_new(&walk->digest, &status)) != 0)
        goto err;
    if (walk->file.kind == HOME_BLOCK_FILE)
        ret = check_blocks(walk, &status);
    else if (walk->file.kind == HOME_LOG_FILE)
        ret = check_log(walk, &status);
    if ((ret = pass_over(walk, ret, &status)) == 0)
        ret = pass_over(walk, finish_digest(walk, &status), &status);
    add_results(walk);

err:
    if (ret != 0)
        end_all(run, ret, &status);
    digest_free(walk->digest);
    (void)close(walk->file.fd);
    free(walk->buffer);
    free(walk);
}

static int
start_walk(RUN *run, const HOME_FILE *file, STATUS *status)
{
    WALK *walk;
    int fd;

    if ((fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0)) < 0)
        return (status_set_errno(status, errno, "check-open", "keeping %s open", file->path));
    walk = output_allocate(1, sizeof(*walk));
    walk->run = run;
    walk->index = note_file(run, file);
    walk->state = run->check->files[walk->index];
    walk->file = *file;
    walk->file.fd = fd;
    walk->file.path = walk->state.path;
    walk->file.name = NULL;
    unit_pool_task(run->pool, walk_one, walk);
    return (0);
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    RUN *run = context;
    char text[128];

    if (is_ended(run))
        return (WALK_STOP);
    if (!wanted(run, file))
        return (0);
    switch (file->kind) {
    case HOME_BLOCK_FILE:
    case HOME_LOG_FILE:
        return (start_walk(run, file, status));
    case HOME_UNREADABLE:
        finding(run, note_file(run, file), 0, HOME_CHECK_FILE, false, "%s",
          strerror_r(file->error, text, sizeof(text)));
        return (0);
    case HOME_LOCKED:
        if (strcmp(file->name, ENGINE_LOCK_FILE) != 0)
            finding(run, note_file(run, file), 0, HOME_CHECK_FILE, false,
              "a process holds a lock on it, so it was not opened");
        return (0);
    case HOME_OTHER:
        if (file->is_metadata)
            finding(run, note_file(run, file), 0, HOME_CHECK_FILE, false,
              "no WiredTiger file, by its start");
        break;
    default:
        break;
    }
    if (!run->options->all_files || file->fd < 0)
        return (0);
    if (run->options->hash)
        return (start_walk(run, file, status));
    (void)note_file(run, file);
    return (0);
}

static int
compare_findings(const void *a, const void *b)
{
    const HOME_CHECK_FINDING *x = a, *y = b;

    if (x->file != y->file)
        return (x->file < y->file ? -1 : 1);
    return (x->offset < y->offset ? -1 : x->offset > y->offset);
}

static bool
is_partial(KEYRING *keyring)
{
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    bool partial = keystore->partial;

    keyring_release_keystore(keyring, keystore);
    return (partial);
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

static int
walk_all(RUN *run, const TARGET *target, STATUS *status)
{
    HOME_OPTIONS options = {NULL};
    char *log_path = NULL;
    uint64_t total = 0;
    int ret = 0;

    if (!run->options->copy)
        ret = survey_log_path(target, &log_path, status);
    options.log_path = log_path;
    if (ret == 0 && (ret = home_walk(target->fd, &options, add_size, &total, status)) == 0 &&
        (ret = unit_pool_start(run->options->threads, on_failed, run, &run->pool, status)) == 0) {
        run->progress = progress_start(run->only == NULL ? "Checking" : "Looking again", total);
        ret = home_walk(target->fd, &options, on_file, run, status);
        unit_pool_finish(run->pool);
        progress_end(run->progress);
    }
    free(log_path);
    if (ret == 0 && run->ret != 0) {
        *status = run->status;
        ret = run->ret;
    }
    return (ret);
}

static int
run_once(const TARGET *target, KEYRING *keyring, const HOME_CHECK_OPTIONS *options,
  const HOME_CHECK *only, HOME_CHECK *check, STATUS *status)
{
    RUN run;
    MET_KEY *next;
    size_t i;
    int ret;

    memset(&run, 0, sizeof(run));
    memset(check, 0, sizeof(*check));
    run.check = check;
    run.keyring = keyring;
    run.partial = keyring != NULL && is_partial(keyring);
    run.options = options;
    run.only = only;
    (void)pthread_mutex_init(&run.lock, NULL);
    ret = walk_all(&run, target, status);
    if (check->finding_count != 0)
        qsort(check->findings, check->finding_count, sizeof(*check->findings), compare_findings);

    /* The keyids of the files go with the keys. */
    for (i = 0; i < check->file_count; i++)
        check->files[i].keyid = NULL;
    for (; run.keys != NULL; run.keys = next) {
        next = run.keys->next;
        unit_key_free(run.keys->key);
        free(run.keys);
    }
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
look_again(const TARGET *target, KEYRING *keyring, const HOME_CHECK_OPTIONS *options,
  HOME_CHECK *check, STATUS *status)
{
    HOME_CHECK second;
    size_t i, kept;
    int ret;

    ret = run_once(target, keyring, options, check, &second, status);
    for (kept = 0, i = 0; ret == 0 && i < check->finding_count; i++)
        if (has_finding(&second, check->files[check->findings[i].file].path, &check->findings[i]))
            check->findings[kept++] = check->findings[i];
        else {
            free(check->findings[i].what);
            check->failures--;
            check->torn -= check->findings[i].torn;
            check->gone++;
        }
    if (ret == 0)
        check->finding_count = kept;
    home_check_release(&second);
    return (ret);
}

int
home_check_run(const TARGET *target, KEYRING *keyring, const HOME_CHECK_OPTIONS *options,
  HOME_CHECK *check, STATUS *status)
{
    int ret;

    memset(check, 0, sizeof(*check));
    if ((ret = unit_cipher_library_open(status)) != 0)
        return (ret);
    if ((ret = run_once(target, keyring, options, NULL, check, status)) == 0 &&
        options->host_running && check->finding_count != 0)
        ret = look_again(target, keyring, options, check, status);
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
