/*
 * test/keystore/home.c -- Homes for the suites. See keystore_tests.h.
 */
#include "test/keystore/keystore_tests.h"

#include "crypto/encode.h"

#include <dirent.h>

static void
remember(void *context, LOG_LEVEL level, const char *line)
{
    HOME *home = context;
    size_t used = strlen(home->log);

    (void)level;
    (void)snprintf(home->log + used, sizeof(home->log) - used, "%s\n", line);
}

void
home_key_file(const HOME *home, const char *name)
{
    SECRET *key;
    STATUS status;
    FILE *file;
    char path[700], text[ENCODE_BASE64_SIZE(32)];

    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(secret_new_random(32, &key, &status), 0);
    (void)encode_base64(secret_bytes(key), 32, text);
    secret_free(key);
    (void)snprintf(path, sizeof(path), "%s/%s", home->dir, name);
    file = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    (void)fprintf(file, "%s\n", text);
    (void)fclose(file);
    CU_ASSERT_EQUAL_FATAL(chmod(path, 0600), 0);
}

void
home_configure(HOME *home, const char *yaml)
{
    CONFIG_NODE *root;
    STATUS status;
    char text[4096], *p = text;

    for (; *yaml != '\0' && p < text + sizeof(text) - 700; yaml++)
        if (strncmp(yaml, "%k", 2) == 0) {
            p += sprintf(p, "%s", home->key);
            yaml++;
        } else if (strncmp(yaml, "%d", 2) == 0) {
            p += sprintf(p, "%s", home->dir);
            yaml++;
        } else
            *p++ = *yaml;
    *p = '\0';
    settings_free(home->settings);
    home->settings = NULL;
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(config_parse_yaml(text, strlen(text), "test.conf", &root, &status), 0);
    if (settings_from_tree(root, &home->settings, &status) != 0)
        fprintf(stderr, "%s\n", status.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(home->settings);
}

void
home_make(HOME *home, const char *extra)
{
    static unsigned number;
    STATUS status;
    char yaml[2048];

    memset(home, 0, sizeof(*home));
    (void)snprintf(home->dir, sizeof(home->dir), "%s/%u", test_scratch(), number++);
    (void)snprintf(home->path, sizeof(home->path), "%s/home", home->dir);
    (void)snprintf(home->key, sizeof(home->key), "%s/key", home->dir);
    CU_ASSERT_EQUAL_FATAL(mkdir(home->dir, 0700), 0);
    CU_ASSERT_EQUAL_FATAL(mkdir(home->path, 0700), 0);
    home_key_file(home, "key");
    status_clear(&status);
    CU_ASSERT_EQUAL_FATAL(file_open_dir(home->path, &home->fd, &status), 0);
    (void)snprintf(yaml, sizeof(yaml),
      "node: test-a\nkms:\n  - {provider: local, keyFile: %%k}\n%s", extra == NULL ? "" : extra);
    home_configure(home, yaml);
    home->sink.write = remember;
    home->sink.context = home;
    home->options.log = &home->sink;
    home->options.kms_timeout_ms = 5000;
}

static void
clear_dir(const char *path)
{
    struct dirent *entry;
    char name[1024];
    DIR *dir = opendir(path);

    if (dir == NULL)
        return;
    while ((entry = readdir(dir)) != NULL) {
        (void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        (void)unlink(name);
    }
    (void)closedir(dir);
}

void
home_clear(HOME *home)
{
    char copies[600];

    clear_dir(home->path);
    (void)snprintf(copies, sizeof(copies), "%s/copies", home->dir);
    clear_dir(copies);
    home->log[0] = '\0';
}

void
home_free(HOME *home)
{
    settings_free(home->settings);
    (void)close(home->fd);
}

uint8_t *
home_read(const HOME *home, const char *name, size_t *lenp)
{
    STATUS status;
    uint8_t *data;
    size_t len;

    status_clear(&status);
    if (file_read(home->fd, name, KEYSTORE_MAX_BYTES, false, NULL, &data, &len, &status) != 0)
        fprintf(stderr, "%s\n", status.message);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    if (lenp != NULL)
        *lenp = len;
    return (data);
}

void
home_write(const HOME *home, const char *name, const void *data, size_t len)
{
    int fd = openat(home->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    CU_ASSERT_FATAL(fd != -1);
    CU_ASSERT_EQUAL_FATAL(write(fd, data, len), (ssize_t)len);
    (void)close(fd);
}

bool
home_has(const HOME *home, const char *name)
{
    return (faccessat(home->fd, name, F_OK, 0) == 0);
}

void
home_fill(HOME *home)
{
    KEYRING *keyring;
    STATUS status;
    uint64_t id;
    bool created;

    home_make(home, NULL);
    home_key_file(home, "keyA");
    home_configure(home, "node: test-a\nkms: [{provider: local, keyFile: %k}]\n" HOME_TENANT_YAML);
    CHECK_OK_FATAL(
      keyring_create(home->fd, home->settings, &home->options, false, &keyring, &status));
    CHECK_OK_FATAL(keyring_ensure_data_key(keyring, "tenantA", &id, &created, &status));
    CHECK_OK_FATAL(keyring_ensure_data_key(keyring, "tenantB", &id, &created, &status));
    keyring_close(keyring);
}

bool
same_data_key(KEYRING *a, KEYRING *b, uint64_t id)
{
    SECRET *x = NULL, *y = NULL;
    STATUS status;
    bool same;

    status_clear(&status);
    same = keyring_data_key(a, id, &x, NULL, &status) == 0 &&
           keyring_data_key(b, id, &y, NULL, &status) == 0 && secret_equal(x, y);
    secret_free(x);
    secret_free(y);
    return (same);
}
