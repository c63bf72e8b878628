/*
 * test/snapshot/test_restore.c -- Files of a copy held against a manifest, and brought into an empty
 * directory; the state that an interrupted restore leaves. Keys and engines: test/cli/test_restore.py.
 */
#include "common/file.h"
#include "keystore/mirror.h"
#include "snapshot/restore.h"
#include "snapshot/verify.h"
#include "test/support.h"

#include <bson/bson.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- verify */

static void
fill(uint8_t hash[MANIFEST_SHA256_LEN], int byte)
{
    memset(hash, byte, MANIFEST_SHA256_LEN);
}

static void
test_verify(void)
{
    MANIFEST *manifest = manifest_new();
    VERIFY_RESULT result;
    uint8_t one[MANIFEST_SHA256_LEN], two[MANIFEST_SHA256_LEN];
    VERIFY_FILE files[] = {{"z/new", 1, one, 0}, {MANIFEST_FILE, 99, one, 0}, {"b", 10, two, 0},
      {"a", 10, one, 0}, {"c", 11, one, 0}, {"d", 10, NULL, 0}};
    size_t i;

    fill(one, 1);
    fill(two, 2);
    manifest_add(manifest, "a", 10, one);
    manifest_add(manifest, "b", 10, one);
    manifest_add(manifest, "c", 10, one);
    manifest_add(manifest, "d", 10, one);
    manifest_add(manifest, "e/gone", 7, one);
    verify_compare(manifest, files, 6, &result);
    CU_ASSERT_EQUAL(result.compared, 1); /* d was not hashed */
    CU_ASSERT_EQUAL_FATAL(result.count, 4);
    for (i = 0; i < result.count; i++) {
        const VERIFY_DIFFERENCE *d = &result.differences[i];

        switch (d->kind) {
        case VERIFY_CONTENT:
            CU_ASSERT_STRING_EQUAL(d->path, "b");
            break;
        case VERIFY_SIZE:
            CU_ASSERT_STRING_EQUAL(d->path, "c");
            CU_ASSERT(d->size == 11 && d->expected == 10);
            break;
        case VERIFY_EXTRA:
            CU_ASSERT_STRING_EQUAL(d->path, "z/new");
            break;
        case VERIFY_MISSING:
            CU_ASSERT_STRING_EQUAL(d->path, "e/gone");
            CU_ASSERT_EQUAL(d->expected, 7);
            break;
        default:
            CU_FAIL("same is no difference");
        }
        CU_ASSERT(strlen(verify_kind_name(d->kind)) > 0);
    }
    verify_release(&result);
    verify_compare(manifest, NULL, 0, &result);
    CU_ASSERT_EQUAL(result.count, 5);
    verify_release(&result);
    manifest_free(manifest);
}

/* --- state */

static void
test_state(void)
{
    RESTORE_STATE read, state = {.phase = RESTORE_COPIED, .reencrypt = true};
    STATUS status;
    static const char *const junk[] = {"", "snapshot create\n", "snapshot restore\n",
      "snapshot restore\nphase 9\nsource "
      "0000000000000000000000000000000000000000000000000000000000000000\nreencrypt no\nparent "
      "00000000-0000-0000-0000-000000000000\n",
      "snapshot restore\nphase 1\nsource 00\nreencrypt no\nparent "
      "00000000-0000-0000-0000-000000000000\n",
      "snapshot restore\nphase 1\nsource "
      "0000000000000000000000000000000000000000000000000000000000000000\nreencrypt no\nparent x\n"};
    char long_name[5000], *name;
    uint8_t *text;
    size_t i, len;
    int fd = make_dir(NULL);
    bool empty, found;

    CU_ASSERT_EQUAL(restore_state_read(fd, &found, &read, &status), 0);
    CU_ASSERT_FALSE(found);
    CU_ASSERT_EQUAL(restore_is_empty(fd, &empty, &name, &status), 0);
    CU_ASSERT_TRUE(empty);
    CU_ASSERT_PTR_NULL(name);
    memset(state.source, 0xa5, sizeof(state.source));
    memset(state.parent, 0x5a, sizeof(state.parent));
    memset(long_name, 'x', sizeof(long_name));
    long_name[10] = '\n';
    long_name[sizeof(long_name) - 1] = '\0';
    CU_ASSERT_EQUAL_FATAL(restore_state_write(fd, &state, long_name, &status), 0);
    CU_ASSERT_EQUAL_FATAL(restore_state_read(fd, &found, &read, &status), 0);
    CU_ASSERT_TRUE(found);
    CU_ASSERT(read.phase == RESTORE_COPIED && read.reencrypt);
    CU_ASSERT_EQUAL(memcmp(read.source, state.source, sizeof(read.source)), 0);
    CU_ASSERT_EQUAL(memcmp(read.parent, state.parent, sizeof(read.parent)), 0);
    /* The first line is what snapshot list goes by. */
    CU_ASSERT_EQUAL_FATAL(file_read(fd, MANIFEST_UNFINISHED_FILE, MANIFEST_UNFINISHED_MAX_BYTES,
                            true, NULL, &text, &len, &status),
      0);
    CU_ASSERT_EQUAL(strncmp((char *)text, MANIFEST_UNFINISHED_RESTORE "\n",
                      strlen(MANIFEST_UNFINISHED_RESTORE "\n")),
      0);
    free(text);
    CU_ASSERT_EQUAL(restore_is_empty(fd, &empty, &name, &status), 0);
    CU_ASSERT_FALSE(empty);
    CU_ASSERT_STRING_EQUAL(name, MANIFEST_UNFINISHED_FILE);
    bson_free(name);
    for (i = 0; i < sizeof(junk) / sizeof(junk[0]); i++) {
        (void)unlinkat(fd, MANIFEST_UNFINISHED_FILE, 0);
        put_file(fd, MANIFEST_UNFINISHED_FILE, junk[i], strlen(junk[i]), 0600);
        CHECK_STATUS(restore_state_read(fd, &found, &read, &status), &status, STATUS_REFUSED,
          "not of a restore");
    }
    (void)close(fd);
}

/* --- the line that no engine takes */

static void
test_block(void)
{
    static const char text[] = "# mine\ncache_size=60MB\n#wtkms-engine BEGIN\n"
                               "extensions=[/old.so]\nencryption=(name=kms,keyid=default)\n"
                               "#wtkms-engine END\n";
    static const char lines[] = "extensions=[/new.so]\nencryption=(name=kms,keyid=default)\n";
    STATUS status;
    char *final, *name;
    uint8_t *blocked;
    size_t final_len, len;
    int fd = make_dir(NULL);
    bool empty;

    CU_ASSERT_EQUAL_FATAL(restore_block(fd, NULL, 0, &status), 0);
    /* It comes before the marker: alone it is what a restore left that was killed at once. */
    CU_ASSERT_EQUAL(restore_is_empty(fd, &empty, &name, &status), 0);
    CU_ASSERT_TRUE(empty);
    CU_ASSERT_EQUAL_FATAL(restore_block(fd, text, strlen(text), &status), 0);
    CU_ASSERT_EQUAL_FATAL(
      file_read(fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, NULL, &blocked, &len, &status), 0);
    CU_ASSERT_TRUE(restore_is_blocked((char *)blocked, len));
    CU_ASSERT_FALSE(restore_is_blocked(text, strlen(text)));
    CU_ASSERT_EQUAL(strncmp((char *)blocked, "# mine\ncache_size=60MB\n", 23), 0);
    CU_ASSERT_PTR_NULL(strstr((char *)blocked, "/old.so"));
    CU_ASSERT_EQUAL_FATAL(
      restore_unblock((char *)blocked, len, lines, &final, &final_len, &status), 0);
    CU_ASSERT_FALSE(restore_is_blocked(final, final_len));
    CU_ASSERT_EQUAL(strncmp(final, "# mine\ncache_size=60MB\n", 23), 0);
    CU_ASSERT_PTR_NOT_NULL(memmem(final, final_len, lines, strlen(lines)));
    free(final);
    CU_ASSERT_EQUAL_FATAL(
      restore_unblock((char *)blocked, len, "", &final, &final_len, &status), 0);
    CU_ASSERT_EQUAL(final_len, 23);
    free(final);
    free(blocked);
    put_file(fd, "x", "x", 1, 0600);
    CU_ASSERT_EQUAL(restore_is_empty(fd, &empty, &name, &status), 0);
    CU_ASSERT_FALSE(empty);
    bson_free(name);
    (void)close(fd);
}

/* --- files */

static void
test_names(void)
{
    static const struct {
        const char *path, *target;
    } cases[] = {{"t.wt", "t.wt"},
      {"journal/WiredTigerLog.0000000001", "journal/WiredTigerLog.0000000001"},
      {"WiredTiger.turtle", RESTORE_PREFIX "WiredTiger.turtle"},
      {"WiredTiger.config", RESTORE_PREFIX "WiredTiger.config"},
      {"wtkms.keystore", RESTORE_PREFIX "wtkms.keystore"},
      {"sub/WiredTiger.turtle", "sub/WiredTiger.turtle"}, {"WiredTiger.lock", NULL},
      {"wtkms.state", NULL}, {"wtkms.keystore.prev", NULL}};
    char *target;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        target = restore_target(cases[i].path);
        if (cases[i].target == NULL)
            CU_ASSERT_PTR_NULL(target);
        if (target == NULL || cases[i].target == NULL)
            continue;
        CU_ASSERT_STRING_EQUAL(target, cases[i].target);
        CU_ASSERT_STRING_EQUAL(restore_original(target), cases[i].path);
        bson_free(target);
    }
    CU_ASSERT_STRING_EQUAL(restore_original(RESTORE_PREFIX "other"), RESTORE_PREFIX "other");
}

static FILE_COPIER *
copier(void)
{
    FILE_COPIER *made;
    STATUS status;

    CU_ASSERT_EQUAL_FATAL(file_copier_new(NULL, &made, &status), 0);
    return (made);
}

static void
test_tree(void)
{
    RESTORE_HOW how = {NULL, NULL, NULL, copier()};
    RESTORE_COUNT count;
    STATUS status;
    struct stat sb;
    static const char big[100000] = "data";
    int from = make_dir(NULL), home = make_dir(NULL);

    put_file(from, "WiredTiger.turtle", "turtle", 6, 0644);
    put_file(from, "WiredTiger.lock", "", 0, 0644);
    put_file(from, "t.wt", big, sizeof(big), 0666);
    CU_ASSERT_EQUAL(mkdirat(from, "journal", 0755), 0);
    put_file(from, "journal/log", "log", 3, 0600);
    CU_ASSERT_EQUAL(linkat(from, "journal/log", from, "journal/same", 0), 0);
    CU_ASSERT_EQUAL(symlinkat("t.wt", from, "link.wt"), 0);
    CU_ASSERT_EQUAL(symlinkat("..", from, "journal/loop"), 0);
    CU_ASSERT_EQUAL(mkfifoat(from, "pipe", 0600), 0);
    CU_ASSERT_EQUAL_FATAL(restore_measure(from, "copy", &count, &status), 0);
    CU_ASSERT_EQUAL(count.files, 5);
    CU_ASSERT_EQUAL(count.bytes, 6 + 2 * sizeof(big) + 6);

    CU_ASSERT_EQUAL_FATAL(restore_tree(from, "copy", home, &how, &count, &status), 0);
    CU_ASSERT(count.files == 5 && count.kept == 0);
    CU_ASSERT(file_holds(home, RESTORE_PREFIX "WiredTiger.turtle", "turtle", -1));
    CU_ASSERT(file_holds(home, "t.wt", big, sizeof(big)));
    CU_ASSERT(file_holds(home, "link.wt", big, sizeof(big)));
    CU_ASSERT(file_holds(home, "journal/same", "log", -1));
    CU_ASSERT_FALSE(exists(home, "WiredTiger.turtle"));
    CU_ASSERT_FALSE(exists(home, "WiredTiger.lock"));
    CU_ASSERT_FALSE(exists(home, "pipe"));
    CU_ASSERT_FALSE(exists(home, "journal/loop"));
    CU_ASSERT(fstatat(home, "t.wt", &sb, 0) == 0 && (sb.st_mode & 07777) == 0644);
    CU_ASSERT(fstatat(home, "link.wt", &sb, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(sb.st_mode));

    /* Again: what is whole stays, what is not is brought again, a planted link is not followed. */
    CU_ASSERT_EQUAL(unlinkat(home, "journal/log", 0), 0);
    put_file(home, "journal/log", "lOg", 3, 0600);
    CU_ASSERT_EQUAL(unlinkat(home, "t.wt", 0), 0);
    CU_ASSERT_EQUAL(symlinkat("victim", home, "t.wt"), 0);
    put_file(home, "victim", "untouched", 9, 0600);
    CU_ASSERT_EQUAL_FATAL(restore_tree(from, "copy", home, &how, &count, &status), 0);
    CU_ASSERT_EQUAL(count.kept, 3);
    CU_ASSERT(file_holds(home, "journal/log", "log", -1));
    CU_ASSERT(file_holds(home, "t.wt", big, sizeof(big)));
    CU_ASSERT(file_holds(home, "victim", "untouched", -1));
    CU_ASSERT_EQUAL(unlinkat(home, "victim", 0), 0);

    CU_ASSERT_EQUAL_FATAL(restore_place(home, &status), 0);
    CU_ASSERT(file_holds(home, "WiredTiger.turtle", "turtle", -1));
    CU_ASSERT_EQUAL_FATAL(restore_place(home, &status), 0);
    put_file(home, MANIFEST_UNFINISHED_FILE, "x", 1, 0600);
    CU_ASSERT_EQUAL_FATAL(restore_clear(home, &status), 0);
    CU_ASSERT_FALSE(exists(home, MANIFEST_UNFINISHED_FILE));
    CU_ASSERT_EQUAL(count_entries(home), 4);

    put_file(home, MANIFEST_UNFINISHED_FILE, "x", 1, 0600);
    CU_ASSERT_EQUAL_FATAL(restore_undo(home, &status), 0);
    CU_ASSERT_EQUAL(count_entries(home), 0);
    file_copier_free(how.copier);
    (void)close(from);
    (void)close(home);
}

static void
test_tree_refused(void)
{
    RESTORE_HOW how = {NULL, NULL, NULL, copier()};
    RESTORE_COUNT count;
    STATUS status;
    static const struct {
        const char *link, *to, *text;
    } links[] = {{"out", "/etc", "leads out"}, {"passwd.wt", "/etc/passwd", "leads out"},
      {"up", "..", "leads out"}, {"gone", "nowhere", "leads nowhere"}};
    char path[RESTORE_DEPTH_MAX * 2 + 8];
    size_t i;
    int from = make_dir(NULL), home = make_dir(NULL);

    for (i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        CU_ASSERT_EQUAL(symlinkat(links[i].to, from, links[i].link), 0);
        CHECK_STATUS(restore_tree(from, "copy", home, &how, &count, &status), &status,
          STATUS_REFUSED, links[i].text);
        CU_ASSERT_EQUAL(unlinkat(from, links[i].link, 0), 0);
    }
    put_file(from, "wtkms.reencrypt", "", 0, 0600);
    CHECK_STATUS(restore_measure(from, "copy", &count, &status), &status, STATUS_REFUSED,
      "in the middle of a re-encryption");
    CU_ASSERT_EQUAL(unlinkat(from, "wtkms.reencrypt", 0), 0);
    put_file(from, MANIFEST_UNFINISHED_FILE, "", 0, 0600);
    CHECK_STATUS(
      restore_measure(from, "copy", &count, &status), &status, STATUS_REFUSED, "no whole copy");
    CU_ASSERT_EQUAL(unlinkat(from, MANIFEST_UNFINISHED_FILE, 0), 0);
    CHECK_STATUS(restore_tree(from, "copy", from, &how, &count, &status), &status, STATUS_REFUSED,
      "is the copy itself");
    for (i = 0; i <= RESTORE_DEPTH_MAX; i++) {
        memcpy(path + 2 * i, "d", 2);
        CU_ASSERT_EQUAL(mkdirat(from, path, 0700), 0);
        memcpy(path + 2 * i + 1, "/", 2);
    }
    CHECK_STATUS(
      restore_measure(from, "copy", &count, &status), &status, STATUS_REFUSED, "nested more than");
    CU_ASSERT_EQUAL(count_entries(home), 0);
    file_copier_free(how.copier);
    (void)close(from);
    (void)close(home);
}

static const TEST verify_tests[] = {{"differences", test_verify}, {NULL, NULL}};
static const TEST restore_tests[] = {{"state", test_state}, {"no engine", test_block},
  {"names", test_names}, {"a directory", test_tree}, {"refused", test_tree_refused}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {
  {"verify", verify_tests}, {"restore", restore_tests}, {NULL, NULL}};
