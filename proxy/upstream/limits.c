/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/limits.h"

#include "proxy/net/setup.h"
#include "proxy/upstream/pool.h"
#include "proxy/upstream/upstream.h"

enum { TRIES = 8 }; /* for a place */

enum gauge { REQUESTS, PENDING, RETRYING, CONNECTIONS };

static _Atomic int32_t *gauge_of(struct rem_shm_upstream_line *line, enum gauge which)
{
    switch (which) {
    case REQUESTS:
        return &line->requests;
    case PENDING:
        return &line->pending;
    case RETRYING:
        return &line->retrying;
    default:
        return &line->connections;
    }
}

static struct rem_reader *reader_of(const struct rem_upstream_group *group)
{
    return &group->owner->worker->reader;
}

/* Adds to the gauge of the upstream that was counted on, if there still is that one: a new one of
 * the same name begins at zero. */
static void count(struct rem_upstream_group *group, uint64_t uid, enum gauge which, int n)
{
    const struct rem_shm_set *set = rem_reader_find(reader_of(group), &group->ref);

    if (set != NULL && set->upstream_uid == uid)
        /* seq_cst, like the looks below: of two workers that add at once, one sees the other */
        atomic_fetch_add(gauge_of(group->ref.line, which), n);
}

/* Over all workers.  Dead workers' gauges are zeroed a moment later, so that a sum may be too high
 * for that long, and never below what is there. */
static int64_t sum(const struct rem_upstream_group *group, const struct rem_shm_set *set,
                   enum gauge which)
{
    const struct rem_reader *reader = reader_of(group);
    struct rem_shm_upstream_slot *slot = rem_reader_upstream_slot(reader, set);
    struct rem_shm_upstream_line *lines = (struct rem_shm_upstream_line *)(void *)(slot + 1);
    int64_t total = 0;

    for (uint32_t i = 0; i < reader->lines; i++)
        total += atomic_load(gauge_of(&lines[i], which)); /* seq_cst: see count() */
    return total > 0 ? total : 0;
}

/* The set, if it limits anything. */
static const struct rem_shm_set *limited(struct rem_upstream_group *group)
{
    const struct rem_shm_set *set =
        group != NULL ? rem_reader_find(reader_of(group), &group->ref) : NULL;

    return set != NULL && set->set_flags & REM_SET_LIMITED ? set : NULL;
}

static void let_go(struct rem_upstream_exchange *x, enum rem_limits_hold hold, enum gauge which)
{
    if (!(x->holds & hold))
        return;
    x->holds &= (uint8_t)~hold;
    count(x->group, x->holds_uid, which, -1);
}

/* Counts the exchange, and has it stay counted unless that is more than `max` (0: no limit).  Two
 * workers that reach for the last place at once both step back; a few tries later one has it. */
static bool hold(struct rem_upstream_exchange *x, const struct rem_shm_set *set,
                 enum rem_limits_hold what, enum gauge which, int64_t max)
{
    for (int tries = 0; tries < TRIES; tries++) {
        if (max != 0 && sum(x->group, set, which) >= max)
            return false;
        if (x->holds == 0)
            x->holds_uid = set->upstream_uid;
        x->holds |= (uint8_t)what;
        count(x->group, x->holds_uid, which, 1);
        if (max == 0 || sum(x->group, set, which) <= max)
            return true;
        let_go(x, what, which);
    }
    return false;
}

static bool overflow(struct rem_upstream_exchange *x, enum rem_overflow which)
{
    rem_upstream_count(&x->group->ref.line->overflows[which]);
    return false;
}

bool rem_limits_enter(struct rem_upstream_exchange *x)
{
    const struct rem_shm_set *set = limited(x->group);

    if (REM_LIKELY(set == NULL) || x->holds & REM_HOLD_REQUEST)
        return true;
    return hold(x, set, REM_HOLD_REQUEST, REQUESTS, set->limits.max_requests) ||
           overflow(x, REM_OVERFLOW_REQUESTS);
}

bool rem_limits_wait(struct rem_upstream_exchange *x)
{
    const struct rem_shm_set *set = limited(x->group);

    if (REM_LIKELY(set == NULL) || x->holds & REM_HOLD_PENDING)
        return true;
    return hold(x, set, REM_HOLD_PENDING, PENDING, set->limits.max_pending) ||
           overflow(x, REM_OVERFLOW_PENDING);
}

void rem_limits_waited(struct rem_upstream_exchange *x)
{
    let_go(x, REM_HOLD_PENDING, PENDING);
}

bool rem_limits_connect(struct rem_upstream_exchange *x)
{
    const struct rem_shm_set *set = limited(x->group);

    if (REM_LIKELY(set == NULL) || set->limits.max_connections == 0)
        return true;
    while (!hold(x, set, REM_HOLD_CONNECTION, CONNECTIONS, set->limits.max_connections))
        if (!rem_pool_evict(x->group))
            return overflow(x, REM_OVERFLOW_CONNECTIONS);
    return true;
}

void rem_limits_unopened(struct rem_upstream_exchange *x)
{
    let_go(x, REM_HOLD_CONNECTION, CONNECTIONS);
}

void rem_limits_opened(struct rem_upstream_exchange *x)
{
    struct rem_upstream_conn *uc = x->peer;

    uc->counted = x->group;
    uc->counted_uid = x->upstream_uid;
    if (x->holds & REM_HOLD_CONNECTION) { /* counted already */
        x->holds &= (uint8_t)~REM_HOLD_CONNECTION;
        uc->counted_uid = x->holds_uid;
    } else {
        count(uc->counted, uc->counted_uid, CONNECTIONS, 1);
    }
}

void rem_limits_closed(struct rem_upstream_conn *uc)
{
    if (uc->counted != NULL)
        count(uc->counted, uc->counted_uid, CONNECTIONS, -1);
    uc->counted = NULL;
}

bool rem_limits_may_idle(struct rem_upstream_group *group)
{
    const struct rem_shm_set *set = limited(group);
    int64_t max, open;

    if (REM_LIKELY(set == NULL) || set->limits.max_connections == 0)
        return true;
    max = set->limits.max_connections;
    open = sum(group, set, CONNECTIONS);
    /* The last of all connections would be one worker's alone. */
    return open * 2 <= max + 1 && (open < max || group->owner->worker->setup->worker_processes < 2);
}

/* How many retries a budget allows of the requests there are. */
static int64_t budget(const struct rem_upstream_exchange *x, const struct rem_shm_set *set)
{
    const struct rem_limits_spec *limits = &set->limits;
    int64_t share = sum(x->group, set, REQUESTS) * limits->retry_budget_percent / 100;

    return share > limits->retry_budget_min ? share : limits->retry_budget_min;
}

bool rem_limits_retry(struct rem_upstream_exchange *x)
{
    const struct rem_shm_set *set = limited(x->group);
    int64_t allowed;

    if (REM_LIKELY(set == NULL) || x->holds & REM_HOLD_RETRY)
        return true;
    if (!hold(x, set, REM_HOLD_RETRY, RETRYING, set->limits.max_retries))
        return overflow(x, REM_OVERFLOW_RETRIES);
    if (set->limits.retry_budget_percent == 0)
        return true;
    allowed = budget(x, set);
    if (sum(x->group, set, RETRYING) <= allowed)
        return true;
    let_go(x, REM_HOLD_RETRY, RETRYING);
    rem_upstream_count(&x->group->ref.line->budget_exhausted);
    return false;
}

void rem_limits_stay(struct rem_upstream_exchange *x)
{
    let_go(x, REM_HOLD_RETRY, RETRYING);
}

void rem_limits_leave(struct rem_upstream_exchange *x)
{
    if (REM_LIKELY(x->holds == 0))
        return;
    let_go(x, REM_HOLD_REQUEST, REQUESTS);
    let_go(x, REM_HOLD_PENDING, PENDING);
    let_go(x, REM_HOLD_RETRY, RETRYING);
    let_go(x, REM_HOLD_CONNECTION, CONNECTIONS);
}

const char *rem_limits_text(enum rem_overflow which)
{
    static const char *const texts[REM_OVERFLOWS] = {
        [REM_OVERFLOW_CONNECTIONS] = "upstream limit of connections reached",
        [REM_OVERFLOW_PENDING] = "upstream limit of pending requests reached",
        [REM_OVERFLOW_REQUESTS] = "upstream limit of requests reached",
        [REM_OVERFLOW_RETRIES] = "upstream limit of retries reached",
        [REM_OVERFLOW_QUEUE] = "upstream queue is full",
    };

    return texts[which];
}
