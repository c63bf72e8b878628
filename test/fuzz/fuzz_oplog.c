/*
 * test/fuzz/fuzz_oplog.c -- libFuzzer: bytes as a sealed oplog archive, as its headers, and as entries.
 *
 * The first byte chooses. An archive that no key of ours made never gives entries under a key; without
 * one its headers are walked to an end within the file. Headers that are read are written again byte
 * for byte. What the reader of entries takes is whole documents in order, to libbson too.
 */
#include "snapshot/oplog_archive.h"
#include "snapshot/oplog_entries.h"
#include "snapshot/oplog_gaps.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(int truth)
{
    if (!truth)
        abort();
}

static int
file_of(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    require(fd >= 0 && write(fd, data, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    return (fd);
}

static void
read_archive(const uint8_t *data, size_t size, const SECRET *key)
{
    OPLOG_READER *reader;
    OPLOG_FRAME frame;
    STATUS status;
    const uint8_t *raw;
    bool end = false;
    int fd = file_of(data, size);

    status_clear(&status);
    if (oplog_reader_open(fd, "fuzz", &reader, &status) == 0) {
        oplog_reader_set_key(reader, key);
        while (oplog_reader_next(reader, &frame, &raw, &end, &status) == 0 && !end)
            require(key == NULL && raw == NULL);
        require(oplog_reader_summary(reader)->good_end <= size);
        oplog_reader_close(reader);
    } else
        require(reader == NULL);
    (void)close(fd);
}

static void
read_headers(const uint8_t *data, size_t size)
{
    uint8_t out[OPLOG_SEGMENT_LEN];
    OPLOG_SEGMENT segment;
    OPLOG_FRAME frame;
    STATUS status;

    status_clear(&status);
    if (size >= OPLOG_SEGMENT_LEN && oplog_segment_get(data, &segment, &status) == 0) {
        oplog_segment_put(&segment, out);
        require(memcmp(out, data, OPLOG_SEGMENT_LEN) == 0);
    }
    if (size >= OPLOG_FRAME_LEN && oplog_frame_get(data, &frame, &status) == 0) {
        oplog_frame_put(&frame, out);
        require(memcmp(out, data, OPLOG_FRAME_LEN) == 0);
        require(frame.sealed_len <= OPLOG_SEALED_MAX && frame.raw_len <= OPLOG_RAW_MAX);
    }
}

/* libbson's own walk, to hold ours to: what is taken as an entry has to be a document to others. */
static bool
is_well_formed(bson_iter_t *iter, unsigned depth)
{
    bson_iter_t child;

    while (bson_iter_next(iter))
        if ((BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) &&
            (depth == 250 || !bson_iter_recurse(iter, &child) ||
              !is_well_formed(&child, depth + 1)))
            return (false);
    return (iter->err_off == 0);
}

static void
compare(const OPLOG_ENTRY *entry)
{
    bson_iter_t iter, ts;
    bson_t document;
    uint32_t seconds, increment;

    require(bson_init_static(&document, entry->data, entry->len));
    require(bson_iter_init(&iter, &document) && is_well_formed(&iter, 0));
    require(bson_iter_init_find(&ts, &document, "ts") && BSON_ITER_HOLDS_TIMESTAMP(&ts));
    bson_iter_timestamp(&ts, &seconds, &increment);
    require(entry->ts == ((uint64_t)seconds << 32 | increment));
}

static void
read_entries(const uint8_t *data, size_t size)
{
    OPLOG_ENTRIES *entries;
    OPLOG_ENTRY entry, again;
    OPLOG_GAPS *gaps;
    const OPLOG_GAP *found;
    STATUS status;
    uint64_t last = 0;
    size_t count, i, taken = 0;
    bool end = false;
    int fd = file_of(data, size), ret;

    status_clear(&status);
    require(oplog_gaps_new(OPLOG_GAPS_SILENCE_S, &gaps, &status) == 0);
    require(oplog_entries_open(fd, "fuzz", &entries, &status) == 0);
    while ((ret = oplog_entries_next(entries, &entry, &end, &status)) == 0 && !end) {
        require(entry.ts >= last && entry.len <= size - taken);
        require(memcmp(entry.data, data + taken, entry.len) == 0);
        require(oplog_entries_peek(entry.data, entry.len, &again, &status) == 0);
        require(again.ts == entry.ts && again.len == entry.len);
        compare(&entry);
        require(oplog_gaps_take(gaps, &entry, &status) == 0);
        last = entry.ts;
        taken += entry.len;
    }
    require(ret != 0 || taken == size);
    require(oplog_gaps_found(gaps, &found, &count) >= count && count <= OPLOG_GAPS_KEPT);
    for (i = 0; i < count; i++)
        require(found[i].after <= found[i].before && found[i].missing <= found[i].before &&
                oplog_gap_name(found[i].kind) != NULL);
    oplog_gaps_free(gaps);
    oplog_entries_close(entries);
    (void)close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SECRET *key;
    STATUS status;

    status_clear(&status);
    if (key == NULL)
        require(secret_new_random(XAES_KEY_LEN, &key, &status) == 0);
    if (size == 0)
        return (0);
    switch (data[0] & 3) {
    case 0:
        read_archive(data + 1, size - 1, NULL);
        break;
    case 1:
        read_archive(data + 1, size - 1, key);
        break;
    case 2:
        read_headers(data + 1, size - 1);
        break;
    default:
        read_entries(data + 1, size - 1);
    }
    return (0);
}
