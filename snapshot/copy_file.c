/*
 * snapshot/copy_file.c -- What one file of a copy is and says. See copy_file.h.
 */
#include "snapshot/copy_file.h"

#include "datafile/metadata_text.h"
#include "keystore/mirror.h"
#include "snapshot/oplog_format.h"

#include <endian.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define METADATA_MAX \
    ((size_t)64 * 1024 * 1024) /* WiredTiger.backup of a home with very many tables */

static const struct {
    const char *name;
    COPY_FILE_KIND kind;
    size_t limit;
} by_name[] = {
  {"WiredTiger", COPY_FILE_ENGINE, 0},
  {"WiredTiger.backup", COPY_FILE_BACKUP_METADATA, METADATA_MAX},
  {"WiredTiger.basecfg", COPY_FILE_ENGINE, 0},
  {"WiredTiger.config", COPY_FILE_CONFIG, MIRROR_MAX_BYTES + 1},
  {"WiredTiger.ibackup", COPY_FILE_BACKUP_METADATA, METADATA_MAX},
  {"WiredTiger.turtle", COPY_FILE_TURTLE, (size_t)1024 * 1024},
  {"wtkms.keystore", COPY_FILE_KEYSTORE, (size_t)KEYSTORE_MAX_BYTES},
  {MANIFEST_FILE, COPY_FILE_MANIFEST, (size_t)MANIFEST_MAX_BYTES},
  {"wtkms.reencrypt", COPY_FILE_UNFINISHED, 0},
  {MANIFEST_UNFINISHED_FILE, COPY_FILE_UNFINISHED, MANIFEST_UNFINISHED_MAX_BYTES},
  {STATE_FILE, COPY_FILE_STATE, STATE_FILE_MAX_BYTES},
};

COPY_FILE_KIND
copy_file_kind(const char *name, size_t *limitp)
{
    size_t i;

    *limitp = SAMPLE_START;
    for (i = 0; i < sizeof(by_name) / sizeof(by_name[0]); i++)
        if (strcmp(name, by_name[i].name) == 0) {
            *limitp = by_name[i].limit;
            return (by_name[i].kind);
        }
    return (COPY_FILE_OTHER);
}

bool
copy_file_is_root(const COPY_FILE *file)
{
    switch (file->kind) {
    case COPY_FILE_TURTLE:
    case COPY_FILE_BACKUP_METADATA:
    case COPY_FILE_ENGINE:
    case COPY_FILE_KEYSTORE:
    case COPY_FILE_MANIFEST:
        return (true);
    case COPY_FILE_UNFINISHED:
        return (strcmp(file->path + file->name, MANIFEST_UNFINISHED_FILE) == 0);
    case COPY_FILE_CONFIG:
        return (file->keystore != NULL);
    default:
        return (file->is_metadata);
    }
}

COPY_FILE *
copy_file_add(COPY_CONTAINER *container, const char *path, uint64_t size, int64_t modified)
{
    COPY_FILE *file;
    const char *slash;

    if (container->count == container->room) {
        container->room = container->room == 0 ? 64 : container->room * 2;
        container->files =
          bson_realloc(container->files, container->room * sizeof(*container->files));
    }
    file = &container->files[container->count++];
    memset(file, 0, sizeof(*file));
    file->path = bson_strdup(path);
    slash = strrchr(file->path, '/');
    file->name = slash == NULL ? 0 : (size_t)(slash + 1 - file->path);
    file->is_metadata = strcmp(file->path + file->name, "WiredTiger.wt") == 0;
    file->size = size;
    file->modified = modified;
    return (file);
}

void
copy_file_problem(COPY_FILE *file, const char *fmt, ...)
{
    va_list ap;
    char text[1024];

    if (file->problem != NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    file->problem = bson_strdup(text);
}

/* The newest "time=" of a list of checkpoints; seconds become ms. */
static int64_t
newest_time(const METADATA_TEXT *checkpoints)
{
    const char *p, *end = checkpoints->text + checkpoints->length;
    int64_t newest = 0, value;

    for (p = checkpoints->text; (p = memmem(p, (size_t)(end - p), "time=", 5)) != NULL;) {
        p += 5;
        for (value = 0; p < end && *p >= '0' && *p <= '9' && value < INT64_MAX / 20000; p++)
            value = value * 10 + (*p - '0');
        /* Beyond the year 9999 it is no time. */
        if (value < 253402300800 && value > newest)
            newest = value;
    }
    return (newest * 1000);
}

static int
on_entry(void *context, const METADATA_ENTRY *entry)
{
    COPY_FILE *file = context;
    METADATA_FILE described;
    METADATA_TEXT value;
    int64_t when;

    if (entry->uri.length < 5 || memcmp(entry->uri.text, "file:", 5) != 0)
        return (0);
    if (metadata_text_get(entry->config.text, entry->config.length, "checkpoint", &value) &&
        (when = newest_time(&value)) > file->checkpoint)
        file->checkpoint = when;
    metadata_text_file(entry->config.text, entry->config.length, &described);
    if (described.encryption == METADATA_ENCRYPTION_NONE)
        file->plain_tables++;
    return (0);
}

static void
read_config(COPY_FILE *file, const uint8_t *data, size_t len)
{
    MIRROR mirror;
    STATUS status;

    if (mirror_parse((const char *)data, len, &mirror, &status) != 0) {
        copy_file_problem(file, "the copy of the keystore in it is damaged: %s", status.message);
        return;
    }
    if (mirror.has_keystore &&
        keystore_decode(mirror.keystore, mirror.keystore_len, &file->keystore, &status) != 0)
        copy_file_problem(
          file, "the copy of the keystore in it cannot be read: %s", status.message);
    file->partial = mirror.partial;
    mirror_release(&mirror);
}

static void
read_known(COPY_FILE *file, const uint8_t *data, size_t len, bool whole)
{
    STATUS status;

    if (!whole) {
        copy_file_problem(file, "it is larger than such a file can be");
        return;
    }
    switch (file->kind) {
    case COPY_FILE_TURTLE:
    case COPY_FILE_BACKUP_METADATA:
        if (len == 0)
            copy_file_problem(file, "it is empty");
        if (metadata_text_walk((const char *)data, len, on_entry, file) != 0)
            copy_file_problem(file, "its text cannot be read");
        break;
    case COPY_FILE_CONFIG:
        read_config(file, data, len);
        break;
    case COPY_FILE_KEYSTORE:
        if (keystore_decode(data, len, &file->keystore, &status) != 0)
            copy_file_problem(file, "the keystore cannot be read: %s", status.message);
        break;
    case COPY_FILE_MANIFEST:
        if (manifest_decode(data, len, &file->manifest, &status) != 0)
            copy_file_problem(file, "%s", status.message);
        break;
    case COPY_FILE_STATE:
        /* Information only: what cannot be read tells nothing. */
        if (state_file_parse(data, len, &file->state, &status) != 0)
            file->state = NULL;
        break;
    default:
        break;
    }
}

static bool
ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return (len >= end_len && strcmp(text + len - end_len, end) == 0);
}

/* The head of a sealed oplog archive carries the keystore with its wrapped key: see oplog_format.h. */
static void
read_oplog(COPY_FILE *file, const uint8_t *data, size_t len)
{
    uint32_t keystore_len, version;
    STATUS status;

    if (len < OPLOG_MAGIC_LEN + 8) {
        copy_file_problem(file, "the oplog archive ends inside its head");
        return;
    }
    memcpy(&version, data + OPLOG_MAGIC_LEN, sizeof(version));
    memcpy(&keystore_len, data + OPLOG_MAGIC_LEN + 4, sizeof(keystore_len));
    keystore_len = le32toh(keystore_len);
    if (le32toh(version) != OPLOG_VERSION)
        copy_file_problem(file, "the oplog archive is of a version that is not known here");
    else if (keystore_len > len - OPLOG_MAGIC_LEN - 8)
        copy_file_problem(file, "the oplog archive ends inside its head");
    else if (keystore_decode(data + OPLOG_MAGIC_LEN + 8, keystore_len, &file->keystore, &status) !=
             0)
        copy_file_problem(
          file, "the keys in the oplog archive's head cannot be read: %s", status.message);
}

/* Which command says so itself; other text there is not repeated. */
static void
tell_unfinished(COPY_FILE *file, const uint8_t *data, size_t len)
{
    static const struct {
        const char *command, *problem;
    } known[] = {
      {MANIFEST_UNFINISHED_CREATE, "this copy was not finished, or is being made now"},
      {MANIFEST_UNFINISHED_EXPIRE, "this copy has expired and is removed in part"},
      {MANIFEST_UNFINISHED_RESTORE, "a restore to here was not finished, or is at work now"},
    };
    size_t command_len, i;

    if (strcmp(file->path + file->name, MANIFEST_UNFINISHED_FILE) != 0) {
        copy_file_problem(file, "a re-encryption was not finished");
        return;
    }
    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        command_len = strlen(known[i].command);
        if (len > command_len && memcmp(data, known[i].command, command_len) == 0 &&
            (data[command_len] == '\n' || data[command_len] == ' ')) {
            copy_file_problem(file, "%s", known[i].problem);
            file->expiring = strcmp(known[i].command, MANIFEST_UNFINISHED_EXPIRE) == 0;
        }
    }
    copy_file_problem(file, "something was not finished here");
}

int
copy_file_content(COPY_FILE *file, COPY_FILE_KIND known, const uint8_t *data, size_t len,
  bool whole, STATUS *status)
{
    SAMPLE_KIND kind;

    file->kind = known;
    if (known == COPY_FILE_UNFINISHED) {
        tell_unfinished(file, data, len);
        return (0);
    }
    if (known != COPY_FILE_OTHER) {
        if (known != COPY_FILE_ENGINE)
            read_known(file, data, len, whole);
        return (0);
    }
    if (len >= OPLOG_MAGIC_LEN && memcmp(data, OPLOG_MAGIC, OPLOG_MAGIC_LEN) == 0) {
        file->kind = COPY_FILE_OPLOG;
        read_oplog(file, data, len);
        return (0);
    }
    if ((kind = sample_kind(data, len)) == SAMPLE_OTHER) {
        if (ends_with(file->path, ".wt")) {
            file->kind = COPY_FILE_TORN;
            copy_file_problem(file, "no WiredTiger file, by its start: it was not copied whole");
        }
        return (0);
    }
    file->kind = kind == SAMPLE_LOG ? COPY_FILE_LOG : COPY_FILE_BLOCKS;
    file->sampled = !whole;
    file->sample = bson_malloc0(sizeof(*file->sample));
    if (sample_start(kind, data, len, whole, file->sample, status) != 0)
        return ((int)status->status_class);
    if (!file->sample->descriptor_ok)
        copy_file_problem(file, "the descriptor at the start is damaged");
    else if (kind == SAMPLE_BLOCKS && file->sample->unit_len != 0 &&
             file->size % file->sample->unit_len != 0)
        copy_file_problem(file, "the file ends inside a block: it was not copied whole");
    return (0);
}

void
copy_container_release(COPY_CONTAINER *container)
{
    size_t i;

    for (i = 0; i < container->count; i++) {
        bson_free(container->files[i].path);
        bson_free(container->files[i].sample);
        bson_free(container->files[i].problem);
        bson_free(container->files[i].link);
        keystore_free(container->files[i].keystore);
        state_file_free(container->files[i].state);
        manifest_free(container->files[i].manifest);
    }
    bson_free(container->files);
    bson_free(container->path);
    memset(container, 0, sizeof(*container));
}
