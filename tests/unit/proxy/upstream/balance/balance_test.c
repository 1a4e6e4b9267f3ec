/* SPDX-License-Identifier: Apache-2.0 */
/* What all methods promise, and what each is about. */
#include "proxy/upstream/balance/balance_priv.h"

#include "tests/unit/proxy/upstream/balance/fixture.h"
#include "tests/unit/suite.h"

static const struct rem_pin_report fine = {
    .outcome = REM_OUTCOME_OK, .header_ms = 1, .response_ms = 1};

static void begin(struct rem_balance_state *state, uint32_t number)
{
    static struct rem_addr client;
    static char key[16];

    rem_balance_init(state, &reader, &ref);
    client.len = sizeof(client.u.in);
    client.u.in.sin_family = AF_INET;
    client.u.in.sin_addr.s_addr = htonl(number * 2654435761u);
    state->client = &client;
    state->key = rem_str_make(key, (size_t)snprintf(key, sizeof(key), "k%u", number));
}

static const struct {
    uint32_t method, flags;
} methods[] = {
    {REM_BALANCE_ROUND_ROBIN, 0},
    {REM_BALANCE_LEAST_CONN, 0},
    {REM_BALANCE_LEAST_TIME, 0},
    {REM_BALANCE_LEAST_TIME, REM_METHOD_LAST_BYTE | REM_METHOD_INFLIGHT},
    {REM_BALANCE_RANDOM, 0},
    {REM_BALANCE_RANDOM, REM_METHOD_TWO},
    {REM_BALANCE_RANDOM, REM_METHOD_TWO | REM_METHOD_BY_TIME},
    {REM_BALANCE_IP_HASH, 0},
    {REM_BALANCE_HASH, 0},
    {REM_BALANCE_HASH_CONSISTENT, 0},
};

/* Whatever the method: each server once, down ones never, then nobody. */
START_TEST(tries_each_server_once)
{
    static const uint32_t counts[] = {1, 5, 64, 65, 200};
    const struct rem_pin_report neutral = {.outcome = REM_OUTCOME_NEUTRAL};

    for (size_t c = 0; c < REM_COUNT(counts); c++) {
        struct rem_balance_state state;
        bool seen[200] = {false};
        uint32_t live = counts[c] > 2 ? counts[c] - 2 : counts[c];

        many[1].flags = REM_SERVER_DOWN;
        many[2].flags = REM_SERVER_DRAIN;
        many[3].weight = 9;
        publish(methods[_i].method, methods[_i].flags, counts[c]);
        begin(&state, 7);
        for (uint32_t i = 0; i < live; i++) {
            ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
            ck_assert_uint_lt(picked(&state), counts[c]);
            ck_assert_msg(!seen[picked(&state)], "%u: %u again", methods[_i].method,
                          picked(&state));
            ck_assert_msg(many[picked(&state)].flags == 0, "%u: %u", methods[_i].method,
                          picked(&state));
            seen[picked(&state)] = true;
            rem_balance_done(&state, &neutral, 10);
        }
        ck_assert_int_eq(rem_balance_pick(&state, 10), REM_EBUSY);
        rem_balance_fini(&state);
    }
}
END_TEST

/* max_conns holds for every method, and a failed server is left alone. */
START_TEST(respects_limits_and_failures)
{
    const struct rem_pin_report fail = {.outcome = REM_OUTCOME_FAIL};
    struct rem_balance_state state[8];
    uint32_t dead;

    for (uint32_t i = 0; i < 4; i++)
        many[i].max_conns = 1;
    publish(methods[_i].method, methods[_i].flags, 4);
    begin(&state[0], 0);
    ck_assert_int_eq(rem_balance_pick(&state[0], 10), REM_OK);
    dead = picked(&state[0]);
    rem_balance_done(&state[0], &fail, 10);
    rem_balance_fini(&state[0]);
    for (uint32_t i = 0; i < 3; i++) {
        begin(&state[i], i);
        ck_assert_int_eq(rem_balance_pick(&state[i], 20), REM_OK);
        ck_assert_uint_ne(picked(&state[i]), dead);
    }
    begin(&state[3], 3);
    ck_assert_int_eq(rem_balance_pick(&state[3], 20), REM_EBUSY);
    ck_assert(state[3].full);
    rem_balance_done(&state[1], &fine, 20);
    ck_assert_int_eq(rem_balance_pick(&state[3], 20), REM_OK);
    for (uint32_t i = 0; i < 4; i++)
        rem_balance_fini(&state[i]);
}
END_TEST

/* The same key, the same server; all servers in about their proportion. */
START_TEST(hashes_spread_and_stay)
{
    static const uint32_t which[] = {REM_BALANCE_IP_HASH, REM_BALANCE_HASH,
                                     REM_BALANCE_HASH_CONSISTENT};
    uint32_t hits[10] = {0}, before[2000];

    many[4].weight = 3;
    publish(which[_i], 0, 10);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 2000; i++) {
            struct rem_balance_state state;
            begin(&state, i);
            ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
            ck_assert_uint_eq(rem_set_server(state.set, state.index)->id, state.pin.id);
            if (round == 0)
                before[i] = picked(&state);
            ck_assert_uint_eq(before[i], picked(&state));
            hits[picked(&state)]++;
            rem_balance_done(&state, &fine, 10);
            rem_balance_fini(&state);
        }
    }
    for (uint32_t i = 0; i < 10; i++) {
        uint32_t share = 4000 / 12 * many[i].weight;
        ck_assert_msg(hits[i] > share / 2 && hits[i] < share * 2, "server %u: %u of %u", i, hits[i],
                      share);
    }
}
END_TEST

START_TEST(least_conn_goes_by_connections_and_weight)
{
    struct rem_balance_state state[12];
    uint32_t hits[3] = {0};

    many[0].weight = 2;
    publish(REM_BALANCE_LEAST_CONN, 0, 3);
    for (uint32_t i = 0; i < 12; i++) {
        begin(&state[i], i);
        ck_assert_int_eq(rem_balance_pick(&state[i], 10), REM_OK);
        hits[picked(&state[i])]++;
    }
    ck_assert_uint_eq(hits[0], 6);
    ck_assert_uint_eq(hits[1], 3);
    ck_assert_uint_eq(hits[2], 3);
    for (uint32_t i = 0; i < 12; i++) {
        rem_balance_done(&state[i], &fine, 10);
        rem_balance_fini(&state[i]);
    }
}
END_TEST

/* Among thousands nobody gets a second request while others have none. */
START_TEST(least_conn_is_fair_in_large_sets)
{
    static struct rem_balance_state state[MANY];
    static uint32_t hits[MANY];

    memset(hits, 0, sizeof(hits));
    publish(REM_BALANCE_LEAST_CONN, 0, MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        begin(&state[i], i);
        ck_assert_int_eq(rem_balance_pick(&state[i], 10), REM_OK);
        hits[picked(&state[i])]++;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_uint_eq(hits[i], 1);
        rem_balance_done(&state[i], &fine, 10);
        rem_balance_fini(&state[i]);
    }
}
END_TEST

/* A request to whoever is best just now; 5 ms whoever that is. */
static void ask_fast(uint64_t now)
{
    struct rem_balance_state state;

    begin(&state, 0);
    ck_assert_int_eq(rem_balance_pick(&state, now), REM_OK);
    rem_balance_done(&state, &(struct rem_pin_report){.outcome = REM_OUTCOME_OK, .header_ms = 5},
                     now);
    rem_balance_fini(&state);
}

START_TEST(least_time_prefers_the_fast_and_forgets)
{
    struct rem_balance_state state;
    uint32_t slow_hits = 0;

    publish(REM_BALANCE_LEAST_TIME, 0, 2);
    for (uint32_t i = 0; i < 50; i++) {
        struct rem_pin_report report = fine;
        begin(&state, i);
        ck_assert_int_eq(rem_balance_pick(&state, 10 + i), REM_OK);
        report.header_ms = picked(&state) == 0 ? 200 : 5;
        slow_hits += picked(&state) == 0;
        rem_balance_done(&state, &report, 10 + i);
        rem_balance_fini(&state);
    }
    ck_assert_uint_eq(slow_hits, 1);
    /* Much later it has another chance, and what it was is forgotten. */
    for (uint32_t i = 0; i < 50; i++) {
        uint64_t now = 10000000 + i;
        if (i == 0) { /* the fast one goes on being asked meanwhile */
            for (uint64_t t = 1000; t < now; t += 1000)
                ask_fast(t);
        }
        begin(&state, i);
        ck_assert_int_eq(rem_balance_pick(&state, now), REM_OK);
        slow_hits += picked(&state) == 0;
        rem_balance_done(&state,
                         &(struct rem_pin_report){.outcome = REM_OUTCOME_OK, .header_ms = 5}, now);
        rem_balance_fini(&state);
    }
    ck_assert_uint_gt(slow_hits, 10);
}
END_TEST

START_TEST(a_route_comes_first_but_not_when_down_or_tried)
{
    const struct rem_pin_report neutral = {.outcome = REM_OUTCOME_NEUTRAL};
    struct rem_balance_state state;

    many[2].route = REM_STR("r2");
    many[2].flags = REM_SERVER_DRAIN;
    publish(methods[_i].method, methods[_i].flags, 4);
    for (uint32_t i = 0; i < 8; i++) {
        begin(&state, i);
        state.route = rem_hash("r2", 2);
        ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
        ck_assert_uint_eq(picked(&state), 2);
        rem_balance_done(&state, &neutral, 10);
        ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
        ck_assert_uint_ne(picked(&state), 2);
        rem_balance_done(&state, &neutral, 10);
        rem_balance_fini(&state);
    }
    many[2].flags = REM_SERVER_DOWN;
    publish(methods[_i].method, methods[_i].flags, 4);
    begin(&state, 1);
    state.route = rem_hash("r2", 2);
    ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
    ck_assert_uint_ne(picked(&state), 2);
    rem_balance_fini(&state);
}
END_TEST

int main(void)
{
    TCase *all = tcase_create("all");

    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, tries_each_server_once, 0, REM_COUNT(methods));
    tcase_add_loop_test(all, respects_limits_and_failures, 0, REM_COUNT(methods));
    tcase_add_loop_test(all, a_route_comes_first_but_not_when_down_or_tried, 0, REM_COUNT(methods));
    tcase_add_loop_test(all, hashes_spread_and_stay, 0, 3);
    tcase_add_test(all, least_conn_goes_by_connections_and_weight);
    tcase_add_test(all, least_conn_is_fair_in_large_sets);
    tcase_add_test(all, least_time_prefers_the_fast_and_forgets);
    return run_suite("balance", all);
}
