/*
 * common/cancel.c -- See cancel.h.
 */
#include "common/cancel.h"

#include <stddef.h>

static _Thread_local const atomic_bool *watched;

void
cancel_watch(const atomic_bool *flag)
{
    watched = flag;
}

bool
cancel_asked(void)
{
    return (watched != NULL && atomic_load_explicit(watched, memory_order_acquire));
}
