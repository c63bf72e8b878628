/*
 * kms_clients/token.h -- A bearer token and how long it is good.
 *
 * Layer: kms_clients. Not thread-safe: it belongs to one client.
 */
#ifndef WTKMS_KMS_CLIENTS_TOKEN_H
#define WTKMS_KMS_CLIENTS_TOKEN_H

#include "common/clock.h"
#include "crypto/secret.h"

#include <stdbool.h>

typedef struct {
    SECRET *value;      /* NULL: none */
    int64_t refresh_at; /* clock_ms: get another before this */
    int64_t expires_at; /* clock_ms: not good any more */
} TOKEN;

/* token_set -- Take over a value that lives so many seconds from now (0: unknown, an hour is assumed).
 * It is to be refreshed when four fifths of that are over, five minutes before the end at the latest where the
 * life is long enough. */
void token_set(TOKEN *token, SECRET *value, int64_t lifetime_s);

/* token_fresh -- Whether it need not be replaced; token_usable -- whether it is still good. */
bool token_fresh(const TOKEN *token);
bool token_usable(const TOKEN *token);

/* token_clear -- Wipe and forget. */
void token_clear(TOKEN *token);

#endif
