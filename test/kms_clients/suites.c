/*
 * test/kms_clients/suites.c -- The suites of kms_clients/, and what they share.
 */
#include "test/kms_clients/kms_tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const TEST_SUITE test_suites[] = {{"kms_client", kms_client_tests}, {"local", local_tests},
  {"publickey", publickey_tests}, {"aws", aws_tests}, {"aws_profile", aws_profile_tests},
  {"aws_sign", aws_sign_tests}, {"azure", azure_tests}, {"gcp", gcp_tests}, {"http", http_tests},
  {"json", json_tests}, {"vault", vault_tests}, {"jwt", jwt_tests}, {"kmip", kmip_tests},
  {"ttlv", ttlv_tests}, {NULL, NULL}};

const KMS_CONTEXT context_one = {
  {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, UINT64_C(0x1122334455667788), "default"};

int
open_client(const char *yaml, KMS_CLIENT **clientp, STATUS *status)
{
    CONFIG_NODE *root;
    int ret;

    *clientp = NULL;
    if (config_parse_yaml(yaml, strlen(yaml), "wtkms.conf", &root, status) != 0)
        return ((int)status->status_class);
    ret = kms_client_open(root, NULL, clientp, status);
    config_free(root); /* a client must not need it any more */
    return (ret);
}

const char *
key_file(const void *data, size_t len, mode_t mode)
{
    static char path[4300];
    const char *dir;
    int dirfd = make_dir(&dir);

    put_file(dirfd, "key", data, len, mode);
    (void)close(dirfd);
    (void)snprintf(path, sizeof(path), "%s/key", dir);
    return (path);
}

KMS_CLIENT *
local_client(const char *key_text)
{
    KMS_CLIENT *client;
    STATUS s;
    char yaml[5000], line[2000];

    (void)snprintf(yaml, sizeof(yaml), "{provider: local, keyFile: %s}",
      key_file(key_text, strlen(key_text), 0600));
    if (open_client(yaml, &client, &s) != 0) {
        (void)fprintf(stderr, "%s\n", status_format(&s, line, sizeof(line)));
        exit(1);
    }
    return (client);
}
