/*
 * cli/target.c -- Homes and their owners. See target.h.
 */
#include "cli/target.h"

#include "cli/cli.h"
#include "common/file.h"
#include "datafile/engine_lock.h"
#include "datafile/home.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * The effective ids alone: what the owner may not do fails, and root's own files can be reached again.
 */
static int
become(uid_t uid, gid_t gid, STATUS *status)
{
    struct passwd *pw;

    if ((pw = getpwuid(uid)) != NULL ? initgroups(pw->pw_name, gid) != 0 : setgroups(1, &gid) != 0)
        return (status_set_errno(status, errno, "owner", "groups of user %u", (unsigned)uid));
    if (setegid(gid) != 0 || seteuid(uid) != 0)
        return (status_set_errno(
          status, errno, "owner", "going on as user %u, the home's owner", (unsigned)uid));
    return (0);
}

int
target_as_owner(TARGET *target, STATUS *status)
{
    struct stat sb;

    if (geteuid() != 0)
        return (0);
    if (fstat(target->fd, &sb) != 0)
        return (status_set_errno(status, errno, "home", "%s", target->path));
    if (sb.st_uid == 0)
        return (0);
    target->switched = true;
    return (become(sb.st_uid, sb.st_gid, status));
}

int
target_as_caller(TARGET *target, STATUS *status)
{
    gid_t gid = getgid();

    if (!target->switched)
        return (0);
    if (seteuid(getuid()) != 0 || setegid(gid) != 0 || setgroups(1, &gid) != 0)
        return (
          status_set_errno(status, errno, "owner", "going back to user %u", (unsigned)getuid()));
    target->switched = false;
    return (0);
}

int
target_open(const char *path, TARGET *target, STATUS *status)
{
    int ret;

    memset(target, 0, sizeof(*target));
    target->path = path;
    target->fd = -1;
    if ((ret = file_open_dir(path, &target->fd, status)) != 0) {
        if (status->sys_errno == ENOENT)
            (void)status_hint(status, "look at the path; a directory for a new database is made "
                                      "for its user: install -d -m "
                                      "0700 -o USER DIRECTORY");
        return (ret);
    }
    if ((ret = target_as_owner(target, status)) != 0)
        target_close(target);
    return (ret);
}

int
target_load(TARGET *target, const char *path, STATUS *status)
{
    int ret;

    if (path == NULL)
        path = CLI_DEFAULT_CONFIG;
    if ((ret = settings_load(path, &target->settings, status)) == 0)
        return (0);
    if (status->sys_errno == EACCES && target->switched)
        (void)status_hint(status,
          "it is read as the owner of %s, as the database will read it: permit that", target->path);
    return (ret);
}

void
target_close(TARGET *target)
{
    STATUS ignored;

    settings_free(target->settings);
    target->settings = NULL;
    if (target->fd >= 0)
        (void)close(target->fd);
    target->fd = -1;
    if (target_as_caller(target, &ignored) != 0)
        target->switched = false; /* the process is about to end */
}

int
target_host_running(const TARGET *target, bool *runningp, pid_t *pidp, STATUS *status)
{
    int ret;

    ret = engine_lock_look(target->fd, target->path, runningp, pidp, status);
    /* No engine has a link there for its lock. */
    return (ret != 0 && status->sys_errno == ELOOP ? 0 : ret);
}

int
target_refuse_running(const TARGET *target, STATUS *status)
{
    pid_t pid;
    int ret;
    bool running;

    if ((ret = target_host_running(target, &running, &pid, status)) != 0)
        return (ret);
    if (!running)
        return (home_refuse_unfinished(target->fd, status));
    (void)status_set(
      status, STATUS_BUSY, "host-running", "process %ld has %s open", (long)pid, target->path);
    return (status_hint(status, "stop the database first"));
}
