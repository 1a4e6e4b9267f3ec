/* SPDX-License-Identifier: Apache-2.0 */
/* outlier_test.c - which success rates are far from the others'. */
#include "agent/outlier.h"

#include "proto/base/attr.h"
#include "proto/shm/health.h"
#include "proto/shm/outlier.h"

#include "tests/unit/proto/shm/fixture.h"
#include "tests/unit/suite.h"

#include <event2/event.h>

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

/* A worker that dies between the two steps of an ejection leaves the count wrong, and so does a
 * recount that comes between them. */
START_TEST(test_wrong_counts_are_mended)
{
    static const int wrong[] = {-1, 2, 99};
    struct rem_log log = *rem_log_stderr(REM_LOG_EMERG);
    struct rem_clock clock = {.mono_ms = 1000};
    struct event_base *base = event_base_new();
    struct fixture fix;
    struct rem_outliers outliers = {.log = &log, .clock = &clock};
    struct rem_upstream_spec spec;
    struct rem_commit commit;
    const struct rem_shm_set *set;
    struct rem_shm_upstream_slot *upstream;

    fix_init(&fix, 1);
    outliers.writer = fix.writer;
    spec = fix_upstream(&fix, "app", 1, 3);
    spec.outlier = (struct rem_outlier_spec){.consecutive_5xx = 1,
                                             .interval_ms = 1,
                                             .base_ejection_ms = 60000,
                                             .max_ejection_ms = 60000,
                                             .max_ejection_percent = 100,
                                             .success_rate_requests = 1};
    ck_assert_int_eq(fix_try_put(&fix, &spec, &commit), REM_OK);
    set = rem_health_set(fix.writer, REM_STR("app"));
    upstream = rem_health_upstream(fix.writer, set);
    ck_assert(rem_outlier_eject(set, upstream, rem_health_slot(fix.writer, rem_set_server(set, 0)),
                                1000));
    ck_assert_int_eq(rem_outliers_start(&outliers, base), REM_OK);
    for (size_t i = 0; i < REM_COUNT(wrong); i++) {
        ck_assert(rem_outliers_look(&outliers)); /* with the right count */
        atomic_store(&upstream->ejected, wrong[i]);
        ck_assert(rem_outliers_look(&outliers));
        ck_assert_int_eq(atomic_load(&upstream->ejected), wrong[i]); /* somebody may be at it */
        ck_assert(rem_outliers_look(&outliers));
        ck_assert_int_eq(atomic_load(&upstream->ejected), 1);
    }
    rem_outliers_stop(&outliers);
    event_base_free(base);
    fix_fini(&fix);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("all");

    tcase_add_loop_test(tc, test_threshold, 0, (int)REM_COUNT(rows));
    tcase_add_test(tc, test_nobody);
    tcase_add_test(tc, test_wrong_counts_are_mended);
    return run_suite("outlier", tc);
}
