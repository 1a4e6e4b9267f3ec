/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/shm/space.h"

#include "fixture.h"

#include "tests/unit/suite.h"

static struct fixture fix;

static void setup(void)
{
    fix_init(&fix, 1);
}

static void teardown(void)
{
    fix_fini(&fix);
}

/* What is said of the region and of an upstream is what a walk of the registry finds. */
START_TEST(agrees_with_a_walk)
{
    struct rem_space before, after;
    struct rem_space_upstream upstream;
    struct rem_writer_stats stats;

    rem_space_region(fix.writer, &before);
    fix_put(&fix, "u", 0, 5);
    rem_space_region(fix.writer, &after);
    ck_assert_int_eq(rem_writer_stats(fix.writer, &stats), 0);
    ck_assert_uint_eq(after.used, stats.used);
    ck_assert_uint_eq(after.free, stats.free);
    ck_assert_uint_eq(after.used + after.free, before.used + before.free);
    ck_assert_uint_gt(after.requests, before.requests);
    ck_assert_uint_eq(after.failures, 0);

    rem_space_upstream(fix.writer, 0, &upstream);
    ck_assert(rem_str_is(upstream.name, "u"));
    ck_assert_uint_eq(upstream.slots, 5);
    ck_assert_uint_eq(upstream.slots_ever, 5);
    ck_assert_uint_gt(upstream.bytes, 5 * upstream.slot);
    ck_assert_uint_lt(upstream.bytes, after.used - before.used);
}
END_TEST

START_TEST(counts_servers_that_are_gone)
{
    struct rem_space_upstream upstream;

    fix_put(&fix, "u", 0, 5);
    (void)fix_put(&fix, "u", 4, 2); /* one of them stays */
    rem_space_upstream(fix.writer, 0, &upstream);
    ck_assert_uint_eq(upstream.slots, 2);
    ck_assert_uint_eq(upstream.slots_ever, 6);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("space");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, agrees_with_a_walk);
    tcase_add_test(tests, counts_servers_that_are_gone);
    return run_suite("space", tests);
}
