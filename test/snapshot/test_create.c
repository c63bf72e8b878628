/*
 * test/snapshot/test_create.c -- A copy made and removed, stopped at every system call: what is left is nothing,
 * something that says that it is unfinished, or a whole copy. Files that look like a plain home do for this; test/cli
 * and test/engine have real ones.
 */
#include "rotation/copy_lock.h"
#include "snapshot/create.h"
#include "snapshot/expire.h"
#include "snapshot/inventory.h"
#include "test/support.h"
#include "test/syscall_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_CALLS 4000
#define LATER INT64_C(4102444800000) /* 2100 */

typedef struct {
    int home_fd, parent_fd;
    const char *home;
    char parent[512], copy[600];
    bool expire; /* instead of create */
    bool stream;
} JOB;

static const struct {
    const char *name, *text;
} home_files[] = {{"WiredTiger", "WiredTiger\n"}, {"WiredTiger.wt", "metadata"},
  {"WiredTiger.turtle", "WiredTiger version string\n"}, {"a.wt", "table"}, {"db/b.wt", "another"},
  {"db/deep/c.wt", ""}, {"WiredTiger.config", "# mine\n"}};

static void
open_job(JOB *job)
{
    const char *path;
    size_t i;
    int fd;

    memset(job, 0, sizeof(*job));
    job->home_fd = make_dir(&path);
    job->home = strdup(path);
    CU_ASSERT_FATAL(job->home != NULL && mkdirat(job->home_fd, "db", 0700) == 0 &&
                    mkdirat(job->home_fd, "db/deep", 0700) == 0);
    for (i = 0; i < sizeof(home_files) / sizeof(home_files[0]); i++)
        put_file(
          job->home_fd, home_files[i].name, home_files[i].text, strlen(home_files[i].text), 0600);
    job->parent_fd = make_dir(&path);
    (void)snprintf(job->parent, sizeof(job->parent), "%s", path);
    (void)snprintf(job->copy, sizeof(job->copy), "%s/copy", path);
    CU_ASSERT_FATAL((fd = openat(job->home_fd, "WiredTiger.lock", O_CREAT | O_RDWR, 0600)) >= 0);
    (void)close(fd);
}

static void
close_job(JOB *job)
{
    (void)close(job->home_fd);
    (void)close(job->parent_fd);
    free((char *)(uintptr_t)job->home);
}

static int
make_copy(void *context)
{
    JOB *job = context;
    CREATE_OPTIONS options = {.home = job->home,
      .method = MANIFEST_STOPPED,
      .destination = job->copy,
      .keep_until = 1000,
      .program = "test"};
    CREATE_RESULT result;
    STATUS status;
    int ret;

    if (job->stream) {
        options.destination = NULL;
        options.stream_fd = openat(job->parent_fd, "copy.tar", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    }
    ret = create_copy(job->home_fd, &options, &result, &status);
    create_release(&result);
    if (job->stream)
        (void)close(options.stream_fd);
    return (ret);
}

static int
remove_copy(void *context)
{
    JOB *job = context;
    EXPIRE expire;
    STATUS status;
    int fd, ret;

    if ((fd = openat(job->parent_fd, "copy", O_RDONLY | O_DIRECTORY)) < 0)
        return (STATUS_IO);
    if ((ret = expire_check_dir(fd, job->copy, LATER, &expire, &status)) == 0)
        ret = expire_remove_dir(fd, job->copy, &expire, &status);
    expire_release(&expire);
    (void)close(fd);
    return (ret);
}

static void
clear(JOB *job)
{
    char command[700];

    (void)snprintf(command, sizeof(command), "rm -rf '%s'", job->copy);
    CU_ASSERT_FATAL(system(command) == 0);
}

typedef enum { LEFT_NOTHING, LEFT_UNFINISHED, LEFT_WHOLE, LEFT_WRONG } LEFT;

/* What a list says of it. */
static LEFT
what_is_left(JOB *job)
{
    INVENTORY inventory;
    STATUS status;
    struct stat sb;
    LEFT left = LEFT_WRONG;
    int fd;
    bool marked;

    if ((fd = openat(job->parent_fd, "copy", O_RDONLY | O_DIRECTORY)) < 0)
        return (LEFT_NOTHING);
    marked = fstatat(fd, MANIFEST_UNFINISHED_FILE, &sb, 0) == 0;
    if (count_entries(fd) == 0)
        left = LEFT_NOTHING;
    (void)close(fd);
    if (left == LEFT_NOTHING)
        return (left);
    memset(&inventory, 0, sizeof(inventory));
    if (inventory_scan(&inventory, job->parent, &status) == 0) {
        if (marked && inventory_is_unjudged(&inventory))
            left = LEFT_UNFINISHED;
        else if (!marked && inventory.count == 1 && inventory.copies[0].keep_until == 1000 &&
                 inventory.copies[0].files >= 7)
            left = LEFT_WHOLE;
    }
    inventory_release(&inventory);
    return (left);
}

/* The manifest and the files, hashes compared. */
static bool
is_whole(JOB *job)
{
    EXPIRE expire;
    STATUS status;
    size_t i;
    int fd, ret;
    bool same = true;

    if ((fd = openat(job->parent_fd, "copy", O_RDONLY | O_DIRECTORY)) < 0)
        return (false);
    ret = expire_check_dir(fd, job->copy, LATER, &expire, &status);
    for (i = 0; i < sizeof(home_files) / sizeof(home_files[0]); i++)
        same = same && file_holds(fd, home_files[i].name, home_files[i].text, -1);
    same = same && expire.manifest != NULL &&
           expire.manifest->entry_count == sizeof(home_files) / sizeof(home_files[0]);
    expire_release(&expire);
    (void)close(fd);
    return (ret == 0 && same);
}

static bool
is_sound(JOB *job, TRACE_ACTION action, const TRACE *trace)
{
    LEFT left = what_is_left(job);
    bool done = trace->exited && trace->exit_code == 0;

    if (left == LEFT_WHOLE && !is_whole(job))
        return (false);
    if (job->expire)
        /* Whole as long as the marker is not there; then on, by the same call again. */
        return (
          left != LEFT_WRONG && (done ? left == LEFT_NOTHING : true) &&
          (left == LEFT_NOTHING || (remove_copy(job) == 0 && what_is_left(job) == LEFT_NOTHING)));
    if (done)
        return (left == LEFT_WHOLE);
    /* What fails cleans up, but where the removal itself cannot be done. */
    return (
      action == TRACE_KILL ? left != LEFT_WRONG : left == LEFT_NOTHING || left == LEFT_UNFINISHED);
}

static void
stop_everywhere(JOB *job, TRACE_ACTION action, int error)
{
    TRACE trace;
    unsigned acted = 0, at;
    int ret;

    for (at = 1; at < MOST_CALLS; at++) {
        clear(job);
        if (job->expire) {
            CU_ASSERT_FATAL(make_copy(job) == 0);
        }
        memset(&trace, 0, sizeof(trace));
        trace.action = action;
        trace.at = at;
        trace.error = error;
        if ((ret = syscall_trace(job->expire ? remove_copy : make_copy, job, &trace)) != 0) {
            (void)fprintf(stderr, "not traced here: %s\n", strerror(ret));
            return;
        }
        if (!trace.acted)
            break;
        acted++;
        if (!is_sound(job, action, &trace)) {
            (void)fprintf(stderr, "action %d at call %u (number %ld), exit %d, left %d\n",
              (int)action, at, trace.call, trace.exit_code, (int)what_is_left(job));
            CU_FAIL("what was stopped left something that is not sound");
        }
    }
    CU_ASSERT(acted > 20 && at < MOST_CALLS);
}

static void
test_create(void)
{
    JOB job;

    open_job(&job);
    stop_everywhere(&job, TRACE_KILL, 0);
    stop_everywhere(&job, TRACE_FAIL, ENOSPC);
    stop_everywhere(&job, TRACE_FAIL, EIO);
    clear(&job);
    CU_ASSERT_EQUAL(make_copy(&job), 0);
    CU_ASSERT_TRUE(is_whole(&job));
    close_job(&job);
}

static void
test_expire(void)
{
    JOB job;

    open_job(&job);
    job.expire = true;
    stop_everywhere(&job, TRACE_KILL, 0);
    stop_everywhere(&job, TRACE_FAIL, EIO);
    close_job(&job);
}

/* A stream that fails never ends as if it were whole. */
static void
test_stream(void)
{
    JOB job;
    TRACE trace;
    EXPIRE expire;
    STATUS status;
    unsigned at, whole = 0;
    int ret;

    open_job(&job);
    job.stream = true;
    for (at = 1; at < MOST_CALLS; at++) {
        memset(&trace, 0, sizeof(trace));
        trace.action = TRACE_FAIL;
        trace.at = at;
        trace.error = ENOSPC;
        (void)unlinkat(job.parent_fd, "copy.tar", 0);
        if (syscall_trace(make_copy, &job, &trace) != 0)
            break;
        ret = expire_check_archive(job.parent_fd, "copy.tar", "copy.tar", LATER, &expire, &status);
        expire_release(&expire);
        whole += ret == 0;
        if (trace.exited && trace.exit_code == 0)
            CU_ASSERT_EQUAL(ret, 0);
        if (!trace.acted)
            break;
    }
    CU_ASSERT(at > 20 && at < MOST_CALLS && whole >= 1);
    close_job(&job);
}

/* --- copies and who takes keys away */

static void
on_wait(void *context)
{
    ++*(unsigned *)context;
}

static void
test_lock(void)
{
    STATUS status;
    unsigned waited = 0;
    int alone, dir = make_dir(NULL), first, second;

    CU_ASSERT_EQUAL(copy_lock_share(dir, 0, &first, &status), 0);
    CU_ASSERT_EQUAL(copy_lock_share(dir, 0, &second, &status), 0);
    CHECK_STATUS(copy_lock_alone(dir, 120, on_wait, &waited, &alone, &status), &status, STATUS_BUSY,
      "a copy of this home is being made");
    CU_ASSERT_EQUAL(waited, 1);
    CU_ASSERT_EQUAL(alone, -1);
    (void)close(first);
    CU_ASSERT_EQUAL(copy_lock_alone(dir, 0, NULL, NULL, &alone, &status), STATUS_BUSY);
    (void)close(second);
    CU_ASSERT_EQUAL(copy_lock_alone(dir, 0, on_wait, &waited, &alone, &status), 0);
    CU_ASSERT_EQUAL(waited, 1);
    CHECK_STATUS(copy_lock_share(dir, 60, &first, &status), &status, STATUS_BUSY, "taken away");
    CU_ASSERT_EQUAL(first, -1);
    (void)close(alone);
    CU_ASSERT_EQUAL(copy_lock_share(dir, 0, &first, &status), 0);
    (void)close(first);
    /* A link that somebody planted is not followed. */
    CU_ASSERT_EQUAL(unlinkat(dir, COPY_LOCK_FILE, 0), 0);
    CU_ASSERT_EQUAL(symlinkat("elsewhere", dir, COPY_LOCK_FILE), 0);
    CU_ASSERT_EQUAL(copy_lock_share(dir, 0, &first, &status), STATUS_IO);
    CU_ASSERT_EQUAL(copy_lock_alone(dir, 0, NULL, NULL, &alone, &status), STATUS_IO);
    CU_ASSERT_FALSE(exists(dir, "elsewhere"));
    (void)close(dir);
}

static const TEST create_tests[] = {{"create", test_create}, {"expire", test_expire},
  {"stream", test_stream}, {"lock", test_lock}, {NULL, NULL}};

const TEST_SUITE test_suites[] = {{"create", create_tests}, {NULL, NULL}};
