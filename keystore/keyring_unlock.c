/*
 * keystore/keyring_unlock.c -- Master keys through the key services. See keyring_private.h.
 *
 * The file is not believed here: an identifier that it records is sent only to the key that the
 * configuration names, which kms_client_matches decides.
 */
#include "keystore/keyring_private.h"

#include "common/clock.h"
#include "crypto/random.h"
#include "keystore/keystore_format.h"
#include "keystore/payload.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 16
#define BACKOFF_FIRST_MS 100
#define BACKOFF_DOUBLINGS 7
#define BACKOFF_MAX_MS 10000
#define CALL_DEFAULT_MS 10000 /* of an entry without a timeout: there is no network */

/*
 * Wait before another try: half of the step and a random part of the other half, so that a fleet
 * that lost its key service together does not come back together. False when time is up.
 */
static bool
back_off(unsigned attempt, int64_t end)
{
    struct timespec pause;
    STATUS ignored;
    int64_t left = end - clock_ms();
    int64_t step = attempt < BACKOFF_DOUBLINGS ? BACKOFF_FIRST_MS << attempt : BACKOFF_MAX_MS;
    uint32_t random = 0;

    if (left <= 0)
        return (false);
    status_clear(&ignored);
    if (random_bytes(&random, sizeof(random), &ignored) != 0)
        random = 0;
    step = step / 2 + (int64_t)(random % (uint32_t)(step / 2 + 1));
    if (step > left)
        step = left;
    pause.tv_sec = (time_t)(step / 1000);
    pause.tv_nsec = (long)(step % 1000) * 1000000;
    (void)nanosleep(&pause, NULL);
    return (true);
}

/* --- what the caller or else the entry says */

static int
call_timeout(const KMS_CLIENT *client, int timeout_ms)
{
    int64_t own = kms_client_timeout(client);

    return (timeout_ms != 0 ? timeout_ms : own != 0 ? (int)own : CALL_DEFAULT_MS);
}

/* The moment, in clock_ms, until which a client's UNAVAILABLE is tried again. */
static int64_t
retry_end(const KMS_CLIENT *client, int64_t start, int64_t retry_for_ms)
{
    return (start + (retry_for_ms == KEYRING_RETRY_CONFIGURED ? kms_client_retry_for(client)
                                                              : retry_for_ms));
}

/* --- the clients of one scope */

typedef struct {
    const SETTINGS_SCOPE *scope;
    KMS_CLIENT *clients[KEYSTORE_RECIPIENTS_MAX]; /* NULL where it could not be opened */
    STATUS failure;                               /* of the first that could not */
} CLIENTS;

static void
close_clients(CLIENTS *clients)
{
    size_t i;

    if (clients == NULL)
        return;
    for (i = 0; i < clients->scope->count; i++)
        kms_client_close(clients->clients[i]);
    free(clients);
}

/* One that cannot be opened does not stop the others: its key file may be on a lost disk. */
static int
open_clients(const KEYRING *keyring, const SETTINGS *settings, const char *scope,
  CLIENTS **clientsp, STATUS *status)
{
    CLIENTS *clients;
    STATUS one;
    size_t i;

    *clientsp = NULL;
    if ((clients = calloc(1, sizeof(*clients))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for key services"));
    clients->scope = settings_scope_of(settings, scope);
    for (i = 0; i < clients->scope->count; i++) {
        status_clear(&one);
        if (kms_client_open(
              clients->scope->entries[i], keyring->options.log, &clients->clients[i], &one) != 0 &&
            clients->failure.status_class == STATUS_OK)
            clients->failure = one;
    }
    *clientsp = clients;
    return (0);
}

/* --- unwrapping */

typedef struct {
    KMS_CLIENT *client;
    size_t recipient;
    int64_t end;   /* of tries, in clock_ms */
    bool is_final; /* its answer will not change by asking again, or its time is up */
} ATTEMPT;

/* "aws arn:aws:kms:..., local local:1f2e": appended to a list that has room for it. */
static void
list_key(char *list, size_t size, const char *provider, const char *key_id, const char *note)
{
    size_t used = strlen(list);

    (void)snprintf(
      list + used, size - used, "%s%s %s%s", used == 0 ? "" : ", ", provider, key_id, note);
}

/* Both lists, since what is missing is in their difference. */
static int
nothing_matches(const CLIENTS *clients, const KEYSTORE_MASTER *master, STATUS *status)
{
    char configured[400] = "", recorded[400] = "";
    size_t i;

    for (i = 0; i < master->recipient_count; i++)
        list_key(recorded, sizeof(recorded), master->recipients[i].provider,
          master->recipients[i].key_id, "");
    for (i = 0; i < clients->scope->count; i++)
        if (clients->clients[i] != NULL)
            list_key(configured, sizeof(configured), kms_client_provider(clients->clients[i]),
              kms_client_key(clients->clients[i]),
              kms_client_can_unwrap(clients->clients[i]) ? "" : " (wraps only)");
    (void)status_set(status, STATUS_NO_KEY, "keystore-no-recipient",
      "no configured key opens scope \"%s\" of the keystore; it is wrapped for [%s], configured is "
      "[%s]",
      master->scope, recorded, configured);
    return (status_hint(status, "name one of its keys under kms: in wtkms.conf"));
}

static size_t
list_attempts(const CLIENTS *clients, const KEYSTORE_MASTER *master, ATTEMPT *attempts)
{
    size_t c, r, count = 0;

    for (c = 0; c < clients->scope->count; c++) {
        if (clients->clients[c] == NULL || !kms_client_can_unwrap(clients->clients[c]))
            continue;
        for (r = 0; r < master->recipient_count; r++)
            if (kms_client_matches(clients->clients[c], master->recipients[r].provider,
                  master->recipients[r].key_id)) {
                attempts[count].client = clients->clients[c];
                attempts[count++].recipient = r;
            }
    }
    return (count);
}

static int
try_one(const KEYRING *keyring, const KEYSTORE *keystore, const ATTEMPT *attempt, KEYRING_JOB *job,
  STATUS *status)
{
    const KEYSTORE_MASTER *master = job->master;
    const KEYSTORE_RECIPIENT *recipient = &master->recipients[attempt->recipient];
    KMS_CONTEXT context = {.master_key_id = master->id, .scope = master->scope};
    KMS_RECORDED recorded = {.provider = recipient->provider,
      .key_id = recipient->key_id,
      .wrapped = recipient->wrapped,
      .wrapped_len = recipient->wrapped_len};
    SECRET *payload;
    int ret;

    memcpy(context.keystore_uuid, keystore->uuid, sizeof(context.keystore_uuid));
    if ((ret = kms_client_unwrap(attempt->client,
           call_timeout(attempt->client, keyring->options.kms_timeout_ms), &context, &recorded,
           &payload, status)) != 0)
        return (ret);
    ret = payload_open(payload, keystore->uuid, master->id, master->scope, &job->key, status);
    secret_free(payload);
    if (ret == 0)
        job->recipient = attempt->recipient;
    return (ret);
}

/* One line for each class: what a database that does not come up is waiting for. */
static void
tell_retry(const KEYRING *keyring, const KEYRING_JOB *job, const ATTEMPT *attempt,
  const STATUS *status, unsigned *toldp)
{
    char line[sizeof(status->message) + sizeof(status->hint) + 64];
    int64_t left = attempt->end - clock_ms();

    if ((*toldp & 1u << status->status_class) != 0)
        return;
    *toldp |= 1u << status->status_class;
    log_printf(keyring->options.log, LOG_WARNING,
      "scope \"%s\" of the keystore waits for %s %s (%s), for up to %lld more seconds: %s",
      job->master->scope, job->master->recipients[attempt->recipient].provider,
      job->master->recipients[attempt->recipient].key_id, status_class_name(status->status_class),
      (long long)(left + 999) / 1000, status_format(status, line, sizeof(line)));
}

/* All that are not final, once. */
static int
try_all(const KEYRING *keyring, const KEYSTORE *keystore, ATTEMPT *attempts, size_t count,
  KEYRING_JOB *job, unsigned *toldp, bool *may_retryp)
{
    STATUS one;
    size_t i;
    int ret = STATUS_INTERNAL;

    *may_retryp = false;
    for (i = 0; i < count; i++) {
        if (attempts[i].is_final)
            continue;
        status_clear(&one);
        if ((ret = try_one(keyring, keystore, &attempts[i], job, &one)) == 0)
            break;
        attempts[i].is_final = ret != STATUS_UNAVAILABLE || clock_ms() >= attempts[i].end;
        if (!attempts[i].is_final) {
            *may_retryp = true;
            tell_retry(keyring, job, &attempts[i], &one, toldp);
        }
        /* The first recipient's failure is the one that is told and that gives the class. */
        if (job->status.status_class == STATUS_OK)
            job->status = one;
    }
    return (ret);
}

static void
warn_opened(const KEYRING *keyring, const KEYRING_JOB *job)
{
    const KEYSTORE_RECIPIENT *opener = &job->master->recipients[job->recipient];

    if (job->status.status_class != STATUS_OK)
        log_printf(keyring->options.log, LOG_WARNING,
          "scope \"%s\" of the keystore was opened by %s %s, but not by every configured key: %s",
          job->master->scope, opener->provider, opener->key_id, job->status.message);
}

static void
run_job(const KEYRING *keyring, const KEYSTORE *keystore, KEYRING_JOB *job, int64_t retry_for_ms)
{
    CLIENTS *clients;
    ATTEMPT attempts[KEYSTORE_RECIPIENTS_MAX * KEYSTORE_RECIPIENTS_MAX] = {0};
    size_t count;
    int64_t start = clock_ms(), end = start;
    unsigned tries = 0, told = 0;
    size_t i;
    bool may_retry;

    status_clear(&job->status);
    if ((job->ret = open_clients(
           keyring, keyring->settings, job->master->scope, &clients, &job->status)) != 0)
        return;
    job->status = clients->failure;
    if ((count = list_attempts(clients, job->master, attempts)) == 0)
        job->ret = clients->failure.status_class != STATUS_OK
                     ? (int)clients->failure.status_class
                     : nothing_matches(clients, job->master, &job->status);
    else {
        for (i = 0; i < count; i++) {
            attempts[i].end = retry_end(attempts[i].client, start, retry_for_ms);
            if (attempts[i].end > end)
                end = attempts[i].end;
        }
        do {
            job->ret = try_all(keyring, keystore, attempts, count, job, &told, &may_retry);
        } while (job->ret != 0 && may_retry && back_off(tries++, end));
        if (job->ret == 0)
            warn_opened(keyring, job);
        else
            job->ret = (int)status_add(&job->status,
              "so scope \"%s\" of the keystore is closed (%s, tried for %lld seconds)",
              job->master->scope, status_class_name(job->status.status_class),
              (long long)(clock_ms() - start) / 1000);
    }
    close_clients(clients);
}

typedef struct {
    const KEYRING *keyring;
    const KEYSTORE *keystore;
    KEYRING_JOB *jobs;
    size_t count;
    int64_t retry_for_ms;
    atomic_size_t next;
} WORK;

static void *
work(void *context)
{
    WORK *all = context;
    size_t i;

    while ((i = atomic_fetch_add(&all->next, 1)) < all->count)
        run_job(all->keyring, all->keystore, &all->jobs[i], all->retry_for_ms);
    return (NULL);
}

int
keyring_unlock(const KEYRING *keyring, const KEYSTORE *keystore, KEYRING_JOB *jobs, size_t count,
  int64_t retry_for_ms, STATUS *status)
{
    WORK all = {.keyring = keyring,
      .keystore = keystore,
      .jobs = jobs,
      .count = count,
      .retry_for_ms = retry_for_ms};
    pthread_t threads[THREADS_MAX];
    sigset_t blocked, before;
    size_t i, thread_count = 0;

    atomic_init(&all.next, 0);
    /* The host's signals are for threads of its own. */
    (void)sigfillset(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    while (thread_count < THREADS_MAX && thread_count + 1 < count) {
        if (pthread_create(&threads[thread_count], NULL, work, &all) != 0)
            break;
        thread_count++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    /* This thread works too: it does all when no other could be started, or only one is needed. */
    (void)work(&all);
    for (i = 0; i < thread_count; i++)
        (void)pthread_join(threads[i], NULL);
    for (i = 0; i < count; i++)
        if (jobs[i].ret != 0) {
            *status = jobs[i].status;
            return (jobs[i].ret);
        }
    return (0);
}

/* --- wrapping */

static int
wrap_and_retry(KMS_CLIENT *client, int timeout_ms, int64_t end, const KMS_CONTEXT *context,
  const SECRET *payload, KMS_WRAPPED *wrapped, STATUS *status)
{
    unsigned tries = 0;
    int ret;

    do {
        status_clear(status);
        ret = kms_client_wrap(client, timeout_ms, context, payload, wrapped, status);
    } while (ret == STATUS_UNAVAILABLE && back_off(tries++, end));
    return (ret);
}

/* What was wrapped must open again, by what is recorded and nothing else. */
static int
prove(KMS_CLIENT *client, int timeout_ms, int64_t end, const KMS_CONTEXT *context,
  const KEYSTORE_RECIPIENT *recipient, const SECRET *payload, STATUS *status)
{
    KMS_RECORDED recorded = {.provider = recipient->provider,
      .key_id = recipient->key_id,
      .wrapped = recipient->wrapped,
      .wrapped_len = recipient->wrapped_len};
    SECRET *again = NULL;
    unsigned tries = 0;
    int ret;

    do {
        status_clear(status);
        ret = kms_client_unwrap(client, timeout_ms, context, &recorded, &again, status);
    } while (ret == STATUS_UNAVAILABLE && back_off(tries++, end));
    if (ret != 0)
        return (status_add(status, "right after it wrapped the same master key"));
    if (!secret_equal(again, payload))
        ret = status_set(status, STATUS_BAD_REPLY, "kms-proof",
          "%s %s did not unwrap what it wrapped", recipient->provider, recipient->key_id);
    secret_free(again);
    return (ret);
}

static int
add_recipient(KEYSTORE_MASTER *master, const KMS_CLIENT *client, KMS_WRAPPED *wrapped,
  KEYSTORE_RECIPIENT **recipientp, STATUS *status)
{
    const char *credential = wrapped->credential == NULL ? "" : wrapped->credential;
    KEYSTORE_RECIPIENT *recipient;
    int ret;

    if (!kms_client_matches(client, kms_client_provider(client), wrapped->key_id))
        return (status_set(status, STATUS_BAD_REPLY, "kms-other-key",
          "%s %s answered with the name of another key, %s", kms_client_provider(client),
          kms_client_key(client), wrapped->key_id));
    if ((ret = keystore_add_recipient(master, recipientp, status)) != 0)
        return (ret);
    recipient = *recipientp;
    recipient->time = keystore_now();
    recipient->wrapped = wrapped->wrapped;
    recipient->wrapped_len = wrapped->wrapped_len;
    recipient->key_id = wrapped->key_id;
    wrapped->wrapped = NULL;
    wrapped->key_id = NULL;
    if ((recipient->provider = strdup(kms_client_provider(client))) == NULL ||
        (recipient->credential = strdup(credential)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a recipient"));
    return (0);
}

static int
wrap_for_all(const KEYSTORE *keystore, CLIENTS *clients, KEYSTORE_MASTER *master,
  const SECRET *payload, int timeout_ms, int64_t retry_for_ms, size_t *openerp, STATUS *status)
{
    KMS_CONTEXT context = {.master_key_id = master->id, .scope = master->scope};
    KMS_WRAPPED wrapped;
    KMS_CLIENT *client;
    KEYSTORE_RECIPIENT *recipient;
    int64_t end, start = clock_ms();
    size_t i;
    int ret, timeout;

    memcpy(context.keystore_uuid, keystore->uuid, sizeof(context.keystore_uuid));
    *openerp = SIZE_MAX;
    for (i = 0; i < clients->scope->count; i++) {
        client = clients->clients[i];
        timeout = call_timeout(client, timeout_ms);
        end = retry_end(client, start, retry_for_ms);
        if ((ret = wrap_and_retry(client, timeout, end, &context, payload, &wrapped, status)) != 0)
            return (ret);
        ret = add_recipient(master, client, &wrapped, &recipient, status);
        kms_wrapped_release(&wrapped);
        if (ret != 0)
            return (ret);
        if (!kms_client_can_unwrap(client))
            continue;
        if ((ret = prove(client, timeout, end, &context, recipient, payload, status)) != 0)
            return (ret);
        if (*openerp == SIZE_MAX)
            *openerp = i;
    }
    if (*openerp == SIZE_MAX)
        return (status_set(status, STATUS_CONFIG, "keystore-no-opener",
          "scope \"%s\" has only keys that wrap: nothing could open the keystore again",
          master->scope));
    return (0);
}

int
keyring_wrap_master(const KEYRING *keyring, const SETTINGS *settings, const KEYSTORE *keystore,
  KEYSTORE_MASTER *master, const SECRET *key, int timeout_ms, int64_t retry_for_ms, size_t *openerp,
  STATUS *status)
{
    KEYSTORE_MASTER work_master = *master;
    CLIENTS *clients = NULL;
    SECRET *payload = NULL;
    int ret;

    work_master.recipients = NULL;
    work_master.recipient_count = 0;
    if ((ret = open_clients(keyring, settings, master->scope, &clients, status)) != 0)
        goto err;
    /* Unlike for an unwrap: a recipient left out now is a way back in that is missing later. */
    if (clients->failure.status_class != STATUS_OK) {
        *status = clients->failure;
        ret = (int)status->status_class;
        goto err;
    }
    if ((ret = payload_new(keystore->uuid, master->id, master->scope, key, &payload, status)) !=
          0 ||
        (ret = wrap_for_all(keystore, clients, &work_master, payload, timeout_ms, retry_for_ms,
           openerp, status)) != 0)
        goto err;
    keystore_clear_recipients(master);
    master->recipients = work_master.recipients;
    master->recipient_count = work_master.recipient_count;
    work_master.recipients = NULL;
    work_master.recipient_count = 0;

err:
    keystore_clear_recipients(&work_master);
    secret_free(payload);
    close_clients(clients);
    return (ret);
}
