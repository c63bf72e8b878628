/*
 * kms_clients/aws_process.h -- `credential_process` of a profile: a program that prints credentials.
 *
 * Layer: kms_clients. Only where kms_client_permit_programs was called: `wtkms` does, a database does
 * not, since its threads, signals and children are the host's.
 */
#ifndef WTKMS_KMS_CLIENTS_AWS_PROCESS_H
#define WTKMS_KMS_CLIENTS_AWS_PROCESS_H

#include "kms_clients/aws_credentials.h"

#define AWS_PROCESS_ARGUMENTS_MAX 64

/*
 * aws_process_split -- Split a command line into its words as a POSIX shell does with quotes and
 *     backslashes, and nothing else: no variable, no substitution. text, changed, holds the words; argv has
 *     room for AWS_PROCESS_ARGUMENTS_MAX + 1 and ends with NULL. False when it is empty, too long, or a quote
 *     is left open.
 */
bool aws_process_split(char *text, char **argv);

/*
 * aws_process_credentials -- Run it without a shell, with no input, its errors where ours go; it is killed,
 *     with what it started, at the deadline. STATUS_CONFIG "kms-aws-process" where programs are not
 *     permitted or it cannot be run, STATUS_UNAVAILABLE when it does not end, STATUS_UNAUTHENTICATED when it
 *     fails, STATUS_BAD_REPLY for what it prints.
 */
int aws_process_credentials(const char *command, int64_t deadline, AWS_CREDENTIALS *credentials,
  STATUS *status) WTKMS_CHECKED;

#endif
