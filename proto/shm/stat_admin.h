/* SPDX-License-Identifier: Apache-2.0 */
/* stat_admin.h - what the agent counts of its own API, in the region, so that its successor goes
 * on.
 *
 * Runs in:    made by the master with the other statistics; the agent alone writes.
 * Atomics:    relaxed, each counter stands alone; a route counts once `routes` lies behind it.  */
#ifndef REM_SHM_STAT_ADMIN_H
#define REM_SHM_STAT_ADMIN_H

#include "proto/shm/stat.h"

enum { REM_STAT_ROUTES = 96, REM_STAT_ROUTE_NAME = 64 };

/* What has become of a request to change something. */
enum rem_admin_result {
    REM_RESULT_APPLIED = 0, /* a new revision */
    REM_RESULT_UNCHANGED,
    REM_RESULT_CONFLICT, /* it was for another revision */
    REM_RESULT_INVALID,
    REM_RESULT_DENIED,
    REM_RESULT_NO_MEMORY,
    REM_RESULT_FAILED, /* our own fault */
    REM_RESULTS
};

/* Requests of one method to one route. */
struct rem_stat_route {
    alignas(64) char name[REM_STAT_ROUTE_NAME]; /* "GET /v1/revision", ends in NUL */
    struct rem_stat_http_line counts;
};

struct rem_stat_admin {
    alignas(64) _Atomic uint64_t results[REM_RESULTS];
    _Atomic uint64_t save_failures;  /* of state files */
    _Atomic uint64_t full;           /* publishes the region had no room for */
    _Atomic uint64_t log_dropped;    /* lines of the audit log */
    _Atomic uint64_t dropped_series; /* folded away in scrapes */
    struct rem_shm_histogram apply;  /* from a publish until all workers ran it */
    _Atomic uint32_t routes;         /* so many of `route` are in use */
    struct rem_stat_route route[REM_STAT_ROUTES];
};

/* The one of the region; NULL: none was made. */
struct rem_stat_admin *rem_stat_admin(const struct rem_shm_header *header);

/* The counters of a route, made when new; NULL: there is no room for one more. */
struct rem_stat_route *rem_stat_admin_route(struct rem_stat_admin *admin, const char *name);

#endif
