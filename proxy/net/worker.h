/* SPDX-License-Identifier: Apache-2.0 */
/* worker.h - what a worker process has exactly one of, passed down to everything in it.
 *
 * Runs in:    workers.  The only process-wide context; there are no mutable globals beside it.  */
#ifndef REM_NET_WORKER_H
#define REM_NET_WORKER_H

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/shm/reader.h"
#include "proxy/net/loop.h"

enum {
    REM_BLOCK_SMALL = 4096,  /* arenas of requests */
    REM_BLOCK_LARGE = 16384, /* heads, relays */
};

struct rem_deflates;
struct rem_setup;
struct rem_listener_set;
struct rem_upstream_worker;
struct rem_resolvers;

struct rem_worker {
    int index;           /* 0 .. worker_processes-1, the same for a respawned worker */
    int slot;            /* in the region's table of worker slots */
    uint32_t generation; /* of the configuration */
    struct rem_setup *setup;
    struct rem_loop loop;
    struct rem_reader reader;
    struct rem_shm_worker *counters; /* this worker's own cache lines in the region */
    struct rem_block_pool small;
    struct rem_block_pool large;
    size_t given_back; /* bytes that pools have freed since the heap was last trimmed */
    size_t given_back_seen;
    struct rem_timer trim;
    uint32_t connections;      /* open, both sides */
    uint32_t connection_limit; /* worker_connections */
    uint64_t next_number;      /* connection numbers */
    bool draining;             /* QUIT was received: no keep-alive any more */
    bool exiting;
    struct rem_listener_set *accepting;
    struct rem_upstream_worker *upstreams; /* connection pools and cursors */
    struct rem_list clients;               /* all client connections, for draining */
    struct rem_log_file *log_files;
    struct rem_deflates *deflates;   /* recycled compressors */
    struct rem_timer shutdown;       /* worker_shutdown_timeout, while draining */
    struct rem_post idle;            /* looks whether a draining worker may stop */
    int64_t limit_logged_sec;        /* when exhaustion was last complained about */
    uint64_t churn_from_ms;          /* since when connections released are counted */
    uint32_t churn;                  /* so many since then, */
    uint32_t churn_before;           /* and so many in the interval before */
    struct rem_resolvers *resolvers; /* see resolver.h; NULL: none used yet */
};

/* Who counts: listener.c counts an accepted connection before it hands it to on_accept; whoever
 * opens one (upstream) calls rem_worker_acquire first.  Whoever closes either kind calls
 * rem_worker_released, once, and touches `connections` itself never. */

/* One connection more, if worker_connections allows it (else REM_EBUSY, logged once a second). */
int rem_worker_acquire(struct rem_worker *worker) REM_MUST_CHECK;

/* A connection was closed (one less in `connections`): lets a paused listener accept again, and a
 * draining worker exit when it was the last. */
void rem_worker_released(struct rem_worker *worker);

/* Reads the clock, sets up pools, lists and the loop; `setup`, `index`, `slot`, `generation` and
 * `counters` are filled in by the caller before.  Errors: those of rem_loop_init. */
int rem_worker_init(struct rem_worker *worker) REM_MUST_CHECK;
void rem_worker_fini(struct rem_worker *worker);

/* Begins the graceful end: stops accepting, tells http, and stops the loop when no connection is
 * left or worker_shutdown_timeout has passed. */
void rem_worker_drain(struct rem_worker *worker);

#endif
