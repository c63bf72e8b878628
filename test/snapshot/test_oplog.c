/*
 * test/snapshot/test_oplog.c -- Sealed oplog archives with a real key file: whole, cut, changed, joined, killed.
 */
#include "kms_clients/kms_client.h"
#include "snapshot/oplog_files.h"
#include "test/snapshot/oplog_tests.h"
#include "test/support.h"
#include "test/syscall_trace.h"

#include <bson/bson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define T0 1764000000u
#define MOST_CALLS 2000

/* --- documents */

typedef struct {
    uint8_t *data;
    size_t len, size;
} BYTES;

static void
add_bytes(BYTES *bytes, const void *data, size_t len)
{
    if (bytes->len + len > bytes->size) {
        bytes->size = (bytes->len + len) * 2;
        bytes->data = realloc(bytes->data, bytes->size);
        CU_ASSERT_FATAL(bytes->data != NULL);
    }
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
}

/* An insert of a text of so many bytes. */
static void
add_entry(BYTES *bytes, uint32_t seconds, uint32_t increment, size_t text_len)
{
    bson_t document = BSON_INITIALIZER;
    char *text = malloc(text_len + 1);

    CU_ASSERT_FATAL(text != NULL);
    memset(text, 'a' + (int)(increment % 26), text_len);
    text[text_len] = '\0';
    BSON_APPEND_UTF8(&document, "op", "i");
    BSON_APPEND_TIMESTAMP(&document, "ts", seconds, increment);
    BSON_APPEND_UTF8(&document, "o", text);
    add_bytes(bytes, bson_get_data(&document), document.len);
    bson_destroy(&document);
    free(text);
}

/* --- a directory with a key and an archive */

typedef struct {
    const char *dir;
    int fd;
    char archive[600], key[600];
    SETTINGS *settings;
    BYTES all; /* what was sealed */
} LAB;

static SETTINGS *
configure(const char *key)
{
    CONFIG_NODE *root;
    SETTINGS *settings;
    STATUS status;
    char text[1500];

    (void)snprintf(text, sizeof(text), "node: rs0-a\nkms: [{provider: local, keyFile: %s}]\n", key);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, strlen(text), "test", &root, &status), 0);
    CU_ASSERT_EQUAL_FATAL(settings_from_tree(root, &settings, &status), 0);
    return (settings);
}

static void
lab_open(LAB *lab)
{
    STATUS status;

    memset(lab, 0, sizeof(*lab));
    lab->fd = make_dir(&lab->dir);
    (void)snprintf(lab->key, sizeof(lab->key), "%s/key", lab->dir);
    (void)snprintf(lab->archive, sizeof(lab->archive), "%s/archive", lab->dir);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(lab->key, &status), 0);
    lab->settings = configure(lab->key);
}

static void
lab_close(LAB *lab)
{
    settings_free(lab->settings);
    free(lab->all.data);
    (void)close(lab->fd);
}

/* Seal bytes as if they came from a file. */
static int
seal_to(const LAB *lab, const char *archive, const BYTES *bytes, bool resume,
  OPLOG_SEAL_RESULT *result, STATUS *status)
{
    OPLOG_SEAL_OPTIONS options = {.settings = lab->settings, .resume = resume};
    char path[700];
    int fd, ret;

    (void)snprintf(path, sizeof(path), "%s/input", lab->dir);
    put_file(lab->fd, "input", bytes->len == 0 ? (const void *)"" : bytes->data, bytes->len, 0600);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0);
    status_clear(status);
    ret = oplog_seal(archive, fd, "input", &options, result, status);
    (void)close(fd);
    return (ret);
}

static void
seal(LAB *lab, const BYTES *bytes)
{
    OPLOG_SEAL_RESULT result;
    STATUS status;

    CHECK_STATUS(
      seal_to(lab, lab->archive, bytes, false, &result, &status), &status, STATUS_OK, "");
    if (bytes->len > 0)
        add_bytes(&lab->all, bytes->data, bytes->len);
}

static int
collect(void *context, const OPLOG_ENTRY *entry, STATUS *status)
{
    (void)status;
    add_bytes(context, entry->data, entry->len);
    return (0);
}

/* All that an archive gives; *openp as found. */
static int
read_archive(
  const LAB *lab, const char *archive, BYTES *out, OPLOG_SUMMARY *summary, STATUS *status)
{
    KEYRING_OPTIONS options = {.log = NULL};
    OPLOG_FILE file = {.path = (char *)(uintptr_t)archive};
    int ret;

    memset(out, 0, sizeof(*out));
    status_clear(status);
    ret = oplog_files_read(&file, lab->settings, &options, collect, out, status);
    *summary = file.summary;
    return (ret);
}

static bool
is_prefix(const BYTES *part, const BYTES *all)
{
    return (
      part->len <= all->len && (part->len == 0 || memcmp(part->data, all->data, part->len) == 0));
}

/* Whether an archive gives exactly these entries and is closed. */
static bool
holds(const LAB *lab, const BYTES *all)
{
    OPLOG_SUMMARY summary;
    STATUS status;
    BYTES out;
    bool same;

    same = read_archive(lab, lab->archive, &out, &summary, &status) == 0 && !summary.is_open &&
           out.len == all->len && is_prefix(&out, all);
    free(out.data);
    return (same);
}

static BYTES
slurp(const char *path)
{
    BYTES bytes = {0};
    struct stat sb;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &sb) == 0);
    bytes.size = bytes.len = (size_t)sb.st_size;
    bytes.data = malloc(bytes.len + 1);
    CU_ASSERT_FATAL(bytes.data != NULL && read(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    (void)close(fd);
    return (bytes);
}

/* Two segments, the second of two data frames: four frames to cut and to shuffle. */
static void
make_small(LAB *lab)
{
    BYTES bytes = {0};
    uint32_t i;

    lab_open(lab);
    for (i = 1; i <= 3; i++)
        add_entry(&bytes, T0, i, 20);
    seal(lab, &bytes);
    bytes.len = 0;
    for (i = 1; i <= 6; i++)
        add_entry(&bytes, T0 + 10, i, 250000);
    seal(lab, &bytes);
    free(bytes.data);
}

/* The offsets at which frames and segments of an archive begin, and its end. */
static size_t
places(const BYTES *file, size_t *offsets, size_t max)
{
    STATUS status;
    OPLOG_FRAME frame;
    size_t count = 0, offset;

    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(oplog_head_get(file->data, &offset, &status), 0);
    offset += OPLOG_HEAD_LEN;
    while (offset < file->len) {
        CU_ASSERT_FATAL(count < max);
        offsets[count++] = offset;
        if (oplog_is_segment(file->data + offset))
            offset += OPLOG_SEGMENT_LEN;
        else {
            CU_ASSERT_EQUAL_FATAL(oplog_frame_get(file->data + offset, &frame, &status), 0);
            offset += OPLOG_FRAME_LEN + frame.sealed_len + OPLOG_TAG_LEN;
        }
    }
    CU_ASSERT_EQUAL(offset, file->len);
    offsets[count] = offset;
    return (count);
}

/* --- tests */

static void
test_round_trip(void)
{
    OPLOG_SEAL_RESULT result;
    OPLOG_SUMMARY summary;
    STATUS status;
    LAB lab;
    BYTES bytes = {0}, out;
    uint32_t i;

    lab_open(&lab);
    seal(&lab, &bytes); /* an empty input makes an empty archive */
    CU_ASSERT(holds(&lab, &lab.all));
    for (i = 1; i <= 5000; i++)
        add_entry(&bytes, T0 + i / 100, i, i % 700);
    seal(&lab, &bytes);
    CU_ASSERT(holds(&lab, &lab.all));
    /* The largest that a server lets one be, alone and among others. */
    bytes.len = 0;
    add_entry(&bytes, T0 + 100, 1, 10);
    add_entry(&bytes, T0 + 100, 2, OPLOG_DOCUMENT_MAX - 41);
    add_entry(&bytes, T0 + 100, 3, 10);
    seal(&lab, &bytes);
    CU_ASSERT(holds(&lab, &lab.all));
    /* --resume leaves out what is there, and the one that both have is known. */
    bytes.len = 0;
    add_entry(&bytes, T0 + 100, 3, 10);
    CHECK_STATUS(
      seal_to(&lab, lab.archive, &bytes, true, &result, &status), &status, STATUS_OK, "");
    CU_ASSERT(result.skipped == 1 && result.documents == 0 && result.overlaps);
    CU_ASSERT(holds(&lab, &lab.all));
    CU_ASSERT_EQUAL(read_archive(&lab, lab.archive, &out, &summary, &status), 0);
    CU_ASSERT(summary.segments == 4 && summary.resumed == 0 && summary.documents == 5003);
    CU_ASSERT(summary.first == ((uint64_t)T0 << 32 | 1));
    CU_ASSERT(summary.last == ((uint64_t)(T0 + 100) << 32 | 3));
    free(out.data);
    free(bytes.data);
    lab_close(&lab);
}

/* Bytes that are not what mongodump writes; what came before them is kept. */
static void
refuse_input(LAB *lab, const BYTES *good, const void *bad, size_t bad_len, const char *text)
{
    OPLOG_SEAL_RESULT result;
    OPLOG_SUMMARY summary;
    STATUS status;
    BYTES input = {0}, out;

    (void)unlink(lab->archive);
    add_bytes(&input, good->data, good->len);
    add_bytes(&input, bad, bad_len);
    CHECK_STATUS(
      seal_to(lab, lab->archive, &input, false, &result, &status), &status, STATUS_CORRUPT, text);
    CU_ASSERT_EQUAL(read_archive(lab, lab->archive, &out, &summary, &status), 0);
    CU_ASSERT(summary.is_open && out.len == good->len && is_prefix(&out, good));
    free(out.data);
    free(input.data);
}

static void
refuse_damaged(LAB *lab, const BYTES *good, const bson_t *document, size_t offset)
{
    uint8_t copy[200];

    CU_ASSERT_FATAL(document->len <= sizeof(copy) && offset < document->len);
    memcpy(copy, bson_get_data(document), document->len);
    copy[offset] ^= 0x40;
    refuse_input(lab, good, copy, document->len, "no well-formed");
}

static void
test_input(void)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0x7f, 1};
    bson_t document = BSON_INITIALIZER;
    OPLOG_SEAL_RESULT result;
    STATUS status;
    LAB lab;
    BYTES good = {0}, other = {0};
    char *text;

    lab_open(&lab);
    add_entry(&good, T0, 5, 30);
    refuse_input(&lab, &good, "\x16\0", 2, "cut off");
    refuse_input(&lab, &good, huge, sizeof(huge), "no possible length");
    refuse_input(&lab, &good, "\x05\0\0\0\x01", 5, "no well-formed");
    refuse_input(&lab, &good, "\x05\0\0\0\0", 5, "no single ts");
    refuse_input(&lab, &good, good.data, good.len - 1, "cut off");
    add_entry(&other, T0, 4, 30);
    refuse_input(&lab, &good, other.data, other.len, "1764000000:4, before 1764000000:5");
    BSON_APPEND_DATE_TIME(&document, "ts", 5);
    refuse_input(&lab, &good, bson_get_data(&document), document.len, "no single ts");
    bson_reinit(&document);
    BSON_APPEND_TIMESTAMP(&document, "ts", T0, 6);
    BSON_APPEND_TIMESTAMP(&document, "ts", T0, 7);
    refuse_input(&lab, &good, bson_get_data(&document), document.len, "no single ts");
    bson_reinit(&document);
    BSON_APPEND_TIMESTAMP(&document, "ts", T0, 6);
    BSON_APPEND_DOCUMENT(&document, "o", &(bson_t)BSON_INITIALIZER);
    refuse_damaged(&lab, &good, &document, 19); /* the length of the document inside */
    bson_reinit(&document);
    BSON_APPEND_TIMESTAMP(&document, "ts", T0, 6);
    BSON_APPEND_UTF8(&document, "o", "text");
    refuse_damaged(&lab, &good, &document, 19); /* of the string */
    bson_destroy(&document);

    /* What does not follow on the archive leaves it as it was. */
    (void)unlink(lab.archive);
    seal(&lab, &good);
    CHECK_STATUS(seal_to(&lab, lab.archive, &other, false, &result, &status), &status,
      STATUS_REFUSED, "ends with an entry of 1764000000:5");
    CU_ASSERT(holds(&lab, &good));
    /* The entries are not in the file in clear. */
    free(other.data);
    other = slurp(lab.archive);
    text = memmem(other.data, other.len, "ffffffff", 8);
    CU_ASSERT_PTR_NULL(text);
    free(other.data);
    free(good.data);
    lab_close(&lab);
}

/*
 * Cut at every byte: told, but where a segment ends, since what was appended later was not there once.
 * Then an append makes it whole again.
 */
static void
test_truncation(void)
{
    OPLOG_SEAL_RESULT result;
    OPLOG_SUMMARY summary;
    STATUS status;
    LAB lab;
    BYTES file, out;
    size_t offsets[16], len, head, told = 0, whole = 0;
    int ret;

    make_small(&lab);
    file = slurp(lab.archive);
    CU_ASSERT_EQUAL_FATAL(places(&file, offsets, 15), 7);
    head = offsets[0];
    for (len = 0; len < file.len; len++) {
        put_file(lab.fd, "archive", file.data, len, 0600);
        ret = read_archive(&lab, lab.archive, &out, &summary, &status);
        CU_ASSERT(is_prefix(&out, &lab.all));
        CU_ASSERT_EQUAL(ret != 0, len < head);
        if (ret == 0 && summary.is_open)
            told++;
        else if (ret == 0) {
            whole++;
            CU_ASSERT_EQUAL(len, offsets[3]);
        }
        free(out.data);
        ret = seal_to(&lab, lab.archive, &lab.all, true, &result, &status);
        CU_ASSERT_EQUAL(ret == 0, len >= head);
        if (ret == 0)
            CU_ASSERT(holds(&lab, &lab.all));
    }
    CU_ASSERT_EQUAL(whole, 1);
    CU_ASSERT_EQUAL(told, file.len - head - 1);
    free(file.data);
    lab_close(&lab);
}

/* Zeros at the end are what a power cut leaves; anything else there is not. */
static void
test_tail(void)
{
    static const uint8_t zeros[5000], rubbish[] = {1, 2, 3, 4, 5, 6, 7, 8};
    OPLOG_SEAL_RESULT result;
    OPLOG_SUMMARY summary;
    STATUS status;
    LAB lab;
    BYTES file, out, next = {0};

    make_small(&lab);
    file = slurp(lab.archive);
    add_bytes(&file, zeros, sizeof(zeros));
    put_file(lab.fd, "archive", file.data, file.len, 0600);
    CU_ASSERT_EQUAL(read_archive(&lab, lab.archive, &out, &summary, &status), 0);
    CU_ASSERT(summary.is_open && out.len == lab.all.len);
    free(out.data);
    add_entry(&next, T0 + 20, 1, 10);
    CHECK_STATUS(
      seal_to(&lab, lab.archive, &next, false, &result, &status), &status, STATUS_OK, "");
    CU_ASSERT_EQUAL(result.cut, sizeof(zeros));
    add_bytes(&lab.all, next.data, next.len);
    CU_ASSERT(holds(&lab, &lab.all));

    file.len -= sizeof(zeros);
    add_bytes(&file, rubbish, sizeof(rubbish));
    put_file(lab.fd, "archive", file.data, file.len, 0600);
    CHECK_STATUS(read_archive(&lab, lab.archive, &out, &summary, &status), &status, STATUS_CORRUPT,
      "neither frame nor segment");
    free(out.data);
    CHECK_STATUS(seal_to(&lab, lab.archive, &next, false, &result, &status), &status,
      STATUS_CORRUPT, "neither frame nor segment");
    free(next.data);
    free(file.data);
    lab_close(&lab);
}

/* One bit of every byte changed: never a whole archive, and never an entry that was not sealed. */
static void
test_bit_flips(void)
{
    OPLOG_SUMMARY summary;
    STATUS status;
    LAB lab;
    BYTES file, out;
    size_t i;
    unsigned bit, undetected = 0, wrong = 0;

    make_small(&lab);
    file = slurp(lab.archive);
    for (i = 0; i < file.len; i++)
        for (bit = i % 3; bit < 8; bit += 3) {
            file.data[i] ^= (uint8_t)(1u << bit);
            put_file(lab.fd, "archive", file.data, file.len, 0600);
            if (read_archive(&lab, lab.archive, &out, &summary, &status) == 0 && !summary.is_open)
                undetected++;
            if (!is_prefix(&out, &lab.all))
                wrong++;
            free(out.data);
            file.data[i] ^= (uint8_t)(1u << bit);
        }
    CU_ASSERT_EQUAL(undetected, 0);
    CU_ASSERT_EQUAL(wrong, 0);
    free(file.data);
    lab_close(&lab);
}

/* Put together an archive from pieces, by their numbers, of this file or of another ('0' + n, 'a' + n). */
static void
refuse_joined(LAB *lab, const BYTES *file, const BYTES *other, const char *pieces)
{
    size_t offsets[16], other_offsets[16], n;
    const char *p;
    OPLOG_SUMMARY summary;
    STATUS status;
    BYTES joined = {0}, out;

    CU_ASSERT_EQUAL_FATAL(places(file, offsets, 15), 7);
    CU_ASSERT_EQUAL_FATAL(places(other, other_offsets, 15), 7);
    add_bytes(&joined, file->data, offsets[0]);
    for (p = pieces; *p != '\0'; p++)
        if (*p >= 'a') {
            n = (size_t)(*p - 'a');
            add_bytes(
              &joined, other->data + other_offsets[n], other_offsets[n + 1] - other_offsets[n]);
        } else {
            n = (size_t)(*p - '0');
            add_bytes(&joined, file->data + offsets[n], offsets[n + 1] - offsets[n]);
        }
    put_file(lab->fd, "archive", joined.data, joined.len, 0600);
    if (read_archive(lab, lab->archive, &out, &summary, &status) == 0 && !summary.is_open) {
        (void)fprintf(stderr, "pieces %s were taken\n", pieces);
        CU_FAIL("a joined archive was taken");
    }
    CU_ASSERT(is_prefix(&out, &lab->all));
    free(out.data);
    free(joined.data);
}

/* 0 segment, 1 data, 2 close, 3 segment, 4 data, 5 data, 6 close. */
static void
test_joined(void)
{
    static const char *const orders[] = {"3456012", /* segments swapped */
      "3456", "012012", "0123456012", "01203456",   /* left out, repeated */
      "0123546", "012346", "012356", "01234456", "0123", "01234566", "0113456", "0213456",
      "00123456", /* frames */
      "abcdefg", "012defg", "abc3456", "0b23456", "01c3456", "012d456", "0123e56", "01234f6",
      "012345g", "012abc", /* of another archive under the same key file */
      "013456", "01245", NULL};
    LAB lab, second;
    BYTES file, other;
    unsigned i;

    make_small(&second);
    other = slurp(second.archive);
    make_small(&lab);
    file = slurp(lab.archive);
    CU_ASSERT(holds(&lab, &lab.all));
    for (i = 0; orders[i] != NULL; i++)
        refuse_joined(&lab, &file, &other, orders[i]);
    /* An earlier form of the same archive that went on in another way. */
    free(other.data);
    put_file(lab.fd, "archive", file.data, file.len, 0600);
    {
        size_t offsets[16];
        BYTES next = {0};
        uint32_t i2;

        (void)places(&file, offsets, 15);
        put_file(lab.fd, "archive", file.data, offsets[3], 0600);
        for (i2 = 1; i2 <= 6; i2++)
            add_entry(&next, T0 + 10, i2, 250000);
        lab.all.len -= next.len;
        seal(&lab, &next);
        free(next.data);
    }
    other = slurp(lab.archive);
    for (i = 0; orders[i] != NULL; i++)
        if (strcmp(orders[i], "abcdefg") != 0 && strcmp(orders[i], "012defg") != 0 &&
            strcmp(orders[i], "abc3456") != 0 && strcmp(orders[i], "0b23456") != 0 &&
            strcmp(orders[i], "01c3456") != 0)
            refuse_joined(&lab, &file, &other, orders[i]);
    free(file.data);
    free(other.data);
    lab_close(&lab);
    lab_close(&second);
}

static void
test_keys(void)
{
    OPLOG_SUMMARY summary;
    OPLOG_SEAL_RESULT result;
    SETTINGS *own;
    STATUS status;
    LAB lab;
    BYTES out, next = {0};
    char other[700];

    make_small(&lab);
    (void)snprintf(other, sizeof(other), "%s/other", lab.dir);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(other, &status), 0);
    own = lab.settings;
    lab.settings = configure(other);
    CHECK_STATUS(read_archive(&lab, lab.archive, &out, &summary, &status), &status, STATUS_NO_KEY,
      "no configured key opens");
    CU_ASSERT_EQUAL(out.len, 0);
    add_entry(&next, T0 + 20, 1, 10);
    CHECK_STATUS(seal_to(&lab, lab.archive, &next, false, &result, &status), &status, STATUS_NO_KEY,
      "no configured key opens");
    settings_free(lab.settings);
    lab.settings = own;
    CU_ASSERT(holds(&lab, &lab.all));
    free(next.data);
    lab_close(&lab);
}

static void
test_busy(void)
{
    OPLOG_SEAL_RESULT result;
    STATUS status;
    LAB lab;
    BYTES next = {0};
    int fd;

    make_small(&lab);
    fd = open(lab.archive, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_FATAL(fd >= 0 && flock(fd, LOCK_EX) == 0);
    add_entry(&next, T0 + 20, 1, 10);
    CHECK_STATUS(seal_to(&lab, lab.archive, &next, false, &result, &status), &status, STATUS_BUSY,
      "another process is appending");
    CU_ASSERT(holds(&lab, &lab.all)); /* reading waits for nobody */
    (void)close(fd);
    free(next.data);
    lab_close(&lab);
}

/* Archives below a directory: in order, gaps, links not followed, what is none counted. */
static void
test_files(void)
{
    static const uint32_t times[][2] = {{30, 40}, {0, 10}, {10, 20}}; /* begin, end */
    OPLOG_SEAL_RESULT result;
    OPLOG_FILES files;
    STATUS status;
    LAB lab;
    BYTES bytes = {0};
    char path[700];
    const char *paths[1];
    unsigned i;

    lab_open(&lab);
    CU_ASSERT_FATAL(mkdirat(lab.fd, "all", 0700) == 0 && mkdirat(lab.fd, "all/below", 0700) == 0);
    for (i = 0; i < 3; i++) {
        bytes.len = 0;
        add_entry(&bytes, T0 + times[i][0], 1, 10);
        add_entry(&bytes, T0 + times[i][1], 1, 10);
        (void)snprintf(path, sizeof(path), "%s/all/%s%u", lab.dir, i == 1 ? "below/" : "", i);
        CHECK_STATUS(seal_to(&lab, path, &bytes, false, &result, &status), &status, STATUS_OK, "");
    }
    put_file(lab.fd, "all/note", "no archive", 10, 0600);
    CU_ASSERT_FATAL(symlinkat("0", lab.fd, "all/link") == 0);
    CU_ASSERT_FATAL(symlinkat("..", lab.fd, "all/below/loop") == 0);
    CU_ASSERT_FATAL(mkfifoat(lab.fd, "all/pipe", 0600) == 0);
    (void)snprintf(path, sizeof(path), "%s/all", lab.dir);
    paths[0] = path;
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(oplog_files_find(paths, 1, &files, &status), 0);
    CU_ASSERT_EQUAL_FATAL(files.count, 3);
    CU_ASSERT_EQUAL(files.others, 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(files.files[0].path, "/below/1"));
    CU_ASSERT_EQUAL(files.files[0].gap, 0);
    CU_ASSERT_EQUAL(files.files[1].gap, 0);
    CU_ASSERT_EQUAL(files.files[2].gap, (uint64_t)(T0 + 20) << 32 | 1);
    CU_ASSERT_STRING_EQUAL(files.files[2].keystore->node, "rs0-a");
    CU_ASSERT(!files.files[2].is_verified && files.files[2].summary.documents == 2);
    oplog_files_release(&files);
    free(bytes.data);
    lab_close(&lab);
}

static void
test_times(void)
{
    static const struct {
        const char *text;
        uint64_t ts; /* 0: refused */
    } cases[] = {{"1764000000:3", (uint64_t)1764000000 << 32 | 3},
      {"1764000000", (uint64_t)1764000000 << 32},
      {"2025-11-24T16:00:00Z", (uint64_t)1764000000 << 32},
      {"2025-11-24T17:30:00+01:30", (uint64_t)1764000000 << 32},
      {"2025-11-24T15:00:00-01:00", (uint64_t)1764000000 << 32}, {"", 0}, {"x", 0}, {"1:", 0},
      {":1", 0}, {"1:2:3", 0}, {"4294967296", 0}, {"-1", 0}, {"2025-11-24", 0},
      {"2025-11-24T16:00:00", 0}, {"2025-02-30T16:00:00Z", 0}, {"2025-11-24T25:00:00Z", 0},
      {"2025-11-24T16:00:00Zx", 0}, {"2025-11-24T16:00:00+1", 0}, {"1960-01-01T00:00:00Z", 0}};
    STATUS status;
    uint64_t ts;
    size_t i;
    int ret;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        status_clear(&status);
        ret = oplog_entries_parse_time(cases[i].text, &ts, &status);
        CU_ASSERT_EQUAL(ret == 0, cases[i].ts != 0);
        if (ret == 0 && cases[i].ts != 0)
            CU_ASSERT_EQUAL(ts, cases[i].ts);
    }
}

/* --- an append that is stopped at every system call */

typedef struct {
    LAB lab;
    BYTES before, input;
} JOB;

static int
run_job(void *context)
{
    JOB *job = context;
    OPLOG_SEAL_OPTIONS options = {.settings = job->lab.settings};
    OPLOG_SEAL_RESULT result;
    STATUS status;
    char path[700];
    int fd, ret;

    (void)snprintf(path, sizeof(path), "%s/input", job->lab.dir);
    if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
        return (100);
    status_clear(&status);
    ret = oplog_seal(job->lab.archive, fd, "input", &options, &result, &status);
    (void)close(fd);
    return (ret);
}

/* What is there is a prefix of all, with all that was there before; and it can be gone on with. */
static bool
is_sound(JOB *job, bool must_be_whole)
{
    OPLOG_SEAL_RESULT result;
    OPLOG_SUMMARY summary;
    STATUS status;
    BYTES out;
    bool sound;

    if (job->before.len == 0 && access(job->lab.archive, F_OK) != 0)
        sound = !must_be_whole;
    else {
        sound = read_archive(&job->lab, job->lab.archive, &out, &summary, &status) == 0 &&
                is_prefix(&out, &job->lab.all) && out.len >= job->lab.all.len - job->input.len &&
                (!must_be_whole || (out.len == job->lab.all.len && !summary.is_open));
        free(out.data);
    }
    return (sound &&
            seal_to(&job->lab, job->lab.archive, &job->lab.all, true, &result, &status) == 0 &&
            holds(&job->lab, &job->lab.all));
}

static void
stop_everywhere(JOB *job, TRACE_ACTION action, int error)
{
    TRACE trace;
    unsigned at, acted = 0;
    int ret;

    for (at = 1; at < MOST_CALLS; at++) {
        memset(&trace, 0, sizeof(trace));
        trace.action = action;
        trace.at = at;
        trace.error = error;
        (void)unlink(job->lab.archive);
        if (job->before.len > 0)
            put_file(job->lab.fd, "archive", job->before.data, job->before.len, 0600);
        put_file(job->lab.fd, "input", job->input.data, job->input.len, 0600);
        if ((ret = syscall_trace(run_job, job, &trace)) != 0) {
            (void)fprintf(stderr, "not traced here: %s\n", strerror(ret));
            return;
        }
        if (!trace.acted)
            break;
        acted++;
        if (!is_sound(job, trace.exited && trace.exit_code == 0)) {
            (void)fprintf(stderr, "action %d at call %u (number %ld), exit %d\n", (int)action, at,
              trace.call, trace.exit_code);
            CU_FAIL("an append that was stopped left something that is not sound");
        }
    }
    CU_ASSERT(acted > 0 && at < MOST_CALLS);
}

/* Of a new archive, of one that is whole, and of one with an open end. */
static void
open_job(JOB *job, unsigned kind)
{
    size_t offsets[16];
    uint32_t i;

    memset(job, 0, sizeof(*job));
    if (kind == 0)
        lab_open(&job->lab);
    else {
        make_small(&job->lab);
        job->before = slurp(job->lab.archive);
        (void)places(&job->before, offsets, 15);
        if (kind == 2)
            job->before.len = offsets[6] + 7; /* inside of the last closing frame */
    }
    for (i = 1; i <= 6; i++)
        add_entry(&job->input, T0 + 30, i, 250000);
    add_bytes(&job->lab.all, job->input.data, job->input.len);
}

static void
close_job(JOB *job)
{
    free(job->before.data);
    free(job->input.data);
    lab_close(&job->lab);
}

static void
test_crash(void)
{
    JOB job;
    unsigned kind;

    for (kind = 0; kind < 3; kind++) {
        open_job(&job, kind);
        stop_everywhere(&job, TRACE_KILL, 0);
        close_job(&job);
    }
}

static void
test_failing_calls(void)
{
    JOB job;
    unsigned kind;

    for (kind = 0; kind < 3; kind++) {
        open_job(&job, kind);
        stop_everywhere(&job, TRACE_FAIL, ENOSPC);
        close_job(&job);
    }
}

static const TEST oplog_tests[] = {{"round trip", test_round_trip}, {"input", test_input},
  {"truncation", test_truncation}, {"tail", test_tail}, {"bit flips", test_bit_flips},
  {"joined", test_joined}, {"keys", test_keys}, {"busy", test_busy}, {"files", test_files},
  {"times", test_times}, {"crash", test_crash}, {"failing calls", test_failing_calls},
  {NULL, NULL}};

const TEST_SUITE test_suites[] = {
  {"oplog", oplog_tests}, {"entries", oplog_entry_tests}, {NULL, NULL}};
