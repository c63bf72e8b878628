/*
 * test/kms_clients/kmip_create.c -- kmip_key_create for a test.
 *
 *   kmip_create CONFIG
 *
 * Creates the key that the first entry of `kms:` names, and prints its unique identifier; on failure the class
 * and the message, and the exit code is 1.
 */
#include "common/file.h"
#include "kms_clients/kmip.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#define CONFIG_BYTES (64 * 1024)

int
main(int argc, char **argv)
{
    CONFIG_NODE *root = NULL;
    const CONFIG_NODE *list;
    STATUS status;
    char uid[KMIP_UID_MAX + 1];
    uint8_t *text = NULL;
    size_t len;
    int ret;

    status_clear(&status);
    if (argc != 2) {
        (void)fprintf(stderr, "usage: kmip_create CONFIG\n");
        return (2);
    }
    if ((ret = file_read(AT_FDCWD, argv[1], CONFIG_BYTES, false, NULL, &text, &len, &status)) !=
          0 ||
        (ret = config_parse_yaml((const char *)text, len, argv[1], &root, &status)) != 0)
        goto done;
    if ((list = config_get(root, "kms")) == NULL || list->children == NULL) {
        ret = config_error(root, &status, "kms-tool", "no entry of kms");
        goto done;
    }
    ret = kmip_key_create(list->children, NULL, 10000, uid, &status);

done:
    if (ret == 0)
        (void)printf("%s\n", uid);
    else
        (void)printf("%s: %s\n", status_class_name(status.status_class), status.message);
    config_free(root);
    free(text);
    return (ret == 0 ? 0 : 1);
}
