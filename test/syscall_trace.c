/*
 * test/syscall_trace.c -- Stop a child at a system call. See syscall_trace.h.
 */
#include "test/syscall_trace.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define CAN_CHANGE_CALLS 1
typedef struct user_regs_struct REGISTERS;
#define RESULT(regs) ((regs).rax)
#define THIRD(regs) ((regs).rdx)
#elif defined(__aarch64__)
#define CAN_CHANGE_CALLS 1
typedef struct user_regs_struct REGISTERS;
#define RESULT(regs) ((regs).regs[0])
#define THIRD(regs) ((regs).regs[2])
#else
#define CAN_CHANGE_CALLS 0
#endif

/*
 * How the child says that run is over: a call that does nothing, with an argument that nobody else
 * gives. Then it is left alone, so that its exit and a coverage build's counters are not acted on.
 */
#define END_CALL SYS_getppid
#define END_MARK 0x77746b6d73UL

void __gcov_dump(void) __attribute__((weak)); /* see configure --enable-coverage */

static bool
touches_files(long call)
{
    static const long calls[] = {SYS_openat, SYS_close, SYS_read, SYS_write, SYS_pwrite64,
      SYS_fstat,
#ifdef SYS_newfstatat
      SYS_newfstatat,
#endif
#ifdef SYS_open
      SYS_open, SYS_unlink, SYS_link, SYS_rename, SYS_stat, SYS_mkdir,
#endif
      SYS_statx, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fchown, SYS_fchmod, SYS_fgetxattr,
      SYS_fsetxattr, SYS_unlinkat, SYS_linkat, SYS_renameat, SYS_renameat2, SYS_flock,
      SYS_fallocate};
    size_t i;

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i] == call)
            return (true);
    return (false);
}

#if CAN_CHANGE_CALLS
static int
get_registers(pid_t pid, REGISTERS *regs)
{
    struct iovec iov = {regs, sizeof(*regs)};

    return (ptrace(PTRACE_GETREGSET, pid, (void *)NT_PRSTATUS, &iov) == -1 ? errno : 0);
}

static int
set_registers(pid_t pid, REGISTERS *regs)
{
    struct iovec iov = {regs, sizeof(*regs)};

    return (ptrace(PTRACE_SETREGSET, pid, (void *)NT_PRSTATUS, &iov) == -1 ? errno : 0);
}

/* Let the kernel see a call that does not exist. */
static int
drop_call(pid_t pid)
{
#if defined(__x86_64__)
    REGISTERS regs;
    int ret;

    if ((ret = get_registers(pid, &regs)) != 0)
        return (ret);
    regs.orig_rax = (unsigned long long)-1;
    return (set_registers(pid, &regs));
#else
    int none = -1;
    struct iovec iov = {&none, sizeof(none)};

    return (ptrace(PTRACE_SETREGSET, pid, (void *)NT_ARM_SYSTEM_CALL, &iov) == -1 ? errno : 0);
#endif
}

static int
set_result(pid_t pid, int error)
{
    REGISTERS regs;
    int ret;

    if ((ret = get_registers(pid, &regs)) != 0)
        return (ret);
    RESULT(regs) = (unsigned long long)(long long)-error;
    return (set_registers(pid, &regs));
}

static int
halve_length(pid_t pid)
{
    REGISTERS regs;
    int ret;

    if ((ret = get_registers(pid, &regs)) != 0)
        return (ret);
    THIRD(regs) = (THIRD(regs) + 1) / 2;
    return (set_registers(pid, &regs));
}
#else
static int
drop_call(pid_t pid)
{
    (void)pid;
    return (ENOSYS);
}

static int
set_result(pid_t pid, int error)
{
    (void)pid;
    (void)error;
    return (ENOSYS);
}

static int
halve_length(pid_t pid)
{
    (void)pid;
    return (ENOSYS);
}
#endif

/* At the entry of a call: act when it is the one. *failingp: its result is to be set at its end. */
static int
at_entry(pid_t pid, long call, unsigned *seenp, TRACE *trace, bool *failingp)
{
    bool counts = trace->action == TRACE_KILL ||
                  (trace->action == TRACE_FAIL ? touches_files(call) : call == SYS_write);

    if (trace->acted || !counts || ++*seenp != trace->at)
        return (0);
    trace->acted = true;
    trace->call = call;
    switch (trace->action) {
    case TRACE_KILL:
        return (kill(pid, SIGKILL) == -1 ? errno : 0);
    case TRACE_FAIL:
        *failingp = true;
        return (drop_call(pid));
    case TRACE_SHORT:
        return (halve_length(pid));
    }
    return (EINVAL);
}

static bool
note_end(int wstatus, TRACE *trace)
{
    if (!WIFEXITED(wstatus) && !WIFSIGNALED(wstatus))
        return (false);
    trace->exited = WIFEXITED(wstatus);
    trace->exit_code = WIFEXITED(wstatus) ? WEXITSTATUS(wstatus) : -1;
    return (true);
}

static int
wait_for_end(pid_t pid, TRACE *trace)
{
    int wstatus;

    if (ptrace(PTRACE_DETACH, pid, NULL, NULL) == -1 || waitpid(pid, &wstatus, 0) == -1)
        return (errno);
    return (note_end(wstatus, trace) ? 0 : EPROTO);
}

static int
follow(pid_t pid, TRACE *trace)
{
    struct __ptrace_syscall_info info;
    unsigned seen = 0;
    bool failing = false;
    int ret, deliver = 0, wstatus;

    for (;;) {
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(intptr_t)deliver) == -1 && errno != ESRCH)
            return (errno);
        if (waitpid(pid, &wstatus, 0) == -1)
            return (errno);
        if (note_end(wstatus, trace))
            return (0);
        deliver = WSTOPSIG(wstatus);
        if (deliver != (SIGTRAP | 0x80))
            continue;
        deliver = 0;
        if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) == -1)
            return (errno);
        ret = 0;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY && info.entry.nr == END_CALL &&
            info.entry.args[0] == END_MARK)
            return (wait_for_end(pid, trace));
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
            ret = at_entry(pid, (long)info.entry.nr, &seen, trace, &failing);
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT && failing) {
            failing = false;
            ret = set_result(pid, trace->error);
        }
        if (ret != 0)
            return (ret);
    }
}

int
syscall_trace(int (*run)(void *context), void *context, TRACE *trace)
{
    pid_t pid;
    int ret = 0, wstatus;

    trace->acted = trace->exited = false;
    trace->call = -1;
    trace->exit_code = -1;
    if ((pid = fork()) == -1)
        return (errno);
    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1)
            _exit(255);
        (void)raise(SIGSTOP);
        ret = run(context);
        (void)syscall(END_CALL, END_MARK);
        if (__gcov_dump != NULL)
            __gcov_dump();
        _exit(ret);
    }
    if (waitpid(pid, &wstatus, 0) == -1)
        return (errno);
    if (WIFEXITED(wstatus))
        return (EPERM);
    if (ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) ==
        -1)
        ret = errno;
    if (ret == 0)
        ret = follow(pid, trace);
    if (ret != 0) {
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, &wstatus, 0);
    }
    return (ret);
}
