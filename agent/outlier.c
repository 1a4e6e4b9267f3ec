/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/outlier.h"

#include "proto/shm/health.h"
#include "proto/shm/outlier.h"

#include <event2/event.h>
#include <math.h>
#include <stdlib.h>

enum { LOOK_MS = 1000 };

/* relaxed: counters and hints that stand alone */
#define LOAD(field) atomic_load_explicit(&(field), memory_order_relaxed)

/* What is remembered of a server, or of an upstream, from one look to the next. */
struct memory {
    uint64_t uid;            /* of its slot; 0: an empty place */
    uint64_t due_ms;         /* upstream: when the interval ends */
    uint64_t total, success; /* server: as of the interval's beginning */
    uint32_t ejections;      /* as of the last look */
    bool ejected;
    bool by_rate; /* of the last ejection */
    int32_t said; /* upstream: how many its count said were ejected, at the last look */
    int32_t seen; /* and how many were */
};

/* A hash table that is made anew with each look, so that servers that are gone are forgotten. */
struct rem_outlier_table {
    struct memory *places;
    size_t mask, count;
};

/* One look at one upstream. */
struct look {
    struct rem_outliers *outliers;
    struct rem_outlier_table *next;
    size_t watched; /* upstreams with outlier_detection */
    bool failed;    /* no memory */
};

/* A server that takes part in the comparison. */
struct candidate {
    struct rem_shm_server_slot *slot;
    struct memory *memory;
};

/* ---- the table ---- */

static struct memory *place_of(const struct rem_outlier_table *table, uint64_t uid)
{
    size_t at = (size_t)(uid * UINT64_C(0x9e3779b97f4a7c15) >> 20) & table->mask;

    while (table->places[at].uid != 0 && table->places[at].uid != uid)
        at = (at + 1) & table->mask;
    return &table->places[at];
}

static bool table_grow(struct rem_outlier_table *table)
{
    size_t room = table->places != NULL ? (table->mask + 1) * 2 : 64;
    struct rem_outlier_table grown = {
        .places = calloc(room, sizeof(struct memory)), .mask = room - 1, .count = table->count};

    if (grown.places == NULL)
        return false;
    for (size_t i = 0; table->places != NULL && i <= table->mask; i++)
        if (table->places[i].uid != 0)
            *place_of(&grown, table->places[i].uid) = table->places[i];
    free(table->places);
    *table = grown;
    return true;
}

/* Room for `more` entries, so that places stay where they are meanwhile. */
static bool table_reserve(struct rem_outlier_table *table, size_t more)
{
    while (table->places == NULL || (table->count + more) * 2 > table->mask)
        if (!table_grow(table))
            return false;
    return true;
}

/* ---- counters ---- */

static void sum_up(const struct rem_writer *writer, struct rem_shm_server_slot *slot,
                   uint64_t *total, uint64_t *success)
{
    struct rem_shm_line *lines = rem_slot_lines(slot);

    *total = 0;
    *success = 0;
    for (uint32_t i = 0; i < rem_health_lines(writer); i++) {
        for (unsigned class = 1; class <= REM_SHM_CLASSES; class ++) {
            uint64_t n = LOAD(lines[i].responses[rem_shm_class(class)]);
            *total += n;
            *success += class < 5 ? n : 0;
        }
        *total += LOAD(lines[i].broken);
    }
}

/* ---- one server ---- */

static void tell(const struct look *look, const struct rem_shm_set *set,
                 const struct rem_shm_server_slot *slot, const struct memory *memory,
                 uint64_t until_ms)
{
    const struct rem_outliers *outliers = look->outliers;
    uint64_t now = outliers->clock->mono_ms;
    const struct rem_outlier_news news = {
        .upstream = rem_set_text(set, set->name),
        .server = rem_str_make(slot->name, slot->name_len),
        .ejected = memory->ejected,
        .by_rate = memory->by_rate,
        .until_ms = until_ms > now ? until_ms - now : 0,
    };

    REM_LOG(
        outliers->log, REM_LOG_NOTICE, 0, "outlier detection: server %.*s of upstream \"%.*s\" %s",
        REM_STR_ARG(news.server), REM_STR_ARG(news.upstream),
        memory->ejected
            ? (memory->by_rate ? "ejected for its success rate" : "ejected for failures in a row")
            : "let in again");
    if (outliers->on_news != NULL)
        outliers->on_news(outliers->data, &news);
}

/* Ends an ejection whose time is over, and tells of what others did since the last look. */
static void follow(const struct look *look, const struct rem_shm_set *set,
                   struct rem_shm_server_slot *slot, struct memory *memory)
{
    uint64_t now = look->outliers->clock->mono_ms, until = LOAD(slot->ejected_until_ms);
    uint32_t ejections = LOAD(slot->ejections);
    bool ejected = (LOAD(slot->health) & REM_HEALTH_EJECTED) != 0;

    if (ejected && now >= until) {
        (void)rem_server_uneject(rem_health_upstream(look->outliers->writer, set), slot, now);
        ejected = false;
    }
    if (ejections != memory->ejections && !memory->ejected) {
        memory->ejected = true;
        memory->by_rate = false; /* those of ours are told of at once */
        tell(look, set, slot, memory, until);
    }
    memory->ejections = ejections;
    if (memory->ejected && !ejected) {
        memory->ejected = false;
        tell(look, set, slot, memory, 0);
    }
}

/* What is remembered of a uid, from the former table or, *fresh, new.  There is room. */
static struct memory *remember(const struct look *look, uint64_t uid, bool *fresh)
{
    const struct rem_outlier_table *former = look->outliers->table;
    struct memory *memory = place_of(look->next, uid);
    const struct memory *before = former->places != NULL ? place_of(former, uid) : NULL;

    *fresh = false;
    if (memory->uid != 0)
        return memory; /* a server twice in one set */
    look->next->count++;
    if (before != NULL && before->uid != 0) {
        *memory = *before;
        return memory;
    }
    memory->uid = uid;
    *fresh = true;
    return memory;
}

/* What the first look finds has been told of by an agent before this one.  A server that comes
 * later may be ejected before anybody looks at it. */
static struct memory *remember_server(const struct look *look, struct rem_shm_server_slot *slot)
{
    bool fresh, ejected = (LOAD(slot->health) & REM_HEALTH_EJECTED) != 0;
    struct memory *memory = remember(look, slot->uid, &fresh);

    if (fresh) {
        memory->ejected = ejected && !look->outliers->looked;
        memory->ejections = LOAD(slot->ejections) - (ejected && !memory->ejected);
        sum_up(look->outliers->writer, slot, &memory->total, &memory->success);
    }
    return memory;
}

/* The count and the servers' bits are not changed in one step.  Who died in between, or counted
 * anew in between, left them apart; two looks tell that from somebody who is just at it. */
static void mend_count(const struct look *look, const struct rem_shm_set *set,
                       struct memory *memory, int32_t seen)
{
    struct rem_shm_upstream_slot *upstream = rem_health_upstream(look->outliers->writer, set);
    int32_t said = LOAD(upstream->ejected), expected = said;

    if (said != seen && said == memory->said && seen == memory->seen) {
        /* relaxed: a hint, which nobody has changed meanwhile */
        (void)atomic_compare_exchange_strong_explicit(&upstream->ejected, &expected, seen,
                                                      memory_order_relaxed, memory_order_relaxed);
        said = seen;
    }
    memory->said = said;
    memory->seen = seen;
}

/* Whether an interval of the upstream ends with this look. */
static bool interval_ends(const struct look *look, const struct rem_shm_set *set,
                          struct memory *memory, bool fresh)
{
    uint64_t now = look->outliers->clock->mono_ms;

    if (!fresh && now < memory->due_ms)
        return false;
    memory->due_ms = now + set->outlier.interval_ms;
    return !fresh;
}

/* ---- rates ---- */

double rem_outlier_threshold(const double *rates, size_t count, uint32_t factor)
{
    double mean = 0, variance = 0;

    if (count == 0)
        return 0;
    for (size_t i = 0; i < count; i++)
        mean += rates[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        variance += (rates[i] - mean) * (rates[i] - mean) / (double)count;
    return mean - sqrt(variance) * factor / 1000;
}

static void eject_below(const struct look *look, const struct rem_shm_set *set,
                        const struct candidate *candidates, const double *rates, size_t count)
{
    double threshold = rem_outlier_threshold(rates, count, set->outlier.success_rate_stdev_factor);
    uint64_t now = look->outliers->clock->mono_ms;

    for (size_t i = 0; i < count; i++) {
        struct rem_shm_server_slot *slot = candidates[i].slot;
        struct memory *memory = candidates[i].memory;
        if (rates[i] >= threshold ||
            !rem_outlier_eject(set, rem_health_upstream(look->outliers->writer, set), slot, now))
            continue;
        memory->ejections = LOAD(slot->ejections);
        memory->ejected = true;
        memory->by_rate = true;
        tell(look, set, slot, memory, LOAD(slot->ejected_until_ms));
    }
}

/* The interval is over for a server.  Returns: whether it was asked often enough to be compared. */
static bool close_interval(const struct look *look, const struct rem_shm_set *set,
                           struct rem_shm_server_slot *slot, struct memory *memory, double *rate)
{
    uint64_t total, success, asked;

    sum_up(look->outliers->writer, slot, &total, &success);
    asked = total - memory->total;
    *rate = asked != 0 ? (double)(success - memory->success) / (double)asked : 1;
    memory->total = total;
    memory->success = success;
    if (!memory->ejected)
        rem_outlier_calm(slot);
    return asked >= set->outlier.success_rate_requests && !memory->ejected;
}

/* ---- the look ---- */

static void look_at(const struct look *look, const struct rem_shm_set *set,
                    struct candidate *candidates, double *rates)
{
    bool fresh;
    struct memory *upstream = remember(look, set->upstream_uid, &fresh);
    bool ends = interval_ends(look, set, upstream, fresh);
    int32_t ejected = 0;
    size_t count = 0;

    for (uint32_t i = 0; i < set->count; i++) {
        struct rem_shm_server_slot *slot =
            rem_health_slot(look->outliers->writer, rem_set_server(set, i));
        struct memory *memory = remember_server(look, slot);
        follow(look, set, slot, memory);
        ejected += (LOAD(slot->health) & REM_HEALTH_EJECTED) != 0;
        if (!ends || !close_interval(look, set, slot, memory, &rates[count]))
            continue;
        candidates[count].slot = slot;
        candidates[count++].memory = memory;
    }
    mend_count(look, set, upstream, ejected);
    if (set->outlier.success_rate_min_hosts != 0 && count >= set->outlier.success_rate_min_hosts)
        eject_below(look, set, candidates, rates, count);
}

static void visit(void *data, const struct rem_shm_set *set)
{
    struct look *look = data;
    struct candidate *candidates;
    double *rates;

    if (!(set->set_flags & REM_SET_OUTLIER))
        return;
    look->watched++;
    candidates = calloc(set->count + 1, sizeof(*candidates));
    rates = calloc(set->count + 1, sizeof(*rates));
    if (candidates == NULL || rates == NULL || !table_reserve(look->next, set->count + 1))
        look->failed = true;
    else
        look_at(look, set, candidates, rates);
    free(candidates);
    free(rates);
}

bool rem_outliers_look(struct rem_outliers *outliers)
{
    struct rem_outlier_table next = {0};
    struct look look = {.outliers = outliers, .next = &next};

    rem_health_each(outliers->writer, visit, &look);
    if (look.failed) { /* what is remembered stays for the next time */
        free(next.places);
        return true;
    }
    free(outliers->table->places);
    *outliers->table = next;
    outliers->looked = true;
    return look.watched != 0;
}

/* ---- the timer ---- */

static void arm(struct rem_outliers *outliers)
{
    const struct timeval tv = {LOOK_MS / 1000, LOOK_MS % 1000 * 1000};

    (void)evtimer_add(outliers->timer, &tv);
}

static void on_timer(int fd, short what, void *data)
{
    struct rem_outliers *outliers = data;

    (void)fd;
    (void)what;
    rem_clock_update(outliers->clock);
    if (rem_outliers_look(outliers))
        arm(outliers);
}

void rem_outliers_sync(struct rem_outliers *outliers)
{
    if (outliers->timer == NULL || outliers->epoch == rem_writer_epoch(outliers->writer))
        return;
    outliers->epoch = rem_writer_epoch(outliers->writer);
    if (!evtimer_pending(outliers->timer, NULL)) /* not now: publishes may come thick and fast */
        arm(outliers);
}

int rem_outliers_start(struct rem_outliers *outliers, struct event_base *base)
{
    outliers->timer = evtimer_new(base, on_timer, outliers);
    outliers->table = calloc(1, sizeof(*outliers->table));
    if (outliers->timer == NULL || outliers->table == NULL)
        return REM_ENOMEM;
    (void)rem_outliers_look(outliers);
    rem_outliers_sync(outliers);
    return REM_OK;
}

void rem_outliers_stop(struct rem_outliers *outliers)
{
    if (outliers->timer != NULL)
        event_free(outliers->timer);
    if (outliers->table != NULL)
        free(outliers->table->places);
    free(outliers->table);
    outliers->timer = NULL;
    outliers->table = NULL;
}
