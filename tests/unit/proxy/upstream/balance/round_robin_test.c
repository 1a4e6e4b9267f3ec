/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/balance/balance_priv.h"

#include "tests/unit/proxy/upstream/balance/fixture.h"

/* One request with one try.  Returns the server's index, or REM_E*. */
static int request(enum rem_outcome outcome, uint64_t now_ms)
{
    const struct rem_pin_report report = {.outcome = outcome};
    struct rem_balance_state state;
    int result;

    rem_balance_init(&state, &reader, &ref);
    result = rem_balance_pick(&state, now_ms);
    if (result == REM_OK)
        result = (int)picked(&state);
    rem_balance_done(&state, &report, now_ms);
    rem_balance_fini(&state);
    return result;
}

START_TEST(takes_weighted_turns)
{
    static const int order[] = {0, 0, 1, 0, 2, 0, 0};

    many[0].weight = 5;
    publish(REM_BALANCE_ROUND_ROBIN, 0, 3);
    for (int i = 0; i < 70; i++)
        ck_assert_int_eq(request(REM_OUTCOME_OK, 10), order[i % 7]);
}
END_TEST

START_TEST(knows_when_there_is_nobody)
{
    ck_assert_int_eq(request(REM_OUTCOME_OK, 10), REM_ENOTFOUND);
    publish(REM_BALANCE_ROUND_ROBIN, 0, 0);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 10), REM_EBUSY);
    many[0].flags = REM_SERVER_DOWN;
    publish(REM_BALANCE_ROUND_ROBIN, 0, 1);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 10), REM_EBUSY);
    ck_assert_uint_eq(atomic_load(&ref.line->no_live), 2);
}
END_TEST

/* A request goes to each server once, primaries before backups, then there is nobody left; a swap
 * in between does no harm. */
START_TEST(tries_each_server_once)
{
    const struct rem_pin_report neutral = {.outcome = REM_OUTCOME_NEUTRAL};
    uint32_t count = _i == 0 ? 5 : 300;
    struct rem_balance_state state;
    bool seen[300] = {false};

    many[1].flags = many[2].flags = REM_SERVER_BACKUP;
    many[0].weight = 3;
    publish(REM_BALANCE_ROUND_ROBIN, 0, count);
    rem_balance_init(&state, &reader, &ref);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
        ck_assert(!seen[picked(&state)]);
        ck_assert((picked(&state) == 1 || picked(&state) == 2) == (i >= count - 2));
        seen[picked(&state)] = true;
        rem_balance_done(&state, &neutral, 10);
        if (i % 3 == 1)
            publish(REM_BALANCE_ROUND_ROBIN, 0, count);
    }
    ck_assert_int_eq(rem_balance_pick(&state, 10), REM_EBUSY);
    rem_balance_fini(&state);
    /* the next request begins anew */
    ck_assert_int_ge(request(REM_OUTCOME_OK, 10), 0);
}
END_TEST

START_TEST(retries_do_not_follow_a_removed_server)
{
    const struct rem_pin_report fail = {.outcome = REM_OUTCOME_FAIL};
    struct rem_balance_state state;

    publish(REM_BALANCE_ROUND_ROBIN, 0, 2);
    rem_balance_init(&state, &reader, &ref);
    ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
    ck_assert_uint_eq(picked(&state), 0);
    struct rem_upstream_spec spec = {
        .name = REM_STR("app"), .servers = many + 10, .server_count = 1};
    struct rem_commit commit;
    rem_reader_quiesce(&reader);
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    rem_balance_done(&state, &fail, 10); /* its slot is a zombie, and still there */
    ck_assert_int_eq(rem_balance_pick(&state, 10), REM_OK);
    ck_assert_uint_eq(picked(&state), 10);
    rem_balance_fini(&state);
}
END_TEST

START_TEST(fails_over_and_comes_back)
{
    publish(REM_BALANCE_ROUND_ROBIN, 0, 3);
    ck_assert_int_eq(request(REM_OUTCOME_FAIL, 5000), 0);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 5000), 1);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 5000), 2);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 5000), 1);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 5000), 2);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6001), 0);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6001), 1);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6001), 2);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6001), 0);
    /* all fail: nobody, until the first may be probed */
    for (int i = 0; i < 3; i++)
        ck_assert_int_ge(request(REM_OUTCOME_FAIL, 7000), 0);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 8000), REM_EBUSY);
    ck_assert_int_ge(request(REM_OUTCOME_OK, 8001), 0);
}
END_TEST

/* Thousands of failed servers: still found are all the live ones, each as often as the others, and
 * those that come back; a pick looks at few. */
START_TEST(many_failed_servers)
{
    static const uint32_t live[] = {17, 18, 2500, 4999};
    uint32_t turns[MANY] = {0};

    publish(REM_BALANCE_ROUND_ROBIN, 0, MANY);
    for (uint32_t i = 0; i < MANY; i++)
        ck_assert_int_eq(request(i == live[0] || i == live[1] || i == live[2] || i == live[3]
                                     ? REM_OUTCOME_OK
                                     : REM_OUTCOME_FAIL,
                                 5000),
                         (int)i);
    for (uint32_t i = 0; i < 4000; i++) {
        int at = request(REM_OUTCOME_OK, 5000 + i / 100);
        ck_assert_int_ge(at, 0);
        turns[at]++;
    }
    for (size_t i = 0; i < REM_COUNT(live); i++)
        ck_assert_uint_eq(turns[live[i]], 1000);
    /* the live ones fail too */
    for (size_t i = 0; i < REM_COUNT(live); i++)
        ck_assert_int_ge(request(REM_OUTCOME_FAIL, 5500), 0);
    for (int i = 0; i < 100000; i++)
        ck_assert_int_eq(request(REM_OUTCOME_OK, 5600), REM_EBUSY);
    /* and after their time all are tried again, no server is forgotten */
    memset(turns, 0, sizeof(turns));
    for (uint32_t i = 0; i < MANY; i++) {
        int at = request(REM_OUTCOME_OK, 6600);
        ck_assert_int_ge(at, 0);
        turns[at]++;
    }
    for (uint32_t i = 0; i < MANY; i++)
        ck_assert_msg(turns[i] == 1, "server %u: %u turns", i, turns[i]);
}
END_TEST

/* Another worker's probe brings a server back: that ends "nobody is live" at once. */
START_TEST(recovery_elsewhere_is_noticed)
{
    const struct rem_pin_report ok = {.outcome = REM_OUTCOME_OK};
    struct rem_reader other;
    struct rem_pin probe = {0};

    fix_worker(&fix, &other);
    publish(REM_BALANCE_ROUND_ROBIN, 0, 100);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(request(REM_OUTCOME_FAIL, 5000), i);
    const struct rem_shm_set *set = rem_reader_find(&reader, &ref);
    ck_assert_int_eq(rem_pin_take(&other, set, rem_set_server(set, 42), 6001, &probe), REM_OK);
    for (int i = 0; i < 99; i++)
        ck_assert_int_ne(request(REM_OUTCOME_FAIL, 6001), 42);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6002), REM_EBUSY);
    rem_pin_done(&probe, &ok, 6003);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 6003), 42);
}
END_TEST

START_TEST(full_servers_are_passed_over)
{
    struct rem_balance_state states[201];
    const struct rem_pin_report ok = {.outcome = REM_OUTCOME_OK};
    uint32_t count = _i == 0 ? 2 : 100;

    for (uint32_t i = 0; i < count; i++)
        many[i].max_conns = 2;
    publish(REM_BALANCE_ROUND_ROBIN, 0, count);
    for (uint32_t i = 0; i < 2 * count; i++) {
        rem_balance_init(&states[i], &reader, &ref);
        ck_assert_int_eq(rem_balance_pick(&states[i], 10), REM_OK);
    }
    ck_assert_int_eq(request(REM_OUTCOME_OK, 10), REM_EBUSY);
    uint32_t freed = picked(&states[count / 2]);
    rem_balance_done(&states[count / 2], &ok, 10);
    ck_assert_int_eq(request(REM_OUTCOME_OK, 15), (int)freed);
    for (uint32_t i = 0; i < 2 * count; i++)
        rem_balance_fini(&states[i]);
}
END_TEST

START_TEST(slow_start_gives_a_growing_share)
{
    uint32_t early = 0, late = 0;

    many[0].slow_start_ms = 10000;
    publish(REM_BALANCE_ROUND_ROBIN, 0, 2);
    ck_assert_int_eq(request(REM_OUTCOME_FAIL, 5000), 0);
    for (int i = 0; i < 2; i++)
        ck_assert_int_ge(request(REM_OUTCOME_OK, 6001), 0);
    for (int i = 0; i < 2000; i++)
        early += request(REM_OUTCOME_OK, 7001) == 0;
    for (int i = 0; i < 2000; i++)
        late += request(REM_OUTCOME_OK, 15001) == 0;
    ck_assert_msg(early > 100 && early < 300, "%u of 2000 at a tenth", early);
    ck_assert_msg(late > 750 && late < 1000, "%u of 2000 at nine tenths", late);
    /* but alone among the living it takes all */
    ck_assert_int_ge(request(REM_OUTCOME_OK, 7001), 0);
    many[1].flags = REM_SERVER_DOWN;
    publish(REM_BALANCE_ROUND_ROBIN, 0, 2);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(request(REM_OUTCOME_OK, 7001), 0);
}
END_TEST

START_TEST(tried_set_grows)
{
    struct rem_tried tried = {0};

    for (uint64_t uid = 1; uid <= 1000; uid++) {
        ck_assert(!rem_tried_has(&tried, uid * 64));
        ck_assert_int_eq(rem_tried_add(&tried, uid * 64), REM_OK);
        ck_assert_int_eq(rem_tried_add(&tried, uid * 64), REM_OK);
        ck_assert_uint_eq(tried.count, uid);
    }
    for (uint64_t uid = 1; uid <= 1000; uid++) {
        ck_assert(rem_tried_has(&tried, uid * 64));
        ck_assert(!rem_tried_has(&tried, uid * 64 + 1));
    }
    free(tried.more);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("round_robin");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, takes_weighted_turns);
    tcase_add_test(tcase, knows_when_there_is_nobody);
    tcase_add_loop_test(tcase, tries_each_server_once, 0, 2);
    tcase_add_test(tcase, retries_do_not_follow_a_removed_server);
    tcase_add_test(tcase, fails_over_and_comes_back);
    tcase_add_test(tcase, many_failed_servers);
    tcase_add_test(tcase, recovery_elsewhere_is_noticed);
    tcase_add_loop_test(tcase, full_servers_are_passed_over, 0, 2);
    tcase_add_test(tcase, slow_start_gives_a_growing_share);
    tcase_add_test(tcase, tried_set_grows);
    return run_suite("round_robin", tcase);
}
