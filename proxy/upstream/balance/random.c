/* SPDX-License-Identifier: Apache-2.0 */
/* random.c - any server, in proportion to the weights; with `two`, the less busy of two such. */
#include "proxy/upstream/balance/balance_priv.h"

enum { TRIES = 20 }; /* before round robin finds whoever is left */

static uint32_t throw(const struct rem_pick *pick, const struct rem_shm_schedule *schedule)
{
    uint64_t dice = rem_balance_dice(pick->state);

    return rem_set_turn(pick->set, schedule, (uint32_t)(dice * schedule->length >> 24));
}

/* The better of one server and another. */
static uint32_t better(const struct rem_pick *pick, const struct rem_shm_schedule *schedule,
                       uint32_t one)
{
    rem_score_fn score =
        pick->set->method_flags & REM_METHOD_BY_TIME ? rem_least_time_score : rem_least_conn_score;
    uint32_t other = throw(pick, schedule);

    for (int i = 0; i < TRIES && other == one; i++)
        other = throw(pick, schedule);
    return score(pick, rem_set_server(pick->set, other)) <
                   score(pick, rem_set_server(pick->set, one))
               ? other
               : one;
}

static int pick_side(struct rem_pick *pick, unsigned side)
{
    const struct rem_shm_schedule *schedule = rem_pick_schedule(pick, side);
    bool two = pick->set->method_flags & REM_METHOD_TWO && schedule->servers > 1;

    for (int i = 0; i < TRIES; i++) {
        uint32_t index = throw(pick, schedule);
        if (two)
            index = better(pick, schedule, index);
        switch (rem_balance_try(pick, index)) {
        case REM_TURN_TAKEN:
            return REM_OK;
        case REM_TURN_NO_MEMORY:
            return REM_ENOMEM;
        default:
            break;
        }
    }
    return rem_round_robin_side(pick, side);
}

static int pick_server(struct rem_balance_state *state, uint64_t now_ms)
{
    return rem_balance_pick(state, now_ms, pick_side);
}

const struct rem_balancer rem_random = {
    .name = "random",
    .pick = pick_server,
    .done = rem_balance_done,
};
