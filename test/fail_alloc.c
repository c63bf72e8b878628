/*
 * test/fail_alloc.c -- Let one allocation fail. See fail_alloc.h.
 */
#include "test/fail_alloc.h"

#include "test/testmain.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t size);

static unsigned left; /* allocations until the one that fails; 0: none does */
static bool done;

static bool
fails(void)
{
    if (left == 0 || --left > 0)
        return (false);
    done = true;
    errno = ENOMEM;
    return (true);
}

void *
__wrap_malloc(size_t size)
{
    return (fails() ? NULL : __real_malloc(size));
}

void *
__wrap_calloc(size_t count, size_t size)
{
    return (fails() ? NULL : __real_calloc(count, size));
}

void *
__wrap_realloc(void *p, size_t size)
{
    return (fails() ? NULL : __real_realloc(p, size));
}

char *
__wrap_strdup(const char *s)
{
    return (fails() ? NULL : __real_strdup(s));
}

char *
__wrap_strndup(const char *s, size_t size)
{
    return (fails() ? NULL : __real_strndup(s, size));
}

void
fail_alloc(unsigned nth)
{
    left = nth;
    done = false;
}

bool
fail_alloc_done(void)
{
    left = 0;
    return (done);
}

void
fail_every_alloc(bool (*run)(bool *failedp, void *context), void *context, unsigned least)
{
    unsigned nth;
    bool failed = true, good;

    for (nth = 1; failed && nth < 100000; nth++) {
        fail_alloc(nth);
        good = run(&failed, context);
        if (!good)
            (void)printf("\n    allocation %u failing\n", nth);
        CU_ASSERT(good);
    }
    CU_ASSERT(nth > least);
}
