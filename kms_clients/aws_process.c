/*
 * kms_clients/aws_process.c -- A program that prints credentials. See aws_process.h.
 */
#include "kms_clients/aws_process.h"

#include "common/clock.h"
#include "kms_clients/json.h"
#include "kms_clients/kms_client_provider.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (64 * 1024)

extern char **environ;

static atomic_bool permitted;

void
kms_client_permit_programs(void)
{
    atomic_store(&permitted, true);
}

bool
aws_process_split(char *text, char **argv)
{
    char *to = text, quote = '\0';
    size_t count = 0;
    bool in_word = false;

    for (; *text != '\0'; text++) {
        if (quote == '\0' && strchr(" \t\r\n", *text) != NULL) {
            if (in_word)
                *to++ = '\0';
            in_word = false;
            continue;
        }
        if (!in_word) {
            if (count == AWS_PROCESS_ARGUMENTS_MAX)
                return (false);
            argv[count++] = to;
            in_word = true;
        }
        if (quote == '\0' && (*text == '\'' || *text == '"'))
            quote = *text;
        else if (quote != '\0' && *text == quote)
            quote = '\0';
        else if (*text == '\\' && quote == '\0') {
            if (*++text == '\0')
                return (false);
            *to++ = *text;
        } else if (*text == '\\' && quote == '"' && (text[1] == '"' || text[1] == '\\'))
            *to++ = *++text;
        else
            *to++ = *text;
    }
    *to = '\0';
    argv[count] = NULL;
    return (quote == '\0' && count > 0);
}

/* A group of its own, so that what it starts ends with it; no input, its output into the pipe. */
static int
start(char **argv, int output, pid_t *pidp)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int ret;

    if ((ret = posix_spawn_file_actions_init(&actions)) != 0)
        return (ret);
    if ((ret = posix_spawnattr_init(&attributes)) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return (ret);
    }
    if ((ret = posix_spawn_file_actions_addopen(
           &actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)) == 0 &&
        (ret = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)) == 0 &&
        (ret = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP)) == 0 &&
        (ret = posix_spawnattr_setpgroup(&attributes, 0)) == 0)
        ret = posix_spawnp(pidp, argv[0], &actions, &attributes, argv, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return (ret);
}

/* Until the end of its output, the deadline, or more than OUTPUT_MAX. */
static int
read_output(int fd, int64_t deadline, SECRET *output, size_t *lenp, STATUS *status)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int64_t left;
    ssize_t got;

    for (*lenp = 0; *lenp < secret_len(output);) {
        if ((left = clock_left(deadline)) == 0)
            return (status_set(status, STATUS_UNAVAILABLE, "kms-unavailable",
              "the credential_process did not end in time"));
        if (poll(&wait, 1, left > 1000 ? 1000 : (int)left) <= 0)
            continue;
        got = read(fd, secret_data(output) + *lenp, secret_len(output) - *lenp);
        if (got == 0)
            return (0);
        if (got > 0)
            *lenp += (size_t)got;
        else if (errno != EINTR && errno != EAGAIN)
            return (status_set_errno(
              status, errno, "kms-aws-process", "reading from the credential_process"));
    }
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply",
      "the credential_process prints more than %d bytes", OUTPUT_MAX));
}

static int
finish(pid_t pid, int64_t deadline, STATUS *status)
{
    int state = 0;
    pid_t ended;

    while ((ended = waitpid(pid, &state, WNOHANG)) == 0 && clock_left(deadline) > 0)
        clock_sleep(5);
    if (ended == 0)
        return (status_set(status, STATUS_UNAVAILABLE, "kms-unavailable",
          "the credential_process did not end in time"));
    if (ended == pid && WIFEXITED(state) && WEXITSTATUS(state) == 0)
        return (0);
    return (status_set(status, STATUS_UNAUTHENTICATED, "kms-aws-process",
      "the credential_process failed with exit code %d",
      WIFEXITED(state) ? WEXITSTATUS(state) : -1));
}

static int
run(char **argv, int64_t deadline, SECRET *output, size_t *lenp, STATUS *status)
{
    int pipes[2], ret;
    pid_t pid;

    if (pipe2(pipes, O_CLOEXEC) != 0)
        return (status_set_errno(status, errno, "kms-aws-process", "a pipe"));
    ret = start(argv, pipes[1], &pid);
    (void)close(pipes[1]);
    if (ret != 0) {
        (void)close(pipes[0]);
        (void)status_set_errno(
          status, ret, "kms-aws-process", "the credential_process cannot be run");
        status->status_class = STATUS_CONFIG;
        return (STATUS_CONFIG);
    }
    if ((ret = read_output(pipes[0], deadline, output, lenp, status)) == 0)
        ret = finish(pid, deadline, status);
    (void)close(pipes[0]);
    /* The group outlives its first process when that left something behind. */
    (void)kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) == -1 && errno == EINTR)
        ;
    return (ret);
}

/* Version must be 1, as the AWS tools demand. */
static int
check_version(const SECRET *output, size_t len, STATUS *status)
{
    JSON *json;
    int64_t version = 0;

    if (json_parse(secret_bytes(output), len, &json, status) != 0)
        return (status_add(status, "from the credential_process"));
    (void)json_int(json, "Version", &version);
    json_free(json);
    if (version == 1)
        return (0);
    return (status_set(status, STATUS_BAD_REPLY, "kms-bad-reply",
      "the credential_process prints no \"Version\": 1"));
}

int
aws_process_credentials(
  const char *command, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status)
{
    char *argv[AWS_PROCESS_ARGUMENTS_MAX + 1], *words = NULL;
    SECRET *output = NULL;
    size_t len = 0;

    if (!atomic_load(&permitted)) {
        (void)status_set(status, STATUS_CONFIG, "kms-aws-process",
          "credential_process is not run inside a database");
        (void)status_hint(
          status, "give the database a role, a web identity or a profile with keys");
        goto err;
    }
    if ((words = strdup(command)) == NULL) {
        (void)status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a command");
        goto err;
    }
    if (!aws_process_split(words, argv)) {
        (void)status_set(status, STATUS_CONFIG, "kms-aws-process",
          "credential_process is empty, too long, or leaves a quote open");
        goto err;
    }
    if (secret_new(OUTPUT_MAX + 1, &output, status) != 0 ||
        run(argv, deadline, output, &len, status) != 0 || check_version(output, len, status) != 0 ||
        aws_credentials_read_json(credentials, "the credential_process", secret_bytes(output), len,
          clock_unix_seconds(), status) != 0)
        goto err;
    free(words);
    secret_free(output);
    return (0);

err:
    free(words);
    secret_free(output);
    return ((int)status->status_class);
}
