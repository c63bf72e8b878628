/*
 * kms_clients/kmip.c -- Provider "kmip": a key in a key server that speaks KMIP 1.2 to 2.1.
 *
 * The server wraps (Encrypt, Decrypt), with associated data where its version has them; or, where it
 * cannot, its key is fetched for one call and wraps here. kmip_wrapped.h has the bytes.
 */

#include "common/clock.h"
#include "common/file.h"
#include "crypto/mac.h"
#include "crypto/xaes.h"
#include "kms_clients/kmip_calls.h"
#include "kms_clients/kmip_wrapped.h"
#include "kms_clients/kms_client_provider.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_PREFIX "kmip:"
#define NAME_PREFIX "kmip-name:"
#define PEM_MAX (256 * 1024)
#define PASSWORD_MAX 1024
#define LABEL_CBC "wtkms/1/kmip-cbc"
#define LABEL_GET "wtkms/1/kmip-get"

typedef enum { MODE_AUTO, MODE_ENCRYPT, MODE_GET } MODE;

typedef struct {
    CONFIG_STRINGS servers;
    char *key, *key_name, *server_name, *username, *password_file;
    int version, mode;
    HTTP_OPTIONS http;
} KMIP_OPTIONS;

static const char *const version_names[] = {"auto", "1.2", "1.3", "1.4", "2.0", "2.1", NULL};
static const int versions[] = {0, 102, 103, 104, 200, 201};
static const char *const mode_names[] = {"auto", "encrypt", "get", NULL};

static const CONFIG_OPTION kmip_options[] = {
  {.name = "servers",
    .type = OPTION_STRING_LIST,
    .offset = offsetof(KMIP_OPTIONS, servers),
    .help = "KMIP servers of one key store as host or host:port (5696), tried in order."},
  {.name = "key",
    .type = OPTION_STRING,
    .offset = offsetof(KMIP_OPTIONS, key),
    .help = "Unique identifier of a symmetric key at the KMIP server."},
  {.name = "keyName",
    .type = OPTION_STRING,
    .offset = offsetof(KMIP_OPTIONS, key_name),
    .help = "Name of the key, instead of its identifier, which is recorded."},
  {.name = "serverName",
    .type = OPTION_STRING,
    .offset = offsetof(KMIP_OPTIONS, server_name),
    .help = "Name that the servers' certificates have, when it is not the host's."},
  {.name = "version",
    .type = OPTION_CHOICE,
    .offset = offsetof(KMIP_OPTIONS, version),
    .fallback = "auto",
    .choices = version_names,
    .help = "Version of KMIP to speak, or auto: the server's newest."},
  {.name = "mode",
    .type = OPTION_CHOICE,
    .offset = offsetof(KMIP_OPTIONS, mode),
    .fallback = "auto",
    .choices = mode_names,
    .help =
      "encrypt: the key stays at the server; get: it is fetched; auto: the first that works."},
  {.name = "username",
    .type = OPTION_STRING,
    .offset = offsetof(KMIP_OPTIONS, username),
    .help = "User name, where the server wants one."},
  {.name = "passwordFile",
    .type = OPTION_PATH,
    .offset = offsetof(KMIP_OPTIONS, password_file),
    .help = "File with the password of username."},
  HTTP_OPTION_ROWS(KMIP_OPTIONS, http), {.name = NULL}};

typedef struct {
    KMIP_SESSION *session;
    char *one_server[1]; /* endpoint as a list */
    CONFIG_STRINGS endpoint;
    const char *name; /* keyName, or NULL */
    char uid[KMIP_UID_MAX + 1];
    char key_id[sizeof(NAME_PREFIX) + KMIP_NAME_MAX];
    char credential[KMS_CREDENTIAL_MAX + 1];
    MODE mode;
} KMIP_CLIENT;

static void
kmip_close(void *state)
{
    KMIP_CLIENT *kmip = state;

    if (kmip == NULL)
        return;
    kmip_session_free(kmip->session);
    free(kmip);
}

/* --- open */

static int
fault(const CONFIG_NODE *entry, const char *option, STATUS *status, const char *what)
{
    const CONFIG_NODE *node = config_get(entry, option);

    return (
      config_error(node == NULL ? entry : node, status, "kms-kmip-option", "%s: %s", option, what));
}

static int
check_options(const KMIP_OPTIONS *options, const CONFIG_NODE *entry, STATUS *status)
{
    if ((options->servers.count > 0) == (options->http.endpoint != NULL))
        return (fault(entry, "servers", status, "write servers, or one as endpoint, and not both"));
    if ((options->key != NULL) == (options->key_name != NULL))
        return (fault(entry, "key", status, "write key or keyName, and not both"));
    if (options->key != NULL && !kmip_uid_valid(options->key))
        return (fault(
          entry, "key", status, "a unique identifier has 1 to 256 letters, digits and ._-+=@/~:"));
    if (options->key_name != NULL && strlen(options->key_name) > KMIP_NAME_MAX)
        return (fault(entry, "keyName", status, "the name is longer than 256 bytes"));
    if (options->http.client_certificate == NULL && options->username == NULL)
        return (fault(entry, "clientCertificate", status,
          "a key server wants a client certificate, or a username"));
    if (options->http.client_key != NULL && options->http.client_certificate == NULL)
        return (fault(entry, "clientKey", status, "is of no use without clientCertificate"));
    if ((options->username != NULL) != (options->password_file != NULL))
        return (fault(entry, "passwordFile", status, "username and passwordFile belong together"));
    if (options->server_name != NULL &&
        (strlen(options->server_name) > 255 ||
          strspn(options->server_name,
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:") !=
            strlen(options->server_name)))
        return (fault(entry, "serverName", status, "is no name of a host"));
    return (0);
}

/* A PEM file that is no secret. */
static int
read_pem(
  const CONFIG_NODE *entry, const char *option, const char *path, SECRET **pemp, STATUS *status)
{
    uint8_t *text;
    size_t len;
    int ret;

    *pemp = NULL;
    if (file_read(AT_FDCWD, path, PEM_MAX, false, NULL, &text, &len, status) != 0)
        return (kms_client_at_option(entry, option, status));
    if (memmem(text, len, "-----BEGIN ", 11) == NULL)
        ret = fault(entry, option, status, "the file holds no PEM");
    else
        ret = secret_new_copy(text, len, pemp, status);
    free(text);
    return (ret);
}

static int
read_password(const CONFIG_NODE *entry, const char *path, SECRET **passwordp, STATUS *status)
{
    size_t len;

    if (kms_secret_file_read(entry, "passwordFile", path, PASSWORD_MAX, passwordp, status) != 0)
        return ((int)status->status_class);
    len = secret_len(*passwordp);
    while (len > 0 &&
           (secret_bytes(*passwordp)[len - 1] == '\n' || secret_bytes(*passwordp)[len - 1] == '\r'))
        len--;
    if (len == 0)
        return (fault(entry, "passwordFile", status, "the file is empty"));
    secret_truncate(*passwordp, len);
    return (0);
}

static int
read_files(const KMIP_OPTIONS *options, const CONFIG_NODE *entry, KMIP_SESSION_OPTIONS *session,
  STATUS *status)
{
    const HTTP_OPTIONS *http = &options->http;

    if (http->ca_file != NULL &&
        read_pem(entry, "caFile", http->ca_file, &session->authorities, status) != 0)
        return ((int)status->status_class);
    if (http->client_certificate != NULL && http->client_key == NULL) {
        /* One file holds both: it is a secret. */
        if (kms_secret_file_read(entry, "clientCertificate", http->client_certificate, PEM_MAX,
              &session->certificate, status) != 0 ||
            secret_new_copy(secret_bytes(session->certificate), secret_len(session->certificate),
              &session->key, status) != 0)
            return ((int)status->status_class);
    } else if (http->client_certificate != NULL) {
        if (read_pem(entry, "clientCertificate", http->client_certificate, &session->certificate,
              status) != 0 ||
            kms_secret_file_read(
              entry, "clientKey", http->client_key, PEM_MAX, &session->key, status) != 0)
            return ((int)status->status_class);
    }
    if (options->password_file != NULL)
        return (read_password(entry, options->password_file, &session->password, status));
    return (0);
}

static void
free_files(KMIP_SESSION_OPTIONS *session)
{
    secret_free(session->authorities);
    secret_free(session->certificate);
    secret_free(session->key);
    secret_free(session->password);
}

static int
kmip_open(const void *options_of_entry, const CONFIG_NODE *entry, const LOG *log, void **statep,
  const char **key_idp, STATUS *status)
{
    const KMIP_OPTIONS *options = options_of_entry;
    const HTTP_OPTIONS *http = &options->http;
    KMIP_SESSION_OPTIONS session = {.server_name = options->server_name,
      .username = options->username,
      .version = versions[options->version],
      .connect_timeout = http->connect_timeout};
    KMIP_CLIENT *kmip = NULL;
    const CONFIG_NODE *servers = config_get(entry, "servers");

    (void)log;
    *statep = NULL;
    *key_idp = NULL;
    if (check_options(options, entry, status) != 0)
        return ((int)status->status_class);
    if ((kmip = calloc(1, sizeof(*kmip))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a KMIP client"));
    /* The environment's proxies are for HTTP. */
    if (http->proxy != NULL && strcmp(http->proxy, "none") != 0)
        session.proxy = http->proxy;
    kmip->one_server[0] = http->endpoint;
    kmip->endpoint.items = kmip->one_server;
    kmip->endpoint.count = 1;
    session.servers = http->endpoint != NULL ? &kmip->endpoint : &options->servers;
    if (read_files(options, entry, &session, status) != 0) {
        free_files(&session);
        goto err;
    }
    if (kmip_session_new(&session, servers != NULL ? servers : entry, &kmip->session, status) != 0)
        goto err;
    kmip->mode = (MODE)options->mode;
    kmip->name = options->key_name;
    if (options->key != NULL)
        (void)snprintf(kmip->uid, sizeof(kmip->uid), "%s", options->key);
    (void)snprintf(kmip->key_id, sizeof(kmip->key_id), "%s%s",
      kmip->name != NULL ? NAME_PREFIX : ID_PREFIX, kmip->name != NULL ? kmip->name : kmip->uid);
    (void)snprintf(kmip->credential, sizeof(kmip->credential), "%s",
      http->client_certificate != NULL ? http->client_certificate : options->username);
    *statep = kmip;
    *key_idp = kmip->key_id;
    return (0);

err:
    kmip_close(kmip);
    return ((int)status->status_class);
}

/* --- calls */

/* The configured key's identifier: as it is written, or what its name stands for today. */
static int
find_key(KMIP_CLIENT *kmip, int64_t deadline, char uid[KMIP_UID_MAX + 1], STATUS *status)
{
    KMIP_ASKED call = {.name = kmip->name};

    if (kmip->name == NULL) {
        memcpy(uid, kmip->uid, KMIP_UID_MAX + 1);
        return (0);
    }
    if (kmip_session_call(kmip->session, deadline, &kmip_call_locate, &call, status) != 0)
        return ((int)status->status_class);
    if (call.located == 1) {
        memcpy(uid, call.found, KMIP_UID_MAX + 1);
        return (0);
    }
    if (call.located == 0) {
        (void)status_set(status, STATUS_NOT_FOUND, "kms-kmip-name",
          "Locate: the server has no symmetric key named \"%s\" that this client may see",
          kmip->name);
        return (status_hint(status, "create and activate the key, or check keyName"));
    }
    (void)status_set(
      status, STATUS_CONFIG, "kms-kmip-name", "Locate: several keys are named \"%s\"", kmip->name);
    return (status_hint(status, "write the unique identifier of one of them as key"));
}

/* What a state means for one that wants to use the key; 0 when it may. */
static int
state_error(const char *uid, uint32_t state, STATUS *status)
{
    if (state == KMIP_STATE_ACTIVE)
        return (0);
    if (state >= KMIP_STATE_DEACTIVATED && state <= KMIP_STATE_DESTROYED_COMPROMISED) {
        (void)status_set(status, STATUS_DISABLED, "kms-kmip-state",
          "the key server says that the key %s is %s", uid, kmip_state_name(state));
        return (status_hint(status,
          "a key that was revoked does not come back in KMIP: restore it on the "
          "key server, or open with another recipient"));
    }
    (void)status_set(status, STATUS_DENIED, "kms-kmip-state", "the key %s is not active: %s", uid,
      kmip_state_name(state));
    return (status_hint(status, "activate the key on the key server"));
}

/* A refusal may be for the key's state: then the server tells that when asked. It stays what it was when the
 * server does not. */
static void
explain(KMIP_CLIENT *kmip, int64_t deadline, const KMIP_ASKED *refused, STATUS *status)
{
    KMIP_ASKED call = {.uid = refused->uid};
    STATUS asked, stated;

    if (!kmip_reason_is_state(refused->reason))
        return;
    status_clear(&asked);
    if (kmip_session_call(kmip->session, deadline, &kmip_call_state, &call, &asked) != 0)
        return;
    status_clear(&stated);
    if (state_error(refused->uid, call.state, &stated) == 0)
        return;
    (void)status_add(&stated, "%s", status->message);
    *status = stated;
}

/* Fetch the key for one use. The server gives a revoked key's material out, so its state is asked for too. */
static int
fetch_key(KMIP_CLIENT *kmip, int64_t deadline, const char *uid, KMIP_ASKED *call, SECRET **keyp,
  STATUS *status)
{
    SECRET *material = NULL;
    int ret;

    *keyp = NULL;
    call->uid = uid;
    if ((ret = kmip_session_call(kmip->session, deadline, &kmip_call_get, call, status)) != 0) {
        /* The state is answered first, and may be known when the key is not given out. */
        if (ret == STATUS_DENIED)
            explain(kmip, deadline, call, status);
        return ((int)status->status_class);
    }
    material = call->secret;
    call->secret = NULL;
    if ((ret = state_error(uid, call->state, status)) == 0)
        ret = mac_derive(material, LABEL_GET, XAES_KEY_LEN, keyp, status);
    secret_free(material);
    return (ret);
}

/* --- wrap */

typedef struct {
    const SECRET *plaintext;
    const uint8_t *aad;
    size_t aad_len;
    KMIP_WRAPPED parts;
    uint8_t sealed[XAES_WRAPPED_LEN(KMS_PLAINTEXT_MAX)];
} WRAP;

static int
seal_here(WRAP *wrap, const SECRET *key, STATUS *status)
{
    wrap->parts.sealed = wrap->sealed;
    wrap->parts.sealed_len = XAES_WRAPPED_LEN(secret_len(wrap->plaintext));
    return (xaes_wrap(key, wrap->aad, wrap->aad_len, wrap->plaintext, wrap->sealed, status));
}

/* With GCM the server encrypts the payload, with CBC a random key that opens it. */
static int
encrypt_with(
  KMIP_CLIENT *kmip, int64_t deadline, bool gcm, WRAP *wrap, KMIP_ASKED *call, STATUS *status)
{
    SECRET *random = NULL, *key = NULL;
    int ret;

    call->operation = KMIP_ENCRYPT;
    call->reason = 0;
    call->cipher = (KMIP_CIPHER){.gcm = gcm, .aad = wrap->aad, .aad_len = wrap->aad_len};
    if (gcm) {
        call->data = secret_bytes(wrap->plaintext);
        call->data_len = secret_len(wrap->plaintext);
    } else {
        if ((ret = secret_new_random(XAES_KEY_LEN, &random, status)) != 0)
            return (ret);
        call->data = secret_bytes(random);
        call->data_len = secret_len(random);
    }
    if ((ret = kmip_session_call(kmip->session, deadline, &kmip_call_crypt, call, status)) == 0) {
        wrap->parts = (KMIP_WRAPPED){.mode = gcm ? KMIP_WRAPPED_GCM : KMIP_WRAPPED_CBC,
          .nonce = call->nonce,
          .nonce_len = call->nonce_len,
          .tag = call->tag,
          .data = call->encrypted,
          .data_len = call->encrypted_len};
        if (!gcm && (ret = mac_derive(random, LABEL_CBC, XAES_KEY_LEN, &key, status)) == 0)
            ret = seal_here(wrap, key, status);
    }
    secret_free(random);
    secret_free(key);
    return (ret);
}

static int
encrypt_here(KMIP_CLIENT *kmip, int64_t deadline, const char *uid, WRAP *wrap, KMIP_ASKED *call,
  STATUS *status)
{
    SECRET *key;
    int ret;

    if ((ret = fetch_key(kmip, deadline, uid, call, &key, status)) != 0)
        return (ret);
    wrap->parts = (KMIP_WRAPPED){.mode = KMIP_WRAPPED_LOCAL};
    ret = seal_here(wrap, key, status);
    secret_free(key);
    return (ret);
}

/* "auto" goes on to the next way only when the server says that it cannot do the one before. */
static int
wrap_somehow(KMIP_CLIENT *kmip, int64_t deadline, const char *uid, WRAP *wrap, KMIP_ASKED *call,
  STATUS *status)
{
    int ret;

    call->uid = uid;
    if (kmip->mode == MODE_GET)
        return (encrypt_here(kmip, deadline, uid, wrap, call, status));
    ret = encrypt_with(kmip, deadline, true, wrap, call, status);
    if (ret != 0 && kmip_reason_is_unable(call->reason)) {
        status_clear(status);
        ret = encrypt_with(kmip, deadline, false, wrap, call, status);
    }
    if (ret != 0 && kmip->mode == MODE_AUTO && kmip_reason_is_unable(call->reason)) {
        status_clear(status);
        return (encrypt_here(kmip, deadline, uid, wrap, call, status));
    }
    if (ret == STATUS_DENIED)
        explain(kmip, deadline, call, status);
    return (ret == 0 ? 0 : (int)status->status_class);
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory to wrap a key"));
}

static int
kmip_wrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const SECRET *plaintext,
  KMS_WRAPPED *wrapped, STATUS *status)
{
    KMIP_CLIENT *kmip = state;
    uint8_t aad[KMIP_AAD_MAX];
    WRAP wrap = {.plaintext = plaintext, .aad = aad};
    KMIP_ASKED *call = NULL;
    char uid[KMIP_UID_MAX + 1];
    int64_t deadline = clock_deadline(timeout_ms);

    if (kmip_aad(context, aad, &wrap.aad_len, status) != 0 ||
        find_key(kmip, deadline, uid, status) != 0)
        return ((int)status->status_class);
    if ((call = calloc(1, sizeof(*call))) == NULL ||
        (wrapped->key_id = malloc(sizeof(ID_PREFIX) + KMIP_UID_MAX)) == NULL ||
        (wrapped->credential = strdup(kmip->credential)) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    (void)snprintf(wrapped->key_id, sizeof(ID_PREFIX) + KMIP_UID_MAX, ID_PREFIX "%s", uid);
    if (wrap_somehow(kmip, deadline, uid, &wrap, call, status) != 0 ||
        kmip_wrapped_encode(
          &wrap.parts, aad, wrap.aad_len, &wrapped->wrapped, &wrapped->wrapped_len, status) != 0)
        goto err;
    free(call);
    return (0);

err:
    free(call);
    return ((int)status->status_class);
}

/* --- unwrap */

static int
decrypt(KMIP_CLIENT *kmip, int64_t deadline, const KMIP_WRAPPED *parts, const uint8_t *aad,
  size_t aad_len, KMIP_ASKED *call, STATUS *status)
{
    int ret;

    call->operation = KMIP_DECRYPT;
    call->cipher = (KMIP_CIPHER){.gcm = parts->mode == KMIP_WRAPPED_GCM,
      .nonce = parts->nonce,
      .nonce_len = parts->nonce_len,
      .aad = aad,
      .aad_len = aad_len,
      .tag = parts->tag};
    call->data = parts->data;
    call->data_len = parts->data_len;
    ret = kmip_session_call(kmip->session, deadline, &kmip_call_crypt, call, status);
    if (ret == STATUS_DENIED) {
        explain(kmip, deadline, call, status);
        ret = (int)status->status_class;
    }
    return (ret);
}

static int
unwrap_parts(KMIP_CLIENT *kmip, int64_t deadline, const KMIP_WRAPPED *parts, const uint8_t *aad,
  size_t aad_len, KMIP_ASKED *call, SECRET **plaintextp, STATUS *status)
{
    SECRET *key = NULL;
    int ret;

    if (parts->mode == KMIP_WRAPPED_LOCAL) {
        if (kmip->mode == MODE_ENCRYPT) {
            (void)status_set(status, STATUS_REFUSED, "kms-kmip-mode",
              "the key was wrapped with the server's key fetched, and mode is encrypt");
            return (status_hint(status,
              "set mode: auto, rotate the recipients (wtkms rotate cmk), then mode: encrypt"));
        }
        ret = fetch_key(kmip, deadline, call->uid, call, &key, status);
    } else if ((ret = decrypt(kmip, deadline, parts, aad, aad_len, call, status)) == 0) {
        if (parts->mode == KMIP_WRAPPED_GCM) {
            *plaintextp = call->secret;
            call->secret = NULL;
            return (0);
        }
        ret = secret_len(call->secret) == XAES_KEY_LEN
                ? mac_derive(call->secret, LABEL_CBC, XAES_KEY_LEN, &key, status)
                : status_set(status, STATUS_CORRUPT, "kms-kmip-wrapped",
                    "what the server decrypted has %zu bytes, expected %d",
                    secret_len(call->secret), XAES_KEY_LEN);
    }
    if (ret == 0)
        ret = xaes_unwrap(key, aad, aad_len, parts->sealed, parts->sealed_len, plaintextp, status);
    secret_free(key);
    return (ret);
}

static int
kmip_unwrap(void *state, int timeout_ms, const KMS_CONTEXT *context, const KMS_RECORDED *recorded,
  SECRET **plaintextp, STATUS *status)
{
    uint8_t aad[KMIP_AAD_MAX];
    KMIP_WRAPPED parts;
    KMIP_ASKED *call;
    size_t aad_len;
    int ret;

    if (kmip_aad(context, aad, &aad_len, status) != 0 ||
        kmip_wrapped_decode(
          recorded->wrapped, recorded->wrapped_len, aad, aad_len, &parts, status) != 0)
        return ((int)status->status_class);
    if ((call = calloc(1, sizeof(*call))) == NULL)
        return (no_memory(status));
    call->uid = recorded->key_id + sizeof(ID_PREFIX) - 1;
    ret = unwrap_parts(
      state, clock_deadline(timeout_ms), &parts, aad, aad_len, call, plaintextp, status);
    secret_free(call->secret);
    free(call);
    return (ret);
}

/* --- the rest */

static bool
kmip_matches(const void *state, const char *key_id)
{
    const KMIP_CLIENT *kmip = state;

    /* A name is an alias: which key it is, and was, the configured servers know. */
    if (kmip->name != NULL)
        return (strncmp(key_id, ID_PREFIX, sizeof(ID_PREFIX) - 1) == 0);
    return (strcmp(kmip->key_id, key_id) == 0);
}

static int
kmip_describe(void *state, int timeout_ms, const char *key_id, KMS_KEY_INFO *info, STATUS *status)
{
    KMIP_CLIENT *kmip = state;
    int64_t deadline = clock_deadline(timeout_ms);
    char uid[KMIP_UID_MAX + 1];
    KMIP_ASKED *call;
    int ret;

    if (strncmp(key_id, ID_PREFIX, sizeof(ID_PREFIX) - 1) == 0)
        (void)snprintf(uid, sizeof(uid), "%s", key_id + sizeof(ID_PREFIX) - 1);
    else if (find_key(kmip, deadline, uid, status) != 0)
        return ((int)status->status_class);
    if ((call = calloc(1, sizeof(*call))) == NULL)
        return (no_memory(status));
    call->uid = uid;
    ret = kmip_session_call(kmip->session, deadline, &kmip_call_state, call, status);
    /* "Destroyed" as a reason is the same answer as a state. */
    if (ret == STATUS_DISABLED) {
        call->state = KMIP_STATE_DESTROYED;
        ret = 0;
    }
    if (ret == 0) {
        (void)snprintf(info->key_id, sizeof(info->key_id), ID_PREFIX "%s", uid);
        (void)snprintf(info->detail, sizeof(info->detail), "%s", kmip_state_name(call->state));
        if (call->state == KMIP_STATE_ACTIVE)
            info->state = KMS_KEY_ENABLED;
        else if (call->state >= KMIP_STATE_PRE_ACTIVE &&
                 call->state <= KMIP_STATE_DESTROYED_COMPROMISED)
            info->state = KMS_KEY_DISABLED;
    }
    free(call);
    return (ret);
}

static int
kmip_key_id_check(const char *key_id, STATUS *status)
{
    if (strncmp(key_id, ID_PREFIX, sizeof(ID_PREFIX) - 1) == 0 &&
        kmip_uid_valid(key_id + sizeof(ID_PREFIX) - 1))
        return (0);
    return (status_set(status, STATUS_CORRUPT, "kms-bad-key-id",
      "\"%.300s\" is not " ID_PREFIX "and a unique identifier", key_id));
}

static const HTTP_OPTIONS *
kmip_network(const void *options)
{
    return (&((const KMIP_OPTIONS *)options)->http);
}

int
kms_kmip_key_create(const CONFIG_NODE *entry, const LOG *log, int timeout_ms,
  char uid[KMS_KEY_ID_MAX + 1], STATUS *status)
{
    KMIP_OPTIONS options = {.mode = MODE_AUTO};
    KMIP_CLIENT *kmip = NULL;
    KMIP_ASKED *call = NULL;
    void *state = NULL;
    const char *key_id;
    int64_t deadline = clock_deadline(timeout_ms);

    uid[0] = '\0';
    if (config_read(entry, kmip_options, kms_client_common_options, &options, status) != 0)
        return ((int)status->status_class);
    if (kmip_open(&options, entry, log, &state, &key_id, status) != 0)
        goto err;
    kmip = state;
    if ((call = calloc(1, sizeof(*call))) == NULL) {
        (void)no_memory(status);
        goto err;
    }
    if (kmip->name == NULL) {
        (void)fault(entry, "keyName", status, "a new key needs a name");
        goto err;
    }
    call->name = kmip->name;
    if (kmip_session_call(kmip->session, deadline, &kmip_call_locate, call, status) != 0)
        goto err;
    if (call->located > 0) {
        (void)status_set(status, STATUS_REFUSED, "kms-kmip-name",
          "the server has a key named \"%s\" already: %s", kmip->name, call->found);
        goto err;
    }
    if (kmip_session_call(kmip->session, deadline, &kmip_call_create, call, status) != 0)
        goto err;
    call->uid = call->found;
    if (kmip_session_call(kmip->session, deadline, &kmip_call_activate, call, status) != 0) {
        (void)status_add(status, "the key %s was created but not activated", call->found);
        goto err;
    }
    memcpy(uid, call->found, KMIP_UID_MAX + 1);
    free(call);
    kmip_close(kmip);
    config_release(kmip_options, &options);
    return (0);

err:
    free(call);
    kmip_close(kmip);
    config_release(kmip_options, &options);
    return ((int)status->status_class);
}

const KMS_PROVIDER kms_kmip = {
  .name = "kmip",
  .options = kmip_options,
  .options_size = sizeof(KMIP_OPTIONS),
  .open = kmip_open,
  .close = kmip_close,
  .wrap = kmip_wrap,
  .key_id_check = kmip_key_id_check,
  .network = kmip_network,
  .matches = kmip_matches,
  .unwrap = kmip_unwrap,
  .describe = kmip_describe,
};
