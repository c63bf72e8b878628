/*
 * cli/prove.c -- See prove.h.
 */
#include "cli/prove.h"

#include "cli/output.h"
#include "cli/survey.h"
#include "crypto/unit_cipher.h"
#include "datafile/block_file.h"
#include "datafile/home.h"
#include "datafile/log_file.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    KEYRING *keyring;
    const char *path;
    bool proved;
} PROOF;

static int
decrypt(PROOF *proof, uint64_t offset, const uint8_t *unit, size_t len, STATUS *status)
{
    SECRET *secret = NULL;
    UNIT_HEADER header;
    UNIT_KEY *key = NULL;
    uint8_t *plain = NULL;
    size_t plain_len;
    int ret;

    if ((ret = unit_parse(unit, len, &header, status)) != 0 ||
        (ret = keyring_data_key(proof->keyring, header.data_key_id, &secret, NULL, status)) != 0 ||
        (ret = unit_key_new(header.data_key_id, secret, &key, status)) != 0)
        goto err;
    plain = output_allocate(len, 1);
    ret = unit_decrypt(key, unit, len, plain, len, &plain_len, status);
    if (ret == 0)
        proof->proved = true;

err:
    if (ret != 0)
        (void)status_add(status, "in %s at offset %llu", proof->path, (unsigned long long)offset);
    if (plain != NULL)
        secret_wipe(plain, len);
    free(plain);
    unit_key_free(key);
    secret_free(secret);
    return (ret != 0 ? ret : WALK_STOP);
}

static int
on_block(void *context, const BLOCK *block, STATUS *status)
{
    PROOF *proof = context;

    if (!block->encrypted || !block->whole_checksum || block->unit == NULL ||
        block->unit_have < block->unit_length)
        return (0);
    return (decrypt(proof, block->offset, block->unit, block->unit_length, status));
}

static int
on_record(void *context, const LOG_RECORD *record, STATUS *status)
{
    PROOF *proof = context;

    if (record->kind != LOG_RECORD_ENCRYPTED || record->unit == NULL)
        return (0);
    return (decrypt(proof, record->offset, record->unit, record->unit_length, status));
}

static int
on_file(void *context, const HOME_FILE *file, STATUS *status)
{
    PROOF *proof = context;
    BLOCK_FILE blocks;
    BLOCK_HANDLER block_handler = {.block = on_block, .context = proof};
    LOG_FILE log;
    LOG_HANDLER log_handler = {.record = on_record, .context = proof};
    int ret = 0;

    proof->path = file->path;
    if (file->kind == HOME_BLOCK_FILE) {
        if ((ret = block_file_open(&blocks, file->fd, file->path, true, status)) == 0)
            ret = block_file_walk(&blocks, BLOCK_WALK_FULL, &block_handler, NULL, status);
        block_file_close(&blocks);
    } else if (file->kind == HOME_LOG_FILE) {
        if ((ret = log_file_open(&log, file->fd, file->path, true, status)) == 0)
            ret = log_file_walk(&log, &log_handler, NULL, status);
        log_file_close(&log);
    }
    /* A damaged file does not decide whether the key is the right one; the next may. */
    if (ret == STATUS_CORRUPT && !proof->proved)
        ret = 0;
    return (ret == 0 && proof->proved ? WALK_STOP : ret);
}

int
prove_home(const TARGET *target, KEYRING *keyring, bool *provedp, STATUS *status)
{
    HOME_OPTIONS options = {NULL};
    PROOF proof = {keyring, NULL, false};
    char *log_path = NULL;
    int ret;

    *provedp = false;
    if ((ret = survey_log_path(target, &log_path, status)) != 0)
        return (ret);
    options.log_path = log_path;
    if ((ret = unit_cipher_library_open(status)) == 0) {
        ret = home_walk(target->fd, &options, on_file, &proof, status);
        unit_cipher_library_close();
    }
    free(log_path);
    *provedp = proof.proved;
    return (ret);
}
