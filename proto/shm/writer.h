/* SPDX-License-Identifier: Apache-2.0 */
/* writer.h - changes to the registry, and its housekeeping.
 *
 * Runs in:    the agent, and only in one process at a time.
 * Lifecycle:  rem_writer_new attaches and rebuilds the allocator by walking from the root; free.
 *             A change: rem_change_new -> put, remove, ... -> commit -> rem_change_free.
 * Crash:      the process may be killed between any two stores.  What the root reaches is always
 *             whole; what it does not reach is free memory for the next writer.  */
#ifndef REM_SHM_WRITER_H
#define REM_SHM_WRITER_H

#include "proto/base/err.h"
#include "proto/shm/region.h"
#include "proto/shm/spec.h"

struct rem_writer;
struct rem_change;

/* Attaches to the region, with whatever an earlier writer left in it.
 * Errors: REM_ENOMEM, REM_EPROTO (the region is damaged; nothing was changed). */
int rem_writer_new(const struct rem_region *region, struct rem_writer **out,
                   struct rem_err *err) REM_MUST_CHECK;
void rem_writer_free(struct rem_writer **writer);

uint64_t rem_writer_revision(const struct rem_writer *writer);
uint64_t rem_writer_epoch(const struct rem_writer *writer);

/* ---- changes ---- */

/* Starts a change of the current state.  Any number of upstreams; several steps may touch the same
 * one, each sees what the earlier left.  One change at a time: another must be committed or freed
 * first (REM_EBUSY otherwise).  Errors: REM_ENOMEM, REM_EBUSY. */
int rem_change_new(struct rem_writer *writer, struct rem_change **out) REM_MUST_CHECK;

/* Drops a change that was not committed (nothing happened), or the rest of one that was. */
void rem_change_free(struct rem_change **change);

/* The upstream as the change would leave it.
 * Returns: *out borrows from the change until its next step, commit or free.
 * Errors: REM_ENOTFOUND, REM_ENOMEM. */
int rem_change_get(struct rem_change *change, struct rem_str name,
                   const struct rem_upstream_spec **out) REM_MUST_CHECK;

/* Creates or replaces an upstream, servers included.  Servers without an id get that of the server
 * with the same address, or the next one.  `spec` is copied.
 * Errors: REM_EINVAL (a bad name, weight, address, id...; the step is undone, the change stays
 * good), REM_EEXIST (two servers with one id), REM_ENOMEM. */
int rem_change_put(struct rem_change *change, const struct rem_upstream_spec *spec,
                   struct rem_err *err) REM_MUST_CHECK;

/* Has a step of the change looked at the upstream, or put it? */
bool rem_change_names(const struct rem_change *change, struct rem_str name);

/* Replaces the servers of an existing upstream and nothing else of it.  Two servers with the same
 * address are refused here (REM_EEXIST), as the API wants, unless the configuration (put) brought
 * them.
 * Errors: as rem_change_put, and REM_ENOTFOUND (no such upstream). */
int rem_change_servers(struct rem_change *change, struct rem_str name,
                       const struct rem_server_spec *servers, size_t count,
                       struct rem_err *err) REM_MUST_CHECK;

/* Errors: REM_ENOTFOUND, REM_ENOMEM. */
int rem_change_remove(struct rem_change *change, struct rem_str name) REM_MUST_CHECK;

#define REM_REVISION_ANY UINT64_MAX

struct rem_commit {
    uint64_t revision;
    uint64_t epoch; /* for rem_writer_applied */
};

/* Publishes all steps at once.  Afterwards the change may only be freed.
 * Errors, all of which leave the registry as it was: REM_ECONFLICT (the revision is not
 * `expected`), REM_EFULL, REM_ENOMEM. */
int rem_change_commit(struct rem_change *change, uint64_t expected, struct rem_commit *out,
                      struct rem_err *err) REM_MUST_CHECK;

/* Takes over the upstreams of a configuration: an upstream whose config_hash is unchanged keeps its
 * servers as they are now; a changed or new one becomes what the file says; one that is gone stays
 * while workers of older generations live (rem_writer_reclaim removes it); one made at run time
 * stays.  One publish; the revision rises only if an upstream changed.  With the generation that
 * was last reconciled, and nothing to do, publishes nothing.  Errors: as rem_change_put and
 * rem_change_commit. */
int rem_writer_reconcile(struct rem_writer *writer, const struct rem_upstream_spec *specs,
                         size_t count, uint64_t config_generation,
                         struct rem_err *err) REM_MUST_CHECK;

/* Have all live workers left every turn that began before `epoch` was published? */
bool rem_writer_applied(const struct rem_writer *writer, uint64_t epoch);

/* Frees what nobody can see any more, buries zombies, takes back what dead workers held.  Call it
 * after commits, after a worker's death and from a timer while it returns true (some ms apart). */
bool rem_writer_reclaim(struct rem_writer *writer);

/* ---- reading back (the writer reads its own directory, no reader protocol) ---- */

struct rem_server_status {
    struct rem_server_spec spec;
    struct rem_str state; /* up, down, draining, unavail, checking, unhealthy */
    int64_t active;
    struct rem_shm_totals totals;
    uint64_t selected_ms;  /* monotonic, 0: never */
    uint64_t down_from_ms; /* monotonic, 0: it is not */
    uint64_t downtime_ms;
};

struct rem_upstream_status {
    struct rem_upstream_spec spec; /* .servers is NULL; see .servers here */
    struct rem_server_status *servers;
    size_t server_count;
    size_t zombies;
    int64_t idle; /* pooled connections */
    uint64_t no_live, retries, opened, reused;
    struct rem_shm_totals totals; /* of all servers it ever had; never goes back */
};

/* How many upstreams; each index below is good until the next commit or reclaim. */
size_t rem_writer_count(const struct rem_writer *writer);

/* Errors: REM_ENOTFOUND. */
int rem_writer_find(const struct rem_writer *writer, struct rem_str name,
                    size_t *out_index) REM_MUST_CHECK;

/* The description, with ids.  Strings are copied into `arena`.  Errors: REM_ENOMEM. */
int rem_writer_spec(const struct rem_writer *writer, size_t index, struct rem_arena *arena,
                    struct rem_upstream_spec *out) REM_MUST_CHECK;

/* Description, counters and states.  Strings are copied into `arena`.  Errors: REM_ENOMEM. */
int rem_writer_status(const struct rem_writer *writer, size_t index, uint64_t now_ms,
                      struct rem_arena *arena, struct rem_upstream_status *out) REM_MUST_CHECK;

struct rem_writer_stats {
    uint64_t size;       /* of the region */
    uint64_t used;       /* by the allocator's account, the header included */
    uint64_t reachable;  /* found by a walk from the root, the header included */
    uint64_t pending;    /* bytes that wait for workers to pass: part of `used` */
    uint64_t free;       /* could be given out, above high_water included */
    uint64_t high_water; /* the space in use ends below; in steps of a megabyte */
    uint64_t zombies;
};

/* used == reachable whenever pending == 0.  Errors: REM_ENOMEM, REM_EPROTO (damaged). */
int rem_writer_stats(const struct rem_writer *writer, struct rem_writer_stats *out) REM_MUST_CHECK;

/* ---- for tests ---- */

/* Called before every store to the region, so that a test can end the process there. */
typedef void (*rem_writer_step_fn)(void *data);
void rem_writer_set_step(struct rem_writer *writer, rem_writer_step_fn step, void *data);

/* Fills freed memory with a pattern, so that a late reader is found out. */
void rem_writer_set_poison(struct rem_writer *writer, bool on);

#endif
