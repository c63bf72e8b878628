/*
 * keystore/access_probe.c -- Trying recipients. See access_probe.h.
 */
#include "keystore/access_probe.h"

#include "common/cancel.h"
#include "common/clock.h"
#include "keystore/payload.h"
#include "kms_clients/kms_client.h"

#include <stdio.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_TIMEOUT_MS \
    10000 /* of a provider without a network, which has no timeout of its own */

#define THREADS_MAX 16
#define STACK_BYTES (512 * 1024)

/* An entry of the configuration. */
typedef struct {
    const CONFIG_NODE *entry; /* names it; not used after prepare */
    KMS_CLIENT *client;
    bool failed; /* since it was made */
} SLOT;

/* A recorded recipient to try. */
typedef struct {
    size_t slot; /* SIZE_MAX: there is no client, the result stands */
    uint8_t uuid[KEYSTORE_UUID_LEN];
    uint64_t master_key_id;
    uint8_t *wrapped;
    size_t wrapped_len;
} PROBE;

struct access_prober {
    const LOG *log;
    SLOT *slots;
    size_t slot_count;
    PROBE *probes;
    ACCESS_RESULT *results; /* one for each probe */
    size_t count, room;
};

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a check of access"));
}

int
access_prober_new(const LOG *log, ACCESS_PROBER **proberp, STATUS *status)
{
    if ((*proberp = calloc(1, sizeof(**proberp))) == NULL)
        return (no_memory(status));
    (*proberp)->log = log;
    return (0);
}

static void
clear_probes(ACCESS_PROBER *prober)
{
    size_t i;

    for (i = 0; i < prober->count; i++) {
        free(prober->probes[i].wrapped);
        free(prober->results[i].scope);
        free(prober->results[i].provider);
        free(prober->results[i].key_id);
    }
    prober->count = 0;
}

void
access_prober_free(ACCESS_PROBER *prober)
{
    size_t i;

    if (prober == NULL)
        return;
    clear_probes(prober);
    for (i = 0; i < prober->slot_count; i++)
        kms_client_close(prober->slots[i].client);
    free(prober->slots);
    free(prober->probes);
    free(prober->results);
    free(prober);
}

/* --- listing */

static int
add_probe(ACCESS_PROBER *prober, const char *scope, const char *provider, const char *key_id,
  PROBE **probep, ACCESS_RESULT **resultp, STATUS *status)
{
    ACCESS_RESULT *result, *results;
    PROBE *probes;
    size_t room = prober->room == 0 ? 4 : 2 * prober->room;

    if (prober->count == prober->room) {
        if ((probes = reallocarray(prober->probes, room, sizeof(*probes))) == NULL)
            return (no_memory(status));
        prober->probes = probes;
        if ((results = reallocarray(prober->results, room, sizeof(*results))) == NULL)
            return (no_memory(status));
        prober->results = results;
        prober->room = room;
    }
    *probep = &prober->probes[prober->count];
    *resultp = result = &prober->results[prober->count++];
    memset(*probep, 0, sizeof(**probep));
    memset(result, 0, sizeof(*result));
    (*probep)->slot = SIZE_MAX;
    if ((result->scope = strdup(scope)) == NULL || (result->provider = strdup(provider)) == NULL ||
        (result->key_id = strdup(key_id)) == NULL)
        return (no_memory(status));
    return (0);
}

/* A value of an entry that could not be opened, to name it by. */
static const char *
entry_text(const CONFIG_NODE *entry, const char *name)
{
    const CONFIG_NODE *node = config_get(entry, name);

    return (node == NULL || node->value == NULL ? "" : node->value);
}

/* The recorded recipient that an entry seems to be for, by what both say; for a name in messages only. */
static const char *
recorded_name(const KEYSTORE_MASTER *master, const char *provider, const char *key)
{
    const KEYSTORE_RECIPIENT *recipient;
    size_t i;

    for (i = 0; i < master->recipient_count; i++) {
        recipient = &master->recipients[i];
        if (strcmp(recipient->provider, provider) == 0 &&
            (strcmp(recipient->key_id, key) == 0 || strcmp(recipient->credential, key) == 0))
            return (recipient->key_id);
    }
    return (key);
}

static int
add_failed(ACCESS_PROBER *prober, const KEYSTORE_MASTER *master, const CONFIG_NODE *entry,
  const STATUS *why, STATUS *status)
{
    const char *key = entry_text(entry, "key"), *provider = entry_text(entry, "provider");
    ACCESS_RESULT *result;
    PROBE *probe;
    int ret;

    if (key[0] == '\0')
        key = entry_text(entry, "keyFile");
    if ((ret = add_probe(prober, master->scope, provider, recorded_name(master, provider, key),
           &probe, &result, status)) != 0)
        return (ret);
    result->time = clock_unix_ms();
    result->status = *why;
    result->status_class = why->status_class;
    return (0);
}

static int
add_recipients(ACCESS_PROBER *prober, size_t slot, const KEYSTORE *keystore,
  const KEYSTORE_MASTER *master, STATUS *status)
{
    const KMS_CLIENT *client = prober->slots[slot].client;
    const KEYSTORE_RECIPIENT *recipient;
    ACCESS_RESULT *result;
    PROBE *probe;
    size_t i;
    int ret;

    for (i = 0; i < master->recipient_count; i++) {
        recipient = &master->recipients[i];
        if (!kms_client_matches(client, recipient->provider, recipient->key_id))
            continue;
        if ((ret = add_probe(prober, master->scope, recipient->provider, recipient->key_id, &probe,
               &result, status)) != 0)
            return (ret);
        if ((probe->wrapped = malloc(recipient->wrapped_len + 1)) == NULL)
            return (no_memory(status));
        memcpy(probe->wrapped, recipient->wrapped, recipient->wrapped_len);
        probe->wrapped_len = recipient->wrapped_len;
        memcpy(probe->uuid, keystore->uuid, sizeof(probe->uuid));
        probe->master_key_id = master->id;
        probe->slot = slot;
    }
    return (0);
}

static int
list_entry(ACCESS_PROBER *prober, size_t slot, const KEYSTORE *keystore,
  const KEYSTORE_MASTER *master, STATUS *status)
{
    SLOT *place = &prober->slots[slot];
    STATUS one;

    if (place->client != NULL && (place->failed || kms_client_timeout(place->client) == 0)) {
        kms_client_close(place->client);
        place->client = NULL;
    }
    if (place->client == NULL) {
        status_clear(&one);
        place->failed = false;
        if (kms_client_open(place->entry, prober->log, &place->client, &one) != 0)
            return (add_failed(prober, master, place->entry, &one, status));
    }
    if (!kms_client_can_unwrap(place->client))
        return (0);
    return (add_recipients(prober, slot, keystore, master, status));
}

int
access_prober_prepare(
  ACCESS_PROBER *prober, const SETTINGS *settings, const KEYSTORE *keystore, STATUS *status)
{
    const SETTINGS_SCOPE *scope;
    const KEYSTORE_MASTER *master;
    size_t i, entry, slot, count = 0;
    int ret;

    clear_probes(prober);
    for (i = 0; i < settings->scope_count; i++)
        count += settings->scopes[i].count;
    if (prober->slots == NULL) {
        if ((prober->slots = calloc(count + 1, sizeof(*prober->slots))) == NULL)
            return (no_memory(status));
        prober->slot_count = count;
    }
    for (i = 0, slot = 0; i < settings->scope_count; i++) {
        scope = &settings->scopes[i];
        master = keystore_active_master(keystore, scope->name);
        for (entry = 0; entry < scope->count; entry++, slot++) {
            prober->slots[slot].entry = scope->entries[entry];
            /* A keyid that was not used yet has no master key to try. */
            if (master != NULL && (ret = list_entry(prober, slot, keystore, master, status)) != 0)
                return (ret);
        }
    }
    return (0);
}

/* --- asking */

static void
ask(SLOT *slot, const PROBE *probe, ACCESS_RESULT *result)
{
    KMS_CONTEXT context = {.master_key_id = probe->master_key_id, .scope = result->scope};
    KMS_RECORDED recorded = {.provider = result->provider,
      .key_id = result->key_id,
      .wrapped = probe->wrapped,
      .wrapped_len = probe->wrapped_len};
    SECRET *payload = NULL, *key = NULL;
    int64_t start = clock_ms(), timeout = kms_client_timeout(slot->client);
    int ret;

    memcpy(context.keystore_uuid, probe->uuid, sizeof(context.keystore_uuid));
    status_clear(&result->status);
    result->time = clock_unix_ms();
    ret = kms_client_unwrap(slot->client, timeout == 0 ? LOCAL_TIMEOUT_MS : (int)timeout, &context,
      &recorded, &payload, &result->status);
    if (ret == 0)
        ret = payload_open(
          payload, probe->uuid, probe->master_key_id, result->scope, &key, &result->status);
    result->ms = clock_ms() - start;
    result->status_class = (STATUS_CLASS)ret;
    slot->failed |= ret != 0;
    secret_free(key);
    secret_free(payload);
}

/* --- all entries at the same time: one service that does not answer delays no other one */

typedef struct {
    ACCESS_PROBER *prober;
    const atomic_bool *stop;
    void (*ask)(SLOT *slot, const PROBE *probe, ACCESS_RESULT *result);
    atomic_size_t next; /* slot */
} ROUND;

/* A client is for one thread at a time, so what an entry has to try is tried by one. */
static void
ask_slots(ROUND *round)
{
    ACCESS_PROBER *prober = round->prober;
    size_t i, slot;

    while ((slot = atomic_fetch_add(&round->next, 1)) < prober->slot_count)
        for (i = 0; i < prober->count; i++) {
            if (round->stop != NULL && atomic_load(round->stop))
                return;
            if (prober->probes[i].slot == slot)
                round->ask(&prober->slots[slot], &prober->probes[i], &prober->results[i]);
        }
}

static void *
ask_in_thread(void *arg)
{
    ROUND *round = arg;

    cancel_watch(round->stop);
    ask_slots(round);
    return (NULL);
}

/* Entries that may have to wait for an answer; a thread for reading a file is not worth its start. */
static size_t
count_remote(const ACCESS_PROBER *prober)
{
    size_t i, probe, count = 0;

    for (i = 0; i < prober->slot_count; i++) {
        for (probe = 0; probe < prober->count && prober->probes[probe].slot != i;)
            probe++;
        if (probe < prober->count && kms_client_timeout(prober->slots[i].client) != 0)
            count++;
    }
    return (count);
}

static void
ask_all(ROUND *round)
{
    pthread_t threads[THREADS_MAX];
    pthread_attr_t attr;
    sigset_t all, old;
    size_t i, count = 0, remote = count_remote(round->prober);

    atomic_init(&round->next, 0);
    if (remote > 1) {
        (void)sigfillset(&all);
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
        (void)pthread_sigmask(SIG_SETMASK, &all, &old);
        while (count < THREADS_MAX && count + 1 < remote &&
               pthread_create(&threads[count], &attr, ask_in_thread, round) == 0)
            count++;
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
        (void)pthread_attr_destroy(&attr);
    }
    /* This thread asks too: for all, when no other one can be had. */
    ask_slots(round);
    for (i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
}

bool
access_prober_run(ACCESS_PROBER *prober, const atomic_bool *stop)
{
    ROUND round = {.prober = prober, .stop = stop, .ask = ask};

    ask_all(&round);
    return (stop == NULL || !atomic_load(stop));
}

static void
describe(SLOT *slot, const PROBE *probe, ACCESS_RESULT *result)
{
    KMS_KEY_INFO info;
    STATUS ignored;
    int64_t timeout = kms_client_timeout(slot->client);

    (void)probe;
    if (result->status_class != STATUS_DISABLED && result->status_class != STATUS_NOT_FOUND)
        return;
    status_clear(&ignored);
    if (kms_client_describe(slot->client, timeout == 0 ? LOCAL_TIMEOUT_MS : (int)timeout,
          result->key_id, &info, &ignored) != 0 ||
        (info.state != KMS_KEY_DISABLED && info.state != KMS_KEY_PENDING_DELETION))
        return;
    result->pending_deletion = info.state == KMS_KEY_PENDING_DELETION;
    (void)snprintf(result->key_detail, sizeof(result->key_detail), "%s", info.detail);
}

void
access_prober_describe(ACCESS_PROBER *prober)
{
    ROUND round = {.prober = prober, .ask = describe};

    ask_all(&round);
}

const ACCESS_RESULT *
access_prober_results(const ACCESS_PROBER *prober, size_t *countp)
{
    *countp = prober->count;
    return (prober->results);
}
