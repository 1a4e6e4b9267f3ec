/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/schedule.h"

#include "tests/unit/suite.h"

#include <stdlib.h>
#include <string.h>

/* The orders smooth weighted round robin is known for. */
static const struct order_case {
    uint32_t count;
    uint32_t weights[4];
    const char *order; /* a, b, c ... */
} order_cases[] = {
    {3, {5, 1, 1}, "aabacaa"}, {2, {1, 1}, "ab"},           {1, {7}, "a"},
    {2, {2, 1}, "aba"},        {2, {1, 2}, "bab"},          {2, {10, 5}, "aba"},
    {3, {3, 2, 1}, "abacba"},  {2, {4, 1}, "aabaa"},        {4, {6, 6, 6, 6}, "abcd"},
    {3, {1, 1, 2}, "cabc"},    {3, {4, 3, 2}, "abcabacba"},
};

static uint32_t turn_of(const struct rem_schedule *schedule, uint32_t i)
{
    return schedule->turns != NULL ? schedule->turns[i] : i;
}

START_TEST(small_orders)
{
    const struct order_case *c = &order_cases[_i];
    struct rem_schedule schedule;
    char order[64] = "";

    ck_assert_int_eq(rem_schedule_build(c->weights, c->count, &schedule), REM_OK);
    ck_assert_uint_eq(schedule.length, strlen(c->order));
    for (uint32_t i = 0; i < schedule.length; i++)
        order[i] = (char)('a' + turn_of(&schedule, i));
    ck_assert_str_eq(order, c->order);
    rem_schedule_fini(&schedule);
}
END_TEST

static uint32_t *count_turns(const struct rem_schedule *schedule, uint32_t count)
{
    uint32_t *turns = calloc(count, sizeof(*turns));

    for (uint32_t i = 0; i < schedule->length; i++) {
        ck_assert_uint_lt(turn_of(schedule, i), count);
        turns[turn_of(schedule, i)]++;
    }
    return turns;
}

/* Every server gets exactly its share, by either way of computing. */
START_TEST(proportions)
{
    static const uint32_t counts[] = {2, 7, 50, 1000, 3000};
    uint32_t count = counts[_i], *weights = calloc(count, sizeof(*weights)), *turns;
    struct rem_schedule schedule;

    srand((unsigned)_i + 1);
    weights[0] = 1; /* no common divisor */
    for (uint32_t i = 1; i < count; i++)
        weights[i] = 1 + (uint32_t)rand() % 20;
    ck_assert_int_eq(rem_schedule_build(weights, count, &schedule), REM_OK);
    turns = count_turns(&schedule, count);
    for (uint32_t i = 0; i < count; i++)
        ck_assert_uint_eq(turns[i], weights[i]);
    /* and spread: in no stretch does a server get more than its share and two */
    for (uint32_t i = 0; i < count; i += 1 + count / 20) {
        uint32_t seen = 0;
        for (uint32_t k = 0; k < schedule.length; k++) {
            seen += turn_of(&schedule, k) == i;
            double due = (double)(k + 1) * weights[i] / schedule.length;
            ck_assert_msg((double)seen < due + 2 && (double)seen > due - 2,
                          "server %u: %u turns after %u", i, seen, k + 1);
        }
    }
    free(turns);
    free(weights);
    rem_schedule_fini(&schedule);
}
END_TEST

START_TEST(long_rounds_are_shortened)
{
    uint32_t count = 100, *weights = calloc(count, sizeof(*weights)), *turns;
    struct rem_schedule schedule;

    for (uint32_t i = 0; i < count; i++)
        weights[i] = 65535 - i;
    weights[99] = 1;
    ck_assert_int_eq(rem_schedule_build(weights, count, &schedule), REM_OK);
    ck_assert_uint_le(schedule.length, 65536 + 16 * count);
    turns = count_turns(&schedule, count);
    ck_assert_uint_ge(turns[99], 1);
    for (uint32_t i = 0; i < 99; i++) {
        double share = (double)turns[i] / schedule.length, due = (double)weights[i] / 6483015.0;
        ck_assert_msg(share > due * 0.99 && share < due * 1.01, "server %u: %f, not %f", i, share,
                      due);
    }
    free(turns);
    free(weights);
    rem_schedule_fini(&schedule);
}
END_TEST

START_TEST(equal_weights_need_no_array)
{
    static uint32_t weights[100000];
    struct rem_schedule schedule;

    for (uint32_t i = 0; i < REM_COUNT(weights); i++)
        weights[i] = 65535;
    ck_assert_int_eq(rem_schedule_build(weights, REM_COUNT(weights), &schedule), REM_OK);
    ck_assert_ptr_null(schedule.turns);
    ck_assert_uint_eq(schedule.length, REM_COUNT(weights));
    rem_schedule_fini(&schedule);
    ck_assert_int_eq(rem_schedule_build(weights, 0, &schedule), REM_OK);
    ck_assert_uint_eq(schedule.length, 0);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("schedule");

    tcase_add_loop_test(tcase, small_orders, 0, (int)REM_COUNT(order_cases));
    tcase_add_loop_test(tcase, proportions, 0, 5);
    tcase_add_test(tcase, long_rounds_are_shortened);
    tcase_add_test(tcase, equal_weights_need_no_array);
    return run_suite("schedule", tcase);
}
