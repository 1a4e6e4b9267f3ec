/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/balance/balance_priv.h"

#include <stdlib.h>

void rem_balance_init(struct rem_balance_state *state, struct rem_reader *reader,
                      struct rem_upstream_ref *ref)
{
    *state = (struct rem_balance_state){.reader = reader, .ref = ref};
}

void rem_balance_fini(struct rem_balance_state *state)
{
    const struct rem_pin_report nothing = {.outcome = REM_OUTCOME_NEUTRAL};

    rem_pin_done(&state->pin, &nothing, 0);
    free(state->tried.more);
    state->tried = (struct rem_tried){0};
}

/* ---- trying a server ---- */

/* A server that came back `elapsed` ago gets that part of its turns. */
static bool warm_enough(struct rem_pick *pick, const struct rem_shm_server *server,
                        struct rem_shm_server_slot *slot)
{
    /* relaxed: a hint */
    uint64_t from = atomic_load_explicit(&slot->slow_from_ms, memory_order_relaxed);
    uint64_t elapsed = pick->now_ms > from ? pick->now_ms - from : 0;

    if (from == 0 || elapsed >= server->slow_start_ms || pick->hurry ||
        pick->set->set_flags & REM_SET_SINGLE || !rem_balance_has_slow_start(pick->set->method))
        return true;
    return (uint64_t)rem_balance_dice(pick->state) * server->slow_start_ms <
           elapsed * ((uint64_t)1 << 24);
}

enum rem_turn rem_balance_try(struct rem_pick *pick, uint32_t index)
{
    struct rem_balance_state *state = pick->state;
    const struct rem_shm_server *server = rem_set_server(pick->set, index);
    struct rem_shm_server_slot *slot = rem_reader_slot(state->reader, server);
    uint64_t retry_ms;

    if (REM_UNLIKELY(state->tried.count != 0) && rem_tried_has(&state->tried, server->uid)) {
        pick->saw_tried = true;
        return REM_TURN_TRIED;
    }
    if (!rem_server_available(pick->set, server, slot, pick->now_ms, &retry_ms)) {
        if (retry_ms < pick->retry_ms)
            pick->retry_ms = retry_ms;
        return REM_TURN_FAILED;
    }
    if (REM_UNLIKELY(server->slow_start_ms != 0) && !warm_enough(pick, server, slot)) {
        pick->saw_slow = true;
        return REM_TURN_SLOW;
    }
    if (rem_pin_take(state->reader, pick->set, server, pick->now_ms, &state->pin) != REM_OK) {
        pick->saw_full = true;
        return REM_TURN_FULL;
    }
    if (REM_UNLIKELY(rem_tried_add(&state->tried, server->uid) != REM_OK)) {
        const struct rem_pin_report nothing = {.outcome = REM_OUTCOME_NEUTRAL};
        rem_pin_done(&state->pin, &nothing, pick->now_ms);
        return REM_TURN_NO_MEMORY;
    }
    state->set = pick->set;
    state->index = index;
    return REM_TURN_TAKEN;
}

int rem_balance_try_up(struct rem_pick *pick, uint32_t index)
{
    if (rem_set_server(pick->set, index)->flags & (REM_SERVER_DOWN | REM_SERVER_DRAIN))
        return REM_EBUSY;
    return rem_turn_result(rem_balance_try(pick, index));
}

/* The server the client is to stay with; one that is drained serves just such clients. */
static int pick_route(struct rem_pick *pick, unsigned side)
{
    uint32_t backup = side == REM_SIDE_BACKUP ? REM_SERVER_BACKUP : 0;
    uint32_t place = 0, index;

    while ((index = rem_set_route(pick->set, pick->state->route, &place)) != REM_SHM_NONE) {
        uint32_t flags = rem_set_server(pick->set, index)->flags;

        if ((flags & REM_SERVER_BACKUP) != backup || flags & REM_SERVER_DOWN)
            continue;
        int rc = rem_turn_result(rem_balance_try(pick, index));
        if (rc != REM_EBUSY)
            return rc;
    }
    return REM_EBUSY;
}

static rem_pick_side_fn method_of(const struct rem_shm_set *set)
{
    static const rem_pick_side_fn methods[] = {
        [REM_BALANCE_ROUND_ROBIN] = rem_round_robin_side,
        [REM_BALANCE_LEAST_CONN] = rem_least_conn_side,
        [REM_BALANCE_LEAST_TIME] = rem_least_time_side,
        [REM_BALANCE_RANDOM] = rem_random_side,
        [REM_BALANCE_IP_HASH] = rem_ip_hash_side,
        [REM_BALANCE_HASH] = rem_hash_plain_side,
        [REM_BALANCE_HASH_CONSISTENT] = rem_hash_consistent_side,
    };

    return set->method < REM_COUNT(methods) ? methods[set->method] : rem_round_robin_side;
}

static int pick_side(struct rem_pick *pick, unsigned side)
{
    int rc = REM_EBUSY;

    if (REM_UNLIKELY(pick->state->route != 0)) {
        bool hurry = pick->hurry;
        pick->hurry = true; /* clients that stay know no warming up */
        rc = pick_route(pick, side);
        pick->hurry = hurry;
    }
    if (rc == REM_EBUSY && rem_pick_schedule(pick, side)->length != 0)
        rc = method_of(pick->set)(pick, side);
    return rc;
}

int rem_balance_pick(struct rem_balance_state *state, uint64_t now_ms)
{
    struct rem_pick pick = {.state = state, .now_ms = now_ms, .retry_ms = UINT64_MAX};
    int rc;

    REM_CHECK(state->pin.slot == NULL);
    state->full = false;
    pick.set = rem_reader_find(state->reader, state->ref);
    if (pick.set == NULL)
        return REM_ENOTFOUND;
    rc = pick_side(&pick, REM_SIDE_PRIMARY);
    if (REM_LIKELY(rc == REM_OK))
        return REM_OK;
    if (rc == REM_EBUSY && pick.saw_slow) {
        pick.hurry = true;
        rc = pick_side(&pick, REM_SIDE_PRIMARY);
    }
    if (rc == REM_EBUSY) {
        pick.hurry = true; /* backups are the last resort, warm or not */
        rc = pick_side(&pick, REM_SIDE_BACKUP);
    }
    if (rc == REM_EBUSY) {
        rem_upstream_count(&state->ref->line->no_live);
        state->full = pick.saw_full;
    }
    return rc;
}

void rem_balance_done(struct rem_balance_state *state, const struct rem_pin_report *report,
                      uint64_t now_ms)
{
    rem_pin_done(&state->pin, report, now_ms);
}

/* ---- the servers a request has been to ---- */

/* Where `uid` is, or the empty place where it would be. */
static uint32_t place(const uint64_t *table, uint32_t size, uint64_t uid)
{
    uint32_t at = (uint32_t)(uid * 0x9e3779b97f4a7c15ULL >> 32) & (size - 1);

    while (table[at] != 0 && table[at] != uid)
        at = (at + 1) & (size - 1);
    return at;
}

bool rem_tried_has(const struct rem_tried *tried, uint64_t uid)
{
    if (tried->size != 0)
        return tried->more[place(tried->more, tried->size, uid)] == uid;
    for (uint32_t i = 0; i < tried->count; i++)
        if (tried->few[i] == uid)
            return true;
    return false;
}

/* Moves to a table of twice the room. */
static int grow(struct rem_tried *tried)
{
    uint32_t size = tried->size != 0 ? tried->size * 2 : 4 * REM_TRIED_INLINE;
    const uint64_t *old = tried->size != 0 ? tried->more : tried->few;
    uint32_t old_size = tried->size != 0 ? tried->size : tried->count;
    uint64_t *table = calloc(size, sizeof(*table));

    if (table == NULL)
        return REM_ENOMEM;
    for (uint32_t i = 0; i < old_size; i++)
        if (old[i] != 0)
            table[place(table, size, old[i])] = old[i];
    free(tried->more);
    tried->more = table;
    tried->size = size;
    return REM_OK;
}

int rem_tried_add(struct rem_tried *tried, uint64_t uid)
{
    bool full =
        tried->size != 0 ? tried->count * 2 >= tried->size : tried->count == REM_TRIED_INLINE;

    if (rem_tried_has(tried, uid))
        return REM_OK;
    if (full) {
        int rc = grow(tried);
        if (rc != REM_OK)
            return rc;
    }
    if (tried->size != 0)
        tried->more[place(tried->more, tried->size, uid)] = uid;
    else
        tried->few[tried->count] = uid;
    tried->count++;
    return REM_OK;
}
