/*
 * keystore/mirror.c -- The lines of WiredTiger.config that are ours. See mirror.h.
 */
#include "keystore/mirror.h"

#include "crypto/encode.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTE                                                                                      \
    "# wtkms: written by wtkms. The lines below with #K are a copy of the keystore; all keys in " \
    "it are wrapped."
#define NOTE_NEWLINE "# wtkms: the newline before this line was added."
#define NOTE_PREFIX "# wtkms: "
#define MARK_PREFIX "#wtkms-"
#define ENGINE_BEGIN "#wtkms-engine BEGIN"
#define ENGINE_END "#wtkms-engine END"
#define KEYSTORE_BEGIN "#wtkms-keystore BEGIN "
#define KEYSTORE_END "#wtkms-keystore END"
#define COPY_PREFIX "#K "

#define LINE_BYTES 96 /* of the keystore in one line */
#define LINE_TEXT (LINE_BYTES / 3 * 4)

/* --- lines, as the engine reads them (conn_api.c, __conn_config_file) */

typedef enum { LINE_USER, LINE_NOTE, LINE_NOTE_NEWLINE, LINE_COPY, LINE_MARK } LINE_KIND;

typedef struct {
    const char *text; /* without its newline; a carriage return before that is not counted either */
    size_t len;
    const char *next; /* behind the newline */
    LINE_KIND kind;
    bool is_comment;
    bool open; /* the text ends, the line does not */
} LINE;

static bool
starts_with(const LINE *line, const char *prefix)
{
    size_t len = strlen(prefix);

    return (line->len >= len && memcmp(line->text, prefix, len) == 0);
}

static bool
equals(const LINE *line, const char *text)
{
    return (line->len == strlen(text) && memcmp(line->text, text, line->len) == 0);
}

/* The end of a line that is no comment: the newline that is neither quoted nor escaped, or NULL. */
static const char *
find_newline(const char *p, const char *end, bool *openp)
{
    bool quoted = false;

    for (; p < end; p++) {
        if (*p == '\\') {
            if (++p == end || p + 1 == end) {
                /* Escapes the last byte, or whatever will follow it. */
                *openp = p == end || *p == '\n' || quoted;
                return (NULL);
            }
        } else if (*p == '"')
            quoted = !quoted;
        else if (*p == '\n' && !quoted)
            return (p);
    }
    *openp = quoted;
    return (NULL);
}

static void
read_line(const char *text, const char *end, LINE *line)
{
    const char *p = text, *newline;

    line->text = text;
    line->kind = LINE_USER;
    line->open = false;
    while (p < end && *p != '\n' && isspace((unsigned char)*p))
        p++;
    line->is_comment = p < end && *p == '#';
    if (line->is_comment)
        newline = memchr(p, '\n', (size_t)(end - p));
    else
        newline = find_newline(p, end, &line->open);
    line->next = newline == NULL ? end : newline + 1;
    line->len = (size_t)((newline == NULL ? end : newline) - text);
    /* An editor may have made all lines of the file end in CRLF. */
    if (line->len > 0 && text[line->len - 1] == '\r')
        line->len--;
    if (!line->is_comment || p != text)
        return;
    if (equals(line, NOTE_NEWLINE))
        line->kind = LINE_NOTE_NEWLINE;
    else if (starts_with(line, NOTE_PREFIX))
        line->kind = LINE_NOTE;
    else if (starts_with(line, COPY_PREFIX))
        line->kind = LINE_COPY;
    else if (starts_with(line, MARK_PREFIX))
        line->kind = LINE_MARK;
}

/* Where the last end marker of the engine's lines is: a marker without one has no lines. */
static const char *
last_engine_end(const char *text, const char *end)
{
    const char *found = NULL;
    LINE line;

    for (; text < end; text = line.next) {
        read_line(text, end, &line);
        if (line.kind == LINE_MARK && equals(&line, ENGINE_END))
            found = line.text;
    }
    return (found);
}

/* --- reading */

static int
damaged(STATUS *status, const char *what)
{
    return (status_set(status, STATUS_CORRUPT, "mirror-damaged",
      "the copy of the keystore in " MIRROR_FILE " is damaged: %s", what));
}

typedef struct {
    bool in_engine, in_keystore, ended;
    size_t announced; /* bytes */
} PARSER;

static int
begin_keystore(PARSER *parser, const LINE *line, MIRROR *mirror, STATUS *status)
{
    unsigned bytes;
    int end = 0;
    char text[80], kind[8];

    if (parser->in_keystore || mirror->has_keystore)
        return (damaged(status, "it begins twice"));
    (void)snprintf(text, sizeof(text), "%.*s", (int)line->len, line->text);
    if (line->len >= sizeof(text) ||
        sscanf(text, KEYSTORE_BEGIN "%7[a-z] %6u%n", kind, &bytes, &end) != 2 ||
        text[end] != '\0' || (strcmp(kind, "full") != 0 && strcmp(kind, "partial") != 0) ||
        bytes == 0 || bytes > MIRROR_KEYSTORE_MAX_BYTES)
        return (damaged(status, "its first line is not understood"));
    if ((mirror->keystore = malloc(bytes)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the mirror"));
    mirror->partial = kind[0] == 'p';
    mirror->has_keystore = true;
    parser->announced = bytes;
    parser->in_keystore = true;
    return (0);
}

static int
read_copy(PARSER *parser, const LINE *line, MIRROR *mirror, STATUS *status)
{
    const char *text = line->text + strlen(COPY_PREFIX);
    size_t text_len = line->len - strlen(COPY_PREFIX), len;
    uint8_t bytes[LINE_BYTES];

    if (!parser->in_keystore)
        return (damaged(status, "it has a line outside"));
    if (text_len > LINE_TEXT || encode_base64_decode(text, text_len, bytes, &len, status) != 0)
        return (damaged(status, "a line is not base64"));
    if (len > parser->announced - mirror->keystore_len)
        return (damaged(status, "it is longer than it says"));
    memcpy(mirror->keystore + mirror->keystore_len, bytes, len);
    mirror->keystore_len += len;
    return (0);
}

static int
read_mark(PARSER *parser, const LINE *line, const char *engine_end, MIRROR *mirror, STATUS *status)
{
    if (starts_with(line, KEYSTORE_BEGIN))
        return (begin_keystore(parser, line, mirror, status));
    if (equals(line, KEYSTORE_END)) {
        if (!parser->in_keystore)
            return (damaged(status, "it ends before it begins"));
        parser->in_keystore = false;
        parser->ended = true;
    } else if (equals(line, ENGINE_BEGIN)) {
        parser->in_engine = engine_end != NULL && engine_end > line->text;
        mirror->has_engine_lines = true;
    } else if (equals(line, ENGINE_END))
        parser->in_engine = false;
    else
        return (damaged(status, "a line that starts with " MARK_PREFIX " is not understood"));
    return (0);
}

/* Append text to a string that may be NULL. */
static int
append_text(char **stringp, const char *text, size_t len, STATUS *status)
{
    size_t used = *stringp == NULL ? 0 : strlen(*stringp);
    char *longer;

    if ((longer = realloc(*stringp, used + len + 1)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the mirror"));
    memcpy(longer + used, text, len);
    longer[used + len] = '\0';
    *stringp = longer;
    return (0);
}

int
mirror_parse(const char *text, size_t len, MIRROR *mirror, STATUS *status)
{
    PARSER parser = {0};
    LINE line;
    const char *end = text + len, *engine_end = last_engine_end(text, end);
    int ret = 0;

    memset(mirror, 0, sizeof(*mirror));
    for (; ret == 0 && text < end; text = line.next) {
        read_line(text, end, &line);
        if (line.kind == LINE_MARK)
            ret = read_mark(&parser, &line, engine_end, mirror, status);
        else if (line.kind == LINE_COPY)
            ret = read_copy(&parser, &line, mirror, status);
        else if (parser.in_engine && line.kind == LINE_USER)
            ret = append_text(&mirror->engine_lines, text, (size_t)(line.next - text), status);
    }
    if (ret == 0 && mirror->has_keystore &&
        (!parser.ended || mirror->keystore_len != parser.announced))
        ret = damaged(status, "it is shorter than it says");
    if (ret != 0)
        mirror_release(mirror);
    return (ret);
}

void
mirror_release(MIRROR *mirror)
{
    free(mirror->keystore);
    free(mirror->engine_lines);
    memset(mirror, 0, sizeof(*mirror));
}

/* --- writing */

typedef struct {
    char *user; /* the user's lines */
    size_t user_len;
    char *engine; /* the engine's lines as they stand, or NULL */
    bool added_newline;
    bool open;
} PARTS;

/* Take the old text apart; what is damaged of ours is dropped with the rest of ours. */
static int
take_apart(const char *text, size_t len, PARTS *parts, STATUS *status)
{
    LINE line;
    const char *end = text + len, *engine_end;
    bool in_engine = false;

    if ((parts->user = malloc(len + 2)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the mirror"));
    engine_end = last_engine_end(text, end);
    for (; text < end; text = line.next) {
        read_line(text, end, &line);
        if (line.kind == LINE_NOTE_NEWLINE)
            parts->added_newline = true;
        else if (line.kind == LINE_MARK && equals(&line, ENGINE_BEGIN))
            in_engine = engine_end != NULL && engine_end > line.text;
        else if (line.kind == LINE_MARK && equals(&line, ENGINE_END))
            in_engine = false;
        if (line.kind != LINE_USER)
            continue;
        if (in_engine) {
            if (append_text(&parts->engine, text, (size_t)(line.next - text), status) != 0)
                return ((int)status->status_class);
            continue;
        }
        /* A line behind ours: the newline that we added is now the user's own. */
        parts->added_newline = false;
        parts->open = line.open;
        memcpy(parts->user + parts->user_len, text, (size_t)(line.next - text));
        parts->user_len += (size_t)(line.next - text);
    }
    return (0);
}

/* The engine's lines must be whole lines, and none of them a comment that could be taken for ours. */
static int
check_engine_lines(const char *text, STATUS *status)
{
    const char *end = text + strlen(text);
    LINE line = {.next = text};

    for (; text < end; text = line.next) {
        read_line(text, end, &line);
        if (line.is_comment || line.open || line.next[-1] != '\n')
            return (status_set(status, STATUS_CONFIG, "mirror-engine-lines",
              "the engine's lines for " MIRROR_FILE " are not whole lines without comments"));
    }
    return (0);
}

/* The size of what put_ours writes at most. */
static size_t
ours_size(const char *engine, size_t keystore_len)
{
    return (512 + (engine == NULL ? 0 : strlen(engine)) +
            (keystore_len / LINE_BYTES + 1) * (sizeof(COPY_PREFIX) + LINE_TEXT + 1));
}

static char *
put_line(char *p, const char *line)
{
    size_t len = strlen(line);

    memcpy(p, line, len);
    p[len] = '\n';
    return (p + len + 1);
}

static char *
put_ours(char *p, bool added_newline, const char *engine, const uint8_t *keystore,
  size_t keystore_len, bool partial)
{
    size_t at, n;
    char line[sizeof(COPY_PREFIX) + ENCODE_BASE64_SIZE(LINE_BYTES)];

    if (added_newline)
        p = put_line(p, NOTE_NEWLINE);
    p = put_line(p, NOTE);
    if (engine != NULL && engine[0] != '\0') {
        p = put_line(p, ENGINE_BEGIN);
        memcpy(p, engine, strlen(engine));
        p += strlen(engine);
        p = put_line(p, ENGINE_END);
    }
    if (keystore == NULL)
        return (p);
    (void)snprintf(
      line, sizeof(line), KEYSTORE_BEGIN "%s %zu", partial ? "partial" : "full", keystore_len);
    p = put_line(p, line);
    for (at = 0; at < keystore_len; at += n) {
        n = keystore_len - at < LINE_BYTES ? keystore_len - at : LINE_BYTES;
        memcpy(line, COPY_PREFIX, strlen(COPY_PREFIX));
        (void)encode_base64(keystore + at, n, line + strlen(COPY_PREFIX));
        p = put_line(p, line);
    }
    return (put_line(p, KEYSTORE_END));
}

static int
put_together(PARTS *parts, const char *engine, const uint8_t *keystore, size_t keystore_len,
  bool partial, char **textp, size_t *lenp, STATUS *status)
{
    bool ours = keystore != NULL || (engine != NULL && engine[0] != '\0');
    size_t size = parts->user_len + 2 + ours_size(engine, keystore_len);
    char *text, *p;

    if (ours && parts->open) {
        (void)status_set(status, STATUS_REFUSED, "mirror-open-line",
          MIRROR_FILE " ends inside a quoted string or with a backslash, so nothing can follow");
        return (status_hint(status, "end the last line of %s", MIRROR_FILE));
    }
    if ((text = malloc(size)) == NULL)
        return (status_set(status, STATUS_NO_MEMORY, "memory", "no memory for the mirror"));
    if (!ours && parts->added_newline && parts->user_len > 0)
        parts->user_len--;
    memcpy(text, parts->user, parts->user_len);
    p = text + parts->user_len;
    if (ours) {
        if (p > text && p[-1] != '\n') {
            *p++ = '\n';
            parts->added_newline = true;
        }
        p = put_ours(p, parts->added_newline, engine, keystore, keystore_len, partial);
    }
    *p = '\0';
    *textp = text;
    *lenp = (size_t)(p - text);
    return (0);
}

int
mirror_render(const char *old_text, size_t old_len, const char *engine_lines,
  const uint8_t *keystore, size_t keystore_len, bool partial, char **textp, size_t *lenp,
  STATUS *status)
{
    PARTS parts = {0};
    int ret;

    *textp = NULL;
    *lenp = 0;
    if (old_len > MIRROR_MAX_BYTES || keystore_len > MIRROR_KEYSTORE_MAX_BYTES)
        goto too_long;
    if ((engine_lines != NULL && (ret = check_engine_lines(engine_lines, status)) != 0) ||
        (ret = take_apart(old_text == NULL ? "" : old_text, old_text == NULL ? 0 : old_len, &parts,
           status)) != 0 ||
        (ret = put_together(&parts, engine_lines == NULL ? parts.engine : engine_lines, keystore,
           keystore_len, partial, textp, lenp, status)) != 0)
        goto err;
    if (*lenp > MIRROR_MAX_BYTES) {
        free(*textp);
        *textp = NULL;
        *lenp = 0;
        goto too_long;
    }

err:
    free(parts.user);
    free(parts.engine);
    return (ret);

too_long:
    ret = status_set(status, STATUS_REFUSED, "mirror-too-long",
      MIRROR_FILE " would have more than the engine's limit of %d bytes", MIRROR_MAX_BYTES);
    (void)status_hint(status, "shorten the other lines of %s", MIRROR_FILE);
    goto err;
}
