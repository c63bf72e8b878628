/*
 * cli/cmd_snapshot_expire.c -- wtkms snapshot expire.
 */
#include "cli/cli.h"
#include "cli/copy_print.h"
#include "cli/output.h"
#include "cli/target.h"
#include "common/clock.h"
#include "common/file.h"
#include "snapshot/expire.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AT(member) offsetof(OPTIONS, member)

const OPTIONS_ENTRY cmd_snapshot_expire_options[] = {
  {"plan", 0, OPTIONS_FLAG, NULL, AT(plan), NULL, 0, 0,
    "Print what would be removed; remove nothing."},
  {"yes", 0, OPTIONS_FLAG, NULL, AT(confirmed), NULL, 0, 0, "Remove without asking."},
  {NULL, 0, OPTIONS_FLAG, NULL, 0, NULL, 0, 0, NULL}};

typedef enum { EXPIRE_DUE, EXPIRE_REMOVED, EXPIRE_STAYS } VERDICT;

/* A copy whose date has passed, or which a removal that was interrupted left. */
typedef struct {
    const COPY *copy;
    VERDICT verdict;
    char *reason; /* of one that stays */
} CANDIDATE;

typedef struct {
    INVENTORY inventory;
    int64_t now;
    CANDIDATE *candidates;
    size_t count;
} EXPIRING;

static const char *
verdict_name(const OPTIONS *options, VERDICT verdict)
{
    return (verdict == EXPIRE_REMOVED ? "removed"
            : verdict == EXPIRE_STAYS ? "stays"
            : options->plan           ? "would be removed"
                                      : "not removed");
}

/* --- which */

static bool
is_candidate(const COPY *copy, int64_t now)
{
    if (copy->is_oplog || copy->running)
        return (false);
    return (copy->expiring || (copy->keep_until != 0 && copy->keep_until <= now));
}

static void
find(EXPIRING *expiring)
{
    const COPY *copy;
    size_t i;

    for (i = 0; i < expiring->inventory.count; i++) {
        copy = &expiring->inventory.copies[i];
        if (!is_candidate(copy, expiring->now))
            continue;
        expiring->candidates =
          output_grow(expiring->candidates, expiring->count + 1, sizeof(*expiring->candidates));
        memset(&expiring->candidates[expiring->count], 0, sizeof(*expiring->candidates));
        expiring->candidates[expiring->count++].copy = copy;
    }
}

/* What is not good to remove says why, and the others go on. */
static int
stays(CANDIDATE *candidate, int ret, const STATUS *status)
{
    if (ret == STATUS_NO_MEMORY || ret == STATUS_INTERNAL)
        return (ret);
    candidate->verdict = EXPIRE_STAYS;
    candidate->reason = output_format("%s", status->message);
    return (0);
}

/* --- directories */

/* Its directory goes too, when it can: a mount point stays, empty. */
static void
remove_directory(const char *path)
{
    STATUS ignored;
    const char *name;
    char *text = output_format("%s", path);
    size_t len;
    int fd;

    for (len = strlen(text); len > 1 && text[len - 1] == '/';)
        text[--len] = '\0';
    if (file_split_path(text, &fd, &name, &ignored) == 0) {
        if (unlinkat(fd, name, AT_REMOVEDIR) != 0 || fsync(fd) != 0)
            errno = 0;
        (void)close(fd);
    }
    free(text);
}

static int
work_on_directory(CANDIDATE *candidate, int64_t now, bool remove, STATUS *status)
{
    const char *path = candidate->copy->path;
    EXPIRE expire = {NULL, 0, 0};
    TARGET target;
    int ret;

    if ((ret = target_open(path, &target, status)) != 0)
        return (stays(candidate, ret, status));
    if ((ret = expire_check_dir(target.fd, path, now, &expire, status)) == 0 && remove &&
        (ret = expire_remove_dir(target.fd, path, &expire, status)) == 0)
        candidate->verdict = EXPIRE_REMOVED;
    expire_release(&expire);
    target_close(&target);
    if (candidate->verdict == EXPIRE_REMOVED)
        remove_directory(path);
    return (ret == 0 ? 0 : stays(candidate, ret, status));
}

/* --- archives */

static int
work_on_archive(CANDIDATE *candidate, int64_t now, bool remove, STATUS *status)
{
    const char *name, *path = candidate->copy->path;
    EXPIRE expire = {NULL, 0, 0};
    int fd, ret;

    if ((ret = file_split_path(path, &fd, &name, status)) != 0)
        return (stays(candidate, ret, status));
    if ((ret = expire_check_archive(fd, name, path, now, &expire, status)) == 0 && remove &&
        (ret = expire_remove_archive(fd, name, path, &expire, status)) == 0)
        candidate->verdict = EXPIRE_REMOVED;
    expire_release(&expire);
    (void)close(fd);
    return (ret == 0 ? 0 : stays(candidate, ret, status));
}

static int
work(EXPIRING *expiring, bool remove, STATUS *status)
{
    CANDIDATE *candidate;
    size_t i;
    int ret;

    for (i = 0; i < expiring->count; i++) {
        candidate = &expiring->candidates[i];
        if (candidate->verdict != EXPIRE_DUE)
            continue;
        ret = candidate->copy->is_archive
                ? work_on_archive(candidate, expiring->now, remove, status)
                : work_on_directory(candidate, expiring->now, remove, status);
        if (ret != 0)
            return (ret);
    }
    return (0);
}

static size_t
count_of(const EXPIRING *expiring, VERDICT verdict)
{
    size_t count = 0, i;

    for (i = 0; i < expiring->count; i++)
        count += expiring->candidates[i].verdict == verdict;
    return (count);
}

/* --- what it says */

static void
print_candidates(const OPTIONS *options, const EXPIRING *expiring, FILE *out)
{
    const CANDIDATE *candidate;
    OUTPUT_TABLE *table;
    char *name, *safe, time[OUTPUT_TIME_SIZE];
    size_t i;

    table = output_table_new("NODE", "PATH", "KEPT UNTIL", "SIZE", "", NULL);
    for (i = 0; i < expiring->count; i++) {
        candidate = &expiring->candidates[i];
        name = copy_print_name(candidate->copy);
        output_table_cell(
          table, "%s", candidate->copy->node[0] == '\0' ? "-" : candidate->copy->node);
        output_table_cell(table, "%s", name);
        output_table_cell(table, "%s", output_time(candidate->copy->keep_until, time));
        output_table_cell(table, "%.1f MB", (double)candidate->copy->size / 1e6);
        output_table_cell(table, "%s", verdict_name(options, candidate->verdict));
        free(name);
    }
    output_table_print(table, 0, out);
    for (i = 0; i < expiring->count; i++)
        if (expiring->candidates[i].reason != NULL) {
            safe = output_safe(expiring->candidates[i].reason);
            (void)fprintf(out, "%s\n", safe);
            free(safe);
        }
}

/* The copies that are left, or would be; they stay the inventory's. */
static void
remaining(const EXPIRING *expiring, INVENTORY *left)
{
    const COPY *copy;
    size_t c, i;

    *left = expiring->inventory;
    left->count = 0;
    left->copies = output_allocate(expiring->inventory.count + 1, sizeof(*left->copies));
    for (i = 0; i < expiring->inventory.count; i++) {
        copy = &expiring->inventory.copies[i];
        for (c = 0; c < expiring->count; c++)
            if (expiring->candidates[c].copy == copy &&
                expiring->candidates[c].verdict != EXPIRE_STAYS)
                break;
        if (c == expiring->count)
            left->copies[left->count++] = *copy;
    }
}

/* Whether a copy that goes has to do with a key. */
static bool
concerns(const EXPIRING *expiring, const char *key_id)
{
    const COPY *copy;
    size_t i, r;

    for (i = 0; i < expiring->count; i++) {
        copy = expiring->candidates[i].copy;
        for (r = 0; expiring->candidates[i].verdict != EXPIRE_STAYS && r < copy->recipient_count;
             r++)
            if (key_need_matches(copy->recipients[r].key_id, key_id))
                return (true);
    }
    return (false);
}

static void
print_keys(const OPTIONS *options, const EXPIRING *expiring, const INVENTORY *left)
{
    KEY_NEED_SUMMARY summary;
    char **keys, *safe;
    size_t count, i;

    count = key_need_all(&expiring->inventory, &keys);
    for (i = 0; i < count; i++) {
        if (concerns(expiring, keys[i])) {
            key_need_summarize(left, keys[i], &summary);
            safe = output_safe(keys[i]);
            if (summary.needed == 0 && summary.unjudged == 0)
                (void)printf("%s: nothing in these places %s it any more.\n", safe,
                  options->plan ? "would need" : "needs");
            else
                (void)printf("%s: %zu still need it, %zu not judged.\n", safe, summary.needed,
                  summary.unjudged);
            free(safe);
        }
        bson_free(keys[i]);
    }
    bson_free(keys);
}

static void
json_keys(const EXPIRING *expiring, const INVENTORY *left, bson_t *json)
{
    KEY_NEED_SUMMARY summary;
    bson_t element, list;
    char **keys;
    size_t count, i;
    uint32_t n = 0;

    count = key_need_all(&expiring->inventory, &keys);
    output_json_begin_array(json, "keys", &list);
    for (i = 0; i < count; i++) {
        if (concerns(expiring, keys[i])) {
            key_need_summarize(left, keys[i], &summary);
            output_json_element(&list, n++, &element);
            output_json_text(&element, "encryptionKeyId", keys[i]);
            output_json_number(&element, "needed", (int64_t)summary.needed);
            output_json_number(&element, "notJudged", (int64_t)summary.unjudged);
            output_json_bool(&element, "free", summary.needed == 0 && summary.unjudged == 0);
            output_json_end(&list, &element);
        }
        bson_free(keys[i]);
    }
    output_json_end_array(json, &list);
    bson_free(keys);
}

static int
print_json(const OPTIONS *options, const EXPIRING *expiring, const INVENTORY *left, STATUS *status)
{
    const CANDIDATE *candidate;
    bson_t element, json, list;
    size_t i;
    int ret;

    bson_init(&json);
    output_json_text(&json, "operation", "snapshot expire");
    output_json_bool(&json, "plan", options->plan);
    output_json_begin_array(&json, "copies", &list);
    for (i = 0; i < expiring->count; i++) {
        candidate = &expiring->candidates[i];
        output_json_element(&list, (uint32_t)i, &element);
        output_json_text(&element, "node", candidate->copy->node);
        output_json_text(&element, "path", candidate->copy->path);
        output_json_text(&element, "member", candidate->copy->member);
        output_json_time(&element, "keepUntil", candidate->copy->keep_until);
        output_json_number(&element, "size", (int64_t)candidate->copy->size);
        output_json_text(&element, "verdict", verdict_name(options, candidate->verdict));
        output_json_text(&element, "reason", candidate->reason);
        output_json_end(&list, &element);
    }
    output_json_end_array(&json, &list);
    json_keys(expiring, left, &json);
    ret = output_json_print(&json, stdout, status);
    bson_destroy(&json);
    return (ret);
}

static int
print(const OPTIONS *options, const EXPIRING *expiring, STATUS *status)
{
    INVENTORY left;
    int ret = 0;

    remaining(expiring, &left);
    if (options->format == FORMAT_JSON)
        ret = print_json(options, expiring, &left, status);
    else {
        print_candidates(options, expiring, stdout);
        if (expiring->count == 0)
            (void)puts("Nothing has expired.");
        print_keys(options, expiring, &left);
        copy_print_scope(&expiring->inventory);
    }
    free(left.copies);
    return (ret);
}

/* --- the command */

static int
confirm(const OPTIONS *options, const EXPIRING *expiring, STATUS *status)
{
    char line[16];
    size_t due = count_of(expiring, EXPIRE_DUE);

    if (options->confirmed || due == 0)
        return (0);
    if (!isatty(STDIN_FILENO)) {
        (void)status_set(status, STATUS_REFUSED, "expire-unconfirmed",
          "%zu copies have expired, and there is no terminal to confirm on", due);
        return (status_hint(status, "--plan lists them, --yes removes them"));
    }
    print_candidates(options, expiring, stderr);
    (void)fprintf(stderr, "%zu copies will be removed. Type yes to go on: ", due);
    (void)fflush(stderr);
    if (fgets(line, sizeof(line), stdin) == NULL)
        line[0] = '\0';
    if (strcmp(line, "yes\n") == 0)
        return (0);
    return (status_set(
      status, STATUS_REFUSED, "expire-unconfirmed", "that is not yes: nothing was removed"));
}

static int
run(CLI *cli, const OPTIONS *options, EXPIRING *expiring, STATUS *status)
{
    int ret;

    if ((ret = copy_print_load(options, 0, &cli->log, &expiring->inventory, status)) != 0)
        return (ret);
    find(expiring);
    /* All are judged before any is removed: what is asked is what is done. */
    if ((ret = work(expiring, false, status)) != 0)
        return (ret);
    if (!options->plan && ((ret = confirm(options, expiring, status)) != 0 ||
                            (ret = work(expiring, true, status)) != 0))
        return (ret);
    if (count_of(expiring, EXPIRE_STAYS) != 0)
        cli->exit_code = CLI_FAILED;
    return (print(options, expiring, status));
}

int
cmd_snapshot_expire(CLI *cli, const OPTIONS *options, STATUS *status)
{
    EXPIRING expiring;
    size_t i;
    int ret;

    memset(&expiring, 0, sizeof(expiring));
    for (i = 0; i < options->operand_count; i++)
        if (strcmp(options->operands[i], "-") == 0)
            return (status_set(status, STATUS_REFUSED, "usage",
              "snapshot expire: what comes on standard input cannot be removed"));
    expiring.now = clock_unix_ms();
    ret = run(cli, options, &expiring, status);
    for (i = 0; i < expiring.count; i++)
        free(expiring.candidates[i].reason);
    free(expiring.candidates);
    inventory_release(&expiring.inventory);
    return (ret);
}
