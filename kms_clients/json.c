/*
 * kms_clients/json.c -- Reading JSON. See json.h.
 *
 * libbson parses and allocates as it likes; while it does, this thread's allocations come out of
 * secret memory that is wiped as a whole behind the parse. It is sized so that libbson, which ends the
 * process when an allocation fails, never meets its end. A look at the text before keeps from libbson
 * what it would take for something else: extended JSON, a second document, names with a NUL.
 */
#include "kms_clients/json.h"

#include <bson/bson.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX_BYTES (64 * 1024)
#define JSON_MAX_DEPTH 32
#define ARENA_CHUNKS 8
#define ARENA_ALIGN 16
/* BSON has 11 bytes for the two of an array's "0,", twice while a buffer grows; and a parser's state. */
#define ARENA_BYTES(len) (32 * (len) + 128 * 1024)

struct json {
    SECRET *document; /* BSON */
};

/* Blocks one behind the other, each behind its length; none is given back before all are. */
typedef struct {
    SECRET *chunks[ARENA_CHUNKS];
    size_t count;
    size_t used; /* of the last chunk */
} ARENA;

static __thread ARENA *arena; /* of the parse that runs on this thread, or NULL */

static bool
arena_owns(const void *mem)
{
    const uint8_t *start, *p = mem;
    size_t i;

    for (i = 0; arena != NULL && i < arena->count; i++) {
        start = secret_bytes(arena->chunks[i]);
        if (p >= start && p < start + secret_len(arena->chunks[i]))
            return (true);
    }
    return (false);
}

static bool
arena_grow(size_t len)
{
    STATUS ignored;

    if (arena->count == ARENA_CHUNKS ||
        secret_new(len, &arena->chunks[arena->count], &ignored) != 0)
        return (false);
    arena->count++;
    arena->used = 0;
    return (true);
}

static void *
arena_take(size_t len)
{
    SECRET *chunk = arena->chunks[arena->count - 1];
    uint8_t *block;
    size_t need;

    if (len > SECRET_MAX_BYTES / 2)
        return (NULL);
    need = ARENA_ALIGN + (len + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (secret_len(chunk) - arena->used < need) {
        if (!arena_grow(need + secret_len(chunk)))
            return (NULL);
        chunk = arena->chunks[arena->count - 1];
    }
    block = secret_data(chunk) + arena->used;
    memcpy(block, &len, sizeof(len));
    arena->used += need;
    return (block + ARENA_ALIGN);
}

static void *
json_malloc(size_t len)
{
    return (arena == NULL ? malloc(len) : arena_take(len));
}

static void *
json_calloc(size_t count, size_t size)
{
    /* The arena is zeroed memory that is never used twice. */
    if (arena == NULL)
        return (calloc(count, size));
    return (size != 0 && count > SIZE_MAX / size ? NULL : arena_take(count * size));
}

static void *
json_realloc(void *mem, size_t len)
{
    void *larger;
    size_t had;

    if (arena == NULL || (mem != NULL && !arena_owns(mem))) {
        larger = realloc(mem, len); /* s_banned: made outside of a parse, so no secret */
        return (larger);
    }
    if ((larger = arena_take(len)) == NULL || mem == NULL)
        return (larger);
    memcpy(&had, (uint8_t *)mem - ARENA_ALIGN, sizeof(had));
    memcpy(larger, mem, had < len ? had : len);
    return (larger);
}

static void
json_free_block(void *mem)
{
    if (!arena_owns(mem))
        free(mem);
}

/* Before main, or before dlopen returns: libbson has allocated nothing yet. */
__attribute__((constructor)) static void
json_set_memory(void)
{
    static const bson_mem_vtable_t memory = {.malloc = json_malloc,
      .calloc = json_calloc,
      .realloc = json_realloc,
      .free = json_free_block};

    bson_mem_set_vtable(&memory);
}

static bool
is_space(char c)
{
    return (c == ' ' || c == '\t' || c == '\n' || c == '\r');
}

/*
 * One string from its opening quotation mark on; *nulp when an escape in it makes a NUL. Returns what is
 * behind it, or NULL when it does not end.
 */
static const char *
scan_string(const char *p, const char *end, bool *dollarp, bool *nulp)
{
    p++;
    *dollarp = p < end && (*p == '$' || (end - p >= 6 && memcmp(p, "\\u0024", 6) == 0));
    *nulp = false;
    for (; p < end && *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return (NULL);
        if (*p != '\\')
            continue;
        if (end - p >= 6 && memcmp(p, "\\u0000", 6) == 0)
            *nulp = true;
        p++;
    }
    return (p < end ? p + 1 : NULL);
}

/* Whether the text is one object of a bounded depth whose names are taken for names by libbson. */
static bool
scan(const char *text, size_t len)
{
    const char *p = text, *end = text + len;
    char open[JSON_MAX_DEPTH];
    size_t depth = 0;
    bool dollar, nul;

    while (p < end && is_space(*p))
        p++;
    if (p == end || *p != '{')
        return (false);
    while (p < end) {
        if (*p == '"') {
            if ((p = scan_string(p, end, &dollar, &nul)) == NULL)
                return (false);
            while (p < end && is_space(*p))
                p++;
            if (p < end && *p == ':' && (dollar || nul))
                return (false);
            continue;
        }
        if (*p == '{' || *p == '[') {
            if (depth == JSON_MAX_DEPTH)
                return (false);
            open[depth++] = *p == '{' ? '}' : ']';
        } else if (*p == '}' || *p == ']') {
            if (open[--depth] != *p)
                return (false);
            if (depth == 0)
                break;
        }
        p++;
    }
    if (p == end)
        return (false);
    for (p++; p < end; p++)
        if (!is_space(*p))
            return (false);
    return (true);
}

static int
bad_json(STATUS *status)
{
    return (status_set(
      status, STATUS_BAD_REPLY, "kms-bad-json", "the reply is not one JSON object as expected"));
}

int
json_parse(const void *text, size_t len, JSON **jsonp, STATUS *status)
{
    ARENA memory = {.count = 0};
    JSON *json = NULL;
    bson_t bson;
    bson_error_t error;
    size_t i;
    int ret = 0;

    *jsonp = NULL;
    if (len == 0 || len > JSON_MAX_BYTES || !bson_utf8_validate(text, len, false) ||
        !scan(text, len))
        return (bad_json(status));
    if ((json = calloc(1, sizeof(*json))) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "kms-memory", "no memory for a reply"));
    if (secret_new(ARENA_BYTES(len), &memory.chunks[0], status) != 0) {
        free(json);
        return ((int)status->status_class);
    }
    memory.count = 1;
    arena = &memory;
    if (!bson_init_from_json(&bson, text, (ssize_t)len, &error))
        ret = bad_json(status); /* libbson's own words quote the text */
    else {
        ret = secret_new_copy(bson_get_data(&bson), bson.len, &json->document, status);
        bson_destroy(&bson);
    }
    arena = NULL;
    secret_wipe(&bson, sizeof(bson));
    secret_wipe(&error, sizeof(error));
    for (i = 0; i < memory.count; i++)
        secret_free(memory.chunks[i]);
    if (ret != 0) {
        json_free(json);
        return (ret);
    }
    *jsonp = json;
    return (0);
}

void
json_free(JSON *json)
{
    if (json == NULL)
        return;
    secret_free(json->document);
    free(json);
}

static bool
find(const JSON *json, const char *path, bson_iter_t *iter)
{
    bson_iter_t level;
    size_t len;

    if (!bson_iter_init_from_data(iter, secret_bytes(json->document), secret_len(json->document)))
        return (false);
    for (;;) {
        len = strcspn(path, ".");
        if (!bson_iter_find_w_len(iter, path, (int)len))
            return (false);
        if (path[len] == '\0')
            return (true);
        path += len + 1;
        if ((!BSON_ITER_HOLDS_DOCUMENT(iter) && !BSON_ITER_HOLDS_ARRAY(iter)) ||
            !bson_iter_recurse(iter, &level))
            return (false);
        *iter = level;
    }
}

static const char *
find_string(const JSON *json, const char *path, size_t *lenp)
{
    bson_iter_t iter;
    const char *text;
    uint32_t len;

    if (!find(json, path, &iter) || !BSON_ITER_HOLDS_UTF8(&iter))
        return (NULL);
    text = bson_iter_utf8(&iter, &len);
    *lenp = len;
    return (text == NULL || memchr(text, '\0', len) != NULL ? NULL : text);
}

const char *
json_string(const JSON *json, const char *path)
{
    size_t len;

    return (find_string(json, path, &len));
}

bool
json_int(const JSON *json, const char *path, int64_t *valuep)
{
    bson_iter_t iter;
    double number;

    if (!find(json, path, &iter))
        return (false);
    if (BSON_ITER_HOLDS_INT32(&iter) || BSON_ITER_HOLDS_INT64(&iter)) {
        *valuep = bson_iter_as_int64(&iter);
        return (true);
    }
    if (!BSON_ITER_HOLDS_DOUBLE(&iter))
        return (false);
    /* Beyond 2^53 not every whole number is one; a NaN fails the comparison. */
    number = bson_iter_double(&iter);
    if (!(number >= -9007199254740992.0 && number <= 9007199254740992.0) ||
        (double)(int64_t)number != number)
        return (false);
    *valuep = (int64_t)number;
    return (true);
}

bool
json_bool(const JSON *json, const char *path, bool *valuep)
{
    bson_iter_t iter;

    if (!find(json, path, &iter) || !BSON_ITER_HOLDS_BOOL(&iter))
        return (false);
    *valuep = bson_iter_bool(&iter);
    return (true);
}

bool
json_has(const JSON *json, const char *path)
{
    bson_iter_t iter;

    return (find(json, path, &iter));
}

int
json_secret(const JSON *json, const char *path, SECRET **secretp, STATUS *status)
{
    const char *text;
    size_t len = 0;

    *secretp = NULL;
    text = find_string(json, path, &len);
    return (text == NULL || len == 0 ? 0 : secret_new_copy(text, len, secretp, status));
}
