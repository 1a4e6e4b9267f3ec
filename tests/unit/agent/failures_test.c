/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/failures.h"

#include "tests/unit/suite.h"

#include <stdlib.h>

/* Ten a minute: six seconds each. */
enum { COUNT = 10, PERIOD_MS = 60000, COST_MS = 6000 };

static struct rem_failures *made(uint32_t count, uint32_t period_ms)
{
    struct rem_failures *failures = malloc(sizeof(*failures));

    ck_assert_ptr_nonnull(failures);
    rem_failures_init(failures, count, period_ms);
    return failures;
}

START_TEST(test_a_burst_and_its_end)
{
    struct rem_failures *failures = made(COUNT, PERIOD_MS);
    uint64_t key = rem_failures_key(failures, "me", 2),
             other = rem_failures_key(failures, "you", 3);
    uint64_t now = 1000;

    for (int i = 0; i < COUNT; i++) {
        ck_assert_msg(rem_failures_wait(failures, key, now) == 0, "after %d", i);
        rem_failures_add(failures, key, now);
    }
    ck_assert_uint_eq(rem_failures_wait(failures, key, now), COST_MS);
    ck_assert_uint_eq(rem_failures_wait(failures, key, now + 1), COST_MS - 1);
    ck_assert_uint_eq(rem_failures_wait(failures, other, now), 0);
    now += COST_MS;
    ck_assert_uint_eq(rem_failures_wait(failures, key, now), 0);
    rem_failures_add(failures, key, now);
    ck_assert_uint_eq(rem_failures_wait(failures, key, now), COST_MS);
    now += 2 * PERIOD_MS;
    for (int i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(rem_failures_wait(failures, key, now), 0);
        rem_failures_add(failures, key, now);
    }
    ck_assert_uint_gt(rem_failures_wait(failures, key, now), 0);
    free(failures);
}
END_TEST

START_TEST(test_off)
{
    struct rem_failures *failures = made(0, PERIOD_MS);
    uint64_t key = rem_failures_key(failures, "me", 2);

    for (int i = 0; i < 1000; i++)
        rem_failures_add(failures, key, 5);
    ck_assert_uint_eq(rem_failures_wait(failures, key, 5), 0);
    free(failures);
}
END_TEST

/* More clients than there is room for: whoever owes most is remembered. */
START_TEST(test_a_crowd)
{
    struct rem_failures *failures = made(COUNT, PERIOD_MS);
    uint64_t worst = rem_failures_key(failures, "worst", 5);

    for (int i = 0; i < COUNT; i++)
        rem_failures_add(failures, worst, 1000);
    for (uint32_t i = 0; i < 100000; i++)
        rem_failures_add(failures, rem_failures_key(failures, &i, sizeof(i)), 1000);
    ck_assert_uint_gt(rem_failures_wait(failures, worst, 1000), 0);
    free(failures);
}
END_TEST

START_TEST(test_high_rates)
{
    struct rem_failures *failures = made(1000000, 1000);
    uint64_t key = rem_failures_key(failures, "me", 2);

    for (int i = 0; i < 1000000; i++)
        rem_failures_add(failures, key, 7);
    ck_assert_uint_eq(rem_failures_wait(failures, key, 7), 1);
    ck_assert_uint_eq(rem_failures_wait(failures, key, 8), 0);
    free(failures);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, test_a_burst_and_its_end);
    tcase_add_test(tc, test_off);
    tcase_add_test(tc, test_a_crowd);
    tcase_add_test(tc, test_high_rates);
    return run_suite("failures", tc);
}
