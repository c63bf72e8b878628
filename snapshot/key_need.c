/*
 * snapshot/key_need.c -- What a customer key is still needed for. See inventory.h.
 */
#include "snapshot/inventory.h"

#include <stdlib.h>
#include <string.h>

bool
key_need_matches(const char *recorded, const char *named)
{
    size_t len = strlen(named);
    const char *rest;

    if (strcmp(recorded, named) == 0)
        return (true);
    while (len > 1 && named[len - 1] == '/')
        len--;
    if (strncmp(recorded, named, len) != 0)
        return (false);
    rest = recorded + len;
    if (rest[0] == '\0')
        return (true);
    /* A version of it: https://VAULT/keys/NAME/VERSION, .../cryptoKeys/NAME/cryptoKeyVersions/N. */
    if (rest[0] != '/')
        return (false);
    if (strncmp(rest, "/cryptoKeyVersions/", 19) == 0)
        return (strchr(rest + 19, '/') == NULL);
    return (strncmp(recorded, "https://", 8) == 0 && strchr(rest + 1, '/') == NULL);
}

/* Whether another recipient opens a scope that the key opens. */
static bool
has_other(const COPY *copy, const char *scope, const char *key_id)
{
    size_t i;

    for (i = 0; i < copy->recipient_count; i++)
        if (strcmp(copy->recipients[i].scope, scope) == 0 &&
            !key_need_matches(copy->recipients[i].key_id, key_id))
            return (true);
    return (false);
}

static char *
list_others(const COPY *copy, const char *key_id)
{
    const COPY_RECIPIENT *recipient;
    bson_string_t *text = bson_string_new(NULL);
    size_t i;

    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        if (key_need_matches(recipient->key_id, key_id))
            continue;
        bson_string_append_printf(
          text, "%s%s %s", text->len == 0 ? "" : ", ", recipient->provider, recipient->key_id);
        if (strcmp(recipient->scope, "default") != 0)
            bson_string_append_printf(text, " (scope %s)", recipient->scope);
        if (recipient->access != NULL && strcmp(recipient->access, "opens") != 0)
            bson_string_append_printf(text, " (%s)", recipient->access);
    }
    return (bson_string_free(text, false));
}

KEY_NEED
key_need(const COPY *copy, const char *key_id, char **othersp)
{
    bool needed = false, only = false;
    size_t i;

    if (othersp != NULL)
        *othersp = NULL;
    for (i = 0; i < copy->recipient_count; i++) {
        if (!key_need_matches(copy->recipients[i].key_id, key_id))
            continue;
        needed = true;
        only = only || !has_other(copy, copy->recipients[i].scope, key_id);
    }
    if (!needed)
        return (copy->unjudged ? KEY_NEED_UNJUDGED : KEY_NEED_NONE);
    if (!only && othersp != NULL)
        *othersp = list_others(copy, key_id);
    return (only ? KEY_NEED_ONLY : KEY_NEED_ONE_OF);
}

const char *
key_need_access(const COPY *copy, const char *key_id)
{
    const COPY_RECIPIENT *recipient;
    const char *access = NULL;
    size_t i;

    for (i = 0; i < copy->recipient_count; i++) {
        recipient = &copy->recipients[i];
        if (recipient->access != NULL && key_need_matches(recipient->key_id, key_id) &&
            (access == NULL || strcmp(access, "opens") == 0))
            access = recipient->access;
    }
    return (access);
}

static int
compare_text(const void *a, const void *b)
{
    return (strcmp(*(char *const *)a, *(char *const *)b));
}

size_t
key_need_all(const INVENTORY *inventory, char ***keysp)
{
    char **keys = NULL;
    size_t count = 0, i, n, r;

    for (i = 0; i < inventory->count; i++)
        for (r = 0; r < inventory->copies[i].recipient_count; r++) {
            keys = bson_realloc(keys, (count + 1) * sizeof(*keys));
            keys[count++] = bson_strdup(inventory->copies[i].recipients[r].key_id);
        }
    if (count > 1)
        qsort(keys, count, sizeof(*keys), compare_text);
    for (i = n = 0; i < count; i++)
        if (n > 0 && strcmp(keys[n - 1], keys[i]) == 0)
            bson_free(keys[i]);
        else
            keys[n++] = keys[i];
    *keysp = keys;
    return (n);
}

void
key_need_summarize(const INVENTORY *inventory, const char *key_id, KEY_NEED_SUMMARY *summary)
{
    const COPY *copy;
    KEY_NEED need;
    bool dated = true;
    size_t i;

    memset(summary, 0, sizeof(*summary));
    summary->unjudged = inventory->skipped_count;
    for (i = 0; i < inventory->count; i++) {
        copy = &inventory->copies[i];
        need = key_need(copy, key_id, NULL);
        if (need == KEY_NEED_UNJUDGED)
            summary->unjudged++;
        if (need != KEY_NEED_ONE_OF && need != KEY_NEED_ONLY)
            continue;
        summary->needed++;
        summary->only += need == KEY_NEED_ONLY;
        dated = dated && copy->keep_until != 0 && !copy->running;
        if (copy->keep_until > summary->free_after)
            summary->free_after = copy->keep_until;
    }
    /* What cannot be judged could need it for longer. */
    if (!dated || summary->unjudged != 0)
        summary->free_after = 0;
}
