/* SPDX-License-Identifier: Apache-2.0 */
/* alloc.h - which parts of the region are free: kept outside the region, in the writer's memory.
 *
 * Runs in:    the agent.
 * How:        free extents in lists by size class, neighbours found by a tag per unit, both ends of
 *             an extent tagged; take and give are O(1).  Tags are reserved address space: only
 *             those next to an extent's ends cost memory, and giving back never fails.
 * Not here:   stores to the region; what is reachable (see walk.h).  */
#ifndef REM_SHM_ALLOC_H
#define REM_SHM_ALLOC_H

#include "proto/base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { REM_ALLOC_BINS = 256 };

struct rem_alloc_tag {
    uint32_t units;      /* at the first unit of a free extent: its length */
    uint32_t back;       /* at the last unit of a free extent: its length */
    uint32_t next, prev; /* first units of the bin's neighbours; REM_ALLOC_NONE: none */
};

struct rem_alloc {
    uint64_t base;              /* bytes; all of these multiples of the unit */
    uint32_t units;             /* in all */
    uint32_t top;               /* all units from here on are free, and in no bin */
    uint32_t free_units;        /* below top */
    struct rem_alloc_tag *tags; /* owned */
    uint32_t bins[REM_ALLOC_BINS];
    uint64_t filled[REM_ALLOC_BINS / 64]; /* bins that are not empty */
};

/* Manages [base, limit) with everything below `top` taken.
 * Errors: REM_ENOMEM, REM_ETOOBIG (more units than a tag can count). */
int rem_alloc_init(struct rem_alloc *alloc, uint64_t base, uint64_t limit,
                   uint64_t top) REM_MUST_CHECK;
void rem_alloc_fini(struct rem_alloc *alloc);

/* Errors: REM_EFULL. */
int rem_alloc_take(struct rem_alloc *alloc, uint64_t size, uint64_t *out_off) REM_MUST_CHECK;

/* Gives back what was taken (or a part of what was below `top` at first). */
void rem_alloc_give(struct rem_alloc *alloc, uint64_t off, uint64_t size);

/* Bytes. */
uint64_t rem_alloc_used(const struct rem_alloc *alloc);
uint64_t rem_alloc_free(const struct rem_alloc *alloc);
uint64_t rem_alloc_top(const struct rem_alloc *alloc);

#endif
