/* SPDX-License-Identifier: Apache-2.0 */
/* pool.h - a worker's connections to servers, and the idle ones among them.
 *
 * Runs in:    workers.
 * Lookup:     idle connections hang in a hash table by server (the registry's slot uid, never
 *             reused): found in O(1), the one used last first.  Each upstream has its own list by
 *             age of idleness, bounded by `keepalive N`.
 * Idle:       a connection that becomes readable or closed is closed at once; so is one whose
 *             keepalive_timeout is over.  A removed server is never asked for, so its connections
 *             age out.
 * Not here:   when a connection may be reused at all (upstream.c).  */
#ifndef REM_UPSTREAM_POOL_H
#define REM_UPSTREAM_POOL_H

#include "proxy/http/request.h"
#include "proxy/upstream/upstream.h"

enum { REM_UPSTREAM_CONN_MAGIC = 0x75636f6e, REM_POOL_NAMES = 256 };

/* A worker's state of one upstream. */
struct rem_upstream_group {
    struct rem_upstream_group *next; /* of the same hash */
    char *name;                      /* owned; NULL: borrowed from the configuration */
    const struct rem_upstream *conf; /* NULL: only the registry has it */
    struct rem_upstream_ref ref;
    struct rem_list idle; /* struct rem_upstream_conn.lru, least recently used first */
    uint32_t idle_count;
    struct rem_upstream_worker *owner;
    struct rem_list queue; /* exchanges that wait for a server; see queue.h */
    uint32_t queue_count;
    struct rem_timer queue_timer;
    struct rem_post queue_wake;
};

/* What a worker has one of. */
struct rem_upstream_worker {
    struct rem_worker *worker;
    struct rem_list *buckets; /* idle connections by server: leaders' `chain` */
    uint32_t bucket_count;    /* a power of two */
    uint32_t idle_count;
    uint32_t reclaim_at;                    /* where rem_pool_reclaim looks next */
    struct rem_upstream_group **configured; /* by rem_upstream.index; NULL: not asked for yet */
    uint32_t configured_count;
    struct rem_upstream_group *named[REM_POOL_NAMES];
    struct rem_block_pool blocks; /* of REM_RELAY_BIG */
    struct rem_block_pool conns;
};

struct rem_upstream_conn {
    uint32_t magic;
    struct rem_conn conn;
    struct rem_upstream_exchange *exchange; /* NULL: idle */
    struct rem_upstream_worker *owner;
    struct rem_upstream_group *group;   /* where it is idle */
    uint64_t key;                       /* of the server */
    uint64_t idle_uid;                  /* the upstream it is counted as idle on */
    struct rem_upstream_group *counted; /* where it is counted as open; NULL: nowhere */
    uint64_t counted_uid;
    uint64_t opened_ms;
    uint32_t requests;
    bool reused;
    bool connected;
    bool closed;
    struct rem_list lru;      /* on group->idle */
    struct rem_list chain;    /* of the hash table; only the leader of its siblings is there */
    struct rem_list siblings; /* idle ones of the same server */
    bool leader;
    struct rem_post free;
};

/* The group of an upstream of the configuration; made when first asked for.  NULL without memory.
 */
struct rem_upstream_group *rem_pool_group(struct rem_upstream_worker *upstreams,
                                          const struct rem_upstream *upstream);

/* The same for an upstream that only the registry has.  NULL: not there either, or no memory. */
struct rem_upstream_group *rem_pool_group_named(struct rem_upstream_worker *upstreams,
                                                struct rem_str name);

/* An idle connection to the server `key`, no longer idle; NULL: none. */
struct rem_upstream_conn *rem_pool_get(struct rem_upstream_worker *upstreams, uint64_t key);

/* Fetches into the cache what rem_pool_get will touch: soon for `next`, later for `later` (0:
 * nobody). Where thousands of servers take turns, each one's connection has long left the cache. */
void rem_pool_prefetch(struct rem_upstream_worker *upstreams, uint64_t next, uint64_t later);

/* Starts connecting, from `local` if that is not NULL.  conn->connected says whether that is done
 * already.  Where descriptors or worker_connections have run out, an idle connection makes room.
 * Errors: REM_EBUSY (worker_connections), REM_EIO (errno), REM_EACCES (errno: not from there),
 * REM_EFULL (errno: no socket is to be had), REM_ENOMEM. */
int rem_pool_open(struct rem_upstream_worker *upstreams, const struct rem_addr *addr,
                  const struct rem_upstream_local *local, uint64_t key, bool keepalive,
                  struct rem_upstream_conn **out) REM_MUST_CHECK;

/* Makes a connection idle, or closes it if the limits say so.  Takes: *conn. */
void rem_pool_put(struct rem_upstream_conn **conn, struct rem_upstream_group *group,
                  const struct rem_keepalive_spec *limits, uint64_t upstream_uid);

/* Closes the group's connection that has been idle for longest.  Returns: false if there is none.
 */
bool rem_pool_evict(struct rem_upstream_group *group);

/* Closes up to `n` idle connections, of whichever upstream.  Returns: how many. */
uint32_t rem_pool_reclaim(struct rem_upstream_worker *upstreams, uint32_t n);

/* Closes a connection that is not idle.  Takes: *conn. */
void rem_pool_close(struct rem_upstream_conn **conn);

/* upstream.c: events of a connection that is in use. */
void rem_upstream_on_conn(struct rem_conn *conn);
void rem_upstream_on_timer(struct rem_timer *timer);

#endif
