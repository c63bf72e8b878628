/*
 * crypto/openssl_error.h -- One place that turns an OpenSSL failure into a status.
 *
 * Layer: crypto, for its own files only. Thread-safe.
 */
#ifndef WTKMS_CRYPTO_OPENSSL_ERROR_H
#define WTKMS_CRYPTO_OPENSSL_ERROR_H

#include "common/status.h"

/*
 * openssl_error -- Record that what failed, with the reason that OpenSSL left for this thread, and
 *     empty its queue: the host may use the same OpenSSL and look there. STATUS_NO_MEMORY when that
 *     was the reason, else the class given. Returns the class.
 */
int openssl_error(STATUS *status, STATUS_CLASS status_class, const char *id, const char *what);

#endif
