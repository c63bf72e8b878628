/*
 * test/keystore/test_crash.c -- Writes that are killed at every system call, or whose calls fail;
 * several processes at once.
 */
#include "test/keystore/keystore_tests.h"
#include "test/syscall_trace.h"

#include <sys/wait.h>

#define MOST_CALLS 2000

/* The state before the write, put back for each run. */
typedef struct {
    HOME home;
    uint8_t *keystore, *mirror;
    size_t keystore_len, mirror_len;
    uint64_t default_id;
    bool rotate; /* a new master key instead of a data key */
} JOB;

static int
rotate_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    (void)context;
    return (keyring_new_master(keyring, keystore, "default", 1000, 0, status));
}

/* What is killed: an open, and then a write. */
static int
run_job(void *context)
{
    JOB *job = context;
    STATUS status;
    KEYRING *keyring;
    uint64_t id;
    bool created;
    int ret;

    status_clear(&status);
    if ((ret = keyring_open(
           job->home.fd, job->home.settings, &job->home.options, &keyring, &status)) != 0)
        return (100 + ret);
    if (job->rotate)
        ret = keyring_update(keyring, "rotate master", NULL, rotate_edit, NULL, &status);
    else
        ret = keyring_ensure_data_key(keyring, "new", &id, &created, &status);
    if (ret != 0 && keyring_active_data_key(keyring, "new") != 0)
        ret = 99; /* a key is used that is not everywhere */
    keyring_close(keyring);
    return (ret);
}

static void
open_job(JOB *job, bool rotate)
{
    STATUS status;
    KEYRING *keyring;
    char path[700];

    memset(job, 0, sizeof(*job));
    home_make(&job->home, NULL);
    (void)snprintf(path, sizeof(path), "%s/copies", job->home.dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
    home_configure(&job->home,
      "node: n\nkms: [{provider: local, keyFile: %k}]\nkeystoreCopies: [%d/copies/1]\n");
    home_write(&job->home, MIRROR_FILE, "cache_size=1G", 13);
    CHECK_OK_FATAL(keyring_create(
      job->home.fd, job->home.settings, &job->home.options, false, &keyring, &status));
    job->default_id = keyring_active_data_key(keyring, "default");
    keyring_close(keyring);
    job->keystore = home_read(&job->home, KEYRING_FILE, &job->keystore_len);
    job->mirror = home_read(&job->home, MIRROR_FILE, &job->mirror_len);
    job->rotate = rotate;
}

static void
reset_job(JOB *job)
{
    home_clear(&job->home);
    home_write(&job->home, KEYRING_FILE, job->keystore, job->keystore_len);
    home_write(&job->home, "../copies/1", job->keystore, job->keystore_len);
    home_write(&job->home, MIRROR_FILE, job->mirror, job->mirror_len);
}

static void
close_job(JOB *job)
{
    free(job->keystore);
    free(job->mirror);
    home_free(&job->home);
}

static bool
same_bytes(const HOME *home, const char *name, const uint8_t *data, size_t len)
{
    uint8_t *found;
    size_t found_len;
    bool same;

    found = home_read(home, name, &found_len);
    same = found_len == len && memcmp(found, data, len) == 0;
    free(found);
    return (same);
}

/* After any end of the write: the old state or the new one, and the next open makes all of it whole. */
static bool
is_sound(JOB *job, bool must_be_new)
{
    HOME *home = &job->home;
    STATUS status;
    KEYRING *keyring;
    MIRROR mirror;
    uint8_t *data, *text;
    size_t len, text_len;
    int64_t generation;
    bool sound = true;

    data = home_read(home, KEYRING_FILE, &len);
    status_clear(&status);
    if (keyring_open(home->fd, home->settings, &home->options, &keyring, &status) != 0) {
        fprintf(stderr, "\n%s\n", status.message);
        free(data);
        return (false);
    }
    generation = keyring_generation(keyring);
    if (generation == 1 &&
        (must_be_new || len != job->keystore_len || memcmp(data, job->keystore, len) != 0))
        sound = false;
    if (generation != 1 && generation != 2)
        sound = false;
    if (!job->rotate && (generation == 2) != (keyring_active_data_key(keyring, "new") != 0))
        sound = false;
    if (keyring_active_data_key(keyring, "default") != job->default_id)
        sound = false;
    text = home_read(home, MIRROR_FILE, &text_len);
    if (!same_bytes(home, KEYRING_FILE, data, len) || !same_bytes(home, "../copies/1", data, len) ||
        text_len < 14 || memcmp(text, "cache_size=1G\n", 14) != 0)
        sound = false;
    if (mirror_parse((const char *)text, text_len, &mirror, &status) != 0 ||
        mirror.keystore_len != len || memcmp(mirror.keystore, data, len) != 0)
        sound = false;
    mirror_release(&mirror);
    if (home->log[0] != '\0')
        sound = false;
    keyring_close(keyring);
    free(data);
    free(text);
    return (sound);
}

static void
trace_all(bool rotate, TRACE trace)
{
    JOB job;
    unsigned acted = 0;
    int ret;

    open_job(&job, rotate);
    for (trace.at = 1; trace.at < MOST_CALLS; trace.at++) {
        reset_job(&job);
        if ((ret = syscall_trace(run_job, &job, &trace)) != 0) {
            printf("(left out: processes cannot be traced here: %s) ", strerror(ret));
            goto out;
        }
        if (trace.action != TRACE_KILL)
            CU_ASSERT_NOT_EQUAL(trace.exit_code, 99);
        ret = is_sound(&job, trace.exited && trace.exit_code == 0) ? 0 : 1;
        if (ret != 0)
            fprintf(stderr, "\nat call %u (number %ld), exit %d\n", trace.at, trace.call,
              trace.exit_code);
        CU_ASSERT_EQUAL(ret, 0);
        if (!trace.acted)
            break;
        acted++;
    }
    printf("(%u calls) ", acted);
    CU_ASSERT(acted > 20 && trace.at < MOST_CALLS);

out:
    close_job(&job);
}

static void
test_killed(void)
{
    trace_all(false, (TRACE){.action = TRACE_KILL});
}

static void
test_killed_rotating(void)
{
    trace_all(true, (TRACE){.action = TRACE_KILL});
}

static void
test_failing_calls(void)
{
    static const int errors[] = {ENOSPC, EIO, EROFS};
    size_t i;

    for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        trace_all(false, (TRACE){.action = TRACE_FAIL, .error = errors[i]});
}

/* --- several processes */

#define ADDS 100

static int
writer(const HOME *home, char name)
{
    STATUS status;
    KEYRING *keyring;
    uint64_t id;
    char keyid[32];
    int i, ret;
    bool created;

    status_clear(&status);
    if ((ret = keyring_open(home->fd, home->settings, &home->options, &keyring, &status)) != 0)
        goto err;
    for (i = 0; i < ADDS; i++) {
        (void)snprintf(keyid, sizeof(keyid), "%c%d", name, i);
        if ((ret = keyring_ensure_data_key(keyring, keyid, &id, &created, &status)) != 0)
            goto err;
        if (!created)
            return (2);
        /* One that both want: only one of them makes it. */
        (void)snprintf(keyid, sizeof(keyid), "both%d", i / 10);
        if ((ret = keyring_ensure_data_key(keyring, keyid, &id, &created, &status)) != 0)
            goto err;
        (void)usleep(1000); /* so that the reader gets a look at what is between */
    }
    keyring_close(keyring);
    return (0);

err:
    fprintf(stderr, "\nwriter %c: %s\n", name, status.message);
    return (1);
}

static void
test_two_writers(void)
{
    HOME home;
    STATUS status;
    KEYRING *reader, *after;
    pid_t children[2];
    int i, wait_status, running = 2;
    unsigned changes = 0;
    char keyid[32];
    bool changed;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &reader, &status));
    (void)fflush(NULL);
    for (i = 0; i < 2; i++)
        if ((children[i] = fork()) == 0)
            _exit(writer(&home, (char)('a' + i)));
    while (running > 0) {
        CHECK_OK(keyring_refresh(reader, &changed, &status));
        changes += changed;
        for (i = 0; i < 2; i++)
            if (children[i] != 0 && waitpid(children[i], &wait_status, WNOHANG) == children[i]) {
                CU_ASSERT(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0);
                children[i] = 0;
                running--;
            }
        (void)usleep(1000);
    }
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT(changes > 1); /* on a machine that does other things too */
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &after, &status));
    CU_ASSERT_EQUAL(keyring_generation(after), 1 + 2 * ADDS + ADDS / 10);
    CU_ASSERT_EQUAL(keyring_generation(reader), keyring_generation(after));
    for (i = 0; i < 2 * ADDS; i++) {
        (void)snprintf(keyid, sizeof(keyid), "%c%d", 'a' + i % 2, i / 2);
        CU_ASSERT_NOT_EQUAL(keyring_active_data_key(after, keyid), 0);
        CU_ASSERT(same_data_key(reader, after, keyring_active_data_key(after, keyid)));
    }
    keyring_close(after);
    keyring_close(reader);
    home_free(&home);
}

/* Several create at once: one keystore comes of it. */
static void
test_two_creators(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    pid_t children[4];
    int i, wait_status, made = 0, refused = 0;

    home_make(&home, NULL);
    (void)fflush(NULL);
    for (i = 0; i < 4; i++)
        if ((children[i] = fork()) == 0) {
            status_clear(&status);
            _exit(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
        }
    for (i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(waitpid(children[i], &wait_status, 0), children[i]);
        made += WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0;
        refused += WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == STATUS_REFUSED;
    }
    CU_ASSERT_EQUAL(made, 1);
    CU_ASSERT_EQUAL(refused, 3);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(keyring_generation(keyring), 1);
    keyring_close(keyring);
    home_free(&home);
}

const TEST crash_tests[] = {{"killed at every call", test_killed},
  {"killed at every call of a rotation", test_killed_rotating},
  {"every call failing", test_failing_calls}, {"two writers and a reader", test_two_writers},
  {"several creators", test_two_creators}, {NULL, NULL}};
