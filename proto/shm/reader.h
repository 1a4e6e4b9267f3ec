/* SPDX-License-Identifier: Apache-2.0 */
/* reader.h - the registry as a worker sees it: sets to pick from, servers to hold on to.
 *
 * Runs in:    workers.  No locks, no reference counts.
 * Lifecycle:  init once per worker; per turn of the event loop rem_reader_enter (as often as one
 *             likes, first use pays) -> find, pick, pin -> rem_reader_quiesce at the turn's end.
 * Ownership:  sets and servers are borrowed until the next quiesce.  What a request needs later is
 *             in its struct rem_pin, which stays good until rem_pin_done.
 * Not here:   the order in which servers are tried (proxy/upstream/balance).  */
#ifndef REM_SHM_READER_H
#define REM_SHM_READER_H

#include "proto/base/addr.h"
#include "proto/base/str.h"
#include "proto/shm/region.h"
#include "proto/shm/spec.h"
#include "proto/shm/table.h"

struct rem_reader {
    struct rem_shm_header *header;
    struct rem_shm_worker *worker; /* own slot */
    const struct rem_shm_dir *dir; /* borrowed until quiesce; NULL: offline, or no directory yet */
    bool online;
    uint32_t line;  /* index of the lines this worker counts on */
    uint32_t lines; /* per runtime slot */
};

/* `slot` is the one the master claimed for this worker.  The region outlives the reader. */
void rem_reader_init(struct rem_reader *reader, const struct rem_region *region, unsigned slot);

/* The slow half of rem_reader_enter. */
void rem_reader_go_online(struct rem_reader *reader);

/* Makes the newest directory readable until quiesce. */
static inline void rem_reader_enter(struct rem_reader *reader)
{
    if (!reader->online)
        rem_reader_go_online(reader);
}

/* No set or server is used from here on; what is pinned stays.  Call at the end of every turn and
 * before the process exits; costs nothing when nothing was read. */
static inline void rem_reader_quiesce(struct rem_reader *reader)
{
    if (!reader->online)
        return;
    reader->online = false;
    reader->dir = NULL;
    /* release: all reads of this turn end before; pairs with the writer's acquire load of seen. */
    atomic_store_explicit(&reader->worker->seen, 0, memory_order_release);
}

/* A worker's private memory of one upstream: one per upstream name and worker, shared by all who
 * pick from it. */
struct rem_upstream_ref {
    struct rem_str name; /* borrowed; outlives the ref */
    uint64_t name_hash;
    uint64_t epoch;                     /* of the directory that `set` is of; 0: never looked */
    uint64_t set_uid;                   /* of the set looked at last; 0: none */
    const struct rem_shm_set *set;      /* valid in that epoch's directory only */
    struct rem_shm_upstream_line *line; /* own line of the upstream's slot, as valid as `set` */
    struct rem_rr_side {
        uint32_t at;              /* next turn */
        uint32_t retry_at;        /* the same, for requests that have been to a server */
        uint32_t skip_size;       /* entries of `skip`; 0: none */
        uint32_t *skip;           /* owned; [i]: turns from i on that are known to be no use */
        uint64_t skip_until_ms;   /* `skip` is to be forgotten then */
        uint64_t dead_until_ms;   /* nobody is live before that */
        uint64_t dead_recoveries; /* header's count when that was found */
    } side[2];                    /* primaries, backups */
    uint32_t dither;              /* state of the slow start's dice */
};

void rem_upstream_ref_init(struct rem_upstream_ref *ref, struct rem_str name);
void rem_upstream_ref_fini(struct rem_upstream_ref *ref);

/* The upstream's current set, or NULL when there is no such upstream.  Enters by itself.
 * Returns: borrowed until quiesce. */
const struct rem_shm_set *rem_reader_find(struct rem_reader *reader, struct rem_upstream_ref *ref);

static inline struct rem_str rem_set_text(const struct rem_shm_set *set, struct rem_shm_text text)
{
    return (struct rem_str){(const char *)set + text.off, text.len};
}

static inline const struct rem_shm_server *rem_set_server(const struct rem_shm_set *set,
                                                          uint32_t index)
{
    return (const struct rem_shm_server *)(const void *)((const char *)set + set->servers_off) +
           index;
}

/* The address a server is reached at. */
static inline void rem_set_addr(const struct rem_shm_set *set, const struct rem_shm_server *server,
                                struct rem_addr *out)
{
    out->len = server->addr_len;
    if (REM_LIKELY(server->addr_inline))
        memcpy(&out->u, server->addr, server->addr_len);
    else
        memcpy(&out->u, (const char *)set + server->addr_text.off, server->addr_len);
}

/* Whose turn it is; `turn` < schedule->length. */
static inline uint32_t rem_set_turn(const struct rem_shm_set *set,
                                    const struct rem_shm_schedule *schedule, uint32_t turn)
{
    const uint32_t *order = (const uint32_t *)(const void *)((const char *)set + schedule->off);

    return schedule->off != 0 ? order[turn] : turn;
}

static inline struct rem_shm_server_slot *rem_reader_slot(const struct rem_reader *reader,
                                                          const struct rem_shm_server *server)
{
    return (struct rem_shm_server_slot *)(void *)((char *)reader->header + server->slot);
}

static inline struct rem_shm_line *rem_slot_lines(struct rem_shm_server_slot *slot)
{
    return (struct rem_shm_line *)(void *)(slot + 1);
}

/* The codes that are counted beside a line; behind the last of `lines` lines. */
static inline struct rem_shm_codes *rem_slot_codes(struct rem_shm_server_slot *slot, uint32_t lines)
{
    return (struct rem_shm_codes *)(void *)(rem_slot_lines(slot) + lines);
}

/* The weights of the servers before `index`, and its own, summed. */
static inline uint32_t rem_shm_share_end(const struct rem_shm_set *set, uint32_t index)
{
    const uint32_t *ends = (const uint32_t *)(const void *)((const char *)set + set->shares_off);

    return set->shares_off != 0 ? ends[index] : index + 1;
}

/* Whose share `at` < set->shares falls into.  O(log n). */
uint32_t rem_shm_share_of(const struct rem_shm_set *set, uint32_t at);

static inline const struct rem_shm_point *rem_set_ring(const struct rem_shm_set *set)
{
    return (const struct rem_shm_point *)(const void *)((const char *)set + set->ring_off);
}

/* What identifies a server to a client that stays with it; empty: nothing. */
static inline struct rem_str rem_set_sticky_id(const struct rem_shm_set *set, uint32_t index)
{
    const struct rem_shm_server *server = rem_set_server(set, index);

    if (server->route.len != 0 || set->sticky_ids_off == 0)
        return rem_set_text(set, server->route);
    return (struct rem_str){(const char *)set + set->sticky_ids_off + (size_t)index * REM_STICKY_ID,
                            REM_STICKY_ID};
}

/* The next server with a sticky id of that hash (rem_hash): *place is 0 at first and belongs to the
 * function then.
 * Returns: REM_SHM_NONE when there is no other.  O(1) where few share an id. */
uint32_t rem_set_route(const struct rem_shm_set *set, uint64_t hash, uint32_t *place);

/* May a request go to the server, as far as failures and health say?  `*retry_ms` is set to when it
 * may again when it may not (UINT64_MAX: nobody knows). */
bool rem_server_available(const struct rem_shm_set *set, const struct rem_shm_server *server,
                          struct rem_shm_server_slot *slot, uint64_t now_ms, uint64_t *retry_ms);

/* What a request keeps of the server it was given.  slot == NULL: nothing. */
struct rem_pin {
    struct rem_shm_server_slot *slot; /* kept alive by the pin; its name may be read */
    struct rem_shm_line *line;
    struct rem_shm_header *header;
    uint64_t uid;
    uint64_t since_ms; /* when it was taken */
    bool rested;       /* this worker had not asked the server for long: averages begin anew */
    uint32_t id;
    uint32_t max_conns, max_fails, fail_timeout_ms, slow_start_ms;
    uint32_t server_flags; /* enum rem_server_flag */
    uint32_t set_flags;    /* enum rem_shm_set_flag */
    struct rem_addr addr;
};

/* Pins server `server` of `set` for a request: copies what it needs and counts it as active.
 * Errors: REM_EBUSY (max_conns reached, or another worker sends the probe; nothing pinned). */
int rem_pin_take(struct rem_reader *reader, const struct rem_shm_set *set,
                 const struct rem_shm_server *server, uint64_t now_ms,
                 struct rem_pin *pin) REM_MUST_CHECK;

enum rem_outcome {
    REM_OUTCOME_NEUTRAL = 0, /* neither: the client went away, a stale pooled connection */
    REM_OUTCOME_OK,
    REM_OUTCOME_FAIL, /* counts towards max_fails */
};

/* What the exchange with the server amounted to. */
struct rem_pin_report {
    enum rem_outcome outcome;
    unsigned status; /* of the response, 0: none */
    uint64_t sent, received;
    uint32_t header_ms, response_ms;
};

/* Counts and lets go.  The pin is empty afterwards; an empty one is ignored. */
void rem_pin_done(struct rem_pin *pin, const struct rem_pin_report *report, uint64_t now_ms);

/* The address's text, until rem_pin_done. */
static inline struct rem_str rem_pin_name(const struct rem_pin *pin)
{
    return (struct rem_str){pin->slot->name, pin->slot->name_len};
}

/* An upstream's slot; find first, in the same turn. */
static inline struct rem_shm_upstream_slot *
rem_reader_upstream_slot(const struct rem_reader *reader, const struct rem_shm_set *set)
{
    return (struct rem_shm_upstream_slot *)(void *)((char *)reader->header + set->upstream_slot);
}

/* Whether that ejection holds: an upstream without outlier detection has none, be it that it had
 * some a moment ago. */
static inline bool rem_ejection_holds(const struct rem_shm_set *set, uint64_t until_ms,
                                      uint64_t now_ms)
{
    return now_ms < until_ms && set->set_flags & REM_SET_OUTLIER;
}

/* Puts a server of the upstream aside until `until_ms`, as an outlier; any process.  Who finds it
 * ejected after that time lets it in again (rem_server_available).
 * Returns: false if it is ejected already, or `most` of the upstream's servers are. */
bool rem_server_eject(struct rem_shm_upstream_slot *upstream, struct rem_shm_server_slot *slot,
                      int32_t most, uint64_t until_ms);

/* Ends an ejection, at its time or before; slow_start begins.
 * Returns: false if the server is not ejected. */
bool rem_server_uneject(struct rem_shm_upstream_slot *upstream, struct rem_shm_server_slot *slot,
                        uint64_t now_ms);

/* ---- tables ---- */

/* A worker's private memory of one table. */
struct rem_table_ref {
    enum rem_table_kind kind;
    struct rem_str name; /* borrowed; outlives the ref */
    uint64_t hash;
    uint64_t epoch; /* of the directory that `table` is of; 0: never looked */
    uint32_t at;    /* where in a directory it was last found */
    const struct rem_shm_table *table;
};

void rem_table_ref_init(struct rem_table_ref *ref, enum rem_table_kind kind, struct rem_str name);

/* The table's bytes, aligned to 64, or NULL when there is no such table.  Enters by itself.  O(1),
 * no lock.  Returns: borrowed until quiesce. */
const void *rem_reader_table(struct rem_reader *reader, struct rem_table_ref *ref, size_t *size);

/* Counts on the upstream: find first, in the same turn; relaxed, see layout.h.  `idle` is a gauge:
 * add and remove only while `uid` (rem_shm_set.upstream_uid) is still the one it was added to. */
void rem_upstream_count_idle(struct rem_reader *reader, struct rem_upstream_ref *ref, uint64_t uid,
                             int n);

static inline void rem_upstream_count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

#endif
