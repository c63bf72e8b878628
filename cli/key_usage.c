/*
 * cli/key_usage.c -- See key_usage.h.
 */
#include "cli/key_usage.h"

#include "cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
key_usage_unjudged(KEY_USAGE *usage, const char *fmt, ...)
{
    va_list ap;
    char text[2048];

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    usage->unjudged =
      output_grow(usage->unjudged, usage->unjudged_count + 1, sizeof(*usage->unjudged));
    usage->unjudged[usage->unjudged_count++] = output_format("%s", text);
}

void
key_usage_judge(KEY_USAGE *usage, const TARGET *target, const SURVEY *survey)
{
    const SURVEY_FILE *file;
    size_t i;

    for (i = 0; i < survey->count; i++) {
        file = &survey->files[i];
        if (file->problems != 0)
            key_usage_unjudged(usage, "%s/%s: %llu problems, the first at %llu: %s", target->path,
              file->path, (unsigned long long)file->problems,
              (unsigned long long)file->problem_offset, file->problem == NULL ? "" : file->problem);
    }
    if (survey->incomplete)
        key_usage_unjudged(usage,
          "%s: WiredTiger.wt, or the file that says where its root is, is missing: no whole home",
          target->path);
    if (survey->dangling != NULL)
        key_usage_unjudged(usage, "%s/%s: leads to nothing that can be read: is a volume missing?",
          target->path, survey->dangling);
}

static void
count(const SURVEY *survey, KEY_USAGE *usage, PRUNE *prune)
{
    SURVEY_USE *uses;
    size_t i, n;

    n = survey_uses(survey, &uses);
    for (i = 0; i < n; i++)
        prune_found(prune, uses[i].data_key_id, uses[i].units);
    free(uses);
    usage->units += survey->units;
    for (i = 0; i < survey->count; i++)
        usage->bytes += survey->files[i].size;
}

/* Logs come and go; a table that does may have been renamed past the reader. */
static bool
has_same_tables(const SURVEY *a, const SURVEY *b)
{
    size_t i = 0, j = 0;

    for (;; i++, j++) {
        for (; i < a->count && a->files[i].is_log; i++)
            ;
        for (; j < b->count && b->files[j].is_log; j++)
            ;
        if (i == a->count || j == b->count)
            return (i == a->count && j == b->count);
        if (strcmp(a->files[i].path, b->files[j].path) != 0)
            return (false);
    }
}

static int
scan_again(
  const TARGET *target, const SURVEY *first, KEY_USAGE *usage, PRUNE *prune, STATUS *status)
{
    SURVEY second;
    int ret;

    if ((ret = survey_home(target, true, false, &second, status)) == 0) {
        key_usage_judge(usage, target, &second);
        count(&second, usage, prune);
        if (!has_same_tables(first, &second))
            key_usage_unjudged(usage, "%s: tables came or went while it was read", target->path);
    }
    survey_release(&second);
    return (ret);
}

int
key_usage_scan(const TARGET *target, bool is_copy, bool is_running, KEY_USAGE *usage, PRUNE *prune,
  STATUS *status)
{
    SURVEY survey;
    int ret;

    if ((ret = survey_home(target, true, false, &survey, status)) != 0)
        goto err;
    usage->places++;
    key_usage_judge(usage, target, &survey);
    count(&survey, usage, prune);
    if (is_copy && !survey.has_data)
        key_usage_unjudged(
          usage, "%s: no data of a database: is it the right directory?", target->path);
    if (is_running)
        ret = scan_again(target, &survey, usage, prune, status);

err:
    survey_release(&survey);
    return (ret);
}

void
key_usage_release(KEY_USAGE *usage)
{
    size_t i;

    for (i = 0; i < usage->unjudged_count; i++)
        free(usage->unjudged[i]);
    free(usage->unjudged);
    memset(usage, 0, sizeof(*usage));
}
