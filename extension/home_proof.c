/*
 * extension/home_proof.c -- What a home's own files say about encryption. See home_proof.h.
 */
#include "extension/home_proof.h"

#include "crypto/unit_cipher.h"
#include "datafile/block_file.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define METADATA_FILE_NAME "WiredTiger.wt"
#define CLEAR_BLOCKS_ENOUGH 8 /* a file that starts with so many is plain: look at the next */

/* One pass over one file or many. */
typedef struct {
    HOME_PROOF *proof; /* classifying */
    unsigned clear_here;
    bool encrypted, foreign, clear;

    HOME_PROOF_FIND find; /* verifying */
    void *find_context;
    const char *path;
    bool opened;       /* a unit was decrypted */
    bool clear_is_bad; /* in WiredTiger.wt every page is encrypted */
    bool ids_must_be_known;
    uint64_t units;
    STATUS failure; /* of the last unit that did not open */
} PASS;

/* Where the engine's log is, when it is not below the home. The caller frees *pathp. */
static int
find_log_path(int home_fd, const SETTINGS *settings, char **pathp, STATUS *status)
{
    *pathp = NULL;
    if (settings->log_path == NULL)
        return (home_log_path(home_fd, pathp, status));
    if ((*pathp = strdup(settings->log_path)) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "log path"));
    return (0);
}

/* --- classifying */

/* Whether bytes are a unit of ours, of this version or a later one. */
static bool
is_our_unit(const uint8_t *unit, size_t len)
{
    return (len >= 2 && unit[0] == 'W' && unit[1] == 'K');
}

static int
classify_unit(PASS *pass, const uint8_t *unit, size_t len)
{
    if (unit == NULL || !is_our_unit(unit, len)) {
        pass->foreign = true;
        return (0);
    }
    pass->encrypted = true;
    return (WALK_STOP);
}

static int
classify_block(void *context, const BLOCK *block, STATUS *status)
{
    PASS *pass = context;

    (void)status;
    if (block->extent_list)
        return (0);
    if (block->encrypted)
        return (classify_unit(pass, block->unit, block->unit_have));
    pass->clear = true;
    return (++pass->clear_here >= CLEAR_BLOCKS_ENOUGH ? WALK_STOP : 0);
}

static int
classify_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    PASS *pass = context;

    (void)status;
    if (record->kind == LOG_RECORD_ENCRYPTED)
        return (classify_unit(pass, record->unit, record->unit_length));
    if (record->kind != LOG_RECORD_CLEAR)
        return (0);
    pass->clear = true;
    return (++pass->clear_here >= CLEAR_BLOCKS_ENOUGH ? WALK_STOP : 0);
}

static int
classify_file(void *context, const HOME_FILE *file, STATUS *status)
{
    static const size_t size = sizeof(((HOME_PROOF *)NULL)->evidence);
    PASS *pass = context;
    bool clear = pass->clear, foreign = pass->foreign;
    BLOCK_HANDLER blocks = {.block = classify_block, .context = pass};
    LOG_HANDLER records = {.record = classify_record, .context = pass};
    BLOCK_FILE block_file;
    LOG_FILE log_file;
    int ret;

    pass->clear_here = 0;
    if (file->kind == HOME_BLOCK_FILE) {
        if ((ret = block_file_open(&block_file, file->fd, file->path, true, status)) == 0)
            ret = block_file_walk(&block_file, BLOCK_WALK_HEADERS, &blocks, NULL, status);
        block_file_close(&block_file);
    } else if (file->kind == HOME_LOG_FILE) {
        if ((ret = log_file_open(&log_file, file->fd, file->path, true, status)) == 0)
            ret = log_file_walk(&log_file, &records, NULL, status);
        log_file_close(&log_file);
    } else
        return (0);
    if (ret != 0)
        return (ret);
    /* The first file that says more than those before it is the evidence. */
    if (pass->encrypted || (pass->foreign && !foreign) || (pass->clear && !clear && !foreign))
        (void)snprintf(pass->proof->evidence, size, "%s", file->path);
    return (pass->encrypted ? WALK_STOP : 0);
}

int
home_proof_classify(int home_fd, const SETTINGS *settings, HOME_PROOF *proof, STATUS *status)
{
    HOME_EVIDENCE evidence;
    HOME_OPTIONS options = {0};
    PASS pass = {.proof = proof};
    char *log_path;
    int ret;

    memset(proof, 0, sizeof(*proof));
    if ((ret = home_refuse_unfinished(home_fd, status)) != 0)
        return (ret);
    if ((ret = find_log_path(home_fd, settings, &log_path, status)) != 0)
        return (ret);
    options.log_path = log_path;
    if ((ret = home_has_data(home_fd, &options, &evidence, status)) != 0)
        goto err;
    if (!evidence.has_data) {
        proof->kind = HOME_FRESH;
        goto err;
    }
    (void)snprintf(proof->evidence, sizeof(proof->evidence), "%s", evidence.path);
    if ((ret = home_walk(home_fd, &options, classify_file, &pass, status)) != 0)
        goto err;
    proof->kind = pass.encrypted ? HOME_ENCRYPTED
                  : pass.foreign ? HOME_FOREIGN
                  : pass.clear   ? HOME_PLAIN
                                 : HOME_UNKNOWN;
err:
    free(log_path);
    return (ret);
}

/* --- verifying */

/* Try a unit; whether it opens is kept, an unknown key is an error where ids must be known. */
static int
verify_unit(PASS *pass, uint64_t offset, const uint8_t *unit, size_t len, STATUS *status)
{
    const UNIT_KEY *key;
    UNIT_HEADER header;
    uint8_t *plaintext;
    size_t plaintext_len;

    if (unit == NULL || unit_parse(unit, len, &header, &pass->failure) != 0)
        return (0); /* for the engine to find: it knows whether anything needs this block */
    pass->units++;
    if ((key = pass->find(pass->find_context, header.data_key_id)) == NULL) {
        if (!pass->ids_must_be_known)
            return (0);
        (void)status_set(status, STATUS_NO_KEY, "data-key-unknown",
          "%s, offset %llu: needs data key %016llx, which the keystore does not have", pass->path,
          (unsigned long long)offset, (unsigned long long)header.data_key_id);
        return (status_hint(status, "this keystore is of another database or an older copy: bring "
                                    "back the one that belongs to "
                                    "these files with `wtkms keystore restore`"));
    }
    if (pass->opened)
        return (0);
    if ((plaintext = malloc(len)) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "%s", pass->path));
    if (unit_decrypt(key, unit, len, plaintext, len, &plaintext_len, &pass->failure) == 0)
        pass->opened = true;
    secret_wipe(plaintext, len);
    free(plaintext);
    return (0);
}

static int
verify_block(void *context, const BLOCK *block, STATUS *status)
{
    PASS *pass = context;

    if (block->extent_list)
        return (0);
    if (block->encrypted)
        return (verify_unit(pass, block->offset, block->unit, block->unit_length, status));
    if (!pass->clear_is_bad)
        return (0);
    (void)status_set(status, STATUS_CORRUPT, "metadata-clear-page",
      "%s, offset %llu: a page in clear among encrypted ones", pass->path,
      (unsigned long long)block->offset);
    return (status_hint(
      status, "someone who can write this disk added it: compare with a copy, run `wtkms check`"));
}

static int
verify_metadata(void *context, const BLOCK_METADATA *metadata, STATUS *status)
{
    return (
      verify_unit(context, metadata->text_offset, metadata->unit, metadata->unit_length, status));
}

static int
verify_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    PASS *pass = context;

    if (record->kind == LOG_RECORD_ENCRYPTED)
        return (verify_unit(pass, record->offset, record->unit, record->unit_length, status));
    if (record->kind != LOG_RECORD_CLEAR)
        return (0);
    (void)status_set(status, STATUS_CORRUPT, "log-clear-record",
      "%s, offset %llu: a record in clear in an encrypted log, which recovery would replay",
      pass->path, (unsigned long long)record->offset);
    return (status_hint(status,
      "someone who can write this disk added it, or the log was written without encryption"));
}

static int
verify_block_file(PASS *pass, int fd, STATUS *status)
{
    BLOCK_HANDLER handler = {.block = verify_block, .metadata = verify_metadata, .context = pass};
    BLOCK_FILE file;
    int ret;

    if ((ret = block_file_open(&file, fd, pass->path, true, status)) == 0)
        ret = block_file_walk(&file, BLOCK_WALK_FULL, &handler, NULL, status);
    block_file_close(&file);
    return (ret);
}

static int
verify_log_file(PASS *pass, int fd, STATUS *status)
{
    LOG_HANDLER handler = {.record = verify_record, .context = pass};
    LOG_FILE file;
    int ret;

    if ((ret = log_file_open(&file, fd, pass->path, true, status)) == 0)
        ret = log_file_walk(&file, &handler, NULL, status);
    log_file_close(&file);
    return (ret);
}

/* Logs that the engine would read: in the home, in journal/, in the configured path. A copy of
 * another database in some folder below is none of this one's business. */
static int
verify_logs(void *context, const HOME_FILE *file, STATUS *status)
{
    PASS *pass = context;

    if (file->kind != HOME_LOG_FILE || !(file->in_log_path || strchr(file->path, '/') == NULL ||
                                         strncmp(file->path, "journal/", 8) == 0))
        return (0);
    pass->path = file->path;
    return (verify_log_file(pass, file->fd, status));
}

static int
verify_any_file(void *context, const HOME_FILE *file, STATUS *status)
{
    PASS *pass = context;
    int ret;

    if (file->kind != HOME_BLOCK_FILE)
        return (0);
    pass->path = file->path;
    ret = verify_block_file(pass, file->fd, status);
    return (ret == 0 && pass->opened ? WALK_STOP : ret);
}

static int
verify_newest_log(int home_fd, const HOME_OPTIONS *options, PASS *pass, STATUS *status)
{
    char *path;
    int fd, ret;

    if ((ret = home_newest_log(home_fd, options, &path, &fd, status)) != 0 || fd < 0)
        return (ret);
    pass->path = path;
    pass->ids_must_be_known = true;
    ret = verify_log_file(pass, fd, status);
    pass->ids_must_be_known = false;
    (void)close(fd);
    free(path);
    return (ret);
}

int
home_proof_verify(
  int home_fd, const SETTINGS *settings, HOME_PROOF_FIND find, void *context, STATUS *status)
{
    HOME_OPTIONS options = {0};
    PASS pass = {.find = find, .find_context = context};
    char *log_path;
    int fd, ret;

    if ((ret = find_log_path(home_fd, settings, &log_path, status)) != 0)
        return (ret);
    options.log_path = log_path;

    if ((ret = home_open_data(home_fd, METADATA_FILE_NAME, &fd, status)) != 0)
        goto err;
    if (fd >= 0) {
        pass.path = METADATA_FILE_NAME;
        pass.clear_is_bad = pass.ids_must_be_known = true;
        ret = verify_block_file(&pass, fd, status);
        pass.clear_is_bad = pass.ids_must_be_known = false;
        (void)close(fd);
        if (ret != 0)
            goto err;
    }
    if ((ret = verify_newest_log(home_fd, &options, &pass, status)) != 0 ||
        (ret = home_walk(home_fd, &options, verify_logs, &pass, status)) != 0)
        goto err;
    /* Damaged metadata and no log: some other unit will do. */
    if (!pass.opened && pass.units == 0 &&
        (ret = home_walk(home_fd, &options, verify_any_file, &pass, status)) != 0)
        goto err;
    if (!pass.opened && pass.units != 0) {
        ret = status_set(status, STATUS_CORRUPT, "keystore-proof",
          "none of %llu encrypted units opens with the keystore's keys: %s",
          (unsigned long long)pass.units, pass.failure.message);
        (void)status_hint(status, "this keystore does not belong to these files");
    }

err:
    free(log_path);
    return (ret);
}
