/*
 * kms_clients/aws_arn.c -- Names of AWS. See aws_arn.h.
 */
#include "kms_clients/aws_arn.h"

#include <stdio.h>
#include <string.h>

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define HEX "0123456789abcdef"
#define ALIAS_PREFIX "alias/"
#define KEY_PREFIX "key/"
#define MULTI_REGION "key/mrk-"
#define ACCOUNT_LEN (AWS_ACCOUNT_SIZE - 1)
#define SESSION_MIN 2
#define SESSION_MAX 64

/* By the regions' prefixes; the last one takes all others. */
static const struct {
    const char *prefix, *partition, *suffix;
} partitions[] = {{"cn-", "aws-cn", "amazonaws.com.cn"}, {"us-gov-", "aws-us-gov", "amazonaws.com"},
  {"us-iso-", "aws-iso", "c2s.ic.gov"}, {"us-isob-", "aws-iso-b", "sc2s.sgov.gov"},
  {"eu-isoe-", "aws-iso-e", "cloud.adc-e.uk"}, {"us-isof-", "aws-iso-f", "csp.hci.ic.gov"},
  {"eusc-", "aws-eusc", "amazonaws.eu"}, {"", "aws", "amazonaws.com"}};

#define PARTITION_COUNT (sizeof(partitions) / sizeof(partitions[0]))

static bool
starts_with(const char *text, const char *prefix)
{
    return (strncmp(text, prefix, strlen(prefix)) == 0);
}

/* Two letters or more, words of letters, a number: each joined by '-'. */
bool
aws_region_valid(const char *region)
{
    size_t len = strlen(region), word;
    const char *text = region;
    unsigned words;

    if (len == 0 || len >= AWS_REGION_SIZE)
        return (false);
    for (words = 0; (word = strspn(text, LOWER)) > 0 && text[word] == '-'; words++)
        text += word + 1;
    return (words >= 2 && (word = strspn(text, DIGITS)) > 0 && word <= 2 && text[word] == '\0');
}

static size_t
partition_index(const char *region)
{
    size_t i;

    for (i = 0; i < PARTITION_COUNT - 1 && !starts_with(region, partitions[i].prefix); i++)
        ;
    return (i);
}

const char *
aws_partition(const char *region)
{
    return (partitions[partition_index(region)].partition);
}

static bool
partition_valid(const char *partition)
{
    size_t i;

    for (i = 0; i < PARTITION_COUNT; i++)
        if (strcmp(partitions[i].partition, partition) == 0)
            return (true);
    return (false);
}

static bool
is_uuid(const char *text)
{
    static const size_t groups[] = {8, 4, 4, 4, 12};
    size_t i;

    for (i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strspn(text, HEX) != groups[i])
            return (false);
        text += groups[i];
        if (i + 1 < sizeof(groups) / sizeof(groups[0]) && *text++ != '-')
            return (false);
    }
    return (*text == '\0');
}

/* A UUID, or "mrk-" and 32 digits. */
static bool
is_key_id(const char *id)
{
    if (starts_with(id, "mrk-"))
        return (strspn(id + 4, HEX) == 32 && id[4 + 32] == '\0');
    return (is_uuid(id));
}

static bool
resource_valid(const char *resource)
{
    size_t len;

    if (starts_with(resource, KEY_PREFIX))
        return (is_key_id(resource + strlen(KEY_PREFIX)));
    if (!starts_with(resource, ALIAS_PREFIX))
        return (false);
    resource += strlen(ALIAS_PREFIX);
    len = strspn(resource, LOWER UPPER DIGITS "/_-");
    return (len > 0 && len <= 250 && resource[len] == '\0');
}

/* Copy up to a ':' or, with last, the rest. */
static bool
take(const char **textp, bool last, char *part, size_t size)
{
    size_t len = last ? strlen(*textp) : strcspn(*textp, ":");

    if (len == 0 || len >= size || (!last && (*textp)[len] != ':'))
        return (false);
    memcpy(part, *textp, len);
    part[len] = '\0';
    *textp += last ? len : len + 1;
    return (true);
}

static bool
account_valid(const char *account)
{
    return (strspn(account, DIGITS) == ACCOUNT_LEN && account[ACCOUNT_LEN] == '\0');
}

static bool
parse_arn(const char *text, AWS_KEY *key)
{
    char service[8];

    return (take(&text, false, key->partition, sizeof(key->partition)) &&
            take(&text, false, service, sizeof(service)) &&
            take(&text, false, key->region, sizeof(key->region)) &&
            take(&text, false, key->account, sizeof(key->account)) &&
            take(&text, true, key->resource, sizeof(key->resource)) &&
            partition_valid(key->partition) && strcmp(service, "kms") == 0 &&
            aws_region_valid(key->region) &&
            strcmp(aws_partition(key->region), key->partition) == 0 &&
            account_valid(key->account) && resource_valid(key->resource));
}

bool
aws_key_parse(const char *text, AWS_KEY *key)
{
    int len;

    memset(key, 0, sizeof(*key));
    if (starts_with(text, "arn:"))
        return (parse_arn(text + 4, key));
    len = snprintf(key->resource, sizeof(key->resource), "%s%s",
      starts_with(text, ALIAS_PREFIX) ? "" : KEY_PREFIX, text);
    return (len > 0 && (size_t)len < sizeof(key->resource) && resource_valid(key->resource));
}

bool
aws_key_is_alias(const AWS_KEY *key)
{
    return (starts_with(key->resource, ALIAS_PREFIX));
}

int
aws_key_arn_check(const char *key_id, STATUS *status)
{
    AWS_KEY key;

    if (starts_with(key_id, "arn:") && aws_key_parse(key_id, &key) && !aws_key_is_alias(&key))
        return (0);
    return (status_set(
      status, STATUS_CORRUPT, "kms-bad-key-id", "\"%s\" is not the ARN of an AWS KMS key", key_id));
}

/*
 * A recorded ARN never decides where a request goes: that is the configured region's endpoint, and a
 * signature is good for nothing else. So what is permitted too much here costs a refused Decrypt.
 *
 * An alias may have pointed to another key when the keystore was written; the service alone knows, and
 * only for the present. The recorded key is then called by its ARN, where IAM decides: the alias's
 * account and region must be its own. A bare alias, and a bare id, name no account; the credential's
 * policy and the key's must both permit another account's key.
 *
 * Replicas of a multi-Region key have one id and one material; after a move to another region the
 * recorded ARN names the old one. The id, partition and account stay.
 */
bool
aws_key_matches(const AWS_KEY *configured, const char *region, const char *arn)
{
    AWS_KEY key;

    if (!starts_with(arn, "arn:") || !aws_key_parse(arn, &key) || aws_key_is_alias(&key))
        return (false);
    if (configured->account[0] != '\0' && strcmp(configured->account, key.account) != 0)
        return (false);
    if (strcmp(aws_partition(region), key.partition) != 0)
        return (false);
    if (aws_key_is_alias(configured))
        return (strcmp(region, key.region) == 0);
    return (strcmp(configured->resource, key.resource) == 0 &&
            (strcmp(region, key.region) == 0 || starts_with(key.resource, MULTI_REGION)));
}

bool
aws_key_in_region(const char *arn, const char *region, char *text, size_t size)
{
    AWS_KEY key;
    int len;

    if (!starts_with(arn, "arn:") || !aws_key_parse(arn, &key))
        return (false);
    if (!starts_with(key.resource, MULTI_REGION))
        region = key.region;
    len =
      snprintf(text, size, "arn:%s:kms:%s:%s:%s", key.partition, region, key.account, key.resource);
    return (len > 0 && (size_t)len < size);
}

bool
aws_role_arn_valid(const char *arn)
{
    char part[AWS_ACCOUNT_SIZE], partition[AWS_PARTITION_SIZE];
    size_t len;

    if (!starts_with(arn, "arn:"))
        return (false);
    arn += 4;
    if (!take(&arn, false, partition, sizeof(partition)) || !partition_valid(partition) ||
        !starts_with(arn, "iam::"))
        return (false);
    arn += 5;
    if (!take(&arn, false, part, sizeof(part)) || !account_valid(part) ||
        !starts_with(arn, "role/"))
        return (false);
    arn += 5;
    len = strspn(arn, LOWER UPPER DIGITS "/+=,.@_-");
    return (len > 0 && len <= 576 && arn[len] == '\0');
}

bool
aws_service_host(const char *service, const char *region, bool fips, char *host, size_t size)
{
    /* GovCloud's STS is a FIPS 140 endpoint under its usual name. */
    bool usual = strcmp(service, "sts") == 0 && starts_with(region, "us-gov-");
    int len = snprintf(host, size, "%s%s.%s.%s", service, fips && !usual ? "-fips" : "", region,
      partitions[partition_index(region)].suffix);

    return (len > 0 && (size_t)len < size);
}

void
aws_session_name(const char *text, char *name, size_t size)
{
    size_t len = 0;

    for (; *text != '\0' && len + 1 < size && len < SESSION_MAX; text++)
        name[len++] = strchr(LOWER UPPER DIGITS "_=,.@-", *text) == NULL ? '-' : *text;
    while (len < SESSION_MIN)
        name[len++] = '-';
    name[len] = '\0';
}
