/*
 * kms_clients/token.c -- See token.h.
 */
#include "kms_clients/token.h"

#include <stddef.h>

#define ASSUMED_S 3600
#define MARGIN_S 300
#define LIFETIME_MAX_S (100LL * 365 * 24 * 3600)

void
token_set(TOKEN *token, SECRET *value, int64_t lifetime_s)
{
    int64_t refresh_s;

    token_clear(token);
    if (lifetime_s <= 0)
        lifetime_s = ASSUMED_S;
    if (lifetime_s > LIFETIME_MAX_S)
        lifetime_s = LIFETIME_MAX_S;
    refresh_s = lifetime_s - lifetime_s / 5;
    if (lifetime_s > 2 * MARGIN_S && refresh_s > lifetime_s - MARGIN_S)
        refresh_s = lifetime_s - MARGIN_S;
    token->value = value;
    token->refresh_at = clock_deadline(refresh_s * 1000);
    token->expires_at = clock_deadline(lifetime_s * 1000);
}

bool
token_fresh(const TOKEN *token)
{
    return (token->value != NULL && clock_left(token->refresh_at) > 0);
}

bool
token_usable(const TOKEN *token)
{
    return (token->value != NULL && clock_left(token->expires_at) > 0);
}

void
token_clear(TOKEN *token)
{
    secret_free(token->value);
    token->value = NULL;
    token->refresh_at = token->expires_at = 0;
}
