/*
 * extension/extension.c -- The WiredTiger encryptor: entry points and callbacks.
 *
 * Layer: extension, the top of the module. Here a STATUS becomes one line in the host's log and the
 * code that the host acts on; see status_host_errno for what depends on it.
 */
#include "config.h"

#include "extension/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int wiredtiger_extension_init(WT_CONNECTION *wt_conn, WT_CONFIG_ARG *config);
EXPORTED int wiredtiger_extension_terminate(WT_CONNECTION *wt_conn);

/* One line, and the host's code. session is the calling thread's own, or NULL while opening. */
static int
fail(WT_EXTENSION_API *api, WT_SESSION *session, const STATUS *status)
{
    char line[2048];

    (void)status_format(status, line, sizeof(line));
    if (api != NULL)
        (void)api->err_printf(api, session, "wiredtiger-kms: %s", line);
    else /* s_banned: there is no host to log through */
        (void)fprintf(stderr, "wiredtiger-kms: %s\n", line);
    return (status_host_errno(status));
}

static int
encryptor_fail(ENCRYPTOR *encryptor, WT_SESSION *session, const STATUS *status)
{
    return (fail(host_log_api(connection_log(encryptor->connection)), session, status));
}

static int
encrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    ENCRYPTOR *encryptor = (ENCRYPTOR *)iface;
    STATUS status;

    if (session != NULL)
        host_log_flush(connection_log(encryptor->connection), session);
    if (encryptor->cipher == NULL) {
        (void)status_set(&status, STATUS_INTERNAL, "encryptor-base",
          "the host encrypts with an encryptor that has no keyid");
        return (encryptor_fail(encryptor, session, &status));
    }
    if (unit_encrypt(encryptor->cipher, src, src_len, dst, dst_len, result_lenp, &status) != 0)
        return (encryptor_fail(encryptor, session, &status));
    return (0);
}

static int
decrypt(WT_ENCRYPTOR *iface, WT_SESSION *session, uint8_t *src, size_t src_len, uint8_t *dst,
  size_t dst_len, size_t *result_lenp)
{
    ENCRYPTOR *encryptor = (ENCRYPTOR *)iface;
    const DATA_KEY *key;
    UNIT_HEADER header;
    STATUS status;

    if (session != NULL)
        host_log_flush(connection_log(encryptor->connection), session);
    if (unit_parse(src, src_len, &header, &status) != 0 ||
        connection_find_key(encryptor->connection, header.data_key_id, &key, &status) != 0)
        return (encryptor_fail(encryptor, session, &status));
    if (!encryptor->accepts_any && key->keyid != encryptor->keyid) {
        /* Not WT_ERROR: the unit is sound, so a salvage must not throw it away. */
        (void)status_set(&status, STATUS_NO_KEY, "keyid-mismatch",
          "a unit of keyid %s stands in a file of keyid %s", key->keyid,
          encryptor->keyid == NULL ? "(none)" : encryptor->keyid);
        (void)status_hint(&status,
          "the file was changed by someone else, or its name was exchanged with another's");
        return (encryptor_fail(encryptor, session, &status));
    }
    if (unit_decrypt(key->unit_key, src, src_len, dst, dst_len, result_lenp, &status) != 0)
        return (encryptor_fail(encryptor, session, &status));
    return (0);
}

static int
sizing(WT_ENCRYPTOR *iface, WT_SESSION *session, size_t *expansion_constantp)
{
    (void)iface;
    (void)session;
    *expansion_constantp = UNIT_OVERHEAD;
    return (0);
}

/* The text of one key of the configuration, or "" when it is not there. The caller frees *textp. */
static int
config_text(WT_EXTENSION_API *api, WT_SESSION *session, WT_CONFIG_ARG *config, const char *name,
  char **textp, STATUS *status)
{
    WT_CONFIG_ITEM item;

    if (api->config_get(api, session, config, name, &item) != 0)
        item.len = 0;
    *textp = item.len == 0 ? strdup("") : strndup(item.str, item.len);
    return (*textp == NULL ? status_set_errno(status, ENOMEM, "memory", "encryption=") : 0);
}

static int
customize(WT_ENCRYPTOR *iface, WT_SESSION *session, WT_CONFIG_ARG *config, WT_ENCRYPTOR **customp)
{
    ENCRYPTOR *base = (ENCRYPTOR *)iface, *encryptor;
    WT_EXTENSION_API *api = host_log_api(connection_log(base->connection));
    STATUS status;
    char *keyid = NULL, *secretkey = NULL;
    int ret;

    if ((ret = config_text(api, session, config, "keyid", &keyid, &status)) != 0 ||
        (ret = config_text(api, session, config, "secretkey", &secretkey, &status)) != 0)
        goto err;
    if (secretkey[0] != '\0') {
        /* A key here would be stored in clear in WiredTiger.basecfg. */
        ret = status_set(&status, STATUS_CONFIG, "secretkey",
          "encryption=(secretkey=...) is not accepted: the engine stores it in clear");
        (void)status_hint(&status, "name a keyid; keys come from the keystore");
        goto err;
    }
    if ((ret = connection_customize(base->connection, iface, keyid, &encryptor, &status)) != 0) {
        (void)status_add(&status, "for keyid %s", keyid[0] == '\0' ? "default" : keyid);
        goto err;
    }
    host_log_flush(connection_log(base->connection), session);
    *customp = &encryptor->iface;

err:
    if (ret != 0)
        ret = fail(api, session, &status);
    free(keyid);
    free(secretkey);
    return (ret);
}

static int
terminate(WT_ENCRYPTOR *iface, WT_SESSION *session)
{
    ENCRYPTOR *encryptor = (ENCRYPTOR *)iface;

    if (session != NULL)
        host_log_flush(connection_log(encryptor->connection), session);
    if (encryptor->cipher == NULL) {
        connection_release(encryptor->connection);
        free(encryptor);
    } else
        connection_uncustomize(encryptor);
    return (0);
}

int
wiredtiger_extension_init(WT_CONNECTION *wt_conn, WT_CONFIG_ARG *config)
{
    CONNECTION *connection = NULL;
    ENCRYPTOR *base = NULL;
    HOST_LOG *log = NULL;
    HOST_ABI abi;
    STATUS status;
    int ret;

    if (host_abi_detect(wt_conn, &abi, &status) != 0 || host_log_new(abi.api, &log, &status) != 0)
        return (fail(abi.api, NULL, &status));
    if (connection_open(wt_conn, &abi, log, config, &connection, &status) != 0) {
        host_log_free(log);
        return (fail(abi.api, NULL, &status));
    }
    if ((base = calloc(1, sizeof(*base))) == NULL) {
        connection_release(connection);
        return (ENOMEM);
    }
    base->iface.encrypt = encrypt;
    base->iface.decrypt = decrypt;
    base->iface.sizing = sizing;
    base->iface.customize = customize;
    base->iface.terminate = terminate;
    base->connection = connection;

    /*
     * Last: once this has succeeded the host calls terminate, even when a later step of ours had
     * failed and the module were closed.
     */
    if ((ret = abi.add_encryptor(wt_conn, "kms", &base->iface, NULL)) != 0) {
        connection_release(connection);
        free(base);
    }
    return (ret);
}

int
wiredtiger_extension_terminate(WT_CONNECTION *wt_conn)
{
    /* Everything belongs to the encryptors, which the host has terminated one by one. */
    (void)wt_conn;
    return (0);
}
