/* SPDX-License-Identifier: Apache-2.0 */
/* stat.h - named groups of counters in the region, a line per worker: what status zones of servers
 * and locations, listeners and limits count.
 *
 * Runs in:    declared while a configuration is read; the master opens them before it forks;
 *             workers count on their own line; the agent sums the lines.
 * Lifecycle:  made when a kind and name is first opened, found again by every later configuration
 *             that has it, never freed: counters survive reloads and the agent.
 * Atomics:    counters relaxed, each stands alone; a line is (outside of a reload) written by one
 *             worker alone.  Gauges are zeroed by the agent when the line's worker has died.
 * Crash:      a record counts once header->stats_end lies behind it.  */
#ifndef REM_SHM_STAT_H
#define REM_SHM_STAT_H

#include "proto/base/arena.h"
#include "proto/base/err.h"
#include "proto/base/str.h"
#include "proto/shm/codes.h"
#include "proto/shm/layout.h"

enum rem_stat_kind {
    REM_STAT_SERVER = 1, /* struct rem_stat_http_line */
    REM_STAT_LOCATION,   /* the same */
    REM_STAT_LISTENER,   /* struct rem_stat_listener_line */
    REM_STAT_LIMIT_REQ,  /* struct rem_stat_limit_line */
    REM_STAT_LIMIT_CONN, /* the same */
    REM_STAT_CACHE,      /* reserved */
    REM_STAT_UNNAMED,    /* as SERVER: all servers without a zone, one group */
    REM_STAT_ADMIN,      /* one struct rem_stat_admin (stat_admin.h) instead of lines */
    REM_STAT_KINDS
};

enum { REM_STAT_NAME = 128, REM_STAT_CODE_LINES = 2 };

/* A group, in the region.  Followed by `lines` lines of `line_size` bytes. */
struct rem_stat {
    alignas(64) uint64_t size; /* of all of it */
    uint32_t kind;             /* enum rem_stat_kind */
    uint32_t line_size;        /* a multiple of 64 */
    uint32_t line_mask;        /* lines - 1 */
    uint32_t name_len;
    _Atomic uint64_t generation; /* of the last configuration that has it; relaxed */
    uint64_t reserved[4];
    char name[REM_STAT_NAME];
};

struct rem_stat_http_line {
    alignas(64) _Atomic int64_t processing; /* gauge */
    _Atomic uint64_t requests;
    _Atomic uint64_t responses[REM_SHM_CLASSES]; /* [0] is 1xx */
    _Atomic uint64_t discarded;                  /* ended without a response */
    _Atomic uint64_t received, sent;
    struct rem_shm_histogram duration;
    struct rem_shm_codes codes[REM_STAT_CODE_LINES];
};

/* Why an accepted connection was closed again at once. */
enum rem_reject_reason {
    REM_REJECT_CONNECTIONS = 0, /* no connection or memory was left */
    REM_REJECT_PROTOCOL,        /* a bad PROXY protocol header */
    REM_REJECT_OTHER,
    REM_REJECT_REASONS
};

struct rem_stat_listener_line {
    alignas(64) _Atomic int64_t active; /* gauge */
    _Atomic int64_t idle;               /* gauge: keep-alive */
    _Atomic uint64_t accepted;
    _Atomic uint64_t rejected[REM_REJECT_REASONS];
    uint64_t reserved[2];
};

struct rem_stat_limit_line {
    alignas(64) _Atomic uint64_t passed;
    _Atomic uint64_t delayed, rejected;
    _Atomic uint64_t delayed_dry_run, rejected_dry_run;
    uint64_t reserved[3];
};

_Static_assert(sizeof(struct rem_stat) == 192, "layout");
_Static_assert(sizeof(struct rem_stat_http_line) == 320, "layout");
_Static_assert(sizeof(struct rem_stat_listener_line) == 64, "layout");
_Static_assert(sizeof(struct rem_stat_limit_line) == 64, "layout");

/* ---- declaring, for configurations ---- */

struct rem_stat_spec {
    struct rem_stat_spec *next; /* of the configuration's list */
    enum rem_stat_kind kind;
    struct rem_str name;
    struct rem_stat *stat; /* NULL until opened, or where there was no room for it */
    void *line;            /* the process's own: NULL until rem_stats_use */
};

/* The list's element of that kind and name, added if there is none.  `name` must live in `arena`
 * or longer.  Errors: REM_EINVAL (the name is empty or longer than REM_STAT_NAME), REM_ENOMEM. */
int rem_stat_declare(struct rem_stat_spec **list, struct rem_arena *arena, enum rem_stat_kind kind,
                     struct rem_str name, struct rem_stat_spec **out) REM_MUST_CHECK;

/* Master: gives every element its group.
 * Errors: REM_EFULL; elements before the one there was no room for have theirs. */
int rem_stats_open(struct rem_stat_spec *list, struct rem_shm_header *header, uint64_t generation,
                   struct rem_err *err) REM_MUST_CHECK;

/* Worker: finds the lines of its slot, of all groups of the list. */
void rem_stats_use(struct rem_stat_spec *list, unsigned worker_slot);

/* ---- groups ---- */

/* Master: the group of that kind and name, made if there is none; `generation` is noted in it.
 * Errors: REM_EFULL, REM_EINVAL (the name, see above). */
int rem_stat_open(struct rem_shm_header *header, enum rem_stat_kind kind, struct rem_str name,
                  uint64_t generation, struct rem_stat **out) REM_MUST_CHECK;

/* The line that the worker of a slot counts on: one of the types above. */
static inline void *rem_stat_line(struct rem_stat *stat, unsigned worker_slot)
{
    return (char *)(stat + 1) + (size_t)(worker_slot & stat->line_mask) * stat->line_size;
}

/* The group behind `previous` (NULL: the first), or NULL.  Whether the present configuration has
 * it, its generation says. */
struct rem_stat *rem_stat_next(const struct rem_shm_header *header,
                               const struct rem_stat *previous);

static inline struct rem_str rem_stat_name(const struct rem_stat *stat)
{
    return (struct rem_str){stat->name, stat->name_len};
}

/* Zeroes the gauges of a line whose workers are dead; the agent alone. */
void rem_stat_zero_gauges(struct rem_stat *stat, uint32_t line);

/* ---- sums over all lines ---- */

struct rem_histogram {
    uint64_t buckets[REM_SHM_BUCKETS]; /* each for itself, not cumulative */
    uint64_t count;
    uint64_t sum_ms;
};

struct rem_stat_http {
    int64_t processing;
    uint64_t requests;
    uint64_t responses[REM_SHM_CLASSES]; /* [0] is 1xx */
    uint64_t discarded, received, sent;
    struct rem_histogram duration;
    struct rem_codes codes;
};

struct rem_stat_listener {
    int64_t active, idle;
    uint64_t accepted;
    uint64_t rejected[REM_REJECT_REASONS];
};

struct rem_stat_limit {
    uint64_t passed, delayed, rejected, delayed_dry_run, rejected_dry_run;
};

/* Adds one line to `out`; once all are added, out->codes is to be finished. */
void rem_stat_http_add(const struct rem_stat_http_line *line, struct rem_stat_http *out);

/* `stat` is of a kind with such lines. */
void rem_stat_http_sum(struct rem_stat *stat, struct rem_stat_http *out);
void rem_stat_listener_sum(struct rem_stat *stat, struct rem_stat_listener *out);
void rem_stat_limit_sum(struct rem_stat *stat, struct rem_stat_limit *out);

/* ---- histograms ---- */

/* Upper bounds in milliseconds, inclusive; the last bucket has none. */
extern const uint32_t rem_histogram_bounds[REM_SHM_BUCKETS - 1];

static inline void rem_histogram_count(struct rem_shm_histogram *histogram, uint64_t ms)
{
    unsigned bucket = 0;

    while (bucket < REM_SHM_BUCKETS - 1 && ms > rem_histogram_bounds[bucket])
        bucket++;
    /* relaxed: each stands alone */
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    if (ms != 0)
        atomic_fetch_add_explicit(&histogram->sum_ms, ms, memory_order_relaxed);
}

/* Adds to `out`. */
void rem_histogram_sum(const struct rem_shm_histogram *histogram, struct rem_histogram *out);

#endif
