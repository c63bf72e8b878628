/*
 * test/keystore/test_change.c -- Refreshing, editing, rotating; what a reader must not follow.
 */
#include "test/keystore/keystore_tests.h"

#include "crypto/random.h"
#include "keystore/payload.h"
#include "kms_clients/kms_client.h"

static void
open_both(HOME *home, KEYRING **reader, KEYRING **writer)
{
    STATUS status;

    CHECK_OK_FATAL(keyring_open(home->fd, home->settings, &home->options, reader, &status));
    CHECK_OK_FATAL(keyring_open(home->fd, home->settings, &home->options, writer, &status));
}

static void
test_refresh(void)
{
    HOME home;
    STATUS status;
    KEYRING *reader, *writer;
    const KEYSTORE *held;
    uint64_t id, again;
    bool changed, created;

    home_fill(&home);
    open_both(&home, &reader, &writer);
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT_FALSE(changed);
    held = keyring_hold_keystore(reader);
    CHECK_OK(keyring_ensure_data_key(writer, "new", &id, &created, &status));
    CU_ASSERT(created);
    CU_ASSERT_EQUAL(keyring_active_data_key(reader, "new"), 0);
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT(changed);
    CU_ASSERT_EQUAL(keyring_active_data_key(reader, "new"), id);
    CU_ASSERT(same_data_key(reader, writer, id));
    /* What was held before is still what it was. */
    CU_ASSERT_EQUAL(held->data_key_count, 3);
    CU_ASSERT_PTR_NULL(keystore_active_data_key(held, "new"));
    keyring_release_keystore(reader, held);
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT_FALSE(changed);
    /* Of what another process was faster with, its key is taken and none made. */
    CHECK_OK(keyring_ensure_data_key(writer, "more", &id, &created, &status));
    CHECK_OK(keyring_ensure_data_key(reader, "more", &again, &created, &status));
    CU_ASSERT_FALSE(created);
    CU_ASSERT_EQUAL(id, again);
    CU_ASSERT_EQUAL(keyring_generation(reader), keyring_generation(writer));
    /* Touched, but the same. */
    CU_ASSERT_EQUAL(utimensat(home.fd, KEYRING_FILE, NULL, 0), 0);
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT_FALSE(changed);
    keyring_close(reader);
    keyring_close(writer);
    home_free(&home);
}

/* --- what must not be followed */

static void
check_not_followed(HOME *home, KEYRING *reader, STATUS_CLASS class, const char *id)
{
    STATUS status;
    int64_t generation = keyring_generation(reader);
    uint64_t default_id = keyring_active_data_key(reader, "default"), new_id;
    SECRET *secret;
    bool changed, created;

    (void)home;
    CHECK_FAILS(keyring_refresh(reader, &changed, &status), class, id);
    CU_ASSERT_FALSE(changed);
    CHECK_FAILS(keyring_ensure_data_key(reader, "never", &new_id, &created, &status), class, id);
    CU_ASSERT_EQUAL(keyring_generation(reader), generation);
    CU_ASSERT_EQUAL(keyring_active_data_key(reader, "default"), default_id);
    CHECK_OK(keyring_data_key(reader, default_id, &secret, NULL, &status));
    secret_free(secret);
}

static void
test_not_followed(void)
{
    HOME home, other;
    STATUS status;
    KEYRING *reader, *writer;
    uint8_t *old, *data, *others;
    size_t old_len, len, others_len;
    uint64_t id;
    bool created;

    home_fill(&home);
    old = home_read(&home, KEYRING_FILE, &old_len);
    open_both(&home, &reader, &writer);
    CHECK_OK(keyring_ensure_data_key(reader, "new", &id, &created, &status));
    data = home_read(&home, KEYRING_FILE, &len);
    /* Rolled back. */
    home_write(&home, KEYRING_FILE, old, old_len);
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-rolled-back");
    /* Rolled back, and then on from there: in one's own generation, and one further. */
    CU_ASSERT_EQUAL(unlinkat(home.fd, MIRROR_FILE, 0), 0);
    CHECK_OK(keyring_ensure_data_key(writer, "fork", &id, &created, &status));
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-diverged");
    /* Another keystore, damage, nothing. */
    home_make(&other, NULL);
    keyring_close(writer);
    CHECK_OK_FATAL(
      keyring_create(other.fd, other.settings, &other.options, false, &writer, &status));
    others = home_read(&other, KEYRING_FILE, &others_len);
    home_write(&home, KEYRING_FILE, others, others_len);
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-replaced");
    home_write(&home, KEYRING_FILE, data, len - 1);
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-format");
    CU_ASSERT_EQUAL(unlinkat(home.fd, KEYRING_FILE, 0), 0);
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-gone");
    home_write(&home, KEYRING_FILE, "", 0);
    check_not_followed(&home, reader, STATUS_CORRUPT, "keystore-format");
    /* What it had is still good. */
    home_write(&home, KEYRING_FILE, data, len);
    CHECK_OK(keyring_ensure_data_key(reader, "never", &id, &created, &status));
    keyring_close(reader);
    keyring_close(writer);
    free(old);
    free(data);
    free(others);
    home_free(&other);
    home_free(&home);
}

/* --- edits */

static int
fail_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    (void)keyring;
    (void)context;
    keystore->generation = 77;
    keystore->masters[0].id = 1;
    return (status_set(status, STATUS_DENIED, "test-edit", "no"));
}

static int
invalid_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    (void)keyring;
    (void)context;
    (void)status;
    keystore->data_keys[0].version = keystore->data_keys[1].version + 100;
    keystore->data_keys[0].state = KEYSTORE_RETIRED;
    return (0);
}

static int
wrong_wrap_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_DATA_KEY *data_key;

    (void)keyring;
    (void)context;
    if (keystore_add_data_key(keystore, &data_key, status) != 0)
        return ((int)status->status_class);
    data_key->id = 9;
    data_key->version = 1;
    data_key->keyid = strdup("zeros");
    data_key->master_key_id = keystore_active_master(keystore, "default")->id;
    return (0);
}

static int
too_big_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    (void)keyring;
    (void)context;
    (void)status;
    free(keystore->node);
    keystore->node = malloc(300u * 1024 * 1024);
    if (keystore->node != NULL) {
        memset(keystore->node, 'x', 300u * 1024 * 1024 - 1);
        keystore->node[300u * 1024 * 1024 - 1] = '\0';
    }
    return (0);
}

static void
test_failing_edits(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    uint8_t *before, *after;
    size_t before_len, after_len;

    home_fill(&home);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    before = home_read(&home, KEYRING_FILE, &before_len);
    CHECK_FAILS(
      keyring_update(keyring, "x", NULL, fail_edit, NULL, &status), STATUS_DENIED, "test-edit");
    /* The version is part of what was wrapped: what was written could not be read. */
    status_clear(&status);
    CU_ASSERT_EQUAL(
      keyring_update(keyring, "x", NULL, wrong_wrap_edit, NULL, &status), STATUS_CORRUPT);
    CHECK_FAILS(keyring_update(keyring, "x", NULL, too_big_edit, NULL, &status), STATUS_REFUSED,
      "keystore-too-big");
    after = home_read(&home, KEYRING_FILE, &after_len);
    CU_ASSERT(before_len == after_len && memcmp(before, after, after_len) == 0);
    CU_ASSERT_EQUAL(keyring_generation(keyring), 3);
    /* Retired keys are not unwrapped, so this one can be written. */
    CHECK_OK(keyring_update(keyring, "x", NULL, invalid_edit, NULL, &status));
    free(before);
    free(after);
    keyring_close(keyring);
    home_free(&home);
}

static int
retire_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const KEYSTORE_DATA_KEY *data_key = keystore_active_data_key(keystore, "tenantB");

    (void)keyring;
    (void)context;
    (void)status;
    keystore->data_keys[data_key - keystore->data_keys].state = KEYSTORE_RETIRED;
    return (0);
}

static void
test_retire(void)
{
    HOME home;
    STATUS status;
    KEYRING *reader, *writer;
    const KEYSTORE *keystore;
    SECRET *secret;
    uint64_t id, next;
    bool changed, created;

    home_fill(&home);
    open_both(&home, &reader, &writer);
    id = keyring_active_data_key(reader, "tenantB");
    CHECK_OK(keyring_update(writer, "prune", "unused", retire_edit, NULL, &status));
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CHECK_FAILS(
      keyring_data_key(reader, id, &secret, NULL, &status), STATUS_NO_KEY, "keystore-no-data-key");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "retired"));
    CU_ASSERT_EQUAL(keyring_active_data_key(reader, "tenantB"), 0);
    keystore = keyring_hold_keystore(reader);
    CU_ASSERT_EQUAL(keystore_data_key(keystore, id)->state, KEYSTORE_RETIRED);
    keyring_release_keystore(reader, keystore);
    /* The next one of that keyid goes on from its version; the retired one goes with that write. */
    CHECK_OK(keyring_ensure_data_key(reader, "tenantB", &next, &created, &status));
    CU_ASSERT(created);
    CU_ASSERT_NOT_EQUAL(id, next);
    keystore = keyring_hold_keystore(reader);
    CU_ASSERT_PTR_NULL(keystore_data_key(keystore, id));
    CU_ASSERT_EQUAL(keystore_data_key(keystore, next)->version, 2);
    keyring_release_keystore(reader, keystore);
    keyring_close(reader);
    keyring_close(writer);
    home_free(&home);
}

static int
rotate_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    return (keyring_new_master(keyring, keystore, context, 1000, 0, status));
}

static int
rewrap_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    return (keyring_rewrap_master(keyring, keystore, context, 1000, 0, status));
}

static void
test_new_master(void)
{
    HOME home;
    STATUS status;
    KEYRING *reader, *writer;
    const KEYSTORE *keystore;
    char scope[] = "default", tenant[] = "tenantA", unknown[] = "unknown";
    uint64_t old, master, id, tenant_id;
    bool changed, created;

    home_fill(&home);
    open_both(&home, &reader, &writer);
    id = keyring_active_data_key(reader, "tenantB");
    tenant_id = keyring_active_data_key(reader, "tenantA");
    keystore = keyring_hold_keystore(writer);
    old = keystore_active_master(keystore, "default")->id;
    keyring_release_keystore(writer, keystore);

    CHECK_OK_FATAL(keyring_update(writer, "rotate master", "test", rotate_edit, scope, &status));
    keystore = keyring_hold_keystore(writer);
    master = keystore_active_master(keystore, "default")->id;
    CU_ASSERT_NOT_EQUAL(master, old);
    CU_ASSERT_EQUAL(keystore_master(keystore, old)->state, KEYSTORE_RETIRED);
    CU_ASSERT_EQUAL(keystore_data_key(keystore, id)->master_key_id, master);
    CU_ASSERT_NOT_EQUAL(keystore_data_key(keystore, tenant_id)->master_key_id, master);
    keyring_release_keystore(writer, keystore);
    /* A reader follows, with the same data keys; a new one opens; both can go on writing. */
    CHECK_OK_FATAL(keyring_refresh(reader, &changed, &status));
    CU_ASSERT(changed);
    CU_ASSERT(same_data_key(reader, writer, id));
    CU_ASSERT(same_data_key(reader, writer, tenant_id));
    keyring_close(writer);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &writer, &status));
    CU_ASSERT(same_data_key(reader, writer, id));
    CHECK_OK(keyring_ensure_data_key(reader, "later", &id, &created, &status));
    keystore = keyring_hold_keystore(reader);
    CU_ASSERT_PTR_NULL(keystore_master(keystore, old));
    keyring_release_keystore(reader, keystore);
    /* Twice in one edit's time, and the other scope. */
    CHECK_OK(keyring_update(writer, "rotate master", NULL, rotate_edit, scope, &status));
    CHECK_OK(keyring_update(writer, "rotate master", NULL, rotate_edit, tenant, &status));
    CHECK_OK(keyring_refresh(reader, &changed, &status));
    CU_ASSERT(same_data_key(reader, writer, tenant_id));
    CHECK_FAILS(keyring_update(writer, "rotate cmk", NULL, rewrap_edit, unknown, &status),
      STATUS_NO_KEY, "keyring-master");
    keyring_close(reader);
    keyring_close(writer);
    home_free(&home);
}

static void
test_recipients(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;
    char scope[] = "default";

    home_make(&home, NULL);
    home_key_file(&home, "second");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    keyring_close(keyring);
    /* One more. */
    home_configure(
      &home, "kms: [{provider: local, keyFile: %k}, {provider: local, keyFile: %d/second}]\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CHECK_OK_FATAL(keyring_update(keyring, "rotate cmk", NULL, rewrap_edit, scope, &status));
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->masters[0].recipient_count, 2);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    /* Each alone opens. */
    home_configure(&home, "kms: [{provider: local, keyFile: %d/second}]\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    /* The first is taken away. */
    CHECK_OK_FATAL(keyring_update(keyring, "rotate cmk", NULL, rewrap_edit, scope, &status));
    keyring_close(keyring);
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_NO_KEY, "keystore-no-recipient");
    home_free(&home);
}

/* --- keyids and scopes */

static void
test_keyids(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    char *keyid;
    uint64_t id;
    bool created;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_FAILS(
      keyring_ensure_data_key(keyring, "", &id, &created, &status), STATUS_CONFIG, "keyid");
    CHECK_FAILS(
      keyring_ensure_data_key(keyring, "\xff", &id, &created, &status), STATUS_CONFIG, "keyid");
    keyid = malloc(KEYSTORE_KEYID_MAX + 2);
    CU_ASSERT_PTR_NOT_NULL_FATAL(keyid);
    memset(keyid, 'k', KEYSTORE_KEYID_MAX + 1);
    keyid[KEYSTORE_KEYID_MAX + 1] = '\0';
    CHECK_FAILS(
      keyring_ensure_data_key(keyring, keyid, &id, &created, &status), STATUS_CONFIG, "keyid");
    keyid[KEYSTORE_KEYID_MAX] = '\0';
    CHECK_OK(keyring_ensure_data_key(keyring, keyid, &id, &created, &status));
    CHECK_OK(keyring_ensure_data_key(keyring, "\xc3\xa9 \n\"", &id, &created, &status));
    keyring_close(keyring);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CU_ASSERT_NOT_EQUAL(keyring_active_data_key(keyring, keyid), 0);
    CU_ASSERT_EQUAL(keyring_active_data_key(keyring, "\xc3\xa9 \n\""), id);
    keyring_close(keyring);
    free(keyid);
    home_free(&home);
}

static void
test_scope_comes_later(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;
    char provider[64], key_id[64], credential[64];
    uint64_t old, id;
    bool created;

    home_make(&home, NULL);
    home_key_file(&home, "keyA");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_OK(keyring_ensure_data_key(keyring, "known", &old, &created, &status));
    keyring_close(keyring);
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n"
                          "keys: {known: {kms: [{provider: local, keyFile: %d/keyA}]},\n"
                          "  fresh: {kms: [{provider: local, keyFile: %d/keyA}]},\n"
                          "  broken: {kms: [{provider: local, keyFile: %d/none}]}}\n");
    home.options.kms_timeout_ms = 60000;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    /* One that the keystore does not know becomes a scope. */
    CHECK_OK(keyring_ensure_data_key(keyring, "fresh", &id, &created, &status));
    CU_ASSERT(created);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, "fresh"), "fresh");
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, "known"), "default");
    CU_ASSERT_EQUAL(keystore->mac_count, 2);
    keyring_release_keystore(keyring, keystore);
    CU_ASSERT(keyring_opened_by(keyring, "fresh", provider, key_id, credential, 64));
    CU_ASSERT_STRING_EQUAL(provider, "local");
    /* One that it knows stays where it is, now and with its next data key. */
    CHECK_OK(keyring_ensure_data_key(keyring, "known", &id, &created, &status));
    CU_ASSERT_EQUAL(id, old);
    CU_ASSERT_STRING_EQUAL(home.log, "");
    /* One whose key service cannot be used leaves everything as it was. */
    status_clear(&status);
    CU_ASSERT_EQUAL(
      keyring_ensure_data_key(keyring, "broken", &id, &created, &status), STATUS_CONFIG);
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "broken"));
    CU_ASSERT_EQUAL(keyring_generation(keyring), 3);
    keyring_close(keyring);
    /* Without its entry a scope still opens when the default scope's keys do, and not otherwise. */
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n");
    CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &keyring, &status),
      STATUS_NO_KEY, "keystore-no-recipient");
    CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "\"fresh\""));
    home_configure(
      &home, "kms: [{provider: local, keyFile: %k}, {provider: local, keyFile: %d/keyA}]\n");
    CHECK_OK(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    keyring_close(keyring);
    home_free(&home);
}

static int
make_readable_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const KEYSTORE_DATA_KEY *data_key = keystore_active_data_key(keystore, context);

    (void)keyring;
    (void)status;
    keystore->data_keys[data_key - keystore->data_keys].state = KEYSTORE_READABLE;
    return (0);
}

static void
test_next_version_stays(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;
    SECRET *secret;
    uint64_t old, id;
    char keyid[] = "known";
    bool created;

    home_make(&home, NULL);
    home_key_file(&home, "keyA");
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    CHECK_OK(keyring_ensure_data_key(keyring, keyid, &old, &created, &status));
    CHECK_OK(keyring_update(keyring, "x", NULL, make_readable_edit, keyid, &status));
    keyring_close(keyring);
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n"
                          "keys: {known: {kms: [{provider: local, keyFile: %d/keyA}]}}\n");
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CHECK_OK(keyring_ensure_data_key(keyring, keyid, &id, &created, &status));
    CU_ASSERT(created);
    CU_ASSERT_PTR_NOT_NULL(strstr(home.log, "in the default scope"));
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, keyid), "default");
    CU_ASSERT_EQUAL(keystore_data_key(keystore, id)->version, 2);
    keyring_release_keystore(keyring, keystore);
    /* The readable one still reads. */
    CHECK_OK(keyring_data_key(keyring, old, &secret, NULL, &status));
    secret_free(secret);
    keyring_close(keyring);
    home_free(&home);
}

/* --- an attacker who may wrap with the customer's key, and write the disk, and no more */

typedef struct {
    const KEYSTORE *victim;
    bool same_ids;
} ATTACK;

/* His own keystore takes the victim's name and place: uuid, generation, perhaps data key ids. */
static int
attack_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    const ATTACK *attack = context;
    SECRET *secret;
    int ret;

    memcpy(keystore->uuid, attack->victim->uuid, sizeof(keystore->uuid));
    keystore->generation = attack->victim->generation;
    if (attack->same_ids)
        keystore->data_keys[0].id = keystore_active_data_key(attack->victim, "default")->id;
    if ((ret = keyring_rewrap_master(keyring, keystore, "default", 1000, 0, status)) != 0 ||
        (ret = secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, status)) != 0)
        return (ret);
    ret = keyring_wrap_data_key(keyring, keystore, &keystore->data_keys[0], secret, status);
    secret_free(secret);
    return (ret);
}

static void
test_attacker_replaces_all(void)
{
    HOME home, evil;
    STATUS status;
    KEYRING *host, *attacker;
    ATTACK attack;
    uint8_t *key, *data;
    size_t key_len, len;
    int same;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &host, &status));
    key = home_read(&home, "../key", &key_len);
    for (same = 0; same < 2; same++) {
        home_make(&evil, NULL);
        home_write(&evil, "../key", key, key_len);
        CHECK_OK_FATAL(
          keyring_create(evil.fd, evil.settings, &evil.options, false, &attacker, &status));
        CU_ASSERT_EQUAL(unlinkat(evil.fd, MIRROR_FILE, 0), 0);
        attack.victim = keyring_hold_keystore(host);
        attack.same_ids = same == 1;
        CHECK_OK_FATAL(keyring_update(attacker, "x", NULL, attack_edit, &attack, &status));
        keyring_release_keystore(host, attack.victim);
        keyring_close(attacker);
        data = home_read(&evil, KEYRING_FILE, &len);
        home_write(&home, KEYRING_FILE, data, len);
        /* A running host does not follow: none of its data keys is there, or not the same. */
        check_not_followed(&home, host, STATUS_CORRUPT, "keystore-substituted");
        free(data);
        home_free(&evil);
    }
    free(key);
    keyring_close(host);
    home_free(&home);
}

/* He keeps the data keys and puts a master key of his own before them. */
static void
test_attacker_replaces_master(void)
{
    HOME home;
    STATUS status;
    KEYSTORE *keystore;
    KMS_CLIENT *client;
    KMS_CONTEXT context;
    KMS_WRAPPED wrapped;
    KEYSTORE_SEAL_KEY seal_key = {.scope = "default"};
    KEYRING *keyring;
    SECRET *master, *payload, *seal;
    uint8_t *data, *forged;
    size_t len, forged_len;

    home_make(&home, NULL);
    CHECK_OK_FATAL(keyring_create(home.fd, home.settings, &home.options, false, &keyring, &status));
    data = home_read(&home, KEYRING_FILE, &len);
    CHECK_OK_FATAL(keystore_decode(data, len, &keystore, &status));
    CHECK_OK_FATAL(secret_new_random(KEYSTORE_MASTER_KEY_LEN, &master, &status));
    CHECK_OK_FATAL(
      payload_new(keystore->uuid, keystore->masters[0].id, "default", master, &payload, &status));
    CHECK_OK_FATAL(kms_client_open(home.settings->scopes[0].entries[0], NULL, &client, &status));
    memcpy(context.keystore_uuid, keystore->uuid, sizeof(context.keystore_uuid));
    context.master_key_id = keystore->masters[0].id;
    context.scope = "default";
    CHECK_OK_FATAL(kms_client_wrap(client, 1000, &context, payload, &wrapped, &status));
    free(keystore->masters[0].recipients[0].wrapped);
    keystore->masters[0].recipients[0].wrapped = wrapped.wrapped;
    keystore->masters[0].recipients[0].wrapped_len = wrapped.wrapped_len;
    wrapped.wrapped = NULL;
    kms_wrapped_release(&wrapped);
    /* With the old commitment he is found at once, with his own at the first data key. */
    CHECK_OK_FATAL(mac_derive(master, "wtkms/1/seal", MAC_LEN, &seal, &status));
    seal_key.seal_key = seal;
    keystore->generation++;
    CHECK_OK_FATAL(keystore_encode(keystore, &seal_key, 1, &forged, &forged_len, &status));
    home_write(&home, KEYRING_FILE, forged, forged_len);
    free(forged);
    {
        KEYRING *second;
        CHECK_FAILS(keyring_open(home.fd, home.settings, &home.options, &second, &status),
          STATUS_CORRUPT, "keystore-commitment");
        CHECK_OK_FATAL(payload_commit(
          master, keystore->masters[0].id, keystore->masters[0].commitment, &status));
        CHECK_OK_FATAL(keystore_encode(keystore, &seal_key, 1, &forged, &forged_len, &status));
        home_write(&home, KEYRING_FILE, forged, forged_len);
        free(forged);
        status_clear(&status);
        CU_ASSERT_EQUAL(
          keyring_open(home.fd, home.settings, &home.options, &second, &status), STATUS_CORRUPT);
        CU_ASSERT_PTR_NOT_NULL(strstr(status.message, "data key"));
        CU_ASSERT_PTR_NULL(second);
    }
    secret_free(seal);
    secret_free(master);
    secret_free(payload);
    kms_client_close(client);
    keystore_free(keystore);
    keyring_close(keyring);
    free(data);
    home_free(&home);
}

/* --- payloads */

static void
test_payloads(void)
{
    static const uint8_t uuid[KEYSTORE_UUID_LEN] = {1, 2, 3}, other[KEYSTORE_UUID_LEN] = {1, 2, 4};
    STATUS status;
    PAYLOAD_WRAPPER *wrapper;
    SECRET *key, *other_key, *payload, *out;
    PAYLOAD_KNOWN known;
    KEYSTORE_DATA_KEY data_key = {.id = 5, .version = 2, .master_key_id = 6}, changed;
    char keyid[] = "tenant", other_keyid[] = "tenanu", scope[KEYSTORE_SCOPE_MAX + 2];
    uint8_t commitment[KEYSTORE_COMMITMENT_LEN];
    size_t i;

    memset(scope, 's', sizeof(scope) - 1);
    scope[sizeof(scope) - 1] = '\0';
    CHECK_OK_FATAL(secret_new_random(KEYSTORE_MASTER_KEY_LEN, &key, &status));
    CHECK_OK_FATAL(secret_new_random(KEYSTORE_MASTER_KEY_LEN, &other_key, &status));
    CHECK_FAILS(payload_new(uuid, 1, scope, key, &payload, &status), STATUS_INTERNAL, "payload");
    scope[KEYSTORE_SCOPE_MAX] = '\0';
    CHECK_OK_FATAL(payload_new(uuid, 1, scope, key, &payload, &status));
    CU_ASSERT_EQUAL(secret_len(payload), 26 + KEYSTORE_SCOPE_MAX + 32);
    CHECK_OK(payload_open(payload, uuid, 1, scope, &out, &status));
    CU_ASSERT(secret_equal(out, key));
    secret_free(out);
    /* Of another keystore, master key or scope. */
    CHECK_FAILS(
      payload_open(payload, other, 1, scope, &out, &status), STATUS_CORRUPT, "payload-other");
    CHECK_FAILS(
      payload_open(payload, uuid, 2, scope, &out, &status), STATUS_CORRUPT, "payload-other");
    CHECK_FAILS(
      payload_open(payload, uuid, 1, "default", &out, &status), STATUS_CORRUPT, "payload-other");
    scope[0] = 't';
    CHECK_FAILS(
      payload_open(payload, uuid, 1, scope, &out, &status), STATUS_CORRUPT, "payload-other");
    scope[0] = 's';
    CU_ASSERT_PTR_NULL(out);
    for (i = 0; i < 26; i++) {
        secret_data(payload)[i] ^= 1;
        CHECK_FAILS(
          payload_open(payload, uuid, 1, scope, &out, &status), STATUS_CORRUPT, "payload-other");
        secret_data(payload)[i] ^= 1;
    }
    secret_truncate(payload, secret_len(payload) - 1);
    CHECK_FAILS(
      payload_open(payload, uuid, 1, scope, &out, &status), STATUS_CORRUPT, "payload-other");
    scope[KEYSTORE_SCOPE_MAX] = 's';
    CHECK_FAILS(payload_open(payload, uuid, 1, scope, &out, &status), STATUS_INTERNAL, "payload");
    secret_free(payload);

    /* Everything that says whose key it is, is part of the wrap. */
    data_key.keyid = keyid;
    CHECK_OK_FATAL(payload_wrapper_new(&wrapper, &status));
    CHECK_OK_FATAL(payload_wrap_data_key(wrapper, key, uuid, &data_key, key, &status));
    CHECK_OK(payload_unwrap_data_key(wrapper, key, uuid, &data_key, NULL, &out, &status));
    CU_ASSERT(secret_equal(out, key));
    secret_free(out);
    status_clear(&status);
    CU_ASSERT_EQUAL(
      payload_unwrap_data_key(wrapper, key, other, &data_key, NULL, &out, &status), STATUS_CORRUPT);
    changed = data_key;
    changed.id++;
    CU_ASSERT_EQUAL(
      payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status), STATUS_CORRUPT);
    changed = data_key;
    changed.version++;
    CU_ASSERT_EQUAL(
      payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status), STATUS_CORRUPT);
    changed = data_key;
    changed.master_key_id++;
    CU_ASSERT_EQUAL(
      payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status), STATUS_CORRUPT);
    changed = data_key;
    changed.keyid = other_keyid;
    CU_ASSERT_EQUAL(
      payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status), STATUS_CORRUPT);
    changed = data_key;
    changed.commitment[3] ^= 1;
    CHECK_FAILS(payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status),
      STATUS_CORRUPT, "keystore-commitment");
    CU_ASSERT_PTR_NULL(out);
    /* What is known already spares the commitment only where it is that secret and that commitment. */
    known.secret = key;
    known.commitment = data_key.commitment;
    CHECK_OK(payload_unwrap_data_key(wrapper, key, uuid, &data_key, &known, &out, &status));
    CU_ASSERT(secret_equal(out, key));
    secret_free(out);
    CHECK_FAILS(payload_unwrap_data_key(wrapper, key, uuid, &changed, &known, &out, &status),
      STATUS_CORRUPT, "keystore-commitment");
    known.secret = other_key;
    known.commitment = changed.commitment;
    CHECK_FAILS(payload_unwrap_data_key(wrapper, key, uuid, &changed, &known, &out, &status),
      STATUS_CORRUPT, "keystore-commitment");
    known.commitment = data_key.commitment;
    CHECK_OK(payload_unwrap_data_key(wrapper, key, uuid, &data_key, &known, &out, &status));
    secret_free(out);
    /* Wrapped again: other bytes, the same commitment, and what was unwrapped last does not matter. */
    changed = data_key;
    CHECK_OK(payload_rewrap_data_key(wrapper, other_key, uuid, &changed, key, &status));
    CU_ASSERT_EQUAL(memcmp(changed.commitment, data_key.commitment, sizeof(changed.commitment)), 0);
    CHECK_FAILS(payload_unwrap_data_key(wrapper, key, uuid, &changed, NULL, &out, &status),
      STATUS_CORRUPT, "wrap-tag");
    CHECK_OK(payload_unwrap_data_key(wrapper, other_key, uuid, &changed, NULL, &out, &status));
    CU_ASSERT(secret_equal(out, key));
    secret_free(out);
    CHECK_OK(payload_commit(key, data_key.id, commitment, &status));
    CU_ASSERT_EQUAL(memcmp(commitment, data_key.commitment, sizeof(commitment)), 0);
    /* The same key under two ids has two commitments. */
    CHECK_OK(payload_commit(key, 6, commitment, &status));
    CU_ASSERT_NOT_EQUAL(memcmp(commitment, data_key.commitment, sizeof(commitment)), 0);
    CHECK_OK_FATAL(secret_new(31, &out, &status));
    CHECK_FAILS(payload_wrap_data_key(wrapper, key, uuid, &data_key, out, &status), STATUS_INTERNAL,
      "payload");
    CHECK_FAILS(payload_rewrap_data_key(wrapper, key, uuid, &data_key, out, &status),
      STATUS_INTERNAL, "payload");
    CHECK_FAILS(
      payload_new(uuid, 1, "default", out, &payload, &status), STATUS_INTERNAL, "payload");
    secret_free(out);
    secret_free(key);
    secret_free(other_key);
    payload_wrapper_free(wrapper);
    payload_wrapper_free(NULL);
}

/* A data key and a master key in one edit: what was added is wrapped again with the rest. */
static int
both_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_DATA_KEY *data_key;
    int ret;

    if ((ret = keystore_add_data_key(keystore, &data_key, status)) != 0)
        return (ret);
    data_key->id = 4711;
    data_key->version = 1;
    data_key->keyid = strdup("added");
    if ((ret = keyring_wrap_data_key(keyring, keystore, data_key, context, status)) != 0)
        return (ret);
    /* A scope that has no master key at hand. */
    if ((ret = keyring_new_master(keyring, keystore, "default", 1000, 0, status)) != 0)
        return (ret);
    return (keyring_new_master(keyring, keystore, "default", 1000, 0, status));
}

static int
unknown_master_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_MASTER *master;
    int ret;

    (void)context;
    if ((ret = keystore_add_master(keystore, &master, status)) != 0)
        return (ret);
    master->id = 12;
    master->scope = strdup("tenantB");
    return (keyring_wrap_data_key(keyring, keystore, &keystore->data_keys[2], NULL, status));
}

static int
unknown_master_and_no_use_edit(KEYRING *keyring, KEYSTORE *keystore, void *context, STATUS *status)
{
    KEYSTORE_MASTER *master;

    (void)keyring;
    (void)context;
    if (keystore_add_master(keystore, &master, status) != 0)
        return ((int)status->status_class);
    master->id = 12;
    master->scope = strdup("tenantB");
    return (0);
}

static void
test_several_in_one_edit(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    const KEYSTORE *keystore;
    SECRET *secret, *found;
    char keyid[KEYSTORE_KEYID_MAX + 1];

    home_fill(&home);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CHECK_OK_FATAL(secret_new_random(KEYSTORE_DATA_KEY_LEN, &secret, &status));
    CHECK_OK_FATAL(keyring_update(keyring, "x", NULL, both_edit, secret, &status));
    CHECK_FAILS(keyring_update(keyring, "x", NULL, unknown_master_edit, NULL, &status),
      STATUS_INTERNAL, "keyring-master");
    status_clear(&status);
    CU_ASSERT_EQUAL(
      keyring_update(keyring, "x", NULL, unknown_master_and_no_use_edit, NULL, &status),
      STATUS_INTERNAL);
    keystore = keyring_hold_keystore(keyring);
    CU_ASSERT_EQUAL(keystore->master_count, 4);
    keyring_release_keystore(keyring, keystore);
    keyring_close(keyring);
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    CHECK_OK_FATAL(keyring_data_key(keyring, 4711, &found, keyid, &status));
    CU_ASSERT(secret_equal(found, secret));
    CU_ASSERT_STRING_EQUAL(keyid, "added");
    secret_free(found);
    secret_free(secret);
    keyring_close(keyring);
    home_free(&home);
}

const TEST change_tests[] = {{"refresh", test_refresh}, {"not followed", test_not_followed},
  {"failing edits", test_failing_edits}, {"retired data key", test_retire},
  {"new master key", test_new_master}, {"several changes in one edit", test_several_in_one_edit},
  {"recipients", test_recipients}, {"keyids", test_keyids},
  {"a scope that comes later", test_scope_comes_later},
  {"the next version stays in its scope", test_next_version_stays},
  {"attacker's keystore", test_attacker_replaces_all},
  {"attacker's master key", test_attacker_replaces_master}, {"payloads", test_payloads},
  {NULL, NULL}};
