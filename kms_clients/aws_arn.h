/*
 * kms_clients/aws_arn.h -- Names of AWS: keys, aliases, regions, and the hosts that follow from them.
 *
 * Layer: kms_clients; no I/O. A region ends in a host name and an ARN may come from a hostile
 * keystore: everything is allow-listed. Thread-safe.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_ARN_H
#define WTKMS_KMS_CLIENTS_AWS_ARN_H

#include "common/status.h"
#include "kms_clients/kms_client.h"

#include <stdbool.h>
#include <stddef.h>

#define AWS_PARTITION_SIZE 16
#define AWS_REGION_SIZE 33
#define AWS_ACCOUNT_SIZE 13
#define AWS_RESOURCE_SIZE 260 /* "alias/" and 250 characters, or "key/" and an id */
#define AWS_HOST_SIZE 128

/* A key as somebody named it. Parts that the name does not have are "". */
typedef struct {
    char partition[AWS_PARTITION_SIZE];
    char region[AWS_REGION_SIZE];
    char account[AWS_ACCOUNT_SIZE];
    char resource[AWS_RESOURCE_SIZE]; /* "key/ID" or "alias/NAME" */
} AWS_KEY;

/* aws_region_valid -- Whether this has the form of a region: "eu-west-1", "us-gov-east-1". */
bool aws_region_valid(const char *region);

/* aws_partition -- The partition that a region is in: "aws", "aws-cn", ... Static storage. */
const char *aws_partition(const char *region);

/*
 * aws_key_parse -- Read what a configuration may name: a key id, a key ARN, an alias name
 *     ("alias/x"), an alias ARN. False for anything else.
 */
bool aws_key_parse(const char *text, AWS_KEY *key);

/* aws_key_is_alias -- Whether it is an alias, whose key only the service knows. */
bool aws_key_is_alias(const AWS_KEY *key);

/* aws_key_arn_check -- The grammar of what a keystore records: a key's ARN. STATUS_CORRUPT. */
int aws_key_arn_check(const char *key_id, STATUS *status) WTKMS_CHECKED;

/*
 * aws_key_matches -- Whether a recorded key ARN is of the configured key, used in a region (see
 *     aws_arn.c for aliases and multi-Region keys).
 */
bool aws_key_matches(const AWS_KEY *configured, const char *region, const char *arn);

/*
 * aws_key_in_region -- The ARN to call a recorded key by in a region: itself, or for a multi-Region
 *     key its replica there. False when it does not fit.
 */
bool aws_key_in_region(const char *arn, const char *region, char *text, size_t size);

/* aws_role_arn_valid -- "arn:PARTITION:iam::ACCOUNT:role/PATH/NAME". */
bool aws_role_arn_valid(const char *arn);

/* aws_service_host -- The public host of a service ("kms", "sts") in a region, its FIPS 140 one when
 * asked for. False when it does not fit. */
bool aws_service_host(const char *service, const char *region, bool fips, char *host, size_t size);

/*
 * aws_session_name -- Make a name that STS takes ([A-Za-z0-9_=,.@-], 2 to 64) of any text, other
 *     characters replaced by '-'. size is 65 at least.
 */
void aws_session_name(const char *text, char *name, size_t size);

#endif
