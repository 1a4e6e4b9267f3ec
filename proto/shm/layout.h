/* SPDX-License-Identifier: Apache-2.0 */
/* layout.h - everything that lives in the shared region, and nothing else.
 *
 * Runs in:    agent writes sets, directory and allocator marks; workers write runtime slots and
 *             their worker slot; the master writes worker slots' state and process counters.
 * Lifecycle:  the region outlives every child and, with the same REM_SHM_LAYOUT, a binary
 *             upgrade.  Fixed-width types, offsets from the region's start, no pointers.
 * Immutable:  directory and sets, once the root reaches them.  Mutable parts are _Atomic, and
 *             each names its order and partner here:
 *               root        store release (writer) - load acquire (rem_reader_enter)
 *               epoch       store seq_cst (writer) - load acquire (rem_reader_enter)
 *               seen        store relaxed + fence seq_cst, then load root (reader) - fence seq_cst
 *                           after the epoch store, then load acquire (writer); going offline is a
 *                           store release
 *               active      add seq_cst at pick, sub release at done (workers) - load acquire
 *                           (writer, so that a zombie's counters are complete at zero)
 *               worker.state  seq_cst everywhere: master and agent each store their own claim on a
 *                           line and then look for the other's
 *               health      the bit EJECTED: or release (who ejects), after the store of until
 *                           when - load acquire (who finds it set)
 *               stats_end   store release (master) - load acquire (all)
 *               counters    relaxed: each stands alone  */
#ifndef REM_SHM_LAYOUT_H
#define REM_SHM_LAYOUT_H

#include "proto/base/attr.h"
#include "proto/shm/limits.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#define REM_SHM_MAGIC  0x0061726f6d657272ULL
#define REM_SHM_LAYOUT 4u /* raise with every change in this file */

enum {
    REM_SHM_UNIT = 64,       /* what the allocator counts in */
    REM_SHM_WORKERS = 256,   /* worker slots */
    REM_SHM_LINES_MIN = 2,   /* per runtime slot */
    REM_SHM_LINES_MAX = 256, /* no more than there are worker slots */
    REM_SHM_NAME = 128,      /* a server address's text, NUL included */
    REM_SHM_SOCKADDR = 28,   /* inline socket address: IPv4 and IPv6 */
    REM_SHM_CLASSES = 5,     /* 1xx..5xx */
    REM_SHM_RESOLVERS = 32,  /* status zones of resolvers */
    REM_SHM_RESOLVER_NAME = 56,
    REM_SHM_RESOLVER_COUNTERS = 16, /* of enum rem_dns_counter */
    REM_SHM_CODES = 8,              /* status codes counted one by one, per struct rem_shm_codes */
    REM_SHM_BUCKETS = 13,           /* of a histogram, the one without a bound included */
};

#define REM_SHM_NONE 0xffffffffu

/* Bytes of text inside a set, from the set's start. */
struct rem_shm_text {
    uint32_t off;
    uint32_t len;
};

/* Sums that no longer change: what removed servers of an upstream did. */
struct rem_shm_totals {
    uint64_t requests, sent, received;
    uint64_t responses[REM_SHM_CLASSES]; /* [0] is 1xx */
    uint64_t fails, unavail;
    uint64_t header_ms, response_ms; /* summed */
};

/* ---- what several kinds of lines are made of ---- */

/* Durations: [i] counts those up to rem_histogram_bounds[i] ms that no bucket before it has, the
 * last one all others. */
struct rem_shm_histogram {
    _Atomic uint64_t buckets[REM_SHM_BUCKETS];
    _Atomic uint64_t sum_ms;
};

/* Responses by status code, each entry code << 48 | count; 0: free.  200 is never stored: it is
 * what remains of all 2xx.  A ninth code counts in its class alone. */
struct rem_shm_codes {
    alignas(64) _Atomic uint64_t entries[REM_SHM_CODES];
};

/* ---- runtime slots: outlive sets ---- */

/* What one worker line counts for a server.  The first cache line holds what every request
 * touches. */
struct rem_shm_line {
    alignas(64) _Atomic int32_t active; /* requests that hold a pin */
    _Atomic uint32_t fails;
    _Atomic uint64_t requests;
    _Atomic uint64_t selected_ms; /* monotonic, of the last pick */
    _Atomic uint64_t sent, received;
    _Atomic uint64_t responses[REM_SHM_CLASSES]; /* see rem_shm_class */
    _Atomic uint64_t unavail;
    _Atomic uint64_t header_ms, response_ms;
    /* Of upstreams that balance by time (REM_SET_TIMED): moving averages of answered requests, in
     * sixteenths of a millisecond, and the start times of open ones, summed. */
    _Atomic uint32_t header_avg, response_avg;
    _Atomic uint64_t open_since_ms;
    _Atomic uint64_t broken; /* tries that failed without a response, with REM_SET_OUTLIER */
};

/* 2xx, 3xx and 4xx lie in the first cache line.  `class` is 1..5. */
static inline unsigned rem_shm_class(unsigned status_class)
{
    return (status_class + 3) % REM_SHM_CLASSES;
}

/* A server, as long as anybody knows it.  Followed by `lines` struct rem_shm_line, and these by as
 * many struct rem_shm_codes. */
struct rem_shm_server_slot {
    alignas(64) uint64_t uid;      /* never reused in the region's life; 0: not a slot */
    _Atomic uint32_t fails;        /* failures that count towards max_fails */
    _Atomic uint32_t health;       /* enum rem_shm_health, and REM_HEALTH_EJECTED */
    _Atomic uint64_t failed_ms;    /* when the last failure was */
    _Atomic uint64_t checked_ms;   /* when the failure window was last opened */
    _Atomic uint64_t slow_from_ms; /* when the server last came back; 0: long ago */
    _Atomic uint64_t down_from_ms; /* when it became unavailable; 0: it is not */
    _Atomic uint64_t downtime_ms;  /* past unavailability, summed */
    uint32_t name_len;
    uint32_t reserved;
    /* Active checks: the agent counts. */
    alignas(64) _Atomic uint32_t checks;
    _Atomic uint32_t check_fails; /* checks that failed */
    _Atomic uint32_t unhealthy;   /* times it became so */
    _Atomic uint32_t last_passed; /* enum rem_shm_verdict */
    _Atomic uint64_t checked_wall_ms;
    /* Outlier detection: workers count and eject, see rem_server_eject. */
    _Atomic uint32_t consecutive_5xx;
    _Atomic uint32_t consecutive_gateway;
    _Atomic uint64_t ejected_until_ms; /* monotonic; with REM_HEALTH_EJECTED */
    _Atomic uint32_t ejections;        /* in all */
    _Atomic uint32_t ejection_level;   /* the next one lasts so many times as long */
    uint64_t reserved2[2];
    char name[REM_SHM_NAME]; /* the address's text; identity within an upstream */
};

enum rem_shm_health {
    REM_HEALTH_UNKNOWN = 0, /* nobody checks */
    REM_HEALTH_UP,
    REM_HEALTH_CHECKING,
    REM_HEALTH_DOWN,
    REM_HEALTH_MASK = 0xff,
    REM_HEALTH_EJECTED = 1 << 8, /* a bit beside them */
};

enum rem_shm_verdict {
    REM_VERDICT_NONE = 0,
    REM_VERDICT_PASSED,
    REM_VERDICT_FAILED,
};

/* Why a request went to another server. */
enum rem_retry_reason {
    REM_RETRY_ERROR = 0, /* connecting, sending or receiving failed */
    REM_RETRY_TIMEOUT,
    REM_RETRY_INVALID, /* not a response */
    REM_RETRY_STATUS,  /* a status that proxy_next_upstream names */
    REM_RETRY_REASONS
};

/* Which limit a request met. */
enum rem_overflow {
    REM_OVERFLOW_CONNECTIONS = 0,
    REM_OVERFLOW_PENDING,
    REM_OVERFLOW_REQUESTS,
    REM_OVERFLOW_RETRIES,
    REM_OVERFLOW_QUEUE,
    REM_OVERFLOWS
};

/* Gauges may be off by what workers do at the same moment, and are zeroed when a worker dies. */
struct rem_shm_upstream_line {
    alignas(64) _Atomic int32_t idle; /* pooled connections */
    _Atomic int32_t requests;         /* gauge: under way */
    _Atomic int32_t pending;          /* gauge: waiting for a connection to be made, or queued */
    _Atomic int32_t retrying;         /* gauge: under way, and not at their first server */
    _Atomic int32_t connections;      /* gauge: open, pooled ones included */
    _Atomic int32_t queued;           /* gauge: waiting for a server (`queue`) */
    _Atomic uint64_t no_live;         /* picks that found no server */
    _Atomic uint64_t retries;
    _Atomic uint64_t opened, reused; /* connections */
    uint64_t reserved2;
    alignas(64) struct rem_shm_histogram request_ms;
    _Atomic uint64_t retries_by[REM_RETRY_REASONS];
    _Atomic uint64_t overflows[REM_OVERFLOWS];
    _Atomic uint64_t budget_exhausted; /* retries the budget did not allow */
    struct rem_shm_histogram connect_ms;
    uint64_t reserved3[2];
};

/* An upstream's slot.  Followed by `lines` struct rem_shm_upstream_line. */
struct rem_shm_upstream_slot {
    alignas(64) uint64_t uid;
    _Atomic int32_t ejected; /* servers with REM_HEALTH_EJECTED */
    uint32_t reserved;
    uint64_t reserved2[6];
};

/* ---- immutable sets ---- */

struct rem_shm_server {
    alignas(64) uint64_t slot; /* offset of the struct rem_shm_server_slot */
    uint64_t uid;              /* the slot's */
    uint32_t id;
    uint32_t max_conns;
    uint32_t max_fails;
    uint32_t fail_timeout_ms;
    uint32_t flags; /* enum rem_server_flag of spec.h */
    uint16_t addr_len;
    uint8_t addr_inline; /* else `addr_text` is a struct sockaddr_un's bytes */
    uint8_t reserved;
    uint8_t addr[REM_SHM_SOCKADDR]; /* an IPv4 address ends with the cache line */
    uint32_t slow_start_ms;
    uint32_t weight;
    struct rem_shm_text addr_text;
    struct rem_shm_text server, name, route, fail_timeout_text, slow_start_text;
    uint32_t parent; /* 1 + number of the `resolve` server it was made from; 0: none */
};

/* An order in which servers take turns. */
struct rem_shm_schedule {
    uint32_t length;  /* turns in a round; 0: nobody */
    uint32_t off;     /* of a uint32_t array of server indices in the set; 0: turn i is server i */
    uint32_t servers; /* different servers in it */
    uint32_t reserved;
};

enum rem_shm_set_flag {
    REM_SET_SINGLE = 1 << 0,  /* one server in all: never marked unavailable */
    REM_SET_TIMED = 1 << 1,   /* averages of response times are kept */
    REM_SET_LIMITED = 1 << 2, /* `limits` says something */
    REM_SET_OUTLIER = 1 << 3, /* so does `outlier` */
};

struct rem_shm_set {
    alignas(64) uint64_t size; /* of the whole allocation */
    uint64_t upstream_slot;    /* offset */
    uint64_t upstream_uid;
    uint64_t uid; /* the set's own; never reused in the region's life */
    struct rem_shm_schedule primary;
    uint32_t count; /* servers */
    uint32_t servers_off;
    struct rem_shm_schedule backup;
    uint32_t set_flags; /* enum rem_shm_set_flag */
    uint32_t flags;     /* enum rem_upstream_flag of spec.h */
    uint32_t next_id;
    uint32_t method;
    uint64_t config_hash;
    uint64_t zone_size;
    struct rem_shm_text name, zone;
    uint32_t keepalive_connections, keepalive_requests;
    uint32_t keepalive_timeout_ms, keepalive_time_ms;
    uint32_t method_flags;            /* enum rem_method_flag of spec.h */
    uint32_t sticky;                  /* enum rem_sticky_kind of spec.h */
    uint32_t shares_off;              /* see rem_shm_share_of; 0: all weights are 1 */
    uint32_t shares;                  /* sum of all weights */
    uint32_t ring_off, ring_length;   /* struct rem_shm_point, hashes ascending */
    uint32_t routes_off, routes_mask; /* uint32_t[mask + 1]: server index or REM_SHM_NONE */
    uint32_t sticky_ids_off;          /* REM_STICKY_ID bytes per server; 0: none */
    struct rem_limits_spec limits;
    struct rem_outlier_spec outlier;
    uint32_t texts_off;  /* all texts lie from here on, and nothing else */
    uint32_t texts_dead; /* bytes of them that nothing names any more */
    uint32_t reserved[6];
};

/* ---- immutable tables: what maps and splits of a configuration look things up in ---- */

/* Followed by the name, and by the bytes at `bytes_off`. */
struct rem_shm_table {
    alignas(64) uint64_t size; /* of the whole allocation */
    uint64_t uid;              /* never reused in the region's life */
    uint32_t kind;             /* enum rem_table_kind of table.h */
    uint32_t name_len;
    uint64_t bytes_off; /* from the table's start, a multiple of 64 */
    uint64_t bytes_len;
    uint64_t reserved[3];
};

/* A point on the ring of consistent hashing. */
struct rem_shm_point {
    uint32_t hash;
    uint32_t server;
};

/* ---- the immutable directory ---- */

struct rem_shm_dir_entry {
    uint64_t set; /* offset */
    uint64_t name_hash;
    struct rem_shm_totals folded; /* of servers that are gone for good */
};

enum rem_shm_table_flag {
    REM_TABLE_DECLARED = 1 << 0, /* a configuration names it */
    REM_TABLE_ORPHAN = 1 << 1,   /* the present one does not; kept for older workers */
};

struct rem_shm_dir_table {
    uint64_t table; /* offset */
    uint64_t name_hash;
    uint64_t config_hash;
    uint32_t kind;
    uint32_t flags; /* enum rem_shm_table_flag */
};

/* A removed server that requests may still hold. */
struct rem_shm_zombie {
    uint64_t slot;
    uint64_t epoch;    /* of the publish that removed it */
    uint32_t upstream; /* index of the directory's entry; REM_SHM_NONE: gone too */
    uint32_t reserved;
};

struct rem_shm_dir {
    alignas(64) uint64_t size;
    uint64_t epoch;    /* of the publish that brought it */
    uint64_t revision; /* changes so far; what users see */
    uint32_t count;
    uint32_t mask;      /* table size - 1, a power of two above `count` */
    uint32_t table_off; /* uint32_t[mask + 1]: index or REM_SHM_NONE */
    uint32_t entries_off;
    uint32_t zombie_count;
    uint32_t zombies_off;
    uint64_t config_generation; /* of the configuration it was last reconciled with */
    uint32_t table_count;       /* struct rem_shm_dir_table at tables_off */
    uint32_t tables_off;
};

/* ---- processes ---- */

enum rem_shm_worker_state {
    REM_WORKER_FREE = 0,
    REM_WORKER_LIVE,
    REM_WORKER_DEAD,     /* its process is gone, its active counts are not */
    REM_WORKER_CLEANING, /* the agent zeroes the counts of its line right now */
};

struct rem_shm_worker {
    /* Written by the worker in every busy turn. */
    alignas(64) _Atomic uint64_t seen; /* epoch it went online in; 0: offline */
    _Atomic uint64_t revision;         /* of the directory it saw last */
    /* Written by master and agent. */
    alignas(64) _Atomic uint32_t state; /* enum rem_shm_worker_state */
    _Atomic int32_t pid;
    _Atomic uint64_t incarnation;       /* raised with every claim of the slot */
    _Atomic uint64_t config_generation; /* that its configuration is of */
    _Atomic uint64_t started_ms;
    /* Written by the worker alone; the totals survive it, the gauges are zeroed. */
    alignas(64) _Atomic int64_t conn_active;
    _Atomic int64_t conn_reading, conn_writing, conn_waiting;
    _Atomic int64_t requests_current;
    _Atomic uint64_t conn_accepted, conn_handled, conn_rejected;
    _Atomic uint64_t requests;
    _Atomic uint64_t responses[REM_SHM_CLASSES]; /* [0] is 1xx */
    _Atomic uint64_t received, sent;
};

enum rem_shm_resolver_state {
    REM_RESOLVER_FREE = 0,
    REM_RESOLVER_NAMING, /* somebody writes the name; lost if it dies meanwhile */
    REM_RESOLVER_USED,   /* for good */
};

/* What resolvers of one status zone count, in whatever process: questions are rare, so that all may
 * add to the same lines.  Two slots may bear one name, when two processes came at once; they are
 * summed. */
struct rem_shm_resolver {
    alignas(64) _Atomic uint32_t state; /* store release when named - load acquire */
    uint32_t name_len;
    char name[REM_SHM_RESOLVER_NAME];
    _Atomic uint64_t counters[REM_SHM_RESOLVER_COUNTERS]; /* relaxed */
};

struct rem_shm_header {
    alignas(64) uint64_t magic;
    uint32_t layout;
    uint32_t header_size;
    uint64_t size;                     /* of the region, reserved */
    uint32_t lines;                    /* per runtime slot, a power of two */
    uint32_t sizes;                    /* a mix of the sizes of the structs here */
    uint64_t data;                     /* offset of the first byte the allocator may give out */
    uint64_t stats;                    /* offset of the statistics, which end at `data` */
    _Atomic uint64_t stats_end;        /* of those in use; release (master) - acquire */
    alignas(64) _Atomic uint64_t root; /* offset of the directory; 0: none yet */
    _Atomic uint64_t epoch;            /* root stores so far, 1 from the start */
    _Atomic uint64_t recoveries;       /* raised when a failed server is found well again */
    alignas(64) _Atomic uint64_t high_water; /* nobody can see anything at or above it */
    _Atomic uint64_t next_uid;               /* relaxed: one writer */
    _Atomic uint64_t space_requests;         /* relaxed: likewise */
    _Atomic uint64_t space_failures;
    /* Written by the master alone. */
    alignas(64) _Atomic uint64_t worker_respawns;
    _Atomic uint64_t agent_respawns;
    _Atomic uint64_t reloads, reloads_failed;
    _Atomic uint64_t config_generation;
    _Atomic int64_t started_sec, reloaded_sec; /* wall clock */
    alignas(64) struct rem_shm_worker workers[REM_SHM_WORKERS];
    struct rem_shm_resolver resolvers[REM_SHM_RESOLVERS];
};

_Static_assert(sizeof(struct rem_shm_line) == 128, "layout");
_Static_assert(sizeof(struct rem_shm_server_slot) == 256, "layout");
_Static_assert(sizeof(struct rem_shm_upstream_line) == 384, "layout");
_Static_assert(sizeof(struct rem_shm_upstream_slot) == 64, "layout");
_Static_assert(sizeof(struct rem_shm_server) == 128, "layout");
_Static_assert(sizeof(struct rem_shm_set) == 320, "layout");
_Static_assert(sizeof(struct rem_shm_dir) == 64, "layout");
_Static_assert(sizeof(struct rem_shm_dir_entry) == 112, "layout");
_Static_assert(sizeof(struct rem_shm_zombie) == 24, "layout");
_Static_assert(sizeof(struct rem_shm_dir_table) == 32, "layout");
_Static_assert(sizeof(struct rem_shm_table) == 64, "layout");
_Static_assert(sizeof(struct rem_shm_codes) == 64, "layout");
_Static_assert(sizeof(struct rem_shm_worker) == 256, "layout");
_Static_assert(sizeof(struct rem_shm_resolver) == 192, "layout");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "lock-free atomics");

#endif
