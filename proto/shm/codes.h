/* SPDX-License-Identifier: Apache-2.0 */
/* codes.h - responses counted by status code, without touching memory for a 200.
 *
 * Runs in:    workers count on their own lines; the agent sums them.
 * Bounds:     REM_SHM_CODES codes per struct rem_shm_codes; what comes after these is counted in
 *             its class alone.  */
#ifndef REM_SHM_CODES_H
#define REM_SHM_CODES_H

#include "proto/shm/layout.h"

#include <stddef.h>

enum { REM_CODES_MAX = 64 };

struct rem_code {
    uint32_t status;
    uint64_t count;
};

/* Sums, by ascending status. */
struct rem_codes {
    size_t count;
    struct rem_code items[REM_CODES_MAX];
};

/* The slow half of rem_codes_count. */
void rem_codes_add(struct rem_shm_codes *codes, size_t lines, unsigned status);

/* Counts a response on `lines` lines that belong together. */
static inline void rem_codes_count(struct rem_shm_codes *codes, size_t lines, unsigned status)
{
    if (status != 200)
        rem_codes_add(codes, lines, status);
}

/* Adds the lines to `out`, which is all zero at first. */
void rem_codes_sum(const struct rem_shm_codes *codes, size_t lines, struct rem_codes *out);

/* Adds what is left of all 2xx responses as 200. */
void rem_codes_finish(struct rem_codes *codes, uint64_t all_2xx);

#endif
