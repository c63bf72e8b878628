/*
 * extension/access_check.c -- The access check's thread. See access_check.h.
 *
 * What may hang is the call to a key service. It runs on a copy of what it needs, so a close that
 * comes meanwhile can go on and free everything else; `in_host` says when it cannot.
 */
#include "extension/access_check.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "crypto/random.h"
#include "keystore/access.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES (512 * 1024)
#define WAIT_MAX_MS 60000 /* a machine that slept is noticed after this at the latest */

/* What was said last of a recipient. */
typedef struct {
    char *scope, *provider, *key_id;
    STATUS_CLASS status_class;
} TOLD;

struct access_check {
    ACCESS_CHECK_HOST host;
    LOG log; /* the host's, as long as that is there */
    pthread_t thread;
    pid_t pid;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop, ended, in_host, abandoned; /* under mutex */
    atomic_bool called_off;

    /* The thread's own. */
    ACCESS_PROBER *prober;
    ACCESS access;
    ACCESS_FINDING finding; /* of the last check */
    bool terminated;        /* SIGTERM was sent */
    TOLD *told;
    size_t told_count;
};

static void
write_line(void *context, LOG_LEVEL level, const char *line)
{
    ACCESS_CHECK *check = context;

    (void)pthread_mutex_lock(&check->mutex);
    if (!check->stop && check->host.log != NULL)
        check->host.log->write(check->host.log->context, level, line);
    (void)pthread_mutex_unlock(&check->mutex);
}

/* Between these two what belongs to the host can be used: a stop waits. */
static bool
enter_host(ACCESS_CHECK *check)
{
    bool entered;

    (void)pthread_mutex_lock(&check->mutex);
    entered = check->in_host = !check->stop;
    (void)pthread_mutex_unlock(&check->mutex);
    return (entered);
}

static void
leave_host(ACCESS_CHECK *check)
{
    (void)pthread_mutex_lock(&check->mutex);
    check->in_host = false;
    (void)pthread_cond_broadcast(&check->wake);
    (void)pthread_mutex_unlock(&check->mutex);
}

/* --- saying what was found, when it is news */

static void
free_told(TOLD *told, size_t count)
{
    size_t i;

    for (i = 0; told != NULL && i < count; i++) {
        free(told[i].scope);
        free(told[i].provider);
        free(told[i].key_id);
    }
    free(told);
}

static STATUS_CLASS
told_class(const ACCESS_CHECK *check, const ACCESS_RESULT *result)
{
    size_t i;

    for (i = 0; i < check->told_count; i++)
        if (strcmp(check->told[i].scope, result->scope) == 0 &&
            strcmp(check->told[i].provider, result->provider) == 0 &&
            strcmp(check->told[i].key_id, result->key_id) == 0)
            return (check->told[i].status_class);
    return (STATUS_OK);
}

static void
tell_recipient(const ACCESS_CHECK *check, const ACCESS_RESULT *result)
{
    char line[sizeof(result->status.message) + sizeof(result->status.hint) + 64];

    if (told_class(check, result) == result->status_class)
        return;
    if (result->status_class == STATUS_OK)
        log_printf(&check->log, LOG_INFO, "access check: %s %s of scope \"%s\" opens again",
          result->provider, result->key_id, result->scope);
    else
        log_printf(&check->log, LOG_WARNING, "access check: %s %s of scope \"%s\": %s: %s",
          result->provider, result->key_id, result->scope, status_class_name(result->status_class),
          status_format(&result->status, line, sizeof(line)));
}

/* Without memory nothing is remembered, and the next check says it once more. */
static void
remember(ACCESS_CHECK *check, const ACCESS_RESULT *results, size_t count)
{
    TOLD *told;
    size_t i;

    free_told(check->told, check->told_count);
    check->told_count = 0;
    if ((check->told = told = calloc(count + 1, sizeof(*told))) == NULL)
        return;
    for (i = 0; i < count; i++) {
        told[i].scope = strdup(results[i].scope);
        told[i].provider = strdup(results[i].provider);
        told[i].key_id = strdup(results[i].key_id);
        told[i].status_class = results[i].status_class;
        if (told[i].scope == NULL || told[i].provider == NULL || told[i].key_id == NULL) {
            free_told(told, i + 1);
            check->told = NULL;
            return;
        }
    }
    check->told_count = count;
}

static void
tell_finding(ACCESS_CHECK *check, const ACCESS_DECISION *decision, bool may_stop)
{
    if (decision->finding == check->finding)
        return;
    if (decision->finding == ACCESS_OPENS)
        log_printf(&check->log, LOG_INFO, "access check: a customer key opens the keystore again");
    else
        log_printf(&check->log, LOG_WARNING, "access check: %s; %s",
          access_finding_text(decision->finding),
          may_stop ? "when that lasts, the database will be stopped" : "the database goes on");
    check->finding = decision->finding;
}

static bool
may_stop(const SETTINGS *settings, ACCESS_FINDING finding)
{
    switch (finding) {
    case ACCESS_DISABLED:
        return (settings->access.on_disabled == 1);
    case ACCESS_DENIED:
        return (settings->access.on_denied == 1);
    case ACCESS_UNREACHABLE:
        return (settings->access.max_unreachable > 0);
    default:
        return (false);
    }
}

static const char *
setting_of(ACCESS_FINDING finding)
{
    return (finding == ACCESS_DISABLED ? "onDisabled"
            : finding == ACCESS_DENIED ? "onDenied"
                                       : "maxUnreachable");
}

/* --- a check */

/* The host is entered. */
static void
judge(ACCESS_CHECK *check)
{
    const SETTINGS *settings = check->host.settings;
    const ACCESS_RESULT *results;
    ACCESS_DECISION decision;
    STATUS_CLASS *classes;
    size_t i, count, of_default = 0;

    results = access_prober_results(check->prober, &count);
    if ((classes = calloc(count + 1, sizeof(*classes))) == NULL)
        return;
    for (i = 0; i < count; i++) {
        tell_recipient(check, &results[i]);
        if (strcmp(results[i].scope, SETTINGS_DEFAULT_SCOPE) == 0)
            classes[of_default++] = results[i].status_class;
    }
    remember(check, results, count);
    check->host.report(check->host.context, results, count);
    access_decide(&check->access, settings, classes, of_default, clock_ms(), &decision);
    free(classes);
    tell_finding(check, &decision, may_stop(settings, decision.finding));
    if (decision.verdict != ACCESS_STOP || check->terminated)
        return;
    check->terminated = true;
    log_printf(&check->log, LOG_ERROR,
      "access check: %s, in %u checks over %lld seconds: the database is stopped (SIGTERM) as "
      "access.%s says",
      access_finding_text(decision.finding), decision.checks, (long long)decision.for_ms / 1000,
      setting_of(decision.finding));
    (void)kill(getpid(), SIGTERM);
}

static void
run(ACCESS_CHECK *check)
{
    const KEYSTORE *keystore;
    STATUS status;
    int ret;

    if (!enter_host(check))
        return;
    keystore = check->host.hold(check->host.context);
    ret = access_prober_prepare(check->prober, check->host.settings, keystore, &status);
    check->host.release(check->host.context, keystore);
    leave_host(check);
    /* No memory for a check says nothing about the keys. */
    if (ret != 0 || !access_prober_run(check->prober, &check->called_off))
        return;
    if (!enter_host(check))
        return;
    judge(check);
    leave_host(check);
}

/* --- the thread */

static void
check_free(ACCESS_CHECK *check)
{
    access_prober_free(check->prober);
    free_told(check->told, check->told_count);
    (void)pthread_cond_destroy(&check->wake);
    (void)pthread_mutex_destroy(&check->mutex);
    free(check);
}

static void
wait_until(ACCESS_CHECK *check, int64_t ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(ms / 1000);
    if ((until.tv_nsec += (long)(ms % 1000) * 1000000) >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(&check->wake, &check->mutex, &until);
}

static void *
check_main(void *arg)
{
    ACCESS_CHECK *check = arg;
    STATUS ignored;
    int64_t interval = check->host.settings->access.check_interval, left, next;
    uint64_t random = 0;
    bool abandoned;

    cancel_watch(&check->called_off);
    if (random_bytes(&random, sizeof(random), &ignored) != 0)
        random = (uint64_t)interval / 2;
    next = clock_deadline((int64_t)(random % (uint64_t)interval));
    (void)pthread_mutex_lock(&check->mutex);
    while (!check->stop) {
        if ((left = clock_left(next)) > 0) {
            wait_until(check, left < WAIT_MAX_MS ? left : WAIT_MAX_MS);
            continue;
        }
        (void)pthread_mutex_unlock(&check->mutex);
        run(check);
        /* In step with the first one, which keeps a fleet apart; what was missed is not made up for. */
        next += interval * ((clock_ms() - next) / interval + 1);
        (void)pthread_mutex_lock(&check->mutex);
    }
    check->ended = true;
    abandoned = check->abandoned;
    (void)pthread_cond_broadcast(&check->wake);
    (void)pthread_mutex_unlock(&check->mutex);
    if (abandoned)
        check_free(check);
    return (NULL);
}

static int
start_thread(ACCESS_CHECK *check)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int ret;

    (void)sigfillset(&all);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    ret = pthread_create(&check->thread, &attr, check_main, check);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)pthread_attr_destroy(&attr);
    if (ret == 0)
        (void)pthread_setname_np(check->thread, "wtkms-access");
    return (ret);
}

int
access_check_start(const ACCESS_CHECK_HOST *host, ACCESS_CHECK **checkp, STATUS *status)
{
    pthread_condattr_t condattr;
    ACCESS_CHECK *check;
    int ret;

    *checkp = NULL;
    if ((check = calloc(1, sizeof(*check))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "access check"));
    check->host = *host;
    check->log.write = write_line;
    check->log.context = check;
    check->pid = getpid();
    check->finding = ACCESS_OPENS;
    atomic_init(&check->called_off, false);
    (void)pthread_mutex_init(&check->mutex, NULL);
    (void)pthread_condattr_init(&condattr);
    (void)pthread_condattr_setclock(&condattr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&check->wake, &condattr);
    (void)pthread_condattr_destroy(&condattr);
    if ((ret = access_prober_new(&check->log, &check->prober, status)) != 0)
        goto err;
    if ((ret = start_thread(check)) != 0) {
        ret = status_set_errno(
          status, ret, "access-check-start", "the check of access cannot be started");
        goto err;
    }
    *checkp = check;
    return (0);

err:
    check_free(check);
    return (ret);
}

void
access_check_stop(ACCESS_CHECK *check)
{
    int64_t deadline = clock_deadline(ACCESS_CHECK_STOP_MS), left;

    if (check == NULL)
        return;
    if (check->pid != getpid()) {
        /* The thread may have held anything when the fork came: nothing of it is touched. */
        free(check);
        return;
    }
    (void)pthread_mutex_lock(&check->mutex);
    check->stop = true;
    atomic_store(&check->called_off, true);
    (void)pthread_cond_broadcast(&check->wake);
    while (!check->ended && ((left = clock_left(deadline)) > 0 || check->in_host))
        wait_until(check, left > 0 ? left : ACCESS_CHECK_STOP_MS);
    if (check->ended) {
        (void)pthread_mutex_unlock(&check->mutex);
        (void)pthread_join(check->thread, NULL);
        check_free(check);
        return;
    }
    check->abandoned = true;
    (void)pthread_detach(check->thread);
    (void)pthread_mutex_unlock(&check->mutex);
}
