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

int rem_random_side(struct rem_pick *pick, unsigned side)
{
    const struct rem_shm_schedule *schedule = rem_pick_schedule(pick, side);
    bool two = pick->set->method_flags & REM_METHOD_TWO && schedule->servers > 1;

    for (int i = 0; i < TRIES; i++) {
        uint32_t index = throw(pick, schedule);
        int rc;

        if (two)
            index = better(pick, schedule, index);
        rc = rem_turn_result(rem_balance_try(pick, index));
        if (rc != REM_EBUSY)
            return rc;
    }
    return rem_round_robin_side(pick, side);
}
