/*
 * test/extension/test_parts.c -- Data keys without locks, the host's log, refusals, the watcher, the
 * state file.
 */
#include "extension/data_keys.h"
#include "extension/host_log.h"
#include "extension/refusal.h"
#include "extension/watcher.h"
#include "keystore/state_file.h"
#include "test/extension/test_extension.h"

#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static STATUS status;

static void
sleep_ms(long ms)
{
    struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&ts, NULL);
}

/* --- data keys */

#define KEYS 2000

static atomic_bool adding;
static atomic_uint found_wrong;

static void *
reader(void *arg)
{
    DATA_KEYS *keys = arg;
    const DATA_KEY *key;
    uint64_t id;

    /* Whatever is found is what was added; a key once seen stays. */
    while (atomic_load(&adding))
        for (id = 1; id <= KEYS; id++)
            if ((key = data_keys_find(keys, id)) != NULL && unit_key_id(key->unit_key) != id)
                (void)atomic_fetch_add(&found_wrong, 1);
    return (NULL);
}

static void
found_while_added(void)
{
    DATA_KEYS *keys;
    SECRET *secret;
    const DATA_KEY *key;
    const char *name;
    pthread_t threads[4];
    char keyid[32];
    uint64_t id;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(unit_cipher_library_open(&status), 0);
    CU_ASSERT_EQUAL_FATAL(data_keys_new(&keys, &status), 0);
    CU_ASSERT_PTR_NULL(data_keys_find(keys, 1));
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &secret, &status), 0);
    atomic_store(&adding, true);
    for (i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, reader, keys), 0);
    for (id = 1; id <= KEYS; id++) {
        (void)snprintf(keyid, sizeof(keyid), "tenant%u", (unsigned)(id % 10));
        CU_ASSERT_EQUAL(data_keys_add(keys, id, keyid, secret, &status), 0);
        CU_ASSERT_EQUAL(
          data_keys_add(keys, id, keyid, secret, &status), 0); /* once more: nothing */
    }
    atomic_store(&adding, false);
    for (i = 0; i < 4; i++)
        (void)pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&found_wrong), 0);
    for (id = 1; id <= KEYS; id++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(key = data_keys_find(keys, id));
        (void)snprintf(keyid, sizeof(keyid), "tenant%u", (unsigned)(id % 10));
        CU_ASSERT_EQUAL(data_keys_intern(keys, keyid, &name, &status), 0);
        CU_ASSERT_PTR_EQUAL(key->keyid, name);
    }
    CU_ASSERT_PTR_NULL(data_keys_find(keys, KEYS + 1));
    CU_ASSERT_PTR_NULL(data_keys_find(keys, 0));
    data_keys_free(keys);
    data_keys_free(NULL);
    secret_free(secret);
    unit_cipher_library_close();
}

const TEST test_data_keys[] = {{"found_while_added", found_while_added}, {NULL, NULL}};

/* --- the host's log */

static char printed[16384];
static WT_SESSION *printed_session;

static int print(const char *where, WT_SESSION *session, const char *fmt, va_list ap)
  WTKMS_PRINTF(3, 0);

static int
print(const char *where, WT_SESSION *session, const char *fmt, va_list ap)
{
    size_t used = strlen(printed);

    used += (size_t)snprintf(printed + used, sizeof(printed) - used, "%s:", where);
    used += (size_t)vsnprintf(printed + used, sizeof(printed) - used, fmt, ap);
    (void)snprintf(printed + used, sizeof(printed) - used, "\n");
    printed_session = session;
    return (0);
}

static int fake_err(WT_EXTENSION_API *api, WT_SESSION *session, const char *fmt, ...)
  WTKMS_PRINTF(3, 4);

static int
fake_err(WT_EXTENSION_API *api, WT_SESSION *session, const char *fmt, ...)
{
    va_list ap;

    (void)api;
    va_start(ap, fmt);
    (void)print("err", session, fmt, ap);
    va_end(ap);
    return (0);
}

static int fake_msg(WT_EXTENSION_API *api, WT_SESSION *session, const char *fmt, ...)
  WTKMS_PRINTF(3, 4);

static int
fake_msg(WT_EXTENSION_API *api, WT_SESSION *session, const char *fmt, ...)
{
    va_list ap;

    (void)api;
    va_start(ap, fmt);
    (void)print("msg", session, fmt, ap);
    va_end(ap);
    return (0);
}

static void
lines_wait_for_a_session(void)
{
    WT_EXTENSION_API api;
    WT_SESSION *session = (WT_SESSION *)(void *)&api; /* only passed on */
    HOST_LOG *log;
    unsigned i;

    memset(&api, 0, sizeof(api));
    api.err_printf = fake_err;
    api.msg_printf = fake_msg;
    printed[0] = '\0';
    CU_ASSERT_EQUAL_FATAL(host_log_new(&api, &log, &status), 0);
    log_printf(host_log_sink(log), LOG_INFO, "at once %d%%", 1);
    CU_ASSERT_STRING_EQUAL(printed, "msg:wiredtiger-kms: at once 1%\n");

    printed[0] = '\0';
    host_log_queue(log);
    log_printf(host_log_sink(log), LOG_WARNING, "later\nnot a second line");
    log_printf(host_log_sink(log), LOG_INFO, "and %s", "this");
    CU_ASSERT_STRING_EQUAL(printed, "");
    host_log_flush(log, session);
    CU_ASSERT_STRING_EQUAL(printed,
      "err:wiredtiger-kms: warning: later?not a second line\nmsg:wiredtiger-kms: and this\n");
    CU_ASSERT_PTR_EQUAL(printed_session, session);

    /* Bounded: a host that never comes by does not cost memory without end. */
    printed[0] = '\0';
    for (i = 0; i < 100; i++)
        log_printf(host_log_sink(log), LOG_ERROR, "line %u", i);
    host_log_flush(log, session);
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "line 63\n"));
    CU_ASSERT_PTR_NULL(strstr(printed, "line 64\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(printed, "36 more lines were dropped"));

    /* What still waits at the end is freed. */
    log_printf(host_log_sink(log), LOG_ERROR, "unread");
    host_log_free(log);
    host_log_free(NULL);
}

const TEST test_host_log[] = {{"lines_wait_for_a_session", lines_wait_for_a_session}, {NULL, NULL}};

/* --- refusals */

static int
scratch_dir(const char *name)
{
    char path[5000];

    (void)snprintf(path, sizeof(path), "%s/%s", test_scratch(), name);
    (void)mkdir(path, 0700);
    return (open(path, O_RDONLY | O_DIRECTORY));
}

static void
put(int dirfd, const char *name, const char *text)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static void
remembered_until_mended(void)
{
    STATUS said, recalled;
    char name[16];
    int a = scratch_dir("refused-a"), b = scratch_dir("refused-b"), fd, i;

    CU_ASSERT_FATAL(a >= 0 && b >= 0);
    CU_ASSERT_FALSE(refusal_recall(a, NULL, &recalled));
    (void)status_set(&said, STATUS_NO_KEY, "home-no-keystore", "no keystore");
    refusal_remember(a, NULL, &said);
    CU_ASSERT_TRUE(refusal_recall(a, NULL, &recalled));
    CU_ASSERT_STRING_EQUAL(recalled.id, "home-no-keystore");
    CU_ASSERT_EQUAL(recalled.status_class, STATUS_NO_KEY);
    CU_ASSERT_PTR_NOT_NULL(strstr(recalled.message, "seconds ago"));
    CU_ASSERT_FALSE(refusal_recall(b, NULL, &recalled));

    /* The keystore was put back: no waiting. */
    put(a, "wtkms.keystore", "x");
    CU_ASSERT_FALSE(refusal_recall(a, NULL, &recalled));

    /* More homes than there is memory for: the oldest goes. */
    refusal_remember(b, NULL, &said);
    for (i = 0; i < 12; i++) {
        (void)snprintf(name, sizeof(name), "refused-%d", i);
        CU_ASSERT_FATAL((fd = scratch_dir(name)) >= 0);
        refusal_remember(fd, NULL, &said);
        CU_ASSERT_TRUE(refusal_recall(fd, NULL, &recalled));
        (void)close(fd);
    }
    (void)close(a);
    (void)close(b);
}

const TEST test_refusal[] = {{"remembered_until_mended", remembered_until_mended}, {NULL, NULL}};

/* --- the watcher */

static atomic_uint ticks, signals_open;

static void
tick(void *context)
{
    sigset_t blocked;

    (void)context;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM) || !sigismember(&blocked, SIGUSR1))
        (void)atomic_fetch_add(&signals_open, 1);
    (void)atomic_fetch_add(&ticks, 1);
}

static void
ticks_and_ends_at_once(void)
{
    struct timespec before, after;
    WATCHER *watcher;
    pid_t child;
    int wstatus;

    CU_ASSERT_EQUAL_FATAL(watcher_start(tick, NULL, &watcher, &status), 0);
    sleep_ms(WATCHER_INTERVAL_MS * 5 / 2);
    (void)clock_gettime(CLOCK_MONOTONIC, &before);
    watcher_stop(watcher);
    (void)clock_gettime(CLOCK_MONOTONIC, &after);
    CU_ASSERT(after.tv_sec - before.tv_sec <= 1);
    CU_ASSERT(atomic_load(&ticks) >= 1);
    CU_ASSERT_EQUAL(atomic_load(&signals_open), 0);
    watcher_stop(NULL);

    /* A forked child has no such thread, and must not wait for it. */
    CU_ASSERT_EQUAL_FATAL(watcher_start(tick, NULL, &watcher, &status), 0);
    if ((child = fork()) == 0) {
        (void)alarm(10);
        watcher_stop(watcher);
        _exit(0);
    }
    CU_ASSERT_FATAL(child > 0);
    CU_ASSERT_EQUAL(waitpid(child, &wstatus, 0), child);
    CU_ASSERT(WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0);
    watcher_stop(watcher);
}

const TEST test_watcher[] = {{"ticks_and_ends_at_once", ticks_and_ends_at_once}, {NULL, NULL}};

/* --- wtkms.state */

static char uuid[] = "00112233-4455-6677-8899-aabbccddeeff";
static char scope[] = "default", provider[] = "local", key_id[] = "local:ab", path[] = "/k \"q\"\n";
static char bad_text[] = "\xff\xfe";

static void
state_round_trip(void)
{
    STATE_FILE_OPENED opened = {scope, provider, key_id, path};
    STATE_FILE_CONTENT content = {.pid = 42,
      .uuid = uuid,
      .node = bad_text,
      .module_version = scope,
      .engine_version = provider,
      .generation = INT64_MAX,
      .started_at = 1,
      .updated_at = 2,
      .opened = &opened,
      .opened_count = 1};
    STATE_FILE_CONTENT *read_back;
    int dirfd = scratch_dir("state");

    CU_ASSERT_FATAL(dirfd >= 0);
    CU_ASSERT_EQUAL(state_file_read(dirfd, &read_back, &status), 0);
    CU_ASSERT_PTR_NULL(read_back);
    CU_ASSERT_EQUAL_FATAL(state_file_write(dirfd, &content, &status), 0);
    CU_ASSERT_EQUAL_FATAL(state_file_read(dirfd, &read_back, &status), 0);
    CU_ASSERT_PTR_NOT_NULL_FATAL(read_back);
    CU_ASSERT_EQUAL(read_back->pid, 42);
    CU_ASSERT_EQUAL(read_back->generation, INT64_MAX);
    CU_ASSERT_STRING_EQUAL(read_back->uuid, uuid);
    CU_ASSERT_STRING_EQUAL(read_back->node, "");
    CU_ASSERT_EQUAL(read_back->opened_count, 1);
    CU_ASSERT_STRING_EQUAL(read_back->opened[0].credential, path);
    CU_ASSERT_EQUAL(read_back->closed_at, 0);
    state_file_free(read_back);
    state_file_free(NULL);

    /* Anybody may write this file: every shape is either read or refused, and nothing breaks. */
    put(dirfd, STATE_FILE, "no json");
    CU_ASSERT_EQUAL(state_file_read(dirfd, &read_back, &status), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(read_back);
    put(dirfd, STATE_FILE, "{\"pid\":\"x\",\"opened\":[1,{\"scope\":2}],\"new\":{}}");
    CU_ASSERT_EQUAL_FATAL(state_file_read(dirfd, &read_back, &status), 0);
    CU_ASSERT_EQUAL(read_back->pid, 0);
    CU_ASSERT_EQUAL(read_back->opened_count, 1);
    CU_ASSERT_STRING_EQUAL(read_back->opened[0].scope, "");
    state_file_free(read_back);
    put(dirfd, STATE_FILE, "{\"opened\":[]}");
    CU_ASSERT_EQUAL_FATAL(state_file_read(dirfd, &read_back, &status), 0);
    state_file_free(read_back);
    (void)close(dirfd);
}

const TEST test_state_file[] = {{"state_round_trip", state_round_trip}, {NULL, NULL}};
