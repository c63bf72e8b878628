/*
 * test/keystore/test_copies.c -- Copies and the mirror: in step, repaired, and never overwritten
 * when they know more than the keystore does.
 */
#include "test/keystore/keystore_tests.h"

#include "crypto/encode.h"
#include "crypto/random.h"

#include <sys/mount.h>
#include <sys/wait.h>

#define COPIES_YAML \
    "kms: [{provider: local, keyFile: %k}]\nkeystoreCopies: [%d/copies/1, %d/copies/2]\nnode: n\n"

static void
make_with_copies(HOME *home, KEYRING **keyring)
{
    STATUS status;
    char path[700];

    home_make(home, NULL);
    (void)snprintf(path, sizeof(path), "%s/copies", home->dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    home_configure(home, COPIES_YAML);
    CHECK_OK_FATAL(
      keyring_create(home->fd, home->settings, &home->options, false, keyring, &status));
}

static bool
same_files(const HOME *home, const char *a, const char *b)
{
    uint8_t *x, *y;
    size_t x_len, y_len;
    bool same;

    if (!home_has(home, a) || !home_has(home, b))
        return (false);
    x = home_read(home, a, &x_len);
    y = home_read(home, b, &y_len);
    same = x_len == y_len && memcmp(x, y, x_len) == 0;
    free(x);
    free(y);
    return (same);
}

/* Copies and mirror are as the keystore. */
static bool
all_in_step(const HOME *home)
{
    MIRROR mirror;
    STATUS status;
    uint8_t *data, *text;
    size_t len, text_len;
    bool same;

    if (!same_files(home, KEYRING_FILE, "../copies/1") ||
        !same_files(home, KEYRING_FILE, "../copies/2") || !home_has(home, MIRROR_FILE))
        return (false);
    data = home_read(home, KEYRING_FILE, &len);
    text = home_read(home, MIRROR_FILE, &text_len);
    status_clear(&status);
    same = mirror_parse((const char *)text, text_len, &mirror, &status) == 0 &&
           mirror.has_keystore && !mirror.partial && mirror.keystore_len == len &&
           memcmp(mirror.keystore, data, len) == 0;
    mirror_release(&mirror);
    free(data);
    free(text);
    return (same);
}

static void
test_in_step(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    struct stat sb;
    uint8_t *old;
    size_t old_len;
    uint64_t id;
    bool created;

    make_with_copies(&home, &keyring);
    CU_ASSERT(all_in_step(&home));
    CU_ASSERT_EQUAL(fstatat(home.fd, KEYRING_FILE, &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 0777, 0600);
    CU_ASSERT_EQUAL(fstatat(home.fd, "../copies/1", &sb, 0), 0);
    CU_ASSERT_EQUAL(sb.st_mode & 0777, 0600);
    old = home_read(&home, KEYRING_FILE, &old_len);
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &id, &created, &status));
    CU_ASSERT(all_in_step(&home));
    CU_ASSERT(home_has(&home, KEYRING_PREV));
    keyring_close(keyring);
    CU_ASSERT_STRING_EQUAL(home.log, "");
    /* Behind, missing, damaged: written again by the next open that may write, but not by another. */
    home_write(&home, "../copies/1", old, old_len);
    CU_ASSERT_EQUAL(unlinkat(home.fd, "../copies/2", 0), 0);
    home_write(&home, MIRROR_FILE, "cache_size=1G\n#K AAAA\n", 22);
    home.options.read_only = true;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    CU_ASSERT(same_files(&home, KEYRING_PREV, "../copies/1"));
    CU_ASSERT_FALSE(home_has(&home, "../copies/2"));
    home.options.read_only = false;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT(all_in_step(&home));
    CU_ASSERT_STRING_EQUAL(home.log, "");
    keyring_close(keyring);
    free(old);
    home_free(&home);
}

static void
test_unreachable(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *other;
    char copies[700], away[700];
    uint64_t id;
    bool created;

    make_with_copies(&home, &keyring);
    (void)snprintf(copies, sizeof(copies), "%s/copies", home.dir);
    (void)snprintf(away, sizeof(away), "%s/away", home.dir);
    CU_ASSERT_EQUAL(rename(copies, away), 0);
    /* A new key would not be safe: refused before anything is written, with the path. */
    status_clear(&status);
    CU_ASSERT_EQUAL(keyring_ensure_data_key(keyring, "a", &id, &created, &status), STATUS_IO);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "copies/1"));
    CU_ASSERT_FALSE(created);
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "a"), 0);
    CU_ASSERT_FALSE(home_has(&home, KEYRING_PREV));
    /* What is there is used, and an open only warns. */
    CHECK_OK(keyring_ensure_data_key(keyring, "default", &id, &created, &status));
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &other, &status));
    CU_ASSERT_PTR_NOT_NULL(strstr(home.log, "copies/1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(home.log, "not every copy"));
    keyring_close(other);
    keyring_close(keyring);
    home_free(&home);
}

/* A host with copies, while another process, which knows of none, adds keys. */
static void
test_refresh_waits_for_copies(void)
{
    HOME home;
    STATUS status;
    SETTINGS *with;
    KEYRING *host, *writer;
    char copies[700], away[700];
    uint64_t id, again;
    bool created, changed;

    make_with_copies(&home, &host);
    with = home.settings;
    home.settings = NULL;
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &writer, &status));
    CHECK_OK(keyring_ensure_data_key(writer, "a", &id, &created, &status));
    CU_ASSERT_FALSE(all_in_step(&home));
    CHECK_OK(keyring_refresh(host, &changed, &status));
    CU_ASSERT(changed);
    CU_ASSERT(all_in_step(&home));
    CU_ASSERT_EQUAL(keyring_active_data_key(host, "a"), id);
    (void)snprintf(copies, sizeof(copies), "%s/copies", home.dir);
    (void)snprintf(away, sizeof(away), "%s/away", home.dir);
    CU_ASSERT_EQUAL(rename(copies, away), 0);
    CHECK_OK(keyring_ensure_data_key(writer, "b", &id, &created, &status));
    status_clear(&status);
    CU_ASSERT_EQUAL(keyring_refresh(host, &changed, &status), STATUS_IO);
    CU_ASSERT_FALSE(changed);
    CU_ASSERT_EQUAL(keyring_active_data_key(host, "b"), 0);
    status_clear(&status);
    CU_ASSERT_EQUAL(keyring_ensure_data_key(host, "b", &again, &created, &status), STATUS_IO);
    CU_ASSERT_EQUAL(rename(away, copies), 0);
    CHECK_OK(keyring_ensure_data_key(host, "b", &again, &created, &status));
    CU_ASSERT_EQUAL(id, again);
    CU_ASSERT_FALSE(created);
    CU_ASSERT(all_in_step(&home));
    keyring_close(writer);
    keyring_close(host);
    settings_free(with);
    home_free(&home);
}

static void
check_write_refused(HOME *home, KEYRING *keyring, const char *id, const char *place)
{
    STATUS status;
    uint8_t *before, *after, *stays, *stayed;
    size_t before_len, after_len, stays_len, stayed_len;
    uint64_t key;
    KEYRING *opened;
    bool created;

    before = home_read(home, KEYRING_FILE, &before_len);
    stays = home_read(home, place, &stays_len);
    CHECK_FAILS(
      keyring_ensure_data_key(keyring, "refused", &key, &created, &status), STATUS_REFUSED, id);
    home->log[0] = '\0';
    CHECK_OK_FATAL(keyring_open(home->fd, home->settings, &home->options, &opened, &status));
    CU_ASSERT_STRING_NOT_EQUAL(home->log, "");
    keyring_close(opened);
    after = home_read(home, KEYRING_FILE, &after_len);
    stayed = home_read(home, place, &stayed_len);
    CU_ASSERT(before_len == after_len && memcmp(before, after, after_len) == 0);
    CU_ASSERT(stays_len == stayed_len && memcmp(stays, stayed, stays_len) == 0);
    free(before);
    free(after);
    free(stays);
    free(stayed);
}

static void
test_never_overwritten(void)
{
    HOME home, other;
    STATUS status;
    KEYRING *keyring, *others;
    uint8_t *foreign, *old, *mirror, *later;
    size_t foreign_len, old_len, mirror_len, later_len;
    uint64_t id;
    bool created;

    make_with_copies(&home, &keyring);
    old = home_read(&home, KEYRING_FILE, &old_len);
    home_make(&other, NULL);
    CHECK_OK_FATAL(
      keyring_create(other.fd, other.settings, &other.options, false, &others, &status));
    keyring_close(others);
    foreign = home_read(&other, KEYRING_FILE, &foreign_len);
    mirror = home_read(&other, MIRROR_FILE, &mirror_len);
    /* Another database's copy; a file that is no keystore. */
    home_write(&home, "../copies/2", foreign, foreign_len);
    check_write_refused(&home, keyring, "keystore-copy-other", "../copies/2");
    home_write(&home, "../copies/2", "root:x:0:0", 10);
    check_write_refused(&home, keyring, "keystore-copy-unknown", "../copies/2");
    home_write(&home, "../copies/2", old, old_len);
    home_write(&home, MIRROR_FILE, mirror, mirror_len);
    check_write_refused(&home, keyring, "keystore-copy-other", MIRROR_FILE);
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    /* A copy that is further on: an old keystore was put back. */
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &id, &created, &status));
    later = home_read(&home, KEYRING_FILE, &later_len);
    keyring_close(keyring);
    home_write(&home, KEYRING_FILE, old, old_len);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    check_write_refused(&home, keyring, "keystore-copy-newer", "../copies/1");
    CU_ASSERT_EQUAL(unlinkat(home.fd, "../copies/1", 0), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, "../copies/2", 0), 0);
    check_write_refused(&home, keyring, "keystore-copy-newer", MIRROR_FILE);
    keyring_close(keyring);
    free(old);
    free(foreign);
    free(mirror);
    free(later);
    home_free(&other);
    home_free(&home);
}

static int
restore_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    SECRET *secret;
    int ret;

    (void)context;
    /* As a restored database does: a new name, the old one as parent. */
    keystore->has_parent = true;
    memcpy(keystore->parent, keystore->uuid, sizeof(keystore->parent));
    keystore->uuid[0] ^= 1;
    if ((ret = keyring_rewrap_master(keyring, keystore, "default", 1000, 0, status)) != 0 ||
        (ret = keyring_data_key(keyring, keystore->data_keys[0].id, &secret, NULL, status)) != 0)
        return (ret);
    ret = keyring_wrap_data_key(keyring, keystore, &keystore->data_keys[0], secret, status);
    secret_free(secret);
    return (ret);
}

static void
test_new_uuid(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;

    make_with_copies(&home, &keyring);
    CHECK_OK_FATAL(keyring_update(keyring, "restore", NULL, restore_edit, NULL, &status));
    CU_ASSERT(all_in_step(&home));
    keyring_close(keyring);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    home_free(&home);
}

/* --- the mirror's size */

static int
add_keyids(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    static unsigned number;
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret;
    char keyid[32];
    int i, ret;

    for (i = 0; i < *(const int *)context; i++) {
        (void)snprintf(keyid, sizeof(keyid), "tenant-%u", number++);
        if ((ret = keystore_add_data_key(keystore, &data_key, status)) != 0 ||
            (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
            return (ret);
        data_key->id = 1000 + number;
        data_key->version = 1;
        data_key->keyid = strdup(keyid);
        ret = keyring_wrap_data_key(keyring, keystore, data_key, secret, status);
        secret_free(secret);
        if (ret != 0)
            return (ret);
    }
    return (0);
}

static void
read_mirror(const HOME *home, MIRROR *mirror, KEYSTORE **keystorep, size_t *lenp)
{
    STATUS status;
    uint8_t *text = home_read(home, MIRROR_FILE, lenp);

    CU_ASSERT(*lenp <= MIRROR_MAX_BYTES);
    CHECK_OK_FATAL(mirror_parse((const char *)text, *lenp, mirror, &status));
    CHECK_OK_FATAL(keystore_decode(mirror->keystore, mirror->keystore_len, keystorep, &status));
    CU_ASSERT_EQUAL((*keystorep)->partial, mirror->partial);
    free(text);
}

/* Many versions of one key, each active in its turn. */
static int
add_versions(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const KEYSTORE_DATA_KEY *latest;
    KEYSTORE_DATA_KEY *added;
    SECRET *secret;
    uint32_t version;
    int i, ret = 0;

    for (i = 0; i < *(int *)context && ret == 0; i++) {
        latest = keystore_latest_data_key(keystore, "default");
        version = latest->version + 1;
        keystore->data_keys[latest - keystore->data_keys].state = KEYSTORE_READABLE;
        if ((ret = keystore_add_data_key(keystore, &added, status)) != 0 ||
            (ret = random_id(&added->id, status)) != 0 ||
            (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
            break;
        added->version = version;
        added->state = KEYSTORE_ACTIVE;
        added->keyid = strdup("default");
        ret = keyring_wrap_data_key(keyring, keystore, added, secret, status);
        secret_free(secret);
    }
    return (ret);
}

static void
test_many_versions(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    KEYSTORE *keystore;
    MIRROR mirror;
    size_t len;
    int i, step = 200;

    home_make(&home, NULL);
    home_key_file(&home, "keyA");
    home_configure(&home, "node: n\nkms: [{provider: local, keyFile: %k}]\n");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    for (i = 0; i < 6; i++)
        CHECK_OK_FATAL(keyring_update(keyring, "x", NULL, add_versions, &step, &status));
    read_mirror(&home, &mirror, &keystore, &len);
    CU_ASSERT_TRUE(keystore->partial);
    CU_ASSERT_EQUAL(keystore->data_key_count, 1);
    CU_ASSERT_EQUAL(keystore_active_data_key(keystore, "default")->version, 1201);
    keystore_free(keystore);
    mirror_release(&mirror);
    keyring_close(keyring);
    home_free(&home);
}

static void
test_grows_over_the_limit(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *none;
    KEYSTORE *keystore;
    MIRROR mirror;
    size_t len;
    int step = 20, i;
    bool was_partial = false;

    home_make(&home, NULL);
    home_key_file(&home, "keyA");
    home_configure(&home, "node: n\nkms: [{provider: local, keyFile: %k}]\n" HOME_TENANT_YAML);
    home_write(&home, MIRROR_FILE, "# mine\ncache_size=1G", 20);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    for (i = 0; i < 20; i++) {
        CHECK_OK_FATAL(keyring_update(keyring, "x", NULL, add_keyids, &step, &status));
        read_mirror(&home, &mirror, &keystore, &len);
        CU_ASSERT_EQUAL(keystore->generation, i + 2);
        if (!mirror.partial) {
            CU_ASSERT_FALSE(was_partial);
            CU_ASSERT_EQUAL(keystore->data_key_count, 1 + 20 * (size_t)(i + 1));
        } else {
            /* The default scope's while they fit, then the data keys of "default" alone. */
            was_partial = true;
            CU_ASSERT_EQUAL(keystore->master_count, 1);
            CU_ASSERT(keystore->data_key_count == 1 ||
                      keystore->data_key_count == 1 + 20 * (size_t)(i + 1));
            CU_ASSERT_PTR_NOT_NULL(keystore_active_data_key(keystore, "default"));
        }
        keystore_free(keystore);
        mirror_release(&mirror);
    }
    CU_ASSERT(was_partial);
    keyring_close(keyring);
    /* A part never stands for the whole. */
    CU_ASSERT_EQUAL(renameat(home.fd, KEYRING_FILE, home.fd, "away"), 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &none, &status), STATUS_REFUSED,
      "keystore-partial");
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    read_mirror(&home, &mirror, &keystore, &len);
    home_write(&home, KEYRING_FILE, mirror.keystore, mirror.keystore_len);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &none, &status), STATUS_REFUSED,
      "keystore-partial");
    keystore_free(keystore);
    mirror_release(&mirror);
    home_free(&home);
}

static void
test_user_takes_the_room(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    KEYSTORE *keystore;
    MIRROR mirror;
    char *user = malloc(MIRROR_MAX_BYTES + 1);
    size_t len;
    uint64_t id;
    int many = 200;
    bool created;

    CU_ASSERT_PTR_NOT_NULL_FATAL(user);
    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_OK_FATAL(keyring_update(keyring, "x", NULL, add_keyids, &many, &status));
    /* Room for a part. */
    memset(user, '#', MIRROR_MAX_BYTES);
    user[69999] = '\n';
    home_write(&home, MIRROR_FILE, user, 70000);
    CHECK_OK(keyring_ensure_data_key(keyring, "a", &id, &created, &status));
    read_mirror(&home, &mirror, &keystore, &len);
    CU_ASSERT(mirror.partial);
    CU_ASSERT_EQUAL(keystore->data_key_count, 1);
    keystore_free(keystore);
    mirror_release(&mirror);
    /* No room. */
    user[69999] = '#';
    user[MIRROR_MAX_BYTES - 500] = '\n';
    home_write(&home, MIRROR_FILE, user, MIRROR_MAX_BYTES - 499);
    check_write_refused(&home, keyring, "mirror-too-long", MIRROR_FILE);
    /* Over the engine's limit by itself, and a line that does not end. */
    home_write(&home, MIRROR_FILE, user, MIRROR_MAX_BYTES);
    check_write_refused(&home, keyring, "mirror-too-long", MIRROR_FILE);
    home_write(&home, MIRROR_FILE, "a=\"b", 4);
    check_write_refused(&home, keyring, "mirror-open-line", MIRROR_FILE);
    home_write(&home, MIRROR_FILE, "a=1", 3);
    CHECK_OK(keyring_ensure_data_key(keyring, "b", &id, &created, &status));
    keyring_close(keyring);
    free(user);
    home_free(&home);
}

static void
test_write_mirror(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *other;
    MIRROR mirror;
    KEYSTORE *keystore;
    size_t len;
    uint64_t id;
    bool created;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    /* Another process is further on: what is written is what the file has. */
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &other, &status));
    CHECK_OK(keyring_ensure_data_key(other, "a", &id, &created, &status));
    CHECK_OK(keyring_write_mirror(keyring, "extensions=[x]\nencryption=(name=kms)\n", &status));
    read_mirror(&home, &mirror, &keystore, &len);
    CU_ASSERT_EQUAL(keystore->generation, 2);
    CU_ASSERT_STRING_EQUAL(mirror.engine_lines, "extensions=[x]\nencryption=(name=kms)\n");
    keystore_free(keystore);
    mirror_release(&mirror);
    /* They stay with the next write, and once more without a change. */
    CHECK_OK(keyring_ensure_data_key(keyring, "b", &id, &created, &status));
    CHECK_OK(keyring_write_mirror(keyring, NULL, &status));
    read_mirror(&home, &mirror, &keystore, &len);
    CU_ASSERT(mirror.has_engine_lines);
    keystore_free(keystore);
    mirror_release(&mirror);
    CHECK_FAILS(keyring_write_mirror(keyring, "x", &status), STATUS_CONFIG, "mirror-engine-lines");
    CHECK_OK(keyring_write_mirror(keyring, "", &status));
    read_mirror(&home, &mirror, &keystore, &len);
    CU_ASSERT_FALSE(mirror.has_engine_lines);
    keystore_free(keystore);
    mirror_release(&mirror);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE, 0), 0);
    CHECK_FAILS(keyring_write_mirror(keyring, NULL, &status), STATUS_CORRUPT, "keystore-gone");
    keyring_close(keyring);
    keyring_close(other);
    home_free(&home);
}

/* --- as another user, on media that are read-only, and on a disk that is full */

static int
as_nobody(HOME *home)
{
    STATUS status;
    KEYRING *keyring;
    uint64_t id;
    bool created;
    int ret;

    if (setgid(65534) != 0 || setuid(65534) != 0)
        return (10);
    status_clear(&status);
    if (keyring_open(home->fd, home->settings, &home->options, &keyring, &status) != 0) {
        fprintf(stderr, "%s\n", status.message);
        return (11);
    }
    ret = keyring_ensure_data_key(keyring, "default", &id, &created, &status);
    if (ret != 0)
        return (12);
    ret = keyring_ensure_data_key(keyring, "new", &id, &created, &status);
    keyring_close(keyring);
    return (ret == STATUS_IO && status.sys_errno == EACCES ? 0 : 13);
}

static void
test_read_only_directory(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    pid_t child;
    int wait_status;

    if (geteuid() != 0) {
        printf("(left out: needs root to become another user) ");
        return;
    }
    home_make(&home, NULL);
    /* A home of somebody else's, made by root: every file of ours is that user's. */
    CU_ASSERT_EQUAL(fchown(home.fd, 65534, 65534), 0);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    {
        static const char *const names[] = {KEYRING_FILE, KEYRING_LOCK, MIRROR_FILE};
        struct stat sb;
        size_t i;

        for (i = 0; i < 3; i++) {
            CU_ASSERT_EQUAL(fstatat(home.fd, names[i], &sb, AT_SYMLINK_NOFOLLOW), 0);
            CU_ASSERT_EQUAL(sb.st_uid, 65534);
        }
    }
    CU_ASSERT_EQUAL(chown(home.key, 65534, 65534), 0);
    CU_ASSERT_EQUAL(chmod(home.dir, 0755), 0);
    CU_ASSERT_EQUAL(chmod(test_scratch(), 0755), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_LOCK, 0), 0);
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    CU_ASSERT_EQUAL(fchmod(home.fd, 0555), 0);
    (void)fflush(NULL);
    if ((child = fork()) == 0)
        _exit(as_nobody(&home));
    CU_ASSERT_EQUAL(waitpid(child, &wait_status, 0), child);
    CU_ASSERT(WIFEXITED(wait_status));
    CU_ASSERT_EQUAL(WEXITSTATUS(wait_status), 0);
    CU_ASSERT_FALSE(home_has(&home, KEYRING_LOCK));
    home_free(&home);
}

static void
test_full_disk(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *again;
    char point[700], keyid[32];
    uint64_t id, first = 0;
    int fd, i, ret = 0, added = 0;
    bool created;

    home_make(&home, NULL);
    (void)snprintf(point, sizeof(point), "%s/small", home.dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(point, 0700), 0);
    if (mount("tmpfs", point, "tmpfs", 0, "size=96k,mode=0700") != 0) {
        printf("(left out: no file system can be mounted here) ");
        home_free(&home);
        return;
    }
    CHECK_OK_FATAL(file_open_dir(point, &fd, &status));
    (void)close(home.fd);
    home.fd = fd;
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    for (i = 0; i < 1000 && ret == 0; i++) {
        (void)snprintf(keyid, sizeof(keyid), "k%d", i);
        ret = keyring_ensure_data_key(keyring, keyid, &id, &created, &status);
        if (ret == 0)
            added++;
        if (i == 0)
            first = id;
    }
    CU_ASSERT_EQUAL(ret, STATUS_IO);
    CU_ASSERT_EQUAL(status.sys_errno, ENOSPC);
    CU_ASSERT(added > 5);
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, keyid), 0);
    /* What was there before is there still, and a key that was given out is in the file. */
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &again, &status));
    CU_ASSERT_EQUAL(keyring_active_data_key(again, "k0"), first);
    for (i = 0; i < added; i++) {
        (void)snprintf(keyid, sizeof(keyid), "k%d", i);
        CU_ASSERT_EQUAL(
          keyring_active_data_key(again, keyid), keyring_active_data_key(keyring, keyid));
    }
    keyring_close(again);
    keyring_close(keyring);
    (void)close(home.fd);
    CU_ASSERT_EQUAL(umount(point), 0);
    home.fd = open(home.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    home_free(&home);
}

const TEST copies_tests[] = {{"in step", test_in_step}, {"unreachable", test_unreachable},
  {"a refresh waits for the copies", test_refresh_waits_for_copies},
  {"never overwritten", test_never_overwritten}, {"a new uuid", test_new_uuid},
  {"over the limit", test_grows_over_the_limit}, {"a thousand versions", test_many_versions},
  {"the user's lines take the room", test_user_takes_the_room}, {"engine lines", test_write_mirror},
  {"read-only directory", test_read_only_directory}, {"full disk", test_full_disk}, {NULL, NULL}};
