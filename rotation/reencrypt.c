/*
 * rotation/reencrypt.c -- Re-encryption of a home, from its lock to the history. See reencrypt.h.
 */
#include "rotation/reencrypt.h"

#include "common/file.h"
#include "datafile/engine_lock.h"
#include "datafile/home.h"
#include "datafile/metadata_text.h"
#include "rotation/reencrypt_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BASE_CONFIG "WiredTiger.basecfg"
#define BASE_CONFIG_MAX (1024 * 1024)
#define TIERED_SUFFIX ".wtobj"
#define SAMPLE ((size_t)16 * 1024 * 1024) /* of what a plan measures */
#define SAMPLE_UNIT ((size_t)32 * 1024)

typedef struct {
    int home_fd;
    const REENCRYPT_OPTIONS *options;
    REENCRYPT_RESULT *result;
    REENCRYPT_WALK walk;
    REENCRYPT_FILE **files; /* each of its own, for items that point to them */
    size_t count, room;
} RUN;

static double
now(void)
{
    struct timespec ts;

    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static int
no_memory(STATUS *status)
{
    return (status_set_errno(status, ENOMEM, "no-memory", "no memory for a re-encryption"));
}

/* --- the home */

/* Held to the end, so that no host starts meanwhile; a home without the file gets one, as the engine makes it. */
static int
lock_home(int home_fd, int *fdp, STATUS *status)
{
    int ret;

    if ((ret = engine_lock_take(home_fd, NULL, 0644, fdp, status)) != 0 || *fdp >= 0)
        return (ret);
    (void)status_set(status, STATUS_BUSY, "host-running", "a process has the home open");
    return (status_hint(status, "stop the database first"));
}

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return (len >= end_len && strcmp(text + len - end_len, end) == 0);
}

static int
refuse_tiered(const char *what, STATUS *status)
{
    (void)status_set(status, STATUS_REFUSED, "reencrypt-tiered",
      "%s: parts of this home's tables are in tiered storage, out of reach", what);
    return (status_hint(status, "dump and load, or a new initial sync, write all under new keys"));
}

static int
refuse_tiered_config(int home_fd, STATUS *status)
{
    METADATA_TEXT name;
    uint8_t *text = NULL;
    size_t len;
    int ret;
    bool found;

    if ((ret = file_read(
           home_fd, BASE_CONFIG, BASE_CONFIG_MAX, false, &found, &text, &len, status)) == 0 &&
        found && metadata_text_get((const char *)text, len, "tiered_storage.name", &name) &&
        name.length != 0 && !metadata_text_is(&name, "none"))
        ret = refuse_tiered(BASE_CONFIG, status);
    free(text);
    return (ret);
}

static int
add_file(RUN *run, const HOME_FILE *file, STATUS *status)
{
    REENCRYPT_FILE **grown, *added;

    if (run->count == run->room) {
        run->room = run->room == 0 ? 64 : run->room * 2;
        if ((grown = reallocarray(run->files, run->room, sizeof(*grown))) == NULL)
            return (no_memory(status));
        run->files = grown;
    }
    if ((added = calloc(1, sizeof(*added))) == NULL)
        return (no_memory(status));
    run->files[run->count++] = added;
    if ((added->path = strdup(file->path)) == NULL)
        return (no_memory(status));
    added->device = file->device;
    added->inode = file->inode;
    added->is_log = file->kind == HOME_LOG_FILE;
    return (0);
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    RUN *run = context;
    REENCRYPT_FILE unread = {.path = NULL};
    char *path = NULL, text[128];

    switch (file->kind) {
    case HOME_BLOCK_FILE:
        if (ends_with(file->name, TIERED_SUFFIX))
            return (refuse_tiered(file->path, status));
        __attribute__((fallthrough));
    case HOME_LOG_FILE:
        run->result->files++;
        run->result->total += file->size;
        return (add_file(run, file, status));
    case HOME_LOCKED:
        if (strcmp(file->name, ENGINE_LOCK_FILE) == 0)
            return (0);
        __attribute__((fallthrough));
    case HOME_UNREADABLE:
        if ((path = strdup(file->path)) == NULL)
            return (no_memory(status));
        unread.path = path;
        reencrypt_walk_finding(&run->walk, &unread, 0, false,
          file->kind == HOME_LOCKED ? "a process holds a lock on it"
                                    : strerror_r(file->error, text, sizeof(text)));
        free(path);
        return (0);
    default:
        return (0);
    }
}

/* The journal names files; only those of the home are opened. */
static int
open_by_path(void *context, const char *path, int *fdp, STATUS *status)
{
    const RUN *run = context;
    size_t i;

    *fdp = -1;
    for (i = 0; i < run->count; i++)
        if (strcmp(run->files[i]->path, path) == 0)
            return (reencrypt_open_file(run->home_fd, run->files[i], fdp, status));
    return (0);
}

static int
data_key_by_id(void *context, uint64_t id, SECRET **secretp, STATUS *status)
{
    const RUN *run = context;

    return (keyring_data_key(run->walk.keys.keyring, id, secretp, NULL, status));
}

/* --- the work */

static int
walk_files(RUN *run, STATUS *status)
{
    struct stat st;
    size_t i;
    int fd, ret = 0;

    for (i = 0; ret == 0 && i < run->count && !run->result->stopped; i++) {
        if ((ret = home_open_data(run->home_fd, run->files[i]->path, &fd, status)) != 0)
            break;
        if (fd < 0 || fstat(fd, &st) != 0 || st.st_dev != run->files[i]->device ||
            st.st_ino != run->files[i]->inode)
            ret = status_set(status, STATUS_IO, "reencrypt-open",
              "%s is another file than before: something else works on the home",
              run->files[i]->path);
        else
            ret = reencrypt_walk_file(&run->walk, run->files[i], fd, status);
        if (fd >= 0)
            (void)close(fd);
    }
    return (ret);
}

/* Before the journal goes: a run that was killed behind its last block still says when it was. */
static int
record(RUN *run, KEYRING *keyring, STATUS *status)
{
    const REENCRYPT_RESULT *result = run->result;

    if (result->stopped || (result->rewritten == 0 && result->zeroed == 0 && !result->replay.found))
        return (0);
    return (keyring_update(keyring, "reencrypt", run->options->reason, NULL, NULL, status));
}

static int
rewrite(RUN *run, KEYRING *keyring, const uint8_t *uuid, STATUS *status)
{
    REENCRYPT_JOURNAL journal = {.fd = -1};
    REENCRYPT_PIPE_OPTIONS pipe_options = {.home_fd = run->home_fd,
      .threads = run->options->threads,
      .throttle = run->options->throttle,
      .journal = &journal,
      .untouched = reencrypt_walk_untouched,
      .context = &run->walk};
    REENCRYPT_PIPE_RESULT written = {0};
    STATUS ended;
    int pipe_ret, ret;

    if ((ret = reencrypt_journal_start(run->home_fd, uuid, &journal, status)) != 0) {
        reencrypt_journal_close(&journal);
        return (ret);
    }
    if ((ret = reencrypt_pipe_start(&pipe_options, &run->walk.pipe, status)) == 0)
        ret = walk_files(run, status);
    pipe_ret = reencrypt_pipe_finish(run->walk.pipe, &written, &ended);
    run->walk.pipe = NULL;
    run->result->rewritten = written.units;
    run->result->rewritten_bytes = written.bytes;
    run->result->zeroed = written.remains;
    /* A batch may be half in place: the journal stays for the next run. */
    if (pipe_ret != 0) {
        *status = ended;
        reencrypt_journal_close(&journal);
        return (pipe_ret);
    }
    if (ret == 0)
        ret = record(run, keyring, status);
    pipe_ret = reencrypt_journal_remove(&journal, &ended);
    if (ret == 0 && pipe_ret != 0)
        *status = ended;
    return (ret != 0 ? ret : pipe_ret);
}

/* --- a plan */

/* Bytes a second that one thread rewrites; 0 when it cannot be told. */
static double
measure_cipher(void)
{
    REENCRYPT_ITEM item = {.kind = REENCRYPT_RECORD, .length = SAMPLE_UNIT + 128};
    REENCRYPT_PLAIN plain = {NULL, 0};
    SECRET *secret = NULL;
    STATUS ignored;
    UNIT_CIPHER *cipher = NULL;
    UNIT_KEY *key = NULL;
    uint8_t *image;
    size_t done, len;
    double rate = 0, start;

    image = calloc(2, SAMPLE_UNIT + 128);
    if (image == NULL || secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, &ignored) != 0 ||
        unit_key_new(1, secret, &key, &ignored) != 0 ||
        unit_cipher_new(key, &cipher, &ignored) != 0 ||
        unit_encrypt(cipher, image + SAMPLE_UNIT + 128, SAMPLE_UNIT - UNIT_OVERHEAD, image + 20,
          SAMPLE_UNIT, &len, &ignored) != 0)
        goto err;
    item.image = image;
    item.unit_offset = 20;
    item.unit_length = len;
    item.old_key = key;
    item.cipher = cipher;
    start = now();
    for (done = 0; done < SAMPLE; done += SAMPLE_UNIT)
        if (reencrypt_item_rewrite(&item, &plain, &ignored) != 0)
            goto err;
    rate = (double)done / (now() - start);

err:
    reencrypt_plain_release(&plain);
    unit_cipher_free(cipher);
    unit_key_free(key);
    secret_free(secret);
    free(image);
    return (rate);
}

/* Bytes a second that the home's disk writes durably, by a file without a name; 0: cannot be told. */
static double
measure_disk(int home_fd)
{
    STATUS ignored;
    uint8_t *data;
    size_t done;
    double rate = 0, start;
    int fd;

    if ((fd = openat(home_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) < 0)
        return (0);
    if ((data = calloc(1, SAMPLE / 16)) != NULL) {
        start = now();
        for (done = 0; done < SAMPLE; done += SAMPLE / 16)
            if (reencrypt_write_all(fd, ".", data, SAMPLE / 16, done, &ignored) != 0)
                break;
        if (done == SAMPLE && fdatasync(fd) == 0)
            rate = (double)SAMPLE / (now() - start);
    }
    free(data);
    (void)close(fd);
    return (rate);
}

static void
estimate(RUN *run)
{
    double bytes = (double)run->result->due_bytes, cipher, disk, seconds = 0;

    cipher = measure_cipher() * run->options->threads;
    disk = measure_disk(run->home_fd);
    if (cipher > 0)
        seconds = bytes / cipher;
    if (disk > 0 && bytes / disk > seconds)
        seconds = bytes / disk;
    if (run->options->throttle != 0 && bytes / (double)run->options->throttle > seconds)
        seconds = bytes / (double)run->options->throttle;
    run->result->seconds = seconds;
}

/* --- results */

static int
take_uses(RUN *run, STATUS *status)
{
    REENCRYPT_RESULT *result = run->result;
    const REENCRYPT_KEY *key;
    REENCRYPT_USE *use;
    size_t i;

    if ((result->uses = calloc(run->walk.keys.count + 1, sizeof(*result->uses))) == NULL)
        return (no_memory(status));
    for (i = 0; i < run->walk.keys.count; i++) {
        key = run->walk.keys.keys[i];
        if (key->units == 0)
            continue;
        use = &result->uses[result->use_count++];
        use->id = key->id;
        use->active_id = key->active_id;
        use->known = key->key != NULL;
        use->units = key->units;
        use->bytes = key->bytes;
        if ((use->keyid = strdup(key->keyid)) == NULL)
            return (no_memory(status));
    }
    return (0);
}

void
reencrypt_release(REENCRYPT_RESULT *result)
{
    size_t i;

    for (i = 0; i < result->use_count; i++)
        free(result->uses[i].keyid);
    for (i = 0; i < result->finding_count; i++) {
        free(result->findings[i].path);
        free(result->findings[i].what);
    }
    free(result->uses);
    free(result->findings);
    memset(result, 0, sizeof(*result));
}

static int
look_and_replay(RUN *run, const uint8_t *uuid, STATUS *status)
{
    HOME_OPTIONS home_options = {run->options->log_path};
    REENCRYPT_JOURNAL_HOME journal_home = {open_by_path, data_key_by_id, run};
    STATUS refused;
    int ret;

    if ((ret = refuse_tiered_config(run->home_fd, status)) != 0 ||
        (ret = home_walk(run->home_fd, &home_options, on_file, run, status)) != 0)
        return (ret);
    if (run->options->plan) {
        ret = home_refuse_unfinished(run->home_fd, &refused);
        run->result->unfinished = ret == STATUS_REFUSED;
        return (0);
    }
    return (
      reencrypt_journal_replay(run->home_fd, uuid, &journal_home, &run->result->replay, status));
}

static int
run_all(RUN *run, KEYRING *keyring, STATUS *status)
{
    const KEYSTORE *keystore;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int ret;

    keystore = keyring_hold_keystore(keyring);
    memcpy(uuid, keystore->uuid, sizeof(uuid));
    keyring_release_keystore(keyring, keystore);
    if ((ret = look_and_replay(run, uuid, status)) != 0 || run->options->finish)
        return (ret);
    if (run->options->started != NULL)
        run->options->started(run->options->context, run->result->total);
    if (!run->options->plan)
        return (rewrite(run, keyring, uuid, status));
    if ((ret = walk_files(run, status)) == 0)
        estimate(run);
    return (ret);
}

int
reencrypt_home(int home_fd, KEYRING *keyring, const REENCRYPT_OPTIONS *options,
  REENCRYPT_RESULT *result, STATUS *status)
{
    RUN run;
    STATUS ignored;
    double start = now();
    size_t i;
    int lock_fd = -1, ret, uses_ret;

    memset(result, 0, sizeof(*result));
    memset(&run, 0, sizeof(run));
    run.home_fd = home_fd;
    run.options = options;
    run.result = result;
    run.walk.options = options;
    run.walk.result = result;
    run.walk.keys.keyring = keyring;
    if ((ret = unit_cipher_library_open(status)) != 0)
        return (ret);
    (void)pthread_mutex_init(&run.walk.lock, NULL);
    if (!options->plan && (ret = lock_home(home_fd, &lock_fd, status)) != 0)
        goto err;
    ret = run_all(&run, keyring, status);
    if ((uses_ret = take_uses(&run, &ignored)) != 0 && ret == 0) {
        *status = ignored;
        ret = uses_ret;
    }
    result->generation = keyring_generation(keyring);
    if (!options->plan)
        result->seconds = now() - start;

err:
    if (lock_fd >= 0)
        (void)close(lock_fd);
    reencrypt_plain_release(&run.walk.plain);
    reencrypt_keys_release(&run.walk.keys);
    for (i = 0; i < run.count; i++) {
        free(run.files[i]->path);
        free(run.files[i]);
    }
    free(run.files);
    (void)pthread_mutex_destroy(&run.walk.lock);
    unit_cipher_library_close();
    return (ret);
}
