/*
 * test/extension/test_access_check.c -- The access check's thread on a real keystore: what it says, when it
 * stops the database, how it ends. Its clock runs faster than the world's where ten minutes must pass, and
 * kill is caught.
 */
#include "config.h"

#include "extension/access_check.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "common/file.h"
#include "keystore/keyring.h"
#include "kms_clients/kms_client.h"
#include "test/extension/test_extension.h"
#include "test/support.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* --- the world, as the thread sees it */

static atomic_int clock_speed = 1;
static atomic_int sigterms, other_kills;
static _Atomic int64_t killed_at;

int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_kill(pid_t pid, int number);
int __wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);
int __real_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status);

/* Only common/clock.h asks for this clock. */
int
__wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    static _Atomic int64_t base;
    int64_t ns, zero = 0;
    int ret = __real_clock_gettime(id, now);

    if (id != CLOCK_BOOTTIME || ret != 0)
        return (ret);
    ns = (int64_t)now->tv_sec * 1000000000 + now->tv_nsec;
    (void)atomic_compare_exchange_strong(&base, &zero, ns);
    ns = base + (ns - base) * atomic_load(&clock_speed);
    now->tv_sec = (time_t)(ns / 1000000000);
    now->tv_nsec = (long)(ns % 1000000000);
    return (0);
}

int
__wrap_kill(pid_t pid, int number)
{
    if (pid != getpid() || number != SIGTERM) {
        atomic_fetch_add(&other_kills, 1);
        return (0);
    }
    atomic_store(&killed_at, clock_ms());
    atomic_fetch_add(&sigterms, 1);
    return (0);
}

/* What the key services answer: the first recipient's class, the second's. 0: it opens. */
static atomic_int answers[2];
static char second_key[KMS_KEY_ID_MAX + 1];
static atomic_int calls, signals_open, ends;
static _Atomic int64_t first_failure;
static enum { ANSWER, HANG_UNTIL_CALLED_OFF, HANG_DEAF } behaviour;
static atomic_bool hangs, let_go;

int
__wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    sigset_t blocked;
    int64_t zero = 0;
    int answer;

    if (strcmp(context->scope, "default") != 0)
        return (
          __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
    answer = atomic_load(&answers[strcmp(recorded->key_id, second_key) == 0]);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGINT) ||
        !sigismember(&blocked, SIGUSR1))
        atomic_fetch_add(&signals_open, 1);
    *plaintextp = NULL;
    if (behaviour != ANSWER) {
        atomic_store(&hangs, true);
        while (behaviour == HANG_DEAF ? !atomic_load(&let_go) : cancel_sleep(50))
            if (behaviour == HANG_DEAF)
                clock_sleep(5);
        atomic_fetch_add(&ends, 1);
        return (status_set(status, STATUS_UNAVAILABLE, "test-kms", "called off"));
    }
    if (answer != 0) {
        (void)atomic_compare_exchange_strong(&first_failure, &zero, clock_ms());
        atomic_fetch_add(&calls, 1);
        return (status_set(status, (STATUS_CLASS)answer, "test-kms", "the test says so"));
    }
    answer = __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status);
    atomic_fetch_add(&calls, 1);
    return (answer);
}

/* --- a host */

typedef struct {
    SETTINGS *settings;
    KEYRING *keyring;
    ACCESS_CHECK *check;
    ACCESS_CHECK_HOST host;
    LOG sink;
    pthread_mutex_t mutex; /* of what follows */
    char log[65536];
    int reports;
    STATUS_CLASS last[4];
    size_t last_count;
    int home_fd;
} HOST;

static STATUS status;

static void
host_log_line(void *context, LOG_LEVEL level, const char *line)
{
    HOST *host = context;
    size_t used;

    (void)pthread_mutex_lock(&host->mutex);
    used = strlen(host->log);
    (void)snprintf(host->log + used, sizeof(host->log) - used, "%s%s\n",
      level == LOG_INFO      ? "I "
      : level == LOG_WARNING ? "W "
                             : "E ",
      line);
    (void)pthread_mutex_unlock(&host->mutex);
}

static const KEYSTORE *
host_hold(void *context)
{
    return (keyring_hold_keystore(((HOST *)context)->keyring));
}

static void
host_release(void *context, const KEYSTORE *keystore)
{
    keyring_release_keystore(((HOST *)context)->keyring, keystore);
}

static void
host_report(void *context, const ACCESS_RESULT *results, size_t count)
{
    HOST *host = context;
    size_t i;

    (void)pthread_mutex_lock(&host->mutex);
    host->reports++;
    host->last_count = count;
    for (i = 0; i < count && i < 4; i++)
        host->last[i] = results[i].status_class;
    (void)pthread_mutex_unlock(&host->mutex);
}

static void
write_key(const char *path)
{
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(path, &status), 0);
}

static void
host_make(HOST *host, const char *access)
{
    static unsigned number;
    KEYRING_OPTIONS options = {0};
    const KEYSTORE *keystore;
    CONFIG_NODE *root;
    char dir[400], path[500], yaml[2048];

    memset(host, 0, sizeof(*host));
    (void)pthread_mutex_init(&host->mutex, NULL);
    atomic_store(&clock_speed, 1);
    atomic_store(&answers[0], 0);
    atomic_store(&answers[1], 0);
    atomic_store(&sigterms, 0);
    atomic_store(&calls, 0);
    atomic_store(&first_failure, 0);
    atomic_store(&hangs, false);
    atomic_store(&let_go, false);
    second_key[0] = '\0';
    behaviour = ANSWER;
    (void)snprintf(dir, sizeof(dir), "%s/access%u", test_scratch(), number++);
    CU_ASSERT_EQUAL_FATAL(mkdir(dir, 0700), 0);
    (void)snprintf(path, sizeof(path), "%s/a", dir);
    write_key(path);
    (void)snprintf(path, sizeof(path), "%s/b", dir);
    write_key(path);
    (void)snprintf(path, sizeof(path), "%s/home", dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(path, &host->home_fd, &status), 0);
    (void)snprintf(yaml, sizeof(yaml),
      "node: n\nkms: [{provider: local, keyFile: %s/a}, {provider: local, keyFile: %s/b}]\n"
      "access: {%s}\n",
      dir, dir, access);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(yaml, strlen(yaml), "test.conf", &root, &status), 0);
    CU_ASSERT_EQUAL_FATAL(settings_from_tree(root, &host->settings, &status), 0);
    host->settings->access.check_interval = 20; /* shorter than a configuration may say */
    CU_ASSERT_EQUAL_FATAL(
      keyring_create(host->home_fd, host->settings, &options, false, &host->keyring, &status), 0);
    keystore = keyring_hold_keystore(host->keyring);
    (void)snprintf(second_key, sizeof(second_key), "%s",
      keystore_active_master(keystore, "default")->recipients[1].key_id);
    keyring_release_keystore(host->keyring, keystore);
    host->sink.write = host_log_line;
    host->sink.context = host;
    host->host.settings = host->settings;
    host->host.log = &host->sink;
    host->host.hold = host_hold;
    host->host.release = host_release;
    host->host.report = host_report;
    host->host.context = host;
    atomic_store(&signals_open, 0); /* the keyring's own calls, in this thread, do not count */
    atomic_store(&calls, 0);
    atomic_store(&first_failure, 0);
}

static void
host_start(HOST *host)
{
    CU_ASSERT_EQUAL_FATAL(access_check_start(&host->host, &host->check, &status), 0);
}

/* Stop, and take everything away that the thread was given. */
static void
host_end(HOST *host)
{
    access_check_stop(host->check);
    keyring_close(host->keyring);
    settings_free(host->settings);
    (void)close(host->home_fd);
    CU_ASSERT_EQUAL(signals_open, 0);
    atomic_store(&clock_speed, 1);
}

static int
reports_of(HOST *host)
{
    int reports;

    (void)pthread_mutex_lock(&host->mutex);
    reports = host->reports;
    (void)pthread_mutex_unlock(&host->mutex);
    return (reports);
}

static void
real_sleep(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&pause, NULL);
}

static void
wait_reports(HOST *host, int more)
{
    int i, wanted = reports_of(host) + more;

    for (i = 0; i < 6000 && reports_of(host) < wanted; i++)
        real_sleep(5);
    CU_ASSERT(reports_of(host) >= wanted);
}

static void
wait_sigterm(void)
{
    int i;

    for (i = 0; i < 6000 && atomic_load(&sigterms) == 0; i++)
        real_sleep(5);
}

static int
lines_with(HOST *host, const char *text)
{
    const char *p;
    int n = 0;

    (void)pthread_mutex_lock(&host->mutex);
    for (p = host->log; (p = strstr(p, text)) != NULL; p++)
        n++;
    (void)pthread_mutex_unlock(&host->mutex);
    return (n);
}

/* --- the tests */

static void
set_answers(int first, int second)
{
    atomic_store(&answers[0], first);
    atomic_store(&answers[1], second);
}

static void
good_keys_say_nothing(void)
{
    HOST host;

    host_make(&host, "");
    host_start(&host);
    wait_reports(&host, 5);
    CU_ASSERT_EQUAL(host.last_count, 2);
    host_end(&host);
    CU_ASSERT_STRING_EQUAL(host.log, "");
    CU_ASSERT_EQUAL(sigterms, 0);
}

static void
disabled_stops_once(void)
{
    HOST host;

    host_make(&host, "");
    atomic_store(&clock_speed, 5000); /* 20 ms are 100 seconds */
    host_start(&host);
    wait_reports(&host, 2);
    set_answers(STATUS_DISABLED, STATUS_NOT_FOUND);
    wait_sigterm();
    CU_ASSERT_EQUAL(sigterms, 1);
    CU_ASSERT(killed_at - first_failure >= 10 * 60 * 1000);
    wait_reports(&host, 20); /* it goes on looking, and does not repeat itself */
    CU_ASSERT_EQUAL(sigterms, 1);
    CU_ASSERT_EQUAL(lines_with(&host, "the database is stopped (SIGTERM) as access.onDisabled"), 1);
    CU_ASSERT_EQUAL(lines_with(&host, "disabled: the test says so"), 1);
    CU_ASSERT_EQUAL(lines_with(&host, "not found: the test says so"), 1);
    CU_ASSERT_EQUAL(lines_with(&host, "when that lasts, the database will be stopped"), 1);
    host_end(&host);
    CU_ASSERT_EQUAL(other_kills, 0);
}

static void
on_disabled_warn(void)
{
    HOST host;

    host_make(&host, "onDisabled: warn");
    atomic_store(&clock_speed, 50000);
    set_answers(STATUS_DISABLED, STATUS_DISABLED);
    host_start(&host);
    wait_reports(&host, 20);
    CU_ASSERT_EQUAL(sigterms, 0);
    CU_ASSERT_EQUAL(lines_with(&host, "the database goes on"), 1);
    host_end(&host);
}

static void
one_that_opens_or_may_be_there(void)
{
    static const int others[] = {0, STATUS_UNAVAILABLE, STATUS_UNAUTHENTICATED, STATUS_BAD_REPLY,
      STATUS_DENIED, STATUS_CONFIG};
    HOST host;
    size_t i;

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        host_make(&host, "");
        atomic_store(&clock_speed, 50000);
        set_answers(STATUS_DISABLED, others[i]);
        host_start(&host);
        wait_reports(&host, 10);
        CU_ASSERT_EQUAL(sigterms, 0);
        CU_ASSERT_EQUAL(lines_with(&host, "disabled: the test says so"), 1);
        host_end(&host);
    }
}

static void
denied_stops_after_its_time(void)
{
    HOST host;

    host_make(&host, "onDenied: shutdown, deniedFor: 4h");
    atomic_store(&clock_speed, 100000);
    set_answers(STATUS_DENIED, STATUS_DENIED);
    host_start(&host);
    wait_sigterm();
    CU_ASSERT_EQUAL(sigterms, 1);
    CU_ASSERT(killed_at - first_failure >= 4 * 3600 * 1000);
    CU_ASSERT_EQUAL(lines_with(&host, "as access.onDenied says"), 1);
    host_end(&host);
}

static void
unreachable_and_back(void)
{
    HOST host;

    host_make(&host, "");
    atomic_store(&clock_speed, 1000000);
    set_answers(STATUS_UNAVAILABLE, STATUS_UNAVAILABLE);
    host_start(&host);
    wait_reports(&host, 30);
    CU_ASSERT_EQUAL(sigterms, 0);
    CU_ASSERT_EQUAL(lines_with(&host, "unavailable: the test says so"), 2);
    CU_ASSERT_EQUAL(lines_with(&host, "no customer key can be reached; the database goes on"), 1);
    set_answers(0, 0);
    wait_reports(&host, 2);
    CU_ASSERT_EQUAL(lines_with(&host, "opens again"), 2);
    CU_ASSERT_EQUAL(lines_with(&host, "a customer key opens the keystore again"), 1);
    host_end(&host);
}

static void
max_unreachable(void)
{
    HOST host;

    host_make(&host, "maxUnreachable: 2d");
    atomic_store(&clock_speed, 500000);
    set_answers(STATUS_UNAVAILABLE, STATUS_UNAVAILABLE);
    host_start(&host);
    wait_sigterm();
    CU_ASSERT_EQUAL(sigterms, 1);
    CU_ASSERT(killed_at - first_failure >= 2 * 24 * 3600 * 1000LL);
    host_end(&host);
}

static void
called_off_at_once(void)
{
    HOST host;
    int64_t start;

    host_make(&host, "");
    behaviour = HANG_UNTIL_CALLED_OFF;
    host_start(&host);
    while (!atomic_load(&hangs))
        real_sleep(1);
    start = clock_ms();
    host_end(&host);
    CU_ASSERT(clock_ms() - start < 500);
    CU_ASSERT_STRING_EQUAL(host.log, ""); /* what was called off was no check */
}

/* A call that cannot be called off is not waited for, and ends on memory of its own. */
static void
deaf_call_is_left_behind(void)
{
    HOST host;
    int64_t start;
    int ended = atomic_load(&ends), i, tasks;

    host_make(&host, "");
    tasks = count_proc("/proc/self/task");
    behaviour = HANG_DEAF;
    host_start(&host);
    while (!atomic_load(&hangs))
        real_sleep(1);
    start = clock_ms();
    host_end(&host);
    CU_ASSERT(clock_ms() - start < ACCESS_CHECK_STOP_MS + 1000);
    CU_ASSERT_EQUAL(ends, ended);
    memset(&host, 0xaa, sizeof(host)); /* gone, as the connection is */
    atomic_store(&let_go, true);
    for (i = 0; i < 1000 && count_proc("/proc/self/task") != tasks; i++)
        real_sleep(5);
    CU_ASSERT_EQUAL(count_proc("/proc/self/task"), tasks);
    CU_ASSERT_EQUAL(ends, ended + 1);
}

static void
first_check_is_spread(void)
{
    HOST host;
    int64_t start, least = INT64_MAX, most = 0, took;
    int i;

    for (i = 0; i < 12; i++) {
        host_make(&host, "");
        host.settings->access.check_interval = 400;
        start = clock_ms();
        host_start(&host);
        wait_reports(&host, 1);
        took = clock_ms() - start;
        least = took < least ? took : least;
        most = took > most ? took : most;
        host_end(&host);
    }
    /* The odds that twelve of them lie in a quarter of the interval are one in a million. */
    CU_ASSERT(most - least > 100);
    CU_ASSERT(least < 400);
}

static long
resident_kib(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long size, resident;

    if (f == NULL)
        return (-1);
    if (fscanf(f, "%ld %ld", &size, &resident) != 2)
        resident = -1;
    (void)fclose(f);
    return (resident * (sysconf(_SC_PAGESIZE) / 1024));
}

/* WTKMS_LONG=1: ten thousand. */
static void
a_thousand_checks_leave_nothing(void)
{
    HOST host;
    const char *all = getenv("WTKMS_LONG");
    int descriptors, tasks, rounds = all == NULL || strcmp(all, "0") == 0 ? 1000 : 10000;
    long before, after;

    host_make(&host, "");
    host.settings->access.check_interval = 1;
    host_start(&host);
    wait_reports(&host, rounds / 5);
    before = resident_kib();
    descriptors = count_proc("/proc/self/fd");
    tasks = count_proc("/proc/self/task");
    wait_reports(&host, rounds / 2);
    set_answers(STATUS_UNAVAILABLE, STATUS_DENIED); /* failing ones leave nothing either */
    wait_reports(&host, rounds / 2);
    after = resident_kib();
    CU_ASSERT_EQUAL(count_proc("/proc/self/task"), tasks);
    CU_ASSERT(abs(count_proc("/proc/self/fd") - descriptors) <= 1); /* a key file, being read */
    (void)printf(" resident %ld -> %ld KiB ", before, after);
#if !defined(WTKMS_SANITIZERS)
    CU_ASSERT(after - before < 256);
#endif
    host_end(&host);
}

static void
forked_child_only_frees(void)
{
    HOST host;
    pid_t pid;
    int result;

    host_make(&host, "");
    host_start(&host);
    wait_reports(&host, 1);
    if ((pid = fork()) == 0) {
        access_check_stop(host.check);
        _exit(0);
    }
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &result, 0), pid);
    CU_ASSERT(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    host_end(&host);
    access_check_stop(NULL);
}

const TEST test_access_check[] = {{"good keys say nothing", good_keys_say_nothing},
  {"disabled stops once", disabled_stops_once}, {"on disabled warn", on_disabled_warn},
  {"one that opens or may be there", one_that_opens_or_may_be_there},
  {"denied stops after its time", denied_stops_after_its_time},
  {"unreachable and back", unreachable_and_back}, {"max unreachable", max_unreachable},
  {"called off at once", called_off_at_once},
  {"deaf call is left behind", deaf_call_is_left_behind},
  {"first check is spread", first_check_is_spread},
  {"a thousand checks leave nothing", a_thousand_checks_leave_nothing},
  {"forked child only frees", forked_child_only_frees}, {NULL, NULL}};
