/*
 * kms_clients/tls_stream.h -- A stream of bytes over TLS with deadlines, for protocols that are not HTTP.
 *
 * Layer: kms_clients; uses libcurl. TLS 1.2 or newer, the peer's chain and name always verified; there
 * is no plain TCP. Raises no signal, asks nobody for a passphrase, takes no setting from the
 * environment, uses a proxy only when given one. One thread at a time.
 *
 * All failures are STATUS_UNAVAILABLE: "kms-tls" for what a repetition will not mend, a certificate
 * above all; "kms-unavailable" for the network and time; or STATUS_NO_MEMORY.
 */
#ifndef WTKMS_KMS_CLIENTS_TLS_STREAM_H
#define WTKMS_KMS_CLIENTS_TLS_STREAM_H

#include "common/status.h"
#include "crypto/secret.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *host; /* a name or an address, IPv6 without brackets */
    int port;
    const char
      *server_name; /* the name that the certificate must have, when it is not host; or NULL */
    const SECRET *authorities; /* PEM; NULL: the system's */
    const SECRET *certificate; /* PEM; NULL: none is shown */
    const SECRET *key;         /* PEM, of certificate */
    const char *proxy;         /* URL, or NULL */
    int64_t connect_timeout;   /* ms, TLS included */
} TLS_TARGET;

typedef struct tls_stream TLS_STREAM;

/* tls_stream_open -- Connect. What target points to must outlive the stream. The caller closes *streamp. */
int tls_stream_open(
  const TLS_TARGET *target, int64_t deadline, TLS_STREAM **streamp, STATUS *status) WTKMS_CHECKED;
void tls_stream_close(TLS_STREAM *stream);

/* tls_stream_write, tls_stream_read -- All of len bytes, or an error; the stream is of no use after one. */
int tls_stream_write(
  TLS_STREAM *stream, int64_t deadline, const void *data, size_t len, STATUS *status) WTKMS_CHECKED;
int tls_stream_read(
  TLS_STREAM *stream, int64_t deadline, void *data, size_t len, STATUS *status) WTKMS_CHECKED;

#endif
