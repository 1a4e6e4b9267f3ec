/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/drain.h"

#include "proto/base/attr.h"

#include "tests/unit/suite.h"

/* What is asked for, one after another, at these times; then what is known. */
static const struct {
    struct {
        uint64_t now;
        uint32_t delay, timeout;
        bool news;
    } asked[3];
    uint64_t close_at, deadline;
} cases[] = {
    {{{1000, 50, 100, true}}, 1050, 1100},
    {{{1000, 50, 100, true}, {1010, 50, 100, false}}, 1050, 1100},
    {{{1000, 50, 100, true}, {1010, 60, 200, false}, {1020, 0, 200, true}}, 1020, 1100},
    {{{1000, 50, 100, true}, {1010, 50, 20, true}}, 1030, 1030},
    {{{1000, 500, 100, true}}, 1100, 1100},
    {{{1000, 50, 0, true}}, 1050, 0},
    {{{1000, 50, 0, true}, {1010, 100, 300, true}}, 1050, 1310},
    {{{1000, 0, 0, true}, {1001, 0, 0, false}}, 1000, 0},
};

START_TEST(test_announce)
{
    struct rem_drain drain = {0};

    for (size_t i = 0; i < 3 && cases[_i].asked[i].now != 0; i++) {
        bool news = rem_drain_announce(&drain, cases[_i].asked[i].now, 7 + (int64_t)i,
                                       cases[_i].asked[i].delay, cases[_i].asked[i].timeout);
        ck_assert_int_eq(news, cases[_i].asked[i].news);
    }
    ck_assert_uint_eq(drain.phase, REM_DRAIN_ANNOUNCED);
    ck_assert_int_eq(drain.started_sec, 7);
    ck_assert_uint_eq(drain.close_at_ms, cases[_i].close_at);
    ck_assert_uint_eq(drain.deadline_ms, cases[_i].deadline);
}
END_TEST

START_TEST(test_close)
{
    struct rem_drain drain = {0};

    rem_drain_close(&drain, 1000, 7);
    ck_assert_uint_eq(drain.phase, REM_DRAIN_CLOSING);
    ck_assert_int_eq(drain.started_sec, 7);
    ck_assert_uint_eq(drain.deadline_ms, 0);
    ck_assert(rem_drain_announce(&drain, 1010, 8, 50, 100));
    ck_assert_uint_eq(drain.phase, REM_DRAIN_CLOSING);
    ck_assert_int_eq(drain.started_sec, 7);
    ck_assert_uint_eq(drain.close_at_ms, 1000);
    ck_assert_uint_eq(drain.deadline_ms, 1110);
    ck_assert(!rem_drain_announce(&drain, 1020, 8, 50, 100));
    ck_assert_str_eq(rem_drain_phase_name(drain.phase), "closing");
    ck_assert_str_eq(rem_drain_phase_name(99), "none");
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_announce, 0, REM_COUNT(cases));
    tcase_add_test(tc, test_close);
    return run_suite("drain", tc);
}
