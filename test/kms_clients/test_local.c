/*
 * test/kms_clients/test_local.c -- Provider local: key files, wrapping, what a wrapped key is bound to.
 */
#include "test/kms_clients/kms_tests.h"

#include "crypto/encode.h"
#include "test/fail_alloc.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OTHER_KEY_TEXT "//////////////////////////////////////////8=\n"

static void
refuse_file(const char *path, const char *text, const char *hint)
{
    KMS_CLIENT *client;
    STATUS s;
    char yaml[5000];
    int ret;

    (void)snprintf(yaml, sizeof(yaml), "provider: local\nkeyFile: %s\n", path);
    ret = open_client(yaml, &client, &s);
    CHECK_STATUS(ret, &s, STATUS_CONFIG, "wtkms.conf:2:1: keyFile: ");
    CHECK_STATUS(ret, &s, STATUS_CONFIG, text);
    if (ret == 0)
        kms_client_close(client);
    else
        CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, hint));
}

static void
test_malformed_key_files(void)
{
    static const char *const wrong[] = {
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* low bits */
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",  /* no padding */
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", /* 31 bytes */
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", /* 33 bytes */
      "AAECAwQFBgcICQoLDA0ODxAREhMU FRYXGBkaGxwdHh8=", "\n\n", "key", "=",
      "00000000000000000000000000000000000000000000000000000000000000", /* hexadecimal digits */
      KEY_TEXT KEY_TEXT, "-----BEGIN PRIVATE KEY-----\n"};
    uint8_t raw[32] = {1, 2, 3};
    char big[2000];
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse_file(key_file(wrong[i], strlen(wrong[i]), 0600), "does not hold 32 bytes in base64",
          "wtkms keygen");
    refuse_file(
      key_file(raw, sizeof(raw), 0600), "does not hold 32 bytes in base64", "wtkms keygen");
    refuse_file(key_file("", 0, 0600), "is empty", "wtkms keygen");
    memset(big, '\n', sizeof(big));
    memcpy(big, KEY_TEXT, strlen(KEY_TEXT));
    refuse_file(key_file(big, sizeof(big), 0600), "is larger than 1024 bytes", "wtkms keygen");
}

/* As mongod takes them: with and without a newline, as editors and shells leave them. */
static void
test_key_files(void)
{
    static const char *const good[] = {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", KEY_TEXT,
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\r\n",
      "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= \n\n"};
    KMS_CLIENT *client;
    size_t i;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        client = local_client(good[i]);
        CU_ASSERT_STRING_EQUAL(kms_client_key(client), KEY_ID);
        kms_client_close(client);
    }
}

static void
test_missing_key_file(void)
{
    refuse_file("/no/such/key", "No such file or directory", "wtkms keygen");
    refuse_file("/dev", "not a regular file", "");
    refuse_file("/dev/urandom", "not a regular file", "");
}

static void
test_long_path(void)
{
    char path[KMS_CREDENTIAL_MAX + 10];

    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    refuse_file(path, "the path is longer than 1024 bytes", "");
}

static void
test_key_file_permissions(void)
{
    static const mode_t wrong[] = {0644, 0660, 0604, 0666, 0601};
    KMS_CLIENT *client;
    const char *path;
    char yaml[5000];
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        refuse_file(key_file(KEY_TEXT, strlen(KEY_TEXT), wrong[i]), "has mode 06", "chmod 06");
    if (!is_root("key_file_permissions"))
        return;
    path = key_file(KEY_TEXT, strlen(KEY_TEXT), 0600);
    CU_ASSERT_EQUAL(chown(path, OTHER_UID, OTHER_UID), 0);
    refuse_file(path, "is owned by user id 54321", "root with mode 0640");
    CU_ASSERT_EQUAL(chown(path, 0, OTHER_UID), 0);
    CU_ASSERT_EQUAL(chmod(path, 0640), 0);
    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}", path);
    CU_ASSERT_EQUAL(open_client(yaml, &client, &s), 0);
    kms_client_close(client);
}

static int
open_unreadable(void *yaml)
{
    KMS_CLIENT *client;
    STATUS s;
    int ret = open_client(yaml, &client, &s);

    return (ret == STATUS_CONFIG && client == NULL &&
                strstr(s.message, "Permission denied") != NULL && strstr(s.hint, "keygen") == NULL
              ? 0
              : 1);
}

static void
test_unreadable_key_file(void)
{
    char yaml[5000];

    if (!is_root("unreadable_key_file"))
        return;
    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}",
      key_file(KEY_TEXT, strlen(KEY_TEXT), 0600));
    CU_ASSERT_EQUAL(in_child(OTHER_UID, open_unreadable, yaml), 0);
}

/* Kubernetes and systemd hand out secrets as symbolic links. */
static void
test_linked_key_file(void)
{
    KMS_CLIENT *client;
    const char *path = key_file(KEY_TEXT, strlen(KEY_TEXT), 0600);
    char link_path[4400], yaml[5000];
    STATUS s;

    (void)snprintf(link_path, sizeof(link_path), "%s.link", path);
    CU_ASSERT_EQUAL_FATAL(symlink(path, link_path), 0);
    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}", link_path);
    CU_ASSERT_EQUAL_FATAL(open_client(yaml, &client, &s), 0);
    CU_ASSERT_STRING_EQUAL(kms_client_key(client), KEY_ID);
    kms_client_close(client);
}

static SECRET *
some_secret(size_t len)
{
    SECRET *secret;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(secret_new_random(len, &secret, &s), 0);
    return (secret);
}

static void
test_round_trip(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT);
    KMS_WRAPPED w, again;
    KMS_RECORDED r;
    KMS_KEY_INFO info;
    SECRET *plaintext, *opened;
    STATUS s;
    size_t len;

    CU_ASSERT_STRING_EQUAL(kms_client_provider(client), "local");
    CU_ASSERT_TRUE(kms_client_can_unwrap(client));
    for (len = 1; len <= KMS_PLAINTEXT_MAX; len += 21) {
        plaintext = some_secret(len);
        CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
        CU_ASSERT_STRING_EQUAL(w.key_id, KEY_ID);
        CU_ASSERT_EQUAL(w.credential[0], '/');
        CU_ASSERT_EQUAL(w.wrapped_len, 24 + len + 16);
        CU_ASSERT_EQUAL_FATAL(
          kms_client_wrap(client, 1000, &context_one, plaintext, &again, &s), 0);
        CU_ASSERT(memcmp(w.wrapped, again.wrapped, w.wrapped_len) != 0);
        kms_wrapped_release(&again);
        r = (KMS_RECORDED){"local", w.key_id, w.wrapped, w.wrapped_len};
        CU_ASSERT_EQUAL_FATAL(kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), 0);
        CU_ASSERT(secret_len(opened) == len && secret_equal(opened, plaintext));
        secret_free(opened);
        secret_free(plaintext);
        kms_wrapped_release(&w);
    }
    CU_ASSERT_EQUAL(kms_client_describe(client, 1000, NULL, &info, &s), 0);
    CU_ASSERT_EQUAL(info.state, KMS_KEY_ENABLED);
    CU_ASSERT_STRING_EQUAL(info.key_id, KEY_ID);
    CU_ASSERT_EQUAL(kms_client_describe(client, 1000, KEY_ID, &info, &s), 0);
    CHECK_STATUS(
      kms_client_describe(client, 1000, "local:00000000000000000000000000000000", &info, &s), &s,
      STATUS_REFUSED, "is not the key");
    CHECK_STATUS(
      kms_client_describe(client, 1000, "alias/x", &info, &s), &s, STATUS_CORRUPT, "alias/x");
    kms_client_close(client);
}

/* Wrapped by vectors.py, so that the format cannot change unnoticed. */
static void
test_known_answer(void)
{
    static const char hex[] = "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b749a53a29d975fe0d6058"
                              "87efd84c66cbcb48899d081a461dd418";
    KMS_CLIENT *client = local_client(KEY_TEXT);
    uint8_t wrapped[sizeof(hex) / 2];
    KMS_RECORDED r = {"local", KEY_ID, wrapped, sizeof(wrapped)};
    SECRET *opened = NULL;
    STATUS s;

    CU_ASSERT_EQUAL_FATAL(encode_hex_decode(hex, sizeof(hex) - 1, wrapped, &s), 0);
    CU_ASSERT_EQUAL_FATAL(kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), 0);
    CU_ASSERT_EQUAL(secret_len(opened), 10);
    CU_ASSERT_EQUAL(memcmp(secret_bytes(opened), "known text", 10), 0);
    secret_free(opened);
    kms_client_close(client);
}

static void
test_wrong_key(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT), *other = local_client(OTHER_KEY_TEXT);
    SECRET *plaintext = some_secret(32), *opened;
    KMS_WRAPPED w;
    KMS_RECORDED r;
    STATUS s;

    CU_ASSERT_STRING_NOT_EQUAL(kms_client_key(client), kms_client_key(other));
    CU_ASSERT_TRUE(kms_client_matches(client, "local", KEY_ID));
    CU_ASSERT_FALSE(kms_client_matches(other, "local", KEY_ID));
    CU_ASSERT_FALSE(kms_client_matches(client, "publickey", KEY_ID));
    CU_ASSERT_FALSE(kms_client_matches(client, "local", ""));
    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
    r = (KMS_RECORDED){"local", w.key_id, w.wrapped, w.wrapped_len};
    CHECK_STATUS(kms_client_unwrap(other, 1000, &context_one, &r, &opened, &s), &s, STATUS_REFUSED,
      "default was wrapped with " KEY_ID);
    /* A keystore that lies about the key: it does not open either. */
    r.key_id = kms_client_key(other);
    CHECK_STATUS(kms_client_unwrap(other, 1000, &context_one, &r, &opened, &s), &s, STATUS_CORRUPT,
      "while unwrapping with local:");
    CU_ASSERT_PTR_NULL(opened);
    kms_wrapped_release(&w);
    secret_free(plaintext);
    kms_client_close(client);
    kms_client_close(other);
}

static void
test_wrong_context(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT);
    SECRET *plaintext = some_secret(32), *opened;
    KMS_CONTEXT c;
    KMS_WRAPPED w;
    KMS_RECORDED r;
    STATUS s;
    size_t i;

    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
    r = (KMS_RECORDED){"local", w.key_id, w.wrapped, w.wrapped_len};
    for (i = 0; i < 16; i++) {
        c = context_one;
        c.keystore_uuid[i] ^= 1;
        CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &c, &r, &opened, &s), STATUS_CORRUPT);
    }
    for (i = 0; i < 64; i++) {
        c = context_one;
        c.master_key_id ^= UINT64_C(1) << i;
        CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &c, &r, &opened, &s), STATUS_CORRUPT);
    }
    c = context_one;
    c.scope = "defaulT";
    CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &c, &r, &opened, &s), STATUS_CORRUPT);
    c.scope = "default ";
    CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &c, &r, &opened, &s), STATUS_CORRUPT);
    c.scope = "";
    CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &c, &r, &opened, &s), STATUS_CORRUPT);
    CU_ASSERT_PTR_NULL(opened);
    kms_wrapped_release(&w);
    secret_free(plaintext);
    kms_client_close(client);
}

static void
test_damaged(void)
{
    KMS_CLIENT *client = local_client(KEY_TEXT);
    SECRET *plaintext = some_secret(32), *opened;
    KMS_WRAPPED w;
    KMS_RECORDED r;
    STATUS s;
    uint8_t *copy;
    size_t i, bit;

    CU_ASSERT_EQUAL_FATAL(kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s), 0);
    for (i = 0; i < w.wrapped_len; i++)
        for (bit = 0; bit < 8; bit++) {
            w.wrapped[i] ^= (uint8_t)(1U << bit);
            r = (KMS_RECORDED){"local", w.key_id, w.wrapped, w.wrapped_len};
            CU_ASSERT_EQUAL(
              kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), STATUS_CORRUPT);
            CU_ASSERT_PTR_NULL(opened);
            w.wrapped[i] ^= (uint8_t)(1U << bit);
        }
    /* Cut at every length and one longer, in memory of exactly that size. */
    for (i = 1; i <= w.wrapped_len + 1; i++) {
        copy = calloc(1, i);
        CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
        memcpy(copy, w.wrapped, i < w.wrapped_len ? i : w.wrapped_len);
        r = (KMS_RECORDED){"local", w.key_id, copy, i};
        if (i == w.wrapped_len) {
            CU_ASSERT_EQUAL(kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), 0);
            secret_free(opened);
        } else
            CU_ASSERT_EQUAL(
              kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s), STATUS_CORRUPT);
        free(copy);
    }
    kms_wrapped_release(&w);
    secret_free(plaintext);
    kms_client_close(client);
}

/* No message, at no failure, may hold the key. */
static void
test_key_is_not_told(void)
{
    KMS_CLIENT *client;
    const char *text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=";
    char yaml[5000];
    STATUS s;

    (void)snprintf(
      yaml, sizeof(yaml), "{provider: local, keyFile: %s}", key_file(text, strlen(text), 0600));
    CU_ASSERT_EQUAL(open_client(yaml, &client, &s), STATUS_CONFIG);
    CU_ASSERT_PTR_NULL(strstr(s.message, "AAEC"));
    CU_ASSERT_PTR_NULL(strstr(s.hint, "AAEC"));
}

static void
test_key_file_write(void)
{
    KMS_CLIENT *client;
    const char *dir;
    char path[4300], yaml[5000], first[64] = "";
    struct stat sb;
    STATUS s;
    int dirfd = make_dir(&dir), fd;

    (void)snprintf(path, sizeof(path), "%s/k", dir);
    CU_ASSERT_EQUAL_FATAL(kms_local_key_file_write(path, &s), 0);
    CU_ASSERT_EQUAL(stat(path, &sb), 0);
    CU_ASSERT((sb.st_mode & 07777) == 0600 && sb.st_size == 45);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT(read(fd, first, sizeof(first)) == 45 && first[44] == '\n');
    (void)close(fd);
    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}", path);
    CU_ASSERT_EQUAL_FATAL(open_client(yaml, &client, &s), 0);
    CU_ASSERT_STRING_NOT_EQUAL(kms_client_key(client), KEY_ID);
    kms_client_close(client);

    CHECK_STATUS(kms_local_key_file_write(path, &s), &s, STATUS_REFUSED, "k exists");
    CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, "never overwritten"));
    CU_ASSERT(file_holds(dirfd, "k", first, 45));
    (void)snprintf(path, sizeof(path), "%s/second", dir);
    CU_ASSERT_EQUAL(kms_local_key_file_write(path, &s), 0);
    CU_ASSERT_FALSE(file_holds(dirfd, "second", first, 45));
    CHECK_STATUS(kms_local_key_file_write("/no/such/dir/k", &s), &s, STATUS_IO, "/no/such/dir");
    CHECK_STATUS(kms_local_key_file_write("/tmp/", &s), &s, STATUS_CONFIG, "does not name a file");
    CU_ASSERT_EQUAL(count_entries(dirfd), 2);
    (void)close(dirfd);
}

static bool
use_without_memory(bool *failedp, void *context)
{
    CONFIG_NODE *entry = context;
    KMS_CLIENT *client = NULL;
    KMS_WRAPPED w = {NULL, NULL, NULL, 0};
    KMS_RECORDED r;
    SECRET *plaintext = NULL, *opened = NULL;
    STATUS s;
    int ret;

    if ((ret = secret_new_random(32, &plaintext, &s)) == 0 &&
        (ret = kms_client_open(entry, NULL, &client, &s)) == 0 &&
        (ret = kms_client_wrap(client, 1000, &context_one, plaintext, &w, &s)) == 0) {
        r = (KMS_RECORDED){"local", w.key_id, w.wrapped, w.wrapped_len};
        ret = kms_client_unwrap(client, 1000, &context_one, &r, &opened, &s);
    }
    *failedp = fail_alloc_done();
    secret_free(plaintext);
    secret_free(opened);
    kms_wrapped_release(&w);
    kms_client_close(client);
    return (ret == (*failedp ? STATUS_NO_MEMORY : 0));
}

static void
test_no_memory(void)
{
    char yaml[5000];
    CONFIG_NODE *entry;
    STATUS s;

    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}",
      key_file(KEY_TEXT, strlen(KEY_TEXT), 0600));
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(yaml, strlen(yaml), "c", &entry, &s), 0);
    fail_every_alloc(use_without_memory, entry, 10);
    config_free(entry);
}

const TEST local_tests[] = {{"malformed_key_files", test_malformed_key_files},
  {"key_files", test_key_files}, {"missing_key_file", test_missing_key_file},
  {"long_path", test_long_path}, {"key_file_permissions", test_key_file_permissions},
  {"unreadable_key_file", test_unreadable_key_file}, {"linked_key_file", test_linked_key_file},
  {"round_trip", test_round_trip}, {"known_answer", test_known_answer},
  {"wrong_key", test_wrong_key}, {"wrong_context", test_wrong_context}, {"damaged", test_damaged},
  {"key_is_not_told", test_key_is_not_told}, {"key_file_write", test_key_file_write},
  {"no_memory", test_no_memory}, {NULL, NULL}};
