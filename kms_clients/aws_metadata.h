/*
 * kms_clients/aws_metadata.h -- Credentials of the machine or container that this runs in.
 *
 * Layer: kms_clients; over http.h, plain http to the fixed addresses and loopback only.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_METADATA_H
#define WTKMS_KMS_CLIENTS_AWS_METADATA_H

#include "kms_clients/aws_call.h"

/* aws_container_configured -- Whether the environment names a container's credentials (ECS, EKS Pod
 * Identity). */
bool aws_container_configured(void);

/*
 * aws_container_credentials -- AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, or _FULL_URI on loopback and the
 *     fixed addresses 169.254.170.2, 169.254.170.23 and fd00:ec2::23 only, with
 *     AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or _TOKEN. STATUS_CONFIG "kms-aws-container" for others.
 */
int aws_container_credentials(
  AWS_WIRE *wire, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status) WTKMS_CHECKED;

/* aws_container_url -- The URL that the two variables (NULL: not set) stand for. STATUS_CONFIG. */
int aws_container_url(
  const char *relative, const char *full, char *url, size_t size, STATUS *status) WTKMS_CHECKED;

/* aws_instance_disabled -- Whether AWS_EC2_METADATA_DISABLED forbids to ask. */
bool aws_instance_disabled(void);

/*
 * aws_instance_credentials -- The instance's role, by IMDSv2 alone: a token first, and no answer without.
 *     AWS_EC2_METADATA_SERVICE_ENDPOINT moves it. STATUS_UNAUTHENTICATED "kms-no-credentials" when the
 *     instance has no role.
 */
int aws_instance_credentials(
  AWS_WIRE *wire, int64_t deadline, AWS_CREDENTIALS *credentials, STATUS *status) WTKMS_CHECKED;

#endif
