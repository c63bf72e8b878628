/*
 * keystore/keystore_seal.c -- MACs and seal of a keystore's bytes. See keystore.h.
 *
 * Both are computed over the bytes as they stand in the file, never over a structure that was read
 * from them: what the reader overlooked is then still covered. Writing and checking share the code
 * that computes.
 */
#include "keystore/keystore_format.h"

#include <bson/bson.h>

#include <stdlib.h>
#include <string.h>

/* What goes before the bytes, so that a MAC never is a seal: with its NUL each. */
#define SCOPE_PREFIX "scope"
#define SEAL_PREFIX "seal"
#define MASTER_TAG 'M'
#define DATA_KEY_TAG 'D'

typedef struct {
    const KEYSTORE_SEAL_KEY *key;
    MAC *mac;
} SCOPE;

typedef struct {
    uint64_t id;
    SCOPE *scope;
} MASTER;

typedef struct {
    SCOPE *scopes; /* sorted by name */
    size_t scope_count;
    MASTER *masters; /* sorted by id */
    size_t master_count;
} SEALER;

/* What was decoded before has these; here they are only found again. */
static int
malformed(STATUS *status)
{
    return (status_set(
      status, STATUS_CORRUPT, "keystore-format", "the keystore's MACs cannot be computed"));
}

static int
no_memory(STATUS *status)
{
    return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the keystore's MACs"));
}

static int
compare_scopes(const void *a, const void *b)
{
    return (strcmp(((const SCOPE *)a)->key->scope, ((const SCOPE *)b)->key->scope));
}

static int
compare_masters(const void *a, const void *b)
{
    const MASTER *x = a, *y = b;

    return (x->id < y->id ? -1 : x->id > y->id);
}

static int
find_scope(const SEALER *sealer, const char *name, SCOPE **scopep, STATUS *status)
{
    KEYSTORE_SEAL_KEY key = {.scope = name};
    SCOPE wanted = {.key = &key};

    *scopep = bsearch(
      &wanted, sealer->scopes, sealer->scope_count, sizeof(*sealer->scopes), compare_scopes);
    if (*scopep == NULL)
        return (status_set(status, STATUS_CORRUPT, "keystore-seal-key",
          "the key that seals scope \"%s\" of the keystore is not at hand", name));
    return (0);
}

static void
release(SEALER *sealer)
{
    size_t i;

    for (i = 0; i < sealer->scope_count; i++)
        mac_free(sealer->scopes[i].mac);
    free(sealer->scopes);
    free(sealer->masters);
}

/* One MAC is begun for each scope, with what all have: the keystore's uuid and its generation. */
static int
begin(SEALER *sealer, const bson_t *doc, const KEYSTORE_SEAL_KEY *seal_keys, size_t count,
  STATUS *status)
{
    bson_iter_t iter;
    const uint8_t *uuid;
    uint64_t generation;
    uint32_t uuid_len;
    size_t i;
    int ret;

    if (!bson_iter_init_find(&iter, doc, FIELD_UUID) || !BSON_ITER_HOLDS_BINARY(&iter))
        return (malformed(status));
    bson_iter_binary(&iter, NULL, &uuid_len, &uuid);
    if (!bson_iter_init_find(&iter, doc, FIELD_GENERATION) || !BSON_ITER_HOLDS_INT64(&iter))
        return (malformed(status));
    generation = BSON_UINT64_TO_LE((uint64_t)bson_iter_int64(&iter));
    if ((sealer->scopes = calloc(count + 1, sizeof(*sealer->scopes))) == NULL)
        return (no_memory(status));
    for (i = 0; i < count; i++) {
        sealer->scopes[i].key = &seal_keys[i];
        sealer->scope_count++;
        if ((ret = mac_new(seal_keys[i].seal_key, &sealer->scopes[i].mac, status)) != 0 ||
            (ret = mac_update(sealer->scopes[i].mac, SCOPE_PREFIX, sizeof(SCOPE_PREFIX), status)) !=
              0 ||
            (ret = mac_update(sealer->scopes[i].mac, uuid, uuid_len, status)) != 0 ||
            (ret = mac_update(sealer->scopes[i].mac, &generation, sizeof(generation), status)) != 0)
            return (ret);
    }
    qsort(sealer->scopes, sealer->scope_count, sizeof(*sealer->scopes), compare_scopes);
    return (0);
}

static int
add_element(SCOPE *scope, char tag, const bson_iter_t *element, STATUS *status)
{
    const uint8_t *data;
    uint32_t len;
    int ret;

    bson_iter_document(element, &len, &data);
    if ((ret = mac_update(scope->mac, &tag, 1, status)) != 0)
        return (ret);
    return (mac_update(scope->mac, data, len, status));
}

static uint64_t
element_id(const bson_iter_t *element, const char *field)
{
    bson_iter_t iter;

    if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, field) ||
        !BSON_ITER_HOLDS_INT64(&iter))
        return (0);
    return ((uint64_t)bson_iter_int64(&iter));
}

static const char *
element_scope(const bson_iter_t *element)
{
    bson_iter_t iter;

    if (!bson_iter_recurse(element, &iter) || !bson_iter_find(&iter, FIELD_SCOPE) ||
        !BSON_ITER_HOLDS_UTF8(&iter))
        return ("");
    return (bson_iter_utf8(&iter, NULL));
}

static int
open_array(const bson_t *doc, const char *field, bson_iter_t *array, STATUS *status)
{
    bson_iter_t iter;

    if (!bson_iter_init_find(&iter, doc, field) || !BSON_ITER_HOLDS_ARRAY(&iter) ||
        !bson_iter_recurse(&iter, array))
        return (malformed(status));
    return (0);
}

static int
add_masters(SEALER *sealer, const bson_t *doc, STATUS *status)
{
    bson_iter_t array;
    SCOPE *scope;
    size_t count = 0;
    int ret;

    if ((ret = open_array(doc, FIELD_MASTERS, &array, status)) != 0)
        return (ret);
    while (bson_iter_next(&array))
        count++;
    if ((sealer->masters = calloc(count + 1, sizeof(*sealer->masters))) == NULL)
        return (no_memory(status));
    if ((ret = open_array(doc, FIELD_MASTERS, &array, status)) != 0)
        return (ret);
    while (bson_iter_next(&array)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&array))
            return (malformed(status));
        if ((ret = find_scope(sealer, element_scope(&array), &scope, status)) != 0 ||
            (ret = add_element(scope, MASTER_TAG, &array, status)) != 0)
            return (ret);
        sealer->masters[sealer->master_count].id = element_id(&array, FIELD_ID);
        sealer->masters[sealer->master_count++].scope = scope;
    }
    qsort(sealer->masters, sealer->master_count, sizeof(*sealer->masters), compare_masters);
    return (0);
}

static int
add_data_keys(SEALER *sealer, const bson_t *doc, STATUS *status)
{
    bson_iter_t array;
    MASTER wanted, *master;
    int ret;

    if ((ret = open_array(doc, FIELD_DATA_KEYS, &array, status)) != 0)
        return (ret);
    while (bson_iter_next(&array)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&array))
            return (malformed(status));
        wanted.id = element_id(&array, FIELD_MASTER_KEY_ID);
        master = bsearch(&wanted, sealer->masters, sealer->master_count, sizeof(*sealer->masters),
          compare_masters);
        if (master == NULL)
            return (malformed(status));
        if ((ret = add_element(master->scope, DATA_KEY_TAG, &array, status)) != 0)
            return (ret);
    }
    return (0);
}

/* Where a document of the list has its MAC, as an offset from the beginning. */
static int
mac_place(const uint8_t *data, const bson_iter_t *element, size_t *offsetp, STATUS *status)
{
    bson_iter_t iter;
    const uint8_t *mac;
    uint32_t len;

    *offsetp = 0;
    if (!BSON_ITER_HOLDS_DOCUMENT(element) || !bson_iter_recurse(element, &iter) ||
        !bson_iter_find(&iter, FIELD_MAC) || !BSON_ITER_HOLDS_BINARY(&iter))
        return (malformed(status));
    bson_iter_binary(&iter, NULL, &len, &mac);
    if (len != MAC_LEN)
        return (malformed(status));
    *offsetp = (size_t)(mac - data);
    return (0);
}

/* The seal's own element has no seal: all but its 32 bytes is known. */
static bool
ends_in_seal(const uint8_t *data, size_t len)
{
    static const uint8_t head[] = {
      BSON_TYPE_BINARY, 's', 'e', 'a', 'l', 0, MAC_LEN, 0, 0, 0, BSON_SUBTYPE_BINARY};

    _Static_assert(sizeof(head) + MAC_LEN == KEYSTORE_SEAL_ELEMENT_LEN, "the seal's element");
    return (len > 1 + KEYSTORE_SEAL_ELEMENT_LEN &&
            memcmp(data + len - 1 - KEYSTORE_SEAL_ELEMENT_LEN, head, sizeof(head)) == 0);
}

static int
compute_seal(
  const SEALER *sealer, const uint8_t *data, size_t len, uint8_t seal[MAC_LEN], STATUS *status)
{
    SCOPE *scope;
    MAC *mac = NULL;
    int ret;

    if ((ret = find_scope(sealer, KEYSTORE_DEFAULT_SCOPE, &scope, status)) != 0 ||
        (ret = mac_new(scope->key->seal_key, &mac, status)) != 0 ||
        (ret = mac_update(mac, SEAL_PREFIX, sizeof(SEAL_PREFIX), status)) != 0 ||
        (ret = mac_update(mac, data, len - 1 - KEYSTORE_SEAL_ELEMENT_LEN, status)) != 0)
        goto err;
    ret = mac_final(mac, seal, status);

err:
    mac_free(mac);
    return (ret);
}

/*
 * Compute all MACs and the seal. With a writable place they are put into the bytes, else compared
 * with what stands there. The seal comes last: it covers the MACs.
 */
static int
walk(const uint8_t *data, size_t len, uint8_t *writable, const KEYSTORE_SEAL_KEY *seal_keys,
  size_t count, STATUS *status)
{
    SEALER sealer = {0};
    SCOPE *scope;
    bson_iter_t array;
    bson_t doc;
    size_t offset;
    uint8_t mac[MAC_LEN];
    int ret;

    if (!ends_in_seal(data, len) || !bson_init_static(&doc, data, len))
        return (malformed(status));
    if ((ret = begin(&sealer, &doc, seal_keys, count, status)) != 0 ||
        (ret = add_masters(&sealer, &doc, status)) != 0 ||
        (ret = add_data_keys(&sealer, &doc, status)) != 0 ||
        (ret = open_array(&doc, FIELD_MACS, &array, status)) != 0)
        goto err;
    while (bson_iter_next(&array)) {
        if ((ret = mac_place(data, &array, &offset, status)) != 0 ||
            (ret = find_scope(&sealer, element_scope(&array), &scope, status)) != 0 ||
            (ret = mac_final(scope->mac, mac, status)) != 0)
            goto err;
        if (writable != NULL)
            memcpy(writable + offset, mac, MAC_LEN);
        else if (!mac_equal(data + offset, mac, MAC_LEN)) {
            ret = status_set(status, STATUS_CORRUPT, "keystore-mac",
              "scope \"%s\" of the keystore was changed by somebody without its key",
              scope->key->scope);
            goto err;
        }
    }
    if ((ret = compute_seal(&sealer, data, len, mac, status)) != 0)
        goto err;
    if (writable != NULL)
        memcpy(writable + len - 1 - MAC_LEN, mac, MAC_LEN);
    else if (!mac_equal(data + len - 1 - MAC_LEN, mac, MAC_LEN))
        ret = status_set(status, STATUS_CORRUPT, "keystore-seal",
          "the keystore was changed by somebody without its key: the seal does not hold");

err:
    release(&sealer);
    return (ret);
}

int
keystore_write_seal(
  uint8_t *data, size_t len, const KEYSTORE_SEAL_KEY *seal_keys, size_t count, STATUS *status)
{
    return (walk(data, len, data, seal_keys, count, status));
}

int
keystore_check_seal(const uint8_t *data, size_t len, const KEYSTORE *keystore,
  const KEYSTORE_SEAL_KEY *seal_keys, size_t count, STATUS *status)
{
    if (len != keystore->sealed_len + 1 + KEYSTORE_SEAL_ELEMENT_LEN)
        return (malformed(status));
    return (walk(data, len, NULL, seal_keys, count, status));
}
