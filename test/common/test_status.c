/*
 * test/common/test_status.c -- Error classes, messages, the codes given to a host; log lines.
 */
#include "test/common/common_tests.h"

#include "common/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WT_NOTFOUND (-31803)
#define WT_TRY_SALVAGE (-31809)

static void
test_clear(void)
{
    STATUS s;

    memset(&s, 0xff, sizeof(s));
    status_clear(&s);
    CU_ASSERT_EQUAL(s.status_class, STATUS_OK);
    CU_ASSERT_EQUAL(s.sys_errno, 0);
    CU_ASSERT_STRING_EQUAL(s.message, "");
    CU_ASSERT_STRING_EQUAL(s.hint, "");
    CU_ASSERT_STRING_EQUAL(s.id, "ok");
}

static void
test_set_replaces(void)
{
    STATUS s;

    (void)status_set_errno(&s, EIO, "first", "one");
    (void)status_hint(&s, "a hint");
    CU_ASSERT_EQUAL(status_set(&s, STATUS_CORRUPT, "second", "%s is %d", "x", 7), STATUS_CORRUPT);
    CU_ASSERT_STRING_EQUAL(s.message, "x is 7");
    CU_ASSERT_STRING_EQUAL(s.hint, "");
    CU_ASSERT_STRING_EQUAL(s.id, "second");
    CU_ASSERT_EQUAL(s.sys_errno, 0);
}

static void
test_context_outermost_last(void)
{
    STATUS s;
    char buf[256];

    (void)status_set(&s, STATUS_IO, "io", "cannot read a");
    CU_ASSERT_EQUAL(status_add(&s, "while opening %s", "b"), STATUS_IO);
    (void)status_add(&s, "in c");
    CU_ASSERT_EQUAL(status_hint(&s, "first"), STATUS_IO);
    CU_ASSERT_EQUAL(status_hint(&s, "do %d", 1), STATUS_IO);
    CU_ASSERT_STRING_EQUAL(
      status_format(&s, buf, sizeof(buf)), "cannot read a, while opening b, in c; do 1 (io)");
    status_clear(&s);
    (void)status_add(&s, "alone");
    CU_ASSERT_STRING_EQUAL(s.message, "alone");
}

static void
test_errno(void)
{
    STATUS s;

    CU_ASSERT_EQUAL(status_set_errno(&s, ENOSPC, "write", "cannot write %s", "x"), STATUS_IO);
    CU_ASSERT_EQUAL(s.sys_errno, ENOSPC);
    CU_ASSERT_STRING_EQUAL(s.message, "cannot write x: No space left on device");
    CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, "make room"));
    (void)status_set_errno(&s, EROFS, "write", "cannot write %s", "x");
    CU_ASSERT_PTR_NOT_NULL(strstr(s.hint, "writable"));
    (void)status_set_errno(&s, EIO, "write", "cannot write %s", "x");
    CU_ASSERT_STRING_EQUAL(s.hint, "");
    CU_ASSERT_EQUAL(status_set_errno(&s, ENOMEM, "memory", "x"), STATUS_NO_MEMORY);
    CU_ASSERT_EQUAL(status_host_errno(&s), ENOMEM);
}

static void
test_control_characters(void)
{
    STATUS s;

    (void)status_set(&s, STATUS_CONFIG, "x", "a%sb", "\n\r\t\x1b[31m\x7f");
    (void)status_add(&s, "%s", "c\nERROR forged");
    (void)status_hint(&s, "%s", "d\ne");
    CU_ASSERT_STRING_EQUAL(s.message, "a????[31m?b, c?ERROR forged");
    CU_ASSERT_STRING_EQUAL(s.hint, "d?e");
    (void)status_set(&s, STATUS_CONFIG, "x", "%s", "/srv/d\xc3\xa4ten");
    CU_ASSERT_STRING_EQUAL(s.message, "/srv/d\xc3\xa4ten");
    /* U+009B starts a terminal's commands too; U+00A0 does not. */
    (void)status_set(&s, STATUS_CONFIG, "x", "%s",
      "a\xc2\x9b"
      "2J\xc2\xa0\xc2");
    CU_ASSERT_STRING_EQUAL(s.message, "a??2J\xc2\xa0\xc2");
}

static void
test_truncation(void)
{
    STATUS s;
    char big[4096], line[16];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)status_set(&s, STATUS_IO, "x", "%s", big);
    CU_ASSERT_EQUAL(strlen(s.message), sizeof(s.message) - 1);
    (void)status_add(&s, "%s", big);
    CU_ASSERT_EQUAL(strlen(s.message), sizeof(s.message) - 1);
    (void)status_hint(&s, "%s", big);
    CU_ASSERT_EQUAL(strlen(s.hint), sizeof(s.hint) - 1);
    (void)status_set_errno(&s, EIO, "x", "%s", big);
    CU_ASSERT_EQUAL(strlen(s.message), sizeof(s.message) - 1);
    CU_ASSERT_EQUAL(s.sys_errno, EIO);

    (void)status_format(&s, line, sizeof(line));
    CU_ASSERT_EQUAL(strlen(line), sizeof(line) - 1);
    line[0] = 'q';
    (void)status_format(&s, line, 0);
    CU_ASSERT_EQUAL(line[0], 'q');
    (void)status_format(&s, line, 1);
    CU_ASSERT_STRING_EQUAL(line, "");
}

static void
test_class_names(void)
{
    int a, b;

    for (a = 0; a < STATUS_CLASS_COUNT; a++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(status_class_name((STATUS_CLASS)a));
        CU_ASSERT(status_class_name((STATUS_CLASS)a)[0] != '\0');
        for (b = 0; b < a; b++)
            CU_ASSERT_STRING_NOT_EQUAL(
              status_class_name((STATUS_CLASS)a), status_class_name((STATUS_CLASS)b));
    }
    CU_ASSERT_STRING_EQUAL(status_class_name(STATUS_NOT_FOUND), "not found");
    CU_ASSERT_STRING_EQUAL(status_class_name((STATUS_CLASS)STATUS_CLASS_COUNT), "unknown");
    CU_ASSERT_STRING_EQUAL(status_class_name((STATUS_CLASS)-1), "unknown");
}

/* Whether data survives depends on these: see status.h. */
static void
test_host_errno(void)
{
    STATUS s;
    int status_class, error, code;

    for (status_class = 0; status_class < STATUS_CLASS_COUNT + 2; status_class++)
        for (error = 0; error < 256; error++) {
            status_clear(&s);
            s.status_class = (STATUS_CLASS)status_class;
            s.sys_errno = error;
            code = status_host_errno(&s);
            CU_ASSERT((code == 0) == (status_class == STATUS_OK));
            CU_ASSERT((code == STATUS_WT_ERROR) == (status_class == STATUS_BAD_UNIT));
            CU_ASSERT(
              code != ENOENT && code != EINVAL && code != WT_NOTFOUND && code != WT_TRY_SALVAGE);
            CU_ASSERT(code >= 0 || code == STATUS_WT_ERROR);
        }
    (void)status_set_errno(&s, ENOENT, "x", "x");
    CU_ASSERT_EQUAL(status_host_errno(&s), EIO);
    (void)status_set_errno(&s, ENOSPC, "x", "x");
    CU_ASSERT_EQUAL(status_host_errno(&s), ENOSPC);
}

static void
test_host_errno_table(void)
{
    static const struct {
        STATUS_CLASS status_class;
        int code;
    } rows[] = {{STATUS_DISABLED, EKEYREVOKED}, {STATUS_NOT_FOUND, ENOKEY},
      {STATUS_DENIED, EKEYREJECTED}, {STATUS_UNAUTHENTICATED, EACCES},
      {STATUS_UNAVAILABLE, ETIMEDOUT}, {STATUS_BAD_REPLY, EBADMSG}, {STATUS_CORRUPT, EBADMSG},
      {STATUS_CONFIG, ENOTSUP}, {STATUS_NO_KEY, ENOKEY}, {STATUS_BUSY, EBUSY},
      {STATUS_NO_MEMORY, ENOMEM}, {STATUS_BAD_UNIT, -31802}};
    STATUS s;
    size_t i;

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        (void)status_set(&s, rows[i].status_class, "x", "x");
        CU_ASSERT_EQUAL(status_host_errno(&s), rows[i].code);
    }
}

typedef struct {
    unsigned lines;
    LOG_LEVEL level;
    char line[4096];
} SINK;

static void
sink_write(void *context, LOG_LEVEL level, const char *line)
{
    SINK *sink = context;

    sink->lines++;
    sink->level = level;
    (void)snprintf(sink->line, sizeof(sink->line), "%s", line);
}

static void
test_log(void)
{
    SINK sink;
    LOG log = {sink_write, &sink}, silent = {NULL, NULL};
    STATUS s;
    char big[4096];

    memset(&sink, 0, sizeof(sink));
    log_printf(NULL, LOG_ERROR, "nowhere %d", 1);
    log_printf(&silent, LOG_ERROR, "nowhere %d", 1);
    log_printf(&log, LOG_WARNING, "key %s", "a\nb\x1b");
    CU_ASSERT_EQUAL(sink.lines, 1);
    CU_ASSERT_EQUAL(sink.level, LOG_WARNING);
    CU_ASSERT_STRING_EQUAL(sink.line, "key a?b?");

    (void)status_set(&s, STATUS_CONFIG, "some-id", "what failed");
    (void)status_hint(&s, "what to do");
    log_status(&log, LOG_ERROR, &s);
    CU_ASSERT_EQUAL(sink.level, LOG_ERROR);
    CU_ASSERT_STRING_EQUAL(sink.line, "what failed; what to do (some-id)");

    memset(big, 'y', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    memset(&sink, 0, sizeof(sink));
    log_printf(&log, LOG_INFO, "%s", big);
    CU_ASSERT(strlen(sink.line) > 2000 && strlen(sink.line) <= 2048);
}

const TEST status_tests[] = {{"clear", test_clear}, {"set_replaces", test_set_replaces},
  {"context_outermost_last", test_context_outermost_last}, {"errno", test_errno},
  {"control_characters", test_control_characters}, {"truncation", test_truncation},
  {"class_names", test_class_names}, {"host_errno", test_host_errno},
  {"host_errno_table", test_host_errno_table}, {"log", test_log}, {NULL, NULL}};
