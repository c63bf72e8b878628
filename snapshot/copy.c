/*
 * snapshot/copy.c -- From the files of a container to rows. See copy.h and inventory.h.
 */
#include "snapshot/copy.h"

#include "common/clock.h"
#include "snapshot/inventory.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PROBLEMS_MAX 20 /* shown of one copy; the rest is counted */

static const char *const state_names[] = {[COPY_ENCRYPTED] = "encrypted",
  [COPY_PLAIN] = "Not enabled",
  [COPY_PREPARED] = "no data yet",
  [COPY_EMPTY] = "empty",
  [COPY_KEYSTORE_MISSING] = "keystore missing",
  [COPY_UNKNOWN] = "not judged"};

const char *
copy_state_name(COPY_STATE state)
{
    return (state_names[state]);
}

bool
copy_state_parse(const char *name, COPY_STATE *statep)
{
    size_t i;

    for (i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++)
        if (strcmp(state_names[i], name) == 0) {
            *statep = (COPY_STATE)i;
            return (true);
        }
    return (false);
}

void
copy_problem(COPY *copy, bool unjudged, const char *fmt, ...)
{
    va_list ap;
    char text[2048];

    copy->unjudged = copy->unjudged || unjudged;
    if (copy->problem_count == PROBLEMS_MAX)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    copy->problems =
      bson_realloc(copy->problems, (copy->problem_count + 1) * sizeof(*copy->problems));
    copy->problems[copy->problem_count] =
      bson_strdup(copy->problem_count + 1 == PROBLEMS_MAX ? "and more" : text);
    copy->problem_count++;
}

void
copy_release(COPY *copy)
{
    size_t i;

    for (i = 0; i < copy->recipient_count; i++) {
        bson_free(copy->recipients[i].scope);
        bson_free(copy->recipients[i].provider);
        bson_free(copy->recipients[i].key_id);
        bson_free(copy->recipients[i].credential);
        bson_free(copy->recipients[i].access);
        bson_free(copy->recipients[i].detail);
    }
    for (i = 0; i < copy->master_count; i++)
        bson_free(copy->masters[i].scope);
    for (i = 0; i < copy->key_count; i++)
        bson_free(copy->keys[i].keyid);
    for (i = 0; i < copy->problem_count; i++)
        bson_free(copy->problems[i]);
    bson_free(copy->recipients);
    bson_free(copy->masters);
    bson_free(copy->keys);
    bson_free(copy->problems);
    bson_free(copy->host);
    bson_free(copy->node);
    bson_free(copy->path);
    bson_free(copy->member);
    bson_free(copy->uuid);
    memset(copy, 0, sizeof(*copy));
}

/* --- one copy */

typedef struct {
    COPY *copy;
    const COPY_FILE *keystore, *config; /* the root's own */
    const STATE_FILE_CONTENT *state;
    const MANIFEST *manifest;
    uint64_t listed;  /* files of the manifest that are there */
    uint64_t changed; /* of another size than it says */
    uint64_t units, clear, foreign;
    bool turtle, metadata, data;
    bool backup; /* the metadata of a backup, in clear: instead of WiredTiger.wt and its turtle */
} FACTS;

static void
note_key(COPY *copy, uint64_t id)
{
    COPY_DATA_KEY *key;
    size_t i;

    for (i = 0; i < copy->key_count; i++)
        if (copy->keys[i].id == id)
            return;
    copy->keys = bson_realloc(copy->keys, (copy->key_count + 1) * sizeof(*copy->keys));
    key = &copy->keys[copy->key_count++];
    memset(key, 0, sizeof(*key));
    key->id = id;
}

static void
note_sample(FACTS *facts, const COPY_FILE *file)
{
    const SAMPLE *sample = file->sample;
    size_t i;

    facts->copy->sampled = facts->copy->sampled || file->sampled || sample->overflow;
    facts->units += sample->units;
    facts->clear += sample->clear;
    facts->foreign += sample->foreign;
    if (sample->units == 0 && sample->foreign == 0 && sample->clear != 0 &&
        file->kind == COPY_FILE_BLOCKS)
        facts->copy->plain_tables++;
    for (i = 0; i < sample->key_count; i++)
        note_key(facts->copy, sample->keys[i]);
}

/* What the manifest says of a file, when there is one; the file's path is below the copy. */
static void
compare_entry(FACTS *facts, const char *path, uint64_t size)
{
    const MANIFEST_ENTRY *entry;

    if (facts->manifest == NULL || (entry = manifest_find(facts->manifest, path)) == NULL)
        return;
    facts->listed++;
    if (entry->size == size)
        return;
    facts->changed++;
    copy_problem(facts->copy, true, "%s: the manifest says %llu bytes, and it has %llu", path,
      (unsigned long long)entry->size, (unsigned long long)size);
}

static void
note_file(FACTS *facts, const COPY_FILE *file, const COPY_FILE *content, size_t root_len)
{
    COPY *copy = facts->copy;
    bool at_root = root_len == (file->name == 0 ? 0 : file->name - 1);

    compare_entry(facts, file->path + root_len + (root_len == 0 ? 0 : 1), content->size);
    copy->files++;
    copy->size += file->size;
    if (file->modified > copy->modified)
        copy->modified = file->modified;
    if (content->problem != NULL)
        copy_problem(copy, true, "%s: %s", file->path, content->problem);
    if (content->sample != NULL)
        note_sample(facts, content);
    if (content->checkpoint > copy->checkpoint)
        copy->checkpoint = content->checkpoint;
    switch (content->kind) {
    case COPY_FILE_BLOCKS:
        facts->data = true;
        facts->metadata = facts->metadata || (at_root && file->is_metadata);
        break;
    case COPY_FILE_LOG:
        facts->data = facts->data || content->sample->units != 0 || content->sample->clear != 0;
        break;
    case COPY_FILE_TURTLE:
        facts->data = facts->turtle = true;
        break;
    case COPY_FILE_BACKUP_METADATA:
        facts->data = facts->backup = true;
        break;
    case COPY_FILE_TORN:
        facts->data = true;
        break;
    case COPY_FILE_KEYSTORE:
        if (at_root)
            facts->keystore = content;
        break;
    case COPY_FILE_CONFIG:
        if (at_root)
            facts->config = content;
        break;
    case COPY_FILE_UNFINISHED:
        copy->expiring = copy->expiring || (at_root && content->expiring);
        break;
    case COPY_FILE_LOCKED:
        copy->running = copy->running || at_root;
        break;
    case COPY_FILE_STATE:
        if (at_root)
            facts->state = content->state;
        break;
    default:
        break;
    }
}

static bool
did_open(const STATE_FILE_CONTENT *state, const char *uuid, const char *scope,
  const KEYSTORE_RECIPIENT *recipient)
{
    size_t i;

    if (state == NULL || strcmp(state->uuid, uuid) != 0)
        return (false);
    for (i = 0; i < state->opened_count; i++)
        if (strcmp(state->opened[i].scope, scope) == 0 &&
            strcmp(state->opened[i].provider, recipient->provider) == 0 &&
            strcmp(state->opened[i].key_id, recipient->key_id) == 0)
            return (true);
    return (false);
}

static void
take_master(COPY *copy, const KEYSTORE_MASTER *master, const STATE_FILE_CONTENT *state)
{
    COPY_RECIPIENT *recipient;
    size_t i;

    copy->masters = bson_realloc(copy->masters, (copy->master_count + 1) * sizeof(*copy->masters));
    copy->masters[copy->master_count].scope = bson_strdup(master->scope);
    copy->masters[copy->master_count++].id = master->id;
    copy->recipients = bson_realloc(
      copy->recipients, (copy->recipient_count + master->recipient_count) * sizeof(*recipient));
    for (i = 0; i < master->recipient_count; i++) {
        recipient = &copy->recipients[copy->recipient_count++];
        memset(recipient, 0, sizeof(*recipient));
        recipient->scope = bson_strdup(master->scope);
        recipient->provider = bson_strdup(master->recipients[i].provider);
        recipient->key_id = bson_strdup(master->recipients[i].key_id);
        recipient->credential = bson_strdup(master->recipients[i].credential);
        recipient->opened = did_open(state, copy->uuid, master->scope, &master->recipients[i]);
    }
}

static void
name_keys(COPY *copy)
{
    const KEYSTORE_DATA_KEY *key;
    size_t i;

    for (i = 0; i < copy->key_count; i++)
        if ((key = keystore_data_key(copy->keystore, copy->keys[i].id)) == NULL)
            copy_problem(copy, true, "units under data key %016llx, which the %s does not have",
              (unsigned long long)copy->keys[i].id,
              copy->partial ? "part of the keystore in WiredTiger.config" : "keystore");
        else {
            copy->keys[i].keyid = bson_strdup(key->keyid);
            copy->keys[i].version = key->version;
        }
}

static void
adopt_keystore(COPY *copy, const KEYSTORE *keystore, const STATE_FILE_CONTENT *state)
{
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    copy->keystore = keystore;
    keystore_uuid_text(keystore->uuid, uuid);
    copy->uuid = bson_strdup(uuid);
    bson_free(copy->node);
    copy->node = bson_strdup(keystore->node == NULL ? "" : keystore->node);
    copy->generation = keystore->generation;
    for (i = 0; i < keystore->master_count; i++)
        if (keystore->masters[i].state == KEYSTORE_ACTIVE)
            take_master(copy, &keystore->masters[i], state);
}

static void
take_keystore(FACTS *facts)
{
    COPY *copy = facts->copy;
    const COPY_FILE *from = NULL;

    if (facts->keystore != NULL) {
        copy->has_keystore = true;
        from = facts->keystore->keystore == NULL ? NULL : facts->keystore;
    }
    if (from == NULL && facts->config != NULL && facts->config->keystore != NULL) {
        from = facts->config;
        copy->from_mirror = true;
        copy->partial = from->partial;
    }
    if (from == NULL)
        return;
    adopt_keystore(copy, from->keystore, facts->state);
    name_keys(copy);
    if (copy->partial)
        copy_problem(copy, true,
          "WiredTiger.config carries a part of the keystore: keyids of their own are not in it");
}

static void
take_manifest(FACTS *facts)
{
    const MANIFEST *manifest = facts->manifest;
    const MANIFEST_RECIPIENT *opened;
    COPY *copy = facts->copy;
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i, r;

    if (manifest == NULL)
        return;
    /* Somebody may have opened it, and a home does not expire. */
    if (facts->changed != 0)
        copy_problem(copy, true,
          "it was changed since the copy was made; if it is a home now, remove " MANIFEST_FILE);
    else
        copy->keep_until = manifest->keep_until;
    if (copy->node[0] == '\0') {
        bson_free(copy->node);
        copy->node = bson_strdup(manifest->node);
    }
    if (facts->listed < manifest->entry_count)
        copy_problem(copy, true, "half a copy: %llu of the %zu files of its manifest are missing",
          (unsigned long long)(manifest->entry_count - facts->listed), manifest->entry_count);
    if (!manifest->has_keystore || copy->uuid == NULL)
        return;
    keystore_uuid_text(manifest->uuid, uuid);
    if (strcmp(uuid, copy->uuid) != 0) {
        copy_problem(
          copy, true, "the manifest is of keystore %s, and here is %s", uuid, copy->uuid);
        return;
    }
    for (r = 0; r < copy->recipient_count; r++)
        for (i = 0; i < manifest->opened_count; i++) {
            opened = &manifest->opened[i];
            if (strcmp(opened->scope, copy->recipients[r].scope) == 0 &&
                strcmp(opened->provider, copy->recipients[r].provider) == 0 &&
                strcmp(opened->key_id, copy->recipients[r].key_id) == 0)
                copy->recipients[r].opened = true;
        }
}

static void
judge(FACTS *facts)
{
    COPY *copy = facts->copy;

    take_keystore(facts);
    take_manifest(facts);
    if (facts->units != 0)
        copy->state = copy->keystore != NULL ? COPY_ENCRYPTED : COPY_KEYSTORE_MISSING;
    else if (facts->foreign != 0)
        copy->state = COPY_UNKNOWN;
    else if (facts->clear != 0)
        copy->state = COPY_PLAIN;
    else if (facts->data)
        copy->state = copy->keystore != NULL ? COPY_ENCRYPTED : COPY_UNKNOWN;
    else
        copy->state = copy->keystore != NULL ? COPY_PREPARED
                      : copy->has_keystore   ? COPY_UNKNOWN
                                             : COPY_EMPTY;
    if (copy->state == COPY_KEYSTORE_MISSING)
        copy_problem(copy, true,
          copy->has_keystore ? "the keystore is damaged, and WiredTiger.config has no copy of it"
                             : "encrypted, and no keystore is with it");
    if (facts->foreign != 0)
        copy_problem(copy, true, "pages that are encrypted by something else than this module");
    else if (copy->state == COPY_UNKNOWN)
        copy_problem(copy, true, "nothing in it tells whether it is encrypted");
    if (facts->data && !facts->backup && (!facts->turtle || !facts->metadata))
        copy_problem(copy, true, "half a copy: %s is missing",
          facts->metadata
            ? "what says where the metadata is, WiredTiger.turtle or WiredTiger.backup,"
            : "WiredTiger.wt");
    if (copy->state == COPY_PLAIN)
        copy->plain_tables = 0;
}

/* --- finding the copies in a container */

static int
compare_text(const void *a, const void *b)
{
    return (strcmp(*(char *const *)a, *(char *const *)b));
}

typedef struct {
    char **items;
    size_t count, room;
} ROOTS;

static void
add_root(ROOTS *roots, const char *path, size_t len)
{
    if (roots->count == roots->room) {
        roots->room = roots->room == 0 ? 16 : roots->room * 2;
        roots->items = bson_realloc(roots->items, roots->room * sizeof(*roots->items));
    }
    roots->items[roots->count++] = bson_strndup(path, len);
}

static void
sort_roots(ROOTS *roots)
{
    size_t i, n;

    if (roots->count > 1)
        qsort(roots->items, roots->count, sizeof(*roots->items), compare_text);
    for (i = n = 0; i < roots->count; i++)
        if (n > 0 && strcmp(roots->items[n - 1], roots->items[i]) == 0)
            bson_free(roots->items[i]);
        else
            roots->items[n++] = roots->items[i];
    roots->count = n;
}

/* The nearest directory above a file that is a root: its index, or roots->count. */
static size_t
find_root(const ROOTS *roots, const COPY_FILE *file)
{
    char *dir, *slash, **found = NULL;
    size_t len = file->name == 0 ? 0 : file->name - 1;

    if (roots->count == 0)
        return (0);
    dir = bson_strndup(file->path, len);
    for (;;) {
        found = bsearch(&dir, roots->items, roots->count, sizeof(*roots->items), compare_text);
        if (found != NULL || dir[0] == '\0')
            break;
        if ((slash = strrchr(dir, '/')) == NULL)
            dir[0] = '\0';
        else
            *slash = '\0';
    }
    bson_free(dir);
    return (found == NULL ? roots->count : (size_t)(found - roots->items));
}

static bool
is_data(const COPY_FILE *file)
{
    return (file->kind == COPY_FILE_BLOCKS || file->kind == COPY_FILE_LOG ||
            file->kind == COPY_FILE_TORN);
}

/* Data that is below no root makes one of its directory; of a journal, of the directory above. */
static void
add_orphans(ROOTS *roots, const COPY_CONTAINER *container)
{
    const COPY_FILE *file;
    size_t i, known = roots->count, len;
    ROOTS sorted = *roots;

    for (i = 0; i < container->count; i++) {
        file = &container->files[i];
        if (!is_data(file))
            continue;
        sorted.items = roots->items;
        sorted.count = known;
        if (find_root(&sorted, file) != known)
            continue;
        len = file->name == 0 ? 0 : file->name - 1;
        if (file->kind == COPY_FILE_LOG && len >= 7 &&
            strncmp(file->path + len - 7, "journal", 7) == 0)
            len = len > 7 ? len - 8 : 0;
        add_root(roots, file->path, len);
    }
    sort_roots(roots);
}

typedef struct {
    const COPY_FILE *file;
} FILE_REF;

static int
compare_refs(const void *a, const void *b)
{
    return (strcmp(((const FILE_REF *)a)->file->path, ((const FILE_REF *)b)->file->path));
}

/* A hard link in an archive carries no content: it is what it points to. */
static const COPY_FILE *
content_of(const COPY_FILE *file, const FILE_REF *refs, size_t count)
{
    COPY_FILE key;
    FILE_REF wanted = {&key}, *found;

    if (file->link == NULL)
        return (file);
    memset(&key, 0, sizeof(key));
    key.path = file->link;
    found = bsearch(&wanted, refs, count, sizeof(*refs), compare_refs);
    return (found == NULL ? file : found->file);
}

static void
start_copy(COPY *copy, const COPY_CONTAINER *container, const char *root)
{
    copy->host = bson_strdup(inventory_host());
    copy->node = bson_strdup("");
    copy->searched = clock_unix_ms();
    copy->is_archive = container->is_archive;
    if (container->is_archive) {
        copy->path = bson_strdup(container->path);
        copy->member = bson_strdup(root[0] == '\0' ? "." : root);
    } else if (root[0] == '\0')
        copy->path = bson_strdup(container->path);
    else
        copy->path = bson_strdup_printf("%s%s%s", container->path,
          container->path[strlen(container->path) - 1] == '/' ? "" : "/", root);
}

/* A sealed oplog archive is a row of its own, wherever it lies. */
static void
add_oplog(INVENTORY *inventory, const COPY_CONTAINER *container, const COPY_FILE *file,
  const COPY_FILE *content)
{
    COPY *copy = inventory_copy(inventory);

    start_copy(copy, container, file->path);
    copy->is_oplog = true;
    copy->files = 1;
    copy->size = file->size;
    copy->modified = file->modified;
    copy->state = content->keystore == NULL ? COPY_UNKNOWN : COPY_ENCRYPTED;
    copy->has_keystore = content->keystore != NULL;
    if (content->keystore != NULL)
        adopt_keystore(copy, content->keystore, NULL);
    if (content->problem != NULL)
        copy_problem(copy, true, "%s", content->problem);
}

/* Rows point to them. */
static void
keep_keystores(INVENTORY *inventory, COPY_CONTAINER *container)
{
    size_t i;

    for (i = 0; i < container->count; i++) {
        if (container->files[i].keystore == NULL)
            continue;
        inventory->keystores = bson_realloc(
          inventory->keystores, (inventory->keystore_count + 1) * sizeof(*inventory->keystores));
        inventory->keystores[inventory->keystore_count++] = container->files[i].keystore;
        container->files[i].keystore = NULL;
    }
}

void
inventory_group(INVENTORY *inventory, COPY_CONTAINER *container)
{
    COPY_FILE *file;
    FACTS *facts;
    FILE_REF *refs;
    ROOTS roots = {NULL, 0, 0};
    const COPY_FILE *content;
    size_t first, i, root;

    refs = bson_malloc0((container->count + 1) * sizeof(*refs));
    for (i = 0; i < container->count; i++)
        refs[i].file = &container->files[i];
    if (container->count > 1)
        qsort(refs, container->count, sizeof(*refs), compare_refs);
    for (i = 0; i < container->count; i++) {
        file = &container->files[i];
        content = content_of(file, refs, container->count);
        if (content != file)
            file->kind = content->kind;
        if (copy_file_is_root(content))
            add_root(&roots, file->path, file->name == 0 ? 0 : file->name - 1);
    }
    sort_roots(&roots);
    add_orphans(&roots, container);

    first = inventory->count;
    for (i = 0; i < roots.count; i++)
        start_copy(inventory_copy(inventory), container, roots.items[i]);
    facts = bson_malloc0((roots.count + 1) * sizeof(*facts));
    for (i = 0; i < roots.count; i++)
        facts[i].copy = &inventory->copies[first + i];
    /* First: the other files are compared with it. Such a file makes its directory a root. */
    for (i = 0; i < container->count; i++) {
        file = &container->files[i];
        content = content_of(file, refs, container->count);
        if (content->manifest != NULL && (root = find_root(&roots, file)) < roots.count)
            facts[root].manifest = content->manifest;
    }
    for (i = 0; i < container->count; i++) {
        file = &container->files[i];
        content = content_of(file, refs, container->count);
        if (content->kind == COPY_FILE_OPLOG)
            continue;
        if ((root = find_root(&roots, file)) < roots.count)
            note_file(&facts[root], file, content, strlen(roots.items[root]));
        else if (file->kind == COPY_FILE_UNREADABLE)
            inventory_skip(inventory, "%s%s%s: %s", container->path,
              container->is_archive ? ": " : "/", file->path, file->problem);
    }
    for (i = 0; i < roots.count; i++) {
        judge(&facts[i]);
        bson_free(roots.items[i]);
    }
    /* Last: rows move when there are more of them. */
    for (i = 0; i < container->count; i++) {
        content = content_of(&container->files[i], refs, container->count);
        if (content->kind == COPY_FILE_OPLOG)
            add_oplog(inventory, container, &container->files[i], content);
    }
    keep_keystores(inventory, container);
    bson_free(roots.items);
    bson_free(facts);
    bson_free(refs);
}
