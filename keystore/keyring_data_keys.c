/*
 * keystore/keyring_data_keys.c -- The data keys of a view, unwrapped. See keyring_private.h.
 *
 * Layer: keystore. Of ten thousand each thread takes a part, and what an earlier view holds is not
 * computed again: a host opens, and a rotation verifies, in a fraction of a second.
 */
#include "keystore/keyring_private.h"

#include "keystore/keystore_index.h"
#include "keystore/payload.h"

#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SHARE 1024 /* data keys at a time; fewer are not worth a thread */
#define THREADS_MAX 4

typedef struct {
    KEYRING_VIEW *view;
    const KEYRING_VIEW *old; /* may be NULL */
    atomic_size_t next;      /* share that no thread has taken */
    atomic_bool failed;
    pthread_mutex_t lock; /* of the below */
    int ret;              /* the first error */
    STATUS status;
} OPENING;

/* --- what is known already; the same keys mostly stand at the same places */

static const KEYRING_SECRET *
find_secret(const KEYRING_VIEW *view, size_t place, uint64_t id)
{
    if (place < view->secret_count && view->secrets[place].id == id)
        return (&view->secrets[place]);
    return (keyring_view_secret(view, id));
}

static const KEYSTORE_DATA_KEY *
find_data_key(const KEYSTORE *keystore, size_t position, uint64_t id)
{
    if (position < keystore->data_key_count && keystore->data_keys[position].id == id)
        return (&keystore->data_keys[position]);
    return (keystore_data_key(keystore, id));
}

/* Whether a secret was unwrapped from what still is the same. */
static bool
is_current(const KEYRING_VIEW *old, const KEYRING_SECRET *held, const KEYSTORE_DATA_KEY *data_key)
{
    const KEYSTORE_DATA_KEY *before;

    if (held->is_rewrapped)
        return (false);
    before = find_data_key(old->keystore, held->position, data_key->id);
    return (before != NULL && before->master_key_id == data_key->master_key_id &&
            before->version == data_key->version && strcmp(before->keyid, data_key->keyid) == 0 &&
            memcmp(before->wrapped, data_key->wrapped, sizeof(before->wrapped)) == 0 &&
            memcmp(before->commitment, data_key->commitment, sizeof(before->commitment)) == 0);
}

static int
open_one(const OPENING *opening, PAYLOAD_WRAPPER *wrapper, size_t place, STATUS *status)
{
    const KEYRING_VIEW *old = opening->old, *view = opening->view;
    KEYRING_SECRET *secret = &view->secrets[place];
    const KEYSTORE_DATA_KEY *data_key = &view->keystore->data_keys[secret->position];
    const KEYRING_MASTER *master;
    const KEYRING_SECRET *held = old == NULL ? NULL : find_secret(old, place, data_key->id);
    PAYLOAD_KNOWN known;

    memcpy(secret->commitment, data_key->commitment, sizeof(secret->commitment));
    if (held != NULL && is_current(old, held, data_key))
        return (secret_new_copy(
          secret_bytes(held->secret), secret_len(held->secret), &secret->secret, status));
    /* keystore_check has seen that it is there; keyring_unlock that it is open. */
    if ((master = keyring_view_master(view, data_key->master_key_id)) == NULL)
        return (status_set(status, STATUS_INTERNAL, "keyring-master",
          "master key %016" PRIx64 " is not at hand", data_key->master_key_id));
    if (held != NULL) {
        known.secret = held->secret;
        known.commitment = held->commitment;
    }
    return (payload_unwrap_data_key(wrapper, master->wrap_key, view->keystore->uuid, data_key,
      held == NULL ? NULL : &known, &secret->secret, status));
}

/* --- shares of the work */

static void
fail(OPENING *opening, int ret, const STATUS *status)
{
    (void)pthread_mutex_lock(&opening->lock);
    if (opening->ret == 0) {
        opening->ret = ret;
        opening->status = *status;
    }
    (void)pthread_mutex_unlock(&opening->lock);
    atomic_store(&opening->failed, true);
}

static void *
work(void *context)
{
    OPENING *opening = context;
    const KEYRING_VIEW *view = opening->view;
    PAYLOAD_WRAPPER *wrapper;
    STATUS status;
    size_t end, place;
    int ret;

    status_clear(&status);
    if ((ret = payload_wrapper_new(&wrapper, &status)) != 0)
        fail(opening, ret, &status);
    while (ret == 0 && !atomic_load(&opening->failed)) {
        place = atomic_fetch_add(&opening->next, 1) * SHARE;
        if (place >= view->secret_count)
            break;
        end = view->secret_count - place < SHARE ? view->secret_count : place + SHARE;
        for (; ret == 0 && place < end; place++)
            if ((ret = open_one(opening, wrapper, place, &status)) != 0)
                fail(opening, ret, &status);
    }
    payload_wrapper_free(wrapper);
    return (NULL);
}

/* How many threads there is work for, and a processor. */
static size_t
count_threads(size_t shares)
{
    cpu_set_t set;
    size_t processors = 1;

    if (shares > 1 && sched_getaffinity(0, sizeof(set), &set) == 0)
        processors = (size_t)CPU_COUNT(&set);
    if (processors > THREADS_MAX)
        processors = THREADS_MAX;
    return (shares < processors ? shares : processors);
}

/* All but the secrets themselves, in the order of their ids. */
static int
list_secrets(KEYRING_VIEW *view, STATUS *status)
{
    const KEYSTORE *keystore = view->keystore;
    KEYRING_SECRET *secret;
    size_t i, position;

    if ((view->secrets = calloc(keystore->data_key_count + 1, sizeof(*view->secrets))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keyring"));
    for (i = 0; i < keystore->data_key_count; i++) {
        position = keystore->index->data_keys_by_id[i];
        if (keystore->data_keys[position].state == KEYSTORE_RETIRED)
            continue;
        secret = &view->secrets[view->secret_count++];
        secret->id = keystore->data_keys[position].id;
        secret->position = position;
    }
    return (0);
}

int
keyring_open_data_keys(KEYRING_VIEW *view, const KEYRING_VIEW *old,
  int (*check)(const KEYRING_VIEW *view, const uint8_t *data, size_t len, STATUS *status),
  const uint8_t *data, size_t len, STATUS *status)
{
    OPENING opening = {.view = view, .old = old};
    pthread_t threads[THREADS_MAX];
    sigset_t blocked, before;
    size_t count = 0, i, wanted;
    int ret;

    if ((ret = list_secrets(view, status)) != 0)
        return (ret);
    atomic_init(&opening.next, 0);
    atomic_init(&opening.failed, false);
    (void)pthread_mutex_init(&opening.lock, NULL);
    wanted = count_threads((view->secret_count + SHARE - 1) / SHARE);
    /* The host's signals are for threads of its own. */
    (void)sigfillset(&blocked);
    (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
    while (count + 1 < wanted && pthread_create(&threads[count], NULL, work, &opening) == 0)
        count++;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    /* Then all or a part of the work is this thread's. */
    if ((ret = check(view, data, len, status)) != 0)
        atomic_store(&opening.failed, true);
    (void)work(&opening);
    for (i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
    (void)pthread_mutex_destroy(&opening.lock);
    if (ret == 0 && (ret = opening.ret) != 0)
        *status = opening.status;
    return (ret);
}
