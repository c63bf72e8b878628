/*
 * test/common/test_file_permissions.c -- Secret files, owners, groups, labels.
 */
#include "test/common/common_tests.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* --- secret files */

typedef struct {
    int fd;
    const char *text; /* expected in the message; NULL: accepted */
} SECRET_CASE;

static int
check_one(void *context)
{
    SECRET_CASE *c = context;
    STATUS s;
    int ret = file_check_secret(c->fd, "/etc/the.key", &s);

    if (c->text == NULL)
        return (ret == 0 ? 0 : 1);
    if (ret != STATUS_CONFIG || s.status_class != STATUS_CONFIG)
        return (2);
    if (strstr(s.message, "/etc/the.key") == NULL || strstr(s.message, c->text) == NULL ||
        s.hint[0] == '\0')
        return (3);
    return (0);
}

/* Every mode, with the file owned by us, by root and by somebody else. */
static void
test_secret_matrix(void)
{
    static const uid_t readers[] = {0, OTHER_UID}, owners[] = {0, OTHER_UID, OTHER_UID + 1};
    static const mode_t modes[] = {0400, 0600, 0700, 0440, 0640, 0740, 0660, 0620, 0610, 0650, 0604,
      0602, 0601, 0644, 0666, 0777, 0000, 02600, 04600};
    SECRET_CASE c;
    size_t reader, owner, mode;
    bool good;
    int dirfd = make_dir(NULL);

    if (!is_root("secret_matrix"))
        return;
    put_file(dirfd, "k", "x", 1, 0600);
    c.fd = openat(dirfd, "k", O_RDONLY | O_CLOEXEC);
    for (reader = 0; reader < 2; reader++)
        for (owner = 0; owner < 3; owner++)
            for (mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
                CU_ASSERT_EQUAL(fchown(c.fd, owners[owner], 0), 0);
                CU_ASSERT_EQUAL(fchmod(c.fd, modes[mode]), 0);
                if (owners[owner] != 0 && owners[owner] != readers[reader])
                    c.text = "is owned by user id";
                else {
                    good = (modes[mode] & (owners[owner] == 0 ? 0037 : 0077)) == 0;
                    c.text = good                 ? NULL
                             : owners[owner] == 0 ? "at most 0640 is allowed"
                                                  : "at most 0600 is allowed";
                }
                CU_ASSERT_EQUAL(in_child(readers[reader], check_one, &c), 0);
            }
    (void)close(c.fd);
    (void)close(dirfd);
}

static void
test_secret_own_file(void)
{
    int dirfd = make_dir(NULL), fd;
    STATUS s;

    put_file(dirfd, "k", "x", 1, 0600);
    fd = openat(dirfd, "k", O_RDONLY | O_CLOEXEC);
    CU_ASSERT_EQUAL(file_check_secret(fd, "k", &s), 0);
    CU_ASSERT_EQUAL(fchmod(fd, 0644), 0);
    CHECK_STATUS(file_check_secret(fd, "k", &s), &s, STATUS_CONFIG, "has mode 0644");
    CU_ASSERT_EQUAL(strncmp(s.hint, "chmod 06", 8), 0);
    (void)close(fd);
    CHECK_STATUS(file_check_secret(fd, "k", &s), &s, STATUS_CONFIG, "cannot stat");
    CHECK_STATUS(file_check_secret(dirfd, "k", &s), &s, STATUS_CONFIG, "not a regular file");
    (void)close(dirfd);
}

/* --- owners */

static void
test_owner_is_kept(void)
{
    int dirfd = make_dir(NULL);
    struct stat sb;
    STATUS s;

    if (!is_root("owner_is_kept"))
        return;
    put_file(dirfd, "f", "old", 3, 0640);
    CU_ASSERT_EQUAL(fchownat(dirfd, "f", OTHER_UID, OTHER_UID + 1, 0), 0);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "new", 3, 0600, true, &s), 0);
    CU_ASSERT_EQUAL(fstatat(dirfd, "f", &sb, 0), 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_gid == OTHER_UID + 1 && (sb.st_mode & 07777) == 0640);
    CU_ASSERT_EQUAL(fstatat(dirfd, "f.prev", &sb, 0), 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_gid == OTHER_UID + 1 && (sb.st_mode & 07777) == 0640);

    /* A new one is the directory's owner's, or the database could not read what root made. */
    CU_ASSERT_EQUAL(fchown(dirfd, OTHER_UID, OTHER_UID + 1), 0);
    CU_ASSERT_EQUAL(file_replace(dirfd, "g", "new", 3, 0600, true, &s), 0);
    CU_ASSERT_EQUAL(fstatat(dirfd, "g", &sb, 0), 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_gid == OTHER_UID + 1 && (sb.st_mode & 07777) == 0600);
    CU_ASSERT_EQUAL(file_create(dirfd, "h", "new", 3, 0600, &s), 0);
    CU_ASSERT_EQUAL(fstatat(dirfd, "h", &sb, 0), 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_gid == OTHER_UID + 1);
    (void)close(dirfd);
}

typedef struct {
    int dirfd;
    const char *name;
    int sys_errno;
} REPLACE_CASE;

static int
replace_one(void *context)
{
    REPLACE_CASE *c = context;
    STATUS s;
    int ret = file_replace(c->dirfd, c->name, "new", 3, 0660, true, &s);

    if (c->sys_errno == 0)
        return (ret);
    return (ret == STATUS_IO && s.sys_errno == c->sys_errno ? 0 : 1);
}

static void
test_group_without_right(void)
{
    REPLACE_CASE c = {make_dir(NULL), "f", 0};
    struct stat sb;

    if (!is_root("group_without_right"))
        return;
    CU_ASSERT_EQUAL(fchown(c.dirfd, OTHER_UID, OTHER_UID), 0);
    put_file(c.dirfd, "f", "old", 3, 0664);
    CU_ASSERT_EQUAL(fchownat(c.dirfd, "f", OTHER_UID, 0, 0), 0);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    CU_ASSERT_EQUAL(fstatat(c.dirfd, "f", &sb, 0), 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_gid == OTHER_UID);
    CU_ASSERT_EQUAL(sb.st_mode & 07777, 0604); /* the group's bits were not for this group */
    CU_ASSERT(file_holds(c.dirfd, "f", "new", -1) && file_holds(c.dirfd, "f.prev", "old", -1));

    /* A first file: the directory's group is not asked for. */
    CU_ASSERT_EQUAL(fchown(c.dirfd, OTHER_UID, 0), 0);
    c.name = "first";
    CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    CU_ASSERT_EQUAL(fstatat(c.dirfd, "first", &sb, 0), 0);
    CU_ASSERT(sb.st_gid == OTHER_UID && (sb.st_mode & 07777) == 0660);
    (void)close(c.dirfd);
}

/*
 * Root's file in the database's directory: the kernel refuses a hard link to it (where
 * fs.protected_hardlinks is set), so the previous one must be a copy.
 */
static void
test_previous_of_another_owner(void)
{
    REPLACE_CASE c = {make_dir(NULL), "f", 0};
    struct stat sb, prev;

    if (!is_root("previous_of_another_owner"))
        return;
    CU_ASSERT_EQUAL(fchown(c.dirfd, OTHER_UID, OTHER_UID), 0);
    put_file(c.dirfd, "f", "old content", 11, 0644);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    CU_ASSERT(
      file_holds(c.dirfd, "f", "new", -1) && file_holds(c.dirfd, "f.prev", "old content", -1));
    CU_ASSERT_EQUAL(count_entries(c.dirfd), 2);
    CU_ASSERT(fstatat(c.dirfd, "f", &sb, 0) == 0 && fstatat(c.dirfd, "f.prev", &prev, 0) == 0);
    CU_ASSERT(sb.st_uid == OTHER_UID && sb.st_ino != prev.st_ino);
    (void)close(c.dirfd);
}

static void
test_no_right_to_write(void)
{
    REPLACE_CASE c = {make_dir(NULL), "f", EACCES};

    if (!is_root("no_right_to_write"))
        return;
    put_file(c.dirfd, "f", "old", 3, 0644);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    /* An old file that cannot be read: its label and content could not be kept. */
    CU_ASSERT_EQUAL(fchown(c.dirfd, OTHER_UID, OTHER_UID), 0);
    CU_ASSERT_EQUAL(fchmodat(c.dirfd, "f", 0600, 0), 0);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    CU_ASSERT(file_holds(c.dirfd, "f", "old", -1));
    CU_ASSERT_EQUAL(count_entries(c.dirfd), 1);
    (void)close(c.dirfd);
}

/* --- labels */

#define LABEL "system_u:object_r:mongod_var_lib_t:s0"

static void
test_selinux_label(void)
{
    int dirfd = make_dir(NULL), fd;
    char label[200];
    ssize_t len;
    STATUS s;

    put_file(dirfd, "f", "old", 3, 0600);
    fd = openat(dirfd, "f", O_RDONLY | O_CLOEXEC);
    if (fsetxattr(fd, "security.selinux", LABEL, sizeof(LABEL), 0) == -1) {
        (void)printf("(left out: no label can be set here: %s) ", strerror(errno));
        (void)close(fd);
        (void)close(dirfd);
        return;
    }
    (void)close(fd);
    CU_ASSERT_EQUAL(file_replace(dirfd, "f", "new", 3, 0600, true, &s), 0);
    fd = openat(dirfd, "f", O_RDONLY | O_CLOEXEC);
    len = fgetxattr(fd, "security.selinux", label, sizeof(label));
    CU_ASSERT(len == sizeof(LABEL) && memcmp(label, LABEL, sizeof(LABEL)) == 0);
    (void)close(fd);
    CU_ASSERT(file_holds(dirfd, "f", "new", -1));

    /* A user who may not set labels, on a system where they mean nothing: still written. */
    if (geteuid() == 0 && access("/sys/fs/selinux/enforce", F_OK) == -1) {
        REPLACE_CASE c = {dirfd, "f", 0};

        CU_ASSERT_EQUAL(fchown(dirfd, OTHER_UID, OTHER_UID), 0);
        CU_ASSERT_EQUAL(fchownat(dirfd, "f", OTHER_UID, OTHER_UID, 0), 0);
        CU_ASSERT_EQUAL(in_child(OTHER_UID, replace_one, &c), 0);
    }
    (void)close(dirfd);
}

const TEST file_permission_tests[] = {{"secret_matrix", test_secret_matrix},
  {"secret_own_file", test_secret_own_file}, {"owner_is_kept", test_owner_is_kept},
  {"group_without_right", test_group_without_right},
  {"previous_of_another_owner", test_previous_of_another_owner},
  {"no_right_to_write", test_no_right_to_write}, {"selinux_label", test_selinux_label},
  {NULL, NULL}};
