/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/stat_admin.h"

#include <string.h>

/* relaxed throughout: each counter stands alone; exceptions say so */
#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

const uint32_t rem_histogram_bounds[REM_SHM_BUCKETS - 1] = {1,   2,   5,   10,   25,   50,
                                                            100, 250, 500, 1000, 2500, 10000};

/* 0: of no kind. */
static uint32_t line_size(enum rem_stat_kind kind)
{
    switch (kind) {
    case REM_STAT_SERVER:
    case REM_STAT_LOCATION:
    case REM_STAT_UNNAMED:
        return sizeof(struct rem_stat_http_line);
    case REM_STAT_LISTENER:
        return sizeof(struct rem_stat_listener_line);
    case REM_STAT_LIMIT_REQ:
    case REM_STAT_LIMIT_CONN:
        return sizeof(struct rem_stat_limit_line);
    case REM_STAT_ADMIN:
        return sizeof(struct rem_stat_admin);
    default:
        return 0;
    }
}

/* ---- declaring ---- */

int rem_stat_declare(struct rem_stat_spec **list, struct rem_arena *arena, enum rem_stat_kind kind,
                     struct rem_str name, struct rem_stat_spec **out)
{
    struct rem_stat_spec *spec;

    if (name.n == 0 || name.n > REM_STAT_NAME || line_size(kind) == 0)
        return REM_EINVAL;
    while (*list != NULL) {
        if ((*list)->kind == kind && rem_str_eq((*list)->name, name)) {
            *out = *list;
            return REM_OK;
        }
        list = &(*list)->next;
    }
    spec = rem_arena_zalloc(arena, sizeof(*spec));
    if (spec == NULL)
        return REM_ENOMEM;
    spec->kind = kind;
    spec->name = name;
    *list = *out = spec;
    return REM_OK;
}

int rem_stats_open(struct rem_stat_spec *list, struct rem_shm_header *header, uint64_t generation,
                   struct rem_err *err)
{
    for (struct rem_stat_spec *spec = list; spec != NULL; spec = spec->next) {
        int rc = rem_stat_open(header, spec->kind, spec->name, generation, &spec->stat);

        if (rc != REM_OK)
            return rem_err_set(err, rc, "no room in shared memory for the statistics of \"%.*s\"",
                               REM_STR_ARG(spec->name));
    }
    return REM_OK;
}

void rem_stats_use(struct rem_stat_spec *list, unsigned worker_slot)
{
    for (struct rem_stat_spec *spec = list; spec != NULL; spec = spec->next)
        if (spec->stat != NULL)
            spec->line = rem_stat_line(spec->stat, worker_slot);
}

/* ---- groups ---- */

struct rem_stat *rem_stat_next(const struct rem_shm_header *header, const struct rem_stat *previous)
{
    uintptr_t base = (uintptr_t)header;
    /* acquire: what lies before the end is complete; pairs with rem_stat_open's release */
    uint64_t end = atomic_load_explicit(&header->stats_end, memory_order_acquire);
    uint64_t at = previous != NULL ? (uintptr_t)previous - base + previous->size : header->stats;

    return at < end ? (struct rem_stat *)(base + at) : NULL;
}

static struct rem_stat *make(struct rem_shm_header *header, enum rem_stat_kind kind,
                             struct rem_str name)
{
    /* relaxed: the master alone stores it */
    uint64_t end = LOAD(header->stats_end);
    uint32_t count = kind == REM_STAT_ADMIN ? 1 : header->lines;
    uint64_t lines = (uint64_t)count * line_size(kind);
    struct rem_stat *stat = (struct rem_stat *)((uintptr_t)header + end);

    if (sizeof(*stat) + lines > header->data - end)
        return NULL;
    /* A master that died here may have left something. */
    memset((void *)stat, 0, sizeof(*stat) + lines);
    stat->size = sizeof(*stat) + lines;
    stat->kind = (uint32_t)kind;
    stat->line_size = line_size(kind);
    stat->line_mask = count - 1;
    stat->name_len = (uint32_t)name.n;
    memcpy(stat->name, name.p, name.n);
    /* release: the group is complete; pairs with rem_stat_next */
    atomic_store_explicit(&header->stats_end, end + stat->size, memory_order_release);
    return stat;
}

int rem_stat_open(struct rem_shm_header *header, enum rem_stat_kind kind, struct rem_str name,
                  uint64_t generation, struct rem_stat **out)
{
    struct rem_stat *stat = NULL;

    if (name.n == 0 || name.n > REM_STAT_NAME || line_size(kind) == 0)
        return REM_EINVAL;
    while ((stat = rem_stat_next(header, stat)) != NULL)
        if (stat->kind == (uint32_t)kind && rem_str_eq(rem_stat_name(stat), name))
            break;
    if (stat == NULL)
        stat = make(header, kind, name);
    if (stat == NULL)
        return REM_EFULL;
    atomic_store_explicit(&stat->generation, generation, memory_order_relaxed);
    *out = stat;
    return REM_OK;
}

void rem_stat_zero_gauges(struct rem_stat *stat, uint32_t line)
{
    void *at = rem_stat_line(stat, line);
    struct rem_stat_http_line *http = at;
    struct rem_stat_listener_line *listener = at;

    /* relaxed: nobody else writes the line */
    if (stat->line_size == sizeof(*http))
        atomic_store_explicit(&http->processing, 0, memory_order_relaxed);
    if (stat->kind == REM_STAT_LISTENER) {
        atomic_store_explicit(&listener->active, 0, memory_order_relaxed);
        atomic_store_explicit(&listener->idle, 0, memory_order_relaxed);
    }
}

/* ---- sums ---- */

void rem_histogram_sum(const struct rem_shm_histogram *histogram, struct rem_histogram *out)
{
    for (size_t i = 0; i < REM_SHM_BUCKETS; i++) {
        uint64_t n = LOAD(histogram->buckets[i]);

        out->buckets[i] += n;
        out->count += n;
    }
    out->sum_ms += LOAD(histogram->sum_ms);
}

void rem_stat_http_add(const struct rem_stat_http_line *line, struct rem_stat_http *out)
{
    out->processing += LOAD(line->processing);
    out->requests += LOAD(line->requests);
    for (size_t i = 0; i < REM_SHM_CLASSES; i++)
        out->responses[i] += LOAD(line->responses[i]);
    out->discarded += LOAD(line->discarded);
    out->received += LOAD(line->received);
    out->sent += LOAD(line->sent);
    rem_histogram_sum(&line->duration, &out->duration);
    rem_codes_sum(line->codes, REM_STAT_CODE_LINES, &out->codes);
}

void rem_stat_http_sum(struct rem_stat *stat, struct rem_stat_http *out)
{
    struct rem_stat_http sum = {0};

    for (uint32_t i = 0; i <= stat->line_mask; i++)
        rem_stat_http_add(rem_stat_line(stat, i), &sum);
    rem_codes_finish(&sum.codes, sum.responses[1]);
    *out = sum;
}

void rem_stat_listener_sum(struct rem_stat *stat, struct rem_stat_listener *out)
{
    struct rem_stat_listener sum = {0};

    for (uint32_t i = 0; i <= stat->line_mask; i++) {
        const struct rem_stat_listener_line *line = rem_stat_line(stat, i);

        sum.active += LOAD(line->active);
        sum.idle += LOAD(line->idle);
        sum.accepted += LOAD(line->accepted);
        for (size_t k = 0; k < REM_REJECT_REASONS; k++)
            sum.rejected[k] += LOAD(line->rejected[k]);
    }
    *out = sum;
}

void rem_stat_limit_sum(struct rem_stat *stat, struct rem_stat_limit *out)
{
    struct rem_stat_limit sum = {0};

    for (uint32_t i = 0; i <= stat->line_mask; i++) {
        const struct rem_stat_limit_line *line = rem_stat_line(stat, i);

        sum.passed += LOAD(line->passed);
        sum.delayed += LOAD(line->delayed);
        sum.rejected += LOAD(line->rejected);
        sum.delayed_dry_run += LOAD(line->delayed_dry_run);
        sum.rejected_dry_run += LOAD(line->rejected_dry_run);
    }
    *out = sum;
}
