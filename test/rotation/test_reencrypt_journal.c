/*
 * test/rotation/test_reencrypt_journal.c -- The journal: replayed when whole, dropped when not, after a
 * kill at any system call, at any length, with any bit turned.
 */
#include "test/rotation/test_reencrypt.h"

#include "crypto/random.h"
#include "datafile/block_file.h"
#include "datafile/home.h"
#include "rotation/balance.h"
#include "rotation/reencrypt_change.h"
#include "rotation/reencrypt_journal.h"
#include "rotation/reencrypt_pipe.h"
#include "test/support.h"
#include "test/syscall_trace.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_SIZE 1024
#define BLOCKS 3
#define UNIT_LEN 800
#define CHANGE_MAX 256
#define OLD_ID 7
#define NEW_ID 8

static const uint8_t uuid[KEYSTORE_UUID_LEN] = "journal-test-id";

/* A home with one file of blocks, as they are and as they are to be. */
typedef struct {
    int fd;
    REENCRYPT_FILE file;
    uint8_t old_blocks[BLOCKS][BLOCK_SIZE], new_blocks[BLOCKS][BLOCK_SIZE];
    REENCRYPT_ITEM items[BLOCKS];
    SECRET *keys[2]; /* old and new, or NULL: the units are none, and the journal has images */
    uint8_t changes[BLOCKS][CHANGE_MAX];
} HOME;

static void
put32(uint8_t *p, uint32_t value)
{
    value = htole32(value);
    memcpy(p, &value, sizeof(value));
}

static void
fill(void *data, size_t len)
{
    STATUS status;

    CU_ASSERT_EQUAL_FATAL(random_bytes(data, len, &status), 0);
}

/* What follows the headers differs, the headers and the checksum do not. */
static void
make_blocks(uint8_t *before, uint8_t *after)
{
    uint32_t checksum;

    fill(before, BLOCK_SIZE);
    before[24] = BLOCK_TYPE_ROW_LEAF;
    before[25] = BLOCK_PAGE_ENCRYPTED;
    put32(before + 28, BLOCK_SIZE);
    before[36] = 1;
    put32(before + BLOCK_HEADERS_LEN, BLOCK_UNIT_OFFSET + UNIT_LEN);
    unit_header_write(before + BLOCK_UNIT_OFFSET, OLD_ID);
    memcpy(after, before, BLOCK_SIZE);
    fill(after + BLOCK_UNIT_OFFSET, BLOCK_SIZE - BLOCK_UNIT_OFFSET);
    unit_header_write(after + BLOCK_UNIT_OFFSET, NEW_ID);
    checksum = balance_checksum(before, BLOCK_SIZE, BLOCK_CHECKSUM_OFFSET);
    put32(before + BLOCK_CHECKSUM_OFFSET, checksum);
    put32(after + BLOCK_CHECKSUM_OFFSET, checksum);
    balance_bytes(after, BLOCK_SIZE, BLOCK_CHECKSUM_OFFSET, BLOCK_UNIT_OFFSET + 12, checksum);
}

/* The same with units under two keys, so that there is a change from the one to the other. */
static void
make_changes(HOME *home)
{
    REENCRYPT_PLAIN plain = {NULL, 0};
    REENCRYPT_ITEM *item;
    STATUS status;
    UNIT_CIPHER *ciphers[2];
    UNIT_KEY *keys[2];
    uint8_t contents[UNIT_LEN - UNIT_OVERHEAD];
    size_t i, len;

    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    for (i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL_FATAL(secret_new_random(KEYSTORE_DATA_KEY_LEN, &home->keys[i], &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_key_new(OLD_ID + i, home->keys[i], &keys[i], &status), 0);
        CU_ASSERT_EQUAL_FATAL(unit_cipher_new(keys[i], &ciphers[i], &status), 0);
    }
    for (i = 0; i < BLOCKS; i++) {
        item = &home->items[i];
        fill(contents, sizeof(contents));
        CU_ASSERT_EQUAL_FATAL(unit_encrypt(ciphers[0], contents, sizeof(contents),
                                home->old_blocks[i] + BLOCK_UNIT_OFFSET, UNIT_LEN, &len, &status),
          0);
        put32(home->old_blocks[i] + BLOCK_CHECKSUM_OFFSET,
          balance_checksum(home->old_blocks[i], BLOCK_SIZE, BLOCK_CHECKSUM_OFFSET));
        memcpy(home->new_blocks[i], home->old_blocks[i], BLOCK_SIZE);
        item->unit_offset = BLOCK_UNIT_OFFSET;
        item->unit_length = UNIT_LEN;
        item->old_key = keys[0];
        item->cipher = ciphers[1];
        item->change = home->changes[i];
        item->change_length = reencrypt_change_size(item);
        CU_ASSERT_FATAL(item->change_length != 0 && item->change_length <= CHANGE_MAX);
        CU_ASSERT_EQUAL_FATAL(reencrypt_item_rewrite(item, &plain, &status), 0);
    }
    reencrypt_plain_release(&plain);
    for (i = 0; i < 2; i++) {
        unit_cipher_free(ciphers[i]);
        unit_key_free(keys[i]);
    }
    unit_cipher_library_close();
}

static void
home_make(HOME *home, bool changes)
{
    struct stat st;
    size_t i;

    memset(home, 0, sizeof(*home));
    home->fd = make_dir(NULL);
    home->file.path = strdup("a.wt");
    for (i = 0; i < BLOCKS; i++) {
        make_blocks(home->old_blocks[i], home->new_blocks[i]);
        home->items[i] = (REENCRYPT_ITEM){.kind = REENCRYPT_BLOCK,
          .file = &home->file,
          .offset = i * BLOCK_SIZE,
          .image = home->new_blocks[i],
          .length = BLOCK_SIZE};
    }
    if (changes)
        make_changes(home);
    put_file(home->fd, "a.wt", home->old_blocks, sizeof(home->old_blocks), 0600);
    CU_ASSERT_EQUAL_FATAL(fstatat(home->fd, "a.wt", &st, 0), 0);
    home->file.device = st.st_dev;
    home->file.inode = st.st_ino;
}

static void
home_free(HOME *home)
{
    free(home->file.path);
    secret_free(home->keys[0]);
    secret_free(home->keys[1]);
    (void)close(home->fd);
}

/* The same file with another content: a new one by its name would be refused. */
static void
refill(HOME *home, const void *data, size_t len)
{
    int fd = openat(home->fd, "a.wt", O_WRONLY | O_TRUNC | O_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(pwrite(fd, data, len, 0), (ssize_t)len);
    (void)close(fd);
}

static int
open_file(void *context, const char *path, int *fdp, STATUS *status)
{
    HOME *home = context;

    *fdp = -1;
    if (strcmp(path, home->file.path) != 0)
        return (0);
    return (reencrypt_open_file(home->fd, &home->file, fdp, status));
}

static int
data_key(void *context, uint64_t id, SECRET **secretp, STATUS *status)
{
    HOME *home = context;

    *secretp = NULL;
    if (home->keys[0] == NULL || id < OLD_ID || id > NEW_ID)
        return (status_set(status, STATUS_NO_KEY, "data-key", "no key %d", (int)id));
    return (secret_new_copy(
      secret_bytes(home->keys[id - OLD_ID]), KEYSTORE_DATA_KEY_LEN, secretp, status));
}

static int
replay(HOME *home, REENCRYPT_REPLAY *result, STATUS *status)
{
    REENCRYPT_JOURNAL_HOME journal_home = {open_file, data_key, home};

    return (reencrypt_journal_replay(home->fd, uuid, &journal_home, result, status));
}

static void
write_journal(HOME *home)
{
    REENCRYPT_JOURNAL journal;
    STATUS status;

    CU_ASSERT_EQUAL_FATAL(reencrypt_journal_start(home->fd, uuid, &journal, &status), 0);
    CU_ASSERT_EQUAL_FATAL(reencrypt_journal_write(&journal, home->items, BLOCKS, &status), 0);
    reencrypt_journal_close(&journal);
}

static size_t
read_journal(HOME *home, uint8_t *data, size_t size)
{
    int fd = openat(home->fd, REENCRYPT_JOURNAL_FILE, O_RDONLY);
    ssize_t n;

    CU_ASSERT_FATAL(fd >= 0);
    n = read(fd, data, size);
    CU_ASSERT_FATAL(n > 0);
    (void)close(fd);
    return ((size_t)n);
}

static void
replayed(bool changes)
{
    HOME home;
    REENCRYPT_REPLAY result;
    STATUS status;
    int fd;

    home_make(&home, changes);
    CU_ASSERT_EQUAL(home_refuse_unfinished(home.fd, &status), 0);
    CU_ASSERT_EQUAL(replay(&home, &result, &status), 0);
    CU_ASSERT(!result.found);

    write_journal(&home);
    CHECK_STATUS(home_refuse_unfinished(home.fd, &status), &status, STATUS_REFUSED, "interrupted");
    /* One block torn in the middle, one written since by an engine. */
    fd = openat(home.fd, "a.wt", O_RDWR);
    CU_ASSERT_EQUAL(pwrite(fd, home.new_blocks[0], 512, 0), 512);
    CU_ASSERT_EQUAL(pwrite(fd, "newer", 5, BLOCK_SIZE), 5);
    CU_ASSERT_EQUAL_FATAL(replay(&home, &result, &status), 0);
    CU_ASSERT(result.found && result.complete);
    CU_ASSERT_EQUAL(result.written, BLOCKS - 1);
    CU_ASSERT_EQUAL(result.outdated, 1);
    CU_ASSERT(!exists(home.fd, REENCRYPT_JOURNAL_FILE));
    memcpy(home.old_blocks[1], "newer", 5);
    memcpy(home.new_blocks[1], home.old_blocks[1], BLOCK_SIZE);
    CU_ASSERT(file_holds(home.fd, "a.wt", home.new_blocks, sizeof(home.new_blocks)));
    (void)close(fd);
    home_free(&home);
}

static void
test_replay(void)
{
    replayed(false);
    replayed(true);
}

/* Of blocks there are the changes: a fraction of them. A data key must be there, and the block one of the two. */
static void
test_changes(void)
{
    HOME home;
    REENCRYPT_REPLAY result;
    STATUS status;
    SECRET *key;
    uint8_t data[2 * BLOCKS * BLOCK_SIZE], torn[3 * BLOCK_SIZE];

    home_make(&home, true);
    write_journal(&home);
    CU_ASSERT(read_journal(&home, data, sizeof(data)) < BLOCKS * 300);
    key = home.keys[0];
    home.keys[0] = NULL;
    CHECK_STATUS(replay(&home, &result, &status), &status, STATUS_NO_KEY, "no key 7");
    home.keys[0] = key;
    CU_ASSERT(exists(home.fd, REENCRYPT_JOURNAL_FILE));

    memcpy(torn, home.old_blocks, sizeof(torn));
    torn[2 * BLOCK_SIZE + 700] ^= 1;
    refill(&home, torn, sizeof(torn));
    CHECK_STATUS(
      replay(&home, &result, &status), &status, STATUS_BAD_UNIT, "neither the old block");
    CU_ASSERT(exists(home.fd, REENCRYPT_JOURNAL_FILE));
    /* It was put back as it was: replayed after all. */
    refill(&home, home.old_blocks, sizeof(torn));
    CU_ASSERT_EQUAL(replay(&home, &result, &status), 0);
    CU_ASSERT(result.written == BLOCKS && result.outdated == 0);
    CU_ASSERT(file_holds(home.fd, "a.wt", home.new_blocks, sizeof(home.new_blocks)));

    /* What is right for the tags but is not a block by its checksum is not written. */
    write_journal(&home);
    memcpy(torn, home.old_blocks, sizeof(torn));
    torn[BLOCK_SIZE - 1] ^= 1;
    refill(&home, torn, sizeof(torn));
    CHECK_STATUS(replay(&home, &result, &status), &status, STATUS_CORRUPT, "no block");
    CU_ASSERT(file_holds(home.fd, "a.wt", torn, sizeof(torn)));

    /* A file that ends before its block. */
    refill(&home, home.old_blocks, BLOCK_SIZE + 100);
    CU_ASSERT_EQUAL(replay(&home, &result, &status), 0);
    CU_ASSERT(result.written == 1 && result.outdated == 2);
    home_free(&home);
}

/* A journal that would write elsewhere, of another home, of a later version, or of what is no block. */
static void
test_hostile(void)
{
    HOME home;
    REENCRYPT_JOURNAL journal;
    REENCRYPT_REPLAY result;
    STATUS status;
    uint8_t other[KEYSTORE_UUID_LEN] = "another";
    char *path;

    home_make(&home, false);
    CU_ASSERT_EQUAL_FATAL(reencrypt_journal_start(home.fd, other, &journal, &status), 0);
    CU_ASSERT_EQUAL(reencrypt_journal_write(&journal, home.items, BLOCKS, &status), 0);
    CHECK_STATUS(replay(&home, &result, &status), &status, STATUS_REFUSED, "another keystore");
    CU_ASSERT(exists(home.fd, REENCRYPT_JOURNAL_FILE));
    CU_ASSERT_EQUAL(reencrypt_journal_remove(&journal, &status), 0);

    path = home.file.path;
    home.file.path = strdup("../../etc/passwd");
    write_journal(&home);
    free(home.file.path);
    home.file.path = path;
    CU_ASSERT_EQUAL(replay(&home, &result, &status), 0);
    CU_ASSERT_EQUAL(result.written, 0);
    CU_ASSERT_EQUAL(result.outdated, BLOCKS);

    home.new_blocks[1][600] ^= 1;
    write_journal(&home);
    CHECK_STATUS(replay(&home, &result, &status), &status, STATUS_CORRUPT, "no block");
    home_free(&home);
}

/* Any length: all of it is replayed, anything less is dropped. */
static void
truncated(bool changes)
{
    HOME home;
    REENCRYPT_REPLAY result;
    STATUS status;
    uint8_t data[2 * BLOCKS * BLOCK_SIZE];
    size_t len, n;

    home_make(&home, changes);
    write_journal(&home);
    len = read_journal(&home, data, sizeof(data));
    CU_ASSERT_FATAL(len > (changes ? BLOCKS * 100 : BLOCKS * BLOCK_SIZE) && len < sizeof(data));
    for (n = 0; n < len; n++) {
        put_file(home.fd, REENCRYPT_JOURNAL_FILE, data, n, 0600);
        CU_ASSERT_EQUAL_FATAL(replay(&home, &result, &status), 0);
        CU_ASSERT(result.found && !result.complete);
    }
    CU_ASSERT(file_holds(home.fd, "a.wt", home.old_blocks, sizeof(home.old_blocks)));
    CU_ASSERT(!exists(home.fd, REENCRYPT_JOURNAL_FILE));
    /* Whatever an earlier, longer batch left behind the end does not count. */
    memset(data + len, 0x5a, sizeof(data) - len);
    put_file(home.fd, REENCRYPT_JOURNAL_FILE, data, sizeof(data), 0600);
    CU_ASSERT_EQUAL_FATAL(replay(&home, &result, &status), 0);
    CU_ASSERT(result.complete && result.written == BLOCKS);
    CU_ASSERT(file_holds(home.fd, "a.wt", home.new_blocks, sizeof(home.new_blocks)));
    home_free(&home);
}

static void
test_truncated(void)
{
    truncated(false);
    truncated(true);
}

static void
bits(bool changes)
{
    HOME home;
    REENCRYPT_REPLAY result;
    STATUS status;
    uint8_t data[2 * BLOCKS * BLOCK_SIZE];
    size_t bit, len;

    home_make(&home, changes);
    write_journal(&home);
    len = read_journal(&home, data, sizeof(data));
    for (bit = 0; bit < len * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        put_file(home.fd, REENCRYPT_JOURNAL_FILE, data, len, 0600);
        data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CU_ASSERT_EQUAL_FATAL(replay(&home, &result, &status), 0);
        CU_ASSERT(result.found && !result.complete && result.written == 0);
    }
    CU_ASSERT(file_holds(home.fd, "a.wt", home.old_blocks, sizeof(home.old_blocks)));
    home_free(&home);
}

static void
test_bits(void)
{
    bits(false);
    bits(true);
}

/* --- kills: journal, places, end, as the pipe does it */

static int
run_batch(void *context)
{
    HOME *home = context;
    REENCRYPT_JOURNAL journal;
    STATUS status;
    size_t i;
    int fd, ret;

    if ((ret = reencrypt_journal_start(home->fd, uuid, &journal, &status)) != 0 ||
        (ret = reencrypt_journal_write(&journal, home->items, BLOCKS, &status)) != 0 ||
        (ret = reencrypt_open_file(home->fd, &home->file, &fd, &status)) != 0)
        return (ret);
    for (i = 0; i < BLOCKS; i++)
        if ((ret = reencrypt_write_all(
               fd, "a.wt", home->new_blocks[i], BLOCK_SIZE, home->items[i].offset, &status)) != 0)
            return (ret);
    if (fdatasync(fd) != 0 || close(fd) != 0)
        return (1);
    return (reencrypt_journal_remove(&journal, &status));
}

static int
run_replay(void *context)
{
    REENCRYPT_REPLAY result;
    STATUS status;

    return (replay(context, &result, &status));
}

static bool
is_whole(HOME *home)
{
    return (file_holds(home->fd, "a.wt", home->old_blocks, sizeof(home->old_blocks)) ||
            file_holds(home->fd, "a.wt", home->new_blocks, sizeof(home->new_blocks)));
}

/* Kill a run at call after call, then its replay at each of its own; the end is old or new, never both. */
static void
kills(TRACE_ACTION action, bool changes)
{
    HOME home;
    REENCRYPT_REPLAY result;
    STATUS status;
    TRACE again, trace;
    unsigned at, second;
    int error;

    for (at = 1; at < 200; at++) {
        trace = (TRACE){.action = action, .at = at, .error = EIO};
        home_make(&home, changes);
        if ((error = syscall_trace(run_batch, &home, &trace)) != 0) {
            printf("\n    no tracing here: %s", strerror(error));
            home_free(&home);
            return;
        }
        for (second = 1; trace.acted && second < 200; second++) {
            again = (TRACE){.action = TRACE_KILL, .at = second};
            CU_ASSERT_EQUAL_FATAL(syscall_trace(run_replay, &home, &again), 0);
            if (!again.acted)
                break;
        }
        CU_ASSERT_EQUAL(replay(&home, &result, &status), 0);
        CU_ASSERT(is_whole(&home));
        CU_ASSERT(!exists(home.fd, REENCRYPT_JOURNAL_FILE));
        if (!trace.acted)
            CU_ASSERT(file_holds(home.fd, "a.wt", home.new_blocks, sizeof(home.new_blocks)));
        home_free(&home);
        if (!trace.acted)
            break;
    }
    CU_ASSERT(at > 5 && at < 200);
}

static void
test_killed(void)
{
    kills(TRACE_KILL, false);
    kills(TRACE_KILL, true);
}

static void
test_failing(void)
{
    kills(TRACE_FAIL, false);
    kills(TRACE_FAIL, true);
}

const TEST journal_tests[] = {{"replayed", test_replay}, {"changes", test_changes},
  {"hostile", test_hostile}, {"every truncation", test_truncated}, {"every bit", test_bits},
  {"killed at every call", test_killed}, {"every call fails", test_failing}, {NULL, NULL}};
