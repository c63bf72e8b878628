/*
 * cli/snapshot_restore.c -- A copy becomes a home of its own. See snapshot_restore.h.
 */
#include "cli/snapshot_restore.h"

#include "cli/engine_lines.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/survey.h"
#include "common/file.h"
#include "datafile/home.h"
#include "keystore/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KMS_TIMEOUT_MS 30000
#define KMS_RETRY_MS 10000
#define THREADS_MAX 256
#define FINDINGS_TOLD 20
#define ENGINE_CONFIG_MAX (1024 * 1024)

/* --- what there is to restore */

static int
absolute(const char *path, char **absolutep, STATUS *status)
{
    char cwd[4096];

    *absolutep = NULL;
    if (path[0] != '/' && getcwd(cwd, sizeof(cwd)) == NULL)
        return (status_set_errno(status, errno, "working-directory", "the working directory"));
    *absolutep = path[0] == '/' ? output_format("%s", path) : output_format("%s/%s", cwd, path);
    return (0);
}

/* As the operator: a backup need not be readable to the database's user. */
static int
open_source(SNAPSHOT_RESTORE *r, const char *path, STATUS *status)
{
    struct stat sb;
    char *resolved;

    if (strcmp(path, "-") == 0) {
        r->source = output_format("-");
        r->source_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0);
    } else {
        if ((resolved = realpath(path, NULL)) != NULL)
            r->source = output_format("%s", resolved);
        free(resolved);
        r->source_fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (r->source == NULL || r->source_fd < 0 || fstat(r->source_fd, &sb) != 0)
        return (status_set_errno(status, errno, "restore-source", "%s", path));
    r->is_archive = !S_ISDIR(sb.st_mode);
    r->is_stream = r->is_archive && lseek(r->source_fd, 0, SEEK_CUR) < 0;
    if (strcmp(path, "-") == 0 && !r->is_archive)
        return (
          status_set(status, STATUS_REFUSED, "restore-source", "standard input is a directory"));
    return (0);
}

static int
refuse_plain(SNAPSHOT_RESTORE *r, STATUS *status)
{
    TARGET source = {.path = r->source, .fd = r->source_fd};
    SURVEY survey;
    int ret;

    if (r->is_archive) {
        (void)status_set(status, STATUS_NO_KEY, "restore-no-keystore",
          "%s has neither a keystore nor a copy of one in WiredTiger.config: it is not encrypted, "
          "or "
          "its keys are missing",
          r->source);
        return (status_hint(status, "\"wtkms snapshot list\" tells which"));
    }
    if ((ret = survey_home(&source, false, true, &survey, status)) == 0 && survey.units != 0) {
        ret = status_set(status, STATUS_NO_KEY, "restore-no-keystore",
          "%s is encrypted, and neither a keystore nor a copy of one is with it", r->source);
        (void)status_hint(status,
          "put the wtkms.keystore of its node, or a backup of that, into the copy's directory");
    } else if (ret == 0) {
        ret = status_set(status, STATUS_REFUSED, "restore-plain",
          "%s is not encrypted, and this home is to be", r->source);
        (void)status_hint(status,
          "start a database without encryption on the copy, and move the data from there into an "
          "encrypted home: by an initial sync or by dump and restore");
    }
    survey_release(&survey);
    return (ret);
}

/* A copy's logs from outside the home need a place outside the new one. */
static int
check_log_path(const SNAPSHOT_RESTORE *r, int fd, STATUS *status)
{
    struct stat sb;
    char *name = NULL;
    int dir_fd, ret;
    bool empty;

    if (fstatat(fd, MANIFEST_LOG_DIR, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return (0);
    if (r->target.settings->log_path == NULL) {
        (void)status_set(status, STATUS_REFUSED, "restore-log-path",
          "the copy has the engine's log from a directory outside of its home");
        return (status_hint(status,
          "name an empty directory by logPath: in the configuration, and the same to the engine"));
    }
    if ((ret = file_open_dir(r->target.settings->log_path, &dir_fd, status)) != 0)
        return (ret);
    if ((ret = restore_is_empty(dir_fd, &empty, &name, status)) == 0 && !empty && !r->resumed)
        ret = status_set(status, STATUS_REFUSED, "restore-not-empty", "%s is not empty: it has %s",
          r->target.settings->log_path, name);
    bson_free(name);
    (void)close(dir_fd);
    return (ret);
}

static int
look_at_tree(SNAPSHOT_RESTORE *r, STATUS *status)
{
    TARGET source = {.path = r->source, .fd = r->source_fd};
    pid_t pid;
    int ret;
    bool running;

    if (!restore_is_root(r->source_fd)) {
        (void)status_set(
          status, STATUS_REFUSED, "restore-no-copy", "%s is no copy of a home", r->source);
        return (status_hint(status, "\"wtkms snapshot list\" finds copies below a directory"));
    }
    if ((ret = target_host_running(&source, &running, &pid, status)) != 0)
        return (ret);
    if (running) {
        (void)status_set(status, STATUS_BUSY, "host-running",
          "process %ld has %s open: its files change while they are copied", (long)pid, r->source);
        return (status_hint(status, "\"wtkms snapshot create\" makes a copy, or stop it first"));
    }
    if ((ret = restore_measure(r->source_fd, r->source, &r->count, status)) != 0 ||
        (ret = snapshot_keys_locate(r->source_fd, &r->keys, status)) != 0)
        return (ret);
    return (r->keys.found ? check_log_path(r, r->source_fd, status) : refuse_plain(r, status));
}

static int
look_at_archive(SNAPSHOT_RESTORE *r, STATUS *status)
{
    RESTORE_PEEK peek;
    int ret;

    if (r->is_stream)
        return (0);
    if ((ret = restore_peek(r->source_fd, r->source, &peek, status)) == 0 &&
        (ret = snapshot_keys_take(peek.keystore, peek.keystore_len, peek.config, peek.config_len,
           &r->keys, status)) == 0) {
        r->count = peek.count;
        if (!r->keys.found)
            ret = refuse_plain(r, status);
    }
    restore_peek_release(&peek);
    return (ret);
}

/* --- the keys, before and after */

static int
open_keys(SNAPSHOT_RESTORE *r, STATUS *status)
{
    char credential[SNAPSHOT_RESTORE_TEXT], key_id[SNAPSHOT_RESTORE_TEXT / 2 + 200];
    char provider[SNAPSHOT_RESTORE_TEXT];
    size_t i;
    int ret;

    for (i = 0; i < r->keys.keystore->master_count; i++)
        if (r->keys.keystore->masters[i].state == KEYSTORE_ACTIVE &&
            (ret = rotate_check_scope(
               r->target.settings, r->keys.keystore->masters[i].scope, status)) != 0)
            return (ret);
    if ((ret = snapshot_keys_open(r->target.fd, r->target.settings, r->from, r->options->trust_key,
           false, &r->cli->log, &r->keys, status)) != 0) {
        if (strcmp(status->id, "keystore-partial") == 0)
            (void)status_hint(status, "WiredTiger.config has a part of the keystore: put the "
                                      "wtkms.keystore of its node, or "
                                      "a backup of that, into the copy's directory");
        return (status_add(status, "so %s cannot be restored", r->source));
    }
    if (keyring_opened_by(
          r->keys.keyring, SETTINGS_DEFAULT_SCOPE, provider, key_id, credential, sizeof(key_id)))
        (void)snprintf(r->opened_by, sizeof(r->opened_by), "%.32s %s", provider, key_id);
    return (0);
}

/* A keystore in memory for the target's recipients: made only when each wraps and unwraps. */
static int
prove_recipients(SNAPSHOT_RESTORE *r, STATUS *status)
{
    KEYRING_OPTIONS options = {.log = &r->cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS};
    KEYRING *keyring = NULL;
    int ret;

    if ((ret = keyring_create(
           r->target.fd, r->target.settings, &options, true, &keyring, status)) != 0)
        (void)status_add(status, "so nothing was restored to %s", r->target.path);
    keyring_close(keyring);
    return (ret);
}

/* A path that has a keystore has somebody's keys. */
static int
refuse_existing(const char *path, STATUS *status)
{
    struct stat sb;

    if (lstat(path, &sb) != 0)
        return (errno == ENOENT
                  ? 0
                  : status_set_errno(status, errno, "restore-keystore-path", "%s", path));
    (void)status_set(status, STATUS_REFUSED, "restore-keystore-path",
      "%s is there: it belongs to another home, or to this one before", path);
    return (status_hint(status, "move it away, or give the restored home paths of its own"));
}

static int
check_settings(SNAPSHOT_RESTORE *r, STATUS *status)
{
    const SETTINGS *settings = r->target.settings;
    size_t i;
    int ret;

    if (settings->expect.keystore != NULL || settings->expect.min_generation != 0) {
        (void)status_set(status, STATUS_REFUSED, "restore-expect",
          "the configuration expects a keystore, and the restored home gets a new one");
        return (status_hint(status, "take expect: out, and put the new uuid in afterwards"));
    }
    if (r->resumed)
        return (0);
    if (settings->keystore != NULL && (ret = refuse_existing(settings->keystore, status)) != 0)
        return (ret);
    for (i = 0; i < settings->keystore_copies.count; i++)
        if ((ret = refuse_existing(settings->keystore_copies.items[i], status)) != 0)
            return (ret);
    return (0);
}

/* --- preparing */

static int
read_state(SNAPSHOT_RESTORE *r, STATUS *status)
{
    RESTORE_STATE found;
    uint8_t source[DIGEST_LEN];
    char *name = NULL;
    int ret;
    bool empty;

    if (flock(r->target.fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return (status_set_errno(status, errno, "restore-lock", "%s", r->target.path));
        return (status_set(status, STATUS_BUSY, "restore-running",
          "another restore to %s is at work", r->target.path));
    }
    if ((ret = mac_sha256(r->source, strlen(r->source), source, status)) != 0 ||
        (ret = restore_state_read(r->target.fd, &r->resumed, &found, status)) != 0)
        return (ret);
    memcpy(r->state.source, source, sizeof(source));
    r->state.reencrypt = r->options->reencrypt;
    if (!r->resumed) {
        if ((ret = restore_is_empty(r->target.fd, &empty, &name, status)) == 0 && !empty) {
            ret = status_set(status, STATUS_REFUSED, "restore-not-empty",
              "%s is not empty: it has %s", r->target.path, name);
            (void)status_hint(status, "restore into an empty directory");
        }
        bson_free(name);
        return (ret);
    }
    if (memcmp(found.source, source, sizeof(source)) != 0 ||
        found.reencrypt != r->options->reencrypt) {
        (void)status_set(status, STATUS_REFUSED, "restore-other",
          "%s has the unfinished restore of %s", r->target.path,
          found.reencrypt != r->options->reencrypt ? "this copy with other options"
                                                   : "another copy");
        return (status_hint(status,
          "run the command that was interrupted, which %s tells, or empty the directory",
          MANIFEST_UNFINISHED_FILE));
    }
    r->state = found;
    return (0);
}

static int
look_at_source(SNAPSHOT_RESTORE *r, STATUS *status)
{
    int ret;

    /* What was brought whole is all that is needed. */
    if (r->state.phase != RESTORE_COPYING)
        return (0);
    if ((ret = target_as_caller(&r->target, status)) != 0)
        return (ret);
    if ((ret = r->is_archive ? look_at_archive(r, status) : look_at_tree(r, status)) != 0)
        return (ret);
    if ((ret = target_as_owner(&r->target, status)) != 0)
        return (ret);
    return (r->keys.found ? open_keys(r, status) : 0);
}

/* Root would have to guess whose it is to be. */
static int
make_home(const OPTIONS *options, STATUS *status)
{
    if (options->plan || geteuid() == 0 || mkdir(options->operands[1], 0700) == 0 ||
        errno == EEXIST)
        return (0);
    return (status_set_errno(status, errno, "restore-home", "making %s", options->operands[1]));
}

int
snapshot_restore_prepare(CLI *cli, const OPTIONS *options, SNAPSHOT_RESTORE *r, STATUS *status)
{
    int ret;

    memset(r, 0, sizeof(*r));
    r->cli = cli;
    r->options = options;
    r->source_fd = r->target.fd = -1;
    if ((ret = absolute(options->config == NULL ? CLI_DEFAULT_CONFIG : options->config, &r->config,
           status)) != 0 ||
        (ret = absolute(
           options->module == NULL ? WTKMS_MODULE : options->module, &r->module, status)) != 0 ||
        (ret = open_source(r, options->operands[0], status)) != 0 ||
        (ret = make_home(options, status)) != 0 ||
        (ret = target_open(options->operands[1], &r->target, status)) != 0 ||
        (ret = target_load(&r->target, r->config, status)) != 0)
        return (ret);
    if (options->from != NULL && (ret = settings_load(options->from, &r->from, status)) != 0)
        return (ret);
    if (access(r->module, R_OK) != 0) {
        (void)status_set_errno(status, errno, "module-missing", "the module %s", r->module);
        return (status_hint(status, "--module names it"));
    }
    if ((ret = read_state(r, status)) != 0 || (ret = check_settings(r, status)) != 0)
        return (ret);
    return (look_at_source(r, status));
}

void
snapshot_restore_release(SNAPSHOT_RESTORE *r)
{
    snapshot_keys_release(&r->keys);
    fork_release(&r->fork);
    reencrypt_release(&r->reencrypted);
    home_check_release(&r->check);
    manifest_free(r->manifest);
    settings_free(r->from);
    if (r->target.fd >= 0)
        target_close(&r->target);
    if (r->source_fd >= 0)
        (void)close(r->source_fd);
    free(r->source);
    free(r->config);
    free(r->module);
    free(r->recipients);
    free(r->others);
    free(r->log_outside);
}

/* --- the files */

static int
as_reader(void *context, STATUS *status)
{
    return (target_as_caller(&((SNAPSHOT_RESTORE *)context)->target, status));
}

static int
as_owner(void *context, STATUS *status)
{
    return (target_as_owner(&((SNAPSHOT_RESTORE *)context)->target, status));
}

static void
on_copied(void *context, uint64_t bytes)
{
    progress_add(context, bytes);
}

static int
bring_files(SNAPSHOT_RESTORE *r, STATUS *status)
{
    PROGRESS *progress = progress_start("Copying", r->is_archive ? 0 : r->count.bytes);
    FILE_COPY_OPTIONS copy_options = {.progress = on_copied, .context = progress};
    RESTORE_HOW how = {.as_reader = as_reader, .as_owner = as_owner, .context = r};
    int ret;

    if ((ret = file_copier_new(&copy_options, &how.copier, status)) == 0)
        ret = r->is_archive
                ? restore_unpack(r->source_fd, r->source, r->target.fd, &how, &r->count, status)
                : restore_tree(r->source_fd, r->source, r->target.fd, &how, &r->count, status);
    file_copier_free(how.copier);
    progress_end(progress);
    return (ret);
}

static int
read_brought(const SNAPSHOT_RESTORE *r, const char *name, size_t max, uint8_t **datap, size_t *lenp,
  STATUS *status)
{
    char *path = output_format(RESTORE_PREFIX "%s", name);
    int ret;
    bool found;

    *datap = NULL;
    ret = file_read(r->target.fd, path, max, true, &found, datap, lenp, status);
    if (ret == 0 && !found) {
        free(*datap);
        *datap = NULL;
    }
    free(path);
    return (ret);
}

/* The keys as they were brought; those that were opened before serve when they are the same. */
static int
take_brought_keys(SNAPSHOT_RESTORE *r, STATUS *status)
{
    SNAPSHOT_KEYS brought;
    uint8_t *config = NULL, *keystore = NULL;
    size_t config_len = 0, keystore_len = 0;
    int ret;

    memset(&brought, 0, sizeof(brought));
    if ((ret = read_brought(
           r, KEYRING_FILE, KEYSTORE_MAX_BYTES, &keystore, &keystore_len, status)) != 0 ||
        (ret = read_brought(r, MIRROR_FILE, MIRROR_MAX_BYTES, &config, &config_len, status)) != 0 ||
        (ret = snapshot_keys_take(keystore, keystore_len, config, config_len, &brought, status)) !=
          0)
        goto err;
    if (!brought.found) {
        ret = status_set(status, STATUS_NO_KEY, "restore-no-keystore",
          "%s has neither a keystore nor a copy of one in WiredTiger.config", r->source);
        (void)status_hint(status, "\"wtkms snapshot list\" tells whether it is encrypted at all");
        goto err;
    }
    if (r->keys.keyring != NULL && r->keys.len == brought.len &&
        memcmp(r->keys.data, brought.data, brought.len) == 0)
        goto err;
    snapshot_keys_release(&r->keys);
    r->keys = brought;
    memset(&brought, 0, sizeof(brought));
    ret = open_keys(r, status);

err:
    free(config);
    free(keystore);
    snapshot_keys_release(&brought);
    return (ret);
}

/* --- verifying what was brought */

static int
read_manifest(SNAPSHOT_RESTORE *r, STATUS *status)
{
    uint8_t *data = NULL;
    size_t len;
    int ret;

    if ((ret = read_brought(r, MANIFEST_FILE, MANIFEST_MAX_BYTES, &data, &len, status)) != 0 ||
        data == NULL)
        goto err;
    if ((ret = manifest_decode(data, len, &r->manifest, status)) == 0)
        ret =
          snapshot_keys_check_manifest(&r->keys, data, len, r->manifest, &r->mac_checked, status);

err:
    free(data);
    return (ret);
}

/* What a restore does not take, and what it has made itself, differ by intention. */
static bool
is_intended(const VERIFY_DIFFERENCE *difference)
{
    char *target;
    bool taken;

    if (difference->kind == VERIFY_EXTRA)
        return (
          strncmp(difference->path, "wtkms.", 6) == 0 && strchr(difference->path, '/') == NULL);
    target = restore_target(difference->path);
    taken = target != NULL;
    bson_free(target);
    return (difference->kind == VERIFY_MISSING && !taken);
}

static int
compare_with_manifest(SNAPSHOT_RESTORE *r, VERIFY_FILE **filesp, size_t *countp, STATUS *status)
{
    const HOME_CHECK_FILE_STATE *state;
    const VERIFY_DIFFERENCE *difference;
    VERIFY_RESULT result;
    size_t i, n;
    int ret = 0;

    *filesp = output_allocate(r->check.file_count, sizeof(**filesp));
    for (n = 0, i = 0; i < r->check.file_count; i++) {
        state = &r->check.files[i];
        /* The home's own already: the copy's are beside them. */
        if (strcmp(state->path, MIRROR_FILE) == 0 || strcmp(state->path, KEYRING_FILE) == 0)
            continue;
        (*filesp)[n].path = restore_original(state->path);
        (*filesp)[n].size = state->size;
        (*filesp)[n++].sha256 = state->hashed ? state->sha256 : NULL;
    }
    *countp = n;
    verify_compare(r->manifest, *filesp, n, &result);
    for (i = 0; ret == 0 && i < result.count; i++) {
        difference = &result.differences[i];
        if (is_intended(difference))
            continue;
        ret = status_set(status, STATUS_CORRUPT, "restore-manifest",
          "%s is not as its manifest says: %s: %s", r->source, difference->path,
          verify_kind_name(difference->kind));
        (void)status_hint(status, "\"wtkms snapshot verify\" names all of it");
    }
    verify_release(&result);
    return (ret);
}

static bool
is_as_copied(const SNAPSHOT_RESTORE *r, const VERIFY_FILE *files, size_t count, const char *path)
{
    size_t i;

    for (i = 0; r->mac_checked && i < count; i++)
        if (strcmp(files[i].path, path) == 0)
            return (files[i].sha256 != NULL && files[i].kind == VERIFY_SAME);
    return (false);
}

static int
judge_findings(SNAPSHOT_RESTORE *r, const VERIFY_FILE *files, size_t count, STATUS *status)
{
    const HOME_CHECK_FINDING *finding, *first = NULL;
    const char *path;
    size_t i, told = 0;
    int ret;

    for (i = 0; i < r->check.finding_count; i++) {
        finding = &r->check.findings[i];
        path = r->check.files[finding->file].path;
        if (finding->torn && (r->options->accept_torn || is_as_copied(r, files, count, path))) {
            r->torn++;
            continue;
        }
        if (first == NULL || (first->torn && !finding->torn))
            first = finding;
        if (told++ < FINDINGS_TOLD)
            log_printf(&r->cli->log, LOG_WARNING, "%s, offset %llu: %s", path,
              (unsigned long long)finding->offset, finding->what);
    }
    if (first == NULL)
        return (0);
    ret = status_set(status, STATUS_CORRUPT, first->torn ? "restore-torn" : "restore-damaged",
      "%llu failures in %s, one of them in %s at offset %llu: %s",
      (unsigned long long)(r->check.failures - r->torn), r->source,
      r->check.files[first->file].path, (unsigned long long)first->offset, first->what);
    (void)status_hint(status, first->torn
                                ? "--accept-torn goes on, where this was copied from a running "
                                  "database: the engine refuses such a block if it needs it"
                                : "take another copy, and remove what was restored of this one");
    return (ret);
}

static int
verify(SNAPSHOT_RESTORE *r, STATUS *status)
{
    HOME_CHECK_OPTIONS options = {
      .threads = options_threads(r->options, THREADS_MAX), .copy = true};
    VERIFY_FILE *files = NULL;
    size_t count = 0;
    int ret;

    if ((ret = read_manifest(r, status)) != 0)
        return (ret);
    options.all_files = options.hash = r->manifest != NULL;
    if ((ret = home_check_run(&r->target, r->keys.keyring, &options, &r->check, status)) != 0)
        return (ret);
    if (r->manifest != NULL)
        ret = compare_with_manifest(r, &files, &count, status);
    if (ret == 0)
        ret = judge_findings(r, files, count, status);
    free(files);
    return (ret);
}

/* --- files and verification together */

/* A stream cannot be read again: without its key nothing is left behind. */
static int
take_back(SNAPSHOT_RESTORE *r, int ret, STATUS *status)
{
    STATUS undo;

    if (ret == 0 || !r->is_stream || r->resumed)
        return (ret);
    if (restore_undo(r->target.fd, &undo) != 0)
        (void)status_add(status, "and what was unpacked could not be removed: %s", undo.message);
    return (ret);
}

static int
copy_and_verify(SNAPSHOT_RESTORE *r, STATUS *status)
{
    uint8_t *config = NULL;
    size_t config_len = 0;
    int ret;

    if (!r->resumed && (ret = prove_recipients(r, status)) != 0)
        return (ret);
    if ((ret = restore_block(r->target.fd, NULL, 0, status)) != 0 ||
        (ret = restore_state_write(r->target.fd, &r->state, r->source, status)) != 0 ||
        (ret = take_back(r, bring_files(r, status), status)) != 0 ||
        (ret = take_back(r, take_brought_keys(r, status), status)) != 0 ||
        (r->is_archive && (ret = check_log_path(r, r->target.fd, status)) != 0) ||
        (ret = verify(r, status)) != 0 ||
        (ret = read_brought(r, MIRROR_FILE, MIRROR_MAX_BYTES, &config, &config_len, status)) != 0)
        goto err;
    /* With the copy's own lines, which the keystore's writes keep. */
    if ((ret = restore_block(r->target.fd, (char *)config, config_len, status)) != 0)
        goto err;
    r->state.phase = RESTORE_COPIED;
    memcpy(r->state.parent, r->keys.keystore->uuid, sizeof(r->state.parent));
    ret = restore_state_write(r->target.fd, &r->state, r->source, status);

err:
    free(config);
    return (ret);
}

/* --- keys of its own */

/* The copy's keystore as it is, where the target's configuration wants one; no copies yet. */
static int
adopt(SNAPSHOT_RESTORE *r, STATUS *status)
{
    KEYRING_OPTIONS options = {.log = &r->cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS};
    SETTINGS settings = r->keys.settings;
    KEYRING *keyring = NULL;
    int ret;

    settings.node = r->target.settings->node;
    settings.keystore = r->target.settings->keystore;
    if ((ret = keyring_open_bytes(
           r->target.fd, r->keys.data, r->keys.len, &settings, &options, &keyring, status)) == 0)
        ret = keyring_adopt(keyring, r->source, status);
    keyring_close(keyring);
    return (ret);
}

static int
own_keystore(SNAPSHOT_RESTORE *r, STATUS *status)
{
    ROTATE_OPTIONS options = {.log = &r->cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .reason = r->options->reason == NULL ? "snapshot restore" : r->options->reason};
    ROTATE_RESULT rewrapped;
    SETTINGS alone = *r->target.settings;
    KEYRING_SOURCE source;
    KEYSTORE *present = NULL;
    int ret;
    bool found;

    memset(&rewrapped, 0, sizeof(rewrapped));
    if ((ret = keyring_locate(
           r->target.fd, r->target.settings, &found, &source, &present, NULL, NULL, status)) != 0)
        goto err;
    found = found && source == KEYRING_FROM_FILE;
    if (found && present->has_parent &&
        memcmp(present->parent, r->state.parent, sizeof(present->parent)) == 0)
        goto err; /* it was forked before */
    if (found && memcmp(present->uuid, r->state.parent, sizeof(present->uuid)) != 0) {
        ret = status_set(status, STATUS_REFUSED, "restore-other-keystore",
          "a keystore is there that this restore did not make");
        goto err;
    }
    if ((ret = take_brought_keys(r, status)) != 0 || (!found && (ret = adopt(r, status)) != 0))
        goto err;
    alone.keystore_copies.count = 0;
    if ((ret = rotate_cmk(r->target.fd, &alone, &r->keys.settings, &options, &rewrapped, status)) !=
          0 ||
        (ret = fork_keystore(r->target.fd, r->target.settings, &options, &r->fork, status)) != 0)
        goto err;

err:
    rotate_release(&rewrapped);
    keystore_free(present);
    return (ret);
}

/* --- new data keys */

static void
on_started(void *context, uint64_t total)
{
    PROGRESS **progressp = context;

    *progressp = progress_start("Re-encrypting", total);
}

static void
on_rewritten(void *context, uint64_t bytes)
{
    progress_add(*(PROGRESS **)context, bytes);
}

static int
new_data_keys(SNAPSHOT_RESTORE *r, STATUS *status)
{
    ROTATE_OPTIONS options = {.log = &r->cli->log,
      .kms_timeout_ms = KMS_TIMEOUT_MS,
      .retry_for_ms = KMS_RETRY_MS,
      .reason = "snapshot restore"};
    PROGRESS *progress = NULL;
    REENCRYPT_OPTIONS reencrypt_options = {
      .threads = options_threads(r->options, REENCRYPT_THREADS_MAX),
      .reason = "snapshot restore",
      .started = on_started,
      .progress = on_rewritten,
      .context = &progress};
    KEYRING_OPTIONS keyring_options = {.log = &r->cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS};
    KEYRING *keyring = NULL;
    ROTATE_RESULT rotated;
    int ret;

    memset(&rotated, 0, sizeof(rotated));
    if (r->state.phase != RESTORE_ROTATED) {
        if ((ret = rotate_data(
               r->target.fd, r->target.settings, NULL, &options, &rotated, status)) != 0)
            goto err;
        r->state.phase = RESTORE_ROTATED;
        if ((ret = restore_state_write(r->target.fd, &r->state, r->source, status)) != 0)
            goto err;
    }
    if ((ret = keyring_open(
           r->target.fd, r->target.settings, &keyring_options, &keyring, status)) != 0)
        goto err;
    ret = reencrypt_home(r->target.fd, keyring, &reencrypt_options, &r->reencrypted, status);
    progress_end(progress);

err:
    keyring_close(keyring);
    rotate_release(&rotated);
    return (ret);
}

/* --- a home */

/* The engine's lines for this machine, where the copy had such; "" where it had none. */
static int
make_lines(SNAPSHOT_RESTORE *r, char **linesp, STATUS *status)
{
    MIRROR mirror;
    uint8_t *config = NULL;
    char *list = NULL;
    size_t len;
    int ret;

    *linesp = NULL;
    memset(&mirror, 0, sizeof(mirror));
    if ((ret = read_brought(r, MIRROR_FILE, MIRROR_MAX_BYTES, &config, &len, status)) != 0)
        goto err;
    if (config != NULL && (ret = mirror_parse((char *)config, len, &mirror, status)) != 0)
        goto err;
    r->has_lines = mirror.has_engine_lines || r->options->extensions != NULL;
    if (!r->has_lines) {
        *linesp = output_format("%s", "");
        goto err;
    }
    if (r->options->extensions != NULL)
        ret = engine_lines_others(r->options->extensions, &r->others, status);
    else if ((ret = engine_lines_find(mirror.engine_lines, strlen(mirror.engine_lines),
                "extensions", NULL, &list, status)) == 0 &&
             list != NULL)
        ret = engine_lines_others(list, &r->others, status);
    if (ret == 0)
        ret = engine_lines_make(r->module, r->config, r->others, linesp, status);

err:
    free(list);
    free(config);
    mirror_release(&mirror);
    return (ret);
}

/* Where the engine will look for its log when the application says nothing else. */
static int
note_log_path(SNAPSHOT_RESTORE *r, STATUS *status)
{
    char *path;
    int ret;

    if ((ret = home_log_path(r->target.fd, &path, status)) != 0)
        return (ret);
    if (path != NULL && (path[0] == '/' || strncmp(path, "..", 2) == 0) &&
        (r->target.settings->log_path == NULL || strcmp(r->target.settings->log_path, path) != 0))
        r->log_outside = output_format("%s", path);
    free(path);
    return (0);
}

static int
place_log(SNAPSHOT_RESTORE *r, STATUS *status)
{
    RESTORE_HOW how = {NULL, NULL, NULL, NULL};
    RESTORE_COUNT ignored;
    int from_fd, ret, to_fd = -1;

    from_fd =
      openat(r->target.fd, MANIFEST_LOG_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (from_fd < 0)
        return (errno == ENOENT
                  ? 0
                  : status_set_errno(status, errno, "restore-place", "%s", MANIFEST_LOG_DIR));
    if ((ret = check_log_path(r, r->target.fd, status)) != 0 ||
        (ret = file_open_dir(r->target.settings->log_path, &to_fd, status)) != 0 ||
        (ret = file_copier_new(NULL, &how.copier, status)) != 0 ||
        (ret = restore_tree(from_fd, MANIFEST_LOG_DIR, to_fd, &how, &ignored, status)) != 0)
        goto err;
    ret = restore_remove_tree(r->target.fd, MANIFEST_LOG_DIR, status);

err:
    file_copier_free(how.copier);
    if (to_fd >= 0)
        (void)close(to_fd);
    (void)close(from_fd);
    return (ret);
}

static int
unblock(SNAPSHOT_RESTORE *r, STATUS *status)
{
    uint8_t *text = NULL;
    char *final = NULL, *lines = NULL;
    size_t final_len, len;
    int ret;
    bool found;

    if ((ret = make_lines(r, &lines, status)) != 0 ||
        (ret = file_read(
           r->target.fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &text, &len, status)) != 0)
        goto err;
    /* An interrupted run came this far. */
    if (!found || !restore_is_blocked((char *)text, len)) {
        r->has_lines = found && memmem(text, len, "\n#wtkms-engine BEGIN", 20) != NULL;
        goto err;
    }
    if ((ret = restore_unblock((char *)text, len, lines, &final, &final_len, status)) != 0)
        goto err;
    ret = file_replace(r->target.fd, MIRROR_FILE, final, final_len, 0644, false, status);

err:
    free(text);
    free(final);
    free(lines);
    return (ret);
}

/* The whole of it as the database will open it, before it is called one. Copies of the keystore that an
 * interrupted run did not write are written now. */
static int
open_as_database(SNAPSHOT_RESTORE *r, STATUS *status)
{
    KEYRING_OPTIONS options = {.log = &r->cli->log, .kms_timeout_ms = KMS_TIMEOUT_MS};
    const KEYSTORE_MASTER *master;
    const KEYSTORE *keystore;
    KEYRING *keyring = NULL;
    char *grown;
    size_t i, n;
    int ret;

    if ((ret = keyring_open(r->target.fd, r->target.settings, &options, &keyring, status)) != 0)
        return (ret);
    keystore = keyring_hold_keystore(keyring);
    memcpy(r->uuid, keystore->uuid, sizeof(r->uuid));
    memcpy(r->parent, keystore->parent, sizeof(r->parent));
    r->generation = keystore->generation;
    r->recipients = output_format("%s", "");
    for (i = 0; i < keystore->master_count; i++) {
        master = &keystore->masters[i];
        for (n = 0; master->state == KEYSTORE_ACTIVE && n < master->recipient_count; n++) {
            grown = output_format("%s  %s: %s %s\n", r->recipients, master->scope,
              master->recipients[n].provider, master->recipients[n].key_id);
            free(r->recipients);
            r->recipients = grown;
        }
    }
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    return (0);
}

int
snapshot_restore_run(SNAPSHOT_RESTORE *r, STATUS *status)
{
    int ret;

    r->copied_before = r->state.phase != RESTORE_COPYING;
    if (!r->copied_before && (ret = copy_and_verify(r, status)) != 0)
        return (ret);
    if ((ret = own_keystore(r, status)) != 0 ||
        (r->options->reencrypt && (ret = new_data_keys(r, status)) != 0) ||
        (ret = open_as_database(r, status)) != 0 || (ret = place_log(r, status)) != 0 ||
        (ret = restore_place(r->target.fd, status)) != 0 || (ret = note_log_path(r, status)) != 0 ||
        (ret = unblock(r, status)) != 0)
        return (ret);
    return (restore_clear(r->target.fd, status));
}
