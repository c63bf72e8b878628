/*
 * cli/cmd_snapshot_create.c -- wtkms snapshot create.
 */
#include "config.h"

#include "cli/cli.h"
#include "cli/keep_until.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/target.h"
#include "common/cancel.h"
#include "common/clock.h"
#include "common/file.h"
#include "keystore/keyring.h"
#include "snapshot/create.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(OPTIONS, member)
#define MEGABYTE 1000000
#define LIST_MAX_BYTES ((size_t)256 * 1024 * 1024)

const OPTIONS_ENTRY cmd_snapshot_create_options[] = {
  {"frozen", 0, OPTIONS_FLAG, NULL, AT(frozen), NULL, 0, 0,
    "HOME does not change: a volume snapshot, or under fsyncLock."},
  {"files", 0, OPTIONS_TEXT, "LIST", AT(files), NULL, 0, 0,
    "HOME runs: copy what a backup cursor listed, one name a line; - is input."},
  {"keep-until", 0, OPTIONS_TEXT, "DATE", AT(keep_until), NULL, 0, 0,
    "When snapshot expire may remove it: 2027-01-31, RFC 3339, or 30d."},
  {"throttle", 0, OPTIONS_NUMBER, "MB", AT(throttle), NULL, 1, 1000000,
    "Read at most so many MB a second."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

/* A list, as its text and as names that point into it. */
typedef struct {
    uint8_t *text;
    char **names;
    size_t count;
} LIST;

typedef struct {
    TARGET *target;
    PROGRESS *progress;
} RUNNING;

static atomic_bool interrupted;

static void
on_signal(int number)
{
    (void)number;
    atomic_store(&interrupted, true);
}

/* --- the list */

static int
read_text(const char *path, LIST *list, size_t *lenp, STATUS *status)
{
    const char *shown = strcmp(path, "-") == 0 ? "the input" : path;
    int fd, ret;
    bool more;

    if (strcmp(path, "-") == 0)
        fd = STDIN_FILENO;
    else if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        return (status_set_errno(status, errno, "copy-list", "%s", path));
    list->text = output_allocate(LIST_MAX_BYTES + 1, 1);
    ret = file_read_into(fd, shown, list->text, LIST_MAX_BYTES, lenp, &more, status);
    if (ret == 0 && more)
        ret = status_set(
          status, STATUS_REFUSED, "copy-list", "%s is no list of files: it is too long", shown);
    if (fd != STDIN_FILENO)
        (void)close(fd);
    return (ret);
}

/* One a line; or, as find -print0 has them, a NUL behind each. */
static void
split(LIST *list, size_t len)
{
    char *end, *p = (char *)list->text, *stop = p + len;
    int separator = memchr(p, '\0', len) != NULL ? '\0' : '\n';
    size_t room = 0;

    for (; p < stop; p = end + 1) {
        if ((end = memchr(p, separator, (size_t)(stop - p))) == NULL)
            end = stop;
        *end = '\0';
        if (end == p)
            continue;
        if (list->count == room) {
            room = room == 0 ? 64 : room * 2;
            list->names = output_grow(list->names, room, sizeof(*list->names));
        }
        list->names[list->count++] = p;
    }
}

static int
read_list(const char *path, LIST *list, STATUS *status)
{
    size_t len;
    int ret;

    if ((ret = read_text(path, list, &len, status)) != 0)
        return (ret);
    split(list, len);
    return (0);
}

/* --- while it runs */

static void
on_total(void *context, uint64_t bytes)
{
    RUNNING *running = context;

    running->progress = progress_start("Copying", bytes);
}

static void
on_progress(void *context, uint64_t bytes)
{
    RUNNING *running = context;

    progress_add(running->progress, bytes);
}

static int
switch_user(void *context, bool to_owner, STATUS *status)
{
    RUNNING *running = context;

    return (to_owner ? target_as_owner(running->target, status)
                     : target_as_caller(running->target, status));
}

static int
copy_home(TARGET *target, CREATE_OPTIONS *create, CREATE_RESULT *result, STATUS *status)
{
    RUNNING running = {target, NULL};
    struct sigaction action, old_int, old_term;
    int ret;

    create->total = on_total;
    create->progress = on_progress;
    create->switch_user = switch_user;
    create->context = &running;
    atomic_store(&interrupted, false);
    cancel_watch(&interrupted);
    memset(&action, 0, sizeof(action));
    action.sa_handler = on_signal;
    (void)sigaction(SIGINT, &action, &old_int);
    (void)sigaction(SIGTERM, &action, &old_term);
    ret = create_copy(target->fd, create, result, status);
    (void)sigaction(SIGINT, &old_int, NULL);
    (void)sigaction(SIGTERM, &old_term, NULL);
    cancel_watch(NULL);
    progress_end(running.progress);
    return (ret);
}

/* --- what was done */

static void
print_table(FILE *out, const OPTIONS *options, const CREATE_RESULT *result)
{
    const MANIFEST *manifest = result->manifest;
    char *safe, time[OUTPUT_TIME_SIZE], uuid[KEYSTORE_UUID_TEXT];
    size_t i;

    safe = output_safe(options->operands[1]);
    (void)fprintf(out, "Copied to %s: %llu files, %.1f MB",
      strcmp(safe, "-") == 0 ? "the output" : safe, (unsigned long long)result->files,
      (double)result->bytes / 1e6);
    free(safe);
    if (result->cloned != 0)
        (void)fprintf(
          out, "; %llu files share their blocks with the home", (unsigned long long)result->cloned);
    (void)fprintf(out, ".\n");
    if (manifest->has_keystore) {
        keystore_uuid_text(manifest->uuid, uuid);
        (void)fprintf(out, "Keystore %s, generation %lld%s.\n", uuid,
          (long long)manifest->generation, manifest->from_mirror ? ", from the mirror" : "");
        for (i = 0; i < manifest->recipient_count; i++) {
            safe = output_safe(manifest->recipients[i].key_id);
            (void)fprintf(
              out, "Encryption Key ID: %s (scope %s)\n", safe, manifest->recipients[i].scope);
            free(safe);
        }
    } else
        (void)fprintf(
          out, "Not encrypted: there is no keystore, and nothing authenticates the copy.\n");
    if (manifest->keep_until != 0)
        (void)fprintf(out, "Kept until %s.\n", output_time(manifest->keep_until, time));
    if (manifest->log_path != NULL) {
        safe = output_safe(manifest->log_path);
        (void)fprintf(out,
          "The log is outside the home, at %s; in the copy it is %s/. WiredTiger.basecfg in the "
          "copy still "
          "names the former: restore it, do not open it in place.\n",
          safe, MANIFEST_LOG_DIR);
        free(safe);
    }
}

static int
print_json(FILE *out, const OPTIONS *options, const CREATE_RESULT *result, STATUS *status)
{
    const MANIFEST *manifest = result->manifest;
    bson_t element, json, list;
    char uuid[KEYSTORE_UUID_TEXT];
    size_t i;
    int ret;

    bson_init(&json);
    output_json_text(&json, "operation", "snapshot create");
    output_json_text(&json, "home", options->operands[0]);
    output_json_text(&json, "copy", options->operands[1]);
    output_json_text(&json, "method", manifest_method_name(manifest->method));
    output_json_text(&json, "node", manifest->node);
    output_json_time(&json, "created", manifest->created);
    output_json_time(&json, "keepUntil", manifest->keep_until);
    output_json_number(&json, "files", (int64_t)result->files);
    output_json_number(&json, "bytes", (int64_t)result->bytes);
    output_json_number(&json, "sharedFiles", (int64_t)result->cloned);
    output_json_text(&json, "logPath", manifest->log_path);
    keystore_uuid_text(manifest->uuid, uuid);
    output_json_text(&json, "uuid", manifest->has_keystore ? uuid : NULL);
    if (manifest->has_keystore) {
        output_json_number(&json, "generation", manifest->generation);
        output_json_bool(&json, "fromMirror", manifest->from_mirror);
    }
    output_json_begin_array(&json, "recipients", &list);
    for (i = 0; i < manifest->recipient_count; i++) {
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "scope", manifest->recipients[i].scope);
        output_json_text(&element, "provider", manifest->recipients[i].provider);
        output_json_text(&element, "encryptionKeyId", manifest->recipients[i].key_id);
        output_json_text(&element, "credential", manifest->recipients[i].credential);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    ret = output_json_print(&json, out, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the command */

static int
usage(const char *text, STATUS *status)
{
    return (status_set(status, STATUS_REFUSED, "usage", "snapshot create: %s", text));
}

/* A home without a keystore needs no configuration, but one that is named is read. */
static int
load_settings(TARGET *target, const char *config, STATUS *status)
{
    KEYRING_SOURCE source;
    KEYSTORE *keystore;
    int ret;
    bool found;

    if (config == NULL) {
        if ((ret = keyring_locate(
               target->fd, NULL, &found, &source, &keystore, NULL, NULL, status)) != 0)
            return (ret);
        keystore_free(keystore);
        if (!found && access(CLI_DEFAULT_CONFIG, F_OK) != 0)
            return (0);
    }
    return (target_load(target, config, status));
}

int
cmd_snapshot_create(CLI *cli, const OPTIONS *options, STATUS *status)
{
    CREATE_RESULT result = {NULL, 0, 0, 0};
    LIST list = {NULL, NULL, 0};
    TARGET target;
    CREATE_OPTIONS create = {.home = options->operands[0],
      .log = &cli->log,
      .method = options->files != NULL ? MANIFEST_FILES
                : options->frozen      ? MANIFEST_FROZEN
                                       : MANIFEST_STOPPED,
      .stream_fd = STDOUT_FILENO,
      .program = "wtkms " PACKAGE_VERSION,
      .throttle = (uint64_t)options->throttle * MEGABYTE};
    bool stream = strcmp(options->operands[1], "-") == 0;
    FILE *out = stream ? stderr : stdout;
    int ret;

    if (options->frozen && options->files != NULL)
        return (usage("--frozen and --files exclude each other", status));
    if (stream && isatty(STDOUT_FILENO))
        return (
          usage("a tar archive is not for a terminal: direct it to a file or a program", status));
    if (!stream)
        create.destination = options->operands[1];
    if (options->keep_until != NULL && (ret = keep_until_parse(options->keep_until, clock_unix_ms(),
                                          &create.keep_until, status)) != 0)
        return (ret);
    /* The operator's file, read before the home's owner is all that this process is. */
    if (options->files != NULL && (ret = read_list(options->files, &list, status)) != 0)
        goto err;
    create.files = list.names;
    create.file_count = list.count;
    if ((ret = target_open(options->operands[0], &target, status)) != 0)
        goto err;
    if ((ret = load_settings(&target, options->config, status)) == 0) {
        create.settings = target.settings;
        ret = copy_home(&target, &create, &result, status);
    }
    target_close(&target);
    if (ret != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(out, options, &result, status);
    else
        print_table(out, options, &result);

err:
    create_release(&result);
    free(list.names);
    free(list.text);
    return (ret);
}
