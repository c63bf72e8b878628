/*
 * test/keystore/test_format.c -- The codec: what is written is read, and nothing else is.
 */
#include "test/keystore/keystore_tests.h"

#include "crypto/encode.h"

#include <bson/bson.h>

/* A key that seals every scope, for files whose rules are asked and not their keys. */
static SECRET *any_key;

static SECRET *
seal_key(void)
{
    STATUS status;

    if (any_key == NULL)
        CHECK_OK_FATAL(secret_new_random(MAC_LEN, &any_key, &status));
    return (any_key);
}

static int
encode(const KEYSTORE *keystore, uint8_t **datap, size_t *lenp, STATUS *status)
{
    KEYSTORE_SEAL_KEY keys[64];
    size_t i;

    for (i = 0; i < keystore->master_count; i++) {
        keys[i].scope = keystore->masters[i].scope;
        keys[i].seal_key = seal_key();
    }
    return (keystore_encode(keystore, keys, keystore->master_count, datap, lenp, status));
}

/* The file of a filled home, decoded and as bytes. */
static KEYSTORE *
sample(uint8_t **datap, size_t *lenp)
{
    HOME home;
    STATUS status;
    KEYSTORE *keystore;

    home_fill(&home);
    *datap = home_read(&home, KEYRING_FILE, lenp);
    CHECK_OK_FATAL(keystore_decode(*datap, *lenp, &keystore, &status));
    home_free(&home);
    return (keystore);
}

static void
test_round_trip(void)
{
    STATUS status;
    KEYSTORE *keystore, *again;
    uint8_t *data, *encoded, *twice;
    size_t len, encoded_len, twice_len;

    keystore = sample(&data, &len);
    CU_ASSERT_EQUAL(keystore->generation, 3);
    CU_ASSERT_EQUAL(keystore->master_count, 2);
    CU_ASSERT_EQUAL(keystore->data_key_count, 3);
    CU_ASSERT_EQUAL(keystore->event_count, 3);
    CU_ASSERT_EQUAL(keystore->mac_count, 2);
    CU_ASSERT_FALSE(keystore->partial);
    CU_ASSERT_STRING_EQUAL(keystore->node, "test-a");
    CU_ASSERT_STRING_EQUAL(keystore->events[0].operation, "create");
    CU_ASSERT_PTR_NULL(keystore->events[0].reason);
    CU_ASSERT_STRING_EQUAL(keystore->events[2].reason, "tenantB");
    CU_ASSERT_PTR_NOT_NULL(strchr(keystore->events[2].who, '@'));
    CU_ASSERT_EQUAL(keystore->events[2].generation, 3);
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, "tenantA"), "tenantA");
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, "tenantB"), "default");
    CU_ASSERT_PTR_NULL(keystore_active_data_key(keystore, "tenantC"));
    CU_ASSERT_PTR_NULL(keystore_latest_data_key(keystore, "tenantC"));
    CU_ASSERT_PTR_NULL(keystore_master(keystore, 1));
    CU_ASSERT_PTR_NULL(keystore_data_key(keystore, 1));

    keystore->has_parent = true;
    memset(keystore->parent, 7, sizeof(keystore->parent));
    CHECK_OK_FATAL(encode(keystore, &encoded, &encoded_len, &status));
    CHECK_OK_FATAL(keystore_decode(encoded, encoded_len, &again, &status));
    CU_ASSERT(again->has_parent);
    CU_ASSERT_EQUAL(memcmp(again->parent, keystore->parent, sizeof(again->parent)), 0);
    CU_ASSERT_EQUAL(memcmp(again->uuid, keystore->uuid, sizeof(again->uuid)), 0);
    CHECK_OK_FATAL(encode(again, &twice, &twice_len, &status));
    CU_ASSERT_EQUAL_FATAL(twice_len, encoded_len);
    CU_ASSERT_EQUAL(memcmp(twice, encoded, twice_len), 0);
    free(twice);
    free(encoded);
    free(data);
    keystore_free(again);
    keystore_free(keystore);
}

static void
test_cut_and_long(void)
{
    STATUS status;
    KEYSTORE *keystore, *cut;
    uint8_t *data, *longer;
    size_t len, i;

    keystore = sample(&data, &len);
    keystore_free(keystore);
    longer = malloc(len + 16);
    CU_ASSERT_PTR_NOT_NULL_FATAL(longer);
    for (i = 0; i < len; i++) {
        CHECK_FAILS(keystore_decode(data, i, &cut, &status), STATUS_CORRUPT, "keystore-format");
        CU_ASSERT_PTR_NULL(cut);
        /* The same with the length put right. */
        memcpy(longer, data, i);
        if (i >= 5) {
            longer[0] = (uint8_t)i;
            longer[1] = (uint8_t)(i >> 8);
            longer[2] = (uint8_t)(i >> 16);
            longer[i - 1] = 0;
            CHECK_FAILS(
              keystore_decode(longer, i, &cut, &status), STATUS_CORRUPT, "keystore-format");
        }
    }
    for (i = 1; i <= 16; i++) {
        memcpy(longer, data, len);
        memset(longer + len, 0, i);
        CHECK_FAILS(
          keystore_decode(longer, len + i, &cut, &status), STATUS_CORRUPT, "keystore-format");
        longer[0] = (uint8_t)(len + i);
        longer[1] = (uint8_t)((len + i) >> 8);
        CHECK_FAILS(
          keystore_decode(longer, len + i, &cut, &status), STATUS_CORRUPT, "keystore-format");
    }
    CHECK_FAILS(keystore_decode(data, (size_t)KEYSTORE_MAX_BYTES + 1, &cut, &status),
      STATUS_CORRUPT, "keystore-format");
    free(longer);
    free(data);
}

/* Every length in the file replaced by absurd ones: refused, and nothing read out of bounds. */
static void
test_absurd_lengths(void)
{
    static const uint32_t absurd[] = {0, 1, 4, 5, 0x7fffffff, 0x80000000, 0xffffffff, 0x00100000};
    STATUS status;
    KEYSTORE *keystore, *wrong;
    uint8_t *data, *changed;
    size_t len, i, j;

    keystore = sample(&data, &len);
    keystore_free(keystore);
    /* On a buffer of exactly that size, so that a sanitizer sees a byte too many. */
    changed = malloc(len);
    CU_ASSERT_PTR_NOT_NULL_FATAL(changed);
    for (i = 0; i + 4 <= len; i++)
        for (j = 0; j < sizeof(absurd) / sizeof(absurd[0]); j++) {
            memcpy(changed, data, len);
            memcpy(changed + i, &absurd[j], 4);
            status_clear(&status);
            if (keystore_decode(changed, len, &wrong, &status) == 0)
                keystore_free(wrong);
            else
                CU_ASSERT_PTR_NULL(wrong);
        }
    free(changed);
    free(data);
}

/* --- one element at a time */

typedef enum { DROP, REPEAT, RENAME, RETYPE, INSERT, EXTEND, ACTIONS } ACTION;

typedef struct {
    unsigned at, seen;
    ACTION action;
    char key[64]; /* of the element that was acted on */
    bson_type_t type;
} SURGERY;

static void copy_doc(bson_iter_t *iter, bson_t *out, SURGERY *surgery);

static void
copy_element(bson_iter_t *iter, const char *key, bson_t *out, SURGERY *surgery)
{
    bson_iter_t inner;
    bson_t doc;

    if (BSON_ITER_HOLDS_DOCUMENT(iter) || BSON_ITER_HOLDS_ARRAY(iter)) {
        CU_ASSERT_FATAL(bson_iter_recurse(iter, &inner));
        if (BSON_ITER_HOLDS_ARRAY(iter))
            (void)bson_append_array_begin(out, key, -1, &doc);
        else
            (void)bson_append_document_begin(out, key, -1, &doc);
        copy_doc(&inner, &doc, surgery);
        if (BSON_ITER_HOLDS_ARRAY(iter))
            (void)bson_append_array_end(out, &doc);
        else
            (void)bson_append_document_end(out, &doc);
    } else
        (void)bson_append_iter(out, key, -1, iter);
}

/* An array with its first element once more at the end; anything else as it is. */
static void
extend_array(bson_iter_t *iter, const char *key, bson_t *out)
{
    SURGERY none = {0};
    bson_iter_t inner;
    bson_t doc;
    char index[16];
    unsigned count = 0;

    if (!BSON_ITER_HOLDS_ARRAY(iter)) {
        copy_element(iter, key, out, &none);
        return;
    }
    (void)bson_append_array_begin(out, key, -1, &doc);
    CU_ASSERT_FATAL(bson_iter_recurse(iter, &inner));
    for (; bson_iter_next(&inner); count++)
        copy_element(&inner, bson_iter_key(&inner), &doc, &none);
    (void)snprintf(index, sizeof(index), "%u", count);
    CU_ASSERT_FATAL(bson_iter_recurse(iter, &inner) && bson_iter_next(&inner));
    copy_element(&inner, index, &doc, &none);
    (void)bson_append_array_end(out, &doc);
}

static void
copy_doc(bson_iter_t *iter, bson_t *out, SURGERY *surgery)
{
    SURGERY none = {0};
    const char *key;

    while (bson_iter_next(iter)) {
        key = bson_iter_key(iter);
        if (++surgery->seen != surgery->at) {
            copy_element(iter, key, out, surgery);
            continue;
        }
        (void)snprintf(surgery->key, sizeof(surgery->key), "%s", key);
        surgery->type = bson_iter_type(iter);
        switch (surgery->action) {
        case DROP:
            break;
        case REPEAT:
            copy_element(iter, key, out, &none);
            copy_element(iter, key, out, &none);
            break;
        case RENAME:
            copy_element(iter, "other", out, &none);
            break;
        case RETYPE:
            (void)bson_append_null(out, key, -1);
            break;
        case EXTEND:
            extend_array(iter, key, out);
            break;
        case INSERT:
        default:
            copy_element(iter, key, out, &none);
            (void)bson_append_bool(out, "unknown", -1, true);
            break;
        }
    }
}

static void
test_every_element(void)
{
    STATUS status;
    SURGERY surgery;
    KEYSTORE *keystore, *wrong;
    bson_iter_t iter;
    bson_t out;
    uint8_t *data;
    size_t len;
    unsigned refused = 0;

    keystore = sample(&data, &len);
    keystore_free(keystore);
    for (surgery.action = DROP; surgery.action < ACTIONS; surgery.action++)
        for (surgery.at = 1;; surgery.at++) {
            surgery.seen = 0;
            bson_init(&out);
            CU_ASSERT_FATAL(bson_iter_init_from_data(&iter, data, len));
            copy_doc(&iter, &out, &surgery);
            if (surgery.seen < surgery.at) {
                bson_destroy(&out);
                break;
            }
            status_clear(&status);
            wrong = NULL;
            if (keystore_decode(bson_get_data(&out), out.len, &wrong, &status) == 0) {
                /* A reason is optional; the last event and the last data key can be left out whole: the
                 * seal is there for that. */
                CU_ASSERT((surgery.action == DROP && (strcmp(surgery.key, "reason") == 0 ||
                                                       surgery.type == BSON_TYPE_DOCUMENT)) ||
                          (surgery.action == EXTEND && (surgery.type != BSON_TYPE_ARRAY ||
                                                         strcmp(surgery.key, "recipients") == 0 ||
                                                         strcmp(surgery.key, "history") == 0)));
                keystore_free(wrong);
            } else {
                CU_ASSERT_EQUAL(status.status_class, STATUS_CORRUPT);
                refused++;
            }
            bson_destroy(&out);
        }
    CU_ASSERT(refused > 300);
    free(data);
}

static void
test_versions(void)
{
    STATUS status;
    KEYSTORE *keystore, *wrong;
    uint8_t *data;
    size_t len;

    keystore = sample(&data, &len);
    keystore_free(keystore);
    /* int32 behind the length, type and name. */
    CU_ASSERT_EQUAL(data[4 + 1 + sizeof("version")], KEYSTORE_VERSION);
    data[4 + 1 + sizeof("version")] = KEYSTORE_VERSION + 1;
    CHECK_FAILS(keystore_decode(data, len, &wrong, &status), STATUS_REFUSED, "keystore-version");
    CU_ASSERT_STRING_NOT_EQUAL(status.hint, "");
    data[4 + 1 + sizeof("version")] = 0;
    CHECK_FAILS(keystore_decode(data, len, &wrong, &status), STATUS_CORRUPT, "keystore-format");
    free(data);
}

/* --- the rules between elements, and the limits of each: one edit of the model a case */

static char *
long_text(size_t len)
{
    char *text = malloc(len + 1);

    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    memset(text, 'x', len);
    text[len] = '\0';
    return (text);
}

static void
replace(char **textp, char *text)
{
    free(*textp);
    *textp = text;
}

#define CASES_OF_RULES 46

static const char *
break_rule(KEYSTORE *k, int number)
{
    KEYSTORE_RECIPIENT *recipient = &k->masters[0].recipients[0];
    KEYSTORE_RECIPIENT *another;
    KEYSTORE_DATA_KEY copy;
    KEYSTORE_MASTER *master;
    KEYSTORE_EVENT *event;
    STATUS status;
    int i;

    status_clear(&status);
    switch (number) {
    case 0: /* two active master keys in a scope */
        replace(&k->masters[1].scope, strdup("default"));
        return ("keystore-active-master");
    case 1:
        k->masters[0].state = KEYSTORE_RETIRED;
        return ("keystore-active-master");
    case 2:
        k->masters[0].state = KEYSTORE_READABLE;
        return ("keystore-master-state");
    case 3:
        k->masters[1].id = k->masters[0].id;
        return ("keystore-duplicate");
    case 4: /* no default scope */
        replace(&k->masters[0].scope, strdup("tenantB"));
        return ("keystore-active-master");
    case 5:
        k->data_keys[1].id = k->data_keys[0].id;
        return ("keystore-duplicate");
    case 6: /* swapped scopes */
        k->masters[0].id ^= k->masters[1].id;
        k->masters[1].id ^= k->masters[0].id;
        k->masters[0].id ^= k->masters[1].id;
        return ("keystore-wrapping");
    case 7:
        k->data_keys[0].master_key_id = k->masters[1].id;
        return ("keystore-wrapping");
    case 8:
        k->data_keys[0].master_key_id ^= 1;
        return ("keystore-wrapping");
    case 9: /* the same version twice */
        replace(&k->data_keys[2].keyid, strdup("default"));
        return ("keystore-duplicate");
    case 10: /* two active ones */
        replace(&k->data_keys[2].keyid, strdup("default"));
        k->data_keys[2].version = 2;
        return ("keystore-active-data-key");
    case 11: /* a keyid in two scopes */
        replace(&k->data_keys[2].keyid, strdup("tenantA"));
        k->data_keys[2].version = 2;
        return ("keystore-wrapping");
    case 12:
        k->partial = true;
        return ("keystore-partial-scope");
    case 13:
        k->events[0].generation = k->generation + 1;
        return ("keystore-history");
    case 14:
        k->masters[0].recipient_count = 0;
        return ("keystore-recipients");
    case 15:
        replace(&k->node, long_text(KEYSTORE_NODE_MAX + 1));
        break;
    case 16:
        replace(&k->node, strdup(""));
        break;
    case 17:
        replace(&k->node, strdup("\xff\xfe"));
        break;
    case 18:
        k->generation = 0;
        break;
    case 19:
        k->generation = -1;
        break;
    case 20:
        k->generation = INT64_MAX;
        break;
    case 21:
        k->created = -1;
        break;
    case 22:
        k->modified = -1;
        break;
    case 23:
        k->masters[0].id = 0;
        k->data_keys[0].master_key_id = 0;
        k->data_keys[2].master_key_id = 0;
        break;
    case 24:
        k->data_keys[0].id = 0;
        break;
    case 25:
        replace(&k->data_keys[0].keyid, long_text(KEYSTORE_KEYID_MAX + 1));
        break;
    case 26:
        replace(&k->data_keys[0].keyid, strdup(""));
        break;
    case 27:
        k->data_keys[0].version = 0;
        break;
    case 28:
        k->data_keys[0].version = 0x80000000;
        break;
    case 29:
        k->data_keys[0].state = (KEYSTORE_STATE)9;
        break;
    case 30:
        replace(&k->masters[1].scope, long_text(KEYSTORE_SCOPE_MAX + 1));
        break;
    case 31:
        replace(&recipient->provider, long_text(KEYSTORE_PROVIDER_MAX + 1));
        break;
    case 32:
        replace(&recipient->provider, strdup(""));
        break;
    case 33:
        replace(&recipient->credential, long_text(1025));
        break;
    case 34:
        recipient->wrapped_len = 0;
        break;
    case 35:
        free(recipient->wrapped);
        recipient->wrapped = calloc(1, 8193);
        recipient->wrapped_len = 8193;
        break;
    case 36:
        replace(&recipient->key_id, long_text(1025));
        break;
    case 37:
        recipient->time = -1;
        break;
    case 38:
        replace(&k->events[0].who, strdup(""));
        break;
    case 39:
        replace(&k->events[0].operation, long_text(KEYSTORE_TEXT_MAX + 1));
        break;
    case 40:
        replace(&k->events[1].reason, strdup("\xc3"));
        break;
    case 41:
        while (k->event_count <= KEYSTORE_HISTORY_MAX) {
            CHECK_OK_FATAL(keystore_append_event(k, &event, &status));
            event->who = strdup("a@b");
            event->operation = strdup("c");
            event->generation = 1;
        }
        break;
    case 42: /* more recipients than there may be, past the function that would refuse */
        master = &k->masters[0];
        another = calloc(KEYSTORE_RECIPIENTS_MAX + 1, sizeof(*another));
        CU_ASSERT_PTR_NOT_NULL_FATAL(another);
        for (i = 0; i <= KEYSTORE_RECIPIENTS_MAX; i++) {
            another[i].provider = strdup(recipient->provider);
            another[i].key_id = strdup(recipient->key_id);
            another[i].credential = strdup("");
            another[i].wrapped = malloc(1);
            another[i].wrapped_len = 1;
        }
        keystore_clear_recipients(master);
        master->recipients = another;
        master->recipient_count = KEYSTORE_RECIPIENTS_MAX + 1;
        break;
    case 43: /* an identifier that is not of its provider */
        replace(&recipient->key_id, strdup("http://evil.example/key"));
        return (NULL);
    case 44:
        replace(&recipient->provider, strdup("unheard-of"));
        return (NULL);
    default: /* a retired data key whose master key is no more */
        copy = k->data_keys[0];
        copy.keyid = strdup(copy.keyid);
        copy.id++;
        copy.version++;
        copy.state = KEYSTORE_RETIRED;
        copy.master_key_id++;
        {
            KEYSTORE_DATA_KEY *place;
            CHECK_OK_FATAL(keystore_add_data_key(k, &place, &status));
            *place = copy;
        }
        return ("keystore-wrapping");
    }
    return ("keystore-format");
}

static void
test_rules(void)
{
    STATUS status;
    KEYSTORE *keystore, *wrong;
    uint8_t *data, *encoded;
    const char *id;
    size_t len, encoded_len, count;
    int number, ret;

    keystore = sample(&data, &len);
    keystore_free(keystore);
    for (number = 0; number < CASES_OF_RULES; number++) {
        CHECK_OK_FATAL(keystore_decode(data, len, &keystore, &status));
        count = keystore->masters[0].recipient_count;
        id = break_rule(keystore, number);
        status_clear(&status);
        wrong = NULL;
        /* What cannot even be sealed is at least refused before a write. */
        if (encode(keystore, &encoded, &encoded_len, &status) == 0)
            ret = keystore_decode(encoded, encoded_len, &wrong, &status);
        else
            ret = keystore_check(keystore, &status);
        if (ret != STATUS_CORRUPT || (id != NULL && strcmp(id, status.id) != 0))
            fprintf(stderr, "\ncase %d: %d %s [%s]\n", number, ret, status.message, status.id);
        CU_ASSERT_EQUAL(ret, STATUS_CORRUPT);
        CU_ASSERT_PTR_NULL(wrong);
        if (id != NULL)
            CU_ASSERT_STRING_EQUAL(status.id, id);
        free(encoded);
        if (number == 14)
            keystore->masters[0].recipient_count = count;
        keystore_free(keystore);
    }
    /* What the format allows beside: a retired master key and a retired data key. */
    CHECK_OK_FATAL(keystore_decode(data, len, &keystore, &status));
    {
        KEYSTORE_MASTER *old;
        KEYSTORE_RECIPIENT *recipient;

        CHECK_OK_FATAL(keystore_add_master(keystore, &old, &status));
        old->id = 5;
        old->state = KEYSTORE_RETIRED;
        old->scope = strdup("default");
        CHECK_OK_FATAL(keystore_add_recipient(old, &recipient, &status));
        recipient->provider = strdup("local");
        recipient->key_id = strdup(keystore->masters[0].recipients[0].key_id);
        recipient->credential = strdup("");
        recipient->wrapped = calloc(1, 10);
        recipient->wrapped_len = 10;
        keystore->data_keys[2].state = KEYSTORE_RETIRED;
    }
    CHECK_OK_FATAL(encode(keystore, &encoded, &encoded_len, &status));
    CHECK_OK_FATAL(keystore_decode(encoded, encoded_len, &wrong, &status));
    CU_ASSERT_EQUAL(wrong->master_count, 3);
    CU_ASSERT_EQUAL(keystore_master(wrong, 5)->state, KEYSTORE_RETIRED);
    CU_ASSERT_EQUAL(keystore_active_master(wrong, "default")->id, keystore->masters[0].id);
    CU_ASSERT_PTR_NULL(keystore_active_data_key(wrong, "tenantB"));
    CU_ASSERT_PTR_NOT_NULL(keystore_latest_data_key(wrong, "tenantB"));
    keystore_free(wrong);
    free(encoded);
    keystore_free(keystore);
    free(data);
}

static void
test_lookups_in_an_edit(void)
{
    STATUS status;
    KEYSTORE *keystore;
    KEYSTORE_DATA_KEY *added;
    KEYSTORE_MASTER *master;
    uint8_t *data;
    size_t len;

    keystore = sample(&data, &len);
    CHECK_OK_FATAL(keystore_add_data_key(keystore, &added, &status));
    CU_ASSERT_PTR_NULL(keystore_active_data_key(keystore, "new"));
    added->id = 77;
    added->keyid = strdup("new");
    added->version = 4;
    CU_ASSERT_PTR_EQUAL(keystore_data_key(keystore, 77), added);
    CU_ASSERT_PTR_EQUAL(keystore_active_data_key(keystore, "new"), added);
    CU_ASSERT_PTR_EQUAL(keystore_latest_data_key(keystore, "new"), added);
    CHECK_OK_FATAL(keystore_add_master(keystore, &master, &status));
    CU_ASSERT_PTR_NULL(keystore_active_master(keystore, "new"));
    master->id = 78;
    master->scope = strdup("new");
    CU_ASSERT_PTR_EQUAL(keystore_master(keystore, 78), master);
    CU_ASSERT_PTR_EQUAL(keystore_active_master(keystore, "new"), master);
    CU_ASSERT_STRING_EQUAL(keystore_scope_of(keystore, "new"), "new");
    CU_ASSERT_PTR_NULL(keystore_master(keystore, 79));
    keystore_free(keystore);
    free(data);
}

static void
test_uuid_text(void)
{
    static const char *const wrong[] = {"", "00112233-4455-6677-8899-aabbccddeef",
      "00112233-4455-6677-8899-aabbccddeefff", "00112233x4455-6677-8899-aabbccddeeff",
      "0011223g-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899aabbccddee-ff"};
    STATUS status;
    uint8_t uuid[KEYSTORE_UUID_LEN];
    char text[KEYSTORE_UUID_TEXT];
    size_t i;

    CHECK_OK(keystore_uuid_parse("00112233-4455-6677-8899-aabbccddeeff", uuid, &status));
    keystore_uuid_text(uuid, text);
    CU_ASSERT_STRING_EQUAL(text, "00112233-4455-6677-8899-aabbccddeeff");
    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CHECK_FAILS(keystore_uuid_parse(wrong[i], uuid, &status), STATUS_CORRUPT, "keystore-uuid");
    CU_ASSERT_STRING_EQUAL(keystore_state_name(KEYSTORE_READABLE), "readable");
    CU_ASSERT_STRING_EQUAL(keystore_state_name((KEYSTORE_STATE)3), "unknown");
}

static void
test_too_many_recipients(void)
{
    STATUS status;
    KEYSTORE *keystore;
    KEYSTORE_RECIPIENT *recipient;
    KEYSTORE_MASTER *master;
    int i;

    CHECK_OK_FATAL(keystore_new("n", &keystore, &status));
    CHECK_OK_FATAL(keystore_add_master(keystore, &master, &status));
    for (i = 0; i < KEYSTORE_RECIPIENTS_MAX; i++)
        CHECK_OK(keystore_add_recipient(master, &recipient, &status));
    CHECK_FAILS(
      keystore_add_recipient(master, &recipient, &status), STATUS_REFUSED, "keystore-recipients");
    keystore_free(keystore);
}

static void
test_history_limit(void)
{
    STATUS status;
    KEYSTORE *keystore;
    char reason[3000];
    int i;

    CHECK_OK_FATAL(keystore_new("n", &keystore, &status));
    for (i = 0; i < KEYSTORE_HISTORY_MAX + 25; i++) {
        keystore->generation = i + 1;
        CHECK_OK(keystore_add_event(keystore, "op", NULL, &status));
    }
    CU_ASSERT_EQUAL(keystore->event_count, KEYSTORE_HISTORY_MAX);
    CU_ASSERT_EQUAL(keystore->events[0].generation, 26);
    CU_ASSERT_EQUAL(keystore->events[KEYSTORE_HISTORY_MAX - 1].generation, 225);
    /* A reason that is too long is cut between characters; one that is no text is not kept. */
    for (i = 0; i < 1500; i++)
        memcpy(reason + 2 * i, "\xc3\xa9", 2);
    reason[1] = 'x';
    memmove(reason, reason + 1, 2998);
    reason[2998] = '\0';
    CHECK_OK(keystore_add_event(keystore, "op", reason, &status));
    CU_ASSERT_EQUAL(strlen(keystore->events[KEYSTORE_HISTORY_MAX - 1].reason), 1023);
    CHECK_OK(keystore_add_event(keystore, "op", "\xff", &status));
    CU_ASSERT_STRING_EQUAL(keystore->events[KEYSTORE_HISTORY_MAX - 1].reason, "?");
    keystore_free(keystore);
}

/* --- MACs and seal */

static void
test_seal_keys(void)
{
    STATUS status;
    KEYSTORE *keystore;
    KEYSTORE_SEAL_KEY keys[2];
    SECRET *other;
    uint8_t *data, *encoded;
    size_t len, encoded_len, i;

    keystore = sample(&data, &len);
    free(data);
    CHECK_OK_FATAL(secret_new_random(MAC_LEN, &other, &status));
    for (i = 0; i < 2; i++) {
        keys[i].scope = keystore->masters[i].scope;
        keys[i].seal_key = seal_key();
    }
    CHECK_OK_FATAL(keystore_encode(keystore, keys, 2, &encoded, &encoded_len, &status));
    CHECK_OK(keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status));
    keys[1].seal_key = other;
    CHECK_FAILS(keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status),
      STATUS_CORRUPT, "keystore-mac");
    CHECK_FAILS(keystore_check_seal(encoded, encoded_len, keystore, keys, 1, &status),
      STATUS_CORRUPT, "keystore-seal-key");
    CHECK_FAILS(keystore_encode(keystore, keys, 1, &data, &len, &status), STATUS_CORRUPT,
      "keystore-seal-key");
    CU_ASSERT_PTR_NULL(data);
    keys[1].seal_key = seal_key();
    /* The MACs are covered by the seal, the history too, and the seal itself is compared. */
    for (i = encoded_len - 400; i < encoded_len - 1; i++) {
        encoded[i] ^= 1;
        status_clear(&status);
        CU_ASSERT_EQUAL(
          keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status), STATUS_CORRUPT);
        encoded[i] ^= 1;
    }
    CHECK_OK(keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status));
    /* What was not decoded from these bytes. */
    CHECK_FAILS(keystore_check_seal(encoded, encoded_len - 1, keystore, keys, 2, &status),
      STATUS_CORRUPT, "keystore-format");
    keystore->sealed_len = SIZE_MAX - 200;
    CHECK_FAILS(keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status),
      STATUS_CORRUPT, "keystore-format");
    secret_free(other);
    free(encoded);
    keystore_free(keystore);
}

/* Bytes that no decoder saw before: each change in them is an error or a wrong MAC, never a crash. */
static void
test_seal_of_damaged_bytes(void)
{
    STATUS status;
    KEYSTORE *keystore;
    KEYSTORE_SEAL_KEY keys[2];
    uint8_t *data, *encoded;
    size_t len, encoded_len, i;
    int bit;

    keystore = sample(&data, &len);
    for (i = 0; i < 2; i++) {
        keys[i].scope = keystore->masters[i].scope;
        keys[i].seal_key = seal_key();
    }
    CHECK_OK_FATAL(keystore_encode(keystore, keys, 2, &encoded, &encoded_len, &status));
    for (i = 0; i < encoded_len; i++)
        for (bit = 0; bit < 8; bit++) {
            encoded[i] ^= (uint8_t)(1 << bit);
            status_clear(&status);
            CU_ASSERT_EQUAL(keystore_check_seal(encoded, encoded_len, keystore, keys, 2, &status),
              STATUS_CORRUPT);
            encoded[i] ^= (uint8_t)(1 << bit);
        }
    free(encoded);
    free(data);
    keystore_free(keystore);
}

static void
test_parts(void)
{
    STATUS status;
    KEYSTORE *keystore, *part;
    KEYSTORE_SEAL_KEY keys[2];
    uint8_t *data, *encoded;
    size_t len, encoded_len, i;

    keystore = sample(&data, &len);
    for (i = 0; i < 2; i++) {
        keys[i].scope = keystore->masters[i].scope;
        keys[i].seal_key = seal_key();
    }
    CHECK_OK_FATAL(keystore_encode_part(
      keystore, KEYSTORE_DEFAULT_PART, keys, 2, &encoded, &encoded_len, &status));
    CU_ASSERT(encoded_len >= keystore_encoded_least(keystore, KEYSTORE_DEFAULT_PART));
    CHECK_OK_FATAL(keystore_decode(encoded, encoded_len, &part, &status));
    CU_ASSERT(part->partial);
    CU_ASSERT_EQUAL(part->master_count, 1);
    CU_ASSERT_EQUAL(part->data_key_count, 2);
    CU_ASSERT_EQUAL(part->event_count, 0);
    CHECK_OK(keystore_check_seal(encoded, encoded_len, part, keys, 1, &status));
    keystore_free(part);
    free(encoded);
    CHECK_OK_FATAL(keystore_encode_part(
      keystore, KEYSTORE_LEAST_PART, keys, 2, &encoded, &encoded_len, &status));
    CHECK_OK_FATAL(keystore_decode(encoded, encoded_len, &part, &status));
    CU_ASSERT_EQUAL(part->data_key_count, 1);
    CU_ASSERT_STRING_EQUAL(part->data_keys[0].keyid, "default");
    keystore_free(part);
    free(encoded);
    keystore_free(keystore);
    free(data);
}

/* --- a file of this version, kept: later versions must read it */

static void
read_vector(const char *name, uint8_t **datap, size_t *lenp)
{
    STATUS status;
    char path[1024];

    (void)snprintf(path, sizeof(path), TEST_SRCDIR "/vectors/%s", name);
    CHECK_OK_FATAL(file_read(AT_FDCWD, path, 1 << 20, false, NULL, datap, lenp, &status));
}

static void
test_golden(void)
{
    HOME home;
    STATUS status;
    KEYRING *keyring;
    SECRET *secret;
    uint8_t *data, *expected;
    char *line, *save = NULL, keyid[64], hex[80], hex_found[80], found[KEYSTORE_KEYID_MAX + 1];
    unsigned long long id;
    size_t len;
    unsigned count = 0;

    home_make(&home, NULL);
    read_vector("keystore-1.key", &data, &len);
    home_write(&home, "../key", data, len);
    free(data);
    read_vector("keystore-1-tenant.key", &data, &len);
    home_write(&home, "../keyA", data, len);
    free(data);
    home_configure(&home, "kms: [{provider: local, keyFile: %k}]\n" HOME_TENANT_YAML);
    read_vector("keystore-1.keystore", &data, &len);
    home_write(&home, KEYRING_FILE, data, len);
    home.options.read_only = true;
    CHECK_OK_FATAL(keyring_open(home.fd, home.settings, &home.options, &keyring, &status));
    read_vector("keystore-1.txt", &expected, &len);
    for (line = strtok_r((char *)expected, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (line[0] == '#' || sscanf(line, "%63s %llx %79s", keyid, &id, hex) != 3)
            continue;
        CHECK_OK_FATAL(keyring_data_key(keyring, id, &secret, found, &status));
        encode_hex(secret_bytes(secret), secret_len(secret), hex_found);
        CU_ASSERT_STRING_EQUAL(hex_found, hex);
        CU_ASSERT_STRING_EQUAL(found, keyid);
        secret_free(secret);
        count++;
    }
    CU_ASSERT_EQUAL(count, 3);
    keyring_close(keyring);
    free(expected);
    free(data);
    home_free(&home);
    secret_free(any_key);
    any_key = NULL;
}

/* The reader that was written from the format's description alone says the same. */
static void
test_second_reader(void)
{
    static const char command[] = "cd " TEST_SRCDIR "/vectors && python3 ../keystore/reader.py "
                                  "keystore-1.keystore keystore-1.key "
                                  "tenantA=keystore-1-tenant.key";
    uint8_t *expected;
    char line[256], *line_expected, *save = NULL;
    size_t len;
    FILE *pipe;

    if (system("python3 -c 'import cryptography' >/dev/null 2>&1") != 0) {
        printf("(left out: no python3-cryptography) ");
        return;
    }
    read_vector("keystore-1.txt", &expected, &len);
    pipe = popen(command, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(pipe);
    line_expected = strtok_r((char *)expected, "\n", &save);
    while ((line_expected = strtok_r(NULL, "\n", &save)) != NULL) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(fgets(line, sizeof(line), pipe));
        line[strcspn(line, "\n")] = '\0';
        CU_ASSERT_STRING_EQUAL(line, line_expected);
    }
    CU_ASSERT_PTR_NULL(fgets(line, sizeof(line), pipe));
    CU_ASSERT_EQUAL(pclose(pipe), 0);
    free(expected);
}

const TEST format_tests[] = {{"round trip", test_round_trip}, {"cut and long", test_cut_and_long},
  {"absurd lengths", test_absurd_lengths}, {"every element", test_every_element},
  {"versions", test_versions}, {"rules", test_rules},
  {"lookups in an edit", test_lookups_in_an_edit}, {"uuid", test_uuid_text},
  {"history", test_history_limit}, {"too many recipients", test_too_many_recipients},
  {"seal keys", test_seal_keys}, {"seal of damaged bytes", test_seal_of_damaged_bytes},
  {"parts", test_parts}, {"golden file", test_golden}, {"second reader", test_second_reader},
  {NULL, NULL}};
