/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/balance/round_robin.h"

#include <stdlib.h>

enum {
    SMALL_ROUND = 64,   /* a round so short is simply walked */
    LONG_RUN = 16,      /* so many useless turns in a row are worth remembering */
    SKIP_FOR_MS = 100,  /* for so long; a server that comes back waits no longer than that */
    FULL_FOR_MS = 5,    /* nobody live, but some only full: look again soon */
    DEAD_MAX_MS = 1000, /* look again even when nobody says when */
};

/* What became of a turn. */
enum turn {
    TURN_TAKEN = 0,
    TURN_FAILED, /* by its failures or its health, `retry_ms` says until when */
    TURN_FULL,   /* max_conns */
    TURN_TRIED,  /* this request has been there */
    TURN_SLOW,   /* still warming up, and the dice said no */
    TURN_NO_MEMORY,
};

/* One pick's walk through one schedule. */
struct walk {
    struct rem_balance_state *state;
    const struct rem_shm_set *set;
    const struct rem_shm_schedule *schedule;
    struct rem_rr_side *side;
    uint64_t now_ms;
    uint64_t retry_ms; /* the earliest time a failed server may be probed */
    bool hurry;        /* take a server that is warming up, there is no other */
    bool saw_full, saw_tried, saw_slow;
};

static void count_turn(struct walk *walk, uint32_t turns)
{
    uint32_t at = walk->side->at + turns;

    walk->side->at = at >= walk->schedule->length ? at - walk->schedule->length : at;
}

/* A server that came back `elapsed` ago gets that part of its turns. */
static bool warm_enough(struct walk *walk, const struct rem_shm_server *server,
                        struct rem_shm_server_slot *slot)
{
    /* relaxed: a hint */
    uint64_t from = atomic_load_explicit(&slot->slow_from_ms, memory_order_relaxed);
    uint64_t elapsed = walk->now_ms > from ? walk->now_ms - from : 0;

    if (from == 0 || elapsed >= server->slow_start_ms || walk->hurry ||
        walk->set->set_flags & REM_SET_SINGLE)
        return true;
    walk->state->ref->dither = walk->state->ref->dither * 1664525u + 1013904223u;
    return (uint64_t)(walk->state->ref->dither >> 8) * server->slow_start_ms <
           elapsed * ((uint64_t)1 << 24);
}

static enum turn try_turn(struct walk *walk)
{
    struct rem_balance_state *state = walk->state;
    uint32_t index = rem_set_turn(walk->set, walk->schedule, walk->side->at);
    const struct rem_shm_server *server = rem_set_server(walk->set, index);
    struct rem_shm_server_slot *slot = rem_reader_slot(state->reader, server);
    uint64_t retry_ms;

    if (REM_UNLIKELY(state->tried.count != 0) && rem_tried_has(&state->tried, server->uid)) {
        walk->saw_tried = true;
        return TURN_TRIED;
    }
    if (!rem_server_available(walk->set, server, slot, walk->now_ms, &retry_ms)) {
        if (retry_ms < walk->retry_ms)
            walk->retry_ms = retry_ms;
        return TURN_FAILED;
    }
    if (REM_UNLIKELY(server->slow_start_ms != 0) && !warm_enough(walk, server, slot)) {
        walk->saw_slow = true;
        return TURN_SLOW;
    }
    if (rem_pin_take(state->reader, walk->set, server, walk->now_ms, &state->pin) != REM_OK) {
        walk->saw_full = true;
        return TURN_FULL;
    }
    if (REM_UNLIKELY(rem_tried_add(&state->tried, server->uid) != REM_OK)) {
        const struct rem_pin_report nothing = {.outcome = REM_OUTCOME_NEUTRAL};
        rem_pin_done(&state->pin, &nothing, walk->now_ms);
        return TURN_NO_MEMORY;
    }
    return TURN_TAKEN;
}

static int walk_small(struct walk *walk)
{
    for (uint32_t left = walk->schedule->length; left != 0; left--) {
        enum turn turn = try_turn(walk);

        count_turn(walk, 1);
        if (turn == TURN_TAKEN)
            return REM_OK;
        if (turn == TURN_NO_MEMORY)
            return REM_ENOMEM;
    }
    return REM_EBUSY;
}

/* Remembers that the turns from `start` on are no use for a while. */
static void remember_run(struct walk *walk, uint32_t start, uint32_t run)
{
    struct rem_rr_side *side = walk->side;
    uint32_t length = walk->schedule->length;

    if (run < LONG_RUN)
        return;
    if (side->skip_size < length) {
        uint32_t *grown = realloc(side->skip, length * sizeof(*grown));
        if (grown == NULL)
            return; /* slower, no worse */
        side->skip = grown;
        side->skip_size = length;
        side->skip_until_ms = 0;
    }
    if (walk->now_ms >= side->skip_until_ms) {
        memset(side->skip, 0, length * sizeof(*side->skip));
        side->skip_until_ms = walk->now_ms + SKIP_FOR_MS;
    }
    side->skip[start] = run;
}

/* Walks at most one round; `skipped` says whether what was remembered was believed. */
static int walk_round(struct walk *walk, bool believe, bool *skipped)
{
    struct rem_rr_side *side = walk->side;
    uint32_t left = walk->schedule->length, start = side->at, run = 0;

    believe = believe && walk->now_ms < side->skip_until_ms;
    *skipped = false;
    while (left != 0) {
        uint32_t step = believe ? side->skip[side->at] : 0;

        if (step != 0) {
            step = step < left ? step : left;
            *skipped = true;
        } else {
            enum turn turn = try_turn(walk);
            if (turn == TURN_TAKEN || turn == TURN_NO_MEMORY) {
                remember_run(walk, start, run);
                count_turn(walk, 1);
                return turn == TURN_TAKEN ? REM_OK : REM_ENOMEM;
            }
            step = 1;
            if (turn == TURN_TRIED || turn == TURN_SLOW) {
                remember_run(walk, start, run);
                start = side->at + 1 < walk->schedule->length ? side->at + 1 : 0;
                run = 0;
                count_turn(walk, 1);
                left--;
                continue;
            }
        }
        count_turn(walk, step);
        run += step;
        left -= step;
    }
    return REM_EBUSY;
}

/* A whole round found nobody: says until when another is useless. */
static void remember_dead(struct walk *walk, uint64_t recoveries)
{
    uint64_t until = walk->now_ms + DEAD_MAX_MS;

    if (walk->saw_tried || walk->saw_slow)
        return; /* true of this request only */
    if (walk->retry_ms < until)
        until = walk->retry_ms;
    if (walk->saw_full && until > walk->now_ms + FULL_FOR_MS)
        until = walk->now_ms + FULL_FOR_MS;
    walk->side->dead_until_ms = until;
    walk->side->dead_recoveries = recoveries;
}

static int walk_large(struct walk *walk)
{
    struct rem_rr_side *side = walk->side;
    /* relaxed: loaded before the servers are looked at, so that a recovery after that is noticed
     * at the latest when its effect is */
    uint64_t recoveries =
        atomic_load_explicit(&walk->state->reader->header->recoveries, memory_order_relaxed);
    bool skipped;
    int rc;

    if (walk->now_ms < side->dead_until_ms && recoveries == side->dead_recoveries)
        return REM_EBUSY;
    rc = walk_round(walk, true, &skipped);
    if (rc == REM_EBUSY && skipped) {
        side->skip_until_ms = 0;
        rc = walk_round(walk, false, &skipped);
    }
    if (rc == REM_EBUSY)
        remember_dead(walk, recoveries);
    return rc;
}

/* Fetches what the coming turns touch, so that ten thousand servers cost no more than four: their
 * entries lie in the set, their slots all over the region. */
static void prefetch(const struct walk *walk)
{
    const struct rem_shm_schedule *schedule = walk->schedule;
    const struct rem_reader *reader = walk->state->reader;
    uint32_t near = walk->side->at + 4, far = walk->side->at + 8;

    if (schedule->length <= 16)
        return;
    near = near < schedule->length ? near : near - schedule->length;
    far = far < schedule->length ? far : far - schedule->length;
    __builtin_prefetch(rem_set_server(walk->set, rem_set_turn(walk->set, schedule, far)));
    const struct rem_shm_server *server =
        rem_set_server(walk->set, rem_set_turn(walk->set, schedule, near));
    struct rem_shm_server_slot *slot = rem_reader_slot(reader, server);
    __builtin_prefetch(slot);
    __builtin_prefetch(rem_slot_lines(slot) + reader->line, 1);
}

static int pick_side(struct walk *walk, const struct rem_shm_schedule *schedule,
                     struct rem_rr_side *side)
{
    int rc;

    if (schedule->length == 0)
        return REM_EBUSY;
    walk->schedule = schedule;
    walk->side = side;
    walk->retry_ms = UINT64_MAX;
    walk->saw_full = walk->saw_tried = walk->saw_slow = false;
    if (REM_UNLIKELY(side->at >= schedule->length))
        side->at %= schedule->length; /* the set has changed */
    rc = schedule->length <= SMALL_ROUND ? walk_small(walk) : walk_large(walk);
    if (rc == REM_OK)
        prefetch(walk);
    return rc;
}

static int pick(struct rem_balance_state *state, uint64_t now_ms)
{
    struct walk walk = {.state = state, .now_ms = now_ms};
    bool slow;
    int rc;

    REM_CHECK(state->pin.slot == NULL);
    walk.set = rem_reader_find(state->reader, state->ref);
    if (walk.set == NULL)
        return REM_ENOTFOUND;
    rc = pick_side(&walk, &walk.set->primary, &state->ref->side[0]);
    slow = walk.saw_slow;
    if (rc == REM_EBUSY && slow) {
        walk.hurry = true;
        rc = pick_side(&walk, &walk.set->primary, &state->ref->side[0]);
    }
    if (rc == REM_EBUSY) {
        walk.hurry = true; /* backups are the last resort, warm or not */
        rc = pick_side(&walk, &walk.set->backup, &state->ref->side[1]);
    }
    if (rc == REM_EBUSY)
        rem_upstream_count(&state->ref->line->no_live);
    return rc;
}

static void done(struct rem_balance_state *state, const struct rem_pin_report *report,
                 uint64_t now_ms)
{
    rem_pin_done(&state->pin, report, now_ms);
}

const struct rem_balancer rem_round_robin = {
    .name = "round_robin",
    .pick = pick,
    .done = done,
};
