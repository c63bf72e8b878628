/*
 * kms_clients/aws_chain.c -- The chain of credentials. See aws_chain.h.
 *
 * The files are read anew at each refresh, so that rotated keys are found without a restart.
 */
#include "kms_clients/aws_chain.h"

#include "kms_clients/aws_arn.h"
#include "kms_clients/aws_metadata.h"
#include "kms_clients/aws_process.h"
#include "kms_clients/aws_sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define SOURCES_MAX 8 /* profiles that name each other by source_profile */
#define SESSION_SIZE 65

struct aws_chain {
    AWS_CHAIN_OPTIONS options;
    AWS_WIRE *wire;
    AWS_CREDENTIALS base;    /* of the chain proper */
    AWS_CREDENTIALS assumed; /* of roleArn */
    char session_name[SESSION_SIZE];
};

/* What a resolution is under way with. */
typedef struct {
    AWS_CHAIN *chain;
    const AWS_PROFILES *profiles;
    const char *seen[SOURCES_MAX];
    size_t seen_count;
    int64_t deadline;
} SEARCH;

static int find_profile(
  SEARCH *search, const char *profile, bool *foundp, AWS_CREDENTIALS *out, STATUS *status);

static const char *
environment(const char *name)
{
    const char *value = getenv(name);

    return (value == NULL || value[0] == '\0' ? NULL : value);
}

/* Who is behind a call in CloudTrail: this host, unless the entry says better. */
static void
name_session(AWS_CHAIN *chain)
{
    char host[256] = "", text[300];

    if (chain->options.session_name != NULL)
        (void)snprintf(text, sizeof(text), "%s", chain->options.session_name);
    else {
        if (gethostname(host, sizeof(host) - 1) != 0)
            host[0] = '\0';
        (void)snprintf(text, sizeof(text), "wtkms-%s", host[0] == '\0' ? "unknown" : host);
    }
    aws_session_name(text, chain->session_name, sizeof(chain->session_name));
}

int
aws_chain_new(const AWS_CHAIN_OPTIONS *options, AWS_WIRE *wire, AWS_CHAIN **chainp, STATUS *status)
{
    AWS_CHAIN *chain;

    if ((*chainp = chain = calloc(1, sizeof(*chain))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for credentials"));
    chain->options = *options;
    chain->wire = wire;
    name_session(chain);
    return (0);
}

void
aws_chain_free(AWS_CHAIN *chain)
{
    if (chain == NULL)
        return;
    aws_credentials_clear(&chain->base);
    aws_credentials_clear(&chain->assumed);
    free(chain);
}

void
aws_chain_forget(AWS_CHAIN *chain)
{
    aws_credentials_clear(&chain->base);
    aws_credentials_clear(&chain->assumed);
}

/* --- environment */

static int
find_environment(bool *foundp, AWS_CREDENTIALS *out, STATUS *status)
{
    const char *key = environment("AWS_ACCESS_KEY_ID");
    const char *secret = environment("AWS_SECRET_ACCESS_KEY");

    *foundp = key != NULL;
    if (key == NULL)
        return (0);
    if (secret == NULL)
        return (status_set(status, STATUS_CONFIG, "kms-aws-credentials",
          "the environment has AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY"));
    (void)snprintf(out->source, sizeof(out->source), "environment");
    return (aws_credentials_set(
      out, "the environment", key, secret, environment("AWS_SESSION_TOKEN"), status));
}

static int
find_web_identity(SEARCH *search, bool *foundp, AWS_CREDENTIALS *out, STATUS *status)
{
    const char *file = environment("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *arn = environment("AWS_ROLE_ARN");
    const char *session = environment("AWS_ROLE_SESSION_NAME");
    char name[SESSION_SIZE];
    AWS_ROLE role = {arn, NULL, search->chain->session_name};

    *foundp = file != NULL && arn != NULL;
    if (!*foundp)
        return (0);
    if (!aws_role_arn_valid(arn))
        return (
          status_set(status, STATUS_CONFIG, "kms-aws-role", "AWS_ROLE_ARN is no ARN of a role"));
    if (session != NULL && search->chain->options.session_name == NULL) {
        aws_session_name(session, name, sizeof(name));
        role.session_name = name;
    }
    return (aws_sts_assume(search->chain->wire, &role, NULL, file, search->deadline, out, status));
}

/* --- profiles */

static int
bad_profile(const char *profile, const char *why, STATUS *status)
{
    return (status_set(
      status, STATUS_CONFIG, "kms-aws-profile", "the AWS profile \"%s\" %s", profile, why));
}

static int
static_keys(SEARCH *search, const char *profile, bool *foundp, AWS_CREDENTIALS *out, STATUS *status)
{
    const AWS_PROFILES *profiles = search->profiles;
    const char *key = aws_profiles_get(profiles, profile, "aws_access_key_id");
    const char *secret = aws_profiles_get(profiles, profile, "aws_secret_access_key");

    *foundp = key != NULL;
    if (key == NULL)
        return (0);
    if (secret == NULL)
        return (
          bad_profile(profile, "has aws_access_key_id without aws_secret_access_key", status));
    (void)snprintf(out->source, sizeof(out->source), "profile %s", profile);
    return (aws_credentials_set(out, out->source, key, secret,
      aws_profiles_get(profiles, profile, "aws_session_token"), status));
}

static int
named_source(
  SEARCH *search, const char *profile, const char *source, AWS_CREDENTIALS *out, STATUS *status)
{
    bool found = true;
    int ret;

    if (strcasecmp(source, "Environment") == 0)
        ret = find_environment(&found, out, status);
    else if (strcasecmp(source, "EcsContainer") == 0) {
        if ((found = aws_container_configured()))
            ret = aws_container_credentials(search->chain->wire, search->deadline, out, status);
        else
            ret = 0;
    } else if (strcasecmp(source, "Ec2InstanceMetadata") == 0)
        ret = aws_instance_credentials(search->chain->wire, search->deadline, out, status);
    else
        return (bad_profile(profile,
          "has a credential_source that is none of Environment, EcsContainer, "
          "Ec2InstanceMetadata",
          status));
    if (ret == 0 && !found)
        return (bad_profile(profile, "has a credential_source with nothing in it", status));
    return (ret);
}

/* The credentials that a profile's role is assumed with. */
static int
source_credentials(SEARCH *search, const char *profile, AWS_CREDENTIALS *out, STATUS *status)
{
    const char *source = aws_profiles_get(search->profiles, profile, "source_profile");
    const char *kind = aws_profiles_get(search->profiles, profile, "credential_source");
    bool found;

    if (source != NULL && kind != NULL)
        return (bad_profile(profile, "has both source_profile and credential_source", status));
    if (kind != NULL)
        return (named_source(search, profile, kind, out, status));
    if (source == NULL)
        return (bad_profile(profile,
          "has role_arn without source_profile, credential_source or web_identity_token_file",
          status));
    if (!aws_profiles_has(search->profiles, source))
        return (bad_profile(profile, "names a source_profile that does not exist", status));
    /* A profile may be its own source: its role, assumed with its own keys. */
    if ((strcmp(source, profile) == 0 ? static_keys(search, source, &found, out, status)
                                      : find_profile(search, source, &found, out, status)) != 0)
        return ((int)status->status_class);
    return (found ? 0 : bad_profile(profile, "names a source_profile without credentials", status));
}

static int
profile_role(
  SEARCH *search, const char *profile, const char *arn, AWS_CREDENTIALS *out, STATUS *status)
{
    const AWS_PROFILES *profiles = search->profiles;
    const char *session = aws_profiles_get(profiles, profile, "role_session_name");
    const char *token_file = aws_profiles_get(profiles, profile, "web_identity_token_file");
    AWS_CREDENTIALS base = {.secret_access_key = NULL};
    AWS_ROLE role = {
      arn, aws_profiles_get(profiles, profile, "external_id"), search->chain->session_name};
    char name[SESSION_SIZE];
    int ret;

    if (!aws_role_arn_valid(arn))
        return (bad_profile(profile, "has a role_arn that is no ARN of a role", status));
    if (aws_profiles_get(profiles, profile, "mfa_serial") != NULL)
        return (bad_profile(
          profile, "asks for a code of an MFA device, which nobody gives here", status));
    if (session != NULL && search->chain->options.session_name == NULL) {
        aws_session_name(session, name, sizeof(name));
        role.session_name = name;
    }
    if (token_file != NULL)
        return (aws_sts_assume(
          search->chain->wire, &role, NULL, token_file, search->deadline, out, status));
    if ((ret = source_credentials(search, profile, &base, status)) == 0)
        ret =
          aws_sts_assume(search->chain->wire, &role, &base, NULL, search->deadline, out, status);
    aws_credentials_clear(&base);
    return (ret);
}

static int
find_profile(
  SEARCH *search, const char *profile, bool *foundp, AWS_CREDENTIALS *out, STATUS *status)
{
    const char *arn = aws_profiles_get(search->profiles, profile, "role_arn");
    const char *command = aws_profiles_get(search->profiles, profile, "credential_process");
    size_t i;

    *foundp = true;
    for (i = 0; i < search->seen_count; i++)
        if (strcmp(search->seen[i], profile) == 0)
            return (bad_profile(profile, "is its own source_profile over others", status));
    if (search->seen_count == SOURCES_MAX)
        return (bad_profile(profile, "has too many source_profiles behind it", status));
    search->seen[search->seen_count++] = profile;
    if (arn != NULL)
        return (profile_role(search, profile, arn, out, status));
    if (static_keys(search, profile, foundp, out, status) != 0)
        return ((int)status->status_class);
    if (*foundp)
        return (0);
    if (command != NULL) {
        *foundp = true;
        (void)snprintf(out->source, sizeof(out->source), "profile %s", profile);
        return (aws_process_credentials(command, search->deadline, out, status));
    }
    if (aws_profiles_get(search->profiles, profile, "sso_start_url") != NULL ||
        aws_profiles_get(search->profiles, profile, "sso_session") != NULL) {
        (void)bad_profile(profile, "signs in by AWS SSO, which is for people", status);
        return (status_hint(status, "use a role, a web identity or access keys"));
    }
    return (0);
}

static const char *
profile_in_use(const AWS_CHAIN_OPTIONS *options)
{
    const char *name = options->profile;

    if (name == NULL && options->credentials_file == NULL &&
        (name = environment("AWS_PROFILE")) == NULL)
        name = environment("AWS_DEFAULT_PROFILE");
    return (name == NULL ? "default" : name);
}

static int
search_profile(SEARCH *search, bool *foundp, AWS_CREDENTIALS *out, STATUS *status)
{
    const AWS_CHAIN_OPTIONS *options = &search->chain->options;
    const char *profile = profile_in_use(options);
    AWS_PROFILES *profiles;
    int ret = 0;

    *foundp = false;
    if (aws_profiles_load(options->credentials_file, options->config_file, &profiles, status) != 0)
        return ((int)status->status_class);
    search->profiles = profiles;
    search->seen_count = 0;
    if (aws_profiles_has(profiles, profile))
        ret = find_profile(search, profile, foundp, out, status);
    else if (strcmp(profile, "default") != 0)
        ret = bad_profile(profile, "does not exist", status);
    if (ret == 0 && !*foundp && options->credentials_file != NULL)
        ret = bad_profile(profile, "has no credentials in credentialsFile", status);
    aws_profiles_free(profiles);
    search->profiles = NULL;
    return (ret);
}

/* --- the chain */

static int
nothing_found(STATUS *status, bool disabled)
{
    STATUS was = *status;

    if (disabled)
        (void)status_set(status, STATUS_UNAUTHENTICATED, "kms-no-credentials",
          "no AWS credentials: none in the entry, the environment, the shared files, no web "
          "identity, no container, and AWS_EC2_METADATA_DISABLED is true");
    else if (was.status_class == STATUS_UNAVAILABLE)
        (void)status_set(status, STATUS_UNAVAILABLE, was.id,
          "no AWS credentials in the entry, the environment or the shared files, and the "
          "instance's metadata service does not answer: %s",
          was.message);
    else
        return ((int)was.status_class);
    return (
      status_hint(status, "give profile or credentialsFile, or run where the machine has a role"));
}

static int
find_base(AWS_CHAIN *chain, int64_t deadline, AWS_CREDENTIALS *out, STATUS *status)
{
    const AWS_CHAIN_OPTIONS *options = &chain->options;
    SEARCH search = {.chain = chain, .deadline = deadline};
    bool found = false, named = options->profile != NULL || options->credentials_file != NULL;

    if (options->web_identity_token_file != NULL) {
        AWS_ROLE role = {options->role_arn, NULL, chain->session_name};

        return (aws_sts_assume(
          chain->wire, &role, NULL, options->web_identity_token_file, deadline, out, status));
    }
    if (!named && find_environment(&found, out, status) != 0)
        return ((int)status->status_class);
    if (found)
        return (0);
    if (search_profile(&search, &found, out, status) != 0)
        return ((int)status->status_class);
    if (found)
        return (0);
    if (find_web_identity(&search, &found, out, status) != 0)
        return ((int)status->status_class);
    if (found)
        return (0);
    if (aws_container_configured())
        return (aws_container_credentials(chain->wire, deadline, out, status));
    if (aws_instance_disabled())
        return (nothing_found(status, true));
    if (aws_instance_credentials(chain->wire, deadline, out, status) != 0)
        return (nothing_found(status, false));
    return (0);
}

/* Old ones that are still good are better than none: the service may be away for a minute. */
static int
keep_old(AWS_CHAIN *chain, const AWS_CREDENTIALS *old, STATUS *status)
{
    if (!aws_credentials_usable(old))
        return ((int)status->status_class);
    log_printf(chain->wire->log, LOG_WARNING,
      "AWS credentials (%s) could not be refreshed, the old ones are still good: %s", old->source,
      status->message);
    return (0);
}

static int
refresh_base(AWS_CHAIN *chain, int64_t deadline, STATUS *status)
{
    AWS_CREDENTIALS fresh = {.secret_access_key = NULL};

    if (aws_credentials_fresh(&chain->base))
        return (0);
    if (find_base(chain, deadline, &fresh, status) != 0) {
        aws_credentials_clear(&fresh);
        return (keep_old(chain, &chain->base, status));
    }
    aws_credentials_clear(&chain->base);
    chain->base = fresh;
    return (0);
}

int
aws_chain_credentials(
  AWS_CHAIN *chain, int64_t deadline, const AWS_CREDENTIALS **credentialsp, STATUS *status)
{
    const AWS_CHAIN_OPTIONS *options = &chain->options;
    const AWS_ROLE role = {options->role_arn, options->external_id, chain->session_name};
    bool assume = options->role_arn != NULL && options->web_identity_token_file == NULL;

    *credentialsp = NULL;
    if (assume) {
        if (!aws_credentials_fresh(&chain->assumed) &&
            (refresh_base(chain, deadline, status) != 0 ||
              aws_sts_assume(
                chain->wire, &role, &chain->base, NULL, deadline, &chain->assumed, status) != 0) &&
            keep_old(chain, &chain->assumed, status) != 0)
            return ((int)status->status_class);
        *credentialsp = &chain->assumed;
        return (0);
    }
    if (refresh_base(chain, deadline, status) != 0)
        return ((int)status->status_class);
    *credentialsp = &chain->base;
    return (0);
}

int
aws_chain_region(const AWS_CHAIN_OPTIONS *options, char *region, size_t size, STATUS *status)
{
    const char *found = environment("AWS_REGION");
    AWS_PROFILES *profiles = NULL;
    int len;

    region[0] = '\0';
    if (found == NULL)
        found = environment("AWS_DEFAULT_REGION");
    if (found == NULL) {
        if (aws_profiles_load(options->credentials_file, options->config_file, &profiles, status) !=
            0)
            return ((int)status->status_class);
        found = aws_profiles_get(profiles, profile_in_use(options), "region");
    }
    len = found == NULL ? 0 : snprintf(region, size, "%s", found);
    aws_profiles_free(profiles);
    if (len < 0 || (size_t)len >= size)
        return (status_set(
          status, STATUS_CONFIG, "kms-aws-region", "the name of the region is too long"));
    return (0);
}
