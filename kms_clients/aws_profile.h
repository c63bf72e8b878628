/*
 * kms_clients/aws_profile.h -- The shared files of the AWS tools: ~/.aws/credentials and ~/.aws/config.
 *
 * Layer: kms_clients. Values are read as botocore reads them: names in any case, '=' or ':', lines
 * that start with '#' or ';' are comments, indented lines continue the value before (and are
 * ignored: nothing here needs them). The text stays in secret memory. Not thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_PROFILE_H
#define WTKMS_KMS_CLIENTS_AWS_PROFILE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

#define AWS_PROFILE_FILE_MAX (256 * 1024)
#define AWS_PROFILE_VALUES_MAX 8192

typedef struct aws_profiles AWS_PROFILES;

/* aws_profiles_new -- Without any profile. The caller frees it. STATUS_NO_MEMORY. */
int aws_profiles_new(AWS_PROFILES **profilesp, STATUS *status) WTKMS_CHECKED;
void aws_profiles_free(AWS_PROFILES *profiles);

/*
 * aws_profiles_parse -- Add a file's text: config has sections "profile NAME" and "default", credentials
 *     has sections NAME. What was added before wins. path is for messages. STATUS_CONFIG
 *     "kms-aws-profile" with path and line, the text not quoted; STATUS_NO_MEMORY.
 */
int aws_profiles_parse(AWS_PROFILES *profiles, const char *path, bool config, const void *text,
  size_t len, STATUS *status) WTKMS_CHECKED;

/*
 * aws_profiles_load -- Read both files, the credentials first. A NULL path is $AWS_SHARED_CREDENTIALS_FILE
 *     or $AWS_CONFIG_FILE, else in ~/.aws; only a given one must be there. A file with secret keys must be
 *     permitted as file_check_secret says. STATUS_CONFIG, STATUS_IO, STATUS_NO_MEMORY.
 */
int aws_profiles_load(const char *credentials_path, const char *config_path,
  AWS_PROFILES **profilesp, STATUS *status) WTKMS_CHECKED;

/* aws_profiles_has -- Whether there is a profile of that name. */
bool aws_profiles_has(const AWS_PROFILES *profiles, const char *profile);

/* aws_profiles_get -- A value that is not empty, or NULL. Owned by profiles (its memory is secret). */
const char *aws_profiles_get(const AWS_PROFILES *profiles, const char *profile, const char *name);

#endif
