/*
 * common/log.c -- Where lines for people go. See log.h.
 */
#include "common/log.h"

#include <stdarg.h>
#include <stdio.h>

void
log_printf(const LOG *log, LOG_LEVEL level, const char *fmt, ...)
{
    va_list ap;
    char line[2048];

    if (log == NULL || log->write == NULL)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    status_make_printable(line);
    log->write(log->context, level, line);
}

void
log_status(const LOG *log, LOG_LEVEL level, const STATUS *status)
{
    char line[2048];

    log_printf(log, level, "%s", status_format(status, line, sizeof(line)));
}
