/*
 * cli/engine_lines.c -- The engine's configuration lines. See engine_lines.h.
 */
#include "cli/engine_lines.h"

#include "cli/output.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* One pair or element of a list: where it starts, its key, its value (empty when it has none). */
typedef struct {
    const char *start, *end;
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
} PAIR;

static bool
is_gap(char c)
{
    return (c == ',' || isspace((unsigned char)c));
}

/*
 * The end of a value or key that starts at p: quotes and brackets are taken as a whole. NULL when they
 * do not match.
 */
static const char *
skip_value(const char *p, const char *end, bool key)
{
    unsigned depth = 0;
    bool quoted = false;

    for (; p < end; p++) {
        if (*p == '\\' && p + 1 < end) {
            p++;
            continue;
        }
        if (*p == '"')
            quoted = !quoted;
        else if (quoted)
            continue;
        else if (*p == '(' || *p == '[' || *p == '{')
            depth++;
        else if (*p == ')' || *p == ']' || *p == '}') {
            if (depth-- == 0)
                return (NULL);
        } else if (depth == 0 && (is_gap(*p) || (key && (*p == '=' || *p == ':'))))
            break;
    }
    return (quoted || depth != 0 ? NULL : p);
}

/* Commas, blanks and, at the start of a line, comments. */
static const char *
skip_gap(const char *p, const char *text, const char *end)
{
    const char *back;

    while (p < end) {
        if (is_gap(*p)) {
            p++;
            continue;
        }
        if (*p != '#')
            break;
        for (back = p; back > text && (back[-1] == ' ' || back[-1] == '\t'); back--)
            ;
        if (back > text && back[-1] != '\n')
            break;
        while (p < end && *p != '\n')
            p++;
    }
    return (p);
}

static void
strip(const char **startp, size_t *lenp)
{
    const char *s = *startp;
    size_t len = *lenp;

    if (len >= 2 && ((s[0] == '"' && s[len - 1] == '"') || (s[0] == '(' && s[len - 1] == ')') ||
                      (s[0] == '[' && s[len - 1] == ']') || (s[0] == '{' && s[len - 1] == '}'))) {
        *startp = s + 1;
        *lenp = len - 2;
    }
}

/*
 * The next pair at or after p. *pairp->start is NULL at the end.
 */
static int
next_pair(const char *p, const char *text, const char *end, PAIR *pair, STATUS *status)
{
    const char *after;

    memset(pair, 0, sizeof(*pair));
    if ((p = skip_gap(p, text, end)) == end)
        return (0);
    if ((after = skip_value(p, end, true)) == NULL)
        goto bad;
    pair->start = p;
    pair->key = p;
    pair->key_len = (size_t)(after - p);
    strip(&pair->key, &pair->key_len);
    if (after < end && (*after == '=' || *after == ':')) {
        p = after + 1;
        if ((after = skip_value(p, end, false)) == NULL)
            goto bad;
        pair->value = p;
        pair->value_len = (size_t)(after - p);
        strip(&pair->value, &pair->value_len);
    }
    /* A lone '=' or bracket would not move on. */
    if (after == pair->start)
        goto bad;
    pair->end = after;
    return (0);

bad:
    return (status_set(status, STATUS_CORRUPT, "engine-config",
      "brackets or quotes of the engine's configuration do not match near \"%.40s\"", p));
}

static char *
copy(const char *text, size_t len)
{
    char *s;

    s = output_allocate(len + 1, 1);
    memcpy(s, text, len);
    return (s);
}

int
engine_lines_find(
  const char *text, size_t len, const char *key, unsigned *linep, char **valuep, STATUS *status)
{
    PAIR pair;
    const char *c, *end = text + len, *p = text;
    int ret;

    *valuep = NULL;
    for (;; p = pair.end) {
        if ((ret = next_pair(p, text, end, &pair, status)) != 0) {
            free(*valuep);
            *valuep = NULL;
            return (ret);
        }
        if (pair.start == NULL)
            return (0);
        if (pair.key_len != strlen(key) || memcmp(pair.key, key, pair.key_len) != 0)
            continue;
        free(*valuep);
        *valuep = copy(pair.value == NULL ? "" : pair.value, pair.value_len);
        if (linep != NULL)
            for (*linep = 1, c = text; c < pair.start; c++)
                if (*c == '\n')
                    ++*linep;
    }
}

static bool
is_ours(const PAIR *pair)
{
    const char *name = pair->key;
    size_t i, len = pair->key_len, want = strlen(ENGINE_LINES_MODULE);

    for (i = len; i > 0; i--)
        if (pair->key[i - 1] == '/') {
            name = pair->key + i;
            len -= i;
            break;
        }
    return (len == want && memcmp(name, ENGINE_LINES_MODULE, want) == 0);
}

int
engine_lines_others(const char *list, char **othersp, STATUS *status)
{
    PAIR pair;
    const char *end = list + strlen(list), *p = list;
    char *others;
    size_t used = 0;
    int ret;

    *othersp = NULL;
    others = output_allocate(strlen(list) + 2, 1);
    for (;; p = pair.end) {
        if ((ret = next_pair(p, list, end, &pair, status)) != 0) {
            free(others);
            return (ret);
        }
        if (pair.start == NULL)
            break;
        if (is_ours(&pair))
            continue;
        if (used != 0)
            others[used++] = ',';
        memcpy(others + used, pair.start, (size_t)(pair.end - pair.start));
        used += (size_t)(pair.end - pair.start);
    }
    others[used] = '\0';
    *othersp = others;
    return (0);
}

/*
 * A path as the engine takes it: bare where that is safe, else in quotes. The engine knows no way to
 * write a quote or a newline inside of quotes that every version reads the same.
 */
static int
append_path(char *lines, size_t size, const char *path, STATUS *status)
{
    const char *c;
    size_t used = strlen(lines);
    bool bare = true;

    for (c = path; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '"' || *c == '\\')
            return (status_set(status, STATUS_CONFIG, "engine-path",
              "%s: WiredTiger.config cannot name a path with quotes, backslashes or control "
              "characters",
              path));
        if (!isalnum((unsigned char)*c) && strchr("/._-+", *c) == NULL)
            bare = false;
    }
    (void)snprintf(lines + used, size - used, bare ? "%s" : "\"%s\"", path);
    return (0);
}

int
engine_lines_make(
  const char *module, const char *config, const char *others, char **linesp, STATUS *status)
{
    char *lines;
    size_t size, used;
    int ret;

    *linesp = NULL;
    size = strlen(module) + strlen(config) + (others == NULL ? 0 : strlen(others)) + 256;
    lines = output_allocate(size, 1);
    (void)snprintf(lines, size, "extensions=[%s%s", others == NULL ? "" : others,
      others == NULL || others[0] == '\0' ? "" : ",");
    if ((ret = append_path(lines, size, module, status)) != 0)
        goto err;
    used = strlen(lines);
    (void)snprintf(lines + used, size - used, "=(config=(config_file=");
    if ((ret = append_path(lines, size, config, status)) != 0)
        goto err;
    used = strlen(lines);
    (void)snprintf(lines + used, size - used, "))]\nencryption=(name=kms,keyid=default)\n");
    *linesp = lines;
    return (0);

err:
    free(lines);
    return (ret);
}
