/*
 * keystore/keystore_file.c -- The keystore's file, its copies and the mirror. See keystore_file.h.
 */
#include "keystore/keystore_file.h"

#include "common/file.h"
#include "keystore/keyring.h"
#include "keystore/keystore_format.h"
#include "keystore/mirror.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0600
#define MIRROR_MODE 0644 /* nothing in it is secret, and backup tools of other users read it */

struct keystore_file {
    int home_fd;
    int dirfd;
    const char *name; /* in dirfd */
    const char *path; /* for messages */
    const SETTINGS *settings;
};

int
keystore_file_open(int home_fd, const SETTINGS *settings, KEYSTORE_FILE **filep, STATUS *status)
{
    KEYSTORE_FILE *file;
    int ret;

    *filep = NULL;
    if ((file = calloc(1, sizeof(*file))) == NULL)
        return (
          status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore's file"));
    file->settings = settings;
    file->dirfd = -1;
    if ((file->home_fd = fcntl(home_fd, F_DUPFD_CLOEXEC, 0)) == -1)
        goto sys;
    if (settings != NULL && settings->keystore != NULL) {
        file->path = settings->keystore;
        if ((ret = file_split_path(settings->keystore, &file->dirfd, &file->name, status)) != 0)
            goto err;
    } else {
        file->path = file->name = KEYRING_FILE;
        if ((file->dirfd = fcntl(home_fd, F_DUPFD_CLOEXEC, 0)) == -1)
            goto sys;
    }
    *filep = file;
    return (0);

sys:
    ret = status_set_errno(status, errno, "keystore-file", "cannot keep the home's directory open");
err:
    keystore_file_close(file);
    return (ret);
}

void
keystore_file_close(KEYSTORE_FILE *file)
{
    if (file == NULL)
        return;
    if (file->home_fd != -1)
        (void)close(file->home_fd);
    if (file->dirfd != -1)
        (void)close(file->dirfd);
    free(file);
}

const char *
keystore_file_path(const KEYSTORE_FILE *file)
{
    return (file->path);
}

int
keystore_file_lock(KEYSTORE_FILE *file, int timeout_ms, int *fdp, STATUS *status)
{
    char name[NAME_MAX + sizeof(".lock")];

    (void)snprintf(name, sizeof(name), "%s.lock", file->name);
    return (file_lock(file->dirfd, name, timeout_ms, fdp, status));
}

KEYSTORE_STAMP
keystore_file_stamp(KEYSTORE_FILE *file)
{
    KEYSTORE_STAMP stamp;

    memset(&stamp, 0, sizeof(stamp));
    stamp.is_set = fstatat(file->dirfd, file->name, &stamp.sb, AT_SYMLINK_NOFOLLOW) == 0;
    return (stamp);
}

int
keystore_file_read(KEYSTORE_FILE *file, bool *foundp, uint8_t **datap, size_t *lenp,
  KEYSTORE_STAMP *stamp, STATUS *status)
{
    int ret;

    /* Before the read: a file replaced in between then looks changed, and is read once more. */
    if (stamp != NULL)
        *stamp = keystore_file_stamp(file);
    ret = file_read(file->dirfd, file->name, KEYSTORE_MAX_BYTES, true, foundp, datap, lenp, status);
    if (ret != 0 && status->sys_errno == ELOOP)
        (void)status_hint(status, "name the keystore's real path with keystore: in wtkms.conf");
    return (ret);
}

bool
keystore_file_has_seal(KEYSTORE_FILE *file, const uint8_t seal[MAC_LEN])
{
    struct stat sb;
    STATUS ignored;
    uint8_t tail[MAC_LEN + 1];
    bool same;
    int fd;

    status_clear(&ignored);
    if (file_open_read(file->dirfd, file->name, true, NULL, &fd, &ignored) != 0)
        return (false);
    same =
      fstat(fd, &sb) == 0 && sb.st_size > (off_t)sizeof(tail) &&
      pread(fd, tail, sizeof(tail), sb.st_size - (off_t)sizeof(tail)) == (ssize_t)sizeof(tail) &&
      mac_equal(tail, seal, MAC_LEN);
    (void)close(fd);
    return (same);
}

bool
keystore_file_is_changed(KEYSTORE_FILE *file, const KEYSTORE_STAMP *stamp)
{
    struct stat sb;

    if (fstatat(file->dirfd, file->name, &sb, AT_SYMLINK_NOFOLLOW) != 0)
        return (true);
    return (!stamp->is_set || sb.st_dev != stamp->sb.st_dev || sb.st_ino != stamp->sb.st_ino ||
            sb.st_size != stamp->sb.st_size || sb.st_mtim.tv_sec != stamp->sb.st_mtim.tv_sec ||
            sb.st_mtim.tv_nsec != stamp->sb.st_mtim.tv_nsec ||
            sb.st_ctim.tv_sec != stamp->sb.st_ctim.tv_sec ||
            sb.st_ctim.tv_nsec != stamp->sb.st_ctim.tv_nsec);
}

/* --- what stands in a place, against what is to stand there */

/*
 * Refuse to overwrite anything but an older state of the same keystore: two nodes configured with
 * one path would destroy each other's keys, and a keystore that was put back must not take the
 * newer copies with it.
 */
static int
check_overwrite(
  const KEYSTORE_IMAGE *image, const char *path, const uint8_t *data, size_t len, STATUS *status)
{
    const KEYSTORE *keystore = image->keystore;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    int64_t generation;
    char text[KEYSTORE_UUID_TEXT];
    bool partial, differs;

    if (keystore_peek(data, len, uuid, &generation, &partial, status) != 0) {
        (void)status_set(status, STATUS_REFUSED, "keystore-copy-unknown",
          "%s is not a keystore, so it is not overwritten", path);
        return (status_hint(status, "move it away"));
    }
    if (memcmp(uuid, keystore->uuid, sizeof(uuid)) != 0) {
        /* A restored database has a new uuid, and its mirror still has its parent. */
        if (keystore->has_parent && memcmp(uuid, keystore->parent, sizeof(uuid)) == 0)
            return (0);
        keystore_uuid_text(uuid, text);
        (void)status_set(status, STATUS_REFUSED, "keystore-copy-other",
          "%s is of another keystore, %s, so it is not overwritten", path, text);
        return (status_hint(status, "give each database copies of its own, or move it away"));
    }
    /* Of the same generation but not the same: two lines of descent. */
    differs = !partial && (len != image->len || memcmp(data, image->data, len) != 0);
    if (generation > keystore->generation || (generation == keystore->generation && differs)) {
        (void)status_set(status, STATUS_REFUSED, "keystore-copy-newer",
          "%s has generation %" PRId64 " already, which the keystore (%" PRId64
          ") does not know: was an old one put back?",
          path, generation, keystore->generation);
        return (status_hint(status, "restore that copy, it may have keys that the keystore lacks"));
    }
    return (0);
}

static int
check_copy(const KEYSTORE_IMAGE *image, const char *path, bool *in_stepp, STATUS *status)
{
    const char *name;
    uint8_t *data = NULL;
    size_t len;
    int dirfd, ret;
    bool found;

    *in_stepp = false;
    if ((ret = file_split_path(path, &dirfd, &name, status)) != 0)
        return (status_add(status, "for the keystore's copy %s", path));
    if ((ret = file_read(dirfd, name, KEYSTORE_MAX_BYTES, true, &found, &data, &len, status)) !=
        0) {
        (void)status_add(status, "the keystore's copy %s", path);
        goto err;
    }
    if (found && len == image->len && memcmp(data, image->data, len) == 0)
        *in_stepp = true;
    else if (found)
        ret = check_overwrite(image, path, data, len, status);
    if (ret == 0 && !*in_stepp && faccessat(dirfd, ".", W_OK | X_OK, AT_EACCESS) != 0)
        ret = status_set_errno(
          status, errno, "keystore-copy", "cannot write the keystore's copy %s", path);

err:
    free(data);
    (void)close(dirfd);
    return (ret);
}

static int
write_copy(const KEYSTORE_IMAGE *image, const char *path, STATUS *status)
{
    const char *name;
    int dirfd, ret;

    if ((ret = file_split_path(path, &dirfd, &name, status)) == 0) {
        ret = file_replace(dirfd, name, image->data, image->len, FILE_MODE, false, status);
        (void)close(dirfd);
    }
    if (ret != 0)
        (void)status_add(status, "the keystore's copy %s", path);
    return (ret);
}

/* --- the mirror */

int
keystore_file_read_mirror(
  int home_fd, bool *foundp, bool *partialp, uint8_t **datap, size_t *lenp, STATUS *status)
{
    MIRROR mirror;
    uint8_t *text = NULL;
    size_t len;
    int ret;

    *foundp = *partialp = false;
    *datap = NULL;
    *lenp = 0;
    if ((ret = file_read(
           home_fd, MIRROR_FILE, MIRROR_MAX_BYTES, false, foundp, &text, &len, status)) != 0 ||
        !*foundp)
        return (ret);
    ret = mirror_parse((const char *)text, len, &mirror, status);
    free(text);
    if (ret != 0)
        return (ret);
    *foundp = mirror.has_keystore;
    *partialp = mirror.partial;
    *datap = mirror.keystore;
    *lenp = mirror.keystore_len;
    mirror.keystore = NULL;
    mirror_release(&mirror);
    return (0);
}

/* Put as much of the keystore into the text as the engine's limit of the file leaves room for. */
static int
render(const KEYSTORE_IMAGE *image, const uint8_t *old, size_t old_len, const char *engine_lines,
  char **textp, size_t *lenp, STATUS *status)
{
    KEYSTORE_PART part;
    uint8_t *encoded;
    const uint8_t *data;
    size_t len;
    int ret;

    for (part = KEYSTORE_WHOLE; part <= KEYSTORE_LEAST_PART; part++) {
        encoded = NULL;
        data = image->data;
        len = image->len;
        if (part != KEYSTORE_WHOLE) {
            if (keystore_encoded_least(image->keystore, part) > MIRROR_KEYSTORE_MAX_BYTES)
                continue;
            if ((ret = keystore_encode_part(image->keystore, part, image->seal_keys,
                   image->seal_key_count, &encoded, &len, status)) != 0)
                return (ret);
            data = encoded;
        }
        ret = len > MIRROR_KEYSTORE_MAX_BYTES
                ? STATUS_REFUSED
                : mirror_render((const char *)old, old_len, engine_lines, data, len,
                    part != KEYSTORE_WHOLE, textp, lenp, status);
        free(encoded);
        if (ret == 0)
            return (0);
        if (len <= MIRROR_KEYSTORE_MAX_BYTES && strcmp(status->id, "mirror-too-long") != 0)
            return (ret);
    }
    (void)status_set(status, STATUS_REFUSED, "mirror-too-long",
      MIRROR_FILE " has no room for the least part of the keystore: the engine takes %d bytes",
      MIRROR_MAX_BYTES);
    return (status_hint(status, "shorten the other lines of %s", MIRROR_FILE));
}

/*
 * The mirror's text as it is to be. *in_stepp: it is so already.
 */
static int
prepare_mirror(KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, const char *engine_lines,
  char **textp, size_t *lenp, bool *in_stepp, STATUS *status)
{
    MIRROR mirror;
    STATUS damage;
    uint8_t *old = NULL;
    size_t old_len = 0;
    bool found;
    int ret;

    *textp = NULL;
    *in_stepp = false;
    if ((ret = file_read(file->home_fd, MIRROR_FILE, MIRROR_MAX_BYTES, true, &found, &old, &old_len,
           status)) != 0)
        return (status_add(status, "the keystore's mirror"));
    /* A damaged copy tells nothing and is written anew. */
    status_clear(&damage);
    if (found && mirror_parse((const char *)old, old_len, &mirror, &damage) == 0) {
        if (mirror.has_keystore)
            ret = check_overwrite(
              image, "the copy in " MIRROR_FILE, mirror.keystore, mirror.keystore_len, status);
        mirror_release(&mirror);
        if (ret != 0 && strcmp(status->id, "keystore-copy-unknown") != 0)
            goto err;
    }
    if ((ret = render(image, old, old_len, engine_lines, textp, lenp, status)) == 0)
        *in_stepp = found && *lenp == old_len && memcmp(*textp, old, old_len) == 0;

err:
    free(old);
    return (ret);
}

int
keystore_file_write_mirror(
  KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, const char *engine_lines, STATUS *status)
{
    char *text;
    size_t len;
    bool in_step;
    int ret;

    if ((ret = prepare_mirror(file, image, engine_lines, &text, &len, &in_step, status)) == 0 &&
        !in_step)
        ret = file_replace(file->home_fd, MIRROR_FILE, text, len, MIRROR_MODE, false, status);
    free(text);
    return (ret);
}

/* --- all of them */

static size_t
copy_count(const KEYSTORE_FILE *file)
{
    return (file->settings == NULL ? 0 : file->settings->keystore_copies.count);
}

int
keystore_file_write(
  KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, bool keep_prev, STATUS *status)
{
    char *text;
    size_t i, len;
    bool in_step;
    int ret;

    if ((ret = prepare_mirror(file, image, NULL, &text, &len, &in_step, status)) != 0)
        return (ret);
    for (i = 0; ret == 0 && i < copy_count(file); i++)
        ret = check_copy(image, file->settings->keystore_copies.items[i], &in_step, status);
    if (ret == 0 && (ret = file_replace(file->dirfd, file->name, image->data, image->len, FILE_MODE,
                       keep_prev, status)) != 0)
        (void)status_add(status, "the keystore %s", file->path);
    for (i = 0; ret == 0 && i < copy_count(file); i++)
        ret = write_copy(image, file->settings->keystore_copies.items[i], status);
    if (ret == 0 && (ret = file_replace(
                       file->home_fd, MIRROR_FILE, text, len, MIRROR_MODE, false, status)) != 0)
        (void)status_add(status, "the keystore's mirror");
    free(text);
    return (ret);
}

bool
keystore_file_is_in_step(KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image)
{
    STATUS status;
    char *text;
    size_t i, len;
    bool in_step;

    status_clear(&status);
    for (i = 0; i < copy_count(file); i++)
        if (check_copy(image, file->settings->keystore_copies.items[i], &in_step, &status) != 0 ||
            !in_step)
            return (false);
    if (prepare_mirror(file, image, NULL, &text, &len, &in_step, &status) != 0)
        return (false);
    free(text);
    return (in_step);
}

int
keystore_file_repair(KEYSTORE_FILE *file, const KEYSTORE_IMAGE *image, STATUS *status)
{
    STATUS one;
    const char *path;
    size_t i;
    bool in_step;
    int ret = 0, one_ret;

    for (i = 0; i <= copy_count(file); i++) {
        status_clear(&one);
        if (i == copy_count(file))
            one_ret = keystore_file_write_mirror(file, image, NULL, &one);
        else {
            path = file->settings->keystore_copies.items[i];
            if ((one_ret = check_copy(image, path, &in_step, &one)) == 0 && !in_step)
                one_ret = write_copy(image, path, &one);
        }
        if (one_ret != 0 && ret == 0) {
            ret = one_ret;
            *status = one;
        }
    }
    return (ret);
}

int
keystore_file_keep_damaged(KEYSTORE_FILE *file, STATUS *status)
{
    char name[NAME_MAX + sizeof(".damaged")];

    (void)snprintf(name, sizeof(name), "%s.damaged", file->name);
    if ((unlinkat(file->dirfd, name, 0) == -1 && errno != ENOENT) ||
        linkat(file->dirfd, file->name, file->dirfd, name, 0) == -1)
        return (status_set_errno(
          status, errno, "keystore-damaged", "cannot keep the damaged %s as %s", file->name, name));
    return (0);
}
