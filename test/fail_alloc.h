/*
 * test/fail_alloc.h -- Let one allocation fail.
 *
 * Only for programs linked with $(test_alloc_ldflags), which lead malloc, calloc, realloc, strdup and
 * strndup of our objects and of static libraries through here. Not thread-safe.
 */
#ifndef WTKMS_TEST_FAIL_ALLOC_H
#define WTKMS_TEST_FAIL_ALLOC_H

#include <stdbool.h>

/* The nth allocation from now fails, from 1; 0: none. */
void fail_alloc(unsigned nth);

/* Whether it came to that since the last call of fail_alloc; stops failing. */
bool fail_alloc_done(void);

/*
 * Call run with its first, second, third... allocation failing, until it does not come to that any
 * more. run must call fail_alloc_done after what it tests, put the answer into *failedp, and return
 * whether all is as it must be: refused for want of memory, or done. That is asserted, and that at
 * least so many allocations were seen.
 */
void fail_every_alloc(bool (*run)(bool *failedp, void *context), void *context, unsigned least);

#endif
