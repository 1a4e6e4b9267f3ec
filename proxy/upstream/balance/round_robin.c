/* SPDX-License-Identifier: Apache-2.0 */
/* round_robin.c - smooth weighted round robin over a set's schedule; each worker takes turns on its
 * own.  O(1) amortised, whatever the number of servers and however many of them fail. */
#include "proxy/upstream/balance/balance_priv.h"

#include <stdlib.h>

enum {
    SHORT_ROUND = 16,   /* what a round so short touches stays in the cache */
    SMALL_ROUND = 64,   /* a round so short is simply walked */
    LONG_RUN = 16,      /* so many useless turns in a row are worth remembering */
    SKIP_FOR_MS = 100,  /* for so long; a server that comes back waits no longer than that */
    FULL_FOR_MS = 5,    /* nobody live, but some only full: look again soon */
    DEAD_MAX_MS = 1000, /* look again even when nobody says when */
};

/* One pick's walk through one schedule. */
struct walk {
    struct rem_pick *pick;
    const struct rem_shm_schedule *schedule;
    struct rem_rr_side *side;
    uint32_t *at; /* the next turn */
};

static void count_turn(struct walk *walk, uint32_t turns)
{
    uint32_t at = *walk->at + turns;

    *walk->at = at >= walk->schedule->length ? at - walk->schedule->length : at;
}

static enum rem_turn try_turn(struct walk *walk)
{
    return rem_balance_try(walk->pick, rem_set_turn(walk->pick->set, walk->schedule, *walk->at));
}

static int walk_small(struct walk *walk)
{
    for (uint32_t left = walk->schedule->length; left != 0; left--) {
        int rc = rem_turn_result(try_turn(walk));

        count_turn(walk, 1);
        if (rc != REM_EBUSY)
            return rc;
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
    if (walk->pick->now_ms >= side->skip_until_ms) {
        memset(side->skip, 0, length * sizeof(*side->skip));
        side->skip_until_ms = walk->pick->now_ms + SKIP_FOR_MS;
    }
    side->skip[start] = run;
}

/* Walks at most one round; `skipped` says whether what was remembered was believed. */
static int walk_round(struct walk *walk, bool believe, bool *skipped)
{
    struct rem_rr_side *side = walk->side;
    uint32_t left = walk->schedule->length, start = *walk->at, run = 0;

    believe = believe && walk->pick->now_ms < side->skip_until_ms;
    *skipped = false;
    while (left != 0) {
        uint32_t step = believe ? side->skip[*walk->at] : 0;

        if (step != 0) {
            step = step < left ? step : left;
            *skipped = true;
        } else {
            enum rem_turn turn = try_turn(walk);
            if (turn == REM_TURN_TAKEN || turn == REM_TURN_NO_MEMORY) {
                remember_run(walk, start, run);
                count_turn(walk, 1);
                return turn == REM_TURN_TAKEN ? REM_OK : REM_ENOMEM;
            }
            step = 1;
            if (turn == REM_TURN_TRIED || turn == REM_TURN_SLOW) {
                remember_run(walk, start, run);
                count_turn(walk, 1);
                start = *walk->at;
                run = 0;
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
    uint64_t until = walk->pick->now_ms + DEAD_MAX_MS;

    if (walk->pick->saw_tried || walk->pick->saw_slow)
        return; /* true of this request only */
    if (walk->pick->retry_ms < until)
        until = walk->pick->retry_ms;
    if (walk->pick->saw_full && until > walk->pick->now_ms + FULL_FOR_MS)
        until = walk->pick->now_ms + FULL_FOR_MS;
    walk->side->dead_until_ms = until;
    walk->side->dead_recoveries = recoveries;
}

static int walk_large(struct walk *walk)
{
    struct rem_rr_side *side = walk->side;
    /* relaxed: loaded before the servers are looked at, so that a recovery after that is noticed
     * at the latest when its effect is */
    uint64_t recoveries =
        atomic_load_explicit(&walk->pick->state->reader->header->recoveries, memory_order_relaxed);
    bool skipped;
    int rc;

    if (walk->pick->now_ms < side->dead_until_ms && recoveries == side->dead_recoveries)
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
    const struct rem_reader *reader = walk->pick->state->reader;
    uint32_t near = *walk->at + 4, far = *walk->at + 8;

    if (schedule->length <= SHORT_ROUND)
        return;
    near = near < schedule->length ? near : near - schedule->length;
    far = far < schedule->length ? far : far - schedule->length;
    __builtin_prefetch(
        rem_set_server(walk->pick->set, rem_set_turn(walk->pick->set, schedule, far)));
    const struct rem_shm_server *server =
        rem_set_server(walk->pick->set, rem_set_turn(walk->pick->set, schedule, near));
    struct rem_shm_server_slot *slot = rem_reader_slot(reader, server);
    __builtin_prefetch(slot);
    __builtin_prefetch(slot->name);
    __builtin_prefetch(rem_slot_lines(slot) + reader->line, 1);
}

uint64_t rem_balance_ahead(const struct rem_balance_state *state, uint32_t ahead)
{
    const struct rem_shm_schedule *schedule = &state->set->primary;
    uint32_t turn = state->ref->side[REM_SIDE_PRIMARY].at + ahead;

    if (state->set->method != REM_BALANCE_ROUND_ROBIN || schedule->length <= SHORT_ROUND ||
        ahead >= schedule->length)
        return 0;
    turn = turn < schedule->length ? turn : turn - schedule->length;
    if (REM_UNLIKELY(turn >= schedule->length)) /* the place is of an earlier set */
        return 0;
    return rem_set_server(state->set, rem_set_turn(state->set, schedule, turn))->uid;
}

int rem_round_robin_side(struct rem_pick *pick, unsigned side)
{
    struct walk walk = {
        .pick = pick,
        .schedule = rem_pick_schedule(pick, side),
        .side = &pick->state->ref->side[side],
        .at = rem_pick_turn(pick, side),
    };
    bool full = pick->saw_full, slow = pick->saw_slow;
    int rc;

    if (walk.schedule->length == 0)
        return REM_EBUSY;
    /* What is remembered is true of this round alone. */
    pick->retry_ms = UINT64_MAX;
    pick->saw_full = pick->saw_slow = pick->saw_tried = false;
    rc = walk.schedule->length <= SMALL_ROUND ? walk_small(&walk) : walk_large(&walk);
    if (rc == REM_OK)
        prefetch(&walk);
    pick->saw_full |= full;
    pick->saw_slow |= slow;
    return rc;
}
