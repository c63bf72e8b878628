/*
 * extension/data_keys.c -- Data keys by id, without a lock for readers. See data_keys.h.
 */
#include "extension/data_keys.h"

#include <errno.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 64 /* a power of two; tables are kept at most half full */

typedef struct table {
    struct table *older; /* readers may still be in it: freed at the end */
    size_t mask;
    _Atomic(DATA_KEY *) slots[];
} TABLE;

struct data_keys {
    _Atomic(TABLE *) table;
    DATA_KEY **entries; /* all, to be freed */
    size_t count, allocated;
    void *keyids; /* tsearch tree of interned names */
};

/* Ids are random, so their low bits are a hash; mixing guards against a hostile keystore's choice. */
static size_t
slot_of(uint64_t id, size_t mask)
{
    return ((size_t)((id * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask);
}

static TABLE *
table_new(size_t slots, TABLE *older)
{
    TABLE *table = calloc(1, sizeof(*table) + slots * sizeof(table->slots[0]));

    if (table != NULL) {
        table->older = older;
        table->mask = slots - 1;
    }
    return (table);
}

static void
table_insert(TABLE *table, DATA_KEY *entry)
{
    size_t i = slot_of(unit_key_id(entry->unit_key), table->mask);

    while (atomic_load_explicit(&table->slots[i], memory_order_relaxed) != NULL)
        i = (i + 1) & table->mask;
    atomic_store_explicit(&table->slots[i], entry, memory_order_release);
}

int
data_keys_new(DATA_KEYS **keysp, STATUS *status)
{
    DATA_KEYS *keys;
    TABLE *table;

    *keysp = NULL;
    keys = calloc(1, sizeof(*keys));
    table = table_new(FIRST_SLOTS, NULL);
    if (keys == NULL || table == NULL) {
        free(keys);
        free(table);
        return (status_set_errno(status, ENOMEM, "memory", "data keys"));
    }
    atomic_init(&keys->table, table);
    *keysp = keys;
    return (0);
}

void
data_keys_free(DATA_KEYS *keys)
{
    TABLE *older, *table;
    size_t i;

    if (keys == NULL)
        return;
    for (i = 0; i < keys->count; i++) {
        unit_key_free(keys->entries[i]->unit_key);
        free(keys->entries[i]);
    }
    for (table = atomic_load(&keys->table); table != NULL; table = older) {
        older = table->older;
        free(table);
    }
    tdestroy(keys->keyids, free);
    free(keys->entries);
    free(keys);
}

const DATA_KEY *
data_keys_find(const DATA_KEYS *keys, uint64_t id)
{
    TABLE *table = atomic_load_explicit(&keys->table, memory_order_acquire);
    DATA_KEY *entry;
    size_t i;

    for (i = slot_of(id, table->mask);
         (entry = atomic_load_explicit(&table->slots[i], memory_order_acquire)) != NULL;
         i = (i + 1) & table->mask)
        if (unit_key_id(entry->unit_key) == id)
            return (entry);
    return (NULL);
}

static int
compare_names(const void *a, const void *b)
{
    return (strcmp(a, b));
}

int
data_keys_intern(DATA_KEYS *keys, const char *keyid, const char **internedp, STATUS *status)
{
    char *copy, **found;

    *internedp = NULL;
    if ((found = tfind(keyid, &keys->keyids, compare_names)) == NULL) {
        copy = strdup(keyid);
        if (copy == NULL || (found = tsearch(copy, &keys->keyids, compare_names)) == NULL) {
            free(copy);
            return (status_set_errno(status, ENOMEM, "memory", "data keys"));
        }
    }
    *internedp = *found;
    return (0);
}

/* Make room for one more; the new table is published before the entry goes in. */
static int
grow(DATA_KEYS *keys, STATUS *status)
{
    TABLE *old = atomic_load(&keys->table), *table;
    DATA_KEY **entries;
    size_t i;

    if (keys->count == keys->allocated) {
        entries = reallocarray(
          keys->entries, keys->allocated + FIRST_SLOTS + keys->allocated / 2, sizeof(*entries));
        if (entries == NULL)
            return (status_set_errno(status, ENOMEM, "memory", "data keys"));
        keys->entries = entries;
        keys->allocated += FIRST_SLOTS + keys->allocated / 2;
    }
    if ((keys->count + 1) * 2 <= old->mask + 1)
        return (0);
    if ((table = table_new((old->mask + 1) * 2, old)) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "data keys"));
    for (i = 0; i < keys->count; i++)
        table_insert(table, keys->entries[i]);
    atomic_store_explicit(&keys->table, table, memory_order_release);
    return (0);
}

int
data_keys_add(DATA_KEYS *keys, uint64_t id, const char *keyid, const SECRET *secret, STATUS *status)
{
    DATA_KEY *entry;
    int ret;

    if (data_keys_find(keys, id) != NULL)
        return (0);
    if ((ret = grow(keys, status)) != 0)
        return (ret);
    if ((entry = calloc(1, sizeof(*entry))) == NULL)
        return (status_set_errno(status, ENOMEM, "memory", "data keys"));
    if ((ret = data_keys_intern(keys, keyid, &entry->keyid, status)) != 0 ||
        (ret = unit_key_new(id, secret, &entry->unit_key, status)) != 0) {
        free(entry);
        return (ret);
    }
    keys->entries[keys->count++] = entry;
    table_insert(atomic_load(&keys->table), entry);
    return (0);
}
