/*
 * rotation/reencrypt_journal.c -- Writing and replaying batches. See reencrypt_journal.h.
 */
#include "rotation/reencrypt_journal.h"

#include "common/crc32c.h"
#include "common/file.h"
#include "common/little_endian.h"
#include "crypto/random.h"
#include "rotation/reencrypt_change.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC "WTKMSREJ"
#define MAGIC_LEN 8
#define VERSION 2
#define HEADER_LEN 64
#define HEADER_SUMMED 60
#define ENTRY_LEN 32
#define VECTORS 192 /* three for each item; at most IOV_MAX */

typedef struct {
    uint32_t count;
    uint64_t length;
    uint32_t checksum;
} HEADER;

/* One item of a journal that is read. */
typedef struct {
    REENCRYPT_KIND kind;
    uint64_t offset;
    char path[PATH_MAX];
    uint8_t *image;
    size_t length, room;
} ENTRY;

static int
failed(const char *what, STATUS *status)
{
    return (status_set_errno(
      status, errno, "reencrypt-journal-io", "%s %s", what, REENCRYPT_JOURNAL_FILE));
}

/* --- writing */

int
reencrypt_write_all(
  int fd, const char *path, const void *data, size_t len, uint64_t offset, STATUS *status)
{
    if (file_write_at(fd, data, len, offset))
        return (0);
    return (status_set_errno(status, errno, "reencrypt-write",
      "writing %zu bytes at offset %llu of %s", len, (unsigned long long)offset, path));
}

bool
reencrypt_write_vectors(int fd, struct iovec *vectors, int count, uint64_t *offsetp)
{
    ssize_t n;
    int i;

    for (i = 0; i < count;) {
        if ((n = pwritev(fd, vectors + i, count - i, (off_t)*offsetp)) < 0) {
            if (errno == EINTR)
                continue;
            return (false);
        }
        *offsetp += (uint64_t)n;
        for (; i < count && (size_t)n >= vectors[i].iov_len; i++)
            n -= (ssize_t)vectors[i].iov_len;
        if (i < count) {
            vectors[i].iov_base = (uint8_t *)vectors[i].iov_base + n;
            vectors[i].iov_len -= (size_t)n;
        }
    }
    return (true);
}

int
reencrypt_journal_start(
  int home_fd, const uint8_t uuid[KEYSTORE_UUID_LEN], REENCRYPT_JOURNAL *journal, STATUS *status)
{
    int ret;

    memset(journal, 0, sizeof(*journal));
    journal->home_fd = home_fd;
    journal->fd = -1;
    memcpy(journal->uuid, uuid, sizeof(journal->uuid));
    if ((ret = random_id(&journal->batch, status)) != 0)
        return (ret);
    journal->fd = openat(
      home_fd, REENCRYPT_JOURNAL_FILE, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (journal->fd < 0)
        return (failed("making", status));
    if (fsync(home_fd) != 0)
        return (failed("making durable", status));
    return (0);
}

static bool
is_journaled(const REENCRYPT_ITEM *item)
{
    return (!item->untouched && item->kind != REENCRYPT_REMAINS);
}

/* What of an item goes into the journal: its change, or all of its image. */
static REENCRYPT_KIND
entry_of(const REENCRYPT_ITEM *item, uint8_t **datap, size_t *lengthp)
{
    *datap = item->change == NULL ? item->image : item->change;
    *lengthp = item->change == NULL ? item->length : item->change_length;
    return (item->change == NULL ? item->kind : REENCRYPT_CHANGED);
}

static uint32_t
write_header(
  const REENCRYPT_JOURNAL *journal, const REENCRYPT_ITEM *items, size_t count, uint8_t *header)
{
    uint64_t length = HEADER_LEN;
    uint32_t checksum, journaled = 0;
    uint8_t *data;
    size_t i, len;

    for (i = 0; i < count; i++)
        if (is_journaled(&items[i])) {
            journaled++;
            (void)entry_of(&items[i], &data, &len);
            length += ENTRY_LEN + strlen(items[i].file->path) + len;
        }
    memset(header, 0, HEADER_LEN);
    memcpy(header, MAGIC, MAGIC_LEN);
    le_put32(header + 8, VERSION);
    le_put32(header + 12, journaled);
    le_put64(header + 16, length);
    le_put64(header + 24, journal->batch);
    memcpy(header + 32, journal->uuid, KEYSTORE_UUID_LEN);
    checksum = crc32c(0, header, HEADER_SUMMED);
    le_put32(header + HEADER_SUMMED, checksum);
    return (checksum);
}

/* The entry and the three vectors of it. */
static void
write_entry(const REENCRYPT_ITEM *item, uint32_t seed, uint8_t *entry, struct iovec *vectors)
{
    uint8_t *data;
    size_t length, path_len = strlen(item->file->path);
    uint32_t checksum;

    memset(entry, 0, ENTRY_LEN);
    le_put32(entry + 4, entry_of(item, &data, &length));
    le_put64(entry + 8, item->offset);
    le_put32(entry + 16, (uint32_t)length);
    le_put32(entry + 20, (uint32_t)path_len);
    checksum = crc32c(seed, entry + 4, ENTRY_LEN - 4);
    checksum = crc32c(checksum, item->file->path, path_len);
    le_put32(entry, crc32c(checksum, data, length));
    vectors[0] = (struct iovec){entry, ENTRY_LEN};
    vectors[1] = (struct iovec){item->file->path, path_len};
    vectors[2] = (struct iovec){data, length};
}

/* Write what is gathered; *offsetp moves behind it. */
static int
flush(int fd, struct iovec *vectors, int count, uint64_t *offsetp, STATUS *status)
{
    return (reencrypt_write_vectors(fd, vectors, count, offsetp) ? 0 : failed("writing", status));
}

int
reencrypt_journal_write(
  REENCRYPT_JOURNAL *journal, const REENCRYPT_ITEM *items, size_t count, STATUS *status)
{
    struct iovec vectors[VECTORS];
    uint8_t entries[VECTORS / 3][ENTRY_LEN], header[HEADER_LEN];
    uint64_t offset = HEADER_LEN;
    uint32_t seed;
    size_t i;
    int n = 0, ret;

    journal->batch++;
    seed = write_header(journal, items, count, header);
    for (i = 0; i < count; i++) {
        if (!is_journaled(&items[i]))
            continue;
        write_entry(&items[i], seed, entries[n / 3], vectors + n);
        n += 3;
        if (n == VECTORS) {
            if ((ret = flush(journal->fd, vectors, n, &offset, status)) != 0)
                return (ret);
            n = 0;
        }
    }
    if ((ret = flush(journal->fd, vectors, n, &offset, status)) != 0 ||
        (ret = reencrypt_write_all(
           journal->fd, REENCRYPT_JOURNAL_FILE, header, sizeof(header), 0, status)) != 0)
        return (ret);
    return (fdatasync(journal->fd) != 0 ? failed("making durable", status) : 0);
}

static int
remove_journal(int home_fd, STATUS *status)
{
    if (unlinkat(home_fd, REENCRYPT_JOURNAL_FILE, 0) != 0 || fsync(home_fd) != 0)
        return (failed("removing", status));
    return (0);
}

void
reencrypt_journal_close(REENCRYPT_JOURNAL *journal)
{
    if (journal->fd >= 0)
        (void)close(journal->fd);
    journal->fd = -1;
}

int
reencrypt_journal_remove(REENCRYPT_JOURNAL *journal, STATUS *status)
{
    reencrypt_journal_close(journal);
    return (remove_journal(journal->home_fd, status));
}

/* --- replaying */

/* False: the file ends before that. */
static int
read_all(int fd, void *data, size_t len, uint64_t offset, bool *completep, STATUS *status)
{
    uint8_t *p = data;
    ssize_t n;

    for (*completep = false; len > 0; p += n, len -= (size_t)n, offset += (uint64_t)n) {
        if ((n = pread(fd, p, len, (off_t)offset)) < 0) {
            if (errno != EINTR)
                return (failed("reading", status));
            n = 0;
        } else if (n == 0)
            return (0);
    }
    *completep = true;
    return (0);
}

/* *completep: a header that is whole, and as many bytes as it says. */
static int
read_header(
  int fd, const uint8_t uuid[KEYSTORE_UUID_LEN], HEADER *header, bool *completep, STATUS *status)
{
    uint8_t raw[HEADER_LEN];
    struct stat st;
    int ret;

    if (fstat(fd, &st) != 0)
        return (failed("reading", status));
    if ((ret = read_all(fd, raw, sizeof(raw), 0, completep, status)) != 0 || !*completep)
        return (ret);
    header->checksum = le_get32(raw + HEADER_SUMMED);
    *completep =
      memcmp(raw, MAGIC, MAGIC_LEN) == 0 && crc32c(0, raw, HEADER_SUMMED) == header->checksum;
    if (!*completep)
        return (0);
    if (le_get32(raw + 8) != VERSION)
        return (status_set(status, STATUS_REFUSED, "reencrypt-journal-version",
          "%s has version %u, which this version does not know", REENCRYPT_JOURNAL_FILE,
          le_get32(raw + 8)));
    if (memcmp(raw + 32, uuid, KEYSTORE_UUID_LEN) != 0)
        return (status_set(status, STATUS_REFUSED, "reencrypt-journal-foreign",
          "%s belongs to another keystore than this home's", REENCRYPT_JOURNAL_FILE));
    header->count = le_get32(raw + 12);
    header->length = le_get64(raw + 16);
    *completep = header->length >= HEADER_LEN && header->length <= (uint64_t)st.st_size;
    return (0);
}

/* Read the item at *offsetp, which moves behind it. *completep: its checksum fits. */
static int
read_entry(
  int fd, const HEADER *header, uint64_t *offsetp, ENTRY *entry, bool *completep, STATUS *status)
{
    uint8_t raw[ENTRY_LEN], *grown;
    uint64_t left = header->length - *offsetp;
    uint32_t checksum;
    size_t path_len;
    int ret;

    *completep = false;
    if (left < ENTRY_LEN)
        return (0);
    if ((ret = read_all(fd, raw, sizeof(raw), *offsetp, completep, status)) != 0 || !*completep)
        return (ret);
    *completep = false;
    left -= ENTRY_LEN;
    entry->kind = (REENCRYPT_KIND)le_get32(raw + 4);
    entry->offset = le_get64(raw + 8);
    entry->length = le_get32(raw + 16);
    path_len = le_get32(raw + 20);
    if (path_len == 0 || path_len >= sizeof(entry->path) || left < path_len ||
        left - path_len < entry->length)
        return (0);
    if (entry->length > entry->room) {
        if ((grown = realloc(entry->image, entry->length)) == NULL)
            return (status_set_errno(status, ENOMEM, "no-memory",
              "cannot hold an item of %zu bytes of %s", entry->length, REENCRYPT_JOURNAL_FILE));
        entry->image = grown;
        entry->room = entry->length;
    }
    *offsetp += ENTRY_LEN;
    if ((ret = read_all(fd, entry->path, path_len, *offsetp, completep, status)) != 0 ||
        !*completep)
        return (ret);
    entry->path[path_len] = '\0';
    *offsetp += path_len;
    if ((ret = read_all(fd, entry->image, entry->length, *offsetp, completep, status)) != 0 ||
        !*completep)
        return (ret);
    *offsetp += entry->length;
    checksum = crc32c(header->checksum, raw + 4, ENTRY_LEN - 4);
    checksum = crc32c(checksum, entry->path, path_len);
    *completep = crc32c(checksum, entry->image, entry->length) == le_get32(raw);
    return (0);
}

static int
check_all(int fd, const HEADER *header, ENTRY *entry, bool *completep, STATUS *status)
{
    uint64_t offset = HEADER_LEN;
    uint32_t i;
    int ret;

    for (i = 0; i < header->count; i++)
        if ((ret = read_entry(fd, header, &offset, entry, completep, status)) != 0 || !*completep)
            return (ret);
    *completep = offset == header->length;
    return (0);
}

static int
not_a_block(const ENTRY *entry, STATUS *status)
{
    return (status_set(status, STATUS_CORRUPT, "reencrypt-journal",
      "%s holds what is no block and no log record, for offset %llu of %s", REENCRYPT_JOURNAL_FILE,
      (unsigned long long)entry->offset, entry->path));
}

/* The new image of a block, from its change and from what stands at its place. */
static int
apply_change(const REENCRYPT_CHANGE *change, const REENCRYPT_JOURNAL_HOME *home, uint8_t *image,
  STATUS *status)
{
    SECRET *key = NULL, *old_key = NULL;
    int ret;

    if ((ret = home->data_key(home->context, change->old_id, &old_key, status)) == 0 &&
        (ret = home->data_key(home->context, change->id, &key, status)) == 0)
        ret = reencrypt_change_apply(change, old_key, key, image, status);
    secret_free(key);
    secret_free(old_key);
    return (ret);
}

static int
replay_change(int file_fd, const ENTRY *entry, const REENCRYPT_JOURNAL_HOME *home,
  REENCRYPT_REPLAY *replay, STATUS *status)
{
    REENCRYPT_CHANGE change;
    uint8_t *image;
    int ret = 0;
    bool complete = false;

    if (!reencrypt_change_parse(entry->image, entry->length, &change))
        return (not_a_block(entry, status));
    if ((image = malloc(change.length)) == NULL)
        return (status_set_errno(
          status, ENOMEM, "no-memory", "cannot hold a block of %zu bytes", change.length));
    if (entry->offset <= INT64_MAX - change.length &&
        (ret = read_all(file_fd, image, change.length, entry->offset, &complete, status)) != 0)
        goto err;
    if (!complete || !reencrypt_item_fits(REENCRYPT_BLOCK, image, change.length, change.start)) {
        replay->outdated++;
        goto err;
    }
    if ((ret = apply_change(&change, home, image, status)) != 0) {
        (void)status_add(status, "the block at offset %llu of %s, which was being re-encrypted",
          (unsigned long long)entry->offset, entry->path);
        if (ret == STATUS_BAD_UNIT)
            (void)status_hint(status, "put that file back from a copy, then run this again");
        goto err;
    }
    if (!reencrypt_item_valid(REENCRYPT_BLOCK, image, change.length)) {
        ret = not_a_block(entry, status);
        goto err;
    }
    replay->written++;
    ret = reencrypt_write_all(file_fd, entry->path, image, change.length, entry->offset, status);

err:
    free(image);
    return (ret);
}

static int
replay_entry(int file_fd, const ENTRY *entry, const REENCRYPT_JOURNAL_HOME *home,
  REENCRYPT_REPLAY *replay, STATUS *status)
{
    uint8_t start[REENCRYPT_ITEM_HEAD];
    int ret;
    bool complete;

    if (entry->kind == REENCRYPT_CHANGED)
        return (replay_change(file_fd, entry, home, replay, status));
    if (!reencrypt_item_valid(entry->kind, entry->image, entry->length))
        return (not_a_block(entry, status));
    if (entry->offset > INT64_MAX - entry->length)
        complete = false;
    else if ((ret = read_all(file_fd, start, sizeof(start), entry->offset, &complete, status)) != 0)
        return (ret);
    if (!complete || !reencrypt_item_fits(entry->kind, entry->image, entry->length, start)) {
        replay->outdated++;
        return (0);
    }
    replay->written++;
    return (reencrypt_write_all(
      file_fd, entry->path, entry->image, entry->length, entry->offset, status));
}

static int
leave_file(int *fdp, const char *path, STATUS *status)
{
    int ret = 0;

    if (*fdp >= 0 && fdatasync(*fdp) != 0)
        ret = status_set_errno(status, errno, "reencrypt-write", "making %s durable", path);
    if (*fdp >= 0)
        (void)close(*fdp);
    *fdp = -1;
    return (ret);
}

static int
replay_all(int fd, const HEADER *header, const REENCRYPT_JOURNAL_HOME *home, ENTRY *entry,
  REENCRYPT_REPLAY *replay, STATUS *status)
{
    uint64_t offset = HEADER_LEN;
    uint32_t i;
    char path[PATH_MAX] = "";
    int file_fd = -1, ret = 0;
    bool complete;

    for (i = 0; i < header->count; i++) {
        if ((ret = read_entry(fd, header, &offset, entry, &complete, status)) != 0)
            break;
        if (!complete) {
            ret = status_set(status, STATUS_IO, "reencrypt-journal",
              "%s reads differently a second time", REENCRYPT_JOURNAL_FILE);
            break;
        }
        if (i == 0 || strcmp(path, entry->path) != 0) {
            if ((ret = leave_file(&file_fd, path, status)) != 0)
                break;
            memcpy(path, entry->path, sizeof(path));
            if ((ret = home->open(home->context, path, &file_fd, status)) != 0)
                break;
        }
        if (file_fd < 0)
            replay->outdated++;
        else if ((ret = replay_entry(file_fd, entry, home, replay, status)) != 0)
            break;
    }
    if (ret == 0)
        return (leave_file(&file_fd, path, status));
    if (file_fd >= 0)
        (void)close(file_fd);
    return (ret);
}

int
reencrypt_journal_replay(int home_fd, const uint8_t uuid[KEYSTORE_UUID_LEN],
  const REENCRYPT_JOURNAL_HOME *home, REENCRYPT_REPLAY *replay, STATUS *status)
{
    ENTRY *entry;
    HEADER header;
    int fd, ret;

    memset(replay, 0, sizeof(*replay));
    fd = openat(home_fd, REENCRYPT_JOURNAL_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return (errno == ENOENT ? 0 : failed("opening", status));
    replay->found = true;
    if ((entry = calloc(1, sizeof(*entry))) == NULL) {
        ret = status_set_errno(status, ENOMEM, "no-memory", "no memory for a journal");
        goto err;
    }
    if ((ret = read_header(fd, uuid, &header, &replay->complete, status)) != 0)
        goto err;
    if (replay->complete && (ret = check_all(fd, &header, entry, &replay->complete, status)) != 0)
        goto err;
    if (replay->complete && (ret = replay_all(fd, &header, home, entry, replay, status)) != 0)
        goto err;
    ret = remove_journal(home_fd, status);

err:
    if (entry != NULL)
        free(entry->image);
    free(entry);
    (void)close(fd);
    return (ret);
}
