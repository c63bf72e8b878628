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

int
kms_secret_file_read(const CONFIG_NODE *entry, const char *option, const char *path, size_t max,
  SECRET **secretp, STATUS *status)
{
    SECRET *secret = NULL;
    size_t len;
    int fd;
    bool full;

    *secretp = NULL;
    /* Symbolic links are followed: orchestrators mount secrets as links. */
    if (file_open_read(AT_FDCWD, path, false, NULL, &fd, status) != 0)
        return (kms_client_at_option(entry, option, status));
    if (file_check_secret(fd, path, status) != 0) {
        (void)kms_client_at_option(entry, option, status);
        goto err;
    }
    if (secret_new(max + 1, &secret, status) != 0 ||
        file_read_into(fd, path, secret_data(secret), max + 1, &len, &full, status) != 0)
        goto err;
    if (full || len == 0) {
        if (full)
            (void)status_set(
              status, STATUS_CONFIG, "kms-secret-file", "%s is larger than %zu bytes", path, max);
        else
            (void)status_set(status, STATUS_CONFIG, "kms-secret-file", "%s is empty", path);
        (void)kms_client_at_option(entry, option, status);
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
