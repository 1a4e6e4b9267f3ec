/* SPDX-License-Identifier: Apache-2.0 */
/* balance_priv.h - what the methods share: a pick in progress, and trying one server.  */
#ifndef REM_BALANCE_BALANCE_PRIV_H
#define REM_BALANCE_BALANCE_PRIV_H

#include "proxy/upstream/balance/balance.h"

/* One pick, over both sides. */
struct rem_pick {
    struct rem_balance_state *state;
    const struct rem_shm_set *set;
    uint64_t now_ms;
    uint64_t retry_ms; /* the earliest time a failed server may be probed */
    bool hurry;        /* take a server that is warming up, there is no other */
    bool saw_full, saw_tried, saw_slow;
};

/* What became of trying a server. */
enum rem_turn {
    REM_TURN_TAKEN = 0,
    REM_TURN_FAILED, /* by its failures or its health, `retry_ms` says until when */
    REM_TURN_FULL,   /* max_conns */
    REM_TURN_TRIED,  /* this request has been there */
    REM_TURN_SLOW,   /* still warming up, and the dice said no */
    REM_TURN_NO_MEMORY,
};

enum { REM_SIDE_PRIMARY = 0, REM_SIDE_BACKUP = 1 };

/* What a method is: takes a server of one side.  Errors: REM_EBUSY, REM_ENOMEM. */
typedef int (*rem_pick_side_fn)(struct rem_pick *pick, unsigned side);

int rem_round_robin_side(struct rem_pick *pick, unsigned side); /* also what others fall back to */
int rem_least_conn_side(struct rem_pick *pick, unsigned side);
int rem_least_time_side(struct rem_pick *pick, unsigned side);
int rem_random_side(struct rem_pick *pick, unsigned side);
int rem_ip_hash_side(struct rem_pick *pick, unsigned side);
int rem_hash_plain_side(struct rem_pick *pick, unsigned side);
int rem_hash_consistent_side(struct rem_pick *pick, unsigned side);

/* Takes that server, if it can be had.  Whether it is down or drained is the caller's to know. */
enum rem_turn rem_balance_try(struct rem_pick *pick, uint32_t index);

/* What a side returns after that; REM_EBUSY: it may try another server. */
static inline int rem_turn_result(enum rem_turn turn)
{
    if (REM_LIKELY(turn == REM_TURN_TAKEN))
        return REM_OK;
    return turn == REM_TURN_NO_MEMORY ? REM_ENOMEM : REM_EBUSY;
}

/* For methods that go by a share of all servers: takes that one unless it is down or drained.
 * Results as of a side. */
int rem_balance_try_up(struct rem_pick *pick, uint32_t index);

static inline const struct rem_shm_schedule *rem_pick_schedule(const struct rem_pick *pick,
                                                               unsigned side)
{
    return side == REM_SIDE_PRIMARY ? &pick->set->primary : &pick->set->backup;
}

/* The side's next turn, in its schedule.  Requests that have been to a server take turns of their
 * own: who is asked instead of another loses no turn of first tries by it; of two servers, the one
 * that fails would otherwise always be next. */
static inline uint32_t *rem_pick_turn(const struct rem_pick *pick, unsigned side)
{
    struct rem_rr_side *own = &pick->state->ref->side[side];
    uint32_t *at = pick->state->tried.count == 0 ? &own->at : &own->retry_at;

    if (REM_UNLIKELY(*at >= rem_pick_schedule(pick, side)->length))
        *at = 0; /* the set has changed, or is empty */
    return at;
}

/* A number below 2^24 and the state's next. */
static inline uint32_t rem_balance_dice(struct rem_balance_state *state)
{
    state->ref->dither = state->ref->dither * 1664525u + 1013904223u;
    return state->ref->dither >> 8;
}

/* How busy a server is; the smallest is the best. */
typedef uint64_t (*rem_score_fn)(const struct rem_pick *pick, const struct rem_shm_server *server);

/* scan.c: takes the server with the smallest score of a side, the one whose turn comes first among
 * equals.  Exact up to REM_SCAN_ALL servers in the set; beyond, the best of the next REM_SCAN_SOME
 * turns. */
enum { REM_SCAN_ALL = 64, REM_SCAN_SOME = 32 };
int rem_scan_side(struct rem_pick *pick, unsigned side, rem_score_fn score);

/* least_conn.c, least_time.c */
uint64_t rem_least_conn_score(const struct rem_pick *pick, const struct rem_shm_server *server);
uint64_t rem_least_time_score(const struct rem_pick *pick, const struct rem_shm_server *server);

/* Requests that hold the server, over all workers. */
static inline int32_t rem_pick_active(const struct rem_pick *pick,
                                      const struct rem_shm_server *server)
{
    struct rem_reader *reader = pick->state->reader;
    struct rem_shm_line *lines = rem_slot_lines(rem_reader_slot(reader, server));
    int32_t active = 0;

    for (uint32_t i = 0; i < reader->lines; i++)
        /* relaxed: a hint */
        active += atomic_load_explicit(&lines[i].active, memory_order_relaxed);
    return active > 0 ? active : 0;
}

#endif
