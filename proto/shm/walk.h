/* SPDX-License-Identifier: Apache-2.0 */
/* walk.h - everything the root reaches, found without trusting the allocator.
 *
 * Runs in:    the agent (it alone may read without announcing itself), tests.
 * Checks:     bounds, alignment, sizes, identities, overlaps; a damaged region is an error.  */
#ifndef REM_SHM_WALK_H
#define REM_SHM_WALK_H

#include "proto/base/err.h"
#include "proto/shm/region.h"

struct rem_extent {
    uint64_t off;
    uint64_t size; /* rounded up to units */
};

struct rem_walk {
    struct rem_extent *extents; /* owned; sorted by offset, none overlap */
    size_t count;
    size_t room;
    uint64_t bytes; /* sum of the sizes */
};

/* Errors: REM_ENOMEM, REM_EPROTO (damaged; `err` says what). */
int rem_walk_run(const struct rem_region *region, struct rem_walk *out,
                 struct rem_err *err) REM_MUST_CHECK;
void rem_walk_fini(struct rem_walk *walk);

#endif
