/*
 * datafile/walk_common.h -- What the walkers of block files and of log files share.
 *
 * Layer: datafile, for its own files. Pure.
 */
#ifndef WTKMS_DATAFILE_WALK_COMMON_H
#define WTKMS_DATAFILE_WALK_COMMON_H

#include "common/little_endian.h"
#include "datafile/reader.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * How much may be read in vain. Remains of overwritten blocks cost a checksum that does not fit, some
 * of them in any old file; only a file made for it costs more than this.
 */
#define WALK_COST_FREE ((uint64_t)1024 * 1024 * 1024)
#define WALK_COST_FACTOR 64

/* walk_common_cost_ok -- Whether so many wasted bytes are fair for a file of that size. */
static inline bool
walk_common_cost_ok(uint64_t wasted, uint64_t size)
{
    return (wasted <= WALK_COST_FREE || (wasted - WALK_COST_FREE) / WALK_COST_FACTOR <= size);
}

/* walk_common_due -- Whether progress is told now: about once a MiB and at the end. */
static inline bool
walk_common_due(uint64_t done, uint64_t size, uint64_t *reportedp)
{
    if (done < size && done - *reportedp < READER_CHUNK)
        return (false);
    *reportedp = done;
    return (true);
}

#endif
