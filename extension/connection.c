/*
 * extension/connection.c -- One open database. See connection.h.
 */
#include "config.h"

#include "extension/connection.h"

#include "common/clock.h"
#include "common/file.h"
#include "extension/access_check.h"
#include "extension/home_proof.h"
#include "extension/host_config.h"
#include "extension/refusal.h"
#include "extension/watcher.h"
#include "keystore/keyring.h"
#include "kms_clients/kms_client.h"
#include "keystore/state_file.h"

#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct connection {
    HOST_ABI abi;
    HOST_LOG *log;
    SETTINGS *settings;
    char *config_path; /* NULL when inline */
    char *home;
    int home_fd;
    KEYRING *keyring;
    WATCHER *watcher;
    ACCESS_CHECK *access_check;
    atomic_uint references;
    bool library; /* unit_cipher_library_open was called */
    int64_t started_at;
    char last_warning[64]; /* id of what the watcher complained of last */

    pthread_mutex_t state_mutex; /* one writer of wtkms.state at a time; guards the next members */
    int64_t state_generation;    /* what wtkms.state says */
    STATE_FILE_CHECK *checks;    /* the last ones of access */
    size_t check_count;

    /* Guards adding to keys, and the list of encryptors. Never held during I/O of the keystore. */
    pthread_mutex_t mutex;
    DATA_KEYS *keys;
    int64_t loaded_generation; /* whose keys are in keys */
    ENCRYPTOR *encryptors;
    bool customized; /* the first one is the connection's own */
};

HOST_LOG *
connection_log(const CONNECTION *connection)
{
    return (connection->log);
}

/* --- wtkms.state */

/* The generation whose keys are in use: what was read may be newer for a moment. */
static int64_t
loaded_generation(CONNECTION *connection)
{
    int64_t generation;

    (void)pthread_mutex_lock(&connection->mutex);
    generation = connection->loaded_generation;
    (void)pthread_mutex_unlock(&connection->mutex);
    return (generation);
}

static void
state_write(CONNECTION *connection, bool closing)
{
    const KEYSTORE *keystore;
    STATE_FILE_CONTENT content;
    STATE_FILE_OPENED *opened;
    STATUS status;
    char uuid[KEYSTORE_UUID_TEXT], version[32], *text;
    size_t i, size = 1024;
    int64_t generation;

    if (keyring_source(connection->keyring) == KEYRING_EPHEMERAL)
        return;
    (void)pthread_mutex_lock(&connection->state_mutex);
    generation = loaded_generation(connection);
    keystore = keyring_hold_keystore(connection->keyring);
    memset(&content, 0, sizeof(content));
    keystore_uuid_text(keystore->uuid, uuid);
    (void)snprintf(version, sizeof(version), "%d.%d.%d", connection->abi.version.major,
      connection->abi.version.minor, connection->abi.version.patch);
    content.pid = getpid();
    content.uuid = uuid;
    content.node = keystore->node;
    content.module_version = (char *)(uintptr_t)PACKAGE_VERSION;
    content.engine_version = version;
    content.generation = generation;
    content.started_at = connection->started_at;
    content.updated_at = clock_unix_ms();
    content.closed_at = closing ? content.updated_at : 0;
    content.checks = connection->checks;
    content.check_count = connection->check_count;
    /* One allocation for all texts: four for each scope. */
    opened = calloc(connection->settings->scope_count, sizeof(*opened) + 4 * size);
    if (opened != NULL) {
        text = (char *)(opened + connection->settings->scope_count);
        for (i = 0; i < connection->settings->scope_count; i++, text += 4 * size) {
            (void)snprintf(text, size, "%s", connection->settings->scopes[i].name);
            if (!keyring_opened_by(
                  connection->keyring, text, text + size, text + 2 * size, text + 3 * size, size))
                continue;
            opened[content.opened_count].scope = text;
            opened[content.opened_count].provider = text + size;
            opened[content.opened_count].key_id = text + 2 * size;
            opened[content.opened_count++].credential = text + 3 * size;
        }
        content.opened = opened;
    }
    /* A read-only home has no such file, and a full disk is not worth a database. */
    (void)!state_file_write(connection->home_fd, &content, &status);
    free(opened);
    connection->state_generation = generation;
    keyring_release_keystore(connection->keyring, keystore);
    (void)pthread_mutex_unlock(&connection->state_mutex);
}

/* --- the check of access */

static bool
copy_result(STATE_FILE_CHECK *check, const ACCESS_RESULT *result)
{
    char line[sizeof(result->status.message) + sizeof(result->status.hint) + 64] = "";
    bool ok = result->status_class == STATUS_OK;

    if (!ok)
        (void)status_format(&result->status, line, sizeof(line));
    check->time = result->time;
    check->ms = result->ms;
    check->scope = strdup(result->scope);
    check->provider = strdup(result->provider);
    check->key_id = strdup(result->key_id);
    check->status_class = strdup(ok ? "ok" : status_class_name(result->status_class));
    check->message = strdup(line);
    return (check->scope != NULL && check->provider != NULL && check->key_id != NULL &&
            check->status_class != NULL && check->message != NULL);
}

/* What was found goes to wtkms.state; without memory the file says what it said before. */
static void
report_access(void *context, const ACCESS_RESULT *results, size_t count)
{
    CONNECTION *connection = context;
    STATE_FILE_CHECK *checks, *old;
    size_t i, old_count;

    if ((checks = calloc(count + 1, sizeof(*checks))) == NULL)
        return;
    for (i = 0; i < count; i++)
        if (!copy_result(&checks[i], &results[i])) {
            state_file_free_checks(checks, i + 1);
            return;
        }
    (void)pthread_mutex_lock(&connection->state_mutex);
    old = connection->checks;
    old_count = connection->check_count;
    connection->checks = checks;
    connection->check_count = count;
    (void)pthread_mutex_unlock(&connection->state_mutex);
    state_file_free_checks(old, old_count);
    state_write(connection, false);
}

static const KEYSTORE *
hold_for_access(void *context)
{
    return (keyring_hold_keystore(((CONNECTION *)context)->keyring));
}

static void
release_for_access(void *context, const KEYSTORE *keystore)
{
    keyring_release_keystore(((CONNECTION *)context)->keyring, keystore);
}

static int
start_access_check(CONNECTION *connection, STATUS *status)
{
    ACCESS_CHECK_HOST host = {.settings = connection->settings,
      .log = host_log_sink(connection->log),
      .hold = hold_for_access,
      .release = release_for_access,
      .report = report_access,
      .context = connection};

    return (access_check_start(&host, &connection->access_check, status));
}

/* --- data keys */

/* Add every readable data key of the keyring; the caller holds the mutex. */
static int
load_keys(CONNECTION *connection, STATUS *status)
{
    const KEYSTORE *keystore = keyring_hold_keystore(connection->keyring);
    const KEYSTORE_DATA_KEY *data_key;
    SECRET *secret;
    size_t i;
    int ret = 0;

    for (i = 0; i < keystore->data_key_count && ret == 0; i++) {
        data_key = &keystore->data_keys[i];
        if (data_key->state == KEYSTORE_RETIRED ||
            data_keys_find(connection->keys, data_key->id) != NULL)
            continue;
        if ((ret = keyring_data_key(connection->keyring, data_key->id, &secret, NULL, status)) != 0)
            break;
        ret = data_keys_add(connection->keys, data_key->id, data_key->keyid, secret, status);
        secret_free(secret);
    }
    keyring_release_keystore(connection->keyring, keystore);
    return (ret);
}

/* Point every encryptor at its active key of now; the caller holds the mutex. */
static void
update_active(CONNECTION *connection)
{
    const DATA_KEY *key;
    ENCRYPTOR *encryptor;
    uint64_t id;

    for (encryptor = connection->encryptors; encryptor != NULL; encryptor = encryptor->next) {
        id = keyring_active_data_key(connection->keyring, encryptor->keyid);
        if (id == 0 || id == encryptor->active_id ||
            (key = data_keys_find(connection->keys, id)) == NULL)
            continue;
        unit_cipher_set_active(encryptor->cipher, key->unit_key);
        encryptor->active_id = id;
    }
}

int
connection_refresh(CONNECTION *connection, bool *changedp, STATUS *status)
{
    int64_t generation;
    int ret;

    if ((ret = keyring_refresh(connection->keyring, changedp, status)) != 0)
        return (ret);
    /*
     * Not what this call found changed, but what is loaded decides: another thread may have read the
     * new generation a moment ago and not have come to its keys yet.
     */
    (void)pthread_mutex_lock(&connection->mutex);
    generation = keyring_generation(connection->keyring);
    *changedp = generation != connection->loaded_generation;
    if (*changedp && (ret = load_keys(connection, status)) == 0) {
        update_active(connection);
        connection->loaded_generation = generation;
    }
    (void)pthread_mutex_unlock(&connection->mutex);
    return (ret);
}

static void
watch(void *context)
{
    CONNECTION *connection = context;
    STATUS status;
    int64_t generation;
    bool changed;

    if (connection_refresh(connection, &changed, &status) != 0) {
        /* Once for each kind of trouble, not once a second. */
        if (strcmp(connection->last_warning, status.id) != 0) {
            (void)snprintf(
              connection->last_warning, sizeof(connection->last_warning), "%s", status.id);
            log_status(host_log_sink(connection->log), LOG_WARNING, &status);
        }
        return;
    }
    connection->last_warning[0] = '\0';
    /* Not only what this look found: a thread that met an unknown key may have been faster. */
    generation = loaded_generation(connection);
    (void)pthread_mutex_lock(&connection->state_mutex);
    changed = connection->state_generation != generation;
    (void)pthread_mutex_unlock(&connection->state_mutex);
    if (changed) {
        log_printf(host_log_sink(connection->log), LOG_INFO, "keystore generation %lld is in use",
          (long long)generation);
        state_write(connection, false);
    }
}

int
connection_find_key(CONNECTION *connection, uint64_t id, const DATA_KEY **keyp, STATUS *status)
{
    STATUS refresh_status;
    bool changed;

    if ((*keyp = data_keys_find(connection->keys, id)) != NULL)
        return (0);
    /*
     * Another process may have added it since the watcher looked last. When nothing changed this is
     * one stat, so a salvage over thousands of such blocks does not read the keystore each time.
     */
    status_clear(&refresh_status);
    if (connection_refresh(connection, &changed, &refresh_status) == 0 &&
        (*keyp = data_keys_find(connection->keys, id)) != NULL)
        return (0);
    (void)status_set(status, STATUS_NO_KEY, "data-key-unknown",
      "data key %016llx is not in the keystore", (unsigned long long)id);
    if (refresh_status.status_class != STATUS_OK)
        return (status_add(status, "and it cannot be read again: %s", refresh_status.message));
    return (status_hint(
      status, "restore the keystore that belongs to these files with `wtkms keystore restore`"));
}

/* --- opening */

static const struct unit_key *
find_for_proof(void *context, uint64_t id)
{
    const DATA_KEY *key = data_keys_find(((CONNECTION *)context)->keys, id);

    return (key == NULL ? NULL : key->unit_key);
}

static int
refuse_without_keystore(const CONNECTION *connection, const HOME_PROOF *proof, STATUS *status)
{
    if (proof->kind == HOME_PLAIN) {
        (void)status_set(status, STATUS_REFUSED, "home-plain",
          "%s holds data that is not encrypted (%s)", connection->home, proof->evidence);
        return (status_hint(status,
          "an existing database is not encrypted in place: dump it and load it into an empty home, "
          "or let an empty replica set member copy it"));
    }
    if (proof->kind == HOME_FOREIGN)
        return (status_set(status, STATUS_REFUSED, "home-foreign",
          "%s holds data that something other than wiredtiger-kms encrypted (%s)", connection->home,
          proof->evidence));
    (void)status_set(status, STATUS_NO_KEY, "home-no-keystore",
      "%s holds data (%s) but no keystore", connection->home, proof->evidence);
    return (
      status_hint(status, "copy " KEYRING_FILE
                          " back, or run `wtkms keystore restore`; no new key is made for existing "
                          "data"));
}

/*
 * The lock file is there before extensions load when the host may write. Without it the host is
 * read-only, or an in-memory database whose files are not these.
 */
static bool
host_writes(int home_fd)
{
    struct stat sb;

    return (fstatat(home_fd, "WiredTiger.lock", &sb, AT_SYMLINK_NOFOLLOW) == 0 &&
            faccessat(home_fd, ".", W_OK, AT_EACCESS) == 0);
}

static int
open_keyring(CONNECTION *connection, STATUS *status)
{
    KEYRING_OPTIONS options = {0};
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    HOME_PROOF proof;
    bool found, writes;
    int ret;

    writes = host_writes(connection->home_fd);
    options.log = host_log_sink(connection->log);
    options.retry_for_ms = KEYRING_RETRY_CONFIGURED;
    options.read_only = !writes;
    options.defer_repair = true; /* a keystore that fails the proof must not reach the copies */
    if ((ret = home_proof_classify(connection->home_fd, connection->settings, &proof, status)) !=
          0 ||
        (ret = keyring_locate(connection->home_fd, connection->settings, &found, &source, &keystore,
           NULL, NULL, status)) != 0)
        return (ret);
    keystore_free(keystore);
    if (!found && proof.kind != HOME_FRESH)
        return (refuse_without_keystore(connection, &proof, status));
    if (found && (proof.kind == HOME_PLAIN || proof.kind == HOME_FOREIGN))
        return (refuse_without_keystore(connection, &proof, status));
    if (!found) {
        if ((ret = keyring_create(connection->home_fd, connection->settings, &options, !writes,
               &connection->keyring, status)) != 0)
            return (ret);
        log_printf(options.log, LOG_INFO, "made a keystore in %s%s", connection->home,
          writes ? "" : " (in memory only)");
    } else if ((ret = keyring_open(connection->home_fd, connection->settings, &options,
                  &connection->keyring, status)) != 0)
        return (ret);

    (void)pthread_mutex_lock(&connection->mutex);
    ret = load_keys(connection, status);
    connection->loaded_generation = keyring_generation(connection->keyring);
    (void)pthread_mutex_unlock(&connection->mutex);
    if (ret != 0)
        return (ret);
    if ((ret = home_proof_verify(
           connection->home_fd, connection->settings, find_for_proof, connection, status)) != 0)
        return (ret);
    keyring_repair_copies(connection->keyring);
    if (keyring_source(connection->keyring) == KEYRING_FROM_MIRROR) {
        if (writes && (ret = keyring_adopt(connection->keyring,
                         "restored from WiredTiger.config at open", status)) != 0)
            return (ret);
        log_printf(options.log, LOG_WARNING,
          "%s: " KEYRING_FILE " was missing; %s from the copy in "
          "WiredTiger.config",
          connection->home, writes ? "restored" : "read");
    }
    return (0);
}

static void
tell_opened(CONNECTION *connection)
{
    const LOG *log = host_log_sink(connection->log);
    const KEYSTORE *keystore = keyring_hold_keystore(connection->keyring);
    char uuid[KEYSTORE_UUID_TEXT];
    char provider[KMS_KEY_ID_MAX + 1], key_id[KMS_KEY_ID_MAX + 1], credential[KMS_KEY_ID_MAX + 1];

    keystore_uuid_text(keystore->uuid, uuid);
    if (!keyring_opened_by(connection->keyring, SETTINGS_DEFAULT_SCOPE, provider, key_id,
          credential, sizeof(key_id)))
        (void)snprintf(key_id, sizeof(key_id), "none");
    log_printf(log, LOG_INFO,
      "version " PACKAGE_VERSION
      ", WiredTiger %d.%d.%d, keystore %s generation %lld, Encryption Key "
      "ID %s",
      connection->abi.version.major, connection->abi.version.minor, connection->abi.version.patch,
      uuid, (long long)keystore->generation, key_id);
    keyring_release_keystore(connection->keyring, keystore);
    if (secret_unlocked_reason() != 0)
        log_printf(log, LOG_WARNING,
          "key memory could not be locked (errno %d); raise the limit of locked memory "
          "(LimitMEMLOCK=)",
          secret_unlocked_reason());
}

int
connection_open(WT_CONNECTION *wt_conn, const HOST_ABI *abi, HOST_LOG *log, WT_CONFIG_ARG *config,
  CONNECTION **connectionp, STATUS *status)
{
    CONNECTION *connection;
    int ret;

    *connectionp = NULL;
    if ((connection = calloc(1, sizeof(*connection))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "connection"));
    connection->abi = *abi;
    connection->log = log;
    connection->home_fd = -1;
    connection->started_at = clock_unix_ms();
    atomic_init(&connection->references, 1);
    (void)pthread_mutex_init(&connection->mutex, NULL);
    (void)pthread_mutex_init(&connection->state_mutex, NULL);

    if ((connection->home = strdup(abi->get_home(wt_conn))) == NULL) {
        ret = status_set_errno(status, ENOMEM, "memory", "connection");
        goto err;
    }
    if ((ret = host_config_read(
           abi->api, config, &connection->settings, &connection->config_path, status)) != 0 ||
        (ret = file_open_dir(connection->home, &connection->home_fd, status)) != 0)
        goto err;
    if (refusal_recall(connection->home_fd, connection->config_path, status)) {
        ret = (int)status->status_class;
        goto err;
    }
    if ((ret = unit_cipher_library_open(status)) != 0)
        goto err;
    connection->library = true;
    if ((ret = data_keys_new(&connection->keys, status)) != 0)
        goto err;
    if ((ret = open_keyring(connection, status)) != 0) {
        refusal_remember(connection->home_fd, connection->config_path, status);
        goto err;
    }
    tell_opened(connection);
    state_write(connection, false);
    host_log_queue(log);
    if (keyring_source(connection->keyring) != KEYRING_EPHEMERAL &&
        (ret = watcher_start(watch, connection, &connection->watcher, status)) != 0)
        goto err;
    if ((ret = start_access_check(connection, status)) != 0)
        goto err;
    *connectionp = connection;
    return (0);

err:
    connection->log = NULL; /* the caller's again */
    connection_release(connection);
    return (ret);
}

void
connection_release(CONNECTION *connection)
{
    HOST_LOG *log;

    if (connection == NULL ||
        atomic_fetch_sub_explicit(&connection->references, 1, memory_order_acq_rel) != 1)
        return;
    access_check_stop(connection->access_check);
    watcher_stop(connection->watcher);
    if (connection->watcher != NULL)
        state_write(connection, true);
    keyring_close(connection->keyring);
    data_keys_free(connection->keys);
    state_file_free_checks(connection->checks, connection->check_count);
    if (connection->library)
        unit_cipher_library_close();
    settings_free(connection->settings);
    free(connection->config_path);
    free(connection->home);
    if (connection->home_fd >= 0)
        (void)close(connection->home_fd);
    (void)pthread_mutex_destroy(&connection->mutex);
    (void)pthread_mutex_destroy(&connection->state_mutex);
    log = connection->log;
    free(connection);
    host_log_free(log);
}

/* --- encryptors */

int
connection_customize(CONNECTION *connection, const WT_ENCRYPTOR *iface, const char *keyid,
  ENCRYPTOR **encryptorp, STATUS *status)
{
    const DATA_KEY *key;
    ENCRYPTOR *encryptor;
    uint64_t id;
    bool created;
    int ret;

    *encryptorp = NULL;
    if (keyid[0] == '\0')
        keyid = SETTINGS_DEFAULT_SCOPE;
    if ((encryptor = calloc(1, sizeof(*encryptor))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "encryptor"));
    encryptor->iface = *iface;
    encryptor->connection = connection;

    /* File and key service first, without our lock: pages of other keyids go on being written. */
    if ((ret = keyring_ensure_data_key(connection->keyring, keyid, &id, &created, status)) != 0)
        goto err;
    (void)pthread_mutex_lock(&connection->mutex);
    if ((ret = load_keys(connection, status)) == 0 &&
        (ret = data_keys_intern(connection->keys, keyid, &encryptor->keyid, status)) == 0) {
        if ((key = data_keys_find(connection->keys, id)) == NULL)
            ret = status_set(status, STATUS_INTERNAL, "data-key-lost",
              "the data key of keyid %s is not in the keyring", keyid);
        else if ((ret = unit_cipher_new(key->unit_key, &encryptor->cipher, status)) == 0) {
            encryptor->active_id = id;
            encryptor->accepts_any = !connection->customized;
            connection->customized = true;
            encryptor->next = connection->encryptors;
            connection->encryptors = encryptor;
        }
    }
    (void)pthread_mutex_unlock(&connection->mutex);
    if (ret != 0)
        goto err;
    if (created)
        log_printf(host_log_sink(connection->log), LOG_INFO, "made data key %016llx for keyid %s",
          (unsigned long long)id, keyid);
    (void)atomic_fetch_add_explicit(&connection->references, 1, memory_order_relaxed);
    *encryptorp = encryptor;
    return (0);

err:
    free(encryptor);
    return (ret);
}

void
connection_uncustomize(ENCRYPTOR *encryptor)
{
    CONNECTION *connection = encryptor->connection;
    ENCRYPTOR **link;

    (void)pthread_mutex_lock(&connection->mutex);
    for (link = &connection->encryptors; *link != NULL; link = &(*link)->next)
        if (*link == encryptor) {
            *link = encryptor->next;
            break;
        }
    (void)pthread_mutex_unlock(&connection->mutex);
    unit_cipher_free(encryptor->cipher);
    free(encryptor);
    connection_release(connection);
}
