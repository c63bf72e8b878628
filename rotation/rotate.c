/*
 * rotation/rotate.c -- Rotations as edits of the keystore. See rotate.h.
 *
 * What is done, how it is written and when it is believed is keystore/'s affair; here is decided
 * which keys are concerned, and what there is to tell.
 */
#include "rotation/rotate.h"

#include "common/clock.h"
#include "crypto/random.h"
#include "kms_clients/kms_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const SETTINGS *settings; /* whose recipients are wrapped for */
    const ROTATE_OPTIONS *options;
    const char *name;            /* scope or keyid; NULL: all */
    bool is_new_master, is_data; /* neither: rotate_cmk */
    ROTATE_RESULT *result;
} ROTATION;

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for a rotation"));
}

void
rotate_release(ROTATE_RESULT *result)
{
    size_t i;

    for (i = 0; i < result->count; i++) {
        free(result->steps[i].name);
        free(result->steps[i].old_recipients);
        free(result->steps[i].new_recipients);
    }
    free(result->steps);
    memset(result, 0, sizeof(*result));
}

/* Room for as many steps as there are keys, so that adding one can hardly fail halfway. */
static int
make_room(ROTATE_RESULT *result, size_t count, STATUS *status)
{
    rotate_release(result);
    if ((result->steps = calloc(count + 1, sizeof(*result->steps))) == NULL)
        return (no_memory(status));
    return (0);
}

static int
add_step(ROTATE_RESULT *result, const char *name, ROTATE_STEP **stepp, STATUS *status)
{
    ROTATE_STEP *step = &result->steps[result->count++];

    *stepp = step;
    return ((step->name = strdup(name)) == NULL ? no_memory(status) : 0);
}

/* --- recipients as text */

static int
list_recipient(char **listp, const char *provider, const char *key_id, STATUS *status)
{
    size_t used = *listp == NULL ? 0 : strlen(*listp);
    size_t size = used + strlen(provider) + strlen(key_id) + sizeof(",  ");
    char *list;

    if ((list = realloc(*listp, size)) == NULL)
        return (no_memory(status));
    (void)snprintf(list + used, size - used, "%s%s %s", used == 0 ? "" : ", ", provider, key_id);
    *listp = list;
    return (0);
}

static int
list_recorded(const KEYSTORE_MASTER *master, char **listp, STATUS *status)
{
    size_t i;
    int ret = 0;

    for (i = 0; ret == 0 && i < master->recipient_count; i++)
        ret = list_recipient(
          listp, master->recipients[i].provider, master->recipients[i].key_id, status);
    return (ret);
}

/* What a plan can know: the key as configured. An alias stays one until it wraps. */
static int
list_configured(const ROTATION *rotation, const char *scope, char **listp, STATUS *status)
{
    const SETTINGS_SCOPE *configured = settings_scope_of(rotation->settings, scope);
    KMS_CLIENT *client;
    size_t i;
    int ret;
    bool opens = false;

    for (i = 0; i < configured->count; i++) {
        if ((ret = kms_client_open(
               configured->entries[i], rotation->options->log, &client, status)) != 0)
            return (ret);
        opens = opens || kms_client_can_unwrap(client);
        ret = list_recipient(listp, kms_client_provider(client), kms_client_key(client), status);
        kms_client_close(client);
        if (ret != 0)
            return (ret);
    }
    if (!opens)
        return (status_set(status, STATUS_CONFIG, "rotate-no-opener",
          "scope \"%s\" has only keys that wrap: nothing could open the keystore again", scope));
    return (0);
}

/* --- master keys */

/*
 * A scope that the configuration does not name would be wrapped for the recipients of `kms:`: a
 * tenant's keys for others than the tenant.
 */
int
rotate_check_scope(const SETTINGS *settings, const char *scope, STATUS *status)
{
    if (strcmp(settings_scope_of(settings, scope)->name, scope) == 0)
        return (0);
    (void)status_set(status, STATUS_CONFIG, "rotate-scope-unconfigured",
      "keyid \"%s\" has a master key of its own in the keystore, but no keys in the configuration",
      scope);
    return (status_hint(status, "name its recipients under keys: in wtkms.conf"));
}

static bool
is_concerned(const ROTATION *rotation, const KEYSTORE_MASTER *master)
{
    return (master->state == KEYSTORE_ACTIVE &&
            (rotation->name == NULL || strcmp(rotation->name, master->scope) == 0));
}

static size_t
count_data_keys(const KEYSTORE *keystore, uint64_t master_key_id)
{
    size_t i, count = 0;

    for (i = 0; i < keystore->data_key_count; i++)
        count += keystore->data_keys[i].master_key_id == master_key_id &&
                 keystore->data_keys[i].state != KEYSTORE_RETIRED;
    return (count);
}

/* Rotate one and tell who opens it now. */
static int
rotate_one(
  const ROTATION *rotation, KEYRING *keyring, KEYSTORE *edited, ROTATE_STEP *step, STATUS *status)
{
    const ROTATE_OPTIONS *options = rotation->options;
    const KEYSTORE_MASTER *master;
    int ret;

    ret = rotation->is_new_master
            ? keyring_new_master(
                keyring, edited, step->name, options->kms_timeout_ms, options->retry_for_ms, status)
            : keyring_rewrap_master_for(keyring, rotation->settings, edited, step->name,
                options->kms_timeout_ms, options->retry_for_ms, status);
    if (ret != 0)
        return (status_add(status, "for scope \"%s\"; the keystore is unchanged", step->name));
    master = keystore_active_master(edited, step->name);
    step->new_id = master->id;
    return (list_recorded(master, &step->new_recipients, status));
}

/* All master keys that are concerned. edited is the keystore itself, NULL in a plan. */
static int
for_masters(const ROTATION *rotation, KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE *edited,
  STATUS *status)
{
    ROTATE_RESULT *result = rotation->result;
    ROTATE_STEP *step;
    const char *scope;
    size_t i, count = keystore->master_count;
    int ret;

    if ((ret = make_room(result, count, status)) != 0)
        return (ret);
    /* An edit appends master keys; those before stay at their places. */
    for (i = 0; i < count; i++) {
        if (!is_concerned(rotation, &keystore->masters[i]))
            continue;
        scope = keystore->masters[i].scope;
        if ((ret = rotate_check_scope(rotation->settings, scope, status)) != 0 ||
            (ret = add_step(result, scope, &step, status)) != 0 ||
            (ret = list_recorded(&keystore->masters[i], &step->old_recipients, status)) != 0)
            return (ret);
        step->old_id = keystore->masters[i].id;
        if (rotation->is_new_master)
            step->data_keys = count_data_keys(keystore, step->old_id);
        ret = edited == NULL ? list_configured(rotation, scope, &step->new_recipients, status)
                             : rotate_one(rotation, keyring, edited, step, status);
        if (ret != 0)
            return (ret);
    }
    if (result->count != 0)
        return (0);
    (void)status_set(status, STATUS_NO_KEY, "rotate-scope",
      "the keystore has no master key of scope \"%s\"",
      rotation->name == NULL ? SETTINGS_DEFAULT_SCOPE : rotation->name);
    return (status_hint(status, "\"wtkms key list HOME\" lists them"));
}

/* --- data keys */

/* The next version of one data key, appended; the one before stays for reading. */
static int
add_version(KEYRING *keyring, KEYSTORE *edited, size_t old_place, ROTATE_STEP *step, STATUS *status)
{
    KEYSTORE_DATA_KEY *data_key;
    SECRET *secret = NULL;
    int ret;

    if ((ret = keystore_add_data_key(edited, &data_key, status)) != 0)
        return (ret);
    data_key->state = KEYSTORE_READABLE; /* until it is whole */
    data_key->version = step->new_version;
    data_key->created = clock_unix_ms();
    if ((data_key->keyid = strdup(step->name)) == NULL)
        return (no_memory(status));
    if ((ret = random_id(&data_key->id, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0 ||
        (ret = keyring_wrap_data_key(keyring, edited, data_key, secret, status)) != 0)
        goto err;
    edited->data_keys[old_place].state = KEYSTORE_READABLE;
    data_key->state = KEYSTORE_ACTIVE;
    step->new_id = data_key->id;

err:
    secret_free(secret);
    return (ret);
}

static int
plan_version(
  const KEYSTORE *keystore, const KEYSTORE_DATA_KEY *active, ROTATE_STEP *step, STATUS *status)
{
    const KEYSTORE_DATA_KEY *latest = keystore_latest_data_key(keystore, active->keyid);

    if (latest->version == UINT32_MAX)
        return (status_set(status, STATUS_REFUSED, "rotate-versions",
          "keyid \"%s\" has used up its versions", active->keyid));
    step->old_id = active->id;
    step->old_version = active->version;
    step->new_version = latest->version + 1;
    return (0);
}

static int
for_data_keys(const ROTATION *rotation, KEYRING *keyring, const KEYSTORE *keystore,
  KEYSTORE *edited, STATUS *status)
{
    ROTATE_RESULT *result = rotation->result;
    const KEYSTORE_DATA_KEY *data_key;
    ROTATE_STEP *step;
    size_t i, count = keystore->data_key_count;
    int ret;

    if ((ret = make_room(result, count, status)) != 0)
        return (ret);
    for (i = 0; i < count; i++) {
        data_key = &keystore->data_keys[i];
        if (data_key->state != KEYSTORE_ACTIVE ||
            (rotation->name != NULL && strcmp(rotation->name, data_key->keyid) != 0))
            continue;
        if ((ret = add_step(result, data_key->keyid, &step, status)) != 0 ||
            (ret = plan_version(keystore, data_key, step, status)) != 0 ||
            (edited != NULL && (ret = add_version(keyring, edited, i, step, status)) != 0))
            return (ret);
    }
    if (result->count != 0)
        return (0);
    (void)status_set(status, STATUS_NO_KEY, "rotate-keyid",
      "the keystore has no active data key of keyid \"%s\"",
      rotation->name == NULL ? SETTINGS_DEFAULT_SCOPE : rotation->name);
    return (status_hint(status, "\"wtkms key list HOME\" lists them"));
}

/* --- the whole */

static int
apply(const ROTATION *rotation, KEYRING *keyring, const KEYSTORE *keystore, KEYSTORE *edited,
  STATUS *status)
{
    return (rotation->is_data ? for_data_keys(rotation, keyring, keystore, edited, status)
                              : for_masters(rotation, keyring, keystore, edited, status));
}

static int
edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    return (apply(context, keyring, keystore, keystore, status));
}

/* A text of the history holds 1,024 bytes and a keyid 512, so it fits. */
static int
write_change(const ROTATION *rotation, KEYRING *keyring, const char *operation, STATUS *status)
{
    ROTATION *context = (ROTATION *)(uintptr_t)rotation;
    char text[KEYSTORE_KEYID_MAX + 64];

    (void)snprintf(text, sizeof(text), "%s%s%s", operation, rotation->name == NULL ? "" : " ",
      rotation->name == NULL ? "" : rotation->name);
    return (keyring_update(keyring, text, rotation->options->reason, edit, context, status));
}

int
rotate_masters(KEYRING *keyring, KEYSTORE *keystore, const SETTINGS *settings,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status)
{
    ROTATION rotation = {
      .settings = settings, .options = options, .is_new_master = true, .result = result};

    return (for_masters(&rotation, keyring, keystore, keystore, status));
}

int
rotate_open(int home_fd, const SETTINGS *openers, const ROTATE_OPTIONS *options, KEYRING **keyringp,
  STATUS *status)
{
    /* Copies that are behind are brought in step by the write itself; a failure writes nothing. */
    KEYRING_OPTIONS keyring_options = {.log = options->log,
      .kms_timeout_ms = options->kms_timeout_ms,
      .retry_for_ms = options->retry_for_ms,
      .defer_repair = true,
      .read_only = options->plan};
    int ret;

    if ((ret = keyring_open(home_fd, openers, &keyring_options, keyringp, status)) != 0)
        return (ret);
    if (keyring_source(*keyringp) == KEYRING_FROM_FILE)
        return (0);
    keyring_close(*keyringp);
    *keyringp = NULL;
    (void)status_set(status, STATUS_REFUSED, "rotate-mirror",
      "the home has only the copy of its keystore in WiredTiger.config");
    return (status_hint(status, "\"wtkms init HOME\" puts the keystore back"));
}

static int
run(int home_fd, const SETTINGS *openers, const ROTATION *rotation, const char *operation,
  STATUS *status)
{
    const ROTATE_OPTIONS *options = rotation->options;
    ROTATE_RESULT *result = rotation->result;
    const KEYSTORE *keystore;
    KEYRING *keyring = NULL;
    int ret;

    if ((ret = rotate_open(home_fd, openers, options, &keyring, status)) != 0)
        return (ret);
    if (!options->plan && (ret = write_change(rotation, keyring, operation, status)) != 0)
        goto err;
    keystore = keyring_hold_keystore(keyring);
    if (options->plan)
        ret = apply(rotation, keyring, keystore, NULL, status);
    result->generation = keystore->generation;
    memcpy(result->uuid, keystore->uuid, sizeof(result->uuid));
    keyring_release_keystore(keyring, keystore);

err:
    keyring_close(keyring);
    return (ret);
}

/* --- the recipients of two configurations */

static void
free_openers(SETTINGS *openers)
{
    size_t i;

    if (openers->scopes == NULL)
        return;
    for (i = 0; i < openers->scope_count; i++)
        free(openers->scopes[i].entries);
    free(openers->scopes);
}

/*
 * Settings as they are, but with the recipients of both in each scope, the new ones first. The entries
 * stay those of the two configurations.
 */
static int
join(const SETTINGS *settings, const SETTINGS *from, SETTINGS *openers, STATUS *status)
{
    const SETTINGS_SCOPE *added, *scope;
    SETTINGS_SCOPE *joined;
    size_t i;

    *openers = *settings;
    if ((openers->scopes = calloc(settings->scope_count, sizeof(*openers->scopes))) == NULL)
        return (no_memory(status));
    for (i = 0; i < settings->scope_count; i++) {
        scope = &settings->scopes[i];
        added = settings_scope_of(from, scope->name);
        joined = &openers->scopes[i];
        joined->name = scope->name;
        joined->count = scope->count + added->count;
        if (joined->count > KEYSTORE_RECIPIENTS_MAX)
            return (status_set(status, STATUS_CONFIG, "rotate-recipients",
              "scope \"%s\" has %zu recipients in the two configurations, at most %d are possible",
              scope->name, joined->count, KEYSTORE_RECIPIENTS_MAX));
        joined->entries = calloc(joined->count, sizeof(*joined->entries));
        if (joined->entries == NULL)
            return (no_memory(status));
        memcpy(joined->entries, scope->entries, scope->count * sizeof(*joined->entries));
        memcpy(
          joined->entries + scope->count, added->entries, added->count * sizeof(*joined->entries));
    }
    return (0);
}

/* --- the three */

int
rotate_cmk(int home_fd, const SETTINGS *settings, const SETTINGS *from,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status)
{
    ROTATION rotation = {.settings = settings, .options = options, .result = result};
    SETTINGS openers = {0};
    int ret;

    memset(result, 0, sizeof(*result));
    if (from == NULL)
        return (run(home_fd, settings, &rotation, "rotate cmk", status));
    if ((ret = join(settings, from, &openers, status)) == 0)
        ret = run(home_fd, &openers, &rotation, "rotate cmk", status);
    free_openers(&openers);
    return (ret);
}

int
rotate_master(int home_fd, const SETTINGS *settings, const char *scope,
  const ROTATE_OPTIONS *options, ROTATE_RESULT *result, STATUS *status)
{
    ROTATION rotation = {.settings = settings,
      .options = options,
      .name = scope,
      .is_new_master = true,
      .result = result};

    memset(result, 0, sizeof(*result));
    return (run(home_fd, settings, &rotation, "rotate master", status));
}

int
rotate_data(int home_fd, const SETTINGS *settings, const char *keyid, const ROTATE_OPTIONS *options,
  ROTATE_RESULT *result, STATUS *status)
{
    ROTATION rotation = {
      .settings = settings, .options = options, .name = keyid, .is_data = true, .result = result};

    memset(result, 0, sizeof(*result));
    return (run(home_fd, settings, &rotation, "rotate data", status));
}
