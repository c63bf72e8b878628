/*
 * crypto/openssl_error.c -- OpenSSL failures. See openssl_error.h.
 */
#include "crypto/openssl_error.h"

#include <openssl/err.h>

int
openssl_error(STATUS *status, STATUS_CLASS status_class, const char *id, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    if (ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE) {
        status_class = STATUS_NO_MEMORY;
        id = "memory";
    }
    ERR_clear_error();
    return (status_set(status, status_class, id, "%s: %s", what,
      reason == NULL ? "OpenSSL gives no reason" : reason));
}
