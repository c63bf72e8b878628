/*
 * snapshot/restore.c -- A copy's files brought into an empty directory. See restore.h.
 */
#include "snapshot/restore.h"

#include "common/file.h"
#include "crypto/encode.h"
#include "datafile/engine_lock.h"
#include "keystore/keyring.h"
#include "keystore/mirror.h"
#include "keystore/state_file.h"
#include "rotation/copy_lock.h"

#include <bson/bson.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_KEY "wtkms_restore_is_not_finished"
#define SOURCE_SHOWN 1000 /* bytes of its name, for people */

/* What says where the data is, and what is read again at the end: put in place last, in this order. */
static const char *const held_back[] = {"WiredTiger.basecfg", "WiredTiger", "WiredTiger.ibackup",
  "WiredTiger.backup", "WiredTiger.turtle", "WiredTiger.turtle.set"};
/* What the restored home has its own of. */
static const char *const put_away[] = {MIRROR_FILE, KEYRING_FILE, MANIFEST_FILE};
/* What belonged to the process, or to the moment, and not to the data. */
static const char *const left_out[] = {
  ENGINE_LOCK_FILE, STATE_FILE, COPY_LOCK_FILE, KEYRING_LOCK, KEYRING_FILE ".new", KEYRING_PREV};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool
is_in(const char *name, const char *const *names, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return (true);
    return (false);
}

/* --- how far it came */

/*
 * Lines: the command, "phase N", "source HEX", "reencrypt yes|no", "parent UUID", and for people what it
 * is a copy of.
 */
int
restore_state_read(int home_fd, bool *foundp, RESTORE_STATE *state, STATUS *status)
{
    uint8_t *data = NULL;
    char source[2 * DIGEST_LEN + 1], parent[KEYSTORE_UUID_TEXT], reencrypt[4];
    size_t len;
    unsigned phase;
    int ret;

    memset(state, 0, sizeof(*state));
    if ((ret = file_read(home_fd, MANIFEST_UNFINISHED_FILE, MANIFEST_UNFINISHED_MAX_BYTES, true,
           foundp, &data, &len, status)) != 0 ||
        !*foundp)
        goto err;
    if (sscanf((const char *)data,
          MANIFEST_UNFINISHED_RESTORE " phase %1u source %64[0-9a-f] reencrypt %3[a-z] parent "
                                      "%36[0-9a-f-]",
          &phase, source, reencrypt, parent) != 4 ||
        phase > RESTORE_ROTATED || strlen(source) != 2 * (size_t)DIGEST_LEN ||
        encode_hex_decode(source, strlen(source), state->source, status) != 0 ||
        keystore_uuid_parse(parent, state->parent, status) != 0) {
        (void)status_set(status, STATUS_REFUSED, "restore-other",
          "%s is there, and not of a restore by this version", MANIFEST_UNFINISHED_FILE);
        ret = status_hint(
          status, "another command was interrupted here; restore into another, empty directory");
        goto err;
    }
    state->phase = (RESTORE_PHASE)phase;
    state->reencrypt = strcmp(reencrypt, "yes") == 0;

err:
    free(data);
    return (ret);
}

int
restore_state_write(int home_fd, const RESTORE_STATE *state, const char *source, STATUS *status)
{
    char hex[2 * DIGEST_LEN + 1], parent[KEYSTORE_UUID_TEXT], shown[SOURCE_SHOWN + 1], *text;
    int ret;

    encode_hex(state->source, sizeof(state->source), hex);
    keystore_uuid_text(state->parent, parent);
    (void)snprintf(shown, sizeof(shown), "%s", source);
    status_make_printable(shown);
    text = bson_strdup_printf(MANIFEST_UNFINISHED_RESTORE
      "\nphase %u\nsource %s\nreencrypt %s\nparent %s\n"
      "This directory is no database yet: run the same wtkms snapshot restore again.\nOf: %s\n",
      (unsigned)state->phase, hex, state->reencrypt ? "yes" : "no", parent, shown);
    ret = file_replace(home_fd, MANIFEST_UNFINISHED_FILE, text, strlen(text), 0600, false, status);
    bson_free(text);
    return (ret);
}

/* Of a first restore_block, cut short or not: see there. */
static bool
is_leftover(int home_fd, const char *name)
{
    STATUS ignored;
    uint8_t *text = NULL;
    size_t len;
    bool found, leftover;

    if (strcmp(name, MIRROR_FILE ".new") == 0 || strcmp(name, MANIFEST_UNFINISHED_FILE ".new") == 0)
        return (true);
    leftover =
      strcmp(name, MIRROR_FILE) == 0 &&
      file_read(home_fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &text, &len, &ignored) == 0 &&
      found && restore_is_blocked((char *)text, len);
    free(text);
    return (leftover);
}

int
restore_is_empty(int home_fd, bool *emptyp, char **namep, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;

    *emptyp = true;
    *namep = NULL;
    if ((dir = file_list(home_fd)) == NULL)
        return (status_set_errno(status, errno, "restore-read", "reading the directory"));
    while (*emptyp && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "lost+found") != 0 && !is_leftover(home_fd, entry->d_name)) {
            *emptyp = false;
            *namep = bson_strdup(entry->d_name);
        }
    (void)closedir(dir);
    return (0);
}

/* --- no engine opens it */

int
restore_block(int home_fd, const char *text, size_t len, STATUS *status)
{
    char *blocked;
    size_t blocked_len;
    int ret;

    if ((ret = mirror_render(
           text, len, BLOCK_KEY "=true\n", NULL, 0, false, &blocked, &blocked_len, status)) != 0)
        return (ret);
    ret = file_replace(home_fd, MIRROR_FILE, blocked, blocked_len, 0644, false, status);
    free(blocked);
    return (ret);
}

bool
restore_is_blocked(const char *text, size_t len)
{
    MIRROR mirror;
    STATUS ignored;
    bool blocked;

    if (mirror_parse(text, len, &mirror, &ignored) != 0)
        return (false);
    blocked = mirror.engine_lines != NULL && strcmp(mirror.engine_lines, BLOCK_KEY "=true\n") == 0;
    mirror_release(&mirror);
    return (blocked);
}

int
restore_unblock(const char *text, size_t len, const char *engine_lines, char **textp, size_t *lenp,
  STATUS *status)
{
    MIRROR mirror;
    int ret;

    *textp = NULL;
    if ((ret = mirror_parse(text, len, &mirror, status)) != 0)
        return (ret);
    ret = mirror_render(text, len, engine_lines, mirror.keystore, mirror.keystore_len,
      mirror.partial, textp, lenp, status);
    mirror_release(&mirror);
    return (ret);
}

/* --- names */

char *
restore_target(const char *path)
{
    if (is_in(path, left_out, COUNT(left_out)))
        return (NULL);
    if (is_in(path, held_back, COUNT(held_back)) || is_in(path, put_away, COUNT(put_away)))
        return (bson_strdup_printf(RESTORE_PREFIX "%s", path));
    return (bson_strdup(path));
}

const char *
restore_original(const char *path)
{
    const char *name = path + strlen(RESTORE_PREFIX);

    if (strncmp(path, RESTORE_PREFIX, strlen(RESTORE_PREFIX)) != 0 ||
        !(is_in(name, held_back, COUNT(held_back)) || is_in(name, put_away, COUNT(put_away))))
        return (path);
    return (name);
}

bool
restore_is_root(int fd)
{
    static const char *const names[] = {
      "WiredTiger.turtle", "WiredTiger.backup", "WiredTiger.wt", MANIFEST_FILE};
    struct stat sb;
    size_t i;

    for (i = 0; i < COUNT(names); i++)
        if (fstatat(fd, names[i], &sb, AT_SYMLINK_NOFOLLOW) == 0)
            return (true);
    return (false);
}

/* --- the end */

/* Removing and renaming what is not there was done before. */
static int
put_in_place(int home_fd, const char *name, bool keep, STATUS *status)
{
    char *from = bson_strdup_printf(RESTORE_PREFIX "%s", name);
    int done, ret = 0;

    done = keep ? renameat(home_fd, from, home_fd, name) : unlinkat(home_fd, from, 0);
    if (done != 0 && errno != ENOENT)
        ret = status_set_errno(status, errno, "restore-place", "putting %s in place", name);
    bson_free(from);
    return (ret);
}

int
restore_place(int home_fd, STATUS *status)
{
    size_t i;
    int ret;

    for (i = 0; i < COUNT(held_back); i++)
        if ((ret = put_in_place(home_fd, held_back[i], true, status)) != 0)
            return (ret);
    return (file_copy_sync_tree(home_fd, status));
}

int
restore_clear(int home_fd, STATUS *status)
{
    size_t i;
    int ret;

    for (i = 0; i < COUNT(put_away); i++)
        if ((ret = put_in_place(home_fd, put_away[i], false, status)) != 0)
            return (ret);
    /* Of the copy's keystore, under the copy's uuid: nothing here can use it. */
    if (unlinkat(home_fd, KEYRING_PREV, 0) != 0 && errno != ENOENT)
        return (status_set_errno(
          status, errno, "restore-remove", "removing the copy's keystore of before"));
    if (fsync(home_fd) != 0 || unlinkat(home_fd, MANIFEST_UNFINISHED_FILE, 0) != 0 ||
        fsync(home_fd) != 0)
        return (status_set_errno(status, errno, "restore-place", "ending the restore"));
    return (0);
}

/* --- removing */

static int remove_entries(int fd, const char *except, unsigned depth, STATUS *status) WTKMS_CHECKED;

static int
remove_entry(int fd, const char *name, unsigned depth, STATUS *status)
{
    int below, ret;

    if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
        return (0);
    if (errno != EISDIR && errno != EPERM)
        return (status_set_errno(status, errno, "restore-remove", "removing %s", name));
    if ((below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "restore-remove", "removing %s", name));
    ret = remove_entries(below, NULL, depth + 1, status);
    (void)close(below);
    if (ret == 0 && unlinkat(fd, name, AT_REMOVEDIR) != 0)
        ret = status_set_errno(status, errno, "restore-remove", "removing %s", name);
    return (ret);
}

static int
remove_entries(int dir_fd, const char *except, unsigned depth, STATUS *status)
{
    struct dirent *entry;
    DIR *dir;
    int ret = 0;

    if (depth > RESTORE_DEPTH_MAX + 8)
        return (status_set_errno(status, ELOOP, "restore-remove", "directories nested too deep"));
    if ((dir = file_list(dir_fd)) == NULL)
        return (status_set_errno(status, errno, "restore-remove", "reading a directory"));
    while (ret == 0 && (entry = readdir(dir)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (except == NULL ||
              (strcmp(entry->d_name, except) != 0 && strcmp(entry->d_name, "lost+found") != 0)))
            ret = remove_entry(dir_fd, entry->d_name, depth, status);
    (void)closedir(dir);
    return (ret);
}

int
restore_remove_tree(int dir_fd, const char *name, STATUS *status)
{
    return (remove_entry(dir_fd, name, 0, status));
}

int
restore_undo(int home_fd, STATUS *status)
{
    int ret;

    if ((ret = remove_entries(home_fd, MANIFEST_UNFINISHED_FILE, 0, status)) != 0)
        return (ret);
    return (remove_entry(home_fd, MANIFEST_UNFINISHED_FILE, 0, status));
}
