/*
 * common/status.c -- Error classes and context. See status.h.
 */
#include "common/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int host_errno;
} classes[STATUS_CLASS_COUNT] = {
  [STATUS_OK] = {"ok", 0},
  [STATUS_DISABLED] = {"disabled", EKEYREVOKED},
  [STATUS_NOT_FOUND] = {"not found", ENOKEY},
  [STATUS_DENIED] = {"denied", EKEYREJECTED},
  [STATUS_UNAUTHENTICATED] = {"unauthenticated", EACCES},
  [STATUS_UNAVAILABLE] = {"unavailable", ETIMEDOUT},
  [STATUS_BAD_REPLY] = {"bad reply", EBADMSG},
  [STATUS_CONFIG] = {"configuration", ENOTSUP},
  [STATUS_CORRUPT] = {"corrupt", EBADMSG},
  [STATUS_BAD_UNIT] = {"bad unit", STATUS_WT_ERROR},
  [STATUS_NO_KEY] = {"no key", ENOKEY},
  [STATUS_REFUSED] = {"refused", ENOTSUP},
  [STATUS_BUSY] = {"busy", EBUSY},
  [STATUS_IO] = {"system", EIO},
  [STATUS_NO_MEMORY] = {"no memory", ENOMEM},
  [STATUS_INTERNAL] = {"internal", ENOTRECOVERABLE},
};

void
status_clear(STATUS *status)
{
    status->status_class = STATUS_OK;
    status->sys_errno = 0;
    status->id = "ok";
    status->message[0] = '\0';
    status->hint[0] = '\0';
}

/*
 * A name taken from a file may hold anything: keep one error one line, and terminals safe. Other bytes
 * from 0x80 stay, they are UTF-8 of file names; C1 controls start with 0xc2 there.
 */
void
status_make_printable(char *text)
{
    unsigned char *p = (unsigned char *)text;

    for (; *p != '\0'; p++) {
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = '?';
        else if (*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
}

static void append(char *buf, size_t size, const char *fmt, va_list ap) WTKMS_PRINTF(3, 0);

static void
append(char *buf, size_t size, const char *fmt, va_list ap)
{
    size_t used = strlen(buf);

    (void)vsnprintf(buf + used, size - used, fmt, ap);
    status_make_printable(buf + used);
}

static void append_text(char *buf, size_t size, const char *fmt, ...) WTKMS_PRINTF(3, 4);

static void
append_text(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    append(buf, size, fmt, ap);
    va_end(ap);
}

int
status_set(STATUS *status, STATUS_CLASS status_class, const char *id, const char *fmt, ...)
{
    va_list ap;

    status_clear(status);
    status->status_class = status_class;
    status->id = id;
    va_start(ap, fmt);
    append(status->message, sizeof(status->message), fmt, ap);
    va_end(ap);
    return ((int)status_class);
}

int
status_set_errno(STATUS *status, int sys_errno, const char *id, const char *fmt, ...)
{
    va_list ap;
    char text[128];

    status_clear(status);
    status->status_class = sys_errno == ENOMEM ? STATUS_NO_MEMORY : STATUS_IO;
    status->sys_errno = sys_errno;
    status->id = id;
    va_start(ap, fmt);
    append(status->message, sizeof(status->message), fmt, ap);
    va_end(ap);
    /* GNU strerror_r: the result may or may not be in the buffer. */
    append_text(
      status->message, sizeof(status->message), ": %s", strerror_r(sys_errno, text, sizeof(text)));
    if (sys_errno == EROFS)
        (void)status_hint(status, "mount it writable, or work on a copy that is");
    else if (sys_errno == ENOSPC || sys_errno == EDQUOT)
        (void)status_hint(status, "make room on that file system, then do it again");
    return ((int)status->status_class);
}

int
status_add(STATUS *status, const char *fmt, ...)
{
    va_list ap;

    if (status->message[0] != '\0')
        append_text(status->message, sizeof(status->message), ", ");
    va_start(ap, fmt);
    append(status->message, sizeof(status->message), fmt, ap);
    va_end(ap);
    return ((int)status->status_class);
}

int
status_hint(STATUS *status, const char *fmt, ...)
{
    va_list ap;

    status->hint[0] = '\0';
    va_start(ap, fmt);
    append(status->hint, sizeof(status->hint), fmt, ap);
    va_end(ap);
    return ((int)status->status_class);
}

const char *
status_class_name(STATUS_CLASS status_class)
{
    return ((unsigned)status_class < STATUS_CLASS_COUNT ? classes[status_class].name : "unknown");
}

const char *
status_format(const STATUS *status, char *buf, size_t size)
{
    if (size == 0)
        return (buf);
    (void)snprintf(buf, size, "%s%s%s (%s)", status->message, status->hint[0] == '\0' ? "" : "; ",
      status->hint, status->id);
    return (buf);
}

int
status_host_errno(const STATUS *status)
{
    if ((unsigned)status->status_class >= STATUS_CLASS_COUNT)
        return (ENOTRECOVERABLE);
    /* Of system errors only those pass that neither host mistakes for something else. */
    if (status->status_class == STATUS_IO)
        switch (status->sys_errno) {
        case ENOSPC:
        case EROFS:
        case EACCES:
        case EPERM:
        case EMFILE:
        case ENFILE:
        case EDQUOT:
            return (status->sys_errno);
        default:
            return (EIO);
        }
    return (classes[status->status_class].host_errno);
}
