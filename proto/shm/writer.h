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
#include "proto/shm/codes.h"
#include "proto/shm/region.h"
#include "proto/shm/spec.h"
#include "proto/shm/stat.h"
#include "proto/shm/table.h"

struct rem_writer;
struct rem_change;

/* Attaches to the region, with whatever an earlier writer left in it.
 * Errors: REM_ENOMEM, REM_EPROTO (the region is damaged; nothing was changed). */
int rem_writer_new(const struct rem_region *region, struct rem_writer **out,
                   struct rem_err *err) REM_MUST_CHECK;
void rem_writer_free(struct rem_writer **writer);

uint64_t rem_writer_revision(const struct rem_writer *writer);
uint64_t rem_writer_epoch(const struct rem_writer *writer);

/* The next revision is at least this one: revisions go on from an earlier life of the registry. */
void rem_writer_raise(struct rem_writer *writer, uint64_t revision);

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

/* The same for reading alone: changes of single servers stay as cheap as they are.
 * Returns: *out borrows from the change, until its next step, commit or free, and from `arena`.
 * Errors: as above. */
int rem_change_list(struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                    struct rem_upstream_spec *out) REM_MUST_CHECK;

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

/* ---- one server at a time: no copy of the whole set is made where that can be avoided ---- */

/* The upstream without its servers (.servers is NULL, .server_count is right), as the change would
 * leave it.  Returns: texts borrowed from the change until its next step, commit or free.
 * Errors: REM_ENOTFOUND, REM_ENOMEM. */
int rem_change_head(struct rem_change *change, struct rem_str name,
                    struct rem_upstream_spec *out) REM_MUST_CHECK;

/* A server by its id, as the change would leave it; texts borrowed as above.
 * Errors: REM_ENOTFOUND (no such upstream, or no such server), REM_ENOMEM. */
int rem_change_server_get(struct rem_change *change, struct rem_str name, uint32_t id,
                          struct rem_server_spec *out) REM_MUST_CHECK;

/* The id of the first server that is shown as `text`.  Errors: REM_ENOTFOUND as above, REM_ENOMEM.
 */
int rem_change_server_find(struct rem_change *change, struct rem_str name, struct rem_str text,
                           uint32_t *out_id) REM_MUST_CHECK;

/* Replaces the server with the id `server->id`.
 * Errors: as rem_change_servers; REM_ENOTFOUND as above. */
int rem_change_server_put(struct rem_change *change, struct rem_str name,
                          const struct rem_server_spec *server, struct rem_err *err) REM_MUST_CHECK;

/* Adds a server behind the others; its id is set in *out_id.  Errors: as rem_change_servers. */
int rem_change_server_add(struct rem_change *change, struct rem_str name,
                          const struct rem_server_spec *server, uint32_t *out_id,
                          struct rem_err *err) REM_MUST_CHECK;

/* Errors: REM_ENOTFOUND as above, REM_ENOMEM. */
int rem_change_server_remove(struct rem_change *change, struct rem_str name,
                             uint32_t id) REM_MUST_CHECK;

/* ---- tables ---- */

/* Makes, replaces or (bytes.p == NULL) removes a table; name and bytes are copied.  With the
 * config_hash that it has, it keeps these bytes over a reload of the same configuration.
 * Errors: REM_EINVAL (the name is empty or too long), REM_ENOTFOUND (nothing to remove),
 * REM_ENOMEM. */
int rem_change_table(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                     struct rem_str bytes, uint64_t config_hash,
                     struct rem_err *err) REM_MUST_CHECK;

/* The same with bytes that become the change's own: aligned to 64, from aligned_alloc, and empty
 * afterwards; on failure they stay the caller's. */
int rem_change_table_take(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                          struct rem_str *bytes, uint64_t config_hash,
                          struct rem_err *err) REM_MUST_CHECK;

/* The table as the change would leave it.  Returns: borrowed until its next step, commit or free.
 * Errors: REM_ENOTFOUND. */
int rem_change_table_get(struct rem_change *change, enum rem_table_kind kind, struct rem_str name,
                         struct rem_table *out) REM_MUST_CHECK;

/* ---- what a change is about ---- */

enum rem_touched_kind {
    REM_TOUCHED_UPSTREAM = 0,
    REM_TOUCHED_TABLE,
};

struct rem_touched {
    enum rem_touched_kind kind;
    enum rem_table_kind table_kind; /* of a table */
    struct rem_str name;            /* borrowed from the change */
    bool existed, exists;           /* before it, and after it */
};

/* Goes over what the change's steps have altered, in the order in which they did; *cursor is 0 at
 * first.  Works after the commit as well, until the change is freed.  Returns: false at the end. */
bool rem_change_next(const struct rem_change *change, size_t *cursor, struct rem_touched *out);

/* An upstream as it was before the change, and as the change leaves it; also after the commit, but
 * not after a rem_writer_reclaim that follows it.  Texts are copied into `arena`.
 * Errors: REM_ENOTFOUND (there is none, or no step has named it), REM_ENOMEM. */
int rem_change_before(const struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                      struct rem_upstream_spec *out) REM_MUST_CHECK;
int rem_change_after(const struct rem_change *change, struct rem_str name, struct rem_arena *arena,
                     struct rem_upstream_spec *out) REM_MUST_CHECK;

/* The same for a table, without copying: borrowed from the change or the registry. */
int rem_change_table_before(const struct rem_change *change, enum rem_table_kind kind,
                            struct rem_str name, struct rem_table *out) REM_MUST_CHECK;
int rem_change_table_after(const struct rem_change *change, enum rem_table_kind kind,
                           struct rem_str name, struct rem_table *out) REM_MUST_CHECK;

/* Which servers a step may have altered, when all steps about the upstream were for single servers:
 * their ids, in no order, those of removed and of new ones included.
 * Returns: false when the upstream was replaced as a whole; compare all then. */
bool rem_change_ids(const struct rem_change *change, struct rem_str name, const uint32_t **out_ids,
                    size_t *out_count);

#define REM_REVISION_ANY UINT64_MAX

struct rem_commit {
    uint64_t revision;
    uint64_t epoch; /* for rem_writer_applied */
};

/* Would it be published, as far as memory goes?  The registry stays as it is, and so does the
 * change.  Errors: REM_EFULL, REM_ENOMEM. */
int rem_change_try(struct rem_change *change) REM_MUST_CHECK;

/* Publishes all steps at once.  Afterwards the change may only be freed.
 * Errors, all of which leave the registry as it was: REM_ECONFLICT (the revision is not
 * `expected`), REM_EFULL, REM_ENOMEM. */
int rem_change_commit(struct rem_change *change, uint64_t expected, struct rem_commit *out,
                      struct rem_err *err) REM_MUST_CHECK;

/* Is told of each commit that raises the revision: before anything is published, with the revision
 * to come, and when it is published or has failed. */
struct rem_writer_watch {
    void (*before)(void *data, struct rem_change *change, uint64_t revision);
    void (*after)(void *data, bool published);
    void *data;
};

/* NULL: nobody. */
void rem_writer_set_watch(struct rem_writer *writer, const struct rem_writer_watch *watch);

/* What a configuration says about the registry; all borrowed. */
struct rem_registry_conf {
    const struct rem_upstream_spec *upstreams;
    size_t upstream_count;
    const struct rem_table_spec *tables;
    size_t table_count;
    uint64_t generation;
};

/* Takes over the upstreams of a configuration: an upstream whose config_hash is unchanged keeps its
 * servers as they are now; a changed or new one becomes what the file says; one that is gone stays
 * while workers of older generations live (rem_writer_reclaim removes it); one made at run time
 * stays.  Tables likewise, with their bytes for servers.  One publish; the revision rises only if
 * an upstream or a table changed.  With the generation that was last reconciled, and nothing to do,
 * publishes nothing.  Errors: as rem_change_put and rem_change_commit. */
int rem_writer_reconcile(struct rem_writer *writer, const struct rem_registry_conf *conf,
                         struct rem_err *err) REM_MUST_CHECK;

/* Have all live workers left every turn that began before `epoch` was published? */
bool rem_writer_applied(const struct rem_writer *writer, uint64_t epoch);

/* Frees what nobody can see any more, buries zombies, takes back what dead workers held.  Call it
 * after commits, after a worker's death and from a timer while it returns true (some ms apart). */
bool rem_writer_reclaim(struct rem_writer *writer);

/* ---- reading back (the writer reads its own directory, no reader protocol) ---- */

struct rem_server_status {
    struct rem_server_spec spec;
    struct rem_str state; /* up, down, draining, unavail, checking, unhealthy, ejected */
    int64_t active;
    struct rem_shm_totals totals;
    const struct rem_code *codes; /* ascending, 200 included */
    size_t code_count;
    uint64_t header_avg, response_avg; /* sixteenths of a ms, over the workers; 0: not measured */
    uint32_t health;                   /* enum rem_shm_health, without the bit */
    uint32_t checks, check_fails, unhealthy;
    uint32_t last_passed; /* enum rem_shm_verdict */
    uint64_t checked_wall_ms;
    bool ejected;
    uint64_t ejected_until_ms; /* monotonic; with `ejected` */
    uint32_t ejections;
    uint64_t selected_ms;  /* monotonic, 0: never */
    uint64_t down_from_ms; /* monotonic, 0: it is not */
    uint64_t downtime_ms;
};

struct rem_upstream_status {
    struct rem_upstream_spec spec;     /* .servers is NULL; see .servers here */
    struct rem_server_status *servers; /* those of the set; behind them, in state "removed" and with
                                          an address for a spec, those that requests still hold */
    size_t server_count;
    size_t zombies;
    int64_t idle; /* pooled connections */
    int64_t requests, pending, retrying, connections, queued;
    int64_t ejected; /* servers */
    uint64_t no_live, retries, opened, reused;
    uint64_t retries_by[REM_RETRY_REASONS];
    uint64_t overflows[REM_OVERFLOWS];
    uint64_t budget_exhausted;
    struct rem_histogram request_ms, connect_ms;
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

/* By which a copy of a description knows that it is out of date. */
struct rem_upstream_uids {
    uint64_t upstream; /* another one when it was removed and made again */
    uint64_t set;      /* another one with every change */
};
void rem_writer_uids(const struct rem_writer *writer, size_t index, struct rem_upstream_uids *out);

/* Description, counters and states.  Texts borrow from the registry until the next commit or
 * reclaim.  Errors: REM_ENOMEM. */
int rem_writer_status(const struct rem_writer *writer, size_t index, uint64_t now_ms,
                      struct rem_arena *arena, struct rem_upstream_status *out) REM_MUST_CHECK;

/* The same, one server after the other, without memory for them all. */
struct rem_writer_walk {
    struct rem_upstream_status status; /* .servers is NULL; .totals grows with each server */
    const struct rem_writer *writer;
    const struct rem_shm_set *set;
    uint64_t now_ms;
    uint32_t next;
    struct rem_codes codes; /* of the server that was walked last */
};
void rem_writer_walk_start(struct rem_writer_walk *walk, const struct rem_writer *writer,
                           size_t index, uint64_t now_ms);

/* The next server of the set; *out is good until the one after it.  False: that was all. */
bool rem_writer_walk_next(struct rem_writer_walk *walk, struct rem_server_status *out);

/* One server's description, by its id; texts borrow from the registry until the next commit or
 * reclaim.  Errors: REM_ENOTFOUND. */
int rem_writer_server(const struct rem_writer *writer, size_t index, uint32_t id,
                      struct rem_server_spec *out) REM_MUST_CHECK;

/* The place of a server in the order shown.  Errors: REM_ENOTFOUND. */
int rem_writer_server_place(const struct rem_writer *writer, size_t index, uint32_t id,
                            size_t *out_place) REM_MUST_CHECK;

/* Tables, orphans not among them: how many, one by its number, one by its name; borrowed until the
 * next commit or reclaim.  Errors: REM_ENOTFOUND. */
size_t rem_writer_tables(const struct rem_writer *writer);
void rem_writer_table_at(const struct rem_writer *writer, size_t index, struct rem_table *out);
int rem_writer_table(const struct rem_writer *writer, enum rem_table_kind kind, struct rem_str name,
                     struct rem_table *out) REM_MUST_CHECK;

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
