/* SPDX-License-Identifier: Apache-2.0 */
/* count.h - what the API counts of itself: requests by route, method and status, how long they
 * took, and what became of changes.
 *
 * Runs in:    agent.  The counters are in the region (proto/shm/stat_admin.h) and outlive it.  */
#ifndef REM_API_COUNT_H
#define REM_API_COUNT_H

#include "api/message.h"
#include "proto/shm/stat_admin.h"

struct rem_api_staged;

enum { REM_COUNT_CACHE = 256, REM_ENDPOINT = 56 };

/* Where routes count, so that names are compared once only. */
struct rem_api_counts {
    struct rem_stat_admin *shared; /* NULL: not found (yet) */
    struct rem_count_slot {
        const struct rem_route *route;
        enum rem_method method;
        struct rem_stat_route *entry; /* NULL: there was no room */
    } cache[REM_COUNT_CACHE];
};

/* A request is answered, after `ms`. */
void rem_api_count(struct rem_api_counts *counts, const struct rem_shm_header *header,
                   const struct rem_api_request *request, const struct rem_api_response *response,
                   const struct rem_api_staged *staged, uint64_t ms);

/* The region was full; a line of the audit log was lost; a state file could not be written; all
 * workers ran what was published `ms` ago; a scrape left `series` out. */
void rem_api_count_full(struct rem_api_counts *counts, const struct rem_shm_header *header);
void rem_api_count_log_dropped(struct rem_api_counts *counts, const struct rem_shm_header *header);
void rem_api_count_save_failure(struct rem_api_counts *counts, const struct rem_shm_header *header);
void rem_api_count_applied(struct rem_api_counts *counts, const struct rem_shm_header *header,
                           uint64_t ms);
void rem_api_count_dropped(struct rem_api_counts *counts, const struct rem_shm_header *header,
                           uint64_t series);

#endif
