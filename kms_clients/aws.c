/*
 * kms_clients/aws.c -- Provider "aws": a key in AWS KMS.
 *
 * A key is called by the ARN that the keystore recorded, at the endpoint of the configured region, with
 * an encryption context that holds all of KMS_CONTEXT.
 */
#include "kms_clients/kms_client_provider.h"

#include "common/clock.h"
#include "kms_clients/aws_arn.h"
#include "kms_clients/aws_chain.h"
#include "kms_clients/aws_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXTERNAL_ID_MAX 1224

typedef struct {
    char *key;
    char *region;
    char *profile;
    char *credentials_file;
    char *config_file;
    char *role_arn;
    char *external_id;
    char *session_name;
    char *web_identity_token_file;
    char *sts_endpoint;
    bool fips;
    HTTP_OPTIONS http;
} AWS_OPTIONS;

static const CONFIG_OPTION aws_options[] = {
  {.name = "key",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, key),
    .required = true,
    .help = "The key's ARN or id, or an alias (\"alias/x\" or its ARN)."},
  {.name = "region",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, region),
    .help = "The region; default: the ARN's, AWS_REGION, AWS_DEFAULT_REGION, the profile's."},
  {.name = "profile",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, profile),
    .help = "A profile of the AWS tools' shared files, before the environment's keys."},
  {.name = "credentialsFile",
    .type = OPTION_PATH,
    .offset = offsetof(AWS_OPTIONS, credentials_file),
    .help = "Shared credentials file, before the environment's keys; default for a profile: "
            "~/.aws/credentials."},
  {.name = "configFile",
    .type = OPTION_PATH,
    .offset = offsetof(AWS_OPTIONS, config_file),
    .help = "Shared config file; default: ~/.aws/config."},
  {.name = "roleArn",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, role_arn),
    .help = "A role to assume for all calls to the key service."},
  {.name = "externalId",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, external_id),
    .help = "The external id that the role's trust policy asks for."},
  {.name = "sessionName",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, session_name),
    .help = "The role session's name in CloudTrail; default: wtkms- and the host's name."},
  {.name = "webIdentityTokenFile",
    .type = OPTION_PATH,
    .offset = offsetof(AWS_OPTIONS, web_identity_token_file),
    .help = "File with an OpenID Connect token to assume roleArn with."},
  {.name = "stsEndpoint",
    .type = OPTION_STRING,
    .offset = offsetof(AWS_OPTIONS, sts_endpoint),
    .help = "Where STS is, when not at its usual address."},
  {.name = "fips",
    .type = OPTION_BOOL,
    .offset = offsetof(AWS_OPTIONS, fips),
    .fallback = "no",
    .help = "Use the FIPS 140 endpoints."},
  HTTP_OPTION_ROWS(AWS_OPTIONS, http), {.name = NULL}};

typedef struct {
    AWS_WIRE wire;
    AWS_CHAIN *chain;
    AWS_KEY key;
    const char *key_text; /* of the options */
    char region[AWS_REGION_SIZE];
    char url[AWS_URL_SIZE];
} AWS_STATE;

/* --- open and close */

static void
aws_close(void *state)
{
    AWS_STATE *aws = state;

    if (aws == NULL)
        return;
    aws_chain_free(aws->chain);
    http_client_close(aws->wire.http);
    free(aws);
}

static int
wrong_option(
  const CONFIG_NODE *entry, const char *option, const char *id, const char *why, STATUS *status)
{
    const CONFIG_NODE *node = config_get(entry, option);

    return (config_error(node == NULL ? entry : node, status, id, "%s: %s", option, why));
}

/* Also what a STATUS_IO of a file, or a lower fault of the configuration, says. */
static int
at_option(const CONFIG_NODE *entry, const char *option, STATUS *status)
{
    return (kms_client_at_option(entry, option, status));
}

static int
check_role(const AWS_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    static const char external_id[] =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@:/-";
    size_t len = options->external_id == NULL ? 0 : strlen(options->external_id);

    if (options->role_arn != NULL && !aws_role_arn_valid(options->role_arn))
        return (wrong_option(
          entry, "roleArn", "kms-aws-role", "expected arn:aws:iam::ACCOUNT:role/NAME", status));
    if (options->role_arn == NULL && options->external_id != NULL)
        return (wrong_option(
          entry, "externalId", "kms-aws-role", "goes with roleArn, which is missing", status));
    if (options->role_arn == NULL && options->web_identity_token_file != NULL)
        return (wrong_option(entry, "webIdentityTokenFile", "kms-aws-role",
          "goes with roleArn, which is missing", status));
    if (options->external_id != NULL && options->web_identity_token_file != NULL)
        return (wrong_option(entry, "externalId", "kms-aws-role",
          "a role assumed with a web identity takes none", status));
    if (options->external_id != NULL &&
        (len < 2 || len > EXTERNAL_ID_MAX || strspn(options->external_id, external_id) != len))
        return (wrong_option(entry, "externalId", "kms-aws-role",
          "expected 2 to 1224 letters, digits and _+=,.@:/-", status));
    return (0);
}

static int
choose_region(const AWS_OPTIONS *options, const AWS_CHAIN_OPTIONS *chain, const CONFIG_NODE *entry,
  AWS_STATE *aws, STATUS *status)
{
    if (options->region != NULL && aws->key.region[0] != '\0' &&
        strcmp(options->region, aws->key.region) != 0)
        return (wrong_option(
          entry, "region", "kms-aws-region", "is another one than in the key's ARN", status));
    if (options->region != NULL && strlen(options->region) < sizeof(aws->region))
        (void)snprintf(aws->region, sizeof(aws->region), "%s", options->region);
    else if (aws->key.region[0] != '\0')
        (void)snprintf(aws->region, sizeof(aws->region), "%s", aws->key.region);
    else if (options->region == NULL &&
             aws_chain_region(chain, aws->region, sizeof(aws->region), status) != 0)
        return (at_option(entry, "profile", status));
    if (aws->region[0] == '\0') {
        (void)wrong_option(entry, "region", "kms-aws-region",
          "not given, and neither the key, the environment nor a profile says it", status);
        return (status_hint(status, "add region, or name the key by its ARN"));
    }
    if (!aws_region_valid(aws->region))
        return (wrong_option(
          entry, "region", "kms-aws-region", "no name of a region, as eu-west-1 is", status));
    return (0);
}

static int
choose_endpoints(
  const AWS_OPTIONS *options, const CONFIG_NODE *entry, AWS_STATE *aws, STATUS *status)
{
    if (options->fips && options->http.endpoint != NULL)
        return (wrong_option(entry, "fips", "kms-aws-endpoint",
          "chooses the endpoint itself; with endpoint, name a FIPS one there", status));
    if (aws_url_make(options->http.endpoint, "kms", aws->region, options->fips, aws->url,
          sizeof(aws->url), status) != 0)
        return (at_option(entry, "endpoint", status));
    if (aws_url_make(options->sts_endpoint, "sts", aws->region, options->fips, aws->wire.sts_url,
          sizeof(aws->wire.sts_url), status) != 0)
        return (at_option(entry, "stsEndpoint", status));
    return (0);
}

/* What can be found wrong without a network is found here, before a database starts. */
static int
check_files(const AWS_CHAIN_OPTIONS *chain, const CONFIG_NODE *entry, STATUS *status)
{
    AWS_PROFILES *profiles;
    const char *option = chain->credentials_file != NULL ? "credentialsFile"
                         : chain->profile != NULL        ? "profile"
                                                         : "configFile";
    int ret = 0;

    if (chain->credentials_file == NULL && chain->profile == NULL && chain->config_file == NULL)
        return (0);
    if (aws_profiles_load(chain->credentials_file, chain->config_file, &profiles, status) != 0)
        return (at_option(entry, option, status));
    if (chain->profile != NULL && !aws_profiles_has(profiles, chain->profile))
        ret = wrong_option(
          entry, "profile", "kms-aws-profile", "the shared files have no such profile", status);
    aws_profiles_free(profiles);
    return (ret);
}

static int
aws_open(const void *structure, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const AWS_OPTIONS *options = structure;
    const AWS_CHAIN_OPTIONS chain = {.profile = options->profile,
      .credentials_file = options->credentials_file,
      .config_file = options->config_file,
      .role_arn = options->role_arn,
      .external_id = options->external_id,
      .session_name = options->session_name,
      .web_identity_token_file = options->web_identity_token_file};
    AWS_STATE *aws;

    *statep = NULL;
    *key_idp = NULL;
    if ((aws = calloc(1, sizeof(*aws))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a key service"));
    if (!aws_key_parse(options->key, &aws->key)) {
        (void)wrong_option(
          entry, "key", "kms-aws-key", "neither an ARN or id of a key nor an alias", status);
        (void)status_hint(status, "as arn:aws:kms:REGION:ACCOUNT:key/ID or alias/NAME");
        goto err;
    }
    if (check_role(options, entry, status) != 0 || check_files(&chain, entry, status) != 0 ||
        choose_region(options, &chain, entry, aws, status) != 0 ||
        choose_endpoints(options, entry, aws, status) != 0)
        goto err;
    aws->key_text = options->key;
    aws->wire.region = aws->region;
    aws->wire.log = log;
    if (http_client_open(&options->http, entry, log, "x-amzn-RequestId", &aws->wire.http, status) !=
          0 ||
        aws_chain_new(&chain, &aws->wire, &aws->chain, status) != 0)
        goto err;
    *statep = aws;
    *key_idp = aws->key_text;
    return (0);

err:
    aws_close(aws);
    return ((int)status->status_class);
}

static const HTTP_OPTIONS *
aws_network(const void *options)
{
    return (&((const AWS_OPTIONS *)options)->http);
}

/* --- calls */

static void
add_hint(const AWS_STATE *aws, const AWS_CALL *call, const char *key, STATUS *status)
{
    if (status->status_class == STATUS_DENIED)
        (void)status_hint(status,
          "permit it in IAM or the key's policy: {\"Effect\":\"Allow\",\"Action\":\"kms:%s\","
          "\"Resource\":\"%s\"}",
          call->operation, aws_key_is_alias(&aws->key) && key == aws->key_text ? "KEY-ARN" : key);
    else if (status->status_class == STATUS_NOT_FOUND)
        (void)status_hint(
          status, "the region is %s: is the key there, and in this account?", aws->region);
    else if (status->status_class == STATUS_DISABLED)
        (void)status_hint(status,
          "when that was not intended: aws kms cancel-key-deletion or enable-key --key-id %s", key);
    else if (status->status_class == STATUS_UNAUTHENTICATED && call->error.code[0] != '\0')
        (void)status_hint(status, "%s",
          aws_error_is_skew(&call->error)
            ? "the secret key is wrong, or this machine's clock"
            : "the credentials are wrong, removed or expired: see who they are of");
    else if (status->id != NULL && strcmp(status->id, "kms-aws-region") == 0)
        (void)status_hint(status, "the endpoint answers for another region than %s", aws->region);
}

/* Refused credentials may have been replaced since they were read: once more with what is there now. */
static int
call_service(AWS_STATE *aws, AWS_CALL *call, const char *key, int64_t deadline, STATUS *status)
{
    unsigned attempt;
    int ret;

    call->service = "kms";
    call->url = aws->url;
    call->content_type = "application/x-amz-json-1.1";
    for (attempt = 0;; attempt++) {
        if ((ret = aws_chain_credentials(aws->chain, deadline, &call->credentials, status)) != 0)
            return (ret);
        if ((ret = aws_call(&aws->wire, call, deadline, status)) == 0)
            return (0);
        if (ret != STATUS_UNAUTHENTICATED || attempt == 1) {
            (void)status_add(status, "with the credentials of %s", call->credentials->source);
            add_hint(aws, call, key, status);
            return (ret);
        }
        aws_chain_forget(aws->chain);
    }
}

typedef struct {
    KMS_KEY_INFO *info;
    bool unavailable;
} DESCRIBED;

static int
parse_described(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    DESCRIBED *described = context;

    return (aws_reply_described(reply, described->info, &described->unavailable, status));
}

static int
describe(AWS_STATE *aws, const char *key, int64_t deadline, KMS_KEY_INFO *info, bool *unavailablep,
  STATUS *status)
{
    DESCRIBED described = {info, false};
    SECRET *body;
    AWS_CALL call = {.operation = "DescribeKey",
      .target = "TrentService.DescribeKey",
      .parse = parse_described,
      .context = &described};
    int ret;

    if (aws_request_describe(key, &body, status) != 0)
        return ((int)status->status_class);
    call.body = body;
    ret = call_service(aws, &call, key, deadline, status);
    secret_free(body);
    *unavailablep = described.unavailable;
    return (ret);
}

/*
 * KMSInvalidStateException says that the key's state does not allow the call, and not which state:
 * a decision of the owner, or a key store that is away. Only DescribeKey tells; unless it does, this is
 * no reason to stop a database.
 */
static int
explain_state(AWS_STATE *aws, const char *key, int64_t deadline, STATUS *status)
{
    STATUS was = *status, ignored;
    KMS_KEY_INFO info = {.state = KMS_KEY_UNKNOWN};
    bool unavailable;

    if (describe(aws, key, deadline, &info, &unavailable, &ignored) != 0) {
        (void)status_set(status, STATUS_UNAVAILABLE, "kms-invalid-state",
          "%s, and the key's state is not known: %s", was.message, ignored.message);
        return (status_hint(status,
          "permit kms:DescribeKey, so that a disabled key can be told from one that is away"));
    }
    if (info.state == KMS_KEY_DISABLED || info.state == KMS_KEY_PENDING_DELETION) {
        (void)status_set(
          status, STATUS_DISABLED, "kms-disabled", "%s: the key is %s", was.message, info.detail);
        return (status_hint(status, "when that was not intended: aws kms %s --key-id %s",
          info.state == KMS_KEY_DISABLED ? "enable-key" : "cancel-key-deletion", key));
    }
    (void)status_set(
      status, STATUS_UNAVAILABLE, "kms-unavailable", "%s: the key is %s", was.message, info.detail);
    return (status_hint(status, "try again when the key's store is connected"));
}

static int
call_key(AWS_STATE *aws, AWS_CALL *call, const char *key, int64_t deadline, STATUS *status)
{
    int ret = call_service(aws, call, key, deadline, status);

    if (ret != 0 && status->id != NULL && strcmp(status->id, "kms-invalid-state") == 0)
        ret = explain_state(aws, key, deadline, status);
    return (ret);
}

static int
parse_encrypted(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    KMS_WRAPPED *wrapped = context;

    kms_wrapped_release(wrapped);
    return (aws_reply_encrypted(
      reply, &wrapped->key_id, &wrapped->wrapped, &wrapped->wrapped_len, status));
}

static int
aws_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    AWS_STATE *aws = state;
    SECRET *body;
    AWS_CALL call = {.operation = "Encrypt",
      .target = "TrentService.Encrypt",
      .parse = parse_encrypted,
      .context = wrapped};
    int ret;

    if (aws_request_encrypt(aws->key_text, context, plaintext, &body, status) != 0)
        return ((int)status->status_class);
    call.body = body;
    ret = call_key(aws, &call, aws->key_text, clock_deadline(timeout_ms), status);
    secret_free(body);
    if (ret != 0)
        return (ret);
    if (!aws_key_matches(&aws->key, aws->region, wrapped->key_id))
        return (status_set(status, STATUS_BAD_REPLY, "kms-other-key",
          "AWS KMS answered with the name of another key, %s", wrapped->key_id));
    if ((wrapped->credential = strdup(call.credentials->source)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
    return (0);
}

typedef struct {
    const char *key;
    SECRET **plaintextp;
} DECRYPTED;

static int
parse_decrypted(void *context, const HTTP_REPLY *reply, STATUS *status)
{
    const DECRYPTED *decrypted = context;

    return (aws_reply_decrypted(reply, decrypted->key, decrypted->plaintextp, status));
}

/* The ARN that a recorded key is called by here. It passed the grammar and matches. */
static int
local_arn(const AWS_STATE *aws, const char *key_id, char *arn, size_t size, STATUS *status)
{
    if (aws_key_in_region(key_id, aws->region, arn, size))
        return (0);
    return (status_set(
      status, STATUS_CORRUPT, "kms-bad-key-id", "\"%s\" is not the ARN of an AWS KMS key", key_id));
}

static int
aws_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    AWS_STATE *aws = state;
    char arn[KMS_KEY_ID_MAX + 1];
    DECRYPTED decrypted = {arn, plaintextp};
    SECRET *body;
    AWS_CALL call = {.operation = "Decrypt",
      .target = "TrentService.Decrypt",
      .parse = parse_decrypted,
      .context = &decrypted};
    int ret;

    if (local_arn(aws, recorded->key_id, arn, sizeof(arn), status) != 0 ||
        aws_request_decrypt(
          arn, context, recorded->wrapped, recorded->wrapped_len, &body, status) != 0)
        return ((int)status->status_class);
    call.body = body;
    ret = call_key(aws, &call, arn, clock_deadline(timeout_ms), status);
    secret_free(body);
    return (ret);
}

static int
aws_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    AWS_STATE *aws = state;
    char arn[KMS_KEY_ID_MAX + 1];
    bool unavailable;

    if (strncmp(key_id, "arn:", 4) == 0 && strstr(key_id, ":alias/") == NULL) {
        if (local_arn(aws, key_id, arn, sizeof(arn), status) != 0)
            return ((int)status->status_class);
        key_id = arn;
    }
    return (describe(aws, key_id, clock_deadline(timeout_ms), info, &unavailable, status));
}

static bool
aws_matches(const void *state, const char *key_id)
{
    const AWS_STATE *aws = state;

    return (aws_key_matches(&aws->key, aws->region, key_id));
}

const KMS_PROVIDER kms_aws = {
  .name = "aws",
  .options = aws_options,
  .options_size = sizeof(AWS_OPTIONS),
  .open = aws_open,
  .close = aws_close,
  .wrap = aws_wrap,
  .unwrap = aws_unwrap,
  .describe = aws_describe,
  .key_id_check = aws_key_arn_check,
  .matches = aws_matches,
  .network = aws_network,
};
