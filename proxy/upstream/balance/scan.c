/* SPDX-License-Identifier: Apache-2.0 */
/* scan.c - the least busy server of a side.
 *
 * Small sets are looked at in full, so that the choice is exact.  In large ones every pick looks at
 * the next turns of the round, as many as keeps its cost the same whatever the number of servers;
 * the turns move on with each pick, so that all servers are looked at in the same proportions. */
#include "proxy/upstream/balance/balance_priv.h"

enum { TIE_STEPS = 4 * REM_SCAN_ALL };

/* Up to REM_SCAN_ALL servers to choose from. */
struct candidates {
    uint32_t index[REM_SCAN_ALL]; /* in the set */
    uint32_t turn[REM_SCAN_ALL];  /* of a large set: where in the round */
    uint32_t count;
    uint64_t gone; /* bits of those that cannot be had */
};

static bool takes_part(const struct rem_shm_server *server, unsigned side)
{
    uint32_t backup = side == REM_SIDE_BACKUP ? REM_SERVER_BACKUP : 0;

    return (server->flags & (REM_SERVER_BACKUP | REM_SERVER_DOWN | REM_SERVER_DRAIN)) == backup;
}

static void gather_all(const struct rem_pick *pick, unsigned side, struct candidates *list)
{
    for (uint32_t i = 0; i < pick->set->count; i++)
        if (takes_part(rem_set_server(pick->set, i), side))
            list->index[list->count++] = i;
}

static void gather_some(const struct rem_pick *pick, unsigned side, struct candidates *list)
{
    const struct rem_shm_schedule *schedule = rem_pick_schedule(pick, side);
    uint32_t at = *rem_pick_turn(pick, side);

    for (uint32_t i = 0; i < REM_SCAN_SOME && i < schedule->length; i++) {
        list->turn[list->count] = at;
        list->index[list->count++] = rem_set_turn(pick->set, schedule, at);
        at = at + 1 < schedule->length ? at + 1 : 0;
    }
}

/* Bits of the candidates with the smallest score. */
static uint64_t find_best(const struct rem_pick *pick, const struct candidates *list,
                          rem_score_fn score)
{
    uint64_t best = UINT64_MAX, bits = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->gone & UINT64_C(1) << i)
            continue;
        uint64_t mine = score(pick, rem_set_server(pick->set, list->index[i]));
        if (mine > best)
            continue;
        bits = (mine == best ? bits : 0) | UINT64_C(1) << i;
        best = mine;
    }
    return bits;
}

static uint32_t place_of(const struct candidates *list, uint32_t index)
{
    uint32_t i = 0;

    while (i < list->count && list->index[i] != index)
        i++;
    return i;
}

/* Of several equals, the one whose turn comes first; `*turn` is where in the round. */
static uint32_t choose(const struct rem_pick *pick, unsigned side, const struct candidates *list,
                       uint64_t bits, uint32_t *turn)
{
    const struct rem_shm_schedule *schedule = rem_pick_schedule(pick, side);
    uint32_t at = *rem_pick_turn(pick, side), first = (uint32_t)__builtin_ctzll(bits);

    *turn = at;
    if (pick->set->count > REM_SCAN_ALL) {
        *turn = list->turn[first]; /* they stand in the order of their turns */
        return first;
    }
    for (uint32_t i = 0; i < TIE_STEPS && i < schedule->length; i++) {
        uint32_t place = place_of(list, rem_set_turn(pick->set, schedule, at));
        if (place < list->count && bits & UINT64_C(1) << place) {
            *turn = at;
            return place;
        }
        at = at + 1 < schedule->length ? at + 1 : 0;
    }
    return first; /* its turn is far: there are others with much more weight, which are busier */
}

int rem_scan_side(struct rem_pick *pick, unsigned side, rem_score_fn score)
{
    const struct rem_shm_schedule *schedule = rem_pick_schedule(pick, side);
    uint32_t *at = rem_pick_turn(pick, side);
    struct candidates list = {.count = 0};
    uint64_t bits;
    uint32_t turn;

    if (pick->set->count <= REM_SCAN_ALL)
        gather_all(pick, side, &list);
    else
        gather_some(pick, side, &list);
    while ((bits = find_best(pick, &list, score)) != 0) {
        uint32_t place = choose(pick, side, &list, bits, &turn);
        int rc = rem_turn_result(rem_balance_try(pick, list.index[place]));

        if (rc == REM_OK)
            *at = turn + 1 < schedule->length ? turn + 1 : 0;
        if (rc != REM_EBUSY)
            return rc;
        list.gone |= UINT64_C(1) << place;
    }
    /* None of those looked at; a large set has more. */
    return pick->set->count <= REM_SCAN_ALL ? REM_EBUSY : rem_round_robin_side(pick, side);
}
