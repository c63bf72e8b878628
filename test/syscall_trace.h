/*
 * test/syscall_trace.h -- Run a function in a child process and stop it at any system call.
 *
 * For tests that kill a write at every point, or let one call of it fail. Uses ptrace(2), so nothing
 * is replaced in what is tested. The child is forked from the test and ends by _exit.
 */
#ifndef WTKMS_TEST_SYSCALL_TRACE_H
#define WTKMS_TEST_SYSCALL_TRACE_H

#include <stdbool.h>

typedef enum {
    TRACE_KILL, /* SIGKILL before the call is done */
    TRACE_FAIL, /* the call is not done and fails with error; only calls that touch files count */
    TRACE_SHORT /* a write(2) is done with half its bytes; only those count */
} TRACE_ACTION;

typedef struct {
    TRACE_ACTION action;
    unsigned at; /* which call, from 1 */
    int error;   /* of TRACE_FAIL */

    /* Results. */
    bool acted;    /* false: the function ended before that call */
    long call;     /* the number of the call that was acted on (SYS_write...) */
    bool exited;   /* not killed */
    int exit_code; /* what run returned */
} TRACE;

/*
 * syscall_trace -- Fork, run(context), _exit with its result (0..255). Returns 0, or an errno when
 *     processes cannot be traced here (a sandbox) or the action is not known for this machine.
 */
int syscall_trace(int (*run)(void *context), void *context, TRACE *trace);

#endif
