/*
 * test/support.c -- Directories, files and child processes for the CUnit programs. See support.h.
 */
#include "test/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int
make_dir(const char **pathp)
{
    static char path[4200];
    static unsigned number;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/d%u", test_scratch(), ++number);
    if (mkdir(path, 0755) == -1 || chmod(path, 0755) == -1 || chmod(test_scratch(), 0755) == -1 ||
        (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
        perror(path);
        exit(1);
    }
    if (pathp != NULL)
        *pathp = path;
    return (fd);
}

void
put_file(int dirfd, const char *name, const void *data, size_t len, mode_t mode)
{
    int fd;

    (void)unlinkat(dirfd, name, 0);
    fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd == -1 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode) == -1 ||
        close(fd) == -1) {
        perror(name);
        exit(1);
    }
}

bool
file_holds(int dirfd, const char *name, const void *data, ssize_t len)
{
    size_t want = len == -1 ? strlen(data) : (size_t)len, got = 0;
    char *buf = malloc(want + 1);
    ssize_t n;
    bool same;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (buf == NULL)
        exit(1);
    while (fd != -1 && got <= want && (n = read(fd, buf + got, want + 1 - got)) > 0)
        got += (size_t)n;
    same = fd != -1 && got == want && memcmp(buf, data, want) == 0;
    free(buf);
    if (fd != -1)
        (void)close(fd);
    return (same);
}

bool
exists(int dirfd, const char *name)
{
    struct stat sb;

    return (fstatat(dirfd, name, &sb, AT_SYMLINK_NOFOLLOW) == 0);
}

unsigned
count_entries(int dirfd)
{
    DIR *dir = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned count = 0;

    if (dir == NULL)
        exit(1);
    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return (count - 2);
}

int
count_proc(const char *directory)
{
    DIR *dir = opendir(directory);
    int n = 0;

    if (dir == NULL)
        return (-1);
    while (readdir(dir) != NULL)
        n++;
    (void)closedir(dir);
    return (n);
}

bool
is_root(const char *test)
{
    if (geteuid() == 0)
        return (true);
    (void)printf("(left out: %s needs root) ", test);
    return (false);
}

/* A coverage build writes its counters at exit, which _exit leaves out. */
void __gcov_dump(void) __attribute__((weak));

int
in_child(uid_t uid, int (*run)(void *context), void *context)
{
    pid_t pid;
    int ret, wstatus;

    (void)fflush(NULL);
    if ((pid = fork()) == 0) {
        if (uid != 0 && (setgroups(0, NULL) == -1 || setresgid(uid, uid, uid) == -1 ||
                          setresuid(uid, uid, uid) == -1))
            _exit(254);
        ret = run(context);
        if (__gcov_dump != NULL)
            __gcov_dump();
        _exit(ret);
    }
    if (pid == -1 || waitpid(pid, &wstatus, 0) != pid || !WIFEXITED(wstatus))
        return (-1);
    return (WEXITSTATUS(wstatus));
}

void
check_status(const char *file, unsigned line, int ret, const STATUS *status,
  STATUS_CLASS expected_class, const char *text)
{
    char buf[2048];
    bool good = ret == (int)expected_class && status->status_class == expected_class &&
                strstr(status_format(status, buf, sizeof(buf)), text) != NULL;

    if (!good)
        (void)printf("\n    returned %d, expected class %d with \"%s\": %s\n", ret,
          (int)expected_class, text, ret == 0 ? "(success)" : buf);
    CU_assertImplementation(good, line, "status", file, "", CU_FALSE);
}
