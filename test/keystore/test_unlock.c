/*
 * test/keystore/test_unlock.c -- Key services that fail, are slow to come back, or lie; many scopes;
 * break-glass recipients; calls that run out of memory.
 */
#include "test/keystore/fault.h"
#include "test/keystore/keystore_tests.h"

#include "crypto/rsa.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define TWO_YAML \
    "node: n\nkms: [{provider: local, keyFile: %k}, {provider: local, keyFile: %d/second}]\n"

static void
make_two(HOME *home)
{
    STATUS status;
    KEYRING *keyring;

    home_make(home, NULL);
    home_key_file(home, "second");
    home_configure(home, TWO_YAML);
    CHECK_OK_FATAL(
      keyring_create(home->fd, home->settings, &home->options, false, &keyring, &status));
    keyring_close(keyring);
}

/* What each call answers, in turn: a class, or 0 to call on. The last one stays. */
static int answers[16];
static atomic_int calls;
static char first_key[64]; /* this key's calls alone, when set */

static int
answering_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    int call, answer;

    if (first_key[0] != '\0' && strcmp(first_key, recorded->key_id) != 0)
        return (
          __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
    call = atomic_fetch_add(&calls, 1);
    answer = answers[call < 15 ? call : 15];
    *plaintextp = NULL;
    if (answer == 0)
        return (
          __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status));
    return (status_set(status, (STATUS_CLASS)answer, "test-kms", "answer %d", call));
}

static int
answering_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    int call = atomic_fetch_add(&calls, 1), answer = answers[call < 15 ? call : 15];

    memset(wrapped, 0, sizeof(*wrapped));
    if (answer == 0)
        return (__real_kms_client_wrap(client, timeout_ms, context, plaintext, wrapped, status));
    return (status_set(status, (STATUS_CLASS)answer, "test-kms", "answer %d", call));
}

static void
set_answers(int first, int second, int third, int rest)
{
    int i;

    answers[0] = first;
    answers[1] = second;
    answers[2] = third;
    for (i = 3; i < 16; i++)
        answers[i] = rest;
    atomic_store(&calls, 0);
}

static int64_t
now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

static void
test_retries(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    int64_t start;

    make_two(&home);
    fault_unwrap = answering_unwrap;
    /* The first is unavailable, the second opens: no second round, one warning. */
    set_answers(STATUS_UNAVAILABLE, 0, 0, 0);
    home.options.retry_for_ms = 60000;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(calls, 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(home.log, "answer 0"));
    keyring_close(keyring);
    /* Both are away, and come back; what is final is not asked again. */
    home.log[0] = '\0';
    set_answers(STATUS_UNAVAILABLE, STATUS_DENIED, STATUS_UNAVAILABLE, 0);
    start = now_ms();
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(calls, 4);
    CU_ASSERT(now_ms() - start >= 150 && now_ms() - start < 5000);
    keyring_close(keyring);
    /* They stay away: until the time is over, and the first one's class. */
    set_answers(STATUS_UNAVAILABLE, STATUS_UNAVAILABLE, STATUS_UNAVAILABLE, STATUS_UNAVAILABLE);
    home.options.retry_for_ms = 400;
    start = now_ms();
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_UNAVAILABLE, "test-kms");
    CU_ASSERT(now_ms() - start >= 400 && now_ms() - start < 5000);
    CU_ASSERT(calls >= 6);
    /* One try. */
    home.options.retry_for_ms = 0;
    atomic_store(&calls, 0);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_UNAVAILABLE, "test-kms");
    CU_ASSERT_EQUAL(calls, 2);
    /* Without random numbers the pauses are only less spread. */
    home.options.retry_for_ms = 300;
    set_answers(STATUS_UNAVAILABLE, STATUS_UNAVAILABLE, 0, 0);
    fault_no_random = true;
    status_clear(&status);
    CU_ASSERT_EQUAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status), 0);
    fault_no_random = false;
    keyring_close(keyring);
    fault_unwrap = NULL;
    home_free(&home);
}

static void
test_classes(void)
{
    static const int classes[] = {
      STATUS_DISABLED, STATUS_NOT_FOUND, STATUS_DENIED, STATUS_UNAUTHENTICATED, STATUS_BAD_REPLY};
    HOME home;
    STATUS status;
    KEYRING *keyring;
    size_t i;

    make_two(&home);
    fault_unwrap = answering_unwrap;
    home.options.retry_for_ms = 60000;
    for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
        /* All failed: the first one's class, and nothing is retried. */
        set_answers(classes[i], STATUS_BAD_REPLY, STATUS_BAD_REPLY, STATUS_BAD_REPLY);
        CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
          (STATUS_CLASS)classes[i], "test-kms");
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "answer 0"));
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "scope \"default\""));
        CU_ASSERT_EQUAL(calls, 2);
    }
    fault_unwrap = NULL;
    home_free(&home);
}

static int
lying_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    int ret;

    if ((ret = __real_kms_client_unwrap(
           client, timeout_ms, context, recorded, plaintextp, status)) == 0)
        secret_data(*plaintextp)[secret_len(*plaintextp) - 40] ^= 1;
    return (ret);
}

static int
renaming_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    int ret;

    if ((ret = __real_kms_client_wrap(client, timeout_ms, context, plaintext, wrapped, status)) ==
        0)
        wrapped->key_id[strlen(wrapped->key_id) - 1] ^= 1;
    return (ret);
}

static int
nameless_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    int ret;

    if ((ret = __real_kms_client_wrap(client, timeout_ms, context, plaintext, wrapped, status)) ==
        0) {
        free(wrapped->credential);
        wrapped->credential = NULL;
    }
    return (ret);
}

static void
test_lies(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;

    make_two(&home);
    /* An unwrap that gives another payload than was wrapped. */
    fault_unwrap = lying_unwrap;
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_CORRUPT, "payload-other");
    home_clear(&home);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_BAD_REPLY, "kms-proof");
    fault_unwrap = NULL;
    CU_ASSERT_FALSE(home_has(&home, KEYRING_FILE));
    /* A wrap that names another key: it would never be found again. */
    fault_wrap = renaming_wrap;
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_BAD_REPLY, "kms-other-key");
    fault_wrap = nameless_wrap;
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    fault_wrap = NULL;
    home_free(&home);
}

static void
test_wrap_failures(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;

    home_make(&home, NULL);
    fault_wrap = answering_wrap;
    home.options.retry_for_ms = 10000;
    set_answers(STATUS_UNAVAILABLE, STATUS_UNAVAILABLE, 0, 0);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CU_ASSERT_EQUAL(calls, 3);
    keyring_close(keyring);
    home_clear(&home);
    set_answers(STATUS_DENIED, 0, 0, 0);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_DENIED, "test-kms");
    fault_wrap = NULL;
    /* The key may wrap and not unwrap. */
    fault_unwrap = answering_unwrap;
    set_answers(STATUS_UNAVAILABLE, STATUS_DENIED, 0, 0);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_DENIED, "test-kms");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "right after it wrapped"));
    fault_unwrap = NULL;
    CU_ASSERT_FALSE(home_has(&home, KEYRING_FILE));
    CU_ASSERT_FALSE(home_has(&home, MIRROR_FILE));
    /* A recipient that cannot be opened is not left out. */
    home_configure(
      &home, "kms: [{provider: local, keyFile: %k}, {provider: local, keyFile: %d/none}]\n");
    status_clear(&status);
    CU_ASSERT_EQUAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status),
      STATUS_CONFIG);
    home_free(&home);
}

/* --- a public key beside */

static void
make_rsa(const HOME *home, SECRET **private_pem)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    STATUS status;
    BIO *bio = BIO_new(BIO_s_mem());
    char path[700], *text;
    long len;
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/break-glass.pem", home->dir);
    file = fopen(path, "w");
    CU_ASSERT_FATAL(file != NULL && key != NULL && bio != NULL);
    CU_ASSERT_EQUAL(PEM_write_PUBKEY(file, key), 1);
    (void)fclose(file);
    CU_ASSERT_EQUAL(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    len = BIO_get_mem_data(bio, &text);
    CHECK_OK_FATAL(secret_new_copy(text, (size_t)len, private_pem, &status));
    BIO_free(bio);
    EVP_PKEY_free(key);
}

static void
test_break_glass(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring, *recovered;
    KEYRING_PAYLOAD payload;
    const KEYSTORE *keystore;
    const KEYSTORE_RECIPIENT *recipient = NULL;
    SECRET *pem, *opened;
    uint8_t *data, fingerprint[RSA_FINGERPRINT_LEN];
    size_t len, i;
    char provider[16], key_id[16], credential[16];
    uint64_t id;

    home_make(&home, NULL);
    make_rsa(&home, &pem);
    home_configure(&home,
      "node: n\nkms:\n- {provider: publickey, publicKeyFile: %d/break-glass.pem}\n"
      "- {provider: local, keyFile: %k}\n");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    id = keyring_active_data_key(keyring, "default");
    data = home_read(&home, KEYRING_FILE, &len);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->masters[0].recipient_count, 2);
    for (i = 0; i < keystore->masters[0].recipient_count; i++)
        if (strcmp(keystore->masters[0].recipients[i].provider, "publickey") == 0)
            recipient = &keystore->masters[0].recipients[i];
    if (recipient == NULL) {
        CU_FAIL_FATAL("no break-glass recipient");
        return;
    }
    /* Who opens it is the one that can. */
    CU_ASSERT(keyring_opened_by(keyring, "default", provider, key_id, credential, 16));
    CU_ASSERT_STRING_EQUAL(provider, "local");

    /* All else is lost: the private half opens, and the keystore can be put back. */
    CHECK_OK_FATAL(rsa_unwrap(
      pem, NULL, recipient->wrapped, recipient->wrapped_len, fingerprint, &opened, &status));
    payload.master_key_id = keystore->masters[0].id;
    payload.payload = opened;
    home_configure(
      &home, "node: n\nkms: [{provider: publickey, publicKeyFile: %d/break-glass.pem}]\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &recovered, &status),
      STATUS_NO_KEY, "keystore-no-recipient");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "wraps only"));
    CHECK_OK_FATAL(keyring_open_with(
      home.fd, data, len, home.settings, &payload, 1, &home.options, &recovered, &status));
    CU_ASSERT(same_data_key(keyring, recovered, id));
    CU_ASSERT(keyring_opened_by(recovered, "default", provider, key_id, credential, 16));
    CU_ASSERT_STRING_EQUAL(provider, "");
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE, 0), 0);
    CHECK_OK(keyring_adopt(recovered, "recovered", &status));
    keyring_close(recovered);
    /* Another master key's payload, and none. */
    payload.master_key_id ^= 1;
    CHECK_FAILS(keyring_open_with(home.fd, data, len, home.settings, &payload, 1, &home.options,
                  &recovered, &status),
      STATUS_NO_KEY, "keystore-payload");
    payload.master_key_id ^= 1;
    secret_data(opened)[3] ^= 1;
    CHECK_FAILS(keyring_open_with(home.fd, data, len, home.settings, &payload, 1, &home.options,
                  &recovered, &status),
      STATUS_CORRUPT, "payload-other");
    secret_data(opened)[3] ^= 1;
    secret_data(opened)[secret_len(opened) - 1] ^= 1;
    CHECK_FAILS(keyring_open_with(home.fd, data, len, home.settings, &payload, 1, &home.options,
                  &recovered, &status),
      STATUS_CORRUPT, "keystore-commitment");
    /* A keystore for keys that only wrap is not made. */
    home_clear(&home);
    CHECK_FAILS(keyring_create(home.fd, home.settings, &home.options, false, &recovered, &status),
      STATUS_CONFIG, "keystore-no-opener");
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    secret_free(opened);
    secret_free(pem);
    free(data);
    home_free(&home);
}

/* --- many scopes */

static atomic_int running, most_running, signals_open;

static int
slow_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    static const struct timespec pause = {.tv_nsec = 50000000};
    sigset_t blocked;
    int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running), ret;

    while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
        ;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (!sigismember(&blocked, SIGTERM))
        atomic_fetch_add(&signals_open, 1);
    (void)nanosleep(&pause, NULL);
    ret = __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status);
    atomic_fetch_sub(&running, 1);
    return (ret);
}

static void
test_many_scopes(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    char yaml[4096], *p = yaml, keyid[16];
    uint64_t id;
    int64_t start;
    int i, own;
    bool created;

    home_make(&home, NULL);
    p += sprintf(p, "kms: [{provider: local, keyFile: %%k}]\nkeys:\n");
    for (i = 0; i < 40; i++)
        p += sprintf(p, " t%d: {kms: [{provider: local, keyFile: %%k}]}\n", i);
    home_configure(&home, yaml);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    for (i = 0; i < 40; i++) {
        (void)snprintf(keyid, sizeof(keyid), "t%d", i);
        CHECK_OK(keyring_ensure_data_key(keyring, keyid, &id, &created, &status));
    }
    keyring_close(keyring);
    fault_unwrap = slow_unwrap;
    start = now_ms();
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT(now_ms() - start < 41 * 50);
    CU_ASSERT(most_running > 1 && most_running <= 17);
    keyring_close(keyring);
    /* Those that this thread did itself had the test's own mask. */
    own = atomic_load(&signals_open);
    CU_ASSERT(own < 41);
    /* No thread can be had: this one does it all. */
    fault_no_threads = true;
    atomic_store(&most_running, 0);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_EQUAL(most_running, 1);
    fault_no_threads = false;
    fault_unwrap = NULL;
    for (i = 0; i < 40; i++) {
        (void)snprintf(keyid, sizeof(keyid), "t%d", i);
        CU_ASSERT_NOT_EQUAL(keyring_active_data_key(keyring, keyid), 0);
    }
    keyring_close(keyring);
    home_free(&home);
}

static void
test_one_scope_fails(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;

    home_fill(&home);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keystore = keyring_hold_keystore(keyring);
    (void)snprintf(first_key, sizeof(first_key), "%s",
      keystore_active_master(keystore, "tenantA")->recipients[0].key_id);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    /* One key service of two: the whole open fails and names it. */
    fault_unwrap = answering_unwrap;
    set_answers(STATUS_DISABLED, STATUS_DISABLED, STATUS_DISABLED, STATUS_DISABLED);
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_DISABLED, "test-kms");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "\"tenantA\""));
    fault_unwrap = NULL;
    first_key[0] = '\0';
    home_free(&home);
}

/* --- no memory, no luck with the cryptography, no names */

typedef int (*OPERATION)(HOME *home);

static int
do_open(HOME *home)
{
    STATUS status;
    KEYRING *keyring;
    int ret;

    status_clear(&status);
    ret = keyring_open(home->fd, home->settings, &home->options, &keyring, &status);
    CU_ASSERT((ret == 0) == (keyring != NULL));
    CU_ASSERT_EQUAL(ret, (int)status.status_class);
    keyring_close(keyring);
    return (ret);
}

static int
do_create(HOME *home)
{
    STATUS status;
    KEYRING *keyring;
    int ret;

    home_clear(home);
    status_clear(&status);
    ret = keyring_create(home->fd, home->settings, &home->options, false, &keyring, &status);
    CU_ASSERT((ret == 0) == (keyring != NULL));
    keyring_close(keyring);
    return (ret);
}

static int
do_ephemeral(HOME *home)
{
    STATUS status;
    KEYRING *keyring;
    uint64_t id;
    bool created;
    int ret;

    status_clear(&status);
    if ((ret = keyring_create(home->fd, home->settings, &home->options, true, &keyring, &status)) !=
        0)
        return (ret);
    ret = keyring_ensure_data_key(keyring, "tenantB", &id, &created, &status);
    keyring_close(keyring);
    return (ret);
}

static int
new_master_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    (void)context;
    return (keyring_new_master(keyring, keystore, "default", 1000, 0, status));
}

/* Everything that a host and a rotation do, with another process that goes on meanwhile. */
static int
do_changes(HOME *home)
{
    STATUS status;
    KEYRING *keyring = NULL, *other = NULL;
    KEYSTORE *located = NULL;
    KEYRING_SOURCE source;
    uint8_t *data = NULL;
    uint64_t id;
    size_t len;
    bool created, changed, found;
    int ret;

    home->options.read_only = false;
    status_clear(&status);
    if ((ret = keyring_open(home->fd, home->settings, &home->options, &keyring, &status)) != 0 ||
        (ret = keyring_open(home->fd, home->settings, &home->options, &other, &status)) != 0 ||
        (ret = keyring_ensure_data_key(other, "tenantA", &id, &created, &status)) != 0 ||
        (ret = keyring_refresh(keyring, &changed, &status)) != 0 ||
        (ret = keyring_ensure_data_key(other, "b", &id, &created, &status)) != 0 ||
        (ret = keyring_ensure_data_key(keyring, "b", &id, &created, &status)) != 0 ||
        (ret = keyring_update(other, "rotate", "reason", new_master_edit, NULL, &status)) != 0 ||
        (ret = keyring_refresh(keyring, &changed, &status)) != 0 ||
        (ret = keyring_write_mirror(keyring, "a=1\n", &status)) != 0 ||
        (ret = keyring_locate(
           home->fd, home->settings, &found, &source, &located, &data, &len, &status)) != 0)
        goto err;
    keyring_close(other);
    (void)unlinkat(home->fd, KEYRING_FILE, 0);
    if ((ret = keyring_open(home->fd, home->settings, &home->options, &other, &status)) == 0)
        ret = keyring_adopt(other, "reason", &status);

err:
    keystore_free(located);
    free(data);
    keyring_close(keyring);
    keyring_close(other);
    return (ret);
}

static int
do_settings(HOME *home)
{
    SETTINGS *settings = NULL;
    STATUS status;
    char path[700], text[] = "kms: [{provider: local, keyFile: /k}]\n"
                             "keys: {a: {kms: [{provider: local, keyFile: /k}]}}\n";
    FILE *file;
    int ret;

    (void)snprintf(path, sizeof(path), "%s/conf", home->dir);
    file = fopen(path, "w");
    if (file != NULL) {
        (void)fputs(text, file);
        (void)fclose(file);
    }
    (void)chmod(path, 0600);
    status_clear(&status);
    ret = settings_load(path, &settings, &status);
    settings_free(settings);
    return (ret);
}

/* What the home was, for each run of an operation. */
typedef struct {
    uint8_t *keystore, *mirror;
    size_t keystore_len, mirror_len;
} BEFORE;

static void
put_back(HOME *home, const BEFORE *before)
{
    home_clear(home);
    home_write(home, KEYRING_FILE, before->keystore, before->keystore_len);
    home_write(home, MIRROR_FILE, before->mirror, before->mirror_len);
}

static void
run_with_faults(
  HOME *home, const BEFORE *before, OPERATION operation, bool memory, const char *name)
{
    STATUS status;
    KEYRING *keyring;
    unsigned nth, failed = 0;
    int ret;
    bool hit;

    for (nth = 1; nth < 100000; nth++) {
        put_back(home, before);
        if (memory)
            fault_memory_at(nth);
        else
            fault_crypto_at(nth);
        ret = operation(home);
        hit = memory ? fault_memory_was_hit() : fault_crypto_was_hit();
        /* A failed allocation is told as one; or it was only a warning's, or a repair's. */
        if (ret != 0) {
            CU_ASSERT(hit);
            if (ret != (memory ? STATUS_NO_MEMORY : STATUS_INTERNAL) && ret != STATUS_CONFIG)
                fprintf(stderr, "\n%s: fault %u gave %d\n", name, nth, ret);
            CU_ASSERT(ret == (memory ? STATUS_NO_MEMORY : STATUS_INTERNAL) || ret == STATUS_CONFIG);
            failed++;
        }
        if (!hit)
            break;
        /* Whatever failed: what is on disk opens. */
        if (operation != do_create && operation != do_settings) {
            status_clear(&status);
            if (keyring_open(home->fd, home->settings, &home->options, &keyring, &status) != 0)
                CU_FAIL("the keystore does not open after a failure");
            keyring_close(keyring);
        }
    }
    CU_ASSERT(nth < 100000);
    CU_ASSERT(failed > 3);
    printf("%s %u, ", name, failed);
}

static void
run_all_with_faults(bool memory)
{
    static const struct {
        OPERATION operation;
        const char *name;
    } all[] = {{do_open, "open"}, {do_create, "create"}, {do_ephemeral, "in memory"},
      {do_changes, "changes"}, {do_settings, "settings"}};
    HOME home;
    BEFORE before;
    size_t i;

    home_fill(&home);
    before.keystore = home_read(&home, KEYRING_FILE, &before.keystore_len);
    before.mirror = home_read(&home, MIRROR_FILE, &before.mirror_len);
    /* The scopes' threads have counters of their own: all in this one. */
    fault_no_threads = fault_no_sync = true;
    printf("(");
    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        if (memory || all[i].operation != do_settings)
            run_with_faults(&home, &before, all[i].operation, memory, all[i].name);
    printf("faults) ");
    fault_no_threads = fault_no_sync = false;
    free(before.keystore);
    free(before.mirror);
    home_free(&home);
}

static void
test_no_memory(void)
{
    run_all_with_faults(true);
}

static void
test_no_crypto(void)
{
    run_all_with_faults(false);
}

static void
test_no_names(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;

    fault_no_names = true;
    home_make(&home, NULL);
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n");
    CU_ASSERT_STRING_EQUAL(home.settings->node, "localhost");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->events[0].who[0] - '0', (int)(geteuid() % 10) * (geteuid() < 10));
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    home_free(&home);
    fault_no_names = false;
}

/* --- threads */

#define THREADS 4

typedef struct {
    KEYRING *keyring;
    atomic_bool stop;
    atomic_int failures;
    atomic_uint lookups;
} SHARED;

static void *
look_up(void *context)
{
    SHARED *shared = context;
    const KEYSTORE *keystore;
    STATUS status;
    SECRET *secret;
    uint64_t id;
    char keyid[KEYSTORE_KEYID_MAX + 1], provider[32], key_id[64], credential[64];

    while (!atomic_load(&shared->stop)) {
        status_clear(&status);
        id = keyring_active_data_key(shared->keyring, "default");
        if (id == 0 || keyring_data_key(shared->keyring, id, &secret, keyid, &status) != 0) {
            atomic_fetch_add(&shared->failures, 1);
            continue;
        }
        secret_free(secret);
        keystore = keyring_hold_keystore(shared->keyring);
        if (keystore_active_data_key(keystore, "default") == NULL ||
            keystore->generation > keyring_generation(shared->keyring))
            atomic_fetch_add(&shared->failures, 1);
        keyring_release_keystore(shared->keyring, keystore);
        if (!keyring_opened_by(
              shared->keyring, "default", provider, key_id, credential, sizeof(provider)))
            atomic_fetch_add(&shared->failures, 1);
        (void)keyring_source(shared->keyring);
        atomic_fetch_add(&shared->lookups, 1);
    }
    return (NULL);
}

static void *
refresh(void *context)
{
    SHARED *shared = context;
    STATUS status;
    uint64_t id;
    bool changed, created;

    while (!atomic_load(&shared->stop)) {
        status_clear(&status);
        if (keyring_refresh(shared->keyring, &changed, &status) != 0 ||
            keyring_ensure_data_key(shared->keyring, "shared", &id, &created, &status) != 0) {
            fprintf(stderr, "\n%s\n", status.message);
            atomic_fetch_add(&shared->failures, 1);
        }
    }
    return (NULL);
}

static void
test_threads(void)
{
    HOME home;
    STATUS status;
    SHARED shared = {0};
    KEYRING *other;
    pthread_t threads[THREADS + 2];
    uint64_t id;
    char keyid[16];
    int i;
    bool created;

    home_fill(&home);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &shared.keyring, &status));
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &other, &status));
    for (i = 0; i < THREADS + 2; i++)
        CU_ASSERT_EQUAL_FATAL(
          pthread_create(&threads[i], NULL, i < THREADS ? look_up : refresh, &shared), 0);
    for (i = 0; i < 30; i++) {
        (void)snprintf(keyid, sizeof(keyid), "k%d", i);
        CHECK_OK(
          keyring_ensure_data_key(i % 2 ? other : shared.keyring, keyid, &id, &created, &status));
        CU_ASSERT(created);
        if (i % 10 == 9)
            CHECK_OK(keyring_update(other, "rotate", NULL, new_master_edit, NULL, &status));
    }
    atomic_store(&shared.stop, true);
    for (i = 0; i < THREADS + 2; i++)
        (void)pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(shared.failures, 0);
    CU_ASSERT(shared.lookups > 100);
    keyring_close(other);
    keyring_close(shared.keyring);
    home_free(&home);
}

const TEST unlock_tests[] = {{"retries", test_retries}, {"classes", test_classes},
  {"lies", test_lies}, {"wrapping fails", test_wrap_failures}, {"break glass", test_break_glass},
  {"many scopes", test_many_scopes}, {"one scope fails", test_one_scope_fails},
  {"no memory", test_no_memory}, {"failing cryptography", test_no_crypto},
  {"no names", test_no_names}, {NULL, NULL}};
const TEST threads_tests[] = {{"lookups, refreshes and writes", test_threads}, {NULL, NULL}};
