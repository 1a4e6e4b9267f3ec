/* SPDX-License-Identifier: Apache-2.0 */
/* outlier_test.c - which success rates are far from the others'. */
#include "agent/outlier.h"

#include "proto/base/attr.h"

#include <check.h>

#define RATES(...) {__VA_ARGS__}, sizeof((double[]){__VA_ARGS__}) / sizeof(double)

static const struct row {
    double rates[8];
    size_t count;
    uint32_t factor;
    size_t below; /* how many are ejected */
} rows[] = {
    {RATES(1, 1, 1, 1, 1), 1900, 0},
    {RATES(0, 0, 0, 0, 0), 1900, 0},
    {RATES(1, 1, 1, 1, 0.5), 1900, 1},
    {RATES(1, 1, 1, 1, 0), 1900, 1},
    {RATES(1, 1, 1, 1, 0), 2100, 0}, /* one of five is never more than two deviations away */
    {RATES(1, 1, 1, 0, 0), 1900, 0}, /* too many to be outliers */
    {RATES(1, 1, 1, 0.5, 0), 1000, 1},
    {RATES(0.9, 0.95, 0.92, 0.97, 0.94, 0.91, 0.5), 1900, 1},
    {RATES(1, 1, 1, 1, 0.999), 1900, 1}, /* far from the others, however good */
    {RATES(0.5), 1900, 0},
    {RATES(1, 0), 0, 1}, /* all below the mean */
};

START_TEST(test_threshold)
{
    const struct row *row = &rows[_i];
    double threshold = rem_outlier_threshold(row->rates, row->count, row->factor);
    size_t below = 0;

    for (size_t i = 0; i < row->count; i++)
        below += row->rates[i] < threshold;
    ck_assert_uint_eq(below, row->below);
}
END_TEST

START_TEST(test_nobody)
{
    ck_assert(rem_outlier_threshold(NULL, 0, 1900) <= 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("outlier");
    TCase *tc = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tc);
    tcase_add_loop_test(tc, test_threshold, 0, (int)REM_COUNT(rows));
    tcase_add_test(tc, test_nobody);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
