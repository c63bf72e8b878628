/*
 * kms_clients/gcp_credentials_file.c -- See gcp_credentials_file.h.
 */
#include "kms_clients/gcp_credentials_file.h"

#include "common/file.h"
#include "kms_clients/kms_client_provider.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX (32 * 1024)
#define VARIABLE "GOOGLE_APPLICATION_CREDENTIALS"
#define WELL_KNOWN "application_default_credentials.json"

/* Read and parse. *foundp, when not NULL, turns a missing file into success. */
static int
read_file(
  const char *path, const char *universe, bool *foundp, GCP_IDENTITY **identityp, STATUS *status)
{
    SECRET *text = NULL;
    STATUS refused;
    size_t len;
    int fd = -1, ret;
    bool full, is_secret = false;

    /* Orchestrators mount secrets as symbolic links. */
    if (file_open_read(AT_FDCWD, path, false, foundp, &fd, status) != 0)
        return ((int)status->status_class);
    if (fd == -1)
        return (0);
    if (secret_new(FILE_MAX, &text, status) != 0 ||
        file_read_into(fd, path, secret_data(text), FILE_MAX, &len, &full, status) != 0)
        goto err;
    if (full || len == 0) {
        (void)status_set(status, STATUS_CONFIG, "kms-gcp-credentials", "it %s",
          full ? "is too large" : "is empty");
        goto err;
    }
    secret_truncate(text, len);
    ret = gcp_identity_parse(text, universe, &is_secret, identityp, status);
    if (is_secret && file_check_secret(fd, path, &refused) != 0) {
        gcp_identity_free(*identityp);
        *identityp = NULL;
        *status = refused;
        goto err;
    }
    if (ret != 0)
        goto err;
    secret_free(text);
    (void)close(fd);
    return (0);

err:
    secret_free(text);
    (void)close(fd);
    return ((int)status->status_class);
}

/* A fault of a file: where its name came from stands before it. */
static int
fault(const CONFIG_NODE *entry, const char *source, const char *path, STATUS *status)
{
    STATUS was = *status;

    if (was.status_class == STATUS_NO_MEMORY || was.status_class == STATUS_INTERNAL)
        return ((int)was.status_class);
    (void)config_error(entry, status, was.id, "%s: %s: %s", source, path, was.message);
    return (status_hint(status, "%s", was.hint));
}

/* Where gcloud keeps application default credentials; false when that cannot be told. */
static bool
well_known(char *path, size_t size)
{
    const char *folder = getenv("CLOUDSDK_CONFIG"), *home = getenv("HOME");
    int len;

    if (folder != NULL && *folder == '/')
        len = snprintf(path, size, "%s/" WELL_KNOWN, folder);
    else if (home != NULL && *home == '/')
        len = snprintf(path, size, "%s/.config/gcloud/" WELL_KNOWN, home);
    else
        return (false);
    return (len > 0 && (size_t)len < size);
}

int
gcp_credentials_file_find(const GCP_CREDENTIALS_OPTIONS *options, const CONFIG_NODE *entry,
  GCP_IDENTITY **identityp, STATUS *status)
{
    const CONFIG_NODE *node = config_get(entry, "credentialsFile");
    const char *variable = getenv(VARIABLE);
    char path[4096];
    bool found;

    *identityp = NULL;
    if (options->file != NULL) {
        if (read_file(options->file, options->universe, NULL, identityp, status) == 0)
            return (0);
        return (fault(node == NULL ? entry : node, "credentialsFile", options->file, status));
    }
    if (variable != NULL && *variable != '\0') {
        if (read_file(variable, options->universe, NULL, identityp, status) == 0)
            return (0);
        return (fault(entry, VARIABLE, variable, status));
    }
    if (well_known(path, sizeof(path))) {
        /* Of another user's home, when HOME was kept through a change of user: not ours to find. */
        if (read_file(path, options->universe, &found, identityp, status) != 0 &&
            !(status->status_class == STATUS_IO && status->sys_errno == EACCES))
            return (fault(entry, "default credentials", path, status));
        if (*identityp != NULL)
            return (0);
    }
    if ((*identityp = calloc(1, sizeof(**identityp))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a credential"));
    (*identityp)->kind = GCP_METADATA;
    return (0);
}
