/*
 * test/engine/files.c -- Files and programs of the engine tests. See engine.h.
 */
#include "test/engine/engine.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROGRAM_SECONDS 60
#define PROGRAM_OUTPUT_MAX ((size_t)64 << 20)

void
path_join(char *buf, size_t size, const char *dir, const char *name)
{
    REQUIRE((size_t)snprintf(buf, size, "%s/%s", dir, name) < size);
}

/* Walk a directory tree; the callback gets directory, name, and the path below the top. */
typedef void (*VISIT)(void *cookie, const char *path, const char *below);

static int
entry_filter(const struct dirent *entry)
{
    return (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0);
}

static void
walk(const char *top, const char *below, VISIT visit, void *cookie)
{
    struct dirent **entries = NULL;
    struct stat sb;
    int count, i;
    char child[PATH_MAX], path[PATH_MAX];

    path_join(path, sizeof(path), top, below);
    count = scandir(path, &entries, entry_filter, alphasort);
    REQUIRE(count >= 0);
    for (i = 0; i < count; i++) {
        if (below[0] == '\0')
            (void)snprintf(child, sizeof(child), "%s", entries[i]->d_name);
        else
            path_join(child, sizeof(child), below, entries[i]->d_name);
        path_join(path, sizeof(path), top, child);
        free(entries[i]);
        /* A file that is gone by now (a log that was removed) is no finding. */
        if (stat(path, &sb) != 0)
            continue;
        if (S_ISDIR(sb.st_mode))
            walk(top, child, visit, cookie);
        else if (S_ISREG(sb.st_mode))
            visit(cookie, path, child);
    }
    free(entries);
}

typedef struct {
    const char *text;
    int64_t hits;
} SEARCH;

static void
search_one(void *cookie, const char *path, const char *below)
{
    SEARCH *search = cookie;
    struct stat sb;
    size_t length = strlen(search->text);
    char *end, *map, *p;
    int fd;

    (void)below;
    /* mmap and not read: no allocation for a file of any size. The lock is not opened while ours. */
    if (strstr(path, "WiredTiger.lock") != NULL || (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return;
    if (fstat(fd, &sb) == 0 && (size_t)sb.st_size >= length) {
        map = mmap(NULL, (size_t)sb.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        REQUIRE(map != MAP_FAILED);
        end = map + sb.st_size;
        for (p = map; (p = memmem(p, (size_t)(end - p), search->text, length)) != NULL; p += length)
            search->hits++;
        (void)munmap(map, (size_t)sb.st_size);
    }
    (void)close(fd);
}

int64_t
files_search(const char *dir, const char *text)
{
    SEARCH search = {text, 0};

    walk(dir, "", search_one, &search);
    return (search.hits);
}

int64_t
file_search(const char *dir, const char *name, const char *text)
{
    SEARCH search = {text, 0};
    char path[PATH_MAX];

    path_join(path, sizeof(path), dir, name);
    REQUIRE(access(path, R_OK) == 0);
    search_one(&search, path, name);
    return (search.hits);
}

static void
copy_one(const char *from, const char *to)
{
    char buf[65536];
    ssize_t n;
    int in, out;

    in = open(from, O_RDONLY | O_CLOEXEC);
    REQUIRE(in >= 0);
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    REQUIRE(out >= 0);
    while ((n = read(in, buf, sizeof(buf))) > 0)
        REQUIRE(write(out, buf, (size_t)n) == n);
    REQUIRE(n == 0);
    (void)close(in);
    REQUIRE(close(out) == 0);
}

/* Make the directories that a path below to_dir needs. */
static void
make_parents(const char *to_dir, const char *below)
{
    char part[PATH_MAX], path[PATH_MAX], *slash;

    (void)snprintf(part, sizeof(part), "%s", below);
    for (slash = part; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
        *slash = '\0';
        path_join(path, sizeof(path), to_dir, part);
        REQUIRE(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
}

void
file_copy(const char *from_dir, const char *to_dir, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];

    make_parents(to_dir, name);
    path_join(from, sizeof(from), from_dir, name);
    path_join(to, sizeof(to), to_dir, name);
    copy_one(from, to);
}

static void
copy_visit(void *cookie, const char *path, const char *below)
{
    char to[PATH_MAX];

    /* Reading the lock's file in the process that holds it would release it. */
    if (strcmp(below, "WiredTiger.lock") == 0)
        return;
    make_parents(cookie, below);
    path_join(to, sizeof(to), cookie, below);
    copy_one(path, to);
}

void
files_copy(const char *from, const char *to)
{
    REQUIRE(mkdir(to, 0700) == 0 || errno == EEXIST);
    walk(from, "", copy_visit, (void *)(uintptr_t)to);
}

static int
remove_one(const char *path, const struct stat *sb, int flag, struct FTW *ftw)
{
    (void)sb;
    (void)flag;
    (void)ftw;
    return (remove(path));
}

void
files_remove(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int64_t
file_size(const char *dir, const char *name)
{
    struct stat sb;
    char path[PATH_MAX];

    path_join(path, sizeof(path), dir, name);
    return (stat(path, &sb) == 0 ? (int64_t)sb.st_size : -1);
}

bool
file_exists(const char *dir, const char *name)
{
    return (file_size(dir, name) >= 0);
}

void
file_write(const char *dir, const char *name, const void *data, size_t size, unsigned mode)
{
    int fd;
    char path[PATH_MAX];

    path_join(path, sizeof(path), dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    REQUIRE(fd >= 0);
    REQUIRE(write(fd, data, size) == (ssize_t)size);
    REQUIRE(close(fd) == 0);
}

static void
fingerprint_bytes(uint64_t *hash, const void *data, size_t size)
{
    const unsigned char *p = data;
    size_t i;

    for (i = 0; i < size; i++)
        *hash = (*hash ^ p[i]) * 1099511628211U;
}

static void
fingerprint_one(void *cookie, const char *path, const char *below)
{
    char buf[65536];
    ssize_t n;
    int fd;

    if (strstr(below, ".lock") != NULL || strstr(below, "wtkms.state") != NULL)
        return;
    fingerprint_bytes(cookie, below, strlen(below) + 1);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        fingerprint_bytes(cookie, buf, (size_t)n);
    (void)close(fd);
}

uint64_t
files_fingerprint(const char *dir)
{
    uint64_t hash = 14695981039346656037U;

    walk(dir, "", fingerprint_one, &hash);
    return (hash);
}

/* Read until end of file or the deadline; false when the deadline came first. */
static bool
drain(int fd, char **outputp, double deadline)
{
    struct pollfd pollfd = {.fd = fd, .events = POLLIN};
    size_t size = 0, space = 0;
    ssize_t n;
    char *output = NULL;
    double left;

    for (;;) {
        if (space - size < 65536) {
            output = realloc(output, space += 262144);
            REQUIRE(output != NULL);
        }
        left = deadline - engine_seconds();
        if (left <= 0 || size > PROGRAM_OUTPUT_MAX)
            break;
        if (poll(&pollfd, 1, (int)(left * 1000) + 1) <= 0)
            continue;
        n = read(fd, output + size, space - size - 1);
        if (n <= 0)
            break;
        size += (size_t)n;
    }
    output[size] = '\0';
    *outputp = output;
    return (engine_seconds() < deadline);
}

int
program_run(char **outputp, const char *const argv[])
{
    pid_t pid;
    int fds[2], status;
    char *output = NULL;

    REQUIRE(pipe(fds) == 0);
    (void)fflush(NULL);
    pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)dup2(fds[1], STDERR_FILENO);
        (void)close(fds[0]);
        (void)close(fds[1]);
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
        perror(argv[0]);
        _exit(127);
    }
    (void)close(fds[1]);
    if (!drain(fds[0], &output, engine_seconds() + PROGRAM_SECONDS))
        (void)kill(pid, SIGKILL);
    (void)close(fds[0]);
    REQUIRE(waitpid(pid, &status, 0) == pid);
    if (outputp != NULL)
        *outputp = output;
    else
        free(output);
    return (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void
collect(const char **argv, int used, int size, va_list ap)
{
    do {
        REQUIRE(used < size);
        argv[used] = va_arg(ap, const char *);
    } while (argv[used++] != NULL);
}

int
wt_run(HOST *host, char **outputp, ...)
{
    va_list ap;
    const char *argv[32];
    char wt[PATH_MAX];

    (void)snprintf(wt, sizeof(wt), "%s/bin/wt", getenv("ENGINE_DIR"));
    argv[0] = wt;
    argv[1] = "-h";
    argv[2] = host->home;
    argv[3] = "-C";
    argv[4] = host_wt_config(host);
    va_start(ap, outputp);
    collect(argv, 5, 32, ap);
    va_end(ap);
    return (program_run(outputp, argv));
}

int
wtkms_run(HOST *host, char **outputp, ...)
{
    va_list ap;
    const char *argv[32];
    int used;

    argv[0] = getenv("WTKMS_COMMAND");
    va_start(ap, outputp);
    collect(argv, 1, 29, ap);
    va_end(ap);
    for (used = 1; argv[used] != NULL; used++)
        ;
    argv[used] = "--config";
    argv[used + 1] = host->config_file;
    argv[used + 2] = NULL;
    return (program_run(outputp, argv));
}
