/*
 * cli/cmd_snapshot_verify.c -- wtkms snapshot verify: a copy held against its manifest and its keys.
 */
#include "cli/cli.h"
#include "cli/home_check.h"
#include "cli/output.h"
#include "cli/snapshot_keys.h"
#include "cli/target.h"
#include "common/file.h"
#include "snapshot/manifest.h"
#include "snapshot/verify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS_MAX 256

const OPTIONS_ENTRY cmd_snapshot_verify_options[] = {
  {"quick", 0, OPTIONS_FLAG, NULL, offsetof(OPTIONS, quick), NULL, 0, 0,
    "Read headers, authenticate one page or record in 16, compare no hashes."},
  {"jobs", 'j', OPTIONS_NUMBER, "N", offsetof(OPTIONS, jobs), NULL, 1, THREADS_MAX,
    "Threads that read and decrypt; by default one for each processor."},
  {"trust-key", 0, OPTIONS_TEXT, "ID", offsetof(OPTIONS, trust_key), NULL, 0, 0,
    "Ask for this recorded recipient too, though it is not configured."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

typedef struct {
    const char *path;
    SNAPSHOT_KEYS keys;
    STATUS closed; /* why the keys were not opened */
    MANIFEST *manifest;
    bool mac_checked;
    VERIFY_FILE *files;
    VERIFY_RESULT compared;
    HOME_CHECK check;
    uint64_t torn_before; /* torn blocks in files that are as the manifest says */
    bool running;
} VERIFICATION;

/* --- finding out */

static int
refuse_archive(const char *path, STATUS *status)
{
    struct stat sb;

    if (strcmp(path, "-") != 0 && (stat(path, &sb) != 0 || S_ISDIR(sb.st_mode)))
        return (0);
    (void)status_set(status, STATUS_REFUSED, "verify-archive",
      "%s is no directory: pages are checked in place", path);
    return (status_hint(status,
      "unpack the archive and verify the directory, or restore it: \"wtkms snapshot restore\" "
      "verifies before it is done"));
}

/*
 * Without the key much can still be checked, so a key that cannot be had is told and not an error. A
 * configuration that was named must be there.
 */
static int
open_keys(CLI *cli, TARGET *target, const OPTIONS *options, VERIFICATION *v, STATUS *status)
{
    int ret;

    if ((ret = snapshot_keys_locate(target->fd, &v->keys, status)) == STATUS_NO_MEMORY ||
        ret == STATUS_IO)
        return (ret);
    if (ret != 0) {
        v->closed = *status;
        return (0);
    }
    if (!v->keys.found) {
        (void)status_set(&v->closed, STATUS_NO_KEY, "verify-no-keystore",
          "there is neither a keystore with it nor a copy of one in WiredTiger.config");
        return (0);
    }
    if ((ret = target_load(target, options->config, status)) != 0 && options->config != NULL)
        return (ret);
    if (ret == 0 || options->trust_key != NULL)
        ret = snapshot_keys_open(target->fd, target->settings, NULL, options->trust_key, true,
          &cli->log, &v->keys, status);
    if (ret == STATUS_NO_MEMORY || (ret != 0 && strncmp(status->id, "trust-key", 9) == 0))
        return (ret);
    if (ret != 0)
        v->closed = *status;
    return (0);
}

/* A manifest that is not the one that was written is told at once: it would only mislead. */
static int
read_manifest(const TARGET *target, VERIFICATION *v, STATUS *status)
{
    uint8_t *data = NULL;
    size_t len;
    int ret;
    bool found;

    if ((ret = file_read(target->fd, MANIFEST_FILE, MANIFEST_MAX_BYTES, true, &found, &data, &len,
           status)) != 0 ||
        !found)
        goto err;
    if ((ret = manifest_decode(data, len, &v->manifest, status)) != 0)
        goto err;
    ret = snapshot_keys_check_manifest(&v->keys, data, len, v->manifest, &v->mac_checked, status);

err:
    free(data);
    return (ret);
}

static void
compare(VERIFICATION *v)
{
    const HOME_CHECK *check = &v->check;
    VERIFY_FILE *file;
    size_t i, n;

    if (v->manifest == NULL)
        return;
    v->files = output_allocate(check->file_count, sizeof(*v->files));
    for (n = 0, i = 0; i < check->file_count; i++) {
        if (check->files[i].kind == HOME_UNREADABLE)
            continue;
        file = &v->files[n++];
        file->path = check->files[i].path;
        file->size = check->files[i].size;
        file->sha256 = check->files[i].hashed ? check->files[i].sha256 : NULL;
    }
    verify_compare(v->manifest, v->files, n, &v->compared);
    /* They were so when the copy was made: of a running database, whose writes a copy may cut. */
    for (i = 0; v->mac_checked && i < check->finding_count; i++)
        if (check->findings[i].torn) {
            const char *path = check->files[check->findings[i].file].path;
            const VERIFY_FILE *found = NULL;
            size_t f;

            for (f = 0; found == NULL && f < n; f++)
                if (strcmp(v->files[f].path, path) == 0)
                    found = &v->files[f];
            if (found != NULL && found->sha256 != NULL && found->kind == VERIFY_SAME)
                v->torn_before++;
        }
}

/* --- telling */

static uint64_t
failures(const VERIFICATION *v)
{
    return (v->check.failures - v->torn_before + v->compared.count);
}

static bool
is_plain(const VERIFICATION *v)
{
    return (!v->keys.found && v->check.units == 0);
}

static bool
is_unjudged(const VERIFICATION *v)
{
    return (v->check.unjudged != 0 || (v->keys.keyring == NULL && !is_plain(v)));
}

static void
print_manifest(const VERIFICATION *v, const OPTIONS *options)
{
    const MANIFEST *manifest = v->manifest;
    char made[OUTPUT_TIME_SIZE];

    if (manifest == NULL) {
        (void)printf("No manifest: whether files are missing cannot be told.\n");
        return;
    }
    (void)printf("Manifest of %s, %zu files: %s; ", output_time(manifest->created, made),
      manifest->entry_count,
      v->mac_checked           ? "it is authentic"
      : manifest->has_keystore ? "whether it is authentic could not be judged"
                               : "it has no MAC, since the home had no keystore");
    if (options->quick)
        (void)printf("names and sizes were compared, no hashes.\n");
    else
        (void)printf("the SHA-256 of %llu fits.\n", (unsigned long long)v->compared.compared);
}

static void
print_findings(const VERIFICATION *v)
{
    const HOME_CHECK *check = &v->check;
    const VERIFY_DIFFERENCE *d;
    OUTPUT_TABLE *table;
    size_t i;

    table = output_table_new("FILE", "DIFFERENCE", "BYTES", "MANIFEST", NULL);
    for (i = 0; i < v->compared.count; i++) {
        d = &v->compared.differences[i];
        output_table_cell(table, "%s", d->path);
        output_table_cell(table, "%s", verify_kind_name(d->kind));
        output_table_cell(table, "%llu", (unsigned long long)d->size);
        output_table_cell(table, "%llu", (unsigned long long)d->expected);
    }
    output_table_print(table, 2, stdout);
    table = output_table_new("FILE", "OFFSET", "FAILURE", NULL);
    for (i = 0; i < check->finding_count; i++) {
        output_table_cell(table, "%s", check->files[check->findings[i].file].path);
        output_table_cell(table, "%llu", (unsigned long long)check->findings[i].offset);
        output_table_cell(table, "%s", check->findings[i].what);
    }
    output_table_print(table, 2, stdout);
}

static void
print_verdict(const VERIFICATION *v, const OPTIONS *options)
{
    char line[sizeof(v->closed.message) + sizeof(v->closed.hint) + 64];

    if (v->torn_before != 0)
        (void)printf(
          "%llu of these were so when the copy was made, by the manifest: writes that the "
          "copy cut, which no checkpoint needs.\n",
          (unsigned long long)v->torn_before);
    if (v->check.unjudged != 0 && v->keys.keyring != NULL)
        (void)printf(
          "%llu units could not be judged: WiredTiger.config has a part of the keystore, "
          "without the keys of keyids of their own.\n",
          (unsigned long long)v->check.unjudged);
    else if (is_unjudged(v))
        (void)printf("No unit was authenticated, so %llu could not be judged: %s\n",
          (unsigned long long)v->check.units, status_format(&v->closed, line, sizeof(line)));
    if (failures(v) != 0)
        (void)printf("%llu failures%s.\n", (unsigned long long)failures(v),
          v->check.failures > v->check.finding_count ? ", the first of them above" : "");
    else if (is_plain(v))
        (void)printf("Not encrypted: there is nothing to authenticate; the checksums hold.\n");
    else
        (void)printf("All that was %s holds.\n", options->quick ? "sampled" : "checked");
}

static void
print_table(const VERIFICATION *v, const OPTIONS *options)
{
    const HOME_CHECK *check = &v->check;
    char *safe, uuid[KEYSTORE_UUID_TEXT];

    safe = output_safe(v->path);
    if (v->keys.found) {
        keystore_uuid_text(v->keys.keystore->uuid, uuid);
        (void)printf("%s: keystore %s, generation %lld, %s%s.\n", safe, uuid,
          (long long)v->keys.keystore->generation,
          v->keys.source == KEYRING_FROM_MIRROR ? "from WiredTiger.config" : "with the copy",
          v->keys.keyring == NULL ? "" : ", opens and its seal holds");
    } else
        (void)printf("%s: no keystore.\n", safe);
    free(safe);
    print_manifest(v, options);
    (void)printf("%llu units in %llu files, %llu bytes encrypted: %llu authenticated%s. %llu plain "
                 "tables.\n",
      (unsigned long long)check->units, (unsigned long long)check->data_files,
      (unsigned long long)check->bytes, (unsigned long long)check->authenticated,
      options->quick ? ", a sample" : "", (unsigned long long)check->plain_tables);
    print_findings(v);
    print_verdict(v, options);
}

static void
append_findings(bson_t *json, const VERIFICATION *v)
{
    static const char *const kinds[] = {"block", "metadata", "record", "file"};
    const HOME_CHECK_FINDING *f;
    const VERIFY_DIFFERENCE *d;
    bson_t element, list;
    uint32_t i;

    output_json_begin_array(json, "differences", &list);
    for (i = 0; i < v->compared.count; i++) {
        d = &v->compared.differences[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "path", d->path);
        output_json_text(&element, "difference", verify_kind_name(d->kind));
        output_json_number(&element, "bytes", (int64_t)d->size);
        output_json_number(&element, "expected", (int64_t)d->expected);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
    output_json_begin_array(json, "findings", &list);
    for (i = 0; i < v->check.finding_count; i++) {
        f = &v->check.findings[i];
        output_json_element(&list, i, &element);
        output_json_text(&element, "path", v->check.files[f->file].path);
        output_json_number(&element, "offset", (int64_t)f->offset);
        output_json_text(&element, "kind", kinds[f->kind]);
        output_json_text(&element, "failure", f->what);
        output_json_bool(&element, "torn", f->torn);
        output_json_end(&list, &element);
    }
    output_json_end_array(json, &list);
}

static int
print_json(const VERIFICATION *v, const OPTIONS *options, STATUS *status)
{
    const HOME_CHECK *check = &v->check;
    bson_t child, json;
    char line[sizeof(v->closed.message) + sizeof(v->closed.hint) + 64], uuid[KEYSTORE_UUID_TEXT];
    int ret;

    bson_init(&json);
    output_json_text(&json, "path", v->path);
    output_json_bool(&json, "quick", options->quick);
    output_json_begin(&json, "keystore", &child);
    output_json_text(&child, "state",
      !v->keys.found                          ? "missing"
      : v->keys.source == KEYRING_FROM_MIRROR ? "from mirror"
                                              : "present");
    if (v->keys.found) {
        keystore_uuid_text(v->keys.keystore->uuid, uuid);
        output_json_text(&child, "uuid", uuid);
        output_json_number(&child, "generation", v->keys.keystore->generation);
        output_json_bool(&child, "partial", v->keys.keystore->partial);
    }
    output_json_bool(&child, "opened", v->keys.keyring != NULL);
    output_json_text(&child, "closedBecause",
      v->keys.keyring != NULL || is_plain(v) ? NULL
                                             : status_format(&v->closed, line, sizeof(line)));
    output_json_end(&json, &child);
    if (v->manifest != NULL) {
        output_json_begin(&json, "manifest", &child);
        output_json_time(&child, "created", v->manifest->created);
        output_json_number(&child, "files", (int64_t)v->manifest->entry_count);
        output_json_bool(&child, "authentic", v->mac_checked);
        output_json_number(&child, "hashesThatFit", (int64_t)v->compared.compared);
        output_json_end(&json, &child);
    } else
        output_json_text(&json, "manifest", NULL);
    output_json_number(&json, "files", (int64_t)check->data_files);
    output_json_number(&json, "units", (int64_t)check->units);
    output_json_number(&json, "bytes", (int64_t)check->bytes);
    output_json_number(&json, "authenticated", (int64_t)check->authenticated);
    output_json_number(
      &json, "unjudged", (int64_t)(v->keys.keyring == NULL ? check->units : check->unjudged));
    output_json_number(&json, "plainTables", (int64_t)check->plain_tables);
    output_json_number(&json, "failures", (int64_t)failures(v));
    output_json_number(&json, "tornBefore", (int64_t)v->torn_before);
    append_findings(&json, v);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

/* --- the command */

static int
verify(CLI *cli, TARGET *target, const OPTIONS *options, VERIFICATION *v, STATUS *status)
{
    HOME_CHECK_OPTIONS check_options = {
      .threads = options_threads(options, THREADS_MAX), .copy = true, .quick = options->quick};
    pid_t pid;
    int ret;

    /* A half rewritten copy is looked at all the same: what does not hold will be named. */
    if ((ret = home_refuse_unfinished(target->fd, status)) != 0 &&
        strcmp(status->id, "copy-unfinished") == 0)
        return (ret);
    if (ret != 0)
        log_status(&cli->log, LOG_WARNING, status);
    if ((ret = target_host_running(target, &v->running, &pid, status)) != 0 ||
        (ret = open_keys(cli, target, options, v, status)) != 0 ||
        (ret = read_manifest(target, v, status)) != 0)
        return (ret);
    if (v->running)
        log_printf(&cli->log, LOG_INFO,
          "process %ld has it open: this is a live home, so what fails is looked at twice",
          (long)pid);
    check_options.host_running = v->running;
    check_options.all_files = v->manifest != NULL;
    check_options.hash = v->manifest != NULL && !options->quick;
    if ((ret = home_check_run(target, v->keys.keyring, &check_options, &v->check, status)) != 0)
        return (ret);
    compare(v);
    return (0);
}

int
cmd_snapshot_verify(CLI *cli, const OPTIONS *options, STATUS *status)
{
    VERIFICATION v;
    TARGET target;
    int ret;

    memset(&v, 0, sizeof(v));
    v.path = options->operands[0];
    if ((ret = refuse_archive(v.path, status)) != 0 ||
        (ret = target_open(v.path, &target, status)) != 0)
        return (ret);
    if ((ret = verify(cli, &target, options, &v, status)) != 0)
        goto err;
    if (options->format == FORMAT_JSON)
        ret = print_json(&v, options, status);
    else
        print_table(&v, options);
    cli->exit_code = failures(&v) != 0 ? CLI_FAILED : is_unjudged(&v) ? CLI_UNJUDGED : CLI_DONE;

err:
    verify_release(&v.compared);
    free(v.files);
    home_check_release(&v.check);
    manifest_free(v.manifest);
    snapshot_keys_release(&v.keys);
    target_close(&target);
    return (ret);
}
