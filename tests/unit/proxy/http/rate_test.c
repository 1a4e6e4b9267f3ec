/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/rate.h"

#include "proto/base/err.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

enum { START = 1000000 };

static const struct {
    uint64_t limit, after, sent, queued, elapsed_ms;
    uint64_t room, delay_ms;
} cases[] = {
    {0, 0, 5, 5, 0, UINT64_MAX, 0},             /* no limit */
    {1000, 0, 0, 5000, 0, 1000, 0},             /* a second's worth at once */
    {1000, 500, 0, 5000, 0, 1500, 0},           /* and what goes unlimited */
    {1000, 0, 1000, 5000, 0, 0, 252},           /* then a quarter of a second's worth, */
    {1000, 0, 1000, 5000, 250, 0, 2},           /* not a byte earlier */
    {1000, 0, 1000, 5000, 252, 252, 0},         /* (251 bytes are a portion) */
    {1000, 0, 1000, 5000, 1500, 1500, 0},       /* time that passed is not lost */
    {1000, 0, 1000, 10, 0, 0, 11},              /* less is queued than a portion */
    {1000, 0, 1000, 10, 11, 11, 0},             /* */
    {4, 160, 164, 100, 0, 0, 501},              /* slow: two bytes at a time */
    {4, 160, 164, 100, 501, 2, 0},              /* */
    {1, 0, 1, 100, 0, 0, 1001},                 /* */
    {1000, 0, 2000, 5000, 0, 0, 1252},          /* more than allowed has been sent */
    {1000, UINT64_MAX, 0, 1, 0, UINT64_MAX, 0}, /* sums do not wrap */
    {REM_RATE_MAX, 0, UINT64_C(1) << 60, 1, UINT64_C(1) << 50, UINT64_MAX, 0},
};

START_TEST(table)
{
    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_rate rate = {
            .limit = cases[i].limit, .after = cases[i].after, .start_ms = START};
        uint64_t delay = 99;
        uint64_t room = rem_rate_room(&rate, cases[i].sent, cases[i].queued,
                                      START + cases[i].elapsed_ms, &delay);

        ck_assert_msg(room == cases[i].room && delay == cases[i].delay_ms,
                      "case %zu: room %llu, delay %llu", i, (unsigned long long)room,
                      (unsigned long long)delay);
    }
}
END_TEST

/* Whoever waits as long as it is told finds room. */
START_TEST(the_delay_is_enough)
{
    static const uint64_t limits[] = {1, 3, 4, 999, 12288, 1000000, REM_RATE_MAX};

    for (size_t i = 0; i < REM_COUNT(limits); i++) {
        struct rem_rate rate = {.limit = limits[i], .start_ms = START};
        uint64_t now = START, sent = 0, delay;

        for (int n = 0; n < 1000; n++) {
            uint64_t room = rem_rate_room(&rate, sent, UINT32_MAX, now, &delay);

            if (room == 0) {
                ck_assert_uint_ne(delay, 0);
                now += delay;
                room = rem_rate_room(&rate, sent, UINT32_MAX, now, &delay);
                ck_assert_msg(room != 0, "limit %llu, step %d", (unsigned long long)limits[i], n);
            }
            sent += room;
            ck_assert_uint_le(sent, limits[i] + (now - START) * limits[i] / 1000 + 1);
        }
    }
}
END_TEST

START_TEST(setting_and_parsing)
{
    struct rem_rate rate = {0};
    uint64_t size = 7;

    rem_rate_set(&rate, UINT64_MAX);
    ck_assert(rate.limit_set);
    ck_assert_uint_eq(rate.limit, REM_RATE_MAX);
    rem_rate_set(&rate, 0);
    ck_assert(rate.limit_set);
    ck_assert_uint_eq(rate.limit, 0);
    ck_assert_int_eq(rem_rate_parse(REM_STR("12k"), &size), 0);
    ck_assert_uint_eq(size, 12288);
    ck_assert_int_eq(rem_rate_parse(REM_STR("0"), &size), 0);
    ck_assert_uint_eq(size, 0);
    size = 7;
    ck_assert_int_lt(rem_rate_parse(REM_STR(""), &size), 0);
    ck_assert_int_lt(rem_rate_parse(REM_STR("12q"), &size), 0);
    ck_assert_int_lt(rem_rate_parse(REM_STR("-1"), &size), 0);
    ck_assert_uint_eq(size, 7);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("rate");

    tcase_add_test(tc, table);
    tcase_add_test(tc, the_delay_is_enough);
    tcase_add_test(tc, setting_and_parsing);
    return run_suite("rate", tc);
}
