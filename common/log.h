/*
 * common/log.h -- Where lines for people go.
 *
 * Layer: common. Lower layers return a STATUS and do not log; the boundary (extension/, cli/) logs
 * once. The exceptions are events that are no errors: "restored from the mirror", "one recipient
 * failed, another opened". A LOG never receives a secret, at any level.
 */
#ifndef WTKMS_COMMON_LOG_H
#define WTKMS_COMMON_LOG_H

#include "common/status.h"

typedef enum { LOG_INFO, LOG_WARNING, LOG_ERROR } LOG_LEVEL;

/*
 * A sink: write receives one line without its newline, at most 2 KiB long. It may be called from
 * any thread and must not call back into this project.
 */
typedef struct {
    void (*write)(void *context, LOG_LEVEL level, const char *line);
    void *context;
} LOG;

/*
 * log_printf -- Format one line and hand it to the sink. log may be NULL: nothing happens.
 */
void log_printf(const LOG *log, LOG_LEVEL level, const char *fmt, ...) WTKMS_PRINTF(3, 4);

/*
 * log_status -- Log a recorded error with its hint and id.
 */
void log_status(const LOG *log, LOG_LEVEL level, const STATUS *status);

#endif
