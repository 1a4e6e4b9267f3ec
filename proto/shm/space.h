/* SPDX-License-Identifier: Apache-2.0 */
/* space.h - what the registry and its upstreams take of the region, for status pages.
 *
 * Runs in:    the agent.
 * Not here:   whether the account is right (rem_writer_stats).  */
#ifndef REM_SHM_SPACE_H
#define REM_SHM_SPACE_H

#include "proto/shm/writer.h"

struct rem_space {
    uint64_t used;     /* bytes, by the allocator's account, the header included */
    uint64_t free;     /* bytes that could be given out */
    uint64_t requests; /* for space, in the region's life */
    uint64_t failures; /* for want of it */
};

void rem_space_region(const struct rem_writer *writer, struct rem_space *out);

/* An upstream's part, by its index in the directory.  Texts borrow from the registry until the next
 * commit or reclaim. */
struct rem_space_upstream {
    struct rem_str name, zone;
    uint32_t flags;      /* enum rem_upstream_flag */
    uint64_t bytes;      /* its set and all its slots */
    uint64_t slot;       /* bytes of a server's slot */
    uint64_t slots;      /* of servers, removed ones that requests still hold not among them */
    uint64_t slots_ever; /* servers it ever had */
};

void rem_space_upstream(const struct rem_writer *writer, size_t index,
                        struct rem_space_upstream *out);

#endif
