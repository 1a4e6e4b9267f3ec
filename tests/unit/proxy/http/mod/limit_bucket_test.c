/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/mod/limit_bucket.h"

#include "tests/unit/suite.h"

#include <stdio.h>

static struct rem_arena arena;
static struct rem_zone *zone;

static void start(size_t size)
{
    const struct rem_zone spec = {
        .name = REM_STR("one"),
        .kind = REM_ZONE_LIMIT_REQ,
        .size = size,
        .value_size = sizeof(struct rem_limit_bucket),
    };
    struct rem_zone *list = NULL;

    rem_arena_init(&arena, NULL);
    ck_assert_int_eq(rem_zone_declare(&list, &arena, &spec, &zone), 0);
    ck_assert_int_eq(rem_zones_open(list, NULL, NULL), 0);
}

static void stop(void)
{
    rem_arena_reset(&arena);
}

static enum rem_limit_verdict ask(const char *key, const struct rem_limit_rate *rate,
                                  uint64_t now_ms, uint64_t *excess)
{
    return rem_limit_bucket_ask(zone, rem_str_from(key), rate, now_ms, true, excess);
}

START_TEST(test_excess)
{
    static const struct {
        uint64_t requests, period_ms, excess, ms, expected;
    } cases[] = {
        {1, 1000, 0, 0, 1000},
        {1, 1000, 0, 1, 999},
        {1, 1000, 0, 999, 1},
        {1, 1000, 0, 1000, 0},
        {1, 1000, 0, 5000, 0},
        {1, 1000, 3000, 1500, 2500},
        {1, 60000, 0, 60000, 0},
        {1, 60000, 0, 59999, 1},
        {30, 60000, 1000, 2000, 1000},
        {1000, 1000, 0, 1, 0},
        {1000, 1000, 5000, 1, 5000},
        {7, 60000, 0, 8571, 1},
        {INT32_MAX, 1000, 1ull << 40, UINT64_MAX / 2, 0},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_limit_rate rate = {cases[i].requests, cases[i].period_ms, 0};
        struct rem_limit_bucket bucket = {cases[i].excess, 77};

        ck_assert_msg(rem_limit_bucket_excess(&bucket, &rate, 77 + cases[i].ms) ==
                          cases[i].expected,
                      "case %zu", i);
    }
}
END_TEST

/* The clocks of two workers differ. */
START_TEST(test_time_does_not_run_backwards)
{
    const struct rem_limit_rate rate = {1, 1000, 10000};
    uint64_t excess;

    start(REM_ZONE_SIZE_MIN);
    ck_assert_int_eq(ask("a", &rate, 10000, &excess), REM_LIMIT_FITS);
    ck_assert_int_eq(ask("a", &rate, 9000, &excess), REM_LIMIT_FITS);
    ck_assert_uint_eq(excess, 1000);
    ck_assert_int_eq(ask("a", &rate, 10000, &excess), REM_LIMIT_FITS);
    ck_assert_uint_eq(excess, 2000); /* not 1000: that second has been counted */
    stop();
}
END_TEST

START_TEST(test_burst)
{
    const struct rem_limit_rate rate = {2, 1000, 2000};
    uint64_t excess;

    start(REM_ZONE_SIZE_MIN);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_int_eq(ask("a", &rate, 1000, &excess), REM_LIMIT_FITS);
        ck_assert_uint_eq(excess, i * 1000u);
    }
    for (unsigned i = 0; i < 5; i++) { /* what is rejected does not count */
        ck_assert_int_eq(ask("a", &rate, 1000, &excess), REM_LIMIT_EXCEEDS);
        ck_assert_uint_eq(excess, 3000);
    }
    ck_assert_int_eq(ask("b", &rate, 1000, &excess), REM_LIMIT_FITS);
    ck_assert_int_eq(ask("a", &rate, 1499, &excess), REM_LIMIT_EXCEEDS);
    ck_assert_int_eq(ask("a", &rate, 1500, &excess), REM_LIMIT_FITS);
    stop();
}
END_TEST

START_TEST(test_asking_does_not_count)
{
    const struct rem_limit_rate rate = {1, 1000, 0};
    struct rem_zone_stats stats;
    uint64_t excess;

    start(REM_ZONE_SIZE_MIN);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(rem_limit_bucket_ask(zone, REM_STR("a"), &rate, 1, false, &excess),
                         REM_LIMIT_FITS);
    rem_zone_peek(zone, &stats);
    ck_assert_uint_eq(stats.entries, 0);
    ck_assert_int_eq(ask("a", &rate, 1, &excess), REM_LIMIT_FITS);
    ck_assert_int_eq(rem_limit_bucket_ask(zone, REM_STR("a"), &rate, 1, false, &excess),
                     REM_LIMIT_EXCEEDS);
    stop();
}
END_TEST

START_TEST(test_wait)
{
    static const struct {
        uint64_t requests, period_ms, excess, limit, expected;
    } cases[] = {
        {1, 1000, 1000, 0, 1000},      {2, 1000, 1000, 0, 500},
        {30, 60000, 2000, 1000, 2000}, {1, 1000, 999, 1000, 0},
        {1, 1000, 5, UINT64_MAX, 0},   {1, 60000, UINT64_MAX / 2, 0, UINT32_MAX},
    };

    for (size_t i = 0; i < REM_COUNT(cases); i++) {
        struct rem_limit_rate rate = {cases[i].requests, cases[i].period_ms, 0};

        ck_assert_msg(rem_limit_bucket_wait(&rate, cases[i].excess, cases[i].limit) ==
                          cases[i].expected,
                      "case %zu", i);
    }
}
END_TEST

/* Keys that come for the first time push out those not seen for longest, long keys too. */
START_TEST(test_full_zone)
{
    const struct rem_limit_rate rate = {1, 1000, 0};
    struct rem_zone_stats stats;
    char key[1500];
    uint64_t excess;

    start(REM_ZONE_SIZE_MIN);
    for (unsigned i = 0; i < 2000; i++) {
        memset(key, 'k', sizeof(key));
        key[snprintf(key, sizeof(key), "%u", i)] = 'k';
        key[i % 10 == 0 ? sizeof(key) - 1 : 20] = '\0';
        ck_assert_int_eq(ask(key, &rate, 1000, &excess), REM_LIMIT_FITS);
    }
    rem_zone_peek(zone, &stats);
    ck_assert_uint_gt(stats.evicted, 1000);
    ck_assert_uint_le(stats.used, stats.chunks);
    ck_assert_int_eq(ask(key, &rate, 1000, &excess), REM_LIMIT_EXCEEDS);
    stop();
}
END_TEST

/* After a minute, each new key lets go of two that nobody asks for; but not of a full bucket. */
START_TEST(test_sweep)
{
    const struct rem_limit_rate rate = {1, 1000, 1000000}, slow = {1, 60000, 1000000};
    struct rem_zone_stats stats;
    char key[16];
    uint64_t excess;

    start(REM_ZONE_SIZE_MIN);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "%u", i);
        ck_assert_int_eq(ask(key, &rate, 1000, &excess), REM_LIMIT_FITS);
    }
    ck_assert_int_eq(ask("x", &rate, 60999, &excess), REM_LIMIT_FITS);
    rem_zone_peek(zone, &stats);
    ck_assert_uint_eq(stats.entries, 11);
    ck_assert_int_eq(ask("y", &rate, 61000, &excess), REM_LIMIT_FITS);
    rem_zone_peek(zone, &stats);
    ck_assert_uint_eq(stats.entries, 10);
    stop();

    start(REM_ZONE_SIZE_MIN);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(ask("full", &slow, 1000, &excess), REM_LIMIT_FITS);
    ck_assert_int_eq(ask("y", &slow, 62000, &excess), REM_LIMIT_FITS);
    rem_zone_peek(zone, &stats);
    ck_assert_uint_eq(stats.entries, 2);
    stop();
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("limit_bucket");

    tcase_add_test(tests, test_excess);
    tcase_add_test(tests, test_time_does_not_run_backwards);
    tcase_add_test(tests, test_burst);
    tcase_add_test(tests, test_asking_does_not_count);
    tcase_add_test(tests, test_wait);
    tcase_add_test(tests, test_full_zone);
    tcase_add_test(tests, test_sweep);
    return run_suite("limit_bucket", tests);
}
