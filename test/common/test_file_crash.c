/*
 * test/common/test_file_crash.c -- file_replace killed at every system call, and with every system
 * call failing: a reader finds the old content or the new one, never anything else.
 */
#include "test/common/common_tests.h"

#include "common/file.h"
#include "test/syscall_trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BIG 200000
#define MOST_CALLS 500 /* a replacement takes some 20; sanitizers add theirs */

typedef enum { JOB_REPLACE, JOB_CREATE, JOB_READ, JOB_LOCK } JOB_KIND;

typedef struct {
    int dirfd;
    JOB_KIND kind;
    STATUS *status; /* shared with the child */
    bool *leaked;   /* the same */
} JOB;

static char old_data[BIG], new_data[BIG], older_data[BIG];

static int
run_job(void *context)
{
    JOB *job = context;
    uint8_t *buf = NULL;
    size_t len;
    int before, after, fd, ret = 203;

    if ((before = dup(0)) != -1)
        (void)close(before);
    switch (job->kind) {
    case JOB_REPLACE:
        ret = file_replace(job->dirfd, "f", new_data, BIG, 0600, true, job->status);
        break;
    case JOB_CREATE:
        ret = file_create(job->dirfd, "f", new_data, BIG, 0640, job->status);
        break;
    case JOB_READ:
        ret = file_read(job->dirfd, "f", BIG, true, NULL, &buf, &len, job->status);
        if (ret == 0 && (len != BIG || memcmp(buf, old_data, BIG) != 0))
            ret = 200;
        if (ret != 0 && ret != 200 && (buf != NULL || len != 0))
            ret = 201;
        free(buf);
        break;
    case JOB_LOCK:
        ret = file_lock(job->dirfd, "lock", 0, &fd, job->status);
        if ((ret == 0) != (fd != -1))
            ret = 202;
        if (fd != -1)
            (void)close(fd);
        break;
    }
    if ((after = dup(0)) != -1)
        (void)close(after);
    *job->leaked = before != after;
    return (ret);
}

static void
open_job(JOB *job)
{
    void *shared = mmap(NULL, sizeof(STATUS) + sizeof(bool), PROT_READ | PROT_WRITE,
      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared == MAP_FAILED)
        exit(1);
    memset(old_data, 'o', BIG);
    memset(older_data, 'p', BIG);
    memset(new_data, 'n', BIG);
    memset(job, 0, sizeof(*job));
    job->status = shared;
    job->leaked = (bool *)((char *)shared + sizeof(STATUS));
    job->dirfd = make_dir(NULL);
}

static void
close_job(JOB *job)
{
    (void)close(job->dirfd);
    (void)munmap(job->status, sizeof(STATUS) + sizeof(bool));
}

/* The states of a directory that a crash or an attacker may have left before. */
typedef enum {
    STATE_NONE,
    STATE_OLD,
    STATE_OLD_AND_PREV,
    STATE_LITTER,
    STATE_OWNED,
    STATE_COUNT
} STATE;

static void
set_state(int dirfd, STATE state)
{
    static const char *const names[] = {"f", "f.new", "f.prev", "f.prev.new"};
    size_t i;
    int fd;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        (void)unlinkat(dirfd, names[i], 0);
    if (state == STATE_NONE)
        return;
    put_file(dirfd, "f", old_data, BIG, 0640);
    if (state == STATE_OWNED && geteuid() == 0) {
        /* What only root keeps; the label where one can be set. */
        if (fchownat(dirfd, "f", OTHER_UID, OTHER_UID, 0) == -1 ||
            (fd = openat(dirfd, "f", O_RDONLY | O_CLOEXEC)) == -1)
            exit(1);
        (void)fsetxattr(fd, "security.selinux", "a:b:c:s0", 9, 0);
        (void)close(fd);
    }
    if (state == STATE_OLD_AND_PREV)
        put_file(dirfd, "f.prev", older_data, BIG, 0640);
    if (state == STATE_LITTER) {
        put_file(dirfd, "f.new", "half", 4, 0600);
        /* A crash between the two renames: both names are of one file. */
        if (linkat(dirfd, "f", dirfd, "f.prev", 0) == -1 ||
            linkat(dirfd, "f", dirfd, "f.prev.new", 0) == -1)
            exit(1);
    }
}

static bool
is_sound(int dirfd, STATE state)
{
    if (!file_holds(dirfd, "f", new_data, BIG) &&
        !(state == STATE_NONE ? !exists(dirfd, "f") : file_holds(dirfd, "f", old_data, BIG)))
        return (false);
    return (!exists(dirfd, "f.prev") || file_holds(dirfd, "f.prev", old_data, BIG) ||
            (state == STATE_OLD_AND_PREV && file_holds(dirfd, "f.prev", older_data, BIG)));
}

static bool
can_trace(JOB *job, TRACE *trace)
{
    int ret = syscall_trace(run_job, job, trace);

    if (ret != 0)
        (void)printf("(left out: processes cannot be traced here: %s) ", strerror(ret));
    return (ret == 0);
}

static void
test_killed_anywhere(void)
{
    JOB job;
    TRACE trace = {.action = TRACE_KILL};
    STATUS s;
    STATE state;
    unsigned kills = 0;
    int ret;

    open_job(&job);
    for (state = STATE_NONE; state < STATE_COUNT; state++)
        for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
            set_state(job.dirfd, state);
            if (!can_trace(&job, &trace))
                goto out;
            if (!is_sound(job.dirfd, state))
                (void)printf(
                  "\n    state %d, killed at call %u (%ld)\n", state, trace.at, trace.call);
            CU_ASSERT(is_sound(job.dirfd, state));
            if (!trace.acted)
                break;
            kills++;
            /* The next write finds its way through what is left, and leaves nothing of it. */
            ret = file_replace(job.dirfd, "f", older_data, BIG, 0640, true, &s);
            CU_ASSERT_EQUAL(ret, 0);
            CU_ASSERT(file_holds(job.dirfd, "f", older_data, BIG));
            CU_ASSERT(!exists(job.dirfd, "f.new") && !exists(job.dirfd, "f.prev.new"));
        }
    CU_ASSERT(kills >= 4 * 10 && trace.at < MOST_CALLS);
    CU_ASSERT(trace.exited && trace.exit_code == 0 && file_holds(job.dirfd, "f", new_data, BIG));
out:
    close_job(&job);
}

/* What must hold after a call failed; told to the reader when it does not. */
static bool
failed_well(const JOB *job, const TRACE *trace, STATE state)
{
    bool is_new = file_holds(job->dirfd, "f", new_data, BIG);

    if (!trace->exited || !is_sound(job->dirfd, state))
        return (false);
    if (*job->leaked && trace->call != SYS_close)
        return (false);
    if (trace->exit_code == 0)
        return (is_new && !exists(job->dirfd, "f.new"));
    if (job->status->status_class != STATUS_IO || job->status->message[0] == '\0')
        return (false);
    if (is_new) /* renamed, but not durable: the header's note */
        return (strcmp(job->status->id, "file-sync-dir") == 0);
    if (exists(job->dirfd, "f.new"))
        return (trace->call == SYS_unlinkat || state == STATE_LITTER);
    return (job->status->sys_errno == trace->error);
}

static void
test_any_call_fails(void)
{
    static const int errors[] = {EIO, EINTR};
    JOB job;
    TRACE trace = {.action = TRACE_FAIL};
    STATE state;
    unsigned refusals = 0;
    size_t i;

    open_job(&job);
    for (state = STATE_NONE; state < STATE_COUNT; state++)
        for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
            for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
                trace.error = errors[i];
                status_clear(job.status);
                set_state(job.dirfd, state);
                if (!can_trace(&job, &trace))
                    goto out;
                if (!failed_well(&job, &trace, state))
                    (void)printf("\n    state %d, call %u (%ld) failed with %s: exit %d, %s\n",
                      state, trace.at, trace.call, strerror(trace.error), trace.exit_code,
                      job.status->message);
                CU_ASSERT(failed_well(&job, &trace, state));
                if (!trace.acted)
                    break;
                refusals += trace.exit_code != 0;
            }
    CU_ASSERT(refusals > 60 && trace.at < MOST_CALLS);
out:
    close_job(&job);
}

/* Reading and locking: refused with the reason, and no descriptor is left open. */
static void
fail_each_call(JOB_KIND kind, bool owned)
{
    JOB job;
    TRACE trace = {.action = TRACE_FAIL, .error = EIO};
    unsigned refusals = 0;

    open_job(&job);
    job.kind = kind;
    set_state(job.dirfd, STATE_OLD);
    if (owned && fchown(job.dirfd, OTHER_UID, OTHER_UID) == -1)
        exit(1);
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        (void)unlinkat(job.dirfd, "lock", 0);
        if (!can_trace(&job, &trace))
            goto out;
        CU_ASSERT(trace.exited);
        CU_ASSERT(
          trace.exit_code == 0 || trace.exit_code == STATUS_IO || trace.exit_code == STATUS_BUSY);
        CU_ASSERT(!*job.leaked || trace.call == SYS_close);
        if (!trace.acted)
            break;
        refusals += trace.exit_code != 0;
    }
    CU_ASSERT(refusals >= 3 && trace.at < MOST_CALLS && trace.exit_code == 0);
out:
    close_job(&job);
}

static void
test_read_fails(void)
{
    fail_each_call(JOB_READ, false);
}

static void
test_lock_fails(void)
{
    fail_each_call(JOB_LOCK, false);
    if (is_root("lock_fails as another owner's"))
        fail_each_call(JOB_LOCK, true);
}

/* The calls that a signal may interrupt are done again. */
static void
test_interrupted(void)
{
    static const long again[] = {SYS_openat, SYS_write, SYS_fsync};
    JOB job;
    TRACE trace = {.action = TRACE_FAIL, .error = EINTR};
    unsigned seen = 0;
    size_t i;

    open_job(&job);
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        set_state(job.dirfd, STATE_OLD);
        if (!can_trace(&job, &trace))
            goto out;
        if (!trace.acted)
            break;
        for (i = 0; i < sizeof(again) / sizeof(again[0]); i++)
            if (trace.call == again[i]) {
                seen |= 1U << i;
                CU_ASSERT_EQUAL(trace.exit_code, 0);
            }
    }
    CU_ASSERT_EQUAL(seen, 7);
out:
    close_job(&job);
}

static void
test_short_writes(void)
{
    JOB job;
    TRACE trace = {.action = TRACE_SHORT};
    unsigned cut = 0;

    open_job(&job);
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        set_state(job.dirfd, STATE_OLD);
        if (!can_trace(&job, &trace))
            goto out;
        CU_ASSERT_EQUAL(trace.exit_code, 0);
        CU_ASSERT(file_holds(job.dirfd, "f", new_data, BIG));
        if (!trace.acted)
            break;
        cut++;
    }
    CU_ASSERT(cut >= 1);
out:
    close_job(&job);
}

/* file_create may leave a part after a kill, but never after a failure, and never touches what is. */
static void
test_create_fails_or_dies(void)
{
    JOB job;
    TRACE trace = {.action = TRACE_FAIL, .error = ENOSPC};

    open_job(&job);
    job.kind = JOB_CREATE;
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        set_state(job.dirfd, STATE_NONE);
        if (!can_trace(&job, &trace))
            goto out;
        CU_ASSERT(trace.exited);
        CU_ASSERT(trace.exit_code != 0 || file_holds(job.dirfd, "f", new_data, BIG));
        CU_ASSERT(trace.exit_code == 0 || strcmp(job.status->id, "file-sync-dir") == 0 ||
                  !exists(job.dirfd, "f"));
        if (!trace.acted)
            break;
    }
    CU_ASSERT(trace.at > 5 && trace.at < MOST_CALLS);
    trace.action = TRACE_KILL;
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        set_state(job.dirfd, STATE_OLD);
        if (!can_trace(&job, &trace))
            goto out;
        CU_ASSERT(file_holds(job.dirfd, "f", old_data, BIG));
        if (!trace.acted)
            break;
    }
    CU_ASSERT_EQUAL(trace.exit_code, STATUS_REFUSED);
out:
    close_job(&job);
}

const TEST file_crash_tests[] = {{"killed_anywhere", test_killed_anywhere},
  {"any_call_fails", test_any_call_fails}, {"read_fails", test_read_fails},
  {"lock_fails", test_lock_fails}, {"interrupted", test_interrupted},
  {"short_writes", test_short_writes}, {"create_fails_or_dies", test_create_fails_or_dies},
  {NULL, NULL}};
