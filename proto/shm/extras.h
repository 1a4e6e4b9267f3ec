/* SPDX-License-Identifier: Apache-2.0 */
/* extras.h - what a balancing method or stickiness wants computed ahead for a set.
 *
 * Runs in:    the agent, when it builds a set.
 * Shares:     hashes with weights: where each server's part of the sum of weights ends.
 * Ring:       consistent hashing: 160 points for each unit of weight, placed as ketama places
 *             them; fewer where that would be more than REM_RING_MAX in all.
 * Routes:     sticky ids to servers, a hash table.  */
#ifndef REM_SHM_EXTRAS_H
#define REM_SHM_EXTRAS_H

#include "proto/shm/layout.h"
#include "proto/shm/spec.h"

enum { REM_RING_POINTS = 160, REM_RING_MAX = 1 << 21 };

struct rem_extras {
    uint32_t *shares; /* owned, one per server; NULL: all weights are 1 */
    uint32_t share_sum;
    struct rem_shm_point *ring; /* owned */
    uint32_t ring_length;
    uint32_t *routes; /* owned hash table; NULL: none */
    uint32_t routes_mask;
    char *sticky_ids; /* owned, REM_STICKY_ID bytes per server; NULL: none */
};

/* Is anything computed ahead for the upstream? */
bool rem_extras_wanted(const struct rem_upstream_spec *spec);

/* `out` is empty on failure.  Errors: REM_ENOMEM, REM_ETOOBIG. */
int rem_extras_build(const struct rem_upstream_spec *spec, struct rem_extras *out) REM_MUST_CHECK;
void rem_extras_fini(struct rem_extras *extras);

/* Bytes it takes in a set of `count` servers. */
uint64_t rem_extras_size(const struct rem_extras *extras, uint32_t count);

/* Copies everything into the set, from `off` (a multiple of 8) on.  Returns the offset behind. */
uint32_t rem_extras_fill(const struct rem_extras *extras, struct rem_shm_set *set, uint32_t off);

#endif
