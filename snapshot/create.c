/*
 * snapshot/create.c -- Making a copy. See create.h.
 */
#include "snapshot/create.h"

#include "common/clock.h"
#include "common/file.h"
#include "datafile/engine_lock.h"
#include "datafile/home.h"
#include "keystore/archive_key.h"
#include "keystore/mirror.h"
#include "keystore/state_file.h"
#include "rotation/copy_lock.h"
#include "snapshot/create_plan.h"
#include "snapshot/create_sink.h"
#include "snapshot/sample.h"

#include <bson/bson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TIMEOUT_MS 60000 /* a prune writes one keystore meanwhile */
#define BATCH 64              /* files that are open at once */
#define MIRROR_READ_MAX (1024 * 1024)
#define SETTLE_TRIES 50
#define SETTLE_MS 100

/* A file that is copied last, in memory: it may be replaced at any moment. */
typedef struct {
    uint8_t *data;
    size_t len;
    struct timespec modified;
} LATE;

typedef struct {
    int home_fd;
    const CREATE_OPTIONS *options;
    CREATE_RESULT *result;
    MANIFEST *manifest;
    FILE_COPIER *copier;
    CREATE_SINK *sink;
    KEYRING *keyring; /* NULL: no keystore */
    CREATE_PLAN plan;
    int lock_fd, copies_fd;
    KEYSTORE *keystore; /* as it is copied */
    bool from_mirror;
    LATE keystore_file, previous, mirror, state;
} RUN;

static int
switch_user(const RUN *run, bool to_owner, STATUS *status)
{
    return (run->options->switch_user == NULL
              ? 0
              : run->options->switch_user(run->options->context, to_owner, status));
}

/* Back to the home's owner behind what ended with ret, whose words go first. */
static int
back_to_owner(const RUN *run, int ret, STATUS *status)
{
    STATUS back;
    int back_ret = switch_user(run, true, ret == 0 ? status : &back);

    return (ret == 0 ? back_ret : ret);
}

/* --- who else is there */

static int
host_running(const RUN *run, STATUS *status)
{
    (void)status_set(
      status, STATUS_BUSY, "host-running", "a process has %s open", run->options->home);
    return (status_hint(status, "stop the database; or give --frozen for a volume snapshot or "
                                "under fsyncLock; or --files with the "
                                "list of a backup cursor"));
}

/* Held to the end, so that no database starts meanwhile. Where nobody can write, nobody can start one. */
static int
lock_home(RUN *run, STATUS *status)
{
    int ret;

    ret = engine_lock_take(run->home_fd, run->options->home, 0644, &run->lock_fd, status);
    if (ret != 0 && status->sys_errno == EROFS)
        return (0);
    if (ret != 0)
        return (status_hint(status,
          "run it as the home's owner or as root; for a copy that is no live home, give --frozen"));
    return (run->lock_fd < 0 ? host_running(run, status) : 0);
}

static int
take_locks(RUN *run, STATUS *status)
{
    int ret;

    if ((ret = home_refuse_unfinished(run->home_fd, status)) != 0)
        return (ret);
    if (run->options->method == MANIFEST_STOPPED && (ret = lock_home(run, status)) != 0)
        return (ret);
    if ((ret = copy_lock_share(run->home_fd, LOCK_TIMEOUT_MS, &run->copies_fd, status)) == 0 ||
        ret != STATUS_IO)
        return (ret);
    /* A reader who may not write into the home can still copy it. */
    log_printf(run->options->log, LOG_WARNING,
      "%s: so \"wtkms key prune\" does not know of this copy, and does not wait for it",
      status->message);
    return (0);
}

/* --- keys */

/* Before hours of copying: a home that is encrypted and has lost its keystore gives a copy that nobody opens. */
static int
check_plain(const RUN *run, STATUS *status)
{
    SAMPLE sample;
    SAMPLE_KIND kind;
    uint8_t *start;
    size_t got = 0;
    int fd, ret;
    bool whole;

    if ((ret = home_open_data(run->home_fd, "WiredTiger.wt", &fd, status)) != 0 || fd < 0)
        return (ret);
    start = bson_malloc(SAMPLE_START);
    if ((ret = file_read_into(fd, "WiredTiger.wt", start, SAMPLE_START, &got, &whole, status)) != 0)
        goto err;
    if ((kind = sample_kind(start, got)) == SAMPLE_OTHER ||
        (ret = sample_start(kind, start, got, !whole, &sample, status)) != 0 || sample.units == 0)
        goto err;
    (void)status_set(status, STATUS_NO_KEY, "copy-no-keystore",
      "%s is encrypted, and neither a keystore nor a mirror is there: its copy could not be opened",
      run->options->home);
    ret = status_hint(status, "name the configuration that says where the keystore is, or put a "
                              "backup of it back: wtkms keystore "
                              "restore");

err:
    bson_free(start);
    (void)close(fd);
    return (ret);
}

static int
open_keyring(RUN *run, STATUS *status)
{
    KEYRING_OPTIONS keyring = {
      .log = run->options->log, .retry_for_ms = KEYRING_RETRY_CONFIGURED, .read_only = true};
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    int ret;
    bool found;

    if ((ret = keyring_locate(run->home_fd, run->options->settings, &found, &source, &keystore,
           NULL, NULL, status)) != 0)
        return (ret);
    keystore_free(keystore);
    if (!found)
        return (check_plain(run, status));
    if (run->options->settings == NULL) {
        (void)status_set(status, STATUS_CONFIG, "copy-no-config",
          "%s has a keystore, and no configuration was read", run->options->home);
        return (status_hint(status, "the manifest is authenticated with its key: give --config"));
    }
    run->from_mirror = source == KEYRING_FROM_MIRROR;
    return (keyring_open(run->home_fd, run->options->settings, &keyring, &run->keyring, status));
}

static void
release_late(LATE *late)
{
    free(late->data);
    memset(late, 0, sizeof(*late));
}

static int
read_late(const RUN *run, const char *name, size_t max, bool nofollow, LATE *late, STATUS *status)
{
    struct stat sb;
    bool found;
    int ret;

    release_late(late);
    if ((ret = file_read(
           run->home_fd, name, max, nofollow, &found, &late->data, &late->len, status)) != 0)
        return (ret);
    if (found && fstatat(run->home_fd, name, &sb, 0) == 0)
        late->modified = sb.st_mtim;
    else
        (void)clock_gettime(CLOCK_REALTIME, &late->modified);
    return (0);
}

/* The generation before, when it is of this keystore and not, by a crash, a later one. */
static int
read_previous(RUN *run, STATUS *status)
{
    KEYSTORE *keystore;
    STATUS damaged;
    int ret;
    bool keep;

    if ((ret = read_late(run, KEYRING_PREV, KEYSTORE_MAX_BYTES, true, &run->previous, status)) !=
          0 ||
        run->previous.data == NULL)
        return (ret);
    keep = keystore_decode(run->previous.data, run->previous.len, &keystore, &damaged) == 0 &&
           memcmp(keystore->uuid, run->keystore->uuid, sizeof(keystore->uuid)) == 0 &&
           keystore->generation < run->keystore->generation;
    keystore_free(keystore);
    if (!keep)
        release_late(&run->previous);
    return (0);
}

/* Whether the keystore is still the one whose bytes were read. */
static int
is_unchanged(const RUN *run, bool *samep, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    uint8_t *data;
    size_t len;
    int ret;
    bool found;

    *samep = false;
    if ((ret = keyring_locate(run->home_fd, run->options->settings, &found, &source, &keystore,
           &data, &len, status)) != 0)
        return (ret);
    *samep =
      found && len == run->keystore_file.len && memcmp(data, run->keystore_file.data, len) == 0;
    keystore_free(keystore);
    free(data);
    return (0);
}

/* Whether what the keyring has proved is what is copied. */
static int
is_proved(RUN *run, bool *provedp, STATUS *status)
{
    const KEYSTORE *proved;
    int ret;
    bool changed;

    *provedp = false;
    if (!run->from_mirror && (ret = keyring_refresh(run->keyring, &changed, status)) != 0)
        return (ret);
    proved = keyring_hold_keystore(run->keyring);
    *provedp = memcmp(proved->uuid, run->keystore->uuid, sizeof(proved->uuid)) == 0 &&
               proved->generation == run->keystore->generation &&
               mac_equal(proved->seal, run->keystore->seal, sizeof(proved->seal));
    keyring_release_keystore(run->keyring, proved);
    return (0);
}

static int
read_once(RUN *run, bool *settledp, STATUS *status)
{
    KEYRING_SOURCE source;
    int ret;
    bool found, same;

    *settledp = false;
    keystore_free(run->keystore);
    run->keystore = NULL;
    release_late(&run->keystore_file);
    if ((ret = keyring_locate(run->home_fd, run->options->settings, &found, &source, &run->keystore,
           &run->keystore_file.data, &run->keystore_file.len, status)) != 0)
        return (ret);
    if (!found || (source == KEYRING_FROM_MIRROR) != run->from_mirror)
        return (status_set(status, STATUS_REFUSED, "copy-changed",
          "the keystore of %s came or went while the copy was made", run->options->home));
    (void)clock_gettime(CLOCK_REALTIME, &run->keystore_file.modified);
    if ((ret = read_previous(run, status)) != 0 ||
        (ret = read_late(run, MIRROR_FILE, MIRROR_READ_MAX, false, &run->mirror, status)) != 0 ||
        (ret = is_unchanged(run, &same, status)) != 0 || !same)
        return (ret);
    return (is_proved(run, settledp, status));
}

/*
 * The last files, as they are together after all others were copied. A rotation at this moment replaces them
 * one after the other: then they are read again.
 */
static int
read_last(RUN *run, STATUS *status)
{
    int ret, tries;
    bool settled = false;

    if ((ret = read_late(run, STATE_FILE, STATE_FILE_MAX_BYTES, true, &run->state, status)) != 0)
        return (ret);
    if (run->keyring == NULL)
        return (read_late(run, MIRROR_FILE, MIRROR_READ_MAX, false, &run->mirror, status));
    for (tries = 0; tries < SETTLE_TRIES; tries++) {
        if ((ret = read_once(run, &settled, status)) != 0 || settled)
            return (ret);
        clock_sleep(SETTLE_MS);
    }
    (void)status_set(status, STATUS_BUSY, "copy-keystore",
      "the keystore of %s is changed all the time", run->options->home);
    return (status_hint(status, "wait until the rotation is done"));
}

/* --- files */

/* One of no use to the engine may go away, or shrink; such a one is copied from memory when it is small. */
static int
copy_other(RUN *run, int fd, const CREATE_FILE *file, FILE_COPY_RESULT *result, STATUS *status)
{
    uint8_t *data = bson_malloc(FILE_COPY_BUFFER);
    size_t len;
    int ret;
    bool more;

    memset(result, 0, sizeof(*result));
    if ((ret = file_read_into(fd, file->source, data, FILE_COPY_BUFFER, &len, &more, status)) != 0)
        goto err;
    if (more) {
        ret = run->sink->put(run->sink, run->copier, fd, file, result, status);
        goto err;
    }
    result->size = len;
    if ((ret = mac_sha256(data, len, result->sha256, status)) != 0)
        goto err;
    if (run->options->progress != NULL)
        run->options->progress(run->options->context, len);
    ret = run->sink->put_bytes(run->sink, file->path, data, len, &file->modified, status);

err:
    bson_free(data);
    return (ret);
}

static int
copy_file(RUN *run, int fd, const CREATE_FILE *file, STATUS *status)
{
    FILE_COPY_RESULT copied;
    int ret;

    ret = file->engine ? run->sink->put(run->sink, run->copier, fd, file, &copied, status)
                       : copy_other(run, fd, file, &copied, status);
    if (ret != 0)
        return (ret);
    manifest_add(run->manifest, file->path, copied.size, copied.sha256);
    run->result->bytes += copied.size;
    run->result->cloned += copied.cloned;
    return (0);
}

static int
open_source(const RUN *run, const CREATE_FILE *file, int *fdp, STATUS *status)
{
    struct stat sb;
    int ret;

    if ((ret = home_open_data(run->home_fd, file->source, fdp, status)) != 0)
        return (ret);
    if (*fdp < 0 && !file->engine)
        return (0);
    if (*fdp < 0 || fstat(*fdp, &sb) != 0 || sb.st_dev != file->device || sb.st_ino != file->inode)
        return (status_set(status, STATUS_REFUSED, "copy-changed",
          "%s went away or was replaced while the copy was made", file->source));
    return (0);
}

/* Opened as the home's owner, then written as the caller: some files at a time. */
static int
copy_batch(RUN *run, size_t first, size_t count, STATUS *status)
{
    size_t i;
    int fds[BATCH], ret = 0;

    for (i = 0; i < count; i++)
        fds[i] = -1;
    for (i = 0; ret == 0 && i < count; i++)
        ret = open_source(run, &run->plan.files[first + i], &fds[i], status);
    if (ret == 0 && (ret = switch_user(run, false, status)) == 0) {
        for (i = 0; ret == 0 && i < count; i++)
            if (fds[i] >= 0)
                ret = copy_file(run, fds[i], &run->plan.files[first + i], status);
        if (ret == 0)
            ret = run->sink->sync(run->sink, status);
        ret = back_to_owner(run, ret, status);
    }
    for (i = 0; i < count; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    return (ret);
}

static int
copy_files(RUN *run, STATUS *status)
{
    size_t count, i;
    int ret;

    for (i = 0; i < run->plan.count; i += count) {
        count = run->plan.count - i < BATCH ? run->plan.count - i : BATCH;
        if ((ret = copy_batch(run, i, count, status)) != 0)
            return (ret);
    }
    return (0);
}

static int
check_unchanged(const RUN *run, STATUS *status)
{
    CREATE_OPTIONS silent = *run->options;
    CREATE_PLAN after;
    int ret;

    if (run->options->method == MANIFEST_FILES)
        return (0);
    silent.log = NULL; /* what is left out was said */
    if ((ret = create_plan_make(run->home_fd, &silent, &after, status)) == 0)
        ret = create_plan_compare(&run->plan, &after, status);
    create_plan_release(&after);
    return (ret);
}

/* --- the end */

static void
describe_keystore(RUN *run)
{
    const KEYSTORE *keystore = run->keystore;
    const KEYSTORE_MASTER *master;
    size_t i, r;

    run->manifest->has_keystore = true;
    run->manifest->from_mirror = run->from_mirror;
    memcpy(run->manifest->uuid, keystore->uuid, sizeof(run->manifest->uuid));
    run->manifest->generation = keystore->generation;
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        for (r = 0; master->state == KEYSTORE_ACTIVE && r < master->recipient_count; r++)
            manifest_add_recipient(run->manifest, master->scope, master->recipients[r].provider,
              master->recipients[r].key_id, master->recipients[r].credential);
    }
}

/* Information, by a file that anybody who writes the home can write: what cannot be a part of a manifest is left out. */
static void
describe_opened(RUN *run)
{
    STATE_FILE_CONTENT *state;
    STATUS ignored;
    char uuid[KEYSTORE_UUID_TEXT];
    const STATE_FILE_OPENED *opened;
    size_t i;

    if (run->state.data == NULL || run->keystore == NULL ||
        state_file_parse(run->state.data, run->state.len, &state, &ignored) != 0 || state == NULL)
        return;
    keystore_uuid_text(run->keystore->uuid, uuid);
    if (state->uuid != NULL && strcmp(state->uuid, uuid) == 0)
        for (i = 0; i < state->opened_count; i++) {
            opened = &state->opened[i];
            if (manifest_recipient_fits(
                  opened->scope, opened->provider, opened->key_id, opened->credential))
                manifest_add_opened(run->manifest, opened->scope, opened->provider, opened->key_id,
                  opened->credential);
        }
    state_file_free(state);
}

static int
put_late(RUN *run, const char *path, const LATE *late, STATUS *status)
{
    uint8_t sha256[MAC_LEN];
    int ret;

    if (late->data == NULL)
        return (0);
    if ((ret = mac_sha256(late->data, late->len, sha256, status)) != 0 ||
        (ret = run->sink->put_bytes(
           run->sink, path, late->data, late->len, &late->modified, status)) != 0)
        return (ret);
    manifest_add(run->manifest, path, late->len, sha256);
    run->result->bytes += late->len;
    return (0);
}

static int
put_manifest(RUN *run, const SECRET *key, STATUS *status)
{
    struct timespec now;
    uint8_t *data;
    size_t len;
    int ret;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    run->manifest->created = clock_unix_ms();
    if ((ret = manifest_encode(run->manifest, key, &data, &len, status)) != 0)
        return (ret);
    ret = run->sink->put_bytes(run->sink, MANIFEST_FILE, data, len, &now, status);
    free(data);
    return (ret);
}

static int
write_last(RUN *run, const SECRET *key, STATUS *status)
{
    int ret;

    if ((ret = put_late(run, STATE_FILE, &run->state, status)) != 0 ||
        (ret = put_late(run, KEYRING_PREV, &run->previous, status)) != 0 ||
        (!run->from_mirror &&
          (ret = put_late(run, KEYRING_FILE, &run->keystore_file, status)) != 0) ||
        (ret = put_late(run, MIRROR_FILE, &run->mirror, status)) != 0 ||
        (ret = put_manifest(run, key, status)) != 0)
        return (ret);
    run->result->files = run->manifest->entry_count;
    return (run->sink->finish(run->sink, status));
}

static int
finish(RUN *run, STATUS *status)
{
    SECRET *key = NULL;
    int ret;

    if ((ret = read_last(run, status)) != 0)
        return (ret);
    run->manifest->node =
      bson_strdup(run->keystore == NULL || run->keystore->node == NULL ? "" : run->keystore->node);
    run->manifest->program = bson_strdup(run->options->program);
    run->manifest->method = run->options->method;
    run->manifest->is_archive = run->options->destination == NULL;
    run->manifest->keep_until = run->options->keep_until;
    if (run->plan.log_path != NULL)
        run->manifest->log_path = bson_strdup(run->plan.log_path);
    if (run->keystore != NULL)
        describe_keystore(run);
    describe_opened(run);
    if (run->keyring != NULL && (ret = archive_key_of_home(run->keyring, ARCHIVE_KEY_MANIFEST,
                                   &run->manifest->master_key_id, &key, status)) != 0)
        return (ret);
    if ((ret = switch_user(run, false, status)) == 0) {
        ret = write_last(run, key, status);
        ret = back_to_owner(run, ret, status);
    }
    secret_free(key);
    return (ret);
}

static int
begin(RUN *run, STATUS *status)
{
    FILE_COPY_OPTIONS copying = {.throttle = run->options->throttle,
      .progress = run->options->progress,
      .context = run->options->context};
    int ret;

    if ((ret = take_locks(run, status)) != 0 ||
        (ret = create_plan_make(run->home_fd, run->options, &run->plan, status)) != 0)
        return (ret);
    if ((ret = open_keyring(run, status)) != 0)
        return (ret);
    if (!run->plan.metadata && !run->plan.turtle && !run->plan.backup && run->keyring == NULL)
        return (status_set(
          status, STATUS_REFUSED, "copy-no-home", "%s has no database in it", run->options->home));
    if ((ret = file_copier_new(&copying, &run->copier, status)) != 0 ||
        (ret = switch_user(run, false, status)) != 0)
        return (ret);
    ret = run->options->destination != NULL
            ? create_dir_new(run->home_fd, run->options, &run->sink, status)
            : create_tar_new(run->home_fd, run->options, &run->sink, status);
    ret = back_to_owner(run, ret, status);
    return (ret);
}

static void
end(RUN *run, bool finished)
{
    STATUS ignored;

    /* What was made of the copy is the caller's to remove. */
    if (run->sink != NULL && switch_user(run, false, &ignored) == 0) {
        run->sink->free(run->sink, finished);
        if (switch_user(run, true, &ignored) != 0)
            log_printf(run->options->log, LOG_WARNING, "%s", ignored.message);
    }
    file_copier_free(run->copier);
    keyring_close(run->keyring);
    keystore_free(run->keystore);
    release_late(&run->keystore_file);
    release_late(&run->previous);
    release_late(&run->mirror);
    release_late(&run->state);
    create_plan_release(&run->plan);
    if (run->copies_fd >= 0)
        (void)close(run->copies_fd);
    if (run->lock_fd >= 0)
        (void)close(run->lock_fd);
}

void
create_release(CREATE_RESULT *result)
{
    manifest_free(result->manifest);
    memset(result, 0, sizeof(*result));
}

int
create_copy(int home_fd, const CREATE_OPTIONS *options, CREATE_RESULT *result, STATUS *status)
{
    RUN run;
    int ret;

    memset(result, 0, sizeof(*result));
    memset(&run, 0, sizeof(run));
    run.home_fd = home_fd;
    run.options = options;
    run.result = result;
    run.manifest = result->manifest = manifest_new();
    run.lock_fd = run.copies_fd = -1;
    if ((ret = begin(&run, status)) != 0)
        goto err;
    if (options->total != NULL)
        options->total(options->context, run.plan.bytes);
    if ((ret = copy_files(&run, status)) != 0 || (ret = check_unchanged(&run, status)) != 0)
        goto err;
    ret = finish(&run, status);

err:
    end(&run, ret == 0);
    return (ret);
}
