/* SPDX-License-Identifier: Apache-2.0 */
/* region.h - the shared region itself, worker slots, and counters of processes.
 *
 * Runs in:    the master creates (or, after a binary upgrade, attaches) it before it forks; the
 *             children inherit the mapping.
 * Lifecycle:  create or attach -> close.  The memfd keeps it for the next binary.
 * Not here:   upstreams (see reader.h, writer.h).  */
#ifndef REM_SHM_REGION_H
#define REM_SHM_REGION_H

#include "proto/base/err.h"
#include "proto/base/str.h"
#include "proto/shm/layout.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct rem_region {
    struct rem_shm_header *header; /* also the base of all offsets */
    size_t size;
    int fd;         /* memfd, close-on-exec */
    uint32_t lines; /* per runtime slot */
};

enum { REM_REGION_MIN = 1 << 20 };

/* Reserves `size` bytes (rounded up to pages); only what is touched costs memory.  Runtime slots
 * get room for `workers` workers and as many successors.
 * Errors: REM_EINVAL (below REM_REGION_MIN), REM_ENOMEM, REM_EIO (errno). */
int rem_region_create(struct rem_region *region, size_t size, unsigned workers) REM_MUST_CHECK;

/* Maps a region that another binary made; takes `fd` on success.
 * Errors: REM_EINVAL (not a region), REM_EUNSUPPORTED (another layout), REM_EIO. */
int rem_region_attach(struct rem_region *region, int fd) REM_MUST_CHECK;

void rem_region_close(struct rem_region *region);

static inline void *rem_region_at(const struct rem_region *region, uint64_t off)
{
    return (char *)region->header + off;
}

/* Waits until no other process is the writer, and is it until it ends or closes a descriptor of the
 * region: the agent of a binary that was killed may still be finishing when its successor starts.
 * Errors: REM_EIO (errno says why). */
int rem_region_lock_writer(const struct rem_region *region) REM_MUST_CHECK;

/* While statistics are made: in a binary upgrade there are two masters.  Errors: REM_EIO. */
int rem_region_lock_stats(const struct rem_region *region) REM_MUST_CHECK;
void rem_region_unlock_stats(const struct rem_region *region);

/* ---- worker slots: the master's side ---- */

/* Gives a new worker a slot; prefers lines that no other worker counts on.  To be called before the
 * fork, with the pid set after it.  The counters of the slot go on, the gauges start at zero.
 * Errors: REM_EFULL (all slots taken or just being cleaned). */
int rem_region_claim_worker(struct rem_region *region, uint64_t config_generation, uint64_t now_ms,
                            unsigned *out_slot) REM_MUST_CHECK;
void rem_region_set_worker_pid(struct rem_region *region, unsigned slot, pid_t pid);

/* The slot's process has been reaped (or was never forked): it holds up nobody from here on.  The
 * agent then takes back what the worker held (rem_writer_reclaim) and frees the slot. */
void rem_region_worker_gone(struct rem_region *region, unsigned slot);

static inline struct rem_shm_worker *rem_region_worker(const struct rem_region *region,
                                                       unsigned slot)
{
    return &region->header->workers[slot];
}

static inline bool rem_region_worker_live(const struct rem_region *region, unsigned slot)
{
    /* seq_cst: pairs with the claim, see layout.h */
    return atomic_load(&region->header->workers[slot].state) == REM_WORKER_LIVE;
}

/* ---- counting ---- */

/* Adds to a counter that only the calling process writes: no locked instruction.
 * relaxed: each counter stands alone. */
static inline void rem_count(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);

    atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

static inline void rem_gauge(_Atomic int64_t *gauge, int64_t n)
{
    int64_t old = atomic_load_explicit(gauge, memory_order_relaxed);

    atomic_store_explicit(gauge, old + n, memory_order_relaxed);
}

/* Counts a response of the worker by its status (100..599). */
static inline void rem_count_status(struct rem_shm_worker *worker, unsigned status)
{
    unsigned status_class = status / 100;

    if (status_class >= 1 && status_class <= REM_SHM_CLASSES)
        rem_count(&worker->responses[status_class - 1], 1);
}

/* Sums over all worker slots and the master's own counters, for status pages. */
struct rem_region_totals {
    uint64_t conn_accepted, conn_handled, conn_rejected;
    int64_t conn_active, conn_reading, conn_writing, conn_waiting;
    int64_t requests_current;
    uint64_t requests;
    uint64_t responses[REM_SHM_CLASSES]; /* [0] is 1xx */
    uint64_t received, sent;
    uint64_t worker_respawns, agent_respawns, reloads, reloads_failed, config_generation;
    int64_t started_sec, reloaded_sec;
    unsigned workers_live;
};

void rem_region_totals(const struct rem_region *region, struct rem_region_totals *out);

/* One worker slot, for /v1/revision and the like. */
struct rem_worker_status {
    unsigned slot;
    pid_t pid;
    uint64_t config_generation;
    uint64_t started_ms;
    uint64_t requests;
    uint64_t seen;     /* epoch, 0: offline */
    uint64_t revision; /* it picks by; the published one while it is offline */
};

/* Fills `out` (room for REM_SHM_WORKERS) with the live workers.  Returns how many. */
size_t rem_region_workers(const struct rem_region *region, struct rem_worker_status *out);

/* The published revision; 0 before the first publish.  For the agent and for tests: reads the
 * directory without announcing itself. */
uint64_t rem_region_revision(const struct rem_region *region);

/* The counters of a resolver's status zone, made when new; any process.  NULL: the name is empty or
 * too long, or there are too many. */
struct rem_shm_resolver *rem_region_resolver(struct rem_shm_header *header, struct rem_str name);

#endif
