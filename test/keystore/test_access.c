/*
 * test/keystore/test_access.c -- The rules of the access check, row by row; trying real recipients;
 * what an entry says about time-outs and retries.
 */
#include "test/keystore/fault.h"
#include "test/keystore/keystore_tests.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "keystore/access.h"
#include "keystore/access_probe.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define MINUTE (60 * 1000LL)
#define HOUR (60 * MINUTE)

/* --- the rules */

/* One letter a recipient: o opens, d disabled, n not found, x denied, u unauthenticated, a unavailable, b bad
 * reply, c configuration, i input or output. */
static STATUS_CLASS
class_of(char letter)
{
    static const char letters[] = "odnxuabci";
    static const STATUS_CLASS classes[] = {STATUS_OK, STATUS_DISABLED, STATUS_NOT_FOUND,
      STATUS_DENIED, STATUS_UNAUTHENTICATED, STATUS_UNAVAILABLE, STATUS_BAD_REPLY, STATUS_CONFIG,
      STATUS_IO};

    return (classes[strchr(letters, letter) - letters]);
}

/*
 * Checks at so many minutes each, and the verdicts: k keep, w warn, S stop. "0 dd w" is a check of two
 * disabled recipients at the start that only warns.
 */
static void
play(const SETTINGS *settings, const char *script)
{
    ACCESS access = {0};
    ACCESS_DECISION decision;
    STATUS_CLASS classes[8];
    char letters[8], verdict, found;
    double minutes;
    size_t i;
    int used;

    for (; sscanf(script, "%lf %7s %c%n", &minutes, letters, &verdict, &used) == 3;
         script += used) {
        for (i = 0; letters[i] != '\0' && letters[0] != '-'; i++)
            classes[i] = class_of(letters[i]);
        /* A monotonic clock may start anywhere. */
        access_decide(
          &access, settings, classes, i, 1234567 + (int64_t)(minutes * (double)MINUTE), &decision);
        found = "kwS"[decision.verdict];
        if (found != verdict)
            fprintf(stderr, "\nat %g %s: %c, expected %c\n", minutes, letters, found, verdict);
        CU_ASSERT_EQUAL(found, verdict);
        CU_ASSERT_PTR_NOT_NULL(access_finding_text(decision.finding));
    }
    CU_ASSERT_EQUAL(script[strspn(script, " ")], '\0');
}

static void
test_disabled(void)
{
    SETTINGS settings = {.access = {.on_disabled = 1, .denied_for = 4 * HOUR}};

    /* Three checks and ten minutes, neither alone. */
    play(&settings, "0 d w 15 d w 30 d S 45 d S");
    play(&settings, "0 n w 5 n w 9.99 n w 10 n S");
    play(&settings, "0 d w 0.1 d w 0.2 d w 0.3 d w 9 d w 9.9 d w 10 d S");
    play(&settings, "0 d w 60 d w 61 d S");
    play(&settings, "0 dn w 15 nd w 30 dd S");
    /* Each row of the table that never stops, for a week. */
    play(&settings, "0 x w 15 x w 30 x w 10080 x w");
    play(&settings, "0 u w 15 u w 30 u w 10080 u w");
    play(&settings, "0 a w 15 a w 30 a w 10080 a w");
    play(&settings, "0 b w 15 b w 30 b w 10080 b w");
    play(&settings, "0 c w 15 c w 30 c w 10080 c w");
    play(&settings, "0 i w 15 i w 30 i w 10080 i w");
    play(&settings, "0 o k 15 o k 30 oo k");
    play(&settings, "0 - w 15 - w 30 - w 10080 - w");
    settings.access.on_disabled = 0;
    play(&settings, "0 d w 15 d w 30 d w 10080 d w");
}

static void
test_mixed(void)
{
    SETTINGS settings = {.access = {.on_disabled = 1, .on_denied = 0, .denied_for = 4 * HOUR}};

    /* One that opens, or may be there, keeps it serving. */
    play(&settings, "0 do w 15 do w 30 do w 10080 do w");
    play(&settings, "0 da w 15 ad w 30 da w 10080 da w");
    play(&settings, "0 du w 15 du w 30 du w 10080 du w");
    play(&settings, "0 dx w 15 dx w 30 dx w 10080 dx w");
    play(&settings, "0 dc w 15 db w 30 dc w 10080 dc w");
    /* A good check clears; one that is not certain starts anew. */
    play(&settings, "0 d w 15 d w 30 o k 45 d w 60 d w 75 d S");
    play(&settings, "0 dd w 15 dd w 30 da w 45 dd w 60 dd w 75 dd S");
    play(&settings, "0 d w 15 d w 30 d S 45 o k 60 d w 75 d w 90 d S");
}

static void
test_denied(void)
{
    SETTINGS settings = {.access = {.on_disabled = 1, .on_denied = 1, .denied_for = 4 * HOUR}};

    play(&settings, "0 x w 15 x w 30 x w 239 x w 240 x S");
    play(&settings, "0 xd w 15 xd w 239 dx w 240 dx S");
    play(&settings, "0 x w 15 x w 120 o k 240 x w 300 x w 479 x w 480 x S");
    play(&settings, "0 x w 120 a w 240 x w 300 x w 479 x w 480 x S");
    /* Denied, then disabled: by the shorter rule, from when all were disabled. */
    play(&settings, "0 x w 15 x w 30 d w 45 d w 60 d S");
    /* Disabled, then denied: all of it counts for the longer one. */
    play(&settings, "0 d w 15 d w 20 x w 120 x w 240 x S");
    play(&settings, "0 xu w 300 xu w 600 xu w 900 xu w");
    /* deniedFor never makes it shorter than the floor. */
    settings.access.denied_for = MINUTE;
    play(&settings, "0 x w 1 x w 2 x w 9 x w 10 x S");
    /* A disabled one does not count when onDisabled says so. */
    settings.access.on_disabled = 0;
    play(&settings, "0 xd w 15 xd w 30 xd w 10080 xd w");
    play(&settings, "0 d w 15 d w 30 x w 35 x w 39 x w 40 x S");
}

static void
test_unreachable(void)
{
    SETTINGS settings = {.access = {.on_disabled = 1, .on_denied = 1, .denied_for = 4 * HOUR}};

    settings.access.max_unreachable = 24 * HOUR;
    play(&settings, "0 a w 15 a w 30 a w 1439 a w 1440 a S");
    play(&settings, "0 a w 1440 a w 1441 a S");
    play(&settings, "0 a w 1400 o k 1430 a w 1440 a w 1450 a w 2869 a w 2870 a S");
    /* None opens, and one cannot be reached. */
    play(&settings, "0 ad w 15 ad w 1440 ax S");
    play(&settings, "0 ao w 15 ao w 1440 ao w 2880 ao w");
    play(&settings, "0 au w 15 au w 1440 au w 2880 au w");
}

/* --- trying recipients */

#define ACCESS_YAML                                                                           \
    "node: n\nkms: [{provider: local, keyFile: %k}, {provider: local, keyFile: %d/second}]\n" \
    "keys: {tenantA: {kms: [{provider: local, keyFile: %d/keyA}]}}\n"

static atomic_int unwraps, unwrap_timeout;
static int answer; /* of the second recipient of the default scope */
static char answer_key[64];
static atomic_bool call_off;

static int
counting_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    atomic_fetch_add(&unwraps, 1);
    atomic_store(&unwrap_timeout, timeout_ms);
    *plaintextp = NULL;
    if (answer != 0 && strcmp(answer_key, recorded->key_id) == 0) {
        (void)status_set(status, (STATUS_CLASS)answer, "test-kms", "the test says so");
        return (status_hint(status, "look at the test"));
    }
    return (__real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
}

static void
make_access(HOME *home, KEYRING **keyringp)
{
    STATUS status;
    uint64_t id;
    bool created;

    home_make(home, NULL);
    home_key_file(home, "second");
    home_key_file(home, "keyA");
    home_configure(home, ACCESS_YAML);
    CHECK_OK_FATAL(
      keyring_create(home->fd, home->settings, &home->options, false, keyringp, &status));
    CHECK_OK_FATAL(keyring_ensure_data_key(*keyringp, "tenantA", &id, &created, &status));
}

static void
test_probe(void)
{
    const ACCESS_RESULT *results;
    const KEYSTORE *keystore;
    ACCESS_PROBER *prober;
    KEYRING *keyring;
    HOME home;
    STATUS status;
    size_t count;
    char path[700], moved[710];

    make_access(&home, &keyring);
    keystore = keyring_hold_keystore(keyring);
    CHECK_OK_FATAL(access_prober_new(&home.sink, &prober, &status));
    fault_unwrap = counting_unwrap;
    atomic_store(&unwraps, 0);
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    CU_ASSERT_EQUAL(unwraps, 0);
    CU_ASSERT(access_prober_run(prober, NULL));
    CU_ASSERT_EQUAL(unwraps, 3);
    results = access_prober_results(prober, &count);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_STRING_EQUAL(results[0].scope, "default");
    CU_ASSERT_STRING_EQUAL(results[1].scope, "default");
    CU_ASSERT_STRING_EQUAL(results[2].scope, "tenantA");
    CU_ASSERT_EQUAL(results[0].status_class, STATUS_OK);
    CU_ASSERT_EQUAL(results[1].status_class, STATUS_OK);
    CU_ASSERT_EQUAL(results[2].status_class, STATUS_OK);
    CU_ASSERT_STRING_EQUAL(results[0].provider, "local");
    CU_ASSERT(strncmp(results[0].key_id, "local:", 6) == 0);
    CU_ASSERT(results[0].time > 1600000000000);
    (void)snprintf(answer_key, sizeof(answer_key), "%s", results[1].key_id);

    /* What a key service says of one recipient is that one's; and it is asked again. */
    for (answer = STATUS_DISABLED; answer <= STATUS_BAD_REPLY; answer++) {
        CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
        CU_ASSERT(access_prober_run(prober, NULL));
        results = access_prober_results(prober, &count);
        CU_ASSERT_EQUAL_FATAL(count, 3);
        CU_ASSERT_EQUAL(results[0].status_class, STATUS_OK);
        CU_ASSERT_EQUAL(results[1].status_class, (STATUS_CLASS)answer);
        CU_ASSERT_STRING_EQUAL(results[1].status.hint, "look at the test");
        CU_ASSERT_EQUAL(results[2].status_class, STATUS_OK);
    }
    answer = 0;

    /* A key file that is gone is a fault of the configuration, and no guess about the key. */
    (void)snprintf(path, sizeof(path), "%s/second", home.dir);
    (void)snprintf(moved, sizeof(moved), "%s.moved", path);
    CU_ASSERT_EQUAL(rename(path, moved), 0);
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    CU_ASSERT(access_prober_run(prober, NULL));
    results = access_prober_results(prober, &count);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_EQUAL(results[1].status_class, STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(results[1].provider, "local");
    CU_ASSERT_STRING_EQUAL(results[1].key_id, answer_key); /* the same name as when it opens */
    /* Back again. */
    CU_ASSERT_EQUAL(rename(moved, path), 0);
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    CU_ASSERT(access_prober_run(prober, NULL));
    results = access_prober_results(prober, &count);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    CU_ASSERT_EQUAL(results[1].status_class, STATUS_OK);

    /* Called off before it began: nothing is asked. */
    atomic_store(&call_off, true);
    atomic_store(&unwraps, 0);
    CU_ASSERT(!access_prober_run(prober, &call_off));
    CU_ASSERT_EQUAL(unwraps, 0);
    atomic_store(&call_off, false);
    fault_unwrap = NULL;
    access_prober_free(prober);
    access_prober_free(NULL);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    home_free(&home);
}

/* An entry for another key than the recorded ones is not asked about them. */
static void
test_not_configured(void)
{
    const ACCESS_RESULT *results;
    const KEYSTORE *keystore;
    ACCESS_PROBER *prober;
    KEYRING *keyring;
    HOME home, other;
    STATUS status;
    size_t count;

    make_access(&home, &keyring);
    home_make(&other, NULL);
    keystore = keyring_hold_keystore(keyring);
    CHECK_OK_FATAL(access_prober_new(NULL, &prober, &status));
    CHECK_OK_FATAL(access_prober_prepare(prober, other.settings, keystore, &status));
    fault_unwrap = counting_unwrap;
    atomic_store(&unwraps, 0);
    CU_ASSERT(access_prober_run(prober, NULL));
    CU_ASSERT_EQUAL(unwraps, 0);
    results = access_prober_results(prober, &count);
    CU_ASSERT_EQUAL(count, 0);
    (void)results;
    fault_unwrap = NULL;
    access_prober_free(prober);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    home_free(&other);
    home_free(&home);
}

static void
test_probe_no_memory(void)
{
    const KEYSTORE *keystore;
    ACCESS_PROBER *prober;
    KEYRING *keyring;
    HOME home;
    STATUS status;
    unsigned nth;
    int ret;
    bool hit;

    make_access(&home, &keyring);
    keystore = keyring_hold_keystore(keyring);
    for (nth = 1, hit = true; hit && nth < 1000; nth++) {
        fault_memory_at(nth);
        status_clear(&status);
        if ((ret = access_prober_new(NULL, &prober, &status)) == 0) {
            ret = access_prober_prepare(prober, home.settings, keystore, &status);
            (void)access_prober_run(prober, NULL);
        }
        hit = fault_memory_was_hit();
        CU_ASSERT(ret == 0 || ret == STATUS_NO_MEMORY);
        access_prober_free(prober);
    }
    CU_ASSERT(nth > 10);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    home_free(&home);
}

/* --- at open */

int64_t fault_timeout, fault_retry_for;

int64_t __wrap_kms_client_timeout(const KMS_CLIENT *client);
int64_t __wrap_kms_client_retry_for(const KMS_CLIENT *client);

/* As if `local` were a service with these settings. */
int64_t
__wrap_kms_client_timeout(const KMS_CLIENT *client)
{
    (void)client;
    return (fault_timeout);
}

int64_t
__wrap_kms_client_retry_for(const KMS_CLIENT *client)
{
    (void)client;
    return (fault_retry_for);
}

static void
test_entry_decides(void)
{
    KEYRING *keyring;
    HOME home;
    STATUS status;
    int64_t start;
    char *line;

    home_make(&home, NULL);
    home.options.kms_timeout_ms = 0;
    home.options.retry_for_ms = KEYRING_RETRY_CONFIGURED;
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    (void)keyring_opened_by(keyring, "default", home.log, answer_key, home.log, 64);
    keyring_close(keyring);
    home.log[0] = '\0';
    fault_unwrap = counting_unwrap;
    fault_timeout = 3456;
    answer = STATUS_UNAVAILABLE;
    fault_retry_for = 500;
    atomic_store(&unwraps, 0);
    start = clock_ms();
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_UNAVAILABLE, "test-kms");
    CU_ASSERT(clock_ms() - start >= 450 && clock_ms() - start < 5000);
    CU_ASSERT_EQUAL(unwrap_timeout, 3456);
    CU_ASSERT(unwraps >= 3);
    /* One line says what is waited for, and the refusal says class and hint. */
    CU_ASSERT_PTR_NOT_NULL_FATAL(line = strstr(home.log, "waits for local local:"));
    CU_ASSERT_PTR_NULL(strstr(line + 1, "waits for"));
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "unavailable"));
    CU_ASSERT_STRING_EQUAL(status.hint, "look at the test");
    /* 0 is still one try, whatever the entry says; a denial is not tried again. */
    home.options.retry_for_ms = 0;
    atomic_store(&unwraps, 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_UNAVAILABLE, "test-kms");
    CU_ASSERT_EQUAL(unwraps, 1);
    home.options.retry_for_ms = KEYRING_RETRY_CONFIGURED;
    answer = STATUS_DENIED;
    atomic_store(&unwraps, 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_DENIED, "test-kms");
    CU_ASSERT_EQUAL(unwraps, 1);
    answer = 0;
    fault_timeout = fault_retry_for = 0;
    fault_unwrap = NULL;
    home_free(&home);
}

/* A key service 200 ms away: eight scopes are opened in the time of one call. */
static int
slow_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    atomic_fetch_add(&unwraps, 1);
    clock_sleep(200);
    return (__real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
}

static void
test_one_round_trip(void)
{
    KEYRING *keyring;
    HOME home;
    STATUS status;
    int64_t start;

    home_make(&home, NULL);
    home_configure(&home,
      "node: n\nkms: [{provider: local, keyFile: %k}]\nkeys:\n"
      "  a: {kms: [{provider: local, keyFile: %k}]}\n  b: {kms: [{provider: local, keyFile: %k}]}\n"
      "  c: {kms: [{provider: local, keyFile: %k}]}\n  d: {kms: [{provider: local, keyFile: %k}]}\n"
      "  e: {kms: [{provider: local, keyFile: %k}]}\n  f: {kms: [{provider: local, keyFile: %k}]}\n"
      "  g: {kms: [{provider: local, keyFile: %k}]}\n");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    fault_unwrap = slow_unwrap;
    atomic_store(&unwraps, 0);
    start = clock_ms();
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT(clock_ms() - start >= 195 && clock_ms() - start < 800);
    CU_ASSERT_EQUAL(unwraps, 8);
    keyring_close(keyring);
    fault_unwrap = NULL;
    home_free(&home);
}

/* Three services, each slow: a check takes as long as one of them, and is called off in all. */
static atomic_int running, most_running, called_off, signals_open;

static int
waiting_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    sigset_t blocked;
    int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);

    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM))
        atomic_fetch_add(&signals_open, 1);
    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        ;
    *plaintextp = NULL;
    if (!cancel_sleep(answer != 0 ? 60000 : 300)) {
        atomic_fetch_add(&called_off, 1);
        atomic_fetch_sub(&running, 1);
        return (status_set(status, STATUS_UNAVAILABLE, "test-kms", "called off"));
    }
    atomic_fetch_sub(&running, 1);
    return (__real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
}

static void *
call_off_soon(void *arg)
{
    (void)arg;
    while (atomic_load(&running) < 3)
        clock_sleep(1);
    atomic_store(&call_off, true);
    return (NULL);
}

static void
test_probe_at_once(void)
{
    const ACCESS_RESULT *results;
    const KEYSTORE *keystore;
    ACCESS_PROBER *prober;
    pthread_t thread;
    KEYRING *keyring;
    HOME home;
    STATUS status;
    int64_t start;
    size_t count, i;

    make_access(&home, &keyring);
    keystore = keyring_hold_keystore(keyring);
    fault_unwrap = waiting_unwrap;
    fault_timeout = 60000;
    CHECK_OK_FATAL(access_prober_new(&home.sink, &prober, &status));
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    CU_ASSERT(access_prober_run(prober, NULL));
    results = access_prober_results(prober, &count);
    CU_ASSERT_EQUAL_FATAL(count, 3);
    for (i = 0; i < count; i++)
        CU_ASSERT_EQUAL(results[i].status_class, STATUS_OK);
    CU_ASSERT_EQUAL(most_running, 3);
    CU_ASSERT_EQUAL(signals_open, 1); /* this thread */
    /* None can be had: one after the other. */
    fault_no_threads = true;
    atomic_store(&most_running, 0);
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    CU_ASSERT(access_prober_run(prober, NULL));
    CU_ASSERT_EQUAL(most_running, 1);
    fault_no_threads = false;
    /* All three hang. */
    answer = 1;
    CHECK_OK_FATAL(access_prober_prepare(prober, home.settings, keystore, &status));
    cancel_watch(&call_off);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, call_off_soon, NULL), 0);
    start = clock_ms();
    CU_ASSERT(!access_prober_run(prober, &call_off));
    CU_ASSERT(clock_ms() - start < 5000);
    CU_ASSERT_EQUAL(called_off, 3);
    CU_ASSERT_EQUAL(running, 0);
    (void)pthread_join(thread, NULL);
    cancel_watch(NULL);
    atomic_store(&call_off, false);
    answer = 0;
    fault_timeout = 0;
    fault_unwrap = NULL;
    access_prober_free(prober);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    home_free(&home);
}

/* --- calling a thread's work off */

static void *
not_called_off(void *arg)
{
    (void)arg;
    return (cancel_asked() ? &call_off : NULL);
}

static void
test_cancel(void)
{
    pthread_t thread;
    int64_t start;
    void *asked;

    CU_ASSERT(!cancel_asked());
    atomic_store(&call_off, false);
    cancel_watch(&call_off);
    CU_ASSERT(!cancel_asked());
    atomic_store(&call_off, true);
    CU_ASSERT(cancel_asked());
    CU_ASSERT(!cancel_sleep(60000));
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, not_called_off, NULL), 0);
    (void)pthread_join(thread, &asked);
    CU_ASSERT_PTR_NULL(asked);
    cancel_watch(NULL);
    CU_ASSERT(!cancel_asked());
    start = clock_ms();
    CU_ASSERT(cancel_sleep(150));
    CU_ASSERT(clock_ms() - start >= 149);
    atomic_store(&call_off, false);
}

const TEST access_tests[] = {{"disabled", test_disabled}, {"mixed", test_mixed},
  {"denied", test_denied}, {"unreachable", test_unreachable}, {"probe", test_probe},
  {"not configured", test_not_configured}, {"probe without memory", test_probe_no_memory},
  {"entry decides", test_entry_decides}, {"one round trip", test_one_round_trip},
  {"probe at once", test_probe_at_once}, {"cancel", test_cancel}, {NULL, NULL}};
