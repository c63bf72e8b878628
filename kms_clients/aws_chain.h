/*
 * kms_clients/aws_chain.h -- Where AWS credentials come from, in the order that users of the AWS tools
 * expect; kept until they have to be refreshed.
 *
 * Layer: kms_clients. Not thread-safe: it belongs to one client.
 *
 * The order: what the entry names (credentialsFile, profile; webIdentityTokenFile); the environment's
 * keys; the shared files' profile; AWS_WEB_IDENTITY_TOKEN_FILE; the container; the instance. roleArn is
 * assumed with what was found.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_CHAIN_H
#define WTKMS_KMS_CLIENTS_AWS_CHAIN_H

#include "kms_clients/aws_call.h"
#include "kms_clients/aws_profile.h"

/* From the entry; each may be NULL. The memory must outlive the chain. */
typedef struct {
    const char *profile;
    const char *credentials_file;
    const char *config_file;
    const char *role_arn;
    const char *external_id;
    const char *session_name;
    const char *web_identity_token_file;
} AWS_CHAIN_OPTIONS;

typedef struct aws_chain AWS_CHAIN;

/* aws_chain_new -- wire must outlive it. Talks to nobody. STATUS_NO_MEMORY. */
int aws_chain_new(const AWS_CHAIN_OPTIONS *options, AWS_WIRE *wire, AWS_CHAIN **chainp,
  STATUS *status) WTKMS_CHECKED;
void aws_chain_free(AWS_CHAIN *chain);

/*
 * aws_chain_credentials -- Credentials that are good now, owned by the chain and valid until its next call.
 *     Refreshed before they expire; when that fails while the old ones are still good, those are returned
 *     and a warning is logged. Classes of the services asked; STATUS_UNAUTHENTICATED "kms-no-credentials"
 *     when there are none anywhere.
 */
int aws_chain_credentials(AWS_CHAIN *chain, int64_t deadline, const AWS_CREDENTIALS **credentialsp,
  STATUS *status) WTKMS_CHECKED;

/* aws_chain_forget -- Get others at the next call: the service refused these. */
void aws_chain_forget(AWS_CHAIN *chain);

/*
 * aws_chain_region -- The region of the environment (AWS_REGION, AWS_DEFAULT_REGION) or of the profile, ""
 *     when none says. STATUS_CONFIG for files that cannot be read.
 */
int aws_chain_region(
  const AWS_CHAIN_OPTIONS *options, char *region, size_t size, STATUS *status) WTKMS_CHECKED;

#endif
