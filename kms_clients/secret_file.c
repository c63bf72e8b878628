/*
 * kms_clients/secret_file.c -- A secret from a file that the configuration names. See
 * kms_client_provider.h.
 */
#include "kms_clients/kms_client_provider.h"

#include "common/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int
kms_client_at_option(const CONFIG_NODE *entry, const char *option, STATUS *status)
{
    const CONFIG_NODE *node = config_get(entry, option);
    STATUS was = *status;

    if (was.status_class == STATUS_NO_MEMORY || was.status_class == STATUS_INTERNAL)
        return ((int)was.status_class);
    (void)config_error(node == NULL ? entry : node, status, was.id, "%s: %s", option, was.message);
    return (status_hint(status, "%s", was.hint));
}

static size_t
length_without_space(const SECRET *secret, size_t len)
{
    while (len > 0 && secret_bytes(secret)[len - 1] <= ' ')
        len--;
    return (len);
}

int
kms_secret_file(KMS_SECRET_FILE *file, SECRET **secretp, STATUS *status)
{
    SECRET *secret = NULL;
    size_t len;
    int fd;
    bool full;

    *secretp = NULL;
    file->unusable = false;
    if (file_open_read(AT_FDCWD, file->path, false, NULL, &fd, status) != 0)
        return ((int)status->status_class);
    if ((!file->is_platform && file_check_secret(fd, file->path, status) != 0) ||
        secret_new(file->max + 1, &secret, status) != 0 ||
        file_read_into(fd, file->path, secret_data(secret), file->max + 1, &len, &full, status) !=
          0)
        goto err;
    if (file->trim)
        len = length_without_space(secret, len);
    if (full || len == 0) {
        file->unusable = true;
        if (full)
            (void)status_set(status, STATUS_CONFIG, "kms-secret-file",
              "%s is larger than %zu bytes", file->path, file->max);
        else
            (void)status_set(status, STATUS_CONFIG, "kms-secret-file", "%s is empty", file->path);
        goto err;
    }
    secret_truncate(secret, len);
    (void)close(fd);
    *secretp = secret;
    return (0);

err:
    secret_free(secret);
    (void)close(fd);
    return ((int)status->status_class);
}

int
kms_secret_file_read(const CONFIG_NODE *entry, const char *option, const char *path, size_t max,
  SECRET **secretp, STATUS *status)
{
    KMS_SECRET_FILE file = {.path = path, .max = max};

    if (kms_secret_file(&file, secretp, status) != 0)
        return (kms_client_at_option(entry, option, status));
    return (0);
}
