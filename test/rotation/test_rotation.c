/*
 * test/rotation/test_rotation.c -- Rotations of real keystores with real key files, without an engine.
 */
#include "test/rotation/rotation_tests.h"

#include "common/file.h"
#include "keystore/mirror.h"
#include "kms_clients/kms_client.h"
#include "rotation/fork.h"
#include "rotation/prune.h"
#include "rotation/remove.h"
#include "rotation/rotate.h"
#include "test/support.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

const TEST_SUITE test_suites[] = {
  {"rotate", rotate_tests}, {"running", running_tests}, {NULL, NULL}};

#define ROUNDS 50
#define SECRETS_MAX 256

/* --- a key service that fails: the linker sends calls through here */

static struct {
    const char *key_file_id; /* of this key only; NULL: none */
    bool other_bytes;        /* unwrap answers with other bytes */
    bool fails;              /* unwrap is refused */
    bool wrap_fails;
} fault;

int __real_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;
int __wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status) WTKMS_CHECKED;
int __real_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status) WTKMS_CHECKED;
int __wrap_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status) WTKMS_CHECKED;

static bool
is_faulty(const KMS_CLIENT *client)
{
    return (fault.key_file_id != NULL && strcmp(kms_client_key(client), fault.key_file_id) == 0);
}

int
__wrap_kms_client_unwrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const KMS_RECORDED *recorded, SECRET **plaintextp, STATUS *status)
{
    int ret;

    if (is_faulty(client) && fault.fails) {
        *plaintextp = NULL;
        return (status_set(status, STATUS_DENIED, "test-denied", "may wrap, may not unwrap"));
    }
    ret = __real_kms_client_unwrap(client, timeout_ms, context, recorded, plaintextp, status);
    if (ret == 0 && is_faulty(client) && fault.other_bytes)
        secret_data(*plaintextp)[0] ^= 1;
    return (ret);
}

int
__wrap_kms_client_wrap(KMS_CLIENT *client, int timeout_ms, const KMS_CONTEXT *context,
  const SECRET *plaintext, KMS_WRAPPED *wrapped, STATUS *status)
{
    if (is_faulty(client) && fault.wrap_fails) {
        memset(wrapped, 0, sizeof(*wrapped));
        return (status_set(status, STATUS_UNAVAILABLE, "test-gone", "gone before the wrap"));
    }
    return (__real_kms_client_wrap(client, timeout_ms, context, plaintext, wrapped, status));
}

/* --- homes */

typedef struct {
    char dir[512], path[600];
    int fd;
    SETTINGS *a, *b, *both; /* configurations: key file a, b, a and b; each with tenant's own key */
    ROTATE_OPTIONS options;
} LAB;

void
rotation_text_file(const char *path, const char *text)
{
    int fd;

    (void)unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_FATAL(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

void
rotation_key_file(const char *path)
{
    STATUS status;

    status_clear(&status);
    (void)unlink(path);
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(path, &status), 0);
}

static SETTINGS *
configure(const LAB *lab, const char *yaml)
{
    CONFIG_NODE *root;
    SETTINGS *settings = NULL;
    STATUS status;
    char text[4096], *p = text;

    for (; *yaml != '\0' && p < text + sizeof(text) - sizeof(lab->dir); yaml++)
        if (strncmp(yaml, "%d", 2) == 0) {
            p += sprintf(p, "%s", lab->dir);
            yaml++;
        } else
            *p++ = *yaml;
    *p = '\0';
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, strlen(text), "test.conf", &root, &status), 0);
    CU_ASSERT_EQUAL_FATAL(settings_from_tree(root, &settings, &status), 0);
    return (settings);
}

#define TENANT "keys: {tenant: {kms: [{provider: local, keyFile: %d/tenant.key}]}}\n"
#define KEY_A "{provider: local, keyFile: %d/a.key}"
#define KEY_B "{provider: local, keyFile: %d/b.key}"
#define KEY_P "{provider: publickey, publicKeyFile: %d/public.pem}"

static void
key_file(const LAB *lab, const char *name)
{
    char path[700];

    (void)snprintf(path, sizeof(path), "%s/%s", lab->dir, name);
    rotation_key_file(path);
}

/* A keystore of two scopes, opened by key file a, with the keyids default, tenant and other. */
static void
lab_make(LAB *lab)
{
    static unsigned number;
    KEYRING_OPTIONS options = {.kms_timeout_ms = 5000};
    KEYRING *keyring;
    STATUS status;
    uint64_t id;
    bool created;

    memset(&fault, 0, sizeof(fault));
    memset(lab, 0, sizeof(*lab));
    (void)snprintf(lab->dir, sizeof(lab->dir), "%s/lab%u", test_scratch(), number++);
    (void)snprintf(lab->path, sizeof(lab->path), "%s/home", lab->dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(lab->dir, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(lab->path, 0700), 0);
    key_file(lab, "a.key");
    key_file(lab, "b.key");
    key_file(lab, "tenant.key");
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(lab->path, &lab->fd, &status), 0);
    lab->a = configure(lab, "node: a\nkms: [" KEY_A "]\n" TENANT);
    lab->b = configure(lab, "node: a\nkms: [" KEY_B "]\n" TENANT);
    lab->both = configure(lab, "node: a\nkms: [" KEY_A "," KEY_B "]\n" TENANT);
    lab->options.kms_timeout_ms = 5000;
    CU_ASSERT_EQUAL_FATAL(keyring_create(lab->fd, lab->a, &options, false, &keyring, &status), 0);
    CU_ASSERT_EQUAL_FATAL(keyring_ensure_data_key(keyring, "tenant", &id, &created, &status), 0);
    CU_ASSERT_EQUAL_FATAL(keyring_ensure_data_key(keyring, "other", &id, &created, &status), 0);
    keyring_close(keyring);
}

static void
lab_free(LAB *lab)
{
    memset(&fault, 0, sizeof(fault));
    settings_free(lab->a);
    settings_free(lab->b);
    settings_free(lab->both);
    (void)close(lab->fd);
}

/* Open for reading; fails the test when it must open and does not. */
static KEYRING *
lab_open(const LAB *lab, const SETTINGS *settings)
{
    KEYRING_OPTIONS options = {.kms_timeout_ms = 5000, .read_only = true};
    KEYRING *keyring = NULL;
    STATUS status;

    status_clear(&status);
    if (keyring_open(lab->fd, settings, &options, &keyring, &status) != 0)
        (void)fprintf(stderr, "\n%s\n", status.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyring);
    return (keyring);
}

static bool
opens(const LAB *lab, const SETTINGS *settings)
{
    KEYRING_OPTIONS options = {.kms_timeout_ms = 5000, .read_only = true};
    KEYRING *keyring = NULL;
    STATUS status;
    int ret;

    status_clear(&status);
    ret = keyring_open(lab->fd, settings, &options, &keyring, &status);
    keyring_close(keyring);
    if (ret != 0)
        CU_ASSERT_EQUAL(ret, (int)STATUS_NO_KEY);
    return (ret == 0);
}

/* The files of a home that a rotation may touch, to see that one did not. */
typedef struct {
    uint8_t *data[3];
    size_t len[3];
    unsigned entries;
} FILES;

static const char *const file_names[] = {KEYRING_FILE, MIRROR_FILE, KEYRING_PREV};

static void
files_take(const LAB *lab, FILES *files)
{
    STATUS status;
    size_t i;

    memset(files, 0, sizeof(*files));
    files->entries = count_entries(lab->fd);
    for (i = 0; i < 3; i++)
        if (exists(lab->fd, file_names[i]))
            CU_ASSERT_EQUAL_FATAL(file_read(lab->fd, file_names[i], KEYSTORE_MAX_BYTES, false, NULL,
                                    &files->data[i], &files->len[i], &status),
              0);
}

/* Whether they are as they were, and nothing else is there; releases what was taken. */
static bool
files_same(const LAB *lab, FILES *files)
{
    size_t i;
    bool same = count_entries(lab->fd) == files->entries;

    for (i = 0; i < 3; i++) {
        same = same && exists(lab->fd, file_names[i]) == (files->data[i] != NULL) &&
               (files->data[i] == NULL ||
                 file_holds(lab->fd, file_names[i], files->data[i], (ssize_t)files->len[i]));
        free(files->data[i]);
    }
    return (same);
}

/* --- data keys, remembered */

typedef struct {
    uint64_t ids[SECRETS_MAX];
    SECRET *secrets[SECRETS_MAX];
    size_t count;
} MEMORY;

static void
remember(const LAB *lab, const SETTINGS *settings, MEMORY *memory)
{
    KEYRING *keyring = lab_open(lab, settings);
    const KEYSTORE *keystore = keyring_hold_keystore(keyring);
    STATUS status;
    size_t i, m;

    for (i = 0; i < keystore->data_key_count; i++) {
        for (m = 0; m < memory->count && memory->ids[m] != keystore->data_keys[i].id; m++)
            ;
        if (m < memory->count)
            continue;
        CU_ASSERT_FATAL(m < SECRETS_MAX);
        memory->ids[m] = keystore->data_keys[i].id;
        CU_ASSERT_EQUAL_FATAL(
          keyring_data_key(keyring, memory->ids[m], &memory->secrets[m], NULL, &status), 0);
        memory->count++;
    }
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
}

/* Every key that was ever seen is there and the same; releases the memory. */
static void
all_there(const LAB *lab, const SETTINGS *settings, MEMORY *memory)
{
    KEYRING *keyring = lab_open(lab, settings);
    SECRET *secret;
    STATUS status;
    size_t m;

    for (m = 0; m < memory->count; m++) {
        CU_ASSERT_EQUAL(keyring_data_key(keyring, memory->ids[m], &secret, NULL, &status), 0);
        CU_ASSERT_TRUE(secret != NULL && secret_equal(secret, memory->secrets[m]));
        secret_free(secret);
        secret_free(memory->secrets[m]);
    }
    keyring_close(keyring);
}

#define ROTATES(call)                                                                   \
    do {                                                                                \
        status_clear(&status);                                                          \
        if ((call) != 0)                                                                \
            (void)fprintf(stderr, "\n%s:%d: %s\n", __FILE__, __LINE__, status.message); \
        CU_ASSERT_EQUAL(status.status_class, STATUS_OK);                                \
    } while (0)

/* --- the customer key */

static void
from_one_key_to_another(void)
{
    ROTATE_RESULT result;
    MEMORY memory = {0};
    STATUS status;
    LAB lab;

    lab_make(&lab);
    remember(&lab, lab.a, &memory);
    CU_ASSERT_FALSE(opens(&lab, lab.b));
    lab.options.reason = "key a was retired";
    ROTATES(rotate_cmk(lab.fd, lab.b, lab.a, &lab.options, &result, &status));
    CU_ASSERT_EQUAL_FATAL(result.count, 2);
    CU_ASSERT_STRING_EQUAL(result.steps[0].name, "default");
    CU_ASSERT_EQUAL(result.steps[0].old_id, result.steps[0].new_id);
    CU_ASSERT_STRING_NOT_EQUAL(result.steps[0].old_recipients, result.steps[0].new_recipients);
    CU_ASSERT_STRING_EQUAL(result.steps[1].old_recipients, result.steps[1].new_recipients);
    CU_ASSERT_EQUAL(result.generation, 4);
    rotate_release(&result);
    CU_ASSERT_FALSE(opens(&lab, lab.a));
    CU_ASSERT_TRUE(opens(&lab, lab.b));
    all_there(&lab, lab.b, &memory);
    lab_free(&lab);
}

static void
tells_the_history(void)
{
    const KEYSTORE *keystore;
    const KEYSTORE_EVENT *event;
    KEYRING *keyring;
    ROTATE_RESULT result;
    STATUS status;
    LAB lab;

    lab_make(&lab);
    lab.options.reason = "yearly";
    ROTATES(rotate_data(lab.fd, lab.a, "other", &lab.options, &result, &status));
    rotate_release(&result);
    keyring = lab_open(&lab, lab.a);
    keystore = keyring_hold_keystore(keyring);
    event = &keystore->events[keystore->event_count - 1];
    CU_ASSERT_STRING_EQUAL(event->operation, "rotate data other");
    CU_ASSERT_STRING_EQUAL(event->reason, "yearly");
    CU_ASSERT_EQUAL(event->generation, keystore->generation);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    lab_free(&lab);
}

/* Both configurations name keys of which only the other's opens: refused, nothing written. */
static void
no_way_in(void)
{
    SETTINGS *third;
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    key_file(&lab, "c.key");
    third = configure(&lab, "kms: [{provider: local, keyFile: %d/c.key}]\n" TENANT);
    files_take(&lab, &files);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, lab.b, NULL, &lab.options, &result, &status), (int)STATUS_NO_KEY);
    rotate_release(&result);
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, lab.b, third, &lab.options, &result, &status), (int)STATUS_NO_KEY);
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    settings_free(third);
    lab_free(&lab);
}

/* The old key is half gone: one of two recipients still opens, and that is enough. */
static void
any_recipient_opens(void)
{
    ROTATE_RESULT result;
    STATUS status;
    LAB lab;
    char path[700];

    lab_make(&lab);
    ROTATES(rotate_cmk(lab.fd, lab.both, NULL, &lab.options, &result, &status));
    rotate_release(&result);
    CU_ASSERT_TRUE(opens(&lab, lab.a));
    CU_ASSERT_TRUE(opens(&lab, lab.b));
    (void)snprintf(path, sizeof(path), "%s/a.key", lab.dir);
    CU_ASSERT_EQUAL_FATAL(unlink(path), 0);
    ROTATES(rotate_cmk(lab.fd, lab.b, lab.both, &lab.options, &result, &status));
    rotate_release(&result);
    CU_ASSERT_TRUE(opens(&lab, lab.b));
    /* And a recipient that is not there cannot be wrapped for. */
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, lab.both, NULL, &lab.options, &result, &status), (int)STATUS_CONFIG);
    rotate_release(&result);
    lab_free(&lab);
}

static void
make_public_key(const LAB *lab)
{
    EVP_PKEY *pair = EVP_RSA_gen(2048);
    FILE *file;
    char path[700];

    CU_ASSERT_PTR_NOT_NULL_FATAL(pair);
    (void)snprintf(path, sizeof(path), "%s/public.pem", lab->dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(file = fopen(path, "we"));
    CU_ASSERT_EQUAL_FATAL(PEM_write_PUBKEY(file, pair), 1);
    (void)fclose(file);
    EVP_PKEY_free(pair);
}

static void
adds_an_offline_recipient(void)
{
    SETTINGS *with, *only;
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    make_public_key(&lab);
    with = configure(&lab, "kms: [" KEY_A "," KEY_P "]\n" TENANT);
    only = configure(&lab, "kms: [" KEY_P "]\n" TENANT);
    ROTATES(rotate_cmk(lab.fd, with, NULL, &lab.options, &result, &status));
    CU_ASSERT_PTR_NOT_NULL(strstr(result.steps[0].new_recipients, "publickey publickey:"));
    rotate_release(&result);
    CU_ASSERT_TRUE(opens(&lab, lab.a));
    /* Alone it would lock the database out, in a plan too. */
    files_take(&lab, &files);
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, only, lab.a, &lab.options, &result, &status), (int)STATUS_CONFIG);
    rotate_release(&result);
    lab.options.plan = true;
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, only, lab.a, &lab.options, &result, &status), (int)STATUS_CONFIG);
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    settings_free(with);
    settings_free(only);
    lab_free(&lab);
}

/* Key b's service wraps, but what it wrapped does not come back, in three ways. */
static void
recipient_that_does_not_open(void)
{
    static const struct {
        bool other_bytes, fails, wrap_fails;
        STATUS_CLASS status_class;
    } ways[] = {{true, false, false, STATUS_BAD_REPLY}, {false, true, false, STATUS_DENIED},
      {false, false, true, STATUS_UNAVAILABLE}};
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;
    char id[128];
    size_t i;

    lab_make(&lab);
    /* The plan says how key b is called. */
    lab.options.plan = true;
    ROTATES(rotate_cmk(lab.fd, lab.b, lab.a, &lab.options, &result, &status));
    (void)snprintf(id, sizeof(id), "%s", strstr(result.steps[0].new_recipients, "local:"));
    rotate_release(&result);
    lab.options.plan = false;
    for (i = 0; i < 3; i++) {
        files_take(&lab, &files);
        fault.key_file_id = id;
        fault.other_bytes = ways[i].other_bytes;
        fault.fails = ways[i].fails;
        fault.wrap_fails = ways[i].wrap_fails;
        status_clear(&status);
        CU_ASSERT_EQUAL(rotate_cmk(lab.fd, lab.both, NULL, &lab.options, &result, &status),
          (int)ways[i].status_class);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "the keystore is unchanged"));
        rotate_release(&result);
        CU_ASSERT_EQUAL(rotate_cmk(lab.fd, lab.b, lab.a, &lab.options, &result, &status),
          (int)ways[i].status_class);
        rotate_release(&result);
        CU_ASSERT_TRUE(files_same(&lab, &files));
        memset(&fault, 0, sizeof(fault));
    }
    CU_ASSERT_TRUE(opens(&lab, lab.a));
    lab_free(&lab);
}

/* A tenant's master key is never wrapped for the recipients of kms: because its own were forgotten. */
static void
forgotten_scope(void)
{
    SETTINGS *forgetful, *tenant_key;
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    forgetful = configure(&lab, "kms: [" KEY_A ",{provider: local, keyFile: %d/tenant.key}]\n");
    tenant_key = configure(&lab, "kms: [" KEY_A "]\n" TENANT);
    files_take(&lab, &files);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      rotate_cmk(lab.fd, forgetful, NULL, &lab.options, &result, &status), (int)STATUS_CONFIG);
    CU_ASSERT_STRING_EQUAL(status.id, "rotate-scope-unconfigured");
    rotate_release(&result);
    CU_ASSERT_EQUAL(
      rotate_master(lab.fd, forgetful, NULL, &lab.options, &result, &status), (int)STATUS_CONFIG);
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    ROTATES(rotate_master(lab.fd, forgetful, "default", &lab.options, &result, &status));
    rotate_release(&result);
    CU_ASSERT_TRUE(opens(&lab, tenant_key));
    settings_free(forgetful);
    settings_free(tenant_key);
    lab_free(&lab);
}

/* --- master and data keys */

static void
unknown_names(void)
{
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    files_take(&lab, &files);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      rotate_data(lab.fd, lab.a, "nobody", &lab.options, &result, &status), (int)STATUS_NO_KEY);
    CU_ASSERT_STRING_EQUAL(status.id, "rotate-keyid");
    rotate_release(&result);
    /* "other" is a keyid, but no scope. */
    CU_ASSERT_EQUAL(
      rotate_master(lab.fd, lab.a, "other", &lab.options, &result, &status), (int)STATUS_NO_KEY);
    CU_ASSERT_STRING_EQUAL(status.id, "rotate-scope");
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    lab_free(&lab);
}

static void
rotates_only_what_is_named(void)
{
    const KEYSTORE *keystore;
    KEYRING *keyring;
    ROTATE_RESULT result;
    STATUS status;
    uint64_t before;
    LAB lab;

    lab_make(&lab);
    keyring = lab_open(&lab, lab.a);
    before = keyring_active_data_key(keyring, "default");
    keyring_close(keyring);
    ROTATES(rotate_data(lab.fd, lab.a, "tenant", &lab.options, &result, &status));
    CU_ASSERT_EQUAL_FATAL(result.count, 1);
    CU_ASSERT_EQUAL(result.steps[0].old_version, 1);
    CU_ASSERT_EQUAL(result.steps[0].new_version, 2);
    keyring = lab_open(&lab, lab.a);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "tenant"), result.steps[0].new_id);
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "default"), before);
    CU_ASSERT_EQUAL(keystore_data_key(keystore, result.steps[0].old_id)->state, KEYSTORE_READABLE);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    rotate_release(&result);
    ROTATES(rotate_master(lab.fd, lab.a, "tenant", &lab.options, &result, &status));
    CU_ASSERT_EQUAL_FATAL(result.count, 1);
    CU_ASSERT_EQUAL(result.steps[0].data_keys, 2);
    CU_ASSERT_NOT_EQUAL(result.steps[0].old_id, result.steps[0].new_id);
    rotate_release(&result);
    lab_free(&lab);
}

/* Fifty of each, and every data key that ever was still unwraps to the same. */
static void
many_rotations(void)
{
    const KEYSTORE *keystore;
    KEYRING *keyring;
    ROTATE_RESULT result;
    MEMORY memory = {0};
    STATUS status;
    LAB lab;
    size_t i, active = 0;

    lab_make(&lab);
    for (i = 0; i < ROUNDS; i++) {
        remember(&lab, lab.a, &memory);
        ROTATES(rotate_data(lab.fd, lab.a, NULL, &lab.options, &result, &status));
        CU_ASSERT_EQUAL(result.count, 3);
        rotate_release(&result);
        ROTATES(rotate_master(lab.fd, lab.a, NULL, &lab.options, &result, &status));
        CU_ASSERT_EQUAL(result.count, 2);
        rotate_release(&result);
    }
    remember(&lab, lab.a, &memory);
    CU_ASSERT_EQUAL(memory.count, 3 * (ROUNDS + 1));
    keyring = lab_open(&lab, lab.a);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->generation, 3 + 2 * ROUNDS);
    /* The active two, and the two that the last rotation retired. */
    CU_ASSERT_EQUAL(keystore->master_count, 4);
    for (i = 0; i < keystore->data_key_count; i++)
        active += keystore->data_keys[i].state == KEYSTORE_ACTIVE;
    CU_ASSERT_EQUAL(active, 3);
    CU_ASSERT_EQUAL(keystore_active_data_key(keystore, "other")->version, ROUNDS + 1);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    all_there(&lab, lab.a, &memory);
    lab_free(&lab);
}

/* --- what must change nothing */

static void
plan_changes_nothing(void)
{
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    lab.options.plan = true;
    files_take(&lab, &files);
    ROTATES(rotate_cmk(lab.fd, lab.b, lab.a, &lab.options, &result, &status));
    CU_ASSERT_EQUAL(result.count, 2);
    CU_ASSERT_EQUAL(result.generation, 3);
    CU_ASSERT_EQUAL(result.steps[0].new_id, 0);
    rotate_release(&result);
    ROTATES(rotate_master(lab.fd, lab.a, NULL, &lab.options, &result, &status));
    CU_ASSERT_EQUAL(result.count, 2);
    CU_ASSERT_EQUAL(result.steps[0].data_keys, 2);
    rotate_release(&result);
    ROTATES(rotate_data(lab.fd, lab.a, NULL, &lab.options, &result, &status));
    CU_ASSERT_EQUAL(result.count, 3);
    CU_ASSERT_EQUAL(result.steps[0].new_version, 2);
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    lab_free(&lab);
}

/* In a child, as a user who may read all and write nothing: 0 when all three failed with STATUS_IO. */
static int
rotate_all_three(void *context)
{
    const LAB *lab = context;
    ROTATE_RESULT result;
    STATUS status;
    int wrong = 0;

    status_clear(&status);
    wrong += rotate_cmk(lab->fd, lab->a, NULL, &lab->options, &result, &status) != STATUS_IO;
    rotate_release(&result);
    wrong += rotate_master(lab->fd, lab->a, NULL, &lab->options, &result, &status) != STATUS_IO;
    rotate_release(&result);
    wrong += rotate_data(lab->fd, lab->a, NULL, &lab->options, &result, &status) != STATUS_IO;
    rotate_release(&result);
    return (wrong);
}

/* Whether a change was refused for want of a right to write, and says of which file. */
static bool
is_denied(int ret, const STATUS *status)
{
    return (ret == STATUS_IO && (status->sys_errno == EACCES || status->sys_errno == EROFS) &&
            strstr(status->message, KEYRING_FILE) != NULL);
}

/* The same child, for what takes keys out or makes a clone one's own. */
static int
change_all_that_is_denied(void *context)
{
    const LAB *lab = context;
    FORK_RESULT forked;
    PRUNE prune;
    REMOVE_RESULT removed;
    STATUS status;
    int wrong = rotate_all_three(context);

    status_clear(&status);
    if (!is_denied(fork_keystore(lab->fd, lab->a, &lab->options, &forked, &status), &status))
        wrong += 10;
    fork_release(&forked);
    status_clear(&status);
    if (!is_denied(
          remove_keyid(lab->fd, lab->a, "tenant", &lab->options, &removed, &status), &status))
        wrong += 20;
    remove_release(&removed);
    /* What could go is told; the write is what is denied. */
    status_clear(&status);
    if (prune_begin(lab->fd, lab->a, &lab->options, &prune, &status) != 0 || prune.count != 1)
        wrong += 40;
    else if (!is_denied(prune_retire(lab->fd, lab->a, &lab->options, &prune, &status), &status) ||
             prune.written)
        wrong += 80;
    prune_release(&prune);
    return (wrong);
}

static void
read_only_home(void)
{
    ROTATE_RESULT rotated;
    STATUS status;
    FILES files;
    LAB lab;
    size_t i;
    static const char *const keys[] = {"a.key", "b.key", "tenant.key"};
    char path[700];

    if (!is_root("read_only_home"))
        return;
    lab_make(&lab);
    status_clear(&status);
    ROTATES(rotate_data(lab.fd, lab.a, "tenant", &lab.options, &rotated, &status));
    rotate_release(&rotated);
    CU_ASSERT_EQUAL(chmod(test_scratch(), 0711), 0);
    CU_ASSERT_EQUAL(chmod(lab.dir, 0755), 0);
    CU_ASSERT_EQUAL(fchmod(lab.fd, 0555), 0);
    for (i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", lab.dir, keys[i]);
        CU_ASSERT_EQUAL(chown(path, OTHER_UID, (gid_t)-1), 0);
        if (exists(lab.fd, file_names[i]))
            CU_ASSERT_EQUAL(fchmodat(lab.fd, file_names[i], 0444, 0), 0);
    }
    files_take(&lab, &files);
    CU_ASSERT_EQUAL(in_child(OTHER_UID, change_all_that_is_denied, &lab), 0);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    lab_free(&lab);
}

/* In a child: no file may grow beyond a few bytes, as on a disk that is full. */
static int
change_without_room(void *context)
{
    const struct rlimit limit = {64, 64};
    const LAB *lab = context;
    FORK_RESULT forked;
    REMOVE_RESULT removed;
    STATUS status;
    int wrong;

    if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR || setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return (100);
    status_clear(&status);
    wrong = rotate_all_three(context);
    wrong += fork_keystore(lab->fd, lab->a, &lab->options, &forked, &status) != STATUS_IO;
    fork_release(&forked);
    wrong += remove_keyid(lab->fd, lab->a, "tenant", &lab->options, &removed, &status) != STATUS_IO;
    wrong += status.sys_errno != EFBIG;
    remove_release(&removed);
    return (wrong);
}

static void
full_disk(void)
{
    FILES files;
    LAB lab;

    lab_make(&lab);
    files_take(&lab, &files);
    CU_ASSERT_EQUAL(in_child(0, change_without_room, &lab), 0);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    CU_ASSERT_FALSE(exists(lab.fd, KEYRING_FILE ".new"));
    CU_ASSERT_TRUE(opens(&lab, lab.a));
    lab_free(&lab);
}

/* --- fork, prune */

/* A fork is all or nothing too: its new master keys are proved like those of a rotation. */
static void
fork_that_fails(void)
{
    FORK_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;
    ROTATE_RESULT plan;
    char id[128];

    lab_make(&lab);
    lab.options.plan = true;
    ROTATES(rotate_cmk(lab.fd, lab.b, lab.a, &lab.options, &plan, &status));
    (void)snprintf(id, sizeof(id), "%s", strstr(plan.steps[0].new_recipients, "local:"));
    rotate_release(&plan);
    lab.options.plan = false;
    files_take(&lab, &files);
    fault.key_file_id = id;
    fault.fails = true;
    status_clear(&status);
    CU_ASSERT_EQUAL(
      fork_keystore(lab.fd, lab.both, &lab.options, &result, &status), (int)STATUS_DENIED);
    fork_release(&result);
    memset(&fault, 0, sizeof(fault));
    CU_ASSERT_TRUE(files_same(&lab, &files));
    lab_free(&lab);
}

/* All scopes, all data keys, in copies of their secrets; and the fork goes on rotating. */
static void
fork_keeps_all_data_keys(void)
{
    FORK_RESULT result;
    MEMORY memory = {0};
    ROTATE_RESULT rotated;
    STATUS status;
    LAB lab;

    lab_make(&lab);
    remember(&lab, lab.a, &memory);
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(fork_keystore(lab.fd, lab.a, &lab.options, &result, &status), 0);
    CU_ASSERT_EQUAL(result.masters.count, 2);
    CU_ASSERT_NOT_EQUAL(memcmp(result.parent, result.masters.uuid, KEYSTORE_UUID_LEN), 0);
    fork_release(&result);
    ROTATES(rotate_master(lab.fd, lab.a, NULL, &lab.options, &rotated, &status));
    rotate_release(&rotated);
    all_there(&lab, lab.a, &memory);
    lab_free(&lab);
}

/*
 * A key that was active while the files were read got units behind the reader: it stays, although nothing was
 * found under it and it is readable by now.
 */
static void
prune_while_others_rotate(void)
{
    const KEYSTORE *keystore;
    const KEYSTORE_DATA_KEY *key;
    KEYRING *keyring;
    PRUNE prune;
    ROTATE_RESULT result;
    STATUS status;
    LAB lab;
    uint64_t old, was_active;

    lab_make(&lab);
    ROTATES(rotate_data(lab.fd, lab.a, "default", &lab.options, &result, &status));
    old = result.steps[0].old_id;
    was_active = result.steps[0].new_id;
    rotate_release(&result);
    CU_ASSERT_EQUAL_FATAL(prune_begin(lab.fd, lab.a, &lab.options, &prune, &status), 0);
    CU_ASSERT_EQUAL(prune.count, 1);
    prune_found(&prune, was_active, 7);
    ROTATES(rotate_data(lab.fd, lab.a, "default", &lab.options, &result, &status));
    rotate_release(&result);
    CU_ASSERT_EQUAL_FATAL(prune_retire(lab.fd, lab.a, &lab.options, &prune, &status), 0);
    CU_ASSERT_TRUE(prune.written);
    prune_release(&prune);
    keyring = lab_open(&lab, lab.a);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key = keystore_data_key(keystore, old));
    CU_ASSERT_EQUAL(key->state, KEYSTORE_RETIRED);
    CU_ASSERT_PTR_NOT_NULL_FATAL(key = keystore_data_key(keystore, was_active));
    CU_ASSERT_EQUAL(key->state, KEYSTORE_READABLE);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    /* The home was forked meanwhile: what was read says nothing of it. */
    CU_ASSERT_EQUAL_FATAL(prune_begin(lab.fd, lab.a, &lab.options, &prune, &status), 0);
    prune.uuid[0] ^= 1;
    CU_ASSERT_EQUAL(
      prune_retire(lab.fd, lab.a, &lab.options, &prune, &status), (int)STATUS_REFUSED);
    CU_ASSERT_STRING_EQUAL(status.id, "prune-changed");
    prune_release(&prune);
    lab_free(&lab);
}

/* Only the mirror is left: init, or the next open, puts the keystore back, and not a rotation. */
static void
only_the_mirror(void)
{
    ROTATE_RESULT result;
    STATUS status;
    FILES files;
    LAB lab;

    lab_make(&lab);
    CU_ASSERT_TRUE_FATAL(exists(lab.fd, MIRROR_FILE));
    CU_ASSERT_EQUAL_FATAL(unlinkat(lab.fd, KEYRING_FILE, 0), 0);
    files_take(&lab, &files);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      rotate_data(lab.fd, lab.a, NULL, &lab.options, &result, &status), (int)STATUS_REFUSED);
    CU_ASSERT_STRING_EQUAL(status.id, "rotate-mirror");
    rotate_release(&result);
    CU_ASSERT_TRUE(files_same(&lab, &files));
    lab_free(&lab);
}

/* --- two writers */

#define WRITER_ROUNDS 15

static int
rotate_often(void *context)
{
    const LAB *lab = context;
    ROTATE_RESULT result;
    STATUS status;
    int i, ret = 0;

    for (i = 0; i < WRITER_ROUNDS && ret == 0; i++) {
        status_clear(&status);
        ret = i % 3 == 0 ? rotate_master(lab->fd, lab->a, NULL, &lab->options, &result, &status)
                         : rotate_data(lab->fd, lab->a, NULL, &lab->options, &result, &status);
        rotate_release(&result);
    }
    if (ret != 0)
        (void)fprintf(stderr, "\n%s\n", status.message);
    return (ret == 0 ? 0 : 1);
}

static void
two_writers_at_once(void)
{
    const KEYSTORE *keystore;
    KEYRING *keyring;
    MEMORY memory = {0};
    LAB lab;
    size_t i;
    pid_t pid;
    int status;

    lab_make(&lab);
    remember(&lab, lab.a, &memory);
    CU_ASSERT_FATAL((pid = fork()) >= 0);
    if (pid == 0)
        _exit(rotate_often(&lab));
    CU_ASSERT_EQUAL(rotate_often(&lab), 0);
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    keyring = lab_open(&lab, lab.a);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->generation, 3 + 2 * WRITER_ROUNDS);
    /* One order: each generation has one event, and each data rotation its version. */
    CU_ASSERT_EQUAL(keystore->event_count, 3 + 2 * WRITER_ROUNDS);
    for (i = 0; i < keystore->event_count; i++)
        CU_ASSERT_EQUAL(keystore->events[i].generation, (int64_t)i + 1);
    CU_ASSERT_EQUAL(
      keystore_active_data_key(keystore, "other")->version, 1 + 2 * WRITER_ROUNDS * 2 / 3);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    all_there(&lab, lab.a, &memory);
    lab_free(&lab);
}

const TEST rotate_tests[] = {{"from_one_key_to_another", from_one_key_to_another},
  {"tells_the_history", tells_the_history}, {"no_way_in", no_way_in},
  {"any_recipient_opens", any_recipient_opens},
  {"adds_an_offline_recipient", adds_an_offline_recipient},
  {"recipient_that_does_not_open", recipient_that_does_not_open},
  {"forgotten_scope", forgotten_scope}, {"unknown_names", unknown_names},
  {"rotates_only_what_is_named", rotates_only_what_is_named}, {"many_rotations", many_rotations},
  {"plan_changes_nothing", plan_changes_nothing}, {"read_only_home", read_only_home},
  {"full_disk", full_disk}, {"fork_that_fails", fork_that_fails},
  {"fork_keeps_all_data_keys", fork_keeps_all_data_keys},
  {"prune_while_others_rotate", prune_while_others_rotate}, {"only_the_mirror", only_the_mirror},
  {"two_writers_at_once", two_writers_at_once}, {NULL, NULL}};
